package store_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
	"github.com/google/go-cmp/cmp"
)

// start is when tests with a clock of their own begin.
var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// newKey returns a key such as the library's.
func newKey() string {
	var b [32]byte
	rand.Read(b[:])
	return "t" + base64.RawURLEncoding.EncodeToString(b[:])
}

// newVersion returns a version such as the library's.
func newVersion() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func newRecord() store.Record {
	return store.Record{
		Key:     newKey(),
		Version: newVersion(),
		Value:   []byte("value"),
		Tags:    []string{newKey()[1:], newKey()[1:]},
		Expires: start.Add(time.Hour),
	}
}

func TestMemoryRefusesWhatIsNoRecord(t *testing.T) {
	tests := []struct {
		name string
		with func(*store.Record)
		ok   bool
	}{
		{"record", func(*store.Record) {}, true},
		{"key of 64 bytes", func(r *store.Record) { r.Key = strings.Repeat("azAZ09-_", 8) }, true},
		{"key of 1 byte", func(r *store.Record) { r.Key = "g" }, true},
		{"value of 64 KiB", func(r *store.Record) { r.Value = make([]byte, 64<<10) }, true},
		{"no value and no tags", func(r *store.Record) { r.Value, r.Tags = nil, nil }, true},

		{"no key", func(r *store.Record) { r.Key = "" }, false},
		{"key of 65 bytes", func(r *store.Record) { r.Key = strings.Repeat("k", 65) }, false},
		{"space in key", func(r *store.Record) { r.Key = "a b" }, false},
		{"padding in key", func(r *store.Record) { r.Key += "=" }, false},
		{"standard base64 in key", func(r *store.Record) { r.Key = "a+b" }, false},
		{"slash in key", func(r *store.Record) { r.Key = "a/b" }, false},
		{"line break in key", func(r *store.Record) { r.Key = r.Key[:43] + "\n" }, false},
		{"letter that is not ASCII in key", func(r *store.Record) { r.Key = "clé" }, false},
		{"no version", func(r *store.Record) { r.Version = "" }, false},
		{"value of 64 KiB and a byte", func(r *store.Record) { r.Value = make([]byte, 64<<10+1) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecord()
			tt.with(&r)
			m := &store.Memory{Now: func() time.Time { return start }}
			createErr := m.Create(t.Context(), r)
			if tt.ok != (createErr == nil) {
				t.Errorf("Create: %v, want success %v", createErr, tt.ok)
			}
			replaceErr := m.Replace(t.Context(), "before", r)
			for _, err := range []error{createErr, replaceErr} {
				if !tt.ok && (err == nil || isAnswer(err) || !strings.HasPrefix(err.Error(), "store: ")) {
					t.Errorf("error %v, want one of its own", err)
				}
			}
			want := 0
			if tt.ok {
				want = 1
			}
			if n := m.Len(); n != want {
				t.Errorf("%d records kept, want %d", n, want)
			}
		})
	}
}

func isAnswer(err error) bool {
	return errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict)
}

func TestMemoryContextDone(t *testing.T) {
	m := &store.Memory{Now: func() time.Time { return start }}
	kept := newRecord()
	if err := m.Create(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	replaced := kept
	replaced.Version = newVersion()
	_, getErr := m.Get(ctx, kept.Key)
	for verb, err := range map[string]error{
		"Create":             m.Create(ctx, newRecord()),
		"Create, no record":  m.Create(ctx, store.Record{}),
		"Get":                getErr,
		"Replace":            m.Replace(ctx, kept.Version, replaced),
		"Replace, no record": m.Replace(ctx, kept.Version, store.Record{}),
		"Delete":             m.Delete(ctx, kept.Key),
	} {
		if err != context.Canceled {
			t.Errorf("%s: %v, want %v", verb, err, context.Canceled)
		}
	}
	if got, err := m.Get(t.Context(), kept.Key); err != nil || got.Version != kept.Version || m.Len() != 1 {
		t.Errorf("Get: %v, %v of %d records, want the one from before", got, err, m.Len())
	}
}

// TestMemoryForms has keys and versions that look like the library's and are
// not, which must come back as they went in and never meet one another.
func TestMemoryForms(t *testing.T) {
	long := strings.Repeat("A", 300)
	keys := []string{
		"g" + strings.Repeat("A", 43),
		"h" + strings.Repeat("A", 43),
		"g" + strings.Repeat("A", 42) + "B", // its last bits encode nothing
		"g" + strings.Repeat("A", 42) + "E",
		"g" + strings.Repeat("A", 42),
		"g" + strings.Repeat("A", 44),
		"-" + strings.Repeat("_", 42) + "8",
		"-" + strings.Repeat("_", 42) + "9",
		"g", "gA", "A", strings.Repeat("A", 64),
	}
	versions := []string{
		strings.Repeat("A", 22),
		strings.Repeat("A", 21) + "B", // as above
		strings.Repeat("A", 21) + "Q",
		strings.Repeat("A", 20) + "\n\n", // which some decoders skip
		strings.Repeat("A", 20) + "==",
		strings.Repeat("/", 22),
		"A", "1", " ", "\x00", "\xff", long,
	}
	tags := [][]string{nil, {""}, {"t"}, {long, "", long}, strings.Split(long, "")}
	values := [][]byte{nil, {0}, []byte("v"), []byte(long)}
	expiries := []time.Time{
		{}, start, start.Add(time.Nanosecond), time.Unix(0, 0).UTC(), time.Unix(-1, 999999999).UTC(),
		time.Date(4147, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Unix(math.MaxInt64-62135596800, 999999999).UTC(), // the last
	}
	m := new(store.Memory)
	m.Now = func() time.Time { return time.Time{} }
	want := make(map[string]store.Record)
	for i := range len(tags) * len(values) * len(expiries) {
		for k, key := range keys {
			r := store.Record{
				Key: key, Version: versions[(i+k)%len(versions)],
				Tags: tags[(i+k)%len(tags)], Value: values[i%len(values)], Expires: expiries[i%len(expiries)],
			}
			old, ok := want[key]
			for _, version := range versions {
				if version == old.Version || version == r.Version {
					continue
				}
				if err := m.Replace(t.Context(), version, r); !errors.Is(err, store.ErrConflict) {
					t.Fatalf("Replace at %q of a record at %q: %v", version, old.Version, err)
				}
			}
			if err := error(nil); ok {
				err = m.Replace(t.Context(), old.Version, r)
				if err != nil {
					t.Fatalf("Replace(%q, %+v): %v", old.Version, r, err)
				}
			} else if err = m.Create(t.Context(), r); err != nil {
				t.Fatalf("Create(%+v): %v", r, err)
			}
			want[key] = r
		}
		for key, r := range want {
			got, err := m.Get(t.Context(), key)
			if err != nil {
				t.Fatalf("Get(%q): %v", key, err)
			}
			if diff := cmp.Diff(r, got); diff != "" {
				t.Fatalf("Get(%q): (-want +got)\n%s", key, diff)
			}
		}
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
}

// TestMemoryModel does at random what a server may do, under a clock that
// leaps and is set back, and compares Memory with a map that forgets nothing.
func TestMemoryModel(t *testing.T) {
	rng := mathrand.New(mathrand.NewPCG(1, 2))
	lives := []time.Duration{-time.Hour, -time.Minute, 0, 1, time.Second, time.Minute, time.Hour, 40 * 24 * time.Hour, 100 * 365 * 24 * time.Hour}
	leaps := []time.Duration{1, time.Second, 15 * time.Second, 17 * time.Second, time.Minute, time.Hour, 30 * 24 * time.Hour, -time.Second, -time.Minute, -time.Hour}
	now, latest := start, start
	m := &store.Memory{Now: func() time.Time { return now }}
	model := make(map[string]store.Record)
	keys := make([]string, 2000)
	for i := range keys {
		keys[i] = newKey()[:44-i%3] // two thirds of them odd
	}
	// forgettable reports whether the record under key may be gone.
	forgettable := func(key string) bool {
		r, ok := model[key]
		return !ok || !latest.Before(r.Expires.Add(time.Minute))
	}
	forgotten := 0
	for i := range 150_000 {
		if rng.IntN(200) == 0 {
			now = now.Add(leaps[rng.IntN(len(leaps))])
			if now.After(latest) {
				latest = now
			}
		}
		key := keys[rng.IntN(len(keys))]
		was, kept := model[key]
		r := store.Record{
			Key: key, Version: newVersion(),
			Value:   make([]byte, rng.IntN(20)),
			Tags:    keys[:rng.IntN(3)],
			Expires: now.Add(lives[rng.IntN(len(lives))]),
		}
		if kept && !forgettable(key) && rng.IntN(4) == 0 {
			r.Version = was.Version // a repetition, which must change nothing
		}
		var err, want, wantIfForgotten error
		verb := rng.IntN(4)
		switch verb {
		case 0:
			err = m.Create(t.Context(), r)
			if kept && r.Version != was.Version {
				want = store.ErrExists
			}
		case 1:
			version := newVersion()
			if rng.IntN(4) > 0 {
				version = was.Version
			}
			err = m.Replace(t.Context(), version, r)
			wantIfForgotten = store.ErrConflict
			if !kept || version != was.Version && r.Version != was.Version {
				want = store.ErrConflict
			}
		case 2:
			err = m.Delete(t.Context(), key)
		case 3:
			var got store.Record
			got, err = m.Get(t.Context(), key)
			wantIfForgotten = store.ErrNotFound
			if !kept {
				want = store.ErrNotFound
			}
			if err == nil && kept && (got.Version != was.Version || len(got.Value) != len(was.Value) || !got.Expires.Equal(was.Expires)) {
				t.Fatalf("step %d: Get: %+v, want %+v", i, got, was)
			}
		}
		wasForgotten := !errors.Is(err, want)
		if wasForgotten {
			forgotten++
			if !kept || !forgettable(key) || !errors.Is(err, wantIfForgotten) {
				t.Fatalf("step %d: verb %d of %+v, now %v, latest %v: %v, want %v", i, verb, was, now, latest, err, want)
			}
		}
		switch repeated := kept && !wasForgotten && r.Version == was.Version; {
		case verb < 2 && err == nil && !repeated:
			model[key] = r
		case verb == 2, wasForgotten:
			delete(model, key)
		}
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
	if forgotten == 0 {
		t.Error("the clock never let anything be forgotten")
	}
	now = latest.AddDate(200, 0, 0)
	write(t, m, 30_000)
	if n := m.Len(); n != 0 {
		t.Errorf("%d records kept after 200 years", n)
	}
}

// write has m write n times without keeping more.
func write(t *testing.T, m *store.Memory, n int) {
	t.Helper()
	for range n {
		if err := m.Delete(t.Context(), newKey()); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
}

func TestMemorySweep(t *testing.T) {
	const many = 64 * 64 // writes that reach every shard, many times over
	for _, life := range []time.Duration{-time.Hour, 0, 1, time.Second, 59 * time.Second, time.Minute, time.Hour + 1, 90 * 24 * time.Hour, 30 * 365 * 24 * time.Hour} {
		t.Run(fmt.Sprint(life), func(t *testing.T) {
			now := start
			m := &store.Memory{Now: func() time.Time { return now }}
			for range 500 {
				r := newRecord()
				r.Expires = start.Add(life)
				if err := m.Create(t.Context(), r); err != nil {
					t.Fatalf("Create: %v", err)
				}
			}
			if life > -time.Minute {
				// Half way, then a nanosecond before a record may be forgotten.
				for _, now = range []time.Time{now.Add(life / 2), now.Add(life + time.Minute - 1)} {
					write(t, m, many)
					if n := m.Len(); n != 500 {
						t.Errorf("%d of 500 records left at %v", n, now.Sub(start))
					}
				}
			}
			now = now.Add(16*time.Second + 1)
			write(t, m, many)
			if n := m.Len(); n != 0 {
				t.Errorf("%d of 500 records left a minute and %v past their expiry", n, now.Sub(start)-life-time.Minute)
			}
			if err := m.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMemorySweepKeepsUp is a server under load: what it keeps is what lives,
// and what has expired within the last two minutes.
func TestMemorySweepKeepsUp(t *testing.T) {
	now := start
	m := &store.Memory{Now: func() time.Time { return now }}
	const perSecond = 20
	for i := range 60_000 {
		if i%perSecond == 0 {
			now = now.Add(time.Second)
		}
		r := newRecord()
		r.Expires = now.Add(5 * time.Minute)
		if err := m.Create(t.Context(), r); err != nil {
			t.Fatalf("Create: %v", err)
		}
		if i%1000 == 0 {
			if n := m.Len(); n > (300+120)*perSecond {
				t.Fatalf("%d records kept after %d writes, though %d live", n, i, 300*perSecond)
			}
		}
	}
}

// TestMemorySweepIsShort has ten thousand records due at once.
func TestMemorySweepIsShort(t *testing.T) {
	now := start
	m := &store.Memory{Now: func() time.Time { return now }}
	for range 10_000 {
		if err := m.Create(t.Context(), newRecord()); err != nil {
			t.Fatalf("Create: %v", err)
		}
	}
	now = start.Add(24 * time.Hour)
	for before := m.Len(); before > 9_500; {
		write(t, m, 1)
		after := m.Len()
		if after == before || after < before-8 {
			t.Fatalf("one write removed %d records, want 1 to 8", before-after)
		}
		before = after
	}
	write(t, m, 10_000)
	if n := m.Len(); n != 0 {
		t.Errorf("%d records left", n)
	}
}

// TestMemoryClockSetBack: a clock that once was far ahead neither costs a live
// record nor keeps a dead one.
func TestMemoryClockSetBack(t *testing.T) {
	now := start.AddDate(80, 0, 0)
	m := &store.Memory{Now: func() time.Time { return now }}
	fill := func(life time.Duration) {
		t.Helper()
		for range 300 {
			r := newRecord()
			r.Expires = now.Add(life)
			if err := m.Create(t.Context(), r); err != nil {
				t.Fatalf("Create: %v", err)
			}
		}
	}
	fill(time.Minute)
	now = start
	fill(time.Hour)
	fill(time.Second)
	write(t, m, 10_000)
	if n := m.Len(); n != 900 {
		t.Errorf("%d records kept, want 900", n)
	}
	now = now.Add(2 * time.Minute)
	write(t, m, 10_000)
	if n := m.Len(); n != 600 {
		t.Errorf("%d records kept, want 600", n)
	}
	now = now.Add(2 * time.Hour)
	write(t, m, 10_000)
	if n := m.Len(); n != 300 {
		t.Errorf("%d records kept, want 300", n)
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
}

// TestMemoryClockOutOfRange: a clock that stands where ticks have run out, or
// have not begun, costs no live record.
func TestMemoryClockOutOfRange(t *testing.T) {
	for _, now := range []time.Time{
		{},
		time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(4200, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		m := &store.Memory{Now: func() time.Time { return now }}
		r := newRecord()
		r.Expires = now.Add(time.Hour)
		if err := m.Create(t.Context(), r); err != nil {
			t.Fatalf("Create: %v", err)
		}
		write(t, m, 10_000)
		if n := m.Len(); n != 1 {
			t.Errorf("in %d, the record is gone", now.Year())
		}
	}
}

// TestMemoryTogether has goroutines create, replace and delete few keys at
// once while the clock runs, for the race detector and for Check.
func TestMemoryTogether(t *testing.T) {
	var passed atomic.Int64
	m := &store.Memory{Now: func() time.Time { return start.Add(time.Duration(passed.Load())) }}
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = newKey()
	}
	ctx := t.Context()
	var wg sync.WaitGroup
	for i := range 8 {
		rng := mathrand.New(mathrand.NewPCG(1, uint64(i)))
		wg.Go(func() {
			for range 5000 {
				r := newRecord()
				r.Key = keys[rng.IntN(len(keys))]
				r.Expires = m.Now().Add(time.Duration(rng.IntN(600)) * time.Second)
				got, err := m.Get(ctx, r.Key)
				switch {
				case errors.Is(err, store.ErrNotFound):
					err = m.Create(ctx, r)
				case err != nil:
				case rng.IntN(3) == 0:
					err = m.Delete(ctx, r.Key)
				default:
					err = m.Replace(ctx, got.Version, r)
				}
				if err != nil && !isAnswer(err) {
					t.Error(err)
				}
				passed.Add(int64(rng.IntN(int(time.Second))))
			}
		})
	}
	wg.Wait()
	if err := m.Check(); err != nil {
		t.Error(err)
	}
}

// TestMemoryNow shows that Now is called without a lock held: it may use the
// store, as a clock that a host keeps in it would.
func TestMemoryNow(t *testing.T) {
	m := new(store.Memory)
	r := newRecord()
	m.Now = func() time.Time {
		if _, err := m.Get(t.Context(), r.Key); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
		return start
	}
	for range 2 {
		if err := m.Create(t.Context(), r); err != nil {
			t.Errorf("Create: %v", err)
		}
	}
	if err := m.Delete(t.Context(), r.Key); err != nil {
		t.Errorf("Delete: %v", err)
	}
}
