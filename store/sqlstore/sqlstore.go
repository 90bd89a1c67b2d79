// Package sqlstore keeps a server's records in a SQL database: PostgreSQL,
// shared by any number of servers, or an SQLite file, for the servers of one
// machine. Call [Migrate] once when the software is deployed and [Open] when
// it starts. The README beside this file tells what each database needs.
package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/aikagi/aikagi/store"
)

// A Store is a [store.Store] and a [store.Lister] in a SQL database. Each verb
// is one statement on one row.
//
// On PostgreSQL, a verb is repeated, for about half a second, after a
// serialization failure, a deadlock, or a connection that broke or leads to a
// server that is no longer the primary, even if its reply may have been lost:
// the versions of the records make that safe, but for what [store.Store] says
// of a Create that meets a Delete. What does not end within that time is an
// error, and the next call starts anew; no outage leaves a Store unusable. A
// call whose context ends returns the context's error; what it wrote may or may
// not be kept.
//
// Errors name neither host, user, database nor password. They wrap the
// context's error or, unless it is about the connection, the *pgconn.PgError
// that the server answered with.
//
// A Store never removes a record by itself: see [Store.Sweep].
type Store struct {
	db  database
	sql *statements
}

// A database carries out statements. Methods are called concurrently.
type database interface {
	// exec returns how many rows were written.
	exec(ctx context.Context, sql string, args ...any) (int64, error)

	// query returns the records read.
	query(ctx context.Context, sql string, args ...any) ([]store.Record, error)

	// row returns what r is in a row: key, version, value, tags, expires.
	row(r store.Record) ([]any, error)

	// schema returns the version of the tables, or 0 if there are none, and
	// the oldest version whose programs can work with them.
	schema(ctx context.Context) (version, oldest int, err error)

	close() error
}

// statements are the verbs in one database's dialect.
type statements struct {
	create, get, replace, delete string
	list, sweep                  string
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Lister = (*Store)(nil)
)

// Open opens the database at url and checks the version of its tables, which
// it neither creates nor changes; an error that wraps [ErrSchema] tells that
// [Migrate] must run first.
//
//	postgres://user:password@host/database?sslmode=verify-full
//	sqlite:/var/lib/bank/grants.db
//
// A postgres URL takes all that pgx and its pool take, multiple hosts
// included; target_session_attrs=read-write keeps them to the primary, which
// [store.Store] demands. An sqlite URL is a path, absolute or not, and nothing
// else. The caller closes the Store.
func Open(ctx context.Context, url string) (*Store, error) {
	openPool := openPostgres
	if isSQLite(url) {
		openPool = openSQLite
	}
	s, err := openPool(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: open: %w", err)
	}
	return s, nil
}

// New is Open for a host that makes its own pool, for instance because
// passwords come from elsewhere and change. The host closes the pool, after
// the Store.
func New(ctx context.Context, pool *pgxpool.Pool) (*Store, error) {
	s, err := checked(ctx, &Store{newPostgres(pool, false), &postgresSQL})
	if err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	return s, nil
}

// checked returns s if its tables are such as this package can work with.
func checked(ctx context.Context, s *Store) (*Store, error) {
	version, oldest, err := s.db.schema(ctx)
	if err == nil {
		err = usable(version, oldest)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the database, once calls under way have ended. Later ones fail.
func (s *Store) Close() error { return s.db.close() }

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, r store.Record) error {
	n, err := s.write(ctx, s.sql.create, r)
	if err != nil {
		return fmt.Errorf("sqlstore: create: %w", err)
	}
	if n == 0 {
		return store.ErrExists
	}
	return nil
}

// Get implements [store.Store]. It may return a record that has expired.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	found, err := s.db.query(ctx, s.sql.get, key)
	if err != nil {
		return store.Record{}, fmt.Errorf("sqlstore: get: %w", err)
	}
	if len(found) == 0 {
		return store.Record{}, store.ErrNotFound
	}
	return found[0], nil
}

// Replace implements [store.Store].
func (s *Store) Replace(ctx context.Context, version string, r store.Record) error {
	n, err := s.write(ctx, s.sql.replace, r, version)
	if err != nil {
		return fmt.Errorf("sqlstore: replace: %w", err)
	}
	if n == 0 {
		return store.ErrConflict
	}
	return nil
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if _, err := s.db.exec(ctx, s.sql.delete, key); err != nil {
		return fmt.Errorf("sqlstore: delete: %w", err)
	}
	return nil
}

// List implements [store.Lister]. A page is one query, whose cost depends on
// the page and not on how many records bear the tag. It may hold records that
// have expired.
func (s *Store) List(ctx context.Context, tag, after string, limit int) ([]store.Record, error) {
	if limit < 1 {
		return nil, fmt.Errorf("sqlstore: list of at most %d records, want at least 1", limit)
	}
	page, err := s.db.query(ctx, s.sql.list, tag, after, limit)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list: %w", err)
	}
	return page, nil
}

// write executes sql with the columns of r and what is needed besides.
func (s *Store) write(ctx context.Context, sql string, r store.Record, more ...any) (int64, error) {
	if err := check(r); err != nil {
		return 0, err
	}
	row, err := s.db.row(r)
	if err != nil {
		return 0, err
	}
	return s.db.exec(ctx, sql, append(row, more...)...)
}

// check refuses a record beyond the limits of [store.Record], before the
// database finds words of its own.
func check(r store.Record) error {
	switch {
	case !isName(r.Key):
		return errors.New("key is not 1 to 64 bytes of [A-Za-z0-9_-]")
	case !isName(r.Version):
		return errors.New("version is not 1 to 64 bytes of [A-Za-z0-9_-]")
	case len(r.Value) > 64<<10:
		return fmt.Errorf("value of %d bytes, want at most %d", len(r.Value), 64<<10)
	}
	for _, tag := range r.Tags {
		if !isName(tag) {
			return errors.New("tag is not 1 to 64 bytes of [A-Za-z0-9_-]")
		}
	}
	return nil
}

func isName(s string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	return len(s) >= 1 && len(s) <= 64 && strings.Trim(s, alphabet) == ""
}
