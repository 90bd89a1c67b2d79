package authz

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
)

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

// errorPolicy is the Content-Security-Policy of an error page.
const errorPolicy = "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

// errorPage tells the customer why there is no way on. There is no redirect:
// what brought the browser here is not to be trusted (RFC 6749, 3.1.2.4).
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, e *Error) {
	h := w.Header()
	if e.allow != "" {
		h.Set("Allow", e.allow)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", errorPolicy)
	shown := &Error{Code: e.Code, Description: clean(e.Description)}
	if s.config.ErrorPage != nil {
		p := &page{w: w, header: h.Clone(), status: e.httpStatus()}
		s.config.ErrorPage(p, withoutParameters(r), shown)
		if p.begun {
			return
		}
	}
	w.WriteHeader(e.httpStatus())
	_ = errorTemplate.Execute(w, shown) // the client is gone if this fails
}

// withoutParameters returns r as it would be without query and body.
func withoutParameters(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.URL.RawQuery, r.URL.ForceQuery, r.RequestURI = "", false, r.URL.EscapedPath()
	r.Body, r.GetBody, r.ContentLength, r.TransferEncoding = http.NoBody, nil, 0, nil
	r.Form, r.PostForm, r.MultipartForm = nil, nil, nil
	r.Header.Del("Referer") // it may be our own URL, query and all
	return r
}

// A page is what a host writes an error page to: one that cannot become a
// redirect, another status, or a page to be framed or kept.
type page struct {
	w      http.ResponseWriter
	header http.Header // what the host sets
	status int
	begun  bool
}

// fixed are the headers of a page that a host's error page does not change.
var fixed = []string{
	"Allow", "Cache-Control", "Pragma", "Strict-Transport-Security",
	"X-Frame-Options", "Referrer-Policy", "X-Content-Type-Options",
}

// notOnPages are headers that could take the browser elsewhere.
var notOnPages = []string{"Location", "Refresh"}

func (p *page) Header() http.Header { return p.header }

// WriteHeader sends the headers, with the status that the page has anyway.
func (p *page) WriteHeader(int) {
	if p.begun {
		return
	}
	p.begun = true
	h := p.w.Header()
	for name, values := range p.header {
		name = http.CanonicalHeaderKey(name)
		if !slices.Contains(fixed, name) && !slices.Contains(notOnPages, name) {
			h[name] = values
		}
	}
	if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		h.Set("Content-Security-Policy", errorPolicy)
	}
	p.w.WriteHeader(p.status)
}

// Write implements [http.ResponseWriter].
func (p *page) Write(b []byte) (int, error) {
	p.WriteHeader(p.status)
	return p.w.Write(b)
}
