package authz_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

const (
	intent        = "urn:bank:intent:58923"
	strong        = "urn:openbanking:psd2:sca"
	refreshExpiry = "http://openbanking.org.uk/refresh_token_expires_at"
)

// british makes f a client of the region.
func (f *fintech) british() *fintech {
	f.hybrid()
	f.Profile = authz.UKOpenBanking
	f.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials", "implicit"}
	return f
}

// intents is what the bank knows of them: by their id, whose they are and how
// they stand.
type intents map[string]*struct{ client, status string }

func lodged(client string) intents {
	return intents{intent: {client, "AwaitingAuthorisation"}}
}

// consent is Config.Consent of a British bank.
func (is intents) consent(_ context.Context, r authz.ConsentRequest) (string, error) {
	in := is[r.ID]
	switch {
	case in == nil || in.client != r.Client.ID:
		return "the intent is unknown", nil
	case (r.Step == "request" || r.Step == "decision") && in.status != "AwaitingAuthorisation":
		return "the intent does not await authorisation", nil
	case (r.Step == "code" || r.Step == "refresh") && in.status != "Authorised":
		return "the intent is not authorised", nil
	}
	return "", nil
}

func british(is intents) func(*authz.Config) {
	return func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.UKOpenBanking}
		c.ACRValues = []string{strong, "urn:openbanking:psd2:ca"}
		c.Consent = is.consent
	}
}

// intending returns the claims of a good request object.
func (f *fintech) intending(b *bank) m {
	c := f.asks(b, f.wants())
	c["claims"] = asking(m{"openbanking_intent_id": m{"value": intent, "essential": true}, "acr": m{"essential": true, "values": []string{strong}}})
	return c
}

func asking(idToken m) m { return m{"id_token": idToken} }

// strongly is the customer's yes after strong authentication.
func (b *bank) strongly() authz.Decision {
	d := b.approval()
	d.ACR = strong
	return d
}

// TestUKRequests: one thing wrong with the request, by value and pushed.
func TestUKRequests(t *testing.T) {
	f, other := keyClient("aisp").british(), keyClient("pisp").british()
	is := lodged(f.ID)
	is["urn:bank:intent:pisp"] = &struct{ client, status string }{other.ID, "AwaitingAuthorisation"}
	is["urn:bank:intent:used"] = &struct{ client, status string }{f.ID, "Authorised"}
	b := newBank(t, clients(f, other), british(is))
	value := func(v any) func(m, int64) {
		return setClaim("claims", asking(m{"openbanking_intent_id": m{"value": v, "essential": true}}))
	}
	for _, tt := range []struct {
		name   string
		change func(m, int64)
		rule   string
	}{
		{"UK-SEC-3 no claims", drop("claims"), "UK-SEC-3"},
		{"UK-SEC-3 no intent", setClaim("claims", asking(m{"acr": nil})), "UK-SEC-3"},
		{"UK-SEC-3 the intent at userinfo alone", setClaim("claims", m{"userinfo": m{"openbanking_intent_id": m{"value": intent, "essential": true}}}), "UK-SEC-3"},
		{"UK-SEC-3 not essential", setClaim("claims", asking(m{"openbanking_intent_id": m{"value": intent}})), "UK-SEC-3"},
		{"UK-SEC-3 essential is false", setClaim("claims", asking(m{"openbanking_intent_id": m{"value": intent, "essential": false}})), "UK-SEC-3"},
		{"UK-SEC-3 no value", setClaim("claims", asking(m{"openbanking_intent_id": m{"essential": true}})), "UK-SEC-3"},
		{"UK-SEC-3 null", setClaim("claims", asking(m{"openbanking_intent_id": nil})), "UK-SEC-3"},
		{"UK-SEC-3 two values", setClaim("claims", asking(m{"openbanking_intent_id": m{"values": []string{intent, "x"}, "essential": true}})), "UK-SEC-3"},
		{"UK-SEC-3 a number", value(58923), "UK-SEC-3"},
		{"UK-SEC-3 empty", value(""), "UK-SEC-3"},
		{"UK-SEC-3 with a space", value("a b"), "UK-SEC-3"},
		{"UK-SEC-3 beyond ASCII", value("urn:bank:intent:ü"), "UK-SEC-3"},
		{"UK-SEC-3 too long", value(strings.Repeat("x", 256)), "UK-SEC-3"},
		{"UK-SEC-5 unknown", value("urn:bank:intent:0"), "UK-SEC-5"},
		{"CT-26 UK-SEC-5 another client's", value("urn:bank:intent:pisp"), "UK-SEC-5"},
		{"UK-SEC-5 used", value("urn:bank:intent:used"), "UK-SEC-5"},
		{"UK-SEC-1 a code alone", each(setClaim("response_type", "code"), setClaim("response_mode", "jwt")), "FAPI1-ADV-5.2.2-2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.intending(b)
			tt.change(c, b.clock.Now().Unix())
			r := f.byValue(c)
			if c["response_type"] == "code" {
				v := f.beside(f.object(c))
				v.Set("response_type", "code")
				r = get(authorizeURL(v))
			}
			res := b.do(r)
			if e := b.lastEvent(); res.StatusCode < 400 || res.Header.Get("Location") != "" || e.Rule != tt.rule {
				t.Errorf("by value: %d %+v", res.StatusCode, e)
			}
			res = b.do(f.pushing(b, f.object(challengedClaims(c))))
			got := object(t, res)
			if res.StatusCode != 400 || b.lastEvent().Rule != tt.rule {
				t.Errorf("pushed: %d %v %+v", res.StatusCode, got, b.lastEvent())
			}
			if strings.HasPrefix(tt.rule, "UK-") && got["error"] != "invalid_request" {
				t.Errorf("pushed: %v", got)
			}
		})
	}
}

// TestUKFlow: an intent from the request to its deletion.
func TestUKFlow(t *testing.T) {
	for name, f := range map[string]*fintech{"private_key_jwt": keyClient("aisp").british(), "tls_client_auth": tlsClient("aisp").british()} {
		t.Run(name, func(t *testing.T) {
			is := lodged(f.ID)
			b := newBank(t, clients(f), british(is))
			var shown *authz.Interaction
			b.shown = func(w http.ResponseWriter, _ *http.Request, in *authz.Interaction) {
				shown = in
				w.Write([]byte(in.ID))
			}
			d := b.strongly()
			d.Expires = b.clock.Now().Add(90 * 24 * time.Hour)
			back := f.back(t, (&browser{b: b}).decideAt(f.byValue(f.intending(b)), d))
			is[intent].status = "Authorised"
			front := signedClaims(t, back.Get("id_token"))
			redeem := f.redeemable(back.Get("code"))
			redeem.Del("code_verifier")
			status, got := f.token(b, redeem)
			if status != 200 {
				t.Fatalf("%d %v %+v", status, got, b.lastEvent())
			}
			later := signedClaims(t, got["id_token"].(string))

			t.Run("UK-SEC-5 the page knows the intent", func(t *testing.T) {
				if shown.Consent != intent || !shown.EssentialACR || !cmp.Equal(shown.ACRValues, []string{strong}) {
					t.Errorf("%+v", shown)
				}
			})
			t.Run("UK-SEC-4 UK-SEC-6 UK-SEC-7 both ID tokens have the intent, the context and the same customer", func(t *testing.T) {
				for _, id := range []m{front, later} {
					if id["openbanking_intent_id"] != intent || id["acr"] != strong || id["sub"] != front["sub"] || id["iss"] != issuer {
						t.Errorf("%v", id)
					}
				}
			})
			t.Run("UK-SEC-8 UK-SEC-9 the end of the refresh token, where there is one", func(t *testing.T) {
				if later[refreshExpiry] != float64(d.Expires.Unix()) || got["refresh_token"] == nil || got["expires_in"] != 300.0 {
					t.Errorf("%v %v", later, got)
				}
				if front[refreshExpiry] != nil {
					t.Errorf("in the front channel: %v", front)
				}
			})
			t.Run("UK-SEC-14 the intent is no scope", func(t *testing.T) {
				access, refresh := f.introspect(b, got["access_token"].(string)), f.introspect(b, got["refresh_token"].(string))
				for _, scope := range []any{got["scope"], claimsOf(t, got["access_token"].(string))["scope"], access["scope"], refresh["scope"]} {
					if scope != "openid accounts" {
						t.Errorf("scope is %v", scope)
					}
				}
			})
			t.Run("UK-SEC-4 userinfo has the intent", func(t *testing.T) {
				r := get(issuer + "/userinfo")
				r.Header.Set("Authorization", "Bearer "+got["access_token"].(string))
				r.TLS = f.request("/", nil).TLS
				if info := object(t, b.do(r)); info["openbanking_intent_id"] != intent || info["sub"] != front["sub"] {
					t.Errorf("%v", info)
				}
			})
			refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
			t.Run("UK-SEC-5 an intent is authorised once", func(t *testing.T) {
				if res := b.do(f.byValue(f.intending(b))); res.StatusCode != 400 || b.lastEvent().Rule != "UK-SEC-5" {
					t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
				}
			})
			t.Run("UK-SEC-16 a revoked intent gives no token", func(t *testing.T) {
				if status, got := f.token(b, refresh); status != 200 {
					t.Errorf("%d %v", status, got)
				}
				is[intent].status = "Revoked"
				if status, got := f.token(b, refresh); status != 400 || got["error"] != "invalid_grant" || b.lastEvent().Rule != "UK-SEC-5" {
					t.Errorf("%d %v", status, got)
				}
				is[intent].status = "Authorised"
			})
		})
	}
}

func TestUKDecisions(t *testing.T) {
	f := keyClient("aisp").british()
	b := newBank(t, clients(f), british(lodged(f.ID)))
	show := func() *http.Request { return f.byValue(f.intending(b)) }
	t.Run("CT-25 UK-SEC-6 a customer who did not authenticate strongly is not approved", func(t *testing.T) {
		br := &browser{b: b}
		d := b.approval()
		d.ACR = "urn:openbanking:psd2:ca"
		_, err := br.finish(br.shows(show()), d)
		if e := (*authz.Error)(nil); !errors.As(err, &e) || e.Rule != "OIDC-CL-8" {
			t.Errorf("%v", err)
		}
	})
	t.Run("CT-25 EC-20 UK-SEC-6 and the client is told access_denied", func(t *testing.T) {
		back := f.back(t, (&browser{b: b}).decideAt(show(), authz.Decision{Deny: authz.UnmetAuthentication}))
		if back.Get("error") != "access_denied" || back.Get("state") != "st-4Jx9" || b.lastEvent().Code != authz.AccessDenied {
			t.Errorf("%v %+v", back, b.lastEvent())
		}
	})
	t.Run("UK-SEC-8 no claim where there is no refresh token", func(t *testing.T) {
		g := keyClient("pisp").british()
		b := newBank(t, clients(g), british(lodged(g.ID)), func(c *authz.Config) {
			c.GrantLifetime = 0
			c.Consent = func(context.Context, authz.ConsentRequest) (string, error) { return "", nil }
		})
		back := g.back(t, (&browser{b: b}).decideAt(g.byValue(g.intending(b)), b.strongly()))
		redeem := g.redeemable(back.Get("code"))
		redeem.Del("code_verifier")
		_, got := g.token(b, redeem)
		if id := signedClaims(t, got["id_token"].(string)); got["refresh_token"] != nil || id[refreshExpiry] != nil || id["openbanking_intent_id"] != intent {
			t.Errorf("%v %v", got, id)
		}
	})
}

// TestUKIntentRace: of two approvals of one intent, the host's consent record
// lets one pass.
func TestUKIntentRace(t *testing.T) {
	f := keyClient("aisp").british()
	is := lodged(f.ID)
	b := newBank(t, clients(f), british(is), func(c *authz.Config) {
		c.Consent = func(ctx context.Context, r authz.ConsentRequest) (string, error) {
			problem, err := is.consent(ctx, r)
			if problem == "" && r.Step == "decision" {
				is[r.ID].status = "Authorised"
			}
			return problem, err
		}
	})
	one, two := &browser{b: b}, &browser{b: b}
	first, second := one.shows(f.byValue(f.intending(b))), two.shows(f.byValue(f.intending(b)))
	if _, err := one.finish(first, b.strongly()); err != nil {
		t.Fatal(err)
	}
	t.Run("UK-SEC-5 a second request for the same intent", func(t *testing.T) {
		_, err := two.finish(second, b.strongly())
		if e := (*authz.Error)(nil); !errors.As(err, &e) || e.Rule != "UK-SEC-5" || e.Code != authz.AccessDenied {
			t.Errorf("%v", err)
		}
	})
}

func TestUKMetadata(t *testing.T) {
	t.Run("UK-SEC-2 UK-SEC-6 UK-SEC-19 the document", func(t *testing.T) {
		b := newBank(t, nil, british(nil), func(c *authz.Config) { c.MTLSBase = "https://mtls.bank.example" })
		d := objectAt(t, b, wellKnown)
		holds := func(name string, values ...string) {
			list, _ := d[name].([]any)
			for _, v := range values {
				if !slices.Contains(list, any(v)) {
					t.Errorf("%s is %v, without %s", name, list, v)
				}
			}
		}
		holds("claims_supported", "acr", "openbanking_intent_id")
		holds("grant_types_supported", "authorization_code", "client_credentials")
		holds("scopes_supported", "openid", "accounts")
		holds("acr_values_supported", strong)
		if d["claims_parameter_supported"] != true || !cmp.Equal(d["response_types_supported"], any([]any{"code id_token"})) || d["mtls_endpoint_aliases"] == nil {
			t.Errorf("%v", d)
		}
	})
	t.Run("UK-SEC-2 UK-SEC-4 UK-SEC-5 UK-SEC-6 UK-SEC-8 a server that is not ready for it", func(t *testing.T) {
		c := newBank(t, nil).config
		c.Profiles = []authz.Profile{authz.UKOpenBanking}
		c.Scopes, c.ClaimNames = []string{"openid"}, []string{"name", "OpenBanking_Intent_Id", refreshExpiry}
		c.Claims = func(context.Context, authz.ClaimsRequest) (map[string]any, error) { return nil, nil }
		_, err := authz.New(c)
		var v authz.Violations
		errors.As(err, &v)
		var rules []string
		for _, x := range v {
			rules = append(rules, x.Rule)
		}
		if want := []string{"UK-SEC-2", "UK-SEC-4", "UK-SEC-8", "UK-SEC-5", "UK-SEC-6"}; !cmp.Equal(rules, want) {
			t.Errorf("%v, want %v", rules, want)
		}
	})
	t.Run("UK-SEC-1 FAPI1-ADV-5.2.2-14 what a client may not register", func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			change func(*fintech)
			want   []string
		}{
			{"self_signed_tls_client_auth", func(f *fintech) { f.AuthMethod = "self_signed_tls_client_auth" }, []string{"FAPI1-ADV-5.2.2-14", "RFC8705-2.2-1"}},
			{"code", func(f *fintech) { f.ResponseTypes, f.GrantTypes = []string{"code"}, f.GrantTypes[:3] }, []string{"FAPI1-ADV-5.2.2-2", "UK-SEC-1"}},
			{"code as well", func(f *fintech) { f.ResponseTypes = []string{"code", "code id_token"} }, []string{"FAPI1-ADV-5.2.2-2"}},
			{"code by default", func(f *fintech) { f.ResponseTypes, f.GrantTypes = nil, f.GrantTypes[:3] }, []string{"UK-SEC-1"}},
			{"a signed response", func(f *fintech) { f.ResponseModes = []string{"jwt"} }, []string{"FAPI1-ADV-5.2.2-2"}},
		} {
			f := keyClient("aisp").british()
			b := newBank(t, nil, british(nil))
			if err := b.srv.CheckClient(f.Client); err != nil {
				t.Fatal(err)
			}
			tt.change(f)
			if d := cmp.Diff(tt.want, rules(t, b.srv.CheckClient(f.Client))); d != "" {
				t.Errorf("%s: %s", tt.name, d)
			}
		}
	})
}

// TestUKBesideFAPI1: the region's demands are the region's alone.
func TestUKBesideFAPI1(t *testing.T) {
	f, plain := keyClient("aisp").british(), keyClient("plain").hybrid()
	b := newBank(t, clients(f, plain), british(lodged(f.ID)), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI1Advanced, authz.UKOpenBanking}
	})
	t.Run("CONF-1 FAPI 1.0 has no intents, and denies in its own words", func(t *testing.T) {
		back := plain.back(t, (&browser{b: b}).decideAt(plain.byValue(plain.asks(b, plain.wants())), b.approval()))
		redeem := plain.redeemable(back.Get("code"))
		redeem.Del("code_verifier")
		_, got := plain.token(b, redeem)
		id := signedClaims(t, got["id_token"].(string))
		if _, there := id["openbanking_intent_id"]; there || id[refreshExpiry] != nil || got["refresh_token"] == nil {
			t.Errorf("%v %v", got, id)
		}
		back = plain.back(t, (&browser{b: b}).decideAt(plain.byValue(plain.asks(b, plain.wants())), authz.Decision{Deny: authz.UnmetAuthentication}))
		if back.Get("error") != "unmet_authentication_requirements" {
			t.Errorf("%v", back)
		}
	})
	t.Run("CONF-1 UK-SEC-3 and the region has them still", func(t *testing.T) {
		if res := b.do(f.byValue(f.asks(b, f.wants()))); res.StatusCode != 400 || b.lastEvent().Rule != "UK-SEC-3" {
			t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
		}
	})
}

// TestUKTokenKinds: how an API tells the two kinds of token apart.
func TestUKTokenKinds(t *testing.T) {
	f := keyClient("aisp").british()
	is := lodged(f.ID)
	b := newBank(t, clients(f), british(is))
	_, own := f.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
	back := f.back(t, (&browser{b: b}).decideAt(f.byValue(f.intending(b)), b.strongly()))
	is[intent].status = "Authorised"
	redeem := f.redeemable(back.Get("code"))
	redeem.Del("code_verifier")
	_, customers := f.token(b, redeem)

	v, err := token.NewVerifier(token.VerifierConfig{Issuer: issuer, Audience: resource, Keys: serverKeys, Now: b.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	only := func(customer bool) token.Require {
		return token.Require{Scopes: []string{"accounts"}, Permit: func(_ *http.Request, a *token.Access) error {
			if customer != (a.GrantID != "") {
				return &token.Error{Description: "the token is of the other kind"}
			}
			return nil
		}}
	}
	for _, tt := range []struct {
		name     string
		access   any
		customer bool
		status   int
	}{
		{"UK-SEC-14 the client's own token where the customer's is needed", own["access_token"], true, 403},
		{"UK-SEC-14 the customer's where consents are lodged", customers["access_token"], false, 403},
		{"UK-SEC-10 UK-SEC-14 the client's own where consents are lodged", own["access_token"], false, 204},
		{"UK-SEC-10 UK-SEC-14 the customer's where it is needed", customers["access_token"], true, 204},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", resource+"/accounts", nil)
			r.Header.Set("Authorization", "Bearer "+tt.access.(string))
			r.Header.Set("x-fapi-interaction-id", "93bac548-d2de-4546-b106-880a5018460d")
			r.TLS = f.request("/", nil).TLS
			w := httptest.NewRecorder()
			v.Handler(only(tt.customer), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })).ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("x-fapi-interaction-id") != "93bac548-d2de-4546-b106-880a5018460d" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
	}
}
