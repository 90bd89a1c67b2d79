package authz

import (
	"context"
	"strings"

	"github.com/aikagi/aikagi/token"
)

// exchangeCredentials gives a client a token of its own (RFC 6749, 4.4). There
// is no customer, so there is no grant and no refresh token. A resource server
// tells such a token by its lack of a grant_id (RFC 9700, 4.15).
func (s *Server) exchangeCredentials(ctx context.Context, req *tokenRequest) (*tokenResponse, error) {
	scope := req.Get("scope")
	if scope == "" { // RFC 6749, 3.3: all that the client registered
		scope = strings.Join(s.own(req.client.Scope), " ")
	}
	scopes, err := s.scopes(req.client.Client, scope)
	if err != nil {
		return nil, err
	}
	if len(scopes) == 0 {
		return nil, refuse("RFC6749-3.3-2", invalidScope, "scope is missing, and the client registered none")
	}
	for _, scope := range scopes {
		if scope == "openid" {
			return nil, refuse("FAPI2-SP-5.3.2.3-1", invalidScope, "openid needs a customer")
		}
	}
	if err := s.spend(ctx, req.client.replay); err != nil {
		return nil, err
	}
	life := s.config.AccessTokenLifetime
	req.event.Subject = req.client.ID
	access, err := s.access(ctx, req, &token.Access{Subject: req.client.ID, Scopes: scopes}, life)
	if err != nil {
		return nil, err
	}
	return &tokenResponse{access: access, typ: req.tokenType(), life: life, scopes: scopes}, nil
}

// own returns the scopes of a client that concern itself and not a customer,
// and that the server still offers.
func (s *Server) own(registered string) []string {
	var own []string
	for _, scope := range strings.Fields(registered) {
		if _, err := s.scopes(&Client{Scope: scope}, scope); err == nil && scope != "openid" {
			own = append(own, scope)
		}
	}
	return own
}
