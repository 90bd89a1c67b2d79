package main

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// openidModules applies where the clients ask for ID tokens.
var openidModules = []module{
	{"ensure-authorization-request-without-nonce-success", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Del("nonce")
		f.complete(t)
	}},
	{"ensure-authorization-request-with-64-char-nonce-success", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("nonce", strings.Repeat("Nn0", 20)+"-._~")
		f.complete(t)
	}},
	{"ensure-other-scope-order-succeeds", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("scope", "transactions accounts openid")
		f.complete(t)
	}},
	{"test-claims-parameter-identity-claims", claimsParameter},
	{"ensure-different-nonce-inside-and-outside-request-object", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.push(t)
		b := v.browser(t)
		more := f.repeated()
		more.Set("nonce", "another")
		more.Set("state", "another")
		b.get(t, f.address(more))
		f.approved(t, b)
		f.redeem(t)
	}},
	{"ensure-authorization-request-with-long-nonce", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("nonce", strings.Repeat("0123456789ab", 32))
		f.complete(t)
	}},
}

// claimsParameter asks for every claim that the bank knows in both places, in
// each of the forms that a request has, and for one that nobody knows.
func claimsParameter(t *testing.T, v *variant) {
	f := v.flow(v.clients[0])
	f.ask.Set("claims", `{"id_token":{"name":null,"email":{"essential":true},"email_verified":{"value":true},"x7":null},`+
		`"userinfo":{"name":{"essential":true},"email":{"values":["h@example.com","other@example.com"]},"email_verified":null},"x7":{"y":null}}`)
	k := f.complete(t)
	want := map[string]any{"name": "Hanako", "email": "h@example.com", "email_verified": true}
	for name, value := range want {
		if k.id[name] != value {
			t.Errorf("claim %s of the ID token is %v, want %v", name, k.id[name], value)
		}
	}
	if _, ok := k.id["x7"]; ok {
		t.Error("the ID token has a claim that nobody knows")
	}
	want["sub"] = k.id["sub"]
	if got := v.userInfo(t, f.c, k.access); !reflect.DeepEqual(got, want) {
		t.Errorf("userinfo is %v, want %v", got, want)
	}
}

// userInfo returns what the userinfo endpoint says.
func (v *variant) userInfo(t *testing.T, c *tester, token string) map[string]any {
	t.Helper()
	r := v.userInfoReply(t, c, token)
	if c.sealed && r.status == http.StatusOK && r.header.Get("Content-Type") == "application/jwt" {
		header, claims := v.verifyJWS(t, c.decrypted(t, r.body))
		if header["alg"] != c.alg || claims["iss"] != v.issuer || claims["aud"] != c.id {
			t.Errorf("signed userinfo: %v %v", header, claims)
		}
		delete(claims, "iss")
		delete(claims, "aud")
		r.json = claims
	}
	if r.status != http.StatusOK || r.json == nil {
		t.Fatalf("userinfo: %d %v %s", r.status, r.header, r.body)
	}
	uncached(t, r)
	return r.json
}

func (v *variant) userInfoReply(t *testing.T, c *tester, token string) *reply {
	t.Helper()
	return c.ask(t, token, func() *http.Request {
		req := v.request(t, c, token, nil)
		to, err := req.URL.Parse(v.endpoint("userinfo_endpoint"))
		if err != nil {
			t.Fatal(err)
		}
		req.URL, req.Host = to, to.Host
		return req
	})
}

// assertionModules applies to clients that authenticate by private_key_jwt.
var assertionModules = []module{
	{"ensure-signed-client-assertion-with-RS256-fails", badAssertion(func(v *variant, header, _ map[string]any) { header["alg"] = "RS256" })},
	{"ensure-client-assertion-in-token-endpoint", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.approve(t)
		refusedWith(t, f.c.post(t, v.token, f.redemption(), way{unproved: true}), "401 invalid_client")
		f.redeem(t)
	}},
	{"ensure-client-assertion-with-exp-is-5-minutes-in-past-fails", badAssertion(func(_ *variant, _, claims map[string]any) {
		claims["exp"] = time.Now().Add(-5 * time.Minute).Unix()
	})},
	{"ensure-client-assertion-with-wrong-aud-fails", badAssertion(func(_ *variant, _, claims map[string]any) {
		claims["aud"] = "https://other.bank.example"
	})},
	{"par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.pushed(t, f.send(t, way{assertion: func(_, claims map[string]any) {
			claims["nbf"] = time.Now().Add(8 * time.Second).Unix()
			claims["iat"] = claims["nbf"]
		}}))
		b := v.browser(t)
		b.get(t, f.address(f.repeated()))
		f.approved(t, b)
		f.redeem(t)
	}},
	{"par-test-array-as-audience-fails", badAssertion(func(v *variant, _, claims map[string]any) {
		claims["aud"] = []string{v.issuer, v.token}
	})},
	{"par-test-par-endpoint-url-as-audience-fails", badAssertion(func(v *variant, _, claims map[string]any) { claims["aud"] = v.par })},
	{"happy-flow/pushed where no certificate is asked for", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[1])
		ordinary, _ := v.doc["pushed_authorization_request_endpoint"].(string)
		f.pushed(t, f.send(t, way{to: ordinary, naked: true}))
		b := v.browser(t)
		b.get(t, f.address(nil))
		f.approved(t, b)
		f.redeem(t)
	}},
	{"CT-AS-25 array of one", badAssertion(func(v *variant, _, claims map[string]any) { claims["aud"] = []string{v.issuer} })},
	{"CT-AS-25 token endpoint as audience", badAssertion(func(v *variant, _, claims map[string]any) { claims["aud"] = v.doc["token_endpoint"] })},
	{"CT-AS-25 alias of the token endpoint as audience", badAssertion(func(v *variant, _, claims map[string]any) { claims["aud"] = v.token })},
	{"CT-AS-26 no sub", badAssertion(func(_ *variant, _, claims map[string]any) { delete(claims, "sub") })},
	{"CT-AS-28 nbf a minute ahead", badAssertion(func(_ *variant, _, claims map[string]any) {
		claims["nbf"] = time.Now().Add(65 * time.Second).Unix()
		claims["exp"] = time.Now().Add(2 * time.Minute).Unix()
	})},
	{"CT-AS-28 iat a minute ahead", badAssertion(func(_ *variant, _, claims map[string]any) {
		claims["iat"] = time.Now().Add(65 * time.Second).Unix()
		claims["exp"] = time.Now().Add(2 * time.Minute).Unix()
	})},
}

// badAssertion is a module that breaks the assertion in one way, at both
// endpoints that take one.
func badAssertion(change func(v *variant, header, claims map[string]any)) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		bad := way{assertion: func(header, claims map[string]any) { change(v, header, claims) }}
		refusedWith(t, f.send(t, bad), "401 invalid_client")
		f.approve(t)
		refusedWith(t, f.c.post(t, v.token, f.redemption(), bad), "401 invalid_client")
		f.redeem(t)
	}
}
