package token_test

import (
	"errors"
	"testing"

	"github.com/aikagi/aikagi/token"
)

// FuzzCheck feeds any header and query to Check. Only the good token passes,
// and nothing is an outage.
func FuzzCheck(f *testing.F) {
	good := goodToken(f)
	for _, s := range []string{"Bearer " + good, "bearer  " + good, "Bearer", "DPoP " + good, "Bearer a.b.c", "Basic dTpw", "Bearer ..", "\xff"} {
		f.Add(s, "page=1")
	}
	f.Add("Bearer "+good, "access%5ftoken=1&%zz;access_token")
	v := verifier(f, config(f))
	f.Fuzz(func(t *testing.T, authorization, query string) {
		r := request(t, authorization)
		r.URL.RawQuery = query
		a, err := v.Check(r, token.Require{})
		var e *token.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("an outage: %v", err)
		}
		if err == nil && a.Subject != "u-5b1e9d" {
			t.Errorf("accepted %q", authorization)
		}
		if err == nil && r.URL.Query().Has("access_token") {
			t.Errorf("accepted a token in %q", query)
		}
	})
}

// FuzzClaims signs any payload as an access token. Whatever is accepted has
// what RFC 9068, 2.2 requires and is bound to the certificate.
func FuzzClaims(f *testing.F) {
	f.Add(marshal(f, goodClaims()))
	for _, name := range []string{"cnf", "aud", "exp", "scope"} {
		f.Add(marshal(f, with(goodClaims(), name, nil)))
		f.Add(marshal(f, with(goodClaims(), name, []any{nil, 1, object{}})))
	}
	f.Add(`{"iss":"` + issuer + `","iss":1}`)
	key := asKey(f)
	v := verifier(f, config(f))
	f.Fuzz(func(t *testing.T, payload string) {
		compact := forge(t, marshal(t, goodHeader()), payload, key)
		a, err := v.Check(request(t, "Bearer "+compact), token.Require{})
		var e *token.Error
		switch {
		case err != nil && !errors.As(err, &e):
			t.Errorf("an outage: %v", err)
		case err == nil && (a.Subject == "" || a.ClientID == "" || a.ID == "" || a.Issuer != issuer || a.Confirmation.X5T != x5t || !now.Before(a.Expires)):
			t.Errorf("accepted %s", payload)
		}
	})
}
