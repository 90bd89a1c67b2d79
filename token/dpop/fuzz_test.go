package dpop_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aikagi/aikagi/token/dpop"
)

// FuzzVerify looks for a header value that panics, is neither proof nor
// refusal, or verifies although nobody signed it.
func FuzzVerify(f *testing.F) {
	own := map[string]bool{}
	add := func(s string) {
		own[s] = true
		f.Add(s)
	}
	for _, vec := range vectors(f) {
		add(vec.line["proof"])
	}
	ed := good()
	ed.by("EdDSA", edKey)
	add(ed.compact(f))
	add("")
	add("..")
	add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7fX0.e30.AA")
	v := verifier(f, dpop.Config{Nonces: nonces(f, "server")})
	plain := verifier(f, dpop.Config{})
	f.Fuzz(func(t *testing.T, value string) {
		r := dpop.Request{Header: http.Header{"Dpop": {value}}, Method: "POST", URLs: []string{tokenURL, "https://as.finbank.example/par"}}
		for _, v := range []*dpop.Verifier{v, plain} {
			p, err := v.Verify(r)
			if err == nil {
				if !own[value] {
					t.Fatalf("proof %+v that nobody signed", *p)
				}
				continue
			}
			var e *dpop.Error
			if !errors.As(err, &e) || p != nil {
				t.Fatalf("proof %v, error %v", p, err)
			}
			refused(t, p, err, e.Code, e.Rule)
		}
	})
}

// FuzzCheckNonce looks for a nonce that was never issued, or has two spellings.
func FuzzCheckNonce(f *testing.F) {
	n := nonces(f, "server")
	f.Add(n.Issue(now))
	f.Add("nAS-7k2Qx9-Lm4")
	f.Add("")
	f.Fuzz(func(t *testing.T, nonce string) {
		if issued, ok := n.Check(nonce, now); ok && nonce != n.Issue(issued) {
			t.Errorf("%q was not issued", nonce)
		}
	})
}
