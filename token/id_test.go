package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token"
)

func goodID() *token.ID {
	return &token.ID{
		Issuer: issuer, Subject: "u-5b1e9d", Audience: "tpp-7f3a9c", Nonce: "nc-8Wv3", ACR: "urn:finbank:acr:sca",
		AuthTime: time.Unix(1767225620, 0), IssuedAt: time.Unix(1767225642, 0), Expires: time.Unix(1767225942, 0),
	}
}

func TestSignID(t *testing.T) {
	base := object{
		"iss": issuer, "sub": "u-5b1e9d", "aud": "tpp-7f3a9c", "iat": 1767225642, "exp": 1767225942,
		"auth_time": 1767225620, "acr": "urn:finbank:acr:sca", "nonce": "nc-8Wv3",
	}
	tests := []struct {
		name   string
		change func(*token.ID)
		want   object
	}{
		{"OIDC-IT-3 PIT-1 aud is a string", nil, base},
		{"OIDC-IT-4 dates are whole numbers", func(id *token.ID) {
			id.IssuedAt, id.Expires, id.AuthTime = id.IssuedAt.Add(5e8), id.Expires.Add(5e8), id.AuthTime.Add(5e8)
		}, base},
		{"PIT-5 no nonce when none was sent", func(id *token.ID) { id.Nonce = "" }, with(base, "nonce", nil)},
		{"OIDC-IT-6 nonce unchanged", func(id *token.ID) { id.Nonce = strings.Repeat("n\"é", 500) }, with(base, "nonce", strings.Repeat("n\"é", 500))},
		{"OIDC-IT-7 no empty acr", func(id *token.ID) { id.ACR = "" }, with(base, "acr", nil)},
		{"OIDC-IT-7 acr 0", func(id *token.ID) { id.ACR = "0" }, with(base, "acr", "0")},
		{"OIDC-IT-8 one amr is a list", func(id *token.ID) { id.AMR = []string{"mfa"} }, with(base, "amr", []string{"mfa"})},
		{"OIDC-IT-5 OIDC-IT-12 auth_time only when it is known", func(id *token.ID) { id.AuthTime = time.Time{} }, with(base, "auth_time", nil)},
		{"OIDC-IT-12 claims without a value", func(id *token.ID) { id.Extra = object{"email": "", "phone_number": nil} }, base},
		{"OIDC-IT-2 sub of 255 characters", func(id *token.ID) { id.Subject = strings.Repeat("u", 255) }, with(base, "sub", strings.Repeat("u", 255))},
		{"BCL-1 BCL-14 the session", func(id *token.ID) { id.Session = "s-1" }, with(base, "sid", "s-1")},
		{"OIDC-IT-17 an hour", func(id *token.ID) { id.Expires = id.IssuedAt.Add(time.Hour) }, with(base, "exp", 1767225642+3600)},
		{"PIT-4 claims of the host keep their type", func(id *token.ID) { id.Extra = object{"email": "a@b.example", "email_verified": true} },
			with(with(base, "email", "a@b.example"), "email_verified", true)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := goodID()
			if tt.change != nil {
				tt.change(id)
			}
			compact, err := token.SignID(t.Context(), keySet(t), "ES256", id)
			if err != nil {
				t.Fatal(err)
			}
			header, claims := decode(t, compact)
			if d := cmp.Diff(plain(t, tt.want), claims); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			t.Run("OIDC-IT-11 OIDC-IT-10 OIDC-SE-1 header", func(t *testing.T) {
				if d := cmp.Diff(object{"alg": "ES256", "kid": asKID}, header); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			})
			t.Run("PIT-10 RFC9068-4-4 is no access token", func(t *testing.T) {
				_, err = verifier(t, config(t)).Check(request(t, "Bearer "+compact), token.Require{})
				refused(t, err, 401, "invalid_token", "RFC9068-2.1-1")
			})
		})
	}
}

func TestSignIDRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*token.ID)
	}{
		{"OIDC-IT-1 no issuer", func(id *token.ID) { id.Issuer = "" }},
		{"OIDC-IT-1 issuer over http", func(id *token.ID) { id.Issuer = "http://as.finbank.example" }},
		{"OIDC-IT-1 issuer with a query", func(id *token.ID) { id.Issuer += "?a=b" }},
		{"OIDC-IT-1 issuer with a fragment", func(id *token.ID) { id.Issuer += "#a" }},
		{"OIDC-IT-1 issuer without a host", func(id *token.ID) { id.Issuer = "https://" }},
		{"OIDC-IT-2 no subject", func(id *token.ID) { id.Subject = "" }},
		{"OIDC-IT-2 sub of 256 characters", func(id *token.ID) { id.Subject = strings.Repeat("u", 256) }},
		{"OIDC-IT-2 sub is not ASCII", func(id *token.ID) { id.Subject = "合鍵" }},
		{"OIDC-IT-2 control character in sub", func(id *token.ID) { id.Subject = "a\tb" }},
		{"OIDC-IT-3 no audience", func(id *token.ID) { id.Audience = "" }},
		{"OIDC-IT-4 no time of issue", func(id *token.ID) { id.IssuedAt = time.Time{} }},
		{"OIDC-IT-4 no expiry", func(id *token.ID) { id.Expires = time.Time{} }},
		{"OIDC-IT-17 more than an hour", func(id *token.ID) { id.Expires = id.IssuedAt.Add(time.Hour + time.Second) }},
		{"OIDC-IT-8 empty amr", func(id *token.ID) { id.AMR = []string{"mfa", ""} }},
		{"RFC8725-3.7-1 nonce is not UTF-8", func(id *token.ID) { id.Nonce = "\xff" }},
		{"RFC8725-3.12-1 host sets at_hash", func(id *token.ID) { id.Extra = object{"at_hash": "x"} }},
		{"BCL-14 host sets sid", func(id *token.ID) { id.Extra = object{"sid": "x"} }},
		{"RFC8725-3.12-1 host sets client_id", func(id *token.ID) { id.Extra = object{"Client_ID": "x"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := goodID()
			tt.change(id)
			if compact, err := token.SignID(t.Context(), keySet(t), "ES256", id); err == nil {
				_, claims := decode(t, compact)
				t.Errorf("SignID made %v", claims)
			}
		})
	}
	t.Run("OIDC-IT-10 none", func(t *testing.T) {
		if _, err := token.SignID(t.Context(), keySet(t), "none", goodID()); err == nil {
			t.Error("SignID signed")
		}
	})
}
