package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

func TestDecryptChoosesKey(t *testing.T) {
	named := encrypted(t, jose.ECDHES, jose.A128GCM, "k", &ecKey.PublicKey)
	unnamed := encrypted(t, jose.ECDHES, jose.A128GCM, "", &ecKey.PublicKey)
	right, wrong := jose.DecryptionKey{ID: "k", Key: ecKey}, jose.DecryptionKey{ID: "k", Key: ecKeyOf(t)}
	other, typed := wrong, right
	other.ID, typed.Algorithm = "o", jose.ECDHES
	wrapping := right
	wrapping.Algorithm = jose.ECDHESA256KW
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	repeat := func(n int, k jose.DecryptionKey) []jose.DecryptionKey {
		keys := make([]jose.DecryptionKey, n)
		for i := range keys {
			keys[i] = k
		}
		return append(keys, right)
	}
	for _, tt := range []struct {
		name, token string
		keys        []jose.DecryptionKey
		want        error
	}{
		{"the key", named, []jose.DecryptionKey{right}, nil},
		{"the key for this alg", named, []jose.DecryptionKey{typed}, nil},
		{"two of one kid", named, []jose.DecryptionKey{wrong, right}, nil},
		{"no kid", unnamed, []jose.DecryptionKey{other, right}, nil},
		{"no kid, four others before", unnamed, repeat(4, other), nil},
		{"no kid, five others before", unnamed, repeat(5, other), jose.ErrDecrypt},
		{"many of other kids", named, repeat(50, other), nil},
		{"many of other types", unnamed, repeat(50, jose.DecryptionKey{Key: rsaKey()}), nil},
		{"kid of another key", named, []jose.DecryptionKey{wrong}, jose.ErrDecrypt},
		{"kid of nobody", named, []jose.DecryptionKey{other}, jose.ErrNoKey},
		{"RFC8725BIS-7 the key for another alg", named, []jose.DecryptionKey{wrapping}, jose.ErrNoKey},
		{"the key for an alg that is none", named, []jose.DecryptionKey{{ID: "k", Algorithm: "ES256", Key: ecKey}}, jose.ErrNoKey},
		{"no keys", named, nil, jose.ErrNoKey},
		{"keys of no use", unnamed, []jose.DecryptionKey{{}, {Key: p384}, {Key: edKey}, {Key: (*rsa.PrivateKey)(nil)}, {Key: (*ecdsa.PrivateKey)(nil)}, {Key: []byte("k")}}, jose.ErrNoKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := jose.Decrypt(tt.token, jweLimit, jose.ContentAlgorithms, tt.keys)
			if !errors.Is(err, tt.want) || err == nil && string(got) != "secret" {
				t.Errorf("%q, error %v, want %v", got, err, tt.want)
			}
		})
	}
	t.Run("RFC8725BIS-7 an empty list allows nothing", func(t *testing.T) {
		if _, _, err := jose.Decrypt(named, jweLimit, nil, []jose.DecryptionKey{right}); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("error %v, want ErrAlgorithm", err)
		}
	})
}

// Keys whose private half is out of reach.
type (
	opaqueRSA struct {
		key  *rsa.PrivateKey
		fail error
		opts *rsa.OAEPOptions // as it was asked
		cek  []byte           // as it answered
	}
	opaqueEC    struct{ *ecdh.PrivateKey }
	decrypterEC struct {
		opaqueEC
		pub crypto.PublicKey
	}
)

func (d decrypterEC) Public() crypto.PublicKey { return d.pub }

func (decrypterEC) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

func (o *opaqueRSA) Public() crypto.PublicKey { return &o.key.PublicKey }

func (o *opaqueRSA) Decrypt(r io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	o.opts, _ = opts.(*rsa.OAEPOptions)
	if o.fail != nil {
		return nil, o.fail
	}
	var err error
	o.cek, err = o.key.Decrypt(r, msg, opts)
	return o.cek, err
}

func TestDecryptOpaqueKeys(t *testing.T) {
	for alg, hash := range map[string]crypto.Hash{jose.RSAOAEP256: crypto.SHA256, jose.RSAOAEP: crypto.SHA1} {
		key := &opaqueRSA{key: rsaKey()}
		token := encrypted(t, alg, jose.A256GCM, "", &rsaKey().PublicKey)
		got, _, err := jose.Decrypt(token, jweLimit, jose.ContentAlgorithms, []jose.DecryptionKey{{Key: key}})
		if err != nil || string(got) != "secret" {
			t.Errorf("%s: %q, %v", alg, got, err)
		}
		if diff := cmp.Diff(&rsa.OAEPOptions{Hash: hash, MGFHash: hash}, key.opts); diff != "" {
			t.Errorf("%s asked (-want +got):\n%s", alg, diff)
		}
		if bytes.Equal(key.cek, make([]byte, 32)) {
			t.Errorf("%s: the content key is %x", alg, key.cek)
		}
		key.fail = errors.New("no session to slot 7")
		if _, _, err := jose.Decrypt(token, jweLimit, jose.ContentAlgorithms, []jose.DecryptionKey{{Key: key}}); err != jose.ErrDecrypt {
			t.Errorf("%s with a key that fails: %v, want ErrDecrypt itself", alg, err)
		}
	}
	unasked := &opaqueRSA{key: rsaKey()}
	odd := swap(toRSA(t, goodJWE, 16, "secret"), 1, b64(make([]byte, 255)))
	if _, _, err := jose.Decrypt(odd, jweLimit, jose.ContentAlgorithms, []jose.DecryptionKey{{ID: "rsa", Key: unasked}}); err != jose.ErrDecrypt || unasked.opts != nil {
		t.Errorf("encrypted key of 255 octets: %v, and the key was asked %v", err, unasked.opts)
	}
	private, err := ecKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	token := encrypted(t, jose.ECDHESA256KW, jose.A256CBCHS512, "", &ecKey.PublicKey)
	got, _, err := jose.Decrypt(token, jweLimit, jose.ContentAlgorithms, []jose.DecryptionKey{{Key: opaqueEC{private}}})
	if err != nil || string(got) != "secret" {
		t.Errorf("ECDH: %q, %v", got, err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := jose.Decrypt(token, jweLimit, jose.ContentAlgorithms, []jose.DecryptionKey{{Key: x25519}}); !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("X25519: %v, want ErrNoKey", err)
	}
}

func TestDecryptionKeyPublic(t *testing.T) {
	private, err := ecKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := &opaqueRSA{key: &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: big.NewInt(15), E: 3}}}
	for _, tt := range []struct {
		name string
		key  jose.DecryptionKey
		pub  crypto.PublicKey
		want error
	}{
		{"RSA", jose.DecryptionKey{ID: "r", Algorithm: jose.RSAOAEP, Key: rsaKey()}, &rsaKey().PublicKey, nil},
		{"EC", jose.DecryptionKey{ID: "e", Algorithm: jose.ECDHES, Key: ecKey}, &ecKey.PublicKey, nil},
		{"EC kept elsewhere", jose.DecryptionKey{Key: opaqueEC{private}}, &ecKey.PublicKey, nil},
		{"alg of EC for RSA", jose.DecryptionKey{Algorithm: jose.ECDHES, Key: rsaKey()}, nil, jose.ErrAlgorithm},
		{"alg of a signature", jose.DecryptionKey{Algorithm: jose.PS256, Key: rsaKey()}, nil, jose.ErrAlgorithm},
		{"weak", jose.DecryptionKey{Key: weak}, nil, jose.ErrWeakKey},
		{"Ed25519", jose.DecryptionKey{Key: edKey}, nil, jose.ErrUnsupportedKey},
		{"X25519", jose.DecryptionKey{Key: x25519}, nil, jose.ErrUnsupportedKey},
		{"EC of a Decrypter, which would open nothing", jose.DecryptionKey{Key: decrypterEC{opaqueEC{private}, &ecKey.PublicKey}}, nil, jose.ErrUnsupportedKey},
		{"none", jose.DecryptionKey{}, nil, jose.ErrUnsupportedKey},
	} {
		got, err := tt.key.Public()
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
		if err == nil && !samePublic(got, jose.Key{ID: tt.key.ID, Use: "enc", Algorithm: tt.key.Algorithm, Public: tt.pub}) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
