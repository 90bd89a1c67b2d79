package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
)

// proofOf signs a proof with any header, by any key.
func proofOf(t *testing.T, header, claims object, key any) string {
	return forge(t, marshal(t, header), marshal(t, claims), key)
}

func (p *prover) header() object { return object{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.jwk()} }

func publicJWK(t *testing.T, key crypto.Signer) object {
	t.Helper()
	switch pub := key.Public().(type) {
	case *rsa.PublicKey:
		return object{"kty": "RSA", "n": b64.EncodeToString(pub.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(pub.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		n := (len(point) - 1) / 2
		return object{"kty": "EC", "crv": pub.Params().Name, "x": b64.EncodeToString(point[1 : 1+n]), "y": b64.EncodeToString(point[1+n:])}
	}
	t.Fatalf("key %T", key)
	return nil
}

// TestProofDefects is the conformance suite's list, and ours. Each is a good
// request but for one thing, is refused in the DPoP challenge, and uses up
// nothing: the same verifier then takes a good one.
func TestProofDefects(t *testing.T) {
	p, other := newProver(t), newProver(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	header := func(name string, v any) string { return proofOf(t, with(p.header(), name, v), p.claims(), p.key) }
	claim := func(name string, v any) string { return p.sign(with(p.claims(), name, v)) }
	foreign := func(alg string, key crypto.Signer) string {
		return proofOf(t, object{"typ": "dpop+jwt", "alg": alg, "jwk": publicJWK(t, key)}, p.claims(), key)
	}
	good := p.sign(p.claims())
	parts := strings.Split(good, ".")
	for _, tt := range []struct {
		name, proof, rule string
	}{
		{"RFC9449-4.1-1 an empty header", "", "RFC9449-4.3-2"},
		{"RFC9449-4.1-1 two in one header", good + "," + good, "RFC9449-4.3-2"},
		{"CT-RS-1 two segments", parts[0] + "." + parts[1], "RFC9449-4.3-2"},
		{"CT-RS-1 no typ", header("typ", nil), "RFC9449-4.3-4"},
		{"CT-RS-1 typ JWT", header("typ", "JWT"), "RFC9449-4.3-4"},
		{"CT-RS-1 no alg", header("alg", nil), "RFC9449-4.3-2"},
		{"CT-RS-1 alg none", b64.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"none"}`)) + "." + parts[1] + ".", ""},
		{"CT-RS-1 alg HS256", proofOf(t, object{"typ": "dpop+jwt", "alg": "HS256", "jwk": object{"kty": "oct", "k": "AAAA"}}, p.claims(), []byte{0, 0, 0}), "RFC9449-4.3-5"},
		{"CT-RS-1 alg RS256", foreign("RS256", newRSA()), "RFC9449-4.3-5"},
		{"CT-RS-1 no jwk", header("jwk", nil), "RFC9449-4.2-3"},
		{"CT-RS-1 a private key in jwk", header("jwk", with(p.jwk(), "d", "AAAA")), "RFC9449-4.3-7"},
		{"RFC9449-4.3-14 RSA of 1024 bits", foreign("PS256", short), "RFC9449-4.3-14"},
		{"RFC9449-4.3-14 P-384", header("jwk", publicJWK(t, p384)), "RFC9449-4.3-14"},
		{"CT-RS-1 a bad signature", parts[0] + "." + parts[1] + "." + strings.Split(p.sign(p.claims()), ".")[2], "RFC9449-4.3-6"},
		{"CT-RS-1 no jti", claim("jti", nil), "RFC9449-4.3-3"},
		{"CT-RS-1 no htm", claim("htm", nil), "RFC9449-4.3-3"},
		{"CT-RS-1 no htu", claim("htu", nil), "RFC9449-4.3-3"},
		{"CT-RS-1 no iat", claim("iat", nil), "RFC9449-4.3-3"},
		{"CT-RS-1 htm PUT", claim("htm", "PUT"), "RFC9449-4.3-8"},
		{"CT-RS-1 another htu", claim("htu", audience+"/accounts/1"), "RFC9449-4.3-9"},
		{"RFC9449-4.3-9n a slash more", claim("htu", audience+"/accounts/"), "RFC9449-4.3-9"},
		{"RFC9449-4.3-9 http", claim("htu", strings.Replace(audience, "https", "http", 1)+"/accounts"), "RFC9449-4.3-9"},
		{"CT-RS-1 iat an hour ago", claim("iat", now.Unix()-3600), "RFC9449-4.3-11"},
		{"CT-RS-1 iat an hour ahead", claim("iat", now.Unix()+3600), "RFC9449-4.3-11"},
		{"CT-RS-1 no ath", claim("ath", nil), "RFC9449-4.3-12a"},
		{"CT-RS-1 ath of another token", claim("ath", other.claims()["ath"]), "RFC9449-4.3-12a"},
		{"RFC9449-4.2-10 ath with padding", claim("ath", p.claims()["ath"].(string)+"="), "RFC9449-4.3-12a"},
		{"RFC9449-4.2-10 ath of scheme and token", claim("ath", sha256URL("DPoP "+p.token)), "RFC9449-4.3-12a"},
		{"RFC8725-3.12-1 the access token in its place", p.token, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var told error
			replays := &storetest.Faulty{Store: new(store.Memory)}
			v := guard(t, func(c *token.VerifierConfig) {
				c.Replays = replays
				c.Audit = func(_ context.Context, a *token.Access, err error) {
					if told = err; a == nil {
						t.Error("the operator is not told whose token it was")
					}
				}
			})
			r := p.request()
			r.Header["Dpop"] = []string{tt.proof}
			res := call(v, r)
			challenges := res.Header.Values("WWW-Authenticate")
			if res.StatusCode != 401 || len(challenges) != 2 || !strings.HasPrefix(challenges[0], `DPoP realm="`+audience+`", error="invalid_dpop_proof", error_description="`) {
				t.Errorf("RFC9449-7.1-4: %d %q", res.StatusCode, challenges)
			}
			var e *token.Error
			if !errors.As(told, &e) || tt.rule != "" && e.Rule != tt.rule {
				t.Errorf("the operator is told %v, want %s", told, tt.rule)
			}
			if n := replays.Count(""); n != 0 {
				t.Errorf("it cost %d calls of the replay memory", n)
			}
			if res := call(v, p.request()); res.StatusCode != 204 {
				t.Errorf("a good request afterwards: %d", res.StatusCode)
			}
		})
	}
}

func sha256URL(s string) string {
	h := crypto.SHA256.New()
	h.Write([]byte(s))
	return b64.EncodeToString(h.Sum(nil))
}

// TestProofVariants: what differs from the usual request and is as good.
func TestProofVariants(t *testing.T) {
	p := newProver(t)
	set := func(name string, v any) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("DPoP", p.sign(with(p.claims(), name, v))) }
	}
	for _, tt := range []struct {
		name string
		with func(*http.Request)
	}{
		{"CT-RS-2 htu with a query", set("htu", audience+"/accounts?page=2")},
		{"CT-RS-2 htu with a fragment", set("htu", audience+"/accounts#1")},
		{"RFC9449-4.2-12 nbf and exp", func(r *http.Request) {
			r.Header.Set("DPoP", p.sign(with(with(p.claims(), "nbf", now.Unix()), "exp", now.Unix()+300)))
		}},
		{"RFC9449-4.2-12 an unknown claim", set("x", "y")},
		{"RFC9449-4.2-12 an unknown header", func(r *http.Request) {
			r.Header.Set("DPoP", proofOf(t, with(p.header(), "x", "y"), p.claims(), p.key))
		}},
		{"FAPI2-SP-5.3.2.1-13a CONF-9 iat in 10 seconds", set("iat", now.Unix()+10)},
		{"RFC9449-4.3-11 iat 59 seconds ago", set("iat", now.Unix()-59)},
		{"RFC9449-7.1-6 the scheme in inverted case", func(r *http.Request) { r.Header.Set("Authorization", "dPOP "+p.token) }},
		{"RFC9449-4.1-2 the header's name in capitals", func(r *http.Request) {
			r.Header.Del("DPoP")
			r.Header.Set("DPOP", p.sign(p.claims()))
		}},
		{"RFC9449-7.1-5 Proxy-Authorization is no credential", func(r *http.Request) { r.Header.Set("Proxy-Authorization", "DPoP x") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := p.request()
			tt.with(r)
			if res := call(guard(t), r); res.StatusCode != 204 {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
		})
	}
	for _, alg := range []string{"PS256", "ES256", "EdDSA", "Ed25519"} {
		t.Run("FAPI2-SP-5.4.1-1b "+alg, func(t *testing.T) {
			var key crypto.Signer
			var jwk object
			var members string // RFC 7638, 3.2
			switch alg {
			case "PS256":
				key, jwk = newRSA(), publicJWK(t, newRSA())
				members = `{"e":"` + jwk["e"].(string) + `","kty":"RSA","n":"` + jwk["n"].(string) + `"}`
			case "ES256":
				key = newEC(t)
				jwk = publicJWK(t, key)
				members = `{"crv":"P-256","kty":"EC","x":"` + jwk["x"].(string) + `","y":"` + jwk["y"].(string) + `"}`
			default:
				ed := newEd(t)
				key = ed
				x := b64.EncodeToString(ed[32:])
				jwk = object{"kty": "OKP", "crv": "Ed25519", "x": x}
				members = `{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`
			}
			access := forge(t, marshal(t, goodHeader()), marshal(t, with(goodClaims(), "cnf", object{"jkt": sha256URL(members)})), asKey(t))
			r := p.request()
			r.Header.Set("Authorization", "DPoP "+access)
			claims := with(p.claims(), "ath", sha256URL(access))
			r.Header.Set("DPoP", proofOf(t, object{"typ": "dpop+jwt", "alg": alg, "jwk": jwk}, claims, key))
			if res := call(guard(t), r); res.StatusCode != 204 {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
		})
	}
}

// TestWireProof is wire-examples, 6.1, and what section 24 makes of it: token
// and proof by another implementation.
func TestWireProof(t *testing.T) {
	file := func(name string) string {
		_, compact, _ := strings.Cut(string(read(t, "testdata/tokens/"+name)), "\n\n")
		return strings.TrimSpace(compact)
	}
	access, proof := file("access-jkt.txt"), file("dpop-proof.txt")
	for _, tt := range []struct {
		name string
		with func(*http.Request)
		want string
	}{
		{"RFC9449-7.1-1 as it is", func(*http.Request) {}, ""},
		{"RFC9449-7.2-1 as Bearer", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+access) }, "invalid_token"},
		{"RFC9449-4.3-8 by POST", func(r *http.Request) { r.Method = "POST" }, "invalid_dpop_proof"},
		{"RFC9449-4.3-9 for payments", func(r *http.Request) { r.RequestURI = "/payments" }, "invalid_dpop_proof"},
		{"RFC9449-4.3-12a with another token", func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+newProver(t).token) }, "invalid_dpop_proof"},
		{"FAPI2-SP-5.3.4-3 an ID token", func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+file("id-token.txt")) }, "invalid_token"},
		{"RFC8725-3.12-1 the proof as token", func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+proof) }, "invalid_token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := guard(t, func(c *token.VerifierConfig) { c.Keys = everybody(t) })
			r := httptest.NewRequest("GET", audience+"/accounts?page=1", nil)
			r.Header.Set("Authorization", "DPoP "+access)
			r.Header.Set("DPoP", proof)
			tt.with(r)
			res := call(v, r)
			if all := strings.Join(res.Header.Values("WWW-Authenticate"), "\n"); tt.want == "" && res.StatusCode != 204 ||
				tt.want != "" && (res.StatusCode != 401 || !strings.Contains(all, `error="`+tt.want+`"`)) {
				t.Errorf("%d %s, want %q", res.StatusCode, all, tt.want)
			}
		})
	}
}

// TestDPoPAnswers: each kind of refusal, to the letter.
func TestDPoPAnswers(t *testing.T) {
	p := newProver(t)
	const (
		dpopHead   = `DPoP realm="` + audience + `"`
		bearerHead = `Bearer realm="` + audience + `"`
		algs       = `, algs="PS256 ES256 EdDSA Ed25519"`
	)
	failed := func(code, description string) string {
		return `, error="` + code + `", error_description="` + description + `"`
	}
	need := token.Require{Scopes: []string{"accounts"}}
	for _, tt := range []struct {
		name         string
		need         token.Require
		with         func(*http.Request)
		status       int
		dpop, bearer string // what follows the realm
		code         string // in the body, which is empty without
	}{
		{"RFC9449-7.2-2 RFC9449-4.3-16 no token but a proof", need, func(r *http.Request) { r.Header.Del("Authorization") }, 401, "", "", ""},
		{"RFC9449-7-1 no proof", need, func(r *http.Request) { r.Header.Del("DPoP") }, 401,
			failed("invalid_dpop_proof", "there is no DPoP proof"), "", "invalid_dpop_proof"},
		{"RFC9449-4.3-1 two proofs", need, func(r *http.Request) { r.Header.Add("DPoP", p.sign(p.claims())) }, 401,
			failed("invalid_dpop_proof", "the request has more than one DPoP header"), "", "invalid_dpop_proof"},
		{"RFC9449-4.3-12b another key", need, func(r *http.Request) {
			o := newProver(t)
			r.Header.Set("DPoP", o.sign(with(o.claims(), "ath", p.claims()["ath"])))
		}, 401, failed("invalid_token", "the token is bound to another key"), "", "invalid_token"},
		{"RFC9449-7.2-1 RFC9449-7.2-3 CT-RS-4 as Bearer", need, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+p.token) }, 401,
			"", failed("invalid_token", "the token is bound to a DPoP key and was presented as Bearer"), "invalid_token"},
		{"RFC9449-7.1-4 FAPI2-SP-5.3.4-4 a scope is missing", token.Require{Scopes: []string{"loans"}}, func(*http.Request) {}, 403,
			failed("insufficient_scope", "the token lacks a scope") + `, scope="loans"`, "", "insufficient_scope"},
		{"RFC9449-7.2-4 RFC9449-7.2-5 two Authorization headers", need, func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+p.token) }, 400,
			failed("invalid_request", "more than one Authorization header"), failed("invalid_request", "more than one Authorization header"), "invalid_request"},
		{"CT-RS-5 FAPI2-SP-5.3.4-2 a token in the URL too", need, func(r *http.Request) { r.URL.RawQuery = "access_token=" + p.token }, 400,
			failed("invalid_request", "access_token is not accepted in the URL"), failed("invalid_request", "access_token is not accepted in the URL"), "invalid_request"},
		{"RFC9449-7.2-3 a token that is too long", need, func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+strings.Repeat("a", 8<<10+1)) }, 400,
			failed("invalid_request", "the token is too long"), "", "invalid_request"},
		{"RFC9449-7.2-3 a token with a comma", need, func(r *http.Request) { r.Header.Set("Authorization", "DPoP a,b") }, 400,
			failed("invalid_request", "the credentials are malformed"), "", "invalid_request"},
		{"RFC9449-7.2-2 another scheme", need, func(r *http.Request) { r.Header.Set("Authorization", "Basic YTpi") }, 401, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := p.request()
			tt.with(r)
			w := httptest.NewRecorder()
			guard(t).Handler(tt.need, http.NotFoundHandler()).ServeHTTP(w, r)
			want := []string{dpopHead + tt.dpop + algs, bearerHead + tt.bearer}
			if tt.bearer != "" && tt.dpop == "" { // the scheme that was used comes first
				slices.Reverse(want)
			}
			if d := cmp.Diff(want, w.Header().Values("WWW-Authenticate")); d != "" || w.Code != tt.status {
				t.Errorf("%d, want %d: %s", w.Code, tt.status, d)
			}
			if cache := w.Header().Get("Cache-Control"); cache != "no-store" {
				t.Errorf("Cache-Control is %q", cache)
			}
			var body struct {
				Error string `json:"error"`
			}
			if tt.code == "" && w.Body.Len() > 0 {
				t.Errorf("the body is %s", w.Body)
			} else if tt.code != "" && (json.Unmarshal(w.Body.Bytes(), &body) != nil || body.Error != tt.code) {
				t.Errorf("the body is %s, want %s", w.Body, tt.code)
			}
		})
	}
	t.Run("RFC9449-7.1-7 without origins there is no DPoP, and no challenge for it", func(t *testing.T) {
		v := verifier(t, config(t))
		for _, authorization := range []string{"DPoP " + p.token, "Bearer " + p.token} {
			r := p.request()
			r.Header.Set("Authorization", authorization)
			res := call(v, r)
			challenges := res.Header.Values("WWW-Authenticate")
			if res.StatusCode != 401 || len(challenges) != 1 || !strings.HasPrefix(challenges[0], bearerHead+`, error="invalid_token"`) {
				t.Errorf("%s: %d %q", authorization[:6], res.StatusCode, challenges)
			}
		}
	})
}

// TestProofTarget: for which URL a proof must be is for the host's settings and
// the request line to say.
func TestProofTarget(t *testing.T) {
	p := newProver(t)
	for _, tt := range []struct {
		name, origin, method, uri, htu string
		want                           int
	}{
		{"RFC9449-4.3-13 an origin with a slash", audience + "/", "GET", "/accounts", audience + "/accounts", 204},
		{"RFC9449-4.3-13 an origin with a path that a proxy cuts", audience + "/open", "GET", "/accounts", audience + "/open/accounts", 204},
		{"RFC9449-4.3-13 without it", audience + "/open", "GET", "/accounts", audience + "/accounts", 401},
		{"RFC9449-4.3-9 an escaped slash is no slash", audience, "GET", "/accounts%2F1", audience + "/accounts/1", 401},
		{"RFC9449-4.3-9 and stands for itself", audience, "GET", "/accounts%2F1", audience + "/accounts%2f1", 204},
		{"RFC9449-4.3-13 a request line with another host", audience, "GET", "https://evil.example/accounts", "https://evil.example/accounts", 401},
		{"RFC9449-4.3-13 a path that looks like another host", audience, "GET", "//evil.example/accounts", "https://evil.example/accounts", 401},
		{"RFC9449-4.3-9 OPTIONS *", audience, "OPTIONS", "*", audience, 204},
		{"RFC9449-4.3-9 OPTIONS * with a proof for a path", audience, "OPTIONS", "*", audience + "/accounts", 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := p.request()
			r.Method, r.RequestURI = tt.method, tt.uri
			r.Header.Set("DPoP", p.sign(with(with(p.claims(), "htu", tt.htu), "htm", tt.method)))
			res := call(guard(t, func(c *token.VerifierConfig) { c.Origins = []string{tt.origin} }), r)
			if res.StatusCode != tt.want {
				t.Errorf("%d %v, want %d", res.StatusCode, res.Header, tt.want)
			}
		})
	}
	for _, origin := range []string{"https://user@api.finbank.example", "https://api.finbank.example:port", "https://bänk.example", "https:///accounts", "https://api.finbank.example/%zz", audience + "?a", "api.finbank.example", ""} {
		t.Run("RFC9449-4.3-13 the origin "+origin, func(t *testing.T) {
			c := config(t)
			c.Origins, c.Replays = []string{audience, origin}, new(store.Memory)
			if v, err := token.NewVerifier(c); err == nil || v != nil {
				t.Errorf("NewVerifier: %v, %v", v, err)
			}
		})
	}
}

// TestProofPolicy: what the verifier's settings say of tokens holds for proofs.
func TestProofPolicy(t *testing.T) {
	p := newProver(t)
	for _, tt := range []struct {
		name   string
		adjust func(*token.VerifierConfig)
		iat    int64
		want   int
	}{
		{"CONF-9 30 seconds ahead, without a setting", func(*token.VerifierConfig) {}, 30, 204},
		{"CONF-9 31 seconds ahead, without a setting", func(*token.VerifierConfig) {}, 31, 401},
		{"CONF-9 60 seconds ahead, with 60", func(c *token.VerifierConfig) { c.Ahead = time.Minute }, 60, 204},
		{"CONF-9 11 seconds ahead, with 10", func(c *token.VerifierConfig) { c.Ahead = 10 * time.Second }, 11, 401},
		{"RFC9449-4.3-5 ES256, where all is", func(c *token.VerifierConfig) { c.Algorithms = []string{"ES256"} }, 0, 204},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, c := p.request(), p.claims()
			c["iat"] = now.Unix() + tt.iat
			r.Header.Set("DPoP", p.sign(c))
			if res := call(guard(t, tt.adjust), r); res.StatusCode != tt.want {
				t.Errorf("%d %v, want %d", res.StatusCode, res.Header, tt.want)
			}
		})
	}
	t.Run("RFC9449-4.3-5 PS256, where all else is ES256", func(t *testing.T) {
		jwk := publicJWK(t, newRSA())
		jkt := sha256URL(`{"e":"` + jwk["e"].(string) + `","kty":"RSA","n":"` + jwk["n"].(string) + `"}`)
		p.token = forge(t, marshal(t, goodHeader()), marshal(t, with(goodClaims(), "cnf", object{"jkt": jkt})), asKey(t))
		r := p.request()
		r.Header.Set("DPoP", proofOf(t, object{"typ": "dpop+jwt", "alg": "PS256", "jwk": jwk}, p.claims(), newRSA()))
		_, err := guard(t, func(c *token.VerifierConfig) { c.Algorithms = []string{"ES256"} }).Check(r, token.Require{})
		refused(t, err, 401, "invalid_dpop_proof", "RFC9449-4.3-5")
	})
}

// TestConfirmationByKey: what a token must say of its key.
func TestConfirmationByKey(t *testing.T) {
	p := newProver(t)
	for _, tt := range []struct {
		name string
		cnf  any
	}{
		{"RFC8705-3.1-2 nothing", object{}},
		{"RFC8705-3.1-2 an unknown member alone", object{"kid": "a"}},
		{"RFC8705-3.1-2 jkt beside a certificate", object{"jkt": p.jkt(), "x5t#S256": x5t}},
		{"RFC8705-3.1-2 jkt of no type beside a certificate", object{"jkt": 5, "x5t#S256": x5t}},
		{"RFC8705-3.1-2 an empty certificate beside jkt", object{"jkt": p.jkt(), "x5t#S256": ""}},
		{"RFC9449-6.1-1 jkt with padding", object{"jkt": p.jkt() + "="}},
		{"RFC9449-6.1-1 an empty jkt", object{"jkt": ""}},
		{"RFC9449-6.1-1 jkt in a list", object{"jkt": []string{p.jkt()}}},
		{"RFC9449-6.1-1 cnf a string", p.jkt()},
		{"FAPI2-SP-5.3.4-5 no cnf", nil},
	} {
		for _, scheme := range []string{"DPoP ", "Bearer "} {
			t.Run(tt.name+", as "+scheme, func(t *testing.T) {
				p.token = forge(t, marshal(t, goodHeader()), marshal(t, with(goodClaims(), "cnf", tt.cnf)), asKey(t))
				r := p.request()
				r.Header.Set("Authorization", scheme+p.token)
				r.TLS = request(t).TLS
				_, err := guard(t).Check(r, token.Require{})
				var e *token.Error
				if !errors.As(err, &e) || e.Status != 401 || e.Code != "invalid_token" {
					t.Errorf("Check: %v", err)
				}
			})
		}
	}
}
