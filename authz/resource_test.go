package authz_test

import (
	"io"
	"net/url"
	"testing"

	"github.com/aikagi/aikagi/authz"
)

// TestResourcesPushed: which APIs an authorization request may name.
func TestResourcesPushed(t *testing.T) {
	for _, tt := range []struct {
		name, scope string
		resources   []string
		code, rule  string // "" means accepted
	}{
		{"RFC8707-2-2 RFC8707-2.1-1 two, and one of them twice", "openid accounts cards", []string{resource, cards, resource}, "", ""},
		{"RFC9068-3-1 none, and the scopes are of one API", "openid accounts payments", nil, "", ""},
		{"RFC9068-3-1 none, and the scopes are of two", "accounts cards", nil, "invalid_scope", "RFC9068-3-1"},
		{"RFC9068-3-1 none, and a scope is of two", "history", nil, "invalid_scope", "RFC9068-3-1"},
		{"RFC9068-3-2 a scope of two APIs, at one of them", "history", []string{cards}, "", ""},
		{"RFC8707-2.1-1 openid, which is of no API", "openid", []string{cards}, "", ""},
		{"RFC8707-2.1-1 a scope that means nothing there", "openid cards accounts", []string{cards}, "invalid_target", "RFC8707-2.1-1"},
		{"RFC8707-2-1 a relative one", "accounts", []string{"/accounts"}, "invalid_target", "RFC8707-2-1"},
		{"RFC8707-2-1 a name that is no URI", "accounts", []string{"api.bank.example"}, "invalid_target", "RFC8707-2-1"},
		{"RFC8707-2-1 a fragment", "accounts", []string{resource + "#accounts"}, "invalid_target", "RFC8707-2-1"},
		{"RFC8707-2-1 an empty fragment", "accounts", []string{resource + "#"}, "invalid_target", "RFC8707-2-1"},
		{"RFC8707-2-3 an unknown one", "accounts", []string{resource, "https://evil.example"}, "invalid_target", "RFC8707-2-3"},
		{"RFC8707-2-3 a path below one", "accounts", []string{resource + "/accounts"}, "invalid_target", "RFC8707-2-3"},
		{"RFC8707-2-3 one in other case", "accounts", []string{"https://API.bank.example"}, "invalid_target", "RFC8707-2-3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := everywhere(keyClient("kakeibo"))
			b := newBank(t, clients(f), withCards)
			status, body := f.post(b, "/par", f.asking(tt.scope, tt.resources...), nil)
			if tt.code == "" {
				if status != 201 {
					t.Errorf("%d %v", status, body)
				}
				return
			}
			refusedAs(t, b, status, body, tt.code, tt.rule)
		})
	}
}

// TestResourceTokens: what a grant for some APIs gives to a token request that
// names others, for both ways to bind a token.
func TestResourceTokens(t *testing.T) {
	for _, tt := range []struct {
		name, scope string
		granted     []string // resource at PAR
		asked       []string // resource at the token endpoint
		want        string   // the token's scope
		aud         []string
		code, rule  string
	}{
		{"RFC8707-2.2-4 RFC8707-2.1-1 all of two when none is named", "openid accounts cards", []string{resource, cards}, nil,
			"openid accounts cards", []string{resource, cards}, "", ""},
		{"RFC8707-2.2-1 two when both are named", "openid accounts cards", []string{resource, cards}, []string{cards, resource},
			"openid accounts cards", []string{cards, resource}, "", ""},
		{"RFC8707-2.2-1 RFC9728-7.4-2 RFC9068-2.2.3-1 FAPI2-SP-5.3.2.1-14 one of two, and its scopes alone", "openid accounts cards", []string{resource, cards}, []string{cards},
			"openid cards", []string{cards}, "", ""},
		{"RFC8707-2-2 one named twice", "openid accounts", []string{resource}, []string{resource, resource}, "openid accounts", []string{resource}, "", ""},
		{"RFC8707-3-2 RFC9068-3-1 one by default, the one that the scopes imply", "cards", nil, nil, "cards", []string{cards}, "", ""},
		{"RFC9068-3-1 the server itself for openid alone", "openid", nil, nil, "openid", []string{issuer}, "", ""},
		{"RFC8707-2.1-1 the API named for openid alone", "openid", []string{cards}, nil, "openid", []string{cards}, "", ""},
		{"RFC9068-3-2 a scope of two APIs at the one granted", "history cards", []string{cards}, nil, "history cards", []string{cards}, "", ""},
		{"RFC9068-3-2 a scope of two APIs at one of two", "history", []string{resource, cards}, []string{resource}, "history", []string{resource}, "", ""},

		{"RFC8707-2.2-1 one outside the grant", "openid accounts", []string{resource}, []string{cards}, "", nil, "invalid_target", "RFC8707-2.2-1"},
		{"RFC8707-2.2-1 one outside what the scopes imply", "openid accounts", nil, []string{cards}, "", nil, "invalid_target", "RFC8707-2.2-1"},
		{"RFC8707-2.2-1 one of a grant that has two, and one beyond", "openid accounts", []string{resource}, []string{resource, cards}, "", nil, "invalid_target", "RFC8707-2.2-1"},
		{"RFC8707-2.2-1 openid alone is no way to an API that was not named", "openid", []string{cards}, []string{resource}, "", nil, "invalid_target", "RFC8707-2.2-1"},
		{"RFC9068-3-2 RFC8707-2.2-4 a scope that would mean two things, none named", "history", []string{resource, cards}, nil, "", nil, "invalid_target", "RFC9068-3-2"},
		{"RFC9068-3-2 a scope that would mean two things, both named", "history cards", []string{resource, cards}, []string{resource, cards}, "", nil, "invalid_target", "RFC9068-3-2"},
		{"RFC8707-2-3 an unknown one", "accounts", nil, []string{"https://evil.example"}, "", nil, "invalid_target", "RFC8707-2-3"},
		{"RFC8707-2-1 a relative one", "accounts", nil, []string{"accounts"}, "", nil, "invalid_target", "RFC8707-2-1"},
		{"RFC8707-2-1 a fragment", "accounts", nil, []string{resource + "#a"}, "", nil, "invalid_target", "RFC8707-2-1"},
	} {
		for _, bound := range []struct {
			name string
			f    *fintech
			k    *proofKey
		}{{" to a certificate", keyClient("kakeibo"), nil}, {" to a key", tlsClient("kakeibo").dpop(), newProofKey()}} {
			t.Run(tt.name+bound.name, func(t *testing.T) {
				f, k := everywhere(bound.f), bound.k
				b := newBank(t, clients(f), withCards)
				redeem := f.approved(b, f.asking(tt.scope, tt.granted...), b.approval(), k)
				asked := with(redeem, "grant_type", "authorization_code")
				asked["resource"] = tt.asked
				status, body := f.post(b, "/token", asked, k)
				if tt.code == "" {
					if status != 200 {
						t.Fatalf("%d %v", status, body)
					}
					goodFor(t, body, tt.want, tt.aud...)
					return
				}
				refusedAs(t, b, status, body, tt.code, tt.rule)
				if tt.rule == "RFC9068-3-2" {
					redeem["resource"] = []string{resource}
				}
				if status, body := f.post(b, "/token", redeem, k); status != 200 { // the code is as good as before
					t.Errorf("afterwards: %d %v", status, body)
				}
			})
		}
	}
}

// TestResourceRefresh: the refresh token keeps the whole grant, whatever part
// of it a token had.
func TestResourceRefresh(t *testing.T) {
	t.Run("RFC8707-2.2-2 RFC8707-3-1 a token for one API, then one for the other, then one for both", func(t *testing.T) {
		f := everywhere(keyClient("kakeibo"))
		b := newBank(t, clients(f), withCards)
		redeem := f.approved(b, f.asking("openid accounts cards", resource, cards), b.approval(), nil)
		first := f.mustToken(b, with(redeem, "resource", resource))
		goodFor(t, first, "openid accounts", resource)
		if err := f.accepts(b, resource, first["access_token"].(string)); err != nil {
			t.Error(err)
		}
		if err := f.accepts(b, cards, first["access_token"].(string)); err == nil {
			t.Error("the other API takes it, too")
		}
		other := f.mustToken(b, with(again(first), "resource", cards))
		goodFor(t, other, "openid cards", cards)
		if err := f.accepts(b, resource, other["access_token"].(string)); err == nil {
			t.Error("the first API takes it, too")
		}
		goodFor(t, f.mustToken(b, again(first)), "openid accounts cards", resource, cards)
		goodFor(t, f.mustToken(b, with(again(first), "scope", "accounts")), "accounts", resource)
		status, body := f.token(b, with(with(again(first), "scope", "accounts"), "resource", cards))
		refusedAs(t, b, status, body, "invalid_target", "RFC8707-2.2-1")
	})
	t.Run("FAPI2-SP-5.3.2.1-14 an API where consent left nothing is no audience", func(t *testing.T) {
		f := everywhere(keyClient("kakeibo"))
		b := newBank(t, clients(f), withCards)
		d := b.approval()
		d.Scopes = []string{"openid", "cards"}
		redeem := f.approved(b, f.asking("openid accounts cards", resource, cards), d, nil)
		status, body := f.token(b, with(redeem, "resource", resource))
		refusedAs(t, b, status, body, "invalid_target", "RFC8707-2.2-1")
		goodFor(t, f.mustToken(b, redeem), "openid cards", cards)
	})
}

// TestResourceGone: an API that the bank gives up, or takes a client's scopes
// for, ends for the grants there are.
func TestResourceGone(t *testing.T) {
	withoutCards := func(c *authz.Config) {
		c.Scopes = []string{"openid", "accounts", "payments"}
		c.Resources = []authz.Resource{{ID: resource}}
	}
	grantFor := func(t *testing.T, scope string, resources ...string) (*bank, *fintech, map[string]any) {
		f := everywhere(keyClient("kakeibo"))
		b := newBank(t, clients(f), withCards)
		return b, f, f.mustToken(b, with(f.approved(b, f.asking(scope, resources...), b.approval(), nil), "resource", cards))
	}
	t.Run("RFC8707-2-3 a token is for what is left", func(t *testing.T) {
		b, f, tokens := grantFor(t, "openid accounts cards", resource, cards)
		b = b.later(withoutCards)
		goodFor(t, f.mustToken(b, again(tokens)), "openid accounts", resource)
	})
	t.Run("RFC8707-2-3 and not for what is gone", func(t *testing.T) {
		b, f, tokens := grantFor(t, "openid accounts cards", resource, cards)
		b = b.later(withoutCards)
		if status, body := f.token(b, with(again(tokens), "resource", cards)); status != 400 || body["error"] != "invalid_target" {
			t.Errorf("%d %v", status, body)
		}
	})
	t.Run("RFC8707-2-3 a grant for openid at an API that is gone does not move to another", func(t *testing.T) {
		b, f, tokens := grantFor(t, "openid", cards)
		b = b.later(withoutCards)
		if status, body := f.token(b, again(tokens)); status != 400 || body["error"] != "invalid_target" {
			t.Errorf("%d %v", status, body)
		}
	})
	t.Run("RFC8707-2-3 RFC9068-2.2.3-1 a scope that means nothing any more at the API it was granted for", func(t *testing.T) {
		b, f, tokens := grantFor(t, "history", cards)
		b = b.later(func(c *authz.Config) {
			c.Resources = []authz.Resource{c.Resources[0], {ID: cards, Scopes: []string{"cards"}}}
		})
		if status, body := f.token(b, again(tokens)); status != 400 || body["error"] != "invalid_target" {
			t.Errorf("%d %v", status, body)
		}
	})
	t.Run("RFC8707-2.1-1 a scope that comes to mean something at another API was not granted there", func(t *testing.T) {
		f := everywhere(keyClient("kakeibo"))
		b := newBank(t, clients(f), withCards)
		tokens := f.mustToken(b, f.approved(b, f.asking("accounts"), b.approval(), nil)) // no API is named
		b = b.later(func(c *authz.Config) {
			c.Resources = []authz.Resource{c.Resources[0], {ID: cards, Scopes: []string{"cards", "history", "accounts"}}}
		})
		if status, body := f.token(b, with(again(tokens), "resource", cards)); status != 400 || body["error"] != "invalid_target" {
			t.Errorf("%d %v", status, body)
		}
		goodFor(t, f.mustToken(b, again(tokens)), "accounts", resource)
	})
	t.Run("RFC8707-2.2-3 the only API may be given another identifier", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		tokens := f.mustToken(b, f.approved(b, f.asking("accounts"), b.approval(), nil))
		b = b.later(func(c *authz.Config) { c.Resources = []authz.Resource{{ID: "https://new.bank.example"}} })
		goodFor(t, f.mustToken(b, again(tokens)), "accounts", "https://new.bank.example")
	})
	t.Run("RFC6749-5.2-3 nothing is left", func(t *testing.T) {
		b, f, tokens := grantFor(t, "cards", cards)
		b = b.later(withoutCards)
		if status, body := f.token(b, again(tokens)); status != 400 || body["error"] != "invalid_scope" {
			t.Errorf("%d %v", status, body)
		}
	})
	t.Run("RFC9126-7.4-1 between push and page", func(t *testing.T) {
		f := everywhere(keyClient("kakeibo"))
		b := newBank(t, clients(f), withCards)
		_, body := f.post(b, "/par", f.asking("openid", cards), nil)
		b = b.later(withoutCards)
		res := (&browser{b: b}).open(f, body["request_uri"].(string))
		page, _ := io.ReadAll(res.Body)
		if res.StatusCode != 400 {
			t.Errorf("%d %s", res.StatusCode, page)
		}
	})
}

// TestResourceCredentials: a client that acts for itself.
func TestResourceCredentials(t *testing.T) {
	for _, tt := range []struct {
		name, registered, scope string
		resources               []string
		want                    string
		aud                     []string
		code, rule              string
	}{
		{"RFC8707-2.2-1 RFC6749-3.3-2 the scopes of the API named", "openid accounts cards history cards", "", []string{cards}, "cards history", []string{cards}, "", ""},
		{"RFC9068-3-1 the API that the scope implies", "openid accounts cards", "cards", nil, "cards", []string{cards}, "", ""},
		{"RFC8707-2.2-1 both", "accounts cards", "", []string{resource, cards}, "accounts cards", []string{resource, cards}, "", ""},
		{"RFC9068-3-1 none named, and scopes of two", "openid accounts cards", "", nil, "", nil, "invalid_scope", "RFC9068-3-1"},
		{"RFC9068-3-2 a scope that would mean two things", "history", "history", []string{resource, cards}, "", nil, "invalid_target", "RFC9068-3-2"},
		{"RFC8707-2.1-1 a scope that means nothing there", "accounts cards", "accounts", []string{cards}, "", nil, "invalid_target", "RFC8707-2.1-1"},
		{"RFC8707-2-3 an API that it has no scope for", "accounts", "", []string{cards}, "", nil, "invalid_scope", "RFC6749-3.3-2"},
		{"RFC8707-2-3 an unknown one", "accounts", "", []string{"https://evil.example"}, "", nil, "invalid_target", "RFC8707-2-3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.Scope = tt.registered
			b := newBank(t, clients(f), withCards)
			v := url.Values{"grant_type": {"client_credentials"}, "resource": tt.resources}
			if tt.scope != "" {
				v.Set("scope", tt.scope)
			}
			status, body := f.token(b, v)
			if tt.code != "" {
				refusedAs(t, b, status, body, tt.code, tt.rule)
				return
			}
			if status != 200 {
				t.Fatalf("%d %v", status, body)
			}
			goodFor(t, body, tt.want, tt.aud...)
		})
	}
}

// mustToken sends v to the token endpoint and returns the tokens.
func (f *fintech) mustToken(b *bank, v url.Values) map[string]any {
	b.t.Helper()
	status, body := f.post(b, "/token", v, nil)
	if status != 200 {
		b.t.Fatalf("token: %d %v", status, body)
	}
	return body
}
