package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/aikagi/aikagi/store"
)

// Each of postgresSQL is prepared once on each connection, by pgx.
var postgresSQL = statements{
	// A row that bears the version already is written once more, and counts.
	create: `
insert into aikagi_record (key, version, value, tags, expires) values ($1, $2, $3, $4, $5)
on conflict (key) do update set version = excluded.version where aikagi_record.version = excluded.version`,

	get: `
select key, version, value, tags, expires from aikagi_record where key = $1`,

	replace: `
update aikagi_record set version = $2, value = $3, tags = $4, expires = $5
where key = $1 and version in ($2, $6)`,

	delete: `
delete from aikagi_record where key = $1`,

	// The page is cut before the records are looked at, whatever the planner
	// thinks of how many bear the tag. No tag is without its record.
	list: `
select key, version, value, tags, expires
from (select key from aikagi_tag where tag = $1 and key > $2 order by key limit $3) as page
join aikagi_record using (key)
order by key`,

	// A record that was extended since the statement began is not locked, as
	// its new expiry is looked at, and so is not removed.
	sweep: `
delete from aikagi_record where key = any (array(
	select key from aikagi_record where expires < now() - interval '1 minute'
	order by expires limit $1 for update skip locked))`,
}

// postgres is a database over a pool of connections.
type postgres struct {
	pool  *pgxpool.Pool
	conns int  // the most that pool keeps
	owned bool // closed with the Store
}

func newPostgres(pool *pgxpool.Pool, owned bool) *postgres {
	return &postgres{pool: pool, conns: int(pool.Config().MaxConns), owned: owned}
}

// parsePostgres keeps the driver's error to itself, since it quotes the URL.
func parsePostgres(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("neither a postgres URL that pgx understands nor an sqlite one")
	}
	return config, nil
}

func openPostgres(ctx context.Context, url string) (*Store, error) {
	config, err := parsePostgres(url)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, outage(ctx, err)
	}
	return checked(ctx, &Store{newPostgres(pool, true), &postgresSQL})
}

func (p *postgres) close() error {
	if p.owned {
		p.pool.Close()
	}
	return nil
}

func (*postgres) row(r store.Record) ([]any, error) {
	tags := r.Tags
	if tags == nil {
		tags = []string{} // nil is null
	}
	value := r.Value
	if value == nil {
		value = []byte{}
	}
	return []any{r.Key, r.Version, value, tags, r.Expires}, nil
}

func (p *postgres) exec(ctx context.Context, sql string, args ...any) (n int64, err error) {
	err = p.repeat(ctx, func(c *pgxpool.Conn) error {
		tag, err := c.Exec(ctx, sql, args...)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

func (p *postgres) query(ctx context.Context, sql string, args ...any) (found []store.Record, err error) {
	err = p.repeat(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, scanPostgres)
		return err
	})
	return found, err
}

func scanPostgres(row pgx.CollectableRow) (r store.Record, err error) {
	var expires time.Time
	err = row.Scan(&r.Key, &r.Version, &r.Value, &r.Tags, &expires)
	r.Expires = expires.UTC()
	return r, err
}

func (p *postgres) schema(ctx context.Context) (version, oldest int, err error) {
	err = p.repeat(ctx, func(c *pgxpool.Conn) error {
		version, oldest, err = postgresSchema(ctx, c)
		return err
	})
	return version, oldest, err
}

// postgresSchema reads the version of the tables through a connection or a
// transaction.
func postgresSchema(ctx context.Context, c interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) (version, oldest int, err error) {
	var there bool
	if err := c.QueryRow(ctx, `select to_regclass('aikagi_schema') is not null`).Scan(&there); err != nil || !there {
		return 0, 0, err
	}
	err = c.QueryRow(ctx, `select version, oldest from aikagi_schema`).Scan(&version, &oldest)
	return version, oldest, err
}
