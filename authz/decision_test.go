package authz_test

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/pkce"
	"github.com/aikagi/aikagi/store/storetest"
)

// started returns a bank, and a browser that has begun the client's request v.
func started(t *testing.T, f *fintech, v url.Values, adjust ...func(*authz.Config)) (b *bank, br *browser, id string) {
	t.Helper()
	b = newBank(t, clients(f), adjust...)
	br = &browser{b: b}
	return b, br, br.begin(f, f.push(b, v))
}

// changed returns v with one parameter replaced.
func changed(v url.Values, name, value string) url.Values {
	v.Set(name, value)
	return v
}

// TestDenials: somebody says no, and the client learns which no.
func TestDenials(t *testing.T) {
	for _, tt := range []struct {
		row  string
		code authz.Code
	}{
		{"CT-AS-3 RFC9207-2-1 OIDC-RS-3", authz.AccessDenied},
		{"OIDC-AR-10", authz.LoginRequired},
		{"OIDC-AR-10", authz.InteractionRequired},
		{"OIDC-AR-12", authz.ConsentRequired},
		{"OIDC-AR-13", authz.AccountSelectionRequired},
		{"OIDC-AR-25", authz.UnmetAuthentication},
		{"RFC6749-4.1.2.1-1", authz.TemporarilyUnavailable},
	} {
		t.Run(tt.row+" "+string(tt.code), func(t *testing.T) {
			f := keyClient("kakeibo")
			b, br, id := started(t, f, f.pushable())
			w, err := br.finish(id, authz.Decision{Deny: tt.code})
			if err != nil {
				t.Fatal(err)
			}
			want := url.Values{"error": {string(tt.code)}, "state": {"st-4Jx9"}, "iss": {issuer}}
			if d := cmp.Diff(want, location(t, w.Result())); d != "" || w.Code != 303 {
				t.Errorf("%d %s", w.Code, d)
			}
			if !strings.HasPrefix(w.Header().Get("Location"), callback+"?error=") {
				t.Errorf("redirect to %s", w.Header().Get("Location"))
			}
			browserHeaders(t, w.Result())
			if e := b.lastEvent(); e.Kind != "grant_denied" || e.Code != tt.code || e.Client != "kakeibo" {
				t.Errorf("event %+v", e)
			}
		})
	}
	t.Run("CT-AS-3 with the client's own query", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.RedirectURIs = []string{callback + "?dummy1=lorem&dummy2=ipsum"}
		_, br, id := started(t, f, f.pushable())
		w, err := br.finish(id, authz.Decision{Deny: authz.AccessDenied})
		if want := f.RedirectURIs[0] + "&error=access_denied&"; err != nil || !strings.HasPrefix(w.Header().Get("Location"), want) {
			t.Errorf("%s, %v", w.Header().Get("Location"), err)
		}
	})
}

// TestFinishRefuses: a decision that does not answer the request, or cannot be
// one, leaves no trace: not in the store, not in the answer.
func TestFinishRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(*bank, *authz.Decision)
		push func(url.Values)
		code authz.Code // "" means the host's mistake
	}{
		{"RFC9700-4.14.2-1 more scopes than asked", func(_ *bank, d *authz.Decision) { d.Scopes = []string{"openid", "accounts", "payments"} }, nil, "invalid_scope"},
		{"RFC9700-4.14.2-1 other scopes than asked", func(_ *bank, d *authz.Decision) { d.Scopes = []string{"payments"} }, nil, "invalid_scope"},
		{"RFC9700-4.14.2-1 a scope in another case", func(_ *bank, d *authz.Decision) { d.Scopes = []string{"Accounts"} }, nil, "invalid_scope"},
		{"OIDC-AR-24 no scope at all", func(_ *bank, d *authz.Decision) { d.Scopes = []string{} }, nil, ""},
		{"OIDC-IT-2 no subject", func(_ *bank, d *authz.Decision) { d.Subject = "" }, nil, ""},
		{"OIDC-IT-2 a subject of 256 characters", func(_ *bank, d *authz.Decision) { d.Subject = strings.Repeat("u", 256) }, nil, ""},
		{"OIDC-IT-2 a subject that is not ASCII", func(_ *bank, d *authz.Decision) { d.Subject = "花子" }, nil, ""},
		{"OIDC-IT-2 a line break in the subject", func(_ *bank, d *authz.Decision) { d.Subject = "u\n1" }, nil, ""},
		{"OIDC-IT-5 no AuthTime for an ID token", func(_ *bank, d *authz.Decision) { d.AuthTime = time.Time{} }, nil, ""},
		{"OIDC-IT-5 no AuthTime for max_age", func(_ *bank, d *authz.Decision) { d.AuthTime = time.Time{} },
			func(v url.Values) { v.Set("scope", "accounts"); v.Set("max_age", "3600") }, ""},
		{"OIDC-AR-11 no AuthTime for prompt=login", func(_ *bank, d *authz.Decision) { d.AuthTime = time.Time{} },
			func(v url.Values) { v.Set("scope", "accounts"); v.Set("prompt", "login") }, ""},
		{"an AuthTime to come", func(b *bank, d *authz.Decision) { d.AuthTime = b.clock.Now().Add(2 * time.Minute) }, nil, ""},
		{"OIDC-AR-14 a login older than max_age", func(b *bank, d *authz.Decision) { d.AuthTime = b.clock.Now().Add(-61 * time.Second) },
			func(v url.Values) { v.Set("max_age", "60") }, "login_required"},
		{"OIDC-AR-14 a login before max_age=0", func(b *bank, d *authz.Decision) { d.AuthTime = b.clock.Now().Add(-time.Second) },
			func(v url.Values) { v.Set("max_age", "0") }, "login_required"},
		{"OIDC-AR-11 a login before prompt=login", func(b *bank, d *authz.Decision) { d.AuthTime = b.clock.Now().Add(-time.Second) },
			func(v url.Values) { v.Set("prompt", "login consent") }, "login_required"},
		{"OIDC-IT-8 an empty authentication method", func(_ *bank, d *authz.Decision) { d.AMR = []string{"pwd", ""} }, nil, ""},
		{"OIDC-IT-7 an acr that is not text", func(_ *bank, d *authz.Decision) { d.ACR = "\xff" }, nil, ""},
		{"OIDC-IT-8 an authentication method that is not text", func(_ *bank, d *authz.Decision) { d.AMR = []string{"\xff"} }, nil, ""},
		{"a grant that has ended", func(b *bank, d *authz.Decision) { d.Expires = b.clock.Now() }, nil, ""},
		{"OIDC-RS-5 a code only the library gives", func(_ *bank, d *authz.Decision) { d.Deny = "invalid_request" }, nil, ""},
		{"OIDC-RS-5 a code that is none", func(_ *bank, d *authz.Decision) { d.Deny = "no\r\nLocation: https://evil.example" }, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			v := f.pushable()
			if tt.push != nil {
				tt.push(v)
			}
			var st *storetest.Faulty
			b, br, id := started(t, f, v, func(c *authz.Config) {
				st = &storetest.Faulty{Store: c.Store}
				c.Store = st
			})
			d := b.approval()
			tt.with(b, &d)
			writes := st.Count("") - st.Count("Get")
			w, err := br.finish(id, d)
			var refusal *authz.Error
			if err == nil || errors.As(err, &refusal) != (tt.code != "") || refusal != nil && refusal.Code != tt.code {
				t.Errorf("Finish: %v, want %q", err, tt.code)
			}
			if n := st.Count("") - st.Count("Get"); n != writes {
				t.Errorf("%d writes to the store", n-writes)
			}
			untouched(t, w)
			if e := b.lastEvent(); e.Grant == "" || !strings.HasPrefix(e.Kind, "request_") {
				t.Errorf("event %+v", e)
			}
			if w, err := br.finish(id, b.approval()); err != nil || location(t, w.Result()).Get("code") == "" {
				t.Errorf("a good decision afterwards: %v", err)
			}
		})
	}
}

// untouched checks that nothing was written to w.
func untouched(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code != 200 || len(w.Header()) != 0 || w.Body.Len() != 0 || w.Flushed {
		t.Errorf("the answer has %d %v %q", w.Code, w.Header(), w.Body)
	}
}

// TestFinishAccepts: the edges that must work.
func TestFinishAccepts(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(*bank, *authz.Decision)
		push func(url.Values)
	}{
		{"OIDC-IT-2 a subject of 255 characters", func(_ *bank, d *authz.Decision) { d.Subject = strings.Repeat("u", 255) }, nil},
		{"OIDC-IT-2 any printable ASCII", func(_ *bank, d *authz.Decision) { d.Subject = `BANK\u "1"~` }, nil},
		{"OIDC-AR-14 a login as old as max_age", func(b *bank, d *authz.Decision) { d.AuthTime = b.clock.Now().Add(-60 * time.Second) },
			func(v url.Values) { v.Set("max_age", "60") }},
		{"OIDC-AR-11 a login on this visit", nil, func(v url.Values) { v.Set("prompt", "login") }},
		{"OIDC-AR-14 max_age=0 and a login on this visit", nil, func(v url.Values) { v.Set("max_age", "0") }},
		{"OIDC-AR-18 another acr than asked", func(_ *bank, d *authz.Decision) { d.ACR = "urn:bank:acr:low" },
			func(v url.Values) { v.Set("acr_values", "urn:bank:acr:sca") }},
		{"no acr, amr or AuthTime without openid", func(_ *bank, d *authz.Decision) { d.ACR, d.AMR, d.AuthTime = "", nil, time.Time{} },
			func(v url.Values) { v.Set("scope", "accounts") }},
		{"a clock half a minute ahead", func(b *bank, d *authz.Decision) { d.AuthTime = b.clock.Now().Add(30 * time.Second) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			v := f.pushable()
			if tt.push != nil {
				tt.push(v)
			}
			b, br, id := started(t, f, v)
			d := b.approval()
			if tt.with != nil {
				tt.with(b, &d)
			}
			w, err := br.finish(id, d)
			if err != nil {
				t.Fatal(err)
			}
			status, got := f.token(b, f.redeemable(location(t, w.Result()).Get("code")))
			if status != 200 {
				t.Fatalf("token: %d %v", status, got)
			}
			if sub := claimsOf(t, got["access_token"].(string))["sub"]; sub != d.Subject {
				t.Errorf("sub is %q, want %q", sub, d.Subject)
			}
		})
	}
	t.Run("PIT-12 half an hour of reading does not age the login", func(t *testing.T) {
		f := keyClient("kakeibo")
		b, br, id := started(t, f, changed(f.pushable(), "max_age", "60"))
		d := b.approval()
		d.AuthTime = b.clock.Now().Add(-30 * time.Second)
		b.clock.Advance(29 * time.Minute)
		if _, err := br.finish(id, d); err != nil {
			t.Error(err)
		}
	})
}

// TestFirstDecisionWins: whatever comes second, by whatever way, is refused.
func TestFirstDecisionWins(t *testing.T) {
	yes := authz.Decision{Subject: customer, AuthTime: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	mallory := yes
	mallory.Subject = "u-mallory"
	no := authz.Decision{Deny: authz.AccessDenied}
	for _, tt := range []struct {
		name          string
		first, second authz.Decision
	}{
		{"approved again", yes, yes},
		{"approved by another customer", yes, mallory},
		{"approved after it was denied", no, yes},
		{"denied after it was approved", yes, no},
		{"denied again", no, no},
	} {
		for _, stuck := range []bool{false, true} { // whether the store fails to forget the request
			name := tt.name
			if stuck {
				name += ", the request still stored"
			}
			t.Run("RFC9126-I-2 FAPI2-SP-5.3.2.2-N3 "+name, func(t *testing.T) {
				f := keyClient("kakeibo")
				b := newBank(t, clients(f), func(c *authz.Config) {
					c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, _ string) error {
						if stuck && op == "Delete" {
							return errors.New("read-only")
						}
						return nil
					}}
				})
				uri := f.push(b, f.pushable())
				br, other := &browser{b: b}, &browser{b: b}
				id, others := br.begin(f, uri), other.begin(f, uri)
				r := br.page(id)
				held, err := b.srv.Interaction(r)
				if err != nil {
					t.Fatal(err)
				}
				w, err := br.finish(id, tt.first)
				if err != nil {
					t.Fatal(err)
				}
				code := location(t, w.Result()).Get("code")

				b.clock.Advance(29 * time.Minute)
				again := httptest.NewRecorder()
				if err := held.Finish(again, r, tt.second); !is(err, "invalid_request_uri") {
					t.Errorf("a page that was open: %v", err)
				}
				untouched(t, again)
				for _, late := range []struct {
					br *browser
					id string
				}{{br, id}, {other, others}} {
					w, err := late.br.finish(late.id, tt.second)
					if !is(err, "invalid_request_uri") {
						t.Errorf("a page opened afterwards: %v", err)
					}
					untouched(t, w)
				}
				b.clock.Advance(-29 * time.Minute)
				if code != "" {
					status, got := f.token(b, f.redeemable(code))
					if status != 200 || claimsOf(t, got["access_token"].(string))["sub"] != customer {
						t.Errorf("the first answer no longer counts: %d %v", status, got)
					}
				}
			})
		}
	}
}

// TestFinishOutage: while the store is away nothing is answered, and the same
// page works when it is back.
func TestFinishOutage(t *testing.T) {
	f := keyClient("kakeibo")
	down := false
	b, br, id := started(t, f, f.pushable(), func(c *authz.Config) {
		c.Store = &storetest.Faulty{Store: c.Store, Fail: func(string, string) error {
			if down {
				return errors.New("connection refused by 192.0.2.7")
			}
			return nil
		}}
	})
	r := br.page(id)
	in, err := b.srv.Interaction(r)
	if err != nil {
		t.Fatal(err)
	}
	down = true
	w := httptest.NewRecorder()
	var refusal *authz.Error
	if err := in.Finish(w, r, b.approval()); err == nil || errors.As(err, &refusal) {
		t.Errorf("Finish: %v, want an outage", err)
	}
	untouched(t, w)
	if e := b.lastEvent(); e.Kind != "request_failed" || e.Code != "server_error" {
		t.Errorf("event %+v", e)
	}
	if in, err := br.resume(id); in != nil || err == nil || errors.As(err, &refusal) {
		t.Errorf("Interaction: %v, %v; want an outage", in, err)
	}
	down = false
	if err := in.Finish(w, r, b.approval()); err != nil || location(t, w.Result()).Get("code") == "" {
		t.Errorf("when it is back: %v", err)
	}
}

// TestDecisionNotStored: what was not stored was not decided, whatever else
// still works.
func TestDecisionNotStored(t *testing.T) {
	for name, decide := range map[string]func(*bank) authz.Decision{
		"RFC6749-4.1.2-1 a code": (*bank).approval,
		"OIDC-AR-10 a denial":    func(*bank) authz.Decision { return authz.Decision{Deny: authz.LoginRequired} },
	} {
		t.Run(name, func(t *testing.T) {
			f, down := keyClient("kakeibo"), false
			b, br, id := started(t, f, f.pushable(), func(c *authz.Config) {
				c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, _ string) error {
					if down && op == "Create" {
						return errors.New("read only")
					}
					return nil
				}}
			})
			down = true
			w, err := br.finish(id, decide(b))
			var refusal *authz.Error
			if err == nil || errors.As(err, &refusal) {
				t.Errorf("Finish: %v, want an outage", err)
			}
			untouched(t, w)
			down = false
			if _, err := br.finish(id, decide(b)); err != nil {
				t.Errorf("when it is back: %v", err)
			}
		})
	}
}

// TestGrantRecord: what a grant leaves in the store, and for how long.
func TestGrantRecord(t *testing.T) {
	f := keyClient("kakeibo")
	v := changed(f.pushable(), "code_challenge", pkce.Challenge(verifier))
	b, br, id := started(t, f, v)
	w, err := br.finish(id, b.approval())
	if err != nil {
		t.Fatal(err)
	}
	code := location(t, w.Result()).Get("code")
	rec, err := b.config.Store.Get(t.Context(), b.lastEvent().Grant)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("RFC6749-10.4-1 no secret", func(t *testing.T) {
		for _, part := range []string{code, code[len(code)-22:], verifier} {
			if strings.Contains(string(rec.Value), part) {
				t.Errorf("the record has %q", part)
			}
		}
		h, err := grant.ParseHandle(code)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(rec.Value), string(h.Secret[:])) {
			t.Error("the record has the code's secret")
		}
	})
	t.Run("FAPI2-SP-5.3.2.2-N1 kept at least as long as the grant", func(t *testing.T) {
		if want := b.clock.Now().Add(90 * 24 * time.Hour); rec.Expires.Before(want) {
			t.Errorf("until %v, want %v", rec.Expires, want)
		}
		if len(rec.Tags) != 2 {
			t.Errorf("tags %q", rec.Tags)
		}
	})
}
