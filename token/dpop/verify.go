package dpop

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
)

const (
	// typeProof is the typ of a proof, to the letter (RFC 9449, 11.5): the
	// longer spelling with application/ is nowhere in use.
	typeProof = "dpop+jwt"

	// maxProof bounds a proof's length. Usual ones have 500 bytes, with an RSA
	// key 1500.
	maxProof = 8 << 10

	// maxID bounds a jti, which the caller has to remember (RFC 9449, 11.1).
	maxID = 512
)

// Verify checks the request's proof by the list of [RFC 9449, 4.3], in its
// order and under its numbers. The error is [ErrNone] if there is no proof, an
// [*Error] if the request is to be refused, and anything else if r itself is
// at fault, not its sender.
//
// The same proof can be verified any number of times: see [Proof.Until].
//
// [RFC 9449, 4.3]: https://www.rfc-editor.org/rfc/rfc9449#section-4.3
func (v *Verifier) Verify(r Request) (*Proof, error) {
	urls, err := r.targets()
	if err != nil {
		return nil, err
	}
	compact, err := single(r.Header) // 1
	if err != nil {
		return nil, err
	}
	t, err := jose.Parse(compact, maxProof) // 2
	if err != nil {
		return nil, invalid("RFC9449-4.3-2", "the proof is not a well-formed JWT")
	}
	c, err := readClaims(t) // 3
	if err != nil {
		return nil, err
	}
	if t.Header.Type != typeProof { // 4
		return nil, invalid("RFC9449-4.3-4", "the proof's typ is not dpop+jwt")
	}
	if !slices.Contains(v.config.Algorithms, t.Header.Algorithm) { // 5
		return nil, invalid("RFC9449-4.3-5", "the proof's alg is not accepted")
	}
	key, jkt, err := readKey(t) // 7, which is cheaper than 6
	if err != nil {
		return nil, err
	}
	if _, err := t.Verify(v.config.Algorithms, []jose.Key{key}); err != nil { // 6
		return nil, invalid("RFC9449-4.3-6", "the proof's signature is not valid, or its jwk is not for such signatures")
	}
	if c.method != r.Method { // 8
		return nil, invalid("RFC9449-4.3-8", "the proof's htm is not the request's method")
	}
	at := slices.Index(urls, c.url) // 9
	if at < 0 {
		return nil, invalid("RFC9449-4.3-9", "the proof's htu is not the request's URL")
	}
	until, nonce, err := v.inTime(c) // 10, 11
	if err != nil {
		return nil, err
	}
	if r.AccessToken != "" && !isDigest(c.tokenHash, r.AccessToken) { // 12
		return nil, invalid("RFC9449-4.3-12a", "the proof's ath is not the digest of the access token")
	}
	// Texts of their own: one that is remembered must not keep all of the proof.
	return &Proof{JKT: jkt, ID: strings.Clone(c.id), URL: urls[at], Until: until, Nonce: nonce}, nil
}

// targets returns the URLs of the request in normal form. A fault in them is
// the host's and no client's.
func (r *Request) targets() ([]string, error) {
	if r.Method == "" || len(r.URLs) == 0 {
		return nil, errors.New("dpop: Request without Method or URLs")
	}
	urls := make([]string, len(r.URLs))
	for i, u := range r.URLs {
		var ok bool
		if urls[i], ok = normalize(u); !ok {
			return nil, errors.New("dpop: Request.URLs has what is no http or https URL")
		}
	}
	return urls, nil
}

// single returns the value of the only DPoP header.
func single(h http.Header) (string, error) {
	switch values := h.Values("DPoP"); len(values) {
	case 0:
		return "", ErrNone
	case 1:
		return values[0], nil
	}
	return "", invalid("RFC9449-4.3-1", "the request has more than one DPoP header")
}

// claims are what a proof says: what each has, with its types right, and what
// some have.
type claims struct {
	id, method, url  string
	created          time.Time
	notBefore        time.Time // zero if there is none
	nonce, tokenHash string    // "" if there is none, or one that is no string
}

// readClaims reads what the proof says. Claims that it does not know are
// ignored, and so is exp: how long a proof is good is for the server to say.
func readClaims(t *jose.Token) (c claims, err error) {
	all, err := t.UnverifiedClaims()
	if err != nil {
		return c, invalid("RFC9449-4.3-2", "the proof's payload is not a well-formed JSON object")
	}
	var ok bool
	if c.id, ok = all.String("jti"); !ok || c.id == "" {
		return c, invalid("RFC9449-4.3-3", "the proof has no jti")
	}
	if len(c.id) > maxID {
		return c, invalid("RFC9449-11.1-3", "the proof's jti is longer than 512 bytes")
	}
	if c.method, ok = all.String("htm"); !ok {
		return c, invalid("RFC9449-4.3-3", "the proof has no htm")
	}
	if c.url, ok = all.String("htu"); !ok {
		return c, invalid("RFC9449-4.3-3", "the proof has no htu")
	}
	if c.url, ok = normalize(c.url); !ok {
		return c, invalid("RFC9449-4.2-8", "the proof's htu is not an http or https URL")
	}
	if c.created, ok = all.Time("iat"); !ok {
		return c, invalid("RFC9449-4.3-3", "the proof has no iat")
	}
	if all.Has("nbf") {
		if c.notBefore, ok = all.Time("nbf"); !ok {
			return c, invalid("FAPI2-SP-5.3.2.1-13b", "the proof's nbf is not a time")
		}
	}
	c.nonce, _ = all.String("nonce")
	c.tokenHash, _ = all.String("ath")
	return c, nil
}

// readKey returns the proof's own key and its thumbprint.
func readKey(t *jose.Token) (jose.Key, string, error) {
	key, err := t.HeaderKey()
	switch {
	case errors.Is(err, jose.ErrPrivateKey):
		return key, "", invalid("RFC9449-4.3-7", "the proof's jwk is a private or symmetric key, which is no secret any more")
	case errors.Is(err, jose.ErrWeakKey), errors.Is(err, jose.ErrUnsupportedKey):
		return key, "", invalid("RFC9449-4.3-14", "the proof's jwk is too weak or of a kind that is not accepted")
	case err != nil:
		return key, "", invalid("RFC9449-4.2-3", "the proof has no well-formed public key as jwk")
	}
	jkt, err := jose.Thumbprint(key.Public)
	return key, jkt, err
}

// inTime checks when the proof was made: after its nonce was issued if nonces
// are demanded, else at its iat. It returns until when the proof is good, and
// the nonce that is to follow its own if that is due.
func (v *Verifier) inTime(c claims) (until time.Time, next string, err error) {
	now := v.config.Now()
	made, age := c.created, v.config.Age
	if n := v.config.Nonces; n != nil { // 10
		issued, ok := n.Check(c.nonce, now)
		if !ok {
			return until, "", &Error{UseNonce, "RFC9449-4.3-10", "the proof needs a recent nonce of this server"}
		}
		if !now.Before(issued.Add(n.life / 2)) {
			next = n.Issue(now)
		}
		made, age = issued, n.life
	}
	until = made.Add(age)
	if !now.Before(until) { // 11
		return until, "", invalid("RFC9449-4.3-11", "the proof is too old")
	}
	latest := now.Add(v.config.Ahead) // whatever the nonce
	if c.created.After(latest) {
		return until, "", invalid("RFC9449-4.3-11", "the proof's iat is too far ahead")
	}
	if c.notBefore.After(latest) {
		return until, "", invalid("FAPI2-SP-5.3.2.1-13b", "the proof's nbf is too far ahead")
	}
	return until, next, nil
}

// isDigest reports whether ath is the digest of an access token (RFC 9449, 4.2).
func isDigest(ath, accessToken string) bool {
	sum := sha256.Sum256([]byte(accessToken))
	var want [digestLen]byte
	digests.Encode(want[:], sum[:])
	return ath == string(want[:])
}
