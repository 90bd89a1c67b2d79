package authz

import (
	"context"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/token"
)

// exchangeCredentials gives a client a token of its own (RFC 6749, 4.4). There
// is no customer, so there is no grant and no refresh token. A resource server
// tells such a token by its lack of a grant_id (RFC 9700, 4.15).
func (s *Server) exchangeCredentials(ctx context.Context, req *tokenRequest) (*tokenResponse, error) {
	asked, err := s.ownPrivileges(ctx, req)
	if err != nil {
		return nil, err
	}
	p, err := s.narrow(req, asked)
	if err != nil {
		return nil, err
	}
	if err := s.spend(ctx, req.client.replay); err != nil {
		return nil, err
	}
	life := s.config.AccessTokenLifetime
	req.event.Subject = req.client.ID
	access, err := s.access(ctx, req, &token.Access{Subject: req.client.ID, ID: randomText()}, p, life)
	if err != nil {
		return nil, err
	}
	return &tokenResponse{access: access, typ: req.tokenType(), life: life, privileges: p}, nil
}

// ownPrivileges returns what a client asks for itself. If that is nothing, it
// is all the scopes it registered that mean something at the API it names (RFC
// 6749, 3.3).
func (s *Server) ownPrivileges(ctx context.Context, req *tokenRequest) (p privileges, err error) {
	if p.details, err = s.ownDetails(ctx, req); err != nil {
		return p, err
	}
	if p.scopes, err = s.scopes(req.client.Client, req.Get("scope")); err != nil {
		return p, err
	}
	if slices.ContainsFunc(p.scopes, needsCustomer) {
		return p, refuse("FAPI2-SP-5.3.2.3-1", invalidScope, "openid and the scopes beside it need a customer")
	}
	if p.resources, err = s.namedResources(req.Values); err != nil {
		return p, err
	}
	if !req.Has("scope") && p.details == nil {
		p.scopes = s.own(req.client.Scope, p.resources)
	}
	if len(p.scopes) == 0 && len(p.details) == 0 {
		return p, refuse("RFC6749-3.3-2", invalidScope, "scope is missing, and the client registered none")
	}
	return p, s.checkTarget(p.scopes, p.resources)
}

// own returns the scopes of a client that concern itself and not a customer,
// that the server still offers and that mean something at one of the APIs
// named, if there are any.
func (s *Server) own(registered string, named []string) []string {
	var own []string
	for _, scope := range strings.Fields(registered) {
		switch {
		case !slices.Contains(s.config.Scopes, scope), needsCustomer(scope), slices.Contains(own, scope):
		case len(named) == 0 || s.meanings(scope, named) != nil:
			own = append(own, scope)
		}
	}
	return own
}

// needsCustomer reports whether a scope means nothing without one.
func needsCustomer(scope string) bool { return slices.Contains(ownScopes, scope) }
