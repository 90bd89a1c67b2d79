package jose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
)

// The JWE key management algorithms this package knows. There is no other:
// RSA1_5, a shared or a password-derived key cannot be switched on by any list.
const (
	RSAOAEP256   = "RSA-OAEP-256"   // RSAES OAEP, SHA-256 (RFC 7518, 4.3)
	RSAOAEP      = "RSA-OAEP"       // RSAES OAEP, SHA-1, which is sound in OAEP (RFC 7518, 4.3)
	ECDHES       = "ECDH-ES"        // ECDH on P-256, the agreed key encrypts (RFC 7518, 4.6)
	ECDHESA128KW = "ECDH-ES+A128KW" // the same, but the agreed key of 128 bits wraps another
	ECDHESA256KW = "ECDH-ES+A256KW" // the same with 256 bits
)

// The JWE content encryption algorithms this package knows.
const (
	A128CBCHS256 = "A128CBC-HS256" // AES-CBC and HMAC-SHA-256 (RFC 7518, 5.2.3)
	A256CBCHS512 = "A256CBC-HS512" // AES-CBC and HMAC-SHA-512 (RFC 7518, 5.2.5)
	A128GCM      = "A128GCM"       // AES-GCM (RFC 7518, 5.3)
	A256GCM      = "A256GCM"
)

// What there is to choose from, for metadata. Nothing here is decided by these
// lists. Do not change them.
var (
	KeyAlgorithms     = []string{RSAOAEP256, RSAOAEP, ECDHES, ECDHESA128KW, ECDHESA256KW}
	ContentAlgorithms = []string{A128CBCHS256, A256CBCHS512, A128GCM, A256GCM}
)

// ErrDecrypt reports that a key was found and does not open the JWE. That is
// all there is to know: whether the key, the ciphertext or the tag was wrong
// helps only an attacker (RFC 7516, 11.5).
var ErrDecrypt = errors.New("jose: decryption failed")

// IsEncrypted reports whether a token has the five parts of a compact JWE (RFC
// 7516, 9). It says nothing about what is in them.
func IsEncrypted(compact string) bool { return strings.Count(compact, ".") == 4 }

// EncryptionKey returns the key of a client's set to encrypt to with alg: of
// those that allow it by use, alg and type, the first that is published for
// encryption, or else the first without use. It is false if there is none: then
// nothing may be sent (OIDC Core, 10.2). A nil set has no keys.
func EncryptionKey(set *Set, alg string) (Key, bool) {
	if set == nil {
		return Key{}, false
	}
	for _, use := range []string{"enc", ""} {
		i := slices.IndexFunc(set.Keys, func(k Key) bool { return k.Use == use && k.encrypts(alg) })
		if i >= 0 {
			return set.Keys[i], true
		}
	}
	return Key{}, false
}

// encrypts reports whether the key may be encrypted to with alg, if its use
// allows that. Keys also come from places other than [ParseSet], so the key
// itself is checked again.
func (k *Key) encrypts(alg string) bool {
	return (k.Algorithm == "" || k.Algorithm == alg) &&
		agrees(alg, k.Public) && checkKey(k.Public) == nil
}

// agrees reports whether a key of this type is used with a key management
// algorithm at all. Like fits it looks at the type alone.
func agrees(alg string, pub crypto.PublicKey) bool {
	switch pub.(type) {
	case *rsa.PublicKey:
		return alg == RSAOAEP256 || alg == RSAOAEP
	case *ecdsa.PublicKey:
		return alg == ECDHES || alg == ECDHESA128KW || alg == ECDHESA256KW
	}
	return false
}

// oaepHash returns the hash of an RSA algorithm. The one of MGF1 is the same.
func oaepHash(alg string) crypto.Hash {
	if alg == RSAOAEP {
		return crypto.SHA1
	}
	return crypto.SHA256
}

// An encrypted is a compact JWE taken apart, nothing of it authenticated.
type encrypted struct {
	alg, enc, kid, cty string

	epk      *ecdh.PublicKey // a point of P-256; nil unless alg is one of ECDH-ES
	apu, apv []byte          // of ECDH-ES alone

	protected          string // the header as it came: what the tag covers beside text
	key, iv, text, tag []byte
}

// parseEncrypted takes a compact JWE apart and reads of its header what
// decryption needs. The members jku, x5u, jwk and x5c are not read, and typ
// means nothing: that of a nested JWT stands in the inner one (RFC 8725, 3.11).
func parseEncrypted(compact string) (*encrypted, error) {
	parts := strings.SplitN(compact, ".", 6)
	if len(parts) != 5 {
		return nil, malformed("not a compact JWE")
	}
	e := &encrypted{protected: parts[0]}
	var header []byte
	for i, to := range []*[]byte{&header, &e.key, &e.iv, &e.text, &e.tag} {
		var err error
		if *to, err = decode64(parts[i]); err != nil {
			return nil, err
		}
	}
	h, err := ParseClaims(header)
	if err != nil {
		return nil, err
	}
	return e, e.readHeader(h)
}

func (e *encrypted) readHeader(h Claims) error {
	// RFC 7516, 4.1.13: an extension that is not understood makes the token
	// invalid. Compressed content is refused before it can grow: what is
	// compressed tells of itself by its length (RFC 8725, 3.6).
	if h.Has("crit") || h.Has("zip") {
		return malformed("header with crit or zip")
	}
	for _, m := range []struct {
		name     string
		to       *string
		required bool
	}{{"alg", &e.alg, true}, {"enc", &e.enc, true}, {"kid", &e.kid, false}, {"cty", &e.cty, false}} {
		s, ok := h.String(m.name)
		if !ok && (m.required || h.Has(m.name)) {
			return malformed("header's " + m.name)
		}
		*m.to = s
	}
	switch e.alg {
	case ECDHES, ECDHESA128KW, ECDHESA256KW:
		return e.readAgreement(h)
	}
	return nil
}

var errEPK = malformed("header's epk is not a public key of P-256")

// readAgreement reads what ECDH-ES has in the header. The point must be on the
// curve, or it would draw our private key out bit by bit (RFC 8725, 3.4).
func (e *encrypted) readAgreement(h Claims) error {
	jwk, ok := h.Object("epk")
	if kty, _ := jwk.String("kty"); !ok || kty != "EC" || slices.ContainsFunc(private, jwk.Has) {
		return errEPK
	}
	pub, err := parseEC(jwk)
	if err != nil {
		return errEPK
	}
	if e.epk, err = pub.(*ecdsa.PublicKey).ECDH(); err != nil {
		return errEPK
	}
	for _, m := range []struct {
		name string
		to   *[]byte
	}{{"apu", &e.apu}, {"apv", &e.apv}} {
		if !h.Has(m.name) {
			continue
		}
		if *m.to, err = octets(h, m.name, 0); err != nil {
			return malformed("header's " + m.name)
		}
	}
	return nil
}

// checkSizes compares the parts with what alg and enc prescribe. That of an
// RSA-encrypted key is the key's and is left to unwrap.
func (e *encrypted) checkSizes(c content) error {
	if len(e.iv) != c.ivSize || len(e.tag) != c.tagSize {
		return malformed("length of the initialization vector or tag")
	}
	switch e.alg {
	case ECDHES: // RFC 7516, 5.2, step 10
		if len(e.key) != 0 {
			return malformed("encrypted key beside an agreed one")
		}
	case ECDHESA128KW, ECDHESA256KW:
		if len(e.key) != c.keySize+wrapOverhead {
			return malformed("length of the encrypted key")
		}
	}
	return nil
}
