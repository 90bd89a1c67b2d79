package form_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/google/go-cmp/cmp"
)

// names are the parameters that read looks for in what was parsed.
var names = []string{"client_id", "request_uri", "resource", "scope", "state", "é", "a b"}

// read turns v into a map, without what is absent.
func read(v form.Values) map[string][]string {
	m := make(map[string][]string)
	for _, name := range names {
		if all := v.All(name); all != nil {
			m[name] = all
		}
	}
	return m
}

// parameters are the rules that bodies and queries share.
var parameters = []struct {
	name, in string
	want     map[string][]string
	err      error // ErrMalformed, or a *DuplicateError
}{
	{"nothing", "", nil, nil},
	{"one of each", "client_id=c&state=s", map[string][]string{"client_id": {"c"}, "state": {"s"}}, nil},
	{"RFC6749-3.1-2 without a value", "client_id=c&state=", map[string][]string{"client_id": {"c"}}, nil},
	{"RFC6749-3.1-2 without an equals sign", "client_id=c&state", map[string][]string{"client_id": {"c"}}, nil},
	{"RFC6749-3.1-2 unknown", "client_id=c&foo=1", map[string][]string{"client_id": {"c"}}, nil},
	{"escapes", "state=%41%2b+%3b%26%3D%c3%a9%25&a+b=1&%C3%A9=2", map[string][]string{
		"state": {"A+ ;&=é%"}, "a b": {"1"}, "é": {"2"}}, nil},
	{"bytes of UTF-8 as they are", "state=é", map[string][]string{"state": {"é"}}, nil},
	{"further equals signs", "state=a=b==", map[string][]string{"state": {"a=b=="}}, nil},
	{"empty pairs", "&&client_id=c&&", map[string][]string{"client_id": {"c"}}, nil},
	{"names differ by case", "state=a&STATE=b", map[string][]string{"state": {"a"}}, nil},
	{"one name begins with the other", "state=a&stat=b&states=c", map[string][]string{"state": {"a"}}, nil},

	{"RFC6749-3.1-2 twice", "scope=a&scope=b", nil, dup("scope")},
	{"RFC6749-3.1-2 RFC9126-2.1-5 twice with one value", "state=a&client_id=c&state=a", nil, dup("state")},
	{"RFC6749-3.1-2 twice, first without a value", "state=&state=a", nil, dup("state")},
	{"RFC6749-3.1-2 twice, then without a value", "state=a&state", nil, dup("state")},
	{"RFC6749-3.1-2 twice without a value", "state&state=", nil, dup("state")},
	{"RFC6749-3.1-2 twice, once in escapes", "client_id=a&client%5Fid=b", nil, dup("client_id")},

	{"escape cut short", "state=%4", nil, form.ErrMalformed},
	{"escape cut shorter", "state=%", nil, form.ErrMalformed},
	{"escape cut short by the next parameter", "state=%4&client_id=c", nil, form.ErrMalformed},
	{"escape without hexadecimal digits", "state=%4g", nil, form.ErrMalformed},
	{"escape with a sign", "state=%+1", nil, form.ErrMalformed},
	{"escape in a name", "stat%zz=a", nil, form.ErrMalformed},
	{"bytes that are not UTF-8", "state=%ff", nil, form.ErrMalformed},
	{"a surrogate", "state=%ed%a0%80", nil, form.ErrMalformed},
	{"a character that takes two bytes too many", "state=%c0%af", nil, form.ErrMalformed},
	{"a character cut in two by a separator", "%c3&%a9=1", nil, form.ErrMalformed},
	{"name that is not UTF-8", "%ff=1", nil, form.ErrMalformed},
	{"NUL in escapes", "state=a%00b", nil, form.ErrMalformed},
	{"NUL as it is", "state=a\x00b", nil, form.ErrMalformed},
	{"NUL in a name", "state%00=a", nil, form.ErrMalformed},
	{"semicolon as separator", "client_id=c;state=a", nil, form.ErrMalformed},
	{"semicolon in a value", "client_id=c&state=a;b", nil, form.ErrMalformed},
	{"no name", "=a", nil, form.ErrMalformed},
	{"neither name nor value", "client_id=c&=", nil, form.ErrMalformed},
	{"129 parameters", "client_id=c&" + many(128), nil, form.ErrMalformed},
	{"a million separators", strings.Repeat("&", 1e6), nil, form.ErrMalformed},
}

// dup is a *DuplicateError; tests compare it by name.
func dup(name string) error { return &form.DuplicateError{Name: name} }

// many is n parameters of different names.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "p%d=1&", i)
	}
	return strings.TrimSuffix(b.String(), "&")
}

func checkError(t *testing.T, got, want error) {
	t.Helper()
	var g, w *form.DuplicateError
	if errors.As(want, &w) {
		if !errors.As(got, &g) || g.Name != w.Name {
			t.Errorf("error %v, want %v", got, want)
		}
		return
	}
	if !errors.Is(got, want) {
		t.Errorf("error %v, want %v", got, want)
	}
}

func TestParseQuery(t *testing.T) {
	for _, tt := range parameters {
		t.Run(tt.name, func(t *testing.T) {
			v, err := form.ParseQuery(tt.in, names...)
			checkError(t, err, tt.err)
			if tt.err == nil {
				if d := cmp.Diff(tt.want, read(v), ignoreEmpty); d != "" {
					t.Error(d)
				}
			}
		})
	}
	t.Run("128 parameters", func(t *testing.T) {
		v, err := form.ParseQuery("client_id=c&"+many(127), names...)
		if err != nil || v.Get("client_id") != "c" {
			t.Errorf("%v, %v", v, err)
		}
	})
}

// A client may leave what it has pushed in the URL; none of it counts.
func TestParseQueryIgnoresOthers(t *testing.T) {
	const in = "scope=a&client_id=c&scope=b&state=s&request_uri=r&nonce=n&nonce=n"
	t.Run("CONF-33 further parameters, even repeated ones", func(t *testing.T) {
		v, err := form.ParseQuery(in, "client_id", "request_uri")
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{"client_id": {"c"}, "request_uri": {"r"}}
		if d := cmp.Diff(want, read(v)); d != "" {
			t.Error(d)
		}
	})
	t.Run("CONF-33 one of the two occurs twice", func(t *testing.T) {
		_, err := form.ParseQuery(in+"&request_uri=r2", "client_id", "request_uri")
		checkError(t, err, dup("request_uri"))
	})
	t.Run("a further parameter that cannot be decoded", func(t *testing.T) {
		_, err := form.ParseQuery(in+"&x=%", "client_id", "request_uri")
		checkError(t, err, form.ErrMalformed)
	})
	t.Run("no names", func(t *testing.T) {
		v, err := form.ParseQuery(in)
		if err != nil || len(read(v)) > 0 {
			t.Errorf("%v, %v", read(v), err)
		}
	})
}

func TestValues(t *testing.T) {
	v, err := form.ParseQuery("state=a+secret&scope=", names...)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("Has wants a value", func(t *testing.T) {
		if !v.Has("state") || v.Has("scope") || v.Has("client_id") {
			t.Errorf("Has: state %v, scope %v, client_id %v", v.Has("state"), v.Has("scope"), v.Has("client_id"))
		}
	})
	t.Run("Get of what is absent", func(t *testing.T) {
		if got := v.Get("scope") + v.Get("client_id"); got != "" {
			t.Errorf("Get: %q", got)
		}
	})
	t.Run("zero Values", func(t *testing.T) {
		var v form.Values
		if v.Has("state") || v.Get("state") != "" || v.All("state") != nil {
			t.Error("zero Values have a parameter")
		}
	})
	t.Run("printing shows no parameter", func(t *testing.T) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "secret") {
				t.Errorf("%s: %s", verb, s)
			}
		}
	})
	t.Run("an error shows no value and little of a long name", func(t *testing.T) {
		name := strings.Repeat("x", 1000)
		_, err := form.ParseQuery(name+"=secret&"+name+"=secret", name)
		if err == nil || len(err.Error()) > 100 || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v", err)
		}
	})
}
