package main

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A variant is a bank, and two clients of one kind who want to be served.
type variant struct {
	*lab
	kind
	profile string
	mixed   bool   // whether the bank has clients of other profiles as well
	scope   string // asked for; "" for the usual
	clients [2]*tester
	doc     map[string]any // the bank's metadata
	par     string         // endpoints, by their aliases where there are some
	token   string
	api     string
}

// everyMethod has clients of each authentication method.
var everyMethod = []kind{
	{method: "private_key_jwt", openid: true}, {method: "tls_client_auth"}, {method: "self_signed_tls_client_auth", openid: true},
}

// conformanceBank runs the bank with testers of each kind, and with change
// applied to its configuration: on two listeners, with an EC certificate, or on
// one that does both, with an RSA certificate.
func conformanceBank(t *testing.T, two bool, kinds []kind, change map[string]any) []*variant {
	t.Helper()
	return deploy(t, two, !two, kinds, change)
}

// deploy is conformanceBank for either certificate.
func deploy(t *testing.T, two, rsaCertificate bool, kinds []kind, change map[string]any) []*variant {
	t.Helper()
	return deployPrepared(t, two, rsaCertificate, kinds, change, nil)
}

// deployPrepared is deploy with what is done before the bank runs, if not nil.
func deployPrepared(t *testing.T, two, rsaCertificate bool, kinds []kind, change map[string]any, prepare func(config string)) []*variant {
	t.Helper()
	dir, config := configDir(t)
	l := &lab{roots: x509.NewCertPool(), stderr: new(syncBuffer)}
	config["listen"] = freeAddress(t)
	l.issuer = "https://" + config["listen"].(string)
	l.machines = l.issuer
	config["issuer"], config["client_ca"] = l.issuer, []string{"client-ca.pem"}
	config["users"] = []any{map[string]any{"login": "hanako", "password": "pw", "subject": "customer-7", "name": "Hanako", "email": "h@example.com", "email_verified": true}}
	if two {
		config["listen_mtls"] = freeAddress(t)
		l.machines = "https://" + config["listen_mtls"].(string)
		config["mtls_base"] = l.machines
	}
	if rsaCertificate {
		writeRSACertificate(t, dir)
	}
	useBankKeys(t, dir, config)
	maps.Copy(config, change)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	l.roots.AppendCertsFromPEM(ca)

	issued, err := newPKI(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var variants []*variant
	var metadata []any
	profile := "fapi2-security"
	if list, ok := config["profiles"].([]string); ok {
		profile = list[0]
	}
	for n, k := range kinds {
		v := &variant{lab: l, kind: k, profile: profile, clients: newTesters(t, n, k, l, issued)}
		for _, c := range v.clients {
			metadata = append(metadata, c.metadata(t))
		}
		variants = append(variants, v)
	}
	clients, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"client-ca.pem": issued.authority, "clients.json": clients} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := writeConfig(t, dir, config)
	if prepare != nil {
		prepare(name)
	}
	l.start(t, name)
	t.Cleanup(func() { // before the bank stops, so that it need not wait
		for _, v := range variants {
			for _, c := range v.clients {
				c.http.CloseIdleConnections()
				c.naked.CloseIdleConnections()
			}
		}
	})
	if warned := l.stderr.String(); strings.Contains(warned, "will be refused") && config["retire"] == nil {
		t.Fatal(warned)
	}
	for _, v := range variants {
		v.discover(t)
	}
	return variants
}

// writeRSACertificate puts a certificate for an RSA key in place of the one in
// dir. It vouches for itself.
func writeRSACertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := serverRSA()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, b := range map[string][]byte{
		"cert.pem": cert, "ca.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// discover reads the bank's metadata where a client of this kind looks for it,
// and takes the endpoints from there.
func (v *variant) discover(t *testing.T) {
	t.Helper()
	where := "/.well-known/oauth-authorization-server"
	if v.openid {
		where = "/.well-known/openid-configuration"
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.issuer+where, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := ask(t, v.clients[0].naked, req)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" || r.json == nil {
		t.Fatalf("metadata: %d %v", r.status, r.header)
	}
	v.doc = r.json
	v.par, v.token = v.endpoint("pushed_authorization_request_endpoint"), v.endpoint("token_endpoint")
	v.api = v.machines + "/resource"
}

// endpoint returns the URL of an endpoint for clients with certificates (RFC
// 8705, 5).
func (v *variant) endpoint(name string) string {
	if aliases, ok := v.doc["mtls_endpoint_aliases"].(map[string]any); ok {
		if alias, ok := aliases[name].(string); ok {
			return alias
		}
	}
	s, _ := v.doc[name].(string)
	return s
}
