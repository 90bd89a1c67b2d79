package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestConformanceMessageSigning plays the tests of FAPI 2.0 Message Signing,
// Final: everything once more with signed requests and responses, and the
// modules about them. Clients sign because the profile wants it, or because
// they registered it under the Security Profile.
func TestConformanceMessageSigning(t *testing.T) {
	t.Parallel()
	own := func(k kind) kind {
		k.more = map[string]any{"require_signed_request_object": k.signs, "response_modes": []string{"query"}}
		if k.jarm {
			k.more["response_modes"] = []string{"jwt", "query.jwt"}
		}
		return k
	}
	for _, deployment := range []struct {
		name, profile string
		two           bool
		kinds         []kind
	}{
		{"profile", "fapi2-message-signing", true, []kind{
			{method: "private_key_jwt", openid: true, dpop: true, signs: true, jarm: true},
			{method: "private_key_jwt", signs: true, jarm: true},
			{method: "tls_client_auth", dpop: true, signs: true, jarm: true},
			{method: "self_signed_tls_client_auth", openid: true, signs: true, jarm: true},
		}},
		{"metadata", "fapi2-security", false, []kind{
			own(kind{method: "private_key_jwt", openid: true, signs: true, jarm: true}),
			own(kind{method: "private_key_jwt", openid: true, dpop: true, signs: true}),
			own(kind{method: "tls_client_auth", openid: true, dpop: true, jarm: true}),
			own(kind{method: "self_signed_tls_client_auth", signs: true}),
		}},
	} {
		t.Run(deployment.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range conformanceBank(t, deployment.two, deployment.kinds, map[string]any{"profiles": []string{deployment.profile}}) {
				v.play(t, v.modules())
			}
		})
	}
}

// signedModules applies to clients that sign their requests.
var signedModules = []module{
	{"ensure-request-object-with-multiple-aud-succeeds", goodObject(func(v *variant, _, claims map[string]any) {
		claims["aud"] = []string{v.issuer, "https://other1.example.com", "invalid"}
	})},
	{"ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted", goodObject(func(_ *variant, _, claims map[string]any) {
		claims["nbf"] = time.Now().Add(8 * time.Second).Unix()
	})},
	{"ensure-request-object-without-exp-fails", badObject(func(_ *variant, _, claims map[string]any) { delete(claims, "exp") })},
	{"ensure-request-object-without-nbf-fails", badObject(func(_ *variant, _, claims map[string]any) { delete(claims, "nbf") })},
	{"ensure-expired-request-object-fails", badObject(func(_ *variant, _, claims map[string]any) {
		claims["exp"] = time.Now().Add(-time.Hour).Unix()
	})},
	{"ensure-request-object-with-bad-aud-fails", badObject(func(_ *variant, _, claims map[string]any) {
		claims["aud"] = "https://other.bank.example"
	})},
	{"ensure-request-object-with-exp-over-60-fails", badObject(func(_ *variant, _, claims map[string]any) {
		claims["exp"] = time.Now().Add(70 * time.Minute).Unix()
	})},
	{"ensure-signed-request-object-with-RS256-fails", badObject(func(_ *variant, header, _ map[string]any) { header["alg"] = "RS256" })},
	{"ensure-request-object-with-invalid-signature-fails", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		parts := strings.Split(f.object(t, nil), ".")
		first := byte('A')
		if parts[2][0] == first {
			first = 'B'
		}
		parts[2] = string(first) + parts[2][1:]
		refusedWith(t, f.pushObject(t, strings.Join(parts, ".")), "400 invalid_request_object")
	}},
	{"ensure-unsigned-request-at-par-endpoint-fails", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		refusedWith(t, f.c.post(t, v.par, f.ask, way{}), "400 invalid_request")
	}},

	// Not modules of their own, but what the tests look for all the same.
	{"ensure-request-object-without-scope-fails/only what is inside counts", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.ask.Del("redirect_uri")
		form := f.repeated()
		form.Set("request", f.object(t, nil))
		form.Set("redirect_uri", f.c.redirect)
		refusedWith(t, f.c.post(t, v.par, form, way{}), "400 invalid_request")
	}},
	{"RFC9101-6.1-1 encrypted to the bank", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		f.pushed(t, f.pushObject(t, v.encrypted(t, f.object(t, nil))))
		b := v.browser(t)
		b.get(t, f.address(nil))
		f.approved(t, b)
		f.redeem(t)
	}},
	{"RFC9101-6.2-1 encrypted and not signed", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		refusedWith(t, f.pushObject(t, v.encrypted(t, `{"client_id":"`+f.c.id+`"}`)), "400 invalid_request_object")
	}},
	{"ensure-request-object-signed-by-another-client-fails", func(t *testing.T, v *variant) {
		f, other := v.flow(v.clients[0]), v.flow(v.clients[1])
		refusedWith(t, f.pushObject(t, other.object(t, nil)), "400 invalid_request_object")
	}},
	{"FAPI2-MS-5.3.1-1 request object in the browser", func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		b := v.browser(t)
		b.get(t, v.doc["authorization_endpoint"].(string)+"?client_id="+f.c.id+"&request="+f.object(t, nil))
		if b.res.StatusCode != http.StatusBadRequest || b.res.Header.Get("Location") != "" {
			t.Errorf("%d %s", b.res.StatusCode, b.res.Header.Get("Location"))
		}
	}},
}

// pushObject pushes a request object as it is.
func (f *flow) pushObject(t *testing.T, object string) *reply {
	t.Helper()
	return f.c.post(t, f.v.par, map[string][]string{"request": {object}}, way{})
}

// goodObject is a module whose request object is unusual and good.
func goodObject(change func(v *variant, header, claims map[string]any)) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		for _, c := range v.clients {
			f := v.flow(c)
			b := v.browser(t)
			f.begin(t, b, way{object: func(header, claims map[string]any) { change(v, header, claims) }}, nil)
			f.approved(t, b)
			f.redeem(t)
		}
	}
}

// badObject is a module that breaks the request object in one way.
func badObject(change func(v *variant, header, claims map[string]any)) func(*testing.T, *variant) {
	return func(t *testing.T, v *variant) {
		f := v.flow(v.clients[0])
		refusedWith(t, f.send(t, way{object: func(header, claims map[string]any) { change(v, header, claims) }}), "400 invalid_request_object")
	}
}
