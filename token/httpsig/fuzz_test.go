package httpsig_test

import (
	"context"
	"crypto"
	"net/http"
	"strings"
	"testing"
)

// FuzzHandler looks for fields that panic, pass although nobody signed them, or
// get an answer that is not signed.
func FuzzHandler(f *testing.F) {
	r := wireRequest(f) // its signature is the same in every process
	f.Add(r.Header.Get("Signature-Input"), r.Header.Get("Signature"), r.Header.Get("Content-Digest"))
	f.Add(r.Header.Get("Signature-Input")+`, b=("@status" "x";sf);tag=1`, r.Header.Get("Signature")+", b=:AQID:", "md5=:AQID:")
	f.Add(`sig1=("signature";key="sig1" "@query" "host";key="a");created;tag="fapi-2-request"`, "sig1=:AQID:", `sha-256="x"`)
	octets := strings.TrimPrefix(r.Header.Get("Signature"), "sig1=")
	config := signerConfig()
	key := newEd(f) // which takes no random numbers: the same input takes the same path
	config.Key = func(context.Context) (string, crypto.Signer, error) { return rsKID, key, nil }
	v, s := newVerifier(f, verifierConfig()), newSigner(f, config)
	f.Fuzz(func(t *testing.T, input, signature, digest string) {
		passed := false
		h := s.Handler(v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { passed = true })))
		r := wireRequest(t)
		r.Header.Set("Signature-Input", input)
		r.Header.Set("Signature", signature)
		r.Header.Set("Content-Digest", digest)
		res := serve(h, r)
		// The label, white space and further signatures are nobody's to sign.
		if passed && (!strings.Contains(signature, octets) || strings.TrimSpace(digest) != sha256Digest(order)) {
			t.Errorf("passed:\n%s\n%s\n%s", input, signature, digest)
		}
		if res.Header.Get("Signature") == "" || !passed && res.StatusCode/100 != 4 {
			t.Errorf("status %d, header %v", res.StatusCode, res.Header)
		}
	})
}
