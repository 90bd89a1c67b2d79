package authz_test

import (
	"context"
	"crypto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// TestAdvertised holds the document of servers that offer less, and more, to
// what they do: what it lists is there, and what it leaves out is not.
func TestAdvertised(t *testing.T) {
	only := func(alg string, key crypto.Signer) func(*authz.Config) {
		return func(c *authz.Config) {
			c.Keys, _ = token.NewKeySet(token.PrivateKey{ID: "only", Algorithm: alg, Signer: key})
		}
	}
	for name, adjust := range map[string]func(*authz.Config){
		"as usual":            func(*authz.Config) {},
		"no openid":           func(c *authz.Config) { c.Scopes = []string{"accounts"} },
		"no pages":            func(c *authz.Config) { c.Interact = nil },
		"no authorities":      func(c *authz.Config) { c.Authorities = nil },
		"a listener for mTLS": func(c *authz.Config) { c.MTLSBase = "https://mtls.bank.example" },
		"that and no openid":  func(c *authz.Config) { c.MTLSBase, c.Scopes = "https://mtls.bank.example", []string{"accounts"} },
		"that and no pages":   func(c *authz.Config) { c.MTLSBase, c.Interact = "https://mtls.bank.example", nil },
		"keys of its own": func(c *authz.Config) {
			c.Decrypt = []authz.DecryptionKey{{ID: "d", Algorithm: "ECDH-ES", Key: newEC()}}
		},
		"pairwise":               salted,
		"what the customer is":   telling(hanako()),
		"signed messages":        func(c *authz.Config) { c.Profiles = []authz.Profile{authz.FAPI2MessageSigning} },
		"two profiles":           func(c *authz.Config) { c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI2MessageSigning} },
		"an Ed25519 key alone":   only("EdDSA", edKey),
		"an RSA key alone":       only("PS256", rsaKey()),
		"an RSA key that is old": func(c *authz.Config) { c.Keys = retired{serverKeys} },
	} {
		t.Run("RFC8414-I-1 "+name, func(t *testing.T) {
			b := newBank(t, nil, adjust)
			m := object(t, b.do(get(issuer+wellKnown)))
			advertisesEndpoints(t, b, m)
			advertisesClients(t, b, m)
			advertisesScopes(t, b, m)
		})
	}
}

// advertisesEndpoints: the endpoints of m are served, and no others.
func advertisesEndpoints(t *testing.T, b *bank, m map[string]any) {
	t.Helper()
	aliases, _ := m["mtls_endpoint_aliases"].(map[string]any)
	if has := aliases != nil; has != (b.config.MTLSBase != "") {
		t.Errorf("mtls_endpoint_aliases is %v", aliases)
	}
	for member, path := range map[string]string{
		"authorization_endpoint": "/authorize", "pushed_authorization_request_endpoint": "/par", "token_endpoint": "/token",
		"jwks_uri": "/jwks", "userinfo_endpoint": "/userinfo", "introspection_endpoint": "/introspect", "revocation_endpoint": "/revoke",
	} {
		there := b.do(get(issuer+path)).StatusCode != 404
		if listed := m[member] == issuer+path; listed != there || !there && m[member] != nil {
			t.Errorf("%s is %v, and %s is there: %t", member, m[member], path, there)
		}
		want := any(nil)
		if forClients := member != "authorization_endpoint" && member != "jwks_uri"; aliases != nil && there && forClients {
			want = b.config.MTLSBase + path
		}
		if aliases[member] != want {
			t.Errorf("the alias of %s is %v, want %v", member, aliases[member], want)
		}
	}
}

// advertisesClients: m lists what a client may register to be sent, and
// nothing else is served.
func advertisesClients(t *testing.T, b *bank, m map[string]any) {
	t.Helper()
	enc := publicJWK(newEC().Public(), "enc-1", "ECDH-ES")
	enc["use"] = "enc"
	for member, values := range map[string]map[string]func(*fintech){
		"token_endpoint_auth_methods_supported": {
			"private_key_jwt": func(*fintech) {},
			"tls_client_auth": func(f *fintech) {
				f.AuthMethod, f.CertificateSubject = "tls_client_auth", tlsClient("a").CertificateSubject
			},
			"client_secret_basic": func(f *fintech) { f.AuthMethod = "client_secret_basic" },
			"none":                func(f *fintech) { f.AuthMethod = "none" },
		},
		"subject_types_supported": {
			"public":   func(f *fintech) { f.SubjectType = "public" },
			"pairwise": func(f *fintech) { f.SubjectType = "pairwise" },
		},
		"request_object_encryption_alg_values_supported": {
			"ECDH-ES":      func(f *fintech) { f.RequestEncryption.Alg = "ECDH-ES" },
			"RSA-OAEP-256": func(f *fintech) { f.RequestEncryption.Alg = "RSA-OAEP-256" },
		},
		"response_modes_supported": {
			"query":     func(f *fintech) { f.ResponseModes = []string{"query"} },
			"jwt":       func(f *fintech) { f.ResponseModes = []string{"jwt"} },
			"query.jwt": func(f *fintech) { f.ResponseModes = []string{"query.jwt"} },
			"form_post": func(f *fintech) { f.ResponseModes = []string{"form_post"} },
		},
		"id_token_encryption_alg_values_supported": {
			"ECDH-ES": func(f *fintech) { f.publishes(enc).IDTokenEncryption.Alg = "ECDH-ES" },
			"RSA1_5":  func(f *fintech) { f.publishes(enc).IDTokenEncryption.Alg = "RSA1_5" },
		},
	} {
		if m["userinfo_endpoint"] == nil && slices.Contains([]string{"subject_types_supported", "id_token_encryption_alg_values_supported"}, member) {
			if m[member] != nil {
				t.Errorf("%s is %v, and there is no OpenID Connect", member, m[member])
			}
			continue
		}
		if m["authorization_endpoint"] == nil && strings.HasPrefix(member, "re") {
			if m[member] != nil {
				t.Errorf("%s is %v, and there is nothing to ask", member, m[member])
			}
			continue
		}
		listed, _ := m[member].([]any)
		for v, register := range values {
			works := false
			for _, p := range b.profiles() { // one of them will do
				f := keyClient("a")
				f.Profile = p
				register(f)
				works = works || b.srv.CheckClient(f.Client) == nil
			}
			if works != slices.Contains(listed, any(v)) {
				t.Errorf("%s lists %v, and %s works: %t", member, listed, v, works)
			}
		}
	}
	for _, member := range []string{"id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported",
		"authorization_signing_alg_values_supported", "introspection_signing_alg_values_supported"} {
		listed, ok := m[member].([]any)
		if !ok {
			continue
		}
		for _, alg := range []string{"PS256", "ES256", "EdDSA", "Ed25519", "RS256"} {
			_, err := b.config.Keys.SigningKey(t.Context(), alg)
			if signs := err == nil && alg != "RS256"; signs != slices.Contains(listed, any(alg)) {
				t.Errorf("%s lists %v, and %s signs: %t", member, listed, alg, signs)
			}
		}
	}
}

func (b *bank) profiles() []authz.Profile {
	if b.config.Profiles == nil {
		return []authz.Profile{""}
	}
	return b.config.Profiles
}

// advertisesScopes: a client gets each scope that m lists, and no other, by
// the grants that m lists.
func advertisesScopes(t *testing.T, b *bank, m map[string]any) {
	t.Helper()
	listed, _ := m["scopes_supported"].([]any)
	for _, scope := range []string{"openid", "accounts", "payments", "profile", "email", "offline_access", "nobody"} {
		f := keyClient("a")
		f.Scope, f.Profile = scope, b.profiles()[0]
		b := newBank(t, clients(f), func(c *authz.Config) {
			registry := c.Clients
			*c = b.config
			c.Clients = registry
		})
		var works bool
		if m["authorization_endpoint"] == nil {
			status, _ := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
			works = status == 200
		} else {
			v := changed(changed(f.pushable(), "scope", scope), "response_mode", "jwt") // which every profile takes, signed as it is
			works = b.do(f.request("/par", f.authenticate(b, url.Values{"request": {f.object(f.asks(b, v))}}))).StatusCode == 201
		}
		if works != slices.Contains(listed, any(scope)) {
			t.Errorf("scopes_supported is %v, and %s works: %t", listed, scope, works)
		}
	}
}

// retired is a set that publishes a key which signs no more, and one that is
// for whatever fits it.
type retired struct{ token.KeySet }

func (r retired) PublicKeys(ctx context.Context) ([]token.PublicKey, error) {
	keys, err := r.KeySet.PublicKeys(ctx)
	return append(slices.Clone(keys), token.PublicKey{ID: "old", Algorithm: "PS256", Key: rsaKey().Public()}, token.PublicKey{ID: "next", Key: edKey.Public()}), err
}

// TestKeyThatSignsNoMore: it is published, and what it signed before is not
// offered any more.
func TestKeyThatSignsNoMore(t *testing.T) {
	b := newBank(t, nil, func(c *authz.Config) { c.Keys = retired{serverKeys} })
	t.Run("RFC8414-I-1 OIDC-SE-5 its algorithm is not listed, and it is published", func(t *testing.T) {
		if d := cmp.Diff([]any{"ES256"}, object(t, b.do(get(issuer+wellKnown)))["id_token_signing_alg_values_supported"]); d != "" {
			t.Error(d)
		}
		if keys := object(t, b.do(get(issuer+"/jwks")))["keys"].([]any); len(keys) != 3 {
			t.Errorf("%d keys", len(keys))
		}
	})
}
