package authz_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
)

// grants runs the flow up to a code and returns the form that redeems it.
func (f *fintech) grants(t *testing.T, b *bank, d authz.Decision) url.Values {
	t.Helper()
	r := f.byPush(b, challengedClaims(f.asks(b, f.wants())))
	return f.redeemable(f.back(t, (&browser{b: b}).decideAt(r, d)).Get("code"))
}

// TestFAPI1TokenRequest: how the token endpoint is to be asked.
func TestFAPI1TokenRequest(t *testing.T) {
	f := keyClient("kakeibo").hybrid()
	b := newBank(t, clients(f), advanced)
	t.Run("TOK-1 GET", func(t *testing.T) {
		v := f.authenticate(b, f.grants(t, b, b.approval()))
		r := f.request("/token?"+v.Encode(), nil)
		r.Method = "GET"
		refused(t, b.do(r), 405, "invalid_request")
		if !f.send(b, "/token", v, 200) { // it cost nothing
			t.Errorf("%+v", b.lastEvent())
		}
	})
	t.Run("TOK-1 the parameters in the URL", func(t *testing.T) {
		v := f.authenticate(b, f.grants(t, b, b.approval()))
		refused(t, b.do(f.request("/token?"+v.Encode(), nil)), 401, "invalid_client")
	})
	t.Run("TOK-1 JSON", func(t *testing.T) {
		r := f.request("/token", f.authenticate(b, f.grants(t, b, b.approval())))
		r.Header.Set("Content-Type", "application/json")
		refused(t, b.do(r), 400, "invalid_request")
	})
	for _, name := range []string{"code", "grant_type", "redirect_uri", "code_verifier", "client_id", "unknown"} {
		t.Run("TOK-1 twice: "+name, func(t *testing.T) {
			v := f.authenticate(b, f.grants(t, b, b.approval()))
			v.Add(name, v.Get(name))
			if name == "unknown" {
				v.Add(name, "x")
			}
			refused(t, b.do(f.request("/token", v)), 400, "invalid_request")
		})
	}
	t.Run("TOK-1 what is not known", func(t *testing.T) {
		if status, got := f.token(b, with(f.grants(t, b, b.approval()), "foo", "bar")); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
	for code, v := range map[string]url.Values{
		"invalid_request":        {},
		"unsupported_grant_type": {"grant_type": {"password"}},
		"unauthorized_client":    {"grant_type": {"client_credentials"}},
		"invalid_grant":          {"grant_type": {"refresh_token"}, "refresh_token": {"x"}},
	} {
		t.Run("CA-12 "+code, func(t *testing.T) {
			refused(t, b.do(f.request("/token", f.authenticate(b, v))), 400, code)
		})
	}
	t.Run("CA-12 invalid_scope", func(t *testing.T) {
		_, got := f.token(b, f.grants(t, b, b.approval()))
		v := with(refreshing(got["refresh_token"].(string)), "scope", "accounts payments")
		refused(t, b.do(f.request("/token", f.authenticate(b, v))), 400, "invalid_scope")
	})
	t.Run("CA-12 invalid_client", func(t *testing.T) {
		v := f.asserting(refreshing("x"), f.signed(changedClaim(f.assertion(b), "aud", "https://other.example")))
		refused(t, b.do(f.request("/token", v)), 401, "invalid_client")
	})
}

func changedClaim(c m, name string, v any) m {
	c[name] = v
	return c
}

// TestFAPI1ErrorText: nothing that a stranger sent comes back in an error.
func TestFAPI1ErrorText(t *testing.T) {
	const evil = "<script>\"\\\r\nX-Evil: 1\u2028é\x7f"
	f := keyClient("kakeibo").hybrid()
	b := newBank(t, clients(f), advanced)
	for _, name := range []string{"response_type", "response_mode", "redirect_uri", "scope", "nonce", "code_challenge", "code_challenge_method", "prompt", "max_age", "acr_values", "claims", "aud", "iss", "client_id"} {
		t.Run("CA-13 in a request object: "+name, func(t *testing.T) {
			claims := challengedClaims(f.asks(b, f.wants()))
			claims[name] = evil
			checkEcho(t, b.do(f.pushing(b, f.object(claims))))
		})
	}
	for _, name := range []string{"grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_assertion", "client_assertion_type", "scope"} {
		t.Run("CA-13 at the token endpoint: "+name, func(t *testing.T) {
			v := f.authenticate(b, f.redeemable("x"))
			v.Set(name, evil)
			checkEcho(t, b.do(f.request("/token", v)))
		})
	}
	t.Run("CA-13 in the header of an assertion", func(t *testing.T) {
		v := f.asserting(f.redeemable("x"), jwt(m{"alg": "ES256", "kid": evil, "typ": evil}, f.assertion(b), newEC()))
		checkEcho(t, b.do(f.request("/token", v)))
	})
}

// TestFAPI1RaceForACode: fifty redemptions at once.
func TestFAPI1RaceForACode(t *testing.T) {
	t.Run("TOK-3 one answer", func(t *testing.T) {
		const many = 50
		for _, f := range []*fintech{keyClient("kakeibo").hybrid(), tlsClient("kakeibo").jarmed()} {
			b := newBank(t, clients(f), advanced, far)
			v := f.grants(t, b, b.approval())
			forms := make([]url.Values, many)
			for i := range forms {
				forms[i] = f.authenticate(b, with(v, "unknown", "x"))
			}
			codes := make(chan any, many)
			for _, form := range forms {
				go func() {
					w := httptest.NewRecorder()
					b.srv.ServeHTTP(w, f.request("/token", form))
					if w.Code == 200 {
						codes <- nil
						return
					}
					codes <- object(t, w.Result())["error"]
				}()
			}
			wins := 0
			for range forms {
				switch code := <-codes; code {
				case nil:
					wins++
				case "invalid_grant":
				default:
					t.Errorf("a loser is told %v", code)
				}
			}
			if wins != 1 {
				t.Errorf("%s: %d of %d redemptions were answered, want 1", f.AuthMethod, wins, many)
			}
		}
	})
}

// TestFAPI1Refresh: what a refresh gives, and until when.
func TestFAPI1Refresh(t *testing.T) {
	f := keyClient("kakeibo").hybrid()
	b := newBank(t, clients(f), advanced)
	d := b.approval()
	d.Expires = b.clock.Now().Add(time.Hour) // the customer's consent
	_, got := f.token(b, f.grants(t, b, d))
	refresh := refreshing(got["refresh_token"].(string))
	first := claimsOf(t, got["access_token"].(string))
	b.clock.Advance(time.Hour - time.Second)
	t.Run("TOK-11 no ID token, and the login is as old as it was", func(t *testing.T) {
		status, again := f.token(b, refresh)
		if _, ok := again["id_token"]; status != 200 || ok {
			t.Fatalf("%d %v", status, again)
		}
		access := claimsOf(t, again["access_token"].(string))
		for _, name := range []string{"iss", "sub", "auth_time"} {
			if access[name] != first[name] {
				t.Errorf("%s is %v, and was %v", name, access[name], first[name])
			}
		}
	})
	t.Run("TOK-13 refresh ends with the consent", func(t *testing.T) {
		if status, again := f.token(b, refresh); status != 200 || again["expires_in"] != exactly(1) {
			t.Errorf("in its last second: %d %v", status, again)
		}
		b.clock.Advance(time.Second)
		if status, again := f.token(b, refresh); status != 400 || again["error"] != "invalid_grant" {
			t.Errorf("after: %d %v", status, again)
		}
	})
}

// TestFAPI1Introspection: an API asks about the tokens of clients of FAPI 1.0.
func TestFAPI1Introspection(t *testing.T) {
	f, api, other := keyClient("kakeibo").hybrid().opaque(), apiClient("api", resource), apiClient("pay", payments)
	api.Profile, other.Profile = authz.FAPI1Advanced, authz.FAPI1Advanced
	b := newBank(t, clients(f, api, other), advanced, twoAPIs)
	_, got := f.token(b, f.grants(t, b, b.approval()))
	access := got["access_token"].(string)
	t.Run("TOK-15 to whom a token is bound", func(t *testing.T) {
		answer := api.introspect(b, access)
		if d := cmp.Diff(m{"x5t#S256": mtls.Thumbprint(f.chain[0])}, answer["cnf"]); d != "" || answer["active"] != true || answer["client_id"] != f.ID || answer["sub"] != customer {
			t.Errorf("%v %s", answer, d)
		}
	})
	t.Run("TOK-15 of another API's token, of none and of one that expired nothing is said", func(t *testing.T) {
		inactive(t, other.introspect(b, access))
		inactive(t, api.introspect(b, "x"))
		b.clock.Advance(300 * time.Second)
		inactive(t, api.introspect(b, access))
	})
	t.Run("TOK-15 nobody asks without proof of who it is", func(t *testing.T) {
		r := func(v url.Values) *http.Request { return api.request("/introspect", v) }
		refused(t, b.do(r(url.Values{"token": {access}})), 400, "invalid_client")
		refused(t, b.do(r(url.Values{"token": {access}, "client_id": {api.ID}})), 401, "invalid_client")
		stranger := *api
		stranger.key = newEC()
		refused(t, b.do(r(stranger.authenticate(b, url.Values{"token": {access}}))), 401, "invalid_client")
	})
}
