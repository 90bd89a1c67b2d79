package authz

import (
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
)

// AustraliaCDR is the security profile of Australia's Consumer Data Right, by
// version 1.36.0 of the Consumer Data Standards: FAPI 1.0 Advanced, where every
// request is signed, pushed with PKCE and answered by a code in a signed response
// (JARM), over TLS with a certificate of the CDR authority wherever a client calls
// directly.
//
// A grant is an arrangement. Its id is the cdr_arrangement_id that clients are
// told; by it they ask to amend it ([Interaction].Amends), and end it at
// /arrangements/revoke. The request says how long data is shared
// ([Interaction].SharingDuration), which the host shows: the grant lasts as long,
// or less where [Decision].Expires says so, and Config.GrantLifetime is not asked.
// With no sharing_duration, or one that is shorter than an access token lives,
// there is no refresh token.
//
// Each client is registered with the subject_type pairwise, and at introspection
// learns of refresh tokens alone. So does an API of this profile: it uses
// [token.VerifierConfig].Liveness. Config.Keys has a key for PS256, under which a
// response is signed unless the client registered otherwise.
//
// The host does what is not the server's. One issuer serves one brand, or one app
// of it that customers are sent to. Config.Interact authenticates customers, by a
// one-time password and never by a password, and says in [Decision].ACR how far
// it went: urn:cds.au:cdr:2 for reading, :3 for writing, at consent or by a later
// challenge of the API's ([token.Require].ACR). [ClientRegistry] follows the
// Register: within five minutes it gives ErrNoClient for software that was removed
// and registers away what inactive software may ask for, or the host ends its
// grants; the Register itself, where it calls the bank, is a client like any
// other. Config.Authorities are the CDR's, with a check of revocation. APIs read
// the CDR's headers themselves. When a customer withdraws consent at the bank, the
// host ends the grant ([Grants.Revoke]) and tells the recipient ([Server.NotifyWithdrawal]).
const AustraliaCDR Profile = "australia-cdr"

// cdrLevels are the authentication contexts, from one factor up.
var cdrLevels = []string{"urn:cds.au:cdr:2", "urn:cds.au:cdr:3", "urn:cds.au:cdr:4"}

func australiaCDR() *policy {
	p := upon(&fapi1Advanced, cdrRules)
	p.authMethods = []string{methodPrivateKeyJWT} // CDR-5
	p.grantTypes = []string{grantCode, grantRefresh, grantCredentials}
	p.byValue, p.noObject = false, true                                                                // CDR-2
	p.responses = []way{{typeCode, []string{modeJWT, modeQueryJWT, modeFragmentJWT, modeFormPostJWT}}} // CDR-1
	p.objectAge = limit{"CDR-4", time.Hour}
	p.objectLife = limit{"CDR-4", time.Hour}
	p.tls = mtls.FAPI2 // CDR-23

	p.transport = "CDR-6"
	p.tokenLeast = limit{"CDR-8", 2 * time.Minute}
	p.byConsent = true // CDR-9
	p.sharing = limit{"CDR-10", 31_536_000 * time.Second}
	p.arrangement = "cdr_arrangement_id" // CDR-11, CDR-12
	p.acr = anyOf{"CDR-13", cdrLevels}
	p.unmet = AccessDenied // CDR-13
	p.pairwise = true      // CDR-14
	p.bareID = true        // CDR-15
	p.mayKnow = []string{  // CDR-15
		"name", "given_name", "family_name", "updated_at",
		"email", "email_verified", "phone_number", "phone_number_verified", "address",
	}
	p.refreshOnly = refusal{"CDR-17", invalidGrant}
	p.keyAlgs = []string{jose.RSAOAEP, jose.RSAOAEP256} // CDR-21
	p.contentAlgs = []string{jose.A256GCM, jose.A128CBCHS256}
	p.responseAlg = jose.PS256 // CDR-22

	p.remedied("FAPI1-ADV-5.2.2-14", "register private_key_jwt")
	p.remedied("FAPI1-ADV-5.2.2-2", "register the response type code and ask for it, in a signed response")
	p.remedied("OIDR-3", "register the response type code and authorization_code together, and not implicit")
	return p
}

var cdrRules = []rule{
	// What the server is.
	needsRequestLife("CDR-3", 10*time.Second, 90*time.Second),
	needsAuthorities("CDR-6"),
	needsTokenLife("CDR-8", 2*time.Minute, 10*time.Minute),
	{id: "CDR-13", remedy: "name those of " + strings.Join(cdrLevels, ", ") + " in ACRValues that the pages reach", about: withPages, server: func(p *policy, c *Config) string {
		if !slices.ContainsFunc(c.ACRValues, func(acr string) bool { return slices.Contains(p.acr.values, acr) }) {
			return "ACRValues has none of " + strings.Join(p.acr.values, ", ")
		}
		return ""
	}},
	{id: "CDR-14", remedy: "set Config.Pairwise", about: withPages, server: func(_ *policy, c *Config) string {
		if c.Pairwise == nil {
			return "Pairwise is nil"
		}
		return ""
	}},
	needsScopes("CDR-21", []string{"openid", "profile"}),

	// What a client registered.
	needsKeysAt("CDR-7"),
	{id: "CDR-15", remedy: "register no encryption of ID tokens, which tell nothing of the customer", client: func(_ *policy, c *Client) string {
		if c.IDTokenEncryption != (Encryption{}) {
			return "id_token_encrypted_response_alg is there"
		}
		return ""
	}},
	{id: "OIDC-SU-1", remedy: "register subject_type pairwise", client: func(_ *policy, c *Client) string {
		if c.mayUse(grantCode) && c.SubjectType != subjectPairwise {
			return "subject_type is not pairwise"
		}
		return ""
	}},
	needsEncryption("CDR-22", "RSA-OAEP or RSA-OAEP-256 with A256GCM or A128CBC-HS256"),

	// What it asks for.
	{id: "CDR-16", remedy: "ask for openid in every request", code: invalidScope, request: func(_ *policy, r *pushed) string {
		if !r.asksOpenID() {
			return "scope is without openid"
		}
		return ""
	}},
}
