package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for PS384 and ES512
	"encoding/base64"
	"math/big"
	"testing"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// A maker signs without the help of the package under test.
type maker func(t testing.TB, input []byte) []byte

func token(t testing.TB, header, payload string, sign maker) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(sign(t, []byte(input)))
}

// ecMaker signs with r and s beside each other, each of the size of the curve.
func ecMaker(key *ecdsa.PrivateKey, hash crypto.Hash) maker {
	return func(t testing.TB, input []byte) []byte {
		h := hash.New()
		h.Write(input)
		r, s, err := ecdsa.Sign(rand.Reader, key, h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
}

func derMaker(key *ecdsa.PrivateKey) maker {
	return func(t testing.TB, input []byte) []byte {
		digest := sha256.Sum256(input)
		der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
}

// rsaMaker signs with PSS under opts, or with PKCS #1 v1.5 if opts is a hash.
func rsaMaker(key *rsa.PrivateKey, opts crypto.SignerOpts) maker {
	return func(t testing.TB, input []byte) []byte {
		h := opts.HashFunc().New()
		h.Write(input)
		sig, err := key.Sign(rand.Reader, h.Sum(nil), opts)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
}

func edMaker(key ed25519.PrivateKey) maker {
	return func(_ testing.TB, input []byte) []byte { return ed25519.Sign(key, input) }
}

func hmacMaker(secret []byte) maker {
	return func(_ testing.TB, input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

func fixed(sig []byte) maker { return func(testing.TB, []byte) []byte { return sig } }

func pss(salt int, hash crypto.Hash) *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: salt, Hash: hash}
}

func cut(m maker, n int) maker {
	return func(t testing.TB, in []byte) []byte { return m(t, in)[:n] }
}

func longer(m maker) maker {
	return func(t testing.TB, in []byte) []byte { return append(m(t, in), 0) }
}

// widened puts a zero octet before r and before s.
func widened(m maker) maker {
	return func(t testing.TB, in []byte) []byte {
		sig := m(t, in)
		return append(append([]byte{0}, sig[:32]...), append([]byte{0}, sig[32:]...)...)
	}
}

// malleated adds the order of the group to S, which a verifier that computes
// without looking does not notice (RFC 8032, 8.4).
func malleated(m maker) maker {
	return func(t testing.TB, in []byte) []byte {
		sig := m(t, in)
		reverse := func(b []byte) []byte {
			r := make([]byte, len(b))
			for i := range b {
				r[len(b)-1-i] = b[i]
			}
			return r
		}
		order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
		s := new(big.Int).SetBytes(reverse(sig[32:]))
		return append(sig[:32:32], reverse(s.Add(s, order).FillBytes(make([]byte, 32)))...)
	}
}

// zeroSalt makes a PSS signature with no salt by RFC 8017, 9.1.1: crypto/rsa
// takes a length of zero for "as long as possible".
func zeroSalt(_ testing.TB, input []byte) []byte {
	key := rsaKey()
	mHash := sha256.Sum256(input)
	h := sha256.Sum256(append(make([]byte, 8), mHash[:]...))
	em := make([]byte, key.Size())
	db := em[:len(em)-33]
	db[len(db)-1] = 1
	for i := range (len(db) + 31) / 32 { // MGF1
		mask := sha256.Sum256(append(h[:len(h):len(h)], 0, 0, 0, byte(i)))
		for j := range mask {
			if at := i*32 + j; at < len(db) {
				db[at] ^= mask[j]
			}
		}
	}
	em[0] &= 0x7f
	copy(em[len(db):], h[:])
	em[len(em)-1] = 0xbc
	m := new(big.Int).SetBytes(em)
	return m.Exp(m, key.D, key.N).FillBytes(em)
}

// TestZeroSalt shows that zeroSalt makes what it says, so that its refusal
// above is for the salt.
func TestZeroSalt(t *testing.T) {
	input := []byte("input")
	digest := sha256.Sum256(input)
	if err := rsa.VerifyPSS(&rsaKey().PublicKey, crypto.SHA256, digest[:], zeroSalt(t, input), pss(rsa.PSSSaltLengthAuto, crypto.SHA256)); err != nil {
		t.Fatal(err)
	}
}
