package authz_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/authz"
)

// bothProfiles serves the Security Profile and Message Signing side by side.
func bothProfiles(c *authz.Config) {
	c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI2MessageSigning}
}

func signingAlone(c *authz.Config) { c.Profiles = []authz.Profile{authz.FAPI2MessageSigning} }

// TestProfilesSideBySide: each client meets its own profile, and what one
// demands of its clients the other does not learn.
func TestProfilesSideBySide(t *testing.T) {
	plain, signing, choosy := keyClient("plain"), keyClient("signing"), keyClient("choosy")
	plain.Profile, signing.Profile, choosy.Profile = authz.FAPI2Security, authz.FAPI2MessageSigning, authz.FAPI2Security
	choosy.RequireSignedRequest = true
	b := newBank(t, clients(plain, signing, choosy), bothProfiles)
	push := func(f *fintech, v url.Values) *http.Response { return b.do(f.request("/par", f.authenticate(b, v))) }
	object := func(f *fintech, v url.Values) url.Values { return url.Values{"request": {f.object(f.asks(b, v))}} }
	taken := func(t *testing.T, res *http.Response) {
		t.Helper()
		if res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	}
	t.Run("CONF-1 FAPI2-MS-5.3.1-1 the Security Profile takes both", func(t *testing.T) {
		taken(t, push(plain, plain.pushable()))
		taken(t, push(plain, object(plain, plain.pushable())))
		taken(t, push(plain, object(plain, plain.jarm())))
	})
	t.Run("CONF-1 FAPI2-MS-5.3.1-1 FAPI2-MS-5.4.1-1 Message Signing takes what is signed and is answered signed", func(t *testing.T) {
		mustRefuse(t, b, push(signing, signing.jarm()), 400, "invalid_request", "RFC9126-2.3-4")
		mustRefuse(t, b, push(signing, object(signing, signing.pushable())), 400, "invalid_request", "FAPI2-MS-5.4.1-1")
		taken(t, push(signing, object(signing, signing.jarm())))
	})
	t.Run("RFC9101-9-2 RFC9101-10.5-1 RFC9126-2.3-4 CT-AS-42 a client may ask for one of the two", func(t *testing.T) {
		mustRefuse(t, b, push(choosy, choosy.pushable()), 400, "invalid_request", "RFC9126-2.3-4")
		mustRefuse(t, b, push(choosy, with(choosy.pushable(), "request", "")), 400, "invalid_request", "RFC9126-2.3-4")
		taken(t, push(choosy, object(choosy, choosy.pushable())))
	})
	t.Run("RFC9101-9-1 FAPI2-MS-5.3.1-1 signed requests are required of all only where all profiles do", func(t *testing.T) {
		for want, profiles := range map[bool]func(*authz.Config){false: bothProfiles, true: signingAlone} {
			b := newBank(t, nil, profiles)
			got := map[string]any{}
			for name, v := range objectAt(t, b, wellKnown) {
				got[name] = v
			}
			if got["require_signed_request_object"] != want || slices.Contains(got["response_modes_supported"].([]any), any("query")) == want {
				t.Errorf("%v, %v", got["require_signed_request_object"], got["response_modes_supported"])
			}
		}
	})
	t.Run("FAPI2-SP-5.2.1-1 all of the Security Profile", func(t *testing.T) {
		c := b.config
		signingAlone(&c)
		c.Issuer, c.CodeLifetime = "http://as.bank.example", 61e9
		_, err := authz.New(c)
		if got := rules(t, err); !slices.Equal(got, []string{"FAPI2-SP-5.2.1-1", "FAPI2-SP-5.3.2.1-11"}) {
			t.Errorf("rules %v", got)
		}
		f := keyClient("weak")
		f.Profile, f.CertificateBoundTokens, f.AuthMethod = authz.FAPI2MessageSigning, false, "client_secret_post"
		if got := rules(t, b.srv.CheckClient(f.Client)); !slices.Equal(got, []string{"FAPI2-SP-5.3.2.1-6", "FAPI2-SP-5.3.2.1-5"}) {
			t.Errorf("rules %v", got)
		}
	})
	t.Run("OIDR-7 every client of Message Signing has keys", func(t *testing.T) {
		f := tlsClient("keyless")
		f.Profile = authz.FAPI2MessageSigning
		if got := rules(t, b.srv.CheckClient(f.Client)); !slices.Equal(got, []string{"OIDR-7"}) {
			t.Errorf("rules %v", got)
		}
		f.GrantTypes = []string{"client_credentials"} // and so makes no such request
		if err := b.srv.CheckClient(f.Client); err != nil {
			t.Error(err)
		}
	})
	t.Run("RFC9126-7.4-1 a client that was moved to Message Signing meanwhile", func(t *testing.T) {
		f := keyClient("moved")
		f.Profile = authz.FAPI2Security
		reg := &registry{c: f.Client}
		b := newBank(t, nil, bothProfiles, func(c *authz.Config) { c.Clients = reg })
		uri := f.push(b, f.pushable())
		reg.change(func(_ *registry, c *authz.Client) { c.Profile = authz.FAPI2MessageSigning })
		if res := (&browser{b: b}).open(f, uri); res.StatusCode != 400 || b.lastEvent().Rule != "RFC9126-7.4-1" {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
}

func objectAt(t *testing.T, b *bank, path string) m { return object(t, b.do(get(issuer+path))) }

// TestMessageSigningModules is what the public conformance tests of FAPI 2.0
// Message Signing do beyond those of the Security Profile, by their names.
func TestMessageSigningModules(t *testing.T) {
	const minute = 60
	for _, tt := range []struct {
		name string
		with func(c m, now int64)
		sign func(f *fintech, c m) string
		want string // error of PAR; "" means that the flow succeeds
	}{
		{"FAPI2-MS-5.3.1-2 CONF-2 ensure-request-object-with-multiple-aud-succeeds", setClaim("aud", []string{issuer, "https://other.example", "invalid"}), nil, ""},
		{"FAPI2-SP-5.3.2.1-13a CONF-23 ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted", at("nbf", 8), nil, ""},
		{"FAPI2-MS-5.3.1-4 CONF-22 ensure-request-object-without-exp-fails", drop("exp"), nil, "invalid_request_object"},
		{"FAPI2-MS-5.3.1-3 CONF-22 ensure-request-object-without-nbf-fails", drop("nbf"), nil, "invalid_request_object"},
		{"FAPI2-MS-5.3.1-4 ensure-expired-request-object-fails", at("exp", -60*minute), nil, "invalid_request_object"},
		{"FAPI2-MS-5.3.1-2 ensure-request-object-with-bad-aud-fails", setClaim("aud", "https://other.example"), nil, "invalid_request_object"},
		{"FAPI2-MS-5.3.1-4 ensure-request-object-with-exp-over-60-fails", at("exp", 70*minute), nil, "invalid_request_object"},
		{"FAPI2-SP-5.4.1-1b ensure-signed-request-object-with-RS256-fails", nil, func(f *fintech, c m) string {
			return jwt(m{"alg": "RS256", "kid": "ps", "typ": "oauth-authz-req+jwt"}, c, rsaKey())
		}, "invalid_request_object"},
		{"FAPI2-MS-5.3.1-1 ensure-request-object-with-invalid-signature-fails", nil, func(f *fintech, c m) string {
			signed := f.object(c)
			dot := strings.LastIndexByte(signed, '.') + 1
			return signed[:dot] + flip(signed[dot]) + signed[dot+1:]
		}, "invalid_request_object"},
		{"FAPI2-MS-5.3.1-1 RFC9126-2.3-4 ensure-unsigned-request-at-par-endpoint-fails", nil, func(*fintech, m) string { return "" }, "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.publishes(publicJWK(rsaKey().Public(), "ps", ""))
			b := newBank(t, clients(f), signingAlone)
			claims := f.asks(b, f.jarm())
			if tt.with != nil {
				tt.with(claims, b.clock.Now().Unix())
			}
			v := url.Values{"request": {f.object(claims)}}
			if tt.sign != nil {
				v.Set("request", tt.sign(f, claims))
			}
			if v.Get("request") == "" {
				v = f.jarm()
			}
			res := b.do(f.request("/par", f.authenticate(b, v)))
			if tt.want != "" {
				refused(t, res, 400, tt.want)
				return
			}
			got := object(t, res)
			if res.StatusCode != 201 {
				t.Fatalf("PAR: %d %v", res.StatusCode, got)
			}
			back, err := (&browser{b: b}).decide(f, got["request_uri"].(string), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			code := claimsOf(t, signedBack(t, back))["code"].(string)
			if status, got := f.token(b, f.redeemable(code)); status != 200 {
				t.Errorf("token: %d %v", status, got)
			}
		})
	}
}
