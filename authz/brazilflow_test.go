package authz_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
)

// unsealed returns the claims of an ID token that is encrypted to sealKey as the
// region has it, and the header of the JWE.
func unsealed(t *testing.T, jwe string) (header, claims map[string]any) {
	t.Helper()
	if strings.Count(jwe, ".") != 4 {
		t.Fatalf("not encrypted: %s", jwe)
	}
	inner, _, err := jose.Decrypt(jwe, 1<<16, []string{"A256GCM"}, []jose.DecryptionKey{{ID: "enc-1", Algorithm: "RSA-OAEP", Key: sealKey()}})
	if err != nil {
		t.Fatal(err)
	}
	return headerOf(t, jwe), inClear(t, string(inner))
}

// inClear returns the claims of an ID token that the bank signed under PS256.
func inClear(t *testing.T, jws string) map[string]any {
	t.Helper()
	header, claims := verified(t, jws, psKeys())
	if header["alg"] != "PS256" {
		t.Errorf("header %v", header)
	}
	return claims
}

// TestBrazilFlow is one flow from the pushed request to the API.
func TestBrazilFlow(t *testing.T) {
	s := newKeyServer(t)
	f, api := brazilian(s, "receptora"), brazilian(s, "api")
	api.GrantTypes, api.RedirectURIs, api.ResponseTypes, api.Scope, api.Resource = []string{}, nil, nil, "", resource
	api.IDTokenEncryption, api.kid = authz.Encryption{}, f.kid // the same key, where s has it
	s.publish(f.jwk(), sealJWK())
	var asked []authz.ConsentRequest
	b := newBank(t, clients(f, api), inBrazil(s, func(r authz.ConsentRequest) string { asked = append(asked, r); return "" }), twoAPIs, func(c *authz.Config) {
		c.Resources[0].Scopes = slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return s == "payments" })
	})

	var shown authz.Interaction
	b.shown = func(w http.ResponseWriter, _ *http.Request, in *authz.Interaction) {
		shown = *in
		w.Write([]byte(in.ID))
	}
	c := f.consenting(b)
	c["claims"] = m{"id_token": m{"acr": m{"essential": true}}}
	back := fragment(t, (&browser{b: b}).decideAt(f.byPush(b, c), b.sim()))
	t.Run("BR-9 the page", func(t *testing.T) {
		if shown.Consent != bancoex || !cmp.Equal(shown.Scopes, []string{"openid", "accounts"}) {
			t.Errorf("consent %q, scopes %v", shown.Consent, shown.Scopes)
		}
	})
	t.Run("BR-14 BR-22b BR-23 BR-13 BR-24 the ID token beside the code", func(t *testing.T) {
		header, claims := unsealed(t, back.Get("id_token"))
		if d := cmp.Diff(map[string]any{"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "enc-1", "cty": "JWT"}, header); d != "" {
			t.Error(d) // and so neither x5u, x5c, jku nor jwk
		}
		if claims["sub"] != customer || claims["acr"] != loa2 || claims["nonce"] != "n-0S6_WzA2Mj" ||
			claims["c_hash"] != halved(back.Get("code")) || claims["s_hash"] != halved("st-4Jx9") {
			t.Errorf("%v", claims)
		}
	})

	status, got := f.token(b, f.redeemable(back.Get("code")))
	if status != 200 {
		t.Fatalf("token: %d %v %+v", status, got, b.lastEvent())
	}
	access := got["access_token"].(string)
	t.Run("BR-11 BR-12 BR-22b BR-13 the tokens", func(t *testing.T) {
		if life := got["expires_in"].(float64); life < 300 || life > 900 || got["refresh_token"] == nil || got["token_type"] != "Bearer" {
			t.Errorf("%v", got)
		}
		if claims := inClear(t, got["id_token"].(string)); claims["sub"] != customer || claims["acr"] != loa2 || claims["at_hash"] != halved(access) {
			t.Errorf("%v", claims)
		}
	})
	const linked = "openid accounts consent:" + bancoex
	t.Run("BR-9 BR-L-2 the access token names the consent", func(t *testing.T) {
		claims := inClear(t, access)
		if claims["scope"] != linked || got["scope"] != linked || claims["aud"] != resource || claims["cnf"].(map[string]any)["x5t#S256"] != mtls.Thumbprint(f.chain[0]) {
			t.Errorf("%v, scope %v", claims, got["scope"])
		}
	})
	t.Run("BR-15 OV-10 BR-9 BR-L-4 refresh, for less", func(t *testing.T) {
		for scope, want := range map[string]string{
			"": linked, "accounts": "accounts consent:" + bancoex, "openid accounts consent:" + bancoex: linked,
		} {
			v := refreshed(got["refresh_token"])
			if scope != "" {
				v.Set("scope", scope)
			}
			status, again := f.token(b, v)
			if status != 200 || again["refresh_token"] != got["refresh_token"] || again["scope"] != want || again["id_token"] != nil {
				t.Errorf("scope %q: %d %v", scope, status, again)
			}
		}
	})
	t.Run("BR-9 refresh for another consent", func(t *testing.T) {
		for _, scope := range []string{"accounts consent:urn:bancoex:other", linked + " consent:urn:bancoex:other"} {
			mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, changed(refreshed(got["refresh_token"]), "scope", scope)))), 400, "invalid_scope", "BR-9")
		}
	})
	t.Run("BR-8 BR-24 userinfo", func(t *testing.T) {
		if d := cmp.Diff(map[string]any{"sub": customer}, f.info(b, access, nil)); d != "" {
			t.Error(d)
		}
	})
	t.Run("BR-9 BR-L-2 introspection", func(t *testing.T) {
		for caller, want := range map[*fintech]string{f: linked, api: "accounts consent:" + bancoex} {
			if a := caller.introspect(b, access); a["active"] != true || a["scope"] != want {
				t.Errorf("%s: %v", caller.ID, a)
			}
		}
		if a := f.introspect(b, got["refresh_token"].(string)); a["scope"] != linked {
			t.Errorf("%v", a)
		}
	})
	t.Run("BR-L-2 an API that asks about the consent", func(t *testing.T) { anAPI(t, b, f, access) })
	t.Run("BR-9 the host is asked at each step", func(t *testing.T) {
		var steps []string
		for _, r := range asked {
			steps = append(steps, r.Step)
			if r.ID != bancoex || r.Client.ID != f.ID || (r.Step == "request") != (r.Subject == "" && r.GrantID == "") || r.Step != "request" && (r.Subject != customer || r.GrantID != shown.GrantID) {
				t.Errorf("%+v", r)
			}
		}
		if d := cmp.Diff([]string{"request", "decision", "code", "refresh", "refresh", "refresh"}, steps); d != "" {
			t.Error(d)
		}
	})
}

// anAPI is a resource server of the region: it wants to know which call it is,
// and refuses tokens whose consent is not active.
func anAPI(t *testing.T, b *bank, f *fintech, access string) {
	t.Helper()
	active := map[string]bool{bancoex: true}
	v, err := token.NewVerifier(token.VerifierConfig{Issuer: issuer, Audience: resource, Keys: psKeys(), Liveness: b.config.Store, Now: b.clock.Now, RequireInteractionID: true})
	if err != nil {
		t.Fatal(err)
	}
	h := v.Handler(token.Require{Scopes: []string{"accounts"}, Permit: func(_ *http.Request, a *token.Access) error {
		for _, scope := range a.Scopes {
			if id, ok := strings.CutPrefix(scope, "consent:"); ok && active[id] {
				return nil
			}
		}
		return &token.Error{Status: 401, Code: "invalid_token", Description: "the consent is not active"}
	}}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	call := func(id string) *http.Response {
		r := f.asksInfo(b, access, nil)
		r.URL.Path = "/accounts"
		if id != "" {
			r.Header.Set("X-Fapi-Interaction-Id", id)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	const id = "6f1f9d9a-6b5c-4e3a-9b0e-2f4f9e7c1a11"
	if res := call(id); res.StatusCode != 200 || res.Header.Get("X-Fapi-Interaction-Id") != id {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if res := call(""); res.StatusCode != 400 {
		t.Errorf("no x-fapi-interaction-id: %d", res.StatusCode)
	}
	active[bancoex] = false
	if res := call(id); res.StatusCode != 401 {
		t.Errorf("a consent that ended: %d", res.StatusCode)
	}
}

// TestBrazilConsent: what becomes of a consent becomes of its grant.
func TestBrazilConsent(t *testing.T) {
	s := newKeyServer(t)
	f := brazilian(s, "receptora")
	refusing := "" // the step
	b := newBank(t, clients(f), inBrazil(s, func(r authz.ConsentRequest) string {
		if r.Step == refusing {
			return "the consent is not AUTHORISED"
		}
		return ""
	}))
	at := func(step string) { refusing = step }
	for _, name := range []string{"BR-L-5 another customer's", "BR-L-6 a business account's, and the consent names none"} {
		t.Run(name, func(t *testing.T) {
			at("decision")
			defer at("")
			br := &browser{b: b}
			id := br.shows(f.byPush(b, f.consenting(b)))
			if _, err := br.finish(id, b.sim()); !isRule(err, authz.AccessDenied, "BR-9") {
				t.Fatalf("Finish: %v", err)
			}
			w, err := br.finish(id, authz.Decision{Deny: authz.AccessDenied})
			if err != nil {
				t.Fatal(err)
			}
			if q := fragment(t, w.Result()); q.Get("error") != "access_denied" || q.Has("code") {
				t.Errorf("%v", q)
			}
		})
	}
	t.Run("BR-L-1 no longer authorised when the code is redeemed", func(t *testing.T) {
		v := f.redeemable(f.consented(t, b, b.sim()).Get("code"))
		at("code")
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, v))), 400, "invalid_grant", "BR-9")
		at("")
		if status, got := f.token(b, v); status != 200 { // nothing was used up
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("BR-L-1 no longer authorised at refresh", func(t *testing.T) {
		refresh := f.brTokens(t, b, b.sim())["refresh_token"]
		at("refresh")
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, refreshed(refresh)))), 400, "invalid_grant", "BR-9")
		at("")
		if status, got := f.token(b, refreshed(refresh)); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("BR-L-1 CONSUMED: no refresh token, and GrantLifetime is not asked", func(t *testing.T) {
		d := b.sim()
		d.Expires = time.Time{}
		if got := f.brTokens(t, b, d); got["refresh_token"] != nil {
			t.Errorf("%v", got)
		}
	})
	t.Run("BR-L-7 OV-11 the refresh token lives as long as the consent", func(t *testing.T) {
		d := b.sim()
		d.Expires = b.clock.Now().Add(365 * 24 * time.Hour)
		refresh := f.brTokens(t, b, d)["refresh_token"].(string)
		if exp := f.introspect(b, refresh)["exp"]; exp != float64(d.Expires.Unix()) {
			t.Errorf("exp is %v", exp)
		}
	})
	t.Run("BR-L-3 a consent that is deleted", func(t *testing.T) {
		got := f.brTokens(t, b, b.sim())
		id := claimsOf(t, got["access_token"].(string))["grant_id"].(string)
		if err := b.office().Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, refreshed(got["refresh_token"])))), 400, "invalid_grant", "RFC6749-6-2")
		inactive(t, f.introspect(b, got["access_token"].(string)))
	})
	t.Run("BR-12 a consent with less left than a token lives at least", func(t *testing.T) {
		d := b.sim()
		refresh := f.brTokens(t, b, d)["refresh_token"]
		b.clock.Advance(24*time.Hour - 300*time.Second)
		if status, got := f.token(b, refreshed(refresh)); status != 200 || got["expires_in"] != 300.0 {
			t.Errorf("%d %v", status, got)
		}
		b.clock.Advance(time.Second)
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, refreshed(refresh)))), 400, "invalid_grant", "BR-12")
	})
	for name, acr := range map[string]string{"BR-13 BR-6 none": "", "BR-13 BR-6 another": "urn:bank:acr:sca"} {
		t.Run(name+" as the acr", func(t *testing.T) {
			br := &browser{b: b}
			d := b.sim()
			d.ACR = acr
			if _, err := br.finish(br.shows(f.byPush(b, f.consenting(b))), d); !isRule(err, authz.AccessDenied, "BR-13") {
				t.Errorf("Finish: %v", err)
			}
		})
	}
	t.Run("BR-7 BR-13 two factors", func(t *testing.T) {
		d := b.sim()
		d.ACR = loa3
		if acr := inClear(t, f.brTokens(t, b, d)["id_token"].(string))["acr"]; acr != loa3 {
			t.Errorf("acr %v", acr)
		}
	})
	t.Run("BR-L-4 less than was asked", func(t *testing.T) {
		d := b.sim()
		d.Scopes = []string{"openid"}
		got := f.brTokens(t, b, d)
		if got["scope"] != "openid consent:"+bancoex || claimsOf(t, got["access_token"].(string))["aud"] != issuer {
			t.Errorf("%v", got)
		}
	})
	t.Run("BR-L-4 what the bank takes from the client is gone", func(t *testing.T) {
		got := f.brTokens(t, b, b.sim())
		f.Scope = "openid consents"
		defer func() { f.Scope = "openid accounts consents resources payments" }()
		if a := f.introspect(b, got["access_token"].(string)); a["scope"] != "openid consent:"+bancoex {
			t.Errorf("%v", a)
		}
		f.Scope = "consents"
		inactive(t, f.introspect(b, got["access_token"].(string))) // the link alone is nothing
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, refreshed(got["refresh_token"])))), 400, "invalid_scope", "RFC6749-5.2-3")
	})
}

// TestBrazilIDToken: where an ID token is encrypted, and to which key.
func TestBrazilIDToken(t *testing.T) {
	s := newKeyServer(t)
	t.Run("BR-22b both, by the earlier revision", func(t *testing.T) {
		f := brazilian(s, "receptora")
		f.EncryptTokenEndpointIDToken = true
		b := newBank(t, clients(f), inBrazil(s, nil))
		back := f.consented(t, b, b.sim())
		unsealed(t, back.Get("id_token"))
		_, got := f.token(b, f.redeemable(back.Get("code")))
		if _, claims := unsealed(t, got["id_token"].(string)); claims["acr"] != loa2 {
			t.Errorf("%v", claims)
		}
	})
	without := func(member string) m {
		jwk := sealJWK()
		delete(jwk, member)
		return jwk
	}
	for _, tt := range []struct {
		name string
		keys []m
		ok   bool
	}{
		{"BR-23 BR-22b no key to encrypt to", nil, false},
		{"BR-23 a key without use", []m{without("use")}, false},
		{"BR-23 a key without kid", []m{without("kid")}, false},
		{"BR-23 the right one after others", []m{without("kid"), without("use"), sealJWK()}, true},
		{"BR-23 a key without alg", []m{without("alg")}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := brazilian(s, "receptora")
			s.publish(append([]m{f.jwk()}, tt.keys...)...)
			b := newBank(t, clients(f), inBrazil(s, nil))
			br := &browser{b: b}
			w, err := br.finish(br.shows(f.byPush(b, f.consenting(b))), b.sim())
			if !tt.ok {
				if err == nil || w.Header().Get("Location") != "" || w.Body.Len() > 0 {
					t.Errorf("%v %v, and nothing may be sent in the clear", err, w.Header())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if header, _ := unsealed(t, fragment(t, w.Result()).Get("id_token")); header["kid"] != "enc-1" {
				t.Errorf("%v", header)
			}
		})
	}
	t.Run("BR-14 BR-22b by form_post", func(t *testing.T) {
		f := brazilian(s, "receptora")
		b := newBank(t, clients(f), inBrazil(s, nil))
		c := f.consenting(b)
		c["response_mode"] = "form_post"
		action, fields := posted(t, (&browser{b: b}).decideAt(f.byPush(b, c), b.sim()))
		if _, claims := unsealed(t, fields.Get("id_token")); action != callback || claims["sub"] != customer {
			t.Errorf("%s %v", action, claims)
		}
	})
}

// TestBrazilBesideFAPI2: one server serves both, and neither is loosened or
// tightened by the other.
func TestBrazilBesideFAPI2(t *testing.T) {
	s := newKeyServer(t)
	f, modern := brazilian(s, "receptora"), keyClient("modern")
	modern.Profile, modern.Scope = authz.FAPI2Security, "openid accounts payments"
	b := newBank(t, clients(f, modern), inBrazil(s, nil), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI2Security, authz.OpenFinanceBrasil}
		keys, err := token.NewKeySet(token.PrivateKey{ID: "as-ps", Algorithm: "PS256", Signer: rsaKey()}, token.PrivateKey{ID: "as-es", Algorithm: "ES256", Signer: newEC()})
		if err != nil {
			t.Fatal(err)
		}
		c.Keys = keys
	})
	t.Run("OV-24 BR-25 a flow of each", func(t *testing.T) {
		if got := f.brTokens(t, b, b.sim()); headerOf(t, got["access_token"].(string))["alg"] != "PS256" || got["scope"] != "openid accounts consent:"+bancoex {
			t.Errorf("%v", got)
		}
		got := modern.tokens(b)
		if headerOf(t, got["access_token"].(string))["alg"] != "ES256" || got["scope"] != "openid accounts" || got["refresh_token"] == nil {
			t.Errorf("%v", got)
		}
	})
	t.Run("OV-24 BR-CRT-3 FAPI 2.0 pushes without a certificate", func(t *testing.T) {
		g := *modern
		g.chain = nil
		if res := b.do(g.request("/par", g.authenticate(b, g.pushable()))); res.StatusCode != 201 {
			t.Errorf("%d %v", res.StatusCode, object(t, res))
		}
	})
	t.Run("OV-24 BR-9 consent: is no scope of FAPI 2.0", func(t *testing.T) {
		v := changed(modern.pushable(), "scope", "openid accounts consent:"+bancoex)
		mustRefuse(t, b, b.do(modern.request("/par", modern.authenticate(b, v))), 400, "invalid_scope", "RFC6749-5.2-3")
	})
	t.Run("OV-24 BR-13 BR-22b FAPI 2.0 has its own acr, keys by value and encryption", func(t *testing.T) {
		key := newEC()
		jwk := publicJWK(key.Public(), "enc-1", "ECDH-ES")
		jwk["use"] = "enc"
		g := keyClient("sealed").publishes(jwk)
		g.Profile, g.IDTokenEncryption = authz.FAPI2Security, authz.Encryption{Alg: "ECDH-ES"}
		b := newBank(t, nil, func(c *authz.Config) { *c = b.config; c.Clients, _ = authz.NewClientList(f.Client, g.Client) })
		if id := g.tokens(b)["id_token"].(string); headerOf(t, id)["alg"] != "ECDH-ES" { // at the token endpoint, too
			t.Errorf("%s", id)
		}
	})
	t.Run("OV-24 BR-26 a shared listener resumes nothing", func(t *testing.T) {
		if got := b.srv.TLSPolicy(); got != mtls.FAPI1NoResumption {
			t.Errorf("policy %d", got)
		}
	})
	t.Run("OV-24 BR-16 the document has what either allows", func(t *testing.T) {
		got := object(t, b.do(get(issuer+wellKnown)))
		list := func(v ...any) []any { return v }
		for name, want := range map[string]any{
			"token_endpoint_auth_methods_supported":       list("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"),
			"response_types_supported":                    list("code", "code id_token"),
			"id_token_encryption_enc_values_supported":    list("A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"),
			"require_pushed_authorization_requests":       true,
			"require_signed_request_object":               false,
			"authorization_signing_alg_values_supported":  list("PS256", "ES256"),
			"request_object_signing_alg_values_supported": list("PS256", "ES256", "EdDSA", "Ed25519"),
		} {
			if d := cmp.Diff(want, got[name]); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	})
}
