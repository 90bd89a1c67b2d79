package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/store"
)

// A listPromise is one thing that whoever lists relies on.
type listPromise struct {
	reason
	test func(t testing.TB, s store.Store, l store.Lister)
}

var listPromises = []listPromise{
	{reason{"ListNothing", "a customer without grants sees an outage"}, listNothing},
	{reason{"ListTag", "a customer sees another's grants, or not all of theirs"}, listTag},
	{reason{"ListTags", "a customer sees the grants of one whose tag looks alike"}, listTags},
	{reason{"ListOrder", "a page leaves grants out or shows them twice"}, listOrder},
	{reason{"ListPages", "a page ends before its time, and with it the list"}, listPages},
	{reason{"ListDeleted", "the customer sees a grant that has ended"}, listDeleted},
	{reason{"ListReplaced", "a record is found by what it no longer is"}, listReplaced},
	{reason{"ListRefused", "a write that was refused shows in the list"}, listRefused},
	{reason{"ListKept", "a grant can no longer be found once its code was redeemed"}, listKept},
	{reason{"ListExpired", "a grant that has expired hides one that has not"}, listExpired},
	{reason{"ListInterrupted", "a grant whose request was given up cannot be found"}, listInterrupted},
	{reason{"ListSlices", "what the server does to its copy changes what is stored"}, listSlices},
	{reason{"ListContextDone", "pages that were given up go on working"}, listContextDone},
	{reason{"ListReplaceRace", "a grant that is in use is missing from the list"}, listReplaceRace},
	{reason{"ListPagesRace", "grants that come and go make the list leave others out"}, listPagesRace},
}

// list returns a page, which must be in order, of what bears the tag, behind
// after, and not too long.
func list(t testing.TB, l store.Lister, tag, after string, limit int) []store.Record {
	t.Helper()
	page, err := l.List(t.Context(), tag, after, limit)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	if err := orderly(page, tag, after, limit); err != nil {
		t.Fatalf("List: %v", err)
	}
	return page
}

// orderly says what is wrong with a page.
func orderly(page []store.Record, tag, after string, limit int) error {
	if len(page) > limit {
		return fmt.Errorf("%d records, want at most %d", len(page), limit)
	}
	for _, r := range page {
		if r.Key <= after {
			return fmt.Errorf("key %q after %q", r.Key, after)
		}
		if len(r.Tags) > 0 && !slices.Contains(r.Tags, tag) {
			return fmt.Errorf("tags %q, want them to have %q", r.Tags, tag)
		}
		after = r.Key
	}
	return nil
}

// lists checks that exactly want is listed under tag.
func lists(t testing.TB, l store.Lister, tag string, want ...store.Record) {
	t.Helper()
	same(t, list(t, l, tag, "", len(want)+10), want)
}

// same checks that page is want, whose order does not matter.
func same(t testing.TB, page, want []store.Record) {
	t.Helper()
	if len(page) != len(want) {
		t.Fatalf("List: %d records, want %d", len(page), len(want))
	}
	want = inOrder(want)
	for i, r := range page {
		if diff := difference(r, want[i]); diff != "" {
			t.Fatalf("List, record %d of %d: %s", i, len(page), diff)
		}
	}
}

func inOrder(all []store.Record) []store.Record {
	return slices.SortedFunc(slices.Values(all), func(a, b store.Record) int { return strings.Compare(a.Key, b.Key) })
}

// createTagged keeps n new records with tag and one other, and returns them in order.
func createTagged(t testing.TB, s store.Store, tag string, n int) []store.Record {
	t.Helper()
	all := make([]store.Record, n)
	for i := range all {
		all[i] = newRecord()
		all[i].Tags = []string{newTag(), tag}
		create(t, s, all[i])
	}
	return inOrder(all)
}

func newTag() string { return newKey()[1:] }

func listNothing(t testing.TB, s store.Store, l store.Lister) {
	created(t, s)
	lists(t, l, newTag())
	r := newRecord()
	r.Tags = nil
	create(t, s, r)
	lists(t, l, r.Key)
}

func listTag(t testing.TB, s store.Store, l store.Lister) {
	customer, other, client := newTag(), newTag(), newTag()
	tagged := func(tags ...string) store.Record {
		r := newRecord()
		r.Tags = tags
		create(t, s, r)
		return r
	}
	a := tagged(customer, client)
	b := tagged(client, customer)
	c := tagged(other, client)
	d := tagged(customer)
	tagged()
	lists(t, l, customer, a, b, d)
	lists(t, l, other, c)
	lists(t, l, client, a, b, c)
}

func listTags(t testing.TB, s store.Store, l store.Lister) {
	middle := newTag()
	var all []store.Record
	for _, tag := range []string{
		"Aa" + middle, "aa" + middle, "Aa" + middle + "A", "A" + middle,
		"-" + middle, "_" + middle, "-" + middle + "0123456789ABCDEFGHIJ", "-" + middle + "0123456789ABCDEFGHIj",
	} {
		r := newRecord()
		r.Tags = []string{newTag(), tag}
		create(t, s, r)
		all = append(all, r)
	}
	for _, r := range all {
		lists(t, l, r.Tags[1], r)
	}
	for _, tag := range []string{middle, middle[:40], "A_" + middle, "_", "-"} {
		lists(t, l, tag)
	}
}

// listOrder has keys whose order most collations see otherwise, and pages of
// every length.
func listOrder(t testing.TB, s store.Store, l store.Lister) {
	tag, middle := newTag(), newTag()[:30]
	var all []store.Record
	for _, end := range []string{"", "-", "-a", "0", "9", "A", "Ab", "B", "Z", "_", "_-", "__", "a", "aB", "ab", "b", "z"} {
		r := newRecord()
		r.Key, r.Tags = "t"+middle+end, []string{tag}
		all = append(all, r)
	}
	for _, kind := range []string{"-", "A", "T", "_", "s", "u"} {
		r := newRecord()
		r.Key, r.Tags = kind+middle, []string{tag}
		all = append(all, r)
	}
	for i := range all { // not in order
		create(t, s, all[i*7%len(all)])
	}
	all = inOrder(all)
	for limit := 1; limit <= len(all)+1; limit++ {
		same(t, pages(t, l, tag, limit), all)
	}
	for i, r := range all {
		same(t, list(t, l, tag, r.Key, len(all)), all[i+1:])
		same(t, list(t, l, tag, r.Key[:len(r.Key)-1], 1), all[firstAfter(all, r.Key[:len(r.Key)-1]):][:1])
	}
	same(t, list(t, l, tag, "zzz", len(all)), nil)
}

// firstAfter returns the place of the first of all after key.
func firstAfter(all []store.Record, key string) int {
	return slices.IndexFunc(all, func(r store.Record) bool { return r.Key > key })
}

// pages lists page by page, and returns all. Any page but the last is full.
func pages(t testing.TB, l store.Lister, tag string, limit int) []store.Record {
	t.Helper()
	var all []store.Record
	for after := ""; ; after = all[len(all)-1].Key {
		page := list(t, l, tag, after, limit)
		all = append(all, page...)
		if len(page) < limit {
			return all
		}
	}
}

func listPages(t testing.TB, s store.Store, l store.Lister) {
	tag := newTag()
	all := createTagged(t, s, tag, 120)
	createTagged(t, s, newTag(), 20)
	for _, limit := range []int{7, 40, 119, 120, 121, 100_000} {
		same(t, pages(t, l, tag, limit), all)
	}
	large := make([]store.Record, 20) // more than a megabyte
	for i := range large {
		large[i] = newRecord()
		large[i].Value, large[i].Tags = bytes.Repeat([]byte{byte(i)}, room(s)), []string{all[0].Tags[0], newTag()}
		create(t, s, large[i])
	}
	lists(t, l, all[0].Tags[0], append(large, all[0])...)
}

func listDeleted(t testing.TB, s store.Store, l store.Lister) {
	tag := newTag()
	all := createTagged(t, s, tag, 5)
	remove(t, s, all[1].Key)
	lists(t, l, tag, all[0], all[2], all[3], all[4])
	same(t, list(t, l, tag, all[1].Key, 2), all[2:4]) // a page may end where nothing is any more
	again := next(all[1])
	create(t, s, again)
	lists(t, l, tag, all[0], all[2], all[3], all[4])
	lists(t, l, again.Tags[0], again)
	for _, r := range all {
		remove(t, s, r.Key)
	}
	lists(t, l, tag)
}

func listReplaced(t testing.TB, s store.Store, l store.Lister) {
	stays, goes, comes := newTag(), newTag(), newTag()
	r := newRecord()
	r.Tags = []string{goes, stays}
	create(t, s, r)
	n := next(r)
	n.Tags = []string{stays, comes}
	for range 2 { // a repetition changes nothing
		replace(t, s, r.Version, n)
		lists(t, l, stays, n)
		lists(t, l, comes, n)
		lists(t, l, goes)
	}
	bare := next(r)
	bare.Tags = nil
	replace(t, s, n.Version, bare)
	lists(t, l, stays)
	lists(t, l, comes)
	back := next(r)
	back.Tags = []string{goes}
	replace(t, s, bare.Version, back)
	lists(t, l, goes, back)
}

func listRefused(t testing.TB, s store.Store, l store.Lister) {
	tag := newTag()
	r := newRecord()
	r.Tags = []string{tag}
	create(t, s, r)
	n := next(r)
	refused(t, "Create of a key that exists", s.Create(t.Context(), n), store.ErrExists)
	refused(t, "Replace at a version that never was", s.Replace(t.Context(), newVersion(), n), store.ErrConflict)
	lists(t, l, n.Tags[0])
	lists(t, l, tag, r)
	lost := newRecord()
	refused(t, "Replace of nothing", s.Replace(t.Context(), newVersion(), lost), store.ErrConflict)
	lists(t, l, lost.Tags[0])
}

// listKept changes a record as the server does: what it got, with another value.
func listKept(t testing.TB, s store.Store, l store.Lister) {
	r := created(t, s)
	for range 3 {
		got, err := s.Get(t.Context(), r.Key)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		if !slices.Equal(got.Tags, r.Tags) {
			t.Fatalf("Get: tags %q, want %q", got.Tags, r.Tags)
		}
		n := next(r)
		n.Tags = got.Tags
		replace(t, s, got.Version, n)
		for _, tag := range r.Tags {
			lists(t, l, tag, n)
		}
		r = n
	}
}

// listExpired has records of which every other has expired. Those may be
// missing, but pages that are not the last stay full.
func listExpired(t testing.TB, s store.Store, l store.Lister) {
	tag := newTag()
	live := make(map[string]bool)
	for i := range 20 {
		r := newRecord()
		r.Tags = []string{tag}
		if live[r.Key] = i%2 == 0; !live[r.Key] {
			r.Expires = justExpired()
		}
		create(t, s, r)
	}
	for _, limit := range []int{1, 3, 10, 20} {
		found := 0
		for _, r := range pages(t, l, tag, limit) {
			if live[r.Key] {
				found++
			}
		}
		if found != 10 {
			t.Fatalf("List, in pages of %d: %d records that have not expired, want 10", limit, found)
		}
	}
}

// listInterrupted gives calls up at various moments and repeats them.
func listInterrupted(t testing.TB, s store.Store, l store.Lister) {
	interrupt(t, func(ctx context.Context) {
		r := newRecord()
		if err := s.Create(ctx, r); err != nil {
			create(t, s, r)
		}
		lists(t, l, r.Tags[0], r)
	})
	r := created(t, s)
	interrupt(t, func(ctx context.Context) {
		n := next(r)
		if err := s.Replace(ctx, r.Version, n); err != nil {
			replace(t, s, r.Version, n)
		}
		lists(t, l, n.Tags[0], n)
		lists(t, l, r.Tags[0])
		r = n
	})
}

func listSlices(t testing.TB, s store.Store, l store.Lister) {
	tag := newTag()
	all := createTagged(t, s, tag, 3)
	for range 2 {
		for _, r := range list(t, l, tag, "", 3) {
			scribble(r)
		}
		lists(t, l, tag, all...)
		for _, r := range all {
			holds(t, s, r)
		}
	}
}

func listContextDone(t testing.TB, s store.Store, l store.Lister) {
	tag := newTag()
	createTagged(t, s, tag, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tag := range []string{tag, newTag()} {
		switch _, err := l.List(ctx, tag, "", 10); {
		case err == nil:
			t.Errorf("List with a context that is done: no error")
		case isAnswer(err):
			t.Errorf("List with a context that is done: %v, which is an answer", err)
		}
	}
}
