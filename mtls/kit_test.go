package mtls_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// now is when the certificates of these tests are looked at.
var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// rfc8705 is the certificate of RFC 8705, appendix A.
var rfc8705 = sync.OnceValue(func() *x509.Certificate {
	der, err := base64.StdEncoding.DecodeString("MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVow" +
		"DzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIX" +
		"hbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2" +
		"DmFfQj1L+SY=")
	if err != nil {
		panic(err)
	}
	return parsed(der)
})

func parsed(der []byte) *x509.Certificate {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

func newKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func newRSAKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

var rsa2048 = sync.OnceValue(func() *rsa.PrivateKey { return newRSAKey(2048) })

// An entity is a certificate and its key.
type entity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// template returns what the certificates of these tests have in common.
func template(cn string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.Unix()),
		Subject:      pkix.Name{Country: []string{"JP"}, CommonName: cn},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(time.Hour),
	}
}

// authority makes a template one of an authority.
func authority(c *x509.Certificate) {
	c.BasicConstraintsValid, c.IsCA = true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

// client makes a template one of a client.
func client(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// issue returns a certificate for pub by issuer, or by itself if that is nil.
func issue(c *x509.Certificate, key crypto.Signer, issuer *entity) *entity {
	if issuer == nil {
		issuer = &entity{c, key}
	}
	return &entity{sign(c, key.Public(), issuer), key}
}

func sign(c *x509.Certificate, pub crypto.PublicKey, issuer *entity) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, c, issuer.cert, pub, issuer.key)
	if err != nil {
		panic(err)
	}
	return parsed(der)
}

// An ava is one type and value in a subject, encoded as given.
type ava struct {
	oid   string
	tag   cryptobyte_asn1.Tag
	value string
}

const (
	printable = cryptobyte_asn1.PrintableString
	utf8      = cryptobyte_asn1.UTF8String
	ia5       = cryptobyte_asn1.IA5String
	t61       = cryptobyte_asn1.T61String
	bmp       = cryptobyte_asn1.Tag(30)
	octets    = cryptobyte_asn1.OCTET_STRING
)

// encode returns an encoded name, most general RDN first.
func encode(rdns ...[]ava) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, r := range rdns {
			b.AddASN1(cryptobyte_asn1.SET, func(b *cryptobyte.Builder) {
				for _, a := range r {
					b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oid(a.oid))
						b.AddASN1(a.tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.value)) })
					})
				}
			})
		}
	})
	return b.BytesOrPanic()
}

// singles returns RDNs of one attribute each.
func singles(avas ...ava) (rdns [][]ava) {
	for _, a := range avas {
		rdns = append(rdns, []ava{a})
	}
	return rdns
}

func oid(dotted string) (id asn1.ObjectIdentifier) {
	o, err := x509.ParseOID(dotted)
	if err != nil {
		panic(err)
	}
	der, _ := o.MarshalBinary()
	full := append([]byte{6, byte(len(der))}, der...)
	if _, err := asn1.Unmarshal(full, &id); err != nil {
		panic(err)
	}
	return id
}

// A san is one entry of a subjectAltName extension.
type san struct {
	tag   byte // as in RFC 5280, 4.2.1.6
	value string
}

func (s san) context() cryptobyte_asn1.Tag {
	return cryptobyte_asn1.Tag(s.tag).ContextSpecific()
}

func sanExtension(names ...san) pkix.Extension {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, n := range names {
			b.AddASN1(n.context(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(n.value)) })
		}
	})
	return pkix.Extension{Id: oid("2.5.29.17"), Value: b.BytesOrPanic()}
}

// named returns what Match looks at of a certificate, without the checks that
// crypto/x509 makes when it parses one.
func named(subject []byte, extensions ...pkix.Extension) *x509.Certificate {
	return &x509.Certificate{RawSubject: subject, Extensions: extensions}
}

// wantError checks that a check which must refuse did so.
func wantError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("accepted")
	}
}

func wantNone(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("refused: %v", err)
	}
}

func cryptobyteTag(tag int) cryptobyte_asn1.Tag { return cryptobyte_asn1.Tag(tag) }

func hexText(s string) string { return hex.EncodeToString([]byte(s)) }
