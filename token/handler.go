package token

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
)

// Handler returns a handler that lets through to next what [Verifier.Check]
// accepts and answers all else itself. Next finds the token's content with
// [FromContext].
//
// It names every answer, its own and next's, by x-fapi-interaction-id, the
// caller's if that is a UUID and a new one if not; next finds the name in
// w.Header() and should log it. Where nonces are demanded, what next answers to
// a token bound to a key has the next one, and is not to be cached (RFC 9449,
// 8.2).
func (v *Verifier) Handler(req Require, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(interactionHeader, interactionID(r))
		c, err := v.check(r, req)
		if err != nil {
			v.audit(r.Context(), c.access, err)
			v.Refuse(w, err)
			return
		}
		if c.access.Confirmation.JKT != "" {
			v.nonce(w.Header())
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, &c)))
	})
}

// FromContext returns the content of the token that a [Verifier.Handler] let
// through, if the context is of such a request. It is shared and must not be
// changed.
func FromContext(ctx context.Context) (*Access, bool) {
	c, ok := ctx.Value(contextKey{}).(*checked)
	if !ok {
		return nil, false
	}
	return c.access, true
}

type contextKey struct{}

// checked is what a Verifier has found good, and on which request.
type checked struct {
	access   *Access
	verifier *Verifier
	token    string
	tls      *tls.ConnectionState
}

// before returns the access that c.verifier found good earlier on this very
// request. A context may travel further than its request: to a sub-request
// with another token, or to another API's verifier. Neither may pass for this
// one.
func (c *checked) before(ctx context.Context) (*Access, bool) {
	b, ok := ctx.Value(contextKey{}).(*checked)
	if !ok || b.verifier != c.verifier || b.token != c.token || b.tls != c.tls {
		return nil, false
	}
	return b.access, true
}

// Refuse answers a request that [Verifier.Check] refused with err, as RFC
// 6750, 3 and RFC 9449, 7.1 have it: challenges, and the same in JSON. If err
// is not an [*Error] the answer is 503 without a reason.
func (v *Verifier) Refuse(w http.ResponseWriter, err error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	var e *Error
	if !errors.As(err, &e) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	v.challenge(h, e)
	if e.Code == "" {
		w.WriteHeader(e.status())
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(e.status())
	w.Write(e.body())
}

// challenge says how to present a token, by each of the schemes there are (RFC
// 9449, 7.1), and where nonces are demanded gives one.
func (v *Verifier) challenge(h http.Header, e *Error) {
	if v.proofs == nil {
		h.Set("WWW-Authenticate", e.challenge(schemeBearer, v.config.Realm, ""))
		return
	}
	byKey := e.challenge(schemeDPoP, v.config.Realm, strings.Join(v.config.Algorithms, " "))
	byCertificate := e.challenge(schemeBearer, v.config.Realm, "")
	if e.scheme == schemeBearer { // the scheme that was used comes first, for those who read one alone
		h["Www-Authenticate"] = []string{byCertificate, byKey}
	} else {
		h["Www-Authenticate"] = []string{byKey, byCertificate}
	}
	v.nonce(h)
}

// nonce sets the nonce for the next proof (RFC 9449, 8.2 and 9). An answer with
// one is nobody's to keep: from a cache it would come stale.
func (v *Verifier) nonce(h http.Header) {
	if v.nonces != nil {
		h.Set("DPoP-Nonce", v.nonces.Issue(v.config.Now()))
		h.Set("Cache-Control", "no-store")
	}
}

const interactionHeader = "X-Fapi-Interaction-Id"

// interactionID returns the request's x-fapi-interaction-id (FAPI 1.0
// Baseline, 6.2.1-11). Anything but a UUID is not repeated: it would reach
// logs.
func interactionID(r *http.Request) string {
	if namesItself(r) {
		return r.Header[interactionHeader][0]
	}
	return newUUID()
}

// namesItself reports whether the request has one x-fapi-interaction-id and it
// is a UUID.
func namesItself(r *http.Request) bool {
	ids := r.Header[interactionHeader]
	return len(ids) == 1 && isUUID(ids[0])
}

// isUUID reports whether s is a UUID as RFC 9562, 4 writes it, of whatever
// version.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}

// newUUID returns a random UUID, version 4 (RFC 9562, 5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[:8], b[:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
