// Package dpop checks proofs of possession: the JWTs of [RFC 9449] by which a
// client shows with every request that it holds the key its access token is
// bound to. It needs nothing else of this module, so that a server of any make
// can adopt it: make a [Verifier] with [New] and call [Verifier.Verify] where
// a request has a DPoP header.
//
// Verify keeps no state and spends nothing. Three things are its caller's:
//
//   - to remember each [Proof], so that it counts once (RFC 9449, 11.1);
//   - to compare its JKT with the key that the access token or the code is
//     bound to, at the end of the checks (RFC 9449, 4.3-12b);
//   - to refuse a request that has a proof and nothing else: a proof is neither
//     authentication nor authorization.
//
// Everything here is safe for concurrent use and changes none of its
// arguments.
//
// [RFC 9449]: https://www.rfc-editor.org/rfc/rfc9449
package dpop

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
)

// The codes of an [Error] (RFC 9449, 5, 7.1 and 8).
const (
	InvalidProof = "invalid_dpop_proof" // the proof is no good, and sending it again will not help
	UseNonce     = "use_dpop_nonce"     // the client is to repeat the request with a nonce from the answer's DPoP-Nonce
)

// ErrNone reports a request without any DPoP header. Whether it needed one is
// for the caller to say.
var ErrNone = errors.New("dpop: no proof")

// Error is a refusal. An authorization server answers it with status 400, a
// resource server with 401 and a DPoP challenge. Nothing of the proof is in it.
type Error struct {
	Code        string // InvalidProof or UseNonce
	Rule        string // the requirement it rests on, such as RFC9449-4.3-8; not for the client
	Description string // in words the client's developer may see, fit for error_description
}

// Error returns the refusal in words for the operator.
func (e *Error) Error() string { return "dpop: " + e.Code + ": " + e.Description + " (" + e.Rule + ")" }

func invalid(rule, description string) *Error {
	return &Error{InvalidProof, rule, description}
}

// Config says which proofs are good. The zero Config is ready for use.
type Config struct {
	// Algorithms are the accepted ones. Nil means PS256, ES256, EdDSA and
	// Ed25519 (FAPI 2.0 SP, 5.4.1-1); RS256 can be added outside FAPI. Nothing
	// else exists here.
	Algorithms []string

	// Age is how long after its iat a proof is good: 15 seconds to 5 minutes;
	// zero means 60 seconds. With Nonces it has no say: then a proof is as old
	// as its nonce (RFC 9449, 4.3-11), and an iat long past is a slow clock.
	Age time.Duration

	// Ahead is how far a proof's iat and nbf may lie ahead of our clock: 10 to
	// 60 seconds; zero means 30. A good nonce does not lift it.
	Ahead time.Duration

	// Nonces, if not nil, are demanded of every proof (RFC 9449, 8 and 9).
	Nonces *Nonces

	// Now replaces time.Now if it is not nil.
	Now func() time.Time
}

// A Verifier checks proofs. It keeps no state of its own.
type Verifier struct{ config Config }

// New returns a Verifier. The error names all that is wrong with c.
func New(c Config) (*Verifier, error) {
	c.Algorithms = slices.Clone(c.Algorithms)
	if c.Algorithms == nil {
		c.Algorithms = []string{jose.PS256, jose.ES256, jose.EdDSA, jose.Ed25519}
	}
	if c.Age == 0 {
		c.Age = time.Minute
	}
	if c.Ahead == 0 {
		c.Ahead = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Verifier{c}, nil
}

func (c *Config) check() error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("dpop: "+format, args...))
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
	if c.Age < 15*time.Second || c.Age > 5*time.Minute { // RFC 9449, 11.1: seconds or minutes
		fail("Age %v is not within 15s and 5m", c.Age)
	}
	if c.Ahead < 10*time.Second || c.Ahead > time.Minute { // FAPI 2.0 SP, 5.3.2.1-13
		fail("Ahead %v is not within 10s and 1m", c.Ahead)
	}
	return errors.Join(errs...)
}

// A Request is what a proof is checked against.
type Request struct {
	// Header is the request's. Only its DPoP fields are read.
	Header http.Header

	// Method is the request's, such as POST.
	Method string

	// URLs are the http or https URLs that this request may have been sent to,
	// usually one; query and fragment do not count. Take scheme, host and port
	// from configuration, never from the Host or X-Forwarded-Host of the
	// request: whoever sends a stolen proof writes these as they like. A path
	// that varies is http.Request.URL.EscapedPath().
	URLs []string

	// AccessToken is what the Authorization header has after "DPoP". With it,
	// the proof must have its digest as ath. If empty, as at an authorization
	// server, ath is not looked at.
	AccessToken string
}

// A Proof is what a good proof shows.
type Proof struct {
	// JKT is the SHA-256 thumbprint of the proof's key (RFC 7638), 43
	// characters.
	JKT string

	// ID is the proof's jti, 1 to 512 bytes of its maker's choice. It is
	// unique only together with JKT, and with URL.
	ID string

	// URL is which of the request's URLs the proof is for, in normal form:
	// the same text for however the proof spells it.
	URL string

	// Until is when the proof ceases to be good: until then its ID must be
	// remembered, and refused if it comes again (RFC 9449, 11.1).
	Until time.Time

	// Nonce, if not empty, is to be sent as DPoP-Nonce with the answer, with
	// Cache-Control: no-store (RFC 9449, 8.2): the proof's own has passed
	// half of its life.
	Nonce string
}

// digests are in base64url without padding, and in no second form: a digest's
// last character has two bits to spare, which must be zero.
var digests = base64.RawURLEncoding.Strict()

// digestLen is how long 32 octets are in base64url.
const digestLen = 43

// CheckJKT checks that jkt, such as the authorization parameter dpop_jkt, can
// be a key's SHA-256 thumbprint: 43 characters of base64url in the one spelling
// that [Proof] has (RFC 9449, 10). The error has nothing of jkt in it.
func CheckJKT(jkt string) error {
	b, err := digests.DecodeString(jkt) // skips line breaks, hence both lengths
	if err != nil || len(b) != 32 || len(jkt) != digestLen {
		return errors.New("dpop: not a SHA-256 thumbprint in 43 characters of base64url")
	}
	return nil
}
