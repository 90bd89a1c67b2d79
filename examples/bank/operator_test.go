package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the API refuses is in the log of a -config bank, like what the
// authorization server refuses.
func TestConfigLogsRefusals(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c map[string]any) { c["client_ca"] = []string{"client-ca.pem"} })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.issuer+"/resource", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer e30.e30.stolen")
	res, err := l.clients["tls_client_auth"].http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	log := l.stderr.String()
	if res.StatusCode != http.StatusUnauthorized || !strings.Contains(log, "endpoint=resource") || !strings.Contains(log, "FAPI2-SP-5.3.4-3") {
		t.Errorf("%s, and nothing of it in the log:\n%s", res.Status, log)
	}
	if strings.Contains(log, "stolen") {
		t.Errorf("the log has the token:\n%s", log)
	}
}

// A remedy names members of the file, whoever found the fault.
func TestConfigRemediesNameMembers(t *testing.T) {
	t.Run("the library, of a server", func(t *testing.T) {
		dir, config := configDir(t)
		config["mtls_base"], config["listen_mtls"] = "https://127.0.0.1:1/elsewhere", "127.0.0.1:1"
		refused(t, writeConfig(t, dir, config), "mtls_base is ")
	})
	t.Run("the library, of a client", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, func(c map[string]any) { delete(c, "client_ca") })
		if log := l.stderr.String(); !strings.Contains(log, "set client_ca") {
			t.Errorf("no remedy that names client_ca:\n%s", log)
		}
	})
	t.Run("a member that has to be there is not to be left out", func(t *testing.T) {
		dir, config := configDir(t)
		config["issuer"], config["listen"] = 1, ""
		_, err := readConfig(writeConfig(t, dir, config))
		if err == nil || strings.Contains(err.Error(), "leave the member out") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("one fault is told once", func(t *testing.T) {
		dir, config := configDir(t)
		config["profiles"] = "fapi2-security"
		_, err := readConfig(writeConfig(t, dir, config))
		if err == nil || strings.Count(err.Error(), "profiles: ") != 1 {
			t.Errorf("error %v", err)
		}
	})
}

// A slip of the pen in the clients' file, or what the bank cannot give them, is
// told at the start, in the order of the clients.
func TestConfigWarns(t *testing.T) {
	dir, config := configDir(t)
	config["keys"], config["clients"] = "keys.json", "clients.json"
	for name, text := range map[string]string{
		"keys.json": `{"keys":[` + strings.Replace(rfcEC, `"use":"enc",`, "", 1) + `]}`,
		"clients.json": `[
			{"client_id": "b", "client_name#ja": "あ", "logo_uri": "https://b.example/", "id_token_signed_response_alg": "ES256"},
			{"client_id": "a", "access_token_fromat": "opaque", "scope": "accounts money", "authorization_details_types": ["loan"],
			 "id_token_signed_response_alg": "PS256"}]`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := readConfig(writeConfig(t, dir, config))
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBank(s, inMemory(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(b.warnings(t.Context()), "\n")
	want := []string{
		`client "a" will be refused: `, `client "a": "access_token_fromat" is not a member`, `client "a": scope has "money"`,
		`client "a": authorization_details_types has "loan"`, `client "a": id_token_signed_response_alg is "PS256"`, `client "b" will be refused: `,
	}
	for at, text := 0, got; at < len(want); at++ {
		_, after, ok := strings.Cut(text, want[at])
		if !ok {
			t.Fatalf("no warning, or not in its place: %s\n%s", want[at], got)
		}
		text = after
	}
	if n := strings.Count(got, "client \""); n != len(want) {
		t.Errorf("%d warnings, want %d:\n%s", n, len(want), got)
	}
}

// Whoever gives wrong arguments is told which, before the usage.
func TestMisuse(t *testing.T) {
	for want, args := range map[string][]string{
		`"bank.json" is no flag`: {"bank.json"},
		"do not go together":     {"-demo", "-config", "bank.json"},
		"-report goes with":      {"-report"},
		"-report or -report=js":  {"-config", "bank.json", "-report=xml"},
	} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), args, &out, &errs); status != 2 || !strings.Contains(errs.String(), want) || !strings.Contains(errs.String(), "Usage:") {
			t.Errorf("%q: exit status %d, %s", args, status, errs.String())
		}
	}
}
