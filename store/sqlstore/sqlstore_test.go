package sqlstore_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/sqlstore"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
	"github.com/aikagi/aikagi/store/storetest"
)

// TestSQLite runs the promises on a file that two Stores have open, while it
// is swept all the time.
func TestSQLite(t *testing.T) {
	promises(t, sqliteURL(t))
}

// TestPostgres runs the promises on a server in the ways that it can be
// spoken to, by two nodes, while the tables are swept all the time.
func TestPostgres(t *testing.T) {
	server := postgrestest.Shared(t)
	for _, tt := range []struct {
		name   string
		params []string
	}{
		{"as it comes", nil},
		{"every statement serializable", []string{"default_transaction_isolation=serializable"}},
		{"nothing prepared", []string{"default_query_exec_mode=exec"}}, // for poolers that share connections
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := server.URL(t, tt.params...)
			migrate(t, url)
			promises(t, url)
		})
	}
}

func promises(t *testing.T, url string) {
	nodes := func(t *testing.T) (store.Store, *sqlstore.Store) {
		a, b := open(t, url), open(t, url)
		sweepAllTheTime(t, a)
		return storetest.Nodes(a, b), b
	}
	t.Run("Store", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			s, _ := nodes(t)
			return s
		})
	})
	t.Run("Lister", func(t *testing.T) {
		storetest.RunLister(t, func(t *testing.T) (store.Store, store.Lister) {
			s, b := nodes(t)
			return s, b
		})
	})
}

// both runs f on an SQLite file and on a PostgreSQL server.
func both(t *testing.T, f func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, sqliteURL(t)) })
	t.Run("postgres", func(t *testing.T) {
		url := postgrestest.Shared(t).URL(t)
		migrate(t, url)
		f(t, url)
	})
}

// sqliteURL returns the URL of a new file with empty tables.
func sqliteURL(tb testing.TB) string {
	url := "sqlite:" + filepath.Join(tb.TempDir(), "test.db")
	migrate(tb, url)
	return url
}

func migrate(tb testing.TB, url string) {
	tb.Helper()
	if err := sqlstore.Migrate(tb.Context(), url); err != nil {
		tb.Fatal(err)
	}
}

func open(tb testing.TB, url string) *sqlstore.Store {
	tb.Helper()
	s, err := sqlstore.Open(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// sweepAllTheTime sweeps s until the test ends.
func sweepAllTheTime(t *testing.T, s *sqlstore.Store) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for t.Context().Err() == nil {
			if _, err := s.Sweep(t.Context()); err != nil && t.Context().Err() == nil {
				t.Errorf("Sweep: %v", err)
				return
			}
			select {
			case <-t.Context().Done():
			case <-tick():
			}
		}
	}()
	t.Cleanup(func() { <-done })
}

// tick is a moment later.
func tick() <-chan time.Time { return time.After(20 * time.Millisecond) }

// record returns a record that no other is like, and that expires in an hour.
func record(tags ...string) store.Record {
	return store.Record{
		Key:     "t" + rand.Text(),
		Version: rand.Text(),
		Value:   []byte("value " + rand.Text()),
		Tags:    tags,
		Expires: time.Now().Add(time.Hour).Truncate(time.Second).UTC(),
	}
}

func create(tb testing.TB, s store.Store, r store.Record) {
	tb.Helper()
	if err := s.Create(tb.Context(), r); err != nil {
		tb.Fatalf("Create: %v", err)
	}
}

// next returns what may replace r.
func next(r store.Record) store.Record {
	n := record(r.Tags...)
	n.Key = r.Key
	return n
}

// holds checks that s has exactly want.
func holds(tb testing.TB, s store.Store, want store.Record) {
	tb.Helper()
	got, err := s.Get(tb.Context(), want.Key)
	if err != nil {
		tb.Fatalf("Get: %v", err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		tb.Fatalf("Get (-want +got):\n%s", diff)
	}
}

// connect returns a connection beside those of the Store under test.
func connect(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := pgx.ConnectConfig(tb.Context(), config.ConnConfig)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func execute(tb testing.TB, c *pgx.Conn, sql string) {
	tb.Helper()
	if _, err := c.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// number returns the one number that sql asks for.
func number(tb testing.TB, c *pgx.Conn, sql string) (n int) {
	tb.Helper()
	if err := c.QueryRow(tb.Context(), sql).Scan(&n); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return n
}

// TestLimits has records just within the limits of [store.Record], and beyond.
func TestLimits(t *testing.T) {
	s := open(t, sqliteURL(t))
	name := strings.Repeat("Az09_-", 11)[:64]
	for _, tt := range []struct {
		name   string
		change func(r *store.Record)
		ok     bool
	}{
		{"all there is room for", func(r *store.Record) {
			r.Key, r.Version, r.Tags, r.Value = name, name, []string{name}, make([]byte, 64<<10)
		}, true},
		{"no key", func(r *store.Record) { r.Key = "" }, false},
		{"a key too long", func(r *store.Record) { r.Key = name + "a" }, false},
		{"a key of other letters", func(r *store.Record) { r.Key = "t.a" }, false},
		{"no version", func(r *store.Record) { r.Version = "" }, false},
		{"a version too long", func(r *store.Record) { r.Version = name + "a" }, false},
		{"an empty tag", func(r *store.Record) { r.Tags = []string{"a", ""} }, false},
		{"a tag too long", func(r *store.Record) { r.Tags = []string{name + "a"} }, false},
		{"a value too long", func(r *store.Record) { r.Value = make([]byte, 64<<10+1) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := record()
			tt.change(&r)
			if err := s.Create(t.Context(), r); (err == nil) != tt.ok {
				t.Errorf("Create: %v", err)
			}
		})
	}
}
