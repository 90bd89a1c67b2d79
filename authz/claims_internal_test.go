package authz

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzClaims: whatever is read of a claims parameter is written as what reads
// the same again, and no more of it than the host knows.
func FuzzClaims(f *testing.F) {
	for _, text := range []string{
		``, `{}`, `{"userinfo":{}}`, `{"userinfo":{"email":null}}`, `not-json`,
		`{"userinfo":{"given_name":{"essential":true},"nickname":null},"id_token":{"auth_time":{"essential":true},"acr":{"values":["urn:mace:incommon:iap:silver"]}}}`, // OIDC Core, 5.5
		`{"id_token":{"sub":{"value":"248289761001"},"email":{"value":"a","values":["b",1,{"c":[null]}]}}}`,
		`{"id_token":{"family_name#ja-Kana-JP":null,"family_name#ja":{"values":["\u30b9"]}},"x":1}`,
		`{"userinfo":{"email":{"values":[]}}}`, `{"userinfo":{"email":{"essential":1}}}`, "{\"userinfo\":{\"a\\u0000\\ud83d\\udd11\":null}}",
	} {
		f.Add(text)
	}
	names := []string{"email", "family_name", "family_name#ja-Kana-JP", "family_name#ja-Hani-JP"}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := parseClaims(text)
		if err != nil {
			return
		}
		again, err := keptClaims(q.json())
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, q.json(), err)
		}
		if !reflect.DeepEqual(q, again) {
			t.Errorf("%q reads as %+v, and then as %+v", text, q, again)
		}
		for _, name := range q.known(names).names() {
			base, _, _ := strings.Cut(name, "#")
			if base != "email" && base != "family_name" {
				t.Errorf("%q asks the host for %q", text, name)
			}
		}
	})
}
