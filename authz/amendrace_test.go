package authz_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store/storetest"
)

// pages opens n browsers on one request and returns the page that each of them
// decides on.
func (r *relation) pages(uri string, n int) []*http.Request {
	pages := make([]*http.Request, n)
	for i := range pages {
		br := &browser{b: r.b}
		pages[i] = br.page(br.begin(r.f, uri))
	}
	return pages
}

// decides finishes the interaction of page with d and returns the code.
func (r *relation) decides(page *http.Request, d authz.Decision) (code string, err error) {
	in, err := r.b.srv.Interaction(page)
	if err != nil {
		return "", err
	}
	w := httptest.NewRecorder()
	if err := in.Finish(w, page, d); err != nil {
		return "", err
	}
	return location(r.b.t, w.Result()).Get("code"), nil
}

func TestRaceForAnAmendment(t *testing.T) {
	t.Run("RFC9126-I-2 FAPI2-SP-5.3.2.2-N3 twenty decisions, some of them amendments: the first wins", func(t *testing.T) {
		for range 5 {
			r := related(t, keyClient("kakeibo"), far)
			pages := r.pages(r.f.push(r.b, r.wider()), racers)
			codes := make([]string, racers)
			errs := make([]error, racers)
			wins := race(func(i int) bool {
				d := []authz.Decision{r.anew(), r.b.approval(), {Deny: authz.AccessDenied}}[i%3]
				codes[i], errs[i] = r.decides(pages[i], d)
				return errs[i] == nil
			})
			if wins != 1 {
				t.Fatalf("%d of %d decisions were carried out, want 1", wins, racers)
			}
			for i, err := range errs {
				if err != nil && !is(err, "invalid_request_uri") {
					t.Errorf("decision %d: %v", i, err)
				}
			}
			if !r.works() {
				t.Error("the old tokens do not work")
			}
			for _, code := range codes {
				if code != "" && !r.f.alive(r.b, code) {
					t.Error("the winner's code does not work")
				}
			}
		}
	})

	t.Run("GM-6-2 twenty amendments of one grant: one of them counts, and none is lost unseen", func(t *testing.T) {
		for range 3 {
			r := related(t, keyClient("kakeibo"), far)
			pages := make([]*http.Request, racers)
			for i := range pages {
				pages[i] = r.pages(r.f.push(r.b, r.wider()), 1)[0]
			}
			codes := make([]string, racers)
			errs := make([]error, racers)
			wins := race(func(i int) bool {
				codes[i], errs[i] = r.decides(pages[i], r.anew())
				return errs[i] == nil
			})
			if wins == 0 {
				t.Fatal("no amendment was stored")
			}
			if !r.works() {
				t.Error("the old tokens do not work while the changes wait")
			}
			good := 0
			for i, code := range codes {
				var e *authz.Error
				switch {
				case errors.As(errs[i], &e):
					t.Errorf("amendment %d is refused, and could be tried again: %v", i, errs[i])
				case errs[i] == nil && r.f.alive(r.b, code):
					good++
				}
			}
			if good != 1 {
				t.Errorf("the codes of %d amendments work, want 1", good)
			}
			for i, err := range errs {
				if err != nil {
					if _, err := r.decides(pages[i], r.anew()); err != nil {
						t.Errorf("trying again: %v", err)
					}
					break
				}
			}
		}
	})

	t.Run("FAPI2-SP-5.3.2.2-9 twenty redemptions of its code: one answer, and the grant ends", func(t *testing.T) {
		for range 5 {
			r := related(t, keyClient("kakeibo"), far)
			code := r.amends(r.wider(), r.anew())
			forms := make([]url.Values, racers)
			for i := range forms {
				forms[i] = r.f.authenticate(r.b, r.f.redeemable(code))
			}
			answers := make([]*http.Response, racers)
			wins := race(func(i int) bool {
				answers[i] = r.b.do(r.f.request("/token", forms[i]))
				return answers[i].StatusCode == 200
			})
			if wins != 1 {
				t.Fatalf("%d of %d redemptions got tokens, want 1", wins, racers)
			}
			if r.works() {
				t.Error("the old tokens work although the code was presented twice")
			}
			for _, res := range answers {
				if got := object(t, res); res.StatusCode == 200 {
					if r.takes(got); r.works() {
						t.Error("the new tokens work although the code was presented twice")
					}
				} else if got["error"] != "invalid_grant" {
					t.Errorf("a loser was told %v", got)
				}
			}
		}
	})

	t.Run("GM-6-2 nineteen refreshes beside the redemption: none of their tokens outlives it", func(t *testing.T) {
		for range 5 {
			r := related(t, keyClient("kakeibo"), far)
			code := r.amends(r.wider(), r.anew())
			forms := make([]url.Values, racers)
			for i := range forms {
				forms[i] = r.f.authenticate(r.b, r.refreshes())
			}
			forms[7] = r.f.authenticate(r.b, r.f.redeemable(code))
			answers := make([]*http.Response, racers)
			race(func(i int) bool {
				answers[i] = r.b.do(r.f.request("/token", forms[i]))
				return true
			})
			for i, res := range answers {
				got := object(t, res)
				access, _ := got["access_token"].(string)
				switch {
				case i == 7 && (res.StatusCode != 200 || r.f.check(r.b, access) != nil):
					t.Errorf("the redemption: %d %v", res.StatusCode, got)
				case i != 7 && access != "" && r.f.check(r.b, access) == nil:
					t.Error("a token from before the change works after it")
				}
			}
		}
	})

	t.Run("RFC7009-I-1 revoked meanwhile, nothing comes back", func(t *testing.T) {
		for range 5 {
			r := related(t, keyClient("kakeibo"), far)
			waiting := r.amends(r.wider(), r.anew())
			page := r.pages(r.f.push(r.b, r.wider()), 1)[0]
			redeem := r.f.authenticate(r.b, r.f.redeemable(waiting))
			revoke := r.f.authenticate(r.b, just(r.refresh))
			var code string
			var redeemed *http.Response
			race(func(i int) bool {
				switch i {
				case 3:
					code, _ = r.decides(page, r.anew())
				case 7:
					redeemed = r.b.do(r.f.request("/token", redeem))
				case 11:
					r.b.do(r.f.request("/revoke", revoke))
				}
				return true
			})
			// Whatever came first, the grant is gone; but where the redemption came
			// first, the refresh token that was to be revoked was none any more.
			if got := object(t, redeemed); redeemed.StatusCode == 200 && r.b.revokedFirst(r.id) {
				if access := got["access_token"].(string); r.f.check(r.b, access) == nil {
					t.Error("the token of a revoked grant works")
				}
			}
			if r.b.revokedFirst(r.id) && (r.works() || code != "" && r.f.alive(r.b, code)) {
				t.Error("the revoked grant is back")
			}
		}
	})
}

// revokedFirst reports whether the grant was revoked, and not only a token that
// was none any more.
func (b *bank) revokedFirst(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Kind == "grant_revoked" && e.Grant == id {
			return true
		}
	}
	return false
}

// TestLostRepliesOfAnAmendment: a store whose first answer to each write is lost.
func TestLostRepliesOfAnAmendment(t *testing.T) {
	for _, op := range []string{"Create", "Replace", "Delete"} {
		t.Run("GM-6-2 "+op, func(t *testing.T) {
			var mu sync.Mutex
			seen := map[string]int{}
			lossy := false
			r := related(t, keyClient("kakeibo"), func(c *authz.Config) {
				c.Store = &storetest.Faulty{Store: c.Store, LoseReply: func(o, key string) bool {
					mu.Lock()
					defer mu.Unlock()
					if !lossy || o != op {
						return false
					}
					seen[o+key]++
					return seen[o+key]%2 == 1
				}}
			})
			lossy = true
			old := *r
			r.takes(r.f.mustToken(r.b, r.f.redeemable(r.amends(r.wider(), r.anew()))))
			lossy = false
			if len(seen) == 0 {
				t.Error("no reply was lost")
			}
			if !r.works() || old.works() {
				t.Error("the change did not take effect")
			}
		})
	}
}
