package mtls

import (
	"unicode"
	"unicode/utf8"
)

// An attributeType is a type of attribute whose values we know how to compare.
type attributeType struct {
	oid   string // content octets
	ascii bool   // caseIgnoreIA5Match, and not caseIgnoreMatch
	names []string
}

// The types that have a name in RFC 4514, 3, and those that certificates of
// trust frameworks use. The names are in lower case.
var knownTypes = []attributeType{
	{oid: "\x55\x04\x03", names: []string{"cn"}},
	{oid: "\x55\x04\x04", names: []string{"sn"}},
	{oid: "\x55\x04\x05", names: []string{"serialnumber"}},
	{oid: "\x55\x04\x06", names: []string{"c"}},
	{oid: "\x55\x04\x07", names: []string{"l"}},
	{oid: "\x55\x04\x08", names: []string{"st", "s"}},
	{oid: "\x55\x04\x09", names: []string{"street"}},
	{oid: "\x55\x04\x0a", names: []string{"o"}},
	{oid: "\x55\x04\x0b", names: []string{"ou"}},
	{oid: "\x55\x04\x0c", names: []string{"t"}},
	{oid: "\x55\x04\x0f", names: []string{"businesscategory"}},
	{oid: "\x55\x04\x11", names: []string{"postalcode"}},
	{oid: "\x55\x04\x2a", names: []string{"gn"}},
	{oid: "\x55\x04\x61", names: []string{"organizationidentifier"}},
	{oid: "\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x01", names: []string{"jurisdictionl"}},
	{oid: "\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x02", names: []string{"jurisdictionst"}},
	{oid: "\x2b\x06\x01\x04\x01\x82\x37\x3c\x02\x01\x03", names: []string{"jurisdictionc", "jurisdictioncountryname"}},
	{oid: "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", names: []string{"uid"}},
	{oid: "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", names: []string{"dc"}, ascii: true},
	{oid: "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", names: []string{"emailaddress", "e"}, ascii: true},
}

// attributeTypes are the known types by their OIDs, attributeNames by their names.
var attributeTypes, attributeNames = indexTypes()

func indexTypes() (byOID, byName map[string]*attributeType) {
	byOID, byName = make(map[string]*attributeType), make(map[string]*attributeType)
	for i := range knownTypes {
		t := &knownTypes[i]
		byOID[t.oid] = t
		for _, name := range t.names {
			byName[name] = t
		}
	}
	return byOID, byName
}

// prepare readies a value for a comparison that ignores case. It returns false
// if the value is not UTF-8, has a NUL in it, or otherwise cannot be compared as
// text of this type.
//
// This is the preparation of RFC 4518 without its steps 1 (we have Unicode
// already), 3 (NFKC is not in the standard library; without it fewer names are
// equal, never more) and 5 (bidirectional text), and with case left to the
// comparison. Spaces are insignificant at both ends, and several count as one.
func (t *attributeType) prepare(text []byte) ([]byte, bool) {
	if isPlain(text) {
		return text, true
	}
	out := make([]byte, 0, len(text))
	space := false
	for _, r := range string(text) {
		switch {
		case unicode.IsSpace(r): // the characters RFC 4518, 2.2 maps to a space
			space = len(out) > 0
			continue
		case unicode.Is(mappedToNothing, r):
			continue
		case isProhibited(r), t.ascii && r >= utf8.RuneSelf:
			return nil, false
		}
		if space {
			out = append(out, ' ')
			space = false
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}

// isPlain tells whether text needs no preparation: it is printable ASCII with
// single spaces, and none at its ends.
func isPlain(text []byte) bool {
	last := byte(' ')
	for _, c := range text {
		if c < ' ' || c > '~' || c == ' ' && last == ' ' {
			return false
		}
		last = c
	}
	return last != ' ' || len(text) == 0
}

// isProhibited tells whether a value with r in it compares with nothing
// (RFC 4518, 2.4). U+FFFD is also what invalid UTF-8 is read as. RFC 4518 drops
// control characters; a name that has one is not worth the trust.
func isProhibited(r rune) bool {
	return r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Co, unicode.Noncharacter_Code_Point)
}

// mappedToNothing are the characters that RFC 4518, 2.2 drops, save the
// control characters.
var mappedToNothing = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00ad, Hi: 0x00ad, Stride: 1}, // soft hyphen
		{Lo: 0x034f, Hi: 0x034f, Stride: 1}, // combining grapheme joiner
		{Lo: 0x06dd, Hi: 0x06dd, Stride: 1},
		{Lo: 0x070f, Hi: 0x070f, Stride: 1},
		{Lo: 0x1806, Hi: 0x1806, Stride: 1},
		{Lo: 0x180b, Hi: 0x180e, Stride: 1}, // variation selectors, vowel separator
		{Lo: 0x200b, Hi: 0x200f, Stride: 1}, // zero width space, joiners, marks
		{Lo: 0x202a, Hi: 0x202e, Stride: 1},
		{Lo: 0x2060, Hi: 0x2063, Stride: 1},
		{Lo: 0x206a, Hi: 0x206f, Stride: 1},
		{Lo: 0xfe00, Hi: 0xfe0f, Stride: 1}, // variation selectors
		{Lo: 0xfeff, Hi: 0xfeff, Stride: 1}, // byte order mark
		{Lo: 0xfff9, Hi: 0xfffc, Stride: 1}, // annotations, object replacement
	},
	R32: []unicode.Range32{
		{Lo: 0x1d173, Hi: 0x1d17a, Stride: 1},
		{Lo: 0xe0001, Hi: 0xe0001, Stride: 1},
		{Lo: 0xe0020, Hi: 0xe007f, Stride: 1},
	},
	LatinOffset: 1,
}
