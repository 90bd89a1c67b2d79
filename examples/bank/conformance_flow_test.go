package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A flow is one authorization by one of the clients. A module changes what it
// wants changed and then takes the steps; each step checks what the
// conformance tests check in every flow that succeeds.
type flow struct {
	v        *variant
	c        *tester
	verifier string
	ask      url.Values     // what is pushed
	uri      string         // the request_uri, once pushed
	code     string         // once approved
	idToken  map[string]any // claims of the one that came with the code; nil if none did
}

func (v *variant) flow(c *tester) *flow {
	f := &flow{v: v, c: c, verifier: randomText()}
	challenge := sha256.Sum256([]byte(f.verifier))
	f.ask = url.Values{
		"client_id": {c.id}, "response_type": {"code"}, "redirect_uri": {c.redirect}, "scope": {"accounts transactions"},
		"state": {rand.Text()[:10]}, "code_challenge": {b64(challenge[:])}, "code_challenge_method": {"S256"},
	}
	if v.openid {
		f.ask.Set("scope", "openid accounts transactions")
		f.ask.Set("nonce", rand.Text()[:10])
	}
	if v.scope != "" {
		f.ask.Set("scope", v.scope)
	}
	if c.jarm {
		f.ask.Set("response_mode", "jwt")
	}
	if c.hybrid() {
		f.ask.Set("response_type", "code id_token")
	}
	if c.byValue { // where FAPI 1.0 Advanced asks for no PKCE
		f.ask.Del("code_challenge")
		f.ask.Del("code_challenge_method")
	}
	if c == v.clients[1] { // as the tests have it
		if c.dpop {
			f.ask.Set("dpop_jkt", c.prover.thumbprint)
		}
		f.ask.Set("state", strings.Repeat(rand.Text(), 5)[:128])
		if v.openid {
			f.ask.Set("nonce", strings.Repeat(rand.Text(), 2)[:39]+"-._~")
		}
	}
	return f
}

// push pushes the request. It has to succeed.
func (f *flow) push(t *testing.T) {
	t.Helper()
	f.pushed(t, f.send(t, way{}))
}

// send pushes the request. Who signs requests sends nothing but the object.
func (f *flow) send(t *testing.T, w way) *reply {
	t.Helper()
	w.keyless = w.keyless || f.ask.Has("dpop_jkt")
	form := f.ask
	if f.c.signs {
		form = url.Values{"request": {f.object(t, w.object)}}
	}
	return f.c.post(t, cmp.Or(w.to, f.v.par), form, w)
}

// object returns the request as a signed object, after change. As the tests
// have it, the second client's says more than it has to.
func (f *flow) object(t *testing.T, change func(header, claims map[string]any)) string {
	t.Helper()
	now := time.Now().Unix()
	header := map[string]any{"alg": f.c.alg, "kid": testerKey}
	claims := map[string]any{"iss": f.c.id, "aud": f.v.issuer, "nbf": now, "exp": now + 300}
	if f.c == f.v.clients[1] {
		header["typ"], claims["iat"] = "oauth-authz-req+jwt", now
	}
	for name, v := range f.ask {
		switch name {
		case "claims", "authorization_details", "max_age":
			claims[name] = json.RawMessage(v[0])
		case "resource":
			claims[name] = v
		default:
			claims[name] = v[0]
		}
	}
	if change != nil {
		change(header, claims)
	}
	return f.c.sign(t, header, claims)
}

// pushed checks the answer to a good pushed request (RFC 9126, 2.2).
func (f *flow) pushed(t *testing.T, r *reply) {
	t.Helper()
	f.uri, _ = r.json["request_uri"].(string)
	life, _ := r.json["expires_in"].(float64)
	if r.status != http.StatusCreated || !strings.HasPrefix(f.uri, "urn:ietf:params:oauth:request_uri:") || life < 5 || life >= 600 || life != math.Trunc(life) {
		t.Fatalf("PAR: %d %s\n%s", r.status, r.body, f.v.stderr)
	}
	uncached(t, r)
	if got := entropy(strings.TrimPrefix(f.uri, "urn:ietf:params:oauth:request_uri:")); got <= 96 {
		t.Errorf("request_uri has %.0f bits: %s", got, f.uri)
	}
}

// address returns where the browser goes, with more besides what is needed.
func (f *flow) address(more url.Values) string {
	q := url.Values{"client_id": {f.c.id}, "request_uri": {f.uri}}
	for name, v := range more {
		q[name] = v
	}
	return f.v.doc["authorization_endpoint"].(string) + "?" + q.Encode()
}

// repeated is what most modules repeat in the browser's URL.
func (f *flow) repeated() url.Values {
	more := url.Values{}
	for _, name := range []string{"response_type", "scope", "redirect_uri"} {
		if f.ask.Has(name) {
			more[name] = f.ask[name]
		}
	}
	return more
}

// decide walks through the pages of b, which shows the first, to the button.
func (f *flow) decide(t *testing.T, b *labBrowser, button string) url.Values {
	t.Helper()
	b.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
	b.form(t, url.Values{button: {"1"}})
	return f.back(t, b)
}

// back checks the redirect to the client, and returns what is new in it. The
// query that the redirect URI was registered with has to be there, once.
func (f *flow) back(t *testing.T, b *labBrowser) url.Values {
	t.Helper()
	location := b.res.Header.Get("Location")
	next := "?"
	switch {
	case f.c.hybrid():
		next = "#"
	case strings.Contains(f.c.redirect, "?"):
		next = "&"
	}
	added, ok := strings.CutPrefix(location, f.c.redirect+next)
	if b.res.StatusCode != http.StatusSeeOther || !ok || strings.ContainsAny(added, "#?") {
		t.Fatalf("no redirect to the client: %d %s\n%s", b.res.StatusCode, location, b.body)
	}
	q, err := url.ParseQuery(added)
	if err != nil {
		t.Fatal(err)
	}
	if f.c.jarm {
		q = f.response(t, q)
	}
	want := []string{"iss"}
	for _, name := range []string{"code", "error", "error_description"} {
		if q.Has(name) {
			want = append(want, name)
		}
	}
	if f.ask.Has("state") {
		want = append(want, "state")
	}
	if f.c.hybrid() && q.Has("code") {
		want = append(want, "id_token")
		f.idToken = f.detached(t, q)
	}
	slices.Sort(want)
	for name, v := range q {
		if len(v) != 1 || !slices.Contains(want, name) {
			t.Errorf("the redirect has %s=%q", name, v)
		}
	}
	if q.Get("iss") != f.v.issuer || q.Get("state") != f.ask.Get("state") || q.Has("code") == q.Has("error") {
		t.Errorf("redirect: %s", location)
	}
	if cors := b.res.Header.Get("Access-Control-Allow-Origin"); cors != "" {
		t.Errorf("CORS at the authorization endpoint: %s", cors)
	}
	return q
}

// approve pushes the request, logs in and approves.
func (f *flow) approve(t *testing.T) {
	t.Helper()
	b := f.v.browser(t)
	f.begin(t, b, way{}, f.repeated())
	f.approved(t, b)
}

// approved goes on from the first page.
func (f *flow) approved(t *testing.T, b *labBrowser) {
	t.Helper()
	f.code = f.decide(t, b, "approve").Get("code")
	secret(t, "code", f.code)
}

// redemption is the token request.
func (f *flow) redemption() url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {f.code}, "redirect_uri": {f.c.redirect}}
	if f.ask.Has("code_challenge") {
		form.Set("code_verifier", f.verifier)
	}
	return form
}

// An issuedKey is what a client was given.
type issuedKey struct {
	access, refresh string
	idToken         string
	id              map[string]any // claims of the ID token; nil if there is none
	details         []any          // authorization_details; nil if there are none
}

// redeem redeems the code. It has to succeed.
func (f *flow) redeem(t *testing.T) issuedKey {
	t.Helper()
	k := f.issued(t, f.c.post(t, f.v.token, f.redemption(), way{}))
	if want := slices.Contains(strings.Fields(f.ask.Get("scope")), "openid"); (k.id != nil) != want {
		t.Errorf("ID token: %v, want one: %v", k.id, want)
	}
	if k.refresh == "" {
		t.Error("no refresh token, although the metadata has the grant type")
	}
	if f.idToken != nil && (f.idToken["sub"] != k.id["sub"] || f.idToken["iss"] != k.id["iss"]) {
		t.Errorf("the ID tokens are about two customers: %v, %v", f.idToken, k.id)
	}
	return k
}

// complete takes all steps.
func (f *flow) complete(t *testing.T) issuedKey {
	t.Helper()
	f.approve(t)
	k := f.redeem(t)
	f.v.served(t, f.c, k.access, nil)
	return k
}

// issued checks a token response (RFC 6749, 5.1).
func (f *flow) issued(t *testing.T, r *reply) (k issuedKey) {
	t.Helper()
	life, _ := r.json["expires_in"].(float64)
	kind, _ := r.json["token_type"].(string)
	if r.status != http.StatusOK || life < 1 || life > 365*24*3600 || life != math.Trunc(life) || !strings.EqualFold(kind, f.c.scheme()) {
		t.Fatalf("token response: %d %s\n%s", r.status, r.body, f.v.stderr)
	}
	uncached(t, r)
	k.access, _ = r.json["access_token"].(string)
	secret(t, "access token", k.access)
	if refresh, ok := r.json["refresh_token"]; ok {
		k.refresh, _ = refresh.(string)
		secret(t, "refresh token", k.refresh)
	}
	if id, ok := r.json["id_token"]; ok {
		compact, _ := id.(string)
		k.idToken = f.c.decrypted(t, compact)
		k.id = f.claimsOfID(t, k.idToken, k.access)
	}
	k.details, _ = r.json["authorization_details"].([]any)
	if (k.details != nil) != f.ask.Has("authorization_details") {
		t.Errorf("authorization_details: %v", r.json["authorization_details"])
	}
	return k
}

// request returns a request to the resource.
func (v *variant) request(t *testing.T, c *tester, token string, with http.Header) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.api, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", c.scheme()+" "+token)
	}
	for name, value := range with {
		req.Header[name] = value
	}
	return req
}

// scheme is how the client presents access tokens.
func (c *tester) scheme() string {
	if c.dpop {
		return "DPoP"
	}
	return "Bearer"
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// served calls the resource, which has to answer.
func (v *variant) served(t *testing.T, c *tester, token string, with http.Header) *reply {
	t.Helper()
	r := c.ask(t, token, func() *http.Request { return v.request(t, c, token, with) })
	date, err := http.ParseTime(r.header.Get("Date"))
	if r.status != http.StatusOK || r.json == nil || err != nil || time.Since(date).Abs() > 5*time.Minute || !uuid.MatchString(r.header.Get("X-Fapi-Interaction-Id")) {
		t.Errorf("resource: %d %v %s", r.status, r.header, r.body)
	}
	return r
}

// turnedAway calls the resource, which has to refuse the token.
func (v *variant) turnedAway(t *testing.T, c *tester, token string) {
	t.Helper()
	r := c.ask(t, token, func() *http.Request { return v.request(t, c, token, nil) })
	want := "invalid_token"
	if c.dpop && c.prover == nil {
		want = "invalid_dpop_proof"
	}
	challenge := (&answer{header: r.header}).challenge(c.scheme())
	if r.status != http.StatusUnauthorized || r.json["error"] != want || !strings.Contains(challenge, `error="`+want+`"`) {
		t.Errorf("resource: %d %v %s", r.status, r.header, r.body)
	}
}

// refusedWith checks an error response (RFC 6749, 5.2): one of those allowed, each
// status and code, and nothing that may not be in one.
func refusedWith(t *testing.T, r *reply, allowed ...string) {
	t.Helper()
	code, _ := r.json["error"].(string)
	got := strconv.Itoa(r.status) + " " + code
	if !slices.Contains(allowed, got) {
		t.Errorf("answered %d %s, want one of %q", r.status, r.body, allowed)
	}
	if r.header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type %q", r.header.Get("Content-Type"))
	}
	uncached(t, r)
	for name, v := range r.json {
		s, ok := v.(string)
		if !ok || name != "error" && name != "error_description" || s == "" || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }) {
			t.Errorf("the error response has %s: %v", name, v)
		}
	}
}

// wantErrorPage checks that b shows a page that says code, and goes nowhere.
func wantErrorPage(t *testing.T, b *labBrowser, code string) {
	t.Helper()
	if b.res.StatusCode != http.StatusBadRequest || b.res.Header.Get("Location") != "" || !strings.HasPrefix(b.res.Header.Get("Content-Type"), "text/html") || !strings.Contains(b.body, code) {
		t.Errorf("want a page with %s: %d %v\n%s", code, b.res.StatusCode, b.res.Header, b.body)
	}
}

func uncached(t *testing.T, r *reply) {
	t.Helper()
	if !strings.Contains(r.header.Get("Cache-Control"), "no-store") {
		t.Errorf("Cache-Control %q", r.header.Get("Cache-Control"))
	}
}

// secret checks that what stands for a right cannot be guessed, as the tests
// measure it, and is printable ASCII.
func secret(t *testing.T, name, s string) {
	t.Helper()
	if len(s) < 16 || entropy(s) <= 96 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		t.Errorf("%s has %d characters and %.0f bits: %q", name, len(s), entropy(s), s)
	}
}

// entropy returns the bits of s by the statistics of its characters: Shannon's
// entropy of one, times their number.
func entropy(s string) float64 {
	var bits float64
	for _, c := range slices.Compact(slices.Sorted(slices.Values([]byte(s)))) {
		p := float64(bytes.Count([]byte(s), []byte{c})) / float64(len(s))
		bits -= p * math.Log2(p)
	}
	return bits * float64(len(s))
}
