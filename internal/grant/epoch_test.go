package grant_test

import (
	"errors"
	"regexp"
	"testing"

	"github.com/aikagi/aikagi/internal/grant"
)

func TestEpoch(t *testing.T) {
	const text = "kZ3-vQ_9"
	for _, tt := range []struct {
		epoch grant.Epoch
		id    string
	}{{0, text}, {1, "1." + text}, {2, "2." + text}, {12, "12." + text}, {21, "21." + text}} {
		if got := tt.epoch.TokenID(text); got != tt.id {
			t.Errorf("epoch %d: id is %s, want %s", tt.epoch, got, tt.id)
		}
		for _, other := range []grant.Epoch{1, 2, 12, 21} {
			if got := other.Gave(tt.id); got != (other == tt.epoch) {
				t.Errorf("%s is of epoch %d: %t", tt.id, other, got)
			}
		}
		if !grant.Epoch(0).Gave(tt.id) {
			t.Errorf("a grant that was never amended did not give %s", tt.id)
		}
	}
	for _, id := range []string{"", "1", "1" + text, ".1", "01." + text} {
		if grant.Epoch(1).Gave(id) {
			t.Errorf("%q is of epoch 1", id)
		}
	}
}

// TestEpochOfVersion: the epoch can be read from a version, which is as a Store
// wants it.
func TestEpochOfVersion(t *testing.T) {
	fits := regexp.MustCompile(`^[A-Za-z0-9_-]{22,64}$`)
	for _, e := range []grant.Epoch{0, 1, 2, 12, 1 << 62} {
		a, b := e.Version(), e.Version()
		if a == b || !fits.MatchString(a) || grant.EpochOf(a) != e {
			t.Errorf("epoch %d: versions %s and %s", e, a, b)
		}
	}
	const plain = "-7VcuKFXpX_L_Blncb57b-" // of an earlier release
	for version, want := range map[string]grant.Epoch{
		"": 0, "1": 0, plain: 0, plain + "-1": 1, plain + "-": -1, plain + "-x": -1, plain + "-0": -1, plain + "--1": -1, plain + "-99999999999999999999": -1,
	} {
		got := grant.EpochOf(version)
		if got != want {
			t.Errorf("%s is of epoch %d, want %d", version, got, want)
		}
		if got < 0 && (got.Gave("1.a") || got.Gave("a") || got.Gave("")) {
			t.Errorf("%s gave a token", version)
		}
	}
}

// TestWaitingVersion: no token is of a grant that waits, whatever it calls
// itself.
func TestWaitingVersion(t *testing.T) {
	fits := regexp.MustCompile(`^[A-Za-z0-9_-]{22,64}$`)
	v := grant.WaitingVersion()
	if !fits.MatchString(v) || v == grant.WaitingVersion() {
		t.Error(v)
	}
	for _, id := range []string{"", "a", "0.a", "1.a", "-1.a"} {
		if grant.EpochOf(v).Gave(id) {
			t.Errorf("it gave %q", id)
		}
	}
}

// TestPendingOfPending: an amendment holds no other.
func TestPendingOfPending(t *testing.T) {
	inner := &grant.Grant{Locator: locator, Pending: &grant.Grant{Locator: locator, Pending: &grant.Grant{Locator: locator}}}
	if g, err := grant.Decode(inner.Encode()); !errors.Is(err, grant.ErrFormat) {
		t.Errorf("%v, %v", g, err)
	}
	if g, err := grant.Decode((&grant.Grant{Locator: locator, Pending: &grant.Grant{Locator: locator}}).Encode()); err != nil || g.Pending == nil {
		t.Errorf("%v, %v", g, err)
	}
}
