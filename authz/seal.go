package authz

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// A sealer encrypts and authenticates what browsers carry. The first secret
// seals, every one opens. It has no state, so any node opens what another
// sealed.
type sealer struct {
	issuer []byte
	aeads  []cipher.AEAD
}

// sealFormat is the first byte of everything sealed.
const sealFormat = 1

var errSeal = errors.New("not sealed by this server")

func newSealer(secrets [][]byte, issuer string) *sealer {
	s := &sealer{issuer: []byte(issuer)}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "aikagi interaction 1", 32)
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
		s.aeads = append(s.aeads, aead)
	}
	return s
}

func (s *sealer) seal(plain []byte) string {
	b := s.aeads[0].Seal([]byte{sealFormat}, nil, plain, s.issuer)
	return base64.RawURLEncoding.EncodeToString(b)
}

// open returns what was sealed. What was sealed has one spelling: the decoder
// alone would skip line breaks.
func (s *sealer) open(sealed string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(b) == 0 || b[0] != sealFormat || strings.ContainsAny(sealed, "\r\n") {
		return nil, errSeal
	}
	for _, aead := range s.aeads {
		if plain, err := aead.Open(nil, nil, b[1:], s.issuer); err == nil {
			return plain, nil
		}
	}
	return nil, errSeal
}

// randomText returns 256 random bits in base64url: 43 characters.
func randomText() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
