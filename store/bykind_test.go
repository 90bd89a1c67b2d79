package store_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/store"
)

func TestByKind(t *testing.T) {
	durable, other := new(store.Memory), new(store.Memory)
	s, err := store.ByKind(durable, other, "rj")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		kind  string
		other bool
	}{
		{"request", "r", true},
		{"used identifier", "j", true},
		{"revoked token, which was not asked for", "d", false},
		{"grant", "g", false},
		{"a kind that is not known", "x", false},
		{"a kind that is not known and looks alike", "R", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := lasting()
			r.Key = tt.kind + r.Key[1:]
			in, out := durable, other
			if tt.other {
				in, out = other, durable
			}
			where := func(after string, want string) {
				t.Helper()
				got, err := in.Get(t.Context(), r.Key)
				if want == "" && !errors.Is(err, store.ErrNotFound) || want != "" && got.Version != want {
					t.Errorf("after %s: version %q, %v where it belongs, want %q", after, got.Version, err, want)
				}
				if _, err := out.Get(t.Context(), r.Key); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("after %s: %v in the other store, want nothing", after, err)
				}
			}
			mustCreate(t, s, r)
			where("Create", r.Version)
			if got := mustGet(t, s, r.Key); got.Version != r.Version {
				t.Errorf("Get: %+v", got)
			}
			n := r
			n.Version = newVersion()
			if err := s.Replace(t.Context(), r.Version, n); err != nil {
				t.Errorf("Replace: %v", err)
			}
			where("Replace", n.Version)
			if err := s.Delete(t.Context(), r.Key); err != nil {
				t.Errorf("Delete: %v", err)
			}
			where("Delete", "")
		})
	}
	if _, err := s.Get(t.Context(), ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of no key: %v, want %v", err, store.ErrNotFound)
	}
}

func TestByKindRefuses(t *testing.T) {
	m := new(store.Memory)
	for _, tt := range []struct {
		name           string
		durable, other store.Store
		kinds          string
		ok             bool
	}{
		{"all three", m, m, "rjd", true},
		{"one", m, m, "d", true},
		{"no durable store", nil, m, "r", false},
		{"no other store", m, nil, "r", false},
		{"no kind", m, m, "", false},
		{"grants", m, m, "rg", false},
		{"a kind that is not known", m, m, "jx", false},
		{"what is no letter", m, m, "r,j", false},
		{"what is no ASCII", m, m, "é", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := store.ByKind(tt.durable, tt.other, tt.kinds)
			if (err == nil) != tt.ok || (s != nil) != tt.ok {
				t.Errorf("%v, %v, want success %v", s, err, tt.ok)
			}
		})
	}
}

// TestByKindKnowsEveryKind reads the kinds of records from where they are
// defined: whoever adds one decides here whether it may live elsewhere.
func TestByKindKnowsEveryKind(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../internal/grant/key.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var movable, staying string
	m := new(store.Memory)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Kind") {
			return true
		}
		kind, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.ByKind(m, m, kind); err == nil {
			movable += kind
		} else {
			staying += kind
		}
		return true
	})
	if movable != "rjd" || staying != "g" {
		t.Errorf("%q may live in the other store and %q not, want rjd and g", movable, staying)
	}
}
