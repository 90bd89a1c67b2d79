package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// SealedConfig describes what [Sealed] builds.
type SealedConfig struct {
	Store  Store  // what keeps the records
	Lister Lister // optional: what lists them by tag, commonly the same as Store

	// Secrets encrypt and authenticate, 32 random bytes or more each, known to
	// no one but the server's nodes. The first seals, every one opens. To
	// rotate, first append the new secret at every node, then move it to the
	// front. An old one may be left out once every record that it sealed has
	// expired: a grant that is used but not changed stays sealed as it was.
	Secrets [][]byte

	// TagSecret replaces every tag by a digest that cannot be guessed, as an
	// account number can: 32 random bytes or more, none of Secrets. It never
	// changes, or else no record is found by a tag that was given before.
	TagSecret []byte
}

// Sealed returns a [Store] that encrypts the values and tags of what it keeps
// in c.Store, and the [Lister] that goes with it, which is nil if c.Lister is.
// An error tells every fault of c.
//
// Whoever can read or write c.Store sees keys, versions, times of expiry and
// lengths, and which records have a tag in common. They can delete a record,
// put back one that once was under the same key, all of it as it then was, and
// hide one from List: to notice that, one would have to remember each record
// elsewhere. Everything else is refused with an error that is none of the
// three, by whoever reads it through a Sealed: a value that was changed, that belongs to another key or version or
// to a longer or shorter life, an older value at a newer version, a record
// listed by a tag that it does not bear, twice or out of order, and one that
// nobody sealed. So a Sealed starts with a store that is empty.
//
// The cipher is AES-256 in Galois/Counter Mode (NIST SP 800-38D), under a key
// for each write. The error that a record is refused with names its key and
// holds nothing of what is in it.
//
// A value grows by 34 bytes, and for each tag by its length and one, all of
// which must fit into the 64 KiB of a [Record]; Create and Replace refuse what
// does not. With two tags such as the server's, 65412 bytes are left.
func Sealed(c SealedConfig) (Store, Lister, error) {
	s := &sealed{store: c.Store, lister: c.Lister}
	var faults []error
	if c.Store == nil {
		faults = append(faults, errors.New("store: Sealed without a Store"))
	}
	if len(c.Secrets) == 0 {
		faults = append(faults, errors.New("store: Sealed without Secrets"))
	}
	for i, secret := range c.Secrets {
		k, err := newSealKey(secret)
		if err != nil {
			faults = append(faults, fmt.Errorf("store: Secrets[%d] of Sealed: %w", i, err))
			continue
		}
		if s.key(k.id) != nil {
			faults = append(faults, fmt.Errorf("store: Secrets[%d] of Sealed is there before, or has the same id by chance", i))
		}
		s.keys = append(s.keys, k)
		if hmac.Equal(secret, c.TagSecret) {
			faults = append(faults, fmt.Errorf("store: TagSecret of Sealed is Secrets[%d], which is there to be rotated out", i))
		}
	}
	var err error
	if s.tagKey, err = deriveKey(c.TagSecret, "aikagi sealed tags 1", sha256.Size); err != nil {
		faults = append(faults, fmt.Errorf("store: TagSecret of Sealed: %w", err))
	}
	if len(faults) > 0 {
		return nil, nil, errors.Join(faults...)
	}
	if c.Lister == nil {
		return s, nil, nil
	}
	return s, s, nil
}

// sealed implements Store and Lister.
type sealed struct {
	store  Store
	lister Lister
	keys   []*sealKey // the first seals
	tagKey []byte
}

// Create implements [Store].
func (s *sealed) Create(ctx context.Context, r Record) error {
	r, err := s.seal(r)
	if err != nil {
		return err
	}
	return s.store.Create(ctx, r)
}

// Get implements [Store].
func (s *sealed) Get(ctx context.Context, key string) (Record, error) {
	r, err := s.store.Get(ctx, key)
	if err != nil {
		return Record{}, err
	}
	r.Key = key // whatever the store says it found
	return s.open(r)
}

// Replace implements [Store].
func (s *sealed) Replace(ctx context.Context, version string, r Record) error {
	r, err := s.seal(r)
	if err != nil {
		return err
	}
	return s.store.Replace(ctx, version, r)
}

// Delete implements [Store].
func (s *sealed) Delete(ctx context.Context, key string) error { return s.store.Delete(ctx, key) }

// List implements [Lister].
func (s *sealed) List(ctx context.Context, tag, after string, limit int) ([]Record, error) {
	page, err := s.lister.List(ctx, s.tag(tag), after, limit)
	if err != nil {
		return nil, err
	}
	opened := make([]Record, len(page))
	for i, r := range page {
		if opened[i], err = s.open(r); err != nil {
			return nil, err
		}
		if !slices.Contains(opened[i].Tags, tag) {
			return nil, fmt.Errorf("store: record %q was listed by a tag that it was not sealed with", r.Key)
		}
		if r.Key <= after { // or whoever pages might never come to an end
			return nil, fmt.Errorf("store: record %q was listed out of order", r.Key)
		}
		after = r.Key
	}
	return opened, nil
}

// A sealed value is a format byte, the id of the secret, and what AES-GCM makes
// of the tags and the value: a nonce, the ciphertext and a tag of its own.
const (
	sealFormat   = 1
	sealKeyID    = 4
	sealHead     = 1 + sealKeyID
	sealOverhead = 12 + 16 // nonce and tag
)

// seal returns r as the store keeps it. It leaves r's slices alone.
func (s *sealed) seal(r Record) (Record, error) {
	room := sealHead + sealOverhead + binary.MaxVarintLen64 + len(r.Value)
	for _, tag := range r.Tags {
		room += binary.MaxVarintLen64 + len(tag)
	}
	k := s.keys[0]
	b := make([]byte, sealHead, room)
	b[0] = sealFormat
	copy(b[1:], k.id[:])
	plain := append(appendTags(b, r.Tags), r.Value...)[sealHead:]
	sealedFor := bound(b, r)
	b = k.aead(sealedFor).Seal(b, nil, plain, sealedFor) // plain makes way for the nonce
	if len(b) > maxValue {
		return Record{}, fmt.Errorf("store: value of %d bytes, which sealed is %d, want at most %d", len(r.Value), len(b), maxValue)
	}
	r.Value = b
	if len(r.Tags) > 0 {
		tags := make([]string, len(r.Tags))
		for i, tag := range r.Tags {
			tags[i] = s.tag(tag)
		}
		r.Tags = tags
	}
	return r, nil
}

// open returns what was sealed as r, or says why not.
func (s *sealed) open(r Record) (Record, error) {
	if len(r.Value) < sealHead+sealOverhead || r.Value[0] != sealFormat {
		return Record{}, fmt.Errorf("store: record %q is not sealed", r.Key)
	}
	head := r.Value[:sealHead]
	id := [sealKeyID]byte(head[1:])
	k := s.key(id)
	if k == nil {
		return Record{}, fmt.Errorf("store: record %q is sealed with secret %x, which is not among Secrets", r.Key, id)
	}
	sealedFor := bound(head, r)
	plain, err := k.aead(sealedFor).Open(nil, nil, r.Value[sealHead:], sealedFor)
	if err != nil {
		return Record{}, fmt.Errorf("store: record %q was not sealed like this: its value, version or expiry was changed", r.Key)
	}
	r.Tags, r.Value = cutTags(plain)
	return r, nil
}

// bound returns all that a value is sealed for: the way it is sealed, and the
// key, version and expiry of its record, of which a Store may drop fractions of
// a second.
func bound(head []byte, r Record) []byte {
	b := make([]byte, 0, len(head)+len(r.Key)+len(r.Version)+3*8)
	b = append(b, head...)
	b = appendText(b, r.Key)
	b = appendText(b, r.Version)
	return binary.BigEndian.AppendUint64(b, uint64(r.Expires.Unix()))
}

// tag returns what stands for tag in the store.
func (s *sealed) tag(tag string) string {
	mac := hmac.New(sha256.New, s.tagKey)
	mac.Write([]byte(tag))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// key returns the key with that id, or nil.
func (s *sealed) key(id [sealKeyID]byte) *sealKey {
	for _, k := range s.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

// A sealKey is made from a secret.
type sealKey struct {
	id   [sealKeyID]byte // tells it from others, and nothing else
	root []byte          // from which the keys of writes are derived
}

func newSealKey(secret []byte) (*sealKey, error) {
	k := new(sealKey)
	id, err := deriveKey(secret, "aikagi sealed id 1", sealKeyID)
	if err != nil {
		return nil, err
	}
	copy(k.id[:], id)
	k.root, err = deriveKey(secret, "aikagi sealed values 1", sha256.Size)
	return k, err
}

// aead returns the cipher for what bound returned.
//
// Nonces are random and have 96 bits, so that a key may seal 2^32 values (NIST
// SP 800-38D, 8.3). A store may see more writes than that in a year. Therefore
// each write has a key of its own (HKDF, NIST SP 800-56C): the server gives
// every write a fresh version, so that a key seals one value, and that value
// again when a write is repeated. Were versions always the same, the limit
// would be one for the writes of each record.
func (k *sealKey) aead(sealedFor []byte) cipher.AEAD {
	key, err := hkdf.Expand(sha256.New, k.root, string(sealedFor), 32)
	if err != nil {
		panic(err) // 32 bytes are always to be had
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// minSecret is the least size of a secret, in bytes.
const minSecret = 32

// deriveKey returns size bytes made from secret for a use.
func deriveKey(secret []byte, use string, size int) ([]byte, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("%d bytes, want %d random ones or more", len(secret), minSecret)
	}
	return hkdf.Key(sha256.New, secret, nil, use, size)
}
