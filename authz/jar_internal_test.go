package authz

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/internal/jose"
)

// FuzzRequestParameters reads what stands in a request object, and holds what
// comes out to encoding/json: a known parameter has the type that it should, and
// is read as it was written.
func FuzzRequestParameters(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"client_id":"c","response_type":"code","scope":"openid accounts","state":"\ud83d\ude00","max_age":300}`,
		`{"claims":{"id_token":{"acr":{"essential":true}}},"authorization_details":[{"type":"x"}],"resource":["https://a.example","https://b.example"]}`,
		`{"resource":"https://a.example","foo":{"bar":[null]},"nbf":1.5e3,"registration":{}}`,
		`{"state":null}`, `{"scope":["a"]}`, `{"max_age":"300"}`, `{"max_age":1e3}`, `{"claims":"{}"}`, `{"authorization_details":{}}`,
		`{"resource":[1]}`, `{"state":"a\u0000b"}`, `{"state":"a","STATE":"b"}`, `{"":""}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := jose.ParseClaims([]byte(text))
		if err != nil {
			return
		}
		var model map[string]any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&model); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		v, err := requestParameters(o)
		if err != nil {
			if e := asError(err); e.Code != invalidRequestObject || e.Rule == "" {
				t.Fatalf("%q: %+v", text, e)
			}
			return
		}
		for name, want := range model {
			got := v.All(name)
			switch want := want.(type) {
			case string:
				if v.Get(name) != want && name != "resource" {
					t.Errorf("%q: %s is %q, want %q", text, name, got, want)
				}
			case json.Number:
				if name == "max_age" && v.Get(name) != want.String() && want.String() != "-0" {
					t.Errorf("%q: max_age is %q", text, got)
				}
			}
			_, isText := want.(string)
			if slices.Contains(textParameters, name) && !isText {
				t.Errorf("%q: %s is taken", text, name)
			}
		}
		for name, open := range map[string]string{"claims": "{", "registration": "{", "authorization_details": "["} {
			if s := v.Get(name); s != "" && (!strings.HasPrefix(s, open) || !json.Valid([]byte(s))) {
				t.Errorf("%q: %s is %q", text, name, s)
			}
		}
	})
}
