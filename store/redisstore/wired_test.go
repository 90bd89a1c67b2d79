package redisstore_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aikagi/aikagi/store"
)

func oneRoundTrip(t *testing.T, s wired) {
	warm(t, s)
	for _, a := range acts {
		do, after := a.ready(t, s)
		s.faulty(nil)
		if err := do(); !errors.Is(err, a.want) {
			t.Fatalf("%s: error %v, want %v", a.name, err, a.want)
		}
		if got := s.trips(); !slices.Equal(got, []string{a.command}) {
			t.Errorf("%s took round trips for %q, want one for %s", a.name, got, a.command)
		}
		after()
	}
}

// lostReply loses the reply to what Redis has carried out.
func lostReply(t *testing.T, s wired) {
	warm(t, s)
	for _, a := range acts {
		do, after := a.ready(t, s)
		s.faulty(once(fault{lost: true}))
		if err := do(); !errors.Is(err, a.want) {
			t.Errorf("%s, whose first reply was lost: error %v, want %v", a.name, err, a.want)
		}
		if got := s.tries(); !slices.Equal(got, []string{a.command, a.command}) {
			t.Errorf("%s, whose first reply was lost, took round trips for %q, want two for %s", a.name, got, a.command)
		}
		after()
	}
}

// warm creates records until every shard knows the script.
func warm(t testing.TB, s store.Store) {
	t.Helper()
	for range 40 {
		create(t, s, newRecord())
	}
}

// repliesInTrouble answers in the place of Redis, which has carried
// the verb out.
func repliesInTrouble(t *testing.T, s wired) {
	warm(t, s)
	for _, reply := range []string{
		"LOADING Redis is loading the dataset in memory",
		"READONLY You can't write against a read only replica.",
		"READONLY You can not run script with write flag on readonly replica.",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"CLUSTERDOWN The cluster is down",
		"TRYAGAIN Multiple keys request during rehashing of slot",
		"NOREPLICAS Not enough good replicas to write.",
	} {
		code, _, _ := strings.Cut(reply, " ")
		for _, a := range acts {
			do, after := a.ready(t, s)
			s.faulty(once(fault{instead: "-" + reply + "\r\n"}))
			if err := do(); !errors.Is(err, a.want) {
				t.Errorf("%s, answered %s once: error %v, want %v", a.name, code, err, a.want)
			}
			s.faulty(nil)
			after()
		}
		do, _ := acts[0].ready(t, s)
		s.faulty(always(fault{instead: "-" + reply + "\r\n"}))
		err := do()
		if want := "redisstore: Create: Redis answered " + code; err == nil || err.Error() != want {
			t.Errorf("Create, answered %s always: error %v, want %v", code, err, want)
		}
		if n := len(s.tries()); n < 2 || n > 8 {
			t.Errorf("Create, answered %s always, was tried %d times, want a few", code, n)
		}
		s.faulty(nil)
	}
}

// repliesAlwaysLost shows that an outcome that stays unknown is an error.
func repliesAlwaysLost(t *testing.T, s wired) {
	warm(t, s)
	for _, a := range acts {
		do, _ := a.ready(t, s)
		s.faulty(always(fault{lost: true}))
		err := do()
		if err == nil || isAnswer(err) || !strings.HasSuffix(err.Error(), "the connection was closed") {
			t.Errorf("%s, whose replies were lost: error %v, want one of a connection that was closed", a.name, err)
		}
		if n := len(s.tries()); n < 2 || n > 8 {
			t.Errorf("%s, whose replies were lost, was tried %d times, want a few", a.name, n)
		}
		s.faulty(nil)
	}
}

func isAnswer(err error) bool {
	return errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict)
}

func scriptFlushed(t *testing.T, s wired) {
	warm(t, s)
	r := newRecord()
	create(t, s, r)
	for range 3 {
		s.flush()
		n := next(r)
		s.faulty(nil)
		if err := s.Replace(t.Context(), r.Version, n); err != nil {
			t.Fatalf("Replace after SCRIPT FLUSH: %v", err)
		}
		if got, want := s.trips(), []string{"evalsha", "eval"}; !slices.Equal(got, want) {
			t.Errorf("Replace after SCRIPT FLUSH took round trips for %q, want %q", got, want)
		}
		holds(t, s, n)
		r = n
		s.faulty(nil)
		if err := s.Replace(t.Context(), r.Version, r); err != nil {
			t.Fatalf("Replace, repeated: %v", err)
		}
		if got, want := s.trips(), []string{"evalsha"}; !slices.Equal(got, want) {
			t.Errorf("the next Replace took round trips for %q, want %q", got, want)
		}
	}
}

// scriptFlushedInTheMiddle has rivals write while scripts are flushed.
func scriptFlushedInTheMiddle(t *testing.T, s wired) {
	var rivals, flusher sync.WaitGroup
	var done atomic.Bool
	flusher.Go(func() {
		for !done.Load() {
			s.flush()
		}
	})
	for range 4 {
		rivals.Go(func() {
			for range 100 {
				r := newRecord()
				n := next(r)
				if err := errors.Join(s.Create(t.Context(), r), s.Replace(t.Context(), r.Version, n)); err != nil {
					t.Errorf("beside SCRIPT FLUSH: %v", err)
					return
				}
				if err := s.Create(t.Context(), r); !errors.Is(err, store.ErrExists) {
					t.Errorf("Create of what exists, beside SCRIPT FLUSH: error %v, want %v", err, store.ErrExists)
					return
				}
			}
		})
	}
	rivals.Wait()
	done.Store(true)
	flusher.Wait()
}
