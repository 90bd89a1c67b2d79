package httpsig

import (
	"strings"
	"testing"
)

// What is read is written again in the one way that RFC 9651, 4.1 has for it.
func TestParseDictionary(t *testing.T) {
	tests := []struct{ in, want string }{ // want is the members, each on a line
		{"", ""},
		{"  a=1  ", "a=1"},
		{"a=-0", "a=0"},
		{"a=-017", "a=-17"},
		{"a=999999999999999", "a=999999999999999"},
		{"a, b;x,c=?0", "a=?1\nb=?1;x\nc=?0"},
		{"a=1 \t,\t b=2", "a=1\nb=2"},
		{`a="x \"y\\z\" ~"`, `a="x \"y\\z\" ~"`},
		{`a=""`, `a=""`},
		{"a=*tok/en:x!#$%&'*+-.^_`|~9", "a=*tok/en:x!#$%&'*+-.^_`|~9"},
		{"a=::", "a=::"},
		{"a=:AQI=:", "a=:AQI=:"},
		{"a=()", "a=()"},
		{`a=(  "x";y;z=1   "w"  );  c=?1;d="e"`, `a=("x";y;z=1 "w");c;d="e"`},
		{"*a_b-c.d*9=(1 tok :AA==: ?0)", "*a_b-c.d*9=(1 tok :AA==: ?0)"},
	}
	for _, tt := range tests {
		members, err := parseDictionary(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		var got []string
		for i := range members {
			got = append(got, members[i].name+"="+string(members[i].append(nil)))
		}
		if s := strings.Join(got, "\n"); s != tt.want {
			t.Errorf("%q is %q, want %q", tt.in, s, tt.want)
		}
	}
}

func TestParseDictionaryRefuses(t *testing.T) {
	many := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s, n), ",") }
	names := func(n int, sep string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(sep + string(rune('a'+i)))
		}
		return strings.TrimPrefix(b.String(), ",")
	}
	for _, in := range []string{
		",", "a=1,", "a=1,,b=2", "a=1 b=2", "a=1;", "a=1;=2", "A=1", "1=1", "-a=1", "=1", "a=", "a==1", "\ta=1", "a=1\t;x",
		"a=1, a=2", "a=();x;x", "a;x=@1", "a;x=1;x=2", `a=("b";x;x)`,
		"a=-", "a=--1", "a=+1", "a=1.5", "a=1.", "a=1000000000000000", "a=1e3",
		`a="`, `a="x`, `a="\`, `a="\x"`, "a=\"\x00\"", "a=\"\x7f\"", "a=\"é\"", "a=\"\t\"", "a='x'",
		"a=:", "a=:AQI:", "a=:AQJ=:", "a=:A:", "a=:AQ I=:", "a=:AQ-_:", "a=:AQ\nI=:", "a=:AQI=", "a=:AQI=:x",
		"a=?", "a=?2", "a=?true", "a=@1", `a=%"x"`, "a=é", "é=1", "a=[1]", "a=(1,2)",
		"a=(", "a=(1", "a=(1 ", `a=("x""y")`, "a=(1;)", "a=((1))", "a=(1\t2)", "a=)", "a=()x", "a=() ;x y",
		strings.Repeat(" ", maxField) + "a",
		names(maxMembers+1, ","),
		"a=(" + many("1 ", maxItems+1) + ")",
		"a" + names(maxParams+1, ";"),
	} {
		if members, err := parseDictionary(in); err == nil {
			t.Errorf("%q is %+v", in, members)
		}
	}
	for _, in := range []string{names(maxMembers, ","), "a=(" + many("1 ", maxItems) + ")", "a" + names(maxParams, ";")} {
		if _, err := parseDictionary(in); err != nil {
			t.Errorf("%q, which is just within the bounds: %v", in, err)
		}
	}
}

// FuzzParseDictionary looks for a panic, and for what is read differently once
// it has been written.
func FuzzParseDictionary(f *testing.F) {
	f.Add(`sig1=("@method" "@target-uri" "content-digest";key="sha-256");created=1767225660;keyid="a\"b";tag="fapi-2-request", b=:AQI=:;x=?0`)
	f.Add("sha-256=:G8ghbMfotB9y2MK+ARyxPoT4qa8eWtd1vGeBBX4hUSQ=:, md5=tok/en")
	f.Add("a, b;c=-1")
	f.Fuzz(func(t *testing.T, s string) {
		members, err := parseDictionary(s)
		if err != nil {
			return
		}
		var b []byte
		for i := range members {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = members[i].append(append(append(b, members[i].name...), '='))
		}
		if !isPrintable(string(b)) {
			t.Errorf("%q is written as %q", s, b)
		}
		again, err := parseDictionary(string(b))
		if err != nil && len(b) <= maxField || err == nil && len(again) != len(members) {
			t.Errorf("%q is written as %q: %v", s, b, err)
		}
		for i := range again {
			if again[i].name != members[i].name || string(again[i].append(nil)) != string(members[i].append(nil)) {
				t.Errorf("%q is written as %q, and that as %q", s, b, again[i].append(nil))
			}
		}
	})
}
