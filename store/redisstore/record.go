package redisstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/aikagi/aikagi/store"
)

// A record is kept as a format byte, a length byte, the version, the expiry in
// milliseconds since 1970 in eight bytes, and the value. The part up to the
// version is the head, which tells records of different versions apart.
const (
	format   = 1
	maxName  = 64
	maxValue = 64 << 10
	timeSize = 8
)

// head returns how a record at version begins. For what cannot be a version it
// returns what no record begins with.
func head(version string) string {
	if len(version) == 0 || len(version) > maxName {
		return "\x00"
	}
	return string([]byte{format, byte(len(version))}) + version
}

func encode(r store.Record) []byte {
	b := make([]byte, 0, 2+maxName+timeSize+len(r.Value))
	b = append(b, head(r.Version)...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Expires.UnixMilli()))
	return append(b, r.Value...)
}

var errForeign = errors.New("redisstore: Get: not a record that this version reads")

func decode(key, packed string) (store.Record, error) {
	if len(packed) < 2 || packed[0] != format {
		return store.Record{}, errForeign
	}
	end := 2 + int(packed[1])
	if len(packed) < end+timeSize {
		return store.Record{}, errForeign
	}
	millis := int64(binary.BigEndian.Uint64([]byte(packed[end : end+timeSize])))
	return store.Record{
		Key:     key,
		Version: packed[2:end],
		Value:   []byte(packed[end+timeSize:]),
		Expires: time.UnixMilli(millis).UTC(),
	}, nil
}

// check reports how r breaks the limits that [store.Record] states.
func check(r store.Record) error {
	if len(r.Value) > maxValue {
		return fmt.Errorf("redisstore: value of %d bytes, want at most %d", len(r.Value), maxValue)
	}
	return errors.Join(checkName("key", r.Key), checkName("version", r.Version))
}

// checkName checks a key or a version. A key with braces would choose its
// shard.
func checkName(what, name string) error {
	if len(name) == 0 || len(name) > maxName {
		return fmt.Errorf("redisstore: %s of %d bytes, want 1 to %d", what, len(name), maxName)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return fmt.Errorf("redisstore: %s has %q at byte %d, want only [A-Za-z0-9_-]", what, c, i)
		}
	}
	return nil
}
