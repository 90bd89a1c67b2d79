package authz

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// location returns where the browser takes a response that says code or error:
// to the client, with the state as it came and our name (RFC 6749, 4.1.2; RFC
// 9207, 2), all of it in a JWT if the client asked for one (JARM, 2.3).
func (in *Interaction) location(ctx context.Context, name, value string) (string, error) {
	params := [][2]string{{name, value}}
	if in.request.State != "" {
		params = append(params, [2]string{"state", in.request.State})
	}
	params = append(params, [2]string{"iss", in.server.config.Issuer})
	if in.request.ResponseMode != "" {
		jwt, err := in.signedResponse(ctx, params)
		if err != nil {
			return "", err
		}
		params = [][2]string{{"response", jwt}}
	}
	return withQuery(in.request.RedirectURI, params), nil
}

// withQuery adds parameters to a URI, whose own are kept (RFC 6749, 3.1.2).
func withQuery(uri string, params [][2]string) string {
	var b strings.Builder
	b.WriteString(uri)
	next := ""
	switch {
	case !strings.Contains(uri, "?"):
		next = "?"
	case !strings.HasSuffix(uri, "?") && !strings.HasSuffix(uri, "&"):
		next = "&"
	}
	for _, p := range params {
		b.WriteString(next)
		b.WriteString(p[0])
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p[1]))
		next = "&"
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
