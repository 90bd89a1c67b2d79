package jose

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds how deeply arrays and objects may nest in each other, so
// that a stranger cannot choose the depth of our stack.
const maxDepth = 32

// A member is one name and value of a JSON object. Both are parts of the
// input, the value without surrounding whitespace.
type member struct {
	name string // unescaped
	raw  string
}

// parseObject takes a JSON object apart. It is stricter than encoding/json
// where two readers of one text could see different things: names that occur
// twice or differ only in letter case are refused at any depth (encoding/json
// takes the last one, whatever its case), and so are invalid UTF-8, lone
// surrogates, trailing data and deep nesting.
func parseObject(s string) ([]member, error) {
	if !utf8.ValidString(s) {
		return nil, malformed("JSON is not UTF-8") // RFC 8725, 3.7
	}
	p := parser{s: s, members: make([]member, 0, 12)}
	p.space()
	if !p.eat('{') {
		return nil, malformed("not a JSON object")
	}
	if err := p.object(1); err != nil {
		return nil, err
	}
	p.space()
	if p.i != len(s) {
		return nil, malformed("data after the JSON object")
	}
	return p.members, nil
}

// A parser walks over one JSON text of valid UTF-8.
type parser struct {
	s string
	i int

	// members is a stack: an object's members lie above those of the objects
	// around it, and only the outermost object's remain at the end.
	members []member
}

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

// eat steps over c if it is next.
func (p *parser) eat(c byte) bool {
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

// object reads the members of an object, whose brace has been read, up to the
// closing brace. It leaves them on the stack.
func (p *parser) object(depth int) error {
	if depth > maxDepth {
		return malformed("JSON nests too deeply")
	}
	var seen names
	base := len(p.members)
	p.space()
	if p.eat('}') {
		return nil
	}
	for {
		p.space()
		name, err := p.name()
		if err != nil {
			return err
		}
		if !seen.add(p.members[base:], name) {
			return malformed("JSON member occurs twice") // RFC 7515, 4; RFC 7519, 4
		}
		at := len(p.members)
		p.members = append(p.members, member{name: name})
		raw, err := p.value(depth)
		if err != nil {
			return err
		}
		p.members = p.members[:at+1] // what objects inside it left
		p.members[at].raw = raw
		p.space()
		if p.eat('}') {
			return nil
		}
		if !p.eat(',') {
			return malformed("JSON object")
		}
	}
}

// name reads a member's name and the colon after it.
func (p *parser) name() (string, error) {
	if !p.eat('"') {
		return "", malformed("JSON member without a name")
	}
	start := p.i - 1
	escaped, err := p.string()
	if err != nil {
		return "", err
	}
	name := p.s[start+1 : p.i-1]
	if escaped {
		if name, err = unescape(p.s[start:p.i]); err != nil {
			return "", err
		}
	}
	p.space()
	if !p.eat(':') {
		return "", malformed("JSON member without a colon")
	}
	p.space()
	return name, nil
}

// value reads one value and returns its text.
func (p *parser) value(depth int) (string, error) {
	start := p.i
	var err error
	switch {
	case p.eat('"'):
		_, err = p.string()
	case p.eat('{'):
		err = p.object(depth + 1)
	case p.eat('['):
		err = p.array(depth + 1)
	default:
		if !p.literal() && !p.number() {
			err = malformed("JSON value")
		}
	}
	return p.s[start:p.i], err
}

// array reads the rest of an array whose bracket has been read.
func (p *parser) array(depth int) error {
	if depth > maxDepth {
		return malformed("JSON nests too deeply")
	}
	p.space()
	if p.eat(']') {
		return nil
	}
	for {
		p.space()
		if _, err := p.value(depth); err != nil {
			return err
		}
		p.space()
		if p.eat(']') {
			return nil
		}
		if !p.eat(',') {
			return malformed("JSON array")
		}
	}
}

// string reads the rest of a string whose first quote has been read, and
// reports whether it contains escapes.
func (p *parser) string() (escaped bool, err error) {
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			return escaped, nil
		case c < ' ':
			return false, malformed("control character in JSON string")
		case c == '\\':
			escaped = true
			if !p.escape() {
				return false, malformed("escape in JSON string")
			}
		}
	}
	return false, malformed("JSON string without end")
}

// escape reads what follows a backslash. Half a surrogate pair stands for no
// character, and readers differ in what they make of it: refused.
func (p *parser) escape() bool {
	if p.i == len(p.s) {
		return false
	}
	c := p.s[p.i]
	p.i++
	if c != 'u' {
		return strings.IndexByte(`"\/bfnrt`, c) >= 0
	}
	r, ok := p.hex4()
	switch {
	case !ok || 0xDC00 <= r && r <= 0xDFFF:
		return false
	case r < 0xD800 || 0xDFFF < r:
		return true
	}
	if !p.eat('\\') || !p.eat('u') {
		return false
	}
	low, ok := p.hex4()
	return ok && 0xDC00 <= low && low <= 0xDFFF
}

func (p *parser) hex4() (r rune, ok bool) {
	if len(p.s)-p.i < 4 {
		return 0, false
	}
	for range 4 {
		c := p.s[p.i]
		p.i++
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (p *parser) literal() bool {
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(p.s[p.i:], word) {
			p.i += len(word)
			return true
		}
	}
	return false
}

// number reads a number by the grammar of RFC 8259, 6: NaN, Infinity, a
// leading zero or plus, and a bare point are none.
func (p *parser) number() bool {
	p.eat('-')
	if !p.eat('0') && !p.digits() {
		return false
	}
	if p.eat('.') && !p.digits() {
		return false
	}
	if p.eat('e') || p.eat('E') {
		if !p.eat('+') {
			p.eat('-')
		}
		return p.digits()
	}
	return true
}

// digits reads one digit or more.
func (p *parser) digits() bool {
	start := p.i
	for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i > start
}

// names finds repeated names among an object's members. Few members are
// compared one by one; many go into a map, or a stranger's large object would
// cost the square of its size.
type names struct{ folded map[string]bool }

const fewMembers = 32

// add reports whether name is new to an object that has members so far.
func (n *names) add(members []member, name string) bool {
	if len(members) < fewMembers {
		for _, m := range members {
			if strings.EqualFold(m.name, name) {
				return false
			}
		}
		return true
	}
	if n.folded == nil {
		n.folded = make(map[string]bool, 2*len(members))
		for _, m := range members {
			n.folded[fold(m.name)] = true
		}
	}
	f := fold(name)
	if n.folded[f] {
		return false
	}
	n.folded[f] = true
	return true
}

// fold maps names that strings.EqualFold finds equal to one string.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, s)
}

// unescape returns the value of a JSON string that has been checked. Escapes
// are rare in what we read, so encoding/json does it.
func unescape(quoted string) (string, error) {
	var s string
	if err := json.Unmarshal([]byte(quoted), &s); err != nil {
		return "", malformed("JSON string")
	}
	return s, nil
}
