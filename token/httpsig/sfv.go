package httpsig

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// Structured fields (RFC 9651), as far as signatures and digests use them:
// dictionaries whose members are items or inner lists, with parameters, of
// integers, strings, tokens, byte sequences and booleans.

// Bounds on a field, from its sender. An honest Signature-Input has 300 bytes.
const (
	maxField   = 16 << 10 // bytes
	maxMembers = 16       // of a dictionary
	maxItems   = 64       // of an inner list
	maxParams  = 16       // of an item or an inner list
)

var errSyntax = errors.New("not a well-formed structured field")

// kind is the type of a bare item.
type kind byte

const (
	boolean kind = iota
	integer
	text  // a string
	token // an unquoted word
	octets
)

// A bare is an item without parameters. Its zero value is false.
type bare struct {
	kind   kind
	number int64  // of an integer; of a boolean 0 or 1
	text   string // of the others, octets decoded
}

var yes = bare{kind: boolean, number: 1}

type param struct {
	name  string
	value bare
}

type params []param

func (ps params) get(name string) (bare, bool) {
	for _, p := range ps {
		if p.name == name {
			return p.value, true
		}
	}
	return bare{}, false
}

type item struct {
	value  bare
	params params
}

// A member of a dictionary is an item, or with inner set a list of items.
type member struct {
	name  string
	inner bool
	items []item // one if not inner
	params
}

// parseDictionary reads a dictionary (RFC 9651, 4.2.2). It is stricter in that
// no name may occur twice: of two signatures under one label, which would count?
func parseDictionary(s string) ([]member, error) {
	if len(s) > maxField {
		return nil, errSyntax
	}
	p := parser{rest: strings.Trim(s, " ")}
	var members []member
	for p.rest != "" {
		m, ok := p.member()
		if !ok || len(members) == maxMembers || find(members, m.name) != nil {
			return nil, errSyntax
		}
		members = append(members, m)
		p.rest = strings.TrimLeft(p.rest, " \t")
		if p.rest == "" {
			break
		}
		if !p.eat(',') {
			return nil, errSyntax
		}
		if p.rest = strings.TrimLeft(p.rest, " \t"); p.rest == "" {
			return nil, errSyntax
		}
	}
	return members, nil
}

func find(members []member, name string) *member {
	for i := range members {
		if members[i].name == name {
			return &members[i]
		}
	}
	return nil
}

// A parser reads from the beginning of rest. Its methods report whether they
// found what they are named for.
type parser struct{ rest string }

func (p *parser) eat(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// take returns the longest beginning of which all bytes are good.
func (p *parser) take(good func(byte) bool) string {
	n := 0
	for n < len(p.rest) && good(p.rest[n]) {
		n++
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

func (p *parser) member() (m member, ok bool) {
	if m.name, ok = p.key(); !ok {
		return m, false
	}
	switch {
	case !p.eat('='): // a name alone is true
		m.items = []item{{value: yes}}
	case p.eat('('):
		m.inner = true
		if m.items, ok = p.innerList(); !ok {
			return m, false
		}
	default:
		v, ok := p.bare()
		if !ok {
			return m, false
		}
		m.items = []item{{value: v}}
	}
	m.params, ok = p.params()
	return m, ok
}

// innerList reads what follows the opening parenthesis (RFC 9651, 4.2.1.2).
func (p *parser) innerList() (items []item, ok bool) {
	for {
		p.rest = strings.TrimLeft(p.rest, " ")
		if p.eat(')') {
			return items, true
		}
		var it item
		if it.value, ok = p.bare(); !ok || len(items) == maxItems {
			return nil, false
		}
		if it.params, ok = p.params(); !ok {
			return nil, false
		}
		items = append(items, it)
		if p.rest == "" || p.rest[0] != ' ' && p.rest[0] != ')' {
			return nil, false
		}
	}
}

func (p *parser) params() (ps params, ok bool) {
	for p.eat(';') {
		p.rest = strings.TrimLeft(p.rest, " ")
		v := param{value: yes}
		if v.name, ok = p.key(); !ok || len(ps) == maxParams {
			return nil, false
		}
		if _, twice := ps.get(v.name); twice {
			return nil, false
		}
		if p.eat('=') {
			if v.value, ok = p.bare(); !ok {
				return nil, false
			}
		}
		ps = append(ps, v)
	}
	return ps, true
}

func (p *parser) key() (string, bool) {
	s := p.take(func(c byte) bool {
		return isLower(c) || isDigit(c) || strings.IndexByte("_-.*", c) >= 0
	})
	return s, s != "" && (isLower(s[0]) || s[0] == '*')
}

func (p *parser) bare() (bare, bool) {
	if p.rest == "" {
		return bare{}, false
	}
	switch c := p.rest[0]; {
	case c == '"':
		return p.quoted()
	case c == ':':
		return p.octets()
	case c == '?':
		return p.boolean()
	case c == '-' || isDigit(c):
		return p.integer()
	case c == '*' || isAlpha(c):
		s := p.take(func(c byte) bool { return isTchar(c) || c == ':' || c == '/' })
		return bare{kind: token, text: s}, true
	}
	return bare{}, false
}

func (p *parser) integer() (bare, bool) {
	sign := ""
	if p.eat('-') {
		sign = "-"
	}
	digits := p.take(isDigit)
	if len(digits) == 0 || len(digits) > 15 {
		return bare{}, false
	}
	n, err := strconv.ParseInt(sign+digits, 10, 64)
	return bare{kind: integer, number: n}, err == nil
}

func (p *parser) quoted() (bare, bool) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case c == '"':
			p.rest = p.rest[i+1:]
			return bare{kind: text, text: b.String()}, true
		case c == '\\':
			if i++; i == len(p.rest) || p.rest[i] != '"' && p.rest[i] != '\\' {
				return bare{}, false
			}
			c = p.rest[i]
		case c < ' ' || c > '~':
			return bare{}, false
		}
		b.WriteByte(c)
	}
	return bare{}, false
}

// base64s is strict about the bits that pad; the decoder skips line breaks,
// which take does not let through.
var base64s = base64.StdEncoding.Strict()

func (p *parser) octets() (bare, bool) {
	p.rest = p.rest[1:]
	s := p.take(func(c byte) bool {
		return isAlpha(c) || isDigit(c) || c == '+' || c == '/' || c == '='
	})
	b, err := base64s.DecodeString(s)
	return bare{kind: octets, text: string(b)}, err == nil && p.eat(':')
}

func (p *parser) boolean() (bare, bool) {
	p.rest = p.rest[1:]
	switch {
	case p.eat('1'):
		return yes, true
	case p.eat('0'):
		return bare{}, true
	}
	return bare{}, false
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return isLower(c) || 'A' <= c && c <= 'Z' }

// isTchar is the set of RFC 9110, 5.6.2.
func isTchar(c byte) bool {
	return isAlpha(c) || isDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// The other way: RFC 9651, 4.1. There is one text for each value.

func (v bare) append(b []byte) []byte {
	switch v.kind {
	case integer:
		return strconv.AppendInt(b, v.number, 10)
	case text:
		b = append(b, '"')
		for i := range len(v.text) {
			if c := v.text[i]; c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, v.text[i])
		}
		return append(b, '"')
	case token:
		return append(b, v.text...)
	case octets:
		b = append(b, ':')
		b = base64s.AppendEncode(b, []byte(v.text))
		return append(b, ':')
	}
	return append(b, '?', '0'+byte(v.number))
}

func (ps params) append(b []byte) []byte {
	for _, p := range ps {
		b = append(append(b, ';'), p.name...)
		if p.value != yes {
			b = p.value.append(append(b, '='))
		}
	}
	return b
}

func (it item) append(b []byte) []byte { return it.params.append(it.value.append(b)) }

// append appends the member's value, without its name.
func (m *member) append(b []byte) []byte {
	if !m.inner {
		return m.params.append(m.items[0].append(b))
	}
	b = append(b, '(')
	for i, it := range m.items {
		if i > 0 {
			b = append(b, ' ')
		}
		b = it.append(b)
	}
	return m.params.append(append(b, ')'))
}
