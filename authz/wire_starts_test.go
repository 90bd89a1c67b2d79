package authz_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/authz"
)

// wireStarts are the messages of wire-examples that section 24 starts from, by
// the section's number: each returns the bank at the message's time, and the
// message. What a bank makes up at random, such as a code, is our bank's in
// place of the example's; so is an assertion or a proof that the example does
// not spell out.
var wireStarts = map[string]func(*testing.T) (*finbank, *message){
	"2.1": func(t *testing.T) (*finbank, *message) {
		return newFinbank(t, "jwt"), readMessage(t, "par.http")
	},
	"3": func(t *testing.T) (*finbank, *message) {
		b, msg := newFinbank(t, "jwt"), readMessage(t, "authorize.http")
		q := msg.target.Query()
		q.Set("request_uri", b.pushed(readMessage(t, "par.http")))
		msg.target.RawQuery = q.Encode()
		return b, msg
	},
	"5.1": func(t *testing.T) (*finbank, *message) {
		b := newFinbank(t, "jwt")
		return b, b.redeemable(readMessage(t, "par.http"))
	},
	"5.3": func(t *testing.T) (*finbank, *message) {
		b, msg := newFinbank(t, "jwt"), readMessage(t, "refresh.http")
		b.issue(readMessage(t, "par.http"))
		msg.set("refresh_token", b.refresh)
		b.at(50)
		b.renew(msg, b.tpp, "")
		return b, msg
	},
	"7": func(t *testing.T) (*finbank, *message) {
		b, msg := newFinbank(t, "opaque"), readMessage(t, "introspect.http")
		b.issue(readMessage(t, "par.http"))
		msg.set("token", b.access)
		b.at(52)
		return b, msg
	},
	"8": func(t *testing.T) (*finbank, *message) {
		b, msg := newFinbank(t, "opaque"), readMessage(t, "introspect-jwt.http")
		b.issue(readMessage(t, "par.http"))
		msg.set("token", b.access)
		b.at(53)
		b.renew(msg, b.rs, "")
		return b, msg
	},
	"9": func(t *testing.T) (*finbank, *message) {
		b, msg := newFinbank(t, "jwt"), readMessage(t, "revoke.http")
		b.issue(readMessage(t, "par.http"))
		msg.set("token", b.refresh)
		b.at(60)
		b.renew(msg, b.tpp, "")
		return b, msg
	},
}

// wireSteps are the mutations that are more than a change of one message. Each
// returns the answer that counts.
var wireSteps = map[string]func(*finbank, *message) *http.Response{
	// The change of the mutation, a new proof, is for the second message, so
	// that it is the assertion that is refused.
	"repeat": func(b *finbank, msg *message) *http.Response {
		b.mustSend(readMessage(b.t, "par.http"), 201)
		return b.send(msg)
	},
	"load twice, then finish": func(b *finbank, msg *message) *http.Response {
		br := &browser{b: b.bank}
		if res := br.do(msg.request()); res.StatusCode != 200 {
			b.t.Fatalf("first: %d", res.StatusCode)
		}
		return b.finish(br, msg)
	},
	"finish, then load again": func(b *finbank, msg *message) *http.Response {
		br := &browser{b: b.bank}
		if res := b.finish(br, msg); res.StatusCode != 303 {
			b.t.Fatalf("finish: %d", res.StatusCode)
		}
		return br.do(msg.request())
	},
	"every bit of code_verifier":             everyBit,
	"redeem twice":                           redeemTwice,
	"without the demanded nonce, then retry": nonceRetry,
	"token of another RS":                    anotherAPI,
	"refresh token of another client": func(b *finbank, msg *message) *http.Response {
		msg.set("client_id", b.other.ID)
		b.renew(msg, b.other, "")
		res := b.send(msg)
		again := readMessage(b.t, "refresh.http") // it still works
		again.set("refresh_token", b.refresh)
		b.renew(again, b.tpp, "")
		b.mustSend(again, 200)
		return res
	},
}

// finish loads the page of the message, and has the customer approve.
func (b *finbank) finish(br *browser, msg *message) *http.Response {
	b.t.Helper()
	res, err := br.decide(b.tpp, msg.target.Query().Get("request_uri"), b.approve())
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

// everyBit changes one bit of the verifier after the other, where that is still
// one (RFC 7636, 4.1), and returns the last answer: all must be refused alike.
// Then the right one is taken all the same.
func everyBit(b *finbank, msg *message) (last *http.Response) {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	good := msg.get("code_verifier")
	for i := range len(good) {
		for bit := range 7 {
			changed := []byte(good)
			changed[i] ^= 1 << bit
			if strings.IndexByte(unreserved, changed[i]) < 0 {
				continue
			}
			if last != nil {
				refused(b.t, last, 400, "invalid_grant")
			}
			msg.set("code_verifier", string(changed))
			b.renew(msg, b.tpp, "")
			last = b.send(msg)
		}
	}
	msg.set("code_verifier", good)
	b.renew(msg, b.tpp, "")
	b.mustSend(msg, 200)
	return last
}

// redeemTwice returns the second answer; the first access token has stopped
// working.
func redeemTwice(b *finbank, msg *message) *http.Response {
	access := b.mustSend(msg, 200)["access_token"].(string)
	if b.introspect(access)["active"] != true {
		b.t.Fatal("the access token does not work to begin with")
	}
	b.renew(msg, b.tpp, "")
	res := b.send(msg)
	inactive(b.t, b.introspect(access))
	return res
}

// nonceRetry sends the message of 5.1 to a bank that demands nonces, and then,
// with a proof that has the nonce, again: the code is still good. The request
// was pushed as in the variant of 2.1 without a proof, which would have needed
// a nonce as well.
func nonceRetry(b *finbank, _ *message) *http.Response {
	demanding := newFinbank(b.t, "jwt", func(c *authz.Config) { c.DPoPNonces = true })
	push := readMessage(b.t, "par.http")
	push.header.Del("DPoP")
	push.set("dpop_jkt", wireJKT)
	msg := demanding.redeemable(push)
	res := demanding.send(msg)
	nonce := res.Header.Get("DPoP-Nonce")
	refused(b.t, res, 400, "use_dpop_nonce")
	if nonce == "" {
		b.t.Fatal("there is no nonce")
	}
	demanding.renew(msg, demanding.tpp, nonce)
	return demanding.send(msg)
}

// anotherAPI asks, as the API of the message, about a token for another one
// that its own client is told is active.
func anotherAPI(b *finbank, _ *message) *http.Response {
	cards, msg := newFinbank(b.t, "opaque"), readMessage(b.t, "introspect.http")
	push := readMessage(b.t, "par.http")
	push.set("scope", "cards")
	cards.issue(push)
	msg.set("token", cards.access)
	cards.at(52)
	res := cards.send(msg)
	cards.renew(msg, cards.tpp, "")
	if got := cards.mustSend(msg, 200); got["active"] != true {
		b.t.Errorf("the client is told %v", got)
	}
	return res
}
