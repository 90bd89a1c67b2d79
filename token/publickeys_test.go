package token_test

import (
	"strings"
	"testing"

	"github.com/aikagi/aikagi/token"
)

// In another process, the published set is all that a verifier has.
func TestParseKeySet(t *testing.T) {
	set, err := token.ParseKeySet(read(t, "testdata/everybody.jwks"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := set.PublicKeys(t.Context())
	if err != nil || len(keys) != 4 {
		t.Fatalf("%d keys, %v, want 4", len(keys), err)
	}
	c := config(t)
	c.Keys = set
	if _, err := verifier(t, c).Check(request(t, "Bearer "+goodToken(t)), token.Require{}); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	const point = `"crv":"P-256","x":"H4YuE4stO9s2fDtcmJbIRXM3S3mKPO-IOcCo5MSzYuQ","y":"uFe6wHTtJf6Dp7YVlLthne4ds_mDKtRWtk4t8kvcrZA"`
	const good = `{"kty":"EC",` + point + `,"use":"sig"}`
	tests := []struct{ name, jwks, want string }{
		{"nothing", ``, "malformed"},
		{"an error page", `<html>`, "malformed"},
		{"one key and no set", good, "without keys"},
		{"no keys", `{"keys":[]}`, "no key to verify with"},
		{"keys twice", `{"keys":[],"keys":[` + good + `]}`, "malformed"},
		{"for encryption", `{"keys":[{"kty":"EC",` + point + `,"use":"enc"}]}`, "no key to verify with"},
		{"of tomorrow", `{"keys":[{"kty":"AKP"}]}`, "key 0 of the set"},
		{"symmetric beside a good one", `{"keys":[` + good + `,{"kty":"oct","k":"c2VjcmV0"}]}`, "private"},
		{"private", `{"keys":[{"kty":"EC",` + point + `,"d":"c2VjcmV0"}]}`, "private"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := token.ParseKeySet([]byte(tt.jwks))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("error %v, want one with %q and no secret", err, tt.want)
			}
		})
	}
	if _, err := token.ParseKeySet([]byte(`{"keys":[{"kty":"AKP"},` + good + `]}`)); err != nil {
		t.Errorf("a good key beside an unknown one: %v", err)
	}
}
