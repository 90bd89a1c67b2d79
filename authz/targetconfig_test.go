package authz_test

import (
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// TestTargetsConfig: what New refuses of APIs and types, all of it at once.
func TestTargetsConfig(t *testing.T) {
	base := newBank(t, nil, withCards, withDetails, func(c *authz.Config) {
		c.Resources[0].DetailsTypes = []string{"payment_initiation", "account_information", "urn:bank:exact"}
	}).config
	for _, tt := range []struct {
		name string
		with func(*authz.Config)
		want []string
	}{
		{"RFC9068-3-1 as it should be", func(*authz.Config) {}, nil},
		{"RFC9068-3-1 a name that is no URI", func(c *authz.Config) { c.Resources[0].ID = "accounts" }, []string{"RFC9068-3-1"}},
		{"RFC8707-2-1 a fragment", func(c *authz.Config) { c.Resources[0].ID += "#a" }, []string{"RFC9068-3-1"}},
		{"RFC9068-5-1 two APIs of one name", func(c *authz.Config) { c.Resources[1].ID = resource }, []string{"RFC9068-5-1"}},
		{"RFC9068-3-2 one of two that does not say its scopes", func(c *authz.Config) { c.Resources[1].Scopes = nil }, []string{"RFC9068-3-2"}},
		{"RFC9068-3-2 a scope that is not offered", func(c *authz.Config) { c.Resources[1].Scopes = []string{"cards", "gold"} }, []string{"RFC9068-3-2"}},
		{"RFC9068-2.2.3-1 a scope that means nothing anywhere", func(c *authz.Config) { c.Scopes = append(slices.Clone(c.Scopes), "gold") }, []string{"RFC9068-2.2.3-1"}},
		{"RFC9068-2.2.3-1 openid needs no API", func(c *authz.Config) { c.Scopes = append(slices.Clone(c.Scopes), "offline_access") }, nil},
		{"RFC9396-2-2 a type without a name", func(c *authz.Config) { c.DetailsTypes[0].Name = "" }, []string{"RFC9396-2.1-1", "RFC9396-2-2", "RFC9396-9-1"}},
		{"RFC9396-2-2 a type whose name is no text", func(c *authz.Config) { c.DetailsTypes[0].Name = "\xff" }, []string{"RFC9396-2.1-1", "RFC9396-2-2", "RFC9396-9-1"}},
		{"RFC9396-2-2 two types of one name", func(c *authz.Config) { c.DetailsTypes[2].Name = "payment_initiation" }, []string{"RFC9396-2.1-1", "RFC9396-2-2"}},
		{"RFC9396-2.1-1 an API with a type that is not offered", func(c *authz.Config) { c.Resources[1].DetailsTypes = []string{"gold"} }, []string{"RFC9396-2.1-1"}},
		{"RFC9396-9-1 a type that no API takes", func(c *authz.Config) {
			c.Resources[0].DetailsTypes = []string{"payment_initiation", "account_information"}
		}, []string{"RFC9396-9-1"}},
		{"RFC9396-9-1 a type that the one API does not take", func(c *authz.Config) {
			c.Scopes, c.Resources = []string{"accounts"}, []authz.Resource{{ID: resource, DetailsTypes: []string{"payment_initiation"}}}
		}, []string{"RFC9396-9-1", "RFC9396-9-1"}},
		{"RFC9396-5-1 a field twice, and one without a name", func(c *authz.Config) { c.DetailsTypes[0].Fields = []string{"a", "a", ""} }, []string{"RFC9396-5-1", "RFC9396-5-1"}},
		{"RFC9068-5-1 RFC9396-2-2 several things", func(c *authz.Config) {
			c.Resources[1].ID = resource
			c.DetailsTypes[2].Name = "payment_initiation"
		}, []string{"RFC9068-5-1", "RFC9396-2.1-1", "RFC9396-2-2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := base
			c.Resources, c.DetailsTypes = slices.Clone(c.Resources), slices.Clone(c.DetailsTypes)
			tt.with(&c)
			_, err := authz.New(c)
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			got, want := rules(t, err), slices.Sorted(slices.Values(tt.want))
			slices.Sort(got)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%v: %s", err, d)
			}
		})
	}
	t.Run("RFC9396-5-1 the host's lists are copied", func(t *testing.T) {
		fields, scopes, names := []string{"note"}, []string{"accounts"}, []string{"a"}
		resources := []authz.Resource{{ID: resource, Scopes: scopes, DetailsTypes: names}}
		types := []authz.DetailsType{{Name: "a", Fields: fields}}
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) {
			c.Scopes, c.Resources, c.DetailsTypes = scopes, resources, types
		})
		fields[0], scopes[0], names[0], resources[0].ID, types[0].Name = "other", "payments", "b", cards, "b"
		v := with(with(f.detailed(`{"type":"a","note":1}`), "scope", "accounts"), "resource", resource)
		tokens := f.mustToken(b, f.approved(b, v, b.approval(), nil))
		goodFor(t, tokens, "accounts", resource)
		if tokens["authorization_details"] == nil {
			t.Error("the details are gone")
		}
	})
}

// TestTargetsMetadata: each API and each type that is advertised can be asked
// for, and no other.
func TestTargetsMetadata(t *testing.T) {
	f := everywhere(keyClient("kakeibo"))
	b := newBank(t, clients(f), withCards, withDetails, func(c *authz.Config) {
		c.Resources[0].DetailsTypes = []string{"payment_initiation", "account_information", "urn:bank:exact"}
	})
	m := object(t, b.do(get(issuer+wellKnown)))
	good := map[string]string{"payment_initiation": payment, "account_information": account, "urn:bank:exact": `{"type":"urn:bank:exact"}`}
	t.Run("RFC9396-10-1 RFC9396-11.2-1 types", func(t *testing.T) {
		if d := cmp.Diff([]any{"payment_initiation", "account_information", "urn:bank:exact"}, m["authorization_details_types_supported"]); d != "" {
			t.Error(d)
		}
		for _, name := range []string{"payment_initiation", "account_information", "urn:bank:exact", "openid_credential"} {
			element, known := good[name]
			if !known {
				element = `{"type":"` + name + `"}`
			}
			if status, body := f.post(b, "/par", f.detailed(element), nil); (status == 201) != known {
				t.Errorf("%s: %d %v", name, status, body)
			}
		}
	})
	t.Run("RFC9728-4-1 APIs", func(t *testing.T) {
		if d := cmp.Diff([]any{resource, cards}, m["protected_resources"]); d != "" {
			t.Error(d)
		}
		for _, id := range []string{resource, cards, "https://other.example"} {
			status, body := f.post(b, "/par", f.asking("openid", id), nil)
			if (status == 201) != (id != "https://other.example") {
				t.Errorf("%s: %d %v", id, status, body)
			}
		}
	})
	t.Run("RFC9396-10-1 without an authorization endpoint, those that need no customer", func(t *testing.T) {
		b := newBank(t, clients(f), withDetails, func(c *authz.Config) { c.Interact = nil })
		m := object(t, b.do(get(issuer+wellKnown)))
		if d := cmp.Diff([]any{"account_information"}, m["authorization_details_types_supported"]); d != "" {
			t.Error(d)
		}
		f.mustToken(b, url.Values{"grant_type": {"client_credentials"}, "authorization_details": {"[" + account + "]"}})
	})
	t.Run("RFC9396-10-1 without a type there is no member", func(t *testing.T) {
		m := object(t, newBank(t, nil).do(get(issuer+wellKnown)))
		if got, there := m["authorization_details_types_supported"]; there {
			t.Errorf("%v", got)
		}
	})
}
