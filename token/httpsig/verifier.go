package httpsig

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// VerifierConfig says which signed requests a resource server accepts. Draft,
// Origins and Keys must be set.
type VerifierConfig struct {
	// Draft is [Draft01].
	Draft string

	// Origins are the base URLs that clients reach this API under, such as
	// https://api.bank.example, in lower case, without a default port and
	// without a slash at the end. @target-uri must be one of them and the path
	// and query that were asked for. The Host header chooses among them and
	// can name no other; a host that is none of them means the first, so that
	// with several, a proxy must pass Host on.
	Origins []string

	// Keys returns the keys of the client that sent r, one of which the
	// signature must be by: those that keyID names, or all that it signs
	// requests with if keyID is "". Which client it is must follow from the
	// access token (token.FromContext) or the certificate, never from keyID
	// alone. The types are *ecdsa.PublicKey on P-256, ed25519.PublicKey and
	// *rsa.PublicKey; others are passed over, and of all at most 8 are tried.
	// None refuses the request; an error is an outage. It is called
	// concurrently, for requests whose signature has not been checked.
	Keys func(r *http.Request, keyID string) ([]crypto.PublicKey, error)

	// Cover are further fields, in lower case, that a signature must cover
	// wherever the request has them, such as idempotency-key.
	Cover []string

	// MaxAge is for how long after its created a signature is accepted: 15
	// seconds to 2 minutes; zero means 60 seconds.
	MaxAge time.Duration

	// Ahead is how far created may lie ahead of our clock: 10 to 60 seconds;
	// zero means 30.
	Ahead time.Duration

	// MaxBody bounds a request's body, which is held in memory, in bytes. Zero
	// means 1 MiB.
	MaxBody int64

	// Now replaces time.Now if it is not nil.
	Now func() time.Time

	// Audit, if not nil, is told of every refusal, an [*Error], and every
	// outage, any other error. It is called concurrently and before the answer.
	Audit func(context.Context, error)
}

// A Verifier checks the signatures of requests. It keeps no state and is safe
// for concurrent use.
type Verifier struct {
	config  VerifierConfig
	origins []origin
}

// NewVerifier returns a Verifier. The error names all that is wrong with c.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	c.Cover = slices.Clone(c.Cover)
	if c.MaxAge == 0 {
		c.MaxAge = time.Minute
	}
	if c.Ahead == 0 {
		c.Ahead = 30 * time.Second
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var f faults
	origins := f.shared(c.Draft, c.Origins, c.Cover, c.MaxBody)
	if c.Keys == nil {
		f.add("Keys is nil")
	}
	if c.MaxAge < 15*time.Second || c.MaxAge > 2*time.Minute { // FAPI 2.0 HTTP Signatures, 5.3.1.2-6
		f.add("MaxAge %v is not within 15s and 2m", c.MaxAge)
	}
	if c.Ahead < 10*time.Second || c.Ahead > time.Minute {
		f.add("Ahead %v is not within 10s and 1m", c.Ahead)
	}
	if len(f) > 0 {
		return nil, errors.Join(f...)
	}
	return &Verifier{config: c, origins: origins}, nil
}

// faults are what is wrong with a configuration.
type faults []error

func (f *faults) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf("httpsig: "+format, args...))
}

// shared checks what both configurations have.
func (f *faults) shared(draft string, bases, cover []string, maxBody int64) []origin {
	if draft != Draft01 {
		f.add("Draft is %q; this package follows %q", draft, Draft01)
	}
	for _, name := range cover {
		if !isFieldName(name) {
			f.add("Cover has %q, which is not a field's name in lower case", name)
		}
	}
	if maxBody < 0 {
		f.add("MaxBody %d is negative", maxBody)
	}
	return parseOrigins(bases, f.add)
}

// Handler returns a handler that lets through to next what is signed as it has
// to be and answers all else: a refusal with 400, 401 or 413, an error in JSON
// and what to sign instead in Accept-Signature, an outage with 503. Next finds
// the body unread, which has been checked against its digest, and no trailers.
//
// Mount it behind what checks the access token, such as token.Verifier, so that
// Keys can tell the client.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := request{r, targetOf(v.origins, r)}
		want := v.required(r)
		body, err := v.check(w, req, want)
		if err != nil {
			if v.config.Audit != nil {
				v.config.Audit(r.Context(), err)
			}
			refuse(w, req, want, err)
			return
		}
		checked := r.WithContext(r.Context()) // a copy: the request is the caller's
		checked.Body = io.NopCloser(bytes.NewReader(body))
		checked.ContentLength = int64(len(body))
		checked.TransferEncoding, checked.Trailer = nil, nil // what came after the body is not signed
		next.ServeHTTP(w, checked)
	})
}

// required returns what a signature of r must cover (FAPI 2.0 HTTP Signatures,
// 5.3.1.1). A body of unknown length is one, even if it will turn out empty.
func (v *Verifier) required(r *http.Request) []component {
	want := []component{{name: "@method"}, {name: "@target-uri"}, {name: "authorization"}}
	if len(r.Header["Dpop"]) > 0 {
		want = append(want, component{name: "dpop"})
	}
	if r.ContentLength != 0 {
		want = append(want, component{name: "content-digest"})
	}
	for _, name := range v.config.Cover {
		if c := (component{name: name}); len(r.Header[http.CanonicalHeaderKey(name)]) > 0 && !slices.Contains(want, c) {
			want = append(want, c)
		}
	}
	return want
}

// check checks the signature as RFC 9421, 3.2 has it, and then the body that it
// covers, which it returns. What is cheap comes first; of a request that nobody
// signed, no byte of the body is read.
func (v *Verifier) check(w http.ResponseWriter, r request, want []component) ([]byte, error) {
	s, err := requestSignature(r.Header)
	if err != nil {
		return nil, err
	}
	claim, err := s.claim()
	if err != nil {
		return nil, err
	}
	covered, err := s.covered()
	if err != nil {
		return nil, err
	}
	for _, c := range want {
		if !slices.Contains(covered, c) {
			return nil, unsigned("FAPI2-HS-5.3.2-4", "the signature does not cover "+c.name)
		}
	}
	if err := v.inTime(claim); err != nil {
		return nil, err
	}
	lines, err := s.lines(r, covered)
	if err != nil {
		return nil, err
	}
	base, _, err := signatureBase(lines, s.input.params)
	if err != nil {
		return nil, unsigned("RFC9421-2.5-2", "the signature covers what cannot be signed").because(err)
	}
	if err := v.signed(r.Request, claim, base, s.octets); err != nil {
		return nil, err
	}
	return v.body(w, r.Request, slices.Contains(covered, component{name: "content-digest"}))
}

// inTime checks when the signature was made.
func (v *Verifier) inTime(c claim) error {
	now := v.config.Now()
	switch {
	case c.created.IsZero():
		return unsigned("FAPI2-HS-5.3.2-5", "the signature has no created")
	case c.created.Before(now.Add(-v.config.MaxAge)):
		return unsigned("FAPI2-HS-5.3.2-5", "the signature is too old")
	case c.created.After(now.Add(v.config.Ahead)):
		return unsigned("FAPI2-HS-5.3.2-5", "the signature's created is in the future")
	case c.hasExpires && !now.Before(c.expires):
		return unsigned("FAPI2-HS-5.3.2-5", "the signature has expired")
	}
	return nil
}

// maxKeys is how many keys of a client are tried.
const maxKeys = 8

// signed checks that the signature is by one of the client's keys, under the
// algorithm of that key.
func (v *Verifier) signed(r *http.Request, c claim, base, signature []byte) error {
	keys, err := v.config.Keys(r, c.keyID)
	if err != nil {
		return fmt.Errorf("httpsig: keys: %w", err)
	}
	usable, agreed := false, false
	for _, key := range keys[:min(len(keys), maxKeys)] {
		alg, ok := algorithmOf(key)
		if !ok {
			continue
		}
		usable = true
		if !alg.named(c.algorithm, c.hasAlgorithm) {
			continue
		}
		agreed = true
		if verify(key, base, signature) {
			return nil
		}
	}
	switch {
	case !usable:
		return unsigned("FAPI2-HS-5.3.2-1", "the client has no such key, or none to sign requests with")
	case !agreed:
		return unsigned("RFC9421-3.2-2", "the signature's alg is not that of the client's key")
	}
	return unsigned("FAPI2-HS-5.3.2-2", "the signature is not valid")
}

// body reads the request's body and checks it against its digest, without
// which a digest that is signed proves nothing (RFC 9421, 7.2.8).
func (v *Verifier) body(w http.ResponseWriter, r *http.Request, covered bool) ([]byte, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, v.config.MaxBody))
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_request",
				Description: "the body is too large", Rule: "FAPI2-HS-5.3.2-6"}
		}
		if err != nil {
			return nil, malformed("FAPI2-HS-5.3.2-6", "the body cannot be read", err)
		}
	}
	if len(body) > 0 && !covered { // however its length was given
		return nil, unsigned("FAPI2-HS-5.3.2-4", "the signature does not cover content-digest")
	}
	return body, checkDigest(r.Header, body)
}
