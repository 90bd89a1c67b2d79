package jose

import (
	"encoding/base64"
	"slices"
	"strings"
	"sync"
)

// b64 is base64url as RFC 7515, 2 has it: no padding, and no second spelling
// of the same octets in the bits left over. It skips CR and LF, which decode64
// refuses first.
var b64 = base64.RawURLEncoding.Strict()

// A Header is what a token says about itself. It is not to be believed: the
// algorithm must be on the verifier's list, and KeyID only picks from the
// verifier's keys. The members jku, x5u and x5c are not even read, and jwk only
// by [Token.HeaderKey]; [Token.Verify] takes keys from none of them.
type Header struct {
	Algorithm string // alg
	KeyID     string // kid; "" if there is none. Whoever made the token chose it: never part of a path or a query
	Type      string // typ as it was written; "" if there is none
}

// A Token is a compact JWS taken apart, nothing of it verified.
type Token struct {
	// Header is as it came and not verified.
	Header Header

	header    Claims // all of the header
	signed    string // header and payload as they came: what the signature covers
	payload   []byte
	signature []byte

	once   sync.Once // the claims are read once, when first asked for
	claims Claims
	err    error
}

// Parse takes a compact JWS of at most limit bytes apart. A longer one is
// [ErrTooLarge] before any work is done; anything but the compact form in
// strict base64url is [ErrMalformed], and so is a header that is no strict
// JSON, lacks alg, or asks for an extension with crit or b64 (RFC 7797):
// there is none that we support.
func Parse(compact string, limit int) (*Token, error) {
	if len(compact) > limit {
		return nil, ErrTooLarge
	}
	signed, signature, ok := cutLast(compact, '.')
	if !ok {
		return nil, malformed("not a compact JWS")
	}
	header, payload, ok := strings.Cut(signed, ".")
	if !ok {
		return nil, malformed("not a compact JWS")
	}
	t := &Token{signed: signed}
	h, err := decode64(header)
	if err != nil {
		return nil, err
	}
	if t.header, err = ParseClaims(h); err != nil {
		return nil, err
	}
	if t.Header, err = readHeader(t.header); err != nil {
		return nil, err
	}
	// The five parts of a JWE end here: a dot is no base64url.
	if t.payload, err = decode64(payload); err != nil {
		return nil, err
	}
	if t.signature, err = decode64(signature); err != nil {
		return nil, err
	}
	if len(t.signature) == 0 {
		return nil, malformed("token without signature")
	}
	return t, nil
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func decode64(s string) ([]byte, error) {
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 { // faster than ContainsAny
		return nil, malformed("base64url")
	}
	b, err := b64.DecodeString(s)
	if err != nil {
		return nil, malformed("base64url")
	}
	return b, nil
}

func readHeader(c Claims) (Header, error) {
	// RFC 7515, 4.1.11: an extension that is not understood makes the token
	// invalid. With b64 the payload would not be base64url.
	if c.Has("crit") || c.Has("b64") {
		return Header{}, malformed("header with crit or b64")
	}
	alg, ok := c.String("alg")
	if !ok {
		return Header{}, malformed("header without alg")
	}
	kid, ok := c.String("kid")
	if !ok && c.Has("kid") {
		return Header{}, malformed("kid is not a string")
	}
	typ, ok := c.String("typ")
	if !ok && c.Has("typ") {
		return Header{}, malformed("typ is not a string")
	}
	return Header{Algorithm: alg, KeyID: kid, Type: typ}, nil
}

// HeaderKey returns the public key in the header's jwk (RFC 7515, 4.1.3).
// Whoever made the token chose it: a signature that it verifies proves that
// they hold its private half, not who they are. That is what a DPoP proof is
// for; ask for it nowhere else.
//
// The key has the header's kid, whatever the jwk calls it, and no certificates,
// so that [Token.Verify] considers it unless the jwk's use or alg say no. The
// error is [ErrPrivateKey], [ErrWeakKey], [ErrUnsupportedKey], or
// [ErrMalformed] if there is no key to be read.
func (t *Token) HeaderKey() (Key, error) {
	jwk, ok := t.header.Object("jwk")
	if !ok {
		return Key{}, malformed("header without a JWK object")
	}
	if slices.ContainsFunc(private, jwk.Has) {
		return Key{}, ErrPrivateKey
	}
	key, err := parseKey(jwk)
	if err != nil {
		return Key{}, err
	}
	key.ID, key.X5C = t.Header.KeyID, nil
	return key, nil
}

// UnverifiedClaims returns what the token claims although nobody has verified
// it, so that the caller can find out whose keys to verify it with. Decide
// nothing else by it. The error is [ErrMalformed] if the payload is no strict
// JSON object.
func (t *Token) UnverifiedClaims() (Claims, error) {
	t.once.Do(func() { t.claims, t.err = ParseClaims(t.payload) })
	return t.claims, t.err
}

// maxTries bounds the keys that one signature is checked with. Large RSA keys
// cost milliseconds each, and a client may publish a set of nothing else that
// any stranger's token without kid would be tried against.
const maxTries = 10

// Verify checks the token's signature and returns its claims. Times,
// audience, typ and all else are the caller's to check.
//
// The token's alg must be among algs ([ErrAlgorithm]); the comparison is by
// case, and what this package does not know is refused even if listed. Of keys
// it considers those with the token's kid, or all if the token has none, that
// are meant for signatures and for this algorithm, by use, alg and type (FAPI
// 2.0 SP, 5.4.3-1), the first ten of them. It is [ErrNoKey] if there is none,
// and [ErrSignature] if none of them fits the signature.
func (t *Token) Verify(algs []string, keys []Key) (Claims, error) {
	alg := t.Header.Algorithm
	verify := verifiers[alg]
	if verify == nil || !slices.Contains(algs, alg) {
		return Claims{}, ErrAlgorithm
	}
	err := ErrNoKey
	var signed []byte
	tries := 0
	for i := range keys {
		key := &keys[i]
		if t.Header.KeyID != "" && t.Header.KeyID != key.ID || !key.verifies(alg) {
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if signed == nil {
			signed = []byte(t.signed)
		}
		if verify(signed, t.signature, key.Public) {
			return t.UnverifiedClaims() // verified by now
		}
		err = ErrSignature
	}
	return Claims{}, err
}

// verifies reports whether the key may verify signatures under alg. Keys also
// come from places other than [ParseSet], so the key itself is checked again.
func (k *Key) verifies(alg string) bool {
	return (k.Use == "" || k.Use == "sig") &&
		(k.Algorithm == "" || sameAlgorithm(k.Algorithm, alg)) &&
		fits(alg, k.Public) && checkKey(k.Public) == nil
}
