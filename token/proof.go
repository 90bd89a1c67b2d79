package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token/dpop"
)

// nonceLife is how long a DPoP nonce is taken.
const nonceLife = 5 * time.Minute

// takeProofs readies the verifier for DPoP, if it is to accept it.
func (v *Verifier) takeProofs() (err error) {
	c := &v.config
	if len(c.Origins) == 0 {
		return nil
	}
	if len(c.NonceSecrets) > 0 {
		if v.nonces, err = dpop.NewNonces(c.NonceSecrets, c.Audience, nonceLife); err != nil {
			return err
		}
	}
	if v.proofs, err = dpop.New(dpop.Config{Algorithms: c.Algorithms, Ahead: c.Ahead, Nonces: v.nonces, Now: c.Now}); err != nil {
		return err
	}
	// Without a proof only the URLs are looked at. A fault in them must not
	// wait for the first client.
	if _, err = v.proofs.Verify(dpop.Request{Method: http.MethodGet, URLs: c.Origins}); !errors.Is(err, dpop.ErrNone) {
		return fmt.Errorf("token: verifier: Origins: %w", err)
	}
	return nil
}

// proved returns the request's proof if it is good and of the key that the
// token is bound to (RFC 9449, 7.1 and 4.3). It has yet to be spent.
func (v *Verifier) proved(r *http.Request, token string, a *Access) (*dpop.Proof, error) {
	p, err := v.proof(r, token)
	if err == nil && p.JKT != a.Confirmation.JKT {
		return nil, refuseToken("RFC9449-4.3-12b", "the token is bound to another key")
	}
	return p, err
}

// proof returns the request's proof if it is good for the token, by whatever
// key.
func (v *Verifier) proof(r *http.Request, token string) (*dpop.Proof, error) {
	p, err := v.proofs.Verify(dpop.Request{Header: r.Header, Method: r.Method, URLs: v.urls(r), AccessToken: token})
	if errors.Is(err, dpop.ErrNone) {
		return nil, &Error{Status: 401, Code: invalidDPoPProof, Rule: "RFC9449-7-1", Description: "there is no DPoP proof"}
	}
	if e := (*dpop.Error)(nil); errors.As(err, &e) {
		return nil, &Error{Status: 401, Code: e.Code, Rule: e.Rule, Description: e.Description}
	}
	return p, err
}

// urls returns what the htu of a proof in r may be.
func (v *Verifier) urls(r *http.Request) []string {
	path := requested(r).EscapedPath()
	if path == "*" { // OPTIONS * is a request to the origin as such (RFC 9112, 3.3)
		path = ""
	}
	urls := make([]string, len(v.config.Origins))
	for i, origin := range v.config.Origins {
		urls[i] = strings.TrimSuffix(origin, "/") + path
	}
	return urls
}

// spend marks a proof as used, or refuses one that was used before (RFC 9449,
// 11.1). It fails closed: while the replay memory is out of reach, no proof is
// accepted.
func (v *Verifier) spend(ctx context.Context, p *dpop.Proof) error {
	rec := store.Record{
		Key:     grant.ReplayKey(v.config.Audience, "dpop", p.JKT, p.URL+" "+p.ID),
		Version: grant.NewVersion(),
		Expires: p.Until,
	}
	err := v.config.Replays.Create(ctx, rec)
	if err != nil && !errors.Is(err, store.ErrExists) && ctx.Err() == nil {
		err = v.config.Replays.Create(ctx, rec) // a lost answer: the same version is no second use
	}
	switch {
	case errors.Is(err, store.ErrExists):
		return &Error{Status: 401, Code: invalidDPoPProof, Rule: "RFC9449-11.1-2", Description: "the DPoP proof was used before"}
	case err != nil:
		return fmt.Errorf("token: replay memory: %w", err)
	}
	return nil
}
