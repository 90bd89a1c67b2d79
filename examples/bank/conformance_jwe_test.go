package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// encrypted returns a JWE that the bank alone can read (RFC 7516, 5.1): its
// content key by RSA-OAEP-256, its content by A256GCM.
func (v *variant) encrypted(t *testing.T, content string) string {
	t.Helper()
	for kid, key := range v.serverKeys(t, "enc") {
		public, ok := key.(*rsa.PublicKey)
		if !ok {
			continue
		}
		cek, iv := make([]byte, 32), make([]byte, 12)
		rand.Read(cek)
		rand.Read(iv)
		wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, cek, nil)
		if err != nil {
			t.Fatal(err)
		}
		header, err := json.Marshal(map[string]any{"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": kid, "cty": "JWT"})
		if err != nil {
			t.Fatal(err)
		}
		sealed := gcm(t, cek).Seal(nil, iv, []byte(content), []byte(b64(header)))
		text, tag := sealed[:len(sealed)-16], sealed[len(sealed)-16:]
		return strings.Join([]string{b64(header), b64(wrapped), b64(iv), b64(text), b64(tag)}, ".")
	}
	t.Fatal("the bank has no RSA key to encrypt to")
	return ""
}

// decrypted returns the JWT that was encrypted to the client by RSA-OAEP-256
// and A256GCM, or what was not encrypted as it is. Whether it should have been,
// the client's metadata says.
func (c *tester) decrypted(t *testing.T, jwt string) string {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if (len(parts) == 5) != (c.decrypt != nil) {
		t.Fatalf("registered for encryption: %v; got %s", c.decrypt != nil, jwt)
	}
	if c.decrypt == nil {
		return jwt
	}
	var raw [5][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(p); err != nil {
			t.Fatal(err)
		}
	}
	var header map[string]string
	if err := json.Unmarshal(raw[0], &header); err != nil || header["alg"] != "RSA-OAEP-256" || header["enc"] != "A256GCM" || header["kid"] != testerKey+"-enc" || header["cty"] != "JWT" {
		t.Fatalf("JWE header: %s %v", raw[0], err)
	}
	cek, err := rsa.DecryptOAEP(sha256.New(), nil, c.decrypt, raw[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm(t, cek).Open(nil, raw[2], bytes.Join([][]byte{raw[3], raw[4]}, nil), []byte(parts[0]))
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func gcm(t *testing.T, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}
