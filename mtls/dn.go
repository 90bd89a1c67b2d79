package mtls

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// parseDN reads a distinguished name in the string form of RFC 4514, with the
// liberties that [Subject] tells of. The result is in the order of an encoded
// name, which is the reverse. Every name it accepts is one that a certificate
// can have.
func parseDN(s string) (name, error) {
	p := dnParser{in: []byte(s)}
	n := make(name, 0, commonRDNs)
	for {
		r, err := p.rdn()
		if err != nil {
			return nil, err
		}
		n = append(n, r)
		if !p.take(',') && !p.take(';') {
			break
		}
	}
	if p.pos < len(p.in) {
		return nil, p.fail("a separator is missing")
	}
	slices.Reverse(n)
	return n, nil
}

// A dnParser is at octet pos of a name.
type dnParser struct {
	in  []byte
	pos int
}

// fail returns an error that says where, and repeats nothing of the name.
func (p *dnParser) fail(what string) error {
	return fmt.Errorf("mtls: tls_client_auth_subject_dn, octet %d: %s", p.pos, what)
}

// take steps over c if it is next.
func (p *dnParser) take(c byte) bool {
	if p.pos < len(p.in) && p.in[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *dnParser) skipSpaces() {
	for p.take(' ') {
	}
}

func (p *dnParser) rdn() (rdn, error) {
	var r rdn
	for {
		a, err := p.attribute()
		if err != nil {
			return nil, err
		}
		r = append(r, a)
		if !p.take('+') {
			return r, nil
		}
	}
}

func (p *dnParser) attribute() (attribute, error) {
	p.skipSpaces()
	typ, err := p.attributeType()
	if err != nil {
		return attribute{}, err
	}
	p.skipSpaces()
	if !p.take('=') {
		return attribute{}, p.fail("= is missing")
	}
	p.skipSpaces()
	var a attribute
	if p.take('#') {
		a, err = p.encoded(typ)
	} else {
		a, err = p.text(typ)
	}
	p.skipSpaces()
	return a, err
}

// attributeType reads a name or a dotted object identifier, and returns the
// content octets of its encoding.
func (p *dnParser) attributeType() ([]byte, error) {
	start := p.pos
	for p.pos < len(p.in) && (isAlphanumeric(p.in[p.pos]) || p.in[p.pos] == '-' || p.in[p.pos] == '.') {
		p.pos++
	}
	word := string(p.in[start:p.pos])
	if word == "" {
		return nil, p.fail("an attribute type is missing")
	}
	if t, ok := attributeNames[strings.ToLower(word)]; ok {
		return []byte(t.oid), nil
	}
	if len(word) > 4 && strings.EqualFold(word[:4], "OID.") { // RFC 2253, 4
		word = word[4:]
	}
	if word[0] < '0' || word[0] > '9' {
		return nil, p.fail("the name before this is no attribute type we know; write it as a dotted object identifier")
	}
	oid, ok := parseOID(word)
	if !ok {
		return nil, p.fail("the object identifier before this is malformed")
	}
	return oid, nil
}

// parseOID returns the content octets of a dotted object identifier, a
// numericoid of RFC 4512, 1.4. Its numbers are as large as a certificate's may
// be.
func parseOID(dotted string) ([]byte, bool) {
	for arc := range strings.SplitSeq(dotted, ".") {
		if len(arc) > 1 && arc[0] == '0' {
			return nil, false
		}
	}
	oid, err := x509.ParseOID(dotted)
	if err != nil {
		return nil, false
	}
	der, err := oid.MarshalBinary()
	return der, err == nil
}

// encoded reads a value in the form of hexadecimal digits, behind the #.
func (p *dnParser) encoded(typ []byte) (attribute, error) {
	start := p.pos
	for p.pos < len(p.in) && isHex(p.in[p.pos]) {
		p.pos++
	}
	der := make([]byte, hex.DecodedLen(p.pos-start))
	if _, err := hex.Decode(der, p.in[start:p.pos]); err != nil {
		return attribute{}, p.fail("an odd number of hexadecimal digits before this")
	}
	a, err := newAttribute(typ, der)
	if err != nil {
		return attribute{}, p.fail("the hexadecimal digits before this are not one value in DER, or a text that is damaged or has a NUL in it")
	}
	return a, nil
}

// text reads a value in the form of text, quoted or not.
func (p *dnParser) text(typ []byte) (attribute, error) {
	var value []byte
	var err error
	if p.take('"') {
		value, err = p.quoted()
	} else {
		value, err = p.unquoted()
	}
	if err != nil {
		return attribute{}, err
	}
	t, ok := attributeTypes[string(typ)]
	if !ok {
		return attribute{}, p.fail("the value before this is of a type we do not know; write it as # and hexadecimal digits")
	}
	prepared, ok := t.prepare(value)
	if !ok {
		return attribute{}, p.fail("the value before this is not UTF-8, or has a character that cannot be compared")
	}
	if len(prepared) == 0 {
		return attribute{}, p.fail("a value is missing")
	}
	return attribute{typ: typ, isText: true, text: prepared}, nil
}

// unquoted reads up to the next separator. Spaces at its end stay: prepare
// ignores them, escaped or not.
func (p *dnParser) unquoted() ([]byte, error) {
	var value []byte
	for p.pos < len(p.in) {
		c := p.in[p.pos]
		switch c {
		case ',', ';', '+':
			return value, nil
		case '"', '<', '>':
			return nil, p.fail("a character that needs a backslash before it")
		case '\\':
			var err error
			if c, err = p.escaped(); err != nil {
				return nil, err
			}
		default:
			p.pos++
		}
		value = append(value, c)
	}
	return value, nil
}

// quoted reads up to the closing quotation mark, behind the opening one
// (RFC 2253, 4).
func (p *dnParser) quoted() ([]byte, error) {
	var value []byte
	for p.pos < len(p.in) {
		c := p.in[p.pos]
		switch c {
		case '"':
			p.pos++
			return value, nil
		case '\\':
			var err error
			if c, err = p.escaped(); err != nil {
				return nil, err
			}
		default:
			p.pos++
		}
		value = append(value, c)
	}
	return nil, p.fail("a closing quotation mark is missing")
}

// escaped reads a backslash and what it stands before: a character with a
// meaning of its own, or an octet as two hexadecimal digits (RFC 4514, 3).
func (p *dnParser) escaped() (byte, error) {
	rest := p.in[p.pos+1:]
	if len(rest) >= 1 && strings.IndexByte(` "#+,;<=>\`, rest[0]) >= 0 {
		p.pos += 2
		return rest[0], nil
	}
	var octet [1]byte
	if len(rest) < 2 {
		return 0, p.fail("a backslash with nothing to escape")
	}
	if _, err := hex.Decode(octet[:], rest[:2]); err != nil {
		return 0, p.fail("a backslash before a character that needs none")
	}
	p.pos += 3
	return octet[0], nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
