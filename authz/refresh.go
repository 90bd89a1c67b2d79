package authz

import (
	"context"
	"slices"

	"github.com/aikagi/aikagi/internal/grant"
)

// exchangeRefresh turns a refresh token into an access token (RFC 6749, 6).
//
// The refresh token does not rotate (FAPI 2.0 SP, 5.3.2.1-9): it is bound to
// the client, whose authentication protects it better than a race over which
// copy is the newest. It only reads the grant, so that any number of refreshes
// do not meet, and the new access token is bound to the certificate of this
// request (RFC 8705, 7.1) or the key of its proof, be it another than before
// (RFC 9449, 5).
func (s *Server) exchangeRefresh(ctx context.Context, req *tokenRequest) (*tokenResponse, error) {
	if req.Get("refresh_token") == "" {
		return nil, refuse("RFC6749-6-1", invalidRequest, "refresh_token is missing")
	}
	dead := refuse("RFC6749-6-2", invalidGrant, "refresh_token is invalid, expired or revoked")
	h, err := grant.ParseHandle(req.Get("refresh_token"))
	if err != nil {
		return nil, dead
	}
	g, err := s.grantAt(ctx, h.Locator)
	if err != nil {
		return nil, err
	}
	if g == nil || !g.Refresh.Matches(h.Secret) {
		return nil, dead
	}
	if g.Client != req.client.ID { // RFC 6749, 6
		return nil, refuse("RFC6749-6-2", invalidGrant, "refresh_token was issued to another client")
	}
	req.event.Grant, req.event.Subject = g.record.Key, g.Subject
	if !s.now().Before(g.Expires) {
		return nil, dead
	}
	scopes, err := s.narrowScopes(req, g)
	if err != nil {
		return nil, err
	}
	p, err := s.fromGrant(ctx, req, g, scopes)
	if err != nil {
		return nil, err
	}
	if err := s.stillConsented(ctx, req, g, atRefresh); err != nil {
		return nil, err
	}
	if err := s.spend(ctx, req.client.replay); err != nil {
		return nil, err
	}
	res, err := s.issue(ctx, req, g, p)
	if err != nil {
		return nil, err
	}
	res.refresh = req.Get("refresh_token")
	return res, nil
}

// narrowScopes returns the scopes a client asks for out of those it was granted
// (RFC 6749, 6), by default all.
func (s *Server) narrowScopes(req *tokenRequest, g *kept) ([]string, error) {
	if req.Get("scope") == "" {
		return g.Scopes, nil
	}
	others, consents := req.client.policy.apart(req.Get("scope"))
	if slices.ContainsFunc(consents, func(id string) bool { return id != g.Consent }) {
		return nil, refuse("BR-9", invalidScope, "scope names another consent than the grant's")
	}
	scopes, err := s.scopes(req.client.Client, others)
	if err != nil {
		return nil, err
	}
	if len(scopes) == 0 {
		return nil, refuse("RFC6749-3.3-1", invalidScope, "scope has spaces and nothing else")
	}
	for _, scope := range scopes {
		if !slices.Contains(g.Scopes, scope) {
			return nil, refuse("RFC6749-6-1", invalidScope, "scope is wider than the grant")
		}
	}
	return scopes, nil
}
