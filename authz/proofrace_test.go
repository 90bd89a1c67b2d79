package authz_test

import (
	"errors"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

// proved returns racing requests: each has what form and proof make for it.
func (f *fintech) proved(path string, form func(i int) url.Values, proof func(i int) string) []*http.Request {
	rs := make([]*http.Request, racers)
	for i := range rs {
		rs[i] = f.request(path, form(i))
		rs[i].Header.Set("DPoP", proof(i))
	}
	return rs
}

// raceAll sends requests at once and returns the answers, and how many have
// that status.
func (b *bank) raceAll(rs []*http.Request, status int) (wins int, answers []map[string]any) {
	b.t.Helper()
	sent := make([]*http.Response, len(rs))
	wins = race(func(i int) bool {
		sent[i] = b.do(rs[i])
		return sent[i].StatusCode == status
	})
	for _, res := range sent {
		answers = append(answers, object(b.t, res))
	}
	return wins, answers
}

// same returns what is made once for all racers.
func same[T any](v T) func(int) T { return func(int) T { return v } }

// TestRaceForAProof: of any number of requests with one proof one is answered,
// whatever else they have, and no loser harms what the winner got.
func TestRaceForAProof(t *testing.T) {
	f := keyClient("kakeibo").dpop()
	k := newProofKey()

	t.Run("RFC9449-11.1-2 twenty redemptions with one proof and twenty assertions: one answer, and the grant stands", func(t *testing.T) {
		for range 5 {
			b := newBank(t, clients(f), far)
			code := f.codeFor(b, f.pushable(), k)
			form := func(int) url.Values { return f.authenticate(b, f.redeemable(code)) }
			wins, answers := b.raceAll(f.proved("/token", form, same(k.sign(k.claims(b, "/token")))), 200)
			if wins != 1 {
				t.Fatalf("%d of %d redemptions got tokens, want 1", wins, racers)
			}
			for _, got := range answers {
				if access, ok := got["access_token"].(string); !ok {
					if got["error"] != "invalid_dpop_proof" {
						t.Errorf("a loser was told %v", got)
					}
				} else if err := f.use(b, access, k); err != nil {
					t.Errorf("the winner is turned away: %v", err)
				}
			}
		}
	})

	t.Run("FAPI2-SP-5.3.2.2-9 twenty redemptions with twenty proofs and assertions: one answer, and the grant ends", func(t *testing.T) {
		for range 5 {
			b := newBank(t, clients(f), far)
			code := f.codeFor(b, f.pushable(), k)
			form := func(int) url.Values { return f.authenticate(b, f.redeemable(code)) }
			wins, answers := b.raceAll(f.proved("/token", form, func(int) string { return k.sign(k.claims(b, "/token")) }), 200)
			if wins != 1 {
				t.Fatalf("%d of %d redemptions got tokens, want 1", wins, racers)
			}
			for _, got := range answers {
				if access, ok := got["access_token"].(string); !ok {
					if got["error"] != "invalid_grant" {
						t.Errorf("a loser was told %v", got)
					}
				} else if err := f.use(b, access, k); err == nil {
					t.Error("the access token works although its code was presented twice")
				}
			}
		}
	})

	t.Run("RFC9449-10-1 nineteen other keys do not burn a code that is bound to one", func(t *testing.T) {
		b := newBank(t, clients(f), far)
		code := f.codeFor(b, changed(f.pushable(), "dpop_jkt", k.jkt()), nil)
		form := func(int) url.Values { return f.authenticate(b, f.redeemable(code)) }
		wins, answers := b.raceAll(f.proved("/token", form, func(i int) string {
			by := k
			if i != 7 {
				by = newProofKey()
			}
			return by.sign(by.claims(b, "/token"))
		}), 200)
		if access, ok := answers[7]["access_token"].(string); wins != 1 || !ok {
			t.Fatalf("%d redemptions got tokens, want the right key's, which got %v", wins, answers[7])
		} else if err := f.use(b, access, k); err != nil {
			t.Errorf("the winner is turned away: %v", err)
		}
	})

	t.Run("RFC9449-11.1-2 twenty refreshes with one proof get one answer, with twenty proofs twenty", func(t *testing.T) {
		b := newBank(t, clients(f), far)
		_, got := k.send(b, f.prove(b, "/token", f.redeemable(f.codeFor(b, f.pushable(), nil)), k))
		refresh := got["refresh_token"].(string)
		form := func(int) url.Values {
			return f.authenticate(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
		}
		if wins, _ := b.raceAll(f.proved("/token", form, same(k.sign(k.claims(b, "/token")))), 200); wins != 1 {
			t.Errorf("%d of %d refreshes with one proof were answered, want 1", wins, racers)
		}
		fresh := func(int) string { n := newProofKey(); return n.sign(n.claims(b, "/token")) }
		if wins, _ := b.raceAll(f.proved("/token", form, fresh), 200); wins != racers {
			t.Errorf("%d of %d refreshes with keys of their own were answered", wins, racers)
		}
	})

	t.Run("RFC9449-11.1-2 twenty pushes with one proof get one answer, and leave one request", func(t *testing.T) {
		var mu sync.Mutex
		pushed := map[string]bool{}
		var inner store.Store
		b := newBank(t, clients(f), far, func(c *authz.Config) {
			inner = c.Store
			c.Store = &storetest.Faulty{Store: inner, LoseReply: func(op, key string) bool {
				mu.Lock()
				defer mu.Unlock()
				pushed[key] = pushed[key] || op == "Create" && key[0] == 'r'
				return false
			}}
		})
		form := func(int) url.Values { return f.authenticate(b, f.pushable()) }
		wins, answers := b.raceAll(f.proved("/par", form, same(k.sign(k.claims(b, "/par")))), 201)
		if wins != 1 {
			t.Errorf("%d of %d pushes were answered, want 1", wins, racers)
		}
		for _, got := range answers {
			if got["request_uri"] == nil && got["error"] != "invalid_dpop_proof" {
				t.Errorf("a loser was told %v", got)
			}
		}
		left := 0
		for key, is := range pushed {
			if _, err := inner.Get(t.Context(), key); is && err == nil {
				left++
			}
		}
		if left != 1 {
			t.Errorf("%d requests are left, want 1", left)
		}
	})
}

// TestProofLostReplies: a store whose first answer to each write is lost does
// not turn a first use into a second.
func TestProofLostReplies(t *testing.T) {
	f, k := keyClient("kakeibo").dpop(), newProofKey()
	var mu sync.Mutex
	lost := map[string]bool{}
	b := newBank(t, clients(f), func(c *authz.Config) {
		c.Store = &storetest.Faulty{Store: c.Store, LoseReply: func(op, key string) bool {
			mu.Lock()
			defer mu.Unlock()
			was := lost[op+key]
			lost[op+key] = true
			return !was && (op == "Create" || op == "Replace")
		}}
	})
	story{t, b, f, keyClient("thief"), "openid accounts"}.run(k, newProofKey())
}

// TestProofOutage: while uses cannot be remembered no proof is accepted,
// nothing is used up but ids, and the client is told only that the server
// failed.
func TestProofOutage(t *testing.T) {
	for _, f := range []*fintech{keyClient("kakeibo").dpop(), tlsClient("kakeibo").dpop()} {
		t.Run(f.AuthMethod, func(t *testing.T) {
			k, down := newProofKey(), false
			created := map[string]bool{}
			var mu sync.Mutex
			b := newBank(t, clients(f), func(c *authz.Config) {
				c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error {
					mu.Lock()
					defer mu.Unlock()
					if down && op == "Create" && key[0] == 'j' {
						return errors.New("connection refused by 192.0.2.7")
					}
					if op == "Create" {
						created[key] = true
					} else if op == "Delete" {
						delete(created, key)
					}
					return nil
				}}
			})
			code := f.codeFor(b, f.pushable(), k)
			_, got := k.send(b, f.prove(b, "/token", f.redeemable(f.codeFor(b, f.pushable(), nil)), k))
			forms := map[string][]func() url.Values{
				"/par": {f.pushable},
				"/token": {
					func() url.Values { return f.redeemable(code) },
					func() url.Values {
						return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
					},
					func() url.Values { return url.Values{"grant_type": {"client_credentials"}} },
				},
			}
			for _, down = range []bool{true, false} {
				before := len(created)
				for path, vs := range forms {
					for _, v := range vs {
						r := f.prove(b, path, v(), k)
						res := b.do(r)
						got := object(t, res)
						if down && (res.StatusCode != 503 || got["error"] != "server_error" || len(got) != 1) {
							t.Errorf("%s: the client is told %d %v", path, res.StatusCode, got)
						}
						if e := b.lastEvent(); down && (e.Kind != "request_failed" || e.Key != k.jkt()) {
							t.Errorf("%s: the operator is told %+v", path, e)
						}
						if !down && res.StatusCode > 201 {
							t.Errorf("%s afterwards: %d %v", path, res.StatusCode, got)
						}
					}
				}
				if n := len(created); down && n != before {
					t.Errorf("%d records were made", n-before)
				}
			}
		})
	}
}

// TestProofHangUp: who presents a code twice cannot save the grant by hanging
// up once the proof is spent.
func TestProofHangUp(t *testing.T) {
	t.Run("RFC6749-4.1.2-3 after presenting a code twice with proofs", func(t *testing.T) {
		f, k := tlsClient("kakeibo").dpop(), newProofKey() // the proof is all there is to spend
		b, after := hangUp(t, f)
		code := f.codeFor(b, f.pushable(), nil)
		_, got := k.send(b, f.prove(b, "/token", f.redeemable(code), k))
		b.do(f.prove(b, "/token", f.redeemable(code), k).WithContext(after("Create")))
		if err := f.use(b, got["access_token"].(string), k); err == nil {
			t.Error("the access token works although its code was presented twice")
		}
		if e := b.lastEvent(); e.Kind != "request_refused" || e.Key != k.jkt() {
			t.Errorf("the operator is told %+v", e)
		}
	})
}

// TestProofSpentLast: what is refused for something else does not use up the
// proof.
func TestProofSpentLast(t *testing.T) {
	f, k, other := tlsClient("kakeibo").dpop(), newProofKey(), newProofKey()
	b := newBank(t, clients(f))
	_, got := k.send(b, f.prove(b, "/token", f.redeemable(f.codeFor(b, f.pushable(), nil)), k))
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
	bound := func() url.Values { return f.redeemable(f.codeFor(b, f.pushable(), other)) }
	for _, tt := range []struct {
		name, path string
		form       url.Values
		code       string
	}{
		{"RFC9449-5-10 an unknown code", "/token", f.redeemable("x"), "invalid_grant"},
		{"RFC9449-5-10 a wrong verifier", "/token", changed(f.redeemable(f.codeFor(b, f.pushable(), nil)), "code_verifier", verifier[:42]+"A"), "invalid_grant"},
		{"RFC9449-10-1 CT-AS-46 the code of another key", "/token", bound(), "invalid_grant"},
		{"RFC9449-5-10 a wider scope", "/token", changed(url.Values{"grant_type": refresh["grant_type"], "refresh_token": refresh["refresh_token"]}, "scope", "payments"), "invalid_scope"},
		{"RFC9449-5-10 openid for the client itself", "/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}}, "invalid_scope"},
		{"RFC9449-5-10 another resource", "/token", changed(url.Values{"grant_type": {"client_credentials"}}, "resource", "https://other.example"), "invalid_target"},
		{"RFC9449-10.1-3 dpop_jkt of another key", "/par", changed(f.pushable(), "dpop_jkt", other.jkt()), "invalid_dpop_proof"},
		{"RFC9449-10-3 CONF-29 dpop_jkt that is no thumbprint", "/par", changed(f.pushable(), "dpop_jkt", "x"), "invalid_request"},
		{"RFC9449-5-10 no code_challenge", "/par", changed(f.pushable(), "code_challenge", ""), "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proof := k.sign(k.claims(b, tt.path))
			ask := func(v url.Values) (int, map[string]any) {
				r := f.request(tt.path, f.authenticate(b, v))
				r.Header.Set("DPoP", proof)
				return k.send(b, r)
			}
			if status, got := ask(tt.form); status != 400 || got["error"] != tt.code {
				t.Errorf("%d %v, want %s", status, got, tt.code)
			}
			good := refresh
			if tt.path == "/par" {
				good = f.pushable()
			}
			if status, got := ask(good); status > 201 {
				t.Errorf("a good request with the same proof: %d %v", status, got)
			}
		})
	}
}
