package authz

import (
	"cmp"
	"context"
	"errors"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
)

// An amendment is an approval that changes a grant instead of making one
// ([Decision.Grant]). It is a grant of its own that waits inside the other one,
// as its Pending, with a code that has the other's locator; whoever redeems that
// code puts it in the other's place, in one write (claimCode). Until then the old
// grant is as it was, and if nothing comes of it, it stays so. Revoking is what it
// always was, one Delete, and ends both: the amendment is only ever written over
// the grant as it was read, and so never into one that is gone.
//
// First the request is decided, by the same write that decides any other, so
// that no other decision about it can be carried out; then the grant is
// changed. Between the two there is nothing that anybody could use.

// errNoGrant is for a grant that cannot be amended. It does not say why: whose
// grant it is concerns nobody else.
var errNoGrant = refuse("GM-5-3", invalidRequest, "there is no such grant of this client and customer")

// maxAmendTries bounds how often an amendment is tried against a grant that is
// being changed: by the client, which redeems a code, or by the customer in
// another window.
const maxAmendTries = 5

// codeRoom is what is left in a record for what redeeming the old grant's code
// adds to it, and for a seal (store.Sealed), in bytes.
const codeRoom = 1 << 10

// grantOf returns the id of the grant that d makes or amends.
func (in *Interaction) grantOf(d Decision) string {
	if d.Deny != "" {
		d.Grant = ""
	}
	return cmp.Or(d.Grant, in.request.Amends, in.place)
}

// amendable returns the grant called id, if the customer called subject may
// amend it here.
func (in *Interaction) amendable(ctx context.Context, id, subject string) (*kept, error) {
	g, err := in.server.clientsGrant(ctx, id, in.request.Client)
	if err == nil && (g == nil || g.Subject != subject) {
		err = errNoGrant
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// clientsGrant returns the grant called id, if it is the client's and has not
// ended, or nil.
func (s *Server) clientsGrant(ctx context.Context, id, client string) (*kept, error) {
	if !isGrantID(id) {
		return nil, nil
	}
	g, err := s.grantOf(ctx, id)
	if err != nil || g == nil || g.Client != client || s.ended(g) {
		return nil, err
	}
	return g, nil
}

// amend stores amendment g in old, as it was read, in the place of an older one
// that was not redeemed. If old has changed meanwhile, what has changed is kept.
func (in *Interaction) amend(ctx context.Context, g *grant.Grant, old *kept) error {
	s := in.server
	for range maxAmendTries {
		g.Created, g.Epoch, g.ByValue = old.Created, old.Epoch+1, old.ByValue || in.request.ByValue
		old.Pending = g
		rec := old.record
		rec.Version, rec.Value = old.Epoch.Version(), old.Encode()
		rec.Expires = latest(rec.Expires, s.spent(g)) // and until it ends, once it has taken effect
		if len(rec.Value) > maxRecord-codeRoom {
			return badForm(form.ErrTooLarge)
		}
		err := s.replace(ctx, old.record.Version, rec)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if old, err = in.amendable(ctx, old.record.Key, g.Subject); err != nil {
			return err
		}
	}
	return errors.New("the grant to amend keeps changing")
}
