package authz_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
)

// use presents an access token to the bank's API as f: with a proof by k, or
// over a connection with f's certificate if k is nil.
func (f *fintech) use(b *bank, access string, k *proofKey) error {
	b.t.Helper()
	if k == nil {
		return f.check(b, access)
	}
	v, err := token.NewVerifier(token.VerifierConfig{
		Issuer: issuer, Audience: resource, Keys: serverKeys, Liveness: b.config.Store,
		Origins: []string{resource}, Replays: b.config.Store, Now: b.clock.Now,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest("GET", resource+"/accounts?page=2", nil)
	r.Header.Set("Authorization", "DPoP "+access)
	r.Header.Set("DPoP", k.sign(map[string]any{
		"jti": rand.Text(), "htm": "GET", "htu": resource + "/accounts", "iat": b.clock.Now().Unix(), "ath": sha256URL(access),
	}))
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: f.chain}
	_, err = v.Check(r, token.Require{Scopes: []string{"accounts"}})
	return err
}

// post sends v to an endpoint, with a proof by k unless that is nil.
func (f *fintech) post(b *bank, path string, v url.Values, k *proofKey) (int, map[string]any) {
	b.t.Helper()
	if k == nil {
		res := b.do(f.request(path, f.authenticate(b, v)))
		return res.StatusCode, object(b.t, res)
	}
	return k.send(b, f.prove(b, path, v, k))
}

// TestBinding is the whole of it for every way of authentication, every way of
// binding, with OpenID Connect and without: push, consent, code, tokens, the
// API, refresh, a token of the client's own.
func TestBinding(t *testing.T) {
	for _, client := range []func(string) *fintech{keyClient, tlsClient, selfSignedClient} {
		for _, binding := range []string{"certificate", "key"} {
			for _, scope := range []string{"openid accounts", "accounts"} {
				f, thief := client("kakeibo"), keyClient("thief")
				var k, other *proofKey
				if binding == "key" {
					f.dpop()
					k, other = newProofKey(), newProofKey()
				}
				t.Run("RFC8705-I-1 "+f.AuthMethod+", bound to a "+binding+", "+scope, func(t *testing.T) {
					b := newBank(t, clients(f, thief))
					story{t, b, f, thief, scope}.run(k, other)
				})
			}
		}
	}
}

type story struct {
	t        *testing.T
	b        *bank
	f, thief *fintech
	scope    string
}

// run tells the story with key k, and other for the refresh; both are nil where
// tokens are bound to the certificate.
func (s story) run(k, other *proofKey) {
	t, b, f := s.t, s.b, s.f
	push := changed(f.pushable(), "scope", s.scope)
	status, got := f.post(b, "/par", push, k)
	if status != 201 {
		t.Fatalf("PAR: %d %v", status, got)
	}
	s.keyInEvent(k)
	back, err := (&browser{b: b}).decide(f, got["request_uri"].(string), b.approval())
	if err != nil {
		t.Fatal(err)
	}

	status, got = f.post(b, "/token", f.redeemable(location(t, back).Get("code")), k)
	if status != 200 {
		t.Fatalf("token: %d %v", status, got)
	}
	s.keyInEvent(k)
	if id, ok := got["id_token"].(string); ok != strings.Contains(s.scope, "openid") {
		t.Errorf("openid is asked for, or not, and the ID token is %q", id)
	} else if ok && claimsOf(t, id)["cnf"] != nil {
		t.Errorf("the ID token has cnf %v", claimsOf(t, id)["cnf"])
	}
	s.bound(got, k)
	if err := s.thief.use(b, got["access_token"].(string), newKeyLike(k)); err == nil {
		t.Error("a thief is let in")
	}

	refresh := got["refresh_token"].(string)
	status, got = f.post(b, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, other)
	if status != 200 || got["refresh_token"] != refresh {
		t.Fatalf("RFC9449-5-6 CONF-18 CT-AS-49: refresh: %d %v", status, got)
	}
	s.bound(got, other)
	if k != other {
		if err := f.use(b, got["access_token"].(string), k); err == nil {
			t.Error("the refreshed token works with the old key")
		}
	}

	status, got = f.post(b, "/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}, k)
	if status != 200 || got["refresh_token"] != nil || got["id_token"] != nil {
		t.Fatalf("RFC9449-5-1: client_credentials: %d %v", status, got)
	}
	s.bound(got, k)
}

// newKeyLike returns another key, or nil if there is none to be like.
func newKeyLike(k *proofKey) *proofKey {
	if k == nil {
		return nil
	}
	return newProofKey()
}

// bound checks that an answer's access token is bound to key k, or else to the
// certificate, to nothing besides, says so, and works.
func (s story) bound(got map[string]any, k *proofKey) {
	s.t.Helper()
	want, typ := map[string]any{"x5t#S256": mtls.Thumbprint(s.f.chain[0])}, "Bearer"
	if k != nil {
		want, typ = map[string]any{"jkt": k.jkt()}, "DPoP"
	}
	access := got["access_token"].(string)
	if d := cmp.Diff(want, claimsOf(s.t, access)["cnf"]); d != "" {
		s.t.Errorf("FAPI2-SP-5.3.2.1-5 RFC9449-6.1-1: cnf: %s", d)
	}
	if got["token_type"] != typ {
		s.t.Errorf("CONF-17 RFC9449-5-3: token_type is %v, want %s", got["token_type"], typ)
	}
	if err := s.f.use(s.b, access, k); err != nil {
		s.t.Errorf("FAPI2-SP-5.3.4-1: the fintech is turned away: %v", err)
	}
}

// keyInEvent checks that the operator was told of the key, if there is one.
func (s story) keyInEvent(k *proofKey) {
	s.t.Helper()
	want := ""
	if k != nil {
		want = k.jkt()
	}
	if e := s.b.lastEvent(); e.Key != want {
		s.t.Errorf("the event %s has key %q, want %q", e.Kind, e.Key, want)
	}
}

// TestProofAlgorithms runs the story with keys of every kind that the metadata
// lists.
func TestProofAlgorithms(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*proofKey{
		{Signer: rsaKey(), alg: "PS256"}, {Signer: newEC(), alg: "ES256"}, {Signer: ed, alg: "EdDSA"}, {Signer: ed, alg: "Ed25519"},
	} {
		t.Run("RFC9449-5.1-1 FAPI2-SP-5.4.1-1b RFC9449-6.1-1 "+k.alg, func(t *testing.T) {
			f := keyClient("kakeibo").dpop()
			b := newBank(t, clients(f))
			story{t, b, f, keyClient("thief"), "openid accounts"}.run(k, k)

			meta := object(t, b.do(httptest.NewRequest("GET", issuer+"/.well-known/openid-configuration", nil)))
			listed, _ := meta["dpop_signing_alg_values_supported"].([]any)
			for _, alg := range listed {
				if alg == k.alg {
					return
				}
			}
			t.Errorf("the metadata lists %v", listed)
		})
	}
}

// TestAliasProofs: a proof may be for the listener that asks for certificates,
// where there is one.
func TestAliasProofs(t *testing.T) {
	const alias = "https://mtls.bank.example"
	f := tlsClient("kakeibo").dpop()
	with := newBank(t, clients(f), func(c *authz.Config) { c.MTLSBase = alias })
	without := newBank(t, clients(f))
	for path, v := range map[string]func() url.Values{
		"/par":   f.pushable,
		"/token": func() url.Values { return url.Values{"grant_type": {"client_credentials"}} },
	} {
		good := map[string]int{"/par": 201, "/token": 200}[path]
		for _, tt := range []struct {
			name string
			b    *bank
			htu  string
			want int
		}{
			{"RFC9449-4.3-13 the alias", with, alias + path, good},
			{"RFC9449-4.3-13 the issuer, beside an alias", with, issuer + path, good},
			{"RFC9449-4.3-13 the alias' other endpoint", with, alias + map[string]string{"/par": "/token", "/token": "/par"}[path], 400},
			{"RFC9449-4.3-13 a third host", with, "https://evil.example" + path, 400},
			{"RFC9449-4.3-13 an alias that there is not", without, alias + path, 400},
		} {
			t.Run(tt.name+" at "+path, func(t *testing.T) {
				k := newProofKey()
				r := f.request(path, f.authenticate(tt.b, v()))
				claims := k.claims(tt.b, path)
				claims["htu"] = tt.htu
				r.Header.Set("DPoP", k.sign(claims))
				status, got := k.send(tt.b, r)
				if status != tt.want || status == 400 && got["error"] != "invalid_dpop_proof" {
					t.Errorf("%d %v, want %d", status, got, tt.want)
				}
			})
		}
	}
}
