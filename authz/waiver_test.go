package authz_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// waived returns a good waiver of rule for clients, good for a day.
func waived(b *bank, rule string, clients ...string) authz.Waiver {
	return authz.Waiver{Rule: rule, Clients: clients, Reason: "the old app is replaced in spring", Expires: b.clock.Now().Add(24 * time.Hour)}
}

func TestWaiversThatNewRefuses(t *testing.T) {
	b := newBank(t, nil)
	const client, server = "FAPI2-SP-5.3.2.2-8", "FAPI2-SP-5.3.2.1-11"
	for _, tt := range []struct {
		name string
		with func(*authz.Waiver)
		ok   bool
	}{
		{"named for one client", func(*authz.Waiver) {}, true},
		{"for all", func(w *authz.Waiver) { w.Clients = []string{"*"} }, true},
		{"two years", func(w *authz.Waiver) { w.Expires = b.clock.Now().AddDate(2, 0, 0) }, true},
		{"FAPI2-SP-5.3.2.1-11 for the server", func(w *authz.Waiver) { w.Rule, w.Clients = server, []string{"*"} }, true},

		{"no rule", func(w *authz.Waiver) { w.Rule = "" }, false},
		{"an unknown rule", func(w *authz.Waiver) { w.Rule = "no-such-rule" }, false},
		{"a rule of another profile", func(w *authz.Waiver) { w.Rule = "FAPI1-BASE-5.2.2.3-1" }, false},
		{"a rule that is only in the code", func(w *authz.Waiver) { w.Rule = "FAPI2-MS-5.3.1-3" }, false},
		{"no clients", func(w *authz.Waiver) { w.Clients = nil }, false},
		{"a client without a name", func(w *authz.Waiver) { w.Clients = []string{""} }, false},
		{"all and one", func(w *authz.Waiver) { w.Clients = []string{"*", "kakeibo"} }, false},
		{"FAPI2-SP-5.3.2.1-11 for one client of what is the server's", func(w *authz.Waiver) { w.Rule = server }, false},
		{"no reason", func(w *authz.Waiver) { w.Reason = "" }, false},
		{"no expiry", func(w *authz.Waiver) { w.Expires = time.Time{} }, false},
		{"an expiry that is now", func(w *authz.Waiver) { w.Expires = b.clock.Now() }, false},
		{"more than two years", func(w *authz.Waiver) { w.Expires = b.clock.Now().AddDate(2, 0, 0).Add(time.Second) }, false},

		{"FAPI2-SP-5.2.1-1 TLS", func(w *authz.Waiver) { w.Rule, w.Clients = "FAPI2-SP-5.2.1-1", []string{"*"} }, false},
		{"FAPI2-SP-5.3.2.1-6 client authentication", func(w *authz.Waiver) { w.Rule = "FAPI2-SP-5.3.2.1-6" }, false},
		{"FAPI2-SP-5.3.2.1-5 bound tokens", func(w *authz.Waiver) { w.Rule = "FAPI2-SP-5.3.2.1-5" }, false},
		{"FAPI2-SP-5.4.1-1b algorithms", func(w *authz.Waiver) { w.Rule = "FAPI2-SP-5.4.1-1b" }, false},
		{"FAPI2-SP-5.3.2.2-5 PKCE", func(w *authz.Waiver) { w.Rule = "FAPI2-SP-5.3.2.2-5" }, false},
		{"FAPI2-SP-5.3.2.2-1 the response type", func(w *authz.Waiver) { w.Rule = "FAPI2-SP-5.3.2.2-1" }, false},
		{"RFC6749-3.1.2-1 fragments in redirect URIs", func(w *authz.Waiver) { w.Rule = "RFC6749-3.1.2-1" }, false},
		{"RFC8705-2.1-2 whose certificate it is", func(w *authz.Waiver) { w.Rule = "RFC8705-2.1-2" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := waived(b, client, "kakeibo")
			tt.with(&w)
			c := b.config
			c.Waivers = []authz.Waiver{w}
			_, err := authz.New(c)
			if tt.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if d := cmp.Diff([]string{"Config"}, rules(t, err)); d != "" {
				t.Error(d)
			}
			if !strings.Contains(err.Error(), fmt.Sprintf("Waivers[0] of %q", w.Rule)) {
				t.Errorf("the error does not say which: %v", err)
			}
		})
	}
	t.Run("CONF-1 beside a profile that does not exist", func(t *testing.T) {
		c := b.config
		c.Profiles = []authz.Profile{"fapi3", authz.FAPI2Security}
		c.Waivers = []authz.Waiver{waived(b, client, "kakeibo")}
		_, err := authz.New(c)
		if d := cmp.Diff([]string{"Config"}, rules(t, err)); d != "" {
			t.Error(d)
		}
	})
	t.Run("everything that is wrong at once", func(t *testing.T) {
		c := b.config
		c.Waivers = []authz.Waiver{{Rule: "x", Clients: []string{"*"}}, {Rule: client}}
		_, err := authz.New(c)
		if n := len(rules(t, err)); n != 6 { // rule, reason and expiry; clients, reason and expiry
			t.Errorf("%d violations: %v", n, err)
		}
	})
}

// TestWaivedServerRule: a setting of the server.
func TestWaivedServerRule(t *testing.T) {
	const row = "FAPI2-SP-5.3.2.1-11"
	slow := func(c *authz.Config) { c.CodeLifetime = 5 * time.Minute }
	leave := func(rules ...string) func(*authz.Config) {
		return func(c *authz.Config) {
			for _, rule := range rules {
				c.Waivers = append(c.Waivers, authz.Waiver{Rule: rule, Clients: []string{"*"}, Reason: "slow phones", Expires: c.Now().Add(time.Hour)})
			}
		}
	}
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), slow, leave(row))

	t.Run(row+" lives as long as it is waived, and every event says so", func(t *testing.T) {
		code := f.code(b)
		if e := b.lastEvent(); e.Kind != "grant_approved" || !cmp.Equal(e.Waived, []string{row}) {
			t.Errorf("the event is %+v", e)
		}
		b.clock.Advance(2 * time.Minute)
		if status, got := f.token(b, f.redeemable(code)); status != 200 {
			t.Errorf("after two minutes: %d %v", status, got)
		}
		if e := b.lastEvent(); e.Kind != "tokens_issued" || !cmp.Equal(e.Waived, []string{row}) {
			t.Errorf("the event is %+v", e)
		}
	})
	t.Run(row+" no other rule for the server is open", func(t *testing.T) {
		c := b.config
		c.RequestLifetime = time.Hour
		_, err := authz.New(c)
		if d := cmp.Diff([]string{"FAPI2-SP-5.3.2.2-12"}, rules(t, err)); d != "" {
			t.Error(d)
		}
	})
	t.Run(row+" TOK-2 each profile has its own", func(t *testing.T) {
		c := b.config
		c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI1Advanced}
		_, err := authz.New(c)
		if d := cmp.Diff([]string{"TOK-2"}, rules(t, err)); d != "" {
			t.Error(d)
		}
	})
	t.Run(row+" when it has expired it is reported until the next New, which refuses", func(t *testing.T) {
		b.clock.Advance(time.Hour)
		f.code(b)
		if e := b.lastEvent(); !cmp.Equal(e.Waived, []string{row}) {
			t.Errorf("the event is %+v", e)
		}
		if got := ruleOf(t, b.srv.Report(), authz.FAPI2Security, "server", row); got.State != "broken" || got.Value != "CodeLifetime is 5m0s" || len(got.Waivers) != 1 {
			t.Errorf("the report says %+v", got)
		}
		_, err := authz.New(b.config)
		if d := cmp.Diff([]string{"Config", row}, rules(t, err)); d != "" {
			t.Error(d)
		}
	})
}

// TestWaivedClientRule: what a client registered.
func TestWaivedClientRule(t *testing.T) {
	const row = "FAPI2-SP-5.3.2.2-8"
	plain := func(id string) *fintech {
		f := keyClient(id)
		f.RedirectURIs = []string{"http://app.fintech.example/cb"}
		return f
	}
	waivedOne, other, clean := plain("kakeibo"), plain("chobo"), keyClient("soroban")
	b := newBank(t, clients(waivedOne, other, clean), func(c *authz.Config) {
		c.Waivers = []authz.Waiver{{Rule: row, Clients: []string{"kakeibo", "soroban"}, Reason: "a lab", Expires: c.Now().Add(time.Hour)}}
	})
	t.Run(row+" the client named is served, and its events say why", func(t *testing.T) {
		waivedOne.tokens(b)
		kinds := map[string]bool{}
		for _, e := range b.events {
			kinds[e.Kind] = true
			if !cmp.Equal(e.Waived, []string{row}) {
				t.Errorf("the event is %+v", e)
			}
		}
		if d := cmp.Diff(map[string]bool{"request_pushed": true, "request_shown": true, "grant_approved": true, "tokens_issued": true}, kinds); d != "" {
			t.Error(d)
		}
	})
	t.Run(row+" another is not", func(t *testing.T) {
		refused(t, b.do(other.request("/par", other.authenticate(b, other.pushable()))), 401, "invalid_client")
		if e := b.lastEvent(); e.Rule != row || e.Waived != nil {
			t.Errorf("the event is %+v", e)
		}
	})
	t.Run(row+" one that keeps the rule is not said to break it", func(t *testing.T) {
		clean.tokens(b)
		if e := b.lastEvent(); e.Waived != nil {
			t.Errorf("the event is %+v", e)
		}
	})
	t.Run(row+" no other rule is open to it", func(t *testing.T) {
		for name, tt := range map[string]struct {
			with func(*authz.Client)
			want string
		}{
			"FAPI2-SP-5.3.2.1-5 unbound tokens": {func(c *authz.Client) { c.CertificateBoundTokens = false }, "FAPI2-SP-5.3.2.1-5"},
			"RFC6749-3.1.2-1 a fragment":        {func(c *authz.Client) { c.RedirectURIs = []string{"http://app.fintech.example/cb#x"} }, "RFC6749-3.1.2-1"},
			"OIDR-4 an unknown type":            {func(c *authz.Client) { c.ApplicationType = "foo" }, "OIDR-4"},
			"FAPI2-SP-5.3.2.1-6 a secret":       {func(c *authz.Client) { c.AuthMethod = "client_secret_basic" }, "FAPI2-SP-5.3.2.1-6"},
			"OIDC-SU-1 what is not in a table":  {func(c *authz.Client) { c.SubjectType = "pairwise" }, "OIDC-SU-1"},
		} {
			t.Run(name, func(t *testing.T) {
				f := plain("kakeibo")
				tt.with(f.Client)
				if d := cmp.Diff([]string{tt.want}, rules(t, b.srv.CheckClient(f.Client))); d != "" {
					t.Error(d)
				}
			})
		}
	})
	t.Run("RFC9700-2.1-1 redirect URIs are compared as ever", func(t *testing.T) {
		refused(t, b.do(waivedOne.request("/par", waivedOne.authenticate(b, changed(waivedOne.pushable(), "redirect_uri", "http://evil.example/cb")))), 400, "invalid_request")
	})
	t.Run(row+" it bites at the moment that the waiver expires", func(t *testing.T) {
		code := waivedOne.code(b)
		uri := waivedOne.push(b, waivedOne.pushable())
		b.clock.Advance(time.Hour - time.Second)
		if err := b.srv.CheckClient(waivedOne.Client); err != nil {
			t.Error(err)
		}
		b.clock.Advance(time.Second)
		refused(t, b.do(waivedOne.request("/token", waivedOne.authenticate(b, waivedOne.redeemable(code)))), 401, "invalid_client")
		if e := b.lastEvent(); e.Rule != row {
			t.Errorf("the operator is told %+v", e)
		}
		refusedPage(t, (&browser{b: b}).open(waivedOne, uri), "unauthorized_client")
	})
	t.Run("a list that the host changes afterwards", func(t *testing.T) {
		b := newBank(t, nil)
		c := b.config
		c.Waivers = []authz.Waiver{waived(b, row, "kakeibo")}
		s, err := authz.New(c)
		if err != nil {
			t.Fatal(err)
		}
		c.Waivers[0].Clients[0] = "*"
		if s.CheckClient(plain("chobo").Client) == nil {
			t.Error("the server has not copied its waivers")
		}
	})
}

// TestWaiverOfAVisit: a waiver counts until the end of a visit to the bank's
// pages, and no longer.
func TestWaiverOfAVisit(t *testing.T) {
	const row = "FAPI2-SP-5.3.2.2-8"
	l := newBell(t)
	f := l.rings(keyClient("kakeibo").parting())
	f.RedirectURIs = []string{"http://app.fintech.example/cb"}
	p := newParted(t, clients(f), l.reachable, func(c *authz.Config) {
		c.Waivers = []authz.Waiver{{Rule: row, Clients: []string{"kakeibo"}, Reason: "a lab", Expires: c.Now().Add(time.Hour)}}
	})
	t.Run(row+" the events of a logout say that it is there", func(t *testing.T) {
		p.events = nil
		br := &browser{b: p.bank}
		r := br.yes(shown(t, br.leave(url.Values{"client_id": {f.ID}, "post_logout_redirect_uri": {goodbye}})))
		lo, err := p.srv.Logout(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.srv.NotifyLogout(t.Context(), customer, session, f.ID); err != nil || !lo.Finish(httptest.NewRecorder(), r) {
			t.Fatal(err)
		}
		var kinds []string
		for _, e := range p.events {
			kinds = append(kinds, e.Kind)
			if !cmp.Equal(e.Waived, []string{row}) {
				t.Errorf("the event is %+v", e)
			}
		}
		if d := cmp.Diff([]string{"logout_shown", "logout_notified", "logout_finished"}, kinds); d != "" {
			t.Error(d)
		}
	})
	t.Run(row+" a decision that the host held until it expired", func(t *testing.T) {
		p.clock.Advance(time.Hour - time.Second)
		br := &browser{b: p.bank}
		id := br.begin(f, f.push(p.bank, changed(f.pushable(), "redirect_uri", f.RedirectURIs[0])))
		in, err := br.resume(id)
		if err != nil {
			t.Fatal(err)
		}
		p.clock.Advance(time.Second)
		w := httptest.NewRecorder()
		if err := in.Finish(w, br.page(id), p.signedIn()); !is(err, "unauthorized_client") {
			t.Errorf("%v, %v", err, w.Header())
		}
		untouched(t, w)
		if e := p.lastEvent(); e.Kind != "request_refused" || e.Rule != row {
			t.Errorf("the operator is told %+v", e)
		}
	})
}

// TestWaivedUnderOneProfile: a row that two profiles share is open under the one
// that leaves it open, also to a waiver for all.
func TestWaivedUnderOneProfile(t *testing.T) {
	const row = "OIDR-3"
	old, young := keyClient("kakeibo").jarmed(), keyClient("chobo")
	old.GrantTypes = append(old.GrantTypes, "implicit")
	young.Profile, young.ResponseTypes = authz.FAPI2Security, []string{}
	for _, profiles := range [][]authz.Profile{{authz.FAPI1Advanced, authz.FAPI2Security}, {authz.FAPI2Security, authz.FAPI1Advanced}} {
		t.Run(row+" "+string(profiles[0])+" first", func(t *testing.T) {
			b := newBank(t, clients(old, young), func(c *authz.Config) {
				c.Profiles = profiles
				c.Waivers = []authz.Waiver{{Rule: row, Clients: []string{"*"}, Reason: "old registrations", Expires: c.Now().Add(time.Hour)}}
			})
			if err := b.srv.CheckClient(old.Client); err != nil {
				t.Error(err)
			}
			if d := cmp.Diff([]string{row}, rules(t, b.srv.CheckClient(young.Client))); d != "" {
				t.Error(d)
			}
			r := b.srv.Report(old.Client, young.Client)
			if got := ruleOf(t, r, authz.FAPI1Advanced, "client", row); got.State != "waived" || !got.Waivable || len(got.Waivers) != 1 {
				t.Errorf("%+v", got)
			}
			if got := ruleOf(t, r, authz.FAPI2Security, "client", row); got.State != "kept" || got.Waivable || got.Waivers != nil {
				t.Errorf("%+v", got)
			}
			if r.Clients[0].Waivers != nil || len(r.Clients[1].Waivers) != 1 {
				t.Errorf("%+v", r.Clients)
			}
		})
	}
}

// TestWaivedRequestRule: what a client sends.
func TestWaivedRequestRule(t *testing.T) {
	const row = "FAPI1-BASE-5.2.2.3-1"
	named, other := keyClient("kakeibo").jarmed(), keyClient("chobo").jarmed()
	b := newBank(t, clients(named, other), advanced, func(c *authz.Config) {
		c.Waivers = []authz.Waiver{{Rule: row, Clients: []string{"kakeibo"}, Reason: "it has PKCE", Expires: c.Now().Add(time.Hour)}}
	})
	stateless := func(f *fintech) url.Values {
		v := challenged(changed(f.wants(), "scope", "accounts"))
		v.Del("state")
		return v
	}
	push := func(f *fintech, v url.Values) *http.Response { return b.do(f.pushing(b, f.object(f.asks(b, v)))) }

	t.Run(row+" the client named may, pushed and by value, and the event says so", func(t *testing.T) {
		if res := push(named, stateless(named)); res.StatusCode != 201 {
			t.Errorf("PAR: %d", res.StatusCode)
		}
		if e := b.lastEvent(); e.Kind != "request_pushed" || !cmp.Equal(e.Waived, []string{row}) {
			t.Errorf("the event is %+v", e)
		}
		(&browser{b: b}).shows(named.byValue(named.asks(b, stateless(named))))
		if e := b.lastEvent(); e.Kind != "request_shown" || !cmp.Equal(e.Waived, []string{row}) {
			t.Errorf("the event is %+v", e)
		}
	})
	t.Run(row+" another may not", func(t *testing.T) {
		refused(t, push(other, stateless(other)), 400, "invalid_request")
		if e := b.lastEvent(); e.Rule != row {
			t.Errorf("the operator is told %+v", e)
		}
	})
	t.Run(row+" a request that keeps the rule is not said to break it", func(t *testing.T) {
		push(named, challenged(named.wants()))
		if e := b.lastEvent(); e.Kind != "request_pushed" || e.Waived != nil {
			t.Errorf("the event is %+v", e)
		}
	})
	t.Run("FAPI1-BASE-5.2.2.2-1 FAPI1-BASE-5.2.2-9 no other rule is open to it", func(t *testing.T) {
		for _, drop := range []string{"nonce", "redirect_uri", "code_challenge", "response_mode"} {
			v := challenged(named.wants())
			v.Del("state")
			v.Del(drop)
			refused(t, push(named, v), 400, "invalid_request")
		}
	})
	t.Run(row+" it bites at the moment that the waiver expires", func(t *testing.T) {
		b.clock.Advance(time.Hour)
		refused(t, push(named, stateless(named)), 400, "invalid_request")
		if e := b.lastEvent(); e.Rule != row || e.Waived != nil {
			t.Errorf("the operator is told %+v", e)
		}
	})
}

// TestWaivable: which rules a bank may depart from is a promise to those who
// audit it. No row is open by half.
func TestWaivable(t *testing.T) {
	b := newBank(t, nil, func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI1Advanced, authz.FAPI2Security, authz.FAPI2MessageSigning}
	})
	fapi2 := []string{"FAPI2-SP-5.3.2.1-11", "FAPI2-SP-5.3.2.2-12", "FAPI2-SP-5.3.2.1-2", "FAPI2-SP-5.3.2.2-8", "OIDR-4"}
	want := map[authz.Profile][]string{
		authz.FAPI1Advanced:       {"TOK-2", "PAR-2.2-1", "OIDR-3", "OIDR-4", "FAPI1-BASE-5.2.2.3-1"},
		authz.FAPI2Security:       fapi2,
		authz.FAPI2MessageSigning: fapi2,
	}
	for _, p := range b.srv.Report().Profiles {
		var got []string
		open := map[string]bool{}
		for _, rule := range p.Rules {
			if was, ok := open[rule.Rule]; ok && was != rule.Waivable {
				t.Errorf("%s: %s is open by half", p.Profile, rule.Rule)
			}
			open[rule.Rule] = rule.Waivable
			if rule.Waivable {
				got = append(got, rule.Rule)
			}
		}
		if d := cmp.Diff(want[p.Profile], got); d != "" {
			t.Errorf("%s: %s", p.Profile, d)
		}
	}
}

func TestWaivedEventIsLogged(t *testing.T) {
	text := authz.Event{Kind: "tokens_issued", Waived: []string{"OIDR-3", "OIDR-4"}}.LogValue().String()
	if !strings.Contains(text, "waived=OIDR-3 OIDR-4") {
		t.Errorf("the log says %s", text)
	}
}
