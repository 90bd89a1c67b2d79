package authz

import (
	"context"
	"crypto/x509"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// Config describes an authorization server. Fields not marked optional must
// be set. The zero value of every optional field is the strictest behavior
// the FAPI 2.0 Security Profile allows.
type Config struct {
	// Issuer is the server's name: an https URL without query or fragment
	// (RFC 8414, 2). Endpoints lie below its path.
	Issuer string

	Store   store.Store    // what the server remembers
	Keys    token.KeySet   // what it signs with
	Clients ClientRegistry // whom it serves

	// Secrets seal what browsers carry between pages, and opaque access tokens.
	// Each has 32 bytes or more, and all nodes share them; the first seals,
	// every one opens. A new secret is rolled out last in the list, then moved
	// first; an old one stays for InteractionLifetime and AccessTokenLifetime,
	// whichever is longer.
	Secrets [][]byte

	// Resources are the APIs that access tokens are for, at least one.
	Resources []Resource

	// Scopes is what the server offers; without any it issues nothing. Where
	// "openid" is among them, an authorization request that asks for it gets
	// an ID token.
	Scopes []string

	// DetailsTypes optionally are the types of authorization_details that the
	// APIs define (RFC 9396). If empty, the parameter is refused.
	DetailsTypes []DetailsType

	// Claims optionally tells what the bank knows about a customer, for the
	// claims that a client may see of it. If nil, sub is all there is. Values
	// are what json.Marshal takes, of the type that OpenID Connect Core, 5.1
	// gives a standard claim: updated_at is a number of seconds,
	// email_verified true or false. What it has no value for it leaves out. It
	// is called concurrently, after the grant was found alive and before
	// anything leaves; its error is an outage.
	Claims func(context.Context, ClaimsRequest) (map[string]any, error)

	// ClaimNames are the claims that Claims can return, such as family_name or,
	// in a language of its own, family_name#ja-Kana-JP (OpenID Connect Core,
	// 5.2); others are not asked of it, whatever a client asks. They are
	// advertised (claims_supported).
	ClaimNames []string

	// Pairwise optionally is the salt, 32 bytes or more, from which clients that
	// registered subject_type pairwise get a subject of their own for each
	// customer (OpenID Connect Core, 8.1). It never changes: every such subject
	// would. If nil, subjects are public.
	//
	// Access tokens have that subject, too. An API that has to know the customer
	// finds the consent by GrantID of [token.Access], which is that of
	// [Interaction].
	Pairwise []byte

	// Decrypt optionally holds the keys to which clients may encrypt their
	// request objects. Their public halves are published; a key that is to go
	// is first moved to the end and marked Retired, then left out.
	Decrypt []DecryptionKey

	// Interact optionally shows the first page of an interaction: it finds
	// out who the customer is and asks for consent, in as many requests as
	// that takes, and ends it with [Interaction.Finish]. If nil, there is no
	// authorization endpoint, and no pushed request is taken.
	//
	// The answer already has the headers that the protocols ask of a page,
	// such as those against framing; Interact may replace them, and sets them
	// on the pages that follow.
	Interact func(http.ResponseWriter, *http.Request, *Interaction)

	// Logout optionally shows the page on which a client asks that the customer
	// be logged out of the bank (OpenID Connect RP-Initiated Logout 1.0): it asks
	// the customer, and the host ends what it ends, see [Logout]. If nil, there
	// is no end-session endpoint. As for Interact, the answer already has the
	// headers of a page.
	Logout func(http.ResponseWriter, *http.Request, *Logout)

	// BackchannelLogout says that the host tells clients when a session of its
	// ends, by [Server.NotifyLogout] (OpenID Connect Back-Channel Logout 1.0). It
	// is advertised, clients may register a backchannel_logout_uri, and every
	// approval of openid has a Decision.Session.
	BackchannelLogout bool

	// ErrorPage optionally shows, in the bank's own looks, why a request that a
	// browser brought leads nowhere: its client or redirect URI is not to be
	// trusted, the request is malformed, is unknown or has expired, or something
	// has failed. If it is nil or writes nothing, the library's page is shown.
	//
	// The page stays what it is: the status is set, no Location and no Refresh
	// leaves, and of the headers of a page only Content-Security-Policy can be
	// replaced, by one that says frame-ancestors 'none'. It allows no script, no
	// style and no image until then. Error has Code and Description alone. The
	// request has neither query nor body: what they hold is a stranger's word,
	// such as the address that the browser must not be sent to. It is called
	// concurrently.
	ErrorPage func(http.ResponseWriter, *http.Request, *Error)

	// Profiles optionally lists the profiles served, each client under one.
	// If empty, it is FAPI2Security. Where there is one, a client that names
	// none is served under it; where there are several, it is refused.
	Profiles []Profile

	// Retire optionally says when a profile in Profiles ends. From that moment
	// on, its clients are refused everything but revocation: what they were
	// granted is of no use any more, except that an access token which APIs do
	// not ask about lives out its minutes. Clients of other profiles notice
	// nothing. A date in the past is kept, so that the clients can still revoke;
	// without the profile in Profiles they could not.
	Retire map[Profile]time.Time

	// Waivers optionally allow departures from single rules of the profiles,
	// each for a reason and a time. See [Waiver].
	Waivers []Waiver

	// Consent tells what the host knows of the consents that clients name, under
	// the profiles by which they do: [UKOpenBanking], [OpenFinanceBrasil] and
	// [UAEOpenFinance]. It is asked at each of the steps of [ConsentRequest],
	// concurrently. In problem it says what speaks against the step, in words
	// that the client's developer may see, or "". An error is an outage and
	// refuses nothing.
	Consent func(context.Context, ConsentRequest) (problem string, err error)

	// MTLSBase is, optionally, what stands in Issuer's place at a second
	// listener for the same handler, one that asks for client certificates:
	// an https URL with the path of Issuer. It is advertised in
	// mtls_endpoint_aliases (RFC 8705, 5). If empty, the issuer's own
	// listener has to ask for them.
	MTLSBase string

	// Authorities optionally issue the certificates of clients that
	// authenticate by tls_client_auth. If nil, the method is not offered.
	Authorities *mtls.Authorities

	// ACRValues optionally lists the authentication contexts that the bank's
	// pages can reach, for the metadata document (acr_values_supported).
	ACRValues []string

	// Lifetimes are whole seconds, this one and those that follow.
	CodeLifetime        time.Duration // optional: of an authorization code; if zero, 60 seconds
	RequestLifetime     time.Duration // optional: expires_in of a pushed request; if zero, 90 seconds
	InteractionLifetime time.Duration // optional: from the first page to the decision; if zero, 30 minutes
	AccessTokenLifetime time.Duration // optional: if zero, 5 minutes
	IDTokenLifetime     time.Duration // optional: if zero, 5 minutes

	// GrantLifetime is, optionally, how long a client may refresh where the
	// Decision does not say when the grant ends. If both are zero, there is
	// no refresh token.
	GrantLifetime time.Duration

	// DPoPNonces optionally demands a nonce of the server's in every DPoP proof
	// (RFC 9449, 8). Nonces are made from Secrets, so that any node takes what
	// another gave.
	DPoPNonces bool

	// FetchRoots optionally replaces the system's certificate authorities for
	// what is asked of clients: jwks_uri and backchannel_logout_uri.
	FetchRoots *x509.CertPool

	// FetchPrivate optionally lists private addresses that these may point to,
	// for labs. If empty, none may be.
	FetchPrivate []netip.Prefix

	// Audit, if not nil, is told of everything that happens, before the
	// answer is written. It is called concurrently. See [LogEvents].
	Audit func(context.Context, Event)

	// Now, if not nil, replaces time.Now.
	Now func() time.Time
}

// withDefaults returns a copy that shares no slice with c.
func (c Config) withDefaults() Config {
	secrets := make([][]byte, len(c.Secrets))
	for i, s := range c.Secrets {
		secrets[i] = slices.Clone(s)
	}
	c.Secrets = secrets
	c.Scopes = slices.Clone(c.Scopes)
	c.ACRValues = slices.Clone(c.ACRValues)
	c.FetchPrivate = slices.Clone(c.FetchPrivate)
	c.Resources = cloneResources(c.Resources)
	c.DetailsTypes = cloneDetailsTypes(c.DetailsTypes)
	c.ClaimNames = slices.Clone(c.ClaimNames)
	c.Pairwise = slices.Clone(c.Pairwise)
	c.Decrypt = slices.Clone(c.Decrypt)
	c.Profiles = slices.Clone(c.Profiles)
	c.Retire = maps.Clone(c.Retire)
	c.Waivers = cloneWaivers(c.Waivers)
	if len(c.Profiles) == 0 {
		c.Profiles = []Profile{FAPI2Security}
	}
	c.MTLSBase = strings.TrimSuffix(c.MTLSBase, "/")
	orDefault(&c.CodeLifetime, time.Minute)
	orDefault(&c.RequestLifetime, 90*time.Second)
	orDefault(&c.InteractionLifetime, 30*time.Minute)
	orDefault(&c.AccessTokenLifetime, 5*time.Minute)
	orDefault(&c.IDTokenLifetime, 5*time.Minute)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func orDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

// check returns everything that is wrong with c, whatever the profile.
func (c *Config) check() (v Violations) {
	add := func(rule, value, remedy string) { v = append(v, Violation{rule, value, remedy}) }

	switch u, err := url.Parse(c.Issuer); {
	case c.Issuer == "":
		add("RFC8414-2-1", "Issuer is empty", "set it to the server's https URL")
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.ContainsAny(c.Issuer, "?#"):
		add("RFC8414-2-1", "Issuer is "+strconv.Quote(c.Issuer), "use a URL with a host and without user, query or fragment")
	case u.Path != strings.TrimSuffix(u.EscapedPath(), "/"):
		add("RFC8414-3-1", "Issuer is "+strconv.Quote(c.Issuer), "use a path without escapes and without a slash at its end")
	}
	if c.MTLSBase != "" {
		issuer, _ := url.Parse(c.Issuer)
		u, err := url.Parse(c.MTLSBase)
		if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(c.MTLSBase, "?#") || issuer != nil && u.Path != issuer.Path {
			add("RFC8705-5-1", "MTLSBase is "+strconv.Quote(c.MTLSBase), "use a URL with a host and the issuer's path, and without user, query or fragment")
		}
	}
	for _, f := range []struct {
		name string
		nil  bool
	}{{"Store", c.Store == nil}, {"Keys", c.Keys == nil}, {"Clients", c.Clients == nil}} {
		if f.nil {
			add("Config", f.name+" is nil", "set it; nothing is made up in its place")
		}
	}
	if len(c.Secrets) == 0 {
		add("Config", "Secrets is empty", "give one secret of 32 random bytes")
	}
	for i, s := range c.Secrets {
		if len(s) < 32 {
			add("Config", "Secrets["+strconv.Itoa(i)+"] has "+strconv.Itoa(len(s))+" bytes", "use 32 random bytes or more")
		}
	}
	for i, acr := range c.ACRValues {
		if acr == "" || strings.ContainsFunc(acr, func(r rune) bool { return r <= ' ' || r > '~' }) || slices.Contains(c.ACRValues[:i], acr) {
			add("OIDC-IT-7", "ACRValues has "+strconv.Quote(acr), "name each context once, by a URI or a registered name; a client could not ask for it")
		}
	}
	v = append(v, checkResources(c)...)
	v = append(v, checkDetailsTypes(c)...)
	v = append(v, checkClaims(c)...)
	v = append(v, checkDecrypt(c)...)
	v = append(v, checkLogout(c)...)
	for _, s := range c.Scopes {
		if !isScope(s) {
			add("RFC6749-3.3-1", "Scopes has "+strconv.Quote(s), "use printable ASCII without space, quote and backslash")
		}
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"CodeLifetime", c.CodeLifetime}, {"RequestLifetime", c.RequestLifetime}, {"InteractionLifetime", c.InteractionLifetime},
		{"AccessTokenLifetime", c.AccessTokenLifetime}, {"IDTokenLifetime", c.IDTokenLifetime}, {"GrantLifetime", c.GrantLifetime},
	} {
		switch {
		case d.v < 0:
			add("Config", d.name+" is "+d.v.String(), "use a positive duration")
		case d.v%time.Second != 0:
			add("Config", d.name+" is "+d.v.String(), "use whole seconds, as the protocol does")
		}
	}
	if c.IDTokenLifetime > time.Hour {
		add("OIDC-IT-17", "IDTokenLifetime is "+c.IDTokenLifetime.String(), "let ID tokens live an hour or less; they report one login")
	}
	for _, p := range c.Profiles {
		if policies[p] == nil {
			add("Config", "Profiles has "+strconv.Quote(string(p)), "use a profile of this package")
		}
	}
	v = append(v, checkRetire(c)...)
	return append(v, checkWaivers(c)...)
}

// isScope reports whether s is a scope token (RFC 6749, 3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
