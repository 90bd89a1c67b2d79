package token_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/token"
)

// kinds are one of every kind of JWT that a bank and a fintech exchange, each
// with a good signature by a key in everybody's set. Those of files are of the
// catalogue's examples.
func kinds(t *testing.T) map[string]string {
	t.Helper()
	kinds := map[string]string{}
	files, err := filepath.Glob("testdata/tokens/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		_, compact, _ := strings.Cut(string(read(t, file)), "\n\n")
		kinds[strings.TrimSuffix(filepath.Base(file), ".txt")] = strings.TrimSpace(compact)
	}
	bank := func(header, claims object) string {
		return forge(t, marshal(t, with(with(header, "alg", "ES256"), "kid", asKID)), marshal(t, claims), asKey(t))
	}
	user := object{"iss": issuer, "sub": "u-5b1e9d", "aud": "tpp-7f3a9c", "name": "A"}
	kinds["userinfo"] = bank(object{}, user)
	kinds["userinfo-jwt"] = bank(object{"typ": "JWT"}, user)
	kinds["logout"] = bank(object{"typ": "logout+jwt"}, object{"iss": issuer, "sub": "u-5b1e9d", "aud": "tpp-7f3a9c",
		"iat": now.Unix(), "exp": now.Unix() + 60, "jti": "lo-1", "events": object{"http://schemas.openid.net/event/backchannel-logout": object{}}})
	kinds["security-event"] = bank(object{"typ": "secevent+jwt"}, object{"iss": issuer, "aud": audience, "iat": now.Unix(), "jti": "se-1", "events": object{}})
	return kinds
}

// TestSubstitution offers every kind of JWT in each of the two places where a
// resource server takes one: as an access token, and as what the authorization
// server answers about one. Nothing passes but what belongs there.
func TestSubstitution(t *testing.T) {
	all := kinds(t)
	for _, kind := range []string{"client-assertion", "request-object", "dpop-proof", "id-token", "jarm", "introspection", "userinfo"} {
		if all[kind] == "" {
			t.Fatalf("there is no %s to be offered", kind)
		}
	}
	asked := false
	as := newServer(t, func(w http.ResponseWriter, r *http.Request) { asked = true })
	for kind, compact := range all {
		t.Run("RFC8725-3.12-1 RFC9701-8.1-1 "+kind+" as an access token", func(t *testing.T) {
			c := config(t)
			c.Keys, c.Introspect = everybody(t), as.introspector()
			_, err := verifier(t, c).Check(request(t, "Bearer "+compact), token.Require{})
			if kind == "access-x5t" { // it is one
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *token.Error
			if !errors.As(err, &e) || e.Status != 401 || e.Code != "invalid_token" {
				t.Errorf("Check: %v", err)
			}
			if asked {
				t.Error("the authorization server was asked about a JWT")
			}
			c.Introspect, c.Opaque = nil, opaque(t)
			if _, err = verifier(t, c).Check(request(t, "Bearer "+compact), token.Require{}); !errors.As(err, &e) || e.Code != "invalid_token" {
				t.Errorf("where opaque tokens are taken, Check: %v", err)
			}
		})
		t.Run("RFC8725-3.12-1 "+kind+" as an introspection response", func(t *testing.T) {
			as := newServer(t, answer(compact))
			_, err := as.check(t, func(c *token.VerifierConfig) { c.Keys = everybody(t) })
			if kind == "introspection" {
				// It is one, of a token that is bound to a key: refused for that alone.
				refused(t, err, 401, "invalid_token", "RFC8705-3.1-2")
				return
			}
			refused(t, err, 401, "invalid_token", "FAPI2-MS-5.5.2-2")
		})
	}
}
