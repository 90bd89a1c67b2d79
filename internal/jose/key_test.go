package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

// The private keys here are for tests only.
const (
	clientEC = `{"kty":"EC","crv":"P-256","x":"-UIxyRDLaI-tQAlzObmNTYfga2DGHWQbRbYJw29KWwk","y":"vhiL3heAK3ZvcpLR7s6ATmF84LRQUdSAEJkax8f7q_E","use":"sig","alg":"ES256","kid":"tpp-sig-2026a"}`
	clientD  = `"d":"WXxTNBSiSZ-B8yFhiO3AUPJC48VBiNzKReZY7ir8bTo"`
	clientPS = `{"kty":"RSA","n":"zpSde_OcGJpSlWjHAwNgAIHZSFmGQgPXh_xsI2bLiNRlhA5mCBu9hVpKKuDLf0t5tN78rkvv-KJz4tR1y5NUjvkFtqGXDZo1pKBRlbtLMTLJbhJ1H2J20BW7TRIZQqqo0oNHFNWIL3gnWDmApqhhtR_vf3OG0Ay6928EffzbuQHgQZiZigzTfhamLYG9_5LEuHTfmOgdNlsvXNZZG4X4xGBZABKSyYmYg7ACFQUaMP0wVpLVY6N7Bn6zC0BE53pIb_OAvJPJbKUlZDrkPEqF7diTKWwWFEvFxGm_fYPAh6s0Q3MeNiq_0vbmWn1HUcztf2upEdNoEd2JTCbxyfKmJQ","e":"AQAB","use":"sig","alg":"PS256","kid":"tpp-ps-2026a"}`
	proofEC  = `{"kty":"EC","crv":"P-256","x":"eyObxq5W3DnCty_9dJZ_tmgFnSoP6DmAg8hTutrBhMg","y":"Aw-4icwu11WObHC56QgyQGbFq8SHdbgQRIw-wUbTUAg"}`
	proofEd  = `{"kty":"OKP","crv":"Ed25519","x":"5aUJgujP2d_IVjOK5n8lH0o1aYh0RG8zo-bLwyiyD1g"}`

	// RFC 7638, 3.1
	thumbRSA = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`

	// The certificate of RFC 8705, A, and its key.
	certX5C = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY="
	certJWK = `{"kty":"EC","crv":"P-256","x":"1yfLHCpXqFjxCeHHHMVDTcLscpb07KUxudBmOMn8C7Q","y":"8_coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8","x5c":["` + certX5C + `"]}`
)

func setOf(jwks ...string) string { return `{"keys":[` + strings.Join(jwks, ",") + `]}` }

// keyOf parses one JWK that must be good.
func keyOf(t testing.TB, jwk string) jose.Key {
	t.Helper()
	set, err := jose.ParseSet([]byte(setOf(jwk)))
	if err != nil || len(set.Keys) != 1 {
		t.Fatalf("ParseSet(%s): %v, %+v", jwk, err, set)
	}
	return set.Keys[0]
}

// with replaces old, which must be there, in a JWK.
func with(t testing.TB, jwk, old, new string) string {
	t.Helper()
	if !strings.Contains(jwk, old) {
		t.Fatalf("no %s in %s", old, jwk)
	}
	return strings.Replace(jwk, old, new, 1)
}

// rsaJWK formats an RSA key without the help of the package under test.
func rsaJWK(n *big.Int, e int) string {
	enc := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"%s"}`, enc(n.Bytes()), enc(big.NewInt(int64(e)).Bytes()))
}

func TestThumbprint(t *testing.T) {
	for _, tt := range []struct{ name, jwk, want string }{
		{"RFC 7638, 3.1", thumbRSA, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{"RFC 8037, A.3", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
		{"P-256", proofEC, "VmR2zmQFtNQZEmpx3DFcuzPKziGYCx5f2prh05oCmAk"},
		{"Ed25519", proofEd, "dtRx99UCcDnOh3OOqpwpJi0wRorApJgkCnMiiwuqqaM"},
	} {
		got, err := jose.Thumbprint(keyOf(t, tt.jwk).Public)
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	for _, bad := range []crypto.PublicKey{nil, "key", (*rsa.PublicKey)(nil), &rsa.PublicKey{}, (*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}, &ecdsa.PublicKey{Curve: elliptic.P384()}, ed25519.PublicKey{}} {
		if got, err := jose.Thumbprint(bad); err == nil {
			t.Errorf("Thumbprint(%T) = %q", bad, got)
		}
	}
}

func TestParseSet(t *testing.T) {
	set, err := jose.ParseSet([]byte("\n " + setOf(clientEC, clientPS, proofEd, certJWK) + "\r\n"))
	if err != nil || len(set.Skipped) > 0 {
		t.Fatalf("%v, skipped %v", err, set.Skipped)
	}
	type key struct {
		ID, Use, Algorithm, Type string
		Certificates             int
	}
	var got []key
	for _, k := range set.Keys {
		got = append(got, key{k.ID, k.Use, k.Algorithm, fmt.Sprintf("%T", k.Public), len(k.X5C)})
	}
	want := []key{
		{"tpp-sig-2026a", "sig", "ES256", "*ecdsa.PublicKey", 0},
		{"tpp-ps-2026a", "sig", "PS256", "*rsa.PublicKey", 0},
		{"", "", "", "ed25519.PublicKey", 0},
		{"", "", "", "*ecdsa.PublicKey", 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	t.Run("TV-M8 the JWK of the certificate of RFC 8705", func(t *testing.T) {
		if der := set.Keys[3].X5C[0]; base64.StdEncoding.EncodeToString(der) != certX5C {
			t.Errorf("x5c came back as %x", der)
		}
	})
	empty, err := jose.ParseSet([]byte(`{"keys":[],"more":{"x":1}}`))
	if err != nil || len(empty.Keys) != 0 {
		t.Errorf("an empty set: %v, %v", empty, err)
	}
}

// TestParseSetRefuses has what makes a whole set unusable.
func TestParseSetRefuses(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = proofEC
	}
	for _, tt := range []struct{ name, set string }{
		{"empty", ""},
		{"null", "null"},
		{"no object", "[" + clientEC + "]"},
		{"a single key", clientEC},
		{"keys is an object", `{"keys":{}}`},
		{"keys is null", `{"keys":null}`},
		{"Keys for keys", `{"Keys":[` + clientEC + `]}`},
		{"a key is a string", `{"keys":["x"]}`},
		{"a key is null", `{"keys":[null]}`},
		{"trailing data", setOf(clientEC) + "x"},
		{"second set behind it", setOf(clientEC) + setOf(proofEC)},
		{"byte order mark", "\xef\xbb\xbf" + setOf(clientEC)},
		{"trailing comma", `{"keys":[` + clientEC + `,]}`},
		{"keys twice", `{"keys":[` + clientEC + `],"keys":[]}`},
		{"JWT-I-1 kid twice", setOf(with(t, clientEC, `"use"`, `"kid":"other","use"`))},
		{"JWT-I-1 x in both cases", setOf(with(t, clientEC, `"use"`, `"X":"AA","use"`))},
		{"RFC8725-3.7-1 kid is not UTF-8", setOf(with(t, clientEC, "tpp-sig", "tpp-\xff"))},
		{"FAPI2-SP-5.4.3-3 private EC key", setOf(proofEC, with(t, clientEC, `"use"`, clientD+`,"use"`))},
		{"FAPI2-SP-5.4.3-3 private Ed25519 key", setOf(with(t, proofEd, `"x"`, `"d":"ak5ThLuu15NVhI39ZFGsobi89eKn1ASUUeje2rRPpp8","x"`))},
		{"FAPI2-SP-5.4.3-3 private exponent", setOf(with(t, clientPS, `"e"`, `"d":"AQ","e"`))},
		{"FAPI2-SP-5.4.3-3 prime p", setOf(with(t, clientPS, `"e"`, `"p":"AQ","e"`))},
		{"FAPI2-SP-5.4.3-3 prime q", setOf(with(t, clientPS, `"e"`, `"q":"AQ","e"`))},
		{"FAPI2-SP-5.4.3-3 dp", setOf(with(t, clientPS, `"e"`, `"dp":"AQ","e"`))},
		{"FAPI2-SP-5.4.3-3 dq", setOf(with(t, clientPS, `"e"`, `"dq":"AQ","e"`))},
		{"FAPI2-SP-5.4.3-3 qi", setOf(with(t, clientPS, `"e"`, `"qi":"AQ","e"`))},
		{"FAPI2-SP-5.4.3-3 other primes", setOf(with(t, clientPS, `"e"`, `"oth":[],"e"`))},
		{"FAPI2-SP-5.4.3-3 symmetric key", setOf(clientEC, `{"kty":"oct","k":"c2VjcmV0"}`)},
		{"FAPI2-SP-5.4.3-3 k that is null", setOf(with(t, clientEC, `"use"`, `"k":null,"use"`))},
		{"101 keys", setOf(many...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if set, err := jose.ParseSet([]byte(tt.set)); !errors.Is(err, jose.ErrMalformed) {
				t.Errorf("%+v, error %v, want ErrMalformed", set, err)
			}
		})
	}
	if _, err := jose.ParseSet([]byte(setOf(many[:100]...))); err != nil {
		t.Errorf("100 keys: %v", err)
	}
}

// TestParseSetSkips has keys that are left out while the rest of the set is kept.
func TestParseSetSkips(t *testing.T) {
	odd := func(bits int) *big.Int { // a modulus need not be a product here
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), uint(bits-1)), big.NewInt(1))
	}
	ecX, ecY := `"-UIxyRDLaI-tQAlzObmNTYfga2DGHWQbRbYJw29KWwk"`, `"vhiL3heAK3ZvcpLR7s6ATmF84LRQUdSAEJkax8f7q_E"`
	zero := `"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`
	url := strings.NewReplacer("+", "-", "/", "_")
	for _, tt := range []struct {
		name, jwk string
		want      error
	}{
		{"FAPI2-SP-5.4.1-2 RSA of 1024 bits", rsaJWK(odd(1024), 65537), jose.ErrWeakKey},
		{"FAPI2-SP-5.4.1-2 RSA of 2047 bits", rsaJWK(odd(2047), 65537), jose.ErrWeakKey},
		{"RSA of 8193 bits", rsaJWK(odd(8193), 65537), jose.ErrUnsupportedKey},
		{"RSA modulus even", rsaJWK(new(big.Int).Lsh(odd(2047), 1), 65537), jose.ErrMalformed},
		{"RSA exponent 1", rsaJWK(odd(2048), 1), jose.ErrMalformed},
		{"RSA exponent even", rsaJWK(odd(2048), 65536), jose.ErrMalformed},
		{"RSA exponent of 32 bits", rsaJWK(odd(2048), 1<<32-1), jose.ErrMalformed},
		{"RSA exponent of 72 bits", with(t, clientPS, `"AQAB"`, `"AQAAAAAAAQAB"`), jose.ErrMalformed},
		{"RSA exponent with leading zero", with(t, clientPS, `"AQAB"`, `"AAEAAQ"`), jose.ErrMalformed},
		{"RSA without modulus", `{"kty":"RSA","e":"AQAB"}`, jose.ErrMalformed},
		{"RSA without exponent", with(t, clientPS, `"e":`, `"E":`), jose.ErrMalformed},
		{"RSA exponent as a number", with(t, clientPS, `"AQAB"`, `65537`), jose.ErrMalformed},
		{"FAPI2-SP-5.4.1-3 P-192", with(t, clientEC, "P-256", "P-192"), jose.ErrWeakKey},
		{"FAPI2-SP-5.4.1-3 secp160r1", with(t, clientEC, "P-256", "secp160r1"), jose.ErrWeakKey},
		{"P-224", with(t, clientEC, "P-256", "P-224"), jose.ErrUnsupportedKey},
		{"FAPI2-SP-5.4.1-1b P-384", with(t, clientEC, "P-256", "P-384"), jose.ErrUnsupportedKey},
		{"FAPI2-SP-5.4.1-1b P-521", with(t, clientEC, "P-256", "P-521"), jose.ErrUnsupportedKey},
		{"FAPI2-SP-5.4.1-1b secp256k1", with(t, clientEC, "P-256", "secp256k1"), jose.ErrUnsupportedKey},
		{"FAPI2-SP-5.4.1-1b Ed448", with(t, proofEd, "Ed25519", "Ed448"), jose.ErrUnsupportedKey},
		{"X25519", with(t, proofEd, "Ed25519", "X25519"), jose.ErrUnsupportedKey},
		{"curve in other case", with(t, clientEC, "P-256", "p-256"), jose.ErrUnsupportedKey},
		{"RFC8725-3.4-1 point off the curve", with(t, clientEC, ecX, `"-UIxyRDLaI-tQAlzObmNTYfga2DGHWQbRbYJw29KWww"`), jose.ErrMalformed},
		{"RFC8725-3.4-1 coordinates swapped", with(t, with(t, clientEC, ecY, ecX), ecX, ecY), jose.ErrMalformed},
		{"RFC8725-3.4-1 point at infinity", with(t, with(t, clientEC, ecX, zero), ecY, zero), jose.ErrMalformed},
		{"x of 31 octets", with(t, clientEC, ecX, `"QjHJEMtoj61ACXM5uY1Nh-BrYMYdZBtFtgnDb0pbCQ"`), jose.ErrMalformed},
		{"x of 33 octets", with(t, clientEC, ecX, `"APlCMckQy2iPrUAJczm5jU2H4GtgxhdkG0W2CcNvSlsJ"`), jose.ErrMalformed},
		{"x padded", with(t, clientEC, ecX, `"-UIxyRDLaI-tQAlzObmNTYfga2DGHWQbRbYJw29KWwk="`), jose.ErrMalformed},
		{"x with line break", with(t, clientEC, ecX, `"-UIxyRDLaI-tQAlz\nObmNTYfga2DGHWQbRbYJw29KWwk"`), jose.ErrMalformed},
		{"x with bits left over", with(t, clientEC, ecX, `"-UIxyRDLaI-tQAlzObmNTYfga2DGHWQbRbYJw29KWwl"`), jose.ErrMalformed},
		{"x in the other alphabet", with(t, clientEC, ecX, `"+UIxyRDLaI+tQAlzObmNTYfga2DGHWQbRbYJw29KWwk"`), jose.ErrMalformed},
		{"no y", with(t, clientEC, `"y":`, `"z":`), jose.ErrMalformed},
		{"no curve", with(t, clientEC, `"crv":`, `"curve":`), jose.ErrUnsupportedKey},
		{"Ed25519 of 31 octets", with(t, proofEd, "D1g", ""), jose.ErrMalformed},
		{"no kty", with(t, clientEC, `"kty":"EC",`, ``), jose.ErrMalformed},
		{"kty in other case", with(t, clientEC, `"EC"`, `"ec"`), jose.ErrUnsupportedKey},
		{"unknown kty", `{"kty":"AKP","pub":"AA"}`, jose.ErrUnsupportedKey},
		{"RFC8725-3.5-1 oct", `{"kty":"oct","kid":"a"}`, jose.ErrUnsupportedKey},
		{"kid is a number", with(t, clientEC, `"tpp-sig-2026a"`, `7`), jose.ErrMalformed},
		{"alg is null", with(t, clientEC, `"ES256"`, `null`), jose.ErrMalformed},
		{"use is an array", with(t, clientEC, `"sig"`, `["sig"]`), jose.ErrMalformed},
		{"key_ops for key agreement", with(t, clientEC, `"use"`, `"key_ops":["deriveKey"],"use"`), jose.ErrUnsupportedKey},
		{"key_ops is a number", with(t, clientEC, `"use"`, `"key_ops":1,"use"`), jose.ErrMalformed},
		{"RFC8705-2.2-4 x5c of another key", with(t, clientEC, `"use"`, `"x5c":["`+certX5C+`"],"use"`), jose.ErrMalformed},
		{"RFC8705-2.2-4 no y beside x5c", with(t, certJWK, `"y":`, `"z":`), jose.ErrMalformed},
		{"RFC8705-2.2-7 x5c in base64url", with(t, certJWK, certX5C, url.Replace(certX5C)), jose.ErrMalformed},
		{"RFC8705-2.2-7 x5c without padding", with(t, certJWK, certX5C, strings.TrimRight(certX5C, "=")), jose.ErrMalformed},
		{"RFC8705-2.2-7 x5c with line break", with(t, certJWK, certX5C, certX5C[:64]+`\n`+certX5C[64:]), jose.ErrMalformed},
		{"RFC8705-2.2-7 x5c in PEM", with(t, certJWK, certX5C, `-----BEGIN CERTIFICATE-----`), jose.ErrMalformed},
		{"x5c is a string", with(t, certJWK, `["`+certX5C+`"]`, `"`+certX5C+`"`), jose.ErrMalformed},
		{"x5c is empty", with(t, certJWK, `"`+certX5C+`"`, ``), jose.ErrMalformed},
		{"x5c has a number", with(t, certJWK, certX5C+`"`, certX5C+`",1`), jose.ErrMalformed},
		{"x5c is no certificate", with(t, certJWK, certX5C, "AAAA"), jose.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := jose.ParseSet([]byte(setOf(proofEC, tt.jwk, proofEd)))
			if err != nil {
				t.Fatalf("the whole set was refused: %v", err)
			}
			if len(set.Keys) != 2 || len(set.Skipped) != 1 || !errors.Is(set.Skipped[0], tt.want) {
				t.Errorf("%d keys, skipped %v, want 2 and %v", len(set.Keys), set.Skipped, tt.want)
			}
		})
	}
	for _, bits := range []int{2048, 3072, 4096} {
		t.Run(fmt.Sprintf("FAPI2-SP-5.4.1-2 RSA of %d bits is kept", bits), func(t *testing.T) {
			keyOf(t, rsaJWK(odd(bits), 65537))
		})
	}
	keyOf(t, with(t, clientEC, `"use"`, `"key_ops":["verify"],"use"`))
}

func TestMarshalSet(t *testing.T) {
	set, err := jose.ParseSet([]byte(setOf(clientEC, clientPS, proofEd, certJWK)))
	if err != nil {
		t.Fatal(err)
	}
	set.Keys[2].ID = "an \"odd\" \\ kid\n<鍵>"
	got, err := jose.MarshalSet(set.Keys)
	if err != nil {
		t.Fatal(err)
	}
	want := setOf(clientEC, clientPS,
		with(t, proofEd, `"x"`, `"kid":"an \"odd\" \\ kid\n<鍵>","x"`),
		with(t, certJWK, `,"x5c":["`+certX5C+`"]`, ``))
	if diff := cmp.Diff(decodeJSON(t, want), decodeJSON(t, string(got))); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	if got, err := jose.MarshalSet(nil); err != nil || string(got) != `{"keys":[]}` {
		t.Errorf("no keys: %s, %v", got, err)
	}
	for _, bad := range []jose.Key{{}, {ID: "\xff", Public: set.Keys[0].Public}, {Public: &rsa.PublicKey{N: big.NewInt(15), E: 3}}} {
		if got, err := jose.MarshalSet([]jose.Key{bad}); err == nil {
			t.Errorf("MarshalSet(%+v) = %s", bad, got)
		}
	}
}

// TestMarshalSetPublic marshals what was read from private keys.
func TestMarshalSetPublic(t *testing.T) {
	t.Run("FAPI2-SP-5.4.3-3 nothing private is published", func(t *testing.T) {
		keys, err := jose.ParsePrivateSet([]byte(setOf(privateEC, privateRSA(t), privateEd)))
		if err != nil {
			t.Fatal(err)
		}
		var public []jose.Key
		for _, k := range keys {
			public = append(public, k.Key)
		}
		b, err := jose.MarshalSet(public)
		if err != nil {
			t.Fatal(err)
		}
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(b, &set); err != nil {
			t.Fatal(err)
		}
		for _, jwk := range set.Keys {
			for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
				if _, ok := jwk[name]; ok {
					t.Errorf("published set has %s", name)
				}
			}
		}
		if parsed, err := jose.ParseSet(b); err != nil || len(parsed.Keys) != 3 {
			t.Errorf("our own set read back: %+v, %v", parsed, err)
		}
	})
}

func decodeJSON(t testing.TB, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}
