package authz_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// browse returns a browser's request for the authorization endpoint.
func browse(query string) *http.Request {
	return httptest.NewRequest("GET", issuer+"/authorize?"+query, nil)
}

// refusedPage checks that res is a page for the customer with that code, and
// that it leads nowhere.
func refusedPage(t *testing.T, res *http.Response, code string) {
	t.Helper()
	page, _ := io.ReadAll(res.Body)
	if res.StatusCode != 400 || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(string(page), "<code>"+code+"</code>") {
		t.Errorf("%d %s %s; want a page with %s", res.StatusCode, res.Header.Get("Content-Type"), page, code)
	}
	if to := res.Header.Get("Location"); to != "" {
		t.Errorf("FAPI2-SP-5.3.2.1-7: redirected to %s", to)
	}
	if c := res.Cookies(); len(c) > 0 {
		t.Errorf("a refusal sets a cookie: %v", c)
	}
	browserHeaders(t, res)
}

// browserHeaders checks what every page and redirect carries.
func browserHeaders(t *testing.T, res *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload", // FAPI2-SP-5.2.3-1
		"X-Frame-Options":           "DENY",                                         // RFC6749-10.13-1
		"X-Content-Type-Options":    "nosniff",
		"Referrer-Policy":           "no-referrer", // RFC9700-4.2.4-1
		"Cache-Control":             "no-store",
		"Pragma":                    "no-cache",
	} {
		if got := res.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	csp := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"frame-ancestors 'none'", "base-uri 'none'"} { // RFC9700-4.16-1
		if !slices.Contains(strings.Split(csp, "; "), want) {
			t.Errorf("Content-Security-Policy is %q, without %q", csp, want)
		}
	}
	for name := range res.Header { // FAPI2-SP-5.2.3-3
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("CORS: %s", name)
		}
	}
}

// TestAuthorizeRefuses: what does not stand for a request of this client
// becomes a page, whoever sent it, and harms nobody.
func TestAuthorizeRefuses(t *testing.T) {
	full := "response_type=code&redirect_uri=" + url.QueryEscape(callback) + "&scope=accounts&state=x&code_challenge_method=S256&code_challenge=" + strings.Repeat("A", 43)
	for _, tt := range []struct {
		name  string
		query func(id, uri string) string // of a good client_id and request_uri, escaped
		code  string
		rule  string
	}{
		{"RFC9126-4-6 no client_id", func(_, uri string) string { return "request_uri=" + uri },
			"invalid_request", "RFC9126-4-6"},
		{"RFC6749-3.1-2 client_id without value", func(_, uri string) string { return "client_id=&request_uri=" + uri },
			"invalid_request", "RFC9126-4-6"},
		{"RFC9126-4-5 no request_uri", func(id, _ string) string { return "client_id=" + id },
			"invalid_request", "FAPI2-SP-5.3.2.2-3"},
		{"CT-AS-11 all parameters, but not pushed", func(id, _ string) string { return "client_id=" + id + "&" + full },
			"invalid_request", "FAPI2-SP-5.3.2.2-3"},
		{"FAPI2-SP-5.3.2.2-3 a request object by value", func(id, _ string) string { return "client_id=" + id + "&request=eyJhbGciOiJub25lIn0.e30." },
			"invalid_request", "FAPI2-SP-5.3.2.2-3"},
		{"FAPI2-SP-5.3.2.2-3 a request_uri at the client", func(id, _ string) string {
			return "client_id=" + id + "&request_uri=" + url.QueryEscape("https://app.fintech.example/request.jwt")
		}, "invalid_request", "FAPI2-SP-5.3.2.2-3"},
		{"CT-AS-32 RFC9126-2.2-4 the request of another client", func(_, uri string) string { return "client_id=other&request_uri=" + uri },
			"invalid_request_uri", "RFC9126-2.2-4"},
		{"RFC6749-3.1.2-2 an unknown client", func(_, uri string) string { return "client_id=nobody&request_uri=" + uri },
			"unauthorized_client", "RFC6749-5.2-2"},
		{"RFC6749-3.1.2-2 a client_id of 10,000 characters", func(_, uri string) string {
			return "client_id=" + strings.Repeat("k", 10_000) + "&request_uri=" + uri
		}, "unauthorized_client", "RFC6749-5.2-2"},
		{"RFC9700-2.1-1 the client_id in another case", func(_, uri string) string { return "client_id=Kakeibo&request_uri=" + uri },
			"unauthorized_client", "RFC6749-5.2-2"},
		{"RFC9126-7.1-1 a guessed secret", func(id, uri string) string {
			return "client_id=" + id + "&request_uri=" + uri[:len(uri)-2] + flip(uri[len(uri)-2]) + uri[len(uri)-1:]
		}, "invalid_request_uri", "RFC9126-4-3"},
		{"RFC9126-7.1-1 a request that never was", func(id, _ string) string {
			return "client_id=" + id + "&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3AAQ" + strings.Repeat("A", 64)
		}, "invalid_request_uri", "RFC9126-4-3"},
		{"RFC9126-7.1-1 a request_uri cut short", func(id, uri string) string { return "client_id=" + id + "&request_uri=" + uri[:len(uri)-1] },
			"invalid_request_uri", "RFC9126-4-3"},
		{"RFC9126-7.1-1 a line break in the request_uri", func(id, uri string) string { return "client_id=" + id + "&request_uri=" + uri + "%0A" },
			"invalid_request_uri", "RFC9126-4-3"},
		{"OIDC-AR-21 client_id twice", func(id, uri string) string { return "client_id=" + id + "&client_id=" + id + "&request_uri=" + uri },
			"invalid_request", "RFC6749-3.1-2"},
		{"CONF-33 request_uri twice", func(id, uri string) string { return "client_id=" + id + "&request_uri=" + uri + "&request_uri=" + uri },
			"invalid_request", "RFC6749-3.1-2"},
		{"RFC6749-3.1-2 request_uri twice, once without value", func(id, uri string) string {
			return "client_id=" + id + "&request_uri=&request_uri=" + uri
		}, "invalid_request", "RFC6749-3.1-2"},
		{"RFC6749-10.14-1 a broken escape", func(id, uri string) string { return "client_id=" + id + "&request_uri=" + uri + "&x=%zz" },
			"invalid_request", "RFC6749-5.2-3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, other := keyClient("kakeibo"), keyClient("other")
			b := newBank(t, clients(f, other))
			uri := f.push(b, f.pushable())
			b.shown = func(http.ResponseWriter, *http.Request, *authz.Interaction) { t.Error("the customer is disturbed") }
			refusedPage(t, b.do(browse(tt.query(f.ID, url.QueryEscape(uri)))), tt.code)
			if e := b.lastEvent(); e.Kind != "request_refused" || e.Endpoint != "authorize" || e.Rule != tt.rule || string(e.Code) != tt.code {
				t.Errorf("event %+v, want rule %s", e, tt.rule)
			}
			b.shown = nil
			if res, err := (&browser{b: b}).decide(f, uri, b.approval()); err != nil || location(t, res).Get("code") == "" {
				t.Errorf("afterwards the honest customer gets %v, %v", res, err)
			}
		})
	}
}

// flip returns another character of the base64url alphabet.
func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// TestAuthorizeIgnores: only what was pushed counts.
func TestAuthorizeIgnores(t *testing.T) {
	for _, tt := range []struct{ name, extra string }{
		{"CT-AS-36 nothing beside client_id and request_uri", ""},
		{"CONF-33 another redirect_uri, state, scope and nonce", "&redirect_uri=https%3A%2F%2Fevil.example%2F&state=evil&scope=payments&nonce=evil&response_type=token&code_challenge=evil&prompt=none&max_age=0"},
		{"CONF-33 a request object", "&request=eyJ.eyJ.AAAA"},
		{"RFC9126-4-6 a parameter that was not pushed, twice", "&state=a&state=b&foo=1&foo=2"},
		{"OIDC-AR-20 an unknown parameter", "&foo=bar"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			uri := f.push(b, f.pushable())
			var shown []string
			b.shown = func(w http.ResponseWriter, r *http.Request, in *authz.Interaction) {
				shown = append(slices.Clone(in.Scopes), in.Prompt...)
				if in.HasMaxAge {
					shown = append(shown, "max_age")
				}
				if err := in.Finish(w, r, b.approval()); err != nil {
					t.Error(err)
				}
			}
			res := b.do(browse("client_id=kakeibo&request_uri=" + url.QueryEscape(uri) + tt.extra))
			if d := cmp.Diff([]string{"openid", "accounts"}, shown); d != "" {
				t.Error("the customer is asked for", d)
			}
			back := location(t, res)
			if !strings.HasPrefix(res.Header.Get("Location"), callback+"?") || back.Get("state") != "st-4Jx9" {
				t.Errorf("redirect to %s", res.Header.Get("Location"))
			}
			_, got := f.token(b, f.redeemable(back.Get("code")))
			if id := claimsOf(t, got["id_token"].(string)); id["nonce"] != "n-0S6_WzA2Mj" || got["scope"] != "openid accounts" {
				t.Errorf("token has %v, ID token %v", got["scope"], id)
			}
		})
	}
}

func TestAuthorizeMethods(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	uri := f.push(b, f.pushable())
	form := url.Values{"client_id": {f.ID}, "request_uri": {uri}}.Encode()
	post := func(typ, body string) *http.Request {
		r := httptest.NewRequest("POST", issuer+"/authorize", strings.NewReader(body))
		r.Header.Set("Content-Type", typ)
		return r
	}
	shown := func(t *testing.T, r *http.Request) {
		t.Helper()
		res := b.do(r)
		if page, _ := io.ReadAll(res.Body); res.StatusCode != 200 || len(page) == 0 {
			t.Errorf("%d %s", res.StatusCode, page)
		}
		browserHeaders(t, res)
	}
	t.Run("RFC6749-3.1-1 GET", func(t *testing.T) { shown(t, browse(form)) })
	t.Run("FAPI2-SP-5.3.2.2-N3 HEAD shows nothing and decides nothing", func(t *testing.T) {
		r := browse(form)
		r.Method = "HEAD"
		b.shown = func(http.ResponseWriter, *http.Request, *authz.Interaction) { t.Error("the host is asked for a page") }
		res := b.do(r)
		b.shown = nil
		if res.StatusCode != 200 || len(res.Cookies()) > 0 {
			t.Errorf("%d, %v", res.StatusCode, res.Header)
		}
		browserHeaders(t, res)
		r = browse("client_id=" + f.ID + "&request_uri=urn:x")
		r.Method = "HEAD"
		if res := b.do(r); res.StatusCode != 400 {
			t.Errorf("of a request that is not there: %d", res.StatusCode)
		}
	})
	t.Run("OIDC-AR-1 POST leads to GET, and leaves the cookie alone", func(t *testing.T) {
		res := b.do(post("application/x-www-form-urlencoded", form+"&state=x"))
		browserHeaders(t, res)
		if res.StatusCode != 303 || res.Header.Get("Location") != issuer+"/authorize?"+form || len(res.Cookies()) > 0 {
			t.Fatalf("%d, %v", res.StatusCode, res.Header)
		}
		shown(t, httptest.NewRequest("GET", res.Header.Get("Location"), nil))
	})
	t.Run("OIDC-AR-1 POST of JSON", func(t *testing.T) {
		refusedPage(t, b.do(post("application/json", `{"client_id":"kakeibo"}`)), "invalid_request")
	})
	t.Run("RFC6749-3.2-2 a posted form is not mixed with the query", func(t *testing.T) {
		r := post("application/x-www-form-urlencoded", "client_id=kakeibo")
		r.URL.RawQuery = form
		refusedPage(t, b.do(r), "invalid_request")
	})
	t.Run("a posted form over 64 KiB", func(t *testing.T) {
		res := b.do(post("application/x-www-form-urlencoded", form+"&x="+strings.Repeat("x", 64<<10)))
		if res.StatusCode != 413 {
			t.Errorf("%d, want 413", res.StatusCode)
		}
		browserHeaders(t, res)
	})
	for _, method := range []string{"OPTIONS", "PUT", "DELETE"} {
		t.Run("CT-AS-54 FAPI2-SP-5.2.3-3 "+method+" from another origin", func(t *testing.T) {
			r := browse(form)
			r.Method = method
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Access-Control-Request-Method", "GET")
			res := b.do(r)
			if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, POST" {
				t.Errorf("%d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
			}
			browserHeaders(t, res)
		})
	}
	t.Run("FAPI2-SP-5.2.3-3 GET from another origin", func(t *testing.T) {
		r := browse(form)
		r.Header.Set("Origin", "https://evil.example")
		browserHeaders(t, b.do(r))
	})
}

// TestAuthorizeEchoesNothing: the page of a refusal holds nothing that the
// visitor sent.
func TestAuthorizeEchoesNothing(t *testing.T) {
	const xss = `"><script>alert(1)</script>`
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	for name, query := range map[string]string{
		"client_id":     "client_id=" + url.QueryEscape(xss) + "&request_uri=urn:x",
		"request_uri":   "client_id=kakeibo&request_uri=" + url.QueryEscape(xss),
		"our own urn":   "client_id=kakeibo&request_uri=" + url.QueryEscape("urn:ietf:params:oauth:request_uri:"+xss),
		"another":       "client_id=kakeibo&request_uri=urn:x&state=" + url.QueryEscape(xss),
		"a name, twice": url.QueryEscape(xss) + "=1&client_id=a&client_id=a",
	} {
		t.Run("RFC6749-10.14-1 "+name, func(t *testing.T) {
			res := b.do(browse(query))
			page, _ := io.ReadAll(res.Body)
			if res.StatusCode != 400 || strings.Contains(string(page), "alert") {
				t.Errorf("%d %s", res.StatusCode, page)
			}
		})
	}
}

func TestRequestURI(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	t.Run("RFC9126-2.2-1 RFC9126-2.2-5 the answer", func(t *testing.T) {
		res := b.do(f.request("/par", f.authenticate(b, f.pushable())))
		got := object(t, res)
		uri, _ := got["request_uri"].(string)
		if res.StatusCode != 201 || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" || len(got) != 2 {
			t.Errorf("%d %v %v", res.StatusCode, res.Header, got)
		}
		if got["expires_in"] != 90.0 { // FAPI2-SP-5.3.2.2-N2: a person needs time
			t.Errorf("expires_in is %v", got["expires_in"])
		}
		secret, ok := strings.CutPrefix(uri, "urn:ietf:params:oauth:request_uri:") // RFC9126-2.2-3
		if !ok || len(secret) < 43 {
			t.Errorf("request_uri is %q", uri)
		}
	})
	t.Run("RFC9126-2.2-2 no two alike", func(t *testing.T) {
		seen := map[string]bool{}
		for range 20 {
			uri := f.push(b, f.pushable())
			for _, part := range []string{uri[:len(uri)-43], uri[len(uri)-43:]} { // locator and secret
				if seen[part] {
					t.Fatalf("%q twice", part)
				}
				seen[part] = true
			}
		}
	})
	t.Run("CT-AS-29 FAPI2-SP-5.3.2.2-N3 loaded three times, then finished", func(t *testing.T) {
		uri := f.push(b, f.pushable())
		br := &browser{b: b}
		br.open(f, uri)
		(&browser{b: b}).open(f, uri) // a link preview
		res, err := br.decide(f, uri, b.approval())
		if err != nil || location(t, res).Get("code") == "" {
			t.Errorf("%v, %v", res, err)
		}
	})
	for name, d := range map[string]authz.Decision{"an approval": b.approval(), "a denial": {Deny: authz.AccessDenied}} {
		t.Run("CT-AS-30 CONF-5 RFC9126-4-2 RFC9126-7.3-1 after "+name, func(t *testing.T) {
			uri := f.push(b, f.pushable())
			br := &browser{b: b}
			if _, err := br.decide(f, uri, d); err != nil {
				t.Fatal(err)
			}
			refusedPage(t, br.open(f, uri), "invalid_request_uri")
		})
	}
	t.Run("CT-AS-31 RFC9126-4-3 for 90 seconds", func(t *testing.T) {
		uri := f.push(b, f.pushable())
		b.clock.Advance(90*time.Second - time.Millisecond)
		if res := (&browser{b: b}).open(f, uri); res.StatusCode != 200 {
			t.Errorf("just before: %d", res.StatusCode)
		}
		b.clock.Advance(time.Millisecond)
		refusedPage(t, (&browser{b: b}).open(f, uri), "invalid_request_uri")
	})
	t.Run("RFC9207-4-1 at another issuer over the same store", func(t *testing.T) {
		second := newBank(t, clients(f), func(c *authz.Config) { c.Issuer += "/second"; c.Store = b.config.Store; c.Now = b.clock.Now })
		q := url.Values{"client_id": {f.ID}, "request_uri": {f.push(b, f.pushable())}}
		refusedPage(t, second.do(httptest.NewRequest("GET", issuer+"/second/authorize?"+q.Encode(), nil)), "invalid_request_uri")
	})
}

// A registry is a ClientRegistry whose one client the bank changes.
type registry struct {
	mu  sync.Mutex
	c   *authz.Client
	err error
}

func (r *registry) Client(context.Context, string) (*authz.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.c, r.err
}

// change replaces the client by a copy that f has changed.
func (r *registry) change(f func(*registry, *authz.Client)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := *r.c
	f(r, &c)
	if r.err == nil {
		r.c = &c
	}
}

// TestPolicyChanges: what the bank takes from a client between the push and
// the decision is gone, at the first page and at every later one.
func TestPolicyChanges(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*registry, *authz.Client)
		code   authz.Code // "" means an outage
	}{
		{"RFC9126-4-4 the client is gone", func(r *registry, _ *authz.Client) { r.err = authz.ErrNoClient }, "unauthorized_client"},
		{"RFC9126-4-4 the client no longer fits its profile", func(_ *registry, c *authz.Client) { c.CertificateBoundTokens = false }, "unauthorized_client"},
		{"RFC9126-4-4 the client may no longer use codes", func(_ *registry, c *authz.Client) { c.GrantTypes = []string{"client_credentials"} }, "unauthorized_client"},
		{"RFC9126-4-4 the redirect URI is withdrawn", func(_ *registry, c *authz.Client) { c.RedirectURIs = []string{callback + "2"} }, "invalid_request"},
		{"RFC9126-7.4-1 a scope is withdrawn", func(_ *registry, c *authz.Client) { c.Scope = "openid payments" }, "invalid_request"},
		{"RFC9126-7.4-1 FAPI2-MS-5.3.3-1 plain responses are withdrawn", func(_ *registry, c *authz.Client) { c.ResponseModes = []string{"jwt"} }, "invalid_request"},
		{"the registry is down", func(r *registry, _ *authz.Client) { r.err = errors.New("no route to host") }, ""},
		{"the registry answers with another client", func(_ *registry, c *authz.Client) { c.ID = "other" }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			reg := &registry{c: f.Client}
			b := newBank(t, nil, func(c *authz.Config) { c.Clients = reg })
			uri := f.push(b, f.pushable())
			br := &browser{b: b}
			page := br.begin(f, uri)
			reg.change(tt.change)

			in, err := br.resume(page)
			var refusal *authz.Error
			if in != nil || errors.As(err, &refusal) != (tt.code != "") || refusal != nil && refusal.Code != tt.code {
				t.Errorf("a later page: %v, %v; want %q", in, err, tt.code)
			}
			res := br.open(f, uri)
			if tt.code != "" {
				refusedPage(t, res, string(tt.code))
			} else if body, _ := io.ReadAll(res.Body); res.StatusCode != 503 || strings.Contains(string(body), "route") {
				t.Errorf("the first page: %d %s, want 503", res.StatusCode, body)
			}
		})
	}
}
