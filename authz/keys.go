package authz

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/aikagi/aikagi/internal/fetch"
	"github.com/aikagi/aikagi/internal/jose"
)

// clientKeys finds the public keys of clients. Parsed sets are cached under a
// digest of their bytes, since a registry may make a Client afresh each time.
type clientKeys struct {
	fetch *fetch.Cache

	mu     sync.RWMutex
	parsed map[[sha256.Size]byte]parsedSet
	total  int // bytes that parsed was made from
}

type parsedSet struct {
	*jose.Set
	size int
}

// maxParsed and maxParsedBytes limit what is kept parsed. A client may publish
// another large set at its jwks_uri every minute.
const (
	maxParsed      = 10_000
	maxParsedBytes = 32 << 20
)

func newClientKeys(f *fetch.Cache) *clientKeys {
	return &clientKeys{fetch: f, parsed: make(map[[sha256.Size]byte]parsedSet)}
}

// set returns c's keys, from wherever c registered them.
func (k *clientKeys) set(ctx context.Context, c *Client) (*jose.Set, error) {
	if c.JWKS != nil {
		return k.parse(c.JWKS)
	}
	b, err := k.fetch.Get(ctx, c.JWKSURI)
	if err != nil {
		return nil, err
	}
	return k.parse(b)
}

// refresh returns c's keys again after none of them fitted, or nil if they
// cannot have changed (FAPI2-SP-5.4.3-2). The fetcher limits how often.
func (k *clientKeys) refresh(ctx context.Context, c *Client) (*jose.Set, error) {
	if c.JWKS != nil {
		return nil, nil
	}
	b, err := k.fetch.Refresh(ctx, c.JWKSURI)
	if err != nil {
		return nil, err
	}
	return k.parse(b)
}

func (k *clientKeys) parse(b []byte) (*jose.Set, error) {
	sum := sha256.Sum256(b)
	k.mu.RLock()
	known := k.parsed[sum]
	k.mu.RUnlock()
	if known.Set != nil {
		return known.Set, nil
	}
	set, err := jose.ParseSet(b)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.parsed[sum]; known.Set != nil { // another request's, meanwhile
		return known.Set, nil
	}
	for old, s := range k.parsed { // forget any; that costs their next use a parse
		if len(k.parsed) < maxParsed && k.total+len(b) <= maxParsedBytes {
			break
		}
		delete(k.parsed, old)
		k.total -= s.size
	}
	k.parsed[sum] = parsedSet{set, len(b)}
	k.total += len(b)
	return set, nil
}

// check returns what is wrong with the keys that c registered by value.
func (k *clientKeys) check(c *Client) (v Violations) {
	if c.JWKS == nil {
		return nil
	}
	set, err := k.parse(c.JWKS)
	if err != nil {
		return Violations{{"OIDR-7", "jwks: " + err.Error(), "register a JWK Set of public keys"}}
	}
	for _, err := range set.Skipped {
		if errors.Is(err, jose.ErrWeakKey) {
			v = append(v, Violation{"FAPI2-SP-5.4.1-2", "jwks: " + err.Error(), "use RSA of 2048 bits or more, P-256 or Ed25519"})
		}
	}
	if c.AuthMethod == methodSelfSignedTLS && len(certificates(set)) == 0 {
		v = append(v, Violation{"RFC8705-2.2-1", "jwks: no key has x5c", "register the certificate with its key"})
	}
	if len(set.Keys) == 0 {
		v = append(v, Violation{"OIDR-7", "jwks has no usable key", "register at least one"})
	}
	return v
}

// mayEncrypt reports whether there may be a key of c's to encrypt to with alg.
// What is at its jwks_uri is seen when it is used.
func (k *clientKeys) mayEncrypt(c *Client, alg string) bool {
	if c.JWKS == nil {
		return c.JWKSURI != ""
	}
	set, err := k.parse(c.JWKS)
	_, ok := jose.EncryptionKey(set, alg)
	return err == nil && ok
}

// certificates returns the certificates that a set registers: the first of
// each x5c (RFC 8705, 2.2.2).
func certificates(set *jose.Set) [][]byte {
	var der [][]byte
	for _, key := range set.Keys {
		if len(key.X5C) > 0 {
			der = append(der, key.X5C[0])
		}
	}
	return der
}
