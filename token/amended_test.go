package token_test

import (
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// TestAmendedGrant: a token is good if the grant gave it since it was amended
// last. That stands in the version of the record, whatever is in it.
func TestAmendedGrant(t *testing.T) {
	const never, twice = "F7VcuKFXpX_L_Blncb57bg", "F7VcuKFXpX_L_Blncb57bg-2"
	try := func(t *testing.T, version, jti string) error {
		t.Helper()
		s := &store.Memory{Now: clock}
		if err := s.Create(t.Context(), store.Record{Key: grantID, Version: version, Value: []byte("sealed"), Expires: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		a := good(t)
		claim("grant_id", grantID)(a)
		claim("jti", jti)(a)
		a.config = func(c *token.VerifierConfig) { c.Liveness = s }
		_, err := a.try(t)
		return err
	}
	for name, tt := range map[string]struct{ version, jti string }{
		"never amended":       {never, "at-02-77ab10"},
		"since the amendment": {twice, "2.at-02-77ab10"},
	} {
		t.Run("FAPI2-SP-5.3.4-3 GM-6-2 "+name, func(t *testing.T) {
			if err := try(t, tt.version, tt.jti); err != nil {
				t.Error(err)
			}
		})
	}
	for name, jti := range map[string]string{"from before any": "at-02-77ab10", "from before the last": "1.at-02-77ab10", "of one to come": "3.at-02-77ab10"} {
		t.Run("FAPI2-SP-5.3.4-3 GM-6-2 "+name, func(t *testing.T) {
			refused(t, try(t, twice, jti), 401, "invalid_token", "FAPI2-SP-5.3.4-3")
		})
	}
	t.Run("FAPI2-SP-5.3.4-3 a version that no release has written", func(t *testing.T) {
		refused(t, try(t, never+"-x", "at-02-77ab10"), 401, "invalid_token", "FAPI2-SP-5.3.4-3")
	})
}
