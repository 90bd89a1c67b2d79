package authz_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store/storetest"
)

// far is a store two milliseconds away, so that concurrent requests all read
// before any of them writes.
func far(c *authz.Config) {
	c.Store = &storetest.Faulty{Store: c.Store, Latency: 2 * time.Millisecond}
}

const racers = 20

// race runs f for each racer at once and returns how many answered true.
func race(f func(i int) bool) (wins int) {
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	won := make([]bool, racers)
	for i := range racers {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-gate
			won[i] = f(i)
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
	for _, w := range won {
		if w {
			wins++
		}
	}
	return wins
}

// send posts a prepared form and reports whether it was answered with status.
func (f *fintech) send(b *bank, path string, v url.Values, status int) bool {
	return b.do(f.request(path, v)).StatusCode == status
}

// alive reports whether a refresh token still works, which shows whether its
// grant stands.
func (f *fintech) alive(b *bank, code string) bool {
	status, _ := f.token(b, f.redeemable(code))
	return status == 200
}

func TestRaceForACode(t *testing.T) {
	t.Run("FAPI2-SP-5.3.2.2-9 twenty redemptions with twenty assertions: one answer, and the grant ends", func(t *testing.T) {
		for range 10 {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), far)
			code := f.code(b)
			forms := make([]url.Values, racers)
			for i := range forms {
				forms[i] = f.authenticate(b, f.redeemable(code))
			}
			answers := make([]*http.Response, racers)
			wins := race(func(i int) bool {
				answers[i] = b.do(f.request("/token", forms[i]))
				return answers[i].StatusCode == 200
			})
			if wins != 1 {
				t.Fatalf("%d of %d redemptions got tokens, want 1", wins, racers)
			}
			for _, res := range answers {
				got := object(t, res)
				if res.StatusCode != 200 {
					if got["error"] != "invalid_grant" {
						t.Errorf("a loser was told %v", got)
					}
					continue
				}
				if err := f.check(b, got["access_token"].(string)); err == nil {
					t.Error("the access token works although its code was presented twice")
				}
				if status, _ := f.token(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}); status != 400 {
					t.Errorf("the refresh token works although its code was presented twice: %d", status)
				}
			}
		}
	})

	t.Run("RFC7523-3-6 twenty redemptions with one assertion: one answer, and the grant stands", func(t *testing.T) {
		for range 10 {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), far)
			form := f.authenticate(b, f.redeemable(f.code(b)))
			answers := make([]*http.Response, racers)
			wins := race(func(i int) bool {
				answers[i] = b.do(f.request("/token", form))
				return answers[i].StatusCode == 200
			})
			if wins != 1 {
				t.Fatalf("%d of %d redemptions got tokens, want 1", wins, racers)
			}
			for _, res := range answers {
				got := object(t, res)
				if res.StatusCode != 200 {
					if got["error"] != "invalid_client" {
						t.Errorf("a loser was told %v", got)
					}
				} else if err := f.check(b, got["access_token"].(string)); err != nil {
					t.Errorf("the winner is turned away: %v", err)
				}
			}
		}
	})

	t.Run("RFC6749-4.1.3-2 nineteen strangers do not burn the code", func(t *testing.T) {
		for range 5 {
			f, thief := keyClient("kakeibo"), keyClient("thief")
			b := newBank(t, clients(f, thief), far)
			code := f.code(b)
			forms := make([]url.Values, racers)
			for i := range forms {
				forms[i] = thief.authenticate(b, thief.redeemable(code))
			}
			forms[7] = f.authenticate(b, f.redeemable(code))
			wins := race(func(i int) bool {
				if i == 7 {
					return f.send(b, "/token", forms[i], 200)
				}
				return thief.send(b, "/token", forms[i], 200)
			})
			if wins != 1 {
				t.Fatalf("%d redemptions got tokens, want the honest one", wins)
			}
		}
	})

	t.Run("RFC7636-4.6-1 nineteen wrong verifiers do not burn the code", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), far)
		code := f.code(b)
		forms := make([]url.Values, racers)
		for i := range forms {
			v := f.redeemable(code)
			if i != 7 {
				v.Set("code_verifier", verifier[:42]+"A")
			}
			forms[i] = f.authenticate(b, v)
		}
		wins := race(func(i int) bool { return f.send(b, "/token", forms[i], 200) })
		if wins != 1 {
			t.Fatalf("%d redemptions got tokens, want the one with the right verifier", wins)
		}
	})
}

// TestACodeTwice is the sequential twin.
func TestACodeTwice(t *testing.T) {
	t.Run("RFC6749-4.1.2-3 a code presented again ends the grant", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		code := f.code(b)
		status, got := f.token(b, f.redeemable(code))
		if status != 200 {
			t.Fatalf("first: %d %v", status, got)
		}
		b.clock.Advance(time.Second)
		status, again := f.token(b, f.redeemable(code))
		if status != 400 || again["error"] != "invalid_grant" {
			t.Errorf("second: %d %v", status, again)
		}
		if err := f.check(b, got["access_token"].(string)); err == nil {
			t.Error("the first access token still works")
		}
		if f.alive(b, code) {
			t.Error("the code works a third time")
		}
	})
}

func TestRaceForARefresh(t *testing.T) {
	t.Run("FAPI2-SP-5.3.2.1-9 twenty refreshes with twenty assertions get twenty answers", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), far)
		refresh := f.tokens(b)["refresh_token"].(string)
		forms := make([]url.Values, racers)
		for i := range forms {
			forms[i] = f.authenticate(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
		}
		if wins := race(func(i int) bool { return f.send(b, "/token", forms[i], 200) }); wins != racers {
			t.Errorf("%d of %d refreshes were answered", wins, racers)
		}
	})

	t.Run("RFC7523-3-6 twenty refreshes with one assertion get one answer", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), far)
		form := f.authenticate(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {f.tokens(b)["refresh_token"].(string)}})
		if wins := race(func(int) bool { return f.send(b, "/token", form, 200) }); wins != 1 {
			t.Errorf("%d of %d refreshes were answered, want 1", wins, racers)
		}
	})
}

func TestRaceForAnAssertion(t *testing.T) {
	for _, path := range []string{"/par", "/token"} {
		t.Run("CA-I-1 one assertion, twenty times at "+path, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), far)
			v, status := f.pushable(), 201
			if path == "/token" {
				v, status = url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}, 200
			}
			form := f.authenticate(b, v)
			if wins := race(func(int) bool { return f.send(b, path, form, status) }); wins != 1 {
				t.Errorf("%d of %d requests were answered, want 1", wins, racers)
			}
		})
	}
}

func TestRaceForADecision(t *testing.T) {
	t.Run("RFC9126-I-2 twenty decisions in twenty browsers: the first wins", func(t *testing.T) {
		for range 5 {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), far)
			uri := f.push(b, f.pushable())
			pages := make([]*http.Request, racers)
			for i := range pages {
				br := &browser{b: b}
				id, _ := io.ReadAll(br.open(f, uri).Body)
				pages[i] = br.page(string(id))
			}
			codes := make([]string, racers)
			errs := make([]error, racers)
			wins := race(func(i int) bool {
				in, err := b.srv.Interaction(pages[i])
				if err != nil {
					errs[i] = err
					return false
				}
				w := httptest.NewRecorder()
				d := b.approval()
				if i%2 == 1 {
					d = authz.Decision{Deny: authz.AccessDenied}
				}
				if errs[i] = in.Finish(w, pages[i], d); errs[i] != nil {
					return false
				}
				codes[i] = location(t, w.Result()).Get("code")
				return true
			})
			if wins != 1 {
				t.Fatalf("%d of %d decisions were carried out, want 1", wins, racers)
			}
			for i, err := range errs {
				var e *authz.Error
				if err != nil && (!errors.As(err, &e) || e.Code != "invalid_request_uri") {
					t.Errorf("decision %d: %v", i, err)
				}
			}
			for _, code := range codes {
				if code != "" && !f.alive(b, code) {
					t.Error("the winner's code does not work")
				}
			}
		}
	})
}

// TestLateApproval: an approval that was under way while the grant was made,
// used twice and revoked in another tab does not bring it back.
func TestLateApproval(t *testing.T) {
	t.Run("RFC9126-I-2 a revoked grant is not made anew", func(t *testing.T) {
		f := keyClient("kakeibo")
		b, br, id := started(t, f, f.pushable())
		late, err := br.resume(id)
		if err != nil {
			t.Fatal(err)
		}
		w, err := br.finish(id, b.approval())
		if err != nil {
			t.Fatal(err)
		}
		code := location(t, w.Result()).Get("code")
		_, got := f.token(b, f.redeemable(code))
		f.token(b, f.redeemable(code)) // a second time
		access := got["access_token"].(string)
		if err := f.check(b, access); err == nil {
			t.Fatal("the grant was not revoked")
		}

		again := httptest.NewRecorder()
		err = late.Finish(again, httptest.NewRequest("POST", issuer+"/consent", nil), b.approval())
		var e *authz.Error
		if !errors.As(err, &e) || e.Code != "invalid_request_uri" || again.Header().Get("Location") != "" {
			t.Errorf("Finish: %v, %v", err, again.Header())
		}
		if err := f.check(b, access); err == nil {
			t.Error("the revoked access token works again")
		}
	})
}

// TestOtherWrite: a write to the grant that is no redemption does not pass for
// one.
func TestOtherWrite(t *testing.T) {
	f := keyClient("kakeibo")
	var b *bank
	meddle := false
	b = newBank(t, clients(f), func(c *authz.Config) {
		memory := c.Store
		c.Store = &storetest.Faulty{Store: memory, Fail: func(op, key string) error {
			if op == "Replace" && meddle {
				meddle = false
				rec, err := memory.Get(t.Context(), key)
				if err != nil {
					return err
				}
				was := rec.Version
				rec.Version = "another write"
				return memory.Replace(t.Context(), was, rec)
			}
			return nil
		}}
	})
	code := f.code(b)
	meddle = true
	if status, got := f.token(b, f.redeemable(code)); status != 503 {
		t.Errorf("%d %v", status, got)
	}
	if !f.alive(b, code) {
		t.Error("the code was used up, or the grant revoked")
	}
}

// TestLostReplies: a store whose first answer to each write is lost leaves
// everything as if it had not been.
func TestLostReplies(t *testing.T) {
	for _, op := range []string{"Create", "Replace"} {
		t.Run(op, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), func(c *authz.Config) {
				var mu sync.Mutex
				seen := map[string]int{}
				c.Store = &storetest.Faulty{Store: c.Store, LoseReply: func(o, key string) bool {
					mu.Lock()
					defer mu.Unlock()
					seen[o+key]++
					return o == op && seen[o+key] == 1
				}}
			})
			got := f.tokens(b)
			if err := f.check(b, got["access_token"].(string)); err != nil {
				t.Errorf("the access token does not work: %v", err)
			}
			refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
			if status, body := f.token(b, refresh); status != 200 {
				t.Errorf("the refresh token does not work: %d %v", status, body)
			}
		})
	}
}

// TestOutage: while the store is out of reach nothing is accepted, nothing is
// used up, and the client is told only that the server failed.
func TestOutage(t *testing.T) {
	for _, op := range []string{"Create", "Get", "Replace"} {
		t.Run(op, func(t *testing.T) {
			f := keyClient("kakeibo")
			down := false
			b := newBank(t, clients(f), func(c *authz.Config) {
				c.Store = &storetest.Faulty{Store: c.Store, Fail: func(o, _ string) error {
					if down && o == op {
						return errors.New("connection refused by 192.0.2.7")
					}
					return nil
				}}
			})
			code := f.code(b)
			down = true
			res := b.do(f.request("/token", f.authenticate(b, f.redeemable(code))))
			if got := object(t, res); res.StatusCode != 503 || got["error"] != "server_error" || len(got) != 1 {
				t.Errorf("the client is told %d %v", res.StatusCode, got)
			}
			if e := b.lastEvent(); e.Kind != "request_failed" || e.Client != "kakeibo" || e.Reason == "" {
				t.Errorf("the operator is told %+v", e)
			}
			down = false
			if !f.alive(b, code) {
				t.Error("the code was used up")
			}
		})
	}
}
