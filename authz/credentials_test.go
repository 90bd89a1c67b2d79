package authz_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// TestClientCredentials: a token for the client itself, for each way to
// authenticate.
func TestClientCredentials(t *testing.T) {
	for _, f := range []*fintech{keyClient("kakeibo"), tlsClient("kakeibo"), selfSignedClient("kakeibo")} {
		t.Run("RFC6749-4.4-1 FAPI2-SP-5.3.2.1-N2 RFC9068-2.2-2 RFC9700-4.15-2 "+f.AuthMethod, func(t *testing.T) {
			b := newBank(t, clients(f))
			status, got := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"payments accounts"}})
			want := map[string]any{"access_token": got["access_token"], "token_type": "Bearer", "expires_in": 300.0, "scope": "payments accounts"}
			if d := cmp.Diff(want, got); d != "" || status != 200 {
				t.Fatalf("%d %s", status, d)
			}
			_, claims := verified(t, got["access_token"].(string), serverKeys)
			sum := sha256.Sum256(f.chain[0].Raw)
			wantClaims := map[string]any{ // no grant_id, no auth_time: nobody logged in
				"iss": issuer, "sub": "kakeibo", "client_id": "kakeibo", "aud": resource, "scope": "payments accounts",
				"iat": claims["iat"], "exp": claims["exp"], "jti": claims["jti"],
				"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])},
			}
			if d := cmp.Diff(wantClaims, claims); d != "" {
				t.Error(d)
			}
			if err := f.check(b, got["access_token"].(string)); err != nil {
				t.Error(err)
			}
			if e := b.lastEvent(); e.Kind != "tokens_issued" || e.Subject != "kakeibo" || e.Grant != "" || e.Token != claims["jti"] {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestClientCredentialsScopes(t *testing.T) {
	for _, tt := range []struct {
		name, registered, asked, want string
		code, rule                    string
	}{
		{"RFC6749-3.3-2 none asked: all of its own", "openid accounts payments", "", "accounts payments", "", ""},
		{"RFC6749-3.3-2 none asked, one no longer offered", "accounts gone", "", "accounts", "", ""},
		{"RFC6749-3.3-1 asked in another order, one twice", "accounts payments", "payments accounts payments", "payments accounts", "", ""},
		{"FAPI2-SP-5.3.2.3-1 openid asked", "openid accounts", "openid accounts", "", "invalid_scope", "FAPI2-SP-5.3.2.3-1"},
		{"RFC6749-3.3-2 none asked, none registered", "", "", "", "invalid_scope", "RFC6749-3.3-2"},
		{"RFC6749-3.3-2 none asked, openid registered", "openid", "", "", "invalid_scope", "RFC6749-3.3-2"},
		{"RFC6749-5.2-3 one that is not registered", "accounts", "accounts payments", "", "invalid_scope", "RFC6749-5.2-3"},
		{"RFC6749-5.2-3 one that is not offered", "accounts gone", "gone", "", "invalid_scope", "RFC6749-5.2-3"},
		{"RFC6749-3.3-1 a malformed one", "accounts", "accounts\tpayments", "", "invalid_scope", "RFC6749-3.3-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.Scope = tt.registered
			b := newBank(t, clients(f))
			v := url.Values{"grant_type": {"client_credentials"}}
			if tt.asked != "" {
				v.Set("scope", tt.asked)
			}
			form := f.authenticate(b, v)
			if tt.code != "" {
				refusal(t, f.answer(b, form), 400, tt.code)
				if e := b.lastEvent(); e.Rule != tt.rule {
					t.Errorf("rule %s, want %s", e.Rule, tt.rule)
				}
				return
			}
			if status, got := f.token(b, v); status != 200 || got["scope"] != tt.want {
				t.Errorf("%d %v", status, got)
			}
		})
	}
}

func TestClientCredentialsRefused(t *testing.T) {
	t.Run("RFC6749-5.2-4 a client that did not register the grant type", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.GrantTypes = []string{"authorization_code", "refresh_token"}
		b := newBank(t, clients(f))
		refusal(t, f.answer(b, f.authenticate(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})), 400, "unauthorized_client")
	})
	t.Run("FAPI2-SP-5.3.2.1-3 a bare client_id", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		refusal(t, f.answer(b, url.Values{"grant_type": {"client_credentials"}, "client_id": {"kakeibo"}}), 401, "invalid_client")
	})
	t.Run("a refusal burns no assertion", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		form := f.authenticate(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"none"}})
		refusal(t, f.answer(b, form), 400, "invalid_scope")
		if res := f.answer(b, with(form, "scope", "accounts")); res.Code != 200 {
			t.Errorf("%d %s", res.Code, res.Body)
		}
		refusal(t, f.answer(b, with(form, "scope", "accounts")), 401, "invalid_client") // RFC7523-3-6
	})
	t.Run("no authorization endpoint, and still tokens for clients", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) { c.Interact = nil })
		if status, got := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
}
