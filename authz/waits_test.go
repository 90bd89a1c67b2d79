package authz_test

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store/storetest"
)

// TestWaits counts the round trips to the store that a request waits for, one
// after the other, by the time it takes with a store a second away.
func TestWaits(t *testing.T) {
	const latency = time.Second
	for _, f := range []*fintech{
		keyClient("kakeibo"), tlsClient("kakeibo"), selfSignedClient("kakeibo"),
		keyClient("kakeibo").dpop(), tlsClient("kakeibo").dpop(), selfSignedClient("kakeibo").dpop(),
	} {
		var k *proofKey
		f.signs()
		name, replay := f.AuthMethod, 1 // for the jti of assertion and proof, side by side
		if f.DPoPBoundTokens {
			k = newProofKey()
			name += " and DPoP"
		} else if f.AuthMethod != "private_key_jwt" {
			replay = 0
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank(t, clients(f), func(c *authz.Config) { c.Store = &storetest.Faulty{Store: c.Store, Latency: latency} })
				waits := func(step string, want int, do func()) {
					t.Helper()
					start := time.Now()
					do()
					if d := time.Since(start); d != time.Duration(want)*latency {
						t.Errorf("%s waits %v, want %d seconds", step, d, want)
					}
				}
				ok := func(v url.Values) map[string]any {
					t.Helper()
					status, got := f.post(b, "/token", v, k)
					if status != 200 {
						t.Errorf("%s: %d %v", v.Get("grant_type"), status, got)
					}
					return got
				}
				var uri, id, code, refresh string
				br := &browser{b: b}
				waits("PAR", 1, func() {
					_, got := f.post(b, "/par", f.pushable(), k)
					uri, _ = got["request_uri"].(string)
				})
				waits("PAR with a request object", 1, func() {
					if status, got := f.post(b, "/par", url.Values{"request": {f.object(f.asks(b, f.pushable()))}}, k); status != 201 {
						t.Errorf("%d %v", status, got)
					}
				})
				waits("authorize", 1, func() { id = br.begin(f, uri) })
				waits("a later page", 1, func() { br.resume(id) })
				waits("approve", 4, func() {
					w, err := br.finish(id, b.approval())
					if err != nil {
						t.Fatal(err)
					}
					code = location(t, w.Result()).Get("code")
				})
				var access string
				waits("code", 2+replay, func() {
					got := ok(f.redeemable(code))
					refresh, _ = got["refresh_token"].(string)
					access, _ = got["access_token"].(string)
				})
				proof := 0
				if k != nil {
					proof = 1
				}
				waits("userinfo", proof+1, func() { f.info(b, access, k) })
				waits("refresh", 1+replay, func() { ok(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}) })
				waits("client_credentials", replay, func() { ok(url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}) })
				uri = f.push(b, f.pushable())
				id = br.begin(f, uri)
				waits("deny", 3, func() { br.finish(id, authz.Decision{Deny: authz.AccessDenied}) })
			})
		})
	}
}
