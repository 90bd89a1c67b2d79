package authz_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// mustRefuse checks a refusal at an endpoint that clients call: the status and
// the code, what holds for all of them (RFC 6749, 5.2), and the row that the
// operator is told, since a request refused for another reason proves nothing.
func mustRefuse(t *testing.T, b *bank, res *http.Response, status int, code, rule string) {
	t.Helper()
	got := object(t, res)
	if res.StatusCode != status || got["error"] != code {
		t.Errorf("answer is %d %v, want %d %s", res.StatusCode, got, status, code)
	}
	checkErrorAnswer(t, res, got)
	e := b.lastEvent()
	if e.Kind != "request_refused" || e.Rule != rule || string(e.Code) != code || e.Reason == "" {
		t.Errorf("the operator is told %+v, want rule %s", e, rule)
	}
}

// checkErrorAnswer checks what holds for every error in JSON.
func checkErrorAnswer(t *testing.T, res *http.Response, got map[string]any) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache", "Set-Cookie": "", "Location": "",
	} {
		if v := res.Header.Get(name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	for name, v := range got {
		s, ok := v.(string)
		if name != "error" && name != "error_description" || !ok {
			t.Errorf("the answer has %s: %v", name, v)
		}
		for _, c := range []byte(s) {
			if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				t.Errorf("%s has %q (RFC6749-4.1.2.1-2)", name, c)
			}
		}
	}
	// CA-I-2: which check failed is the operator's to know.
	if d, ok := got["error_description"]; got["error"] == "invalid_client" && (!ok || d != "client authentication failed") {
		t.Errorf("an impostor is told %q", d)
	}
}

// post sends a raw form.
func (b *bank) post(path, body string) *http.Response {
	r, err := http.NewRequest("POST", b.config.Issuer+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// TestHTTP is what the two endpoints take and refuse before they look at what
// is asked (RFC 6749, 3.2; RFC 9126, 2).
func TestHTTP(t *testing.T) {
	tests := []struct {
		name   string
		with   func(*http.Request)
		status int // 0: it is taken
		code   string
		rule   string
	}{
		{"RFC6749-3.2-1 GET", func(r *http.Request) { r.Method = "GET" }, 405, "invalid_request", "RFC6749-3.2-1"},
		{"CT-AS-35 PUT", func(r *http.Request) { r.Method = "PUT" }, 405, "invalid_request", "RFC6749-3.2-1"},
		{"RFC9126-2.3-5 DELETE", func(r *http.Request) { r.Method = "DELETE" }, 405, "invalid_request", "RFC6749-3.2-1"},
		{"RFC9126-2.3-5 HEAD", func(r *http.Request) { r.Method = "HEAD" }, 405, "invalid_request", "RFC6749-3.2-1"},
		{"RFC9126-2.3-5 OPTIONS", func(r *http.Request) { r.Method = "OPTIONS" }, 405, "invalid_request", "RFC6749-3.2-1"},
		{"RFC9126-2.3-5 post", func(r *http.Request) { r.Method = "post" }, 405, "invalid_request", "RFC6749-3.2-1"},
		{"RFC6749-3.2-1 GET with the parameters in the URL", func(r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			r.Method, r.URL.RawQuery, r.Body, r.ContentLength = "GET", string(b), http.NoBody, 0
		}, 405, "invalid_request", "RFC6749-3.2-1"},

		{"RFC9126-2.3-6 a JSON body", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request", "RFC6749-3.2-2"},
		{"RFC6749-3.2-2 multipart", func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") }, 400, "invalid_request", "RFC6749-3.2-2"},
		{"RFC6749-3.2-2 plain text", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 400, "invalid_request", "RFC6749-3.2-2"},
		{"RFC6749-3.2-2 no type", func(r *http.Request) { r.Header.Del("Content-Type") }, 400, "invalid_request", "RFC6749-3.2-2"},
		{"RFC6749-3.2-2 two types", func(r *http.Request) { r.Header.Add("Content-Type", "application/json") }, 400, "invalid_request", "RFC6749-3.2-2"},
		{"RFC6749-3.2-2 Latin-1", func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=iso-8859-1")
		}, 400, "invalid_request", "RFC6749-3.2-2"},
		{"RFC6749-3.2-2 compressed", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 400, "invalid_request", "RFC6749-3.2-2"},
		{"RFC9126-2-1 UTF-8 by name", func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
		}, 0, "", ""},
		{"RFC9126-2-1 the type in capitals", func(r *http.Request) {
			r.Header.Set("Content-Type", "Application/X-WWW-Form-URLEncoded")
		}, 0, "", ""},

		{"RFC9126-2.3-5 64 KiB", filled(64 << 10), 0, "", ""},
		{"RFC9126-2.3-5 64 KiB and a byte", filled(64<<10 + 1), 413, "invalid_request", "RFC9126-2.3-5"},
		{"RFC9126-2.3-5 64 KiB and a byte, unannounced", func(r *http.Request) {
			filled(64<<10 + 1)(r)
			r.ContentLength = -1
		}, 413, "invalid_request", "RFC9126-2.3-5"},
		{"RFC9126-2.3-5 a gigabyte announced", func(r *http.Request) { r.ContentLength = 1 << 30 }, 413, "invalid_request", "RFC9126-2.3-5"},
		{"RFC6749-5.2-3 less than announced", func(r *http.Request) { r.ContentLength++ }, 400, "invalid_request", "RFC6749-5.2-3"},
		{"RFC6749-5.2-3 a broken escape", also("x=%zz"), 400, "invalid_request", "RFC6749-5.2-3"},
		{"RFC6749-5.2-3 not UTF-8", also("x=%ff"), 400, "invalid_request", "RFC6749-5.2-3"},
		{"RFC6749-5.2-3 a NUL", also("x=%00"), 400, "invalid_request", "RFC6749-5.2-3"},
		{"RFC6749-5.2-3 a semicolon for an ampersand", also("x=1;scope=payments"), 400, "invalid_request", "RFC6749-5.2-3"},
		{"RFC6749-5.2-3 a thousand parameters", also(strings.Repeat("x=1&", 1000)), 400, "invalid_request", "RFC6749-5.2-3"},
		{"RFC6749-3.1-2 a parameter twice", also("scope=accounts"), 400, "invalid_request", "RFC6749-3.1-2"},
		{"RFC6749-3.1-2 client_id twice", also("client_id=thief"), 400, "invalid_request", "RFC6749-3.1-2"},
		{"RFC6749-3.1-2 client_id twice, once escaped", also("client%5Fid=thief"), 400, "invalid_request", "RFC6749-3.1-2"},
		{"RFC6749-3.1-2 a second scope without value", also("scope="), 400, "invalid_request", "RFC6749-3.1-2"},
		{"RFC6749-3.1-2 an unknown parameter", also("foo=1"), 0, "", ""},
		{"RFC6749-3.1-2 a parameter without value", also("resource="), 0, "", ""},

		{"RFC6749-3.2-2 parameters in the URL are not read", func(r *http.Request) {
			r.URL.RawQuery = "client_id=thief&client_secret=x&scope=payments&scope=admin&request_uri=y&%zz"
		}, 0, "", ""},
		{"RFC6749-3.2-2 all credentials in the URL", func(r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			r.URL.RawQuery, r.Body, r.ContentLength = string(b), http.NoBody, 0
		}, 401, "invalid_client", "RFC8705-2-3"},
		{"RFC6749-3.2-2 the assertion in the URL", func(r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			v, _ := url.ParseQuery(string(b))
			r.URL.RawQuery = url.Values{"client_assertion": v["client_assertion"], "client_assertion_type": v["client_assertion_type"]}.Encode()
			v.Del("client_assertion")
			v.Del("client_assertion_type")
			body(r, v.Encode())
		}, 401, "invalid_client", "RFC6749-2.3-2"},

		{"RFC6749-2.3-1 an assertion and Basic", func(r *http.Request) { r.SetBasicAuth("kakeibo", "s3cr3t") }, 400, "invalid_request", "RFC6749-2.3-1"},
		{"RFC7521-4.2-2 an assertion and Bearer", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 400, "invalid_request", "RFC6749-2.3-1"},
		{"RFC6749-2.3-1 an assertion and an empty Authorization", func(r *http.Request) { r.Header.Set("Authorization", "") }, 400, "invalid_request", "RFC6749-2.3-1"},
		{"RFC6749-2.3-1 an assertion and a secret", also("client_secret=s3cr3t"), 400, "invalid_request", "RFC6749-2.3-1"},
		{"RFC6749-2.3-1 an assertion and a secret without value", also("client_secret="), 0, "", ""},
		{"RFC6749-2.3-1 a secret and Basic", func(r *http.Request) {
			body(r, "client_id=kakeibo&client_secret=s3cr3t")
			r.SetBasicAuth("kakeibo", "s3cr3t")
		}, 400, "invalid_request", "RFC6749-2.3-1"},
		{"FAPI2-SP-5.3.2.1-6 a secret", func(r *http.Request) { body(r, "client_id=kakeibo&client_secret=s3cr3t") }, 401, "invalid_client", "FAPI2-SP-5.3.2.1-6"},
		{"RFC6749-5.2-2 Basic", func(r *http.Request) {
			body(r, "grant_type=client_credentials")
			r.SetBasicAuth("kakeibo", "s3cr3t")
		}, 401, "invalid_client", "FAPI2-SP-5.3.2.1-6"},
		{"RFC6749-5.2-2 BASIC", func(r *http.Request) {
			body(r, "client_id=kakeibo")
			r.Header.Set("Authorization", "BASIC a2FrZWlibzo=")
		}, 401, "invalid_client", "FAPI2-SP-5.3.2.1-6"},
		{"RFC6749-5.2-2 Bearer", func(r *http.Request) {
			body(r, "client_id=kakeibo")
			r.Header.Set("Authorization", "Bearer x")
		}, 401, "invalid_client", "FAPI2-SP-5.3.2.1-6"},
	}
	challenges := map[string]string{
		"RFC6749-5.2-2 Basic": "Basic ", "RFC6749-5.2-2 BASIC": "Basic ", "RFC6749-5.2-2 Bearer": "Bearer ",
	}
	for _, at := range authenticatedAt {
		for _, tt := range tests {
			t.Run(tt.name+" at "+at.path, func(t *testing.T) {
				f := keyClient("kakeibo")
				b := newBank(t, clients(f))
				r := f.request(at.path, f.authenticate(b, at.form(f)))
				tt.with(r)
				res := b.do(r)
				allow := ""
				if tt.status == 405 {
					allow = "POST"
				}
				if res.Header.Get("Allow") != allow {
					t.Errorf("Allow is %q, want %q", res.Header.Get("Allow"), allow)
				}
				if c, want := res.Header.Get("WWW-Authenticate"), challenges[tt.name]; want == "" && c != "" || !strings.HasPrefix(c, want) {
					t.Errorf("WWW-Authenticate is %q, want %q", c, want)
				}
				if tt.status != 0 {
					mustRefuse(t, b, res, tt.status, tt.code, tt.rule)
				} else if res.StatusCode != at.status {
					t.Errorf("answer is %d %v: %s", res.StatusCode, object(t, res), b.lastEvent().Reason)
				}
			})
		}
	}
	t.Run("RFC6749-5.2-2 Basic does not reach a client of mutual TLS", func(t *testing.T) {
		f := tlsClient("kakeibo")
		b := newBank(t, clients(f))
		r := f.request("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}))
		r.SetBasicAuth("kakeibo", "")
		mustRefuse(t, b, b.do(r), 401, "invalid_client", "FAPI2-SP-5.3.2.1-6")
	})
}

// body gives r another body.
func body(r *http.Request, s string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s)), int64(len(s))
}

// also adds a piece to the form.
func also(s string) func(*http.Request) {
	return func(r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body(r, string(b)+"&"+s)
	}
}

// filled makes the body n bytes long.
func filled(n int) func(*http.Request) {
	return func(r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body(r, string(b)+"&filler="+strings.Repeat("x", n-len(b)-len("&filler=")))
	}
}

// TestPaths: a client's credentials are answered, or not found, and never sent
// on to somewhere else.
func TestPaths(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	for _, path := range []string{"//token", "/./token", "/x/../token", "//par", "/token/", "/TOKEN", "/token%2F", "/token%00", "/", "//as.bank.example/token"} {
		t.Run("FAPI2-SP-5.3.2.2-10 "+path, func(t *testing.T) {
			r := f.request("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}))
			u, err := url.Parse(issuer + path)
			if err != nil {
				t.Fatal(err)
			}
			r.URL, r.RequestURI = u, path
			if res := b.do(r); res.StatusCode != 404 || res.Header.Get("Location") != "" {
				t.Errorf("answer is %d to %q", res.StatusCode, res.Header.Get("Location"))
			}
		})
	}
}

// TestErrorText: nothing that a stranger sent comes back in an error.
func TestErrorText(t *testing.T) {
	const evil = "<script>\"\\\r\nX-Evil: 1\u2028é\x7f"
	for _, at := range authenticatedAt {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		good := at.form(f)
		for name := range good {
			t.Run("RFC6749-4.1.2.1-2 "+name+" at "+at.path, func(t *testing.T) {
				v := at.form(f)
				v.Set(name, evil)
				checkEcho(t, b.do(f.request(at.path, f.authenticate(b, v))))
			})
		}
		for _, name := range []string{"client_id", "client_assertion", "client_assertion_type", "grant_type", "prompt", "max_age", "response_mode", "request_uri", "resource"} {
			t.Run("RFC6749-10.14-1 "+name+" at "+at.path, func(t *testing.T) {
				v := f.authenticate(b, at.form(f))
				v.Set(name, evil)
				checkEcho(t, b.do(f.request(at.path, v)))
			})
		}
		t.Run("RFC6749-10.14-1 the name of a parameter at "+at.path, func(t *testing.T) {
			v := f.authenticate(b, at.form(f))
			v[evil] = []string{"1", "2"}
			checkEcho(t, b.do(f.request(at.path, v)))
		})
	}
}

func checkEcho(t *testing.T, res *http.Response) {
	t.Helper()
	if res.StatusCode < 300 {
		return // it was opaque, such as state
	}
	got := object(t, res)
	checkErrorAnswer(t, res, got)
	if text := fmt.Sprint(got, res.Header); strings.Contains(text, "<") || strings.Contains(text, "Evil") {
		t.Errorf("answer is %s", text)
	}
}

// TestTokenRequest is about the parameters of the token endpoint that do not
// depend on the grant.
func TestTokenRequest(t *testing.T) {
	tests := []struct {
		name string
		with func(url.Values, *fintech)
		code string
		rule string
	}{
		{"RFC6749-5.2-4 no grant_type", func(v url.Values, _ *fintech) { v.Del("grant_type") }, "invalid_request", "RFC6749-5.2-4"},
		{"RFC6749-5.2-4 an unknown grant_type", func(v url.Values, _ *fintech) { v.Set("grant_type", "urn:x") }, "unsupported_grant_type", "RFC6749-5.2-4"},
		{"RFC6749-5.2-4 a grant_type in capitals", func(v url.Values, _ *fintech) { v.Set("grant_type", "CLIENT_CREDENTIALS") }, "unsupported_grant_type", "RFC6749-5.2-4"},
		{"RFC6749-5.2-4 a grant_type that is not registered", func(_ url.Values, f *fintech) { f.GrantTypes = []string{"authorization_code"} }, "unauthorized_client", "RFC6749-5.2-4"},
		{"RFC6749-5.2-4 no grant_types registered", func(_ url.Values, f *fintech) { f.GrantTypes = nil }, "unauthorized_client", "RFC6749-5.2-4"},
		{"FAPI2-SP-5.3.2.1-2 password", func(v url.Values, _ *fintech) {
			v.Set("grant_type", "password")
			v.Set("username", "a")
			v.Set("password", "b")
		}, "unsupported_grant_type", "FAPI2-SP-5.3.2.1-2"},
		{"FAPI2-SP-5.3.2.1-2 implicit", func(v url.Values, _ *fintech) { v.Set("grant_type", "implicit") }, "unsupported_grant_type", "RFC6749-5.2-4"},
		{"RFC7523-3.1-1 a JWT as a grant", func(v url.Values, f *fintech) {
			v.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
			v.Set("assertion", "eyJ.eyJ.AAAA")
		}, "unsupported_grant_type", "RFC6749-5.2-4"},
		{"RFC6749-5.2-3 a resource that is unknown", func(v url.Values, _ *fintech) { v["resource"] = []string{resource, "https://evil.example"} }, "invalid_target", "RFC8707-2-3"},
		{"RFC6749-5.2-3 authorization_details", func(v url.Values, _ *fintech) { v.Set("authorization_details", "[]") }, "invalid_authorization_details", "RFC9396-2-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			v := authenticatedAt[1].form(f)
			tt.with(v, f)
			b := newBank(t, clients(f))
			mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, v))), 400, tt.code, tt.rule)
		})
	}
	t.Run("RFC6749-5.1-1 the answer, and RFC6749-4.4-1 no refresh token", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) { c.AccessTokenLifetime = 4 * time.Minute })
		v := authenticatedAt[1].form(f)
		v["resource"] = []string{resource, resource}
		res := b.do(f.request("/token", f.authenticate(b, v)))
		got := object(t, res)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("answer is %d %v", res.StatusCode, got)
		}
		want := map[string]any{"access_token": got["access_token"], "token_type": "Bearer", "expires_in": 240.0, "scope": "accounts"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Pragma") != "no-cache" {
			t.Errorf("RFC6749-5.1-2: header is %v", res.Header)
		}
		if err := f.check(b, got["access_token"].(string)); err != nil {
			t.Errorf("the token does not work: %v", err)
		}
	})
}
