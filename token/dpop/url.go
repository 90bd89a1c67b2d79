package dpop

import (
	"bytes"
	"strings"
)

// normalize returns a URL without query and fragment in normal form, by the
// syntax and the scheme (RFC 3986, 6.2.2 and 6.2.3): two URLs that every server
// takes for one become one text, and no others do. Package net/url would
// decode too much: to it %2F in a path is a slash.
//
// A character that has no place in a path, such as | or one beyond ASCII, is
// written with percent signs, as browsers and net/http differ in whether they
// do. A URL with a user or without a host is none.
func normalize(s string) (string, bool) {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return "", false
	}
	authority, path := rest, "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	var buf [128]byte // on the stack, and enough for most
	b := buf[:0]
	defaultPort := "443"
	switch strings.ToLower(scheme) { // EqualFold knows a second s
	case "https":
		b = append(b, "https://"...)
	case "http":
		b, defaultPort = append(b, "http://"...), "80"
	default:
		return "", false
	}
	if b, ok = appendAuthority(b, authority, defaultPort); !ok {
		return "", false
	}
	start := len(b)
	if b, ok = appendPath(b, path); !ok {
		return "", false
	}
	if bytes.Contains(b[start:], []byte("/.")) {
		b = append(b[:start], withoutDots(string(b[start:]))...)
	}
	if string(b) == s { // as it nearly always is: no copy
		return s, true
	}
	return string(b), true
}

// appendAuthority appends host and port in lower case, without the port if it
// is the scheme's. A name beyond ASCII must come in its ASCII form.
func appendAuthority(b []byte, authority, defaultPort string) ([]byte, bool) {
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
	}
	name, literal := strings.CutPrefix(host, "[")
	if literal { // IPv6
		name, literal = strings.CutSuffix(name, "]")
	}
	if name == "" || strings.Trim(port, "0123456789") != "" {
		return nil, false
	}
	for i := range len(name) {
		if c := name[i]; !unreserved(c) && (c != ':' || !literal) {
			return nil, false
		}
	}
	b = append(b, strings.ToLower(host)...)
	if port != "" && port != defaultPort {
		b = append(append(b, ':'), port...)
	}
	return b, true
}

// appendPath appends a path with each character written in its one way:
// unreserved ones as they are, those with a meaning in a path as they came,
// and all else with a percent sign and capitals (RFC 3986, 6.2.2.1, 6.2.2.2).
func appendPath(b []byte, path string) ([]byte, bool) {
	const capitals = "0123456789ABCDEF"
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case unreserved(c), c != '%' && strings.IndexByte("/:@!$&'()*+,;=", c) >= 0:
			b = append(b, c)
			continue
		case c == '%':
			high, low := hex(path, i+1), hex(path, i+2)
			if high < 0 || low < 0 {
				return nil, false
			}
			if i += 2; unreserved(byte(high<<4 | low)) {
				b = append(b, byte(high<<4|low))
				continue
			}
			c = byte(high<<4 | low)
		}
		b = append(b, '%', capitals[c>>4], capitals[c&15])
	}
	return b, true
}

// hex returns the value of the hexadecimal digit at i, or -1.
func hex(s string, i int) int {
	if i >= len(s) {
		return -1
	}
	switch c := s[i]; {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// withoutDots takes the segments . and .. out of a path that begins with a
// slash (RFC 3986, 5.2.4).
func withoutDots(path string) string {
	segments := strings.Split(path[1:], "/")
	kept := segments[:0]
	for i, s := range segments {
		switch s {
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		case ".":
		default:
			kept = append(kept, s)
			continue
		}
		if i == len(segments)-1 {
			kept = append(kept, "") // what remains is a directory
		}
	}
	return "/" + strings.Join(kept, "/")
}

// unreserved is the set of RFC 3986, 2.3.
func unreserved(c byte) bool {
	switch {
	case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}
