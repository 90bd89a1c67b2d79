package authz

import (
	"context"
	"slices"

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
	told, err := s.tell(ctx, ClaimsRequest{Client: c.Client, Subject: g.Subject, GrantID: g.record.Key}, q.idToken)
	if err != nil {
		return "", err
	}
	now := s.now()
	id := &token.ID{
		Issuer:      s.config.Issuer,
		Subject:     s.subject(c.Client, g.Subject),
		Audience:    g.Client,
		Nonce:       g.Code.Nonce,
		ACR:         g.ACR,
		AMR:         g.AMR,
		AuthTime:    g.AuthTime,
		IssuedAt:    now,
		Expires:     now.Add(s.config.IDTokenLifetime),
		AccessToken: res.access,
		Extra:       make(map[string]any, len(told)),
	}
	for _, t := range told {
		id.Extra[t.name] = t.value
	}
	signed, err := s.sign(c, c.IDTokenAlg, func(alg string) (string, error) {
		return token.SignID(ctx, s.config.Keys, alg, id)
	})
	if err != nil {
		return "", err
	}
	req.event.Claims = toldNames(told)
	return s.encrypt(ctx, c.Client, c.IDTokenEncryption, signed)
}

// offersOpenID reports whether the server is an OpenID provider.
func offersOpenID(c *Config) bool { return c.Interact != nil && slices.Contains(c.Scopes, "openid") }
