package authz_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
)

// office returns the grants of b, as a program beside the server has them.
func (b *bank) office() *authz.Grants {
	return &authz.Grants{
		Issuer: issuer, Store: b.config.Store, Lister: b.config.Store.(store.Lister),
		Audit: b.config.Audit, Now: b.clock.Now,
	}
}

func ids(page []*authz.Grant) (ids []string) {
	for _, g := range page {
		ids = append(ids, g.ID)
	}
	return ids
}

// all lists what of one page by page.
func all(t *testing.T, list func(after string, limit int) ([]*authz.Grant, error), limit int) (found []string) {
	t.Helper()
	after := ""
	for range 100 {
		page, err := list(after, limit)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, ids(page)...)
		if len(page) < limit {
			return found
		}
		after = page[len(page)-1].ID
	}
	t.Fatal("the list has no end")
	return nil
}

func (f *fintech) granted(b *bank, d authz.Decision) (id string, tokens map[string]any) {
	b.t.Helper()
	br := &browser{b: b}
	res, err := br.decide(f, f.push(b, f.pushable()), d)
	if err != nil {
		b.t.Fatal(err)
	}
	id = b.lastEvent().Grant
	status, tokens := f.token(b, f.redeemable(location(b.t, res).Get("code")))
	if status != 200 {
		b.t.Fatalf("%d %v", status, tokens)
	}
	return id, tokens
}

func TestGrants(t *testing.T) {
	f, other := keyClient("kakeibo"), tlsClient("furikae")
	b := newBank(t, clients(f, other), func(c *authz.Config) { withDetails(c) })
	gs := b.office()
	ctx := t.Context()
	d := b.approval()
	d.Expires = b.clock.Now().Add(time.Hour)
	id, tokens := f.granted(b, d)

	t.Run("what a page shows of a grant", func(t *testing.T) {
		got, err := gs.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		want := &authz.Grant{
			ID: id, Client: "kakeibo", Subject: customer, Scopes: []string{"openid", "accounts"}, Created: b.clock.Now(), Expires: d.Expires,
			AuthTime: d.AuthTime, ACR: d.ACR, Redeemed: true,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("RFC9700-4.14.2-2 of a customer and of a client, page by page", func(t *testing.T) {
		want := []string{id}
		for range 6 {
			one, _ := f.granted(b, d)
			want = append(want, one)
		}
		d.Subject = "u-another"
		f.granted(b, d)
		d.Subject = customer
		theirs, _ := other.granted(b, d)
		want = append(want, theirs)
		slices.Sort(want)
		for _, limit := range []int{1, 2, 8, 9} {
			got := all(t, func(after string, limit int) ([]*authz.Grant, error) {
				return gs.BySubject(ctx, customer, after, limit)
			}, limit)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("by %d: %s", limit, diff)
			}
		}
		if got := all(t, func(after string, limit int) ([]*authz.Grant, error) {
			return gs.ByClient(ctx, "kakeibo", after, limit)
		}, 3); len(got) != 8 || slices.Contains(got, theirs) {
			t.Errorf("%v", got)
		}
		for _, nobody := range []string{"", "u-nobody"} {
			if page, err := gs.BySubject(ctx, nobody, "", 10); err != nil || len(page) != 0 {
				t.Errorf("%q: %v %v", nobody, page, err)
			}
		}
	})
	t.Run("FAPI2-SP-5.3.4-3 the customer ends one, and its tokens are of no use", func(t *testing.T) {
		access, refresh := tokens["access_token"].(string), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}}
		if err := f.check(b, access); err != nil {
			t.Fatal(err)
		}
		if err := gs.Revoke(ctx, id); err != nil {
			t.Fatal(err)
		}
		if e := b.lastEvent(); e.Kind != "grant_revoked" || e.Grant != id || e.Client != "kakeibo" || e.Subject != customer {
			t.Errorf("%+v", e)
		}
		if err := f.check(b, access); err == nil {
			t.Error("the access token works")
		}
		if status, got := f.token(b, refresh); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
		if _, err := gs.Get(ctx, id); !errors.Is(err, authz.ErrNoGrant) {
			t.Errorf("%v", err)
		}
		if page, err := gs.BySubject(ctx, customer, "", 100); err != nil || slices.Contains(ids(page), id) || len(page) != 7 {
			t.Errorf("%v %v", ids(page), err)
		}
		if err := gs.Revoke(ctx, id); !errors.Is(err, authz.ErrNoGrant) {
			t.Errorf("again: %v", err)
		}
	})
	t.Run("what has ended is not shown", func(t *testing.T) {
		b.clock.Advance(time.Hour)
		if page, err := gs.BySubject(ctx, customer, "", 100); err != nil || len(page) != 0 {
			t.Errorf("%v %v", ids(page), err)
		}
	})
	t.Run("a list without a Lister, and a page of nothing", func(t *testing.T) {
		if _, err := (&authz.Grants{Issuer: issuer, Store: b.config.Store}).BySubject(ctx, customer, "", 1); err == nil {
			t.Error("no error")
		}
		if _, err := gs.ByClient(ctx, "kakeibo", "", 0); err == nil {
			t.Error("no error")
		}
	})
}

// TestGrantsUnredeemed: a code that waits, and one that nobody came for.
func TestGrantsUnredeemed(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	gs := b.office()
	code := f.code(b)
	id := b.lastEvent().Grant
	g, err := gs.Get(t.Context(), id)
	if err != nil || g.Redeemed {
		t.Fatalf("%+v %v", g, err)
	}
	t.Run("RFC6749-4.1.2-3 it is revoked before the code is redeemed", func(t *testing.T) {
		if err := gs.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if status, got := f.token(b, f.redeemable(code)); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("nobody came", func(t *testing.T) {
		f.code(b)
		id := b.lastEvent().Grant
		b.clock.Advance(time.Minute)
		if _, err := gs.Get(t.Context(), id); !errors.Is(err, authz.ErrNoGrant) {
			t.Errorf("%v", err)
		}
		if page, err := gs.BySubject(t.Context(), customer, "", 10); err != nil || len(page) != 0 {
			t.Errorf("%v %v", page, err)
		}
	})
	t.Run("a denied request is no grant", func(t *testing.T) {
		br := &browser{b: b}
		if _, err := br.decide(f, f.push(b, f.pushable()), authz.Decision{Deny: authz.AccessDenied}); err != nil {
			t.Fatal(err)
		}
		if _, err := gs.Get(t.Context(), b.lastEvent().Grant); !errors.Is(err, authz.ErrNoGrant) {
			t.Errorf("%v", err)
		}
	})
}

// TestGrantsOthers: ids that are not a grant's of this issuer.
func TestGrantsOthers(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	uri := f.push(b, f.pushable())
	id, _ := f.granted(b, b.approval())
	brand := b.office()
	brand.Issuer = "https://as.brand.example"
	for name, err := range map[string]error{
		"another brand's, read":  func() error { _, err := brand.Get(t.Context(), id); return err }(),
		"another brand's, ended": brand.Revoke(t.Context(), id),
		"no id":                  b.office().Revoke(t.Context(), ""),
		"another kind of record": b.office().Revoke(t.Context(), "r"+id[1:]),
		"unknown":                b.office().Revoke(t.Context(), "g"+id[2:]+"A"),
	} {
		t.Run("CONF-1 "+name, func(t *testing.T) {
			if !errors.Is(err, authz.ErrNoGrant) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := b.office().Get(t.Context(), id); err != nil {
		t.Errorf("and it is gone: %v", err)
	}
	if res := (&browser{b: b}).open(f, uri); res.StatusCode != 200 {
		t.Errorf("the request is gone: %d", res.StatusCode)
	}
	t.Run("a list that lies shows nobody else's", func(t *testing.T) {
		gs := b.office()
		gs.Lister = lying{b.config.Store.(store.Lister)}
		page, err := gs.BySubject(t.Context(), "u-another", "", 10)
		if err != nil || len(page) != 0 {
			t.Errorf("%v %v", page, err)
		}
	})
	t.Run("CONF-1 nor another brand's", func(t *testing.T) {
		gs := brand
		gs.Lister = lying{b.config.Store.(store.Lister)}
		page, err := gs.BySubject(t.Context(), customer, "", 10)
		if err != nil || len(page) != 0 {
			t.Errorf("%v %v", page, err)
		}
	})
	t.Run("what can be no grant's id is not looked up", func(t *testing.T) {
		gs := b.office()
		gs.Store = away{}
		for _, other := range []string{"", "r" + id[1:], id + "A", id[1:]} {
			if _, err := gs.Get(t.Context(), other); !errors.Is(err, authz.ErrNoGrant) {
				t.Errorf("%q: %v", other, err)
			}
		}
	})
	t.Run("a store that is away is no missing grant", func(t *testing.T) {
		gs := b.office()
		gs.Store = away{}
		if err := gs.Revoke(t.Context(), id); err == nil || errors.Is(err, authz.ErrNoGrant) {
			t.Errorf("%v", err)
		}
	})
}

// lying lists the customer's, whoever's are asked for.
type lying struct{ store.Lister }

func (l lying) List(ctx context.Context, _, after string, limit int) ([]store.Record, error) {
	return l.Lister.List(ctx, grant.SubjectTag(issuer, customer), after, limit)
}

// away is a store that cannot be reached.
type away struct{ store.Store }

func (away) Get(context.Context, string) (store.Record, error) {
	return store.Record{}, errors.New("out of reach")
}

// TestGrantsPages: a page is full, whatever has ended in between.
func TestGrantsPages(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	gs := b.office()
	var want []string
	for i := range 9 {
		d := b.approval()
		d.Expires = b.clock.Now().Add(time.Hour)
		if i%3 == 0 {
			d.Expires = b.clock.Now().Add(48 * time.Hour)
		}
		id, _ := f.granted(b, d)
		if i%3 == 0 {
			want = append(want, id)
		}
	}
	slices.Sort(want)
	b.clock.Advance(time.Hour)
	for _, limit := range []int{1, 2, 3, 4} {
		t.Run("RFC9700-4.14.2-2", func(t *testing.T) {
			got := all(t, func(after string, limit int) ([]*authz.Grant, error) {
				page, err := gs.BySubject(t.Context(), customer, after, limit)
				if len(page) > limit {
					t.Errorf("a page of %d, and %d were asked for", len(page), limit)
				}
				return page, err
			}, limit)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("by %d: %s", limit, diff)
			}
		})
	}
}

// TestGrantsEnded: what has ended is no grant, and is not left to be amended.
func TestGrantsEnded(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), func(c *authz.Config) { c.GrantLifetime = 0 })
	gs := b.office()
	for name, grant := range map[string]func() string{
		"its access token has expired": func() string { id, _ := f.granted(b, b.approval()); return id },
		"its code has expired":         func() string { f.code(b); return b.lastEvent().Grant },
	} {
		t.Run("GM-5-3 "+name, func(t *testing.T) {
			id := grant()
			if _, err := gs.Get(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(24 * time.Hour)
			if _, err := gs.Get(t.Context(), id); !errors.Is(err, authz.ErrNoGrant) {
				t.Errorf("%v", err)
			}
			if err := gs.Revoke(t.Context(), id); !errors.Is(err, authz.ErrNoGrant) {
				t.Errorf("%v", err)
			}
			if _, err := b.config.Store.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("it is kept: %v", err)
			}
		})
	}
}

// TestGrantsHangUp: whoever ends a grant may leave.
func TestGrantsHangUp(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	id, _ := f.granted(b, b.approval())
	gs := b.office()
	ctx, cancel := context.WithCancel(t.Context())
	gs.Store = hungUp{b.config.Store, cancel}
	t.Run("FAPI2-SP-5.3.4-3 it ends all the same, and is told", func(t *testing.T) {
		if err := gs.Revoke(ctx, id); err != nil {
			t.Error(err)
		}
		if e := b.lastEvent(); e.Kind != "grant_revoked" || e.Issuer != issuer || !e.Time.Equal(b.clock.Now()) || e.Endpoint != "grants" {
			t.Errorf("%+v", e)
		}
		if _, err := b.office().Get(t.Context(), id); !errors.Is(err, authz.ErrNoGrant) {
			t.Errorf("%v", err)
		}
	})
}

// hungUp is a store whose caller leaves once it has read.
type hungUp struct {
	store.Store
	leave func()
}

func (s hungUp) Get(ctx context.Context, key string) (store.Record, error) {
	defer s.leave()
	return s.Store.Get(ctx, key)
}

func (s hungUp) Delete(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.Store.Delete(ctx, key)
}
