package token_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token"
)

func secret(fill string) []byte { return bytes.Repeat([]byte(fill), 32) }

// opaque is that of the bank's issuer; without secrets it has one.
func opaque(t testing.TB, secrets ...[]byte) *token.Opaque {
	t.Helper()
	if secrets == nil {
		secrets = [][]byte{secret("1")}
	}
	o, err := token.NewOpaque(secrets, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func seal(t testing.TB, o *token.Opaque, a *token.Access) string {
	t.Helper()
	sealed, err := o.Seal(a)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestNewOpaque(t *testing.T) {
	tests := []struct {
		name    string
		secrets [][]byte
		issuer  string
		want    []string
	}{
		{"none", nil, issuer, []string{"without a secret"}},
		{"RFC6749-10.10-1 one is short", [][]byte{secret("1"), secret("hunter2")[:31]}, issuer, []string{"secret 1", "31 bytes"}},
		{"RFC8414-2-1 issuer is no https URL, and no secret either", nil, "http://as.example", []string{"without a secret", "https"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := token.NewOpaque(tt.secrets, tt.issuer)
			if err == nil || o != nil {
				t.Fatalf("NewOpaque: %v, %v", o, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
}

// Tokens outlive a release, so what is in them is taken apart here by the
// standard library alone.
func TestOpaqueForm(t *testing.T) {
	a := goodAccess()
	sealed := seal(t, opaque(t), a)
	b, err := b64.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 13 || b[0] != 1 {
		t.Fatalf("%d bytes that begin with %d, want format 1", len(b), b[0])
	}
	key, err := hkdf.Key(sha256.New, secret("1"), nil, "aikagi access token 1", 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain1, err := gcm.Open(nil, b[1:13], b[13:], []byte(issuer))
	if err != nil {
		t.Fatal(err)
	}
	var got object
	if err := json.Unmarshal(plain1, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(plain(t, goodClaims()), got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if again := seal(t, opaque(t), a); again == sealed || len(again) != len(sealed) {
		t.Error("the same content twice is the same token")
	}
	if len(sealed) > 1<<10 {
		t.Errorf("an ordinary token has %d characters", len(sealed))
	}
	for _, word := range []string{"u-5b1e9d", "tpp-7f3a9c"} { // RFC 9068, 6: nobody looks into it
		if strings.Contains(sealed, word) || bytes.Contains(b, []byte(word)) {
			t.Errorf("%s is to be read in it", word)
		}
	}
}

// What SignAccess refuses, Seal refuses: there is one set of rules.
func TestSealRefuses(t *testing.T) {
	for name, change := range map[string]func(*token.Access){
		"FAPI2-SP-5.3.2.1-4 bound to nothing":   func(a *token.Access) { a.Confirmation = token.Confirmation{} },
		"RFC8705-3.1-2 bound to both":           func(a *token.Access) { a.Confirmation.JKT = x5t },
		"RFC9068-2.2-1 no audience":             func(a *token.Access) { a.Audience = nil },
		"RFC9068-2.2-1 no jti":                  func(a *token.Access) { a.ID = "" },
		"RFC9068-2.2-1 expires before it is":    func(a *token.Access) { a.Expires = a.IssuedAt },
		"RFC6749-3.3-1 a scope with a quote":    func(a *token.Access) { a.Scopes = []string{`a"b`} },
		"RFC9068-2.2.2-1 a reserved claim":      func(a *token.Access) { a.Extra = map[string]any{"CNF": 1} },
		"RFC9068-4-1 another issuer's":          func(a *token.Access) { a.Issuer = "https://other.example" },
		"RFC6750-2.1-1 larger than may be sent": func(a *token.Access) { a.Extra = map[string]any{"x": strings.Repeat("x", 8<<10)} },
	} {
		t.Run(name, func(t *testing.T) {
			a := goodAccess()
			change(a)
			if sealed, err := opaque(t).Seal(a); err == nil || sealed != "" {
				t.Errorf("Seal: %q, %v", sealed, err)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	want := goodAccess()
	want.GrantID = grantID
	old, fresh := secret("1"), secret("2")
	sealed := seal(t, opaque(t, old), want)
	for name, secrets := range map[string][][]byte{
		"the same secret": {old}, "a new one beside it": {old, fresh}, "a new one before it": {fresh, old},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := opaque(t, secrets...).Open(sealed)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	t.Run("the first seals", func(t *testing.T) {
		if _, err := opaque(t, fresh).Open(seal(t, opaque(t, fresh, old), want)); err != nil {
			t.Error(err)
		}
	})
	elsewhere, err := token.NewOpaque([][]byte{old}, "https://other.example")
	if err != nil {
		t.Fatal(err)
	}
	foreign := goodAccess()
	foreign.Issuer = "https://other.example"
	b, err := b64.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(i int) string {
		c := bytes.Clone(b)
		c[i] ^= 1
		return b64.EncodeToString(c)
	}
	last := sealed[len(sealed)-1]
	if len(b)%3 == 0 {
		t.Fatal("the token has no spare bits: let the content be a byte longer")
	}
	for name, tok := range map[string]string{
		"FAPI2-SP-5.3.4-3 under a secret that is gone": seal(t, opaque(t, fresh), want),
		"FAPI2-SP-5.3.4-3 of another issuer":           seal(t, elsewhere, foreign),
		"FAPI2-SP-5.3.4-3 another format":              flip(0),
		"FAPI2-SP-5.3.4-3 another nonce":               flip(1),
		"FAPI2-SP-5.3.4-3 tampered with":               flip(40),
		"FAPI2-SP-5.3.4-3 tampered with at the end":    flip(len(b) - 1),
		"FAPI2-SP-5.3.4-3 cut":                         sealed[:len(sealed)-4],
		"FAPI2-SP-5.3.4-3 only a format":               "AQ",
		"FAPI2-SP-5.3.4-3 format and nonce":            sealed[:17],
		"FAPI2-SP-5.3.4-3 nothing":                     "",
		"RFC8725BIS-4 other spare bits":                sealed[:len(sealed)-1] + string(last+1),
		"RFC8725BIS-4 padded":                          sealed + "=",
		"RFC8725BIS-4 a line break inside":             sealed[:9] + "\n" + sealed[9:],
		"RFC8725BIS-4 a carriage return at the end":    sealed + "\r",
		"RFC8725BIS-4 the other alphabet":              strings.NewReplacer("-", "+", "_", "/").Replace(sealed) + "+",
		"RFC9068-2.1-1 a JWT":                          goodToken(t),
		"RFC6750-2.1-1 longer than a token may be":     strings.Repeat("A", 8<<10+1),
	} {
		t.Run(name, func(t *testing.T) {
			a, err := opaque(t, old).Open(tok)
			var e *token.Error
			if a != nil || !errors.As(err, &e) {
				t.Fatalf("Open: %v, %v, want a refusal", a, err)
			}
			noToken(t, tok, err.Error())
		})
	}
}

func TestCheckOpaque(t *testing.T) {
	o := opaque(t)
	try := func(t *testing.T, change func(*token.Access), adjust ...func(*token.VerifierConfig)) (*token.Access, error) {
		t.Helper()
		a := goodAccess()
		if change != nil {
			change(a)
		}
		c := config(t)
		c.Opaque, c.Keys = o, noKeys{} // it needs none
		for _, f := range adjust {
			f(&c)
		}
		return verifier(t, c).Check(request(t, "Bearer "+seal(t, o, a)), token.Require{Scopes: []string{"accounts"}})
	}
	t.Run("RFC9068-6-1 it says what a JWT says", func(t *testing.T) {
		got, err := try(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(goodAccess(), got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
	t.Run("RFC9068-6-1 JWTs are accepted beside it", func(t *testing.T) {
		c := config(t)
		c.Opaque = o
		if _, err := verifier(t, c).Check(request(t, "Bearer "+goodToken(t)), token.Require{}); err != nil {
			t.Error(err)
		}
	})
	tests := []struct {
		name   string
		change func(*token.Access)
		status int
		code   string
		rule   string
	}{
		{"FAPI2-SP-5.3.4-3 expired", func(a *token.Access) { a.Expires = now }, 401, "invalid_token", "RFC9068-4-1"},
		{"FAPI2-SP-5.3.4-3 issued in the future", func(a *token.Access) { a.IssuedAt = now.Add(31 * time.Second) }, 401, "invalid_token", "RFC9068-4-1"},
		{"RFC8707-3-1 RFC9701-8.1-2 another API's", func(a *token.Access) { a.Audience = []string{audience + "/other"} }, 401, "invalid_token", "RFC9068-4-1"},
		{"FAPI2-SP-5.3.4-5 another certificate", func(a *token.Access) { a.Confirmation.X5T = thumbprint(newCert(t, newEC(t), 1)) }, 401, "invalid_token", "RFC8705-3-3"},
		{"FAPI2-SP-5.3.4-5 bound to a key", func(a *token.Access) { a.Confirmation = token.Confirmation{JKT: x5t} }, 401, "invalid_token", "RFC8705-3.1-2"},
		{"FAPI2-SP-5.3.4-4 scope lacking", func(a *token.Access) { a.Scopes = nil }, 403, "insufficient_scope", "FAPI2-SP-5.3.4-4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := try(t, tt.change)
			refused(t, err, tt.status, tt.code, tt.rule)
		})
	}
	t.Run("FAPI2-SP-5.3.4-3 where opaque tokens are not accepted", func(t *testing.T) {
		_, err := try(t, nil, func(c *token.VerifierConfig) { c.Opaque = nil })
		refused(t, err, 401, "invalid_token", "FAPI2-SP-5.3.4-3")
	})
	t.Run("RFC6750-2.1-1 what could be no token", func(t *testing.T) {
		c := config(t)
		c.Opaque = o
		_, err := verifier(t, c).Check(request(t, "Bearer "+seal(t, o, goodAccess())+","), token.Require{})
		refused(t, err, 400, "invalid_request", "RFC6750-2.1-1")
	})
	t.Run("RFC9449-7.1-1 bound to a key, with its proof", func(t *testing.T) {
		p := newProver(t)
		a := goodAccess()
		a.Confirmation = token.Confirmation{JKT: p.jkt()}
		p.token = seal(t, o, a)
		v := guard(t, func(c *token.VerifierConfig) { c.Opaque = o })
		if res := call(v, p.request()); res.StatusCode != http.StatusNoContent {
			t.Errorf("%s", res.Status)
		}
		r := p.request()
		r.Header.Set("DPoP", newProver(t).sign(p.claims()))
		if res := call(v, r); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("another key: %s", res.Status)
		}
	})
}

func TestAliases(t *testing.T) {
	const former = "https://konto.finbank.example"
	for _, tt := range []struct {
		name string
		aud  any
		rule string // "": accepted
	}{
		{"RFC8707-3-1 its own name", audience, ""},
		{"RFC8707-3-1 a former name", former, ""},
		{"RFC8707-3-1 a former name among others", []string{"https://x.example", former}, ""},
		{"RFC8707-3-1 a name of others", "https://x.example", "RFC9068-4-1"},
		{"RFC8707-3-1 part of a former name", former[:len(former)-1], "RFC9068-4-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := good(t)
			claim("aud", tt.aud)(a)
			a.config = func(c *token.VerifierConfig) { c.Aliases = []string{"urn:finbank:accounts", former} }
			_, err := a.try(t)
			if tt.rule == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, 401, "invalid_token", tt.rule)
		})
	}
}

// FuzzOpen feeds anything to Open: only what was sealed opens, spelled the one
// way.
func FuzzOpen(f *testing.F) {
	o := opaque(f)
	sealed := seal(f, o, goodAccess())
	for _, s := range []string{sealed, sealed[:20], sealed + "=", "", "AQ", goodToken(f)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, tok string) {
		a, err := o.Open(tok)
		var e *token.Error
		if err != nil {
			if a != nil || !errors.As(err, &e) {
				t.Errorf("Open: %v, %v, want a refusal", a, err)
			}
			return
		}
		b, err := b64.DecodeString(tok)
		if err != nil || b64.EncodeToString(b) != tok || !cmp.Equal(a, goodAccess()) {
			t.Errorf("opened %q: %v", tok, a)
		}
	})
}
