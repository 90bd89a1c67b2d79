package authz_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"crypto/rand"
	"crypto/tls"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

const (
	sca = "urn:bank:acr:sca"
	low = "urn:bank:acr:low"
)

// TestACR: what a client asks of the authentication context, and what becomes
// of it.
func TestACR(t *testing.T) {
	for _, tt := range []struct {
		name      string
		values    string // acr_values
		claims    string
		defaults  []string // default_acr_values
		reached   string
		asked     []string // what the host learns
		essential bool
		want      authz.Code // "" if it may be approved
	}{
		{"OIDC-AR-18 nothing", "", "", nil, low, nil, false, ""},
		{"OIDC-AR-18 acr_values not reached", sca, "", nil, low, []string{sca}, false, ""},
		{"OIDC-AR-18 acr_values and no acr", sca, "", nil, "", []string{sca}, false, ""},
		{"OIDR-16 default_acr_values", "", "", []string{sca, low}, low, []string{sca, low}, false, ""},
		{"OIDR-16 acr_values instead of the default", low, "", []string{sca}, low, []string{low}, false, ""},
		{"OIDR-16 claims instead of the default", "", `{"id_token":{"acr":{"values":["urn:x"]}}}`, []string{sca}, low, []string{"urn:x"}, false, ""},
		{"OIDC-CL-9 voluntary, not reached", "", `{"id_token":{"acr":{"values":["` + sca + `"]}}}`, nil, low, []string{sca}, false, ""},
		{"OIDC-CL-8 essential and reached", "", `{"id_token":{"acr":{"essential":true,"values":["urn:x","` + sca + `"]}}}`, nil, sca, []string{"urn:x", sca}, true, ""},
		{"OIDC-CL-8 OIDC-AR-25 essential and not reached", "", `{"id_token":{"acr":{"essential":true,"value":"` + sca + `"}}}`, nil, low, []string{sca}, true, authz.UnmetAuthentication},
		{"OIDC-CL-8 essential and no acr", "", `{"id_token":{"acr":{"essential":true,"value":"` + sca + `"}}}`, nil, "", []string{sca}, true, authz.UnmetAuthentication},
		{"OIDC-AR-25 essential and nobody knows it", "", `{"id_token":{"acr":{"essential":true,"value":"urn:x"}}}`, nil, sca, []string{"urn:x"}, true, authz.UnmetAuthentication},
		{"OIDC-AR-28 essential and alike", "", `{"id_token":{"acr":{"essential":true,"value":"urn:bank:acr:SCA"}}}`, nil, sca, []string{"urn:bank:acr:SCA"}, true, authz.UnmetAuthentication},
		{"OIDC-CL-10 claims win", low, `{"id_token":{"acr":{"essential":true,"value":"` + sca + `"}}}`, nil, low, []string{sca}, true, authz.UnmetAuthentication},
		{"OIDC-CL-10 claims that name none do not", sca, `{"id_token":{"acr":{"essential":true}}}`, nil, low, []string{sca}, false, ""},
		{"OIDC-CL-8 of userinfo it means nothing", "", `{"userinfo":{"acr":{"essential":true,"value":"` + sca + `"}}}`, nil, low, nil, false, ""},
	} {
		for _, scope := range []string{"openid accounts", "accounts"} {
			t.Run(tt.name+", "+scope, func(t *testing.T) {
				f := keyClient("kakeibo")
				f.DefaultACRValues = tt.defaults
				v := changed(changed(changed(f.pushable(), "acr_values", tt.values), "claims", tt.claims), "scope", scope)
				b, br, id := started(t, f, v)
				in, err := br.resume(id)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(tt.asked, in.ACRValues); d != "" || in.EssentialACR != tt.essential {
					t.Errorf("essential %t; %s", in.EssentialACR, d)
				}
				d := b.approval()
				d.ACR = tt.reached
				w, err := br.finish(id, d)
				if tt.want == "" {
					if err != nil {
						t.Fatal(err)
					}
					_, got := f.token(b, f.redeemable(location(t, w.Result()).Get("code")))
					if acr, _ := claimsOf(t, got["access_token"].(string))["acr"].(string); acr != tt.reached { // RFC9470-6-1
						t.Errorf("the access token has acr %q", acr)
					}
					return
				}
				if !is(err, tt.want) {
					t.Fatalf("Finish: %v, want %s", err, tt.want)
				}
				untouched(t, w)
				if e := b.lastEvent(); e.Rule != "OIDC-CL-8" {
					t.Errorf("the operator is told %+v", e)
				}
				w, err = br.finish(id, authz.Decision{Deny: tt.want}) // RFC9470-5-2
				if err != nil || location(t, w.Result()).Get("error") != "unmet_authentication_requirements" {
					t.Errorf("%v %v", err, w.Header())
				}
			})
		}
	}
	t.Run("OIDC-CL-8 OIDC-AR-25 the bank steps up, or says access_denied", func(t *testing.T) {
		f := keyClient("kakeibo")
		v := changed(f.pushable(), "claims", `{"id_token":{"acr":{"essential":true,"value":"`+sca+`"}}}`)
		for _, deny := range []bool{false, true} {
			b, br, id := started(t, f, v)
			d := b.approval()
			d.ACR = low
			if _, err := br.finish(id, d); !is(err, authz.UnmetAuthentication) {
				t.Fatal(err)
			}
			d.ACR = sca
			if deny {
				d = authz.Decision{Deny: authz.AccessDenied}
			}
			w, err := br.finish(id, d)
			if err != nil {
				t.Fatal(err)
			}
			if q := location(t, w.Result()); q.Has("code") == deny || deny && q.Get("error") != "access_denied" {
				t.Errorf("%v", q)
			}
			v.Del("client_assertion")
		}
	})
	t.Run("OIDC-CL-8 what a page changes of the Interaction changes nothing", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		br := &browser{b: b}
		id := br.begin(f, f.push(b, changed(f.pushable(), "claims", `{"id_token":{"acr":{"essential":true,"value":"`+sca+`"}}}`)))
		r := br.page(id)
		in, err := b.srv.Interaction(r)
		if err != nil {
			t.Fatal(err)
		}
		in.ACRValues[0], in.EssentialACR = low, false
		d := b.approval()
		d.ACR = low
		if err := in.Finish(httptest.NewRecorder(), r, d); !is(err, authz.UnmetAuthentication) {
			t.Errorf("%v", err)
		}
	})
}

// TestMaxAge: how old the login may be, by the request or by registration.
func TestMaxAge(t *testing.T) {
	for _, tt := range []struct {
		name    string
		request string
		initial *int64 // default_max_age
		age     time.Duration
		want    authz.Code
	}{
		{"OIDR-16 by default, young enough", "", new(int64(60)), time.Minute, ""},
		{"OIDR-16 by default, too old", "", new(int64(60)), 61 * time.Second, authz.LoginRequired},
		{"OIDR-16 a default of zero asks for a new login", "", new(int64(0)), time.Second, authz.LoginRequired},
		{"OIDR-16 the request allows more", "600", new(int64(60)), 5 * time.Minute, ""},
		{"OIDR-16 the request allows less", "10", new(int64(60)), 30 * time.Second, authz.LoginRequired},
		{"OIDC-AR-14 PIT-12 the request alone", "10", nil, 11 * time.Second, authz.LoginRequired},
		{"OIDC-AR-14 neither", "", nil, 24 * time.Hour, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.DefaultMaxAge = tt.initial
			b, br, id := started(t, f, changed(f.pushable(), "max_age", tt.request))
			d := b.approval()
			d.AuthTime = d.AuthTime.Add(-tt.age)
			w, err := br.finish(id, d)
			if tt.want != "" {
				if !is(err, tt.want) {
					t.Errorf("Finish: %v, want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, got := f.token(b, f.redeemable(location(t, w.Result()).Get("code")))
			if at := claimsOf(t, got["id_token"].(string))["auth_time"]; at != float64(d.AuthTime.Unix()) {
				t.Errorf("auth_time %v", at)
			}
		})
	}
}

// TestAuthTime: it is there whenever somebody may ask for it.
func TestAuthTime(t *testing.T) {
	for name, change := range map[string]func(*fintech, url.Values){
		"max_age":         func(_ *fintech, v url.Values) { v.Set("max_age", "600") },
		"essential":       func(_ *fintech, v url.Values) { v.Set("claims", `{"id_token":{"auth_time":{"essential":true}}}`) },
		"default_max_age": func(f *fintech, _ url.Values) { f.DefaultMaxAge = new(int64(600)) },
		"require_auth_time": func(f *fintech, _ url.Values) {
			f.Metadata = map[string]json.RawMessage{"require_auth_time": json.RawMessage("true")}
		},
		"nothing": func(*fintech, url.Values) {},
	} {
		t.Run("OIDC-IT-5 OIDR-16 "+name, func(t *testing.T) {
			f := keyClient("kakeibo")
			v := f.pushable()
			change(f, v)
			b := newBank(t, clients(f))
			want := float64(b.clock.Now().Unix())
			if at := claimsOf(t, f.tokensFor(b, v, nil)["id_token"].(string))["auth_time"]; at != want {
				t.Errorf("auth_time %v, want %v", at, want)
			}
		})
	}
}

// TestStepUp: an API wants a stronger or newer login, its challenge says so,
// the client asks for that, and comes back with a token that will do.
func TestStepUp(t *testing.T) {
	for _, binding := range []string{"certificate", "key"} {
		for _, scope := range []string{"openid accounts", "accounts"} {
			t.Run("RFC9470-3-1 RFC9470-5-1 RFC9470-6-1 "+binding+", "+scope, func(t *testing.T) {
				f, k := keyClient("kakeibo"), (*proofKey)(nil)
				if binding == "key" {
					f, k = f.dpop(), newProofKey()
				}
				b := newBank(t, clients(f), func(c *authz.Config) { c.ACRValues = []string{sca, low} })
				guard, err := token.NewVerifier(token.VerifierConfig{
					Issuer: issuer, Audience: resource, Keys: serverKeys, Liveness: b.config.Store,
					Origins: []string{resource}, Replays: b.config.Store, Now: b.clock.Now,
				})
				if err != nil {
					t.Fatal(err)
				}
				call := func(access string) (status int, challenge string) {
					r := httptest.NewRequest("GET", resource+"/transfers", nil)
					r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: f.chain}
					r.Header.Set("Authorization", "Bearer "+access)
					if k != nil {
						r.Header.Set("Authorization", "DPoP "+access)
						r.Header.Set("DPoP", k.sign(map[string]any{
							"jti": rand.Text(), "htm": "GET", "htu": resource + "/transfers", "iat": b.clock.Now().Unix(), "ath": sha256URL(access),
						}))
					}
					w := httptest.NewRecorder()
					if _, err := guard.Check(r, token.Require{Scopes: []string{"accounts"}, ACR: []string{sca}, MaxAge: 5 * time.Minute}); err != nil {
						guard.Refuse(w, err)
					}
					return w.Code, strings.Join(w.Result().Header.Values("WWW-Authenticate"), ", ")
				}
				approve := func(v url.Values, acr string) string {
					d := b.approval()
					d.ACR = acr
					back, err := (&browser{b: b}).decide(f, f.push(b, v), d)
					if err != nil {
						t.Fatal(err)
					}
					_, got := f.post(b, "/token", f.redeemable(location(t, back).Get("code")), k)
					return got["access_token"].(string)
				}

				access := approve(changed(f.pushable(), "scope", scope), low)
				status, challenge := call(access)
				if status != 401 || !strings.Contains(challenge, "insufficient_user_authentication") {
					t.Fatalf("%d %s", status, challenge)
				}
				v := changed(f.pushable(), "scope", scope)
				for _, name := range []string{"acr_values", "max_age"} { // RFC9470-4-1
					m := regexp.MustCompile(name + `="?([^",]+)`).FindStringSubmatch(challenge)
					if m == nil {
						t.Fatalf("%s does not say %s", challenge, name)
					}
					v.Set(name, m[1])
				}
				access = approve(v, sca)
				if status, challenge := call(access); status != 200 {
					t.Errorf("after the step-up: %d %s", status, challenge)
				}
				if claims := claimsOf(t, access); claims["acr"] != sca || claims["auth_time"] != float64(b.clock.Now().Unix()) {
					t.Errorf("%v", claims)
				}
			})
		}
	}
	t.Run("RFC9470-7-1 what acr_values_supported promises is honored", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) { c.ACRValues = []string{sca, low} })
		if d := cmp.Diff([]any{sca, low}, object(t, b.do(get(issuer+wellKnown)))["acr_values_supported"]); d != "" {
			t.Error(d)
		}
		br := &browser{b: b}
		id := br.begin(f, f.push(b, changed(changed(f.pushable(), "acr_values", sca), "max_age", "60")))
		in, err := br.resume(id)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{sca}, in.ACRValues); d != "" || in.MaxAge != time.Minute || !in.HasMaxAge {
			t.Errorf("%v %s", in.MaxAge, d)
		}
	})
	t.Run("RFC9470-5-2 a bank that cannot says so", func(t *testing.T) {
		f := keyClient("kakeibo")
		_, br, id := started(t, f, changed(f.pushable(), "acr_values", sca))
		w, err := br.finish(id, authz.Decision{Deny: authz.UnmetAuthentication})
		if err != nil || location(t, w.Result()).Get("error") != "unmet_authentication_requirements" || location(t, w.Result()).Has("code") {
			t.Errorf("%v %v", err, w.Header())
		}
	})
}
