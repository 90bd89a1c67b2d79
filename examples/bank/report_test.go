package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// A bank between two profiles: one has ended, and one client still breaks a rule.
func transition() map[string]any {
	return map[string]any{
		"profiles": []string{"fapi2-security", "fapi1-advanced"},
		"retire":   map[string]any{"fapi1-advanced": "2026-01-31T00:00:00Z"},
		"waivers": []any{map[string]any{
			"rule": "OIDR-4", "clients": []string{"old", "gone"}, "reason": "registered by hand in 2019", "expires": time.Now().AddDate(1, 0, 0).Format(time.RFC3339),
		}},
	}
}

// TestReport prints the report of a bank that runs elsewhere: its port is taken.
func TestReport(t *testing.T) {
	dir, config := configDir(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	config["listen"] = l.Addr().String()
	for member, v := range transition() {
		config[member] = v
	}
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	good := func(id string, more map[string]any) any {
		m := map[string]any{
			"client_id": id, "redirect_uris": []string{"https://app.example/cb"}, "token_endpoint_auth_method": "private_key_jwt",
			"tls_client_certificate_bound_access_tokens": true, "scope": "accounts", "jwks": map[string]any{"keys": []any{jwk(t, key.Public(), map[string]any{"use": "sig", "kid": "k"})}},
		}
		for name, v := range more {
			m[name] = v
		}
		return m
	}
	clients, err := json.Marshal([]any{
		good("new", nil), good("old", map[string]any{"application_type": "desktop"}), good("bad", map[string]any{"application_type": "desktop"}),
		good("past", map[string]any{"profile": "fapi1-advanced"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "clients.json"), clients, 0o600); err != nil {
		t.Fatal(err)
	}
	name := writeConfig(t, dir, config)
	print := func(flag string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if status := run(t.Context(), []string{"-config", name, flag}, &out, &errs); status != 0 {
			t.Fatalf("%s: exit status %d: %s", flag, status, &errs)
		}
		return out.String()
	}

	text := print("-report")
	for _, want := range []string{"profile fapi2-security\n", "profile fapi1-advanced", "2026-01-31", "registered by hand in 2019", "served   new", "served   old", "refused  bad", "retired  past"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	var r authz.Report
	d := json.NewDecoder(strings.NewReader(print("-report=json")))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, c := range r.Clients {
		states = append(states, c.Client+" "+c.State)
	}
	if want := []string{"bad refused", "new served", "old served", "past retired"}; !slices.Equal(states, want) {
		t.Errorf("clients %q, want %q", states, want)
	}
	if len(r.Profiles) != 2 || r.Profiles[0].Profile != authz.FAPI2Security || !r.Profiles[1].Retires.Equal(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)) || r.Issuer != config["issuer"] {
		t.Errorf("%+v", r)
	}
	waived := func(r authz.RuleReport) bool { return r.Rule == "OIDR-4" && r.State == "waived" && len(r.Waivers) == 1 }
	if !slices.ContainsFunc(r.Profiles[0].Rules, waived) {
		t.Errorf("nothing is waived: %+v", r.Profiles[0].Rules)
	}
}

// A report that cannot be made is an error like any other of the file, and a
// waiver of a client that is not there is warned about.
func TestReportRefused(t *testing.T) {
	dir, config := configDir(t)
	config["profiles"] = []string{"fapi3"}
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-config", writeConfig(t, dir, config), "-report"}, &out, &errs); status != 2 || out.Len() != 0 || !strings.Contains(errs.String(), "fapi3") {
		t.Errorf("exit status %d: %s%s", status, &out, &errs)
	}

	dir, config = configDir(t)
	for member, v := range transition() {
		config[member] = v
	}
	s, err := readConfig(writeConfig(t, dir, config))
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBank(s, inMemory(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.warnings(t.Context()), "\n"); !strings.Contains(got, `a waiver of OIDR-4 names client "gone", which is not there`) {
		t.Errorf("no warning of the waiver:\n%s", got)
	}
}

// TestTransition: the day on which FAPI 1.0 ends turns its clients away and no
// others, and a waiver lets those through whom it names.
func TestTransition(t *testing.T) {
	t.Parallel()
	modern := kind{method: "private_key_jwt", openid: true}
	old := kind{method: "private_key_jwt", advanced: true, signs: true, jarm: true}
	retiring := map[string]any{"profiles": []string{"fapi2-security", "fapi1-advanced"}}
	stateless := func(c *tester, v *variant) *reply {
		f := v.flow(c)
		f.ask.Del("state")
		return f.send(t, way{})
	}
	t.Run("FAPI1-BASE-5.2.2.3-1 before, with a waiver for one", func(t *testing.T) {
		retiring := map[string]any{
			"profiles": retiring["profiles"], "retire": map[string]any{"fapi1-advanced": time.Now().Add(time.Hour)},
			"waivers": []any{map[string]any{"rule": "FAPI1-BASE-5.2.2.3-1", "clients": []string{"private_key_jwt-1-1"}, "reason": "it keeps state elsewhere", "expires": time.Now().Add(time.Hour)}},
		}
		both := deploy(t, true, true, []kind{modern, old}, retiring)
		both[0].flow(both[0].clients[0]).complete(t)
		both[1].flow(both[1].clients[0]).complete(t)
		if r := stateless(both[1].clients[0], both[1]); r.status != 201 {
			t.Errorf("%d %s", r.status, r.body)
		}
		refusedWith(t, stateless(both[1].clients[1], both[1]), "400 invalid_request")
		if log := both[1].stderr.String(); !strings.Contains(log, "event.waived=FAPI1-BASE-5.2.2.3-1") {
			t.Errorf("the waiver is not in the log:\n%s", log)
		}
	})
	t.Run("CONF-1 after", func(t *testing.T) {
		retiring["retire"] = map[string]any{"fapi1-advanced": "2026-01-31T00:00:00Z"}
		both := deploy(t, true, true, []kind{modern, old}, retiring)
		both[0].flow(both[0].clients[0]).complete(t)
		f := both[1].flow(both[1].clients[0])
		refusedWith(t, f.send(t, way{}), "400 unauthorized_client")
		if r := f.c.post(t, f.v.endpoint("revocation_endpoint"), map[string][]string{"token": {"x"}}, way{}); r.status != 200 {
			t.Errorf("it cannot revoke: %d %s", r.status, r.body)
		}
	})
}
