package mtls

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	maxPath      = 6        // certificates from a client's to the anchor, both counted
	maxPresented = 10       // certificates that a client sends
	maxDER       = 16 << 10 // octets of one
)

var (
	errNoAuthorities = errors.New("mtls: no certificate authorities; name at least one anchor")
	errManyPresented = errors.New("mtls: client sent more than 10 certificates")
	errLarge         = errors.New("mtls: client sent a certificate of more than 16 KiB")
	errLeafCA        = errors.New("mtls: certificate is an authority's own and no client's")
	errClientAuth    = errors.New("mtls: certificate is not for client authentication: its extended key usage does not have clientAuth")
	errSignatures    = errors.New("mtls: certificate is not for signatures: its key usage does not have digitalSignature")
	errLongPath      = errors.New("mtls: path from the certificate to the anchor has more than 6 certificates")
	errWeakHash      = errors.New("mtls: a certificate on the path is signed with a hash weaker than SHA-256")
)

var oidKeyUsage = []int{2, 5, 29, 15}

// Authorities are the certificate authorities whose word a server takes for
// who its clients are. They are a few that it names, such as those of one trust
// framework: by a public one anybody could obtain any name (RFC 8705, 7.4).
//
// Make one with [NewAuthorities] or [ParseAuthorities]; the zero value trusts
// nobody.
type Authorities struct {
	roots, intermediates *x509.CertPool
}

// NewAuthorities returns the authorities with these anchors, at least one, and
// intermediates that clients may leave out when they send their chains. An
// intermediate helps to find a path and is not trusted by itself; an issuing
// authority below a root can be an anchor.
//
// Whatever is not fit for its part is refused at once and not at the first
// client: a certificate that is no authority's, may not sign certificates, has
// a weak key, or whose extended key usage rules out clients. All faults are
// reported, joined. Validity is looked at when it counts, in Verify.
func NewAuthorities(roots []*x509.Certificate, intermediates ...*x509.Certificate) (*Authorities, error) {
	if len(roots) == 0 {
		return nil, errNoAuthorities
	}
	a := &Authorities{x509.NewCertPool(), x509.NewCertPool()}
	var faults []error
	add := func(pool *x509.CertPool, what string, certs []*x509.Certificate) {
		for i, cert := range certs {
			if err := checkAuthority(cert); err != nil {
				faults = append(faults, fmt.Errorf("mtls: %s %d of %d: %w", what, i+1, len(certs), err))
				continue
			}
			pool.AddCert(cert)
		}
	}
	add(a.roots, "anchor", roots)
	add(a.intermediates, "intermediate", intermediates)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return a, nil
}

// checkAuthority checks that cert can be an issuer of client certificates.
func checkAuthority(cert *x509.Certificate) error {
	if cert == nil || len(cert.Raw) == 0 {
		return errNoCertificate
	}
	usages := len(cert.ExtKeyUsage) + len(cert.UnknownExtKeyUsage)
	switch {
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return fmt.Errorf("%q is not a certificate authority's", cert.Subject)
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("%q may not sign certificates: its key usage does not have keyCertSign", cert.Subject)
	case usages > 0 && !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny):
		// Usages nest, so every client below it would be refused.
		return fmt.Errorf("%q cannot issue client certificates: its extended key usage does not have clientAuth", cert.Subject)
	}
	return CheckKey(cert)
}

// ParseAuthorities returns the authorities in files, each of one or more
// certificates in PEM. Self-issued certificates are the anchors and the others
// intermediates, as [NewAuthorities] has them; use that for an anchor below a
// root. Text between certificates is ignored, but a block that is damaged, or
// of another type, is an error, as is a file without a certificate.
func ParseAuthorities(files ...[]byte) (*Authorities, error) {
	var roots, intermediates []*x509.Certificate
	for i, file := range files {
		certs, err := parsePEM(file)
		if err != nil {
			return nil, fmt.Errorf("mtls: PEM file %d of %d: %w", i+1, len(files), err)
		}
		for _, cert := range certs {
			if isSelfIssued(cert) {
				roots = append(roots, cert)
			} else {
				intermediates = append(intermediates, cert)
			}
		}
	}
	return NewAuthorities(roots, intermediates...)
}

// isSelfIssued tells whether cert names itself as its issuer. An authority that
// changes its key signs the new one with the old under one name; the key
// identifiers, where there are any, tell that apart.
func isSelfIssued(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawSubject, cert.RawIssuer) &&
		(len(cert.AuthorityKeyId) == 0 || bytes.Equal(cert.AuthorityKeyId, cert.SubjectKeyId))
}

// parsePEM returns the certificates in file, at least one.
func parsePEM(file []byte) ([]*x509.Certificate, error) {
	begun := bytes.Count(file, []byte("-----BEGIN"))
	var certs []*x509.Certificate
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("holds something other than certificates")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	switch {
	case len(certs) != begun: // pem.Decode steps over what it cannot read
		return nil, errors.New("holds a certificate that is damaged")
	case len(certs) == 0:
		return nil, errors.New("holds no certificate")
	}
	return certs, nil
}

// Verify checks that chain, a client's certificate and what it sent along,
// leads to one of the anchors and may be used to authenticate a client at now
// ([RFC 5280, 6]). A server answers an error with invalid_client.
//
// crypto/x509 finds the path and checks signatures, validity, CA certificates,
// path lengths, name constraints, nested extended key usages and unknown
// critical extensions. It leaves to its caller that the client's certificate is
// no CA's, is for client authentication (it must say so; anyExtendedKeyUsage
// does not) and for signatures, that every key on the path passes [CheckKey]
// and every signature but the anchor's uses SHA-256 or better.
//
// A chain of more than 10 certificates, or with one of more than 16 KiB, is
// refused before any signature is checked; a path of more than 6 certificates,
// the anchor's included, does not count.
//
// [RFC 5280, 6]: https://www.rfc-editor.org/rfc/rfc5280#section-6
func (a *Authorities) Verify(chain []*x509.Certificate, now time.Time) error {
	if a == nil || a.roots == nil { // which crypto/x509 takes for the system's
		return errNoAuthorities
	}
	if err := checkPresented(chain); err != nil {
		return err
	}
	leaf := chain[0]
	if err := checkLeaf(leaf, now); err != nil {
		return err
	}
	intermediates := a.intermediates
	if len(chain) > 1 {
		intermediates = intermediates.Clone()
		for _, cert := range chain[1:] {
			intermediates.AddCert(cert)
		}
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots:         a.roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("mtls: certificate chain: %w", err)
	}
	for _, path := range paths {
		if err = checkPath(path); err == nil {
			return nil
		}
	}
	return err
}

// checkPresented checks what a stranger could make expensive, before any of it
// is used.
func checkPresented(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errNoCertificate
	}
	if len(chain) > maxPresented {
		return errManyPresented
	}
	for _, cert := range chain {
		if cert == nil || len(cert.Raw) == 0 {
			return errNoCertificate
		}
		if len(cert.Raw) > maxDER {
			return errLarge
		}
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
			if err := checkRSACost(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkLeaf checks that a certificate may be a client's.
func checkLeaf(cert *x509.Certificate, now time.Time) error {
	if err := CheckValidity(cert, now); err != nil {
		return err
	}
	hasKeyUsage := slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidKeyUsage) })
	switch {
	case cert.IsCA:
		return errLeafCA
	case !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return errClientAuth
	case hasKeyUsage && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errSignatures
	}
	return nil
}

// checkPath checks a path that crypto/x509 has found, the client's certificate
// first and the anchor last.
func checkPath(path []*x509.Certificate) error {
	if len(path) > maxPath {
		return errLongPath
	}
	for i, cert := range path {
		if err := CheckKey(cert); err != nil {
			return err
		}
		// An anchor is trusted because it is configured, not for its signature.
		if i < len(path)-1 && !isStrongSignature(cert.SignatureAlgorithm) {
			return errWeakHash
		}
	}
	return nil
}

func isStrongSignature(alg x509.SignatureAlgorithm) bool {
	switch alg {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
		x509.PureEd25519:
		return true
	}
	return false
}
