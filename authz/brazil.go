package authz

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
)

// OpenFinanceBrasil is the security profile of Open Finance Brasil, version 2:
// FAPI 1.0 Advanced with pushed requests, code and ID token, private_key_jwt,
// PS256 and a certificate on every connection of a client's.
//
// A client names its consent by the scope "consent:" and the consent's id, a URN
// of the bank's, exactly once in each request. That scope is not offered in
// Config.Scopes and not registered, and it is in no Interaction.Scopes and no
// Decision.Scopes: there is Interaction.Consent. Every access token from the
// grant has it. Config.Consent says what the bank knows of the consent; its
// steps are those of [ConsentRequest].
//
// The ID token that the browser carries is encrypted, for which a client
// registers id_token_encrypted_response_alg and _enc; the one from the token
// endpoint is not, unless Client.EncryptTokenEndpointIDToken says so.
//
// What else the region asks is the host's to do:
//
//   - Consents. Config.Consent compares loggedUser and businessEntity with the
//     customer at the step decision, and finds the consent AUTHORISED at code and
//     refresh; for payments it may answer "" at the step code, as version 2 has
//     it. Decision.Expires is when the consent ends; zero, as for a payment,
//     means no refresh token. Whoever deletes a consent ends the grant with
//     its tokens, by [Grants.Revoke] of Interaction.GrantID.
//   - Customers. Decision.ACR is urn:brasil:openbanking:loa2, or loa3 where two
//     factors were used, as payments should; Decision.Subject never changes.
//   - Participants. Config.Clients are those of the directory, whose jwks_uri is
//     theirs in the directory. Config.Authorities are those of ICP-Brasil, or of
//     the directory's sandbox; whether a certificate was revoked is checked where
//     the listener ends TLS. Registration and the checks of a certificate
//     against the software statement are the registry's.
//   - Scopes. Where consents is offered, Config.Scopes lists all that the role
//     DADOS stands for, offered or not, those of later phases included.
//   - APIs. [token.VerifierConfig].RequireInteractionID is set, and
//     [token.Require].Permit refuses with 401 a token whose consent is not
//     active. Payloads of payments as signed JWTs are the API's.
//   - Listeners. MTLSBase is the one with the ICP-Brasil certificate, and speaks
//     what Server.TLSPolicy says, [mtls.FAPI1NoResumption]; the authorization
//     endpoint has a public certificate, and its listener sets
//     SessionTicketsDisabled as well.
//   - Other clients. What Discovery lists is what any profile of the issuer
//     allows, so that Open Finance has an issuer of its own where others are
//     served by other methods.
const OpenFinanceBrasil Profile = "open-finance-brasil"

// The authentication contexts of the region: one factor, and two.
const (
	brazilLoA2 = "urn:brasil:openbanking:loa2"
	brazilLoA3 = "urn:brasil:openbanking:loa3"
)

func openFinanceBrasil() *policy {
	p := upon(&fapi1Advanced)
	p.rules = slices.Concat(brazilRules, except(p.rules, "FAPI1-ADV-5.2.2-2", "FAPI1-ADV-5.2.2-14", "FAPI1-ADV-8.6-1"))
	p.algs = []string{jose.PS256}                 // BR-25
	p.authMethods = []string{methodPrivateKeyJWT} // BR-21
	p.tls = mtls.FAPI1NoResumption                // BR-26

	p.byValue = false                                                            // BR-1b
	p.responses = []way{{typeCodeIDToken, []string{modeFragment, modeFormPost}}} // BR-14

	p.consentScope = "consent:"
	p.consent = func(r *pushed) (string, error) {
		_, ids := p.apart(r.scope)
		return oneConsent(ids)
	}
	p.unfit = refusal{"BR-9", invalidScope}
	p.byConsent = true // BR-L-7
	p.tokenLeast = limit{"BR-12", brazilTokenLeast}
	p.acr = anyOf{"BR-13", []string{brazilLoA2, brazilLoA3}}

	p.transport, p.rsaKeys = "BR-CRT-3", "BR-25"
	p.keysAge = time.Hour // BR-CRT-5
	p.keyAlgs, p.contentAlgs = []string{jose.RSAOAEP}, []string{jose.A256GCM}
	p.markedKeys = true // BR-23
	p.plainID = true    // BR-22b
	return p
}

// brazilTokenLeast is how long an access token lives at least.
const brazilTokenLeast = 5 * time.Minute

// consentURN is what the region's consent ids look like: URNs with nothing in
// them that a URL would have to escape (RFC 8141, 2; RFC 3986, 2).
var consentURN = regexp.MustCompile(`^urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:[A-Za-z0-9._~!$&'()*+,;=:@/%-]+$`)

const maxConsentURN = 256 // bytes

// oneConsent returns the one of the consents that a request names.
func oneConsent(ids []string) (string, error) {
	switch {
	case len(ids) != 1:
		return "", refuse("BR-9", invalidScope, "scope must name exactly one consent, as consent: and its id")
	case len(ids[0]) > maxConsentURN || !consentURN.MatchString(ids[0]):
		return "", refuse("BR-9", invalidScope, "the id of the consent is no URN of URL-safe characters")
	}
	return ids[0], nil
}

var brazilRules = []rule{
	// What the server is.
	needsAuthorities("BR-CRT-3"),
	{id: "BR-DCR-27", remedy: "set MTLSBase to the listener with the region's certificate", server: func(_ *policy, c *Config) string {
		if c.MTLSBase == "" {
			return "MTLSBase is empty"
		}
		return ""
	}},
	needsConsent("BR-9"),
	{id: "BR-9", remedy: "leave scopes that begin with consent: out of Scopes; they name consents", server: func(p *policy, c *Config) string {
		for _, scope := range c.Scopes {
			if strings.HasPrefix(scope, p.consentScope) {
				return "Scopes has " + strconv.Quote(scope)
			}
		}
		return ""
	}},
	{id: "BR-2", remedy: "offer the scopes openid, consents and resources, or openid and payments", about: withPages, server: func(_ *policy, c *Config) string {
		if offers(c, "openid", "consents", "resources") || offers(c, "openid", "payments") {
			return ""
		}
		return "Scopes has neither openid, consents and resources nor openid and payments"
	}},
	{id: "BR-28", remedy: "offer all that the role DADOS stands for: " + strings.Join(brazilDataScopes, ", "), waivable: true, about: offersData, server: func(_ *policy, c *Config) string {
		for _, scope := range brazilDataScopes {
			if offersData(c) && !offers(c, scope) {
				return "Scopes is without " + scope
			}
		}
		return ""
	}},
	needsACR("BR-6", brazilLoA2),
	needsTokenLife("BR-12", brazilTokenLeast, 15*time.Minute),
	{id: "BR-18", remedy: "let request URIs live 60 seconds or more", about: withPages, server: func(_ *policy, c *Config) string {
		if c.RequestLifetime < time.Minute {
			return "RequestLifetime is " + c.RequestLifetime.String()
		}
		return ""
	}},

	// What a client registered.
	like("FAPI2-SP-5.3.2.1-6", "BR-21").remedied("register private_key_jwt"),
	like("FAPI2-SP-5.4.1-1b", "BR-25").remedied("register PS256"),
	needsEncryption("BR-25", "RSA-OAEP and A256GCM"),
	needsKeysAt("BR-DCR-4"),
	{id: "BR-14", remedy: "register the response type code id_token alone", client: func(p *policy, c *Client) string {
		if c.mayUse(grantCode) && !c.awaits(typeCodeIDToken) {
			return "response_types is without code id_token"
		}
		for _, t := range c.ResponseTypes {
			if p.modesOf(sortedType(t)) == nil {
				return "response_types has " + strconv.Quote(t)
			}
		}
		return ""
	}},
	like("FAPI2-MS-5.3.3-1", "BR-14").remedied("register response_modes of fragment and form_post, or none"),
	{id: "BR-22b", remedy: "register id_token_encrypted_response_alg and _enc", client: func(_ *policy, c *Client) string {
		if c.mayUse(grantCode) && c.IDTokenEncryption.Alg == "" {
			return "id_token_encrypted_response_alg is missing"
		}
		return ""
	}},

	// What a client pushes.
	{id: "BR-14", remedy: "ask for the response type code id_token", code: unsupportedResponseType, request: func(p *policy, r *pushed) string {
		if p.modesOf(r.responseType) == nil {
			return "response_type must be code id_token"
		}
		return ""
	}},
	{id: "BR-14", remedy: "ask for the answer by fragment or form_post", code: invalidRequest, request: func(p *policy, r *pushed) string {
		if !slices.Contains(p.modesOf(r.responseType), r.mode) {
			return "response_mode must be fragment or form_post"
		}
		return ""
	}},
	{id: "BR-17", remedy: "send no id_token_hint", code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if r.form.Has("id_token_hint") {
			return "id_token_hint is not taken"
		}
		return ""
	}},
}

// brazilDataScopes are those of the role DADOS from its first phase on.
var brazilDataScopes = []string{
	"openid", "accounts", "credit-cards-accounts", "consents", "customers", "invoice-financings",
	"financings", "loans", "unarranged-accounts-overdraft", "resources",
}

// offersData reports whether the bank shares data, and not only takes payments.
func offersData(c *Config) bool { return withPages(c) && offers(c, "consents") }

// offers reports whether c offers all of the scopes.
func offers(c *Config, scopes ...string) bool {
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(c.Scopes, scope) })
}
