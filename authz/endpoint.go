package authz

import (
	"context"
	"errors"
	"net/http"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/jsonw"
)

// An endpoint answers a request, or says why not. One place, [Server.serve]
// or [Server.servePage], turns the error into an audit event and writes what
// the client may know.
//
// As it learns whom it serves, it fills in the event.
type endpoint func(http.ResponseWriter, *http.Request, *Event) error

// maxBody limits a request's body, in bytes.
const maxBody = 64 << 10

// serve returns the handler of an endpoint that clients call directly and that
// answers in JSON.
func (s *Server) serve(name string, e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uncacheable(w.Header())
		ev := Event{Endpoint: name}
		if err := e(w, r, &ev); err != nil {
			refusal := asError(err)
			s.auditRefusal(r.Context(), ev, refusal)
			answer(w, refusal)
		}
	})
}

// answer writes e as RFC 6749, 5.2 says.
func answer(w http.ResponseWriter, e *Error) {
	if e.respond != nil {
		e.respond(w)
		return
	}
	h := w.Header()
	if e.allow != "" {
		h.Set("Allow", e.allow)
	}
	if e.challenge != "" {
		h.Set("WWW-Authenticate", e.challenge)
	}
	o := jsonw.New(128)
	o.String("error", string(e.Code))
	if e.Description != "" {
		o.String("error_description", clean(e.Description))
	}
	writeJSON(w, e.httpStatus(), o.Bytes())
}

// post reads the parameters of a request to an endpoint that takes a form by
// POST only (RFC 6749, 3.2).
func (s *Server) post(w http.ResponseWriter, r *http.Request, repeatable ...string) (form.Values, error) {
	if r.Method != http.MethodPost {
		e := refuse("RFC6749-3.2-1", invalidRequest, "use POST")
		e.status, e.allow = http.StatusMethodNotAllowed, http.MethodPost
		return form.Values{}, e
	}
	v, err := form.ParseBody(w, r, maxBody, repeatable...)
	if err != nil {
		return form.Values{}, badForm(err)
	}
	return v, nil
}

// badForm returns the refusal of a request whose parameters cannot be read.
func badForm(err error) error {
	var dup *form.DuplicateError
	switch {
	case errors.As(err, &dup):
		return refuse("RFC6749-3.1-2", invalidRequest, "a parameter is repeated").because(err)
	case errors.Is(err, form.ErrMediaType):
		return refuse("RFC6749-3.2-2", invalidRequest, "the body must be application/x-www-form-urlencoded")
	case errors.Is(err, form.ErrTooLarge):
		e := refuse("RFC9126-2.3-5", invalidRequest, "the request is too large")
		e.status = http.StatusRequestEntityTooLarge
		return e
	case errors.Is(err, form.ErrMalformed):
		return refuse("RFC6749-5.2-3", invalidRequest, "the parameters are malformed").because(err)
	}
	return refuse("RFC6749-5.2-3", invalidRequest, "the body could not be read").because(err)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) { write(w, status, typeJSON, body) }

func write(w http.ResponseWriter, status int, contentType []string, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType
	h["X-Content-Type-Options"] = nosniff
	w.WriteHeader(status)
	w.Write(body)
}

// audit hands e to the host, stamped.
func (s *Server) audit(ctx context.Context, e Event) {
	if s.config.Audit == nil {
		return
	}
	e.Time, e.Issuer = s.now(), s.config.Issuer
	s.config.Audit(ctx, e)
}

// auditRefusal reports that what ev describes was not done, and why.
func (s *Server) auditRefusal(ctx context.Context, ev Event, e *Error) {
	ev.Kind = requestRefused
	if e.Code == serverError {
		ev.Kind = requestFailed
	}
	ev.Code, ev.Rule, ev.Reason = e.Code, e.Rule, e.reason()
	ev.Claims = nil // the client was to be told of them, and was not
	s.audit(ctx, ev)
}
