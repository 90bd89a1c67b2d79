package authz_test

import (
	"strings"
	"testing"

	"github.com/aikagi/aikagi/authz"
)

// TestRegionReports: what a report says to do under a region is never what the
// region forbids, though the rule be the base profile's.
func TestRegionReports(t *testing.T) {
	for _, tt := range []struct {
		name      string
		region    func(*authz.Config)
		forbidden []string
	}{
		{"UK-SEC-1 FAPI1-ADV-5.2.2-14", british(nil), []string{"self_signed", "jwt for a code", "the response types code and", "response type code or"}},
		{"UAE-1 UAE-3 UAE-6 UAE-11", emirati(nil), []string{"tls_client_auth or", "ES256", "dpop_bound_access_tokens as true", "query.jwt"}},
		{"BR-14 BR-21 BR-25", inBrazil(newKeyServer(t), nil), []string{"tls_client_auth or", "ES256", "jwt for a code", "the response types code and", "response type code or", "RSA-OAEP-256"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newBank(t, nil, tt.region).srv.Report()
			if len(r.Profiles) != 1 {
				t.Fatalf("%d profiles", len(r.Profiles))
			}
			for _, rule := range r.Profiles[0].Rules {
				for _, words := range tt.forbidden {
					if strings.Contains(rule.Demand, words) {
						t.Errorf("%s demands %q", rule.Rule, rule.Demand)
					}
				}
			}
		})
	}
}
