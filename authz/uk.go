package authz

import (
	"slices"
	"strings"
)

// UKOpenBanking is the security profile of UK Open Banking: FAPI 1.0 Advanced,
// answered by code and ID token, where every request names an intent that the
// client lodged with the bank before, as the essential claim
// openbanking_intent_id of its ID tokens. Clients may send requests by value and
// may push them.
//
// The host does what is not the server's. It keeps the intents: Config.Consent
// says whether one is there, is the client's, and waits for the customer or is
// authorized; [Interaction].Consent is its id, and [Grants.Revoke] ends the
// tokens when it is deleted. A customer who fails strong customer authentication
// is denied with [UnmetAuthentication], and the client is told access_denied.
// [Decision].Expires is when the customer has to authorize anew, which the client
// is told with its refresh token; no refresh token is without an end. Clients
// come from the directory by [ClientRegistry], and Config.Authorities are those
// of its certificates; that the organization in a certificate is the client's,
// its tls_client_auth_subject_dn says. APIs refuse a token without grant_id where
// the customer's is needed and one with it where consents are lodged, ask whether
// the intent permits the call ([token.Require].Permit), and do message signing
// (x-jws-signature) and idempotency themselves.
const UKOpenBanking Profile = "uk-open-banking"

// What the region calls its claims and its authentication contexts.
const (
	ukIntent        = "openbanking_intent_id"
	ukRefreshExpiry = "http://openbanking.org.uk/refresh_token_expires_at"
	ukStrong        = "urn:openbanking:psd2:sca"
)

func ukOpenBanking() *policy {
	p := upon(&fapi1Advanced, ukRules)
	p.authMethods = []string{methodPrivateKeyJWT, methodTLS}
	p.responses = []way{{typeCodeIDToken, []string{modeFragment, modeFormPost}}} // UK-SEC-1

	p.consent = ukConsent
	p.unfit = refusal{"UK-SEC-5", invalidRequest}
	p.consentClaim = ukIntent        // UK-SEC-4
	p.refreshClaim = ukRefreshExpiry // UK-SEC-8
	p.unmet = AccessDenied           // UK-SEC-6

	p.remedied("FAPI1-ADV-5.2.2-14", "register private_key_jwt or tls_client_auth")
	p.remedied("FAPI1-ADV-5.2.2-2", "register the response type code id_token and ask for it, by fragment or form_post")
	return p
}

var ukRules = []rule{
	needsScopes("UK-SEC-2", []string{"openid", "accounts"}),
	{id: "UK-SEC-4", remedy: "leave openbanking_intent_id out of ClaimNames; the library tells it", server: notAmongClaims(ukIntent)},
	{id: "UK-SEC-8", remedy: "leave " + ukRefreshExpiry + " out of ClaimNames; the library tells it", server: notAmongClaims(ukRefreshExpiry)},
	needsConsent("UK-SEC-5"),
	needsACR("UK-SEC-6", ukStrong),

	// What a client registered.
	{id: "UK-SEC-1", remedy: "register the response type code id_token", client: func(_ *policy, c *Client) string {
		if c.mayUse(grantCode) && !c.awaits(typeCodeIDToken) {
			return "response_types is without code id_token"
		}
		return ""
	}},
}

// notAmongClaims is the check of a server that tells a claim itself.
func notAmongClaims(claim string) func(*policy, *Config) string {
	return func(_ *policy, c *Config) string {
		if slices.ContainsFunc(c.ClaimNames, func(name string) bool { return strings.EqualFold(name, claim) }) {
			return "ClaimNames has " + claim
		}
		return ""
	}
}

// maxIntent limits the id of an intent, in bytes.
const maxIntent = 255

// ukConsent returns the intent that a request rests on. It is one, and it is
// essential: what the customer sees must not be left to the bank.
func ukConsent(r *pushed) (string, error) {
	q, err := parseClaims(r.form.Get("claims"))
	if err != nil { // it is missing; readClaims has seen all else
		return "", refuse("UK-SEC-3", invalidRequest, "claims is missing")
	}
	for _, a := range q.idToken {
		if a.name != ukIntent {
			continue
		}
		ids, ok := a.strings()
		if !ok || !a.essential || len(ids) != 1 || len(ids[0]) > maxIntent || strings.ContainsFunc(ids[0], func(r rune) bool { return r <= ' ' || r > '~' }) {
			break
		}
		return ids[0], nil
	}
	return "", refuse("UK-SEC-3", invalidRequest, "claims has no essential openbanking_intent_id with one value in id_token")
}
