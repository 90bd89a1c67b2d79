// Package jose reads, checks and makes what this module signs: compact JWS
// (RFC 7515) with JSON claims (RFC 7519) and the JWK sets (RFC 7517) they are
// checked with. It is the only importer of a JOSE library, and it follows RFC
// 8725: the caller says which algorithms and which keys may count, the token
// never does. To check a token, call [Parse] and then [Token.Verify]; to make
// one, call [Sign].
//
// [Encrypt] and [Decrypt] put a token into a compact JWE (RFC 7516) and take it
// out. They stand on package crypto alone: what is decrypted is bytes, and a
// token only once it was verified.
//
// Everything here is safe for concurrent use and changes none of its
// arguments.
package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
)

// The JWS algorithms this package knows. There is no other, so neither "none"
// nor a symmetric algorithm can be switched on by any list.
const (
	PS256   = "PS256"   // RSASSA-PSS, SHA-256, salt of 32 octets (RFC 7518, 3.5)
	ES256   = "ES256"   // ECDSA, P-256, SHA-256 (RFC 7518, 3.4)
	EdDSA   = "EdDSA"   // Ed25519 under its older name (RFC 8037, 3.1); never Ed448
	Ed25519 = "Ed25519" // the same under its fully specified name (RFC 9864, 2.2)
	RS256   = "RS256"   // RSASSA-PKCS1-v1_5, SHA-256 (RFC 7518, 3.3); outside FAPI only
)

// The errors a caller decides on. All others are one of these, wrapped.
var (
	// ErrMalformed reports input that is not what it should be: no compact
	// JWS, no strict JSON, a key whose members contradict each other.
	ErrMalformed = errors.New("jose: malformed")

	// ErrTooLarge reports a token above the caller's limit.
	ErrTooLarge = errors.New("jose: token too large")

	// ErrAlgorithm reports an algorithm that is not on the caller's list or
	// does not fit the key.
	ErrAlgorithm = errors.New("jose: algorithm not allowed")

	// ErrNoKey reports that no key of the set has the token's kid and fits
	// its algorithm. A newer set may have one.
	ErrNoKey = errors.New("jose: no key fits")

	// ErrSignature reports that a key was found and the signature is wrong.
	ErrSignature = errors.New("jose: signature is not valid")

	// ErrPrivateKey reports a private or symmetric key where a public one
	// belongs: it is no secret any more. It is also ErrMalformed.
	ErrPrivateKey = fmt.Errorf("%w: private or symmetric key", ErrMalformed)

	// ErrWeakKey reports an RSA key below 2048 bits or an elliptic curve
	// below 224 bits (FAPI 2.0 SP, 5.4.1-2 and 5.4.1-3).
	ErrWeakKey = errors.New("jose: key is too weak")

	// ErrUnsupportedKey reports a key type, curve or size this package does
	// not work with, such as P-384 or a symmetric key.
	ErrUnsupportedKey = errors.New("jose: key is not supported")
)

// Bounds on RSA moduli in bits. Above the upper one a single verification
// costs a stranger nothing and us milliseconds.
const (
	minModulus = 2048
	maxModulus = 8192
)

// checkKey reports whether pub is a key that this package works with: RSA of
// 2048 to 8192 bits, P-256, or Ed25519. Nothing past it has to expect
// another type, a nil pointer or a short key.
func checkKey(pub crypto.PublicKey) error {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return checkRSA(pub)
	case *ecdsa.PublicKey:
		_, err := point(pub)
		return err
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: Ed25519 key has the wrong length", ErrMalformed)
		}
		return nil
	}
	return fmt.Errorf("%w: key type %T", ErrUnsupportedKey, pub)
}

// point returns the uncompressed point that pub is, of 65 octets.
func point(pub *ecdsa.PublicKey) ([]byte, error) {
	if pub == nil || pub.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: curve is not P-256", ErrUnsupportedKey)
	}
	p, err := pub.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: point is not on P-256", ErrMalformed) // RFC 8725, 3.4
	}
	return p, nil
}

func checkRSA(pub *rsa.PublicKey) error {
	if pub == nil || pub.N == nil {
		return fmt.Errorf("%w: RSA key without modulus", ErrMalformed)
	}
	switch bits := pub.N.BitLen(); {
	case bits < minModulus: // FAPI 2.0 SP, 5.4.1-2
		return fmt.Errorf("%w: RSA modulus of %d bits", ErrWeakKey, bits)
	case bits > maxModulus:
		return fmt.Errorf("%w: RSA modulus of %d bits", ErrUnsupportedKey, bits)
	}
	if pub.N.Sign() < 0 || pub.N.Bit(0) == 0 {
		return fmt.Errorf("%w: RSA modulus is even or negative", ErrMalformed)
	}
	if pub.E < 3 || pub.E&1 == 0 || pub.E > 1<<31-1 {
		return fmt.Errorf("%w: RSA exponent", ErrMalformed)
	}
	return nil
}

// fits reports whether a key of this type is used with alg at all. It looks
// at the type alone; checkKey looks at the key.
func fits(alg string, pub crypto.PublicKey) bool {
	switch pub.(type) {
	case *rsa.PublicKey:
		return alg == PS256 || alg == RS256
	case *ecdsa.PublicKey:
		return alg == ES256
	case ed25519.PublicKey:
		return alg == EdDSA || alg == Ed25519
	}
	return false
}

// sameAlgorithm compares algorithm names. The two names of Ed25519 are one
// algorithm, so a key registered under either serves both.
func sameAlgorithm(a, b string) bool {
	ed := func(s string) bool { return s == EdDSA || s == Ed25519 }
	return a == b || ed(a) && ed(b)
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
