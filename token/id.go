package token

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
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

	// AccessToken is the access token that is issued beside it, whose half
	// hash it then carries (at_hash; OIDC Core, 3.1.3.6). Empty leaves it out.
	AccessToken string

	// Code and State are the authorization code and the state that the ID token
	// is a detached signature of, whose half hashes it then carries (c_hash;
	// OIDC Core, 3.3.2.11; s_hash; FAPI 1.0 Advanced, 5.2.2.1). An empty one is
	// left out.
	Code, State string

	// Session is the name by which the client knows the session of the customer
	// at the bank (sid; OpenID Connect Back-Channel Logout 1.0, 2.1). Empty leaves
	// it out.
	Session string

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
	if id.AccessToken != "" {
		w.text("at_hash", halfHash(alg, id.AccessToken))
	}
	if id.Code != "" {
		w.text("c_hash", halfHash(alg, id.Code))
	}
	if id.State != "" {
		w.text("s_hash", halfHash(alg, id.State))
	}
	w.optional("sid", id.Session)
	w.extra(id.Extra)
	claims, err := w.end(len(id.Extra) > 0)
	if err != nil {
		return "", err
	}
	return sign(ctx, keys, alg, "", claims)
}

// halfHash returns the left half of the hash of s in base64url, by the hash
// function of the signature under alg (OIDC Core, 3.1.3.6): that of Ed25519 is
// SHA-512, that of all others here SHA-256.
func halfHash(alg, s string) string {
	if alg == jose.EdDSA || alg == jose.Ed25519 {
		sum := sha512.Sum512([]byte(s))
		return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	}
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
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
