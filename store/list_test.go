package store_test

import (
	"context"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
	"github.com/google/go-cmp/cmp"
)

func TestMemoryListLimit(t *testing.T) {
	m := new(store.Memory)
	for _, limit := range []int{0, -1} {
		if page, err := m.List(t.Context(), "t", "", limit); err == nil || page != nil || isAnswer(err) {
			t.Errorf("List, limit %d: %v, %v, want an error", limit, page, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if page, err := m.List(ctx, "t", "", 1); err != context.Canceled || page != nil {
		t.Errorf("List: %v, %v, want %v", page, err, context.Canceled)
	}
}

// TestMemoryListSwept: what is removed in passing leaves the index, too.
func TestMemoryListSwept(t *testing.T) {
	now := start
	m := &store.Memory{Now: func() time.Time { return now }}
	tag := newKey()
	for i := range 300 {
		r := newRecord()
		r.Tags = []string{tag, newKey()}
		r.Expires = start.Add(time.Duration(i%2) * time.Hour)
		mustCreate(t, m, r)
	}
	now = start.Add(2 * time.Minute)
	write(t, m, 20_000)
	if page, err := m.List(t.Context(), tag, "", 1000); err != nil || len(page) != 150 {
		t.Errorf("List: %d records, %v, want 150", len(page), err)
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
	now = start.Add(2 * time.Hour)
	write(t, m, 20_000)
	if n := m.Tagged(); n != 0 {
		t.Errorf("%d entries left of no record", n)
	}
}

// TestMemoryListModel does at random what changes tags, twice the same one and
// keys of odd forms included, and compares List with a look at every record.
func TestMemoryListModel(t *testing.T) {
	rng := mathrand.New(mathrand.NewPCG(7, 8))
	m := &store.Memory{Now: func() time.Time { return start }}
	model := make(map[string]store.Record)
	keys, tags := make([]string, 150), make([]string, 6)
	for i := range keys {
		keys[i] = newKey()[:44-i%3]
	}
	for i := range tags {
		tags[i] = newKey()[i:]
	}
	for step := range 20_000 {
		r := newRecord()
		r.Key, r.Tags = keys[rng.IntN(len(keys))], nil
		for range rng.IntN(4) {
			r.Tags = append(r.Tags, tags[rng.IntN(len(tags))])
		}
		was, kept := model[r.Key]
		var err error
		switch {
		case rng.IntN(4) == 0:
			err = m.Delete(t.Context(), r.Key)
			delete(model, r.Key)
		case kept:
			err = m.Replace(t.Context(), was.Version, r)
			model[r.Key] = r
		default:
			err = m.Create(t.Context(), r)
			model[r.Key] = r
		}
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if step%20 > 0 {
			continue
		}
		tag, after, limit := tags[rng.IntN(len(tags))], keys[rng.IntN(len(keys))], 1+rng.IntN(200)
		var want []store.Record
		for _, r := range model {
			if r.Key > after && slices.Contains(r.Tags, tag) {
				want = append(want, r)
			}
		}
		slices.SortFunc(want, func(a, b store.Record) int { return strings.Compare(a.Key, b.Key) })
		want = want[:min(len(want), limit)]
		got, err := m.List(t.Context(), tag, after, limit)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("step %d: List: %v (-want +got)\n%s", step, err, diff)
		}
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
}

// BenchmarkMemoryList lists ten of a client's grants, somewhere among all.
func BenchmarkMemoryList(b *testing.B) {
	tag := newKey()
	next := func(s *source, expires time.Time) store.Record {
		r := s.grant(expires)
		r.Tags[1] = tag
		return r
	}
	benchmark(b, next, func(b *testing.B, s store.Store, live []string, _ *clock) {
		m, ok := s.(*store.Memory)
		if !ok {
			b.Skip("does not list")
		}
		for i := 0; b.Loop(); i++ {
			if _, err := m.List(b.Context(), tag, live[i%len(live)], 10); err != nil {
				b.Fatal(err)
			}
		}
	})
}
