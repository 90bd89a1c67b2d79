package token_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token"
)

// goodAccess is what goodClaims says.
func goodAccess() *token.Access {
	return &token.Access{
		Issuer: issuer, Subject: "u-5b1e9d", ClientID: "tpp-7f3a9c", ID: "at-02-77ab10",
		Audience: []string{audience}, Scopes: []string{"accounts", "payments"},
		IssuedAt: time.Unix(1767225642, 0), Expires: time.Unix(1767225942, 0), AuthTime: time.Unix(1767225620, 0),
		ACR: "urn:finbank:acr:sca", Confirmation: token.Confirmation{X5T: x5t},
	}
}

func keySet(t testing.TB, keys ...token.PrivateKey) token.KeySet {
	t.Helper()
	if keys == nil {
		keys = []token.PrivateKey{{ID: asKID, Algorithm: "ES256", Signer: asKey(t)}}
	}
	set, err := token.NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// plain brings the numbers of JSON to those that encoding/json reads.
func plain(t *testing.T, o object) object {
	t.Helper()
	var got object
	if err := json.Unmarshal([]byte(marshal(t, o)), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSignAccess(t *testing.T) {
	tests := []struct {
		name   string
		change func(*token.Access)
		want   func(object) object
	}{
		{"RFC9068-2.2-1 all that is required, integers for dates", nil, nil},
		{"RFC8705-3.1-1 cnf", nil, func(o object) object { return with(o, "cnf", object{"x5t#S256": x5t}) }},
		{"PIT-2 fractions of a second are dropped", func(a *token.Access) {
			a.IssuedAt, a.Expires, a.AuthTime = a.IssuedAt.Add(9e8), a.Expires.Add(9e8), a.AuthTime.Add(9e8)
		}, nil},
		{"RFC9068-2.2-1 two audiences", func(a *token.Access) { a.Audience = append(a.Audience, "https://b.example") },
			func(o object) object { return with(o, "aud", []string{audience, "https://b.example"}) }},
		{"RFC9068-2.2.3-1 no scope", func(a *token.Access) { a.Scopes = nil }, func(o object) object { return with(o, "scope", nil) }},
		{"RFC9068-2.2.1-1 nobody authenticated", func(a *token.Access) { a.AuthTime, a.ACR = time.Time{}, "" },
			func(o object) object { return with(with(o, "auth_time", nil), "acr", nil) }},
		{"PIT-3 one amr is a list", func(a *token.Access) { a.AMR = []string{"mfa"} },
			func(o object) object { return with(o, "amr", []string{"mfa"}) }},
		{"the grant", func(a *token.Access) { a.GrantID = grantID }, func(o object) object { return with(o, "grant_id", grantID) }},
		{"RFC9068-2.2.3.1-1 claims of the host", func(a *token.Access) {
			a.Extra = map[string]any{"roles": []string{"owner"}, "consent": object{"id": "c<1>"}, "nothing": nil, "empty": ""}
		}, func(o object) object {
			return with(with(o, "roles", []string{"owner"}), "consent", object{"id": "c<1>"})
		}},
		{"text that needs escaping", func(a *token.Access) { a.Subject, a.ACR = "a\"b\\c\n\x00\u2028é合鍵", "</script>" },
			func(o object) object { return with(with(o, "sub", "a\"b\\c\n\x00\u2028é合鍵"), "acr", "</script>") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, want := goodAccess(), goodClaims()
			if tt.change != nil {
				tt.change(a)
			}
			if tt.want != nil {
				want = tt.want(want)
			}
			compact, err := token.SignAccess(t.Context(), keySet(t), "ES256", a)
			if err != nil {
				t.Fatal(err)
			}
			header, claims := decode(t, compact)
			if d := cmp.Diff(plain(t, want), claims); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if d := cmp.Diff(goodHeader(), header); d != "" {
				t.Errorf("header (-want +got)\n%s", d)
			}
			if _, err := verifier(t, config(t)).Check(request(t, "Bearer "+compact), token.Require{}); err != nil {
				t.Errorf("our own verifier: %v", err)
			}
		})
	}
}

func TestSignAccessRefuses(t *testing.T) {
	deep := any("x")
	for range 40 {
		deep = []any{deep}
	}
	tests := []struct {
		name   string
		change func(*token.Access)
	}{
		{"RFC9068-I-1 FAPI2-SP-5.3.2.1-4 RFC9700-2.2.1-1 bound to nothing", func(a *token.Access) { a.Confirmation = token.Confirmation{} }},
		{"RFC8705-3.1-1 padded thumbprint", func(a *token.Access) { a.Confirmation.X5T = x5t + "=" }},
		{"RFC8705-3.1-1 thumbprint of SHA-1", func(a *token.Access) { a.Confirmation.X5T = "mtXaHHwVhI7dbTRvNNFzMiR5b2E" }},
		{"RFC8705-3.1-1 thumbprint in hexadecimal", func(a *token.Access) { a.Confirmation.X5T = strings.Repeat("0a", 32) }},
		{"RFC8705-3.1-1 bits left over", func(a *token.Access) { a.Confirmation.X5T = x5t[:42] + "l" }},
		{"RFC9068-2.2-1 no issuer", func(a *token.Access) { a.Issuer = "" }},
		{"RFC9068-2.2-1 no subject", func(a *token.Access) { a.Subject = "" }},
		{"RFC9068-2.2-1 no client", func(a *token.Access) { a.ClientID = "" }},
		{"RFC9068-2.2-1 no jti", func(a *token.Access) { a.ID = "" }},
		{"RFC9068-2.2-1 no audience", func(a *token.Access) { a.Audience = nil }},
		{"RFC9068-2.2-1 an empty audience", func(a *token.Access) { a.Audience = []string{""} }},
		{"RFC9068-2.2-1 an empty one of two audiences", func(a *token.Access) { a.Audience = []string{audience, ""} }},
		{"RFC9068-2.2-1 no time of issue", func(a *token.Access) { a.IssuedAt = time.Time{} }},
		{"RFC9068-2.2-1 no expiry", func(a *token.Access) { a.Expires = time.Time{} }},
		{"RFC9068-2.2-1 expires as it is issued", func(a *token.Access) { a.Expires = a.IssuedAt }},
		{"RFC6749-3.3-1 two scopes in one", func(a *token.Access) { a.Scopes = []string{"accounts payments"} }},
		{"RFC6749-3.3-1 quote in a scope", func(a *token.Access) { a.Scopes = []string{`a"b`} }},
		{"RFC6749-3.3-1 empty scope", func(a *token.Access) { a.Scopes = []string{""} }},
		{"RFC8725-3.7-1 subject is not UTF-8", func(a *token.Access) { a.Subject = "u\xff" }},
		{"RFC8725-3.7-1 amr is not UTF-8", func(a *token.Access) { a.AMR = []string{"\xc0"} }},
		{"RFC8725-3.7-1 name of a claim is not UTF-8", func(a *token.Access) { a.Extra = object{"\xff": 1} }},
		{"RFC8725-3.12-1 host sets iss", func(a *token.Access) { a.Extra = object{"iss": "https://evil.example"} }},
		{"JWT-I-1 host sets AUD", func(a *token.Access) { a.Extra = object{"AUD": "https://evil.example"} }},
		{"RFC8725-3.12-1 host sets cnf", func(a *token.Access) { a.Extra = object{"cnf": object{}} }},
		{"RFC8725-3.12-1 host sets scope", func(a *token.Access) { a.Scopes, a.Extra = nil, object{"scope": "admin"} }},
		{"RFC8725-3.12-1 host sets nonce", func(a *token.Access) { a.Extra = object{"nonce": "n"} }},
		{"RFC8725-3.12-1 host sets events", func(a *token.Access) { a.Extra = object{"events": object{}} }},
		{"JWT-I-1 names that differ by case", func(a *token.Access) { a.Extra = object{"role": 1, "Role": 2} }},
		{"JWT-I-1 name twice within", func(a *token.Access) { a.Extra = object{"x": json.RawMessage(`{"a":1,"a":2}`)} }},
		{"JWT-I-1 nested too deeply to be read back", func(a *token.Access) { a.Extra = object{"x": deep} }},
		{"a claim that is no JSON", func(a *token.Access) { a.Extra = object{"x": func() {}} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := goodAccess()
			tt.change(a)
			if compact, err := token.SignAccess(t.Context(), keySet(t), "ES256", a); err == nil {
				_, claims := decode(t, compact)
				t.Errorf("SignAccess made %v", claims)
			}
		})
	}
}

// A lying key set answers with the same key whatever is asked.
type lying struct {
	token.KeySet
	key token.PrivateKey
}

func (l lying) SigningKey(context.Context, string) (token.PrivateKey, error) { return l.key, nil }

// broken is a signer whose hardware has failed.
type broken struct{ crypto.Signer }

var errHSM = errors.New("hsm: session lost")

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errHSM }

func TestSignWithBadKeys(t *testing.T) {
	sign := func(keys token.KeySet, alg string) error {
		_, err := token.SignAccess(t.Context(), keys, alg, goodAccess())
		return err
	}
	t.Run("FAPI2-SP-5.4.1-1b no key for the algorithm", func(t *testing.T) {
		if err := sign(keySet(t), "PS256"); !errors.Is(err, token.ErrNoKey) {
			t.Errorf("SignAccess: %v, want ErrNoKey", err)
		}
	})
	t.Run("the key fails", func(t *testing.T) {
		err := sign(keySet(t, token.PrivateKey{ID: "a", Algorithm: "ES256", Signer: broken{asKey(t)}}), "ES256")
		if !errors.Is(err, errHSM) {
			t.Errorf("SignAccess: %v, want the key's own error", err)
		}
	})
	t.Run("RFC8725-3.1-2 key of another algorithm", func(t *testing.T) {
		if err := sign(lying{key: token.PrivateKey{ID: "a", Algorithm: "RS256", Signer: newRSA()}}, "PS256"); err == nil {
			t.Error("SignAccess signed")
		}
	})
	for name, key := range map[string]token.PrivateKey{
		"RFC8725-3.1-2 key of another type": {ID: "a", Algorithm: "ES256", Signer: newRSA()},
		"OIDC-SE-1 key without an ID":       {Algorithm: "ES256", Signer: asKey(t)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := sign(lying{key: key}, "ES256"); err == nil {
				t.Error("SignAccess signed")
			}
		})
	}
	t.Run("FAPI2-SP-5.4.1-1c none", func(t *testing.T) {
		if err := sign(lying{key: token.PrivateKey{ID: "a", Algorithm: "none", Signer: asKey(t)}}, "none"); err == nil {
			t.Error("SignAccess signed")
		}
	})
}

func TestSignUnderBothNames(t *testing.T) {
	for have, asked := range map[string]string{"EdDSA": "Ed25519", "Ed25519": "EdDSA"} {
		t.Run("CONF-35 a key for "+have+" asked for as "+asked, func(t *testing.T) {
			keys := keySet(t, token.PrivateKey{ID: "ed", Algorithm: have, Signer: newEd(t)})
			compact, err := token.SignAccess(t.Context(), keys, asked, goodAccess())
			if err != nil {
				t.Fatal(err)
			}
			if header, _ := decode(t, compact); header["alg"] != asked {
				t.Errorf("alg %v, want %s", header["alg"], asked)
			}
			c := config(t)
			c.Keys = keys
			if _, err := verifier(t, c).Check(request(t, "Bearer "+compact), token.Require{}); err != nil {
				t.Errorf("our own verifier: %v", err)
			}
		})
	}
}
