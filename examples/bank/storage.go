package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/redisstore"
	"github.com/aikagi/aikagi/store/sqlstore"
)

// A storage is an open store, with what goes along with it.
type storage struct {
	store.Store
	lister store.Lister                                 // nil if nothing can be listed
	sweep  func(context.Context) (removed int, _ error) // nil if it sweeps itself

	closers []io.Closer
}

func inMemory() *storage {
	m := new(store.Memory)
	return &storage{Store: m, lister: m}
}

// openTime is how long a database may take to answer when the bank starts.
const openTime = 15 * time.Second

// open opens what is planned, all of it or nothing.
func (p *storePlan) open(ctx context.Context) (*storage, error) {
	if !p.outlives() {
		return inMemory(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	s := new(storage)
	err := p.openInto(ctx, s)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (p *storePlan) openInto(ctx context.Context, s *storage) (err error) {
	if p.sql != "" {
		db, err := sqlstore.Open(ctx, p.sql)
		switch {
		case errors.Is(err, sqlstore.ErrSchema):
			return fmt.Errorf("store: %w; run the bank with -migrate once, as a user who may create tables", err)
		case err != nil:
			return fmt.Errorf("store: %w; see that the database is there and lets the bank in", err)
		}
		s.Store, s.lister, s.sweep = db, db, db.Sweep
		s.closers = append(s.closers, db)
	}
	if p.redis != nil {
		member := "store"
		if p.kinds != "" {
			member = "store_by_kind"
		}
		r, err := redisstore.Open(ctx, p.redis...)
		if err != nil {
			return fmt.Errorf("%s: %w; see that Redis is there and lets the bank in", member, err)
		}
		s.closers = append(s.closers, r)
		if p.kinds == "" {
			s.Store = r
		} else if s.Store, err = store.ByKind(s.Store, r, p.kinds); err != nil {
			return fmt.Errorf("store_by_kind: %w", err)
		}
	}
	if p.sealed.Secrets != nil {
		c := p.sealed
		c.Store, c.Lister = s.Store, s.lister
		if s.Store, s.lister, err = store.Sealed(c); err != nil {
			return fmt.Errorf("seal: %w", err)
		}
	}
	return nil
}

// close closes all that is open, in the opposite order.
func (s *storage) close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// sweepEvery is how often what has expired is removed.
const sweepEvery = time.Minute

// keepSwept removes what has expired until ctx ends. A sweep that fails costs
// room, and nothing else; the next one makes up for it.
func (s *storage) keepSwept(ctx context.Context, log *slog.Logger) {
	if s.sweep == nil {
		return
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				log.ErrorContext(ctx, "bank", "endpoint", "store", "reason", err)
			}
		}
	}
}

// runMigrate makes the tables that the bank of a file needs, and serves nobody.
func runMigrate(ctx context.Context, name string, stdout, stderr io.Writer) int {
	s, err := readConfig(name)
	if err != nil {
		return fail(stderr, 2, err)
	}
	if s.plan.sql == "" {
		return fail(stderr, 2, fmt.Errorf("%s: store: has no tables; use -migrate with an sqlite or a postgres URL there", name))
	}
	if err := sqlstore.Migrate(ctx, s.plan.sql); err != nil {
		return fail(stderr, 1, fmt.Errorf("%s: store: %w; see that the database is there and lets this user create tables", name, err))
	}
	fmt.Fprintln(stdout, "bank: the tables are there")
	return 0
}
