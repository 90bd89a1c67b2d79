package storetest

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/aikagi/aikagi/store"
)

// A brokenStore breaks a promise by what it does; says is a part of what the
// suite says then.
type brokenStore struct {
	promise, flaw, says string
	store               func() store.Store
}

// broken has, for every promise, stores that break it.
var broken = []brokenStore{
	{"GetNothing", "returns an empty record", "error <nil>, want store: not found", bend(func(b *bent) {
		b.get = func(ctx context.Context, key string) (store.Record, error) {
			r, err := b.good.Get(ctx, key)
			if errors.Is(err, store.ErrNotFound) {
				err = nil
			}
			return r, err
		}
	})},
	{"GetNothing", "has an error of its own", "no rows", bend(func(b *bent) {
		b.get = func(ctx context.Context, key string) (store.Record, error) {
			r, err := b.good.Get(ctx, key)
			if err != nil {
				err = errors.New("no rows")
			}
			return r, err
		}
	})},
	{"GetCreated", "keeps nothing", "Get: store: not found", bend(func(b *bent) {
		b.create = func(context.Context, store.Record) error { return nil }
	})},
	{"GetCreated", "keeps the last record only", "Get: store: not found", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			b.good = new(store.Memory)
			return b.good.Create(ctx, r)
		}
	})},
	{"GetReplaced", "ignores Replace", "version", bend(func(b *bent) {
		b.replace = func(context.Context, string, store.Record) error { return nil }
	})},
	{"GetReplaced", "keeps the former expiry", "expiry", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			r.Expires = r.Expires.Add(-time.Minute)
			return b.good.Replace(ctx, version, r)
		}
	})},
	{"GetReplaced", "keeps the former tags", "tags", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			old, _ := b.good.Get(ctx, r.Key)
			r.Tags = old.Tags
			return b.good.Replace(ctx, version, r)
		}
	})},

	{"CreateTwice", "writes over what is there", "error <nil>, want store: key exists", bend(func(b *bent) {
		b.create = b.put
	})},
	{"CreateTwice", "swallows the conflict", "error <nil>, want store: key exists", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if err := b.good.Create(ctx, r); !errors.Is(err, store.ErrExists) {
				return err
			}
			return nil
		}
	})},
	{"CreateRepeated", "does not know its own version", "repeated: store: key exists", bend(func(b *bent) {
		b.create = b.insert
	})},
	{"CreateRepeatedLate", "remembers who created a key", "error <nil>", bend(func(b *bent) {
		var creators sync.Map
		b.create = func(ctx context.Context, r store.Record) error {
			if v, _ := creators.LoadOrStore(r.Key, r.Version); v == r.Version {
				return b.put(ctx, r)
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"CreateDeleted", "marks records as deleted", "Create: store: key exists", bend(func(b *bent) {
		var deleted sync.Map
		b.create = func(ctx context.Context, r store.Record) error {
			if _, ok := deleted.Load(r.Key); ok {
				return store.ErrExists
			}
			return b.good.Create(ctx, r)
		}
		b.delete = func(ctx context.Context, key string) error {
			deleted.Store(key, nil)
			return b.good.Delete(ctx, key)
		}
	})},
	{"CreateOnExpired", "writes over what has expired", "error <nil>", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if old, err := b.good.Get(ctx, r.Key); err == nil && old.Expires.Before(time.Now()) {
				return b.put(ctx, r)
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"CreateOnExpired", "hides what has expired", "Get: store: not found", bend(func(b *bent) {
		b.get = b.getUntil(func(r store.Record) time.Time { return r.Expires })
	})},

	{"ReplaceStale", "does not look at the version", "error <nil>, want store: changed", bend(func(b *bent) {
		b.replace = func(ctx context.Context, _ string, r store.Record) error {
			old, err := b.good.Get(ctx, r.Key)
			if err != nil {
				return store.ErrConflict
			}
			return b.good.Replace(ctx, old.Version, r)
		}
	})},
	{"ReplaceStale", "takes no version for any", "at no version: error <nil>", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if old, err := b.good.Get(ctx, r.Key); err == nil && version == "" {
				version = old.Version
			}
			return b.good.Replace(ctx, version, r)
		}
	})},
	{"ReplaceStale", "calls a conflict not found", "store: not found, want store: changed", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if err := b.good.Replace(ctx, version, r); err != nil {
				return store.ErrNotFound
			}
			return nil
		}
	})},
	{"ReplaceNothing", "creates what is missing", "error <nil>", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if b.good.Create(ctx, r) == nil {
				return nil
			}
			return b.good.Replace(ctx, version, r)
		}
	})},
	{"ReplaceDeleted", "finds deleted records at their version", "error <nil>", bend(func(b *bent) {
		var trash sync.Map
		b.delete = func(ctx context.Context, key string) error {
			if r, err := b.good.Get(ctx, key); err == nil {
				trash.Store(key, r.Version)
			}
			return b.good.Delete(ctx, key)
		}
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if v, ok := trash.Load(r.Key); ok && v == version {
				return b.good.Create(ctx, r)
			}
			return b.good.Replace(ctx, version, r)
		}
	})},
	{"ReplaceRepeated", "does not know its own version", "repeated: store: changed", bend(func(b *bent) {
		b.replace = b.replaceStrictly
	})},
	{"ReplaceRepeatedLate", "remembers every version it wrote", "error <nil>", bend(func(b *bent) {
		var written sync.Map
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if _, ok := written.Load(r.Version); ok {
				return nil
			}
			err := b.good.Replace(ctx, version, r)
			if err == nil {
				written.Store(r.Version, nil)
			}
			return err
		}
	})},
	{"ReplaceExpired", "finds no expired record to replace", "Replace: store: changed", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if old, err := b.good.Get(ctx, r.Key); err == nil && old.Expires.Before(time.Now()) {
				return store.ErrConflict
			}
			return b.good.Replace(ctx, version, r)
		}
	})},

	{"Delete", "ignores Delete", "error <nil>, want store: not found", bend(func(b *bent) {
		b.delete = func(context.Context, string) error { return nil }
	})},
	{"Delete", "deletes everything", "Get: store: not found", bend(func(b *bent) {
		b.delete = func(context.Context, string) error { b.good = new(store.Memory); return nil }
	})},
	{"DeleteNothing", "finds nothing to delete", "Delete: store: not found", bend(func(b *bent) {
		b.delete = func(ctx context.Context, key string) error {
			if _, err := b.good.Get(ctx, key); err != nil {
				return err
			}
			return b.good.Delete(ctx, key)
		}
	})},

	{"Keys", "folds case", "store: key exists", keyedBy(strings.ToLower)},
	{"Keys", "cuts keys off", "store: key exists", keyedBy(func(key string) string { return key[:min(len(key), 63)] })},
	{"Keys", "takes a dash for an underscore", "store: key exists",
		keyedBy(func(key string) string { return strings.ReplaceAll(key, "-", "_") })},
	{"Versions", "folds case", "error <nil>", comparesVersions(strings.EqualFold)},
	{"Versions", "compares 16 of 22 characters", "error <nil>",
		comparesVersions(func(a, b string) bool { return len(a) > 16 && len(b) > 16 && a[:16] == b[:16] })},
	{"Versions", "takes a version for a pattern", "error <nil>", comparesVersions(like)},
	{"Values", "ends a value at its first zero byte", "value", valuesThrough(func(v []byte) []byte {
		v, _, _ = bytes.Cut(v, []byte{0})
		return v
	})},
	{"Values", "has room for 65535 bytes", "value", valuesThrough(func(v []byte) []byte { return v[:min(len(v), 65535)] })},
	{"Values", "trims space", "value", valuesThrough(bytes.TrimSpace)},
	{"Values", "keeps text", "value", valuesThrough(func(v []byte) []byte { return bytes.ToValidUTF8(v, []byte("?")) })},
	{"Tags", "keeps one tag", "tags", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			r.Tags = r.Tags[:min(len(r.Tags), 1)]
			return b.good.Create(ctx, r)
		}
	})},
	{"Expiry", "lets nothing live for more than 30 days", "expiry", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if most := time.Now().Add(30 * 24 * time.Hour); r.Expires.After(most) {
				r.Expires = most
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"Expiry", "gives the expiry in another time zone's hours", "expiry", bend(func(b *bent) {
		b.get = func(ctx context.Context, key string) (store.Record, error) {
			r, err := b.good.Get(ctx, key)
			r.Expires = r.Expires.Add(9 * time.Hour)
			return r, err
		}
	})},
	{"KeptUntilExpiry", "forgets half a second early", "Get: store: not found", bend(func(b *bent) {
		b.get = b.getUntil(func(r store.Record) time.Time { return r.Expires.Add(-time.Second / 2) })
	})},
	{"KeptWhenExtended", "keeps the first time to live", "Get: store: not found", bend(func(b *bent) {
		var first sync.Map
		b.create = func(ctx context.Context, r store.Record) error {
			first.Store(r.Key, r.Expires)
			return b.good.Create(ctx, r)
		}
		b.get = b.getUntil(func(r store.Record) time.Time {
			expires, _ := first.Load(r.Key)
			return expires.(time.Time).Add(time.Minute)
		})
	})},
	{"SlicesGiven", "keeps the slices it is given", "value", func() store.Store {
		return newPlain(func(r store.Record) store.Record { return r }, clone)
	}},
	{"SlicesGiven", "encrypts in place", "changed its argument", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			defer clear(r.Value)
			return b.good.Create(ctx, r)
		}
	})},
	{"SlicesReturned", "hands out the slices it keeps", "value", func() store.Store {
		return newPlain(clone, func(r store.Record) store.Record { return r })
	}},
	{"ContextDone", "does not look at the context", "no error", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			return b.good.Create(context.WithoutCancel(ctx), r)
		}
	})},
	{"ContextDone", "calls a timeout a conflict", "which is an answer", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if err := b.good.Replace(ctx, version, r); err != nil {
				return store.ErrConflict
			}
			return nil
		}
	})},
	{"CreateInterrupted", "leaves a record without its version", "store: key exists", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if err := sleep(ctx, time.Millisecond); err != nil {
				r.Version = "torn"
				return errors.Join(err, b.good.Create(context.WithoutCancel(ctx), r))
			}
			return b.good.Create(ctx, r)
		}
	})},
	{"ReplaceInterrupted", "deletes, then inserts", "store: changed since read", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if err := sleep(ctx, time.Millisecond); err != nil {
				return errors.Join(err, b.good.Delete(context.WithoutCancel(ctx), r.Key))
			}
			return b.good.Replace(ctx, version, r)
		}
	})},

	{"CreateRace", "looks, then writes", "8 concurrent Create calls succeeded", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if old, err := b.good.Get(ctx, r.Key); err == nil && old.Version != r.Version {
				return store.ErrExists
			}
			runtime.Gosched() // as waiting for the answer does
			return b.put(ctx, r)
		}
	})},
	{"CreateRepeatedRace", "looks for its own version, then inserts", "rivals", bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			if old, err := b.good.Get(ctx, r.Key); err == nil && old.Version == r.Version {
				return nil
			}
			runtime.Gosched()
			return b.insert(ctx, r)
		}
	})},
	{"ReplaceRace", "compares, then writes", "8 concurrent Replace calls succeeded", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			old, err := b.good.Get(ctx, r.Key)
			if err != nil || old.Version != version && old.Version != r.Version {
				return store.ErrConflict
			}
			runtime.Gosched()
			for {
				if err := b.good.Replace(ctx, old.Version, r); !errors.Is(err, store.ErrConflict) {
					return err
				}
				if old, err = b.good.Get(ctx, r.Key); err != nil {
					return store.ErrConflict
				}
			}
		}
	})},
	{"ReplaceRepeatedRace", "looks for its own version, then replaces", "rivals", bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if old, err := b.good.Get(ctx, r.Key); err == nil && old.Version == r.Version {
				return nil
			}
			runtime.Gosched()
			return b.replaceStrictly(ctx, version, r)
		}
	})},
	{"ReplaceDeleteRace", "compares, then saves the whole object", "error <nil>, want store: not found", bend(func(b *bent) {
		var replacing sync.Mutex
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			replacing.Lock()
			defer replacing.Unlock()
			old, err := b.good.Get(ctx, r.Key)
			if err != nil || old.Version != version && old.Version != r.Version {
				return store.ErrConflict
			}
			runtime.Gosched()
			return b.put(ctx, r)
		}
	})},
	{"GetRace", "has a cache that a slow reader fills", "had returned", bend(func(b *bent) {
		var cache sync.Map
		b.get = func(ctx context.Context, key string) (store.Record, error) {
			if r, ok := cache.Load(key); ok {
				return r.(store.Record), nil
			}
			r, err := b.good.Get(ctx, key)
			runtime.Gosched()
			if err == nil {
				cache.Store(key, r)
			}
			return r, err
		}
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			defer cache.Delete(r.Key)
			return b.good.Replace(ctx, version, r)
		}
	})},
}

// A bent store is a good one but for the verbs that are set.
type bent struct {
	good    *store.Memory
	mu      sync.Mutex // makes insert and replaceStrictly atomic
	create  func(context.Context, store.Record) error
	get     func(context.Context, string) (store.Record, error)
	replace func(context.Context, string, store.Record) error
	delete  func(context.Context, string) error
}

func bend(how func(b *bent)) func() store.Store {
	return func() store.Store {
		b := &bent{good: new(store.Memory)}
		how(b)
		return b
	}
}

func (b *bent) Create(ctx context.Context, r store.Record) error {
	if b.create != nil {
		return b.create(ctx, r)
	}
	return b.good.Create(ctx, r)
}

func (b *bent) Get(ctx context.Context, key string) (store.Record, error) {
	if b.get != nil {
		return b.get(ctx, key)
	}
	return b.good.Get(ctx, key)
}

func (b *bent) Replace(ctx context.Context, version string, r store.Record) error {
	if b.replace != nil {
		return b.replace(ctx, version, r)
	}
	return b.good.Replace(ctx, version, r)
}

func (b *bent) Delete(ctx context.Context, key string) error {
	if b.delete != nil {
		return b.delete(ctx, key)
	}
	return b.good.Delete(ctx, key)
}

// put keeps r whatever is there.
func (b *bent) put(ctx context.Context, r store.Record) error {
	for {
		err := b.good.Create(ctx, r)
		if !errors.Is(err, store.ErrExists) {
			return err
		}
		if err := b.good.Delete(ctx, r.Key); err != nil {
			return err
		}
	}
}

// insert keeps r if nothing is there, not even r.
func (b *bent) insert(ctx context.Context, r store.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.good.Get(ctx, r.Key); err == nil {
		return store.ErrExists
	}
	return b.good.Create(ctx, r)
}

// replaceStrictly replaces only what is at version, not r itself.
func (b *bent) replaceStrictly(ctx context.Context, version string, r store.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, err := b.good.Get(ctx, r.Key); err != nil || old.Version != version {
		return store.ErrConflict
	}
	return b.good.Replace(ctx, version, r)
}

// getUntil returns a Get that finds a record only until a time.
func (b *bent) getUntil(end func(store.Record) time.Time) func(context.Context, string) (store.Record, error) {
	return func(ctx context.Context, key string) (store.Record, error) {
		r, err := b.good.Get(ctx, key)
		if err == nil && time.Now().After(end(r)) {
			return store.Record{}, store.ErrNotFound
		}
		return r, err
	}
}

// keyedBy returns stores that keep a record under what short makes of its key.
func keyedBy(short func(string) string) func() store.Store {
	return bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			r.Key = short(r.Key)
			return b.good.Create(ctx, r)
		}
		b.get = func(ctx context.Context, key string) (store.Record, error) {
			r, err := b.good.Get(ctx, short(key))
			r.Key = key
			return r, err
		}
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			r.Key = short(r.Key)
			return b.good.Replace(ctx, version, r)
		}
		b.delete = func(ctx context.Context, key string) error { return b.good.Delete(ctx, short(key)) }
	})
}

// comparesVersions returns stores whose Replace compares by same.
func comparesVersions(same func(stored, given string) bool) func() store.Store {
	return bend(func(b *bent) {
		b.replace = func(ctx context.Context, version string, r store.Record) error {
			if old, err := b.good.Get(ctx, r.Key); err == nil && same(old.Version, version) {
				version = old.Version
			}
			return b.good.Replace(ctx, version, r)
		}
	})
}

// like is how SQL's operator of that name treats an underscore.
func like(text, pattern string) bool {
	if len(text) != len(pattern) {
		return false
	}
	for i := range len(text) {
		if pattern[i] != '_' && pattern[i] != text[i] {
			return false
		}
	}
	return true
}

// valuesThrough returns stores that keep what change makes of a value.
func valuesThrough(change func([]byte) []byte) func() store.Store {
	return bend(func(b *bent) {
		b.create = func(ctx context.Context, r store.Record) error {
			r.Value = change(r.Value)
			return b.good.Create(ctx, r)
		}
	})
}

// plain is a Store that keeps records in a map, as they come out of in, and
// returns what out makes of them.
type plain struct {
	in, out func(store.Record) store.Record

	mu      sync.Mutex
	records map[string]store.Record
}

func newPlain(in, out func(store.Record) store.Record) *plain {
	return &plain{in: in, out: out, records: make(map[string]store.Record)}
}

func (p *plain) Create(_ context.Context, r store.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.records[r.Key]; ok && old.Version != r.Version {
		return store.ErrExists
	}
	p.records[r.Key] = p.in(r)
	return nil
}

func (p *plain) Get(_ context.Context, key string) (store.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.records[key]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	return p.out(r), nil
}

func (p *plain) Replace(_ context.Context, version string, r store.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.records[r.Key]; !ok || old.Version != version && old.Version != r.Version {
		return store.ErrConflict
	}
	p.records[r.Key] = p.in(r)
	return nil
}

func (p *plain) Delete(_ context.Context, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.records, key)
	return nil
}
