package authz_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
)

// TestFAPI1BesideFAPI2: one server has clients of both, and neither profile's
// strictness leaks into the other or is loosened by it.
func TestFAPI1BesideFAPI2(t *testing.T) {
	hybrid, jarm := keyClient("hybrid").hybrid(), tlsClient("jarm").jarmed()
	modern, signing := keyClient("modern"), selfSignedClient("signing").signs()
	modern.Profile, signing.Profile = authz.FAPI2Security, authz.FAPI2MessageSigning
	b := newBank(t, clients(hybrid, jarm, modern, signing), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI1Advanced, authz.FAPI2Security, authz.FAPI2MessageSigning}
		c.MTLSBase = "https://mtls.bank.example"
	})
	pushed := func(f *fintech, v url.Values) *http.Response { return b.do(f.request("/par", f.authenticate(b, v))) }
	signed := func(f *fintech, v url.Values) url.Values { return url.Values{"request": {f.object(f.asks(b, v))}} }

	t.Run("CONF-1 CT-1 a flow of each, at once", func(t *testing.T) {
		for _, f := range []*fintech{hybrid, jarm} {
			for _, r := range []*http.Request{f.byValue(f.asks(b, f.wants())), f.byPush(b, challengedClaims(f.asks(b, f.wants())))} {
				if code := f.back(t, (&browser{b: b}).decideAt(r, b.approval())).Get("code"); code == "" {
					t.Errorf("%s: no code", f.ID)
				}
			}
		}
		if got := modern.tokens(b); modern.check(b, got["access_token"].(string)) != nil {
			t.Error("FAPI 2.0: the token does not work")
		}
		uri := object(t, pushed(signing, signed(signing, signing.jarm())))["request_uri"].(string)
		if res, err := (&browser{b: b}).decide(signing, uri, b.approval()); err != nil || location(t, res).Get("response") == "" {
			t.Errorf("Message Signing: %v", err)
		}
	})

	t.Run("CONF-1 D-1 audiences of assertions", func(t *testing.T) {
		const alias = "https://mtls.bank.example"
		for _, tt := range []struct {
			name  string
			aud   any
			fapi1 bool // whether FAPI 1.0 takes it
			fapi2 bool
		}{
			{"CA-3 CT-14 the issuer", issuer, true, true},
			{"CA-3 PAR-2-3 the token endpoint", issuer + "/token", true, false},
			{"CA-3 PAR-2-3 the PAR endpoint", issuer + "/par", true, false},
			{"CA-3 the token endpoint's alias", alias + "/token", true, false},
			{"CA-3 the PAR endpoint's alias", alias + "/par", true, false},
			{"CA-3 CT-15 an array", []string{issuer, issuer + "/token"}, true, false},
			{"CA-3 an array with others", []string{"https://other.example", issuer}, true, false},
			{"CA-3 an array of one", []string{issuer}, true, false},
			{"CA-3 CT-12 another server", "https://other.example", false, false},
			{"CA-3 an array of other servers", []string{"https://other.example", "https://other.example/token"}, false, false},
			{"CA-3 an endpoint that was not called", issuer + "/revoke", false, false},
			{"CA-3 a path that is none", issuer + "/x", false, false},
			{"CA-3 the token endpoint of another server", "https://other.example/token", false, false},
			{"CA-3 a slash too many", issuer + "/token/", false, false},
			{"CA-3 an empty array", []string{}, false, false},
			{"CA-3 an array with a number", []any{issuer, 1}, false, false},
			{"CA-3 nothing", nil, false, false},
		} {
			for _, f := range []*fintech{hybrid, modern} {
				want := map[bool]bool{true: tt.fapi1, false: tt.fapi2}[f == hybrid]
				v := f.authenticate(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}})
				claims := f.assertion(b)
				if claims["aud"] = tt.aud; tt.aud == nil {
					delete(claims, "aud")
				}
				v.Set("client_assertion", f.signed(claims))
				res := b.do(f.request("/token", v))
				if got := object(t, res)["error"] == "invalid_grant"; got != want || !want && res.StatusCode != 401 {
					t.Errorf("%s, %s: %d %+v, want %t", tt.name, f.ID, res.StatusCode, b.lastEvent(), want)
				}
			}
		}
	})
	t.Run("D-1 CA-3 the endpoint that was called", func(t *testing.T) {
		for _, f := range []*fintech{hybrid, modern} {
			v := f.authenticate(b, url.Values{"token": {"x"}})
			claims := f.assertion(b)
			claims["aud"] = issuer + "/revoke"
			v.Set("client_assertion", f.signed(claims))
			if got := b.do(f.request("/revoke", v)).StatusCode == 200; got != (f == hybrid) {
				t.Errorf("%s: %t %+v", f.ID, got, b.lastEvent())
			}
		}
	})

	t.Run("FAPI2-SP-5.3.2.2-3 CONF-1 by value is not for FAPI 2.0", func(t *testing.T) {
		for _, f := range []*fintech{modern, signing} {
			f.ResponseTypes = []string{"code"}
			for _, r := range []*http.Request{f.byValue(f.asks(b, f.jarm())), formTo(f.beside(f.object(f.asks(b, f.jarm()))))} {
				pageFor(t, b, b.do(r), "invalid_request", "FAPI2-SP-5.3.2.2-3")
			}
		}
	})
	t.Run("FAPI2-SP-5.3.2.2-5 FAPI1-ADV-5.2.2-18 PKCE", func(t *testing.T) {
		v := modern.pushable()
		v.Del("code_challenge")
		v.Del("code_challenge_method")
		mustRefuse(t, b, pushed(modern, v), 400, "invalid_request", "FAPI2-SP-5.3.2.2-5")
		mustRefuse(t, b, pushed(hybrid, signed(hybrid, hybrid.wants())), 400, "invalid_request", "FAPI1-ADV-5.2.2-18")
	})
	t.Run("FAPI2-SP-5.3.2.2-1 FAPI1-ADV-5.2.2-2 response types and modes", func(t *testing.T) {
		mustRefuse(t, b, pushed(modern, changed(modern.pushable(), "response_type", "code id_token")), 400, "unsupported_response_type", "FAPI2-SP-5.3.2.2-1")
		for _, mode := range []string{"fragment", "form_post", "fragment.jwt", "form_post.jwt"} {
			mustRefuse(t, b, pushed(modern, changed(modern.pushable(), "response_mode", mode)), 400, "invalid_request", "OIDC-AR-6")
		}
		v := challenged(jarm.wants())
		v.Del("response_mode") // which FAPI 2.0 answers in the query
		mustRefuse(t, b, pushed(jarm, signed(jarm, v)), 400, "invalid_request", "FAPI1-ADV-5.2.2-2")
	})
	t.Run("FAPI1-ADV-5.2.2-1 PAR-2.3-2 EC-10 unsigned requests are for FAPI 2.0", func(t *testing.T) {
		mustRefuse(t, b, pushed(jarm, challenged(jarm.wants())), 400, "invalid_request", "RFC9126-2.3-4")
		if res := pushed(modern, modern.pushable()); res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("FAPI1-BASE-5.2.2.2-1 FAPI1-BASE-5.2.2.3-1 nonce and state are free in FAPI 2.0", func(t *testing.T) {
		v := modern.pushable()
		v.Del("nonce")
		v.Del("state")
		if res := pushed(modern, v); res.StatusCode != 201 {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
	t.Run("FAPI1-ADV-5.2.2-6 DPoP is for FAPI 2.0", func(t *testing.T) {
		f := keyClient("dpop")
		f.CertificateBoundTokens, f.DPoPBoundTokens = false, true
		f.Profile = authz.FAPI2Security
		if err := b.srv.CheckClient(f.Client); err != nil {
			t.Error(err)
		}
		f.hybrid()
		if got := rules(t, b.srv.CheckClient(f.Client)); !slices.Equal(got, []string{"FAPI1-ADV-5.2.2-5"}) {
			t.Errorf("rules %v", got)
		}
		r := hybrid.request("/token", hybrid.authenticate(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}))
		r.Header.Set("DPoP", "x")
		mustRefuse(t, b, b.do(r), 400, "invalid_request", "RFC9449-5-7")
	})
	t.Run("FAPI1-ADV-8.6-1 EdDSA is for FAPI 2.0", func(t *testing.T) {
		f := keyClient("eddsa")
		f.Profile, f.IDTokenAlg = authz.FAPI2Security, "EdDSA"
		if err := b.srv.CheckClient(f.Client); err != nil {
			t.Error(err)
		}
		f.hybrid()
		if got := rules(t, b.srv.CheckClient(f.Client)); !slices.Equal(got, []string{"FAPI1-ADV-8.6-1"}) {
			t.Errorf("rules %v", got)
		}
	})
	t.Run("FAPI1-ADV-8.6-1 CONF-3 a key that only FAPI 2.0 knows signs nothing for FAPI 1.0", func(t *testing.T) {
		ed, err := token.NewKeySet(token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: edSigner()})
		if err != nil {
			t.Fatal(err)
		}
		hybrid, jarm, modern := keyClient("hybrid").hybrid(), keyClient("jarm").jarmed(), keyClient("modern")
		modern.Profile = authz.FAPI2Security
		b := newBank(t, clients(hybrid, jarm, modern), func(c *authz.Config) {
			c.Keys, c.Profiles = ed, []authz.Profile{authz.FAPI1Advanced, authz.FAPI2Security}
		})
		for _, f := range []*fintech{hybrid, jarm} {
			br := &browser{b: b}
			if w, err := br.finish(br.shows(f.byValue(f.asks(b, f.wants()))), b.approval()); err == nil || w.Header().Get("Location") != "" {
				t.Errorf("%s: %v %v", f.ID, err, w.Header())
			}
		}
		if h, _ := verified(t, modern.tokens(b)["id_token"].(string), ed); h["alg"] != "EdDSA" {
			t.Errorf("FAPI 2.0: %v", h)
		}
	})
	t.Run("CONF-1 OIDR-3 what FAPI 2.0 does not let a client register", func(t *testing.T) {
		f := keyClient("mixed").hybrid()
		f.Profile = authz.FAPI2Security
		got := rules(t, b.srv.CheckClient(f.Client))
		if !slices.Equal(got, []string{"FAPI2-SP-5.3.2.1-2", "FAPI2-SP-5.3.2.2-1"}) {
			t.Errorf("rules %v", got)
		}
	})
	t.Run("FAPI1-ADV-8.5-1 the listener is strict for all", func(t *testing.T) {
		if b.srv.TLSPolicy() != mtls.FAPI1 {
			t.Error(b.srv.TLSPolicy())
		}
	})
}

// TestMovedToFAPI2: what a client began under FAPI 1.0 it does not end under
// FAPI 2.0, where that is not allowed.
func TestMovedToFAPI2(t *testing.T) {
	f := keyClient("kakeibo").jarmed()
	reg := &registry{c: f.Client}
	b := newBank(t, nil, func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI1Advanced, authz.FAPI2Security}
		c.Clients = reg
	})
	move := func(to authz.Profile) { reg.change(func(_ *registry, c *authz.Client) { c.Profile = to }) }
	br := &browser{b: b}
	r := f.byValue(f.asks(b, f.wants()))
	id := br.shows(r)
	t.Run("RFC9126-7.4-1 FAPI2-SP-5.3.2.2-3 a request that came by value is not decided", func(t *testing.T) {
		move(authz.FAPI2Security)
		if _, err := br.finish(id, b.approval()); !is(err, "invalid_request") || b.lastEvent().Rule != "FAPI2-SP-5.3.2.2-3" {
			t.Errorf("%v %+v", err, b.lastEvent())
		}
		pageFor(t, b, br.do(get(r.URL.String())), "invalid_request", "FAPI2-SP-5.3.2.2-3")
		move(authz.FAPI1Advanced)
	})
	t.Run("FAPI2-SP-5.3.2.2-5 a code without PKCE is not redeemed", func(t *testing.T) {
		w, err := br.finish(id, b.approval())
		if err != nil {
			t.Fatal(err)
		}
		v := f.redeemable(f.back(t, w.Result()).Get("code"))
		v.Del("code_verifier")
		move(authz.FAPI2Security)
		if status, got := f.token(b, v); status != 400 || b.lastEvent().Rule != "RFC7636-4.6-1" {
			t.Errorf("%d %v %+v", status, got, b.lastEvent())
		}
		move(authz.FAPI1Advanced)
		if status, got := f.token(b, v); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
}

// TestCodeWithoutPKCE: the verifier goes with the challenge, both or neither.
func TestCodeWithoutPKCE(t *testing.T) {
	f := keyClient("kakeibo").hybrid()
	b := newBank(t, clients(f), advanced)
	code := func(t *testing.T, claims m) url.Values {
		t.Helper()
		return f.redeemable(f.back(t, (&browser{b: b}).decideAt(f.byValue(claims), b.approval())).Get("code"))
	}
	for _, tt := range []struct {
		name      string
		challenge bool
		verifier  string
		want      int
	}{
		{"FAPI1-ADV-5.2.2-18 neither", false, "", 200},
		{"PKCE-5 RFC7636-4.6-1 EC-14 a verifier without challenge", false, verifier, 400},
		{"FAPI1-ADV-5.2.2-18 CT-18 PKCE-2 both", true, verifier, 200},
		{"PKCE-4 EC-14 a challenge without verifier", true, "", 400},
		{"PKCE-2 EC-14 another verifier", true, verifier[:42] + "A", 400},
		{"PKCE-1 a verifier of 42 characters", true, verifier[:42], 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := f.asks(b, f.wants())
			if tt.challenge {
				challengedClaims(claims)
			}
			v := code(t, claims)
			v.Set("code_verifier", tt.verifier)
			status, got := f.token(b, v)
			if status != tt.want || status == 400 && got["error"] != "invalid_grant" {
				t.Errorf("%d %v", status, got)
			}
		})
	}
	t.Run("TOK-2 TOK-5 other rules of redemption hold as ever", func(t *testing.T) {
		for name, change := range map[string]func(url.Values){
			"no redirect_uri":      func(v url.Values) { v.Del("redirect_uri") },
			"another redirect_uri": func(v url.Values) { v.Set("redirect_uri", callback+"/") },
			"expired":              func(url.Values) { b.clock.Advance(time.Minute) },
		} {
			v := code(t, f.asks(b, f.wants()))
			v.Del("code_verifier")
			change(v)
			if status, got := f.token(b, v); status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("%s: %d %v", name, status, got)
			}
		}
	})
	t.Run("FAPI1-ADV-5.2.2-5 TOK-7 EC-15 no certificate to bind to", func(t *testing.T) {
		v := code(t, f.asks(b, f.wants()))
		v.Del("code_verifier")
		r := f.request("/token", f.authenticate(b, v))
		r.TLS.PeerCertificates = nil
		refused(t, b.do(r), 400, "invalid_request")
	})
}
