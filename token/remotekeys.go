package token

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"sync"

	"github.com/aikagi/aikagi/internal/fetch"
)

// A RemoteKeySet is a [PublicKeySet] at a URL, such as the server's jwks_uri,
// for an API in another process. It fetches when it is asked and its copy is
// no longer fresh: after what Cache-Control says, within a minute and an hour,
// or after five minutes. While the URL does not answer, the last good copy
// serves for another hour.
//
// A new key must therefore be published for an hour before it signs, and a
// retired one stays good for as long. Fields are not changed after first use;
// PublicKeys may be called concurrently.
type RemoteKeySet struct {
	// URL is where the keys are: an https URL.
	URL string

	// RootCAs, if not nil, replaces the system's certificate authorities.
	RootCAs *x509.CertPool

	// Private lists the private addresses that URL may lead to. If empty, it
	// may lead to none, loopback included.
	Private []netip.Prefix

	once  sync.Once
	cache *fetch.Cache

	mu   sync.Mutex
	read []byte // what keys was parsed from
	keys PublicKeySet
}

// PublicKeys implements [PublicKeySet]. An error means that the keys could not
// be fetched and no good copy is left.
func (s *RemoteKeySet) PublicKeys(ctx context.Context) ([]PublicKey, error) {
	s.once.Do(func() {
		s.cache = &fetch.Cache{
			Client: &fetch.Client{RootCAs: s.RootCAs, AllowPrivate: s.Private},
			Check: func(b []byte) error { // what is no key set does not replace one
				_, err := ParseKeySet(b)
				return err
			},
		}
	})
	b, err := s.cache.Get(ctx, s.URL)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil || !bytes.Equal(b, s.read) {
		keys, err := ParseKeySet(b)
		if err != nil {
			return nil, err
		}
		s.read, s.keys = b, keys
	}
	return s.keys.PublicKeys(ctx)
}
