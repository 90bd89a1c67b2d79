package token_test

import (
	"strings"
	"testing"

	"github.com/aikagi/aikagi/token"
)

// TestAccessTokenHash: the half hash of wire-examples, 25, and that of SHA-512
// over the same access token, computed elsewhere.
func TestAccessTokenHash(t *testing.T) {
	_, access, _ := strings.Cut(string(read(t, "testdata/tokens/access-jkt.txt")), "\n\n")
	access = strings.TrimSpace(access)
	set := keySet(t,
		token.PrivateKey{ID: "es", Algorithm: "ES256", Signer: asKey(t)},
		token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: newEd(t)},
	)
	for _, tt := range []struct{ name, alg, want string }{
		{"OIDC-IT-15 PIT-6 ES256", "ES256", "LiVbWgS5iDihsuuqe5kveQ"},
		{"OIDC-IT-15 PIT-7 EdDSA", "EdDSA", "QjuK-Cv46liCrpllXVF6z8X3W3yiDK9sOByB-m3wHtU"},
		{"OIDC-IT-15 PIT-7 Ed25519", "Ed25519", "QjuK-Cv46liCrpllXVF6z8X3W3yiDK9sOByB-m3wHtU"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := goodID()
			id.AccessToken = access
			compact, err := token.SignID(t.Context(), set, tt.alg, id)
			if err != nil {
				t.Fatal(err)
			}
			if _, claims := decode(t, compact); claims["at_hash"] != tt.want {
				t.Errorf("at_hash %v, want %s", claims["at_hash"], tt.want)
			}
		})
	}
}
