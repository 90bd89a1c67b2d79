package grant

import (
	"strconv"
	"strings"
)

// An Epoch is how many amendments of a grant have taken effect. It begins the id
// of every access token that the grant gives, so that those from before the last
// amendment can be told from those since, by whoever has the record: exactly,
// whatever the clocks of several nodes say, and though a token request may have
// read the grant before the amendment and answer after it.
//
// In epoch zero an id is random text without a period, as it was before there
// were amendments.
type Epoch int64

// TokenID returns the id of an access token: text, which must be random and
// without a period, in the epoch.
func (e Epoch) TokenID(text string) string {
	if e == 0 {
		return text
	}
	return e.prefix() + text
}

// Gave reports whether the access token with that id is one of the epoch's. A
// grant that was never amended takes any.
func (e Epoch) Gave(tokenID string) bool {
	return e == 0 || strings.HasPrefix(tokenID, e.prefix())
}

func (e Epoch) prefix() string { return strconv.FormatInt(int64(e), 10) + "." }

// EpochOf returns the epoch of a grant's record, and looks at nothing else in
// it: what a later release adds does not concern whoever only asks whether a
// token is good. Without content a record says nothing, and its epoch is zero.
func EpochOf(record []byte) (Epoch, error) {
	var e Epoch
	if len(record) == 0 {
		return e, nil
	}
	err := decode(record, func(field uint64, v value) error {
		if field == grantEpoch {
			return v.int((*int64)(&e))
		}
		return nil
	})
	return e, err
}
