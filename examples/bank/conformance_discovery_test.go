package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// What the metadata may have, by type (RFC 8414, 2; OpenID Connect Discovery
// 1.0, 3; RFC 8705, 3.3; RFC 9101, 9; JARM, 4; RFC 9126, 5; RFC 9207, 3; RFC
// 9396, 10; RFC 9449, 5.1; RFC 9701, 7; RFC 9728, 4).
var (
	metadataStrings = []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "pushed_authorization_request_endpoint",
		"registration_endpoint", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint"}
	metadataBooleans = []string{"require_pushed_authorization_requests", "authorization_response_iss_parameter_supported",
		"tls_client_certificate_bound_access_tokens", "request_parameter_supported", "request_uri_parameter_supported",
		"require_request_uri_registration", "require_signed_request_object", "claims_parameter_supported"}
	metadataLists = []string{"response_types_supported", "response_modes_supported", "grant_types_supported", "code_challenge_methods_supported",
		"scopes_supported", "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
		"subject_types_supported", "id_token_signing_alg_values_supported", "acr_values_supported", "prompt_values_supported",
		"claims_supported", "ui_locales_supported", "dpop_signing_alg_values_supported"}
)

// The algorithms of FAPI 2.0 and those of encryption that the bank has a use
// for, by whose keys it is done with.
var (
	fapiAlgs   = []string{"ES256", "Ed25519", "EdDSA", "PS256"}
	clientAlgs = []string{"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW", "RSA-OAEP", "RSA-OAEP-256"}
	bankAlgs   = []string{"ECDH-ES", "RSA-OAEP-256"}
	encs       = []string{"A128CBC-HS256", "A128GCM", "A256CBC-HS512", "A256GCM"}
	methods    = []string{"private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth"}
)

// exactMetadata are the lists that have these values in some order, and no
// others.
func (v *variant) exactMetadata() map[string][]string {
	modes := []string{"jwt", "query", "query.jwt"}
	if v.profile == "fapi2-message-signing" {
		modes = []string{"jwt", "query.jwt"}
	}
	return map[string][]string{
		"response_modes_supported":                                 modes,
		"subject_types_supported":                                  {"pairwise", "public"},
		"request_object_signing_alg_values_supported":              fapiAlgs,
		"request_object_encryption_alg_values_supported":           bankAlgs,
		"request_object_encryption_enc_values_supported":           encs,
		"authorization_signing_alg_values_supported":               fapiAlgs,
		"authorization_encryption_alg_values_supported":            clientAlgs,
		"authorization_encryption_enc_values_supported":            encs,
		"id_token_signing_alg_values_supported":                    fapiAlgs,
		"id_token_encryption_alg_values_supported":                 clientAlgs,
		"id_token_encryption_enc_values_supported":                 encs,
		"userinfo_signing_alg_values_supported":                    fapiAlgs,
		"userinfo_encryption_alg_values_supported":                 clientAlgs,
		"userinfo_encryption_enc_values_supported":                 encs,
		"introspection_endpoint_auth_methods_supported":            methods,
		"introspection_endpoint_auth_signing_alg_values_supported": fapiAlgs,
		"introspection_signing_alg_values_supported":               fapiAlgs,
		"introspection_encryption_alg_values_supported":            clientAlgs,
		"introspection_encryption_enc_values_supported":            encs,
		"revocation_endpoint_auth_methods_supported":               methods,
		"revocation_endpoint_auth_signing_alg_values_supported":    fapiAlgs,
		"claims_supported":                                         {"acr", "amr", "auth_time", "email", "email_verified", "name", "sub"},
		"protected_resources":                                      {v.api},
	}
}

// discoveryVerification checks the metadata document at both of its places.
func discoveryVerification(t *testing.T, v *variant) {
	exact := v.exactMetadata()
	for name, want := range exact {
		if got := slices.Sorted(slices.Values(v.list(name))); !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", name, v.doc[name], want)
		}
	}
	for name, value := range v.doc {
		var ok bool
		switch {
		case exact[name] != nil:
			ok = true
		case slices.Contains(metadataStrings, name):
			_, ok = value.(string)
		case slices.Contains(metadataBooleans, name):
			_, ok = value.(bool)
		case slices.Contains(metadataLists, name):
			ok = v.list(name) != nil
		case name == "mtls_endpoint_aliases":
			_, ok = value.(map[string]any)
		}
		if !ok {
			t.Errorf("member %s is unknown or of a wrong type: %v", name, value)
		}
	}
	if v.doc["issuer"] != v.issuer {
		t.Errorf("issuer %v, want %s", v.doc["issuer"], v.issuer)
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "pushed_authorization_request_endpoint", "jwks_uri",
		"userinfo_endpoint", "introspection_endpoint", "revocation_endpoint"} {
		wantHTTPS(t, name, v.doc[name])
	}
	if _, ok := v.doc["registration_endpoint"]; ok {
		wantHTTPS(t, "registration_endpoint", v.doc["registration_endpoint"])
	}
	for name, want := range map[string]bool{
		"authorization_response_iss_parameter_supported": true, "tls_client_certificate_bound_access_tokens": true,
		"require_pushed_authorization_requests": true, "request_parameter_supported": true, "request_uri_parameter_supported": false,
		"claims_parameter_supported": true, "require_signed_request_object": v.profile == "fapi2-message-signing",
	} {
		if v.doc[name] != want {
			t.Errorf("%s is %v, want %v", name, v.doc[name], want)
		}
	}
	for name, want := range map[string]string{
		"response_types_supported": "code", "code_challenge_methods_supported": "S256", "token_endpoint_auth_methods_supported": v.clients[0].method,
		"grant_types_supported": "authorization_code", "scopes_supported": "openid",
	} {
		if !slices.Contains(v.list(name), want) {
			t.Errorf("%s is %v, want %q among them", name, v.doc[name], want)
		}
	}
	for _, name := range []string{"token_endpoint_auth_signing_alg_values_supported", "id_token_signing_alg_values_supported", "dpop_signing_alg_values_supported"} {
		for _, want := range []string{"PS256", "ES256"} {
			if !slices.Contains(v.list(name), want) {
				t.Errorf("%s lacks %s: %v", name, want, v.doc[name])
			}
		}
	}
	for _, method := range v.list("token_endpoint_auth_methods_supported") { // FAPI2-SP-5.3.2.1-6
		if !slices.Contains([]string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}, method) {
			t.Errorf("client authentication by %s", method)
		}
	}
	v.checkAliases(t)
	v.checkPlaces(t)
	v.serverKeys(t, "sig")
}

// list returns a member that is a list of strings, each there once, or nil.
func (v *variant) list(name string) []string {
	values, ok := v.doc[name].([]any)
	if !ok || len(values) == 0 {
		return nil
	}
	var list []string
	for _, value := range values {
		s, ok := value.(string)
		if !ok || s == "" || slices.Contains(list, s) {
			return nil
		}
		list = append(list, s)
	}
	return list
}

func wantHTTPS(t *testing.T, name string, value any) {
	t.Helper()
	s, _ := value.(string)
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		t.Errorf("%s is %v", name, value)
	}
}

// checkAliases checks mtls_endpoint_aliases: there exactly if there are two
// listeners, and then for endpoints that exist, never for the one browsers go
// to.
func (v *variant) checkAliases(t *testing.T) {
	t.Helper()
	aliases, ok := v.doc["mtls_endpoint_aliases"].(map[string]any)
	if two := v.machines != v.issuer; ok != two {
		t.Errorf("mtls_endpoint_aliases is %v", v.doc["mtls_endpoint_aliases"])
	} else if !two {
		return
	}
	for name, alias := range aliases {
		wantHTTPS(t, "the alias of "+name, alias)
		s, _ := alias.(string)
		if _, known := v.doc[name]; !known || !strings.HasSuffix(name, "_endpoint") || name == "authorization_endpoint" || !strings.HasPrefix(s, v.machines+"/") {
			t.Errorf("the alias of %s is %v", name, alias)
		}
	}
	for _, name := range []string{"token_endpoint", "pushed_authorization_request_endpoint", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint"} {
		if aliases[name] == nil {
			t.Errorf("no alias of %s", name)
		}
	}
}

// checkPlaces checks that both forms of the document are the same (CONF-30).
func (v *variant) checkPlaces(t *testing.T) {
	t.Helper()
	var bodies []string
	for _, where := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.issuer+where, nil)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, ask(t, v.clients[0].naked, req).body)
	}
	if bodies[0] != bodies[1] {
		t.Errorf("two documents:\n%s\n%s", bodies[0], bodies[1])
	}
}
