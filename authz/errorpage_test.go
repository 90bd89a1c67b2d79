package authz_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/authz"
)

// elsewhere is where no browser may be sent.
const elsewhere = "https://evil.example/cb"

// TestErrorPage: a host's page for requests whose client or redirect URI is not
// to be trusted.
func TestErrorPage(t *testing.T) {
	type seen struct {
		err *authz.Error
		r   *http.Request
	}
	// visit has a browser bring a request by value to a bank with that page.
	visit := func(t *testing.T, v func(*fintech, *bank) url.Values, page func(http.ResponseWriter, *http.Request, *authz.Error)) (*http.Response, seen) {
		t.Helper()
		var got seen
		f := keyClient("kakeibo").hybrid()
		b := newBank(t, clients(f), advanced, func(c *authz.Config) {
			c.ErrorPage = func(w http.ResponseWriter, r *http.Request, e *authz.Error) {
				got = seen{e, r}
				page(w, r, e)
			}
		})
		return b.do(get(authorizeURL(v(f, b)))), got
	}
	unregistered := func(f *fintech, b *bank) url.Values {
		return f.beside(f.object(f.asks(b, changed(f.wants(), "redirect_uri", elsewhere))))
	}
	unknown := func(f *fintech, b *bank) url.Values {
		return changed(changed(unregistered(f, b), "client_id", "nobody"), "redirect_uri", elsewhere)
	}
	plain := func(w http.ResponseWriter, _ *http.Request, e *authz.Error) {
		w.Header().Set("Content-Language", "ja")
		fmt.Fprintf(w, "合鍵 <code>%s</code>", e.Code)
	}

	for _, tt := range []struct {
		name string
		v    func(*fintech, *bank) url.Values
		code authz.Code
	}{
		{"RFC6749-3.1.2-2 OIDC-RS-4 FAPI1-BASE-5.2.2-8 FAPI1-BASE-5.2.2-10 a redirect URI that is not registered", unregistered, "invalid_request"},
		{"RFC6749-3.1.2-2 OIDC-RS-4 FAPI1-BASE-5.2.2-9 no redirect URI", func(f *fintech, b *bank) url.Values {
			v := f.wants()
			v.Del("redirect_uri")
			return f.beside(f.object(f.asks(b, v)))
		}, "invalid_request"},
		{"RFC6749-3.1.2-2 OIDC-RS-4 an unknown client", unknown, "unauthorized_client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, got := visit(t, tt.v, plain)
			refusedPage(t, res, string(tt.code))
			if res.Header.Get("Content-Language") != "ja" {
				t.Error("the host's header is gone")
			}
			type told struct {
				code authz.Code
				rule string
				err  error
			}
			if got := (told{got.err.Code, got.err.Rule, got.err.Err}); got != (told{code: tt.code}) {
				t.Errorf("the host is told %+v, part of which is for operators", got)
			}
			if got.err.Description == "" {
				t.Error("the host is not told what the customer may know")
			}
		})
	}
	t.Run("OIDC-RS-4 what the stranger said does not reach the host", func(t *testing.T) {
		f := keyClient("kakeibo")
		var got *http.Request
		b := newBank(t, clients(f), func(c *authz.Config) {
			c.ErrorPage = func(_ http.ResponseWriter, r *http.Request, _ *authz.Error) { got = r }
		})
		for name, r := range map[string]*http.Request{
			"query": get(issuer + "/authorize?client_id=nobody&redirect_uri=" + url.QueryEscape(elsewhere)),
			"query that middleware has read": func() *http.Request {
				r := get(issuer + "/authorize?client_id=nobody&redirect_uri=" + url.QueryEscape(elsewhere))
				if err := r.ParseForm(); err != nil {
					t.Fatal(err)
				}
				return r
			}(),
			"form": func() *http.Request {
				r := httptest.NewRequest("POST", issuer+"/authorize", strings.NewReader("client_id=nobody&redirect_uri="+url.QueryEscape(elsewhere)))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				return r
			}(),
		} {
			r.Header.Set("Referer", elsewhere)
			r.Header.Set("Accept-Language", "ja")
			got = nil
			b.do(r)
			if got == nil || got.Header.Get("Accept-Language") != "ja" || got.URL.Path != "/authorize" {
				t.Fatalf("%s: the host gets %+v", name, got)
			}
			body, err := io.ReadAll(got.Body)
			if err != nil || len(body) > 0 || strings.Contains(fmt.Sprintf("%+v %+v", got, got.URL), "evil") || got.FormValue("redirect_uri") != "" {
				t.Errorf("%s: the host gets %+v %s", name, got, body)
			}
		}
	})
	for name, page := range map[string]func(http.ResponseWriter, *http.Request){
		"http.Redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) },
		"headers of other spelling": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["location"], w.Header()["REFRESH"] = []string{elsewhere}, []string{"0; url=" + elsewhere}
			w.WriteHeader(http.StatusSeeOther)
			io.WriteString(w, "bye")
		},
		"a refresh": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Refresh", "0; url="+elsewhere)
			io.WriteString(w, "bye")
		},
	} {
		t.Run("RFC6749-3.1.2-2 OIDC-RS-4 FAPI1-BASE-5.2.2-8 the page becomes no redirect: "+name, func(t *testing.T) {
			res, _ := visit(t, unregistered, func(w http.ResponseWriter, r *http.Request, _ *authz.Error) { page(w, r) })
			if res.StatusCode != 400 {
				t.Errorf("status is %d", res.StatusCode)
			}
			for name := range res.Header {
				if n := strings.ToLower(name); n == "location" || n == "refresh" {
					t.Errorf("the browser is sent away by %s: %q", name, res.Header[name])
				}
			}
		})
	}
	t.Run("RFC6749-10.13-1 RFC9700-4.16-1 the page cannot be framed, kept or sniffed", func(t *testing.T) {
		res, _ := visit(t, unregistered, func(w http.ResponseWriter, _ *http.Request, e *authz.Error) {
			clear(w.Header())
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Header().Set("X-Frame-Options", "SAMEORIGIN")
			w.Header().Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors *")
			fmt.Fprintf(w, "<code>%s</code>", e.Code)
		})
		refusedPage(t, res, "invalid_request")
	})
	t.Run("RFC9700-4.16-1 a policy that does not let others frame it is the host's to choose", func(t *testing.T) {
		const policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"
		res, _ := visit(t, unregistered, func(w http.ResponseWriter, _ *http.Request, e *authz.Error) {
			w.Header().Set("Content-Security-Policy", policy)
			fmt.Fprintf(w, "<code>%s</code>", e.Code)
		})
		refusedPage(t, res, "invalid_request")
		if got := res.Header.Get("Content-Security-Policy"); got != policy {
			t.Errorf("policy is %q", got)
		}
	})
	t.Run("RFC6749-3.1.2-2 a host that writes nothing leaves it to the library", func(t *testing.T) {
		res, _ := visit(t, unregistered, func(w http.ResponseWriter, _ *http.Request, _ *authz.Error) {
			w.Header().Set("Location", elsewhere)
		})
		refusedPage(t, res, "invalid_request")
	})
	t.Run("RFC6749-4.1.2.1-2 what the page says is printable", func(t *testing.T) {
		_, got := visit(t, unknown, plain)
		if got.err == nil || strings.ContainsFunc(got.err.Description, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
			t.Errorf("description is %+v", got.err)
		}
	})
	t.Run("RFC6749-3.1-1 the status and the methods stay", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) { c.ErrorPage = plain })
		res := b.do(httptest.NewRequest("PUT", issuer+"/authorize", nil))
		if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, POST" {
			t.Errorf("%d %q", res.StatusCode, res.Header.Get("Allow"))
		}
	})
}
