package fetch_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aikagi/aikagi/internal/fetch"
)

var discard = log.New(io.Discard, "", 0)

// issue signs tmpl with the authority, or with the new key itself if there is none.
func issue(t *testing.T, tmpl, authority *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if authority == nil {
		authority, by = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, authority, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// The server is at 127.0.0.1; each row changes one thing about its certificate.
func TestServerCertificate(t *testing.T) {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, rootKey := issue(t, authority, nil, nil)
	stranger, strangerKey := issue(t, authority, nil, nil)
	tests := []struct {
		name string
		with func(*x509.Certificate)
		by   func(*x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey)
		ok   bool
	}{
		{"honest server", nil, nil, true},
		{"FAPI2-SP-5.2.1-5 FAPI1-BASE-7.1-2 expired", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, nil, false},
		{"FAPI2-SP-5.2.1-5 not valid yet", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }, nil, false},
		{"FAPI2-SP-5.2.1-5 FAPI1-BASE-7.1-2 OIDC-SEC-4 another host's", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 9)} }, nil, false},
		{"FAPI2-SP-5.2.1-5 host in the common name only", func(c *x509.Certificate) {
			c.IPAddresses, c.Subject.CommonName = nil, "127.0.0.1"
		}, nil, false},
		{"FAPI2-SP-5.2.1-5 address as a DNS name", func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, []string{"127.0.0.1"}
		}, nil, false},
		{"FAPI2-SP-5.2.1-5 FAPI1-BASE-7.1-2 self-signed", nil, func(*x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) { return nil, nil }, false},
		{"FAPI2-SP-5.2.1-5 by an authority of the same name", nil, func(*x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
			return stranger, strangerKey
		}, false},
		{"FAPI2-SP-5.2.1-5 a client's certificate", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			leaf := &x509.Certificate{
				SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "fintech"},
				NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
				IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
				KeyUsage:    x509.KeyUsageDigitalSignature,
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			}
			if tt.with != nil {
				tt.with(leaf)
			}
			issuer, issuerKey := root, rootKey
			if tt.by != nil {
				issuer, issuerKey = tt.by(leaf)
			}
			cert, key := issue(t, leaf, issuer, issuerKey)

			srv := httptest.NewUnstartedServer(http.HandlerFunc(jwks))
			quiet(srv)
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
			srv.StartTLS()
			defer srv.Close()
			roots := x509.NewCertPool()
			roots.AddCert(root)
			c := &fetch.Client{AllowPrivate: loopback, RootCAs: roots}
			_, _, err := c.Get(t.Context(), srv.URL)
			var verify *tls.CertificateVerificationError
			if tt.ok && err != nil || !tt.ok && !errors.As(err, &verify) {
				t.Errorf("Get: %v, want ok %v", err, tt.ok)
			}
		})
	}
	t.Run("FAPI2-SP-5.2.1-5 without RootCAs the system's decide", func(t *testing.T) {
		srv, _ := serve(t, jwks)
		c := &fetch.Client{AllowPrivate: loopback}
		var verify *tls.CertificateVerificationError
		if _, _, err := c.Get(t.Context(), srv.URL); !errors.As(err, &verify) {
			t.Errorf("Get: %v, want a refused certificate", err)
		}
	})
}
