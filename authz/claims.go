package authz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/internal/jsonw"
)

// A ClaimsRequest asks the host what it knows about a customer (OpenID Connect
// Core, 5.3 and 5.5).
type ClaimsRequest struct {
	Client  *Client  // who will be told
	Subject string   // as the host calls the customer, Decision.Subject
	GrantID string   // of the consent that it rests on
	Names   []string // the claims that the client may see, by scope or by name, some of Config.ClaimNames
}

// maxClaims limits the claims parameter, in bytes.
const maxClaims = 16 << 10

// An askedClaim is one that a client asks for.
type askedClaim struct {
	name      string
	essential bool
	values    []json.RawMessage // it is to have one of them; nil: any will do
}

// askedClaims are those that a client asks for one by one, by the place where
// it wants them (OIDC Core, 5.5).
type askedClaims struct{ userInfo, idToken []askedClaim }

// parseClaims reads a claims parameter. Members that it does not know mean
// nothing; what it knows must be of its type.
func parseClaims(text string) (q askedClaims, err error) {
	if len(text) > maxClaims {
		return q, errors.New("longer than 16 KiB")
	}
	c, err := jose.ParseClaims([]byte(text))
	if err != nil {
		return q, err
	}
	if q.userInfo, err = parsePlace(c, "userinfo"); err != nil {
		return q, err
	}
	q.idToken, err = parsePlace(c, "id_token")
	return q, err
}

func parsePlace(c jose.Claims, place string) ([]askedClaim, error) {
	if !c.Has(place) {
		return nil, nil
	}
	o, ok := c.Object(place)
	if !ok {
		return nil, errors.New(place + " is not an object")
	}
	var asked []askedClaim
	for _, name := range o.Names() {
		a, err := parseAsked(o, name)
		if err != nil {
			return nil, fmt.Errorf("%s: a claim %w", place, err)
		}
		asked = append(asked, a)
	}
	return asked, nil
}

// parseAsked reads what is asked of the claim called name (OIDC Core, 5.5.1).
func parseAsked(o jose.Claims, name string) (a askedClaim, err error) {
	a.name = name
	if raw, _ := o.Raw(name); string(raw) == "null" {
		return a, nil
	}
	m, ok := o.Object(name)
	if !ok {
		return a, errors.New("is neither null nor an object")
	}
	if a.essential, ok = m.Bool("essential"); !ok && m.Has("essential") {
		return a, errors.New("is neither essential nor not")
	}
	if raw, ok := m.Raw("value"); ok {
		a.values = append(a.values, raw)
	}
	if raw, ok := m.Raw("values"); ok {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
			return a, errors.New("has values that are no array of at least one")
		}
		a.values = append(a.values, list...)
	}
	return a, nil
}

// json returns q as parseClaims reads it, or "" if nothing is asked.
func (q askedClaims) json() string {
	if len(q.userInfo)+len(q.idToken) == 0 {
		return ""
	}
	o := jsonw.New(256)
	for _, place := range []struct {
		name  string
		asked []askedClaim
	}{{"userinfo", q.userInfo}, {"id_token", q.idToken}} {
		if len(place.asked) == 0 {
			continue
		}
		claims := jsonw.New(128)
		for _, a := range place.asked {
			claims.Raw(a.name, a.json())
		}
		o.Raw(place.name, claims.Bytes())
	}
	return string(o.Bytes())
}

func (a askedClaim) json() []byte {
	if !a.essential && a.values == nil {
		return []byte("null")
	}
	o := jsonw.New(64)
	if a.essential {
		o.Raw("essential", []byte("true"))
	}
	if a.values != nil {
		o.Raw("values", slices.Concat([]byte("["), bytes.Join(rawBytes(a.values), []byte(",")), []byte("]")))
	}
	return o.Bytes()
}

func rawBytes(list []json.RawMessage) [][]byte {
	b := make([][]byte, len(list))
	for i, raw := range list {
		b[i] = raw
	}
	return b
}

// known returns what q asks of the claims in names, the host's, and calls them
// as they are called there.
func (q askedClaims) known(names []string) askedClaims {
	return askedClaims{knownClaims(q.userInfo, names), knownClaims(q.idToken, names)}
}

func knownClaims(asked []askedClaim, names []string) (known []askedClaim) {
	for _, a := range asked {
		for _, name := range meant(a.name, names) {
			if !hasClaim(known, name) {
				known = append(known, askedClaim{name, a.essential, a.values})
			}
		}
	}
	return known
}

func hasClaim(asked []askedClaim, name string) bool {
	return slices.ContainsFunc(asked, func(a askedClaim) bool { return a.name == name })
}

// meant returns which of names a client means that asks for the claim called
// name. A language that it asks for may be there, or in more particular forms,
// such as ja-Kana-JP and ja-Hani-JP for ja; otherwise the name without a
// language is as close as it gets (OIDC Core, 5.2). Case does not count in
// language tags (RFC 5646, 2.1.1).
func meant(name string, names []string) []string {
	if slices.Contains(names, name) {
		return []string{name}
	}
	base, tag, tagged := strings.Cut(name, "#")
	if !tagged {
		return nil
	}
	var forms []string
	for _, n := range names {
		b, t, _ := strings.Cut(n, "#")
		switch {
		case b != base || len(t) < len(tag) || !strings.EqualFold(t[:len(tag)], tag):
		case len(t) == len(tag):
			return []string{n}
		case t[len(tag)] == '-':
			forms = append(forms, n)
		}
	}
	if forms == nil && slices.Contains(names, base) {
		return []string{base}
	}
	return forms
}

// names returns each name once.
func (q askedClaims) names() (names []string) {
	for _, a := range slices.Concat(q.userInfo, q.idToken) {
		if !slices.Contains(names, a.name) {
			names = append(names, a.name)
		}
	}
	return names
}

// readClaims reads the claims parameter of an authorization request. What is
// said there of acr and sub asks something of the customer's authentication,
// ID token or not; of the rest, what the host can tell is remembered where
// there will be somewhere to tell it.
func (s *Server) readClaims(r *grant.Request, text string) error {
	if text == "" {
		return nil
	}
	q, err := parseClaims(text)
	if err != nil {
		return refuse("OIDC-CL-4", invalidRequest, "claims is malformed").because(err)
	}
	for _, a := range q.idToken {
		if a.name == "acr" {
			if err := askACR(r, a); err != nil {
				return err
			}
		}
	}
	for _, a := range slices.Concat(q.idToken, q.userInfo) {
		if a.name == "sub" {
			if err := askSubject(r, a); err != nil {
				return err
			}
		}
	}
	if slices.Contains(r.Scopes, "openid") {
		r.Claims = q.known(s.config.ClaimNames).json()
	}
	if _, err := keptClaims(r.Claims); err != nil { // as it is kept it may be longer, and nest deeper
		return refuse("OIDC-CL-4", invalidRequest, "claims is too long or nests too deeply").because(err)
	}
	return nil
}

// strings returns the values as strings.
func (a askedClaim) strings() (list []string, ok bool) {
	for _, raw := range a.values {
		var v string
		if json.Unmarshal(raw, &v) != nil || v == "" { // as null leaves it
			return nil, false
		}
		list = append(list, v)
	}
	return list, true
}

// only returns what q asks of the claims in names.
func (q askedClaims) only(names []string) askedClaims {
	other := func(a askedClaim) bool { return !slices.Contains(names, a.name) }
	return askedClaims{
		slices.DeleteFunc(slices.Clone(q.userInfo), other),
		slices.DeleteFunc(slices.Clone(q.idToken), other),
	}
}

// keptClaims reads back what askedClaims.json wrote.
func keptClaims(text string) (askedClaims, error) {
	if text == "" {
		return askedClaims{}, nil
	}
	return parseClaims(text)
}

// mayTell returns why the claims of d are not all among those asked for.
func (in *Interaction) mayTell(d Decision) error {
	asked := in.asked.names()
	for _, name := range d.Claims {
		if !slices.Contains(asked, name) {
			return refuse("RFC9700-4.14.2-1", invalidScope, "more was approved than asked")
		}
	}
	return nil
}

// A toldClaim is one that the client is told, as JSON.
type toldClaim struct {
	name  string
	value json.RawMessage
}

// tell asks the host for the claims in asked and returns those that the client
// is told: what has a value (OIDC Core, 5.3.2), and one that the client takes.
// One that is missing is no error, be it essential (OIDC Core, 5.5.1).
func (s *Server) tell(ctx context.Context, r ClaimsRequest, asked []askedClaim) ([]toldClaim, error) {
	only := askedClaims{idToken: asked}.only(s.config.ClaimNames) // the host may know fewer by now, and another in its place was not consented to
	if asked = only.idToken; len(asked) == 0 {
		return nil, nil
	}
	r.Names = only.names()
	answers, err := s.config.Claims(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("Config.Claims: %v", err) // an Error of the host is no refusal
	}
	var told []toldClaim
	for _, a := range asked {
		raw, err := json.Marshal(answers[a.name])
		if err != nil {
			return nil, fmt.Errorf("Config.Claims: %s: %w", a.name, err)
		}
		if isEmpty(raw) {
			continue
		}
		if !ofItsKind(a.name, raw) {
			return nil, fmt.Errorf("Config.Claims: %s is not of the type that OpenID Connect Core, 5.1 gives it", a.name)
		}
		if a.takes(raw) {
			told = append(told, toldClaim{a.name, raw})
		}
	}
	return told, nil
}

func isEmpty(raw json.RawMessage) bool {
	switch string(raw) {
	case "null", `""`, "[]", "{}":
		return true
	}
	return false
}

// takes reports whether the value is one that was asked for (OIDC Core, 5.5.1).
func (a askedClaim) takes(value json.RawMessage) bool {
	return a.values == nil || slices.ContainsFunc(a.values, func(v json.RawMessage) bool { return sameJSON(string(v), string(value)) })
}

// toldNames returns what an Event shows of them.
func toldNames(told []toldClaim) (names []string) {
	for _, t := range told {
		names = append(names, t.name)
	}
	return names
}

// checkClaims returns what is wrong with how c tells of customers.
func checkClaims(c *Config) (v Violations) {
	add := func(value, remedy string) { v = append(v, Violation{"Config", value, remedy}) }
	if c.Pairwise != nil && len(c.Pairwise) < 32 {
		add("Pairwise has "+strconv.Itoa(len(c.Pairwise))+" bytes", "use 32 random bytes or more, or leave it nil")
	}
	switch {
	case c.Claims == nil && len(c.ClaimNames) == 0:
		return v
	case c.Claims == nil:
		add("ClaimNames is set without Claims", "set Claims, which tells them")
	case len(c.ClaimNames) == 0:
		add("Claims is set without ClaimNames", "name the claims that it can return; it is asked for no others")
	case !offersOpenID(c):
		add("Claims is set and nobody can be told", `offer the scope "openid" and set Interact`)
	}
	for i, name := range c.ClaimNames {
		switch {
		case name == "" || strings.HasPrefix(name, "#") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }):
			add("ClaimNames has "+strconv.Quote(name), "use printable ASCII without space")
		case jose.Reserved(name):
			add("ClaimNames has "+strconv.Quote(name), "leave it out; the library says what there is to say of it")
		case slices.ContainsFunc(c.ClaimNames[:i], func(other string) bool { return strings.EqualFold(other, name) }):
			add("ClaimNames has "+strconv.Quote(name)+" twice", "name each claim once; letter case does not tell two apart")
		}
	}
	return v
}
