package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// advancedModules returns the modules of FAPI 1.0 Advanced for clients of this
// kind, by their ids without the prefix fapi1-advanced-final-.
func (v *variant) advancedModules() []module {
	modules := advancedEverywhere
	if v.byValue {
		modules = slices.Concat(modules, advancedByValue)
	} else {
		modules = slices.Concat(modules, advancedPushed)
	}
	if v.method == "private_key_jwt" {
		modules = slices.Concat(modules, advancedAssertions)
		if !v.byValue {
			modules = slices.Concat(modules, advancedPushedAssertions)
		}
	}
	return modules
}

// asFAPI2 is what a module of FAPI 2.0 does, where that of FAPI 1.0 is the same.
func asFAPI2(id string) func(*testing.T, *variant) {
	i := slices.IndexFunc(everyModule, func(m module) bool { return m.id == id })
	return everyModule[i].run
}

// advancedEverywhere applies to every kind of client.
var advancedEverywhere = []module{
	{"discovery-end-point-verification FAPI1-BASE-5.2.2-22 FAPI1-ADV-5.2.2-6 FAPI1-ADV-5.2.2-14 CT-27", advancedDiscovery},
	{"fapi1-advanced-final FAPI1-ADV-5.2.2-0 FAPI1-ADV-5.2.2.1-2 FAPI1-ADV-5.2.2.1-4 FAPI1-ADV-5.2.2.1-5 FAPI1-ADV-5.2.2.2-1 CT-1", happyFlow},
	{"the resource server", advancedResource},
	{"user-rejects-authentication CT-19 CT-23 CT-24 EC-19", asFAPI2("user-rejects-authentication")},
	{"ensure-request-object-with-multiple-aud-succeeds FAPI1-ADV-5.2.2-15 CT-10", goodObject(func(v *variant, _, claims map[string]any) {
		claims["aud"] = []string{v.issuer, "https://other1.example.com", "invalid"}
	})},
	{"ensure-authorization-request-without-state-success FAPI1-ADV-5.2.2.1-5 CT-2", asFAPI2("ensure-authorization-request-without-state-success")},
	{"ensure-authorization-request-without-state-success CT-3 a state outside alone", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		more := f.repeated()
		more.Set("state", f.ask.Get("state"))
		f.ask.Del("state")
		b := v.browser(t)
		f.begin(t, b, way{}, more)
		f.approved(t, b)
		f.redeem(t)
	}},
	{"ensure-other-scope-order-succeeds JAR-15", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("scope", "transactions accounts openid")
		f.complete(t)
	}},
	{"access-token-type-header-case-sensitivity FAPI1-BASE-6.2.1-2 CT-22", asFAPI2("access-token-type-header-case-sensitivity")},
	{"ensure-different-nonce-inside-and-outside-request-object FAPI1-ADV-5.2.2-10 CT-4", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		more := f.repeated()
		more.Set("nonce", "another")
		more.Set("state", "another")
		b := v.browser(t)
		f.begin(t, b, way{}, more)
		f.approved(t, b)
		f.redeem(t)
	}},
	{"ensure-registered-redirect-uri FAPI1-BASE-5.2.2-8 FAPI1-BASE-5.2.2-10 EC-5", func(t *testing.T, v *variant) {
		for _, c := range v.clients {
			for _, uri := range []string{strings.Replace(c.redirect, "callback", "callback/x7", 1), c.redirect + "&x=7", strings.Replace(c.redirect, "client", "CLIENT", 1)} {
				f := v.flow(c)
				f.ask.Set("redirect_uri", uri)
				f.refusedWith(t, way{}, f.repeated(), "invalid_request")
			}
		}
	}},
	{"ensure-request-object-with-long-nonce", withNonce(strings.Repeat("0123456789ab", 32))},
	{"ensure-request-object-with-64-char-nonce-success", withNonce(strings.Repeat("Nn0", 20) + "-._~")},
	{"ensure-request-object-with-long-state", asFAPI2("ensure-authorization-request-with-long-state")},
	{"ensure-request-object-without-exp-fails FAPI1-ADV-5.2.2-13 CT-8 EC-1", refusedClaims(func(_ *variant, claims map[string]any) { delete(claims, "exp") })},
	{"ensure-request-object-without-nbf-fails FAPI1-ADV-5.2.2-17 CT-8 EC-1", refusedClaims(func(_ *variant, claims map[string]any) { delete(claims, "nbf") })},
	{"ensure-request-object-without-scope-fails FAPI1-ADV-5.2.2-10 CT-8 EC-4", without("scope")},
	{"ensure-request-object-without-redirect-uri-fails FAPI1-ADV-5.2.2-10 FAPI1-BASE-5.2.2-9 EC-5", without("redirect_uri")},
	{"ensure-request-object-without-nonce-fails FAPI1-BASE-5.2.2.2-1 CT-9 EC-4", without("nonce")},
	{"ensure-expired-request-object-fails FAPI1-ADV-5.2.2-13 CT-7 EC-1", refusedClaims(func(_ *variant, claims map[string]any) {
		claims["nbf"], claims["exp"] = time.Now().Add(-50*time.Minute).Unix(), time.Now().Add(-5*time.Minute).Unix()
	})},
	{"ensure-expired-request-object-fails FAPI1-ADV-5.2.2-13 CT-7 EC-1 an hour ago", refusedClaims(func(_ *variant, claims map[string]any) {
		claims["exp"] = time.Now().Add(-time.Hour).Unix()
	})},
	{"ensure-request-object-with-bad-aud-fails FAPI1-ADV-5.2.2-15 CT-7 EC-1", refusedClaims(func(_ *variant, claims map[string]any) {
		claims["aud"] = "https://other.bank.example"
	})},
	{"ensure-request-object-with-bad-aud-fails FAPI1-ADV-5.2.2-15 D-2 an endpoint", refusedClaims(func(v *variant, claims map[string]any) {
		claims["aud"] = []any{v.token, v.par}
	})},
	{"ensure-request-object-with-exp-over-60-fails FAPI1-ADV-5.2.2-13 CT-7 EC-1", refusedClaims(func(_ *variant, claims map[string]any) {
		claims["exp"] = time.Now().Add(70 * time.Minute).Unix()
	})},
	{"ensure-request-object-with-nbf-over-60-fails FAPI1-ADV-5.2.2-17 CT-7 EC-1", refusedClaims(func(_ *variant, claims map[string]any) {
		claims["nbf"] = time.Now().Add(-70 * time.Minute).Unix()
	})},
	{"ensure-signed-request-object-with-RS256-fails FAPI1-ADV-8.6-1 CT-7 EC-1", refusedObject(func(header, _ map[string]any) { header["alg"] = "RS256" })},
	{"ensure-request-object-with-invalid-signature-fails JAR-4 CT-7 EC-1", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		parts := strings.Split(f.object(t, nil), ".")
		first := byte('A')
		if parts[2][0] == first {
			first = 'B'
		}
		parts[2] = string(first) + parts[2][1:]
		f.refusedObject(t, strings.Join(parts, "."), f.repeated(), "invalid_request_object")
	}},
	{"ensure-request-object-signed-by-another-client-fails JAR-4 CT-7 EC-1", func(t *testing.T, v *variant) {
		f, other := v.flow(v.clients[0]), v.flow(v.clients[1])
		f.refusedObject(t, other.object(t, nil), f.repeated(), "invalid_request_object")
	}},
	{"ensure-authorization-request-without-request-object-fails FAPI1-ADV-5.2.2-1 EC-10", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		b := v.browser(t)
		b.get(t, v.doc["authorization_endpoint"].(string)+"?"+f.ask.Encode())
		wantErrorPage(t, b, "invalid_request")
	}},
	{"ensure-redirect-uri-in-authorization-request FAPI1-BASE-5.2.2-9 EC-5", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Del("redirect_uri")
		f.refusedWith(t, way{}, f.repeated(), "invalid_request")
	}},
	{"ensure-response-type-code-fails FAPI1-ADV-5.2.2-2 CT-6 EC-6", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("response_type", "code")
		f.ask.Del("response_mode")
		f.refusedWith(t, way{}, f.repeated(), "invalid_request")
	}},
	{"ensure-response-type-code-fails FAPI1-ADV-5.2.2-2 CT-5 EC-7 answered in the query", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("response_mode", "query")
		f.refusedWith(t, way{}, f.repeated(), "invalid_request")
	}},
	{"ensure-response-type-code-fails FAPI1-ADV-5.2.2-2 EC-6 other types", func(t *testing.T, v *variant) {
		for _, kind := range []string{"token", "id_token", "code token", "code id_token token", "none"} {
			f := v.flow(v.clients[0])
			f.ask.Set("response_type", kind)
			f.refusedWith(t, way{}, f.repeated(), "unsupported_response_type")
		}
	}},
	{"ensure-mtls-holder-of-key-required FAPI1-ADV-5.2.2-5 CT-20 EC-15", asFAPI2("ensure-holder-of-key-required")},
	{"ensure-authorization-code-is-bound-to-client TOK-2 CT-17 EC-14", asFAPI2("ensure-authorization-code-is-bound-to-client")},
	{"attempt-reuse-authorisation-code-after-one-second FAPI1-BASE-5.2.2-13 TOK-4 EC-14", asFAPI2("attempt-reuse-authorization-code-after-one-second")},
	{"refresh-token TOK-8 TOK-9 TOK-10 TOK-12 CT-21 EC-16", refreshToken},

	// Not modules of their own, but what the tests look for all the same.
	{"FAPI1-ADV-5.2.2-5 client_credentials", clientCredentials},
	{"FAPI1-BASE-5.2.2-19 CT-16 EC-17 client_id of another client", asFAPI2("CT-AS-18 client_id of another client")},
	{"FAPI1-ADV-5.2.2-18 CT-18 PKCE", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[1])
		f.challenge()
		f.complete(t)
		f = v.flow(v.clients[1])
		f.challenge()
		f.approve(t)
		form := f.redemption()
		form.Set("code_verifier", randomText())
		refusedWith(t, f.c.post(t, v.token, form, way{}), "400 invalid_grant")
	}},
	{"RFC9101-6.1-1 encrypted to the bank", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		object := v.encrypted(t, f.object(t, nil))
		b := v.browser(t)
		if v.byValue {
			b.get(t, f.brought(object, f.repeated()))
		} else {
			f.pushed(t, f.pushObject(t, object))
			b.get(t, f.address(nil))
		}
		f.approved(t, b)
		f.redeem(t)
	}},
}

// advancedByValue applies where browsers bring the request.
var advancedByValue = []module{
	{"ensure-valid-pkce-succeeds FAPI1-ADV-5.2.2-18 CT-18", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.challenge()
		f.complete(t)
	}},
	{"FAPI1-ADV-5.2.2-1 posted by a page of the client's", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		form := f.repeated()
		form.Set("client_id", f.c.id)
		form.Set("request", f.object(t, nil))
		b := v.browser(t)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.doc["authorization_endpoint"].(string), strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://client.example")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		b.do(t, req)
		f.approved(t, b)
		f.redeem(t)
	}},
	{"FAPI1-ADV-5.2.2-1 brought again after the decision", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		object := f.object(t, nil)
		b := v.browser(t)
		v.browser(t).get(t, f.brought(object, nil)) // a link preview
		b.get(t, f.brought(object, nil))
		f.approved(t, b)
		b.get(t, f.brought(object, nil))
		wantErrorPage(t, b, "invalid_request_uri")
		f.redeem(t)
	}},
}

// advancedPushed applies where clients push the request.
var advancedPushed = []module{
	{"par-ensure-reused-request-uri-prior-to-auth-completion-succeeds PAR-4-3 D-8", asFAPI2("par-ensure-reused-request-uri-prior-to-auth-completion-succeeds")},
	{"par-attempt-reuse-request_uri PAR-4-3 EC-13", asFAPI2("par-attempt-reuse-request_uri")},
	{"par-attempt-invalid-http-method PAR-2-1 EC-12", asFAPI2("par-attempt-invalid-http-method")},
	{"par-ensure-pkce-required FAPI1-ADV-5.2.2-18 EC-8", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Del("code_challenge")
		f.refusedWith(t, way{}, nil, "invalid_request")
		f.ask.Del("code_challenge_method")
		f.refusedWith(t, way{}, nil, "invalid_request")
	}},
	{"ensure-pkce-code-verifier-required FAPI1-ADV-5.2.2-18 PKCE-4 EC-14", asFAPI2("ensure-pkce-code-verifier-required")},
	{"incorrect-pkce-code-verifier-rejected FAPI1-ADV-5.2.2-18 PKCE-2 EC-14", asFAPI2("incorrect-pkce-code-verifier-rejected")},
	{"par-plain-pkce-rejected FAPI1-ADV-5.2.2-18 EC-8", asFAPI2("par-plain-pkce-rejected")},
	{"par-attempt-invalid-redirect_uri PAR-2.1-2 EC-5", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("redirect_uri", "https://thief.example/callback")
		f.refusedWith(t, way{}, nil, "invalid_request")
	}},
	{"par-without-duplicate-parameters PAR-4-1", asFAPI2("par-without-duplicate-parameters")},
	{"PAR-2.2-3 EC-13 request_uri of another client", asFAPI2("CT-AS-32 request_uri of another client")},
	{"PAR-2.1-1 EC-3 request_uri in the form", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.refusedWith(t, way{}, url.Values{"request_uri": {"https://client.example/request.jwt"}}, "invalid_request")
	}},
}

// advancedAssertions applies to clients that authenticate by private_key_jwt.
var advancedAssertions = []module{
	{"ensure-signed-client-assertion-with-RS256-fails FAPI1-ADV-8.6-1 CA-7 CT-11 EC-11", badToken(func(_ *variant, header, _ map[string]any) { header["alg"] = "RS256" })},
	{"ensure-client-assertion-in-token-endpoint CA-1 CT-13 EC-11", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.approve(t)
		refusedWith(t, f.c.post(t, v.token, f.redemption(), way{unproved: true}), "401 invalid_client")
		f.redeem(t)
	}},
	{"ensure-client-assertion-with-exp-is-5-minutes-in-past-fails CA-4 CT-12 EC-11", badToken(func(_ *variant, _, claims map[string]any) {
		claims["exp"] = time.Now().Add(-5 * time.Minute).Unix()
	})},
	{"ensure-client-assertion-with-wrong-aud-fails CA-3 CT-12 EC-11", badToken(func(_ *variant, _, claims map[string]any) { claims["aud"] = "https://other.bank.example" })},
	{"ensure-client-assertion-with-wrong-iss-fails CA-2 CT-12 EC-11", badToken(func(_ *variant, _, claims map[string]any) { claims["iss"] = "another" })},
	{"ensure-client-assertion-with-no-sub-fails CA-2 CT-12 EC-11", badToken(func(_ *variant, _, claims map[string]any) { delete(claims, "sub") })},
	{"ensure-client-assertion-with-iss-aud-succeeds CA-3 CT-14", goodAssertion(func(v *variant) any { return v.issuer })},
	{"test-array-as-audience-for-client-JWT-assertion CA-3 CT-15 D-1", goodAssertion(func(v *variant) any { return []string{v.issuer, v.doc["token_endpoint"].(string)} })},
	{"CA-3 D-1 the token endpoint, by either of its names", func(t *testing.T, v *variant) {
		goodAssertion(func(v *variant) any { return v.token })(t, v)
		goodAssertion(func(v *variant) any { return v.doc["token_endpoint"] })(t, v)
	}},
}

// advancedPushedAssertions applies to those of them that push the request.
var advancedPushedAssertions = []module{
	{"par-test-pushed-authorization-url-as-audience-for-client-JWT-assertion PAR-2-3 D-1", func(t *testing.T, v *variant) {
		goodAssertion(func(v *variant) any { return v.par })(t, v)
		goodAssertion(func(v *variant) any { return v.doc["pushed_authorization_request_endpoint"] })(t, v)
	}},
	{"par-token-endpoint-url-as-audience-for-client-JWT-assertion PAR-2-3 D-1", goodAssertion(func(v *variant) any { return v.token })},
	{"par-ensure-client-assertion-with-wrong-aud-fails PAR-2-3 CT-12", badPush(func(claims map[string]any) { claims["aud"] = "https://other.bank.example" })},
	{"par-ensure-client-assertion-with-wrong-iss-fails CA-2 CT-12", badPush(func(claims map[string]any) { claims["iss"] = "another" })},
}
