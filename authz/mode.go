package authz

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/internal/grant"
)

// The response types (RFC 6749, 4.1.1; OpenID Connect Core, 3.3.2.1), with
// their words in order.
const (
	typeCode        = "code"
	typeCodeIDToken = "code id_token"
)

// The modes of an answer to an authorization request (OAuth 2.0 Multiple
// Response Types, 2.1; OAuth 2.0 Form Post Response Mode, 2; JARM, 2.3). That
// of a code is by default query, and of code and ID token fragment; jwt stands
// for the default, signed.
const (
	modeQuery       = "query"
	modeFragment    = "fragment"
	modeFormPost    = "form_post"
	modeJWT         = "jwt"
	modeQueryJWT    = "query.jwt"
	modeFragmentJWT = "fragment.jwt"
	modeFormPostJWT = "form_post.jwt"
)

// sortedType returns a response type with its words in order, which has no
// meaning (RFC 6749, 3.1.1).
func sortedType(t string) string {
	words := strings.Split(t, " ")
	slices.Sort(words)
	return strings.Join(words, " ")
}

// defaultMode returns how a response type is answered if the request does not
// say (OAuth 2.0 Multiple Response Types, 5).
func defaultMode(responseType string) string {
	if responseType == typeCode {
		return modeQuery
	}
	return modeFragment
}

// responseOf returns the response type and the mode that a request asked for.
func responseOf(req *grant.Request) (responseType, mode string) {
	responseType = cmp.Or(req.ResponseType, typeCode)
	return responseType, cmp.Or(req.ResponseMode, defaultMode(responseType))
}

// awaits reports whether the client registered response type t.
func (c *Client) awaits(t string) bool {
	if len(c.ResponseTypes) == 0 {
		return t == typeCode
	}
	return slices.ContainsFunc(c.ResponseTypes, func(r string) bool { return sortedType(r) == t })
}

// checkResponse refuses an answer that client c may not ask for.
func (c *caller) checkResponse(responseType, mode string) error {
	allowed := c.policy.modesOf(responseType)
	switch {
	case mode != modeQuery && !slices.Contains(allowed, mode):
		return refuse("OIDC-AR-6", invalidRequest, "response_mode is not supported")
	case !slices.Contains(allowed, mode):
		return refuse("FAPI2-MS-5.4.1-1", invalidRequest, "response_mode must be jwt")
	case c.ResponseModes != nil && !slices.Contains(c.ResponseModes, mode):
		return refuse("FAPI2-MS-5.3.3-1", invalidRequest, "response_mode is not registered for the client")
	case !c.awaits(responseType):
		return refuse("OIDR-2", unauthorizedClient, "response_type is not registered for the client")
	}
	return nil
}
