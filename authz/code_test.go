package authz_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/pkce"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
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
		{"RFC8707-2-1 a fragment", func(v url.Values) url.Values { return with(v, "resource", resource+"#x") }, "invalid_target", "RFC8707-2-3"},
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

// verified checks a JWT's signature by the standard library, and returns its
// header and claims.
func verified(t *testing.T, jwt string, keys token.KeySet) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", jwt)
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range []*map[string]any{&header, &claims} {
		d := json.NewDecoder(bytes.NewReader(raw[i]))
		d.UseNumber() // PIT-2: 1e9 and 1.0 are not integers
		if err := d.Decode(m); err != nil {
			t.Fatal(err)
		}
	}
	public, err := keys.PublicKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, k := range public {
		if k.ID != header["kid"] {
			continue
		}
		var ok bool
		switch pub := k.Key.(type) {
		case *ecdsa.PublicKey:
			ok = header["alg"] == "ES256" && len(raw[2]) == 64 &&
				ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(raw[2][:32]), new(big.Int).SetBytes(raw[2][32:]))
		case *rsa.PublicKey:
			ok = header["alg"] == "PS256" && rsa.VerifyPSS(pub, crypto.SHA256, sum[:], raw[2], &rsa.PSSOptions{SaltLength: 32}) == nil
		case ed25519.PublicKey:
			ok = (header["alg"] == "EdDSA" || header["alg"] == "Ed25519") && ed25519.Verify(pub, []byte(parts[0]+"."+parts[1]), raw[2])
		}
		if !ok {
			t.Errorf("signature of %v does not verify", header)
		}
		return header, claims
	}
	t.Fatalf("no key %v", header["kid"])
	return nil, nil
}

// TestTokenResponse: the whole answer, every member of it.
func TestTokenResponse(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	code := f.code(b)
	b.clock.Advance(20*time.Second + 900*time.Millisecond)
	res := f.answer(b, f.authenticate(b, f.redeemable(code)))
	var got map[string]any
	if err := json.Unmarshal(res.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	now := b.clock.Now().Unix()
	number := func(n int64) json.Number { return json.Number(big.NewInt(n).String()) }

	t.Run("RFC6749-5.1-1 CT-AS-51 OIDC-TK-3 PIT-2 the members", func(t *testing.T) {
		want := map[string]any{
			"access_token": got["access_token"], "id_token": got["id_token"], "refresh_token": got["refresh_token"],
			"token_type": "Bearer", "expires_in": 300.0, "scope": "openid accounts",
		}
		if d := cmp.Diff(want, got); d != "" || res.Code != 200 {
			t.Errorf("%d %s", res.Code, d)
		}
		if s, _ := got["refresh_token"].(string); len(s) != 66 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" { // RFC6749-A-1
			t.Errorf("refresh_token is %q", s)
		}
		uncached(t, res)
	})
	header, claims := verified(t, got["access_token"].(string), serverKeys)
	t.Run("RFC9068-2.1-1 RFC9068-2.1-2 the access token's header", func(t *testing.T) {
		if d := cmp.Diff(map[string]any{"alg": "ES256", "kid": "as-1", "typ": "at+jwt"}, header); d != "" {
			t.Error(d)
		}
	})
	t.Run("RFC9068-2.2-1 RFC9068-2.2-2 RFC9068-2.2.2-1 RFC9068-2.2.3-1 RFC9068-3-1 RFC8705-3.1-1 its claims and no other", func(t *testing.T) {
		sum := sha256.Sum256(f.chain[0].Raw)
		want := map[string]any{
			"iss": issuer, "sub": customer, "aud": resource, "client_id": "kakeibo", "scope": "openid accounts",
			"iat": number(now), "exp": number(now + 300), "jti": claims["jti"], "grant_id": claims["grant_id"],
			"auth_time": number(now - 20), "acr": "urn:bank:acr:sca", "amr": []any{"pwd", "hwk"},
			"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])},
		}
		if d := cmp.Diff(want, claims); d != "" {
			t.Error(d)
		}
		if jti, _ := claims["jti"].(string); len(jti) != 43 { // RFC9068-I-1
			t.Errorf("jti is %q", jti)
		}
	})
	header, claims = verified(t, got["id_token"].(string), serverKeys)
	t.Run("OIDC-IT-11 the ID token's header", func(t *testing.T) {
		if d := cmp.Diff(map[string]any{"alg": "ES256", "kid": "as-1"}, header); d != "" {
			t.Error(d)
		}
	})
	t.Run("CT-AS-55 OIDC-IT-1 OIDC-IT-3 OIDC-IT-4 OIDC-IT-6 OIDC-IT-9 OIDC-IT-17 PIT-1 PIT-3 its claims and no other", func(t *testing.T) {
		want := map[string]any{
			"iss": issuer, "sub": customer, "aud": "kakeibo", "nonce": "n-0S6_WzA2Mj",
			"iat": number(now), "exp": number(now + 300), "auth_time": number(now - 20),
			"acr": "urn:bank:acr:sca", "amr": []any{"pwd", "hwk"},
		}
		if d := cmp.Diff(want, claims); d != "" {
			t.Error(d)
		}
	})
	t.Run("PIT-10 the ID token is no access token and no client assertion", func(t *testing.T) {
		if err := f.check(b, got["id_token"].(string)); err == nil {
			t.Error("the API lets the ID token in")
		}
		form := with(f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}), "client_assertion", got["id_token"].(string))
		refusal(t, f.answer(b, form), 401, "invalid_client")
	})
	t.Run("RFC6749-10.10-1 no two tokens alike", func(t *testing.T) {
		seen := map[any]bool{}
		for range 10 {
			got := f.tokens(b)
			for _, v := range []any{got["refresh_token"], claimsOf(t, got["access_token"].(string))["jti"]} {
				if seen[v] {
					t.Fatalf("%v twice", v)
				}
				seen[v] = true
			}
		}
	})
}

// TestIDToken: when there is one, and what of the request it repeats.
func TestIDToken(t *testing.T) {
	redeem := func(t *testing.T, push func(url.Values), with func(*authz.Decision)) (got, id map[string]any) {
		t.Helper()
		f := keyClient("kakeibo")
		v := f.pushable()
		push(v)
		b, br, page := started(t, f, v)
		d := b.approval()
		if with != nil {
			with(&d)
		}
		w, err := br.finish(page, d)
		if err != nil {
			t.Fatal(err)
		}
		status, got := f.token(b, f.redeemable(location(t, w.Result()).Get("code")))
		if status != 200 {
			t.Fatalf("token: %d %v", status, got)
		}
		if s, ok := got["id_token"].(string); ok {
			_, id = verified(t, s, serverKeys)
		}
		return got, id
	}
	for name, nonce := range map[string]string{
		"CT-AS-6 of 64 characters":  strings.Repeat("a1", 30) + "-._~",
		"CT-AS-7 of 384 characters": strings.Repeat("a1_", 128),
		"with quotes":               `"\/<é`,
	} {
		t.Run("FAPI2-SP-5.3.2.2-14 OIDC-AR-7 CONF-16 a nonce "+name, func(t *testing.T) {
			if _, id := redeem(t, func(v url.Values) { v.Set("nonce", nonce) }, nil); id["nonce"] != nonce {
				t.Errorf("nonce is %q, want %q", id["nonce"], nonce)
			}
		})
	}
	t.Run("CT-AS-5 PIT-5 no nonce", func(t *testing.T) {
		if _, id := redeem(t, func(v url.Values) { v.Del("nonce") }, nil); id == nil || maps.Clone(id)["nonce"] != nil {
			t.Errorf("ID token has %v", id)
		}
	})
	t.Run("OIDC-AR-2 OIDC-TK-1 FAPI2-SP-5.3.2.3-1 none without openid", func(t *testing.T) {
		got, _ := redeem(t, func(v url.Values) { v.Set("scope", "accounts") }, nil)
		for name := range got {
			if name == "id_token" || strings.Contains(name, "sub") || strings.Contains(name, "user") {
				t.Errorf("the answer has %s", name)
			}
		}
	})
	t.Run("CT-AS-52 RFC6749-3.3-2 none where the customer struck openid out", func(t *testing.T) {
		got, id := redeem(t, func(url.Values) {}, func(d *authz.Decision) { d.Scopes = []string{"accounts"} })
		if id != nil || got["scope"] != "accounts" || claimsOf(t, got["access_token"].(string))["scope"] != "accounts" {
			t.Errorf("%v", got)
		}
	})
	t.Run("OIDC-IT-7 OIDC-IT-8 OIDC-IT-12 nothing about how, if nothing is known", func(t *testing.T) {
		_, id := redeem(t, func(url.Values) {}, func(d *authz.Decision) { d.ACR, d.AMR = "", nil })
		for _, name := range []string{"acr", "amr"} {
			if v, ok := id[name]; ok {
				t.Errorf("%s is %v", name, v)
			}
		}
	})
	t.Run("OIDC-IT-8 one method is an array", func(t *testing.T) {
		_, id := redeem(t, func(url.Values) {}, func(d *authz.Decision) { d.AMR = []string{"hwk"} })
		if d := cmp.Diff([]any{"hwk"}, id["amr"]); d != "" {
			t.Error(d)
		}
	})
}

// TestSigningAlgorithms: a token is signed as the client registered, and never
// as some registry would have it.
func TestSigningAlgorithms(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.NewKeySet(
		token.PrivateKey{ID: "rs", Algorithm: "RS256", Signer: rsaKey()},
		token.PrivateKey{ID: "ps", Algorithm: "PS256", Signer: rsaKey()},
		token.PrivateKey{ID: "es", Algorithm: "ES256", Signer: newEC()},
		token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: ed},
	)
	if err != nil {
		t.Fatal(err)
	}
	for registered, want := range map[string]string{
		"": "ES256", "PS256": "PS256", "ES256": "ES256", "EdDSA": "EdDSA", "Ed25519": "Ed25519",
	} {
		t.Run("CONF-3 CONF-35 OIDC-IT-10 registered "+registered, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.IDTokenAlg = registered
			b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = keys })
			got := f.tokens(b)
			if h, _ := verified(t, got["id_token"].(string), keys); h["alg"] != want {
				t.Errorf("signed with %v, want %s", h["alg"], want)
			}
			if h, _ := verified(t, got["access_token"].(string), keys); h["alg"] != "ES256" {
				t.Errorf("the access token is signed with %v", h["alg"])
			}
		})
	}
	t.Run("CONF-3 only an RS256 key: an outage, and the code stands", func(t *testing.T) {
		rs, err := token.NewKeySet(token.PrivateKey{ID: "rs", Algorithm: "RS256", Signer: rsaKey()})
		if err != nil {
			t.Fatal(err)
		}
		f := keyClient("kakeibo")
		set := &hsm{KeySet: rs}
		b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = set })
		code := f.code(b)
		refusal(t, f.answer(b, f.authenticate(b, f.redeemable(code))), 503, "server_error")
		set.KeySet = serverKeys
		if !f.alive(b, code) {
			t.Error("the code was used up")
		}
	})
}

// An hsm is a key set whose signer, or connection, fails after a number of
// signatures.
type hsm struct {
	token.KeySet
	down   atomic.Bool
	signer bool         // whether it is the signer that fails
	spare  atomic.Int64 // signatures that still work
}

var errHSM = errors.New("hsm: session closed, slot 3")

func (h *hsm) SigningKey(ctx context.Context, alg string) (token.PrivateKey, error) {
	k, err := h.KeySet.SigningKey(ctx, alg)
	if !h.down.Load() || err != nil || h.spare.Add(-1) >= 0 {
		return k, err
	}
	if h.signer {
		k.Signer = brokenSigner{k.Signer}
		return k, nil
	}
	return token.PrivateKey{}, errHSM
}

type brokenSigner struct{ crypto.Signer }

func (brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errHSM }

// TestSignerFails: the HSM is away. Nobody gets a token, the client may try
// again, and what it holds is still good.
func TestSignerFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signer bool
		spare  int64
	}{{"no key", false, 0}, {"no signature", true, 0}, {"no signature for the ID token", true, 1}} {
		t.Run("RFC6749-5.2-3 "+tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			keys := &hsm{KeySet: serverKeys, signer: tt.signer}
			b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = keys })
			refresh := f.tokens(b)["refresh_token"].(string)
			code := f.code(b)
			requests := []url.Values{f.redeemable(code)}
			if tt.spare == 0 {
				requests = append(requests,
					url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}},
					url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
			}
			keys.down.Store(true)
			for _, v := range requests {
				keys.spare.Store(tt.spare)
				res := f.answer(b, f.authenticate(b, v))
				refusal(t, res, 503, "server_error")
				if strings.Contains(res.Body.String(), "slot") || strings.Contains(res.Body.String(), "description") {
					t.Errorf("the client is told %s", res.Body)
				}
				if e := b.lastEvent(); e.Kind != "request_failed" || !strings.Contains(e.Reason, "slot 3") {
					t.Errorf("event %+v", e)
				}
			}
			keys.down.Store(false)
			for _, v := range requests {
				if res := f.answer(b, f.authenticate(b, v)); res.Code != 200 {
					t.Errorf("%s when it is back: %d %s", v.Get("grant_type"), res.Code, res.Body)
				}
			}
		})
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
		b, code := approve(t, f, 100*time.Second+500*time.Millisecond, 0)
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

// TestResource: the one API may be named, once or twice.
func TestResource(t *testing.T) {
	t.Run("RFC8707-2-2 RFC8707-2.2-1 named twice", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := f.redeemable(f.code(b))
		v["resource"] = []string{resource, resource}
		status, got := f.token(b, v)
		if status != 200 || claimsOf(t, got["access_token"].(string))["aud"] != resource {
			t.Errorf("%d %v", status, got)
		}
	})
}

// TestCertificateBinding: whatever the client authenticates with, its token is
// good with the certificate of the token request alone.
func TestCertificateBinding(t *testing.T) {
	for _, f := range []*fintech{keyClient("kakeibo"), tlsClient("kakeibo"), selfSignedClient("kakeibo")} {
		t.Run("RFC8705-3-1 E2E-4 "+f.AuthMethod, func(t *testing.T) {
			thief := tlsClient("thief")
			b := newBank(t, clients(f, thief))
			access := f.tokens(b)["access_token"].(string)
			if err := f.check(b, access); err != nil {
				t.Error(err)
			}
			if err := thief.check(b, access); err == nil {
				t.Error("another client's certificate will do")
			}
		})
	}
	t.Run("E2E-5 the same key with a certificate issued anew", func(t *testing.T) {
		f := tlsClient("kakeibo")
		key := newEC()
		template := *f.chain[0]
		f.chain[0] = testCA.issue(&template, key)
		b := newBank(t, clients(f))
		access := f.tokens(b)["access_token"].(string)
		again := *f
		again.chain = append(f.chain[:0:0], testCA.issue(&template, key))
		if err := again.check(b, access); err == nil {
			t.Error("the API takes the token with another certificate")
		}
		if status, got := again.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}); status != 200 {
			t.Errorf("the client is not known by its new certificate: %d %v", status, got)
		}
	})
}

// TestWaits counts the round trips to the store that a request waits for, one
// after the other, by the time it takes with a store a second away.
func TestWaits(t *testing.T) {
	const latency = time.Second
	for _, f := range []*fintech{keyClient("kakeibo"), tlsClient("kakeibo"), selfSignedClient("kakeibo")} {
		replay := 1 // for the assertion's jti
		if f.AuthMethod != "private_key_jwt" {
			replay = 0
		}
		t.Run(f.AuthMethod, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank(t, clients(f), func(c *authz.Config) { c.Store = &storetest.Faulty{Store: c.Store, Latency: latency} })
				waits := func(step string, want int, do func()) {
					t.Helper()
					start := time.Now()
					do()
					if d := time.Since(start); d != time.Duration(want)*latency {
						t.Errorf("%s waits %v, want %d seconds", step, d, want)
					}
				}
				ok := func(v url.Values) map[string]any {
					t.Helper()
					status, got := f.token(b, v)
					if status != 200 {
						t.Errorf("%s: %d %v", v.Get("grant_type"), status, got)
					}
					return got
				}
				var uri, id, code, refresh string
				br := &browser{b: b}
				waits("PAR", 1, func() { uri = f.push(b, f.pushable()) })
				waits("authorize", 1, func() { id = br.begin(f, uri) })
				waits("a later page", 1, func() { br.resume(id) })
				waits("approve", 3, func() {
					w, err := br.finish(id, b.approval())
					if err != nil {
						t.Fatal(err)
					}
					code = location(t, w.Result()).Get("code")
				})
				waits("code", 2+replay, func() { refresh, _ = ok(f.redeemable(code))["refresh_token"].(string) })
				waits("refresh", 1+replay, func() { ok(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}) })
				waits("client_credentials", replay, func() { ok(url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}) })
				uri = f.push(b, f.pushable())
				id = br.begin(f, uri)
				waits("deny", 3, func() { br.finish(id, authz.Decision{Deny: authz.AccessDenied}) })
			})
		})
	}
}
