package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/token/dpop"
)

func BenchmarkVerifyES256(b *testing.B)    { benchVerify(b, "ES256", ecKey, dpop.Config{}) }
func BenchmarkVerifyES256Raw(b *testing.B) { benchRaw(b, "ES256", ecKey) }
func BenchmarkVerifyES256Nonce(b *testing.B) {
	benchVerify(b, "ES256", ecKey, dpop.Config{Nonces: nonces(b, rsName)})
}
func BenchmarkVerifyEdDSA(b *testing.B)    { benchVerify(b, "EdDSA", edKey, dpop.Config{}) }
func BenchmarkVerifyEdDSARaw(b *testing.B) { benchRaw(b, "EdDSA", edKey) }
func BenchmarkVerifyPS256(b *testing.B)    { benchVerify(b, "PS256", rsaKey(), dpop.Config{}) }
func BenchmarkVerifyPS256Raw(b *testing.B) { benchRaw(b, "PS256", rsaKey()) }

// benchVerify measures a resource request, by turns with the bare
// cryptography, and reports how much dearer it is, so that the figure does not
// depend on a quiet machine. The bare cryptography is outside the benchmark's
// own clock and allocations.
func benchVerify(b *testing.B, alg string, key crypto.Signer, c dpop.Config) {
	p := goodAtAPI()
	p.by(alg, key)
	if c.Nonces != nil {
		p.claims["nonce"] = c.Nonces.Issue(now)
	}
	r := p.request
	r.Header = map[string][]string{"Dpop": {p.compact(b)}}
	v := verifier(b, c)
	ours := func() {
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
	raw := rawVerify(b, alg, key)
	raw()
	ours()
	b.ReportAllocs()
	const turn = 64 // so that stopping the clock costs nothing per operation
	var rawTime time.Duration
	n := 0
	for b.Loop() {
		ours()
		if n++; n%turn == 0 {
			b.StopTimer()
			start := time.Now()
			for range turn {
				raw()
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

func benchRaw(b *testing.B, alg string, key crypto.Signer) {
	raw := rawVerify(b, alg, key)
	b.ReportAllocs()
	for b.Loop() {
		raw()
	}
}

// rawVerify is the hash and the standard library's verification with a key
// that is ready, nothing else.
func rawVerify(b *testing.B, alg string, key crypto.Signer) func() {
	p := goodAtAPI()
	p.by(alg, key)
	compact := p.compact(b)
	i := strings.LastIndexByte(compact, '.')
	signed, signature := []byte(compact[:i]), unb64(b, compact[i+1:])
	var verify func() bool
	switch pub := key.Public().(type) {
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		verify = func() bool {
			digest := sha256.Sum256(signed)
			return ecdsa.Verify(pub, digest[:], r, s)
		}
	case ed25519.PublicKey:
		verify = func() bool { return ed25519.Verify(pub, signed, signature) }
	case *rsa.PublicKey:
		verify = func() bool {
			digest := sha256.Sum256(signed)
			return rsa.VerifyPSS(pub, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: 32}) == nil
		}
	}
	return func() {
		if !verify() {
			b.Fatal("not verified")
		}
	}
}

func BenchmarkCheckNonce(b *testing.B) {
	n := nonces(b, rsName)
	nonce := n.Issue(now)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := n.Check(nonce, now); !ok {
			b.Fatal("refused")
		}
	}
}
