package httpsig_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token/httpsig"
)

// bank is the API behind a Verifier behind a Signer.
func bank(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	return newSigner(t, signerConfig()).Handler(newVerifier(t, verifierConfig()).Handler(next))
}

func answer(status int, body string, header ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

func TestSigned(t *testing.T) {
	aboutOrder := []string{`"@method";req`, `"@target-uri";req`, `"content-digest";req`, `"signature";req;key="sig1"`, `"signature-input";req;key="sig1"`}
	aboutGet := []string{`"@method";req`, `"@target-uri";req`, `"signature";req;key="sig1"`, `"signature-input";req;key="sig1"`}
	tests := []struct {
		name   string
		with   func(*call)
		next   http.Handler
		status int
		want   []string
	}{
		{"FAPI2-HS-5.3.3-1 FAPI2-HS-5.3.3-2 FAPI2-HS-5.3.3-3 CONF-25 RFC9421-7-1 an order", func(*call) {}, pay, 201,
			slices.Concat([]string{`"@status"`, `"content-digest"`}, aboutOrder)},
		{"FAPI2-HS-5.3.3-1 a request without a body", get, answer(200, done), 200,
			slices.Concat([]string{`"@status"`, `"content-digest"`}, aboutGet)},
		{"FAPI2-HS-5.3.3-3 an answer without a body", func(*call) {}, answer(204, ""), 204,
			slices.Concat([]string{`"@status"`}, aboutOrder)},
		{"FAPI2-HS-5.3.3-3 an answer without a body, and a digest that the API set", func(*call) {}, answer(204, "", "Content-Digest", "sha-256=:AAAA:"), 204,
			slices.Concat([]string{`"@status"`}, aboutOrder)},
		{"FAPI2-HS-5.3.3-3 an error of the API", func(*call) {}, answer(422, `{"error":"no funds"}`), 422,
			slices.Concat([]string{`"@status"`, `"content-digest"`}, aboutOrder)},
		{"FAPI2-HS-5.3.3-2 FAPI2-HS-5.3.3-3 a refusal of the signature", func(c *call) { c.key = rsKey }, pay, 401,
			slices.Concat([]string{`"@status"`, `"content-digest"`}, aboutOrder)},
		{"FAPI2-HS-5.3.3-1 FAPI2-HS-5.3.3-3 a refusal of a request that is not signed", func(c *call) { c.key = nil }, pay, 401,
			[]string{`"@status"`, `"content-digest"`, `"@method";req`, `"@target-uri";req`, `"content-digest";req`}},
		{"FAPI2-HS-5.3.3-3 a HEAD", func(c *call) { get(c); c.method = "HEAD" }, answer(200, done), 200,
			slices.Concat([]string{`"@status"`}, aboutGet)},
		{"FAPI2-HS-5.3.3-3 a HEAD that says how long the answer to a GET is", func(c *call) { get(c); c.method = "HEAD" },
			answer(200, "", "Content-Length", "42"), 200, slices.Concat([]string{`"@status"`}, aboutGet)},
		{"FAPI2-HS-5.3.3-2 another label", func(c *call) { c.label = "tpp9" }, pay, 201,
			[]string{`"@status"`, `"content-digest"`, `"@method";req`, `"@target-uri";req`, `"content-digest";req`,
				`"signature";req;key="tpp9"`, `"signature-input";req;key="tpp9"`}},
		{"FAPI2-HS-5.3.3-1 a digest that cannot be signed is left out of the refusal", func(c *call) {
			c.spoil = func(r *http.Request) { r.Header.Set("Content-Digest", "\xff") }
		}, pay, 401, slices.Concat([]string{`"@status"`, `"content-digest"`}, aboutGet)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.with(c)
			r := c.request(t)
			res := serve(bank(t, tt.next), r)
			if res.StatusCode != tt.status {
				t.Fatalf("status %d, want %d: %s", res.StatusCode, tt.status, body(t, res))
			}
			if d := cmp.Diff(tt.want, verified(t, r, c.url, res)); d != "" {
				t.Error(d)
			}
			if has := res.Header.Get("Content-Digest") != ""; has != slices.Contains(tt.want, `"content-digest"`) {
				t.Errorf("Content-Digest %q", res.Header.Get("Content-Digest"))
			}
		})
	}
}

// What the client makes of an answer that is not the one to its request.
func TestSwapped(t *testing.T) {
	c := good()
	r := c.request(t)
	res := serve(bank(t, pay), r)
	base, _ := responseBase(t, r, c.url, res)
	if !rawVerify(&rsKey.PublicKey, base, responseSignature(t, res)) {
		t.Fatal("the right answer does not verify")
	}
	other := c.request(t) // the same once more: ECDSA gives another signature
	base, _ = responseBase(t, other, c.url, res)
	t.Run("FAPI2-HS-5.3.3-2 FAPI2-HS-5.3.4-1 the answer to another request", func(t *testing.T) {
		if rawVerify(&rsKey.PublicKey, base, responseSignature(t, res)) {
			t.Error("verifies")
		}
	})
	res.StatusCode = 200
	base, _ = responseBase(t, r, c.url, res)
	t.Run("FAPI2-HS-5.3.3-1 FAPI2-HS-5.3.4-1 another status", func(t *testing.T) {
		if rawVerify(&rsKey.PublicKey, base, responseSignature(t, res)) {
			t.Error("verifies")
		}
	})
}

func TestSignedFields(t *testing.T) {
	c := signerConfig()
	c.Cover = []string{"content-type", "location", "x-none", "content-digest", "content-length", "content-type"}
	r := good().request(t)
	res := serve(newSigner(t, c).Handler(answer(201, done, "Location", "/payments/1")), r)
	t.Run("FAPI2-HS-5.3.3-4 further fields, where the answer has them", func(t *testing.T) {
		want := []string{`"@status"`, `"content-digest"`, `"content-type"`, `"location"`, `"content-length"`}
		if d := cmp.Diff(want, verified(t, r, payments, res)[:5]); d != "" {
			t.Error(d)
		}
	})
	if got := res.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" { // as net/http would have it
		t.Errorf("Content-Type %q", got)
	}
}

func TestSignedGzip(t *testing.T) {
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	io.WriteString(zw, done)
	zw.Close()
	r := good().request(t)
	res := serve(bank(t, answer(200, zipped.String(), "Content-Encoding", "gzip")), r)
	t.Run("RFC9530-3 the digest is over the coded bytes", func(t *testing.T) {
		verified(t, r, payments, res)
		if body(t, res) != zipped.String() || res.Header.Get("Content-Digest") != sha256Digest(zipped.String()) {
			t.Errorf("Content-Digest %q", res.Header.Get("Content-Digest"))
		}
		if _, ok := res.Header["Content-Type"]; ok {
			t.Errorf("Content-Type %q guessed from coded bytes", res.Header.Get("Content-Type"))
		}
	})
}

// Next cannot sign in our name, nor say anything that is not signed.
func TestSignedOnly(t *testing.T) {
	r := good().request(t)
	sent := r.Clone(t.Context())
	res := serve(bank(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Digest", "sha-256=:AAAA:")
		h.Set("Signature-Input", "rsp=()")
		h.Set("Signature", "rsp=:AAAA:")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusOK) // too late, like all that follows
		h.Set("X-Late", "1")
		h.Set(http.TrailerPrefix+"X-Trailer", "1")
		r.Method = "DELETE"
		r.Header.Set("Signature", "sig1=:AAAA:")
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush: %v", err)
		}
		io.WriteString(w, done[:5])
		io.WriteString(w, done[5:])
	})), r)
	verified(t, sent, payments, res)
	if res.StatusCode != 202 || body(t, res) != done || res.Header.Get("X-Late") != "" || len(res.Trailer) > 0 {
		t.Errorf("status %d, body %q, header %v, trailer %v", res.StatusCode, body(t, res), res.Header, res.Trailer)
	}
	if got := res.Header.Get("Content-Digest"); got != sha256Digest(done) {
		t.Errorf("Content-Digest %q", got)
	}
	if len(res.Header["Signature"]) != 1 || res.Header.Get("Signature") == "rsp=:AAAA:" {
		t.Errorf("Signature %q", res.Header["Signature"])
	}
}

func TestWriteNothing(t *testing.T) {
	r := good().request(t)
	res := serve(bank(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), r)
	t.Run("FAPI2-HS-5.3.3-1 an answer that was never written", func(t *testing.T) {
		verified(t, r, payments, res)
		if res.StatusCode != 200 || res.Header.Get("Content-Digest") != "" {
			t.Errorf("status %d, header %v", res.StatusCode, res.Header)
		}
	})
	for _, status := range []int{204, 304} {
		serve(bank(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if n, err := io.WriteString(w, done); n != 0 || !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("a body with %d: %d, %v", status, n, err)
			}
		})), r)
	}
}

// The resource server signs by the algorithm of its key.
func TestSignerKeys(t *testing.T) {
	ed := newEd(t)
	signedBy := func(t *testing.T, key crypto.Signer) (base string, sig []byte) {
		c := signerConfig()
		c.Key = func(context.Context) (string, crypto.Signer, error) { return rsKID, key, nil }
		r := good().request(t)
		res := serve(newSigner(t, c).Handler(pay), r)
		if res.StatusCode != 201 {
			t.Fatalf("status %d", res.StatusCode)
		}
		base, _ = responseBase(t, r, payments, res)
		return base, responseSignature(t, res)
	}
	t.Run("RFC9421-3.3-2 ES256", func(t *testing.T) {
		if base, sig := signedBy(t, rsKey); !rawVerify(&rsKey.PublicKey, base, sig) {
			t.Error("not valid")
		}
	})
	t.Run("RFC9421-3.3-2 EdDSA", func(t *testing.T) {
		if base, sig := signedBy(t, ed); !ed25519.Verify(ed.Public().(ed25519.PublicKey), []byte(base), sig) {
			t.Error("not valid")
		}
	})
	t.Run("RFC9421-3.3-2 PS256", func(t *testing.T) {
		base, sig := signedBy(t, newRSA())
		digest := sha256.Sum256([]byte(base))
		if err := rsa.VerifyPSS(&newRSA().PublicKey, crypto.SHA256, digest[:], sig, &rsa.PSSOptions{SaltLength: 32}); err != nil {
			t.Error(err)
		}
	})
}

// badSigner is a key whose HSM answers sig and err.
type badSigner struct {
	*ecdsa.PrivateKey
	sig []byte
	err error
}

func (b badSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return b.sig, b.err }

// What cannot be signed is not said.
func TestUnsignable(t *testing.T) {
	key := func(id string, key crypto.Signer, err error) func(*httpsig.SignerConfig) {
		return func(c *httpsig.SignerConfig) {
			c.Key = func(context.Context) (string, crypto.Signer, error) { return id, key, err }
		}
	}
	tests := []struct {
		name string
		with func(*httpsig.SignerConfig)
		next http.Handler
	}{
		{"no key to be had", key("", nil, errors.New("vault is down")), pay},
		{"a nil key", key(rsKID, nil, nil), pay},
		{"no keyid", key("", rsKey, nil), pay},
		{"a keyid with a line break", key("a\nb", rsKey, nil), pay},
		{"a keyid with a tab", key("a\tb", rsKey, nil), pay},
		{"a key on P-384", key(rsKID, newEC(t, elliptic.P384()), nil), pay},
		{"an HSM that fails", key(rsKID, badSigner{rsKey, nil, errors.New("hsm")}, nil), pay},
		{"an HSM that answers rubbish", key(rsKID, badSigner{rsKey, []byte("rubbish"), nil}, nil), pay},
		{"an HSM that answers more than a signature", key(rsKID, badSigner{rsKey, []byte{0x30, 6, 2, 1, 1, 2, 1, 1, 0}, nil}, nil), pay},
		{"an HSM that answers a negative number", key(rsKID, badSigner{rsKey, []byte{0x30, 6, 2, 1, 0xff, 2, 1, 1}, nil}, nil), pay},
		{"a covered field with a line break", func(c *httpsig.SignerConfig) { c.Cover = []string{"x-note"} }, answer(200, done, "X-Note", "a\nb")},
		{"FAPI2-HS-5.3.3-1 a status of zero", func(*httpsig.SignerConfig) {}, answer(0, done)},
		{"FAPI2-HS-5.3.3-1 a status of four digits", func(*httpsig.SignerConfig) {}, answer(1000, done)},
		{"FAPI2-HS-5.3.3-1 a switch of protocols", func(*httpsig.SignerConfig) {}, answer(101, "")},
		{"FAPI2-HS-5.3.3-3 an answer that broke off", func(*httpsig.SignerConfig) {}, answer(200, done[:9], "Content-Length", fmt.Sprint(len(done)))},
		{"FAPI2-HS-5.3.3-3 an answer longer than it says", func(*httpsig.SignerConfig) {}, answer(200, done, "Content-Length", "9")},
		{"FAPI2-HS-5.3.3-3 an answer that never began", func(*httpsig.SignerConfig) {}, answer(200, "", "Content-Length", "9")},
		{"too large", func(c *httpsig.SignerConfig) { c.MaxBody = int64(len(done)) - 1 }, pay},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := signerConfig()
			tt.with(&c)
			var audited error
			c.Audit = func(_ context.Context, err error) { audited = err }
			w := httptest.NewRecorder()
			w.Header().Set("X-Fapi-Interaction-Id", "c1b0e2f4")
			w.Header().Set("X-Other", "1")
			newSigner(t, c).Handler(tt.next).ServeHTTP(w, good().request(t))
			res := w.Result()
			if res.StatusCode != 500 || body(t, res) != "" || audited == nil {
				t.Errorf("status %d, body %q, audited %v", res.StatusCode, body(t, res), audited)
			}
			want := http.Header{"Cache-Control": {"no-store"}, "Content-Length": {"0"}, "X-Fapi-Interaction-Id": {"c1b0e2f4"}}
			if d := cmp.Diff(want, res.Header); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("just MaxBody", func(t *testing.T) {
		c := signerConfig()
		c.MaxBody = int64(len(done))
		if res := serve(newSigner(t, c).Handler(pay), good().request(t)); res.StatusCode != 201 {
			t.Errorf("status %d", res.StatusCode)
		}
	})
	t.Run("a response that goes on after it was too large", func(t *testing.T) {
		c := signerConfig()
		c.MaxBody = 4
		res := serve(newSigner(t, c).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "12345")
			if _, err := io.WriteString(w, "1"); err == nil {
				t.Error("the second write succeeded")
			}
		})), good().request(t))
		if res.StatusCode != 500 || body(t, res) != "" {
			t.Errorf("status %d, body %q", res.StatusCode, body(t, res))
		}
	})
}

// Who panics with http.ErrAbortHandler has the connection broken off: nothing
// of what was written so far may look like an answer.
func TestPanic(t *testing.T) {
	w := httptest.NewRecorder()
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("recovered %v", got)
		}
		if w.Body.Len() > 0 || w.Flushed || w.Result().Header.Get("Signature") != "" {
			t.Errorf("sent %q with %v", w.Body, w.Result().Header)
		}
	}()
	bank(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, done)
		panic(http.ErrAbortHandler)
	})).ServeHTTP(w, good().request(t))
	t.Error("no panic")
}

// A real server and a real connection: what is signed is what arrives.
func TestSignedOverTheWire(t *testing.T) {
	srv := httptest.NewServer(bank(t, answer(200, done, "X-Note", "1")))
	defer srv.Close()
	for _, method := range []string{"POST", "HEAD"} {
		c := good()
		if method == "HEAD" {
			get(c)
			c.method = method
		}
		r := c.request(t)
		out, err := http.NewRequest(c.method, srv.URL+"/payments", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		out.Header = r.Header
		res, err := srv.Client().Do(out)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatalf("%s: status %d: %s", method, res.StatusCode, body(t, res))
		}
		if method == "POST" && body(t, res) != done {
			t.Errorf("body %q", body(t, res))
		}
		if res.ContentLength != int64(len(done)) {
			t.Errorf("%s: Content-Length %d", method, res.ContentLength)
		}
		verified(t, r, c.url, res)
	}
}

func TestNewSigner(t *testing.T) {
	tests := []struct {
		name string
		with func(*httpsig.SignerConfig)
		want string
	}{
		{"another draft", func(c *httpsig.SignerConfig) { c.Draft = "01" }, "Draft"},
		{"no origins", func(c *httpsig.SignerConfig) { c.Origins = nil }, "Origins"},
		{"no key", func(c *httpsig.SignerConfig) { c.Key = nil }, "Key"},
		{"a field in upper case", func(c *httpsig.SignerConfig) { c.Cover = []string{"Location"} }, "Cover"},
		{"a negative body", func(c *httpsig.SignerConfig) { c.MaxBody = -1 }, "MaxBody"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := signerConfig()
			tt.with(&c)
			if s, err := httpsig.NewSigner(c); err == nil || s != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %s", err, tt.want)
			}
		})
	}
}
