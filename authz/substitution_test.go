package authz_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// TestSubstitution offers each kind of JWT wherever the server takes another.
// One key signs them all, the server's own included, so that no signature is
// what keeps them apart.
func TestSubstitution(t *testing.T) {
	key := newEC()
	keys, err := token.NewKeySet(token.PrivateKey{ID: "k", Algorithm: "ES256", Signer: key})
	if err != nil {
		t.Fatal(err)
	}
	f := keyClient("kakeibo").dpop()
	f.key, f.kid, f.UserInfoAlg = key, "k", "ES256"
	f.JWKS = jwks(publicJWK(key.Public(), "k", "ES256"))
	b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = keys })
	k := &proofKey{Signer: key, alg: "ES256"}

	back, err := (&browser{b: b}).decide(f, f.push(b, f.jarm()), b.approval())
	if err != nil {
		t.Fatal(err)
	}
	response := signedBack(t, back)
	status, got := f.post(b, "/token", f.redeemable(claimsOf(t, response)["code"].(string)), k)
	if status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	text := func(res *http.Response) string {
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 200 || strings.Count(string(body), ".") != 2 {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		return string(body)
	}
	asked := f.asksInfo(b, got["access_token"].(string), k)
	inquiry := f.request("/introspect", f.authenticate(b, url.Values{"token": {got["access_token"].(string)}}))
	inquiry.Header.Set("Accept", "application/token-introspection+jwt")
	jwts := map[string]string{
		"client assertion":            f.signed(f.assertion(b)),
		"request object":              f.object(f.asks(b, f.pushable())),
		"request object without typ":  jwt(m{"alg": "ES256", "kid": "k"}, f.asks(b, f.pushable()), key),
		"request object with its sub": jwt(m{"alg": "ES256", "kid": "k"}, claiming(f.asks(b, f.pushable()), "sub", f.ID), key),
		"DPoP proof":                  k.sign(k.claims(b, "/par")),
		"access token":                got["access_token"].(string),
		"ID token":                    got["id_token"].(string),
		"authorization response":      response,
		"userinfo":                    text(b.do(asked)),
		"answer to introspection":     text(b.do(inquiry)),
	}
	push := func(v url.Values, proof string) *http.Response {
		r := f.request("/par", v)
		if proof != "" {
			r.Header.Set("DPoP", proof)
		}
		return b.do(r)
	}
	for name, slot := range map[string]struct {
		own    string
		status int
		code   string
		offer  func(jws string) *http.Response
	}{
		"a client assertion": {"client assertion", 401, "invalid_client", func(jws string) *http.Response {
			return push(f.asserting(f.pushable(), jws), "")
		}},
		"a request object": {"request object", 400, "invalid_request_object", func(jws string) *http.Response {
			return push(f.authenticate(b, url.Values{"request": {jws}}), "")
		}},
		"an id_token_hint": {"ID token", 400, "invalid_request", func(jws string) *http.Response {
			return push(f.authenticate(b, changed(f.pushable(), "id_token_hint", jws)), "")
		}},
		"a DPoP proof": {"DPoP proof", 400, "invalid_dpop_proof", func(jws string) *http.Response {
			return push(f.authenticate(b, f.pushable()), jws)
		}},
		"a code": {"", 400, "invalid_grant", func(jws string) *http.Response {
			r := f.request("/token", f.authenticate(b, f.redeemable(jws)))
			r.Header.Set("DPoP", k.sign(k.claims(b, "/token")))
			return b.do(r)
		}},
		"a refresh token": {"", 400, "invalid_grant", func(jws string) *http.Response {
			r := f.request("/token", f.authenticate(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {jws}}))
			r.Header.Set("DPoP", k.sign(k.claims(b, "/token")))
			return b.do(r)
		}},
		"an access token": {"access token", 401, "", func(jws string) *http.Response {
			r := httptest.NewRequest("GET", issuer+"/userinfo", nil)
			r.Header.Set("Authorization", "DPoP "+jws)
			c := k.claims(b, "/userinfo")
			c["htm"], c["ath"] = "GET", sha256URL(jws)
			r.Header.Set("DPoP", k.sign(c))
			return b.do(r)
		}},
	} {
		for kind, jws := range jwts {
			own := kind == slot.own || slot.own == "request object" && kind == "request object without typ"
			t.Run("RFC8725-3.12-1 "+kind+" as "+name, func(t *testing.T) {
				res := slot.offer(jws)
				switch {
				case own:
					if res.StatusCode >= 300 {
						t.Errorf("its own kind: %d %+v", res.StatusCode, b.lastEvent())
					}
				case res.StatusCode != slot.status:
					t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
				case slot.code != "":
					if got := object(t, res); got["error"] != slot.code {
						t.Errorf("%v", got)
					}
				}
			})
		}
	}
}

// claiming returns claims with one more.
func claiming(c m, name string, v any) m {
	c[name] = v
	return c
}
