package mtls_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/aikagi/aikagi/mtls"
)

const (
	rfc8705Thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0" // TV-M2
	rfc8705Hex        = "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd"
	rfc8705SPKI       = "Wfn777VsDXE-cW3Wvzm7CuMw6D6h15KRhVqq3o80H48" // TV-M4
)

func TestChain(t *testing.T) {
	certs := []*x509.Certificate{rfc8705()}
	t.Run("RFC8705-3-1 the connection's certificates", func(t *testing.T) {
		r := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: certs}}
		if got := mtls.Chain(r); len(got) != 1 || got[0] != certs[0] {
			t.Errorf("Chain = %v, want the certificate of the connection", got)
		}
	})
	header := http.Header{"Client-Cert": {":" + base64.StdEncoding.EncodeToString(rfc8705().Raw) + ":"}}
	for name, r := range map[string]*http.Request{
		"RFC8705-2-5 no certificate on the connection": {TLS: &tls.ConnectionState{}},
		"RFC8705-2-5 no TLS":                           {},
		"E2E-1 a header":                               {Header: header},
		"PRX-1 a header on TLS":                        {Header: header, TLS: &tls.ConnectionState{}},
		"no request":                                   nil,
	} {
		t.Run(name, func(t *testing.T) {
			if got := mtls.Chain(r); got != nil {
				t.Errorf("Chain = %v, want nil", got)
			}
		})
	}
}

func TestThumbprint(t *testing.T) {
	t.Run("RFC8705-3.1-1 TV-8 the certificate of appendix A", func(t *testing.T) {
		if got := mtls.Thumbprint(rfc8705()); got != rfc8705Thumbprint {
			t.Errorf("Thumbprint = %q, want %q", got, rfc8705Thumbprint)
		}
	})
	t.Run("TV-M3 in hexadecimal", func(t *testing.T) {
		b, err := base64.RawURLEncoding.DecodeString(mtls.Thumbprint(rfc8705()))
		if got := hex.EncodeToString(b); err != nil || got != rfc8705Hex {
			t.Errorf("digest %s, %v, want %s", got, err, rfc8705Hex)
		}
	})
	t.Run("nothing parsed, nothing to bind to", func(t *testing.T) {
		if got := mtls.Thumbprint(nil) + mtls.Thumbprint(new(x509.Certificate)); got != "" {
			t.Errorf("Thumbprint = %q, want none", got)
		}
	})
}

func TestMatchThumbprint(t *testing.T) {
	other := issue(template("other"), newKey(), nil).cert
	empty := "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" // SHA-256 of nothing
	tests := []struct {
		name string
		cert *x509.Certificate
		x5t  string
		want bool
	}{
		{"RFC8705-3.1-1 the certificate's own", rfc8705(), rfc8705Thumbprint, true},
		{"RFC8705-3-3 another certificate", other, rfc8705Thumbprint, false},
		{"RFC8705-3-3 no certificate", nil, rfc8705Thumbprint, false},
		{"RFC8705-3.1-1 padded", rfc8705(), rfc8705Thumbprint + "=", false},
		{"RFC8705-3.1-1 with a line break behind", rfc8705(), rfc8705Thumbprint + "\n", false},
		{"RFC8705-3.1-1 a line break for its last character", rfc8705(), rfc8705Thumbprint[:42] + "\n", false},
		{"RFC8705-3.1-1 spare bits set", rfc8705(), rfc8705Thumbprint[:42] + "1", false},
		{"RFC8705-3.1-1 in the standard alphabet", other, base64.RawStdEncoding.EncodeToString([]byte(rfc8705Hex)), false},
		{"TV-M3 in hexadecimal", rfc8705(), rfc8705Hex, false},
		{"TV-M4 the key's digest", rfc8705(), rfc8705SPKI, false},
		{"RFC8705-7.2 a SHA-1 thumbprint", rfc8705(), "A4DtL2JmUMhAsvJj5tKyn64SqzM", false},
		{"RFC8705-3.1-2 no thumbprint", rfc8705(), "", false},
		{"a certificate that was not parsed", new(x509.Certificate), empty, false},
	}
	t.Run("RFC8705-3.1-1 a line break for the zero that the digest ends in", func(t *testing.T) {
		cert := &x509.Certificate{Raw: []byte{0}}
		sum := sha256.Sum256(cert.Raw)
		for ; sum[31] != 0; sum = sha256.Sum256(cert.Raw) {
			cert.Raw = append(cert.Raw, 0)
		}
		if mtls.MatchThumbprint(cert, base64.RawURLEncoding.EncodeToString(sum[:31])+"\n") {
			t.Error("matches")
		}
		if !mtls.MatchThumbprint(cert, base64.RawURLEncoding.EncodeToString(sum[:])) {
			t.Error("the whole digest does not match")
		}
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mtls.MatchThumbprint(tt.cert, tt.x5t); got != tt.want {
				t.Errorf("MatchThumbprint = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMatchRegistered(t *testing.T) {
	key := newKey()
	own := issue(template("app"), key, nil).cert
	again := issue(template("app"), key, nil).cert
	ca := issue(template("ca"), newKey(), nil)
	issued := issue(template("app"), key, ca).cert
	tests := []struct {
		name       string
		cert       *x509.Certificate
		registered [][]byte
		want       bool
	}{
		{"RFC8705-2.2-2 one of several", own, [][]byte{again.Raw, own.Raw}, true},
		{"RFC8705-2.2-3 issued by an authority", issued, [][]byte{issued.Raw}, true},
		{"RFC8705-2.2-2 same key and name, issued again", again, [][]byte{own.Raw}, false},
		{"RFC8705-2.2-2 with an octet behind", own, [][]byte{append(own.Raw[:len(own.Raw):len(own.Raw)], 0)}, false},
		{"none registered", own, nil, false},
		{"RFC8705-2-5 no certificate", nil, [][]byte{own.Raw}, false},
		{"a certificate that was not parsed", new(x509.Certificate), [][]byte{nil, {}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mtls.MatchRegistered(tt.cert, tt.registered); got != tt.want {
				t.Errorf("MatchRegistered = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCheckValidity(t *testing.T) {
	cert := issue(template("app"), newKey(), nil).cert
	tests := []struct {
		name string
		cert *x509.Certificate
		now  time.Time
		ok   bool
	}{
		{"valid", cert, now, true},
		{"first second", cert, cert.NotBefore, true},
		{"last second", cert, cert.NotAfter, true},
		{"RFC8705-2.2-6 not yet", cert, cert.NotBefore.Add(-time.Nanosecond), false},
		{"RFC8705-2.2-6 expired", cert, cert.NotAfter.Add(time.Nanosecond), false},
		{"TV-M1 expired in 2022", rfc8705(), now, false},
		{"TV-M1 valid in 2020", rfc8705(), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), true},
		{"no clock", cert, time.Time{}, false},
		{"no certificate", nil, now, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := mtls.CheckValidity(tt.cert, tt.now); (err == nil) != tt.ok {
				t.Errorf("CheckValidity = %v", err)
			}
		})
	}
}

// rsaKey returns a public key with a modulus of that many bits.
func rsaKey(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
}

func ecKey(c elliptic.Curve) crypto.PublicKey {
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key.Public()
}

func TestCheckKey(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		key  crypto.PublicKey
		ok   bool
	}{
		{"FAPI2-SP-5.4.1-2 RSA 1024", rsaKey(1024), false},
		{"FAPI2-SP-5.4.1-2 RSA 2047", rsaKey(2047), false},
		{"FAPI2-SP-5.4.1-2 RSA 2048", rsaKey(2048), true},
		{"FAPI2-SP-5.4.1-2 RSA 4096", rsaKey(4096), true},
		{"VAL-8 RSA 8192", rsaKey(8192), true},
		{"VAL-8 RSA 8193", rsaKey(8193), false},
		{"VAL-7 P-224", ecKey(elliptic.P224()), false},
		{"FAPI2-SP-5.4.1-3 P-256", ecKey(elliptic.P256()), true},
		{"P-384", ecKey(elliptic.P384()), true},
		{"P-521", ecKey(elliptic.P521()), true},
		{"Ed25519", ed, true},
		{"FAPI2-SP-5.4.1-3 a curve that crypto/x509 does not know", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := mtls.CheckKey(&x509.Certificate{PublicKey: tt.key}); (err == nil) != tt.ok {
				t.Errorf("CheckKey = %v", err)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) { wantError(t, mtls.CheckKey(nil)) })
}
