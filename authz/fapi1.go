package authz

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/pkce"
)

// fapi1Advanced is FAPI 1.0 Advanced. Where it leaves a choice that FAPI 2.0
// does not, the stricter one is taken as long as clients of FAPI 1.0 can live
// with it: codes and pushed requests live no longer than theirs.
var fapi1Advanced = policy{
	algs:        []string{jose.PS256, jose.ES256}, // FAPI1-ADV-8.6-1
	authMethods: []string{methodPrivateKeyJWT, methodTLS, methodSelfSignedTLS},
	grantTypes:  []string{grantCode, grantRefresh, grantCredentials, grantImplicit},
	codeLife:    time.Minute,
	requestLife: 10 * time.Minute,
	ahead:       30 * time.Second,
	tls:         mtls.FAPI1,
	rules:       fapi1Rules,

	objectAge:  limit{"FAPI1-ADV-5.2.2-17", time.Hour},
	objectLife: limit{"FAPI1-ADV-5.2.2-13", time.Hour},

	signedRequest: true, // FAPI1-ADV-5.2.2-1
	byValue:       true,
	endpointAud:   true,
	responses: []way{ // FAPI1-ADV-5.2.2-2
		{typeCode, []string{modeJWT, modeQueryJWT, modeFragmentJWT, modeFormPostJWT}},
		{typeCodeIDToken, []string{modeFragment, modeFormPost}},
	},
}

// grantImplicit is what registries write beside authorization_code for a client
// that is answered by code and ID token (OpenID Connect Registration, 2). No
// endpoint knows it as a grant_type.
const grantImplicit = "implicit"

// fapi1Rules are the rules of FAPI 1.0 Advanced: those that FAPI 2.0 has as
// well, under the clauses of FAPI 1.0, and then its own.
var fapi1Rules = slices.Concat(
	[]rule{
		// What the server is.
		like("FAPI2-SP-5.2.1-1", "MD-1"),
		like("FAPI2-SP-5.3.2.1-11", "TOK-2"),
		like("FAPI2-SP-5.3.2.2-12", "PAR-2.2-1"),

		// What a client registered.
		like("FAPI2-SP-5.3.2.1-6", "FAPI1-ADV-5.2.2-14"),
		like("FAPI2-SP-5.3.2.1-2", "OIDR-3"),
		like("R7591-2-2", "FAPI1-BASE-5.2.2-8"),
		like("RFC6749-3.1.2-1", "RFC6749-3.1.2-1"),
		like("OIDR-4", "OIDR-4"),
		like("OIDR-7", "OIDR-7"),
		like("FAPI2-SP-5.4.2-1", "FAPI1-ADV-8.9-1"),
		like("FAPI2-SP-5.4.1-1b", "FAPI1-ADV-8.6-1").remedied("register PS256 or ES256"),
		like("FAPI2-MS-5.3.3-1", "FAPI1-ADV-5.2.2-2").remedied("register what the profile allows of response_modes"),
		like("OIDR-16", "OIDR-16"),
		like("RFC9068-2.1-1", "RFC9068-2.1-1"),
		like("RFC8705-2.1-2", "RFC8705-2.1-2"),
	},
	fapi1ClientRules,
	fapi1RequestRules,
)

// like returns the rule of FAPI 2.0 with that id under another.
func like(fapi2, id string) rule {
	i := slices.IndexFunc(fapi2Rules, func(r rule) bool { return r.id == fapi2 && r.request == nil })
	r := fapi2Rules[i]
	r.id = id
	return r
}

// remedied returns r with another remedy.
func (r rule) remedied(remedy string) rule {
	r.remedy = remedy
	return r
}

var fapi1ClientRules = []rule{
	{id: "FAPI1-ADV-5.2.2-5", remedy: "register tls_client_certificate_bound_access_tokens as true, and not dpop_bound_access_tokens", client: func(_ *policy, c *Client) string {
		switch {
		case c.DPoPBoundTokens:
			return "access tokens would be bound to a DPoP key"
		case c.isAPI(): // it gets none
			return ""
		case !c.CertificateBoundTokens:
			return "access tokens would not be bound to the client's certificate"
		}
		return ""
	}},
	{id: "FAPI1-ADV-5.2.2-2", remedy: "register the response types code and code id_token", client: func(p *policy, c *Client) string {
		for _, t := range c.ResponseTypes {
			if p.modesOf(sortedType(t)) == nil {
				return "response_types has " + strconv.Quote(t)
			}
		}
		return ""
	}},
	{id: "OIDR-3", remedy: "register implicit for the response type code id_token only, beside authorization_code", waivable: true, client: func(_ *policy, c *Client) string {
		hybrid := c.awaits(typeCodeIDToken)
		switch {
		case hybrid && !c.mayUse(grantCode):
			return "response_types has code id_token without the grant type authorization_code"
		case !hybrid && c.mayUse(grantImplicit):
			return "grant_types has implicit"
		}
		return ""
	}},
	{id: "FAPI1-BASE-5.2.2-20", remedy: "register https URIs; for native clients, claimed ones", client: func(_ *policy, c *Client) string {
		for _, u := range c.RedirectURIs {
			if !strings.HasPrefix(u, "https://") {
				return "redirect_uris has " + strconv.Quote(u)
			}
		}
		return ""
	}},
}

var fapi1RequestRules = []rule{
	{id: "FAPI1-ADV-5.2.2-2", remedy: "ask for the response type code or code id_token", code: unsupportedResponseType, request: func(p *policy, r *pushed) string {
		if p.modesOf(r.responseType) == nil {
			return "response_type must be code or code id_token"
		}
		return ""
	}},
	{id: "FAPI1-ADV-5.2.2-2", remedy: "ask for a code in a signed response, and for code and ID token by fragment or form_post", code: invalidRequest, request: func(p *policy, r *pushed) string {
		if !slices.Contains(p.modesOf(r.responseType), r.mode) {
			return "response_mode must be jwt for a code, and fragment or form_post for code and ID token"
		}
		return ""
	}},
	{id: "FAPI1-BASE-5.2.2-9", remedy: "send a redirect_uri with every request", code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if r.RedirectURI == "" {
			return "redirect_uri is missing"
		}
		return ""
	}},
	{id: "EC-4", remedy: "send a scope, or authorization_details", code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if r.scope == "" && !r.hasDetails {
			return "scope is missing"
		}
		return ""
	}},
	{id: "FAPI1-ADV-5.2.2.1-1", remedy: "ask for openid where an ID token comes with the code", code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if r.responseType == typeCodeIDToken && !r.asksOpenID() {
			return "the response type code id_token needs the scope openid"
		}
		return ""
	}},
	{id: "FAPI1-BASE-5.2.2.2-1", remedy: "send a nonce with openid", code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if r.asksOpenID() && r.Nonce == "" {
			return "nonce is missing"
		}
		return ""
	}},
	{id: "FAPI1-BASE-5.2.2.3-1", remedy: "send a state where openid is not asked for", waivable: true, code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if !r.asksOpenID() && r.State == "" {
			return "state is missing"
		}
		return ""
	}},
	{id: "FAPI1-ADV-5.2.2-18", remedy: "push a code_challenge of method S256, and send no other by value", code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if r.ByValue && r.Challenge == "" && r.challengeMethod == "" {
			return ""
		}
		if pkce.CheckChallenge(r.Challenge, r.challengeMethod) != nil {
			return "a pushed request needs a code_challenge with code_challenge_method S256, and no request has another"
		}
		return ""
	}},
	{id: "RFC9449-10-1", remedy: "send no dpop_jkt", code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if r.hasDPoPKey {
			return "tokens are bound to certificates, and dpop_jkt names a key"
		}
		return ""
	}},
}
