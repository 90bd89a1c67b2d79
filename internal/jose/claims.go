package jose

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Claims is a JSON object that was read strictly: no member occurs twice at
// any depth, not even in other letter case, and all of it is UTF-8. Names are
// compared case-sensitively. The zero Claims has no members.
//
// The methods that return a value and a bool return false if the member is
// absent or of another type; a caller who must tell these apart asks
// [Claims.Has]. A member that is null is there, and of no other type.
type Claims struct{ members []member }

// ParseClaims reads a JSON object. It refuses, with [ErrMalformed], what two
// readers could understand differently, and nesting deeper than 32. It does
// not keep b.
func ParseClaims(b []byte) (Claims, error) {
	members, err := parseObject(string(b))
	return Claims{members}, err
}

func (c Claims) find(name string) (raw string, ok bool) {
	for i := range c.members {
		if c.members[i].name == name {
			return c.members[i].raw, true
		}
	}
	return "", false
}

// Names returns the names of all members, in the order they were written.
func (c Claims) Names() []string {
	names := make([]string, len(c.members))
	for i, m := range c.members {
		names[i] = m.name
	}
	return names
}

// Has reports whether there is a member called name, of whatever type.
func (c Claims) Has(name string) bool {
	_, ok := c.find(name)
	return ok
}

// String returns the string called name.
func (c Claims) String(name string) (string, bool) {
	raw, _ := c.find(name)
	return stringValue(raw)
}

func stringValue(raw string) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true
	}
	s, err := unescape(raw)
	return s, err == nil
}

// Strings returns the array of strings called name. A single string is an
// array of one, as RFC 7519, 4.1.3 has it for aud. An empty array is not nil.
func (c Claims) Strings(name string) ([]string, bool) {
	raw, _ := c.find(name)
	if s, ok := stringValue(raw); ok {
		return []string{s}, true
	}
	elements, ok := elements(raw)
	if !ok {
		return nil, false
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		if list[i], ok = stringValue(e); !ok {
			return nil, false
		}
	}
	return list, true
}

// elements returns the texts of an array's elements.
func elements(raw string) ([]string, bool) {
	p := parser{s: raw}
	if !p.eat('[') {
		return nil, false
	}
	var list []string
	for p.space(); !p.eat(']'); p.space() {
		if len(list) > 0 && !p.eat(',') {
			return nil, false
		}
		p.space()
		e, err := p.value(1)
		if err != nil {
			return nil, false
		}
		list = append(list, e)
	}
	return list, true
}

// Bool returns the truth value called name.
func (c Claims) Bool(name string) (value, ok bool) {
	raw, _ := c.find(name)
	return raw == "true", raw == "true" || raw == "false"
}

// Int returns the number called name, if it is written as a whole number,
// without fraction or exponent, and fits.
func (c Claims) Int(name string) (int64, bool) {
	raw, _ := c.find(name)
	n, err := strconv.ParseInt(raw, 10, 64)
	return n, err == nil
}

// maxDate bounds a NumericDate: up to here a float64 tells seconds apart.
const maxDate = 1 << 53

// Time returns the NumericDate called name: seconds since 1970, whole or not
// (RFC 7519, 2). Anything beyond 2^53 seconds either way is no date. Fractions
// are kept as precisely as a float64 holds them.
func (c Claims) Time(name string) (time.Time, bool) {
	raw, _ := c.find(name)
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return time.Unix(n, 0), -maxDate <= n && n <= maxDate
	}
	f, err := strconv.ParseFloat(raw, 64) // NaN and the like are no JSON and never get here
	if err != nil || math.Abs(f) > maxDate {
		return time.Time{}, false
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)), true
}

// Raw returns a copy of the JSON text of the member called name.
func (c Claims) Raw(name string) (json.RawMessage, bool) {
	raw, ok := c.find(name)
	if !ok {
		return nil, false
	}
	return json.RawMessage(raw), true
}

// Object returns the object called name.
func (c Claims) Object(name string) (Claims, bool) {
	raw, _ := c.find(name)
	if raw == "" || raw[0] != '{' {
		return Claims{}, false
	}
	members, err := parseObject(raw)
	return Claims{members}, err == nil
}
