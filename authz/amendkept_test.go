package authz_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store/storetest"
)

// TestAmendmentKeeps: what of the old grant outlives a change of it.
func TestAmendmentKeeps(t *testing.T) {
	t.Run("GM-10-2 the old grant is kept as long as before while the change waits", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"))
		before, err := r.b.config.Store.Get(t.Context(), r.id)
		if err != nil {
			t.Fatal(err)
		}
		r.amends(r.wider(), r.anew())
		after, err := r.b.config.Store.Get(t.Context(), r.id)
		if err != nil || after.Version == before.Version || after.Expires.Before(before.Expires) {
			t.Errorf("kept until %v, want %v or later; %v", after.Expires, before.Expires, err)
		}
	})

	t.Run("GM-6-2 it was approved when it was first approved", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"))
		grants := &authz.Grants{Issuer: issuer, Store: r.b.config.Store, Now: r.b.clock.Now}
		before, err := grants.Get(t.Context(), r.id)
		if err != nil {
			t.Fatal(err)
		}
		r.b.clock.Advance(time.Hour)
		r.takes(r.f.mustToken(r.b, r.f.redeemable(r.amends(r.wider(), r.anew()))))
		after, err := grants.Get(t.Context(), r.id)
		if err != nil || !after.Created.Equal(before.Created) || after.AuthTime.Equal(before.AuthTime) {
			t.Errorf("%+v, before %+v; %v", after, before, err)
		}
	})

	t.Run("GM-10-3 what one change took back stays so while the next waits", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"))
		first := r.access
		r.takes(r.f.mustToken(r.b, r.f.redeemable(r.amends(r.f.pushable(), r.anew()))))
		r.amends(r.wider(), r.anew())
		if r.f.check(r.b, first) == nil || r.f.introspect(r.b, first)["active"] == true {
			t.Error("the first token works again")
		}
		if !r.works() {
			t.Error("the present tokens do not work")
		}
	})

	t.Run("GM-6-2 a denial names no grant, whatever the host says", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"))
		d := r.anew()
		d.Deny = authz.AccessDenied
		if _, err := (&browser{b: r.b}).decide(r.f, r.f.push(r.b, r.wider()), d); err != nil {
			t.Fatal(err)
		}
		if e := r.b.lastEvent(); e.Kind != "grant_denied" || e.Grant == r.id {
			t.Errorf("event %+v", e)
		}
		if !r.works() {
			t.Error("the old tokens do not work any more")
		}
	})

	t.Run("GM-5-3 an ended grant with a change that nobody fetched has ended", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"), func(c *authz.Config) { c.GrantLifetime = time.Hour })
		r.b.clock.Advance(time.Hour - 10*time.Second)
		r.amends(r.wider(), r.anew())
		r.b.clock.Advance(time.Minute)
		grants := &authz.Grants{Issuer: issuer, Store: r.b.config.Store, Now: r.b.clock.Now}
		if g, err := grants.Get(t.Context(), r.id); !errors.Is(err, authz.ErrNoGrant) {
			t.Errorf("%+v, %v", g, err)
		}
		br := &browser{b: r.b}
		if _, err := br.finish(br.begin(r.f, r.f.push(r.b, r.wider())), r.anew()); !is(err, "invalid_request") {
			t.Errorf("Finish: %v", err)
		}
	})

	t.Run("GM-6-2 a grant and a change that just fit leave room for the first code's redemption", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) { c.DetailsTypes = []authz.DetailsType{{Name: "large", Fields: []string{"text"}}} })
		asks := func(n int) url.Values {
			return changed(f.pushable(), "authorization_details", `[{"type":"large","text":"`+strings.Repeat("a", n)+`"}]`)
		}
		const most = 32<<10 - 40
		res, err := (&browser{b: b}).decide(f, f.push(b, asks(most)), b.approval())
		if err != nil {
			t.Fatal(err)
		}
		r := &relation{b: b, f: f, id: b.lastEvent().Grant}
		for n := most; n > most-3000; n -= 32 { // the largest change that is taken
			if _, err = (&browser{b: b}).decide(f, f.push(b, asks(n)), r.anew()); !is(err, "invalid_request") {
				break
			}
		}
		if err != nil {
			t.Fatalf("Finish: %v", err)
		}
		r.takes(f.mustToken(b, f.redeemable(location(t, res).Get("code"))))
		if !r.works() {
			t.Error("the tokens of the first code do not work")
		}
	})
}

// TestAmendmentByOtherWay: one of the requests was pushed, and the other came by
// value.
func TestAmendmentByOtherWay(t *testing.T) {
	start := func(t *testing.T) (b *bank, f *fintech, redeem func(code string, pushed bool) *relation) {
		f = keyClient("kakeibo").hybrid()
		b = newBank(t, clients(f), advanced)
		return b, f, func(code string, pushed bool) *relation {
			v := f.redeemable(code)
			if !pushed {
				v.Del("code_verifier")
			}
			r := &relation{b: b, f: f}
			r.takes(f.mustToken(b, v))
			r.id = r.grantID(r.access)
			return r
		}
	}
	t.Run("GM-6-2 FAPI1-ADV-5.2.2-18 pushed first: the change by value needs no challenge", func(t *testing.T) {
		b, f, redeem := start(t)
		r := redeem(fragment(t, (&browser{b: b}).decideAt(f.byPush(b, challengedClaims(f.asks(b, f.wants()))), b.approval())).Get("code"), true)
		now := redeem(fragment(t, (&browser{b: b}).decideAt(f.byValue(f.asks(b, f.wants())), r.anew())).Get("code"), false)
		if now.id != r.id || !now.works() || r.works() {
			t.Error("the change did not take effect")
		}
	})
	t.Run("RFC7009-I-1 RFC9126-I-2 by value first: its object brings nothing back after a pushed change and a revocation", func(t *testing.T) {
		b, f, redeem := start(t)
		object := f.byValue(f.asks(b, f.wants()))
		again := get(object.URL.String())
		r := redeem(fragment(t, (&browser{b: b}).decideAt(object, b.approval())).Get("code"), false)
		now := redeem(fragment(t, (&browser{b: b}).decideAt(f.byPush(b, challengedClaims(f.asks(b, f.wants()))), r.anew())).Get("code"), true)
		if now.id != r.id || !now.works() {
			t.Error("the change did not take effect")
		}
		f.revoke(b, just(now.refresh))
		if res := (&browser{b: b}).openPage(again); res.StatusCode != 400 {
			t.Errorf("the first request is shown again: %d", res.StatusCode)
		}
	})
}

// TestAmendmentBesideRedemption: a change is stored while the first code is being
// redeemed.
func TestAmendmentBesideRedemption(t *testing.T) {
	start := func(t *testing.T) (r *relation, first string, at *func(op, key string) error, lose *func(op, key string) bool) {
		r = &relation{f: keyClient("kakeibo")}
		at, lose = new(func(op, key string) error), new(func(op, key string) bool)
		r.b = newBank(t, clients(r.f), func(c *authz.Config) {
			c.Store = &storetest.Faulty{Store: c.Store,
				Fail: func(op, key string) error {
					if *at != nil {
						return (*at)(op, key)
					}
					return nil
				},
				LoseReply: func(op, key string) bool { return *lose != nil && (*lose)(op, key) },
			}
		})
		first = r.f.code(r.b)
		r.id = r.b.lastEvent().Grant
		return r, first, at, lose
	}

	t.Run("GM-6-2 before the redemption: the code is still there", func(t *testing.T) {
		r, first, at, _ := start(t)
		change := ""
		*at = func(op, key string) error {
			if op == "Replace" && key == r.id {
				*at = nil
				change = r.amends(r.wider(), r.anew())
			}
			return nil
		}
		if status, got := r.f.token(r.b, r.f.redeemable(first)); status != 503 || got["access_token"] != nil {
			t.Errorf("%d %v", status, got)
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(first)))
		if !r.works() {
			t.Error("the tokens of the first code do not work")
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(change)))
		if !r.works() {
			t.Error("the tokens of the change do not work")
		}
	})

	t.Run("RFC6749-4.1.2-3 GM-6-2 between a redemption whose answer was lost and its repetition: it was no second use", func(t *testing.T) {
		r, first, at, lose := start(t)
		change := ""
		*lose = func(op, key string) bool {
			if op != "Replace" || key != r.id {
				return false
			}
			*lose = nil
			*at = func(op, _ string) error {
				if op == "Replace" {
					*at = nil
					change = r.amends(r.wider(), r.anew())
				}
				return nil
			}
			return true
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(first)))
		if change == "" || !r.works() {
			t.Error("the tokens of the first code do not work")
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(change)))
		if !r.works() {
			t.Error("the tokens of the change do not work")
		}
	})

	t.Run("GM-6-2 FAPI2-SP-5.3.2.2-N3 a browser that leaves between the two writes leaves a change", func(t *testing.T) {
		r, first, _, lose := start(t)
		r.takes(r.f.mustToken(r.b, r.f.redeemable(first)))
		br := &browser{b: r.b}
		page := br.page(br.begin(r.f, r.f.push(r.b, r.wider())))
		in, err := r.b.srv.Interaction(page)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		*lose = func(op, _ string) bool {
			if op == "Create" {
				leave()
			}
			return false
		}
		w := httptest.NewRecorder()
		if err := in.Finish(w, page.WithContext(ctx), r.anew()); err != nil {
			t.Fatal(err)
		}
		*lose = nil
		r.takes(r.f.mustToken(r.b, r.f.redeemable(location(t, w.Result()).Get("code"))))
		if !r.works() {
			t.Error("the change does not work")
		}
	})
}
