package dpop

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzNormalize compares with net/url: what is a URL here is one there, with
// the same host and, where nothing is to be decoded, the same path; and a normal
// form is its own.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{
		"https://as.bank.example/token", "HTTPS://H.example:443/%7e/%2f/./..//a?b#c", "http://[::1]:8080", "https://h/a|b ä",
		"https://h:443:443/", "https://user@h/", "https://h/%", "https://%41/", "https://h/..%2f..", "https:///x", "://",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := normalize(s)
		if !ok {
			return
		}
		if again, ok := normalize(n); !ok || again != n {
			t.Fatalf("%q became %q and then %q, %v", s, n, again, ok)
		}
		_, path, _ := strings.Cut(strings.SplitAfterN(n, "://", 2)[1], "/")
		if strings.ContainsAny(n, "?#\\ \r\n") || strings.Contains("/"+path+"/", "/../") || strings.Contains("/"+path+"/", "/./") {
			t.Errorf("%q became %q", s, n)
		}
		u, err := url.Parse(n)
		if err != nil {
			if strings.ContainsAny(n, "[:") { // a port or an address out of range
				return
			}
			t.Fatalf("%q became %q: %v", s, n, err)
		}
		in, err := url.Parse(s)
		if err != nil { // such as a control character, which has a percent sign by now
			return
		}
		if u.Host != strings.ToLower(u.Host) || u.Hostname() != strings.ToLower(in.Hostname()) {
			t.Errorf("%q became %q: host", s, n)
		}
		if strings.Contains(s, "/.") || strings.Contains(s, "%") {
			return
		}
		if u.Path != in.Path && u.Path != in.Path+"/" {
			t.Errorf("%q became %q: path %q, want %q", s, n, u.Path, in.Path)
		}
	})
}

// FuzzWithoutDots compares with the algorithm as RFC 3986 has it.
func FuzzWithoutDots(f *testing.F) {
	for _, s := range []string{"a/b/c/./../../g", "mid/content=5/../6", "..//a", "a/..", "./.", "a//../b", "...", ".a/..b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := withoutDots("/"+s), removeDotSegments("/"+s); got != want {
			t.Errorf("/%s became %s, want %s", s, got, want)
		}
	})
}

// removeDotSegments is RFC 3986, 5.2.4, step by step, for a path that begins
// with a slash.
func removeDotSegments(in string) string {
	out := ""
	up := func() { out = out[:max(0, strings.LastIndexByte(out, '/'))] }
	for in != "" {
		switch {
		case strings.HasPrefix(in, "/./"): // B
			in = in[2:]
		case in == "/.":
			in = "/"
		case strings.HasPrefix(in, "/../"): // C
			in = in[3:]
			up()
		case in == "/..":
			in = "/"
			up()
		default: // E
			end := strings.IndexByte(in[1:], '/') + 1
			if end == 0 {
				end = len(in)
			}
			out += in[:end]
			in = in[end:]
		}
	}
	return out
}

func TestDotSegments(t *testing.T) {
	for in, want := range map[string]string{
		"/a/b/c/./../../g": "/a/g", // RFC 3986, 5.2.4
		"/b/c/..":          "/b/",  // RFC 3986, 5.4.1
		"/b/c/../..":       "/",
		"/b/c/../../../g":  "/g", // RFC 3986, 5.4.2
		"/b/c/g.":          "/b/c/g.",
		"/b/c/..g":         "/b/c/..g",
		"/b/c/./g/.":       "/b/c/g/",
	} {
		if got := withoutDots(in); got != want {
			t.Errorf("RFC9449-4.3-9n %s became %s, want %s", in, got, want)
		}
	}
}
