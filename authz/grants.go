package authz

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
)

// ErrNoGrant is returned for a grant that is not there, or not any more.
var ErrNoGrant = errors.New("authz: no such grant")

// Grants are what customers have approved at one issuer and not ended, for
// programs that issue nothing and need neither keys nor a [Server]: the page of
// a customer's connected services, a back office, the consent API of a region.
// Its methods may be called concurrently.
type Grants struct {
	Issuer string      // Config.Issuer of the server
	Store  store.Store // and its Config.Store

	// Lister is, optionally, what lists the store's records by their tags,
	// commonly the same as Store. It is needed for BySubject and ByClient alone.
	Lister store.Lister

	// Audit, if not nil, is told of every grant that Revoke ends.
	Audit func(context.Context, Event)

	// Now, if not nil, replaces time.Now.
	Now func() time.Time
}

// A Grant is what a customer approved for a client. It is a copy: changing it
// changes nothing.
type Grant struct {
	ID      string // as in [Interaction].GrantID and the grant_id of access tokens
	Client  string // client_id
	Subject string // the customer, Decision.Subject
	Scopes  []string
	Details []json.RawMessage // authorization_details (RFC 9396)
	Consent string            // of the host's, see [ConsentRequest]; or empty

	Created  time.Time // when it was approved first
	Expires  time.Time // when it ends; zero: with its access token
	AuthTime time.Time // when the customer had authenticated, and
	ACR      string    // how

	// Redeemed says whether the client has fetched its tokens. Until then there
	// is a code, for a minute at most.
	Redeemed bool
}

// Get returns the grant called id, or ErrNoGrant.
func (gs *Grants) Get(ctx context.Context, id string) (*Grant, error) {
	g, err := gs.read(ctx, id)
	if err != nil {
		return nil, err
	}
	if g.over(gs.now()) {
		return nil, ErrNoGrant
	}
	return shown(g), nil
}

// Revoke ends the grant called id, and every code and token from it: at once
// here, at introspection and at every API that asks ([token.VerifierConfig].Liveness),
// and at others when an access token expires, which is soon. Nobody can make the
// grant anew by a decision that is under way. What is not there is ErrNoGrant;
// after any other error it may or may not have ended, and Revoke can be
// repeated.
func (gs *Grants) Revoke(ctx context.Context, id string) error {
	g, err := gs.read(ctx, id)
	if err != nil {
		return err
	}
	ctx, cancel := detached(ctx) // who leaves now has ended it all the same
	defer cancel()
	if err := gs.records().revoke(ctx, g); err != nil {
		return err
	}
	if g.over(gs.now()) { // it had ended, and a change that is under way shall not bring it back
		return ErrNoGrant
	}
	if gs.Audit != nil {
		gs.Audit(ctx, Event{
			Kind: grantRevoked, Time: gs.now(), Issuer: gs.Issuer, Endpoint: "grants",
			Client: g.Client, Subject: g.Subject, Grant: id,
		})
	}
	return nil
}

// BySubject returns the grants of one customer whose ID is greater than after,
// "" for the first page, in the order of their ids: limit of them, or all there
// are if they are fewer. The next page begins after the ID of the last.
func (gs *Grants) BySubject(ctx context.Context, subject, after string, limit int) ([]*Grant, error) {
	return gs.list(ctx, grant.SubjectTag(gs.Issuer, subject), after, limit, func(g *kept) bool { return g.Subject == subject })
}

// ByClient is BySubject for the grants of one client.
func (gs *Grants) ByClient(ctx context.Context, client, after string, limit int) ([]*Grant, error) {
	return gs.list(ctx, grant.ClientTag(gs.Issuer, client), after, limit, func(g *kept) bool { return g.Client == client })
}

// list returns a page of the grants listed under tag. That they are whom they
// are asked of does not rest on the list.
func (gs *Grants) list(ctx context.Context, tag, after string, limit int, of func(*kept) bool) ([]*Grant, error) {
	if gs.Lister == nil {
		return nil, errors.New("authz: Grants without a Lister")
	}
	if limit < 1 {
		return nil, errors.New("authz: a page of less than one grant")
	}
	var page []*Grant
	for {
		want := limit - len(page)
		recs, err := gs.Lister.List(ctx, tag, after, want)
		if err != nil {
			return nil, err
		}
		for _, rec := range recs {
			g, err := grant.Decode(rec.Value)
			if err != nil {
				return nil, err
			}
			if k := (&kept{g, rec}); !g.Denied && gs.records().own(k) && !k.over(gs.now()) && of(k) {
				page = append(page, shown(k))
			}
			after = rec.Key
		}
		if len(recs) < want || len(page) == limit {
			return page, nil
		}
	}
}

// read returns the grant called id, if it is one of this issuer's and is kept.
func (gs *Grants) read(ctx context.Context, id string) (*kept, error) {
	if !isGrantID(id) { // the key of another record must not be looked up, or deleted
		return nil, ErrNoGrant
	}
	g, err := gs.records().grantOf(ctx, id)
	if err != nil {
		return nil, err
	}
	if g == nil {
		return nil, ErrNoGrant
	}
	return g, nil
}

func (gs *Grants) records() records { return records{gs.Store, gs.Issuer} }

func (gs *Grants) now() time.Time {
	if gs.Now != nil {
		return gs.Now()
	}
	return time.Now()
}

// shown returns what others may know of g.
func shown(g *kept) *Grant {
	s := &Grant{
		ID: g.record.Key, Client: g.Client, Subject: g.Subject, Scopes: slices.Clone(g.Scopes), Consent: g.Consent,
		Created: g.Created, Expires: g.Expires, AuthTime: g.AuthTime, ACR: g.ACR, Redeemed: g.Code.Claim != "",
	}
	for _, text := range g.Details {
		s.Details = append(s.Details, json.RawMessage(text))
	}
	return s
}
