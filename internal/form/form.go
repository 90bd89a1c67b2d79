// Package form reads the parameters of a request so that each occurs once
// ([RFC 6749, 3.1] and 3.2). [ParseBody] is for the endpoints that are posted
// to, [ParseQuery] for the one a browser is sent to, [Of] for what came in
// another form.
//
// net/http's own parser is not used because it mixes the URL's query into the
// body's parameters, keeps the first of two values and says nothing, and goes
// on after what it could not decode. A parameter that two readers may read
// differently is how a signed-off request becomes another one.
//
// A parameter without a value is treated as absent, as RFC 6749 says. It still
// counts as an occurrence: "state=&state=x" is refused like "state=x&state=y",
// because which of the two counts would depend on who reads it.
//
// [RFC 6749, 3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-3.1
package form

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Why a form is refused. [ParseBody], [ParseQuery] and [Of] wrap them; compare
// with errors.Is. A repeated parameter is a [*DuplicateError].
var (
	// ErrMediaType: the body is not application/x-www-form-urlencoded in
	// UTF-8, or is compressed. 400 or 415.
	ErrMediaType = errors.New("form: body is not application/x-www-form-urlencoded")

	// ErrTooLarge: the body is longer than the limit. 413.
	ErrTooLarge = errors.New("form: body is too large")

	// ErrMalformed: the parameters cannot be decoded, are too many, or the
	// body broke off. 400.
	ErrMalformed = errors.New("form: malformed parameters")
)

// A DuplicateError refuses a parameter that occurs more than once.
type DuplicateError struct {
	// Name is the parameter's name as it was sent, any text at all.
	Name string
}

// Error names the parameter, quoted and cut short.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("form: parameter %.40q occurs more than once", e.Name)
}

// maxParameters bounds the parameters of one request. The longest request of
// the specifications has some thirty; duplicates are looked for pairwise.
const maxParameters = 128

// Values are the parameters of one request. The zero Values has none. Values
// may be read concurrently. They print as their number, since secrets are
// among them.
type Values struct {
	text   string // every name and value, decoded, one after the other
	params []param
}

// A param is a name, text[name:value], and a value, text[value:end].
type param struct{ name, value, end int }

// Get returns the value of the parameter, or "" if it is absent or has no
// value. Of a repeatable parameter it is the first value.
func (v Values) Get(name string) string {
	for _, p := range v.params {
		if p.value != p.end && v.text[p.name:p.value] == name {
			return v.text[p.value:p.end]
		}
	}
	return ""
}

// Has tells whether the parameter is present with a value.
func (v Values) Has(name string) bool { return v.Get(name) != "" }

// All returns the values of a repeatable parameter as they were sent, without
// empty ones, or nil if there are none. The slice is the caller's.
func (v Values) All(name string) []string {
	var all []string
	for _, p := range v.params {
		if p.value != p.end && v.text[p.name:p.value] == name {
			all = append(all, v.text[p.value:p.end])
		}
	}
	return all
}

// String tells how many parameters there are and nothing about them.
func (v Values) String() string { return "form.Values(" + strconv.Itoa(len(v.params)) + ")" }

// GoString is String: %#v must not print secrets either.
func (v Values) GoString() string { return v.String() }

// ParseQuery reads the parameters named in only from a URL's query. All others
// are ignored, even repeated ones (RFC 6749, 3.1; RFC 9126 clients may leave
// the pushed parameters in the URL), but must be decodable: a query that can be
// cut up in two ways is refused whole.
//
// The error is ErrMalformed or a *DuplicateError.
func ParseQuery(rawQuery string, only ...string) (Values, error) {
	return parse([]byte(rawQuery), func(name []byte) bool {
		return slices.ContainsFunc(only, func(s string) bool { return s == string(name) })
	}, nil)
}

// ParseWholeQuery reads all parameters of a URL's query. Those named in
// repeatable may be repeated.
//
// The error is ErrMalformed or a *DuplicateError.
func ParseWholeQuery(rawQuery string, repeatable ...string) (Values, error) {
	return parse([]byte(rawQuery), nil, repeatable)
}

// Of returns parameters that did not come as a form, each a name and a value,
// such as those of a request object (RFC 9101). What holds for a form holds for
// them: a name occurs once unless it is in repeatable, and no text has a NUL.
//
// The error is ErrMalformed or a *DuplicateError.
func Of(params [][2]string, repeatable ...string) (Values, error) {
	if len(params) > maxParameters {
		return Values{}, fmt.Errorf("%w: more than %d", ErrMalformed, maxParameters)
	}
	v := Values{params: make([]param, len(params))}
	var text []byte
	for i, p := range params {
		v.params[i].name = len(text)
		text = append(text, p[0]...)
		v.params[i].value = len(text)
		text = append(text, p[1]...)
		v.params[i].end = len(text)
		switch {
		case p[0] == "":
			return Values{}, fmt.Errorf("%w: parameter without a name", ErrMalformed)
		case strings.IndexByte(p[0]+p[1], 0) >= 0:
			return Values{}, fmt.Errorf("%w: NUL", ErrMalformed)
		case !utf8.ValidString(p[0]) || !utf8.ValidString(p[1]):
			return Values{}, fmt.Errorf("%w: invalid UTF-8", ErrMalformed)
		}
	}
	v.text = string(text)
	return v, v.once(repeatable)
}

// parse takes buf apart and overwrites it. Parameters whose name keep refuses
// are left out; a nil keep keeps all. The names in repeatable may be repeated.
func parse(buf []byte, keep func(name []byte) bool, repeatable []string) (Values, error) {
	n := bytes.Count(buf, []byte{'&'}) + 1
	if n > maxParameters {
		return Values{}, fmt.Errorf("%w: more than %d", ErrMalformed, maxParameters)
	}
	if bytes.IndexByte(buf, ';') >= 0 { // some parsers separate here, so no honest sender leaves one bare
		return Values{}, fmt.Errorf("%w: bare semicolon", ErrMalformed)
	}
	params := make([]param, 0, n)
	end := 0 // buf[:end] is decoded; decoding never lengthens, so it stays behind the rest
	for rest := buf; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte{'&'})
		if len(pair) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(pair, []byte{'='})
		p := param{name: end}
		var err error
		if p.value, err = decode(buf, p.name, name); err != nil {
			return Values{}, err
		}
		if p.value == p.name {
			return Values{}, fmt.Errorf("%w: parameter without a name", ErrMalformed)
		}
		if p.end, err = decode(buf, p.value, value); err != nil {
			return Values{}, err
		}
		if keep != nil && !keep(buf[p.name:p.value]) {
			continue
		}
		params, end = append(params, p), p.end
	}
	v := Values{string(buf[:end]), params}
	return v, v.once(repeatable)
}

// once reports a parameter that occurs twice and may not.
func (v Values) once(repeatable []string) error {
	for i, p := range v.params {
		name := v.text[p.name:p.value]
		for _, q := range v.params[:i] {
			if v.text[q.name:q.value] == name && !slices.Contains(repeatable, name) {
				return &DuplicateError{name}
			}
		}
	}
	return nil
}

// decode writes src to dst[at:] with + and %XX resolved, and returns where it
// ended. The two may overlap as long as src does not begin before at.
func decode(dst []byte, at int, src []byte) (int, error) {
	end := at
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if len(src)-i < 3 || !isHex(src[i+1]) || !isHex(src[i+2]) {
				return 0, fmt.Errorf("%w: invalid percent-encoding", ErrMalformed)
			}
			c = unhex(src[i+1])<<4 | unhex(src[i+2])
			i += 2
		}
		if c == 0 {
			return 0, fmt.Errorf("%w: NUL", ErrMalformed)
		}
		dst[end] = c
		end++
	}
	if !utf8.Valid(dst[at:end]) { // RFC 6749, appendix B
		return 0, fmt.Errorf("%w: invalid UTF-8", ErrMalformed)
	}
	return end, nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
