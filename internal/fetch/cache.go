package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// A document is kept for what its server says, but at least minTTL, so
	// that no server can make us ask for every request, and at most maxTTL, so
	// that a withdrawn key does not live on here (RFC 8705, 2.2-5).
	minTTL     = time.Minute
	defaultTTL = 5 * time.Minute
	maxTTL     = time.Hour

	// keepStale is how long after its TTL the last good document serves while
	// a newer one cannot be had.
	keepStale = time.Hour

	// refreshPause lies between two calls of Refresh that fetch one URL.
	refreshPause = time.Minute

	// A failed fetch is repeated after firstRetry at the earliest, and after
	// twice the time before with every further failure, up to lastRetry.
	firstRetry = 5 * time.Second
	lastRetry  = time.Minute

	// What is kept is bounded by number and by size. The document unused for
	// longest gives way.
	maxEntries = 4096
	maxTotal   = 32 << 20
)

// A Cache keeps what a Client fetched. However many callers want a URL, one
// fetch of it is under way at a time. It goes on when the callers leave, so
// that a client which hangs up cannot spoil the fetch for the others.
//
// The zero Cache is ready. Its fields must not be changed after first use; its
// methods may be called concurrently. It starts a goroutine for each fetch,
// which ends within Client.Timeout, and no other.
type Cache struct {
	// Client fetches. If nil, a zero Client.
	Client *Client

	// Check, if not nil, judges each document once, as it arrives. One that
	// it refuses does not take the place of the last good one.
	Check func([]byte) error

	// MaxAge, if not zero, is how long after it was fetched a document serves at
	// most, also while a newer one cannot be had. It is a minute or more.
	MaxAge time.Duration

	// Now, if not nil, replaces time.Now.
	Now func() time.Time

	mu       sync.Mutex
	fallback Client // stands in for a nil Client
	entries  map[string]*entry
	total    int // bytes in entries
}

// An entry is what is known of one URL.
type entry struct {
	body   []byte    // the last good document, or nil
	fresh  time.Time // until when body serves without a question
	stale  time.Time // until when body serves if no newer one can be had
	used   time.Time
	flight chan struct{} // closed when the fetch under way has landed; nil if there is none

	refresh  time.Time // Refresh does not fetch before this
	retry    time.Time // nothing is fetched before this, since the last fetch failed
	failures int       // in a row
	err      error     // of the last fetch
}

// Get returns the document at url, from the cache if it is fresh there. If it
// cannot be fetched, the last good one serves for another hour, and after that
// the error of the last try. In that hour one caller at a time waits for the
// next try and the others for nothing.
//
// If ctx ends before there is an answer, Get returns its error and the fetch
// goes on. The document is shared and must not be changed.
func (c *Cache) Get(ctx context.Context, url string) ([]byte, error) {
	return c.get(ctx, url, false)
}

// Refresh is Get for a caller who has the document from Get and misses
// something in it, such as a key that a token names. It fetches even if the
// cached document is fresh, but for each URL once a minute at most, whoever
// asks; in between it returns what is cached.
func (c *Cache) Refresh(ctx context.Context, url string) ([]byte, error) {
	return c.get(ctx, url, true)
}

func (c *Cache) get(ctx context.Context, url string, force bool) ([]byte, error) {
	c.mu.Lock()
	now := c.now()
	e, err := c.entry(url, now)
	if err != nil {
		c.mu.Unlock()
		return nil, err
	}
	if e.flight == nil && !e.due(now, force) {
		defer c.mu.Unlock()
		return e.answer(now)
	}
	if e.flight == nil {
		if force {
			e.refresh = now.Add(refreshPause)
		}
		e.flight = make(chan struct{})
		go c.fetch(context.WithoutCancel(ctx), url, e)
	} else if !force && (now.Before(e.fresh) || e.failures > 0 && now.Before(e.stale)) {
		defer c.mu.Unlock()
		return e.body, nil // another caller's Refresh, or try of what failed before, is no reason to wait
	}
	flight := e.flight
	c.mu.Unlock()

	select {
	case <-flight:
	case <-ctx.Done():
		return nil, fmt.Errorf("fetch: %w", context.Cause(ctx))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.answer(c.now())
}

// due tells whether to fetch now.
func (e *entry) due(now time.Time, force bool) bool {
	switch {
	case now.Before(e.retry):
		return false
	case !now.Before(e.fresh):
		return true
	}
	return force && !now.Before(e.refresh)
}

// answer is what e has for a caller at now. Something has been fetched, or
// tried, before.
func (e *entry) answer(now time.Time) ([]byte, error) {
	if e.body != nil && (e.err == nil || now.Before(e.stale)) {
		return e.body, nil
	}
	return nil, e.err
}

// fetch fetches url for e and closes e.flight.
func (c *Cache) fetch(ctx context.Context, url string, e *entry) {
	client := c.Client
	if client == nil {
		client = &c.fallback
	}
	body, maxAge, err := client.Get(ctx, url)
	if err == nil && c.Check != nil {
		if err = c.Check(body); err != nil {
			err = fmt.Errorf("fetch: document refused: %w", err)
		}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	e.err = err
	if err != nil {
		e.retry = now.Add(min(firstRetry<<min(e.failures, 10), lastRetry))
		e.failures++
	} else {
		c.total += len(body) - len(e.body)
		e.body, e.failures = body, 0
		fresh, stale := ttl(maxAge), ttl(maxAge)+keepStale
		if c.MaxAge > 0 {
			fresh, stale = min(fresh, c.MaxAge), min(stale, c.MaxAge)
		}
		e.fresh, e.stale = now.Add(fresh), now.Add(stale)
	}
	close(e.flight)
	e.flight = nil
	c.evict(0)
}

// ttl is how long to keep a document whose server says maxAge, or nothing if
// that is negative.
func ttl(maxAge time.Duration) time.Duration {
	if maxAge < 0 {
		return defaultTTL
	}
	return min(max(maxAge, minTTL), maxTTL)
}

// entry returns what is known of url, which is in use from now on.
func (c *Cache) entry(url string, now time.Time) (*entry, error) {
	e := c.entries[url]
	if e == nil {
		if err := CheckURL(url); err != nil {
			return nil, err // and takes no room
		}
		if !c.evict(1) {
			return nil, errors.New("fetch: too many fetches under way")
		}
		if c.entries == nil {
			c.entries = make(map[string]*entry)
		}
		e = new(entry)
		c.entries[url] = e
	}
	e.used = now
	return e, nil
}

// evict makes room for n more entries and tells whether it could. An entry
// whose fetch is under way stays.
func (c *Cache) evict(n int) bool {
	for len(c.entries)+n > maxEntries || c.total > maxTotal {
		oldest := ""
		for url, e := range c.entries {
			if e.flight == nil && (oldest == "" || e.used.Before(c.entries[oldest].used)) {
				oldest = url
			}
		}
		if oldest == "" {
			return false
		}
		c.total -= len(c.entries[oldest].body)
		delete(c.entries, oldest)
	}
	return true
}

func (c *Cache) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
