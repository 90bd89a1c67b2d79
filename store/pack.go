package store

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	maxKey   = 64
	maxValue = 64 << 10
)

// check reports how r breaks the limits that Record states.
func (r Record) check() error {
	if len(r.Key) == 0 || len(r.Key) > maxKey {
		return fmt.Errorf("store: key of %d bytes, want 1 to %d", len(r.Key), maxKey)
	}
	for i := range len(r.Key) {
		switch c := r.Key[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return fmt.Errorf("store: key has %q at byte %d, want only [A-Za-z0-9_-]", c, i)
		}
	}
	if r.Version == "" {
		return errors.New("store: record without version")
	}
	if len(r.Value) > maxValue {
		return fmt.Errorf("store: value of %d bytes, want at most %d", len(r.Value), maxValue)
	}
	return nil
}

// packed is a Record in the form Memory keeps. The library's keys are a letter
// and a digest in base64url, its versions 16 bytes in base64url: those are
// kept as the bytes they encode. A key or version of any other form stands in
// rest.
//
// A replay record, whose value has one byte at most, thus needs no memory
// beside its slot, and any other record one piece.
type packed struct {
	// rest is the key and the version, each if form says so, then the tags,
	// likewise, then the value. It is a string since strings do not change:
	// Get copies it after the lock is released.
	rest string

	seconds int64 // of expiry, since 1970
	nanos   uint32
	key     [1 + digestSize]byte
	version [versionSize]byte
	form    form
}

const (
	digestSize  = 32
	versionSize = 16
)

// form tells which variable parts rest begins with, in this order.
type form uint8

const (
	textKey     form = 1 << iota // a key that packed.key cannot hold
	textVersion                  // a version that packed.version cannot hold
	tagged                       // a number of tags, and the tags
)

// encoding is strict, so that exactly one text stands for any bytes, and text
// that decodes is what encoding gives back.
var encoding = base64.RawURLEncoding.Strict()

// pack returns r in packed form. It keeps none of r's slices.
func pack(r Record) packed {
	p := packed{seconds: r.Expires.Unix(), nanos: uint32(r.Expires.Nanosecond())}
	head := make([]byte, 0, 128) // large enough for two tags without growing
	if decode(p.key[1:], r.Key[1:]) {
		p.key[0] = r.Key[0]
	} else {
		p.form |= textKey
		head = appendText(head, r.Key)
	}
	if !decode(p.version[:], r.Version) {
		p.form |= textVersion
		head = appendText(head, r.Version)
	}
	if len(r.Tags) > 0 {
		p.form |= tagged
		head = appendTags(head, r.Tags)
	}
	if len(head) == 0 {
		p.rest = string(r.Value) // of none or one byte, this takes no memory
		return p
	}
	var b strings.Builder
	b.Grow(len(head) + len(r.Value))
	b.Write(head)
	b.Write(r.Value)
	p.rest = b.String()
	return p
}

// unpack returns the record, whose key the caller knows. The record shares
// nothing with p that could be changed.
func (p *packed) unpack(key string) Record {
	r := Record{Key: key, Expires: time.Unix(p.seconds, int64(p.nanos)).UTC()}
	version, rest := p.cutHead()
	if p.form&textVersion != 0 {
		r.Version = version
	} else {
		var text [22]byte
		encoding.Encode(text[:], p.version[:])
		r.Version = string(text[:])
	}
	if p.form&tagged != 0 {
		r.Tags, rest = cutTags(rest)
	}
	if rest != "" {
		r.Value = []byte(rest)
	}
	return r
}

// cutHead returns the version, if it stands in rest, and what follows in rest
// after the key and the version.
func (p *packed) cutHead() (version, rest string) {
	rest = p.rest
	if p.form&textKey != 0 {
		_, rest = cutText(rest)
	}
	if p.form&textVersion != 0 {
		version, rest = cutText(rest)
	}
	return version, rest
}

// tags returns the record's tags.
func (p *packed) tags() []string {
	if p.form&tagged == 0 {
		return nil
	}
	_, rest := p.cutHead()
	tags, _ := cutTags(rest)
	return tags
}

// keyText returns the record's key, in memory of its own.
func (p *packed) keyText() string {
	if p.form&textKey != 0 {
		text, _ := cutText(p.rest)
		return strings.Clone(text)
	}
	var text [44]byte
	text[0] = p.key[0]
	encoding.Encode(text[1:], p.key[1:])
	return string(text[:])
}

// hasKey reports whether the record's key is key.
func (p *packed) hasKey(key string) bool {
	if p.form&textKey != 0 {
		text, _ := cutText(p.rest)
		return text == key
	}
	var text [44]byte
	text[0] = p.key[0]
	encoding.Encode(text[1:], p.key[1:])
	return string(text[:]) == key
}

// hasVersion reports whether the record is at version.
func (p *packed) hasVersion(version string) bool {
	if p.form&textVersion != 0 {
		text, _ := p.cutHead()
		return text == version
	}
	var text [22]byte
	encoding.Encode(text[:], p.version[:])
	return string(text[:]) == version
}

// decode fills dst with what text stands for, and reports whether text is the
// base64url of exactly that many bytes. If not, what is in dst means nothing.
func decode(dst []byte, text string) bool {
	var src [43]byte // the longest text any caller's dst allows
	if len(text) != encoding.EncodedLen(len(dst)) {
		return false
	}
	n, err := encoding.Decode(dst, src[:copy(src[:], text)])
	return err == nil && n == len(dst) // fewer if text has line breaks, which Decode skips
}

// appendText appends text, led by its length, which cutText undoes.
func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

func cutText[T string | []byte](s T) (text, rest T) {
	n, s := cutLength(s)
	return s[:n], s[n:]
}

// appendTags appends tags, led by their number, which cutTags undoes.
func appendTags(b []byte, tags []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(tags)))
	for _, tag := range tags {
		b = appendText(b, tag)
	}
	return b
}

func cutTags[T string | []byte](s T) (tags []string, rest T) {
	n, rest := cutLength(s)
	if n == 0 {
		return nil, rest
	}
	tags = make([]string, n)
	for i := range tags {
		var tag T
		tag, rest = cutText(rest)
		tags[i] = string(tag)
	}
	return tags, rest
}

// cutLength takes a number off s that binary.AppendUvarint put there.
func cutLength[T string | []byte](s T) (n int, rest T) {
	for i, shift := 0, 0; ; i, shift = i+1, shift+7 {
		n |= int(s[i]&0x7f) << shift
		if s[i] < 0x80 {
			return n, s[i+1:]
		}
	}
}
