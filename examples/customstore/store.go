// Package customstore is a [store.Store] over a plain table of a database that
// package database/sql knows, written to be read and copied by whoever writes
// their own. Each verb is one statement, and the database does the rest: see
// store/ADAPTERS.md. Its SQL is SQLite's and PostgreSQL's but for two things
// that PostgreSQL writes otherwise: placeholders ($1, $2 and so on), and the
// type of values (bytea).
//
// The table is kept simple. It forgets tags, as a Store without a
// [store.Lister] may, and does not repeat a statement whose answer was lost.
package customstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/aikagi/aikagi/store"
)

// Schema makes the table. Keys and versions must be compared byte by byte,
// which is what SQLite does by itself; other databases may need a collation
// such as PostgreSQL's "C". The index is for Sweep.
const Schema = `
create table if not exists aikagi_record (
	key     text    not null primary key,
	version text    not null,
	value   blob    not null,
	expires bigint  not null -- seconds since 1970
);
create index if not exists aikagi_record_expires on aikagi_record (expires);
`

// A Store keeps records in the table that [Schema] makes.
type Store struct {
	DB *sql.DB
}

// Create implements [store.Store]. A row of that key is left alone, and the
// statement affects no row, unless it is the one that this very call put there
// before, as its version tells. It must be one statement: if it looked first
// and inserted then, two callers could both find nothing.
func (s *Store) Create(ctx context.Context, r store.Record) error {
	const query = `
insert into aikagi_record (key, version, value, expires) values (?, ?, ?, ?)
	on conflict (key) do update set version = excluded.version
	where aikagi_record.version = excluded.version`
	result, err := s.DB.ExecContext(ctx, query, r.Key, r.Version, value(r), r.Expires.Unix())
	return expectRow(result, err, store.ErrExists)
}

// Get implements [store.Store]. It must not read from a replica that lags, and
// it does not look at the clock: what has expired is returned as long as it is
// there.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	const query = `select version, value, expires from aikagi_record where key = ?`
	r := store.Record{Key: key}
	var expires int64
	err := s.DB.QueryRowContext(ctx, query, key).Scan(&r.Version, &r.Value, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Record{}, store.ErrNotFound
	}
	if err != nil {
		return store.Record{}, err // an outage, which is none of the three errors
	}
	r.Expires = time.Unix(expires, 0)
	return r, nil
}

// Replace implements [store.Store]. The row may be at the version that the
// caller has read, or already at the new one if this call is repeated.
func (s *Store) Replace(ctx context.Context, version string, r store.Record) error {
	const query = `
update aikagi_record set version = ?, value = ?, expires = ?
	where key = ? and version in (?, ?)`
	result, err := s.DB.ExecContext(ctx, query, r.Version, value(r), r.Expires.Unix(), r.Key, version, r.Version)
	return expectRow(result, err, store.ErrConflict)
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	_, err := s.DB.ExecContext(ctx, `delete from aikagi_record where key = ?`, key)
	return err
}

// Sweep removes up to limit records that expired a minute ago or more, and
// returns how many. The host calls it every few seconds, at one node or at all,
// and again at once if it returns limit. A few hundred at a time keep it short.
// The expiry stands there twice since a record may be extended in between: most
// databases look anew at the row they delete, but not at what they chose it by.
func (s *Store) Sweep(ctx context.Context, limit int) (int, error) {
	const query = `
delete from aikagi_record where expires < ? and key in
	(select key from aikagi_record where expires < ? limit ?)`
	due := time.Now().Add(-time.Minute).Unix()
	result, err := s.DB.ExecContext(ctx, query, due, due, limit)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// value returns r's value as a driver must be given it: to drivers, nil is null.
func value(r store.Record) []byte {
	if r.Value == nil {
		return []byte{}
	}
	return r.Value
}

// expectRow returns none if a statement affected no row.
func expectRow(result sql.Result, err, none error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return none
	}
	return err
}
