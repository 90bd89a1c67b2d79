package token

import (
	"context"
	"time"
)

// maxIDLifetime bounds an ID token's life. It reports one sign-in; how long
// the client stays signed in is another matter.
const maxIDLifetime = time.Hour

// ID is what an ID token says (OIDC Core, 2).
type ID struct {
	// Issuer is the authorization server's identifier, an https URL (iss).
	Issuer string

	// Subject is the customer: 1 to 255 printable ASCII characters, never
	// given to anybody else (sub).
	Subject string

	// Audience is the client it is for, the only one (aud).
	Audience string

	// Nonce is the one of the authorization request, unchanged (nonce). Empty
	// if that had none.
	Nonce string

	// ACR and AMR say how the customer authenticated (acr, amr). They may be
	// empty and are then left out.
	ACR string
	AMR []string

	// AuthTime is when the customer last authenticated actively (auth_time).
	// Zero leaves it out.
	AuthTime time.Time

	// IssuedAt and Expires are the ends of its life, whole seconds and at
	// most an hour apart (iat, exp).
	IssuedAt, Expires time.Time

	// Extra are the host's claims, such as name or email. They may not use a
	// name that the protocols give a meaning, in whatever letter case; those
	// that are nil or "" are left out.
	Extra map[string]any
}

// SignID mints an ID token, signed under alg by the key that keys names for
// it. Its header has alg and kid and no typ, so that it can never pass for an
// access token.
//
// An error means that a required field is missing or malformed, that there is
// no key ([ErrNoKey]), or that the key failed.
func SignID(ctx context.Context, keys KeySet, alg string, id *ID) (string, error) {
	w := newClaims()
	w.issuer(id.Issuer)
	w.subject(id.Subject)
	w.text("aud", id.Audience) // a string: some clients trip over an array of one
	w.times(id.IssuedAt, id.Expires)
	if id.Expires.Sub(id.IssuedAt) > maxIDLifetime {
		w.fail("ID token lives longer than %v", maxIDLifetime)
	}
	w.optional("nonce", id.Nonce)
	w.authentication(id.AuthTime, id.ACR, id.AMR)
	w.extra(id.Extra)
	return w.sign(ctx, keys, alg, "", len(id.Extra) > 0)
}

// subject writes sub as OIDC Core, 2 bounds it.
func (w *claimWriter) subject(sub string) {
	if len(sub) > 255 {
		w.fail("sub is longer than 255 characters")
	}
	for i := range len(sub) {
		if sub[i] < ' ' || sub[i] > '~' {
			w.fail("sub is not printable ASCII")
		}
	}
	w.text("sub", sub)
}
