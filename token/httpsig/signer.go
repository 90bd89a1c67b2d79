package httpsig

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// SignerConfig says how a resource server signs its responses. Draft, Origins
// and Key must be set.
type SignerConfig struct {
	// Draft is [Draft01].
	Draft string

	// Origins are as in [VerifierConfig].
	Origins []string

	// Key returns the key to sign with and its keyid, which clients find it
	// by: printable ASCII. Its Public is one of the types of
	// [VerifierConfig].Keys. It is called concurrently, for every response,
	// so that the host can change keys; the key is used before ctx ends.
	Key func(ctx context.Context) (keyID string, key crypto.Signer, err error)

	// Cover are further fields, in lower case, to cover wherever a response
	// has them: those that carry meaning at this API, such as content-type,
	// location and x-fapi-interaction-id.
	Cover []string

	// MaxBody bounds a response's body, which is held in memory, in bytes.
	// Zero means 1 MiB. A response that is larger becomes status 500.
	MaxBody int64

	// Now replaces time.Now if it is not nil.
	Now func() time.Time

	// Audit, if not nil, is told why a response could not be signed. It is
	// called concurrently and before the answer.
	Audit func(context.Context, error)
}

// A Signer signs responses. It keeps no state and is safe for concurrent use.
type Signer struct {
	config  SignerConfig
	origins []origin
}

// NewSigner returns a Signer. The error names all that is wrong with c.
func NewSigner(c SignerConfig) (*Signer, error) {
	c.Cover = slices.Clone(c.Cover)
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var f faults
	origins := f.shared(c.Draft, c.Origins, c.Cover, c.MaxBody)
	if c.Key == nil {
		f.add("Key is nil")
	}
	if len(f) > 0 {
		return nil, errors.Join(f...)
	}
	return &Signer{config: c, origins: origins}, nil
}

// Handler returns a handler that signs what next answers, whether good or bad,
// together with the request it answers. It sets Content-Digest, Signature-Input
// and Signature, replacing next's own.
//
// What next answers is sent once next has returned. Where it cannot be signed,
// or is not as long as its own Content-Length says, none of it is sent: the
// answer is 500 without a body and without a signature, and what next did is
// done. If next panics, nothing is sent.
func (s *Signer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		about := s.about(r) // before next, which may change the request
		a := newAnswer(w, r, s.config.MaxBody)
		next.ServeHTTP(a, r)
		err := a.finish()
		if err == nil {
			err = s.sign(r.Context(), a, about)
		}
		if err != nil {
			if s.config.Audit != nil {
				s.config.Audit(r.Context(), fmt.Errorf("httpsig: %w", err))
			}
			a.fail()
		}
		a.send()
	})
}

// about returns the lines of a response's signature base that are of the
// request: which one this is the answer to (FAPI 2.0 HTTP Signatures, 5.3.2.1).
// What a request has in a form that cannot be signed, it has not.
func (s *Signer) about(r *http.Request) []line {
	of := []component{{name: "@method", req: true}, {name: "@target-uri", req: true}, {name: "content-digest", req: true}}
	if sig, err := requestSignature(r.Header); err == nil {
		// Both, not the signature alone, which RFC 9421, 2.4 advises against.
		of = append(of, component{name: "signature", req: true, keyed: true, key: sig.label},
			component{name: "signature-input", req: true, keyed: true, key: sig.label})
	}
	req := request{r, targetOf(s.origins, r)}
	var lines []line
	for _, c := range of {
		if value, err := req.value(c); err == nil && isPrintable(value) {
			lines = append(lines, line{c.item(), value})
		}
	}
	return lines
}

// label names the response's signature.
const label = "rsp"

// sign puts a digest and a signature into the answer.
func (s *Signer) sign(ctx context.Context, a *answer, about []line) error {
	keyID, key, err := s.config.Key(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("key: %w", err)
	case key == nil || keyID == "" || !isPrintable(keyID) || strings.Contains(keyID, "\t"):
		return errors.New("key: there is none, or its keyid is not printable ASCII")
	}
	for _, ours := range []string{digestHeader, inputHeader, signatureHeader} {
		a.header.Del(ours)
	}
	lines := []line{{component{name: "@status"}.item(), fmt.Sprintf("%03d", a.status)}}
	fields := s.config.Cover
	if body := a.content(); len(body) > 0 {
		a.header.Set(digestHeader, contentDigest(body))
		fields = append([]string{"content-digest"}, fields...)
	}
	for _, name := range fields {
		c := component{name: name}
		value, err := fieldValue(a.header, c)
		if err == nil && !slices.ContainsFunc(lines, func(l line) bool { return l.id.value.text == name }) {
			lines = append(lines, line{c.item(), value})
		}
	}
	base, input, err := signatureBase(append(lines, about...), params{
		{"created", bare{kind: integer, number: s.config.Now().Unix()}},
		{"keyid", bare{kind: text, text: keyID}},
		{"tag", bare{kind: text, text: tagResponse}},
	})
	if err != nil {
		return err
	}
	octetString, err := sign(key, base)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	a.header.Set(inputHeader, label+"="+string(input.append(nil)))
	a.header.Set(signatureHeader, label+"="+string(bare{kind: octets, text: string(octetString)}.append(nil)))
	return nil
}
