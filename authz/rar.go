package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/aikagi/aikagi/internal/grant"
)

// A DetailsType is a type of authorization_details that an API of the host
// defines (RFC 9396, 2). Its functions are called concurrently, with objects of
// this type alone that have no members but those of Fields; they change none of
// what they are given.
type DetailsType struct {
	// Name is the member type, compared exactly. Where others define types too,
	// a URI of one's own keeps them apart (RFC 9396, 2.1).
	Name string

	// Fields are the members that an object may have beside type, those of RFC
	// 9396, 2.2 (locations, actions, datatypes, privileges and identifier) among
	// them where the type uses them, and those that consent adds. An object
	// with any other is refused (RFC 9396, 5), and so is one of those five that
	// is not of the type that the RFC gives it or is an empty array: nobody
	// could tell whether that means nothing or everything.
	Fields []string

	// Check, if not nil, says what is wrong with the details that a client asks
	// for: in problem, in words that the client's developer may see, or "". An
	// error is an outage and refuses nothing. What is required, and which values
	// there are, is for Check to say.
	Check func(ctx context.Context, c *Client, details json.RawMessage) (problem string, err error)

	// Covers, if not nil, reports whether who may do outer may do inner as well:
	// whether inner asks for nothing beyond it. It decides what of a request may
	// be approved and what of a grant one token may have. Details that consent
	// completed, such as by the account to pay from, lie within those that left
	// it open, and not the other way about. If nil, inner is to be equal to
	// outer as a JSON value: the order of members does not matter, strings are
	// compared code point by code point and numbers as they are written.
	Covers func(outer, inner json.RawMessage) bool

	// Text, if not nil, says in the language lang, a BCP 47 tag, what the
	// customer is asked to allow, for [Interaction.DetailsText].
	Text func(details json.RawMessage, lang string) string

	// Scopes, if there are any, are those of Config.Scopes of which an
	// authorization request for such details asks for one, too: the name of the
	// service, say, that they say more about.
	Scopes []string

	// Credentials says that a client may ask for such details for itself, by
	// client_credentials, where no customer approves.
	Credentials bool
}

// covers is t.Covers, whatever t leaves out.
func (t *DetailsType) covers(outer, inner string) bool {
	if t.Covers == nil {
		return sameJSON(outer, inner)
	}
	return t.Covers(json.RawMessage(outer), json.RawMessage(inner))
}

// checkDetailsTypes returns what is wrong with c.DetailsTypes.
func checkDetailsTypes(c *Config) (v Violations) {
	for i, t := range c.DetailsTypes {
		name := "DetailsTypes has " + strconv.Quote(t.Name)
		if t.Name == "" || !utf8.ValidString(t.Name) {
			v = append(v, Violation{"RFC9396-2-2", name, "give the type a name in UTF-8"})
		}
		if slices.ContainsFunc(c.DetailsTypes[:i], func(other DetailsType) bool { return other.Name == t.Name }) {
			v = append(v, Violation{"RFC9396-2-2", name + " twice", "give each type a name of its own"})
		}
		if !slices.ContainsFunc(c.Resources, func(r Resource) bool { return r.takes(t.Name, len(c.Resources)) }) {
			v = append(v, Violation{"RFC9396-9-1", name + ", which no API takes", "name it in DetailsTypes of a Resource"})
		}
		for j, field := range t.Fields {
			if field == "" || slices.Contains(t.Fields[:j], field) {
				v = append(v, Violation{"RFC9396-5-1", name + " with field " + strconv.Quote(field), "name each field once"})
			}
		}
		for _, scope := range t.Scopes {
			if !slices.Contains(c.Scopes, scope) {
				v = append(v, Violation{"RFC9396-3.1-1", name + " with scope " + strconv.Quote(scope), "offer it in Scopes, too"})
			}
		}
	}
	return v
}

// cloneDetailsTypes returns a copy that shares no slice with ts.
func cloneDetailsTypes(ts []DetailsType) []DetailsType {
	ts = slices.Clone(ts)
	for i := range ts {
		ts[i].Fields, ts[i].Scopes = slices.Clone(ts[i].Fields), slices.Clone(ts[i].Scopes)
	}
	return ts
}

// detailsType returns the type called name, or nil.
func (s *Server) detailsType(name string) *DetailsType {
	for i := range s.config.DetailsTypes {
		if s.config.DetailsTypes[i].Name == name {
			return &s.config.DetailsTypes[i]
		}
	}
	return nil
}

// mayAsk reports whether the client may ask for details of that type (RFC 9396,
// 10).
func (c *Client) mayAsk(typ string) bool {
	return c.DetailsTypes == nil || slices.Contains(c.DetailsTypes, typ)
}

// readDetails reads and checks the parameter authorization_details of an
// authorization request (RFC 9396, 5). The parameter resource has no effect on
// it: where details apply is what their locations say (RFC 9396, 3.2).
func (s *Server) readDetails(ctx context.Context, c *Client, text string) ([]string, error) {
	asked, err := s.askedDetails(ctx, c, text, nil)
	return asked.texts(), err
}

// checkFamilies refuses a request for details without a scope that goes with
// them.
func (s *Server) checkFamilies(scopes, details []string) error {
	for _, d := range s.held(details) {
		if len(d.Scopes) > 0 && !slices.ContainsFunc(d.Scopes, func(scope string) bool { return slices.Contains(scopes, scope) }) {
			return refuse("UAE-14", invalidScope, "no scope goes with authorization_details of the type "+short(d.Name))
		}
	}
	return nil
}

// askedDetails reads the parameter authorization_details. Those of its elements
// that are equal to one already held need no check by the host: they may be of
// its own making.
func (s *Server) askedDetails(ctx context.Context, c *Client, text string, held details) (details, error) {
	if text == "" {
		return nil, nil
	}
	asked, err := s.parseDetails(text)
	if err != nil {
		return nil, err
	}
	for _, d := range asked {
		if !c.mayAsk(d.Name) {
			return nil, refuse("RFC9396-10-1", invalidAuthorizationDetails, "the client is not registered for the type "+short(d.Name))
		}
		if d.Check == nil || slices.ContainsFunc(held, func(h detail) bool { return sameJSON(h.text, d.text) }) {
			continue
		}
		problem, err := d.Check(ctx, c, json.RawMessage(d.text))
		if err != nil {
			return nil, fmt.Errorf("DetailsType.Check of %s: %v", d.Name, err) // an Error of the host is no refusal
		}
		if problem != "" {
			return nil, refuse("RFC9396-5-1", invalidAuthorizationDetails, problem)
		}
	}
	return asked, nil
}

// ownDetails reads the parameter authorization_details of a client that acts
// for itself (RFC 9396, 6).
func (s *Server) ownDetails(ctx context.Context, req *tokenRequest) (details, error) {
	asked, err := s.askedDetails(ctx, req.client.Client, req.Get("authorization_details"), nil)
	for _, d := range asked {
		if !d.Credentials {
			return nil, refuse("RFC9396-5-1", invalidAuthorizationDetails, "details of this type need a customer")
		}
	}
	return asked, err
}

// narrowDetails returns the details that the token request asks for out of
// those granted, by default all (RFC 9396, 6). Each lies within one of them:
// what two objects allow does not add up to a third (RFC 9396, 2.2).
func (s *Server) narrowDetails(ctx context.Context, req *tokenRequest, granted details) (details, error) {
	asked, err := s.askedDetails(ctx, req.client.Client, req.Get("authorization_details"), granted)
	if err != nil {
		return nil, err
	}
	if asked == nil {
		return granted, nil
	}
	for _, d := range asked {
		if !granted.cover(d) {
			return nil, refuse("RFC9396-6-2", invalidAuthorizationDetails, "authorization_details are wider than the grant")
		}
	}
	return asked, nil
}

// DetailsText says in the language lang, a BCP 47 tag, what each of in.Details
// asks of the customer, for the consent page: what the type's Text says, or the
// JSON itself where there is none, with every character that can be seen as it
// is and every other one escaped, such as those that turn the direction of what
// follows. It is text, in which the client may have put anything; the page
// escapes it.
func (in *Interaction) DetailsText(lang string) []string {
	var texts []string
	for _, raw := range in.Details {
		text := string(raw)
		d, err := in.server.detail(text)
		if err == nil && d.Text != nil {
			text = d.Text(raw, lang)
		} else {
			text = legible(raw)
		}
		texts = append(texts, text)
	}
	return texts
}

// jsonString is a string in what is known to be JSON.
var jsonString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// legible returns JSON for people. A client chooses which characters it escapes.
func legible(raw json.RawMessage) string {
	return jsonString.ReplaceAllStringFunc(string(raw), func(literal string) string {
		var s string
		if json.Unmarshal([]byte(literal), &s) != nil {
			return literal
		}
		return strconv.QuoteToGraphic(s)
	})
}

// within refuses a decision that approves more than was asked, or nothing (RFC
// 9396, 3.1). Details were checked when they were asked for; what the host made
// of them is held to the type's fields once more, and to its Covers.
func (in *Interaction) within(d Decision) error {
	s, asked := in.server, in.request
	for _, scope := range d.Scopes {
		if !slices.Contains(asked.Scopes, scope) {
			return refuse("RFC9700-4.14.2-1", invalidScope, "more was approved than asked")
		}
	}
	wanted, size := s.held(asked.Details), 0
	for _, raw := range d.Details {
		granted, err := s.detail(string(raw))
		if err != nil {
			return err
		}
		if !wanted.cover(granted) {
			return refuse("RFC9396-3.1-2", invalidAuthorizationDetails, "more was approved than asked")
		}
		size += len(raw)
	}
	if size > maxDetails || len(d.Details) > maxElements {
		return errManyDetails
	}
	scopes := d.Scopes == nil && len(asked.Scopes) > 0 || len(d.Scopes) > 0
	details := d.Details == nil && len(asked.Details) > 0 || len(d.Details) > 0
	if !scopes && !details {
		return errors.New("authz: Decision approves nothing; deny instead")
	}
	return nil
}

// stillOffered refuses a pushed request for what the server no longer offers or
// the client is no longer registered for (RFC 9126, 7.4).
func (s *Server) stillOffered(c *Client, req *grant.Request) error {
	for _, id := range req.Resources {
		if s.resource(id) == nil {
			return refuse("RFC9126-7.4-1", invalidRequest, "resource is no longer known")
		}
	}
	for _, text := range req.Details {
		if d, err := s.detail(text); err != nil || !c.mayAsk(d.Name) {
			return refuse("RFC9126-7.4-1", invalidRequest, "authorization_details are no longer registered")
		}
	}
	return nil
}

// texts returns details as a record keeps them.
func texts(details []json.RawMessage) []string {
	texts := make([]string, len(details))
	for i, raw := range details {
		texts[i] = string(raw)
	}
	return texts
}

// describeTargets says in the metadata which APIs and which types of details
// there are.
func (s *Server) describeTargets(d *document) {
	for _, r := range s.config.Resources {
		d.Resources = append(d.Resources, r.ID)
	}
	for _, t := range s.config.DetailsTypes {
		if s.config.Interact != nil || t.Credentials {
			d.DetailsTypes = append(d.DetailsTypes, t.Name)
		}
	}
}

// short returns the start of a stranger's text, harmless in answers and logs.
func short(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "..."
	}
	return clean(s)
}
