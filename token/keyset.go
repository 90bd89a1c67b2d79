// Package token mints and checks what the server signs: access tokens (RFC
// 9068) bound to a certificate (RFC 8705) or to a key (RFC 9449), and ID
// tokens. A resource server needs this package alone; start with
// [NewVerifier]. For certificates its listener has to ask, as
// [mtls.Policy.MutualConfig] does, and where it is a process of its own,
// [RemoteKeySet] has the keys that the server publishes. Access tokens that
// nobody else can read are made by [Opaque]; those of a server that makes them
// otherwise, an [Introspector] asks it about.
package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/aikagi/aikagi/internal/jose"
)

// ErrNoKey is returned by [KeySet.SigningKey] when the set has no key for the
// algorithm.
var ErrNoKey = errors.New("token: no key for this algorithm")

// A PublicKey is a verification key as it is published.
type PublicKey struct {
	ID        string           // kid; unique in its set
	Algorithm string           // the one JWS algorithm it is used with, such as ES256; empty allows any that fits Key
	Key       crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// A PrivateKey is a key ID and something that signs, so that a KMS or an HSM
// fits. The library hands Signer digests as package crypto defines.
type PrivateKey struct {
	ID        string        // kid; unique in its set
	Algorithm string        // the one JWS algorithm it signs with: PS256, ES256, EdDSA or Ed25519; RS256 only outside FAPI
	Signer    crypto.Signer // called concurrently
}

// PublicKeySet is all that a verifier needs.
type PublicKeySet interface {
	// PublicKeys returns every key a verifier may still meet: the current
	// ones, and retired ones until the last token they signed has expired.
	// The caller does not change the slice.
	PublicKeys(ctx context.Context) ([]PublicKey, error)
}

// KeySet holds the server's signing keys. The host rotates keys behind it.
type KeySet interface {
	PublicKeySet

	// SigningKey returns the key to sign with under alg, or ErrNoKey. The
	// signer is used before ctx ends and not after.
	SigningKey(ctx context.Context, alg string) (PrivateKey, error)
}

// staticKeys is the set that NewKeySet returns. It never changes.
type staticKeys struct {
	private []PrivateKey
	public  []PublicKey
}

// NewKeySet returns a set of keys that never changes, safe for concurrent use.
// Of several keys for one algorithm the first signs and the others are only
// published. A key for EdDSA also signs as Ed25519, its newer name (RFC 9864),
// if none is listed for that, and the other way round.
//
// There must be at least one key. Each needs an ID of its own, an algorithm
// among PS256, ES256, EdDSA, Ed25519 and RS256, and a signer that fits it: RSA
// of 2048 to 8192 bits, P-256 or Ed25519 (FAPI 2.0 SP, 5.4.1). The error names
// every key that does not.
func NewKeySet(keys ...PrivateKey) (KeySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("token: key set without keys")
	}
	set := &staticKeys{}
	var errs []error
	seen := make(map[string]bool)
	for i, key := range keys {
		if err := checkPrivateKey(key); err != nil {
			errs = append(errs, fmt.Errorf("token: key %d, kid %q: %w", i, key.ID, err))
			continue
		}
		if seen[key.ID] { // FAPI 2.0 SP, 5.4.2-3
			errs = append(errs, fmt.Errorf("token: key %d, kid %q: another key has this kid", i, key.ID))
		}
		seen[key.ID] = true
		set.private = append(set.private, key)
		set.public = append(set.public, key.public())
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return set, nil
}

// PublicKeys implements [PublicKeySet].
func (s *staticKeys) PublicKeys(context.Context) ([]PublicKey, error) { return s.public, nil }

// SigningKey implements [KeySet].
func (s *staticKeys) SigningKey(_ context.Context, alg string) (PrivateKey, error) {
	for _, name := range [...]string{alg, otherName(alg)} {
		for _, key := range s.private {
			if key.Algorithm == name {
				return key, nil
			}
		}
	}
	return PrivateKey{}, ErrNoKey
}

// otherName returns the other of the two names of Ed25519 (RFC 9864, 2.2);
// any other algorithm has one.
func otherName(alg string) string {
	switch alg {
	case jose.EdDSA:
		return jose.Ed25519
	case jose.Ed25519:
		return jose.EdDSA
	}
	return alg
}

func (k PrivateKey) public() PublicKey {
	return PublicKey{ID: k.ID, Algorithm: k.Algorithm, Key: k.Signer.Public()}
}

func checkPrivateKey(k PrivateKey) error {
	if k.ID == "" {
		return errors.New("kid is empty")
	}
	if k.Signer == nil {
		return errors.New("signer is nil")
	}
	pub := k.Signer.Public()
	if !fits(k.Algorithm, pub) {
		return fmt.Errorf("algorithm %q does not fit a key of type %T", k.Algorithm, pub)
	}
	_, err := jose.Thumbprint(pub) // refuses keys that are weak or broken
	return err
}

// fits reports whether alg is one we sign with and pub is of its type.
func fits(alg string, pub crypto.PublicKey) bool {
	switch pub.(type) {
	case *rsa.PublicKey:
		return alg == jose.PS256 || alg == jose.RS256
	case *ecdsa.PublicKey:
		return alg == jose.ES256
	case ed25519.PublicKey:
		return alg == jose.EdDSA || alg == jose.Ed25519
	}
	return false
}
