package authz

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Report says what a server and its clients are held to: every rule of every
// profile that is served, whether it is kept, and every given client's standing.
// It is for those who answer for the server, who read it by [Report.String] or
// keep it as JSON. It holds no secret and no key.
//
// It lists the tables of the profiles: what a profile demands of settings, of
// registrations and of requests. What the endpoints check beyond these is not
// listed, and is always in force.
type Report struct {
	Issuer   string          `json:"issuer"`
	Time     time.Time       `json:"time"`     // by Config.Now
	Profiles []ProfileReport `json:"profiles"` // as Config.Profiles lists them
	Clients  []ClientReport  `json:"clients"`  // by client id
}

// A ProfileReport says how one profile is kept.
type ProfileReport struct {
	Profile Profile      `json:"profile"`
	Retires time.Time    `json:"retires,omitzero"` // when its clients are turned away, or were; zero: never
	Rules   []RuleReport `json:"rules"`            // for the server, for clients and for requests, in the profile's order
}

// A RuleReport says how one rule is kept.
type RuleReport struct {
	Rule   string `json:"rule"`   // the row of the specification
	About  string `json:"about"`  // server, client or request
	Demand string `json:"demand"` // what it asks for

	// State is one of these:
	//
	//	kept            it is enforced; the server's own settings meet it
	//	waived          Waivers has one that is in force
	//	broken          a setting breaks it, and its waiver has expired
	//	not applicable  the server has nothing that the rule speaks of
	State string `json:"state"`

	Value    string   `json:"value,omitempty"`   // the setting that a waived or broken rule for the server forbids
	Waivable bool     `json:"waivable"`          // whether a Waiver may name it
	Waivers  []Waiver `json:"waivers,omitempty"` // those that name it, the expired ones as well
}

// A ClientReport says how one client stands.
type ClientReport struct {
	Client  string  `json:"client"`
	Profile Profile `json:"profile"` // that it is served under; if it cannot be, the one it names

	// State is one of these:
	//
	//	served   it keeps its profile's rules, or is allowed to break them
	//	refused  it does not, see Violations, and is served nothing
	//	retired  its profile has ended, and it may only revoke
	State string `json:"state"`

	Retires    time.Time  `json:"retires,omitzero"` // of its profile
	Violations Violations `json:"violations,omitempty"`

	// Waivers are those in force that its registration needs, and those that let
	// it send requests which its profile forbids.
	Waivers []Waiver `json:"waivers,omitempty"`
}

// The states in a report.
const (
	stateKept          = "kept"
	stateWaived        = "waived"
	stateBroken        = "broken"
	stateNotApplicable = "not applicable"

	stateServed  = "served"
	stateRefused = "refused"
	stateRetired = "retired"
)

// Report returns what the server and the given clients are held to, and by what
// waivers they depart from it, at this moment. Which clients there are the host
// knows; a nil one is left out. Nothing is fetched, and nothing is changed; the
// same server, clients and time give the same report.
func (s *Server) Report(clients ...*Client) Report {
	r := Report{Issuer: s.config.Issuer, Time: s.now().UTC(), Clients: []ClientReport{}}
	for _, name := range s.config.Profiles {
		r.Profiles = append(r.Profiles, ProfileReport{name, s.config.Retire[name], s.config.reportRules(policies[name], r.Time)})
	}
	for _, c := range clients {
		if c != nil {
			r.Clients = append(r.Clients, s.reportClient(c, r.Time))
		}
	}
	slices.SortStableFunc(r.Clients, func(a, b ClientReport) int { return cmp.Compare(a.Client, b.Client) })
	return r
}

// reportRules says how each rule of p is kept. Several checks of one row about
// the same thing are one rule; it takes them all to keep it.
func (c *Config) reportRules(p *policy, now time.Time) []RuleReport {
	var rules []RuleReport
	for i := range p.rules {
		one := c.reportRule(p, &p.rules[i], now)
		at := slices.IndexFunc(rules, func(r RuleReport) bool { return r.Rule == one.Rule && r.About == one.About })
		if at < 0 {
			rules = append(rules, one)
			continue
		}
		r := &rules[at]
		if r.Demand != one.Demand {
			r.Demand += "; " + one.Demand
		}
		if stateOrder[one.State] > stateOrder[r.State] {
			r.State, r.Value = one.State, one.Value
		}
	}
	slices.SortStableFunc(rules, func(a, b RuleReport) int { return cmp.Compare(aboutOrder[a.About], aboutOrder[b.About]) })
	return rules
}

// stateOrder says which of two states holds for both checks of one rule.
var stateOrder = map[string]int{stateNotApplicable: 0, stateKept: 1, stateWaived: 2, stateBroken: 3}

var aboutOrder = map[string]int{"server": 0, "client": 1, "request": 2}

func (c *Config) reportRule(p *policy, r *rule, now time.Time) RuleReport {
	one := RuleReport{Rule: r.id, About: "client", Demand: r.remedy, State: stateKept, Waivable: r.waivable}
	applies := r.about == nil || r.about(c)
	switch {
	case r.server != nil:
		one.About, one.Value = "server", withoutUser(r.server(p, c))
	case r.request != nil:
		one.About, applies = "request", c.Interact != nil
	}
	inForce := false
	for _, w := range c.Waivers {
		if w.Rule == r.id && r.waivable { // it may be meant for another profile
			one.Waivers = append(one.Waivers, w.clone())
			inForce = inForce || now.Before(w.Expires)
		}
	}
	switch {
	case inForce && (one.Value != "" || r.server == nil): // a setting that is kept needs no waiver
		one.State = stateWaived
	case one.Value != "":
		one.State = stateBroken
	case !applies:
		one.State = stateNotApplicable
	}
	return one
}

func (s *Server) reportClient(c *Client, now time.Time) ClientReport {
	got, v := s.fit(c)
	r := ClientReport{Client: c.ID, Profile: c.Profile, State: stateServed, Violations: v}
	if got == nil {
		r.State = stateRefused
		return r
	}
	r.Profile, r.Retires = got.profile, s.config.Retire[got.profile]
	switch {
	case len(v) > 0: // it may not even revoke
		r.State = stateRefused
	case s.retirement(got.profile) != "":
		r.State = stateRetired
	}
	for _, w := range s.config.Waivers {
		needed := slices.ContainsFunc(got.policy.rules, func(r rule) bool {
			return r.id == w.Rule && r.waivable && (r.request != nil || r.client != nil && slices.Contains(got.departs.rules, r.id))
		})
		if needed && w.inForce(c.ID, now) {
			r.Waivers = append(r.Waivers, w.clone())
		}
	}
	return r
}

// String returns the report as text, a line for each rule and each client, and
// an indented one for all that is to be said of it.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s\n", clean(r.Issuer), stamp(r.Time))
	for _, p := range r.Profiles {
		fmt.Fprintf(&b, "\nprofile %s%s\n", p.Profile, retires(p.Retires, r.Time))
		for _, rule := range p.Rules {
			fmt.Fprintf(&b, "  %-14s  %-7s  %s: %s\n", rule.State, rule.About, rule.Rule, rule.Demand)
			if rule.Value != "" {
				fmt.Fprintf(&b, "      %s\n", clean(rule.Value))
			}
			writeWaivers(&b, rule.Waivers, r.Time)
		}
	}
	b.WriteString("\nclients\n")
	for _, c := range r.Clients {
		fmt.Fprintf(&b, "  %-7s  %s  %s%s\n", c.State, clean(c.Client), cmp.Or(clean(string(c.Profile)), "no profile"), retires(c.Retires, r.Time))
		for _, v := range c.Violations {
			fmt.Fprintf(&b, "      %s: %s; %s\n", v.Rule, clean(v.Value), v.Remedy)
		}
		writeWaivers(&b, c.Waivers, r.Time)
	}
	return b.String()
}

func writeWaivers(b *strings.Builder, waivers []Waiver, now time.Time) {
	for _, w := range waivers {
		until := "until"
		if !now.Before(w.Expires) {
			until = "expired"
		}
		fmt.Fprintf(b, "      waiver of %s for %s, %s %s: %s\n", w.Rule, clean(strings.Join(w.Clients, " ")), until, stamp(w.Expires), oneLine(w.Reason))
	}
}

func retires(at, now time.Time) string {
	switch {
	case at.IsZero():
		return ""
	case now.Before(at):
		return ", retires " + stamp(at)
	}
	return ", retired " + stamp(at)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// oneLine returns s, in whatever language it is, on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
