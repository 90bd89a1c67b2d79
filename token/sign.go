package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/aikagi/aikagi/internal/jose"
)

// SignJWT signs a JSON object as it is, under alg by the key that keys names
// for it, with typ as its type; "" leaves typ out. It is for the kinds of JWT
// that have no function of their own, such as the introspection response (RFC
// 9701, 5): what their claims must be, the caller knows.
//
// Claims must be an object that no two readers could understand differently.
// Access tokens are refused: [SignAccess] makes those. Any other error means
// that there is no key ([ErrNoKey]), or that the key failed.
func SignJWT(ctx context.Context, keys KeySet, alg, typ string, claims []byte) (string, error) {
	if isAccessType(typ) {
		return "", errors.New("token: an access token is not to be signed as a JWT of any kind")
	}
	if _, err := jose.ParseClaims(claims); err != nil {
		return "", fmt.Errorf("token: claims: %w", err)
	}
	return sign(ctx, keys, alg, typ, claims)
}

// sign signs claims that are known to be good.
func sign(ctx context.Context, keys KeySet, alg, typ string, claims []byte) (string, error) {
	key, err := keys.SigningKey(ctx, alg)
	if err != nil {
		return "", fmt.Errorf("token: signing key for %s: %w", alg, err)
	}
	if key.ID == "" || key.Algorithm != alg && key.Algorithm != otherName(alg) {
		return "", fmt.Errorf("token: key set answered kid %q of %q when asked for %s", key.ID, key.Algorithm, alg)
	}
	signed, err := jose.Sign(alg, key.ID, typ, key.Signer, claims)
	if err != nil {
		return "", fmt.Errorf("token: kid %q: %w", key.ID, err)
	}
	return signed, nil
}
