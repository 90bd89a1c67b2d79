package authz_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

// revoke asks for the end of a token and checks that the answer is the one
// there is.
func (f *fintech) revoke(b *bank, v url.Values) {
	b.t.Helper()
	res := b.do(f.request("/revoke", f.authenticate(b, v)))
	body, _ := io.ReadAll(res.Body)
	if h := res.Header; res.StatusCode != 200 || len(body) > 0 || h.Get("Content-Length") != "0" || h.Get("Cache-Control") != "no-store" {
		b.t.Errorf("revocation: %d %v %q", res.StatusCode, h, body)
	}
}

func just(tok any) url.Values { return url.Values{"token": {tok.(string)}} }

// A held is a client with its tokens.
type held struct {
	b               *bank
	f, api          *fintech
	k               *proofKey // nil: bound to a certificate
	access, refresh string
}

// hold runs the flow for a client whose access tokens have that format and that
// binding.
func hold(t *testing.T, format, binding string, adjust ...func(*authz.Config)) *held {
	h := &held{f: keyClient("kakeibo"), api: apiClient("accounts", resource)}
	h.f.AccessTokenFormat = format
	if binding == "key" {
		h.f.dpop()
		h.k = newProofKey()
	}
	h.b = newBank(t, clients(h.f, h.api), adjust...)
	got := h.f.tokensFor(h.b, h.f.pushable(), h.k)
	h.access, h.refresh = got["access_token"].(string), got["refresh_token"].(string)
	return h
}

// refreshes reports whether the refresh token is taken, and returns what it
// yields.
func (h *held) refreshes() (access string, ok bool) {
	status, got := h.f.post(h.b, "/token", refreshed(h.refresh), h.k)
	access, _ = got["access_token"].(string)
	return access, status == 200
}

// works reports whether an access token works wherever it is asked for.
func (h *held) works(t *testing.T, access string) bool {
	t.Helper()
	asked := h.api.introspect(h.b, access)["active"] == true
	if h.f.AccessTokenFormat != "opaque" {
		if used := h.f.use(h.b, access, h.k) == nil; used != asked {
			t.Errorf("an API with Liveness takes it: %t; introspection says active: %t", used, asked)
		}
	}
	if own := h.f.introspect(h.b, access)["active"] == true; own != asked {
		t.Errorf("its client is told active: %t, and the API %t", own, asked)
	}
	return asked
}

// TestRevocation: what ends with which token, at once.
func TestRevocation(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		for _, binding := range []string{"certificate", "key"} {
			name := ", " + format + " bound to a " + binding
			t.Run("RFC7009-2-1 RFC7009-2.1-2 RFC7009-2.1-3 a refresh token ends the grant"+name, func(t *testing.T) {
				h := hold(t, format, binding)
				second, _ := h.refreshes()
				if !h.works(t, h.access) || !h.works(t, second) {
					t.Fatal("they do not work to begin with")
				}
				h.f.revoke(h.b, just(h.refresh))
				if e := h.b.lastEvent(); e.Kind != "grant_revoked" || e.Client != "kakeibo" || e.Subject != customer || e.Grant == "" {
					t.Errorf("the operator is told %+v", e)
				}
				if h.works(t, h.access) || h.works(t, second) {
					t.Error("an access token of the grant works")
				}
				if _, ok := h.refreshes(); ok {
					t.Error("the refresh token works")
				}
				inactive(t, h.f.introspect(h.b, h.refresh))
			})
			t.Run("RFC7009-2-1 RFC7009-2.1-2 RFC7009-I-1 an access token ends alone"+name, func(t *testing.T) {
				h := hold(t, format, binding)
				second, _ := h.refreshes()
				h.f.revoke(h.b, just(h.access))
				if e := h.b.lastEvent(); e.Kind != "token_revoked" || e.Client != "kakeibo" || e.Subject != customer || e.Token == "" {
					t.Errorf("the operator is told %+v", e)
				}
				if h.works(t, h.access) {
					t.Error("it works")
				}
				if !h.works(t, second) {
					t.Error("another of the grant does not work")
				}
				if _, ok := h.refreshes(); !ok {
					t.Error("the refresh token does not work (RFC7009-2.1-3 leaves that to us, and our documentation says so)")
				}
			})
		}
	}
	t.Run("RFC7009-2-1 a client's own token, which has no grant", func(t *testing.T) {
		h := hold(t, "jwt", "certificate")
		_, got := h.f.token(h.b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
		own := got["access_token"].(string)
		h.f.revoke(h.b, just(own))
		if h.works(t, own) || !h.works(t, h.access) {
			t.Error("it works, or another does not")
		}
	})
	for _, hint := range []string{"access_token", "refresh_token", "pixie_dust", ""} {
		t.Run("RFC7009-2.1-4 whatever the hint: "+hint, func(t *testing.T) {
			h := hold(t, "jwt", "certificate")
			h.f.revoke(h.b, with(just(h.access), "token_type_hint", hint))
			if h.works(t, h.access) {
				t.Error("the access token works")
			}
			h.f.revoke(h.b, with(just(h.refresh), "token_type_hint", hint))
			if _, ok := h.refreshes(); ok {
				t.Error("the refresh token works")
			}
		})
	}
	t.Run("RFC7009-2.1-2 a token stays revoked until no API takes it", func(t *testing.T) {
		h := hold(t, "jwt", "certificate")
		h.f.revoke(h.b, just(h.access))
		jti := claimsOf(t, h.access)["jti"].(string)
		rec, err := h.b.config.Store.Get(t.Context(), grant.DenyKey(issuer, jti))
		if err != nil {
			t.Fatal(err)
		}
		// A verifier may have a Leeway of up to a minute.
		if want := h.b.clock.Now().Add(6 * time.Minute); rec.Expires.Before(want) {
			t.Errorf("the mark is kept until %v, and the token is taken until %v", rec.Expires, want)
		}
	})
}

// TestRevocationOfNothing: whoever wants a token gone that is gone has what it
// wants.
func TestRevocationOfNothing(t *testing.T) {
	h := hold(t, "jwt", "certificate")
	for _, tt := range []struct{ name, token string }{
		{"RFC7009-2.2-1 a word", "unknown"},
		{"RFC7009-2.2-1 a handle that was never issued", "AQ" + strings.Repeat("A", 64)},
		{"RFC7009-2.2-1 the refresh token with another secret", h.refresh[:len(h.refresh)-8] + "AAAAAAAA"},
		{"RFC7009-2.2-1 a JWT of nobody", unsigned(map[string]any{"alg": "none", "typ": "at+jwt"}, map[string]any{"iss": issuer})},
		{"RFC7009-2.2-1 an ID token of another issuer", jwt(map[string]any{"alg": "ES256", "kid": "as-1"}, map[string]any{"iss": issuer}, newEC())},
		{"RFC7009-2.2-1 an ID token of another brand with the same keys", jwt(map[string]any{"alg": "ES256", "kid": "as-1"}, map[string]any{"iss": issuer + "/brand"}, mustSigner(t, serverKeys, "ES256"))},
		{"RFC7009-2.2-1 no ASCII", "鍵"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.f.revoke(h.b, just(tt.token))
			if e := h.b.lastEvent(); e.Kind != "token_unknown" || e.Client != "kakeibo" {
				t.Errorf("the operator is told %+v", e)
			}
			if !h.works(t, h.access) {
				t.Error("the access token is gone")
			}
			if _, ok := h.refreshes(); !ok {
				t.Error("the refresh token is gone")
			}
		})
	}
	t.Run("RFC7009-2.2-1 twice", func(t *testing.T) {
		h := hold(t, "opaque", "certificate")
		for range 2 {
			h.f.revoke(h.b, just(h.access))
		}
		for range 2 {
			h.f.revoke(h.b, just(h.refresh))
		}
		h.f.revoke(h.b, just(h.access)) // after its grant
	})
	t.Run("RFC7009-2.2-1 expired", func(t *testing.T) {
		marks := 0
		h := hold(t, "jwt", "certificate", func(c *authz.Config) {
			c.GrantLifetime = time.Minute
			c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error {
				if op == "Create" && key[0] == byte(grant.KindDeny) {
					marks++
				}
				return nil
			}}
		})
		h.b.clock.Advance(2*time.Minute - time.Second) // an API may still take it
		h.f.revoke(h.b, just(h.access))
		if marks != 1 {
			t.Errorf("%d marks before it is over, want 1", marks)
		}
		h.b.clock.Advance(time.Second)
		h.f.revoke(h.b, just(h.access))
		h.f.revoke(h.b, just(h.refresh))
		if marks != 1 {
			t.Error("the revocation of what is over takes room")
		}
	})
}

// TestRevocationRefused: what is an error, and whatever it is, the token lives.
func TestRevocationRefused(t *testing.T) {
	f, other := keyClient("kakeibo"), keyClient("other")
	b := newBank(t, clients(f, other))
	got := f.tokens(b)
	access, refresh := got["access_token"].(string), got["refresh_token"].(string)
	wrong := other.assertion(b)
	wrong["iss"] = "kakeibo"
	for _, tt := range []struct {
		name   string
		r      func() *http.Request
		status int
		code   string
		rule   string
	}{
		{"RFC7009-2.1-1 another client's refresh token", func() *http.Request { return other.request("/revoke", other.authenticate(b, just(refresh))) }, 400, "unauthorized_client", "RFC7009-2.1-1"},
		{"RFC7009-2.1-1 another client's access token", func() *http.Request { return other.request("/revoke", other.authenticate(b, just(access))) }, 400, "unauthorized_client", "RFC7009-2.1-1"},
		{"RFC7009-2.1-1 no authentication", func() *http.Request { return f.request("/revoke", just(refresh)) }, 401, "invalid_client", "RFC8705-2-3"},
		{"RFC7009-2.1-1 a name alone", func() *http.Request { return f.request("/revoke", with(just(refresh), "client_id", f.ID)) }, 401, "invalid_client", "RFC6749-2.3-2"},
		{"RFC7009-2.1-1 in the name of another", func() *http.Request {
			return other.request("/revoke", other.asserting(just(refresh), other.signed(wrong)))
		}, 401, "invalid_client", "RFC7523-3-1"},
		{"RFC7009-2-2 no token", func() *http.Request { return f.request("/revoke", f.authenticate(b, url.Values{})) }, 400, "invalid_request", "RFC7009-2-2"},
		{"RFC7009-2-2 an empty token", func() *http.Request { return f.request("/revoke", f.authenticate(b, just(""))) }, 400, "invalid_request", "RFC7009-2-2"},
		{"RFC7009-2-2 the token in the URL", func() *http.Request {
			return f.request("/revoke?token="+refresh, f.authenticate(b, url.Values{}))
		}, 400, "invalid_request", "RFC7009-2-2"},
		{"RFC7009-2-2 GET", func() *http.Request {
			return httptest.NewRequest("GET", issuer+"/revoke?"+f.authenticate(b, just(refresh)).Encode(), nil)
		}, 405, "invalid_request", "RFC6749-3.2-1"},
		{"RFC6749-3.1-2 two tokens", func() *http.Request {
			return f.request("/revoke", f.authenticate(b, url.Values{"token": {access, refresh}}))
		}, 400, "invalid_request", "RFC6749-3.1-2"},
		{"RFC7009-2.2.1-1 an ID token", func() *http.Request { return f.request("/revoke", f.authenticate(b, just(got["id_token"]))) }, 400, "unsupported_token_type", "RFC7009-2.2.1-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mustRefuse(t, b, b.do(tt.r()), tt.status, tt.code, tt.rule)
			if err := f.check(b, access); err != nil {
				t.Errorf("the access token: %v", err)
			}
			if status, _ := f.token(b, refreshed(refresh)); status != 200 {
				t.Errorf("the refresh token: %d", status)
			}
		})
	}
	t.Run("RFC7009-2.1-1 a refused request uses up no assertion", func(t *testing.T) {
		form := other.authenticate(b, just(access))
		for range 2 {
			mustRefuse(t, b, b.do(other.request("/revoke", form)), 400, "unauthorized_client", "RFC7009-2.1-1")
		}
	})
	t.Run("RFC7523-3-6 an assertion used twice", func(t *testing.T) {
		form := f.authenticate(b, just("unknown"))
		if !f.send(b, "/revoke", form, 200) {
			t.Error("the first use was refused")
		}
		form.Set("token", refresh)
		mustRefuse(t, b, b.do(f.request("/revoke", form)), 401, "invalid_client", "RFC7523-3-6")
		if status, _ := f.token(b, refreshed(refresh)); status != 200 {
			t.Errorf("the refresh token: %d", status)
		}
	})
}

// TestRevocationRaces: nothing that was under way brings back what was revoked.
func TestRevocationRaces(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		t.Run("RFC7009-2.1-2 ten revocations and ten refreshes, "+format, func(t *testing.T) {
			for range 3 {
				h := hold(t, format, "certificate", far)
				forms := make([]url.Values, racers)
				for i := range forms {
					if i%2 == 0 {
						forms[i] = h.f.authenticate(h.b, just(h.refresh))
					} else {
						forms[i] = h.f.authenticate(h.b, refreshed(h.refresh))
					}
				}
				issued := make([]string, racers)
				race(func(i int) bool {
					if i%2 == 0 {
						if !h.f.send(h.b, "/revoke", forms[i], 200) {
							t.Error("a revocation failed")
						}
						return true
					}
					res := h.b.do(h.f.request("/token", forms[i]))
					issued[i], _ = object(t, res)["access_token"].(string)
					return res.StatusCode == 200
				})
				for _, access := range append(issued, h.access) {
					if access != "" && h.works(t, access) {
						t.Error("an access token works after its grant was revoked")
					}
				}
				if _, ok := h.refreshes(); ok {
					t.Error("the refresh token works after it was revoked")
				}
			}
		})
	}
	t.Run("RFC7009-2.1-2 twenty revocations of one access token", func(t *testing.T) {
		h := hold(t, "opaque", "certificate", far)
		forms := make([]url.Values, racers)
		for i := range forms {
			forms[i] = h.f.authenticate(h.b, just(h.access))
		}
		if wins := race(func(i int) bool { return h.f.send(h.b, "/revoke", forms[i], 200) }); wins != racers {
			t.Errorf("%d of %d were answered", wins, racers)
		}
		if h.works(t, h.access) {
			t.Error("it works")
		}
	})
	t.Run("RFC7523-3-6 twenty revocations with one assertion get one answer", func(t *testing.T) {
		h := hold(t, "jwt", "certificate", far)
		form := h.f.authenticate(h.b, just(h.refresh))
		if wins := race(func(int) bool { return h.f.send(h.b, "/revoke", form, 200) }); wins != 1 {
			t.Errorf("%d of %d were answered, want 1", wins, racers)
		}
	})

	// The redemption has read the grant and is about to write it when the grant
	// is revoked: by a second presentation of the code that has overtaken it.
	t.Run("RFC7009-2.1-2 a redemption that was under way does not bring the grant back", func(t *testing.T) {
		f := keyClient("kakeibo")
		var memory store.Store
		var key string
		b := newBank(t, clients(f), func(c *authz.Config) {
			memory = c.Store
			c.Store = &storetest.Faulty{Store: memory, Fail: func(op, k string) error {
				if op == "Replace" {
					key = k
					return memory.Delete(context.Background(), k)
				}
				return nil
			}}
		})
		code := f.code(b)
		if status, got := f.token(b, f.redeemable(code)); status != 400 || got["error"] != "invalid_grant" || got["access_token"] != nil {
			t.Errorf("the redemption: %d %v", status, got)
		}
		if _, err := memory.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the grant is back: %v", err)
		}
	})
}

// TestRevocationLostReplies: a store whose first answer to each write is lost
// makes no difference, nor does one that fails once.
func TestRevocationLostReplies(t *testing.T) {
	for name, fault := range map[string]func(*storetest.Faulty, func(op, key string) bool){
		"lost": func(s *storetest.Faulty, first func(op, key string) bool) { s.LoseReply = first },
		"failed": func(s *storetest.Faulty, first func(op, key string) bool) {
			s.Fail = func(op, key string) error {
				if first(op, key) {
					return errors.New("connection reset")
				}
				return nil
			}
		},
	} {
		t.Run("RFC7009-2.2-1 "+name, func(t *testing.T) {
			var mu sync.Mutex
			seen := map[string]bool{}
			h := hold(t, "jwt", "certificate", func(c *authz.Config) {
				s := &storetest.Faulty{Store: c.Store}
				fault(s, func(op, key string) bool {
					mu.Lock()
					defer mu.Unlock()
					first := !seen[op+key]
					seen[op+key] = true
					return first && op != "Get"
				})
				c.Store = s
			})
			second, _ := h.refreshes()
			h.f.revoke(h.b, just(h.access))
			if h.works(t, h.access) || !h.works(t, second) {
				t.Error("the access token works, or another does not")
			}
			h.f.revoke(h.b, just(h.refresh))
			if h.works(t, second) {
				t.Error("an access token works although its grant was revoked")
			}
		})
	}
	for _, op := range []string{"Get", "Create", "Delete"} {
		t.Run("RFC7009-2.2.1-2 while the store cannot "+op+", a revocation is not said to be done", func(t *testing.T) {
			var mu sync.Mutex
			down := false
			h := hold(t, "jwt", "certificate", func(c *authz.Config) {
				c.Store = &storetest.Faulty{Store: c.Store, Fail: func(o, _ string) error {
					mu.Lock()
					defer mu.Unlock()
					if down && o == op {
						return errors.New("connection refused")
					}
					return nil
				}}
			})
			set := func(v bool) { mu.Lock(); down = v; mu.Unlock() }
			set(true)
			res := h.b.do(h.f.request("/revoke", h.f.authenticate(h.b, just(h.refresh))))
			if got := object(t, res); res.StatusCode != 503 || got["error"] != "server_error" {
				t.Errorf("%d %v", res.StatusCode, got)
			}
			set(false)
			h.f.revoke(h.b, just(h.refresh))
			if h.works(t, h.access) {
				t.Error("the access token works")
			}
		})
	}
}

// TestRevocationOutage: what cannot be read is not said to be revoked.
func TestRevocationOutage(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	tokens := f.tokens(b)
	b = b.later(func(c *authz.Config) { c.Keys = brokenKeys{} })
	for _, name := range []string{"access_token", "id_token"} {
		t.Run("RFC7009-2.2-1 RFC7009-2.2.1-1 without the keys, "+name, func(t *testing.T) {
			if status, got := f.post(b, "/revoke", url.Values{"token": {tokens[name].(string)}}, nil); status != 503 || len(got) != 1 {
				t.Errorf("%d %v", status, got)
			}
		})
	}
}

// TestRevocationHangUp: who hangs up has revoked it all the same.
func TestRevocationHangUp(t *testing.T) {
	for _, op := range []string{"Create", "Delete"} { // the assertion's jti; the first record of the grant
		t.Run("RFC7009-2.1-2 after "+op, func(t *testing.T) {
			f := keyClient("kakeibo")
			b, after := hangUp(t, f)
			got := f.tokens(b)
			r := f.request("/revoke", f.authenticate(b, just(got["refresh_token"])))
			b.do(r.WithContext(after(op)))
			if err := f.check(b, got["access_token"].(string)); err == nil {
				t.Error("the access token works")
			}
			if status, _ := f.token(b, refreshed(got["refresh_token"])); status != 400 {
				t.Errorf("the refresh token works: %d", status)
			}
		})
	}
	t.Run("RFC7009-2.1-2 an access token", func(t *testing.T) {
		f := keyClient("kakeibo")
		b, after := hangUp(t, f)
		access := f.tokens(b)["access_token"]
		r := f.request("/revoke", f.authenticate(b, just(access)))
		b.do(r.WithContext(after("Create")))
		if err := f.check(b, access.(string)); err == nil {
			t.Error("the access token works")
		}
	})
}

// TestRevocationWaits counts the round trips to the store.
func TestRevocationWaits(t *testing.T) {
	const latency = time.Second
	synctest.Test(t, func(t *testing.T) {
		h := hold(t, "jwt", "certificate", func(c *authz.Config) { c.Store = &storetest.Faulty{Store: c.Store, Latency: latency} })
		for _, tt := range []struct {
			name  string
			token string
			want  time.Duration
		}{
			{"what is no token", "unknown", 1},
			{"an access token", h.access, 2},
			{"a refresh token", h.refresh, 4},
		} {
			start := time.Now()
			h.f.revoke(h.b, just(tt.token))
			if d := time.Since(start); d != tt.want*latency {
				t.Errorf("revoking %s waits %v, want %d seconds", tt.name, d, tt.want)
			}
		}
	})
}

// TestFalseHint: a client cannot make the server search.
func TestFalseHint(t *testing.T) {
	var s *storetest.Faulty
	h := hold(t, "jwt", "certificate", func(c *authz.Config) { s = &storetest.Faulty{Store: c.Store}; c.Store = s })
	for _, path := range []string{"/introspect", "/revoke"} {
		t.Run("RFC7009-5-1 at "+path, func(t *testing.T) {
			for _, tok := range []string{"unknown", h.access, h.refresh[:60] + "AAAAAA"} {
				var counts []int
				for _, hint := range []string{"", "access_token", "refresh_token", "pixie_dust"} {
					form := h.f.authenticate(h.b, with(just(tok), "token_type_hint", hint))
					before := s.Count("Get")
					if !h.f.send(h.b, path, form, 200) {
						t.Error("the request was refused")
					}
					counts = append(counts, s.Count("Get")-before)
				}
				if slices.Max(counts) != slices.Min(counts) || slices.Max(counts) > 2 {
					t.Errorf("%v questions to the store", counts)
				}
			}
		})
	}
}

// TestWireRevocation is wire-examples, 9, and what section 24 makes of it.
func TestWireRevocation(t *testing.T) {
	b, f := proofBank(t)
	v := url.Values{"token": {"rt-Zq4N8vLx2KjW6mTb0RyHc7PfDs1Ug5Ei"}, "token_type_hint": {"refresh_token"}}
	t.Run("RFC7009-2.2-1 section 24, 9: an unknown token", func(t *testing.T) {
		res := b.do(f.signedByFile(t, "/revoke", v, wireAssertion, ""))
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 200 || len(body) > 0 || res.Header.Get("Content-Length") != "0" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v %q", res.StatusCode, res.Header, body)
		}
	})
}
