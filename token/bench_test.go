package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

func BenchmarkVerifierCheckES256(b *testing.B)     { benchCheck(b, "ES256") }
func BenchmarkVerifierCheckES256Raw(b *testing.B)  { benchRaw(b, rawVerify(b, "ES256")) }
func BenchmarkVerifierCheckPS256(b *testing.B)     { benchCheck(b, "PS256") }
func BenchmarkVerifierCheckPS256Raw(b *testing.B)  { benchRaw(b, rawVerify(b, "PS256")) }
func BenchmarkVerifierCheckEdDSA(b *testing.B)     { benchCheck(b, "EdDSA") }
func BenchmarkVerifierCheckEdDSARaw(b *testing.B)  { benchRaw(b, rawVerify(b, "EdDSA")) }
func BenchmarkVerifierCheckDPoPES256(b *testing.B) { benchCheckDPoP(b, "ES256") }
func BenchmarkVerifierCheckDPoPPS256(b *testing.B) { benchCheckDPoP(b, "PS256") }
func BenchmarkVerifierCheckDPoPEdDSA(b *testing.B) { benchCheckDPoP(b, "EdDSA") }
func BenchmarkSignAccessES256(b *testing.B)        { benchSign(b, "ES256") }
func BenchmarkSignAccessES256Raw(b *testing.B)     { benchRaw(b, rawSign(b, "ES256")) }
func BenchmarkSignAccessPS256(b *testing.B)        { benchSign(b, "PS256") }
func BenchmarkSignAccessPS256Raw(b *testing.B)     { benchRaw(b, rawSign(b, "PS256")) }

// benchCheck measures a request with a certificate-bound token, whose floor is
// one verification.
func benchCheck(b *testing.B, alg string) {
	keys, err := token.NewKeySet(benchKey(b, alg))
	if err != nil {
		b.Fatal(err)
	}
	a := goodAccess()
	a.GrantID = grantID
	compact, err := token.SignAccess(b.Context(), keys, alg, a)
	if err != nil {
		b.Fatal(err)
	}
	c := config(b)
	c.Keys = keys
	v := verifier(b, c)
	r := request(b, "Bearer "+compact)
	need := token.Require{Scopes: []string{"accounts"}}
	ratio(b, rawVerify(b, alg), func() error {
		_, err := v.Check(r, need)
		return err
	})
}

// benchCheckDPoP measures a request with a token that is bound to a key, and a
// fresh proof by that key each time, whose floor is two verifications. The
// proofs are made while the clock stands still. Token and proof have the same
// algorithm.
func benchCheckDPoP(b *testing.B, alg string) {
	key := benchKey(b, alg)
	keys, err := token.NewKeySet(key)
	if err != nil {
		b.Fatal(err)
	}
	jkt, err := jose.Thumbprint(key.Signer.Public())
	if err != nil {
		b.Fatal(err)
	}
	a := goodAccess()
	a.GrantID, a.Confirmation = grantID, token.Confirmation{JKT: jkt}
	compact, err := token.SignAccess(b.Context(), keys, alg, a)
	if err != nil {
		b.Fatal(err)
	}
	c := config(b)
	c.Keys, c.Origins, c.Replays = keys, []string{audience}, &store.Memory{Now: clock}
	v := verifier(b, c)
	header := marshal(b, object{"typ": "dpop+jwt", "alg": alg, "jwk": benchJWK(b, key.Signer.Public())})
	sum := sha256.Sum256([]byte(compact))
	need := token.Require{Scopes: []string{"accounts"}}
	raw := rawVerify(b, alg)
	var requests []*http.Request
	n := 0
	ratio(b, func() error {
		if err := raw(); err != nil {
			return err
		}
		return raw()
	}, func() error {
		if n == len(requests) {
			b.StopTimer()
			requests, n = requests[:0], 0
			for range 256 {
				r := request(b, "DPoP "+compact)
				claims := object{"jti": rand.Text(), "htm": "GET", "htu": audience + "/accounts", "iat": now.Unix(), "ath": b64.EncodeToString(sum[:])}
				r.Header.Set("DPoP", forge(b, header, marshal(b, claims), key.Signer))
				requests = append(requests, r)
			}
			b.StartTimer()
		}
		n++
		_, err := v.Check(requests[n-1], need)
		return err
	})
}

// benchJWK returns the public members of a key.
func benchJWK(b *testing.B, pub crypto.PublicKey) object {
	set, err := jose.MarshalSet([]jose.Key{{Public: pub}})
	if err != nil {
		b.Fatal(err)
	}
	var parsed struct{ Keys []object }
	if err := json.Unmarshal(set, &parsed); err != nil {
		b.Fatal(err)
	}
	return parsed.Keys[0]
}

func benchSign(b *testing.B, alg string) {
	keys, err := token.NewKeySet(benchKey(b, alg))
	if err != nil {
		b.Fatal(err)
	}
	a := goodAccess()
	a.GrantID = grantID
	ratio(b, rawSign(b, alg), func() error {
		_, err := token.SignAccess(b.Context(), keys, alg, a)
		return err
	})
}

// ratio runs both by turns and reports how much dearer ours is than the bare
// cryptography, so that the figure does not depend on a quiet machine. Raw is
// outside the benchmark's own clock and allocations.
func ratio(b *testing.B, raw, ours func() error) {
	b.ReportAllocs()
	run := func(f func() error) {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	run(raw)
	run(ours)
	const turn = 32 // so that stopping the clock costs nothing per operation
	var rawTime time.Duration
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

var benchKeys = map[string]token.PrivateKey{}

func benchKey(b *testing.B, alg string) token.PrivateKey {
	k, ok := benchKeys[alg]
	if !ok {
		k = token.PrivateKey{ID: asKID, Algorithm: alg}
		switch alg {
		case "ES256":
			k.Signer = newEC(b)
		case "PS256":
			k.Signer = newRSA()
		default:
			k.Signer = newEd(b)
		}
		benchKeys[alg] = k
	}
	return k
}

// benchSigned is what a token's signature covers.
func benchSigned(b *testing.B) []byte {
	compact := goodToken(b)
	return []byte(compact[:strings.LastIndexByte(compact, '.')])
}

// rawSign is the hash and the standard library's signature, nothing else.
func rawSign(b *testing.B, alg string) func() error {
	signed, key := benchSigned(b), benchKey(b, alg).Signer
	var opts crypto.SignerOpts = crypto.SHA256
	if alg == "PS256" {
		opts = &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
	}
	return func() error {
		digest := sha256.Sum256(signed)
		_, err := key.Sign(rand.Reader, digest[:], opts)
		return err
	}
}

// rawVerify is the hash and the standard library's verification, nothing else.
func rawVerify(b *testing.B, alg string) func() error {
	signed, key := benchSigned(b), benchKey(b, alg).Signer
	digest := sha256.Sum256(signed)
	var sig []byte
	var err error
	var check func() bool
	switch pub := key.Public().(type) {
	case *ecdsa.PublicKey:
		sig, err = key.Sign(rand.Reader, digest[:], crypto.SHA256)
		check = func() bool {
			digest := sha256.Sum256(signed)
			return ecdsa.VerifyASN1(pub, digest[:], sig)
		}
	case *rsa.PublicKey:
		opts := &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
		sig, err = key.Sign(rand.Reader, digest[:], opts)
		check = func() bool {
			digest := sha256.Sum256(signed)
			return rsa.VerifyPSS(pub, crypto.SHA256, digest[:], sig, opts) == nil
		}
	case ed25519.PublicKey:
		sig, err = key.Sign(nil, signed, crypto.Hash(0))
		check = func() bool { return ed25519.Verify(pub, signed, sig) }
	}
	if err != nil {
		b.Fatal(err)
	}
	return func() error {
		if !check() {
			b.Fatal("the signature is not valid")
		}
		return nil
	}
}
