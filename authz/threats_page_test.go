package authz_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/authz"
)

// TestEveryPage: nothing that a browser is answered can be framed, sniffed,
// kept, or tells where it was. The host's pages get the headers before the host
// writes.
func TestEveryPage(t *testing.T) {
	f, old, posts := keyClient("kakeibo").parting(), keyClient("old").hybrid(), keyClient("posts").hybrid()
	f.Profile = authz.FAPI2Security
	p := newParted(t, clients(f, old, posts), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI1Advanced}
	})
	b := p.bank
	decided := func(r *http.Request, d authz.Decision) *http.Response { return (&browser{b: b}).decideAt(r, d) }
	pushed := func() *http.Request {
		return get(authorizeURL(url.Values{"client_id": {f.ID}, "request_uri": {f.push(b, f.pushable())}}))
	}
	method := func(name, path string) *http.Request { return httptest.NewRequest(name, issuer+path, nil) }
	formPosted := posts.asks(b, with(posts.wants(), "response_mode", "form_post"))
	leaving := url.Values{"client_id": {f.ID}, "post_logout_redirect_uri": {goodbye}, "id_token_hint": {p.idToken(f, p.signedIn())}}
	page := &browser{b: b}
	left := httptest.NewRecorder()
	shown(t, page.leave(leaving))
	yes := page.yes(p.last.ID)
	lo, err := b.srv.Logout(yes)
	if err != nil {
		t.Fatal(err)
	}
	if !lo.Finish(left, yes) {
		t.Fatal("the browser stays")
	}

	for name, res := range map[string]*http.Response{
		"the host's first page":           (&browser{b: b}).do(pushed()),
		"an error":                        b.do(get(issuer + "/authorize")),
		"an error at HEAD":                b.do(method("HEAD", "/authorize")),
		"a method that is not served":     b.do(method("PUT", "/authorize")),
		"a form sent round by GET":        b.do(formTo(old.beside(old.object(old.asks(b, old.wants()))))),
		"a code in the query":             decided(pushed(), p.signedIn()),
		"a denial":                        decided(pushed(), authz.Decision{Deny: authz.AccessDenied}),
		"a code in the fragment":          decided(old.byValue(old.asks(b, old.wants())), p.signedIn()),
		"a form that posts itself":        decided(posts.byValue(formPosted), p.signedIn()),
		"the host's logout page":          (&browser{b: b}).leave(leaving),
		"an error at logout":              b.do(get(issuer + "/logout?id_token_hint=x")),
		"a logout method not served":      b.do(method("PUT", "/logout")),
		"the way back after logging out":  left.Result(),
		"a logout form sent round by GET": b.do(formAt("/logout", leaving)),
	} {
		t.Run("T-4.4.1.9 X-29 C-5.2.2.6 T-4.2.1 T-4.4.3.4 "+name, func(t *testing.T) {
			if c := res.Header.Get("Cache-Control"); c == "no-cache, no-store" { // Form Post Response Mode, 4
				res.Header.Set("Cache-Control", "no-store")
			}
			browserHeaders(t, res)
			if res.StatusCode == 307 || res.StatusCode == 308 || res.StatusCode == 302 {
				t.Errorf("X-5: %d", res.StatusCode)
			}
		})
	}
}

// formAt is formTo for another endpoint.
func formAt(path string, v url.Values) *http.Request {
	r := formTo(v)
	r.URL.Path = path
	return r
}

// hostile is what a stranger writes: markup, the end of a header and of a line in
// a log, and a way to elsewhere.
const hostile = "<script>alert(1)</script>\"'\\\r\nSet-Cookie: evil=1\r\n\r\nevil\u2028\x1b[2J"

// TestEveryParameter puts it into each parameter of each endpoint for browsers.
// It comes back in no page and no header, leads nowhere, and makes no line of
// the log.
func TestEveryParameter(t *testing.T) {
	f, old := keyClient("kakeibo").parting(), keyClient("old").hybrid()
	f.Profile = authz.FAPI2Security
	p := newParted(t, clients(f, old), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI1Advanced}
	})
	b := p.bank
	byValue := func() url.Values { return old.beside(old.object(old.asks(b, old.wants()))) }
	pushed := func() url.Values {
		return url.Values{"client_id": {f.ID}, "request_uri": {f.push(b, f.pushable())}}
	}
	leaving := func() url.Values { return url.Values{"client_id": {f.ID}, "post_logout_redirect_uri": {goodbye}} }
	names := []string{
		"client_id", "request_uri", "request", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "prompt",
		"login_hint", "id_token_hint", "ui_locales", "post_logout_redirect_uri", "logout_hint", "interaction", "logout", "error", "evil" + hostile,
	}
	for _, at := range []struct {
		path string
		good func() url.Values
	}{{"/authorize", pushed}, {"/authorize", byValue}, {"/logout", leaving}} {
		for _, name := range names {
			for _, value := range []string{hostile, "https://evil.example/", "//evil.example", "javascript:alert('evil')"} {
				t.Run("T-4.2.4 T-4.4.1.9 T-4.6.7 "+at.path, func(t *testing.T) {
					v := at.good()
					v.Set(name, value)
					b.events = nil
					for _, r := range []*http.Request{get(issuer + at.path + "?" + v.Encode()), formAt(at.path, v)} {
						harmless(t, name, b.do(r))
					}
					logHarmless(t, name, b.events)
				})
			}
		}
	}
}

// harmless checks that an answer has nothing of a stranger's.
func harmless(t *testing.T, name string, res *http.Response) {
	t.Helper()
	page, _ := io.ReadAll(res.Body)
	if bytes.Contains(page, []byte("evil")) || bytes.Contains(page, []byte("<script")) {
		t.Errorf("%s is echoed: %s", name, page)
	}
	if to := res.Header.Get("Location"); to != "" && !strings.HasPrefix(to, issuer+"/authorize?") && !strings.HasPrefix(to, issuer+"/logout?") {
		t.Errorf("%s leads to %s", name, to)
	}
	for key, values := range res.Header {
		for _, v := range append(values, key) {
			if strings.ContainsAny(v, "\r\n\x1b") || strings.Contains(v, "evil=1") {
				t.Errorf("%s is in header %s: %q", name, key, v)
			}
		}
	}
}

// logHarmless checks that each event is one line of printable characters, of
// modest length.
func logHarmless(t *testing.T, name string, events []authz.Event) {
	t.Helper()
	for _, e := range events {
		var log bytes.Buffer
		authz.LogEvents(slog.New(slog.NewTextHandler(&log, nil)))(context.Background(), e)
		raw := fmt.Sprintf("%+v", e)
		for _, text := range []string{strings.TrimSuffix(log.String(), "\n"), raw} {
			if i := strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\u2028' }); i >= 0 || len(text) > 4<<10 {
				t.Errorf("%s makes an event of %d bytes: %q", name, len(text), text)
			}
		}
	}
}

// TestStateComesBack: the client's defence against forged responses arrives as
// it was sent, in every way of answering, and carries nothing else along.
func TestStateComesBack(t *testing.T) {
	f, old, posts, jarm := keyClient("kakeibo"), keyClient("old").hybrid(), keyClient("posts").hybrid(), keyClient("jarm").jarmed()
	f.Profile = authz.FAPI2Security
	b := newBank(t, clients(f, old, posts, jarm), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI1Advanced}
	})
	byValue := func(f *fintech, v url.Values) *http.Response {
		return (&browser{b: b}).decideAt(f.byValue(f.asks(b, v)), b.approval())
	}
	for name, answer := range map[string]func(state string) (*http.Response, url.Values){
		"query": func(state string) (*http.Response, url.Values) {
			res, err := (&browser{b: b}).decide(f, f.push(b, with(f.pushable(), "state", state)), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			return res, location(t, res)
		},
		"fragment": func(state string) (*http.Response, url.Values) {
			res := byValue(old, with(old.wants(), "state", state))
			return res, fragment(t, res)
		},
		"form_post": func(state string) (*http.Response, url.Values) {
			res := byValue(posts, with(with(posts.wants(), "state", state), "response_mode", "form_post"))
			_, fields := posted(t, res)
			return res, fields
		},
		"jwt": func(state string) (*http.Response, url.Values) {
			res := byValue(jarm, with(jarm.wants(), "state", state))
			return res, jarm.back(t, res)
		},
	} {
		for _, state := range []string{"plain", "a b&iss=https://evil.example&code=x#y", "%0d%0aSet-Cookie: evil=1", `"><script>alert(1)</script>`, "'\\;,&", strings.Repeat("s", 500)} {
			t.Run("T-4.4.1.8 "+name+" "+state[:5], func(t *testing.T) {
				res, v := answer(state)
				if len(v["state"]) != 1 || v.Get("state") != state || v.Get("iss") != issuer || v.Get("code") == "x" {
					t.Errorf("%q comes back as %q, with iss %q", state, v["state"], v["iss"])
				}
				if len(res.Cookies()) != 0 || strings.ContainsAny(res.Header.Get("Location"), "\r\n<\"") {
					t.Errorf("%v", res.Header)
				}
			})
		}
	}
}

// TestOversized: what is too large is refused at each door for browsers before
// anything is done with it.
func TestOversized(t *testing.T) {
	f, old := keyClient("kakeibo").parting(), keyClient("old").hybrid()
	f.Profile = authz.FAPI2Security
	p := newParted(t, clients(f, old), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI1Advanced}
	})
	huge := strings.Repeat("x", 1<<20)
	for name, r := range map[string]*http.Request{
		"a request object by value in the query": get(authorizeURL(old.beside(huge))),
		"a request object by value in a form":    formTo(old.beside(huge)),
		"padding beside a request object":        get(authorizeURL(with(old.beside(old.object(old.asks(p.bank, old.wants()))), "x", huge))),
		"a posted form":                          formTo(url.Values{"client_id": {f.ID}, "x": {huge}}),
		"a request_uri":                          get(authorizeURL(url.Values{"client_id": {f.ID}, "request_uri": {"urn:ietf:params:oauth:request_uri:" + huge}})),
		"a client_id":                            get(authorizeURL(url.Values{"client_id": {huge}, "request_uri": {"x"}})),
		"a posted logout":                        formAt("/logout", url.Values{"client_id": {f.ID}, "state": {huge}}),
		"a logout":                               get(issuer + "/logout?" + url.Values{"client_id": {f.ID}, "state": {huge}}.Encode()),
		"a logout's hint":                        get(issuer + "/logout?" + url.Values{"client_id": {f.ID}, "id_token_hint": {huge}}.Encode()),
	} {
		t.Run("X-26 "+name, func(t *testing.T) {
			p.last, p.events = nil, nil
			res := p.do(r)
			if res.StatusCode < 400 || res.StatusCode >= 500 || res.Header.Get("Location") != "" || p.last != nil {
				t.Errorf("%d to %.50q", res.StatusCode, res.Header.Get("Location"))
			}
			logHarmless(t, name, p.events)
		})
	}
}

// TestEveryVisitAsks: a client rides on no earlier yes.
func TestEveryVisitAsks(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	br := &browser{b: b}
	if _, err := br.decide(f, f.push(b, f.pushable()), b.approval()); err != nil {
		t.Fatal(err)
	}
	for _, prompt := range []string{"", "none"} {
		t.Run("T-4.2.3 C-5.2.4.1 prompt "+prompt, func(t *testing.T) {
			asked := 0
			b.shown = func(_ http.ResponseWriter, _ *http.Request, in *authz.Interaction) { asked++ }
			res := br.open(f, f.push(b, with(f.pushable(), "prompt", prompt)))
			if asked != 1 || res.StatusCode != 200 || res.Header.Get("Location") != "" {
				t.Errorf("asked %d times, %d to %q", asked, res.StatusCode, res.Header.Get("Location"))
			}
		})
	}
}

// TestNoTokenThroughTheBrowser: the flows that bring an access token through
// the front channel do not exist, for clients of either generation.
func TestNoTokenThroughTheBrowser(t *testing.T) {
	old := keyClient("old").hybrid()
	f := keyClient("kakeibo")
	f.Profile = authz.FAPI2Security
	b := newBank(t, clients(f, old), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI1Advanced}
	})
	for _, responseType := range []string{"token", "id_token", "id_token token", "code token", "code id_token token", "none", "code code"} {
		t.Run("T-4.4.2.1 T-4.4.2.3 X-30 response_type "+responseType, func(t *testing.T) {
			refused(t, b.do(f.request("/par", f.authenticate(b, with(f.pushable(), "response_type", responseType)))), 400, "unsupported_response_type")
			res := (&browser{b: b}).openPage(old.byValue(old.asks(b, with(old.wants(), "response_type", responseType))))
			if res.StatusCode != 400 || res.Header.Get("Location") != "" {
				t.Errorf("by value: %d to %q", res.StatusCode, res.Header.Get("Location"))
			}
		})
	}
	for _, mode := range []string{"web_message", "postMessage", "urn:ietf:params:oauth:response_mode"} {
		t.Run("X-30 response_mode "+mode, func(t *testing.T) {
			refused(t, b.do(f.request("/par", f.authenticate(b, with(f.pushable(), "response_mode", mode)))), 400, "invalid_request")
		})
	}
	for _, grantType := range []string{"implicit", "token", "password", "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba"} {
		t.Run("T-4.4.2.1 T-4.4.3 X-28 grant_type "+grantType, func(t *testing.T) {
			for _, c := range []*fintech{f, old} {
				refused(t, b.do(c.request("/token", c.authenticate(b, url.Values{"grant_type": {grantType}}))), 400, "unsupported_grant_type")
			}
		})
	}
	t.Run("T-4.4.2.2 a hybrid answer has a code and an ID token, and no token", func(t *testing.T) {
		v := fragment(t, (&browser{b: b}).decideAt(old.byValue(old.asks(b, old.wants())), b.approval()))
		if want := []string{"code", "id_token", "iss", "state"}; !slices.Equal(slices.Sorted(maps.Keys(v)), want) {
			t.Errorf("the answer has %v, want %v", slices.Sorted(maps.Keys(v)), want)
		}
	})
	t.Run("X-25 nobody registers a client, or changes one", func(t *testing.T) {
		for _, path := range []string{"/register", "/register/old", "/connect/register", "/reg", "/clients"} {
			for _, method := range []string{"POST", "PUT", "DELETE"} {
				if res := b.do(httptest.NewRequest(method, issuer+path, strings.NewReader("{}"))); res.StatusCode != 404 {
					t.Errorf("%s %s: %d", method, path, res.StatusCode)
				}
			}
		}
	})
	t.Run("X-28 no endpoint for another device", func(t *testing.T) {
		for _, path := range []string{"/device", "/device_authorization", "/bc-authorize", "/ciba"} {
			if res := b.do(httptest.NewRequest("POST", issuer+path, nil)); res.StatusCode != 404 {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		}
	})
}
