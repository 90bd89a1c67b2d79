package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/jackc/pgx/v5"
)

// ErrSchema is wrapped by the error of [Open] and [New] if the tables are
// missing or of a version that this package cannot work with.
var ErrSchema = errors.New("tables missing or of another version")

//go:embed migrations
var migrations embed.FS

// Migrations returns the files that make the tables, in the folders postgres
// and sqlite, for a host whose own tool runs them: all of one folder in the
// order of their names, each once, each in a transaction. They note the
// version themselves, so that [Migrate] and a tool can take turns.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // a mistake in this file
	}
	return sub
}

// Migrate creates the tables in the database at url, which is as in [Open], or
// brings them to the version of this package. On PostgreSQL that is one
// transaction, during which other calls wait, and needs a user who may create
// tables in the first schema of the search path; when there is nothing to do,
// any user will do. On SQLite it also creates the file, for its owner only.
func Migrate(ctx context.Context, url string) error {
	migrate := migratePostgres
	if isSQLite(url) {
		migrate = migrateSQLite
	}
	if err := migrate(ctx, url); err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	return nil
}

// latest is the version that the migrations lead to, the number of files.
const latest = 1

// usable returns an error unless the package can work with tables of version,
// with which programs of version oldest and later can. That a newer version is
// usable lets servers of two releases run side by side.
func usable(version, oldest int) error {
	switch {
	case version == 0:
		return fmt.Errorf("%w: found none; call Migrate or run the files of Migrations, "+
			"and see that the search path and the grants let this user find them", ErrSchema)
	case version < latest:
		return fmt.Errorf("%w: found version %d, want %d; call Migrate or run the files of Migrations",
			ErrSchema, version, latest)
	case oldest > latest:
		return fmt.Errorf("%w: found version %d, for programs of version %d or later; this one is of version %d",
			ErrSchema, version, oldest, latest)
	}
	return nil
}

// pending returns the migrations of a folder that version lacks, in order.
func pending(folder string, version int) ([]string, error) {
	entries, err := fs.ReadDir(migrations, path.Join("migrations", folder))
	if err != nil {
		return nil, err
	}
	var sql []string
	for _, e := range entries[min(version, len(entries)):] {
		text, err := fs.ReadFile(migrations, path.Join("migrations", folder, e.Name()))
		if err != nil {
			return nil, err
		}
		sql = append(sql, string(text))
	}
	return sql, nil
}

// migrationLock is the advisory lock of those who migrate, "aikagi" in ASCII.
const migrationLock = 0x61696b616769

func migratePostgres(ctx context.Context, url string) (err error) {
	config, err := parsePostgres(url)
	if err != nil {
		return err
	}
	c, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return outage(ctx, err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	// Whoever waited for the lock must see what the one before did, whatever
	// isolation level is the default.
	committed := pgx.TxOptions{IsoLevel: pgx.ReadCommitted}
	err = pgx.BeginTxFunc(ctx, c, committed, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return err
		}
		version, _, err := postgresSchema(ctx, tx)
		if err != nil {
			return err
		}
		todo, err := pending("postgres", version)
		if err != nil {
			return err
		}
		for _, sql := range todo {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return outage(ctx, err)
	}
	return nil
}
