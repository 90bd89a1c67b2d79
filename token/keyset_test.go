package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token"
)

func TestNewKeySet(t *testing.T) {
	ec, ed, rsaKey := newEC(t), newEd(t), newRSA()
	list := []token.PrivateKey{
		{ID: "ec-1", Algorithm: "ES256", Signer: ec}, {ID: "ec-2", Algorithm: "ES256", Signer: newEC(t)},
		{ID: "ed", Algorithm: "EdDSA", Signer: ed}, {ID: "ps", Algorithm: "PS256", Signer: rsaKey},
		{ID: "rs", Algorithm: "RS256", Signer: rsaKey}, {ID: "ed-new", Algorithm: "Ed25519", Signer: ed},
	}
	keys := keySet(t, list...)
	want := []token.PublicKey{}
	for _, k := range list {
		want = append(want, token.PublicKey{ID: k.ID, Algorithm: k.Algorithm, Key: k.Signer.Public()})
	}
	list[0] = token.PrivateKey{} // the set has its own copy

	got, err := keys.PublicKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal := cmp.Comparer(func(a, b crypto.PublicKey) bool {
		return a.(interface{ Equal(crypto.PublicKey) bool }).Equal(b)
	})
	if d := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Key" }, equal)); d != "" {
		t.Errorf("PublicKeys (-want +got)\n%s", d)
	}
	for alg, id := range map[string]string{"ES256": "ec-1", "EdDSA": "ed", "Ed25519": "ed-new", "PS256": "ps", "RS256": "rs"} {
		if k, err := keys.SigningKey(t.Context(), alg); err != nil || k.ID != id {
			t.Errorf("SigningKey(%s) = %s, %v; want %s", alg, k.ID, err, id)
		}
	}
	for _, alg := range []string{"none", "", "HS256", "es256", "PS384"} {
		if k, err := keys.SigningKey(t.Context(), alg); !errors.Is(err, token.ErrNoKey) {
			t.Errorf("SigningKey(%q) = %s, %v; want ErrNoKey", alg, k.ID, err)
		}
	}
}

func TestNewKeySetRefuses(t *testing.T) {
	good := token.PrivateKey{ID: "a", Algorithm: "ES256", Signer: newEC(t)}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		keys []token.PrivateKey
	}{
		{"no keys", nil},
		{"OIDC-SE-1 no kid", []token.PrivateKey{{Algorithm: "ES256", Signer: newEC(t)}}},
		{"FAPI2-SP-5.4.2-3 FAPI1-ADV-8.9-3 one kid twice", []token.PrivateKey{good, {ID: "a", Algorithm: "PS256", Signer: newRSA()}}},
		{"no signer", []token.PrivateKey{{ID: "a", Algorithm: "ES256"}}},
		{"RFC8725-3.1-2 PS256 with an EC key", []token.PrivateKey{{ID: "a", Algorithm: "PS256", Signer: newEC(t)}}},
		{"RFC8725-3.1-2 ES256 with an RSA key", []token.PrivateKey{{ID: "a", Algorithm: "ES256", Signer: newRSA()}}},
		{"RFC8725-3.1-2 EdDSA with an EC key", []token.PrivateKey{{ID: "a", Algorithm: "EdDSA", Signer: newEC(t)}}},
		{"FAPI2-SP-5.4.1-1b PS384", []token.PrivateKey{{ID: "a", Algorithm: "PS384", Signer: newRSA()}}},
		{"FAPI2-SP-5.4.1-1b P-384", []token.PrivateKey{{ID: "a", Algorithm: "ES256", Signer: p384}}},
		{"FAPI2-SP-5.4.1-1c none", []token.PrivateKey{{ID: "a", Algorithm: "none", Signer: newEC(t)}}},
		{"FAPI2-SP-5.4.1-1b no algorithm", []token.PrivateKey{{ID: "a", Signer: newEC(t)}}},
		{"FAPI2-SP-5.4.1-2 RSA of 2047 bits", []token.PrivateKey{{ID: "a", Algorithm: "PS256", Signer: short{newRSA()}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if set, err := token.NewKeySet(tt.keys...); err == nil || set != nil {
				t.Errorf("NewKeySet: %v, %v", set, err)
			}
		})
	}
	t.Run("all faults at once", func(t *testing.T) {
		_, err := token.NewKeySet(good, token.PrivateKey{ID: "b"}, token.PrivateKey{ID: "c"})
		if err == nil || !strings.Contains(err.Error(), `"b"`) || !strings.Contains(err.Error(), `"c"`) {
			t.Errorf("NewKeySet: %v", err)
		}
	})
}

// short shows an RSA key with its modulus one bit too short.
type short struct{ *rsa.PrivateKey }

func (s short) Public() crypto.PublicKey {
	pub := s.PublicKey
	pub.N = new(big.Int).Rsh(pub.N, 1)
	pub.N.SetBit(pub.N, 0, 1)
	return &pub
}
