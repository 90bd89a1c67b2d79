package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
)

// A thief has come by an access token, but not by the fintech's private keys.
type thief struct {
	bare    *http.Client      // shows no certificate
	another *http.Client      // shows a good certificate that is not the fintech's
	key     *ecdsa.PrivateKey // proves something, but not for the fintech
}

func newThief(roots *x509.CertPool, another tls.Certificate, key *ecdsa.PrivateKey) *thief {
	return &thief{bare: newHTTPClient(roots), another: newHTTPClient(roots, another), key: key}
}

// An attempt is one call of the API and how the bank answered.
type attempt struct {
	Who       string // message id of who called
	Status    int
	Reason    string // the status in words
	Challenge string // WWW-Authenticate, of the scheme that was used
	Body      string
	Proof     *proof // that went along, or nil
	Opened    bool   // whether the door opened
	Right     bool   // whether that is as it should be
}

// Fintech reports whether it is the fintech's own.
func (a attempt) Fintech() bool { return !strings.HasPrefix(a.Who, "thief.") || a.Who == "thief.owner" }

// try calls api with a token that is bound to another's certificate.
func (t *thief) try(ctx context.Context, api, token string) ([]attempt, error) {
	first, err1 := call(ctx, t.bare, nil, api, token)
	second, err2 := call(ctx, t.another, nil, api, token)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	first.Who, second.Who = "thief.bare", "thief.another"
	return judged(first, second), nil
}

// tryProofs calls api with a token that is bound to another's proof key, and
// with a proof of that key that the bank has taken before.
func (t *thief) tryProofs(ctx context.Context, api, token string, used *proof) ([]attempt, error) {
	own, err := newProver(t.key)
	if err != nil {
		return nil, err
	}
	first, err1 := callWith(ctx, t.bare, api, token, "")
	second, err2 := call(ctx, t.bare, own, api, token)
	third, err3 := callWith(ctx, t.bare, api, token, used.JWT)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	first.Who, second.Who, third.Who = "thief.noproof", "thief.ownproof", "thief.replay"
	return judged(first, second, third), nil
}

// judged returns attempts of a thief, each with whether it ended as it should.
func judged(attempts ...*attempt) []attempt {
	var list []attempt
	for _, a := range attempts {
		a.Right = turnedAway(a)
		list = append(list, *a)
	}
	return list
}

// turnedAway reports whether the bank refused the token itself (RFC 6750, 3.1)
// and gave nothing away.
func turnedAway(a *attempt) bool { return !a.Opened && a.Status == http.StatusUnauthorized }

// call asks api with token, over the connections of h. By proves that the token
// is its own; nil leaves that to the connection.
func call(ctx context.Context, h *http.Client, by *prover, api, token string) (*attempt, error) {
	scheme := byCertificate.scheme()
	if by != nil {
		scheme = byProof.scheme()
	}
	a, err := by.send(h, token, func() (*http.Request, error) { return apiRequest(ctx, scheme, api, token) })
	if err != nil {
		return nil, err
	}
	return a.attempt(scheme), nil
}

// callWith asks api with a token that is bound to a proof key, and with a proof
// that was made before, or without one.
func callWith(ctx context.Context, h *http.Client, api, token, proof string) (*attempt, error) {
	req, err := apiRequest(ctx, byProof.scheme(), api, token)
	if err != nil {
		return nil, err
	}
	if proof != "" {
		req.Header.Set("DPoP", proof)
	}
	a, err := send(h, req)
	if err != nil {
		return nil, err
	}
	return a.attempt(byProof.scheme()), nil
}

func apiRequest(ctx context.Context, scheme, api, token string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", scheme+" "+token)
	req.Header.Set("Accept", "application/json")
	return req, nil
}

func (a *answer) attempt(scheme string) *attempt {
	return &attempt{
		Status: a.status, Reason: http.StatusText(a.status), Challenge: a.challenge(scheme),
		Body: string(a.body), Opened: a.status/100 == 2, Proof: a.proof,
	}
}
