package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/token/dpop"
)

// now is when the good proof is made and shown.
var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func clock(t time.Time) func() time.Time { return func() time.Time { return t } }

func verifier(t testing.TB, c dpop.Config) *dpop.Verifier {
	t.Helper()
	if c.Now == nil {
		c.Now = clock(now)
	}
	v, err := dpop.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// object is a JSON object in the making.
type object = map[string]any

// A proof is one in the making, and the request it goes with. It is signed
// without the help of the package under test.
type proof struct {
	header, claims object
	key            crypto.Signer
	request        dpop.Request
	spoil          func(compact string) string // if not nil, has the last word
}

const (
	tokenURL = "https://as.bank.example/token"
	apiURL   = "https://api.bank.example/history"
	aToken   = "opaque~access.token"
)

// good is a proof for a token request, by the EC key.
func good() *proof {
	return &proof{
		header:  object{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk(ecKey.Public())},
		claims:  object{"jti": "6d6dzn3Q0wV9ZV3l", "htm": "POST", "htu": tokenURL, "iat": now.Unix()},
		key:     ecKey,
		request: dpop.Request{Method: "POST", URLs: []string{tokenURL}},
	}
}

// goodAtAPI is a proof for a resource request.
func goodAtAPI() *proof {
	p := good()
	maps.Copy(p.claims, object{"htm": "GET", "htu": apiURL, "ath": b64(sum256(aToken))})
	p.request = dpop.Request{Method: "GET", URLs: []string{apiURL}, AccessToken: aToken}
	return p
}

// by has the proof signed by another key, its own jwk and alg included.
func (p *proof) by(alg string, key crypto.Signer) {
	p.key = key
	p.header["alg"], p.header["jwk"] = alg, jwk(key.Public())
}

func (p *proof) compact(t testing.TB) string {
	t.Helper()
	alg, _ := p.header["alg"].(string)
	input := b64(marshal(t, p.header)) + "." + b64(marshal(t, p.claims))
	s := input + "." + b64(sign(t, alg, p.key, input))
	if p.spoil != nil {
		s = p.spoil(s)
	}
	return s
}

// show presents the proof.
func (p *proof) show(t testing.TB, v *dpop.Verifier) (*dpop.Proof, error) {
	t.Helper()
	r := p.request
	if r.Header == nil {
		r.Header = http.Header{}
		r.Header.Set("DPoP", p.compact(t))
	}
	return v.Verify(r)
}

func sign(t testing.TB, alg string, key crypto.Signer, input string) []byte {
	t.Helper()
	digest := sum256(input)
	var opts crypto.SignerOpts = crypto.SHA256
	switch alg {
	case "none":
		return nil
	case "HS256": // with the public key as the secret, as attackers do
		mac := hmac.New(sha256.New, marshal(t, jwk(key.Public())))
		mac.Write([]byte(input))
		return mac.Sum(nil)
	case "PS256":
		opts = &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
	case "EdDSA", "Ed25519":
		digest, opts = []byte(input), crypto.Hash(0)
	case "ES384":
		sum := sha512.Sum384([]byte(input))
		digest, opts = sum[:], crypto.SHA384
	}
	if ec, ok := key.(*ecdsa.PrivateKey); ok { // r and s beside each other
		r, s, err := ecdsa.Sign(rand.Reader, ec, digest)
		if err != nil {
			t.Fatal(err)
		}
		size := (ec.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	sig, err := key.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// jwk writes the public members, in no particular order.
func jwk(pub crypto.PublicKey) object {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		b, err := pub.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(b) / 2
		return object{"kty": "EC", "crv": pub.Curve.Params().Name, "x": b64(b[1 : 1+half]), "y": b64(b[1+half:])}
	case *rsa.PublicKey:
		return object{"kty": "RSA", "n": b64(pub.N.Bytes()), "e": b64(big.NewInt(int64(pub.E)).Bytes())}
	case ed25519.PublicKey:
		return object{"kty": "OKP", "crv": "Ed25519", "x": b64(pub)}
	}
	panic("no such key")
}

// thumbprint is RFC 7638 by way of encoding/json, which sorts an object's
// members and writes no white space.
func thumbprint(t testing.TB, pub crypto.PublicKey) string {
	return b64(sum256(string(marshal(t, jwk(pub)))))
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func sum256(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// refused fails the test unless err is a refusal with this code and rule.
func refused(t testing.TB, p *dpop.Proof, err error, code, rule string) {
	t.Helper()
	var e *dpop.Error
	if !errors.As(err, &e) {
		t.Fatalf("proof %v, error %v, want %s by rule %s", p, err, code, rule)
	}
	if e.Code != code || e.Rule != rule {
		t.Errorf("error %v, want %s by rule %s", err, code, rule)
	}
	if p != nil {
		t.Errorf("a proof beside the error: %+v", *p)
	}
	for _, c := range e.Description { // RFC 6749, 5.2: error_description
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			t.Errorf("description %q has %q", e.Description, c)
		}
	}
}

var ecKey, otherKey = newEC(elliptic.P256()), newEC(elliptic.P256())

func newEC(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

var edKey = ed25519.NewKeyFromSeed(sum256("a seed for tests"))

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
