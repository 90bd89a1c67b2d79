package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/aikagi/aikagi/authz"
)

// knownDetails are the types of authorization_details (RFC 9396) that the bank
// knows by name: a -config file lists which it offers.
var knownDetails = map[string]authz.DetailsType{
	"account_information": {
		Name:   "account_information",
		Fields: []string{"locations", "actions", "accounts"},
		Check:  checkAccountInformation,
		Covers: coversAccounts,
		Text: func(raw json.RawMessage, lang string) string {
			var d accountInformation
			_ = json.Unmarshal(raw, &d) // Check has read it
			if len(d.Accounts) == 0 {
				return message(lang, "details.accounts")
			}
			return message(lang, "details.account", d.Accounts[0])
		},
	},
	"payment_initiation": {
		Name:   "payment_initiation",
		Fields: []string{"locations", "actions", "instructedAmount", "creditorName", "creditorAccount", "debtorAccount"},
		Check:  checkPayment,
		Covers: coversPayment,
		Text: func(raw json.RawMessage, lang string) string {
			var d payment
			_ = json.Unmarshal(raw, &d) // Check has read it
			return message(lang, "details.payment", d.Amount.Amount, d.Amount.Currency, d.CreditorName, d.CreditorAccount.IBAN)
		},
	},
}

// commonDetails is a type of which the bank knows nothing but its name.
func commonDetails(name string) authz.DetailsType {
	return authz.DetailsType{Name: name, Fields: []string{"locations", "actions", "datatypes", "privileges", "identifier"}}
}

// accountInformation is permission to read accounts: those named, or those the
// customer has, which the bank then names.
type accountInformation struct {
	Type      string   `json:"type"`
	Locations []string `json:"locations"`
	Actions   []string `json:"actions"`
	Accounts  []string `json:"accounts"`
}

func checkAccountInformation(_ context.Context, _ *authz.Client, raw json.RawMessage) (string, error) {
	var d accountInformation
	if readExactly(raw, &d) != nil {
		return "a member has the wrong type or is unknown", nil
	}
	if d.Accounts != nil && (len(d.Accounts) != 1 || d.Accounts[0] != ordinary().ID) {
		return "accounts is empty or names an account that does not exist", nil
	}
	return "", nil
}

// A payment is permission to pay once: from the account named, or from one of
// the customer's, which the bank then names.
type payment struct {
	Type      string   `json:"type"`
	Locations []string `json:"locations"`
	Actions   []string `json:"actions"`
	Amount    struct {
		Currency string `json:"currency"`
		Amount   string `json:"amount"`
	} `json:"instructedAmount"`
	CreditorName    string `json:"creditorName"`
	CreditorAccount struct {
		IBAN string `json:"iban"`
	} `json:"creditorAccount"`
	DebtorAccount *struct {
		ID string `json:"id"`
	} `json:"debtorAccount"`
}

var (
	currency = regexp.MustCompile(`^[A-Z]{3}$`)
	amount   = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,3})?$`)
)

func checkPayment(_ context.Context, _ *authz.Client, raw json.RawMessage) (string, error) {
	var p payment
	switch {
	case readExactly(raw, &p) != nil:
		return "a member of the payment has the wrong type or is unknown", nil
	case !currency.MatchString(p.Amount.Currency), !amount.MatchString(p.Amount.Amount):
		return "instructedAmount has no currency and amount", nil
	case p.CreditorName == "", p.CreditorAccount.IBAN == "":
		return "creditorName or creditorAccount is missing", nil
	case strings.ContainsFunc(p.CreditorName+p.CreditorAccount.IBAN, unseen):
		return "creditorName or creditorAccount has characters that cannot be seen", nil
	case p.DebtorAccount != nil && p.DebtorAccount.ID != ordinary().ID:
		return "debtorAccount names an account that does not exist", nil
	}
	return "", nil
}

// unseen reports whether r has no shape of its own on the consent page. Such
// characters can turn the direction of the words beside them.
func unseen(r rune) bool { return !unicode.IsGraphic(r) }

// readExactly reads raw into v. A member of an inner object that nobody knows
// could change what the rest means.
func readExactly(raw json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// coversAccounts lets consent name the accounts of a request that named none.
func coversAccounts(outer, inner json.RawMessage) bool {
	return completes(outer, inner, "accounts")
}

// coversPayment lets consent name the account that pays.
func coversPayment(outer, inner json.RawMessage) bool {
	return completes(outer, inner, "debtorAccount")
}

// completes reports whether inner is outer or, where outer lacks the member,
// outer with it.
func completes(outer, inner json.RawMessage, member string) bool {
	var o, i map[string]any
	if json.Unmarshal(outer, &o) != nil || json.Unmarshal(inner, &i) != nil {
		return false
	}
	if o[member] == nil {
		delete(o, member)
		delete(i, member)
	}
	return reflect.DeepEqual(o, i)
}

// enriched returns what the customer consents to when they agree to asked: the
// same, with the account that they have.
func enriched(asked []json.RawMessage) []json.RawMessage {
	account := strconv.Quote(ordinary().ID)
	var granted []json.RawMessage
	for _, raw := range asked {
		switch detailsTypeOf(raw) {
		case "account_information":
			raw = withMember(raw, "accounts", "["+account+"]")
		case "payment_initiation":
			raw = withMember(raw, "debtorAccount", `{"id":`+account+`}`)
		}
		granted = append(granted, raw)
	}
	return granted
}

// detailsText says in words what details allow, for those who have agreed to
// them before. Of a type without words it returns the JSON, in which every
// character can be seen.
func (s *settings) detailsText(raw json.RawMessage, lang string) string {
	name := detailsTypeOf(raw)
	for _, t := range s.details {
		if t.Name == name && t.Text != nil {
			return t.Text(raw, lang)
		}
	}
	var b strings.Builder
	for _, r := range string(raw) {
		if unseen(r) {
			fmt.Fprintf(&b, "\\u{%X}", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func detailsTypeOf(raw json.RawMessage) string {
	var d struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(raw, &d) // the library has read it
	return d.Type
}

// withMember returns the object raw with a member that it lacks, or raw.
func withMember(raw json.RawMessage, name, value string) json.RawMessage {
	var d map[string]json.RawMessage
	if json.Unmarshal(raw, &d) != nil || d[name] != nil && string(d[name]) != "null" {
		return raw
	}
	d[name] = json.RawMessage(value)
	b, err := json.Marshal(d)
	if err != nil {
		return raw
	}
	return b
}

// details reads the types of authorization details that are offered: names, or
// objects with a name and the members that the type has.
func (c *configFile) details() []authz.DetailsType {
	const member, remedy = "authorization_details_types", "write a list of names, or of objects with type and fields, or leave the member out"
	var raw []json.RawMessage
	if !c.read(member, "a list of names, or of objects with type and fields", &raw) {
		return nil
	}
	var types []authz.DetailsType
	for i, r := range raw {
		t, err := readDetailsType(r)
		if err != nil {
			c.bad(member, fmt.Sprintf("type %d: %v", i+1, err), remedy)
		}
		types = append(types, t)
	}
	return types
}

func readDetailsType(raw json.RawMessage) (t authz.DetailsType, err error) {
	if json.Unmarshal(raw, &t.Name) == nil && t.Name != "" {
		if known, ok := knownDetails[t.Name]; ok {
			return known, nil
		}
		return commonDetails(t.Name), nil
	}
	m, err := object(raw)
	if err != nil {
		return t, errors.New("is neither a name nor an object")
	}
	if json.Unmarshal(m["type"], &t.Name) != nil || t.Name == "" || json.Unmarshal(m["fields"], &t.Fields) != nil || len(m) != 2 {
		return t, errors.New("does not have type, fields and nothing else")
	}
	return t, nil
}
