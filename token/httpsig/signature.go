package httpsig

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// A signature is one of a message's, not yet checked.
type signature struct {
	label  string
	input  *member // its member of Signature-Input
	value  *member // its member of Signature
	octets []byte  // the signature itself
}

const (
	inputHeader     = "Signature-Input"
	signatureHeader = "Signature"
)

// requestSignature returns the one signature of a request that is for the API,
// by its tag. There may be others, such as a proxy's, which are not looked at
// (RFC 9421, 3.2); but what cannot be read as a whole is not read at all (4.3).
func requestSignature(h http.Header) (*signature, error) {
	if len(h[inputHeader]) == 0 || len(h[signatureHeader]) == 0 {
		return nil, unsigned("FAPI2-HS-5.3.2-2", "the request is not signed")
	}
	inputs, err := parseDictionary(combine(h[inputHeader]))
	if err != nil {
		return nil, unsigned("RFC9421-4-1", "the Signature-Input is not well-formed").because(err)
	}
	values, err := parseDictionary(combine(h[signatureHeader]))
	if err != nil {
		return nil, unsigned("RFC9421-4-1", "the Signature is not well-formed").because(err)
	}
	var found *signature
	for i := range inputs {
		s := signature{label: inputs[i].name, input: &inputs[i], value: find(values, inputs[i].name)}
		if !s.pair() || len(inputs) != len(values) {
			return nil, unsigned("RFC9421-4-1", "Signature-Input and Signature do not match")
		}
		if tag, _ := s.input.get("tag"); tag != (bare{kind: text, text: tagRequest}) {
			continue
		}
		if found != nil {
			return nil, unsigned("RFC9421-3.2-1", "more than one signature has the tag "+tagRequest)
		}
		found = &s
	}
	if found == nil {
		return nil, unsigned("FAPI2-HS-5.3.2-3", "no signature has the tag "+tagRequest)
	}
	return found, nil
}

// pair checks that s is a list of components with a byte sequence.
func (s *signature) pair() bool {
	if s.value == nil || !s.input.inner || s.value.inner || s.value.items[0].value.kind != octets {
		return false
	}
	s.octets = []byte(s.value.items[0].value.text)
	return true
}

// A claim is what a signature's parameters say about it.
type claim struct {
	created          time.Time // zero: it does not say
	expires          time.Time // if hasExpires
	keyID, algorithm string
	hasExpires       bool
	hasAlgorithm     bool
}

// claim reads the parameters, each of its one type (RFC 9421, 2.3). Those it
// does not know are signed and mean nothing here.
func (s *signature) claim() (c claim, err error) {
	for _, p := range s.input.params {
		want := text
		switch p.name {
		case "created":
			want, c.created = integer, time.Unix(p.value.number, 0)
		case "expires":
			want, c.hasExpires, c.expires = integer, true, time.Unix(p.value.number, 0)
		case "keyid":
			c.keyID = p.value.text
		case "alg":
			c.hasAlgorithm, c.algorithm = true, p.value.text
		case "nonce", "tag":
		default:
			continue
		}
		if p.value.kind != want {
			return c, unsigned("RFC9421-2.3-2", fmt.Sprintf("the signature's parameter %s has the wrong type", p.name))
		}
	}
	return c, nil
}

// covered returns the components of a request's signature.
func (s *signature) covered() ([]component, error) {
	var list []component
	for _, it := range s.input.items {
		c, err := identify(it)
		switch {
		case err != nil:
			return nil, unsigned("RFC9421-2-2", "the signature covers what is not understood here").because(err)
		case c.req || c.name == "@status":
			return nil, unsigned("RFC9421-2.2-2", "the signature covers what only a response has")
		case slices.Contains(list, c):
			return nil, unsigned("RFC9421-2-1", "the signature covers a component twice")
		}
		list = append(list, c)
	}
	return list, nil
}

// lines are those of the signature's base. The identifiers are as they came.
func (s *signature) lines(r request, covered []component) ([]line, error) {
	lines := make([]line, len(covered))
	for i, c := range covered {
		value, err := r.value(c)
		if err != nil {
			return nil, unsigned("RFC9421-2.5-1", "the signature covers what the request does not have").because(err)
		}
		lines[i] = line{s.input.items[i], value}
	}
	return lines, nil
}
