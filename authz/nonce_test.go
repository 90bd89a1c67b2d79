package authz_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// TestNonceAnswers: what a client sees where nonces are demanded.
func TestNonceAnswers(t *testing.T) {
	f, certified := keyClient("kakeibo").dpop(), keyClient("other")
	b := newBank(t, clients(f, certified), func(c *authz.Config) { c.DPoPNonces = true })
	own := func() url.Values { return url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}} }

	for path, v := range map[string]func() url.Values{"/par": f.pushable, "/token": own} {
		k := newProofKey()
		for _, step := range []string{"a demand", "an answer to it"} {
			t.Run("RFC9449-8-3 RFC9449-8.1-1 RFC9449-8.2-3 "+step+" at "+path, func(t *testing.T) {
				res := b.do(f.prove(b, path, v(), k))
				nonces := res.Header.Values("DPoP-Nonce")
				if len(nonces) != 1 || nonces[0] == "" || strings.ContainsFunc(nonces[0], func(r rune) bool {
					return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
				}) {
					t.Errorf("DPoP-Nonce is %q", nonces)
				}
				if cache := res.Header.Get("Cache-Control"); cache != "no-store" {
					t.Errorf("Cache-Control is %q", cache)
				}
				got := object(t, res)
				if demand := k.nonce == ""; demand && (res.StatusCode != 400 || got["error"] != "use_dpop_nonce") || !demand && res.StatusCode > 201 {
					t.Errorf("%d %v", res.StatusCode, got)
				}
				k.nonce = nonces[0]
			})
		}
	}
	t.Run("RFC9449-10.1-1 a push that names the key needs no proof and no nonce", func(t *testing.T) {
		res := b.do(f.request("/par", f.authenticate(b, changed(f.pushable(), "dpop_jkt", newProofKey().jkt()))))
		if res.StatusCode != 201 || len(res.Header.Values("DPoP-Nonce")) != 1 {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("RFC9449-8-1 none for a client that is bound by certificate", func(t *testing.T) {
		res := b.do(certified.request("/token", certified.authenticate(b, own())))
		if res.StatusCode != 200 || res.Header.Values("DPoP-Nonce") != nil {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("RFC9449-5-2 a bad proof is told so, whatever its nonce", func(t *testing.T) {
		k := newProofKey()
		r := f.prove(b, "/token", own(), k)
		r.Header.Set("DPoP", claim("htm", "GET")(k.draft(b, "/token")))
		badProof(t, b.do(r))
	})
}

// TestNonceTime: with a good nonce the age of a proof is its nonce's.
func TestNonceTime(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	b := newBank(t, clients(f), func(c *authz.Config) { c.DPoPNonces = true })
	k := newProofKey()
	own := func() url.Values { return url.Values{"grant_type": {"client_credentials"}} }
	k.send(b, f.prove(b, "/token", own(), k))
	now := b.clock.Now().Unix()
	last := "A"
	if strings.HasSuffix(k.nonce, last) {
		last = "B"
	}
	for _, tt := range []struct {
		name   string
		change func(*draft) string
		want   string
	}{
		{"CONF-31 RFC9449-4.3-11 iat an hour ago", claim("iat", now-3600), ""},
		{"CONF-31 FAPI2-SP-5.3.2.1-13b iat 61 seconds ahead", claim("iat", now+61), "invalid_dpop_proof"},
		{"FAPI2-SP-5.3.2.1-13b nbf 61 seconds ahead", claim("nbf", now+61), "invalid_dpop_proof"},
		{"RFC9449-8-4 one character changed", claim("nonce", k.nonce[:len(k.nonce)-1]+last), "use_dpop_nonce"},
		{"RFC9449-8-4 in upper case", claim("nonce", strings.ToUpper(k.nonce)), "use_dpop_nonce"},
		{"RFC9449-8-4 an empty one", claim("nonce", ""), "use_dpop_nonce"},
		{"RFC9449-8-4 a number", claim("nonce", 1), "use_dpop_nonce"},
		{"RFC9449-11.1-5 the same once more", func(d *draft) string { return d.sign() }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := f.request("/token", f.authenticate(b, own()))
			r.Header.Set("DPoP", tt.change(k.draft(b, "/token")))
			res := b.do(r)
			got := object(t, res)
			if tt.want == "" && res.StatusCode != 200 || tt.want != "" && (res.StatusCode != 400 || got["error"] != tt.want) {
				t.Errorf("%d %v, want %q", res.StatusCode, got, tt.want)
			}
		})
	}
	t.Run("RFC9449-11.1-2 a proof is remembered for as long as its nonce is good", func(t *testing.T) {
		f := tlsClient("kakeibo").dpop()
		b := newBank(t, clients(f), func(c *authz.Config) { c.DPoPNonces = true })
		k := newProofKey()
		k.send(b, f.prove(b, "/token", own(), k))
		proof := k.sign(k.claims(b, "/token"))
		for i := range 6 {
			r := f.request("/token", f.authenticate(b, own()))
			r.Header.Set("DPoP", proof)
			res := b.do(r)
			if got := object(t, res); i == 0 && res.StatusCode != 200 || i > 0 && res.StatusCode != 400 {
				t.Errorf("use %d, after %d minutes: %d %v", i+1, i, res.StatusCode, got)
			}
			b.clock.Advance(time.Minute)
			other := newProofKey()
			for range 200 { // the store forgets in passing
				other.send(b, f.prove(b, "/token", own(), other))
			}
		}
	})
}

// TestNonceSecrets: secrets roll over without a refused request.
func TestNonceSecrets(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	old, next := []byte("an example secret of 32 bytes or more"), []byte("another example secret of 32 or more!")
	with := func(secrets ...[]byte) *bank {
		return newBank(t, clients(f), func(c *authz.Config) { c.DPoPNonces, c.Secrets = true, secrets })
	}
	own := func() url.Values { return url.Values{"grant_type": {"client_credentials"}} }
	for _, tt := range []struct {
		name     string
		from, to *bank
		want     int
	}{
		{"RFC9449-8-7 the new secret comes last", with(old), with(old, next), 200},
		{"RFC9449-8-7 and back, from a node that has it to one that has not", with(old, next), with(old), 200},
		{"RFC9449-8-7 then first", with(old, next), with(next, old), 200},
		{"RFC9449-8-7 and is known to those that still put it last", with(next, old), with(old, next), 200},
		{"RFC9449-8-7 RFC9449-8-2 then alone", with(old), with(next), 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newProofKey()
			k.send(tt.from, f.prove(tt.from, "/token", own(), k))
			if status, got := k.send(tt.to, f.prove(tt.to, "/token", own(), k)); status != tt.want {
				t.Errorf("%d %v, want %d", status, got, tt.want)
			}
		})
	}
}
