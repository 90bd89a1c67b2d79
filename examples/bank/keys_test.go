package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The private keys of RFC 7517, A.2 (EC and RSA) and of RFC 8037, A.1.
const (
	rfcEC  = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","use":"enc","kid":"1"}`
	rfcRSA = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","d":"X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH-HLLKD9M7dx5oo7GURknchnrRweUkC7hT5fJLM0WbFAKNLWY2vv7B6NqXSzUvxT0_YSfqijwp3RTzlBaCxWp4doFk5N2o8Gy_nHNKroADIkJ46pRUohsXywbReAdYaMwFs9tv8d_cPVY3i07a3t8MN6TNwm0dSawm9v47UiCl3Sk5ZiG7xojPLu4sbg1U2jx4IBTNBznbJSzFHK66jT8bgkuqsk0GjskDJk19Z4qwjwbsnn4j2WBii3RL-Us2lGVkY8fkFzme1z0HbIkfz0Y6mqnOYtqc0X4jfcKoAC8Q","p":"83i-7IvMGXoMXCskv73TKr8637FiO7Z27zv8oj6pbWUQyLPQBQxtPVnwD20R-60eTDmD2ujnMt5PoqMrm8RfmNhVWDtjjMmCMjOpSXicFHj7XOuVIYQyqVWlWEh6dN36GVZYk93N8Bc9vY41xy8B9RzzOGVQzXvNEvn7O0nVbfs","q":"3dfOR9cuYq-0S-mkFLzgItgMEfFzB2q3hWehMuG0oCuqnb3vobLyumqjVZQO1dIrdwgTnCdpYzBcOfW5r370AFXjiWft_NGEiovonizhKpo9VVS78TzFgxkIdrecRezsZ-1kYd_s1qDbxtkDEgfAITAG9LUnADun4vIcb6yelxk","alg":"PS256","kid":"2011-04-29"}`
	rfcEd  = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

func TestReadKeys(t *testing.T) {
	signing := strings.Replace(rfcEC, `"use":"enc"`, `"use":"sig"`, 1)
	found, err := readKeys([]byte(`{"keys":[` + signing + `,` + rfcRSA + `,` + rfcEd + `,` + rfcEC + `]}`))
	keys := found.sign
	if err != nil || found.scheduled || len(keys) != 3 || len(found.decrypt) != 1 {
		t.Fatalf("%d keys, %d to decrypt, scheduled %v, %v", len(keys), len(found.decrypt), found.scheduled, err)
	}
	if d := found.decrypt[0]; d.ID != "1" || d.Algorithm != "ECDH-ES" {
		t.Errorf("decrypts with %q by %s", d.ID, d.Algorithm)
	}
	for i, want := range []string{"ES256", "PS256", "EdDSA"} {
		if keys[i].Algorithm != want || keys[i].ID == "" {
			t.Errorf("key %d: %q for %s, want %s", i, keys[i].ID, keys[i].Algorithm, want)
		}
	}
	if keys[0].ID != "1" || keys[1].ID != "2011-04-29" {
		t.Errorf("kid: %q, %q", keys[0].ID, keys[1].ID)
	}
}

func TestReadKeysRefused(t *testing.T) {
	tests := []struct{ name, text string }{
		{"no keys", `{"keys":[]}`},
		{"a single key", rfcEd},
		{"public key", `{"keys":[` + strings.Replace(rfcEd, `"d"`, `"dd"`, 1) + `]}`},
		{"x of another", `{"keys":[` + strings.Replace(rfcEd, `"x":"1`, `"x":"2`, 1) + `]}`},
		{"y of another", `{"keys":[` + strings.Replace(strings.Replace(rfcEC, "enc", "sig", 1), `"y":"4`, `"y":"5`, 1) + `]}`},
		{"another modulus", `{"keys":[` + strings.Replace(rfcRSA, `"n":"0v`, `"n":"1v`, 1) + `]}`},
		{"padding", `{"keys":[` + strings.Replace(rfcEd, `2A",`, `2A=",`, 1) + `]}`},
		{"symmetric", `{"keys":[{"kty":"oct","k":"AAAA"}]}`},
		{"member twice", `{"keys":[],"keys":[]}`},
		{"FAPI2-SP-5.4.1-1b a key for RS256", `{"keys":[` + strings.Replace(rfcRSA, "PS256", "RS256", 1) + `]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if found, err := readKeys([]byte(tt.text)); err == nil {
				t.Errorf("read: %v", found)
			} else if strings.Contains(err.Error(), "nWGxne") || strings.Contains(err.Error(), "870MB6") {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}

// A set whose keys have dates is kept to them: the key that is to sign later
// does not sign yet.
func TestConfigScheduledKeys(t *testing.T) {
	dir, config := configDir(t)
	dated := func(key, dates string) string { return strings.Replace(key, `{`, `{`+dates+`,`, 1) }
	jwks := `{"keys":[` + dated(strings.Replace(rfcEd, `{`, `{"kid":"now",`, 1), `"iat":1700000000,"nbf":1700000000`) + `]}`
	if err := os.WriteFile(filepath.Join(dir, "jwks.json"), []byte(jwks), 0o600); err != nil {
		t.Fatal(err)
	}
	config["keys"] = "jwks.json"
	s, err := readConfig(writeConfig(t, dir, config))
	if err != nil {
		t.Fatal(err)
	}
	if k, err := s.keys.SigningKey(t.Context(), "EdDSA"); err != nil || k.ID != "now" {
		t.Errorf("%v, %v", k.ID, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "jwks.json"), []byte(strings.ReplaceAll(jwks, "1700000000", "9700000000")), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(dir, "bank.json"), "keys: ")
}
