package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Making an RSA key takes longer than all that a test does with it. There is
// one for each of those who would notice if it were another's.
var (
	clientRSA  = sync.OnceValues(newRSA) // what clients sign with
	openingRSA = sync.OnceValues(newRSA) // what clients decrypt with
	serverRSA  = sync.OnceValues(newRSA) // of the server's certificate
	bankKeys   = sync.OnceValues(newBankKeys)
)

func newRSA() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// newBankKeys returns a private JWKS with which a bank can do all that it can
// do with the keys that it makes up.
func newBankKeys() ([]byte, error) {
	signing, err := newRSA()
	if err != nil {
		return nil, err
	}
	opening, err := newRSA()
	if err != nil {
		return nil, err
	}
	ec, err := newKey()
	if err != nil {
		return nil, err
	}
	openingEC, err := newKey()
	if err != nil {
		return nil, err
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var keys []map[string]string
	for _, k := range []struct {
		use string
		key crypto.PrivateKey
	}{{"sig", signing}, {"sig", ec}, {"sig", ed}, {"enc", opening}, {"enc", openingEC}} {
		m, err := jwkOf(k.key)
		if err != nil {
			return nil, err
		}
		m["use"], m["kid"] = k.use, m["kty"]+"-"+k.use
		keys = append(keys, m)
	}
	return json.Marshal(map[string]any{"keys": keys})
}

// jwkOf returns a private key as RFC 7518, 6 and RFC 8037, 2 write it.
func jwkOf(key crypto.PrivateKey) (map[string]string, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return map[string]string{
			"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes()),
			"d": b64(k.D.Bytes()), "p": b64(k.Primes[0].Bytes()), "q": b64(k.Primes[1].Bytes()),
		}, nil
	case *ecdsa.PrivateKey:
		m, err := publicJWK(k)
		if err != nil {
			return nil, err
		}
		d, err := k.Bytes()
		m["d"] = b64(d)
		return m, err
	}
	ed := key.(ed25519.PrivateKey)
	return map[string]string{"kty": "OKP", "crv": "Ed25519", "d": b64(ed.Seed()), "x": b64(ed[ed25519.SeedSize:])}, nil
}

// useBankKeys has the bank of a configuration sign with those keys.
func useBankKeys(t *testing.T, dir string, config map[string]any) {
	t.Helper()
	b, err := bankKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bank-keys.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	config["keys"] = "bank-keys.json"
}
