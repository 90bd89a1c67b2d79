package authz_test

import (
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

// TestFAPI1NoRedirect: no error leads to a redirect URI that nobody vouches for,
// nor away from the page before a customer has decided.
func TestFAPI1NoRedirect(t *testing.T) {
	const evil = "https://evil.example/cb"
	f, thief := keyClient("kakeibo").hybrid(), keyClient("thief").hybrid()
	b := newBank(t, clients(f, thief), advanced)
	claims := func(name string, v any) m { return changedClaim(f.asks(b, f.wants()), name, v) }
	good := f.object(claims("x", 1))
	dot := strings.LastIndexByte(good, '.') + 1
	for name, signed := range map[string]string{
		"a broken signature":                      good[:dot] + flip(good[dot]) + good[dot+1:],
		"signed by another client":                jwt(m{"alg": "ES256", "kid": f.kid}, claims("redirect_uri", evil), thief.key),
		"no signature":                            b64url([]byte(`{"alg":"none"}`)) + "." + b64url([]byte(`{"redirect_uri":"`+evil+`"}`)) + ".",
		"signed, and the URI not registered":      f.object(claims("redirect_uri", evil)),
		"signed, the URI registered, and expired": f.object(claims("exp", 1)),
		"signed, the URI registered, and no mode": f.object(claims("response_mode", "query")),
	} {
		for _, beside := range []string{evil, callback} {
			t.Run("JAR-12 "+name+", beside "+beside, func(t *testing.T) {
				v := with(with(f.beside(signed), "redirect_uri", beside), "state", "x")
				for _, r := range []*http.Request{get(authorizeURL(v)), formTo(v)} {
					res := (&browser{b: b}).openPage(r)
					if to := res.Header.Get("Location"); res.StatusCode != 400 || to != "" {
						t.Errorf("%s: %d to %q", r.Method, res.StatusCode, to)
					}
				}
			})
		}
	}
	t.Run("JAR-12 a denial goes where the object says", func(t *testing.T) {
		v := with(f.beside(good), "redirect_uri", evil)
		res := (&browser{b: b}).decideAt(get(authorizeURL(v)), authz.Decision{Deny: authz.AccessDenied})
		if to := res.Header.Get("Location"); !strings.HasPrefix(to, callback+"#") {
			t.Errorf("Location is %s", to)
		}
	})
}

// TestFAPI1PolicyChanges: what the bank takes from a client after a push is gone,
// on the first page and at the decision.
func TestFAPI1PolicyChanges(t *testing.T) {
	for name, change := range map[string]func(*registry, *authz.Client){
		"the client is gone":                    func(r *registry, _ *authz.Client) { r.err = authz.ErrNoClient },
		"the client no longer fits its profile": func(_ *registry, c *authz.Client) { c.CertificateBoundTokens = false },
		"the redirect URI is withdrawn":         func(_ *registry, c *authz.Client) { c.RedirectURIs = []string{callback + "2"} },
		"the response type is withdrawn": func(_ *registry, c *authz.Client) {
			c.ResponseTypes, c.GrantTypes = []string{"code"}, []string{"authorization_code"}
		},
		"a scope is withdrawn":                       func(_ *registry, c *authz.Client) { c.Scope = "openid payments" },
		"the client may use its own tokens and none": func(_ *registry, c *authz.Client) { c.GrantTypes = []string{"client_credentials"} },
	} {
		t.Run("PAR-4-4 "+name, func(t *testing.T) {
			f := keyClient("kakeibo").hybrid()
			reg := &registry{c: f.Client}
			b := newBank(t, nil, advanced, func(c *authz.Config) { c.Clients = reg })
			r, br := f.byPush(b, challengedClaims(f.asks(b, f.wants()))), &browser{b: b}
			id := br.shows(get(r.URL.String()))
			reg.change(change)
			if w, err := br.finish(id, b.approval()); err == nil || w.Header().Get("Location") != "" {
				t.Errorf("the decision: %v, to %q", err, w.Header().Get("Location"))
			}
			if res := b.do(r); res.StatusCode != 400 || res.Header.Get("Location") != "" {
				t.Errorf("the first page: %d to %q", res.StatusCode, res.Header.Get("Location"))
			}
		})
	}
}

// TestFAPI1Authentication: what the client is told of how the customer logged in.
func TestFAPI1Authentication(t *testing.T) {
	const strong = "urn:bank:acr:strong"
	f := keyClient("kakeibo").hybrid()
	b := newBank(t, clients(f), advanced, func(c *authz.Config) { c.ACRValues = []string{strong} })
	essential := func() *http.Request {
		return f.byValue(changedClaim(f.asks(b, f.wants()), "claims", m{"id_token": m{"acr": m{"essential": true, "values": []string{strong}}}}))
	}
	t.Run("EC-20 an essential acr that was not reached is no approval", func(t *testing.T) {
		br := &browser{b: b}
		if w, err := br.finish(br.shows(essential()), b.approval()); err == nil || w.Header().Get("Location") != "" {
			t.Errorf("%v, to %q", err, w.Header().Get("Location"))
		}
	})
	t.Run("EC-20 an essential acr that cannot be reached", func(t *testing.T) {
		back := f.back(t, (&browser{b: b}).decideAt(essential(), authz.Decision{Deny: authz.UnmetAuthentication}))
		if d := cmp.Diff(url.Values{"error": {"unmet_authentication_requirements"}, "state": {"st-4Jx9"}, "iss": {issuer}}, back); d != "" {
			t.Error(d)
		}
	})
	t.Run("EC-20 one that was reached", func(t *testing.T) {
		d := b.approval()
		d.ACR = strong
		back := f.back(t, (&browser{b: b}).decideAt(essential(), d))
		if id := signedClaims(t, back.Get("id_token")); id["acr"] != strong {
			t.Errorf("%v", id)
		}
	})
	for _, acr := range []string{"", strong} {
		t.Run("CT-29 the times of both ID tokens, and acr "+acr, func(t *testing.T) {
			d := b.approval()
			d.ACR = acr
			back := f.back(t, (&browser{b: b}).decideAt(f.byPush(b, challengedClaims(f.asks(b, f.wants()))), d))
			_, got := f.token(b, f.redeemable(back.Get("code")))
			now := b.clock.Now().Unix()
			for _, text := range []string{back.Get("id_token"), got["id_token"].(string)} {
				id := signedClaims(t, text)
				if id["iat"] != exactly(now) || id["exp"] != exactly(now+300) || id["auth_time"] != exactly(now) {
					t.Errorf("%v", id)
				}
				if said, ok := id["acr"]; ok != (acr != "") || ok && said != acr {
					t.Errorf("acr is %v", said)
				}
			}
		})
	}
}

// TestFAPI1Document: members that have a listener or an endpoint of their own.
func TestFAPI1Document(t *testing.T) {
	const alias = "https://mtls.bank.example"
	f := keyClient("kakeibo").reader().hybrid()
	b := newBank(t, clients(f), advanced, telling(hanako()), func(c *authz.Config) { c.MTLSBase = alias })
	doc := objectAt(t, b, wellKnown)
	t.Run("MD-12 the endpoints at which certificates are seen", func(t *testing.T) {
		want := m{
			"token_endpoint": alias + "/token", "pushed_authorization_request_endpoint": alias + "/par", "userinfo_endpoint": alias + "/userinfo",
			"introspection_endpoint": alias + "/introspect", "revocation_endpoint": alias + "/revoke",
		}
		if d := cmp.Diff(want, doc["mtls_endpoint_aliases"]); d != "" {
			t.Error(d)
		}
		if one, ok := objectAt(t, newBank(t, nil, advanced), wellKnown)["mtls_endpoint_aliases"]; ok {
			t.Errorf("with one listener: %v", one)
		}
	})
	t.Run("MD-19 userinfo's algorithms, and no registration", func(t *testing.T) {
		algs, _ := doc["userinfo_signing_alg_values_supported"].([]any)
		if !slices.Contains(algs, any("PS256")) && !slices.Contains(algs, any("ES256")) || doc["registration_endpoint"] != nil {
			t.Errorf("%v, %v", algs, doc["registration_endpoint"])
		}
	})
	t.Run("FAPI1-BASE-6.2.1-8 userinfo in UTF-8", func(t *testing.T) {
		claims := challengedClaims(f.asks(b, with(f.wants(), "scope", "openid profile")))
		back := f.back(t, (&browser{b: b}).decideAt(f.byPush(b, claims), b.approval()))
		_, got := f.token(b, f.redeemable(back.Get("code")))
		res := b.do(f.asksInfo(b, got["access_token"].(string), nil))
		if info := object(t, res); res.Header.Get("Content-Type") != "application/json" || info["name"] != "鈴木 花子" {
			t.Errorf("%v %v", res.Header, info)
		}
	})
	t.Run("FAPI1-BASE-7.1-3 browsers are told to come by TLS alone", func(t *testing.T) {
		br := &browser{b: b}
		r := f.byValue(f.asks(b, f.wants()))
		for name, res := range map[string]*http.Response{
			"a form post":   br.do(formTo(r.URL.Query())),
			"the page":      br.do(get(r.URL.String())),
			"an error page": br.do(get(authorizeURL(f.beside("x")))),
			"the answer":    br.decideAt(r, b.approval()),
		} {
			if h := res.Header["Strict-Transport-Security"]; len(h) != 1 || h[0] != "max-age=63072000; includeSubDomains; preload" {
				t.Errorf("%s: %q", name, h)
			}
		}
	})
}

// TestFAPI1Brands: two brands of one deployment, over one store, with the same
// keys and secrets and the same client.
func TestFAPI1Brands(t *testing.T) {
	f := keyClient("kakeibo").hybrid()
	one := newBank(t, clients(f), advanced)
	two := newBank(t, clients(f), advanced, func(c *authz.Config) { c.Issuer, c.Store = issuer+"/brand", one.config.Store })
	at := func(path string, v url.Values) *http.Response {
		return two.do(f.request("/brand"+path, f.authenticate(two, v)))
	}
	code := f.grants(t, one, one.approval())
	_, got := f.token(one, f.grants(t, one, one.approval()))
	access := got["access_token"].(string)

	t.Run("FAPI1-BASE-7.7 each has its issuer", func(t *testing.T) {
		if here, there := objectAt(t, one, wellKnown), objectAt(t, two, "/brand"+wellKnown); here["issuer"] != issuer || there["issuer"] != issuer+"/brand" {
			t.Errorf("%v, %v", here["issuer"], there["issuer"])
		}
	})
	t.Run("FAPI1-BASE-7.7 a code and a refresh token of the other", func(t *testing.T) {
		refused(t, at("/token", code), 400, "invalid_grant")
		refused(t, at("/token", refreshing(got["refresh_token"].(string))), 400, "invalid_grant")
		if status, got := f.token(one, code); status != 200 {
			t.Errorf("at home: %d %v", status, got)
		}
	})
	t.Run("FAPI1-BASE-7.7 an access token of the other", func(t *testing.T) {
		v, err := token.NewVerifier(token.VerifierConfig{Issuer: issuer + "/brand", Audience: resource, Keys: serverKeys, Liveness: two.config.Store, Now: two.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", resource+"/accounts", nil)
		r.Header.Set("Authorization", "Bearer "+access)
		r.TLS = f.request("/", nil).TLS
		if _, err := v.Check(r, token.Require{}); err == nil {
			t.Error("it is taken")
		}
		if err := f.check(one, access); err != nil {
			t.Errorf("at home: %v", err)
		}
	})
	t.Run("FAPI1-BASE-7.7 an assertion and a request object for the other", func(t *testing.T) {
		v := f.asserting(url.Values{"token": {"x"}}, f.signed(f.assertion(one)))
		refused(t, two.do(f.request("/brand/revoke", v)), 401, "invalid_client")
		object := f.object(challengedClaims(f.asks(one, f.wants())))
		refused(t, at("/par", url.Values{"request": {object}}), 400, "invalid_request_object")
	})
}
