package authz_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
)

const yearOfSharing = 31_536_000

// australian returns a client whose keys are at s, which the caller publishes.
func australian(s *keyServer, id string) *fintech {
	f := keyClient(id)
	f.Profile = authz.AustraliaCDR
	f.JWKS, f.JWKSURI = nil, s.URL+"/"+id
	f.ResponseTypes, f.Scope, f.SubjectType = []string{"code"}, "openid profile accounts", "pairwise"
	f.chain = []*x509.Certificate{testCA.issue(&x509.Certificate{Subject: pkix.Name{OrganizationalUnit: []string{"Consumer Data Right"}, CommonName: id}}, ecKeys.next())}
	return f
}

// inAustralia serves the profile alone.
func inAustralia(s *keyServer) func(*authz.Config) {
	return func(c *authz.Config) {
		s.reachable(c)
		es, err := serverKeys.SigningKey(context.Background(), "ES256")
		if err != nil {
			panic(err)
		}
		c.Keys, err = token.NewKeySet(es, token.PrivateKey{ID: "as-ps", Algorithm: "PS256", Signer: rsaKey()})
		if err != nil {
			panic(err)
		}
		c.Profiles = []authz.Profile{authz.AustraliaCDR}
		c.Scopes = []string{"openid", "profile", "accounts"}
		c.ACRValues = []string{"urn:cds.au:cdr:2", "urn:cds.au:cdr:3"}
		salted(c)
	}
}

// australia is a bank there and two clients of it.
func australia(t *testing.T, adjust ...func(*authz.Config)) (b *bank, f, other *fintech) {
	t.Helper()
	s := newKeyServer(t)
	f, other = australian(s, "recipient"), australian(s, "other")
	s.publish(f.jwk(), other.jwk())
	return newBank(t, clients(f, other), append([]func(*authz.Config){inAustralia(s)}, adjust...)...), f, other
}

// shares returns the claims of a good request object, with the claims parameter
// given.
func (f *fintech) shares(b *bank, claims m) m {
	c := challengedClaims(f.asks(b, changed(f.wants(), "scope", f.Scope)))
	c["claims"] = claims
	return c
}

// consumer is the customer's yes, with two factors.
func (b *bank) consumer() authz.Decision {
	d := b.approval()
	d.ACR = "urn:cds.au:cdr:3"
	return d
}

// shared has the customer decide d about claims, and returns the response of the
// authorization endpoint, which the bank signed.
func (f *fintech) shared(t *testing.T, b *bank, claims m, d authz.Decision) map[string]any {
	t.Helper()
	return answered(t, b, (&browser{b: b}).decideAt(f.byPush(b, f.shares(b, claims)), d))
}

// answered returns what the bank signed and sent the browser back with.
func answered(t *testing.T, b *bank, res *http.Response) map[string]any {
	t.Helper()
	header, back := verified(t, location(t, res).Get("response"), b.config.Keys)
	if header["alg"] != "PS256" {
		t.Errorf("the response has header %v", header)
	}
	return back
}

// arranged has the customer approve claims, and returns the tokens.
func (f *fintech) arranged(t *testing.T, b *bank, claims m, d authz.Decision) map[string]any {
	t.Helper()
	code, _ := f.shared(t, b, claims, d)["code"].(string)
	return f.mustToken(b, f.redeemable(code))
}

// ends asks for the end of an arrangement.
func (f *fintech) ends(b *bank, v url.Values) *http.Response {
	return b.do(f.request("/arrangements/revoke", f.authenticate(b, v)))
}

func arrangement(id any) url.Values { return url.Values{"cdr_arrangement_id": {id.(string)}} }

func TestCDRConfig(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*authz.Config)
		rules  []string
	}{
		{"CDR-3 OV-9 ninety-one seconds", func(c *authz.Config) { c.RequestLifetime = 91 * time.Second }, []string{"CDR-3"}},
		{"CDR-3 OV-9 nine seconds", func(c *authz.Config) { c.RequestLifetime = 9 * time.Second }, []string{"CDR-3"}},
		{"CDR-3 OV-9 ten seconds", func(c *authz.Config) { c.RequestLifetime = 10 * time.Second }, nil},
		{"CDR-6 no authorities", func(c *authz.Config) { c.Authorities = nil }, []string{"CDR-6"}},
		{"CDR-8 OV-8 119 seconds", func(c *authz.Config) { c.AccessTokenLifetime = 119 * time.Second }, []string{"CDR-8"}},
		{"CDR-8 OV-8 601 seconds", func(c *authz.Config) { c.AccessTokenLifetime = 601 * time.Second }, []string{"CDR-8"}},
		{"CDR-8 OV-8 120 seconds", func(c *authz.Config) { c.AccessTokenLifetime = 120 * time.Second }, nil},
		{"CDR-8 OV-8 600 seconds", func(c *authz.Config) { c.AccessTokenLifetime = 600 * time.Second }, nil},
		{"CDR-13 OV-12 no level of the region", func(c *authz.Config) { c.ACRValues = []string{"urn:bank:acr:sca"} }, []string{"CDR-13"}},
		{"CDR-14 OV-22 no salt", func(c *authz.Config) { c.Pairwise = nil }, []string{"CDR-14"}},
		{"CDR-16 CDR-21 no profile", func(c *authz.Config) { c.Scopes = []string{"openid", "accounts"} }, []string{"CDR-21"}},
		{"CDR-16 CDR-21 no openid", func(c *authz.Config) { c.Scopes = []string{"profile", "accounts"} }, []string{"CDR-21"}},
		{"CDR-3 CDR-6 CDR-8 CDR-13 CDR-14 CDR-21 everything at once", func(c *authz.Config) {
			c.RequestLifetime, c.Authorities, c.AccessTokenLifetime = 2*time.Minute, nil, time.Minute
			c.ACRValues, c.Pairwise, c.Scopes = nil, nil, []string{"accounts"}
		}, []string{"CDR-3", "CDR-6", "CDR-8", "CDR-13", "CDR-14", "CDR-21"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _, _ := australia(t)
			c := b.config
			tt.change(&c)
			_, err := authz.New(c)
			var v authz.Violations
			if errors.As(err, &v); err != nil && v == nil {
				t.Fatal(err)
			}
			var rules []string
			for _, x := range v {
				rules = append(rules, x.Rule)
			}
			if d := cmp.Diff(tt.rules, rules); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("CDR-23 OV-19 suites with ECDHE and GCM", func(t *testing.T) {
		b, _, _ := australia(t)
		if p := b.srv.TLSPolicy(); p != mtls.FAPI2 {
			t.Errorf("TLS policy %v", p)
		}
	})
}

func TestCDRClients(t *testing.T) {
	b, f, _ := australia(t)
	for _, tt := range []struct {
		name   string
		change func(*authz.Client)
		rule   string
	}{
		{"CDR-5 CDR-7 CDR-14 as it should be", func(*authz.Client) {}, ""},
		{"CDR-5 OV-5 by certificate", func(c *authz.Client) {
			c.AuthMethod, c.CertificateSubject = "tls_client_auth", mtls.Subject{DN: "CN=recipient"}
		}, "FAPI1-ADV-5.2.2-14"},
		{"CDR-5 OV-5 by a self-signed certificate", func(c *authz.Client) { c.AuthMethod = "self_signed_tls_client_auth" }, "FAPI1-ADV-5.2.2-14"},
		{"CDR-7 public", func(c *authz.Client) { c.AuthMethod = "none" }, "FAPI1-ADV-5.2.2-14"},
		{"CDR-7 keys by value", func(c *authz.Client) { c.JWKS, c.JWKSURI = jwks(f.jwk()), "" }, "CDR-7"},
		{"CDR-14 OV-22 the same subject everywhere", func(c *authz.Client) { c.SubjectType = "" }, "OIDC-SU-1"},
		{"CDR-15 encrypted ID tokens", func(c *authz.Client) { c.IDTokenEncryption.Alg = "RSA-OAEP-256" }, "CDR-15"},
		{"CDR-1 OV-4 code and ID token", func(c *authz.Client) { c.ResponseTypes = []string{"code id_token"} }, "FAPI1-ADV-5.2.2-2"},
		{"CDR-1 implicit", func(c *authz.Client) { c.GrantTypes = append(c.GrantTypes, "implicit") }, "OIDR-3"},
		{"CDR-4 OV-7 request objects under RS256", func(c *authz.Client) { c.RequestAlg = "RS256" }, "FAPI1-ADV-8.6-1"},
		{"CDR-22 responses under RS256", func(c *authz.Client) { c.ResponseAlg = "RS256" }, "FAPI1-ADV-8.6-1"},
		{"CDR-21 CDR-22 responses encrypted by a key agreement", func(c *authz.Client) { c.ResponseEncryption = authz.Encryption{Alg: "ECDH-ES", Enc: "A256GCM"} }, "CDR-22"},
		{"CDR-21 CDR-22 responses encrypted with A128GCM", func(c *authz.Client) { c.ResponseEncryption = authz.Encryption{Alg: "RSA-OAEP", Enc: "A128GCM"} }, "CDR-22"},
		{"CDR-21 tokens that anybody can use", func(c *authz.Client) { c.CertificateBoundTokens = false }, "FAPI1-ADV-5.2.2-5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := *f.Client
			c.GrantTypes = slices.Clone(c.GrantTypes)
			tt.change(&c)
			var v authz.Violations
			errors.As(b.srv.CheckClient(&c), &v)
			if tt.rule == "" && v != nil || tt.rule != "" && !slices.ContainsFunc(v, func(x authz.Violation) bool { return x.Rule == tt.rule }) {
				t.Errorf("violations %v, want %q", v, tt.rule)
			}
		})
	}
}

// TestCDRRequests: one thing wrong with the request.
func TestCDRRequests(t *testing.T) {
	b, f, other := australia(t)
	theirs := other.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())["cdr_arrangement_id"]
	ended := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())["cdr_arrangement_id"]
	if res := f.ends(b, arrangement(ended)); res.StatusCode != 204 {
		t.Fatalf("%d", res.StatusCode)
	}
	mine := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())["cdr_arrangement_id"]
	claims := func(name string, v any) func(m, int64) { return setClaim("claims", m{name: v}) }
	for _, tt := range []struct {
		name       string
		change     func(m, int64)
		code, rule string
	}{
		{"CDR-1 OV-4 code and ID token", each(setClaim("response_type", "code id_token"), setClaim("response_mode", "fragment")), "unsupported_response_type", "FAPI1-ADV-5.2.2-2"},
		{"CDR-1 a code in the clear", setClaim("response_mode", "query"), "invalid_request", "FAPI1-ADV-5.2.2-2"},
		{"CDR-1 no challenge", drop("code_challenge"), "invalid_request", "FAPI1-ADV-5.2.2-18"},
		{"CDR-1 CDR-30 a padded challenge in hexadecimal", setClaim("code_challenge", strings.Repeat("a1", 32)+"="), "invalid_request", "FAPI1-ADV-5.2.2-18"},
		{"CDR-1 challenge of method plain", setClaim("code_challenge_method", "plain"), "invalid_request", "FAPI1-ADV-5.2.2-18"},
		{"CDR-4 no nbf", drop("nbf"), "invalid_request_object", "CDR-4"},
		{"CDR-4 no exp", drop("exp"), "invalid_request_object", "CDR-4"},
		{"CDR-4 exp sixty-one minutes after nbf", at("exp", 3660), "invalid_request_object", "CDR-4"},
		{"CDR-4 nbf sixty-one minutes ago", each(at("nbf", -3660), at("exp", 60)), "invalid_request_object", "CDR-4"},
		{"CDR-16 no openid", each(setClaim("scope", "profile accounts")), "invalid_scope", "CDR-16"},
		{"CDR-10 negative", claims("sharing_duration", -1), "invalid_request", "CDR-10"},
		{"CDR-10 a fraction", claims("sharing_duration", 3600.5), "invalid_request", "CDR-10"},
		{"CDR-10 an exponent", claims("sharing_duration", json.Number("1e3")), "invalid_request", "CDR-10"},
		{"CDR-10 a string", claims("sharing_duration", "3600"), "invalid_request", "CDR-10"},
		{"CDR-10 null", claims("sharing_duration", nil), "invalid_request", "CDR-10"},
		{"CDR-10 true", claims("sharing_duration", true), "invalid_request", "CDR-10"},
		{"CDR-10 an object", claims("sharing_duration", m{"value": 3600}), "invalid_request", "CDR-10"},
		{"CDR-11 an unknown arrangement", claims("cdr_arrangement_id", "gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk"), "invalid_request", "CDR-11"},
		{"CDR-11 no id", claims("cdr_arrangement_id", ""), "invalid_request", "CDR-11"},
		{"CDR-11 null", claims("cdr_arrangement_id", nil), "invalid_request", "CDR-11"},
		{"CDR-11 an object", claims("cdr_arrangement_id", m{"value": mine}), "invalid_request", "CDR-11"},
		{"CDR-11 one that has ended", claims("cdr_arrangement_id", ended), "invalid_request", "CDR-11"},
		{"CDR-11 another client's", claims("cdr_arrangement_id", theirs), "invalid_request", "CDR-11"},
		{"CDR-11 of another consumer than the request names", setClaim("claims", m{"cdr_arrangement_id": mine, "id_token": m{"sub": m{"value": "somebody"}}}), "invalid_request", "CDR-11"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.shares(b, m{"sharing_duration": 3600})
			tt.change(c, b.clock.Now().Unix())
			mustRefuse(t, b, b.do(f.pushing(b, f.object(c))), 400, tt.code, tt.rule)
		})
	}

	t.Run("CDR-2 CDR-4 OV-2 pushed and not signed", func(t *testing.T) {
		v := challenged(changed(f.wants(), "scope", f.Scope))
		mustRefuse(t, b, b.do(f.request("/par", f.authenticate(b, v))), 400, "invalid_request", "RFC9126-2.3-4")
	})
	t.Run("CDR-2 OV-2 a request object at the authorization endpoint", func(t *testing.T) {
		c := f.shares(b, m{})
		pageFor(t, b, b.do(get(authorizeURL(f.beside(f.object(c))))), "invalid_request", "FAPI2-SP-5.3.2.2-3")
	})
	t.Run("CDR-2 OV-2 a request object beside a request_uri", func(t *testing.T) {
		r := f.byPush(b, f.shares(b, m{}))
		pageFor(t, b, b.do(get(r.URL.String()+"&request="+f.object(f.shares(b, m{})))), "invalid_request", "OIDC-RO-8")
	})
	t.Run("CDR-3 a request_uri decided once", func(t *testing.T) {
		r := f.byPush(b, f.shares(b, m{}))
		again := get(r.URL.String())
		(&browser{b: b}).decideAt(r, b.consumer())
		pageFor(t, b, b.do(again), "invalid_request_uri", "RFC9126-4-3")
	})
	t.Run("CDR-3 OV-9 a request_uri after ninety seconds", func(t *testing.T) {
		res := b.do(f.pushing(b, f.object(f.shares(b, m{}))))
		got := object(t, res)
		if got["expires_in"] != float64(90) {
			t.Errorf("%v", got)
		}
		b.clock.Advance(90 * time.Second)
		pageFor(t, b, b.do(get(authorizeURL(url.Values{"client_id": {f.ID}, "request_uri": {got["request_uri"].(string)}}))), "invalid_request_uri", "RFC9126-4-3")
	})
}

// TestCDRTransport: every endpoint that clients call wants a certificate of the
// region, beside the assertion.
func TestCDRTransport(t *testing.T) {
	b, f, _ := australia(t)
	for _, path := range []string{"/par", "/token", "/introspect", "/revoke", "/arrangements/revoke"} {
		for name, chain := range map[string][]*x509.Certificate{
			"no certificate":  nil,
			"of another CA":   {selfSigned(ecKeys.next(), f.ID)},
			"as it should be": f.chain,
		} {
			t.Run("CDR-6 CDR-26 OB2-1 OV-17 OV-18 "+path+", "+name, func(t *testing.T) {
				g := *f
				g.chain = chain
				res := b.do(g.request(path, g.authenticate(b, url.Values{})))
				if name == "as it should be" {
					if e := b.lastEvent(); res.StatusCode != 400 || e.Rule == "CDR-6" { // something else is missing
						t.Errorf("%d %+v", res.StatusCode, e)
					}
					return
				}
				mustRefuse(t, b, res, 401, "invalid_client", "CDR-6")
			})
		}
	}
	t.Run("CDR-6 OB2-1 /userinfo without the certificate", func(t *testing.T) {
		access := f.arranged(t, b, m{}, b.consumer())["access_token"].(string)
		g := *f
		for _, g.chain = range [][]*x509.Certificate{nil, {selfSigned(ecKeys.next(), f.ID)}} {
			if res := b.do(g.asksInfo(b, access, nil)); res.StatusCode != 401 {
				t.Errorf("%d", res.StatusCode)
			}
		}
		f.info(b, access, nil)
	})
	t.Run("CDR-5 OV-6 aud may be the issuer, the token endpoint or the URL called; client_id may be missing; jti once", func(t *testing.T) {
		for _, aud := range []string{issuer, issuer + "/token", issuer + "/arrangements/revoke", issuer + "/introspect", "https://as.bank.example/elsewhere"} {
			path := "/arrangements/revoke"
			claims := f.assertion(b)
			claims["aud"] = aud
			id := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())["cdr_arrangement_id"]
			v := arrangement(id)
			v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			v.Set("client_assertion", f.signed(claims))
			want := 204
			if aud == issuer+"/introspect" || aud == "https://as.bank.example/elsewhere" {
				want = 401
			}
			if res := b.do(f.request(path, v)); res.StatusCode != want {
				t.Errorf("aud %s: %d %+v", aud, res.StatusCode, b.lastEvent())
			}
			if want == 204 {
				v.Set("cdr_arrangement_id", f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())["cdr_arrangement_id"].(string))
				mustRefuse(t, b, b.do(f.request(path, v)), 401, "invalid_client", "RFC7523-3-6")
			}
		}
	})
}

// TestCDRSharing: how long the client asks for, and what comes of it.
func TestCDRSharing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		claims m
		want   int64 // seconds; zero: no refresh token
	}{
		{"CDR-10 absent", m{}, 0},
		{"CDR-10 zero", m{"sharing_duration": 0}, 0},
		{"CDR-8 CDR-10 shorter than an access token", m{"sharing_duration": 119}, 0},
		{"CDR-10 two minutes", m{"sharing_duration": 120}, 120},
		{"CDR-10 a day, once", m{"sharing_duration": 86_400}, 86_400},
		{"CDR-10 a year", m{"sharing_duration": yearOfSharing}, yearOfSharing},
		{"CDR-10 a second more", m{"sharing_duration": yearOfSharing + 1}, yearOfSharing},
		{"CDR-10 no number of a machine", m{"sharing_duration": json.Number(strings.Repeat("9", 60))}, yearOfSharing},
	} {
		t.Run(tt.name+" OV-11", func(t *testing.T) {
			b, f, _ := australia(t) // with a GrantLifetime of 90 days, which is not asked
			var shown time.Duration
			b.shown = func(w http.ResponseWriter, _ *http.Request, in *authz.Interaction) {
				shown = in.SharingDuration
				w.Write([]byte(in.ID))
			}
			got := f.arranged(t, b, tt.claims, b.consumer())
			if shown != time.Duration(tt.want)*time.Second {
				t.Errorf("the page shows %v, want %d seconds", shown, tt.want)
			}
			if tt.want == 0 {
				if got["refresh_token"] != nil || got["expires_in"] != float64(300) {
					t.Errorf("the client is given %v", got)
				}
				return
			}
			refresh, _ := got["refresh_token"].(string)
			if in := f.introspect(b, refresh); in["exp"] != float64(b.clock.Now().Unix()+tt.want) {
				t.Errorf("the refresh token ends at %v, want in %d seconds", in["exp"], tt.want)
			}
		})
	}

	for _, tt := range []struct {
		name    string
		sharing int64
		expires time.Duration
		ok      bool
	}{
		{"CDR-10 the bank ends it earlier", 86_400, time.Hour, true},
		{"CDR-10 at the same time", 86_400, 24 * time.Hour, true},
		{"CDR-9 CDR-10 the bank would end it later", 86_400, 24*time.Hour + time.Second, false},
		{"CDR-10 the bank would have it last where the client asks once", 0, time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, f, _ := australia(t)
			br := &browser{b: b}
			id := br.shows(f.byPush(b, f.shares(b, m{"sharing_duration": tt.sharing})))
			d := b.consumer()
			d.Expires = b.clock.Now().Add(tt.expires)
			w, err := br.finish(id, d)
			if !tt.ok {
				if !is(err, "invalid_request") || b.lastEvent().Rule != "CDR-10" || w.Header().Get("Location") != "" {
					t.Errorf("Finish: %v, %+v", err, b.lastEvent())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := f.mustToken(b, f.redeemable(answered(t, b, w.Result())["code"].(string)))
			if in := f.introspect(b, got["refresh_token"].(string)); in["exp"] != float64(d.Expires.Unix()) {
				t.Errorf("the refresh token ends at %v, want %v", in["exp"], d.Expires.Unix())
			}
		})
	}
}

func TestCDRAuthentication(t *testing.T) {
	b, f, _ := australia(t)
	for acr, ok := range map[string]bool{
		"urn:cds.au:cdr:2": true, "urn:cds.au:cdr:3": true, "urn:cds.au:cdr:4": true,
		"": false, "urn:cds.au:cdr:1": false, "urn:bank:acr:sca": false,
	} {
		t.Run("CDR-13 OV-12 "+acr, func(t *testing.T) {
			br := &browser{b: b}
			id := br.shows(f.byPush(b, f.shares(b, m{})))
			d := b.consumer()
			d.ACR = acr
			w, err := br.finish(id, d)
			if !ok {
				if !is(err, authz.AccessDenied) || b.lastEvent().Rule != "CDR-13" {
					t.Errorf("Finish: %v, %+v", err, b.lastEvent())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := f.mustToken(b, f.redeemable(answered(t, b, w.Result())["code"].(string)))
			if id := claimsOf(t, got["id_token"].(string)); id["acr"] != acr {
				t.Errorf("the ID token has acr %v", id["acr"])
			}
		})
	}
	t.Run("CDR-13 OV-12 the client is told access_denied where the level was not reached", func(t *testing.T) {
		if back := f.shared(t, b, m{"id_token": m{"acr": m{"essential": true, "value": "urn:cds.au:cdr:4"}}}, authz.Decision{Deny: authz.UnmetAuthentication}); back["error"] != "access_denied" || back["code"] != nil {
			t.Errorf("%v", back)
		}
	})
}

// TestCDRArrangement: an arrangement is amended by its client and its customer.
func TestCDRArrangement(t *testing.T) {
	start := func(t *testing.T) (*bank, *fintech, map[string]any) {
		b, f, _ := australia(t)
		return b, f, f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())
	}
	t.Run("CDR-9 CDR-11 CDR-12 OV-13 the id stays, and the old tokens work until the new ones are there", func(t *testing.T) {
		b, f, old := start(t)
		id := old["cdr_arrangement_id"]
		var shown authz.Interaction
		b.shown = func(w http.ResponseWriter, _ *http.Request, in *authz.Interaction) {
			shown = *in
			w.Write([]byte(in.ID))
		}
		d := b.consumer()
		d.Grant = id.(string)
		code, _ := f.shared(t, b, m{"sharing_duration": yearOfSharing, "cdr_arrangement_id": id}, d)["code"].(string)
		if shown.Amends != id || shown.GrantID != id || !shown.IsFor(customer) || shown.IsFor("u-ffffff") {
			t.Errorf("the page is shown amends %s, grant %s", shown.Amends, shown.GrantID)
		}
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old["refresh_token"].(string)}}
		again := f.mustToken(b, refresh)
		if again["refresh_token"] != old["refresh_token"] || again["cdr_arrangement_id"] != id {
			t.Errorf("the refresh token rotates, or the id changes: %v", again)
		}
		got := f.mustToken(b, f.redeemable(code))
		if got["cdr_arrangement_id"] != id || got["refresh_token"] == old["refresh_token"] {
			t.Errorf("the client is given %v", got)
		}
		if f.check(b, old["access_token"].(string)) == nil || f.check(b, again["access_token"].(string)) == nil || f.check(b, got["access_token"].(string)) != nil {
			t.Error("the old access tokens work, or the new one does not")
		}
		inactive(t, f.introspect(b, old["refresh_token"].(string)))
		if in := f.introspect(b, got["refresh_token"].(string)); in["exp"] != float64(b.clock.Now().Unix()+yearOfSharing) || in["cdr_arrangement_id"] != id {
			t.Errorf("the new refresh token: %v", in)
		}
	})

	t.Run("CDR-11 GM-5-3 the wrong yes", func(t *testing.T) {
		b, f, old := start(t)
		id := old["cdr_arrangement_id"].(string)
		second := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())["cdr_arrangement_id"].(string)
		br := &browser{b: b}
		page := br.shows(f.byPush(b, f.shares(b, m{"cdr_arrangement_id": id})))
		for name, tt := range map[string]struct {
			grant, subject string
			code           authz.Code
		}{
			"another consumer":      {id, "u-ffffff", authz.LoginRequired},
			"a new grant":           {"", customer, "invalid_request"},
			"another grant of hers": {second, customer, "invalid_request"},
		} {
			d := b.consumer()
			d.Grant, d.Subject = tt.grant, tt.subject
			if w, err := br.finish(page, d); !is(err, tt.code) || w.Header().Get("Location") != "" {
				t.Errorf("%s: %v", name, err)
			}
		}
		d := b.consumer()
		d.Grant = id
		if _, err := br.finish(page, d); err != nil {
			t.Errorf("the right yes: %v", err)
		}
	})

	t.Run("CDR-11 the consumer says no", func(t *testing.T) {
		b, f, old := start(t)
		if back := f.shared(t, b, m{"cdr_arrangement_id": old["cdr_arrangement_id"]}, authz.Decision{Deny: authz.AccessDenied}); back["error"] != "access_denied" {
			t.Errorf("%v", back)
		}
		if f.check(b, old["access_token"].(string)) != nil || f.introspect(b, old["refresh_token"].(string))["active"] != true {
			t.Error("the old tokens do not work any more")
		}
	})

	t.Run("CDR-11 CDR-14 OV-22 ids that nobody can guess, and that name nobody", func(t *testing.T) {
		b, f, other := australia(t)
		seen := map[any]bool{}
		for range 10 {
			for _, g := range []*fintech{f, other} {
				got := g.arranged(t, b, m{}, b.consumer())
				id := got["cdr_arrangement_id"].(string)
				if seen[id] || len(id) != 44 || strings.Contains(id, customer) {
					t.Errorf("the id is %s", id)
				}
				seen[id] = true
				seen[claimsOf(t, got["id_token"].(string))["sub"]] = true
			}
		}
		if seen[customer] || len(seen) != 20+1 { // one subject: both have the same host
			t.Errorf("%d ids and subjects", len(seen))
		}
	})
}

func TestCDRTokens(t *testing.T) {
	t.Run("CDR-8 CDR-9 OV-10 none shorter than two minutes, no rotation, a code once", func(t *testing.T) {
		b, f, _ := australia(t)
		code, _ := f.shared(t, b, m{"sharing_duration": 3600}, b.consumer())["code"].(string)
		got := f.mustToken(b, f.redeemable(code))
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
		b.clock.Advance(3600*time.Second - 121*time.Second)
		again := f.mustToken(b, refresh)
		if n := again["expires_in"].(float64); n != 121 || again["refresh_token"] != got["refresh_token"] {
			t.Errorf("%v", again)
		}
		b.clock.Advance(2 * time.Second)
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, refresh))), 400, "invalid_grant", "CDR-8")

		code, _ = f.shared(t, b, m{"sharing_duration": 3600}, b.consumer())["code"].(string)
		got = f.mustToken(b, f.redeemable(code))
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, f.redeemable(code)))), 400, "invalid_grant", "FAPI2-SP-5.3.2.2-9")
		if f.check(b, got["access_token"].(string)) == nil {
			t.Error("the tokens of a code that was used twice work")
		}
	})

	t.Run("CDR-12 CDR-17 OV-23 introspection of refresh tokens alone", func(t *testing.T) {
		b, f, other := australia(t)
		got := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())
		in := f.introspect(b, got["refresh_token"].(string))
		for name, want := range map[string]any{
			"active": true, "exp": float64(b.clock.Now().Unix() + 3600), "scope": f.Scope, "cdr_arrangement_id": got["cdr_arrangement_id"], "username": nil,
		} {
			if in[name] != want {
				t.Errorf("%s is %v, want %v", name, in[name], want)
			}
		}
		if in["sub"] == customer {
			t.Error("the answer has the bank's own name for the customer")
		}
		for _, name := range []string{"access_token", "id_token"} {
			inactive(t, f.introspect(b, got[name].(string)))
			if e := b.lastEvent(); e.Rule != "CDR-17" {
				t.Errorf("%s: event %+v", name, e)
			}
		}
		inactive(t, other.introspect(b, got["refresh_token"].(string)))
	})

	t.Run("CDR-18 revocation of either token", func(t *testing.T) {
		b, f, _ := australia(t)
		got := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())
		f.revoke(b, just(got["access_token"]))
		if f.check(b, got["access_token"].(string)) == nil || f.introspect(b, got["refresh_token"].(string))["active"] != true {
			t.Error("the access token works, or its refresh token does not")
		}
		f.revoke(b, just(got["refresh_token"]))
		inactive(t, f.introspect(b, got["refresh_token"].(string)))
	})

	t.Run("CDR-14 CDR-15 OV-22 what a client learns of the customer", func(t *testing.T) {
		b, f, _ := australia(t, telling(hanako()))
		var shown []string
		b.shown = func(w http.ResponseWriter, _ *http.Request, in *authz.Interaction) {
			shown = in.Claims
			w.Write([]byte(in.ID))
		}
		got := f.arranged(t, b, m{
			"id_token": m{"email": m{"essential": true}, "auth_time": m{"essential": true}, "birthdate": nil},
			"userinfo": m{"email": nil, "birthdate": m{"essential": true}, "segments": nil, "auth_time": nil},
		}, b.consumer())
		if d := cmp.Diff([]string{"email"}, shown); d != "" {
			t.Errorf("claims on the page: %s", d)
		}
		id := claimsOf(t, got["id_token"].(string))
		for name := range id {
			if !slices.Contains([]string{"iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "acr", "amr", "at_hash"}, name) {
				t.Errorf("the ID token has %s", name)
			}
		}
		if id["auth_time"] != float64(b.clock.Now().Unix()) || id["sub"] == customer {
			t.Errorf("ID token %v", id)
		}
		info := f.info(b, got["access_token"].(string), nil)
		want := map[string]any{
			"sub": id["sub"], "name": "鈴木 花子", "family_name": "鈴木", "given_name": "花子",
			"family_name#ja-Kana-JP": "スズキ", "family_name#ja-Hani-JP": "鈴木", "updated_at": float64(1767225600), "email": "hanako@mail.example",
		}
		for name := range info {
			if base, _, _ := strings.Cut(name, "#"); want[name] == nil && want[base] == nil {
				t.Errorf("userinfo tells %s", name)
			}
		}
		for _, name := range []string{"sub", "name", "given_name", "family_name", "updated_at", "email"} {
			if info[name] != want[name] {
				t.Errorf("userinfo tells %s %v, want %v", name, info[name], want[name])
			}
		}
	})
}

func TestCDREnds(t *testing.T) {
	b, f, other := australia(t, func(c *authz.Config) { c.MTLSBase = "https://mtls.bank.example" })
	start := func(t *testing.T) map[string]any {
		return f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())
	}
	t.Run("CDR-19 204, and its tokens end", func(t *testing.T) {
		got := start(t)
		d := b.consumer()
		d.Grant = got["cdr_arrangement_id"].(string)
		waiting, _ := f.shared(t, b, m{"cdr_arrangement_id": d.Grant}, d)["code"].(string)
		res := f.ends(b, arrangement(got["cdr_arrangement_id"]))
		if res.StatusCode != 204 || res.ContentLength > 0 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
		if e := b.lastEvent(); e.Kind != "grant_revoked" || e.Grant != got["cdr_arrangement_id"] || e.Subject != customer || e.Endpoint != "arrangements" {
			t.Errorf("event %+v", e)
		}
		inactive(t, f.introspect(b, got["refresh_token"].(string)))
		if f.check(b, got["access_token"].(string)) == nil || f.alive(b, waiting) {
			t.Error("the tokens, or a change that waited, work")
		}
		if res := f.ends(b, arrangement(got["cdr_arrangement_id"])); res.StatusCode != 422 {
			t.Errorf("a second time: %d", res.StatusCode)
		}
	})
	unprocessable := func(t *testing.T, res *http.Response) {
		t.Helper()
		want := map[string]any{"errors": []any{map[string]any{
			"code": "urn:au-cds:error:cds-all:Authorisation/InvalidArrangement", "title": "Invalid Consent Arrangement", "detail": "The arrangement is unknown.",
		}}}
		if d := cmp.Diff(want, object(t, res)); d != "" || res.StatusCode != 422 || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %v %s", res.StatusCode, res.Header, d)
		}
		if e := b.lastEvent(); e.Rule != "CDR-19" || e.Kind != "request_refused" {
			t.Errorf("event %+v", e)
		}
	}
	for name, id := range map[string]string{
		"unknown": "gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk", "no id": "5b1e9d", "a record of another kind": "rs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk",
	} {
		t.Run("CDR-19 "+name, func(t *testing.T) { unprocessable(t, f.ends(b, arrangement(id))) })
	}
	t.Run("CDR-19 another client's", func(t *testing.T) {
		got := start(t)
		unprocessable(t, other.ends(b, arrangement(got["cdr_arrangement_id"])))
		if f.check(b, got["access_token"].(string)) != nil || f.introspect(b, got["refresh_token"].(string))["active"] != true {
			t.Error("another client has ended the arrangement")
		}
	})
	t.Run("CDR-19 the recipient's way of saying it is not the holder's", func(t *testing.T) {
		got := start(t)
		v := url.Values{"cdr_arrangement_jwt": {f.signed(m{"cdr_arrangement_id": got["cdr_arrangement_id"]})}}
		mustRefuse(t, b, f.ends(b, v), 400, "invalid_request", "CDR-19")
		if f.check(b, got["access_token"].(string)) != nil {
			t.Error("the arrangement has ended")
		}
	})
	t.Run("CDR-19 who hangs up has ended it all the same", func(t *testing.T) {
		leave := func() {}
		b, f, _ := australia(t, func(c *authz.Config) {
			c.Store = &storetest.Faulty{Store: c.Store, LoseReply: func(op, _ string) bool {
				if op == "Create" { // the assertion's jti, the last step before
					leave()
				}
				return false
			}}
		})
		got := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())
		r := f.request("/arrangements/revoke", f.authenticate(b, arrangement(got["cdr_arrangement_id"])))
		ctx, cancel := context.WithCancel(t.Context())
		leave = cancel
		b.do(r.WithContext(ctx))
		leave = func() {}
		inactive(t, f.introspect(b, got["refresh_token"].(string)))
	})
	t.Run("CDR-19 not authenticated, and not a form by POST", func(t *testing.T) {
		got := start(t)
		v := f.authenticate(b, arrangement(got["cdr_arrangement_id"]))
		v.Set("client_assertion", jwt(m{"alg": f.alg, "kid": f.kid}, f.assertion(b), newEC()))
		mustRefuse(t, b, b.do(f.request("/arrangements/revoke", v)), 401, "invalid_client", "RFC7523-3-7")
		if res := b.do(get(issuer + "/arrangements/revoke?cdr_arrangement_id=" + got["cdr_arrangement_id"].(string))); res.StatusCode != 405 {
			t.Errorf("GET: %d", res.StatusCode)
		}
		if f.check(b, got["access_token"].(string)) != nil {
			t.Error("the arrangement has ended")
		}
	})
}

func TestCDRMetadata(t *testing.T) {
	b, _, _ := australia(t, func(c *authz.Config) { c.MTLSBase = "https://mtls.bank.example" })
	got := object(t, b.do(get(issuer+wellKnown)))
	list := func(v ...any) []any { return v }
	want := map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token", "userinfo_endpoint": issuer + "/userinfo",
		"introspection_endpoint": issuer + "/introspect", "revocation_endpoint": issuer + "/revoke",
		"pushed_authorization_request_endpoint":            issuer + "/par",
		"cdr_arrangement_revocation_endpoint":              issuer + "/arrangements/revoke",
		"require_pushed_authorization_requests":            true,
		"require_signed_request_object":                    true,
		"tls_client_certificate_bound_access_tokens":       true,
		"response_types_supported":                         list("code"),
		"response_modes_supported":                         list("jwt", "query.jwt", "fragment.jwt", "form_post.jwt"),
		"code_challenge_methods_supported":                 list("S256"),
		"token_endpoint_auth_methods_supported":            list("private_key_jwt"),
		"token_endpoint_auth_signing_alg_values_supported": list("PS256", "ES256"),
		"request_object_signing_alg_values_supported":      list("PS256", "ES256"),
		"authorization_signing_alg_values_supported":       list("PS256", "ES256"),
		"authorization_encryption_alg_values_supported":    list("RSA-OAEP", "RSA-OAEP-256"),
		"authorization_encryption_enc_values_supported":    list("A256GCM", "A128CBC-HS256"),
		"id_token_encryption_alg_values_supported":         nil,
		"id_token_encryption_enc_values_supported":         nil,
		"subject_types_supported":                          list("pairwise"),
		"acr_values_supported":                             list("urn:cds.au:cdr:2", "urn:cds.au:cdr:3"),
		"scopes_supported":                                 list("openid", "profile", "accounts"),
		"claims_parameter_supported":                       true,
		"claims_supported":                                 list("sub", "auth_time", "acr", "amr", "sharing_duration", "cdr_arrangement_id"),
		"dpop_signing_alg_values_supported":                nil,
		"registration_endpoint":                            nil,
		"mtls_endpoint_aliases": map[string]any{
			"token_endpoint": "https://mtls.bank.example/token", "pushed_authorization_request_endpoint": "https://mtls.bank.example/par",
			"userinfo_endpoint": "https://mtls.bank.example/userinfo", "introspection_endpoint": "https://mtls.bank.example/introspect",
			"revocation_endpoint": "https://mtls.bank.example/revoke", "cdr_arrangement_revocation_endpoint": "https://mtls.bank.example/arrangements/revoke",
		},
	}
	for name, v := range want {
		t.Run("CDR-21 CDR-1 CDR-2 "+name, func(t *testing.T) {
			if d := cmp.Diff(v, got[name]); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("CDR-19 CDR-21 elsewhere there is no such endpoint", func(t *testing.T) {
		b := newBank(t, nil)
		if got := object(t, b.do(get(issuer+wellKnown))); got["cdr_arrangement_revocation_endpoint"] != nil || b.do(get(issuer+"/arrangements/revoke")).StatusCode != 404 {
			t.Errorf("%v", got["cdr_arrangement_revocation_endpoint"])
		}
	})
	t.Run("CDR-21 CDR-22 the report lists what clients are held to", func(t *testing.T) {
		rules := map[string]string{}
		for _, r := range b.srv.Report().Profiles[0].Rules {
			rules[r.Rule] = r.About + " " + r.State
		}
		for id, want := range map[string]string{
			"CDR-3": "server kept", "CDR-6": "server kept", "CDR-8": "server kept", "CDR-13": "server kept", "CDR-14": "server kept", "CDR-21": "server kept",
			"CDR-7": "client kept", "CDR-15": "client kept", "CDR-22": "client kept", "CDR-16": "request kept",
		} {
			if rules[id] != want {
				t.Errorf("%s is %q, want %q", id, rules[id], want)
			}
		}
	})
}

// TestCDRResponse: what signs the response.
func TestCDRResponse(t *testing.T) {
	t.Run("CDR-22 what was registered counts", func(t *testing.T) {
		b, f, _ := australia(t)
		f.ResponseAlg = "ES256"
		res := (&browser{b: b}).decideAt(f.byPush(b, f.shares(b, m{})), b.consumer())
		if h := headerOf(t, location(t, res).Get("response")); h["alg"] != "ES256" {
			t.Errorf("header %v", h)
		}
	})
	t.Run("CDR-22 never RS256, and encrypted for nobody who did not ask", func(t *testing.T) {
		b, f, _ := australia(t)
		res := (&browser{b: b}).decideAt(f.byPush(b, f.shares(b, m{})), b.consumer())
		jwt := location(t, res).Get("response")
		if h := headerOf(t, jwt); h["alg"] != "PS256" || strings.Count(jwt, ".") != 2 {
			t.Errorf("header %v", h)
		}
	})
}

// TestCDRBeside: one server for this region and for FAPI 2.0. Neither loosens
// or tightens the other.
func TestCDRBeside(t *testing.T) {
	s := newKeyServer(t)
	f, modern := australian(s, "recipient"), keyClient("kakeibo")
	modern.Profile = authz.FAPI2Security
	s.publish(f.jwk())
	b := newBank(t, clients(f, modern), inAustralia(s), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.AustraliaCDR, authz.FAPI2Security}
		c.Scopes = append(c.Scopes, "payments")
	})
	t.Run("OV-24 CDR-12 a flow of each", func(t *testing.T) {
		got := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())
		if got["cdr_arrangement_id"] == nil || got["refresh_token"] == nil {
			t.Errorf("%v", got)
		}
		got = modern.tokens(b)
		if got["cdr_arrangement_id"] != nil || got["refresh_token"] == nil || got["scope"] != "openid accounts" {
			t.Errorf("%v", got)
		}
		if in := modern.introspect(b, got["access_token"].(string)); in["active"] != true || in["cdr_arrangement_id"] != nil {
			t.Errorf("introspection: %v", in)
		}
		if in := modern.introspect(b, got["refresh_token"].(string)); in["active"] != true || in["exp"] != float64(b.clock.Now().Add(b.config.GrantLifetime).Unix()) || in["cdr_arrangement_id"] != nil {
			t.Errorf("introspection: %v", in)
		}
	})
	t.Run("OV-24 CDR-10 CDR-11 what the claims of one are to the other", func(t *testing.T) {
		v := changed(modern.pushable(), "claims", `{"sharing_duration":-1,"cdr_arrangement_id":"x"}`)
		res, err := (&browser{b: b}).decide(modern, modern.push(b, v), b.approval())
		if err != nil || location(t, res).Get("code") == "" {
			t.Errorf("Finish: %v", err)
		}
	})
	t.Run("OV-24 CDR-6 no certificate, and any subject", func(t *testing.T) {
		g := *modern
		g.chain = nil
		if res := b.do(g.request("/par", g.authenticate(b, g.pushable()))); res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
		if id := claimsOf(t, modern.tokens(b)["id_token"].(string)); id["sub"] != customer {
			t.Errorf("sub is %v", id["sub"])
		}
	})
	t.Run("OV-24 CDR-19 the end of arrangements is not for the other", func(t *testing.T) {
		grant := claimsOf(t, modern.tokens(b)["access_token"].(string))["grant_id"]
		mustRefuse(t, b, modern.ends(b, arrangement(grant)), 400, "unauthorized_client", "CDR-19")
	})
	t.Run("OV-24 CDR-21 the document has both", func(t *testing.T) {
		got := object(t, b.do(get(issuer+wellKnown)))
		if got["require_pushed_authorization_requests"] != true || got["require_signed_request_object"] != false || got["id_token_encryption_alg_values_supported"] == nil {
			t.Errorf("%v", got)
		}
		if d := cmp.Diff([]any{"public", "pairwise"}, got["subject_types_supported"]); d != "" {
			t.Error(d)
		}
	})
	t.Run("CDR-19 OV-24 once the profile is retired, its clients may still end what they have", func(t *testing.T) {
		got := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())
		c := b.config
		c.Retire = map[authz.Profile]time.Time{authz.AustraliaCDR: b.clock.Now().Add(-time.Second)}
		srv, err := authz.New(c)
		if err != nil {
			t.Fatal(err)
		}
		b.srv = srv
		if doc := object(t, b.do(get(issuer+wellKnown))); doc["cdr_arrangement_revocation_endpoint"] != nil {
			t.Error("the endpoint is still advertised")
		}
		if res := f.ends(b, arrangement(got["cdr_arrangement_id"])); res.StatusCode != 204 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
}

// TestCDRWithdrawal: the bank tells a recipient that its customer has withdrawn.
func TestCDRWithdrawal(t *testing.T) {
	type told struct {
		path, bearer string
		form         url.Values
	}
	start := func(t *testing.T, answers ...int) (*bank, *fintech, *[]told) {
		var all []told
		recipient := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			status := answers[min(len(all), len(answers)-1)]
			all = append(all, told{r.Method + " " + r.URL.Path, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.PostForm})
			if status == 302 {
				w.Header().Set("Location", "/elsewhere")
			}
			w.WriteHeader(status)
		}))
		t.Cleanup(recipient.Close)
		b, f, _ := australia(t)
		f.Metadata = map[string]json.RawMessage{"recipient_base_uri": json.RawMessage(`"` + recipient.URL + `/cdr/"`)}
		return b, f, &all
	}
	t.Run("CDR-20 a JWT of the brand's, and another to say who it is", func(t *testing.T) {
		b, f, all := start(t, 204)
		id := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())["cdr_arrangement_id"].(string)
		if err := b.srv.NotifyWithdrawal(t.Context(), f.ID, "brand-1", id); err != nil {
			t.Fatal(err)
		}
		if e := b.lastEvent(); e.Kind != "withdrawal_notified" || e.Client != f.ID || e.Grant != id {
			t.Errorf("event %+v", e)
		}
		if len(*all) != 1 || (*all)[0].path != "POST /cdr/arrangements/revoke" {
			t.Fatalf("the recipient was told %+v", *all)
		}
		got := (*all)[0]
		var base string
		json.Unmarshal(f.Metadata["recipient_base_uri"], &base)
		now := b.clock.Now().Unix()
		want := map[string]any{"iss": "brand-1", "sub": "brand-1", "aud": base + "arrangements/revoke", "iat": json.Number(itoa(now)), "exp": json.Number(itoa(now + 120))}
		seen := map[any]bool{}
		for name, jwt := range map[string]string{"bearer": got.bearer, "arrangement": got.form.Get("cdr_arrangement_jwt")} {
			header, claims := verified(t, jwt, b.config.Keys)
			if name == "arrangement" {
				want["cdr_arrangement_id"] = id
			} else {
				delete(want, "cdr_arrangement_id")
			}
			if jti, _ := claims["jti"].(string); len(jti) < 22 || seen[jti] {
				t.Errorf("jti %q", jti)
			}
			seen[claims["jti"]] = true
			delete(claims, "jti")
			if d := cmp.Diff(want, claims); d != "" || header["alg"] != "PS256" {
				t.Errorf("%s: %v %s", name, header, d)
			}
		}
	})
	for name, tt := range map[string]struct {
		answers []int
		tries   int
		ok      bool
	}{
		"CDR-20 busy, then done": {[]int{503, 204}, 2, true}, "CDR-20 busy twice": {[]int{503}, 2, false},
		"CDR-20 refused": {[]int{422}, 1, false}, "CDR-20 sent elsewhere": {[]int{302}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, f, all := start(t, tt.answers...)
			b.srv.Hurry(10 * time.Second)
			err := b.srv.NotifyWithdrawal(t.Context(), f.ID, "brand-1", "gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk")
			if (err == nil) != tt.ok || len(*all) != tt.tries {
				t.Errorf("%v after %d tries", err, len(*all))
			}
			if kind := b.lastEvent().Kind; (kind == "withdrawal_notified") != tt.ok {
				t.Errorf("event %s", kind)
			}
			seen := map[any]bool{} // a recipient that took the first try takes none of its JWTs again
			for _, told := range *all {
				for _, jwt := range []string{told.bearer, told.form.Get("cdr_arrangement_jwt")} {
					jti := claimsOf(t, jwt)["jti"]
					if seen[jti] {
						t.Error("a JWT is sent twice")
					}
					seen[jti] = true
				}
			}
		})
	}
	t.Run("CDR-20 also once the profile is retired", func(t *testing.T) {
		b, f, all := start(t, 204)
		c := b.config
		c.Profiles = append(slices.Clone(c.Profiles), authz.FAPI2Security)
		c.Retire = map[authz.Profile]time.Time{authz.AustraliaCDR: b.clock.Now().Add(-time.Second)}
		srv, err := authz.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.NotifyWithdrawal(t.Context(), f.ID, "brand-1", "gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk"); err != nil || len(*all) != 1 {
			t.Errorf("%v after %d tries", err, len(*all))
		}
	})
	t.Run("CDR-20 also when the customer's browser has left", func(t *testing.T) {
		b, f, all := start(t, 204)
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if err := b.srv.NotifyWithdrawal(ctx, f.ID, "brand-1", "gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk"); err != nil || len(*all) != 1 {
			t.Errorf("%v after %d tries", err, len(*all))
		}
	})
	t.Run("CDR-20 OV-24 not a client of another profile", func(t *testing.T) {
		b, f, all := start(t, 204)
		modern := keyClient("kakeibo")
		modern.Profile, modern.Metadata = authz.FAPI2Security, f.Metadata
		c := b.config
		c.Profiles, c.Clients = append(slices.Clone(c.Profiles), authz.FAPI2Security), &registry{c: modern.Client}
		srv, err := authz.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.NotifyWithdrawal(t.Context(), modern.ID, "brand-1", "gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk"); err == nil || len(*all) != 0 {
			t.Errorf("%v after %d tries", err, len(*all))
		}
	})
	t.Run("CDR-20 nobody to tell", func(t *testing.T) {
		b, f, all := start(t, 204)
		const id = "gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk"
		for _, try := range [][3]string{{"nobody", "brand-1", id}, {f.ID, "", id}, {f.ID, "brand-1", "rs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk"}} {
			if b.srv.NotifyWithdrawal(t.Context(), try[0], try[1], try[2]) == nil {
				t.Errorf("%v was told", try)
			}
		}
		f.Metadata = nil
		if b.srv.NotifyWithdrawal(t.Context(), f.ID, "brand-1", id) == nil || len(*all) != 0 {
			t.Errorf("told %v", *all)
		}
	})
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
