package authz_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
)

const (
	bancoex = "urn:bancoex:C1DD33123"
	loa2    = "urn:brasil:openbanking:loa2"
	loa3    = "urn:brasil:openbanking:loa3"
)

// psKey is what a bank of the region signs with.
var psKeys = sync.OnceValue(func() token.KeySet {
	k, err := token.NewKeySet(token.PrivateKey{ID: "as-ps", Algorithm: "PS256", Signer: rsaKey()})
	if err != nil {
		panic(err)
	}
	return k
})

// sealKey is what clients of the region have encrypted to.
var sealKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// sealJWK is its public half as the directory publishes it.
func sealJWK() m {
	jwk := publicJWK(sealKey().Public(), "enc-1", "RSA-OAEP")
	jwk["use"] = "enc"
	return jwk
}

// brazilian returns a client whose keys are in the directory s.
func brazilian(s *keyServer, id string) *fintech {
	f := &fintech{Client: metadata(id), key: rsaKey(), alg: "PS256", kid: id + "-ps"}
	f.Profile, f.AuthMethod = authz.OpenFinanceBrasil, "private_key_jwt"
	f.ResponseTypes = []string{"code id_token"}
	f.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials", "implicit"}
	f.Scope = "openid accounts consents resources payments"
	f.JWKSURI = s.URL + "/" + id
	f.IDTokenEncryption = authz.Encryption{Alg: "RSA-OAEP", Enc: "A256GCM"}
	f.chain = []*x509.Certificate{testCA.issue(&x509.Certificate{Subject: pkix.Name{Country: []string{"BR"}, CommonName: id}}, rsaKey())}
	s.publish(f.jwk(), sealJWK())
	return f
}

// inBrazil serves the profile alone. Consents stand unless standing says no.
func inBrazil(s *keyServer, standing func(authz.ConsentRequest) string) func(*authz.Config) {
	return func(c *authz.Config) {
		s.reachable(c)
		c.Keys = psKeys()
		c.Profiles = []authz.Profile{authz.OpenFinanceBrasil}
		c.MTLSBase = "https://mtls.bank.example"
		c.ACRValues = []string{loa2, loa3}
		c.Scopes = []string{
			"openid", "accounts", "credit-cards-accounts", "consents", "customers", "invoice-financings",
			"financings", "loans", "unarranged-accounts-overdraft", "resources", "payments",
		}
		c.Consent = func(_ context.Context, r authz.ConsentRequest) (string, error) {
			if standing == nil {
				return "", nil
			}
			return standing(r), nil
		}
	}
}

// consenting returns the claims of a good request object.
func (f *fintech) consenting(b *bank) m {
	return challengedClaims(f.asks(b, changed(f.wants(), "scope", "openid accounts consent:"+bancoex)))
}

// sim is the customer's yes, for a day.
func (b *bank) sim() authz.Decision {
	d := b.approval()
	d.ACR, d.Expires = loa2, b.clock.Now().Add(24*time.Hour)
	return d
}

// consented runs the flow up to what the browser brings back.
func (f *fintech) consented(t *testing.T, b *bank, d authz.Decision) url.Values {
	t.Helper()
	return fragment(t, (&browser{b: b}).decideAt(f.byPush(b, f.consenting(b)), d))
}

// brTokens runs the flow up to the tokens.
func (f *fintech) brTokens(t *testing.T, b *bank, d authz.Decision) map[string]any {
	t.Helper()
	status, got := f.token(b, f.redeemable(f.consented(t, b, d).Get("code")))
	if status != 200 {
		t.Fatalf("token: %d %v %+v", status, got, b.lastEvent())
	}
	return got
}

// TestBrazilRequests: one thing wrong with the request object.
func TestBrazilRequests(t *testing.T) {
	s := newKeyServer(t)
	f := brazilian(s, "receptora")
	ec := newEC()
	s.publish(f.jwk(), sealJWK(), publicJWK(ec.Public(), "ec", "ES256"), publicJWK(rsaKey().Public(), "rs", ""))
	b := newBank(t, clients(f), inBrazil(s, func(r authz.ConsentRequest) string {
		if strings.HasSuffix(r.ID, ":other") || r.Client.ID != f.ID || r.Step != "request" || r.Subject != "" || len(r.Scopes) != 2 || strings.Contains(strings.Join(r.Scopes, " "), "consent") {
			return "the consent is unknown"
		}
		return ""
	}))
	scoped := func(scope string) func(m, int64) { return setClaim("scope", scope) }
	for _, tt := range []struct {
		name   string
		change func(m, int64)
		code   string
		rule   string
	}{
		{"BR-9 no consent", scoped("openid accounts"), "invalid_scope", "BR-9"},
		{"BR-9 two consents", scoped("openid accounts consent:" + bancoex + " consent:urn:bancoex:other"), "invalid_scope", "BR-9"},
		{"BR-9 a consent that the bank does not know", scoped("openid accounts consent:urn:bancoex:other"), "invalid_scope", "BR-9"},
		{"BR-9 another way to write it", scoped("openid accounts Consent:" + bancoex), "invalid_scope", "RFC6749-5.2-3"},
		{"BR-9 no id", scoped("openid accounts consent:"), "invalid_scope", "BR-9"},
		{"BR-9 no namespace", scoped("openid accounts consent:C1DD33123"), "invalid_scope", "BR-9"},
		{"BR-9 a namespace and no name", scoped("openid accounts consent:urn:bancoex:"), "invalid_scope", "BR-9"},
		{"BR-9 a namespace of 33 characters", scoped("openid accounts consent:urn:" + strings.Repeat("b", 33) + ":C1"), "invalid_scope", "BR-9"},
		{"BR-9 a name that no URL has", scoped("openid accounts consent:urn:bancoex:C1{DD}"), "invalid_scope", "BR-9"},
		{"BR-9 a fragment", scoped("openid accounts consent:" + bancoex + "#2"), "invalid_scope", "BR-9"},
		{"BR-9 257 characters", scoped("openid accounts consent:urn:bancoex:" + strings.Repeat("C", 257-len("urn:bancoex:"))), "invalid_scope", "BR-9"},
		{"BR-9 a line's end", scoped("openid accounts consent:" + bancoex + "\n"), "invalid_scope", "BR-9"},
		{"BR-9 the consent alone", scoped("consent:" + bancoex), "invalid_request", "FAPI1-ADV-5.2.2.1-1"},
		{"BR-9 beside a scope that is not registered", scoped("openid customers consent:" + bancoex), "invalid_scope", "RFC6749-5.2-3"},
		{"BR-14 a code alone", each(setClaim("response_type", "code"), setClaim("response_mode", "jwt")), "unsupported_response_type", "BR-14"},
		{"BR-14 an ID token alone", setClaim("response_type", "id_token"), "unsupported_response_type", "BR-14"},
		{"BR-14 a signed response", setClaim("response_mode", "jwt"), "invalid_request", "BR-14"},
		{"BR-14 in the query", setClaim("response_mode", "query"), "invalid_request", "BR-14"},
		{"BR-17 OV-20 an id_token_hint", setClaim("id_token_hint", "x"), "invalid_request", "BR-17"},
		{"BR-1b no PKCE", drop("code_challenge"), "invalid_request", "FAPI1-ADV-5.2.2-18"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.consenting(b)
			tt.change(c, b.clock.Now().Unix())
			mustRefuse(t, b, f.pushed(b, c), 400, tt.code, tt.rule)
		})
	}
	for _, tt := range []struct {
		name   string
		change func(m, int64)
	}{
		{"BR-9 as it should be", func(m, int64) {}},
		{"BR-9 in another order, and twice the same", scoped("consent:" + bancoex + " accounts  openid consent:" + bancoex)},
		{"BR-9 256 characters", scoped("openid accounts consent:urn:bancoex:" + strings.Repeat("C", 256-len("urn:bancoex:")))},
		{"BR-9 a namespace of 32 characters", scoped("openid accounts consent:urn:" + strings.Repeat("b", 32) + ":C1")},
		{"BR-9 all that URLs have", scoped("openid accounts consent:urn:banco-x:a/b.c_d~e!$&'()*+,;=:@%2F")},
		{"BR-14 by form_post", setClaim("response_mode", "form_post")},
		{"BR-3 BR-27 claims, acr essential without values", setClaim("claims", m{"id_token": m{"acr": m{"essential": true}}})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.consenting(b)
			tt.change(c, b.clock.Now().Unix())
			if res := f.pushed(b, c); res.StatusCode != 201 {
				t.Errorf("%d %v %+v", res.StatusCode, object(t, res), b.lastEvent())
			}
		})
	}
	for name, object := range map[string]string{
		"ES256": jwt(m{"alg": "ES256", "kid": "ec"}, f.consenting(b), ec),
		"RS256": jwt(m{"alg": "RS256", "kid": "rs"}, f.consenting(b), rsaKey()),
	} {
		t.Run("BR-25 BR-J-6 "+name, func(t *testing.T) {
			mustRefuse(t, b, b.do(f.pushing(b, object)), 400, "invalid_request_object", "FAPI2-SP-5.4.1-1b")
		})
	}
	t.Run("BR-J-6 a key of the message's own", func(t *testing.T) {
		o := jwt(m{"alg": "PS256", "jwk": publicJWK(sealKey().Public(), "own", "PS256")}, f.consenting(b), sealKey())
		mustRefuse(t, b, b.do(f.pushing(b, o)), 400, "invalid_request_object", "RFC9101-6.2-1")
	})
	t.Run("BR-1b OV-2 by value", func(t *testing.T) {
		c := f.asks(b, changed(f.wants(), "scope", "openid accounts consent:"+bancoex))
		pageFor(t, b, b.do(f.byValue(c)), "invalid_request", "FAPI2-SP-5.3.2.2-3")
	})
	t.Run("BR-18 OV-9 expires_in", func(t *testing.T) {
		res := f.pushed(b, f.consenting(b))
		if got := object(t, res)["expires_in"].(float64); got < 60 {
			t.Errorf("expires_in is %v", got)
		}
	})
	t.Run("BR-9 a client for itself", func(t *testing.T) {
		for _, scope := range []string{"consent:" + bancoex, "accounts consent:" + bancoex} {
			res := b.do(f.request("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})))
			mustRefuse(t, b, res, 400, "invalid_scope", "RFC6749-5.2-3")
		}
		status, got := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"consents"}})
		if status != 200 || got["scope"] != "consents" || got["expires_in"] != 300.0 {
			t.Errorf("%d %v", status, got)
		}
	})
}

// TestBrazilClient: one thing wrong with who sends it.
func TestBrazilClient(t *testing.T) {
	s := newKeyServer(t)
	f := brazilian(s, "receptora")
	ec := newEC()
	s.publish(f.jwk(), sealJWK(), publicJWK(ec.Public(), "ec", "ES256"))
	b := newBank(t, clients(f), inBrazil(s, nil))
	forServers := &x509.Certificate{Subject: pkix.Name{CommonName: f.ID}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, tt := range []struct {
		name, rule string
		chain      []*x509.Certificate
	}{
		{"BR-CRT-3 OV-18 no certificate", "BR-CRT-3", nil},
		{"BR-CRT-2 BR-CRT-3 a certificate of nobody's", "BR-CRT-3", []*x509.Certificate{selfSigned(rsaKey(), f.ID)}},
		{"BR-CRT-1 a certificate for servers", "BR-CRT-3", []*x509.Certificate{testCA.issue(forServers, rsaKey())}},
		{"BR-25 BR-CRT-1 a certificate with a key that is not RSA", "BR-25", []*x509.Certificate{testCA.issue(&x509.Certificate{Subject: pkix.Name{CommonName: f.ID}}, newEC())}},
	} {
		for _, path := range []string{"/par", "/token", "/introspect", "/revoke"} {
			t.Run(tt.name+" at "+path, func(t *testing.T) {
				g := *f
				g.chain = tt.chain
				v := url.Values{"grant_type": {"client_credentials"}, "scope": {"consents"}, "token": {"x"}}
				if path == "/par" {
					v = url.Values{"request": {f.object(f.consenting(b))}}
				}
				mustRefuse(t, b, b.do(g.request(path, g.authenticate(b, v))), 401, "invalid_client", tt.rule)
			})
		}
	}
	t.Run("BR-CRT-3 no certificate at /userinfo", func(t *testing.T) {
		access := f.brTokens(t, b, b.sim())["access_token"].(string)
		g := *f
		g.chain = nil
		if res := b.do(g.asksInfo(b, access, nil)); res.StatusCode != 401 {
			t.Errorf("%d", res.StatusCode)
		}
	})
	t.Run("BR-25 BR-21 an assertion under ES256", func(t *testing.T) {
		v := f.authenticate(b, url.Values{"request": {f.object(f.consenting(b))}})
		v.Set("client_assertion", jwt(m{"alg": "ES256", "kid": "ec"}, f.assertion(b), ec))
		mustRefuse(t, b, b.do(f.request("/par", v)), 401, "invalid_client", "FAPI2-SP-5.4.1-1b")
	})
	t.Run("BR-16 client_secret_basic", func(t *testing.T) {
		r := f.request("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"consents"}})
		r.SetBasicAuth(f.ID, "secret")
		mustRefuse(t, b, b.do(r), 401, "invalid_client", "FAPI2-SP-5.3.2.1-6")
	})
	t.Run("BR-16 BR-21 OV-5 the certificate alone", func(t *testing.T) {
		v := url.Values{"client_id": {f.ID}, "grant_type": {"client_credentials"}, "scope": {"consents"}}
		mustRefuse(t, b, b.do(f.request("/token", v)), 401, "invalid_client", "RFC6749-2.3-2")
	})
}

// TestBrazilDirectoryKeys: what the directory withdraws is good for an hour.
func TestBrazilDirectoryKeys(t *testing.T) {
	s := newKeyServer(t)
	s.header.Set("Cache-Control", "max-age=86400")
	f := brazilian(s, "receptora")
	b := newBank(t, clients(f), inBrazil(s, nil))
	own := func() int {
		status, _ := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"consents"}})
		return status
	}
	if status := own(); status != 200 {
		t.Fatalf("%d %+v", status, b.lastEvent())
	}
	s.answer(500, nil) // and cannot be asked
	t.Run("BR-CRT-5 until an hour has passed", func(t *testing.T) {
		b.clock.Advance(time.Hour - time.Second)
		if status := own(); status != 200 {
			t.Errorf("%d %+v", status, b.lastEvent())
		}
	})
	t.Run("BR-CRT-5 BR-CRT-4 after an hour", func(t *testing.T) {
		b.clock.Advance(time.Second)
		if status := own(); status != 401 {
			t.Errorf("%d", status)
		}
	})
	t.Run("BR-CRT-5 BR-CRT-4 another key by then", func(t *testing.T) {
		g := *f
		g.key, g.kid = sealKey(), "receptora-ps2"
		s.publish(g.jwk(), sealJWK())
		b.clock.Advance(time.Minute)
		if status := own(); status != 401 {
			t.Errorf("the old key: %d", status)
		}
		if status, got := g.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"consents"}}); status != 200 {
			t.Errorf("the new key: %d %v", status, got)
		}
	})
}

// TestBrazilMetadata: one thing wrong with what is registered, or set.
func TestBrazilMetadata(t *testing.T) {
	s := newKeyServer(t)
	for _, tt := range []struct {
		name   string
		change func(*fintech)
		want   []string
	}{
		{"BR-21 BR-16 tls_client_auth", func(f *fintech) {
			f.AuthMethod, f.CertificateSubject = "tls_client_auth", mtls.Subject{DN: "CN=receptora"}
		}, []string{"BR-21"}},
		{"BR-16 self_signed_tls_client_auth", func(f *fintech) { f.AuthMethod = "self_signed_tls_client_auth" }, []string{"BR-21"}},
		{"BR-25 OV-7 ES256", func(f *fintech) { f.RequestAlg = "ES256" }, []string{"BR-25"}},
		{"BR-25 RSA-OAEP-256", func(f *fintech) { f.IDTokenEncryption.Alg = "RSA-OAEP-256" }, []string{"BR-25"}},
		{"BR-25 ECDH-ES", func(f *fintech) { f.IDTokenEncryption.Alg = "ECDH-ES" }, []string{"BR-25"}},
		{"BR-25 A128GCM", func(f *fintech) { f.IDTokenEncryption.Enc = "A128GCM" }, []string{"BR-25"}},
		{"BR-25 A128CBC-HS256 by default", func(f *fintech) { f.IDTokenEncryption.Enc = "" }, []string{"BR-25"}},
		{"BR-22b no encryption", func(f *fintech) { f.IDTokenEncryption = authz.Encryption{} }, []string{"BR-22b"}},
		{"BR-23 BR-DCR-4 keys by value", func(f *fintech) { f.publishes(f.jwk()).publishes(sealJWK()).JWKSURI = "" }, []string{"BR-DCR-4"}},
		{"BR-14 code alone", func(f *fintech) { f.ResponseTypes = []string{"code"}; f.GrantTypes = f.GrantTypes[:3] }, []string{"BR-14"}},
		{"BR-14 code by default", func(f *fintech) { f.ResponseTypes, f.GrantTypes = nil, f.GrantTypes[:3] }, []string{"BR-14"}},
		{"BR-14 code as well", func(f *fintech) { f.ResponseTypes = []string{"code id_token", "code"} }, []string{"BR-14"}},
		{"BR-14 signed responses", func(f *fintech) { f.ResponseModes = []string{"jwt"} }, []string{"BR-14"}},
		{"BR-CRT-3 tokens that are bound to nothing", func(f *fintech) { f.CertificateBoundTokens = false }, []string{"FAPI1-ADV-5.2.2-5"}},
		{"BR-21 as it should be", func(*fintech) {}, nil},
		{"BR-9 a client of its own account", func(f *fintech) {
			f.GrantTypes, f.RedirectURIs, f.ResponseTypes, f.IDTokenEncryption = []string{"client_credentials"}, nil, nil, authz.Encryption{}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := brazilian(s, "receptora")
			tt.change(f)
			b := newBank(t, clients(f), inBrazil(s, nil))
			err := b.srv.CheckClient(f.Client)
			if tt.want == nil && err == nil {
				return
			}
			if d := cmp.Diff(tt.want, rules(t, err)); d != "" {
				t.Error(d)
			}
		})
	}
	for _, tt := range []struct {
		name   string
		change func(*authz.Config)
		want   []string
	}{
		{"BR-CRT-3 BR-DCR-27 BR-9 BR-2 BR-6 a server that is not ready for it", func(c *authz.Config) {
			c.Authorities, c.MTLSBase, c.Consent, c.Scopes, c.ACRValues = nil, "", nil, []string{"openid"}, nil
		}, []string{"BR-CRT-3", "BR-DCR-27", "BR-9", "BR-2", "BR-6"}},
		{"BR-2 consents without resources", func(c *authz.Config) { c.Scopes = []string{"openid", "consents"} }, []string{"BR-2", "BR-28"}},
		{"BR-2 payments without openid", func(c *authz.Config) { c.Scopes = []string{"payments"} }, []string{"BR-2"}},
		{"BR-2 BR-28 payments alone", func(c *authz.Config) { c.Scopes = []string{"openid", "payments"} }, nil},
		{"BR-28 a product is not there", func(c *authz.Config) {
			c.Scopes = slices.DeleteFunc(c.Scopes, func(s string) bool { return s == "loans" })
		}, []string{"BR-28"}},
		{"BR-9 a consent is offered", func(c *authz.Config) { c.Scopes = append(c.Scopes, "consent:"+bancoex) }, []string{"BR-9"}},
		{"BR-6 loa3 alone", func(c *authz.Config) { c.ACRValues = []string{loa3} }, []string{"BR-6"}},
		{"BR-12 OV-8 299 seconds", func(c *authz.Config) { c.AccessTokenLifetime = 299 * time.Second }, []string{"BR-12"}},
		{"BR-12 OV-8 901 seconds", func(c *authz.Config) { c.AccessTokenLifetime = 901 * time.Second }, []string{"BR-12"}},
		{"BR-12 900 seconds", func(c *authz.Config) { c.AccessTokenLifetime = 900 * time.Second }, nil},
		{"BR-18 59 seconds", func(c *authz.Config) { c.RequestLifetime = 59 * time.Second }, []string{"BR-18"}},
		{"PAR-2.2-1 ten minutes", func(c *authz.Config) { c.RequestLifetime = 10 * time.Minute }, []string{"PAR-2.2-1"}},
		{"PAR-2.2-1 ten minutes for a time", func(c *authz.Config) {
			c.RequestLifetime = 10 * time.Minute
			c.Waivers = []authz.Waiver{{Rule: "PAR-2.2-1", Clients: []string{"*"}, Reason: "slow pages", Expires: c.Now().AddDate(0, 1, 0)}}
		}, nil},
		{"BR-18 60 seconds", func(c *authz.Config) { c.RequestLifetime = 60 * time.Second }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newBank(t, nil, inBrazil(s, nil)).config
			c.Scopes = slices.Clone(c.Scopes)
			tt.change(&c)
			_, err := authz.New(c)
			if tt.want == nil && err == nil {
				return
			}
			if d := cmp.Diff(tt.want, rules(t, err)); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("BR-26 OV-19 the listeners", func(t *testing.T) {
		if got := newBank(t, nil, inBrazil(s, nil)).srv.TLSPolicy(); got != mtls.FAPI1NoResumption {
			t.Errorf("policy %d", got)
		}
	})
	t.Run("BR-28 waived for a time, and told", func(t *testing.T) {
		b := newBank(t, nil, inBrazil(s, nil), func(c *authz.Config) {
			c.Scopes = []string{"openid", "consents", "resources"}
			c.Waivers = []authz.Waiver{{Rule: "BR-28", Clients: []string{"*"}, Reason: "new scopes in March", Expires: c.Now().AddDate(0, 1, 0)}}
		})
		at := slices.IndexFunc(b.srv.Report().Profiles[0].Rules, func(r authz.RuleReport) bool { return r.Rule == "BR-28" })
		if got := b.srv.Report().Profiles[0].Rules[at]; got.State != "waived" || got.Value == "" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("BR-2 BR-21 BR-25 the report", func(t *testing.T) {
		var ids []string
		for _, r := range newBank(t, nil, inBrazil(s, nil)).srv.Report().Profiles[0].Rules {
			if ids = append(ids, r.Rule); r.State != "kept" {
				t.Errorf("%+v", r)
			}
			if strings.Contains(r.Demand, "tls_client_auth or") || strings.Contains(r.Demand, "ES256") {
				t.Errorf("%s demands %q", r.Rule, r.Demand)
			}
		}
		for _, id := range []string{"BR-2", "BR-6", "BR-9", "BR-12", "BR-14", "BR-17", "BR-18", "BR-21", "BR-22b", "BR-25", "BR-28", "BR-CRT-3", "BR-DCR-4", "BR-DCR-27", "FAPI1-ADV-5.2.2-5"} {
			if !slices.Contains(ids, id) {
				t.Errorf("without %s", id)
			}
		}
	})
}

// TestBrazilDiscovery pins what the document says for the profile alone.
func TestBrazilDiscovery(t *testing.T) {
	s := newKeyServer(t)
	b := newBank(t, nil, inBrazil(s, nil), decrypting(authz.DecryptionKey{ID: "d", Algorithm: "RSA-OAEP", Key: rsaKey()}, authz.DecryptionKey{ID: "e", Algorithm: "RSA-OAEP-256", Key: sealKey()}))
	got := object(t, b.do(get(issuer+wellKnown)))
	list := func(v ...any) []any { return v }
	for name, want := range map[string]any{
		"BR-1b require_pushed_authorization_requests":               true,
		"BR-1b require_signed_request_object":                       true,
		"BR-2 BR-28 scopes_supported":                               list("openid", "accounts", "credit-cards-accounts", "consents", "customers", "invoice-financings", "financings", "loans", "unarranged-accounts-overdraft", "resources", "payments"),
		"BR-3 claims_parameter_supported":                           true,
		"BR-3 claims_supported":                                     list("sub", "auth_time", "acr", "amr"),
		"BR-6 BR-7 acr_values_supported":                            list(loa2, loa3),
		"BR-8 userinfo_endpoint":                                    issuer + "/userinfo",
		"BR-14 OV-4 response_types_supported":                       list("code id_token"),
		"BR-14 response_modes_supported":                            list("fragment", "form_post"),
		"BR-14 authorization_signing_alg_values_supported":          nil,
		"BR-14 authorization_encryption_alg_values_supported":       nil,
		"BR-16 BR-21 token_endpoint_auth_methods_supported":         list("private_key_jwt"),
		"BR-16 introspection_endpoint_auth_methods_supported":       list("private_key_jwt"),
		"BR-16 revocation_endpoint_auth_methods_supported":          list("private_key_jwt"),
		"BR-16 dpop_signing_alg_values_supported":                   nil,
		"BR-20 OV-22 subject_types_supported":                       list("public"),
		"BR-25 token_endpoint_auth_signing_alg_values_supported":    list("PS256"),
		"BR-25 request_object_signing_alg_values_supported":         list("PS256"),
		"BR-25 id_token_signing_alg_values_supported":               list("PS256"),
		"BR-25 id_token_encryption_alg_values_supported":            list("RSA-OAEP"),
		"BR-25 id_token_encryption_enc_values_supported":            list("A256GCM"),
		"BR-25 userinfo_encryption_alg_values_supported":            list("RSA-OAEP"),
		"BR-25 introspection_encryption_enc_values_supported":       list("A256GCM"),
		"BR-25 OV-3 request_object_encryption_alg_values_supported": list("RSA-OAEP"),
		"BR-25 request_object_encryption_enc_values_supported":      list("A256GCM"),
		"BR-CRT-3 OV-18 tls_client_certificate_bound_access_tokens": true,
		"BR-11 grant_types_supported":                               list("authorization_code", "refresh_token", "client_credentials"),
		"BR-DCR-27 mtls_endpoint_aliases": map[string]any{
			"token_endpoint": "https://mtls.bank.example/token", "userinfo_endpoint": "https://mtls.bank.example/userinfo",
			"pushed_authorization_request_endpoint": "https://mtls.bank.example/par",
			"introspection_endpoint":                "https://mtls.bank.example/introspect", "revocation_endpoint": "https://mtls.bank.example/revoke",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(want, got[name[strings.LastIndexByte(name, ' ')+1:]]); d != "" {
				t.Error(d)
			}
		})
	}
}

// isRule reports whether err is the refusal with that code by that rule.
func isRule(err error, code authz.Code, rule string) bool {
	var e *authz.Error
	return errors.As(err, &e) && e.Code == code && e.Rule == rule
}
