package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

// difference says how got differs from want in a way that matters: a Store may
// forget tags, and an empty slice is as good as none.
func difference(got, want store.Record) string {
	switch {
	case got.Key != want.Key:
		return fmt.Sprintf("key %q, want %q", got.Key, want.Key)
	case got.Version != want.Version:
		return fmt.Sprintf("version %q, want %q", got.Version, want.Version)
	case !bytes.Equal(got.Value, want.Value):
		return fmt.Sprintf("value of %d bytes %.40q, want %d bytes %.40q",
			len(got.Value), got.Value, len(want.Value), want.Value)
	case len(got.Tags) > 0 && !slices.Equal(got.Tags, want.Tags):
		return fmt.Sprintf("tags %q, want %q", got.Tags, want.Tags)
	case !got.Expires.Equal(want.Expires):
		return fmt.Sprintf("expiry %v, want %v", got.Expires, want.Expires)
	}
	return ""
}

func keys(t testing.TB, s store.Store) {
	long := rand.Text() + rand.Text() + rand.Text() // 78 letters and digits
	var kept []store.Record
	for _, key := range []string{
		"t" + long[:63],
		"t" + long[:62], // the same but for the end
		"t" + long[:61] + "_",
		"t" + long[:61] + "-", // not a wildcard's match
		"T" + long[:63],       // another kind of record
		"t" + strings.ToLower(long[:63]),
		"-" + long[:20],
		"_" + long[:20],
		"0" + long[:20],
	} {
		r := newRecord()
		r.Key = key
		create(t, s, r)
		kept = append(kept, r)
	}
	for i, r := range kept {
		holds(t, s, r)
		kept[i] = next(r)
		replace(t, s, r.Version, kept[i])
	}
	for i, r := range kept {
		holds(t, s, r)
		remove(t, s, r.Key)
		gone(t, s, r.Key)
		for _, other := range kept[i+1:] {
			holds(t, s, other)
		}
	}
}

func versions(t testing.TB, s store.Store) {
	r := newRecord()
	middle := r.Version[2:10]
	r.Version = "Aa" + middle + "x" + r.Version[11:21] + "A"
	create(t, s, r)
	holds(t, s, r)
	for _, other := range []string{
		"aA" + r.Version[2:],
		"Aa" + middle + "_" + r.Version[11:], // not a wildcard's match
		r.Version[:21] + "Q",
	} {
		refused(t, fmt.Sprintf("Replace at %q of a record at %q", other, r.Version),
			s.Replace(t.Context(), other, next(r)), store.ErrConflict)
		n := next(r)
		n.Version = other
		refused(t, fmt.Sprintf("Create with %q of a record at %q", other, r.Version),
			s.Create(t.Context(), n), store.ErrExists)
	}
	holds(t, s, r)

	long := "t" + (rand.Text() + rand.Text() + rand.Text())[:63]
	for _, version := range []string{long, long[:63] + "-", long[:63] + "_", long[:63], "-", "0", "00", "1e3", "NULL"} {
		n := next(r)
		n.Version = version
		replace(t, s, r.Version, n)
		holds(t, s, n)
		r = n
	}
}

func values(t testing.TB, s store.Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	large := make([]byte, room(s))
	rand.Read(large)
	r := created(t, s)
	for _, value := range [][]byte{
		nil, {}, {0}, {'a', 0}, []byte("a  "), []byte(" a\r\n "), []byte("é\xff"), []byte(`\x61`), []byte("{}"), []byte("null"),
		every, large[:1<<13], large, nil,
	} {
		fresh := newRecord()
		fresh.Value = value
		create(t, s, fresh)
		holds(t, s, fresh)

		n := next(r)
		n.Value = value
		replace(t, s, r.Version, n)
		holds(t, s, n)
		r = n
	}
}

func tags(t testing.TB, s store.Store) {
	tag := newKey()[1:]
	r := created(t, s)
	long := "T" + (rand.Text() + rand.Text() + rand.Text())[:63]
	for _, tags := range [][]string{
		nil, {tag}, {tag, newKey()[1:]}, {newKey()[1:], tag, newKey()[1:]}, {"z", tag, "a-_", "A"}, {long}, {},
	} {
		fresh := newRecord()
		fresh.Tags = tags
		create(t, s, fresh)
		holds(t, s, fresh)

		n := next(r)
		n.Tags = tags
		replace(t, s, r.Version, n)
		holds(t, s, n)
		r = n
	}
}

func expiry(t testing.TB, s store.Store) {
	const year = 365 * 24 * time.Hour
	r := created(t, s)
	for _, d := range []time.Duration{2 * time.Second, time.Minute, 90 * 24 * time.Hour, 50 * year, time.Hour} {
		fresh := newRecord()
		fresh.Expires = inAbout(d)
		create(t, s, fresh)
		holds(t, s, fresh)

		n := next(r)
		n.Expires = inAbout(d)
		replace(t, s, r.Version, n)
		holds(t, s, n)
		r = n
	}
	for _, hours := range []int{9, -8} { // the same times as clocks elsewhere show them
		fresh := newRecord()
		fresh.Expires = fresh.Expires.In(time.FixedZone("", hours*3600))
		create(t, s, fresh)
		holds(t, s, fresh)
	}
	fresh := newRecord()
	fresh.Expires = fresh.Expires.Add(time.Second - 1)
	create(t, s, fresh)
	got, err := s.Get(t.Context(), fresh.Key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if got.Expires.After(fresh.Expires) || fresh.Expires.Sub(got.Expires) >= time.Second {
		t.Fatalf("Get: expiry %v, want %v or less by a fraction of a second", got.Expires, fresh.Expires)
	}
}

func keptUntilExpiry(t testing.TB, s store.Store) {
	r := newRecord()
	r.Expires = inAbout(2 * time.Second)
	create(t, s, r)
	for past := false; !past; time.Sleep(20 * time.Millisecond) {
		past = time.Now().After(r.Expires)
		holds(t, s, r)
		create(t, s, newRecordUntil(r.Expires)) // a write is when a store may sweep
	}
}

// mayBeGone reports whether r may be forgotten by a clock that is two seconds
// ahead. On a machine that was busy with other things, a test then cannot tell.
func mayBeGone(r store.Record) bool { return time.Since(r.Expires) > time.Minute-2*time.Second }

// keptPastExpiry takes records that must be kept for ten and five seconds more,
// by writes that a store may sweep in.
func keptPastExpiry(t testing.TB, s store.Store) {
	older, old := newRecordUntil(inAbout(-48*time.Second)), newRecordUntil(inAbout(-53*time.Second))
	create(t, s, older)
	create(t, s, old)
	d := 2 * time.Second
	if testing.Short() {
		d /= 10
	}
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, r := range []store.Record{older, old} {
			got, err := s.Get(t.Context(), r.Key)
			switch {
			case mayBeGone(r):
				return
			case err != nil:
				t.Fatalf("Get: %v", err)
			}
			if diff := difference(got, r); diff != "" {
				t.Fatalf("Get: %s", diff)
			}
		}
		create(t, s, newRecord())
	}
	err := s.Replace(t.Context(), old.Version, next(old))
	if err != nil && !mayBeGone(old) {
		t.Fatalf("Replace: %v", err)
	}
}

// keptWhenExtended takes a record that may be forgotten within three seconds,
// as its expiry passed 57 seconds ago or more.
func keptWhenExtended(t testing.TB, s store.Store) {
	if testing.Short() {
		t.Skip("takes four seconds")
	}
	var old, n store.Record
	for again := true; again; {
		old = newRecordUntil(inAbout(-57 * time.Second))
		create(t, s, old)
		n = next(old)
		err := s.Replace(t.Context(), old.Version, n)
		if again = err != nil && mayBeGone(old); err != nil && !again {
			t.Fatalf("Replace: %v", err)
		}
	}
	for end := old.Expires.Add(time.Minute + time.Second); time.Now().Before(end); {
		time.Sleep(200 * time.Millisecond)
		holds(t, s, n)
		create(t, s, newRecord()) // as above
	}
	holds(t, s, n)
}

func newRecordUntil(expires time.Time) store.Record {
	r := newRecord()
	r.Expires = expires
	return r
}

func slicesGiven(t testing.TB, s store.Store) {
	r := created(t, s)
	n := next(r)
	unchanged(t, s, "Replace", n, func(n store.Record) { replace(t, s, r.Version, n) })
	unchanged(t, s, "Create", newRecord(), func(n store.Record) { create(t, s, n) })
}

// unchanged checks that keep, which keeps r, changes nothing of r, not even
// behind the ends of its slices, and that r may change afterwards.
func unchanged(t testing.TB, s store.Store, verb string, r store.Record, keep func(store.Record)) {
	t.Helper()
	r.Tags = []string{"z" + newKey(), "y" + newKey(), "x" + newKey(), "behind"}
	value := append(slices.Clone(r.Value), make([]byte, 100)...)
	given, want := r, clone(r)
	given.Value, given.Tags, want.Tags = value[:len(r.Value)], r.Tags[:3], want.Tags[:3]
	keep(given)
	if diff := difference(given, want); diff != "" {
		t.Fatalf("%s changed its argument: %s", verb, diff)
	}
	if r.Tags[3] != "behind" || !bytes.Equal(value[len(r.Value):], make([]byte, 100)) {
		t.Fatalf("%s wrote behind the end of its argument's slices", verb)
	}
	scribble(given)
	holds(t, s, want)
}

func slicesReturned(t testing.TB, s store.Store) {
	want := created(t, s)
	for range 2 {
		got, err := s.Get(t.Context(), want.Key)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		scribble(got)
		holds(t, s, want)
		n := next(want)
		replace(t, s, want.Version, n)
		want = n
	}
}

// clone returns r with slices of its own.
func clone(r store.Record) store.Record {
	r.Value = slices.Clone(r.Value)
	r.Tags = slices.Clone(r.Tags)
	return r
}

// scribble writes over the slices of r, and over what lies behind their ends.
func scribble(r store.Record) {
	clear(r.Value[:cap(r.Value)])
	clear(r.Tags[:cap(r.Tags)])
}

func contextDone(t testing.TB, s store.Store) {
	r := created(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := s.Get(ctx, r.Key)
	for verb, err := range map[string]error{
		"Create":  s.Create(ctx, newRecord()),
		"Get":     getErr,
		"Replace": s.Replace(ctx, newVersion(), next(r)),
		"Delete":  s.Delete(ctx, newKey()),
	} {
		switch {
		case err == nil:
			t.Errorf("%s with a context that is done: no error", verb)
		case isAnswer(err):
			t.Errorf("%s with a context that is done: %v, which is an answer", verb, err)
		}
	}
	holds(t, s, r)
}

// isAnswer reports whether err says what became of a call, as no error does
// other than the three.
func isAnswer(err error) bool {
	return slices.ContainsFunc(answers, func(answer error) bool { return errors.Is(err, answer) })
}

var answers = []error{store.ErrExists, store.ErrNotFound, store.ErrConflict}

// createInterrupted gives calls up at various moments and repeats them.
func createInterrupted(t testing.TB, s store.Store) {
	interrupt(t, func(ctx context.Context) {
		r := newRecord()
		if err := s.Create(ctx, r); err != nil {
			if isAnswer(err) {
				t.Fatalf("Create, interrupted: %v", err)
			}
			create(t, s, r)
		}
		holds(t, s, r)
	})
}

func replaceInterrupted(t testing.TB, s store.Store) {
	r := created(t, s)
	interrupt(t, func(ctx context.Context) {
		n := next(r)
		if err := s.Replace(ctx, r.Version, n); err != nil {
			if isAnswer(err) {
				t.Fatalf("Replace, interrupted: %v", err)
			}
			replace(t, s, r.Version, n)
		}
		holds(t, s, n)
		r = n
	})
}

// interrupt calls f with contexts that end after none to four milliseconds,
// which is about as long as databases take to answer.
func interrupt(t testing.TB, f func(ctx context.Context)) {
	for i := range 81 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Microsecond)
		f(ctx)
		cancel()
	}
}
