package authz_test

import (
	"testing"

	"github.com/aikagi/aikagi/authz"
)

// TestAmendmentOfAnotherIssuer: two brands share a store and know the same client
// and customer. What the one approves changes nothing at the other.
func TestAmendmentOfAnotherIssuer(t *testing.T) {
	t.Run("GM-5-3 CDR-11 RFC9207-4-1 the grant of another issuer over the same store", func(t *testing.T) {
		r := related(t, keyClient("kakeibo"))
		brand := newBank(t, clients(r.f), func(c *authz.Config) { c.Issuer = issuer + ":8443"; c.Store, c.Now = r.b.config.Store, r.b.clock.Now })
		before, err := r.b.config.Store.Get(t.Context(), r.id)
		if err != nil {
			t.Fatal(err)
		}
		d := brand.approval()
		d.Grant = r.id
		br := &browser{b: brand}
		if _, err := br.finish(br.begin(r.f, r.f.push(brand, r.f.pushable())), d); !is(err, "invalid_request") {
			t.Errorf("Finish: %v", err)
		}
		if after, err := r.b.config.Store.Get(t.Context(), r.id); err != nil || after.Version != before.Version {
			t.Errorf("the other issuer's grant was written: %v", err)
		}
	})

	t.Run("CDR-11 CDR-19 RFC9207-4-1 the arrangement of another issuer over the same store", func(t *testing.T) {
		b, f, _ := australia(t)
		got := f.arranged(t, b, m{"sharing_duration": 3600}, b.consumer())
		s := newKeyServer(t)
		g := australian(s, f.ID)
		s.publish(g.jwk())
		brand := newBank(t, clients(g), inAustralia(s), func(c *authz.Config) { c.Issuer = issuer + ":8443"; c.Store, c.Now = b.config.Store, b.clock.Now })
		if res := g.ends(brand, arrangement(got["cdr_arrangement_id"])); res.StatusCode != 422 {
			t.Errorf("%d", res.StatusCode)
		}
		if f.introspect(b, got["refresh_token"].(string))["active"] != true {
			t.Error("the other issuer has ended it")
		}
		c := g.shares(brand, m{"cdr_arrangement_id": got["cdr_arrangement_id"]})
		mustRefuse(t, brand, brand.do(g.pushing(brand, g.object(c))), 400, "invalid_request", "CDR-11")
	})
}
