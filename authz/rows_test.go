package authz_test

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/authz"
)

// TestMetadataRows holds the document to the rows that speak of single
// members; TestMetadata has it whole.
func TestMetadataRows(t *testing.T) {
	const alias = "https://mtls.bank.example"
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), func(c *authz.Config) { c.MTLSBase = alias })
	read := func(t *testing.T, path string) (string, map[string]any) {
		t.Helper()
		res := b.do(get(issuer + path))
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %d %v", path, res.StatusCode, err)
		}
		res.Body = io.NopCloser(strings.NewReader(string(text)))
		return string(text), object(t, res)
	}
	text, m := read(t, wellKnown)
	list := func(name string) (l []string) {
		for _, v := range m[name].([]any) {
			l = append(l, v.(string))
		}
		return l
	}

	t.Run("RFC8414-2-2 OIDD-3 RFC9700-2.6-1 what every client needs", func(t *testing.T) {
		for _, name := range []string{
			"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported",
			"subject_types_supported", "id_token_signing_alg_values_supported",
		} {
			if m[name] == nil {
				t.Errorf("%s is missing", name)
			}
		}
	})
	t.Run("RFC8414-2-3 OIDD-5 RFC9101-9-3 what is missing has a default that does not hold here", func(t *testing.T) {
		for _, name := range []string{"response_modes_supported", "grant_types_supported", "token_endpoint_auth_methods_supported"} {
			if m[name] == nil {
				t.Errorf("%s is missing", name)
			}
		}
		for name, want := range map[string]bool{
			"request_parameter_supported": true, "request_uri_parameter_supported": false, "claims_parameter_supported": true,
			"require_signed_request_object": false,
		} {
			if v, ok := m[name].(bool); v != want || !ok {
				t.Errorf("%s is %v, want %t and not silence", name, m[name], want)
			}
		}
		if slices.Contains(list("grant_types_supported"), "implicit") || slices.Contains(list("response_modes_supported"), "fragment") {
			t.Error("the implicit grant's ways are listed")
		}
	})
	t.Run("RFC8414-2-4 CT-AS-1 OIDC-MTI-1 algorithms of FAPI, and no other", func(t *testing.T) {
		for _, name := range []string{"token_endpoint_auth_signing_alg_values_supported", "id_token_signing_alg_values_supported"} {
			for _, alg := range list(name) {
				if !slices.Contains([]string{"PS256", "ES256", "EdDSA", "Ed25519"}, alg) {
					t.Errorf("%s has %s", name, alg)
				}
			}
		}
	})
	t.Run("RFC8414-2-5 OIDD-4 RFC9700-2.1.1-5 CT-AS-1 scopes, and that PKCE works", func(t *testing.T) {
		if !slices.Contains(list("scopes_supported"), "openid") || !slices.Equal(list("code_challenge_methods_supported"), []string{"S256"}) {
			t.Errorf("scopes %v, challenges %v", m["scopes_supported"], m["code_challenge_methods_supported"])
		}
	})
	t.Run("OIDC-SU-1 subjects are the same for every client", func(t *testing.T) {
		if !slices.Equal(list("subject_types_supported"), []string{"public"}) {
			t.Errorf("subject_types_supported is %v", m["subject_types_supported"])
		}
	})
	t.Run("RFC9207-3-1 RFC8705-3.3-1 RFC8705-3.3 CT-AS-1 what has the default false", func(t *testing.T) {
		for _, name := range []string{
			"authorization_response_iss_parameter_supported", "tls_client_certificate_bound_access_tokens", "require_pushed_authorization_requests",
		} {
			if m[name] != true {
				t.Errorf("%s is %v", name, m[name])
			}
		}
	})
	t.Run("OIDD-10 CT-AS-1 FAPI2-SP-5.2.2.1-2 every endpoint is https and has no fragment", func(t *testing.T) {
		n := 0
		check := func(name string, v any, base string) {
			u, err := url.Parse(v.(string))
			if err != nil || u.Scheme != "https" || u.Fragment != "" || !strings.HasPrefix(v.(string), base+"/") {
				t.Errorf("%s is %v", name, v)
			}
			n++
		}
		for name, v := range m {
			if strings.HasSuffix(name, "_endpoint") || strings.HasSuffix(name, "_uri") {
				check(name, v, issuer)
			}
		}
		for name, v := range m["mtls_endpoint_aliases"].(map[string]any) {
			check(name, v, alias)
		}
		if n != 12 {
			t.Errorf("%d endpoints, want 12", n)
		}
	})
	t.Run("RFC8414-3-2 OIDD-1 CONF-30 both documents are one, and there is no other", func(t *testing.T) {
		if other, _ := read(t, "/.well-known/oauth-authorization-server"); other != text {
			t.Errorf("%s\n%s", text, other)
		}
		for _, path := range []string{"/.well-known/openid-configuration/", "/.well-known/webfinger", "/.well-known/"} {
			if res := b.do(get(issuer + path)); res.StatusCode != 404 {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		}
	})
	t.Run("RFC9207-2-2 OIDD-2 OIDC-RS-7 RFC8705-5-5 one issuer everywhere, at the alias too", func(t *testing.T) {
		u, err := url.Parse(issuer)
		if err != nil || u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || m["issuer"] != issuer {
			t.Errorf("issuer is %v", m["issuer"])
		}
		res, err := (&browser{b: b}).decide(f, f.push(b, f.pushable()), b.approval())
		if err != nil {
			t.Fatal(err)
		}
		back := location(t, res)
		if back.Get("iss") != issuer {
			t.Errorf("the response has iss %q", back.Get("iss"))
		}
		r := f.request("/token", f.authenticate(b, f.redeemable(back.Get("code"))))
		r.Host = "mtls.bank.example"
		got := object(t, b.do(r))
		for _, name := range []string{"access_token", "id_token"} {
			if iss := claimsOf(t, got[name].(string))["iss"]; iss != issuer {
				t.Errorf("%s has iss %v", name, iss)
			}
		}
	})
}

// TestRegistrationRows is about what a client registered. A server without a
// registration endpoint reads the same metadata from its registry.
func TestRegistrationRows(t *testing.T) {
	t.Run("RFC7591-2-1 R7591-2-4 OIDR-22 a member that is not known is kept and changes nothing", func(t *testing.T) {
		f := keyClient("kakeibo")
		text, err := f.Client.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		list, err := authz.LoadClients([]byte(`[` + strings.TrimSuffix(string(text), "}") + `,"foo":{"bar":[1]},"software_id":"x"}]`))
		if err != nil {
			t.Fatal(err)
		}
		c, err := list.Client(t.Context(), "kakeibo")
		if err != nil {
			t.Fatal(err)
		}
		b := newBank(t, []*authz.Client{c})
		if err := b.srv.CheckClient(c); err != nil {
			t.Error(err)
		}
		if string(c.Metadata["foo"]) != `{"bar":[1]}` {
			t.Errorf("foo is %s", c.Metadata["foo"])
		}
	})
	t.Run("RFC9126-6-1 a client that does not require pushed requests has to push them all the same", func(t *testing.T) {
		for _, v := range []string{"false", "true"} {
			f := keyClient("kakeibo")
			text, err := f.Client.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			list, err := authz.LoadClients([]byte(`[` + strings.TrimSuffix(string(text), "}") + `,"require_pushed_authorization_requests":` + v + `}]`))
			if err != nil {
				t.Fatal(err)
			}
			b := newBank(t, list.All())
			q := f.pushable()
			q.Set("client_id", f.ID)
			res := b.do(get(issuer + "/authorize?" + q.Encode()))
			if res.StatusCode != 400 || res.Header.Get("Location") != "" || b.lastEvent().Rule != "FAPI2-SP-5.3.2.2-3" {
				t.Errorf("%s: %d, %q, %+v", v, res.StatusCode, res.Header.Get("Location"), b.lastEvent())
			}
		}
	})
	t.Run("OIDR-15 the one algorithm registered, and no other of the profile", func(t *testing.T) {
		for alg, want := range map[string]int{"ES256": 201, "PS256": 401} {
			f := keyClient("kakeibo") // signs with ES256
			f.AuthSigningAlg = alg
			b := newBank(t, clients(f))
			if !f.send(b, "/par", f.authenticate(b, f.pushable()), want) {
				t.Errorf("registered for %s: want %d: %+v", alg, want, b.lastEvent())
			}
		}
	})
	t.Run("RFC8705-4-4 a certificate does not make a client of a public one", func(t *testing.T) {
		f := selfSignedClient("kakeibo")
		f.AuthMethod = "none"
		b := newBank(t, clients(f))
		for _, at := range authenticatedAt {
			refused(t, b.do(f.request(at.path, f.authenticate(b, at.form(f)))), 401, "invalid_client")
		}
	})
	t.Run("FAPI2-SP-5.1.2-1 no client is served less strictly than its profile says", func(t *testing.T) {
		for name, weaken := range map[string]func(*authz.Client){
			"unbound tokens": func(c *authz.Client) { c.CertificateBoundTokens = false },
			"a secret":       func(c *authz.Client) { c.AuthMethod = "client_secret_post" },
			"RS256":          func(c *authz.Client) { c.AuthSigningAlg = "RS256" },
			"implicit":       func(c *authz.Client) { c.GrantTypes = append(slices.Clone(c.GrantTypes), "implicit") },
			"a token":        func(c *authz.Client) { c.ResponseTypes = []string{"code", "token"} },
			"plain http": func(c *authz.Client) {
				c.RedirectURIs = append(slices.Clone(c.RedirectURIs), "http://app.fintech.example/cb")
			},
		} {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			form := f.authenticate(b, f.pushable())
			weaken(f.Client) // even while it is in use
			if b.srv.CheckClient(f.Client) == nil {
				t.Errorf("%s: CheckClient finds nothing", name)
			}
			if !f.send(b, "/par", form, 401) {
				t.Errorf("%s: the client is served", name)
			}
		}
	})
}

// refused reports an answer that is not this refusal.
func refused(t *testing.T, res *http.Response, status int, code string) {
	t.Helper()
	got := object(t, res)
	if res.StatusCode != status || got["error"] != code {
		t.Errorf("answer is %d %v, want %d %s", res.StatusCode, got, status, code)
	}
	checkErrorAnswer(t, res, got)
}
