package form_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/google/go-cmp/cmp"
)

func TestOf(t *testing.T) {
	many := make([][2]string, 129)
	for i := range many {
		many[i] = [2]string{"resource", "r"}
	}
	for _, tt := range []struct {
		name string
		in   [][2]string
		want map[string][]string
		err  error
	}{
		{"nothing", nil, nil, nil},
		{"one of each", [][2]string{{"client_id", "c"}, {"state", "é &=+%41"}}, map[string][]string{"client_id": {"c"}, "state": {"é &=+%41"}}, nil},
		{"RFC6749-3.1-2 without a value", [][2]string{{"client_id", "c"}, {"state", ""}}, map[string][]string{"client_id": {"c"}}, nil},
		{"RFC6749-3.1-2 twice", [][2]string{{"state", "a"}, {"state", "b"}}, nil, &form.DuplicateError{Name: "state"}},
		{"RFC6749-3.1-2 twice, the first without a value", [][2]string{{"state", ""}, {"state", "b"}}, nil, &form.DuplicateError{Name: "state"}},
		{"RFC8707-2-1 what may repeat", [][2]string{{"resource", "a"}, {"state", "s"}, {"resource", "b"}}, map[string][]string{"resource": {"a", "b"}, "state": {"s"}}, nil},
		{"no name", [][2]string{{"", "a"}}, nil, form.ErrMalformed},
		{"NUL in a value", [][2]string{{"state", "a\x00"}}, nil, form.ErrMalformed},
		{"NUL in a name", [][2]string{{"sta\x00te", "a"}}, nil, form.ErrMalformed},
		{"not UTF-8", [][2]string{{"state", "\xff"}}, nil, form.ErrMalformed},
		{"a name that is not UTF-8", [][2]string{{"\xff", "a"}}, nil, form.ErrMalformed},
		{"UTF-8 cut in two", [][2]string{{"state\xc3", "\xa9"}}, nil, form.ErrMalformed},
		{"128 parameters", many[:128], map[string][]string{"resource": slices.Repeat([]string{"r"}, 128)}, nil},
		{"129 parameters", many, nil, form.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := form.Of(tt.in, "resource")
			var dup, want *form.DuplicateError
			if errors.As(tt.err, &want) {
				if !errors.As(err, &dup) || dup.Name != want.Name {
					t.Errorf("error is %v", err)
				}
				return
			}
			if !errors.Is(err, tt.err) {
				t.Fatalf("error is %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			if tt.want == nil {
				tt.want = map[string][]string{}
			}
			if d := cmp.Diff(tt.want, read(v)); d != "" {
				t.Error(d)
			}
		})
	}
}
