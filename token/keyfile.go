package token

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// KeyFile says where a file of private keys lies and how carefully its keys
// are to follow each other.
//
// The file is a JWK set (RFC 7517) of private keys. Each key's life is written
// in the key itself, as NumericDates:
//
//	iat  announced: the key is published from then on. Required.
//	nbf  the key signs from then on, until a key of the same algorithm with a
//	     later nbf does. Required.
//	exp  retired: the key is no longer published. Absent for a key whose
//	     successor is not planned yet.
//
// Each key has a kid of its own. Without alg, a P-256 key signs ES256, an
// Ed25519 key EdDSA and an RSA key PS256.
//
// To rotate, add a key whose nbf is at least Lead away, and give the old one
// an exp at least Linger after that nbf; take keys out once they are retired.
// A key that has fallen into the wrong hands is taken out at once, whatever
// its exp: every token it signed then stops working.
//
// Put a new file in place by renaming, so that no reader meets half of it. The
// file's mode is not looked at, since containers mount secrets with modes and
// owners of their own: keep others from reading it.
type KeyFile struct {
	// Path is the file's.
	Path string

	// Lead is for how long a key must have been published before it signs, so
	// that every verifier that keeps a copy of the set has it by then. Zero
	// means one hour. The first key of an algorithm needs no lead.
	Lead time.Duration

	// Linger is for how long a key must stay published after its successor has
	// begun to sign: the lifetime of the longest-lived token it signs. Zero
	// means one hour.
	Linger time.Duration

	// Now replaces time.Now if it is not nil.
	Now func() time.Time
}

// defaultMargin is the Lead and Linger of a KeyFile that names none. JWK sets
// are commonly kept for minutes, and access tokens live for minutes.
const defaultMargin = time.Hour

// maxKeyFile bounds the file: a hundred RSA keys have a fifth of it.
const maxKeyFile = 1 << 20

// A FileKeySet is a [KeySet] read from a [KeyFile]. Which of its keys are
// published and which sign follows from the dates in the file and the clock
// alone, so that all nodes that have the same file agree. It starts no
// goroutine and is safe for concurrent use.
type FileKeySet struct {
	file KeyFile
	keys atomic.Pointer[[]scheduledKey]
}

// OpenKeyFile reads the file. The error names every key and member that is
// wrong and what would be right, and contains nothing that is secret. It is
// also an error if no key signs at present.
func OpenKeyFile(f KeyFile) (*FileKeySet, error) {
	if f.Lead < 0 || f.Linger < 0 {
		return nil, fmt.Errorf("token: key file %s: Lead or Linger is negative", f.Path)
	}
	if f.Lead == 0 {
		f.Lead = defaultMargin
	}
	if f.Linger == 0 {
		f.Linger = defaultMargin
	}
	if f.Now == nil {
		f.Now = time.Now
	}
	s := &FileKeySet{file: f}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the file again, such as on SIGHUP or every minute. If it
// returns an error, which is like that of [OpenKeyFile], the set stays as it
// was. Calls that overlap each take effect whole.
func (s *FileKeySet) Reload() error {
	b, err := readKeyFile(s.file.Path)
	if err != nil {
		return err
	}
	keys, err := parseSchedule(b, s.file)
	if err != nil {
		return fmt.Errorf("token: key file %s: %w", s.file.Path, err)
	}
	s.keys.Store(&keys)
	return nil
}

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("token: key file: %w", err) // names the path
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("token: key file: %w", err)
	}
	if len(b) > maxKeyFile {
		return nil, fmt.Errorf("token: key file %s: larger than 1 MiB", path)
	}
	return b, nil
}

// PublicKeys implements [PublicKeySet]: the keys that are announced and not
// retired, those that do not sign yet included.
func (s *FileKeySet) PublicKeys(context.Context) ([]PublicKey, error) {
	now := s.file.Now()
	keys := *s.keys.Load()
	public := make([]PublicKey, 0, len(keys))
	for i := range keys {
		if keys[i].published(now) {
			public = append(public, keys[i].public)
		}
	}
	return public, nil
}

// SigningKey implements [KeySet]: of the keys for alg that sign by now, the
// one that began last. A key for EdDSA also signs as Ed25519, its newer name
// (RFC 9864), if none for that does, and the other way round.
func (s *FileKeySet) SigningKey(_ context.Context, alg string) (PrivateKey, error) {
	now := s.file.Now()
	keys := *s.keys.Load()
	for _, name := range [...]string{alg, otherName(alg)} {
		if k := signing(keys, name, now); k != nil {
			return k.PrivateKey, nil
		}
	}
	return PrivateKey{}, ErrNoKey
}
