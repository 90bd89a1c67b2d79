package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// typeAccess is the typ header of an access token. It keeps every other JWT
// of the same issuer and key from passing for one (RFC 8725, 3.12).
const typeAccess = "at+jwt"

// A Confirmation says in whose hands a token is good (RFC 7800): its claim
// cnf. Exactly one member is set.
type Confirmation struct {
	// X5T is the thumbprint of the client's certificate, x5t#S256: the
	// SHA-256 of its DER in base64url without padding, 43 characters (RFC
	// 8705, 3.1). Package mtls computes it.
	X5T string

	// JKT is the thumbprint of the client's proof key, jkt: the SHA-256 of RFC
	// 7638 in base64url, 43 characters (RFC 9449, 6.1).
	JKT string
}

// Access is what an access token says: a JWT (RFC 9068), one that [Opaque]
// sealed, or one that the authorization server told us about (RFC 7662).
type Access struct {
	// Issuer is the authorization server's identifier, an https URL (iss).
	Issuer string

	// Subject is the customer, or the client where it acts for itself (sub). For
	// a client with pairwise subjects it is what that client knows the customer
	// by, and GrantID is what leads an API to the customer.
	Subject string

	// ClientID is the client it was issued to (client_id).
	ClientID string

	// ID is the token's own identifier, at least 128 random bits such as
	// crypto/rand.Text returns (jti). Where an [Introspector] asked, it is empty
	// if the server did not say, and so is IssuedAt.
	ID string

	// GrantID names the grant it rests on, so that a verifier can ask whether
	// that still stands (grant_id). It may be empty.
	GrantID string

	// Audience is the APIs it is meant for, at least one (aud). One is written
	// as a string.
	Audience []string

	// Scopes are what was granted, each a scope-token of RFC 6749, 3.3
	// (scope). It may be empty.
	Scopes []string

	// Details are the authorization details that were granted, each a JSON
	// object with a type (authorization_details, RFC 9396, 9.1). What a type
	// means is the API's to know: they are checked for form alone. It may be
	// empty.
	Details []json.RawMessage

	// IssuedAt and Expires are the ends of its life, whole seconds (iat, exp).
	IssuedAt, Expires time.Time

	// AuthTime is when the customer last authenticated actively, and does not
	// change on refresh (auth_time). Zero if nobody did.
	AuthTime time.Time

	// ACR and AMR say how (acr, amr). They may be empty.
	ACR string
	AMR []string

	// Confirmation binds the token to its client.
	Confirmation Confirmation

	// Extra are all claims that have no field above. When minting they may
	// not use a name that the protocols give a meaning, in whatever letter
	// case; those that are nil or "" are left out. When a [Verifier] filled
	// it, numbers are json.Number, and it is nil if there are none.
	Extra map[string]any
}

// SignAccess mints an access token, signed under alg by the key that keys
// names for it, with typ at+jwt.
//
// A token that is bound to nothing is refused: this package mints none (FAPI
// 2.0 SP, 5.3.2.1-4). An error means that a required field is missing or
// malformed, that the token would be longer than the 8 KiB a [Verifier] takes,
// that there is no key ([ErrNoKey]), or that the key failed.
func SignAccess(ctx context.Context, keys KeySet, alg string, a *Access) (string, error) {
	payload, err := a.claims()
	if err != nil {
		return "", err
	}
	signed, err := sign(ctx, keys, alg, typeAccess, payload)
	if err == nil && len(signed) > maxToken {
		return "", errTooLong
	}
	return signed, err
}

var errTooLong = errors.New("token: access token is longer than 8 KiB")

// claims returns the claims of an access token, whatever its form.
func (a *Access) claims() ([]byte, error) {
	w := newClaims()
	w.issuer(a.Issuer)
	w.text("sub", a.Subject)
	w.audience(a.Audience)
	w.text("client_id", a.ClientID)
	w.times(a.IssuedAt, a.Expires)
	w.text("jti", a.ID)
	w.scope(a.Scopes)
	w.details(a.Details)
	w.authentication(a.AuthTime, a.ACR, a.AMR)
	w.confirmation(a.Confirmation)
	w.optional("grant_id", a.GrantID)
	w.extra(a.Extra)
	return w.end(len(a.Extra) > 0 || len(a.Details) > 0)
}

func (w *claimWriter) audience(aud []string) {
	switch len(aud) {
	case 0:
		w.fail("aud is empty")
	case 1:
		w.text("aud", aud[0])
	default:
		w.list("aud", aud)
	}
}

func (w *claimWriter) scope(scopes []string) {
	for _, s := range scopes {
		if !isScope(s) {
			w.fail("scope %q is not a scope-token", s)
		}
	}
	if len(scopes) == 1 {
		w.optional("scope", scopes[0])
		return
	}
	w.optional("scope", strings.Join(scopes, " "))
}

func (w *claimWriter) confirmation(c Confirmation) {
	name, thumbprint := "x5t#S256", c.X5T
	if c.JKT != "" {
		name, thumbprint = "jkt", c.JKT
	}
	switch {
	case thumbprint == "":
		w.fail("token is bound to nothing") // FAPI 2.0 SP, 5.3.2.1-4
		return
	case c.X5T != "" && c.JKT != "":
		w.fail("token is bound to a certificate and to a key")
		return
	case !isThumbprint(thumbprint):
		w.fail("confirmation is no SHA-256 thumbprint in base64url")
		return
	}
	w.o.Raw("cnf", []byte(`{"`+name+`":"`+thumbprint+`"}`))
}

// isThumbprint reports whether s is 32 octets in base64url, spelled the one
// right way.
func isThumbprint(s string) bool {
	var b [32]byte
	if len(s) != 43 || strings.ContainsAny(s, "\r\n") {
		return false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(s))
	return err == nil && n == len(b)
}

// isScope reports whether s is a scope-token (RFC 6749, 3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}
