package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"

	"github.com/aikagi/aikagi/internal/jose"
)

// keyFor returns a key that alg is used with.
func keyFor(alg string) (crypto.PrivateKey, crypto.PublicKey) {
	if strings.HasPrefix(alg, "RSA") {
		return rsaKey(), &rsaKey().PublicKey
	}
	return ecKey, &ecKey.PublicKey
}

// TestEncryptInterop has another implementation read what we write, and us what
// it writes, for every pair of algorithms.
func TestEncryptInterop(t *testing.T) {
	for _, alg := range jose.KeyAlgorithms {
		for _, enc := range jose.ContentAlgorithms {
			private, public := keyFor(alg)
			for _, payload := range []string{"", "fifteen octets.", "sixteen octets!!", strings.Repeat("long ", 1000)} {
				ours, err := jose.Encrypt(alg, enc, "k", "JWT", public, []byte(payload))
				if err != nil {
					t.Fatalf("%s %s: %v", alg, enc, err)
				}
				got, err := jwe.Decrypt([]byte(ours), jwe.WithKey(jwa.KeyEncryptionAlgorithm(alg), private))
				if payload != "" && (err != nil || string(got) != payload) { // jwx takes no payload for a failure
					t.Errorf("%s %s: they read %q, %v, want %q", alg, enc, got, err, payload)
				}
				got, cty, err := jose.Decrypt(ours, jweLimit, []string{enc}, []jose.DecryptionKey{{ID: "k", Algorithm: alg, Key: private}})
				if err != nil || string(got) != payload || cty != "JWT" {
					t.Errorf("%s %s: we read our own %q, cty %q, %v, want %q", alg, enc, got, cty, err, payload)
				}
				theirs, err := jwe.Encrypt([]byte(payload), jwe.WithKey(jwa.KeyEncryptionAlgorithm(alg), public), jwe.WithContentEncryption(jwa.ContentEncryptionAlgorithm(enc)))
				if err != nil {
					t.Fatal(err)
				}
				got, _, err = jose.Decrypt(string(theirs), jweLimit, []string{enc}, []jose.DecryptionKey{{Key: private}})
				if err != nil || string(got) != payload {
					t.Errorf("%s %s: we read %q, %v, want %q", alg, enc, got, err, payload)
				}
			}
		}
	}
}

func headerOf(t testing.TB, token string) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	header, ok := decodeJSON(t, string(b)).(map[string]any)
	if !ok {
		t.Fatalf("header %s", b)
	}
	return header
}

func TestEncryptHeader(t *testing.T) {
	for _, tt := range []struct {
		name, alg, enc, kid, cty string
		want                     map[string]any
	}{
		{"RFC8725-3.6-1 nothing is compressed", jose.RSAOAEP256, jose.A256GCM, "k", "JWT", map[string]any{"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "k", "cty": "JWT"}},
		{"no kid and no cty", jose.RSAOAEP, jose.A128CBCHS256, "", "", map[string]any{"alg": "RSA-OAEP", "enc": "A128CBC-HS256"}},
		{"odd kid", jose.ECDHES, jose.A128GCM, "a \"b\" \\\n鍵", "", map[string]any{"alg": "ECDH-ES", "enc": "A128GCM", "kid": "a \"b\" \\\n鍵"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, public := keyFor(tt.alg)
			token, err := jose.Encrypt(tt.alg, tt.enc, tt.kid, tt.cty, public, []byte(strings.Repeat("a", 1000)))
			if err != nil {
				t.Fatal(err)
			}
			header := headerOf(t, token)
			if epk, ok := header["epk"].(map[string]any); ok == strings.HasPrefix(tt.alg, "ECDH") && (!ok || len(epk) == 4) {
				delete(header, "epk")
			}
			if diff := cmp.Diff(tt.want, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if len(token) < 1333 {
				t.Errorf("%d characters for 1000 octets", len(token))
			}
		})
	}
	t.Run("BCL-6 a claim beside the others, and none where it has no value", func(t *testing.T) {
		token, err := jose.Encrypt(jose.RSAOAEP, jose.A128GCM, "", "JWT", &rsaKey().PublicKey, []byte("secret"), [2]string{"iss", `https://a.example/"`}, [2]string{"sub", ""})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"alg": "RSA-OAEP", "enc": "A128GCM", "cty": "JWT", "iss": `https://a.example/"`}
		if diff := cmp.Diff(want, headerOf(t, token)); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
		if got, _, err := jose.Decrypt(token, jweLimit, []string{jose.A128GCM}, []jose.DecryptionKey{{Key: rsaKey()}}); err != nil || string(got) != "secret" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("every JWE has keys and an initialization vector of its own", func(t *testing.T) {
		for _, alg := range jose.KeyAlgorithms {
			_, public := keyFor(alg)
			a, b := strings.Split(encrypted(t, alg, jose.A256GCM, "", public), "."), strings.Split(encrypted(t, alg, jose.A256GCM, "", public), ".")
			for i := range a {
				if strings.HasPrefix(alg, "RSA") && i == 0 || alg == jose.ECDHES && i == 1 {
					continue // no epk, no encrypted key
				}
				if a[i] == b[i] {
					t.Errorf("%s: part %d is twice %s", alg, i, a[i])
				}
			}
		}
	})
}

func TestEncryptRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, rsaPub := keyFor(jose.RSAOAEP)
	_, ecPub := keyFor(jose.ECDHES)
	//lint:ignore SA1019 no parser would make this key
	offCurve := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	for _, tt := range []struct {
		name, alg, enc, kid string
		key                 crypto.PublicKey
		want                error
	}{
		{"RFC8725-3.2-1 RSA1_5", "RSA1_5", jose.A128GCM, "", rsaPub, jose.ErrAlgorithm},
		{"RFC8725-3.2-1 dir", "dir", jose.A128GCM, "", []byte("sixteen octets!!"), jose.ErrAlgorithm},
		{"RFC8725BIS-2 a password", "PBES2-HS256+A128KW", jose.A128GCM, "", []byte("password"), jose.ErrAlgorithm},
		{"a signature algorithm", jose.ES256, jose.A128GCM, "", ecPub, jose.ErrAlgorithm},
		{"no alg", "", jose.A128GCM, "", rsaPub, jose.ErrAlgorithm},
		{"no enc", jose.RSAOAEP256, "", "", rsaPub, jose.ErrAlgorithm},
		{"enc that is unknown", jose.RSAOAEP256, "A192GCM", "", rsaPub, jose.ErrAlgorithm},
		{"alg of EC for RSA", jose.ECDHES, jose.A128GCM, "", rsaPub, jose.ErrAlgorithm},
		{"alg of RSA for EC", jose.RSAOAEP256, jose.A128GCM, "", ecPub, jose.ErrAlgorithm},
		{"Ed25519", jose.ECDHES, jose.A128GCM, "", edKey.Public(), jose.ErrAlgorithm},
		{"no key", jose.ECDHES, jose.A128GCM, "", nil, jose.ErrAlgorithm},
		{"weak key", jose.RSAOAEP, jose.A128GCM, "", &rsa.PublicKey{N: big.NewInt(15), E: 3}, jose.ErrWeakKey},
		{"no modulus", jose.RSAOAEP, jose.A128GCM, "", (*rsa.PublicKey)(nil), jose.ErrMalformed},
		{"P-384", jose.ECDHES, jose.A128GCM, "", &p384.PublicKey, jose.ErrUnsupportedKey},
		{"RFC8725-3.4-1 point off the curve", jose.ECDHES, jose.A128GCM, "", offCurve, jose.ErrMalformed},
		{"kid is no UTF-8", jose.RSAOAEP, jose.A128GCM, "\xff", rsaPub, jose.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := jose.Encrypt(tt.alg, tt.enc, tt.kid, "", tt.key, []byte("secret")); !errors.Is(err, tt.want) || got != "" {
				t.Errorf("%q, error %v, want %v", got, err, tt.want)
			}
		})
	}
}

// TestNested has JWTs inside JWEs and the other way round.
func TestNested(t *testing.T) {
	keys := testKeys()
	inner := token(t, `{"alg":"ES256","kid":"ec","typ":"oauth-authz-req+jwt"}`, goodClaims, ecMaker(ecKey, crypto.SHA256))
	open := func(t *testing.T, jwe string) string {
		t.Helper()
		got, err := decrypt(jwe)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	t.Run("OIDC-SE-9 signed and then encrypted", func(t *testing.T) {
		nested, err := jose.Encrypt(jose.RSAOAEP256, jose.A128GCM, "rsa", "JWT", &rsaKey().PublicKey, []byte(inner))
		if err != nil {
			t.Fatal(err)
		}
		got := open(t, nested)
		if got != inner {
			t.Errorf("inner token %q", got)
		}
		if _, err := verify(got, fapi, keys); err != nil {
			t.Error(err)
		}
	})
	t.Run("OIDC-SE-9 RFC8725BIS-5 encrypted and then signed", func(t *testing.T) {
		jwe := join(toRSA(t, goodJWE, 16, goodClaims))
		signed := token(t, `{"alg":"ES256","kid":"ec","cty":"JWT"}`, jwe, ecMaker(ecKey, crypto.SHA256))
		if _, err := verify(signed, fapi, keys); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("error %v, want ErrMalformed", err)
		}
	})
	t.Run("RFC8725BIS-5 a JWE where a JWS is expected", func(t *testing.T) {
		if _, err := jose.Parse(join(toRSA(t, goodJWE, 16, inner)), jweLimit); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("error %v, want ErrMalformed", err)
		}
	})
	t.Run("RFC8725BIS-5 encrypted claims that nobody signed", func(t *testing.T) {
		if _, err := verify(open(t, join(toRSA(t, goodJWE, 16, goodClaims))), fapi, keys); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("error %v, want ErrMalformed", err)
		}
	})
	t.Run("RFC8725-3.3-1 the inner signature is wrong", func(t *testing.T) {
		bad := spoil(inner, 2)
		if _, err := verify(open(t, join(toRSA(t, goodJWE, 16, bad))), fapi, keys); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("error %v, want ErrSignature", err)
		}
	})
	t.Run("RFC8725-3.11-2 typ in the outer header alone", func(t *testing.T) {
		untyped := token(t, `{"alg":"ES256","kid":"ec"}`, goodClaims, ecMaker(ecKey, crypto.SHA256))
		header := with(t, goodJWE, "}", `,"typ":"oauth-authz-req+jwt","cty":"JWT"}`)
		tok, err := jose.Parse(open(t, join(toRSA(t, header, 16, untyped))), jweLimit)
		if err != nil || tok.Header.Type != "" {
			t.Errorf("%+v, %v, want no typ", tok, err)
		}
	})
}

// Keys of a client that encrypts and signs.
func clientKeys(t testing.TB) (encEC, encRSA, anyEC string) {
	unused := with(t, clientPS, `"use":"sig","alg":"PS256",`, "")
	return `{"kty":"EC","crv":"P-256","x":"eyObxq5W3DnCty_9dJZ_tmgFnSoP6DmAg8hTutrBhMg","y":"Aw-4icwu11WObHC56QgyQGbFq8SHdbgQRIw-wUbTUAg","use":"enc","kid":"enc-ec"}`,
		with(t, unused, `"tpp-ps-2026a"`, `"enc-rsa","use":"enc","alg":"RSA-OAEP-256"`),
		with(t, clientEC, `"use":"sig","alg":"ES256","kid":"tpp-sig-2026a"`, `"kid":"any"`)
}

func TestEncryptionKey(t *testing.T) {
	encEC, encRSA, anyEC := clientKeys(t)
	for _, tt := range []struct {
		name string
		jwks []string
		alg  string
		want string // kid; "" for no key
	}{
		{"OIDC-SE-7 the key for encryption", []string{clientEC, clientPS, encRSA, encEC}, jose.ECDHES, "enc-ec"},
		{"OIDC-SE-7 the key for this alg", []string{clientEC, clientPS, encEC, encRSA}, jose.RSAOAEP256, "enc-rsa"},
		{"OIDC-SE-7 a key without use", []string{clientEC, anyEC}, jose.ECDHESA128KW, "any"},
		{"OIDC-SE-7 a key for encryption before one without use", []string{anyEC, encEC}, jose.ECDHESA256KW, "enc-ec"},
		{"OIDC-SE-7 the first of two", []string{encEC, with(t, encEC, "enc-ec", "second")}, jose.ECDHES, "enc-ec"},
		{"OIDC-SE-7 only signature keys", []string{clientEC, clientPS}, jose.RSAOAEP256, ""},
		{"OIDC-SE-7 only signature keys by alg", []string{with(t, clientEC, `"use":"sig",`, "")}, jose.ECDHES, ""},
		{"OIDC-SE-7 only signature keys by key_ops", []string{with(t, anyEC, `"kid"`, `"key_ops":["verify"],"kid"`)}, jose.ECDHES, ""},
		{"OIDC-SE-7 a key for another alg", []string{encRSA}, jose.RSAOAEP, ""},
		{"OIDC-SE-7 a key of another type", []string{encEC}, jose.RSAOAEP256, ""},
		{"OIDC-SE-7 a key by key_ops", []string{clientEC, with(t, anyEC, `"kid"`, `"key_ops":["deriveBits"],"kid"`)}, jose.ECDHES, "any"},
		{"RFC8725-3.2-1 an alg that is none of ours", []string{encEC, encRSA}, "RSA1_5", ""},
		{"no keys", nil, jose.ECDHES, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := jose.ParseSet([]byte(setOf(tt.jwks...)))
			if err != nil || len(set.Skipped) > 0 {
				t.Fatalf("ParseSet: %v, %+v", err, set)
			}
			key, ok := jose.EncryptionKey(set, tt.alg)
			if key.ID != tt.want || ok != (tt.want != "") {
				t.Errorf("key %q, %v, want %q", key.ID, ok, tt.want)
			}
		})
	}
	if key, ok := jose.EncryptionKey(nil, jose.ECDHES); ok {
		t.Errorf("nil set has %+v", key)
	}
	weak := &jose.Set{Keys: []jose.Key{{Public: &rsa.PublicKey{N: big.NewInt(15), E: 3}}}}
	if key, ok := jose.EncryptionKey(weak, jose.RSAOAEP); ok {
		t.Errorf("weak set has %+v", key)
	}
}

// TestKeyOperations reads keys that say what they are for by key_ops (RFC 7517,
// 4.3).
func TestKeyOperations(t *testing.T) {
	for _, tt := range []struct {
		members, use string // the JWK's own and what they amount to
		want         error
	}{
		{`"key_ops":["verify"]`, "sig", nil},
		{`"key_ops":["encrypt"]`, "enc", nil},
		{`"key_ops":["wrapKey","unwrapKey"]`, "enc", nil},
		{`"key_ops":["deriveKey"]`, "enc", nil},
		{`"key_ops":["deriveBits"],"use":"enc"`, "enc", nil},
		{`"key_ops":["verify","deriveKey"]`, "", nil},
		{`"key_ops":["verify"],"use":"sig"`, "sig", nil},
		{`"key_ops":["verify"],"use":"enc"`, "", jose.ErrUnsupportedKey},
		{`"key_ops":["deriveKey"],"use":"sig"`, "", jose.ErrUnsupportedKey},
		{`"key_ops":["verify"],"use":"tls"`, "", jose.ErrUnsupportedKey},
		{`"key_ops":["other"]`, "", jose.ErrUnsupportedKey},
		{`"key_ops":[]`, "", jose.ErrUnsupportedKey},
		{`"key_ops":[1]`, "", jose.ErrMalformed},
	} {
		set, err := jose.ParseSet([]byte(setOf(with(t, proofEC, `"crv"`, tt.members+`,"crv"`))))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case tt.want != nil:
			if len(set.Skipped) != 1 || !errors.Is(set.Skipped[0], tt.want) {
				t.Errorf("%s: skipped %v, want %v", tt.members, set.Skipped, tt.want)
			}
		case len(set.Keys) != 1 || set.Keys[0].Use != tt.use:
			t.Errorf("%s: %+v, want use %q", tt.members, set, tt.use)
		}
	}
}

// TestEncryptionKeysNeverVerify signs with keys that are published to encrypt
// to.
func TestEncryptionKeysNeverVerify(t *testing.T) {
	pub := rsaJWK(rsaKey().N, rsaKey().E)
	signed := token(t, `{"alg":"PS256"}`, goodClaims, rsaMaker(rsaKey(), pss(32, crypto.SHA256)))
	if _, err := verify(signed, fapi, []jose.Key{keyOf(t, pub)}); err != nil {
		t.Fatalf("without a use: %v", err)
	}
	for _, members := range []string{`"use":"enc"`, `"alg":"RSA-OAEP-256"`, `"alg":"RSA-OAEP"`, `"key_ops":["wrapKey"]`, `"key_ops":["encrypt","deriveKey"]`} {
		key := keyOf(t, with(t, pub, `"n"`, members+`,"n"`))
		t.Run("FAPI2-SP-5.4.3-1 key with "+members, func(t *testing.T) {
			if _, err := verify(signed, fapi, []jose.Key{key}); !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("error %v, want ErrNoKey", err)
			}
		})
	}
}

// TestPublishEncryptionKeys writes a set of both kinds and has it read.
func TestPublishEncryptionKeys(t *testing.T) {
	encEC, encRSA, _ := clientKeys(t)
	set, err := jose.ParseSet([]byte(setOf(clientEC, encEC, encRSA)))
	if err != nil || len(set.Keys) != 3 {
		t.Fatalf("%+v, %v", set, err)
	}
	got, err := jose.MarshalSet(set.Keys)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decodeJSON(t, setOf(clientEC, encEC, encRSA)), decodeJSON(t, string(got))); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
}

// TestPrivateEncryptionKeys decrypts with what ParsePrivateSet reads.
func TestPrivateEncryptionKeys(t *testing.T) {
	ec := with(t, privateEC, `"use":"sig","alg":"ES256"`, `"key_ops":["deriveKey"],"alg":"ECDH-ES"`)
	keys, err := jose.ParsePrivateSet([]byte(setOf(ec)))
	if err != nil {
		t.Fatal(err)
	}
	key := jose.DecryptionKey{ID: keys[0].ID, Algorithm: keys[0].Algorithm, Key: keys[0].Signer}
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Encrypt(jose.ECDHES, jose.A256GCM, public.ID, "", public.Public, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := jose.Decrypt(token, jweLimit, []string{jose.A256GCM}, []jose.DecryptionKey{key}); err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	for _, alg := range []string{"RSA-OAEP", "RSA-OAEP-256"} {
		if _, err := jose.ParsePrivateSet([]byte(setOf(with(t, ec, "ECDH-ES", alg)))); !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("%s for a key of P-256: %v, want ErrMalformed", alg, err)
		}
	}
}

// TestAlgorithmLists has the lists that metadata is made of.
func TestAlgorithmLists(t *testing.T) {
	b, err := json.Marshal([][]string{jose.KeyAlgorithms, jose.ContentAlgorithms})
	if err != nil {
		t.Fatal(err)
	}
	want := `[["RSA-OAEP-256","RSA-OAEP","ECDH-ES","ECDH-ES+A128KW","ECDH-ES+A256KW"],["A128CBC-HS256","A256CBC-HS512","A128GCM","A256GCM"]]`
	if string(b) != want {
		t.Errorf("lists %s, want %s", b, want)
	}
}
