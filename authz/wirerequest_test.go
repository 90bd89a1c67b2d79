package authz_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wireKey returns the catalogue's signing key of the client (wire-examples, 1),
// with which the request object of 2.2 was made.
func wireKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	b, err := os.ReadFile("testdata/wire/client-key.json")
	if err != nil {
		t.Fatal(err)
	}
	var jwk struct{ D string }
	if err := json.Unmarshal(b, &jwk); err != nil {
		t.Fatal(err)
	}
	d, err := base64.RawURLEncoding.DecodeString(jwk.D)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestWireRequestObject is wire-examples, 2.2, and what section 24 makes of it.
func TestWireRequestObject(t *testing.T) {
	key := wireKey(t)
	claims := claimsOf(t, wireRequest)
	sign := func(change func(m)) string {
		c := maps.Clone(claims)
		change(c)
		return jwt(m{"alg": "ES256", "kid": "tpp-sig-2026a", "typ": "oauth-authz-req+jwt"}, c, key)
	}
	set := func(name string, v any) string { return sign(func(c m) { c[name] = v }) }
	without := func(name string) string { return sign(func(c m) { delete(c, name) }) }
	for _, tt := range []struct {
		name   string
		object string
		want   string // error of PAR
	}{
		{"FAPI2-MS-5.3.1-1 RFC9126-3-1 wire example 2.2", wireRequest, ""},
		{"FAPI2-MS-5.3.1-1 signed again with the same key", sign(func(m) {}), ""},
		{"FAPI2-MS-5.3.1-3 wire example 2.2, drop nbf", without("nbf"), "invalid_request_object"},
		{"FAPI2-MS-5.3.1-4 wire example 2.2, drop exp", without("exp"), "invalid_request_object"},
		{"FAPI2-MS-5.3.1-4 wire example 2.2, exp = nbf+4200", set("exp", wireT0+4200), "invalid_request_object"},
		{"FAPI2-MS-5.3.1-3 wire example 2.2, nbf = T0-3700", sign(func(c m) { c["nbf"], c["exp"] = wireT0-3700, wireT0-100 }), "invalid_request_object"},
		{"FAPI2-MS-5.3.1-2 wire example 2.2, aud is an array", set("aud", []string{wireIssuer, "x"}), ""},
		{"RFC9101-4-2 wire example 2.2, claim request_uri inside", set("request_uri", "urn:ietf:params:oauth:request_uri:Hq7w2Xn5Rb8Tc1Lk4Vz9Pm3Sd6Fg0YjA"), "invalid_request_object"},
		{"RFC9126-3-3 wire example 2.2, client_id of another client", set("client_id", "other"), "invalid_request_object"},
		{"RFC9126-3-3 wire example 2.2, all of it another client's and signed by that", jwt(m{"alg": "ES256", "kid": "other-1"}, m{
			"iss": "other", "client_id": "other", "aud": wireIssuer, "nbf": wireT0, "exp": wireT0 + 300,
		}, newEC()), "invalid_request_object"},
		{"CONF-19 RFC8725-3.12-1 wire example 2.2, the assertion of 2.1 as request", wireAssertion, "invalid_request_object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, f := proofBank(t)
			res := b.do(f.signedByFile(t, "/par", url.Values{"request": {tt.object}}, wireAssertion, wire(t, "par-proof.jwt")))
			if tt.want != "" {
				refused(t, res, 400, tt.want)
				return
			}
			got := object(t, res)
			if res.StatusCode != 201 {
				t.Fatalf("PAR: %d %v: %+v", res.StatusCode, got, b.lastEvent())
			}
			b.clock.Advance(25 * time.Second)
			back, err := (&browser{b: b}).decide(f, got["request_uri"].(string), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			response := claimsOf(t, signedBack(t, back))
			redeem := f.redeemable(response["code"].(string))
			delete(response, "code")
			if d := cmp.Diff(m{"iss": wireIssuer, "aud": "tpp-7f3a9c", "exp": exactly(1767225925), "state": "st-4Jx9"}, response); d != "" {
				t.Errorf("JARM-2.1-3 wire example 4: %s", d)
			}
			b.clock.Advance(15 * time.Second)
			res = b.do(f.signedByFile(t, "/token", redeem, wire(t, "token-assertion.jwt"), wire(t, "token-proof.jwt")))
			if got := object(t, res); res.StatusCode != 200 || got["scope"] != "accounts payments" {
				t.Errorf("token: %d %v", res.StatusCode, got)
			}
		})
	}
	t.Run("RFC9101-6.3-1 wire example 2.2, form state=other beside request", func(t *testing.T) {
		b, f := proofBank(t)
		res := b.do(f.signedByFile(t, "/par", url.Values{"request": {wireRequest}, "state": {"other"}}, wireAssertion, ""))
		back, err := (&browser{b: b}).decide(f, object(t, res)["request_uri"].(string), b.approval())
		if err != nil {
			t.Fatal(err)
		}
		if state := claimsOf(t, signedBack(t, back))["state"]; state != "st-4Jx9" {
			t.Errorf("state %v", state)
		}
	})
	t.Run("RFC9126-2.3-4 RFC9101-9-2 wire example 2.1 of a client that must sign", func(t *testing.T) {
		b, f := proofBank(t)
		f.RequireSignedRequest = true
		res := b.do(f.signedByFile(t, "/par", changed(f.pushable(), "scope", "accounts payments"), wireAssertion, ""))
		mustRefuse(t, b, res, 400, "invalid_request", "RFC9126-2.3-4")
	})
	t.Run("RFC9101-I-1 wire example 2.2 twice", func(t *testing.T) {
		b, f := proofBank(t)
		v := url.Values{"request": {wireRequest}}
		if res := b.do(f.signedByFile(t, "/par", v, wireAssertion, "")); res.StatusCode != 201 {
			t.Fatalf("first: %d", res.StatusCode)
		}
		again := jwt(m{"alg": "ES256", "kid": "tpp-sig-2026a"}, m{
			"iss": f.ID, "sub": f.ID, "aud": wireIssuer, "jti": "2", "exp": wireT0 + 60,
		}, key)
		mustRefuse(t, b, b.do(f.signedByFile(t, "/par", v, again, "")), 400, "invalid_request_object", "RFC9101-I-1")
	})
}
