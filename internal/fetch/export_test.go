package fetch

import (
	"context"
	"net"
	"net/netip"
)

// SetResolver makes c ask r for addresses.
func (c *Client) SetResolver(r *net.Resolver) { c.resolver = r }

// Dialable tells whether c would connect to addr.
func (c *Client) Dialable(addr netip.Addr) error {
	network := "tcp6"
	if addr.Is4() {
		network = "tcp4"
	}
	return c.control(context.Background(), network, netip.AddrPortFrom(addr, 443).String(), nil)
}

// Control is what the dialer calls.
func (c *Client) Control(network, address string) error {
	return c.control(context.Background(), network, address, nil)
}

// Freshness is how long an answer may be kept.
var Freshness = freshness

// Limits of a Cache.
const (
	MinTTL       = minTTL
	DefaultTTL   = defaultTTL
	MaxTTL       = maxTTL
	KeepStale    = keepStale
	RefreshPause = refreshPause
	FirstRetry   = firstRetry
	LastRetry    = lastRetry
	MaxEntries   = maxEntries
	MaxTotal     = maxTotal
)

// Len is how many URLs c knows.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// Total is the size of the documents in c.
func (c *Cache) Total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}
