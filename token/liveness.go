package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/aikagi/aikagi/internal/beside"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
)

// alive checks that the token was not revoked: that its grant, if it names
// one, still stands and was not amended since, and that no record denies the
// token itself (RFC 7009, 2.1). Both are asked for at once. While either is out of reach, nothing is
// accepted.
func (v *Verifier) alive(ctx context.Context, a *Access) error {
	if v.config.Liveness == nil {
		return nil
	}
	if a.GrantID == "" {
		return v.notDenied(ctx, a)
	}
	if !isGrantID(a.GrantID) {
		return refuseToken("FAPI2-SP-5.3.4-3", "the token's grant is unknown")
	}
	denied := beside.Do(func() error { return v.notDenied(ctx, a) })
	granted := v.stands(ctx, a)
	if err := denied(); granted == nil {
		return err
	}
	return granted
}

// stands checks that the token's grant is there, has not ended, and gives tokens
// as this one: one from before an amendment may say what the customer has taken
// back, and one whose grant was revoked does not come back with the mark of a
// later decision in its place. Stores forget late, so the record's expiry counts,
// by our clock. What is in the record is not looked at, so that an API need not
// be able to open it.
func (v *Verifier) stands(ctx context.Context, a *Access) error {
	rec, err := v.config.Liveness.Get(ctx, a.GrantID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("token: grant: %w", err)
	}
	if err != nil || !v.config.Now().Before(rec.Expires) {
		return errRevoked()
	}
	if !grant.EpochOf(rec.Version).Gave(a.ID) {
		return errRevoked()
	}
	return nil
}

// notDenied checks that the token itself was not revoked. A record that says so
// never becomes untrue, so its expiry does not count.
func (v *Verifier) notDenied(ctx context.Context, a *Access) error {
	switch _, err := v.config.Liveness.Get(ctx, grant.DenyKey(a.Issuer, a.ID)); {
	case err == nil:
		return errRevoked()
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("token: revocation: %w", err)
	}
	return nil
}

func errRevoked() *Error { return refuseToken("FAPI2-SP-5.3.4-3", "the token was revoked") }

// isGrantID reports whether id is a key of a grant's record. Whatever else the
// claim may hold must not be looked up: it could be the key of a record of
// another kind.
func isGrantID(id string) bool {
	return len(id) == 44 && id[0] == byte(grant.KindGrant) && isThumbprint(id[1:])
}
