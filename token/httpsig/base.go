package httpsig

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A component is what a signature covers a part of the message by (RFC 9421,
// 2): a field's name in lower case, or a derived one with @.
type component struct {
	name  string
	req   bool   // of a response: the part is of the request (2.4)
	keyed bool   // the part is one member of a dictionary field (2.1.2),
	key   string // this one
}

// identify reads a component identifier. Parameters it does not know are no
// more to be passed over than components (RFC 9421, 2).
func identify(it item) (component, error) {
	c := component{name: it.value.text}
	if it.value.kind != text {
		return c, errors.New("a component identifier is not a string")
	}
	if !isComponent(c.name) {
		return c, fmt.Errorf("component %q is unknown", c.name)
	}
	for _, p := range it.params {
		switch {
		case p.name == "req" && p.value == yes:
			c.req = true
		case p.name == "key" && p.value.kind == text && c.name[0] != '@':
			c.keyed, c.key = true, p.value.text
		default:
			return c, fmt.Errorf("component %q has parameter %q, which is not supported", c.name, p.name)
		}
	}
	return c, nil
}

func isComponent(name string) bool {
	switch name {
	case "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "@status":
		return true
	}
	return isFieldName(name)
}

// isFieldName reports whether name is a field's in lower case (RFC 9421, 2.1).
func isFieldName(name string) bool {
	for i := range len(name) {
		if !isTchar(name[i]) || 'A' <= name[i] && name[i] <= 'Z' {
			return false
		}
	}
	return name != ""
}

// item is the identifier of c, as we write it.
func (c component) item() item {
	it := item{value: bare{kind: text, text: c.name}}
	if c.req {
		it.params = append(it.params, param{"req", yes})
	}
	if c.keyed {
		it.params = append(it.params, param{"key", bare{kind: text, text: c.key}})
	}
	return it
}

// A request is what the components of a request are derived from.
type request struct {
	*http.Request
	target target
}

// value returns the component's value (RFC 9421, 2.1 and 2.2). It does not look
// at c.req.
func (r request) value(c component) (string, error) {
	path, query := r.target.pathAndQuery()
	switch c.name {
	case "@method":
		return r.Method, nil
	case "@target-uri":
		return r.target.uri(), nil
	case "@authority":
		return r.target.authority, nil
	case "@scheme":
		return "https", nil
	case "@request-target":
		return r.target.path + r.target.sent, nil
	case "@path":
		return path, nil
	case "@query":
		return query, nil
	case "host": // which package http keeps elsewhere
		if !c.keyed {
			return r.Host, nil
		}
	}
	return fieldValue(r.Header, c)
}

// fieldValue returns the value of a field, its lines put together, or of one
// member of it.
func fieldValue(h http.Header, c component) (string, error) {
	lines := h[http.CanonicalHeaderKey(c.name)]
	if len(lines) == 0 { // a derived component of the other kind of message, too
		return "", fmt.Errorf("the message has no %s", c.name)
	}
	value := combine(lines)
	if !c.keyed {
		return value, nil
	}
	members, err := parseDictionary(value)
	if err != nil {
		return "", fmt.Errorf("the field %s is %w", c.name, err)
	}
	m := find(members, c.key)
	if m == nil {
		return "", fmt.Errorf("the field %s has no member %q", c.name, c.key)
	}
	return string(m.append(nil)), nil
}

// combine puts the lines of a field together (RFC 9421, 2.1).
func combine(lines []string) string {
	trimmed := make([]string, len(lines))
	for i, s := range lines {
		trimmed[i] = strings.Trim(s, " \t")
	}
	return strings.Join(trimmed, ", ")
}

// A line is one of a signature base, made of a component.
type line struct {
	id    item
	value string
}

// signatureBase returns what is signed (RFC 9421, 2.5), and the inner list of
// its last line, which goes into Signature-Input: a member without a name.
func signatureBase(lines []line, ps params) ([]byte, *member, error) {
	input := &member{inner: true, params: ps}
	b := make([]byte, 0, 1024)
	for _, l := range lines {
		if !isPrintable(l.value) {
			return nil, nil, fmt.Errorf("component %q has a value that cannot be signed", l.id.value.text)
		}
		b = append(l.id.append(b), ": "...)
		b = append(append(b, l.value...), '\n')
		input.items = append(input.items, l.id)
	}
	b = append(b, `"@signature-params": `...)
	return input.append(b), input, nil
}

// isPrintable reports whether s can stand in a signature base: it is ASCII and
// above all on one line, or it could forge others (RFC 9421, 2.5).
func isPrintable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c > '~' {
			return false
		}
	}
	return true
}
