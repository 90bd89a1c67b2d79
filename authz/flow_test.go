package authz_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/mtls"
)

// claimsOf decodes a JWT's claims; its signature is checked elsewhere.
func claimsOf(t *testing.T, jwt string) map[string]any {
	t.Helper()
	part := strings.Split(jwt, ".")
	if len(part) != 3 {
		t.Fatalf("not a JWT: %q", jwt)
	}
	b, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestStory is the whole of it, once for each way a client may authenticate:
// push, consent, code, tokens, the API, refresh.
func TestStory(t *testing.T) {
	for _, f := range []*fintech{keyClient("kakeibo"), tlsClient("kakeibo"), selfSignedClient("kakeibo")} {
		t.Run("FAPI2-SP-5.3.2.1-6 "+f.AuthMethod, func(t *testing.T) {
			thief := keyClient("thief")
			b := newBank(t, clients(f, thief))

			uri := f.push(b, f.pushable())
			res, err := (&browser{b: b}).decide(f, uri, b.approval())
			if err != nil {
				t.Fatal(err)
			}
			back := location(t, res)
			if res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), callback+"?") {
				t.Fatalf("redirect: %d %s", res.StatusCode, res.Header.Get("Location"))
			}
			if back.Get("state") != "st-4Jx9" || back.Get("iss") != issuer {
				t.Errorf("redirect has %v", back)
			}

			status, got := f.token(b, f.redeemable(back.Get("code")))
			if status != 200 {
				t.Fatalf("token: %d %v", status, got)
			}
			access := got["access_token"].(string)
			want := map[string]any{
				"iss": issuer, "aud": resource, "sub": customer, "client_id": "kakeibo", "scope": "openid accounts",
				"acr": "urn:bank:acr:sca",
			}
			claims := claimsOf(t, access)
			for name, v := range want {
				if claims[name] != v {
					t.Errorf("access token has %s %v, want %v", name, claims[name], v)
				}
			}
			if cnf := claims["cnf"].(map[string]any); cnf["x5t#S256"] != mtls.Thumbprint(f.chain[0]) {
				t.Errorf("access token has cnf %v", cnf)
			}
			id := claimsOf(t, got["id_token"].(string))
			if id["nonce"] != "n-0S6_WzA2Mj" || id["aud"] != "kakeibo" || id["sub"] != customer {
				t.Errorf("id token has %v", id)
			}

			if err := f.check(b, access); err != nil {
				t.Errorf("the fintech is turned away: %v", err)
			}
			if err := thief.check(b, access); err == nil {
				t.Error("a thief is let in")
			}

			refresh := got["refresh_token"].(string)
			for range 2 { // FAPI2-SP-5.3.2.1-9: the same one works again
				status, got := f.token(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
				if status != 200 || got["refresh_token"] != refresh {
					t.Fatalf("refresh: %d %v", status, got)
				}
				if err := f.check(b, got["access_token"].(string)); err != nil {
					t.Errorf("after a refresh: %v", err)
				}
			}
		})
	}
}
