package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ErrTemporary is wrapped in what [Client.PostForm] returns when the same
// request may succeed in a moment: nobody answered in time, or the answer was
// 408, 429 or 5xx.
var ErrTemporary = errors.New("fetch: may succeed later")

// PostForm posts a form to rawURL, which is held to the rules of [Client.Get].
// It wants status 200 or 204, reads no more of the answer than that, and follows
// no redirect: what the form holds was for the URL that is registered.
func (c *Client) PostForm(ctx context.Context, rawURL string, form url.Values) error {
	return c.PostFormAs(ctx, rawURL, "", form)
}

// PostFormAs is PostForm with a bearer token that says who posts, unless it is
// empty.
func (c *Client) PostFormAs(ctx context.Context, rawURL, bearer string, form url.Values) error {
	u, err := parseURL(rawURL)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "aikagi")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	c.once.Do(c.init)
	direct := &http.Client{Transport: c.http.Transport, CheckRedirect: noRedirect}
	res, err := direct.Do(req)
	if err != nil {
		if untrusted := new(tls.CertificateVerificationError); errors.Is(err, ErrAddress) || errors.As(err, &untrusted) {
			return fmt.Errorf("fetch: %s: %w", u.Host, bare(err))
		}
		return fmt.Errorf("%w: %s: %w", ErrTemporary, u.Host, bare(err))
	}
	defer res.Body.Close()
	switch status := res.StatusCode; {
	case status == http.StatusOK || status == http.StatusNoContent:
		return nil
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return fmt.Errorf("%w: %s answered %d", ErrTemporary, u.Host, status)
	default:
		return fmt.Errorf("fetch: %s answered %d", u.Host, status)
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
