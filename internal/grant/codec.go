package grant

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrFormat is returned for a record that this release cannot read: it was
// damaged, or written by a release two or more ahead.
var ErrFormat = errors.New("grant: unreadable record")

// A record is a format byte and then fields in ascending order, each a number,
// a length and that many bytes; a field that holds its zero value is left out.
// Release N+1 may add fields only once release N reads them. A reader refuses
// a field it does not know, since ignoring one could widen a grant.
const recordFormat = 1

// An encoder appends fields to a record.
type encoder struct{ b []byte }

func newEncoder(size int) *encoder {
	return &encoder{b: append(make([]byte, 0, size), recordFormat)}
}

func (e *encoder) bytes(field uint64, v []byte) {
	if len(v) == 0 {
		return
	}
	e.b = binary.AppendUvarint(e.b, field)
	e.b = binary.AppendUvarint(e.b, uint64(len(v)))
	e.b = append(e.b, v...)
}

func (e *encoder) string(field uint64, v string) {
	if v == "" {
		return
	}
	e.b = binary.AppendUvarint(e.b, field)
	e.b = binary.AppendUvarint(e.b, uint64(len(v)))
	e.b = append(e.b, v...)
}

// strings writes a list as one field: each element after its length.
func (e *encoder) strings(field uint64, v []string) {
	var b []byte
	for _, s := range v {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	e.bytes(field, b)
}

func (e *encoder) digest(field uint64, d Digest) {
	if d != (Digest{}) {
		e.bytes(field, d[:])
	}
}

func (e *encoder) int(field uint64, v int64) {
	if v != 0 {
		var b [binary.MaxVarintLen64]byte
		e.bytes(field, b[:binary.PutVarint(b[:], v)])
	}
}

// time writes milliseconds since 1970.
func (e *encoder) time(field uint64, t time.Time) {
	if !t.IsZero() {
		e.int(field, t.UnixMilli())
	}
}

func (e *encoder) bool(field uint64, v bool) {
	if v {
		e.int(field, 1)
	}
}

// decode calls set with each field of a record.
func decode(b []byte, set func(field uint64, v value) error) error {
	if len(b) == 0 || b[0] != recordFormat {
		return ErrFormat
	}
	b = b[1:]
	var last uint64
	for len(b) > 0 {
		field, n := binary.Uvarint(b)
		if n <= 0 || field <= last {
			return ErrFormat
		}
		b, last = b[n:], field
		size, n := binary.Uvarint(b)
		if n <= 0 || size == 0 || size > uint64(len(b)-n) {
			return ErrFormat
		}
		if err := set(field, value(b[n:n+int(size)])); err != nil {
			return fmt.Errorf("%w: field %d", ErrFormat, field)
		}
		b = b[n+int(size):]
	}
	return nil
}

// A value is the content of one field.
type value []byte

func (v value) string(p *string) error {
	*p = string(v)
	return nil
}

func (v value) strings(p *[]string) error {
	for len(v) > 0 {
		size, n := binary.Uvarint(v)
		if n <= 0 || size > uint64(len(v)-n) {
			return ErrFormat
		}
		*p = append(*p, string(v[n:n+int(size)]))
		v = v[n+int(size):]
	}
	return nil
}

func (v value) digest(p *Digest) error {
	if len(v) != len(p) {
		return ErrFormat
	}
	copy(p[:], v)
	return nil
}

func (v value) locator(p *Locator) error {
	if len(v) != len(p) {
		return ErrFormat
	}
	copy(p[:], v)
	return nil
}

func (v value) int(p *int64) error {
	i, n := binary.Varint(v)
	if n != len(v) || i == 0 {
		return ErrFormat
	}
	*p = i
	return nil
}

func (v value) time(p *time.Time) error {
	var ms int64
	if err := v.int(&ms); err != nil {
		return err
	}
	*p = time.UnixMilli(ms)
	return nil
}

func (v value) bool(p *bool) error {
	var i int64
	if err := v.int(&i); err != nil || i != 1 {
		return ErrFormat
	}
	*p = true
	return nil
}
