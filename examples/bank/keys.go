package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// keys returns what the bank signs with, and what clients may encrypt to: the
// private JWKS that the file names, or keys made up for this run. A set whose
// keys say when they begin to sign (nbf) is kept to that schedule.
func (c *configFile) keys() (token.KeySet, []authz.DecryptionKey) {
	const remedy = "name a private JWKS with EC P-256, RSA or Ed25519 keys, or leave the member out to have keys made up"
	name := c.string("keys")
	if name == "" {
		keys, err := newKeys()
		if err != nil {
			c.bad("keys", err.Error(), remedy)
		}
		decrypt, err := newDecryptionKeys()
		if err != nil {
			c.bad("keys", err.Error(), remedy)
		}
		return keys, decrypt
	}
	b := c.contents("keys", name)
	if b == nil {
		return nil, nil
	}
	found, err := readKeys(b)
	if err == nil && found.scheduled {
		var file *token.FileKeySet
		if file, err = token.OpenKeyFile(token.KeyFile{Path: c.path(name)}); err == nil {
			return file, found.decrypt
		}
	}
	if err == nil {
		var set token.KeySet
		if set, err = token.NewKeySet(found.sign...); err == nil {
			return set, found.decrypt
		}
	}
	c.bad("keys", fmt.Sprintf("%s: %v", c.path(name), err), remedy)
	return nil, nil
}

// fetchRoots reads who vouches for the servers of clients, where the bank
// fetches their keys and tells them of logouts.
func (c *configFile) fetchRoots() *x509.CertPool {
	names := c.strings("fetch_ca")
	if len(names) == 0 {
		return nil
	}
	pool := x509.NewCertPool()
	for _, name := range names {
		if b := c.contents("fetch_ca", name); b != nil && !pool.AppendCertsFromPEM(b) {
			c.bad("fetch_ca", c.path(name)+": has no certificate", "name PEM files with certificates of authorities")
		}
	}
	return pool
}

// A privateJWK is a private key as RFC 7517 and RFC 7518, 6 write it, as far as
// FAPI 2.0 signs with it.
type privateJWK struct {
	Kty, Crv, Kid, Alg, Use string
	X, Y, N, E, D, P, Q     octets
	Nbf                     json.RawMessage
}

// Octets are written in base64url without padding.
type octets []byte

// UnmarshalJSON implements [json.Unmarshaler].
func (o *octets) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	var err error
	*o, err = base64.RawURLEncoding.DecodeString(s)
	return err
}

func (o octets) int() *big.Int { return new(big.Int).SetBytes(o) }

// foundKeys are the keys of a private JWKS.
type foundKeys struct {
	sign      []token.PrivateKey
	decrypt   []authz.DecryptionKey
	scheduled bool // whether they say when they begin to sign
}

// readKeys reads a private JWKS. Errors contain nothing that is secret.
func readKeys(b []byte) (found foundKeys, err error) {
	members, err := object(b)
	if err != nil {
		return found, err
	}
	var set []privateJWK
	if json.Unmarshal(members["keys"], &set) != nil || len(set) == 0 {
		return found, errors.New("member keys is not a list of private keys")
	}
	for i, jwk := range set {
		signer, alg, err := jwk.signer()
		if err != nil {
			return found, fmt.Errorf("key %d of %d: %w", i+1, len(set), err)
		}
		if jwk.Kid == "" {
			jwk.Kid = "key-" + rand.Text()[:8]
		}
		if jwk.Use == "enc" {
			if jwk.Alg == "" {
				jwk.Alg = encryptsWith[alg]
			}
			found.decrypt = append(found.decrypt, authz.DecryptionKey{ID: jwk.Kid, Algorithm: jwk.Alg, Key: signer})
			continue
		}
		found.scheduled = found.scheduled || jwk.Nbf != nil
		if jwk.Alg != "" {
			alg = jwk.Alg
		}
		if alg == "RS256" { // FAPI 2.0 Security Profile, 5.4.1-1: nothing would be signed with it
			return found, fmt.Errorf("key %d of %d: alg is RS256; an RSA key signs PS256", i+1, len(set))
		}
		found.sign = append(found.sign, token.PrivateKey{ID: jwk.Kid, Algorithm: alg, Signer: signer})
	}
	return found, nil
}

// encryptsWith is what a key decrypts where its JWK does not say, by what a key
// of its type signs.
var encryptsWith = map[string]string{"PS256": "RSA-OAEP-256", "ES256": "ECDH-ES"}

// newDecryptionKeys makes keys that clients may encrypt to, one of each type.
func newDecryptionKeys() ([]authz.DecryptionKey, error) {
	ec, err := newKey()
	if err != nil {
		return nil, err
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return []authz.DecryptionKey{
		{ID: "rsa-oaep-256-" + rand.Text()[:6], Algorithm: "RSA-OAEP-256", Key: rsaKey},
		{ID: "ecdh-es-" + rand.Text()[:6], Algorithm: "ECDH-ES", Key: ec},
	}, nil
}

// signer returns the key and the algorithm that it signs with where the JWK
// names none.
func (k *privateJWK) signer() (crypto.Signer, string, error) {
	switch k.Kty + " " + k.Crv {
	case "EC P-256":
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), k.D)
		if err != nil {
			return nil, "", errors.New("d is not a private key of P-256")
		}
		point, err := key.PublicKey.Bytes() // 0x04, x, y
		if err != nil || !bytes.Equal(point[1:], slices.Concat(k.X, k.Y)) {
			return nil, "", errors.New("x and y do not belong to d")
		}
		return key, "ES256", nil
	case "OKP Ed25519":
		if len(k.D) != ed25519.SeedSize {
			return nil, "", errors.New("d is not a private key of Ed25519")
		}
		key := ed25519.NewKeyFromSeed(k.D)
		if !bytes.Equal(key[ed25519.SeedSize:], k.X) {
			return nil, "", errors.New("x does not belong to d")
		}
		return key, "EdDSA", nil
	case "RSA ":
		if len(k.E) == 0 || len(k.E) > 4 || len(k.P) == 0 || len(k.Q) == 0 {
			return nil, "", errors.New("e, p or q is missing or too long")
		}
		key := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: k.N.int(), E: int(k.E.int().Int64())},
			D:         k.D.int(), Primes: []*big.Int{k.P.int(), k.Q.int()},
		}
		if key.Validate() != nil {
			return nil, "", errors.New("the members do not make an RSA key")
		}
		key.Precompute()
		return key, "PS256", nil
	}
	return nil, "", fmt.Errorf("kty %q with crv %q is not supported", k.Kty, k.Crv)
}
