package jose_test

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/internal/jose"
)

func TestDecryptVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/jwe/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := make(map[string]string)
			for line := range strings.Lines(string(b)) {
				name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
				lines[name] = value
			}
			private, err := jose.ParsePrivateSet([]byte(lines["keys"]))
			if err != nil {
				t.Fatal(err)
			}
			keys := []jose.DecryptionKey{{ID: private[0].ID, Key: private[0].Signer}}
			got, cty, err := jose.Decrypt(lines["token"], jweLimit, jose.ContentAlgorithms, keys)
			if err != nil || string(got) != lines["payload"] || cty != "" {
				t.Errorf("decrypted %q, cty %q, %v", got, cty, err)
			}
		})
	}
	t.Run("RFC 7518, C", func(t *testing.T) {
		cek, err := base64.RawURLEncoding.DecodeString("VqqN6vgjbSBcIijNcacQGg")
		if err != nil {
			t.Fatal(err)
		}
		header := `{"alg":"ECDH-ES","enc":"A128GCM","apu":"QWxpY2U","apv":"Qm9i","epk":
			{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0","y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}}`
		bob, err := jose.ParsePrivateSet([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			header string
			want   error
		}{
			{header, nil},
			{strings.Replace(header, "QWxpY2U", "QWxpY2Q", 1), jose.ErrDecrypt}, // "Alicd"
			{strings.Replace(header, `"QWxpY2U"`, `["QWxpY2U"]`, 1), jose.ErrMalformed},
			{strings.Replace(header, `Qm9i`, `Qm9i=`, 1), jose.ErrMalformed},
		} {
			token := join(sealing{header: tt.header, cek: cek, payload: "to Bob"}.parts(t))
			got, _, err := jose.Decrypt(token, jweLimit, jose.ContentAlgorithms, []jose.DecryptionKey{{Key: bob[0].Signer}})
			if !errors.Is(err, tt.want) || err == nil && string(got) != "to Bob" {
				t.Errorf("%s: %q, %v, want %v", tt.header, got, err, tt.want)
			}
		}
	})
}

func TestDecryptHeaderRefused(t *testing.T) {
	if got, err := decrypt(join(toRSA(t, goodJWE, 16, "secret"))); err != nil || got != "secret" {
		t.Fatalf("the good one: %q, %v", got, err)
	}
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, 1<<20))
	w.Close()
	for _, tt := range []struct {
		name, old, new string
		want           error
	}{
		{"RFC8725-3.6-1 RFC8725BIS-3 compressed", `"kid"`, `"zip":"DEF","kid"`, jose.ErrMalformed},
		{"zip that is no text", `"kid"`, `"zip":null,"kid"`, jose.ErrMalformed},
		{"an extension", `"kid"`, `"crit":["exp"],"exp":1,"kid"`, jose.ErrMalformed},
		{"RFC8725-3.2-1 RSA1_5", `RSA-OAEP-256`, `RSA1_5`, jose.ErrAlgorithm},
		{"RFC8725-3.2-1 dir", `RSA-OAEP-256`, `dir`, jose.ErrAlgorithm},
		{"RFC8725-3.2-1 a shared key", `RSA-OAEP-256`, `A128KW`, jose.ErrAlgorithm},
		{"RFC8725-3.2-1 a shared key with GCM", `RSA-OAEP-256`, `A256GCMKW`, jose.ErrAlgorithm},
		{"RFC8725-3.2-1 none", `RSA-OAEP-256`, `none`, jose.ErrAlgorithm},
		{"a signature algorithm", `RSA-OAEP-256`, `PS256`, jose.ErrAlgorithm},
		{"RSA-OAEP-512", `RSA-OAEP-256`, `RSA-OAEP-512`, jose.ErrAlgorithm},
		{"RFC8725BIS-2 a password", `"RSA-OAEP-256"`, `"PBES2-HS256+A128KW","p2s":"AAAAAAAAAAA","p2c":2147483647`, jose.ErrAlgorithm},
		{"RFC8725BIS-1 alg in other case", `RSA-OAEP-256`, `rsa-oaep-256`, jose.ErrAlgorithm},
		{"RFC8725BIS-1 enc in other case", `A128GCM`, `a128gcm`, jose.ErrAlgorithm},
		{"RFC8725BIS-7 enc that is not on the list", `A128GCM`, `A256GCM`, jose.ErrAlgorithm},
		{"enc that is unknown", `A128GCM`, `A128CTR`, jose.ErrAlgorithm},
		{"RFC8725BIS-7 alg that is not the key's", `RSA-OAEP-256`, `RSA-OAEP`, jose.ErrNoKey},
		{"RFC8725BIS-7 alg of another type of key", `"RSA-OAEP-256"`, `"ECDH-ES+A128KW",` + epkOf(coordinates(ecKey)), jose.ErrMalformed}, // by the encrypted key's length
		{"alg twice", `"enc"`, `"alg":"RSA-OAEP-256","enc"`, jose.ErrMalformed},
		{"alg and ALG", `"enc"`, `"ALG":"RSA-OAEP-256","enc"`, jose.ErrMalformed},
		{"no alg", `"alg":`, `"typ":`, jose.ErrMalformed},
		{"no enc", `"enc":`, `"typ":`, jose.ErrMalformed},
		{"enc is a list", `"A128GCM"`, `["A128GCM"]`, jose.ErrMalformed},
		{"kid is a number", `"kid":"rsa"`, `"kid":1`, jose.ErrMalformed},
		{"cty is a number", `"kid"`, `"cty":1,"kid"`, jose.ErrMalformed},
		{"kid of nobody", `"kid":"rsa"`, `"kid":"../rsa"`, jose.ErrNoKey},
		{"kid of another type of key", `"kid":"rsa"`, `"kid":"ec"`, jose.ErrNoKey},
		{"no JSON", `{`, ``, jose.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := with(t, goodJWE, tt.old, tt.new)
			got, err := decrypt(join(toRSA(t, header, 16, bomb.String())))
			if !errors.Is(err, tt.want) || got != "" {
				t.Errorf("%s: %q, error %v, want %v", header, got, err, tt.want)
			}
		})
	}
}

func coordinates(key *ecdsa.PrivateKey) (x, y []byte) {
	p, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return p[1:33], p[33:]
}

// TestDecryptForm has tokens whose text differs from a good one's.
func TestDecryptForm(t *testing.T) {
	good := toRSA(t, goodJWE, 16, "a secret of 22 octets.") // whose base64url has padding
	p := good
	serialized, err := json.Marshal(map[string]string{"protected": p[0], "encrypted_key": p[1], "iv": p[2], "ciphertext": p[3], "tag": p[4]})
	if err != nil {
		t.Fatal(err)
	}
	raw := func(i int) []byte {
		b, err := base64.RawURLEncoding.DecodeString(p[i])
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text, tag, other := raw(3), raw(4), toRSA(t, goodJWE, 16, "another secret of ours")
	for _, tt := range []struct {
		name, token string
		want        error
	}{
		{"as it is", join(p), nil},
		{"RFC8725BIS-4 JSON serialization", string(serialized), jose.ErrMalformed},
		{"RFC8725BIS-4 trailing newline", join(p) + "\n", jose.ErrMalformed},
		{"RFC8725BIS-4 leading space", " " + join(p), jose.ErrMalformed},
		{"RFC8725BIS-4 newline inside", swap(p, 3, p[3][:8]+"\n"+p[3][8:]), jose.ErrMalformed},
		{"RFC8725BIS-4 padding", swap(p, 4, p[4]+"=="), jose.ErrMalformed},
		{"RFC8725BIS-4 braces", "{" + join(p) + "}", jose.ErrMalformed},
		{"four parts", join(p[:4]), jose.ErrMalformed},
		{"six parts", join(p) + ".", jose.ErrMalformed},
		{"nothing", "", jose.ErrMalformed},
		{"nothing but dots", "....", jose.ErrMalformed},
		{"too large", swap(p, 3, strings.Repeat("A", jweLimit)), jose.ErrTooLarge},
		{"huge", strings.Repeat(".", 1<<20), jose.ErrTooLarge},

		{"tag of 15 octets", swap(p, 4, b64(tag[:15])), jose.ErrMalformed},
		{"tag of 12 octets", swap(p, 4, b64(tag[:12])), jose.ErrMalformed},
		{"tag of 4 octets", swap(p, 4, b64(tag[:4])), jose.ErrMalformed},
		{"no tag", swap(p, 4, ""), jose.ErrMalformed},
		{"tag that begins in the ciphertext", join([]string{p[0], p[1], p[2], b64(text[:len(text)-1]), b64(append(text[len(text)-1:len(text):len(text)], tag...))}), jose.ErrMalformed},
		{"ciphertext that ends in the tag", join([]string{p[0], p[1], p[2], b64(append(text[:len(text):len(text)], tag[0])), b64(tag[1:])}), jose.ErrMalformed},
		{"initialization vector of 16 octets", swap(p, 2, b64(make([]byte, 16))), jose.ErrMalformed},
		{"no initialization vector", swap(p, 2, ""), jose.ErrMalformed},

		{"RFC8725-3.3-1 tag of another", swap(p, 4, other[4]), jose.ErrDecrypt},
		{"RFC8725-3.3-1 ciphertext of another", swap(p, 3, other[3]), jose.ErrDecrypt},
		{"RFC8725-3.3-1 initialization vector of another", swap(p, 2, other[2]), jose.ErrDecrypt},
		{"RFC8725-3.3-1 encrypted key of another", swap(p, 1, other[1]), jose.ErrDecrypt},
		{"RFC8725-3.3-1 header with a member more", swap(p, 0, b64([]byte(with(t, goodJWE, "}", `,"cty":"JWT"}`)))), jose.ErrDecrypt},
		{"RFC8725-3.3-1 header written otherwise", swap(p, 0, b64([]byte(goodJWE+" "))), jose.ErrDecrypt},
		{"RFC8725-3.3-1 header without kid", swap(p, 0, b64([]byte(with(t, goodJWE, `,"kid":"rsa"`, ``)))), jose.ErrDecrypt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := decrypt(tt.token); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// TestDecryptAgreement has what may not be in epk.
func TestDecryptAgreement(t *testing.T) {
	order2, x := weakPoint()
	zero := make([]byte, 32)
	ecX, ecY := coordinates(ecKey)
	p384 := `"epk":{"kty":"EC","crv":"P-384","x":"uBo4kHPw6kbjx5l0xowrd_oYzBmaz-GKFZu4xAFFkbYiWgutEK6iuEDsQ6wNdNg3","y":"sp3p5SGhZVC2faXumI-e9JU2Mo8KpoYrFDr5yPNVtW4PgEwZOyQTA-JdaY8tb7E0"}`
	always := func(epk string) func(string) string { return func(string) string { return epk } }
	for _, tt := range []struct {
		name string
		edit func(epk string) string
		want error
	}{
		{"as it is", same, nil},
		{"another point", always(epkOf(ecX, ecY)), jose.ErrDecrypt},
		{"RFC8725-3.4-1 point at infinity", always(epkOf(zero, zero)), jose.ErrMalformed},
		{"RFC8725-3.4-1 coordinates swapped", always(epkOf(ecY, ecX)), jose.ErrMalformed},
		{"RFC8725-3.4-1 x of 33 octets", always(epkOf(append([]byte{0}, ecX...), ecY)), jose.ErrMalformed},
		{"RFC8725-3.4-1 another curve", always(p384), jose.ErrMalformed},
		{"X25519", always(`"epk":{"kty":"OKP","crv":"X25519","x":"` + b64(ecX) + `"}`), jose.ErrMalformed},
		{"kty of another", func(s string) string { return strings.Replace(s, `"EC"`, `"RSA"`, 1) }, jose.ErrMalformed},
		{"private key", func(s string) string { return strings.Replace(s, `"x"`, `"d":"AA","x"`, 1) }, jose.ErrMalformed},
		{"no epk", always(`"typ":"JWT"`), jose.ErrMalformed},
		{"epk is text", always(`"epk":"AA"`), jose.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := decrypt(join(toEC(t, tt.edit))); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("RFC8725-3.4-1 point of order two on another curve", func(t *testing.T) {
		// Without the check, half of all private keys would agree on this x,
		// and the other half would not: one bit of the key.
		header := `{"alg":"ECDH-ES","enc":"A128GCM",` + order2 + `}`
		if _, err := decrypt(join(sealing{header: header, cek: agreed(x, "", ""), payload: "guess"}.parts(t))); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("error %v, want ErrMalformed", err)
		}
	})
	t.Run("an encrypted key beside the agreed one", func(t *testing.T) {
		if _, err := decrypt(swap(toEC(t, same), 1, "AAAA")); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("error %v, want ErrMalformed", err)
		}
	})
}

// weakPoint returns the epk of a point with y = 0. It lies on a curve that
// differs from P-256 in b alone, which the formulas for addition do not use,
// and has order two there.
func weakPoint() (epk string, x []byte) {
	x = big.NewInt(4711).FillBytes(make([]byte, 32))
	return epkOf(x, make([]byte, 32)), x
}

// TestDecryptOneAnswer has failures at every step past the choice of the key.
func TestDecryptOneAnswer(t *testing.T) {
	t.Run("RFC9101-6.1-1 RFC8725-3.3-1 no failure tells of itself", func(t *testing.T) {
		good := toRSA(t, goodJWE, 16, "secret")
		pub := &rsaKey().PublicKey
		short := make([]byte, 15)
		otherKey := ecKeyOf(t)
		for name, token := range map[string]string{
			"tag":                           swap(good, 4, b64(make([]byte, 16))),
			"encrypted key":                 swap(good, 1, b64(make([]byte, 256))),
			"OAEP of another hash":          swap(good, 1, b64(oaep(t, pub, crypto.SHA1, make([]byte, 16)))),
			"content key too short":         swap(good, 1, b64(oaep(t, pub, crypto.SHA256, short))),
			"content key too long":          swap(good, 1, b64(oaep(t, pub, crypto.SHA256, make([]byte, 32)))),
			"no content key":                swap(good, 1, b64(oaep(t, pub, crypto.SHA256, nil))),
			"encrypted key too short":       swap(good, 1, b64(make([]byte, 255))),
			"encrypted key too long":        swap(good, 1, b64(make([]byte, 257))),
			"no encrypted key":              swap(good, 1, ""),
			"content key of another size":   join(toRSA(t, goodJWE, 32, "secret")), // which opens it
			"content key that is all zeros": join(sealing{goodJWE, make([]byte, 256), make([]byte, 16), "secret"}.parts(t)),
			"another's key":                 encrypted(t, jose.ECDHESA128KW, jose.A128CBCHS256, "ec", &otherKey.PublicKey),
			"wrapped key":                   spoil(encrypted(t, jose.ECDHESA128KW, jose.A128GCM, "ec", &ecKey.PublicKey), 1),
			"tag of CBC":                    spoil(encrypted(t, jose.ECDHESA128KW, jose.A128CBCHS256, "ec", &ecKey.PublicKey), 4),
			"blocks of CBC":                 spoil(encrypted(t, jose.ECDHESA128KW, jose.A128CBCHS256, "ec", &ecKey.PublicKey), 3),
			"part of a block":               swap(strings.Split(encrypted(t, jose.ECDHES, jose.A128CBCHS256, "ec", &ecKey.PublicKey), "."), 3, "AAAA"),
			"nothing in CBC":                swap(strings.Split(encrypted(t, jose.ECDHES, jose.A128CBCHS256, "ec", &ecKey.PublicKey), "."), 3, ""),
		} {
			if got, err := decrypt(token); err != jose.ErrDecrypt || got != "" {
				t.Errorf("%s: %q, error %v, want ErrDecrypt itself", name, got, err)
			}
		}
	})
}

func ecKeyOf(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encrypted(t testing.TB, alg, enc, kid string, pub crypto.PublicKey) string {
	t.Helper()
	token, err := jose.Encrypt(alg, enc, kid, "", pub, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// spoil changes one bit in the middle of a part.
func spoil(token string, i int) string {
	parts := strings.Split(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		panic(err)
	}
	b[len(b)/2] ^= 1
	return swap(parts, i, b64(b))
}

func TestIsEncrypted(t *testing.T) {
	for token, want := range map[string]bool{"": false, "a.b.c": false, "a.b.c.d": false, "a.b.c.d.e": true, "....": true, ".....": false} {
		if got := jose.IsEncrypted(token); got != want {
			t.Errorf("IsEncrypted(%q) = %v", token, got)
		}
	}
}

// FuzzDecrypt looks for panics, for tokens in another form, and for payloads
// that nobody encrypted.
func FuzzDecrypt(f *testing.F) {
	good := join(toRSA(f, goodJWE, 16, "secret"))
	agreement := join(toEC(f, same))
	for _, s := range []string{
		good, agreement, "....", "e30....", good + "\n", spoil(good, 3), spoil(agreement, 4),
		encrypted(f, jose.ECDHESA128KW, jose.A128CBCHS256, "ec", &ecKey.PublicKey),
		b64([]byte(`{"alg":"ECDH-ES","enc":"A128CBC-HS256","apu":"","epk":{"kty":"EC","crv":"P-256","x":"","y":""}}`)) + "....",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		payload, _, err := jose.Decrypt(s, 4096, []string{jose.A128GCM, jose.A128CBCHS256}, decryptionKeys())
		if err == nil {
			if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || !jose.IsEncrypted(s) || string(payload) != "secret" {
				t.Errorf("%q decrypted to %q", s, payload)
			}
			return
		}
		for _, want := range []error{jose.ErrMalformed, jose.ErrTooLarge, jose.ErrAlgorithm, jose.ErrNoKey, jose.ErrDecrypt} {
			if errors.Is(err, want) {
				return
			}
		}
		t.Errorf("error %v", err)
	})
}
