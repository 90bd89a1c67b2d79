package authz_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// TestDetailsDecision: what may be approved of what was asked.
func TestDetailsDecision(t *testing.T) {
	const less = `{"type":"account_information","actions":["list"],"datatypes":["balances"]}`
	for _, tt := range []struct {
		name    string
		scope   string
		scopes  []string // of the decision
		details []json.RawMessage
		want    []string // what is granted, if the decision stands
		rule    string   // or why not; "host" for a mistake that is no refusal
	}{
		{"RFC9396-3.1-1 all of both", "accounts", nil, nil, []string{payment, account}, ""},
		{"RFC9396-3.1-2 a part of one", "accounts", nil, raws(less), []string{less}, ""},
		{"RFC9396-7.1-1 one, completed", "accounts", nil, raws(paidFrom), []string{paidFrom}, ""},
		{"RFC9396-3.1-2 none, but scopes", "accounts", nil, raws(), nil, ""},
		{"RFC9396-3.1-2 no scope, but details", "accounts", []string{}, raws(account), []string{account}, ""},
		{"RFC9396-3.1-2 one that was not asked for", "accounts", nil, raws(`{"type":"urn:bank:exact"}`), nil, "RFC9396-3.1-2"},
		{"RFC9396-3.1-2 more of one", "accounts", nil, raws(strings.Replace(account, `"read"`, `"read","write"`, 1)), nil, "RFC9396-3.1-2"},
		{"RFC9396-3.1-2 another amount", "accounts", nil, raws(strings.Replace(payment, "165.88", "1165.88", 1)), nil, "RFC9396-3.1-2"},
		{"RFC9396-2.2-2 of one object, though another type allows it", "accounts", nil, raws(strings.Replace(payment, "payment_initiation", "urn:bank:exact", 1)), nil, "RFC9396-5-1"},
		{"RFC9396-5-1 an unknown field", "accounts", nil, raws(strings.Replace(payment, "creditorName", "colour", 1)), nil, "RFC9396-5-1"},
		{"RFC9396-2-1 no JSON", "accounts", nil, raws("yes"), nil, "RFC9396-2-1"},
		{"RFC9396-12-1 more than a grant holds", "accounts", nil, raws(strings.Split(strings.Repeat(account+"|", 32)+account, "|")...), nil, "RFC9396-12-1"},
		{"RFC9396-12-1 longer than a grant holds", "accounts", nil, raws(strings.Replace(paidFrom, "DE89370400440532013000", strings.Repeat("1", 33<<10), 1)), nil, "RFC9396-12-1"},
		{"RFC9396-3.1-2 nothing", "accounts", []string{}, raws(), nil, "host"},
		{"RFC9396-3.1-2 no details where no scope was asked", "", nil, raws(), nil, "host"},
		{"RFC9396-3.1-2 no scope where no details are left", "accounts", []string{}, raws(), nil, "host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), withDetails)
			v := f.detailed(payment, account)
			v.Set("scope", tt.scope)
			d := b.approval()
			d.Scopes, d.Details = tt.scopes, tt.details
			br := &browser{b: b}
			uri := f.push(b, v)
			res, err := br.decide(f, uri, d)
			if tt.rule != "" {
				e, refused := err.(*authz.Error)
				if err == nil || tt.rule == "host" && refused || tt.rule != "host" && (!refused || e.Rule != tt.rule) {
					t.Errorf("Finish: %v, want %s", err, tt.rule)
				}
				if res, err := br.decide(f, uri, b.approval()); err != nil || location(t, res).Get("code") == "" { // nothing was decided
					t.Errorf("a good decision afterwards: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Finish: %v", err)
			}
			tokens := f.mustToken(b, f.redeemable(location(t, res).Get("code")))
			var want any
			if tt.want != nil {
				want = values(t, tt.want...)
			}
			if d := cmp.Diff(want, tokens["authorization_details"]); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("RFC9700-4.14.2-1 a host that changes what it was shown widens nothing", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), withDetails)
		br := &browser{b: b}
		in, err := br.resume(br.begin(f, f.push(b, with(f.detailed(account), "scope", "accounts"))))
		if err != nil {
			t.Fatal(err)
		}
		in.Scopes[0], in.Details[0] = "payments", json.RawMessage(payment)
		for _, change := range []func(*authz.Decision){
			func(d *authz.Decision) { d.Scopes = in.Scopes },
			func(d *authz.Decision) { d.Details = in.Details },
		} {
			d := b.approval()
			change(&d)
			if err := in.Finish(nil, br.page(in.ID), d); err == nil {
				t.Error("approved")
			}
		}
	})
	t.Run("OIDC-AR-11 OIDC-AR-14 OIDC-IT-5 FAPI2-SP-5.3.2.2-N3 nor does it take what was asked back", func(t *testing.T) {
		for name, ask := range map[string][2]string{"max_age": {"max_age", "60"}, "login": {"prompt", "login"}, "an ID token": {"scope", "openid accounts"}} {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			br := &browser{b: b}
			in, err := br.resume(br.begin(f, f.push(b, with(with(f.pushable(), "scope", "accounts"), ask[0], ask[1]))))
			if err != nil {
				t.Fatal(err)
			}
			id := in.ID
			in.Scopes, in.Prompt, in.MaxAge, in.HasMaxAge = nil, nil, 0, false
			in.Client, in.GrantID = &authz.Client{ID: "mallory"}, "another"
			d := b.approval()
			d.AuthTime = d.AuthTime.Add(-time.Hour)
			if name == "an ID token" {
				d.AuthTime = time.Time{}
			}
			if err := in.Finish(nil, br.page(id), d); err == nil {
				t.Fatalf("%s: approved", name)
			}
			w := httptest.NewRecorder()
			if err := in.Finish(w, br.page(id), b.approval()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e := b.lastEvent(); e.Client != f.ID || e.Grant == in.GrantID {
				t.Errorf("%s: event %+v", name, e)
			}
			if _, err := br.finish(id, b.approval()); err == nil { // the first decision counts, wherever the host would have it
				t.Errorf("%s: approved again", name)
			}
			f.mustToken(b, f.redeemable(location(t, w.Result()).Get("code")))
		}
	})
}

// TestDetailsNarrow: what one token may have of a grant for two accounts'
// worth of things and a payment.
func TestDetailsNarrow(t *testing.T) {
	const (
		balances = `{"type":"account_information","actions":["list"],"datatypes":["balances"]}`
		history  = `{"type":"account_information","actions":["read"],"datatypes":["transactions"]}`
		named    = `{"type":"urn:bank:exact","note":"caf\u00e9","limit":1.50,"identifier":"\u00e9","deep":{"a":[1,2],"b":null}}`
	)
	for _, tt := range []struct{ name, asked, code, rule string }{
		{"RFC9396-6-1 one of them", "[" + balances + "]", "", ""},
		{"RFC9396-6-1 RFC9396-2-3 all of them", "[" + history + "," + balances + "," + paidFrom + "," + named + "]", "", ""},
		{"RFC9396-6.1-1 members in another order, and escapes for characters", `[{"identifier":"é","deep":{"b":null,"a":[1,2]},"limit":1.50,"note":"caf\u00E9","type":"urn:bank:exact"}]`, "", ""},

		{"RFC9396-6-2 wider", `[{"type":"account_information","actions":["list","write"],"datatypes":["balances"]}]`, "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-6-2 wider by what is left out", `[{"type":"account_information","actions":["list"]}]`, "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-6-2 the payment from whichever account", "[" + payment + "]", "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-6-2 one granted and one not", "[" + balances + `,{"type":"urn:bank:exact"}]`, "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-2.2-2 the actions of one object on the data of another", `[{"type":"account_information","actions":["list"],"datatypes":["transactions"]}]`, "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-12-3 the same letters, decomposed", "[" + strings.Replace(named, `caf\u00e9`, "cafe\u0301", 1) + "]", "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-12-3 a letter that looks alike", "[" + strings.Replace(named, `"caf`, `"c\u0430f`, 1) + "]", "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-6.1-1 a number written otherwise", "[" + strings.Replace(named, "1.50", "1.5", 1) + "]", "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-6.1-1 an array in another order", "[" + strings.Replace(named, "[1,2]", "[2,1]", 1) + "]", "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-6.1-1 null left out", "[" + strings.Replace(named, `,"b":null`, "", 1) + "]", "invalid_authorization_details", "RFC9396-6-2"},
		{"RFC9396-8-1 RFC9396-5-1 an unknown field", `[{"type":"urn:bank:exact","colour":1}]`, "invalid_authorization_details", "RFC9396-5-1"},
		{"RFC9396-5-1 a value that is not the client's to choose", "[" + strings.Replace(paidFrom, "DE893", "DE983", 1) + "]", "invalid_authorization_details", "RFC9396-5-1"},
		{"RFC9396-2-1 an object", balances, "invalid_authorization_details", "RFC9396-2-1"},
		{"RFC9396-2-1 an empty array", "[]", "invalid_authorization_details", "RFC9396-2-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), withDetails)
			all := values(t, balances, history, paidFrom, named)
			d := b.approval()
			d.Details = raws(balances, history, paidFrom, named)
			code := f.approved(b, with(f.detailed(balances, history, payment, named), "scope", "openid accounts"), d, nil)
			first := code
			if tt.code != "" { // a refused request uses nothing up
				status, body := f.post(b, "/token", with(code, "authorization_details", tt.asked), nil)
				refusedAs(t, b, status, body, tt.code, tt.rule)
			} else {
				first = with(code, "authorization_details", tt.asked)
			}
			tokens := f.mustToken(b, first)
			refresh := again(tokens)
			if tt.code != "" {
				status, body := f.post(b, "/token", with(refresh, "authorization_details", tt.asked), nil)
				refusedAs(t, b, status, body, tt.code, tt.rule)
			} else {
				var asked any
				if err := json.Unmarshal([]byte(tt.asked), &asked); err != nil {
					t.Fatal(err)
				}
				for _, got := range []map[string]any{tokens, f.mustToken(b, with(refresh, "authorization_details", tt.asked))} {
					if d := cmp.Diff(asked, got["authorization_details"]); d != "" {
						t.Errorf("response: %s", d)
					}
					if d := cmp.Diff(asked, claimsOf(t, got["access_token"].(string))["authorization_details"]); d != "" {
						t.Errorf("token: %s", d)
					}
					if got["scope"] != "openid accounts" {
						t.Errorf("scope %v", got["scope"])
					}
				}
			}
			// The refresh token keeps the whole grant.
			if d := cmp.Diff(any(all), f.mustToken(b, refresh)["authorization_details"]); d != "" {
				t.Errorf("refresh: %s", d)
			}
		})
	}
}

// TestDetailsAudience: an API is told of what is for it.
func TestDetailsAudience(t *testing.T) {
	const (
		atBank  = `{"type":"account_information","locations":["https://api.bank.example"],"actions":["list"]}`
		atCards = `{"type":"account_information","locations":["https://cards.bank.example/gold?year=2026"],"actions":["list"]}`
		atBoth  = `{"type":"account_information","locations":["https://api.bank.example/a","https://cards.bank.example"],"actions":["read"]}`
		anyCard = `{"type":"urn:bank:exact","note":"cards take this type"}`
	)
	setup := func(t *testing.T) (*bank, *fintech) {
		f := everywhere(keyClient("kakeibo"))
		return newBank(t, clients(f), withCards, withDetails, func(c *authz.Config) {
			c.Resources[0].DetailsTypes = []string{"payment_initiation", "account_information"}
			c.Resources[1].DetailsTypes = []string{"account_information", "urn:bank:exact"}
		}), f
	}
	elements := []string{atBank, atCards, atBoth, anyCard}
	for _, tt := range []struct {
		name, scope string
		granted     []string // resource at PAR
		asked       []string
		details     string // authorization_details at the token endpoint
		want        []string
		scopes      string
		aud         []string
		code, rule  string
	}{
		{"RFC9396-9.1-1 both APIs, all", "accounts", nil, nil, "", elements, "accounts", []string{resource, cards}, "", ""},
		{"RFC9396-9.1-1 RFC9396-13-1 the one API, its share", "accounts", nil, []string{resource}, "", []string{atBank, atBoth}, "accounts", []string{resource}, "", ""},
		{"RFC9396-9.1-1 RFC9396-13-1 the other, its share and no scope", "accounts", nil, []string{cards}, "", []string{atCards, atBoth, anyCard}, "", []string{cards}, "", ""},
		{"RFC9396-3.2-1 resource does not narrow details", "accounts", []string{resource}, nil, "", elements, "accounts", []string{resource, cards}, "", ""},
		{"RFC9396-3.2-1 nor keep them from their API", "accounts", []string{resource}, []string{cards}, "", []string{atCards, atBoth, anyCard}, "", []string{cards}, "", ""},
		{"RFC8707-2.2-1 a scope granted at one API does not reach the other by its details", "history", []string{resource}, []string{cards}, "", []string{atCards, atBoth, anyCard}, "", []string{cards}, "", ""},
		{"RFC9068-3-2 nor in a token for both", "history", []string{resource}, nil, "", nil, "", nil, "invalid_target", "RFC9068-3-2"},
		{"RFC9396-6-1 FAPI2-SP-5.3.2.1-14 details that name one API", "", nil, nil, "[" + atCards + "]", []string{atCards}, "", []string{cards}, "", ""},
		{"RFC9396-6-2 details of another API", "accounts", nil, []string{resource}, "[" + atBank + "," + atCards + "]", nil, "", nil, "invalid_authorization_details", "RFC9396-6-2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, f := setup(t)
			v := f.detailed(elements...)
			v.Set("scope", tt.scope)
			v["resource"] = tt.granted
			ask := f.approved(b, v, b.approval(), nil)
			ask["resource"] = tt.asked
			ask.Set("authorization_details", tt.details)
			status, tokens := f.post(b, "/token", ask, nil)
			if tt.code != "" {
				refusedAs(t, b, status, tokens, tt.code, tt.rule)
				return
			}
			if status != 200 {
				t.Fatalf("%d %v", status, tokens)
			}
			goodFor(t, tokens, tt.scopes, tt.aud...)
			want := any(values(t, tt.want...))
			if d := cmp.Diff(want, tokens["authorization_details"]); d != "" {
				t.Errorf("response: %s", d)
			}
			if d := cmp.Diff(want, claimsOf(t, tokens["access_token"].(string))["authorization_details"]); d != "" {
				t.Errorf("token: %s", d)
			}
		})
	}
	t.Run("RFC9396-9.2-1 RFC9396-13-1 an API that asks about a token for both", func(t *testing.T) {
		f, first, second := everywhere(keyClient("kakeibo")).opaque(), apiClient("accounts", resource), apiClient("cards", cards)
		b, _ := setup(t)
		b = newBank(t, clients(f, first, second), func(c *authz.Config) {
			c.Resources, c.DetailsTypes, c.Scopes = b.config.Resources, b.config.DetailsTypes, b.config.Scopes
		})
		tokens := f.mustToken(b, f.approved(b, f.detailed(elements...), b.approval(), nil))
		access := tokens["access_token"].(string)
		if d := cmp.Diff(any(values(t, atBank, atBoth)), first.introspect(b, access)["authorization_details"]); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(any(values(t, atCards, atBoth, anyCard)), second.introspect(b, access)["authorization_details"]); d != "" {
			t.Error(d)
		}
		b = b.later(func(c *authz.Config) { // the second has another name now
			c.Resources = []authz.Resource{c.Resources[0], c.Resources[1]}
			c.Resources[1].ID = "https://new.bank.example"
		})
		if d := cmp.Diff(any(values(t, atBank)), first.introspect(b, access)["authorization_details"]); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(any(values(t, atBank)), f.introspect(b, access)["authorization_details"]); d != "" {
			t.Error(d)
		}
	})
	t.Run("RFC9396-5-1 a location at an API that does not take the type", func(t *testing.T) {
		b, f := setup(t)
		status, body := f.post(b, "/par", f.detailed(strings.Replace(payment, "api.bank", "cards.bank", 1)), nil)
		refusedAs(t, b, status, body, "invalid_authorization_details", "RFC9396-5-1")
	})
}

// TestDetailsCredentials: what a client may ask for itself.
func TestDetailsCredentials(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), withDetails)
	t.Run("RFC9396-3-1 RFC9396-6-1 a type that needs no customer", func(t *testing.T) {
		got := f.mustToken(b, url.Values{"grant_type": {"client_credentials"}, "authorization_details": {"[" + account + "]"}})
		want := any(values(t, account))
		if d := cmp.Diff(want, got["authorization_details"]); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(want, claimsOf(t, got["access_token"].(string))["authorization_details"]); d != "" {
			t.Error(d)
		}
		goodFor(t, got, "", resource)
	})
	t.Run("RFC9396-3-1 with a scope", func(t *testing.T) {
		got := f.mustToken(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}, "authorization_details": {"[" + account + "]"}})
		goodFor(t, got, "accounts", resource)
	})
	for _, tt := range []struct{ name, value, rule string }{
		{"RFC9396-5-1 a type that a customer approves", "[" + account + "," + payment + "]", "RFC9396-5-1"},
		{"RFC9396-5-1 an unknown field", `[{"type":"account_information","colour":1}]`, "RFC9396-5-1"},
		{"RFC9396-2-1 no array", account, "RFC9396-2-1"},
		{"RFC9396-12-1 more than a token holds", `[{"type":"account_information","note":"` + strings.Repeat("a", 4<<10) + `"}]`, "RFC9396-12-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := f.post(b, "/token", url.Values{"grant_type": {"client_credentials"}, "authorization_details": {tt.value}}, nil)
			refusedAs(t, b, status, body, "invalid_authorization_details", tt.rule)
		})
	}
}

// TestDetailsGone: what an API gives up, or the bank takes from a client, ends
// for the grants there are.
func TestDetailsGone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*authz.Config, *authz.Client)
		want   []string // nil: nothing is left
	}{
		{"RFC9396-5-1 a type", func(c *authz.Config, _ *authz.Client) { c.DetailsTypes = c.DetailsTypes[1:] }, []string{account}},
		{"RFC9396-5-1 a field of a type", func(c *authz.Config, _ *authz.Client) {
			typ := paymentType
			typ.Fields = typ.Fields[:4] // without debtorAccount
			c.DetailsTypes = []authz.DetailsType{typ, accountType}
		}, []string{account}},
		{"RFC9396-10-1 the client's registration for a type", func(_ *authz.Config, c *authz.Client) { c.DetailsTypes = []string{"payment_initiation"} }, []string{paidFrom}},
		{"RFC9396-10-1 its registration for all", func(_ *authz.Config, c *authz.Client) { c.DetailsTypes = []string{} }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f), withDetails)
			d := b.approval()
			d.Details = raws(paidFrom, account)
			tokens := f.mustToken(b, f.approved(b, f.detailed(payment, account), d, nil))
			b = b.later(func(c *authz.Config) { tt.change(c, f.Client) })
			status, got := f.post(b, "/token", again(tokens), nil)
			if tt.want == nil {
				if status != 400 || got["error"] != "invalid_scope" {
					t.Errorf("%d %v", status, got)
				}
				return
			}
			if d := cmp.Diff(any(values(t, tt.want...)), got["authorization_details"]); d != "" {
				t.Errorf("%d %s", status, d)
			}
		})
	}
}

// TestDetailsLarge: a request about as large as the endpoint takes.
func TestDetailsLarge(t *testing.T) {
	large := `{"type":"urn:bank:exact","note":"` + strings.Repeat("a", 16<<10) + `"}`
	f, api := keyClient("kakeibo"), apiClient("accounts", resource)
	b := newBank(t, clients(f, api), withDetails)
	t.Run("RFC9396-11-1 RFC9396-9.2-1 one that no token could carry is told by introspection", func(t *testing.T) {
		v := with(f.detailed(large, account), "state", strings.Repeat("s", 43<<10))
		tokens := f.mustToken(b, f.approved(b, v, b.approval(), nil))
		want := any(values(t, large, account))
		if d := cmp.Diff(want, tokens["authorization_details"]); d != "" {
			t.Errorf("response: %s", d)
		}
		access := tokens["access_token"].(string)
		if got, there := claimsOf(t, access)["authorization_details"]; there {
			t.Errorf("the token says %v", got)
		}
		if d := cmp.Diff(want, api.introspect(b, access)["authorization_details"]); d != "" {
			t.Errorf("introspection: %s", d)
		}
		// A token for less says it itself.
		less := f.mustToken(b, with(again(tokens), "authorization_details", "["+account+"]"))
		for name, got := range map[string]any{
			"token":         claimsOf(t, less["access_token"].(string))["authorization_details"],
			"introspection": api.introspect(b, less["access_token"].(string))["authorization_details"],
		} {
			if d := cmp.Diff(any(values(t, account)), got); d != "" {
				t.Errorf("%s of less: %s", name, d)
			}
		}
		status, body := f.post(b, "/token", with(again(tokens), "authorization_details", "["+large+"]"), nil)
		refusedAs(t, b, status, body, "invalid_authorization_details", "RFC9396-12-1")
	})
	t.Run("RFC9396-12-1 RFC9126-2.3-5 more than 64 KiB", func(t *testing.T) {
		status, body := f.post(b, "/par", with(f.detailed(large), "state", strings.Repeat("s", 64<<10)), nil)
		if status != 413 || body["error"] != "invalid_request" {
			t.Errorf("%d %v", status, body)
		}
	})
}

// TestDetailsChecked: the host's check sees what the client asks for, and not
// again what the host granted.
func TestDetailsChecked(t *testing.T) {
	var calls atomic.Int32
	typ := accountType
	typ.Check = func(_ context.Context, c *authz.Client, _ json.RawMessage) (string, error) {
		calls.Add(1)
		if c.ID != "kakeibo" {
			return "not for you", nil
		}
		return "", nil
	}
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), func(c *authz.Config) { c.DetailsTypes = []authz.DetailsType{typ} })
	ask := f.approved(b, f.detailed(account), b.approval(), nil)
	if n := calls.Load(); n != 1 {
		t.Errorf("RFC9396-5-1: %d checks of what was pushed", n)
	}
	tokens := f.mustToken(b, with(ask, "authorization_details", "["+account+"]"))
	if n := calls.Load(); n != 1 {
		t.Errorf("RFC9396-6-1: %d checks when what was granted is asked for", n)
	}
	f.mustToken(b, with(again(tokens), "authorization_details", `[{"type":"account_information","actions":["list"],"datatypes":["balances"]}]`))
	if n := calls.Load(); n != 2 {
		t.Errorf("RFC9396-6-1: %d checks when a part of it is", n)
	}
}

// TestDetailsOfAnotherType: a Covers that says yes to everything still speaks of
// its own type alone.
func TestDetailsOfAnotherType(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f), func(c *authz.Config) {
		c.DetailsTypes = []authz.DetailsType{accountType, {Name: "anything", Covers: func(json.RawMessage, json.RawMessage) bool { return true }}}
	})
	const other = `{"type":"anything"}`
	t.Run("RFC9396-2-2 RFC9396-3.1-2 approved", func(t *testing.T) {
		d := b.approval()
		d.Details = raws(other)
		if _, err := (&browser{b: b}).decide(f, f.push(b, f.detailed(account)), d); err == nil {
			t.Error("approved")
		}
	})
	t.Run("RFC9396-2-2 RFC9396-6-2 asked for at the token endpoint", func(t *testing.T) {
		code := f.approved(b, f.detailed(account), b.approval(), nil)
		status, body := f.post(b, "/token", with(code, "authorization_details", "["+other+"]"), nil)
		refusedAs(t, b, status, body, "invalid_authorization_details", "RFC9396-6-2")
	})
}

// TestDetailsDepth: what is taken can be read wherever it is written.
func TestDetailsDepth(t *testing.T) {
	nested := func(n int) string {
		return `{"type":"urn:bank:exact","deep":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	f, api := keyClient("kakeibo"), apiClient("accounts", resource)
	b := newBank(t, clients(f, api), withDetails)
	t.Run("RFC9396-12-1 as deep as a token may be", func(t *testing.T) {
		tokens := f.mustToken(b, f.approved(b, f.detailed(nested(28)), b.approval(), nil))
		access := tokens["access_token"].(string)
		if err := f.check(b, access); err != nil {
			t.Errorf("the API: %v", err)
		}
		got, err := json.Marshal(api.introspect(b, access)["authorization_details"]) // cmp takes 2^28 steps for such a value
		if err != nil || len(got) != len("["+nested(28)+"]") {
			t.Errorf("introspection: %s, %v", got, err)
		}
	})
	t.Run("RFC9396-12-1 one deeper", func(t *testing.T) {
		status, body := f.post(b, "/par", f.detailed(nested(29)), nil)
		refusedAs(t, b, status, body, "invalid_authorization_details", "RFC9396-12-1")
	})
}
