package httpsig_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token/httpsig"
)

// wireRequest is the catalogue's signed request, with its own signature.
func wireRequest(t testing.TB) *http.Request {
	t.Helper()
	head, content, _ := strings.Cut(read(t, "request.http"), "\n\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(content)), int64(len(content))
	return r
}

func TestWireRequest(t *testing.T) {
	tests := []struct {
		name string
		at   time.Duration
		with func(*http.Request)
		rule string
	}{
		{"FAPI2-HS-5.3.2-2 RFC9421-2.5-1 RFC9421-3.3-2 the example", 0, nil, ""},
		{"FAPI2-HS-5.3.2-6 body changed", 0, func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(order, "165.88", "265.88", 1)))
		}, "FAPI2-HS-5.3.2-6"},
		{"FAPI2-HS-5.3.2-4 dpop not covered", 0, func(r *http.Request) {
			r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), ` "dpop"`, "", 1))
		}, "FAPI2-HS-5.3.2-4"},
		{"FAPI2-HS-5.3.2-3 tag x", 0, func(r *http.Request) {
			r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), "fapi-2-request", "x", 1))
		}, "FAPI2-HS-5.3.2-3"},
		{"FAPI2-HS-5.3.2-5 created 5 minutes ago", 5 * time.Minute, nil, "FAPI2-HS-5.3.2-5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := verifierConfig()
			c.Now = func() time.Time { return now.Add(tt.at) }
			r := wireRequest(t)
			if tt.with != nil {
				tt.with(r)
			}
			if o := try(t, c, r); o.passed != (tt.rule == "") || o.rule != tt.rule {
				t.Errorf("passed %v, want rule %q: %v", o.passed, tt.rule, o.err)
			}
		})
	}
}

// The example's answer, made by us: all but the octets of the signature is the
// same, and those are the key's over the example's base.
func TestWireResponse(t *testing.T) {
	res := serve(bank(t, pay), wireRequest(t))
	want, err := http.ReadResponse(bufio.NewReader(strings.NewReader(
		strings.ReplaceAll(read(t, "response.http"), "\n", "\r\n"))), nil)
	if err != nil {
		t.Fatal(err)
	}
	base := read(t, "response.base")
	t.Run("FAPI2-HS-5.3.3-1 FAPI2-HS-5.3.3-2 FAPI2-HS-5.3.3-3 RFC9421-2.3-1 RFC9421-3.1-1 the example", func(t *testing.T) {
		if res.StatusCode != want.StatusCode || body(t, res) != done {
			t.Errorf("status %d, body %q", res.StatusCode, body(t, res))
		}
		for _, name := range []string{"Content-Type", "Content-Digest", "Signature-Input"} {
			if d := cmp.Diff(want.Header[name], res.Header[name]); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
		if !rawVerify(&rsKey.PublicKey, base, responseSignature(t, want)) {
			t.Error("the example's own signature is not valid")
		}
		if !rawVerify(&rsKey.PublicKey, base, responseSignature(t, res)) {
			t.Error("our signature is not valid over the example's base")
		}
	})
}

func TestWireRefusal(t *testing.T) {
	r := wireRequest(t)
	r.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 64))+":")
	o := try(t, verifierConfig(), r)
	_, want, _ := strings.Cut(read(t, "refusal.http"), "Accept-Signature: ")
	t.Run("FAPI2-HS-5.3.2-2 the example's refusal", func(t *testing.T) {
		if d := cmp.Diff(strings.TrimSpace(want), o.res.Header.Get("Accept-Signature")); o.res.StatusCode != 401 || d != "" {
			t.Errorf("status %d, Accept-Signature: %s", o.res.StatusCode, d)
		}
		if h := o.res.Header; h.Get("Cache-Control") != "no-store" || h.Get("WWW-Authenticate") != `Signature realm="`+api+`"` {
			t.Errorf("header %v", h)
		}
		var e *httpsig.Error
		if !errors.As(o.err, &e) || e.Status != 401 || strings.Contains(e.Error(), "eyJ") {
			t.Errorf("error %v", o.err)
		}
	})
}
