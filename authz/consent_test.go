package authz_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// hub is Config.Consent, which notes the steps that it is asked at. It objects
// at one of them, and is away at another.
type hub struct {
	steps         []string
	refuses, away string
}

func (h *hub) consent(_ context.Context, r authz.ConsentRequest) (string, error) {
	h.steps = append(h.steps, r.Step)
	switch r.Step {
	case h.away:
		return "", errors.New("the hub is away")
	case h.refuses:
		return "the consent does not stand", nil
	}
	return "", nil
}

// asked reports the steps since it was called last.
func (h *hub) asked() []string {
	steps := h.steps
	h.steps = nil
	return steps
}

// atHub is a British bank that asks h.
func atHub(t *testing.T, h *hub) (*fintech, *bank) {
	f := keyClient("aisp").british()
	return f, newBank(t, clients(f), british(nil), func(c *authz.Config) { c.Consent = h.consent })
}

// redeems returns the token request for the code that came back.
func (f *fintech) redeems(back url.Values) url.Values {
	v := f.redeemable(back.Get("code"))
	v.Del("code_verifier")
	return v
}

// TestConsentStrangers: the bank is asked about what a client has signed, and
// fits in all else.
func TestConsentStrangers(t *testing.T) {
	h := &hub{}
	f, b := atHub(t, h)
	forged := *f
	forged.key = ecKeys.next()
	for name, r := range map[string]*http.Request{
		"FAPI1-ADV-5.2.2-1 nobody signed it":                   get(authorizeURL(changed(f.beside(""), "claims", `{"id_token":{"openbanking_intent_id":{"essential":true,"value":"x"}}}`))),
		"RFC9101-6.2-1 another has signed it":                  forged.byValue(f.intending(b)),
		"FAPI1-ADV-5.2.2-13 it has expired":                    f.byValue(changedClaim(f.intending(b), "exp", b.clock.Now().Unix()-1)),
		"RFC9700-2.1-1 it would lead elsewhere":                f.byValue(changedClaim(f.intending(b), "redirect_uri", "https://elsewhere.example/cb")),
		"RFC6749-5.2-3 it asks for what is not registered":     f.byValue(changedClaim(f.intending(b), "scope", "openid payments admin")),
		"FAPI1-BASE-5.2.2.2-1 it has no nonce":                 f.byValue(changedClaim(f.intending(b), "nonce", "")),
		"UK-SEC-3 it names no intent":                          f.byValue(changedClaim(f.intending(b), "claims", m{"id_token": m{"acr": nil}})),
		"RFC9126-2.3-1 nobody is authenticated, and it pushes": f.request("/par", url.Values{"client_id": {f.ID}, "request": {f.object(challengedClaims(f.intending(b)))}}),
	} {
		t.Run(name, func(t *testing.T) {
			if res := b.do(r); res.StatusCode < 400 || h.asked() != nil {
				t.Errorf("%d, and the bank was asked", res.StatusCode)
			}
		})
	}
}

// TestConsentOutage: while the bank cannot say, nothing is refused and nothing
// used up.
func TestConsentOutage(t *testing.T) {
	h := &hub{}
	f, b := atHub(t, h)
	away := func(t *testing.T, step string, try func() int) {
		t.Helper()
		h.away = step
		if status := try(); status != 503 {
			t.Errorf("%s: %d", step, status)
		}
		h.away = ""
		if status := try(); status != 200 {
			t.Errorf("%s, and later: %d %+v", step, status, b.lastEvent())
		}
	}
	br, signed := &browser{b: b}, f.object(f.intending(b))
	var id string
	t.Run("UK-SEC-5 when the client asks", func(t *testing.T) {
		away(t, "request", func() int {
			res := br.openPage(get(authorizeURL(f.beside(signed))))
			id = pageID(t, res)
			return res.StatusCode
		})
	})
	var back url.Values
	t.Run("UK-SEC-5 when the customer approves", func(t *testing.T) {
		away(t, "decision", func() int {
			w, err := br.finish(id, b.strongly())
			if e := (*authz.Error)(nil); err != nil && !errors.As(err, &e) {
				return 503
			}
			back = f.back(t, w.Result())
			return 200
		})
	})
	var got map[string]any
	t.Run("UK-SEC-5 when the code is redeemed", func(t *testing.T) {
		v := f.authenticate(b, f.redeems(back)) // with the same assertion twice
		away(t, "code", func() int {
			res := b.do(f.request("/token", v))
			got = object(t, res)
			return res.StatusCode
		})
	})
	t.Run("UK-SEC-5 when tokens are refreshed", func(t *testing.T) {
		v := f.authenticate(b, refreshed(got["refresh_token"]))
		away(t, "refresh", func() int { return b.do(f.request("/token", v)).StatusCode })
	})
}

// TestConsentNarrowed: what the customer has approved, and not all that was
// asked, is what the bank is asked about from then on.
func TestConsentNarrowed(t *testing.T) {
	f := emiratiClient("aggregator")
	var asked []authz.ConsentRequest
	b := newBank(t, clients(f), emirati(func(r authz.ConsentRequest) string {
		asked = append(asked, r)
		return ""
	}))
	d := b.approval()
	d.Scopes, d.Details = []string{"accounts"}, []json.RawMessage{}
	res, err := (&browser{b: b}).decide(f, object(t, f.pushed(b, f.services(b)))["request_uri"].(string), d)
	if err != nil {
		t.Fatal(err)
	}
	if status, got := f.token(b, f.redeemable(location(t, res).Get("code"))); status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	t.Run("UAE-5 less than was asked", func(t *testing.T) {
		if len(asked) != 3 || len(asked[0].Details) != 1 || len(asked[0].Scopes) != 2 {
			t.Fatalf("%+v", asked)
		}
		for _, r := range asked[1:] {
			if len(r.Details) != 0 || !slices.Equal(r.Scopes, d.Scopes) {
				t.Errorf("%+v", r)
			}
		}
	})
}

// TestConsentAmending: a new consent for a grant that the client has.
func TestConsentAmending(t *testing.T) {
	f := keyClient("aisp").british()
	var asked []authz.ConsentRequest
	b := newBank(t, clients(f), british(nil), func(c *authz.Config) {
		c.Consent = func(_ context.Context, r authz.ConsentRequest) (string, error) {
			asked = append(asked, r)
			return "", nil
		}
	})
	approve := func(d authz.Decision) {
		back := f.back(t, (&browser{b: b}).decideAt(f.byValue(f.intending(b)), d))
		if status, got := f.token(b, f.redeems(back)); status != 200 {
			t.Fatalf("%d %v", status, got)
		}
	}
	approve(b.strongly())
	d := b.strongly()
	d.Grant, asked = asked[1].GrantID, nil
	b.clock.Advance(time.Second) // or the request is the one before
	approve(d)
	t.Run("UK-SEC-5 GM-6-2 the bank is told which", func(t *testing.T) {
		if len(asked) != 3 || asked[1].GrantID != d.Grant || asked[2].GrantID != d.Grant {
			t.Errorf("%+v", asked)
		}
	})
}

// TestConsentUsedUp: a consent that is good for one code, as a payment's is, and
// a code that is presented again.
func TestConsentUsedUp(t *testing.T) {
	h := &hub{}
	f, b := atHub(t, h)
	for name, then := range map[string]func(){
		"is used up": func() { h.refuses = "code" },
		"is unknown": func() { h.away = "code" },
	} {
		t.Run("RFC6749-4.1.2-3 the code ends the grant though the consent "+name, func(t *testing.T) {
			h.refuses, h.away = "", ""
			redeem := f.redeems(f.back(t, (&browser{b: b}).decideAt(f.byValue(f.intending(b)), b.strongly())))
			_, got := f.token(b, redeem)
			then()
			mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, redeem))), 400, "invalid_grant", "FAPI2-SP-5.3.2.2-9")
			if a := f.introspect(b, got["access_token"].(string)); a["active"] != false {
				t.Errorf("the first tokens are good: %v", a)
			}
		})
	}
}

// TestConsentRevoked: the bank deletes the consent, and with it the grant, at
// each moment of a flow.
func TestConsentRevoked(t *testing.T) {
	h := &hub{}
	f, b := atHub(t, h)
	id := func() string { return b.lastEvent().Grant }
	end := func(t *testing.T, id string) {
		t.Helper()
		if err := b.office().Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("UK-SEC-16 CT-26 while the code waits", func(t *testing.T) {
		back := f.back(t, (&browser{b: b}).decideAt(f.byValue(f.intending(b)), b.strongly()))
		end(t, id())
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, f.redeems(back)))), 400, "invalid_grant", "RFC6749-4.1.3-2")
	})
	t.Run("UK-SEC-16 afterwards, and another browser has the page still", func(t *testing.T) {
		late := &browser{b: b}
		signed := get(authorizeURL(f.beside(f.object(f.intending(b)))))
		page := late.shows(signed.Clone(t.Context()))
		back := f.back(t, (&browser{b: b}).decideAt(signed.Clone(t.Context()), b.strongly()))
		grant := id()
		status, got := f.token(b, f.redeems(back))
		if status != 200 {
			t.Fatalf("%d %v", status, got)
		}
		end(t, grant)
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, refreshed(got["refresh_token"])))), 400, "invalid_grant", "RFC6749-6-2")
		if a := f.introspect(b, got["access_token"].(string)); a["active"] != false {
			t.Errorf("%v", a)
		}
		if _, err := late.finish(page, b.strongly()); err == nil {
			t.Error("a late decision made the grant anew")
		}
		if res := (&browser{b: b}).openPage(signed.Clone(t.Context())); res.StatusCode < 400 {
			t.Errorf("the same object again: %d", res.StatusCode)
		}
	})
}

// TestConsentBefore: what a client was granted before it came under a region
// rests on no consent by name, and the bank finds it by the grant.
func TestConsentBefore(t *testing.T) {
	s := newKeyServer(t)
	f := brazilian(s, "receptora")
	f.Profile = authz.FAPI1Advanced
	var asked []authz.ConsentRequest
	b := newBank(t, clients(f), inBrazil(s, func(r authz.ConsentRequest) string {
		asked = append(asked, r)
		return ""
	}), func(c *authz.Config) { c.Profiles = append(c.Profiles, authz.FAPI1Advanced) })
	back := fragment(t, (&browser{b: b}).decideAt(f.byPush(b, challengedClaims(f.asks(b, f.wants()))), b.sim()))
	id := b.lastEvent().Grant
	status, got := f.token(b, f.redeemable(back.Get("code")))
	if status != 200 || asked != nil {
		t.Fatalf("%d %v, asked %v", status, got, asked)
	}
	f.Profile = authz.OpenFinanceBrasil
	t.Run("CONF-1 BR-9 no scope is made of it", func(t *testing.T) {
		status, again := f.token(b, refreshed(got["refresh_token"]))
		if status != 200 || again["scope"] != "openid accounts" {
			t.Errorf("%d %v", status, again)
		}
		if len(asked) != 1 || asked[0].Step != "refresh" || asked[0].ID != "" || asked[0].GrantID != id {
			t.Errorf("%+v", asked)
		}
	})
}

// TestGrantsWaitingChange: a grant of which nothing was fetched, and whose change
// waits.
func TestGrantsWaitingChange(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	gs := b.office()
	f.code(b)
	r := &relation{b: b, f: f, id: b.lastEvent().Grant}
	b.clock.Advance(30 * time.Second)
	change := r.amends(r.wider(), r.anew())
	b.clock.Advance(45 * time.Second) // the first code has expired
	t.Run("RFC9700-4.14.2-2 it stands while the change can be fetched", func(t *testing.T) {
		if g, err := gs.Get(t.Context(), r.id); err != nil || g.Redeemed {
			t.Errorf("%+v %v", g, err)
		}
	})
	t.Run("RFC7009-I-1 and can be ended", func(t *testing.T) {
		if err := gs.Revoke(t.Context(), r.id); err != nil {
			t.Error(err)
		}
		mustRefuse(t, b, b.do(f.request("/token", f.authenticate(b, f.redeemable(change)))), 400, "invalid_grant", "RFC6749-4.1.3-2")
	})
	t.Run("GM-5-3 what nobody fetched in time cannot be amended", func(t *testing.T) {
		f.code(b)
		r.id = b.lastEvent().Grant
		b.clock.Advance(time.Minute)
		if _, err := (&browser{b: b}).decide(f, f.push(b, r.wider()), r.anew()); !isRule(err, "invalid_request", "GM-5-3") {
			t.Errorf("%v", err)
		}
	})
}

func pageID(t *testing.T, res *http.Response) string {
	t.Helper()
	var page [512]byte
	n, _ := res.Body.Read(page[:])
	return string(page[:n])
}
