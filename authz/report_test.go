package authz_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// ruleOf returns what a report says of one rule.
func ruleOf(t *testing.T, r authz.Report, p authz.Profile, about, rule string) authz.RuleReport {
	t.Helper()
	for _, profile := range r.Profiles {
		for _, got := range profile.Rules {
			if profile.Profile == p && got.About == about && got.Rule == rule {
				return got
			}
		}
	}
	t.Fatalf("the report says nothing of %s of %s", rule, p)
	return authz.RuleReport{}
}

// reported is a bank with one of everything that a report can say, and its
// clients in no order.
func reported(t *testing.T) (*bank, []*authz.Client) {
	old, young, lax, unfit, lost := keyClient("kakeibo").hybrid(), keyClient("chobo"), keyClient("soroban"), keyClient("tana"), keyClient("mado")
	for _, f := range []*fintech{young, lax, unfit} {
		f.Profile = authz.FAPI2Security
	}
	lax.RedirectURIs = []string{"http://app.fintech.example/cb"}
	unfit.JWKS, unfit.JWKSURI = nil, "http://tana:hush@app.fintech.example/jwks"
	cs := clients(old, young, lax, unfit, lost)
	return newBank(t, cs, func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI1Advanced, authz.FAPI2Security}
		c.Retire = map[authz.Profile]time.Time{authz.FAPI1Advanced: time.Date(2027, 6, 30, 15, 0, 0, 0, time.UTC)}
		c.RequestLifetime = 15 * time.Minute
		end := time.Date(2027, 1, 31, 0, 0, 0, 0, time.FixedZone("JST", 9*3600))
		c.Waivers = []authz.Waiver{
			{Rule: "FAPI2-SP-5.3.2.2-8", Clients: []string{"soroban", "chobo"}, Reason: "実験\nenvironment", Expires: end},
			{Rule: "FAPI2-SP-5.3.2.2-12", Clients: []string{"*"}, Reason: "slow phones", Expires: end},
			{Rule: "PAR-2.2-1", Clients: []string{"*"}, Reason: "slow phones", Expires: end},
			{Rule: "FAPI1-BASE-5.2.2.3-1", Clients: []string{"kakeibo"}, Reason: "has PKCE", Expires: end},
		}
	}), cs
}

func TestReport(t *testing.T) {
	b, cs := reported(t)
	end := b.config.Waivers[0].Expires
	states := func(r authz.Report, p authz.Profile) map[string]string {
		got := map[string]string{}
		for _, profile := range r.Profiles {
			for _, rule := range profile.Rules {
				if profile.Profile == p && rule.State != "kept" {
					got[rule.About+" "+rule.Rule] = rule.State
				}
			}
		}
		return got
	}
	t.Run("CONF-1 every rule of every profile, in three kinds", func(t *testing.T) {
		r := b.srv.Report()
		if len(r.Profiles) != 2 || r.Profiles[0].Profile != authz.FAPI1Advanced || r.Profiles[1].Profile != authz.FAPI2Security || !r.Profiles[1].Retires.IsZero() ||
			!r.Profiles[0].Retires.Equal(b.config.Retire[authz.FAPI1Advanced]) {
			t.Errorf("profiles are %+v", r.Profiles)
		}
		if d := cmp.Diff(map[string]string{"client FAPI2-SP-5.3.2.2-8": "waived", "server FAPI2-SP-5.3.2.2-12": "waived"}, states(r, authz.FAPI2Security)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(map[string]string{"request FAPI1-BASE-5.2.2.3-1": "waived", "server PAR-2.2-1": "waived"}, states(r, authz.FAPI1Advanced)); d != "" {
			t.Error(d)
		}
		for _, p := range r.Profiles {
			if len(p.Rules) < 15 || !slices.IsSortedFunc(p.Rules, func(a, b authz.RuleReport) int { return strings.Compare(order(a), order(b)) }) {
				t.Errorf("%s has %d rules", p.Profile, len(p.Rules))
			}
			for i, rule := range p.Rules {
				if rule.Demand == "" || slices.ContainsFunc(p.Rules[:i], func(r authz.RuleReport) bool { return r.Rule == rule.Rule && r.About == rule.About }) {
					t.Errorf("%s says nothing, or twice: %+v", p.Profile, rule)
				}
			}
		}
	})
	t.Run("FAPI2-SP-5.3.2.2-12 a waived rule with all there is to know", func(t *testing.T) {
		want := authz.RuleReport{
			Rule: "FAPI2-SP-5.3.2.2-12", About: "server", Demand: "let request URIs live from 5 to 599 seconds",
			State: "waived", Value: "RequestLifetime is 15m0s", Waivable: true,
			Waivers: []authz.Waiver{{Rule: "FAPI2-SP-5.3.2.2-12", Clients: []string{"*"}, Reason: "slow phones", Expires: end}},
		}
		if d := cmp.Diff(want, ruleOf(t, b.srv.Report(), authz.FAPI2Security, "server", want.Rule)); d != "" {
			t.Error(d)
		}
	})
	t.Run("FAPI2-SP-5.3.2.1-5 and one that cannot be waived", func(t *testing.T) {
		if got := ruleOf(t, b.srv.Report(), authz.FAPI2Security, "client", "FAPI2-SP-5.3.2.1-5"); got.State != "kept" || got.Waivable {
			t.Errorf("%+v", got)
		}
	})
	t.Run("CONF-1 without an authorization endpoint, what is about requests does not apply", func(t *testing.T) {
		b := newBank(t, nil, func(c *authz.Config) { c.Interact, c.Authorities = nil, nil })
		want := map[string]string{}
		for _, rule := range []string{
			"server FAPI2-SP-5.3.2.1-11", "server FAPI2-SP-5.3.2.2-12", "client FAPI2-SP-5.3.2.2-8", "client RFC8705-2.1-2",
			"request FAPI2-SP-5.3.2.2-1", "request FAPI2-SP-5.3.2.2-6", "request FAPI2-SP-5.3.2.2-5",
		} {
			want[rule] = "not applicable"
		}
		if d := cmp.Diff(want, states(b.srv.Report(), authz.FAPI2Security)); d != "" {
			t.Error(d)
		}
	})
	t.Run("CONF-1 how each client stands", func(t *testing.T) {
		r := b.srv.Report(append([]*authz.Client{nil}, cs...)...)
		retires := b.config.Retire[authz.FAPI1Advanced]
		want := []authz.ClientReport{
			{Client: "chobo", Profile: authz.FAPI2Security, State: "served"},
			{Client: "kakeibo", Profile: authz.FAPI1Advanced, State: "served", Retires: retires, Waivers: b.config.Waivers[3:4]},
			{Client: "mado", State: "refused", Violations: authz.Violations{{Rule: "CONF-1", Value: `profile is ""`, Remedy: "name one of the server's profiles"}}},
			{Client: "soroban", Profile: authz.FAPI2Security, State: "served", Waivers: b.config.Waivers[:1]},
			{Client: "tana", Profile: authz.FAPI2Security, State: "refused", Violations: authz.Violations{
				{Rule: "FAPI2-SP-5.4.2-1", Value: `jwks_uri is "http://...@app.fintech.example/jwks"`, Remedy: "register an https URL without user and fragment"}}},
		}
		if d := cmp.Diff(want, r.Clients); d != "" {
			t.Error(d)
		}
	})
	t.Run("CONF-1 a client whose profile has ended", func(t *testing.T) {
		b, cs := reported(t)
		b.clock.Advance(b.config.Retire[authz.FAPI1Advanced].Sub(b.clock.Now()))
		got := b.srv.Report(cs[0]).Clients[0]
		if got.State != "retired" || got.Violations != nil || got.Waivers != nil {
			t.Errorf("%+v", got)
		}
		unfit := *cs[0]
		unfit.RedirectURIs = []string{"http://app.fintech.example/cb"}
		if got := b.srv.Report(&unfit).Clients[0]; got.State != "refused" || len(got.Violations) != 1 || got.Retires.IsZero() {
			t.Errorf("one that may not even revoke: %+v", got)
		}
		if r := ruleOf(t, b.srv.Report(), authz.FAPI1Advanced, "request", "FAPI1-BASE-5.2.2.3-1"); r.State != "kept" || len(r.Waivers) != 1 {
			t.Errorf("an expired waiver: %+v", r)
		}
	})
	t.Run("the same at any time and from many sides", func(t *testing.T) {
		want := b.srv.Report(cs...)
		backwards := slices.Clone(cs)
		slices.Reverse(backwards)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if d := cmp.Diff(want, b.srv.Report(backwards...)); d != "" {
					t.Error(d)
				}
			})
		}
		all.Wait()
	})
	t.Run("what the reader changes is not the server's", func(t *testing.T) {
		want := b.srv.Report(cs...)
		got := b.srv.Report(cs...)
		for _, c := range got.Clients {
			for _, w := range c.Waivers {
				w.Clients[0] = "x"
			}
		}
		for _, p := range got.Profiles {
			for _, rule := range p.Rules {
				for _, w := range rule.Waivers {
					w.Clients[0] = "x"
				}
			}
		}
		if d := cmp.Diff(want, b.srv.Report(cs...)); d != "" {
			t.Error(d)
		}
	})
}

func order(r authz.RuleReport) string {
	return map[string]string{"server": "0", "client": "1", "request": "2"}[r.About]
}

// TestReportText: what people read. Of the rules, those with something to say.
func TestReportText(t *testing.T) {
	b, cs := reported(t)
	text := b.srv.Report(cs...).String()
	lines := strings.Split(text, "\n")
	for _, line := range lines {
		if strings.TrimRight(line, " ") != line {
			t.Errorf("spaces at the end of %q", line)
		}
	}
	t.Run("profiles and clients", func(t *testing.T) {
		want := `https://as.bank.example at 2026-11-24T09:00:00Z

profile fapi1-advanced, retires 2027-06-30T15:00:00Z

profile fapi2-security

clients
  served   chobo  fapi2-security
  served   kakeibo  fapi1-advanced, retires 2027-06-30T15:00:00Z
      waiver of FAPI1-BASE-5.2.2.3-1 for kakeibo, until 2027-01-30T15:00:00Z: has PKCE
  refused  mado  no profile
      CONF-1: profile is ''; name one of the server's profiles
  served   soroban  fapi2-security
      waiver of FAPI2-SP-5.3.2.2-8 for soroban chobo, until 2027-01-30T15:00:00Z: 実験 environment
  refused  tana  fapi2-security
      FAPI2-SP-5.4.2-1: jwks_uri is 'http://...@app.fintech.example/jwks'; register an https URL without user and fragment
`
		at := slices.Index(lines, "clients")
		var got []string
		for i, line := range lines {
			if i >= at || !strings.HasPrefix(line, "  ") { // the rules' lines are looked at below
				got = append(got, line)
			}
		}
		if d := cmp.Diff(want, strings.Join(got, "\n")); d != "" {
			t.Error(d)
		}
	})
	t.Run("rules", func(t *testing.T) {
		for _, want := range []string{
			`
  waived          server   FAPI2-SP-5.3.2.2-12: let request URIs live from 5 to 599 seconds
      RequestLifetime is 15m0s
      waiver of FAPI2-SP-5.3.2.2-12 for *, until 2027-01-30T15:00:00Z: slow phones
`,
			`
  kept            client   FAPI2-SP-5.3.2.1-5: register tls_client_certificate_bound_access_tokens or dpop_bound_access_tokens as true
`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("missing %s in\n%s", want, text)
			}
		}
	})
	t.Run("expired", func(t *testing.T) {
		b, _ := reported(t)
		b.clock.Advance(365 * 24 * time.Hour)
		text := b.srv.Report().String()
		for _, want := range []string{
			"profile fapi1-advanced, retired 2027-06-30T15:00:00Z\n",
			"\n  broken          server   PAR-2.2-1: ",
			"      waiver of PAR-2.2-1 for *, expired 2027-01-30T15:00:00Z: slow phones\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("missing %q in\n%s", want, text)
			}
		}
	})
	t.Run("no secret of the server or of a client", func(t *testing.T) {
		all, err := json.Marshal(b.srv.Report(cs...))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"hush", string(b.config.Secrets[0])} {
			if strings.Contains(text, secret) || strings.Contains(string(all), secret) {
				t.Errorf("the report has %q", secret)
			}
		}
	})
	t.Run("a client id cannot forge a line", func(t *testing.T) {
		f := keyClient("x\n  served   evil")
		if text := b.srv.Report(f.Client).String(); strings.Contains(text, "\n  served   evil") {
			t.Error(text)
		}
	})
}

// TestReportJSON: the names of the members are API.
func TestReportJSON(t *testing.T) {
	b, cs := reported(t)
	text, err := json.Marshal(b.srv.Report(cs...))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	profile := got["profiles"].([]any)[1].(map[string]any)
	rule := func(id string) any {
		for _, r := range profile["rules"].([]any) {
			if r.(map[string]any)["rule"] == id {
				return r
			}
		}
		return nil
	}
	slow := map[string]any{"rule": "FAPI2-SP-5.3.2.2-12", "clients": []any{"*"}, "reason": "slow phones", "expires": "2027-01-31T00:00:00+09:00"}
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"the head", []any{got["issuer"], got["time"], len(got)}, []any{issuer, "2026-11-24T09:00:00Z", 4}},
		{"a profile", []any{profile["profile"], profile["retires"], len(profile)}, []any{"fapi2-security", nil, 2}},
		{"one that retires", got["profiles"].([]any)[0].(map[string]any)["retires"], "2027-06-30T15:00:00Z"},
		{"a rule", rule("FAPI2-SP-5.2.1-1"), map[string]any{
			"rule": "FAPI2-SP-5.2.1-1", "about": "server", "demand": "use an https URL", "state": "kept", "waivable": false}},
		{"a waived rule", rule("FAPI2-SP-5.3.2.2-12"), map[string]any{
			"rule": "FAPI2-SP-5.3.2.2-12", "about": "server", "demand": "let request URIs live from 5 to 599 seconds", "state": "waived",
			"value": "RequestLifetime is 15m0s", "waivable": true, "waivers": []any{slow}}},
		{"a client", got["clients"].([]any)[0], map[string]any{"client": "chobo", "profile": "fapi2-security", "state": "served"}},
		{"a refused client", got["clients"].([]any)[2], map[string]any{"client": "mado", "profile": "", "state": "refused", "violations": []any{
			map[string]any{"rule": "CONF-1", "value": `profile is ""`, "remedy": "name one of the server's profiles"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, tt.got); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("it can be read back", func(t *testing.T) {
		var back authz.Report
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(b.srv.Report(cs...), back); d != "" {
			t.Error(d)
		}
	})
	t.Run("no clients are an empty list", func(t *testing.T) {
		text, err := json.Marshal(b.srv.Report())
		if err != nil || !strings.HasSuffix(string(text), `"clients":[]}`) {
			t.Errorf("%v %s", err, text)
		}
	})
}

// TestNoPasswordShown: nor in an error, an event or a refusal of New.
func TestNoPasswordShown(t *testing.T) {
	const uri = "https://tana:hush@app.fintech.example/x"
	for name, with := range map[string]func(*authz.Client){
		"jwks_uri":                  func(c *authz.Client) { c.JWKS, c.JWKSURI = nil, uri },
		"redirect_uris":             func(c *authz.Client) { c.RedirectURIs = []string{uri + "#x"} },
		"post_logout_redirect_uris": func(c *authz.Client) { c.PostLogoutRedirectURIs = []string{uri} },
		"backchannel_logout_uri":    func(c *authz.Client) { c.BackchannelLogoutURI = uri },
	} {
		t.Run("FAPI2-SP-7-1 "+name, func(t *testing.T) {
			f := keyClient("kakeibo")
			with(f.Client)
			p := newParted(t, clients(f))
			if err := p.srv.CheckClient(f.Client); err == nil || strings.Contains(err.Error(), "hush") {
				t.Errorf("%v", err)
			}
			refused(t, p.do(f.request("/token", f.authenticate(p.bank, f.redeemable("x")))), 401, "invalid_client")
			if e := p.lastEvent(); !strings.Contains(e.Reason, name) || strings.Contains(e.Reason, "hush") {
				t.Errorf("the operator is told %+v", e)
			}
		})
	}
	t.Run("FAPI2-SP-7-1 Config", func(t *testing.T) {
		c := newBank(t, nil).config
		c.Issuer, c.MTLSBase = uri, uri
		if _, err := authz.New(c); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v", err)
		}
	})
}
