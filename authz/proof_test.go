package authz_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store/storetest"
)

// A draft is a proof before it is signed, for a test to change.
type draft struct {
	header, claims map[string]any
	key            *proofKey
}

func (k *proofKey) draft(b *bank, path string) *draft {
	return &draft{map[string]any{"typ": "dpop+jwt", "alg": k.alg, "jwk": k.jwk()}, k.claims(b, path), k}
}

func (d *draft) sign() string { return jwt(d.header, d.claims, d.key.Signer) }

// header and claim return a change of one member, or its removal if v is nil.
func header(name string, v any) func(*draft) string {
	return func(d *draft) string { return d.with(d.header, name, v) }
}

func claim(name string, v any) func(*draft) string {
	return func(d *draft) string { return d.with(d.claims, name, v) }
}

func (d *draft) with(members map[string]any, name string, v any) string {
	members[name] = v
	if v == nil {
		delete(members, name)
	}
	return d.sign()
}

// member returns a change of the JWK.
func member(name string, v any) func(*draft) string {
	return func(d *draft) string {
		jwk := maps.Clone(d.header["jwk"].(map[string]any))
		jwk[name] = v
		return header("jwk", jwk)(d)
	}
}

// segment returns a change of the proof after it is signed.
func segment(f func(parts []string) []string) func(*draft) string {
	return func(d *draft) string { return strings.Join(f(strings.Split(d.sign(), ".")), ".") }
}

// hmacked is signed with what a fool might take for a shared secret.
func hmacked(d *draft) string {
	d.header["alg"] = "ES256"
	parts := strings.Split(d.sign(), ".")
	parts[0] = base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}`))
	mac := hmac.New(sha256.New, []byte{0, 0, 0})
	mac.Write([]byte(parts[0] + "." + parts[1]))
	return parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// defects are proofs that must be refused, each good but for one thing. Now is
// the bank's.
func defects(now int64) []struct {
	name string
	make func(*draft) string
	rule string // "": one of several
} {
	b64 := base64.RawURLEncoding.EncodeToString
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	point, _ := p384.PublicKey.Bytes()
	curve := map[string]any{"kty": "EC", "crv": "P-384", "x": b64(point[1:49]), "y": b64(point[49:])}
	short, _ := rsa.GenerateKey(rand.Reader, 1024)
	weak := &proofKey{Signer: short, alg: "PS256"}
	rs := &proofKey{Signer: rsaKey(), alg: "RS256"}
	thief := newProofKey()
	return []struct {
		name string
		make func(*draft) string
		rule string
	}{
		{"RFC9449-4.1-1 an empty header", func(*draft) string { return "" }, "RFC9449-4.3-2"},
		{"RFC9449-4.1-1 two in one header", func(d *draft) string { return d.sign() + ", " + d.sign() }, "RFC9449-4.3-2"},
		{"RFC9449-4.1-3 in quotes", func(d *draft) string { return `"` + d.sign() + `"` }, "RFC9449-4.3-2"},
		{"RFC9449-4.1-3 in lower case", func(d *draft) string { return strings.ToLower(d.sign()) }, ""},
		{"RFC9449-4.3-2 two segments", segment(func(p []string) []string { return p[:2] }), "RFC9449-4.3-2"},
		{"RFC9449-4.3-2 four segments", segment(func(p []string) []string { return append(p, "e30") }), "RFC9449-4.3-2"},
		{"RFC9449-4.3-2 a JWE", segment(func(p []string) []string { return append(p, "e30", "e30") }), "RFC9449-4.3-2"},
		{"RFC9449-4.2-1 no typ", header("typ", nil), "RFC9449-4.3-4"},
		{"RFC9449-4.2-1 typ JWT", header("typ", "JWT"), "RFC9449-4.3-4"},
		{"RFC9449-11.5-1 typ at+jwt", header("typ", "at+jwt"), "RFC9449-4.3-4"},
		{"RFC9449-4.2-1 typ in its long form", header("typ", "application/dpop+jwt"), "RFC9449-4.3-4"},
		{"RFC9449-4.2-2 unsigned", segment(func(p []string) []string {
			return []string{b64([]byte(`{"typ":"dpop+jwt","alg":"none"}`)), p[1], ""}
		}), ""},
		{"RFC9449-11.6-1 HS256", hmacked, "RFC9449-4.3-5"},
		{"FAPI2-SP-5.4.1-1b RS256", func(d *draft) string {
			d.header["alg"], d.header["jwk"], d.key = rs.alg, rs.jwk(), rs
			return d.sign()
		}, "RFC9449-4.3-5"},
		{"RFC9449-4.3-5 ES384", segment(func(p []string) []string {
			p[0] = b64([]byte(`{"typ":"dpop+jwt","alg":"ES384","jwk":{"kty":"EC","crv":"P-384"}}`))
			return p
		}), "RFC9449-4.3-5"},
		{"RFC9449-4.2-3 no jwk", header("jwk", nil), "RFC9449-4.2-3"},
		{"RFC9449-4.2-3 jwk a string", header("jwk", "key"), "RFC9449-4.2-3"},
		{"RFC9449-4.2-3 a kid in place of jwk", func(d *draft) string { delete(d.header, "jwk"); return header("kid", "kakeibo-1")(d) }, "RFC9449-4.2-3"},
		{"RFC9449-4.2-4 a private key", member("d", "u4U5_OmK9yJXyDZ_LsQHt8xGHMmUDqHQBxuMPsf6KrA"), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 a factor of a private key", member("p", "AQAB"), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 a symmetric key", header("jwk", map[string]any{"kty": "oct", "k": "AAAA"}), "RFC9449-4.3-7"},
		{"RFC9449-4.3-14 RSA of 1024 bits", func(d *draft) string {
			d.header["alg"], d.header["jwk"], d.key = weak.alg, weak.jwk(), weak
			return d.sign()
		}, "RFC9449-4.3-14"},
		{"RFC9449-4.3-14 P-384", header("jwk", curve), "RFC9449-4.3-14"},
		{"RFC9449-4.3-14 X25519", header("jwk", map[string]any{"kty": "OKP", "crv": "X25519", "x": b64(make([]byte, 32))}), "RFC9449-4.3-14"},
		{"RFC9449-4.3-6 the key of another in the header", header("jwk", thief.jwk()), "RFC9449-4.3-6"},
		{"RFC9449-4.3-6 claims changed", segment(func(p []string) []string { p[1] = b64([]byte(`{"jti":"a"}`)); return p }), ""},
		{"RFC9449-4.3-6 the signature of another proof", func(d *draft) string {
			one := strings.Split(d.sign(), ".")
			return one[0] + "." + one[1] + "." + strings.Split(claim("jti", "other")(d), ".")[2]
		}, "RFC9449-4.3-6"},
		{"RFC9449-4.2-13 crit", func(d *draft) string { d.header["crit"] = []string{"exp"}; return d.sign() }, ""},
		{"RFC9449-4.2-5 no jti", claim("jti", nil), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 no htm", claim("htm", nil), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 no htu", claim("htu", nil), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 no iat", claim("iat", nil), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 iat a string", claim("iat", "1780000000"), "RFC9449-4.3-3"},
		{"RFC9449-11.1-3 a jti of 10 kB", claim("jti", strings.Repeat("a", 10_000)), ""},
		{"RFC9449-11.1-3 a jti of 513 bytes", claim("jti", strings.Repeat("a", 513)), "RFC9449-11.1-3"},
		{"RFC9449-4.2-7 htm in lower case", claim("htm", "post"), "RFC9449-4.3-8"},
		{"RFC9449-4.2-7 htm GET", claim("htm", "GET"), "RFC9449-4.3-8"},
		{"RFC9449-4.3-9 another path", claim("htu", issuer+"/jwks"), "RFC9449-4.3-9"},
		{"RFC9449-4.3-9 the issuer alone", claim("htu", issuer), "RFC9449-4.3-9"},
		{"RFC9449-4.3-9 another host", claim("htu", "https://evil.example/token"), "RFC9449-4.3-9"},
		{"RFC9449-4.2-9 a minute old", claim("iat", now-60), "RFC9449-4.3-11"},
		{"RFC9449-4.2-9 an hour old", claim("iat", now-3600), "RFC9449-4.3-11"},
		{"FAPI2-SP-5.3.2.1-13b CONF-9 iat 61 seconds ahead", claim("iat", now+61), "RFC9449-4.3-11"},
		{"FAPI2-SP-5.3.2.1-13b CONF-9 nbf 61 seconds ahead", claim("nbf", now+61), "FAPI2-SP-5.3.2.1-13b"},
	}
}

// TestProofDefects: at either endpoint a bad proof is refused in the one way,
// before anything is read, written or used up.
func TestProofDefects(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	faulty := &storetest.Faulty{}
	b := newBank(t, clients(f), func(c *authz.Config) { faulty.Store = c.Store; c.Store = faulty })
	for _, e := range []struct {
		path string
		form func() url.Values
		ok   int
	}{
		{"/par", f.pushable, 201},
		{"/token", func() url.Values { return url.Values{"grant_type": {"client_credentials"}} }, 200},
	} {
		for _, tt := range defects(b.clock.Now().Unix()) {
			t.Run(tt.name+" at "+e.path, func(t *testing.T) {
				k, form, before := newProofKey(), f.authenticate(b, e.form()), faulty.Count("")
				r := f.request(e.path, form)
				r.Header["Dpop"] = []string{tt.make(k.draft(b, e.path))}
				res := b.do(r)
				badProof(t, res)
				if ev := b.lastEvent(); ev.Kind != "request_refused" || ev.Rule == "" || tt.rule != "" && ev.Rule != tt.rule {
					t.Errorf("the operator is told %+v, want rule %q", ev, tt.rule)
				} else if ev.Key != "" {
					t.Errorf("the operator is told of key %q, which was not proved", ev.Key)
				}
				if n := faulty.Count(""); n != before {
					t.Errorf("it cost %d calls of the store", n-before)
				}
				again := f.request(e.path, form) // with the same assertion
				again.Header.Set("DPoP", k.sign(k.claims(b, e.path)))
				if status, got := k.send(b, again); status != e.ok {
					t.Errorf("RFC9449-5-10: the right request afterwards: %d %v", status, got)
				}
			})
		}
	}
}

// badProof checks how a bad proof is answered (RFC 9449, 5; RFC 6749, 5.2).
func badProof(t *testing.T, res *http.Response) {
	t.Helper()
	h := res.Header
	if res.StatusCode != 400 || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("WWW-Authenticate") != "" {
		t.Errorf("RFC9449-5-2: %d %v", res.StatusCode, h)
	}
	if got := object(t, res); got["error"] != "invalid_dpop_proof" || got["error_description"] == "" || len(got) != 2 {
		t.Errorf("RFC9449-5-2: %v", got)
	}
}

// TestProofVariants: what differs from the usual proof and is as good.
func TestProofVariants(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	b := newBank(t, clients(f))
	now := b.clock.Now().Unix()
	host := strings.ToUpper(strings.Replace(issuer, "https://", "", 1))
	for _, tt := range []struct {
		name string
		make func(path string) func(*draft) string
	}{
		{"CT-AS-47 nbf and exp", func(string) func(*draft) string {
			return func(d *draft) string { d.claims["nbf"] = now; return claim("exp", now+300)(d) }
		}},
		{"CT-AS-47 exp an hour ago", func(string) func(*draft) string { return claim("exp", now-3600) }},
		{"CT-AS-47 a claim that nobody knows", func(string) func(*draft) string { return claim("x", map[string]any{"y": []int{1}}) }},
		{"CT-AS-47 a header that nobody knows", func(string) func(*draft) string { return header("x", "y") }},
		{"RFC9449-4.2-12 a kid", func(string) func(*draft) string { return header("kid", "anything") }},
		{"CT-AS-48 iat 10 seconds ago", func(string) func(*draft) string { return claim("iat", now-10) }},
		{"CT-AS-48 iat 59 seconds ago", func(string) func(*draft) string { return claim("iat", now-59) }},
		{"CT-AS-48 FAPI2-SP-5.3.2.1-13a RFC9449-11.1-4 iat in 10 seconds", func(string) func(*draft) string { return claim("iat", now+10) }},
		{"FAPI2-SP-5.3.2.1-13a nbf in 10 seconds", func(string) func(*draft) string { return claim("nbf", now+10) }},
		{"RFC9449-5-9 an ath", func(string) func(*draft) string { return claim("ath", sha256URL("a token")) }},
		{"RFC9449-4.3-9 htu with query and fragment", func(path string) func(*draft) string { return claim("htu", issuer+path+"?a=b#c") }},
		{"RFC9449-4.3-9n htu in capitals and with the port", func(path string) func(*draft) string { return claim("htu", "HTTPS://"+host+":443"+path) }},
		{"RFC9449-8-1 a nonce where none is demanded", func(string) func(*draft) string { return claim("nonce", "n") }},
		{"RFC9449-11.1-3 a jti of 512 bytes", func(string) func(*draft) string { return claim("jti", strings.Repeat("a", 512)) }},
	} {
		for path, v := range map[string]url.Values{"/par": f.pushable(), "/token": {"grant_type": {"client_credentials"}}} {
			t.Run(tt.name+" at "+path, func(t *testing.T) {
				k := newProofKey()
				r := f.request(path, f.authenticate(b, v))
				r.Header.Set("DPoP", tt.make(path)(k.draft(b, path)))
				if status, got := k.send(b, r); status > 201 {
					t.Errorf("%d %v", status, got)
				}
			})
		}
	}
}
