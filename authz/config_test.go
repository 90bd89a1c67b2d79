package authz_test

import (
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
)

// rules returns the rules that an error says are broken.
func rules(t *testing.T, err error) []string {
	t.Helper()
	var v authz.Violations
	if !errors.As(err, &v) {
		t.Fatalf("error is %v, want Violations", err)
	}
	var ids []string
	for _, x := range v {
		if x.Value == "" || x.Remedy == "" {
			t.Errorf("%s has no value or remedy: %+v", x.Rule, x)
		}
		ids = append(ids, x.Rule)
	}
	return ids
}

func TestNewRefuses(t *testing.T) {
	good := newBank(t, nil).config
	tests := []struct {
		name string
		with func(*authz.Config)
		want []string
	}{
		{"RFC8414-2-1 no issuer", func(c *authz.Config) { c.Issuer = "" }, []string{"RFC8414-2-1", "FAPI2-SP-5.2.1-1"}},
		{"RFC8414-2-1 a query", func(c *authz.Config) { c.Issuer += "?a=b" }, []string{"RFC8414-2-1"}},
		{"RFC8414-2-1 an empty query", func(c *authz.Config) { c.Issuer += "?" }, []string{"RFC8414-2-1"}},
		{"RFC8414-2-1 a fragment", func(c *authz.Config) { c.Issuer += "#a" }, []string{"RFC8414-2-1"}},
		{"RFC8414-2-1 a user", func(c *authz.Config) { c.Issuer = "https://a@as.bank.example" }, []string{"RFC8414-2-1"}},
		{"RFC8414-3-1 a slash at the end", func(c *authz.Config) { c.Issuer += "/" }, []string{"RFC8414-3-1"}},
		{"RFC8414-3-1 an escape", func(c *authz.Config) { c.Issuer += "/%7e" }, []string{"RFC8414-3-1"}},
		{"FAPI2-SP-5.2.1-1 plain http", func(c *authz.Config) { c.Issuer = "http://as.bank.example" }, []string{"FAPI2-SP-5.2.1-1"}},
		{"FAPI2-SP-5.2.1-1 plain http for certificates", func(c *authz.Config) { c.MTLSBase = "http://mtls.bank.example" }, []string{"FAPI2-SP-5.2.1-1"}},
		{"RFC8705-5-1 another path", func(c *authz.Config) { c.MTLSBase = "https://mtls.bank.example/other" }, []string{"RFC8705-5-1"}},
		{"RFC8705-5-1 a user at the mTLS host", func(c *authz.Config) { c.MTLSBase = "https://u@mtls.bank.example" }, []string{"RFC8705-5-1"}},
		{"RFC8705-5-1 a query at the mTLS host", func(c *authz.Config) { c.MTLSBase = "https://mtls.bank.example?" }, []string{"RFC8705-5-1"}},
		{"OIDC-IT-7 an acr that cannot be asked for", func(c *authz.Config) { c.ACRValues = []string{"urn:a", "urn:b c"} }, []string{"OIDC-IT-7"}},
		{"OIDC-IT-7 an acr twice", func(c *authz.Config) { c.ACRValues = []string{"urn:a", "urn:a"} }, []string{"OIDC-IT-7"}},
		{"no store", func(c *authz.Config) { c.Store = nil }, []string{"Config"}},
		{"no keys", func(c *authz.Config) { c.Keys = nil }, []string{"Config"}},
		{"no clients", func(c *authz.Config) { c.Clients = nil }, []string{"Config"}},
		{"no secret", func(c *authz.Config) { c.Secrets = nil }, []string{"Config"}},
		{"a short secret behind a good one", func(c *authz.Config) { c.Secrets = append(slices.Clone(c.Secrets), make([]byte, 31)) }, []string{"Config"}},
		{"RFC9068-3-1 no resource", func(c *authz.Config) { c.Resources = nil }, []string{"RFC9068-3-1"}},
		{"RFC9068-3-1 a relative resource", func(c *authz.Config) { c.Resources = []authz.Resource{{ID: "/api"}} }, []string{"RFC9068-3-1"}},
		{"RFC6749-3.3-1 a scope with a space", func(c *authz.Config) { c.Scopes = []string{"a b"} }, []string{"RFC6749-3.3-1"}},
		{"FAPI2-SP-5.3.2.1-11 codes of 61 s", func(c *authz.Config) { c.CodeLifetime = 61 * time.Second }, []string{"FAPI2-SP-5.3.2.1-11"}},
		{"FAPI2-SP-5.3.2.2-12 CONF-6 requests of 600 s", func(c *authz.Config) { c.RequestLifetime = 600 * time.Second }, []string{"FAPI2-SP-5.3.2.2-12"}},
		{"FAPI2-SP-5.3.2.2-12 requests of 4 s", func(c *authz.Config) { c.RequestLifetime = 4 * time.Second }, []string{"FAPI2-SP-5.3.2.2-12"}},
		{"a negative life", func(c *authz.Config) { c.AccessTokenLifetime = -time.Second }, []string{"Config"}},
		{"half a second", func(c *authz.Config) { c.AccessTokenLifetime = 500 * time.Millisecond }, []string{"Config"}},
		{"OIDC-IT-17 an ID token of a day", func(c *authz.Config) { c.IDTokenLifetime = 24 * time.Hour }, []string{"OIDC-IT-17"}},
		{"RFC9449-4.3-13 an international host", func(c *authz.Config) { c.Issuer = "https://bänk.example" }, []string{"RFC9449-4.3-13"}},
		{"RFC9449-4.3-13 an international alias", func(c *authz.Config) { c.MTLSBase = "https://mtls.bänk.example" }, []string{"RFC9449-4.3-13"}},
		{"an unknown profile", func(c *authz.Config) { c.Profiles = []authz.Profile{"fapi3"} }, []string{"Config"}},
		{"everything at once", func(c *authz.Config) {
			*c = authz.Config{Issuer: "http://as.bank.example/", CodeLifetime: time.Hour}
		}, []string{"RFC8414-3-1", "Config", "Config", "Config", "Config", "RFC9068-3-1", "FAPI2-SP-5.2.1-1", "FAPI2-SP-5.3.2.1-11"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.with(&c)
			s, err := authz.New(c)
			if s != nil {
				t.Error("New returned a server")
			}
			if d := cmp.Diff(tt.want, rules(t, err)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNewAccepts(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(*authz.Config)
	}{
		{"FAPI2-SP-5.3.2.1-11 codes of 60 s", func(c *authz.Config) { c.CodeLifetime = time.Minute }},
		{"FAPI2-SP-5.3.2.2-12 requests of 599 s", func(c *authz.Config) { c.RequestLifetime = 599 * time.Second }},
		{"FAPI2-SP-5.3.2.2-12 requests of 5 s", func(c *authz.Config) { c.RequestLifetime = 5 * time.Second }},
		{"RFC8705-5-1 an mTLS host with a slash", func(c *authz.Config) { c.MTLSBase = "https://mtls.bank.example/" }},
		{"an issuer with a path", func(c *authz.Config) { c.Issuer += "/brand/a"; c.MTLSBase = "https://mtls.bank.example/brand/a" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newBank(t, nil).config
			tt.with(&c)
			if _, err := authz.New(c); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNewCopies: a host that reuses its Config does not change the server.
func TestNewCopies(t *testing.T) {
	f := keyClient("kakeibo")
	scopes := []string{"openid", "accounts"}
	secret := []byte("an example secret of 32 bytes or more")
	b := newBank(t, clients(f), func(c *authz.Config) { c.Scopes = scopes; c.Secrets = [][]byte{secret} })
	br := &browser{b: b}
	id, _ := io.ReadAll(br.open(f, f.push(b, f.pushable())).Body)
	scopes[0], scopes[1] = "x", "y"
	clear(secret)
	if _, err := b.srv.Interaction(br.page(string(id))); err != nil {
		t.Errorf("after the host cleared its secret and scopes: %v", err)
	}
	f.push(b, f.pushable())
}

func TestCheckClient(t *testing.T) {
	b := newBank(t, nil)
	weak := publicJWK(weakRSA().Public(), "weak", "PS256")
	private := publicJWK(newEC().Public(), "private", "ES256")
	private["d"] = private["x"]
	tests := []struct {
		name   string
		client *fintech
		with   func(*authz.Client)
		want   []string // nil: it fits
	}{
		{"private_key_jwt", keyClient("a"), func(*authz.Client) {}, nil},
		{"tls_client_auth", tlsClient("a"), func(*authz.Client) {}, nil},
		{"self_signed_tls_client_auth", selfSignedClient("a"), func(*authz.Client) {}, nil},
		{"FAPI2-SP-5.3.2.1-3 a public client", keyClient("a"), func(c *authz.Client) { c.AuthMethod = "none" }, []string{"FAPI2-SP-5.3.2.1-6"}},
		{"FAPI2-SP-5.3.2.1-6 a shared secret", keyClient("a"), func(c *authz.Client) { c.AuthMethod = "client_secret_basic" }, []string{"FAPI2-SP-5.3.2.1-6"}},
		{"OIDR-14 silence does not mean client_secret_basic", keyClient("a"), func(c *authz.Client) { c.AuthMethod = "" }, []string{"FAPI2-SP-5.3.2.1-6"}},
		{"FAPI2-SP-5.3.2.1-5 RFC7591-I-1 unbound tokens", keyClient("a"), func(c *authz.Client) { c.CertificateBoundTokens = false }, []string{"FAPI2-SP-5.3.2.1-5"}},
		{"FAPI2-SP-5.3.2.1-2 RFC9700-2.4-1 RFC7591-I-1 the password grant", keyClient("a"), func(c *authz.Client) { c.GrantTypes = []string{"password"} }, []string{"FAPI2-SP-5.3.2.1-2"}},
		{"RFC9700-2.1.2-1 the implicit grant", keyClient("a"), func(c *authz.Client) { c.GrantTypes = []string{"implicit"} }, []string{"FAPI2-SP-5.3.2.1-2"}},
		{"FAPI2-SP-5.3.2.2-1 OIDR-2 RFC7591-I-1 the hybrid flow", keyClient("a"), func(c *authz.Client) { c.ResponseTypes = []string{"code id_token"} }, []string{"FAPI2-SP-5.3.2.2-1"}},
		{"R7591-2-2 no redirect URI", keyClient("a"), func(c *authz.Client) { c.RedirectURIs = nil }, []string{"R7591-2-2"}},
		{"R7591-2-2 none is needed without a customer", keyClient("a"), func(c *authz.Client) { c.RedirectURIs = nil; c.GrantTypes = []string{"client_credentials"} }, nil},
		{"RFC6749-3.1.2-1 a fragment", keyClient("a"), func(c *authz.Client) { c.RedirectURIs = []string{callback + "#x"} }, []string{"RFC6749-3.1.2-1"}},
		{"RFC6749-3.1.2-1 a relative URI", keyClient("a"), func(c *authz.Client) { c.RedirectURIs = []string{"/cb"} }, []string{"RFC6749-3.1.2-1", "FAPI2-SP-5.3.2.2-8"}},
		{"OIDR-7 no keys for the self-signed method", selfSignedClient("a"), func(c *authz.Client) { c.JWKS = nil }, []string{"OIDR-7"}},
		{"RFC9068-2.1-1 tokens in a format that is none", keyClient("a"), func(c *authz.Client) { c.AccessTokenFormat = "saml" }, []string{"RFC9068-2.1-1"}},
		{"RFC6749-3.1.2-1 a URI without host", keyClient("a"), func(c *authz.Client) { c.RedirectURIs = []string{"https:///cb"} }, []string{"RFC6749-3.1.2-1"}},
		{"RFC6749-3.1.2-1 a URI without scheme", keyClient("a"), func(c *authz.Client) { c.RedirectURIs = []string{"//app.fintech.example/cb"} }, []string{"RFC6749-3.1.2-1", "FAPI2-SP-5.3.2.2-8"}},
		{"FAPI2-SP-5.3.2.2-8 RFC9700-2.6-3 OIDR-1 plain http", keyClient("a"), func(c *authz.Client) { c.RedirectURIs = []string{"http://app.fintech.example/cb"} }, []string{"FAPI2-SP-5.3.2.2-8"}},
		{"FAPI2-SP-5.3.2.2-8 OIDR-1 a scheme of its own", keyClient("a"), func(c *authz.Client) { c.RedirectURIs = []string{"kakeibo://cb"} }, []string{"FAPI2-SP-5.3.2.2-8"}},
		{"FAPI2-SP-5.3.2.2-8 loopback for a web client", keyClient("a"), func(c *authz.Client) { c.RedirectURIs = []string{"http://127.0.0.1/cb"} }, []string{"FAPI2-SP-5.3.2.2-8"}},
		{"FAPI2-SP-5.3.2.2-8 loopback for a native client", keyClient("a"), func(c *authz.Client) {
			c.ApplicationType, c.RedirectURIs = "native", []string{"http://127.0.0.1/cb", "http://[::1]/cb"}
		}, nil},
		{"FAPI2-SP-5.3.2.2-8 localhost by name", keyClient("a"), func(c *authz.Client) {
			c.ApplicationType, c.RedirectURIs = "native", []string{"http://localhost/cb"}
		}, []string{"FAPI2-SP-5.3.2.2-8"}},
		{"FAPI2-SP-5.3.2.2-8 loopback that is not the one address", keyClient("a"), func(c *authz.Client) {
			c.ApplicationType, c.RedirectURIs = "native", []string{"http://127.0.0.2/cb"}
		}, []string{"FAPI2-SP-5.3.2.2-8"}},
		{"FAPI2-SP-5.3.2.2-8 loopback with a user", keyClient("a"), func(c *authz.Client) {
			c.ApplicationType, c.RedirectURIs = "native", []string{"http://a@127.0.0.1/cb"}
		}, []string{"FAPI2-SP-5.3.2.2-8"}},
		{"FAPI2-SP-5.3.2.2-8 loopback by another scheme", keyClient("a"), func(c *authz.Client) {
			c.ApplicationType, c.RedirectURIs = "native", []string{"ftp://127.0.0.1/cb"}
		}, []string{"FAPI2-SP-5.3.2.2-8"}},
		{"FAPI2-SP-5.3.2.2-8 a name that begins like loopback", keyClient("a"), func(c *authz.Client) {
			c.ApplicationType, c.RedirectURIs = "native", []string{"http://127.0.0.1.evil.example/cb", "http://127.0.0.1@evil.example/cb"}
		}, []string{"FAPI2-SP-5.3.2.2-8"}},
		{"OIDR-3 R7591-2-3 a code and no grant type for it", keyClient("a"), func(c *authz.Client) {
			c.GrantTypes, c.ResponseTypes = []string{"client_credentials"}, []string{"code"}
		}, []string{"OIDR-3"}},
		{"OIDR-3 R7591-2-3 a grant type for codes and no code", keyClient("a"), func(c *authz.Client) { c.ResponseTypes = []string{} }, []string{"OIDR-3"}},
		{"OIDR-3 OIDR-2 both", keyClient("a"), func(c *authz.Client) { c.ResponseTypes = []string{"code"} }, nil},
		{"OIDR-3 both by default", keyClient("a"), func(c *authz.Client) { c.GrantTypes, c.ResponseTypes = nil, nil }, nil},
		{"OIDR-3 neither", keyClient("a"), func(c *authz.Client) {
			c.GrantTypes, c.ResponseTypes = []string{"client_credentials"}, []string{}
		}, nil},
		{"OIDR-4 an unknown type", keyClient("a"), func(c *authz.Client) { c.ApplicationType = "foo" }, []string{"OIDR-4"}},
		{"OIDR-7 RFC7591-2-2 keys in two places", keyClient("a"), func(c *authz.Client) { c.JWKSURI = "https://app.fintech.example/jwks" }, []string{"OIDR-7"}},
		{"OIDR-7 keys in no place", keyClient("a"), func(c *authz.Client) { c.JWKS = nil }, []string{"OIDR-7"}},
		{"OIDR-7 a private key", keyClient("a"), func(c *authz.Client) { c.JWKS = jwks(private) }, []string{"OIDR-7"}},
		{"OIDR-7 no key", keyClient("a"), func(c *authz.Client) { c.JWKS = jwks() }, []string{"OIDR-7"}},
		{"FAPI2-SP-5.4.1-2 RSA of 1024 bits", keyClient("a"), func(c *authz.Client) { c.JWKS = jwks(weak) }, []string{"FAPI2-SP-5.4.1-2", "OIDR-7"}},
		{"FAPI2-SP-5.4.2-1 keys over http", keyClient("a"), func(c *authz.Client) { c.JWKS, c.JWKSURI = nil, "http://app.fintech.example/jwks" }, []string{"FAPI2-SP-5.4.2-1"}},
		{"FAPI2-SP-5.4.2-1 keys at a URL with a password", keyClient("a"), func(c *authz.Client) { c.JWKS, c.JWKSURI = nil, "https://a:b@app.fintech.example/jwks" }, []string{"FAPI2-SP-5.4.2-1"}},
		{"FAPI2-SP-5.4.1-1b OIDR-15 RFC7591-I-1 RS256 assertions", keyClient("a"), func(c *authz.Client) { c.AuthSigningAlg = "RS256" }, []string{"FAPI2-SP-5.4.1-1b"}},
		{"FAPI2-SP-5.4.1-1b RS256 ID tokens", keyClient("a"), func(c *authz.Client) { c.IDTokenAlg = "RS256" }, []string{"FAPI2-SP-5.4.1-1b"}},
		{"FAPI2-SP-5.4.1-1c OIDR-9 RFC7591-I-1 unsigned ID tokens", keyClient("a"), func(c *authz.Client) { c.IDTokenAlg = "none" }, []string{"FAPI2-SP-5.4.1-1b"}},
		{"RFC8705-2.1-2 no subject", tlsClient("a"), func(c *authz.Client) { c.CertificateSubject.DN = "" }, []string{"RFC8705-2.1-2"}},
		{"RFC8705-2.1-2 two subjects", tlsClient("a"), func(c *authz.Client) { c.CertificateSubject.DNS = "app.fintech.example" }, []string{"RFC8705-2.1-2"}},
		{"RFC8705-2.2-1 no certificate", selfSignedClient("a"), func(c *authz.Client) { c.JWKS = keyClient("a").JWKS }, []string{"RFC8705-2.2-1"}},
		{"RFC9101-9-2 signed requests alone", keyClient("a"), func(c *authz.Client) { c.RequireSignedRequest = true }, nil},
		{"RFC9449-5.2-1 tokens bound to a key", keyClient("a").dpop(), func(*authz.Client) {}, nil},
		{"FAPI2-SP-5.3.2.1-5 tokens bound in two ways", keyClient("a").dpop(), func(c *authz.Client) { c.CertificateBoundTokens = true }, []string{"FAPI2-SP-5.3.2.1-5"}},
		{"OIDC-IT-13 OIDR-10 encrypted ID tokens, and no key for them", keyClient("a"), func(c *authz.Client) { c.IDTokenEncryption.Alg = "RSA-OAEP-256" }, []string{"OIDR-10"}},
		{"OIDC-SU-1 pairwise subjects", keyClient("a"), func(c *authz.Client) { c.SubjectType = "pairwise" }, []string{"OIDC-SU-1"}},
		{"OIDC-SU-1 subjects of no known type", keyClient("a"), func(c *authz.Client) { c.SubjectType = "Public" }, []string{"OIDC-SU-1"}},
		{"OIDC-SU-1 public subjects", keyClient("a"), func(c *authz.Client) { c.SubjectType = "public" }, nil},
		{"OIDR-16 a max_age by default", keyClient("a"), func(c *authz.Client) { c.DefaultMaxAge = new(int64(60)) }, nil},
		{"OIDR-16 a max_age before time", keyClient("a"), func(c *authz.Client) { c.DefaultMaxAge = new(int64(-1)) }, []string{"OIDR-16"}},
		{"OIDR-16 a max_age beyond reason", keyClient("a"), func(c *authz.Client) { c.DefaultMaxAge = new(int64(1 << 31)) }, []string{"OIDR-16"}},
		{"a profile that the server does not list", keyClient("a"), func(c *authz.Client) { c.Profile = "fapi1-advanced" }, []string{"CONF-1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.with(tt.client.Client)
			err := b.srv.CheckClient(tt.client.Client)
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if d := cmp.Diff(tt.want, rules(t, err)); d != "" {
				t.Error(d)
			}
		})
	}

	t.Run("RFC8705-2-7 the PKI method without authorities", func(t *testing.T) {
		b := newBank(t, nil, func(c *authz.Config) { c.Authorities = nil })
		if d := cmp.Diff([]string{"RFC8705-2-7"}, rules(t, b.srv.CheckClient(tlsClient("a").Client))); d != "" {
			t.Error(d)
		}
	})
}

// TestUnfitClient: what CheckClient finds is found at every request, too.
func TestUnfitClient(t *testing.T) {
	t.Run("RFC9126-7.4-1 a client that no longer fits its profile is turned away", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		uri := f.push(b, f.pushable())
		f.CertificateBoundTokens = false
		res := b.do(f.request("/par", f.authenticate(b, f.pushable())))
		if got := object(t, res); res.StatusCode != 401 || got["error"] != "invalid_client" {
			t.Errorf("PAR: %d %v", res.StatusCode, got)
		}
		if e := b.lastEvent(); e.Rule != "FAPI2-SP-5.3.2.1-5" {
			t.Errorf("the operator is told %+v", e)
		}
		page := (&browser{b: b}).open(f, uri)
		if body, _ := io.ReadAll(page.Body); page.StatusCode != 400 || !strings.Contains(string(body), "unauthorized_client") {
			t.Errorf("authorize: %d %s", page.StatusCode, body)
		}
	})
}

// TestServerWithoutPages has no authorization endpoint and says so.
func TestServerWithoutPages(t *testing.T) {
	f := keyClient("machine")
	b := newBank(t, clients(f), func(c *authz.Config) { c.Interact = nil })
	for _, path := range []string{"/authorize", "/par"} {
		if res := b.do(f.request(path, f.authenticate(b, f.pushable()))); res.StatusCode != 404 {
			t.Errorf("%s answers %d", path, res.StatusCode)
		}
	}
	m := object(t, b.do(httptest.NewRequest("GET", issuer+"/.well-known/openid-configuration", nil)))
	for _, name := range []string{"authorization_endpoint", "pushed_authorization_request_endpoint", "code_challenge_methods_supported"} {
		if v, ok := m[name]; ok {
			t.Errorf("the metadata has %s %v", name, v)
		}
	}
	if d := cmp.Diff([]any{"client_credentials"}, m["grant_types_supported"]); d != "" {
		t.Error(d)
	}
}

// weakRSA returns a key that no profile allows.
func weakRSA() *rsa.PrivateKey {
	n, _ := new(big.Int).SetString(strings.Repeat("c3", 128), 16)
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}}
}

func TestTLSPolicy(t *testing.T) {
	t.Run("CONF-28 the policy of the one profile served", func(t *testing.T) {
		if got := newBank(t, nil).srv.TLSPolicy(); got != mtls.FAPI2 {
			t.Errorf("TLSPolicy is %v, want FAPI2", got)
		}
	})
}
