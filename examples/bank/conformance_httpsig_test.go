package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestConformanceHTTPSignatures signs requests to the API and checks how the
// bank signs its answers (FAPI 2.0 HTTP Signatures, draft 01; RFC 9421).
func TestConformanceHTTPSignatures(t *testing.T) {
	t.Parallel()
	kinds := []kind{{method: "private_key_jwt"}, {method: "private_key_jwt", dpop: true}}
	for _, v := range conformanceBank(t, false, kinds, map[string]any{"http_signatures": "fapi-2_0-http-signatures-01"}) {
		t.Run(v.String(), func(t *testing.T) {
			for i, c := range v.clients {
				f := v.flow(c)
				f.approve(t)
				k := f.redeem(t)
				other := v.clients[1-i]
				t.Run(c.alg, func(t *testing.T) {
					t.Run("FAPI2-HS-5.3.2-1 FAPI2-HS-5.3.3-1 FAPI2-HS-5.3.3-2 signed", func(t *testing.T) { v.signedCall(t, c, c, k.access, nil, http.StatusOK) })
					t.Run("FAPI2-HS-5.3.2-2 unsigned", func(t *testing.T) { v.signedCall(t, c, nil, k.access, nil, http.StatusUnauthorized) })
					t.Run("FAPI2-HS-5.3.2-1 by the key of another", func(t *testing.T) {
						v.signedCall(t, c, other, k.access, nil, http.StatusUnauthorized)
					})
					t.Run("FAPI2-HS-5.3.2-5 an hour ago", func(t *testing.T) {
						v.signedCall(t, c, c, k.access, func(s *signedRequest) { s.created = s.created.Add(-time.Hour) }, http.StatusUnauthorized)
					})
					t.Run("FAPI2-HS-5.3.2-4 without a component", func(t *testing.T) {
						v.signedCall(t, c, c, k.access, func(s *signedRequest) {
							s.cover = s.cover[:len(s.cover)-1] // the token, or the proof
						}, http.StatusUnauthorized)
					})
					t.Run("FAPI2-HS-5.3.2-3 with another tag", func(t *testing.T) {
						v.signedCall(t, c, c, k.access, func(s *signedRequest) { s.tag = "fapi-2-response" }, http.StatusUnauthorized)
					})
					t.Run("FAPI2-HS-5.3.3-3 a token that is none", func(t *testing.T) {
						v.signedCall(t, c, c, k.access+"x", nil, http.StatusUnauthorized)
					})
				})
			}
			if log := v.stderr.String(); !strings.Contains(log, "httpsig: invalid_signature: ") || !strings.Contains(log, "FAPI2-HS-5.3.2-5") {
				t.Errorf("what was refused is not in the log:\n%s", log)
			}
		})
	}
}

// A signedRequest is what is signed of a request (RFC 9421, 2).
type signedRequest struct {
	cover   []string
	created time.Time
	tag     string
}

// signedCall calls the API with a signature by somebody's key, or none, after
// change. Whatever the answer, the bank has to sign it.
func (v *variant) signedCall(t *testing.T, c, by *tester, token string, change func(*signedRequest), want int) {
	t.Helper()
	req := v.request(t, c, token, nil)
	if c.dpop {
		made, err := c.prover.prove(req.Method, req.URL, token, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("DPoP", made.JWT)
	}
	if by != nil {
		s := &signedRequest{cover: []string{"@method", "@target-uri", "authorization"}, created: time.Now(), tag: "fapi-2-request"}
		if c.dpop {
			s.cover = append(s.cover, "dpop")
		}
		if change != nil {
			change(s)
		}
		by.signRequest(t, req, s)
	}
	r := ask(t, c.http, req)
	if r.status != want || (want == http.StatusOK) != (r.json["transactions"] != nil) {
		t.Errorf("%d %s, want %d", r.status, r.body, want)
	}
	v.wantSigned(t, req, r)
}

// signRequest signs req (RFC 9421, 3.1) with the key for which the client
// registered its JWKS.
func (c *tester) signRequest(t *testing.T, req *http.Request, s *signedRequest) {
	t.Helper()
	input := fmt.Sprintf(`("%s");created=%d;keyid="%s";tag="%s"`, strings.Join(s.cover, `" "`), s.created.Unix(), testerKey, s.tag)
	var base strings.Builder
	for _, name := range s.cover {
		value := req.Header.Get(name)
		switch name {
		case "@method":
			value = req.Method
		case "@target-uri":
			value = req.URL.String()
		}
		fmt.Fprintf(&base, "\"%s\": %s\n", name, value)
	}
	base.WriteString(`"@signature-params": ` + input)
	req.Header.Set("Signature-Input", "sig1="+input)
	req.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(c.rawSignature(t, base.String()))+":")
}

// rawSignature signs as JWS does (RFC 7518, 3.4 and 3.5), without being one.
func (c *tester) rawSignature(t *testing.T, text string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	if key, ok := c.key.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	sig, err := c.key.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

var (
	signatureInput = regexp.MustCompile(`^(\w+)=(\(([^)]*)\).*;?keyid="([^"]+)".*)$`)
	parts          = regexp.MustCompile(`"([^"]+)"((?:;\w+(?:="[^"]*")?)*)`)
)

// wantSigned verifies the signature of an answer (RFC 9421, 3.2) and what it
// covers: the status, the body by its digest, and what was asked.
func (v *variant) wantSigned(t *testing.T, req *http.Request, r *reply) {
	t.Helper()
	in := signatureInput.FindStringSubmatch(r.header.Get("Signature-Input"))
	if in == nil || !strings.Contains(in[2], `;tag="fapi-2-response"`) || !strings.Contains(in[2], ";created=") {
		t.Fatalf("Signature-Input %q", r.header.Get("Signature-Input"))
	}
	var base strings.Builder
	var covered []string
	for _, part := range parts.FindAllStringSubmatch(in[3], -1) {
		covered = append(covered, part[0])
		header := r.header
		if strings.Contains(part[2], ";req") {
			header = req.Header
		}
		value := strings.Join(header.Values(part[1]), ", ")
		switch part[1] {
		case "@status":
			value = fmt.Sprint(r.status)
		case "@method":
			value = req.Method
		case "@target-uri":
			value = req.URL.String()
		}
		if strings.Contains(part[2], `;key="sig1"`) {
			value = strings.TrimPrefix(value, "sig1=")
		}
		fmt.Fprintf(&base, "%s: %s\n", part[0], value)
	}
	base.WriteString(`"@signature-params": ` + in[2])
	want := []string{`"@status"`, `"x-fapi-interaction-id"`, `"@method";req`, `"@target-uri";req`}
	if strings.Contains(req.Header.Get("Signature-Input"), "fapi-2-request") {
		want = append(want, `"signature";req;key="sig1"`, `"signature-input";req;key="sig1"`)
	}
	if r.body != "" {
		want = append(want, `"content-digest"`, `"content-type"`)
		if sum := sha256.Sum256([]byte(r.body)); r.header.Get("Content-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
			t.Errorf("Content-Digest %q of %q", r.header.Get("Content-Digest"), r.body)
		}
	}
	for _, part := range want {
		if !slices.Contains(covered, part) {
			t.Errorf("the answer's signature covers %q and not %s", covered, part)
		}
	}
	sig, err := base64.StdEncoding.DecodeString(strings.Trim(strings.TrimPrefix(r.header.Get("Signature"), in[1]+"="), ":"))
	key, ok := v.serverKeys(t, "sig")[in[4]].(*ecdsa.PublicKey)
	sum := sha256.Sum256([]byte(base.String()))
	if err != nil || !ok || len(sig) != 64 || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		t.Errorf("the answer's signature is not of a key of the JWKS over\n%s", base.String())
	}
}
