package jose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for RSA-OAEP
	"errors"
	"fmt"
	"slices"
)

// A DecryptionKey is one of our own keys that others encrypt to.
type DecryptionKey struct {
	ID        string // kid, as it is published; "" if it has none: then only a JWE without kid finds it
	Algorithm string // the one key management algorithm it is used with; "" for any that fits

	// Key is an *rsa.PrivateKey, an *ecdsa.PrivateKey on P-256, or one kept
	// elsewhere: a [crypto.Decrypter] whose Public is an *rsa.PublicKey, or an
	// [ecdh.KeyExchanger] on P-256. A Decrypter is handed *rsa.OAEPOptions; what
	// has the methods of both is one.
	Key crypto.PrivateKey
}

// Public returns the key to publish, with use "enc". The error is that of a
// key this package does not decrypt with, or [ErrAlgorithm] if Algorithm does
// not fit it.
func (k *DecryptionKey) Public() (Key, error) {
	pub, err := k.public()
	if err != nil {
		return Key{}, err
	}
	if err := checkKey(pub); err != nil {
		return Key{}, err
	}
	if k.Algorithm != "" && !agrees(k.Algorithm, pub) {
		return Key{}, fmt.Errorf("%w: key of type %T", ErrAlgorithm, pub)
	}
	return Key{ID: k.ID, Use: "enc", Algorithm: k.Algorithm, Public: pub}, nil
}

func (k *DecryptionKey) public() (crypto.PublicKey, error) {
	switch key := k.Key.(type) {
	case *ecdsa.PrivateKey:
		if key != nil {
			return &key.PublicKey, nil
		}
	case *rsa.PrivateKey:
		if key != nil {
			return &key.PublicKey, nil
		}
	case crypto.Decrypter:
		if pub, ok := key.Public().(*rsa.PublicKey); ok {
			return pub, nil
		}
	case ecdh.KeyExchanger:
		if key.Curve() == ecdh.P256() {
			return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.PublicKey().Bytes())
		}
	}
	return nil, fmt.Errorf("%w: private key of type %T", ErrUnsupportedKey, k.Key)
}

// decrypts reports whether the key may decrypt under alg.
func (k *DecryptionKey) decrypts(alg string) bool {
	pub, err := k.Public()
	return err == nil && pub.encrypts(alg)
}

// maxDecryptions bounds the private keys that one JWE without kid is tried
// with. It is lower than maxTries, for an RSA key costs thirty times as much
// here, and the keys are our own: as many as a rotation leaves.
const maxDecryptions = 5

// Decrypt opens a compact JWE of at most limit bytes and returns what is in it
// and its cty, as it was written; a nested JWT has "JWT" (RFC 7519, 5.2).
//
// Anyone can encrypt to a public key: what is returned was decrypted and not
// verified. A caller who expects a signed token hands it to [Parse] and
// [Token.Verify], and refuses what is none.
//
// The JWE's enc must be among encs and its alg one that this package knows, or
// it is [ErrAlgorithm]; both are compared by case. Of keys it considers those
// with the JWE's kid, or all if it has none, that are meant for this alg and
// fit it, the first five of them. It is [ErrNoKey] if there is none, and
// [ErrDecrypt] if none opens it, whatever the reason: that includes a key kept
// elsewhere which fails. A JWE above the limit is [ErrTooLarge] before any work
// is done; one in another form, or whose header is no strict JSON or asks for
// compression or an extension, is [ErrMalformed].
func Decrypt(compact string, limit int, encs []string, keys []DecryptionKey) (payload []byte, cty string, err error) {
	if len(compact) > limit {
		return nil, "", ErrTooLarge
	}
	e, err := parseEncrypted(compact)
	if err != nil {
		return nil, "", err
	}
	c, ok := contents[e.enc]
	if !ok || !slices.Contains(encs, e.enc) || !slices.Contains(KeyAlgorithms, e.alg) {
		return nil, "", ErrAlgorithm
	}
	if err := e.checkSizes(c); err != nil {
		return nil, "", err
	}
	err = ErrNoKey
	tries := 0
	for i := range keys {
		key := &keys[i]
		if e.kid != "" && e.kid != key.ID || !key.decrypts(e.alg) {
			continue
		}
		if tries++; tries > maxDecryptions {
			break
		}
		if payload, ok := e.open(c, e.contentKey(key, c.keySize)); ok {
			return payload, e.cty, nil
		}
		err = ErrDecrypt
	}
	return nil, "", err
}

// open decrypts the content, whose tag also covers the header.
func (e *encrypted) open(c content, cek []byte) ([]byte, bool) {
	aead, err := c.aead(cek)
	if err != nil {
		return nil, false
	}
	payload, err := aead.Open(nil, e.iv, slices.Concat(e.text, e.tag), []byte(e.protected))
	return payload, err == nil
}

// contentKey returns the content encryption key. If there is none to be had it
// is a random one, which opens nothing but costs what the right one would: no
// answer and no delay says how far the attempt came (RFC 7516, 11.5).
func (e *encrypted) contentKey(key *DecryptionKey, size int) []byte {
	substitute := make([]byte, size)
	rand.Read(substitute) // fills it or ends the program
	cek, err := e.unwrap(key, size)
	if err != nil || len(cek) != size {
		return substitute
	}
	return cek
}

// unwrap gets at the content encryption key. The key fits alg.
func (e *encrypted) unwrap(key *DecryptionKey, size int) ([]byte, error) {
	switch private := key.Key.(type) {
	case *ecdsa.PrivateKey:
		exchanger, err := private.ECDH()
		if err != nil {
			return nil, err
		}
		return e.agree(exchanger, size)
	case crypto.Decrypter:
		if pub, ok := private.Public().(*rsa.PublicKey); !ok || len(e.key) != pub.Size() {
			return nil, errUnwrap
		}
		hash := oaepHash(e.alg)
		return private.Decrypt(rand.Reader, e.key, &rsa.OAEPOptions{Hash: hash, MGFHash: hash})
	case ecdh.KeyExchanger:
		return e.agree(private, size)
	}
	return nil, errors.ErrUnsupported // decrypts leaves no other
}

// agree derives the content encryption key from a key agreement, or the key
// that it is wrapped with (RFC 7518, 4.6).
func (e *encrypted) agree(key ecdh.KeyExchanger, size int) ([]byte, error) {
	z, err := key.ECDH(e.epk)
	if err != nil {
		return nil, err
	}
	if e.alg == ECDHES {
		return concatKDF(z, e.enc, e.apu, e.apv, size), nil
	}
	return unwrapKey(concatKDF(z, e.alg, e.apu, e.apv, wrapSize(e.alg)), e.key)
}
