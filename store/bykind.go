package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ByKind returns a [Store] that keeps records of some kinds in other and all
// the rest in durable, whose [Lister] goes on listing what has tags. Kinds are
// the first letters of keys, such as "rj":
//
//	r  authorization requests that wait for the customer. Losing one costs that
//	   customer a new start and nobody any protection: this kind may be lost. A
//	   request that was ended and comes back can be approved once more while it
//	   lasts, which is half an hour, by the customer alone.
//	j  identifiers that were used, of proofs, assertions and request objects.
//	   Losing them lets whoever has recorded one use it once more, until it
//	   expires minutes later.
//	d  marks of access tokens that were revoked one by one. Losing them lets
//	   those tokens go on until they expire.
//
// None of these outlives what it guards by much, and a store that is emptied
// is as it should be some minutes later; but only r tolerates a loss. Grants,
// g, live for months, and a lost write brings back a code that was used or a
// grant that the customer has ended: they stay in durable, and so does every
// kind that later versions add. An error tells what is wrong with kinds.
//
// Records do not move when kinds change: what is in the other store then is as
// good as lost.
func ByKind(durable, other Store, kinds string) (Store, error) {
	if durable == nil || other == nil {
		return nil, errors.New("store: ByKind of a Store that is nil")
	}
	if kinds == "" {
		return nil, errors.New("store: ByKind without kinds")
	}
	for _, kind := range kinds {
		if !strings.ContainsRune("rjd", kind) {
			return nil, fmt.Errorf("store: ByKind of kind %q, want some of r, j and d", kind)
		}
	}
	return &byKind{durable, other, kinds}, nil
}

type byKind struct {
	durable, other Store
	kinds          string
}

// of returns the store that key belongs in.
func (s *byKind) of(key string) Store {
	if key != "" && strings.IndexByte(s.kinds, key[0]) >= 0 {
		return s.other
	}
	return s.durable
}

// Create implements [Store].
func (s *byKind) Create(ctx context.Context, r Record) error { return s.of(r.Key).Create(ctx, r) }

// Get implements [Store].
func (s *byKind) Get(ctx context.Context, key string) (Record, error) { return s.of(key).Get(ctx, key) }

// Replace implements [Store].
func (s *byKind) Replace(ctx context.Context, version string, r Record) error {
	return s.of(r.Key).Replace(ctx, version, r)
}

// Delete implements [Store].
func (s *byKind) Delete(ctx context.Context, key string) error { return s.of(key).Delete(ctx, key) }
