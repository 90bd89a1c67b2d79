package authz_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// What the customer is asked in wire-examples, 13, at our bank, and what
// consent makes of it.
const (
	payment = `{"type":"payment_initiation","locations":["https://api.bank.example/payments"],` +
		`"instructedAmount":{"currency":"EUR","amount":"165.88"},"creditorName":"Example Shop","creditorAccount":{"iban":"DE02100100109307118603"}}`
	paidFrom = `{"type":"payment_initiation","locations":["https://api.bank.example/payments"],` +
		`"instructedAmount":{"currency":"EUR","amount":"165.88"},"creditorName":"Example Shop","creditorAccount":{"iban":"DE02100100109307118603"},` +
		`"debtorAccount":{"iban":"DE89370400440532013000"}}`
	account = `{"type":"account_information","actions":["list","read"],"datatypes":["balances","transactions"]}`
)

// A paymentOrder is an object of type payment_initiation as the bank reads it.
type paymentOrder struct {
	Type             string   `json:"type"`
	Locations        []string `json:"locations"`
	InstructedAmount struct {
		Currency string `json:"currency"`
		Amount   string `json:"amount"`
	} `json:"instructedAmount"`
	CreditorName    string                `json:"creditorName"`
	CreditorAccount struct{ IBAN string } `json:"creditorAccount"`
	DebtorAccount   struct{ IBAN string } `json:"debtorAccount"`
}

func readOrder(raw json.RawMessage) (o paymentOrder, err error) {
	err = json.Unmarshal(raw, &o)
	return o, err
}

// paymentType is a type with everything: what is required, what consent adds,
// and what the page says.
var paymentType = authz.DetailsType{
	Name:   "payment_initiation",
	Fields: []string{"locations", "instructedAmount", "creditorName", "creditorAccount", "debtorAccount"},
	Check: func(_ context.Context, _ *authz.Client, details json.RawMessage) (string, error) {
		o, err := readOrder(details)
		switch {
		case err != nil || o.InstructedAmount.Amount == "" || o.CreditorAccount.IBAN == "":
			return "instructedAmount or creditorAccount is missing or malformed", nil
		case o.DebtorAccount.IBAN != "":
			return "debtorAccount is the customer's to choose", nil
		}
		return "", nil
	},
	Covers: func(outer, inner json.RawMessage) bool {
		o, err := readOrder(outer)
		i, err2 := readOrder(inner)
		if o.DebtorAccount.IBAN == "" {
			i.DebtorAccount = o.DebtorAccount
		}
		return err == nil && err2 == nil && cmp.Equal(o, i)
	},
	Text: func(details json.RawMessage, lang string) string {
		o, _ := readOrder(details)
		if lang == "de" {
			return o.InstructedAmount.Amount + " " + o.InstructedAmount.Currency + " an " + o.CreditorName
		}
		return o.InstructedAmount.Amount + " " + o.InstructedAmount.Currency + " to " + o.CreditorName
	},
}

// accountType is one where some of an object lies within it: RFC 9396, 2.2.
var accountType = authz.DetailsType{
	Name:        "account_information",
	Fields:      []string{"locations", "actions", "datatypes", "privileges", "identifier", "note", "limit"},
	Credentials: true,
	Covers: func(outer, inner json.RawMessage) bool {
		var o, i map[string]any
		if json.Unmarshal(outer, &o) != nil || json.Unmarshal(inner, &i) != nil {
			return false
		}
		for _, list := range []string{"locations", "actions", "datatypes", "privileges"} {
			have, _ := o[list].([]any)
			want, _ := i[list].([]any)
			if have != nil && want == nil || slices.ContainsFunc(want, func(v any) bool { return have != nil && !slices.Contains(have, v) }) {
				return false
			}
			delete(o, list)
			delete(i, list)
		}
		return cmp.Equal(o, i)
	},
}

// exactType leaves out all that may be left out.
var exactType = authz.DetailsType{Name: "urn:bank:exact", Fields: []string{"note", "limit", "identifier", "deep"}}

// withDetails gives the bank its types, at one API.
func withDetails(c *authz.Config) {
	c.DetailsTypes = []authz.DetailsType{paymentType, accountType, exactType}
}

// detailed returns an authorization request for details alone.
func (f *fintech) detailed(elements ...string) url.Values {
	v := f.pushable()
	v.Del("scope")
	v.Set("authorization_details", "["+strings.Join(elements, ",")+"]")
	return v
}

func raws(elements ...string) []json.RawMessage {
	raws := []json.RawMessage{}
	for _, e := range elements {
		raws = append(raws, json.RawMessage(e))
	}
	return raws
}

// TestDetailsRefused: one thing wrong with the parameter, at the endpoint where
// it is pushed.
func TestDetailsRefused(t *testing.T) {
	changed := func(old, new string) string {
		if !strings.Contains(payment, old) {
			t.Fatalf("%s is not in the good value", old)
		}
		return "[" + strings.Replace(payment, old, new, 1) + "]"
	}
	for _, tt := range []struct{ name, value, rule string }{
		{"RFC9396-2-1 an object in place of the array", payment, "RFC9396-2-1"},
		{"RFC9396-2-1 no JSON", "payment_initiation", "RFC9396-2-1"},
		{"RFC9396-2-1 null", "null", "RFC9396-2-1"},
		{"RFC9396-2-1 a text with the array in it", `"[` + strings.ReplaceAll(payment, `"`, `\"`) + `]"`, "RFC9396-2-1"},
		{"RFC9396-2-1 cut short", "[" + payment, "RFC9396-2-1"},
		{"RFC9396-2-1 something after it", "[" + payment + "] []", "RFC9396-2-1"},
		{"RFC9396-2-1 an array of strings", `["payment_initiation"]`, "RFC9396-2-1"},
		{"RFC9396-2-1 an array in the array", "[[" + payment + "]]", "RFC9396-2-1"},
		{"RFC9396-2-1 null in the array", "[" + payment + ",null]", "RFC9396-2-1"},
		{"RFC9396-2-1 an empty array", "[]", "RFC9396-2-1"},
		{"RFC9396-2-2 no type", changed(`"type":"payment_initiation",`, ""), "RFC9396-2-2"},
		{"RFC9396-2-2 an empty type", changed(`"type":"payment_initiation"`, `"type":""`), "RFC9396-2-2"},
		{"RFC9396-2-2 a type that is no string", changed(`"type":"payment_initiation"`, `"type":["payment_initiation"]`), "RFC9396-2-2"},
		{"RFC9396-2-2 RFC9396-5-1 a type in other case", changed("payment_initiation", "Payment_Initiation"), "RFC9396-5-1"},
		{"RFC9396-5-1 an unknown type", changed("payment_initiation", "payment"), "RFC9396-5-1"},
		{"RFC9396-12-1 RFC9396-12-3 a type with a Cyrillic a", changed("payment_initiation", "p\u0430yment_initiation"), "RFC9396-5-1"},
		{"RFC9396-5-1 an unknown field", changed(`"creditorName"`, `"colour":"red","creditorName"`), "RFC9396-5-1"},
		{"RFC9396-5-1 a common field that the type does not use", changed(`"creditorName"`, `"identifier":"a","creditorName"`), "RFC9396-5-1"},
		{"RFC9396-5-1 a field in other case", changed(`"creditorName"`, `"CreditorName"`), "RFC9396-5-1"},
		{"RFC9396-5-1 a required field is missing", changed(`,"creditorAccount":{"iban":"DE02100100109307118603"}`, ""), "RFC9396-5-1"},
		{"RFC9396-5-1 a value of a wrong type", changed(`{"currency":"EUR","amount":"165.88"}`, `"165.88"`), "RFC9396-5-1"},
		{"RFC9396-5-1 a value that is not the client's to choose", "[" + paidFrom + "]", "RFC9396-5-1"},
		{"RFC9396-5-1 the second element is wrong", "[" + payment + `,{"type":"urn:bank:exact","colour":1}]`, "RFC9396-5-1"},
		{"RFC9396-5-1 a location at no API", changed("api.bank.example/payments", "api.evil.example/payments"), "RFC9396-5-1"},
		{"RFC9396-5-1 a location that begins like the API", changed("api.bank.example/payments", "api.bank.example.evil.example"), "RFC9396-5-1"},
		{"RFC9396-5-1 a location with another host behind the API", changed("api.bank.example/payments", "api.bank.example@evil.example"), "RFC9396-5-1"},
		{"RFC9396-2.2-1 locations is a string", changed(`["https://api.bank.example/payments"]`, `"https://api.bank.example/payments"`), "RFC9396-2.2-1"},
		{"RFC9396-2.2-1 locations is empty", changed(`["https://api.bank.example/payments"]`, `[]`), "RFC9396-2.2-1"},
		{"RFC9396-2.2-1 actions has a number", `[{"type":"account_information","actions":["list",1]}]`, "RFC9396-2.2-1"},
		{"RFC9396-2.2-1 datatypes is an object", `[{"type":"account_information","datatypes":{}}]`, "RFC9396-2.2-1"},
		{"RFC9396-2.2-1 privileges is null", `[{"type":"account_information","privileges":null}]`, "RFC9396-2.2-1"},
		{"RFC9396-2.2-1 identifier is an array", `[{"type":"account_information","identifier":["a"]}]`, "RFC9396-2.2-1"},
		{"RFC9396-12-1 a depth bomb", `[{"type":"urn:bank:exact","deep":` + strings.Repeat("[", 8000) + strings.Repeat("]", 8000) + "}]", "RFC9396-2-1"},
		{"RFC9396-12-1 a depth bomb that never ends", strings.Repeat("[", 16000), "RFC9396-2-1"},
		{"RFC9396-12-1 a member twice", changed(`"creditorName":"Example Shop"`, `"creditorName":"Example Shop","creditorName":"Thief"`), "RFC9396-2-1"},
		{"RFC9396-12-1 a member twice inside another", changed(`"amount":"165.88"`, `"amount":"165.88","amount":"9999"`), "RFC9396-2-1"},
		{"RFC9396-12-1 half a surrogate pair", changed("Example Shop", `\ud800`), "RFC9396-2-1"},
		{"RFC9396-12-1 more objects than anyone reads", "[" + strings.Repeat(account+",", 32) + account + "]", "RFC9396-12-1"},
		{"RFC9396-12-1 too large", `[{"type":"urn:bank:exact","note":"` + strings.Repeat("a", 33<<10) + `"}]`, "RFC9396-12-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), withDetails)
			v := f.pushable()
			v.Set("authorization_details", tt.value)
			status, body := f.post(b, "/par", v, nil)
			refusedAs(t, b, status, body, "invalid_authorization_details", tt.rule)
		})
	}
	t.Run("RFC9396-10-1 a type that the client is not registered for", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.DetailsTypes = []string{"account_information"}
		b := newBank(t, clients(f), withDetails)
		status, body := f.post(b, "/par", f.detailed(account, payment), nil)
		refusedAs(t, b, status, body, "invalid_authorization_details", "RFC9396-10-1")
		if status, body := f.post(b, "/par", f.detailed(account), nil); status != 201 {
			t.Errorf("%d %v", status, body)
		}
	})
	t.Run("RFC9396-5-1 the words of wire-examples, 13", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), withDetails)
		_, body := f.post(b, "/par", with(f.pushable(), "authorization_details", changed(`"creditorName"`, `"colour":"red","creditorName"`)), nil)
		want := map[string]any{"error": "invalid_authorization_details", "error_description": "unknown field colour in type payment_initiation"}
		if d := cmp.Diff(want, body); d != "" {
			t.Error(d)
		}
	})
	t.Run("RFC6749-4.1.2.1-2 the words for a name that an answer cannot hold", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), withDetails)
		_, body := f.post(b, "/par", f.detailed(`{"type":"a\"b\\c\nd€"}`), nil)
		if got, want := body["error_description"], "unknown type a'b/c?d?"; got != want {
			t.Errorf("%v, want %s", got, want)
		}
	})
	t.Run("RFC9396-5-1 the words for a name without end", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), withDetails)
		_, body := f.post(b, "/par", f.detailed(`{"type":"`+strings.Repeat("x", 1<<10)+`"}`), nil)
		if got, want := body["error_description"], "unknown type "+strings.Repeat("x", 64)+"..."; got != want {
			t.Errorf("%v, want %s", got, want)
		}
	})
	t.Run("RFC9396-5-1 a server that knows no type", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		status, body := f.post(b, "/par", f.detailed(payment), nil)
		refusedAs(t, b, status, body, "invalid_authorization_details", "RFC9396-5-1")
	})
}

// TestDetailsOutage: what the host could not find out is nobody's mistake.
func TestDetailsOutage(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), func(c *authz.Config) {
		typ := paymentType
		typ.Check = func(context.Context, *authz.Client, json.RawMessage) (string, error) {
			return "", &authz.Error{Code: authz.AccessDenied, Err: errors.New("no ledger")} // from somewhere below; here it refuses nothing
		}
		c.DetailsTypes = []authz.DetailsType{typ}
	})
	status, body := f.post(b, "/par", f.detailed(payment), nil)
	if status != 503 || body["error"] != "server_error" {
		t.Errorf("%d %v", status, body)
	}
	if e := b.lastEvent(); e.Kind != "request_failed" || !strings.Contains(e.Reason, "no ledger") {
		t.Errorf("the operator is told %+v", e)
	}
}

// TestDetailsFlow is the whole of it, for both ways to bind a token and both
// forms: details alone, completed by consent, in every answer and token.
func TestDetailsFlow(t *testing.T) {
	for _, binding := range []string{"certificate", "key"} {
		for _, format := range []string{"jwt", "opaque"} {
			t.Run("RFC9396-3-1 RFC9396-7-1 RFC9396-7.1-1 RFC9396-9-1 RFC9396-9.1-1 RFC9396-9.2-1 RFC9396-11.2-1 RFC9396-12-2 FAPI2-SP-5.3.2.2-N5 "+format+" bound to a "+binding, func(t *testing.T) {
				f, api := keyClient("kakeibo"), apiClient("payments", resource)
				f.AccessTokenFormat = format
				var k *proofKey
				if binding == "key" {
					f, k = f.dpop(), newProofKey()
				}
				b := newBank(t, clients(f, api), withDetails)
				d := b.approval()
				d.Details = raws(paidFrom, account)
				redeem := f.approved(b, f.detailed(payment, account), d, k)
				if e := b.lastEvent(); e.Kind != "grant_approved" || !slices.Equal(e.DetailsTypes, []string{"payment_initiation", "account_information"}) {
					t.Errorf("the operator is told %+v", e)
				}
				want := any(values(t, paidFrom, account))
				status, tokens := f.post(b, "/token", redeem, k)
				var refresh url.Values
				for _, step := range []string{"code", "refresh"} {
					if status != 200 {
						t.Fatalf("%s: %d %v", step, status, tokens)
					}
					if d := cmp.Diff(want, tokens["authorization_details"]); d != "" {
						t.Errorf("%s: response %s", step, d)
					}
					if scope, there := tokens["scope"]; there {
						t.Errorf("%s: response has scope %q", step, scope)
					}
					access := tokens["access_token"].(string)
					if format == "jwt" {
						claims := claimsOf(t, access)
						if d := cmp.Diff(want, claims["authorization_details"]); d != "" || claims["scope"] != nil {
							t.Errorf("%s: token with scope %v: %s", step, claims["scope"], d)
						}
					}
					got := api.introspect(b, access)
					if d := cmp.Diff(want, got["authorization_details"]); d != "" || got["active"] != true || got["scope"] != nil {
						t.Errorf("%s: introspection %v: %s", step, got, d)
					}
					if step == "code" {
						refresh = again(tokens)
						status, tokens = f.post(b, "/token", refresh, k)
					}
				}
			})
		}
	}
}

// TestDetailsShown: what the host sees, and what it may say to the customer.
func TestDetailsShown(t *testing.T) {
	hostile := `{"type":"account_information","actions":["list"],"note":"<script>alert(1)</script>"}`
	shown := func(t *testing.T, v url.Values, look func(*authz.Interaction)) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), withDetails)
		seen := false
		b.shown = func(w http.ResponseWriter, _ *http.Request, in *authz.Interaction) {
			seen = true
			look(in)
			io.WriteString(w, in.ID)
		}
		res := (&browser{b: b}).open(f, f.push(b, v))
		if res.StatusCode != 200 || !seen {
			t.Fatalf("authorize: %d", res.StatusCode)
		}
	}
	f := keyClient("kakeibo")
	t.Run("RFC9396-3.1-1 FAPI2-SP-5.3.2.2-13 client, scopes and details, each with its text", func(t *testing.T) {
		v := f.detailed(payment, account)
		v.Set("scope", "openid accounts")
		shown(t, v, func(in *authz.Interaction) {
			if in.Client.Name != "Kakeibo" || !slices.Equal(in.Scopes, []string{"openid", "accounts"}) {
				t.Errorf("%s asks for %q", in.Client.Name, in.Scopes)
			}
			if d := cmp.Diff(raws(payment, account), in.Details); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"165.88 EUR to Example Shop", account}, in.DetailsText("en")); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"165.88 EUR an Example Shop", account}, in.DetailsText("de")); d != "" {
				t.Error(d)
			}
		})
	})
	t.Run("RFC9396-12-1 script is text, for the page to escape", func(t *testing.T) {
		shown(t, f.detailed(hostile), func(in *authz.Interaction) {
			if d := cmp.Diff([]string{hostile}, in.DetailsText("en")); d != "" {
				t.Error(d)
			}
		})
	})
	t.Run("FAPI2-SP-5.3.2.2-13 what can be seen is shown as it is, and nothing turns the line", func(t *testing.T) {
		disguised := `{"type":"account_information","actions":["\u53e3\u5ea7","\" \\"],"note":"to \u202eyou"}`
		shown(t, f.detailed(strings.ReplaceAll(disguised, `\u202e`, "\u202e")), func(in *authz.Interaction) {
			want := `{"type":"account_information","actions":["口座","\" \\"],"note":"to \u202eyou"}`
			if d := cmp.Diff([]string{want}, in.DetailsText("ja")); d != "" {
				t.Error(d)
			}
		})
	})
	t.Run("RFC9396-2-3 two objects of one type", func(t *testing.T) {
		shown(t, f.detailed(payment, payment), func(in *authz.Interaction) {
			if len(in.Details) != 2 {
				t.Errorf("%d objects", len(in.Details))
			}
		})
	})
	t.Run("RFC9126-7.4-1 a type that is gone when the page is opened", func(t *testing.T) {
		b := newBank(t, clients(f), withDetails)
		uri := f.push(b, f.detailed(payment, account))
		b = b.later(func(c *authz.Config) { c.DetailsTypes = []authz.DetailsType{accountType} })
		if res := (&browser{b: b}).open(f, uri); res.StatusCode != 400 {
			t.Errorf("%d", res.StatusCode)
		}
	})
	t.Run("RFC9126-7.4-1 RFC9396-10-1 a type that the client has lost by then", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), withDetails)
		uri := f.push(b, f.detailed(payment))
		f.DetailsTypes = []string{"account_information"}
		if res := (&browser{b: b}).open(f, uri); res.StatusCode != 400 {
			t.Errorf("%d", res.StatusCode)
		}
	})
}
