package authz_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// wireTargets gives the bank the APIs and the type of wire-examples, 13 and 14.
func wireTargets(c *authz.Config) {
	c.Resources = []authz.Resource{
		{ID: "https://api.finbank.example", Scopes: []string{"accounts"}, DetailsTypes: []string{"payment_initiation"}},
		{ID: "https://cards.finbank.example", Scopes: []string{"payments"}},
	}
	c.DetailsTypes = []authz.DetailsType{paymentType}
}

// pushText pushes a good request with text, form parameters as they are
// written, behind it.
func (f *fintech) pushText(b *bank, scope, text string) (int, map[string]any) {
	v := f.pushable()
	v.Set("scope", scope)
	r := f.request("/par", f.authenticate(b, v))
	good, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(good)+text)), int64(len(good)+len(text))
	res := b.do(r)
	return res.StatusCode, object(b.t, res)
}

// TestWireDetails is wire-examples, 13 and what section 24 makes of it.
func TestWireDetails(t *testing.T) {
	asked, granted := wire(t, "details.json"), wire(t, "granted.json")
	t.Run("RFC9396-2-1 RFC9396-7.1-1 RFC9396-7-1 asked, completed by consent, and told", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), wireTargets)
		status, body := f.pushText(b, "accounts", wire(t, "details.form"))
		if status != 201 {
			t.Fatalf("%d %v", status, body)
		}
		b.shown = func(w http.ResponseWriter, _ *http.Request, in *authz.Interaction) {
			shown, err := json.Marshal(in.Details)
			if err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(values(t, asked), values(t, string(shown))); d != "" {
				t.Error(d)
			}
			io.WriteString(w, in.ID)
		}
		d := b.approval()
		if err := json.Unmarshal([]byte(granted), &d.Details); err != nil {
			t.Fatal(err)
		}
		res, err := (&browser{b: b}).decide(f, body["request_uri"].(string), d)
		if err != nil {
			t.Fatal(err)
		}
		tokens := f.mustToken(b, f.redeemable(location(t, res).Get("code")))
		if d := cmp.Diff(values(t, granted)[0], tokens["authorization_details"]); d != "" {
			t.Error(d)
		}
	})
	for _, tt := range []struct{ name, old, new string }{
		{"RFC9396-5-1 an unknown field", "%22creditorName%22", "%22colour%22%3A%22red%22%2C%22creditorName%22"},
		{"RFC9396-5-1 an unknown type", "payment_initiation", "payment_order"},
		{"RFC9396-2-1 an object in place of the array", "%5B%7B%22type%22", "%7B%22type%22"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), wireTargets)
			text := strings.Replace(wire(t, "details.form"), tt.old, tt.new, 1)
			if strings.HasPrefix(tt.name, "RFC9396-2-1") {
				text = strings.TrimSuffix(text, "%5D")
			}
			status, body := f.pushText(b, "accounts", text)
			if status != 400 || body["error"] != "invalid_authorization_details" {
				t.Errorf("%d %v", status, body)
			}
		})
	}
}

// TestWireResources is wire-examples, 14.
func TestWireResources(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), wireTargets, func(c *authz.Config) { c.Scopes = []string{"accounts", "payments"} })
	t.Run("RFC8707-2-2 two", func(t *testing.T) {
		status, body := f.pushText(b, "accounts payments", wire(t, "resources.form"))
		if status != 201 {
			t.Fatalf("%d %v", status, body)
		}
		res, err := (&browser{b: b}).decide(f, body["request_uri"].(string), b.approval())
		if err != nil {
			t.Fatal(err)
		}
		tokens := f.mustToken(b, f.redeemable(location(t, res).Get("code")))
		goodFor(t, tokens, "accounts payments", "https://api.finbank.example", "https://cards.finbank.example")
	})
	t.Run("RFC8707-2-1 one with a fragment, in the words of the example", func(t *testing.T) {
		status, body := f.pushText(b, "accounts payments", wire(t, "resources.form")+"%23a")
		want := map[string]any{"error": "invalid_target", "error_description": "resource must be an absolute URI without fragment"}
		if d := cmp.Diff(want, body); d != "" || status != 400 {
			t.Errorf("%d %s", status, d)
		}
	})
}

// TestTargetsInObject: in a request object authorization_details is an array
// and resource a string or an array.
func TestTargetsInObject(t *testing.T) {
	for _, tt := range []struct {
		name      string
		details   any
		resource  any
		aud       []string
		code      string // "" means accepted
		described string
	}{
		{"RFC9396-2-1 RFC9396-12-2 RFC8707-2-2 an array of objects, and a resource", values(t, payment), resource, []string{resource}, "", ""},
		{"RFC8707-2-2 an array of resources", values(t, payment), []string{resource, cards}, []string{resource, cards}, "", ""},
		{"RFC9396-5-1 an unknown type", values(t, `{"type":"payment_order"}`), resource, nil, "invalid_authorization_details", "unknown type payment_order"},
		{"RFC9396-2-1 an empty array", []any{}, resource, nil, "invalid_authorization_details", "authorization_details is empty"},
		{"RFC9396-2-1 an array of strings", []string{payment}, resource, nil, "invalid_authorization_details", ""},
		{"RFC9396-2-1 text in place of the array", "[" + payment + "]", resource, nil, "invalid_request_object", ""},
		{"RFC8707-2-3 an unknown resource", values(t, payment), []string{resource, "https://evil.example"}, nil, "invalid_target", ""},
		{"RFC8707-2-1 a fragment", values(t, payment), resource + "#a", nil, "invalid_target", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := everywhere(keyClient("kakeibo"))
			b := newBank(t, clients(f), withCards, withDetails, func(c *authz.Config) {
				c.Resources[0].DetailsTypes = []string{"payment_initiation", "account_information"}
				c.Resources[1].DetailsTypes = []string{"urn:bank:exact"}
			})
			v := f.pushable()
			v.Set("scope", "accounts")
			if len(tt.aud) == 2 {
				v.Set("scope", "accounts cards")
			}
			claims := f.asks(b, v)
			claims["authorization_details"], claims["resource"] = tt.details, tt.resource
			res := b.do(f.pushing(b, f.object(claims)))
			body := object(t, res)
			if tt.code != "" {
				if res.StatusCode != 400 || body["error"] != tt.code || tt.described != "" && body["error_description"] != tt.described {
					t.Errorf("%d %v", res.StatusCode, body)
				}
				return
			}
			if res.StatusCode != 201 {
				t.Fatalf("%d %v", res.StatusCode, body)
			}
			back, err := (&browser{b: b}).decide(f, body["request_uri"].(string), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			tokens := f.mustToken(b, f.redeemable(location(t, back).Get("code")))
			goodFor(t, tokens, v.Get("scope"), tt.aud...)
			if d := cmp.Diff(any(values(t, payment)), tokens["authorization_details"]); d != "" {
				t.Error(d)
			}
		})
	}
}
