package authz

import (
	"slices"
	"strconv"
	"time"
)

// A Waiver is a departure, known and for a time, from one rule of the tables of
// the profiles. It lets the clients named break that rule and nothing else.
//
// Only rules of these tables can be waived, and of them only those on which no
// other promise rests: [Server.Report] tells which. The others, and all that
// the endpoints check whatever the profile (signatures, single use, bindings,
// redirect URIs, the form of requests), hold for everybody, always. A row that
// can be waived under one profile and not under another is waived for clients of
// the first alone.
//
// While a waiver lets something pass, the events of what passed name the rule
// (Event.Waived). When it has expired, rules for clients and their requests
// bite from that moment on; a request that was accepted before may still be
// decided. A setting of the server cannot be changed as it runs: the report
// calls the rule broken until the next New, which refuses it.
//
// New refuses every waiver that has expired, whether or not its rule is kept by
// then. So a host that has one in its configuration does not start again after
// that date: take it out before.
type Waiver struct {
	Rule    string    `json:"rule"`    // the row of the specification, such as FAPI2-SP-5.3.2.1-11
	Clients []string  `json:"clients"` // client ids, or "*" alone for all; a rule for the server is waived for all
	Reason  string    `json:"reason"`  // why, and who decided it, for the report; not empty
	Expires time.Time `json:"expires"` // when it ends: later than now, and at most two years ahead
}

// everyClient in Waiver.Clients stands for all.
const everyClient = "*"

// maxWaiver is how far the end of a waiver may lie ahead, in years. What is to
// last longer is no departure but another profile.
const maxWaiver = 2

// inForce reports whether w lets client break its rule. An empty client means
// the server itself.
func (w *Waiver) inForce(client string, now time.Time) bool {
	named := slices.Contains(w.Clients, everyClient) || client != "" && slices.Contains(w.Clients, client)
	return named && now.Before(w.Expires)
}

// A departure is what one client, or the server itself, may break at a moment,
// and has broken. The zero departure may break nothing.
type departure struct {
	waivers []Waiver
	client  string // empty: the server itself
	now     time.Time
	rules   []string // what was broken under a waiver, each once
}

// allows reports whether a waiver covers r, which was broken, and notes it.
func (d *departure) allows(r *rule) bool {
	if !r.waivable || !slices.ContainsFunc(d.waivers, func(w Waiver) bool { return w.Rule == r.id && w.inForce(d.client, d.now) }) {
		return false
	}
	d.rules = withEach(slices.Clip(d.rules), r.id)
	return true
}

// checkWaivers returns what is wrong with the waivers of c.
func checkWaivers(c *Config) (v Violations) {
	now := c.Now()
	for i := range c.Waivers {
		w := &c.Waivers[i]
		add := func(value, remedy string) {
			v = append(v, Violation{"Config", "Waivers[" + strconv.Itoa(i) + "] of " + strconv.Quote(w.Rule) + " " + value, remedy})
		}
		known, waivable, server := c.waivable(w.Rule)
		switch all := slices.Contains(w.Clients, everyClient); {
		case !known:
			add("names no rule", "name a rule of a profile that is served, as Server.Report lists them")
		case !waivable:
			add("names a rule that cannot be waived", "keep the rule; other promises rest on it")
		case len(w.Clients) == 0 || slices.Contains(w.Clients, ""):
			add("has no clients", "name each client, or all by *")
		case all && len(w.Clients) > 1:
			add("has * beside other clients", "name each client, or all by *")
		case server && !all:
			add("names clients", "waive a rule for the server for all, by *")
		}
		if w.Reason == "" {
			add("has no reason", "say why, for who reads the report")
		}
		switch {
		case w.Expires.IsZero():
			add("does not expire", "set Expires")
		case !now.Before(w.Expires):
			add("expired at "+w.Expires.UTC().Format(time.RFC3339), "keep the rule and take the waiver out")
		case w.Expires.After(now.AddDate(maxWaiver, 0, 0)):
			add("expires at "+w.Expires.UTC().Format(time.RFC3339), "let it expire within two years")
		}
	}
	return v
}

// waivable reports whether a profile of c has the rule with that id, whether it
// can be waived under one of them, and whether it is for the server.
func (c *Config) waivable(id string) (known, waivable, server bool) {
	for _, name := range c.Profiles {
		if policies[name] == nil {
			continue
		}
		for _, r := range policies[name].rules {
			if r.id == id {
				waivable = waivable || r.waivable
				known, server = true, server || r.server != nil
			}
		}
	}
	return known, waivable, server
}

func cloneWaivers(waivers []Waiver) []Waiver {
	waivers = slices.Clone(waivers)
	for i, w := range waivers {
		waivers[i] = w.clone()
	}
	return waivers
}

func (w Waiver) clone() Waiver {
	w.Clients = slices.Clone(w.Clients)
	return w
}
