package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/aikagi/aikagi/internal/jose"
)

// publicKeys is the set that ParseKeySet returns. It never changes.
type publicKeys []PublicKey

// PublicKeys implements [PublicKeySet].
func (s publicKeys) PublicKeys(context.Context) ([]PublicKey, error) { return s, nil }

// ParseKeySet returns the keys in jwks, a JWK set (RFC 7517) such as the
// server publishes at its jwks_uri. With it a resource server in another
// process verifies. The set never changes and is safe for concurrent use: to
// see new keys, the host fetches and parses again, every few minutes, and keeps
// the old set where that fails.
//
// A key for encryption, of an unknown type or too weak is left out (RFC 7517,
// 5). It is an error if no key remains, if jwks is no strict JSON, or if it has
// a private or symmetric key in it, which then is no secret any more.
func ParseKeySet(jwks []byte) (PublicKeySet, error) {
	parsed, err := jose.ParseSet(jwks)
	if err != nil {
		return nil, fmt.Errorf("token: key set: %w", err)
	}
	var set publicKeys
	for _, k := range parsed.Keys {
		if k.Use == "" || k.Use == "sig" {
			set = append(set, PublicKey{ID: k.ID, Algorithm: k.Algorithm, Key: k.Public})
		}
	}
	if len(set) == 0 {
		return nil, errors.Join(append([]error{errors.New("token: key set: no key to verify with")}, parsed.Skipped...)...)
	}
	return set, nil
}
