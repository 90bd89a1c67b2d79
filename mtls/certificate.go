package mtls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"time"
)

const (
	minRSABits = 2048 // FAPI 2.0 SP, 5.4.1-2
	maxRSABits = 8192 // beyond it a signature check costs more than it is worth
)

var (
	errNoCertificate = errors.New("mtls: no client certificate")
	errNotYetValid   = errors.New("mtls: certificate is not valid yet")
	errExpired       = errors.New("mtls: certificate has expired")
	errKeyType       = errors.New("mtls: certificate key is not RSA, ECDSA or Ed25519")
	errShortRSA      = errors.New("mtls: certificate has an RSA key of less than 2048 bits")
	errLongRSA       = errors.New("mtls: certificate has an RSA key of more than 8192 bits")
	errCurve         = errors.New("mtls: certificate key is on a curve other than P-256, P-384 and P-521")
)

// thumbprints are in base64url without padding, and in no second form: the
// last character of a digest has two bits to spare, which must be zero.
var thumbprints = base64.RawURLEncoding.Strict()

const thumbprintLen = 43 // 32 octets in base64url without padding

// Chain returns the certificates that the client of r presented on its TLS
// connection, its own first, or nil if there are none. On a resumed
// connection they are those of the first one.
//
// The client has proved that it holds the key of the first. The others are
// only what it sent along, and none is trusted because it is here. The slice
// belongs to the connection and must not be changed.
func Chain(r *http.Request) []*x509.Certificate {
	if r == nil || r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// Thumbprint returns the x5t#S256 of cert, 43 characters: the SHA-256 digest
// of the certificate's DER encoding in base64url ([RFC 8705, 3.1]). Of nil and
// of a certificate that was not parsed it is "", which binds nothing.
//
// [RFC 8705, 3.1]: https://www.rfc-editor.org/rfc/rfc8705#section-3.1
func Thumbprint(cert *x509.Certificate) string {
	if cert == nil || len(cert.Raw) == 0 {
		return ""
	}
	sum := sha256.Sum256(cert.Raw)
	return thumbprints.EncodeToString(sum[:])
}

// MatchThumbprint tells whether x5t is the x5t#S256 of cert. The digests are
// compared in a time that does not depend on where they differ. An x5t in any
// form but 43 characters of base64url, padded ones included, matches nothing.
func MatchThumbprint(cert *x509.Certificate, x5t string) bool {
	if cert == nil || len(cert.Raw) == 0 || len(x5t) != thumbprintLen {
		return false
	}
	var in [thumbprintLen]byte
	var want [sha256.Size]byte
	copy(in[:], x5t)
	// The decoder skips line breaks, and then decodes to fewer octets.
	if n, err := thumbprints.Decode(want[:], in[:]); err != nil || n != sha256.Size {
		return false
	}
	got := sha256.Sum256(cert.Raw)
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// MatchRegistered tells whether cert is one of registered, the DER
// certificates that a client of self_signed_tls_client_auth has registered as
// first element of x5c in a JWK ([RFC 8705, 2.2]). The whole certificate
// counts: another one for the same key does not match. Validity and key are
// left to [CheckValidity] and [CheckKey].
//
// [RFC 8705, 2.2]: https://www.rfc-editor.org/rfc/rfc8705#section-2.2
func MatchRegistered(cert *x509.Certificate, registered [][]byte) bool {
	if cert == nil || len(cert.Raw) == 0 {
		return false
	}
	for _, der := range registered {
		if bytes.Equal(cert.Raw, der) {
			return true
		}
	}
	return false
}

// CheckValidity checks that cert is valid at now, both of its dates included.
func CheckValidity(cert *x509.Certificate, now time.Time) error {
	switch {
	case cert == nil:
		return errNoCertificate
	case now.Before(cert.NotBefore):
		return errNotYetValid
	case now.After(cert.NotAfter):
		return errExpired
	}
	return nil
}

// CheckKey checks that the key of cert is strong enough: RSA from 2048 to 8192
// bits, ECDSA on P-256, P-384 or P-521, or Ed25519 (FAPI 2.0 SP, 5.4.1-2 and
// 5.4.1-3). The upper bound keeps a stranger's key from costing us dear.
func CheckKey(cert *x509.Certificate) error {
	if cert == nil {
		return errNoCertificate
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return errShortRSA
		}
		return checkRSACost(key)
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return errCurve
	case ed25519.PublicKey:
		return nil
	}
	return errKeyType
}

func checkRSACost(key *rsa.PublicKey) error {
	if key.N.BitLen() > maxRSABits {
		return errLongRSA
	}
	return nil
}
