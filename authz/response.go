package authz

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// A response is what the browser takes to the client, and how.
type response struct {
	uri    string // the client's redirect_uri
	mode   string // query, fragment or form_post
	params [][2]string
}

// respond makes the response that has params, the state as it came and our name
// (RFC 6749, 4.1.2; RFC 9207, 2), all of it in a JWT if the client asked for one
// (JARM, 2.3).
func (in *Interaction) respond(ctx context.Context, params ...[2]string) (*response, error) {
	if in.request.State != "" {
		params = append(params, [2]string{"state", in.request.State})
	}
	params = append(params, [2]string{"iss", in.server.config.Issuer})
	responseType, mode := responseOf(in.request)
	mode, signed := strings.CutSuffix(mode, ".jwt")
	if mode == modeJWT {
		mode, signed = defaultMode(responseType), true
	}
	if signed {
		jwt, err := in.signedResponse(ctx, params)
		if err != nil {
			return nil, err
		}
		params = [][2]string{{"response", jwt}}
	}
	return &response{in.request.RedirectURI, mode, params}, nil
}

// write sends the browser to the client.
func (r *response) write(w http.ResponseWriter) {
	switch r.mode {
	case modeFormPost:
		formPost(w, r.uri, r.params)
	case modeFragment: // redirect URIs are registered without one
		redirect(w, r.uri+"#"+encoded(r.params))
	default:
		redirect(w, withQuery(r.uri, r.params))
	}
}

// withQuery adds parameters to a URI, whose own are kept (RFC 6749, 3.1.2).
func withQuery(uri string, params [][2]string) string {
	next := ""
	switch {
	case !strings.Contains(uri, "?"):
		next = "?"
	case !strings.HasSuffix(uri, "?") && !strings.HasSuffix(uri, "&"):
		next = "&"
	}
	return uri + next + encoded(params)
}

// encoded returns parameters as application/x-www-form-urlencoded, in order.
func encoded(params [][2]string) string {
	var b strings.Builder
	for i, p := range params {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p[0])
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p[1]))
	}
	return b.String()
}

// redirect sends the browser to the client. The status is 303, so that no
// browser posts the customer's password there (RFC 9700, 4.12).
func redirect(w http.ResponseWriter, to string) {
	h := w.Header()
	browserHeaders(h)
	h["Location"] = []string{to}
	h["Content-Length"] = contentLength
	w.WriteHeader(http.StatusSeeOther)
}
