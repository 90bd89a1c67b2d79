package authz_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
)

// A relation is what a client and the customer have with each other: a grant and
// its tokens, which a test amends.
type relation struct {
	b               *bank
	f, thief        *fintech
	id              string // of the grant
	access, refresh string
}

// related returns a relation of client f, whose customer gave it accounts.
func related(t *testing.T, f *fintech, adjust ...func(*authz.Config)) *relation {
	t.Helper()
	r := &relation{f: f, thief: keyClient("thief")}
	r.b = newBank(t, clients(f, r.thief), adjust...)
	r.takes(f.tokens(r.b))
	r.id = r.grantID(r.access)
	return r
}

func (r *relation) takes(got map[string]any) {
	r.access, _ = got["access_token"].(string)
	r.refresh, _ = got["refresh_token"].(string)
}

// grantID returns what the access token says, which need not be a JWT.
func (r *relation) grantID(access string) string {
	if strings.Contains(access, ".") {
		return claimsOf(r.b.t.(*testing.T), access)["grant_id"].(string)
	}
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	return r.b.events[len(r.b.events)-1].Grant
}

// wider is a request for more than the relation has.
func (r *relation) wider() url.Values {
	return changed(r.f.pushable(), "scope", "openid accounts payments")
}

// anew is the customer's yes to a change of the grant.
func (r *relation) anew() authz.Decision {
	d := r.b.approval()
	d.Grant, d.ACR, d.Expires = r.id, "urn:bank:acr:hardware", r.b.clock.Now().Add(180*24*time.Hour)
	return d
}

// amends has the customer decide d about request v, and returns the code.
func (r *relation) amends(v url.Values, d authz.Decision) string {
	r.b.t.Helper()
	res, err := (&browser{b: r.b}).decide(r.f, r.f.push(r.b, v), d)
	if err != nil {
		r.b.t.Fatalf("Finish: %v", err)
	}
	return location(r.b.t, res).Get("code")
}

// works reports whether the relation's tokens are good: at an API, at
// introspection, at userinfo and for a refresh. They must agree.
func (r *relation) works() bool {
	r.b.t.Helper()
	_, refreshed := r.f.token(r.b, r.refreshes())
	says := []bool{
		r.f.check(r.b, r.access) == nil,
		r.f.introspect(r.b, r.access)["active"] == true,
		r.f.introspect(r.b, r.refresh)["active"] == true,
		r.b.do(r.f.asksInfo(r.b, r.access, nil)).StatusCode == 200,
		refreshed["access_token"] != nil,
	}
	if len(slices.Compact(slices.Clone(says))) != 1 {
		r.b.t.Errorf("API, introspection of both tokens, userinfo and refresh do not agree: %v", says)
	}
	return says[0]
}

func (r *relation) refreshes() url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.refresh}}
}

func TestAmendment(t *testing.T) {
	t.Run("GM-6-2 CDR-11 it takes effect when its code is redeemed, and all at once", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"))
		r.b.clock.Advance(time.Hour)
		r.takes(r.f.mustToken(r.b, r.refreshes()))
		old := *r
		code := r.amends(r.wider(), r.anew())
		if e := r.b.lastEvent(); e.Kind != "grant_approved" || e.Grant != r.id {
			t.Errorf("event %+v", e)
		}
		if !r.works() {
			t.Error("the old tokens do not work while the change waits")
		}
		between := r.f.mustToken(r.b, r.refreshes())
		if got := r.f.introspect(r.b, r.refresh); between["scope"] != "openid accounts" || got["acr"] != "urn:bank:acr:sca" {
			t.Errorf("the change shows before its code is redeemed: %v, %v", between, got)
		}

		got := r.f.mustToken(r.b, r.f.redeemable(code))
		r.takes(got)
		if r.grantID(r.access) != r.id || got["scope"] != "openid accounts payments" || r.refresh == "" || r.refresh == old.refresh {
			t.Errorf("the client is given %v", got)
		}
		if !r.works() {
			t.Error("the new tokens do not work")
		}
		if old.works() || r.f.check(r.b, between["access_token"].(string)) == nil {
			t.Error("old tokens work beside the new ones")
		}
		if id := claimsOf(t, got["id_token"].(string)); id["acr"] != "urn:bank:acr:hardware" || id["auth_time"] != float64(r.b.clock.Now().Unix()) {
			t.Errorf("ID token: %v", id)
		}
		want := map[string]any{"acr": "urn:bank:acr:hardware", "exp": float64(r.b.clock.Now().Add(180 * 24 * time.Hour).Unix()), "scope": "openid accounts payments", "grant_id": r.id}
		for name, v := range r.f.introspect(r.b, r.refresh) {
			if want[name] != nil && v != want[name] {
				t.Errorf("the refresh token has %s %v, want %v", name, v, want[name])
			}
		}
		r.b.clock.Advance(120 * 24 * time.Hour) // beyond the old end
		r.takes(r.f.mustToken(r.b, r.refreshes()))
		if !r.works() {
			t.Error("the grant was not extended")
		}
	})

	t.Run("GM-6-2 a change to less", func(t *testing.T) {
		r := related(t, keyClient("kakeibo").opaque())
		old := *r
		d := r.anew()
		d.Scopes, d.Expires = []string{"openid"}, r.b.clock.Now().Add(time.Hour)
		r.takes(r.f.mustToken(r.b, r.f.redeemable(r.amends(r.f.pushable(), d))))
		if got := r.f.introspect(r.b, r.refresh); got["scope"] != "openid" || got["exp"] != float64(d.Expires.Unix()) {
			t.Errorf("the refresh token says %v", got)
		}
		if old.works() {
			t.Error("old tokens still give what was taken back")
		}
	})

	t.Run("GM-6-2 no more refreshing", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"), func(c *authz.Config) { c.GrantLifetime = 0 })
		// Without a lifetime of the server's the first grant had no refresh token.
		if r.refresh != "" {
			t.Fatal("a refresh token without a lifetime")
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(r.amends(r.f.pushable(), r.anew()))))
		old := *r
		d := r.anew()
		d.Expires = time.Time{}
		got := r.f.mustToken(r.b, r.f.redeemable(r.amends(r.f.pushable(), d)))
		if got["refresh_token"] != nil || r.f.check(r.b, got["access_token"].(string)) != nil {
			t.Errorf("the client is given %v", got)
		}
		if old.works() {
			t.Error("the old tokens work")
		}
	})

	t.Run("GM-10-2 CDR-11 one whose code is not redeemed leaves everything as it was", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"))
		code := r.amends(r.wider(), r.anew())
		r.b.clock.Advance(time.Minute)
		if status, got := r.f.token(r.b, r.f.redeemable(code)); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
		if !r.works() {
			t.Error("the old tokens do not work any more")
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(r.amends(r.wider(), r.anew()))))
		if !r.works() {
			t.Error("the next change does not work")
		}
	})

	t.Run("GM-6-2 in the last seconds of a grant", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"), func(c *authz.Config) { c.GrantLifetime = time.Hour })
		r.b.clock.Advance(time.Hour - 10*time.Second)
		code := r.amends(r.wider(), r.anew())
		rec, err := r.b.config.Store.Get(t.Context(), r.id)
		if last := r.b.clock.Now().Add(time.Minute + 5*time.Minute); err != nil || rec.Expires.Before(last) {
			t.Errorf("the record may be forgotten at %v, %v; the last token from the code ends at %v", rec.Expires, err, last)
		}
		r.b.clock.Advance(30 * time.Second)
		if r.works() {
			t.Error("the old tokens outlive the old grant")
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(code)))
		if !r.works() {
			t.Error("the new tokens do not work")
		}
	})

	t.Run("GM-6-2 the newest counts", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"))
		older := r.amends(r.wider(), r.anew())
		newer := r.amends(r.f.pushable(), r.anew())
		if status, got := r.f.token(r.b, r.f.redeemable(older)); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("the older code: %d %v", status, got)
		}
		if !r.works() {
			t.Error("the older code ended the grant")
		}
		old := *r
		got := r.f.mustToken(r.b, r.f.redeemable(newer))
		if r.takes(got); !r.works() || got["scope"] != "openid accounts" {
			t.Errorf("the newer code: %v", got)
		}
		if old.works() {
			t.Error("the old tokens work")
		}
	})

	t.Run("RFC6749-4.1.2-3 its code presented again ends the grant", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"))
		old := *r
		code := r.amends(r.wider(), r.anew())
		r.takes(r.f.mustToken(r.b, r.f.redeemable(code)))
		if status, got := r.f.token(r.b, r.f.redeemable(code)); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
		if e := r.b.lastEvent(); e.Rule != "FAPI2-SP-5.3.2.2-9" {
			t.Errorf("event %+v", e)
		}
		if r.works() || old.works() {
			t.Error("the grant stands")
		}
	})

	t.Run("RFC6749-4.1.2-3 and so does the first code while a change waits", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		first := f.code(b)
		r := &relation{b: b, f: f}
		r.takes(f.mustToken(b, f.redeemable(first)))
		r.id = r.grantID(r.access)
		change := r.amends(r.wider(), r.anew())
		f.token(b, f.redeemable(first))
		if r.works() || f.alive(b, change) {
			t.Error("the grant, or the change of it, stands")
		}
	})

	t.Run("GM-6-2 a grant whose first code was never redeemed", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		first := f.code(b)
		r := &relation{b: b, f: f, id: b.lastEvent().Grant}
		change := r.amends(r.wider(), r.anew())
		r.takes(f.mustToken(b, f.redeemable(first)))
		old := *r
		if !r.works() {
			t.Error("the first code is as good as before")
		}
		r.takes(f.mustToken(b, f.redeemable(change)))
		if !r.works() || old.works() {
			t.Error("the change did not take effect")
		}
	})

	t.Run("RFC7009-I-1 revoking at any moment ends both", func(t *testing.T) {
		for _, when := range []string{"while the change waits", "after it"} {
			r := related(t, keyClient("kakeibo"))
			code := r.amends(r.wider(), r.anew())
			if when == "after it" {
				r.takes(r.f.mustToken(r.b, r.f.redeemable(code)))
			}
			r.f.revoke(r.b, just(r.refresh))
			if r.works() || r.f.alive(r.b, code) {
				t.Errorf("%s: something works", when)
			}
		}
	})
}

// TestAmendmentBesideCode: a client of FAPI 1.0 whose requests come by value and
// that gets an ID token beside the code.
func TestAmendmentBesideCode(t *testing.T) {
	t.Run("GM-6-2 a request by value amends a grant, once", func(t *testing.T) {
		f := keyClient("kakeibo").hybrid()
		b := newBank(t, clients(f), advanced)
		redeem := func(code string) map[string]any {
			v := f.redeemable(code)
			v.Del("code_verifier")
			return f.mustToken(b, v)
		}
		r := &relation{b: b, f: f}
		r.takes(redeem(fragment(t, (&browser{b: b}).decideAt(f.byValue(f.asks(b, f.wants())), b.approval())).Get("code")))
		r.id = r.grantID(r.access)
		old := *r

		again := f.byValue(f.asks(b, f.wants()))
		back := fragment(t, (&browser{b: b}).decideAt(again, r.anew()))
		if id := signedClaims(t, back.Get("id_token")); id["c_hash"] != halved(back.Get("code")) || id["acr"] != "urn:bank:acr:hardware" {
			t.Errorf("the ID token beside the code says %v", id)
		}
		if res := (&browser{b: b}).openPage(get(again.URL.String())); res.StatusCode != 400 {
			t.Errorf("the request is shown again: %d", res.StatusCode)
		}
		r.takes(redeem(back.Get("code")))
		if !r.works() || old.works() {
			t.Error("the change did not take effect")
		}
		f.revoke(b, just(r.refresh))
		if r.works() {
			t.Error("the grant cannot be revoked")
		}
	})
}

// TestUnfitAmendment: the decision does not fit the grant. Nothing is stored:
// the customer can still decide.
func TestUnfitAmendment(t *testing.T) {
	f, other := keyClient("kakeibo"), keyClient("thief")
	request := "" // the key of one that waits
	b := newBank(t, clients(f, other), func(c *authz.Config) {
		c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error {
			if op == "Create" && key[0] == 'r' {
				request = key
			}
			return nil
		}}
	})
	mine := claimsOf(t, f.tokens(b)["access_token"].(string))["grant_id"].(string)
	theirs := claimsOf(t, other.tokens(b)["access_token"].(string))["grant_id"].(string)
	revoked := f.tokens(b)
	f.revoke(b, just(revoked["refresh_token"]))
	brief := b.approval()
	brief.Expires = b.clock.Now().Add(time.Second)
	short, err := (&browser{b: b}).decide(f, f.push(b, f.pushable()), brief)
	if err != nil {
		t.Fatal(err)
	}
	ended := claimsOf(t, f.mustToken(b, f.redeemable(location(t, short).Get("code")))["access_token"].(string))["grant_id"].(string)
	b.clock.Advance(time.Minute)
	denied, err := (&browser{b: b}).decide(f, f.push(b, f.pushable()), authz.Decision{Deny: authz.AccessDenied})
	if err != nil || location(t, denied).Get("error") != "access_denied" {
		t.Fatal(err)
	}
	noGrant := b.lastEvent().Grant
	f.push(b, f.pushable())

	for name, tt := range map[string]struct{ id, subject string }{
		"unknown":               {"gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk", customer},
		"no id at all":          {"g'; drop table grants", customer},
		"a record of a request": {request, customer},
		"another client's":      {theirs, customer},
		"another customer's":    {mine, "u-ffffff"},
		"revoked":               {claimsOf(t, revoked["access_token"].(string))["grant_id"].(string), customer},
		"ended":                 {ended, customer},
		"denied":                {noGrant, customer},
	} {
		t.Run("GM-5-3 CDR-11 "+name, func(t *testing.T) {
			br := &browser{b: b}
			id := br.begin(f, f.push(b, f.pushable()))
			d := b.approval()
			d.Grant, d.Subject = tt.id, tt.subject
			w, err := br.finish(id, d)
			if !is(err, "invalid_request") || w.Header().Get("Location") != "" {
				t.Fatalf("Finish: %v, %v", err, w.Header())
			}
			if e := b.lastEvent(); e.Kind != "request_refused" || e.Rule != "GM-5-3" {
				t.Errorf("event %+v", e)
			}
			if d.Grant = mine; d.Subject == customer {
				w, err = br.finish(id, d)
			} else {
				d.Grant = ""
				w, err = br.finish(id, d)
			}
			if err != nil || location(t, w.Result()).Get("code") == "" {
				t.Errorf("the customer cannot decide any more: %v", err)
			}
		})
	}
}

// TestLargeAmendment: both must have room in one record.
func TestLargeAmendment(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), func(c *authz.Config) { c.DetailsTypes = []authz.DetailsType{{Name: "large", Fields: []string{"text"}}} })
	v := f.pushable()
	v.Set("authorization_details", `[{"type":"large","text":"`+strings.Repeat("a", 32<<10-40)+`"}]`)
	res, err := (&browser{b: b}).decide(f, f.push(b, v), b.approval())
	if err != nil {
		t.Fatal(err)
	}
	r := &relation{b: b, f: f}
	r.takes(f.mustToken(b, f.redeemable(location(t, res).Get("code"))))
	r.id = r.grantID(r.access)
	br := &browser{b: b}
	id := br.begin(f, f.push(b, v))
	if w, err := br.finish(id, r.anew()); !is(err, "invalid_request") || w.Header().Get("Location") != "" {
		t.Fatalf("Finish: %v", err)
	}
	if !r.works() {
		t.Error("the old tokens do not work")
	}
	d := r.anew()
	d.Details = []json.RawMessage{}
	if _, err := br.finish(id, d); err != nil {
		t.Errorf("the customer cannot decide any more: %v", err)
	}
}

// TestSealedAmendment: an API that has the records and not what opens them
// notices that a grant was amended.
func TestSealedAmendment(t *testing.T) {
	var bare store.Store
	r := related(t, keyClient("kakeibo"), func(c *authz.Config) {
		bare = c.Store
		sealed, _, err := store.Sealed(store.SealedConfig{Store: bare, Secrets: [][]byte{[]byte("one secret of thirty-two bytes ..")}, TagSecret: []byte("another secret of thirty-two bytes")})
		if err != nil {
			t.Fatal(err)
		}
		c.Store = sealed
	})
	check := func(access string) error {
		b := &bank{t: t, clock: r.b.clock, config: authz.Config{Store: bare}}
		return r.f.check(b, access)
	}
	code := r.amends(r.wider(), r.anew())
	if err := check(r.access); err != nil {
		t.Errorf("while the change waits: %v", err)
	}
	old := r.access
	r.takes(r.f.mustToken(r.b, r.f.redeemable(code)))
	if check(old) == nil {
		t.Error("the old token works")
	}
	if err := check(r.access); err != nil {
		t.Errorf("the new token: %v", err)
	}
	r.takes(r.f.mustToken(r.b, r.f.redeemable(r.amends(r.f.pushable(), r.anew())))) // once more
	if err := check(r.access); err != nil || !r.works() {
		t.Errorf("the third: %v", err)
	}
}

// TestAmendmentWaits: how many waits an amendment costs more than an approval
// (waits_test.go), and that its code costs none.
func TestAmendmentWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency = time.Second
		r := related(t, tlsClient("kakeibo"), func(c *authz.Config) { c.Store = &storetest.Faulty{Store: c.Store, Latency: latency} })
		br := &browser{b: r.b}
		id := br.begin(r.f, r.f.push(r.b, r.wider()))
		start := time.Now()
		w, err := br.finish(id, r.anew())
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 6*latency {
			t.Errorf("approve waits %v, want 6 seconds", d)
		}
		start = time.Now()
		r.takes(r.f.mustToken(r.b, r.f.redeemable(location(t, w.Result()).Get("code"))))
		if d := time.Since(start); d != 2*latency {
			t.Errorf("code waits %v, want 2 seconds", d)
		}
	})
}

// TestGrantIDOfAnAmendment: the host learns which grant it was.
func TestGrantIDOfAnAmendment(t *testing.T) {
	r := related(t, keyClient("kakeibo"))
	br := &browser{b: r.b}
	in, err := br.resume(br.begin(r.f, r.f.push(r.b, r.wider())))
	if err != nil {
		t.Fatal(err)
	}
	if in.Amends != "" || in.GrantID == r.id || len(in.GrantID) != len(r.id) {
		t.Errorf("before the decision: amends %q, grant %q", in.Amends, in.GrantID)
	}
	if err := in.Finish(httptest.NewRecorder(), br.page(in.ID), r.anew()); err != nil {
		t.Fatal(err)
	}
	if in.GrantID != r.id {
		t.Errorf("after the decision: %s, want %s", in.GrantID, r.id)
	}
}

// TestFailedAmendment: whatever goes wrong at the token endpoint, the old tokens
// work, and so does the code.
func TestFailedAmendment(t *testing.T) {
	f := keyClient("kakeibo")
	var fails func(op, key string) error
	keys := &moody{KeySet: serverKeys}
	r := related(t, f, func(c *authz.Config) {
		c.Keys = keys
		c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error {
			if fails != nil {
				return fails(op, key)
			}
			return nil
		}}
	})
	code := r.amends(r.wider(), r.anew())
	for name, tt := range map[string]struct {
		change func(url.Values)
		fail   func() (undo func())
		status int
	}{
		"RFC7636-4.6-1 another verifier":       {change: func(v url.Values) { v.Set("code_verifier", verifier[:42]+"A") }, status: 400},
		"RFC6749-4.1.3-1 another redirect_uri": {change: func(v url.Values) { v.Set("redirect_uri", callback+"/2") }, status: 400},
		"RFC6749-4.1.3-2 another client":       {fail: func() func() { r.f = r.thief; return func() { r.f = f } }, status: 400},
		"TOK-2 the signer fails":               {fail: func() func() { keys.down = true; return func() { keys.down = false } }, status: 503},
		"TOK-2 the store fails": {fail: func() func() {
			fails = func(op, _ string) error {
				if op == "Replace" {
					return errors.New("no route to host")
				}
				return nil
			}
			return func() { fails = nil }
		}, status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			v := f.redeemable(code)
			if tt.change != nil {
				tt.change(v)
			}
			undo := func() {}
			if tt.fail != nil {
				undo = tt.fail()
			}
			status, got := r.f.token(r.b, v)
			undo()
			if status != tt.status || got["access_token"] != nil {
				t.Errorf("%d %v", status, got)
			}
			if !r.works() {
				t.Error("the old tokens do not work any more")
			}
		})
	}
	old := *r
	r.takes(f.mustToken(r.b, f.redeemable(code)))
	if !r.works() || old.works() {
		t.Error("the code does not work any more")
	}
}

// A moody key set does not sign while it is down.
type moody struct {
	token.KeySet
	down bool
}

func (k *moody) SigningKey(ctx context.Context, alg string) (token.PrivateKey, error) {
	if k.down {
		return token.PrivateKey{}, errors.New("the HSM does not answer")
	}
	return k.KeySet.SigningKey(ctx, alg)
}

// TestAmendmentOutage: the store fails somewhere in the middle of the decision.
func TestAmendmentOutage(t *testing.T) {
	start := func(t *testing.T) (r *relation, fails *func(op, key string) error, memory store.Store) {
		fails = new(func(op, key string) error)
		r = related(t, keyClient("kakeibo"), func(c *authz.Config) {
			memory = c.Store
			c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error {
				if *fails != nil {
					return (*fails)(op, key)
				}
				return nil
			}}
		})
		return r, fails, memory
	}
	down := errors.New("no route to host")

	for _, op := range []string{"Create", "Get", "Replace"} {
		t.Run("GM-6-2 before it is stored: "+op, func(t *testing.T) {
			r, fails, _ := start(t)
			br := &browser{b: r.b}
			in, err := br.resume(br.begin(r.f, r.f.push(r.b, r.wider())))
			if err != nil {
				t.Fatal(err)
			}
			*fails = func(o, _ string) error {
				if o == op {
					return down
				}
				return nil
			}
			var e *authz.Error
			if err := in.Finish(httptest.NewRecorder(), br.page(in.ID), r.anew()); err == nil || errors.As(err, &e) {
				t.Fatalf("Finish: %v, want an outage", err)
			}
			*fails = nil
			if !r.works() {
				t.Error("the old tokens do not work any more")
			}
			w := httptest.NewRecorder()
			if err := in.Finish(w, br.page(in.ID), r.anew()); err != nil { // the customer tries again
				t.Fatal(err)
			}
			r.takes(r.f.mustToken(r.b, r.f.redeemable(location(t, w.Result()).Get("code"))))
			if !r.works() {
				t.Error("the change does not work")
			}
		})
	}

	t.Run("GM-6-2 FAPI2-SP-5.3.2.2-N3 a crash between the two writes", func(t *testing.T) {
		r, fails, _ := start(t)
		br := &browser{b: r.b}
		in, err := br.resume(br.begin(r.f, r.f.push(r.b, r.wider())))
		if err != nil {
			t.Fatal(err)
		}
		*fails = func(op, _ string) error {
			if op != "Get" && op != "Create" { // and nothing is undone
				return down
			}
			return nil
		}
		if err := in.Finish(httptest.NewRecorder(), br.page(in.ID), r.anew()); err == nil {
			t.Fatal("approved")
		}
		*fails = nil
		if !r.works() {
			t.Error("the old tokens do not work any more")
		}
		if _, err := br.finish(in.ID, r.anew()); !is(err, "invalid_request_uri") {
			t.Errorf("the request is decided a second time: %v", err)
		}
		if _, err := br.finish(in.ID, r.b.approval()); !is(err, "invalid_request_uri") {
			t.Errorf("the request is decided a second time: %v", err)
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(r.amends(r.wider(), r.anew())))) // the client asks again
		if !r.works() {
			t.Error("the next change does not work")
		}
	})

	t.Run("RFC9126-I-2 RFC7009-I-1 revoked between the two writes", func(t *testing.T) {
		r, fails, memory := start(t)
		br := &browser{b: r.b}
		id := br.begin(r.f, r.f.push(r.b, r.wider()))
		*fails = func(op, key string) error {
			if op == "Replace" && key == r.id {
				return memory.Delete(context.Background(), key)
			}
			return nil
		}
		_, err := br.finish(id, r.anew())
		*fails = nil
		if !is(err, "invalid_request") {
			t.Errorf("Finish: %v", err)
		}
		if _, err := memory.Get(t.Context(), r.id); !errors.Is(err, store.ErrNotFound) {
			t.Error("the revoked grant is back")
		}
		if r.works() {
			t.Error("the old tokens work")
		}
		if _, err := br.finish(id, r.b.approval()); err != nil {
			t.Errorf("the customer cannot decide any more: %v", err)
		}
	})

	t.Run("GM-6-2 another change between the two writes is kept", func(t *testing.T) {
		r, fails, _ := start(t)
		meddled := 0
		*fails = func(op, key string) error {
			if op != "Replace" || key != r.id || meddled > 0 {
				return nil
			}
			meddled++
			r.amends(r.wider(), r.anew()) // in another window
			return nil
		}
		code := r.amends(r.f.pushable(), r.anew())
		*fails = nil
		if got := r.f.mustToken(r.b, r.f.redeemable(code)); meddled != 1 || got["scope"] != "openid accounts" {
			t.Errorf("%d times, then %v", meddled, got)
		}
	})

	t.Run("GM-6-2 the first code is redeemed between the two writes", func(t *testing.T) {
		r, fails, _ := start(t)
		first := r.f.code(r.b)
		r.id = r.b.lastEvent().Grant
		*fails = func(op, key string) error {
			if op == "Replace" && key == r.id {
				*fails = nil
				r.takes(r.f.mustToken(r.b, r.f.redeemable(first)))
			}
			return nil
		}
		change := r.amends(r.wider(), r.anew())
		if !r.works() {
			t.Error("the tokens of the first code do not work")
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(change)))
		if !r.works() {
			t.Error("the tokens of the change do not work")
		}
	})

	t.Run("GM-6-2 another write when its code is redeemed: the code is still there", func(t *testing.T) {
		r, fails, memory := start(t)
		code := r.amends(r.wider(), r.anew())
		*fails = func(op, key string) error {
			if op != "Replace" || key != r.id {
				return nil
			}
			*fails = nil
			rec, err := memory.Get(context.Background(), key)
			if err != nil {
				return err
			}
			was := rec.Version
			rec.Version += "w"
			return memory.Replace(context.Background(), was, rec)
		}
		if status, got := r.f.token(r.b, r.f.redeemable(code)); status != 503 {
			t.Errorf("%d %v", status, got)
		}
		if !r.works() {
			t.Error("the old tokens do not work any more")
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(code)))
		if !r.works() {
			t.Error("the new tokens do not work")
		}
	})

	t.Run("GM-6-2 a newer change while its code is redeemed: it was too late, and is no thief", func(t *testing.T) {
		r, fails, _ := start(t)
		older, newer := r.amends(r.wider(), r.anew()), ""
		*fails = func(op, key string) error {
			if op == "Replace" && key == r.id {
				*fails = nil
				newer = r.amends(r.f.pushable(), r.anew())
			}
			return nil
		}
		if status, got := r.f.token(r.b, r.f.redeemable(older)); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
		if !r.works() {
			t.Error("the grant was ended")
		}
		r.takes(r.f.mustToken(r.b, r.f.redeemable(newer)))
		if !r.works() {
			t.Error("the newer change does not work")
		}
	})

	t.Run("GM-6-2 a grant that keeps changing is given up", func(t *testing.T) {
		r, fails, memory := start(t)
		*fails = func(op, key string) error {
			if op == "Replace" && key == r.id {
				rec, err := memory.Get(context.Background(), key)
				if err != nil {
					return err
				}
				was := rec.Version
				rec.Version += "w"
				return memory.Replace(context.Background(), was, rec)
			}
			return nil
		}
		br := &browser{b: r.b}
		id := br.begin(r.f, r.f.push(r.b, r.wider()))
		var e *authz.Error
		if _, err := br.finish(id, r.anew()); err == nil || errors.As(err, &e) {
			t.Errorf("Finish: %v, want an outage", err)
		}
		*fails = nil
		if !r.works() {
			t.Error("the old tokens do not work any more")
		}
		if _, err := br.finish(id, r.anew()); err != nil {
			t.Errorf("the customer cannot try again: %v", err)
		}
	})
}
