package token_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
)

// TestProofSpentLast: a request that is refused for something else, or cannot
// be answered, does not use up its proof.
func TestProofSpentLast(t *testing.T) {
	p := newProver(t)
	p.token = forge(t, marshal(t, goodHeader()), marshal(t, with(with(goodClaims(), "cnf", object{"jkt": p.jkt()}), "grant_id", grantID)), asKey(t))
	live := store.Record{Key: grantID, Version: "1", Value: issued, Expires: now.Add(time.Hour)}
	for _, tt := range []struct {
		name   string
		need   token.Require
		grants store.Store // before
		status int
	}{
		{"FAPI2-SP-5.3.4-4 a scope is missing", token.Require{Scopes: []string{"loans"}}, nil, 403},
		{"FAPI2-SP-5.3.4-3 the grant is gone", token.Require{}, &storetest.Faulty{Store: new(store.Memory)}, 401},
		{"FAPI2-SP-5.3.4-3 nobody knows whether the grant stands", token.Require{},
			&storetest.Faulty{Store: new(store.Memory), Fail: func(string, string) error { return errors.New("down") }}, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			grants := &store.Memory{Now: clock}
			if err := grants.Create(t.Context(), live); err != nil {
				t.Fatal(err)
			}
			replays := &storetest.Faulty{Store: &store.Memory{Now: clock}}
			over := func(s store.Store) *token.Verifier {
				return guard(t, func(c *token.VerifierConfig) {
					c.Replays, c.Liveness = replays, s
					if s == nil {
						c.Liveness = grants
					}
				})
			}
			r := p.request()
			w := httptest.NewRecorder()
			over(tt.grants).Handler(tt.need, http.NotFoundHandler()).ServeHTTP(w, r)
			if w.Code != tt.status || replays.Count("") != 0 {
				t.Errorf("%d, want %d; %d calls of the replay memory", w.Code, tt.status, replays.Count(""))
			}
			if _, err := over(nil).Check(r, token.Require{}); err != nil {
				t.Errorf("the same request where nothing is amiss: %v", err)
			}
		})
	}
	t.Run("RFC9449-11.1-2 a replay is refused before the host is asked", func(t *testing.T) {
		v, r, asked := guard(t), p.request(), 0
		need := token.Require{Permit: func(*http.Request, *token.Access) error { asked++; return nil }}
		_, first := v.Check(r, need)
		_, second := v.Check(r, need)
		if first != nil || asked != 1 {
			t.Errorf("first: %v; Permit was asked %d times", first, asked)
		}
		refused(t, second, 401, "invalid_dpop_proof", "RFC9449-11.1-2")
	})
}

// TestRaceForAProof: of twenty requests with one proof one is let through, of
// twenty with their own all.
func TestRaceForAProof(t *testing.T) {
	p := newProver(t)
	race := func(proof func() string) (let int) {
		v := guard(t, func(c *token.VerifierConfig) {
			c.Replays = &storetest.Faulty{Store: c.Replays, Latency: 2 * time.Millisecond}
		})
		var ready, done sync.WaitGroup
		gate := make(chan struct{})
		statuses := make([]int, 20)
		for i := range statuses {
			r := p.request()
			r.Header.Set("DPoP", proof())
			ready.Add(1)
			done.Go(func() {
				ready.Done()
				<-gate
				statuses[i] = call(v, r).StatusCode
			})
		}
		ready.Wait()
		close(gate)
		done.Wait()
		for _, s := range statuses {
			if s == 204 {
				let++
			} else if s != 401 {
				t.Errorf("status %d", s)
			}
		}
		return let
	}
	t.Run("RFC9449-11.1-2 CT-RS-3 one proof", func(t *testing.T) {
		for range 5 {
			one := p.sign(p.claims())
			if let := race(func() string { return one }); let != 1 {
				t.Fatalf("%d of 20 requests were let through, want 1", let)
			}
		}
	})
	t.Run("RFC9449-11.1-5 proofs of their own", func(t *testing.T) {
		if let := race(func() string { return p.sign(p.claims()) }); let != 20 {
			t.Errorf("%d of 20 requests were let through", let)
		}
	})
}

// TestReplaysFail: the replay memory is out of reach in one way or another.
func TestReplaysFail(t *testing.T) {
	p := newProver(t)
	for _, tt := range []struct {
		name  string
		fail  error
		hangs bool
	}{
		{"an outage", errors.New("connection refused by 192.0.2.7"), false},
		{"an answer of another verb", store.ErrNotFound, false},
		{"the caller hangs up", context.Canceled, true},
	} {
		t.Run("RFC9449-11.1-2 "+tt.name, func(t *testing.T) {
			var told error
			down := true
			replays := &storetest.Faulty{Store: new(store.Memory), Fail: func(string, string) error {
				if down {
					return tt.fail
				}
				return nil
			}}
			v := guard(t, func(c *token.VerifierConfig) {
				c.Replays = replays
				c.Audit = func(_ context.Context, _ *token.Access, err error) { told = err }
			})
			r := p.request()
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			if tt.hangs {
				cancel()
			}
			res := call(v, r.WithContext(ctx))
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != 503 || len(body) > 0 || res.Header.Get("WWW-Authenticate") != "" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
			}
			var e *token.Error
			if told == nil || errors.As(told, &e) || !errors.Is(told, tt.fail) {
				t.Errorf("the operator is told %v", told)
			}
			if want := map[bool]int{false: 2, true: 1}[tt.hangs]; replays.Count("Create") != want {
				t.Errorf("it was tried %d times, want %d", replays.Count("Create"), want)
			}
			down = false
			if res := call(v, r); res.StatusCode != 204 {
				t.Errorf("the same request afterwards: %d", res.StatusCode)
			}
		})
	}
	t.Run("RFC9449-11.1-2 one id for two URLs, and for two keys", func(t *testing.T) {
		v, other := guard(t), newProver(t)
		for _, use := range []struct {
			by   *prover
			path string
			want int
		}{{p, "/accounts", 204}, {p, "/payments", 204}, {other, "/accounts", 204}, {p, "/accounts", 401}} {
			r, c := use.by.request(), use.by.claims()
			r.RequestURI, c["htu"], c["jti"] = use.path, audience+use.path, "1"
			r.Header.Set("DPoP", use.by.sign(c))
			if res := call(v, r); res.StatusCode != use.want {
				t.Errorf("%s: %d, want %d", use.path, res.StatusCode, use.want)
			}
		}
	})
	t.Run("RFC9449-11.1-2 what is remembered lives for as long as the proof is good", func(t *testing.T) {
		var kept store.Record
		v := guard(t, func(c *token.VerifierConfig) { c.Replays = &spy{c.Replays, &kept} })
		if res := call(v, p.request()); res.StatusCode != 204 {
			t.Fatal(res.StatusCode)
		}
		if kept.Expires.Before(now.Add(time.Minute)) || len(kept.Key) != 44 || kept.Key[0] != 'j' || kept.Value != nil {
			t.Errorf("kept %+v", kept)
		}
	})
}

// A spy shows what is created.
type spy struct {
	store.Store
	kept *store.Record
}

func (s *spy) Create(ctx context.Context, r store.Record) error {
	*s.kept = r
	return s.Store.Create(ctx, r)
}
