package mtls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"slices"
	"sync"
	"time"
)

const (
	ticketKeyUse  = 24 * time.Hour // how long a key seals tickets
	ticketKeyLife = 48 * time.Hour // how long it opens them
)

// tickets seals the session tickets of a server. The ticket holds all that it
// takes to read the session, so it has to be sealed at least as well as any
// session is (RFC 9325, 3.4); crypto/tls would take AES-128 for it.
type tickets struct {
	now func() time.Time

	mu   sync.Mutex
	keys []ticketKey // the newest first
}

type ticketKey struct {
	aead cipher.AEAD
	born time.Time
}

// wrap is for [tls.Config.WrapSession].
func (t *tickets) wrap(_ tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
	state, err := s.Bytes()
	if err != nil {
		return nil, err
	}
	keys, err := t.current()
	if err != nil {
		return nil, err
	}
	return keys[0].aead.Seal(nil, nil, state, nil), nil
}

// unwrap is for [tls.Config.UnwrapSession]. A ticket that cannot be opened means
// a full handshake, and is no error.
func (t *tickets) unwrap(ticket []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
	keys, err := t.current()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if state, err := key.aead.Open(nil, nil, ticket, nil); err == nil {
			return tls.ParseSessionState(state)
		}
	}
	return nil, nil
}

// current returns the keys that open tickets, the first of which seals them. It
// makes a new one when it is due, and forgets those whose time is over. The
// slice is never changed afterwards.
func (t *tickets) current() ([]ticketKey, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	over := func(key ticketKey) bool { return now.Sub(key.born) >= ticketKeyLife }
	due := len(t.keys) == 0 || now.Sub(t.keys[0].born) >= ticketKeyUse
	if !due && !slices.ContainsFunc(t.keys, over) {
		return t.keys, nil
	}
	keys := slices.DeleteFunc(slices.Clone(t.keys), over)
	if due {
		fresh, err := newTicketKey(now)
		if err != nil {
			return nil, err
		}
		keys = slices.Insert(keys, 0, fresh)
	}
	t.keys = keys
	return keys, nil
}

func newTicketKey(now time.Time) (ticketKey, error) {
	var secret [32]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the process instead
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		return ticketKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return ticketKey{}, err
	}
	return ticketKey{aead, now}, nil
}
