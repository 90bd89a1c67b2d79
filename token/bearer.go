package token

import (
	"net/http"
	"net/url"
	"strings"
)

// The schemes by which a token may be presented: one that is bound to a
// certificate as Bearer (RFC 8705, 3), one that is bound to a key as DPoP (RFC
// 9449, 7.1).
const (
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
)

// maxToken bounds a token's length. Ours have a tenth of it.
const maxToken = 8 << 10

// presented returns the token that r carries and the scheme it comes with, in
// the one place where it may stand: a single Authorization header. A token in
// the form body is not looked for, so that the body stays the host's to read.
// With an error, the scheme is there if one was meant.
func presented(r *http.Request) (scheme, token string, err error) {
	// Also beside a header: the URL is in the logs of every hop, and a client
	// that puts tokens there must learn of it.
	if inQuery(r.URL.RawQuery, "access_token") {
		return "", "", &Error{Status: 400, Code: invalidRequest, Rule: "FAPI2-SP-5.3.4-2",
			Description: "access_token is not accepted in the URL"}
	}
	headers := r.Header["Authorization"]
	switch len(headers) {
	case 0:
		return "", "", unauthenticated()
	case 1:
	default:
		return "", "", &Error{Status: 400, Code: invalidRequest, Rule: "RFC6750-2-1",
			Description: "more than one Authorization header"}
	}
	scheme, token, _ = strings.Cut(headers[0], " ")
	switch {
	case strings.EqualFold(scheme, schemeBearer): // RFC 9110, 11.1
		scheme = schemeBearer
	case strings.EqualFold(scheme, schemeDPoP):
		scheme = schemeDPoP
	default:
		return "", "", unauthenticated() // RFC 6750, 3.1: a scheme we do not know is no attempt
	}
	token = strings.TrimLeft(token, " ")
	if len(token) > maxToken {
		return scheme, "", &Error{Status: 400, Code: invalidRequest, Rule: "RFC6750-2.1-1",
			Description: "the token is too long"}
	}
	return scheme, token, nil
}

// unauthenticated answers a request that carries no credentials we know.
func unauthenticated() *Error {
	return &Error{Status: 401, Rule: "RFC6750-3.1-2", Description: "the request carries no access token"}
}

func refuseToken(rule, description string) *Error {
	return &Error{Status: 401, Code: invalidToken, Rule: rule, Description: description}
}

// inQuery reports whether a parameter called name stands in the query, with or
// without a value. It reads the query as leniently as any framework behind us
// might: pairs may be parted by semicolons, and a broken one spoils no other.
func inQuery(query, name string) bool {
	for query != "" {
		var pair string
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			pair, query = query, ""
		}
		key, _, _ := strings.Cut(pair, "=")
		if strings.ContainsAny(key, "%+") {
			key, _ = url.QueryUnescape(key)
		}
		if key == name {
			return true
		}
	}
	return false
}

// isB64Token reports whether s is a b64token (RFC 6750, 2.1).
func isB64Token(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return s != ""
}
