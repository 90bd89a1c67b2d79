package authz_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

const mediaIntrospection = "application/token-introspection+jwt"

// question asks about a token with an Accept header.
func (f *fintech) question(b *bank, tok string, accept ...string) (*http.Response, string) {
	b.t.Helper()
	r := f.request("/introspect", f.authenticate(b, url.Values{"token": {tok}}))
	r.Header["Accept"] = accept
	res := b.do(r)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res, string(body)
}

// signedAnswer asks for a signed answer, and returns its header and its claims
// after verifying it.
func (f *fintech) signedAnswer(t *testing.T, b *bank, tok string) (header, claims map[string]any) {
	t.Helper()
	res, body := f.question(b, tok, mediaIntrospection)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != mediaIntrospection || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", res.StatusCode, res.Header, body)
	}
	header, _ = verified(t, body, b.config.Keys)
	return header, claimsOf(t, body)
}

// TestSignedIntrospection is RFC 9701.
func TestSignedIntrospection(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		t.Run("RFC9701-5-1 RFC9701-5-2 RFC9701-5-3 RFC9701-5-4 RFC9701-5-8 FAPI2-MS-5.5.1-1 an active "+format, func(t *testing.T) {
			f, api := keyClient("kakeibo"), apiClient("accounts", resource)
			f.AccessTokenFormat = format
			b := newBank(t, clients(f, api))
			access := f.tokens(b)["access_token"].(string)
			plain := api.introspect(b, access)
			if plain["active"] != true {
				t.Fatalf("in JSON: %v", plain)
			}
			header, claims := api.signedAnswer(t, b, access)
			if d := cmp.Diff(map[string]any{"typ": "token-introspection+jwt", "alg": "ES256", "kid": "as-1"}, header); d != "" {
				t.Errorf("header: %s", d)
			}
			want := map[string]any{
				"iss": issuer, "aud": "accounts", "iat": float64(b.clock.Now().Unix()), "token_introspection": plain,
			}
			if d := cmp.Diff(want, claims); d != "" { // no sub, no exp
				t.Errorf("claims: %s", d)
			}
		})
	}
	t.Run("RFC9701-5-5 RFC9701-5-7 CONF-27 an inactive one", func(t *testing.T) {
		f, api, pay := keyClient("kakeibo"), apiClient("accounts", resource), apiClient("pay", payments)
		b := newBank(t, clients(f, api, pay), twoAPIs)
		got := f.tokens(b)
		for name, tt := range map[string]struct {
			caller *fintech
			token  string
		}{
			"unknown": {api, "unknown"}, "of another API": {pay, got["access_token"].(string)},
			"a refresh token": {api, got["refresh_token"].(string)}, "an ID token": {f, got["id_token"].(string)},
		} {
			header, claims := tt.caller.signedAnswer(t, b, tt.token)
			want := map[string]any{
				"iss": issuer, "aud": tt.caller.ID, "iat": float64(b.clock.Now().Unix()),
				"token_introspection": map[string]any{"active": false},
			}
			if d := cmp.Diff(want, claims); d != "" || header["typ"] != "token-introspection+jwt" {
				t.Errorf("%s: header %v, claims %s", name, header, d)
			}
		}
	})
	t.Run("RFC9701-4-1 the Accept header decides", func(t *testing.T) {
		api := apiClient("accounts", resource)
		b := newBank(t, clients(api))
		for _, tt := range []struct {
			accept []string
			media  string
		}{
			{nil, "application/json"}, {[]string{"*/*"}, "application/json"}, {[]string{"application/json"}, "application/json"},
			{[]string{"text/html, */*;q=0.8"}, "application/json"}, {[]string{"text/html"}, "application/json"},
			{[]string{mediaIntrospection}, mediaIntrospection}, {[]string{"*/*;q=0.1", mediaIntrospection + ";q=0.5"}, mediaIntrospection},
			{[]string{mediaIntrospection + ";q=0.5, application/json"}, "application/json"},
		} {
			res, body := api.question(b, "unknown", tt.accept...)
			if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != tt.media {
				t.Errorf("Accept %q: %d %s", tt.accept, res.StatusCode, got)
			}
			if isJSON := json.Valid([]byte(body)); isJSON != (tt.media == "application/json") {
				t.Errorf("Accept %q: %s", tt.accept, body)
			}
		}
	})
	t.Run("RFC9701-5-4 it does not pass for an access token", func(t *testing.T) {
		f, api := keyClient("kakeibo"), apiClient("accounts", resource)
		b := newBank(t, clients(f, api))
		_, body := api.question(b, f.tokens(b)["access_token"].(string), mediaIntrospection)
		if err := f.check(b, body); err == nil {
			t.Error("an API takes it")
		}
		inactive(t, api.introspect(b, body))
	})
	t.Run("RFC9701-6-1 CONF-3 under the API's algorithm, or the server's choice", func(t *testing.T) {
		keys, err := token.NewKeySet(
			token.PrivateKey{ID: "rs", Algorithm: "RS256", Signer: rsaKey()},
			token.PrivateKey{ID: "ps", Algorithm: "PS256", Signer: rsaKey()},
			token.PrivateKey{ID: "es", Algorithm: "ES256", Signer: ecKeys.next()},
		)
		if err != nil {
			t.Fatal(err)
		}
		for registered, want := range map[string]string{"": "ES256", "ES256": "ES256", "PS256": "PS256"} {
			api := apiClient("accounts", resource)
			api.IntrospectionAlg = registered
			b := newBank(t, clients(api), func(c *authz.Config) { c.Keys = keys })
			if header, _ := api.signedAnswer(t, b, "unknown"); header["alg"] != want {
				t.Errorf("registered %q: alg %v, want %s", registered, header["alg"], want)
			}
		}
	})
	t.Run("CONF-3 no key of the API's algorithm is an outage, not another algorithm", func(t *testing.T) {
		api := apiClient("accounts", resource)
		api.IntrospectionAlg = "PS256"
		b := newBank(t, clients(api))
		if res, body := api.question(b, "unknown", mediaIntrospection); res.StatusCode != 503 {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	})
}

// TestEncryptedIntrospection: signed, then encrypted, if the API registered for
// that.
func TestEncryptedIntrospection(t *testing.T) {
	recipient := publicJWK(rsaKey().Public(), "api-enc", "RSA-OAEP-256")
	recipient["use"] = "enc"
	start := func(t *testing.T, api *fintech) (*bank, *fintech, string) {
		f := keyClient("kakeibo")
		api.Resource = resource
		api.IntrospectionEncryption = authz.Encryption{Alg: "RSA-OAEP-256", Enc: "A256GCM"}
		b := newBank(t, clients(f, api))
		return b, api, f.tokens(b)["access_token"].(string)
	}
	t.Run("RFC9701-5-7 the API decrypts it and verifies what is inside", func(t *testing.T) {
		api := apiClient("accounts", resource)
		api.JWKS = jwks(publicJWK(api.key.Public(), api.kid, api.alg), recipient)
		b, api, access := start(t, api)
		res, body := api.question(b, access, mediaIntrospection)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != mediaIntrospection {
			t.Fatalf("%d %v", res.StatusCode, res.Header)
		}
		header, inside := opened(t, body, rsaKey())
		if header["alg"] != "RSA-OAEP-256" || header["enc"] != "A256GCM" || header["cty"] != "JWT" || header["kid"] != "api-enc" {
			t.Errorf("header %v", header)
		}
		signed, _ := verified(t, inside, serverKeys)
		claims := claimsOf(t, inside)
		said, _ := claims["token_introspection"].(map[string]any)
		if signed["typ"] != "token-introspection+jwt" || said["active"] != true {
			t.Errorf("inside: %v %v", signed, claims)
		}
		if got := api.introspect(b, access); got["active"] != true {
			t.Errorf("in JSON: %v", got)
		}
	})
	t.Run("RFC9701-5-7 without a key of the API's there is no answer", func(t *testing.T) {
		api := tlsClient("accounts")
		api.JWKSURI = "https://127.0.0.1/keys" // where no client's keys may be
		b, api, access := start(t, api)
		if res, body := api.question(b, access, mediaIntrospection); res.StatusCode != 503 || strings.Contains(body, customer) {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	})
}

// opened decrypts a JWE of RSA-OAEP-256 and A256GCM by the standard library
// alone (RFC 7516, 5.2).
func opened(t *testing.T, compact string, key *rsa.PrivateKey) (header map[string]any, plaintext string) {
	t.Helper()
	part := strings.Split(compact, ".")
	if len(part) != 5 {
		t.Fatalf("%q is no JWE", compact)
	}
	var b [5][]byte
	for i := range part {
		var err error
		if b[i], err = base64.RawURLEncoding.Strict().DecodeString(part[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal(b[0], &header); err != nil {
		t.Fatal(err)
	}
	cek, err := rsa.DecryptOAEP(sha256.New(), nil, key, b[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := gcm.Open(nil, b[2], append(b[3], b[4]...), []byte(part[0]))
	if err != nil {
		t.Fatal(err)
	}
	return header, string(inside)
}

// TestTokenEndpointsMetadata holds what the document says of introspection and
// revocation to what they do.
func TestTokenEndpointsMetadata(t *testing.T) {
	keys, err := token.NewKeySet(
		token.PrivateKey{ID: "rs", Algorithm: "RS256", Signer: rsaKey()},
		token.PrivateKey{ID: "ps", Algorithm: "PS256", Signer: rsaKey()},
		token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: edKey},
	)
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *authz.Config) { c.Keys = keys }
	m := object(t, newBank(t, nil, with).do(get(issuer+wellKnown)))
	listed := func(name, v string) bool {
		l, _ := m[name].([]any)
		return slices.Contains(l, any(v))
	}
	works := func(f *fintech, path string) bool {
		b := newBank(t, clients(f), with)
		return f.send(b, path, f.authenticate(b, url.Values{"token": {"unknown"}}), 200)
	}
	for path, name := range map[string]string{"/introspect": "introspection_endpoint", "/revoke": "revocation_endpoint"} {
		if m[name] != issuer+path {
			t.Errorf("%s is %v", name, m[name])
		}
		for _, method := range []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "client_secret_basic", "client_secret_post", "none"} {
			t.Run("RFC8414-I-1 "+name+" by "+method, func(t *testing.T) {
				f := keyClient("a")
				switch method {
				case "tls_client_auth":
					f = tlsClient("a")
				case "self_signed_tls_client_auth":
					f = selfSignedClient("a")
				default:
					f.AuthMethod = method
				}
				if got := works(f, path); got != listed(name+"_auth_methods_supported", method) {
					t.Errorf("works: %t, and the document lists %v", got, m[name+"_auth_methods_supported"])
				}
			})
		}
		for _, alg := range []string{"PS256", "ES256", "EdDSA", "Ed25519", "RS256"} {
			t.Run("RFC8414-I-1 "+name+" assertions by "+alg, func(t *testing.T) {
				f := keyClient("a")
				f.key, f.alg = keyOf(alg), alg
				f.JWKS = jwks(publicJWK(f.key.Public(), f.kid, ""))
				if got := works(f, path); got != listed(name+"_auth_signing_alg_values_supported", alg) {
					t.Errorf("works: %t, and the document lists %v", got, m[name+"_auth_signing_alg_values_supported"])
				}
			})
		}
	}
	for _, alg := range []string{"PS256", "ES256", "EdDSA", "Ed25519", "RS256"} {
		t.Run("RFC9701-7-1 signed by "+alg, func(t *testing.T) {
			api := apiClient("accounts", resource)
			api.IntrospectionAlg = alg
			res, _ := api.question(newBank(t, clients(api), with), "unknown", mediaIntrospection)
			if got := res.StatusCode == 200; got != listed("introspection_signing_alg_values_supported", alg) {
				t.Errorf("%d, and the document lists %v", res.StatusCode, m["introspection_signing_alg_values_supported"])
			}
		})
	}
	encrypted := func(t *testing.T, e authz.Encryption) bool {
		api := apiClient("accounts", resource)
		api.IntrospectionEncryption = e
		rsa, ec := publicJWK(rsaKey().Public(), "rsa", ""), publicJWK(newEC().Public(), "ec", "")
		rsa["use"], ec["use"] = "enc", "enc"
		api.JWKS = jwks(publicJWK(api.key.Public(), api.kid, api.alg), rsa, ec)
		res, body := api.question(newBank(t, clients(api), with), "unknown", mediaIntrospection)
		if res.StatusCode != 200 {
			return false
		}
		head, _, _ := strings.Cut(body, ".")
		h := claimsOf(t, "."+head+".")
		if h["alg"] != e.Alg || e.Enc != "" && h["enc"] != e.Enc || e.Enc == "" && h["enc"] != "A128CBC-HS256" {
			t.Errorf("header %v for %v", h, e)
		}
		return true
	}
	for _, alg := range []string{"RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW", "RSA1_5", "dir", "A128KW"} {
		t.Run("RFC9701-7-1 RFC9701-6-1 encrypted by "+alg, func(t *testing.T) {
			if got := encrypted(t, authz.Encryption{Alg: alg}); got != listed("introspection_encryption_alg_values_supported", alg) {
				t.Errorf("works: %t, and the document lists %v", got, m["introspection_encryption_alg_values_supported"])
			}
		})
	}
	for _, enc := range []string{"A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM", "A192GCM"} {
		t.Run("RFC9701-7-1 encrypted under "+enc, func(t *testing.T) {
			if got := encrypted(t, authz.Encryption{Alg: "RSA-OAEP-256", Enc: enc}); got != listed("introspection_encryption_enc_values_supported", enc) {
				t.Errorf("works: %t, and the document lists %v", got, m["introspection_encryption_enc_values_supported"])
			}
		})
	}
}
