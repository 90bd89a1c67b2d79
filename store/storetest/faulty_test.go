package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

func record(version string) store.Record {
	return store.Record{Key: "k", Version: version, Value: []byte(version), Expires: time.Now().Add(time.Hour)}
}

func TestFaultyPassesOn(t *testing.T) {
	inner := new(store.Memory)
	f := &storetest.Faulty{Store: inner}
	ctx := t.Context()
	if err := f.Create(ctx, record("1")); err != nil {
		t.Errorf("Create: %v", err)
	}
	if err := f.Create(ctx, record("2")); !errors.Is(err, store.ErrExists) {
		t.Errorf("Create: %v, want %v", err, store.ErrExists)
	}
	if err := f.Replace(ctx, "2", record("3")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Replace: %v, want %v", err, store.ErrConflict)
	}
	if err := f.Replace(ctx, "1", record("2")); err != nil {
		t.Errorf("Replace: %v", err)
	}
	if r, err := f.Get(ctx, "k"); err != nil || r.Version != "2" || string(r.Value) != "2" {
		t.Errorf("Get: %v, %v, want version 2", r, err)
	}
	if err := f.Delete(ctx, "k"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := inner.Get(ctx, "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after Delete: %v, want %v", err, store.ErrNotFound)
	}
	for op, want := range map[string]int{"Create": 2, "Replace": 2, "Get": 1, "Delete": 1, "": 6} {
		if n := f.Count(op); n != want {
			t.Errorf("Count(%q) = %d, want %d", op, n, want)
		}
	}
}

// verbs calls each verb on the key k, at version 1 for version 2.
var verbs = map[string]func(context.Context, store.Store) error{
	"Create":  func(ctx context.Context, s store.Store) error { return s.Create(ctx, record("2")) },
	"Replace": func(ctx context.Context, s store.Store) error { return s.Replace(ctx, "1", record("2")) },
	"Delete":  func(ctx context.Context, s store.Store) error { return s.Delete(ctx, "k") },
	"Get":     func(ctx context.Context, s store.Store) error { _, err := s.Get(ctx, "k"); return err },
}

// before is what a verb needs to find.
func before(t *testing.T, op string) *store.Memory {
	t.Helper()
	inner := new(store.Memory)
	if op != "Create" {
		if err := inner.Create(t.Context(), record("1")); err != nil {
			t.Fatalf("Create: %v", err)
		}
	}
	return inner
}

// state returns the version that s has under k, or "none".
func state(t *testing.T, s store.Store) string {
	t.Helper()
	r, err := s.Get(t.Context(), "k")
	if errors.Is(err, store.ErrNotFound) {
		return "none"
	}
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return r.Version
}

// undone and done are the states before and after each verb.
var (
	undone = map[string]string{"Create": "none", "Replace": "1", "Delete": "1", "Get": "1"}
	done   = map[string]string{"Create": "2", "Replace": "2", "Delete": "none", "Get": "1"}
)

func TestFaultyFails(t *testing.T) {
	outage := errors.New("outage")
	for op, verb := range verbs {
		t.Run(op, func(t *testing.T) {
			inner := before(t, op)
			f := &storetest.Faulty{Store: inner, Fail: func(o, key string) error {
				if o != op || key != "k" {
					t.Errorf("Fail(%q, %q), want %q and k", o, key, op)
				}
				return outage
			}}
			if err := verb(t.Context(), f); !errors.Is(err, outage) {
				t.Errorf("error %v, want %v", err, outage)
			}
			if got := state(t, inner); got != undone[op] {
				t.Errorf("after a failure the store has %s, want %s", got, undone[op])
			}
			if f.Count(op) != 1 {
				t.Errorf("Count(%q) = %d, want 1", op, f.Count(op))
			}
		})
	}
}

func TestFaultyLosesReply(t *testing.T) {
	for op, verb := range verbs {
		t.Run(op, func(t *testing.T) {
			inner := before(t, op)
			lost := 0
			f := &storetest.Faulty{Store: inner, LoseReply: func(o, key string) bool {
				if o != op || key != "k" {
					t.Errorf("LoseReply(%q, %q), want %q and k", o, key, op)
				}
				lost++
				return lost == 1
			}}
			err := verb(t.Context(), f)
			if err == nil || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
				t.Errorf("error %v, want one that says nothing of the outcome", err)
			}
			if got := state(t, inner); got != done[op] {
				t.Errorf("after a lost reply the store has %s, want %s", got, done[op])
			}
			if err := verb(t.Context(), f); err != nil {
				t.Errorf("repeated: %v", err)
			}
		})
	}
}

func TestFaultyLatency(t *testing.T) {
	const latency = 10 * time.Millisecond
	for op, verb := range verbs {
		for _, tt := range []struct {
			name    string
			patient time.Duration
			want    error
			state   string
		}{
			{"waits", time.Second, nil, done[op]},
			{"gives up before", latency/2 - 1, context.DeadlineExceeded, undone[op]},
			{"gives up after", latency - 1, context.DeadlineExceeded, done[op]},
		} {
			t.Run(op+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					inner := before(t, op)
					f := &storetest.Faulty{Store: inner, Latency: latency}
					ctx, cancel := context.WithTimeout(t.Context(), tt.patient)
					defer cancel()
					start := time.Now()
					if err := verb(ctx, f); !errors.Is(err, tt.want) {
						t.Errorf("error %v, want %v", err, tt.want)
					}
					if took := time.Since(start); took != min(latency, tt.patient) {
						t.Errorf("took %v, want %v", took, min(latency, tt.patient))
					}
					if got := state(t, inner); got != tt.state {
						t.Errorf("the store has %s, want %s", got, tt.state)
					}
				})
			})
		}
	}
}

// A host proves its adapter in a test of its own. Each promise may have a
// fresh store, or all may share one database.
func Example() {
	_ = func(t *testing.T) { // func TestStore(t *testing.T)
		storetest.Run(t, func(t *testing.T) store.Store {
			return new(store.Memory) // the host's adapter
		})
	}
}

// The reply to the first Create is lost. Repeated with the same version, it
// succeeds; a rival's does not.
func ExampleFaulty() {
	ctx := context.Background()
	calls := 0
	s := &storetest.Faulty{
		Store: new(store.Memory),
		LoseReply: func(op, key string) bool {
			calls++
			return calls == 1
		},
	}
	r := store.Record{Key: "k", Version: "mine", Expires: time.Now().Add(time.Hour)}
	fmt.Println(s.Create(ctx, r))
	fmt.Println(s.Create(ctx, r))
	r.Version = "a rival's"
	fmt.Println(s.Create(ctx, r))
	// Output:
	// storetest: reply lost
	// <nil>
	// store: key exists
}
