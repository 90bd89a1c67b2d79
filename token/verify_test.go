package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// An attempt is a request for the bank's API; tests change one thing about a
// good one.
type attempt struct {
	header, claims object
	payload        string // instead of claims
	key            any
	mangle         func(string) string
	request        func(*http.Request)
	config         func(*token.VerifierConfig)
	require        token.Require
}

// try makes the request and checks what holds of every refusal.
func (a *attempt) try(t *testing.T) (*token.Access, error) {
	t.Helper()
	payload := a.payload
	if payload == "" {
		payload = marshal(t, a.claims)
	}
	compact := forge(t, marshal(t, a.header), payload, a.key)
	if a.mangle != nil {
		compact = a.mangle(compact)
	}
	r := request(t, "Bearer "+compact)
	if a.request != nil {
		a.request(r)
	}
	c := config(t)
	var audited error
	told := 0
	c.Audit = func(_ context.Context, _ *token.Access, err error) { audited, told = err, told+1 }
	if a.config != nil {
		a.config(&c)
	}
	access, err := verifier(t, c).Check(r, a.require)
	if audited != err || told > 1 {
		t.Errorf("audit was told %v, %d times, caller %v", audited, told, err)
	}
	if (access == nil) != (err != nil) {
		t.Errorf("Check returned %v and %v", access, err)
	}
	noToken(t, compact, fmt.Sprintf("%v %+v %#v", err, err, err))
	return access, err
}

// noToken fails if text holds a part of the token.
func noToken(t *testing.T, compact, text string) {
	t.Helper()
	for part := range strings.SplitSeq(compact, ".") {
		if len(part) > 12 && strings.Contains(text, part[:12]) {
			t.Errorf("part of the token is in %q", text)
		}
	}
}

func good(t *testing.T) *attempt {
	return &attempt{header: goodHeader(), claims: goodClaims(), key: asKey(t)}
}

func header(name string, v any) func(*attempt) {
	return func(a *attempt) { a.header = with(a.header, name, v) }
}

func claim(name string, v any) func(*attempt) {
	return func(a *attempt) { a.claims = with(a.claims, name, v) }
}

func mangle(f func(string) string) func(*attempt) {
	return func(a *attempt) { a.mangle = f }
}

// signed has the token signed by key, which is in the verifier's set.
func signed(alg string, key crypto.Signer) func(*attempt) {
	return func(a *attempt) {
		a.key = key
		a.header = with(a.header, "alg", alg)
		a.config = func(c *token.VerifierConfig) {
			c.Keys = publicKeys{{ID: asKID, Algorithm: alg, Key: key.Public()}}
		}
	}
}

// publicKeys is a set as a host may write it: nothing is checked.
type publicKeys []token.PublicKey

func (k publicKeys) PublicKeys(context.Context) ([]token.PublicKey, error) { return k, nil }

func TestCheckAccepts(t *testing.T) {
	ed, rsaKey := newEd(t), newRSA()
	tests := []struct {
		name   string
		change func(*attempt)
	}{
		{"FAPI2-SP-5.3.4-1 Bearer with certificate", nil},
		{"CT-AS-10 scheme in lower case", func(a *attempt) { a.request = scheme("bearer ") }},
		{"CONF-17 scheme in upper case", func(a *attempt) { a.request = scheme("BEARER ") }},
		{"RFC6750-2.1-1 several spaces", func(a *attempt) { a.request = scheme("Bearer   ") }},
		{"CONF-13 long form of typ", header("typ", "application/at+jwt")},
		{"RFC8725-3.11-1 typ in other case", header("typ", "Application/AT+JWT")},
		{"FAPI2-SP-5.4.1-1b PS256", signed("PS256", rsaKey)},
		{"FAPI2-SP-5.4.1-1b EdDSA", signed("EdDSA", ed)},
		{"CONF-35 Ed25519", signed("Ed25519", ed)},
		{"RFC9068-2.1-2 RS256 where it is asked for", func(a *attempt) {
			signed("RS256", rsaKey)(a)
			set := a.config
			a.config = func(c *token.VerifierConfig) { set(c); c.Algorithms = []string{"RS256"} }
		}},
		{"FAPI2-SP-5.4.3-2 no kid", header("kid", nil)},
		{"FAPI2-SP-5.4.3-1 another key has the kid", func(a *attempt) {
			a.config = func(c *token.VerifierConfig) {
				ours, _ := c.Keys.PublicKeys(t.Context())
				c.Keys = publicKeys{
					{ID: asKID, Algorithm: "PS256", Key: rsaKey.Public()},
					{ID: asKID, Algorithm: "ES256", Key: newEC(t).Public()},
					ours[0],
				}
			}
		}},
		{"FAPI2-SP-5.4.2-2 jku is ignored", header("jku", "https://attacker.invalid/jwks")},
		{"RFC9068-4-1 aud is a list with ours", claim("aud", []string{"https://other.example", audience})},
		{"RFC9068-2.2.3-1 no scope", claim("scope", nil)},
		{"RFC8705-3.1-2 unknown member beside", claim("cnf", object{"x5t#S256": x5t, "other": 1})},
		{"JWT-I-2 fraction of a second", claim("exp", 1767225650.5)},
		{"RFC9068-4-1 expires next second", claim("exp", now.Unix()+1)},
		{"RFC9068-4-1 leeway", func(a *attempt) {
			claim("iat", now.Unix()-300)(a)
			claim("exp", now.Unix()-59)(a)
			a.config = func(c *token.VerifierConfig) { c.Leeway = time.Minute }
		}},
		{"CONF-9 iat 10 s ahead", claim("iat", now.Unix()+10)},
		{"CONF-9 nbf 10 s ahead", claim("nbf", now.Unix()+10)},
		{"FAPI2-SP-5.3.4-4 scopes cover", func(a *attempt) { a.require.Scopes = []string{"payments", "accounts"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good(t)
			if tt.change != nil {
				tt.change(a)
			}
			if _, err := a.try(t); err != nil {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// scheme replaces "Bearer " in the Authorization header.
func scheme(s string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", s+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
}

func certificate(chain ...*x509.Certificate) func(*attempt) {
	return func(a *attempt) {
		a.request = func(r *http.Request) { r.TLS = &tls.ConnectionState{PeerCertificates: chain} }
	}
}

func TestCheckRefusesToken(t *testing.T) {
	rsaKey, clientKey := newRSA(), newEC(t)
	spki := "Wfn777VsDXE-cW3Wvzm7CuMw6D6h15KRhVqq3o80H48" // a hash of the right form, not of the certificate
	tests := []struct {
		name   string
		change func(*attempt)
		rule   string
	}{
		// the signature
		{"FAPI2-SP-5.3.4-3 tampered payload", mangle(func(s string) string {
			p := strings.Split(s, ".")
			b, _ := b64.DecodeString(p[1])
			p[1] = b64.EncodeToString([]byte(strings.Replace(string(b), "u-5b1e9d", "u-5b1e9e", 1)))
			return strings.Join(p, ".")
		}), "FAPI2-SP-5.3.4-3"},
		{"FAPI2-SP-5.3.4-3 signed by a stranger", func(a *attempt) { a.key = clientKey }, "FAPI2-SP-5.3.4-3"},
		{"FAPI2-SP-5.4.1-1c alg none", func(a *attempt) {
			header("alg", "none")(a)
			a.key = nil
		}, "FAPI2-SP-5.3.4-3"},
		{"FAPI2-SP-5.4.1-1c alg None with a signature", header("alg", "None"), "RFC9068-4-3"},
		{"FAPI2-SP-5.4.1-1c signature cut off", mangle(func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] }), "FAPI2-SP-5.3.4-3"},
		{"RFC8725-3.1-2 HS256 with the public key as secret", func(a *attempt) {
			header("alg", "HS256")(a)
			pub, _ := asKey(t).Public().(*ecdsa.PublicKey).Bytes()
			a.key = pub
		}, "RFC9068-4-3"},
		{"RFC9068-2.1-2 RS256 under FAPI", signed("RS256", rsaKey), "RFC9068-4-3"},
		{"RFC8725BIS-1 alg in lower case", header("alg", "es256"), "RFC9068-4-3"},
		{"RFC9068-4-3 algorithm not on the list", func(a *attempt) {
			a.config = func(c *token.VerifierConfig) { c.Algorithms = []string{"PS256"} }
		}, "RFC9068-4-3"},
		{"RFC8725-3.1-2 key for another algorithm", func(a *attempt) {
			a.config = func(c *token.VerifierConfig) {
				c.Keys = publicKeys{{ID: asKID, Algorithm: "PS256", Key: asKey(t).Public()}}
			}
		}, "FAPI2-SP-5.4.3-2"},
		{"FAPI2-SP-5.4.3-2 unknown kid", header("kid", "as-sig-2026b"), "FAPI2-SP-5.4.3-2"},
		{"RFC8725-3.10-1 kid is a path", header("kid", "../../dev/null"), "FAPI2-SP-5.4.3-2"},
		{"FAPI2-SP-5.4.2-2 key brought along", func(a *attempt) {
			a.key = clientKey
			header("jwk", object{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"})(a)
		}, "FAPI2-SP-5.3.4-3"},
		{"JWT-I-4 crit", header("crit", []string{"exp"}), "FAPI2-SP-5.3.4-3"},
		{"JWT-I-4 b64", header("b64", false), "FAPI2-SP-5.3.4-3"},
		{"JWT-I-1 claim twice", func(a *attempt) {
			a.payload = strings.TrimSuffix(marshal(t, a.claims), "}") + `,"aud":"` + audience + `"}`
		}, "FAPI2-SP-5.3.4-3"},
		{"JWT-I-1 claim twice in other case", claim("AUD", "x"), "FAPI2-SP-5.3.4-3"},
		{"RFC8725-3.7-1 payload is not UTF-8", func(a *attempt) {
			a.payload = strings.Replace(marshal(t, a.claims), "u-5b1e9d", "u\xff", 1)
		}, "FAPI2-SP-5.3.4-3"},
		{"RFC8725BIS-5 five parts", mangle(func(s string) string { return s + ".AA.AA" }), "FAPI2-SP-5.3.4-3"},
		{"RFC8725BIS-4 padded", mangle(func(s string) string { return s + "==" }), "FAPI2-SP-5.3.4-3"},
		{"FAPI2-SP-5.3.4-3 an opaque value", mangle(func(string) string { return "2YotnFZFEjr1zCsicMWpAA" }), "FAPI2-SP-5.3.4-3"},

		// the kind of token
		{"RFC9068-2.1-1 typ JWT", header("typ", "JWT"), "RFC9068-2.1-1"},
		{"RFC9068-2.1-1 no typ", header("typ", nil), "RFC9068-2.1-1"},
		{"CONF-13 typ with a parameter", header("typ", "at+jwt; charset=utf-8"), "RFC9068-2.1-1"},
		{"RFC8725-3.12-1 typ of a proof", header("typ", "dpop+jwt"), "RFC9068-2.1-1"},

		// the claims
		{"RFC9068-2.2-1 no iss", claim("iss", nil), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 no exp", claim("exp", nil), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 no aud", claim("aud", nil), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 no sub", claim("sub", nil), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 empty sub", claim("sub", ""), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 RFC9701-8.1-1 no client_id", claim("client_id", nil), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 no iat", claim("iat", nil), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 no jti", claim("jti", nil), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 sub is a number", claim("sub", 7), "RFC9068-2.2-1"},
		{"JWT-I-2 exp is a string", claim("exp", "1767225942"), "RFC9068-2.2-1"},
		{"JWT-I-2 exp past 2^53", claim("exp", 1e19), "RFC9068-2.2-1"},
		{"RFC9068-2.2.3-1 scope is a list", claim("scope", []string{"accounts"}), "RFC9068-2.2-1"},
		{"RFC9068-2.2.3-1 scope with a double space", claim("scope", "accounts  payments"), "RFC9068-2.2-1"},
		{"RFC9068-2.2.1-1 auth_time is a string", claim("auth_time", "1767225620"), "RFC9068-2.2-1"},
		{"RFC9068-2.2.1-1 acr is a number", claim("acr", 2), "RFC9068-2.2-1"},
		{"RFC9068-2.2.1-1 amr is a number", claim("amr", 2), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 grant_id is a number", claim("grant_id", 2), "RFC9068-2.2-1"},
		{"RFC8725-3.8-1 other issuer", claim("iss", "https://as.other.example"), "RFC9068-4-1"},
		{"RFC9068-4-1 issuer with a slash more", claim("iss", issuer+"/"), "RFC9068-4-1"},
		{"RFC9700-2.3-2 RFC8707-3-1 RFC7662-4-4 RFC9701-8.1-2 other audience", claim("aud", "https://api.other.example"), "RFC9068-4-1"},
		{"RFC9068-4-1 audience is a prefix", claim("aud", audience+".evil.example"), "RFC9068-4-1"},
		{"RFC9068-4-1 expired this second", claim("exp", now.Unix()), "RFC9068-4-1"},
		{"RFC9068-4-1 expired past the leeway", func(a *attempt) {
			claim("iat", now.Unix()-300)(a)
			claim("exp", now.Unix()-60)(a)
			a.config = func(c *token.VerifierConfig) { c.Leeway = time.Minute }
		}, "RFC9068-4-1"},
		{"CONF-9 iat over 60 s ahead", func(a *attempt) {
			claim("iat", now.Unix()+61)(a)
			a.config = func(c *token.VerifierConfig) { c.Ahead = time.Minute }
		}, "RFC9068-4-1"},
		{"CONF-9 iat past the default", claim("iat", now.Unix()+31), "RFC9068-4-1"},
		{"CONF-9 nbf past the default", claim("nbf", now.Unix()+31), "RFC9068-4-1"},
		{"JWT-I-2 nbf is a string", claim("nbf", "0"), "RFC9068-4-1"},
		{"RFC9068-4-1 issued as it expires", func(a *attempt) {
			claim("iat", now.Unix()+10)(a)
			claim("exp", now.Unix()+10)(a)
		}, "RFC9068-4-1"},

		// the binding
		{"RFC8705-3-3 RFC8705-3-2 other certificate", certificate(newCert(t, clientKey, 1)), "RFC8705-3-3"},
		{"RFC8705-3-3 right certificate second in the chain", certificate(newCert(t, clientKey, 1), clientCert(t)), "RFC8705-3-3"},
		{"RFC8705-3-3 no certificate", certificate(), "RFC8705-3-3"},
		{"RFC6750-5.3-1 no TLS", func(a *attempt) { a.request = func(r *http.Request) { r.TLS = nil } }, "RFC8705-3-3"},
		{"RFC8705-3.1-1 hash of something else", claim("cnf", object{"x5t#S256": spki}), "RFC8705-3-3"},
		{"RFC8705-3.1-1 padded hash", claim("cnf", object{"x5t#S256": x5t + "="}), "RFC8705-3-3"},
		{"RFC8705-3.1-1 empty hash", claim("cnf", object{"x5t#S256": ""}), "RFC8705-3.1-2"},
		{"FAPI2-SP-5.3.4-5 no cnf", claim("cnf", nil), "FAPI2-SP-5.3.4-5"},
		{"FAPI2-SP-5.3.4-5 cnf is a string", claim("cnf", x5t), "RFC8705-3.1-2"},
		{"RFC8705-3.1-2 empty cnf", claim("cnf", object{}), "RFC8705-3.1-2"},
		{"RFC8705-3.1-2 unknown members only", claim("cnf", object{"kid": "x"}), "RFC8705-3.1-2"},
		{"RFC8705-7.2 SHA-1 only", claim("cnf", object{"x5t": "mtXaHHwVhI7dbTRvNNFzMiR5b2E"}), "RFC8705-3.1-2"},
		{"FAPI2-SP-5.3.4-5 key-bound token as Bearer", claim("cnf", object{"jkt": x5t}), "RFC8705-3.1-2"},
		{"RFC8705-3.1-2 bound to both", claim("cnf", object{"jkt": x5t, "x5t#S256": x5t}), "RFC8705-3.1-2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good(t)
			tt.change(a)
			_, err := a.try(t)
			refused(t, err, 401, "invalid_token", tt.rule)
		})
	}
}

// refused fails unless err is that refusal.
func refused(t *testing.T, err error, status int, code, rule string) {
	t.Helper()
	var e *token.Error
	if !errors.As(err, &e) {
		t.Fatalf("Check: %v, want a refusal", err)
	}
	if e.Status != status || e.Code != code || e.Rule != rule {
		t.Errorf("Check: %d %q %s (%v), want %d %q %s", e.Status, e.Code, e.Rule, err, status, code, rule)
	}
}

func TestCheckReads(t *testing.T) {
	a := good(t)
	a.claims = with(a.claims, "grant_id", grantID)
	a.claims = with(a.claims, "amr", []string{"mfa", "hwk"})
	a.claims = with(a.claims, "consent", object{"id": 9007199254740993})
	got, err := a.try(t)
	if err != nil {
		t.Fatal(err)
	}
	want := &token.Access{
		Issuer: issuer, Subject: "u-5b1e9d", ClientID: "tpp-7f3a9c", ID: "at-02-77ab10", GrantID: grantID,
		Audience: []string{audience}, Scopes: []string{"accounts", "payments"},
		IssuedAt: time.Unix(1767225642, 0), Expires: time.Unix(1767225942, 0), AuthTime: time.Unix(1767225620, 0),
		ACR: "urn:finbank:acr:sca", AMR: []string{"mfa", "hwk"}, Confirmation: token.Confirmation{X5T: x5t},
		Extra: map[string]any{"consent": map[string]any{"id": json.Number("9007199254740993")}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestCheckScope(t *testing.T) {
	t.Run("RFC6750-3.1-1 scope lacking", func(t *testing.T) {
		a := good(t)
		a.require.Scopes = []string{"accounts", "standing-orders"}
		_, err := a.try(t)
		refused(t, err, 403, "insufficient_scope", "FAPI2-SP-5.3.4-4")
		if e := err.(*token.Error); e.Scope != "accounts standing-orders" {
			t.Errorf("scope %q", e.Scope)
		}
	})
	t.Run("FAPI2-SP-5.3.4-4 part of a name is no scope", func(t *testing.T) {
		a := good(t)
		a.require.Scopes = []string{"account"}
		_, err := a.try(t)
		refused(t, err, 403, "insufficient_scope", "FAPI2-SP-5.3.4-4")
	})
	t.Run("RFC9470-9-1 an expired token learns no scope", func(t *testing.T) {
		a := good(t)
		a.require.Scopes = []string{"standing-orders"}
		a.claims = with(a.claims, "exp", now.Unix())
		_, err := a.try(t)
		refused(t, err, 401, "invalid_token", "RFC9068-4-1")
	})
}

func TestPermit(t *testing.T) {
	denied := &token.Error{Code: "insufficient_scope", Description: "this account was not named", Rule: "bank-7"}
	outage := errors.New("consent database: connection refused")
	tests := []struct {
		name   string
		scopes []string
		permit error
		called bool
		want   error
	}{
		{"permits", nil, nil, true, nil},
		{"refuses", nil, denied, true, denied},
		{"cannot tell", nil, outage, true, outage},
		{"is not asked before the scopes are found good", []string{"x"}, denied, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good(t)
			called := false
			a.require = token.Require{Scopes: tt.scopes, Permit: func(r *http.Request, got *token.Access) error {
				called = true
				if got.Subject != "u-5b1e9d" || r.URL.Path != "/accounts" {
					t.Errorf("Permit got %v and %v", r.URL, got)
				}
				return tt.permit
			}}
			_, err := a.try(t)
			if called != tt.called {
				t.Errorf("called: %v", called)
			}
			if tt.scopes == nil && err != tt.want {
				t.Errorf("Check: %v, want %v", err, tt.want)
			}
		})
	}
}

// A failing is a store that does not answer.
type failing struct{ store.Store }

func (failing) Get(context.Context, string) (store.Record, error) {
	return store.Record{}, errors.New("dial tcp 10.1.2.3:5432: connection refused")
}

func TestLiveness(t *testing.T) {
	live := &store.Memory{Now: clock}
	create := func(key string, expires time.Time) {
		t.Helper()
		if err := live.Create(t.Context(), store.Record{Key: key, Version: "1", Value: issued, Expires: expires}); err != nil {
			t.Fatal(err)
		}
	}
	const lapsed = "gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk"
	const replay = "jA4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
	create(grantID, now.Add(time.Second))
	create(lapsed, now)
	create(replay, now.Add(time.Hour))

	try := func(t *testing.T, s store.Store, id any) error {
		a := good(t)
		a.claims = with(a.claims, "grant_id", id)
		a.config = func(c *token.VerifierConfig) { c.Liveness = s }
		_, err := a.try(t)
		return err
	}
	t.Run("FAPI2-SP-5.3.4-3 the grant stands", func(t *testing.T) {
		if err := try(t, live, grantID); err != nil {
			t.Error(err)
		}
	})
	t.Run("FAPI2-SP-5.3.4-3 a token without a grant", func(t *testing.T) {
		if err := try(t, live, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("FAPI2-SP-5.3.4-3 the grant has lapsed but is still kept", func(t *testing.T) {
		refused(t, try(t, live, lapsed), 401, "invalid_token", "FAPI2-SP-5.3.4-3")
	})
	t.Run("FAPI2-SP-5.3.4-3 names a record that is no grant", func(t *testing.T) {
		refused(t, try(t, live, replay), 401, "invalid_token", "FAPI2-SP-5.3.4-3")
	})
	t.Run("FAPI2-SP-5.3.4-3 names anything", func(t *testing.T) {
		for _, id := range []string{"g'; drop table", "g" + strings.Repeat("'", 43)} {
			refused(t, try(t, failing{}, id), 401, "invalid_token", "FAPI2-SP-5.3.4-3")
		}
	})
	t.Run("FAPI2-SP-5.3.4-3 the store does not answer", func(t *testing.T) {
		err := try(t, failing{}, grantID)
		var e *token.Error
		if err == nil || errors.As(err, &e) {
			t.Errorf("Check: %v, want an outage", err)
		}
	})
	t.Run("E2E-4 a stolen token costs no look-up", func(t *testing.T) {
		a := good(t)
		a.claims = with(a.claims, "grant_id", grantID)
		certificate(newCert(t, newEC(t), 1))(a)
		a.config = func(c *token.VerifierConfig) { c.Liveness = failing{} }
		_, err := a.try(t)
		refused(t, err, 401, "invalid_token", "RFC8705-3-3")
	})
	t.Run("FAPI2-SP-5.3.4-3 revoked", func(t *testing.T) {
		if err := live.Delete(t.Context(), grantID); err != nil {
			t.Fatal(err)
		}
		refused(t, try(t, live, grantID), 401, "invalid_token", "FAPI2-SP-5.3.4-3")
	})
}

type noKeys struct{}

func (noKeys) PublicKeys(context.Context) ([]token.PublicKey, error) {
	return nil, errors.New("kms: timeout")
}

func TestKeysOutage(t *testing.T) {
	a := good(t)
	a.config = func(c *token.VerifierConfig) { c.Keys = noKeys{} }
	_, err := a.try(t)
	var e *token.Error
	if err == nil || errors.As(err, &e) {
		t.Errorf("Check: %v, want an outage", err)
	}
}

// Whoever investigates a theft needs to know whose token it was; of a token
// that is not genuine nothing is known.
func TestAudit(t *testing.T) {
	audit := func(change func(*attempt)) (got *token.Access) {
		a := good(t)
		change(a)
		a.config = func(c *token.VerifierConfig) {
			c.Audit = func(_ context.Context, access *token.Access, _ error) { got = access }
		}
		compact := forge(t, marshal(t, a.header), marshal(t, a.claims), a.key)
		r := request(t, "Bearer "+compact)
		if a.request != nil {
			a.request(r)
		}
		c := config(t)
		a.config(&c)
		verifier(t, c).Check(r, token.Require{})
		return got
	}
	if a := audit(certificate(newCert(t, newEC(t), 1))); a == nil || a.ID != "at-02-77ab10" {
		t.Errorf("stolen token: audit was told of %v", a)
	}
	if a := audit(func(a *attempt) { a.key = newEC(t) }); a != nil {
		t.Errorf("forged token: audit was told of %v", a)
	}
	if a := audit(claim("exp", now.Unix())); a != nil {
		t.Errorf("expired token: audit was told of %v", a)
	}
}

func TestNewVerifier(t *testing.T) {
	tests := []struct {
		name   string
		change func(*token.VerifierConfig)
		want   string // in the error; "" for none
	}{
		{"good", func(*token.VerifierConfig) {}, ""},
		{"RFC9068-4-1 no issuer", func(c *token.VerifierConfig) { c.Issuer = "" }, "issuer"},
		{"OIDC-IT-1 issuer over http", func(c *token.VerifierConfig) { c.Issuer = "http://as.finbank.example" }, "issuer"},
		{"RFC8725-3.9-1 no audience", func(c *token.VerifierConfig) { c.Audience = "" }, "Audience"},
		{"no keys", func(c *token.VerifierConfig) { c.Keys = nil }, "Keys"},
		{"FAPI2-SP-5.4.1-1c none on the list", func(c *token.VerifierConfig) { c.Algorithms = []string{"none"} }, `"none"`},
		{"FAPI2-SP-5.4.1-1b HS256 on the list", func(c *token.VerifierConfig) { c.Algorithms = []string{"HS256"} }, `"HS256"`},
		{"empty list", func(c *token.VerifierConfig) { c.Algorithms = []string{} }, "Algorithms"},
		{"leeway of two minutes", func(c *token.VerifierConfig) { c.Leeway = 2 * time.Minute }, "Leeway"},
		{"leeway below zero", func(c *token.VerifierConfig) { c.Leeway = -1 }, "Leeway"},
		{"CONF-9 five seconds ahead", func(c *token.VerifierConfig) { c.Ahead = 5 * time.Second }, "Ahead"},
		{"CONF-9 two minutes ahead", func(c *token.VerifierConfig) { c.Ahead = 2 * time.Minute }, "Ahead"},
		{"RFC6750-3-2 quote in the realm", func(c *token.VerifierConfig) { c.Realm = `a"b` }, "realm"},
		{"RFC6750-3-2 newline in the audience as realm", func(c *token.VerifierConfig) { c.Audience = "a\nb" }, "realm"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t)
			tt.change(&c)
			v, err := token.NewVerifier(c)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || v != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewVerifier: %v, want an error about %s", err, tt.want)
			}
		})
	}
	t.Run("all faults at once", func(t *testing.T) {
		_, err := token.NewVerifier(token.VerifierConfig{})
		for _, want := range []string{"issuer", "Audience", "Keys"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error lacks %s: %v", want, err)
			}
		}
	})
}
