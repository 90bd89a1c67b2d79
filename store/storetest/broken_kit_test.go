package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/aikagi/aikagi/store"
)

func init() { patience = 4 * time.Second } // what is stuck in a test is so by intent

// changed returns stores whose Create and Replace keep what change makes of a
// record.
func changed(change func(*store.Record)) func() store.Store {
	return bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			change(&r)
			return b.good.Create(ctx, r)
		}
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			change(&r)
			return b.good.Replace(ctx, version, r)
		}
	})
}

// versionsThrough returns stores that keep what change makes of a version, and
// change the version they are asked for likewise.
func versionsThrough(change func(string) string) func() store.Store {
	return bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			r.Version = change(r.Version)
			return b.good.Create(ctx, r)
		}
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			r.Version = change(r.Version)
			return b.good.Replace(ctx, change(version), r)
		}
	})
}

func expiriesThrough(change func(time.Time) time.Time) func() store.Store {
	return changed(func(r *store.Record) { r.Expires = change(r.Expires) })
}

// lagging returns stores whose Get does not see the last writes.
func lagging(writes int) func() store.Store {
	return bend(func(b *bent) {
		replica := new(store.Memory)
		var mu sync.Mutex
		var log []func()
		write := func(f func()) {
			mu.Lock()
			defer mu.Unlock()
			for log = append(log, f); len(log) > writes; log = log[1:] {
				log[0]()
			}
		}
		b.get = replica.Get
		b.create = func(ctx context.Context, r store.Record) error {
			write(func() { replica.Create(context.WithoutCancel(ctx), r) })
			return b.good.Create(ctx, r)
		}
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			write(func() { replica.Replace(context.WithoutCancel(ctx), version, r) })
			return b.good.Replace(ctx, version, r)
		}
		b.delete = func(ctx context.Context, key string) error {
			write(func() { replica.Delete(context.WithoutCancel(ctx), key) })
			return b.good.Delete(ctx, key)
		}
	})
}

// newCached returns a node's handle on shared that remembers what it has read.
func newCached(shared *store.Memory) store.Store {
	b := &bent{good: shared}
	var cache sync.Map
	b.get = func(ctx context.Context, key string) (store.Record, error) {
		if r, ok := cache.Load(key); ok {
			return clone(r.(store.Record)), nil
		}
		r, err := shared.Get(ctx, key)
		if err == nil {
			cache.Store(key, clone(r))
		}
		return r, err
	}
	b.replace = func(ctx context.Context, version string, r store.Record) error {
		defer cache.Delete(r.Key)
		return shared.Replace(ctx, version, r)
	}
	return b
}

// A pool has four connections.
type pool struct{ connections chan struct{} }

func (p *pool) take(ctx context.Context) error {
	select {
	case p.connections <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pool) giveBack() { <-p.connections }

// pooled returns stores whose verbs first get what they need from a pool, and
// call what get returns afterwards. It is nil if the context was done first.
func pooled(get func(p *pool, ctx context.Context) (release func())) func() store.Store {
	return bend(func(b *bent) {
		p := &pool{make(chan struct{}, 4)}
		with := func(ctx context.Context, verb func() error) error {
			release := get(p, ctx)
			if release == nil {
				<-ctx.Done()
				return ctx.Err()
			}
			defer release()
			return verb()
		}
		b.create = func(ctx context.Context, r store.Record) error {
			return with(ctx, func() error { return b.good.Create(ctx, r) })
		}
		b.get = func(ctx context.Context, key string) (r store.Record, err error) {
			err = with(ctx, func() error { r, err = b.good.Get(ctx, key); return err })
			return r, err
		}
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			return with(ctx, func() error { return b.good.Replace(ctx, version, r) })
		}
		b.delete = func(ctx context.Context, key string) error {
			return with(ctx, func() error { return b.good.Delete(ctx, key) })
		}
	})
}
