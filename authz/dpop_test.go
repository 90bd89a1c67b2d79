package authz_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store/storetest"
)

// A proofKey is a client's key for DPoP.
type proofKey struct {
	crypto.Signer
	alg   string
	nonce string // the newest that the server gave
}

func newProofKey() *proofKey { return &proofKey{Signer: newEC(), alg: "ES256"} }

// jwk returns the public members, as they stand in a proof.
func (k *proofKey) jwk() map[string]any {
	m := publicJWK(k.Public(), "", "")
	delete(m, "kid")
	delete(m, "use")
	return m
}

// jkt computes the thumbprint by hand (RFC 7638, 3.2; RFC 8037, 2).
func (k *proofKey) jkt() string {
	required := map[string]string{"EC": "crv kty x y", "RSA": "e kty n", "OKP": "crv kty x"}
	m := k.jwk()
	var members []string
	for name := range strings.FieldsSeq(required[m["kty"].(string)]) {
		members = append(members, `"`+name+`":"`+m[name].(string)+`"`)
	}
	return sha256URL("{" + strings.Join(members, ",") + "}")
}

// claims returns those of a good proof for a POST to an endpoint.
func (k *proofKey) claims(b *bank, path string) map[string]any {
	c := map[string]any{"jti": rand.Text(), "htm": "POST", "htu": issuer + path, "iat": b.clock.Now().Unix()}
	if k.nonce != "" {
		c["nonce"] = k.nonce
	}
	return c
}

func (k *proofKey) sign(claims map[string]any) string {
	return jwt(map[string]any{"typ": "dpop+jwt", "alg": k.alg, "jwk": k.jwk()}, claims, k.Signer)
}

// dpop makes f a client whose tokens are bound to a key of its own.
func (f *fintech) dpop() *fintech {
	f.CertificateBoundTokens, f.DPoPBoundTokens = false, true
	return f
}

// prove returns a request with a good proof by k, and keeps the nonce of what
// answers it.
func (f *fintech) prove(b *bank, path string, v url.Values, k *proofKey) *http.Request {
	r := f.request(path, f.authenticate(b, v))
	r.Header.Set("DPoP", k.sign(k.claims(b, path)))
	return r
}

// send sends r, and keeps the nonce of the answer.
func (k *proofKey) send(b *bank, r *http.Request) (int, map[string]any) {
	b.t.Helper()
	res := b.do(r)
	if n := res.Header.Values("DPoP-Nonce"); len(n) > 1 {
		b.t.Errorf("RFC9449-8-3: %d DPoP-Nonce headers", len(n))
	} else if len(n) == 1 {
		k.nonce = n[0]
	}
	return res.StatusCode, object(b.t, res)
}

// codeFor runs the flow up to a code whose request was pushed with v, and with
// a proof by k unless that is nil.
func (f *fintech) codeFor(b *bank, v url.Values, k *proofKey) string {
	b.t.Helper()
	r := f.request("/par", f.authenticate(b, v))
	if k != nil {
		r.Header.Set("DPoP", k.sign(k.claims(b, "/par")))
	}
	res := b.do(r)
	body := object(b.t, res)
	if res.StatusCode != 201 {
		b.t.Fatalf("PAR: %d %v", res.StatusCode, body)
	}
	back, err := (&browser{b: b}).decide(f, body["request_uri"].(string), b.approval())
	if err != nil {
		b.t.Fatal(err)
	}
	return location(b.t, back).Get("code")
}

func TestDPoPRefused(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	certified := keyClient("other")
	b := newBank(t, clients(f, certified))
	for _, tt := range []struct {
		name string
		with func(r *http.Request, k *proofKey)
		rule string
	}{
		{"RFC9449-5.2-1 no proof", func(r *http.Request, k *proofKey) { r.Header.Del("DPoP") }, "RFC9449-5.2-1"},
		{"RFC9449-4.1-1 two proofs", func(r *http.Request, k *proofKey) { r.Header.Add("DPoP", k.sign(k.claims(b, "/token"))) }, ""},
		{"RFC9449-4.3-8 another method", func(r *http.Request, k *proofKey) {
			c := k.claims(b, "/token")
			c["htm"] = "GET"
			r.Header.Set("DPoP", k.sign(c))
		}, ""},
		{"RFC9449-10.1-2 a proof for another endpoint", func(r *http.Request, k *proofKey) { r.Header.Set("DPoP", k.sign(k.claims(b, "/par"))) }, ""},
		{"RFC9449-4.3-13 a proof for the Host that the caller says", func(r *http.Request, k *proofKey) {
			r.Host = "evil.example"
			c := k.claims(b, "/token")
			c["htu"] = "https://evil.example/token"
			r.Header.Set("DPoP", k.sign(c))
		}, ""},
		{"FAPI2-SP-5.3.2.1-13b a proof 61 seconds ahead", func(r *http.Request, k *proofKey) {
			c := k.claims(b, "/token")
			c["iat"] = b.clock.Now().Unix() + 61
			r.Header.Set("DPoP", k.sign(c))
		}, ""},
		{"RFC8725-3.12-1 a client assertion in its place", func(r *http.Request, k *proofKey) { r.Header.Set("DPoP", f.signed(f.assertion(b))) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newProofKey()
			code := f.codeFor(b, f.pushable(), nil)
			form := f.authenticate(b, f.redeemable(code))
			r := f.request("/token", form)
			r.Header.Set("DPoP", k.sign(k.claims(b, "/token")))
			tt.with(r, k)
			status, got := k.send(b, r)
			if status != 400 || got["error"] != "invalid_dpop_proof" {
				t.Errorf("%d %v", status, got)
			}
			if e := b.lastEvent(); e.Rule == "" || tt.rule != "" && e.Rule != tt.rule {
				t.Errorf("the operator is told %+v", e)
			}
			again := f.request("/token", form) // nothing was spent: not the code, and not the assertion
			again.Header.Set("DPoP", k.sign(k.claims(b, "/token")))
			if status, got := k.send(b, again); status != 200 {
				t.Errorf("RFC9449-5-10: the right request afterwards: %d %v", status, got)
			}
		})
	}
	t.Run("RFC9449-5-11 a proof is no client authentication", func(t *testing.T) {
		k := newProofKey()
		r := f.request("/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {f.ID}})
		r.Header.Set("DPoP", k.sign(k.claims(b, "/token")))
		if status, got := k.send(b, r); status != 401 || got["error"] != "invalid_client" {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("RFC9449-5-7 a proof of a client that is bound by certificate", func(t *testing.T) {
		k := newProofKey()
		for path, v := range map[string]url.Values{"/token": {"grant_type": {"client_credentials"}}, "/par": certified.pushable()} {
			if status, got := k.send(b, certified.prove(b, path, v, k)); status != 400 || got["error"] != "invalid_request" {
				t.Errorf("%s: %d %v", path, status, got)
			}
		}
	})
}

func TestDPoPReplay(t *testing.T) {
	f := tlsClient("kakeibo").dpop()
	b, k := newBank(t, clients(f)), newProofKey()
	proof := k.sign(k.claims(b, "/token"))
	ask := func() (int, map[string]any) {
		r := f.request("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}))
		r.Header.Set("DPoP", proof)
		return k.send(b, r)
	}
	t.Run("RFC9449-11.1-2 a proof twice", func(t *testing.T) {
		if status, got := ask(); status != 200 {
			t.Fatalf("first: %d %v", status, got)
		}
		if status, got := ask(); status != 400 || got["error"] != "invalid_dpop_proof" {
			t.Errorf("second: %d %v", status, got)
		}
	})
	t.Run("RFC9449-11.1-2 twenty at once", func(t *testing.T) {
		b := newBank(t, clients(f), far)
		proof := k.sign(k.claims(b, "/token"))
		wins := race(func(int) bool {
			r := f.request("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}))
			r.Header.Set("DPoP", proof)
			return b.do(r).StatusCode == 200
		})
		if wins != 1 {
			t.Errorf("%d of %d requests with one proof were answered, want 1", wins, racers)
		}
	})
	t.Run("RFC9449-11.1-2 one id for two keys", func(t *testing.T) {
		for _, k := range []*proofKey{newProofKey(), newProofKey()} {
			r := f.request("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}))
			r.Header.Set("DPoP", claim("jti", "1")(k.draft(b, "/token")))
			if status, got := k.send(b, r); status != 200 {
				t.Errorf("%d %v", status, got)
			}
		}
	})
	t.Run("RFC9449-11.1-2 one id for two endpoints", func(t *testing.T) {
		c := k.claims(b, "/token")
		p := k.claims(b, "/par")
		p["jti"] = c["jti"]
		r := f.request("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}))
		r.Header.Set("DPoP", k.sign(c))
		if status, got := k.send(b, r); status != 200 {
			t.Errorf("token: %d %v", status, got)
		}
		r = f.request("/par", f.authenticate(b, f.pushable()))
		r.Header.Set("DPoP", k.sign(p))
		if status, got := k.send(b, r); status != 201 {
			t.Errorf("PAR: %d %v", status, got)
		}
	})
}

func TestDPoPCodeBinding(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	b := newBank(t, clients(f))
	k, other := newProofKey(), newProofKey()
	named := func() url.Values { return changed(f.pushable(), "dpop_jkt", k.jkt()) }
	for _, tt := range []struct {
		name string
		code func() string
	}{
		{"RFC9449-10.1-1 FAPI2-SP-5.3.2.1-12 by dpop_jkt", func() string { return f.codeFor(b, named(), nil) }},
		{"RFC9449-10.1-2 FAPI2-SP-5.3.2.1-12 by a proof", func() string { return f.codeFor(b, f.pushable(), k) }},
		{"CT-AS-44 by both", func() string { return f.codeFor(b, named(), k) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := tt.code()
			status, got := other.send(b, f.prove(b, "/token", f.redeemable(code), other))
			if status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("RFC9449-10-1 another key: %d %v", status, got)
			}
			if status, got := k.send(b, f.prove(b, "/token", f.redeemable(code), k)); status != 200 {
				t.Errorf("the right key afterwards: %d %v", status, got)
			}
		})
	}
	t.Run("RFC9449-10-2 by nothing", func(t *testing.T) {
		code := f.codeFor(b, f.pushable(), nil)
		if status, got := other.send(b, f.prove(b, "/token", f.redeemable(code), other)); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("RFC9449-10.1-3 CT-AS-45 dpop_jkt of another key than the proof's", func(t *testing.T) {
		status, got := other.send(b, f.prove(b, "/par", named(), other))
		if status != 400 || got["error"] != "invalid_dpop_proof" {
			t.Errorf("%d %v", status, got)
		}
	})
	for _, bad := range []string{k.jkt()[:42], k.jkt() + "=", k.jkt() + "A", "not a thumbprint"} {
		t.Run("RFC9449-10-3 dpop_jkt "+bad, func(t *testing.T) {
			res := b.do(f.request("/par", f.authenticate(b, changed(f.pushable(), "dpop_jkt", bad))))
			if got := object(t, res); res.StatusCode != 400 || got["error"] != "invalid_request" {
				t.Errorf("%d %v", res.StatusCode, got)
			}
		})
	}
	t.Run("RFC9449-10-1 dpop_jkt of a client that is bound by certificate", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		res := b.do(f.request("/par", f.authenticate(b, named())))
		if got := object(t, res); res.StatusCode != 400 || got["error"] != "invalid_request" {
			t.Errorf("%d %v", res.StatusCode, got)
		}
	})
}

func TestDPoPNonces(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	demand := func(c *authz.Config) { c.DPoPNonces = true }
	credentials := func() url.Values { return url.Values{"grant_type": {"client_credentials"}} }

	t.Run("RFC9449-8-1 RFC9449-5-10 a demand is answered before anything is spent", func(t *testing.T) {
		faulty := &storetest.Faulty{}
		b := newBank(t, clients(f), demand, func(c *authz.Config) { faulty.Store = c.Store; c.Store = faulty })
		for _, path := range []string{"/par", "/token"} {
			k, v, ok := newProofKey(), f.pushable(), 201
			if path == "/token" {
				v, ok = credentials(), 200
			}
			form := f.authenticate(b, v)
			ask := func() (int, map[string]any) {
				r := f.request(path, form)
				r.Header.Set("DPoP", k.sign(k.claims(b, path)))
				return k.send(b, r)
			}
			before := faulty.Count("")
			if status, got := ask(); status != 400 || got["error"] != "use_dpop_nonce" || k.nonce == "" {
				t.Fatalf("%s without a nonce: %d %v, nonce %q", path, status, got, k.nonce)
			}
			if n := faulty.Count(""); n != before {
				t.Errorf("%s: the demand cost %d calls of the store", path, n-before)
			}
			if status, got := ask(); status != ok { // with the same assertion
				t.Errorf("%s with the nonce: %d %v", path, status, got)
			}
		}
	})
	t.Run("RFC9449-8-7 any node takes the nonce of another", func(t *testing.T) {
		one, two, k := newBank(t, clients(f), demand), newBank(t, clients(f), demand), newProofKey()
		k.send(one, f.prove(one, "/token", credentials(), k))
		if status, got := k.send(two, f.prove(two, "/token", credentials(), k)); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("RFC9449-8.2-1 nonces roll without a refused request", func(t *testing.T) {
		b, k := newBank(t, clients(f), demand), newProofKey()
		k.send(b, f.prove(b, "/token", credentials(), k))
		seen := map[string]bool{}
		for range 60 {
			b.clock.Advance(time.Minute)
			if status, got := k.send(b, f.prove(b, "/token", credentials(), k)); status != 200 {
				t.Fatalf("%d %v", status, got)
			}
			seen[k.nonce] = true
		}
		if len(seen) < 2 {
			t.Error("the nonce never changed")
		}
	})
	t.Run("RFC9449-8-4 a stale nonce, and one of another issuer", func(t *testing.T) {
		b, k := newBank(t, clients(f), demand), newProofKey()
		k.send(b, f.prove(b, "/token", credentials(), k))
		old := k.nonce
		b.clock.Advance(time.Hour)
		k.nonce = old
		if status, got := k.send(b, f.prove(b, "/token", credentials(), k)); status != 400 || got["error"] != "use_dpop_nonce" {
			t.Errorf("stale: %d %v", status, got)
		}
	})
	t.Run("RFC9449-9-2 the nonce of another issuer", func(t *testing.T) {
		f := tlsClient("kakeibo").dpop() // has no assertion, which would be for one issuer
		b, k := newBank(t, clients(f), demand), newProofKey()
		other := newBank(t, clients(f), demand, func(c *authz.Config) { c.Issuer = issuer + "/brand" })
		k.send(other, f.prove(other, "/brand/token", credentials(), k))
		if k.nonce == "" {
			t.Fatal("the other issuer gave none")
		}
		if status, got := k.send(b, f.prove(b, "/token", credentials(), k)); status != 400 || got["error"] != "use_dpop_nonce" {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("RFC9449-11.3-1 a nonce left out later", func(t *testing.T) {
		b, k := newBank(t, clients(f), demand), newProofKey()
		k.send(b, f.prove(b, "/token", credentials(), k))
		k.send(b, f.prove(b, "/token", credentials(), k))
		k.nonce = ""
		if status, got := k.send(b, f.prove(b, "/token", credentials(), k)); status != 400 || got["error"] != "use_dpop_nonce" {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("FAPI2-SP-5.3.2.1-10 none where none is demanded", func(t *testing.T) {
		b, k := newBank(t, clients(f)), newProofKey()
		if status, _ := k.send(b, f.prove(b, "/token", credentials(), k)); status != 200 || k.nonce != "" {
			t.Errorf("%d, nonce %q", status, k.nonce)
		}
	})
}

// sha256URL returns a digest as JOSE writes them.
func sha256URL(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
