package grant_test

import (
	"errors"
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

func TestEpochOf(t *testing.T) {
	full := fullGrant()
	for _, tt := range []struct {
		name   string
		record []byte
		want   grant.Epoch
		err    error
	}{
		{"amended twice, and a change waits", full.Encode(), full.Epoch, nil},
		{"never amended, and a change waits", (&grant.Grant{Locator: locator, Pending: &grant.Grant{Epoch: 1}}).Encode(), 0, nil},
		{"without content", nil, 0, nil},
		{"with a field of a later release", append((&grant.Grant{Locator: locator, Epoch: 3}).Encode(), 99, 1, 0), 3, nil},
		{"cut short", full.Encode()[:90], 0, grant.ErrFormat},
		{"of a later format", []byte{2}, 0, grant.ErrFormat},
		{"an epoch that is no number", []byte{1, 26, 2, 0x80, 0x80}, 0, grant.ErrFormat},
	} {
		if got, err := grant.EpochOf(tt.record); got != tt.want && err == nil || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d, %v", tt.name, got, err)
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
