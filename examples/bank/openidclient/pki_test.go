package openidclient

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// A certificate and its key.
type certificate struct {
	template *x509.Certificate
	der      []byte
	key      crypto.Signer
}

func (c *certificate) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.der})
}

// An authority issues the certificates of one run.
type authority struct{ *certificate }

func newAuthority(t *testing.T) *authority {
	t.Helper()
	return &authority{selfSigned(t, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "openid-client's authority"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	})}
}

func serverCertificate() *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "127.0.0.1"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

func clientCertificate(id string) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"openid-client"}, SerialNumber: id},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// issue makes a certificate as in template for a new key.
func (a *authority) issue(t *testing.T, template *x509.Certificate) *certificate {
	t.Helper()
	return create(t, template, a.template, newKey(t, "ES256"), a.key)
}

// selfSigned is like issue, for whoever vouches for themselves.
func selfSigned(t *testing.T, template *x509.Certificate) *certificate {
	t.Helper()
	key := newKey(t, "ES256")
	return create(t, template, template, key, key)
}

func create(t *testing.T, template, parent *x509.Certificate, key, signer crypto.Signer) *certificate {
	t.Helper()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return &certificate{template, der, key}
}

// oneRSA is the RSA key of all clients. Making one takes longer than all that a
// client does with it, and none of those who attack each other sign by it.
var oneRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// newKey returns a key that alg fits, a new one if it is no RSA key.
func newKey(t *testing.T, alg string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch alg {
	case "PS256", "RSA-OAEP-256":
		key, err = oneRSA()
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default: // ES256, ECDH-ES
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// privatePEM returns the key as PKCS #8.
func privatePEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// publicJWK adds the key to the members of a JWK (RFC 7518, 6 and RFC 8037, 2).
func publicJWK(t *testing.T, key crypto.PublicKey, members map[string]any) map[string]any {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := key.(type) {
	case *rsa.PublicKey:
		members["kty"], members["n"], members["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case ed25519.PublicKey:
		members["kty"], members["crv"], members["x"] = "OKP", "Ed25519", b64(k)
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 0x04, x, y
		if err != nil {
			t.Fatal(err)
		}
		members["kty"], members["crv"], members["x"], members["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	default:
		t.Fatalf("no JWK for %T", key)
	}
	return members
}
