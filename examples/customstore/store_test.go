package customstore_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/aikagi/aikagi/examples/customstore"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
	_ "modernc.org/sqlite"
)

// open returns a Store on the SQLite database at path.
func open(t *testing.T, path string) *customstore.Store {
	t.Helper()
	// A writer waits up to ten seconds for another, readers wait for nobody, and
	// what was answered is on disk.
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	if _, err := db.ExecContext(t.Context(), customstore.Schema); err != nil {
		t.Fatal(err)
	}
	return &customstore.Store{DB: db}
}

func database(t *testing.T) string { return filepath.Join(t.TempDir(), "records.db") }

// TestStore is all that an adapter needs.
func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, database(t)) })
}

// TestNodes has two handles on one database, as two processes would.
func TestNodes(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		path := database(t)
		return storetest.Nodes(open(t, path), open(t, path))
	})
}

// TestSealed is for a host that will encrypt what is in the table.
func TestSealed(t *testing.T) {
	t.Parallel()
	storetest.RunSealed(t, func(t *testing.T) (store.Store, store.Lister) { return open(t, database(t)), nil })
}

func TestSweep(t *testing.T) {
	s := open(t, database(t))
	now := time.Now()
	keys := map[string]time.Time{
		"live":    now.Add(time.Hour),
		"expired": now.Add(-50 * time.Second),
		"old":     now.Add(-2 * time.Minute),
		"older":   now.Add(-time.Hour),
		"oldest":  now.Add(-24 * time.Hour),
	}
	for key, expires := range keys {
		if err := s.Create(t.Context(), store.Record{Key: key, Version: "1", Expires: expires}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{2, 1, 0} {
		if n, err := s.Sweep(t.Context(), 2); n != want || err != nil {
			t.Errorf("Sweep: %d, %v, want %d", n, err, want)
		}
	}
	for key, expires := range keys {
		_, err := s.Get(t.Context(), key)
		if gone := errors.Is(err, store.ErrNotFound); gone != expires.Before(now.Add(-time.Minute)) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
