package token_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token"
)

// payment is the payment of the catalogue's example, with a member whose value
// must survive to the letter.
const payment = `{"type":"payment_initiation","locations":["https://api.finbank.example/payments"],` +
	`"instructedAmount":{"currency":"EUR","amount":"165.88"},"reference":9007199254740993,"creditor":"Cafe\u0301"}`

func TestSignDetails(t *testing.T) {
	deep := `{"type":"a","b":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`
	tests := []struct {
		name    string
		details []string
		fault   string // "": signed
	}{
		{"RFC9396-9.1-1 RFC9396-9-1 one", []string{payment}, ""},
		{"RFC9396-2-3 two of one type", []string{payment, payment}, ""},
		{"RFC9396-2-1 a string", []string{`"payment_initiation"`}, "no JSON object with a type"},
		{"RFC9396-2-1 an array", []string{`[` + payment + `]`}, "no JSON object with a type"},
		{"RFC9396-2-1 null", []string{`null`}, "no JSON object with a type"},
		{"RFC9396-2-1 nothing", []string{``}, "no JSON object with a type"},
		{"RFC9396-2-1 two objects for one", []string{payment + `,` + payment}, "no JSON object with a type"},
		{"RFC9396-2-1 the second is broken", []string{payment, payment[1:]}, "no JSON object with a type"},
		{"RFC9396-2-2 no type", []string{`{"locations":[]}`}, "no JSON object with a type"},
		{"RFC9396-2-2 empty type", []string{`{"type":""}`}, "no JSON object with a type"},
		{"RFC9396-2-2 type is no string", []string{`{"type":1}`}, "no JSON object with a type"},
		{"RFC9396-12-1 a member twice", []string{`{"type":"a","amount":1,"amount":2}`}, "no JSON object with a type"},
		{"RFC9396-12-1 nests too deeply", []string{deep}, "no JSON object with a type"},
		{"RFC9396-12-1 nests too deeply within a token", []string{`{"type":"a","b":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`}, "claims of the host"},
		{"RFC9396-12-1 larger than a token may be", []string{`{"type":"a","b":"` + strings.Repeat("x", 8<<10) + `"}`}, "8 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := goodAccess()
			for _, d := range tt.details {
				a.Details = append(a.Details, json.RawMessage(d))
			}
			compact, err := token.SignAccess(t.Context(), keySet(t), "ES256", a)
			sealed, opaqueErr := opaque(t).Seal(a)
			for _, err := range []error{err, opaqueErr} {
				if (tt.fault == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("%v, want fault %q", err, tt.fault)
				}
			}
			if tt.fault != "" {
				if compact != "" || sealed != "" {
					t.Error("there is a token beside the error")
				}
				return
			}
			b, err := b64.DecodeString(strings.Split(compact, ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			want := `"authorization_details":[` + strings.Join(tt.details, ",") + `]`
			if !strings.Contains(string(b), want) {
				t.Errorf("%s has no %s", b, want)
			}
		})
	}
}

func TestCheckDetails(t *testing.T) {
	claims := func(details string) string {
		return strings.Replace(marshal(t, goodClaims()), "{", `{"authorization_details":`+details+`,`, 1)
	}
	t.Run("RFC9396-9-1 RFC9396-12-3 RFC9068-4-2 the API sees them to the letter", func(t *testing.T) {
		a := good(t)
		a.payload = claims(`[ ` + payment + `, {"type":"x"} ]`)
		var seen []json.RawMessage
		a.require.Permit = func(_ *http.Request, a *token.Access) error { seen = a.Details; return nil }
		got, err := a.try(t)
		if err != nil {
			t.Fatal(err)
		}
		want := []json.RawMessage{json.RawMessage(payment), json.RawMessage(`{"type":"x"}`)}
		if d := cmp.Diff(want, seen); d != "" {
			t.Errorf("Permit (-want +got)\n%s", d)
		}
		if len(got.Extra) != 0 {
			t.Errorf("Extra has %v", got.Extra)
		}
	})
	t.Run("RFC9396-2-1 an empty array grants nothing", func(t *testing.T) {
		a := good(t)
		a.payload = claims(`[]`)
		if got, err := a.try(t); err != nil || len(got.Details) != 0 {
			t.Errorf("Check: %v, %v", got, err)
		}
	})
	for name, details := range map[string]string{
		"RFC9396-2-1 an object":              payment,
		"RFC9396-2-1 a string of JSON":       `"[{\"type\":\"x\"}]"`,
		"RFC9396-2-1 an array of strings":    `["payment_initiation"]`,
		"RFC9396-2-1 null":                   `null`,
		"RFC9396-2-1 null in it":             `[null]`,
		"RFC9396-2-2 the second has no type": `[{"type":"x"},{"amount":1}]`,
		"RFC9396-2-2 type is no string":      `[{"type":["x"]}]`,
	} {
		t.Run(name, func(t *testing.T) {
			a := good(t)
			a.payload = claims(details)
			_, err := a.try(t)
			refused(t, err, 401, "invalid_token", "RFC9068-2.2-1")
		})
	}
}
