package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

// signer is a crypto.Signer of which each part can go wrong.
type signer struct {
	pub  crypto.PublicKey
	sign func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (s signer) Public() crypto.PublicKey { return s.pub }

func (s signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(digest, opts)
}

// hsm is key behind a signer that is none of the types of package crypto.
func hsm(key crypto.Signer) signer {
	return signer{key.Public(), func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return key.Sign(rand.Reader, digest, opts)
	}}
}

func TestSign(t *testing.T) {
	for _, tt := range []struct {
		name, alg string
		key       crypto.Signer
	}{
		{"PS256", jose.PS256, rsaKey()},
		{"ES256", jose.ES256, ecKey},
		{"EdDSA", jose.EdDSA, edKey},
		{"RFC8725BIS-6 Ed25519", jose.Ed25519, edKey},
		{"RS256", jose.RS256, rsaKey()},
		{"PS256 in an HSM", jose.PS256, hsm(rsaKey())},
		{"ES256 in an HSM", jose.ES256, hsm(ecKey)},
		{"EdDSA in an HSM", jose.EdDSA, hsm(edKey)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 8 { // r and s are sometimes shorter
				compact, err := jose.Sign(tt.alg, "k1", "at+jwt", tt.key, []byte(goodClaims))
				if err != nil {
					t.Fatal(err)
				}
				checkSigned(t, compact, tt.alg, tt.key.Public())
				if _, err := verify(compact, []string{tt.alg}, []jose.Key{{ID: "k1", Public: tt.key.Public()}}); err != nil {
					t.Errorf("read back: %v", err)
				}
			}
		})
	}
}

// checkSigned checks a token by the standard library alone.
func checkSigned(t *testing.T, compact, alg string, pub crypto.PublicKey) {
	t.Helper()
	parts := strings.Split(compact, ".")
	var raw [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		raw[i] = b
	}
	want := map[string]any{"alg": alg, "kid": "k1", "typ": "at+jwt"}
	if diff := cmp.Diff(any(want), decodeJSON(t, string(raw[0]))); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if string(raw[1]) != goodClaims {
		t.Errorf("payload %s", raw[1])
	}
	input := []byte(parts[0] + "." + parts[1])
	digest := sha256.Sum256(input)
	ok, sig := false, raw[2]
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if alg == jose.RS256 {
			ok = rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig) == nil
		} else {
			ok = rsa.VerifyPSS(pub, crypto.SHA256, digest[:], sig, pss(32, crypto.SHA256)) == nil
		}
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
		ok = len(sig) == 64 && ecdsa.Verify(pub, digest[:], r, s)
	case ed25519.PublicKey:
		ok = ed25519.Verify(pub, input, sig)
	}
	if !ok {
		t.Errorf("signature of %s is wrong", alg)
	}
}

// TestSignVector makes the token of RFC 8037, A.4: Ed25519 leaves no choice.
func TestSignVector(t *testing.T) {
	keys, err := jose.ParsePrivateSet([]byte(setOf(privateEd)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := jose.Sign(jose.EdDSA, "", "", keys[0].Signer, []byte("Example of Ed25519 signing"))
	const want = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." +
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	if err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestSignHeaderEscapes(t *testing.T) {
	for _, s := range []string{`"`, `\`, "\n", "\x7f", "鍵", "<&>", "\u2028", `a","alg":"none`} {
		compact, err := jose.Sign(jose.EdDSA, s, s, edKey, []byte(`{}`))
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		tok, err := jose.Parse(compact, 1000)
		if err != nil || tok.Header != (jose.Header{Algorithm: jose.EdDSA, KeyID: s, Type: s}) {
			t.Errorf("%q came back as %+v, %v", s, tok, err)
		}
		head, _, _ := strings.Cut(compact, ".")
		b, err := base64.RawURLEncoding.DecodeString(head)
		if err != nil || !json.Valid(b) {
			t.Errorf("%q: header %s, %v", s, b, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, alg, kid string
		key            crypto.Signer
		want           error
	}{
		{"RFC8725-3.1-2 PS256 with an EC key", jose.PS256, "k", ecKey, jose.ErrAlgorithm},
		{"RFC8725-3.1-2 PS256 with an EC key in an HSM", jose.PS256, "k", hsm(ecKey), jose.ErrAlgorithm},
		{"RFC8725-3.1-2 ES256 with an RSA key in an HSM", jose.ES256, "k", hsm(rsaKey()), jose.ErrAlgorithm},
		{"RFC8725-3.1-2 EdDSA with an EC key in an HSM", jose.EdDSA, "k", hsm(ecKey), jose.ErrAlgorithm},
		{"RFC8725-3.1-2 ES256 with an Ed25519 key", jose.ES256, "k", edKey, jose.ErrAlgorithm},
		{"ES256 with P-384", jose.ES256, "k", p384, jose.ErrUnsupportedKey},
		{"FAPI2-SP-5.4.1-2 RSA of 1024 bits", jose.PS256, "k", weak, jose.ErrWeakKey},
		{"FAPI2-SP-5.4.1-1c none", "none", "k", edKey, jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1b PS512", "PS512", "k", rsaKey(), jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1b HS256", "HS256", "k", edKey, jose.ErrAlgorithm},
		{"no algorithm", "", "k", edKey, jose.ErrAlgorithm},
		{"no key", jose.EdDSA, "k", nil, jose.ErrAlgorithm},
		{"signer without a public key", jose.EdDSA, "k", signer{}, jose.ErrAlgorithm},
		{"RFC8725-3.7-1 kid is not UTF-8", jose.EdDSA, "\xff", edKey, jose.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := jose.Sign(tt.alg, tt.kid, "JWT", tt.key, []byte(`{}`)); !errors.Is(err, tt.want) || got != "" {
				t.Errorf("%q, error %v, want %v", got, err, tt.want)
			}
		})
	}
}

// TestSignFaulty has keys that return what is no signature.
func TestSignFaulty(t *testing.T) {
	broken := errors.New("broken")
	returns := func(pub crypto.PublicKey, sig []byte, err error) signer {
		return signer{pub, func([]byte, crypto.SignerOpts) ([]byte, error) { return sig, err }}
	}
	der := func(r, s []byte) []byte {
		b := append([]byte{2, byte(len(r))}, r...)
		b = append(append(b, 2, byte(len(s))), s...)
		return append([]byte{0x30, byte(len(b))}, b...)
	}
	ones := func(n int) []byte { return []byte(strings.Repeat("\x01", n)) }
	good := der(ones(32), ones(32))
	for _, tt := range []struct {
		name, alg string
		key       signer
	}{
		{"ES256 an error", jose.ES256, returns(&ecKey.PublicKey, nil, broken)},
		{"PS256 an error", jose.PS256, returns(&rsaKey().PublicKey, nil, broken)},
		{"EdDSA an error", jose.EdDSA, returns(edKey.Public(), nil, broken)},
		{"ES256 nothing", jose.ES256, returns(&ecKey.PublicKey, nil, nil)},
		{"ES256 r and s beside each other", jose.ES256, returns(&ecKey.PublicKey, ones(64), nil)},
		{"ES256 of a larger curve", jose.ES256, returns(&ecKey.PublicKey, der(ones(48), ones(48)), nil)},
		{"ES256 r of 33 octets", jose.ES256, returns(&ecKey.PublicKey, der(ones(33), ones(32)), nil)},
		{"ES256 s of 33 octets", jose.ES256, returns(&ecKey.PublicKey, der(ones(32), ones(33)), nil)},
		{"ES256 r negative", jose.ES256, returns(&ecKey.PublicKey, der([]byte{0x80}, ones(32)), nil)},
		{"ES256 r empty", jose.ES256, returns(&ecKey.PublicKey, der(nil, ones(32)), nil)},
		{"ES256 one number", jose.ES256, returns(&ecKey.PublicKey, []byte{0x30, 3, 2, 1, 1}, nil)},
		{"ES256 three numbers", jose.ES256, returns(&ecKey.PublicKey, []byte{0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1}, nil)},
		{"ES256 cut off", jose.ES256, returns(&ecKey.PublicKey, good[:len(good)-1], nil)},
		{"ES256 trailing octet", jose.ES256, returns(&ecKey.PublicKey, append(good[:len(good):len(good)], 0), nil)},
		{"PS256 nothing", jose.PS256, returns(&rsaKey().PublicKey, nil, nil)},
		{"PS256 an octet short", jose.PS256, returns(&rsaKey().PublicKey, ones(255), nil)},
		{"EdDSA nothing", jose.EdDSA, returns(edKey.Public(), nil, nil)},
		{"EdDSA an octet more", jose.EdDSA, returns(edKey.Public(), ones(65), nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := jose.Sign(tt.alg, "k", "JWT", tt.key, []byte(`{}`))
			if err == nil || got != "" {
				t.Errorf("%q, error %v", got, err)
			}
			if strings.HasSuffix(tt.name, "an error") && !errors.Is(err, broken) {
				t.Errorf("error %v does not wrap the key's", err)
			}
		})
	}
	t.Run("the shape alone is not refused", func(t *testing.T) {
		if _, err := jose.Sign(jose.ES256, "k", "JWT", returns(&ecKey.PublicKey, good, nil), nil); err != nil {
			t.Error(err)
		}
	})
}

// TestSignAsks checks what a key is asked to sign.
func TestSignAsks(t *testing.T) {
	for _, tt := range []struct {
		alg  string
		key  crypto.Signer
		want crypto.SignerOpts
	}{
		{jose.PS256, rsaKey(), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}},
		{jose.RS256, rsaKey(), crypto.SHA256},
		{jose.ES256, ecKey, crypto.SHA256},
		{jose.EdDSA, edKey, crypto.Hash(0)},
	} {
		var asked crypto.SignerOpts
		var message []byte
		spy := signer{tt.key.Public(), func(m []byte, opts crypto.SignerOpts) ([]byte, error) {
			message, asked = m, opts
			return tt.key.Sign(rand.Reader, m, opts)
		}}
		compact, err := jose.Sign(tt.alg, "k", "JWT", spy, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		want := []byte(compact[:strings.LastIndexByte(compact, '.')])
		if tt.alg != jose.EdDSA {
			digest := sha256.Sum256(want)
			want = digest[:]
		}
		if diff := cmp.Diff(tt.want, asked); diff != "" {
			t.Errorf("JWT-I-5 %s options (-want +got):\n%s", tt.alg, diff)
		}
		if diff := cmp.Diff(want, message); diff != "" {
			t.Errorf("%s message (-want +got):\n%s", tt.alg, diff)
		}
	}
}
