package authz_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/pkce"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

// refusal checks an answer of the token endpoint.
func refusal(t *testing.T, res *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(res.Body.Bytes(), &got); err != nil {
		t.Fatalf("%d %s: %v", res.Code, res.Body, err)
	}
	if res.Code != status || got["error"] != code {
		t.Errorf("%d %v, want %d %s", res.Code, got, status, code)
	}
	for name := range got { // RFC6749-5.2-1
		if name != "error" && name != "error_description" {
			t.Errorf("a refusal has %s", name)
		}
	}
	uncached(t, res)
}

// uncached checks what every answer of the token endpoint carries.
func uncached(t *testing.T, res *httptest.ResponseRecorder) {
	t.Helper()
	h := res.Header()
	if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" { // RFC6749-5.1-2
		t.Errorf("headers %v", h)
	}
}

// answer sends v to the token endpoint as it is.
func (f *fintech) answer(b *bank, v url.Values) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.srv.ServeHTTP(w, f.request("/token", v))
	return w
}

// without returns v less one parameter.
func without(v url.Values, name string) url.Values {
	v = maps.Clone(v)
	v.Del(name)
	return v
}

// with returns v with one parameter replaced.
func with(v url.Values, name, value string) url.Values {
	v = maps.Clone(v)
	v.Set(name, value)
	return v
}

// TestCodeRefused: a request that is wrong in any one way yields nothing and
// uses nothing up. The right one works afterwards, with the same code and the
// same assertion.
func TestCodeRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		wrong func(url.Values) url.Values
		code  string
		rule  string
	}{
		{"RFC6749-5.2-4 no grant_type", func(v url.Values) url.Values { return without(v, "grant_type") }, "invalid_request", "RFC6749-5.2-4"},
		{"RFC6749-5.2-4 an unknown grant_type", func(v url.Values) url.Values { return with(v, "grant_type", "Authorization_Code") }, "unsupported_grant_type", "RFC6749-5.2-4"},
		{"FAPI2-SP-5.3.2.1-2 password", func(v url.Values) url.Values {
			return with(with(with(v, "grant_type", "password"), "username", "u"), "password", "p")
		}, "unsupported_grant_type", "FAPI2-SP-5.3.2.1-2"},
		{"RFC6749-4.1.3-1 no code", func(v url.Values) url.Values { return without(v, "code") }, "invalid_request", "RFC6749-4.1.3-1"},
		{"RFC6749-3.2-1 the code twice", func(v url.Values) url.Values { v = maps.Clone(v); v.Add("code", v.Get("code")); return v }, "invalid_request", "RFC6749-3.1-2"},
		{"RFC6749-4.1.3-2 garbage for a code", func(v url.Values) url.Values { return with(v, "code", "%00' or 1=1") }, "invalid_grant", "RFC6749-4.1.3-2"},
		{"RFC6749-10.10-1 a guessed code", func(v url.Values) url.Values {
			c := v.Get("code")
			return with(v, "code", c[:64]+flip(c[64])+c[65:])
		}, "invalid_grant", "RFC6749-4.1.3-2"},
		{"RFC6749-10.10-1 a code for nothing", func(v url.Values) url.Values { return with(v, "code", "AQ"+strings.Repeat("A", 64)) }, "invalid_grant", "RFC6749-4.1.3-2"},
		{"RFC6749-4.1.3-1 OIDC-TK-2 no redirect_uri", func(v url.Values) url.Values { return without(v, "redirect_uri") }, "invalid_grant", "RFC6749-4.1.3-1"},
		{"RFC6749-10.6-1 another redirect_uri", func(v url.Values) url.Values { return with(v, "redirect_uri", callback+"2") }, "invalid_grant", "RFC6749-4.1.3-1"},
		{"RFC6749-10.6-1 another of the client's redirect_uris", func(v url.Values) url.Values { return with(v, "redirect_uri", callback+"/two") }, "invalid_grant", "RFC6749-4.1.3-1"},
		{"CT-AS-17 CONF-15 no code_verifier", func(v url.Values) url.Values { return without(v, "code_verifier") }, "invalid_grant", "RFC7636-4.6-1"},
		{"RFC7636-4.6-1 the code_verifier empty", func(v url.Values) url.Values { return with(v, "code_verifier", "") }, "invalid_grant", "RFC7636-4.6-1"},
		{"CT-AS-17 another code_verifier", func(v url.Values) url.Values { return with(v, "code_verifier", strings.Repeat("v", 43)) }, "invalid_grant", "RFC7636-4.6-1"},
		{"RFC7636-4.6-1 one character of the code_verifier", func(v url.Values) url.Values { return with(v, "code_verifier", verifier[:42]+"5") }, "invalid_grant", "RFC7636-4.6-1"},
		{"RFC7636-4.6-1 the challenge as the code_verifier", func(v url.Values) url.Values { return with(v, "code_verifier", pkce.Challenge(verifier)) }, "invalid_grant", "RFC7636-4.6-1"},
		{"RFC8707-2-3 another resource", func(v url.Values) url.Values { return with(v, "resource", "https://other.example") }, "invalid_target", "RFC8707-2-3"},
		{"RFC8707-2.2-1 ours and another resource", func(v url.Values) url.Values {
			v = with(v, "resource", resource)
			v.Add("resource", "https://other.example")
			return v
		}, "invalid_target", "RFC8707-2-3"},
		{"RFC8707-2-1 a fragment", func(v url.Values) url.Values { return with(v, "resource", resource+"#x") }, "invalid_target", "RFC8707-2-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.RedirectURIs = append(f.RedirectURIs, callback+"/two")
			b := newBank(t, clients(f))
			right := f.authenticate(b, f.redeemable(f.code(b)))
			refusal(t, f.answer(b, tt.wrong(right)), 400, tt.code)
			if e := b.lastEvent(); e.Kind != "request_refused" || e.Rule != tt.rule {
				t.Errorf("event %+v, want rule %s", e, tt.rule)
			}
			if res := f.answer(b, right); res.Code != 200 { // RFC7636-4.6-2: nothing was consumed
				t.Errorf("the right request afterwards: %d %s", res.Code, res.Body)
			}
		})
	}
}

// TestCodeNeedsACertificate: no token that is bound to nothing.
func TestCodeNeedsACertificate(t *testing.T) {
	t.Run("CT-AS-22 FAPI2-SP-5.3.2.1-4 FAPI2-SP-5.3.2.1-5 E2E-13 RFC8705-3.4-2 no certificate", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		code := f.code(b)
		refresh := f.tokens(b)["refresh_token"].(string)
		bare := *f
		bare.chain = nil
		for _, v := range []url.Values{
			f.redeemable(code),
			{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, // CT-AS-50
			{"grant_type": {"client_credentials"}, "scope": {"accounts"}}, // FAPI2-SP-5.3.2.1-N2
		} {
			right := f.authenticate(b, v)
			refusal(t, bare.answer(b, right), 400, "invalid_request")
			if e := b.lastEvent(); e.Rule != "FAPI2-SP-5.3.2.1-5" {
				t.Errorf("rule %s", e.Rule)
			}
			if res := f.answer(b, right); res.Code != 200 {
				t.Errorf("%s with a certificate afterwards: %d %s", v.Get("grant_type"), res.Code, res.Body)
			}
		}
	})
}

func TestWeakCertificate(t *testing.T) {
	t.Run("FAPI2-SP-5.4.1-2 no token is bound to a key of 1024 bits", func(t *testing.T) {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		right := f.authenticate(b, f.redeemable(f.code(b)))
		weak := *f
		weak.chain = append(f.chain[:0:0], selfSigned(key, "kakeibo"))
		refusal(t, weak.answer(b, right), 401, "invalid_client")
		if e := b.lastEvent(); e.Rule != "FAPI2-SP-5.4.1-2" {
			t.Errorf("rule %s", e.Rule)
		}
		if res := f.answer(b, right); res.Code != 200 {
			t.Errorf("with a good key afterwards: %d %s", res.Code, res.Body)
		}
	})
}

// TestCodeOfAnother: authenticated, but not the client that the code is for.
func TestCodeOfAnother(t *testing.T) {
	for _, thief := range []*fintech{keyClient("thief"), tlsClient("thief"), selfSignedClient("thief")} {
		t.Run("CT-AS-19 RFC6749-4.1.3-2 "+thief.AuthMethod, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f, thief))
			code := f.code(b)
			refusal(t, thief.answer(b, thief.authenticate(b, thief.redeemable(code))), 400, "invalid_grant")
			if e := b.lastEvent(); e.Rule != "RFC6749-4.1.3-2" || e.Client != "thief" || e.Subject != "" {
				t.Errorf("event %+v", e)
			}
			if !f.alive(b, code) {
				t.Error("the code was used up")
			}
		})
	}
	t.Run("CT-AS-18 the victim's client_id beside the thief's assertion", func(t *testing.T) {
		f, thief := keyClient("kakeibo"), keyClient("thief")
		b := newBank(t, clients(f, thief))
		code := f.code(b)
		refusal(t, thief.answer(b, with(thief.authenticate(b, thief.redeemable(code)), "client_id", "kakeibo")), 401, "invalid_client")
		if !f.alive(b, code) {
			t.Error("the code was used up")
		}
	})
	t.Run("RFC9207-4-1 at another issuer over the same store", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		code, refresh := f.code(b), f.tokens(b)["refresh_token"].(string)
		second := newBank(t, clients(f), func(c *authz.Config) { c.Issuer, c.Store = issuer+":8443", b.config.Store })
		for _, v := range []url.Values{f.redeemable(code), {"grant_type": {"refresh_token"}, "refresh_token": {refresh}}} {
			claims := f.assertion(b)
			claims["aud"] = issuer + ":8443"
			refusal(t, f.answer(second, with(f.authenticate(b, v), "client_assertion", f.signed(claims))), 400, "invalid_grant")
		}
		if !f.alive(b, code) {
			t.Error("the code was used up")
		}
	})
}

func TestCodeLifetime(t *testing.T) {
	for _, tt := range []struct {
		row   string
		life  time.Duration
		after time.Duration
		ok    bool
	}{
		{"FAPI2-SP-5.3.2.1-11", 0, 55 * time.Second, true},
		{"FAPI2-SP-5.3.2.1-11", 0, time.Minute - time.Millisecond, true},
		{"FAPI2-SP-5.3.2.1-11", 0, time.Minute, false},
		{"CT-AS-21 RFC6749-4.1.2-1", 0, 61 * time.Second, false},
		{"RFC6749-4.1.2-1", 10 * time.Second, 9 * time.Second, true},
		{"RFC6749-4.1.2-1", 10 * time.Second, 10 * time.Second, false},
	} {
		t.Run(tt.row+" after "+tt.after.String(), func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), func(c *authz.Config) { c.CodeLifetime = tt.life })
			code := f.code(b)
			b.clock.Advance(tt.after)
			res := f.answer(b, f.authenticate(b, f.redeemable(code)))
			if tt.ok && res.Code != 200 {
				t.Errorf("%d %s", res.Code, res.Body)
			}
			if !tt.ok {
				refusal(t, res, 400, "invalid_grant")
				if e := b.lastEvent(); e.Rule != "FAPI2-SP-5.3.2.1-11" {
					t.Errorf("rule %s", e.Rule)
				}
			}
		})
	}
	t.Run("FAPI2-SP-5.3.2.1-11 an expired code burns no assertion", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		refresh := f.tokens(b)["refresh_token"].(string)
		code := f.code(b)
		b.clock.Advance(time.Minute)
		form := f.authenticate(b, f.redeemable(code))
		refusal(t, f.answer(b, form), 400, "invalid_grant")
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", refresh)
		if res := f.answer(b, form); res.Code != 200 {
			t.Errorf("%d %s", res.Code, res.Body)
		}
	})
}

func TestVerifierSyntax(t *testing.T) {
	for _, tt := range []struct {
		verifier string
		ok       bool
	}{
		{strings.Repeat("v", 42), false},
		{strings.Repeat("v", 43), true},
		{strings.Repeat("-._~", 32), true},
		{strings.Repeat("v", 129), false},
		{strings.Repeat("v", 43) + " ", false},
		{strings.Repeat("v", 43) + "\n", false},
		{strings.Repeat("v", 43) + "é", false},
	} {
		t.Run("RFC7636-4.1-1 "+tt.verifier, func(t *testing.T) {
			f := keyClient("kakeibo")
			sum := sha256.Sum256([]byte(tt.verifier))
			b, br, id := started(t, f, changed(f.pushable(), "code_challenge", base64.RawURLEncoding.EncodeToString(sum[:])))
			w, err := br.finish(id, b.approval())
			if err != nil {
				t.Fatal(err)
			}
			res := f.answer(b, f.authenticate(b, changed(f.redeemable(location(t, w.Result()).Get("code")), "code_verifier", tt.verifier)))
			if tt.ok && res.Code != 200 {
				t.Errorf("%d %s", res.Code, res.Body)
			}
			if !tt.ok {
				refusal(t, res, 400, "invalid_grant")
			}
		})
	}
}

// TestHandlesAreNotInterchangeable: what stands for one step of a flow stands
// for no other, although all find the same grant.
func TestHandlesAreNotInterchangeable(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	uri := f.push(b, f.pushable())
	res, err := (&browser{b: b}).decide(f, uri, b.approval())
	if err != nil {
		t.Fatal(err)
	}
	code := location(t, res).Get("code")
	asCode := func(s string) url.Values { return f.redeemable(s) }
	asRefresh := func(s string) url.Values { return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s}} }
	pushed := strings.TrimPrefix(uri, "urn:ietf:params:oauth:request_uri:")
	try := func(name string, v url.Values) {
		t.Run("RFC6749-5.2-3 "+name, func(t *testing.T) {
			refusal(t, f.answer(b, f.authenticate(b, v)), 400, "invalid_grant")
		})
	}
	try("the request_uri as code", asCode(pushed))
	try("the code as refresh token", asRefresh(code))
	_, got := f.token(b, f.redeemable(code))
	refresh := got["refresh_token"].(string)
	try("the code as refresh token, once redeemed", asRefresh(code))
	try("the refresh token as code", asCode(refresh))
	try("the request_uri as refresh token", asRefresh(pushed))
	try("the access token as code", asCode(got["access_token"].(string)))
	try("the access token as refresh token", asRefresh(got["access_token"].(string)))
	try("the grant's public id as refresh token", asRefresh(claimsOf(t, got["access_token"].(string))["grant_id"].(string)))
	if status, body := f.token(b, asRefresh(refresh)); status != 200 {
		t.Errorf("the grant ended: %d %v", status, body)
	}
}

// TestGrantEnds: no token outlives its grant.
func TestGrantEnds(t *testing.T) {
	// approve runs the flow with a grant that ends after that long.
	approve := func(t *testing.T, f *fintech, ends, lifetime time.Duration) (*bank, string) {
		t.Helper()
		b, br, id := started(t, f, f.pushable(), func(c *authz.Config) { c.GrantLifetime = lifetime })
		d := b.approval()
		if ends != 0 {
			d.Expires = b.clock.Now().Add(ends)
		}
		w, err := br.finish(id, d)
		if err != nil {
			t.Fatal(err)
		}
		return b, location(t, w.Result()).Get("code")
	}
	t.Run("the access token's life is what is left of the grant's", func(t *testing.T) {
		f := keyClient("kakeibo")
		b, code := approve(t, f, 100*time.Second+500*time.Millisecond, time.Hour)
		b.clock.Advance(10 * time.Second)
		status, got := f.token(b, f.redeemable(code))
		if status != 200 || got["expires_in"] != 90.0 {
			t.Fatalf("%d %v, want 90 seconds", status, got)
		}
		if exp := claimsOf(t, got["access_token"].(string))["exp"]; exp != float64(b.clock.Now().Unix()+90) {
			t.Errorf("exp is %v", exp)
		}
		b.clock.Advance(89 * time.Second)
		status, got = f.token(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}})
		if status != 200 || got["expires_in"] != 1.0 {
			t.Errorf("refresh: %d %v, want one second", status, got)
		}
	})
	t.Run("RFC6749-5.2-3 a grant that ended before its code", func(t *testing.T) {
		f := keyClient("kakeibo")
		b, code := approve(t, f, 5*time.Second, 0)
		b.clock.Advance(5 * time.Second)
		refusal(t, f.answer(b, f.authenticate(b, f.redeemable(code))), 400, "invalid_grant")
	})
	for _, tt := range []struct {
		name           string
		ends, lifetime time.Duration
		refresh        bool
	}{
		{"a lifetime by the server", 0, time.Hour, true},
		{"an end by the decision", time.Hour, 0, true},
		{"neither", 0, 0, false},
	} {
		t.Run("RFC9700-4.14.2-4 "+tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b, code := approve(t, f, tt.ends, tt.lifetime)
			status, got := f.token(b, f.redeemable(code))
			if _, has := got["refresh_token"]; status != 200 || has != tt.refresh || got["expires_in"] != 300.0 {
				t.Errorf("%d %v", status, got)
			}
			if err := f.check(b, got["access_token"].(string)); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("RFC9700-4.14.2-4 a client that did not register refresh_token", func(t *testing.T) {
		for _, types := range [][]string{nil, {"authorization_code"}, {"authorization_code", "client_credentials"}} {
			f := keyClient("kakeibo")
			f.GrantTypes = types
			got := f.tokens(newBank(t, clients(f)))
			if got["refresh_token"] != nil {
				t.Errorf("%v: %v", types, got)
			}
		}
	})
}

// TestConflict: a store that says another was first, without its being true or
// before it can be found out.
func TestConflict(t *testing.T) {
	t.Run("RFC6749-4.1.2-3 it was this very request: a repetition, and no reuse", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) { c.Store = unreplacing{c.Store} })
		tokens := f.tokens(b)
		if err := f.check(b, tokens["access_token"].(string)); err != nil {
			t.Error(err)
		}
		if status, got := f.token(b, again(tokens)); status != 200 {
			t.Errorf("refresh: %d %v", status, got)
		}
	})
	t.Run("FAPI2-SP-5.3.2.2-9 it cannot be found out: an outage, and the code is as good as before", func(t *testing.T) {
		f := keyClient("kakeibo")
		down, lost := true, false
		b := newBank(t, clients(f), func(c *authz.Config) {
			c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error {
				switch {
				case op == "Replace" && down:
					lost = true
					return store.ErrConflict
				case op == "Get" && lost:
					return errors.New("connection refused")
				}
				return nil
			}}
		})
		code := f.code(b)
		if status, got := f.token(b, f.redeemable(code)); status != 503 || got["error"] != "server_error" {
			t.Errorf("%d %v", status, got)
		}
		down, lost = false, false
		if status, got := f.token(b, f.redeemable(code)); status != 200 {
			t.Errorf("afterwards: %d %v", status, got)
		}
	})
}

// An unreplacing store replaces, and does not know it for its own.
type unreplacing struct{ store.Store }

func (f unreplacing) Replace(ctx context.Context, version string, r store.Record) error {
	if err := f.Store.Replace(ctx, version, r); err != nil {
		return err
	}
	return store.ErrConflict
}

// TestRevokedWhileRedeemed: the grant is deleted after it was read and before
// its code is claimed.
func TestRevokedWhileRedeemed(t *testing.T) {
	t.Run("RFC6749-5.2-3 no token leaves, and the grant does not come back", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) {
			inner := c.Store
			c.Store = &storetest.Faulty{Store: inner, Fail: func(op, key string) error {
				if op == "Replace" {
					return inner.Delete(context.Background(), key)
				}
				return nil
			}}
		})
		code := f.code(b)
		grant := b.lastEvent().Grant
		refusal(t, f.answer(b, f.authenticate(b, f.redeemable(code))), 400, "invalid_grant")
		if _, err := b.config.Store.Get(t.Context(), grant); err == nil {
			t.Error("the grant is back")
		}
	})
}
