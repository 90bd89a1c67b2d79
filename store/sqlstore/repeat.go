package sqlstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A statement is tried maxTries times, but no more once patience has passed
// since it first failed. Before each repetition passes a random part of a pause
// that doubles from firstPause up to longestPause: of rivals that failed
// together, few meet again.
const (
	maxTries     = 12
	patience     = time.Second
	firstPause   = 2 * time.Millisecond
	longestPause = 100 * time.Millisecond
)

// repeat calls f, which executes one statement, until it succeeds, fails for
// good, or has been tried often enough.
func (p *postgres) repeat(ctx context.Context, f func(*pgxpool.Conn) error) error {
	pause := firstPause
	var failed time.Time
	for try := 1; ; try++ {
		err := p.once(ctx, try > 1, f)
		if err == nil {
			return nil
		}
		if try == 1 {
			failed = time.Now()
		}
		if try == maxTries || time.Since(failed) > patience || ctx.Err() != nil || !repeatable(err) {
			return outage(ctx, err)
		}
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
			return outage(ctx, ctx.Err())
		}
		pause = min(2*pause, longestPause)
	}
}

// once calls f with a connection, which is known to live if it is asked for
// again: when a server goes down, all that are pooled break at once, and
// nobody notices until they are used.
func (p *postgres) once(ctx context.Context, again bool, f func(*pgxpool.Conn) error) error {
	for dead := 0; ; dead++ {
		c, err := p.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		if again {
			err = c.Ping(ctx)
		}
		if err == nil {
			err = f(c)
			if isReadOnly(err) {
				c.Conn().Close(ctx)
			}
			c.Release()
			return err
		}
		c.Release() // and so it leaves the pool
		if dead == p.conns || ctx.Err() != nil {
			return err
		}
	}
}

// repeatable reports whether a statement that failed with err may succeed when
// it is repeated soon. Whether it was carried out does not matter, since every
// statement of this package can be repeated.
func repeatable(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return isConnection(err)
	}
	switch answer.Code {
	case readOnly,
		"40001", // serialization_failure
		"40P01", // deadlock_detected
		"40003", // statement_completion_unknown
		"0A000", // feature_not_supported: what a prepared statement returns is of another type now
		"26000", // invalid_sql_statement_name: a pooler has forgotten what was prepared
		"57P05", // idle_session_timeout
		"53300", // too_many_connections
		"57P01", // admin_shutdown
		"57P02", // crash_shutdown
		"57P03": // cannot_connect_now
		return true
	}
	return answer.Code[:min(2, len(answer.Code))] == "08" // connection exception
}

// readOnly is read_only_sql_transaction: another server has become the
// primary. A connection to the old one is of no more use.
const readOnly = "25006"

func isReadOnly(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == readOnly
}
