package authz_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// A module of the public conformance tests of FAPI 1.0 Advanced changes one
// thing about the request object of a flow, which then succeeds or is refused.
type module struct {
	name   string
	with   func(c m, now int64)
	beside func(v url.Values)
	sign   func(f *fintech, c m) string
	par    []string // the errors that PAR may answer; nil means that the flow succeeds
	want   func(t *testing.T, back url.Values, id map[string]any)
}

var fapi1Modules = []module{
	{name: "FAPI1-ADV-5.2.2-15 CT-10 ensure-request-object-with-multiple-aud-succeeds", with: setClaim("aud", []string{issuer, "https://other.example", "invalid"})},
	{name: "FAPI1-ADV-5.2.2.1-5 CT-2 ensure-authorization-request-without-state-success", with: drop("state"), want: func(t *testing.T, back url.Values, id map[string]any) {
		if back.Has("state") || id["s_hash"] != nil {
			t.Errorf("%v %v", back, id)
		}
	}},
	{name: "JAR-15 ensure-other-scope-order-succeeds", with: setClaim("scope", "accounts openid")},
	{name: "FAPI1-ADV-5.2.2-10 CT-4 ensure-different-nonce-inside-and-outside-request-object", beside: func(v url.Values) { v.Set("nonce", "outer") }, want: withNonce("n-0S6_WzA2Mj")},
	{name: "JAR-17 ensure-request-object-with-long-nonce", with: setClaim("nonce", strings.Repeat("n", 384)), want: withNonce(strings.Repeat("n", 384))},
	{name: "JAR-17 ensure-request-object-with-64-char-nonce-success", with: setClaim("nonce", strings.Repeat("N", 64)), want: withNonce(strings.Repeat("N", 64))},
	{name: "JAR-17 ensure-request-object-with-long-state", with: setClaim("state", strings.Repeat("s", 1000)), want: func(t *testing.T, back url.Values, _ map[string]any) {
		if back.Get("state") != strings.Repeat("s", 1000) {
			t.Errorf("state is %q", back.Get("state"))
		}
	}},
	{name: "FAPI1-ADV-5.2.2-0 CT-1 the second client's request", with: func(c m, now int64) {
		c["state"], c["nonce"], c["iat"] = strings.Repeat("0123456789abcdef", 8), strings.Repeat("a", 39)+"-._~", now
	}, want: withNonce(strings.Repeat("a", 39) + "-._~")},

	{name: "FAPI1-BASE-5.2.2-8 ensure-registered-redirect-uri", with: setClaim("redirect_uri", callback+"/x7Qz"), par: []string{"invalid_request", "invalid_request_object"}},
	{name: "FAPI1-BASE-5.2.2-9 ensure-redirect-uri-in-authorization-request", with: drop("redirect_uri"), par: []string{"invalid_request", "invalid_request_object"}},
	{name: "FAPI1-ADV-5.2.2-10 ensure-request-object-without-redirect-uri-fails", with: drop("redirect_uri"), beside: func(v url.Values) { v.Set("redirect_uri", callback) }, par: []string{"invalid_request", "invalid_request_object"}},
	{name: "FAPI1-ADV-5.2.2-13 CT-8 ensure-request-object-without-exp-fails", with: drop("exp"), par: []string{"invalid_request_object"}},
	{name: "FAPI1-ADV-5.2.2-17 CT-8 ensure-request-object-without-nbf-fails", with: drop("nbf"), par: []string{"invalid_request_object"}},
	{name: "FAPI1-ADV-5.2.2-10 CT-8 ensure-request-object-without-scope-fails", with: drop("scope"), par: []string{"invalid_request", "invalid_request_object"}},
	{name: "FAPI1-BASE-5.2.2.2-1 CT-9 ensure-request-object-without-nonce-fails", with: drop("nonce"), par: []string{"invalid_request", "invalid_request_object"}},
	{name: "FAPI1-ADV-5.2.2-13 EC-1 ensure-expired-request-object-fails", with: at("exp", -3600), par: []string{"invalid_request_object"}},
	{name: "FAPI1-ADV-5.2.2-15 EC-1 ensure-request-object-with-bad-aud-fails", with: setClaim("aud", "https://other.example"), par: []string{"invalid_request_object"}},
	{name: "FAPI1-ADV-5.2.2-13 EC-1 ensure-request-object-with-exp-over-60-fails", with: at("exp", 70*60), par: []string{"invalid_request_object"}},
	{name: "FAPI1-ADV-5.2.2-17 EC-1 ensure-request-object-with-nbf-over-60-fails", with: at("nbf", -70*60), par: []string{"invalid_request_object"}},
	{name: "FAPI1-ADV-8.6-1 EC-1 ensure-signed-request-object-with-RS256-fails", sign: func(f *fintech, c m) string {
		return jwt(m{"alg": "RS256", "kid": "ps"}, c, rsaKey())
	}, par: []string{"invalid_request_object"}},
	{name: "JAR-4 EC-1 ensure-request-object-with-invalid-signature-fails", sign: func(f *fintech, c m) string {
		signed := f.object(c)
		dot := strings.LastIndexByte(signed, '.') + 1
		return signed[:dot] + flip(signed[dot]) + signed[dot+1:]
	}, par: []string{"invalid_request_object"}},
	{name: "FAPI1-ADV-5.2.2-2 CT-6 EC-6 ensure-response-type-code-fails", with: func(c m, _ int64) { c["response_type"] = "code"; delete(c, "response_mode") },
		beside: func(v url.Values) { v.Set("response_type", "code") }, par: []string{"unsupported_response_type", "invalid_request", "unauthorized_client"}},
	{name: "FAPI1-ADV-5.2.2-2 CT-5 EC-7 ensure-response-mode-query", with: setClaim("response_mode", "query"), par: []string{"invalid_request"}},
	{name: "PAR-2.1-1 EC-2 a request_uri in the request object", with: setClaim("request_uri", "urn:x"), par: []string{"invalid_request_object"}},
}

func withNonce(nonce string) func(*testing.T, url.Values, map[string]any) {
	return func(t *testing.T, _ url.Values, id map[string]any) {
		if id["nonce"] != nonce {
			t.Errorf("nonce is %v", id["nonce"])
		}
	}
}

// TestFAPI1Modules drives those modules, by value and pushed, hybrid and JARM.
func TestFAPI1Modules(t *testing.T) {
	for _, mod := range fapi1Modules {
		for name, answer := range map[string]func(*fintech) *fintech{"hybrid": (*fintech).hybrid, "JARM": (*fintech).jarmed} {
			for _, pushed := range []bool{false, true} {
				t.Run(mod.name+", "+name+map[bool]string{true: ", pushed"}[pushed], func(t *testing.T) {
					mod.drive(t, answer(keyClient("kakeibo")), pushed)
				})
			}
		}
	}
}

func (mod module) drive(t *testing.T, f *fintech, pushed bool) {
	f.publishes(publicJWK(rsaKey().Public(), "ps", ""))
	b := newBank(t, clients(f), advanced)
	claims := f.asks(b, challenged(f.wants()))
	delete(claims, "jti")
	delete(claims, "iat")
	if mod.with != nil {
		mod.with(claims, b.clock.Now().Unix())
	}
	signed := f.object(claims)
	if mod.sign != nil {
		signed = mod.sign(f, claims)
	}
	v := f.beside(signed)
	if mod.beside != nil {
		mod.beside(v)
	}
	r := get(authorizeURL(v))
	if pushed {
		res := b.do(f.request("/par", f.authenticate(b, v)))
		got := object(t, res)
		if mod.par != nil {
			if res.StatusCode != 400 || !slices.Contains(mod.par, got["error"].(string)) {
				t.Errorf("PAR: %d %v, want one of %v", res.StatusCode, got, mod.par)
			}
			return
		}
		if res.StatusCode != 201 {
			t.Fatalf("PAR: %d %v %+v", res.StatusCode, got, b.lastEvent())
		}
		r = get(authorizeURL(url.Values{"client_id": {f.ID}, "request_uri": {got["request_uri"].(string)}}))
	} else if mod.par != nil { // every module takes a page
		if res := b.do(r); res.StatusCode != 400 || res.Header.Get("Location") != "" {
			t.Errorf("%d %s", res.StatusCode, res.Header.Get("Location"))
		}
		return
	}
	back := f.back(t, (&browser{b: b}).decideAt(r, b.approval()))
	status, got := f.token(b, f.redeemable(back.Get("code")))
	if status != 200 {
		t.Fatalf("token: %d %v %+v", status, got, b.lastEvent())
	}
	if mod.want != nil {
		id := signedClaims(t, got["id_token"].(string))
		if back.Has("id_token") {
			first := signedClaims(t, back.Get("id_token"))
			if first["nonce"] != id["nonce"] {
				t.Errorf("nonces %v, %v", first["nonce"], id["nonce"])
			}
			id = first
		}
		mod.want(t, back, id)
	}
}

// TestFAPI1TokenModules are the modules about the token endpoint and the API.
func TestFAPI1TokenModules(t *testing.T) {
	for _, method := range []func(string) *fintech{keyClient, tlsClient} {
		f, other := method("kakeibo").hybrid(), method("other").hybrid()
		b := newBank(t, clients(f, other), advanced)
		code := func(f *fintech) url.Values {
			r := f.byPush(b, challengedClaims(f.asks(b, f.wants())))
			return f.redeemable(f.back(t, (&browser{b: b}).decideAt(r, b.approval())).Get("code"))
		}
		bare := func(v url.Values) *http.Response {
			r := f.request("/token", f.authenticate(b, v))
			r.TLS.PeerCertificates = nil
			return b.do(r)
		}
		holderError := map[string][]string{"private_key_jwt": {"invalid_client", "invalid_grant", "invalid_request"}, "tls_client_auth": {"invalid_client", "invalid_request"}}[f.AuthMethod]
		name := ", " + f.AuthMethod

		t.Run("FAPI1-ADV-5.2.2-5 CT-20 EC-15 ensure-mtls-holder-of-key-required"+name, func(t *testing.T) {
			res := bare(code(f))
			if got := object(t, res); res.StatusCode != 400 && (res.StatusCode != 401 || got["error"] != "invalid_client") || !slices.Contains(holderError, got["error"].(string)) {
				t.Errorf("%d %v", res.StatusCode, got)
			}
		})
		t.Run("TOK-2 CT-17 ensure-authorization-code-is-bound-to-client"+name, func(t *testing.T) {
			if status, got := other.token(b, code(f)); status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("%d %v", status, got)
			}
		})
		t.Run("FAPI1-BASE-5.2.2-13 TOK-4 EC-14 attempt-reuse-authorisation-code-after-one-second"+name, func(t *testing.T) {
			v := code(f)
			_, first := f.token(b, v)
			b.clock.Advance(time.Second)
			if status, got := f.token(b, v); status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("%d %v", status, got)
			}
			if f.check(b, first["access_token"].(string)) == nil {
				t.Error("the first access token still works")
			}
		})
		t.Run("PKCE-4 EC-14 ensure-pkce-code-verifier-required"+name, func(t *testing.T) {
			v := code(f)
			v.Del("code_verifier")
			if status, got := f.token(b, v); status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("%d %v", status, got)
			}
		})
		t.Run("PKCE-2 EC-14 incorrect-pkce-code-verifier-rejected"+name, func(t *testing.T) {
			if status, got := f.token(b, changed(code(f), "code_verifier", verifier+"x")); status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("%d %v", status, got)
			}
		})
		t.Run("TOK-8 TOK-10 TOK-12 EC-16 CT-21 refresh-token"+name, func(t *testing.T) {
			_, mine := f.token(b, code(f))
			_, theirs := other.token(b, code(other))
			refresh := func(got map[string]any) url.Values {
				return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
			}
			if status, got := f.token(b, with(refresh(mine), "scope", "openid accounts")); status != 200 || got["token_type"] != "Bearer" {
				t.Errorf("%d %v", status, got)
			}
			if status, got := other.token(b, refresh(theirs)); status != 200 {
				t.Errorf("%d %v", status, got)
			}
			if res := bare(refresh(mine)); res.StatusCode != 400 && res.StatusCode != 401 {
				t.Errorf("without certificate: %d", res.StatusCode)
			}
			if status, got := f.token(b, refresh(theirs)); status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("a foreign refresh token: %d %v", status, got)
			}
			if f.check(b, theirs["access_token"].(string)) == nil {
				t.Error("FAPI1-ADV-6.2.1-2: another's access token works")
			}
		})
	}

	f := keyClient("kakeibo").hybrid()
	f.publishes(publicJWK(rsaKey().Public(), "ps", ""))
	b := newBank(t, clients(f), advanced)
	assertion := func(path string, with func(c m, now int64)) *http.Response {
		v := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}
		if path == "/par" {
			v = url.Values{"request": {f.object(challengedClaims(f.asks(b, f.wants())))}}
		}
		v = f.authenticate(b, v)
		claims := f.assertion(b)
		with(claims, b.clock.Now().Unix())
		v.Set("client_assertion", f.signed(claims))
		return b.do(f.request(path, v))
	}
	for _, path := range []string{"/par", "/token"} {
		for _, tt := range []struct {
			name string
			with func(m, int64)
			ok   bool
		}{
			{"CA-4 CT-12 EC-11 ensure-client-assertion-with-exp-is-5-minutes-in-past-fails", at("exp", -300), false},
			{"CA-3 CT-12 EC-11 ensure-client-assertion-with-wrong-aud-fails", setClaim("aud", "https://other.example/token"), false},
			{"CA-2 CT-12 EC-11 ensure-client-assertion-with-wrong-iss-fails", setClaim("iss", "other"), false},
			{"CA-2 CT-12 EC-11 ensure-client-assertion-with-no-sub-fails", drop("sub"), false},
			{"CA-3 CT-14 ensure-client-assertion-with-iss-aud-succeeds", func(m, int64) {}, true},
			{"PAR-2-3 par-test-pushed-authorization-url-as-audience-for-client-JWT-assertion", setClaim("aud", issuer+"/par"), true},
			{"PAR-2-3 par-token-endpoint-url-as-audience-for-client-JWT-assertion", setClaim("aud", issuer+"/token"), true},
			{"CA-3 CT-15 test-array-as-audience-for-client-JWT-assertion", setClaim("aud", []string{issuer, issuer + "/token"}), true},
		} {
			t.Run(tt.name+" at "+path, func(t *testing.T) {
				res := assertion(path, tt.with)
				got := object(t, res)
				if ok := res.StatusCode == 201 || got["error"] == "invalid_grant"; ok != tt.ok || !ok && (res.StatusCode != 401 || got["error"] != "invalid_client") {
					t.Errorf("%d %v", res.StatusCode, got)
				}
			})
		}
	}
	t.Run("CA-7 CT-11 FAPI1-ADV-8.6-1 ensure-signed-client-assertion-with-RS256-fails", func(t *testing.T) {
		v := f.authenticate(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}})
		v.Set("client_assertion", jwt(m{"alg": "RS256", "kid": "ps"}, f.assertion(b), rsaKey()))
		refused(t, b.do(f.request("/token", v)), 401, "invalid_client")
	})
	t.Run("CA-1 CT-13 ensure-client-assertion-in-token-endpoint", func(t *testing.T) {
		refused(t, b.do(f.request("/token", url.Values{"client_id": {f.ID}, "grant_type": {"refresh_token"}, "refresh_token": {"x"}})), 401, "invalid_client")
	})
	t.Run("FAPI1-BASE-5.2.2-19 CA-9 CT-16 EC-17 the client_id of another", func(t *testing.T) {
		v := f.authenticate(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}})
		v.Set("client_id", "other")
		refused(t, b.do(f.request("/token", v)), 401, "invalid_client")
	})
	t.Run("JAR-7 CA-2 a request object is no client assertion", func(t *testing.T) {
		v := f.authenticate(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}})
		v.Set("client_assertion", jwt(m{"alg": f.alg, "kid": f.kid}, f.asks(b, f.wants()), f.key))
		refused(t, b.do(f.request("/token", v)), 401, "invalid_client")
	})
	t.Run("TOK-6 implicit is no grant_type", func(t *testing.T) {
		refused(t, b.do(f.request("/token", f.authenticate(b, url.Values{"grant_type": {"implicit"}}))), 400, "unsupported_grant_type")
	})
}

// TestFAPI1PARModules are the modules about pushed requests.
func TestFAPI1PARModules(t *testing.T) {
	f, other := keyClient("kakeibo").hybrid(), keyClient("other").hybrid()
	b := newBank(t, clients(f, other), advanced)
	good := func() m { return challengedClaims(f.asks(b, f.wants())) }
	t.Run("PAR-4-3 D-8 par-ensure-reused-request-uri-prior-to-auth-completion-succeeds", func(t *testing.T) {
		r, br := f.byPush(b, good()), &browser{b: b}
		br.shows(get(r.URL.String()))
		if f.back(t, br.decideAt(get(r.URL.String()), b.approval())).Get("code") == "" {
			t.Error("no code")
		}
	})
	t.Run("PAR-4-3 EC-13 par-attempt-reuse-request_uri", func(t *testing.T) {
		r, br := f.byPush(b, good()), &browser{b: b}
		br.decideAt(get(r.URL.String()), b.approval())
		pageFor(t, b, br.do(get(r.URL.String())), "invalid_request_uri", "RFC9126-4-3")
	})
	t.Run("PAR-4-2 EC-13 an expired request_uri", func(t *testing.T) {
		r := f.byPush(b, good())
		b.clock.Advance(90 * time.Second)
		pageFor(t, b, b.do(r), "invalid_request_uri", "RFC9126-4-3")
	})
	t.Run("PAR-2.2-3 EC-13 a request_uri of another client", func(t *testing.T) {
		r := f.byPush(b, good())
		pageFor(t, b, b.do(get(strings.Replace(r.URL.String(), "kakeibo", "other", 1))), "invalid_request_uri", "RFC9126-2.2-4")
	})
	t.Run("PAR-2-1 EC-12 par-attempt-invalid-http-method", func(t *testing.T) {
		for _, method := range []string{"PUT", "GET"} {
			refused(t, b.do(httptest.NewRequest(method, issuer+"/par", nil)), 405, "invalid_request")
		}
	})
	for name, with := range map[string]func(m){
		"FAPI1-ADV-5.2.2-18 EC-8 par-ensure-pkce-required":                   func(c m) { delete(c, "code_challenge"); delete(c, "code_challenge_method") },
		"FAPI1-ADV-5.2.2-18 FAPI1-BASE-5.2.2-7 EC-8 par-plain-pkce-rejected": func(c m) { c["code_challenge_method"] = "plain" },
		"PAR-2.1-2 PAR-2.4 EC-5 par-attempt-invalid-redirect_uri":            func(c m) { c["redirect_uri"] = "https://evil.example/cb" },
	} {
		t.Run(name, func(t *testing.T) {
			claims := good()
			with(claims)
			refused(t, b.do(f.pushing(b, f.object(claims))), 400, "invalid_request")
		})
	}
	t.Run("PAR-2.1-1 EC-3 request_uri in the form", func(t *testing.T) {
		v := f.authenticate(b, url.Values{"request": {f.object(good())}, "request_uri": {"urn:x"}})
		refused(t, b.do(f.request("/par", v)), 400, "invalid_request")
	})
	t.Run("PAR-4-1 par-without-duplicate-parameters", func(t *testing.T) {
		if res := b.do(f.byPush(b, good())); res.StatusCode != 200 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("PAR-4-1 all parameters once more beside request_uri", func(t *testing.T) {
		r := f.byPush(b, good())
		if res := b.do(get(r.URL.String() + "&" + changed(f.wants(), "nonce", "outer").Encode())); res.StatusCode != 200 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("JAR-2 PAR-3-1 no client_id in the form beside an assertion", func(t *testing.T) {
		v := f.authenticate(b, url.Values{"request": {f.object(good())}})
		v.Del("client_id")
		if res := b.do(f.request("/par", v)); res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("PAR-2.2-1 PAR-2.2-2 the answer", func(t *testing.T) {
		got := object(t, b.do(f.pushing(b, f.object(good()))))
		if uri := got["request_uri"].(string); !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || got["expires_in"] != exactly(90) {
			t.Errorf("%v", got)
		}
	})
	t.Run("CT-19 user-rejects-authentication", func(t *testing.T) {
		for _, f := range []*fintech{f, keyClient("jarm").jarmed()} {
			f.RedirectURIs = []string{callback + "?dummy1=lorem"}
			b := newBank(t, clients(f), advanced)
			res := (&browser{b: b}).decideAt(f.byPush(b, challengedClaims(f.asks(b, f.wants()))), authz.Decision{Deny: authz.AccessDenied})
			if to := res.Header.Get("Location"); !strings.HasPrefix(to, callback+"?dummy1=lorem") || f.ResponseTypes[0] == "code" && !strings.Contains(to, "&response=") {
				t.Errorf("Location is %s", to)
			}
		}
	})
}
