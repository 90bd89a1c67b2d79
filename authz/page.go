package authz

import (
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
			s.errorPage(w, r, refusal)
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
	typeHTML      = []string{"text/html; charset=utf-8"}
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
