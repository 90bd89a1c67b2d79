package sqlstore

import (
	"context"
	"fmt"
)

// sweepBatch is how many records Sweep removes in one statement, so that none
// holds locks for long.
const sweepBatch = 500

// Sweep removes records whose expiry was a minute ago or more by the
// database's clock, in batches of some hundred, and returns how many it
// removed, also beside an error. It returns when none is left or ctx is done.
//
// The host calls it every minute or so, from every server or from one: on
// PostgreSQL, sweepers that meet pass over each other's batches. What is swept
// late costs room and nothing else.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	removed := 0
	for {
		n, err := s.db.exec(ctx, s.sql.sweep, sweepBatch)
		removed += int(n)
		if err != nil {
			return removed, fmt.Errorf("sqlstore: sweep: %w", err)
		}
		if n < sweepBatch {
			return removed, nil
		}
	}
}
