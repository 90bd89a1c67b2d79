package form_test

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aikagi/aikagi/internal/form"
)

// FuzzParse holds both parsers against net/url's: what ours accept, it accepts
// and reads alike; what ours refuse, it refuses or falls under one of the
// rules that net/url does not have.
func FuzzParse(f *testing.F) {
	for _, tt := range parameters {
		if len(tt.in) < 1e4 {
			f.Add(tt.in)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		model, modelErr := url.ParseQuery(in)
		v, err := form.ParseBody(httptest.NewRecorder(), post(in), 1<<20)
		if refused := modelErr != nil || stricter(in, model); refused != (err != nil) {
			t.Fatalf("ParseBody(%q): %v, want refusal %v", in, err, refused)
		}
		all := make([]string, 0, len(model))
		for name := range model {
			all = append(all, name)
		}
		q, queryErr := form.ParseQuery(in, all...)
		if modelErr == nil && (queryErr == nil) != (err == nil) {
			t.Errorf("ParseQuery(%q): %v, but ParseBody: %v", in, queryErr, err)
		}
		var dup *form.DuplicateError
		if err != nil && !errors.Is(err, form.ErrMalformed) && !errors.As(err, &dup) {
			t.Errorf("ParseBody(%q): %v is of no documented kind", in, err)
		}
		if err != nil {
			return
		}
		for name, want := range model {
			for _, v := range []form.Values{v, q} {
				if got := v.Get(name); got != want[0] || v.Has(name) != (want[0] != "") {
					t.Errorf("Get(%q) of %q = %q, want %q", name, in, got, want[0])
				}
			}
		}

		// Said twice, each is a duplicate unless it may be repeated.
		if len(all) == 0 || strings.Count(in, "&") > 50 {
			return
		}
		if _, err := form.ParseQuery(in+"&"+in, all...); !errors.As(err, &dup) {
			t.Errorf("ParseQuery of %q twice: %v, want a duplicate", in, err)
		}
		v, err = form.ParseBody(httptest.NewRecorder(), post(in+"&"+in), 1<<20, all...)
		if err != nil {
			t.Fatalf("ParseBody of %q twice, all repeatable: %v", in, err)
		}
		for name, want := range model {
			twice := slices.DeleteFunc(append(want, want...), func(s string) bool { return s == "" })
			if got := v.All(name); !slices.Equal(got, twice) {
				t.Errorf("All(%q) of %q twice = %q, want %q", name, in, got, twice)
			}
		}
	})
}

// stricter tells whether one of our own rules refuses what net/url accepts.
func stricter(in string, model url.Values) bool {
	for name, values := range model {
		s := name + values[0]
		if len(values) > 1 || name == "" || !utf8.ValidString(name) || !utf8.ValidString(values[0]) || strings.Contains(s, "\x00") {
			return true
		}
	}
	return strings.Count(in, "&") >= 128
}
