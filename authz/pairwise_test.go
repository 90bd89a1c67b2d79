package authz_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

const salt = "a salt that never changes, of 32 bytes or more"

func salted(c *authz.Config) { c.Pairwise = []byte(salt) }

// pairwise makes f a client with subjects of its own.
func (f *fintech) pairwise(sector string, redirects ...string) *fintech {
	f.SubjectType, f.SectorIdentifierURI = "pairwise", sector
	if redirects != nil {
		f.RedirectURIs = redirects
	}
	return f
}

// subOf returns the sub of an ID token for f.
func (f *fintech) subOf(t *testing.T, b *bank) string {
	t.Helper()
	return claimsOf(t, f.tokens(b)["id_token"].(string))["sub"].(string)
}

// TestPairwise: one customer, one name for each sector.
func TestPairwise(t *testing.T) {
	byHost := keyClient("by-host").pairwise("")
	sameHost := keyClient("same-host").pairwise("", "https://APP.fintech.example/other", "https://app.fintech.example:8443/third?x=1")
	bySector := keyClient("by-sector").pairwise("https://App.fintech.example:8443/sector.json", "https://one.example/cb", "https://two.example/cb")
	elsewhere := keyClient("elsewhere").pairwise("https://other.example/sector.json")
	longer := keyClient("longer").pairwise("https://xapp.fintech.example/sector.json")
	public := keyClient("public")
	b := newBank(t, clients(byHost, sameHost, bySector, elsewhere, longer, public), salted)
	sub := byHost.subOf(t, b)

	t.Run("OIDC-SU-2 PIT-14 as computed by hand", func(t *testing.T) {
		mac := hmac.New(sha256.New, []byte(salt))
		for _, part := range []string{issuer, "app.fintech.example", customer} {
			mac.Write([]byte{0, 0, 0, 0, 0, 0, 0, byte(len(part))})
			mac.Write([]byte(part))
		}
		if want := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); sub != want {
			t.Errorf("sub is %s, want %s", sub, want)
		}
	})
	t.Run("OIDC-SU-2 OIDC-SU-3 one name in a sector", func(t *testing.T) {
		for _, f := range []*fintech{byHost, sameHost, bySector} {
			if got := f.subOf(t, b); got != sub {
				t.Errorf("%s knows %s", f.ID, got)
			}
		}
	})
	t.Run("OIDC-SU-2 another in every other sector, and for every other customer", func(t *testing.T) {
		seen := []string{sub}
		for _, f := range []*fintech{elsewhere, longer} {
			seen = append(seen, f.subOf(t, b))
		}
		d := b.approval()
		d.Subject = customer + "x"
		res, err := (&browser{b: b}).decide(byHost, byHost.push(b, byHost.pushable()), d)
		if err != nil {
			t.Fatal(err)
		}
		_, got := byHost.token(b, byHost.redeemable(location(t, res).Get("code")))
		seen = append(seen, claimsOf(t, got["id_token"].(string))["sub"].(string))
		seen = append(seen, byHost.subOf(t, newBank(t, clients(byHost), func(c *authz.Config) { c.Pairwise = []byte(salt + "x") })))
		slices.Sort(seen)
		if n := len(slices.Compact(seen)); n != 5 {
			t.Errorf("%d names, want 5", n)
		}
	})
	t.Run("OIDC-SU-1 a public client beside them", func(t *testing.T) {
		if got := public.subOf(t, b); got != customer {
			t.Errorf("sub %s", got)
		}
	})
	t.Run("OIDC-SU-6 OIDC-UI-2 PIT-14 the same name everywhere", func(t *testing.T) {
		tokens := byHost.tokens(b)
		access := tokens["access_token"].(string)
		_, again := byHost.token(b, refreshing(tokens["refresh_token"].(string)))
		for where, got := range map[string]any{
			"ID token":     claimsOf(t, tokens["id_token"].(string))["sub"],
			"access token": claimsOf(t, access)["sub"],
			"refreshed":    claimsOf(t, again["access_token"].(string))["sub"],
			"userinfo":     byHost.info(b, access, nil)["sub"],
			"introspected": byHost.introspect(b, access)["sub"],
		} {
			if got != sub {
				t.Errorf("%s: %v, want %s", where, got, sub)
			}
		}
	})
	t.Run("OIDC-SU-6 opaque, too", func(t *testing.T) {
		f := keyClient("opaque").pairwise("").opaque()
		b := newBank(t, clients(f), salted)
		access := f.tokens(b)["access_token"].(string)
		if info, told := f.info(b, access, nil), f.introspect(b, access); info["sub"] != sub || told["sub"] != sub {
			t.Errorf("userinfo %v, introspection %v, want %s", info["sub"], told["sub"], sub)
		}
	})
	t.Run("OIDC-SEC-3 the bank's events have the bank's name", func(t *testing.T) {
		byHost.info(b, byHost.tokens(b)["access_token"].(string), nil)
		if e := b.lastEvent(); e.Subject != customer {
			t.Errorf("%+v", e)
		}
		access := byHost.tokens(b)["access_token"].(string)
		byHost.introspect(b, access)
		if e := b.lastEvent(); e.Kind != "token_introspected" || e.Subject != customer {
			t.Errorf("%+v", e)
		}
		if res := b.do(byHost.request("/revoke", byHost.authenticate(b, url.Values{"token": {access}}))); res.StatusCode != 200 {
			t.Fatalf("revoke: %d", res.StatusCode)
		}
		if e := b.lastEvent(); e.Kind != "token_revoked" || e.Subject != "" || e.Grant == "" { // the token alone does not say
			t.Errorf("%+v", e)
		}
		byHost.introspect(b, access)
		if e := b.lastEvent(); e.Kind != "token_introspected" || e.Reason == "" || e.Subject != "" {
			t.Errorf("%+v", e)
		}
	})
}

// TestSectors: a client without one sector is not served.
func TestSectors(t *testing.T) {
	b := newBank(t, nil, salted)
	for _, tt := range []struct {
		name   string
		client *fintech
		want   string // rule, or "" if it is served
	}{
		{"OIDC-SU-3 one host", keyClient("a").pairwise(""), ""},
		{"OIDC-SU-3 two hosts", keyClient("a").pairwise("", "https://one.example/cb", "https://two.example/cb"), "OIDC-SU-3"},
		{"OIDC-SU-3 two hosts and a sector", keyClient("a").pairwise("https://one.example/s", "https://one.example/cb", "https://two.example/cb"), ""},
		{"OIDC-SU-3 a name that is a part of another", keyClient("a").pairwise("", "https://one.example/cb", "https://one.example.net/cb"), "OIDC-SU-3"},
		{"OIDC-SU-4 a sector over http", keyClient("a").pairwise("http://one.example/s"), "OIDC-SU-4"},
		{"OIDC-SU-4 a sector with a password", keyClient("a").pairwise("https://a:b@one.example/s"), "OIDC-SU-4"},
		{"OIDC-SU-4 a sector without host", keyClient("a").pairwise("https:///s"), "OIDC-SU-4"},
		{"OIDC-SU-4 a sector with a port and no host", keyClient("a").pairwise("https://:443/s"), "OIDC-SU-4"},
		{"OIDC-SU-4 a sector with a fragment", keyClient("a").pairwise("https://one.example/s#x"), "OIDC-SU-4"},
		{"OIDC-SU-4 a sector that is no URL", keyClient("a").pairwise("one.example"), "OIDC-SU-4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := b.srv.CheckClient(tt.client.Client)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if d := cmp.Diff([]string{tt.want}, rules(t, err)); d != "" {
				t.Error(d)
			}
		})
	}
	native := keyClient("a").pairwise("", "http://127.0.0.1/cb")
	native.ApplicationType = "native"
	t.Run("OIDC-SU-3 no redirect URI, no sector", func(t *testing.T) {
		c := keyClient("a").pairwise("")
		c.GrantTypes, c.RedirectURIs = []string{"client_credentials"}, nil
		if d := cmp.Diff([]string{"OIDC-SU-3"}, rules(t, b.srv.CheckClient(c.Client))); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDC-SU-3 loopback is every native client's host, and no sector", func(t *testing.T) {
		if d := cmp.Diff([]string{"OIDC-SU-3"}, rules(t, b.srv.CheckClient(native.Client))); d != "" {
			t.Error(d)
		}
		native.SectorIdentifierURI = "https://one.example/s"
		if err := b.srv.CheckClient(native.Client); err != nil {
			t.Error(err)
		}
	})
	t.Run("OIDC-SU-1 not offered", func(t *testing.T) {
		b := newBank(t, nil)
		if d := cmp.Diff([]string{"OIDC-SU-1"}, rules(t, b.srv.CheckClient(keyClient("a").pairwise("").Client))); d != "" {
			t.Error(d)
		}
	})
	t.Run("OIDC-SU-1 RFC8414-I-1 what is offered is advertised", func(t *testing.T) {
		for _, tt := range []struct {
			b    *bank
			want []any
		}{{b, []any{"public", "pairwise"}}, {newBank(t, nil), []any{"public"}}} {
			if d := cmp.Diff(tt.want, object(t, tt.b.do(get(issuer+wellKnown)))["subject_types_supported"]); d != "" {
				t.Error(d)
			}
		}
	})
	t.Run("OIDR-8 the metadata of a client", func(t *testing.T) {
		var c authz.Client
		if err := json.Unmarshal([]byte(`{"client_id":"a","subject_type":"pairwise","sector_identifier_uri":"https://one.example/s"}`), &c); err != nil {
			t.Fatal(err)
		}
		if c.SubjectType != "pairwise" || c.SectorIdentifierURI != "https://one.example/s" {
			t.Errorf("%+v", c)
		}
	})
}
