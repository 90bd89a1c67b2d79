package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Who imports the throw-away authority trusts it for this machine and nothing
// else.
func TestAuthorityIsHarmless(t *testing.T) {
	p, err := newPKI(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(p.authority)
	if block == nil || len(rest) > 0 {
		t.Fatal("the authority is not one PEM block")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.PermittedDNSDomainsCritical || len(ca.PermittedDNSDomains) != 1 || ca.PermittedDNSDomains[0] != "localhost" ||
		len(ca.PermittedIPRanges) != 1 || ca.PermittedIPRanges[0].String() != "127.0.0.0/8" {
		t.Errorf("names permitted: %v %v, critical %v", ca.PermittedDNSDomains, ca.PermittedIPRanges, ca.PermittedDNSDomainsCritical)
	}
	if !ca.MaxPathLenZero || time.Until(ca.NotAfter) > pkiLife {
		t.Errorf("it may issue authorities (%v), or lives too long (%v)", !ca.MaxPathLenZero, ca.NotAfter)
	}
	for name, want := range map[string]bool{"127.0.0.1": true, "localhost": true, "bank.example": false} {
		_, err := p.server.Leaf.Verify(x509.VerifyOptions{Roots: p.roots, DNSName: name})
		if (err == nil) != want {
			t.Errorf("server certificate for %s: %v", name, err)
		}
	}
	if _, err := p.fintech.Leaf.Verify(x509.VerifyOptions{Roots: p.roots}); err == nil {
		t.Error("the fintech's certificate is good for a server")
	}
}

// A server that poses as the bank is found out by its metadata.
func TestClientRefusesAnotherIssuer(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewEncoder(w).Encode(map[string]string{"issuer": "https://" + r.Host + "/", "token_endpoint": "x"}); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	c := &client{issuer: s.URL, http: s.Client()}
	if m, err := c.discover(t.Context()); err == nil || !strings.Contains(err.Error(), "issuer") {
		t.Errorf("discover: %v, %v", m, err)
	}
}
