package token_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// TestAmendedGrant: a token is good if the grant gave it since it was amended
// last.
func TestAmendedGrant(t *testing.T) {
	try := func(t *testing.T, record []byte, jti string) error {
		t.Helper()
		s := &store.Memory{Now: clock}
		if err := s.Create(t.Context(), store.Record{Key: grantID, Version: "1", Value: record, Expires: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		a := good(t)
		claim("grant_id", grantID)(a)
		claim("jti", jti)(a)
		a.config = func(c *token.VerifierConfig) { c.Liveness = s }
		_, err := a.try(t)
		return err
	}
	amended := (&grant.Grant{Client: "kakeibo", Epoch: 2}).Encode()
	waiting := (&grant.Grant{Client: "kakeibo", Pending: &grant.Grant{Client: "kakeibo", Epoch: 1}}).Encode()

	for name, tt := range map[string]struct {
		record []byte
		jti    string
	}{
		"never amended":                 {(&grant.Grant{Client: "kakeibo"}).Encode(), "at-02-77ab10"},
		"since the amendment":           {amended, "2.at-02-77ab10"},
		"a change waits for its client": {waiting, "at-02-77ab10"},
	} {
		t.Run("FAPI2-SP-5.3.4-3 GM-6-2 "+name, func(t *testing.T) {
			if err := try(t, tt.record, tt.jti); err != nil {
				t.Error(err)
			}
		})
	}
	for name, jti := range map[string]string{"from before any": "at-02-77ab10", "from before the last": "1.at-02-77ab10", "of one to come": "3.at-02-77ab10"} {
		t.Run("FAPI2-SP-5.3.4-3 GM-6-2 "+name, func(t *testing.T) {
			refused(t, try(t, amended, jti), 401, "invalid_token", "FAPI2-SP-5.3.4-3")
		})
	}
	t.Run("FAPI2-SP-5.3.4-3 a record that cannot be read is an outage", func(t *testing.T) {
		var e *token.Error
		if err := try(t, amended[:5], "2.at-02-77ab10"); err == nil || errors.As(err, &e) {
			t.Errorf("Check: %v, want an outage", err)
		}
	})
}
