package token_test

import (
	"testing"

	"github.com/aikagi/aikagi/token"
)

// TestDetachedSignature: the half hashes of code and state, by the vectors of
// OpenID Connect and FAPI, and over abc by SHA-256 and SHA-512 (FIPS 180-4).
func TestDetachedSignature(t *testing.T) {
	set := keySet(t,
		token.PrivateKey{ID: "es", Algorithm: "ES256", Signer: asKey(t)},
		token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: newEd(t)},
	)
	for _, tt := range []struct{ name, alg, text, want string }{
		{"FAPI1-ADV-5.2.2.1-5 TV-1 a state", "ES256", "VgSUIEnflnDxTe1vAtr54o", "9s6CBbOxiKE65d9-Qr0QIQ"},
		{"OIDC-IT-15 TV-2 SHA-256", "ES256", "abc", "ungWv48Bz-pBQUDeXa4iIw"},
		{"OIDC-IT-15 TV-4 SHA-512", "EdDSA", "abc", "3a81oZNherrMQXNJriBBMRLm-k6JqX6iCp7u5ktV05o"},
		{"OIDC-IT-15 TV-5 an access token", "ES256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"},
		{"OIDC-IT-14 TV-6 a code", "ES256", "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk", "LDktKdoQak3Pk0cnXxCltA"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, set1 := range map[string]func(*token.ID){
				"c_hash":  func(id *token.ID) { id.Code = tt.text },
				"s_hash":  func(id *token.ID) { id.State = tt.text },
				"at_hash": func(id *token.ID) { id.AccessToken = tt.text },
			} {
				id := goodID()
				id.AccessToken = ""
				set1(id)
				compact, err := token.SignID(t.Context(), set, tt.alg, id)
				if err != nil {
					t.Fatal(err)
				}
				_, claims := decode(t, compact)
				if claims[name] != tt.want {
					t.Errorf("%s is %v, want %s", name, claims[name], tt.want)
				}
				for _, other := range []string{"c_hash", "s_hash", "at_hash"} {
					if other != name && claims[other] != nil {
						t.Errorf("%s from nowhere", other)
					}
				}
			}
		})
	}
}
