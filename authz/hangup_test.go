package authz_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

// hangUp returns a bank over a store that looks at the context of each call,
// as a database does, and a function that makes the caller hang up right after
// the next call of op has been carried out.
func hangUp(t *testing.T, f *fintech) (b *bank, after func(op string) context.Context) {
	var ended context.CancelFunc
	var at string
	b = newBank(t, clients(f), func(c *authz.Config) {
		c.Store = &storetest.Faulty{Store: c.Store, LoseReply: func(op, _ string) bool {
			if op == at {
				at = ""
				ended()
			}
			return false
		}}
	})
	return b, func(op string) context.Context {
		var ctx context.Context
		ctx, ended = context.WithCancel(t.Context())
		at = op
		return ctx
	}
}

// TestHangUp: what follows from a decision is carried out although nobody
// waits for the answer any more.
func TestHangUp(t *testing.T) {
	t.Run("RFC6749-4.1.2-3 after presenting a code twice", func(t *testing.T) {
		f := keyClient("kakeibo")
		b, after := hangUp(t, f)
		code := f.code(b)
		_, got := f.token(b, f.redeemable(code))
		r := f.request("/token", f.authenticate(b, f.redeemable(code)))
		b.do(r.WithContext(after("Create"))) // the assertion's jti, the last step before the reuse shows
		if err := f.check(b, got["access_token"].(string)); err == nil {
			t.Error("the access token works although its code was presented twice")
		}
	})
	t.Run("FAPI2-SP-5.3.2.2-N3 after a decision", func(t *testing.T) {
		f := keyClient("kakeibo")
		b, after := hangUp(t, f)
		uri := f.push(b, f.pushable())
		br := &browser{b: b}
		id, _ := io.ReadAll(br.open(f, uri).Body)
		r := br.page(string(id))
		in, err := b.srv.Interaction(r)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := in.Finish(w, r.WithContext(after("Create")), b.approval()); err != nil {
			t.Fatalf("Finish: %v, although the decision is stored", err)
		}
		if status, got := f.token(b, f.redeemable(location(t, w.Result()).Get("code"))); status != 200 {
			t.Errorf("the code: %d %v", status, got)
		}
		if res := br.open(f, uri); res.StatusCode != 400 {
			t.Errorf("the request is still there: %d", res.StatusCode)
		}
	})
}

// TestRefusedPush: what was refused takes no room. Whoever got hold of one old
// assertion could fill the store with it.
func TestRefusedPush(t *testing.T) {
	t.Run("RFC7523-3-6 an assertion used twice leaves no request", func(t *testing.T) {
		f := keyClient("kakeibo")
		var pushed []string
		var inner store.Store
		b := newBank(t, clients(f), func(c *authz.Config) {
			inner = c.Store
			c.Store = &storetest.Faulty{Store: inner, LoseReply: func(op, key string) bool {
				if op == "Create" && key[0] == 'r' {
					pushed = append(pushed, key)
				}
				return false
			}}
		})
		form := f.authenticate(b, f.pushable())
		if !f.send(b, "/par", form, 201) || !f.send(b, "/par", form, 401) {
			t.Fatal("the second push was not refused")
		}
		if len(pushed) != 2 {
			t.Fatalf("%d requests were stored, want 2 for a while", len(pushed))
		}
		for i, want := range []error{nil, store.ErrNotFound} {
			if _, err := inner.Get(t.Context(), pushed[i]); !errors.Is(err, want) {
				t.Errorf("request %d: %v, want %v", i+1, err, want)
			}
		}
	})
}

// TestPanickingStore: net/http survives a panic on the goroutine of a request
// and the process survives it on no other.
func TestPanickingStore(t *testing.T) {
	t.Run("a driver that panics ends the request and not the server", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) {
			c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error {
				if key[0] == 'r' {
					panic("driver")
				}
				return nil
			}}
		})
		r := f.request("/par", f.authenticate(b, f.pushable()))
		func() {
			defer func() {
				if got := recover(); got != "driver" {
					t.Errorf("recovered %v, want the driver's panic", got)
				}
			}()
			b.do(r)
		}()
	})
}
