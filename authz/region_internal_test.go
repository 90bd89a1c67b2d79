package authz

import (
	"testing"
	"time"
)

func TestKeysAge(t *testing.T) {
	for _, tt := range []struct {
		profiles []Profile
		want     time.Duration
	}{
		{[]Profile{FAPI2Security, FAPI1Advanced, UKOpenBanking}, 0},
		{[]Profile{FAPI2Security, UAEOpenFinance}, 20 * time.Minute},
		{[]Profile{OpenFinanceBrasil, UAEOpenFinance}, 20 * time.Minute},
		{[]Profile{UAEOpenFinance, OpenFinanceBrasil}, 20 * time.Minute},
		{[]Profile{OpenFinanceBrasil}, time.Hour},
	} {
		t.Run("UAE-8 BR-CRT-5 the strictest of the profiles counts", func(t *testing.T) {
			s := &Server{config: Config{Profiles: tt.profiles}}
			if got := s.keysAge(); got != tt.want {
				t.Errorf("%v: %s, want %s", tt.profiles, got, tt.want)
			}
		})
	}
}
