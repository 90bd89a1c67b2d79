package authz_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/pkce"
)

// advanced serves FAPI 1.0 Advanced alone.
func advanced(c *authz.Config) { c.Profiles = []authz.Profile{authz.FAPI1Advanced} }

// hybrid makes f a client of FAPI 1.0 Advanced that is answered by code and ID
// token.
func (f *fintech) hybrid() *fintech {
	f.signs()
	f.Profile = authz.FAPI1Advanced
	f.ResponseTypes = []string{"code id_token"}
	f.GrantTypes = []string{"authorization_code", "refresh_token", "implicit"}
	return f
}

// jarmed makes f one that is answered by a code in a signed response.
func (f *fintech) jarmed() *fintech {
	f.signs()
	f.Profile = authz.FAPI1Advanced
	f.ResponseTypes = []string{"code"}
	f.GrantTypes = []string{"authorization_code", "refresh_token"}
	return f
}

// wants returns the parameters of a good request of such a client, without PKCE.
func (f *fintech) wants() url.Values {
	v := url.Values{
		"response_type": {f.ResponseTypes[0]},
		"redirect_uri":  {f.RedirectURIs[0]},
		"scope":         {"openid accounts"},
		"state":         {"st-4Jx9"},
		"nonce":         {"n-0S6_WzA2Mj"},
	}
	if f.ResponseTypes[0] == "code" {
		v.Set("response_mode", "jwt")
	}
	return v
}

// challenged adds PKCE to v.
func challenged(v url.Values) url.Values {
	v.Set("code_challenge", pkce.Challenge(verifier))
	v.Set("code_challenge_method", "S256")
	return v
}

// beside returns what a client of FAPI 1.0 writes beside a request object
// (FAPI1-ADV-5.2.3-9).
func (f *fintech) beside(object string) url.Values {
	return url.Values{"client_id": {f.ID}, "response_type": {f.ResponseTypes[0]}, "scope": {"openid accounts"}, "request": {object}}
}

func authorizeURL(v url.Values) string { return issuer + "/authorize?" + v.Encode() }

// byValue returns a request by value, that of claims.
func (f *fintech) byValue(claims m) *http.Request {
	return get(authorizeURL(f.beside(f.object(claims))))
}

// byPush pushes an object and returns what the browser then asks.
func (f *fintech) byPush(b *bank, claims m) *http.Request {
	b.t.Helper()
	res := b.do(f.pushing(b, f.object(claims)))
	got := object(b.t, res)
	if res.StatusCode != 201 {
		b.t.Fatalf("PAR: %d %v %+v", res.StatusCode, got, b.lastEvent())
	}
	return get(authorizeURL(url.Values{"client_id": {f.ID}, "request_uri": {got["request_uri"].(string)}}))
}

// shows sends r and returns the ID of the interaction on the page.
func (br *browser) shows(r *http.Request) string {
	br.b.t.Helper()
	res := br.do(r)
	if res.StatusCode == 303 {
		res = br.do(get(res.Header.Get("Location")))
	}
	id, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 {
		br.b.t.Fatalf("authorize: %d %s %+v", res.StatusCode, id, br.b.lastEvent())
	}
	return string(id)
}

// decideAt is decide for any request to the authorization endpoint.
func (br *browser) decideAt(r *http.Request, d authz.Decision) *http.Response {
	br.b.t.Helper()
	w, err := br.finish(br.shows(r), d)
	if err != nil {
		br.b.t.Fatalf("Finish: %v", err)
	}
	return w.Result()
}

// fragment returns the parameters in the fragment of a redirect that has none in
// its query.
func fragment(t *testing.T, res *http.Response) url.Values {
	t.Helper()
	_, text, ok := strings.Cut(res.Header.Get("Location"), "#")
	v, err := url.ParseQuery(text)
	if res.StatusCode != 303 || !ok || err != nil || strings.Contains(res.Header.Get("Location"), "?") {
		t.Fatalf("%d, Location is %s", res.StatusCode, res.Header.Get("Location"))
	}
	return v
}

var input = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// posted returns the action and the fields of a page that posts itself.
func posted(t *testing.T, res *http.Response) (action string, fields url.Values) {
	t.Helper()
	page, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || res.Header.Get("Location") != "" {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	m := regexp.MustCompile(`<form method="post" action="([^"]*)">`).FindAllStringSubmatch(string(page), -1)
	if len(m) != 1 {
		t.Fatalf("no one form: %s", page)
	}
	fields = url.Values{}
	for _, in := range input.FindAllStringSubmatch(string(page), -1) {
		fields.Add(html.UnescapeString(in[1]), html.UnescapeString(in[2]))
	}
	return html.UnescapeString(m[0][1]), fields
}

// halved returns the half hash of s under an algorithm with SHA-256.
func halved(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// back returns the parameters that the client is given, after checking how.
func (f *fintech) back(t *testing.T, res *http.Response) url.Values {
	t.Helper()
	if f.ResponseTypes[0] != "code" {
		return fragment(t, res)
	}
	q := location(t, res)
	if len(q) != 1 || len(q["response"]) != 1 {
		t.Fatalf("%d, Location is %s", res.StatusCode, res.Header.Get("Location"))
	}
	v := url.Values{}
	for name, value := range signedClaims(t, q.Get("response")) {
		if text, ok := value.(string); ok {
			v.Set(name, text)
		}
	}
	return v
}

func signedClaims(t *testing.T, jws string) map[string]any {
	t.Helper()
	if !signatureFits("ES256", jws, mustSigner(t, serverKeys, "ES256").Public()) {
		t.Fatalf("the signature does not fit: %s", jws)
	}
	return claimsOf(t, jws)
}

// openPage returns the response of the authorization endpoint to r and, if it
// was a 303 to itself, to what follows.
func (br *browser) openPage(r *http.Request) *http.Response {
	res := br.do(r)
	if to := res.Header.Get("Location"); res.StatusCode == 303 && strings.HasPrefix(to, issuer+"/authorize?") {
		return br.do(get(to))
	}
	return res
}

// formTo posts v to the authorization endpoint, as a page of the client does.
func formTo(v url.Values) *http.Request {
	r := httptest.NewRequest("POST", issuer+"/authorize", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// pageFor reports an answer that is not an error page for this rule, or one
// that leads the browser anywhere.
func pageFor(t *testing.T, b *bank, res *http.Response, code, rule string) {
	t.Helper()
	page, _ := io.ReadAll(res.Body)
	if res.StatusCode < 400 || res.Header.Get("Location") != "" || !strings.Contains(string(page), "<code>"+code+"</code>") || strings.Contains(string(page), "<form") {
		t.Errorf("answer is %d %q %s, want a page with %s", res.StatusCode, res.Header.Get("Location"), page, code)
	}
	if e := b.lastEvent(); e.Rule != rule || string(e.Code) != code || e.Kind != "request_refused" {
		t.Errorf("the operator is told %+v, want rule %s and %s", e, rule, code)
	}
}
