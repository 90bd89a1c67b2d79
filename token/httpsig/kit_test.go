package httpsig_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/token/httpsig"
)

// The bank, the fintech, their keys and the clock are those of the catalogue's
// examples: the fintech orders a payment at T0+60, the bank answers a second
// later. The keys are TEST ONLY.
const (
	api      = "https://api.finbank.example"
	payments = api + "/payments"
	tppKID   = "tpp-sig-2026a"
	rsKID    = "rs-http-2026a"
	order    = `{"amount":"165.88","currency":"EUR","creditor":"DE02100100109307118603"}`
	done     = `{"paymentId":"pm-01HZX","status":"pending"}`
)

var now = time.Unix(1767225660, 0)

var (
	tppKey = rawKey("WXxTNBSiSZ-B8yFhiO3AUPJC48VBiNzKReZY7ir8bTo")
	rsKey  = rawKey("vymp1xrQw-4eCyrIL8e0Y468cSh8cZBpRePP1NZRf1Y")
)

var newRSA = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func rawKey(d string) *ecdsa.PrivateKey {
	b, err := base64.RawURLEncoding.DecodeString(d)
	if err != nil {
		panic(err)
	}
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b)
	if err != nil {
		panic(err)
	}
	return k
}

func newEC(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newEd(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/wire/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A call is a request as the fintech's software makes and signs it, with none
// of the code under test.
type call struct {
	method, url string
	header      http.Header
	body        string
	cover       []string // component identifiers, as they are written
	params      string
	label       string
	key         crypto.Signer
	sign        func(t testing.TB, key crypto.Signer, base string) []byte // nil: rawSign
	spoil       func(r *http.Request)                                     // after the signature
}

// good is a call that must pass.
func good() *call {
	return &call{
		method: "POST", url: payments,
		header: http.Header{
			"Authorization":  {"DPoP the-access-token"},
			"Dpop":           {"the-proof"},
			"Content-Type":   {"application/json"},
			"Content-Digest": {sha256Digest(order)},
		},
		body:   order,
		cover:  []string{`"@method"`, `"@target-uri"`, `"authorization"`, `"dpop"`, `"content-digest"`},
		params: fmt.Sprintf(`;created=%d;keyid="%s";tag="fapi-2-request"`, now.Unix(), tppKID),
		label:  "sig1", key: tppKey,
	}
}

func sha256Digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// without takes a component out of the coverage.
func (c *call) without(id string) {
	var kept []string
	for _, s := range c.cover {
		if s != id {
			kept = append(kept, s)
		}
	}
	c.cover = kept
}

// base is the signature base, written down by hand.
func (c *call) base() string {
	path := strings.TrimPrefix(c.url, api)
	path, query, _ := strings.Cut(path, "?")
	derived := map[string]string{
		"@method": c.method, "@target-uri": c.url, "@authority": "api.finbank.example", "@scheme": "https",
		"@path": path, "@query": "?" + query, "@request-target": strings.TrimPrefix(c.url, api), "@status": "200",
		"host": "api.finbank.example",
	}
	var b strings.Builder
	for _, id := range c.cover {
		name := regexp.MustCompile(`^"([^"]*)"`).FindStringSubmatch(id)[1]
		value, ok := derived[name]
		if !ok {
			value = strings.Join(c.header[http.CanonicalHeaderKey(name)], ", ")
		}
		b.WriteString(id + ": " + value + "\n")
	}
	return b.String() + `"@signature-params": ` + c.input()
}

func (c *call) input() string { return "(" + strings.Join(c.cover, " ") + ")" + c.params }

func (c *call) request(t testing.TB) *http.Request {
	t.Helper()
	r := httptest.NewRequest(c.method, c.url, strings.NewReader(c.body))
	if c.body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for name, values := range c.header {
		r.Header[name] = append([]string(nil), values...)
	}
	if c.key != nil {
		s := c.sign
		if s == nil {
			s = rawSign
		}
		r.Header.Set("Signature-Input", c.label+"="+c.input())
		r.Header.Set("Signature", c.label+"=:"+base64.StdEncoding.EncodeToString(s(t, c.key, c.base()))+":")
	}
	if c.spoil != nil {
		c.spoil(r)
	}
	return r
}

// rawSign signs as the key's JOSE algorithm has it: ES256, EdDSA or PS256.
func rawSign(t testing.TB, key crypto.Signer, base string) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(base))
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(derSign(t, key, base), &rs); err != nil {
			t.Fatal(err)
		}
		return append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(base))
	case *rsa.PrivateKey:
		sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	t.Fatalf("key %T", key)
	return nil
}

func derSign(t testing.TB, key crypto.Signer, base string) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(base))
	der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// rawVerify reports whether sig is the P-256 key's over base.
func rawVerify(key *ecdsa.PublicKey, base string, sig []byte) bool {
	digest := sha256.Sum256([]byte(base))
	return len(sig) == 64 && ecdsa.Verify(key, digest[:],
		new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}

// keysOf returns what finds the fintech's keys, by keyid if there is one.
func keysOf(keys ...crypto.PublicKey) func(*http.Request, string) ([]crypto.PublicKey, error) {
	return func(_ *http.Request, id string) ([]crypto.PublicKey, error) {
		if id != "" && id != tppKID {
			return nil, nil
		}
		return keys, nil
	}
}

func verifierConfig() httpsig.VerifierConfig {
	return httpsig.VerifierConfig{
		Draft: httpsig.Draft01, Origins: []string{api}, Keys: keysOf(tppKey.Public()),
		Now: func() time.Time { return now },
	}
}

func signerConfig() httpsig.SignerConfig {
	return httpsig.SignerConfig{
		Draft: httpsig.Draft01, Origins: []string{api},
		Key: func(context.Context) (string, crypto.Signer, error) { return rsKID, rsKey, nil },
		Now: func() time.Time { return now.Add(time.Second) },
	}
}

func newVerifier(t testing.TB, c httpsig.VerifierConfig) *httpsig.Verifier {
	t.Helper()
	v, err := httpsig.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newSigner(t testing.TB, c httpsig.SignerConfig) *httpsig.Signer {
	t.Helper()
	s, err := httpsig.NewSigner(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pay is the bank's API: it takes an order and says so.
var pay = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, done)
})

func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(b))
	return string(b)
}

var (
	signedPattern    = regexp.MustCompile(`^rsp=(\(([^)]*)\);created=(\d+);keyid="([^"]*)";tag="fapi-2-response")$`)
	componentPattern = regexp.MustCompile(`"([^"]+)"(;req)?(?:;key="([^"]*)")?`)
	memberPattern    = regexp.MustCompile(`^([a-z0-9]+)=(.*)$`)
)

// responseBase is what the fintech's software makes of the answer to r, to
// verify its signature by, and the covered identifiers. It reads what the code
// under test has written with regular expressions.
func responseBase(t testing.TB, r *http.Request, url string, res *http.Response) (base string, covered []string) {
	t.Helper()
	m := signedPattern.FindStringSubmatch(res.Header.Get("Signature-Input"))
	if m == nil {
		t.Fatalf("Signature-Input %q", res.Header.Get("Signature-Input"))
	}
	var b strings.Builder
	for _, c := range componentPattern.FindAllStringSubmatch(m[2], -1) {
		var value string
		switch header := res.Header; {
		case c[1] == "@status":
			value = fmt.Sprint(res.StatusCode)
		case c[1] == "@method":
			value = r.Method
		case c[1] == "@target-uri":
			value = url
		default:
			if c[2] != "" {
				header = r.Header
			}
			value = header.Get(c[1])
			if c[3] != "" {
				member := memberPattern.FindStringSubmatch(value)
				if member == nil || member[1] != c[3] {
					t.Fatalf("%s has no member %q", c[1], c[3])
				}
				value = member[2]
			}
		}
		covered = append(covered, c[0])
		b.WriteString(c[0] + ": " + value + "\n")
	}
	return b.String() + `"@signature-params": ` + m[1], covered
}

// responseSignature returns the octets in the answer's Signature.
func responseSignature(t testing.TB, res *http.Response) []byte {
	t.Helper()
	s, ok := strings.CutPrefix(res.Header.Get("Signature"), "rsp=:")
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(s, ":"))
	if !ok || err != nil {
		t.Fatalf("Signature %q: %v", res.Header.Get("Signature"), err)
	}
	return sig
}

// verified checks the answer to r as the fintech does and returns what is
// covered (FAPI 2.0 HTTP Signatures, 5.3.2.2).
func verified(t testing.TB, r *http.Request, url string, res *http.Response) []string {
	t.Helper()
	base, covered := responseBase(t, r, url, res)
	if !rawVerify(&rsKey.PublicKey, base, responseSignature(t, res)) {
		t.Errorf("the answer's signature is not valid over\n%s", base)
	}
	if b := body(t, res); b != "" && res.Header.Get("Content-Digest") != sha256Digest(b) {
		t.Errorf("Content-Digest %q for body %q", res.Header.Get("Content-Digest"), b)
	}
	return covered
}
