package jose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
)

// Encrypt returns plaintext as a compact JWE to the holder of key. The header
// has alg, enc and, unless they are empty, kid and cty; sign first and give
// "JWT" as cty for a nested JWT. More members may follow, such as claims that
// the receiver needs beforehand (RFC 7519, 5.3), each a name of the caller's
// choice and a text. Nothing is compressed. It is [ErrAlgorithm] if
// alg or enc is unknown or alg does not fit the key; a key that is weak or of
// another curve has the error that [ParseSet] has for it.
func Encrypt(alg, enc, kid, cty string, key crypto.PublicKey, plaintext []byte, more ...[2]string) (string, error) {
	c, ok := contents[enc]
	if !ok || !agrees(alg, key) {
		return "", fmt.Errorf("%w: %q and %q with a key of type %T", ErrAlgorithm, alg, enc, key)
	}
	if err := checkKey(key); err != nil {
		return "", err
	}
	k, err := newContentKey(alg, enc, key, c.keySize)
	if err != nil {
		return "", fmt.Errorf("jose: encrypt: %w", err)
	}
	header, err := k.appendHeader(nil, alg, enc, append([][2]string{{"kid", kid}, {"cty", cty}}, more...))
	if err != nil {
		return "", err
	}
	aead, err := c.aead(k.cek)
	if err != nil {
		return "", fmt.Errorf("jose: encrypt: %w", err)
	}
	iv := make([]byte, c.ivSize)
	rand.Read(iv) // fills it or ends the program; the key is fresh as well
	protected := b64.AppendEncode(nil, header)
	sealed := aead.Seal(nil, iv, plaintext, protected)
	end := len(sealed) - c.tagSize
	token := protected
	for _, part := range [][]byte{k.wrapped, iv, sealed[:end], sealed[end:]} {
		token = b64.AppendEncode(append(token, '.'), part)
	}
	return string(token), nil
}

// A contentKey is a content encryption key made for one JWE, and what its
// receiver needs to get at it.
type contentKey struct {
	cek     []byte
	wrapped []byte           // the encrypted key; nil if it is agreed on directly
	epk     *ecdsa.PublicKey // nil if no key is agreed on
}

// newContentKey makes a content encryption key of size octets for pub, which
// fits alg and passed checkKey.
func newContentKey(alg, enc string, pub crypto.PublicKey, size int) (*contentKey, error) {
	cek := make([]byte, size)
	rand.Read(cek)
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		wrapped, err := rsa.EncryptOAEP(oaepHash(alg).New(), rand.Reader, pub, cek, nil)
		return &contentKey{cek: cek, wrapped: wrapped}, err
	case *ecdsa.PublicKey:
		z, epk, err := agreeWith(pub)
		if err != nil {
			return nil, err
		}
		if alg == ECDHES {
			return &contentKey{cek: concatKDF(z, enc, nil, nil, size), epk: epk}, nil
		}
		wrapped, err := wrapKey(concatKDF(z, alg, nil, nil, wrapSize(alg)), cek)
		return &contentKey{cek: cek, wrapped: wrapped, epk: epk}, err
	}
	return nil, ErrAlgorithm // agrees leaves no other
}

// agreeWith agrees on a secret with the holder of pub by a key pair that exists
// for this once (RFC 7518, 4.6), and returns its public half.
func agreeWith(pub *ecdsa.PublicKey) (z []byte, epk *ecdsa.PublicKey, err error) {
	remote, err := pub.ECDH()
	if err != nil {
		return nil, nil, err
	}
	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if z, err = ephemeral.ECDH(remote); err != nil {
		return nil, nil, err
	}
	epk, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), ephemeral.PublicKey().Bytes())
	return z, epk, err
}

// appendHeader writes the protected header. Members without value are left out.
func (k *contentKey) appendHeader(b []byte, alg, enc string, members [][2]string) ([]byte, error) {
	b = append(b, `{"alg":"`+alg+`","enc":"`+enc+`"`...)
	var err error
	for _, m := range members {
		if m[1] == "" {
			continue
		}
		if b, err = appendString(append(b, `,"`+m[0]+`":`...), m[1]); err != nil {
			return nil, err
		}
	}
	if k.epk != nil {
		if b, err = appendMembers(append(b, `,"epk":`...), k.epk); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
