package authz_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// Each endpoint has three benchmarks: the request itself, the cryptography it
// cannot avoid, and the ratio of the two from one run. Requests are made in
// batches while the timer stands still, since a client's signature costs as
// much as the server's answer. The README's table is of
//
//	go test -run '^$' -bench 'PAR|Token|Introspect|Authorize|Growth' -cpu 1 -benchtime 2048x ./authz
//	go test -run '^$' -bench VerifierCheck -cpu 1 ./token
//	go test -run '^$' -bench MemoryHeap -benchtime 1x ./store
//
// on one core, so that ratios are of processor time.

const batch = 512

// A sink is a ResponseWriter that keeps the status.
type sink struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return s.body.Write(b) }

// A work is one endpoint: what to ask of it, and what it cannot avoid.
type work struct {
	alg    string
	proof  *proofKey // of a client whose tokens are bound to a key, or nil
	make   func(b *bank, f *fintech) *http.Request
	status int
	verify int // signatures to verify
	sign   int // signatures to make
}

// request returns an authenticated request of f, with a proof if there are to
// be any.
func (w work) request(b *bank, f *fintech, path string, v url.Values) *http.Request {
	if w.proof != nil {
		return f.prove(b, path, v, w.proof)
	}
	return f.request(path, f.authenticate(b, v))
}

func ofAlg(b *testing.B, alg string) (*bank, *fintech) {
	f := keyClient("kakeibo")
	keys := serverKeys
	if alg == "PS256" {
		f.key, f.alg = rsaKey(), "PS256"
		f.JWKS = jwks(publicJWK(f.key.Public(), f.kid, f.alg))
		var err error
		if keys, err = token.NewKeySet(token.PrivateKey{ID: "as-ps", Algorithm: "PS256", Signer: rsaKey()}); err != nil {
			b.Fatal(err)
		}
	}
	return newBank(b, clients(f), func(c *authz.Config) {
		c.Keys = keys
		c.Audit = nil
	}), f
}

// works are the endpoints, for a client whose tokens are bound to its
// certificate or, with a key, to that.
var works = map[string]func(alg string, k *proofKey) work{
	"PAR": func(alg string, k *proofKey) work {
		w := work{alg: alg, proof: k, status: 201, verify: 1}
		w.make = func(b *bank, f *fintech) *http.Request { return w.request(b, f, "/par", f.pushable()) }
		return w.plus(k)
	},
	"PARObject": func(alg string, k *proofKey) work { // RFC 9101: one more signature of the client's
		w := work{alg: alg, proof: k, status: 201, verify: 2}
		w.make = func(b *bank, f *fintech) *http.Request {
			return w.request(b, f, "/par", url.Values{"request": {f.object(f.asks(b, f.pushable()))}})
		}
		return w.plus(k)
	},
	"Introspect": func(alg string, k *proofKey) work {
		w := work{alg: alg, status: 200, verify: 2}
		var access string
		w.make = func(b *bank, f *fintech) *http.Request {
			if access == "" {
				access = f.tokensFor(b, f.pushable(), k)["access_token"].(string)
			}
			return w.request(b, f, "/introspect", url.Values{"token": {access}})
		}
		return w
	},
	"TokenCode": func(alg string, k *proofKey) work {
		w := work{alg: alg, proof: k, status: 200, verify: 1, sign: 2}
		w.make = func(b *bank, f *fintech) *http.Request {
			return w.request(b, f, "/token", f.redeemable(f.code(b)))
		}
		return w.plus(k)
	},
	"TokenRefresh": func(alg string, k *proofKey) work {
		w := work{alg: alg, proof: k, status: 200, verify: 1, sign: 1}
		var refresh string
		w.make = func(b *bank, f *fintech) *http.Request {
			if refresh == "" {
				out := &sink{header: make(http.Header)}
				b.srv.ServeHTTP(out, w.request(b, f, "/token", f.redeemable(f.code(b))))
				var got struct {
					Refresh string `json:"refresh_token"`
				}
				if err := json.Unmarshal(out.body.Bytes(), &got); err != nil {
					b.t.Fatal(err)
				}
				refresh = got.Refresh
			}
			return w.request(b, f, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
		}
		return w.plus(k)
	},
}

// plus adds the verification of a proof to what cannot be avoided.
func (w work) plus(k *proofKey) work {
	if k != nil {
		w.verify++
	}
	return w
}

// serve answers a batch of fresh requests and returns how long that took.
func (w work) serve(tb testing.TB, b *bank, f *fintech) time.Duration {
	reqs := make([]*http.Request, batch)
	outs := make([]*sink, batch)
	for i := range reqs {
		reqs[i] = w.make(b, f)
		outs[i] = &sink{header: make(http.Header)}
	}
	runtime.GC() // what making them left behind is the client's, not the server's
	start := time.Now()
	for i, r := range reqs {
		b.srv.ServeHTTP(outs[i], r)
	}
	took := time.Since(start)
	for _, out := range outs {
		if out.status != w.status {
			tb.Fatalf("status %d: %s", out.status, out.body.Bytes())
		}
	}
	return took
}

// floor does a batch of what cannot be avoided and returns how long that took.
func (w work) floor() time.Duration {
	sum := sha256.Sum256([]byte("signed"))
	var verify, sign func()
	if w.alg == "PS256" {
		key := rsaKey()
		opts := &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
		sig, _ := key.Sign(rand.Reader, sum[:], opts)
		verify = func() { _ = rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, sum[:], sig, opts) }
		sign = func() { _, _ = key.Sign(rand.Reader, sum[:], opts) }
	} else {
		key := ecKeys.next()
		r, s, _ := ecdsa.Sign(rand.Reader, key, sum[:])
		sig := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		verify = func() {
			_ = ecdsa.Verify(&key.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
		}
		sign = func() { _, _ = key.Sign(rand.Reader, sum[:], crypto.SHA256) }
	}
	start := time.Now()
	for range batch {
		for range w.verify {
			verify()
		}
		for range w.sign {
			sign()
		}
	}
	return time.Since(start)
}

func benchmark(b *testing.B, name string) {
	for _, alg := range []string{"ES256", "PS256"} {
		bk, f := ofAlg(b, alg)
		measure(b, alg, works[name](alg, nil), bk, f)

		k := &proofKey{Signer: f.key, alg: alg} // any key will do
		bk, f = ofAlg(b, alg)
		f.dpop()
		measure(b, alg+"/DPoP", works[name](alg, k), bk, f)
	}
}

func measure(b *testing.B, name string, w work, bk *bank, f *fintech) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		var reqs []*http.Request
		out := &sink{header: make(http.Header)}
		for i := 0; i < b.N; i++ {
			if i%batch == 0 {
				b.StopTimer()
				reqs = reqs[:0]
				for range batch {
					reqs = append(reqs, w.make(bk, f))
				}
				b.StartTimer()
			}
			out.body.Reset()
			bk.srv.ServeHTTP(out, reqs[i%batch])
			if out.status != w.status {
				b.Fatalf("status %d: %s", out.status, out.body.Bytes())
			}
		}
	})
	b.Run(name+"/floor", func(b *testing.B) {
		for i := 0; i < b.N; i += batch {
			w.floor()
		}
	})
	b.Run(name+"/ratio", func(b *testing.B) {
		var served, floor time.Duration
		for i := 0; i < b.N; i += batch {
			served += w.serve(b, bk, f)
			floor += w.floor()
		}
		b.ReportMetric(float64(served)/float64(floor), "ratio")
	})
}

func BenchmarkPAR(b *testing.B)          { benchmark(b, "PAR") }
func BenchmarkPARObject(b *testing.B)    { benchmark(b, "PARObject") }
func BenchmarkIntrospect(b *testing.B)   { benchmark(b, "Introspect") }
func BenchmarkTokenCode(b *testing.B)    { benchmark(b, "TokenCode") }
func BenchmarkTokenRefresh(b *testing.B) { benchmark(b, "TokenRefresh") }

// BenchmarkAuthorize is a customer whose consent is at hand: one request to
// the authorization endpoint that ends in a redirect with a code. There is no
// signature in it, unless the response is signed (JARM).
func BenchmarkAuthorize(b *testing.B) {
	for _, mode := range []string{"query", "jwt"} {
		b.Run(mode, func(b *testing.B) { authorizing(b, mode) })
	}
}

func authorizing(b *testing.B, mode string) {
	bk, f := ofAlg(b, "ES256")
	bk.shown = func(w http.ResponseWriter, r *http.Request, in *authz.Interaction) {
		if err := in.Finish(w, r, bk.approval()); err != nil {
			b.Error(err)
		}
	}
	push := func() string { return f.push(bk, with(f.pushable(), "response_mode", mode)) }
	cookie := (&browser{b: bk}).open(f, push()).Cookies()[0]
	b.ReportAllocs()
	var reqs []*http.Request
	out := &sink{header: make(http.Header)}
	for i := 0; i < b.N; i++ {
		if i%batch == 0 {
			b.StopTimer()
			reqs = reqs[:0]
			for range batch {
				q := url.Values{"client_id": {f.ID}, "request_uri": {push()}}
				r := httptest.NewRequest("GET", issuer+"/authorize?"+q.Encode(), nil)
				r.AddCookie(cookie)
				reqs = append(reqs, r)
			}
			b.StartTimer()
		}
		bk.srv.ServeHTTP(out, reqs[i%batch])
		if out.status != 303 {
			b.Fatalf("status %d", out.status)
		}
	}
}

// BenchmarkGrowth is a refresh while a thousand, a hundred thousand and a
// million other grants are live, and a tenth as many spent assertions.
func BenchmarkGrowth(b *testing.B) {
	for _, live := range []int{1_000, 100_000, 1_000_000} {
		b.Run(strconv.Itoa(live), func(b *testing.B) {
			bk, f := ofAlg(b, "ES256")
			until := bk.clock.Now().Add(time.Hour)
			value := make([]byte, 350) // a typical grant's
			for i := range live {
				r := store.Record{Key: grant.NewHandle().Locator.Key(grant.KindGrant, issuer), Version: grant.NewVersion(), Value: value, Expires: until}
				if err := bk.config.Store.Create(b.Context(), r); err != nil {
					b.Fatal(err)
				}
				if i%10 > 0 {
					continue
				}
				r = store.Record{Key: grant.ReplayKey(issuer, "client_assertion", f.ID, rand.Text()), Version: grant.NewVersion(), Expires: until}
				if err := bk.config.Store.Create(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
			w := works["TokenRefresh"]("ES256", nil)
			b.ResetTimer()
			var served, floor time.Duration
			for i := 0; i < b.N; i += batch {
				served += w.serve(b, bk, f)
				floor += w.floor()
			}
			b.ReportMetric(float64(served)/float64(floor), "ratio")
		})
	}
}
