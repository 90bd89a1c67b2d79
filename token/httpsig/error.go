package httpsig

import (
	"errors"
	"net/http"

	"github.com/aikagi/aikagi/internal/jsonw"
)

// Error is a refusal of a request. Status, Code and Description are sent; Rule
// and Err never are.
type Error struct {
	// Status is 401 for a signature or digest that is missing or wrong, 400
	// for a digest or a body that cannot be read, and 413 for a body that is
	// too large.
	Status int

	// Code is invalid_signature with status 401, else invalid_request.
	Code string

	// Description is in words the client's developer may see.
	Description string

	// Rule is the requirement it rests on, such as FAPI2-HS-5.3.2-4.
	Rule string

	// Err is in words only the operator may see. It may be nil.
	Err error
}

// Error returns the refusal in words for the operator.
func (e *Error) Error() string {
	s := "httpsig: " + e.Code + ": " + e.Description + " (" + e.Rule + ")"
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// unsigned refuses a request that is not signed as it has to be.
func unsigned(rule, description string) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: "invalid_signature", Description: description, Rule: rule}
}

// because adds what only the operator may see.
func (e *Error) because(err error) *Error {
	e.Err = err
	return e
}

func malformed(rule, description string, err error) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: description, Rule: rule, Err: err}
}

// refuse answers a request that was refused with err. To a 401 it adds which
// signature is wanted (RFC 9421, 5.1). No scheme for WWW-Authenticate stands
// for signatures, but RFC 9110, 15.5.2 wants a challenge: this one is for
// nobody, and clients pass over a scheme that they do not know.
func refuse(w http.ResponseWriter, r request, want []component, err error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	var e *Error
	if !errors.As(err, &e) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if e.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Signature realm="`+r.target.base+`"`)
		h.Set("Accept-Signature", acceptSignature(want))
	}
	o := jsonw.New(128)
	o.String("error", e.Code)
	o.String("error_description", e.Description)
	h.Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	w.Write(o.Bytes())
}

// acceptSignature asks for a signature over what this request had to cover.
func acceptSignature(want []component) string {
	m := member{inner: true, params: params{{"created", yes}, {"tag", bare{kind: text, text: tagRequest}}}}
	for _, c := range want {
		m.items = append(m.items, c.item())
	}
	return string(m.append([]byte("sig1=")))
}
