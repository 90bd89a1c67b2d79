// Package pkce is Proof Key for Code Exchange ([RFC 7636]) with the method
// S256, the only one that FAPI 2.0 and RFC 9700 leave standing.
//
// A server calls [CheckChallenge] when an authorization is asked for, keeps
// the challenge with the code, and calls [Verify] when the code is presented.
// A client calls [NewVerifier] and [Challenge]. The package keeps no state and
// all its functions may be called concurrently.
//
// A request that asked without a challenge has nothing to verify against:
// Verify refuses an empty challenge, so a verifier that turns up without one
// is refused too (RFC 9700, 2.1.1).
//
// [RFC 7636]: https://www.rfc-editor.org/rfc/rfc7636
package pkce

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
)

// MethodS256 is the code_challenge_method by which a challenge is the
// base64url form of the verifier's SHA-256 digest.
const MethodS256 = "S256"

const (
	challengeLen = 43 // 32 octets in base64url without padding
	minVerifier  = 43 // RFC 7636, 4.1
	maxVerifier  = 128
)

var (
	errMethodMissing = errors.New("pkce: code_challenge_method is missing, which means plain; only S256 is accepted")
	errMethod        = errors.New("pkce: code_challenge_method is not S256")
	errNoChallenge   = errors.New("pkce: code_challenge is missing")
	errChallenge     = errors.New("pkce: code_challenge is not a SHA-256 digest in 43 characters of base64url")
	errNoVerifier    = errors.New("pkce: code_verifier is missing")
	errVerifier      = errors.New("pkce: code_verifier is not 43 to 128 unreserved characters")
	errMismatch      = errors.New("pkce: code_verifier does not match code_challenge")
)

// digests are in base64url without padding, and in no second form: a digest's
// last character has two bits to spare, which must be zero.
var digests = base64.RawURLEncoding.Strict()

// NewVerifier returns a fresh code_verifier of 43 characters that carries 256
// random bits ([RFC 7636, 4.1]). A verifier serves one authorization request.
//
// [RFC 7636, 4.1]: https://www.rfc-editor.org/rfc/rfc7636#section-4.1
func NewVerifier() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return digests.EncodeToString(b[:])
}

// Challenge returns the S256 code_challenge of verifier, 43 characters
// ([RFC 7636, 4.2]). It does not check the verifier.
//
// [RFC 7636, 4.2]: https://www.rfc-editor.org/rfc/rfc7636#section-4.2
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return digests.EncodeToString(sum[:])
}

// CheckChallenge checks the code_challenge and code_challenge_method of an
// authorization request ([RFC 7636, 4.3]). Both must be present; method must
// be S256, since an absent one means plain; challenge must be what S256 can
// yield, so that one no verifier could ever match is refused at once and not
// after the customer has consented.
//
// A server answers an error with invalid_request. Its text holds nothing of
// the request and may be shown to the client.
//
// [RFC 7636, 4.3]: https://www.rfc-editor.org/rfc/rfc7636#section-4.3
func CheckChallenge(challenge, method string) error {
	switch {
	case challenge == "":
		return errNoChallenge
	case method == "":
		return errMethodMissing
	case method != MethodS256:
		return errMethod
	case !isDigest(challenge):
		return errChallenge
	}
	return nil
}

// Verify checks the code_verifier of a token request against the challenge
// that was kept with the code ([RFC 7636, 4.6]). The comparison takes the same
// time wherever the two differ.
//
// A server answers an error with invalid_grant. Its text holds nothing of the
// request and may be shown to the client.
//
// [RFC 7636, 4.6]: https://www.rfc-editor.org/rfc/rfc7636#section-4.6
func Verify(challenge, verifier string) error {
	if verifier == "" {
		return errNoVerifier
	}
	if !isVerifier(verifier) {
		return errVerifier
	}
	if challenge == "" {
		return errNoChallenge
	}
	if len(challenge) != challengeLen {
		return errChallenge
	}
	var in [maxVerifier]byte
	sum := sha256.Sum256(in[:copy(in[:], verifier)])
	var want, got [challengeLen]byte
	digests.Encode(got[:], sum[:])
	copy(want[:], challenge)
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return errMismatch
	}
	return nil
}

// isDigest tells whether s is 32 octets in base64url without padding.
func isDigest(s string) bool {
	if len(s) != challengeLen {
		return false
	}
	var in [challengeLen]byte
	var out [sha256.Size]byte
	copy(in[:], s)
	// The decoder skips line breaks; with one among 43 characters the result
	// is shorter than a digest.
	n, err := digests.Decode(out[:], in[:])
	return err == nil && n == sha256.Size
}

// isVerifier tells whether s is a code-verifier by the grammar of RFC 7636, 4.1.
func isVerifier(s string) bool {
	if len(s) < minVerifier || len(s) > maxVerifier {
		return false
	}
	for i := range len(s) {
		if !unreserved(s[i]) {
			return false
		}
	}
	return true
}

// unreserved is the set of RFC 3986, 2.3.
func unreserved(c byte) bool {
	switch {
	case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}
