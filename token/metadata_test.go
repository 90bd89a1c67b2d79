package token_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// described returns a verifier with metadata, for an API of that name.
func described(t *testing.T, name string, adjust ...func(*token.VerifierConfig)) *token.Verifier {
	t.Helper()
	c := config(t)
	c.Audience, c.Metadata = name, &token.Metadata{}
	for _, f := range adjust {
		f(&c)
	}
	return verifier(t, c)
}

// fetchMetadata asks for the document as a client does, at a mux of the host's.
func fetchMetadata(t *testing.T, v *token.Verifier, method, url string) *http.Response {
	t.Helper()
	path, h := v.Metadata()
	mux := http.NewServeMux()
	mux.Handle(path, h)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, url, nil))
	return w.Result()
}

func dpopToo(c *token.VerifierConfig) {
	c.Origins, c.Replays = []string{audience}, &store.Memory{Now: clock}
}

func TestMetadata(t *testing.T) {
	// The catalogue's section 11, but for what is signed or translated, which we do not do.
	full := token.Metadata{
		Name: "FinBank Accounts API", Scopes: []string{"accounts", "payments"},
		DetailsTypes:  []string{"payment_initiation", "account_information"},
		Documentation: "https://api.finbank.example/docs", Policy: "https://api.finbank.example/policy", Terms: "https://api.finbank.example/tos",
	}
	least := object{
		"resource": audience, "authorization_servers": []string{issuer}, "bearer_methods_supported": []string{"header"},
		"tls_client_certificate_bound_access_tokens": true,
	}
	tests := []struct {
		name   string
		adjust func(*token.VerifierConfig)
		want   object
	}{
		{"RFC9728-2-1 RFC9728-3.2-1 what is empty is left out", func(*token.VerifierConfig) {}, least},
		{"RFC9728-3.2-1 also where it is an empty list", func(c *token.VerifierConfig) {
			c.Metadata = &token.Metadata{Scopes: []string{}, DetailsTypes: []string{}}
		}, least},
		{"RFC9728-2-2 all there is", func(c *token.VerifierConfig) { dpopToo(c); c.Metadata = &full }, object{
			"resource": audience, "authorization_servers": []string{issuer}, "bearer_methods_supported": []string{"header"},
			"scopes_supported": full.Scopes, "resource_name": full.Name, "resource_documentation": full.Documentation,
			"resource_policy_uri": full.Policy, "resource_tos_uri": full.Terms, "tls_client_certificate_bound_access_tokens": true,
			"authorization_details_types_supported": full.DetailsTypes,
			"dpop_signing_alg_values_supported":     []string{"PS256", "ES256", "EdDSA", "Ed25519"},
		}},
		{"RFC9728-2-2 the algorithms are those that are accepted", func(c *token.VerifierConfig) { dpopToo(c); c.Algorithms = []string{"ES256"} },
			with(least, "dpop_signing_alg_values_supported", []string{"ES256"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := fetchMetadata(t, described(t, audience, tt.adjust), "GET", audience+"/.well-known/oauth-protected-resource")
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s as %s", res.Status, res.Header.Get("Content-Type"))
			}
			var got object
			if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(plain(t, tt.want), got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	t.Run("RFC9728-7.10-1 may be cached, and read by an app in a browser", func(t *testing.T) {
		h := fetchMetadata(t, described(t, audience), "GET", audience+"/.well-known/oauth-protected-resource").Header
		if h.Get("Cache-Control") != "public, max-age=300" || h.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%v", h)
		}
	})
	t.Run("there is none unless it is asked for", func(t *testing.T) {
		if path, h := verifier(t, config(t)).Metadata(); path != "" || h != nil {
			t.Errorf("Metadata: %q, %v", path, h)
		}
	})
	t.Run("what is given may change afterwards", func(t *testing.T) {
		m := &token.Metadata{Scopes: []string{"accounts"}}
		v := described(t, audience, func(c *token.VerifierConfig) { c.Metadata = m })
		m.Scopes[0] = "payments"
		if b := body(t, fetchMetadata(t, v, "GET", audience+"/.well-known/oauth-protected-resource")); !strings.Contains(b, `["accounts"]`) {
			t.Error(b)
		}
	})
}

func TestMetadataLocation(t *testing.T) {
	const host, wellKnown = "https://h.example", "https://h.example/.well-known/oauth-protected-resource"
	tests := []struct {
		name, resource, method, url string
		status                      int
	}{
		{"RFC9728-3-1 no path", host, "GET", wellKnown, 200},
		{"RFC9728-3.1-1 RFC9728-3-1 a slash after the host", host + "/", "GET", wellKnown, 200},
		{"RFC9728-3-1 a path", host + "/r1", "GET", wellKnown + "/r1", 200},
		{"RFC9728-3-1 a path that ends in a slash", host + "/r1/", "GET", wellKnown + "/r1/", 200},
		{"RFC9728-3-1 a path with escapes", host + "/a%2Fb/%7Bc%7D", "GET", wellKnown + "/a%2Fb/%7Bc%7D", 200},
		{"RFC9728-3.2-1 HEAD", host + "/r1", "HEAD", wellKnown + "/r1", 200},
		{"RFC9728-3-1 below the path", host + "/r1/", "GET", wellKnown + "/r1/x", 404},
		{"RFC9728-3-1 another path", host + "/r1", "GET", wellKnown + "/r2", 404},
		{"RFC9728-3-1 after the path", host + "/r1", "GET", host + "/r1/.well-known/oauth-protected-resource", 404},
		{"RFC9728-3-1 the host's for an API with a path", host + "/r1", "GET", wellKnown, 404},
		{"RFC9728-3.1-1 POST", host + "/r1", "POST", wellKnown + "/r1", 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := fetchMetadata(t, described(t, tt.resource), tt.method, tt.url)
			if res.StatusCode != tt.status {
				t.Fatalf("%s, want %d", res.Status, tt.status)
			}
			if tt.status == 405 && res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", res.Header.Get("Allow"))
			}
			if tt.status == 200 && tt.method == "GET" && !strings.Contains(body(t, res), `"resource":"`+tt.resource+`"`) {
				t.Errorf("the document is of another resource than %s", tt.resource)
			}
		})
	}
}

// A client that was sent to a document by a challenge discards it unless it is
// about the very URL that the client asked for.
func TestResourceMetadata(t *testing.T) {
	const accounts = audience + "/accounts"
	tests := []struct {
		name, resource, url string
		change              func(*http.Request)
		want                string // "": left out
	}{
		{"the API is one endpoint", accounts, accounts, nil, audience + "/.well-known/oauth-protected-resource/accounts"},
		{"and its path was cut by the host's mux", accounts, accounts, func(r *http.Request) { r.URL.Path = "/" }, audience + "/.well-known/oauth-protected-resource/accounts"},
		{"and has escapes", audience + "/a%2Fb", audience + "/a%2Fb", nil, audience + "/.well-known/oauth-protected-resource/a%2Fb"},

		{"an endpoint of a host", audience, accounts, nil, ""},
		{"an endpoint below the API", accounts, accounts + "/1", nil, ""},
		{"a query", accounts, accounts + "?page=1", nil, ""},
		{"an empty query", accounts, accounts + "?", nil, ""},
		{"a slash more", accounts, accounts + "/", nil, ""},
		{"other letter case", accounts, audience + "/Accounts", nil, ""},
		{"another spelling", audience + "/a%2Fb", audience + "/a/b", nil, ""},
		{"another host", accounts, "https://konto.finbank.example/accounts", nil, ""},
		{"another port", accounts, audience + ":8443/accounts", nil, ""},
		{"a host's own identifier, with or without a slash", audience, audience + "/", nil, ""},
		{"a host's own identifier with a slash", audience + "/", audience + "/", nil, ""},
	}
	for _, tt := range tests {
		t.Run("RFC9728-3.3-2 "+tt.name, func(t *testing.T) {
			v := described(t, tt.resource, dpopToo)
			r := httptest.NewRequest("GET", tt.url, nil)
			if tt.change != nil {
				tt.change(r)
			}
			challenges := call(v, r).Header["Www-Authenticate"]
			if len(challenges) != 2 { // RFC 9728, 5.4
				t.Fatalf("%q", challenges)
			}
			for _, c := range challenges {
				want := `resource_metadata="` + tt.want + `"`
				if n := strings.Count(c, "resource_metadata"); tt.want == "" && n != 0 || tt.want != "" && (n != 1 || !strings.Contains(c, want)) {
					t.Errorf("%s, want %s", c, want)
				}
			}
			if tt.want == "" {
				return
			}
			res := fetchMetadata(t, v, "GET", tt.want)
			if b := body(t, res); res.StatusCode != 200 || !strings.Contains(b, `"resource":"`+tt.url+`"`) {
				t.Errorf("there is no document about %s: %s %s", tt.url, res.Status, b)
			}
		})
	}
	t.Run("RFC9728-5-1 RFC9728-5.4-1 beside an error, with either scheme", func(t *testing.T) {
		v := described(t, accounts, dpopToo)
		r := httptest.NewRequest("GET", accounts, nil)
		r.Header.Set("Authorization", "DPoP x")
		const doc = `resource_metadata="https://api.finbank.example/.well-known/oauth-protected-resource/accounts"`
		want := []string{
			`DPoP realm="` + accounts + `", error="invalid_token", error_description="the token is malformed", ` + doc + `, algs="PS256 ES256 EdDSA Ed25519"`,
			`Bearer realm="` + accounts + `", ` + doc,
		}
		if d := cmp.Diff(want, call(v, r).Header["Www-Authenticate"]); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
	t.Run("RFC9728-3.3-2 without metadata", func(t *testing.T) {
		v := described(t, accounts, func(c *token.VerifierConfig) { c.Metadata = nil })
		if got := call(v, httptest.NewRequest("GET", accounts, nil)).Header.Get("WWW-Authenticate"); got != `Bearer realm="`+accounts+`"` {
			t.Error(got)
		}
	})
}

func TestNewVerifierMetadata(t *testing.T) {
	for name, tt := range map[string]struct {
		audience string
		metadata token.Metadata
		want     []string
	}{
		"RFC9728-1-1 no https URL":   {"http://api.example", token.Metadata{}, []string{"Audience"}},
		"RFC9728-1-1 a name":         {"urn:finbank:accounts", token.Metadata{}, []string{"Audience"}},
		"RFC9728-1-1 a fragment":     {"https://api.example#x", token.Metadata{}, []string{"Audience"}},
		"RFC9728-1-1 a query":        {"https://api.example?x=1", token.Metadata{}, []string{"Audience"}},
		"RFC9728-1-1 no host":        {"https:///accounts", token.Metadata{}, []string{"Audience"}},
		"RFC9728-1-1 a user":         {"https://a@api.example", token.Metadata{}, []string{"Audience"}},
		"RFC9728-5-1 a quote":        {`https://api.example/"x`, token.Metadata{}, []string{"Audience"}},
		"RFC9728-2-2 scope":          {audience, token.Metadata{Scopes: []string{"a b"}}, []string{"a b"}},
		"RFC9728-2-2 type":           {audience, token.Metadata{DetailsTypes: []string{""}}, []string{"DetailsTypes"}},
		"RFC9728-2-2 name":           {audience, token.Metadata{Name: "\xff"}, []string{"UTF-8"}},
		"RFC9728-2-2 three bad URLs": {audience, token.Metadata{Documentation: "docs", Policy: "http://a.example", Terms: "javascript:x"}, []string{"docs", "http://a.example", "javascript:x"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t)
			c.Audience, c.Realm, c.Metadata = tt.audience, "accounts", &tt.metadata
			v, err := token.NewVerifier(c)
			if err == nil || v != nil {
				t.Fatalf("NewVerifier: %v", err)
			}
			if i := slices.IndexFunc(tt.want, func(s string) bool { return !strings.Contains(err.Error(), s) }); i >= 0 {
				t.Errorf("%v: does not say %q", err, tt.want[i])
			}
		})
	}
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
