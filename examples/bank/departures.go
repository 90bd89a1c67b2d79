package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// retirements reads when profiles end.
func (c *configFile) retirements(profiles []authz.Profile) map[authz.Profile]time.Time {
	const remedy = "give a profile of profiles the moment of its end, such as 2027-03-31T00:00:00Z"
	var dates map[string]json.RawMessage
	c.read("retire", "an object that has a moment for each profile that ends", &dates)
	retire := make(map[authz.Profile]time.Time)
	for _, name := range slices.Sorted(maps.Keys(dates)) {
		at, err := moment(dates[name])
		switch {
		case err != nil:
			c.bad("retire", name+": "+err.Error(), remedy)
		case !slices.Contains(profiles, authz.Profile(name)):
			c.bad("retire", fmt.Sprintf("%q is not in profiles", name), remedy)
		}
		retire[authz.Profile(name)] = at
	}
	return retire
}

// moment reads a time as RFC 3339 writes it.
func moment(raw json.RawMessage) (at time.Time, err error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	if text == "" || err != nil {
		return at, fmt.Errorf("%s is not a moment", raw)
	}
	return at, nil
}

// waivers reads the departures from single rules that are allowed. Whether a
// rule can be waived, and for how long, the library says.
func (c *configFile) waivers() []authz.Waiver {
	var raw []json.RawMessage
	c.read("waivers", "a list of objects", &raw)
	var waivers []authz.Waiver
	for i, r := range raw {
		w, err := readWaiver(r)
		if err != nil {
			c.bad("waivers", fmt.Sprintf("waiver %d: %v", i+1, err),
				"give each rule, clients (a list, of * alone for all), reason, expires (such as 2027-03-31T00:00:00Z) and nothing else")
		}
		waivers = append(waivers, w)
	}
	return waivers
}

func readWaiver(raw json.RawMessage) (w authz.Waiver, err error) {
	m, err := object(raw)
	if err != nil {
		return w, err
	}
	var wrong []string
	for name, p := range map[string]any{"rule": &w.Rule, "clients": &w.Clients, "reason": &w.Reason} {
		if value, ok := m[name]; !ok {
			wrong = append(wrong, name+" is missing")
		} else if string(value) == "null" || json.Unmarshal(value, p) != nil {
			wrong = append(wrong, name+" has another type")
		}
	}
	if value, ok := m["expires"]; !ok {
		wrong = append(wrong, "expires is missing")
	} else if w.Expires, err = moment(value); err != nil {
		wrong = append(wrong, "expires: "+err.Error())
	}
	for name := range m {
		if !slices.Contains([]string{"rule", "clients", "reason", "expires"}, name) {
			wrong = append(wrong, fmt.Sprintf("%q is not a member", name))
		}
	}
	slices.Sort(wrong)
	if wrong != nil {
		return w, errors.New(strings.Join(wrong, ", "))
	}
	return w, nil
}

// Ways to log out, as the member logout has them.
const (
	logoutByClient = "rp-initiated"
	logoutTold     = "back-channel"
)

// logouts reads which of them there are.
func (c *configFile) logouts() (byClient, told bool) {
	ways := c.strings("logout")
	for i, way := range ways {
		if way != logoutByClient && way != logoutTold && way != "" || slices.Contains(ways[:i], way) {
			c.bad("logout", fmt.Sprintf("%q is not available or there twice", way), `list "`+logoutByClient+`", or both that and "`+logoutTold+`"`)
		}
	}
	byClient, told = slices.Contains(ways, logoutByClient), slices.Contains(ways, logoutTold)
	if told && !byClient {
		c.bad("logout", `has "`+logoutTold+`" alone, and nobody could sign out`, `list "`+logoutByClient+`", too`)
	}
	return byClient, told
}

// errorPage reads the template of the page for requests that lead nowhere. One
// that cannot be filled in is found out here and not by a customer.
func (c *configFile) errorPage() *template.Template {
	b := c.contents("error_page", c.string("error_page"))
	if b == nil {
		return nil
	}
	page, err := template.New("error_page").Parse(string(b))
	if err == nil {
		err = page.Execute(io.Discard, errorText{Lang: "en", Code: "invalid_request", Description: "client_id is missing"})
	}
	if err != nil {
		c.bad("error_page", err.Error(), "write an HTML page in which {{.Code}}, {{.Description}} and {{.Lang}} (en or ja) may stand")
	}
	return page
}
