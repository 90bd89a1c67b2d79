package jose_test

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

const (
	privateEC = `{"kty":"EC","crv":"P-256","x":"H4YuE4stO9s2fDtcmJbIRXM3S3mKPO-IOcCo5MSzYuQ","y":"uFe6wHTtJf6Dp7YVlLthne4ds_mDKtRWtk4t8kvcrZA","d":"2juP99sK5Mk0cskVbawBtjGVKoxIyIlZgtn24wFvgGo","use":"sig","alg":"ES256","kid":"as-sig-2026a","nbf":1767225600,"exp":1775001600}`

	// RFC 8037, A.1
	privateEd = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func privateRSA(t testing.TB) string {
	t.Helper()
	key := rsaKey()
	enc := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	return with(t, rsaJWK(key.N, key.E), `"n"`, fmt.Sprintf(`"d":"%s","p":"%s","q":"%s","alg":"PS256","kid":"rsa","n"`,
		enc(key.D), enc(key.Primes[0]), enc(key.Primes[1])))
}

func TestParsePrivateSet(t *testing.T) {
	keys, err := jose.ParsePrivateSet([]byte(setOf(privateEC, privateRSA(t), privateEd)))
	if err != nil {
		t.Fatal(err)
	}
	for i, alg := range []string{jose.ES256, jose.PS256, jose.EdDSA} {
		token, err := jose.Sign(alg, "", "", keys[i].Signer, []byte(`{"n":1}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verify(token, []string{alg}, []jose.Key{keys[i].Key}); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	ec := keys[0]
	if diff := cmp.Diff([]string{"kty", "crv", "x", "y", "use", "alg", "kid", "nbf", "exp"}, ec.Members.Names()); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if nbf, ok := ec.Members.Time("nbf"); !ok || !nbf.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("nbf %v, %v", nbf, ok)
	}
	if ec.ID != "as-sig-2026a" || ec.Use != "sig" || ec.Algorithm != "ES256" {
		t.Errorf("key %+v", ec.Key)
	}
}

func TestParsePrivateSetRefuses(t *testing.T) {
	rsaJWK := privateRSA(t)
	key := rsaKey()
	enc := func(n *big.Int) string { return `"` + base64.RawURLEncoding.EncodeToString(n.Bytes()) + `"` }
	p, q, d := enc(key.Primes[0]), enc(key.Primes[1]), enc(key.D)
	order := base64.RawURLEncoding.EncodeToString(elliptic.P256().Params().N.Bytes())
	ecD := "2juP99sK5Mk0cskVbawBtjGVKoxIyIlZgtn24wFvgGo"
	for _, tt := range []struct {
		name, jwk string
		want      error
	}{
		{"public key", clientEC, jose.ErrMalformed},
		{"another key's d", with(t, clientEC, `"use"`, `"d":"`+ecD+`","use"`), jose.ErrMalformed},
		{"d of zero", with(t, privateEC, ecD, strings.Repeat("A", 43)), jose.ErrMalformed},
		{"d of the group order", with(t, privateEC, ecD, order), jose.ErrMalformed},
		{"d of 31 octets", with(t, privateEC, ecD, strings.Repeat("A", 42)), jose.ErrMalformed},
		{"another seed", with(t, privateEd, "nWGx", "nWGy"), jose.ErrMalformed},
		{"short seed", with(t, privateEd, "nWGxne_9", ""), jose.ErrMalformed},
		{"RSA without p", with(t, rsaJWK, `"p":`, `"P":`), jose.ErrMalformed},
		{"RSA with p for q", with(t, rsaJWK, q, p), jose.ErrMalformed},
		{"RSA with p of zero", with(t, rsaJWK, p, `"AA"`), jose.ErrMalformed},
		{"RSA with p of one", with(t, rsaJWK, p, `"AQ"`), jose.ErrMalformed},
		{"RSA with empty p", with(t, rsaJWK, p, `""`), jose.ErrMalformed},
		{"RSA with n for p and one for q", with(t, with(t, rsaJWK, p, enc(key.N)), q, `"AQ"`), jose.ErrMalformed},
		{"RSA with d of one", with(t, rsaJWK, d, `"AQ"`), jose.ErrMalformed},
		{"RSA of three primes", with(t, rsaJWK, `"p":`, `"oth":[],"p":`), jose.ErrUnsupportedKey},
		{"alg of another type", with(t, privateEC, "ES256", "PS256"), jose.ErrMalformed},
		{"point off the curve", with(t, privateEC, "H4Yu", "H4Yv"), jose.ErrMalformed},
		{"oct", `{"kty":"oct","k":"c2VjcmV0"}`, jose.ErrUnsupportedKey},
		{"unknown type", `{"kty":"AKP"}`, jose.ErrUnsupportedKey},
		{"JWT-I-1 two d", with(t, privateEC, `"use"`, `"d":"AA","use"`), jose.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := jose.ParsePrivateSet([]byte(setOf(privateEd, tt.jwk)))
			if !errors.Is(err, tt.want) {
				t.Fatalf("%d keys, error %v, want %v", len(keys), err, tt.want)
			}
			for _, secret := range []string{ecD, strings.Trim(p, `"`), "nWGxne_9", order} {
				if len(secret) > 4 && strings.Contains(err.Error(), secret) {
					t.Errorf("secret in the error: %v", err)
				}
			}
		})
	}
}

func TestMembersHaveNoSecrets(t *testing.T) {
	keys, err := jose.ParsePrivateSet([]byte(setOf(privateEC, privateRSA(t), privateEd)))
	if err != nil {
		t.Fatal(err)
	}
	secret := keys[2].Signer.(ed25519.PrivateKey).Seed()
	if printed := fmt.Sprintf("%v", keys[2].Members); strings.Contains(printed, base64.RawURLEncoding.EncodeToString(secret)) {
		t.Error("the seed is printed with the members")
	}
	for _, k := range keys {
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if k.Members.Has(name) {
				t.Errorf("members have %s", name)
			}
		}
	}
}
