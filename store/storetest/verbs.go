package storetest

import (
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

// justExpired is an expiry that has passed, but not by the minute after which
// a record may be forgotten.
func justExpired() time.Time { return inAbout(-time.Second) }

func getNothing(t testing.TB, s store.Store) {
	gone(t, s, newKey())
}

// getCreated looks before there is anything, which a store must not remember.
func getCreated(t testing.TB, s store.Store) {
	a, b := newRecord(), newRecord()
	gone(t, s, a.Key)
	create(t, s, a)
	holds(t, s, a)
	create(t, s, b)
	holds(t, s, a)
	holds(t, s, b)
}

func getReplaced(t testing.TB, s store.Store) {
	a, b := created(t, s), created(t, s)
	for range 3 {
		n := next(a)
		replace(t, s, a.Version, n)
		holds(t, s, n)
		a = n
	}
	holds(t, s, b)
}

func createTwice(t testing.TB, s store.Store) {
	r := created(t, s)
	refused(t, "Create of a key that exists", s.Create(t.Context(), next(r)), store.ErrExists)
	holds(t, s, r)
}

func createRepeated(t testing.TB, s store.Store) {
	r := created(t, s)
	for range 2 {
		if err := s.Create(t.Context(), r); err != nil {
			t.Fatalf("Create, repeated: %v", err)
		}
		holds(t, s, r)
	}
}

func createRepeatedLate(t testing.TB, s store.Store) {
	r := created(t, s)
	n := next(r)
	replace(t, s, r.Version, n)
	refused(t, "Create, repeated after a Replace", s.Create(t.Context(), r), store.ErrExists)
	holds(t, s, n)
}

func createDeleted(t testing.TB, s store.Store) {
	r := created(t, s)
	remove(t, s, r.Key)
	gone(t, s, r.Key)
	n := next(r)
	create(t, s, n)
	holds(t, s, n)
}

func createOnExpired(t testing.TB, s store.Store) {
	r := newRecord()
	r.Expires = justExpired()
	create(t, s, r)
	refused(t, "Create of a key whose record has just expired", s.Create(t.Context(), next(r)), store.ErrExists)
	holds(t, s, r)
}

func replaceStale(t testing.TB, s store.Store) {
	r := created(t, s)
	n := next(r)
	replace(t, s, r.Version, n)
	refused(t, "Replace at a version of before", s.Replace(t.Context(), r.Version, next(r)), store.ErrConflict)
	refused(t, "Replace at a version that never was", s.Replace(t.Context(), newVersion(), next(r)), store.ErrConflict)
	refused(t, "Replace at no version", s.Replace(t.Context(), "", next(r)), store.ErrConflict)
	holds(t, s, n)
}

func replaceNothing(t testing.TB, s store.Store) {
	r := newRecord()
	refused(t, "Replace of nothing", s.Replace(t.Context(), newVersion(), r), store.ErrConflict)
	refused(t, "Replace of nothing at no version", s.Replace(t.Context(), "", r), store.ErrConflict)
	gone(t, s, r.Key)
}

func replaceDeleted(t testing.TB, s store.Store) {
	r := created(t, s)
	n := next(r)
	replace(t, s, r.Version, n)
	remove(t, s, r.Key)
	refused(t, "Replace of what was deleted", s.Replace(t.Context(), n.Version, next(r)), store.ErrConflict)
	refused(t, "Replace, repeated after a Delete", s.Replace(t.Context(), r.Version, n), store.ErrConflict)
	gone(t, s, r.Key)
}

func replaceRepeated(t testing.TB, s store.Store) {
	r := created(t, s)
	n := next(r)
	replace(t, s, r.Version, n)
	for range 2 {
		if err := s.Replace(t.Context(), r.Version, n); err != nil {
			t.Fatalf("Replace, repeated: %v", err)
		}
		holds(t, s, n)
	}
}

func replaceRepeatedLate(t testing.TB, s store.Store) {
	first := created(t, s)
	second := next(first)
	replace(t, s, first.Version, second)
	third := next(first)
	replace(t, s, second.Version, third)
	refused(t, "Replace, repeated after another", s.Replace(t.Context(), first.Version, second), store.ErrConflict)
	holds(t, s, third)
}

func replaceExpired(t testing.TB, s store.Store) {
	r := newRecord()
	r.Expires = justExpired()
	create(t, s, r)
	n := next(r)
	replace(t, s, r.Version, n)
	holds(t, s, n)
}

func deleteOne(t testing.TB, s store.Store) {
	r, other := created(t, s), created(t, s)
	remove(t, s, r.Key)
	gone(t, s, r.Key)
	holds(t, s, other)
}

func deleteNothing(t testing.TB, s store.Store) {
	remove(t, s, newKey())
	r := created(t, s)
	remove(t, s, r.Key)
	remove(t, s, r.Key)
	gone(t, s, r.Key)
}
