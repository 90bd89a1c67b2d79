package jose

import (
	"crypto/aes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"
)

// concatKDF derives a key of size octets from the secret z of a key agreement
// (RFC 7518, 4.6.2): the Concat KDF of NIST SP 800-56A with SHA-256.
func concatKDF(z []byte, alg string, apu, apv []byte, size int) []byte {
	var info []byte
	for _, field := range [][]byte{[]byte(alg), apu, apv} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(field)))
		info = append(info, field...)
	}
	info = binary.BigEndian.AppendUint32(info, uint32(size)*8) // SuppPubInfo, in bits
	var key []byte
	for round := uint32(1); len(key) < size; round++ {
		h := sha256.New()
		h.Write(binary.BigEndian.AppendUint32(nil, round))
		h.Write(z)
		h.Write(info)
		key = h.Sum(key)
	}
	return key[:size]
}

// wrapSize returns the size in octets of the key that wraps the content
// encryption key, or 0 if alg wraps none.
func wrapSize(alg string) int {
	switch alg {
	case ECDHESA128KW:
		return 16
	case ECDHESA256KW:
		return 32
	}
	return 0
}

// wrapOverhead is by how many octets a wrapped key is longer.
const wrapOverhead = 8

// wrapIV is the initial value that integrity is checked by (RFC 3394, 2.2.3.1).
var wrapIV = []byte{0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6}

var errUnwrap = errors.New("key unwrap failed")

// wrapKey is the AES key wrap of RFC 3394, 2.2.1 in its form with an index. The
// key has two blocks of 8 octets or more.
func wrapKey(kek, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	out := slices.Concat(wrapIV, key)
	var b [aes.BlockSize]byte
	copy(b[:8], wrapIV) // A
	n := uint64(len(key) / 8)
	for t := range 6 * n {
		r := out[8+t%n*8:][:8]
		copy(b[8:], r)
		block.Encrypt(b[:], b[:])
		copy(r, b[8:])
		xorCounter(b[:8], t+1)
	}
	copy(out, b[:8])
	return out, nil
}

// unwrapKey is the inverse of wrapKey (RFC 3394, 2.2.2).
func unwrapKey(kek, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, errUnwrap
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	key := slices.Clone(wrapped[8:])
	var b [aes.BlockSize]byte
	copy(b[:8], wrapped) // A
	n := uint64(len(key) / 8)
	for t := 6 * n; t > 0; t-- {
		r := key[(t-1)%n*8:][:8]
		xorCounter(b[:8], t)
		copy(b[8:], r)
		block.Decrypt(b[:], b[:])
		copy(r, b[8:])
	}
	if subtle.ConstantTimeCompare(b[:8], wrapIV) != 1 {
		return nil, errUnwrap
	}
	return key, nil
}

func xorCounter(a []byte, t uint64) {
	binary.BigEndian.PutUint64(a, binary.BigEndian.Uint64(a)^t)
}
