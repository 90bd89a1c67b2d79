package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// An extended bank offers everything that -config has: details, several APIs,
// authentication contexts, subjects that differ by client.
type extended struct {
	*variant
	apis [2]*tester // the APIs at /resource and /strong, as they ask about tokens
}

const (
	plainACR  = "urn:bank.example:plain"
	strongACR = "urn:bank.example:strong"
)

// TestConformanceExtensions plays what clients may ask for beyond the flow
// itself, with tokens of either form, bound in either way.
func TestConformanceExtensions(t *testing.T) {
	t.Parallel()
	opaque := map[string]any{"access_token_format": "opaque"}
	kinds := []kind{
		{method: "private_key_jwt", apis: [2]string{"/resource", "/strong"}},
		{method: "private_key_jwt", openid: true, dpop: true},
		{method: "tls_client_auth", openid: true},
		{method: "self_signed_tls_client_auth", openid: true, more: opaque},
		{method: "private_key_jwt", openid: true, dpop: true, signs: true, jarm: true, sealed: true,
			more: map[string]any{"access_token_format": "opaque", "subject_type": "pairwise"}},
	}
	variants := conformanceBank(t, true, kinds, map[string]any{
		"acr_values": []string{plainACR, strongACR}, "pairwise_salt": "0123456789abcdef0123456789abcdef",
		"authorization_details_types": []string{"payment_initiation", "account_information"},
		"resources": map[string]any{
			"/resource": map[string]any{"scopes": []string{"accounts"}, "authorization_details_types": []string{"payment_initiation"}},
			"/strong": map[string]any{"scopes": []string{"transactions"}, "authorization_details_types": []string{"account_information"},
				"acr_values": []string{strongACR}, "max_age": 600},
		},
		"users": []any{
			map[string]any{"login": "hanako", "password": "pw", "subject": "customer-7", "name": "Hanako", "email": "h@example.com", "email_verified": true},
			map[string]any{"login": "taro", "password": "pw", "subject": "customer-8", "name": "Taro"},
		},
	})
	for _, v := range variants[1:] {
		x := &extended{v, variants[0].clients}
		t.Run(v.String(), func(t *testing.T) {
			for _, m := range extensions {
				t.Run(m.id, func(t *testing.T) { m.run(t, x) })
			}
		})
	}
}

var extensions = []struct {
	id  string
	run func(*testing.T, *extended)
}{
	{"authorization_details", consentToPayment},
	{"authorization_details that are refused", badDetails},
	{"claims on the consent page and at userinfo", consentToClaims},
	{"introspection", introspection},
	{"revocation", revocation},
	{"step-up", stepUp},
	{"resource indicators", resourceIndicators},
	{"protected resource metadata", protectedResource},
	{"subjects and id_token_hint", subjects},
	{"form of access tokens", tokenForm},
	{"test-claims-parameter-identity-claims", func(t *testing.T, x *extended) { claimsParameter(t, x.forResource()) }},
	{"essential acr that nobody reaches", func(t *testing.T, x *extended) {
		f := x.flowFor("openid accounts")
		f.ask.Set("claims", `{"id_token":{"acr":{"essential":true,"values":["urn:other.example"]}}}`)
		f.push(t)
		b := x.browser(t)
		b.get(t, f.address(nil))
		if q := f.decide(t, b, "approve"); q.Get("error") != "unmet_authentication_requirements" {
			t.Errorf("%v", q)
		}
	}},
}

// flowFor returns a flow of the first client that asks for scope.
func (x *extended) flowFor(scope string) *flow {
	f := x.flow(x.clients[0])
	f.ask.Set("scope", scope)
	if !strings.Contains(scope, "openid") {
		f.ask.Del("nonce")
	}
	return f
}

// forResource returns the variant for flows that say nothing of resources.
func (x *extended) forResource() *variant {
	v := *x.variant
	v.scope = "openid accounts"
	return &v
}

// introspect returns what an API or a client is told about a token.
func (x *extended) introspect(t *testing.T, by *tester, token string) map[string]any {
	t.Helper()
	r := by.post(t, x.endpoint("introspection_endpoint"), url.Values{"token": {token}}, way{})
	if r.status != http.StatusOK || r.json == nil {
		t.Fatalf("introspection: %d %v %s", r.status, r.header, r.body)
	}
	uncached(t, r)
	return r.json
}

var inactive = map[string]any{"active": false}

const (
	askedPayment = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},` +
		`"creditorName":"<b>Merchant</b> & Co","creditorAccount":{"iban":"DE02100100109307118603"}}`
	grantedPayment = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},` +
		`"creditorName":"<b>Merchant</b> & Co","creditorAccount":{"iban":"DE02100100109307118603"},"debtorAccount":{"id":"1234567"}}`
)

// consentToPayment has the customer consent to a payment. The bank names the account
// that pays, and the consent page shows text, not markup of the client's.
func consentToPayment(t *testing.T, x *extended) {
	f := x.flowFor("openid")
	f.ask.Set("authorization_details", "["+askedPayment+"]")
	f.push(t)
	b := x.browser(t)
	b.get(t, f.address(nil))
	b.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
	if !strings.Contains(b.body, "123.50 EUR to &lt;b&gt;Merchant&lt;/b&gt; &amp; Co (account DE02100100109307118603)") || strings.Contains(b.body, "<b>Merchant") {
		t.Errorf("consent page:\n%s", b.body)
	}
	b.form(t, url.Values{"approve": {"1"}})
	f.code = f.back(t, b).Get("code")
	k := f.redeem(t)
	var want []any
	if err := json.Unmarshal([]byte("["+grantedPayment+"]"), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(k.details, want) {
		t.Errorf("authorization_details %v, want %v", k.details, want)
	}
	x.served(t, f.c, k.access, nil)
	if got := x.introspect(t, x.apis[0], k.access)["authorization_details"]; !reflect.DeepEqual(got, any(want)) {
		t.Errorf("introspection says %v, want %v", got, want)
	}
	again := f.issued(t, f.c.post(t, x.token, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}}, way{}))
	if !reflect.DeepEqual(again.details, want) {
		t.Errorf("after refresh %v, want %v", again.details, want)
	}
}

// badDetails changes one thing in details that are good.
func badDetails(t *testing.T, x *extended) {
	replaced := func(old, to string) string { return "[" + strings.Replace(askedPayment, old, to, 1) + "]" }
	for name, details := range map[string]string{
		"unknown type":                  replaced("payment_initiation", "loan"),
		"unknown field":                 replaced(`"creditorName"`, `"x7":1,"creditorName"`),
		"unknown field inside":          replaced(`"currency"`, `"x7":1,"currency"`),
		"no amount":                     replaced(`,"amount":"123.50"`, ""),
		"an amount that is none":        replaced("123.50", "-1"),
		"a number as amount":            replaced(`"123.50"`, "123.50"),
		"no creditor":                   replaced(`"creditorName":"<b>Merchant</b> & Co",`, ""),
		"a creditor who turns the line": replaced(`Merchant`, `Mer\u202echant`),
		"another customer's account":    replaced(`"creditorName"`, `"debtorAccount":{"id":"7654321"},"creditorName"`),
		"no accounts":                   `[{"type":"account_information","accounts":[]}]`,
		"an account of nobody":          `[{"type":"account_information","accounts":["1"]}]`,
	} {
		f := x.flowFor("openid")
		f.ask.Set("authorization_details", details)
		r := f.send(t, way{})
		if r.status != http.StatusBadRequest || r.json["error"] != "invalid_authorization_details" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

// consentToClaims has the customer told what the client would know.
func consentToClaims(t *testing.T, x *extended) {
	f := x.flowFor("openid accounts")
	f.ask.Set("claims", `{"userinfo":{"name":null,"email":null}}`)
	f.push(t)
	b := x.browser(t)
	b.get(t, f.address(nil))
	b.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
	if !strings.Contains(b.body, message("en", "consent.claims", "name, e-mail address")) {
		t.Errorf("consent page:\n%s", b.body)
	}
	b.form(t, url.Values{"approve": {"1"}})
	f.code = f.back(t, b).Get("code")
	k := f.redeem(t)
	if got, want := x.userInfo(t, f.c, k.access), map[string]any{"sub": k.id["sub"], "name": "Hanako", "email": "h@example.com"}; !reflect.DeepEqual(got, want) {
		t.Errorf("userinfo is %v, want %v", got, want)
	}
	if r := x.userInfoReply(t, x.clients[0].without(), k.access); r.status != http.StatusUnauthorized {
		t.Errorf("userinfo without the key: %d %s", r.status, r.body)
	}
}

// introspection has an API ask about a token, and others who may not.
func introspection(t *testing.T, x *extended) {
	f := x.flowFor("openid accounts")
	k := f.complete(t)
	got := x.introspect(t, x.apis[0], k.access)
	for name, want := range map[string]any{
		"active": true, "iss": x.issuer, "client_id": f.c.id, "sub": k.id["sub"], "scope": "accounts", "aud": x.api,
		"token_type": f.c.scheme(), "acr": plainACR, "auth_time": k.id["auth_time"],
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if own := x.introspect(t, f.c, k.access); own["active"] != true || own["scope"] != "openid accounts" {
		t.Errorf("the client's own token: %v", own)
	}
	for name, by := range map[string]*tester{"the other API": x.apis[1], "another client": x.clients[1]} {
		if got := x.introspect(t, by, k.access); !reflect.DeepEqual(got, inactive) {
			t.Errorf("%s is told %v", name, got)
		}
	}
	if got := x.introspect(t, x.apis[0], k.refresh); !reflect.DeepEqual(got, inactive) {
		t.Errorf("an API is told of a refresh token: %v", got)
	}
	if got := x.introspect(t, x.apis[0], k.access+"A"); !reflect.DeepEqual(got, inactive) {
		t.Errorf("no token at all: %v", got)
	}
	for _, token := range []string{k.access, "x7"} {
		const media = "application/token-introspection+jwt"
		r := x.apis[0].post(t, x.endpoint("introspection_endpoint"), url.Values{"token": {token}}, way{accept: media})
		header, claims := x.verifyJWS(t, r.body)
		if r.status != http.StatusOK || r.header.Get("Content-Type") != media || header["typ"] != "token-introspection+jwt" ||
			claims["iss"] != x.issuer || claims["aud"] != x.apis[0].id || claims["sub"] != nil || claims["exp"] != nil ||
			!reflect.DeepEqual(claims["token_introspection"], any(x.introspect(t, x.apis[0], token))) {
			t.Errorf("signed: %d %v %v %v", r.status, r.header, header, claims)
		}
	}
	r := x.apis[0].post(t, x.endpoint("introspection_endpoint"), url.Values{"token": {k.access}}, way{unproved: true, naked: true})
	if r.status != http.StatusBadRequest && r.status != http.StatusUnauthorized {
		t.Errorf("who does not say who asks: %d %s", r.status, r.body)
	}
	refusedWith(t, x.apis[0].post(t, x.token, url.Values{"grant_type": {"client_credentials"}}, way{}), "400 unauthorized_client")
}

// revocation ends one access token, and then the grant.
func revocation(t *testing.T, x *extended) {
	f := x.flowFor("openid accounts")
	k := f.complete(t)
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}}
	revoke := func(by *tester, token string) *reply {
		return by.post(t, x.endpoint("revocation_endpoint"), url.Values{"token": {token}}, way{})
	}
	if r := revoke(x.clients[1], k.access); r.status != http.StatusBadRequest {
		t.Errorf("another client revokes: %d %s", r.status, r.body)
	}
	x.served(t, f.c, k.access, nil)
	if r := revoke(f.c, k.access); r.status != http.StatusOK {
		t.Fatalf("revocation: %d %s", r.status, r.body)
	}
	x.turnedAway(t, f.c, k.access)
	if got := x.introspect(t, x.apis[0], k.access); !reflect.DeepEqual(got, inactive) {
		t.Errorf("a revoked token: %v", got)
	}
	again := f.issued(t, f.c.post(t, x.token, refresh, way{}))
	x.served(t, f.c, again.access, nil)
	for range 2 { // what is gone is gone
		if r := revoke(f.c, k.refresh); r.status != http.StatusOK {
			t.Fatalf("revocation: %d %s", r.status, r.body)
		}
	}
	x.turnedAway(t, f.c, again.access)
	refusedWith(t, f.c.post(t, x.token, refresh, way{}), "400 invalid_grant")
}

// stepUp meets an API that wants a stronger and recent login (RFC 9470): the
// challenge says so, a new request asks for it, and its token is served.
func stepUp(t *testing.T, x *extended) {
	v := *x.variant
	v.api = x.machines + "/strong"
	challenged := func(c *tester, token string) {
		t.Helper()
		r := c.ask(t, token, func() *http.Request { return v.request(t, c, token, nil) })
		challenge := (&answer{header: r.header}).challenge(c.scheme())
		for _, want := range []string{`error="insufficient_user_authentication"`, `acr_values="` + strongACR + `"`, `max_age="600"`} {
			if r.status != http.StatusUnauthorized || !strings.Contains(challenge, want) {
				t.Errorf("resource: %d %s, want %s", r.status, challenge, want)
			}
		}
	}
	f := x.flowFor("openid transactions")
	f.approve(t)
	k := f.redeem(t)
	if k.id["acr"] != plainACR {
		t.Errorf("acr is %v", k.id["acr"])
	}
	challenged(f.c, k.access)
	own := f.issued(t, f.c.post(t, x.token, url.Values{"grant_type": {"client_credentials"}, "scope": {"transactions"}}, way{}))
	challenged(f.c, own.access) // nobody has signed in at all

	f = x.flowFor("openid transactions")
	f.ask.Set("acr_values", strongACR)
	f.ask.Set("max_age", "600")
	f.approve(t)
	if k = f.redeem(t); k.id["acr"] != strongACR {
		t.Errorf("acr is %v", k.id["acr"])
	}
	v.served(t, f.c, k.access, nil)
}

// resourceIndicators asks for two APIs and gets a token for one (RFC 8707).
func resourceIndicators(t *testing.T, x *extended) {
	strong := x.machines + "/strong"
	f := x.flowFor("openid accounts transactions")
	refusedWith(t, f.send(t, way{}), "400 invalid_scope") // which of the two?
	f = x.flowFor("openid accounts")
	f.ask.Set("resource", "https://other.example/resource")
	refusedWith(t, f.send(t, way{}), "400 invalid_target")
	f.ask.Set("resource", strong)
	refusedWith(t, f.send(t, way{}), "400 invalid_target") // accounts means nothing there

	f = x.flowFor("openid accounts transactions")
	f.ask["resource"] = []string{x.api, strong}
	f.approve(t)
	k := f.issued(t, f.c.post(t, x.token, with(f.redemption(), "resource", x.api), way{}))
	x.served(t, f.c, k.access, nil)
	if got := x.introspect(t, f.c, k.access)["aud"]; got != x.api {
		t.Errorf("aud is %v", got)
	}
	v := *x.variant
	v.api = strong
	v.turnedAway(t, f.c, k.access) // made for another
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}}
	other := f.issued(t, f.c.post(t, x.token, with(refresh, "resource", strong), way{}))
	if got := x.introspect(t, f.c, other.access)["aud"]; got != strong {
		t.Errorf("aud is %v", got)
	}
	x.turnedAway(t, f.c, other.access)
	refusedWith(t, f.c.post(t, x.token, with(refresh, "resource", "https://other.example/resource"), way{}), "400 invalid_target")
}

// with returns form with one parameter more.
func with(form url.Values, name, value string) url.Values {
	more := url.Values{name: {value}}
	for n, v := range form {
		more[n] = v
	}
	return more
}

// protectedResource reads what an API says of itself (RFC 9728), where its
// challenge says that it is.
func protectedResource(t *testing.T, x *extended) {
	c := x.clients[0]
	for _, api := range []struct {
		path string
		more map[string]any
	}{
		{"/resource", map[string]any{"scopes_supported": []any{"accounts"}, "authorization_details_types_supported": []any{"payment_initiation"}}},
		{"/strong", map[string]any{"scopes_supported": []any{"transactions"}, "authorization_details_types_supported": []any{"account_information"}}},
	} {
		v := *x.variant
		v.api = x.machines + api.path
		r := ask(t, c.naked, v.request(t, c, "", nil))
		at := x.machines + "/.well-known/oauth-protected-resource" + api.path
		if got := (&answer{header: r.header}).challenge(c.scheme()); r.status != http.StatusUnauthorized || !strings.Contains(got, `resource_metadata="`+at+`"`) {
			t.Errorf("%s: %d %s, want %s", api.path, r.status, got, at)
		}
		v.api = at
		got := ask(t, c.naked, v.request(t, c, "", nil)).json
		algs, _ := got["dpop_signing_alg_values_supported"].([]any)
		if !slices.Contains(algs, any("ES256")) || !slices.Contains(algs, any("PS256")) || slices.Contains(algs, any("RS256")) {
			t.Errorf("%s: algorithms %v", api.path, algs)
		}
		delete(got, "dpop_signing_alg_values_supported")
		want := map[string]any{
			"resource": x.machines + api.path, "authorization_servers": []any{x.issuer}, "bearer_methods_supported": []any{"header"},
			"tls_client_certificate_bound_access_tokens": true,
		}
		for name, value := range api.more {
			want[name] = value
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", api.path, got, want)
		}
	}
}

// subjects looks at who the customer is to the client, and at a hint of that
// kind in a later request.
func subjects(t *testing.T, x *extended) {
	f := x.flowFor("openid accounts")
	k := f.complete(t)
	sub := k.id["sub"]
	if pairwise := x.more["subject_type"] == "pairwise"; (sub == "customer-7") == pairwise {
		t.Errorf("sub is %v", sub)
	}
	if got := x.userInfo(t, f.c, k.access)["sub"]; got != sub {
		t.Errorf("userinfo has sub %v, the ID token %v", got, sub)
	}
	f = x.flowFor("openid accounts")
	f.ask.Set("id_token_hint", k.idToken)
	f.push(t)
	b := x.browser(t)
	b.get(t, f.address(nil))
	b.form(t, url.Values{"login": {"taro"}, "password": {"pw"}})
	if !strings.Contains(b.body, message("en", "login.other")) || strings.Contains(b.body, `name="approve"`) {
		t.Errorf("another customer than the hint's:\n%s", b.body)
	}
	f.approved(t, b)
	if again := f.redeem(t).id["sub"]; again != sub {
		t.Errorf("sub was %v and is %v", sub, again)
	}
}

// tokenForm checks that access tokens are what the client registered for.
func tokenForm(t *testing.T, x *extended) {
	f := x.flowFor("accounts")
	k := f.complete(t)
	if parts := strings.Split(k.access, "."); (len(parts) == 3) == (x.more["access_token_format"] == "opaque") {
		t.Errorf("%d parts: %s", len(parts), k.access)
	}
	x.turnedAway(t, x.clients[1], k.access)
	x.turnedAway(t, f.c.without(), k.access)
}
