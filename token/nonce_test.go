package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
)

// TestNonceAnswers: what a client sees where nonces are demanded.
func TestNonceAnswers(t *testing.T) {
	p, replays := newProver(t), &storetest.Faulty{Store: new(store.Memory)}
	at := now
	old, next := []byte("an example secret of 32 bytes or more"), []byte("another example secret of 32 or more!")
	by := func(secrets ...[]byte) *token.Verifier {
		return guard(t, func(c *token.VerifierConfig) {
			c.NonceSecrets, c.Replays, c.Now = secrets, replays, func() time.Time { return at }
		})
	}
	v := by(old)
	t.Run("RFC9449-9-1 RFC9449-8.1-1 the demand, to the letter, and it costs nothing", func(t *testing.T) {
		res := call(v, p.request())
		want := []string{
			`DPoP realm="` + audience + `", error="use_dpop_nonce", error_description="the proof needs a recent nonce of this server", algs="PS256 ES256 EdDSA Ed25519"`,
			`Bearer realm="` + audience + `"`,
		}
		if d := cmp.Diff(want, res.Header.Values("WWW-Authenticate")); d != "" || res.StatusCode != 401 {
			t.Errorf("%d %s", res.StatusCode, d)
		}
		nonces := res.Header.Values("DPoP-Nonce")
		if len(nonces) != 1 || nonces[0] == "" || strings.ContainsFunc(nonces[0], func(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' }) {
			t.Fatalf("RFC9449-8-3: DPoP-Nonce is %q", nonces)
		}
		if replays.Count("") != 0 {
			t.Error("it used up something")
		}
		p.nonce = nonces[0]
	})
	t.Run("RFC9449-8.2-1 RFC9449-8.2-3 what is let through has the next one and is not cached", func(t *testing.T) {
		res := call(v, p.request())
		if res.StatusCode != 204 || len(res.Header.Values("DPoP-Nonce")) != 1 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("RFC9449-9-1 none for a token that is bound to a certificate", func(t *testing.T) {
		res := call(v, request(t, "Bearer "+goodToken(t)))
		if res.StatusCode != 204 || res.Header.Values("DPoP-Nonce") != nil || res.Header.Get("Cache-Control") != "" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	for _, tt := range []struct {
		name string
		v    *token.Verifier
		want int
	}{
		{"RFC9449-8-7 another node", by(old), 204},
		{"RFC9449-8-7 one that has a new secret last", by(old, next), 204},
		{"RFC9449-8-7 one that has it first", by(next, old), 204},
		{"RFC9449-8-7 one that has it alone", by(next), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if res := call(tt.v, p.request()); res.StatusCode != tt.want {
				t.Errorf("%d, want %d", res.StatusCode, tt.want)
			}
		})
	}
	t.Run("CONF-31 iat 61 seconds ahead", func(t *testing.T) {
		r, c := p.request(), p.claims()
		c["iat"] = now.Unix() + 61
		r.Header.Set("DPoP", p.sign(c))
		if res := call(v, r); res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), "invalid_dpop_proof") {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("RFC9449-8-4 the last second of a nonce, and the next one", func(t *testing.T) {
		claims := goodClaims()
		claims["cnf"], claims["exp"] = object{"jkt": p.jkt()}, now.Unix()+3600
		p.token = forge(t, marshal(t, goodHeader()), marshal(t, claims), asKey(t))
		for age, want := range map[int]int{299: 204, 300: 401} {
			at = now.Add(time.Duration(age) * time.Second)
			res := call(v, p.request())
			if res.StatusCode != want || want == 401 && !strings.Contains(res.Header.Get("WWW-Authenticate"), "use_dpop_nonce") {
				t.Errorf("after %d seconds: %d %v", age, res.StatusCode, res.Header)
			}
		}
		at = now
	})
	t.Run("RFC9449-11.3-1 a nonce left out later", func(t *testing.T) {
		p.nonce = ""
		if res := call(v, p.request()); res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), "use_dpop_nonce") {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
}
