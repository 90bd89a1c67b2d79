package dpop_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token/dpop"
)

func TestGoodProof(t *testing.T) {
	p := good()
	got, err := p.show(t, verifier(t, dpop.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	want := &dpop.Proof{
		JKT:   thumbprint(t, ecKey.Public()),
		ID:    "6d6dzn3Q0wV9ZV3l",
		URL:   tokenURL,
		Until: now.Add(time.Minute),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("proof (-want +got):\n%s", diff)
	}
}

func TestAccepts(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(*proof)
	}{
		{"RFC9449-4.1-2 name in lower case", func(p *proof) {
			p.request.Header = http.Header{}
			p.request.Header.Set("dpop", p.compact(t))
		}},
		{"RFC9449-4.3-8 another method", func(p *proof) { p.claims["htm"], p.request.Method = "DELETE", "DELETE" }},
		{"FAPI2-SP-5.4.1-1b PS256", func(p *proof) { p.by("PS256", rsaKey()) }},
		{"FAPI2-SP-5.4.1-1b EdDSA", func(p *proof) { p.by("EdDSA", edKey) }},
		{"CONF-35 Ed25519", func(p *proof) { p.by("Ed25519", edKey) }},
		{"RFC9449-4.2-12 CT-AS-47 header members nobody knows", func(p *proof) {
			p.header["x"], p.header["kid"], p.header["cty"] = object{"d": 1}, "k-1", "x"
		}},
		{"RFC9449-4.2-12 CT-AS-47 claims nobody knows", func(p *proof) { p.claims["x"] = []any{1, object{}} }},
		{"RFC9449-4.2-12 CT-AS-47 nbf now and exp in five minutes", func(p *proof) {
			p.claims["nbf"], p.claims["exp"] = now.Unix(), now.Add(5*time.Minute).Unix()
		}},
		{"RFC9449-4.2-12 exp past: the server says how long", func(p *proof) { p.claims["exp"] = now.Add(-time.Hour).Unix() }},
		{"RFC9449-4.2-12 a nonce nobody asked for", func(p *proof) { p.claims["nonce"] = "nAS-7k2Qx9-Lm4" }},
		{"RFC9449-4.2-3 members of jwk that browsers write", func(p *proof) {
			j := jwk(ecKey.Public())
			j["ext"], j["key_ops"], j["use"], j["alg"], j["kid"] = true, []string{"verify"}, "sig", "ES256", "another"
			p.header["jwk"] = j
		}},
		{"RFC9449-5-9 ath where there is no access token", func(p *proof) { p.claims["ath"] = "anything" }},
		{"CT-AS-48 RFC9449-4.3-11 iat 10 s ago", func(p *proof) { p.claims["iat"] = now.Unix() - 10 }},
		{"RFC9449-4.3-11 iat 59 s ago", func(p *proof) { p.claims["iat"] = now.Unix() - 59 }},
		{"CT-AS-48 FAPI2-SP-5.3.2.1-13a RFC9449-11.1-4 iat 10 s ahead", func(p *proof) { p.claims["iat"] = now.Unix() + 10 }},
		{"CONF-9 iat 30 s ahead", func(p *proof) { p.claims["iat"] = now.Unix() + 30 }},
		{"FAPI2-SP-5.3.2.1-13a nbf 8 s ahead", func(p *proof) { p.claims["nbf"] = now.Unix() + 8 }},
		{"JWT-I-2 iat with a fraction", func(p *proof) { p.claims["iat"] = float64(now.Unix()) + 0.25 }},
		{"RFC9449-11.1-3 jti of 512 bytes", func(p *proof) { p.claims["jti"] = strings.Repeat("j", 512) }},
		{"RFC9449-4.3-13 whatever the Host", func(p *proof) {
			p.request.Header = http.Header{"Host": {"evil.example"}, "X-Forwarded-Host": {"evil.example"}}
			p.request.Header.Set("DPoP", p.compact(t))
		}},
		{"RFC9449-4.3-13 one of two URLs, by an alias", func(p *proof) {
			p.claims["htu"] = "https://mtls.as.bank.example/token"
			p.request.URLs = []string{tokenURL, "https://mtls.as.bank.example/token"}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			tt.with(p)
			got, err := p.show(t, verifier(t, dpop.Config{}))
			if err != nil {
				t.Fatal(err)
			}
			if want := thumbprint(t, p.key.Public()); got.JKT != want || got.ID != p.claims["jti"] {
				t.Errorf("JKT %s, ID %q, want %s, %q", got.JKT, got.ID, want, p.claims["jti"])
			}
		})
	}
}

// drop and set change one member.
func drop(claim string) func(*proof)       { return func(p *proof) { delete(p.claims, claim) } }
func set(claim string, v any) func(*proof) { return func(p *proof) { p.claims[claim] = v } }
func head(name string, v any) func(*proof) { return func(p *proof) { p.header[name] = v } }

// inKey changes one member of the proof's jwk.
func inKey(name string, v any) func(*proof) {
	return func(p *proof) {
		j := jwk(p.key.Public())
		j[name] = v
		p.header["jwk"] = j
	}
}

func spoil(f func(string) string) func(*proof) { return func(p *proof) { p.spoil = f } }

// parts changes the three parts of the compact form.
func parts(f func(s []string)) func(*proof) {
	return spoil(func(c string) string {
		s := strings.Split(c, ".")
		f(s)
		return strings.Join(s, ".")
	})
}

// TestRefuses has proofs an attacker would make, or a careless client. Unless
// the name says otherwise, the signature is right for what the proof says.
func TestRefuses(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	secretOctets, err := ecKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	signature := func(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }
	for _, tt := range []struct {
		name string
		with func(*proof)
		rule string
	}{
		{"RFC9449-4.3-1 RFC9449-4.1-1 CT-RS-1 two headers", func(p *proof) {
			c := p.compact(t)
			p.request.Header = http.Header{"Dpop": {c, c}}
		}, "RFC9449-4.3-1"},
		{"RFC9449-4.1-1 an empty header", spoil(func(string) string { return "" }), "RFC9449-4.3-2"},
		{"RFC9449-4.1-1 RFC9449-4.1-3 two proofs in one header", spoil(func(c string) string { return c + ", " + c }), "RFC9449-4.3-2"},
		{"RFC9449-4.1-3 quoted", spoil(func(c string) string { return `"` + c + `"` }), "RFC9449-4.3-2"},
		{"RFC9449-4.1-3 with a scheme before it", spoil(func(c string) string { return "DPoP " + c }), "RFC9449-4.3-2"},
		{"RFC9449-4.1-3 with a percent sign", spoil(func(c string) string { return strings.Replace(c, ".", "%2E", 1) }), "RFC9449-4.3-2"},
		{"RFC9449-4.1-3 in lower case", spoil(strings.ToLower), "RFC9449-4.3-2"},
		{"RFC8725BIS-4 a line break at the end", spoil(func(c string) string { return c + "\n" }), "RFC9449-4.3-2"},
		{"RFC8725BIS-4 padded", spoil(func(c string) string { return c + "==" }), "RFC9449-4.3-2"},
		{"RFC9449-4.3-2 garbage", spoil(func(string) string { return "proof" }), "RFC9449-4.3-2"},
		{"RFC9449-4.3-2 two parts", spoil(func(c string) string { return c[:strings.LastIndexByte(c, '.')] }), "RFC9449-4.3-2"},
		{"RFC9449-4.3-2 four parts", spoil(func(c string) string { return c + ".AA" }), "RFC9449-4.3-2"},
		{"RFC9449-4.3-2 five parts", spoil(func(c string) string { return c + ".AA.AA" }), "RFC9449-4.3-2"},
		{"RFC9449-4.3-2 no signature", parts(func(s []string) { s[2] = "" }), "RFC9449-4.3-2"},
		{"RFC9449-4.3-2 JSON serialization", spoil(func(c string) string {
			s := strings.Split(c, ".")
			return `{"protected":"` + s[0] + `","payload":"` + s[1] + `","signature":"` + s[2] + `"}`
		}), "RFC9449-4.3-2"},
		{"RFC9449-4.3-2 claims that are an array", parts(func(s []string) { s[1] = b64([]byte("[]")) }), "RFC9449-4.3-2"},
		{"JWT-I-1 a claim twice", parts(func(s []string) {
			s[1] = b64([]byte(`{"jti":"a","htm":"POST","htu":"` + tokenURL + `","iat":1767225600,"iat":1767225601}`))
		}), "RFC9449-4.3-2"},
		{"JWT-I-6 10 kB", set("x", strings.Repeat("x", 10<<10)), "RFC9449-4.3-2"},
		{"RFC9449-4.2-13 JWT-I-4 an extension", head("crit", []string{"x"}), "RFC9449-4.3-2"},
		{"RFC9449-4.3-5 no alg", func(p *proof) { delete(p.header, "alg") }, "RFC9449-4.3-2"},

		{"RFC9449-4.3-3 RFC9449-4.2-5 CT-RS-1 no jti", drop("jti"), "RFC9449-4.3-3"},
		{"RFC9449-4.3-3 RFC9449-4.2-5 no htm", drop("htm"), "RFC9449-4.3-3"},
		{"RFC9449-4.3-3 RFC9449-4.2-5 no htu", drop("htu"), "RFC9449-4.3-3"},
		{"RFC9449-4.3-3 RFC9449-4.2-5 CT-RS-1 no iat", drop("iat"), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 jti empty", set("jti", ""), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 jti a number", set("jti", 1), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 htm a list", set("htm", []string{"POST"}), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 htu a list", set("htu", []string{tokenURL}), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 JWT-I-2 iat a string", set("iat", "1767225600"), "RFC9449-4.3-3"},
		{"RFC9449-4.2-5 iat null", set("iat", nil), "RFC9449-4.3-3"},
		{"RFC9449-11.1-3 jti of 513 bytes", set("jti", strings.Repeat("j", 513)), "RFC9449-11.1-3"},
		{"RFC9449-4.2-8 htu relative", set("htu", "/token"), "RFC9449-4.2-8"},

		{"RFC9449-4.3-4 CT-RS-1 no typ", func(p *proof) { delete(p.header, "typ") }, "RFC9449-4.3-4"},
		{"RFC9449-4.3-4 RFC9449-11.5-1 RFC9449-4.2-1 CT-RS-1 typ JWT", head("typ", "JWT"), "RFC9449-4.3-4"},
		{"RFC9449-4.2-1 typ at+jwt", head("typ", "at+jwt"), "RFC9449-4.3-4"},
		{"RFC9449-4.2-1 typ application/dpop+jwt", head("typ", "application/dpop+jwt"), "RFC9449-4.3-4"},
		{"RFC9449-4.2-1 typ in capitals", head("typ", "DPOP+JWT"), "RFC9449-4.3-4"},

		{"RFC9449-4.3-5 RFC9449-4.2-2 CT-RS-1 none", func(p *proof) {
			p.header["alg"] = "none"
			p.spoil = func(c string) string { return c + "AA" }
		}, "RFC9449-4.3-5"},
		{"RFC9449-4.3-5 RFC9449-4.2-2 CT-RS-1 HS256 with the public key", head("alg", "HS256"), "RFC9449-4.3-5"},
		{"RFC9449-4.2-2 RFC9449-11.6-1 RS256", func(p *proof) { p.by("RS256", rsaKey()) }, "RFC9449-4.3-5"},
		{"RFC9449-4.3-5 ES384", func(p *proof) { p.by("ES384", newEC(elliptic.P384())) }, "RFC9449-4.3-5"},
		{"RFC8725BIS-1 es256", head("alg", "es256"), "RFC9449-4.3-5"},

		{"RFC9449-4.3-6 CT-RS-1 one bit of the signature", parts(func(s []string) { s[2] = flip(t, s[2]) }), "RFC9449-4.3-6"},
		{"RFC9449-4.3-6 another jti under the same signature", parts(func(s []string) {
			other := good()
			other.claims["jti"] = "another"
			s[1] = strings.Split(other.compact(t), ".")[1]
		}), "RFC9449-4.3-6"},
		{"RFC9449-4.3-6 another's key in jwk", head("jwk", jwk(otherKey.Public())), "RFC9449-4.3-6"},
		{"RFC9449-4.3-6 another's signature", parts(func(s []string) {
			other := good()
			other.claims["jti"] = "another"
			s[2] = signature(other.compact(t))
		}), "RFC9449-4.3-6"},
		{"RFC9449-4.3-6 a key of another kind than alg", head("alg", "PS256"), "RFC9449-4.3-6"},
		{"RFC9449-4.3-6 a key for encryption", inKey("use", "enc"), "RFC9449-4.3-6"},
		{"RFC9449-4.3-6 a key for another algorithm", inKey("alg", "ES384"), "RFC9449-4.3-6"},
		{"JWT-I-3 a signature of zeros", parts(func(s []string) { s[2] = b64(make([]byte, 64)) }), "RFC9449-4.3-6"},

		{"RFC9449-4.3-7 RFC9449-4.2-4 CT-RS-1 EC key with d", inKey("d", b64(secretOctets)), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 member p", inKey("p", "AQ"), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 member q", inKey("q", "AQ"), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 member dp", inKey("dp", "AQ"), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 member dq", inKey("dq", "AQ"), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 member qi", inKey("qi", "AQ"), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 member oth", inKey("oth", []any{}), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 member d that is null", inKey("d", nil), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 CT-RS-1 symmetric key", head("jwk", object{"kty": "oct", "k": "c2VjcmV0"}), "RFC9449-4.3-7"},
		{"RFC9449-4.2-4 symmetric key left out", head("jwk", object{"kty": "oct"}), "RFC9449-4.3-14"},
		{"RFC9449-4.2-3 CT-RS-1 no jwk", func(p *proof) { delete(p.header, "jwk") }, "RFC9449-4.2-3"},
		{"RFC9449-4.2-3 jwk a string", head("jwk", string(marshal(t, jwk(ecKey.Public())))), "RFC9449-4.2-3"},
		{"RFC9449-4.2-3 jwk null", head("jwk", nil), "RFC9449-4.2-3"},
		{"RFC9449-4.2-3 jwk without y", inKey("y", ""), "RFC9449-4.2-3"},
		{"RFC9449-4.2-3 point off the curve", inKey("y", b64(sum256("y"))), "RFC9449-4.2-3"},
		{"RFC9449-4.2-3 kid alone", func(p *proof) { delete(p.header, "jwk"); p.header["kid"] = "k-1" }, "RFC9449-4.2-3"},
		{"RFC9449-4.2-3 x5c alone", func(p *proof) { delete(p.header, "jwk"); p.header["x5c"] = []string{"AA=="} }, "RFC9449-4.2-3"},
		{"RFC9449-4.2-3 jku alone", func(p *proof) { delete(p.header, "jwk"); p.header["jku"] = "https://evil.example/" }, "RFC9449-4.2-3"},
		{"RFC9449-4.3-14 FAPI2-SP-5.4.1-2 RSA key of 1024 bits", func(p *proof) { p.by("PS256", weak) }, "RFC9449-4.3-14"},
		{"RFC9449-4.3-14 P-384", func(p *proof) { p.header["jwk"] = jwk(newEC(elliptic.P384()).Public()) }, "RFC9449-4.3-14"},

		{"RFC9449-4.3-8 RFC9449-4.2-7 CT-RS-1 GET for POST", set("htm", "GET"), "RFC9449-4.3-8"},
		{"RFC9449-4.2-7 post", set("htm", "post"), "RFC9449-4.3-8"},
		{"RFC9449-4.2-7 no method", set("htm", ""), "RFC9449-4.3-8"},
		{"RFC9449-4.3-9 CT-RS-1 another path", set("htu", "https://as.bank.example/par"), "RFC9449-4.3-9"},
		{"RFC9449-4.3-13 a forged Host", func(p *proof) {
			p.claims["htu"] = "https://evil.example/token"
			p.request.Header = http.Header{"Host": {"evil.example"}, "X-Forwarded-Host": {"evil.example"}}
			p.request.Header.Set("DPoP", p.compact(t))
		}, "RFC9449-4.3-9"},

		{"RFC9449-4.3-11 RFC9449-11.1-1 RFC9449-4.2-9 CT-RS-1 an hour old", set("iat", now.Unix()-3600), "RFC9449-4.3-11"},
		{"RFC9449-4.3-11 60 s old", set("iat", now.Unix()-60), "RFC9449-4.3-11"},
		{"RFC9449-4.2-9 FAPI2-SP-5.3.2.1-13b iat 70 s ahead", set("iat", now.Unix()+70), "RFC9449-4.3-11"},
		{"CONF-9 iat 31 s ahead", set("iat", now.Unix()+31), "RFC9449-4.3-11"},
		{"CT-RS-1 an hour ahead", set("iat", now.Unix()+3600), "RFC9449-4.3-11"},
		{"FAPI2-SP-5.3.2.1-13b nbf 70 s ahead", set("nbf", now.Unix()+70), "FAPI2-SP-5.3.2.1-13b"},
		{"JWT-I-2 nbf a string", set("nbf", "1767225600"), "FAPI2-SP-5.3.2.1-13b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			tt.with(p)
			got, err := p.show(t, verifier(t, dpop.Config{}))
			refused(t, got, err, "invalid_dpop_proof", tt.rule)
		})
	}
	t.Run("CT-RS-1 RFC9449-7-1 no proof is not a bad proof", func(t *testing.T) {
		p := good()
		p.request.Header = http.Header{}
		if _, err := p.show(t, verifier(t, dpop.Config{})); !errors.Is(err, dpop.ErrNone) {
			t.Errorf("error %v, want ErrNone", err)
		}
	})
}

// A signature costs more to check than all else together, so that what can be
// seen without it is seen before it.
func TestCheapChecksFirst(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(*proof)
		rule string
	}{
		{"a claim", drop("jti"), "RFC9449-4.3-3"},
		{"typ", head("typ", "JWT"), "RFC9449-4.3-4"},
		{"alg", head("alg", "RS256"), "RFC9449-4.3-5"},
		{"the key", inKey("d", "AA"), "RFC9449-4.3-7"},
	} {
		t.Run("RFC9449-4.3-15 "+tt.name, func(t *testing.T) {
			p := good()
			tt.with(p)
			parts(func(s []string) { s[2] = flip(t, s[2]) })(p)
			got, err := p.show(t, verifier(t, dpop.Config{}))
			refused(t, got, err, "invalid_dpop_proof", tt.rule)
		})
	}
}

// flip changes one bit of what is in base64url.
func flip(t *testing.T, s string) string {
	t.Helper()
	b := unb64(t, s)
	b[len(b)/2] ^= 1
	return b64(b)
}

func TestAccessToken(t *testing.T) {
	v := verifier(t, dpop.Config{})
	t.Run("RFC9449-4.3-12a RFC9449-4.2-10 good", func(t *testing.T) {
		if _, err := goodAtAPI().show(t, v); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name string
		with func(*proof)
	}{
		{"RFC9449-4.3-12a CT-RS-1 of another token", set("ath", b64(sum256("another")))},
		{"RFC9449-4.3-12a another token for this proof", func(p *proof) { p.request.AccessToken = "stolen" }},
		{"RFC9449-4.2-10 CT-RS-1 no ath", drop("ath")},
		{"RFC9449-4.2-10 ath empty", set("ath", "")},
		{"RFC9449-4.2-10 ath null", set("ath", nil)},
		{"RFC9449-4.2-10 ath a list", set("ath", []string{b64(sum256(aToken))})},
		{"RFC9449-4.2-10 padded", set("ath", b64(sum256(aToken))+"=")},
		{"RFC9449-4.2-10 the scheme within", set("ath", b64(sum256("DPoP "+aToken)))},
		{"RFC9449-4.2-10 the token itself", set("ath", aToken)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := goodAtAPI()
			tt.with(p)
			got, err := p.show(t, v)
			refused(t, got, err, "invalid_dpop_proof", "RFC9449-4.3-12a")
		})
	}
	t.Run("RFC9449-4.3-12b a second key has a thumbprint of its own", func(t *testing.T) {
		p := goodAtAPI()
		p.by("EdDSA", edKey)
		got, err := p.show(t, v)
		if err != nil {
			t.Fatal(err)
		}
		if bound := thumbprint(t, ecKey.Public()); got.JKT == bound || got.JKT != thumbprint(t, edKey.Public()) {
			t.Errorf("JKT %s, bound to %s", got.JKT, bound)
		}
	})
}

// A proof is good for as long as Until says and no longer, so that a caller who
// remembers it until then sees every repetition.
func TestUntil(t *testing.T) {
	at := now
	v := verifier(t, dpop.Config{Age: 2 * time.Minute, Now: func() time.Time { return at }})
	for _, iat := range []int64{0, -100, 30} {
		p := good()
		p.claims["iat"] = now.Unix() + iat
		at = now
		first, err := p.show(t, v)
		if err != nil {
			t.Fatal(err)
		}
		at = first.Until.Add(-1)
		again, err := p.show(t, v)
		if err != nil {
			t.Fatalf("just before Until: %v", err)
		}
		t.Run("CT-RS-3 RFC9449-11.1-2 a repetition can be told", func(t *testing.T) {
			if diff := cmp.Diff(first, again); diff != "" {
				t.Errorf("the second time (-first +second):\n%s", diff)
			}
		})
		t.Run("RFC9449-11.1-1 no good at Until", func(t *testing.T) {
			at = first.Until
			got, err := p.show(t, v)
			refused(t, got, err, "invalid_dpop_proof", "RFC9449-4.3-11")
		})
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config dpop.Config
		want   []string // in the error; nil if it is good
	}{
		{"zero", dpop.Config{}, nil},
		{"least", dpop.Config{Age: 15 * time.Second, Ahead: 10 * time.Second}, nil},
		{"most", dpop.Config{Age: 5 * time.Minute, Ahead: time.Minute}, nil},
		{"RS256 outside FAPI", dpop.Config{Algorithms: []string{"RS256"}}, nil},
		{"CONF-9 Ahead too small", dpop.Config{Ahead: 10*time.Second - 1}, []string{"Ahead"}},
		{"CONF-9 Ahead too large", dpop.Config{Ahead: time.Minute + 1}, []string{"Ahead"}},
		{"RFC9449-11.1-1 Age too large", dpop.Config{Age: 5*time.Minute + 1}, []string{"Age"}},
		{"CT-AS-48 Age too small", dpop.Config{Age: 15*time.Second - 1}, []string{"Age"}},
		{"RFC9449-4.2-2 none and HS256, all faults at once",
			dpop.Config{Algorithms: []string{"none", "HS256"}, Age: -1, Ahead: -1}, []string{`"none"`, `"HS256"`, "Age", "Ahead"}},
		{"no algorithm", dpop.Config{Algorithms: []string{}}, []string{"Algorithms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := dpop.New(tt.config)
			if (err == nil) != (tt.want == nil) || (v == nil) != (err != nil) {
				t.Fatalf("verifier %v, error %v, want %q", v, err, tt.want)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not name %s", err, w)
				}
			}
		})
	}
}

// The settings do what they say.
func TestSettings(t *testing.T) {
	narrow := dpop.Config{Algorithms: []string{"EdDSA"}, Age: 15 * time.Second, Ahead: 10 * time.Second}
	ed := func(p *proof) { p.by("EdDSA", edKey) }
	for _, tt := range []struct {
		name   string
		config dpop.Config
		with   func(*proof)
		rule   string // "" if the proof is good
	}{
		{"RFC9449-4.3-5 an algorithm of the list", narrow, ed, ""},
		{"RFC9449-4.3-5 an algorithm that is not on the list", narrow, func(*proof) {}, "RFC9449-4.3-5"},
		{"RFC9449-4.3-5 the other name is not on the list", narrow, func(p *proof) { p.by("Ed25519", edKey) }, "RFC9449-4.3-5"},
		{"RFC9449-4.2-2 RS256 where it is listed", dpop.Config{Algorithms: []string{"RS256"}}, func(p *proof) { p.by("RS256", rsaKey()) }, ""},
		{"Age", narrow, func(p *proof) { ed(p); p.claims["iat"] = now.Unix() - 15 }, "RFC9449-4.3-11"},
		{"Age just not over", narrow, func(p *proof) { ed(p); p.claims["iat"] = now.Unix() - 14 }, ""},
		{"CONF-9 Ahead", narrow, func(p *proof) { ed(p); p.claims["iat"] = now.Unix() + 11 }, "RFC9449-4.3-11"},
		{"FAPI2-SP-5.3.2.1-13a Ahead at its least", narrow, func(p *proof) { ed(p); p.claims["iat"] = now.Unix() + 10 }, ""},
		{"CONF-9 Ahead for nbf", narrow, func(p *proof) { ed(p); p.claims["nbf"] = now.Unix() + 11 }, "FAPI2-SP-5.3.2.1-13b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			tt.with(p)
			got, err := p.show(t, verifier(t, tt.config))
			if tt.rule != "" {
				refused(t, got, err, "invalid_dpop_proof", tt.rule)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("the list is copied", func(t *testing.T) {
		algs := []string{"ES256"}
		v := verifier(t, dpop.Config{Algorithms: algs})
		algs[0] = "PS256"
		if _, err := good().show(t, v); err != nil {
			t.Error(err)
		}
	})
	t.Run("the clock is time.Now by default", func(t *testing.T) {
		v, err := dpop.New(dpop.Config{})
		if err != nil {
			t.Fatal(err)
		}
		p := good()
		p.claims["iat"] = time.Now().Unix()
		if _, err := p.show(t, v); err != nil {
			t.Error(err)
		}
	})
}

// A request that a host has put together wrongly is no fault of the client.
func TestHostsFault(t *testing.T) {
	for _, tt := range []struct {
		name    string
		request dpop.Request
	}{
		{"no URL", dpop.Request{Method: "POST"}},
		{"no method", dpop.Request{URLs: []string{tokenURL}}},
		{"a path", dpop.Request{Method: "POST", URLs: []string{tokenURL, "/token"}}},
		{"nothing", dpop.Request{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			p.request = tt.request
			got, err := p.show(t, verifier(t, dpop.Config{}))
			var e *dpop.Error
			if err == nil || errors.As(err, &e) || errors.Is(err, dpop.ErrNone) {
				t.Errorf("proof %v, error %v, want one that is no refusal", got, err)
			}
		})
	}
}

func TestCheckJKT(t *testing.T) {
	jkt := thumbprint(t, edKey.Public())
	for _, tt := range []struct {
		name, jkt string
		ok        bool
	}{
		{"RFC9449-10-3 good", jkt, true},
		{"RFC9449-10-3 of the wire examples", "VmR2zmQFtNQZEmpx3DFcuzPKziGYCx5f2prh05oCmAk", true},
		{"RFC9449-10-3 CONF-29 empty", "", false},
		{"RFC9449-10-3 42 characters", jkt[:42], false},
		{"RFC9449-10-3 44 characters", jkt + "A", false},
		{"RFC9449-10-3 padded", jkt + "=", false},
		{"RFC9449-10-3 a second spelling", "VmR2zmQFtNQZEmpx3DFcuzPKziGYCx5f2prh05oCmAl", false},
		{"RFC9449-10-3 the other alphabet", "+" + jkt[1:], false},
		{"RFC9449-10-3 a line break at the end", jkt + "\n", false},
		{"RFC9449-10-3 a line break in place of a character", jkt[:42] + "\n", false},
		{"RFC9449-10-3 31 octets and a line break", b64(make([]byte, 31)) + "\n", false},
		{"RFC9449-10-3 33 octets", b64(make([]byte, 33)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := dpop.CheckJKT(tt.jkt)
			if (err == nil) != tt.ok {
				t.Errorf("CheckJKT(%q) = %v, want ok %v", tt.jkt, err, tt.ok)
			}
			if err != nil && tt.jkt != "" && strings.Contains(err.Error(), tt.jkt) {
				t.Errorf("error %q repeats the request", err)
			}
		})
	}
}
