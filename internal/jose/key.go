package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// A Key is a public key and what its JWK says about it.
type Key struct {
	ID        string           // kid; "" if there is none
	Use       string           // use, or what key_ops amounts to; "" if there is none, which allows any
	Algorithm string           // alg; "" if there is none, which allows any that fits
	Public    crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey on P-256, or ed25519.PublicKey
	X5C       [][]byte         // x5c as DER, the leaf, whose key is Public, first; nil if there is none
}

// A Set is a JWK set as it was published.
type Set struct {
	Keys []Key // the keys that can be used, in order; two may have the same ID

	// Skipped says why others were left out (RFC 7517, 5). By errors.Is each
	// is ErrWeakKey, ErrUnsupportedKey or ErrMalformed, so that registration
	// can refuse what a fetched set may contain.
	Skipped []error
}

// maxKeys bounds a set, so that reading one costs no more than it should.
const maxKeys = 100

// private are the members that no public key has (RFC 7518, 6.2.2, 6.3.2, 6.4).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// ParseSet reads a JWK set. It fails with [ErrMalformed] if b is no strict
// JSON or has more than 100 keys, and with [ErrPrivateKey] if it contains any
// private or symmetric key. A key that is only of no use to us is skipped.
func ParseSet(b []byte) (*Set, error) {
	jwks, err := parseJWKs(b)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	for i, jwk := range jwks {
		if slices.ContainsFunc(private, jwk.Has) {
			return nil, fmt.Errorf("%w in a public JWK set", ErrPrivateKey)
		}
		key, err := parseKey(jwk)
		if err != nil {
			set.Skipped = append(set.Skipped, fmt.Errorf("key %d of the set: %w", i, err))
			continue
		}
		set.Keys = append(set.Keys, key)
	}
	return set, nil
}

// parseJWKs returns the objects in the member keys of a JWK set.
func parseJWKs(b []byte) ([]Claims, error) {
	set, err := ParseClaims(b)
	if err != nil {
		return nil, err
	}
	raw, _ := set.find("keys")
	list, ok := elements(raw)
	if !ok {
		return nil, malformed("JWK set without keys")
	}
	if len(list) > maxKeys {
		return nil, malformed("JWK set of more than 100 keys")
	}
	jwks := make([]Claims, len(list))
	for i, e := range list {
		members, err := parseObject(e)
		if err != nil {
			return nil, err
		}
		jwks[i] = Claims{members}
	}
	return jwks, nil
}

// parseKey reads the public members of a JWK.
func parseKey(jwk Claims) (Key, error) {
	var key Key
	for _, m := range []struct {
		name string
		to   *string
	}{{"kid", &key.ID}, {"use", &key.Use}, {"alg", &key.Algorithm}} {
		s, ok := jwk.String(m.name)
		if !ok && jwk.Has(m.name) {
			return Key{}, malformed(m.name + " is not a string")
		}
		*m.to = s
	}
	var err error
	if key.Use, err = parseUse(jwk, key.Use); err != nil {
		return Key{}, err
	}
	if key.Public, err = parsePublic(jwk); err != nil {
		return Key{}, err
	}
	key.X5C, err = parseX5C(jwk, key.Public)
	return key, err
}

// The operations of RFC 7517, 4.3 by the use they amount to.
var (
	signatureOps  = []string{"sign", "verify"}
	encryptionOps = []string{"encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"}
)

// parseUse returns what a key is for. Its operations say that as its use does,
// and they must agree (RFC 7517, 4.3); one that has operations alone gets the
// use they amount to, so that no key to encrypt to verifies a signature.
func parseUse(jwk Claims, use string) (string, error) {
	if !jwk.Has("key_ops") {
		return use, nil
	}
	ops, ok := jwk.Strings("key_ops")
	if !ok {
		return "", malformed("key_ops")
	}
	among := func(list []string) bool {
		return slices.ContainsFunc(ops, func(op string) bool { return slices.Contains(list, op) })
	}
	sig, enc := among(signatureOps), among(encryptionOps)
	switch {
	case use == "sig" && sig, use == "enc" && enc, use == "" && sig && enc:
		return use, nil
	case use == "" && sig:
		return "sig", nil
	case use == "" && enc:
		return "enc", nil
	}
	return "", fmt.Errorf("%w: key_ops without a use of ours", ErrUnsupportedKey)
}

// parsePublic returns a key that checkKey has nothing to say against.
func parsePublic(jwk Claims) (crypto.PublicKey, error) {
	switch kty, _ := jwk.String("kty"); kty {
	case "EC":
		return parseEC(jwk)
	case "RSA":
		return parseRSA(jwk)
	case "OKP":
		return parseOKP(jwk)
	case "":
		return nil, malformed("JWK without kty")
	}
	return nil, fmt.Errorf("%w: kty", ErrUnsupportedKey)
}

func parseEC(jwk Claims) (crypto.PublicKey, error) {
	switch crv, _ := jwk.String("crv"); {
	case crv == "P-256":
	case strings.Contains(crv, "192") || strings.Contains(crv, "160"): // no JOSE name, but seen
		return nil, fmt.Errorf("%w: elliptic curve", ErrWeakKey)
	default:
		return nil, fmt.Errorf("%w: elliptic curve", ErrUnsupportedKey)
	}
	x, err := octets(jwk, "x", 32) // full size, RFC 7518, 6.2.1.2
	if err != nil {
		return nil, err
	}
	y, err := octets(jwk, "y", 32)
	if err != nil {
		return nil, err
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, malformed("point is not on P-256") // RFC 8725, 3.4
	}
	return pub, nil
}

func parseRSA(jwk Claims) (crypto.PublicKey, error) {
	n, err := octets(jwk, "n", 0)
	if err != nil {
		return nil, err
	}
	e, err := octets(jwk, "e", 0)
	if err != nil {
		return nil, err
	}
	// RFC 7518, 2: as few octets as will do, so that a key is written one way.
	if len(n) == 0 || n[0] == 0 || len(e) == 0 || e[0] == 0 || len(e) > 4 {
		return nil, malformed("RSA modulus or exponent")
	}
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	return pub, checkRSA(pub)
}

func parseOKP(jwk Claims) (crypto.PublicKey, error) {
	if crv, _ := jwk.String("crv"); crv != "Ed25519" {
		return nil, fmt.Errorf("%w: OKP curve", ErrUnsupportedKey)
	}
	x, err := octets(jwk, "x", ed25519.PublicKeySize)
	return ed25519.PublicKey(x), err
}

// octets decodes a member in base64url. If size is not zero it must have that
// many octets.
func octets(jwk Claims, name string, size int) ([]byte, error) {
	s, ok := jwk.String(name)
	if !ok {
		return nil, malformed("JWK without " + name)
	}
	b, err := decode64(s)
	if err != nil {
		return nil, err
	}
	if size != 0 && len(b) != size {
		return nil, malformed("length of " + name)
	}
	return b, nil
}

// parseX5C reads a certificate chain and checks that its leaf certifies pub,
// as RFC 7517, 4.7 demands. Nothing else about the certificates is checked.
func parseX5C(jwk Claims, pub crypto.PublicKey) ([][]byte, error) {
	if !jwk.Has("x5c") {
		return nil, nil
	}
	raw, _ := jwk.find("x5c")
	list, ok := elements(raw)
	if !ok || len(list) == 0 {
		return nil, malformed("x5c is not a list of certificates")
	}
	chain := make([][]byte, len(list))
	for i, e := range list {
		s, ok := stringValue(e)
		if !ok || strings.ContainsAny(s, "\r\n") {
			return nil, malformed("x5c")
		}
		der, err := base64.StdEncoding.Strict().DecodeString(s) // not base64url, and padded
		if err != nil {
			return nil, malformed("x5c is not base64")
		}
		chain[i] = der
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, malformed("certificate in x5c")
	}
	if p, ok := pub.(interface{ Equal(crypto.PublicKey) bool }); !ok || !p.Equal(leaf.PublicKey) {
		return nil, malformed("certificate in x5c is for another key")
	}
	return chain, nil
}

// appendMembers appends the required members of a public key's JWK in
// lexicographic order, the form RFC 7638, 3 takes the thumbprint of.
func appendMembers(b []byte, pub crypto.PublicKey) ([]byte, error) {
	if pub, ok := pub.(*ecdsa.PublicKey); ok {
		p, err := point(pub)
		if err != nil {
			return nil, err
		}
		b = b64.AppendEncode(append(b, `{"crv":"P-256","kty":"EC","x":"`...), p[1:33])
		b = b64.AppendEncode(append(b, `","y":"`...), p[33:])
		return append(b, `"}`...), nil
	}
	if err := checkKey(pub); err != nil {
		return nil, err
	}
	if pub, ok := pub.(*rsa.PublicKey); ok {
		b = b64.AppendEncode(append(b, `{"e":"`...), big.NewInt(int64(pub.E)).Bytes())
		b = b64.AppendEncode(append(b, `","kty":"RSA","n":"`...), pub.N.Bytes())
		return append(b, `"}`...), nil
	}
	// checkKey leaves no other
	b = b64.AppendEncode(append(b, `{"crv":"Ed25519","kty":"OKP","x":"`...), pub.(ed25519.PublicKey))
	return append(b, `"}`...), nil
}

// Thumbprint returns the key's SHA-256 thumbprint in base64url (RFC 7638): 43
// characters. The error is that of a key this package does not work with.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	b, err := appendMembers(make([]byte, 0, 128), pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return b64.EncodeToString(sum[:]), nil
}

// MarshalSet writes the keys as a JWK set: their public members, and use, alg
// and kid where they are not empty. It fails if a key is one that this package
// does not work with. Of no keys it makes an empty set.
func MarshalSet(keys []Key) ([]byte, error) {
	b := []byte(`{"keys":[`)
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendMembers(b, key.Public); err != nil {
			return nil, err
		}
		b = b[:len(b)-1] // more members follow
		for _, m := range [][2]string{{"use", key.Use}, {"alg", key.Algorithm}, {"kid", key.ID}} {
			if m[1] == "" {
				continue
			}
			b = append(b, `,"`+m[0]+`":`...)
			if b, err = appendString(b, m[1]); err != nil {
				return nil, err
			}
		}
		b = append(b, '}')
	}
	return append(b, "]}"...), nil
}
