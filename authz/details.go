package authz

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/token"
)

// Limits of authorization_details, which are hostile input (RFC 9396, 12). How
// deeply they nest is limited by package jose.
const (
	maxDetails  = 32 << 10 // bytes of all that one request or grant has
	maxElements = 32       // objects in it
	maxCarried  = 4 << 10  // bytes of what one access token says; in base64 that is most of its 8 KiB
)

var errManyDetails = refuse("RFC9396-12-1", invalidAuthorizationDetails, "authorization_details are too large")

// innermost is what an element stands in where it lies deepest, in a signed
// introspection response (RFC 9701, 5): what our own readers could not read
// there is not granted.
var innermost = [2]string{`{"token_introspection":{"authorization_details":[`, `]}}`}

// A detail is an element of authorization_details, of a type that the server
// offers and with no members but those of the type.
type detail struct {
	*DetailsType
	text      string   // JSON, as it was sent
	locations []string // nil: wherever the type means something
}

type details []detail

// parseDetails reads a JSON array of objects (RFC 9396, 2).
func (s *Server) parseDetails(text string) (details, error) {
	if len(text) > maxDetails {
		return nil, errManyDetails
	}
	var elements []json.RawMessage
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") || json.Unmarshal([]byte(text), &elements) != nil {
		return nil, refuse("RFC9396-2-1", invalidAuthorizationDetails, "authorization_details is not a JSON array")
	}
	switch {
	case len(elements) == 0:
		return nil, refuse("RFC9396-2-1", invalidAuthorizationDetails, "authorization_details is empty")
	case len(elements) > maxElements:
		return nil, errManyDetails
	}
	parsed := make(details, len(elements))
	for i, raw := range elements {
		var err error
		if parsed[i], err = s.detail(string(raw)); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}

// detail reads one element, strictly: what two readers could take for two
// things, and what the API did not say it understands, is refused (RFC 9396, 5).
func (s *Server) detail(text string) (d detail, err error) {
	c, err := jose.ParseClaims([]byte(text))
	if err != nil {
		return d, refuse("RFC9396-2-1", invalidAuthorizationDetails, "an element of authorization_details is not a JSON object, or can be read in two ways").because(err)
	}
	if _, err := jose.ParseClaims([]byte(innermost[0] + text + innermost[1])); err != nil {
		return d, refuse("RFC9396-12-1", invalidAuthorizationDetails, "authorization_details nest too deeply").because(err)
	}
	name, _ := c.String("type")
	if name == "" {
		return d, refuse("RFC9396-2-2", invalidAuthorizationDetails, "an element of authorization_details has no type")
	}
	d = detail{s.detailsType(name), text, nil}
	if d.DetailsType == nil {
		return d, refuse("RFC9396-5-1", invalidAuthorizationDetails, "unknown type "+short(name))
	}
	for _, field := range c.Names() {
		switch {
		case field == "type":
		case !slices.Contains(d.Fields, field):
			return d, refuse("RFC9396-5-1", invalidAuthorizationDetails, "unknown field "+short(field)+" in type "+short(name))
		case !commonField(c, field):
			return d, refuse("RFC9396-2.2-1", invalidAuthorizationDetails, short(field)+" in type "+short(name)+" has a wrong value")
		case field == "locations":
			d.locations, _ = c.Strings(field)
		}
	}
	for _, location := range d.locations {
		if r := s.locate(location); r == nil || !s.takes(r, name) {
			return d, refuse("RFC9396-5-1", invalidAuthorizationDetails, "a location of type "+short(name)+" is at no API that takes it")
		}
	}
	return d, nil
}

// commonField reports whether a member that is common to all types, if it is
// one, has the form that RFC 9396, 2.2 gives it.
func commonField(c jose.Claims, name string) bool {
	switch name {
	case "locations", "actions", "datatypes", "privileges":
		raw, _ := c.Raw(name)
		list, ok := c.Strings(name) // which takes a single string for a list, too
		return ok && len(list) > 0 && raw[0] == '['
	case "identifier":
		_, ok := c.String(name)
		return ok
	}
	return true
}

// held returns those of the details of a request or a grant that the server
// still offers: what an API has given up ends.
func (s *Server) held(texts []string) details {
	var held details
	for _, text := range texts {
		if d, err := s.detail(text); err == nil {
			held = append(held, d)
		}
	}
	return held
}

// cover reports whether one of ds allows all of d. Types are compared exactly
// (RFC 9396, 2).
func (ds details) cover(d detail) bool {
	return slices.ContainsFunc(ds, func(outer detail) bool {
		return outer.DetailsType == d.DetailsType && d.covers(outer.text, d.text)
	})
}

// concern reports whether one of ds is for the API called id.
func (s *Server) concern(ds details, id string) bool {
	return slices.ContainsFunc(ds, func(d detail) bool { return s.concerns(d, []string{id}) })
}

// concerns reports whether d is for one of the APIs called ids: one that takes
// its type and where one of its locations is, if it names any.
func (s *Server) concerns(d detail, ids []string) bool {
	for _, id := range ids {
		r := s.resource(id)
		if r == nil || !s.takes(r, d.Name) {
			continue
		}
		if d.locations == nil || slices.ContainsFunc(d.locations, func(l string) bool { return s.locate(l) == r }) {
			return true
		}
	}
	return false
}

// among returns those of ds that are for one of the APIs called ids. An API is
// told of no others (RFC 9396, 9.1 and 13).
func (s *Server) among(ds details, ids []string) details {
	return slices.DeleteFunc(slices.Clone(ds), func(d detail) bool { return !s.concerns(d, ids) })
}

// detailsAt returns the details that access token a gives at the APIs called ids:
// some of its own or, where it says nothing of them, of those of its grant,
// which may be nil.
func (s *Server) detailsAt(a *token.Access, granted, ids []string) details {
	if len(a.Details) > 0 {
		granted = texts(a.Details)
	}
	return s.among(s.held(granted), ids)
}

// texts returns ds as a record keeps them.
func (ds details) texts() []string {
	var texts []string
	for _, d := range ds {
		texts = append(texts, d.text)
	}
	return texts
}

// types returns the types of ds, each once, for the audit trail.
func (ds details) types() []string {
	var types []string
	for _, d := range ds {
		if !slices.Contains(types, d.Name) {
			types = append(types, d.Name)
		}
	}
	return types
}

// raw returns ds as JSON values.
func (ds details) raw() []json.RawMessage {
	var raw []json.RawMessage
	for _, d := range ds {
		raw = append(raw, json.RawMessage(d.text))
	}
	return raw
}

// large reports whether ds are too large for an access token.
func (ds details) large() bool { return len(ds.array()) > maxCarried }

// carried returns what an access token says of ds: all, or nothing where they
// are too large, so that an API asks for them (RFC 9396, 9.2) and meanwhile
// allows nothing.
func (ds details) carried() []json.RawMessage {
	if ds.large() {
		return nil
	}
	return ds.raw()
}

// array returns ds as a JSON array.
func (ds details) array() []byte { return []byte("[" + strings.Join(ds.texts(), ",") + "]") }

// sameJSON reports whether two objects that were read strictly are the same
// value. Nothing is normalized (RFC 9396, 12): strings are compared code point
// by code point and numbers as they are written.
func sameJSON(a, b string) bool {
	x, y := jsonValue(a), jsonValue(b)
	return x != nil && reflect.DeepEqual(x, y)
}

func jsonValue(text string) (v any) {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil
	}
	return v
}
