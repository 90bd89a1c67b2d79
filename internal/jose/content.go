package jose

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash"
	"slices"
)

// A content is a content encryption algorithm. Sizes are in octets.
type content struct {
	keySize, ivSize, tagSize int

	// aead returns the algorithm under a key of keySize octets. What it seals
	// has the tag at its end.
	aead func(key []byte) (cipher.AEAD, error)
}

// contents holds every content encryption algorithm there is. No tag is
// shorter than 128 bits.
var contents = map[string]content{
	A128CBCHS256: {32, aes.BlockSize, 16, newCBCHMAC(sha256.New)},
	A256CBCHS512: {64, aes.BlockSize, 32, newCBCHMAC(sha512.New)},
	A128GCM:      {16, 12, 16, newGCM},
	A256GCM:      {32, 12, 16, newGCM},
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// A cbcHMAC is AES-CBC with HMAC (RFC 7518, 5.2.2) as a [cipher.AEAD]: it
// encrypts, then authenticates. The package crypto has no such combination.
type cbcHMAC struct {
	block   cipher.Block
	hash    func() hash.Hash
	macKey  []byte
	tagSize int
}

// newCBCHMAC takes keys whose first half is for the HMAC and whose second is
// for AES. The tag is as long as one half.
func newCBCHMAC(hash func() hash.Hash) func(key []byte) (cipher.AEAD, error) {
	return func(key []byte) (cipher.AEAD, error) {
		half := len(key) / 2
		block, err := aes.NewCipher(key[half:])
		if err != nil {
			return nil, err
		}
		return &cbcHMAC{block: block, hash: hash, macKey: key[:half], tagSize: half}, nil
	}
}

// NonceSize implements [cipher.AEAD].
func (c *cbcHMAC) NonceSize() int { return aes.BlockSize }

// Overhead implements [cipher.AEAD].
func (c *cbcHMAC) Overhead() int { return aes.BlockSize + c.tagSize }

// tag authenticates the additional data and its length in bits beside the
// initialization vector and the ciphertext (RFC 7518, 5.2.2.1, steps 4 and 5).
func (c *cbcHMAC) tag(iv, text, aad []byte) []byte {
	mac := hmac.New(c.hash, c.macKey)
	mac.Write(aad)
	mac.Write(iv)
	mac.Write(text)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(aad))*8))
	return mac.Sum(nil)[:c.tagSize]
}

// Seal implements [cipher.AEAD].
func (c *cbcHMAC) Seal(dst, iv, plaintext, aad []byte) []byte {
	padding := aes.BlockSize - len(plaintext)%aes.BlockSize
	text := slices.Grow(slices.Clone(plaintext), padding+c.tagSize)
	for range padding { // PKCS #7
		text = append(text, byte(padding))
	}
	cipher.NewCBCEncrypter(c.block, iv).CryptBlocks(text, text)
	return append(append(dst, text...), c.tag(iv, text, aad)...)
}

var errOpen = errors.New("message authentication failed")

// Open implements [cipher.AEAD]. Nothing is decrypted before the tag was found
// right, in constant time, so that there is no padding to ask about.
func (c *cbcHMAC) Open(dst, iv, sealed, aad []byte) ([]byte, error) {
	n := len(sealed) - c.tagSize
	if n < aes.BlockSize || n%aes.BlockSize != 0 {
		return nil, errOpen
	}
	text, tag := sealed[:n], sealed[n:]
	if subtle.ConstantTimeCompare(tag, c.tag(iv, text, aad)) != 1 {
		return nil, errOpen
	}
	plaintext := make([]byte, n)
	cipher.NewCBCDecrypter(c.block, iv).CryptBlocks(plaintext, text)
	padding := int(plaintext[n-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errOpen
	}
	for _, b := range plaintext[n-padding:] {
		if int(b) != padding {
			return nil, errOpen
		}
	}
	return append(dst, plaintext[:n-padding]...), nil
}
