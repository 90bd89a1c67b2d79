package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/store"
)

// VerifierConfig says which tokens a resource server accepts.
type VerifierConfig struct {
	// Issuer is the authorization server's identifier, an https URL. Tokens
	// of any other are refused.
	Issuer string

	// Audience is this API's own identifier, which must be among a token's
	// aud. No two APIs of one issuer share one (RFC 9068, 5).
	Audience string

	// Aliases are further identifiers under which tokens may name this API in
	// aud, such as a former one. No other API may have one of them. Nil: none.
	Aliases []string

	// Keys are the issuer's keys. They are asked for whenever a JWT is read.
	Keys PublicKeySet

	// Algorithms are the accepted ones. Nil means PS256, ES256, EdDSA and
	// Ed25519 (FAPI 2.0 SP, 5.4.1-1); RS256 can be added where the issuer is
	// outside FAPI. Nothing else exists here.
	Algorithms []string

	// Opaque, if not nil, opens the issuer's opaque tokens, which then are
	// accepted as well as JWTs.
	Opaque *Opaque

	// Introspect, if not nil, asks the authorization server about tokens that
	// are no JWT, which then are accepted if its answer stands up to the same
	// checks. A token with a dot in it is taken for a JWT and never asked about.
	Introspect *Introspector

	// Liveness, if not nil, is the authorization server's store: a token is
	// refused as soon as it was revoked or the grant that it names is gone or
	// was amended, and while the store cannot answer, no token is accepted. If nil, a token
	// that was revoked works until it expires, be it JWT or opaque.
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
	// them; from the first nonces are made, by every one they are taken. They
	// may serve other purposes too: no other API's nonces are taken.
	NonceSecrets [][]byte

	// RequireInteractionID says that a request must name itself by an
	// x-fapi-interaction-id that is a UUID, as regions ask it of their APIs (Open
	// Finance Brasil); one that does not is refused with 400. If false, it need
	// not.
	RequireInteractionID bool

	// Leeway is for how long past its expiry a token is still accepted: zero,
	// the default, to one minute.
	Leeway time.Duration

	// Ahead is how far a token's iat and nbf may lie ahead of our clock: 10
	// to 60 seconds; zero means 30.
	Ahead time.Duration

	// Metadata, if not nil, describes this API to clients (RFC 9728): see
	// [Verifier.Metadata]. Audience must then be an https URL.
	Metadata *Metadata

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

// check names all that is wrong with c.
func (c *VerifierConfig) check() error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("token: verifier: "+format, args...))
	}
	c.checkTokens(fail)
	c.checkUse(fail)
	if c.Metadata != nil {
		c.Metadata.check(c.Audience, fail)
	}
	return errors.Join(errs...)
}

// checkTokens checks what says which tokens are accepted.
func (c *VerifierConfig) checkTokens(fail func(format string, args ...any)) {
	if err := checkIssuer(c.Issuer); err != nil {
		fail("%w", err)
	}
	if c.Audience == "" {
		fail("Audience is empty: without it, tokens for other APIs would be accepted")
	}
	if slices.Contains(c.Aliases, "") {
		fail("Aliases has an empty one")
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
	if c.Opaque != nil && c.Opaque.issuer != c.Issuer {
		fail("Opaque is for another issuer")
	}
	if c.Opaque != nil && c.Introspect != nil {
		fail("Opaque and Introspect are both for tokens that are no JWT")
	}
	if c.Introspect != nil {
		c.Introspect.check(fail)
	}
}

// checkUse checks what says when and with what proof they are accepted.
func (c *VerifierConfig) checkUse(fail func(format string, args ...any)) {
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
}
