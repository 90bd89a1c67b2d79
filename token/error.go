package token

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jsonw"
)

// The error codes of a challenge (RFC 6750, 3.1).
const (
	invalidRequest    = "invalid_request"
	invalidToken      = "invalid_token"
	insufficientScope = "insufficient_scope"
	invalidDPoPProof  = "invalid_dpop_proof" // RFC 9449, 7.1

	insufficientAuthentication = "insufficient_user_authentication" // RFC 9470, 3
)

// Error is a refusal: the caller is told why, in the terms of RFC 6750, 3.
// Status, Code, Description, Scope, ACR and MaxAge are sent; Rule and Err never
// are. No Error made by this package contains a token.
//
// An error of any other type is an outage. The caller is told 503 and nothing
// else.
type Error struct {
	// Status is of the 4xx class: of ours 400, 401 or 403. Zero means 403.
	Status int

	// Code is such as invalid_token, or "" if the request had no credentials.
	Code string

	// Description is in words the client's developer may see.
	Description string

	// Scope is the scope that is needed, if that is what was missing.
	Scope string

	// ACR and MaxAge say what authentication is needed, if that is why the code
	// is insufficient_user_authentication (RFC 9470, 3): any one of ACR, the
	// preferred first, and no longer ago than MaxAge, which is sent in seconds,
	// rounded down. Zero leaves them out.
	ACR    []string
	MaxAge time.Duration

	// Rule is the requirement it rests on, such as FAPI2-SP-5.3.4-5.
	Rule string

	// Err is in words only the operator may see. It may be nil.
	Err error

	scheme   string // that the token came with, or ""
	metadata string // where the metadata of the URL that was asked for is, or ""
}

// Error returns the refusal in words for the operator.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("token: ")
	if e.Code != "" {
		b.WriteString(e.Code + ": ")
	}
	b.WriteString(e.Description)
	if e.Rule != "" {
		b.WriteString(" (" + e.Rule + ")")
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) status() int {
	if e.Status < 400 || e.Status > 499 {
		return http.StatusForbidden
	}
	return e.Status
}

// answerTo returns err with what the answer to r depends on. What a host's hook
// returned may be shared, and is not changed.
func (v *Verifier) answerTo(r *http.Request, scheme string, err error) error {
	described := v.about != nil && v.about.describes(r)
	var e *Error
	if v.proofs == nil && !described || !errors.As(err, &e) {
		return err
	}
	with := *e
	if v.proofs != nil { // there are two schemes, and the answer depends on which it was
		with.scheme = scheme
	}
	if described {
		with.metadata = v.about.url
	}
	return &with
}

// challenge returns the value of one WWW-Authenticate. There is always an
// attribute: the scheme must not stand alone (RFC 6750, 3). The error stands
// in the challenge of the scheme that was used (RFC 9449, 7.2), and in none if
// there were no credentials (RFC 6750, 3.1).
func (e *Error) challenge(scheme, realm, algs string) string {
	var b strings.Builder
	b.WriteString(scheme + ` realm="` + realm + `"`)
	if e.Code != "" && (e.scheme == scheme || e.scheme == "") {
		for _, a := range [...]struct{ name, value string }{
			{"error", e.Code}, {"error_description", e.Description}, {"scope", e.Scope},
			{"acr_values", strings.Join(e.ACR, " ")}, {"max_age", e.maxAge()},
		} {
			if a.value != "" {
				b.WriteString(", " + a.name + `="` + clean(a.value) + `"`)
			}
		}
	}
	if e.metadata != "" {
		b.WriteString(`, resource_metadata="` + e.metadata + `"`)
	}
	if algs != "" {
		b.WriteString(`, algs="` + algs + `"`)
	}
	return b.String()
}

// maxAge returns the seconds in MaxAge, or "" if there is none. There are no
// fewer than none (RFC 9470, 3).
func (e *Error) maxAge() string {
	if e.MaxAge == 0 {
		return ""
	}
	return strconv.FormatInt(int64(max(0, e.MaxAge)/time.Second), 10)
}

// body returns the refusal as a JSON object, in the words of the challenge.
func (e *Error) body() []byte {
	o := jsonw.New(128)
	o.String("error", clean(e.Code))
	if e.Description != "" {
		o.String("error_description", clean(e.Description))
	}
	return o.Bytes()
}

// clean puts a question mark for whatever may not stand in an attribute of a
// challenge (RFC 6750, 3), so that text of a host's hook, which may have come
// from the caller, can neither end the attribute nor the header.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == '\\' || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
}
