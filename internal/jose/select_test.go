package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"github.com/aikagi/aikagi/internal/jose"
)

func TestKeySelection(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right := jose.Key{ID: "k", Use: "sig", Algorithm: "ES256", Public: &ecKey.PublicKey}
	key := func(change func(*jose.Key)) jose.Key {
		k := right
		change(&k)
		return k
	}
	wrong := key(func(k *jose.Key) { k.Public = &other.PublicKey })
	rsaSame := key(func(k *jose.Key) { k.Algorithm, k.Public = "PS256", &rsaKey().PublicKey })
	encSame := key(func(k *jose.Key) { k.Use = "enc" })
	noID := key(func(k *jose.Key) { k.ID = "" })
	bare := jose.Key{ID: "k", Public: &ecKey.PublicKey}
	otherID := key(func(k *jose.Key) { k.ID = "j" })

	named := token(t, `{"alg":"ES256","kid":"k"}`, goodClaims, ecMaker(ecKey, crypto.SHA256))
	unnamed := token(t, `{"alg":"ES256"}`, goodClaims, ecMaker(ecKey, crypto.SHA256))
	for _, tt := range []struct {
		name, token string
		keys        []jose.Key
		want        error
	}{
		{"FAPI2-SP-5.4.3-1 RSA and EC key of one kid", named, []jose.Key{rsaSame, right}, nil},
		{"FAPI2-SP-5.4.3-1 enc and sig key of one kid", named, []jose.Key{encSame, right}, nil},
		{"FAPI2-SP-5.4.3-1 two keys that fit, signed with the second", named, []jose.Key{wrong, right}, nil},
		{"FAPI2-SP-5.4.3-1 two keys that fit, signed with the first", named, []jose.Key{right, wrong}, nil},
		{"FAPI2-SP-5.4.3-1 key without use and alg", named, []jose.Key{bare}, nil},
		{"FAPI2-SP-5.4.3-1 kid of a key that does not verify", named, []jose.Key{wrong, otherID}, jose.ErrSignature},
		{"FAPI2-SP-5.4.3-1 key without kid is not the one named", named, []jose.Key{noID}, jose.ErrNoKey},
		{"FAPI2-SP-5.4.3-1 only the RSA key has the kid", named, []jose.Key{rsaSame, otherID}, jose.ErrNoKey},
		{"FAPI2-SP-5.4.3-1 only the enc key has the kid", named, []jose.Key{encSame, otherID}, jose.ErrNoKey},
		{"FAPI2-SP-5.4.3-2 unknown kid", named, []jose.Key{otherID}, jose.ErrNoKey},
		{"FAPI2-SP-5.4.3-2 no kid, every key is tried", unnamed, []jose.Key{rsaSame, encSame, wrong, noID, otherID}, nil},
		{"FAPI2-SP-5.4.3-2 no kid, none verifies", unnamed, []jose.Key{rsaSame, wrong}, jose.ErrSignature},
		{"FAPI2-SP-5.4.3-2 no kid, none fits", unnamed, []jose.Key{rsaSame, encSame}, jose.ErrNoKey},
		{"no keys", named, nil, jose.ErrNoKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := verify(tt.token, fapi, tt.keys); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("FAPI2-SP-5.4.3-2 no kid, and more keys than are tried", func(t *testing.T) {
		for before, want := range map[int]error{9: nil, 10: jose.ErrSignature} {
			keys := append(slices.Repeat([]jose.Key{wrong}, before), rsaSame, encSame, right)
			if _, err := verify(unnamed, fapi, keys); !errors.Is(err, want) {
				t.Errorf("after %d others: error %v, want %v", before, err, want)
			}
			if _, err := verify(named, fapi, append(slices.Repeat([]jose.Key{otherID}, 50), right)); err != nil {
				t.Errorf("keys of other kids count: %v", err)
			}
		}
	})
	t.Run("CONF-35 either name of the algorithm serves the key", func(t *testing.T) {
		for _, registered := range []string{"", "EdDSA", "Ed25519"} {
			keys := []jose.Key{{Algorithm: registered, Public: edKey.Public()}}
			for _, alg := range []string{"EdDSA", "Ed25519"} {
				tok := token(t, `{"alg":"`+alg+`"}`, goodClaims, edMaker(edKey))
				if _, err := verify(tok, fapi, keys); err != nil {
					t.Errorf("key for %q, token %s: %v", registered, alg, err)
				}
			}
		}
	})
	t.Run("RFC8725-3.8-1 the right kid of another issuer", func(t *testing.T) {
		if _, err := verify(named, fapi, []jose.Key{wrong}); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("error %v, want ErrSignature", err)
		}
	})
}
