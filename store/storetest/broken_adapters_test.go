package storetest

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aikagi/aikagi/store"
)

// brokenAdapters are stores with the flaws that a database, its driver or an
// adapter over it is likely to bring along.
var brokenAdapters = []brokenStore{
	{"GetNothing", "wraps two of the errors", "which is", bend(func(b *bent) {
		b.get = func(ctx context.Context, key string) (store.Record, error) {
			r, err := b.good.Get(ctx, key)
			if err != nil {
				err = errors.Join(err, store.ErrConflict)
			}
			return r, err
		}
	})},
	{"GetCreated", "pads keys to the width of the column", "key", bend(func(b *bent) {
		b.get = func(ctx context.Context, key string) (store.Record, error) {
			r, err := b.good.Get(ctx, key)
			r.Key += strings.Repeat(" ", 64-len(key))
			return r, err
		}
	})},
	{"GetCreated", "reads from a replica that has all but the last write", "Get: store: not found", lagging(1)},
	{"GetCreated", "remembers that nothing was there", "Get: store: not found", bend(func(b *bent) {
		var nothing sync.Map
		b.get = func(ctx context.Context, key string) (store.Record, error) {
			if _, ok := nothing.Load(key); ok {
				return store.Record{}, store.ErrNotFound
			}
			r, err := b.good.Get(ctx, key)
			if errors.Is(err, store.ErrNotFound) {
				nothing.Store(key, true)
			}
			return r, err
		}
	})},
	{"GetReplaced", "reads from a replica that has all but the last write", "version", lagging(1)},
	{"GetReplaced", "keeps a value of its own at every node", "version", func() store.Store {
		shared := new(store.Memory)
		return Nodes(newCached(shared), newCached(shared))
	}},
	{"Delete", "reads from a replica that has all but the last write", "error <nil>, want store: not found", lagging(1)},
	{"GetReplaced", "writes behind", "version", bend(func(b *bent) {
		behind := make(chan func(), 100)
		go func() {
			for write := range behind {
				time.Sleep(time.Millisecond)
				write()
			}
		}()
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			r = clone(r)
			behind <- func() { b.good.Replace(context.WithoutCancel(ctx), version, r) }
			return nil
		}
	})},
	{"CreateTwice", "returns the driver's own error", "UNIQUE constraint", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if err := b.good.Create(ctx, r); err != nil {
				return errors.New("UNIQUE constraint failed: record.key")
			}
			return nil
		}
	})},
	{"CreateTwice", "calls what exists a conflict", "want store: key exists", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if err := b.good.Create(ctx, r); err != nil {
				return store.ErrConflict
			}
			return nil
		}
	})},
	{"CreateTwice", "changes what it refuses to write over", "expiry", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			old, err := b.good.Get(ctx, r.Key)
			if err != nil || old.Version == r.Version {
				return b.good.Create(ctx, r)
			}
			old.Expires = old.Expires.Add(time.Minute) // on conflict do update set expires
			return errors.Join(store.ErrExists, b.good.Delete(ctx, r.Key), b.good.Create(ctx, old))
		}
	})},
	{"CreateRepeatedLate", "lets a repetition win", "error <nil>", bend(func(b *bent) {
		var seen sync.Map
		b.create = func(ctx context.Context, r store.Record) error {
			if _, again := seen.LoadOrStore(r.Version, nil); again {
				return nil // an idempotency key
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"CreateOnExpired", "sweeps when it expires", "error <nil>", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if old, err := b.good.Get(ctx, r.Key); err == nil && old.Expires.Before(time.Now()) {
				b.good.Delete(ctx, r.Key)
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"ReplaceDeleted", "takes a repetition for done though the record is gone", "error <nil>", bend(func(b *bent) {
		var done sync.Map
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if _, again := done.Load(r.Version); again {
				if _, err := b.good.Get(ctx, r.Key); err != nil {
					return nil
				}
			}
			err := b.good.Replace(ctx, version, r)
			if err == nil {
				done.Store(r.Version, nil)
			}
			return err
		}
	})},
	{"ReplaceNothing", "returns not found", "want store: changed", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if _, err := b.good.Get(ctx, r.Key); err != nil {
				return err
			}
			return b.good.Replace(ctx, version, r)
		}
	})},

	{"Keys", "deletes by pattern", "Get: store: not found", bend(func(b *bent) {
		var keys []string
		b.create = func(ctx context.Context, r store.Record) error {
			keys = append(keys, r.Key)
			return b.good.Create(ctx, r)
		}
		b.delete = func(ctx context.Context, pattern string) error {
			for _, key := range keys {
				if like(key, pattern) {
					b.good.Delete(ctx, key)
				}
			}
			return nil
		}
	})},
	{"Versions", "keeps versions in lower case", "version", versionsThrough(strings.ToLower)},
	{"Versions", "has room for 32 characters", "version", versionsThrough(func(v string) string { return v[:min(len(v), 32)] })},
	{"Versions", "pads versions to the width of the column", "version",
		versionsThrough(func(v string) string { return v + strings.Repeat(" ", 64-len(v)) })},
	{"Versions", "takes versions for numbers", "version", versionsThrough(func(v string) string {
		if strings.Trim(v, "0") == "" {
			return "0"
		}
		return v
	})},
	{"Versions", "folds case when it looks for its own", "Create with", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if old, err := b.good.Get(ctx, r.Key); err == nil && strings.EqualFold(old.Version, r.Version) {
				return nil
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"Values", "trims trailing space", "value", valuesThrough(func(v []byte) []byte { return bytes.TrimRight(v, " ") })},
	{"Values", "trims trailing zero bytes", "value", valuesThrough(func(v []byte) []byte { return bytes.TrimRight(v, "\x00") })},
	{"Values", "takes null for nothing", "value", valuesThrough(func(v []byte) []byte {
		if string(v) == "null" {
			return nil
		}
		return v
	})},
	{"Values", "has room for 4096 bytes", "value", valuesThrough(func(v []byte) []byte { return v[:min(len(v), 4096)] })},
	{"Values", "refuses 65536 bytes", "too long", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if len(r.Value) > 65535 {
				return errors.New("too long")
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"Values", "takes an empty value for none", "not null", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if len(r.Value) == 0 {
				return errors.New("value: not null constraint failed")
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"Values", "keeps the former value if the new one is empty", "value", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if len(r.Value) == 0 {
				old, _ := b.good.Get(ctx, r.Key)
				r.Value = old.Value
			}
			return b.good.Replace(ctx, version, r)
		}
	})},
	{"Tags", "wants tags", "not null", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if r.Tags == nil {
				return errors.New("tags: not null constraint failed")
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"Tags", "keeps tags as a set", "tags", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			r.Tags = slices.Sorted(slices.Values(r.Tags))
			return b.good.Create(ctx, r)
		}
	})},
	{"Tags", "has room for 44 characters", "tags", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			r = clone(r)
			for i, tag := range r.Tags {
				r.Tags[i] = tag[:min(len(tag), 44)]
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"Tags", "keeps the former tags if there are no new ones", "tags", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if len(r.Tags) == 0 {
				old, _ := b.good.Get(ctx, r.Key)
				r.Tags = old.Tags
			}
			return b.good.Replace(ctx, version, r)
		}
	})},
	{"Expiry", "has 32 bits for seconds", "Get:", expiriesThrough(func(t time.Time) time.Time {
		return time.Unix(int64(int32(t.Unix())), 0)
	})},
	{"Expiry", "keeps the hours and forgets whose they are", "expiry", expiriesThrough(func(t time.Time) time.Time {
		kept, _ := time.Parse(time.DateTime, t.Format(time.DateTime))
		return kept
	})},
	{"Expiry", "keeps the nearest second", "fraction", expiriesThrough(func(t time.Time) time.Time { return t.Round(time.Second) })},
	{"Expiry", "counts to live in minutes", "expiry", expiriesThrough(func(t time.Time) time.Time { return t.Truncate(time.Minute) })},
	{"KeptPastExpiry", "forgets ten seconds past expiry", "store: not found", bend(func(b *bent) {
		b.get = b.getUntil(func(r store.Record) time.Time { return r.Expires.Add(10 * time.Second) })
	})},
	{"KeptPastExpiry", "sweeps with every write what expired half a minute ago", "store: not found", bend(func(b *bent) {
		expires := make(map[string]time.Time)
		b.create = func(ctx context.Context, r store.Record) error {
			for key, t := range expires {
				if time.Since(t) > 30*time.Second {
					b.good.Delete(ctx, key)
				}
			}
			expires[r.Key] = r.Expires
			return b.good.Create(ctx, r)
		}
	})},
	{"SlicesGiven", "sorts tags in place", "changed its argument: tags", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			slices.Sort(r.Tags)
			return b.good.Create(ctx, r)
		}
	})},
	{"SlicesGiven", "appends to the value", "behind the end", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			sealed := append(r.Value, "checksum"...)
			r.Value = slices.Clone(sealed[:len(r.Value)])
			return b.good.Create(ctx, r)
		}
	})},
	{"ContextDone", "reads without the context", "no error", bend(func(b *bent) {
		b.get = func(ctx context.Context, key string) (store.Record, error) {
			return b.good.Get(context.WithoutCancel(ctx), key)
		}
	})},
	{"ContextDone", "deletes without the context", "no error", bend(func(b *bent) {
		b.delete = func(ctx context.Context, key string) error {
			return b.good.Delete(context.WithoutCancel(ctx), key)
		}
	})},
	{"ContextDoneOften", "does not give a connection back when the context is done", "given up", pooled(func(p *pool, ctx context.Context) func() {
		if p.take(ctx) != nil || sleep(ctx, 300*time.Microsecond) != nil {
			return nil // a connection that was taken is not given back
		}
		return p.giveBack
	})},
	{"Crowd", "takes a second connection while it has one", "in a crowd: context deadline exceeded", pooled(func(p *pool, ctx context.Context) func() {
		if p.take(ctx) != nil {
			return nil
		}
		runtime.Gosched()
		if p.take(ctx) != nil {
			return nil
		}
		return func() { p.giveBack(); p.giveBack() }
	})},
	{"Crowd", "gives up when all connections are busy", "too many connections", bend(func(b *bent) {
		connections := make(chan struct{}, 4)
		b.create = func(ctx context.Context, r store.Record) error {
			select {
			case connections <- struct{}{}:
				defer func() { <-connections }()
				time.Sleep(time.Millisecond)
				return b.good.Create(ctx, r)
			default:
				return errors.New("too many connections")
			}
		}
	})},
	{"ExtendRace", "sweeps what had expired when it looked", "Get: store: not found", bend(func(b *bent) {
		b.good.Now = func() time.Time { return time.Now().Add(-time.Hour) } // it does not sweep
		var due []string
		b.create = func(ctx context.Context, r store.Record) error {
			if err := b.good.Create(ctx, r); err != nil {
				return err
			}
			b.mu.Lock()
			found := due
			due = []string{r.Key}
			b.mu.Unlock()
			runtime.Gosched()
			for _, key := range found {
				b.good.Delete(ctx, key)
			}
			return nil
		}
	})},
	{"ReplaceRace", "returns a serialization failure", "could not serialize", bend(func(b *bent) {
		var writing sync.Mutex
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if !writing.TryLock() {
				return errors.New("could not serialize access due to concurrent update")
			}
			defer writing.Unlock()
			time.Sleep(time.Millisecond)
			return b.good.Replace(ctx, version, r)
		}
	})},
	{"CreateRace", "returns a deadlock", "deadlock", bend(func(b *bent) {
		var writing sync.Mutex
		b.create = func(ctx context.Context, r store.Record) error {
			if !writing.TryLock() {
				return errors.New("deadlock detected")
			}
			defer writing.Unlock()
			time.Sleep(time.Millisecond)
			return b.good.Create(ctx, r)
		}
	})},
}
