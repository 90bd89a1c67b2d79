package authz_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// Where clients want the browser back, and the bank's session of the customer.
const (
	goodbye = "https://app.fintech.example/bye"
	session = "bank-session-4f0c6e"
)

// parting makes f a client that logs out.
func (f *fintech) parting(uris ...string) *fintech {
	f.PostLogoutRedirectURIs = append([]string{goodbye}, uris...)
	return f
}

// A parted is a bank's logout page under test. It shows the ID and does nothing
// by itself.
type parted struct {
	*bank
	last *authz.Logout // the newest first page
}

func newParted(t *testing.T, fs []*authz.Client, adjust ...func(*authz.Config)) *parted {
	p := new(parted)
	show := func(c *authz.Config) {
		c.BackchannelLogout = true
		c.Logout = func(w http.ResponseWriter, _ *http.Request, lo *authz.Logout) {
			p.last = lo
			io.WriteString(w, lo.ID)
		}
	}
	p.bank = newBank(t, fs, append([]func(*authz.Config){show}, adjust...)...)
	return p
}

// signedIn is the customer's yes, in the bank's session.
func (p *parted) signedIn() authz.Decision {
	d := p.approval()
	d.Session = session
	return d
}

// idToken runs the flow up to an ID token for f.
func (p *parted) idToken(f *fintech, d authz.Decision) string {
	p.t.Helper()
	res, err := (&browser{b: p.bank}).decide(f, f.push(p.bank, f.pushable()), d)
	if err != nil {
		p.t.Fatal(err)
	}
	status, got := f.token(p.bank, f.redeemable(location(p.t, res).Get("code")))
	if status != 200 {
		p.t.Fatalf("token: %d %v", status, got)
	}
	return got["id_token"].(string)
}

// leave sends the browser to the end-session endpoint.
func (br *browser) leave(v url.Values) *http.Response {
	return br.do(get(issuer + "/logout?" + v.Encode()))
}

// yes returns the request by which the customer says yes on the bank's page.
func (br *browser) yes(id string) *http.Request {
	r := httptest.NewRequest("POST", issuer+"/goodbye", strings.NewReader(url.Values{"logout": {id}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range br.cookies {
		r.AddCookie(c)
	}
	return r
}

// shown returns the body of a first page.
func shown(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("logout: %d %s %v", res.StatusCode, b, err)
	}
	return string(b)
}

// mustStay demands an error page, and the reason for the operator.
func (p *parted) mustStay(t *testing.T, res *http.Response, status int, rule string) {
	t.Helper()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != status || res.Header.Get("Location") != "" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%d, Location %q, %s", res.StatusCode, res.Header.Get("Location"), res.Header.Get("Content-Type"))
	}
	if h := res.Header; h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%v", h)
	}
	if e := p.lastEvent(); e.Kind != "request_refused" || e.Endpoint != "logout" || e.Rule != rule || e.Reason == "" {
		t.Errorf("the operator is told %+v, want %s", e, rule)
	}
	if p.last != nil || strings.Contains(string(body), "evil") {
		t.Errorf("the host's page was shown, or the stranger's text: %s", body)
	}
	p.last = nil
}

// TestLogout: from the client's link to the bank's page and back.
func TestLogout(t *testing.T) {
	f := keyClient("kakeibo").parting(goodbye + "?x=1")
	p := newParted(t, clients(f))
	hint := p.idToken(f, p.signedIn())
	good := func() url.Values {
		return url.Values{
			"id_token_hint": {hint}, "client_id": {f.ID}, "post_logout_redirect_uri": {goodbye}, "state": {"a b&c=<\"é"},
			"ui_locales": {"ja en"}, "logout_hint": {"hanako@mail.example"},
		}
	}
	without := func(names ...string) url.Values {
		v := good()
		for _, name := range names {
			v.Del(name)
		}
		return v
	}

	t.Run("RPL-1 advertised, and served", func(t *testing.T) {
		m := object(t, p.do(get(issuer+wellKnown)))
		if m["end_session_endpoint"] != issuer+"/logout" {
			t.Errorf("%v", m["end_session_endpoint"])
		}
	})
	t.Run("RPL-1 neither where there is no page", func(t *testing.T) {
		b := newBank(t, nil)
		m := object(t, b.do(get(issuer+wellKnown)))
		if m["end_session_endpoint"] != nil || m["backchannel_logout_supported"] != nil || m["backchannel_logout_session_supported"] != nil {
			t.Errorf("%v", m)
		}
		if res := b.do(get(issuer + "/logout")); res.StatusCode != 404 {
			t.Errorf("%d", res.StatusCode)
		}
		_, err := b.srv.Logout(httptest.NewRequest("POST", issuer+"/goodbye", nil))
		if !is(err, "invalid_request") {
			t.Errorf("%v", err)
		}
	})
	t.Run("RPL-2 RPL-7 RPL-8 GET, yes, and back with state", func(t *testing.T) {
		br := &browser{b: p.bank}
		id := shown(t, br.leave(good()))
		if p.last.Client.ID != f.ID || p.last.PostLogoutRedirectURI != goodbye || p.last.LogoutHint != "hanako@mail.example" {
			t.Errorf("%+v", p.last)
		}
		if d := cmp.Diff([]string{"ja", "en"}, p.last.UILocales); d != "" {
			t.Error(d)
		}
		if e := p.lastEvent(); e.Kind != "logout_shown" || e.Client != f.ID {
			t.Errorf("%+v", e)
		}
		lo, err := p.srv.Logout(br.yes(id))
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if !lo.Finish(w, br.yes(id)) {
			t.Fatal("the browser stays")
		}
		if got := w.Header().Get("Location"); w.Code != 303 || got != goodbye+"?state=a+b%26c%3D%3C%22%C3%A9" {
			t.Errorf("%d %s", w.Code, got)
		}
		if e := p.lastEvent(); e.Kind != "logout_finished" || e.Client != f.ID {
			t.Errorf("%+v", e)
		}
	})
	t.Run("RPL-2 POST from the client's site, which sends no cookies", func(t *testing.T) {
		br := &browser{b: p.bank}
		r := httptest.NewRequest("POST", issuer+"/logout", strings.NewReader(good().Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res := p.do(r)
		to := res.Header.Get("Location")
		if res.StatusCode != 303 || !strings.HasPrefix(to, issuer+"/logout?logout=") || len(res.Cookies()) != 0 || strings.Contains(to, hint) {
			t.Fatalf("%d %s %v", res.StatusCode, to, res.Cookies())
		}
		id := shown(t, br.do(get(to)))
		if p.last.PostLogoutRedirectURI != goodbye || !p.last.IsFor(customer, session) {
			t.Errorf("%+v", p.last)
		}
		if _, err := p.srv.Logout(br.yes(strings.TrimPrefix(to, issuer+"/logout?logout="))); !is(err, "invalid_request") {
			t.Errorf("what no page had opens: %v", err)
		}
		lo, err := p.srv.Logout(br.yes(id))
		if err != nil || !lo.Finish(httptest.NewRecorder(), br.yes(id)) {
			t.Errorf("%v", err)
		}
	})
	t.Run("RPL-8 RPL-7 a query of the registered URI stays, and no state comes of nothing", func(t *testing.T) {
		v := changed(without("state"), "post_logout_redirect_uri", goodbye+"?x=1")
		br := &browser{b: p.bank}
		shown(t, br.leave(v))
		w := httptest.NewRecorder()
		if !p.last.Finish(w, get("/")) || w.Header().Get("Location") != goodbye+"?x=1" {
			t.Errorf("%v", w.Header())
		}
		br.leave(changed(good(), "post_logout_redirect_uri", goodbye+"?x=1"))
		w = httptest.NewRecorder()
		if p.last.Finish(w, get("/")); !strings.HasPrefix(w.Header().Get("Location"), goodbye+"?x=1&state=") {
			t.Errorf("%v", w.Header())
		}
	})
	t.Run("RPL-7 RPL-10 with a hint the host may end it at once, as where nobody is signed in", func(t *testing.T) {
		(&browser{b: p.bank}).leave(without("client_id"))
		w := httptest.NewRecorder()
		if !p.last.Finish(w, get("/")) || w.Code != 303 || p.last.Client.ID != f.ID {
			t.Errorf("%d", w.Code)
		}
	})
	t.Run("RPL-7 RPL-5 without a hint not before the customer has posted a page", func(t *testing.T) {
		br := &browser{b: p.bank}
		id := shown(t, br.leave(without("id_token_hint")))
		w := httptest.NewRecorder()
		if p.last.IsFor(customer, session) || p.last.Finish(w, get("/")) {
			t.Error("a link from anywhere is believed")
		}
		untouched(t, w)
		r := br.yes(id)
		r.Method, r.URL.RawQuery = "GET", "logout="+id
		lo, err := p.srv.Logout(r)
		if err != nil {
			t.Fatal(err)
		}
		if w := httptest.NewRecorder(); lo.Finish(w, r) {
			t.Errorf("a page that was only looked at is believed: %v", w.Header())
		}
		if lo, err = p.srv.Logout(br.yes(id)); err != nil || !lo.Finish(httptest.NewRecorder(), br.yes(id)) {
			t.Errorf("the customer's yes: %v", err)
		}
	})
	t.Run("RPL-7 nowhere to go", func(t *testing.T) {
		for _, v := range []url.Values{without("post_logout_redirect_uri"), {}, {"state": {"x"}}} {
			br := &browser{b: p.bank}
			id := shown(t, br.leave(v))
			lo, err := p.srv.Logout(br.yes(id))
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			if lo.Finish(w, br.yes(id)) {
				t.Errorf("%v: %v", v, w.Header())
			}
			untouched(t, w)
		}
	})
	t.Run("RPL-2 a HEAD shows nobody a page", func(t *testing.T) {
		p.last = nil
		r := get(issuer + "/logout?" + good().Encode())
		r.Method = "HEAD"
		if res := p.do(r); res.StatusCode != 200 || len(res.Cookies()) != 0 || p.last != nil {
			t.Errorf("%d", res.StatusCode)
		}
	})
	t.Run("T-4.4.1.9 the host's page cannot be framed", func(t *testing.T) {
		res := (&browser{b: p.bank}).leave(good())
		if h := res.Header; h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", h)
		}
	})
}

// TestLogoutRefused: what is wrong ends on a page of the bank's.
func TestLogoutRefused(t *testing.T) {
	f, other := keyClient("kakeibo").parting(), keyClient("other").parting("https://other.example/bye")
	f.UserInfoAlg = "ES256"
	p := newParted(t, clients(f, other))
	hint := p.idToken(f, p.signedIn())
	access := f.tokensIn(p)["access_token"].(string)
	logout, err := p.srv.LogoutToken(t.Context(), withURI(f), customer, session)
	if err != nil {
		t.Fatal(err)
	}
	signer := mustSigner(t, serverKeys, "ES256")
	forged := func(change func(h, c map[string]any)) string {
		h, c := map[string]any{"alg": "ES256", "kid": "as-1"}, claimsOf(t, hint)
		change(h, c)
		return jwt(h, c, signer)
	}
	info, _ := io.ReadAll(p.do(f.asksInfo(p.bank, access, nil)).Body)
	for _, tt := range []struct {
		name, rule string
		v          url.Values
	}{
		{"RPL-7 RPL-9 T-4.2.4 a URI that is not registered", "RPL-7", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://evil.example/"}}},
		{"RPL-7 a URI that begins like one", "RPL-7", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {goodbye + "/evil"}}},
		{"RPL-7 the beginning of one", "RPL-7", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {goodbye[:len(goodbye)-1]}}},
		{"RPL-7 one in capitals", "RPL-7", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {strings.ToUpper(goodbye)}}},
		{"RPL-7 a redirect_uri is no such URI", "RPL-7", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {callback}}},
		{"RPL-7 a query more than registered", "RPL-7", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {goodbye + "?evil"}}},
		{"RPL-7 another client's", "RPL-7", url.Values{"client_id": {f.ID}, "post_logout_redirect_uri": {"https://other.example/bye"}}},
		{"RPL-7 RPL-9 nobody's", "RPL-7", url.Values{"post_logout_redirect_uri": {goodbye}}},
		{"RPL-4 RPL-9 another client than the hint's", "RPL-4", url.Values{"id_token_hint": {hint}, "client_id": {"other"}, "post_logout_redirect_uri": {goodbye}}},
		{"RPL-9 no such client", "RFC6749-5.2-2", url.Values{"client_id": {"evil"}}},
		{"RPL-3 no JWT", "RPL-3", url.Values{"id_token_hint": {"evil"}}},
		{"RPL-3 no JWT, and a client", "RPL-3", url.Values{"id_token_hint": {"evil"}, "client_id": {f.ID}}},
		{"RPL-3 of another issuer", "RPL-3", url.Values{"id_token_hint": {forged(func(_, c map[string]any) { c["iss"] = issuer + "/brand" })}}},
		{"RPL-3 for nobody in particular", "RPL-3", url.Values{"id_token_hint": {forged(func(_, c map[string]any) { c["aud"] = []string{"kakeibo", "other"} })}}},
		{"RPL-3 signed by the client", "RPL-3", url.Values{"id_token_hint": {jwt(map[string]any{"alg": "ES256", "kid": "as-1"}, claimsOf(t, hint), f.key)}}},
		{"RPL-3 not signed", "RPL-3", url.Values{"id_token_hint": {unsigned(map[string]any{"alg": "none"}, claimsOf(t, hint))}}},
		{"RPL-4 PIT-10 X-10 an access token", "RPL-4", url.Values{"id_token_hint": {access}, "client_id": {f.ID}}},
		{"RPL-3 PIT-10 X-10 an access token whose audience is the client", "RPL-3", url.Values{"id_token_hint": {forged(func(h, _ map[string]any) { h["typ"] = "at+jwt" })}}},
		{"RPL-3 PIT-10 X-10 userinfo", "RPL-3", url.Values{"id_token_hint": {string(info)}}},
		{"RPL-3 PIT-10 X-10 a logout token", "RPL-3", url.Values{"id_token_hint": {logout}}},
		{"RPL-2 a state that would fill the URL", "RPL-2", url.Values{"id_token_hint": {hint}, "state": {strings.Repeat("s", 1025)}}},
		{"RPL-2 a parameter twice", "RFC6749-3.1-2", url.Values{"id_token_hint": {hint}, "state": {"a", "b"}}},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(tt.name+", "+method, func(t *testing.T) {
				p.last = nil
				r := get(issuer + "/logout?" + tt.v.Encode())
				if method == "POST" {
					r = httptest.NewRequest("POST", issuer+"/logout", strings.NewReader(tt.v.Encode()))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				p.mustStay(t, p.do(r), 400, tt.rule)
			})
		}
	}
	t.Run("RPL-2 other methods", func(t *testing.T) {
		p.last = nil
		r := httptest.NewRequest("PUT", issuer+"/logout", nil)
		res := p.do(r)
		if res.Header.Get("Allow") != "GET, POST" {
			t.Errorf("Allow %q", res.Header.Get("Allow"))
		}
		p.mustStay(t, res, 405, "RPL-2")
	})
	t.Run("RPL-9 keys out of reach are an outage, and no redirect", func(t *testing.T) {
		p := newParted(t, clients(f), func(c *authz.Config) { c.Keys = brokenKeys{} })
		res := (&browser{b: p.bank}).leave(url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {goodbye}})
		if res.StatusCode != 503 || res.Header.Get("Location") != "" || p.last != nil {
			t.Errorf("%d", res.StatusCode)
		}
	})
}

// tokensIn is tokens, in the bank's session.
func (f *fintech) tokensIn(p *parted) map[string]any {
	p.t.Helper()
	res, err := (&browser{b: p.bank}).decide(f, f.push(p.bank, f.pushable()), p.signedIn())
	if err != nil {
		p.t.Fatal(err)
	}
	_, got := f.token(p.bank, f.redeemable(location(p.t, res).Get("code")))
	return got
}

// withURI returns a copy of f's metadata with somewhere to send logout tokens.
func withURI(f *fintech) *authz.Client {
	c := *f.Client
	c.BackchannelLogoutURI = "https://app.fintech.example/backchannel"
	return &c
}

// TestLogoutHint: whom the client proves to mean.
func TestLogoutHint(t *testing.T) {
	for _, subjects := range []string{"public", "pairwise"} {
		f := keyClient("kakeibo").parting()
		f.SubjectType = subjects
		p := newParted(t, clients(f), salted)
		hint := p.idToken(f, p.signedIn())
		ask := func(t *testing.T, hint string) *authz.Logout {
			t.Helper()
			shown(t, (&browser{b: p.bank}).leave(url.Values{"id_token_hint": {hint}}))
			return p.last
		}
		t.Run("RPL-3 RPL-5 "+subjects+", this customer and session, and no other", func(t *testing.T) {
			lo := ask(t, hint)
			for _, tt := range []struct {
				subject, session string
				want             bool
			}{
				{customer, session, true}, {customer, "another", false}, {customer, "", false}, {"u-other", session, false}, {"", session, false}, {"", "", false},
				{claimsOf(t, hint)["sub"].(string), session, subjects == "public"},
			} {
				if got := lo.IsFor(tt.subject, tt.session); got != tt.want {
					t.Errorf("IsFor(%q, %q) is %t", tt.subject, tt.session, got)
				}
			}
		})
		t.Run("RPL-3 "+subjects+", expired long ago", func(t *testing.T) {
			p.clock.Advance(40 * 24 * time.Hour)
			if lo := ask(t, hint); !lo.IsFor(customer, session) {
				t.Error("the ID token is not believed")
			}
		})
		t.Run("RPL-3 "+subjects+", an ID token without sid names the customer alone", func(t *testing.T) {
			b := newBank(t, clients(f), salted)
			lo := ask(t, f.tokens(b)["id_token"].(string))
			if !lo.IsFor(customer, session) || !lo.IsFor(customer, "") || lo.IsFor("u-other", session) {
				t.Error("IsFor does not tell the customer from others")
			}
		})
	}
}

// TestLogoutPages: a logout belongs to the browser that began it.
func TestLogoutPages(t *testing.T) {
	f := keyClient("kakeibo").parting()
	p := newParted(t, clients(f))
	br := &browser{b: p.bank}
	v := url.Values{"client_id": {f.ID}, "post_logout_redirect_uri": {goodbye}}
	id := shown(t, br.leave(v))
	stranger := &browser{b: p.bank}
	theirs := shown(t, stranger.leave(v))
	fails := func(t *testing.T, r *http.Request) {
		t.Helper()
		if _, err := p.srv.Logout(r); !is(err, "invalid_request") {
			t.Errorf("%v", err)
		}
		if e := p.lastEvent(); e.Kind != "request_refused" || e.Endpoint != "logout" || e.Rule != "RPL-5" {
			t.Errorf("%+v", e)
		}
	}
	t.Run("RPL-5 another browser's", func(t *testing.T) { fails(t, br.yes(theirs)); fails(t, stranger.yes(id)) })
	t.Run("RPL-5 without the cookie, as from another site", func(t *testing.T) { fails(t, (&browser{}).yes(id)) })
	t.Run("RPL-5 made up", func(t *testing.T) {
		for _, bad := range []string{"", "x", id + "A", id[:len(id)-2], strings.Replace(id, id[20:22], "__", 1)} {
			fails(t, br.yes(bad))
		}
	})
	t.Run("RPL-5 X-10 an interaction is no logout, nor the reverse", func(t *testing.T) {
		inter := br.begin(f, f.push(p.bank, f.pushable()))
		fails(t, br.yes(inter))
		if _, err := br.resume(id); !is(err, "invalid_request") {
			t.Errorf("%v", err)
		}
	})
	t.Run("RPL-5 the id of a page does not begin anew elsewhere", func(t *testing.T) {
		p.last = nil
		p.mustStay(t, stranger.do(get(issuer+"/logout?logout="+id)), 400, "RPL-5")
	})
	t.Run("RPL-7 a URI taken from the client meanwhile", func(t *testing.T) {
		f.PostLogoutRedirectURIs = []string{"https://app.fintech.example/new"}
		defer func() { f.PostLogoutRedirectURIs = []string{goodbye} }()
		if _, err := p.srv.Logout(br.yes(id)); !is(err, "invalid_request") || p.lastEvent().Rule != "RPL-7" {
			t.Errorf("%v", err)
		}
	})
	t.Run("RPL-5 too late", func(t *testing.T) {
		p.clock.Advance(30*time.Minute - time.Second)
		if _, err := p.srv.Logout(br.yes(id)); err != nil {
			t.Errorf("in time: %v", err)
		}
		p.clock.Advance(time.Second)
		fails(t, br.yes(id))
	})
	t.Run("FAPI2-SP-7-1 no hint and no state in what the operator is told", func(t *testing.T) {
		state := rand.Text()
		hint := p.idToken(f, p.signedIn())
		id := shown(t, br.leave(url.Values{"id_token_hint": {hint}, "state": {state}, "logout_hint": {state}}))
		p.srv.Logout((&browser{}).yes(id))
		text := fmt.Sprintf("%+v", p.events)
		for _, secret := range []string{hint, state, id} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in an event", secret)
			}
		}
	})
}

// TestLogoutMetadata: what a client may register.
func TestLogoutMetadata(t *testing.T) {
	p := newParted(t, nil)
	for _, tt := range []struct {
		name string
		with func(*authz.Client)
		want []string
	}{
		{"OIDR-19 RPL-11 BCL-2 all of it", func(c *authz.Client) {
			c.PostLogoutRedirectURIs, c.BackchannelLogoutURI, c.BackchannelLogoutSessionRequired = []string{goodbye}, "https://app.fintech.example/b?x=1", true
		}, nil},
		{"RPL-11 http", func(c *authz.Client) { c.PostLogoutRedirectURIs = []string{goodbye, "http://app.fintech.example/bye"} }, []string{"RPL-11"}},
		{"RPL-11 http on a loopback", func(c *authz.Client) {
			c.ApplicationType, c.PostLogoutRedirectURIs = "native", []string{"http://127.0.0.1/bye"}
		}, []string{"RPL-11"}},
		{"RPL-11 a scheme of the app's own", func(c *authz.Client) { c.PostLogoutRedirectURIs = []string{"example.fintech:/bye"} }, []string{"RPL-11"}},
		{"RPL-11 a script", func(c *authz.Client) { c.PostLogoutRedirectURIs = []string{"javascript:alert(1)"} }, []string{"RPL-11"}},
		{"RPL-11 a fragment", func(c *authz.Client) { c.PostLogoutRedirectURIs = []string{goodbye + "#"} }, []string{"RPL-11"}},
		{"RPL-11 a password", func(c *authz.Client) { c.PostLogoutRedirectURIs = []string{"https://a:b@app.fintech.example/"} }, []string{"RPL-11"}},
		{"RPL-11 no host", func(c *authz.Client) { c.PostLogoutRedirectURIs = []string{"https:///bye"} }, []string{"RPL-11"}},
		{"RPL-11 nothing", func(c *authz.Client) { c.PostLogoutRedirectURIs = []string{""} }, []string{"RPL-11"}},
		{"BCL-2 http", func(c *authz.Client) { c.BackchannelLogoutURI = "http://app.fintech.example/b" }, []string{"BCL-2"}},
		{"BCL-2 a fragment", func(c *authz.Client) { c.BackchannelLogoutURI = "https://app.fintech.example/b#c" }, []string{"BCL-2"}},
		{"BCL-2 relative", func(c *authz.Client) { c.BackchannelLogoutURI = "/b" }, []string{"BCL-2"}},
		{"BCL-2 a session and nowhere to send it", func(c *authz.Client) { c.BackchannelLogoutSessionRequired = true }, []string{"BCL-2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := metadata("a")
			*c = *keyClient("a").Client
			tt.with(c)
			err := p.srv.CheckClient(c)
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if d := cmp.Diff(tt.want, rules(t, err)); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("BCL-1 not where it is not offered", func(t *testing.T) {
		if d := cmp.Diff([]string{"BCL-1"}, rules(t, newBank(t, nil).srv.CheckClient(withURI(keyClient("a"))))); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDR-19 the names", func(t *testing.T) {
		var c authz.Client
		text := `{"client_id":"a","post_logout_redirect_uris":["https://a.example/"],"backchannel_logout_uri":"https://a.example/b","backchannel_logout_session_required":true}`
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		want := authz.Client{ID: "a", PostLogoutRedirectURIs: []string{"https://a.example/"}, BackchannelLogoutURI: "https://a.example/b", BackchannelLogoutSessionRequired: true}
		if d := cmp.Diff(want, c); d != "" {
			t.Error(d)
		}
	})
	t.Run("BCL-1 RPL-1 not where nobody logs in", func(t *testing.T) {
		for name, with := range map[string]func(*authz.Config){
			"a page":    func(c *authz.Config) { c.Logout = func(http.ResponseWriter, *http.Request, *authz.Logout) {} },
			"a promise": func(c *authz.Config) { c.BackchannelLogout = true },
		} {
			config := newBank(t, nil).config
			config.Scopes = []string{"accounts"}
			with(&config)
			_, err := authz.New(config)
			if d := cmp.Diff([]string{"Config"}, rules(t, err)); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	})
}
