package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

// rivals is how many goroutines meet behind a gate.
const rivals = 8

// race calls f(0) to f(n-1), each in its goroutine, all let go at once, and
// returns their errors.
func race(n int, f func(i int) error) []error {
	errs := make([]error, n)
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-gate
			errs[i] = f(i)
		})
	}
	close(gate)
	wg.Wait()
	return errs
}

// rounds calls f over and over for a second. One round seldom finds a store
// that compares first and writes then; a second of them does.
func rounds(t testing.TB, f func()) {
	d := time.Second
	if testing.Short() {
		d /= 10
	}
	for end := time.Now().Add(d); time.Now().Before(end) && !t.Failed(); {
		f()
	}
}

// oneWinner checks that one error is nil and that the others wrap lost, and
// returns the place of the one.
func oneWinner(t testing.TB, what string, errs []error, lost error) int {
	t.Helper()
	winner, wins := 0, 0
	for i, err := range errs {
		if err == nil {
			winner = i
			wins++
		} else if !errors.Is(err, lost) {
			t.Fatalf("concurrent %s: %v, want %v", what, err, lost)
		}
	}
	if wins != 1 {
		t.Fatalf("%d of %d concurrent %s calls succeeded, want 1", wins, len(errs), what)
	}
	return winner
}

// oneSide checks that of two rivals' calls, those of the one at even places,
// either all even ones succeeded and all odd ones lost or the reverse, and
// returns the place of the winner's first.
func oneSide(t testing.TB, what string, errs []error, lost error) int {
	t.Helper()
	winner := 0
	if errs[0] != nil {
		winner = 1
	}
	for i, err := range errs {
		var want error
		if i%2 != winner {
			want = lost
		}
		if !errors.Is(err, want) {
			t.Fatalf("call %d of %d %s calls, repeated by two rivals in turn: error %v, want %v", i, len(errs), what, err, want)
		}
	}
	return winner
}

// successors returns n records that may replace r.
func successors(r store.Record, n int) []store.Record {
	all := make([]store.Record, n)
	for i := range all {
		all[i] = next(r)
	}
	return all
}

func createRace(t testing.TB, s store.Store) {
	rounds(t, func() {
		all := successors(newRecord(), rivals)
		errs := race(rivals, func(i int) error { return s.Create(t.Context(), all[i]) })
		holds(t, s, all[oneWinner(t, "Create", errs, store.ErrExists)])
	})
}

func createRepeatedRace(t testing.TB, s store.Store) {
	rounds(t, func() {
		two := successors(newRecord(), 2)
		errs := race(rivals, func(i int) error { return s.Create(t.Context(), two[i%2]) })
		holds(t, s, two[oneSide(t, "Create", errs, store.ErrExists)])
	})
}

func replaceRace(t testing.TB, s store.Store) {
	r := created(t, s)
	rounds(t, func() {
		all := successors(r, rivals)
		errs := race(rivals, func(i int) error { return s.Replace(t.Context(), r.Version, all[i]) })
		r = all[oneWinner(t, "Replace", errs, store.ErrConflict)]
		holds(t, s, r)
	})
}

func replaceRepeatedRace(t testing.TB, s store.Store) {
	r := created(t, s)
	rounds(t, func() {
		two := successors(r, 2)
		errs := race(rivals, func(i int) error { return s.Replace(t.Context(), r.Version, two[i%2]) })
		r = two[oneSide(t, "Replace", errs, store.ErrConflict)]
		holds(t, s, r)
	})
}

// replaceDeleteRace has one Delete among calls of Replace. Whichever comes
// first, nothing is left.
func replaceDeleteRace(t testing.TB, s store.Store) {
	rounds(t, func() {
		r := created(t, s)
		all := successors(r, rivals)
		errs := race(rivals, func(i int) error {
			if i == rivals/2 {
				return s.Delete(t.Context(), r.Key)
			}
			return s.Replace(t.Context(), r.Version, all[i])
		})
		wins := 0
		for i, err := range errs {
			switch {
			case i == rivals/2 && err != nil:
				t.Fatalf("concurrent Delete: %v", err)
			case i == rivals/2:
			case err == nil:
				wins++
			case !errors.Is(err, store.ErrConflict):
				t.Fatalf("concurrent Replace: %v, want %v", err, store.ErrConflict)
			}
		}
		if wins > 1 {
			t.Fatalf("%d concurrent Replace calls succeeded, want at most 1", wins)
		}
		gone(t, s, r.Key)
	})
}

// extendRace extends records that may be forgotten, while others write, which
// is when a store may sweep. Whichever comes first, what was extended stays.
func extendRace(t testing.TB, s store.Store) {
	var extended []store.Record
	rounds(t, func() {
		all := make([]store.Record, rivals)
		errs := race(rivals, func(i int) error {
			old := newRecordUntil(inAbout(-63 * time.Second)) // by any clock two seconds from ours
			if err := s.Create(t.Context(), old); err != nil {
				return err
			}
			all[i] = next(old)
			return s.Replace(t.Context(), old.Version, all[i])
		})
		for _, r := range extended { // of the round before: some time has passed
			holds(t, s, r)
		}
		extended = nil
		for i, err := range errs {
			switch {
			case err == nil:
				extended = append(extended, all[i])
			case !errors.Is(err, store.ErrConflict):
				t.Fatalf("Create and Replace of what may be forgotten: %v, want none or %v", err, store.ErrConflict)
			}
		}
	})
	for _, r := range extended {
		holds(t, s, r)
	}
}

// getRace has readers beside one writer who counts up. A Get must see what was
// written when it began, or something later.
func getRace(t testing.TB, s store.Store) {
	r := newRecord()
	r.Value = []byte("0")
	create(t, s, r)
	var written atomic.Int64
	var done atomic.Bool
	errs := race(rivals/2, func(i int) error {
		if i == 0 {
			defer done.Store(true)
			n, err := countUp(t, s, r, &written)
			if err != nil {
				return fmt.Errorf("Replace %d: %w", n, err)
			}
			return nil
		}
		for !done.Load() {
			least := written.Load()
			got, err := s.Get(t.Context(), r.Key)
			if err != nil {
				return fmt.Errorf("Get beside Replace: %w", err)
			}
			if n, err := strconv.ParseInt(string(got.Value), 10, 64); err != nil || n < least {
				return fmt.Errorf("Get found write %q when %d had returned", got.Value, least)
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// countUp replaces r's value by ever higher numbers and tells written of each.
func countUp(t testing.TB, s store.Store, r store.Record, written *atomic.Int64) (n int64, err error) {
	rounds(t, func() {
		if err != nil {
			return
		}
		n++
		follow := next(r)
		follow.Value = strconv.AppendInt(nil, n, 10)
		if err = s.Replace(t.Context(), r.Version, follow); err == nil {
			r = follow
			written.Store(n)
		}
	})
	return n, err
}
