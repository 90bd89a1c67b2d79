package authz

import (
	"context"
	"slices"
	"strings"
)

// privileges are what a grant or an access token is good for: which scopes and
// details, at which APIs.
type privileges struct {
	resources []string // of a grant, where its scopes apply: empty where they say so themselves
	scopes    []string
	details   details
}

// fromGrant returns what an access token from g is good for, with scopes, some
// of the grant's: less than that where the bank took something from the client
// or an API gave something up, or where the token request asks for less. The
// grant stays as it is: the next token may have another part of it (RFC 8707,
// 2.2; RFC 9396, 6).
func (s *Server) fromGrant(ctx context.Context, req *tokenRequest, g *kept, scopes []string) (privileges, error) {
	granted, err := s.remaining(req.client.Client, privileges{g.Resources, scopes, s.held(g.Details)})
	if err != nil {
		return privileges{}, err
	}
	if granted.details, err = s.narrowDetails(ctx, req, granted.details); err != nil {
		return privileges{}, err
	}
	return s.narrow(req, granted)
}

// current returns those of the scopes granted that are left, see remaining.
func (s *Server) current(c *Client, granted []string) ([]string, error) {
	p, err := s.remaining(c, privileges{scopes: granted})
	return p.scopes, err
}

// remaining returns what of p the server still offers and the client still has
// registered: what the bank takes from a client ends for the grants it holds as
// well.
func (s *Server) remaining(c *Client, p privileges) (privileges, error) {
	registered := strings.Fields(c.Scope)
	p.scopes = slices.DeleteFunc(slices.Clone(p.scopes), func(scope string) bool {
		return !s.allows(registered, scope)
	})
	p.details = slices.DeleteFunc(p.details, func(d detail) bool { return !c.mayAsk(d.Name) })
	if len(p.scopes) == 0 && len(p.details) == 0 {
		return p, refuse("RFC6749-5.2-3", invalidScope, "nothing of the grant is registered any more")
	}
	return p, nil
}

// allows reports whether the server offers scope, and it is among those that a
// client has registered.
func (s *Server) allows(registered []string, scope string) bool {
	return slices.Contains(s.config.Scopes, scope) && slices.Contains(registered, scope)
}

// narrow returns the part of what was granted that the access token is to have:
// at the APIs that the token request names, or else at all (RFC 8707, 2.2), and
// no more than means something there (RFC 9068, 2.2.3; FAPI 2.0 SP,
// 5.3.2.1-14).
func (s *Server) narrow(req *tokenRequest, granted privileges) (p privileges, err error) {
	if p.resources, err = s.namedResources(req.Values); err != nil {
		return p, err
	}
	scoped, open, err := s.open(granted)
	if err != nil {
		return p, err
	}
	for _, id := range p.resources {
		if !slices.Contains(open, id) {
			return p, refuse("RFC8707-2.2-1", invalidTarget, "nothing was granted for the resource")
		}
	}
	if len(p.resources) == 0 {
		p.resources = open
	}
	if p.scopes, err = s.meaningful(granted.scopes, scoped, p.resources); err != nil {
		return p, err
	}
	p.details = s.among(granted.details, p.resources)
	if req.Has("authorization_details") {
		if len(p.details) < len(granted.details) {
			return p, refuse("RFC9396-6-2", invalidAuthorizationDetails, "authorization_details are for another resource")
		}
		if p.details.large() { // and no grant tells them from the rest of it
			return p, refuse("RFC9396-12-1", invalidAuthorizationDetails, "authorization_details are too large for an access token")
		}
	}
	if len(p.scopes) == 0 && len(p.details) == 0 {
		return p, refuse("RFC8707-2-3", invalidTarget, "nothing was granted for the resource")
	}
	return p, nil
}

// open returns the APIs that a token may be for. Scoped are those where the
// scopes granted may be used: the ones that the client named for them, or that
// they imply. The others are open to details alone, which name their own.
func (s *Server) open(granted privileges) (scoped, open []string, err error) {
	scoped = granted.resources
	if len(scoped) == 0 {
		scoped = s.implied(granted.scopes)
	}
	for _, r := range s.config.Resources {
		if slices.Contains(scoped, r.ID) && s.someMeaning(granted.scopes, r.ID) || s.concern(granted.details, r.ID) {
			open = append(open, r.ID)
		}
	}
	if len(open) > 0 {
		return scoped, open, nil
	}
	// Nothing but the server's own scopes is left. Their token is for what was
	// named, as long as that exists, and otherwise for the server alone: no API
	// has to wonder what openid lets a client do there.
	if len(granted.resources) == 0 {
		return scoped, []string{s.config.Issuer}, nil
	}
	for _, r := range s.config.Resources {
		if slices.Contains(granted.resources, r.ID) {
			open = append(open, r.ID)
		}
	}
	if len(open) == 0 {
		return nil, nil, refuse("RFC8707-2-3", invalidTarget, "no resource of the grant exists any more")
	}
	return scoped, open, nil
}

// meaningful returns those of the scopes that mean something at the APIs called
// aud, and are granted there because these are among scoped; and the server's
// own. One that would mean something at two is refused, whether granted there
// or not, since each would take it for its own (RFC 9068, 3).
func (s *Server) meaningful(scopes, scoped, aud []string) ([]string, error) {
	var kept []string
	for _, scope := range scopes {
		at := s.meanings(scope, aud)
		switch {
		case slices.Contains(ownScopes, scope):
			kept = append(kept, scope)
		case !slices.ContainsFunc(at, func(id string) bool { return slices.Contains(scoped, id) }): // at none of these, or not granted there
		case len(at) > 1:
			return nil, refuse("RFC9068-3-2", invalidTarget, "a scope means something at several resources: name one resource")
		default:
			kept = append(kept, scope)
		}
	}
	return kept, nil
}
