package sqlstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store/sqlstore"
)

// TestMain lets the tests' program be the process that is killed.
func TestMain(m *testing.M) {
	if url := os.Getenv("SQLSTORE_TEST_WRITER"); url != "" {
		if err := write(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// write creates records for ever, each replaced once, and tells each that is
// kept.
func write(url string) error {
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, url)
	if err != nil {
		return err
	}
	for {
		r := record("tag")
		if err := s.Create(ctx, r); err != nil {
			return err
		}
		n := next(r)
		if err := s.Replace(ctx, r.Version, n); err != nil {
			return err
		}
		fmt.Println(n.Key, n.Version)
	}
}

// TestKilled kills a process that writes to a file, again and again, beside
// one that goes on. What was kept must still be there.
func TestKilled(t *testing.T) {
	url := sqliteURL(t)
	beside := open(t, url)
	kept := make(map[string]string)
	for range 5 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "SQLSTORE_TEST_WRITER="+url)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 50 {
			if !lines.Scan() {
				t.Fatal("the child ended")
			}
			if _, _, ok := strings.Cut(lines.Text(), " "); !ok {
				t.Fatalf("the child said %q", lines.Text())
			}
			key, version, _ := strings.Cut(lines.Text(), " ")
			kept[key] = version
			create(t, beside, record()) // both write
		}
		child.Process.Kill()
		for lines.Scan() { // what it said before it died
			if key, version, ok := strings.Cut(lines.Text(), " "); ok && len(version) == 26 {
				kept[key] = version
			}
		}
		child.Wait()
	}
	again := open(t, url)
	for _, s := range []*sqlstore.Store{beside, again} {
		for key, version := range kept {
			got, err := s.Get(t.Context(), key)
			if err != nil || got.Version != version {
				t.Fatalf("Get of what was kept: version %q, want %q, error %v", got.Version, version, err)
			}
		}
	}
	if n := len(pages(t, again, "tag", 100)); n < len(kept) || n > len(kept)+5 {
		t.Errorf("%d records are listed, %d are known", n, len(kept))
	}
}

// TestSQLiteSettings looks at what a crash and another user would meet.
func TestSQLiteSettings(t *testing.T) {
	url := sqliteURL(t)
	s := open(t, url)
	create(t, s, record())
	path := strings.TrimPrefix(url, "sqlite:")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", filepath.Base(info.Name()), mode)
		}
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000"} {
		var got string
		if err := sqlstore.Writer(s).QueryRow("pragma " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, want %s, error %v", pragma, got, want, err)
		}
	}
}

// TestSQLiteBusy has another process hold the file.
func TestSQLiteBusy(t *testing.T) {
	url := sqliteURL(t)
	s := open(t, url)
	r := record()
	create(t, s, r)
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "begin immediate"); err != nil {
		t.Fatal(err)
	}
	holds(t, s, r) // readers go on
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Create(ctx, record()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Create beside another writer: %v, want %v", err, context.DeadlineExceeded)
	}
	done := make(chan error)
	late := record()
	go func() { done <- s.Create(t.Context(), late) }()
	if _, err := other.ExecContext(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatalf("Create after another writer: %v", err)
	}
	holds(t, s, late)
}

// TestSQLitePaths opens files whose names need care, and refuses what is none.
func TestSQLitePaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for ref, file := range map[string]string{
		"sqlite:relative.db":                           "relative.db",
		"sqlite:" + dir + "/absolute.db":               "absolute.db",
		"sqlite://" + dir + "/slashes.db":              "slashes.db",
		"sqlite:" + dir + "/a%20b%3Fmode=memory%25.db": "a b?mode=memory%.db",
	} {
		migrate(t, ref)
		create(t, open(t, ref), record())
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for _, ref := range []string{"sqlite:", "sqlite::memory:", "sqlite://host/x.db", "sqlite:x.db?mode=memory", "sqlite:x.db#y"} {
		if _, err := sqlstore.Open(t.Context(), ref); err == nil || errors.Is(err, sqlstore.ErrSchema) {
			t.Errorf("Open %s: error %v", ref, err)
		}
		if err := sqlstore.Migrate(t.Context(), ref); err == nil {
			t.Errorf("Migrate %s: no error", ref)
		}
	}
}
