// Package store defines the one thing a server remembers, a [Record], and the
// one interface it is remembered through, [Store]. [Memory] is a Store for one
// process; ADAPTERS.md beside this file tells how to write a host's own, and
// package storetest proves it. [Sealed] encrypts what any of them keeps, and
// [ByKind] makes one of two.
package store

import (
	"context"
	"errors"
	"time"
)

// A Record is what a Store keeps: an opaque value under a key that says
// nothing. Keys are digests, and secrets stand in values only as digests, so
// that no code, handle or token can be read from a dump.
type Record struct {
	// Key is at most 64 bytes of [A-Za-z0-9_-]. Its first letter names the
	// kind of record; the rest is an evenly spread digest.
	Key string

	// Version is chosen by the library, a fresh one for every write: at most
	// 64 bytes of [A-Za-z0-9_-]. Case counts, here and in Key, whatever a
	// database's collation says. Get returns it as it was given: an API that
	// cannot open Value reads from it whether a grant was amended.
	Version string

	// Value is opaque, at most 64 KiB, which a Store must have room for and of
	// which [Sealed] takes a little.
	Value []byte

	// Tags are digests that records may be listed by, each like a Key. A Store
	// without a [Lister] may forget them.
	Tags []string

	// Expires is when the record may be forgotten, and not before. A Store may
	// drop fractions of a second.
	Expires time.Time
}

// These errors are part of the contract of [Store]. An implementation may wrap
// them. Any other error means that the outcome is unknown.
var (
	ErrExists   = errors.New("store: key exists")
	ErrNotFound = errors.New("store: not found")
	ErrConflict = errors.New("store: changed since read")
)

// Store keeps records for the server. The host implements it over whatever
// database it already runs; package storetest checks the result.
//
// Create and Replace are atomic: of any number of concurrent calls with
// different versions, at most one succeeds. Single use of authorization
// codes, request URIs and proof identifiers rests on that and on nothing else.
//
// The library chooses versions, a fresh one for every write. A call that finds
// its own version already stored succeeds: it is the repetition of a call
// whose answer was lost. Get sees every write that returned before it began.
//
// A Create that is repeated after a Delete cannot be recognized and keeps its
// record anew, and a Delete that is repeated after a Create forgets what that
// kept. So a call may undo one of the other kind on the same key while it is
// under way, or was given up a moment ago, and never later. The server can live
// with that; a host that ends a grant in the very moment of its approval may
// find it again.
//
// A record must be kept until its expiry and may be forgotten a minute after
// it; a Store decides nothing else by the clock. Methods are called
// concurrently and must honor ctx. A Store neither keeps nor changes the
// slices of a Record it is given, and the caller may change those it gets.
type Store interface {
	// Create keeps r, or returns ErrExists if r.Key is still kept; expiry is
	// not looked at.
	Create(ctx context.Context, r Record) error

	// Get returns the record under key, or ErrNotFound.
	Get(ctx context.Context, key string) (Record, error)

	// Replace keeps r if the record under r.Key is still at version.
	// Otherwise it returns ErrConflict, also when the record is gone.
	Replace(ctx context.Context, version string, r Record) error

	// Delete forgets key. Deleting what is not there is not an error.
	Delete(ctx context.Context, key string) error
}
