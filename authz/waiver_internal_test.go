package authz

import (
	"testing"
	"time"
)

// TestRulesAreWhole: every rule has what the report and a violation say of it,
// and all rules of one row can be waived or none, so that a waiver of it is not
// half of one.
func TestRulesAreWhole(t *testing.T) {
	for name, p := range policies {
		open := make(map[string]bool)
		for _, r := range p.rules {
			if was, ok := open[r.id]; ok && was != r.waivable {
				t.Errorf("%s: %s is waivable in part", name, r.id)
			}
			open[r.id] = r.waivable
			kinds := 0
			for _, is := range []bool{r.server != nil, r.client != nil, r.request != nil} {
				if is {
					kinds++
				}
			}
			if kinds != 1 || r.id == "" || r.remedy == "" || (r.request != nil) != (r.code != "") {
				t.Errorf("%s: %s is not whole", name, r.id)
			}
		}
	}
}

// TestServerRuleIsNoClientRule: that a row is about the server decides for whom
// it can be waived.
func TestServerRuleIsNoClientRule(t *testing.T) {
	for name, p := range policies {
		about := make(map[string]bool)
		for _, r := range p.rules {
			if was, ok := about[r.id]; ok && was != (r.server != nil) {
				t.Errorf("%s: %s is about the server and about clients", name, r.id)
			}
			about[r.id] = r.server != nil
		}
	}
}

// TestTwoChecksOfOneRule: the report calls a rule kept if all of its checks are.
func TestTwoChecksOfOneRule(t *testing.T) {
	says := func(what string) rule {
		return rule{id: "row", remedy: "do " + what, server: func(*policy, *Config) string { return what }}
	}
	none := says("")
	none.about = func(*Config) bool { return false }
	for _, tt := range []struct {
		name         string
		rules        []rule
		state, value string
	}{
		{"both kept", []rule{says(""), says("")}, stateKept, ""},
		{"the first broken", []rule{says("a"), says("")}, stateBroken, "a"},
		{"the second broken", []rule{says(""), says("b")}, stateBroken, "b"},
		{"the first is about nothing here", []rule{none, says("")}, stateKept, ""},
		{"the second is about nothing here", []rule{says(""), none}, stateKept, ""},
	} {
		t.Run("CONF-1 "+tt.name, func(t *testing.T) {
			got := new(Config).reportRules(&policy{rules: tt.rules}, time.Time{})
			if len(got) != 1 || got[0].State != tt.state || got[0].Value != tt.value {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestNoPasswordInViolations: what is wrong with a URL is said without its user
// and password, wherever it was put in.
func TestNoPasswordInViolations(t *testing.T) {
	for value, want := range map[string]string{
		`jwks_uri is "https://tana:hush@app.example/jwks"`:    `jwks_uri is "https://...@app.example/jwks"`,
		`jwks_uri is "https://tana:hu/sh@app.example/jwks"`:   `jwks_uri is "https://...@app.example/jwks"`,
		`jwks_uri is "https://tana:hu\"s h@app.example/jwks"`: `jwks_uri is "https://...@app.example/jwks"`,
		`jwks_uri is "https://tana@bank:hush@app.example/"`:   `jwks_uri is "https://...@app.example/"`,
		`jwks_uri is "http://app.example/jwks"`:               `jwks_uri is "http://app.example/jwks"`,
		"CodeLifetime is 5m0s":                                "CodeLifetime is 5m0s",
	} {
		if got := (Violations{{Value: value}}).withoutUsers()[0].Value; got != want {
			t.Errorf("%s is shown as %s", value, got)
		}
	}
}

// TestWaivedInReport: one waiver in force is enough, and a setting that is kept
// needs none. Rules are listed by what they are about, and ask for all that their
// checks do.
func TestWaivedInReport(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	c := &Config{Waivers: []Waiver{
		{Rule: "broken", Clients: []string{everyClient}, Expires: now.Add(time.Second)}, {Rule: "broken", Clients: []string{everyClient}, Expires: now},
		{Rule: "kept", Clients: []string{everyClient}, Expires: now.Add(time.Second)},
	}}
	says := func(id, remedy, what string) rule {
		return rule{id: id, remedy: remedy, waivable: true, server: func(*policy, *Config) string { return what }}
	}
	ofClients := rule{id: "client", remedy: "register", client: func(*policy, *Client) string { return "" }}
	got := c.reportRules(&policy{rules: []rule{ofClients, says("broken", "do", "a"), says("broken", "do as well", ""), says("kept", "do", "")}}, now)
	type line struct{ id, demand, state string }
	want := []line{{"broken", "do; do as well", stateWaived}, {"kept", "do", stateKept}, {"client", "register", stateKept}}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, r := range got {
		if l := (line{r.Rule, r.Demand, r.State}); l != want[i] {
			t.Errorf("%+v, want %+v", l, want[i])
		}
	}
}
