package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/aikagi/aikagi/store/sqlstore"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// TestSchema opens databases whose tables are of various versions.
func TestSchema(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		for _, tt := range []struct {
			name, sql string
			usable    bool
		}{
			{"of a newer release that this one can work with", `update aikagi_schema set version = 99, oldest = 1`, true},
			{"of a newer release that this one cannot work with", `update aikagi_schema set version = 99, oldest = 98`, false},
			{"of before the first release", `update aikagi_schema set version = 0, oldest = 0`, false},
			{"missing", `drop table aikagi_schema`, false},
		} {
			t.Run(tt.name, func(t *testing.T) {
				alter(t, url, tt.sql)
				s, err := sqlstore.Open(t.Context(), url)
				if tt.usable {
					if err != nil {
						t.Fatal(err)
					}
					s.Close()
					return
				}
				if !errors.Is(err, sqlstore.ErrSchema) {
					t.Fatalf("Open: %v, want %v", err, sqlstore.ErrSchema)
				}
			})
		}
	})
	t.Run("no file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "no.db")
		if _, err := sqlstore.Open(t.Context(), "sqlite:"+path); !errors.Is(err, sqlstore.ErrSchema) {
			t.Errorf("Open: %v, want %v", err, sqlstore.ErrSchema)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open made the file: %v", err)
		}
	})
}

// alter executes SQL in the database at ref.
func alter(t *testing.T, ref, text string) {
	t.Helper()
	path, ok := strings.CutPrefix(ref, "sqlite:")
	if !ok {
		execute(t, connect(t, ref), text)
		return
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}

// empties return the URLs of databases without tables.
var empties = map[string]func(t *testing.T) string{
	"sqlite": func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "new.db") },
	"postgres": func(t *testing.T) string {
		return postgrestest.Shared(t).URL(t, "default_transaction_isolation=serializable") // the hardest to agree in
	},
}

// TestMigrateAtOnce starts many nodes on an empty database.
func TestMigrateAtOnce(t *testing.T) {
	for name, empty := range empties {
		t.Run(name, func(t *testing.T) {
			var ref string
			for range 10 {
				ref = empty(t)
				var wg sync.WaitGroup
				for range 6 {
					wg.Go(func() {
						if err := sqlstore.Migrate(t.Context(), ref); err != nil {
							t.Errorf("Migrate: %v", err)
						}
					})
				}
				wg.Wait()
			}
			s := open(t, ref)
			r := record("tag")
			create(t, s, r)
			migrate(t, ref) // beside an open Store, and with nothing to do
			holds(t, s, r)
		})
	}
}

// TestMigrations runs the files as a host's own tool does.
func TestMigrations(t *testing.T) {
	for folder, empty := range empties {
		t.Run(folder, func(t *testing.T) {
			ref := empty(t)
			files, err := fs.Glob(sqlstore.Migrations(), folder+"/*.sql")
			if err != nil || len(files) == 0 {
				t.Fatalf("files %q, error %v", files, err)
			}
			for _, name := range files {
				text, err := fs.ReadFile(sqlstore.Migrations(), name)
				if err != nil {
					t.Fatal(err)
				}
				alter(t, ref, string(text))
			}
			s := open(t, ref)
			r := record()
			create(t, s, r)
			migrate(t, ref)
			holds(t, s, r)
		})
	}
}

// TestRights works as a user who may do no more than README grants.
func TestRights(t *testing.T) {
	server := postgrestest.Shared(t)
	admin, empty := server.URL(t), server.URL(t)
	migrate(t, admin)
	c := connect(t, admin)
	role := "role_" + strings.ToLower(record().Key)
	execute(t, c, `create role `+role+` login password 'x'`)
	t.Cleanup(func() {
		for _, sql := range []string{`drop owned by `, `drop role `} {
			if _, err := c.Exec(context.Background(), sql+role); err != nil {
				t.Error(err)
			}
		}
	})
	as := func(ref string) string {
		u, err := url.Parse(ref)
		if err != nil {
			t.Fatal(err)
		}
		grants := `grant usage on schema ` + u.Query().Get("search_path") + ` to ` + role
		execute(t, c, grants)
		u.User = url.UserPassword(role, "x")
		return u.String()
	}
	app := as(admin)
	if _, err := sqlstore.Open(t.Context(), app); err == nil {
		t.Error("Open without any rights on the tables: no error")
	} else {
		t.Log(err)
	}
	execute(t, c, `grant select on aikagi_schema to `+role)
	execute(t, c, `grant select, insert, update, delete on aikagi_record, aikagi_tag to `+role)

	s := open(t, app)
	r := record("tag")
	create(t, s, r)
	n := next(r)
	n.Tags = []string{"other"}
	if err := s.Replace(t.Context(), r.Version, n); err != nil {
		t.Error(err)
	}
	holds(t, s, n)
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), n.Key); err != nil {
		t.Error(err)
	}
	migrate(t, app) // nothing to do
	var answer *pgconn.PgError
	if err := sqlstore.Migrate(t.Context(), as(empty)); !errors.As(err, &answer) || answer.Code != "42501" {
		t.Errorf("Migrate without the right: %v, want SQLSTATE 42501, insufficient_privilege", err)
	}
}

// TestOneStatement counts what a verb sends, once its statement is prepared.
func TestOneStatement(t *testing.T) {
	url := postgrestest.Shared(t).URL(t)
	migrate(t, url)
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	count := new(counter)
	config.ConnConfig.Tracer = count
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s, err := sqlstore.New(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := record("a", "b")
	n := next(r)
	for name, verb := range map[string]func() error{
		"Create":  func() error { return s.Create(t.Context(), r) },
		"Get":     func() error { s.Get(t.Context(), r.Key); return nil },
		"Replace": func() error { s.Replace(t.Context(), r.Version, n); return nil },
		"Delete":  func() error { return s.Delete(t.Context(), r.Key) },
		"List":    func() error { _, err := s.List(t.Context(), "a", "", 10); return err },
		"Sweep":   func() error { _, err := s.Sweep(t.Context()); return err },
	} {
		before := count.n
		if err := verb(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if sent := count.n - before; sent != 1 {
			t.Errorf("%s sent %d statements, want 1", name, sent)
		}
	}
	s.Close()
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("the host's pool after Close: %v", err)
	}
}

// A counter counts statements.
type counter struct{ n int }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n++
	return ctx
}

func (*counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
