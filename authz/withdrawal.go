package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/fetch"
	"github.com/aikagi/aikagi/internal/jsonw"
	"github.com/aikagi/aikagi/token"
)

// withdrawalLife is how long a client may take what it is told of a withdrawal.
const withdrawalLife = 2 * time.Minute

// NotifyWithdrawal tells a client under [AustraliaCDR] that its customer has
// withdrawn, at the bank, the consent behind an arrangement. The host ends the
// grant, and then calls it with the grant's id; brandID is the brand's, from the
// Register. It is not for an arrangement that the client itself has ended, that
// ran out, or that went with a change of status in the Register (CDR-20).
//
// The client is told at its recipient_base_uri (Client.Metadata), by a JWT that
// the server signs as the brand, and is authenticated to by another. It has 5
// seconds to answer with status 204 or 200; what may have been bad luck is tried
// once more, a second later. Addresses are held to the rules for a jwks_uri. It is
// over within half a minute, and goes on when ctx is cancelled; an error means
// that the client may not know, and the host tries again later.
func (s *Server) NotifyWithdrawal(ctx context.Context, clientID, brandID, grantID string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutWait)
	defer cancel()
	ev := Event{Kind: withdrawalNotified, Endpoint: "withdrawal", Client: clientID, Grant: grantID}
	if err := s.tellWithdrawal(ctx, &ev, brandID); err != nil {
		s.auditRefusal(ctx, ev, asError(err))
		return fmt.Errorf("authz: client %q was not told of the withdrawal: %w", clientID, err)
	}
	s.audit(ctx, ev)
	return nil
}

// tellWithdrawal tells the client that ev names of the grant that ev names.
func (s *Server) tellWithdrawal(ctx context.Context, ev *Event, brandID string) error {
	c, err := s.registered(ctx, ev.Client) // also one whose profile was retired
	if err != nil {
		return err
	}
	ev.Waived = c.departs.rules
	name := c.policy.arrangement
	if name == "" || brandID == "" || !isGrantID(ev.Grant) {
		return errors.New("the client has no arrangements, or brand or arrangement is none")
	}
	var base string
	if json.Unmarshal(c.Metadata["recipient_base_uri"], &base) != nil || base == "" {
		return errors.New("the client has no recipient_base_uri")
	}
	to := strings.TrimSuffix(base, "/") + pathArrangements
	tell := func() error { // a JWT is taken once, be its answer lost
		bearer, err := s.asBrand(ctx, c, brandID, to)
		if err != nil {
			return err
		}
		jwt, err := s.asBrand(ctx, c, brandID, to, [2]string{name, ev.Grant})
		if err != nil {
			return err
		}
		return s.outward.PostFormAs(ctx, to, bearer, url.Values{"cdr_arrangement_jwt": {jwt}})
	}
	if err = tell(); errors.Is(err, fetch.ErrTemporary) {
		pause(ctx, s.retryIn)
		err = tell()
	}
	return err
}

// asBrand returns a JWT by which the brand speaks to a client at that address,
// with claims besides.
func (s *Server) asBrand(ctx context.Context, c *caller, brandID, to string, claims ...[2]string) (string, error) {
	now := s.now()
	o := jsonw.New(512)
	o.String("iss", brandID)
	o.String("sub", brandID)
	o.String("aud", to)
	o.Int("iat", now.Unix())
	o.Int("exp", now.Add(withdrawalLife).Unix())
	o.String("jti", randomText())
	for _, claim := range claims {
		o.String(claim[0], claim[1])
	}
	payload := o.Bytes()
	return s.sign(c, c.policy.responseAlg, func(alg string) (string, error) {
		return token.SignJWT(ctx, s.config.Keys, alg, "", payload)
	})
}
