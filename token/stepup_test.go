package token_test

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token"
)

const sca, hardware = "urn:finbank:acr:sca", "urn:finbank:acr:hw"

// The customer of goodClaims authenticated thirty seconds ago, as sca.
func TestStepUp(t *testing.T) {
	tests := []struct {
		name    string
		require token.Require
		change  func(*attempt)
		want    string // attributes of the challenge; "": accepted
	}{
		{"RFC9470-3-1 the acr that is needed", token.Require{ACR: []string{sca}}, nil, ""},
		{"RFC9470-3-1 any one of them", token.Require{ACR: []string{hardware, sca}}, nil, ""},
		{"RFC9470-3-1 recent", token.Require{MaxAge: 30 * time.Second}, nil, ""},
		{"RFC9470-3-1 any age", token.Require{ACR: []string{sca}}, claim("auth_time", 1), ""},
		{"RFC9470-3-1 the server's clock is ahead of ours", token.Require{MaxAge: time.Minute}, claim("auth_time", now.Unix()+30), ""},

		{"RFC9470-3-1 RFC9470-3-2 another acr", token.Require{ACR: []string{hardware, "urn:finbank:acr:otp"}}, nil,
			`acr_values="urn:finbank:acr:hw urn:finbank:acr:otp"`},
		{"RFC9470-3-1 part of an acr", token.Require{ACR: []string{sca + ":2"}}, nil, `acr_values="urn:finbank:acr:sca:2"`},
		{"RFC9470-3-1 no acr", token.Require{ACR: []string{sca}}, claim("acr", nil), `acr_values="urn:finbank:acr:sca"`},
		{"RFC9470-3-1 no acr is none of them", token.Require{ACR: []string{sca}}, claim("acr", ""), `acr_values="urn:finbank:acr:sca"`},
		{"RFC9470-3-1 RFC9470-3-2 too long ago", token.Require{MaxAge: 29 * time.Second}, nil, `max_age="29"`},
		{"RFC9470-3-2 whole seconds", token.Require{MaxAge: 29*time.Second + 999*time.Millisecond}, nil, `max_age="29"`},
		{"RFC9470-3-2 never negative", token.Require{MaxAge: -time.Hour}, nil, `max_age="0"`},
		{"RFC9470-3-1 nobody authenticated", token.Require{MaxAge: 24 * time.Hour}, claim("auth_time", nil), `max_age="86400"`},
		{"RFC9470-3-1 nobody ever authenticated", token.Require{MaxAge: math.MaxInt64}, claim("auth_time", nil), `max_age="9223372036"`},
		{"RFC9470-3-1 has yet to authenticate", token.Require{MaxAge: time.Minute}, claim("auth_time", now.Unix()+31), `max_age="60"`},
		{"RFC9470-3-2 both", token.Require{ACR: []string{hardware}, MaxAge: 5 * time.Minute}, nil, `acr_values="urn:finbank:acr:hw", max_age="300"`},
		{"RFC9470-3-2 the acr will do, its age will not", token.Require{ACR: []string{sca}, MaxAge: time.Second}, nil, `acr_values="urn:finbank:acr:sca", max_age="1"`},
		{"RFC9470-3-2 scope is lacking too", token.Require{Scopes: []string{"accounts", "standing-orders"}, MaxAge: time.Second}, nil,
			`scope="accounts standing-orders", max_age="1"`},
		{"RFC9470-3-2 scope is not lacking", token.Require{Scopes: []string{"accounts"}, MaxAge: time.Second}, nil, `max_age="1"`},
		{"RFC6750-3-2 characters that would end the attribute", token.Require{ACR: []string{"a\"b", "c\r\nSet-Cookie: x"}}, nil,
			`acr_values="a?b c??Set-Cookie: x"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good(t)
			if tt.change != nil {
				tt.change(a)
			}
			a.require = tt.require
			_, err := a.try(t)
			compact := forge(t, marshal(t, a.header), marshal(t, a.claims), a.key)
			res, _, reached := serve(t, config(t), tt.require, request(t, "Bearer "+compact))
			if tt.want == "" {
				if err != nil || !reached {
					t.Errorf("Check: %v; reached next: %v", err, reached)
				}
				return
			}
			refused(t, err, 401, "insufficient_user_authentication", "RFC9470-3-1")
			want := []string{`Bearer realm="` + audience + `", error="insufficient_user_authentication", ` +
				`error_description="a stronger or more recent authentication is required", ` + tt.want}
			if d := cmp.Diff(want, res.Header["Www-Authenticate"]); d != "" || res.StatusCode != 401 || reached {
				t.Errorf("%s; reached next: %v; (-want +got)\n%s", res.Status, reached, d)
			}
		})
	}
}

// Who cannot show a good token learns nothing of what authentication is asked for.
func TestStepUpComesLast(t *testing.T) {
	for name, change := range map[string]func(*attempt){
		"an expired token":         claim("exp", now.Unix()),
		"another API's":            claim("aud", "https://x.example"),
		"a stolen token":           certificate(newCert(t, newEC(t), 1)),
		"a token bound to nothing": claim("cnf", nil),
	} {
		t.Run("RFC9470-3-3 RFC9470-9-1 "+name, func(t *testing.T) {
			a := good(t)
			change(a)
			a.require.ACR, a.require.MaxAge = []string{hardware}, time.Second
			_, err := a.try(t)
			var e *token.Error
			if !errors.As(err, &e) || e.Code != "invalid_token" || e.ACR != nil || e.MaxAge != 0 {
				t.Errorf("Check: %v, want invalid_token", err)
			}
		})
	}
	t.Run("RFC9470-3-3 before the account is looked up", func(t *testing.T) {
		a := good(t)
		a.require.ACR = []string{hardware}
		a.require.Permit = func(*http.Request, *token.Access) error {
			t.Error("Permit was called")
			return nil
		}
		_, err := a.try(t)
		refused(t, err, 401, "insufficient_user_authentication", "RFC9470-3-1")
	})
}

func TestStepUpDPoP(t *testing.T) {
	p, v := newProver(t), guard(t)
	r := p.request()
	handle := func(req token.Require) *http.Response {
		w := httptest.NewRecorder()
		v.Handler(req, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })).ServeHTTP(w, r)
		return w.Result()
	}
	t.Run("RFC9470-3-1 in the challenge of the scheme that was used", func(t *testing.T) {
		res := handle(token.Require{ACR: []string{hardware}, MaxAge: time.Second})
		got := res.Header["Www-Authenticate"]
		if res.StatusCode != 401 || len(got) != 2 {
			t.Fatalf("%s with %q", res.Status, got)
		}
		for _, want := range []string{`error="insufficient_user_authentication"`, `acr_values="` + hardware + `"`, `max_age="1"`} {
			if !strings.HasPrefix(got[0], "DPoP ") || strings.Count(got[0], want) != 1 || strings.Contains(got[1], want) {
				t.Errorf("%q: %s is not in the DPoP challenge alone", got, want)
			}
		}
	})
	t.Run("RFC9449-11.1-2 the proof was not used up", func(t *testing.T) {
		if res := handle(token.Require{}); res.StatusCode != 204 {
			t.Errorf("%s", res.Status)
		}
		if res := handle(token.Require{}); res.StatusCode != 401 {
			t.Errorf("and a second time: %s", res.Status)
		}
	})
}

// A payment over a limit needs more than one below it: that is the host's to say.
func TestPermitStepsUp(t *testing.T) {
	t.Run("RFC9470-3-1 RFC9470-3-2", func(t *testing.T) {
		res, _, _ := serve(t, config(t), token.Require{Permit: func(*http.Request, *token.Access) error {
			return &token.Error{Status: 401, Code: "insufficient_user_authentication", ACR: []string{hardware}, MaxAge: time.Minute}
		}}, request(t, "Bearer "+goodToken(t)))
		want := `Bearer realm="` + audience + `", error="insufficient_user_authentication", acr_values="` + hardware + `", max_age="60"`
		if got := res.Header.Get("WWW-Authenticate"); got != want || res.StatusCode != 401 {
			t.Errorf("%s %s, want %s", res.Status, got, want)
		}
	})
}
