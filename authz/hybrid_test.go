package authz_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/jose"
)

// unb64 decodes what b64url encoded.
func unb64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDetachedSignature: the ID token that the browser carries.
func TestDetachedSignature(t *testing.T) {
	f := keyClient("kakeibo").hybrid()
	f.RedirectURIs = []string{callback}
	b := newBank(t, clients(f), advanced)
	flow := func(t *testing.T, with func(m)) (url.Values, map[string]any) {
		t.Helper()
		claims := f.asks(b, f.wants())
		with(claims)
		back := f.back(t, (&browser{b: b}).decideAt(f.byValue(claims), b.approval()))
		return back, signedClaims(t, back.Get("id_token"))
	}
	t.Run("FAPI1-ADV-5.2.2.1-4 FAPI1-ADV-5.2.2.1-5 OIDC-RS-1 OIDC-RS-6 OIDC-RS-7 OIDC-IT-14 OIDC-IT-15 RFC9207-2-1 code, ID token, state and issuer, in the fragment", func(t *testing.T) {
		back, id := flow(t, func(m) {})
		var names []string
		for name := range back {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"code", "id_token", "iss", "state"}) || back.Get("iss") != issuer || back.Get("state") != "st-4Jx9" {
			t.Errorf("the response has %v", back)
		}
		now := b.clock.Now().Unix()
		want := map[string]any{
			"iss": issuer, "sub": customer, "aud": "kakeibo", "nonce": "n-0S6_WzA2Mj",
			"iat": exactly(now), "exp": exactly(now + 300), "auth_time": exactly(now), "acr": "urn:bank:acr:sca", "amr": []any{"pwd", "hwk"},
			"c_hash": halved(back.Get("code")), "s_hash": halved("st-4Jx9"),
		}
		if d := cmp.Diff(want, id); d != "" {
			t.Error(d)
		}
	})
	t.Run("FAPI1-ADV-5.2.2.1-5 TV-1 the state of the vector", func(t *testing.T) {
		if _, id := flow(t, func(c m) { c["state"] = "VgSUIEnflnDxTe1vAtr54o" }); id["s_hash"] != "9s6CBbOxiKE65d9-Qr0QIQ" {
			t.Errorf("s_hash is %v", id["s_hash"])
		}
	})
	t.Run("FAPI1-ADV-5.2.2.1-5 CT-2 no state, no s_hash", func(t *testing.T) {
		back, id := flow(t, func(c m) { delete(c, "state") })
		if back.Has("state") || id["s_hash"] != nil || id["c_hash"] != halved(back.Get("code")) {
			t.Errorf("%v %v", back, id)
		}
	})
	t.Run("FAPI1-ADV-5.2.2.1-2 CT-27 its key is in the key set", func(t *testing.T) {
		back, _ := flow(t, func(m) {})
		if d := cmp.Diff(map[string]any{"alg": "ES256", "kid": "as-1"}, headerOf(t, back.Get("id_token"))); d != "" {
			t.Error(d)
		}
		keys := objectAt(t, b, "/jwks")["keys"].([]any)
		if len(keys) != 1 || keys[0].(map[string]any)["kid"] != "as-1" || keys[0].(map[string]any)["d"] != nil {
			t.Errorf("keys %v", keys)
		}
	})
	t.Run("FAPI1-ADV-5.2.2.1-6 OIDC-IT-16 the one from the token endpoint has the same iss and sub", func(t *testing.T) {
		back, first := flow(t, func(m) {})
		v := f.redeemable(back.Get("code"))
		v.Del("code_verifier")
		_, got := f.token(b, v)
		second := signedClaims(t, got["id_token"].(string))
		for _, name := range []string{"iss", "sub", "aud", "nonce", "auth_time", "acr", "amr"} {
			if d := cmp.Diff(first[name], second[name]); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
		if second["at_hash"] != halved(got["access_token"].(string)) || first["at_hash"] != nil {
			t.Errorf("at_hash: %v, %v", first["at_hash"], second["at_hash"])
		}
	})
	t.Run("FAPI1-ADV-5.2.2.1-6 OIDC-SU-1 pairwise: the same sub in both", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		f.SubjectType = "pairwise"
		b := newBank(t, clients(f), advanced, func(c *authz.Config) { c.Pairwise = []byte("a salt that never ever changes, 32+") })
		back := f.back(t, (&browser{b: b}).decideAt(f.byValue(f.asks(b, f.wants())), b.approval()))
		v := f.redeemable(back.Get("code"))
		v.Del("code_verifier")
		_, got := f.token(b, v)
		first, second := signedClaims(t, back.Get("id_token")), signedClaims(t, got["id_token"].(string))
		if first["sub"] != second["sub"] || first["sub"] == customer {
			t.Errorf("%v, %v", first["sub"], second["sub"])
		}
	})
	t.Run("FAPI1-ADV-5.2.2.1-6 claims of the customer go to the token endpoint's alone", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		b := newBank(t, clients(f), advanced, func(c *authz.Config) {
			c.ClaimNames = []string{"email"}
			c.Claims = func(context.Context, authz.ClaimsRequest) (map[string]any, error) {
				return map[string]any{"email": "kaori@mail.example"}, nil
			}
		})
		claims := f.asks(b, f.wants())
		claims["claims"] = m{"id_token": m{"email": m{"essential": true}}}
		back := f.back(t, (&browser{b: b}).decideAt(f.byValue(claims), b.approval()))
		v := f.redeemable(back.Get("code"))
		v.Del("code_verifier")
		_, got := f.token(b, v)
		first, second := signedClaims(t, back.Get("id_token")), signedClaims(t, got["id_token"].(string))
		if first["email"] != nil || second["email"] != "kaori@mail.example" {
			t.Errorf("%v\n%v", first, second)
		}
	})
	t.Run("FAPI1-ADV-5.2.2.1-3 OIDC-IT-13 signed, then encrypted", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		f.publishes(m{"kid": "enc", "use": "enc", "alg": "RSA-OAEP-256", "kty": "RSA", "n": publicJWK(rsaKey().Public(), "", "")["n"], "e": "AQAB"})
		f.IDTokenEncryption = authz.Encryption{Alg: "RSA-OAEP-256", Enc: "A256GCM"}
		b := newBank(t, clients(f), advanced)
		back := f.back(t, (&browser{b: b}).decideAt(f.byValue(f.asks(b, f.wants())), b.approval()))
		jwe := back.Get("id_token")
		if strings.Count(jwe, ".") != 4 {
			t.Fatalf("no JWE: %s", jwe)
		}
		inner, cty, err := jose.Decrypt(jwe, 1<<16, []string{"A256GCM"}, []jose.DecryptionKey{{ID: "enc", Algorithm: "RSA-OAEP-256", Key: rsaKey()}})
		if err != nil || cty != "JWT" {
			t.Fatal(cty, err)
		}
		if id := signedClaims(t, string(inner)); id["c_hash"] != halved(back.Get("code")) {
			t.Errorf("%v", id)
		}
	})
	t.Run("FAPI1-ADV-5.2.2.1-1 an approval without openid does not answer", func(t *testing.T) {
		br := &browser{b: b}
		id := br.shows(f.byValue(f.asks(b, f.wants())))
		d := b.approval()
		d.Scopes = []string{"accounts"}
		if w, err := br.finish(id, d); err == nil || w.Header().Get("Location") != "" {
			t.Errorf("%v %v", err, w.Header())
		}
		if _, err := br.finish(id, b.approval()); err != nil {
			t.Errorf("the customer cannot go on: %v", err)
		}
	})
	t.Run("FAPI1-ADV-5.2.2.1-4 a signer that fails takes nothing", func(t *testing.T) {
		keys := &failingKeys{KeySet: serverKeys}
		b := newBank(t, clients(f), advanced, func(c *authz.Config) { c.Keys = keys })
		br := &browser{b: b}
		id := br.shows(f.byValue(f.asks(b, f.wants())))
		keys.err = errors.New("HSM gone")
		if w, err := br.finish(id, b.approval()); err == nil || w.Header().Get("Location") != "" {
			t.Errorf("%v %v", err, w.Header())
		}
		keys.err = nil
		if _, err := br.finish(id, b.approval()); err != nil {
			t.Error(err)
		}
	})
	t.Run("CT-19 CT-23 CT-24 EC-19 OIDC-RS-3 a denial, in the fragment", func(t *testing.T) {
		back := fragment(t, (&browser{b: b}).decideAt(f.byValue(f.asks(b, f.wants())), authz.Decision{Deny: authz.AccessDenied}))
		want := url.Values{"error": {"access_denied"}, "state": {"st-4Jx9"}, "iss": {issuer}}
		if d := cmp.Diff(want, back); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDC-RS-8 the query of the redirect_uri stays where it is", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		f.RedirectURIs = []string{callback + "?dummy1=lorem&dummy2=ipsum"}
		b := newBank(t, clients(f), advanced)
		res := (&browser{b: b}).decideAt(f.byValue(f.asks(b, f.wants())), b.approval())
		if to := res.Header.Get("Location"); !strings.HasPrefix(to, callback+"?dummy1=lorem&dummy2=ipsum#code=") {
			t.Errorf("Location is %s", to)
		}
	})
}

// TestFormPost: a page that takes the response to the client.
func TestFormPost(t *testing.T) {
	const odd = callback + `?q='a'&amp=1`
	f := keyClient("kakeibo").hybrid()
	f.RedirectURIs = []string{odd}
	b := newBank(t, clients(f), advanced)
	ask := func(with func(m)) m {
		claims := f.asks(b, f.wants())
		claims["response_mode"] = "form_post"
		with(claims)
		return claims
	}
	t.Run("OIDC-RS-2 OIDC-RS-6 code and ID token", func(t *testing.T) {
		res := (&browser{b: b}).decideAt(f.byValue(ask(func(m) {})), b.approval())
		action, fields := posted(t, res)
		if id := signedClaims(t, fields.Get("id_token")); action != odd || id["c_hash"] != halved(fields.Get("code")) || fields.Get("state") != "st-4Jx9" || fields.Get("iss") != issuer || len(fields) != 4 {
			t.Errorf("%s %v", action, fields)
		}
	})
	t.Run("OIDC-RS-2 text that would end the field", func(t *testing.T) {
		const state = `"><script>alert(1)</script>&quot;'` + "\n`状態"
		res := (&browser{b: b}).decideAt(f.byValue(ask(func(c m) { c["state"] = state })), b.approval())
		if _, fields := posted(t, res); fields.Get("state") != state {
			t.Errorf("state is %q", fields.Get("state"))
		}
	})
	t.Run("OIDC-RS-2 a denial", func(t *testing.T) {
		res := (&browser{b: b}).decideAt(f.byValue(ask(func(m) {})), authz.Decision{Deny: authz.AccessDenied})
		if _, fields := posted(t, res); cmp.Diff(url.Values{"error": {"access_denied"}, "state": {"st-4Jx9"}, "iss": {issuer}}, fields) != "" {
			t.Errorf("%v", fields)
		}
	})
	t.Run("OIDC-RS-2 RFC9700-4.16-1 FAPI1-BASE-7.4 the headers", func(t *testing.T) {
		res := (&browser{b: b}).decideAt(f.byValue(ask(func(m) {})), b.approval())
		// The digest is that of document.forms[0].submit(), computed elsewhere.
		for name, want := range map[string]string{
			"Content-Type":              "text/html; charset=utf-8",
			"Cache-Control":             "no-cache, no-store",
			"Pragma":                    "no-cache",
			"Referrer-Policy":           "no-referrer",
			"X-Frame-Options":           "DENY",
			"X-Content-Type-Options":    "nosniff",
			"Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload",
			"Content-Security-Policy": "default-src 'none'; script-src 'sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE='; " +
				"form-action https:; frame-ancestors 'none'; base-uri 'none'",
		} {
			if got := res.Header[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})
}

// TestFAPI1JARM: a code in a signed response, however it travels.
func TestFAPI1JARM(t *testing.T) {
	f := keyClient("kakeibo").jarmed()
	b := newBank(t, clients(f), advanced)
	answer := func(t *testing.T, mode string, d authz.Decision) (response string) {
		t.Helper()
		claims := f.asks(b, changed(f.wants(), "response_mode", mode))
		res := (&browser{b: b}).decideAt(f.byValue(claims), d)
		var v url.Values
		switch mode {
		case "fragment.jwt":
			v = fragment(t, res)
		case "form_post.jwt":
			_, v = posted(t, res)
		default:
			v = location(t, res)
		}
		if len(v) != 1 || len(v["response"]) != 1 {
			t.Fatalf("beside the response: %v", v)
		}
		return v.Get("response")
	}
	for mode, row := range map[string]string{
		"jwt": "JARM-2.3-5 FAPI1-ADV-5.2.2-2", "query.jwt": "JARM-2.3-1", "fragment.jwt": "JARM-2.3-3", "form_post.jwt": "JARM-2.3-4",
	} {
		t.Run("FAPI1-ADV-5.2.2.2-1 "+row+" "+mode, func(t *testing.T) {
			got := signedClaims(t, answer(t, mode, b.approval()))
			want := map[string]any{"iss": issuer, "aud": "kakeibo", "exp": exactly(b.clock.Now().Unix() + 300), "state": "st-4Jx9", "code": got["code"]}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			v := f.redeemable(got["code"].(string))
			v.Del("code_verifier")
			if status, body := f.token(b, v); status != 200 {
				t.Errorf("%d %v", status, body)
			}
		})
		t.Run("FAPI1-ADV-5.2.2.2-1 CT-24 CT-19 "+row+" a denial by "+mode, func(t *testing.T) {
			got := signedClaims(t, answer(t, mode, authz.Decision{Deny: authz.AccessDenied}))
			want := map[string]any{"iss": issuer, "aud": "kakeibo", "exp": exactly(b.clock.Now().Unix() + 300), "state": "st-4Jx9", "error": "access_denied"}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	for _, mode := range []string{"", "query", "fragment", "form_post"} {
		t.Run("FAPI1-ADV-5.2.2-2 CT-6 a code in the clear: "+mode, func(t *testing.T) {
			claims := f.asks(b, changed(f.wants(), "response_mode", mode))
			pageFor(t, b, b.do(f.byValue(claims)), "invalid_request", "FAPI1-ADV-5.2.2-2")
			mustRefuse(t, b, b.do(f.pushing(b, f.object(challengedClaims(claims)))), 400, "invalid_request", "FAPI1-ADV-5.2.2-2")
		})
	}
	for _, responseType := range []string{"token", "id_token", "code token", "code id_token token", "none", " code", "code code"} {
		t.Run("FAPI1-ADV-5.2.2-2 EC-6 response_type "+responseType, func(t *testing.T) {
			claims := f.asks(b, changed(f.wants(), "response_type", responseType))
			v := f.beside(f.object(claims))
			v.Del("response_type")
			pageFor(t, b, b.do(get(authorizeURL(v))), "unsupported_response_type", "FAPI1-ADV-5.2.2-2")
			mustRefuse(t, b, b.do(f.pushing(b, f.object(challengedClaims(claims)))), 400, "unsupported_response_type", "FAPI1-ADV-5.2.2-2")
		})
	}
	t.Run("OIDR-2 a response type that is not registered", func(t *testing.T) {
		claims := f.asks(b, f.wants())
		claims["response_type"] = "code id_token"
		delete(claims, "response_mode")
		v := f.beside(f.object(claims))
		v.Set("response_type", "code id_token")
		pageFor(t, b, b.do(get(authorizeURL(v))), "unauthorized_client", "OIDR-2")
	})
	t.Run("FAPI1-BASE-5.2.2.3-1 without openid there is a state", func(t *testing.T) {
		claims := f.asks(b, changed(f.wants(), "scope", "accounts"))
		delete(claims, "nonce")
		if res := (&browser{b: b}).do(f.byValue(claims)); res.StatusCode != 200 {
			t.Errorf("with state: %d %+v", res.StatusCode, b.lastEvent())
		}
		delete(claims, "state")
		pageFor(t, b, b.do(f.byValue(claims)), "invalid_request", "FAPI1-BASE-5.2.2.3-1")
	})
	t.Run("EC-4 RFC9396-2-1 authorization_details instead of a scope", func(t *testing.T) {
		b := newBank(t, clients(f), advanced, withDetails)
		claims := f.asks(b, f.wants())
		for _, name := range []string{"scope", "nonce"} {
			delete(claims, name)
		}
		pageFor(t, b, b.do(f.byValue(claims)), "invalid_request", "EC-4")
		claims["authorization_details"] = raws(payment)
		if res := b.do(f.byValue(claims)); res.StatusCode != 200 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("JARM-2.2-1 FAPI1-ADV-8.6-1 the algorithm that was registered", func(t *testing.T) {
		f.ResponseAlg = "PS256"
		defer func() { f.ResponseAlg = "" }()
		br := &browser{b: b}
		id := br.shows(f.byValue(f.asks(b, f.wants())))
		if w, err := br.finish(id, b.approval()); err == nil { // the server has no such key
			t.Errorf("%v", w.Header())
		}
	})
}

// TestFormPostTarget: no redirect_uri can write into the page's policy.
func TestFormPostTarget(t *testing.T) {
	for name, uri := range map[string]string{
		"RFC9700-4.16-1 a host that ends the name":     "https://a.example;script-src/cb",
		"RFC9700-4.16-1 a host that ends the policy":   "https://a.example,script-src/cb",
		"RFC9700-4.16-1 a host that policies know not": "https://[2001:db8::1]/cb",
	} {
		t.Run(name, func(t *testing.T) {
			f := keyClient("kakeibo").hybrid()
			f.RedirectURIs = []string{uri}
			b := newBank(t, clients(f), advanced)
			if err := b.srv.CheckClient(f.Client); err != nil {
				t.Fatal(err)
			}
			res := (&browser{b: b}).decideAt(f.byValue(f.asks(b, changed(f.wants(), "response_mode", "form_post"))), b.approval())
			csp := res.Header.Get("Content-Security-Policy")
			if !strings.Contains(csp, "form-action https:; frame-ancestors") || strings.Count(csp, "script-src") != 1 {
				t.Errorf("the policy is %s", csp)
			}
		})
	}
}
