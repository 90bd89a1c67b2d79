package authz_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

const wellKnown = "/.well-known/openid-configuration"

func get(path string) *http.Request { return httptest.NewRequest("GET", path, nil) }

// TestMetadata pins the whole document: what a client reads, it reads whole.
func TestMetadata(t *testing.T) {
	b := newBank(t, nil, func(c *authz.Config) {
		c.MTLSBase = "https://mtls.bank.example"
		c.ACRValues = []string{"urn:bank:acr:sca"}
	})
	list := func(v ...any) []any { return v }
	algs := list("PS256", "ES256", "EdDSA", "Ed25519")
	keyAlgs := list("RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW")
	encs := list("A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM")
	want := map[string]any{
		"issuer":                                issuer,
		"authorization_endpoint":                issuer + "/authorize",
		"pushed_authorization_request_endpoint": issuer + "/par",
		"token_endpoint":                        issuer + "/token",
		"jwks_uri":                              issuer + "/jwks",
		"require_pushed_authorization_requests": true,
		"authorization_response_iss_parameter_supported":           true,
		"response_types_supported":                                 list("code"),
		"response_modes_supported":                                 list("query", "jwt", "query.jwt"),
		"authorization_signing_alg_values_supported":               list("ES256"),
		"authorization_encryption_alg_values_supported":            keyAlgs,
		"authorization_encryption_enc_values_supported":            encs,
		"require_signed_request_object":                            false,
		"request_object_signing_alg_values_supported":              algs,
		"grant_types_supported":                                    list("authorization_code", "refresh_token", "client_credentials"),
		"code_challenge_methods_supported":                         list("S256"),
		"protected_resources":                                      list(resource),
		"scopes_supported":                                         list("openid", "accounts", "payments"),
		"token_endpoint_auth_methods_supported":                    list("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"),
		"token_endpoint_auth_signing_alg_values_supported":         algs,
		"introspection_endpoint":                                   issuer + "/introspect",
		"introspection_endpoint_auth_methods_supported":            list("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"),
		"introspection_endpoint_auth_signing_alg_values_supported": algs,
		"introspection_signing_alg_values_supported":               list("ES256"),
		"introspection_encryption_alg_values_supported":            list("RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"),
		"introspection_encryption_enc_values_supported":            list("A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"),
		"revocation_endpoint":                                      issuer + "/revoke",
		"revocation_endpoint_auth_methods_supported":               list("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"),
		"revocation_endpoint_auth_signing_alg_values_supported":    algs,
		"dpop_signing_alg_values_supported":                        algs,
		"tls_client_certificate_bound_access_tokens":               true,
		"request_parameter_supported":                              true,
		"request_uri_parameter_supported":                          false,
		"claims_parameter_supported":                               true,
		"claims_supported":                                         list("sub", "auth_time", "acr", "amr"),
		"userinfo_endpoint":                                        issuer + "/userinfo",
		"userinfo_signing_alg_values_supported":                    list("ES256"),
		"userinfo_encryption_alg_values_supported":                 keyAlgs,
		"userinfo_encryption_enc_values_supported":                 encs,
		"id_token_encryption_alg_values_supported":                 keyAlgs,
		"id_token_encryption_enc_values_supported":                 encs,
		"subject_types_supported":                                  list("public"),
		"id_token_signing_alg_values_supported":                    list("ES256"),
		"acr_values_supported":                                     list("urn:bank:acr:sca"),
		"prompt_values_supported":                                  list("none", "login", "consent", "select_account"),
		"mtls_endpoint_aliases": map[string]any{
			"token_endpoint":                        "https://mtls.bank.example/token",
			"userinfo_endpoint":                     "https://mtls.bank.example/userinfo",
			"pushed_authorization_request_endpoint": "https://mtls.bank.example/par",
			"introspection_endpoint":                "https://mtls.bank.example/introspect",
			"revocation_endpoint":                   "https://mtls.bank.example/revoke",
		},
	}
	for _, tt := range []struct{ name, path string }{
		{"FAPI2-SP-5.3.2.1-1 OpenID Connect Discovery", wellKnown},
		{"RFC8414-3-1 RFC 8414", "/.well-known/oauth-authorization-server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := b.do(get(issuer + tt.path))
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s", res.StatusCode, res.Header.Get("Content-Type"))
			}
			if d := cmp.Diff(want, object(t, res)); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("RFC8414-3.2-1 OIDD-8 no member is empty", func(t *testing.T) {
		b := newBank(t, nil, func(c *authz.Config) { c.Scopes, c.ACRValues = nil, nil })
		for name, v := range object(t, b.do(get(issuer+wellKnown))) {
			if l, ok := v.([]any); ok && len(l) == 0 || v == nil || v == "" {
				t.Errorf("%s is %v", name, v)
			}
		}
	})
	t.Run("RFC8414-I-2 OIDD-9 anyone may read it", func(t *testing.T) {
		h := b.do(get(issuer + wellKnown)).Header
		if h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Cache-Control"), "max-age") || h.Get("Pragma") != "" {
			t.Errorf("headers: %v", h)
		}
	})
	t.Run("RFC8414-3-1 GET only", func(t *testing.T) {
		for _, path := range []string{wellKnown, "/jwks"} {
			res := b.do(httptest.NewRequest("POST", issuer+path, nil))
			if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %d, Allow %q", path, res.StatusCode, res.Header.Get("Allow"))
			}
		}
	})
}

// TestMetadataWalk holds the document to what the server does: each value it
// lists works, each other is refused.
func TestMetadataWalk(t *testing.T) {
	b := newBank(t, nil)
	m := object(t, b.do(get(issuer+wellKnown)))
	listed := func(name, v string) bool {
		l, _ := m[name].([]any)
		return slices.Contains(l, any(v))
	}

	for _, method := range []string{
		"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth",
		"client_secret_basic", "client_secret_post", "client_secret_jwt", "none",
	} {
		t.Run("RFC8414-I-1 authentication by "+method, func(t *testing.T) {
			f := keyClient("a")
			switch method {
			case "tls_client_auth":
				f = tlsClient("a")
			case "self_signed_tls_client_auth":
				f = selfSignedClient("a")
			default:
				f.AuthMethod = method
			}
			b := newBank(t, clients(f))
			status, _ := f.token(b, url.Values{"grant_type": {"client_credentials"}})
			if works := status == 200; works != listed("token_endpoint_auth_methods_supported", method) {
				t.Errorf("works: %t, and the document lists %v", works, m["token_endpoint_auth_methods_supported"])
			}
		})
	}

	for _, alg := range []string{"PS256", "ES256", "EdDSA", "Ed25519", "RS256"} {
		t.Run("RFC8414-I-1 assertions by "+alg, func(t *testing.T) {
			f := keyClient("a")
			f.key, f.alg = keyOf(alg), alg
			f.JWKS = jwks(publicJWK(f.key.Public(), f.kid, ""))
			b := newBank(t, clients(f))
			status, _ := f.token(b, url.Values{"grant_type": {"client_credentials"}})
			if works := status == 200; works != listed("token_endpoint_auth_signing_alg_values_supported", alg) {
				t.Errorf("works: %t, and the document lists %v", works, m["token_endpoint_auth_signing_alg_values_supported"])
			}
		})
	}

	for _, grantType := range []string{
		"authorization_code", "refresh_token", "client_credentials", "password", "implicit",
		"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code",
		"urn:ietf:params:oauth:grant-type:token-exchange", "urn:openid:params:grant-type:ciba",
	} {
		t.Run("RFC8414-I-1 grant type "+grantType, func(t *testing.T) {
			f := keyClient("a")
			b := newBank(t, clients(f))
			_, got := f.token(b, url.Values{"grant_type": {grantType}})
			if known := got["error"] != "unsupported_grant_type"; known != listed("grant_types_supported", grantType) {
				t.Errorf("answer %v, and the document lists %v", got, m["grant_types_supported"])
			}
		})
	}

	for name, values := range map[string][]string{
		"response_types_supported":         {"code", "token", "id_token", "code id_token", "code token", "none"},
		"response_modes_supported":         {"query", "fragment", "form_post", "jwt", "query.jwt"},
		"code_challenge_methods_supported": {"S256", "plain"},
		"scopes_supported":                 {"openid", "accounts", "payments", "profile", "offline_access"},
		"prompt_values_supported":          {"none", "login", "consent", "select_account", "create"},
	} {
		param := map[string]string{
			"response_types_supported": "response_type", "response_modes_supported": "response_mode",
			"code_challenge_methods_supported": "code_challenge_method", "scopes_supported": "scope",
			"prompt_values_supported": "prompt",
		}[name]
		for _, v := range values {
			t.Run("RFC8414-I-1 "+param+" "+v, func(t *testing.T) {
				f := keyClient("a")
				f.Scope = "openid accounts payments profile offline_access"
				b := newBank(t, clients(f))
				form := f.pushable()
				form.Set(param, v)
				res := b.do(f.request("/par", f.authenticate(b, form)))
				if works := res.StatusCode == 201; works != listed(name, v) {
					t.Errorf("works: %t, and the document lists %v", works, m[name])
				}
			})
		}
	}

	t.Run("RFC8414-I-1 every endpoint answers", func(t *testing.T) {
		for name, v := range m {
			if u, ok := v.(string); ok && name != "issuer" {
				if res := b.do(get(u)); res.StatusCode == 404 {
					t.Errorf("%s %s is not there", name, u)
				}
			}
		}
	})
}

func keyOf(alg string) crypto.Signer {
	switch alg {
	case "ES256":
		return ecKeys.next()
	case "EdDSA", "Ed25519":
		return edKey
	}
	return rsaKey()
}

var _, edKey, _ = ed25519.GenerateKey(rand.Reader)

// TestIssuerWithPath: two brands in one process and one store, neither of
// which opens what is the other's.
func TestIssuerWithPath(t *testing.T) {
	f := keyClient("kakeibo")
	a := newBank(t, clients(f))
	b := newBank(t, clients(f), func(c *authz.Config) { c.Issuer = issuer + "/brand"; c.Store = a.config.Store })

	t.Run("RFC8414-3-1 the well-known documents", func(t *testing.T) {
		for _, path := range []string{"/.well-known/oauth-authorization-server/brand", "/brand" + wellKnown} {
			m := object(t, b.do(get(issuer+path)))
			if m["issuer"] != issuer+"/brand" || m["token_endpoint"] != issuer+"/brand/token" {
				t.Errorf("%s has %v", path, m)
			}
		}
	})
	t.Run("RFC9207-4-1 OIDC-SEC-1 a request of one brand is unknown to the other", func(t *testing.T) {
		uri := f.push(a, f.pushable())
		q := url.Values{"client_id": {f.ID}, "request_uri": {uri}}
		if res := b.do(get(issuer + "/brand/authorize?" + q.Encode())); res.StatusCode != 400 {
			t.Errorf("status %d", res.StatusCode)
		}
	})
	t.Run("a host may mount endpoint by endpoint", func(t *testing.T) {
		mux := http.NewServeMux()
		mux.Handle("/", http.NotFoundHandler())
		for _, r := range append(a.srv.Routes(), b.srv.Routes()...) {
			mux.Handle(r.Path, r.Handler)
		}
		for _, path := range []string{"/token", "/brand/token", "/jwks", "/brand/jwks", wellKnown, "/brand" + wellKnown} {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, get(issuer+path))
			if w.Code == 404 {
				t.Errorf("%s is not mounted", path)
			}
		}
	})
}

func TestJWKS(t *testing.T) {
	ps, err := token.NewKeySet(
		token.PrivateKey{ID: "es", Algorithm: "ES256", Signer: newEC()},
		token.PrivateKey{ID: "ps", Algorithm: "PS256", Signer: rsaKey()},
		token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: edKey},
	)
	if err != nil {
		t.Fatal(err)
	}
	b := newBank(t, nil, func(c *authz.Config) { c.Keys = ps })
	res := b.do(get(issuer + "/jwks"))
	var set struct{ Keys []map[string]any }
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		publicJWK(mustSigner(t, ps, "ES256").Public(), "es", "ES256"),
		publicJWK(rsaKey().Public(), "ps", "PS256"),
		publicJWK(edKey.Public(), "ed", "EdDSA"),
	}
	t.Run("FAPI2-SP-5.4.3-3 OIDC-SE-2 public members only, each with kid, use and alg", func(t *testing.T) {
		if d := cmp.Diff(want, set.Keys); d != "" {
			t.Error(d)
		}
	})
	t.Run("CONF-35 an Ed25519 key has two names in the metadata", func(t *testing.T) {
		m := object(t, b.do(get(issuer+wellKnown)))
		if d := cmp.Diff([]any{"PS256", "ES256", "EdDSA", "Ed25519"}, m["id_token_signing_alg_values_supported"]); d != "" {
			t.Error(d)
		}
	})
}

func mustSigner(t *testing.T, keys token.KeySet, alg string) crypto.Signer {
	t.Helper()
	k, err := keys.SigningKey(t.Context(), alg)
	if err != nil {
		t.Fatal(err)
	}
	return k.Signer
}

// TestIDTokenAlgorithm: the client's choice counts, and no default of a
// registry.
func TestIDTokenAlgorithm(t *testing.T) {
	keys, err := token.NewKeySet(
		token.PrivateKey{ID: "ps", Algorithm: "PS256", Signer: rsaKey()},
		token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: edKey},
		token.PrivateKey{ID: "rs", Algorithm: "RS256", Signer: rsaKey()},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, registered, want string }{
		{"CONF-3 nothing registered", "", "PS256"},
		{"OIDC-IT-10 PS256", "PS256", "PS256"},
		{"CONF-35 EdDSA", "EdDSA", "EdDSA"},
		{"CONF-35 Ed25519", "Ed25519", "Ed25519"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.IDTokenAlg = tt.registered
			b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = keys })
			if got := headerOf(t, f.tokens(b)["id_token"].(string))["alg"]; got != tt.want {
				t.Errorf("alg %v, want %s", got, tt.want)
			}
		})
	}
	t.Run("CONF-3 no key of the client's algorithm is an outage, not another algorithm", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.IDTokenAlg = "ES256"
		b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = keys })
		code := f.code(b)
		if status, got := f.token(b, f.redeemable(code)); status != 503 || got["error"] != "server_error" {
			t.Errorf("%d %v", status, got)
		}
	})
}

func headerOf(t *testing.T, jws string) map[string]any {
	t.Helper()
	h, _, _ := strings.Cut(jws, ".")
	return claimsOf(t, "."+h+".")
}

// TestKeysUnavailable: a key set that fails is an outage everywhere.
func TestKeysUnavailable(t *testing.T) {
	b := newBank(t, nil, func(c *authz.Config) { c.Keys = brokenKeys{} })
	for _, path := range []string{"/jwks", wellKnown} {
		res := b.do(get(issuer + path))
		if got := object(t, res); res.StatusCode != 503 || got["error"] != "server_error" || len(got) != 1 {
			t.Errorf("%s: %d %v", path, res.StatusCode, got)
		}
	}
}

type brokenKeys struct{ token.KeySet }

func (brokenKeys) PublicKeys(context.Context) ([]token.PublicKey, error) {
	return nil, errors.New("HSM gone")
}

func (brokenKeys) SigningKey(context.Context, string) (token.PrivateKey, error) {
	return token.PrivateKey{}, errors.New("HSM gone")
}
