package authz_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/jose"
)

// TestIDTokenBeside: what stands in an ID token, and that it comes with a login alone.
func TestIDTokenBeside(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	got := f.tokens(b)
	id := claimsOf(t, got["id_token"].(string))
	t.Run("OIDC-IT-14 OIDC-IT-15 PIT-6 at_hash", func(t *testing.T) {
		sum := sha256.Sum256([]byte(got["access_token"].(string)))
		if want := base64.RawURLEncoding.EncodeToString(sum[:16]); id["at_hash"] != want {
			t.Errorf("at_hash is %v, want %s", id["at_hash"], want)
		}
	})
	t.Run("OIDC-IT-9 OIDC-IT-14 no azp, no c_hash, nothing that nobody asked for", func(t *testing.T) {
		now := float64(b.clock.Now().Unix())
		want := map[string]any{
			"iss": issuer, "sub": customer, "aud": f.ID, "iat": now, "exp": now + 300, "nonce": "n-0S6_WzA2Mj",
			"auth_time": now, "acr": "urn:bank:acr:sca", "amr": []any{"pwd", "hwk"}, "at_hash": id["at_hash"],
		}
		if d := cmp.Diff(want, id); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDC-TK-5 a refresh reports no login", func(t *testing.T) {
		b.clock.Advance(time.Minute)
		status, got := f.token(b, refreshing(got["refresh_token"].(string)))
		if status != 200 || got["id_token"] != nil {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("RFC9470-6-2 OIDC-TK-5 a refresh changes neither acr nor auth_time", func(t *testing.T) {
		b.clock.Advance(time.Hour)
		_, again := f.token(b, refreshing(got["refresh_token"].(string)))
		before, after := claimsOf(t, got["access_token"].(string)), claimsOf(t, again["access_token"].(string))
		if after["auth_time"] != before["auth_time"] || after["acr"] != "urn:bank:acr:sca" || after["iat"] == before["iat"] {
			t.Errorf("before %v, after %v", before, after)
		}
	})
}

// TestIDTokenEncrypted: as the client registered, or not at all.
func TestIDTokenEncrypted(t *testing.T) {
	ec, rsa := newEC(), rsaKey()
	for _, tt := range []struct {
		name    string
		want    authz.Encryption
		enc     string // of the JWE
		key     any
		claimed bool
	}{
		{"OIDC-IT-13 OIDR-10 ECDH-ES, A128CBC-HS256 by default", authz.Encryption{Alg: "ECDH-ES"}, "A128CBC-HS256", ec, false},
		{"OIDC-IT-13 ECDH-ES+A256KW, A256GCM", authz.Encryption{Alg: "ECDH-ES+A256KW", Enc: "A256GCM"}, "A256GCM", ec, true},
		{"OIDC-IT-13 RSA-OAEP-256, A128GCM", authz.Encryption{Alg: "RSA-OAEP-256", Enc: "A128GCM"}, "A128GCM", rsa, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var jwk map[string]any
			if tt.key == rsa {
				jwk = publicJWK(rsa.Public(), "enc-1", tt.want.Alg)
			} else {
				jwk = publicJWK(ec.Public(), "enc-1", tt.want.Alg)
			}
			jwk["use"] = "enc"
			f := keyClient("kakeibo").reader().publishes(jwk)
			f.IDTokenEncryption = tt.want
			b := newBank(t, clients(f), telling(hanako()))
			jwe := f.tokensFor(b, changed(f.pushable(), "claims", `{"id_token":{"email":null}}`), nil)["id_token"].(string)
			header := headerOf(t, jwe)
			if strings.Count(jwe, ".") != 4 || header["alg"] != tt.want.Alg || header["enc"] != tt.enc || header["cty"] != "JWT" || header["kid"] != "enc-1" {
				t.Errorf("%v", header)
			}
			inner, _, err := jose.Decrypt(jwe, 1<<16, []string{tt.enc}, []jose.DecryptionKey{{ID: "enc-1", Key: tt.key}})
			if err != nil {
				t.Fatal(err)
			}
			if _, claims := verified(t, string(inner), serverKeys); claims["sub"] != customer || claims["email"] != "hanako@mail.example" {
				t.Errorf("%v", claims)
			}
		})
	}
	t.Run("OIDC-SE-7 a client whose key is gone gets no ID token in the clear, and keeps its code", func(t *testing.T) {
		f := keyClient("kakeibo").reader()
		jwk := publicJWK(ec.Public(), "enc-1", "")
		jwk["use"] = "enc"
		s := newKeyServer(t, f.jwk())
		f.JWKS, f.JWKSURI, f.IDTokenEncryption = nil, s.URL+"/kakeibo", authz.Encryption{Alg: "ECDH-ES"}
		b := newBank(t, clients(f), s.reachable, telling(hanako()))
		v := f.redeemable(f.codeFor(b, changed(f.pushable(), "claims", `{"id_token":{"email":null}}`), nil))
		status, got := f.token(b, v)
		if status != 503 || got["error"] != "server_error" || len(got) != 1 {
			t.Errorf("%d %v", status, got)
		}
		if e := b.lastEvent(); e.Kind != "request_failed" || e.Claims != nil {
			t.Errorf("the operator is told %+v", e)
		}
		s.publish(f.jwk(), jwk)
		b2 := newBank(t, clients(f), s.reachable, telling(hanako()), func(c *authz.Config) { c.Store = b.config.Store }) // a node that has not seen the old keys
		if status, got := f.token(b2, v); status != 200 || strings.Count(got["id_token"].(string), ".") != 4 {
			t.Errorf("%d %v", status, got)
		}
	})
}

// TestPlainOAuth: without openid nothing of OpenID Connect is there.
func TestPlainOAuth(t *testing.T) {
	f := keyClient("kakeibo").reader()
	asked := 0
	b := newBank(t, clients(f), telling(hanako()), func(c *authz.Config) {
		c.Claims = func(context.Context, authz.ClaimsRequest) (map[string]any, error) { asked++; return hanako(), nil }
	})
	t.Run("OIDC-AR-2 OIDC-CL-11 profile without openid", func(t *testing.T) {
		v := changed(changed(f.pushable(), "scope", "profile email"), "claims", `{"id_token":{"email":null},"userinfo":{"email":null}}`)
		got := f.tokensFor(b, v, nil)
		if got["id_token"] != nil {
			t.Errorf("%v", got)
		}
		res := b.do(f.asksInfo(b, got["access_token"].(string), nil))
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 403 || strings.Contains(string(body), "hanako") || asked != 0 {
			t.Errorf("%d %s, asked %d times", res.StatusCode, body, asked)
		}
	})
	t.Run("OIDC-AR-24 openid asked and not approved", func(t *testing.T) {
		br := &browser{b: b}
		d := b.approval()
		d.Scopes = []string{"email"}
		v := changed(changed(f.pushable(), "scope", "openid email"), "claims", `{"id_token":{"email":null}}`)
		res, err := br.decide(f, f.push(b, v), d)
		if err != nil {
			t.Fatal(err)
		}
		_, got := f.token(b, f.redeemable(location(t, res).Get("code")))
		if got["id_token"] != nil || got["scope"] != "email" || asked != 0 {
			t.Errorf("%v, asked %d times", got, asked)
		}
	})
	t.Run("OIDC-UI-7 openid narrowed away at refresh", func(t *testing.T) {
		got := f.tokensFor(b, f.pushable(), nil)
		_, narrow := f.token(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}, "scope": {"accounts"}})
		for access, want := range map[any]int{got["access_token"]: 200, narrow["access_token"]: 403} {
			if res := b.do(f.asksInfo(b, access.(string), nil)); res.StatusCode != want {
				t.Errorf("%d, want %d", res.StatusCode, want)
			}
		}
	})
}
