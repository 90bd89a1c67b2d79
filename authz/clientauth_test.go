package authz_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

// An authenticated is an endpoint that authenticates clients, with a request
// that succeeds there if the client is who it says.
type authenticated struct {
	path   string
	status int
	form   func(*fintech) url.Values
}

var authenticatedAt = []authenticated{
	{"/par", 201, (*fintech).pushable},
	{"/token", 200, func(*fintech) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}
	}},
}

// asserting adds a client assertion to v.
func (f *fintech) asserting(v url.Values, assertion string) url.Values {
	v.Set("client_id", f.ID)
	v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	v.Set("client_assertion", assertion)
	return v
}

// TestAssertion changes one thing about a good client assertion, at each
// endpoint that takes one.
func TestAssertion(t *testing.T) {
	type m = map[string]any
	set := func(name string, v any) func(m, m) { return func(_, c m) { c[name] = v } }
	without := func(name string) func(m, m) { return func(_, c m) { delete(c, name) } }
	header := func(name string, v any) func(m, m) { return func(h, _ m) { h[name] = v } }
	tests := []struct {
		name string
		edit func(header, claims m)
		rule string // that refuses it; "" accepts it
	}{
		{"OIDCC-9-1 as it should be", func(_, _ m) {}, ""},

		{"RFC7523-3-1 no iss", without("iss"), "RFC7523-3-1"},
		{"RFC7523-3-1 iss of another client", set("iss", "thief"), "RFC7523-3-1"},
		{"RFC7523-3-1 the server's iss", set("iss", issuer), "RFC7523-3-1"},
		{"RFC7523-3-1 iss in an array", set("iss", []string{"kakeibo"}), "RFC7523-3-1"},
		{"RFC7523-3-1 iss in other case", set("iss", "Kakeibo"), "RFC7523-3-1"},
		{"CT-AS-26 no sub", without("sub"), "RFC7523-3-2"},
		{"RFC7523-3-2 sub is empty", set("sub", ""), "RFC7523-3-2"},
		{"RFC7523-3-2 sub in an array", set("sub", []string{"kakeibo"}), "RFC7523-3-2"},
		{"RFC7523-3-2 sub is another client's", set("sub", "thief"), "RFC7521-4.2-1"},
		{"RFC7521-4.2-1 both names are another client's", func(_, c m) { c["iss"], c["sub"] = "thief", "thief" }, "RFC7521-4.2-1"},

		{"RFC7523-3-3 the issuer as a string", set("aud", issuer), ""},
		{"CONF-1 OIDC-CA-3 the issuer in an array", set("aud", []string{issuer}), "FAPI2-SP-5.3.2.1-8"},
		{"CT-AS-25 an array of two", set("aud", []string{issuer, "https://other.example"}), "FAPI2-SP-5.3.2.1-8"},
		{"RFC7523BIS-2 an array, the issuer last", set("aud", []string{"https://other.example", issuer}), "FAPI2-SP-5.3.2.1-8"},
		{"RFC7523BIS-2 the token endpoint", set("aud", issuer+"/token"), "FAPI2-SP-5.3.2.1-8"},
		{"RFC9126-2-4 the PAR endpoint", set("aud", issuer+"/par"), "FAPI2-SP-5.3.2.1-8"},
		{"CT-AS-25 another server", set("aud", "https://other.example"), "FAPI2-SP-5.3.2.1-8"},
		{"CONF-1 RFC8705-5-5 the mutual TLS alias", set("aud", "https://mtls.bank.example"), "FAPI2-SP-5.3.2.1-8"},
		{"RFC7523BIS-7 a slash at the end", set("aud", issuer+"/"), "FAPI2-SP-5.3.2.1-8"},
		{"RFC7523BIS-7 host in capitals", set("aud", "https://AS.BANK.EXAMPLE"), "FAPI2-SP-5.3.2.1-8"},
		{"RFC7523BIS-7 the default port", set("aud", issuer+":443"), "FAPI2-SP-5.3.2.1-8"},
		{"RFC7523BIS-7 a space at the end", set("aud", issuer+" "), "FAPI2-SP-5.3.2.1-8"},
		{"FAPI2-SP-5.3.2.1-8 no aud", without("aud"), "FAPI2-SP-5.3.2.1-8"},
		{"FAPI2-SP-5.3.2.1-8 aud is null", set("aud", nil), "FAPI2-SP-5.3.2.1-8"},
		{"RFC7523BIS-1 aud is empty", set("aud", ""), "FAPI2-SP-5.3.2.1-8"},
		{"FAPI2-SP-5.3.2.1-8 aud is an object", set("aud", m{"aud": issuer}), "FAPI2-SP-5.3.2.1-8"},

		{"OIDCC-9-1 no jti", without("jti"), "OIDCC-9-1"},
		{"OIDCC-9-1 jti is empty", set("jti", ""), "OIDCC-9-1"},
		{"OIDCC-9-1 jti is a number", set("jti", 7), "OIDCC-9-1"},
		{"CA-I-1 jti of 512 bytes", set("jti", strings.Repeat("j", 512)), ""},
		{"CA-I-1 jti of 513 bytes", set("jti", strings.Repeat("j", 513)), "OIDCC-9-1"},

		{"RFC7523-3-8 unknown claims", func(_, c m) { c["scope"], c["deep"] = "payments", m{"a": []int{1}} }, ""},
		{"RFC7523-3-8 unknown header members", func(h, _ m) { h["x5t"], h["cty"] = "AAAA", "JWT" }, ""},
		{"RFC7523-2.2-2 crit", header("crit", []string{"exp"}), "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 b64", header("b64", false), "RFC7523-2.2-2"},

		{"RFC7523BIS-3 typ client-authentication+jwt", header("typ", "client-authentication+jwt"), ""},
		{"CONF-12 typ in its long form", header("typ", "application/client-authentication+jwt"), ""},
		{"CONF-12 typ JWT", header("typ", "JWT"), ""},
		{"RFC7523BIS-4 no typ", func(h, _ m) { delete(h, "typ") }, ""},
		{"CONF-12 a DPoP proof", header("typ", "dpop+jwt"), "RFC8725-3.12-1"},
		{"CONF-12 an access token", header("typ", "at+jwt"), "RFC8725-3.12-1"},
		{"CONF-12 an access token in its long form", header("typ", "application/at+jwt"), "RFC8725-3.12-1"},
		{"CONF-19 a request object", header("typ", "oauth-authz-req+jwt"), "RFC8725-3.12-1"},
		{"CONF-12 a request object in capitals", header("typ", "OAUTH-AUTHZ-REQ+JWT"), "RFC8725-3.12-1"},
		{"CONF-12 a long form in capitals", header("typ", "Application/DPoP+JWT"), "RFC8725-3.12-1"},
		{"CONF-12 an introspection answer", header("typ", "token-introspection+jwt"), "RFC8725-3.12-1"},
		{"CONF-12 a logout token", header("typ", "logout+jwt"), "RFC8725-3.12-1"},
		{"CONF-12 a security event", header("typ", "secevent+jwt"), "RFC8725-3.12-1"},
		{"CONF-12 typ is a number", header("typ", 1), "RFC7523-2.2-2"},

		{"CONF-19 a response_type", set("response_type", "code"), "RFC9101-10.8-1"},
		{"CONF-19 a redirect_uri", set("redirect_uri", callback), "RFC9101-10.8-1"},
		{"CONF-19 a code_challenge", set("code_challenge", "x"), "RFC9101-10.8-1"},
		{"CONF-19 a response_type that is null", set("response_type", nil), "RFC9101-10.8-1"},
	}
	for _, at := range authenticatedAt {
		for _, tt := range tests {
			t.Run(tt.name+" at "+at.path, func(t *testing.T) {
				f, thief := keyClient("kakeibo"), keyClient("thief")
				b := newBank(t, clients(f, thief), func(c *authz.Config) { c.MTLSBase = "https://mtls.bank.example" })
				h, c := m{"alg": f.alg, "kid": f.kid}, f.assertion(b)
				tt.edit(h, c)
				res := b.do(f.request(at.path, f.asserting(at.form(f), jwt(h, c, f.key))))
				if tt.rule != "" {
					mustRefuse(t, b, res, 401, "invalid_client", tt.rule)
				} else if res.StatusCode != at.status {
					t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
				}
			})
		}
	}
}

// TestAssertionTimes is at the edges, in seconds from the server's clock.
func TestAssertionTimes(t *testing.T) {
	tests := []struct {
		name, claim string
		at          any // float64: that many seconds from now
		rule        string
	}{
		{"RFC7523-3-4 expires in a minute", "exp", 60.0, ""},
		{"RFC7523-3-4 expired nine seconds ago", "exp", -9.0, ""},
		{"RFC7523-3-4 expired ten seconds ago", "exp", -10.0, "RFC7523-3-4"},
		{"CT-AS-27 expired five minutes ago", "exp", -300.0, "RFC7523-3-4"},
		{"RFC7523-3-4 ten minutes and the skew ahead", "exp", 630.0, ""},
		{"RFC7523-3-4 a second more", "exp", 631.0, "RFC7523-3-4"},
		{"RFC7523-3-4 a day ahead", "exp", 86400.0, "RFC7523-3-4"},
		{"RFC7523-3-4 at the end of time", "exp", json.Number("1e300"), "RFC7523-3-4"},
		{"RFC7523-3-4 no exp", "exp", nil, "RFC7523-3-4"},
		{"RFC7523-3-4 exp is a string", "exp", "1800000000", "RFC7523-3-4"},
		{"RFC7523-3-4 exp is null", "exp", json.RawMessage("null"), "RFC7523-3-4"},
		{"RFC7523-3-4 half seconds count", "exp", -9.5, ""},

		{"RFC7523-3-5 valid a while already", "nbf", -300.0, ""},
		{"FAPI2-SP-5.3.2.1-13a valid in 8 seconds", "nbf", 8.0, ""},
		{"FAPI2-SP-5.3.2.1-13a valid in 10 seconds", "nbf", 10.0, ""},
		{"CONF-9 valid in 30 seconds", "nbf", 30.0, ""},
		{"CONF-9 valid in 31 seconds", "nbf", 31.0, "FAPI2-SP-5.3.2.1-13b"},
		{"FAPI2-SP-5.3.2.1-13b valid in 61 seconds", "nbf", 61.0, "FAPI2-SP-5.3.2.1-13b"},
		{"CT-AS-28 valid in 70 seconds", "nbf", 70.0, "FAPI2-SP-5.3.2.1-13b"},
		{"RFC7523-3-5 nbf is a string", "nbf", "0", "FAPI2-SP-5.3.2.1-13b"},
		{"RFC7523-3-5 nbf is null", "nbf", json.RawMessage("null"), "FAPI2-SP-5.3.2.1-13b"},

		{"OIDCC-9-1 no iat", "iat", nil, ""},
		{"CT-AS-28 issued in 8 seconds", "iat", 8.0, ""},
		{"CONF-9 issued in 30 seconds", "iat", 30.0, ""},
		{"CONF-9 issued in 31 seconds", "iat", 31.0, "FAPI2-SP-5.3.2.1-13b"},
		{"CT-AS-28 issued in 70 seconds", "iat", 70.0, "FAPI2-SP-5.3.2.1-13b"},
		{"OIDCC-9-1 iat is a string", "iat", "now", "FAPI2-SP-5.3.2.1-13b"},
		{"OIDCC-9-1 iat is an array", "iat", []int{0}, "FAPI2-SP-5.3.2.1-13b"},
	}
	for _, at := range authenticatedAt {
		for _, tt := range tests {
			t.Run(tt.name+" at "+at.path, func(t *testing.T) {
				f := keyClient("kakeibo")
				b := newBank(t, clients(f))
				c := f.assertion(b)
				switch v := tt.at.(type) {
				case nil:
					delete(c, tt.claim)
				case float64:
					c[tt.claim] = float64(b.clock.Now().Unix()) + v
				default:
					c[tt.claim] = v
				}
				res := b.do(f.request(at.path, f.asserting(at.form(f), f.signed(c))))
				if tt.rule != "" {
					mustRefuse(t, b, res, 401, "invalid_client", tt.rule)
				} else if res.StatusCode != at.status {
					t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
				}
			})
		}
	}
}

// TestAssertionForm is about what is not one compact JWS with strict claims,
// or not called what it is.
func TestAssertionForm(t *testing.T) {
	raw := func(f *fintech, claims string) string {
		h, _ := json.Marshal(map[string]any{"alg": f.alg, "kid": f.kid})
		return signJWS(f.alg, b64url(h)+"."+b64url([]byte(claims)), f.key)
	}
	claims := func(f *fintech, b *bank) string {
		c, _ := json.Marshal(f.assertion(b))
		return string(c)
	}
	tests := []struct {
		name string
		with func(f *fintech, b *bank, v url.Values)
		rule string
	}{
		{"RFC7523-2.2-1 no client_assertion_type", func(f *fintech, b *bank, v url.Values) { v.Del("client_assertion_type") }, "RFC7523-2.2-1"},
		{"RFC7523-2.2-1 SAML", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		}, "RFC7523-2.2-1"},
		{"RFC7523-2.2-1 type in capitals", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion_type", strings.ToUpper(v.Get("client_assertion_type")))
		}, "RFC7523-2.2-1"},
		{"RFC7523-2.2-1 the grant's type", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
		}, "RFC7523-2.2-1"},
		{"RFC7523-2.2-2 no client_assertion", func(f *fintech, b *bank, v url.Values) { v.Del("client_assertion") }, "RFC7523-2.2-2"},
		{"RFC7523-3.2-1 an empty client_assertion", func(f *fintech, b *bank, v url.Values) { v.Set("client_assertion", "") }, "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 two in one", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion", v.Get("client_assertion")+" "+v.Get("client_assertion"))
		}, "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 a line feed at the end", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion", v.Get("client_assertion")+"\n")
		}, "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 base64 with padding", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion", v.Get("client_assertion")+"==")
		}, "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 five parts", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion", v.Get("client_assertion")+".AAAA.AAAA")
		}, "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 the JSON serialization", func(f *fintech, b *bank, v url.Values) {
			p := strings.Split(v.Get("client_assertion"), ".")
			v.Set("client_assertion", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2]))
		}, "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 claims that are an array", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion", raw(f, `[`+claims(f, b)+`]`))
		}, "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 a claim that occurs twice", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion", raw(f, strings.Replace(claims(f, b), `{`, `{"sub":"thief",`, 1)))
		}, "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 a claim in two spellings", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion", raw(f, strings.Replace(claims(f, b), `{`, `{"Sub":"thief",`, 1)))
		}, "RFC7523-2.2-2"},
		{"RFC7523-2.2-2 data after the claims", func(f *fintech, b *bank, v url.Values) {
			v.Set("client_assertion", raw(f, claims(f, b)+"{}"))
		}, "RFC7523-2.2-2"},
		{"RFC7521-4.2-1 client_id of another client", func(f *fintech, b *bank, v url.Values) { v.Set("client_id", "thief") }, "RFC7521-4.2-1"},
		{"CT-AS-18 client_id in capitals", func(f *fintech, b *bank, v url.Values) { v.Set("client_id", "KAKEIBO") }, "RFC7521-4.2-1"},
		{"CT-AS-23 client_id alone", func(f *fintech, b *bank, v url.Values) {
			v.Del("client_assertion")
			v.Del("client_assertion_type")
		}, "RFC6749-2.3-2"},
		{"CONF-14 nothing at all", func(f *fintech, b *bank, v url.Values) {
			for _, name := range []string{"client_id", "client_assertion", "client_assertion_type"} {
				v.Del(name)
			}
		}, "RFC8705-2-3"},
	}
	for _, at := range authenticatedAt {
		for _, tt := range tests {
			t.Run(tt.name+" at "+at.path, func(t *testing.T) {
				f, thief := keyClient("kakeibo"), keyClient("thief")
				b := newBank(t, clients(f, thief))
				v := f.authenticate(b, at.form(f))
				tt.with(f, b, v)
				mustRefuse(t, b, b.do(f.request(at.path, v)), 401, "invalid_client", tt.rule)
			})
		}
	}
	t.Run("RFC7521-4.2-1 client_id may be left out at the token endpoint", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := f.authenticate(b, url.Values{"grant_type": {"client_credentials"}})
		v.Del("client_id")
		if res := b.do(f.request("/token", v)); res.StatusCode != 200 {
			t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
		}
	})
	t.Run("RFC7521-4.2-1 signed by one client in the name of another", func(t *testing.T) {
		f, thief := keyClient("kakeibo"), keyClient("thief")
		b := newBank(t, clients(f, thief))
		c := f.assertion(b)
		v := url.Values{"grant_type": {"client_credentials"}}
		thief.asserting(v, thief.signed(c)).Del("client_id")
		mustRefuse(t, b, b.do(thief.request("/token", v)), 401, "invalid_client", "RFC7523-3-7")
	})
}

// TestAssertionSize: 16 KiB are read and no more.
func TestAssertionSize(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	sized := func(n int) string { // to the byte, by padding header and claims
		const signature = 1 + 86
		c := f.assertion(b)
		for pad := n/4*3 - 600; ; pad++ {
			c["pad"] = strings.Repeat("x", pad)
			for _, more := range []string{"", "x", "xx"} {
				h := map[string]any{"alg": f.alg, "kid": f.kid, "pad": more}
				if len(unsigned(h, c))+signature == n {
					return jwt(h, c, f.key)
				}
			}
		}
	}
	v := url.Values{"grant_type": {"client_credentials"}}
	t.Run("RFC7523-2.2-2 16384 bytes", func(t *testing.T) {
		if res := b.do(f.request("/token", f.asserting(v, sized(16384)))); res.StatusCode != 200 {
			t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
		}
	})
	t.Run("RFC7523-2.2-2 16385 bytes", func(t *testing.T) {
		mustRefuse(t, b, b.do(f.request("/token", f.asserting(v, sized(16385)))), 401, "invalid_client", "RFC7523-2.2-2")
	})
}

// TestOtherTokensAsAssertion: what the server itself signed for a client, or
// for its customer, authenticates nobody.
func TestOtherTokensAsAssertion(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	got := f.tokens(b)
	_, own := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
	for name, token := range map[string]any{
		"CONF-12 its access token": got["access_token"], "CONF-12 its ID token": got["id_token"], "CONF-12 the token of its own": own["access_token"],
	} {
		for _, named := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				v := f.asserting(url.Values{"grant_type": {"client_credentials"}}, token.(string))
				if !named {
					v.Del("client_id")
				}
				res := b.do(f.request("/token", v))
				if got := object(t, res); res.StatusCode != 401 || got["error"] != "invalid_client" {
					t.Errorf("answer is %d %v", res.StatusCode, got)
				}
			})
		}
	}
}

func TestAssertionReplay(t *testing.T) {
	credentials := authenticatedAt[1].form
	for _, first := range authenticatedAt {
		for _, second := range authenticatedAt {
			t.Run("RFC7523-3-6 used at "+first.path+", then at "+second.path, func(t *testing.T) {
				f := keyClient("kakeibo")
				b := newBank(t, clients(f))
				a := f.signed(f.assertion(b))
				if res := b.do(f.request(first.path, f.asserting(first.form(f), a))); res.StatusCode != first.status {
					t.Fatalf("first: %d", res.StatusCode)
				}
				mustRefuse(t, b, b.do(f.request(second.path, f.asserting(second.form(f), a))), 401, "invalid_client", "RFC7523-3-6")
			})
		}
	}
	t.Run("CA-I-1 used at one node, then at another", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		other := newBank(t, clients(f), func(c *authz.Config) { c.Store = b.config.Store })
		v := f.authenticate(b, credentials(f))
		if res := b.do(f.request("/token", v)); res.StatusCode != 200 {
			t.Fatalf("first: %d", res.StatusCode)
		}
		mustRefuse(t, other, other.do(f.request("/token", v)), 401, "invalid_client", "RFC7523-3-6")
	})
	t.Run("RFC7523-3-6 the same jti in another assertion", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		c := f.assertion(b)
		if res := b.do(f.request("/token", f.asserting(credentials(f), f.signed(c)))); res.StatusCode != 200 {
			t.Fatalf("first: %d", res.StatusCode)
		}
		c["exp"] = c["exp"].(int64) + 1
		mustRefuse(t, b, b.do(f.request("/token", f.asserting(credentials(f), f.signed(c)))), 401, "invalid_client", "RFC7523-3-6")
	})
	t.Run("RFC7523-3-6 the same jti in another spelling", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		c := f.assertion(b)
		c["jti"] = "jjjj"
		if res := b.do(f.request("/token", f.asserting(credentials(f), f.signed(c)))); res.StatusCode != 200 {
			t.Fatalf("first: %d", res.StatusCode)
		}
		claims, _ := json.Marshal(c)
		claims = bytes.Replace(claims, []byte(`"jjjj"`), []byte(`"\u006ajjj"`), 1)
		h, _ := json.Marshal(map[string]any{"alg": f.alg, "kid": f.kid})
		a := signJWS(f.alg, b64url(h)+"."+b64url(claims), f.key)
		mustRefuse(t, b, b.do(f.request("/token", f.asserting(credentials(f), a))), 401, "invalid_client", "RFC7523-3-6")
	})
	t.Run("CA-I-1 the same jti of two clients", func(t *testing.T) {
		f, other := keyClient("kakeibo"), keyClient("other")
		b := newBank(t, clients(f, other))
		for _, f := range []*fintech{f, other} {
			c := f.assertion(b)
			c["jti"] = "1"
			if res := b.do(f.request("/token", f.asserting(credentials(f), f.signed(c)))); res.StatusCode != 200 {
				t.Errorf("%s: %d %v", f.ID, res.StatusCode, object(t, res))
			}
		}
	})
	t.Run("CA-I-1 client and jti are not run together", func(t *testing.T) {
		f, other := keyClient("a"), keyClient("ab")
		b := newBank(t, clients(f, other))
		for f, jti := range map[*fintech]string{f: "bc", other: "c"} {
			c := f.assertion(b)
			c["jti"] = jti
			if res := b.do(f.request("/token", f.asserting(credentials(f), f.signed(c)))); res.StatusCode != 200 {
				t.Errorf("%s: %d %v", f.ID, res.StatusCode, object(t, res))
			}
		}
	})
	t.Run("CA-I-1 again until it has expired, and the leeway after", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := f.authenticate(b, credentials(f)) // for 60 seconds
		if res := b.do(f.request("/token", v)); res.StatusCode != 200 {
			t.Fatalf("first: %d", res.StatusCode)
		}
		b.clock.Advance(69 * time.Second)
		mustRefuse(t, b, b.do(f.request("/token", v)), 401, "invalid_client", "RFC7523-3-6")
		b.clock.Advance(time.Second)
		mustRefuse(t, b, b.do(f.request("/token", v)), 401, "invalid_client", "RFC7523-3-4")
	})
	t.Run("CA-I-1 the store is asked to keep it for as long", func(t *testing.T) {
		f := keyClient("kakeibo")
		spy := &spyStore{}
		b := newBank(t, clients(f), func(c *authz.Config) {
			spy.Store = c.Store
			c.Store = spy
		})
		c := f.assertion(b)
		if res := b.do(f.request("/token", f.asserting(credentials(f), f.signed(c)))); res.StatusCode != 200 {
			t.Fatalf("first: %d", res.StatusCode)
		}
		if len(spy.created) != 1 {
			t.Fatalf("%d records, want 1", len(spy.created))
		}
		if r := spy.created[0]; r.Expires.Before(time.Unix(c["exp"].(int64), 0).Add(10*time.Second)) || len(r.Value) != 0 {
			t.Errorf("record is %+v", r)
		}
	})
	// Order of checks: what is refused costs the client nothing.
	sloppy := []struct {
		name string
		at   authenticated
		with func(url.Values)
	}{
		{"FAPI2-SP-5.3.2.2-6 a push without redirect_uri", authenticatedAt[0], func(v url.Values) { v.Del("redirect_uri") }},
		{"RFC6749-5.2-4 an unknown grant_type", authenticatedAt[1], func(v url.Values) { v.Set("grant_type", "x") }},
		{"RFC6749-5.2-3 an unknown scope", authenticatedAt[1], func(v url.Values) { v.Set("scope", "x") }},
	}
	for _, tt := range sloppy {
		t.Run(tt.name+" does not use the assertion up", func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			a := f.signed(f.assertion(b))
			bad := tt.at.form(f)
			tt.with(bad)
			if res := b.do(f.request(tt.at.path, f.asserting(bad, a))); res.StatusCode != 400 {
				t.Fatalf("the sloppy request is answered %d", res.StatusCode)
			}
			if res := b.do(f.request(tt.at.path, f.asserting(tt.at.form(f), a))); res.StatusCode != tt.at.status {
				t.Errorf("then: %d %v", res.StatusCode, object(t, res))
			}
		})
	}
	for _, at := range authenticatedAt {
		t.Run("RFC7523-3-6 fails closed at "+at.path, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), func(c *authz.Config) {
				c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error {
					if op == "Create" && strings.HasPrefix(key, "j") {
						return errors.New("down")
					}
					return nil
				}}
			})
			res := b.do(f.request(at.path, f.authenticate(b, at.form(f))))
			if got := object(t, res); res.StatusCode != 503 || got["error"] != "server_error" {
				t.Errorf("answer is %d %v", res.StatusCode, got)
			}
		})
	}
}

// A spyStore shows what is kept.
type spyStore struct {
	store.Store
	mu      sync.Mutex
	created []store.Record
}

func (s *spyStore) Create(ctx context.Context, r store.Record) error {
	s.mu.Lock()
	s.created = append(s.created, r)
	s.mu.Unlock()
	return s.Store.Create(ctx, r)
}

// TestRegisteredMethod: each client by the one method it registered.
func TestRegisteredMethod(t *testing.T) {
	byKey, byCA, byCert := keyClient("by-key"), tlsClient("by-ca"), selfSignedClient("by-cert")
	all := []*fintech{byKey, byCA, byCert}
	secret := func(v url.Values) { v.Set("client_secret", "s3cr3t") }
	borrowed := func(f *fintech, b *bank, v url.Values) { // an assertion, rightly signed by a key of the client's own
		f.key, f.alg, f.kid = newEC(), "ES256", "x"
		f.asserting(v, f.signed(f.assertion(b)))
	}
	for _, at := range authenticatedAt {
		for _, f := range all {
			b := newBank(t, clients(all...))
			t.Run("RFC8705-2-6 "+f.AuthMethod+" at "+at.path, func(t *testing.T) {
				if res := b.do(f.request(at.path, f.authenticate(b, at.form(f)))); res.StatusCode != at.status {
					t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
				}
			})
			t.Run("FAPI2-SP-5.3.2.1-6 client_secret_post by "+f.AuthMethod+" at "+at.path, func(t *testing.T) {
				v := at.form(f)
				v.Set("client_id", f.ID)
				secret(v)
				mustRefuse(t, b, b.do(f.request(at.path, v)), 401, "invalid_client", "FAPI2-SP-5.3.2.1-6")
			})
		}
		b := newBank(t, clients(all...))
		t.Run("RFC8705-2-1 and RFC9126-2-3 a certificate is not the method of "+byKey.ID+" at "+at.path, func(t *testing.T) {
			v := at.form(byKey)
			v.Set("client_id", byKey.ID)
			mustRefuse(t, b, b.do(byKey.request(at.path, v)), 401, "invalid_client", "RFC6749-2.3-2")
		})
		for _, f := range []*fintech{byCA, byCert} {
			t.Run("RFC6749-2.3-2 an assertion is not the method of "+f.ID+" at "+at.path, func(t *testing.T) {
				copied := *f
				v := at.form(f)
				borrowed(&copied, b, v)
				mustRefuse(t, b, b.do(f.request(at.path, v)), 401, "invalid_client", "RFC6749-2.3-2")
			})
			t.Run("RFC8705-2-3 the client is not guessed from its certificate, "+f.ID+" at "+at.path, func(t *testing.T) {
				mustRefuse(t, b, b.do(f.request(at.path, at.form(f))), 401, "invalid_client", "RFC8705-2-3")
			})
		}
	}
	t.Run("RFC6749-2.3-2 a JWK Set does not make a client of the PKI method a client of private_key_jwt", func(t *testing.T) {
		f, key := tlsClient("by-ca"), newEC()
		f.JWKS = jwks(publicJWK(key.Public(), "x", "ES256"))
		f.key, f.alg, f.kid = key, "ES256", "x"
		b := newBank(t, clients(f))
		v := f.asserting(authenticatedAt[1].form(f), f.signed(f.assertion(b)))
		mustRefuse(t, b, b.do(f.request("/token", v)), 401, "invalid_client", "RFC6749-2.3-2")
	})
	for _, method := range []string{"", "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "attest_jwt_client_auth"} {
		t.Run("FAPI2-SP-5.3.2.1-3 registered for "+method, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.AuthMethod = method
			b := newBank(t, clients(f))
			v := url.Values{"grant_type": {"client_credentials"}, "client_id": {f.ID}}
			mustRefuse(t, b, b.do(f.request("/token", v)), 401, "invalid_client", "FAPI2-SP-5.3.2.1-6")
			f.asserting(v, f.signed(f.assertion(b)))
			mustRefuse(t, b, b.do(f.request("/token", v)), 401, "invalid_client", "FAPI2-SP-5.3.2.1-6")
		})
	}
}

// registryFunc is a registry of the tests' own.
type registryFunc func(id string) (*authz.Client, error)

func (f registryFunc) Client(_ context.Context, id string) (*authz.Client, error) { return f(id) }

func TestRegistry(t *testing.T) {
	f, other := keyClient("kakeibo"), keyClient("other")
	with := func(t *testing.T, r registryFunc) (*bank, *[]string) {
		var asked []string
		b := newBank(t, nil, func(c *authz.Config) {
			c.Clients = registryFunc(func(id string) (*authz.Client, error) {
				asked = append(asked, id)
				return r(id)
			})
		})
		return b, &asked
	}
	for _, at := range authenticatedAt {
		t.Run("RFC6749-5.2-2 an unknown client at "+at.path, func(t *testing.T) {
			b, _ := with(t, func(string) (*authz.Client, error) { return nil, fmt.Errorf("row 7: %w", authz.ErrNoClient) })
			mustRefuse(t, b, b.do(f.request(at.path, f.authenticate(b, at.form(f)))), 401, "invalid_client", "RFC6749-5.2-2")
		})
		outages := map[string]registryFunc{
			"an outage of the registry is the server's": func(string) (*authz.Client, error) { return nil, errors.New("dial 192.0.2.7: refused") },
			"a registry that returns an Error of ours": func(string) (*authz.Client, error) {
				return nil, &authz.Error{Code: authz.AccessDenied, Description: "row 7"}
			},
			"a registry that returns another client":      func(string) (*authz.Client, error) { return other.Client, nil },
			"a registry that ignores case":                func(string) (*authz.Client, error) { c := *f.Client; c.ID = "KAKEIBO"; return &c, nil },
			"a registry that returns neither":             func(string) (*authz.Client, error) { return nil, nil },
			"a registry that returns a client and an err": func(string) (*authz.Client, error) { return f.Client, errors.New("stale") },
		}
		for name, r := range outages {
			t.Run("RFC6749-5.2-2 "+name+" at "+at.path, func(t *testing.T) {
				b, _ := with(t, r)
				res := b.do(f.request(at.path, f.authenticate(b, at.form(f))))
				got := object(t, res)
				if res.StatusCode != 503 || got["error"] != "server_error" || len(got) != 1 {
					t.Errorf("answer is %d %v", res.StatusCode, got)
				}
				checkErrorAnswer(t, res, got)
				if e := b.lastEvent(); e.Kind != "request_failed" || e.Client != "kakeibo" || !strings.Contains(e.Reason, "client registry") {
					t.Errorf("the operator is told %+v", e)
				}
			})
		}
		strange := []struct {
			name, id string
			asked    bool
			rule     string
		}{
			{"of 255 characters", strings.Repeat("k", 255), true, "RFC6749-5.2-2"},
			{"of 256 characters", strings.Repeat("k", 256), false, "RFC6749-5.2-2"},
			{"of 60000 characters", strings.Repeat("k", 60000), false, "RFC6749-5.2-2"},
			{"with quotes and spaces", `a "b" \c'--`, true, "RFC6749-5.2-2"},
			{"with a line feed", "a\nb", false, "RFC6749-A-1"},
			{"with a DEL", "a\x7f", false, "RFC6749-A-1"},
			{"outside ASCII", "kakéibo", false, "RFC6749-A-1"},
		}
		for _, tt := range strange {
			t.Run("RFC6749-A-1 a client_id "+tt.name+" at "+at.path, func(t *testing.T) {
				b, asked := with(t, func(string) (*authz.Client, error) { return nil, authz.ErrNoClient })
				v := at.form(f)
				v.Set("client_id", tt.id)
				mustRefuse(t, b, b.do(f.request(at.path, v)), 401, "invalid_client", tt.rule)
				if len(*asked) > 0 != tt.asked {
					t.Errorf("the registry was asked for %q", *asked)
				}
				if e := b.lastEvent(); len(e.Client) > 255 || strings.ContainsAny(e.Client, "\n\x7fé") {
					t.Errorf("the event has client %q", e.Client)
				}
			})
		}
		t.Run("RFC6749-A-1 a NUL by way of the assertion at "+at.path, func(t *testing.T) {
			b, asked := with(t, func(string) (*authz.Client, error) { return nil, errors.New("invalid byte sequence: 0x00") })
			c := f.assertion(b)
			c["sub"] = "kakeibo\x00"
			v := f.asserting(at.form(f), f.signed(c))
			v.Del("client_id")
			mustRefuse(t, b, b.do(f.request(at.path, v)), 401, "invalid_client", "RFC6749-A-1")
			if len(*asked) > 0 {
				t.Errorf("the registry was asked for %q", *asked)
			}
		})
	}
	t.Run("CA-I-2 an unknown client and a wrong key get the same answer", func(t *testing.T) {
		b := newBank(t, clients(f))
		impostor := keyClient("kakeibo")
		stranger := keyClient("stranger")
		var answers []string
		for _, f := range []*fintech{impostor, stranger} {
			res := b.do(f.request("/token", f.authenticate(b, authenticatedAt[1].form(f))))
			body, _ := json.Marshal(object(t, res))
			answers = append(answers, fmt.Sprint(res.StatusCode, res.Header, string(body)))
		}
		if answers[0] != answers[1] {
			t.Errorf("they differ:\n%s\n%s", answers[0], answers[1])
		}
	})
}
