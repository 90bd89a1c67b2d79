package mtls

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Authorities are the certificate authorities whose word a bank takes for who
// a client is: a few, chosen by the bank, and never the system's (RFC 8705,
// 7.4).
type Authorities struct {
	roots         *x509.CertPool
	intermediates []*x509.Certificate
}

const (
	maxChain = 10       // certificates that a client may send
	maxDER   = 16 << 10 // bytes of one
	maxPath  = 6        // certificates from the client's to the anchor
)

// NewAuthorities returns authorities with those anchors, at least one, and
// intermediates that clients need not send.
func NewAuthorities(roots []*x509.Certificate, intermediates ...*x509.Certificate) (*Authorities, error) {
	if len(roots) == 0 {
		return nil, errors.New("mtls: no certificate authority")
	}
	a := &Authorities{roots: x509.NewCertPool(), intermediates: slices.Clone(intermediates)}
	for i, c := range roots {
		if !c.IsCA {
			return nil, fmt.Errorf("mtls: certificate %d of %d is not an authority's", i+1, len(roots))
		}
		a.roots.AddCert(c)
	}
	return a, nil
}

// ParseAuthorities returns the authorities in PEM files.
func ParseAuthorities(files ...[]byte) (*Authorities, error) {
	var roots []*x509.Certificate
	for i, file := range files {
		n := 0
		for {
			var block *pem.Block
			if block, file = pem.Decode(file); block == nil {
				break
			}
			if block.Type != "CERTIFICATE" {
				return nil, fmt.Errorf("mtls: file %d has a %s", i+1, block.Type)
			}
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("mtls: file %d: %w", i+1, err)
			}
			roots = append(roots, c)
			n++
		}
		if n == 0 {
			return nil, fmt.Errorf("mtls: file %d has no certificate", i+1)
		}
	}
	return NewAuthorities(roots)
}

// Verify returns nil if chain, the client's own certificate first, leads to
// one of the anchors and is good for client authentication at now (RFC 5280,
// 6). What crypto/x509 leaves to its caller is checked here.
func (a *Authorities) Verify(chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("mtls: no certificate")
	}
	if len(chain) > maxChain {
		return errors.New("mtls: too many certificates")
	}
	leaf := chain[0]
	if err := checkLeaf(leaf); err != nil {
		return err
	}
	pool := x509.NewCertPool()
	for _, c := range slices.Concat(chain[1:], a.intermediates) {
		if len(c.Raw) <= maxDER {
			pool.AddCert(c)
		}
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots:         a.roots,
		Intermediates: pool,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("mtls: %w", err)
	}
	for _, path := range paths {
		if err = checkPath(path); err == nil {
			return nil
		}
	}
	return err
}

func checkLeaf(leaf *x509.Certificate) error {
	switch {
	case len(leaf.Raw) > maxDER:
		return errors.New("mtls: certificate is too large")
	case leaf.IsCA:
		return errors.New("mtls: certificate is an authority's")
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return errors.New("mtls: certificate is not for client authentication")
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("mtls: certificate key is not for signatures")
	}
	return nil
}

// checkPath looks at keys and signatures; the anchor's own signature means
// nothing.
func checkPath(path []*x509.Certificate) error {
	if len(path) > maxPath {
		return errors.New("mtls: path is too long")
	}
	for i, c := range path {
		if err := CheckKey(c); err != nil {
			return err
		}
		if i == len(path)-1 {
			break
		}
		switch c.SignatureAlgorithm {
		case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
			x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
			x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		default:
			return errors.New("mtls: certificate is signed with a weak hash")
		}
	}
	return nil
}
