package openidclient

import (
	"strings"
	"testing"
)

// A fapi1 is what FAPI 1.0 Advanced leaves to the client beside the rest of a
// choice: how it asks, and how it is answered. Tokens are bound to its
// certificate, and it signs its requests.
type fapi1 struct {
	byValue     bool // the browser brings the request; otherwise it is pushed
	withoutPKCE bool // in a request by value
	hybrid      bool // answered by code and ID token; otherwise by a code in a signed response (JARM)
	formPost    bool // that is, by a form; otherwise by the fragment
}

// request describes how the client asks.
func (f *fapi1) request() string {
	return either(f.byValue, "by value", "pushed") + either(f.byValue && !f.withoutPKCE, " with PKCE", "")
}

// answer describes how the client is answered.
func (c choice) answer() string {
	if c.fapi1.hybrid {
		return "code id_token by " + either(c.fapi1.formPost, "form_post", "fragment")
	}
	return either(c.openid, "OpenID Connect, JARM", "OAuth, JARM")
}

// fapi1Name is name for a client of FAPI 1.0 Advanced.
func (c choice) fapi1Name() string {
	words := []string{"FAPI 1.0", c.method, c.alg, c.fapi1.request(), c.answer()}
	if c.encryption != "" {
		words = append(words, c.encryption)
	}
	return strings.Join(words, ", ")
}

// askFAPI1 adds what such a client chose to the rest of its registration.
func (c choice) askFAPI1(registered *client) {
	registered.ByValue, registered.WithoutPKCE, registered.FormPost = c.fapi1.byValue, c.fapi1.withoutPKCE, c.fapi1.formPost
	m := registered.Metadata
	m["profile"] = "fapi1-advanced"
	if c.fapi1.hybrid {
		m["response_types"] = []string{"code id_token"}
		m["grant_types"] = []string{"authorization_code", "refresh_token", "implicit"}
	}
}

// answers are the ways in which FAPI 1.0 Advanced answers (5.2.2-2), as far as
// openid-client has them: JARM it asks for by the query alone.
var answers = []choice{
	{openid: true, fapi1: &fapi1{hybrid: true}},
	{openid: true, fapi1: &fapi1{hybrid: true, formPost: true}},
	{openid: true, jarm: true, fapi1: &fapi1{}},
	{jarm: true, fapi1: &fapi1{}},
}

// asking returns the choice with another way to ask.
func (c choice) asking(byValue, withoutPKCE bool) choice {
	how := *c.fapi1
	how.byValue, how.withoutPKCE = byValue, withoutPKCE
	c.signed, c.fapi1 = true, &how
	return c
}

// fapi1 registers a client for every combination of FAPI 1.0 Advanced, and
// writes down a flow for each and the attacks on some.
func (p *plan) fapi1(t *testing.T, a *authority) {
	t.Helper()
	for _, method := range authMethods {
		for _, byValue := range both {
			for _, c := range answers {
				c = c.asking(byValue, byValue)
				c.method = method
				for _, alg := range []string{"PS256", "ES256"} { // 8.6
					c.alg = alg
					p.flow(t, a, c)
				}
			}
			p.fapi1Attacks(t, a, method, byValue)
		}
	}
	for _, c := range answers {
		c = c.asking(true, false) // 5.2.2-18 asks for PKCE where a request is pushed
		c.method, c.alg = "private_key_jwt", "ES256"
		p.flow(t, a, c)
	}
	for _, encryption := range []string{"ECDH-ES", "RSA-OAEP-256"} {
		for _, c := range answers[:3] {
			c = c.asking(false, false)
			c.method, c.alg, c.encryption = "tls_client_auth", "ES256", encryption
			p.flow(t, a, c)
		}
	}
}

// fapi1Attacks adds what clients of one kind may try on each other, and what
// they may get wrong by themselves.
func (p *plan) fapi1Attacks(t *testing.T, a *authority, method string, byValue bool) {
	t.Helper()
	chosen := func(c choice) choice {
		c = c.asking(byValue, byValue)
		c.method, c.alg = method, "ES256"
		return c
	}
	fragment, form, jarm, oauth := chosen(answers[0]), chosen(answers[1]), chosen(answers[2]), chosen(answers[3])
	for _, pair := range [][2]choice{{fragment, form}, {jarm, oauth}} {
		for _, name := range []string{
			"stolen access token", "stolen access token at userinfo", "stolen code", "replayed code", "stolen refresh token", "no certificate",
			"unsigned request", "request signed by another", "bad request object", "bad request", "code that nothing vouches for",
			"request brought again", "tampered response",
		} {
			p.attack(name, pair[0], pair[1])
		}
	}
}
