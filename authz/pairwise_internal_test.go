package authz

import (
	"strings"
	"testing"
)

// TestSubjectInputs takes every way to divide texts among issuer, sector and
// customer: what is put together runs alike, and each is somebody else.
func TestSubjectInputs(t *testing.T) {
	t.Run("OIDC-SU-5 no two divisions of a text have one subject", func(t *testing.T) {
		type parts struct{ issuer, sector, customer string }
		seen := make(map[string]parts)
		for _, text := range []string{
			strings.Repeat("a", 7), strings.Repeat("a", 8), "abababab", "aabbaabb",
			"a\x00\x00\x00\x00\x00\x00\x00\x01b\x00\x00\x00\x00\x00\x00\x00\x01c", // a customer, or an issuer, that has lengths inside
		} {
			for i := range len(text) {
				for j := i + 1; j < len(text); j++ {
					p := parts{text[:i], text[i:j], text[j:]}
					if strings.ContainsFunc(p.sector, func(r rune) bool { return r < ' ' }) { // no host
						continue
					}
					s := &Server{config: Config{Issuer: p.issuer, Pairwise: make([]byte, 32)}}
					sub := s.subject(&Client{SubjectType: subjectPairwise, SectorIdentifierURI: "https://" + p.sector + "/"}, p.customer)
					if other, ok := seen[sub]; ok && other != p {
						t.Errorf("%q and %q have one subject", p, other)
					}
					seen[sub] = p
				}
			}
		}
		if len(seen) < 100 {
			t.Errorf("only %d subjects", len(seen))
		}
	})
}
