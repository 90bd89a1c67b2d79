package jose_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

func TestHeaderKey(t *testing.T) {
	parse := func(t *testing.T, header string) *jose.Token {
		t.Helper()
		tok, err := jose.Parse(token(t, header, goodClaims, fixed([]byte("signature"))), 16<<10)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	for _, tt := range []struct {
		name, header string
		want         jose.Key
	}{
		{"P-256", `{"alg":"ES256","jwk":` + proofEC + `}`, keyOf(t, proofEC)},
		{"Ed25519", `{"alg":"EdDSA","jwk":` + proofEd + `}`, keyOf(t, proofEd)},
		{"RSA", `{"alg":"PS256","jwk":` + rsaJWK(rsaKey().N, rsaKey().E) + `}`, jose.Key{Public: &rsaKey().PublicKey}},
		{"what the jwk says of its use", `{"alg":"ES256","jwk":` + clientEC + `}`,
			jose.Key{Use: "sig", Algorithm: "ES256", Public: keyOf(t, clientEC).Public}},
		{"the header's kid and not the jwk's", `{"alg":"ES256","kid":"mine","jwk":` + with(t, proofEC, `{`, `{"kid":"other",`) + `}`,
			jose.Key{ID: "mine", Public: keyOf(t, proofEC).Public}},
		{"RFC8725-3.10-2 no certificates", `{"alg":"ES256","x5c":["AA=="],"jwk":` + certJWK + `}`, jose.Key{Public: keyOf(t, certJWK).Public}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(t, tt.header).HeaderKey()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(samePublic)); diff != "" || got.X5C != nil {
				t.Errorf("key %+v, want %+v", got, tt.want)
			}
		})
	}

	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := p384.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	weak := new(big.Int).Rsh(rsaKey().N, 1024)
	for _, tt := range []struct {
		name, header string
		want         error
	}{
		{"RFC9449-4.2-3 none", `{"alg":"ES256"}`, jose.ErrMalformed},
		{"RFC9449-4.2-3 null", `{"alg":"ES256","jwk":null}`, jose.ErrMalformed},
		{"RFC9449-4.2-3 a string", `{"alg":"ES256","jwk":"x"}`, jose.ErrMalformed},
		{"RFC9449-4.2-3 a list", `{"alg":"ES256","jwk":[` + proofEC + `]}`, jose.ErrMalformed},
		{"RFC9449-4.2-3 a set", `{"alg":"ES256","jwk":` + setOf(proofEC) + `}`, jose.ErrMalformed},
		{"RFC9449-4.2-3 JWK in capitals", `{"alg":"ES256","JWK":` + proofEC + `}`, jose.ErrMalformed},
		{"RFC9449-4.2-3 point off the curve", `{"alg":"ES256","jwk":` + with(t, proofEC, `"Aw-`, `"Bw-`) + `}`, jose.ErrMalformed},
		{"RFC9449-4.2-4 with d", `{"alg":"ES256","jwk":` + with(t, clientEC, `{`, `{`+clientD+`,`) + `}`, jose.ErrPrivateKey},
		{"RFC9449-4.2-4 with d, name escaped", `{"alg":"ES256","jwk":` + with(t, proofEC, `{`, `{"\u0064":"AA",`) + `}`, jose.ErrPrivateKey},
		{"RFC9449-4.2-4 symmetric", `{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`, jose.ErrPrivateKey},
		{"RFC9449-4.3-14 weak", `{"alg":"PS256","jwk":` + rsaJWK(weak.SetBit(weak, 0, 1), 65537) + `}`, jose.ErrWeakKey},
		{"RFC9449-4.3-14 P-384", `{"alg":"ES384","jwk":{"kty":"EC","crv":"P-384","x":"` + b64(point[1:49]) + `","y":"` + b64(point[49:]) + `"}}`, jose.ErrUnsupportedKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, err := parse(t, tt.header).HeaderKey()
			if !errors.Is(err, tt.want) || key.Public != nil {
				t.Errorf("key %+v, error %v, want %v", key, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "WXxTNBSi") {
				t.Errorf("error %q contains the key", err)
			}
		})
	}

	t.Run("RFC9449-4.3-6 it verifies its own token, with a kid or without", func(t *testing.T) {
		for _, kid := range []string{"", `"kid":"k",`} {
			header := `{"alg":"EdDSA",` + kid + `"jwk":{"kty":"OKP","crv":"Ed25519","x":"` + b64(edKey[32:]) + `"}}`
			tok, err := jose.Parse(token(t, header, goodClaims, edMaker(edKey)), 4096)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tok.Verify(fapi, nil); !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("Verify takes a key from the header: %v", err)
			}
			key, err := tok.HeaderKey()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tok.Verify(fapi, []jose.Key{key}); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPrivateKeyInSet(t *testing.T) {
	_, err := jose.ParseSet([]byte(setOf(proofEC, privateEC)))
	if !errors.Is(err, jose.ErrPrivateKey) || !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("error %v, want ErrPrivateKey, which is ErrMalformed", err)
	}
}
