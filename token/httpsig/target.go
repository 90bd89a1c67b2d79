package httpsig

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// An origin is a base URL that clients reach the API under.
type origin struct {
	base      string // as configured
	authority string // host, and port unless it is 443
	path      string // what the base URL has after the authority, mostly ""
}

// parseOrigin takes a base URL only in the form that clients sign: another
// spelling of the same would be another @target-uri.
func parseOrigin(s string) (origin, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(s, "?#") ||
		u.Host != strings.ToLower(u.Host) || u.Port() == "443" || strings.HasSuffix(u.Host, ":") || strings.HasSuffix(s, "/") {
		return origin{}, fmt.Errorf("%q is not like https://api.bank.example: https, lower case, no port 443, no slash at the end", s)
	}
	if "https://"+u.Host+u.EscapedPath() != s {
		return origin{}, fmt.Errorf("%q is not in the form that clients sign", s)
	}
	return origin{base: s, authority: u.Host, path: u.EscapedPath()}, nil
}

// parseOrigins takes a configuration's Origins, or reports what is wrong.
func parseOrigins(list []string, fail func(format string, args ...any)) []origin {
	if len(list) == 0 {
		fail("Origins is empty: there is nothing to compare @target-uri with")
	}
	var origins []origin
	for _, s := range list {
		o, err := parseOrigin(s)
		if err != nil {
			fail("Origins has %w", err)
		}
		origins = append(origins, o)
	}
	return origins
}

// A target is the URI of a request as the client sent it (RFC 9110, 7.1).
type target struct {
	origin
	sent string // path and query as they stood in the request line; "" for OPTIONS *
}

// targetOf returns the target of r. The Host header chooses among the origins
// and can name no other; one that is none of them means the first.
func targetOf(origins []origin, r *http.Request) target {
	host := strings.TrimSuffix(strings.ToLower(r.Host), ":443")
	t := target{origin: origins[0], sent: sent(r)}
	for _, o := range origins {
		if o.authority == host {
			t.origin = o
			break
		}
	}
	return t
}

// sent returns path and query as the client wrote them, however the host's mux
// has cut or cleaned them since.
func sent(r *http.Request) string {
	s := r.RequestURI
	if s == "" {
		s = r.URL.RequestURI()
	}
	if strings.HasPrefix(s, "/") {
		return s
	}
	_, rest, absolute := strings.Cut(s, "://") // as to a proxy (RFC 9112, 3.2.2)
	if !absolute {
		return ""
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/"
	case rest[i] == '?':
		return "/" + rest[i:]
	}
	return rest[i:]
}

func (t target) uri() string { return t.base + t.sent }

// pathAndQuery returns both as RFC 9421, 2.2.6 and 2.2.7 have them: nothing is
// decoded, an empty path is a slash, and an absent query is a question mark.
func (t target) pathAndQuery() (path, query string) {
	path, query, _ = strings.Cut(t.path+t.sent, "?")
	if path == "" {
		path = "/"
	}
	return path, "?" + query
}
