package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	driver "modernc.org/sqlite"

	"github.com/aikagi/aikagi/store"
)

var sqliteSQL = statements{
	// A row that bears the version already is written once more, and counts.
	create: `
insert into aikagi_record (key, version, value, tags, expires) values (?1, ?2, ?3, ?4, ?5)
on conflict (key) do update set version = excluded.version where aikagi_record.version = excluded.version`,

	get: `
select key, version, value, tags, expires from aikagi_record where key = ?1`,

	replace: `
update aikagi_record set version = ?2, value = ?3, tags = ?4, expires = ?5
where key = ?1 and version in (?2, ?6)`,

	delete: `
delete from aikagi_record where key = ?1`,

	list: `
select key, version, value, aikagi_record.tags, expires
from (select key from aikagi_tag where tag = ?1 and key > ?2 order by key limit ?3) as page
join aikagi_record using (key)
order by key`,

	sweep: `
delete from aikagi_record where key in (
	select key from aikagi_record where expires < unixepoch() - 60 order by expires limit ?1)`,
}

// sqlite is a database in a file. SQLite has one writer at a time: those of
// this process queue for one connection, where waiting costs nothing and ends
// with the context; those of other processes meet at the file's lock.
type sqlite struct {
	writer, readers *sql.DB
	prepared        map[string]*sql.Stmt
}

// busyTimeout is how long a writer waits for one of another process, or for
// its own checkpoint.
const busyTimeout = 5 * time.Second

const sqliteScheme = "sqlite:"

func isSQLite(url string) bool { return strings.HasPrefix(url, sqliteScheme) }

// sqlitePath returns the path in an sqlite URL.
func sqlitePath(ref string) (string, error) {
	u, err := url.Parse(ref)
	if err != nil || u.Host != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", errors.New("an sqlite URL is sqlite: and a path, without host or parameters")
	}
	path := u.Path
	if u.Opaque != "" { // relative
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return "", errors.New("the path in the sqlite URL is not well escaped")
		}
	}
	if path == "" || strings.HasPrefix(path, ":") {
		return "", errors.New("an sqlite URL needs the path of a file; store.Memory keeps records in memory")
	}
	return path, nil
}

// connect returns a pool of at most n connections to the file, which must
// exist. Every write has reached the disk when it returns: with a write-ahead
// log and synchronous=full, SQLite syncs the log on every commit.
func connect(path string, n int, more ...string) *sql.DB {
	pragmas := append([]string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(wal)",
		"synchronous(full)",
	}, more...)
	params := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": pragmas}
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + params.Encode()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		panic(err) // the driver is linked
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db
}

func openSQLite(ctx context.Context, ref string) (*Store, error) {
	path, err := sqlitePath(ref)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, usable(0, 0)
	}
	db := &sqlite{
		writer:  connect(path, 1),
		readers: connect(path, max(4, runtime.GOMAXPROCS(0)), "query_only(1)"),
	}
	s, err := checked(ctx, &Store{db, &sqliteSQL})
	if err != nil {
		return nil, err
	}
	if err := db.prepare(ctx); err != nil {
		return nil, errors.Join(err, db.close())
	}
	return s, nil
}

// prepare prepares the verbs and sees that the log is as it must be.
func (s *sqlite) prepare(ctx context.Context) error {
	var mode string
	if err := s.writer.QueryRowContext(ctx, "pragma journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return errors.New("the file system does not allow a write-ahead log")
	}
	s.prepared = make(map[string]*sql.Stmt)
	for db, verbs := range map[*sql.DB][]string{
		s.writer:  {sqliteSQL.create, sqliteSQL.replace, sqliteSQL.delete, sqliteSQL.sweep},
		s.readers: {sqliteSQL.get, sqliteSQL.list},
	} {
		for _, verb := range verbs {
			stmt, err := db.PrepareContext(ctx, verb)
			if err != nil {
				return err
			}
			s.prepared[verb] = stmt
		}
	}
	return nil
}

func (s *sqlite) close() error {
	return errors.Join(s.writer.Close(), s.readers.Close())
}

func (*sqlite) row(r store.Record) ([]any, error) {
	tags, value := "[]", r.Value
	if len(r.Tags) > 0 {
		text, err := json.Marshal(r.Tags)
		if err != nil {
			return nil, err
		}
		tags = string(text)
	}
	if value == nil {
		value = []byte{} // nil is null
	}
	return []any{r.Key, r.Version, value, tags, r.Expires.Unix()}, nil
}

func (s *sqlite) exec(ctx context.Context, verb string, args ...any) (int64, error) {
	result, err := s.prepared[verb].ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *sqlite) query(ctx context.Context, verb string, args ...any) ([]store.Record, error) {
	rows, err := s.prepared[verb].QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []store.Record
	for rows.Next() {
		var r store.Record
		var tags string
		var expires int64
		if err := rows.Scan(&r.Key, &r.Version, &r.Value, &tags, &expires); err != nil {
			return nil, err
		}
		if tags != "[]" {
			if err := json.Unmarshal([]byte(tags), &r.Tags); err != nil {
				return nil, err
			}
		}
		r.Expires = time.Unix(expires, 0).UTC()
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return found, nil
}

func (s *sqlite) schema(ctx context.Context) (version, oldest int, err error) {
	return sqliteSchema(ctx, s.writer)
}

// sqliteSchema reads the version of the tables through a pool or a
// transaction.
func sqliteSchema(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (version, oldest int, err error) {
	var there bool
	err = db.QueryRowContext(ctx, `select count(*) > 0 from sqlite_schema where name = 'aikagi_schema'`).Scan(&there)
	if err != nil || !there {
		return 0, 0, err
	}
	err = db.QueryRowContext(ctx, `select version, oldest from aikagi_schema`).Scan(&version, &oldest)
	return version, oldest, err
}

func migrateSQLite(ctx context.Context, ref string) error {
	path, err := sqlitePath(ref)
	if err != nil {
		return err
	}
	if err := createFile(path); err != nil {
		return err
	}
	db := connect(path, 1)
	defer db.Close()
	tx, err := begin(ctx, db)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	version, _, err := sqliteSchema(ctx, tx)
	if err != nil {
		return err
	}
	todo, err := pending("sqlite", version)
	if err != nil {
		return err
	}
	for _, text := range todo {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// begin begins a transaction, on a file that others may be the first to open at
// the same moment: SQLite turns the write-ahead log on for one of them and,
// whatever the busy timeout, has the others fail at once.
func begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	for end := time.Now().Add(busyTimeout); ; {
		tx, err := db.BeginTx(ctx, nil)
		var locked *driver.Error
		if !errors.As(err, &locked) || locked.Code()&0xff != sqliteBusy || time.Now().After(end) {
			return tx, err
		}
		select {
		case <-time.After(firstPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// sqliteBusy is SQLITE_BUSY, the code of which others are kinds.
const sqliteBusy = 5

// createFile creates an empty file for its owner only, which SQLite takes for
// an empty database, and whose rights it gives to the files beside it. It
// opens none that is there: to close that would release this process's locks.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}
