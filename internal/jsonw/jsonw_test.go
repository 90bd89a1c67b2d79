package jsonw_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jsonw"
)

func TestObject(t *testing.T) {
	o := jsonw.New(0)
	o.String("s", "a\"b\\c\n\x00é合鍵")
	o.Strings("l", []string{"x", "y z"})
	o.Strings("none", nil)
	o.Int("n", -7)
	o.Raw("r", []byte(`{"k":true}`))
	var got map[string]any
	if err := json.Unmarshal(o.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"s": "a\"b\\c\n\x00é合鍵", "l": []any{"x", "y z"}, "none": []any{},
		"n": -7.0, "r": map[string]any{"k": true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := string(jsonw.New(0).Bytes()); got != "{}" {
		t.Errorf("an empty object is %s", got)
	}
}

// FuzzAppendString holds the writer against encoding/json's reader.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\u2028", "\xff\xc0", "\xed\xa0\x80", "合鍵\x7f\x1f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(jsonw.AppendString(nil, s), &got); err != nil {
			t.Fatalf("AppendString(%q): %v", s, err)
		}
		if utf8.ValidString(s) && got != s {
			t.Errorf("AppendString(%q) reads back as %q", s, got)
		}
	})
}
