package mtls

import (
	"bytes"
	"errors"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var (
	errName    = errors.New("mtls: certificate has a subject DN that cannot be read")
	errNameNUL = errors.New("mtls: subject DN has a NUL in it")
)

// A name is a distinguished name, its RDNs in the order of the encoding: the
// most general first.
type name []rdn

// commonRDNs is how many RDNs we make room for at first.
const commonRDNs = 8

// An rdn is a set of attributes; it is never empty.
type rdn []attribute

// An attribute is one type and value of a name.
//
// crypto/x509 would give the value as a Go string, which no longer tells how
// it was encoded and whether it was text.
type attribute struct {
	typ    []byte // the content octets of the type's object identifier
	der    []byte // the value as encoded, with tag and length; nil only if isText
	isText bool   // compare text, unless the other value is none
	text   []byte // prepared for comparison
}

// parseName reads an encoded name, such as a certificate's RawSubject.
func parseName(der []byte) (name, error) {
	in := cryptobyte.String(der)
	var rdns cryptobyte.String
	if !in.ReadASN1(&rdns, asn1.SEQUENCE) || !in.Empty() {
		return nil, errName
	}
	n := make(name, 0, commonRDNs)
	for !rdns.Empty() {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, asn1.SET) || set.Empty() {
			return nil, errName
		}
		var r rdn
		for !set.Empty() {
			var pair, typ, value cryptobyte.String
			if !set.ReadASN1(&pair, asn1.SEQUENCE) || !pair.ReadASN1(&typ, asn1.OBJECT_IDENTIFIER) ||
				!pair.ReadAnyASN1Element(&value, nil) || !pair.Empty() {
				return nil, errName
			}
			a, err := newAttribute(typ, value)
			if err != nil {
				return nil, err
			}
			r = append(r, a)
		}
		n = append(n, r)
	}
	return n, nil
}

// newAttribute returns the attribute of an encoded value.
func newAttribute(typ, der []byte) (attribute, error) {
	a := attribute{typ: typ, der: der}
	text, ok, err := decodeText(der)
	if err != nil || !ok {
		return a, err
	}
	if t, known := attributeTypes[string(typ)]; known {
		a.text, a.isText = t.prepare(text)
	}
	return a, nil
}

// equal is distinguishedNameMatch (RFC 4517, 4.2.15), except that a name
// without RDNs equals none.
func (n name) equal(m name) bool {
	return len(n) > 0 && slices.EqualFunc(n, m, rdn.equal)
}

// equalUnordered tells whether m has the RDNs of n in any order. It says what
// is wrong with a name, and never that it is right.
func (n name) equalUnordered(m name) bool {
	return len(n) > 0 && equalSets(n, m, rdn.equal)
}

func (r rdn) equal(q rdn) bool {
	return equalSets(r, q, attribute.equal)
}

func (a attribute) equal(b attribute) bool {
	if !bytes.Equal(a.typ, b.typ) {
		return false
	}
	if a.isText && b.isText {
		return bytes.EqualFold(a.text, b.text)
	}
	return bytes.Equal(a.der, b.der)
}

// equalSets tells whether a and b hold the same elements in any order. As equal
// is an equivalence, it does not matter which of several equal ones is taken.
func equalSets[S ~[]E, E any](a, b S, equal func(E, E) bool) bool {
	if len(a) != len(b) {
		return false
	}
	if slices.EqualFunc(a, b, equal) {
		return true
	}
	rest := slices.Clone(b)
	for _, e := range a {
		i := slices.IndexFunc(rest, func(f E) bool { return equal(e, f) })
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return true
}

// The string types of ASN.1 that x/crypto/cryptobyte/asn1 does not name.
const (
	tagNumericString = asn1.Tag(18)
	tagVisibleString = asn1.Tag(26)
	tagBMPString     = asn1.Tag(30)
)

// decodeText returns an encoded string as UTF-8, or false if der is something
// else or is written in characters we cannot tell for sure. It is an error if
// der is not what it says it is, or has a NUL in it.
func decodeText(der []byte) (text []byte, ok bool, err error) {
	in := cryptobyte.String(der)
	var value cryptobyte.String
	var tag asn1.Tag
	if !in.ReadAnyASN1(&value, &tag) || !in.Empty() {
		return nil, false, errName
	}
	text, ok = value, true
	switch tag {
	case asn1.UTF8String:
		if !utf8.Valid(value) {
			return nil, false, errName
		}
	case asn1.PrintableString, asn1.IA5String, tagNumericString, tagVisibleString:
		if !isASCII(value) {
			return nil, false, errName
		}
	case asn1.T61String:
		// Beyond ASCII, some wrote Latin-1 and some wrote T.61.
		ok = isASCII(value)
	case tagBMPString:
		if len(value)%2 != 0 {
			return nil, false, errName
		}
		text = decodeBMP(value)
	default:
		return nil, false, nil
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, false, errNameNUL
	}
	return text, ok, nil
}

// decodeBMP turns pairs of octets into UTF-8. Surrogates, which are characters
// of UTF-16 and not of BMPString, become U+FFFD, and that compares with nothing.
func decodeBMP(b []byte) []byte {
	text := make([]byte, 0, len(b))
	for i := 0; i < len(b); i += 2 {
		text = utf8.AppendRune(text, rune(b[i])<<8|rune(b[i+1]))
	}
	return text
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
