package authz_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
)

// payments is a second API of the bank, beside resource.
const payments = "https://pay.bank.example"

// twoAPIs gives the bank a second API, with a scope of its own.
func twoAPIs(c *authz.Config) {
	c.Resources = []authz.Resource{
		{ID: resource, Scopes: []string{"accounts"}},
		{ID: payments, Scopes: []string{"payments"}},
	}
}

// apiClient returns an API that asks about the tokens it is sent, and does
// nothing else.
func apiClient(id, resource string) *fintech {
	f := keyClient(id)
	f.GrantTypes, f.RedirectURIs, f.Scope = []string{}, nil, ""
	f.CertificateBoundTokens = false
	f.Resource = resource
	return f
}

// opaque makes f a client whose access tokens tell it nothing.
func (f *fintech) opaque() *fintech {
	f.AccessTokenFormat = "opaque"
	return f
}

// introspect asks about a token.
func (f *fintech) introspect(b *bank, tok string) map[string]any {
	b.t.Helper()
	res := b.do(f.request("/introspect", f.authenticate(b, url.Values{"token": {tok}})))
	got := object(b.t, res)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("introspection: %d %v %v", res.StatusCode, res.Header, got)
	}
	return got
}

// inactive checks that an answer says nothing but that.
func inactive(t *testing.T, got map[string]any) {
	t.Helper()
	if d := cmp.Diff(map[string]any{"active": false}, got); d != "" {
		t.Errorf("want inactive and no other member: %s", d)
	}
}

// tokensFor runs the flow for v, with proofs by k unless it is nil, and
// returns the tokens.
func (f *fintech) tokensFor(b *bank, v url.Values, k *proofKey) map[string]any {
	b.t.Helper()
	status, got := f.post(b, "/token", f.redeemable(f.codeFor(b, v, k)), k)
	if status != 200 {
		b.t.Fatalf("token: %d %v", status, got)
	}
	return got
}

// refreshed returns what a refresh token is good for.
func refreshed(refresh any) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.(string)}}
}

// TestIntrospection pins the whole answer, for every kind of access token.
func TestIntrospection(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		for _, binding := range []string{"certificate", "key"} {
			t.Run("RFC7662-2.2-1 RFC7662-2.2-2 RFC7662-I-1 RFC9449-6.2-1 RFC9449-6.2-2 RFC8705-3.2-1 "+format+" bound to a "+binding, func(t *testing.T) {
				f, api := keyClient("kakeibo"), apiClient("accounts", resource)
				f.AccessTokenFormat = format
				var k *proofKey
				if binding == "key" {
					k = newProofKey()
					f.dpop()
				}
				b := newBank(t, clients(f, api))
				got := f.tokensFor(b, f.pushable(), k)
				issued := b.lastEvent()
				now := float64(b.clock.Now().Unix())
				want := map[string]any{
					"active": true, "iss": issuer, "client_id": "kakeibo", "sub": customer, "aud": resource,
					"scope": "accounts", "iat": now, "exp": now + 300, "jti": issued.Token,
					"auth_time": now, "acr": "urn:bank:acr:sca", "amr": []any{"pwd", "hwk"}, "grant_id": issued.Grant,
				}
				if k != nil {
					want["token_type"], want["cnf"] = "DPoP", map[string]any{"jkt": k.jkt()}
				} else {
					want["token_type"], want["cnf"] = "Bearer", map[string]any{"x5t#S256": sha256URL(string(f.chain[0].Raw))}
				}
				b.clock.Advance(time.Minute)
				if d := cmp.Diff(want, api.introspect(b, got["access_token"].(string))); d != "" {
					t.Errorf("to the API: %s", d)
				}
				if e := b.lastEvent(); e.Kind != "token_introspected" || e.Client != "accounts" || e.Subject != customer ||
					e.Token != issued.Token || e.Grant != issued.Grant || e.Reason != "" {
					t.Errorf("the operator is told %+v", e)
				}
				want["scope"] = "openid accounts"
				if d := cmp.Diff(want, f.introspect(b, got["access_token"].(string))); d != "" {
					t.Errorf("to its own client: %s", d)
				}
			})
		}
	}
	t.Run("RFC7662-2.2-2 a client's own token has no customer and no grant", func(t *testing.T) {
		f, api := keyClient("kakeibo"), apiClient("accounts", resource)
		b := newBank(t, clients(f, api))
		_, got := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
		now := float64(b.clock.Now().Unix())
		want := map[string]any{
			"active": true, "iss": issuer, "client_id": "kakeibo", "sub": "kakeibo", "aud": resource, "scope": "accounts",
			"iat": now, "exp": now + 300, "jti": b.lastEvent().Token,
			"token_type": "Bearer", "cnf": map[string]any{"x5t#S256": sha256URL(string(f.chain[0].Raw))},
		}
		if d := cmp.Diff(want, api.introspect(b, got["access_token"].(string))); d != "" {
			t.Error(d)
		}
	})
	t.Run("RFC7662-I-2 a refresh token, to its own client", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		got := f.tokens(b)
		now := b.clock.Now()
		want := map[string]any{
			"active": true, "iss": issuer, "client_id": "kakeibo", "sub": customer, "scope": "openid accounts",
			"exp": float64(now.Add(90 * 24 * time.Hour).Unix()), "auth_time": float64(now.Unix()),
			"acr": "urn:bank:acr:sca", "amr": []any{"pwd", "hwk"}, "grant_id": b.lastEvent().Grant,
		}
		if d := cmp.Diff(want, f.introspect(b, got["refresh_token"].(string))); d != "" {
			t.Error(d)
		}
	})
}

// TestIntrospectionCallers: whoever has no right to know learns that there is
// nothing to know.
func TestIntrospectionCallers(t *testing.T) {
	f, other := keyClient("kakeibo"), keyClient("other")
	accounts, pay := apiClient("accounts", resource), apiClient("pay", payments)
	both := keyClient("both") // an API that is a client of the other
	both.Resource = resource
	b := newBank(t, clients(f, other, accounts, pay, both), twoAPIs)
	push := f.pushable()
	code := f.code(b)
	uri := f.push(b, f.pushable())
	got := f.tokensFor(b, push, nil)
	_, forPay := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"payments"}})
	_, ofBoth := both.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"payments"}})
	tokensOfBoth := both.tokens(b)
	access := got["access_token"].(string)
	text := func(m map[string]any, name string) string { return m[name].(string) }
	flipped := func(s string) string {
		last := map[bool]string{true: "A", false: "B"}[s[len(s)/2] != 'A']
		return s[:len(s)/2] + last + s[len(s)/2+1:]
	}

	for _, tt := range []struct {
		name   string
		caller *fintech
		token  string
		active bool
	}{
		{"RFC7662-2.2-1 an API, a token for it", accounts, access, true},
		{"RFC7662-2.2-1 the other API, a token for it", pay, text(forPay, "access_token"), true},
		{"RFC7662-2.2-1 a client, its own access token", f, access, true},
		{"RFC7662-I-2 a client, its own refresh token", f, text(got, "refresh_token"), true},
		{"FAPI2-MS-6.2-1 CONF-27 RFC7662-2.2-3 an API, a token of the other", pay, access, false},
		{"FAPI2-MS-6.2-1 CONF-27 the other way about", accounts, text(forPay, "access_token"), false},
		{"FAPI2-MS-6.2-1 RFC7662-2.2-3 another client's access token", other, access, false},
		{"RFC7662-I-2 another client's refresh token", other, text(got, "refresh_token"), false},
		{"RFC7662-I-2 an API, a refresh token", accounts, text(got, "refresh_token"), false},
		{"FAPI2-MS-6.2-1 an API that is a client asks as an API", both, access, true},
		{"FAPI2-MS-6.2-1 and not about its own token for another API", both, text(ofBoth, "access_token"), false},
		{"RFC7662-I-2 nor about a refresh token, be it its own", both, text(tokensOfBoth, "refresh_token"), false},
		{"RFC7662-I-2 or another's", both, text(got, "refresh_token"), false},
		{"RFC7662-2.2-3 a code", f, code, false},
		{"RFC7662-2.2-3 a request_uri", f, strings.TrimPrefix(uri, "urn:ietf:params:oauth:request_uri:"), false},
		{"RFC7662-2.2-3 an ID token", f, text(got, "id_token"), false},
		{"RFC7662-2.2-3 a word", f, "hello", false},
		{"RFC7662-2.2-3 dots", f, "..", false},
		{"RFC7662-2.2-3 no ASCII", f, "ありがとう", false},
		{"RFC7662-2.2-3 60000 letters", f, strings.Repeat("A", 60000), false},
		{"RFC7662-4-1 a forged access token", accounts, flipped(access), false},
		{"RFC7662-4-1 an access token without its signature", accounts, access[:strings.LastIndexByte(access, '.')+1], false},
		{"RFC7662-2.2-3 a forged refresh token", f, flipped(text(got, "refresh_token")), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.caller.introspect(b, tt.token)
			if !tt.active {
				inactive(t, got)
				if e := b.lastEvent(); e.Kind != "token_introspected" || e.Rule == "" || e.Reason == "" {
					t.Errorf("the operator is told %+v", e)
				}
			} else if got["active"] != true {
				t.Errorf("answer %v", got)
			}
		})
	}
	t.Run("RFC7662-2.2-3 a token of another issuer with the same keys and secrets", func(t *testing.T) {
		brand := newBank(t, clients(f), func(c *authz.Config) { c.Issuer += "/brand"; c.Store = b.config.Store; c.Now = b.clock.Now })
		for _, format := range []string{"jwt", "opaque"} {
			g := keyClient("kakeibo")
			g.AccessTokenFormat = format
			b := newBank(t, clients(g), func(c *authz.Config) { c.Store = brand.config.Store; c.Now = brand.clock.Now })
			_, got := g.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
			claims := f.assertion(brand)
			claims["aud"] = issuer + "/brand"
			v := f.asserting(url.Values{"token": {got["access_token"].(string)}}, f.signed(claims))
			res := brand.do(f.request("/brand/introspect", v))
			inactive(t, object(t, res))
		}
	})
}

// TestForeignGrant: a host that signs access tokens of its own may call a grant
// what it likes. That is never taken for the key of another kind of record.
func TestForeignGrant(t *testing.T) {
	f, other, api := keyClient("kakeibo"), keyClient("other"), apiClient("accounts", resource)
	b := newBank(t, clients(f, other, api))
	now := b.clock.Now()
	a := &token.Access{
		Issuer: issuer, Subject: customer, ClientID: f.ID, ID: "host-1", Audience: []string{resource}, Scopes: []string{"accounts"},
		IssuedAt: now, Expires: now.Add(time.Minute), Confirmation: token.Confirmation{X5T: sha256URL(string(f.chain[0].Raw))},
	}
	handle, err := grant.ParseHandle(strings.TrimPrefix(f.push(b, f.pushable()), "urn:ietf:params:oauth:request_uri:"))
	if err != nil {
		t.Fatal(err)
	}
	other.tokens(b)
	for name, id := range map[string]string{
		"no id": "consent 4711", "a letter": "g", "a request": handle.Locator.Key(grant.KindRequest, issuer),
		"none that there is": handle.Locator.Key(grant.KindGrant, issuer), "another client's": b.lastEvent().Grant,
	} {
		t.Run("RFC7662-4-1 "+name, func(t *testing.T) {
			a.GrantID = id
			signed, err := token.SignAccess(t.Context(), serverKeys, "ES256", a)
			if err != nil {
				t.Fatal(err)
			}
			inactive(t, api.introspect(b, signed))
		})
	}
}

// TestIntrospectionNarrowed: an API learns what concerns it (data
// minimization), and the client all.
func TestIntrospectionNarrowed(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		t.Run("RFC7662-2.2-4 RFC9701-5-6 RFC9701-8.3-2 "+format+" for two APIs", func(t *testing.T) {
			f, accounts, pay := keyClient("kakeibo"), apiClient("accounts", resource), apiClient("pay", payments)
			f.AccessTokenFormat = format
			b := newBank(t, clients(f, accounts, pay), twoAPIs)
			v := f.pushable()
			v["resource"] = []string{resource, payments}
			v.Set("scope", "openid accounts payments")
			access := f.tokensFor(b, v, nil)["access_token"].(string)
			type seen struct{ Aud, Scope any }
			for _, tt := range []struct {
				caller *fintech
				want   seen
			}{
				{accounts, seen{resource, "accounts"}},
				{pay, seen{payments, "payments"}},
				{f, seen{[]any{resource, payments}, "openid accounts payments"}},
			} {
				got := tt.caller.introspect(b, access)
				if d := cmp.Diff(tt.want, seen{got["aud"], got["scope"]}); d != "" {
					t.Errorf("%s: %s", tt.caller.ID, d)
				}
			}
		})
	}
}

// TestIntrospectionHints: a hint is only a hint.
func TestIntrospectionHints(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	got := f.tokens(b)
	for _, kind := range []string{"access_token", "refresh_token"} {
		for _, hint := range []string{"access_token", "refresh_token", "pixie_dust", ""} {
			t.Run("RFC7662-2.1-2 "+kind+" with hint "+hint, func(t *testing.T) {
				v := url.Values{"token": {got[kind].(string)}, "token_type_hint": {hint}}
				if _, answer := f.post(b, "/introspect", v, nil); answer["active"] != true {
					t.Errorf("answer %v", answer)
				}
			})
		}
	}
}

// TestIntrospectionOverTime: what ends, ends at once.
func TestIntrospectionOverTime(t *testing.T) {
	type flow struct {
		b               *bank
		f, api          *fintech
		code            string
		access, refresh string
	}
	start := func(t *testing.T, format string, adjust ...func(*authz.Config)) *flow {
		x := &flow{f: keyClient("kakeibo"), api: apiClient("accounts", resource)}
		x.f.AccessTokenFormat = format
		x.b = newBank(t, clients(x.f, x.api), adjust...)
		x.code = x.f.code(x.b)
		_, got := x.f.token(x.b, x.f.redeemable(x.code))
		x.access, x.refresh = got["access_token"].(string), got["refresh_token"].(string)
		return x
	}
	// another returns the flow at a bank whose clients, scopes or APIs are
	// others now.
	another := func(x *flow, cs []*authz.Client, adjust ...func(*authz.Config)) *flow {
		y := *x
		y.b = newBank(x.b.t, cs, append([]func(*authz.Config){func(c *authz.Config) { c.Store, c.Now = x.b.config.Store, x.b.config.Now }}, adjust...)...)
		y.b.clock = x.b.clock
		return &y
	}
	active := func(t *testing.T, x *flow, tok string) {
		t.Helper()
		if got := x.api.introspect(x.b, tok); got["active"] != true {
			t.Errorf("access token: %v", got)
		}
	}
	for _, format := range []string{"jwt", "opaque"} {
		t.Run("RFC7662-4-1 expiry, "+format, func(t *testing.T) {
			x := start(t, format)
			x.b.clock.Advance(5*time.Minute - time.Second)
			active(t, x, x.access)
			x.b.clock.Advance(time.Second)
			inactive(t, x.api.introspect(x.b, x.access))
			if got := x.f.introspect(x.b, x.refresh); got["active"] != true {
				t.Errorf("the refresh token: %v", got)
			}
		})
		t.Run("RFC7662-4-1 RFC6749-4.1.2-3 the code is presented again, "+format, func(t *testing.T) {
			x := start(t, format)
			x.f.token(x.b, x.f.redeemable(x.code))
			inactive(t, x.api.introspect(x.b, x.access))
			inactive(t, x.f.introspect(x.b, x.refresh))
		})
		t.Run("RFC7662-4-1 the grant ends, "+format, func(t *testing.T) {
			x := start(t, format, func(c *authz.Config) { c.GrantLifetime = time.Minute })
			x.b.clock.Advance(time.Minute - time.Second)
			active(t, x, x.access)
			if got := x.f.introspect(x.b, x.refresh); got["active"] != true {
				t.Errorf("the refresh token: %v", got)
			}
			x.b.clock.Advance(time.Second)
			inactive(t, x.api.introspect(x.b, x.access))
			inactive(t, x.f.introspect(x.b, x.refresh))
		})
		t.Run("RFC7662-4-1 RFC9126-7.4-1 the bank takes a scope, "+format, func(t *testing.T) {
			x := start(t, format)
			c := *x.f.Client
			c.Scope = "openid payments"
			y := another(x, []*authz.Client{&c, x.api.Client})
			if got := x.f.introspect(y.b, y.access); got["active"] != true || got["scope"] != "openid" {
				t.Errorf("access token: %v", got)
			}
			if got := x.f.introspect(y.b, y.refresh); got["active"] != true || got["scope"] != "openid" {
				t.Errorf("refresh token: %v", got)
			}
			if got := x.api.introspect(y.b, y.access); got["active"] != true || got["scope"] != nil {
				t.Errorf("access token, to the API: %v", got)
			}
			c.Scope = "payments"
			y = another(x, []*authz.Client{&c, x.api.Client})
			inactive(t, x.api.introspect(y.b, y.access))
			inactive(t, x.f.introspect(y.b, y.refresh))
		})
		t.Run("RFC7662-4-1 a scope is retired, "+format, func(t *testing.T) {
			x := start(t, format)
			y := another(x, clients(x.f, x.api), func(c *authz.Config) { c.Scopes = []string{"openid", "payments"} })
			if got := x.f.introspect(y.b, y.access); got["active"] != true || got["scope"] != "openid" {
				t.Errorf("access token: %v", got)
			}
		})
		t.Run("RFC7662-4-1 the client is gone, "+format, func(t *testing.T) {
			x := start(t, format)
			y := another(x, clients(x.api))
			inactive(t, x.api.introspect(y.b, y.access))
		})
	}
	t.Run("RFC7662-4-1 the client may refresh no more", func(t *testing.T) {
		x := start(t, "")
		c := *x.f.Client
		c.GrantTypes = []string{"authorization_code"}
		y := another(x, []*authz.Client{&c})
		inactive(t, x.f.introspect(y.b, y.refresh))
	})
}

// TestIntrospectionRefused: what is an error, and which one.
func TestIntrospectionRefused(t *testing.T) {
	f, tls, api := keyClient("kakeibo"), tlsClient("tls"), apiClient("accounts", resource)
	b := newBank(t, clients(f, tls, api))
	access := f.tokens(b)["access_token"].(string)
	ask := func() url.Values { return url.Values{"token": {access}} }
	bare := func(f *fintech) *http.Request {
		v := ask()
		v.Set("client_id", f.ID)
		return f.request("/introspect", v)
	}

	for _, accept := range []string{"application/json", "application/token-introspection+jwt", "*/*", ""} {
		for _, tt := range []struct {
			name string
			r    func() *http.Request
		}{
			{"nothing", func() *http.Request { return f.request("/introspect", ask()) }},
			{"a client_id alone", func() *http.Request { r := bare(f); r.TLS.PeerCertificates = nil; return r }},
			{"the client_id of a TLS client, without certificate", func() *http.Request { r := bare(tls); r.TLS.PeerCertificates = nil; return r }},
			{"a certificate without client_id", func() *http.Request { return tls.request("/introspect", ask()) }},
		} {
			t.Run("CONF-7 RFC9701-4-2 RFC9701-8.2-1 no credentials: "+tt.name+"; Accept "+accept, func(t *testing.T) {
				r := tt.r()
				r.Header.Set("Accept", accept)
				mustRefuse(t, b, b.do(r), 400, "invalid_client", "RFC9701-4-2")
			})
		}
	}
	wrong := f.assertion(b)
	wrong["aud"] = issuer + "/introspect"
	for _, tt := range []struct {
		name string
		r    func() *http.Request
		rule string
	}{
		{"an assertion for another audience", func() *http.Request { return f.request("/introspect", f.asserting(ask(), f.signed(wrong))) }, "FAPI2-SP-5.3.2.1-8"},
		{"a certificate in place of an assertion", func() *http.Request { return bare(f) }, "RFC6749-2.3-2"},
		{"another's certificate", func() *http.Request { r := bare(tls); r.TLS.PeerCertificates = f.chain; return r }, "RFC8705-2.1-1"},
		{"a secret", func() *http.Request {
			return f.request("/introspect", changed(ask(), "client_secret", "hunter2"))
		}, "FAPI2-SP-5.3.2.1-6"},
	} {
		t.Run("CONF-7 RFC7662-2.1-3 wrong credentials: "+tt.name, func(t *testing.T) {
			mustRefuse(t, b, b.do(tt.r()), 401, "invalid_client", tt.rule)
		})
	}
	for scheme, challenge := range map[string]string{"Basic": "Basic ", "Bearer": "Bearer "} {
		t.Run("CONF-7 RFC7662-2.1-3 an Authorization header: "+scheme, func(t *testing.T) {
			r := f.request("/introspect", ask())
			r.Header.Set("Authorization", scheme+" a2FrZWlibzpodW50ZXIy")
			res := b.do(r)
			mustRefuse(t, b, res, 401, "invalid_client", "FAPI2-SP-5.3.2.1-6")
			if !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), challenge) {
				t.Errorf("challenge %q", res.Header.Get("WWW-Authenticate"))
			}
		})
	}
	t.Run("RFC7662-2-1 GET", func(t *testing.T) {
		r := httptest.NewRequest("GET", issuer+"/introspect?"+f.authenticate(b, ask()).Encode(), nil)
		res := b.do(r)
		mustRefuse(t, b, res, 405, "invalid_request", "RFC6749-3.2-1")
		if res.Header.Get("Allow") != "POST" {
			t.Errorf("Allow %q", res.Header.Get("Allow"))
		}
	})
	t.Run("RFC7662-2-1 the token in the URL", func(t *testing.T) {
		r := f.request("/introspect?token="+access, f.authenticate(b, url.Values{}))
		mustRefuse(t, b, b.do(r), 400, "invalid_request", "RFC7662-2.1-1")
	})
	t.Run("RFC7662-2.1-1 no token, and the assertion is not used up", func(t *testing.T) {
		form := f.authenticate(b, url.Values{"token_type_hint": {"access_token"}})
		mustRefuse(t, b, b.do(f.request("/introspect", form)), 400, "invalid_request", "RFC7662-2.1-1")
		form.Set("token", access)
		if !f.send(b, "/introspect", form, 200) {
			t.Error("the assertion was used up")
		}
	})
	t.Run("RFC6749-3.1-2 two tokens", func(t *testing.T) {
		form := f.authenticate(b, url.Values{"token": {access, access}})
		mustRefuse(t, b, b.do(f.request("/introspect", form)), 400, "invalid_request", "RFC6749-3.1-2")
	})
	t.Run("RFC7523-3-6 an assertion used twice, be the token good or not", func(t *testing.T) {
		for _, tok := range []string{access, "unknown"} {
			form := f.authenticate(b, url.Values{"token": {tok}})
			if !f.send(b, "/introspect", form, 200) {
				t.Fatal("the first use was refused")
			}
			mustRefuse(t, b, b.do(f.request("/introspect", form)), 401, "invalid_client", "RFC7523-3-6")
		}
	})
	t.Run("RFC9449-4.3-1 an endpoint that needs no proof takes a client of either binding", func(t *testing.T) {
		d := keyClient("dpop").dpop()
		b := newBank(t, clients(d))
		inactive(t, d.introspect(b, access))
	})
}

// TestIntrospectionRace: one assertion, twenty questions.
func TestIntrospectionRace(t *testing.T) {
	t.Run("CA-I-1 RFC7523-3-6 one assertion gets one answer", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), far)
		form := f.authenticate(b, url.Values{"token": {f.tokens(b)["access_token"].(string)}})
		if wins := race(func(int) bool { return f.send(b, "/introspect", form, 200) }); wins != 1 {
			t.Errorf("%d of %d questions were answered, want 1", wins, racers)
		}
	})
}

// TestIntrospectionOutage: what cannot be found out is not said to be
// inactive, still less active.
func TestIntrospectionOutage(t *testing.T) {
	for _, kind := range []string{"g", "d", "j"} {
		t.Run("RFC7662-4-1 without records of kind "+kind, func(t *testing.T) {
			f, api := keyClient("kakeibo"), apiClient("accounts", resource)
			var mu sync.Mutex
			down := false
			b := newBank(t, clients(f, api), func(c *authz.Config) {
				c.Store = &storetest.Faulty{Store: c.Store, Fail: func(_, key string) error {
					mu.Lock()
					defer mu.Unlock()
					if down && key[:1] == kind {
						return errors.New("connection refused by 192.0.2.7")
					}
					return nil
				}}
			})
			access := f.tokens(b)["access_token"].(string)
			mu.Lock()
			down = true
			mu.Unlock()
			for _, accept := range []string{"application/json", "application/token-introspection+jwt"} {
				r := api.request("/introspect", api.authenticate(b, url.Values{"token": {access}}))
				r.Header.Set("Accept", accept)
				res := b.do(r)
				if got := object(t, res); res.StatusCode != 503 || got["error"] != "server_error" || len(got) != 1 {
					t.Errorf("the API is told %d %v", res.StatusCode, got)
				}
			}
		})
	}
	t.Run("RFC7662-4-1 RFC7662-2.2-3 without the keys, and a refresh token without the store", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		tokens := f.tokens(b)
		for name, down := range map[string]func(*authz.Config){
			"access_token": func(c *authz.Config) { c.Keys = brokenKeys{} },
			"refresh_token": func(c *authz.Config) {
				c.Store = &storetest.Faulty{Store: c.Store, Fail: func(_, key string) error {
					if key[:1] == string(grant.KindGrant) {
						return errors.New("connection refused")
					}
					return nil
				}}
			},
		} {
			if status, got := f.post(b.later(down), "/introspect", url.Values{"token": {tokens[name].(string)}}, nil); status != 503 || len(got) != 1 {
				t.Errorf("%s: %d %v", name, status, got)
			}
		}
	})
	t.Run("RFC7662-4-1 without the registry", func(t *testing.T) {
		f, api := keyClient("kakeibo"), apiClient("accounts", resource)
		gone := false
		b := newBank(t, nil, func(c *authz.Config) {
			c.Clients = registryFunc(func(id string) (*authz.Client, error) {
				switch {
				case id == api.ID:
					return api.Client, nil
				case gone:
					return nil, errors.New("connection refused")
				}
				return f.Client, nil
			})
		})
		access := f.tokens(b)["access_token"].(string)
		gone = true
		if status, got := api.post(b, "/introspect", url.Values{"token": {access}}, nil); status != 503 {
			t.Errorf("the API is told %d %v", status, got)
		}
	})
}

// TestIntrospectionWaits: DESIGN gives two round trips, one side by side.
func TestIntrospectionWaits(t *testing.T) {
	const latency = time.Second
	for _, api := range []*fintech{keyClient("accounts"), tlsClient("accounts")} {
		t.Run(api.AuthMethod, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				replay := time.Duration(1)
				if api.AuthMethod == "tls_client_auth" {
					replay = 0
				}
				f := keyClient("kakeibo")
				api.Resource = resource
				b := newBank(t, clients(f, api), func(c *authz.Config) { c.Store = &storetest.Faulty{Store: c.Store, Latency: latency} })
				got := f.tokens(b)
				for _, tt := range []struct {
					name   string
					caller *fintech
					do     func() bool
					want   time.Duration
				}{
					{"introspect an access token", api, func() bool { return api.introspect(b, got["access_token"].(string))["active"] == true }, 1 + replay},
					{"introspect a refresh token", f, func() bool { return f.introspect(b, got["refresh_token"].(string))["active"] == true }, 2},
					{"introspect what is no token", api, func() bool { return api.introspect(b, "unknown")["active"] == false }, replay},
				} {
					start := time.Now()
					if !tt.do() {
						t.Errorf("%s: wrong answer", tt.name)
					}
					if d := time.Since(start); d != tt.want*latency {
						t.Errorf("%s waits %v, want %d seconds", tt.name, d, tt.want)
					}
				}
			})
		})
	}
}

// TestAPIClients: an API's credentials are good for asking, and nothing else.
func TestAPIClients(t *testing.T) {
	api := apiClient("accounts", resource)
	b := newBank(t, clients(api))
	for _, tt := range []struct {
		name, path string
		form       url.Values
	}{
		{"PAR", "/par", keyClient("x").pushable()},
		{"PAR with nothing in it", "/par", url.Values{}},
		{"client_credentials", "/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}},
		{"authorization_code", "/token", keyClient("x").redeemable("code")},
		{"refresh_token", "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}},
		{"an unknown grant type", "/token", url.Values{"grant_type": {"password"}}},
		{"revocation", "/revoke", url.Values{"token": {"x"}}},
	} {
		t.Run("RFC9701-3-2 "+tt.name, func(t *testing.T) {
			form := api.authenticate(b, tt.form)
			mustRefuse(t, b, b.do(api.request(tt.path, form)), 400, "unauthorized_client", "RFC9701-3-2")
		})
	}
	t.Run("RFC9701-3-2 a client that is an API as well", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.Resource, f.GrantTypes = resource, nil // which is authorization_code alone
		f.code(newBank(t, clients(f)))
		f.CertificateBoundTokens = false // and its tokens are bound like anybody's
		if got := rules(t, b.srv.CheckClient(f.Client)); !slices.Equal(got, []string{"FAPI2-SP-5.3.2.1-5"}) {
			t.Errorf("rules %v", got)
		}
	})
	t.Run("RFC9701-3-1 an API is registered like a client", func(t *testing.T) {
		if err := b.srv.CheckClient(api.Client); err != nil {
			t.Error(err)
		}
	})
	t.Run("RFC9701-3-1 for an API that there is", func(t *testing.T) {
		f := apiClient("accounts", "https://elsewhere.example")
		if got := rules(t, b.srv.CheckClient(f.Client)); !slices.Equal(got, []string{"RFC9701-3-1"}) {
			t.Errorf("rules %v", got)
		}
	})
	for _, tt := range []struct {
		name   string
		change func(*authz.Client)
		rule   string
	}{
		{"RFC9701-6-1 CONF-3 RS256", func(c *authz.Client) { c.IntrospectionAlg = "RS256" }, "FAPI2-SP-5.4.1-1b"},
		{"RFC9701-6-1 none", func(c *authz.Client) { c.IntrospectionAlg = "none" }, "FAPI2-SP-5.4.1-1b"},
		{"RFC9701-6-1 an enc without alg", func(c *authz.Client) { c.IntrospectionEncryption.Enc = "A256GCM" }, "RFC9701-6-1"},
		{"RFC9701-6-1 RSA1_5", func(c *authz.Client) { c.IntrospectionEncryption.Alg = "RSA1_5" }, "RFC9701-6-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := apiClient("accounts", resource)
			tt.change(f.Client)
			if got := rules(t, b.srv.CheckClient(f.Client)); !slices.Contains(got, tt.rule) {
				t.Errorf("rules %v, want %s", got, tt.rule)
			}
		})
	}
}

// TestNoSecretInTokenEvents: nobody who reads the audit stream can use a token.
func TestNoSecretInTokenEvents(t *testing.T) {
	t.Run("FAPI2-SP-7-1 introspection and revocation", func(t *testing.T) {
		f, other, api := keyClient("kakeibo"), keyClient("other").opaque(), apiClient("accounts", resource)
		b := newBank(t, clients(f, other, api))
		mine, others := f.tokens(b), other.tokens(b)
		before := len(b.events)
		for _, path := range []string{"/introspect", "/revoke"} {
			for _, got := range []map[string]any{others, mine} {
				for _, name := range []string{"access_token", "refresh_token", "id_token"} {
					f.post2(b, path, url.Values{"token": {got[name].(string)}})
					api.post2(b, path, url.Values{"token": {got[name].(string)}})
				}
			}
		}
		if n := len(b.events) - before; n != 24 {
			t.Errorf("%d events for 24 requests", n)
		}
		for _, e := range b.events[before:] {
			line := e.LogValue().String()
			for _, got := range []map[string]any{mine, others} {
				for _, name := range []string{"access_token", "refresh_token", "id_token"} {
					for part := range strings.SplitSeq(got[name].(string), ".") {
						if strings.Contains(line, part) {
							t.Errorf("the operator sees a part of the %s: %s", name, line)
						}
					}
				}
			}
		}
	})
}

// post2 sends v and looks at nothing.
func (f *fintech) post2(b *bank, path string, v url.Values) {
	res := b.do(f.request(path, f.authenticate(b, v)))
	io.Copy(io.Discard, res.Body)
}

// TestWireIntrospection is wire-examples, 7 and 8 and what section 24 makes of
// them: the API's assertion there, signed by another implementation.
func TestWireIntrospection(t *testing.T) {
	const unknown = "at-5Vd2Rk8Wq1Zn7Xb4Lc9Mf0Tj6Gy3Hs"
	start := func(t *testing.T) (*bank, *fintech) {
		f := apiClient("rs-accounts", resource)
		f.JWKS = []byte(`{"keys":[` + wire(t, "rs-key.json") + `]}`)
		b := newBank(t, clients(f), func(c *authz.Config) { c.Issuer = wireIssuer })
		b.clock.t = time.Unix(wireT0+52, 0)
		return b, f
	}
	ask := func(f *fintech, assertion string) *http.Request {
		r := f.request("/introspect", f.asserting(url.Values{"token": {unknown}, "token_type_hint": {"access_token"}}, assertion))
		r.Header.Set("Accept", "application/json")
		return r
	}
	t.Run("RFC7662-2.1-3 RFC7662-2.2-3 section 7, an unknown token", func(t *testing.T) {
		b, f := start(t)
		inactive(t, object(t, b.do(ask(f, wire(t, "rs-assertion.jwt")))))
	})
	t.Run("RFC7523-3-4 section 7, too early", func(t *testing.T) {
		b, f := start(t)
		b.clock.Advance(-52 * time.Second)
		mustRefuse(t, b, b.do(ask(f, wire(t, "rs-assertion.jwt"))), 401, "invalid_client", "FAPI2-SP-5.3.2.1-13b")
	})
	t.Run("CONF-7 section 24, 7 and 8: no client authentication", func(t *testing.T) {
		b, f := start(t)
		for _, accept := range []string{"application/json", "application/token-introspection+jwt"} {
			r := f.request("/introspect", url.Values{"token": {unknown}})
			r.Header.Set("Accept", accept)
			mustRefuse(t, b, b.do(r), 400, "invalid_client", "RFC9701-4-2")
		}
	})
}
