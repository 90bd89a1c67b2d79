package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// A thief has come by an access token, but not by the fintech's private key.
type thief struct {
	bare    *http.Client // shows no certificate
	another *http.Client // shows a good certificate that is not the fintech's
}

func newThief(roots *x509.CertPool, another tls.Certificate) *thief {
	return &thief{bare: newHTTPClient(roots), another: newHTTPClient(roots, another)}
}

// An attempt is one call of the API and how the bank answered.
type attempt struct {
	Who       string // message id of who called
	Status    int
	Reason    string // the status in words
	Challenge string // WWW-Authenticate
	Body      string
	Opened    bool // whether the door opened
	Right     bool // whether that is as it should be
}

// try calls api with a token that belongs to another.
func (t *thief) try(ctx context.Context, api, token string) ([]attempt, error) {
	first, err := call(ctx, t.bare, api, token)
	if err != nil {
		return nil, err
	}
	second, err := call(ctx, t.another, api, token)
	if err != nil {
		return nil, err
	}
	first.Who, second.Who = "thief.bare", "thief.another"
	first.Right, second.Right = turnedAway(first), turnedAway(second)
	return []attempt{*first, *second}, nil
}

// turnedAway reports whether the bank refused the token itself (RFC 6750, 3.1)
// and gave nothing away.
func turnedAway(a *attempt) bool { return !a.Opened && a.Status == http.StatusUnauthorized }

// call asks api with token, over the connections of h.
func call(ctx context.Context, h *http.Client, api, token string) (*attempt, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	status, header, body, err := send(h, req)
	if err != nil {
		return nil, err
	}
	return &attempt{
		Status: status, Reason: http.StatusText(status), Challenge: header.Get("WWW-Authenticate"),
		Body: string(body), Opened: status/100 == 2,
	}, nil
}
