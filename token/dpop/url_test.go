package dpop_test

import (
	"testing"

	"github.com/aikagi/aikagi/token/dpop"
)

func TestTargetURL(t *testing.T) {
	v := verifier(t, dpop.Config{})
	const configured = "https://api.bank.example/v1/~a/h?page=1" // with the query of the request
	for _, tt := range []struct {
		name, htu, url string // url "" means configured
		rule           string // "" if they are the same
	}{
		{"RFC9449-4.3-9 RFC9449-4.2-8 query in the request", "https://api.bank.example/v1/~a/h", "", ""},
		{"RFC9449-4.2-8 another query in the proof", "https://api.bank.example/v1/~a/h?page=2", "", ""},
		{"RFC9449-4.3-9 a fragment in the proof", "https://api.bank.example/v1/~a/h#x?y", "", ""},
		{"RFC9449-4.3-9n CT-RS-2 scheme and host in capitals, port", "HTTPS://API.BANK.EXAMPLE:443/v1/~a/h", "", ""},
		{"RFC9449-4.3-9n CT-RS-2 the same the other way round", "https://api.bank.example/x", "HTTPS://API.Bank.Example:443/x", ""},
		{"RFC9449-4.3-9n an empty port", "https://api.bank.example:/v1/~a/h", "", ""},
		{"RFC9449-4.3-9n %7e for ~", "https://api.bank.example/v1/%7ea/h", "", ""},
		{"RFC9449-4.3-9n letters written with percent", "https://api.bank.example/v1/~%61/%68", "", ""},
		{"RFC9449-4.3-9n hexadecimal in lower case", "https://h.example/a%2fb%c3%a4", "https://h.example/a%2Fb%C3%A4", ""},
		{"RFC9449-4.3-9n dot segments", "https://api.bank.example/v1/./x/../~a/h", "", ""},
		{"RFC9449-4.3-9n dot segments written with percent", "https://api.bank.example/v1/x/%2E%2e/~a/h", "", ""},
		{"RFC9449-4.3-9n dots above the root", "https://h.example/../../a", "https://h.example/a", ""},
		{"RFC9449-4.3-9n a dot at the end", "https://h.example/a/.", "https://h.example/a/", ""},
		{"RFC9449-4.3-9n two dots at the end", "https://h.example/a/b/..", "https://h.example/a/", ""},
		{"RFC9449-4.3-9n two dots at the root", "https://h.example/..", "https://h.example/", ""},
		{"RFC9449-4.3-9n empty path", "https://h.example", "https://h.example/", ""},
		{"RFC9449-4.3-9n empty path before a query", "https://h.example?a=/b", "https://h.example/", ""},
		{"RFC9449-4.3-9n a browser's | and net/http's %7C", "https://h.example/a|b", "https://h.example/a%7Cb", ""},
		{"RFC9449-4.3-9n beyond ASCII, as the letter and as its octets", "https://h.example/ä", "https://h.example/%C3%A4", ""},
		{"RFC9449-4.3-9n http, port 80", "http://localhost:80/a", "http://LOCALHOST/a", ""},
		{"RFC9449-4.3-9n a port of its own", "https://h.example:8443/a", "https://h.example:8443/a", ""},
		{"RFC9449-4.3-9n an address", "https://[2001:DB8::1]:443/a", "https://[2001:db8::1]/a", ""},
		{"RFC9449-4.3-9n dots in a name are no segments", "https://h.example/.well-known/a..b", "https://h.example/.well-known/a..b", ""},

		{"RFC9449-4.3-9 another path", "https://api.bank.example/v1/~a/i", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9 another host", "https://api.bank.example.evil.example/v1/~a/h", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9 http for https", "http://api.bank.example/v1/~a/h", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9 another port", "https://api.bank.example:8443/v1/~a/h", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9 http's port for https", "https://api.bank.example:80/v1/~a/h", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n a trailing slash", "https://api.bank.example/v1/~a/h/", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n a trailing dot of the host", "https://api.bank.example./v1/~a/h", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n letter case of the path", "https://api.bank.example/V1/~a/h", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n two slashes", "https://api.bank.example//v1/~a/h", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n %2F is no slash", "https://api.bank.example/v1%2F~a/h", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n %3F begins no query", "https://api.bank.example/v1/~a/h%3Fpage=1", "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n %252E is no dot", "https://h.example/a/%252E%252E/b", "https://h.example/b", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n + is no space", "https://h.example/a+b", "https://h.example/a%20b", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n %2B is no +", "https://h.example/a%2Bb", "https://h.example/a+b", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n a backslash is no slash", `https://api.bank.example/v1\~a\h`, "", "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n a space at the end", "https://api.bank.example/v1/~a/h ", "", "RFC9449-4.3-9"},

		{"RFC9449-4.2-8 empty", "", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 a path", "/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 no scheme", "//api.bank.example/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 another scheme", "wss://api.bank.example/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 a long s in https", "http\u017f://api.bank.example/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 no host", "https:///v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 a port alone", "https://:443/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 two ports", "https://api.bank.example:443:443/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 a port that is none", "https://api.bank.example:+443/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 an address without end", "https://[2001:db8::1/v1", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 an address without brackets", "https://2001:db8::1/v1", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 a user", "https://api.bank.example@api.bank.example/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 a host with a percent sign", "https://%61pi.bank.example/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 a host beyond ASCII", "https://bänk.example/", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 a Kelvin sign for k", "https://api.ban\u212a.example/v1/~a/h", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 half a percent sequence", "https://api.bank.example/v1/~a/h%4", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 no hexadecimal", "https://api.bank.example/v1/%zz", "", "RFC9449-4.2-8"},
		{"RFC9449-4.2-8 a line break", "https://api.bank.example\r\n/v1/~a/h", "", "RFC9449-4.2-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			p.claims["htu"], p.request.URLs = tt.htu, []string{tt.url}
			if tt.url == "" {
				p.request.URLs = []string{configured}
			}
			got, err := p.show(t, v)
			if tt.rule != "" {
				refused(t, got, err, "invalid_dpop_proof", tt.rule)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("RFC9449-11.1-2 one text for one URL", func(t *testing.T) {
		for _, htu := range []string{"https://h.example/a~b", "HTTPS://H.EXAMPLE:443/x/../a%7eb?q"} {
			for _, url := range []string{"https://h.example/a~b?c", "https://H.example/a%7Eb"} {
				p := good()
				p.claims["htu"], p.request.URLs = htu, []string{"https://other.example/", url}
				got, err := p.show(t, v)
				if err != nil || got.URL != "https://h.example/a~b" {
					t.Errorf("htu %q at %q: %v, error %v", htu, url, got, err)
				}
			}
		}
	})
}
