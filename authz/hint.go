package authz

import (
	"context"
	"errors"
	"slices"

	"github.com/aikagi/aikagi/internal/jose"
)

// hinted returns the sub of an id_token_hint, by which client c knows the
// customer it asks for (OIDC Core, 3.1.2.1 and 3.1.2.2).
//
// The hint is an ID token of this server's, for this very client, whatever
// others may have sent it: a sub means something to the client it was made
// for. That it has expired, or that its key is retired, does not matter as long
// as the key is published. One that was encrypted to the client the client
// decrypts first; there is no key of ours to encrypt it to anew.
func (s *Server) hinted(ctx context.Context, c *Client, hint string) (sub string, err error) {
	claims, err := s.hint(ctx, c, hint)
	if err != nil {
		return "", err
	}
	sub, _ = claims.String("sub")
	return sub, nil
}

// hint returns the claims of an id_token_hint, see [Server.hinted].
func (s *Server) hint(ctx context.Context, c *Client, hint string) (claims jose.Claims, err error) {
	malformed := func(err error) error {
		return refuse("OIDC-AR-16", invalidRequest, "id_token_hint is not an ID token of this server").because(err)
	}
	if jose.IsEncrypted(hint) {
		return claims, refuse("OIDC-AR-16", invalidRequest, "id_token_hint is encrypted: send what is inside")
	}
	t, err := jose.Parse(hint, maxAssertion)
	if err != nil {
		return claims, malformed(err)
	}
	if t.Header.Type != "" && t.Header.Type != "JWT" { // an access token, say (RFC 8725, 3.12)
		return claims, malformed(errors.New("its typ is of another kind of token"))
	}
	ours, err := s.ownKeys(ctx)
	if err != nil {
		return claims, err
	}
	claims, err = t.Verify(s.algs(), ours)
	if err != nil {
		return claims, malformed(err)
	}
	iss, _ := claims.String("iss")
	aud, _ := claims.Strings("aud")
	sub, ok := claims.String("sub")
	switch {
	case iss != s.config.Issuer:
		return claims, malformed(errors.New("it is of another issuer"))
	case !slices.Contains(aud, c.ID):
		return claims, refuse("OIDC-AR-16", invalidRequest, "id_token_hint was issued to another client")
	case !ok || sub == "" || !claims.Has("iat") || !claims.Has("exp"): // signed userinfo has no exp
		return claims, malformed(errors.New("it lacks a claim that ID tokens have"))
	}
	return claims, nil
}
