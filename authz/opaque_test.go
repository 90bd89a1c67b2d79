package authz_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// oldSecret is what every bank of the tests has, and newSecret what it rotates
// to.
var (
	oldSecret = []byte("an example secret of 32 bytes or more")
	newSecret = []byte("another secret of the example's, as long")
)

// A presented is how a token comes to the bank's API: presented by whom, with
// proofs by which key.
type presented struct {
	f     *fintech
	token string
	k     *proofKey // nil: over a connection with f's certificate
}

// to presents the token to an API that checks it as v says.
func (p presented) to(b *bank, v token.VerifierConfig) error {
	b.t.Helper()
	v.Issuer, v.Keys, v.Now = issuer, serverKeys, b.clock.Now
	if v.Audience == "" {
		v.Audience = resource
	}
	v.Origins, v.Replays = []string{v.Audience}, &store.Memory{Now: b.clock.Now}
	verifier, err := token.NewVerifier(v)
	if err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest("GET", v.Audience+"/accounts", nil)
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: p.f.chain}
	r.Header.Set("Authorization", "Bearer "+p.token)
	if p.k != nil {
		r.Header.Set("Authorization", "DPoP "+p.token)
		r.Header.Set("DPoP", p.k.sign(map[string]any{
			"jti": rand.Text(), "htm": "GET", "htu": v.Audience + "/accounts", "iat": b.clock.Now().Unix(), "ath": sha256URL(p.token),
		}))
	}
	_, err = verifier.Check(r, token.Require{Scopes: []string{"accounts"}})
	return err
}

// turnedAway checks that an API refused, by which row.
func turnedAway(t *testing.T, err error, rule string) {
	t.Helper()
	var e *token.Error
	if !errors.As(err, &e) || e.Rule != rule || e.Status != 0 && e.Status != 401 {
		t.Errorf("the API says %v, want a refusal by %s", err, rule)
	}
}

// opens returns what makes an API open opaque tokens itself.
func opens(t *testing.T, secrets ...[]byte) token.VerifierConfig {
	t.Helper()
	o, err := token.NewOpaque(secrets, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return token.VerifierConfig{Opaque: o}
}

// TestOpaque: access tokens that tell nobody anything but the APIs of the bank.
func TestOpaque(t *testing.T) {
	f, d, thief := keyClient("kakeibo").opaque(), keyClient("dpop").dpop().opaque(), keyClient("thief")
	k := newProofKey()
	b := newBank(t, clients(f, d))
	got := f.tokens(b)
	access := got["access_token"].(string)
	bound := d.tokensFor(b, d.pushable(), k)["access_token"].(string)

	t.Run("RFC9068-6-1 FAPI2-SP-7-1 the client learns nothing", func(t *testing.T) {
		seen := map[string]bool{}
		for _, tok := range []string{access, bound} {
			raw, err := base64.RawURLEncoding.DecodeString(tok)
			if err != nil || strings.Contains(tok, ".") {
				t.Fatalf("it is no base64url: %v", err)
			}
			for _, s := range []string{"{", `"iss"`, issuer, resource, customer, "kakeibo", "accounts"} {
				if len(s) > 1 && bytes.Contains(raw, []byte(s)) {
					t.Errorf("it has %q in it", s)
				}
			}
			if json.Valid(raw) || json.Valid(raw[1:]) || seen[tok[2:20]] {
				t.Error("it begins like another, or is JSON")
			}
			seen[tok[2:20]] = true
			if len(tok) > 4<<10 {
				t.Errorf("it is %d bytes long, too long for many a server's headers", len(tok))
			}
		}
	})
	t.Run("RFC9068-6-1 the rest of the answer is the same", func(t *testing.T) {
		if got["token_type"] != "Bearer" || got["expires_in"] != 300.0 || got["scope"] != "openid accounts" || got["id_token"] == nil || got["refresh_token"] == nil {
			t.Errorf("answer %v", got)
		}
	})
	t.Run("FAPI2-SP-5.3.4-1 an API that can open them takes them, from whom they were issued to", func(t *testing.T) {
		for _, p := range []presented{{f, access, nil}, {d, bound, k}} {
			if err := p.to(b, opens(t, oldSecret)); err != nil {
				t.Errorf("%s: %v", p.f.ID, err)
			}
		}
	})
	t.Run("FAPI2-SP-5.3.4-3 an API that cannot takes none", func(t *testing.T) {
		for _, p := range []presented{{f, access, nil}, {d, bound, k}} {
			turnedAway(t, p.to(b, token.VerifierConfig{}), "FAPI2-SP-5.3.4-3")
		}
	})
	t.Run("RFC8705-3-3 with another certificate", func(t *testing.T) {
		turnedAway(t, presented{thief, access, nil}.to(b, opens(t, oldSecret)), "RFC8705-3-3")
	})
	t.Run("RFC9449-7.2-1 a token for a key, with a certificate", func(t *testing.T) {
		turnedAway(t, presented{d, bound, nil}.to(b, opens(t, oldSecret)), "RFC9449-7.2-1")
	})
	t.Run("FAPI2-SP-5.3.4-5 by another key", func(t *testing.T) {
		if err := (presented{d, bound, newProofKey()}).to(b, opens(t, oldSecret)); err == nil {
			t.Error("it is taken")
		}
	})
	t.Run("RFC9068-4-1 at another API", func(t *testing.T) {
		v := opens(t, oldSecret)
		v.Audience = payments
		turnedAway(t, presented{f, access, nil}.to(b, v), "RFC9068-4-1")
	})
	t.Run("RFC9068-4-1 too late", func(t *testing.T) {
		later := newBank(t, clients(f), func(c *authz.Config) { c.Now = b.clock.Now })
		later.clock.t = b.clock.Now().Add(5 * time.Minute)
		turnedAway(t, presented{f, access, nil}.to(later, opens(t, oldSecret)), "RFC9068-4-1")
	})
	t.Run("FAPI2-SP-5.3.4-3 RFC7009-I-1 revoked, at an API with Liveness", func(t *testing.T) {
		b := newBank(t, clients(f))
		access := f.tokens(b)["access_token"].(string)
		v := opens(t, oldSecret)
		v.Liveness = b.config.Store
		if err := (presented{f, access, nil}).to(b, v); err != nil {
			t.Fatal(err)
		}
		f.revoke(b, just(access))
		turnedAway(t, presented{f, access, nil}.to(b, v), "FAPI2-SP-5.3.4-3")
		if err := (presented{f, access, nil}).to(b, opens(t, oldSecret)); err != nil {
			t.Errorf("and without, it works until it expires: %v", err)
		}
	})
	t.Run("FAPI2-SP-5.3.4-3 changed in any place", func(t *testing.T) {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for i := 0; i < len(access); i += 1 + len(access)/64 {
			other := alphabet[(strings.IndexByte(alphabet, access[i])+1)%64]
			forged := access[:i] + string(other) + access[i+1:]
			turnedAway(t, presented{f, forged, nil}.to(b, opens(t, oldSecret)), "FAPI2-SP-5.3.4-3")
			inactive(t, f.introspect(b, forged))
		}
		for _, forged := range []string{access[:len(access)-1], access + "A", access[1:], access[:40]} {
			turnedAway(t, presented{f, forged, nil}.to(b, opens(t, oldSecret)), "FAPI2-SP-5.3.4-3")
			inactive(t, f.introspect(b, forged))
		}
	})
	t.Run("RFC9068-4-1 of another issuer with the same secrets", func(t *testing.T) {
		brand := newBank(t, clients(f), func(c *authz.Config) { c.Issuer += "/brand" })
		claims := f.assertion(brand)
		claims["aud"] = issuer + "/brand"
		v := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}
		res := brand.do(f.request("/brand/token", f.asserting(v, f.signed(claims))))
		foreign, _ := object(t, res)["access_token"].(string)
		if foreign == "" {
			t.Fatal("no token")
		}
		turnedAway(t, presented{f, foreign, nil}.to(b, opens(t, oldSecret)), "FAPI2-SP-5.3.4-3")
		inactive(t, f.introspect(b, foreign))
		f.revoke(b, just(foreign))
		if e := b.lastEvent(); e.Kind != "token_unknown" {
			t.Errorf("its revocation: %+v", e)
		}
	})
}

// TestOpaqueRotation: a new secret is rolled out, then used, then the old one
// goes.
func TestOpaqueRotation(t *testing.T) {
	f, api := keyClient("kakeibo").opaque(), apiClient("accounts", resource)
	first := newBank(t, clients(f, api), func(c *authz.Config) { c.Secrets = [][]byte{oldSecret} })
	at := func(secrets ...[]byte) *bank {
		b := newBank(t, clients(f, api), func(c *authz.Config) { c.Secrets, c.Store, c.Now = secrets, first.config.Store, first.clock.Now })
		b.clock = first.clock
		return b
	}
	announced, moved, gone := at(oldSecret, newSecret), at(newSecret, oldSecret), at(newSecret)
	of := func(b *bank) string { return f.tokens(b)["access_token"].(string) }
	for _, tt := range []struct {
		name   string
		issued string
		asked  *bank
		good   bool
	}{
		{"the old secret's token, where the new is announced", of(first), announced, true},
		{"the old secret's token, where the new seals", of(first), moved, true},
		{"the announcing node's token, at one that has not heard", of(announced), first, true},
		{"the new secret's token, where it is announced", of(moved), announced, true},
		{"the new secret's token, where the old is gone", of(moved), gone, true},
		{"the new secret's token, at a node that has not heard", of(moved), first, false},
		{"the old secret's token, where it is gone", of(first), gone, false},
	} {
		t.Run("T-4.6.3 "+tt.name, func(t *testing.T) {
			if got := api.introspect(tt.asked, tt.issued); got["active"] != tt.good {
				t.Errorf("answer %v", got)
			}
			err := presented{f, tt.issued, nil}.to(first, opens(t, tt.asked.config.Secrets...))
			if (err == nil) != tt.good {
				t.Errorf("an API with the same secrets says %v", err)
			}
		})
	}
}

// introspects returns what makes an API, a process of its own, ask the bank about the
// tokens it is sent.
func (f *fintech) introspects(b *bank) token.VerifierConfig {
	return token.VerifierConfig{Introspect: &token.Introspector{
		URL: issuer + "/introspect", ClientID: f.ID, HTTP: &http.Client{Transport: wireTo{b, f}},
		Authenticate: func(_ context.Context, form url.Values) error { f.authenticate(b, form); return nil },
	}}
}

// wireTo carries requests to a bank over connections with f's certificate.
type wireTo struct {
	b *bank
	f *fintech
}

func (c wireTo) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: c.f.chain}
	return c.b.do(r), nil
}

// TestIntrospectingAPI: the bank's API in a process of its own, which shares
// neither secrets nor store with the server.
func TestIntrospectingAPI(t *testing.T) {
	for _, method := range []string{"private_key_jwt", "tls_client_auth"} {
		f, d, thief := keyClient("kakeibo").opaque(), keyClient("dpop").dpop().opaque(), keyClient("thief")
		api, pay := apiClient("accounts", resource), apiClient("pay", payments)
		if method == "tls_client_auth" {
			api = tlsClient("accounts")
			api.Resource, api.GrantTypes, api.RedirectURIs = resource, []string{}, nil
		}
		k := newProofKey()
		b := newBank(t, clients(f, d, api, pay), twoAPIs)
		got := f.tokens(b)
		access, refresh := got["access_token"].(string), got["refresh_token"].(string)
		bound := d.tokensFor(b, d.pushable(), k)["access_token"].(string)

		t.Run("FAPI2-MS-5.5.1-1 RFC8705-3.2-2 good tokens, "+method, func(t *testing.T) {
			for _, p := range []presented{{f, access, nil}, {d, bound, k}} {
				if err := p.to(b, api.introspects(b)); err != nil {
					t.Errorf("%s: %v", p.f.ID, err)
				}
			}
		})
		t.Run("RFC8705-3.2-2 with another certificate, "+method, func(t *testing.T) {
			turnedAway(t, presented{thief, access, nil}.to(b, api.introspects(b)), "RFC8705-3-3")
		})
		t.Run("RFC7662-I-2 a refresh token as an access token, "+method, func(t *testing.T) {
			turnedAway(t, presented{f, refresh, nil}.to(b, api.introspects(b)), "FAPI2-SP-5.3.4-3")
		})
		t.Run("FAPI2-MS-6.2-1 RFC7662-4-4 a token for another API, "+method, func(t *testing.T) {
			v := pay.introspects(b)
			v.Audience = payments
			turnedAway(t, presented{f, access, nil}.to(b, v), "FAPI2-SP-5.3.4-3")
		})
		t.Run("RFC7662-4-1 RFC7009-2.1-2 revoked, "+method, func(t *testing.T) {
			f.revoke(b, just(access))
			turnedAway(t, presented{f, access, nil}.to(b, api.introspects(b)), "FAPI2-SP-5.3.4-3")
			d.revoke(b, just(bound))
			turnedAway(t, presented{d, bound, k}.to(b, api.introspects(b)), "FAPI2-SP-5.3.4-3")
		})
		t.Run("RFC9701-4-2 an API that the bank does not know is not answered, "+method, func(t *testing.T) {
			stranger := apiClient("stranger", resource)
			var e *token.Error
			if err := (presented{f, access, nil}).to(b, stranger.introspects(b)); err == nil || errors.As(err, &e) {
				t.Errorf("the API says %v, want an outage", err)
			}
		})
	}
}
