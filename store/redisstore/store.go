package redisstore

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/aikagi/aikagi/store"
)

// Store is a [store.Store] on Redis. It is made by [Open] or [New]. Its methods
// are called concurrently.
//
// A call whose reply was lost, or which meets a server that is loading or
// changing its part, is repeated a few times, as the client's options say;
// versions make that harmless. After that it fails, and the outcome is
// unknown. What the caller no longer waits for may still be carried out.
//
// Errors name the verb and the kind of failure. Keys, values, addresses and
// passwords are not in them.
type Store struct {
	// Prefix, if not empty, stands before every key, so that Redis can serve
	// others too. Braces are refused: they would put every record on one shard.
	// It must not be changed after first use.
	Prefix string

	client redis.UniversalClient
}

// Close closes the client, also one that was given to New. No verb may be
// called after it.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil {
		return failure("Close", err)
	}
	return nil
}

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, r store.Record) error {
	done, err := s.put(ctx, "Create", "", r)
	if err == nil && !done {
		return store.ErrExists
	}
	return err
}

// Get implements [store.Store]. It may return a record that has expired.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	packed, err := run(ctx, s, "Get", key, func(key string) (string, error) {
		// GETEX without an option reads as GET does, but counts as a write: a
		// node that is no longer the primary refuses it.
		cmd := redis.NewStringCmd(ctx, "getex", key)
		err := s.client.Process(ctx, cmd)
		return cmd.Val(), err
	})
	switch {
	case errors.Is(err, redis.Nil):
		return store.Record{}, store.ErrNotFound
	case err != nil:
		return store.Record{}, err
	}
	return decode(key, packed)
}

// Replace implements [store.Store].
func (s *Store) Replace(ctx context.Context, version string, r store.Record) error {
	done, err := s.put(ctx, "Replace", head(version), r)
	if err == nil && !done {
		return store.ErrConflict
	}
	return err
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	_, err := run(ctx, s, "Delete", key, func(key string) (int64, error) {
		return s.client.Del(ctx, key).Result()
	})
	return err
}

// run calls do with the name that key has in Redis, and returns what do
// returned or that ctx is done.
func run[T any](ctx context.Context, s *Store, verb, key string, do func(key string) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, failure(verb, err)
	}
	if strings.ContainsAny(s.Prefix, "{}") {
		return none, errors.New("redisstore: prefix with a brace")
	}
	if err := checkName("key", key); err != nil {
		return none, err
	}
	v, err := await(ctx, func() (T, error) { return do(s.Prefix + key) })
	if err == nil || err == redis.Nil {
		return v, err
	}
	if c, ok := s.client.(*redis.ClusterClient); ok && !isReply(err) {
		// The client asks for the map of the cluster anew when a node redirects
		// it, not when one has died, and could miss a fail-over for a minute.
		c.ReloadState(ctx)
	}
	return none, failure(verb, err)
}

// await calls f and waits for it, but not once ctx is done: the client minds a
// deadline only if its options say so, and a cancellation hardly at all. Then f
// goes on by itself until the client's own timeouts end it.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	if ctx.Done() == nil {
		return f()
	}
	type result struct {
		v        T
		err      error
		panicked any
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			r.panicked = recover() // a hook of the host's may; only the caller's goroutine may survive it
			done <- r
		}()
		r.v, r.err = f()
	}()
	select {
	case r := <-done:
		if r.panicked != nil {
			panic(r.panicked)
		}
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
