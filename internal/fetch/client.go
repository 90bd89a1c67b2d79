// Package fetch makes the requests that this server makes of others: for the
// keys a client publishes at its jwks_uri, and to tell it of a logout at its
// backchannel_logout_uri.
//
// Whoever registers a client chooses where such a request goes. So [Client]
// speaks https only, to public addresses only, for a bounded time and a
// bounded answer, and sends nothing that identifies anyone. [Cache] stands in
// front of it, so that a storm of requests here makes few requests there.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	defaultMaxBytes = 128 << 10 // some forty keys with certificate chains
	defaultTimeout  = 5 * time.Second
	maxHeaderBytes  = 16 << 10
	maxRedirects    = 2
	maxURL          = 2048
)

// ErrAddress refuses to connect to an address that is not public and not
// allowed. It is wrapped in what [Client.Get] and [Cache.Get] return.
var ErrAddress = errors.New("fetch: address is not public")

// suites are what BCP 195 recommends for TLS 1.2 (FAPI 2.0 SP, 5.2.2-2). Those
// of TLS 1.3 cannot be chosen and need not be.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
}

// A Client fetches documents that strangers point at, and posts to where they
// point. The zero Client is ready and strict. Its fields must not be changed
// after first use; its methods may be called concurrently.
//
// It sends no cookies and no credentials but what PostFormAs is given, keeps no connections, and takes no
// proxy from the environment: behind one, it is the proxy that resolves names,
// and the check of the address would check nothing.
type Client struct {
	// AllowPrivate are prefixes of addresses that are not public and may be
	// connected to nonetheless: a laboratory's, an internal directory's.
	AllowPrivate []netip.Prefix

	// RootCAs are whom to trust for servers' certificates. If nil, the
	// operating system's.
	RootCAs *x509.CertPool

	// MaxBytes is the longest document accepted. If zero, 128 KiB.
	MaxBytes int64

	// Timeout bounds the whole of a Get or PostForm, from the look-up of the name to the
	// last byte. If zero, 5 seconds.
	Timeout time.Duration

	resolver *net.Resolver // tests only; nil is Go's own

	once sync.Once
	http *http.Client
}

// CheckURL tells whether Get would try rawURL at all: an absolute https URL of
// at most 2048 bytes with a host, without user information and without
// fragment (FAPI 2.0 SP, 5.4.2-1). It is for registration and looks nothing up.
func CheckURL(rawURL string) error {
	_, err := parseURL(rawURL)
	return err
}

func parseURL(rawURL string) (*url.URL, error) {
	if len(rawURL) > maxURL {
		return nil, errors.New("fetch: URL is too long")
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, errors.New("fetch: URL is malformed")
	case u.Scheme != "https":
		return nil, errors.New("fetch: URL is not https")
	case u.Hostname() == "":
		return nil, errors.New("fetch: URL has no host")
	case u.User != nil:
		return nil, errors.New("fetch: URL has user information")
	case strings.Contains(rawURL, "#"):
		return nil, errors.New("fetch: URL has a fragment")
	}
	return u, nil
}

// Get fetches the document at rawURL. It wants status 200, and follows at most
// two redirects, to the same host and port over https. What the document is,
// its reader finds out: servers of key sets name many media types.
//
// maxAge is how long the answer may be kept by its Cache-Control and Age
// (RFC 9111, 5.2.2): zero if it may not, negative if it does not say.
func (c *Client) Get(ctx context.Context, rawURL string) (body []byte, maxAge time.Duration, err error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("User-Agent", "aikagi")
	c.once.Do(c.init)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch: %s: %w", u.Host, bare(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("fetch: %s answered %d", u.Host, res.StatusCode)
	}
	if res.Header.Get("Content-Encoding") != "" {
		return nil, 0, fmt.Errorf("fetch: %s answered in an encoding that was not asked for", u.Host)
	}
	body, err = c.read(res)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch: %s: %w", u.Host, err)
	}
	return body, freshness(res.Header), nil
}

// bare returns err without the URL that package http puts before it. Errors go
// to logs, and the query of a URL may hold a secret of its owner's.
func bare(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// read reads a body that is no longer than allowed.
func (c *Client) read(res *http.Response) ([]byte, error) {
	limit := c.MaxBytes
	if limit == 0 {
		limit = defaultMaxBytes
	}
	if res.ContentLength > limit {
		return nil, fmt.Errorf("document of %d bytes is too large", res.ContentLength)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("document of more than %d bytes is too large", limit)
	}
	return body, nil
}

func (c *Client) timeout() time.Duration {
	if c.Timeout == 0 {
		return defaultTimeout
	}
	return c.Timeout
}

func (c *Client) init() {
	dialer := &net.Dialer{
		Resolver:       c.resolver,
		ControlContext: c.control,
	}
	c.http = &http.Client{
		CheckRedirect: checkRedirect,
		Transport: &http.Transport{
			DialContext: dialer.DialContext,
			TLSClientConfig: &tls.Config{
				RootCAs:      c.RootCAs,
				MinVersion:   tls.VersionTLS12,
				CipherSuites: suites,
			},
			MaxResponseHeaderBytes: maxHeaderBytes,
			DisableKeepAlives:      true, // minutes lie between two fetches
			DisableCompression:     true, // so that MaxBytes counts what travels
		},
	}
}

// checkRedirect keeps redirects with the host that was asked: any other was
// not registered by the client.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case req.URL.Scheme != "https":
		return errors.New("redirect away from https")
	case !strings.EqualFold(req.URL.Host, via[0].URL.Host):
		return errors.New("redirect to another host")
	case req.URL.User != nil:
		return errors.New("redirect with user information")
	}
	return nil
}
