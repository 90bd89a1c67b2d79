package authz_test

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
)

// TestFAPI1Matrix is the whole of it for every variant: how the client
// authenticates, how its request arrives, how it is answered.
func TestFAPI1Matrix(t *testing.T) {
	for _, method := range []func(string) *fintech{tlsClient, selfSignedClient, keyClient} {
		for _, answer := range []func(*fintech) *fintech{(*fintech).hybrid, (*fintech).jarmed} {
			for _, pushed := range []bool{false, true} {
				f := answer(method("kakeibo"))
				name := strings.Join([]string{f.AuthMethod, f.ResponseTypes[0], map[bool]string{true: "pushed", false: "by value"}[pushed]}, ", ")
				t.Run("FAPI1-ADV-5.2.2-0 FAPI1-BASE-5.2.2-1 FAPI1-BASE-5.2.2-4 FAPI1-ADV-5.2.2-1 FAPI1-ADV-5.2.2-2 FAPI1-ADV-5.2.2-11 FAPI1-ADV-5.2.2-14 CT-1 "+name, func(t *testing.T) {
					driveFAPI1(t, f, pushed)
				})
			}
		}
	}
}

// driveFAPI1 drives one flow from request to refresh.
func driveFAPI1(t *testing.T, f *fintech, pushed bool) {
	b := newBank(t, clients(f), advanced)
	br := &browser{b: b}
	want := f.wants()
	ask := f.byValue
	if pushed {
		want = challenged(want)
		ask = func(claims m) *http.Request { return f.byPush(b, claims) }
	}
	res := br.decideAt(ask(f.asks(b, want)), b.approval())
	back := f.back(t, res)
	v := f.redeemable(back.Get("code"))
	if !pushed {
		v.Del("code_verifier")
	}
	if back.Get("state") != "st-4Jx9" || back.Get("iss") != issuer || back.Has("access_token") {
		t.Errorf("the client is told %v", back)
	}

	status, got := f.token(b, v)
	if status != 200 || !strings.EqualFold(got["token_type"].(string), "Bearer") { // TOK-12
		t.Fatalf("token: %d %v %+v", status, got, b.lastEvent())
	}
	access := claimsOf(t, got["access_token"].(string))
	if d := cmp.Diff(m{"x5t#S256": mtls.Thumbprint(f.chain[0])}, access["cnf"]); d != "" {
		t.Errorf("FAPI1-ADV-5.2.2-6: cnf %s", d)
	}
	if err := f.check(b, got["access_token"].(string)); err != nil {
		t.Errorf("the API: %v", err)
	}
	id := signedClaims(t, got["id_token"].(string))
	if id["sub"] != customer || id["nonce"] != "n-0S6_WzA2Mj" || id["at_hash"] != halved(got["access_token"].(string)) {
		t.Errorf("FAPI1-BASE-5.2.2.1-6 FAPI1-ADV-8.3.5: the ID token says %v", id)
	}
	if got["scope"] != "openid accounts" {
		t.Errorf("FAPI1-BASE-5.2.2-15: scope is %v", got["scope"])
	}
	status, again := f.token(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}})
	if status != 200 || f.check(b, again["access_token"].(string)) != nil {
		t.Errorf("refresh: %d %v", status, again)
	}
	if res := br.openPage(f.byValue(f.asks(b, f.wants()))); res.StatusCode != 200 {
		t.Errorf("a second request: %d %+v", res.StatusCode, b.lastEvent())
	}
}

// TestFAPI1Clients: what a client may have registered.
func TestFAPI1Clients(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(c *authz.Client)
		rule string // "" means that it fits
	}{
		{"FAPI1-ADV-5.2.2-0 as it should be", func(*authz.Client) {}, ""},
		{"FAPI1-ADV-5.2.2-14 FAPI1-BASE-5.2.2-4 a secret", func(c *authz.Client) { c.AuthMethod = "client_secret_basic" }, "FAPI1-ADV-5.2.2-14"},
		{"FAPI1-ADV-5.2.2-14 a secret in a JWT", func(c *authz.Client) { c.AuthMethod = "client_secret_jwt" }, "FAPI1-ADV-5.2.2-14"},
		{"FAPI1-ADV-5.2.2-16 FAPI1-BASE-5.2.2-2 a public client", func(c *authz.Client) { c.AuthMethod = "none" }, "FAPI1-ADV-5.2.2-14"},
		{"FAPI1-ADV-5.2.2-5 FAPI1-ADV-5.2.2-6 tokens that are not bound", func(c *authz.Client) { c.CertificateBoundTokens = false }, "FAPI1-ADV-5.2.2-5"},
		{"FAPI1-ADV-5.2.2-5 none are needed by an API, which gets no tokens", func(c *authz.Client) {
			c.Resource, c.GrantTypes, c.ResponseTypes, c.RedirectURIs = resource, []string{}, []string{}, nil
			c.CertificateBoundTokens = false
		}, ""},
		{"FAPI1-ADV-5.2.2-6 tokens bound by DPoP", func(c *authz.Client) { c.CertificateBoundTokens, c.DPoPBoundTokens = false, true }, "FAPI1-ADV-5.2.2-5"},
		{"FAPI1-ADV-5.2.2-6 tokens bound by both", func(c *authz.Client) { c.DPoPBoundTokens = true }, "FAPI1-ADV-5.2.2-5"},
		{"FAPI1-ADV-5.2.2-2 both response types", func(c *authz.Client) { c.ResponseTypes = []string{"code id_token", "code"} }, ""},
		{"RFC6749-3.1.1-1 the words in another order", func(c *authz.Client) { c.ResponseTypes = []string{"id_token code"} }, ""},
		{"FAPI1-ADV-5.2.2-2 FAPI1-BASE-5.2.2-23 OIDR-2 a token from the browser", func(c *authz.Client) { c.ResponseTypes = []string{"code id_token token"} }, "FAPI1-ADV-5.2.2-2"},
		{"FAPI1-ADV-5.2.2-2 FAPI1-BASE-5.2.2-23 an ID token alone", func(c *authz.Client) { c.ResponseTypes = []string{"id_token"} }, "FAPI1-ADV-5.2.2-2"},
		{"OIDR-3 hybrid without implicit", func(c *authz.Client) { c.GrantTypes = []string{"authorization_code"} }, ""},
		{"OIDR-3 hybrid with implicit alone", func(c *authz.Client) { c.GrantTypes = []string{"implicit"} }, "OIDR-3"},
		{"OIDR-3 implicit without hybrid", func(c *authz.Client) { c.ResponseTypes = []string{"code"} }, "OIDR-3"},
		{"OIDR-3 passwords", func(c *authz.Client) { c.GrantTypes = append(c.GrantTypes, "password") }, "OIDR-3"},
		{"FAPI1-ADV-5.2.2-2 form_post", func(c *authz.Client) { c.ResponseModes = []string{"fragment", "form_post"} }, ""},
		{"FAPI1-ADV-5.2.2-2 query", func(c *authz.Client) { c.ResponseModes = []string{"query"} }, "FAPI1-ADV-5.2.2-2"},
		{"FAPI1-BASE-5.2.2-20 http", func(c *authz.Client) { c.RedirectURIs = []string{"http://app.fintech.example/cb"} }, "FAPI1-BASE-5.2.2-20"},
		{"FAPI1-BASE-7.5-0 FAPI1-BASE-7.5-2 a loopback of a native client", func(c *authz.Client) {
			c.ApplicationType, c.RedirectURIs = "native", []string{"http://127.0.0.1/cb"}
		}, "FAPI1-BASE-5.2.2-20"},
		{"FAPI1-BASE-7.5-2 a loopback by IPv6", func(c *authz.Client) { c.ApplicationType, c.RedirectURIs = "native", []string{"http://[::1]/cb"} }, "FAPI1-BASE-5.2.2-20"},
		{"FAPI1-BASE-7.5-1 a scheme of one's own", func(c *authz.Client) { c.ApplicationType, c.RedirectURIs = "native", []string{"com.example.app://cb"} }, "FAPI1-BASE-5.2.2-20"},
		{"FAPI1-BASE-7.5-0 a claimed URI of a native client", func(c *authz.Client) { c.ApplicationType = "native" }, ""},
		{"FAPI1-BASE-5.2.2-8 no redirect_uris", func(c *authz.Client) { c.RedirectURIs = nil }, "FAPI1-BASE-5.2.2-8"},
		{"FAPI1-ADV-8.9-1 jwks_uri by http", func(c *authz.Client) { c.JWKS, c.JWKSURI = nil, "http://app.fintech.example/jwks" }, "FAPI1-ADV-8.9-1"},
		{"FAPI1-ADV-8.9-0 jwks_uri by https", func(c *authz.Client) { c.JWKS, c.JWKSURI = nil, "https://app.fintech.example/jwks" }, ""},
		{"OIDR-7 no keys, for every request is signed", func(c *authz.Client) { c.JWKS = nil }, "OIDR-7"},
		{"FAPI1-BASE-5.2.2-5 an RSA key of 1024 bits", func(c *authz.Client) {
			c.JWKS = jwks(m{"kty": "RSA", "kid": "w", "use": "sig", "e": "AQAB", "n": b64url(bytes.Repeat([]byte{0xff}, 128))})
		}, "FAPI2-SP-5.4.1-2"},
		{"FAPI1-ADV-8.6-1 FAPI1-ADV-8.6-2 RS256", func(c *authz.Client) { c.IDTokenAlg = "RS256" }, "FAPI1-ADV-8.6-1"},
		{"FAPI1-ADV-8.6-3 none", func(c *authz.Client) { c.RequestAlg = "none" }, "FAPI1-ADV-8.6-1"},
		{"FAPI1-ADV-8.6-1 EdDSA, which FAPI 2.0 allows", func(c *authz.Client) { c.AuthSigningAlg = "EdDSA" }, "FAPI1-ADV-8.6-1"},
		{"FAPI1-ADV-8.6-1 PS256", func(c *authz.Client) { c.IDTokenAlg = "PS256" }, ""},
		{"FAPI1-ADV-8.6.1-1 RSA1_5", func(c *authz.Client) { c.IDTokenEncryption.Alg = "RSA1_5" }, "OIDR-10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo").hybrid()
			b := newBank(t, clients(f), advanced)
			object := f.object(f.asks(b, f.wants()))
			tt.with(f.Client)
			err := b.srv.CheckClient(f.Client)
			if tt.rule == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if got := rules(t, err); !slices.Contains(got, tt.rule) {
				t.Errorf("rules %v, want %s", got, tt.rule)
			}
			form := url.Values{
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				"client_assertion":      {f.signed(f.assertion(b))}, "request": {object},
			}
			if !f.send(b, "/par", form, 401) {
				t.Error("the client is served")
			}
		})
	}
}

// TestFAPI1Server: what New refuses.
func TestFAPI1Server(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(*authz.Config)
		want []string
	}{
		{"MD-1 an issuer by http", func(c *authz.Config) { c.Issuer = "http://as.bank.example" }, []string{"MD-1"}},
		{"TOK-2 codes of 61 seconds", func(c *authz.Config) { c.CodeLifetime = 61 * time.Second }, []string{"TOK-2"}},
		{"PAR-2.2-1 requests of ten minutes", func(c *authz.Config) { c.RequestLifetime = 10 * time.Minute }, []string{"PAR-2.2-1"}},
		{"PAR-2.2-1 requests of four seconds", func(c *authz.Config) { c.RequestLifetime = 4 * time.Second }, []string{"PAR-2.2-1"}},
		{"MD-1 FAPI2-SP-5.2.1-1 each profile says so", func(c *authz.Config) {
			c.Issuer = "http://as.bank.example"
			c.Profiles = append(c.Profiles, authz.FAPI2Security)
		}, []string{"FAPI2-SP-5.2.1-1", "MD-1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newBank(t, nil, advanced).config
			tt.with(&c)
			_, err := authz.New(c)
			got := rules(t, err)
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("rules %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("FAPI1-ADV-8.5-1 the strictest TLS, whatever else is served", func(t *testing.T) {
		for _, profiles := range [][]authz.Profile{{authz.FAPI1Advanced}, {authz.FAPI2Security, authz.FAPI1Advanced}} {
			b := newBank(t, nil, func(c *authz.Config) { c.Profiles = profiles })
			if got := b.srv.TLSPolicy(); got != mtls.FAPI1 {
				t.Errorf("%v: policy %v", profiles, got)
			}
		}
	})
}

// TestFAPI1Metadata: what is advertised is what some profile allows.
func TestFAPI1Metadata(t *testing.T) {
	list := func(names ...string) (l []any) {
		for _, n := range names {
			l = append(l, n)
		}
		return l
	}
	alone := objectAt(t, newBank(t, nil, advanced), wellKnown)
	for _, tt := range []struct {
		row, name string
		want      any
	}{
		{"MD-1", "issuer", issuer},
		{"MD-2", "authorization_endpoint", issuer + "/authorize"},
		{"MD-3", "response_types_supported", list("code", "code id_token")},
		{"MD-3", "response_modes_supported", list("jwt", "query.jwt", "fragment.jwt", "form_post.jwt", "fragment", "form_post")},
		{"MD-4", "authorization_signing_alg_values_supported", list("ES256")},
		{"MD-5", "token_endpoint_auth_methods_supported", list("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth")},
		{"MD-6", "token_endpoint_auth_signing_alg_values_supported", list("PS256", "ES256")},
		{"MD-7", "id_token_signing_alg_values_supported", list("ES256")},
		{"MD-8", "request_object_signing_alg_values_supported", list("PS256", "ES256")},
		{"MD-9", "request_parameter_supported", true},
		{"MD-9", "request_uri_parameter_supported", false},
		{"MD-10", "pushed_authorization_request_endpoint", issuer + "/par"},
		{"MD-10", "code_challenge_methods_supported", list("S256")},
		{"MD-10", "require_pushed_authorization_requests", false},
		{"MD-11 FAPI1-ADV-5.2.2-6", "tls_client_certificate_bound_access_tokens", true},
		{"MD-13", "grant_types_supported", list("authorization_code", "refresh_token", "client_credentials")},
		{"MD-15", "claims_parameter_supported", true},
		{"MD-16", "require_signed_request_object", true},
		{"MD-17", "authorization_response_iss_parameter_supported", true},
		{"FAPI1-ADV-5.2.2-6", "dpop_signing_alg_values_supported", nil},
	} {
		t.Run(tt.row+" "+tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, alone[tt.name]); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("MD-14 scopes and subjects", func(t *testing.T) {
		if !slices.Contains(alone["scopes_supported"].([]any), any("openid")) || cmp.Diff(list("public"), alone["subject_types_supported"]) != "" {
			t.Errorf("%v, %v", alone["scopes_supported"], alone["subject_types_supported"])
		}
	})
	t.Run("MD-18 FAPI1-BASE-5.2.2-22 no empty list, and both documents are one", func(t *testing.T) {
		b := newBank(t, nil, advanced)
		if d := cmp.Diff(alone, objectAt(t, b, "/.well-known/oauth-authorization-server")); d != "" {
			t.Error(d)
		}
		for name, v := range alone {
			if l, ok := v.([]any); ok && len(l) == 0 {
				t.Errorf("%s is empty", name)
			}
		}
	})
	t.Run("MD-3 MD-9 MD-10 CONF-1 beside FAPI 2.0", func(t *testing.T) {
		both := objectAt(t, newBank(t, nil, func(c *authz.Config) {
			c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI1Advanced}
		}), wellKnown)
		for name, want := range (m{
			"response_types_supported":              list("code", "code id_token"),
			"response_modes_supported":              list("query", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt", "fragment", "form_post"),
			"require_pushed_authorization_requests": false,
			"require_signed_request_object":         false,
			"dpop_signing_alg_values_supported":     list("PS256", "ES256", "EdDSA", "Ed25519"),
		}) {
			if d := cmp.Diff(want, both[name]); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	})
}

// TestFAPI1TokenAnswer: what the token endpoint answers, and how long its secrets
// are.
func TestFAPI1TokenAnswer(t *testing.T) {
	f := keyClient("kakeibo").hybrid()
	b := newBank(t, clients(f), advanced)
	code := f.back(t, (&browser{b: b}).decideAt(f.byValue(f.asks(b, f.wants())), b.approval())).Get("code")
	v := f.redeemable(code)
	v.Del("code_verifier")
	res := b.do(f.request("/token", f.authenticate(b, v)))
	got := object(t, res)
	t.Run("FAPI1-BASE-5.2.2-14 JSON that nobody keeps", func(t *testing.T) {
		h := res.Header
		if res.StatusCode != 200 || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" || got["expires_in"] != exactly(300) {
			t.Errorf("%d %v %v", res.StatusCode, h, got["expires_in"])
		}
	})
	t.Run("FAPI1-BASE-5.2.2-16 a code and a refresh token of 256 secret bits", func(t *testing.T) {
		for _, text := range []string{code, got["refresh_token"].(string)} {
			if len(unb64(t, text)) < 1+16+32 {
				t.Errorf("%d bytes", len(unb64(t, text)))
			}
		}
	})
}
