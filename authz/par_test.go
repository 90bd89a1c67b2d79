package authz_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/pkce"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

// TestPush is a good pushed request with one thing changed. Whatever is wrong
// with it the client learns here, and no customer is disturbed.
func TestPush(t *testing.T) {
	set := func(name string, v ...string) func(url.Values) { return func(f url.Values) { f[name] = v } }
	without := func(name string) func(url.Values) { return func(f url.Values) { f.Del(name) } }
	tests := []struct {
		name string
		with func(url.Values)
		code string // "" accepts it
		rule string
	}{
		{"FAPI2-SP-5.3.2.2-2 as it should be", func(url.Values) {}, "", ""},

		{"FAPI2-SP-5.3.2.2-1 no response_type", without("response_type"), "invalid_request", "RFC6749-3.1.1-1"},
		{"RFC6749-3.1.1-1 an empty response_type", set("response_type", ""), "invalid_request", "RFC6749-3.1.1-1"},
		{"CT-AS-14 response_type token", set("response_type", "token"), "unsupported_response_type", "FAPI2-SP-5.3.2.2-1"},
		{"CT-AS-14 response_type code id_token", set("response_type", "code id_token"), "unsupported_response_type", "FAPI2-SP-5.3.2.2-1"},
		{"FAPI2-SP-5.3.2.2-1 response_type id_token code", set("response_type", "id_token code"), "unsupported_response_type", "FAPI2-SP-5.3.2.2-1"},
		{"FAPI2-SP-5.3.2.2-1 response_type code token", set("response_type", "code token"), "unsupported_response_type", "FAPI2-SP-5.3.2.2-1"},
		{"FAPI2-SP-5.3.2.2-1 response_type id_token", set("response_type", "id_token"), "unsupported_response_type", "FAPI2-SP-5.3.2.2-1"},
		{"FAPI2-SP-5.3.2.2-1 response_type none", set("response_type", "none"), "unsupported_response_type", "FAPI2-SP-5.3.2.2-1"},
		{"FAPI2-SP-5.3.2.2-1 response_type Code", set("response_type", "Code"), "unsupported_response_type", "FAPI2-SP-5.3.2.2-1"},
		{"FAPI2-SP-5.3.2.2-1 response_type code with a space", set("response_type", "code "), "unsupported_response_type", "FAPI2-SP-5.3.2.2-1"},

		{"CT-AS-15 no code_challenge", without("code_challenge"), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"FAPI2-SP-5.3.2.2-5 no PKCE at all", func(v url.Values) { v.Del("code_challenge"); v.Del("code_challenge_method") }, "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"CT-AS-16 plain", set("code_challenge_method", "plain"), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"RFC7636-4.3-2 no method, which means plain", without("code_challenge_method"), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"RFC7636-4.4.1-1 an unknown method", set("code_challenge_method", "S512"), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"RFC7636-4.4.1-1 s256", set("code_challenge_method", "s256"), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"RFC7636-4.3-1 a challenge of 42 characters", set("code_challenge", pkce.Challenge(verifier)[:42]), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"RFC7636-4.3-1 a challenge of 44 characters", set("code_challenge", pkce.Challenge(verifier)+"A"), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"RFC7636-4.3-1 a challenge with padding", set("code_challenge", pkce.Challenge(verifier)+"="), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"RFC7636-4.3-1 a challenge that is a verifier of 128", set("code_challenge", strings.Repeat("a", 128)), "invalid_request", "FAPI2-SP-5.3.2.2-5"},
		{"RFC7636-4.3-1 a challenge in base64", set("code_challenge", strings.Repeat("+/", 21)+"A"), "invalid_request", "FAPI2-SP-5.3.2.2-5"},

		{"CT-AS-12 CONF-32 no redirect_uri", without("redirect_uri"), "invalid_request", "FAPI2-SP-5.3.2.2-6"},
		{"OIDC-AR-3 an empty redirect_uri", set("redirect_uri", ""), "invalid_request", "FAPI2-SP-5.3.2.2-6"},
		{"RFC9126-2.3-2 another host", set("redirect_uri", "https://evil.example/cb"), "invalid_request", "RFC9700-2.1-1"},
		{"CT-AS-13 a longer path", set("redirect_uri", callback+"/more"), "invalid_request", "RFC9700-2.1-1"},
		{"RFC9126-2.4-1 a query of its own", set("redirect_uri", callback+"?x=1"), "invalid_request", "RFC9700-2.1-1"},
		{"CONF-10 a slash at the end", set("redirect_uri", callback+"/"), "invalid_request", "RFC9700-2.1-1"},
		{"CONF-10 a fragment", set("redirect_uri", callback+"#"), "invalid_request", "RFC9700-2.1-1"},
		{"CONF-10 host in capitals", set("redirect_uri", "https://APP.fintech.example/cb"), "invalid_request", "RFC9700-2.1-1"},
		{"CONF-10 the default port", set("redirect_uri", "https://app.fintech.example:443/cb"), "invalid_request", "RFC9700-2.1-1"},
		{"CONF-10 a path that means the same", set("redirect_uri", "https://app.fintech.example/x/../cb"), "invalid_request", "RFC9700-2.1-1"},
		{"CONF-10 an escape that means the same", set("redirect_uri", "https://app.fintech.example/%63b"), "invalid_request", "RFC9700-2.1-1"},
		{"RFC9126-7.2-1 the registered one as user name", set("redirect_uri", "https://app.fintech.example@evil.example/cb"), "invalid_request", "RFC9700-2.1-1"},
		{"CONF-10 a space before it", set("redirect_uri", " "+callback), "invalid_request", "RFC9700-2.1-1"},
		{"OIDC-AR-4 http", set("redirect_uri", "http://app.fintech.example/cb"), "invalid_request", "RFC9700-2.1-1"},
		{"FAPI2-SP-5.3.2.2-8 loopback of a web client", set("redirect_uri", "http://127.0.0.1/cb"), "invalid_request", "RFC9700-2.1-1"},

		{"RFC9126-2.1-1 no client_id", without("client_id"), "invalid_request", "RFC9126-2.1-1"},
		{"RFC9126-2.1-2 a request_uri", set("request_uri", "urn:ietf:params:oauth:request_uri:Hq7w2Xn5Rb8Tc1Lk4Vz9Pm3Sd6Fg0YjA"), "invalid_request", "RFC9126-2.1-2"},
		{"CT-AS-33 a request_uri of the client's", set("request_uri", "https://app.fintech.example/request.jwt"), "invalid_request", "RFC9126-2.1-2"},
		{"RFC6749-3.1-2 an empty request_uri is none", set("request_uri", ""), "", ""},
		{"RFC9126-3-1 what is no request object", set("request", "eyJ.eyJ.AAAA"), "invalid_request_object", "RFC9101-4-3"},
		{"RFC9126-2.1-4 parameters of the token endpoint", func(v url.Values) {
			v.Set("grant_type", "password")
			v.Set("code", "x")
			v.Set("code_verifier", "y")
			v.Set("refresh_token", "z")
		}, "", ""},
		{"RFC9126-2.1-5 two states", set("state", "a", "b"), "invalid_request", "RFC6749-3.1-2"},
		{"RFC9126-2.1-5 the same state twice", set("state", "a", "a"), "invalid_request", "RFC6749-3.1-2"},
		{"OIDC-AR-21 two nonces, one of them empty", set("nonce", "", "a"), "invalid_request", "RFC6749-3.1-2"},
		{"RFC9126-2.1-5 an unknown parameter twice", set("foo", "1", "2"), "invalid_request", "RFC6749-3.1-2"},
		{"RFC7523-2.2-2 two assertions", func(v url.Values) {
			v["client_assertion"] = append(v["client_assertion"], v["client_assertion"][0])
		}, "invalid_request", "RFC6749-3.1-2"},
		{"RFC9126-2.1-5 two resources, both the API", set("resource", resource, resource), "", ""},
		{"RFC9126-2.1-3 a resource that is unknown", set("resource", resource, "https://evil.example"), "invalid_target", "RFC8707-2-3"},
		{"RFC9126-2.1-3 authorization_details", set("authorization_details", `[{"type":"x"}]`), "invalid_authorization_details", "RFC9396-5-1"},
		{"OIDC-AR-20 unknown parameters", func(v url.Values) { v.Set("foo", "bar"); v.Set("FOO", "baz") }, "", ""},

		{"CT-AS-9 scopes in other order", set("scope", "accounts openid"), "", ""},
		{"RFC6749-3.3-1 spaces too many", set("scope", " accounts  openid "), "", ""},
		{"RFC6749-3.3-2 no scope", without("scope"), "invalid_scope", "RFC6749-3.3-2"},
		{"RFC6749-3.3-2 a scope of spaces", set("scope", "  "), "invalid_scope", "RFC6749-3.3-2"},
		{"RFC6749-3.3-1 a scope in capitals", set("scope", "Accounts"), "invalid_scope", "RFC6749-5.2-3"},
		{"RFC6749-5.2-3 a scope nobody offers", set("scope", "openid admin"), "invalid_scope", "RFC6749-5.2-3"},
		{"RFC9126-2.1-3 a scope the client did not register", set("scope", "openid payments"), "invalid_scope", "RFC6749-5.2-3"},
		{"RFC6749-3.3-1 a scope with a quote", set("scope", `acc"ounts`), "invalid_scope", "RFC6749-3.3-1"},
		{"RFC6749-3.3-1 a scope with a backslash", set("scope", `acc\ounts`), "invalid_scope", "RFC6749-3.3-1"},
		{"RFC6749-3.3-1 a tab between scopes", set("scope", "openid\taccounts"), "invalid_scope", "RFC6749-3.3-1"},
		{"RFC6749-3.3-1 a line feed after a scope", set("scope", "accounts\n"), "invalid_scope", "RFC6749-3.3-1"},
		{"OIDC-AR-28 a space that is not U+0020", set("scope", "openid\u00a0accounts"), "invalid_scope", "RFC6749-3.3-1"},
		{"OIDC-AR-2 without openid", set("scope", "accounts"), "", ""},

		{"CT-AS-4 no state", without("state"), "", ""},
		{"CT-AS-5 no nonce", without("nonce"), "", ""},
		{"FAPI2-SP-5.3.2.2-14 a nonce of 512 bytes", set("nonce", strings.Repeat("n", 512)), "", ""},
		{"CONF-16 a nonce of 513 bytes", set("nonce", strings.Repeat("n", 513)), "invalid_request", "FAPI2-SP-5.3.2.2-14"},
		{"OIDC-AR-6 response_mode query", set("response_mode", "query"), "", ""},
		{"OIDC-AR-6 response_mode fragment", set("response_mode", "fragment"), "invalid_request", "OIDC-AR-6"},
		{"OIDC-AR-6 response_mode form_post", set("response_mode", "form_post"), "invalid_request", "OIDC-AR-6"},
		{"JARM-2.3-5 response_mode jwt", set("response_mode", "jwt"), "", ""},
		{"JARM-2.3-1 response_mode query.jwt", set("response_mode", "query.jwt"), "", ""},
		{"JARM-2.3-3 response_mode fragment.jwt", set("response_mode", "fragment.jwt"), "invalid_request", "OIDC-AR-6"},
		{"JARM-2.3-4 response_mode form_post.jwt", set("response_mode", "form_post.jwt"), "invalid_request", "OIDC-AR-6"},
		{"OIDC-AR-6 response_mode JWT", set("response_mode", "JWT"), "invalid_request", "OIDC-AR-6"},
		{"OIDC-AR-6 response_mode foo", set("response_mode", "foo"), "invalid_request", "OIDC-AR-6"},
		{"OIDC-AR-8 display", set("display", "foo"), "", ""},
		{"RFC9126-2.3-3 prompt=none", set("prompt", "none"), "", ""},
		{"OIDC-AR-9 login and consent", set("prompt", "login consent select_account"), "", ""},
		{"OIDC-AR-9 none and login", set("prompt", "none login"), "invalid_request", "OIDC-AR-9"},
		{"OIDC-AR-9 login and none", set("prompt", "login none"), "invalid_request", "OIDC-AR-9"},
		{"OIDC-AR-9 None", set("prompt", "None"), "invalid_request", "OIDC-AR-9"},
		{"OIDC-AR-9 foo", set("prompt", "foo"), "invalid_request", "OIDC-AR-9"},
		{"OIDC-AR-9 create", set("prompt", "create"), "invalid_request", "OIDC-AR-9"},
		{"OIDC-AR-14 max_age 0", set("max_age", "0"), "", ""},
		{"OIDC-AR-14 max_age 2147483647", set("max_age", "2147483647"), "", ""},
		{"OIDC-AR-14 max_age -1", set("max_age", "-1"), "invalid_request", "OIDC-AR-14"},
		{"OIDC-AR-14 max_age +1", set("max_age", "+1"), "invalid_request", "OIDC-AR-14"},
		{"OIDC-AR-14 max_age 1.5", set("max_age", "1.5"), "invalid_request", "OIDC-AR-14"},
		{"OIDC-AR-14 max_age 0x10", set("max_age", "0x10"), "invalid_request", "OIDC-AR-14"},
		{"OIDC-AR-14 max_age soon", set("max_age", "soon"), "invalid_request", "OIDC-AR-14"},
		{"OIDC-AR-14 max_age 2147483648", set("max_age", "2147483648"), "invalid_request", "OIDC-AR-14"},
		{"OIDC-AR-14 max_age 1 and half the sky", set("max_age", "1"+strings.Repeat("0", 30)), "invalid_request", "OIDC-AR-14"},
		{"OIDC-AR-15 ui_locales nobody speaks", set("ui_locales", "xx-Latn-XX"), "", ""},
		{"OIDC-AR-16 OIDC-AR-19 an id_token_hint", set("id_token_hint", "eyJ.eyJ.AAAA"), "invalid_request", "OIDC-AR-16"},
		{"OIDC-AR-17 a login_hint of 1024 bytes", set("login_hint", strings.Repeat("h", 1024)), "", ""},
		{"OIDC-AR-17 a login_hint of 1025 bytes", set("login_hint", strings.Repeat("h", 1025)), "invalid_request", "OIDC-AR-17"},
		{"OIDC-AR-18 acr_values nobody knows", set("acr_values", "urn:x urn:y"), "", ""},
		{"OIDC-AR-22 a registration", set("registration", "{}"), "registration_not_supported", "OIDC-AR-22"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.Scope = "openid accounts"
			b := newBank(t, clients(f))
			v := f.authenticate(b, f.pushable())
			tt.with(v)
			res := b.do(f.request("/par", v))
			if tt.code != "" {
				mustRefuse(t, b, res, 400, tt.code, tt.rule)
			} else if res.StatusCode != 201 {
				t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
			}
		})
	}
	t.Run("RFC6749-5.2-3 a scope that is registered and not offered any more", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.Scope += " loans"
		b := newBank(t, clients(f))
		v := f.pushable()
		v.Set("scope", "openid loans")
		mustRefuse(t, b, b.do(f.request("/par", f.authenticate(b, v))), 400, "invalid_scope", "RFC6749-5.2-3")
	})
	t.Run("RFC9126-2.1-2 a request_uri just issued", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := f.pushable()
		v.Set("request_uri", f.push(b, f.pushable()))
		mustRefuse(t, b, b.do(f.request("/par", f.authenticate(b, v))), 400, "invalid_request", "RFC9126-2.1-2")
	})
	t.Run("RFC6749-5.2-4 a client that is not registered for the code flow", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.GrantTypes = []string{"client_credentials"}
		b := newBank(t, clients(f))
		mustRefuse(t, b, b.do(f.request("/par", f.authenticate(b, f.pushable()))), 400, "unauthorized_client", "RFC6749-5.2-4")
	})
	t.Run("FAPI2-SP-5.3.2.2-4 first of all who it is", func(t *testing.T) { // RFC 9126, 2.1: the order of steps
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := url.Values{"client_id": {f.ID}, "request_uri": {"x"}, "request": {"y"}, "response_type": {"token"}}
		mustRefuse(t, b, b.do(f.request("/par", v)), 401, "invalid_client", "RFC6749-2.3-2")
	})
}

// TestPushLoopback: http is for native clients on a loopback address, whose
// port is free.
func TestPushLoopback(t *testing.T) {
	const v4, v6 = "http://127.0.0.1/cb?a=1", "http://[::1]:9/cb"
	for uri, ok := range map[string]bool{
		v4: true, "http://127.0.0.1:4711/cb?a=1": true, "http://127.0.0.1:1/cb?a=1": true,
		v6: true, "http://[::1]/cb": true, "http://[::1]:4711/cb": true,

		"http://127.0.0.1/cb":             false, // its query belongs to it
		"http://127.0.0.1/cb?a=1&b=2":     false,
		"http://127.0.0.1/evil?a=1":       false,
		"http://127.0.0.1:4711/cb?a=1#":   false,
		"http://127.0.0.2/cb?a=1":         false,
		"http://localhost/cb?a=1":         false,
		"http://localhost.evil/cb?a=1":    false,
		"http://127.0.0.1.evil/cb?a=1":    false,
		"http://127.0.0.1@evil/cb?a=1":    false,
		"http://evil@127.0.0.1/cb?a=1":    false,
		"http://127.0.0.1:80@evil/cb?a=1": false,
		"http://127.0.0.1:x/cb?a=1":       false,
		"https://127.0.0.1/cb?a=1":        false,
		"HTTP://127.0.0.1/cb?a=1":         false,
		"http://127.1/cb?a=1":             false,
		"http://[::ffff:127.0.0.1]/cb":    false,
		"http://[::1%25lo]/cb":            false,
		"http://[::2]/cb":                 false,
		"http:127.0.0.1/cb?a=1":           false,
		"http:///cb?a=1":                  false,
		"http://127.0.0.1\\@evil/cb?a=1":  false,
		"http://127.0.0.1/cb?a=1\r\nX: y": false,
	} {
		t.Run("FAPI2-SP-5.3.2.2-8 "+uri, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.ApplicationType = "native"
			f.RedirectURIs = []string{v4, v6}
			b := newBank(t, clients(f))
			v := f.pushable()
			v.Set("redirect_uri", uri)
			res := b.do(f.request("/par", f.authenticate(b, v)))
			if !ok {
				mustRefuse(t, b, res, 400, "invalid_request", "RFC9700-2.1-1")
			} else if res.StatusCode != 201 {
				t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
			}
		})
	}
}

// TestPushAnswer is the answer to a good request (RFC 9126, 2.2).
func TestPushAnswer(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), func(c *authz.Config) { c.RequestLifetime = 75 * time.Second })
	res := b.do(f.request("/par", f.authenticate(b, f.pushable())))
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("RFC9126-2.2-1 status, type and members", func(t *testing.T) {
		if res.StatusCode != 201 || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("answer is %d %s", res.StatusCode, res.Header.Get("Content-Type"))
		}
		if !regexp.MustCompile(`^\{"request_uri":"[^"]+","expires_in":75\}$`).Match(body) {
			t.Errorf("answer is %s", body)
		}
	})
	t.Run("RFC9126-2.2-5 not to be kept, and RFC9126-I-1 nothing else", func(t *testing.T) {
		if cc := res.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") || res.Header.Get("Pragma") != "no-cache" {
			t.Errorf("Cache-Control is %q", cc)
		}
		if res.Header.Get("Location") != "" || res.Header.Get("Set-Cookie") != "" {
			t.Errorf("header is %v", res.Header)
		}
	})
	t.Run("RFC9126-2.2-3 the form of request_uri", func(t *testing.T) {
		var got struct {
			URI string `json:"request_uri"`
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^urn:ietf:params:oauth:request_uri:[A-Za-z0-9_-]{43,}$`).MatchString(got.URI) || len(got.URI) > 512 {
			t.Errorf("request_uri is %q", got.URI)
		}
	})
	t.Run("RFC9126-2.2-2 nobody guesses it", func(t *testing.T) {
		const prefix = "urn:ietf:params:oauth:request_uri:"
		seen := map[string]bool{}
		secrets := map[string]bool{}
		for range 200 {
			ref := strings.TrimPrefix(f.push(b, f.pushable()), prefix)
			// As the certification tests measure it: length times Shannon's
			// entropy of the characters.
			freq := map[rune]float64{}
			for _, c := range ref {
				freq[c]++
			}
			bits := 0.0
			for _, n := range freq {
				p := n / float64(len(ref))
				bits -= float64(len(ref)) * p * math.Log2(p)
			}
			if seen[ref] || bits < 128 {
				t.Fatalf("%s has %.0f bits, or was there before", ref, bits)
			}
			seen[ref], secrets[ref[len(ref)-43:]] = true, true
		}
		if len(secrets) != 200 { // 256 bits on their own
			t.Errorf("%d different endings in 200", len(secrets))
		}
	})
	t.Run("FAPI2-SP-5.3.2.2-N2 by default there is time to open the link", func(t *testing.T) {
		b := newBank(t, clients(f))
		res := b.do(f.request("/par", f.authenticate(b, f.pushable())))
		if n, _ := object(t, res)["expires_in"].(float64); n < 60 || n > 599 {
			t.Errorf("expires_in is %v", n)
		}
	})
	t.Run("RFC9126-5-1 all are to push, and RFC9126-5-2 that is no request_uri of the client's", func(t *testing.T) {
		doc := object(t, b.do(httptest.NewRequest("GET", issuer+"/.well-known/oauth-authorization-server", nil)))
		if doc["require_pushed_authorization_requests"] != true || doc["request_uri_parameter_supported"] != false {
			t.Errorf("metadata has %v and %v", doc["require_pushed_authorization_requests"], doc["request_uri_parameter_supported"])
		}
		if status := (&browser{b: b}).open(f, f.push(b, f.pushable())).StatusCode; status != 200 {
			t.Errorf("a pushed request is answered %d", status)
		}
	})
	t.Run("RFC9126-2.2-1 wire example 2.3, by mutual TLS", func(t *testing.T) {
		f := tlsClient("tpp-7f3a9c")
		f.RedirectURIs = []string{"https://app.tpp.example/cb"}
		b := newBank(t, clients(f))
		r := f.request("/par", nil)
		push, _, _ := strings.Cut(wirePush, "&client_assertion_type")
		r.Body = io.NopCloser(strings.NewReader(push))
		r.ContentLength = int64(len(push))
		if res := b.do(r); res.StatusCode != 201 {
			t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
		}
	})
}

// TestPushBelongs: a request_uri is of use to the client that pushed it, and
// for as long as it was told.
func TestPushBelongs(t *testing.T) {
	f, thief := keyClient("kakeibo"), keyClient("thief")
	b := newBank(t, clients(f, thief))
	uri := f.push(b, f.pushable())
	open := func(f *fintech, uri string) int { return (&browser{b: b}).open(f, uri).StatusCode }
	t.Run("RFC9126-2.2-4 another client", func(t *testing.T) {
		if status := open(thief, uri); status != 400 {
			t.Errorf("the thief's page is %d", status)
		}
	})
	t.Run("RFC9126-7.1-1 one character changed", func(t *testing.T) {
		for i := len(uri) - 60; i < len(uri); i++ {
			c := byte('A')
			if uri[i] == c {
				c = 'B'
			}
			if status := open(f, uri[:i]+string(c)+uri[i+1:]); status != 400 {
				t.Fatalf("character %d changed: %d", i, status)
			}
		}
	})
	t.Run("FAPI2-SP-5.3.2.2-12 until its last second", func(t *testing.T) {
		b.clock.Advance(90*time.Second - time.Nanosecond)
		if status := open(f, uri); status != 200 {
			t.Errorf("just before: %d", status)
		}
		b.clock.Advance(time.Nanosecond)
		if status := open(f, uri); status != 400 {
			t.Errorf("just after: %d", status)
		}
	})
}

// TestPushedIsWhatCounts: what was pushed arrives, at the bank's page or back
// at the client, as it was.
func TestPushedIsWhatCounts(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	var shown *authz.Interaction
	b.shown = func(w http.ResponseWriter, r *http.Request, in *authz.Interaction) { shown = in }
	show := func(v url.Values) *authz.Interaction {
		shown = nil
		if res := (&browser{b: b}).open(f, f.push(b, v)); res.StatusCode != 200 {
			t.Fatalf("authorize: %d", res.StatusCode)
		}
		return shown
	}
	ignore := cmpopts.IgnoreFields(authz.Interaction{}, "ID", "GrantID", "Client")
	unexported := cmpopts.IgnoreUnexported(authz.Interaction{})

	t.Run("OIDC-AR-14 what the bank's page sees", func(t *testing.T) {
		v := f.pushable()
		v.Set("scope", "payments openid payments")
		v.Set("acr_values", "urn:b urn:a")
		v.Set("prompt", "login consent")
		v.Set("ui_locales", "ja en-GB")
		v.Set("login_hint", `"><script>alert(1)</script>`)
		v.Set("max_age", "0")
		want := &authz.Interaction{
			Scopes: []string{"payments", "openid"}, ACRValues: []string{"urn:b", "urn:a"}, Prompt: []string{"login", "consent"},
			UILocales: []string{"ja", "en-GB"}, LoginHint: `"><script>alert(1)</script>`, HasMaxAge: true,
		}
		got := show(v)
		if d := cmp.Diff(want, got, ignore, unexported); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		if got.Client.ID != f.ID {
			t.Errorf("client is %s", got.Client.ID)
		}
	})
	t.Run("RFC6749-3.1-2 what has no value was not asked", func(t *testing.T) {
		v := f.pushable()
		for _, name := range []string{"acr_values", "prompt", "ui_locales", "login_hint", "max_age", "nonce", "response_mode", "id_token_hint"} {
			v.Set(name, "")
		}
		want := &authz.Interaction{Scopes: []string{"openid", "accounts"}}
		if d := cmp.Diff(want, show(v), ignore, unexported, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	})
	b.shown = nil

	states := map[string]string{
		"FAPI2-SP-5.3.2.2-N4 2000 characters":    strings.Repeat("aB3-._~!", 250),
		"CT-AS-8 20000 characters":               strings.Repeat("s", 20000),
		"OIDC-AR-5 reserved characters":          `%41+ &=#?/:;@,"'<>\^|{}[]` + "`",
		"OIDC-AR-5 UTF-8":                        "合鍵 🗝",
		"RFC6749-10.14-1 line feeds and headers": "a\r\nSet-Cookie: b=c",
	}
	for name, state := range states {
		t.Run(name, func(t *testing.T) {
			v := f.pushable()
			v.Set("state", state)
			res, err := (&browser{b: b}).decide(f, f.push(b, v), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			if got := location(t, res).Get("state"); got != state {
				t.Errorf("state is %q, want %q", got, state)
			}
			if strings.ContainsAny(res.Header.Get("Location"), "\r\n") || len(res.Header["Set-Cookie"]) > 0 {
				t.Errorf("header is %q", res.Header)
			}
		})
	}
	nonces := map[string]string{
		"CT-AS-6 64 characters":               strings.Repeat("n0-_.~!$", 8),
		"CT-AS-7 384 characters":              strings.Repeat("n", 384),
		"OIDC-AR-7 quotes and UTF-8":          `"\` + "合鍵",
		"FAPI2-SP-5.3.2.2-14 512 bytes":       strings.Repeat("n", 512),
		"CT-AS-5 none, and none in the token": "",
	}
	for name, nonce := range nonces {
		t.Run(name, func(t *testing.T) {
			v := f.pushable()
			v.Set("nonce", nonce)
			res, err := (&browser{b: b}).decide(f, f.push(b, v), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			status, got := f.token(b, f.redeemable(location(t, res).Get("code")))
			if status != 200 {
				t.Fatalf("token: %d %v", status, got)
			}
			claims := claimsOf(t, got["id_token"].(string))
			if v, ok := claims["nonce"]; ok != (nonce != "") || ok && v != nonce {
				t.Errorf("nonce is %q, want %q", v, nonce)
			}
		})
	}
	t.Run("CT-AS-4 no state, and none in the response", func(t *testing.T) {
		v := f.pushable()
		v.Del("state")
		res, err := (&browser{b: b}).decide(f, f.push(b, v), b.approval())
		if err != nil {
			t.Fatal(err)
		}
		if location(t, res).Has("state") {
			t.Errorf("redirect is %s", res.Header.Get("Location"))
		}
	})
	t.Run("OIDC-AR-2 no openid, and no ID token", func(t *testing.T) {
		v := f.pushable()
		v.Set("scope", "accounts")
		res, err := (&browser{b: b}).decide(f, f.push(b, v), b.approval())
		if err != nil {
			t.Fatal(err)
		}
		status, got := f.token(b, f.redeemable(location(t, res).Get("code")))
		if _, ok := got["id_token"]; status != 200 || ok {
			t.Errorf("token: %d %v", status, got)
		}
	})
}

// TestPushIsStored: what the store is given, and when it fails.
func TestPushIsStored(t *testing.T) {
	t.Run("FAPI2-SP-5.4.1-4 no secret is readable in the store", func(t *testing.T) {
		f := keyClient("kakeibo")
		spy := &spyStore{}
		b := newBank(t, clients(f), func(c *authz.Config) {
			spy.Store = c.Store
			c.Store = spy
		})
		uri := f.push(b, f.pushable())
		_, ref, _ := strings.Cut(uri, "request_uri:")
		raw := make([]byte, 0, 64)
		raw, err := decodeURL(raw, ref)
		if err != nil {
			t.Fatal(err)
		}
		secret := string(raw[len(raw)-32:])
		for _, r := range spy.created {
			if strings.Contains(string(r.Value), secret) || strings.Contains(string(r.Value), ref) || strings.Contains(r.Key, ref) {
				t.Errorf("record %s has the secret", r.Key)
			}
		}
		if len(spy.created) != 2 {
			t.Errorf("%d records, want the request and the assertion's id", len(spy.created))
		}
	})
	t.Run("RFC9126-4-3 kept for as long as the pages may take", func(t *testing.T) {
		f := tlsClient("kakeibo")
		spy := &spyStore{}
		b := newBank(t, clients(f), func(c *authz.Config) {
			c.RequestLifetime, c.InteractionLifetime = 30*time.Second, 7*time.Minute
			spy.Store = c.Store
			c.Store = spy
		})
		f.push(b, f.pushable())
		if want := b.clock.Now().Add(7*time.Minute + 30*time.Second); len(spy.created) != 1 || spy.created[0].Expires.Before(want) {
			t.Errorf("records are %+v", spy.created)
		}
	})
	for name, fail := range map[string]func(op, key string) error{
		"the request cannot be kept": func(op, key string) error { return failing(op == "Create" && key[0] == 'r') },
		"nothing can be kept":        func(op, _ string) error { return failing(op == "Create") },
	} {
		t.Run("RFC9126-2.3-1 "+name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), func(c *authz.Config) { c.Store = &storetest.Faulty{Store: c.Store, Fail: fail} })
			res := b.do(f.request("/par", f.authenticate(b, f.pushable())))
			got := object(t, res)
			if res.StatusCode != 503 || got["error"] != "server_error" || len(got) != 1 {
				t.Errorf("answer is %d %v", res.StatusCode, got)
			}
			checkErrorAnswer(t, res, got)
		})
	}
	t.Run("RFC7523-3-6 a replay is told so even while the request cannot be kept", func(t *testing.T) {
		f := keyClient("kakeibo")
		down := false
		b := newBank(t, clients(f), func(c *authz.Config) {
			c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error { return failing(down && key[0] == 'r') }}
		})
		v := f.authenticate(b, f.pushable())
		if res := b.do(f.request("/par", v)); res.StatusCode != 201 {
			t.Fatalf("first: %d", res.StatusCode)
		}
		down = true
		mustRefuse(t, b, b.do(f.request("/par", v)), 401, "invalid_client", "RFC7523-3-6")
	})
	t.Run("RFC9126-2.3-5 a record fits the store, whatever fits the body", func(t *testing.T) {
		f := tlsClient("kakeibo")
		limit := &limitStore{}
		b := newBank(t, clients(f), func(c *authz.Config) {
			limit.Store = c.Store
			c.Store = limit
		})
		for _, name := range []string{"state", "acr_values", "ui_locales"} {
			v := f.authenticate(b, f.pushable())
			v.Set(name, "")
			room := 64<<10 - len(v.Encode())
			fill := strings.Repeat("a", room)
			if name != "state" {
				fill = strings.Repeat("a ", room/2)
			}
			v.Set(name, fill)
			if res := b.do(f.request("/par", v)); res.StatusCode != 201 && res.StatusCode != 413 {
				t.Errorf("%s: answer is %d %v: %s", name, res.StatusCode, object(t, res), b.lastEvent().Reason)
			}
		}
		if limit.max > 60<<10 {
			t.Errorf("a record of %d bytes", limit.max)
		}
	})
}

func failing(yes bool) error {
	if yes {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// TestVerifier is the other end of PKCE.
func TestVerifier(t *testing.T) {
	long := strings.Repeat("Az0-._~9", 16) // 128 characters
	tests := []struct {
		name, pushed, presented string // pushed: the verifier whose challenge was pushed
		ok                      bool
	}{
		{"RFC7636-4.2-1 43 characters", verifier, verifier, true},
		{"RFC7636-4.1-1 128 characters", long, long, true},
		{"RFC7636-4.1-1 42 characters", verifier[:42], verifier[:42], false},
		{"RFC7636-4.1-1 129 characters", long + "a", long + "a", false},
		{"RFC7636-4.1-1 a space", verifier[:42] + " ", verifier[:42] + " ", false},
		{"RFC7636-4.1-1 a slash", verifier[:42] + "/", verifier[:42] + "/", false},
		{"CT-AS-17 none", verifier, "", false},
		{"CT-AS-17 a wrong one", verifier, long, false},
		{"RFC7636-4.6-1 the challenge itself", verifier, pkce.Challenge(verifier), false},
		{"RFC7636-4.6-1 another case", verifier, strings.ToUpper(verifier), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			v := f.pushable()
			v.Set("code_challenge", pkce.Challenge(tt.pushed))
			res, err := (&browser{b: b}).decide(f, f.push(b, v), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			redeem := f.redeemable(location(t, res).Get("code"))
			redeem.Set("code_verifier", tt.presented)
			res = b.do(f.request("/token", f.authenticate(b, redeem)))
			if !tt.ok {
				mustRefuse(t, b, res, 400, "invalid_grant", "RFC7636-4.6-1")
			} else if res.StatusCode != 200 {
				t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
			}
		})
	}
	t.Run("RFC7636-4.6-1 each bit of it", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		redeem := f.redeemable(f.code(b))
		for i := range 8 * len(verifier) {
			changed := []byte(verifier)
			changed[i/8] ^= 1 << (i % 8)
			if changed[i/8] == 0 {
				continue
			}
			redeem.Set("code_verifier", string(changed))
			if status, got := f.token(b, redeem); status != 400 {
				t.Fatalf("bit %d changed: %d %v", i, status, got)
			}
		}
		// RFC7636-4.6-2 leaves it to us: a wrong one does not use the code
		// up, or any stranger with a code could. It lives for a minute.
		redeem.Set("code_verifier", verifier)
		if status, got := f.token(b, redeem); status != 200 {
			t.Errorf("then the right one: %d %v", status, got)
		}
	})
	t.Run("RFC7636-4.4-1 the challenge is told to nobody", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		res, err := (&browser{b: b}).decide(f, f.push(b, f.pushable()), b.approval())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(res.Header.Get("Location"), pkce.Challenge(verifier)) {
			t.Errorf("redirect is %s", res.Header.Get("Location"))
		}
	})
}

// TestPushWithoutPages: no pages, no place to push to.
func TestPushWithoutPages(t *testing.T) {
	t.Run("RFC9126-2-2 what is not advertised is not there", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) { c.Interact = nil })
		if res := b.do(f.request("/par", f.authenticate(b, f.pushable()))); res.StatusCode != 404 {
			t.Errorf("answer is %d", res.StatusCode)
		}
		doc := object(t, b.do(httptest.NewRequest("GET", issuer+"/.well-known/oauth-authorization-server", nil)))
		if v, ok := doc["pushed_authorization_request_endpoint"]; ok {
			t.Errorf("it is advertised as %v", v)
		}
	})
}

// A limitStore knows the largest value it was given.
type limitStore struct {
	store.Store
	max int
}

func (s *limitStore) Create(ctx context.Context, r store.Record) error {
	s.max = max(s.max, len(r.Value))
	return s.Store.Create(ctx, r)
}

func decodeURL(dst []byte, s string) ([]byte, error) {
	return base64.RawURLEncoding.AppendDecode(dst, []byte(s))
}
