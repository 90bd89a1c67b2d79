package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

// patience is how long a store may take before a test calls it stuck. It is
// for stores that wait for ever, and decides nothing about slow ones. Our own
// tests have less.
var patience = 20 * time.Second

// contextDoneOften gives up more calls than a store has connections, some at
// once and some on their way, and then wants an answer.
func contextDoneOften(t testing.TB, s store.Store) {
	r := created(t, s)
	calls := []func(ctx context.Context){
		func(ctx context.Context) { s.Create(ctx, newRecord()) },
		func(ctx context.Context) { s.Get(ctx, r.Key) },
		func(ctx context.Context) { s.Replace(ctx, newVersion(), next(r)) },
		func(ctx context.Context) { s.Delete(ctx, newKey()) },
	}
	race(rivals, func(i int) error {
		for j := range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(j)*10*time.Microsecond)
			calls[(i+j)%len(calls)](ctx)
			cancel()
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := s.Get(ctx, r.Key)
	if err != nil {
		t.Fatalf("Get, after %d calls that were given up: %v", rivals*100, err)
	}
	if diff := difference(got, r); diff != "" {
		t.Fatalf("Get, after %d calls that were given up: %s", rivals*100, diff)
	}
}

// crowd has many more callers than a store has connections, each with a key of
// its own. None of them is in another's way.
func crowd(t testing.TB, s store.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	errs := race(150, func(int) error {
		r := newRecord()
		if err := s.Create(ctx, r); err != nil {
			return fmt.Errorf("Create in a crowd: %w", err)
		}
		n := next(r)
		if err := s.Replace(ctx, r.Version, n); err != nil {
			return fmt.Errorf("Replace in a crowd: %w", err)
		}
		got, err := s.Get(ctx, r.Key)
		if err != nil {
			return fmt.Errorf("Get in a crowd: %w", err)
		}
		if diff := difference(got, n); diff != "" {
			return fmt.Errorf("Get in a crowd: %s", diff)
		}
		if err := s.Delete(ctx, r.Key); err != nil {
			return fmt.Errorf("Delete in a crowd: %w", err)
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
