package sqlstore_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/sqlstore"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// Verbs are measured beside 1 thousand, 100 thousand and 1 million live
// grants, on servers that write to disk as in production. What counts is that
// the times do not grow, and how those of the two databases compare.
func BenchmarkSQLite(b *testing.B) {
	for _, n := range sizes {
		url := sqliteURL(b)
		s := open(b, url)
		fillSQLite(b, s, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) { verbs(b, s, n) })
	}
}

func BenchmarkPostgres(b *testing.B) {
	server := postgrestest.Start(b, "shared_buffers=512MB", "max_wal_size=4GB")
	for _, n := range sizes {
		url := server.URL(b)
		migrate(b, url)
		s := open(b, url)
		fillPostgres(b, url, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) { verbs(b, s, n) })
	}
}

var sizes = []int{1_000, 100_000, 1_000_000}

// grant returns the i-th grant of those that a table is filled with: of a
// customer with ten grants and of one of a hundred clients.
func grant(i int) store.Record {
	r := record(fmt.Sprintf("subject%d", i/10), fmt.Sprintf("client%d", i%100))
	r.Key = benchKey(i)
	r.Value = make([]byte, 400)
	for j := range r.Value {
		r.Value[j] = byte(rand.Uint32())
	}
	r.Version = benchVersion()
	r.Expires = r.Expires.Add(time.Duration(i%1000) * time.Hour)
	return r
}

// benchKey returns a key as long and as evenly spread as the library's.
func benchKey(i int) string {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(i))
	var b [32]byte
	rand.NewChaCha8(seed).Read(b[:])
	return "g" + base64.RawURLEncoding.EncodeToString(b[:])
}

func benchVersion() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func verbs(b *testing.B, s *sqlstore.Store, n int) {
	measure := func(name string, f func(ctx context.Context) error) {
		loop := func(b *testing.B, more func() bool) {
			for more() {
				if err := f(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			loop(b, b.Loop)
		})
		b.Run(name+"Parallel", func(b *testing.B) {
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) { loop(b, pb.Next) })
		})
	}
	any := func() string { return benchKey(rand.IntN(n)) }

	measure("Get", func(ctx context.Context) error {
		_, err := s.Get(ctx, any())
		return err
	})
	measure("CreateReplay", func(ctx context.Context) error {
		return s.Create(ctx, store.Record{
			Key: benchKey(n + rand.IntN(1<<60)), Version: benchVersion(), Expires: time.Now().Add(time.Minute),
		})
	})
	measure("CreateGrant", func(ctx context.Context) error { return s.Create(ctx, grant(n+rand.IntN(1<<60))) })
	measure("GetReplace", func(ctx context.Context) error { // as a code or a rotated refresh token does
		r, err := s.Get(ctx, any())
		if err != nil {
			return err
		}
		version := r.Version
		r.Version = benchVersion()
		if err := s.Replace(ctx, version, r); err != nil && err != store.ErrConflict {
			return err
		}
		return nil
	})
	measure("ListSubject", func(ctx context.Context) error {
		_, err := s.List(ctx, fmt.Sprintf("subject%d", rand.IntN(n/10)), "", 20)
		return err
	})
	measure("ListClient", func(ctx context.Context) error {
		_, err := s.List(ctx, fmt.Sprintf("client%d", rand.IntN(100)), any(), 20)
		return err
	})
	measure("CreateDelete", func(ctx context.Context) error {
		r := grant(n + rand.IntN(1<<60))
		if err := s.Create(ctx, r); err != nil {
			return err
		}
		return s.Delete(ctx, r.Key)
	})
}

// fillPostgres copies n grants into the tables.
func fillPostgres(b *testing.B, url string, n int) {
	b.Helper()
	c := connect(b, url)
	rows := pgx.CopyFromSlice(n, func(i int) ([]any, error) {
		r := grant(i)
		return []any{r.Key, r.Version, r.Value, r.Tags, r.Expires}, nil
	})
	columns := []string{"key", "version", "value", "tags", "expires"}
	if _, err := c.CopyFrom(b.Context(), pgx.Identifier{"aikagi_record"}, columns, rows); err != nil {
		b.Fatal(err)
	}
	execute(b, c, `vacuum analyze aikagi_record`)
	execute(b, c, `vacuum analyze aikagi_tag`)
	execute(b, c, `checkpoint`)
	var size string
	err := c.QueryRow(b.Context(), `select pg_total_relation_size('aikagi_record') / $1::bigint || ' + ' ||
		pg_total_relation_size('aikagi_tag') / $1::bigint`, n).Scan(&size)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d grants: %s bytes each, records and tags", n, size)
}

// fillSQLite inserts n grants into the file that s has open, in one
// transaction.
func fillSQLite(b *testing.B, s *sqlstore.Store, n int) {
	b.Helper()
	tx, err := sqlstore.Writer(s).BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	insert, err := tx.Prepare(`insert into aikagi_record values (?, ?, ?, ?, ?)`)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		r := grant(i)
		tags := `["` + strings.Join(r.Tags, `","`) + `"]`
		if _, err := insert.Exec(r.Key, r.Version, r.Value, tags, r.Expires.Unix()); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
