package authz

import (
	"context"
	"errors"
	"time"

	"github.com/aikagi/aikagi/internal/beside"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
)

// A replayID is an identifier that may be used once, such as the jti of a
// client assertion.
type replayID struct {
	artifact, owner, id string
	until               time.Time // how long the artifact could be accepted
	spent               *Error    // what its second use is answered
}

// spend marks ids as used, side by side, or returns the refusal of one that
// was used before. It fails closed: while the store is out of reach, nothing
// is accepted.
func (s *Server) spend(ctx context.Context, ids []replayID) error {
	switch len(ids) {
	case 0:
		return nil
	case 1:
		return s.spendOne(ctx, ids[0])
	}
	waits := make([]func() error, len(ids))
	for i, id := range ids {
		waits[i] = beside.Do(func() error { return s.spendOne(ctx, id) })
	}
	var first error
	for _, wait := range waits {
		if err := wait(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// key returns the key under which the use of id is remembered.
func (id replayID) key(issuer string) string {
	return grant.ReplayKey(issuer, id.artifact, id.owner, id.id)
}

func (s *Server) spendOne(ctx context.Context, id replayID) error {
	err := s.create(ctx, store.Record{
		Key:     id.key(s.config.Issuer),
		Version: grant.NewVersion(),
		Expires: id.until,
	})
	if errors.Is(err, store.ErrExists) {
		return id.spent
	}
	return err
}
