package authz_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
)

// signatureFits verifies a JWT by the standard library alone.
func signatureFits(alg, jws string, pub crypto.PublicKey) bool {
	dot := strings.LastIndexByte(jws, '.')
	sig, err := base64.RawURLEncoding.DecodeString(jws[dot+1:])
	if err != nil {
		return false
	}
	sum := sha256.Sum256([]byte(jws[:dot]))
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		return alg == "ES256" && len(sig) == 64 &&
			ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case *rsa.PublicKey:
		return alg == "PS256" && rsa.VerifyPSS(pub, crypto.SHA256, sum[:], sig, &rsa.PSSOptions{SaltLength: 32}) == nil
	case ed25519.PublicKey:
		return (alg == "EdDSA" || alg == "Ed25519") && ed25519.Verify(pub, []byte(jws[:dot]), sig)
	}
	return false
}

// signedBack returns the JWT in a redirect that has nothing beside it.
func signedBack(t *testing.T, res *http.Response) string {
	t.Helper()
	q := location(t, res)
	if res.StatusCode != 303 || len(q) != 1 || len(q["response"]) != 1 {
		t.Fatalf("JARM-2.1-6: %d, the browser goes to %s", res.StatusCode, res.Header.Get("Location"))
	}
	return q.Get("response")
}

// jarm asks for a signed response.
func (f *fintech) jarm() url.Values { return with(f.pushable(), "response_mode", "jwt") }

// failingKeys is a KeySet that can be made to fail.
type failingKeys struct {
	token.KeySet
	err error
}

func (k *failingKeys) SigningKey(ctx context.Context, alg string) (token.PrivateKey, error) {
	if k.err != nil {
		return token.PrivateKey{}, k.err
	}
	return k.KeySet.SigningKey(ctx, alg)
}

func TestSignedResponse(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	pub := mustSigner(t, serverKeys, "ES256").Public()
	answer := func(t *testing.T, v url.Values, d authz.Decision) m {
		t.Helper()
		res, err := (&browser{b: b}).decide(f, f.push(b, v), d)
		if err != nil {
			t.Fatal(err)
		}
		browserHeaders(t, res)
		jws := signedBack(t, res)
		if d := cmp.Diff(m{"alg": "ES256", "kid": "as-1"}, headerOf(t, jws)); d != "" {
			t.Errorf("JARM-2.1-7: header %s", d)
		}
		if !signatureFits("ES256", jws, pub) {
			t.Error("JARM-2.2-1: the signature does not fit")
		}
		return claimsOf(t, jws)
	}
	exp := exactly(b.clock.Now().Unix() + 300)
	for _, mode := range []string{"jwt", "query.jwt"} {
		t.Run("JARM-2.1-1 JARM-2.1-2 JARM-2.1-3 JARM-2.1-4 JARM-2.1-6 JARM-2.3-1 JARM-2.3-5 FAPI2-MS-5.4.1-1 FAPI2-MS-5.4.1-N FAPI2-MS-6.1-1 CONF-8 a code by "+mode, func(t *testing.T) {
			got := answer(t, with(f.pushable(), "response_mode", mode), b.approval())
			code, _ := got["code"].(string)
			delete(got, "code")
			if d := cmp.Diff(m{"iss": issuer, "aud": "kakeibo", "exp": exp, "state": "st-4Jx9"}, got); d != "" {
				t.Error(d)
			}
			if status, got := f.token(b, f.redeemable(code)); status != 200 {
				t.Errorf("the code: %d %v", status, got)
			}
		})
	}
	t.Run("JARM-2.1-4 FAPI2-SP-5.3.2.2-7 RFC9207-2-1 a denial is signed as well", func(t *testing.T) {
		got := answer(t, f.jarm(), authz.Decision{Deny: authz.AccessDenied})
		if d := cmp.Diff(m{"iss": issuer, "aud": "kakeibo", "exp": exp, "error": "access_denied", "state": "st-4Jx9"}, got); d != "" {
			t.Error(d)
		}
	})
	t.Run("JARM-2.1-4 without state", func(t *testing.T) {
		if got := answer(t, without(f.jarm(), "state"), b.approval()); len(got) != 4 {
			t.Errorf("claims %v", got)
		}
	})
	for name, state := range map[string]string{
		"reserved characters": `%41+ &=#?/:;@,"'<>\^|{}[]` + "`", "UTF-8": "合鍵 🗝", "a script": "</script>\u2028", "20000 characters": strings.Repeat("s", 20000),
	} {
		t.Run("JARM-2.1-4 OIDC-AR-5 a state of "+name, func(t *testing.T) {
			if got := answer(t, with(f.jarm(), "state", state), b.approval()); got["state"] != state {
				t.Errorf("state %q", got["state"])
			}
		})
	}
	t.Run("RFC6749-3.1.2-2 JARM-2.3-1 the client's own query is kept", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.RedirectURIs = []string{callback + "?dummy1=lorem&state=own"}
		b := newBank(t, clients(f))
		res, err := (&browser{b: b}).decide(f, f.push(b, f.jarm()), b.approval())
		if err != nil || !strings.HasPrefix(res.Header.Get("Location"), f.RedirectURIs[0]+"&response=eyJ") {
			t.Errorf("%s, %v", res.Header.Get("Location"), err)
		}
	})
	t.Run("JARM-2.1-6 without response_mode nothing changes", func(t *testing.T) {
		res, err := (&browser{b: b}).decide(f, f.push(b, f.pushable()), b.approval())
		if q := location(t, res); err != nil || len(q) != 3 || q.Get("code") == "" || q.Get("state") != "st-4Jx9" || q.Get("iss") != issuer {
			t.Errorf("%v, %v", q, err)
		}
	})
	t.Run("FAPI2-MS-5.4.1-1 twenty decisions, one response", func(t *testing.T) {
		b := newBank(t, clients(f), far)
		uri := f.push(b, f.jarm())
		browsers, ids := make([]*browser, racers), make([]string, racers)
		for i := range racers {
			browsers[i] = &browser{b: b}
			ids[i] = browsers[i].begin(f, uri)
		}
		wins := race(func(i int) bool {
			w, err := browsers[i].finish(ids[i], b.approval())
			if (err == nil) != (w.Header().Get("Location") != "") {
				t.Errorf("error %v and Location %q", err, w.Header().Get("Location"))
			}
			return err == nil
		})
		if wins != 1 {
			t.Errorf("%d responses left, want 1", wins)
		}
	})
}

// exactly is how a number is read from JSON.
func exactly(n int64) any { return float64(n) }

// TestResponseAlgorithm: the client's choice counts, and no default of a
// registry.
func TestResponseAlgorithm(t *testing.T) {
	keys, err := token.NewKeySet(
		token.PrivateKey{ID: "ps", Algorithm: "PS256", Signer: rsaKey()},
		token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: edKey},
		token.PrivateKey{ID: "rs", Algorithm: "RS256", Signer: rsaKey()},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, registered, want string }{
		{"CONF-3 JARM-3-1 nothing registered", "", "PS256"},
		{"JARM-2.2-1 JARM-3-1 PS256", "PS256", "PS256"},
		{"JARM-3-1 CONF-35 EdDSA", "EdDSA", "EdDSA"},
		{"JARM-3-1 CONF-35 Ed25519", "Ed25519", "Ed25519"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.ResponseAlg = tt.registered
			b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = keys })
			res, err := (&browser{b: b}).decide(f, f.push(b, f.jarm()), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			jws, pub := signedBack(t, res), crypto.PublicKey(rsaKey().Public())
			if tt.want != "PS256" {
				pub = edKey.Public()
			}
			if got := headerOf(t, jws)["alg"]; got != tt.want || !signatureFits(tt.want, jws, pub) {
				t.Errorf("alg %v, want %s", got, tt.want)
			}
		})
	}
	for _, alg := range []string{"RS256", "none", "HS256", "ES384"} {
		t.Run("JARM-3-1 CONF-3 registered for "+alg, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			f.ResponseAlg = alg
			if got := rules(t, b.srv.CheckClient(f.Client)); !slices.Equal(got, []string{"FAPI2-SP-5.4.1-1b"}) {
				t.Errorf("rules %v", got)
			}
		})
	}
}

// TestResponseFails: a response that cannot be made takes no decision from the
// customer, and leaves no trace.
func TestResponseFails(t *testing.T) {
	for name, d := range map[string]func(*bank) authz.Decision{
		"an approval": (*bank).approval,
		"a denial":    func(*bank) authz.Decision { return authz.Decision{Deny: authz.AccessDenied} },
	} {
		t.Run("FAPI2-MS-5.4.1-1 a signer that fails at "+name, func(t *testing.T) {
			f, keys := keyClient("kakeibo"), &failingKeys{KeySet: serverKeys}
			var st *storetest.Faulty
			b, br, id := started(t, f, f.jarm(), func(c *authz.Config) {
				st = &storetest.Faulty{Store: c.Store}
				c.Store, c.Keys = st, keys
			})
			keys.err = errors.New("HSM gone")
			st.Fail = func(op, _ string) error {
				if op != "Get" {
					t.Errorf("%s although there is no response", op)
				}
				return nil
			}
			w, err := br.finish(id, d(b))
			if e := (*authz.Error)(nil); err == nil || errors.As(err, &e) {
				t.Errorf("Finish: %v, want an outage", err)
			}
			if len(w.Header()) != 0 || w.Body.Len() != 0 {
				t.Errorf("written: %v %s", w.Header(), w.Body)
			}
			if e := b.lastEvent(); e.Kind != "request_failed" {
				t.Errorf("event %+v", e)
			}
			keys.err, st.Fail = nil, nil
			if w, err := br.finish(id, d(b)); err != nil || w.Code != 303 {
				t.Errorf("the same decision again: %d, %v", w.Code, err)
			}
		})
	}
	t.Run("JARM-2.2-1 CONF-3 no key of the client's algorithm is an outage, not another algorithm", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.ResponseAlg = "PS256"
		b, br, id := started(t, f, f.jarm())
		w, err := br.finish(id, b.approval())
		if e := (*authz.Error)(nil); err == nil || errors.As(err, &e) || w.Header().Get("Location") != "" {
			t.Errorf("%v, %s", err, w.Header().Get("Location"))
		}
	})
}

// TestEncryptedResponse opens with the client's key what was first signed.
func TestEncryptedResponse(t *testing.T) {
	ec := newEC()
	for _, tt := range []struct {
		name, enc, want string
		key             jose.DecryptionKey
	}{
		{"JARM-2.2-1 RSA-OAEP-256 and A256GCM", "A256GCM", "A256GCM", jose.DecryptionKey{ID: "enc", Algorithm: "RSA-OAEP-256", Key: rsaKey()}},
		{"JARM-3-2 ECDH-ES, and the default of the registry", "", "A128CBC-HS256", jose.DecryptionKey{ID: "enc", Algorithm: "ECDH-ES", Key: ec}},
	} {
		t.Run(tt.name+" OIDC-SE-9", func(t *testing.T) {
			f := keyClient("kakeibo")
			f.ResponseEncryption = authz.Encryption{Alg: tt.key.Algorithm, Enc: tt.enc}
			jwk := publicJWK(tt.key.Key.(crypto.Signer).Public(), "enc", tt.key.Algorithm)
			jwk["use"] = "enc"
			f.publishes(jwk)
			b := newBank(t, clients(f))
			res, err := (&browser{b: b}).decide(f, f.push(b, f.jarm()), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			jwe := signedBack(t, res)
			h := headerOf(t, jwe)
			if h["alg"] != tt.key.Algorithm || h["enc"] != tt.want || h["kid"] != "enc" || h["cty"] != "JWT" {
				t.Errorf("header %v", h)
			}
			inner, _, err := jose.Decrypt(jwe, 1<<16, []string{tt.want}, []jose.DecryptionKey{tt.key})
			if err != nil {
				t.Fatal(err)
			}
			if !signatureFits("ES256", string(inner), mustSigner(t, serverKeys, "ES256").Public()) {
				t.Error("what is inside is not signed by the server")
			}
			if c := claimsOf(t, string(inner)); c["code"] == "" || c["state"] != "st-4Jx9" {
				t.Errorf("claims %v", c)
			}
		})
	}
	t.Run("OIDC-SE-7 no key to encrypt to: nothing leaves, and nothing is lost", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo") // a key to sign with
		f.ResponseEncryption.Alg = "ECDH-ES"
		b, br, id := started(t, f, f.jarm(), s.reachable)
		w, err := br.finish(id, b.approval())
		if e := (*authz.Error)(nil); err == nil || errors.As(err, &e) || len(w.Header()) != 0 {
			t.Fatalf("%v %v", err, w.Header())
		}
		jwk := publicJWK(ec.Public(), "enc", "ECDH-ES")
		jwk["use"] = "enc"
		s.publish(f.jwk(), jwk)
		b.clock.Advance(time.Minute) // the key set that is known is still fresh, and lacks the key
		if w, err := br.finish(id, b.approval()); err != nil || w.Code != 303 {
			t.Errorf("with a key: %d, %v", w.Code, err)
		}
	})
}

// TestResponseModes: which way of answering who may ask for.
func TestResponseModes(t *testing.T) {
	for _, tt := range []struct {
		name       string
		profile    authz.Profile
		registered []string
		asked      string
		rule       string
	}{
		{"FAPI2-MS-5.3.3-1 nothing registered, nothing asked", authz.FAPI2Security, nil, "", ""},
		{"FAPI2-MS-5.3.3-1 nothing registered, jwt asked", authz.FAPI2Security, nil, "jwt", ""},
		{"FAPI2-MS-5.3.3-1 jwt alone", authz.FAPI2Security, []string{"jwt"}, "jwt", ""},
		{"FAPI2-MS-5.3.3-1 FAPI2-MS-5.4.1-1 jwt alone, query asked", authz.FAPI2Security, []string{"jwt"}, "query", "FAPI2-MS-5.3.3-1"},
		{"FAPI2-MS-5.3.3-1 FAPI2-MS-5.4.1-1 jwt alone, nothing asked", authz.FAPI2Security, []string{"jwt"}, "", "FAPI2-MS-5.3.3-1"},
		{"FAPI2-MS-5.3.3-1 FAPI2-MS-5.4.1-1 jwt alone, fragment asked", authz.FAPI2Security, []string{"jwt"}, "fragment", "OIDC-AR-6"},
		{"FAPI2-MS-5.3.3-1 jwt alone, query.jwt asked", authz.FAPI2Security, []string{"jwt"}, "query.jwt", "FAPI2-MS-5.3.3-1"},
		{"FAPI2-MS-5.3.3-1 query alone, jwt asked", authz.FAPI2Security, []string{"query"}, "jwt", "FAPI2-MS-5.3.3-1"},
		{"FAPI2-MS-5.3.3-1 query alone, nothing asked", authz.FAPI2Security, []string{"query"}, "", ""},
		{"FAPI2-MS-5.4.1-1 Message Signing, jwt asked", authz.FAPI2MessageSigning, nil, "jwt", ""},
		{"FAPI2-MS-5.4.1-1 Message Signing, query.jwt asked", authz.FAPI2MessageSigning, nil, "query.jwt", ""},
		{"FAPI2-MS-5.4.1-1 Message Signing, query asked", authz.FAPI2MessageSigning, nil, "query", "FAPI2-MS-5.4.1-1"},
		{"FAPI2-MS-5.4.1-1 Message Signing, nothing asked", authz.FAPI2MessageSigning, nil, "", "FAPI2-MS-5.4.1-1"},
		{"FAPI2-MS-5.4.1-1 Message Signing, fragment asked", authz.FAPI2MessageSigning, nil, "fragment", "OIDC-AR-6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.Profile, f.ResponseModes = tt.profile, tt.registered
			b := newBank(t, clients(f), bothProfiles)
			v := f.pushable()
			if tt.asked != "" {
				v.Set("response_mode", tt.asked)
			}
			res := b.do(f.pushing(b, f.object(f.asks(b, v))))
			if tt.rule != "" {
				mustRefuse(t, b, res, 400, "invalid_request", tt.rule)
			} else if res.StatusCode != 201 {
				t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
			}
		})
	}
	for _, tt := range []struct {
		name    string
		profile authz.Profile
		modes   []string
		want    []string
	}{
		{"FAPI2-MS-5.3.3-1 all there are", authz.FAPI2Security, []string{"query", "jwt", "query.jwt"}, nil},
		{"FAPI2-MS-5.3.3-1 one that is not known", authz.FAPI2Security, []string{"jwt", "fragment.jwt"}, []string{"FAPI2-MS-5.3.3-1"}},
		{"FAPI2-MS-5.3.3-1 none", authz.FAPI2Security, []string{}, []string{"FAPI2-MS-5.3.3-1"}},
		{"FAPI2-MS-5.4.1-1 FAPI2-MS-5.3.3-1 one that the profile does not allow", authz.FAPI2MessageSigning, []string{"query", "jwt"}, []string{"FAPI2-MS-5.3.3-1"}},
		{"FAPI2-MS-5.4.1-1 those of the profile", authz.FAPI2MessageSigning, []string{"jwt", "query.jwt"}, nil},
	} {
		t.Run(tt.name+", registered", func(t *testing.T) {
			f := keyClient("kakeibo")
			f.Profile, f.ResponseModes = tt.profile, tt.modes
			err := newBank(t, nil, bothProfiles).srv.CheckClient(f.Client)
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
			} else if got := rules(t, err); !slices.Equal(got, tt.want) {
				t.Errorf("rules %v, want %v", got, tt.want)
			}
		})
	}
}

// TestResponseByRegisteredMeans: JARM for each way to authenticate and to bind.
func TestResponseByRegisteredMeans(t *testing.T) {
	for _, f := range []*fintech{
		keyClient("kakeibo"), tlsClient("kakeibo"), selfSignedClient("kakeibo"),
		keyClient("kakeibo").dpop(), tlsClient("kakeibo").dpop(), selfSignedClient("kakeibo").dpop(),
	} {
		var k *proofKey
		name := f.AuthMethod
		if f.DPoPBoundTokens {
			name, k = name+" and DPoP", newProofKey()
		}
		for _, signed := range []bool{false, true} {
			t.Run("FAPI2-MS-5.4.1-1 "+name+map[bool]string{true: ", signed request"}[signed], func(t *testing.T) {
				f.signs()
				b := newBank(t, clients(f))
				v := f.jarm()
				if signed {
					v = url.Values{"request": {f.object(f.asks(b, v))}}
				}
				res, err := (&browser{b: b}).decide(f, f.push(b, v), b.approval())
				if err != nil {
					t.Fatal(err)
				}
				code := claimsOf(t, signedBack(t, res))["code"].(string)
				status, got := f.post(b, "/token", f.redeemable(code), k)
				if status != 200 {
					t.Fatalf("%d %v", status, got)
				}
				if err := f.use(b, got["access_token"].(string), k); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestSigningMetadataWalk holds the lists about signed requests and responses to
// what the server does.
func TestSigningMetadataWalk(t *testing.T) {
	keys, err := token.NewKeySet(
		token.PrivateKey{ID: "es", Algorithm: "ES256", Signer: newEC()},
		token.PrivateKey{ID: "ps", Algorithm: "PS256", Signer: rsaKey()},
		token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: edKey},
	)
	if err != nil {
		t.Fatal(err)
	}
	ec := newEC()
	with := func(c *authz.Config) {
		c.Keys = keys
		c.Decrypt = []authz.DecryptionKey{{ID: "rsa", Algorithm: "RSA-OAEP-256", Key: rsaKey()}, {ID: "ec", Algorithm: "ECDH-ES", Key: ec}}
	}
	doc := objectAt(t, newBank(t, nil, with), wellKnown)
	listed := func(name, v string) bool {
		l, _ := doc[name].([]any)
		return slices.Contains(l, any(v))
	}
	check := func(t *testing.T, name, v string, works bool) {
		t.Helper()
		if works != listed(name, v) {
			t.Errorf("works: %t, and %s is %v", works, name, doc[name])
		}
	}
	// answered reports whether a client gets as far as a signed response.
	answered := func(t *testing.T, f *fintech) bool {
		b := newBank(t, clients(f), with)
		res := b.do(f.request("/par", f.authenticate(b, f.jarm())))
		if res.StatusCode != 201 {
			return false
		}
		back, err := (&browser{b: b}).decide(f, object(t, res)["request_uri"].(string), b.approval())
		return err == nil && location(t, back).Get("response") != ""
	}
	for _, alg := range []string{"PS256", "ES256", "EdDSA", "Ed25519", "RS256", "ES384", "HS256", "none"} {
		t.Run("RFC8414-I-1 JARM-4-1 responses by "+alg, func(t *testing.T) {
			f := keyClient("a")
			f.ResponseAlg = alg
			check(t, "authorization_signing_alg_values_supported", alg, answered(t, f))
		})
		if alg == "ES384" || alg == "HS256" || alg == "none" {
			continue
		}
		t.Run("RFC8414-I-1 RFC9101-9-4 requests by "+alg, func(t *testing.T) {
			f := tlsClient("a")
			f.key, f.alg, f.kid = keyOf(alg), alg, "k"
			f.publishes(publicJWK(f.key.Public(), "k", ""))
			b := newBank(t, clients(f), with)
			check(t, "request_object_signing_alg_values_supported", alg, b.do(f.pushing(b, f.object(f.asks(b, f.pushable())))).StatusCode == 201)
		})
	}
	for _, alg := range []string{"RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW", "RSA1_5", "A128KW", "dir"} {
		pub := crypto.PublicKey(ec.Public())
		if strings.HasPrefix(alg, "RSA") {
			pub = rsaKey().Public()
		}
		for _, enc := range []string{"A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM"} {
			t.Run("RFC8414-I-1 JARM-4-1 responses encrypted by "+alg+" "+enc, func(t *testing.T) {
				f := keyClient("a")
				f.ResponseEncryption = authz.Encryption{Alg: alg, Enc: enc}
				jwk := publicJWK(pub, "enc", "")
				jwk["use"] = "enc"
				f.publishes(jwk)
				want := listed("authorization_encryption_alg_values_supported", alg) && listed("authorization_encryption_enc_values_supported", enc)
				if works := answered(t, f); works != want {
					t.Errorf("works: %t, want %t", works, want)
				}
			})
		}
		t.Run("RFC8414-I-1 RFC9101-9-4 requests encrypted by "+alg, func(t *testing.T) {
			f := keyClient("a")
			b := newBank(t, clients(f), with)
			jwe, err := jose.Encrypt(alg, "A256GCM", "", "JWT", pub, []byte(f.object(f.asks(b, f.pushable()))))
			check(t, "request_object_encryption_alg_values_supported", alg, err == nil && b.do(f.pushing(b, jwe)).StatusCode == 201)
		})
	}
	t.Run("JARM-4-2 CT-AS-1 response modes", func(t *testing.T) {
		if d := cmp.Diff([]any{"query", "jwt", "query.jwt"}, doc["response_modes_supported"]); d != "" {
			t.Error(d)
		}
		alone := objectAt(t, newBank(t, nil, signingAlone), wellKnown)
		if d := cmp.Diff([]any{"jwt", "query.jwt"}, alone["response_modes_supported"]); d != "" {
			t.Error(d)
		}
	})
	t.Run("RFC8414-I-1 without pages there are no requests and no responses", func(t *testing.T) {
		b := newBank(t, nil, with, func(c *authz.Config) { c.Interact = nil })
		for name, v := range objectAt(t, b, wellKnown) {
			if l, ok := v.([]any); ok && len(l) > 0 && (strings.HasPrefix(name, "request_object") || strings.HasPrefix(name, "authorization_") || name == "response_modes_supported") {
				t.Errorf("%s is %v", name, v)
			}
		}
	})
}
