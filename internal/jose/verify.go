package jose

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// A verifier reports whether signature is that of signed under pub. It is
// called only with a key that fits its algorithm and passed checkKey.
type verifier func(signed, signature []byte, pub crypto.PublicKey) bool

// verifiers holds one verifier for each algorithm there is. They are made
// once: jwx looks them up in a table that is behind a lock and that any other
// package in the program can change.
var verifiers = map[string]verifier{
	PS256:   verifyPS256,
	ES256:   jwxVerifier(jwa.ES256), // accepts 64 octets and no DER (RFC 7518, 3.4)
	EdDSA:   jwxVerifier(jwa.EdDSA),
	Ed25519: jwxVerifier(jwa.EdDSA), // jwx v2 does not know the newer name
	RS256:   jwxVerifier(jwa.RS256),
}

func jwxVerifier(alg jwa.SignatureAlgorithm) verifier {
	v, err := jws.NewVerifier(alg)
	if err != nil {
		panic("jose: " + err.Error()) // jwx without this algorithm: not our jwx
	}
	return func(signed, signature []byte, pub crypto.PublicKey) bool {
		return v.Verify(signed, signature, pub) == nil
	}
}

// verifyPS256 stands in for jwx, which accepts a salt of any length. RFC 7518,
// 3.5 fixes it at that of the hash.
func verifyPS256(signed, signature []byte, pub crypto.PublicKey) bool {
	digest := sha256.Sum256(signed)
	return rsa.VerifyPSS(pub.(*rsa.PublicKey), crypto.SHA256, digest[:], signature,
		&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}
