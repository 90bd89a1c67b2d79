// Package storetest proves that a [store.Store] keeps the promises the server
// relies on. A host calls [Run] in a test of its adapter, [RunLister] if the
// adapter lists, and [RunSealed] if it will be sealed. [Nodes] makes one Store
// of the handles that several processes would have, and [Faulty] is a Store
// with latency and failures, for tests of what stands on one.
package storetest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

// Run tests the stores that open returns, one for each promise. A store need
// not be empty: the keys that Run uses are random. What open starts, it stops
// with t.Cleanup.
//
// Run takes about fifteen seconds, most of it for races, of which each runs
// for a second, and for records to come of age. With -short it takes three,
// and finds fewer faults. A store's clock may differ from that of the test by
// two seconds.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for _, p := range promises {
		p.run(t, func(t *testing.T) { p.test(t, open(t)) })
	}
}

// RunLister tests the listers that open returns together with the stores whose
// records they list. It does not do what [Run] does. It takes three seconds,
// with -short half of one.
func RunLister(t *testing.T, open func(t *testing.T) (store.Store, store.Lister)) {
	t.Helper()
	for _, p := range listPromises {
		p.run(t, func(t *testing.T) {
			s, l := open(t)
			p.test(t, s, l)
		})
	}
}

// RunSealed tests the stores that open returns through [store.Sealed], which
// fills a value up to the last byte that a store must have room for. It does
// what [Run] does and, unless open returns no Lister, [RunLister].
func RunSealed(t *testing.T, open func(t *testing.T) (store.Store, store.Lister)) {
	t.Helper()
	seal := func(t *testing.T) (store.Store, store.Lister) {
		s, l := open(t)
		c := store.SealedConfig{Store: s, Lister: l, Secrets: [][]byte{make([]byte, 32)}, TagSecret: make([]byte, 32)}
		rand.Read(c.Secrets[0])
		rand.Read(c.TagSecret)
		s, l, err := store.Sealed(c)
		if err != nil {
			t.Fatalf("Sealed: %v", err)
		}
		return withLess{s}, l
	}
	Run(t, func(t *testing.T) store.Store { s, _ := seal(t); return s })
	if _, l := open(t); l != nil {
		RunLister(t, seal)
	}
}

// withLess is a Store that takes less than 64 KiB.
type withLess struct{ store.Store }

// sealing is what Sealed adds to the value of a record with two tags of ours.
const sealing = 34 + 2*(1+43)

// room returns the size of the largest value that s takes.
func room(s store.Store) int {
	if _, ok := s.(withLess); ok {
		return 64<<10 - sealing
	}
	return 64 << 10
}

// A promise is one thing the library relies on; why says what breaking it
// costs.
type promise struct {
	reason
	test func(t testing.TB, s store.Store)
}

type reason struct{ name, why string }

// run runs test under the promise's name, and says why it matters if it fails.
func (r reason) run(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run(r.name, func(t *testing.T) {
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("if this promise is broken, %s", r.why)
			}
		})
		test(t)
	})
}

var promises = []promise{
	{reason{"GetNothing", "an outage passes for an unknown code, or the reverse"}, getNothing},
	{reason{"GetCreated", "what was approved cannot be redeemed"}, getCreated},
	{reason{"GetReplaced", "the server acts on a state that has passed"}, getReplaced},
	{reason{"CreateTwice", "a proof or an assertion can be replayed"}, createTwice},
	{reason{"CreateRepeated", "a retry after a lost reply counts as a replay"}, createRepeated},
	{reason{"CreateRepeatedLate", "a late retry undoes what happened since"}, createRepeatedLate},
	{reason{"CreateDeleted", "a key once used can never be used again"}, createDeleted},
	{reason{"CreateOnExpired", "what expires early by the store's clock can be replayed"}, createOnExpired},
	{reason{"ReplaceStale", "a code redeemed twice yields tokens twice"}, replaceStale},
	{reason{"ReplaceNothing", "a grant appears that nobody approved"}, replaceNothing},
	{reason{"ReplaceDeleted", "a revoked grant comes back to life"}, replaceDeleted},
	{reason{"ReplaceRepeated", "a retry after a lost reply counts as a second redemption"}, replaceRepeated},
	{reason{"ReplaceRepeatedLate", "a late retry undoes what happened since"}, replaceRepeatedLate},
	{reason{"ReplaceExpired", "the store's clock decides whether a code is redeemed"}, replaceExpired},
	{reason{"Delete", "a revoked grant goes on living"}, deleteOne},
	{reason{"DeleteNothing", "revoking what is gone looks like an outage"}, deleteNothing},

	{reason{"Keys", "records of different keys meet"}, keys},
	{reason{"Versions", "a write at another version succeeds"}, versions},
	{reason{"Values", "records come back damaged"}, values},
	{reason{"Tags", "a customer's grants are not found, or another's are"}, tags},
	{reason{"Expiry", "a record is forgotten too early, or never"}, expiry},
	{reason{"KeptUntilExpiry", "a replay record or a grant is forgotten while it counts"}, keptUntilExpiry},
	{reason{"KeptPastExpiry", "what the server still has to see, by a clock that is behind, is gone"}, keptPastExpiry},
	{reason{"KeptWhenExtended", "an extended grant ends when it would have ended before"}, keptWhenExtended},
	{reason{"SlicesGiven", "buffers the server uses again change what is stored"}, slicesGiven},
	{reason{"SlicesReturned", "what the server does to its copy changes what is stored"}, slicesReturned},
	{reason{"ContextDone", "requests that were given up go on working"}, contextDone},
	{reason{"ContextDoneOften", "a hundred clients that hang up take the store from all others"}, contextDoneOften},
	{reason{"Crowd", "busy hours bring the server to a halt"}, crowd},
	{reason{"CreateInterrupted", "a request that was given up leaves half a record"}, createInterrupted},
	{reason{"ReplaceInterrupted", "a request that was given up leaves half a record"}, replaceInterrupted},

	{reason{"CreateRace", "a proof presented twice at once is accepted twice"}, createRace},
	{reason{"CreateRepeatedRace", "a retry that meets a replay is refused, or both are accepted"}, createRepeatedRace},
	{reason{"ReplaceRace", "a code redeemed twice at once yields tokens twice"}, replaceRace},
	{reason{"ReplaceRepeatedRace", "a retry that meets a rival is refused, or both are accepted"}, replaceRepeatedRace},
	{reason{"ReplaceDeleteRace", "a grant revoked during a refresh comes back to life"}, replaceDeleteRace},
	{reason{"ExtendRace", "a grant that is extended at the last moment is gone"}, extendRace},
	{reason{"GetRace", "a node goes on accepting what another has revoked"}, getRace},
}

// newKey returns a key such as the library's.
func newKey() string {
	digest := sha256.Sum256([]byte(rand.Text()))
	return "t" + base64.RawURLEncoding.EncodeToString(digest[:])
}

// newVersion returns a version such as the library's.
func newVersion() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newRecord returns a record that no other is like. It expires in an hour, at
// a full second, since a Store may keep time no finer than that.
func newRecord() store.Record {
	return store.Record{
		Key:     newKey(),
		Version: newVersion(),
		Value:   []byte("value " + rand.Text()),
		Tags:    []string{newKey()[1:], newKey()[1:]},
		Expires: inAbout(time.Hour),
	}
}

// next returns what may replace r: another record under its key.
func next(r store.Record) store.Record {
	n := newRecord()
	n.Key = r.Key
	return n
}

// inAbout returns the last full second within d from now.
func inAbout(d time.Duration) time.Time {
	return time.Now().Add(d).Truncate(time.Second).UTC()
}

// create keeps r, which must succeed.
func create(t testing.TB, s store.Store, r store.Record) {
	t.Helper()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatalf("Create: %v", err)
	}
}

// created keeps a new record and returns it.
func created(t testing.TB, s store.Store) store.Record {
	t.Helper()
	r := newRecord()
	create(t, s, r)
	return r
}

// replace keeps r in place of the record at version, which must succeed.
func replace(t testing.TB, s store.Store, version string, r store.Record) {
	t.Helper()
	if err := s.Replace(t.Context(), version, r); err != nil {
		t.Fatalf("Replace: %v", err)
	}
}

// remove deletes key, which must succeed.
func remove(t testing.TB, s store.Store, key string) {
	t.Helper()
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatalf("Delete: %v", err)
	}
}

// refused checks that a verb returned want, or an error that wraps it and none
// of the others.
func refused(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
	for _, other := range answers {
		if other != want && errors.Is(err, other) {
			t.Fatalf("%s: error %v, which is %v and %v", what, err, want, other)
		}
	}
}

// holds checks that the store has exactly want.
func holds(t testing.TB, s store.Store, want store.Record) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if diff := difference(got, want); diff != "" {
		t.Fatalf("Get: %s", diff)
	}
}

// gone checks that the store has nothing under key.
func gone(t testing.TB, s store.Store, key string) {
	t.Helper()
	_, err := s.Get(t.Context(), key)
	refused(t, "Get", err, store.ErrNotFound)
}
