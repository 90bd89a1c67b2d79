package storetest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/aikagi/aikagi/store"
)

// Faulty is a Store that is far away and sometimes fails, for tests of what
// stands on a Store. Its fields must not be changed once it is in use.
//
// With a Latency, inside a [testing/synctest] bubble, the time that a request
// takes divided by Latency is the number of verbs it waited for one after the
// other.
type Faulty struct {
	// Store carries out the verbs.
	Store store.Store

	// Latency is how long a verb takes: half of it passes before the verb is
	// carried out, half before the answer arrives. A call whose context ends
	// in the second half fails, yet has been carried out.
	Latency time.Duration

	// Fail, if not nil, is asked before each verb. If it returns an error, the
	// verb returns that and is not carried out. Op is "Create", "Get",
	// "Replace" or "Delete".
	Fail func(op, key string) error

	// LoseReply, if not nil, is asked after each verb. If it reports true, the
	// verb, although carried out, returns an error.
	LoseReply func(op, key string) bool

	creates, gets, replaces, deletes atomic.Int64
}

var errReplyLost = errors.New("storetest: reply lost")

// Count returns how many calls of op there have been, failed ones included, or
// of all four verbs if op is empty.
func (f *Faulty) Count(op string) int {
	var n int64
	for _, verb := range []string{"Create", "Get", "Replace", "Delete"} {
		if op == "" || op == verb {
			n += f.counter(verb).Load()
		}
	}
	return int(n)
}

// Create implements [store.Store].
func (f *Faulty) Create(ctx context.Context, r store.Record) error {
	return f.do(ctx, "Create", r.Key, func() error { return f.Store.Create(ctx, r) })
}

// Get implements [store.Store].
func (f *Faulty) Get(ctx context.Context, key string) (store.Record, error) {
	var r store.Record
	err := f.do(ctx, "Get", key, func() (err error) {
		r, err = f.Store.Get(ctx, key)
		return err
	})
	if err != nil {
		return store.Record{}, err
	}
	return r, nil
}

// Replace implements [store.Store].
func (f *Faulty) Replace(ctx context.Context, version string, r store.Record) error {
	return f.do(ctx, "Replace", r.Key, func() error { return f.Store.Replace(ctx, version, r) })
}

// Delete implements [store.Store].
func (f *Faulty) Delete(ctx context.Context, key string) error {
	return f.do(ctx, "Delete", key, func() error { return f.Store.Delete(ctx, key) })
}

// do carries out a verb the way f does.
func (f *Faulty) do(ctx context.Context, op, key string, verb func() error) error {
	f.counter(op).Add(1)
	if err := sleep(ctx, f.Latency/2); err != nil {
		return err
	}
	if f.Fail != nil {
		if err := f.Fail(op, key); err != nil {
			return err
		}
	}
	err := verb()
	if f.LoseReply != nil && f.LoseReply(op, key) {
		return errReplyLost
	}
	if late := sleep(ctx, f.Latency-f.Latency/2); late != nil {
		return late
	}
	return err
}

func (f *Faulty) counter(op string) *atomic.Int64 {
	switch op {
	case "Create":
		return &f.creates
	case "Get":
		return &f.gets
	case "Replace":
		return &f.replaces
	}
	return &f.deletes
}

// sleep waits for d, or for ctx to end.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
