package jose_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

func claimsOf(t testing.TB, s string) jose.Claims {
	t.Helper()
	c, err := jose.ParseClaims([]byte(s))
	if err != nil {
		t.Fatalf("ParseClaims(%s): %v", s, err)
	}
	return c
}

func TestClaims(t *testing.T) {
	c := claimsOf(t, " \t\r\n"+`{ "iss" : "a\u00e9\n\/\ud83d\ude00" , "aud":[ "x" , "y\"" ],"one":"z","empty":[],"mixed":["x",1],`+
		`"yes":true,"no":false,"nil":null,"n":-42,"zero":0,"half":0.5,"exp":1e3,"big":9223372036854775808,`+
		`"cnf":{"x5t#S256":"t","deep":[{"a":1},{"a":2}]},"":"no name","\u0061zp":"c","raw": [1, {"b" :2}] }`+"\n")

	names := []string{"iss", "aud", "one", "empty", "mixed", "yes", "no", "nil", "n", "zero", "half", "exp", "big", "cnf", "", "azp", "raw"}
	if diff := cmp.Diff(names, c.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	type result struct {
		Value any
		OK    bool
	}
	ask := func(v any, ok bool) result { return result{v, ok} }
	str := func(name string) result { v, ok := c.String(name); return ask(v, ok) }
	strs := func(name string) result { v, ok := c.Strings(name); return ask(v, ok) }
	boolean := func(name string) result { v, ok := c.Bool(name); return ask(v, ok) }
	number := func(name string) result { v, ok := c.Int(name); return ask(v, ok) }
	for _, tt := range []struct {
		name      string
		got, want result
	}{
		{"string with escapes", str("iss"), ask("aé\n/😀", true)},
		{"string with an escaped name", str("azp"), ask("c", true)},
		{"string without a name", str(""), ask("no name", true)},
		{"string of an array", str("aud"), ask("", false)},
		{"string of null", str("nil"), ask("", false)},
		{"string of a number", str("n"), ask("", false)},
		{"string in other case", str("ISS"), ask("", false)},
		{"strings", strs("aud"), ask([]string{"x", `y"`}, true)},
		{"strings of a string", strs("one"), ask([]string{"z"}, true)},
		{"strings of an empty array", strs("empty"), ask([]string{}, true)},
		{"strings of a mixed array", strs("mixed"), ask([]string(nil), false)},
		{"strings of null", strs("nil"), ask([]string(nil), false)},
		{"strings of nothing", strs("none"), ask([]string(nil), false)},
		{"true", boolean("yes"), ask(true, true)},
		{"false", boolean("no"), ask(false, true)},
		{"bool of null", boolean("nil"), ask(false, false)},
		{"bool of nothing", boolean("none"), ask(false, false)},
		{"int", number("n"), ask(int64(-42), true)},
		{"int zero", number("zero"), ask(int64(0), true)},
		{"int of a string", number("one"), ask(int64(0), false)},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	for _, name := range []string{"half", "exp", "big", "nil", "yes", "none"} {
		if n, ok := c.Int(name); ok {
			t.Errorf("Int(%s) = %d", name, n)
		}
	}
	if !c.Has("nil") || c.Has("none") || c.Has("Iss") {
		t.Error("Has is wrong")
	}
	if raw, ok := c.Raw("raw"); !ok || string(raw) != `[1, {"b" :2}]` {
		t.Errorf("raw %s, %v", raw, ok)
	}
	if raw, ok := c.Raw("none"); ok || raw != nil {
		t.Errorf("raw of nothing %s, %v", raw, ok)
	}
	cnf, ok := c.Object("cnf")
	if s, _ := cnf.String("x5t#S256"); !ok || s != "t" {
		t.Errorf("cnf %v, %v", cnf, ok)
	}
	for _, name := range []string{"iss", "aud", "nil", "none"} {
		if o, ok := c.Object(name); ok || len(o.Names()) != 0 {
			t.Errorf("Object(%s) = %v", name, o)
		}
	}
	if (jose.Claims{}).Has("") || len((jose.Claims{}).Names()) != 0 {
		t.Error("the zero Claims has members")
	}
}

func TestClaimsRawIsACopy(t *testing.T) {
	in := []byte(`{"a":[1,2]}`)
	c, err := jose.ParseClaims(in)
	if err != nil {
		t.Fatal(err)
	}
	copy(in, "XXXXXXXXXXX")
	raw, _ := c.Raw("a")
	raw[0] = 'X'
	if again, _ := c.Raw("a"); string(again) != "[1,2]" {
		t.Errorf("changed from outside: %s", again)
	}
}

func TestClaimsTime(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        time.Time // zero: no date
	}{
		{"JWT-I-2 whole", "1767225600", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"JWT-I-2 fraction", "1767225600.5", time.Date(2026, 1, 1, 0, 0, 0, 5e8, time.UTC)},
		{"JWT-I-2 fraction of zero", "1767225600.0", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"JWT-I-2 exponent", "1.7672256e9", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"zero", "0", time.Unix(0, 0)},
		{"before 1970", "-1.5", time.Unix(-2, 5e8)},
		{"JWT-I-2 2^53", "9007199254740992", time.Unix(1<<53, 0)},
		{"JWT-I-2 above 2^53", "9007199254740993", time.Time{}},
		{"JWT-I-2 below -2^53", "-9007199254740993", time.Time{}},
		{"JWT-I-2 above 2^53 with a fraction", "9007199254740994.5", time.Time{}},
		{"JWT-I-2 above 2^63", "9223372036854775808", time.Time{}},
		{"JWT-I-2 1e300", "1e300", time.Time{}},
		{"JWT-I-2 beyond float64", "1e400", time.Time{}},
		{"JWT-I-2 string", `"1767225600"`, time.Time{}},
		{"JWT-I-2 NaN as a string", `"NaN"`, time.Time{}},
		{"null", "null", time.Time{}},
		{"true", "true", time.Time{}},
		{"array", "[1767225600]", time.Time{}},
		{"object", "{}", time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := claimsOf(t, `{"exp":`+tt.value+`}`)
			got, ok := c.Time("exp")
			if ok == tt.want.IsZero() || ok && !got.Equal(tt.want) {
				t.Errorf("%v, %v, want %v", got, ok, tt.want)
			}
		})
	}
	for _, value := range []string{"NaN", "Infinity", "-Infinity", "+1", "01", "1.", ".5", "1e", "0x10", "1_000", "--1", "-"} {
		t.Run("JWT-I-2 "+value+" is no JSON", func(t *testing.T) {
			if _, err := jose.ParseClaims([]byte(`{"exp":` + value + `}`)); !errors.Is(err, jose.ErrMalformed) {
				t.Errorf("error %v, want ErrMalformed", err)
			}
		})
	}
	if got, ok := claimsOf(t, `{}`).Time("exp"); ok {
		t.Errorf("absent: %v", got)
	}
}

func nested(open, middle, end string, n int) string {
	return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
}

// distinct returns n members with different names.
func distinct(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"m%d":%d`, i, i)
	}
	return strings.Join(list, ",")
}

func TestParseClaimsRefuses(t *testing.T) {
	const utf16 = "\xff\xfe{\x00}\x00"
	for _, tt := range []struct{ name, json string }{
		{"JWT-I-1 aud twice", `{"aud":"a","iss":"i","aud":"b"}`},
		{"JWT-I-1 aud twice and equal", `{"aud":"a","aud":"a"}`},
		{"JWT-I-1 aud and AUD", `{"aud":"a","AUD":"b"}`},
		{"JWT-I-1 one written with an escape", `{"aud":"a","\u0061ud":"b"}`},
		{"JWT-I-1 letters that fold into one", `{"kid":"a","\u212aid":"b"}`},
		{"JWT-I-1 in an object below", `{"cnf":{"jkt":"a","jkt":"b"}}`},
		{"JWT-I-1 in an object in an array", `{"x":[[1,{"a":1,"b":2,"a":3}]]}`},
		{"JWT-I-1 among many", `{` + distinct(500) + `,"m3":1}`},
		{"JWT-I-1 among many, in other case", `{` + distinct(500) + `,"M499":1}`},
		{"JWT-I-1 the thirty-third", `{` + distinct(32) + `,"m31":1}`},
		{"RFC8725-3.7-1 invalid UTF-8 in a value", "{\"a\":\"\xff\"}"},
		{"RFC8725-3.7-1 invalid UTF-8 in a name", "{\"\xc3\":1}"},
		{"RFC8725-3.7-1 overlong UTF-8", "{\"a\":\"\xc0\xaf\"}"},
		{"RFC8725-3.7-1 surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}"},
		{"RFC8725-3.7-1 UTF-16", utf16},
		{"RFC8725-3.7-1 UTF-16 without mark", "{\x00}\x00"},
		{"RFC8725-3.7-1 byte order mark", "\xef\xbb\xbf{}"},
		{"RFC8725-3.7-1 lone high surrogate", `{"a":"\ud800"}`},
		{"RFC8725-3.7-1 lone low surrogate", `{"a":"\udc00"}`},
		{"RFC8725-3.7-1 two low surrogates", `{"a":"\udc00\udc00"}`},
		{"RFC8725-3.7-1 surrogates in the wrong order", `{"a":"\udc00\ud800"}`},
		{"RFC8725-3.7-1 high surrogate and a letter", `{"a":"\ud800x"}`},
		{"RFC8725-3.7-1 two high surrogates", `{"a":"\ud800\ud800"}`},
		{"empty", ""},
		{"space", " "},
		{"array", `[]`},
		{"string", `"a"`},
		{"null", `null`},
		{"number", `1`},
		{"second object", `{}{}`},
		{"NUL behind", "{}\x00"},
		{"comment", `{}//`},
		{"no end", `{"a":1`},
		{"no colon", `{"a" 1}`},
		{"no value", `{"a":}`},
		{"comma first", `{,"a":1}`},
		{"comma last", `{"a":1,}`},
		{"no comma", `{"a":1"b":2}`},
		{"comma last in an array", `{"a":[1,]}`},
		{"no comma in an array", `{"a":[1 2]}`},
		{"array without end", `{"a":[1`},
		{"braces crossed", `{"a":[1}]`},
		{"name without quotes", `{a:1}`},
		{"single quotes", `{'a':1}`},
		{"string without end", `{"a":"b`},
		{"escape without end", `{"a":"\`},
		{"unknown escape", `{"a":"\x41"}`},
		{"short escape", `{"a":"\u12"}`},
		{"escape without hex", `{"a":"\u12g4"}`},
		{"low surrogate without hex", `{"a":"\ud83d\ude0g"}`},
		{"backslash at the end", `{"a":"x\`},
		{"name with a bad escape", `{"\x":1}`},
		{"name without end", `{"a`},
		{"escape with a sign", `{"a":"\u+123"}`},
		{"line break in a string", "{\"a\":\"\n\"}"},
		{"NUL in a string", "{\"a\":\"\x00\"}"},
		{"literal in other case", `{"a":True}`},
		{"half a literal", `{"a":tru}`},
		{"literal with a tail", `{"a":nullx}`},
		{"no-break space", "{\u00a0}"},
		{"arrays 32 deep in the object", `{"a":` + nested("[", "", "]", 32) + `}`},
		{"objects 33 deep", nested(`{"a":`, "1", "}", 33)},
		{"arrays without end", `{"a":` + strings.Repeat("[", 100_000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if c, err := jose.ParseClaims([]byte(tt.json)); !errors.Is(err, jose.ErrMalformed) {
				t.Errorf("members %q, error %v, want ErrMalformed", c.Names(), err)
			}
		})
	}
}

func TestParseClaimsAccepts(t *testing.T) {
	for _, s := range []string{
		`{}`,
		`{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}],"x":1}`, // one name in objects that differ
		`{"a":` + nested("[", "", "]", 31) + `}`,
		nested(`{"a":`, "1", "}", 32),
		`{` + distinct(500) + `}`,
		`{"a":-0,"b":0.10,"c":1E+5,"d":1e-5,"e":"\u0000\ud83d\ude00"}`,
	} {
		c := claimsOf(t, s)
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(s), &want); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]json.RawMessage)
		for _, name := range c.Names() {
			got[name], _ = c.Raw(name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s, diff)
		}
	}
}
