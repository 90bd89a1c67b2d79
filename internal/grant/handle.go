package grant

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
)

// A Locator finds a record. The request_uri, the code and the refresh token of
// one flow share it.
type Locator [16]byte

// A Secret proves that its bearer was given a handle. It has 256 random bits,
// and only its [Digest] is ever stored.
type Secret [32]byte

// A Digest is what the server keeps of a [Secret].
type Digest [sha256.Size]byte

// A Handle is what a client carries: where to look, and the proof that it may.
// As a string it is a format byte, the locator and the secret in base64url: 66
// characters.
type Handle struct {
	Locator Locator
	Secret  Secret
}

// handleFormat is the first byte of every handle.
const handleFormat = 1

const handleSize = 1 + len(Locator{}) + len(Secret{})

// ErrHandle is returned for a string that no server has issued.
var ErrHandle = errors.New("grant: malformed handle")

// NewHandle returns a handle with a fresh locator and a fresh secret.
func NewHandle() Handle {
	h := Handle{Secret: NewSecret()}
	rand.Read(h.Locator[:])
	return h
}

// HandleOf returns the handle of the request in a request object that the
// client signed, so that everywhere and at any time the same object leads to the
// same record. It is known to whoever has the object, and to nobody else.
func HandleOf(issuer, client, signed string) Handle {
	var h Handle
	locator := digest('L', issuer, client, signed)
	copy(h.Locator[:], locator[:])
	h.Secret = digest('S', "request object", issuer, client, signed)
	return h
}

// NewSecret returns a fresh secret.
func NewSecret() Secret {
	var s Secret
	rand.Read(s[:])
	return s
}

// String returns the handle as the client carries it. It is a secret.
func (h Handle) String() string {
	var b [handleSize]byte
	b[0] = handleFormat
	copy(b[1:], h.Locator[:])
	copy(b[1+len(h.Locator):], h.Secret[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ParseHandle reads what [Handle.String] wrote, and nothing else: every handle
// has exactly one spelling.
func ParseHandle(s string) (Handle, error) {
	var b [handleSize + 1]byte
	if base64.RawURLEncoding.DecodedLen(len(s)) != handleSize {
		return Handle{}, ErrHandle
	}
	for i := range len(s) { // DecodeString would skip line breaks
		if s[i] == '\r' || s[i] == '\n' {
			return Handle{}, ErrHandle
		}
	}
	n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(s))
	if err != nil || n != handleSize || b[0] != handleFormat {
		return Handle{}, ErrHandle
	}
	var h Handle
	copy(h.Locator[:], b[1:])
	copy(h.Secret[:], b[1+len(h.Locator):])
	return h, nil
}

// Digest returns what may be stored of s.
func (s Secret) Digest() Digest { return sha256.Sum256(s[:]) }

// Matches reports whether d is the digest of s, in constant time. The zero
// Digest matches nothing.
func (d Digest) Matches(s Secret) bool {
	if d == (Digest{}) {
		return false
	}
	sum := s.Digest()
	return subtle.ConstantTimeCompare(d[:], sum[:]) == 1
}
