package jose_test

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/internal/jose"
)

const jweLimit = 16 << 10

// decryptionKeys are what the JWEs of these tests are decrypted with.
func decryptionKeys() []jose.DecryptionKey {
	return []jose.DecryptionKey{
		{ID: "rsa", Algorithm: jose.RSAOAEP256, Key: rsaKey()},
		{ID: "ec", Key: ecKey},
	}
}

func decrypt(token string) (string, error) {
	payload, _, err := jose.Decrypt(token, jweLimit, []string{jose.A128GCM, jose.A128CBCHS256}, decryptionKeys())
	return string(payload), err
}

// A sealing is a JWE made without the help of the package under test, so that
// everything around the header can be right when the header is not.
type sealing struct {
	header  string
	wrapped []byte // the encrypted key
	cek     []byte // for AES-GCM of its size
	payload string
}

func (s sealing) parts(t testing.TB) []string {
	t.Helper()
	block, err := aes.NewCipher(s.cek)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, 12)
	rand.Read(iv)
	protected := b64([]byte(s.header))
	sealed := gcm.Seal(nil, iv, []byte(s.payload), []byte(protected))
	n := len(sealed) - 16
	return []string{protected, b64(s.wrapped), b64(iv), b64(sealed[:n]), b64(sealed[n:])}
}

func oaep(t testing.TB, pub *rsa.PublicKey, hash crypto.Hash, cek []byte) []byte {
	t.Helper()
	wrapped, err := rsa.EncryptOAEP(hash.New(), rand.Reader, pub, cek, nil)
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

// toRSA seals to the RSA key with RSA-OAEP-256 and a CEK of n octets.
func toRSA(t testing.TB, header string, n int, payload string) []string {
	cek := make([]byte, n)
	rand.Read(cek)
	return sealing{header, oaep(t, &rsaKey().PublicKey, crypto.SHA256, cek), cek, payload}.parts(t)
}

const goodJWE = `{"alg":"RSA-OAEP-256","enc":"A128GCM","kid":"rsa"}`

// agreed derives a key of 16 octets for ECDH-ES with A128GCM from z (RFC 7518,
// 4.6.2).
func agreed(z []byte, apu, apv string) []byte {
	h := sha256.New()
	h.Write([]byte{0, 0, 0, 1})
	h.Write(z)
	for _, s := range []string{"A128GCM", apu, apv} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		io.WriteString(h, s)
	}
	h.Write([]byte{0, 0, 0, 128})
	return h.Sum(nil)[:16]
}

// toEC seals to the EC key with ECDH-ES; edit changes the header's epk.
func toEC(t testing.TB, edit func(epk string) string) []string {
	t.Helper()
	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := ecKey.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	z, err := ephemeral.ECDH(remote)
	if err != nil {
		t.Fatal(err)
	}
	p := ephemeral.PublicKey().Bytes()
	epk := edit(epkOf(p[1:33], p[33:]))
	return sealing{header: `{"alg":"ECDH-ES","enc":"A128GCM",` + epk + `}`, cek: agreed(z, "", ""), payload: "secret"}.parts(t)
}

func epkOf(x, y []byte) string {
	return fmt.Sprintf(`"epk":{"kty":"EC","crv":"P-256","x":"%s","y":"%s"}`, b64(x), b64(y))
}

func same(s string) string { return s }

func join(parts []string) string { return strings.Join(parts, ".") }

// swap returns the parts with one replaced.
func swap(parts []string, i int, part string) string {
	parts = append([]string(nil), parts...)
	parts[i] = part
	return join(parts)
}
