package token_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
)

// A prover is a client with a DPoP key and a token bound to it.
type prover struct {
	t     *testing.T
	key   *ecdsa.PrivateKey
	token string
	nonce string
}

func newProver(t *testing.T) *prover {
	p := &prover{t: t, key: newEC(t)}
	p.token = forge(t, marshal(t, goodHeader()), marshal(t, with(goodClaims(), "cnf", object{"jkt": p.jkt()})), asKey(t))
	return p
}

func (p *prover) jwk() object {
	point, err := p.key.PublicKey.Bytes()
	if err != nil {
		p.t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return object{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

// jkt computes the thumbprint by hand (RFC 7638, 3.2).
func (p *prover) jkt() string {
	k := p.jwk()
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + k["x"].(string) + `","y":"` + k["y"].(string) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// claims returns those of a good proof for GET /accounts.
func (p *prover) claims() object {
	ath := sha256.Sum256([]byte(p.token))
	c := object{
		"jti": rand.Text(), "htm": "GET", "htu": audience + "/accounts", "iat": now.Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(ath[:]),
	}
	if p.nonce != "" {
		c["nonce"] = p.nonce
	}
	return c
}

func (p *prover) sign(claims object) string {
	return forge(p.t, marshal(p.t, object{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.jwk()}), marshal(p.t, claims), p.key)
}

// request returns a good request, for a test to change.
func (p *prover) request() *http.Request {
	r := httptest.NewRequest("GET", audience+"/accounts?page=2", nil)
	r.Header.Set("Authorization", "DPoP "+p.token)
	r.Header.Set("DPoP", p.sign(p.claims()))
	return r
}

// guard returns a verifier that accepts DPoP, after adjust.
func guard(t *testing.T, adjust ...func(*token.VerifierConfig)) *token.Verifier {
	c := config(t)
	c.Origins = []string{audience, "https://mtls.api.finbank.example"}
	c.Replays = &store.Memory{Now: clock}
	for _, f := range adjust {
		f(&c)
	}
	return verifier(t, c)
}

// call sends r through the verifier's handler.
func call(v *token.Verifier, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	v.Handler(token.Require{Scopes: []string{"accounts"}}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(w, r)
	return w.Result()
}

func TestDPoP(t *testing.T) {
	p := newProver(t)
	other := newProver(t)
	certified := func(r *http.Request) { r.TLS = request(t).TLS }
	tests := []struct {
		name string
		with func(r *http.Request)
		code string // "": accepted
	}{
		{"RFC9449-7.1-1 RFC9449-6-1 a token and a proof", func(*http.Request) {}, ""},
		{"RFC9449-7.1-6 the scheme in lower case", func(r *http.Request) { r.Header.Set("Authorization", "dpop "+p.token) }, ""},
		{"RFC9449-7.1-6 the scheme in upper case", func(r *http.Request) { r.Header.Set("Authorization", "DPOP "+p.token) }, ""},
		{"RFC9449-4.3-13 the other origin", func(r *http.Request) {
			c := p.claims()
			c["htu"] = "https://mtls.api.finbank.example/accounts"
			r.Header.Set("DPoP", p.sign(c))
		}, ""},
		{"RFC9449-4.3-13 a path that the host's mux has cut", func(r *http.Request) { r.URL.Path = "/" }, ""},
		{"CT-RS-2 htu with an explicit port and a host in capitals", func(r *http.Request) {
			c := p.claims()
			c["htu"] = "HTTPS://API.FINBANK.EXAMPLE:443/accounts"
			r.Header.Set("DPoP", p.sign(c))
		}, ""},
		{"RFC9449-7-1 RFC9449-7.1-2 no proof", func(r *http.Request) { r.Header.Del("DPoP") }, "invalid_dpop_proof"},
		{"RFC9449-4.3-1 two proofs", func(r *http.Request) { r.Header.Add("DPoP", p.sign(p.claims())) }, "invalid_dpop_proof"},
		{"RFC9449-4.3-8 htm in lower case", func(r *http.Request) { r.Header.Set("DPoP", p.sign(with(p.claims(), "htm", "get"))) }, "invalid_dpop_proof"},
		{"RFC9449-4.3-9 another path", func(r *http.Request) {
			r.Header.Set("DPoP", p.sign(with(p.claims(), "htu", audience+"/payments")))
		}, "invalid_dpop_proof"},
		{"RFC9449-4.3-13 the Host that the caller says", func(r *http.Request) {
			r.Host = "evil.example"
			r.Header.Set("DPoP", p.sign(with(p.claims(), "htu", "https://evil.example/accounts")))
		}, "invalid_dpop_proof"},
		{"RFC9449-4.3-12a no ath", func(r *http.Request) { r.Header.Set("DPoP", p.sign(with(p.claims(), "ath", nil))) }, "invalid_dpop_proof"},
		{"RFC9449-4.3-12a ath of another token", func(r *http.Request) {
			r.Header.Set("DPoP", p.sign(with(p.claims(), "ath", other.claims()["ath"])))
		}, "invalid_dpop_proof"},
		{"CT-RS-1 iat an hour ago", func(r *http.Request) { r.Header.Set("DPoP", p.sign(with(p.claims(), "iat", now.Unix()-3600))) }, "invalid_dpop_proof"},
		{"RFC9449-4.3-12b RFC9449-7.1-2 the proof of another key", func(r *http.Request) {
			c := other.claims()
			c["ath"] = p.claims()["ath"]
			r.Header.Set("DPoP", other.sign(c))
		}, "invalid_token"},
		{"RFC9449-7.2-1 CT-RS-4 presented as Bearer, with the proof", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+p.token) }, "invalid_token"},
		{"RFC9449-7.2-1 presented as Bearer, without", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+p.token)
			r.Header.Del("DPoP")
		}, "invalid_token"},
		{"RFC9449-7.2-1 presented as Bearer over a certificate", func(r *http.Request) {
			certified(r)
			r.Header.Set("Authorization", "Bearer "+p.token)
		}, "invalid_token"},
		{"RFC9449-7.1-7 a certificate-bound token as DPoP", func(r *http.Request) {
			certified(r)
			r.Header.Set("Authorization", "DPoP "+goodToken(t))
		}, "invalid_token"},
		{"FAPI2-SP-5.3.4-1 a certificate-bound token as Bearer", func(r *http.Request) {
			certified(r)
			r.Header.Set("Authorization", "Bearer "+goodToken(t))
		}, ""},
		{"RFC9449-4.3-16 a proof without a token", func(r *http.Request) { r.Header.Del("Authorization") }, "-"},
		{"RFC8705-3.1-2 bound in two ways", func(r *http.Request) {
			certified(r)
			both := forge(t, marshal(t, goodHeader()), marshal(t, with(goodClaims(), "cnf", object{"jkt": p.jkt(), "x5t#S256": x5t})), asKey(t))
			r.Header.Set("Authorization", "DPoP "+both)
		}, "invalid_token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := p.request()
			tt.with(r)
			res := call(guard(t), r)
			challenges := strings.Join(res.Header.Values("WWW-Authenticate"), "\n")
			switch tt.code {
			case "":
				if res.StatusCode != 204 {
					t.Errorf("%d %s", res.StatusCode, challenges)
				}
			case "-":
				if res.StatusCode != 401 || strings.Contains(challenges, "error") {
					t.Errorf("RFC9449-7.2-2: %d %s", res.StatusCode, challenges)
				}
			default:
				if res.StatusCode != 401 || !strings.Contains(challenges, `error="`+tt.code+`"`) {
					t.Errorf("%d %s, want %s", res.StatusCode, challenges, tt.code)
				}
			}
		})
	}
}

func TestDPoPChallenges(t *testing.T) {
	p := newProver(t)
	const algs = `algs="PS256 ES256 EdDSA Ed25519"`
	for _, tt := range []struct {
		name, authorization string
		want                []string
	}{
		{"RFC9449-7.2-2 no credentials", "", []string{
			`DPoP realm="` + audience + `", ` + algs, `Bearer realm="` + audience + `"`,
		}},
		{"RFC9449-7.2-3 RFC9449-7.1-3 the error is in the challenge of the scheme that was used: Bearer", "Bearer x", []string{
			`Bearer realm="` + audience + `", error="invalid_token", error_description="the token is malformed"`,
			`DPoP realm="` + audience + `", ` + algs,
		}},
		{"RFC9449-7.2-3 and DPoP", "DPoP x", []string{
			`DPoP realm="` + audience + `", error="invalid_token", error_description="the token is malformed", ` + algs,
			`Bearer realm="` + audience + `"`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := p.request()
			r.Header.Del("Authorization")
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			res := call(guard(t), r)
			if d := cmp.Diff(tt.want, res.Header.Values("WWW-Authenticate")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDPoPReplay(t *testing.T) {
	p := newProver(t)
	t.Run("RFC9449-11.1-2 CT-RS-3 a proof twice", func(t *testing.T) {
		v, proof := guard(t), p.sign(p.claims())
		for i, want := range []int{204, 401} {
			r := p.request()
			r.Header.Set("DPoP", proof)
			if res := call(v, r); res.StatusCode != want {
				t.Errorf("use %d: %d, want %d", i+1, res.StatusCode, want)
			}
		}
	})
	t.Run("RFC9449-11.1-2 a check behind the handler is no second use", func(t *testing.T) {
		v := guard(t)
		w := httptest.NewRecorder()
		v.Handler(token.Require{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := v.Check(r, token.Require{Scopes: []string{"accounts"}}); err != nil {
				t.Error(err)
			}
		})).ServeHTTP(w, p.request())
		if w.Code != 200 {
			t.Error(w.Code)
		}
	})
	t.Run("a lost answer of the replay memory is no second use", func(t *testing.T) {
		lost := false
		v := guard(t, func(c *token.VerifierConfig) {
			c.Replays = &storetest.Faulty{Store: c.Replays, LoseReply: func(string, string) bool { was := lost; lost = true; return !was }}
		})
		if res := call(v, p.request()); res.StatusCode != 204 || !lost {
			t.Error(res.StatusCode)
		}
	})
	t.Run("while the replay memory is out of reach nothing is accepted", func(t *testing.T) {
		v := guard(t, func(c *token.VerifierConfig) {
			c.Replays = &storetest.Faulty{Store: c.Replays, Fail: func(string, string) error { return http.ErrServerClosed }}
		})
		if res := call(v, p.request()); res.StatusCode != 503 {
			t.Error(res.StatusCode)
		}
	})
}

func TestDPoPNonce(t *testing.T) {
	demand := func(c *token.VerifierConfig) {
		c.NonceSecrets = [][]byte{[]byte("an example secret of 32 bytes or more")}
	}
	p, v := newProver(t), guard(t, demand)
	t.Run("RFC9449-9-1 a demand, and the answer to it", func(t *testing.T) {
		res := call(v, p.request())
		n := res.Header.Values("DPoP-Nonce")
		if res.StatusCode != 401 || len(n) != 1 || !strings.Contains(res.Header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`) || res.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v", res.StatusCode, res.Header)
		}
		p.nonce = n[0]
		if res = call(v, p.request()); res.StatusCode != 204 || len(res.Header.Values("DPoP-Nonce")) != 1 {
			t.Errorf("with the nonce: %d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("CONF-31 with a nonce an old iat is no reason to refuse", func(t *testing.T) {
		r := p.request()
		r.Header.Set("DPoP", p.sign(with(p.claims(), "iat", now.Unix()-3600)))
		if res := call(v, r); res.StatusCode != 204 {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("RFC9449-9-2 the nonce of another server", func(t *testing.T) {
		other := guard(t, demand, func(c *token.VerifierConfig) { c.Audience = "https://other.example" })
		q := newProver(t)
		q.nonce = call(other, q.request()).Header.Get("DPoP-Nonce")
		if q.nonce == "" {
			t.Fatal("the other server gave none")
		}
		if res := call(v, q.request()); res.StatusCode != 401 {
			t.Errorf("%d", res.StatusCode)
		}
	})
}

func TestVerifierConfigDPoP(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(*token.VerifierConfig)
	}{
		{"no replay memory", func(c *token.VerifierConfig) { c.Replays = nil }},
		{"an origin over http", func(c *token.VerifierConfig) { c.Origins = []string{"http://api.finbank.example"} }},
		{"a short secret", func(c *token.VerifierConfig) { c.NonceSecrets = [][]byte{make([]byte, 31)} }},
		{"nonces without origins", func(c *token.VerifierConfig) {
			c.Origins, c.NonceSecrets = nil, [][]byte{make([]byte, 32)}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t)
			c.Origins, c.Replays = []string{audience}, new(store.Memory)
			tt.with(&c)
			if v, err := token.NewVerifier(c); err == nil {
				t.Errorf("NewVerifier: %v", v)
			}
		})
	}
}

func TestSignAccessByKey(t *testing.T) {
	p := newProver(t)
	a := &token.Access{
		Issuer: issuer, Subject: "u", ClientID: "c", ID: "j", Audience: []string{audience},
		IssuedAt: now, Expires: now.Add(time.Minute), Confirmation: token.Confirmation{JKT: p.jkt()},
	}
	keys := config(t).Keys.(token.KeySet)
	t.Run("RFC9449-6.1-1 cnf.jkt", func(t *testing.T) {
		signed, err := token.SignAccess(t.Context(), keys, "ES256", a)
		if err != nil {
			t.Fatal(err)
		}
		_, claims := decode(t, signed)
		if d := cmp.Diff(object{"jkt": p.jkt()}, claims["cnf"]); d != "" {
			t.Error(d)
		}
	})
	for _, bad := range []string{p.jkt() + "=", p.jkt()[:42], `"},"x":{"y":"`, p.jkt()[:42] + "\n"} {
		t.Run("RFC9449-6.1-1 a jkt that is no thumbprint", func(t *testing.T) {
			a := *a
			a.Confirmation.JKT = bad
			if signed, err := token.SignAccess(t.Context(), keys, "ES256", &a); err == nil {
				t.Errorf("signed %s", signed)
			}
		})
	}
	t.Run("RFC8705-3.1-2 never in two ways", func(t *testing.T) {
		a.Confirmation.X5T = x5t
		if signed, err := token.SignAccess(t.Context(), keys, "ES256", a); err == nil {
			t.Errorf("signed %s", signed)
		}
	})
}
