// Package grant holds what the server remembers in a [store.Record]: the rule
// that makes keys and tags, the handles that clients carry, and the records
// themselves with their binary form.
//
// Everything here outlives a release. A key, a tag or a handle made today is
// looked up by every later version, so their rules never change; a record says
// in its first byte how it is written.
package grant

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// A Kind is the first letter of a record's key.
type Kind byte

// The kinds of records.
const (
	KindRequest Kind = 'r' // a pushed authorization request (RFC 9126)
	KindGrant   Kind = 'g' // what a customer approved, or the mark that they did not
	KindReplay  Kind = 'j' // an identifier that was used, such as the jti of a client assertion
	KindDeny    Kind = 'd' // the mark that an access token was revoked (RFC 7009)
)

// digest hashes parts so that no two different lists of parts hash alike: each
// is preceded by its length, in eight bytes.
func digest(kind Kind, parts ...string) [sha256.Size]byte {
	var room [512]byte
	b := append(room[:0], byte(kind))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return sha256.Sum256(b)
}

func key(kind Kind, parts ...string) string {
	sum := digest(kind, parts...)
	var b [1 + 43]byte
	b[0] = byte(kind)
	base64.RawURLEncoding.Encode(b[1:], sum[:])
	return string(b[:])
}

// Key returns the key of the record of that kind that l locates: 44 characters.
// The issuer is part of it, so that several servers can share one store.
func (l Locator) Key(kind Kind, issuer string) string {
	return key(kind, issuer, string(l[:]))
}

// ReplayKey returns the key under which the use of id is remembered. The
// artifact (such as "client_assertion") and its owner keep identifiers of
// different origin apart.
func ReplayKey(issuer, artifact, owner, id string) string {
	return key(KindReplay, issuer, artifact, owner, id)
}

// DenyKey returns the key of the record whose presence says that the issuer's
// access token with that jti was revoked.
func DenyKey(issuer, jti string) string { return key(KindDeny, issuer, jti) }

// SubjectTag returns the tag by which the grants of a subject are listed.
func SubjectTag(issuer, subject string) string { return key('s', issuer, subject) }

// ClientTag returns the tag by which the grants of a client are listed.
func ClientTag(issuer, client string) string { return key('c', issuer, client) }

// Version returns the version of a write that every node makes alike for the
// flow at l, and nobody for another, so that only the first flow succeeds and
// succeeds however often it is repeated.
func (l Locator) Version() string {
	sum := digest('V', string(l[:]))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// SessionDigest returns what a grant remembers of the bank's session in which
// it was made, whose own id may be a credential. It is zero for none.
func SessionDigest(issuer, session string) Digest {
	if session == "" {
		return Digest{}
	}
	return digest('e', issuer, session)
}

// SessionID returns the name by which a client knows the session: another one
// for each client, so that they cannot compare (OpenID Connect Back-Channel
// Logout 1.0, 2.1). It is "" for none.
func SessionID(issuer, client string, session Digest) string {
	if session == (Digest{}) {
		return ""
	}
	sum := digest('i', issuer, client, string(session[:]))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// NewVersion returns a fresh version for a write: 22 characters, 128 random
// bits.
func NewVersion() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
