// Package storetest proves that a [store.Store] keeps the promises the server
// relies on. A host calls [Run] in a test of its adapter. [Faulty] is a Store
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
// for a second, and for two records to come of age. With -short it takes two,
// and finds fewer faults. A store's clock may differ from that of the test by
// two seconds.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("if this promise is broken, %s", p.why)
				}
			})
			p.test(t, open(t))
		})
	}
}

// A promise is one thing the library relies on; why says what breaking it
// costs.
type promise struct {
	name, why string
	test      func(t testing.TB, s store.Store)
}

var promises = []promise{
	{"GetNothing", "an outage passes for an unknown code, or the reverse", getNothing},
	{"GetCreated", "what was approved cannot be redeemed", getCreated},
	{"GetReplaced", "the server acts on a state that has passed", getReplaced},
	{"CreateTwice", "a proof or an assertion can be replayed", createTwice},
	{"CreateRepeated", "a retry after a lost reply counts as a replay", createRepeated},
	{"CreateRepeatedLate", "a late retry undoes what happened since", createRepeatedLate},
	{"CreateDeleted", "a key once used can never be used again", createDeleted},
	{"CreateOnExpired", "what expires early by the store's clock can be replayed", createOnExpired},
	{"ReplaceStale", "a code redeemed twice yields tokens twice", replaceStale},
	{"ReplaceNothing", "a grant appears that nobody approved", replaceNothing},
	{"ReplaceDeleted", "a revoked grant comes back to life", replaceDeleted},
	{"ReplaceRepeated", "a retry after a lost reply counts as a second redemption", replaceRepeated},
	{"ReplaceRepeatedLate", "a late retry undoes what happened since", replaceRepeatedLate},
	{"ReplaceExpired", "the store's clock decides whether a code is redeemed", replaceExpired},
	{"Delete", "a revoked grant goes on living", deleteOne},
	{"DeleteNothing", "revoking what is gone looks like an outage", deleteNothing},

	{"Keys", "records of different keys meet", keys},
	{"Versions", "a write at another version succeeds", versions},
	{"Values", "records come back damaged", values},
	{"Tags", "a customer's grants are not found, or another's are", tags},
	{"Expiry", "a record is forgotten too early, or never", expiry},
	{"KeptUntilExpiry", "a replay record or a grant is forgotten while it counts", keptUntilExpiry},
	{"KeptWhenExtended", "an extended grant ends when it would have ended before", keptWhenExtended},
	{"SlicesGiven", "buffers the server uses again change what is stored", slicesGiven},
	{"SlicesReturned", "what the server does to its copy changes what is stored", slicesReturned},
	{"ContextDone", "requests that were given up go on working", contextDone},
	{"CreateInterrupted", "a request that was given up leaves half a record", createInterrupted},
	{"ReplaceInterrupted", "a request that was given up leaves half a record", replaceInterrupted},

	{"CreateRace", "a proof presented twice at once is accepted twice", createRace},
	{"CreateRepeatedRace", "a retry that meets a replay is refused, or both are accepted", createRepeatedRace},
	{"ReplaceRace", "a code redeemed twice at once yields tokens twice", replaceRace},
	{"ReplaceRepeatedRace", "a retry that meets a rival is refused, or both are accepted", replaceRepeatedRace},
	{"ReplaceDeleteRace", "a grant revoked during a refresh comes back to life", replaceDeleteRace},
	{"GetRace", "a node goes on accepting what another has revoked", getRace},
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

// refused checks that a verb returned want, or an error that wraps it.
func refused(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
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
