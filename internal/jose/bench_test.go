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
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
)

// benchClaims is of the size and shape of a client assertion.
const benchClaims = `{"iss":"tpp-7f3a9c","sub":"tpp-7f3a9c","aud":"https://as.finbank.example",` +
	`"jti":"3kZ0vJmA1xq8uT5nRc7bQw","iat":1767225600,"nbf":1767225600,"exp":1767225660}`

var benchAlgs = []string{jose.PS256, jose.ES256, jose.EdDSA}

func BenchmarkVerifyES256(b *testing.B)    { benchVerify(b, jose.ES256) }
func BenchmarkVerifyES256Raw(b *testing.B) { benchRaw(b, rawVerify(b, jose.ES256)) }
func BenchmarkVerifyPS256(b *testing.B)    { benchVerify(b, jose.PS256) }
func BenchmarkVerifyPS256Raw(b *testing.B) { benchRaw(b, rawVerify(b, jose.PS256)) }
func BenchmarkVerifyEdDSA(b *testing.B)    { benchVerify(b, jose.EdDSA) }
func BenchmarkVerifyEdDSARaw(b *testing.B) { benchRaw(b, rawVerify(b, jose.EdDSA)) }
func BenchmarkSignES256(b *testing.B)      { benchSign(b, jose.ES256) }
func BenchmarkSignES256Raw(b *testing.B)   { benchRaw(b, rawSign(b, jose.ES256)) }
func BenchmarkSignPS256(b *testing.B)      { benchSign(b, jose.PS256) }
func BenchmarkSignPS256Raw(b *testing.B)   { benchRaw(b, rawSign(b, jose.PS256)) }
func BenchmarkSignEdDSA(b *testing.B)      { benchSign(b, jose.EdDSA) }
func BenchmarkSignEdDSARaw(b *testing.B)   { benchRaw(b, rawSign(b, jose.EdDSA)) }

// benchVerify runs both by turns and reports how much dearer ours is than the
// bare cryptography, so that the ratio does not depend on a quiet machine.
func benchVerify(b *testing.B, alg string) {
	compact := benchToken(b, alg)
	keys := []jose.Key{{ID: "k1", Use: "sig", Algorithm: alg, Public: benchKeys[alg].Public()}}
	ratio(b, rawVerify(b, alg), func() error {
		token, err := jose.Parse(compact, 16<<10)
		if err != nil {
			return err
		}
		if _, err := token.UnverifiedClaims(); err != nil {
			return err
		}
		claims, err := token.Verify(benchAlgs, keys)
		if _, ok := claims.Time("exp"); !ok {
			b.Fatal("no exp")
		}
		return err
	})
}

func benchSign(b *testing.B, alg string) {
	ratio(b, rawSign(b, alg), func() error {
		_, err := jose.Sign(alg, "k1", "at+jwt", benchKeys[alg], []byte(benchClaims))
		return err
	})
}

// ratio times raw outside the benchmark's own clock and allocations.
func ratio(b *testing.B, raw, ours func() error) {
	b.ReportAllocs()
	var rawTime time.Duration
	run := func(f func() error) {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	run(raw)
	run(ours)
	const turn = 64 // so that stopping the clock costs nothing per operation
	n := 0
	for b.Loop() {
		run(ours)
		if n++; n%turn == 0 {
			b.StopTimer()
			start := time.Now()
			for range turn {
				run(raw)
			}
			rawTime += time.Since(start)
			b.StartTimer()
		}
	}
	if turns := n / turn * turn; turns > 0 {
		perRaw := float64(rawTime) / float64(turns)
		perOurs := float64(b.Elapsed()) / float64(b.N)
		b.ReportMetric(perOurs/perRaw, "ratio")
		b.ReportMetric((perOurs-perRaw)/1e3, "µs-over-raw")
	}
}

func benchRaw(b *testing.B, raw func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := raw(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchToken(b *testing.B, alg string) string {
	compact, err := jose.Sign(alg, "k1", "JWT", benchKeys[alg], []byte(benchClaims))
	if err != nil {
		b.Fatal(err)
	}
	return compact
}

// rawVerify is the standard library's verification and the hash, nothing else.
func rawVerify(b *testing.B, alg string) func() error {
	compact := benchToken(b, alg)
	i := strings.LastIndexByte(compact, '.')
	signed := []byte(compact[:i])
	signature, err := base64.RawURLEncoding.DecodeString(compact[i+1:])
	if err != nil {
		b.Fatal(err)
	}
	check := func(ok bool) error {
		if !ok {
			return jose.ErrSignature
		}
		return nil
	}
	switch pub := benchKeys[alg].Public().(type) {
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(signed)
		der, err := benchKeys[alg].Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			b.Fatal(err)
		}
		return func() error {
			digest := sha256.Sum256(signed)
			return check(ecdsa.VerifyASN1(pub, digest[:], der))
		}
	case *rsa.PublicKey:
		return func() error {
			digest := sha256.Sum256(signed)
			return rsa.VerifyPSS(pub, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: 32})
		}
	case ed25519.PublicKey:
		return func() error { return check(ed25519.Verify(pub, signed, signature)) }
	}
	b.Fatal("no such key")
	return nil
}

func rawSign(b *testing.B, alg string) func() error {
	compact := benchToken(b, alg)
	signed := []byte(compact[:strings.LastIndexByte(compact, '.')])
	key := benchKeys[alg]
	var opts crypto.SignerOpts = crypto.SHA256
	switch alg {
	case jose.PS256:
		opts = &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
	case jose.EdDSA:
		opts = crypto.Hash(0)
	}
	return func() error {
		message := signed
		if alg != jose.EdDSA {
			digest := sha256.Sum256(signed)
			message = digest[:]
		}
		_, err := key.Sign(rand.Reader, message, opts)
		return err
	}
}

var benchKeys = func() map[string]crypto.Signer {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{jose.ES256: ec, jose.PS256: rsaKey, jose.EdDSA: ed}
}()
