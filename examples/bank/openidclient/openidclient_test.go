// Package openidclient has a stranger drive the bank example: the npm package
// openid-client, over TLS, in every combination of FAPI 2.0 and of FAPI 1.0
// Advanced that a client may choose.
//
// Run it with -count=1, since it builds the bank behind the back of the test
// cache. It needs Node.js with npm and a package registry, and is skipped
// without, unless AIKAGI_REQUIRE (a list divided by commas) has node in it.
package openidclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	subject           = "customer-7"
	customer          = "Hanako"
	detailsType       = "statement" // of authorization_details
	contentEncryption = "A256GCM"
)

// A plan is what drive.mjs is told.
type plan struct {
	Issuer       string             `json:"issuer"`
	Resource     string             `json:"resource"`      // URL, where no certificate is asked for
	MTLSResource string             `json:"mtls_resource"` // URL, where one is
	CA           string             `json:"ca"`            // PEM: who vouches for the bank
	Subject      string             `json:"subject"`       // who approves
	Customer     string             `json:"customer"`      // what the resource calls them
	Details      []any              `json:"details"`       // authorization_details to ask for
	Enc          string             `json:"enc"`           // content encryption, for those who want it
	Clients      map[string]*client `json:"clients"`       // by client_id
	Cases        []testCase         `json:"cases"`
}

// TestOpenIDClient drives a bank that has clients of FAPI 2.0, one that has
// clients of FAPI 1.0, and one that has both at once.
func TestOpenIDClient(t *testing.T) {
	dir := install(t)
	program := build(t)
	for _, tt := range []struct {
		name     string
		profiles []string // of the bank
		cases    []func(*plan, *testing.T, *authority)
	}{
		{"FAPI 2.0", []string{"fapi2-security", "fapi2-message-signing"}, []func(*plan, *testing.T, *authority){(*plan).fapi2}},
		{"FAPI 1.0 Advanced", []string{"fapi1-advanced"}, []func(*plan, *testing.T, *authority){(*plan).fapi1}},
		{"both", []string{"fapi2-security", "fapi1-advanced", "fapi2-message-signing"}, []func(*plan, *testing.T, *authority){(*plan).fapi1, (*plan).fapi2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			authority := newAuthority(t)
			p := &plan{
				CA: string(authority.pem()), Subject: subject, Customer: customer,
				Details: []any{map[string]any{"type": detailsType, "year": 2026}}, Enc: contentEncryption,
				Clients: make(map[string]*client),
			}
			for _, add := range tt.cases {
				add(p, t, authority)
			}
			p.startBank(t, program, authority, tt.profiles)
			p.drive(t, dir)
		})
	}
}

// install puts drive.mjs with its party.mjs and the packages it needs, as package-lock.json pins
// them, into a directory of their own. Without Node.js or the packages the test
// is skipped, and says so.
func install(t *testing.T) string {
	t.Helper()
	lack := t.Skipf
	if slices.Contains(strings.Split(os.Getenv("AIKAGI_REQUIRE"), ","), "node") {
		lack = t.Fatalf
	}
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			lack("%s not installed: openid-client did not drive the bank", name)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"drive.mjs", "party.mjs", "package.json", "package-lock.json"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--no-update-notifier")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		lack("npm ci: %v: openid-client did not drive the bank\n%s", err, out)
	}
	return dir
}

// build builds the bank and returns the program's name.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bank")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// startBank runs the bank with the clients of p on two free ports. At the end
// of the test it presses Ctrl-C.
func (p *plan) startBank(t *testing.T, program string, a *authority, profiles []string) {
	t.Helper()
	bank := exec.Command(program, "-config", p.writeConfig(t, t.TempDir(), a, profiles))
	var complaints bytes.Buffer
	bank.Stderr = &complaints
	out, err := bank.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bank.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bank.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := bank.Wait(); err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
		for line := range strings.Lines(complaints.String()) {
			switch {
			case strings.HasPrefix(line, "bank: warning: "): // of a client it will refuse
				t.Error(line)
			case t.Failed() && !strings.Contains(line, " level=INFO "):
				t.Log(line)
			}
		}
	})
	// One line tells that it serves; without one it has ended.
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, p.Issuer) {
		t.Fatalf("the bank does not serve: %q %v", line, err)
	}
}

// writeConfig writes what -config reads, chooses the ports, and returns the
// file's name.
func (p *plan) writeConfig(t *testing.T, dir string, a *authority, profiles []string) string {
	t.Helper()
	first, second := freeAddress(t), freeAddress(t)
	p.Issuer = "https://" + first
	p.Resource, p.MTLSResource = p.Issuer+"/resource", "https://"+second+"/resource"
	var registered []map[string]any
	for _, c := range p.Clients {
		registered = append(registered, c.Metadata)
	}
	server := a.issue(t, serverCertificate())
	config := filepath.Join(dir, "bank.json")
	for name, b := range map[string][]byte{
		"ca.pem": a.pem(), "server.pem": server.pem(), "server.key": privatePEM(t, server.key),
		"clients.json": marshal(t, registered),
		"bank.json": marshal(t, map[string]any{
			"issuer": p.Issuer, "listen": first, "mtls_base": "https://" + second, "listen_mtls": second,
			"tls_cert": "server.pem", "tls_key": "server.key", "client_ca": []string{"ca.pem"}, "clients": "clients.json",
			"profiles":                    profiles, // the first for clients that name none
			"users":                       []any{map[string]any{"login": "hanako", "password": "pw", "subject": subject, "name": customer}},
			"auto_approve":                subject,
			"dpop_nonce":                  "required",
			"authorization_details_types": []any{map[string]any{"type": detailsType, "fields": []string{"year"}}},
		}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// freeAddress returns a loopback address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// drive runs drive.mjs, and a subtest for each of its cases.
func (p *plan) drive(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "drive.mjs")
	node.Dir = dir
	node.Stdin = bytes.NewReader(marshal(t, p))
	var complaints bytes.Buffer
	node.Stderr = &complaints
	out, err := node.Output()
	if err != nil {
		t.Errorf("drive.mjs: %v\n%s", err, complaints.Bytes())
	}
	results := make(map[string]string)
	lines := json.NewDecoder(bytes.NewReader(out))
	for {
		var result struct{ Name, Error string }
		if err := lines.Decode(&result); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("drive.mjs printed what is not JSON: %v\n%s", err, out)
		}
		results[result.Name] = result.Error
	}
	for _, c := range p.Cases {
		t.Run(c.Name, func(t *testing.T) {
			if why, ok := results[c.Name]; !ok {
				t.Error("drive.mjs did not come to this case")
			} else if why != "" {
				t.Error(why)
			}
		})
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
