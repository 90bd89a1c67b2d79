package httpsig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
)

// An algorithm is one that a key is used with, and decides by itself.
type algorithm string

// The algorithms of FAPI 2.0 SP, 5.4.1-1, by their names in the registry of
// RFC 9421, 6.2.2, as far as they are there.
const (
	es256 algorithm = "ecdsa-p256-sha256"
	eddsa algorithm = "ed25519"
	ps256 algorithm = "" // JOSE's PS256; the registry has rsa-pss-sha512 alone
)

// Bounds on RSA moduli in bits: FAPI 2.0 SP, 5.4.1-2, and what a stranger may
// cost us.
const (
	minModulus = 2048
	maxModulus = 8192
)

// algorithmOf returns the algorithm of a key, if there is one.
func algorithmOf(key crypto.PublicKey) (algorithm, bool) {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key == nil || key.Curve != elliptic.P256() {
			return "", false
		}
		_, err := key.Bytes() // is it a point of the curve?
		return es256, err == nil
	case ed25519.PublicKey:
		return eddsa, len(key) == ed25519.PublicKeySize
	case *rsa.PublicKey:
		if key == nil || key.N == nil {
			return "", false
		}
		bits := key.N.BitLen()
		return ps256, minModulus <= bits && bits <= maxModulus
	}
	return "", false
}

// named reports whether the alg parameter of a signature agrees with the key's
// algorithm. Where a JOSE algorithm is meant that the registry does not have,
// none does (RFC 9421, 3.3.7).
func (a algorithm) named(alg string, given bool) bool {
	return !given || a != ps256 && string(a) == alg
}

// verify reports whether signature is key's over base. The key is one that has
// an algorithm.
func verify(key crypto.PublicKey, base, signature []byte) bool {
	digest := sha256.Sum256(base)
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if len(signature) != 64 { // r and s, and no DER (RFC 9421, 3.3.4)
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(key, digest[:], r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(key, base, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, pssOptions) == nil
	}
	return false
}

// pssOptions are those of PS256 (RFC 7518, 3.5).
var pssOptions = &rsa.PSSOptions{SaltLength: sha256.Size, Hash: crypto.SHA256}

// sign returns key's signature over base.
func sign(key crypto.Signer, base []byte) ([]byte, error) {
	digest := sha256.Sum256(base)
	switch alg, ok := algorithmOf(key.Public()); {
	case !ok:
		return nil, errors.New("the key is none of P-256, Ed25519 and RSA of 2048 bits or more")
	case alg == eddsa:
		return key.Sign(rand.Reader, base, crypto.Hash(0))
	case alg == ps256:
		return key.Sign(rand.Reader, digest[:], pssOptions)
	}
	der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return rawECDSA(der)
}

// rawECDSA turns a signature as package crypto has it into r and s, 32 octets
// each (RFC 9421, 3.3.4).
func rawECDSA(der []byte) ([]byte, error) {
	var v struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &v); err != nil || len(rest) > 0 ||
		v.R.Sign() <= 0 || v.R.BitLen() > 256 || v.S.Sign() <= 0 || v.S.BitLen() > 256 {
		return nil, errors.New("the key returned what is no ECDSA signature")
	}
	raw := make([]byte, 64)
	v.R.FillBytes(raw[:32])
	v.S.FillBytes(raw[32:])
	return raw, nil
}
