package authz_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aikagi/aikagi/authz"
)

type m = map[string]any

// signs gives f a key to sign requests with, if it authenticates by certificate.
func (f *fintech) signs() *fintech {
	if f.key != nil {
		return f
	}
	f.key, f.alg, f.kid = ecKeys.next(), "ES256", f.ID+"-sig"
	return f.publishes(publicJWK(f.key.Public(), f.kid, f.alg))
}

// publishes adds a key to those that f registered.
func (f *fintech) publishes(jwk m) *fintech {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if f.JWKS != nil {
		if err := json.Unmarshal(f.JWKS, &set); err != nil {
			panic(err)
		}
	}
	f.JWKS = jwks(append(set.Keys, jwk)...)
	return f
}

// asks returns the claims of a good request object that asks for what v says.
func (f *fintech) asks(b *bank, v url.Values) m {
	now := b.clock.Now().Unix()
	c := m{"iss": f.ID, "aud": b.config.Issuer, "client_id": f.ID, "jti": rand.Text(), "nbf": now, "iat": now, "exp": now + 300}
	for name := range v {
		c[name] = v.Get(name)
	}
	return c
}

// object returns a request object with those claims.
func (f *fintech) object(claims m) string {
	return jwt(m{"alg": f.alg, "kid": f.kid, "typ": "oauth-authz-req+jwt"}, claims, f.key)
}

// pushing returns a request that pushes an object, authenticated.
func (f *fintech) pushing(b *bank, object string) *http.Request {
	return f.request("/par", f.authenticate(b, url.Values{"request": {object}}))
}

// set and drop change one claim.
func setClaim(name string, v any) func(m, int64) { return func(c m, _ int64) { c[name] = v } }
func drop(name string) func(m, int64)            { return func(c m, _ int64) { delete(c, name) } }
func at(name string, after int64) func(m, int64) {
	return func(c m, now int64) { c[name] = now + after }
}

// each does all of fs.
func each(fs ...func(m, int64)) func(m, int64) {
	return func(c m, now int64) {
		for _, f := range fs {
			f(c, now)
		}
	}
}

// TestRequestObjectClaims changes one thing about a good request object. One
// that is refused uses nothing up.
func TestRequestObjectClaims(t *testing.T) {
	const hour = 3600
	for _, tt := range []struct {
		name string
		with func(c m, now int64)
		rule string // "" means that it is taken
	}{
		{"RFC9126-3-1 RFC9101-4-3 as it should be", func(m, int64) {}, ""},

		{"FAPI2-MS-5.3.1-2 CONF-2 CT-AS-39 aud is an array of two", setClaim("aud", []string{issuer, "https://other.example"}), ""},
		{"FAPI2-MS-5.3.1-2 aud is an array of one", setClaim("aud", []string{issuer}), ""},
		{"FAPI2-MS-5.3.1-2 the issuer comes last in aud", setClaim("aud", []string{"x", "https://other.example", issuer}), ""},
		{"FAPI2-MS-5.3.1-2 no aud", drop("aud"), "FAPI2-MS-5.3.1-2"},
		{"FAPI2-MS-5.3.1-2 aud is empty", setClaim("aud", []string{}), "FAPI2-MS-5.3.1-2"},
		{"FAPI2-MS-5.3.1-2 aud is the token endpoint", setClaim("aud", issuer+"/token"), "FAPI2-MS-5.3.1-2"},
		{"FAPI2-MS-5.3.1-2 aud is this endpoint", setClaim("aud", issuer+"/par"), "FAPI2-MS-5.3.1-2"},
		{"FAPI2-MS-5.3.1-2 RFC9101-10.3-1 aud is another server", setClaim("aud", "https://other.example"), "FAPI2-MS-5.3.1-2"},
		{"FAPI2-MS-5.3.1-2 aud has a slash at its end", setClaim("aud", issuer+"/"), "FAPI2-MS-5.3.1-2"},
		{"FAPI2-MS-5.3.1-2 aud is in capitals", setClaim("aud", strings.ToUpper(issuer)), "FAPI2-MS-5.3.1-2"},
		{"FAPI2-MS-5.3.1-2 aud has a number beside the issuer", setClaim("aud", []any{issuer, 1}), "FAPI2-MS-5.3.1-2"},
		{"FAPI2-MS-5.3.1-2 aud is an object", setClaim("aud", m{"issuer": issuer}), "FAPI2-MS-5.3.1-2"},

		{"FAPI2-MS-5.3.1-3 CONF-22 CT-AS-37 no nbf", drop("nbf"), "FAPI2-MS-5.3.1-3"},
		{"FAPI2-MS-5.3.1-3 nbf is text", setClaim("nbf", "1"), "FAPI2-MS-5.3.1-3"},
		{"FAPI2-MS-5.3.1-3 nbf is null", setClaim("nbf", nil), "FAPI2-MS-5.3.1-3"},
		{"FAPI2-MS-5.3.1-3 nbf is 59 minutes ago", each(at("nbf", -59*60), at("exp", 30)), ""},
		{"FAPI2-MS-5.3.1-3 nbf is 60 minutes ago", each(at("nbf", -hour), at("exp", 0)), "FAPI2-MS-5.3.1-4"}, // then nothing can be left of it
		{"FAPI2-MS-5.3.1-3 nbf is 60 minutes and a second ago", at("nbf", -hour-1), "FAPI2-MS-5.3.1-3"},
		{"FAPI2-SP-5.3.2.1-13a CONF-23 CT-AS-38 nbf is 8 seconds ahead", at("nbf", 8), ""},
		{"FAPI2-SP-5.3.2.1-13a CONF-9 nbf is 30 seconds ahead", at("nbf", 30), ""},
		{"FAPI2-SP-5.3.2.1-13b CONF-9 nbf is 31 seconds ahead", at("nbf", 31), "FAPI2-SP-5.3.2.1-13b"},
		{"FAPI2-MS-5.3.1-3 FAPI2-SP-5.3.2.1-13b CONF-23 nbf is 61 seconds ahead", at("nbf", 61), "FAPI2-SP-5.3.2.1-13b"},

		{"FAPI2-MS-5.3.1-4 CONF-22 CT-AS-37 no exp", drop("exp"), "FAPI2-MS-5.3.1-4"},
		{"FAPI2-MS-5.3.1-4 exp is text", setClaim("exp", "99999999999"), "FAPI2-MS-5.3.1-4"},
		{"FAPI2-MS-5.3.1-4 exp is now", each(at("nbf", -60), at("exp", 0)), "FAPI2-MS-5.3.1-4"},
		{"FAPI2-MS-5.3.1-4 exp is in a second", each(at("nbf", -60), at("exp", 1)), ""},
		{"FAPI2-MS-5.3.1-4 exp is past", each(at("nbf", -60), at("exp", -1)), "FAPI2-MS-5.3.1-4"},
		{"FAPI2-MS-5.3.1-4 exp is 60 minutes after nbf", at("exp", hour), ""},
		{"FAPI2-MS-5.3.1-4 exp is 60 minutes and a second after nbf", at("exp", hour+1), "FAPI2-MS-5.3.1-4"},
		{"FAPI2-MS-5.3.1-4 exp is 60 minutes and a second after nbf, and soon", each(at("nbf", -59*60), at("exp", 61)), "FAPI2-MS-5.3.1-4"},
		{"FAPI2-MS-5.3.1-4 exp is 61 minutes from now, for nbf is ahead", each(at("nbf", 30), at("exp", hour+30)), ""},
		{"JWT-I-2 dates with fractions", func(c m, now int64) { c["nbf"], c["exp"] = float64(now)+0.25, float64(now)+60.5 }, ""},
		{"JWT-I-2 exp is beyond all time", setClaim("exp", 1e300), "FAPI2-MS-5.3.1-4"},

		{"RFC9101-4-5 no iat", drop("iat"), ""},
		{"RFC9101-4-5 an old iat", at("iat", -10*hour), ""},
		{"FAPI2-SP-5.3.2.1-13a iat is 10 seconds ahead", at("iat", 10), ""},
		{"FAPI2-SP-5.3.2.1-13b iat is 61 seconds ahead", at("iat", 61), "FAPI2-SP-5.3.2.1-13b"},
		{"FAPI2-SP-5.3.2.1-13b iat is text", setClaim("iat", "1"), "FAPI2-SP-5.3.2.1-13b"},

		{"RFC9101-4-4 no iss", drop("iss"), "RFC9101-4-4"},
		{"RFC9101-4-4 OIDC-RO-9 iss is another client", setClaim("iss", "other"), "RFC9101-4-4"},
		{"RFC9101-4-4 iss is the client in capitals", setClaim("iss", "KAKEIBO"), "RFC9101-4-4"},
		{"RFC9101-4-4 iss is an array", setClaim("iss", []string{"kakeibo"}), "RFC9101-4-4"},
		{"RFC9101-4-6 no client_id", drop("client_id"), "RFC9101-4-6"},
		{"RFC9101-4-6 client_id is a number", setClaim("client_id", 1), "RFC9101-4-6"},
		{"RFC9101-5-2 RFC9126-3-3 client_id is another client", setClaim("client_id", "other"), "RFC9126-3-3"},
		{"RFC9101-5-2 client_id is empty", setClaim("client_id", ""), "RFC9126-3-3"},
		{"CONF-19 RFC9101-10.8-1 sub is the client", setClaim("sub", "kakeibo"), "CONF-19"},
		{"CONF-19 sub is somebody else", setClaim("sub", "u-1"), ""},

		{"RFC9101-4-2 OIDC-RO-8 request inside", setClaim("request", "eyJ.eyJ.AAAA"), "RFC9101-4-2"},
		{"RFC9101-4-2 OIDC-RO-8 CT-AS-34 request_uri inside", setClaim("request_uri", "urn:ietf:params:oauth:request_uri:x"), "RFC9101-4-2"},
		{"RFC9101-4-2 an empty request_uri inside", setClaim("request_uri", ""), "RFC9101-4-2"},
		{"RFC9101-4-2 request inside is null", setClaim("request", nil), "RFC9101-4-2"},

		{"RFC9101-I-1 no jti", drop("jti"), ""},
		{"RFC9101-I-1 an empty jti", setClaim("jti", ""), "RFC9101-I-1"},
		{"RFC9101-I-1 jti is a number", setClaim("jti", 1), "RFC9101-I-1"},
		{"RFC9101-I-1 jti of 512 bytes", setClaim("jti", strings.Repeat("j", 512)), ""},
		{"RFC9101-I-1 jti of 513 bytes", setClaim("jti", strings.Repeat("j", 513)), "RFC9101-I-1"},

		{"RFC9101-4-1 max_age is a number", setClaim("max_age", 300), ""},
		{"RFC9101-4-1 max_age is text", setClaim("max_age", "300"), "RFC9101-4-1"},
		{"RFC9101-4-1 max_age is a fraction", setClaim("max_age", 1.5), "RFC9101-4-1"},
		{"OIDC-AR-14 max_age is negative", setClaim("max_age", -1), "OIDC-AR-14"},
		{"RFC9101-4-1 state is a number", setClaim("state", 1), "RFC9101-4-1"},
		{"RFC9101-4-1 state is null", setClaim("state", nil), "RFC9101-4-1"},
		{"RFC9101-4-1 state is an array", setClaim("state", []string{"a"}), "RFC9101-4-1"},
		{"RFC9101-4-1 scope is an array", setClaim("scope", []string{"openid", "accounts"}), "RFC9101-4-1"},
		{"RFC9101-4-1 redirect_uri is an array", setClaim("redirect_uri", []string{callback}), "RFC9101-4-1"},
		{"RFC9101-4-1 response_type is true", setClaim("response_type", true), "RFC9101-4-1"},
		{"RFC9101-4-1 dpop_jkt is an object", setClaim("dpop_jkt", m{}), "RFC9101-4-1"},
		{"RFC9101-4-1 claims is text", setClaim("claims", `{"id_token":{}}`), "RFC9101-4-1"},
		{"RFC9101-4-1 claims is an array", setClaim("claims", []string{}), "RFC9101-4-1"},
		{"RFC9101-4-1 authorization_details is text", setClaim("authorization_details", `[{"type":"x"}]`), "RFC9101-4-1"},
		{"RFC9101-4-1 authorization_details is an object", setClaim("authorization_details", m{"type": "x"}), "RFC9101-4-1"},
		{"RFC9101-4-1 resource is text", setClaim("resource", resource), ""},
		{"RFC9101-4-1 RFC8707-2-1 resource is an array of the same twice", setClaim("resource", []string{resource, resource}), ""},
		{"RFC9101-4-1 resource is a number", setClaim("resource", 1), "RFC9101-4-1"},
		{"RFC9101-4-1 resource has a number", setClaim("resource", []any{resource, 1}), "RFC9101-4-1"},
		{"RFC9101-4-1 a state with NUL", setClaim("state", "a\x00b"), "RFC9101-4-1"},
		{"RFC6749-3.1-1 what is not known is ignored, whatever it is", func(c m, _ int64) { c["foo"], c["bar"], c["baz"] = m{"a": 1}, nil, 1.5 }, ""},

		{"RFC9101-6.3-2 no response_type", drop("response_type"), "RFC6749-3.1.1-1"},
		{"RFC9101-6.3-2 response_type token", setClaim("response_type", "token"), "FAPI2-SP-5.3.2.2-1"},
		{"RFC9101-6.3-2 OIDC-RO-10 CONF-32 CT-AS-41 no redirect_uri", drop("redirect_uri"), "FAPI2-SP-5.3.2.2-6"},
		{"RFC9101-6.3-2 a redirect_uri that is not registered", setClaim("redirect_uri", "https://evil.example/cb"), "RFC9700-2.1-1"},
		{"RFC9101-6.3-2 no code_challenge", drop("code_challenge"), "FAPI2-SP-5.3.2.2-5"},
		{"RFC9101-6.3-2 no scope", drop("scope"), "RFC6749-3.3-2"},
		{"RFC9101-6.3-2 OIDC-AR-22 registration", setClaim("registration", m{}), "OIDC-AR-22"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			claims := f.asks(b, f.pushable())
			tt.with(claims, b.clock.Now().Unix())
			form := f.authenticate(b, url.Values{"request": {f.object(claims)}})
			res := b.do(f.request("/par", form))
			if tt.rule == "" {
				if res.StatusCode != 201 {
					t.Errorf("answer is %d %v: %+v", res.StatusCode, object(t, res), b.lastEvent())
				}
				return
			}
			if e := b.lastEvent(); e.Rule != tt.rule || e.Kind != "request_refused" || res.StatusCode != 400 {
				t.Errorf("answer is %d, and the operator is told %+v, want rule %s", res.StatusCode, e, tt.rule)
			}
			form.Set("request", f.object(f.asks(b, f.pushable())))
			if res := b.do(f.request("/par", form)); res.StatusCode != 201 {
				t.Errorf("the same assertion with a good request: %d %v", res.StatusCode, object(t, res))
			}
		})
	}
}

// TestRequestObjectErrors: what is wrong with the object itself has a code of
// its own, and the rest that of a request without one.
func TestRequestObjectErrors(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	for _, tt := range []struct {
		name string
		with func(m, int64)
		code string
	}{
		{"RFC9101-7-1 FAPI2-MS-5.3.1-4 no exp", drop("exp"), "invalid_request_object"},
		{"RFC9101-7-1 RFC9101-4-1 state is a number", setClaim("state", 1), "invalid_request_object"},
		{"RFC9101-7-1 RFC9101-6.3-2 no redirect_uri", drop("redirect_uri"), "invalid_request"},
		{"RFC9101-7-1 RFC9101-6.3-2 an unknown scope", setClaim("scope", "admin"), "invalid_scope"},
		{"RFC9101-7-1 RFC9101-6.3-2 a resource that is unknown", setClaim("resource", "https://evil.example"), "invalid_target"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := f.asks(b, f.pushable())
			tt.with(claims, b.clock.Now().Unix())
			refused(t, b.do(f.pushing(b, f.object(claims))), 400, tt.code)
		})
	}
}

// TestRequestObjectForm is about the JWT itself.
func TestRequestObjectForm(t *testing.T) {
	other := keyClient("other")
	header := func(f *fintech, name string, v any) func(m) string {
		return func(c m) string {
			h := m{"alg": f.alg, "kid": f.kid, "typ": "oauth-authz-req+jwt"}
			if v == nil {
				delete(h, name)
			} else {
				h[name] = v
			}
			return jwt(h, c, f.key)
		}
	}
	for _, tt := range []struct {
		name string
		sign func(f *fintech) func(m) string
		rule string
	}{
		{"FAPI2-MS-5.3.1-5 CONF-11 RFC9101-10.8-2 typ oauth-authz-req+jwt", func(f *fintech) func(m) string { return f.object }, ""},
		{"CONF-11 RFC8725-3.11-1 typ in the long form, in capitals", func(f *fintech) func(m) string {
			return header(f, "typ", "Application/OAuth-Authz-Req+JWT")
		}, ""},
		{"FAPI2-MS-5.3.1-5 CONF-11 RFC9101-10.8-3 no typ", func(f *fintech) func(m) string { return header(f, "typ", nil) }, ""},
		{"FAPI2-MS-5.3.1-5 CONF-11 typ JWT", func(f *fintech) func(m) string { return header(f, "typ", "JWT") }, ""},
		{"CONF-11 RFC8725BIS-8 typ dpop+jwt", func(f *fintech) func(m) string { return header(f, "typ", "dpop+jwt") }, "CONF-11"},
		{"CONF-11 typ at+jwt", func(f *fintech) func(m) string { return header(f, "typ", "at+jwt") }, "CONF-11"},
		{"CONF-11 typ client-authentication+jwt", func(f *fintech) func(m) string { return header(f, "typ", "client-authentication+jwt") }, "CONF-11"},
		{"CONF-11 typ foo", func(f *fintech) func(m) string { return header(f, "typ", "foo") }, "CONF-11"},

		{"FAPI2-SP-5.4.3-2 no kid", func(f *fintech) func(m) string { return header(f, "kid", nil) }, ""},
		{"RFC9101-6.2-2 the kid of another key", func(f *fintech) func(m) string { return header(f, "kid", "nobody") }, "RFC9101-6.2-1"},
		{"RFC8725-3.10-1 a kid that is a path", func(f *fintech) func(m) string { return header(f, "kid", "../../etc/passwd") }, "RFC9101-6.2-1"},
		{"RFC9101-6.2-1 OIDC-RO-4 CT-AS-40 a key of another client", func(f *fintech) func(m) string {
			return func(c m) string { return jwt(m{"alg": "ES256", "kid": f.kid}, c, other.key) }
		}, "RFC9101-6.2-1"},
		{"FAPI2-MS-5.3.1-1 RFC9101-6.2-1 a signature of another object", func(f *fintech) func(m) string {
			return func(c m) string {
				signed := f.object(c)
				c["state"] = "forged"
				forged := f.object(c)
				return forged[:strings.LastIndexByte(forged, '.')] + signed[strings.LastIndexByte(signed, '.'):]
			}
		}, "RFC9101-6.2-1"},
		{"FAPI2-MS-5.3.1-1 RFC9101-9-1 OIDC-RO-3 alg none", func(*fintech) func(m) string {
			return func(c m) string { return unsigned(m{"alg": "none"}, c) }
		}, "RFC9101-4-3"},
		{"RFC9101-4-3 alg none with a signature", func(f *fintech) func(m) string {
			return func(c m) string { return unsigned(m{"alg": "none"}, c) + ".AAAA" }
		}, "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b RFC9101-6.2-1 RS256", func(f *fintech) func(m) string {
			*f = *tlsClient("kakeibo") // it could not authenticate by RS256 either
			f.key, f.alg, f.kid = rsaKey(), "RS256", "rs"
			return f.publishes(publicJWK(f.key.Public(), f.kid, "")).object
		}, "FAPI2-SP-5.4.1-1b"},
		{"FAPI2-SP-5.4.1-1b PS256", func(f *fintech) func(m) string {
			f.publishes(publicJWK(rsaKey().Public(), "ps", ""))
			return func(c m) string { return jwt(m{"alg": "PS256", "kid": "ps"}, c, rsaKey()) }
		}, ""},
		{"FAPI2-SP-5.4.1-1b CONF-35 EdDSA", func(f *fintech) func(m) string {
			f.publishes(publicJWK(edKey.Public(), "ed", ""))
			return func(c m) string { return jwt(m{"alg": "EdDSA", "kid": "ed"}, c, edKey) }
		}, ""},
		{"OIDR-12 RFC9101-6.2-1 OIDC-RO-4 another algorithm than the one registered", func(f *fintech) func(m) string {
			f.RequestAlg = "PS256"
			return f.object
		}, "FAPI2-SP-5.4.1-1b"},
		{"OIDR-12 the algorithm registered", func(f *fintech) func(m) string { f.RequestAlg = "ES256"; return f.object }, ""},
		{"OIDR-12 the algorithm registered for assertions does not count here", func(f *fintech) func(m) string {
			f.AuthSigningAlg = "ES256"
			f.publishes(publicJWK(rsaKey().Public(), "ps", ""))
			return func(c m) string { return jwt(m{"alg": "PS256", "kid": "ps"}, c, rsaKey()) }
		}, ""},
		{"FAPI2-SP-5.4.3-1 two keys of one kid, signed with the second", func(f *fintech) func(m) string {
			f.JWKS = jwks(publicJWK(rsaKey().Public(), f.kid, "PS256"), publicJWK(f.key.Public(), f.kid, "ES256"))
			return f.object
		}, ""},

		{"RFC9101-4-3 not a JWT", func(*fintech) func(m) string { return func(m) string { return "abc" } }, "RFC9101-4-3"},
		{"RFC8725BIS-4 the JSON serialization", func(*fintech) func(m) string {
			return func(m) string { return `{"payload":"e30","signatures":[]}` }
		}, "RFC9101-4-3"},
		{"RFC8725BIS-4 a line feed at its end", func(f *fintech) func(m) string { return func(c m) string { return f.object(c) + "\n" } }, "RFC9101-4-3"},
		{"JWT-I-4 crit", func(f *fintech) func(m) string { return header(f, "crit", []string{"x"}) }, "RFC9101-4-3"},
		{"JWT-I-1 a claim twice", func(f *fintech) func(m) string {
			return func(c m) string { return f.raw(c, `"state":"a","state":"b"`) }
		}, "RFC9101-6.2-1"},
		{"JWT-I-1 a claim in other case", func(f *fintech) func(m) string {
			return func(c m) string { return f.raw(c, `"SCOPE":"payments"`) }
		}, "RFC9101-6.2-1"},
		{"RFC8725-3.7-1 text that is not UTF-8", func(f *fintech) func(m) string {
			return func(c m) string { return f.raw(c, `"foo":"`+"\xff"+`"`) }
		}, "RFC9101-6.2-1"},

		{"RFC8725-3.12-1 CONF-19 a client assertion", func(f *fintech) func(m) string {
			return func(c m) string {
				return f.signed(m{"iss": f.ID, "sub": f.ID, "aud": issuer, "jti": "a", "iat": c["iat"], "nbf": c["nbf"], "exp": c["exp"]})
			}
		}, "RFC9101-4-6"},
		{"RFC8725-3.12-1 CONF-19 a client assertion with the parameters of a request", func(f *fintech) func(m) string {
			return func(c m) string { c["sub"] = f.ID; return f.signed(c) }
		}, "CONF-19"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			sign := tt.sign(f)
			b := newBank(t, clients(f, other))
			claims := f.asks(b, f.pushable())
			res := b.do(f.pushing(b, sign(claims)))
			if tt.rule != "" {
				mustRefuse(t, b, res, 400, "invalid_request_object", tt.rule)
			} else if res.StatusCode != 201 {
				t.Errorf("answer is %d %v: %+v", res.StatusCode, object(t, res), b.lastEvent())
			}
		})
	}
}

// raw returns a request object with members added as they are written.
func (f *fintech) raw(c m, members string) string {
	delete(c, "state")
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	h := `{"alg":"` + f.alg + `","kid":"` + f.kid + `"}`
	return signJWS(f.alg, b64url([]byte(h))+"."+b64url([]byte(string(text[:len(text)-1])+","+members+"}")), f.key)
}

// TestOnlyInside: what stands beside a request object counts for nothing.
func TestOnlyInside(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	b := newBank(t, clients(f))
	k, other := newProofKey(), newProofKey()
	outside := url.Values{
		"scope": {"payments"}, "state": {"outside"}, "nonce": {"outside"}, "redirect_uri": {"https://evil.example/cb"},
		"response_type": {"token"}, "response_mode": {"fragment"}, "code_challenge": {"x"}, "code_challenge_method": {"plain"},
		"dpop_jkt": {other.jkt()}, "resource": {"https://evil.example"}, "prompt": {"foo"}, "max_age": {"x"}, "registration": {"{}"},
		"authorization_details": {"x"}, "claims": {"x"}, "login_hint": {strings.Repeat("x", 2000)},
	}
	push := func(t *testing.T, inside m) string {
		t.Helper()
		form := f.authenticate(b, url.Values{"request": {f.object(inside)}})
		for name, v := range outside {
			form[name] = v
		}
		res := b.do(f.request("/par", form))
		got := object(t, res)
		if res.StatusCode != 201 {
			t.Fatalf("PAR: %d %v: %+v", res.StatusCode, got, b.lastEvent())
		}
		return got["request_uri"].(string)
	}
	t.Run("RFC9101-6.3-1 RFC9101-10.7-1 RFC9126-3-2 RFC9449-10-4 CONF-21 OIDC-RO-1 CT-AS-43 the request that is made", func(t *testing.T) {
		uri := push(t, f.asks(b, with(f.pushable(), "dpop_jkt", k.jkt())))
		res, err := (&browser{b: b}).decide(f, uri, b.approval())
		if err != nil {
			t.Fatal(err)
		}
		back := location(t, res)
		if !strings.HasPrefix(res.Header.Get("Location"), callback+"?code=") || back.Get("state") != "st-4Jx9" {
			t.Fatalf("the browser goes to %s", res.Header.Get("Location"))
		}
		redeem := func(k *proofKey) (int, m) { return f.post(b, "/token", f.redeemable(back.Get("code")), k) }
		if status, got := redeem(other); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("the key named outside redeems the code: %d %v", status, got)
		}
		status, got := redeem(k)
		if status != 200 || got["scope"] != "openid accounts" {
			t.Fatalf("%d %v", status, got)
		}
		if nonce := claimsOf(t, got["id_token"].(string))["nonce"]; nonce != "n-0S6_WzA2Mj" {
			t.Errorf("nonce %v", nonce)
		}
	})
	t.Run("CONF-21 no dpop_jkt inside is none", func(t *testing.T) {
		uri := push(t, f.asks(b, f.pushable()))
		res, err := (&browser{b: b}).decide(f, uri, b.approval())
		if err != nil {
			t.Fatal(err)
		}
		if status, got := f.post(b, "/token", f.redeemable(location(t, res).Get("code")), k); status != 200 {
			t.Errorf("the code is bound to a key named outside: %d %v", status, got)
		}
	})
	t.Run("RFC9101-6.3-1 no state inside is none", func(t *testing.T) {
		uri := push(t, f.asks(b, without(f.pushable(), "state")))
		res, err := (&browser{b: b}).decide(f, uri, b.approval())
		if err != nil || location(t, res).Has("state") {
			t.Errorf("%s, %v", res.Header.Get("Location"), err)
		}
	})
	t.Run("RFC9126-3-1 client_id inside is enough where an assertion names the client", func(t *testing.T) {
		form := f.authenticate(b, url.Values{"request": {f.object(f.asks(b, f.pushable()))}})
		form.Del("client_id")
		if res := b.do(f.request("/par", form)); res.StatusCode != http.StatusCreated {
			t.Errorf("status %d", res.StatusCode)
		}
		asks := f.asks(b, f.pushable())
		delete(asks, "client_id")
		form = f.authenticate(b, url.Values{"request": {f.object(asks)}})
		form.Del("client_id")
		mustRefuse(t, b, b.do(f.request("/par", form)), 400, "invalid_request_object", "RFC9101-4-6")
	})
	t.Run("RFC9101-5-1 RFC9126-2.1-2 a request_uri beside it", func(t *testing.T) {
		form := f.authenticate(b, url.Values{"request": {f.object(f.asks(b, f.pushable()))}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}})
		mustRefuse(t, b, b.do(f.request("/par", form)), 400, "invalid_request", "RFC9126-2.1-2")
	})
	t.Run("RFC9126-2.1-5 two request objects", func(t *testing.T) {
		form := f.authenticate(b, url.Values{"request": {f.object(f.asks(b, f.pushable())), f.object(f.asks(b, f.pushable()))}})
		mustRefuse(t, b, b.do(f.request("/par", form)), 400, "invalid_request", "RFC6749-3.1-2")
	})
	t.Run("RFC9101-5.2-1 a request_uri is short, and a long one is not refused for that", func(t *testing.T) {
		if uri := push(t, f.asks(b, f.pushable())); len(uri) > 512 {
			t.Errorf("%d characters", len(uri))
		}
		for _, n := range []int{66, 600} {
			q := url.Values{"client_id": {f.ID}, "request_uri": {"urn:ietf:params:oauth:request_uri:" + strings.Repeat("A", n)}}
			res := b.do(httptest.NewRequest("GET", issuer+"/authorize?"+q.Encode(), nil))
			if res.StatusCode != 400 || b.lastEvent().Rule != "RFC9126-4-3" {
				t.Errorf("%d characters: %d %+v", n, res.StatusCode, b.lastEvent())
			}
		}
	})
	t.Run("RFC9101-10.4-1 RFC9101-5.2-2 the browser brings none", func(t *testing.T) {
		for _, q := range []url.Values{
			{"client_id": {f.ID}, "request": {f.object(f.asks(b, f.pushable()))}},
			{"client_id": {f.ID}, "request_uri": {"https://app.fintech.example/request.jwt"}},
		} {
			res := b.do(httptest.NewRequest("GET", issuer+"/authorize?"+q.Encode(), nil))
			if res.StatusCode != 400 || b.lastEvent().Rule != "FAPI2-SP-5.3.2.2-3" {
				t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
			}
		}
	})
}

// TestRequestObjectRead: a request means the same, signed or not.
func TestRequestObjectRead(t *testing.T) {
	f := keyClient("kakeibo")
	f.Scope = "openid accounts payments"
	b := newBank(t, clients(f))
	var asked *authz.Interaction
	b.shown = func(_ http.ResponseWriter, _ *http.Request, in *authz.Interaction) { asked = in }
	v := f.pushable()
	for name, value := range map[string]string{
		"prompt": "login consent", "acr_values": "urn:a urn:b", "ui_locales": "ja en", "login_hint": "花子 \U0001F5DD", "max_age": "300", "state": `"\ü😀 `,
	} {
		v.Set(name, value)
	}
	inside := f.asks(b, v)
	inside["max_age"] = 300
	t.Run("RFC9101-4-1 numbers, lists and text in UTF-8", func(t *testing.T) {
		br := &browser{b: b}
		br.open(f, f.push(b, v))
		plain := *asked
		res := b.do(f.pushing(b, f.object(inside)))
		if res.StatusCode != 201 {
			t.Fatalf("%d %+v", res.StatusCode, b.lastEvent())
		}
		br.open(f, object(t, res)["request_uri"].(string))
		signed := *asked
		plain.ID, plain.GrantID, signed.ID, signed.GrantID = "", "", "", ""
		if d := cmp.Diff(plain, signed, cmpopts.IgnoreUnexported(authz.Interaction{}), cmpopts.IgnoreFields(authz.Interaction{}, "Client")); d != "" || signed.MaxAge != 5*time.Minute || signed.LoginHint != "花子 \U0001F5DD" {
			t.Errorf("%s %+v", d, signed)
		}
	})
}

// TestRequestObjectOnce: an object that has a jti is good once.
func TestRequestObjectOnce(t *testing.T) {
	f, other := keyClient("kakeibo"), keyClient("other")
	b := newBank(t, clients(f, other))
	claims := f.asks(b, f.pushable())
	signed := f.object(claims)
	if res := b.do(f.pushing(b, signed)); res.StatusCode != 201 {
		t.Fatalf("%d %+v", res.StatusCode, b.lastEvent())
	}
	t.Run("RFC9101-I-1 pushed twice", func(t *testing.T) {
		mustRefuse(t, b, b.do(f.pushing(b, signed)), 400, "invalid_request_object", "RFC9101-I-1")
	})
	t.Run("RFC9101-I-1 another object with the same jti", func(t *testing.T) {
		claims["state"] = "other"
		mustRefuse(t, b, b.do(f.pushing(b, f.object(claims))), 400, "invalid_request_object", "RFC9101-I-1")
	})
	t.Run("RFC9101-I-1 the jti of another client", func(t *testing.T) {
		c := other.asks(b, other.pushable())
		c["jti"] = claims["jti"]
		if res := b.do(other.pushing(b, other.object(c))); res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("RFC9101-I-1 the jti of an assertion", func(t *testing.T) {
		v := f.authenticate(b, url.Values{})
		c := f.asks(b, f.pushable())
		c["jti"] = claimsOf(t, v.Get("client_assertion"))["jti"]
		v.Set("request", f.object(c))
		if res := b.do(f.request("/par", v)); res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("RFC9101-I-1 remembered until it expires", func(t *testing.T) {
		b.clock.Advance(299 * time.Second)
		mustRefuse(t, b, b.do(f.pushing(b, signed)), 400, "invalid_request_object", "RFC9101-I-1")
		b.clock.Advance(time.Second)
		mustRefuse(t, b, b.do(f.pushing(b, signed)), 400, "invalid_request_object", "FAPI2-MS-5.3.1-4")
	})
	t.Run("RFC9101-I-1 twenty at once", func(t *testing.T) {
		b := newBank(t, clients(f), far)
		signed := f.object(f.asks(b, f.pushable()))
		rs := make([]*http.Request, racers)
		for i := range rs {
			rs[i] = f.pushing(b, signed)
		}
		if wins, _ := b.raceAll(rs, 201); wins != 1 {
			t.Errorf("%d of %d were taken, want 1", wins, racers)
		}
	})
	t.Run("RFC9101-I-1 a nonce demand uses nothing up", func(t *testing.T) {
		f := keyClient("kakeibo").dpop()
		b := newBank(t, clients(f), func(c *authz.Config) { c.DPoPNonces = true })
		k := newProofKey()
		v := f.authenticate(b, url.Values{"request": {f.object(f.asks(b, f.pushable()))}})
		ask := func() (int, m) {
			r := f.request("/par", v)
			r.Header.Set("DPoP", k.sign(k.claims(b, "/par")))
			return k.send(b, r)
		}
		if status, got := ask(); status != 400 || got["error"] != "use_dpop_nonce" {
			t.Fatalf("first: %d %v", status, got)
		}
		if status, got := ask(); status != 201 {
			t.Errorf("with the nonce: %d %v", status, got)
		}
	})
}

// TestRequestObjectKeys: the keys are the client's, wherever they are and
// however it authenticates.
func TestRequestObjectKeys(t *testing.T) {
	for _, f := range []*fintech{
		keyClient("kakeibo"), tlsClient("kakeibo"), selfSignedClient("kakeibo"),
		keyClient("kakeibo").dpop(), tlsClient("kakeibo").dpop(), selfSignedClient("kakeibo").dpop(),
	} {
		name := f.AuthMethod
		if f.DPoPBoundTokens {
			name += " and DPoP"
		}
		t.Run("FAPI2-MS-5.3.1-1 RFC9101-10.2-1 "+name, func(t *testing.T) {
			f.signs().RequireSignedRequest = true
			b := newBank(t, clients(f))
			if res := b.do(f.pushing(b, f.object(f.asks(b, f.pushable())))); res.StatusCode != 201 {
				t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
			}
			forged := jwt(m{"alg": "ES256", "kid": f.kid}, f.asks(b, f.pushable()), newEC())
			mustRefuse(t, b, b.do(f.pushing(b, forged)), 400, "invalid_request_object", "RFC9101-6.2-1")
			mustRefuse(t, b, b.do(f.request("/par", f.authenticate(b, f.pushable()))), 400, "invalid_request", "RFC9126-2.3-4")
		})
	}
	t.Run("OIDC-SE-8 FAPI2-SP-5.4.3-2 a new key at jwks_uri", func(t *testing.T) {
		s := newKeyServer(t)
		f := tlsClient("kakeibo").signs()
		f.JWKS, f.JWKSURI = nil, s.URL+"/kakeibo"
		s.publish(f.jwk())
		b := newBank(t, clients(f), s.reachable)
		push := func() *http.Response { return b.do(f.pushing(b, f.object(f.asks(b, f.pushable())))) }
		if res := push(); res.StatusCode != 201 {
			t.Fatalf("%d %+v", res.StatusCode, b.lastEvent())
		}
		s.mustFetch(t, 1)
		b.clock.Advance(5 * time.Minute)
		f.rotate()
		s.publish(f.jwk())
		if res := push(); res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
		s.mustFetch(t, 2)
		f.kid = "unknown"
		for range 5 {
			mustRefuse(t, b, push(), 400, "invalid_request_object", "RFC9101-6.2-1")
		}
		if n := s.fetches(); n > 3 {
			t.Errorf("fetched %d times for one unknown kid", n)
		}
	})
	t.Run("OIDR-7 a client that must sign registers keys", func(t *testing.T) {
		f := tlsClient("kakeibo")
		b := newBank(t, clients(f))
		f.RequireSignedRequest = true
		if got := rules(t, b.srv.CheckClient(f.Client)); !slices.Equal(got, []string{"OIDR-7"}) {
			t.Errorf("rules %v", got)
		}
	})
	t.Run("RFC9101-6.2-1 a client without keys", func(t *testing.T) {
		f := tlsClient("kakeibo")
		b := newBank(t, clients(f))
		f.key, f.alg, f.kid = newEC(), "ES256", "x"
		mustRefuse(t, b, b.do(f.pushing(b, f.object(f.asks(b, f.pushable())))), 400, "invalid_request_object", "RFC9101-6.2-1")
	})
}

// TestRequestObjectSize: a request object, as everything, is limited before
// work is done for it.
func TestRequestObjectSize(t *testing.T) {
	f := tlsClient("kakeibo").signs()
	b := newBank(t, clients(f))
	t.Run("JWT-I-6 of 40 kB", func(t *testing.T) {
		c := f.asks(b, with(f.pushable(), "state", strings.Repeat("s", 28000)))
		if res := b.do(f.pushing(b, f.object(c))); res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("JWT-I-6 RFC9126-2.3-5 of 80 kB", func(t *testing.T) {
		c := f.asks(b, with(f.pushable(), "state", strings.Repeat("s", 60000)))
		mustRefuse(t, b, b.do(f.pushing(b, f.object(c))), 413, "invalid_request", "RFC9126-2.3-5")
	})
	t.Run("RFC9101-4-1 more parameters than a form may have", func(t *testing.T) {
		c := f.asks(b, f.pushable())
		for i := range 200 {
			c["x"+strings.Repeat("y", i)] = ""
		}
		mustRefuse(t, b, b.do(f.pushing(b, f.object(c))), 400, "invalid_request_object", "RFC9101-4-1")
	})
}

// TestRequestObjectPrivacy: an operator learns why an object was refused, and
// nothing that stands in one.
func TestRequestObjectPrivacy(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), decrypting(authz.DecryptionKey{ID: "k", Algorithm: "RSA-OAEP-256", Key: rsaKey()}))
	claims := f.asks(b, with(f.pushable(), "login_hint", "hanako@example.jp"))
	signed := f.object(claims)
	secrets := []string{signed, strings.Split(signed, ".")[1], claims["jti"].(string), "hanako", "st-4Jx9"}
	claims["nonce"] = 1
	cut := signed[:len(signed)-8]
	jwe := sealed(m{"alg": "RSA-OAEP-256", "enc": "A256GCM"}, &rsaKey().PublicKey, `{"login_hint":"hanako"}`)
	for _, object := range []string{signed, signed, f.object(claims), cut, cut + "AAAAAAAA", jwe, jwe[:len(jwe)-8] + "AAAAAAAA", "{" + signed} {
		b.do(f.pushing(b, object))
	}
	t.Run("RFC9101-11-1 nothing of it is in an event", func(t *testing.T) {
		if len(b.events) != 8 {
			t.Errorf("%d events, want 8", len(b.events))
		}
		for _, e := range b.events {
			text := fmt.Sprintf("%+v", e)
			for _, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s is in %s", secret, text)
				}
			}
		}
	})
}
