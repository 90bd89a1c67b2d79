package token

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token/dpop"
)

// A Verifier checks the access tokens that requests carry. It is safe for
// concurrent use.
//
// It accepts JWTs (RFC 9068), and if it is so configured opaque tokens, that are
// bound to a client's certificate (RFC 8705, 3) and come with it on the same TLS
// connection, which must end in this process, or that are bound to a client's
// key and come with a fresh proof of it (RFC 9449, 7). A token that is bound to
// nothing is refused.
type Verifier struct {
	config VerifierConfig
	proofs *dpop.Verifier // nil: DPoP is not accepted
	nonces *dpop.Nonces   // nil: none are demanded
	about  *metadata      // nil: there is none
}

// NewVerifier returns a Verifier. The error names all that is wrong with c.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	c.Algorithms = slices.Clone(c.Algorithms)
	if c.Algorithms == nil {
		c.Algorithms = fapiAlgorithms
	}
	if c.Ahead == 0 {
		c.Ahead = 30 * time.Second
	}
	if c.Realm == "" {
		c.Realm = c.Audience
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Introspect != nil {
		i := *c.Introspect
		c.Introspect = &i
	}
	c.Origins, c.Aliases = slices.Clone(c.Origins), slices.Clone(c.Aliases)
	if err := c.check(); err != nil {
		return nil, err
	}
	v := &Verifier{config: c}
	if c.Metadata != nil {
		v.about = newMetadata(&c)
	}
	if err := v.takeProofs(); err != nil {
		return nil, err
	}
	return v, nil
}

// Check checks the request's access token and returns what it says. It writes
// nothing and does not read the body. The error is an [*Error] if the request
// is to be refused and anything else if we could not find out;
// [Verifier.Refuse] answers either.
//
// Behind this Verifier's [Verifier.Handler], Check only looks at what req
// needs: the token has been checked. The Access is then shared and must not be
// changed. Elsewhere, a request with a DPoP proof can be checked once: the
// proof is used up by it (RFC 9449, 11.1).
func (v *Verifier) Check(r *http.Request, req Require) (*Access, error) {
	c, err := v.check(r, req)
	if err == nil {
		return c.access, nil
	}
	v.audit(r.Context(), c.access, err)
	return nil, err
}

func (v *Verifier) audit(ctx context.Context, a *Access, err error) {
	if v.config.Audit != nil {
		v.config.Audit(ctx, a, err)
	}
}

// check is Check without the audit. In the result of a refusal there is an
// access only if the token is genuine.
func (v *Verifier) check(r *http.Request, req Require) (checked, error) {
	c := checked{verifier: v, tls: r.TLS}
	scheme, err := v.decide(r, req, &c)
	if err != nil {
		err = v.answerTo(r, scheme, err)
	}
	return c, err
}

// decide fills in what it finds good. With an error, it returns the scheme that
// the token came with, if one was meant.
func (v *Verifier) decide(r *http.Request, req Require, c *checked) (scheme string, err error) {
	if scheme, c.token, err = presented(r); err != nil {
		return scheme, err
	}
	if v.config.RequireInteractionID && !namesItself(r) {
		return scheme, &Error{Status: http.StatusBadRequest, Code: invalidRequest, Rule: "BR-19",
			Description: "x-fapi-interaction-id is missing, there twice or no UUID"}
	}
	if scheme == schemeDPoP && v.proofs == nil {
		return scheme, refuseToken("FAPI2-SP-5.3.4-1", "DPoP is not accepted here")
	}
	var proof *dpop.Proof // still to be spent; nil if there is none
	if a, ok := c.before(r.Context()); ok {
		c.access = a
	} else if proof, err = v.recognize(r, scheme, c); err != nil {
		return scheme, err
	}
	if err = v.enough(c.access, req); err != nil {
		return scheme, err
	}
	if proof != nil { // as late as can be: what is refused for something else uses up nothing
		if err = v.spend(r.Context(), proof); err != nil {
			return scheme, err
		}
	}
	if req.Permit != nil {
		err = req.Permit(r, c.access)
	}
	return scheme, err
}

// recognize fills in c.access if the token is good and in the hands of the one
// it was issued to. It returns the proof of that, if it was one.
func (v *Verifier) recognize(r *http.Request, scheme string, c *checked) (proof *dpop.Proof, err error) {
	// Cheap before dear: a token that comes with nothing to prove it by costs no
	// question to the authorization server, and a stolen one none to the store.
	if v.asks(c.token) {
		if err = v.worthAsking(r, scheme, c.token); err != nil {
			return nil, err
		}
	}
	if c.access, err = v.genuine(r.Context(), c.token); err != nil {
		return nil, err
	}
	if proof, err = v.bound(r, scheme, c.token, c.access); err != nil {
		return nil, err
	}
	return proof, v.alive(r.Context(), c.access)
}

// bound checks that the request comes from the one the token is bound to, in
// the way its binding asks for: Bearer with the certificate, or DPoP with a
// proof of the key, which it returns. Neither may pass for the other (RFC 9449,
// 7.2).
func (v *Verifier) bound(r *http.Request, scheme, token string, a *Access) (*dpop.Proof, error) {
	switch byKey := a.Confirmation.JKT != ""; {
	case byKey && v.proofs == nil:
		return nil, refuseToken("RFC8705-3.1-2", "the token is bound to a DPoP key, which is not accepted here")
	case byKey && scheme != schemeDPoP:
		return nil, refuseToken("RFC9449-7.2-1", "the token is bound to a DPoP key and was presented as Bearer")
	case byKey:
		return v.proved(r, token, a)
	case scheme != schemeBearer:
		return nil, refuseToken("RFC9449-7.1-7", "the token is not bound to a DPoP key")
	}
	return nil, certified(r, a)
}

// certified checks that the request came over a connection with the
// certificate that the token is bound to (RFC 8705, 3). The certificate itself
// is checked no further: its thumbprint says it all.
func certified(r *http.Request, a *Access) error {
	chain := mtls.Chain(r)
	if len(chain) == 0 {
		return errNoCertificate()
	}
	if !mtls.MatchThumbprint(chain[0], a.Confirmation.X5T) {
		return refuseToken("RFC8705-3-3", "the token is bound to another certificate")
	}
	return nil
}

func errNoCertificate() *Error {
	return refuseToken("RFC8705-3-3", "the connection has no client certificate")
}
