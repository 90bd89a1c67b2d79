package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"
)

// A PrivateKey is a key that signs or, by its Use, decrypts: then its Signer is
// the Key of a [DecryptionKey].
type PrivateKey struct {
	Key
	Signer crypto.Signer // its Public is Key.Public

	// Members are the JWK's own members without the secret ones, for dates
	// such as nbf and exp that no specification defines for a JWK.
	Members Claims
}

// ParsePrivateSet reads a JWK set of private keys, our own. Unlike [ParseSet]
// it skips nothing: any key that cannot be used is an error, and so is one
// whose private and public members are not a pair, or whose alg is one of
// ours and does not fit. No error contains a secret.
func ParsePrivateSet(b []byte) ([]PrivateKey, error) {
	jwks, err := parseJWKs(b)
	if err != nil {
		return nil, err
	}
	keys := make([]PrivateKey, len(jwks))
	for i, jwk := range jwks {
		if keys[i], err = parsePrivateKey(jwk); err != nil {
			return nil, fmt.Errorf("key %d of the set: %w", i, err)
		}
	}
	return keys, nil
}

func parsePrivateKey(jwk Claims) (PrivateKey, error) {
	key, err := parseKey(jwk)
	if err != nil {
		return PrivateKey{}, err
	}
	known := verifiers[key.Algorithm] != nil || slices.Contains(KeyAlgorithms, key.Algorithm)
	if known && !fits(key.Algorithm, key.Public) && !agrees(key.Algorithm, key.Public) {
		return PrivateKey{}, malformed("alg does not fit the key")
	}
	signer, err := parseSigner(jwk, key.Public)
	if err != nil {
		return PrivateKey{}, err
	}
	public := slices.DeleteFunc(slices.Clone(jwk.members), func(m member) bool {
		return slices.Contains(private, m.name)
	})
	return PrivateKey{Key: key, Signer: signer, Members: Claims{public}}, nil
}

func parseSigner(jwk Claims, pub crypto.PublicKey) (crypto.Signer, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return parseRSAPrivate(jwk, pub)
	case *ecdsa.PublicKey:
		d, err := octets(jwk, "d", 32) // RFC 7518, 6.2.2.1
		if err != nil {
			return nil, err
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
		if err != nil || !key.PublicKey.Equal(pub) {
			return nil, malformed("private and public key are not a pair")
		}
		return key, nil
	default: // checkKey leaves no other
		d, err := octets(jwk, "d", ed25519.SeedSize) // RFC 8037, 2
		if err != nil {
			return nil, err
		}
		key := ed25519.NewKeyFromSeed(d)
		if !key.Public().(ed25519.PublicKey).Equal(pub) {
			return nil, malformed("private and public key are not a pair")
		}
		return key, nil
	}
}

// parseRSAPrivate needs both primes: without them signing is slow and Go
// cannot check the key. dp, dq and qi follow from them and are not read.
func parseRSAPrivate(jwk Claims, pub *rsa.PublicKey) (crypto.Signer, error) {
	if jwk.Has("oth") {
		return nil, fmt.Errorf("%w: RSA key of more than two primes", ErrUnsupportedKey)
	}
	var n [3]*big.Int
	for i, name := range []string{"d", "p", "q"} {
		b, err := octets(jwk, name, 0)
		if err != nil {
			return nil, err
		}
		n[i] = new(big.Int).SetBytes(b)
	}
	key := &rsa.PrivateKey{PublicKey: *pub, D: n[0], Primes: []*big.Int{n[1], n[2]}}
	key.Precompute()
	if err := key.Validate(); err != nil {
		return nil, malformed("private and public key are not a pair")
	}
	return key, nil
}
