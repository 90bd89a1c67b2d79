// Package jsonw writes JSON objects member by member, without reflection, for
// the answers and claims that every request pays for.
package jsonw

import (
	"strconv"
	"unicode/utf8"
)

// An Object is a JSON object being written. Begin one with [New]. Members
// appear in the order they are added; the caller adds no name twice.
type Object struct{ b []byte }

// New returns an empty object with room for size bytes.
func New(size int) *Object {
	return &Object{b: append(make([]byte, 0, size), '{')}
}

func (o *Object) name(name string) {
	if len(o.b) > 1 {
		o.b = append(o.b, ',')
	}
	o.b = append(AppendString(o.b, name), ':')
}

// String adds a string. Invalid UTF-8 is written as U+FFFD.
func (o *Object) String(name, v string) {
	o.name(name)
	o.b = AppendString(o.b, v)
}

// Strings adds an array of strings.
func (o *Object) Strings(name string, v []string) {
	o.name(name)
	o.b = append(o.b, '[')
	for i, s := range v {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = AppendString(o.b, s)
	}
	o.b = append(o.b, ']')
}

// Int adds a whole number.
func (o *Object) Int(name string, v int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, v, 10)
}

// Raw adds a value that is JSON already.
func (o *Object) Raw(name string, v []byte) {
	o.name(name)
	o.b = append(o.b, v...)
}

// Bytes ends the object and returns it. The Object is not used again.
func (o *Object) Bytes() []byte { return append(o.b, '}') }

const hex = "0123456789abcdef"

// AppendString appends s to b as a JSON string. Invalid UTF-8 is written as
// U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			b = append(append(b, s[start:i]...), "\ufffd"...)
		} else if c == '"' || c == '\\' {
			b = append(append(b, s[start:i]...), '\\', c)
		} else {
			b = append(append(b, s[start:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
