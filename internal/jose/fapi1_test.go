package jose_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

// samples are those of FAPI 1.0 Part 2, appendix A, without the line breaks that
// are there for the page: by name of the section or the key.
func samples(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/fapi1/samples.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		lines[name] = value
	}
	return lines
}

// TestFAPI1Samples: each with the body that the appendix says it has.
func TestFAPI1Samples(t *testing.T) {
	lines := samples(t)
	for _, tt := range []struct{ name, section, key, body string }{
		{"a request object", "A.1", "client-key", `{"aud":"https://fapi-as.example.com/","nbf":1594140030,"scope":"openid payments","iss":"52480754053","response_type":"code id_token",
			"redirect_uri":"https://fapi-client.example.org/fapi-as-callback","state":"VgSUIEnflnDxTe1vAtr54o","exp":1594140390,"nonce":"7xDCHviuPMSXJIigkHOcDi","client_id":"52480754053"}`},
		{"an ID token", "A.2", "server-key", `{"sub":"1001","aud":"52480754053","c_hash":"QR2zucfYZkiLrbKBKDVpgQ","s_hash":"9s6CBbOxiKE65d9-Qr0QIQ","auth_time":1594140090,
			"iss":"https://fapi-as.example.com/","exp":1594140390,"iat":1594140090,"nonce":"7xDCHviuPMSXJIigkHOcDi"}`},
		// The appendix signed this one with the client's key.
		{"an encrypted ID token", "A.3", "client-key", `{"sub":"1001","aud":"2334382354153498","acr":"urn:cds.au:cdr:2","c_hash":"BLfy9hvQUZTDq6_KmF4kDQ","s_hash":"9s6CBbOxiKE65d9-Qr0QIQ",
			"auth_time":1595827190,"iss":"https://fapi-as.example.com/","exp":1595827490,"iat":1595827190,"nonce":"7xDCHviuPMSXJIigkHOcDi"}`},
		{"a signed response", "A.4", "server-key", `{"aud":"469180648039051","code":"zwkGac9juLX8F8frapDISi3K2Fwln4qxwyfNII3Cjz0","iss":"https://fapi-as.example.com/",
			"state":"VgSUIEnflnDxTe1vAtr54o","exp":1594141090}`},
		{"a client assertion", "A.5", "client-key", `{"sub":"52480754053","aud":"https://fapi-as.example.com/api/token","iss":"52480754053","exp":1594140151,"iat":1594140091,"jti":"4vBctMSkK4wfuOui9Cyc"}`},
	} {
		t.Run("TV-9 "+tt.name, func(t *testing.T) {
			jws := lines[tt.section]
			if tt.section == "A.3" {
				inner, cty, err := jose.Decrypt(jws, jweLimit, []string{"A256GCM"}, []jose.DecryptionKey{sampleKey(t, lines["encryption-key"])})
				if err != nil || cty != "JWT" {
					t.Fatalf("Decrypt: %q, %v", cty, err)
				}
				jws = string(inner)
			}
			set, err := jose.ParseSet([]byte(`{"keys":[` + lines[tt.key] + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			claims, err := verify(jws, []string{jose.PS256}, set.Keys)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(tt.body), &want); err != nil {
				t.Fatal(err)
			}
			got := make(map[string]any)
			for _, name := range claims.Names() {
				if text, ok := claims.String(name); ok {
					got[name] = text
				} else if n, ok := claims.Int(name); ok {
					got[name] = float64(n)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			other := map[string]string{"client-key": lines["server-key"], "server-key": lines["client-key"]}[tt.key]
			other = strings.ReplaceAll(strings.ReplaceAll(other, "client-", "x-"), "server-", "x-")
			if set, err = jose.ParseSet([]byte(`{"keys":[` + other + `]}`)); err != nil {
				t.Fatal(err)
			}
			if _, err := verify(jws, []string{jose.PS256}, set.Keys); !errors.Is(err, jose.ErrNoKey) && !errors.Is(err, jose.ErrSignature) {
				t.Errorf("with the key of the other: %v", err)
			}
		})
	}
}

// sampleKey reads a private key without its primes, which the appendix keeps to
// itself.
func sampleKey(t *testing.T, text string) jose.DecryptionKey {
	t.Helper()
	var jwk struct{ N, D, Kid string }
	if err := json.Unmarshal([]byte(text), &jwk); err != nil {
		t.Fatal(err)
	}
	number := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(b)
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: number(jwk.N), E: 65537}, D: number(jwk.D)}
	return jose.DecryptionKey{ID: jwk.Kid, Algorithm: "RSA-OAEP-256", Key: key}
}
