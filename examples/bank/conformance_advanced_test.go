package main

import (
	"crypto/sha256"
	"crypto/tls"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestConformanceAdvanced plays the OpenID Foundation's conformance tests for
// FAPI 1.0 Advanced, Final, against the bank as -config runs it, over TLS, for
// every variant: client authentication, requests by value and pushed, answers by
// code and ID token and by a code in a signed response. One bank has no other
// clients; the other one has clients of FAPI 2.0 as well, who play their own
// tests at the same time.
func TestConformanceAdvanced(t *testing.T) {
	t.Parallel()
	var advanced []kind
	for _, method := range methods {
		for _, byValue := range []bool{true, false} {
			for _, jarm := range []bool{true, false} {
				advanced = append(advanced, kind{method: method, advanced: true, byValue: byValue, openid: true, signs: true, jarm: jarm})
			}
		}
	}
	sealed := kind{method: "private_key_jwt", advanced: true, openid: true, signs: true, sealed: true}
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		for _, v := range deploy(t, true, true, append(advanced, sealed), map[string]any{"profiles": []string{"fapi1-advanced"}}) {
			v.play(t, v.modules())
		}
	})
	t.Run("beside FAPI 2.0", func(t *testing.T) {
		t.Parallel()
		signing := kind{method: "tls_client_auth", openid: true, signs: true, jarm: true, more: map[string]any{"profile": "fapi2-message-signing"}}
		kinds := []kind{{method: "private_key_jwt", openid: true, dpop: true}, {method: "tls_client_auth"}, signing}
		for i, k := range advanced { // each method with each of the others once
			if (i%4 == 0 || i%4 == 3) == (k.method != "tls_client_auth") {
				kinds = append(kinds, k)
			}
		}
		profiles := []string{"fapi2-security", "fapi1-advanced", "fapi2-message-signing"}
		for _, v := range deploy(t, false, true, kinds, map[string]any{"profiles": profiles}) {
			v.mixed = true
			modules := v.modules()
			if !v.advanced { // theirs wants the metadata to be of FAPI 2.0 alone
				modules = slices.DeleteFunc(slices.Clone(modules), func(m module) bool { return m.id == "discovery-end-point-verification" })
			}
			t.Run(v.String(), func(t *testing.T) {
				t.Parallel()
				v.play(t, modules)
			})
		}
	})
}

// TestConformanceAdvancedTLS probes each listener of a bank with clients of FAPI
// 1.0, whoever else its clients are.
func TestConformanceAdvancedTLS(t *testing.T) {
	t.Parallel()
	kinds := []kind{{method: "private_key_jwt", advanced: true, openid: true, signs: true}}
	alone, both := []string{"fapi1-advanced"}, []string{"fapi2-security", "fapi1-advanced"}
	for _, tt := range []struct {
		name     string
		rsa      bool
		profiles []string
		good     []uint16
	}{
		{"RSA", true, alone, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}},
		{"RSA, beside FAPI 2.0", true, both, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}},
		{"ECDSA", false, alone, nil}, // version 1.3 alone
		{"ECDSA, beside FAPI 2.0", false, both, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := deploy(t, true, tt.rsa, kinds, map[string]any{"profiles": tt.profiles})[0]
			for _, address := range v.addresses(t) {
				t.Run(address, func(t *testing.T) {
					probe(t, address, "FAPI1-ADV-8.5-1 FAPI1-BASE-7.1-1 CT-28", tt.good)
					t.Run("FAPI1-ADV-8.5-1 ECDHE-ECDSA with version 1.2", func(t *testing.T) {
						for _, suite := range []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384} {
							if got := sayHello(t, address, tls.VersionTLS12, suite); got.alert != alertHandshakeFailure && got.alert != alertProtocolVersion {
								t.Errorf("suite %#04x: %+v", suite, got)
							}
						}
					})
				})
			}
		})
	}
}

// advancedString names a kind of clients of FAPI 1.0 Advanced.
func (k kind) advancedString() string {
	request, answer := "pushed", "code id_token"
	if k.byValue {
		request = "by value"
	}
	if k.jarm {
		answer = "JARM"
	}
	parts := []string{"FAPI 1.0", k.method, request, answer}
	if k.sealed {
		parts = append(parts, "encrypted")
	}
	return strings.Join(parts, ", ")
}

// begin makes the request, and has b open it with more besides what is needed.
func (f *flow) begin(t *testing.T, b *labBrowser, w way, more url.Values) {
	t.Helper()
	if f.c.byValue {
		b.get(t, f.brought(f.object(t, w.object), more))
		return
	}
	f.pushed(t, f.send(t, w))
	b.get(t, f.address(more))
}

// brought returns where a browser goes that brings the request, with more
// beside what is needed.
func (f *flow) brought(object string, more url.Values) string {
	q := url.Values{"client_id": {f.c.id}, "request": {object}}
	maps.Copy(q, more)
	return f.v.doc["authorization_endpoint"].(string) + "?" + q.Encode()
}

// refusedWith makes the request with more beside its object, which has to be
// refused with code: as it is pushed, or by a page.
func (f *flow) refusedWith(t *testing.T, w way, more url.Values, code string) {
	t.Helper()
	f.refusedObject(t, f.object(t, w.object), more, code)
}

// refusedObject is refusedWith for an object as it is.
func (f *flow) refusedObject(t *testing.T, object string, more url.Values, code string) {
	t.Helper()
	if f.c.byValue {
		b := f.v.browser(t)
		b.get(t, f.brought(object, more))
		wantErrorPage(t, b, code)
		return
	}
	form := url.Values{"request": {object}}
	maps.Copy(form, more)
	refusedWith(t, f.c.post(t, f.v.par, form, way{}), "400 "+code)
}

// detachedClaims may be in the ID token that the browser brings: nothing that
// is the customer's business alone (FAPI 1.0 Advanced, 5.2.2.1-6).
var detachedClaims = []string{"iss", "aud", "sub", "exp", "iat", "nonce", "auth_time", "acr", "amr", "jti", "c_hash", "s_hash"}

// detached verifies the ID token in an authorization response as the signature
// over the response that it is (FAPI 1.0 Advanced, 5.2.2.1), and returns its
// claims.
func (f *flow) detached(t *testing.T, q url.Values) map[string]any {
	t.Helper()
	claims := f.signedID(t, f.c.decrypted(t, q.Get("id_token")))
	for name, signed := range map[string]string{"c_hash": "code", "s_hash": "state"} {
		var want any
		if q.Has(signed) {
			sum := sha256.Sum256([]byte(q.Get(signed))) // PS256 and ES256 alike (OpenID Connect Core, 3.3.2.11)
			want = b64(sum[:16])
		}
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	for name := range claims {
		if !slices.Contains(detachedClaims, name) {
			t.Errorf("the browser learns claim %s", name)
		}
	}
	return claims
}

// What the metadata may have besides, where there are clients of FAPI 1.0.
var advancedAlgs = []string{"ES256", "PS256"}

// advancedDiscovery checks the metadata document.
func advancedDiscovery(t *testing.T, v *variant) {
	for name, value := range v.doc {
		if strings.HasSuffix(name, "signing_alg_values_supported") || strings.Contains(name, "signing_alg_values") {
			list := slices.Sorted(slices.Values(v.list(name)))
			if v.mixed && !containsAll(list, advancedAlgs) || !v.mixed && !slices.Equal(list, advancedAlgs) {
				t.Errorf("%s is %v", name, value)
			}
		}
	}
	for name, want := range map[string][]string{
		"response_types_supported": {"code", "code id_token"}, "code_challenge_methods_supported": {"S256"},
		"response_modes_supported": {"jwt", "fragment", "form_post"}, "token_endpoint_auth_methods_supported": {v.method},
		"grant_types_supported": {"authorization_code", "refresh_token"}, "scopes_supported": {"openid", "accounts", "transactions"},
		"subject_types_supported": {"public"}, "authorization_signing_alg_values_supported": advancedAlgs,
		"id_token_signing_alg_values_supported": advancedAlgs, "request_object_signing_alg_values_supported": advancedAlgs,
		"token_endpoint_auth_signing_alg_values_supported": advancedAlgs, "userinfo_signing_alg_values_supported": advancedAlgs,
		"authorization_encryption_alg_values_supported": clientAlgs, "authorization_encryption_enc_values_supported": encs,
	} {
		if !containsAll(v.list(name), want) {
			t.Errorf("%s is %v, want %q among them", name, v.doc[name], want)
		}
	}
	if dpop := v.list("dpop_signing_alg_values_supported"); (dpop != nil) != v.mixed {
		t.Errorf("dpop_signing_alg_values_supported is %v", dpop)
	}
	if modes := v.list("response_modes_supported"); slices.Contains(modes, "query") != v.mixed {
		t.Errorf("response_modes_supported is %v", modes)
	}
	for name, want := range map[string]bool{
		"tls_client_certificate_bound_access_tokens": true, "request_parameter_supported": true, "request_uri_parameter_supported": false,
		"require_pushed_authorization_requests": false, "claims_parameter_supported": true, "require_signed_request_object": !v.mixed,
	} {
		if v.doc[name] != want {
			t.Errorf("%s is %v, want %v", name, v.doc[name], want)
		}
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "pushed_authorization_request_endpoint", "jwks_uri", "userinfo_endpoint"} {
		wantHTTPS(t, name, v.doc[name])
	}
	if v.doc["issuer"] != v.issuer {
		t.Errorf("issuer %v, want %s", v.doc["issuer"], v.issuer)
	}
	v.checkAliases(t)
	v.checkPlaces(t)
	v.serverKeys(t, "sig")
}

func containsAll(list, want []string) bool {
	return !slices.ContainsFunc(want, func(s string) bool { return !slices.Contains(list, s) })
}

// advancedResource calls the resource as the tests do, and in every way in which
// it has to say no.
func advancedResource(t *testing.T, v *variant) {
	c, other := v.clients[0], v.clients[1]
	k := v.flow(c).complete(t)
	t.Run("FAPI1-BASE-6.2.1-1 FAPI1-BASE-6.2.1-9 FAPI1-BASE-6.2.1-10 FAPI1-BASE-6.2.1-11 served", func(t *testing.T) {
		r := v.served(t, c, k.access, nil)
		if r.header.Get("Content-Type") != "application/json" {
			t.Errorf("Content-Type %q", r.header.Get("Content-Type"))
		}
	})
	t.Run("FAPI1-BASE-6.2.1-2 CT-22 any case of the scheme", func(t *testing.T) {
		for _, scheme := range []string{"bearer", "BEARER", "bEARER"} {
			v.served(t, c, k.access, http.Header{"Authorization": {scheme + " " + k.access}})
		}
	})
	t.Run("FAPI1-BASE-6.2.1-3 token in the URL", func(t *testing.T) {
		req := v.request(t, c, "", nil)
		req.URL.RawQuery = url.Values{"access_token": {k.access}}.Encode()
		if r := ask(t, c.http, req); r.status != http.StatusBadRequest {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("FAPI1-BASE-6.2.1-11 interaction ids", func(t *testing.T) {
		const id = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"
		if r := v.served(t, c, k.access, http.Header{"X-Fapi-Interaction-Id": {id}}); r.header.Get("X-Fapi-Interaction-Id") != id {
			t.Errorf("x-fapi-interaction-id %q, want the caller's", r.header.Get("X-Fapi-Interaction-Id"))
		}
		r := ask(t, other.http, v.request(t, other, k.access, http.Header{"X-Fapi-Interaction-Id": {id}}))
		if r.status != http.StatusUnauthorized || r.header.Get("X-Fapi-Interaction-Id") != id || r.header.Get("Date") == "" {
			t.Errorf("refused: %d %v", r.status, r.header)
		}
	})
	t.Run("FAPI1-BASE-6.2.1-13 FAPI1-BASE-6.2.2-3 FAPI1-BASE-6.2.2-4 about the customer", func(t *testing.T) {
		for _, address := range []string{"198.51.100.119", "2001:DB8::1893:25c8:1946"} {
			v.served(t, c, k.access, http.Header{"X-Fapi-Auth-Date": {"Tue, 11 Sep 2012 19:43:31 GMT"}, "X-Fapi-Customer-Ip-Address": {address}})
		}
	})
	t.Run("FAPI1-ADV-6.2.1-2 FAPI1-ADV-8.2 CT-21 EC-18 another certificate, and none", func(t *testing.T) {
		v.turnedAway(t, other, k.access)
		v.turnedAway(t, c.without(), k.access)
	})
	t.Run("FAPI1-BASE-6.2.1-4 EC-18 a revoked token", func(t *testing.T) {
		revoke := v.endpoint("revocation_endpoint")
		if r := c.post(t, revoke, url.Values{"token": {k.refresh}}, way{}); r.status != http.StatusOK {
			t.Fatalf("revocation: %d %s", r.status, r.body)
		}
		v.turnedAway(t, c, k.access)
	})
}
