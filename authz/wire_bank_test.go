package authz_test

import (
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// The catalogue's API, and another of the same bank.
const (
	wireAPI   = "https://api.finbank.example"
	wireCards = "https://cards.finbank.example"
)

// A finbank is the bank of the catalogue with its client and its API
// (wire-examples, 1), and one more client.
type finbank struct {
	*bank
	t               *testing.T
	tpp, rs, other  *fintech
	access, refresh string // of the flow of wire-examples, 2.1 to 5.1
}

// newFinbank returns the bank at T0. Access tokens are opaque, as those that
// wire-examples, 7 asks about, or JWTs, as in 5.
func newFinbank(t *testing.T, format string, adjust ...func(*authz.Config)) *finbank {
	t.Helper()
	b := &finbank{t: t, other: keyClient("tpp-other")}
	b.tpp = b.party("client", &fintech{Client: metadata("tpp-7f3a9c")}).dpop()
	b.tpp.AuthMethod, b.tpp.Scope, b.tpp.AccessTokenFormat = "private_key_jwt", "accounts payments cards", format
	b.tpp.RedirectURIs = []string{"https://app.tpp.example/cb"}
	b.rs = b.party("rs", apiClient("rs-accounts", wireAPI))
	b.bank = newBank(t, clients(b.tpp, b.rs, b.other), append(adjust, func(c *authz.Config) {
		as := wireSigner(t, "as")
		keys, err := token.NewKeySet(token.PrivateKey{ID: as.kid, Algorithm: as.alg, Signer: as.Signer})
		if err != nil {
			t.Fatal(err)
		}
		c.Issuer, c.Keys = wireIssuer, keys
		c.Scopes = []string{"accounts", "payments", "cards"}
		c.Resources = []authz.Resource{{ID: wireAPI, Scopes: []string{"accounts", "payments"}}, {ID: wireCards, Scopes: []string{"cards"}}}
	})...)
	b.at(0)
	return b
}

// party gives f the catalogue's key of that name.
func (b *finbank) party(key string, f *fintech) *fintech {
	k := wireSigner(b.t, key)
	f.key, f.alg, f.kid = k.Signer, k.alg, k.kid
	f.JWKS = jwks(publicJWK(k.Public(), k.kid, k.alg))
	return f
}

// at sets the clock to so many seconds after T0.
func (b *finbank) at(seconds int) {
	b.clock.Advance(time.Unix(wireT0+int64(seconds), 0).Sub(b.clock.Now()))
}

// send sends a message.
func (b *finbank) send(msg *message) *http.Response { return b.do(msg.request()) }

// mustSend sends a message that must be answered so, and returns the answer.
func (b *finbank) mustSend(msg *message, status int) map[string]any {
	b.t.Helper()
	res := b.send(msg)
	got := object(b.t, res)
	if res.StatusCode != status {
		b.t.Fatalf("%s %s: %d %v: %s", msg.method, msg.target, res.StatusCode, got, b.lastEvent().Reason)
	}
	return got
}

// renew gives a message a new client assertion, and a new proof if it has one:
// where it is sent a second time, and where the catalogue says "<new assertion>".
func (b *finbank) renew(msg *message, f *fintech, nonce string) {
	msg.set("client_assertion", f.signed(f.assertion(b.bank)))
	if msg.header.Get("DPoP") == "" {
		return
	}
	key := wireSigner(b.t, "dpop").proof()
	claims := map[string]any{"jti": rand.Text(), "htm": msg.method, "htu": wireIssuer + msg.target.Path, "iat": b.clock.Now().Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	msg.header.Set("DPoP", key.sign(claims))
}

// approve is the customer's yes of wire-examples: logged in at T0+20, decided at
// T0+25.
func (b *finbank) approve() authz.Decision {
	b.at(25)
	return authz.Decision{Subject: customer, AuthTime: time.Unix(wireT0+20, 0), ACR: "urn:finbank:acr:sca"}
}

// pushed sends the message of 2.1 and returns the request_uri, which is random
// and so cannot be the catalogue's.
func (b *finbank) pushed(msg *message) string {
	b.t.Helper()
	b.at(0)
	return b.mustSend(msg, 201)["request_uri"].(string)
}

// redeemable returns the message of 5.1 at T0+40 with the code that the push
// led to, which cannot be the catalogue's either.
func (b *finbank) redeemable(push *message) *message {
	b.t.Helper()
	uri := b.pushed(push)
	res, err := (&browser{b: b.bank}).decide(b.tpp, uri, b.approve())
	if err != nil {
		b.t.Fatal(err)
	}
	b.at(40)
	msg := readMessage(b.t, "token.http")
	msg.set("code", location(b.t, res).Get("code"))
	return msg
}

// issue runs the flow up to the tokens of T0+42.
func (b *finbank) issue(push *message) map[string]any {
	b.t.Helper()
	msg := b.redeemable(push)
	b.at(42)
	got := b.mustSend(msg, 200)
	b.access, b.refresh = got["access_token"].(string), got["refresh_token"].(string)
	return got
}

// introspect asks as the catalogue's API about an access token.
func (b *finbank) introspect(access string) map[string]any {
	b.t.Helper()
	msg := readMessage(b.t, "introspect.http")
	msg.set("token", access)
	b.renew(msg, b.rs, "")
	return b.mustSend(msg, 200)
}
