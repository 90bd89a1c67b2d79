package mtls

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A name is a distinguished name in the order of its encoding, the least
// specific part first; each part is a set of attributes.
type name [][]attribute

// An attribute is a type and a value. Text is comparable where the value is a
// string; raw is its DER otherwise, and for a value that was written as hex.
type attribute struct {
	oid  string
	text string
	raw  []byte
}

var (
	errDN        = errors.New("mtls: malformed distinguished name")
	errDNSubject = errors.New("mtls: certificate subject cannot be compared safely")
)

// attributeTypes has the names of RFC 4514, 3, and those that tools print
// besides.
var attributeTypes = map[string]string{
	"CN": "2.5.4.3", "L": "2.5.4.7", "ST": "2.5.4.8", "S": "2.5.4.8", "O": "2.5.4.10", "OU": "2.5.4.11",
	"C": "2.5.4.6", "STREET": "2.5.4.9", "DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1",
	"SERIALNUMBER": "2.5.4.5", "BUSINESSCATEGORY": "2.5.4.15", "ORGANIZATIONIDENTIFIER": "2.5.4.97",
	"JURISDICTIONCOUNTRYNAME": "1.3.6.1.4.1.311.60.2.1.3", "JURISDICTIONC": "1.3.6.1.4.1.311.60.2.1.3",
	"EMAILADDRESS": "1.2.840.113549.1.9.1", "E": "1.2.840.113549.1.9.1", "SN": "2.5.4.4", "T": "2.5.4.12", "GN": "2.5.4.42",
}

// matchDN compares a registered name with a certificate's subject, as
// distinguishedNameMatch of RFC 4517 does: the same parts in the same order,
// each with the same attributes in any order. Text is compared without case
// and with spaces folded, whatever string type holds it; normalization beyond
// that (RFC 4518) is not done, so that composed and decomposed characters
// differ.
func matchDN(registered string, rawSubject []byte) error {
	want, err := parseDN(registered)
	if err != nil {
		return err
	}
	got, err := decodeDN(rawSubject)
	if err != nil {
		return err
	}
	if len(want) == 0 || len(want) != len(got) {
		return errNoMatch
	}
	for i := range want {
		if !sameRDN(want[i], got[i]) {
			return errNoMatch
		}
	}
	return nil
}

func sameRDN(a, b []attribute) bool {
	if len(a) != len(b) {
		return false
	}
	b = slices.Clone(b)
	for _, x := range a {
		i := slices.IndexFunc(b, x.same)
		if i < 0 {
			return false
		}
		b = slices.Delete(b, i, i+1)
	}
	return true
}

func (a attribute) same(b attribute) bool {
	if a.oid != b.oid {
		return false
	}
	if a.raw != nil || b.raw != nil {
		return bytes.Equal(a.raw, b.raw)
	}
	return prepare(a.text) == prepare(b.text)
}

// prepare folds case and spaces.
func prepare(s string) string {
	return strings.Join(strings.FieldsFunc(strings.Map(fold, s), func(r rune) bool { return r == ' ' }), " ")
}

// fold maps a rune to the least rune that differs from it in case alone.
func fold(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}

// decodeDN reads a Name (RFC 5280, 4.1.2.4).
func decodeDN(der []byte) (name, error) {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil, errDNSubject
	}
	var n name
	for !seq.Empty() {
		var set cryptobyte.String
		if !seq.ReadASN1(&set, asn1.SET) {
			return nil, errDNSubject
		}
		var rdn []attribute
		for !set.Empty() {
			var ava, oid, value cryptobyte.String
			if !set.ReadASN1(&ava, asn1.SEQUENCE) || !ava.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) {
				return nil, errDNSubject
			}
			var tag asn1.Tag
			if !ava.ReadAnyASN1Element(&value, &tag) || !ava.Empty() {
				return nil, errDNSubject
			}
			a, err := decodeValue(dotted(oid), value)
			if err != nil {
				return nil, err
			}
			rdn = append(rdn, a)
		}
		n = append(n, rdn)
	}
	return n, nil
}

// decodeValue reads one attribute value with its tag and length.
func decodeValue(oid string, element []byte) (attribute, error) {
	in := cryptobyte.String(element)
	var value cryptobyte.String
	var tag asn1.Tag
	if !in.ReadAnyASN1(&value, &tag) || !in.Empty() {
		return attribute{}, errDNSubject
	}
	var text string
	switch tag {
	case asn1.UTF8String, asn1.PrintableString, asn1.IA5String:
		text = string(value)
	case asn1.T61String: // as Latin-1
		var b strings.Builder
		for _, c := range value {
			b.WriteRune(rune(c))
		}
		text = b.String()
	case asn1.Tag(30): // BMPString
		if len(value)%2 != 0 {
			return attribute{}, errDNSubject
		}
		u := make([]uint16, 0, len(value)/2)
		for i := 0; i < len(value); i += 2 {
			u = append(u, uint16(value[i])<<8|uint16(value[i+1]))
		}
		text = string(utf16.Decode(u))
	default:
		return attribute{oid: oid, raw: element}, nil
	}
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\ufffd") {
		return attribute{}, errDNSubject
	}
	return attribute{oid: oid, text: text}, nil
}

func dotted(oid []byte) string {
	var b []byte
	n, first := uint64(0), true
	for _, c := range oid {
		n = n<<7 | uint64(c&0x7f)
		if c&0x80 != 0 {
			continue
		}
		if first {
			top := min(n/40, 2)
			b = strconv.AppendUint(b, top, 10)
			n, first = n-40*top, false
		}
		b = strconv.AppendUint(append(b, '.'), n, 10)
		n = 0
	}
	return string(b)
}

// parseDN reads the string form of RFC 4514, and with it what tools print in
// its place: spaces around separators, semicolons, quoted values and further
// names of types.
func parseDN(s string) (name, error) {
	if !utf8.ValidString(s) {
		return nil, errDN
	}
	p := &dnParser{s: s}
	var n name
	for {
		rdn, err := p.rdn()
		if err != nil {
			return nil, err
		}
		n = append(n, rdn)
		if p.s == "" {
			break
		}
		p.s = p.s[1:] // a comma or semicolon
	}
	slices.Reverse(n) // the string begins with the most specific part
	return n, nil
}

type dnParser struct{ s string }

func (p *dnParser) space() { p.s = strings.TrimLeft(p.s, " ") }

func (p *dnParser) rdn() ([]attribute, error) {
	var rdn []attribute
	for {
		a, err := p.attribute()
		if err != nil {
			return nil, err
		}
		rdn = append(rdn, a)
		if p.s == "" || p.s[0] != '+' {
			return rdn, nil
		}
		p.s = p.s[1:]
	}
}

func (p *dnParser) attribute() (attribute, error) {
	p.space()
	i := strings.IndexByte(p.s, '=')
	if i < 0 {
		return attribute{}, errDN
	}
	typ := strings.ToUpper(strings.TrimRight(p.s[:i], " "))
	p.s = p.s[i+1:]
	oid, ok := attributeTypes[typ]
	if !ok {
		oid = strings.TrimPrefix(typ, "OID.")
		if !isOID(oid) {
			return attribute{}, errDN
		}
	}
	p.space()
	switch {
	case strings.HasPrefix(p.s, "#"):
		return p.hexValue(oid)
	case strings.HasPrefix(p.s, `"`):
		return p.quotedValue(oid)
	}
	return p.plainValue(oid)
}

func isOID(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) < 2 {
		return false
	}
	for _, part := range parts {
		if n, err := strconv.ParseUint(part, 10, 63); err != nil || strconv.FormatUint(n, 10) != part {
			return false
		}
	}
	return true
}

func (p *dnParser) hexValue(oid string) (attribute, error) {
	end := strings.IndexAny(p.s, ",;+")
	if end < 0 {
		end = len(p.s)
	}
	der, err := hex.DecodeString(strings.TrimRight(p.s[1:end], " "))
	if err != nil || len(der) == 0 {
		return attribute{}, errDN
	}
	p.s = p.s[end:]
	a, err := decodeValue(oid, der)
	if err != nil {
		return a, errDN
	}
	return a, nil
}

func (p *dnParser) quotedValue(oid string) (attribute, error) {
	p.s = p.s[1:]
	var b []byte
	for {
		if p.s == "" {
			return attribute{}, errDN
		}
		c := p.s[0]
		if c == '"' {
			p.s = p.s[1:]
			break
		}
		if c != '\\' {
			b, p.s = append(b, c), p.s[1:]
			continue
		}
		e, err := p.escape()
		if err != nil {
			return attribute{}, err
		}
		b = append(b, e)
	}
	p.space()
	if p.s != "" && !strings.ContainsRune(",;+", rune(p.s[0])) {
		return attribute{}, errDN
	}
	return textAttribute(oid, string(b))
}

func (p *dnParser) plainValue(oid string) (attribute, error) {
	var b []byte
	kept := 0 // how much of b is not an unescaped space at the end
	for p.s != "" && !strings.ContainsRune(",;+", rune(p.s[0])) {
		switch c := p.s[0]; c {
		case '"', '<', '>', 0:
			return attribute{}, errDN
		case '\\':
			e, err := p.escape()
			if err != nil {
				return attribute{}, err
			}
			b = append(b, e)
			kept = len(b)
		default:
			b, p.s = append(b, c), p.s[1:]
			if c != ' ' {
				kept = len(b)
			}
		}
	}
	return textAttribute(oid, string(b[:kept]))
}

// escape reads a backslash and what it escapes.
func (p *dnParser) escape() (byte, error) {
	if len(p.s) < 2 {
		return 0, errDN
	}
	if strings.IndexByte(` "#+,;<=>\`, p.s[1]) >= 0 {
		c := p.s[1]
		p.s = p.s[2:]
		return c, nil
	}
	if len(p.s) < 3 {
		return 0, errDN
	}
	b, err := hex.DecodeString(p.s[1:3])
	if err != nil {
		return 0, errDN
	}
	p.s = p.s[3:]
	return b[0], nil
}

func textAttribute(oid, text string) (attribute, error) {
	if text == "" || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		return attribute{}, errDN
	}
	return attribute{oid: oid, text: text}, nil
}
