package authz_test

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store/storetest"
)

// overtaken sets the scene of a grant that was made in one tab, used and revoked
// while another tab was about to decide the same request. Late is that tab's,
// and access a token of the revoked grant.
func overtaken(t *testing.T, f *fintech, adjust ...func(*authz.Config)) (b *bank, late *authz.Interaction, access string) {
	t.Helper()
	b = newBank(t, clients(f), adjust...)
	uri := f.push(b, f.pushable())
	br := &browser{b: b}
	id := br.begin(f, uri)
	late, err := br.resume(id)
	if err != nil {
		t.Fatal(err)
	}
	w, err := br.finish(id, b.approval())
	if err != nil {
		t.Fatal(err)
	}
	_, got := f.token(b, f.redeemable(location(t, w.Result()).Get("code")))
	access, _ = got["access_token"].(string)
	refresh, _ := got["refresh_token"].(string)
	if res := b.do(f.request("/revoke", f.authenticate(b, url.Values{"token": {refresh}}))); res.StatusCode != 200 {
		t.Fatalf("revocation: %d", res.StatusCode)
	}
	if err := f.check(b, access); err == nil {
		t.Fatal("the grant was not revoked")
	}
	return b, late, access
}

// TestLateDecision: a decision that was under way while its grant was revoked
// in another tab, and whose undoing fails, does not make the revoked tokens
// good again, neither here nor at an API.
func TestLateDecision(t *testing.T) {
	f := keyClient("kakeibo")
	for _, tt := range []struct {
		name string
		deny authz.Code
	}{
		{"RFC7009-2.1-2 RFC7009-2.1-3 a late approval that cannot be undone", ""},
		{"RFC7009-2.1-2 RFC7009-2.1-3 a late denial", authz.AccessDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			created := false
			b, late, access := overtaken(t, f, func(c *authz.Config) {
				c.Store = &storetest.Faulty{Store: c.Store, Fail: func(op, key string) error {
					if created && (op == "Delete" || op == "Get" && key[0] == 'r') {
						return errors.New("down")
					}
					return nil
				}}
			})
			created = true
			d := b.approval()
			if tt.deny != "" {
				d = authz.Decision{Deny: tt.deny}
			}
			err := late.Finish(httptest.NewRecorder(), httptest.NewRequest("POST", issuer+"/consent", nil), d)
			if tt.deny == "" && err == nil {
				t.Error("the approval was carried out")
			}
			created = false
			if err := f.check(b, access); err == nil {
				t.Error("an API takes the revoked token")
			}
			res := b.do(f.request("/introspect", f.authenticate(b, url.Values{"token": {access}})))
			if got := object(t, res); got["active"] != false {
				t.Errorf("introspection: %v", got)
			}
		})
	}
}
