package authz

import (
	"errors"
	"net/http"
	"strings"
)

// A Code is an error code of OAuth 2.0 or OpenID Connect, as sent in the
// parameter or member "error".
type Code string

// The codes a host may give as a [Decision.Deny].
const (
	AccessDenied             Code = "access_denied"                     // RFC 6749, 4.1.2.1: the customer or the bank said no
	LoginRequired            Code = "login_required"                    // OIDC Core, 3.1.2.6
	InteractionRequired      Code = "interaction_required"              // OIDC Core, 3.1.2.6
	ConsentRequired          Code = "consent_required"                  // OIDC Core, 3.1.2.6
	AccountSelectionRequired Code = "account_selection_required"        // OIDC Core, 3.1.2.6
	UnmetAuthentication      Code = "unmet_authentication_requirements" // the acr asked for was not reached
	TemporarilyUnavailable   Code = "temporarily_unavailable"           // RFC 6749, 4.1.2.1
)

// The codes that only the library gives.
const (
	invalidRequest              Code = "invalid_request"
	invalidClient               Code = "invalid_client"
	invalidGrant                Code = "invalid_grant"
	unauthorizedClient          Code = "unauthorized_client"
	unsupportedGrantType        Code = "unsupported_grant_type"
	unsupportedTokenType        Code = "unsupported_token_type" // RFC 7009, 2.2.1
	unsupportedResponseType     Code = "unsupported_response_type"
	invalidScope                Code = "invalid_scope"
	invalidTarget               Code = "invalid_target"                // RFC 8707, 2
	invalidAuthorizationDetails Code = "invalid_authorization_details" // RFC 9396, 5
	invalidRequestURI           Code = "invalid_request_uri"           // RFC 9101, 7
	invalidRequestObject        Code = "invalid_request_object"        // RFC 9101, 7
	registrationNotSupported    Code = "registration_not_supported"    // OIDC Core, 3.1.2.6
	invalidDPoPProof            Code = "invalid_dpop_proof"            // RFC 9449, 5
	useDPoPNonce                Code = "use_dpop_nonce"                // RFC 9449, 8
	serverError                 Code = "server_error"
)

// deniable holds the codes that end an interaction without an approval.
var deniable = map[Code]bool{
	AccessDenied: true, LoginRequired: true, InteractionRequired: true, ConsentRequired: true,
	AccountSelectionRequired: true, UnmetAuthentication: true, TemporarilyUnavailable: true,
}

// Error is a refusal the protocol defines. Code and Description are sent to
// the client. Rule and Err are for the operator and are never sent.
//
// An error of any other type is an outage. The client is told server_error
// and nothing else.
type Error struct {
	Code        Code   // such as invalid_grant
	Description string // in words the client's developer may see
	Rule        string // the row it rests on, such as FAPI2-SP-5.3.2.1-8
	Err         error  // in words only the operator may see

	status    int                       // if not zero, instead of the one its Code has
	allow     string                    // methods, with status 405
	challenge string                    // WWW-Authenticate, if the client used Authorization
	respond   func(http.ResponseWriter) // if not nil, writes the answer, in the terms of an API
}

// Error returns the code, what the client is told and what it is not told.
// It holds no secret, but it is for the operator.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("authz: ")
	b.WriteString(string(e.Code))
	if e.Description != "" {
		b.WriteString(": " + e.Description)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// reason returns why, in words for the operator.
func (e *Error) reason() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return e.Description
}

// refuse returns an Error that rests on a row of the specifications.
func refuse(rule string, code Code, description string) *Error {
	return &Error{Code: code, Description: description, Rule: rule}
}

// because returns e with what the operator should know.
func (e *Error) because(err error) *Error {
	e.Err = err
	return e
}

// httpStatus returns the status that goes with e at an endpoint that answers
// in JSON (RFC 6749, 5.2).
func (e *Error) httpStatus() int {
	switch {
	case e.status != 0:
		return e.status
	case e.Code == invalidClient:
		return http.StatusUnauthorized
	case e.Code == serverError || e.Code == TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// asError returns err as a refusal. What is not one is an outage.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: serverError, Err: err}
}

// clean replaces what RFC 6749, 4.1.2.1 and 5.2 do not allow in a description.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x20 || r > 0x7e:
			return '?'
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		}
		return r
	}, s)
}
