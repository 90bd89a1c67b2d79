package grant

import (
	"strconv"
	"strings"
)

// An Epoch is how many amendments of a grant have taken effect. It begins the id
// of every access token that the grant gives, so that those from before the last
// amendment can be told from those since: exactly, whatever the clocks of several
// nodes say, and though a token request may have read the grant before the
// amendment and answer after it.
//
// It ends the version of the grant's record as well, where an API finds it that
// may look at the record and not into it, see store.Sealed.
//
// In epoch zero ids and versions are random text alone, as they were before there
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
	return e == 0 || e > 0 && strings.HasPrefix(tokenID, e.prefix())
}

func (e Epoch) prefix() string { return strconv.FormatInt(int64(e), 10) + "." }

// Version returns a fresh version for a write of the grant in the epoch.
func (e Epoch) Version() string {
	if e == 0 {
		return NewVersion()
	}
	return NewVersion() + "-" + strconv.FormatInt(int64(e), 10)
}

// WaitingVersion returns a fresh version for the write of a grant from which no
// token has come yet: its code is still to be redeemed, or it was denied. A token
// that names it is of an earlier grant in the same place, which was revoked while
// another decision about its request was under way.
func WaitingVersion() string { return NewVersion() + "-w" }

// versionSize is the length of a version without epoch.
const versionSize = 22

// EpochOf returns the epoch in a version of a grant's record: zero for a version
// without one, and one that gave no token for that of a grant which waits.
func EpochOf(version string) Epoch {
	if len(version) <= versionSize || version[versionSize] != '-' {
		return 0
	}
	n, err := strconv.ParseInt(version[versionSize+1:], 10, 64)
	if err != nil || n <= 0 {
		return -1
	}
	return Epoch(n)
}
