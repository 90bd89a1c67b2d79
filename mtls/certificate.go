// Package mtls is the part of mutual TLS that OAuth rests on (RFC 8705): the
// client certificate of a request, its thumbprint, and whether it is the one
// that a client registered.
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

// Chain returns the certificates that the client sent on r's own TLS
// connection, its own first, or nil if it sent none. TLS has proved that the
// client holds the key of the first, and nothing else.
func Chain(r *http.Request) []*x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates
}

// Thumbprint returns the SHA-256 of cert's DER in base64url without padding,
// 43 characters: the value of x5t#S256 (RFC 8705, 3.1).
func Thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// MatchThumbprint reports, in constant time, whether x5t is the thumbprint of
// cert.
func MatchThumbprint(cert *x509.Certificate, x5t string) bool {
	return subtle.ConstantTimeCompare([]byte(Thumbprint(cert)), []byte(x5t)) == 1
}

// MatchRegistered reports whether cert is one of those registered, each in
// DER (RFC 8705, 2.2.2).
func MatchRegistered(cert *x509.Certificate, registered [][]byte) bool {
	for _, der := range registered {
		if bytes.Equal(der, cert.Raw) {
			return true
		}
	}
	return false
}

// CheckValidity returns an error if cert is not valid at now.
func CheckValidity(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(cert.NotBefore):
		return errors.New("mtls: certificate is not yet valid")
	case now.After(cert.NotAfter):
		return errors.New("mtls: certificate has expired")
	}
	return nil
}

// CheckKey returns an error unless cert's key is RSA of 2048 to 8192 bits, on
// P-256 or a stronger curve, or Ed25519 (FAPI 2.0 SP, 5.4.1).
func CheckKey(cert *x509.Certificate) error {
	switch k := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n >= 2048 && n <= 8192 {
			return nil
		}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
	case ed25519.PublicKey:
		return nil
	}
	return errors.New("mtls: certificate key is too weak or of an unknown type")
}
