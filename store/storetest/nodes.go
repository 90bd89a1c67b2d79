package storetest

import (
	"context"
	"sync/atomic"

	"github.com/aikagi/aikagi/store"
)

// Nodes returns a Store that hands each call to the next of stores in turn,
// for a test of handles on one database such as the nodes of a server have:
// with [Run] it finds a handle that remembers what another has changed.
func Nodes(stores ...store.Store) store.Store { return &nodes{stores: stores} }

type nodes struct {
	stores []store.Store
	turn   atomic.Uint64
}

func (n *nodes) next() store.Store { return n.stores[n.turn.Add(1)%uint64(len(n.stores))] }

func (n *nodes) Create(ctx context.Context, r store.Record) error { return n.next().Create(ctx, r) }

func (n *nodes) Get(ctx context.Context, key string) (store.Record, error) {
	return n.next().Get(ctx, key)
}

func (n *nodes) Replace(ctx context.Context, version string, r store.Record) error {
	return n.next().Replace(ctx, version, r)
}

func (n *nodes) Delete(ctx context.Context, key string) error { return n.next().Delete(ctx, key) }
