package authz_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// A town is a bank whose older clients are to leave at a date.
type town struct {
	*bank
	old, young *fintech
	api        *fintech
	date       time.Time
	held       map[*fintech]map[string]any // tokens of each
}

// newTown returns one with grants of both, an hour before the date.
func newTown(t *testing.T) *town {
	t.Helper()
	n := &town{old: keyClient("kakeibo").hybrid(), young: keyClient("chobo"), api: apiClient("accounts", resource)}
	n.young.Profile, n.api.Profile = authz.FAPI2Security, authz.FAPI2Security
	n.bank = newBank(t, clients(n.old, n.young, n.api), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI1Advanced, authz.FAPI2Security}
		c.AccessTokenLifetime = 2 * time.Hour
		n.date = c.Now().Add(time.Hour)
		c.Retire = map[authz.Profile]time.Time{authz.FAPI1Advanced: n.date}
	})
	n.held = map[*fintech]map[string]any{n.old: n.grant(t), n.young: n.young.tokens(n.bank)}
	return n
}

// grant runs the hybrid flow of the older client.
func (n *town) grant(t *testing.T) map[string]any {
	t.Helper()
	v := n.old.redeemable(n.codeAfter(t, n.decision(t)))
	status, got := n.old.token(n.bank, v)
	if status != 200 {
		t.Fatalf("token: %d %v", status, got)
	}
	return got
}

func (n *town) decision(t *testing.T) *http.Response {
	t.Helper()
	br := &browser{b: n.bank}
	return br.decideAt(n.old.byPush(n.bank, n.old.asks(n.bank, challenged(n.old.wants()))), n.approval())
}

func (n *town) codeAfter(t *testing.T, res *http.Response) string {
	return fragment(t, res).Get("code")
}

// until lets time pass until d after the date.
func (n *town) until(d time.Duration) { n.clock.Advance(n.date.Add(d).Sub(n.clock.Now())) }

func (n *town) refresh(f *fintech) (int, any) {
	status, got := f.token(n.bank, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {n.held[f]["refresh_token"].(string)}})
	return status, got["error"]
}

// turnedAway checks that the operator is told why.
func (n *town) turnedAway(t *testing.T) {
	t.Helper()
	if e := n.lastEvent(); e.Rule != "CONF-1" || e.Reason != "profile fapi1-advanced was retired at 2026-11-24T10:00:00Z" || e.Client != n.old.ID {
		t.Errorf("the operator is told %+v", e)
	}
}

// TestRetirement: retiring at a date turns exactly those clients away.
func TestRetirement(t *testing.T) {
	t.Run("CONF-1 a second before the date nobody notices", func(t *testing.T) {
		n := newTown(t)
		n.until(-time.Second)
		for _, f := range []*fintech{n.old, n.young} {
			if status, code := n.refresh(f); status != 200 {
				t.Errorf("%s: %d %v", f.ID, status, code)
			}
			if err := n.srv.CheckClient(f.Client); err != nil {
				t.Errorf("%s: %v", f.ID, err)
			}
		}
		n.grant(t)
	})
	t.Run("CONF-1 at the date its clients are refused everything", func(t *testing.T) {
		n := newTown(t)
		n.until(-2 * time.Second)
		object, pushed := n.old.object(n.old.asks(n.bank, n.old.wants())), n.old.byPush(n.bank, n.old.asks(n.bank, challenged(n.old.wants())))
		code := n.codeAfter(t, n.decision(t))
		br := &browser{b: n.bank}
		id := br.shows(n.old.byPush(n.bank, n.old.asks(n.bank, challenged(n.old.wants()))))
		n.until(0)

		forms := map[string]url.Values{
			"a code":          n.old.redeemable(code),
			"a refresh token": {"grant_type": {"refresh_token"}, "refresh_token": {n.held[n.old]["refresh_token"].(string)}},
		}
		for name, v := range forms {
			t.Run(name, func(t *testing.T) {
				refused(t, n.do(n.old.request("/token", n.old.authenticate(n.bank, v))), 400, "unauthorized_client")
				n.turnedAway(t)
			})
		}
		t.Run("a push", func(t *testing.T) {
			refused(t, n.do(n.old.pushing(n.bank, n.old.object(n.old.asks(n.bank, challenged(n.old.wants()))))), 400, "unauthorized_client")
			n.turnedAway(t)
		})
		t.Run("introspection", func(t *testing.T) {
			refused(t, n.do(n.old.request("/introspect", n.old.authenticate(n.bank, just(n.held[n.old]["access_token"])))), 400, "unauthorized_client")
			n.turnedAway(t)
		})
		t.Run("a request by value, and one that was pushed", func(t *testing.T) {
			refusedPage(t, n.do(get(authorizeURL(n.old.beside(object)))), "unauthorized_client")
			n.turnedAway(t)
			refusedPage(t, n.do(pushed), "unauthorized_client")
			n.turnedAway(t)
		})
		t.Run("a decision", func(t *testing.T) {
			if _, err := n.srv.Interaction(br.page(id)); err == nil {
				t.Error("the customer may decide")
			}
			if e := n.lastEvent(); e.Rule != "CONF-1" {
				t.Errorf("the operator is told %+v", e)
			}
		})
		t.Run("userinfo", func(t *testing.T) {
			res := n.do(n.old.asksInfo(n.bank, n.held[n.old]["access_token"].(string), nil))
			if res.StatusCode != 401 {
				t.Errorf("userinfo: %d", res.StatusCode)
			}
			n.turnedAway(t)
		})
		t.Run("its tokens at an API that asks", func(t *testing.T) {
			inactive(t, n.api.introspect(n.bank, n.held[n.old]["access_token"].(string)))
			if e := n.lastEvent(); e.Rule != "CONF-1" {
				t.Errorf("the operator is told %+v", e)
			}
		})
		t.Run("CheckClient says it", func(t *testing.T) {
			if d := cmp.Diff([]string{"CONF-1"}, rules(t, n.srv.CheckClient(n.old.Client))); d != "" {
				t.Error(d)
			}
		})
	})
	t.Run("CONF-1 a decision that the host held until then", func(t *testing.T) {
		n := newTown(t)
		n.until(-time.Second)
		br := &browser{b: n.bank}
		id := br.shows(n.old.byPush(n.bank, n.old.asks(n.bank, challenged(n.old.wants()))))
		in, err := br.resume(id)
		if err != nil {
			t.Fatal(err)
		}
		n.until(0)
		for _, d := range []authz.Decision{n.approval(), {Deny: authz.AccessDenied}} {
			w := httptest.NewRecorder()
			if err := in.Finish(w, br.page(id), d); !is(err, "unauthorized_client") {
				t.Errorf("%v, %v", err, w.Header())
			}
			untouched(t, w)
			n.turnedAway(t)
		}
	})
	t.Run("CONF-1 BCL-1 nobody tells it of logouts, whoever sends the token", func(t *testing.T) {
		l := newBell(t)
		f := l.rings(keyClient("kakeibo"))
		p := newParted(t, clients(f), l.reachable, func(c *authz.Config) {
			c.Retire = map[authz.Profile]time.Time{authz.FAPI2Security: c.Now().Add(time.Hour)}
		})
		p.clock.Advance(time.Hour - time.Second)
		if _, err := p.srv.LogoutToken(t.Context(), f.Client, customer, session); err != nil {
			t.Error(err)
		}
		if err := p.srv.NotifyLogout(t.Context(), customer, session, f.ID); err != nil {
			t.Error(err)
		}
		p.clock.Advance(time.Second)
		_, err := p.srv.LogoutToken(t.Context(), f.Client, customer, session)
		if d := cmp.Diff([]string{"CONF-1"}, rules(t, err)); d != "" {
			t.Error(d)
		}
		if err := p.srv.NotifyLogout(t.Context(), customer, session, f.ID); !is(err, "unauthorized_client") || len(l.told(f.ID)) != 1 {
			t.Errorf("%v, told %d times", err, len(l.told(f.ID)))
		}
	})
	t.Run("CONF-1 who cannot authenticate is not told", func(t *testing.T) {
		n := newTown(t)
		n.until(0)
		v := n.old.authenticate(n.bank, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {n.held[n.old]["refresh_token"].(string)}})
		v.Set("client_assertion", keyClient("kakeibo").signed(n.old.assertion(n.bank)))
		refused(t, n.do(n.old.request("/token", v)), 401, "invalid_client")
	})
	t.Run("CONF-1 its clients may revoke", func(t *testing.T) {
		n := newTown(t)
		n.until(24 * time.Hour)
		n.old.revoke(n.bank, just(n.held[n.old]["refresh_token"]))
		if e := n.lastEvent(); e.Kind != "grant_revoked" || e.Client != n.old.ID {
			t.Errorf("the event is %+v", e)
		}
	})
	t.Run("CONF-1 other clients notice nothing", func(t *testing.T) {
		n := newTown(t)
		n.until(0)
		if status, code := n.refresh(n.young); status != 200 {
			t.Errorf("refresh: %d %v", status, code)
		}
		if got := n.api.introspect(n.bank, n.held[n.young]["access_token"].(string)); got["active"] != true {
			t.Errorf("introspection: %v", got)
		}
		n.young.info(n.bank, n.held[n.young]["access_token"].(string), nil)
		n.young.tokens(n.bank)
	})
	t.Run("RFC8414-2-2 the metadata no longer advertises it", func(t *testing.T) {
		n := newTown(t)
		read := func() map[string]any { return object(t, n.do(get(issuer+wellKnown))) }
		before := read()
		n.until(0)
		want := map[string]any{"require_pushed_authorization_requests": true, "response_types_supported": []any{"code"}}
		after := read()
		for name, v := range want {
			if cmp.Equal(before[name], v) {
				t.Errorf("%s was %v before", name, v)
			}
			if d := cmp.Diff(v, after[name]); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	})
}

// TestLastProfileRetired: a server that only revokes says the same of itself.
func TestLastProfileRetired(t *testing.T) {
	b := newBank(t, nil, func(c *authz.Config) {
		c.Retire = map[authz.Profile]time.Time{authz.FAPI2Security: c.Now().Add(time.Hour)}
	})
	read := func() map[string]any { return object(t, b.do(get(issuer+wellKnown))) }
	before := read()
	b.clock.Advance(time.Hour)
	t.Run("RFC8414-2-2 CONF-1 the metadata after the last profile went", func(t *testing.T) {
		if d := cmp.Diff(before, read()); d != "" {
			t.Error(d)
		}
	})
}

func TestRetireConfig(t *testing.T) {
	good := newBank(t, nil).config
	date := good.Now().Add(time.Hour)
	for _, tt := range []struct {
		name   string
		retire map[authz.Profile]time.Time
		want   []string
	}{
		{"a date", map[authz.Profile]time.Time{authz.FAPI2Security: date}, nil},
		{"a date in the past, for who has yet to revoke", map[authz.Profile]time.Time{authz.FAPI2Security: date.Add(-365 * 24 * time.Hour)}, nil},
		{"no date", map[authz.Profile]time.Time{authz.FAPI2Security: {}}, []string{"Config"}},
		{"of a profile that is not listed", map[authz.Profile]time.Time{authz.FAPI1Advanced: date}, []string{"Config"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			c.Retire = tt.retire
			_, err := authz.New(c)
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
	t.Run("a map that the host changes afterwards", func(t *testing.T) {
		c, f := good, keyClient("kakeibo")
		c.Retire = map[authz.Profile]time.Time{authz.FAPI2Security: date}
		s, err := authz.New(c)
		if err != nil {
			t.Fatal(err)
		}
		c.Retire[authz.FAPI2Security] = date.Add(-2 * time.Hour)
		if err := s.CheckClient(f.Client); err != nil {
			t.Error(err)
		}
	})
}
