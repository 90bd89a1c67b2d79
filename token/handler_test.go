package token_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token"
)

func TestBearer(t *testing.T) {
	good := goodToken(t)
	set := func(authorization ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = authorization }
	}
	query := func(q string, authorization ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.URL.RawQuery = q
			r.Header["Authorization"] = authorization
		}
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		status int // 200 passes
		code   string
		rule   string
	}{
		{"FAPI2-SP-5.3.4-2 token in the query only", query("access_token=" + good), 400, "invalid_request", "FAPI2-SP-5.3.4-2"},
		{"CT-RS-5 token in the query", query("page=1&access_token=" + good), 400, "invalid_request", "FAPI2-SP-5.3.4-2"},
		{"FAPI2-SP-5.3.4-2 query beside a good header", query("access_token="+good, "Bearer "+good), 400, "invalid_request", "FAPI2-SP-5.3.4-2"},
		{"RFC6750-2.3-1 without a value", query("access_token", "Bearer "+good), 400, "invalid_request", "FAPI2-SP-5.3.4-2"},
		{"RFC6750-2.3-1 percent-encoded name", query("access%5Ftoken=x", "Bearer "+good), 400, "invalid_request", "FAPI2-SP-5.3.4-2"},
		{"RFC6750-2.3-1 after a semicolon", query("a=b;access_token=x", "Bearer "+good), 400, "invalid_request", "FAPI2-SP-5.3.4-2"},
		{"RFC6750-2.3-1 after a broken pair", query("%zz=1&access_token=x", "Bearer "+good), 400, "invalid_request", "FAPI2-SP-5.3.4-2"},
		{"RFC6750-2.3-1 only the name counts", query("note=access_token&my_access_token=x", "Bearer "+good), 200, "", ""},
		{"RFC6750-2-1 two Authorization headers", set("Bearer "+good, "Bearer "+good), 400, "invalid_request", "RFC6750-2-1"},
		{"RFC6750-2-1 two schemes", set("Bearer "+good, "Basic dTpw"), 400, "invalid_request", "RFC6750-2-1"},
		{"RFC6750-2.1-1 two tokens in one header", set("Bearer " + good + ", Bearer " + good), 400, "invalid_request", "RFC6750-2.1-1"},
		{"RFC6750-2.1-1 no token after the scheme", set("Bearer"), 400, "invalid_request", "RFC6750-2.1-1"},
		{"RFC6750-2.1-1 only a space after the scheme", set("Bearer "), 400, "invalid_request", "RFC6750-2.1-1"},
		{"RFC6750-2.1-1 quoted", set(`Bearer "` + good + `"`), 400, "invalid_request", "RFC6750-2.1-1"},
		{"RFC8725BIS-4 newline at the end", set("Bearer " + good + "\n"), 400, "invalid_request", "RFC6750-2.1-1"},
		{"RFC6750-2.1-1 tab for a space", set("Bearer\t" + good), 401, "", "RFC6750-3.1-2"},
		{"RFC6750-2.1-1 too long", set("Bearer " + strings.Repeat("a", 8<<10+1)), 400, "invalid_request", "RFC6750-2.1-1"},
		{"RFC6750-3.1-2 no credentials", set(), 401, "", "RFC6750-3.1-2"},
		{"RFC6750-3.1-2 empty header", set(""), 401, "", "RFC6750-3.1-2"},
		{"RFC6750-3.1-2 another scheme", set("Basic dTpw"), 401, "", "RFC6750-3.1-2"},
		{"FAPI2-SP-5.3.4-1 DPoP where it is not accepted", set("DPoP " + good), 401, "invalid_token", "FAPI2-SP-5.3.4-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, "Bearer "+good)
			tt.change(r)
			_, err := verifier(t, config(t)).Check(r, token.Require{})
			if tt.status == 200 {
				if err != nil {
					t.Errorf("Check: %v", err)
				}
				return
			}
			refused(t, err, tt.status, tt.code, tt.rule)
			noToken(t, good, err.Error())
		})
	}
	t.Run("CONF-20 RFC6750-2.2-1 a token in the form is not read", func(t *testing.T) {
		body := strings.NewReader("access_token=" + good)
		r := httptest.NewRequest("POST", audience+"/accounts", body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.TLS = request(t).TLS
		_, err := verifier(t, config(t)).Check(r, token.Require{})
		refused(t, err, 401, "", "RFC6750-3.1-2")
		if body.Len() != len("access_token=")+len(good) {
			t.Error("the body was read")
		}
	})
}

// serve runs the request through a Handler and returns the answer, and whether
// next was reached.
func serve(t *testing.T, c token.VerifierConfig, req token.Require, r *http.Request) (res *http.Response, body string, reached bool) {
	t.Helper()
	w := httptest.NewRecorder()
	verifier(t, c).Handler(req, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = true
		if a, ok := token.FromContext(r.Context()); !ok || a.Subject != "u-5b1e9d" {
			t.Errorf("FromContext: %v, %v", a, ok)
		}
	})).ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(b), reached
}

func TestHandlerAnswers(t *testing.T) {
	expired := forge(t, marshal(t, goodHeader()), marshal(t, with(goodClaims(), "exp", now.Unix())), asKey(t))
	permit := func(err error) token.Require {
		return token.Require{Permit: func(*http.Request, *token.Access) error { return err }}
	}
	tests := []struct {
		name      string
		auth      []string
		require   token.Require
		status    int
		challenge string
		body      string
	}{
		{"FAPI2-SP-5.3.4-1 good", []string{"Bearer " + goodToken(t)}, token.Require{}, 200, "", ""},
		{"RFC6750-3-1 no credentials", nil, token.Require{Scopes: []string{"accounts"}}, 401,
			`Bearer realm="accounts"`, ""},
		{"RFC6750-3.1-1 expired", []string{"Bearer " + expired}, token.Require{}, 401,
			`Bearer realm="accounts", error="invalid_token", error_description="the token has expired"`,
			`{"error":"invalid_token","error_description":"the token has expired"}`},
		{"RFC6750-3.1-1 malformed", []string{"Bearer a b"}, token.Require{}, 400,
			`Bearer realm="accounts", error="invalid_request", error_description="the credentials are malformed"`,
			`{"error":"invalid_request","error_description":"the credentials are malformed"}`},
		{"RFC6750-3.1-1 FAPI1-BASE-6.2.1-5 scope", []string{"Bearer " + goodToken(t)}, token.Require{Scopes: []string{"accounts", "x"}}, 403,
			`Bearer realm="accounts", error="insufficient_scope", error_description="the token lacks a scope", scope="accounts x"`,
			`{"error":"insufficient_scope","error_description":"the token lacks a scope"}`},
		{"RFC6750-3-2 a hook's text cannot end the header", []string{"Bearer " + goodToken(t)},
			permit(&token.Error{Code: "insufficient_scope", Description: "no \"\\\r\nSet-Cookie: a=b\u00e9", Scope: "a\"b"}), 403,
			`Bearer realm="accounts", error="insufficient_scope", error_description="no ????Set-Cookie: a=b?", scope="a?b"`,
			`{"error":"insufficient_scope","error_description":"no ????Set-Cookie: a=b?"}`},
		{"a hook's own status", []string{"Bearer " + goodToken(t)}, permit(&token.Error{Status: 404}), 404,
			`Bearer realm="accounts"`, ""},
		{"a hook cannot answer 200 by an error", []string{"Bearer " + goodToken(t)}, permit(&token.Error{Status: 200}), 403,
			`Bearer realm="accounts"`, ""},
		{"an outage says nothing", []string{"Bearer " + goodToken(t)}, permit(errors.New("10.1.2.3 is down")), 503, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t)
			c.Realm = "accounts"
			audited := 0
			c.Audit = func(context.Context, *token.Access, error) { audited++ }
			res, body, reached := serve(t, c, tt.require, request(t, tt.auth...))
			if reached != (tt.status == 200) {
				t.Errorf("next was reached: %v", reached)
			}
			got := []any{res.StatusCode, strings.Join(res.Header["Www-Authenticate"], "|"), body}
			want := []any{tt.status, tt.challenge, tt.body}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if want := map[bool]int{true: 0, false: 1}[tt.status == 200]; audited != want {
				t.Errorf("audit was told %d times, want %d", audited, want)
			}
			if tt.status != 200 && res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", res.Header.Get("Cache-Control"))
			}
			if body != "" && (res.Header.Get("Content-Type") != "application/json" || !json.Valid([]byte(body))) {
				t.Errorf("%s as %q", body, res.Header.Get("Content-Type"))
			}
		})
	}
	t.Run("RFC6750-3-1 the realm is the audience if none is given", func(t *testing.T) {
		res, _, _ := serve(t, config(t), token.Require{}, request(t))
		if got, want := res.Header.Get("WWW-Authenticate"), `Bearer realm="`+audience+`"`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestHandlerAccounts: an API that has accounts of many customers answers about
// those of the one who approved.
func TestHandlerAccounts(t *testing.T) {
	own := token.Require{Scopes: []string{"accounts"}, Permit: func(r *http.Request, a *token.Access) error {
		if r.URL.Path != "/accounts/"+a.Subject {
			return &token.Error{Code: "insufficient_scope", Description: "the account is another customer's"}
		}
		return nil
	}}
	get := func(t *testing.T, path string) (*http.Response, *token.Access) {
		t.Helper()
		r := request(t, "Bearer "+goodToken(t))
		r.URL.Path = path
		var who *token.Access
		w := httptest.NewRecorder()
		verifier(t, config(t)).Handler(own, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			who, _ = token.FromContext(r.Context())
		})).ServeHTTP(w, r)
		return w.Result(), who
	}
	t.Run("FAPI1-BASE-6.2.1-6 FAPI1-BASE-6.2.1-7 the customer's own, and whose client asks", func(t *testing.T) {
		res, who := get(t, "/accounts/u-5b1e9d")
		if res.StatusCode != 200 || who == nil || who.Subject != "u-5b1e9d" || who.ClientID != "tpp-7f3a9c" {
			t.Errorf("%d %+v", res.StatusCode, who)
		}
	})
	t.Run("FAPI1-BASE-6.2.1-7 another customer's", func(t *testing.T) {
		res, who := get(t, "/accounts/u-77f2c0")
		if h := res.Header.Get("WWW-Authenticate"); res.StatusCode != 403 || who != nil || !strings.Contains(h, `error="insufficient_scope"`) {
			t.Errorf("%d %+v %s", res.StatusCode, who, h)
		}
	})
}

func TestInteractionID(t *testing.T) {
	const theirs = "C770aef3-6784-41f7-8e0e-ff5f97bddb3a"
	uuid4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	tests := []struct {
		name string
		sent []string
		echo bool
	}{
		{"FAPI1-BASE-6.2.1-11 a UUID comes back as it was", []string{theirs}, true},
		{"FAPI1-BASE-6.2.1-11 none was sent", nil, false},
		{"FAPI1-BASE-6.2.1-12 text for the log", []string{"x\r\nlevel=error forged"}, false},
		{"FAPI1-BASE-6.2.1-12 a UUID and more", []string{theirs + "\n"}, false},
		{"FAPI1-BASE-6.2.1-12 no hexadecimal", []string{strings.Replace(theirs, "C", "g", 1)}, false},
		{"FAPI1-BASE-6.2.1-12 no hyphens", []string{strings.ReplaceAll(theirs, "-", "0")}, false},
		{"FAPI1-BASE-6.2.1-12 two", []string{theirs, theirs}, false},
	}
	for _, tt := range tests {
		for status, auth := range map[int]string{200: "Bearer " + goodToken(t), 401: "Basic dTpw"} {
			t.Run(tt.name, func(t *testing.T) {
				r := request(t, auth)
				if tt.sent != nil {
					r.Header["X-Fapi-Interaction-Id"] = tt.sent
				}
				res, _, _ := serve(t, config(t), token.Require{}, r)
				got := res.Header.Values("x-fapi-interaction-id")
				if res.StatusCode != status || len(got) != 1 {
					t.Fatalf("%d with %q", res.StatusCode, got)
				}
				if tt.echo != (got[0] == theirs) || !tt.echo && !uuid4.MatchString(got[0]) {
					t.Errorf("sent %q, came back %q", tt.sent, got)
				}
			})
		}
	}
}

// A context travels further than its request, and what was found good of one
// token must never pass for another.
func TestCheckInsideHandler(t *testing.T) {
	asked := 0
	c := config(t)
	c.Keys = counting{c.Keys, &asked}
	v, other := verifier(t, c), config(t)
	other.Audience = "https://other.example"
	stranger := newCert(t, newEC(t), 1)

	inner := func(t *testing.T, f func(r *http.Request)) {
		t.Helper()
		reached := false
		v.Handler(token.Require{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			reached = true
			f(r)
		})).ServeHTTP(httptest.NewRecorder(), request(t, "Bearer "+goodToken(t)))
		if !reached {
			t.Fatal("the good request was refused")
		}
	}
	t.Run("finds the result", func(t *testing.T) {
		inner(t, func(r *http.Request) {
			before := asked
			a, err := v.Check(r, token.Require{Scopes: []string{"accounts"}})
			outer, _ := token.FromContext(r.Context())
			if err != nil || a != outer || asked != before {
				t.Errorf("Check: %v, %v; the keys were asked for %d times more", a, err, asked-before)
			}
		})
	})
	t.Run("still needs its scopes", func(t *testing.T) {
		inner(t, func(r *http.Request) {
			_, err := v.Check(r, token.Require{Scopes: []string{"standing-orders"}})
			refused(t, err, 403, "insufficient_scope", "FAPI2-SP-5.3.4-4")
		})
	})
	t.Run("still refuses a token in the URL", func(t *testing.T) {
		inner(t, func(r *http.Request) {
			r.URL.RawQuery = "access_token=x"
			_, err := v.Check(r, token.Require{})
			refused(t, err, 400, "invalid_request", "FAPI2-SP-5.3.4-2")
		})
	})
	t.Run("RFC9700-2.3-2 another API's verifier decides for itself", func(t *testing.T) {
		inner(t, func(r *http.Request) {
			_, err := verifier(t, other).Check(r, token.Require{})
			refused(t, err, 401, "invalid_token", "RFC9068-4-1")
		})
	})
	t.Run("another token under the same context", func(t *testing.T) {
		inner(t, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+forge(t, marshal(t, goodHeader()), marshal(t, goodClaims()), newEC(t)))
			_, err := v.Check(r, token.Require{})
			refused(t, err, 401, "invalid_token", "FAPI2-SP-5.3.4-3")
		})
	})
	t.Run("RFC8705-3-3 another connection under the same context", func(t *testing.T) {
		inner(t, func(r *http.Request) {
			sub := request(t, r.Header.Get("Authorization")).WithContext(r.Context())
			sub.TLS = &tls.ConnectionState{}
			sub.TLS.PeerCertificates = append(sub.TLS.PeerCertificates, stranger)
			_, err := v.Check(sub, token.Require{})
			refused(t, err, 401, "invalid_token", "RFC8705-3-3")
		})
	})
	t.Run("no Handler, no Access", func(t *testing.T) {
		if a, ok := token.FromContext(t.Context()); ok || a != nil {
			t.Errorf("FromContext: %v, %v", a, ok)
		}
	})
}

type counting struct {
	token.PublicKeySet
	asked *int
}

func (c counting) PublicKeys(ctx context.Context) ([]token.PublicKey, error) {
	*c.asked++
	return c.PublicKeySet.PublicKeys(ctx)
}

// TestHandlerOverTLS has a customer's fintech, a thief with a certificate of
// its own, and someone without any, at a real listener.
func TestHandlerOverTLS(t *testing.T) {
	key, thiefKey := newEC(t), newEC(t)
	ours, reissued, thief := newCert(t, key, 1), newCert(t, key, 2), newCert(t, thiefKey, 3)

	keys, err := token.NewKeySet(token.PrivateKey{ID: asKID, Algorithm: "ES256", Signer: asKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	a := goodAccess()
	a.Confirmation.X5T = thumbprint(ours)
	compact, err := token.SignAccess(t.Context(), keys, "ES256", a)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(verifier(t, config(t)).Handler(token.Require{},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) })))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	defer srv.Close()

	tests := []struct {
		name   string
		cert   *tls.Certificate
		status int
	}{
		{"RFC8705-6.2-1 RFC8705-6.2 an unknown CA and the right thumbprint", &tls.Certificate{Certificate: [][]byte{ours.Raw}, PrivateKey: key}, 200},
		{"E2E-4 another client's certificate", &tls.Certificate{Certificate: [][]byte{thief.Raw}, PrivateKey: thiefKey}, 401},
		{"E2E-4 the right certificate sent along as an issuer", &tls.Certificate{Certificate: [][]byte{thief.Raw, ours.Raw}, PrivateKey: thiefKey}, 401},
		{"E2E-5 same key, re-issued certificate", &tls.Certificate{Certificate: [][]byte{reissued.Raw}, PrivateKey: key}, 401},
		{"RFC8705-3-3 no certificate", nil, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			transport := srv.Client().Transport.(*http.Transport).Clone()
			defer transport.CloseIdleConnections()
			if tt.cert != nil {
				transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return tt.cert, nil
				}
			}
			req, err := http.NewRequest("GET", srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+compact)
			res, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != tt.status {
				t.Errorf("%s, want %d", res.Status, tt.status)
			}
			if tt.status == 401 && !strings.Contains(res.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("challenge %q", res.Header.Get("WWW-Authenticate"))
			}
			t.Run("FAPI1-BASE-6.2.1-10 Date", func(t *testing.T) {
				if d, err := http.ParseTime(res.Header.Get("Date")); err != nil || time.Since(d).Abs() > 5*time.Second {
					t.Errorf("Date %q", res.Header.Get("Date"))
				}
			})
		})
	}
}

// TestNoTokenLeaks reads what the operator and the caller are told of tokens
// that are refused for all kinds of reasons.
func TestNoTokenLeaks(t *testing.T) {
	good := goodToken(t)
	for name, presented := range map[string]string{
		"good": good, "cut": good[:len(good)-5], "with a comma": good + ", " + good, "opaque": strings.ReplaceAll(good, ".", "-"),
		"forged":  forge(t, marshal(t, goodHeader()), marshal(t, goodClaims()), newEC(t)),
		"strange": forge(t, `{"alg":"ES256","typ":"at+jwt","crit":[]}`, `{"a":1,"a":2}`, newEC(t)),
	} {
		t.Run("RFC9700-4.9-1 "+name, func(t *testing.T) {
			var log strings.Builder
			c := config(t)
			c.Audit = func(_ context.Context, _ *token.Access, err error) { log.WriteString(err.Error()) }
			r := request(t, "Bearer "+presented)
			r.TLS = nil
			res, body, reached := serve(t, c, token.Require{}, r)
			if reached || log.Len() == 0 {
				t.Errorf("reached next: %v; log: %q", reached, log.String())
			}
			noToken(t, presented, log.String()+body+marshal(t, res.Header))
		})
	}
}

// TestInteractionIDRequired: an API that wants calls to name themselves refuses
// others, whatever else is good about them.
func TestInteractionIDRequired(t *testing.T) {
	const id = "6f1f9d9a-6b5c-4e3a-9b0e-2f4f9e7c1a11"
	good := goodToken(t)
	c := config(t)
	for _, tt := range []struct {
		name     string
		required bool
		ids      []string
		status   int
	}{
		{"BR-19 none", true, nil, 400},
		{"BR-19 empty", true, []string{""}, 400},
		{"BR-19 no UUID", true, []string{"6f1f9d9a"}, 400},
		{"BR-19 a UUID in braces", true, []string{"{" + id + "}"}, 400},
		{"BR-19 two", true, []string{id, id}, 400},
		{"BR-19 OV-14 a UUID", true, []string{id}, 200},
		{"OV-14 none where it is not required", false, nil, 200},
		{"OV-14 no UUID where it is not required", false, []string{"6f1f9d9a"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.RequireInteractionID = tt.required
			v := verifier(t, c)
			r := request(t, "Bearer "+good)
			r.Header["X-Fapi-Interaction-Id"] = tt.ids
			reached := false
			w := httptest.NewRecorder()
			v.Handler(token.Require{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })).ServeHTTP(w, r)
			if w.Code != tt.status || reached != (tt.status == 200) {
				t.Errorf("%d %s, reached %t", w.Code, w.Body, reached)
			}
			if got := w.Header().Get("X-Fapi-Interaction-Id"); len(got) != 36 || tt.status == 200 && tt.required && got != id {
				t.Errorf("answered with %q", got)
			}
			if _, err := v.Check(request(t, "Bearer "+good), token.Require{}); tt.required {
				refused(t, err, 400, "invalid_request", "BR-19")
			}
		})
	}
	t.Run("BR-19 without a token it is the token that is missing", func(t *testing.T) {
		c.RequireInteractionID = true
		_, err := verifier(t, c).Check(request(t), token.Require{})
		refused(t, err, 401, "", "RFC6750-3.1-2")
	})
}
