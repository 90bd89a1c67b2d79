package token

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Require says what a request needs beyond a good token. The zero Require
// needs nothing.
type Require struct {
	// Scopes are all needed.
	Scopes []string

	// ACR are the authentication context class references of which the token
	// must have one, the preferred first (RFC 9470). Nil: any, and none.
	ACR []string

	// MaxAge is for how long after the customer's last active authentication
	// a token will do (RFC 9470). One that does not say when that was will not.
	// Clients are told in seconds, rounded down. Zero: any age.
	MaxAge time.Duration

	// Permit, if not nil, decides last, once all else has been found good: is
	// this account among those the customer named, in [Access.Details] perhaps?
	// An [*Error] refuses, with 403 if it has no status; any other error is an
	// outage.
	Permit func(*http.Request, *Access) error
}

// enough checks that a good token is enough for the request. Who has to
// authenticate anew for it is told the scope that is lacking at the same time,
// so that one visit to the authorization server will do (RFC 9470, 3).
func (v *Verifier) enough(a *Access, req Require) error {
	scope := ""
	if lacks(a, req.Scopes) {
		scope = strings.Join(req.Scopes, " ")
	}
	switch {
	case v.weak(a, req):
		return &Error{Status: http.StatusUnauthorized, Code: insufficientAuthentication, Rule: "RFC9470-3-1",
			Description: "a stronger or more recent authentication is required",
			Scope:       scope, ACR: req.ACR, MaxAge: req.MaxAge}
	case scope != "":
		return &Error{Status: http.StatusForbidden, Code: insufficientScope, Rule: "FAPI2-SP-5.3.4-4",
			Description: "the token lacks a scope", Scope: scope}
	}
	return nil
}

// lacks reports whether the token lacks one of scopes (RFC 6750, 3.1).
func lacks(a *Access, scopes []string) bool {
	for _, s := range scopes {
		if !slices.Contains(a.Scopes, s) {
			return true
		}
	}
	return false
}

// weak reports whether the customer has authenticated otherwise than req has
// it, or too long ago. An authentication that has yet to happen is none.
func (v *Verifier) weak(a *Access, req Require) bool {
	if len(req.ACR) > 0 && !slices.Contains(req.ACR, a.ACR) {
		return true
	}
	if req.MaxAge == 0 {
		return false
	}
	age := v.config.Now().Sub(a.AuthTime)
	return a.AuthTime.IsZero() || age > req.MaxAge || age < -v.config.Ahead
}
