package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// A module is one of the OpenID Foundation's conformance tests for the FAPI
// 2.0 Security Profile, Final, by its id without the prefix
// fapi2-security-profile-final-. What it allows beyond what this library
// decided is not allowed here.
type module struct {
	id  string
	run func(*testing.T, *variant)
}

// TestConformance plays the tests against the bank as -config runs it, over
// TLS, for each kind of client and for both ways to deploy it.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, two := range map[string]bool{"two listeners": true, "one listener": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kinds := append(slices.Clone(everyMethod), kind{method: "private_key_jwt", dpop: true, openid: true}, kind{method: "tls_client_auth", dpop: true})
			for i := range kinds {
				kinds[i].openid = kinds[i].openid == two
			}
			for _, v := range conformanceBank(t, two, kinds, nil) {
				v.play(t, v.modules())
			}
		})
	}
}

// modules returns those that apply to clients of this kind.
func (v *variant) modules() []module {
	if v.advanced {
		return v.advancedModules()
	}
	modules := everyModule
	if v.openid {
		modules = slices.Concat(modules, openidModules)
	}
	if v.method == "private_key_jwt" {
		modules = slices.Concat(modules, assertionModules)
	}
	if v.signs {
		modules = slices.Concat(modules, signedModules)
	}
	return modules
}

func (v *variant) play(t *testing.T, modules []module) {
	t.Run(v.String(), func(t *testing.T) {
		for _, m := range modules {
			t.Run(m.id, func(t *testing.T) { m.run(t, v) })
		}
	})
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
			b := v.browser(t)
			f.begin(t, b, way{}, f.repeated())
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
		schemes := []string{"bEARER", "bearer", "BEARER"}
		if c.dpop {
			schemes = []string{"dPOP", "dpop", "DPOP"}
		}
		for _, scheme := range schemes {
			v.served(t, c, k.access, http.Header{"Authorization": {scheme + " " + k.access}})
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
		refusedWith(t, f.send(t, way{}), "400 invalid_request")
	}},
	{"plain-fapi-tolerate-unregistered-redirect-uri", func(t *testing.T, v *variant) {
		for _, c := range v.clients {
			for _, uri := range []string{"https://client.example/callback/x7", strings.Replace(c.redirect, "callback", "callback/x7", 1), c.redirect + "&x=7"} {
				f := v.flow(c)
				f.ask.Set("redirect_uri", uri)
				refusedWith(t, f.send(t, way{}), "400 invalid_request")
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
			refusedWith(t, f.send(t, way{}), "400 invalid_request")
		}
	}},
	{"ensure-response-type-code-idtoken-fails", func(t *testing.T, v *variant) {
		for _, kind := range []string{"code id_token", "id_token code", "token", "code token", "none"} {
			f := v.flow(v.clients[0])
			f.ask.Set("response_type", kind)
			refusedWith(t, f.send(t, way{}), "400 unsupported_response_type")
		}
	}},
	{"ensure-holder-of-key-required", func(t *testing.T, v *variant) {
		for _, c := range v.clients {
			f := v.flow(c)
			f.approve(t)
			unheld, want := c.unheld()
			endpoints := []string{v.token, v.doc["token_endpoint"].(string)}
			if c.dpop { // the second might ask for no certificate, which the method may need
				endpoints = endpoints[:1]
			}
			for _, endpoint := range endpoints {
				refusedWith(t, c.post(t, endpoint, f.redemption(), unheld), want)
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
		v.turnedAway(t, c, k.access)
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
			r := f.send(t, way{method: method})
			refusedWith(t, r, "405 invalid_request")
			if r.header.Get("Allow") != http.MethodPost {
				t.Errorf("%s: Allow %q", method, r.header.Get("Allow"))
			}
		}
	}},
	{"par-ensure-pkce-required", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Del("code_challenge")
		refusedWith(t, f.send(t, way{}), "400 invalid_request")
		f.ask.Del("code_challenge_method")
		refusedWith(t, f.send(t, way{}), "400 invalid_request")
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
		refusedWith(t, f.send(t, way{}), "400 invalid_request")
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
		want := "400 invalid_request"
		if v.signs {
			want = "400 invalid_request_object"
		}
		refusedWith(t, f.send(t, way{}), want)
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
		r := v.served(t, c2, k2.access, with)
		if name == "caller's interaction id" && r.header.Get("X-Fapi-Interaction-Id") != id {
			t.Errorf("x-fapi-interaction-id %q, want the caller's", r.header.Get("X-Fapi-Interaction-Id"))
		}
	}

	req := v.request(t, c2, "", nil)
	req.URL.RawQuery = url.Values{"access_token": {k2.access}}.Encode()
	if r := ask(t, c2.http, req); r.status != http.StatusBadRequest {
		t.Errorf("token in the URL: %d %s", r.status, r.body)
	}
	v.turnedAway(t, c1, k2.access)
	v.turnedAway(t, c2, k1.access)
	v.turnedAway(t, c2.without(), k2.access)
	if r := ask(t, c2.http, v.request(t, c2, "", nil)); r.status != http.StatusUnauthorized || strings.Contains(strings.Join(r.header.Values("WWW-Authenticate"), " "), "error") {
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
		v.served(t, c, k.access, nil)
		v.turnedAway(t, v.clients[1-i], k.access)
		unheld, want := c.unheld()
		refusedWith(t, c.post(t, v.token, form, unheld), want)
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
			c := c.withAnotherKey(t)
			again := flows[i].issued(t, c.post(t, v.token, form, way{}))
			if again.refresh != keys[i].refresh || again.access == keys[i].access {
				t.Error("the refresh token rotates, or the access token does not")
			}
			v.served(t, c, again.access, nil)
			v.turnedAway(t, v.clients[1-i], again.access)
		}
	}
	c := v.clients[0]
	refusedWith(t, v.clients[0].post(t, v.token, refresh(keys[1]), way{}), "400 invalid_grant")
	refusedWith(t, v.clients[1].post(t, v.token, refresh(keys[0]), way{}), "400 invalid_grant")
	if c.method == "private_key_jwt" {
		refusedWith(t, c.post(t, v.token, refresh(keys[0]), way{unproved: true}), "401 invalid_client")
	}
	unheld, want := c.unheld()
	refusedWith(t, c.post(t, v.token, refresh(keys[0]), unheld), want)
	flows[0].issued(t, c.post(t, v.token, refresh(keys[0]), way{})) // none of it did harm
}
