package authz_test

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store/storetest"
)

func refreshing(refresh string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
}

// TestRefreshRefused: like TestCodeRefused, for a refresh.
func TestRefreshRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		wrong func(url.Values) url.Values
		code  string
		rule  string
	}{
		{"RFC6749-6-1 no refresh_token", func(v url.Values) url.Values { return without(v, "refresh_token") }, "invalid_request", "RFC6749-6-1"},
		{"RFC6749-3.2-1 the refresh_token twice", func(v url.Values) url.Values {
			v = maps.Clone(v)
			v.Add("refresh_token", v.Get("refresh_token"))
			return v
		}, "invalid_request", "RFC6749-3.1-2"},
		{"RFC6749-6-2 garbage", func(v url.Values) url.Values { return with(v, "refresh_token", "../x") }, "invalid_grant", "RFC6749-6-2"},
		{"RFC6749-10.10-1 a guessed refresh_token", func(v url.Values) url.Values {
			s := v.Get("refresh_token")
			return with(v, "refresh_token", s[:64]+flip(s[64])+s[65:])
		}, "invalid_grant", "RFC6749-6-2"},
		{"RFC9700-4.14.2-1 RFC6749-6-1 a scope that was not granted", func(v url.Values) url.Values { return with(v, "scope", "accounts payments") }, "invalid_scope", "RFC6749-6-1"},
		{"RFC6749-3.3-1 a scope in another case", func(v url.Values) url.Values { return with(v, "scope", "ACCOUNTS") }, "invalid_scope", "RFC6749-5.2-3"},
		{"RFC6749-3.3-1 a scope with a quote", func(v url.Values) url.Values { return with(v, "scope", `accounts "x"`) }, "invalid_scope", "RFC6749-3.3-1"},
		{"RFC6749-3.3-1 a scope of spaces", func(v url.Values) url.Values { return with(v, "scope", "  ") }, "invalid_scope", "RFC6749-3.3-1"},
		{"RFC8707-2-3 another resource", func(v url.Values) url.Values { return with(v, "resource", resource+"/") }, "invalid_target", "RFC8707-2-3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			right := f.authenticate(b, refreshing(f.tokens(b)["refresh_token"].(string)))
			refusal(t, f.answer(b, tt.wrong(right)), 400, tt.code)
			if e := b.lastEvent(); e.Kind != "request_refused" || e.Rule != tt.rule {
				t.Errorf("event %+v, want rule %s", e, tt.rule)
			}
			if res := f.answer(b, right); res.Code != 200 {
				t.Errorf("the right request afterwards: %d %s", res.Code, res.Body)
			}
		})
	}
	for _, thief := range []*fintech{keyClient("thief"), tlsClient("thief")} {
		t.Run("CT-AS-50 RFC6749-6-2 OIDC-TK-6 by another client, "+thief.AuthMethod, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f, thief))
			refresh := f.tokens(b)["refresh_token"].(string)
			refusal(t, thief.answer(b, thief.authenticate(b, refreshing(refresh))), 400, "invalid_grant")
			if e := b.lastEvent(); e.Client != "thief" || e.Subject != "" {
				t.Errorf("event %+v", e)
			}
			if status, got := f.token(b, refreshing(refresh)); status != 200 {
				t.Errorf("the owner afterwards: %d %v", status, got)
			}
		})
	}
	t.Run("CT-AS-50 without client authentication", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := refreshing(f.tokens(b)["refresh_token"].(string))
		v.Set("client_id", "kakeibo")
		refusal(t, f.answer(b, v), 401, "invalid_client")
	})
	t.Run("RFC6749-5.2-4 by a client that lost the grant type", func(t *testing.T) {
		f := keyClient("kakeibo")
		reg := &registry{c: f.Client}
		b := newBank(t, nil, func(c *authz.Config) { c.Clients = reg })
		refresh := f.tokens(b)["refresh_token"].(string)
		reg.change(func(_ *registry, c *authz.Client) { c.GrantTypes = []string{"authorization_code"} })
		refusal(t, f.answer(b, f.authenticate(b, refreshing(refresh))), 400, "unauthorized_client")
	})
}

// TestRefresh: what a refresh gives.
func TestRefresh(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	first := f.tokens(b)
	refresh := first["refresh_token"].(string)
	b.clock.Advance(24 * time.Hour)

	t.Run("CT-AS-49 CONF-4 FAPI2-SP-5.3.2.1-9 RFC6749-6-3 OIDC-TK-5 the same refresh token, again and again, and no ID token", func(t *testing.T) {
		for range 3 {
			status, got := f.token(b, refreshing(refresh))
			want := map[string]any{
				"access_token": got["access_token"], "refresh_token": refresh, "token_type": "Bearer", "expires_in": 300.0, "scope": "openid accounts",
			}
			if d := cmp.Diff(want, got); d != "" || status != 200 {
				t.Errorf("%d %s", status, d)
			}
			b.clock.Advance(31 * time.Second)
		}
	})
	t.Run("RFC9068-2.2.1-1 RFC9470-6-2 the new token tells of the old login", func(t *testing.T) {
		_, got := f.token(b, refreshing(refresh))
		_, was := verified(t, first["access_token"].(string), serverKeys)
		_, is := verified(t, got["access_token"].(string), serverKeys)
		for _, name := range []string{"iat", "exp", "jti"} {
			if was[name] == is[name] {
				t.Errorf("%s is still %v", name, is[name])
			}
			delete(was, name)
			delete(is, name)
		}
		if d := cmp.Diff(was, is); d != "" {
			t.Error(d)
		}
	})
	t.Run("FAPI2-SP-5.3.2.1-14 RFC6749-6-1 RFC9700-2.3-1 for fewer scopes, and then for all again", func(t *testing.T) {
		for _, tt := range []struct{ asked, granted string }{
			{"accounts", "accounts"}, {"accounts openid", "accounts openid"}, {"accounts accounts", "accounts"}, {"", "openid accounts"},
		} {
			v := refreshing(refresh)
			if tt.asked != "" {
				v.Set("scope", tt.asked)
			}
			status, got := f.token(b, v)
			if status != 200 || got["scope"] != tt.granted || claimsOf(t, got["access_token"].(string))["scope"] != tt.granted {
				t.Errorf("%q: %d %v", tt.asked, status, got)
			}
		}
	})
	t.Run("RFC8705-7.1 RFC8705-3-1 FAPI2-SP-6.1-1 with a new certificate", func(t *testing.T) {
		rotated := *f
		rotated.chain = append(f.chain[:0:0], selfSigned(newEC(), "kakeibo"))
		status, got := rotated.token(b, refreshing(refresh))
		if status != 200 {
			t.Fatalf("%d %v", status, got)
		}
		if err := rotated.check(b, got["access_token"].(string)); err != nil {
			t.Errorf("the new token with the new certificate: %v", err)
		}
		if err := f.check(b, got["access_token"].(string)); err == nil {
			t.Error("the new token goes with the old certificate")
		}
	})
	t.Run("RFC8707-2.2-2 for the resource", func(t *testing.T) {
		v := refreshing(refresh)
		v.Set("resource", resource)
		if status, got := f.token(b, v); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("RFC9700-4.14.2-3 to the grant's last moment and not after", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) { c.GrantLifetime = time.Hour })
		refresh := f.tokens(b)["refresh_token"].(string)
		b.clock.Advance(time.Hour - time.Second)
		if status, got := f.token(b, refreshing(refresh)); status != 200 || got["expires_in"] != 1.0 {
			t.Errorf("a second before: %d %v", status, got)
		}
		b.clock.Advance(time.Second)
		form := f.authenticate(b, refreshing(refresh))
		refusal(t, f.answer(b, form), 400, "invalid_grant")
		form.Set("grant_type", "client_credentials")
		form.Set("scope", "accounts")
		if res := f.answer(b, form); res.Code != 200 {
			t.Errorf("the refused refresh used up the assertion: %d %s", res.Code, res.Body)
		}
	})
	t.Run("RFC6749-6-2 a certificate of tls_client_auth issued anew", func(t *testing.T) {
		f := tlsClient("kakeibo")
		b := newBank(t, clients(f))
		refresh := f.tokens(b)["refresh_token"].(string)
		template := *f.chain[0]
		rotated := *f
		rotated.chain = append(f.chain[:0:0], testCA.issue(&template, newEC()))
		status, got := rotated.token(b, refreshing(refresh))
		if status != 200 {
			t.Fatalf("%d %v", status, got)
		}
		if err := rotated.check(b, got["access_token"].(string)); err != nil {
			t.Error(err)
		}
	})
}

// TestScopeWithdrawn: what the bank takes from a client, or stops offering,
// ends for the grants the client already holds.
func TestScopeWithdrawn(t *testing.T) {
	for _, tt := range []struct {
		name, registered, ask string
		want                  string // "" means refused
	}{
		{"a scope is withdrawn, none asked", "openid payments", "", "openid"},
		{"a scope is withdrawn, and asked", "openid payments", "accounts", ""},
		{"openid is withdrawn", "accounts", "", "accounts"},
		{"all are withdrawn", "payments", "", ""},
		{"nothing is withdrawn", "payments accounts openid", "", "openid accounts"},
	} {
		t.Run("RFC9126-7.4-1 RFC6749-6-1 "+tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			reg := &registry{c: f.Client}
			b := newBank(t, nil, func(c *authz.Config) { c.Clients = reg })
			refresh, code := f.tokens(b)["refresh_token"].(string), f.code(b)
			reg.change(func(_ *registry, c *authz.Client) { c.Scope = tt.registered })
			asked := refreshing(refresh)
			if tt.ask != "" {
				asked.Set("scope", tt.ask)
			}
			requests := []url.Values{asked}
			if tt.ask == "" {
				requests = append(requests, f.redeemable(code))
			}
			for _, v := range requests {
				form := f.authenticate(b, v)
				if tt.want == "" {
					refusal(t, f.answer(b, form), 400, "invalid_scope")
					continue
				}
				status, got := f.token(b, v)
				if status != 200 || got["scope"] != tt.want || claimsOf(t, got["access_token"].(string))["scope"] != tt.want {
					t.Errorf("%s: %d %v", v.Get("grant_type"), status, got)
				}
				if _, has := got["id_token"]; has && tt.want == "accounts" {
					t.Error("an ID token without openid")
				}
			}
			reg.change(func(_ *registry, c *authz.Client) { c.Scope = "openid accounts" })
			if status, got := f.token(b, refreshing(refresh)); status != 200 || got["scope"] != "openid accounts" {
				t.Errorf("when it is given back: %d %v", status, got)
			}
		})
	}
}

func TestScopeNoLongerOffered(t *testing.T) {
	t.Run("RFC9126-7.4-1 the server stops offering a scope", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		refresh := f.tokens(b)["refresh_token"].(string)
		next := newBank(t, clients(f), func(c *authz.Config) { c.Store, c.Scopes = b.config.Store, []string{"openid", "payments"} })
		status, got := f.token(next, refreshing(refresh))
		if status != 200 || got["scope"] != "openid" {
			t.Errorf("%d %v", status, got)
		}
	})
}

// TestRevoked: a grant that the bank deleted is gone for every request.
func TestRevoked(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	code := f.code(b)
	if err := b.config.Store.Delete(t.Context(), b.lastEvent().Grant); err != nil {
		t.Fatal(err)
	}
	t.Run("RFC6749-5.2-3 its code", func(t *testing.T) {
		refusal(t, f.answer(b, f.authenticate(b, f.redeemable(code))), 400, "invalid_grant")
	})
	got := f.tokens(b)
	if err := b.config.Store.Delete(t.Context(), b.lastEvent().Grant); err != nil {
		t.Fatal(err)
	}
	t.Run("RFC6749-6-2 its refresh token", func(t *testing.T) {
		refusal(t, f.answer(b, f.authenticate(b, refreshing(got["refresh_token"].(string)))), 400, "invalid_grant")
	})
	t.Run("RFC6749-4.1.2-3 its access token", func(t *testing.T) {
		if err := f.check(b, got["access_token"].(string)); err == nil {
			t.Error("the API still takes it")
		}
	})
}

// TestReuseOutage: a code is presented again while the store cannot delete.
// The client may try again, and then the grant ends.
func TestReuseOutage(t *testing.T) {
	t.Run("RFC6749-4.1.2-3 the grant ends at the next attempt", func(t *testing.T) {
		f := keyClient("kakeibo")
		down := false
		b := newBank(t, clients(f), func(c *authz.Config) {
			c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, _ string) error {
				if down && op == "Delete" {
					return errors.New("read-only")
				}
				return nil
			}}
		})
		code := f.code(b)
		_, got := f.token(b, f.redeemable(code))
		down = true
		refusal(t, f.answer(b, f.authenticate(b, f.redeemable(code))), 503, "server_error")
		down = false
		refusal(t, f.answer(b, f.authenticate(b, f.redeemable(code))), 400, "invalid_grant")
		refusal(t, f.answer(b, f.authenticate(b, refreshing(got["refresh_token"].(string)))), 400, "invalid_grant")
		if e := b.events[len(b.events)-3]; e.Kind != "grant_revoked" || e.Rule != "RFC6749-4.1.2-3" {
			t.Errorf("event %+v", e)
		}
	})
}

// TestRefreshReadsOnly: a refresh writes the assertion's id and nothing else,
// so that it cannot undo a revocation.
func TestRefreshReadsOnly(t *testing.T) {
	t.Run("FAPI2-SP-5.3.2.1-9 revoked while it is refreshed", func(t *testing.T) {
		f := keyClient("kakeibo")
		revoke := false
		b := newBank(t, clients(f), func(c *authz.Config) {
			inner := c.Store
			var grant string
			c.Store = &storetest.Faulty{Store: inner, Fail: func(op, key string) error {
				if revoke && op == "Get" {
					grant = key
				}
				if revoke && op == "Create" { // the jti, after the grant was read
					return inner.Delete(context.Background(), grant)
				}
				return nil
			}}
		})
		got := f.tokens(b)
		revoke = true
		status, late := f.token(b, refreshing(got["refresh_token"].(string)))
		revoke = false
		if status == 200 {
			if err := f.check(b, late["access_token"].(string)); err == nil {
				t.Error("the token of a revoked grant works")
			}
		}
		refusal(t, f.answer(b, f.authenticate(b, refreshing(got["refresh_token"].(string)))), 400, "invalid_grant")
	})
}
