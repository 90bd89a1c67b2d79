package dpop

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Nonces makes the nonces that a server demands in proofs, so that none can be
// prepared long before it is used ([RFC 9449, 8]). A nonce is the time it was
// issued and a code over it that only who has a secret can compute. None is
// stored: whoever shares the secrets accepts it, any number of times, until it
// is too old.
//
// [RFC 9449, 8]: https://www.rfc-editor.org/rfc/rfc9449#section-8
type Nonces struct {
	keys   [][]byte
	server string
	life   time.Duration
}

const (
	timeLen = 8  // seconds since 1970, big endian
	codeLen = 16 // the first octets of an HMAC-SHA-256
)

// maxSkew is how far the clocks of two servers that share secrets may be apart:
// a nonce may come back before it was issued, and no earlier.
const maxSkew = time.Minute

// NewNonces returns Nonces that live for life, 30 seconds to 10 minutes; zero
// means 5 minutes. A client that calls again within half of that never has to
// repeat a request (see [Proof.Nonce]).
//
// Secrets have 32 bytes or more each and are shared by all nodes. The first
// issues and every one checks: a new one is rolled out last in the list and
// then moved first. They may serve other purposes too. Server is the name of
// who issues, such as the issuer or the API's identifier: others refuse its
// nonces though they share the secrets (RFC 9449, 9). The error names all that
// is wrong; it has no secret in it.
func NewNonces(secrets [][]byte, server string, life time.Duration) (*Nonces, error) {
	var errs []error
	if len(secrets) == 0 {
		errs = append(errs, errors.New("dpop: nonces without a secret"))
	}
	if server == "" {
		errs = append(errs, errors.New("dpop: nonces without a server's name"))
	}
	if life == 0 {
		life = 5 * time.Minute
	}
	if life < 30*time.Second || life > 10*time.Minute {
		errs = append(errs, fmt.Errorf("dpop: a nonce's life of %v is not within 30s and 10m", life))
	}
	n := &Nonces{server: server, life: life}
	for i, secret := range secrets {
		if len(secret) < 32 {
			errs = append(errs, fmt.Errorf("dpop: secret %d for nonces has %d bytes, fewer than 32", i, len(secret)))
			continue
		}
		key, err := hkdf.Key(sha256.New, secret, nil, "aikagi dpop nonce 1", sha256.Size)
		if err != nil {
			errs = append(errs, fmt.Errorf("dpop: nonces: %w", err))
		}
		n.keys = append(n.keys, key)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return n, nil
}

// Issue returns the nonce of the second that now is in: 32 characters of
// base64url, fit for a DPoP-Nonce header. A response has one at most, and
// Cache-Control: no-store with it.
func (n *Nonces) Issue(now time.Time) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, timeLen+codeLen), uint64(now.Unix()))
	return digests.EncodeToString(n.seal(b, n.keys[0]))
}

// Check reports when nonce was issued, to the second, and whether that was
// here or by one who shares secrets and name, and recently.
func (n *Nonces) Check(nonce string, now time.Time) (issued time.Time, ok bool) {
	b, err := digests.DecodeString(nonce) // skips line breaks, hence both lengths
	if err != nil || len(b) != timeLen+codeLen || len(nonce) != digests.EncodedLen(timeLen+codeLen) {
		return time.Time{}, false
	}
	for _, key := range n.keys {
		if !hmac.Equal(b, n.seal(b[:timeLen:timeLen], key)) {
			continue
		}
		issued = time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
		if now.Before(issued.Add(-maxSkew)) || !now.Before(issued.Add(n.life)) {
			return time.Time{}, false
		}
		return issued, true
	}
	return time.Time{}, false
}

// seal appends to a time the code over it and the server's name.
func (n *Nonces) seal(b, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(b)
	mac.Write([]byte(n.server))
	return append(b, mac.Sum(nil)[:codeLen]...)
}
