package authz

import (
	"context"
	"errors"
	"time"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/pkce"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

var errNoCode = refuse("RFC6749-4.1.3-2", invalidGrant, "code is invalid, expired or was used")

// exchangeCode turns an authorization code into tokens (RFC 6749, 4.1.3). The
// client is already authenticated, and whom the token will be bound to is
// known.
//
// Every check comes before the claim, and nothing leaves before it: a refused
// request costs the honest client nothing, a signer that fails does not burn
// the code, and a code presented twice yields tokens once. Who presents one
// twice with every proof right ends the grant: one of the two is a thief.
func (s *Server) exchangeCode(ctx context.Context, req *tokenRequest) (*tokenResponse, error) {
	if req.Get("code") == "" {
		return nil, refuse("RFC6749-4.1.3-1", invalidRequest, "code is missing")
	}
	h, err := grant.ParseHandle(req.Get("code"))
	if err != nil {
		return nil, errNoCode
	}
	g, err := s.grantAt(ctx, h.Locator)
	if err != nil {
		return nil, err
	}
	if g = g.byCode(h.Secret); g == nil {
		return nil, errNoCode
	}
	if g.Client != req.client.ID { // RFC 6749, 4.1.3
		return nil, refuse("RFC6749-4.1.3-2", invalidGrant, "code was issued to another client")
	}
	req.event.Grant, req.event.Subject = g.record.Key, g.Subject
	if req.Get("redirect_uri") != g.Code.RedirectURI { // RFC 6749, 4.1.3
		return nil, refuse("RFC6749-4.1.3-1", invalidGrant, "redirect_uri is not the one of the authorization request")
	}
	if err := req.checkVerifier(g); err != nil { // RFC 7636, 4.6
		return nil, err
	}
	if g.Code.JKT != "" && g.Code.JKT != req.holder.JKT { // RFC 9449, 10
		return nil, refuse("RFC9449-10-1", invalidGrant, "code is bound to another DPoP key")
	}
	if !s.now().Before(g.Code.Expires) { // FAPI 2.0 SP, 5.3.2.1-11
		return nil, refuse("FAPI2-SP-5.3.2.1-11", invalidGrant, "code is invalid, expired or was used")
	}
	p, err := s.fromGrant(ctx, req, g, g.Scopes)
	if err != nil {
		return nil, err
	}
	if g.Code.Claim == "" { // otherwise the grant ends, whatever the host says of a consent that may be used up by now
		if err := s.stillConsented(ctx, req, g, atCode); err != nil {
			return nil, err
		}
	}
	if err := s.spend(ctx, req.client.replay); err != nil {
		return nil, err
	}
	if g.Code.Claim != "" { // RFC 6749, 4.1.2
		return nil, s.reused(ctx, req, g)
	}
	res, err := s.issue(ctx, req, g, p)
	if err != nil {
		return nil, err
	}
	if res.id, err = s.idToken(ctx, req, g, res); err != nil {
		return nil, err
	}
	if err := s.claimCode(ctx, req, g, res); err != nil {
		return nil, err
	}
	return res, nil
}

// byCode returns the grant that the code with that secret stands for: g as it
// is, or as its pending amendment makes it. It is nil if the code is neither's.
func (g *kept) byCode(secret grant.Secret) *kept {
	switch {
	case g == nil:
	case g.Code.Secret.Matches(secret):
		return g
	case g.Pending != nil && g.Pending.Code.Secret.Matches(secret):
		return &kept{g.Pending, g.record}
	}
	return nil
}

// checkVerifier checks the code_verifier. Only a request that came by value may
// have had no code_challenge (FAPI 1.0 Advanced, 5.2.2-18), and then there is no
// verifier either (RFC 9700, 2.1.1).
func (req *tokenRequest) checkVerifier(g *kept) error {
	if g.ByValue && req.client.policy.byValue && g.Code.Challenge == "" && !req.Has("code_verifier") {
		return nil
	}
	if pkce.Verify(g.Code.Challenge, req.Get("code_verifier")) != nil {
		return refuse("RFC7636-4.6-1", invalidGrant, "code_verifier is missing or does not match")
	}
	return nil
}

// claimCode redeems g's code, and gives g a refresh token if there is to be
// one. Of any number of requests one succeeds. If g is what an amendment makes of
// the grant, that takes effect here: in one write the old refresh token and the
// old access tokens end, and the new ones begin.
func (s *Server) claimCode(ctx context.Context, req *tokenRequest, g *kept, res *tokenResponse) error {
	version := g.Epoch.Version()
	g.Code.Claim = version
	if s.refreshes(req.client, g.Grant) {
		secret := grant.NewSecret()
		g.Refresh = secret.Digest()
		res.refresh = grant.Handle{Locator: g.Locator, Secret: secret}.String()
	}
	rec := g.record
	rec.Version, rec.Value = version, g.Encode()
	rec.Expires = latest(rec.Expires, s.spent(g.Grant), g.Expires)
	err := s.replace(ctx, g.record.Version, rec)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	now, err := s.grantAt(ctx, g.Locator) // who was it?
	switch {
	case err != nil:
		return err
	case now == nil:
		return refuse("RFC6749-4.1.3-2", invalidGrant, "the grant was revoked")
	case now.Code.Claim == version:
		return nil
	case now.Code.Secret == g.Code.Secret && now.Code.Claim != "":
		return s.reused(ctx, req, now)
	case now.Code.Secret == g.Code.Secret, now.Pending != nil && now.Pending.Code.Secret == g.Code.Secret:
		return errors.New("the grant changed meanwhile") // in something else; the code is still there
	}
	return errNoCode // an amendment took its place
}

// refreshes reports whether the code of g comes with a refresh token.
func (s *Server) refreshes(c *caller, g *grant.Grant) bool {
	return c.mayUse(grantRefresh) && g.Expires.After(s.now())
}

// reused ends the grant whose code was presented again (RFC 6749, 4.1.2).
//
// Whoever presented it cannot stop that by hanging up.
func (s *Server) reused(ctx context.Context, req *tokenRequest, g *kept) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	if err := s.revoke(ctx, g); err != nil {
		return err
	}
	s.audit(ctx, Event{
		Kind: grantRevoked, Endpoint: "token", Client: g.Client, Subject: g.Subject, Grant: g.record.Key,
		Certificate: req.holder.X5T, Key: req.holder.JKT, Rule: "RFC6749-4.1.2-3", Reason: "its code was presented again",
	})
	return refuse("FAPI2-SP-5.3.2.2-9", invalidGrant, "code is invalid, expired or was used")
}

// issue makes an access token from g that is good for p.
func (s *Server) issue(ctx context.Context, req *tokenRequest, g *kept, p privileges) (*tokenResponse, error) {
	life := s.config.AccessTokenLifetime
	if !g.Expires.IsZero() { // no token outlives its grant
		life = min(life, g.Expires.Sub(s.now()).Truncate(time.Second))
	}
	if life <= 0 {
		return nil, refuse("RFC6749-5.2-3", invalidGrant, "the grant has expired")
	}
	if least := req.client.policy.tokenLeast; life < least.is {
		return nil, refuse(least.rule, invalidGrant, "the grant ends before an access token may")
	}
	p.scopes = req.client.policy.withConsent(p.scopes, g.Consent)
	access, err := s.access(ctx, req, &token.Access{
		ID:       g.Epoch.TokenID(randomText()),
		Subject:  s.subject(req.client.Client, g.Subject),
		GrantID:  g.record.Key,
		AuthTime: g.AuthTime,
		ACR:      g.ACR,
		AMR:      g.AMR,
	}, p, life)
	if err != nil {
		return nil, err
	}
	res := &tokenResponse{access: access, typ: req.tokenType(), life: life, privileges: p}
	if name := req.client.policy.arrangement; name != "" {
		res.arrangement = [2]string{name, g.record.Key}
	}
	return res, nil
}
