package authz_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/store/storetest"
)

// hanako is what the bank knows of its customer.
func hanako() map[string]any {
	return map[string]any{
		"name": "鈴木 花子", "family_name": "鈴木", "given_name": "花子",
		"family_name#ja-Kana-JP": "スズキ", "family_name#ja-Hani-JP": "鈴木",
		"nickname": "", "website": nil, "branches": []string{},
		"birthdate": "1985-04-01", "updated_at": 1767225600,
		"email": "hanako@mail.example", "email_verified": true,
		"phone_number": "+81 3 1234 5678", "phone_number_verified": false,
		"address":  map[string]any{"formatted": "千代田区\n東京都", "country": "JP"},
		"segments": []string{"private"},
	}
}

// telling makes the bank tell what it knows of each customer.
func telling(known map[string]any) func(*authz.Config) {
	return func(c *authz.Config) {
		c.Scopes = []string{"openid", "accounts", "payments", "profile", "email", "address", "phone"}
		c.ClaimNames = slices.Sorted(maps.Keys(known))
		c.Claims = func(context.Context, authz.ClaimsRequest) (map[string]any, error) { return known, nil }
	}
}

// reader makes f a client that may ask for everything.
func (f *fintech) reader() *fintech {
	f.Scope = "openid accounts payments profile email address phone"
	return f
}

// asksInfo returns a request to the userinfo endpoint with an access token, and
// a proof by k unless that is nil.
func (f *fintech) asksInfo(b *bank, access string, k *proofKey) *http.Request {
	r := httptest.NewRequest("GET", b.config.Issuer+"/userinfo", nil)
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: f.chain}
	if k == nil {
		r.Header.Set("Authorization", "Bearer "+access)
		return r
	}
	r.Header.Set("Authorization", "DPoP "+access)
	r.Header.Set("DPoP", k.sign(k.infoClaims(b, access)))
	return r
}

// infoClaims returns those of a good proof for the userinfo endpoint.
func (k *proofKey) infoClaims(b *bank, access string) map[string]any {
	c := map[string]any{"jti": rand.Text(), "htm": "GET", "htu": b.config.Issuer + "/userinfo", "iat": b.clock.Now().Unix(), "ath": sha256URL(access)}
	if k.nonce != "" {
		c["nonce"] = k.nonce
	}
	return c
}

// info returns what the userinfo endpoint tells f.
func (f *fintech) info(b *bank, access string, k *proofKey) map[string]any {
	b.t.Helper()
	res := b.do(f.asksInfo(b, access, k))
	got := object(b.t, res)
	if res.StatusCode != 200 {
		b.t.Fatalf("userinfo: %d %v %v", res.StatusCode, got, res.Header)
	}
	return got
}

// TestUserInfo: each way of binding, each form of access token.
func TestUserInfo(t *testing.T) {
	for _, binding := range []string{"certificate", "key"} {
		for _, format := range []string{"jwt", "opaque"} {
			t.Run(binding+", "+format, func(t *testing.T) {
				f, k := keyClient("kakeibo").reader(), (*proofKey)(nil)
				f.AccessTokenFormat = format
				if binding == "key" {
					f, k = f.dpop(), newProofKey()
				}
				b := newBank(t, clients(f), telling(hanako()))
				tokens := f.tokensFor(b, changed(f.pushable(), "scope", "openid email"), k)
				access := tokens["access_token"].(string)
				want := map[string]any{"sub": customer, "email": "hanako@mail.example", "email_verified": true}

				t.Run("OIDC-UI-1 OIDC-UI-2 OIDC-UI-3 OIDC-CL-1 GET", func(t *testing.T) {
					res := b.do(f.asksInfo(b, access, k))
					if h := res.Header; res.StatusCode != 200 || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
						t.Errorf("%d %v", res.StatusCode, h)
					}
					if d := cmp.Diff(want, object(t, res)); d != "" {
						t.Error(d)
					}
					if sub := claimsOf(t, tokens["id_token"].(string))["sub"]; sub != customer {
						t.Errorf("the ID token has sub %v", sub)
					}
				})
				t.Run("OIDC-UI-1 POST, whose body is ignored", func(t *testing.T) {
					r := f.asksInfo(b, access, nil)
					r.Method, r.Body = "POST", io.NopCloser(strings.NewReader("access_token=other&sub=evil"))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					if k != nil {
						c := k.infoClaims(b, access)
						c["htm"] = "POST"
						r.Header.Set("Authorization", "DPoP "+access)
						r.Header.Set("DPoP", k.sign(c))
					}
					res := b.do(r)
					if d := cmp.Diff(want, object(t, res)); d != "" || res.StatusCode != 200 {
						t.Error(res.StatusCode, d)
					}
				})
				t.Run("OIDC-SEC-3 the bank can tell its customer of each call", func(t *testing.T) {
					e := b.lastEvent()
					if e.Kind != "claims_told" || e.Client != f.ID || e.Subject != customer || e.Grant == "" || e.Token == "" ||
						(e.Key == "") == (e.Certificate == "") {
						t.Errorf("%+v", e)
					}
					if d := cmp.Diff([]string{"email", "email_verified"}, e.Claims); d != "" {
						t.Error(d)
					}
				})
			})
		}
	}
}

// TestUserInfoRefused: a token that is not good is refused as at any API.
func TestUserInfoRefused(t *testing.T) {
	f, other := keyClient("kakeibo").reader(), keyClient("other").reader()
	b := newBank(t, clients(f, other), telling(hanako()))
	access := f.tokensFor(b, f.pushable(), nil)["access_token"].(string)
	plain := f.tokensFor(b, changed(f.pushable(), "scope", "accounts"), nil)["access_token"].(string)
	id := f.tokensFor(b, f.pushable(), nil)["id_token"].(string)
	_, own := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
	for _, tt := range []struct {
		name   string
		with   func(r *http.Request)
		status int
		code   string // "" if the challenge has none
	}{
		{"RFC6750-3.1-2 OIDC-UI-8 no token", func(r *http.Request) { r.Header.Del("Authorization") }, 401, ""},
		{"RFC6750-3.1-2 another scheme", func(r *http.Request) { r.Header.Set("Authorization", "Basic a2FrZWlibzp4") }, 401, ""},
		{"OIDC-UI-8 garbage", func(r *http.Request) { r.Header.Set("Authorization", "Bearer garbage") }, 401, "invalid_token"},
		{"PIT-10 an ID token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+id) }, 401, "invalid_token"},
		{"FAPI2-SP-5.3.4-2 in the URL", func(r *http.Request) { r.URL.RawQuery = "access_token=" + access }, 400, "invalid_request"},
		{"OIDC-UI-1 in the body alone", func(r *http.Request) {
			r.Method, r.Body = "POST", io.NopCloser(strings.NewReader("access_token="+access))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Del("Authorization")
		}, 401, ""},
		{"OIDC-UI-10 no certificate", func(r *http.Request) { r.TLS.PeerCertificates = nil }, 401, "invalid_token"},
		{"OIDC-UI-10 another's certificate", func(r *http.Request) { r.TLS.PeerCertificates = other.chain }, 401, "invalid_token"},
		{"OIDC-UI-7 no openid", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+plain) }, 403, "insufficient_scope"},
		{"OIDC-UI-7 a client's own token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+own["access_token"].(string)) }, 403, "insufficient_scope"},
		{"OIDC-UI-1 PUT", func(r *http.Request) { r.Method = "PUT" }, 405, ""},
		{"OIDC-UI-1 HEAD", func(r *http.Request) { r.Method = "HEAD" }, 405, ""},
		{"OIDC-UI-1 OPTIONS", func(r *http.Request) { r.Method = "OPTIONS" }, 405, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := f.asksInfo(b, access, nil)
			tt.with(r)
			res := b.do(r)
			challenge := res.Header.Get("WWW-Authenticate")
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers: %v", res.Header)
			}
			if res.StatusCode != tt.status || tt.status != 405 && !strings.Contains(challenge, `realm="`+issuer+`"`) {
				t.Errorf("%d %q", res.StatusCode, challenge)
			}
			if has := strings.Contains(challenge, "error="); has != (tt.code != "") || !strings.Contains(challenge, tt.code) {
				t.Errorf("challenge %q, want error %q", challenge, tt.code)
			}
			if tt.status == 403 && !strings.Contains(challenge, `scope="openid"`) {
				t.Errorf("challenge %q does not say what is needed", challenge)
			}
			if tt.status == 405 && res.Header.Get("Allow") != "GET, POST" {
				t.Errorf("Allow %q", res.Header.Get("Allow"))
			}
			if body, _ := io.ReadAll(res.Body); strings.Contains(string(body), "hanako") || strings.Contains(string(body), customer) {
				t.Errorf("the answer has %s", body)
			}
			if e := b.lastEvent(); e.Kind != "request_refused" || e.Endpoint != "userinfo" || e.Rule == "" {
				t.Errorf("the operator is told %+v", e)
			}
		})
	}
	t.Run("OIDC-UI-8 expired", func(t *testing.T) {
		b := newBank(t, clients(f))
		access := f.tokens(b)["access_token"].(string)
		b.clock.Advance(5 * time.Minute)
		if res := b.do(f.asksInfo(b, access, nil)); res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("OIDC-UI-8 revoked", func(t *testing.T) {
		b := newBank(t, clients(f))
		access := f.tokens(b)["access_token"].(string)
		if err := b.config.Store.Delete(t.Context(), claimsOf(t, access)["grant_id"].(string)); err != nil {
			t.Fatal(err)
		}
		if res := b.do(f.asksInfo(b, access, nil)); res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("OIDC-UI-8 RFC7009-2.1-2 revoked by its client", func(t *testing.T) {
		b := newBank(t, clients(f))
		access := f.tokens(b)["access_token"].(string)
		if res := b.do(f.asksInfo(b, access, nil)); res.StatusCode != 200 {
			t.Fatalf("%d", res.StatusCode)
		}
		if res := b.do(f.request("/revoke", f.authenticate(b, url.Values{"token": {access}}))); res.StatusCode != 200 {
			t.Fatalf("revoke: %d", res.StatusCode)
		}
		if res := b.do(f.asksInfo(b, access, nil)); res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
		if e := b.lastEvent(); e.Kind != "request_refused" || e.Endpoint != "userinfo" || e.Rule == "" || e.Client != f.ID {
			t.Errorf("the operator is told %+v", e)
		}
	})
}

// TestUserInfoClient: what the bank takes from a client ends here, too.
func TestUserInfoClient(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*authz.Client)
		status int
		want   string
	}{
		{"OIDC-UI-7 openid is withdrawn", func(c *authz.Client) { c.Scope = "accounts email" }, 403, "insufficient_scope"},
		{"OIDC-UI-8 the client fits its profile no more", func(c *authz.Client) { c.CertificateBoundTokens = false }, 401, "invalid_token"},
		{"OIDC-CL-1 a scope of claims is withdrawn", func(c *authz.Client) { c.Scope = "openid accounts" }, 200, `{"sub":"` + customer + `"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo").reader()
			b := newBank(t, clients(f), telling(hanako()))
			access := f.tokensFor(b, changed(f.pushable(), "scope", "openid email"), nil)["access_token"].(string)
			tt.change(f.Client)
			res := b.do(f.asksInfo(b, access, nil))
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != tt.status || !strings.Contains(string(body)+res.Header.Get("WWW-Authenticate"), tt.want) || strings.Contains(string(body), "hanako") {
				t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
			}
		})
	}
}

// brandToken runs the flow at an issuer whose path is /brand, up to an access
// token.
func (f *fintech) brandToken(b *bank, k *proofKey) string {
	b.t.Helper()
	_, pushed := f.post(b, "/brand/par", f.pushable(), k)
	br := &browser{b: b}
	q := url.Values{"client_id": {f.ID}, "request_uri": {pushed["request_uri"].(string)}}
	id, _ := io.ReadAll(br.do(get(b.config.Issuer + "/authorize?" + q.Encode())).Body)
	w, err := br.finish(string(id), b.approval())
	if err != nil {
		b.t.Fatal(err)
	}
	_, got := f.post(b, "/brand/token", f.redeemable(location(b.t, w.Result()).Get("code")), k)
	return got["access_token"].(string)
}

// TestUserInfoProof: proofs are checked as at any API, under the URLs of the
// configuration.
func TestUserInfoProof(t *testing.T) {
	f := keyClient("kakeibo").reader().dpop()
	b := newBank(t, clients(f), telling(hanako()), func(c *authz.Config) {
		c.Issuer, c.MTLSBase = issuer+"/brand", "https://mtls.bank.example/brand"
		c.Claims, c.ClaimNames = nil, nil
	})
	k := newProofKey()
	access := f.brandToken(b, k)
	for _, tt := range []struct {
		name   string
		with   func(r *http.Request, c map[string]any)
		status int
	}{
		{"RFC9449-4.3-9 the URL of the issuer, which has a path", nil, 200},
		{"RFC8705-5-1 the URL of the other listener", func(_ *http.Request, c map[string]any) {
			c["htu"] = "https://mtls.bank.example/brand/userinfo"
		}, 200},
		{"RFC9449-4.3-9 another path", func(_ *http.Request, c map[string]any) { c["htu"] = issuer + "/userinfo" }, 401},
		{"RFC9449-4.3-13 the Host that the caller says", func(r *http.Request, c map[string]any) {
			r.Host, c["htu"] = "evil.example", "https://evil.example/brand/userinfo"
		}, 401},
		{"RFC9449-7-1 no ath", func(_ *http.Request, c map[string]any) { delete(c, "ath") }, 401},
		{"RFC9449-4.3-12a the ath of another token", func(_ *http.Request, c map[string]any) { c["ath"] = sha256URL("other") }, 401},
		{"RFC9449-7.2-1 presented as Bearer", func(r *http.Request, _ map[string]any) { r.Header.Set("Authorization", "Bearer "+access) }, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := f.asksInfo(b, access, k)
			c := k.infoClaims(b, access)
			if tt.with != nil {
				tt.with(r, c)
			}
			r.Header.Set("DPoP", k.sign(c))
			res := b.do(r)
			if res.StatusCode != tt.status {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
		})
	}
	t.Run("RFC9449-11.1-2 once", func(t *testing.T) {
		r := f.asksInfo(b, access, k)
		for i, want := range []int{200, 401} {
			if res := b.do(r.Clone(t.Context())); res.StatusCode != want {
				t.Errorf("use %d: %d", i+1, res.StatusCode)
			}
		}
	})
	t.Run("RFC9449-4.3-12b by another key", func(t *testing.T) {
		if res := b.do(f.asksInfo(b, access, newProofKey())); res.StatusCode != 401 {
			t.Errorf("%d", res.StatusCode)
		}
	})
}

// TestUserInfoNonce: the server's nonces are good at all of its endpoints.
func TestUserInfoNonce(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	b := newBank(t, clients(f), func(c *authz.Config) { c.DPoPNonces = true })
	k := newProofKey()
	f.post(b, "/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}, k) // a nonce
	access := f.tokensFor(b, f.pushable(), k)["access_token"].(string)

	t.Run("RFC9449-9-2 a nonce that came from the token endpoint", func(t *testing.T) {
		if k.nonce == "" {
			t.Fatal("there is none")
		}
		res := b.do(f.asksInfo(b, access, k))
		if res.StatusCode != 200 || len(res.Header.Values("DPoP-Nonce")) != 1 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("RFC9449-9-1 a demand, and an answer to it", func(t *testing.T) {
		k.nonce = ""
		res := b.do(f.asksInfo(b, access, k))
		if res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), "use_dpop_nonce") {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
		k.nonce = res.Header.Get("DPoP-Nonce")
		if res := b.do(f.asksInfo(b, access, k)); res.StatusCode != 200 {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
}

// TestUserInfoHeaders: over a real connection, since net/http dates answers.
func TestUserInfoHeaders(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	b := newBank(t, clients(f))
	k := newProofKey()
	access := f.tokensFor(b, f.pushable(), k)["access_token"].(string)
	web := httptest.NewServer(b.srv)
	defer web.Close()
	const id = "8c8c2a3e-4b0f-4d6e-9f55-0d6e9c0a7b11"
	t.Run("OIDC-UI-10 x-fapi-interaction-id and Date", func(t *testing.T) {
		for _, good := range []bool{true, false} {
			r := f.asksInfo(b, access, k)
			if !good {
				r.Header.Del("DPoP")
			}
			r.RequestURI = ""
			r.URL, _ = url.Parse(web.URL + "/userinfo")
			r.Header.Set("x-fapi-interaction-id", id)
			res, err := web.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if good != (res.StatusCode == 200) || res.Header.Get("x-fapi-interaction-id") != id {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
			if _, err := http.ParseTime(res.Header.Get("Date")); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestUserInfoForms: what the client registered decides.
func TestUserInfoForms(t *testing.T) {
	f := keyClient("kakeibo").reader()
	f.UserInfoAlg = "ES256"
	b := newBank(t, clients(f), telling(hanako()))
	access := f.tokensFor(b, changed(f.pushable(), "scope", "openid email"), nil)["access_token"].(string)
	r := f.asksInfo(b, access, nil)
	r.Header.Set("Accept", "application/json")
	res := b.do(r)
	body, _ := io.ReadAll(res.Body)
	t.Run("OIDC-UI-3 OIDC-UI-12 signed, whatever Accept says", func(t *testing.T) {
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/jwt" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	header, claims := verified(t, string(body), serverKeys)
	want := map[string]any{"iss": issuer, "aud": f.ID, "sub": customer, "email": "hanako@mail.example", "email_verified": true}
	t.Run("OIDC-UI-4 iss and aud", func(t *testing.T) {
		if d := cmp.Diff(want, claims); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDC-UI-5 it cannot pass for an ID token", func(t *testing.T) {
		if claims["exp"] != nil || claims["nonce"] != nil || header["typ"] != "JWT" {
			t.Errorf("%v %v", header, claims)
		}
	})
	t.Run("OIDC-UI-4 OIDC-SE-9 signed, then encrypted", func(t *testing.T) {
		key := newEC()
		jwk := publicJWK(key.Public(), "enc-1", "ECDH-ES+A128KW")
		jwk["use"] = "enc"
		f := keyClient("kakeibo").reader().publishes(jwk)
		f.UserInfoAlg, f.UserInfoEncryption = "ES256", authz.Encryption{Alg: "ECDH-ES+A128KW", Enc: "A128GCM"}
		b := newBank(t, clients(f), telling(hanako()))
		access := f.tokensFor(b, changed(f.pushable(), "scope", "openid email"), nil)["access_token"].(string)
		res := b.do(f.asksInfo(b, access, nil))
		body, _ := io.ReadAll(res.Body)
		inner, cty, err := jose.Decrypt(string(body), 1<<16, []string{"A128GCM"}, []jose.DecryptionKey{{ID: "enc-1", Key: key}})
		if err != nil || cty != "JWT" || res.Header.Get("Content-Type") != "application/jwt" {
			t.Fatalf("%v, %q, %v: %s", err, cty, res.Header, body)
		}
		_, claims := verified(t, string(inner), serverKeys)
		if d := cmp.Diff(want, claims); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDC-SE-7 without a key to encrypt to nothing is told", func(t *testing.T) {
		f := keyClient("kakeibo").reader()
		f.UserInfoAlg = "ES256"
		b := newBank(t, clients(f), telling(hanako()))
		access := f.tokensFor(b, changed(f.pushable(), "scope", "openid email"), nil)["access_token"].(string)
		s := newKeyServer(t, f.jwk())
		f.JWKS, f.JWKSURI, f.UserInfoEncryption = nil, s.URL+"/kakeibo", authz.Encryption{Alg: "ECDH-ES"}
		b2 := newBank(t, clients(f), telling(hanako()), s.reachable, func(c *authz.Config) { c.Store = b.config.Store })
		res := b2.do(f.asksInfo(b2, access, nil))
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 503 || strings.Contains(string(body), "hanako") {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	})
	t.Run("OIDR-11 encrypted alone is not to be had", func(t *testing.T) {
		jwk := publicJWK(newEC().Public(), "enc-1", "ECDH-ES")
		jwk["use"] = "enc"
		c := keyClient("a").publishes(jwk)
		c.UserInfoEncryption.Alg = "ECDH-ES"
		if d := cmp.Diff([]string{"OIDR-11"}, rules(t, b.srv.CheckClient(c.Client))); d != "" {
			t.Error(d)
		}
	})
}

// TestUserInfoOutage: what cannot be found out is an outage, and no empty
// answer.
func TestUserInfoOutage(t *testing.T) {
	for name, claims := range map[string]func() (map[string]any, error){
		"OIDC-CL-1 the host fails":                    func() (map[string]any, error) { return nil, errors.New("core banking is down") },
		"OIDC-CL-1 the host fails with a refusal":     func() (map[string]any, error) { return nil, &authz.Error{Code: authz.AccessDenied} },
		"OIDC-CL-3 PIT-4 email_verified is a string":  func() (map[string]any, error) { return map[string]any{"email_verified": "true"}, nil },
		"OIDC-CL-3 email is a number":                 func() (map[string]any, error) { return map[string]any{"email": 7}, nil },
		"OIDC-CL-3 email in a language is a number":   func() (map[string]any, error) { return map[string]any{"email#ja": 7}, nil },
		"OIDC-CL-3 PIT-2 updated_at is a string":      func() (map[string]any, error) { return map[string]any{"updated_at": "1767225600"}, nil },
		"OIDC-CL-3 address is a string":               func() (map[string]any, error) { return map[string]any{"address": "Chiyoda"}, nil },
		"OIDC-CL-3 a value that is no JSON":           func() (map[string]any, error) { return map[string]any{"email": make(chan int)}, nil },
		"OIDC-CL-3 JSON that two readers read in two": func() (map[string]any, error) { return map[string]any{"tier": json.RawMessage(`{"a":1,"a":2}`)}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := keyClient("kakeibo").reader()
			b := newBank(t, clients(f), telling(hanako()), func(c *authz.Config) {
				c.ClaimNames = []string{"email", "email#ja", "email_verified", "updated_at", "address", "tier"}
				c.Claims = func(context.Context, authz.ClaimsRequest) (map[string]any, error) { return claims() }
			})
			v := changed(f.pushable(), "scope", "openid email")
			access := f.tokensFor(b, changed(v, "claims", `{"userinfo":{"tier":null,"email#ja":null,"updated_at":null,"address":null}}`), nil)["access_token"].(string)
			res := b.do(f.asksInfo(b, access, nil))
			if got := object(t, res); res.StatusCode != 503 || got["error"] != "server_error" || len(got) != 1 {
				t.Errorf("%d %v", res.StatusCode, got)
			}
			if e := b.lastEvent(); e.Kind != "request_failed" || e.Endpoint != "userinfo" {
				t.Errorf("the operator is told %+v", e)
			}
		})
	}
	t.Run("OIDC-UI-8 a store that is out of reach", func(t *testing.T) {
		f := keyClient("kakeibo")
		down := false
		b := newBank(t, clients(f), func(c *authz.Config) {
			c.Store = &storetest.Faulty{Store: c.Store, Fail: func(string, string) error { return failing(down) }}
		})
		access := f.tokens(b)["access_token"].(string)
		down = true
		if res := b.do(f.asksInfo(b, access, nil)); res.StatusCode != 503 {
			t.Errorf("%d", res.StatusCode)
		}
		if e := b.lastEvent(); e.Kind != "request_failed" {
			t.Errorf("the operator is told %+v", e)
		}
	})
}

// TestUserInfoMounted: what is not offered is not there.
func TestUserInfoMounted(t *testing.T) {
	for name, adjust := range map[string]func(*authz.Config){
		"OIDD-4 no openid":               func(c *authz.Config) { c.Scopes = []string{"accounts"} },
		"OIDD-4 no authorization server": func(c *authz.Config) { c.Interact = nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBank(t, nil, adjust)
			if res := b.do(get(issuer + "/userinfo")); res.StatusCode != 404 {
				t.Errorf("%d", res.StatusCode)
			}
			m := object(t, b.do(get(issuer+wellKnown)))
			for _, member := range []string{"userinfo_endpoint", "claims_supported", "subject_types_supported", "id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported"} {
				if m[member] != nil {
					t.Errorf("%s is %v", member, m[member])
				}
			}
			if m["claims_parameter_supported"] != false {
				t.Errorf("claims_parameter_supported is %v", m["claims_parameter_supported"])
			}
		})
	}
}
