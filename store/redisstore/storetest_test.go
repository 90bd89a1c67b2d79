package redisstore_test

import (
	"testing"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/redisstore"
	"github.com/aikagi/aikagi/store/redisstore/redistest"
	"github.com/aikagi/aikagi/store/storetest"
)

func TestServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, server.URL()) })
}

func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	storetest.Run(t, func(t *testing.T) store.Store {
		s := open(t, cluster.URLs()...)
		s.Prefix = "bank:"
		return s
	})
}

func open(t testing.TB, urls ...string) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(t.Context(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
