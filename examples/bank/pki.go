package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"time"
)

// A pki is every key and certificate of the story. It lives in memory and ends
// with the program.
type pki struct {
	authority []byte         // the authority's certificate, PEM
	roots     *x509.CertPool // the same, for those who trust it

	server  tls.Certificate // of the bank and the fintech, for 127.0.0.1
	fintech tls.Certificate // the hand that the spare key is cut for
	thief   tls.Certificate // as good as the fintech's, but another
}

// pkiLife is how long the certificates are valid.
const pkiLife = 7 * 24 * time.Hour

// newPKI makes an authority, issues the certificates and lets go of the
// authority's key: whoever imports the certificate into a browser trusts
// nothing but what was issued here.
func newPKI(now time.Time) (*pki, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Aikagi example"}, CommonName: "Throw-away authority " + now.UTC().Format(time.DateTime)},
		NotBefore:             now.Add(-time.Minute),
		NotAfter:              now.Add(pkiLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
		// A second lock: no name but this machine's can be vouched for.
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges:           []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}},
	}
	ca, err := issue(template, nil, key, key)
	if err != nil {
		return nil, err
	}
	p := &pki{
		authority: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate[0]}),
		roots:     x509.NewCertPool(),
	}
	p.roots.AddCert(ca.Leaf)

	leaf := func(name string, use x509.ExtKeyUsage) (tls.Certificate, error) {
		k, err := newKey()
		if err != nil {
			return tls.Certificate{}, err
		}
		t := &x509.Certificate{
			Subject:     pkix.Name{Organization: []string{"Aikagi example"}, CommonName: name},
			NotBefore:   template.NotBefore,
			NotAfter:    template.NotAfter,
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{use},
		}
		if use == x509.ExtKeyUsageServerAuth {
			t.DNSNames, t.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
		}
		return issue(t, ca.Leaf, k, key)
	}
	var errs [3]error
	p.server, errs[0] = leaf("127.0.0.1", x509.ExtKeyUsageServerAuth)
	p.fintech, errs[1] = leaf("Kakeibo Note", x509.ExtKeyUsageClientAuth)
	p.thief, errs[2] = leaf("Somebody else", x509.ExtKeyUsageClientAuth)
	return p, errors.Join(errs[:]...)
}

// issue signs t with signer, the key of parent. If parent is nil, the
// certificate is self-signed.
func issue(t, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, err
	}
	t.SerialNumber = serial
	if parent == nil {
		parent = t
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
