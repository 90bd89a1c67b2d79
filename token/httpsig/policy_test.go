package httpsig_test

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token/httpsig"
)

func TestKeys(t *testing.T) {
	ed, p384 := newEd(t), newEC(t, elliptic.P384())
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 8192, 1), E: 65537} // costs us more than its owner
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	pss512 := func(t testing.TB, key crypto.Signer, base string) []byte {
		sum := sha512.Sum512([]byte(base))
		sig, err := rsa.SignPSS(rand.Reader, newRSA(), crypto.SHA512, sum[:], &rsa.PSSOptions{SaltLength: 64})
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	pkcs1 := func(t testing.TB, key crypto.Signer, base string) []byte {
		sum := sha256.Sum256([]byte(base))
		sig, err := rsa.SignPKCS1v15(rand.Reader, newRSA(), crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	pub := func(keys ...crypto.Signer) (list []crypto.PublicKey) {
		for _, k := range keys {
			list = append(list, k.Public())
		}
		return list
	}
	alg := func(name string) func(*call) { return params(";keyid", `;alg="`+name+`";keyid`) }
	tests := []struct {
		name string
		key  crypto.Signer
		keys []crypto.PublicKey
		with func(*call)
		rule string // "" means it passes
	}{
		{"RFC9421-3.3-2 ES256", tppKey, pub(tppKey), nil, ""},
		{"RFC9421-3.3-2 EdDSA", ed, pub(ed), nil, ""},
		{"RFC9421-3.3-2 PS256", newRSA(), pub(newRSA()), nil, ""},
		{"RFC9421-3.2-2 alg ed25519", ed, pub(ed), alg("ed25519"), ""},
		{"FAPI2-HS-5.3.2-1 the second of the client's keys", tppKey, pub(ed, newRSA(), tppKey), nil, ""},
		{"FAPI2-HS-5.3.2-1 a key of another type is passed over", tppKey, []crypto.PublicKey{"?", p384.Public(), tppKey.Public()}, nil, ""},
		{"FAPI2-HS-5.3.2-1 no key", tppKey, nil, nil, "FAPI2-HS-5.3.2-1"},
		{"FAPI2-HS-5.3.2-1 the key of another client", tppKey, pub(rsKey), nil, "FAPI2-HS-5.3.2-2"},
		{"FAPI2-HS-5.3.2-1 the ninth key is not tried", tppKey, pub(ed, ed, ed, ed, ed, ed, ed, ed, tppKey), nil, "FAPI2-HS-5.3.2-2"},
		{"FAPI2-HS-5.3.2-1 no usable key", tppKey, []crypto.PublicKey{nil, []byte("secret"), (*ecdsa.PublicKey)(nil), (*rsa.PublicKey)(nil), &rsa.PublicKey{}, weak.Public(), huge, p384.Public()}, nil, "FAPI2-HS-5.3.2-1"},
		{"RFC9421-3.3-1 rsa-pss-sha512 is not FAPI's", newRSA(), pub(newRSA()), func(c *call) { c.sign = pss512 }, "FAPI2-HS-5.3.2-2"},
		{"RFC9421-3.2-2 alg rsa-pss-sha512", newRSA(), pub(newRSA()), func(c *call) { c.sign = pss512; alg("rsa-pss-sha512")(c) }, "RFC9421-3.2-2"},
		{"RFC9421-3.3-2 PS256 has no alg", newRSA(), pub(newRSA()), alg("PS256"), "RFC9421-3.2-2"},
		{"RFC9421-3.3-2 PS256 has no empty alg", newRSA(), pub(newRSA()), alg(""), "RFC9421-3.2-2"},
		{"RFC9421-3.3-1 rsa-v1_5-sha256", newRSA(), pub(newRSA()), func(c *call) { c.sign = pkcs1 }, "FAPI2-HS-5.3.2-2"},
		{"RFC9421-3.2-2 alg of one key, signature of another", tppKey, pub(tppKey, ed), alg("ed25519"), "FAPI2-HS-5.3.2-2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			c.key = tt.key
			if tt.with != nil {
				tt.with(c)
			}
			config := verifierConfig()
			config.Keys = keysOf(tt.keys...)
			if o := try(t, config, c.request(t)); o.passed != (tt.rule == "") || o.rule != tt.rule {
				t.Errorf("passed %v, want rule %q: %v", o.passed, tt.rule, o.err)
			}
		})
	}
}

// Where the keys cannot be had, nothing passes, and the client is told nothing.
func TestKeysOutage(t *testing.T) {
	c := verifierConfig()
	outage := errors.New("registry db-7 is down")
	c.Keys = func(*http.Request, string) ([]crypto.PublicKey, error) { return nil, outage }
	o := try(t, c, good().request(t))
	if o.passed || o.res.StatusCode != 503 || body(t, o.res) != "" || !errors.Is(o.err, outage) {
		t.Errorf("passed %v, status %d, body %q: %v", o.passed, o.res.StatusCode, body(t, o.res), o.err)
	}
}

func TestCover(t *testing.T) {
	config := verifierConfig()
	config.Cover = []string{"idempotency-key", "dpop"}
	c := good()
	if o := try(t, config, c.request(t)); !o.passed {
		t.Errorf("without the field: %v", o.err)
	}
	c.header.Set("Idempotency-Key", "1")
	o := try(t, config, c.request(t))
	if o.passed || o.rule != "FAPI2-HS-5.3.2-4" {
		t.Errorf("with the field, not covered: passed %v: %v", o.passed, o.err)
	}
	const want = `sig1=("@method" "@target-uri" "authorization" "dpop" "content-digest" "idempotency-key");created;tag="fapi-2-request"`
	if d := cmp.Diff(want, o.res.Header.Get("Accept-Signature")); d != "" {
		t.Error(d)
	}
	c.cover = append(c.cover, `"idempotency-key"`)
	if o := try(t, config, c.request(t)); !o.passed {
		t.Errorf("covered: %v", o.err)
	}
}

// The Host header chooses among the configured origins and can add none.
func TestOrigins(t *testing.T) {
	config := verifierConfig()
	config.Origins = []string{api, "https://mtls.finbank.example:8443/open/v1", "https://api.sister.example"}
	tests := []struct {
		name, url, host, sent string
		ok                    bool
	}{
		{"the first", payments, "api.finbank.example", "/payments", true},
		{"in capitals and with the default port", "https://api.sister.example/payments", "API.sister.example:443", "/payments", true},
		{"a name behind the proxy means the first", payments, "10.0.0.7", "/payments", true},
		{"the second, with a path that the proxy cuts off", "https://mtls.finbank.example:8443/open/v1/payments", "mtls.finbank.example:8443", "/payments", true},
		{"a request that did not come from the wire", payments, "api.finbank.example", "", true},
		{"in absolute form", payments + "?a", "api.finbank.example", "https://other.example/payments?a", true},
		{"in absolute form without path", api + "/", "api.finbank.example", "https://api.finbank.example", true},
		{"in absolute form with a query alone", api + "/?a", "api.finbank.example", "https://api.finbank.example?a", true},
		{"the server as such", api, "api.finbank.example", "*", true},
		{"one that the caller made up", "https://evil.example/payments", "evil.example", "/payments", false},
		{"the other one", payments, "mtls.finbank.example:8443", "/payments", false},
	}
	for _, tt := range tests {
		t.Run("RFC9421-2.2-1 "+tt.name, func(t *testing.T) {
			c := good()
			c.url = tt.url
			c.spoil = func(r *http.Request) { r.Host, r.RequestURI = tt.host, tt.sent }
			if o := try(t, config, c.request(t)); o.passed != tt.ok {
				t.Errorf("passed %v: %v", o.passed, o.err)
			}
		})
	}
	t.Run("RFC9421-2.2-1 a mux that has cut the path", func(t *testing.T) {
		h := http.StripPrefix("/payments", newVerifier(t, verifierConfig()).Handler(pay))
		if res := serve(h, good().request(t)); res.StatusCode != 201 {
			t.Errorf("status %d: %s", res.StatusCode, body(t, res))
		}
	})
}

// A field over several lines of the wire, as net/http reads it.
func TestFolded(t *testing.T) {
	c := good()
	get(c)
	c.header.Set("X-Note", "one two")
	c.cover = append(c.cover, `"x-note"`)
	signed := c.request(t)
	raw := "GET /payments HTTP/1.1\r\nHost: api.finbank.example\r\nX-Note:   one\r\n   two  \r\n"
	for name, values := range signed.Header {
		if name != "X-Note" {
			raw += name + ": " + values[0] + "\r\n"
		}
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("RFC9421-2.1-1 obs-fold", func(t *testing.T) {
		if o := try(t, verifierConfig(), r); !o.passed {
			t.Error(o.err)
		}
	})
}

func TestNewVerifier(t *testing.T) {
	tests := []struct {
		name string
		with func(*httpsig.VerifierConfig)
		want string
	}{
		{"no draft", func(c *httpsig.VerifierConfig) { c.Draft = "" }, "Draft"},
		{"another draft", func(c *httpsig.VerifierConfig) { c.Draft = "fapi-2_0-http-signatures-02" }, "Draft"},
		{"no origins", func(c *httpsig.VerifierConfig) { c.Origins = nil }, "Origins"},
		{"http", func(c *httpsig.VerifierConfig) { c.Origins = []string{"http://api.finbank.example"} }, "Origins"},
		{"no host", func(c *httpsig.VerifierConfig) { c.Origins = []string{"https://"} }, "Origins"},
		{"a slash", func(c *httpsig.VerifierConfig) { c.Origins = []string{api + "/"} }, "Origins"},
		{"upper case", func(c *httpsig.VerifierConfig) { c.Origins = []string{"https://API.finbank.example"} }, "Origins"},
		{"the default port", func(c *httpsig.VerifierConfig) { c.Origins = []string{api + ":443"} }, "Origins"},
		{"an empty port", func(c *httpsig.VerifierConfig) { c.Origins = []string{api + ":"} }, "Origins"},
		{"a user", func(c *httpsig.VerifierConfig) { c.Origins = []string{"https://a@api.finbank.example"} }, "Origins"},
		{"a query", func(c *httpsig.VerifierConfig) { c.Origins = []string{api + "?"} }, "Origins"},
		{"a path that is not encoded", func(c *httpsig.VerifierConfig) { c.Origins = []string{api + "/a b"} }, "Origins"},
		{"no keys", func(c *httpsig.VerifierConfig) { c.Keys = nil }, "Keys"},
		{"a field in upper case", func(c *httpsig.VerifierConfig) { c.Cover = []string{"Date"} }, "Cover"},
		{"a derived component as a field", func(c *httpsig.VerifierConfig) { c.Cover = []string{"@path"} }, "Cover"},
		{"FAPI2-HS-5.3.2-5 five minutes", func(c *httpsig.VerifierConfig) { c.MaxAge = 5 * time.Minute }, "MaxAge"},
		{"no time at all", func(c *httpsig.VerifierConfig) { c.MaxAge = time.Second }, "MaxAge"},
		{"far ahead", func(c *httpsig.VerifierConfig) { c.Ahead = 2 * time.Minute }, "Ahead"},
		{"behind", func(c *httpsig.VerifierConfig) { c.Ahead = -time.Second }, "Ahead"},
		{"a negative body", func(c *httpsig.VerifierConfig) { c.MaxBody = -1 }, "MaxBody"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := verifierConfig()
			tt.with(&c)
			if v, err := httpsig.NewVerifier(c); err == nil || v != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %s", err, tt.want)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, err := httpsig.NewVerifier(httpsig.VerifierConfig{MaxBody: -1})
		for _, want := range []string{"Draft", "Origins", "Keys", "MaxBody"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v lacks %s", err, want)
			}
		}
	})
}
