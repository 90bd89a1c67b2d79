package main

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"net/http"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
	"github.com/aikagi/aikagi/token/httpsig"
)

// A signing has the two halves of FAPI 2.0 HTTP Signatures: requests to the
// APIs have to be signed, and their answers are.
type signing struct {
	requests  *httpsig.Verifier
	responses *httpsig.Signer
}

// newSigning returns the two halves for a bank with these settings. What they
// refuse or cannot do goes to log.
func newSigning(s *settings, log *slog.Logger) (*signing, error) {
	audit := func(ctx context.Context, err error) {
		log.WarnContext(ctx, "bank", "endpoint", "resource", "reason", err)
	}
	requests, err := httpsig.NewVerifier(httpsig.VerifierConfig{Draft: httpsig.Draft01, Origins: s.origins(), Keys: s.clientKeys, Audit: audit})
	if err != nil {
		return nil, err
	}
	responses, err := httpsig.NewSigner(httpsig.SignerConfig{
		Draft: httpsig.Draft01, Origins: s.origins(), Key: s.responseKey,
		Cover: []string{"content-type", "www-authenticate", "x-fapi-interaction-id"},
		Audit: audit,
	})
	if err != nil {
		return nil, err
	}
	return &signing{requests, responses}, nil
}

// clientKeys returns the keys, registered by value, of the client whose access
// token came with r.
func (s *settings) clientKeys(r *http.Request, keyID string) ([]crypto.PublicKey, error) {
	access, ok := token.FromContext(r.Context())
	if !ok {
		return nil, errors.New("no access token was checked")
	}
	c, err := s.clients.Client(r.Context(), access.ClientID)
	if errors.Is(err, authz.ErrNoClient) || err == nil && c.JWKS == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	set, err := token.ParseKeySet(c.JWKS)
	if err != nil {
		return nil, nil // it has none to check signatures with
	}
	public, err := set.PublicKeys(r.Context())
	if err != nil {
		return nil, err
	}
	var keys []crypto.PublicKey
	for _, key := range public {
		if keyID == "" || key.ID == keyID {
			keys = append(keys, key.Key)
		}
	}
	return keys, nil
}

// responseKey returns the bank's key to sign answers with.
func (s *settings) responseKey(ctx context.Context) (string, crypto.Signer, error) {
	for _, alg := range []string{"ES256", "EdDSA", "PS256"} {
		key, err := s.keys.SigningKey(ctx, alg)
		if err == nil {
			return key.ID, key.Signer, nil
		}
		if !errors.Is(err, token.ErrNoKey) {
			return "", nil, err
		}
	}
	return "", nil, token.ErrNoKey
}
