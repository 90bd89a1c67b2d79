package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/aikagi/aikagi/internal/jose"
)

// Opaque makes and reads access tokens that only who has a secret can read, in
// place of JWTs: the client, and whoever finds one in a log, learns nothing
// from it. Nothing is stored, so that any node opens what another sealed. It is
// safe for concurrent use.
//
// A token is the claims of a JWT access token under AES-256-GCM, in base64url.
type Opaque struct {
	issuer string
	aeads  []cipher.AEAD // the first seals
}

// opaqueFormat is the first byte of every opaque token.
const opaqueFormat = 1

// NewOpaque returns an Opaque for the tokens of issuer; those of another are
// refused though it share the secrets. Secrets have 32 bytes or more each. The
// first seals and every one opens: a new one is rolled out last in the list,
// then moved first, and the old one stays until the last token it sealed has
// expired. They may serve other purposes too.
//
// Whoever has a secret can make tokens, not only read them. An API that is not
// to be trusted with that takes JWTs, or asks by an [Introspector].
//
// Nonces are random, so that a secret is good for 2^32 tokens (NIST SP
// 800-38D, 8.3): seven weeks at a thousand a second. The error names all that
// is wrong; it has no secret in it.
func NewOpaque(secrets [][]byte, issuer string) (*Opaque, error) {
	var errs []error
	if err := checkIssuer(issuer); err != nil {
		errs = append(errs, fmt.Errorf("token: opaque: %w", err))
	}
	if len(secrets) == 0 {
		errs = append(errs, errors.New("token: opaque tokens without a secret"))
	}
	o := &Opaque{issuer: issuer}
	for i, secret := range secrets {
		if len(secret) < 32 {
			errs = append(errs, fmt.Errorf("token: secret %d for opaque tokens has %d bytes, fewer than 32", i, len(secret)))
			continue
		}
		aead, err := newAEAD(secret, "aikagi access token 1")
		if err != nil {
			errs = append(errs, fmt.Errorf("token: opaque: %w", err))
		}
		o.aeads = append(o.aeads, aead)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return o, nil
}

// newAEAD derives a key for one purpose alone (RFC 5869).
func newAEAD(secret []byte, purpose string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal makes an opaque access token that says what a does. It refuses what
// [SignAccess] refuses, and what another issuer says.
func (o *Opaque) Seal(a *Access) (string, error) {
	claims, err := a.claims()
	if err != nil {
		return "", err
	}
	if a.Issuer != o.issuer {
		return "", errors.New("token: opaque token of another issuer")
	}
	b := o.aeads[0].Seal([]byte{opaqueFormat}, nil, claims, []byte(o.issuer))
	sealed := base64.RawURLEncoding.EncodeToString(b)
	if len(sealed) > maxToken {
		return "", errTooLong
	}
	return sealed, nil
}

// Open returns what an opaque access token says if it was sealed with one of
// the secrets for this issuer.
//
// THAT IS NOT ENOUGH TO ACCEPT IT, just as with [ReadAccess]. The error is an
// [*Error].
func (o *Opaque) Open(token string) (*Access, error) {
	_, a, err := o.open(token)
	return a, err
}

// open is Open, with the claims that the content was read from.
func (o *Opaque) open(token string) (c jose.Claims, a *Access, err error) {
	claims, err := o.unseal(token)
	if err != nil {
		return c, nil, unreadable(token, "the token is unknown", err)
	}
	if c, err = jose.ParseClaims(claims); err != nil {
		return c, nil, unreadable(token, "the token is unknown", err)
	}
	a, err = readAccess(c)
	return c, a, err
}

var errNotSealed = errors.New("token: not sealed here")

// unseal decrypts. A token has one spelling: the decoder alone would skip line
// breaks.
func (o *Opaque) unseal(token string) ([]byte, error) {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") {
		return nil, errNotSealed
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) == 0 || b[0] != opaqueFormat {
		return nil, errNotSealed
	}
	for _, aead := range o.aeads {
		if claims, err := aead.Open(nil, nil, b[1:], []byte(o.issuer)); err == nil {
			return claims, nil
		}
	}
	return nil, errNotSealed
}
