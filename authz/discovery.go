package authz

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/token"
)

// metadata answers at both well-known locations with the same document (RFC
// 8414, 3; OpenID Connect Discovery 1.0, 4). It is made from what is mounted,
// and says everything that has a default which FAPI forbids.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request, _ *Event) error {
	if err := getOnly(r); err != nil {
		return err
	}
	algs, err := s.signingAlgs(r.Context())
	if err != nil {
		return err
	}
	b, err := json.Marshal(s.describe(algs))
	if err != nil {
		return err
	}
	public(w, b)
	return nil
}

// A document is the server's metadata. Members without value are left out.
type document struct {
	Issuer      string `json:"issuer"`
	Authorize   string `json:"authorization_endpoint,omitempty"`
	PAR         string `json:"pushed_authorization_request_endpoint,omitempty"`
	Token       string `json:"token_endpoint"`
	JWKS        string `json:"jwks_uri"`
	RequirePAR  bool   `json:"require_pushed_authorization_requests"`
	ResponseIss bool   `json:"authorization_response_iss_parameter_supported"`

	ResponseTypes    []string `json:"response_types_supported"`
	ResponseModes    []string `json:"response_modes_supported,omitempty"`
	GrantTypes       []string `json:"grant_types_supported"`
	ChallengeMethods []string `json:"code_challenge_methods_supported,omitempty"`
	Scopes           []string `json:"scopes_supported,omitempty"`
	AuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgs         []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	DPoPAlgs         []string `json:"dpop_signing_alg_values_supported,omitempty"`
	CertificateBound bool     `json:"tls_client_certificate_bound_access_tokens"`

	Request              bool     `json:"request_parameter_supported"`
	RequestURI           bool     `json:"request_uri_parameter_supported"`
	RequireSignedRequest bool     `json:"require_signed_request_object"`
	RequestAlgs          []string `json:"request_object_signing_alg_values_supported,omitempty"`
	RequestEncAlgs       []string `json:"request_object_encryption_alg_values_supported,omitempty"`
	RequestEncs          []string `json:"request_object_encryption_enc_values_supported,omitempty"`

	ResponseAlgs    []string `json:"authorization_signing_alg_values_supported,omitempty"`
	ResponseEncAlgs []string `json:"authorization_encryption_alg_values_supported,omitempty"`
	ResponseEncs    []string `json:"authorization_encryption_enc_values_supported,omitempty"`

	DetailsTypes []string `json:"authorization_details_types_supported,omitempty"`
	Resources    []string `json:"protected_resources,omitempty"`

	Introspection            string   `json:"introspection_endpoint,omitempty"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionAuthAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionAlgs        []string `json:"introspection_signing_alg_values_supported,omitempty"`
	IntrospectionEncAlgs     []string `json:"introspection_encryption_alg_values_supported,omitempty"`
	IntrospectionEncs        []string `json:"introspection_encryption_enc_values_supported,omitempty"`
	Revocation               string   `json:"revocation_endpoint,omitempty"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationAuthAlgs       []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	ArrangementRevocation    string   `json:"cdr_arrangement_revocation_endpoint,omitempty"`

	UserInfo        string   `json:"userinfo_endpoint,omitempty"`
	UserInfoAlgs    []string `json:"userinfo_signing_alg_values_supported,omitempty"`
	UserInfoEncAlgs []string `json:"userinfo_encryption_alg_values_supported,omitempty"`
	UserInfoEncs    []string `json:"userinfo_encryption_enc_values_supported,omitempty"`
	Claims          bool     `json:"claims_parameter_supported"`
	ClaimNames      []string `json:"claims_supported,omitempty"`

	SubjectTypes   []string `json:"subject_types_supported,omitempty"`
	IDTokenAlgs    []string `json:"id_token_signing_alg_values_supported,omitempty"`
	IDTokenEncAlgs []string `json:"id_token_encryption_alg_values_supported,omitempty"`
	IDTokenEncs    []string `json:"id_token_encryption_enc_values_supported,omitempty"`
	ACRValues      []string `json:"acr_values_supported,omitempty"`
	Prompts        []string `json:"prompt_values_supported,omitempty"`

	EndSession               string `json:"end_session_endpoint,omitempty"`
	BackchannelLogout        bool   `json:"backchannel_logout_supported,omitempty"`
	BackchannelLogoutSession bool   `json:"backchannel_logout_session_supported,omitempty"`

	Aliases map[string]string `json:"mtls_endpoint_aliases,omitempty"`
}

// describe returns the document of a server that signs with algs.
func (s *Server) describe(algs []string) *document {
	c := &s.config
	d := &document{
		Issuer:           c.Issuer,
		Token:            c.Issuer + pathToken,
		JWKS:             c.Issuer + pathJWKS,
		ResponseTypes:    []string{},
		GrantTypes:       []string{grantCredentials},
		Scopes:           c.Scopes,
		AuthMethods:      s.authMethods(),
		AuthAlgs:         s.algs(),
		DPoPAlgs:         s.proofAlgs(),
		CertificateBound: true,
	}
	if c.MTLSBase != "" {
		d.Aliases = map[string]string{"token_endpoint": s.alias(pathToken)}
	}
	s.describeTargets(d)
	s.describeTokenEndpoints(d, algs)
	s.describeArrangements(d)
	if c.Interact == nil {
		d.Scopes = slices.DeleteFunc(slices.Clone(c.Scopes), needsCustomer)
		return d
	}
	d.Authorize = c.Issuer + pathAuthorize
	d.PAR = c.Issuer + pathPAR
	d.RequirePAR, d.ResponseIss = !s.some(func(p *policy) bool { return p.byValue }), true
	d.GrantTypes = []string{grantCode, grantRefresh, grantCredentials}
	d.ChallengeMethods = []string{"S256"}
	s.describeRequests(d)
	s.describeResponses(d, algs)
	d.ACRValues = c.ACRValues
	if d.Aliases != nil {
		d.Aliases["pushed_authorization_request_endpoint"] = s.alias(pathPAR)
	}
	s.describeOpenID(d, algs)
	s.describeLogout(d)
	return d
}

// alias returns the URL of an endpoint at the listener that asks for
// certificates (RFC 8705, 5).
func (s *Server) alias(path string) string { return s.config.MTLSBase + path }

// some reports whether f holds for some profile that is served.
func (s *Server) some(f func(*policy) bool) bool {
	return slices.ContainsFunc(s.served(), func(p Profile) bool { return f(policies[p]) })
}

// union returns what f has for the profiles that are served, each once.
func (s *Server) union(f func(*policy) []string) (all []string) {
	for _, p := range s.served() {
		all = withEach(all, f(policies[p])...)
	}
	return all
}

// authMethods returns the client authentication methods that some profile
// allows and the server can carry out.
func (s *Server) authMethods() []string {
	methods := s.union(func(p *policy) []string { return p.authMethods })
	return slices.DeleteFunc(methods, func(m string) bool { return m == methodTLS && s.config.Authorities == nil })
}

// keyAlgs and contentAlgs return the algorithms of encryption that some profile
// allows.
func (s *Server) keyAlgs() []string     { return s.union((*policy).encryptsKeysBy) }
func (s *Server) contentAlgs() []string { return s.union((*policy).encryptsBy) }

// algs returns the algorithms that some profile of the server allows.
func (s *Server) algs() []string {
	var algs []string
	for _, p := range s.config.Profiles {
		algs = withEach(algs, policies[p].algs...)
	}
	return algs
}

// proofAlgs returns those that some profile allows for DPoP proofs.
func (s *Server) proofAlgs() []string {
	var algs []string
	for _, p := range s.served() {
		if policies[p].dpop {
			algs = withEach(algs, policies[p].algs...)
		}
	}
	return algs
}

// signingAlgs returns those of them that the server signs under. A key that is
// published and signs no more, or not yet, is none.
func (s *Server) signingAlgs(ctx context.Context) ([]string, error) {
	var algs []string
	for _, alg := range s.algs() {
		_, err := s.config.Keys.SigningKey(ctx, alg)
		switch {
		case err == nil:
			algs = append(algs, alg)
		case !errors.Is(err, token.ErrNoKey):
			return nil, err
		}
	}
	return algs, nil
}

// jwks answers with the server's public keys (RFC 7517, 5).
func (s *Server) jwks(w http.ResponseWriter, r *http.Request, _ *Event) error {
	if err := getOnly(r); err != nil {
		return err
	}
	keys, err := s.ownKeys(r.Context())
	if err != nil {
		return err
	}
	b, err := jose.MarshalSet(append(keys, s.encryptTo...))
	if err != nil {
		return err
	}
	public(w, b)
	return nil
}

// ownKeys returns the public keys of what the server signs, or has signed and
// may still meet.
func (s *Server) ownKeys(ctx context.Context) ([]jose.Key, error) {
	keys, err := s.config.Keys.PublicKeys(ctx)
	if err != nil {
		return nil, err
	}
	own := make([]jose.Key, len(keys))
	for i, key := range keys {
		own[i] = jose.Key{ID: key.ID, Use: "sig", Algorithm: key.Algorithm, Public: key.Key}
	}
	return own, nil
}

func getOnly(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	e := refuse("RFC8414-3-1", invalidRequest, "use GET")
	e.status, e.allow = http.StatusMethodNotAllowed, "GET, HEAD"
	return e
}

// public writes a document that anyone may read and keep for a while.
func public(w http.ResponseWriter, b []byte) {
	h := w.Header()
	h.Del("Pragma")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Access-Control-Allow-Origin", "*") // RFC8414-I-2
	writeJSON(w, http.StatusOK, b)
}
