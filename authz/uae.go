package authz

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
)

// UAEOpenFinance is the security profile of Open Finance in the United Arab
// Emirates, by the standards of version 2.1: FAPI 2.0 with signed requests,
// under PS256 alone, over TLS with a certificate of the directory everywhere.
// What a client asks for is in authorization_details, of a type that it is
// registered for.
//
// The host does what is not the server's. [ClientRegistry] answers from the
// directory and knows a client once the institution has activated it: its
// metadata, roles, authorization_details_types and jwks_uri are the
// directory's, and so is the client_id. Registration, an empty object by POST
// that is answered 204, is an endpoint of the host's. [DetailsType] has the
// members of a consent, checks them and names the scope that goes with it
// (accounts, payments or products); personal data in it, a JWS in a JWE, is
// opened there with the institution's own key. Config.Consent tells whether the
// consent stands, and [Decision].Expires is its ExpirationDateTime: the refresh
// token lives as long. APIs find the consent in the token's
// authorization_details or by its grant_id.
const UAEOpenFinance Profile = "uae-open-finance"

func uaeOpenFinance() *policy {
	p := upon(&fapi2Security, uaeRules)
	p.algs = []string{jose.PS256}                        // UAE-11
	p.authMethods = []string{methodPrivateKeyJWT}        // UAE-3
	p.dpop = false                                       // UAE-1
	p.signedRequest = true                               // UAE-4
	p.responses = []way{{typeCode, []string{modeQuery}}} // UAE-6
	p.objectAge = limit{"UAE-4", 10 * time.Minute}
	p.objectLife = limit{"UAE-4", 10 * time.Minute}

	p.consent = func(*pushed) (string, error) { return "", nil } // authorization_details say it
	p.unfit = refusal{"UAE-5", invalidAuthorizationDetails}
	p.byConsent = true // UAE-7
	p.transport = "UAE-2"
	p.keysAge = 20 * time.Minute // UAE-8
	p.assertionLife = limit{"UAE-3", 5 * time.Minute}
	p.keyAlgs, p.contentAlgs = []string{jose.RSAOAEP256}, []string{jose.A256GCM} // UAE-16

	p.remedied("FAPI2-SP-5.4.1-1b", "register PS256")
	p.remedied("FAPI2-SP-5.3.2.1-6", "register private_key_jwt")
	p.remedied("FAPI2-SP-5.3.2.1-5", "register tls_client_certificate_bound_access_tokens as true")
	p.remedied("FAPI2-MS-5.3.3-1", "register query, or no response_modes")
	return p
}

// uaeServices are the scopes of which every request has exactly one.
var uaeServices = []string{"accounts", "payments", "products"}

// uaeMaxAge is the highest max_age, in seconds.
const uaeMaxAge = 3600

var uaeRules = []rule{
	// What the server is.
	needsAuthorities("UAE-2"),
	needsConsent("UAE-7"),
	needsScopes("UAE-9", []string{"openid"}, uaeServices...),
	needsTokenLife("UAE-7", time.Second, 10*time.Minute),

	// What a client registered.
	{id: "UAE-1", remedy: "register tls_client_certificate_bound_access_tokens as true, and not dpop_bound_access_tokens", client: func(_ *policy, c *Client) string {
		if c.DPoPBoundTokens {
			return "access tokens would be bound to a DPoP key"
		}
		return ""
	}},
	{id: "UAE-5", remedy: "register the authorization_details_types of the client's roles", client: func(_ *policy, c *Client) string {
		if c.mayUse(grantCode) && len(c.DetailsTypes) == 0 {
			return "authorization_details_types is missing"
		}
		return ""
	}},
	{id: "UAE-15", remedy: "register a default_max_age of 3600 or less", client: func(_ *policy, c *Client) string {
		if c.DefaultMaxAge != nil && *c.DefaultMaxAge > uaeMaxAge {
			return "default_max_age is " + strconv.FormatInt(*c.DefaultMaxAge, 10)
		}
		return ""
	}},
	needsEncryption("UAE-16", "RSA-OAEP-256 and A256GCM"),

	// What a client pushes.
	{id: "UAE-5", remedy: "send authorization_details", code: invalidAuthorizationDetails, request: func(_ *policy, r *pushed) string {
		if !r.hasDetails {
			return "authorization_details are missing"
		}
		return ""
	}},
	{id: "UAE-14", remedy: "ask for openid and one of accounts, payments and products", code: invalidScope, request: func(_ *policy, r *pushed) string {
		services := slices.DeleteFunc(strings.Fields(r.scope), func(scope string) bool { return !slices.Contains(uaeServices, scope) })
		slices.Sort(services)
		if !r.asksOpenID() || len(slices.Compact(services)) != 1 {
			return "scope must have openid and one of accounts, payments and products"
		}
		return ""
	}},
	{id: "UAE-15", remedy: "send a max_age of 3600 or less", code: invalidRequestObject, request: func(_ *policy, r *pushed) string {
		if n, err := strconv.ParseInt(r.form.Get("max_age"), 10, 64); err == nil && n > uaeMaxAge {
			return "max_age is more than 3600"
		}
		return ""
	}},
}
