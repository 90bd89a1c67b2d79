package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token/dpop"
)

// VerifierConfig says which tokens a resource server accepts.
type VerifierConfig struct {
	// Issuer is the authorization server's identifier, an https URL. Tokens
	// of any other are refused.
	Issuer string

	// Audience is this API's own identifier, which must be among a token's
	// aud. No two APIs of one issuer share one (RFC 9068, 5).
	Audience string

	// Keys are the issuer's keys. They are asked for on every request.
	Keys PublicKeySet

	// Algorithms are the accepted ones. Nil means PS256, ES256, EdDSA and
	// Ed25519 (FAPI 2.0 SP, 5.4.1-1); RS256 can be added where the issuer is
	// outside FAPI. Nothing else exists here.
	Algorithms []string

	// Liveness, if not nil, is the authorization server's store: a token that
	// names a grant is refused as soon as the grant is gone, and while the
	// store cannot answer, no token that names one is accepted. If nil, a
	// token whose grant was revoked works until it expires.
	Liveness store.Store

	// Origins are the base URLs that clients reach this API under, such as
	// https://api.bank.example. The htu of a DPoP proof must be one of them
	// and the path of the request (RFC 9449, 4.3): the Host header, which
	// comes from the caller, is not asked. Nil accepts no token that is bound
	// to a key, only to a certificate.
	Origins []string

	// Replays remembers the proofs that were used (RFC 9449, 11.1). With
	// Origins it must be given; all nodes share one.
	Replays store.Store

	// NonceSecrets, if there are any, demand a nonce of this API's in every
	// proof (RFC 9449, 9). Each has 32 bytes or more, and all nodes share
	// them; from the first nonces are made, by every one they are taken.
	NonceSecrets [][]byte

	// Leeway is for how long past its expiry a token is still accepted: zero,
	// the default, to one minute.
	Leeway time.Duration

	// Ahead is how far a token's iat and nbf may lie ahead of our clock: 10
	// to 60 seconds; zero means 30.
	Ahead time.Duration

	// Realm is named in challenges, in printable ASCII without quote and
	// backslash. Empty means Audience.
	Realm string

	// Now replaces time.Now if it is not nil.
	Now func() time.Time

	// Audit, if not nil, is told of every refusal, an [*Error], and every
	// outage, any other error. The Access is nil unless the token was genuine,
	// that is, all that was wrong is how or where it was used. Audit is called
	// concurrently and before the answer.
	Audit func(context.Context, *Access, error)
}

// A Verifier checks the access tokens that requests carry. It is safe for
// concurrent use.
//
// It accepts JWTs (RFC 9068) that are bound to a client's certificate (RFC
// 8705, 3) and come with it on the same TLS connection, which must end in this
// process, or that are bound to a client's key and come with a fresh proof of
// it (RFC 9449, 7). A token that is bound to nothing is refused.
type Verifier struct {
	config VerifierConfig
	proofs *dpop.Verifier // nil: DPoP is not accepted
	nonces *dpop.Nonces   // nil: none are demanded
}

// NewVerifier returns a Verifier. The error names all that is wrong with c.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	c.Algorithms = slices.Clone(c.Algorithms)
	if c.Algorithms == nil {
		c.Algorithms = []string{jose.PS256, jose.ES256, jose.EdDSA, jose.Ed25519}
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
	c.Origins = slices.Clone(c.Origins)
	if err := c.check(); err != nil {
		return nil, err
	}
	v := &Verifier{config: c}
	if err := v.takeProofs(); err != nil {
		return nil, err
	}
	return v, nil
}

func (c *VerifierConfig) check() error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("token: verifier: "+format, args...))
	}
	if err := checkIssuer(c.Issuer); err != nil {
		fail("%w", err)
	}
	if c.Audience == "" {
		fail("Audience is empty: without it, tokens for other APIs would be accepted")
	}
	if c.Keys == nil {
		fail("Keys is nil")
	}
	if len(c.Algorithms) == 0 {
		fail("Algorithms is empty: leave it nil for the default")
	}
	for _, alg := range c.Algorithms {
		switch alg {
		case jose.PS256, jose.ES256, jose.EdDSA, jose.Ed25519, jose.RS256:
		default:
			fail("algorithm %q is unknown", alg)
		}
	}
	if c.Leeway < 0 || c.Leeway > time.Minute {
		fail("Leeway %v is not within 0s and 1m", c.Leeway)
	}
	if c.Ahead < 10*time.Second || c.Ahead > time.Minute {
		fail("Ahead %v is not within 10s and 1m", c.Ahead)
	}
	for _, o := range c.Origins {
		if checkIssuer(o) != nil {
			fail("Origins has %q, which is not an https URL without query and fragment", o)
		}
	}
	if len(c.NonceSecrets) > 0 && len(c.Origins) == 0 {
		fail("NonceSecrets is set without Origins: no proof is accepted")
	}
	if len(c.Origins) > 0 && c.Replays == nil {
		fail("Replays is nil: a proof could be used twice")
	}
	if c.Realm != clean(c.Realm) {
		fail("realm %q has characters that a challenge may not contain", c.Realm)
	}
	return errors.Join(errs...)
}

// Require says what a request needs beyond a good token. The zero Require
// needs nothing.
type Require struct {
	// Scopes are all needed.
	Scopes []string

	// Permit, if not nil, decides last, once all else has been found good: is
	// this account among those the customer named? An [*Error] refuses, with
	// 403 if it has no status; any other error is an outage.
	Permit func(*http.Request, *Access) error
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
func (v *Verifier) check(r *http.Request, req Require) (c checked, err error) {
	c = checked{verifier: v, tls: r.TLS}
	var scheme string
	if v.proofs != nil { // there are two schemes, and the answer depends on which it was
		defer func() { err = underScheme(err, scheme) }()
	}
	if scheme, c.token, err = presented(r); err != nil {
		return c, err
	}
	if scheme == schemeDPoP && v.proofs == nil {
		return c, refuseToken("FAPI2-SP-5.3.4-1", "DPoP is not accepted here")
	}
	var proof *dpop.Proof // still to be spent; nil if there is none
	if a, ok := c.before(r.Context()); ok {
		c.access = a
	} else if proof, err = v.recognize(r, scheme, &c); err != nil {
		return c, err
	}
	if err = covers(c.access, req.Scopes); err != nil {
		return c, err
	}
	if proof != nil { // as late as can be: what is refused for something else uses up nothing
		if err = v.spend(r.Context(), proof); err != nil {
			return c, err
		}
	}
	if req.Permit != nil {
		err = req.Permit(r, c.access)
	}
	return c, err
}

// recognize fills in c.access if the token is good and in the hands of the one
// it was issued to. It returns the proof of that, if it was one.
func (v *Verifier) recognize(r *http.Request, scheme string, c *checked) (proof *dpop.Proof, err error) {
	if c.access, err = v.genuine(r.Context(), c.token); err != nil {
		return nil, err
	}
	// Cheap before dear: a stolen token costs no question to the store.
	if proof, err = v.bound(r, scheme, c.token, c.access); err != nil {
		return nil, err
	}
	return proof, v.alive(r.Context(), c.access)
}

// genuine returns what the token says if the issuer made it, for us, and it is
// in force (RFC 9068, 4).
func (v *Verifier) genuine(ctx context.Context, compact string) (*Access, error) {
	t, err := jose.Parse(compact, maxToken)
	if err != nil {
		return nil, notJWT(compact, err)
	}
	if !isAccessType(t.Header.Type) {
		return nil, refuseToken("RFC9068-2.1-1", "the token is no access token")
	}
	keys, err := v.config.Keys.PublicKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("token: public keys: %w", err)
	}
	claims, err := t.Verify(v.config.Algorithms, joseKeys(keys))
	if err != nil {
		return nil, badSignature(err)
	}
	a, err := readAccess(claims)
	if err != nil {
		return nil, err
	}
	if err := v.inForce(claims, a); err != nil {
		return nil, err
	}
	return a, nil
}

// notJWT tells credentials that could be no token at all from a token that is
// none of ours. A good request is spared the question.
func notJWT(compact string, err error) *Error {
	e := wrapToken("FAPI2-SP-5.3.4-3", "the token is malformed", err)
	if !isB64Token(compact) {
		e.Status, e.Code, e.Rule = 400, invalidRequest, "RFC6750-2.1-1"
		e.Description = "the credentials are malformed"
	}
	return e
}

func wrapToken(rule, description string, err error) *Error {
	e := refuseToken(rule, description)
	e.Err = err
	return e
}

// badSignature tells the operator which of three things happened: a policy that
// is too narrow, a set that lacks a key, or a forgery.
func badSignature(err error) *Error {
	switch {
	case errors.Is(err, jose.ErrAlgorithm):
		return wrapToken("RFC9068-4-3", "the token's algorithm is not accepted", err)
	case errors.Is(err, jose.ErrNoKey):
		return wrapToken("FAPI2-SP-5.4.3-2", "the token's key is unknown", err)
	}
	return wrapToken("FAPI2-SP-5.3.4-3", "the token's signature is not valid", err)
}

// isAccessType reports whether typ is at+jwt, with or without application/
// before it (RFC 9068, 2.1).
func isAccessType(typ string) bool {
	return strings.EqualFold(typ, typeAccess) || strings.EqualFold(typ, "application/"+typeAccess)
}

func joseKeys(keys []PublicKey) []jose.Key {
	list := make([]jose.Key, len(keys))
	for i, k := range keys {
		list[i] = jose.Key{ID: k.ID, Algorithm: k.Algorithm, Public: k.Key}
	}
	return list
}

// inForce checks issuer, audience and times.
func (v *Verifier) inForce(claims jose.Claims, a *Access) error {
	now := v.config.Now()
	if a.Issuer != v.config.Issuer {
		return refuseToken("RFC9068-4-1", "the token is of another issuer")
	}
	if !slices.Contains(a.Audience, v.config.Audience) { // RFC 9700, 2.3
		return refuseToken("RFC9068-4-1", "the token is for another audience")
	}
	if !now.Before(a.Expires.Add(v.config.Leeway)) {
		return refuseToken("RFC9068-4-1", "the token has expired")
	}
	latest := now.Add(v.config.Ahead)
	if a.IssuedAt.After(latest) || !a.IssuedAt.Before(a.Expires) {
		return refuseToken("RFC9068-4-1", "the token's time of issue is not plausible")
	}
	if claims.Has("nbf") { // RFC 7519, 4.1.5
		if nbf, ok := claims.Time("nbf"); !ok || nbf.After(latest) {
			return refuseToken("RFC9068-4-1", "the token is not valid yet")
		}
	}
	return nil
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
		return refuseToken("RFC8705-3-3", "the connection has no client certificate")
	}
	if !mtls.MatchThumbprint(chain[0], a.Confirmation.X5T) {
		return refuseToken("RFC8705-3-3", "the token is bound to another certificate")
	}
	return nil
}

// alive checks that the token's grant, if it names one, still stands.
func (v *Verifier) alive(ctx context.Context, a *Access) error {
	if v.config.Liveness == nil || a.GrantID == "" {
		return nil
	}
	if !isGrantID(a.GrantID) {
		return refuseToken("FAPI2-SP-5.3.4-3", "the token's grant is unknown")
	}
	rec, err := v.config.Liveness.Get(ctx, a.GrantID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("token: grant: %w", err)
	}
	// Stores forget late, so the record's expiry counts, by our clock.
	if err != nil || !v.config.Now().Before(rec.Expires) {
		return refuseToken("FAPI2-SP-5.3.4-3", "the token was revoked")
	}
	return nil
}

// isGrantID reports whether id is a key of a grant's record. Whatever else the
// claim may hold must not be looked up: it could be the key of a record of
// another kind.
func isGrantID(id string) bool {
	return len(id) == 44 && id[0] == 'g' && isThumbprint(id[1:])
}

// covers checks that the token has all of the scopes (RFC 6750, 3.1).
func covers(a *Access, scopes []string) error {
	for _, s := range scopes {
		if !slices.Contains(a.Scopes, s) {
			return &Error{Status: 403, Code: insufficientScope, Rule: "FAPI2-SP-5.3.4-4",
				Description: "the token lacks a scope", Scope: strings.Join(scopes, " ")}
		}
	}
	return nil
}
