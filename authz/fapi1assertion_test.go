package authz_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// fapi1Endpoints authenticate clients of FAPI 1.0, each with a request that is
// answered if the client is who it says.
var fapi1Endpoints = []struct {
	path   string
	status int
	form   func(f *fintech, b *bank) url.Values
}{
	{"/par", 201, func(f *fintech, b *bank) url.Values {
		return url.Values{"request": {f.object(challengedClaims(f.asks(b, f.wants())))}}
	}},
	{"/token", 200, func(*fintech, *bank) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}
	}},
	{"/introspect", 200, func(*fintech, *bank) url.Values { return url.Values{"token": {"x"}} }},
	{"/revoke", 200, func(*fintech, *bank) url.Values { return url.Values{"token": {"x"}} }},
}

// forItself lets f have tokens of its own as well.
func (f *fintech) forItself() *fintech {
	f.GrantTypes = append(f.GrantTypes, "client_credentials")
	return f
}

// TestFAPI1AssertionOnce: an assertion is good for one answer, wherever.
func TestFAPI1AssertionOnce(t *testing.T) {
	f, other := keyClient("kakeibo").hybrid().forItself(), keyClient("other").hybrid().forItself()
	b := newBank(t, clients(f, other), advanced)
	for _, first := range fapi1Endpoints {
		for _, second := range fapi1Endpoints {
			t.Run("CA-5 used at "+first.path+", then at "+second.path, func(t *testing.T) {
				a := f.signed(f.assertion(b))
				if res := b.do(f.request(first.path, f.asserting(first.form(f, b), a))); res.StatusCode != first.status {
					t.Fatalf("first: %d %+v", res.StatusCode, b.lastEvent())
				}
				mustRefuse(t, b, b.do(f.request(second.path, f.asserting(second.form(f, b), a))), 401, "invalid_client", "RFC7523-3-6")
			})
		}
	}
	at := fapi1Endpoints[1]
	send := func(b *bank, f *fintech, claims m) *http.Response {
		return b.do(f.request(at.path, f.asserting(at.form(f, b), f.signed(claims))))
	}
	t.Run("CA-5 its jti in an assertion for another endpoint", func(t *testing.T) {
		claims := f.assertion(b)
		if res := send(b, f, claims); res.StatusCode != 200 {
			t.Fatal(res.StatusCode)
		}
		claims["aud"] = []string{issuer + "/token", issuer + "/par"}
		mustRefuse(t, b, send(b, f, claims), 401, "invalid_client", "RFC7523-3-6")
	})
	t.Run("CA-5 at another node", func(t *testing.T) {
		node := newBank(t, clients(f), advanced, func(c *authz.Config) { c.Store = b.config.Store })
		claims := f.assertion(b)
		if res := send(b, f, claims); res.StatusCode != 200 {
			t.Fatal(res.StatusCode)
		}
		mustRefuse(t, node, send(node, f, claims), 401, "invalid_client", "RFC7523-3-6")
	})
	t.Run("CA-5 for as long as it is good, and the leeway", func(t *testing.T) {
		spy := &spyStore{}
		b := newBank(t, clients(f), advanced, func(c *authz.Config) { spy.Store = c.Store; c.Store = spy })
		claims := f.assertion(b) // for 60 seconds
		if res := send(b, f, claims); res.StatusCode != 200 {
			t.Fatal(res.StatusCode)
		}
		if good := b.clock.Now().Add(70 * time.Second); len(spy.created) != 1 || spy.created[0].Expires.Before(good) {
			t.Errorf("the store is asked to keep %+v, want until %s", spy.created, good)
		}
		b.clock.Advance(69 * time.Second)
		mustRefuse(t, b, send(b, f, claims), 401, "invalid_client", "RFC7523-3-6")
		b.clock.Advance(time.Second)
		mustRefuse(t, b, send(b, f, claims), 401, "invalid_client", "RFC7523-3-4")
	})
	t.Run("CA-5 another client may have the same jti", func(t *testing.T) {
		for _, f := range []*fintech{f, other} {
			claims := f.assertion(b)
			claims["jti"] = "1"
			if res := send(b, f, claims); res.StatusCode != 200 {
				t.Errorf("%s: %d %+v", f.ID, res.StatusCode, b.lastEvent())
			}
		}
	})
}

// TestFAPI1Assertion changes one thing about a good assertion.
func TestFAPI1Assertion(t *testing.T) {
	const day = 24 * 3600
	for _, tt := range []struct {
		name string
		with func(m, int64)
		rule string // "" accepts it
	}{
		{"CA-5 no jti", drop("jti"), "OIDCC-9-1"},
		{"CA-5 an empty jti", setClaim("jti", ""), "OIDCC-9-1"},
		{"CA-6 as far ahead as clocks may be", each(at("nbf", 30), at("iat", 30)), ""},
		{"CA-6 nbf to come", at("nbf", 31), "FAPI2-SP-5.3.2.1-13b"},
		{"CA-6 iat to come", at("iat", 31), "FAPI2-SP-5.3.2.1-13b"},
		{"CA-6 made a day ago", at("iat", -day), ""},
		{"CA-6 made more than a day ago", at("iat", -day-1), "CA-6"},
		{"CA-6 no iat", drop("iat"), ""},
	} {
		for _, e := range fapi1Endpoints {
			t.Run(tt.name+" at "+e.path, func(t *testing.T) {
				f := keyClient("kakeibo").hybrid().forItself()
				b := newBank(t, clients(f), advanced)
				claims := f.assertion(b)
				tt.with(claims, b.clock.Now().Unix())
				res := b.do(f.request(e.path, f.asserting(e.form(f, b), f.signed(claims))))
				if tt.rule != "" {
					mustRefuse(t, b, res, 401, "invalid_client", tt.rule)
				} else if res.StatusCode != e.status {
					t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
				}
			})
		}
	}
}

// TestFAPI1AssertionKey: the key is one that the client registered, whatever
// the assertion says.
func TestFAPI1AssertionKey(t *testing.T) {
	thief := keyClient("thief").hybrid()
	thief.kid = "kakeibo-1"
	s := newKeyServer(t, thief.jwk())
	f := keyClient("kakeibo").hybrid()
	b := newBank(t, clients(f, keyClient("other").hybrid()), advanced, s.reachable)
	for name, header := range map[string]m{
		"kid of the client's": {"kid": f.kid},
		"no kid":              {},
		"jwk":                 {"kid": f.kid, "jwk": thief.jwk()},
		"jku":                 {"kid": f.kid, "jku": s.URL},
		"jku and no kid":      {"jku": s.URL},
		"x5u":                 {"kid": f.kid, "x5u": s.URL},
		"x5c":                 {"x5c": []string{"AAAA"}},
	} {
		t.Run("CA-8 "+name, func(t *testing.T) {
			header["alg"] = "ES256"
			v := f.asserting(url.Values{"token": {"x"}}, jwt(header, f.assertion(b), thief.key))
			mustRefuse(t, b, b.do(f.request("/revoke", v)), 401, "invalid_client", "RFC7523-3-7")
			if n := s.fetches(); n != 0 {
				t.Errorf("%d fetches of a stranger's keys", n)
			}
		})
	}
	t.Run("CA-8 the client's own key, whatever stands beside", func(t *testing.T) {
		a := jwt(m{"alg": "ES256", "kid": f.kid, "jwk": thief.jwk(), "jku": s.URL}, f.assertion(b), f.key)
		if res := b.do(f.request("/revoke", f.asserting(url.Values{"token": {"x"}}, a))); res.StatusCode != 200 || s.fetches() != 0 {
			t.Errorf("%d %+v, %d fetches", res.StatusCode, b.lastEvent(), s.fetches())
		}
	})
}

// TestFAPI1OneMethod: a client authenticates by the method that it registered,
// and by no other beside it.
func TestFAPI1OneMethod(t *testing.T) {
	byKey, byCA, byCert := keyClient("by-key").hybrid().forItself(), tlsClient("by-ca").hybrid().forItself(), selfSignedClient("by-cert").hybrid().forItself()
	b := newBank(t, clients(byKey, byCA, byCert), advanced)
	for _, e := range fapi1Endpoints {
		basic := func(v url.Values) *http.Request {
			r := byKey.request(e.path, v)
			r.SetBasicAuth(byKey.ID, "s3cr3t")
			return r
		}
		t.Run("CA-10 an assertion and Basic at "+e.path, func(t *testing.T) {
			mustRefuse(t, b, b.do(basic(byKey.authenticate(b, e.form(byKey, b)))), 400, "invalid_request", "RFC6749-2.3-1")
		})
		t.Run("CA-10 an assertion and a secret at "+e.path, func(t *testing.T) {
			v := with(byKey.authenticate(b, e.form(byKey, b)), "client_secret", "s3cr3t")
			mustRefuse(t, b, b.do(byKey.request(e.path, v)), 400, "invalid_request", "RFC6749-2.3-1")
		})
		t.Run("CA-12 Basic alone, and the challenge that it asks for, at "+e.path, func(t *testing.T) {
			res := b.do(basic(with(e.form(byKey, b), "client_id", byKey.ID)))
			if h := res.Header.Get("WWW-Authenticate"); !strings.HasPrefix(h, "Basic ") {
				t.Errorf("WWW-Authenticate %q", h)
			}
			mustRefuse(t, b, res, 401, "invalid_client", "FAPI2-SP-5.3.2.1-6")
		})
		t.Run("CA-10 a certificate beside an assertion binds tokens, and names nobody, at "+e.path, func(t *testing.T) {
			r := byKey.request(e.path, byKey.authenticate(b, e.form(byKey, b)))
			r.TLS.PeerCertificates = byCA.chain
			if res := b.do(r); res.StatusCode != e.status || b.lastEvent().Client != byKey.ID {
				t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
			}
		})
		t.Run("CA-11 a certificate in place of an assertion at "+e.path, func(t *testing.T) {
			r := byKey.request(e.path, with(e.form(byKey, b), "client_id", byKey.ID))
			r.TLS.PeerCertificates = tlsClient(byKey.ID).chain // from an authority of the bank's, in its name
			mustRefuse(t, b, b.do(r), 401, "invalid_client", "RFC6749-2.3-2")
		})
		for _, f := range []*fintech{byCA, byCert} {
			t.Run("CA-11 an assertion, by the key that signs requests, of "+f.ID+" at "+e.path, func(t *testing.T) {
				v := f.asserting(e.form(f, b), f.signed(f.assertion(b)))
				mustRefuse(t, b, b.do(f.request(e.path, v)), 401, "invalid_client", "RFC6749-2.3-2")
			})
		}
	}
}

// TestFAPI1PARAuthentication: pushing is for the client alone, and takes the
// credentials that the token endpoint takes.
func TestFAPI1PARAuthentication(t *testing.T) {
	byKey, byCA, byCert := keyClient("by-key").hybrid(), tlsClient("by-ca").hybrid(), selfSignedClient("by-cert").hybrid()
	b := newBank(t, clients(byKey, byCA, byCert), advanced, func(c *authz.Config) { c.MTLSBase = "https://mtls.bank.example" })
	push := func(f *fintech) *http.Request { return f.pushing(b, f.object(challengedClaims(f.asks(b, f.wants())))) }
	for _, f := range []*fintech{byKey, byCA, byCert} {
		for _, host := range []string{"as.bank.example", "mtls.bank.example"} {
			t.Run("PAR-2-2 "+f.AuthMethod+" at "+host, func(t *testing.T) {
				r := push(f)
				r.Host = host
				if res := b.do(r); res.StatusCode != 201 {
					t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
				}
			})
		}
		t.Run("PAR-2-2 nothing that proves who asks for "+f.ID, func(t *testing.T) {
			v := url.Values{"client_id": {f.ID}, "request": {f.object(challengedClaims(f.asks(b, f.wants())))}}
			r := f.request("/par", v)
			r.TLS.PeerCertificates = nil
			refused(t, b.do(r), 401, "invalid_client")
		})
	}
	t.Run("PAR-2-2 no certificate is needed beside an assertion", func(t *testing.T) {
		r := push(byKey)
		r.TLS.PeerCertificates = nil
		if res := b.do(r); res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("PAR-2-2 another's key", func(t *testing.T) {
		stranger := *byKey
		stranger.key = newEC()
		mustRefuse(t, b, b.do(push(&stranger)), 401, "invalid_client", "RFC7523-3-7")
	})
	t.Run("PAR-2-2 another's certificate", func(t *testing.T) {
		for f, rule := range map[*fintech]string{byCA: "RFC8705-2.1-1", byCert: "RFC8705-2.2-2"} {
			r := push(f)
			r.TLS.PeerCertificates = byKey.chain
			mustRefuse(t, b, b.do(r), 401, "invalid_client", rule)
		}
	})
	for _, name := range []string{"client_id", "iss"} {
		t.Run("PAR-3-2 an object whose "+name+" is another client", func(t *testing.T) {
			claims := challengedClaims(byKey.asks(b, byKey.wants()))
			claims[name] = byCA.ID
			refused(t, b.do(byKey.pushing(b, byKey.object(claims))), 400, "invalid_request_object")
		})
	}
	t.Run("PAR-3-2 another client's object", func(t *testing.T) {
		object := byCA.object(challengedClaims(byCA.asks(b, byCA.wants())))
		refused(t, b.do(byKey.pushing(b, object)), 400, "invalid_request_object")
	})
}
