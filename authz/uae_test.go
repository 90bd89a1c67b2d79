package authz_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/token"
)

const (
	accountConsent = `{"type":"urn:openfinanceuae:account-access-consent:v2.1","consent":{"ConsentId":"c-7","Permissions":["ReadAccountsBasic"]}}`
	serviceConsent = `{"type":"urn:openfinanceuae:service-initiation-consent:v2.1","consent":{"ConsentId":"c-8"}}`
)

// ofAnyRegion gives the bank the keys of a region that wants PS256.
func ofAnyRegion(c *authz.Config) {
	keys, err := token.NewKeySet(token.PrivateKey{ID: "as-ps", Algorithm: "PS256", Signer: rsaKey()}, token.PrivateKey{ID: "as-es", Algorithm: "ES256", Signer: newEC()})
	if err != nil {
		panic(err)
	}
	c.Keys = keys
}

// ofDirectory gives f what a region's directory gives its members: a key for
// PS256 and a certificate.
func (f *fintech) ofDirectory() *fintech {
	f.AuthMethod, f.JWKS = "private_key_jwt", nil
	f.key, f.alg, f.kid = rsaKey(), "PS256", f.ID+"-ps"
	f.publishes(publicJWK(f.key.Public(), f.kid, f.alg))
	f.chain = []*x509.Certificate{testCA.issue(&x509.Certificate{
		Subject: pkix.Name{Country: []string{"AE"}, Organization: []string{"Fintech"}, CommonName: f.ID},
	}, ecKeys.next())}
	return f
}

func emiratiClient(id string) *fintech {
	f := keyClient(id).ofDirectory()
	f.Profile = authz.UAEOpenFinance
	f.DetailsTypes = []string{"urn:openfinanceuae:account-access-consent:v2.1", "urn:openfinanceuae:service-initiation-consent:v2.1"}
	return f
}

// emirati serves the profile alone. Consents stand unless standing says no.
func emirati(standing func(authz.ConsentRequest) string) func(*authz.Config) {
	return func(c *authz.Config) {
		ofAnyRegion(c)
		c.Profiles = []authz.Profile{authz.UAEOpenFinance}
		c.AccessTokenLifetime = 10 * time.Minute
		c.DetailsTypes = []authz.DetailsType{
			{Name: "urn:openfinanceuae:account-access-consent:v2.1", Fields: []string{"consent"}, Scopes: []string{"accounts"}},
			{Name: "urn:openfinanceuae:service-initiation-consent:v2.1", Fields: []string{"consent"}, Scopes: []string{"payments"}},
		}
		c.Consent = func(_ context.Context, r authz.ConsentRequest) (string, error) {
			if standing == nil {
				return "", nil
			}
			return standing(r), nil
		}
	}
}

// services returns the claims of a good request object.
func (f *fintech) services(b *bank) m {
	v := f.pushable()
	c := f.asks(b, v)
	c["authorization_details"] = []json.RawMessage{json.RawMessage(accountConsent)}
	return c
}

// pushed pushes an object and returns the answer.
func (f *fintech) pushed(b *bank, claims m) *http.Response {
	return b.do(f.pushing(b, f.object(claims)))
}

// TestUAERequests: one thing wrong with the request object.
func TestUAERequests(t *testing.T) {
	f := emiratiClient("aggregator")
	b := newBank(t, clients(f), emirati(func(r authz.ConsentRequest) string {
		if strings.Contains(string(r.Details[0]), "c-unknown") {
			return "the consent is unknown"
		}
		return ""
	}))
	const minute = 60
	bad := "invalid_request_object"
	for _, tt := range []struct {
		name   string
		change func(m, int64)
		code   string
		rule   string
	}{
		{"UAE-4 ten minutes and a second after nbf", at("exp", 10*minute+1), bad, "UAE-4"},
		{"UAE-4 nbf ten minutes and a second old", each(at("nbf", -10*minute-1), at("exp", 1)), bad, "UAE-4"},
		{"UAE-4 no nbf", drop("nbf"), bad, "UAE-4"},
		{"UAE-4 no exp", drop("exp"), bad, "UAE-4"},
		{"UAE-4 for somebody else", setClaim("aud", "https://as.other.example"), bad, "FAPI2-MS-5.3.1-2"},
		{"UAE-15 max_age of an hour and a second", setClaim("max_age", 3601), bad, "UAE-15"},
		{"UAE-5 no authorization_details", drop("authorization_details"), "invalid_authorization_details", "UAE-5"},
		{"UAE-5 a type that is not registered", setClaim("authorization_details", raws(`{"type":"urn:other"}`)), "invalid_authorization_details", "RFC9396-5-1"},
		{"UAE-5 a consent that the hub does not know", setClaim("authorization_details", raws(strings.Replace(accountConsent, "c-7", "c-unknown", 1))), "invalid_authorization_details", "UAE-5"},
		{"UAE-5 no PKCE", drop("code_challenge"), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"UAE-6 a signed response", setClaim("response_mode", "jwt"), "invalid_request", "OIDC-AR-6"},
		{"UAE-14 no openid", setClaim("scope", "accounts"), "invalid_scope", "UAE-14"},
		{"UAE-14 openid alone", setClaim("scope", "openid"), "invalid_scope", "UAE-14"},
		{"UAE-14 two services", setClaim("scope", "openid accounts payments"), "invalid_scope", "UAE-14"},
		{"UAE-14 the scope of the other service", setClaim("scope", "openid payments"), "invalid_scope", "UAE-14"},
		{"UAE-14 the details of the other service", setClaim("authorization_details", raws(accountConsent, serviceConsent)), "invalid_scope", "UAE-14"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.services(b)
			tt.change(c, b.clock.Now().Unix())
			res := f.pushed(b, c)
			if got := object(t, res); res.StatusCode != 400 || got["error"] != tt.code || b.lastEvent().Rule != tt.rule {
				t.Errorf("%d %v, rule %s, want %s by %s", res.StatusCode, got, b.lastEvent().Rule, tt.code, tt.rule)
			}
		})
	}
	for _, tt := range []struct {
		name   string
		change func(m, int64)
	}{
		{"UAE-4 ten minutes after nbf", at("exp", 10*minute)},
		{"UAE-4 nbf nearly ten minutes old", each(at("nbf", -10*minute+1), at("exp", 1))},
		{"UAE-4 for us and others", setClaim("aud", []string{"https://as.other.example", issuer})},
		{"UAE-15 max_age of an hour", setClaim("max_age", 3600)},
		{"UAE-14 a service named twice", setClaim("scope", "accounts openid accounts")},
		{"UAE-5 UAE-14 the other service", each(setClaim("scope", "openid payments"), setClaim("authorization_details", raws(serviceConsent)))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.services(b)
			tt.change(c, b.clock.Now().Unix())
			if res := f.pushed(b, c); res.StatusCode != 201 {
				t.Errorf("%d %v %+v", res.StatusCode, object(t, res), b.lastEvent())
			}
		})
	}
	t.Run("UAE-4 a request that nobody signed", func(t *testing.T) {
		res := b.do(f.request("/par", f.authenticate(b, f.pushable())))
		if got := object(t, res); got["error"] != "invalid_request" || b.lastEvent().Rule != "RFC9126-2.3-4" {
			t.Errorf("%v %+v", got, b.lastEvent())
		}
	})
	t.Run("UAE-4 what stands outside does not count", func(t *testing.T) {
		v := f.authenticate(b, url.Values{"request": {f.object(f.services(b))}, "scope": {"openid payments"}, "client_id": {f.ID}})
		if res := b.do(f.request("/par", v)); res.StatusCode != 201 {
			t.Errorf("%d %v", res.StatusCode, object(t, res))
		}
		if got := b.lastEvent().Scopes; !cmp.Equal(got, []string{"openid", "accounts"}) {
			t.Errorf("scopes %v", got)
		}
	})
}

// TestUAEClient: one thing wrong with who sends it.
func TestUAEClient(t *testing.T) {
	f := emiratiClient("aggregator")
	b := newBank(t, clients(f), emirati(nil))
	for _, tt := range []struct {
		name   string
		change func(m, int64)
		rule   string
	}{
		{"UAE-3 aud is an array", setClaim("aud", []string{issuer}), "FAPI2-SP-5.3.2.1-8"},
		{"UAE-3 aud is the token endpoint", setClaim("aud", issuer+"/token"), "FAPI2-SP-5.3.2.1-8"},
		{"UAE-3 five minutes and a second", at("exp", 301), "UAE-3"},
		{"UAE-3 a second left of more than five minutes", each(at("iat", -300), at("exp", 1)), "UAE-3"},
		{"UAE-3 no iat", drop("iat"), "UAE-3"},
		{"UAE-3 no jti", drop("jti"), "OIDCC-9-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.assertion(b)
			tt.change(c, b.clock.Now().Unix())
			v := f.authenticate(b, url.Values{"request": {f.object(f.services(b))}})
			v.Set("client_assertion", f.signed(c))
			res := b.do(f.request("/par", v))
			if got := object(t, res); res.StatusCode != 401 || got["error"] != "invalid_client" || b.lastEvent().Rule != tt.rule {
				t.Errorf("%d %v, rule %s, want %s", res.StatusCode, got, b.lastEvent().Rule, tt.rule)
			}
		})
	}
	t.Run("UAE-3 five minutes", func(t *testing.T) {
		c := f.assertion(b)
		c["exp"] = b.clock.Now().Unix() + 300
		v := f.authenticate(b, url.Values{"request": {f.object(f.services(b))}})
		v.Set("client_assertion", f.signed(c))
		if res := b.do(f.request("/par", v)); res.StatusCode != 201 {
			t.Errorf("%d %v", res.StatusCode, object(t, res))
		}
	})
	for _, tt := range []struct {
		name  string
		chain []*x509.Certificate
	}{
		{"no certificate", nil},
		{"a certificate of nobody's", []*x509.Certificate{selfSigned(ecKeys.next(), f.ID)}},
	} {
		for _, path := range []string{"/par", "/token", "/introspect", "/revoke"} {
			t.Run("UAE-2 OB2-1 "+tt.name+" at "+path, func(t *testing.T) {
				g := *f
				g.chain = tt.chain
				v := url.Values{"request": {f.object(f.services(b))}, "grant_type": {"client_credentials"}, "token": {"x"}}
				if path != "/par" {
					v.Del("request")
				}
				res := b.do(g.request(path, f.authenticate(b, v)))
				if got := object(t, res); res.StatusCode != 401 || got["error"] != "invalid_client" || b.lastEvent().Rule != "UAE-2" {
					t.Errorf("%d %v, rule %s", res.StatusCode, got, b.lastEvent().Rule)
				}
			})
		}
	}
}

// TestUAEMetadata: one thing wrong with what is registered, or set.
func TestUAEMetadata(t *testing.T) {
	hour := int64(3601)
	for _, tt := range []struct {
		name   string
		change func(*fintech)
		rule   string
	}{
		{"UAE-1 a DPoP key", func(f *fintech) { f.CertificateBoundTokens, f.DPoPBoundTokens = false, true }, "UAE-1"},
		{"UAE-1 nothing to bind to", func(f *fintech) { f.CertificateBoundTokens = false }, "FAPI2-SP-5.3.2.1-5"},
		{"UAE-3 a certificate instead of a key", func(f *fintech) { f.AuthMethod = "self_signed_tls_client_auth" }, "FAPI2-SP-5.3.2.1-6"},
		{"UAE-5 no types of details", func(f *fintech) { f.DetailsTypes = nil }, "UAE-5"},
		{"UAE-6 signed responses", func(f *fintech) { f.ResponseModes = []string{"jwt"} }, "FAPI2-MS-5.3.3-1"},
		{"UAE-11 ES256", func(f *fintech) { f.RequestAlg = "ES256" }, "FAPI2-SP-5.4.1-1b"},
		{"UAE-15 a day", func(f *fintech) { f.DefaultMaxAge = &hour }, "UAE-15"},
		{"UAE-16 RSA-OAEP", func(f *fintech) { f.RequestEncryption = authz.Encryption{Alg: "RSA-OAEP", Enc: "A256GCM"} }, "UAE-16"},
		{"UAE-16 A128CBC-HS256 by default", func(f *fintech) { f.RequestEncryption = authz.Encryption{Alg: "RSA-OAEP-256"} }, "UAE-16"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := emiratiClient("aggregator")
			b := newBank(t, clients(f), emirati(nil))
			if err := b.srv.CheckClient(f.Client); err != nil {
				t.Fatal(err)
			}
			tt.change(f)
			var v authz.Violations
			if err := b.srv.CheckClient(f.Client); !errors.As(err, &v) || !slices.ContainsFunc(v, func(x authz.Violation) bool { return x.Rule == tt.rule }) {
				t.Errorf("%v, want %s", err, tt.rule)
			}
		})
	}
	t.Run("UAE-2 UAE-7 UAE-9 a server that is not ready for it", func(t *testing.T) {
		c := newBank(t, nil).config
		c.Profiles = []authz.Profile{authz.UAEOpenFinance}
		c.Authorities, c.Scopes, c.AccessTokenLifetime = nil, []string{"transactions"}, 601*time.Second
		_, err := authz.New(c)
		var v authz.Violations
		errors.As(err, &v)
		var rules []string
		for _, x := range v {
			rules = append(rules, x.Rule)
		}
		if want := []string{"UAE-2", "UAE-7", "UAE-9", "UAE-7"}; !cmp.Equal(rules, want) {
			t.Errorf("%v, want %v", rules, want)
		}
	})
	t.Run("UAE-5 a client of its own account needs no types of details", func(t *testing.T) {
		f := emiratiClient("aggregator")
		f.GrantTypes, f.RedirectURIs, f.DetailsTypes = []string{"client_credentials"}, nil, nil
		if err := newBank(t, clients(f), emirati(nil)).srv.CheckClient(f.Client); err != nil {
			t.Error(err)
		}
	})
	t.Run("UAE-9 no service is offered", func(t *testing.T) {
		c := newBank(t, nil, emirati(nil)).config
		c.Scopes, c.DetailsTypes = []string{"openid"}, nil
		_, err := authz.New(c)
		if d := cmp.Diff([]string{"UAE-9"}, rules(t, err)); d != "" {
			t.Error(d)
		}
	})
	t.Run("UAE-9 UAE-11 the document", func(t *testing.T) {
		b := newBank(t, nil, emirati(nil))
		d := objectAt(t, b, wellKnown)
		got := m{}
		for _, name := range []string{
			"grant_types_supported", "request_object_signing_alg_values_supported", "authorization_details_types_supported", "response_types_supported",
			"response_modes_supported", "require_signed_request_object", "require_pushed_authorization_requests", "dpop_signing_alg_values_supported",
			"token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported", "id_token_signing_alg_values_supported",
		} {
			got[name] = d[name]
		}
		want := m{
			"grant_types_supported":                       []any{"authorization_code", "refresh_token", "client_credentials"},
			"request_object_signing_alg_values_supported": []any{"PS256"},
			"authorization_details_types_supported":       []any{"urn:openfinanceuae:account-access-consent:v2.1", "urn:openfinanceuae:service-initiation-consent:v2.1"},
			"response_types_supported":                    []any{"code"}, "response_modes_supported": []any{"query"},
			"require_signed_request_object": true, "require_pushed_authorization_requests": true, "dpop_signing_alg_values_supported": nil,
			"token_endpoint_auth_methods_supported": []any{"private_key_jwt"}, "token_endpoint_auth_signing_alg_values_supported": []any{"PS256"},
			"id_token_signing_alg_values_supported": []any{"PS256"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestUAEFlow: a consent from the request to its end.
func TestUAEFlow(t *testing.T) {
	f := emiratiClient("aggregator")
	var steps []authz.ConsentRequest
	problem := ""
	b := newBank(t, clients(f), emirati(func(r authz.ConsentRequest) string {
		steps = append(steps, r)
		return problem
	}))
	push := func() string { return object(t, f.pushed(b, f.services(b)))["request_uri"].(string) }
	expires := b.clock.Now().Add(30 * 24 * time.Hour)
	br := &browser{b: b}

	t.Run("UAE-5 a consent that no longer stands is not approved", func(t *testing.T) {
		uri := push()
		problem = "the consent was rejected"
		d := b.approval()
		d.Expires = expires
		_, err := br.decide(f, uri, d)
		if e := (*authz.Error)(nil); !errors.As(err, &e) || e.Code != authz.AccessDenied || e.Rule != "UAE-5" {
			t.Fatalf("%v", err)
		}
		problem = ""
		if _, err := br.decide(f, uri, d); err != nil { // and the request is still there
			t.Errorf("%v", err)
		}
	})

	steps = nil
	d := b.approval()
	d.Expires = expires
	res, err := br.decide(f, push(), d)
	if err != nil {
		t.Fatal(err)
	}
	back := location(t, res)
	t.Run("UAE-6 the answer is a query with iss", func(t *testing.T) {
		if back.Get("iss") != issuer || back.Get("code") == "" {
			t.Errorf("%v", back)
		}
	})
	redeem := f.redeemable(back.Get("code"))
	t.Run("UAE-5 a consent that was revoked gives no token, and costs no code", func(t *testing.T) {
		problem = "the consent was revoked"
		status, got := f.token(b, redeem)
		if status != 400 || got["error"] != "invalid_grant" || b.lastEvent().Rule != "UAE-5" {
			t.Errorf("%d %v", status, got)
		}
		problem = ""
	})
	status, got := f.token(b, redeem)
	if status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	t.Run("UAE-7 UAE-14 a token of ten minutes for that consent alone", func(t *testing.T) {
		if got["expires_in"] != 600.0 {
			t.Errorf("expires_in %v", got["expires_in"])
		}
		a := claimsOf(t, got["access_token"].(string))
		want := []any{m{"type": "urn:openfinanceuae:account-access-consent:v2.1", "consent": m{"ConsentId": "c-7", "Permissions": []any{"ReadAccountsBasic"}}}}
		if diff := cmp.Diff(want, a["authorization_details"]); diff != "" || a["cnf"].(m)["x5t#S256"] == nil {
			t.Errorf("%v %v", diff, a["cnf"])
		}
	})
	t.Run("UAE-5 the host is asked at each step, and told what it is about", func(t *testing.T) {
		var seen []string
		for _, r := range steps {
			seen = append(seen, r.Step)
			if r.Client.ID != f.ID || len(r.Details) != 1 || (r.Step != "request") != (r.Subject == customer && r.GrantID != "") {
				t.Errorf("%+v", r)
			}
		}
		if want := []string{"request", "decision", "code", "code"}; !cmp.Equal(seen, want) {
			t.Errorf("%v, want %v", seen, want)
		}
	})
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
	t.Run("UAE-7 refresh while the consent stands", func(t *testing.T) {
		b.clock.Advance(29 * 24 * time.Hour)
		if status, got := f.token(b, refresh); status != 200 || got["refresh_token"] != refresh.Get("refresh_token") {
			t.Errorf("%d %v", status, got)
		}
		problem = "the consent was revoked"
		if status, got := f.token(b, refresh); status != 400 || got["error"] != "invalid_grant" || b.lastEvent().Rule != "UAE-5" {
			t.Errorf("%d %v", status, got)
		}
		problem = ""
	})
	t.Run("UAE-7 no refresh after its end", func(t *testing.T) {
		b.clock.Advance(24*time.Hour - time.Second)
		if status, got := f.token(b, refresh); status != 200 || got["expires_in"] != 1.0 {
			t.Errorf("%d %v", status, got)
		}
		b.clock.Advance(time.Second)
		if status, got := f.token(b, refresh); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("UAE-7 without an end there is no refresh token", func(t *testing.T) {
		res, err := br.decide(f, push(), b.approval())
		if err != nil {
			t.Fatal(err)
		}
		if _, got := f.token(b, f.redeemable(location(t, res).Get("code"))); got["access_token"] == nil || got["refresh_token"] != nil {
			t.Errorf("%v", got)
		}
	})
}

// TestUAEBeside: a client of the region and one of FAPI 2.0 on one server.
func TestUAEBeside(t *testing.T) {
	f, other := emiratiClient("aggregator"), keyClient("kakeibo")
	other.Profile = authz.FAPI2Security
	b := newBank(t, clients(f, other), emirati(nil), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI2Security, authz.UAEOpenFinance}
		c.Consent = func(_ context.Context, r authz.ConsentRequest) (string, error) {
			if r.Client.ID != f.ID {
				t.Errorf("asked of %s", r.Client.ID)
			}
			return "", errors.New("the hub is away")
		}
	})
	if got := other.tokens(b); got["refresh_token"] == nil {
		t.Errorf("%v", got)
	}
	res := f.pushed(b, f.services(b))
	if got := object(t, res); res.StatusCode != 503 || got["error"] != "server_error" { // an outage refuses nothing
		t.Errorf("%d %v", res.StatusCode, got)
	}
}

// TestUAEKeys: the directory takes a key away, says that the old set is good for
// an hour, and cannot be reached later.
func TestUAEKeys(t *testing.T) {
	s := newKeyServer(t)
	f := emiratiClient("aggregator")
	f.JWKS, f.JWKSURI = nil, s.URL
	s.publish(f.jwk())
	s.header.Set("Cache-Control", "max-age=3600")
	b := newBank(t, clients(f), emirati(nil), s.reachable)
	f.own(b)
	s.mustFetch(t, 1)
	withdrawn := func(t *testing.T, status int) {
		s.answer(status, jwks(publicJWK(ecKeys.next().Public(), "another", "ES256")))
		b.clock.Advance(20*time.Minute - time.Second)
		mustAnswer(t, b, f.own(b))
		b.clock.Advance(time.Second)
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7")
	}
	t.Run("UAE-8 a key that was taken away is of no use after twenty minutes", func(t *testing.T) { withdrawn(t, 200) })
	t.Run("UAE-8 nor while the directory cannot be reached", func(t *testing.T) {
		b.clock.Advance(time.Hour)
		s.publish(f.jwk())
		mustAnswer(t, b, f.own(b))
		withdrawn(t, 500)
	})
	t.Run("UAE-8 the limit is the strictest of the profiles", func(t *testing.T) {
		b := newBank(t, clients(f), emirati(nil), s.reachable, func(c *authz.Config) { c.Profiles = []authz.Profile{authz.FAPI2Security, authz.UAEOpenFinance} })
		s.publish(f.jwk())
		mustAnswer(t, b, f.own(b))
		s.answer(500, nil)
		b.clock.Advance(20 * time.Minute)
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7")
	})
}

// TestUAEEncrypted: request objects inside a JWE, by the pair of the region and
// by others that the server knows.
func TestUAEEncrypted(t *testing.T) {
	f, other := emiratiClient("aggregator"), keyClient("kakeibo").signs()
	other.Profile = authz.FAPI2Security
	f.RequestEncryption = authz.Encryption{Alg: "RSA-OAEP-256", Enc: "A256GCM"}
	b := newBank(t, clients(f, other), emirati(nil),
		decrypting(authz.DecryptionKey{ID: "e", Algorithm: "RSA-OAEP-256", Key: rsaKey()}, authz.DecryptionKey{ID: "o", Algorithm: "RSA-OAEP", Key: rsaKey()}),
		func(c *authz.Config) { c.Profiles = []authz.Profile{authz.FAPI2Security, authz.UAEOpenFinance} })
	sealed := func(alg, enc, kid, object string) string {
		jwe, err := jose.Encrypt(alg, enc, kid, "JWT", &rsaKey().PublicKey, []byte(object))
		if err != nil {
			t.Fatal(err)
		}
		return jwe
	}
	for _, tt := range []struct {
		name, alg, enc, kid string
		status              int
	}{
		{"UAE-16 RSA-OAEP-256 and A256GCM", "RSA-OAEP-256", "A256GCM", "e", 201},
		{"UAE-16 another content encryption", "RSA-OAEP-256", "A128CBC-HS256", "e", 400},
		{"UAE-16 another key encryption", "RSA-OAEP", "A256GCM", "o", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := b.do(f.pushing(b, sealed(tt.alg, tt.enc, tt.kid, f.object(f.services(b)))))
			if got := object(t, res); res.StatusCode != tt.status || tt.status == 400 && got["error"] != "invalid_request_object" {
				t.Errorf("%d %v", res.StatusCode, got)
			}
			res = b.do(other.pushing(b, sealed(tt.alg, tt.enc, tt.kid, other.object(other.asks(b, other.pushable())))))
			if res.StatusCode != 201 { // CONF-1: a client of FAPI 2.0 may do all of it
				t.Errorf("FAPI 2.0: %d %v", res.StatusCode, object(t, res))
			}
		})
	}
	t.Run("UAE-16 the pair may be registered", func(t *testing.T) {
		if err := b.srv.CheckClient(f.Client); err != nil {
			t.Error(err)
		}
	})
}
