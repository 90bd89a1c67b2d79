package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token"
)

func TestSignJWT(t *testing.T) {
	// The answer of the catalogue's section 8, inactive.
	const claims = `{"iss":"https://as.finbank.example","aud":"rs-accounts","iat":1767225653,"token_introspection":{"active":false}}`
	t.Run("RFC9701-5-2 RFC9701-5-7 signs what it is given", func(t *testing.T) {
		compact, err := token.SignJWT(t.Context(), keySet(t), "ES256", "token-introspection+jwt", []byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		header, _ := decode(t, compact)
		if d := cmp.Diff(object{"typ": "token-introspection+jwt", "alg": "ES256", "kid": asKID}, header); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		if got := strings.Split(compact, ".")[1]; got != b64.EncodeToString([]byte(claims)) {
			t.Errorf("payload %s", got)
		}
		verified(t, compact)
	})
	t.Run("JARM-2.1-7 without a typ", func(t *testing.T) {
		compact, err := token.SignJWT(t.Context(), keySet(t), "ES256", "", []byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		if header, _ := decode(t, compact); cmp.Diff(object{"alg": "ES256", "kid": asKID}, header) != "" {
			t.Errorf("header %v", header)
		}
	})
	tests := []struct {
		name, alg, typ, claims string
	}{
		{"RFC8725-3.12-1 an access token", "ES256", "at+jwt", claims},
		{"RFC8725-3.12-1 an access token by its other name", "ES256", "Application/AT+JWT", claims},
		{"JWT-I-1 a claim twice", "ES256", "x+jwt", `{"iss":"a","iss":"b"}`},
		{"JWT-I-1 a claim twice but for case", "ES256", "x+jwt", `{"aud":"a","Aud":"b"}`},
		{"an array", "ES256", "x+jwt", `[` + claims + `]`},
		{"a string", "ES256", "x+jwt", `"x"`},
		{"nothing", "ES256", "x+jwt", ``},
		{"two objects", "ES256", "x+jwt", claims + claims},
		{"RFC8725-3.7-1 not UTF-8", "ES256", "x+jwt", "{\"a\":\"\xff\"}"},
		{"FAPI2-SP-5.4.1-1b no key for the algorithm", "PS256", "x+jwt", claims},
		{"FAPI2-SP-5.4.1-1c none", "none", "x+jwt", claims},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if compact, err := token.SignJWT(t.Context(), keySet(t), tt.alg, tt.typ, []byte(tt.claims)); err == nil || compact != "" {
				t.Errorf("SignJWT: %q, %v", compact, err)
			}
		})
	}
	t.Run("no key is told apart", func(t *testing.T) {
		if _, err := token.SignJWT(t.Context(), keySet(t), "PS256", "", []byte(claims)); !errors.Is(err, token.ErrNoKey) {
			t.Errorf("SignJWT: %v, want ErrNoKey", err)
		}
	})
	t.Run("FAPI2-SP-5.4.3-1 a set that answers with another key", func(t *testing.T) {
		if compact, err := token.SignJWT(t.Context(), liar{keySet(t)}, "PS256", "", []byte(claims)); err == nil {
			t.Errorf("SignJWT: %q", compact)
		}
	})
}

// A liar answers with the key for ES256, whatever is asked for.
type liar struct{ token.KeySet }

func (l liar) SigningKey(ctx context.Context, _ string) (token.PrivateKey, error) {
	return l.KeySet.SigningKey(ctx, "ES256")
}

func TestReadAccess(t *testing.T) {
	t.Run("RFC9068-2.2-1 what it says, in force or not, whosever and for whomever", func(t *testing.T) {
		a := good(t)
		for name, v := range (object{"iss": "https://other.example", "aud": "https://x.example", "iat": 1, "exp": 2, "scope": nil, "auth_time": nil}) {
			claim(name, v)(a)
		}
		got, err := token.ReadAccess(t.Context(), keySet(t), forge(t, marshal(t, a.header), marshal(t, a.claims), a.key))
		if err != nil {
			t.Fatal(err)
		}
		want := goodAccess()
		want.Issuer, want.Audience = "https://other.example", []string{"https://x.example"}
		want.IssuedAt, want.Expires = time.Unix(1, 0), time.Unix(2, 0)
		want.Scopes, want.AuthTime = nil, time.Time{}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
	tests := []struct {
		name   string
		change func(*attempt)
		rule   string
	}{
		{"RFC9068-2.1-1 another typ", header("typ", "JWT"), "RFC9068-2.1-1"},
		{"RFC9068-2.1-1 no typ", header("typ", nil), "RFC9068-2.1-1"},
		{"FAPI2-SP-5.3.4-3 signed by another", func(a *attempt) { a.key = newEC(t) }, "FAPI2-SP-5.3.4-3"},
		{"FAPI2-SP-5.4.3-2 an unknown kid", header("kid", "x"), "FAPI2-SP-5.4.3-2"},
		{"FAPI2-SP-5.4.1-1b RS256", func(a *attempt) { header("alg", "RS256")(a); a.key = newRSA() }, "RFC9068-4-3"},
		{"FAPI2-SP-5.4.1-1b HS256", func(a *attempt) { header("alg", "HS256")(a); a.key = []byte("x") }, "RFC9068-4-3"},
		{"FAPI2-SP-5.3.4-5 bound to nothing", claim("cnf", nil), "FAPI2-SP-5.3.4-5"},
		{"RFC9701-8.1-1 no client_id", claim("client_id", nil), "RFC9068-2.2-1"},
		{"RFC9068-2.2-1 no jti", claim("jti", nil), "RFC9068-2.2-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good(t)
			tt.change(a)
			keys := publicKeys{{ID: asKID, Key: asKey(t).Public()}}
			if k, ok := a.key.(interface{ Public() crypto.PublicKey }); ok && tt.rule == "RFC9068-4-3" {
				keys = publicKeys{{ID: asKID, Key: k.Public()}}
			}
			got, err := token.ReadAccess(t.Context(), keys, forge(t, marshal(t, a.header), marshal(t, a.claims), a.key))
			if got != nil {
				t.Errorf("ReadAccess: %v", got)
			}
			refused(t, err, 401, "invalid_token", tt.rule)
		})
	}
	t.Run("RFC9068-2.1-1 an opaque token", func(t *testing.T) {
		_, err := token.ReadAccess(t.Context(), keySet(t), seal(t, opaque(t), goodAccess()))
		refused(t, err, 401, "invalid_token", "FAPI2-SP-5.3.4-3")
	})
	t.Run("the keys are out of reach", func(t *testing.T) {
		_, err := token.ReadAccess(t.Context(), noKeys{}, goodToken(t))
		var e *token.Error
		if err == nil || errors.As(err, &e) {
			t.Errorf("ReadAccess: %v, want an outage", err)
		}
	})
}

// verified checks a signature of the bank's by the standard library alone.
func verified(t *testing.T, compact string) {
	t.Helper()
	i := strings.LastIndexByte(compact, '.')
	sig, err := b64.DecodeString(compact[i+1:])
	if err != nil || len(sig) != 64 {
		t.Fatalf("signature of %d bytes, %v", len(sig), err)
	}
	sum := sha256.Sum256([]byte(compact[:i]))
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if !ecdsa.Verify(asKey(t).Public().(*ecdsa.PublicKey), sum[:], r, s) {
		t.Error("the signature is not valid")
	}
}
