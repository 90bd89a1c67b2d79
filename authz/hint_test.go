package authz_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// TestHint: an ID token of ours names the customer whom the client means, and
// nothing else does.
func TestHint(t *testing.T) {
	f, other := keyClient("kakeibo"), keyClient("other")
	f.UserInfoAlg = "ES256"
	b := newBank(t, clients(f, other))
	tokens := f.tokens(b)
	good := tokens["id_token"].(string)
	claims := claimsOf(t, good)
	signer := mustSigner(t, serverKeys, "ES256")
	signed := func(change func(header, claims map[string]any)) string {
		h, c := map[string]any{"alg": "ES256", "kid": "as-1"}, claimsOf(t, good)
		change(h, c)
		return jwt(h, c, signer)
	}
	info := b.do(f.asksInfo(b, tokens["access_token"].(string), nil))
	body := make([]byte, 4096)
	n, _ := info.Body.Read(body)
	jwe := "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTEyOEdDTSJ9..AAAA.AAAA.AAAA"

	for _, tt := range []struct {
		name, hint string
		want       bool
	}{
		{"OIDC-AR-16 an ID token of this server", good, true},
		{"OIDC-AR-16 the OP is not among its audience, and need not be", signed(func(_, c map[string]any) { c["aud"] = []string{f.ID} }), true},
		{"OIDC-AR-16 expired long ago", signed(func(_, c map[string]any) { c["iat"], c["exp"] = 1500000000, 1500000300 }), true},
		{"OIDC-AR-16 of another client", other.tokens(b)["id_token"].(string), false},
		{"OIDC-AR-16 of another issuer", signed(func(_, c map[string]any) { c["iss"] = issuer + "/brand" }), false},
		{"OIDC-AR-16 without sub", signed(func(_, c map[string]any) { delete(c, "sub") }), false},
		{"OIDC-AR-16 signed by the client", jwt(map[string]any{"alg": "ES256", "kid": f.kid}, claims, f.key), false},
		{"OIDC-AR-16 signed by the client under our kid", jwt(map[string]any{"alg": "ES256", "kid": "as-1"}, claims, f.key), false},
		{"OIDC-AR-16 not signed", unsigned(map[string]any{"alg": "none"}, claims), false},
		{"OIDC-AR-16 encrypted", jwe, false},
		{"OIDC-AR-16 no JWT", "u-5b1e9d", false},
		{"OIDC-AR-16 too long", good + strings.Repeat("A", 16<<10), false},
		{"PIT-10 an access token", tokens["access_token"].(string), false},
		{"PIT-10 OIDC-UI-5 userinfo", string(body[:n]), false},
		{"PIT-10 with the typ of a logout token", signed(func(h, _ map[string]any) { h["typ"] = "logout+jwt" }), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := b.do(f.request("/par", f.authenticate(b, changed(f.pushable(), "id_token_hint", tt.hint))))
			if !tt.want {
				mustRefuse(t, b, res, 400, "invalid_request", "OIDC-AR-16")
				return
			}
			if res.StatusCode != 201 {
				t.Errorf("%d %v", res.StatusCode, object(t, res))
			}
		})
	}

	keys := func(kids ...string) func(*authz.Config) {
		var set []token.PrivateKey
		for _, kid := range kids {
			k := token.PrivateKey{ID: kid, Algorithm: "ES256", Signer: signer}
			if kid != "as-1" {
				k.Signer = newEC()
			}
			set = append(set, k)
		}
		return func(c *authz.Config) { c.Keys, _ = token.NewKeySet(set...) }
	}
	t.Run("OIDC-AR-16 OIDC-SE-5 a retired key counts while it is published", func(t *testing.T) {
		for published, want := range map[bool]int{true: 201, false: 400} {
			adjust := keys("as-2")
			if published {
				adjust = keys("as-2", "as-1")
			}
			b := newBank(t, clients(f), adjust)
			if res := b.do(f.request("/par", f.authenticate(b, changed(f.pushable(), "id_token_hint", good)))); res.StatusCode != want {
				t.Errorf("published %t: %d, want %d", published, res.StatusCode, want)
			}
		}
	})
	t.Run("OIDC-AR-16 keys out of reach are an outage", func(t *testing.T) {
		b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = brokenKeys{} })
		if res := b.do(f.request("/par", f.authenticate(b, changed(f.pushable(), "id_token_hint", good)))); res.StatusCode != 503 {
			t.Errorf("%d", res.StatusCode)
		}
	})
}

// TestNamedCustomer: a client that names a customer gets tokens for no other,
// whoever is signed in.
func TestNamedCustomer(t *testing.T) {
	for _, subjects := range []string{"public", "pairwise"} {
		salted := func(c *authz.Config) { c.Pairwise = []byte("a salt that never changes, of 32 bytes or more") }
		f := keyClient("kakeibo")
		f.SubjectType = subjects
		first := newBank(t, clients(f), salted)
		hint := f.tokens(first)["id_token"].(string)
		sub := claimsOf(t, hint)["sub"].(string)
		for way, v := range map[string]func() map[string][]string{
			"id_token_hint": func() map[string][]string { return changed(f.pushable(), "id_token_hint", hint) },
			"claims": func() map[string][]string {
				return changed(f.pushable(), "claims", `{"id_token":{"sub":{"value":"`+sub+`"}}}`)
			},
			"claims of userinfo": func() map[string][]string {
				return changed(f.pushable(), "claims", `{"userinfo":{"sub":{"values":["`+sub+`"]}}}`)
			},
			"both": func() map[string][]string {
				return changed(changed(f.pushable(), "id_token_hint", hint), "claims", `{"id_token":{"sub":{"value":"`+sub+`"}}}`)
			},
			"plain OAuth": func() map[string][]string {
				return changed(changed(f.pushable(), "id_token_hint", hint), "scope", "accounts")
			},
		} {
			t.Run("OIDC-AR-19 OIDC-CL-7 OIDC-SU-6 "+subjects+", "+way, func(t *testing.T) {
				b, br, id := started(t, f, v(), salted)
				in, err := br.resume(id)
				if err != nil {
					t.Fatal(err)
				}
				if !in.IsFor(customer) || in.IsFor("u-other") || in.IsFor("") || subjects == "pairwise" && in.IsFor(sub) {
					t.Error("IsFor does not tell the customer from others")
				}
				d := b.approval()
				d.Subject = "u-other"
				w, err := br.finish(id, d)
				if !is(err, authz.LoginRequired) {
					t.Errorf("another customer: %v", err)
				}
				untouched(t, w)
				if e := b.lastEvent(); e.Rule != "OIDC-AR-19" {
					t.Errorf("the operator is told %+v", e)
				}
				w, err = br.finish(id, b.approval()) // the customer comes after all
				if err != nil {
					t.Fatal(err)
				}
				if status, _ := f.token(b, f.redeemable(location(t, w.Result()).Get("code"))); status != 200 {
					t.Errorf("%d", status)
				}
			})
		}
		t.Run("OIDC-AR-19 "+subjects+", two customers", func(t *testing.T) {
			v := changed(changed(f.pushable(), "id_token_hint", hint), "claims", `{"id_token":{"sub":{"value":"u-other"}}}`)
			mustRefuse(t, first, first.do(f.request("/par", f.authenticate(first, v))), 400, "invalid_request", "OIDC-AR-19")
		})
	}
	t.Run("OIDC-AR-19 nobody is named", func(t *testing.T) {
		f := keyClient("kakeibo")
		_, br, id := started(t, f, changed(f.pushable(), "claims", `{"id_token":{"sub":{"essential":true}}}`))
		in, err := br.resume(id)
		if err != nil || !in.IsFor("anybody") {
			t.Errorf("%v", err)
		}
	})
	t.Run("OIDC-AR-10 OIDC-AR-16 prompt=none, and somebody else is signed in", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := changed(changed(f.pushable(), "id_token_hint", f.tokens(b)["id_token"].(string)), "prompt", "none")
		br := &browser{b: b}
		id := br.begin(f, f.push(b, v))
		in, err := br.resume(id)
		if err != nil || in.IsFor("u-other") {
			t.Fatalf("%v", err)
		}
		w, err := br.finish(id, authz.Decision{Deny: authz.LoginRequired})
		if err != nil || location(t, w.Result()).Get("error") != "login_required" {
			t.Errorf("%v %v", err, w.Header())
		}
	})
	t.Run("OIDC-AR-14 a hint does not stand in for a login", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := changed(changed(f.pushable(), "id_token_hint", f.tokens(b)["id_token"].(string)), "max_age", "60")
		br := &browser{b: b}
		id := br.begin(f, f.push(b, v))
		d := b.approval()
		d.AuthTime = b.clock.Now().Add(-2 * time.Minute)
		if _, err := br.finish(id, d); !is(err, authz.LoginRequired) {
			t.Errorf("%v", err)
		}
	})
}
