package authz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
)

// records are what is remembered for one issuer.
type records struct {
	store  store.Store
	issuer string
}

// A kept is a grant as it was read, with what a later write must know.
type kept struct {
	*grant.Grant
	record store.Record
}

// over reports whether nothing can come of g any more at now, be it still kept.
// While a change of it waits for its client, something can.
func (g *kept) over(now time.Time) bool {
	if !now.Before(g.record.Expires) {
		return true
	}
	return hasEnded(g.Grant, now) && (g.Pending == nil || hasEnded(g.Pending, now))
}

// hasEnded reports whether g has ended at now, or its code has that nobody
// fetched tokens for.
func hasEnded(g *grant.Grant, now time.Time) bool {
	return !g.Expires.IsZero() && !now.Before(g.Expires) || g.Code.Claim == "" && !now.Before(g.Code.Expires)
}

// create and replace are claims: they decide who was first. If a claim's
// outcome is unknown they repeat it once, which is safe, since a Store
// recognizes the version it was given before.

func (s records) create(ctx context.Context, r store.Record) error {
	return claim(ctx, func() error { return s.store.Create(ctx, r) })
}

func (s records) replace(ctx context.Context, version string, r store.Record) error {
	return claim(ctx, func() error { return s.store.Replace(ctx, version, r) })
}

// forget deletes, once more if the outcome of the first time is unknown.
func (s records) forget(ctx context.Context, key string) error {
	return claim(ctx, func() error { return s.store.Delete(ctx, key) })
}

// grantAt returns the approved grant at l, or nil if there is none any more.
func (s records) grantAt(ctx context.Context, l grant.Locator) (*kept, error) {
	return s.readGrant(ctx, l.Key(grant.KindGrant, s.issuer))
}

// grantOf is grantAt by the grant's public id. Ids of several issuers may lead to
// records in one store, and another issuer's grant is none here.
func (s records) grantOf(ctx context.Context, id string) (*kept, error) {
	g, err := s.readGrant(ctx, id)
	if err != nil || g == nil || !s.own(g) {
		return nil, err
	}
	return g, nil
}

// own reports whether g was approved at this issuer.
func (s records) own(g *kept) bool {
	return g.Locator.Key(grant.KindGrant, s.issuer) == g.record.Key
}

func (s records) readGrant(ctx context.Context, key string) (*kept, error) {
	rec, err := s.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g, err := grant.Decode(rec.Value)
	if err != nil {
		return nil, err
	}
	if g.Denied {
		return nil, nil
	}
	return &kept{g, rec}, nil
}

// revoke ends g and every token from it. The request goes first, so that no
// late decision can make the grant anew.
func (s records) revoke(ctx context.Context, g *kept) error {
	if err := s.endRequest(ctx, g.Locator, g.ByValue); err != nil {
		return err
	}
	return s.forget(ctx, g.record.Key)
}

// requestWaits reports whether the request at l waits for a decision.
func (s records) requestWaits(ctx context.Context, l grant.Locator) (bool, error) {
	rec, err := s.store.Get(ctx, l.Key(grant.KindRequest, s.issuer))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	decided, err := grant.IsDecided(rec.Value)
	return !decided, err
}

// endRequest makes sure that nobody can decide the request at l any more. One
// that was pushed is forgotten. One that came by value would be made anew by the
// next browser that brings it, so that it stays, marked as decided, until nobody
// takes its object any more.
func (s records) endRequest(ctx context.Context, l grant.Locator, byValue bool) error {
	key := l.Key(grant.KindRequest, s.issuer)
	if !byValue {
		return s.forget(ctx, key)
	}
	rec, err := s.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) { // expired
		return nil
	}
	if err != nil {
		return err
	}
	err = s.markDecided(ctx, rec)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	return nil // a request is written once more at most, and that is this mark
}

// markDecided replaces the request in rec, which came by value, by the mark that
// it was decided.
func (s records) markDecided(ctx context.Context, rec store.Record) error {
	req, err := grant.DecodeRequest(rec.Value)
	if err != nil || req.Decided {
		return err
	}
	mark := grant.Request{Locator: req.Locator, Client: req.Client, Expires: req.Expires, ByValue: true, Decided: true}
	version := rec.Version
	rec.Version, rec.Value = grant.NewVersion(), mark.Encode()
	return s.replace(ctx, version, rec)
}

func claim(ctx context.Context, try func() error) error {
	err := try()
	if err == nil || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
		return err
	}
	if ctx.Err() == nil {
		err = try()
		if err == nil || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("store: %w", err)
}

// detached returns a context for what must follow a write that has been made,
// whether or not the caller still waits for the answer.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}
