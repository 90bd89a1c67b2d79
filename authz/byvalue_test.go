package authz_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

// TestByValue changes one thing about a good request by value.
func TestByValue(t *testing.T) {
	const hour = 3600
	text := func(name, value string) func(m, int64) { return setClaim(name, value) }
	for _, tt := range []struct {
		name string
		with func(c m, now int64)
		code string // "" means that it is taken
		rule string
	}{
		{"FAPI1-ADV-5.2.2-1 JAR-1 as it should be", func(m, int64) {}, "", ""},
		{"FAPI1-ADV-5.2.2-18 CT-18 PKCE without PAR", func(c m, _ int64) {
			v := challenged(url.Values{})
			c["code_challenge"], c["code_challenge_method"] = v.Get("code_challenge"), "S256"
		}, "", ""},
		{"FAPI1-ADV-5.2.2-18 PKCE-3 a challenge without method", text("code_challenge", strings.Repeat("A", 43)), "invalid_request", "FAPI1-ADV-5.2.2-18"},
		{"FAPI1-ADV-5.2.2-18 PKCE-3 plain", each(text("code_challenge", strings.Repeat("A", 43)), text("code_challenge_method", "plain")), "invalid_request", "FAPI1-ADV-5.2.2-18"},
		{"FAPI1-ADV-5.2.2-18 a method without challenge", text("code_challenge_method", "S256"), "invalid_request", "FAPI1-ADV-5.2.2-18"},

		{"FAPI1-ADV-5.2.2-15 CT-10 D-2 aud is an array", setClaim("aud", []string{issuer, "https://other.example", "x"}), "", ""},
		{"FAPI1-ADV-5.2.2-15 no aud", drop("aud"), "invalid_request_object", "FAPI2-MS-5.3.1-2"},
		{"FAPI1-ADV-5.2.2-15 aud is another server", text("aud", "https://other.example"), "invalid_request_object", "FAPI2-MS-5.3.1-2"},
		{"FAPI1-ADV-5.2.2-15 D-2 aud is the token endpoint", text("aud", issuer+"/token"), "invalid_request_object", "FAPI2-MS-5.3.1-2"},
		{"FAPI1-ADV-5.2.2-15 aud is the PAR endpoint", text("aud", issuer+"/par"), "invalid_request_object", "FAPI2-MS-5.3.1-2"},

		{"FAPI1-ADV-5.2.2-13 TB-1 exp an hour after nbf", at("exp", hour), "", ""},
		{"FAPI1-ADV-5.2.2-13 TB-2 an hour and a second", at("exp", hour+1), "invalid_request_object", "FAPI1-ADV-5.2.2-13"},
		{"FAPI1-ADV-5.2.2-13 TB-3 exp is now", each(at("nbf", -hour), at("exp", 0)), "invalid_request_object", "FAPI1-ADV-5.2.2-13"},
		{"FAPI1-ADV-5.2.2-13 TB-4 expired a second ago", each(at("nbf", -hour), at("exp", -1)), "invalid_request_object", "FAPI1-ADV-5.2.2-13"},
		{"FAPI1-ADV-5.2.2-13 TB-5 a second left of an hour and a second", each(at("nbf", -hour), at("exp", 1)), "invalid_request_object", "FAPI1-ADV-5.2.2-13"},
		{"FAPI1-ADV-5.2.2-17 TB-6 a second left of an hour", each(at("nbf", -hour+1), at("exp", 1)), "", ""},
		{"FAPI1-ADV-5.2.2-17 TB-7 nbf too old, and expired", each(at("nbf", -hour-1), at("exp", -1)), "invalid_request_object", "FAPI1-ADV-5.2.2-17"},
		{"FAPI1-ADV-5.2.2-17 TB-8 nbf a second ahead", each(at("nbf", 1), at("exp", 301)), "", ""},
		{"FAPI1-ADV-5.2.2-17 nbf far ahead", each(at("nbf", 600), at("exp", 900)), "invalid_request_object", "FAPI2-SP-5.3.2.1-13b"},
		{"FAPI1-ADV-5.2.2-17 TB-9 no nbf", drop("nbf"), "invalid_request_object", "FAPI1-ADV-5.2.2-17"},
		{"FAPI1-ADV-5.2.2-13 TB-10 no exp", drop("exp"), "invalid_request_object", "FAPI1-ADV-5.2.2-13"},
		{"FAPI1-ADV-5.2.2-17 TB-11 JAR-8 nbf is text", text("nbf", "1760000000"), "invalid_request_object", "FAPI1-ADV-5.2.2-17"},
		{"FAPI1-ADV-5.2.2-13 TB-12 JAR-8 exp in milliseconds", func(c m, now int64) { c["exp"] = (now + 300) * 1000 }, "invalid_request_object", "FAPI1-ADV-5.2.2-13"},

		{"JAR-2 no client_id", drop("client_id"), "invalid_request_object", "RFC9101-4-6"},
		{"JAR-2 OIDC-RO-2 client_id is another client", text("client_id", "other"), "invalid_request_object", "RFC9126-3-3"},
		{"JAR-6 OIDC-RO-9 iss is another client", text("iss", "other"), "invalid_request_object", "RFC9101-4-4"},
		{"JAR-7 sub is the client", text("sub", "kakeibo"), "invalid_request_object", "CONF-19"},
		{"JAR-3 EC-2 OIDC-RO-8 request_uri inside", text("request_uri", "https://app.fintech.example/r"), "invalid_request_object", "RFC9101-4-2"},
		{"JAR-3 request inside", text("request", "eyJ.eyJ.AAAA"), "invalid_request_object", "RFC9101-4-2"},
		{"JAR-1 claims as text", text("claims", "{}"), "invalid_request_object", "RFC9101-4-1"},
		{"JAR-16 a claim that is not known", setClaim("foo", []int{1}), "", ""},

		{"FAPI1-BASE-5.2.2-8 FAPI1-BASE-5.2.2-10 EC-5 OIDC-RS-4 a redirect_uri that is not registered", text("redirect_uri", "https://evil.example/cb"), "invalid_request", "RFC9700-2.1-1"},
		{"FAPI1-BASE-5.2.2-10 a slash too many", text("redirect_uri", callback+"/"), "invalid_request", "RFC9700-2.1-1"},
		{"FAPI1-BASE-5.2.2-10 a host in capitals", text("redirect_uri", "https://APP.fintech.example/cb"), "invalid_request", "RFC9700-2.1-1"},
		{"FAPI1-BASE-5.2.2-10 a query", text("redirect_uri", callback+"?x=1"), "invalid_request", "RFC9700-2.1-1"},
		{"FAPI1-BASE-5.2.2-10 an escape", text("redirect_uri", "https://app.fintech.example/%63b"), "invalid_request", "RFC9700-2.1-1"},
		{"FAPI1-BASE-5.2.2-10 the port that is meant", text("redirect_uri", "https://app.fintech.example:443/cb"), "invalid_request", "RFC9700-2.1-1"},
		{"FAPI1-BASE-5.2.2-9 EC-5 no redirect_uri", drop("redirect_uri"), "invalid_request", "FAPI1-BASE-5.2.2-9"},
		{"RFC6749-3.1.1-1 no response_type", drop("response_type"), "invalid_request", "OIDC-RO-2"},
		{"RFC6749-3.1.1-1 the words in another order", text("response_type", "id_token code"), "", ""},
		{"OIDC-RO-2 D-7 another response_type outside", text("response_type", "code"), "invalid_request", "OIDC-RO-2"},

		{"EC-4 CT-8 FAPI1-ADV-5.2.2-10 scope only outside", drop("scope"), "invalid_request", "EC-4"},
		{"FAPI1-ADV-5.2.2.1-1 OIDC-AR-2 code id_token without openid", text("scope", "accounts"), "invalid_request", "FAPI1-ADV-5.2.2.1-1"},
		{"FAPI1-BASE-5.2.2.2-1 EC-4 CT-9 OIDC-IT-14 no nonce", drop("nonce"), "invalid_request", "FAPI1-BASE-5.2.2.2-1"},
		{"FAPI1-BASE-5.2.2.3-1 openid without state", drop("state"), "", ""},
		{"FAPI1-ADV-5.2.2-2 EC-7 CT-5 OIDC-RS-1 query", text("response_mode", "query"), "invalid_request", "FAPI1-ADV-5.2.2-2"},
		{"FAPI1-ADV-5.2.2-2 JARM-2.3-2 a signed response to code id_token", text("response_mode", "query.jwt"), "invalid_request", "FAPI1-ADV-5.2.2-2"},
		{"OIDC-AR-6 a mode that nobody knows", text("response_mode", "foo"), "invalid_request", "FAPI1-ADV-5.2.2-2"},
		{"FAPI1-ADV-5.2.2-2 fragment by name", text("response_mode", "fragment"), "", ""},
		{"FAPI1-ADV-5.2.2-6 dpop_jkt", text("dpop_jkt", strings.Repeat("A", 43)), "invalid_request", "RFC9449-10-1"},
		{"JAR-17 EC-9 a nonce of 513 characters", text("nonce", strings.Repeat("n", 513)), "invalid_request", "FAPI2-SP-5.3.2.2-14"},
		{"JAR-15 scopes in another order", text("scope", "accounts openid"), "", ""},
		{"JAR-14 a jti", text("jti", "ro-1"), "", ""},
		{"JAR-14 no jti", drop("jti"), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo").hybrid()
			b := newBank(t, clients(f), advanced)
			claims := f.asks(b, f.wants())
			tt.with(claims, b.clock.Now().Unix())
			for _, r := range []*http.Request{f.byValue(claims), formTo(f.beside(f.object(claims)))} {
				res := (&browser{b: b}).openPage(r)
				if tt.rule != "" {
					pageFor(t, b, res, tt.code, tt.rule)
				} else if res.StatusCode != 200 {
					t.Errorf("%s: %d %+v", r.Method, res.StatusCode, b.lastEvent())
				}
			}
		})
	}
}

// TestPushesAll: a client that registered that it pushes its requests sends none
// by value.
func TestPushesAll(t *testing.T) {
	f := keyClient("kakeibo").hybrid()
	reg := &registry{c: f.Client}
	b := newBank(t, nil, advanced, func(c *authz.Config) { c.Clients = reg })
	br := &browser{b: b}
	id := br.shows(f.byValue(f.asks(b, f.wants())))
	reg.change(func(_ *registry, c *authz.Client) { c.RequirePushedRequest = true })
	t.Run("PAR-4-5 PAR-6 RFC9126-4-5 RFC9126-6-1 by value", func(t *testing.T) {
		for _, r := range []*http.Request{f.byValue(f.asks(b, f.wants())), formTo(f.beside(f.object(f.asks(b, f.wants()))))} {
			pageFor(t, b, b.do(r), "invalid_request", "RFC9126-4-5")
		}
	})
	t.Run("PAR-4-5 RFC9126-7.4-1 what came by value before it registered so", func(t *testing.T) {
		if _, err := br.finish(id, b.approval()); !is(err, "invalid_request") || b.lastEvent().Rule != "RFC9126-4-5" {
			t.Errorf("%v %+v", err, b.lastEvent())
		}
	})
	t.Run("PAR-4-5 PAR-6 pushed", func(t *testing.T) {
		r := f.byPush(b, challengedClaims(f.asks(b, f.wants())))
		if f.back(t, br.decideAt(r, b.approval())).Get("code") == "" {
			t.Error("no code")
		}
	})
}

// TestOutsideTheObject: what stands beside a request object counts for nothing.
func TestOutsideTheObject(t *testing.T) {
	f, other := keyClient("kakeibo").hybrid(), keyClient("other").hybrid()
	b := newBank(t, clients(f, other), advanced)
	answer := func(t *testing.T, claims m, change func(url.Values)) url.Values {
		t.Helper()
		v := f.beside(f.object(claims))
		change(v)
		return f.back(t, (&browser{b: b}).decideAt(get(authorizeURL(v)), b.approval()))
	}
	without := func(name string) m {
		claims := f.asks(b, f.wants())
		delete(claims, name)
		return claims
	}
	t.Run("FAPI1-ADV-5.2.2-10 FAPI1-ADV-5.2.2.1-5 CT-3 JAR-13 OIDC-RO-1 state only outside", func(t *testing.T) {
		back := answer(t, without("state"), func(v url.Values) { v.Set("state", "outer") })
		if id := signedClaims(t, back.Get("id_token")); back.Has("state") || id["s_hash"] != nil {
			t.Errorf("%v %v", back, id)
		}
	})
	t.Run("FAPI1-ADV-5.2.2-10 CT-4 another nonce outside", func(t *testing.T) {
		back := answer(t, without(""), func(v url.Values) { v.Set("nonce", "outer") })
		if id := signedClaims(t, back.Get("id_token")); id["nonce"] != "n-0S6_WzA2Mj" {
			t.Errorf("%v", id)
		}
	})
	t.Run("FAPI1-ADV-5.2.2-10 everything else is another outside", func(t *testing.T) {
		back := answer(t, without(""), func(v url.Values) {
			v.Set("redirect_uri", "https://evil.example/cb")
			v.Set("scope", "openid payments")
			v.Set("state", "outer")
			v.Set("response_mode", "query")
			v.Set("prompt", "none login")
			v["resource"] = []string{"https://a.example", "https://b.example"}
		})
		if back.Get("state") != "st-4Jx9" || back.Get("code") == "" {
			t.Errorf("%v", back)
		}
	})
	t.Run("OIDC-RO-2 nothing but client_id outside", func(t *testing.T) {
		back := answer(t, without(""), func(v url.Values) { v.Del("response_type"); v.Del("scope") })
		if back.Get("code") == "" {
			t.Errorf("%v", back)
		}
	})
	for _, name := range []string{"nonce", "redirect_uri", "scope"} {
		t.Run("FAPI1-ADV-5.2.2-10 only outside: "+name, func(t *testing.T) {
			v := f.beside(f.object(without(name)))
			v.Set(name, f.wants().Get(name))
			if res := (&browser{b: b}).openPage(get(authorizeURL(v))); res.StatusCode != 400 || res.Header.Get("Location") != "" {
				t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
			}
		})
	}
	for name, tt := range map[string]struct {
		query      string
		code, rule string
	}{
		"FAPI1-ADV-5.2.2-1 EC-10 ensure-authorization-request-without-request-object-fails": {authorizeURL(changed(f.wants(), "client_id", "kakeibo")), "invalid_request", "FAPI1-ADV-5.2.2-1"},
		"JAR-2 RFC9126-4-6 no client_id":             {authorizeURL(url.Values{"request": {f.object(without(""))}}), "invalid_request", "RFC9126-4-6"},
		"JAR-2 JAR-4 another client's id":            {authorizeURL(changed(f.beside(f.object(without(""))), "client_id", "other")), "invalid_request_object", "RFC9101-6.2-1"},
		"RFC6749-3.1-2 request twice":                {authorizeURL(f.beside(f.object(without("")))) + "&request=x", "invalid_request", "RFC6749-3.1-2"},
		"RFC6749-3.1-2 scope twice":                  {authorizeURL(f.beside(f.object(without("")))) + "&scope=x", "invalid_request", "RFC6749-3.1-2"},
		"JAR-3 OIDC-RO-8 request and request_uri":    {authorizeURL(f.beside(f.object(without("")))) + "&request_uri=urn%3Ax", "invalid_request", "OIDC-RO-8"},
		"JAR-2 RFC9126-4-6 an empty client_id":       {authorizeURL(changed(f.beside(f.object(without(""))), "client_id", "")), "invalid_request", "RFC9126-4-6"},
		"JAR-10 JAR-11 MD-9 an object at the client": {authorizeURL(url.Values{"client_id": {"kakeibo"}, "request_uri": {"https://app.fintech.example/r"}}), "invalid_request", "FAPI2-SP-5.3.2.2-3"},
		"JAR-1 no JWS":                               {authorizeURL(f.beside("x")), "invalid_request_object", "RFC9101-4-3"},
		"PAR-2.3-1 a URL of more than 64 KiB":        {authorizeURL(f.beside(strings.Repeat("x", 64<<10))), "invalid_request", "PAR-2.3-1"},
	} {
		t.Run(name, func(t *testing.T) {
			pageFor(t, b, b.do(get(tt.query)), tt.code, tt.rule)
		})
	}
	t.Run("JAR-3 OIDC-RO-8 request and request_uri in a form", func(t *testing.T) {
		pageFor(t, b, b.do(formTo(with(f.beside(f.object(without(""))), "request_uri", "urn:x"))), "invalid_request", "OIDC-RO-8")
	})
	t.Run("PAR-2.3-1 a form of more than 64 KiB", func(t *testing.T) {
		res := b.do(formTo(f.beside(strings.Repeat("x", 64<<10))))
		if res.StatusCode != 413 {
			t.Errorf("%d", res.StatusCode)
		}
	})
}

// TestByValueSignature: who signed, and how.
func TestByValueSignature(t *testing.T) {
	f, other := keyClient("kakeibo").hybrid(), keyClient("other").hybrid()
	f.publishes(publicJWK(rsaKey().Public(), "ps", ""))
	b := newBank(t, clients(f, other), advanced)
	header := func(alg, kid string) m { return m{"alg": alg, "kid": kid} }
	claims := f.asks(b, f.wants())
	good := f.object(claims)
	dot := strings.LastIndexByte(good, '.') + 1
	for _, tt := range []struct{ name, object, rule string }{
		{"JAR-4 CT-7 FAPI1-ADV-5.2.2-1 broken", good[:dot] + flip(good[dot]) + good[dot+1:], "RFC9101-6.2-1"},
		{"JAR-4 CT-7 by another client", jwt(header("ES256", f.kid), claims, other.key), "RFC9101-6.2-1"},
		{"FAPI1-ADV-8.6-1 FAPI1-ADV-8.6-2 CT-7 RS256", jwt(header("RS256", "ps"), claims, rsaKey()), "FAPI2-SP-5.4.1-1b"},
		{"FAPI1-ADV-8.6-3 CT-7 none", b64url([]byte(`{"alg":"none"}`)) + "." + b64url([]byte(`{}`)) + ".", "RFC9101-4-3"},
		{"FAPI1-ADV-8.6-3 nOnE, and a signature", jwt(header("nOnE", f.kid), claims, f.key) + good[dot:], "FAPI2-SP-5.4.1-1b"},
		{"JAR-5 the type of an access token", jwt(m{"alg": "ES256", "kid": f.kid, "typ": "at+jwt"}, claims, f.key), "CONF-11"},
		{"FAPI1-ADV-8.9-2 a key of its own", jwt(m{"alg": "ES256", "jwk": publicJWK(other.key.Public(), "x", "ES256")}, claims, other.key), "RFC9101-6.2-1"},
		{"JAR-4 an extension that it calls critical", jwt(m{"alg": "ES256", "kid": f.kid, "crit": []string{"x"}, "x": 1}, claims, f.key), "RFC9101-4-3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pageFor(t, b, b.do(get(authorizeURL(f.beside(tt.object)))), "invalid_request_object", tt.rule)
		})
	}
	t.Run("FAPI1-ADV-8.6-1 PS256", func(t *testing.T) {
		if res := b.do(get(authorizeURL(f.beside(jwt(header("PS256", "ps"), claims, rsaKey()))))); res.StatusCode != 200 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("JAR-4 the algorithm that was registered, and no other", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		f.RequestAlg = "PS256"
		b := newBank(t, clients(f), advanced)
		pageFor(t, b, b.do(f.byValue(f.asks(b, f.wants()))), "invalid_request_object", "FAPI2-SP-5.4.1-1b")
	})
}

// TestEncryptedByValue: what a browser carries may be encrypted to the server.
func TestEncryptedByValue(t *testing.T) {
	f := keyClient("kakeibo").hybrid()
	b := newBank(t, clients(f), advanced, decrypting(authz.DecryptionKey{ID: "k", Algorithm: "RSA-OAEP-256", Key: rsaKey()}))
	sealed := func(t *testing.T, alg, content string) string {
		t.Helper()
		jwe, err := jose.Encrypt(alg, "A256GCM", "k", "JWT", &rsaKey().PublicKey, []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		return jwe
	}
	signed := f.object(f.asks(b, f.wants()))
	t.Run("JAR-9 RFC9101-6.1-1 encrypted, twice, is one request", func(t *testing.T) {
		first, second := &browser{b: b}, &browser{b: b}
		one, two := sealed(t, "RSA-OAEP-256", signed), sealed(t, "RSA-OAEP-256", signed)
		id := first.shows(get(authorizeURL(f.beside(one))))
		other := second.shows(get(authorizeURL(f.beside(two))))
		if _, err := first.finish(id, b.approval()); err != nil {
			t.Fatal(err)
		}
		if _, err := second.finish(other, b.approval()); !is(err, "invalid_request_uri") {
			t.Errorf("a second grant: %v", err)
		}
	})
	t.Run("JAR-9 what cannot be decrypted", func(t *testing.T) {
		pageFor(t, b, b.do(get(authorizeURL(f.beside(sealed(t, "RSA-OAEP", signed))))), "invalid_request_object", "RFC9101-6.1-1")
	})
	t.Run("JAR-9 encrypted and not signed", func(t *testing.T) {
		pageFor(t, b, b.do(get(authorizeURL(f.beside(sealed(t, "RSA-OAEP-256", `{"client_id":"kakeibo"}`))))), "invalid_request_object", "RFC9101-4-3")
	})
}

// TestByValueOnce: an object leads to one grant, whatever comes after.
func TestByValueOnce(t *testing.T) {
	start := func(t *testing.T, adjust ...func(m)) (*fintech, *bank, *browser, *http.Request) {
		f := keyClient("kakeibo").hybrid()
		b := newBank(t, clients(f), advanced)
		claims := f.asks(b, f.wants())
		for _, a := range adjust {
			a(claims)
		}
		return f, b, &browser{b: b}, f.byValue(claims)
	}
	again := func(r *http.Request) *http.Request { return get(r.URL.String()) }
	dead := func(t *testing.T, b *bank, res *http.Response) {
		t.Helper()
		pageFor(t, b, res, "invalid_request_uri", "RFC9126-4-3")
	}

	t.Run("PAR-4-3 JAR-14 reloads before the decision", func(t *testing.T) {
		_, b, br, r := start(t)
		for range 3 {
			br.shows(again(r))
		}
		if res := br.decideAt(r, b.approval()); res.StatusCode != 303 {
			t.Errorf("%d", res.StatusCode)
		}
	})
	for name, d := range map[string]func(*bank) authz.Decision{
		"an approval": (*bank).approval, "a denial": func(*bank) authz.Decision { return authz.Decision{Deny: authz.AccessDenied} },
	} {
		t.Run("EC-13 a reload after "+name, func(t *testing.T) {
			_, b, br, r := start(t)
			br.decideAt(again(r), d(b))
			dead(t, b, br.do(again(r)))
			dead(t, b, (&browser{b: b}).openPage(formTo(r.URL.Query())))
		})
	}
	t.Run("RFC9126-I-2 a reload after the grant was revoked", func(t *testing.T) {
		f, b, br, r := start(t)
		code := f.back(t, br.decideAt(again(r), b.approval())).Get("code")
		v := f.redeemable(code)
		v.Del("code_verifier")
		f.token(b, v)
		if status, _ := f.token(b, v); status != 400 { // and ends the grant
			t.Fatal(status)
		}
		dead(t, b, br.do(again(r)))
		b.clock.Advance(299 * time.Second)
		dead(t, b, br.do(again(r)))
		b.clock.Advance(time.Second)
		pageFor(t, b, br.do(again(r)), "invalid_request_object", "FAPI1-ADV-5.2.2-13")
	})
	t.Run("RFC9126-I-2 a decision that was held until the grant was revoked", func(t *testing.T) {
		f, b, br, r := start(t)
		id := br.shows(again(r))
		late, err := br.resume(id)
		if err != nil {
			t.Fatal(err)
		}
		w, err := br.finish(id, b.approval())
		if err != nil {
			t.Fatal(err)
		}
		v := f.redeemable(f.back(t, w.Result()).Get("code"))
		v.Del("code_verifier")
		_, got := f.token(b, v)
		f.token(b, v) // a second time, which ends the grant
		if err := late.Finish(httptest.NewRecorder(), br.page(id), b.approval()); !is(err, "invalid_request_uri") {
			t.Errorf("Finish: %v", err)
		}
		if err := f.check(b, got["access_token"].(string)); err == nil {
			t.Error("the revoked access token works again")
		}
	})
	t.Run("RFC9101-I-1 JAR-14 another object with the same jti", func(t *testing.T) {
		f, b, br, r := start(t, func(c m) { c["jti"] = "ro-1" })
		second := f.asks(b, f.wants())
		second["jti"], second["exp"] = "ro-1", b.clock.Now().Unix()+299
		other := &browser{b: b}
		id, late := br.shows(r), other.shows(f.byValue(second)) // to look at both uses nothing up
		if _, err := br.finish(id, b.approval()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.finish(late, b.approval()); !is(err, "invalid_request_object") {
			t.Errorf("a second grant: %v", err)
		}
		if res := b.do(f.pushing(b, f.object(challengedClaims(second)))); res.StatusCode != 400 || b.lastEvent().Rule != "RFC9101-I-1" {
			t.Errorf("pushed: %d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("RFC9101-I-1 an object that was pushed before", func(t *testing.T) {
		f, b, br, _ := start(t)
		claims := challengedClaims(f.asks(b, f.wants()))
		f.byPush(b, claims)
		id := br.shows(f.byValue(claims))
		if _, err := br.finish(id, b.approval()); !is(err, "invalid_request_object") {
			t.Errorf("Finish: %v", err)
		}
	})
	t.Run("RFC9101-I-1 an object that was pushed before, and is decided after it expired", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		b := newBank(t, clients(f), advanced, tidied)
		br := &browser{b: b}
		claims := challengedClaims(f.asks(b, f.wants()))
		id := br.shows(f.byValue(claims))
		f.byPush(b, claims)
		b.clock.Advance(25 * time.Minute)
		if _, err := br.finish(id, b.approval()); !is(err, "invalid_request_object") {
			t.Errorf("Finish: %v", err)
		}
	})
	t.Run("RFC9101-I-1 opening an object does not keep it from being pushed", func(t *testing.T) {
		f, b, br, _ := start(t)
		claims := challengedClaims(f.asks(b, f.wants()))
		br.shows(f.byValue(claims))
		f.byPush(b, claims)
	})
	t.Run("JAR-4 another spelling of the signature is not another request", func(t *testing.T) {
		f, b, br, _ := start(t)
		signed := f.object(f.asks(b, f.wants()))
		twin := mirrored(t, signed)
		br.decideAt(get(authorizeURL(f.beside(signed))), b.approval())
		dead(t, b, br.do(get(authorizeURL(f.beside(twin)))))
	})
	t.Run("FAPI2-SP-5.3.2.2-N3 HEAD stores nothing", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		faulty := &storetest.Faulty{}
		b := newBank(t, clients(f), advanced, func(c *authz.Config) { faulty.Store = c.Store; c.Store = faulty })
		r := f.byValue(f.asks(b, f.wants()))
		r.Method = "HEAD"
		if res := b.do(r); res.StatusCode != 200 || faulty.Count("Create") != 0 {
			t.Errorf("%d, %d creates", res.StatusCode, faulty.Count("Create"))
		}
	})
	t.Run("OIDC-AR-1 CONF-34 a form post is answered with a way here that has no object in it", func(t *testing.T) {
		f, b, br, r := start(t)
		res := br.do(formTo(r.URL.Query()))
		to := res.Header.Get("Location")
		if res.StatusCode != 303 || !strings.HasPrefix(to, issuer+"/authorize?client_id=kakeibo&request_uri=urn") || strings.Contains(to, "request=") || len(res.Cookies()) != 0 {
			t.Fatalf("%d %s", res.StatusCode, to)
		}
		first, second := br.shows(get(to)), (&browser{b: b}).shows(again(r))
		if first == second {
			t.Error("two browsers have one interaction")
		}
		if f.back(t, br.decideAt(get(to), b.approval())).Get("code") == "" {
			t.Error("no code")
		}
		dead(t, b, br.do(again(r)))
	})
	t.Run("RFC9126-2.2-4 RFC9126-7.1-1 the way of a form post with another secret, or for another client", func(t *testing.T) {
		f, other := keyClient("kakeibo").hybrid(), keyClient("other").hybrid()
		b := newBank(t, clients(f, other), advanced)
		to := b.do(formTo(f.beside(f.object(f.asks(b, f.wants()))))).Header.Get("Location")
		dead(t, b, b.do(get(to[:len(to)-3]+flip(to[len(to)-3])+to[len(to)-2:])))
		pageFor(t, b, b.do(get(strings.Replace(to, "client_id=kakeibo", "client_id=other", 1))), "invalid_request_uri", "RFC9126-2.2-4")
	})
	t.Run("PAR-4-2 the way of a form post leads nowhere once the object has expired", func(t *testing.T) {
		_, b, br, r := start(t)
		to := br.do(formTo(r.URL.Query())).Header.Get("Location")
		b.clock.Advance(299 * time.Second)
		br.shows(get(to))
		b.clock.Advance(time.Second)
		dead(t, b, br.do(get(to)))
	})
	t.Run("TOK-14 a grant is revoked when its request is long forgotten", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		b := newBank(t, clients(f), advanced, tidied)
		v := f.redeemable(f.back(t, (&browser{b: b}).decideAt(f.byValue(f.asks(b, f.wants())), b.approval())).Get("code"))
		v.Del("code_verifier")
		_, got := f.token(b, v)
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
		b.clock.Advance(24 * time.Hour)
		if status, got := f.token(b, refresh); status != 200 {
			t.Fatalf("%d %v", status, got)
		}
		revoke := url.Values{"token": refresh["refresh_token"]}
		if res := b.do(f.request("/revoke", f.authenticate(b, revoke))); res.StatusCode != 200 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
		if status, got := f.token(b, refresh); status != 400 {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("JAR-8 an object that expires while the customer decides", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		b := newBank(t, clients(f), advanced, tidied)
		br := &browser{b: b}
		id := br.shows(f.byValue(f.asks(b, f.wants())))
		b.clock.Advance(20 * time.Minute)
		w, err := br.finish(id, b.approval())
		if err != nil {
			t.Fatal(err)
		}
		if f.back(t, w.Result()).Get("code") == "" {
			t.Error("no code")
		}
	})
}

func challengedClaims(c m) m {
	v := challenged(url.Values{})
	c["code_challenge"], c["code_challenge_method"] = v.Get("code_challenge"), v.Get("code_challenge_method")
	return c
}

// mirrored returns an ES256 JWS with the other signature that is right: (r, -s).
func mirrored(t *testing.T, jws string) string {
	t.Helper()
	dot := strings.LastIndexByte(jws, '.') + 1
	sig := unb64(t, jws[dot:])
	n, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	s := new(big.Int).Sub(n, new(big.Int).SetBytes(sig[32:]))
	return jws[:dot] + b64url(append(sig[:32:32], s.FillBytes(make([]byte, 32))...))
}

// TestByValueRace: twenty loads and twenty decisions at once, far from the
// store.
func TestByValueRace(t *testing.T) {
	for name, jti := range map[string]bool{"with jti": true, "without jti": false} {
		t.Run("RFC9126-I-2 JAR-14 one grant, "+name, func(t *testing.T) {
			for range 3 {
				f := keyClient("kakeibo").hybrid()
				b := newBank(t, clients(f), advanced, far)
				claims := f.asks(b, f.wants())
				if !jti {
					delete(claims, "jti")
				}
				r := f.byValue(claims)
				codes, errs := make([]string, racers), make([]error, racers)
				wins := race(func(i int) bool {
					br := &browser{b: b}
					open := get(r.URL.String())
					if i%4 == 3 {
						open = formTo(r.URL.Query())
					}
					res := br.openPage(open)
					id, _ := io.ReadAll(res.Body)
					if res.StatusCode != 200 { // it came after a decision
						errs[i] = errDead
						return false
					}
					w, err := br.finish(string(id), b.approval())
					if errs[i] = err; err != nil {
						return false
					}
					_, text, _ := strings.Cut(w.Result().Header.Get("Location"), "#")
					v, _ := url.ParseQuery(text)
					codes[i] = v.Get("code")
					return true
				})
				if wins != 1 {
					t.Fatalf("%d of %d decisions were carried out, want 1", wins, racers)
				}
				for i, err := range errs {
					if err != nil && err != errDead && !is(err, "invalid_request_uri") {
						t.Errorf("decision %d: %v", i, err)
					}
				}
				for _, code := range codes {
					if code == "" {
						continue
					}
					v := f.redeemable(code)
					v.Del("code_verifier")
					if status, got := f.token(b, v); status != 200 {
						t.Errorf("the winner's code: %d %v", status, got)
					}
				}
			}
		})
	}
}

var errDead = errors.New("the page says that the request was decided")

// TestByValueLostReplies: a store whose first answer to each write is lost makes
// no difference.
func TestByValueLostReplies(t *testing.T) {
	f := keyClient("kakeibo").hybrid()
	b := newBank(t, clients(f), advanced, func(c *authz.Config) { c.Store = &forgetful{Store: c.Store, seen: map[string]bool{}} })
	br := &browser{b: b}
	r := f.byValue(f.asks(b, f.wants()))
	code := f.back(t, br.decideAt(get(r.URL.String()), b.approval())).Get("code")
	v := f.redeemable(code)
	v.Del("code_verifier")
	if status, got := f.token(b, v); status != 200 {
		t.Errorf("%d %v", status, got)
	}
	pageFor(t, b, br.do(r), "invalid_request_uri", "RFC9126-4-3")
}

// A forgetful store carries out each verb but loses the first answer for a key.
type forgetful struct {
	store.Store
	seen map[string]bool
}

func (s *forgetful) lose(key string, err error) error {
	if !s.seen[key] {
		s.seen[key] = true
		return errors.New("reply lost")
	}
	return err
}

func (s *forgetful) Create(ctx context.Context, r store.Record) error {
	return s.lose("c"+r.Key, s.Store.Create(ctx, r))
}

func (s *forgetful) Replace(ctx context.Context, version string, r store.Record) error {
	return s.lose("r"+r.Key, s.Store.Replace(ctx, version, r))
}

func tidied(c *authz.Config) { c.Store = &tidy{c.Store, c.Now} }

// A tidy store has forgotten each record a minute after it expired, as it may.
type tidy struct {
	store.Store
	now func() time.Time
}

func (s *tidy) Get(ctx context.Context, key string) (store.Record, error) {
	r, err := s.Store.Get(ctx, key)
	if err != nil || !s.now().After(r.Expires.Add(time.Minute)) {
		return r, err
	}
	return store.Record{}, cmp.Or(s.Delete(ctx, key), store.ErrNotFound)
}

func (s *tidy) Create(ctx context.Context, r store.Record) error {
	if _, err := s.Get(ctx, r.Key); err != nil && err != store.ErrNotFound {
		return err
	}
	return s.Store.Create(ctx, r)
}
