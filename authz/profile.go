package authz

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/fetch"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/pkce"
)

// A Profile names a security profile: a table of rules that hold for the
// server, for a client's metadata and for each of its requests.
type Profile string

const (
	// FAPI2Security is the FAPI 2.0 Security Profile, Final, of 22 February
	// 2025. Its clients may sign their requests and ask for signed responses;
	// one that registers require_signed_request_object, or response_modes of
	// "jwt" alone, must do the one or the other.
	FAPI2Security Profile = "fapi2-security"

	// FAPI1Advanced is FAPI 1.0 Advanced, Final, of 12 March 2021, with the rules
	// of FAPI 1.0 Baseline that it includes. Its clients sign their requests,
	// send them by value or push them, and are answered by code and ID token, or
	// by a code in a signed response (JARM). See fapi1.go.
	FAPI1Advanced Profile = "fapi1-advanced"

	// FAPI2MessageSigning is FAPI 2.0 Message Signing, Final, of September
	// 2025: all of FAPI2Security, and every client signs its requests (JAR) and
	// gets signed responses (JARM).
	FAPI2MessageSigning Profile = "fapi2-message-signing"
)

// A limit is how long something may or must be, and the rule that says so.
type limit struct {
	rule string
	is   time.Duration
}

// A policy is what a profile demands, as data. Whatever differs between
// profiles is a member here, so that no step of the protocol asks for a
// profile by name.
type policy struct {
	algs        []string      // JWS algorithms, for every kind of JWT
	authMethods []string      // client authentication methods
	grantTypes  []string      // grant types
	codeLife    time.Duration // the longest life of an authorization code
	requestLife time.Duration // a pushed request's expires_in stays below it
	ahead       time.Duration // how far iat and nbf may lie ahead of the clock
	tls         mtls.Policy   // for the listener
	rules       []rule

	objectAge  limit // how far back nbf of a request object may lie
	objectLife limit // how far its exp may lie after nbf

	regional // what a region asks beyond; see region.go

	signedRequest bool  // whether every request is a signed one (RFC 9101)
	byValue       bool  // whether requests may come to the authorization endpoint, and without PKCE then
	endpointAud   bool  // whether an assertion may be for an endpoint, and for others as well
	dpop          bool  // whether tokens may be bound to a DPoP key
	responses     []way // how a client may be answered
}

// A way is a response type and the modes that it may be answered in.
type way struct {
	responseType string
	modes        []string
}

// modesOf returns how a response type may be answered, or nil if it may not be
// asked for.
func (p *policy) modesOf(responseType string) []string {
	for _, w := range p.responses {
		if w.responseType == responseType {
			return w.modes
		}
	}
	return nil
}

// modes returns how any response type may be answered.
func (p *policy) modes() (modes []string) {
	for _, w := range p.responses {
		modes = append(modes, w.modes...)
	}
	return modes
}

// A rule is one demand of a profile. Exactly one of server, client and request
// is set; it returns what breaks the rule, or "".
type rule struct {
	id      string // the row of the specification
	remedy  string // what to do; for request it is only told in the report
	code    Code   // for request: what the client is told
	server  func(*policy, *Config) string
	client  func(*policy, *Client) string
	request func(*policy, *pushed) string

	// waivable says that no other promise rests on the rule, so that a bank may
	// depart from it for a time (see Waiver). It is not so for whatever
	// authenticates a client, binds its tokens or proves who signed what; for
	// what answers could leak by; and for what the code behind the rule relies
	// on, or refuses as well. All rules of one row are of one kind.
	waivable bool

	// about, for the report, says whether a server so configured has what the
	// rule speaks of. If nil, every server has. The rule is checked anyway.
	about func(*Config) bool
}

// policies holds every profile there is.
var policies = map[Profile]*policy{
	FAPI1Advanced:       &fapi1Advanced,
	FAPI2Security:       &fapi2Security,
	FAPI2MessageSigning: fapi2MessageSigning(),
	UKOpenBanking:       ukOpenBanking(),
	OpenFinanceBrasil:   openFinanceBrasil(),
	AustraliaCDR:        australiaCDR(),
	UAEOpenFinance:      uaeOpenFinance(),
}

var fapi2Security = policy{
	algs:        []string{jose.PS256, jose.ES256, jose.EdDSA, jose.Ed25519}, // FAPI2-SP-5.4.1-1b, CONF-35
	authMethods: []string{methodPrivateKeyJWT, methodTLS, methodSelfSignedTLS},
	grantTypes:  []string{grantCode, grantRefresh, grantCredentials},
	codeLife:    time.Minute,
	requestLife: 10 * time.Minute,
	ahead:       30 * time.Second, // FAPI2-SP-5.3.2.1-13: between 10 and 60
	tls:         mtls.FAPI2,
	rules:       fapi2Rules,

	objectAge:  limit{"FAPI2-MS-5.3.1-3", time.Hour},
	objectLife: limit{"FAPI2-MS-5.3.1-4", time.Hour},

	dpop:      true,
	responses: []way{{typeCode, []string{modeQuery, modeJWT, modeQueryJWT}}},
}

func fapi2MessageSigning() *policy {
	p := fapi2Security
	p.signedRequest = true                                           // FAPI2-MS-5.3.1-1
	p.responses = []way{{typeCode, []string{modeJWT, modeQueryJWT}}} // FAPI2-MS-5.4.1-1
	return &p
}

var fapi2Rules = []rule{
	// What the server is.
	{id: "FAPI2-SP-5.2.1-1", remedy: "use an https URL", server: func(_ *policy, c *Config) string {
		if !strings.HasPrefix(c.Issuer, "https://") {
			return "Issuer is " + strconv.Quote(c.Issuer)
		}
		if c.MTLSBase != "" && !strings.HasPrefix(c.MTLSBase, "https://") {
			return "MTLSBase is " + strconv.Quote(c.MTLSBase)
		}
		return ""
	}},
	{id: "FAPI2-SP-5.3.2.1-11", remedy: "let codes live 60 seconds or less", waivable: true, about: withPages, server: func(p *policy, c *Config) string {
		return above("CodeLifetime", c.CodeLifetime, p.codeLife)
	}},
	{id: "FAPI2-SP-5.3.2.2-12", remedy: "let request URIs live from 5 to 599 seconds", waivable: true, about: withPages, server: func(p *policy, c *Config) string {
		if c.RequestLifetime < 5*time.Second {
			return "RequestLifetime is " + c.RequestLifetime.String()
		}
		return above("RequestLifetime", c.RequestLifetime, p.requestLife-time.Second)
	}},

	// What a client registered.
	{id: "FAPI2-SP-5.3.2.1-6", remedy: "register private_key_jwt, tls_client_auth or self_signed_tls_client_auth", client: func(p *policy, c *Client) string {
		return outside("token_endpoint_auth_method", c.AuthMethod, p.authMethods)
	}},
	{id: "FAPI2-SP-5.3.2.1-5", remedy: "register tls_client_certificate_bound_access_tokens or dpop_bound_access_tokens as true", client: func(_ *policy, c *Client) string {
		switch {
		case c.isAPI(): // it gets none
			return ""
		case !c.CertificateBoundTokens && !c.DPoPBoundTokens:
			return "access tokens would not be bound to the client"
		case c.CertificateBoundTokens && c.DPoPBoundTokens:
			return "access tokens would be bound in two ways"
		}
		return ""
	}},
	{id: "FAPI2-SP-5.3.2.1-2", remedy: "register authorization_code, refresh_token or client_credentials", waivable: true, client: func(p *policy, c *Client) string {
		for _, t := range c.GrantTypes {
			if bad := outside("grant_types", t, p.grantTypes); bad != "" {
				return bad
			}
		}
		return ""
	}},
	{id: "FAPI2-SP-5.3.2.2-1", remedy: "register the response type code alone", client: func(_ *policy, c *Client) string {
		for _, t := range c.ResponseTypes {
			if bad := outside("response_types", t, []string{"code"}); bad != "" {
				return bad
			}
		}
		return ""
	}},
	{id: "OIDR-3", remedy: "register the response type code and authorization_code together", client: func(_ *policy, c *Client) string {
		switch {
		case c.ResponseTypes == nil: // what a client leaves out asks for nothing
			return ""
		case len(c.ResponseTypes) > 0 && !c.mayUse(grantCode):
			return "response_types is there without authorization_code"
		case len(c.ResponseTypes) == 0 && c.mayUse(grantCode):
			return "response_types is empty"
		}
		return ""
	}},
	{id: "R7591-2-2", remedy: "register the redirect_uris", client: func(_ *policy, c *Client) string {
		if c.mayUse(grantCode) && len(c.RedirectURIs) == 0 {
			return "redirect_uris is missing"
		}
		return ""
	}},
	{id: "RFC6749-3.1.2-1", remedy: "register absolute URIs without fragment", client: func(_ *policy, c *Client) string {
		for _, u := range c.RedirectURIs {
			if p, err := url.Parse(u); err != nil || !p.IsAbs() || p.Host == "" || strings.Contains(u, "#") {
				return "redirect_uris has " + strconv.Quote(u)
			}
		}
		return ""
	}},
	{id: "FAPI2-SP-5.3.2.2-8", remedy: "register https URIs; http is for native clients on 127.0.0.1 and [::1]", waivable: true, about: withPages, client: func(_ *policy, c *Client) string {
		for _, u := range c.RedirectURIs {
			if !strings.HasPrefix(u, "https://") && !(c.ApplicationType == "native" && loopback(u)) {
				return "redirect_uris has " + strconv.Quote(u)
			}
		}
		return ""
	}},
	{id: "OIDR-4", remedy: "register web or native", waivable: true, client: func(_ *policy, c *Client) string {
		return outside("application_type", c.ApplicationType, []string{"", "web", "native"})
	}},
	{id: "OIDR-7", remedy: "register jwks or jwks_uri, not both", client: func(p *policy, c *Client) string {
		switch by := c.JWKS != nil; {
		case by && c.JWKSURI != "":
			return "jwks and jwks_uri are both there"
		case !by && c.JWKSURI == "" && (c.AuthMethod == methodPrivateKeyJWT || c.AuthMethod == methodSelfSignedTLS || p.mustSign(c)):
			return "jwks and jwks_uri are both missing"
		}
		return ""
	}},
	{id: "FAPI2-SP-5.4.2-1", remedy: "register an https URL without user and fragment", client: func(_ *policy, c *Client) string {
		if c.JWKSURI != "" && fetch.CheckURL(c.JWKSURI) != nil {
			return "jwks_uri is " + strconv.Quote(c.JWKSURI)
		}
		return ""
	}},
	{id: "FAPI2-SP-5.4.1-1b", remedy: "register PS256, ES256, EdDSA or Ed25519", client: func(p *policy, c *Client) string {
		for _, m := range c.signingAlgs() {
			if m.value != "" && !slices.Contains(p.algs, m.value) {
				return outside(m.name, m.value, p.algs)
			}
		}
		return ""
	}},
	{id: "FAPI2-MS-5.3.3-1", remedy: "register what the profile allows of query, jwt and query.jwt", client: func(p *policy, c *Client) string {
		if c.ResponseModes != nil && len(c.ResponseModes) == 0 {
			return "response_modes is empty"
		}
		for _, mode := range c.ResponseModes {
			if bad := outside("response_modes", mode, p.modes()); bad != "" {
				return bad
			}
		}
		return ""
	}},
	{id: "OIDR-16", remedy: "register seconds", client: func(_ *policy, c *Client) string {
		if c.DefaultMaxAge != nil && (*c.DefaultMaxAge < 0 || *c.DefaultMaxAge > maxAge) {
			return "default_max_age is " + strconv.FormatInt(*c.DefaultMaxAge, 10)
		}
		return ""
	}},
	{id: "RFC9068-2.1-1", remedy: "register jwt or opaque", client: func(_ *policy, c *Client) string {
		return outside("access_token_format", c.AccessTokenFormat, []string{"", "jwt", formatOpaque})
	}},
	{id: "RFC8705-2.1-2", remedy: "register exactly one tls_client_auth_ member, well formed", about: withAuthorities, client: func(_ *policy, c *Client) string {
		if c.AuthMethod != methodTLS {
			return ""
		}
		if err := c.CertificateSubject.Check(); err != nil {
			return err.Error()
		}
		return ""
	}},

	// What a client pushes.
	{id: "FAPI2-SP-5.3.2.2-1", remedy: "ask for the response type code", code: unsupportedResponseType, request: func(_ *policy, r *pushed) string {
		if r.responseType != "code" {
			return "response_type must be code"
		}
		return ""
	}},
	{id: "FAPI2-SP-5.3.2.2-6", remedy: "send a redirect_uri with every request", code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if r.RedirectURI == "" {
			return "redirect_uri is missing"
		}
		return ""
	}},
	{id: "FAPI2-SP-5.3.2.2-5", remedy: "send a code_challenge of method S256 with every request", code: invalidRequest, request: func(_ *policy, r *pushed) string {
		if pkce.CheckChallenge(r.Challenge, r.challengeMethod) != nil {
			return "a code_challenge with code_challenge_method S256 is required"
		}
		return ""
	}},
}

func withPages(c *Config) bool       { return c.Interact != nil }
func withAuthorities(c *Config) bool { return c.Authorities != nil }

// mustSign reports whether the requests of client c have to be signed ones.
func (p *policy) mustSign(c *Client) bool {
	return c.mayUse(grantCode) && (p.signedRequest || c.RequireSignedRequest)
}

// checkServer returns every rule for the server that c breaks and d does not
// allow it to.
func (p *policy) checkServer(c *Config, d *departure) (v Violations) {
	for _, r := range p.rules {
		if r.server == nil {
			continue
		}
		if bad := r.server(p, c); bad != "" && !d.allows(&r) {
			v = append(v, Violation{r.id, bad, r.remedy})
		}
	}
	return v
}

// checkClient returns every rule for clients that c breaks and d does not allow
// it to.
func (p *policy) checkClient(c *Client, d *departure) (v Violations) {
	for _, r := range p.rules {
		if r.client == nil {
			continue
		}
		if bad := r.client(p, c); bad != "" && !d.allows(&r) {
			v = append(v, Violation{r.id, bad, r.remedy})
		}
	}
	return v
}

// checkRequest returns the refusal of the first rule that r breaks and d does
// not allow it to.
func (p *policy) checkRequest(r *pushed, d *departure) error {
	for _, rule := range p.rules {
		if rule.request == nil {
			continue
		}
		if bad := rule.request(p, r); bad != "" && !d.allows(&rule) {
			return refuse(rule.id, rule.code, bad)
		}
	}
	return nil
}

func above(name string, v, limit time.Duration) string {
	if v > limit {
		return name + " is " + v.String()
	}
	return ""
}

func outside(name, v string, allowed []string) string {
	if slices.Contains(allowed, v) {
		return ""
	}
	if v == "" {
		return name + " is missing"
	}
	return name + " has " + strconv.Quote(v)
}

// loopback reports whether u is a native client's http URI with a loopback IP
// literal as its host.
func loopback(u string) bool {
	p, err := url.Parse(u)
	if err != nil || p.Scheme != "http" || p.User != nil {
		return false
	}
	ip, err := netip.ParseAddr(p.Hostname())
	return err == nil && (ip == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || ip == netip.IPv6Loopback())
}
