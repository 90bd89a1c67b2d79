package authz_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// keyed returns keyClient("kakeibo") with other keys: its JWK Set has them,
// and it signs with the first.
func keyed(alg string, key crypto.Signer, jwk ...map[string]any) *fintech {
	f := keyClient("kakeibo")
	f.key, f.alg, f.kid = key, alg, "k1"
	f.JWKS = jwks(jwk...)
	return f
}

var edSigner = sync.OnceValue(func() ed25519.PrivateKey {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

func b64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// unsigned returns what is to be signed.
func unsigned(header, claims any) string {
	h, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return b64url(h) + "." + b64url(c)
}

func TestAssertionAlgorithms(t *testing.T) {
	type m = map[string]any
	ec := func() crypto.Signer { return ecKeys.next() }
	ecPair := func(alg string) *fintech {
		k := ec()
		return keyed(alg, k, publicJWK(k.Public(), "k1", ""))
	}
	rsaPair := func(alg string) *fintech { return keyed(alg, rsaKey(), publicJWK(rsaKey().Public(), "k1", "")) }
	edPair := func(alg, jwkAlg string) *fintech {
		return keyed(alg, edSigner(), publicJWK(edSigner().Public(), "k1", jwkAlg))
	}
	// as signs with f's key but names another algorithm.
	as := func(alg string) func(*fintech, m) string {
		return func(f *fintech, c m) string {
			return signJWS(f.alg, unsigned(m{"alg": alg, "kid": f.kid}, c), f.key)
		}
	}
	pss := func(alg string, h crypto.Hash, sum func([]byte) []byte) func(*fintech, m) string {
		return func(f *fintech, c m) string {
			in := unsigned(m{"alg": alg, "kid": f.kid}, c)
			sig, err := f.key.Sign(rand.Reader, sum([]byte(in)), &rsa.PSSOptions{SaltLength: h.Size(), Hash: h})
			if err != nil {
				panic(err)
			}
			return in + "." + b64url(sig)
		}
	}
	// mac is the confusion of a public key with a shared secret.
	mac := func(secret func(*fintech) []byte) func(*fintech, m) string {
		return func(f *fintech, c m) string {
			in := unsigned(m{"alg": "HS256", "kid": f.kid}, c)
			h := hmac.New(sha256.New, secret(f))
			h.Write([]byte(in))
			return in + "." + b64url(h.Sum(nil))
		}
	}
	bare := func(header m, signature string) func(*fintech, m) string {
		return func(f *fintech, c m) string {
			h := m{"kid": f.kid}
			for k, v := range header {
				h[k] = v
			}
			return unsigned(h, c) + "." + signature
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name   string
		client func() *fintech
		sign   func(*fintech, m) string // nil: as the client would
		rule   string
	}{
		{"FAPI2-SP-5.4.1-1b ES256", func() *fintech { return ecPair("ES256") }, nil, ""},
		{"FAPI2-SP-5.4.1-1b PS256", func() *fintech { return rsaPair("PS256") }, nil, ""},
		{"FAPI2-SP-5.4.1-1b EdDSA", func() *fintech { return edPair("EdDSA", "") }, nil, ""},
		{"CONF-35 Ed25519", func() *fintech { return edPair("Ed25519", "") }, nil, ""},
		{"CONF-35 Ed25519 by a key registered for EdDSA", func() *fintech { return edPair("Ed25519", "EdDSA") }, nil, ""},
		{"CONF-35 EdDSA by a key registered for Ed25519", func() *fintech { return edPair("EdDSA", "Ed25519") }, nil, ""},
		{"CONF-35 EdDSA where Ed25519 is registered", func() *fintech {
			f := edPair("EdDSA", "")
			f.AuthSigningAlg = "Ed25519"
			return f
		}, nil, ""},

		{"CT-AS-24 RS256", func() *fintech { return rsaPair("RS256") }, nil, "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b PS384", func() *fintech { return rsaPair("PS256") },
			pss("PS384", crypto.SHA384, func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b PS512", func() *fintech { return rsaPair("PS256") },
			pss("PS512", crypto.SHA512, func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b ES384", func() *fintech {
			k := ec()
			jwk := m{"kty": "EC", "crv": "P-384", "kid": "k2",
				"x": b64url(p384.X.FillBytes(make([]byte, 48))), "y": b64url(p384.Y.FillBytes(make([]byte, 48)))}
			return keyed("ES256", k, publicJWK(k.Public(), "k1", ""), jwk)
		}, func(f *fintech, c m) string {
			in := unsigned(m{"alg": "ES384", "kid": "k2"}, c)
			sum := sha512.Sum384([]byte(in))
			r, s, err := ecdsa.Sign(rand.Reader, p384, sum[:])
			if err != nil {
				panic(err)
			}
			return in + "." + b64url(append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...))
		}, "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b ES512", func() *fintech { return ecPair("ES256") }, as("ES512"), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b ES256K", func() *fintech { return ecPair("ES256") }, as("ES256K"), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b Ed448", func() *fintech { return edPair("EdDSA", "") }, as("Ed448"), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b es256", func() *fintech { return ecPair("ES256") }, as("es256"), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b alg is empty", func() *fintech { return ecPair("ES256") }, as(""), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b no alg", func() *fintech { return ecPair("ES256") }, bare(m{}, "AAAA"), "RFC7523-2.2-2"},
		{"FAPI2-SP-5.4.1-1b HS256 with the JWK Set as the secret", func() *fintech { return ecPair("ES256") },
			mac(func(f *fintech) []byte { return f.JWKS }), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b HS256 with the PEM as the secret", func() *fintech { return rsaPair("PS256") }, mac(func(*fintech) []byte {
			der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
			if err != nil {
				panic(err)
			}
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		}), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1c none", func() *fintech { return ecPair("ES256") }, bare(m{"alg": "none"}, ""), "RFC7523-2.2-2"},
		{"FAPI2-SP-5.4.1-1c none with a signature", func() *fintech { return ecPair("ES256") }, as("none"), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1c None", func() *fintech { return ecPair("ES256") }, as("None"), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1c NONE", func() *fintech { return ecPair("ES256") }, as("NONE"), "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1c ES256 without a signature", func() *fintech { return ecPair("ES256") }, bare(m{"alg": "ES256"}, ""), "RFC7523-2.2-2"},
		{"FAPI2-SP-5.4.1-1c ES256 with a signature of zeros", func() *fintech { return ecPair("ES256") },
			bare(m{"alg": "ES256"}, b64url(make([]byte, 64))), "RFC7523-3-7"},

		{"RFC7523-3-7 not the algorithm that is registered", func() *fintech {
			k := ec()
			f := keyed("ES256", k, publicJWK(k.Public(), "k1", ""), publicJWK(rsaKey().Public(), "k2", ""))
			f.AuthSigningAlg = "PS256"
			return f
		}, nil, "FAPI2-SP-5.4.1-1b"},
		{"RFC7523-3-7 the algorithm that is registered", func() *fintech {
			k := ec()
			f := keyed("ES256", k, publicJWK(k.Public(), "k1", ""), publicJWK(rsaKey().Public(), "k2", ""))
			f.AuthSigningAlg = "ES256"
			return f
		}, nil, ""},
		{"RFC7523-3-7 another client's key", func() *fintech { return ecPair("ES256") }, func(f *fintech, c m) string {
			return jwt(m{"alg": "ES256", "kid": f.kid}, c, newEC())
		}, "RFC7523-3-7"},
		{"RFC7523-3-7 another client's key and kid", func() *fintech { return ecPair("ES256") }, func(f *fintech, c m) string {
			return jwt(m{"alg": "ES256", "kid": "thief-1"}, c, newEC())
		}, "RFC7523-3-7"},
		{"RFC7523-3-7 a key that the assertion brings along", func() *fintech { return ecPair("ES256") }, func(f *fintech, c m) string {
			k := newEC()
			return jwt(m{"alg": "ES256", "kid": f.kid, "jwk": publicJWK(k.Public(), f.kid, "ES256")}, c, k)
		}, "RFC7523-3-7"},
		{"RFC7523-3-7 a certificate that the assertion brings along", func() *fintech { return ecPair("ES256") }, func(f *fintech, c m) string {
			k := newEC()
			cert := base64.StdEncoding.EncodeToString(selfSigned(k, "kakeibo").Raw)
			return jwt(m{"alg": "ES256", "kid": f.kid, "x5c": []string{cert}}, c, k)
		}, "RFC7523-3-7"},
		{"RFC7523-3-7 a key that is for encryption", func() *fintech {
			k := ec()
			jwk := publicJWK(k.Public(), "k1", "")
			jwk["use"] = "enc"
			return keyed("ES256", k, jwk)
		}, nil, "RFC7523-3-7"},
		{"RFC7523-3-7 the payload was changed", func() *fintech { return ecPair("ES256") }, func(f *fintech, c m) string {
			part := strings.Split(f.signed(c), ".")
			c["jti"] = rand.Text()
			return strings.Split(unsigned(m{}, c), ".")[1] + "." + part[2]
		}, "RFC7523-2.2-2"},
		{"RFC7523-3-7 the claims were changed", func() *fintech { return ecPair("ES256") }, func(f *fintech, c m) string {
			part := strings.Split(f.signed(c), ".")
			c["jti"] = rand.Text()
			part[1] = strings.Split(unsigned(m{}, c), ".")[1]
			return strings.Join(part, ".")
		}, "RFC7523-3-7"},
		{"RFC7523-3-7 the header was changed", func() *fintech { return ecPair("ES256") }, func(f *fintech, c m) string {
			part := strings.Split(f.signed(c), ".")
			part[0] = strings.Split(unsigned(m{"alg": "ES256", "kid": f.kid, "typ": "JWT"}, c), ".")[0]
			return strings.Join(part, ".")
		}, "RFC7523-3-7"},
		{"RFC7523-3-7 an ECDSA signature in DER", func() *fintech { return ecPair("ES256") }, func(f *fintech, c m) string {
			in := unsigned(m{"alg": "ES256", "kid": f.kid}, c)
			sum := sha256.Sum256([]byte(in))
			der, err := f.key.Sign(rand.Reader, sum[:], crypto.SHA256)
			if err != nil {
				panic(err)
			}
			return in + "." + b64url(der)
		}, "RFC7523-3-7"},

		{"FAPI2-SP-5.4.3-1 two keys of one kid", func() *fintech {
			k := ec()
			return keyed("ES256", k, publicJWK(rsaKey().Public(), "k1", "PS256"), publicJWK(k.Public(), "k1", "ES256"))
		}, nil, ""},
		{"FAPI2-SP-5.4.3-1 two EC keys of one kid, the first for encryption", func() *fintech {
			k, enc := ec(), publicJWK(newEC().Public(), "k1", "")
			enc["use"] = "enc"
			return keyed("ES256", k, enc, publicJWK(k.Public(), "k1", "ES256"))
		}, nil, ""},
		{"FAPI2-SP-5.4.3-2 no kid", func() *fintech {
			k := ec()
			return keyed("ES256", k, publicJWK(newEC().Public(), "k0", "ES256"), publicJWK(k.Public(), "k1", "ES256"))
		}, func(f *fintech, c m) string { return jwt(m{"alg": "ES256"}, c, f.key) }, ""},
	}
	for _, at := range authenticatedAt {
		for _, tt := range tests {
			t.Run(tt.name+" at "+at.path, func(t *testing.T) {
				f := tt.client()
				b := newBank(t, clients(f))
				sign := tt.sign
				if sign == nil {
					sign = func(f *fintech, c m) string { return f.signed(c) }
				}
				res := b.do(f.request(at.path, f.asserting(at.form(f), sign(f, f.assertion(b)))))
				if tt.rule != "" {
					mustRefuse(t, b, res, 401, "invalid_client", tt.rule)
				} else if res.StatusCode != at.status {
					t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
				}
			})
		}
	}
}

// The catalogue's own client and its assertions (wire-examples.md, 1, 2.1 and
// 22), made by another implementation. T0 is 2026-01-01T00:00:00Z.
const (
	wireIssuer = "https://as.finbank.example"
	wireT0     = 1767225600
	wireES256  = `{"kty":"EC","crv":"P-256","x":"-UIxyRDLaI-tQAlzObmNTYfga2DGHWQbRbYJw29KWwk","y":"vhiL3heAK3ZvcpLR7s6ATmF84LRQUdSAEJkax8f7q_E","use":"sig","alg":"ES256","kid":"tpp-sig-2026a"}`
	wireRSA    = `"kty":"RSA","n":"zpSde_OcGJpSlWjHAwNgAIHZSFmGQgPXh_xsI2bLiNRlhA5mCBu9hVpKKuDLf0t5tN78rkvv-KJz4tR1y5NUjvkFtqGXDZo1pKBRlbtLMTLJbhJ1H2J20BW7TRIZQqqo0oNHFNWIL3gnWDmApqhhtR_vf3OG0Ay6928EffzbuQHgQZiZigzTfhamLYG9_5LEuHTfmOgdNlsvXNZZG4X4xGBZABKSyYmYg7ACFQUaMP0wVpLVY6N7Bn6zC0BE53pIb_OAvJPJbKUlZDrkPEqF7diTKWwWFEvFxGm_fYPAh6s0Q3MeNiq_0vbmWn1HUcztf2upEdNoEd2JTCbxyfKmJQ","e":"AQAB","use":"sig","alg":"PS256"`
	wirePush   = "client_id=tpp-7f3a9c&response_type=code&redirect_uri=https%3A%2F%2Fapp.tpp.example%2Fcb&scope=accounts%20payments&state=st-4Jx9" +
		"&code_challenge=zm3Dvy3EV4XaGP86qt62-sT0aZra8ssBIzW_iNhBHzE&code_challenge_method=S256" +
		"&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion="
	wireAssertion      = "eyJhbGciOiJFUzI1NiIsImtpZCI6InRwcC1zaWctMjAyNmEiLCJ0eXAiOiJjbGllbnQtYXV0aGVudGljYXRpb24rand0In0.eyJpc3MiOiJ0cHAtN2YzYTljIiwic3ViIjoidHBwLTdmM2E5YyIsImF1ZCI6Imh0dHBzOi8vYXMuZmluYmFuay5leGFtcGxlIiwianRpIjoiY2EtMDEtNmYxZDJjOWJlMGE3IiwiaWF0IjoxNzY3MjI1NjAwLCJleHAiOjE3NjcyMjU2NjB9.w-3WUr7foRzDRJyA82LRRVBlYHMqyWSvZQh5SgTzWAQh3-_i6095UW0nviLl8v7gckIGQyk1SJiqVZ3g59AGfA"
	wireRequest        = "eyJhbGciOiJFUzI1NiIsImtpZCI6InRwcC1zaWctMjAyNmEiLCJ0eXAiOiJvYXV0aC1hdXRoei1yZXErand0In0.eyJpc3MiOiJ0cHAtN2YzYTljIiwiYXVkIjoiaHR0cHM6Ly9hcy5maW5iYW5rLmV4YW1wbGUiLCJjbGllbnRfaWQiOiJ0cHAtN2YzYTljIiwicmVzcG9uc2VfdHlwZSI6ImNvZGUiLCJyZXNwb25zZV9tb2RlIjoiand0IiwicmVkaXJlY3RfdXJpIjoiaHR0cHM6Ly9hcHAudHBwLmV4YW1wbGUvY2IiLCJzY29wZSI6ImFjY291bnRzIHBheW1lbnRzIiwic3RhdGUiOiJzdC00Sng5IiwiY29kZV9jaGFsbGVuZ2UiOiJ6bTNEdnkzRVY0WGFHUDg2cXQ2Mi1zVDBhWnJhOHNzQkl6V19pTmhCSHpFIiwiY29kZV9jaGFsbGVuZ2VfbWV0aG9kIjoiUzI1NiIsImRwb3Bfamt0IjoiVm1SMnptUUZ0TlFaRW1weDNERmN1elBLemlHWUN4NWYycHJoMDVvQ21BayIsImp0aSI6InJvLTAxLTNhYzk1ZSIsIm5iZiI6MTc2NzIyNTYwMCwiaWF0IjoxNzY3MjI1NjAwLCJleHAiOjE3NjcyMjU5MDB9.e4XdVoRnMP9yMwbSvOjiHoKuE4NQs0_n_I-12Gw0cpKzGsQASjl4q1k0E7ZX74EwuZah72uYVv4AO2E1XSEFmw"
	wirePS256Assertion = "eyJhbGciOiJQUzI1NiIsImtpZCI6InRwcC1wcy0yMDI2YSIsInR5cCI6ImNsaWVudC1hdXRoZW50aWNhdGlvbitqd3QifQ.eyJpc3MiOiJ0cHAtN2YzYTljIiwic3ViIjoidHBwLTdmM2E5YyIsImF1ZCI6Imh0dHBzOi8vYXMuZmluYmFuay5leGFtcGxlIiwianRpIjoiY2EtcHMtMDEiLCJpYXQiOjE3NjcyMjU2MDAsImV4cCI6MTc2NzIyNTY2MH0.Aeu_2AaKUyjTtcHctha-NVVLXEchLOBDw83jOH_eOplodr1tK4-SILdosVRLrE7VqknVpn97q0kcFzGJ-J60fGoi-kZm1nLUl9QgEVAIClZy4wegvJ1PRPXZ1Z20W1lHmlYPyReRCUjhOaK2hrSueScu7gVAVFZZm7TywF-VfgzczrJ4STYc8tGNf5uQa2AbBdfwb6IRCs2V3Y0GalIyBdsp0evzg6DeZgtqsIX9Ok-y26foenIGoJJC0nIE7LrRr4TaDBG4FxrzlUFodmok1AsFclDQq3pdHC2G9YmY6eCtzLAGVY1RX4zGCwSRmlwTnstPuMCrpuLnLD0j39n3rg"
)

// wireBank serves the catalogue's client, which has those keys, at a time
// relative to T0.
func wireBank(t *testing.T, after time.Duration, keys ...string) *bank {
	c := metadata("tpp-7f3a9c")
	c.RedirectURIs = []string{"https://app.tpp.example/cb"}
	c.AuthMethod = "private_key_jwt"
	c.JWKS = json.RawMessage(`{"keys":[` + strings.Join(keys, ",") + `]}`)
	b := newBank(t, []*authz.Client{c}, func(c *authz.Config) { c.Issuer = wireIssuer })
	b.clock.t = time.Unix(wireT0, 0).Add(after)
	return b
}

func TestWireAssertions(t *testing.T) {
	tests := []struct {
		name, assertion string
		after           time.Duration
		keys            []string
		rule            string
	}{
		{"FAPI2-SP-5.3.2.1-6 wire example 2.1", wireAssertion, 0, []string{wireES256}, ""},
		{"FAPI2-SP-5.4.1-1b wire example 2.1, PS256", wirePS256Assertion, 0, []string{wireES256, `{` + wireRSA + `,"kid":"tpp-ps-2026a"}`}, ""},
		{"FAPI2-SP-5.4.3-1 wire example 22", wireAssertion, 0, []string{`{` + wireRSA + `,"kid":"tpp-sig-2026a"}`, wireES256}, ""},
		{"FAPI2-SP-5.4.3-1 wire example 22, first key alone", wireAssertion, 0, []string{`{` + wireRSA + `,"kid":"tpp-sig-2026a"}`}, "RFC7523-3-7"},
		{"CONF-19 wire example 2.2, the request object", wireRequest, 0, []string{wireES256}, "RFC7523-3-2"},
		{"RFC7523-3-4 wire example 2.1, 69 seconds later", wireAssertion, 69 * time.Second, []string{wireES256}, ""},
		{"RFC7523-3-4 wire example 2.1, 70 seconds later", wireAssertion, 70 * time.Second, []string{wireES256}, "RFC7523-3-4"},
		{"FAPI2-SP-5.3.2.1-13a wire example 2.1, 8 seconds before", wireAssertion, -8 * time.Second, []string{wireES256}, ""},
		{"FAPI2-SP-5.3.2.1-13b wire example 2.1, 70 seconds before", wireAssertion, -70 * time.Second, []string{wireES256}, "FAPI2-SP-5.3.2.1-13b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := wireBank(t, tt.after, tt.keys...)
			res := b.post("/par", wirePush+tt.assertion)
			if tt.rule != "" {
				mustRefuse(t, b, res, 401, "invalid_client", tt.rule)
			} else if res.StatusCode != 201 {
				t.Errorf("answer is %d %v: %s", res.StatusCode, object(t, res), b.lastEvent().Reason)
			}
		})
	}
	t.Run("RFC7523-3-6 wire example 2.1 twice", func(t *testing.T) {
		b := wireBank(t, 0, wireES256)
		if res := b.post("/par", wirePush+wireAssertion); res.StatusCode != 201 {
			t.Fatalf("first: %d", res.StatusCode)
		}
		mustRefuse(t, b, b.post("/par", wirePush+wireAssertion), 401, "invalid_client", "RFC7523-3-6")
	})
	t.Run("RFC7523-3-7 wire example 2.1, every character of the signature", func(t *testing.T) {
		b := wireBank(t, 0, wireES256)
		dot := strings.LastIndexByte(wireAssertion, '.')
		for i := dot + 1; i < len(wireAssertion); i++ {
			c := byte('A')
			if wireAssertion[i] == c {
				c = 'B'
			}
			forged := wireAssertion[:i] + string(c) + wireAssertion[i+1:]
			if res := b.post("/par", wirePush+forged); res.StatusCode != 401 {
				t.Fatalf("character %d changed: %d", i-dot, res.StatusCode)
			}
		}
		if res := b.post("/par", wirePush+wireAssertion); res.StatusCode != 201 {
			t.Errorf("none of them used it up, but then: %d", res.StatusCode)
		}
	})
}
