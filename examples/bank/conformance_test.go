package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// A module is one of the OpenID Foundation's conformance tests for the FAPI
// 2.0 Security Profile, Final, by its id without the prefix
// fapi2-security-profile-final-. What it allows beyond what this library
// decided is not allowed here.
type module struct {
	id  string
	run func(*testing.T, *variant)
}

// TestConformance plays the tests for certificate-bound tokens against the
// bank as -config runs it, over TLS, for each kind of client and for both
// ways to deploy it.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, deployment := range []struct {
		name   string
		two    bool
		openid map[string]bool // by client authentication method
	}{
		{"two listeners", true, map[string]bool{"private_key_jwt": true, "tls_client_auth": false, "self_signed_tls_client_auth": true}},
		{"one listener", false, map[string]bool{"private_key_jwt": false, "tls_client_auth": true, "self_signed_tls_client_auth": false}},
	} {
		t.Run(deployment.name, func(t *testing.T) {
			l, testers := conformanceBank(t, deployment.two)
			for method, openid := range deployment.openid {
				v := &variant{lab: l, openid: openid, clients: testers[method]}
				v.discover(t)
				modules := everyModule
				name := method + ", plain OAuth"
				if openid {
					modules = slices.Concat(modules, openidModules)
					name = method + ", OpenID Connect"
				}
				if method == "private_key_jwt" {
					modules = slices.Concat(modules, assertionModules)
				}
				t.Run(name, func(t *testing.T) {
					for _, m := range modules {
						t.Run(m.id, func(t *testing.T) { m.run(t, v) })
					}
				})
			}
		})
	}
}

// everyModule applies to every kind of client.
var everyModule = []module{
	{"discovery-end-point-verification", discoveryVerification},
	{"happy-flow", happyFlow},
	{"client-credentials/happy-flow", clientCredentials},
	{"user-rejects-authentication", func(t *testing.T, v *variant) {
		for _, c := range v.clients {
			f := v.flow(c)
			f.ask.Set("state", strings.Repeat("s", 128))
			f.push(t)
			b := v.browser(t)
			b.get(t, f.address(f.repeated()))
			if q := f.decide(t, b, "deny"); q.Get("error") != "access_denied" {
				t.Errorf("rejected: %v", q)
			}
		}
	}},
	{"ensure-authorization-request-without-state-success", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Del("state")
		f.complete(t)
	}},
	{"access-token-type-header-case-sensitivity", func(t *testing.T, v *variant) {
		c := v.clients[0]
		k := v.flow(c).complete(t)
		for _, scheme := range []string{"bEARER", "bearer", "BEARER"} {
			v.served(t, c.http, k.access, http.Header{"Authorization": {scheme + " " + k.access}})
		}
	}},
	{"ensure-authorization-request-with-long-state", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("state", strings.Repeat("0123456789", 100))
		f.complete(t)
	}},
	{"ensure-request-object-without-redirect-uri-fails", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Del("redirect_uri")
		refusedWith(t, f.c.post(t, v.par, f.ask, way{}), "400 invalid_request")
	}},
	{"plain-fapi-tolerate-unregistered-redirect-uri", func(t *testing.T, v *variant) {
		for _, c := range v.clients {
			for _, uri := range []string{"https://client.example/callback/x7", strings.Replace(c.redirect, "callback", "callback/x7", 1), c.redirect + "&x=7"} {
				f := v.flow(c)
				f.ask.Set("redirect_uri", uri)
				refusedWith(t, c.post(t, v.par, f.ask, way{}), "400 invalid_request")
			}
		}
	}},
	{"ensure-unsigned-authorization-request-without-using-par-fails", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		b := v.browser(t)
		b.get(t, v.doc["authorization_endpoint"].(string)+"?"+f.ask.Encode())
		wantErrorPage(t, b, "invalid_request")
	}},
	{"ensure-redirect-uri-in-authorization-request", func(t *testing.T, v *variant) {
		for _, empty := range []bool{false, true} {
			f := v.flow(v.clients[1])
			f.ask.Del("redirect_uri")
			if empty {
				f.ask.Set("redirect_uri", "")
			}
			refusedWith(t, f.c.post(t, v.par, f.ask, way{}), "400 invalid_request")
		}
	}},
	{"ensure-response-type-code-idtoken-fails", func(t *testing.T, v *variant) {
		for _, kind := range []string{"code id_token", "id_token code", "token", "code token", "none"} {
			f := v.flow(v.clients[0])
			f.ask.Set("response_type", kind)
			refusedWith(t, f.c.post(t, v.par, f.ask, way{}), "400 unsupported_response_type")
		}
	}},
	{"ensure-holder-of-key-required", func(t *testing.T, v *variant) {
		for _, c := range v.clients {
			f := v.flow(c)
			f.approve(t)
			want := "401 invalid_client"
			if c.method == "private_key_jwt" {
				want = "400 invalid_request"
			}
			for _, endpoint := range []string{v.token, v.doc["token_endpoint"].(string)} {
				refusedWith(t, c.post(t, endpoint, f.redemption(), way{naked: true}), want)
			}
			f.redeem(t) // whoever forgot the certificate has lost nothing
		}
	}},
	{"ensure-authorization-code-is-bound-to-client", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.approve(t)
		refusedWith(t, v.clients[1].post(t, v.token, f.redemption(), way{}), "400 invalid_grant")
		f.redeem(t)
	}},
	{"attempt-reuse-authorization-code-after-one-second", func(t *testing.T, v *variant) {
		c := v.clients[0]
		f := v.flow(c)
		k := f.complete(t)
		refusedWith(t, c.post(t, v.token, f.redemption(), way{}), "400 invalid_grant")
		v.turnedAway(t, c.http, k.access)
		refusedWith(t, c.post(t, v.token, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}}, way{}), "400 invalid_grant")
	}},
	{"refresh-token", refreshToken},
	{"par-ensure-reused-request-uri-prior-to-auth-completion-succeeds", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.push(t)
		b := v.browser(t)
		v.browser(t).get(t, f.address(nil)) // a link preview
		b.get(t, f.address(nil))
		b.get(t, f.address(nil))
		f.approved(t, b)
		f.redeem(t)
	}},
	{"par-attempt-reuse-request_uri", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.complete(t)
		b := v.browser(t)
		b.get(t, f.address(f.repeated()))
		wantErrorPage(t, b, "invalid_request_uri")
	}},
	{"par-attempt-invalid-http-method", func(t *testing.T, v *variant) {
		for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodDelete} {
			f := v.flow(v.clients[0])
			r := f.c.post(t, v.par, f.ask, way{method: method})
			refusedWith(t, r, "405 invalid_request")
			if r.header.Get("Allow") != http.MethodPost {
				t.Errorf("%s: Allow %q", method, r.header.Get("Allow"))
			}
		}
	}},
	{"par-ensure-pkce-required", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Del("code_challenge")
		refusedWith(t, f.c.post(t, v.par, f.ask, way{}), "400 invalid_request")
		f.ask.Del("code_challenge_method")
		refusedWith(t, f.c.post(t, v.par, f.ask, way{}), "400 invalid_request")
	}},
	{"ensure-pkce-code-verifier-required", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.approve(t)
		form := f.redemption()
		form.Del("code_verifier")
		refusedWith(t, f.c.post(t, v.token, form, way{}), "400 invalid_grant")
	}},
	{"incorrect-pkce-code-verifier-rejected", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.approve(t)
		form := f.redemption()
		form.Set("code_verifier", randomText())
		refusedWith(t, f.c.post(t, v.token, form, way{}), "400 invalid_grant")
	}},
	{"par-plain-pkce-rejected", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("code_challenge_method", "plain")
		f.ask.Set("code_challenge", f.verifier)
		refusedWith(t, f.c.post(t, v.par, f.ask, way{}), "400 invalid_request")
	}},
	{"par-without-duplicate-parameters", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.push(t)
		b := v.browser(t)
		b.get(t, f.address(nil))
		f.approved(t, b)
		f.redeem(t)
	}},

	// Not modules of their own, but what the tests look for all the same.
	{"CT-AS-18 client_id of another client", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.approve(t)
		impostor := *v.clients[0]
		impostor.id = v.clients[1].id
		refusedWith(t, impostor.post(t, v.token, f.redemption(), way{}), "401 invalid_client")
	}},
	{"CT-AS-32 request_uri of another client", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.push(t)
		f.c = v.clients[1]
		b := v.browser(t)
		b.get(t, f.address(nil))
		wantErrorPage(t, b, "invalid_request_uri")
	}},
	{"CT-AS-33 request_uri pushed", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("request_uri", "https://client.example/request.jwt")
		refusedWith(t, f.c.post(t, v.par, f.ask, way{}), "400 invalid_request")
	}},
	{"CT-AS-54 CORS", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.push(t)
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			req, err := http.NewRequestWithContext(t.Context(), method, f.address(nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", "https://client.example")
			req.Header.Set("Access-Control-Request-Method", http.MethodGet)
			for name := range ask(t, f.c.naked, req).header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: the answer has %s", method, name)
				}
			}
		}
	}},
}

// openidModules applies where the clients ask for ID tokens.
var openidModules = []module{
	{"ensure-authorization-request-without-nonce-success", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Del("nonce")
		f.complete(t)
	}},
	{"ensure-authorization-request-with-64-char-nonce-success", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("nonce", strings.Repeat("Nn0", 20)+"-._~")
		f.complete(t)
	}},
	{"ensure-other-scope-order-succeeds", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("scope", "transactions accounts openid")
		f.complete(t)
	}},
	{"test-claims-parameter-identity-claims", func(t *testing.T, v *variant) {
		if v.doc["claims_parameter_supported"] != false { // the tests skip it for that
			t.Errorf("claims_parameter_supported is %v", v.doc["claims_parameter_supported"])
		}
		f := v.flow(v.clients[0])
		f.ask.Set("claims", `{"id_token":{"name":null},"userinfo":{"name":{"essential":true}},"x7":{"y":null}}`)
		f.complete(t)
	}},
	{"ensure-different-nonce-inside-and-outside-request-object", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.push(t)
		b := v.browser(t)
		more := f.repeated()
		more.Set("nonce", "another")
		more.Set("state", "another")
		b.get(t, f.address(more))
		f.approved(t, b)
		f.redeem(t)
	}},
	{"ensure-authorization-request-with-long-nonce", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("nonce", strings.Repeat("0123456789ab", 32))
		f.complete(t)
	}},
}

// assertionModules applies to clients that authenticate by private_key_jwt.
var assertionModules = []module{
	{"ensure-signed-client-assertion-with-RS256-fails", badAssertion(func(v *variant, header, _ map[string]any) { header["alg"] = "RS256" })},
	{"ensure-client-assertion-in-token-endpoint", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.approve(t)
		refusedWith(t, f.c.post(t, v.token, f.redemption(), way{unproved: true}), "401 invalid_client")
		f.redeem(t)
	}},
	{"ensure-client-assertion-with-exp-is-5-minutes-in-past-fails", badAssertion(func(_ *variant, _, claims map[string]any) {
		claims["exp"] = time.Now().Add(-5 * time.Minute).Unix()
	})},
	{"ensure-client-assertion-with-wrong-aud-fails", badAssertion(func(_ *variant, _, claims map[string]any) {
		claims["aud"] = "https://other.bank.example"
	})},
	{"par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.pushed(t, f.c.post(t, v.par, f.ask, way{assertion: func(_, claims map[string]any) {
			claims["nbf"] = time.Now().Add(8 * time.Second).Unix()
			claims["iat"] = claims["nbf"]
		}}))
		b := v.browser(t)
		b.get(t, f.address(f.repeated()))
		f.approved(t, b)
		f.redeem(t)
	}},
	{"par-test-array-as-audience-fails", badAssertion(func(v *variant, _, claims map[string]any) {
		claims["aud"] = []string{v.issuer, v.token}
	})},
	{"par-test-par-endpoint-url-as-audience-fails", badAssertion(func(v *variant, _, claims map[string]any) { claims["aud"] = v.par })},
	{"happy-flow/pushed where no certificate is asked for", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[1])
		ordinary, _ := v.doc["pushed_authorization_request_endpoint"].(string)
		f.pushed(t, f.c.post(t, ordinary, f.ask, way{naked: true}))
		b := v.browser(t)
		b.get(t, f.address(nil))
		f.approved(t, b)
		f.redeem(t)
	}},
	{"CT-AS-25 array of one", badAssertion(func(v *variant, _, claims map[string]any) { claims["aud"] = []string{v.issuer} })},
	{"CT-AS-25 token endpoint as audience", badAssertion(func(v *variant, _, claims map[string]any) { claims["aud"] = v.doc["token_endpoint"] })},
	{"CT-AS-25 alias of the token endpoint as audience", badAssertion(func(v *variant, _, claims map[string]any) { claims["aud"] = v.token })},
	{"CT-AS-26 no sub", badAssertion(func(_ *variant, _, claims map[string]any) { delete(claims, "sub") })},
	{"CT-AS-28 nbf a minute ahead", badAssertion(func(_ *variant, _, claims map[string]any) {
		claims["nbf"] = time.Now().Add(65 * time.Second).Unix()
		claims["exp"] = time.Now().Add(2 * time.Minute).Unix()
	})},
	{"CT-AS-28 iat a minute ahead", badAssertion(func(_ *variant, _, claims map[string]any) {
		claims["iat"] = time.Now().Add(65 * time.Second).Unix()
		claims["exp"] = time.Now().Add(2 * time.Minute).Unix()
	})},
}

// badAssertion is a module that breaks the assertion in one way, at both
// endpoints that take one.
func badAssertion(change func(v *variant, header, claims map[string]any)) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		bad := way{assertion: func(header, claims map[string]any) { change(v, header, claims) }}
		refusedWith(t, f.c.post(t, v.par, f.ask, bad), "401 invalid_client")
		f.approve(t)
		refusedWith(t, f.c.post(t, v.token, f.redemption(), bad), "401 invalid_client")
		f.redeem(t)
	}
}

// happyFlow takes both clients through everything, and looks at the resource
// from all sides.
func happyFlow(t *testing.T, v *variant) {
	c1, c2 := v.clients[0], v.clients[1]
	k1, k2 := v.flow(c1).complete(t), v.flow(c2).complete(t)

	const id = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"
	for name, with := range map[string]http.Header{
		"caller's interaction id": {"X-Fapi-Interaction-Id": {id}},
		"IPv4 customer":           {"X-Fapi-Auth-Date": {"Tue, 11 Sep 2012 19:43:31 UTC"}, "X-Fapi-Customer-Ip-Address": {"198.51.100.119"}},
		"IPv6 customer":           {"X-Fapi-Customer-Ip-Address": {"2001:db8::1893:25c8:1946"}},
		"charset":                 {"Accept": {"application/json;charset=UTF-8"}},
		"sloppy Accept":           {"Accept": {"application/json, application*"}},
	} {
		r := v.served(t, c2.http, k2.access, with)
		if name == "caller's interaction id" && r.header.Get("X-Fapi-Interaction-Id") != id {
			t.Errorf("x-fapi-interaction-id %q, want the caller's", r.header.Get("X-Fapi-Interaction-Id"))
		}
	}

	req := v.request(t, "", nil)
	req.URL.RawQuery = url.Values{"access_token": {k2.access}}.Encode()
	if r := ask(t, c2.http, req); r.status != http.StatusBadRequest {
		t.Errorf("token in the URL: %d %s", r.status, r.body)
	}
	v.turnedAway(t, c1.http, k2.access)
	v.turnedAway(t, c2.http, k1.access)
	v.turnedAway(t, c2.naked, k2.access)
	if r := ask(t, c2.http, v.request(t, "", nil)); r.status != http.StatusUnauthorized || strings.Contains(strings.Join(r.header.Values("WWW-Authenticate"), " "), "error") {
		t.Errorf("no token: %d %v", r.status, r.header)
	}
}

// clientCredentials is the happy flow of the profile without customers.
func clientCredentials(t *testing.T, v *variant) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}
	for i, c := range v.clients {
		f := v.flow(c)
		k := f.issued(t, c.post(t, v.token, form, way{}))
		if k.refresh != "" || k.id != nil {
			t.Error("a refresh token or an ID token without a customer")
		}
		v.served(t, c.http, k.access, nil)
		v.turnedAway(t, v.clients[1-i].http, k.access)
		want := "401 invalid_client"
		if c.method == "private_key_jwt" {
			want = "400 invalid_request"
		}
		refusedWith(t, c.post(t, v.token, form, way{naked: true}), want)
	}
}

// refreshToken has both clients refresh, in the right way and in every wrong
// one.
func refreshToken(t *testing.T, v *variant) {
	var flows [2]*flow
	var keys [2]issuedKey
	refresh := func(k issuedKey) url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}}
	}
	for i, c := range v.clients {
		flows[i] = v.flow(c)
		keys[i] = flows[i].complete(t)
		form := refresh(keys[i])
		if i == 0 {
			form.Set("scope", flows[i].ask.Get("scope"))
		}
		for range 2 { // it does not rotate: the same one works again
			again := flows[i].issued(t, c.post(t, v.token, form, way{}))
			if again.refresh != keys[i].refresh || again.access == keys[i].access {
				t.Error("the refresh token rotates, or the access token does not")
			}
			v.served(t, c.http, again.access, nil)
			v.turnedAway(t, v.clients[1-i].http, again.access)
		}
	}
	c := v.clients[0]
	refusedWith(t, v.clients[0].post(t, v.token, refresh(keys[1]), way{}), "400 invalid_grant")
	refusedWith(t, v.clients[1].post(t, v.token, refresh(keys[0]), way{}), "400 invalid_grant")
	if c.method == "private_key_jwt" {
		refusedWith(t, c.post(t, v.token, refresh(keys[0]), way{unproved: true}), "401 invalid_client")
		refusedWith(t, c.post(t, v.token, refresh(keys[0]), way{naked: true}), "400 invalid_request")
	} else {
		refusedWith(t, c.post(t, v.token, refresh(keys[0]), way{naked: true}), "401 invalid_client")
	}
	flows[0].issued(t, c.post(t, v.token, refresh(keys[0]), way{})) // none of it did harm
}
