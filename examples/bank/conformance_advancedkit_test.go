package main

import (
	"crypto/sha256"
	"testing"
)

// challenge adds PKCE to a request that has none.
func (f *flow) challenge() {
	sum := sha256.Sum256([]byte(f.verifier))
	f.ask.Set("code_challenge", b64(sum[:]))
	f.ask.Set("code_challenge_method", "S256")
}

// withNonce is a module whose nonce comes back as it is.
func withNonce(nonce string) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Set("nonce", nonce)
		f.complete(t)
	}
}

// refusedClaims is a module whose request object is refused for its claims, and
// refusedObject for its header.
func refusedClaims(change func(v *variant, claims map[string]any)) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		refusedObject(func(_, claims map[string]any) { change(v, claims) })(t, v)
	}
}

func refusedObject(change func(header, claims map[string]any)) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.refusedWith(t, way{object: change}, f.repeated(), "invalid_request_object")
	}
}

// without is a module whose request has a parameter beside its object, where
// nobody looks, and not in it.
func without(parameter string) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		more := f.repeated()
		more[parameter] = f.ask[parameter]
		f.ask.Del(parameter)
		f.refusedWith(t, way{}, more, "invalid_request")
	}
}

// goodAssertion is a module whose client assertions have another audience,
// wherever the client sends one.
func goodAssertion(aud func(*variant) any) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		for _, c := range v.clients {
			f := v.flow(c)
			w := way{assertion: func(_, claims map[string]any) { claims["aud"] = aud(v) }}
			b := v.browser(t)
			f.begin(t, b, w, f.repeated())
			f.approved(t, b)
			f.issued(t, c.post(t, v.token, f.redemption(), w))
		}
	}
}

// badToken is a module that breaks the assertion at the token endpoint in one
// way.
func badToken(change func(v *variant, header, claims map[string]any)) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.approve(t)
		bad := way{assertion: func(header, claims map[string]any) { change(v, header, claims) }}
		refusedWith(t, f.c.post(t, v.token, f.redemption(), bad), "401 invalid_client")
		f.redeem(t)
	}
}

// badPush is a module that breaks it at the PAR endpoint.
func badPush(change func(claims map[string]any)) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		refusedWith(t, f.send(t, way{assertion: func(_, claims map[string]any) { change(claims) }}), "401 invalid_client")
	}
}
