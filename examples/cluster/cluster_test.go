package cluster

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/aikagi/aikagi/store/redisstore/redistest"
	"github.com/aikagi/aikagi/store/sqlstore"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// postgres returns the URL of an empty database of records on s.
func postgres(t testing.TB, s *postgrestest.Server) string {
	t.Helper()
	url := s.URL(t, "pool_max_conns=8", "connect_timeout=5")
	if err := sqlstore.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return url
}

// rows counts the records of a kind in PostgreSQL.
func rows(t testing.TB, url, kind string) (n int) {
	t.Helper()
	config, err := pgxpool.ParseConfig(url) // pgx alone does not know the pool's parameters
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgx.ConnectConfig(t.Context(), config.ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if err := c.QueryRow(t.Context(), "select count(*) from aikagi_record where key like $1", kind+"%").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// keys counts the records of a kind in Redis.
func keys(t testing.TB, c *redistest.Cluster, kind string) (n int) {
	t.Helper()
	for _, s := range c.Shards {
		found, err := s.Primary.Client.Keys(t.Context(), kind+"*").Result()
		if err != nil {
			t.Fatal(err)
		}
		n += len(found)
	}
	return n
}

// flowsInStorm keeps a storm at some seconds on two processors.
const flowsInStorm = 120

// TestCalm: four processes on one database that is well. Every single-use
// artifact is used once, every revocation lasts, and what is stored in the end
// is what clients were told.
func TestCalm(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		url := postgres(t, postgrestest.Shared(t))
		s := newStorm(t, startFleet(t, 4, []string{url}, nil), true)
		s.run(flowsInStorm, 12, plans...)
		alive := s.check()
		s.report(alive)
		s.exact(alive, rows(t, url, "g"), rows(t, url, "r"))
	})
	t.Run("Redis Cluster", func(t *testing.T) {
		c := redistest.StartCluster(t, 3)
		s := newStorm(t, startFleet(t, 4, c.URLs(), nil), true)
		s.run(flowsInStorm, 12, plans...)
		alive := s.check()
		s.report(alive)
		s.exact(alive, keys(t, c, "g"), keys(t, c, "r"))
	})
}

// exact compares what is stored after a calm storm with what clients were told:
// no grant without a client that has it, and no request but those that the plan
// without a grant pushed.
func (s *storm) exact(alive, grants, requests int) {
	s.t.Helper()
	if grants != alive {
		s.t.Errorf("%d grants are stored, and %d are alive", grants, alive)
	}
	pushed := 0
	for _, f := range s.flows {
		if f.code == "" {
			pushed++
		}
	}
	if requests != pushed {
		s.t.Errorf("%d requests are stored, and %d wait for a decision", requests, pushed)
	}
	if n := s.count("request_failed"); n != 0 {
		s.t.Errorf("%d request_failed events", n)
	}
}
