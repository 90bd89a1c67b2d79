package store_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

// The benchmarks run on Memory and on shardedMap, the yardstick, one beside
// the other. Ratios count.
var benched = []struct {
	name string
	open func(now func() time.Time) store.Store
}{
	{"Memory", func(now func() time.Time) store.Store { return &store.Memory{Now: now} }},
	{"map", func(func() time.Time) store.Store { return newShardedMap() }},
}

// A kind makes records of a kind.
type kind func(*source, time.Time) store.Record

// benchmark runs f with stores that hold 1 thousand to 1 million live records.
func benchmark(b *testing.B, next kind, f func(b *testing.B, s store.Store, live []string, clock *clock)) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		for _, candidate := range benched {
			b.Run(fmt.Sprintf("%d/%s", n, candidate.name), func(b *testing.B) {
				clock := &clock{now: start, live: n}
				s := candidate.open(clock.Now)
				src := newSource('f')
				live := make([]string, n)
				for i := range live {
					r := next(src, clock.expiry())
					live[i] = r.Key
					if err := s.Create(b.Context(), r); err != nil {
						b.Fatal(err)
					}
					clock.advance()
				}
				shuffle(live)
				runtime.GC()
				b.ReportAllocs()
				f(b, s, live, clock)
			})
		}
	}
}

// shuffle puts keys in any order, and the bytes of one behind those of the
// other. So a key is in the processor's cache when its turn comes, as one that
// a request has just computed is, and shares no memory with the stored one.
func shuffle(keys []string) {
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	all := strings.Join(keys, "")
	for i, key := range keys {
		keys[i], all = all[:len(key)], all[len(key):]
	}
}

func BenchmarkMemoryGet(b *testing.B) {
	benchmark(b, (*source).grant, get)
}

// BenchmarkMemoryGetReplay has nothing to copy: what it measures is the search.
func BenchmarkMemoryGetReplay(b *testing.B) {
	benchmark(b, (*source).replay, get)
}

func get(b *testing.B, s store.Store, live []string, _ *clock) {
	ctx := b.Context()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Get(ctx, live[i%len(live)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMemoryGetParallel(b *testing.B) {
	benchmark(b, (*source).grant, func(b *testing.B, s store.Store, live []string, _ *clock) {
		ctx := b.Context()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for i := rand.IntN(len(live)); pb.Next(); i++ {
				if _, err := s.Get(ctx, live[i%len(live)]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// BenchmarkMemoryCreate lets the clock run so that as many records expire as
// are created. The map, which forgets nothing, is told what to delete; so both
// columns are a Create and a removal.
func BenchmarkMemoryCreate(b *testing.B) {
	benchmark(b, (*source).grant, func(b *testing.B, s store.Store, live []string, clock *clock) {
		ctx := b.Context()
		src := newSource('b')
		yardstick, _ := s.(*shardedMap)
		for i := 0; b.Loop(); i++ {
			r := src.replay(clock.expiry())
			if err := s.Create(ctx, r); err != nil {
				b.Fatal(err)
			}
			if yardstick != nil {
				ended := &live[i%len(live)]
				if err := yardstick.Delete(ctx, *ended); err != nil {
					b.Fatal(err)
				}
				*ended = r.Key
			}
			clock.advance()
		}
		if m, ok := s.(*store.Memory); ok {
			b.ReportMetric(float64(m.Len())/float64(len(live)), "kept/live")
		}
	})
}

func BenchmarkMemoryReplace(b *testing.B) {
	benchmark(b, (*source).grant, func(b *testing.B, s store.Store, live []string, clock *clock) {
		ctx := b.Context()
		src := newSource('b')
		for i := 0; b.Loop(); i++ {
			key := live[i%len(live)]
			got, err := s.Get(ctx, key)
			if err != nil {
				b.Fatal(err)
			}
			r := src.grant(got.Expires)
			r.Key = key
			if err := s.Replace(ctx, got.Version, r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMemoryHeap reports what a live record takes, everything included.
func BenchmarkMemoryHeap(b *testing.B) {
	kinds := []struct {
		name string
		next kind
	}{
		{"replay", (*source).replay},
		{"replay with 1 byte", func(s *source, expires time.Time) store.Record {
			r := s.replay(expires)
			r.Value = []byte{1}
			return r
		}},
		{"replay with 4 bytes", func(s *source, expires time.Time) store.Record {
			r := s.replay(expires)
			r.Value = []byte{1, 2, 3, 4}
			return r
		}},
		{"grant", (*source).grant},
	}
	for _, kind := range kinds {
		for _, n := range []int{100_000, 1_000_000} {
			for _, candidate := range benched {
				b.Run(fmt.Sprintf("%s/%d/%s", kind.name, n, candidate.name), func(b *testing.B) {
					var size float64
					for b.Loop() {
						clock := &clock{now: start, live: n}
						src := newSource('b')
						before := heap()
						s := candidate.open(clock.Now)
						for range n {
							if err := s.Create(b.Context(), kind.next(src, clock.expiry())); err != nil {
								b.Fatal(err)
							}
							clock.advance()
						}
						size = float64(heap()-before) / float64(n)
						runtime.KeepAlive(s)
					}
					b.ReportMetric(size, "B/record")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// lifetime is that of every record in a benchmark.
const lifetime = time.Hour

// A clock under which live records live at a time if each advance makes one.
type clock struct {
	now  time.Time
	live int
}

func (c *clock) Now() time.Time    { return c.now }
func (c *clock) expiry() time.Time { return c.now.Add(lifetime) }
func (c *clock) advance()          { c.now = c.now.Add(lifetime / time.Duration(c.live)) }

// A source makes records fast, the same ones in every run.
type source struct {
	rng   *rand.ChaCha8
	value []byte
}

func newSource(seed byte) *source {
	return &source{rng: rand.NewChaCha8([32]byte{seed}), value: make([]byte, 350)}
}

func (s *source) text(prefix string, size int) string {
	var raw [32]byte
	s.rng.Read(raw[:size])
	return prefix + base64.RawURLEncoding.EncodeToString(raw[:size])
}

// replay returns a record such as one of a spent proof or assertion.
func (s *source) replay(expires time.Time) store.Record {
	return store.Record{Key: s.text("j", 32), Version: s.text("", 16), Expires: expires}
}

// grant returns a record such as one of a typical grant.
func (s *source) grant(expires time.Time) store.Record {
	r := s.replay(expires)
	r.Value = s.value
	r.Tags = []string{s.text("", 32), s.text("", 32)}
	return r
}

// shardedMap is a Store without an expiry: maps under locks.
type shardedMap struct {
	shards [64]struct {
		mu      sync.RWMutex
		records map[string]*store.Record
		_       [64]byte
	}
}

func newShardedMap() *shardedMap {
	m := new(shardedMap)
	for i := range m.shards {
		m.shards[i].records = make(map[string]*store.Record)
	}
	return m
}

func copied(r store.Record) *store.Record {
	r.Value = slices.Clone(r.Value)
	r.Tags = slices.Clone(r.Tags)
	return &r
}

// at tells a key's shard by its second character: keys are spread evenly.
func at(key string) int { return int(key[1]) % 64 }

func (m *shardedMap) Create(_ context.Context, r store.Record) error {
	s := &m.shards[at(r.Key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.records[r.Key]; ok && old.Version != r.Version {
		return store.ErrExists
	}
	s.records[r.Key] = copied(r)
	return nil
}

func (m *shardedMap) Get(_ context.Context, key string) (store.Record, error) {
	s := &m.shards[at(key)]
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.records[key]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	return *copied(*r), nil
}

func (m *shardedMap) Replace(_ context.Context, version string, r store.Record) error {
	s := &m.shards[at(r.Key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.records[r.Key]; !ok || old.Version != version && old.Version != r.Version {
		return store.ErrConflict
	}
	s.records[r.Key] = copied(r)
	return nil
}

func (m *shardedMap) Delete(_ context.Context, key string) error {
	s := &m.shards[at(key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}
