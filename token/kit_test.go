package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/token"
)

// The bank, the fintech and the clock are those of the catalogue's examples.
const (
	issuer   = "https://as.finbank.example"
	audience = "https://api.finbank.example"
	x5t      = "s2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk"
	grantID  = "gA4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
	asKID    = "as-sig-2026a"
)

var now = time.Unix(1767225650, 0)

func clock() time.Time { return now }

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asKey is the bank's signing key.
func asKey(t testing.TB) crypto.Signer {
	t.Helper()
	keys, err := jose.ParsePrivateSet(read(t, "testdata/issuer-TEST-ONLY.jwks"))
	if err != nil {
		t.Fatal(err)
	}
	return keys[0].Signer
}

// clientCert is the fintech's certificate.
func clientCert(t testing.TB) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(read(t, "testdata/client.pem"))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newEC(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var newRSA = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func newEd(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newCert issues a self-signed certificate for key.
func newCert(t testing.TB, key crypto.Signer, serial int64) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "tpp-7f3a9c"},
		NotBefore:    time.Unix(1700000000, 0),
		NotAfter:     time.Unix(4000000000, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

type object = map[string]any

// goodHeader and goodClaims are those of an access token that must pass.
func goodHeader() object { return object{"typ": "at+jwt", "alg": "ES256", "kid": asKID} }

func goodClaims() object {
	return object{
		"iss": issuer, "sub": "u-5b1e9d", "aud": audience, "client_id": "tpp-7f3a9c",
		"iat": 1767225642, "exp": 1767225942, "jti": "at-02-77ab10", "scope": "accounts payments",
		"auth_time": 1767225620, "acr": "urn:finbank:acr:sca", "cnf": object{"x5t#S256": x5t},
	}
}

// with returns a copy of o with one member set, or removed if v is nil.
func with(o object, name string, v any) object {
	o = maps.Clone(o)
	o[name] = v
	if v == nil {
		delete(o, name)
	}
	return o
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var b64 = base64.RawURLEncoding

// forge makes a compact JWS of any header and payload whatever, without our
// own signing. The key decides how it is signed: with an EC key as ES256, with
// an RSA key as the header says and else as PS256, with []byte as HS256.
func forge(t testing.TB, header, payload string, key any) string {
	t.Helper()
	signed := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	digest := sha256.Sum256([]byte(signed))
	var sig []byte
	var err error
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		var der []byte
		if der, err = ecdsa.SignASN1(rand.Reader, key, digest[:]); err == nil {
			var rs struct{ R, S *big.Int }
			if _, err = asn1.Unmarshal(der, &rs); err == nil {
				sig = make([]byte, 64)
				rs.R.FillBytes(sig[:32])
				rs.S.FillBytes(sig[32:])
			}
		}
	case *rsa.PrivateKey:
		if strings.Contains(header, `"RS256"`) {
			sig, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		} else {
			sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(key, []byte(signed))
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(signed))
		sig = mac.Sum(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64.EncodeToString(sig)
}

// goodToken is an access token that must pass, freshly signed.
func goodToken(t testing.TB) string {
	t.Helper()
	return forge(t, marshal(t, goodHeader()), marshal(t, goodClaims()), asKey(t))
}

// request is the fintech's request for the account's history.
func request(t testing.TB, authorization ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest("GET", audience+"/accounts?page=1", nil)
	r.Header["Authorization"] = authorization
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{clientCert(t)}}
	return r
}

func config(t testing.TB) token.VerifierConfig {
	t.Helper()
	keys, err := token.NewKeySet(token.PrivateKey{ID: asKID, Algorithm: "ES256", Signer: asKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	return token.VerifierConfig{Issuer: issuer, Audience: audience, Keys: keys, Now: clock}
}

func verifier(t testing.TB, c token.VerifierConfig) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// decode takes a compact JWS apart without any of our own code.
func decode(t testing.TB, compact string) (header, claims object) {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts, want 3", len(parts))
	}
	for i, to := range []*object{&header, &claims} {
		b, err := b64.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, to); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// thumbprint is x5t#S256 (RFC 8705, 3.1), computed here once more.
func thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return b64.EncodeToString(sum[:])
}
