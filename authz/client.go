package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
)

// ErrNoClient is returned by a [ClientRegistry] for an id that is not
// registered.
var ErrNoClient = errors.New("authz: no such client")

// ClientRegistry finds registered clients.
type ClientRegistry interface {
	// Client returns the client registered as id, or ErrNoClient. Any other
	// error is an outage, and is answered server_error, not invalid_client.
	// Neither side changes the client afterwards. The id is what a stranger
	// sent: up to 255 characters of printable ASCII.
	Client(ctx context.Context, id string) (*Client, error)
}

// The client authentication methods of FAPI 2.0 (OpenID Connect Core, 9 and
// RFC 8705, 2).
const (
	methodPrivateKeyJWT = "private_key_jwt"
	methodTLS           = "tls_client_auth"
	methodSelfSignedTLS = "self_signed_tls_client_auth"
)

// The grant types that the token endpoint knows.
const (
	grantCode        = "authorization_code"
	grantRefresh     = "refresh_token"
	grantCredentials = "client_credentials"
)

// A Client is a registered client. Its members have the names and meanings of
// client metadata (RFC 7591, 2 and the specifications named); as JSON a Client
// reads and is read as RFC 7591 metadata with client_id and, optionally,
// profile. A zero member was not registered, and no default of the registry
// that FAPI forbids is put in its place.
type Client struct {
	ID      string  // client_id
	Profile Profile // the one profile it is served under; see Config.Profiles
	Name    string  // client_name

	RedirectURIs    []string // redirect_uris, compared as whole strings
	ApplicationType string   // application_type: "web" (also if empty) or "native"
	GrantTypes      []string // grant_types; nil means authorization_code alone
	ResponseTypes   []string // response_types; nil means code alone
	Scope           string   // scope: what it may ask for, divided by spaces

	AuthMethod         string          // token_endpoint_auth_method
	AuthSigningAlg     string          // token_endpoint_auth_signing_alg; empty allows all of the profile
	JWKS               json.RawMessage // jwks: public keys by value
	JWKSURI            string          // jwks_uri: or where they are
	CertificateSubject mtls.Subject    // tls_client_auth_*

	// Access tokens are bound to the certificate of the client or to its proof
	// key; exactly one is registered.
	CertificateBoundTokens bool // tls_client_certificate_bound_access_tokens (RFC 8705, 3.4)
	DPoPBoundTokens        bool // dpop_bound_access_tokens (RFC 9449, 5.2)

	// RequirePushedRequest is require_pushed_authorization_requests (RFC 9126,
	// 6): it sends no request by value, where its profile lets it.
	RequirePushedRequest bool

	// Request objects (RFC 9101), which the client may always send.
	RequireSignedRequest bool       // require_signed_request_object: it makes no request without
	RequestAlg           string     // request_object_signing_alg; empty allows all of the profile
	RequestEncryption    Encryption // request_object_encryption_alg and _enc: what it means to use, and not all that it may

	// ResponseModes is response_modes: those it may ask for (FAPI 2.0 Message
	// Signing, 5.3.3). If nil, all of the server.
	ResponseModes []string

	// What it is sent is signed under the algorithm that it registered. Empty
	// means the server's choice, and for userinfo that it is not signed.
	ResponseAlg      string // authorization_signed_response_alg (JARM, 3)
	IDTokenAlg       string // id_token_signed_response_alg
	UserInfoAlg      string // userinfo_signed_response_alg
	IntrospectionAlg string // introspection_signed_response_alg (RFC 9701, 6)

	// Then it is encrypted to the client's key, if it registered for that.
	ResponseEncryption      Encryption // authorization_encrypted_response_alg and _enc
	IDTokenEncryption       Encryption // id_token_encrypted_response_alg and _enc
	UserInfoEncryption      Encryption // userinfo_encrypted_response_alg and _enc
	IntrospectionEncryption Encryption // introspection_encrypted_response_alg and _enc

	// EncryptTokenEndpointIDToken is encrypt_token_endpoint_id_token, a member of
	// ours: under [OpenFinanceBrasil], whether the ID token from the token
	// endpoint is encrypted as well, as earlier revisions of that profile have it.
	// Under every other profile it is, if the client registered IDTokenEncryption.
	EncryptTokenEndpointIDToken bool

	DetailsTypes     []string // authorization_details_types (RFC 9396, 10); nil means all of the server
	DefaultMaxAge    *int64   // default_max_age, seconds; nil if there is none
	DefaultACRValues []string // default_acr_values

	SubjectType         string // subject_type: "public" (also if empty) or "pairwise" (OpenID Connect Core, 8)
	SectorIdentifierURI string // sector_identifier_uri

	// Logout (OpenID Connect RP-Initiated and Back-Channel Logout 1.0).
	PostLogoutRedirectURIs           []string // post_logout_redirect_uris, compared as whole strings
	BackchannelLogoutURI             string   // backchannel_logout_uri; see Config.BackchannelLogout
	BackchannelLogoutSessionRequired bool     // backchannel_logout_session_required

	// AccessTokenFormat is access_token_format, a member of ours: "jwt" (also if
	// empty; RFC 9068) or "opaque".
	AccessTokenFormat string

	// Resource is resource, a member of ours: the identifier of the API that
	// this is. Such a client asks about tokens for that API (RFC 7662) and, with
	// empty GrantTypes, does nothing else.
	Resource string

	// Metadata holds the other members as they were registered.
	Metadata map[string]json.RawMessage
}

// Encryption says how a client wants what is sent to it encrypted. The zero
// Encryption is none.
type Encryption struct {
	Alg string // key management, such as RSA-OAEP-256
	Enc string // content encryption; empty means A128CBC-HS256 (OpenID Connect Registration, 2)
}

// signingAlgs returns the members that name a signing algorithm.
func (c *Client) signingAlgs() []struct{ name, value string } {
	return []struct{ name, value string }{
		{"token_endpoint_auth_signing_alg", c.AuthSigningAlg},
		{"request_object_signing_alg", c.RequestAlg},
		{"authorization_signed_response_alg", c.ResponseAlg},
		{"id_token_signed_response_alg", c.IDTokenAlg},
		{"userinfo_signed_response_alg", c.UserInfoAlg},
		{"introspection_signed_response_alg", c.IntrospectionAlg},
	}
}

// mayUse reports whether the client registered grant type t.
func (c *Client) mayUse(t string) bool {
	if c.GrantTypes == nil {
		return t == grantCode
	}
	return slices.Contains(c.GrantTypes, t)
}

// clientMember reads or writes one member of client metadata.
type clientMember struct {
	name string
	at   func(*Client) any // *string, *[]string, *bool, **int64, *json.RawMessage
}

var clientMembers = []clientMember{
	{"client_id", func(c *Client) any { return &c.ID }},
	{"profile", func(c *Client) any { return (*string)(&c.Profile) }},
	{"client_name", func(c *Client) any { return &c.Name }},
	{"redirect_uris", func(c *Client) any { return &c.RedirectURIs }},
	{"application_type", func(c *Client) any { return &c.ApplicationType }},
	{"grant_types", func(c *Client) any { return &c.GrantTypes }},
	{"response_types", func(c *Client) any { return &c.ResponseTypes }},
	{"scope", func(c *Client) any { return &c.Scope }},
	{"token_endpoint_auth_method", func(c *Client) any { return &c.AuthMethod }},
	{"token_endpoint_auth_signing_alg", func(c *Client) any { return &c.AuthSigningAlg }},
	{"jwks", func(c *Client) any { return &c.JWKS }},
	{"jwks_uri", func(c *Client) any { return &c.JWKSURI }},
	{"tls_client_auth_subject_dn", func(c *Client) any { return &c.CertificateSubject.DN }},
	{"tls_client_auth_san_dns", func(c *Client) any { return &c.CertificateSubject.DNS }},
	{"tls_client_auth_san_uri", func(c *Client) any { return &c.CertificateSubject.URI }},
	{"tls_client_auth_san_ip", func(c *Client) any { return &c.CertificateSubject.IP }},
	{"tls_client_auth_san_email", func(c *Client) any { return &c.CertificateSubject.Email }},
	{"tls_client_certificate_bound_access_tokens", func(c *Client) any { return &c.CertificateBoundTokens }},
	{"dpop_bound_access_tokens", func(c *Client) any { return &c.DPoPBoundTokens }},
	{"require_pushed_authorization_requests", func(c *Client) any { return &c.RequirePushedRequest }},
	{"require_signed_request_object", func(c *Client) any { return &c.RequireSignedRequest }},
	{"request_object_signing_alg", func(c *Client) any { return &c.RequestAlg }},
	{"request_object_encryption_alg", func(c *Client) any { return &c.RequestEncryption.Alg }},
	{"request_object_encryption_enc", func(c *Client) any { return &c.RequestEncryption.Enc }},
	{"response_modes", func(c *Client) any { return &c.ResponseModes }},
	{"authorization_signed_response_alg", func(c *Client) any { return &c.ResponseAlg }},
	{"authorization_encrypted_response_alg", func(c *Client) any { return &c.ResponseEncryption.Alg }},
	{"authorization_encrypted_response_enc", func(c *Client) any { return &c.ResponseEncryption.Enc }},
	{"id_token_signed_response_alg", func(c *Client) any { return &c.IDTokenAlg }},
	{"id_token_encrypted_response_alg", func(c *Client) any { return &c.IDTokenEncryption.Alg }},
	{"id_token_encrypted_response_enc", func(c *Client) any { return &c.IDTokenEncryption.Enc }},
	{"userinfo_signed_response_alg", func(c *Client) any { return &c.UserInfoAlg }},
	{"encrypt_token_endpoint_id_token", func(c *Client) any { return &c.EncryptTokenEndpointIDToken }},
	{"userinfo_encrypted_response_alg", func(c *Client) any { return &c.UserInfoEncryption.Alg }},
	{"userinfo_encrypted_response_enc", func(c *Client) any { return &c.UserInfoEncryption.Enc }},
	{"introspection_signed_response_alg", func(c *Client) any { return &c.IntrospectionAlg }},
	{"introspection_encrypted_response_alg", func(c *Client) any { return &c.IntrospectionEncryption.Alg }},
	{"introspection_encrypted_response_enc", func(c *Client) any { return &c.IntrospectionEncryption.Enc }},
	{"authorization_details_types", func(c *Client) any { return &c.DetailsTypes }},
	{"default_max_age", func(c *Client) any { return &c.DefaultMaxAge }},
	{"default_acr_values", func(c *Client) any { return &c.DefaultACRValues }},
	{"subject_type", func(c *Client) any { return &c.SubjectType }},
	{"sector_identifier_uri", func(c *Client) any { return &c.SectorIdentifierURI }},
	{"post_logout_redirect_uris", func(c *Client) any { return &c.PostLogoutRedirectURIs }},
	{"backchannel_logout_uri", func(c *Client) any { return &c.BackchannelLogoutURI }},
	{"backchannel_logout_session_required", func(c *Client) any { return &c.BackchannelLogoutSessionRequired }},
	{"access_token_format", func(c *Client) any { return &c.AccessTokenFormat }},
	{"resource", func(c *Client) any { return &c.Resource }},
}

// UnmarshalJSON reads client metadata strictly: members of the wrong type are
// an error that names them all, and so is one that occurs twice. A member the
// library does not use goes to c.Metadata.
func (c *Client) UnmarshalJSON(b []byte) error {
	m, err := jose.ParseClaims(b)
	if err != nil {
		return fmt.Errorf("authz: client metadata: %w", err)
	}
	*c = Client{}
	known := make(map[string]bool, len(clientMembers))
	var wrong []string
	for _, cm := range clientMembers {
		known[cm.name] = true
		raw, ok := m.Raw(cm.name)
		if !ok {
			continue
		}
		if err := setMember(cm.at(c), raw); err != nil {
			wrong = append(wrong, cm.name+" "+err.Error())
		}
	}
	if wrong != nil {
		return errors.New("authz: client metadata: " + strings.Join(wrong, ", "))
	}
	for _, name := range m.Names() {
		if known[name] {
			continue
		}
		if c.Metadata == nil {
			c.Metadata = make(map[string]json.RawMessage)
		}
		raw, _ := m.Raw(name)
		c.Metadata[name] = slices.Clone(raw)
	}
	return nil
}

func setMember(at any, raw json.RawMessage) error {
	if string(raw) == "null" {
		return errors.New("is null")
	}
	if p, ok := at.(*json.RawMessage); ok {
		*p = slices.Clone(raw)
		return nil
	}
	if err := json.Unmarshal(raw, at); err != nil {
		switch at.(type) {
		case *bool:
			return errors.New("is not true or false")
		case *[]string:
			return errors.New("is not an array of strings")
		case **int64:
			return errors.New("is not a whole number")
		}
		return errors.New("is not a string")
	}
	return nil
}

// MarshalJSON writes the metadata that is set.
func (c *Client) MarshalJSON() ([]byte, error) {
	m := make(map[string]any, len(clientMembers)+len(c.Metadata))
	for name, raw := range c.Metadata {
		m[name] = raw
	}
	for _, cm := range clientMembers {
		switch p := cm.at(c).(type) {
		case *string:
			if *p != "" {
				m[cm.name] = *p
			}
		case *[]string:
			if *p != nil {
				m[cm.name] = *p
			}
		case *bool:
			if *p {
				m[cm.name] = true
			}
		case **int64:
			if *p != nil {
				m[cm.name] = **p
			}
		case *json.RawMessage:
			if *p != nil {
				m[cm.name] = *p
			}
		}
	}
	return json.Marshal(m)
}

// A ClientList is a [ClientRegistry] that never changes. The zero value has no
// clients.
type ClientList struct{ byID map[string]*Client }

// LoadClients reads a JSON array of client metadata, such as a file. The error
// names every client that is malformed, one a line; whether a client fits its
// profile is checked when it is used.
func LoadClients(b []byte) (*ClientList, error) {
	var clients []json.RawMessage
	var syntax *json.SyntaxError
	if err := json.Unmarshal(b, &clients); errors.As(err, &syntax) {
		return nil, fmt.Errorf("authz: clients: not a JSON array: %w", err)
	} else if err != nil || clients == nil {
		return nil, errors.New("authz: clients: not a JSON array")
	}
	l := &ClientList{byID: make(map[string]*Client, len(clients))}
	var errs []error
	for i, raw := range clients {
		c := new(Client)
		err := c.UnmarshalJSON(raw)
		switch {
		case err != nil:
		case c.ID == "":
			err = errors.New("client_id is missing")
		case l.byID[c.ID] != nil:
			err = fmt.Errorf("client_id %q is there twice", c.ID)
		default:
			l.byID[c.ID] = c
			continue
		}
		errs = append(errs, fmt.Errorf("authz: client %d of %d: %s", i+1, len(clients), strings.TrimPrefix(err.Error(), "authz: ")))
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return l, nil
}

// NewClientList returns a registry of the clients given, which it does not
// copy. It is an error if one is nil, has no ID or has that of another; whether
// a client fits its profile is checked when it is used.
func NewClientList(clients ...*Client) (*ClientList, error) {
	l := &ClientList{byID: make(map[string]*Client, len(clients))}
	for _, c := range clients {
		if c == nil {
			return nil, errors.New("authz: client is nil")
		}
		if c.ID == "" || l.byID[c.ID] != nil {
			return nil, fmt.Errorf("authz: client_id %q is empty or there twice", c.ID)
		}
		l.byID[c.ID] = c
	}
	return l, nil
}

// Client implements [ClientRegistry].
func (l *ClientList) Client(_ context.Context, id string) (*Client, error) {
	if c := l.byID[id]; c != nil {
		return c, nil
	}
	return nil, ErrNoClient
}

// All returns the clients, in no order.
func (l *ClientList) All() []*Client {
	all := make([]*Client, 0, len(l.byID))
	for _, c := range l.byID {
		all = append(all, c)
	}
	return all
}
