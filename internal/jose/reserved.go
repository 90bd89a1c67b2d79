package jose

import (
	"slices"
	"strings"
)

// reserved are the claims that mean something to whoever reads a token: in an
// access token (RFC 9068), an ID token, or a JWT of another kind that a token
// with such a claim could pass for. What describes the customer, such as email
// or roles (RFC 9068, 2.2.2 and 2.2.3.1), is the host's to add.
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", // RFC 7519
	"client_id", "scope", "cnf", "auth_time", "acr", "amr", "grant_id", "authorization_details", // access token
	"nonce", "azp", "at_hash", "c_hash", "s_hash", "sid", // ID token
	"events", "toe", "txn", "sub_id", // security event, logout
	"act", "may_act", "active", "token_type", "username", "token_introspection", // exchange, introspection
	"htm", "htu", "ath", "jwk", // proof
	"request", "request_uri", "response_type", "redirect_uri", "response", "code", // request object, JARM
}

// Reserved reports whether a claim of that name is not the host's to set,
// because the protocols give it a meaning. Readers that ignore case would take
// AUD for aud, so case does not count.
func Reserved(name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) })
}
