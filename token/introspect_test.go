package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// reference is the catalogue's opaque token, and api the name that the
// authorization server has for the bank's API.
const (
	reference = "at-5Vd2Rk8Wq1Zn7Xb4Lc9Mf0Tj6Gy3Hs"
	api       = "rs-accounts"

	mediaIntrospection = "application/token-introspection+jwt"
)

// A server is an authorization server that is asked about tokens.
type server struct {
	*httptest.Server
	asked int
	form  url.Values
	head  http.Header
}

func newServer(t *testing.T, answer http.HandlerFunc) *server {
	s := &server{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked++
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if s.form, err = url.ParseQuery(string(b)); err != nil {
			t.Error(err)
		}
		s.head = r.Header
		if r.Method != "POST" || r.URL.String() != "/introspect" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) introspector() *token.Introspector {
	return &token.Introspector{URL: s.URL + "/introspect", ClientID: api, HTTP: s.Client()}
}

// check presents the catalogue's token with the fintech's certificate.
func (s *server) check(t *testing.T, adjust ...func(*token.VerifierConfig)) (*token.Access, error) {
	t.Helper()
	c := config(t)
	c.Introspect = s.introspector()
	for _, f := range adjust {
		f(&c)
	}
	a, err := verifier(t, c).Check(request(t, "Bearer "+reference), token.Require{Scopes: []string{"accounts"}})
	if err != nil {
		noToken(t, reference, err.Error())
	}
	return a, err
}

// answer answers with a JWT.
func answer(compact string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaIntrospection)
		io.WriteString(w, compact)
	}
}

// An answering is what the server says; tests change one thing about a good one.
type answering struct {
	header, claims, said object
	key                  any
}

func goodAnswer(t testing.TB) *answering {
	return &answering{
		header: object{"typ": "token-introspection+jwt", "alg": "ES256", "kid": asKID},
		claims: object{"iss": issuer, "aud": api, "iat": now.Unix()},
		said: object{
			"active": true, "iss": issuer, "client_id": "tpp-7f3a9c", "sub": "u-5b1e9d", "aud": audience,
			"scope": "accounts payments", "token_type": "Bearer", "iat": 1767225642, "exp": 1767225942,
			"auth_time": 1767225620, "acr": "urn:finbank:acr:sca", "cnf": object{"x5t#S256": x5t},
		},
		key: asKey(t),
	}
}

func (a *answering) compact(t *testing.T) string {
	claims := a.claims
	if _, ok := claims["token_introspection"]; !ok && a.said != nil {
		claims = with(claims, "token_introspection", a.said)
	}
	return forge(t, marshal(t, a.header), marshal(t, claims), a.key)
}

func says(name string, v any) func(*answering) {
	return func(a *answering) { a.said = with(a.said, name, v) }
}

func outer(name string, v any) func(*answering) {
	return func(a *answering) { a.claims = with(a.claims, name, v) }
}

func TestIntrospect(t *testing.T) {
	a := goodAnswer(t)
	a.said = with(with(a.said, "username", "a"), "authorization_details", []object{{"type": "account_information"}})
	s := newServer(t, answer(a.compact(t)))
	got, err := s.check(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("RFC9396-9-1 RFC9396-9.2-1 RFC9470-6-1 it says what a JWT says", func(t *testing.T) {
		want := goodAccess()
		want.ID, want.Details = "", []json.RawMessage{json.RawMessage(`{"type":"account_information"}`)}
		want.Extra = map[string]any{"username": "a"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
	t.Run("RFC9701-4-1 FAPI2-MS-5.5.2-1 RFC7662-2-1 RFC7662-2.1-1 the question", func(t *testing.T) {
		want := url.Values{"token": {reference}, "token_type_hint": {"access_token"}, "client_id": {api}}
		if d := cmp.Diff(want, s.form); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		if got := s.head.Values("Accept"); len(got) != 1 || got[0] != mediaIntrospection {
			t.Errorf("Accept %q", got)
		}
		if got := s.head.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding %q", got)
		}
		if got := s.head.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
			t.Errorf("Content-Type %q", got)
		}
	})
	t.Run("RFC7662-2.2-2 it says nothing that a token does not", func(t *testing.T) {
		got, err := newServer(t, answer(goodAnswer(t).compact(t))).check(t)
		want := goodAccess()
		want.ID = ""
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, d)
		}
	})
	t.Run("RFC7662-4-3 nothing is kept", func(t *testing.T) {
		if _, err := s.check(t); err != nil || s.asked != 2 {
			t.Errorf("asked %d times for two requests, %v", s.asked, err)
		}
	})
	t.Run("what is given may change afterwards", func(t *testing.T) {
		c := config(t)
		c.Introspect = s.introspector()
		v := verifier(t, c)
		c.Introspect.URL, c.Introspect.ClientID = "https://x.example", "x"
		before := s.asked
		if _, err := v.Check(request(t, "Bearer "+reference), token.Require{}); err != nil || s.asked != before+1 {
			t.Errorf("asked %d times, %v", s.asked-before, err)
		}
	})
	t.Run("a JWT costs no question", func(t *testing.T) {
		c := config(t)
		c.Introspect = s.introspector()
		before := s.asked
		if _, err := verifier(t, c).Check(request(t, "Bearer "+goodToken(t)), token.Require{}); err != nil || s.asked != before {
			t.Errorf("asked %d times, %v", s.asked-before, err)
		}
	})
	t.Run("RFC6750-2.1-1 what could be no token costs no question", func(t *testing.T) {
		c := config(t)
		c.Introspect = s.introspector()
		before := s.asked
		_, err := verifier(t, c).Check(request(t, "Bearer "+reference+"\x00"), token.Require{})
		refused(t, err, 400, "invalid_request", "RFC6750-2.1-1")
		if s.asked != before {
			t.Error("the authorization server was asked")
		}
	})
}

// Anybody can make up a token, and a question costs two servers a signature each.
func TestNotWorthAsking(t *testing.T) {
	s := newServer(t, answer(goodAnswer(t).compact(t)))
	p := newProver(t)
	p.token = reference
	for _, tt := range []struct {
		name       string
		with       func(*http.Request)
		nonces     bool
		code, rule string
	}{
		{"RFC8705-3-3 no certificate", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+reference) }, false, "invalid_token", "RFC8705-3-3"},
		{"RFC9449-7-1 no proof", func(r *http.Request) { r.Header.Del("DPoP") }, false, "invalid_dpop_proof", "RFC9449-7-1"},
		{"RFC9449-4.3-12a the proof of another token", func(r *http.Request) {
			r.Header.Set("DPoP", newProver(t).request().Header.Get("DPoP"))
		}, false, "invalid_dpop_proof", "RFC9449-4.3-12a"},
		{"RFC9449-9-1 no nonce", func(*http.Request) {}, true, "use_dpop_nonce", "RFC9449-4.3-10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := p.request()
			tt.with(r)
			_, err := guard(t, func(c *token.VerifierConfig) {
				c.Introspect = s.introspector()
				if tt.nonces {
					c.NonceSecrets = [][]byte{make([]byte, 32)}
				}
			}).Check(r, token.Require{})
			refused(t, err, 401, tt.code, tt.rule)
			if s.asked != 0 {
				t.Error("the authorization server was asked")
			}
		})
	}
}

// What the authorization server says goes through the checks of any token.
func TestIntrospectedToken(t *testing.T) {
	tests := []struct {
		name   string
		change func(*answering)
		rule   string // "": accepted
	}{
		{"RFC9701-5-2 typ in full", func(a *answering) { a.header = with(a.header, "typ", mediaIntrospection) }, ""},
		{"RFC9701-5-3 a list of one for aud", outer("aud", []string{api}), ""},
		{"RFC7662-2.2-2 without what may be left out", func(a *answering) {
			for _, name := range []string{"iat", "auth_time", "acr", "token_type"} {
				says(name, nil)(a)
			}
		}, ""},

		{"RFC7662-2.2-3 RFC9701-5-5 inactive", func(a *answering) { a.said = object{"active": false} }, "FAPI2-SP-5.3.4-3"},
		{"RFC7662-2.2-3 inactive in spite of all the rest", says("active", false), "FAPI2-SP-5.3.4-3"},
		{"RFC7662-2.2-1 does not say whether it is active", says("active", nil), "RFC7662-2.2-1"},
		{"RFC7662-2.2-1 active is a string", says("active", "true"), "RFC7662-2.2-1"},
		{"RFC7662-2.2-1 active is a number", says("active", 1), "RFC7662-2.2-1"},
		{"RFC7662-4-4 RFC8707-3-1 for another API", says("aud", "https://x.example"), "RFC9068-4-1"},
		{"RFC7662-4-4 for no API", says("aud", nil), "RFC9068-2.2-1"},
		{"RFC7662-I-1 without cnf", says("cnf", nil), "FAPI2-SP-5.3.4-5"},
		{"RFC7662-I-1 without exp", says("exp", nil), "RFC9068-2.2-1"},
		{"RFC7662-I-1 without iss", says("iss", nil), "RFC9068-2.2-1"},
		{"RFC7662-I-1 without client_id", says("client_id", nil), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 without sub", says("sub", nil), "RFC9068-2.2-1"},
		{"RFC9068-4-1 of another issuer", says("iss", "https://x.example"), "RFC9068-4-1"},
		{"RFC7662-4-3 expired", says("exp", now.Unix()), "RFC9068-4-1"},
		{"RFC7662-4-3 not valid yet", says("nbf", now.Unix()+31), "RFC9068-4-1"},
		{"RFC9701-8.1-2 another's certificate", says("cnf", object{"x5t#S256": "VmR2zmQFtNQZEmpx3DFcuzPKziGYCx5f2prh05oCmAk"}), "RFC8705-3-3"},
		{"RFC9701-8.1-2 bound to a key", says("cnf", object{"jkt": x5t}), "RFC8705-3.1-2"},
		{"RFC9396-2-1 details are a string", says("authorization_details", "[]"), "RFC9068-2.2-1"},
		{"FAPI2-SP-5.3.4-4 scope lacking", says("scope", "payments"), "FAPI2-SP-5.3.4-4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := goodAnswer(t)
			tt.change(a)
			_, err := newServer(t, answer(a.compact(t))).check(t)
			if tt.rule == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			status, code := 401, "invalid_token"
			if tt.rule == "FAPI2-SP-5.3.4-4" {
				status, code = 403, "insufficient_scope"
			}
			refused(t, err, status, code, tt.rule)
		})
	}
	t.Run("RFC9449-7.1-1 RFC9449-6-1 the catalogue's answer, of a token bound to a key", func(t *testing.T) {
		s := newServer(t, answer(kinds(t)["introspection"]))
		p := newProver(t)
		p.token = reference
		v := guard(t, func(c *token.VerifierConfig) { c.Introspect = s.introspector() })
		_, err := v.Check(p.request(), token.Require{})
		refused(t, err, 401, "invalid_token", "RFC9449-4.3-12b") // by another key than the example's
		a := goodAnswer(t)
		says("cnf", object{"jkt": p.jkt()})(a)
		s = newServer(t, answer(a.compact(t)))
		v = guard(t, func(c *token.VerifierConfig) { c.Introspect = s.introspector() })
		if res := call(v, p.request()); res.StatusCode != http.StatusNoContent {
			t.Errorf("with its proof: %s", res.Status)
		}
	})
	t.Run("FAPI2-SP-5.3.4-3 its grant is gone", func(t *testing.T) {
		a := goodAnswer(t)
		says("grant_id", grantID)(a)
		_, err := newServer(t, answer(a.compact(t))).check(t, func(c *token.VerifierConfig) { c.Liveness = &store.Memory{Now: clock} })
		refused(t, err, 401, "invalid_token", "FAPI2-SP-5.3.4-3")
	})
}

// The answer itself must be the issuer's, for us, and fresh.
func TestIntrospectionResponse(t *testing.T) {
	for name, change := range map[string]func(*answering){
		"RFC9701-5-2 another typ":            func(a *answering) { a.header = with(a.header, "typ", "JWT") },
		"RFC9701-5-2 no typ":                 func(a *answering) { a.header = with(a.header, "typ", nil) },
		"RFC9701-5-2 typ of an access token": func(a *answering) { a.header = with(a.header, "typ", "at+jwt") },
		"RFC9701-5-7 signed by another":      func(a *answering) { a.key = newEC(t) },
		"RFC9701-5-7 alg none":               func(a *answering) { a.header = with(a.header, "alg", "none") },
		"FAPI2-SP-5.4.1-1b HS256":            func(a *answering) { a.header = with(a.header, "alg", "HS256"); a.key = []byte("x") },
		"RFC9701-5-3 another issuer":         outer("iss", "https://x.example"),
		"RFC9701-5-3 no issuer":              outer("iss", nil),
		"RFC9701-5-3 for another API":        outer("aud", "rs-payments"),
		"RFC9701-5-3 for the API's URL":      outer("aud", audience),
		"RFC9701-5-3 for nobody":             outer("aud", nil),
		"RFC9701-5-3 no iat":                 outer("iat", nil),
		"RFC9701-5-3 iat is a string":        outer("iat", "1767225650"),
		"RFC9701-5-3 made long ago":          outer("iat", now.Unix()-61),
		"RFC9701-5-3 made in the future":     outer("iat", now.Unix()+31),
		"RFC9701-5-3 says nothing":           func(a *answering) { a.said = nil },
		"RFC9701-5-3 says it at the top":     func(a *answering) { maps.Copy(a.claims, a.said); a.claims["iss"], a.said = issuer, nil },
		"RFC9701-5-3 says it in a string":    outer("token_introspection", `{"active":true}`),
	} {
		t.Run("FAPI2-MS-5.5.2-2 "+name, func(t *testing.T) {
			a := goodAnswer(t)
			change(a)
			_, err := newServer(t, answer(a.compact(t))).check(t)
			refused(t, err, 401, "invalid_token", "FAPI2-MS-5.5.2-2")
		})
	}
	t.Run("RFC9701-5-3 made a minute ago", func(t *testing.T) {
		a := goodAnswer(t)
		outer("iat", now.Unix()-60)(a)
		if _, err := newServer(t, answer(a.compact(t))).check(t); err != nil {
			t.Error(err)
		}
	})
	for name, body := range map[string]string{
		"nothing": "", "JSON": `{"active":true}`, "a line break after it": goodAnswer(t).compact(t) + "\n",
		"too long": strings.Repeat("a", 1<<20),
	} {
		t.Run("FAPI2-MS-5.5.2-2 "+name, func(t *testing.T) {
			_, err := newServer(t, answer(body)).check(t)
			refused(t, err, 401, "invalid_token", "FAPI2-MS-5.5.2-2")
		})
	}
	for _, media := range []string{"application/json", "application/jwt", "application/token-introspection+jwt+x", "", "text/plain; a"} {
		t.Run("RFC9701-I-1 as "+media, func(t *testing.T) {
			_, err := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{media}
				io.WriteString(w, goodAnswer(t).compact(t))
			}).check(t)
			refused(t, err, 401, "invalid_token", "RFC9701-I-1")
		})
	}
	t.Run("RFC9701-I-1 in an encoding that was not asked for", func(t *testing.T) {
		_, err := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaIntrospection)
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, goodAnswer(t).compact(t))
		}).check(t)
		refused(t, err, 401, "invalid_token", "RFC9701-I-1")
	})
	t.Run("RFC9701-I-1 plain JSON, as it should be in RFC 7662", func(t *testing.T) {
		_, err := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, marshal(t, goodAnswer(t).said))
		}).check(t)
		refused(t, err, 401, "invalid_token", "RFC9701-I-1")
	})
	t.Run("FAPI2-MS-5.5.2-2 without end", func(t *testing.T) {
		c, read := config(t), new(endless)
		c.Introspect = &token.Introspector{URL: "https://as.finbank.example/introspect", ClientID: api, HTTP: &http.Client{
			Transport: roundTrip(func(*http.Request) *http.Response {
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {mediaIntrospection}}, Body: io.NopCloser(read)}
			}),
		}}
		_, err := verifier(t, c).Check(request(t, "Bearer "+reference), token.Require{})
		refused(t, err, 401, "invalid_token", "FAPI2-MS-5.5.2-2")
		if *read > 128<<10 {
			t.Errorf("read %d bytes", *read)
		}
	})
	t.Run("RFC9701-5-1 a media type with a parameter", func(t *testing.T) {
		if _, err := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "Application/Token-Introspection+JWT; charset=us-ascii")
			io.WriteString(w, goodAnswer(t).compact(t))
		}).check(t); err != nil {
			t.Error(err)
		}
	})
}

// While the authorization server cannot be asked, nothing is accepted, and
// nobody is told that a token is bad.
func TestIntrospectionOutage(t *testing.T) {
	out := func(t *testing.T, err error) {
		t.Helper()
		var e *token.Error
		if err == nil || errors.As(err, &e) {
			t.Errorf("Check: %v, want an outage", err)
		}
	}
	good := goodAnswer(t).compact(t)
	for _, status := range []int{201, 204, 400, 401, 403, 404, 429, 500, 503} {
		t.Run("RFC7662-2.3-1 "+http.StatusText(status), func(t *testing.T) {
			_, err := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", mediaIntrospection)
				w.WriteHeader(status)
				if status != 204 {
					io.WriteString(w, good)
				}
			}).check(t)
			out(t, err)
		})
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run("a redirect is not followed: "+http.StatusText(status), func(t *testing.T) {
			elsewhere := newServer(t, answer(good))
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL+"/introspect")
				w.WriteHeader(status)
			})
			_, err := s.check(t, func(c *token.VerifierConfig) {
				c.Introspect.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
			})
			out(t, err)
			if elsewhere.asked != 0 {
				t.Error("the token went elsewhere")
			}
		})
	}
	t.Run("the certificate of a stranger", func(t *testing.T) {
		_, err := newServer(t, answer(good)).check(t, func(c *token.VerifierConfig) { c.Introspect.HTTP = new(http.Client) })
		out(t, err)
	})
	t.Run("the keys are out of reach", func(t *testing.T) {
		_, err := newServer(t, answer(good)).check(t, func(c *token.VerifierConfig) { c.Keys = noKeys{} })
		out(t, err)
	})
	for name, authenticate := range map[string]func(context.Context, url.Values) error{
		"the server does not answer": nil,
		"the key that signs for this API does not answer": func(ctx context.Context, _ url.Values) error {
			<-ctx.Done()
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := config(t)
				c.Introspect = &token.Introspector{URL: "https://as.finbank.example/introspect", ClientID: api,
					HTTP: &http.Client{Transport: never{}}, Authenticate: authenticate}
				start := time.Now()
				_, err := verifier(t, c).Check(request(t, "Bearer "+reference), token.Require{})
				out(t, err)
				if took := time.Since(start); took != 5*time.Second {
					t.Errorf("waited %v, want 5s", took)
				}
			})
		})
	}
	t.Run("the connection survives a bad answer", func(t *testing.T) {
		var conns atomic.Int32
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, strings.Repeat("a", 10<<10))
		}))
		srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		srv.StartTLS()
		defer srv.Close()
		c := config(t)
		c.Introspect = &token.Introspector{URL: srv.URL, ClientID: api, HTTP: srv.Client()}
		for range 3 {
			_, err := verifier(t, c).Check(request(t, "Bearer "+reference), token.Require{})
			out(t, err)
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%d connections for three questions", n)
		}
	})
}

// never does not answer before the request is given up.
type never struct{}

func (never) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// An endless counts how much was read of it. It ends after a megabyte, for the
// sake of the test.
type endless int

func (e *endless) Read(p []byte) (int, error) {
	if *e += endless(len(p)); *e > 1<<20 {
		return 0, io.EOF
	}
	return len(p), nil
}

func TestIntrospectAuthenticates(t *testing.T) {
	good := goodAnswer(t).compact(t)
	t.Run("RFC7662-2.1-3 with what the host adds", func(t *testing.T) {
		s := newServer(t, answer(good))
		n := 0
		for range 2 {
			if _, err := s.check(t, func(c *token.VerifierConfig) {
				c.Introspect.Authenticate = func(_ context.Context, form url.Values) error {
					n++
					form.Set("client_assertion", "a.b."+strings.Repeat("c", n))
					return nil
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.form.Get("client_assertion"); got != "a.b.cc" || s.form.Get("token") != reference {
			t.Errorf("client_assertion %q in %v", got, s.form)
		}
	})
	t.Run("cookies are not kept", func(t *testing.T) {
		good := answer(good)
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", Path: "/"})
			good(w, r)
		})
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := s.check(t, func(c *token.VerifierConfig) { c.Introspect.HTTP.Jar = jar }); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.head["Cookie"]; got != nil {
			t.Errorf("Cookie %q", got)
		}
	})
	t.Run("RFC7662-2.1-3 and never without", func(t *testing.T) {
		s := newServer(t, answer(good))
		_, err := s.check(t, func(c *token.VerifierConfig) {
			c.Introspect.Authenticate = func(context.Context, url.Values) error { return errors.New("hsm: timeout") }
		})
		var e *token.Error
		if err == nil || errors.As(err, &e) || s.asked != 0 {
			t.Errorf("Check: %v, want an outage; asked %d times", err, s.asked)
		}
	})
}

func TestNewVerifierIntrospect(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*token.VerifierConfig)
		want   string
	}{
		"RFC7662-2-1 no TLS":           {func(c *token.VerifierConfig) { c.Introspect.URL = "http://as.example/introspect" }, "https"},
		"no URL":                       {func(c *token.VerifierConfig) { c.Introspect.URL = "" }, "https"},
		"RFC9701-5-3 no name":          {func(c *token.VerifierConfig) { c.Introspect.ClientID = "" }, "ClientID"},
		"no client":                    {func(c *token.VerifierConfig) { c.Introspect.HTTP = nil }, "HTTP is nil"},
		"two for tokens of one form":   {func(c *token.VerifierConfig) { c.Opaque = opaque(t) }, "Opaque and Introspect"},
		"opaque of another issuer":     {func(c *token.VerifierConfig) { c.Opaque, c.Introspect, c.Issuer = opaque(t), nil, "https://x.example" }, "another issuer"},
		"RFC8707-3-1 a name of nobody": {func(c *token.VerifierConfig) { c.Aliases = []string{""} }, "Aliases"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t)
			c.Introspect = &token.Introspector{URL: "https://as.finbank.example/introspect", ClientID: api, HTTP: new(http.Client)}
			verifier(t, c) // as it is, it is good
			tt.change(&c)
			if v, err := token.NewVerifier(c); err == nil || v != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewVerifier: %v, want one that says %q", err, tt.want)
			}
		})
	}
}

// FuzzIntrospection has the authorization server say anything of a token.
// Whatever is accepted is active, in force, for us and bound to the certificate.
func FuzzIntrospection(f *testing.F) {
	said := goodAnswer(f).said
	f.Add(marshal(f, said))
	for _, name := range []string{"active", "cnf", "aud", "exp", "scope", "authorization_details"} {
		f.Add(marshal(f, with(said, name, nil)))
		f.Add(marshal(f, with(said, name, []any{nil, 1, object{"type": "x"}})))
	}
	f.Add(`{"active":true,"active":false}`)
	key, current := asKey(f), ""
	c := config(f)
	c.Introspect = &token.Introspector{URL: "https://as.finbank.example/introspect", ClientID: api, HTTP: &http.Client{
		Transport: roundTrip(func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {mediaIntrospection}}, Body: io.NopCloser(strings.NewReader(current))}
		}),
	}}
	v := verifier(f, c)
	f.Fuzz(func(t *testing.T, said string) {
		claims := `{"iss":"` + issuer + `","aud":"` + api + `","iat":1767225650,"token_introspection":` + said + `}`
		current = forge(t, `{"typ":"token-introspection+jwt","alg":"ES256","kid":"`+asKID+`"}`, claims, key)
		a, err := v.Check(request(t, "Bearer "+reference), token.Require{})
		var e *token.Error
		switch {
		case err != nil && !errors.As(err, &e):
			t.Errorf("an outage: %v", err)
		case err == nil && (a.Subject == "" || a.ClientID == "" || a.Issuer != issuer || a.Confirmation.X5T != x5t || !now.Before(a.Expires) || !slices.Contains(a.Audience, audience)):
			t.Errorf("accepted %s", said)
		}
	})
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
