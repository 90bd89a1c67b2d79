package authz

import (
	"crypto"
	"errors"
	"slices"
	"strconv"

	"github.com/aikagi/aikagi/internal/jose"
)

// A DecryptionKey opens what clients encrypt to the server: request objects
// (RFC 9101).
type DecryptionKey struct {
	// ID is its kid, unique among the server's keys, those of Config.Keys
	// included.
	ID string

	// Algorithm is the one JWE algorithm it is used with: RSA-OAEP-256,
	// RSA-OAEP, ECDH-ES, ECDH-ES+A128KW or ECDH-ES+A256KW.
	Algorithm string

	// Key is an *rsa.PrivateKey of 2048 bits or more, an *ecdsa.PrivateKey on
	// P-256, or one that is kept elsewhere, such as in an HSM: a
	// [crypto.Decrypter] whose Public is an *rsa.PublicKey and that takes
	// *rsa.OAEPOptions, or an [ecdh.KeyExchanger] on P-256. It is used
	// concurrently.
	Key crypto.PrivateKey

	// Retired keys still decrypt, and are no longer published (OpenID Connect
	// Core, 10.2.1).
	Retired bool
}

// checkDecrypt returns what is wrong with c.Decrypt.
func checkDecrypt(c *Config) (v Violations) {
	for i, key := range c.Decrypt {
		name := "Decrypt[" + strconv.Itoa(i) + "]"
		add := func(rule, value, remedy string) { v = append(v, Violation{rule, name + value, remedy}) }
		same := func(other DecryptionKey) bool { return other.ID == key.ID }
		switch {
		case key.ID == "":
			add("OIDC-SE-1", " has no ID", "give each key a kid of its own")
		case slices.ContainsFunc(c.Decrypt[:i], same):
			add("OIDC-SE-1", " has the ID "+strconv.Quote(key.ID)+" of another", "give each key a kid of its own")
		}
		if !slices.Contains(jose.KeyAlgorithms, key.Algorithm) {
			add("RFC8725-3.1-2", " has Algorithm "+strconv.Quote(key.Algorithm), "use RSA-OAEP-256, ECDH-ES, ECDH-ES+A128KW or ECDH-ES+A256KW")
			key.Algorithm = "" // and see what else there is
		}
		switch _, err := key.public(); {
		case errors.Is(err, jose.ErrWeakKey):
			add("FAPI2-SP-5.4.1-2", ": "+err.Error(), "use RSA of 2048 bits or more, or P-256")
		case errors.Is(err, jose.ErrAlgorithm):
			add("RFC8725-3.1-2", ": "+err.Error(), "use an RSA key with RSA-OAEP, and one on P-256 with ECDH-ES")
		case err != nil:
			add("RFC8725-3.4-1", ": "+err.Error(), "use RSA of 2048 bits or more, or P-256")
		}
	}
	return v
}

func (k DecryptionKey) private() jose.DecryptionKey {
	return jose.DecryptionKey{ID: k.ID, Algorithm: k.Algorithm, Key: k.Key}
}

func (k DecryptionKey) public() (jose.Key, error) {
	private := k.private()
	return private.Public()
}

// decryptionKeys returns keys as they are used, and those to be published.
func decryptionKeys(keys []DecryptionKey) (all []jose.DecryptionKey, published []jose.Key, err error) {
	for _, key := range keys {
		all = append(all, key.private())
		if key.Retired {
			continue
		}
		pub, err := key.public()
		if err != nil {
			return nil, nil, err
		}
		published = append(published, pub)
	}
	return all, published, nil
}
