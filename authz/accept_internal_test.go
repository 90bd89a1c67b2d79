package authz

import (
	"strings"
	"testing"
)

// TestPrefers: RFC 9110, 12.4.2 and 12.5.1, for the two forms of an
// introspection response.
func TestPrefers(t *testing.T) {
	const jwt = "application/token-introspection+jwt"
	for _, tt := range []struct {
		name   string
		accept []string
		want   bool
	}{
		{"nothing", nil, false},
		{"an empty header", []string{""}, false},
		{"the JWT", []string{jwt}, true},
		{"in capitals", []string{"Application/Token-Introspection+JWT"}, true},
		{"JSON", []string{"application/json"}, false},
		{"anything", []string{"*/*"}, false},
		{"any application", []string{"application/*"}, false},
		{"something else", []string{"text/html"}, false},
		{"another JWT", []string{"application/jwt"}, false},
		{"a name with more behind it", []string{jwt + "s"}, false},
		{"both alike", []string{jwt + ", application/json"}, true},
		{"both alike, the other way about", []string{"application/json, " + jwt}, true},
		{"on two lines", []string{"application/json;q=0.5", jwt}, true},
		{"the JWT, else anything", []string{jwt + ", */*;q=0.1"}, true},
		{"the JWT, else anything, alike", []string{"*/*, " + jwt}, true},
		{"JSON, else the JWT", []string{"application/json, " + jwt + ";q=0.9"}, false},
		{"by a thousandth", []string{"application/json;q=0.998, " + jwt + ";q=0.999"}, true},
		{"the JWT is refused", []string{jwt + ";q=0, */*"}, false},
		{"the JWT is refused, with decimals", []string{jwt + ";q=0.000, */*"}, false},
		{"JSON is refused", []string{"application/json;q=0, */*"}, true},
		{"the most specific range counts", []string{"*/*, application/*;q=0.2, application/json;q=0.4, " + jwt + ";q=0.3"}, false},
		{"any application rather than JSON", []string{"application/*;q=0.5, application/json;q=0.4"}, true},
		{"neither", []string{"application/json;q=0, " + jwt + ";q=0"}, false},
		{"with spaces and tabs", []string{" \t" + jwt + " ;\tq=1.000 , application/json ; q=0.9 "}, true},
		{"with a parameter", []string{"application/json; charset=utf-8"}, false},
		{"empty elements", []string{",, ," + jwt + ", ,"}, true},
		{"a comma in quotes", []string{`application/json;x="a, ` + jwt + `"`}, false},
		{"a quote in quotes", []string{`text/plain;x="\", ", ` + jwt}, true},
		{"a quote that does not end", []string{`text/plain;x=", ` + jwt}, false},
		{"q of two", []string{jwt + ";q=2"}, false},
		{"q above one", []string{jwt + ";q=1.001"}, false},
		{"q below nothing", []string{jwt + ";q=-1"}, false},
		{"q with four decimals", []string{jwt + ";q=0.1234"}, false},
		{"q that is no number", []string{jwt + ";q=high"}, false},
		{"q with a comma", []string{jwt + ";q=0,5"}, false},
		{"q without whole part", []string{jwt + ";q=.5"}, false},
		{"q with its point last", []string{jwt + ";q=1."}, true},
		{"no subtype", []string{"application"}, false},
	} {
		t.Run("RFC9701-4-1 "+tt.name, func(t *testing.T) {
			if got := prefers(tt.accept, jwt, "application/json"); got != tt.want {
				t.Errorf("prefers(%q): %t", tt.accept, got)
			}
		})
	}
}

// FuzzAccept: a header that no server has made can be anything. The signed form
// is never sent to one that does not name it and leaves nothing open.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{
		"", "*/*", "application/token-introspection+jwt, */*;q=0.1", `application/json;x="a,b\"";q=0.5,application/*`,
		"application/json;q=0,*/*;q=0.001", "text/html;;;q==1,,\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		const jwt, json = "application/token-introspection+jwt", "application/json"
		got := prefers([]string{header}, jwt, json)
		if got && !strings.Contains(header, "*") && !strings.Contains(strings.ToLower(header), jwt) {
			t.Errorf("%q is taken to prefer %s", header, jwt)
		}
		if got && prefers([]string{header}, json, jwt) && !strings.Contains(strings.ToLower(header), json) {
			t.Errorf("%q is taken to prefer each to the other", header)
		}
		// What stands on two lines counts as if it stood on one (RFC 9110, 5.3).
		if before, after, ok := strings.Cut(header, ","); ok && !strings.Contains(header, `"`) {
			if prefers([]string{before, after}, jwt, json) != got {
				t.Errorf("%q means something else on two lines", header)
			}
		}
		var rest int
		for line := header; line != ""; rest++ {
			var element string
			element, line = cutElement(line)
			if len(element) > len(header) || rest > len(header) {
				t.Fatalf("%q does not end", header)
			}
		}
	})
}
