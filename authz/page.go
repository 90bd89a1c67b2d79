package authz

import (
	"html/template"
	"net/http"
)

// servePage returns the handler of an endpoint that browsers visit and that
// answers in HTML.
func (s *Server) servePage(name string, e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		browserHeaders(w.Header())
		ev := Event{Endpoint: name}
		if err := e(w, r, &ev); err != nil {
			refusal := asError(err)
			s.auditRefusal(r.Context(), ev, refusal)
			errorPage(w, refusal)
		}
	})
}

// What every page and redirect of the authorization endpoint carries. The
// values are shared by all answers; Set replaces them and changes none.
var (
	hsts          = []string{"max-age=63072000; includeSubDomains; preload"} // FAPI 2.0 SP, 5.2.3-1
	unframed      = []string{"frame-ancestors 'none'; base-uri 'none'"}      // RFC 9700, 4.16
	deny          = []string{"DENY"}                                         // RFC 6749, 10.13
	noReferrer    = []string{"no-referrer"}                                  // RFC 9700, 4.2.4
	nosniff       = []string{"nosniff"}
	noStore       = []string{"no-store"} // RFC 6749, 5.1
	noCache       = []string{"no-cache"}
	typeJSON      = []string{"application/json"}
	typeJWT       = []string{"application/jwt"}
	contentLength = []string{"0"}
)

// browserHeaders sets them. A host's page may set a Content-Security-Policy of
// its own.
func browserHeaders(h http.Header) {
	uncacheable(h)
	h["Strict-Transport-Security"] = hsts
	h["Content-Security-Policy"] = unframed
	h["X-Frame-Options"] = deny
	h["Referrer-Policy"] = noReferrer
	h["X-Content-Type-Options"] = nosniff
}

// uncacheable marks an answer that may hold credentials.
func uncacheable(h http.Header) {
	h["Cache-Control"] = noStore
	h["Pragma"] = noCache
}

var errorTemplate = template.Must(template.New("error").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>This request cannot be completed</title>
<h1>This request cannot be completed</h1>
<p>Please go back to where you came from and start again.</p>
<p><code>{{.Code}}</code>{{with .Description}}: {{.}}{{end}}</p>
</html>
`))

// errorPage tells the customer why there is no way on. There is no redirect:
// what brought the browser here is not to be trusted (RFC 6749, 3.1.2.4).
func errorPage(w http.ResponseWriter, e *Error) {
	h := w.Header()
	if e.allow != "" {
		h.Set("Allow", e.allow)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(e.httpStatus())
	_ = errorTemplate.Execute(w, e) // the client is gone if this fails
}
