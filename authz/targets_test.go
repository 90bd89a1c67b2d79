package authz_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// cards is the bank's second API. The scope history means something at both.
const cards = "https://cards.bank.example"

func withCards(c *authz.Config) {
	c.Scopes = []string{"openid", "accounts", "payments", "cards", "history"}
	c.Resources = []authz.Resource{
		{ID: resource, Scopes: []string{"accounts", "payments", "history"}},
		{ID: cards, Scopes: []string{"cards", "history"}},
	}
}

// everywhere returns a client that may ask for all that withCards offers.
func everywhere(f *fintech) *fintech {
	f.Scope = "openid accounts payments cards history"
	return f
}

// asking returns a good authorization request for scopes, "" for none, at
// resources.
func (f *fintech) asking(scopes string, resources ...string) url.Values {
	v := f.pushable()
	v.Set("scope", scopes)
	v["resource"] = resources
	return v
}

// approved pushes v, has the customer decide d, and returns what redeems the
// code.
func (f *fintech) approved(b *bank, v url.Values, d authz.Decision, k *proofKey) url.Values {
	b.t.Helper()
	status, body := f.post(b, "/par", v, k)
	if status != 201 {
		b.t.Fatalf("PAR: %d %v", status, body)
	}
	res, err := (&browser{b: b}).decide(f, body["request_uri"].(string), d)
	if err != nil {
		b.t.Fatalf("Finish: %v", err)
	}
	return f.redeemable(location(b.t, res).Get("code"))
}

// again returns what asks for another access token.
func again(tokens map[string]any) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}}
}

// later returns the bank after its host changed something and restarted.
func (b *bank) later(adjust func(*authz.Config)) *bank {
	b.t.Helper()
	c := b.config
	adjust(&c)
	srv, err := authz.New(c)
	if err != nil {
		b.t.Fatal(err)
	}
	next := &bank{t: b.t, srv: srv, config: c, clock: b.clock, ca: b.ca}
	return next
}

// accepts returns what the API called audience says to an access token of f.
func (f *fintech) accepts(b *bank, audience, access string) error {
	b.t.Helper()
	v, err := token.NewVerifier(token.VerifierConfig{Issuer: issuer, Audience: audience, Keys: serverKeys, Liveness: b.config.Store, Now: b.clock.Now})
	if err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest("GET", audience+"/", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: f.chain}
	_, err = v.Check(r, token.Require{})
	return err
}

// goodFor fails unless the token response says scope, or has none if that is "",
// and the access token is for exactly aud, with the same scope.
func goodFor(t *testing.T, tokens map[string]any, scope string, aud ...string) {
	t.Helper()
	claims := claimsOf(t, tokens["access_token"].(string))
	var want any = aud[0]
	if len(aud) > 1 {
		list := []any{}
		for _, id := range aud {
			list = append(list, id)
		}
		want = list
	}
	if d := cmp.Diff(want, claims["aud"]); d != "" {
		t.Errorf("aud %s", d)
	}
	for name, m := range map[string]map[string]any{"response": tokens, "token": claims} {
		if got, there := m["scope"]; there != (scope != "") || there && got != scope {
			t.Errorf("%s has scope %v, want %q", name, got, scope)
		}
	}
}

// refusedAs fails unless a request got status 400 and code, and the operator
// the rule.
func refusedAs(t *testing.T, b *bank, status int, body map[string]any, code, rule string) {
	t.Helper()
	if status != 400 || body["error"] != code {
		t.Errorf("%d %v, want 400 %s", status, body, code)
	}
	if e := b.lastEvent(); e.Rule != rule {
		t.Errorf("rule %s, want %s", e.Rule, rule)
	}
	if s, _ := body["error_description"].(string); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		t.Errorf("error_description has characters that RFC 6749, 5.2 does not allow: %q", s)
	}
}

// values returns JSON texts as values, to compare them as such.
func values(t testing.TB, texts ...string) []any {
	t.Helper()
	list := []any{}
	for _, text := range texts {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		list = append(list, v)
	}
	return list
}
