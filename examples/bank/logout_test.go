package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Where clients want browsers to go in the end.
const goodbye = "https://client.example/bye?x=1"

// A departing bank has sessions, and clients whom it tells of their ends.
type departing struct {
	*variant
	told chan string // logout tokens, as they arrive
}

// newDeparting runs the bank with sign-out of both kinds.
func newDeparting(t *testing.T) *departing {
	t.Helper()
	d := &departing{told: make(chan string, 10)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/told" {
			d.told <- r.PostFormValue("logout_token")
		}
	}))
	issued, err := newPKI(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{issued.server}}
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "clients-ca.pem")
	if err := os.WriteFile(ca, issued.authority, 0o600); err != nil {
		t.Fatal(err)
	}
	k := kind{method: "private_key_jwt", openid: true, more: map[string]any{
		"post_logout_redirect_uris": []string{goodbye}, "backchannel_logout_uri": server.URL + "/told", "backchannel_logout_session_required": true,
		"scope": "openid accounts transactions offline_access",
	}}
	user := func(login, subject string) any {
		return map[string]any{"login": login, "password": "pw", "subject": subject, "name": login}
	}
	d.variant = conformanceBank(t, true, []kind{k}, map[string]any{
		"logout": []string{"rp-initiated", "back-channel"}, "fetch_ca": []string{ca}, "scopes": []string{"openid", "accounts", "transactions", "offline_access"},
		"users": []any{user("hanako", "customer-7"), user("taro", "customer-8")},
	})[0]
	return d
}

// enter has client i let in by the customer in b, who may have to sign in.
func (d *departing) enter(t *testing.T, b *labBrowser, i int, scope string) (*flow, issuedKey) {
	t.Helper()
	f := d.flow(d.clients[i])
	f.ask.Set("scope", cmp.Or(scope, f.ask.Get("scope")))
	if strings.Contains(scope, "offline_access") { // which OpenID Connect Core, 11 ignores otherwise
		f.ask.Set("prompt", "consent")
	}
	f.push(t)
	b.get(t, f.address(nil))
	if signsIn(b) {
		b.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
	}
	b.form(t, url.Values{"approve": {"1"}})
	f.code = f.back(t, b).Get("code")
	return f, f.redeem(t)
}

// signsIn reports whether b shows the login page.
func signsIn(b *labBrowser) bool { return strings.Contains(b.body, `name="password"`) }

var logoutOf = regexp.MustCompile(`<input type="hidden" name="logout" value="([^"]+)">`)

// leave has b ask to be signed out, and answers the page by button, if there is
// one.
func (d *departing) leave(t *testing.T, b *labBrowser, q url.Values, button string) {
	t.Helper()
	b.get(t, d.doc["end_session_endpoint"].(string)+"?"+q.Encode())
	if id := logoutOf.FindStringSubmatch(b.body); id != nil {
		d.answer(t, b, id[1], button, "same-origin")
	}
}

func (d *departing) answer(t *testing.T, b *labBrowser, id, button, site string) {
	t.Helper()
	form := url.Values{"logout": {id}, button: {"1"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.issuer+"/signout", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", site)
	b.do(t, req)
}

// hears returns the claims of n logout tokens, by audience.
func (d *departing) hears(t *testing.T, n int) map[string]map[string]any {
	t.Helper()
	heard := make(map[string]map[string]any)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // so that a failure does not hang
	defer cancel()
	for range n {
		select {
		case jws := <-d.told:
			header, claims := d.verifyJWS(t, jws)
			if header["typ"] != "logout+jwt" {
				t.Errorf("header of a logout token: %v", header)
			}
			heard[claims["aud"].(string)] = claims
		case <-ctx.Done():
			t.Fatal("nobody was told")
		}
	}
	return heard
}

// stays checks that b shows a page of the bank's that has this text.
func stays(t *testing.T, b *labBrowser, status int, text string) {
	t.Helper()
	if b.res.StatusCode != status || b.res.Header.Get("Location") != "" || !strings.Contains(b.body, text) {
		t.Errorf("%d %s, want %d with %q:\n%s", b.res.StatusCode, b.res.Header.Get("Location"), status, text, b.body)
	}
}

func wentTo(t *testing.T, b *labBrowser, want string) {
	t.Helper()
	if got := b.res.Header.Get("Location"); b.res.StatusCode != http.StatusSeeOther || got != want {
		t.Errorf("%d %s, want %s\n%s", b.res.StatusCode, got, want, b.body)
	}
}

// refreshes reports whether the client still gets tokens.
func (d *departing) refreshes(t *testing.T, c *tester, k issuedKey) bool {
	t.Helper()
	r := c.post(t, d.token, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}}, way{})
	if r.status != http.StatusOK {
		refusedWith(t, r, "400 invalid_grant")
	}
	return r.status == http.StatusOK
}

// TestSignOut: the customer signs out of the bank, and everybody hears of it.
func TestSignOut(t *testing.T) {
	t.Parallel()
	d := newDeparting(t)
	asks := func(k issuedKey) url.Values {
		return url.Values{"id_token_hint": {k.idToken}, "post_logout_redirect_uri": {goodbye}, "state": {"a b"}}
	}

	t.Run("RPL-1 BCL-1 advertised", func(t *testing.T) {
		if d.doc["end_session_endpoint"] != d.issuer+"/logout" || d.doc["backchannel_logout_supported"] != true || d.doc["backchannel_logout_session_supported"] != true {
			t.Errorf("%v", d.doc)
		}
		aliases, _ := d.doc["mtls_endpoint_aliases"].(map[string]any)
		if alias, ok := aliases["end_session_endpoint"]; ok {
			t.Errorf("browsers are sent to %v", alias)
		}
		if r := ask(t, d.clients[0].naked, mustGet(t, d.machines+"/logout")); r.status != http.StatusNotFound {
			t.Errorf("the listener for machines has the page: %d", r.status)
		}
	})

	b := d.browser(t)
	_, first := d.enter(t, b, 0, "")
	t.Run("one login will do for two clients", func(t *testing.T) {
		f := d.flow(d.clients[1])
		f.push(t)
		if b.get(t, f.address(nil)); signsIn(b) {
			t.Error("the customer has to sign in again")
		}
	})
	_, second := d.enter(t, b, 1, "")
	_, offline := d.enter(t, b, 1, "openid accounts offline_access")
	t.Run("BCL-14 sid by client", func(t *testing.T) {
		if a, b, c := first.id["sid"], second.id["sid"], offline.id["sid"]; a == nil || b == nil || a == b || b != c {
			t.Errorf("sid %v, %v, %v", a, b, c)
		}
	})
	issuer, err := url.Parse(d.issuer)
	if err != nil {
		t.Fatal(err)
	}
	cookies := b.http.Jar.Cookies(issuer)
	if !slices.ContainsFunc(cookies, func(c *http.Cookie) bool { return strings.HasPrefix(c.Name, "__Host-bank-") }) {
		t.Error("the session has no cookie for this host alone")
	}
	t.Run("RPL-5 the customer is asked, and stays", func(t *testing.T) {
		d.leave(t, b, asks(first), "stay")
		stays(t, b, http.StatusOK, "still signed in")
		d.served(t, d.clients[0], first.access, nil)
	})
	t.Run("RPL-5 a form on another site signs nobody out", func(t *testing.T) {
		b.get(t, d.doc["end_session_endpoint"].(string)+"?"+asks(first).Encode())
		id := logoutOf.FindStringSubmatch(b.body)
		d.answer(t, b, id[1], "leave", "cross-site")
		if b.res.StatusCode != http.StatusForbidden {
			t.Errorf("answered %d", b.res.StatusCode)
		}
		d.answer(t, d.browser(t), id[1], "leave", "same-origin") // in another browser
		d.served(t, d.clients[0], first.access, nil)
	})

	f := d.flow(d.clients[0]) // another tab, which waits for the customer
	f.push(t)
	b.get(t, f.address(nil))
	waiting := *b
	t.Run("RPL-6 RPL-7 RPL-8 yes, and back to the client", func(t *testing.T) {
		d.leave(t, b, asks(first), "leave")
		wentTo(t, b, goodbye+"&state=a+b")
	})
	t.Run("BCL-3 BCL-4 BCL-5 BCL-8 BCL-14 all clients of the session are told", func(t *testing.T) {
		heard := d.hears(t, 2)
		for i, k := range []issuedKey{first, second} {
			claims := heard[d.clients[i].id]
			events, _ := claims["events"].(map[string]any)
			if claims["iss"] != d.issuer || claims["sub"] != "customer-7" || claims["sid"] != k.id["sid"] || claims["nonce"] != nil || events["http://schemas.openid.net/event/backchannel-logout"] == nil {
				t.Errorf("client %d is told %v", i, claims)
			}
		}
	})
	t.Run("RPL-12 BCL-13 grants end unless they were to outlive the session", func(t *testing.T) {
		d.turnedAway(t, d.clients[0], first.access)
		if d.refreshes(t, d.clients[0], first) || d.refreshes(t, d.clients[1], second) {
			t.Error("a client still gets tokens")
		}
		if !d.refreshes(t, d.clients[1], offline) {
			t.Error("offline_access ended, too")
		}
	})
	t.Run("the session has ended", func(t *testing.T) {
		if waiting.form(t, url.Values{"approve": {"1"}}); !signsIn(&waiting) {
			t.Errorf("the other tab goes on: %s", waiting.body)
		}
		f := d.flow(d.clients[0])
		f.push(t)
		if b.get(t, f.address(nil)); !signsIn(b) {
			t.Errorf("no login is asked for: %s", b.body)
		}
		kept := d.browser(t) // whoever has the cookie still
		kept.http.Jar.SetCookies(issuer, cookies)
		if kept.get(t, f.address(nil)); !signsIn(kept) {
			t.Errorf("the cookie still opens the session: %s", kept.body)
		}
	})
	t.Run("RPL-10 nobody is signed in", func(t *testing.T) {
		d.leave(t, b, asks(first), "leave")
		wentTo(t, b, goodbye+"&state=a+b")
	})
	t.Run("RPL-7 RPL-9 to where no client registered", func(t *testing.T) {
		for _, uri := range []string{"https://thief.example/", "https://client.example/bye", goodbye + "&y=2"} {
			q := asks(first)
			q.Set("post_logout_redirect_uri", uri)
			b.get(t, d.doc["end_session_endpoint"].(string)+"?"+q.Encode())
			wantErrorPage(t, b, "invalid_request")
		}
	})
	t.Run("RPL-7 nobody says who asks", func(t *testing.T) {
		b := d.browser(t)
		_, k := d.enter(t, b, 0, "")
		d.leave(t, b, nil, "leave")
		stays(t, b, http.StatusOK, "You are signed out")
		d.turnedAway(t, d.clients[0], k.access)
		if heard := d.hears(t, 1); heard[d.clients[0].id] == nil {
			t.Errorf("told %v", heard)
		}
	})
	t.Run("another customer signs in", func(t *testing.T) {
		b := d.browser(t)
		_, k := d.enter(t, b, 0, "")
		f := d.flow(d.clients[1])
		f.ask.Set("prompt", "login")
		f.push(t)
		if b.get(t, f.address(nil)); !signsIn(b) {
			t.Fatalf("prompt=login shows no login: %s", b.body)
		}
		b.form(t, url.Values{"login": {"taro"}, "password": {"pw"}})
		d.turnedAway(t, d.clients[0], k.access)
		if heard := d.hears(t, 1); heard[d.clients[0].id]["sid"] != k.id["sid"] {
			t.Errorf("told %v", heard)
		}
	})
	t.Run("what a login does not do for", func(t *testing.T) {
		b := d.browser(t)
		prompted := func(name, value string) *flow {
			f := d.flow(d.clients[0])
			f.ask.Set(name, value)
			f.push(t)
			b.get(t, f.address(nil))
			return f
		}
		if q := prompted("prompt", "none").back(t, b); q.Get("error") != "login_required" {
			t.Errorf("nobody is signed in: %v", q)
		}
		d.enter(t, b, 0, "")
		if q := prompted("prompt", "none").back(t, b); q.Get("error") != "consent_required" {
			t.Errorf("nobody consented: %v", q)
		}
		for _, tt := range [][2]string{{"prompt", "login"}, {"prompt", "select_account"}, {"max_age", "0"}} {
			if prompted(tt[0], tt[1]); !signsIn(b) {
				t.Errorf("%s=%s shows no login", tt[0], tt[1])
			}
		}
		if prompted("max_age", "3600"); signsIn(b) {
			t.Error("max_age=3600 asks for a login that is an hour younger")
		}
	})
	if n := len(d.told); n != 0 {
		t.Errorf("clients were told of %d ends too many", n)
	}
}

// A bank that approves by itself has sessions all the same, for clients that
// are to be told of their ends.
func TestSignOutWithoutPages(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c map[string]any) {
		c["auto_approve"], c["client_ca"] = "customer-7", []string{"client-ca.pem"}
		c["logout"] = []string{"rp-initiated", "back-channel"}
	})
	for method, c := range l.clients {
		t.Run(method, func(t *testing.T) { l.wholeFlow(t, c, l.machines+"/resource") })
	}
}

func mustGet(t *testing.T, address string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestErrorPage: requests that lead nowhere end on a page of the bank's, and
// what they bring is not on it.
func TestErrorPage(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, want string }{
		"the bank's":             {"", "この依頼は受け付けられません"},
		"of the configuration's": {"error.html", `<p lang="ja">Sorry: unauthorized_client (the client is unknown)</p>`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(c map[string]any) {
				if c["client_ca"] = []string{"client-ca.pem"}; tt.file != "" {
					c["error_page"] = tt.file
				}
			})
			b := l.browser(t)
			req := mustGet(t, l.issuer+"/authorize?client_id=%3Cscript%3E&request_uri=urn:x&redirect_uri=https://thief.example")
			req.Header.Set("Accept-Language", "ja")
			b.do(t, req)
			wantErrorPage(t, b, "unauthorized_client")
			if !strings.Contains(b.body, tt.want) || strings.Contains(b.body, "thief") || strings.Contains(b.body, "<script") {
				t.Errorf("the page is:\n%s", b.body)
			}
			if csp := b.res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") {
				t.Errorf("Content-Security-Policy %q", csp)
			}
		})
	}
}
