package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/internal/jose"
)

// ReadAccess returns what a JWT access token says if it is one (its typ, RFC
// 9068, 2.1), a key of the set signed it under an algorithm of FAPI 2.0 SP,
// 5.4.1-1, and its claims are well formed.
//
// THAT IS NOT ENOUGH TO ACCEPT IT. Whether it has expired or was revoked, who
// issued it, for whom it is and whether it is in the hands it was issued to are
// the caller's to check. It is for an authorization server that is asked about
// its own tokens (RFC 7662, RFC 7009); an API uses a [Verifier], which checks
// all of that.
//
// The error is an [*Error] if the token is refused and anything else if the
// keys are out of reach.
func ReadAccess(ctx context.Context, keys PublicKeySet, compact string) (*Access, error) {
	_, a, err := readJWT(ctx, keys, fapiAlgorithms, compact)
	return a, err
}

// fapiAlgorithms are those of FAPI 2.0 SP, 5.4.1-1. Nobody changes the slice.
var fapiAlgorithms = []string{jose.PS256, jose.ES256, jose.EdDSA, jose.Ed25519}

// genuine returns what the token says if the issuer made it, for us, and it is
// in force (RFC 9068, 4).
func (v *Verifier) genuine(ctx context.Context, token string) (*Access, error) {
	claims, a, err := v.read(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := v.inForce(claims, a); err != nil {
		return nil, err
	}
	return a, nil
}

// read returns what the token says, in whichever of the accepted forms it is.
// A JWT has dots and the others have none, so that no token is tried as two.
func (v *Verifier) read(ctx context.Context, token string) (jose.Claims, *Access, error) {
	switch {
	case v.asks(token):
		return v.introspect(ctx, token)
	case v.config.Opaque != nil && !strings.Contains(token, "."):
		return v.config.Opaque.open(token)
	}
	return readJWT(ctx, v.config.Keys, v.config.Algorithms, token)
}

// readJWT returns what a JWT access token says if it was signed under one of
// algs by one of the keys, beside the claims it was read from.
func readJWT(ctx context.Context, set PublicKeySet, algs []string, compact string) (c jose.Claims, a *Access, err error) {
	t, err := jose.Parse(compact, maxToken)
	if err != nil {
		return c, nil, unreadable(compact, "the token is malformed", err)
	}
	if !isAccessType(t.Header.Type) {
		return c, nil, refuseToken("RFC9068-2.1-1", "the token is no access token")
	}
	keys, err := set.PublicKeys(ctx)
	if err != nil {
		return c, nil, fmt.Errorf("token: public keys: %w", err)
	}
	if c, err = t.Verify(algs, joseKeys(keys)); err != nil {
		return c, nil, badSignature(err)
	}
	a, err = readAccess(c)
	return c, a, err
}

// unreadable tells credentials that could be no token at all from a token that
// is none of ours. A good request is spared the question.
func unreadable(token, description string, err error) *Error {
	e := wrapToken("FAPI2-SP-5.3.4-3", description, err)
	if !isB64Token(token) {
		e.Status, e.Code, e.Rule = http.StatusBadRequest, invalidRequest, "RFC6750-2.1-1"
		e.Description = "the credentials are malformed"
	}
	return e
}

func wrapToken(rule, description string, err error) *Error {
	e := refuseToken(rule, description)
	e.Err = err
	return e
}

// badSignature tells the operator which of three things happened: a policy that
// is too narrow, a set that lacks a key, or a forgery.
func badSignature(err error) *Error {
	switch {
	case errors.Is(err, jose.ErrAlgorithm):
		return wrapToken("RFC9068-4-3", "the token's algorithm is not accepted", err)
	case errors.Is(err, jose.ErrNoKey):
		return wrapToken("FAPI2-SP-5.4.3-2", "the token's key is unknown", err)
	}
	return wrapToken("FAPI2-SP-5.3.4-3", "the token's signature is not valid", err)
}

// isAccessType reports whether typ is at+jwt, with or without application/
// before it (RFC 9068, 2.1).
func isAccessType(typ string) bool {
	return strings.EqualFold(typ, typeAccess) || strings.EqualFold(typ, "application/"+typeAccess)
}

func joseKeys(keys []PublicKey) []jose.Key {
	list := make([]jose.Key, len(keys))
	for i, k := range keys {
		list[i] = jose.Key{ID: k.ID, Algorithm: k.Algorithm, Public: k.Key}
	}
	return list
}

// inForce checks issuer, audience and times.
func (v *Verifier) inForce(claims jose.Claims, a *Access) error {
	now := v.config.Now()
	if a.Issuer != v.config.Issuer {
		return refuseToken("RFC9068-4-1", "the token is of another issuer")
	}
	if !slices.ContainsFunc(a.Audience, v.isMe) { // RFC 9700, 2.3
		return refuseToken("RFC9068-4-1", "the token is for another audience")
	}
	if !now.Before(a.Expires.Add(v.config.Leeway)) {
		return refuseToken("RFC9068-4-1", "the token has expired")
	}
	latest := now.Add(v.config.Ahead)
	if a.IssuedAt.After(latest) || !a.IssuedAt.Before(a.Expires) {
		return refuseToken("RFC9068-4-1", "the token's time of issue is not plausible")
	}
	if claims.Has("nbf") { // RFC 7519, 4.1.5
		if nbf, ok := claims.Time("nbf"); !ok || nbf.After(latest) {
			return refuseToken("RFC9068-4-1", "the token is not valid yet")
		}
	}
	return nil
}

// isMe reports whether aud is a name of this API.
func (v *Verifier) isMe(aud string) bool {
	return aud == v.config.Audience || slices.Contains(v.config.Aliases, aud)
}
