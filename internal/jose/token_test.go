package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/aikagi/aikagi/internal/jose"
)

var fapi = []string{jose.PS256, jose.ES256, jose.EdDSA, jose.Ed25519}

const goodClaims = `{"iss":"client","exp":1767225600}`

var ecKey, edKey = func() (*ecdsa.PrivateKey, ed25519.PrivateKey) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return ec, ed
}()

// testKeys are the keys the tokens of these tests are checked with.
func testKeys() []jose.Key {
	return []jose.Key{
		{ID: "rsa", Public: &rsaKey().PublicKey},
		{ID: "ec", Public: &ecKey.PublicKey},
		{ID: "ed", Public: edKey.Public()},
	}
}

func TestVerifyAccepts(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		sign         maker
	}{
		{"FAPI2-SP-5.4.1-1b PS256", `{"alg":"PS256","kid":"rsa"}`, rsaMaker(rsaKey(), pss(32, crypto.SHA256))},
		{"FAPI2-SP-5.4.1-1b ES256", `{"alg":"ES256","kid":"ec"}`, ecMaker(ecKey, crypto.SHA256)},
		{"FAPI2-SP-5.4.1-1b EdDSA", `{"alg":"EdDSA","kid":"ed"}`, edMaker(edKey)},
		{"RFC8725BIS-6 Ed25519", `{"alg":"Ed25519","kid":"ed"}`, edMaker(edKey)},
		{"FAPI2-SP-5.4.3-2 without kid", `{"alg":"ES256"}`, ecMaker(ecKey, crypto.SHA256)},
		{"kid that is empty", `{"alg":"ES256","kid":""}`, ecMaker(ecKey, crypto.SHA256)},
		{"members nobody knows", `{"alg":"ES256","cty":"x","x":{"crit":1,"b64":false}}`, ecMaker(ecKey, crypto.SHA256)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := verify(token(t, tt.header, goodClaims, tt.sign), fapi, testKeys())
			if err != nil {
				t.Fatal(err)
			}
			if iss, _ := claims.String("iss"); iss != "client" {
				t.Errorf("iss %q", iss)
			}
		})
	}
}

// TestVerifyRefuses has tokens an attacker would make. Unless the name says
// otherwise the signature is right for what the header says.
func TestVerifyRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	strangerJWK := `{"kty":"OKP","crv":"Ed25519","x":"` + b64(stranger.Public().(ed25519.PublicKey)) + `"}`
	pkix, err := x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	zeros := make([]byte, 64)
	order := elliptic.P256().Params().N.Bytes()
	ps256, es256 := rsaMaker(rsaKey(), pss(32, crypto.SHA256)), ecMaker(ecKey, crypto.SHA256)
	all := append(testKeys(),
		jose.Key{ID: "p384", Public: &p384.PublicKey},
		jose.Key{ID: "weak", Public: &weak.PublicKey},
		jose.Key{ID: "enc", Use: "enc", Public: &ecKey.PublicKey},
		jose.Key{ID: "asES256", Algorithm: "ES256", Public: &rsaKey().PublicKey},
		jose.Key{ID: "asRS256", Algorithm: "RS256", Public: &rsaKey().PublicKey},
		jose.Key{ID: "nil"},
		jose.Key{ID: "secret", Public: []byte("secret")},
		jose.Key{ID: "short", Public: ed25519.PublicKey{1}},
	)
	for _, tt := range []struct {
		name, header, payload string
		sign                  maker
		want                  error
	}{
		{"FAPI2-SP-5.4.1-1c none", `{"alg":"none"}`, goodClaims, es256, jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1c None", `{"alg":"None"}`, goodClaims, es256, jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1c NONE", `{"alg":"NONE"}`, goodClaims, es256, jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1c none with empty signature", `{"alg":"none"}`, goodClaims, fixed(nil), jose.ErrMalformed},
		{"FAPI2-SP-5.4.1-1c ES256 with empty signature", `{"alg":"ES256","kid":"ec"}`, goodClaims, fixed(nil), jose.ErrMalformed},
		{"RFC8725BIS-1 es256", `{"alg":"es256","kid":"ec"}`, goodClaims, es256, jose.ErrAlgorithm},
		{"RFC8725BIS-1 NoNe", `{"alg":"NoNe"}`, goodClaims, es256, jose.ErrAlgorithm},
		{"RFC8725BIS-1 ES256 and a space", `{"alg":"ES256 ","kid":"ec"}`, goodClaims, es256, jose.ErrAlgorithm},
		{"alg is empty", `{"alg":"","kid":"ec"}`, goodClaims, es256, jose.ErrAlgorithm},
		{"RFC8725-3.1-2 HS256 with the RSA modulus as secret", `{"alg":"HS256","kid":"rsa"}`, goodClaims, hmacMaker(rsaKey().N.Bytes()), jose.ErrAlgorithm},
		{"RFC8725-3.1-2 HS256 with the RSA key in DER as secret", `{"alg":"HS256","kid":"rsa"}`, goodClaims, hmacMaker(pkix), jose.ErrAlgorithm},
		{"RFC8725-3.1-2 HS256 with the RSA key in PEM as secret", `{"alg":"HS256","kid":"rsa"}`, goodClaims, hmacMaker(rsaPEM), jose.ErrAlgorithm},
		{"RFC8725-3.1-1 RS256 where it is not listed", `{"alg":"RS256","kid":"rsa"}`, goodClaims, rsaMaker(rsaKey(), crypto.SHA256), jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1b PS384", `{"alg":"PS384","kid":"rsa"}`, goodClaims, rsaMaker(rsaKey(), pss(48, crypto.SHA384)), jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1b PS512", `{"alg":"PS512","kid":"rsa"}`, goodClaims, rsaMaker(rsaKey(), pss(64, crypto.SHA512)), jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1b ES384", `{"alg":"ES384","kid":"p384"}`, goodClaims, ecMaker(p384, crypto.SHA384), jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1b ES512", `{"alg":"ES512","kid":"p384"}`, goodClaims, ecMaker(p384, crypto.SHA512), jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1b ES256K", `{"alg":"ES256K","kid":"ec"}`, goodClaims, es256, jose.ErrAlgorithm},
		{"FAPI2-SP-5.4.1-1b Ed448", `{"alg":"Ed448","kid":"ed"}`, goodClaims, edMaker(edKey), jose.ErrAlgorithm},
		{"PS256 over an RS256 signature", `{"alg":"PS256","kid":"rsa"}`, goodClaims, rsaMaker(rsaKey(), crypto.SHA256), jose.ErrSignature},
		{"JWT-I-5 salt of 0, made by hand", `{"alg":"PS256","kid":"rsa"}`, goodClaims, zeroSalt, jose.ErrSignature},
		{"JWT-I-5 salt of 31", `{"alg":"PS256","kid":"rsa"}`, goodClaims, rsaMaker(rsaKey(), pss(31, crypto.SHA256)), jose.ErrSignature},
		{"JWT-I-5 salt of 33", `{"alg":"PS256","kid":"rsa"}`, goodClaims, rsaMaker(rsaKey(), pss(33, crypto.SHA256)), jose.ErrSignature},
		{"JWT-I-5 longest salt", `{"alg":"PS256","kid":"rsa"}`, goodClaims, rsaMaker(rsaKey(), pss(222, crypto.SHA256)), jose.ErrSignature},
		{"JWT-I-5 SHA-512", `{"alg":"PS256","kid":"rsa"}`, goodClaims, rsaMaker(rsaKey(), pss(32, crypto.SHA512)), jose.ErrSignature},
		{"JWT-I-3 DER", `{"alg":"ES256","kid":"ec"}`, goodClaims, derMaker(ecKey), jose.ErrSignature},
		{"JWT-I-3 all zero", `{"alg":"ES256","kid":"ec"}`, goodClaims, fixed(zeros), jose.ErrSignature},
		{"JWT-I-3 r and s of the group order", `{"alg":"ES256","kid":"ec"}`, goodClaims, fixed(append(bytes.Clone(order), order...)), jose.ErrSignature},
		{"JWT-I-3 r of one and s of zero", `{"alg":"ES256","kid":"ec"}`, goodClaims, fixed(append(big.NewInt(1).FillBytes(make([]byte, 32)), zeros[:32]...)), jose.ErrSignature},
		{"JWT-I-3 63 octets", `{"alg":"ES256","kid":"ec"}`, goodClaims, cut(es256, 63), jose.ErrSignature},
		{"JWT-I-3 65 octets", `{"alg":"ES256","kid":"ec"}`, goodClaims, longer(es256), jose.ErrSignature},
		{"JWT-I-3 coordinates of 33 octets", `{"alg":"ES256","kid":"ec"}`, goodClaims, widened(es256), jose.ErrSignature},
		{"EdDSA all zero", `{"alg":"EdDSA","kid":"ed"}`, goodClaims, fixed(zeros), jose.ErrSignature},
		{"EdDSA one octet", `{"alg":"EdDSA","kid":"ed"}`, goodClaims, fixed([]byte{1}), jose.ErrSignature},
		{"EdDSA S plus the group order", `{"alg":"EdDSA","kid":"ed"}`, goodClaims, malleated(edMaker(edKey)), jose.ErrSignature},
		{"PS256 zero", `{"alg":"PS256","kid":"rsa"}`, goodClaims, fixed(make([]byte, 256)), jose.ErrSignature},
		{"PS256 one octet more", `{"alg":"PS256","kid":"rsa"}`, goodClaims, longer(ps256), jose.ErrSignature},
		{"RFC8725-3.1-2 PS256 with the EC key's kid", `{"alg":"PS256","kid":"ec"}`, goodClaims, ps256, jose.ErrNoKey},
		{"RFC8725-3.1-2 ES256 with the RSA key's kid", `{"alg":"ES256","kid":"rsa"}`, goodClaims, es256, jose.ErrNoKey},
		{"RFC8725-3.1-2 EdDSA with the EC key's kid", `{"alg":"EdDSA","kid":"ec"}`, goodClaims, edMaker(edKey), jose.ErrNoKey},
		{"RFC8725-3.1-2 PS256 and key for ES256", `{"alg":"PS256","kid":"asES256"}`, goodClaims, ps256, jose.ErrNoKey},
		{"RFC8725BIS-7 PS256 and key for RS256", `{"alg":"PS256","kid":"asRS256"}`, goodClaims, ps256, jose.ErrNoKey},
		{"FAPI2-SP-5.4.3-1 key for encryption", `{"alg":"ES256","kid":"enc"}`, goodClaims, es256, jose.ErrNoKey},
		{"FAPI2-SP-5.4.1-2 RSA of 1024 bits", `{"alg":"PS256","kid":"weak"}`, goodClaims, rsaMaker(weak, pss(32, crypto.SHA256)), jose.ErrNoKey},
		{"ES256 by a P-384 key", `{"alg":"ES256","kid":"p384"}`, goodClaims, ecMaker(p384, crypto.SHA256), jose.ErrNoKey},
		{"key that is nil", `{"alg":"ES256","kid":"nil"}`, goodClaims, es256, jose.ErrNoKey},
		{"RFC8725-3.5-1 symmetric key", `{"alg":"HS256","kid":"secret"}`, goodClaims, hmacMaker([]byte("secret")), jose.ErrAlgorithm},
		{"Ed25519 key of one octet", `{"alg":"EdDSA","kid":"short"}`, goodClaims, edMaker(edKey), jose.ErrNoKey},
		{"RFC8725-3.10-1 kid as a path", `{"alg":"ES256","kid":"../../dev/null"}`, goodClaims, es256, jose.ErrNoKey},
		{"RFC8725-3.10-1 kid as SQL", `{"alg":"ES256","kid":"ec' or '1'='1"}`, goodClaims, es256, jose.ErrNoKey},
		{"kid in other case", `{"alg":"ES256","kid":"EC"}`, goodClaims, es256, jose.ErrNoKey},
		{"RFC8725-3.10-2 jku", `{"alg":"EdDSA","kid":"x","jku":"https://evil.example/jwks"}`, goodClaims, edMaker(stranger), jose.ErrNoKey},
		{"FAPI2-SP-5.4.2-2 x5u, known kid", `{"alg":"EdDSA","kid":"ed","x5u":"https://evil.example/x5u"}`, goodClaims, edMaker(stranger), jose.ErrSignature},
		{"FAPI1-ADV-8.9-2 jwk", `{"alg":"EdDSA","jwk":` + strangerJWK + `}`, goodClaims, edMaker(stranger), jose.ErrSignature},
		{"FAPI1-ADV-8.9-2 x5c", `{"alg":"EdDSA","x5c":["AAAA"]}`, goodClaims, edMaker(stranger), jose.ErrSignature},
		{"another's signature", `{"alg":"EdDSA","kid":"ed"}`, goodClaims, edMaker(stranger), jose.ErrSignature},
		{"JWT-I-4 crit", `{"alg":"ES256","kid":"ec","crit":["exp"],"exp":1}`, goodClaims, es256, jose.ErrMalformed},
		{"JWT-I-4 crit that is empty", `{"alg":"ES256","kid":"ec","crit":[]}`, goodClaims, es256, jose.ErrMalformed},
		{"JWT-I-4 crit that is null", `{"alg":"ES256","kid":"ec","crit":null}`, goodClaims, es256, jose.ErrMalformed},
		{"JWT-I-4 b64 without crit", `{"alg":"ES256","kid":"ec","b64":false}`, goodClaims, es256, jose.ErrMalformed},
		{"JWT-I-4 b64 of true", `{"alg":"ES256","kid":"ec","b64":true}`, goodClaims, es256, jose.ErrMalformed},
		{"JWT-I-1 two alg", `{"alg":"ES256","kid":"ec","alg":"ES256"}`, goodClaims, es256, jose.ErrMalformed},
		{"JWT-I-1 alg and Alg", `{"alg":"ES256","kid":"ec","Alg":"none"}`, goodClaims, es256, jose.ErrMalformed},
		{"JWT-I-1 Alg instead of alg", `{"Alg":"ES256","kid":"ec"}`, goodClaims, es256, jose.ErrMalformed},
		{"JWT-I-1 two aud in the payload", `{"alg":"ES256","kid":"ec"}`, `{"aud":"a","aud":"b"}`, es256, jose.ErrMalformed},
		{"JWT-I-1 aud and AUD in the payload", `{"alg":"ES256","kid":"ec"}`, `{"aud":"a","AUD":"b"}`, es256, jose.ErrMalformed},
		{"RFC8725-3.7-1 header is not UTF-8", "{\"alg\":\"ES256\",\"kid\":\"ec\",\"x\":\"\xff\"}", goodClaims, es256, jose.ErrMalformed},
		{"RFC8725-3.7-1 payload is not UTF-8", `{"alg":"ES256","kid":"ec"}`, "{\"iss\":\"\xff\"}", es256, jose.ErrMalformed},
		{"RFC8725-3.7-1 payload is UTF-16", `{"alg":"ES256","kid":"ec"}`, "{\x00}\x00", es256, jose.ErrMalformed},
		{"payload is an array", `{"alg":"ES256","kid":"ec"}`, `[]`, es256, jose.ErrMalformed},
		{"payload is empty", `{"alg":"ES256","kid":"ec"}`, ``, es256, jose.ErrMalformed},
		{"RFC8725-3.3-1 payload is a token", `{"alg":"ES256","kid":"ec","cty":"JWT"}`, token(t, `{"alg":"ES256"}`, goodClaims, es256), es256, jose.ErrMalformed},
		{"no alg", `{"kid":"ec"}`, goodClaims, es256, jose.ErrMalformed},
		{"alg is a number", `{"alg":256,"kid":"ec"}`, goodClaims, es256, jose.ErrMalformed},
		{"alg is an array", `{"alg":["ES256"],"kid":"ec"}`, goodClaims, es256, jose.ErrMalformed},
		{"kid is a number", `{"alg":"ES256","kid":1}`, goodClaims, es256, jose.ErrMalformed},
		{"kid is null", `{"alg":"ES256","kid":null}`, goodClaims, es256, jose.ErrMalformed},
		{"typ is an array", `{"alg":"ES256","typ":["JWT"]}`, goodClaims, es256, jose.ErrMalformed},
		{"header is an array", `["ES256"]`, goodClaims, es256, jose.ErrMalformed},
		{"header is empty", ``, goodClaims, es256, jose.ErrMalformed},
		{"header with trailing data", `{"alg":"ES256","kid":"ec"}{}`, goodClaims, es256, jose.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := verify(token(t, tt.header, tt.payload, tt.sign), fapi, all)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if len(claims.Names()) > 0 {
				t.Errorf("claims came with the error: %v", claims.Names())
			}
		})
	}
}

// TestAllowList lists algorithms that the package does not know or that the
// token does not use.
func TestAllowList(t *testing.T) {
	good := token(t, `{"alg":"ES256","kid":"ec"}`, goodClaims, ecMaker(ecKey, crypto.SHA256))
	for _, algs := range [][]string{nil, {}, {""}, {"none"}, {"es256"}, {"PS256", "EdDSA"}, {"ES256 "}} {
		if _, err := verify(good, algs, testKeys()); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("RFC8725-3.1-1 list %q: error %v, want ErrAlgorithm", algs, err)
		}
	}
	t.Run("RFC8725-3.2-1 none cannot be listed", func(t *testing.T) {
		for _, alg := range []string{"none", "None", "HS256", "PS384", "ES384", ""} {
			tok := token(t, `{"alg":"`+alg+`"}`, goodClaims, hmacMaker(nil))
			if _, err := verify(tok, []string{alg}, testKeys()); !errors.Is(err, jose.ErrAlgorithm) {
				t.Errorf("%q: error %v, want ErrAlgorithm", alg, err)
			}
		}
	})
	t.Run("RFC8725BIS-7 the list is the issuer's own", func(t *testing.T) {
		if _, err := verify(good, []string{jose.PS256}, testKeys()); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("at an issuer with PS256: %v", err)
		}
		if _, err := verify(good, []string{jose.ES256}, testKeys()); err != nil {
			t.Errorf("at an issuer with ES256: %v", err)
		}
	})
	t.Run("RS256 where it is listed", func(t *testing.T) {
		tok := token(t, `{"alg":"RS256","kid":"rsa"}`, goodClaims, rsaMaker(rsaKey(), crypto.SHA256))
		if _, err := verify(tok, []string{jose.RS256}, testKeys()); err != nil {
			t.Error(err)
		}
	})
	t.Run("EdDSA does not list Ed25519", func(t *testing.T) {
		tok := token(t, `{"alg":"Ed25519"}`, goodClaims, edMaker(edKey))
		if _, err := verify(tok, []string{jose.EdDSA}, testKeys()); !errors.Is(err, jose.ErrAlgorithm) {
			t.Error(err)
		}
	})
}

// TestCompactForm changes how a good token is written.
func TestCompactForm(t *testing.T) {
	good := token(t, `{"alg":"EdDSA"}`, `{"a":1 }`, edMaker(edKey)) // parts of 20, 11 and 86 characters
	header, rest, _ := strings.Cut(good, ".")
	payload, sig, _ := strings.Cut(rest, ".")
	for _, tt := range []struct{ name, token string }{
		{"empty", ""},
		{"dots", ".."},
		{"one part", header},
		{"two parts", header + "." + payload},
		{"RFC8725BIS-5 four parts", good + "." + sig},
		{"RFC8725BIS-5 RFC8725BIS-2 RFC8725BIS-3 RFC8725-3.11-2 five parts, a JWE", good + ".AA.AA"},
		{"no header", "." + payload + "." + sig},
		{"no signature", header + "." + payload + "."},
		{"RFC8725BIS-4 JSON serialization", `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + sig + `"}`},
		{"RFC8725BIS-4 trailing newline", good + "\n"},
		{"RFC8725BIS-4 trailing CRLF", good + "\r\n"},
		{"RFC8725BIS-4 newline in the header", header[:4] + "\n" + header[4:] + "." + rest},
		{"RFC8725BIS-4 newline in the payload", header + "." + payload[:4] + "\n" + payload[4:] + "." + sig},
		{"RFC8725BIS-4 carriage return in the signature", header + "." + payload + "." + sig[:4] + "\r" + sig[4:]},
		{"RFC8725BIS-4 leading space", " " + good},
		{"RFC8725BIS-4 trailing space", good + " "},
		{"RFC8725BIS-4 tab", header + ".\t" + rest},
		{"RFC8725BIS-4 padded payload", header + "." + payload + "=." + sig},
		{"RFC8725BIS-4 padded signature", good + "=="},
		{"RFC8725BIS-4 standard alphabet", header + "." + payload + "." + "+" + sig[1:]},
		{"RFC8725BIS-4 NUL", good + "\x00"},
		{"RFC8725BIS-4 percent", header + "%2E" + rest},
		{"RFC8725BIS-4 letter beyond ASCII", good + "é"},
		{"bits left over in the payload", header + "." + payload[:10] + next(payload[10]) + "." + sig},
		{"bits left over in the signature", header + "." + payload + "." + sig[:85] + next(sig[85])},
		{"payload of 4n+1 characters", header + "." + payload[:9] + "." + sig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tok, err := jose.Parse(tt.token, 16<<10); !errors.Is(err, jose.ErrMalformed) {
				t.Errorf("token %+v, error %v, want ErrMalformed", tok, err)
			}
		})
	}
	if _, err := verify(good, fapi, testKeys()); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

// next is the character whose code in base64url is one more, so that the bits
// left over in a last character are not zero.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, c) + 1
	return alphabet[i : i+1]
}

func TestParseLimit(t *testing.T) {
	good := token(t, `{"alg":"EdDSA"}`, goodClaims, edMaker(edKey))
	for _, tt := range []struct {
		name  string
		token string
		limit int
		want  error
	}{
		{"JWT-I-6 at the limit", good, len(good), nil},
		{"JWT-I-6 one byte above", good, len(good) - 1, jose.ErrTooLarge},
		{"JWT-I-6 above, and no token either", strings.Repeat("x", 16<<10+1), 16 << 10, jose.ErrTooLarge},
		{"no limit given", good, 0, jose.ErrTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := jose.Parse(tt.token, tt.limit); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		want         jose.Header
	}{
		{"RFC8725-3.11-1 typ is the caller's to check", `{"alg":"EdDSA","kid":"a\u002fb","typ":"application/At+JWT"}`, jose.Header{Algorithm: "EdDSA", KeyID: "a/b", Type: "application/At+JWT"}},
		{"alg alone", `{"alg":"none"}`, jose.Header{Algorithm: "none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tok, err := jose.Parse(token(t, tt.header, goodClaims, edMaker(edKey)), 16<<10)
			if err != nil {
				t.Fatal(err)
			}
			if tok.Header != tt.want {
				t.Errorf("%+v, want %+v", tok.Header, tt.want)
			}
		})
	}
}

func TestUnverifiedClaims(t *testing.T) {
	tok, err := jose.Parse(token(t, `{"alg":"none"}`, goodClaims, fixed([]byte{1})), 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := tok.UnverifiedClaims()
	if iss, _ := claims.String("iss"); err != nil || iss != "client" {
		t.Errorf("iss %q, error %v", iss, err)
	}
	if _, err := tok.Verify(fapi, testKeys()); !errors.Is(err, jose.ErrAlgorithm) {
		t.Errorf("Verify afterwards: %v", err)
	}
}

// TestTokenConcurrently is for the race detector.
func TestTokenConcurrently(t *testing.T) {
	tok, err := jose.Parse(token(t, `{"alg":"EdDSA"}`, goodClaims, edMaker(edKey)), 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	keys := testKeys()
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for i := range 8 {
		wg.Go(func() {
			if i%2 == 0 {
				_, err := tok.UnverifiedClaims()
				errs <- err
			}
			claims, err := tok.Verify(fapi, keys)
			if iss, _ := claims.String("iss"); err == nil && iss != "client" {
				err = fmt.Errorf("iss %q", iss)
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}
