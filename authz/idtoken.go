package authz

import (
	"context"
	"slices"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/token"
)

// idToken makes the ID token of g beside the access token in res (OIDC Core, 2
// and 3.1.3.3), or returns "" if openid is not among the scopes. It has the
// claims that the client asked for in it by name; what it asks for by scope is
// told at userinfo alone (OIDC Core, 5.4).
//
// A refresh gets none (OIDC Core, 12.2): an ID token reports that the customer
// signed in, and nobody has.
func (s *Server) idToken(ctx context.Context, req *tokenRequest, g *kept, res *tokenResponse) (string, error) {
	if !slices.Contains(res.scopes, "openid") {
		return "", nil
	}
	c := req.client
	q, err := keptClaims(g.Claims)
	if err != nil {
		return "", err
	}
	told, err := s.tell(ctx, ClaimsRequest{Client: c.Client, Subject: g.Subject, GrantID: g.record.Key}, c.mayHear(q).idToken)
	if err != nil {
		return "", err
	}
	id := s.signedIn(c, g.Grant)
	id.AccessToken = res.access
	for _, t := range told {
		id.Extra[t.name] = t.value
	}
	if name := c.policy.refreshClaim; name != "" && s.refreshes(c, g.Grant) {
		id.Extra[name] = g.Expires.Unix()
	}
	req.event.Claims = toldNames(told)
	return s.signID(ctx, c, id, c.atTokenEndpoint())
}

// detachedSignature makes the ID token that the browser takes to the client
// beside code: a signature over code and state (OIDC Core, 3.3.2.11; FAPI 1.0
// Advanced, 5.2.2.1). It says who signed in and when, as the one from the token
// endpoint will, and nothing else of the customer, whatever the client asked.
func (in *Interaction) detachedSignature(ctx context.Context, g *grant.Grant, code string) (string, error) {
	id := in.server.signedIn(in.client, g)
	id.Code, id.State = code, in.request.State
	return in.server.signID(ctx, in.client, id, in.client.IDTokenEncryption)
}

// signedIn returns what every ID token of g says to client c.
func (s *Server) signedIn(c *caller, g *grant.Grant) *token.ID {
	now := s.now()
	id := &token.ID{
		Issuer:   s.config.Issuer,
		Subject:  s.subject(c.Client, g.Subject),
		Audience: g.Client,
		Nonce:    g.Code.Nonce,
		ACR:      g.ACR,
		AMR:      g.AMR,
		AuthTime: g.AuthTime,
		IssuedAt: now,
		Expires:  now.Add(s.config.IDTokenLifetime),
		Session:  grant.SessionID(s.config.Issuer, g.Client, g.Session),
		Extra:    make(map[string]any),
	}
	if name := c.policy.consentClaim; name != "" && g.Consent != "" {
		id.Extra[name] = g.Consent
	}
	return id
}

// atTokenEndpoint returns how an ID token is encrypted that passes through no
// browser.
func (c *caller) atTokenEndpoint() Encryption {
	if c.policy.plainID && !c.EncryptTokenEndpointIDToken {
		return Encryption{}
	}
	return c.IDTokenEncryption
}

// signID signs id as client c registered, and encrypts it by e.
func (s *Server) signID(ctx context.Context, c *caller, id *token.ID, e Encryption) (string, error) {
	signed, err := s.sign(c, c.IDTokenAlg, func(alg string) (string, error) {
		return token.SignID(ctx, s.config.Keys, alg, id)
	})
	if err != nil {
		return "", err
	}
	return s.encrypt(ctx, c, e, signed)
}

// offersOpenID reports whether the server is an OpenID provider.
func offersOpenID(c *Config) bool { return c.Interact != nil && slices.Contains(c.Scopes, "openid") }
