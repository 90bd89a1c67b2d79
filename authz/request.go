package authz

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/grant"
)

// Limits of what a client may push, in bytes.
const (
	maxNonce = 512
	maxHint  = 1024
)

// A pushed is an authorization request as a client pushed it, or sent it by
// value, with what is checked and then forgotten.
type pushed struct {
	grant.Request
	responseType    string // its words in order
	mode            string // response_mode, also if that is the default
	challengeMethod string
	scope           string      // as it came
	form            form.Values // all of it, as it came
	hasDetails      bool        // whether it has authorization_details
	hasDPoPKey      bool        // whether it has dpop_jkt
}

// asksOpenID reports whether openid is among the scopes.
func (r *pushed) asksOpenID() bool { return slices.Contains(strings.Fields(r.scope), "openid") }

// readRequest reads and checks an authorization request (RFC 6749, 4.1.1; OIDC
// Core, 3.1.2.1), from client c, that was pushed or came by value.
func (s *Server) readRequest(ctx context.Context, c *caller, f form.Values, byValue bool) (*pushed, error) {
	if f.Has("registration") {
		return nil, refuse("OIDC-AR-22", registrationNotSupported, "registration is not supported")
	}
	r := &pushed{
		Request: grant.Request{
			Client:      c.ID,
			ByValue:     byValue,
			RedirectURI: f.Get("redirect_uri"),
			State:       f.Get("state"),
			Challenge:   f.Get("code_challenge"),
			Nonce:       f.Get("nonce"),
			LoginHint:   f.Get("login_hint"),
			UILocales:   strings.Fields(f.Get("ui_locales")),
		},
		responseType:    sortedType(f.Get("response_type")),
		challengeMethod: f.Get("code_challenge_method"),
		scope:           f.Get("scope"),
		form:            f,
		hasDetails:      f.Has("authorization_details"),
		hasDPoPKey:      f.Has("dpop_jkt"),
	}
	r.mode = cmp.Or(f.Get("response_mode"), defaultMode(r.responseType))
	if r.responseType == "" {
		return nil, refuse("RFC6749-3.1.1-1", invalidRequest, "response_type is missing")
	}
	if err := c.policy.checkRequest(r, &c.departs); err != nil {
		return nil, err
	}
	if !c.mayUse(grantCode) {
		return nil, refuse("RFC6749-5.2-4", unauthorizedClient, "the client is not registered for authorization_code")
	}
	if !c.redirectsTo(r.RedirectURI) {
		return nil, refuse("RFC9700-2.1-1", invalidRequest, "redirect_uri is not registered")
	}
	if err := c.checkResponse(r.responseType, r.mode); err != nil {
		return nil, err
	}
	if r.responseType != typeCode {
		r.ResponseType = r.responseType
	}
	if r.mode != defaultMode(r.responseType) {
		r.ResponseMode = r.mode
	}
	var err error
	if r.Prompt, err = readPrompt(f.Get("prompt")); err != nil {
		return nil, err
	}
	others, _ := c.policy.apart(f.Get("scope")) // which consent it names, readConsent looks at
	if r.Scopes, err = s.scopes(c.Client, others); err != nil {
		return nil, err
	}
	if slices.Contains(r.Scopes, "openid") && !slices.Contains(r.Prompt, "consent") {
		// OIDC Core, 11: without a consent of its own it is ignored.
		r.Scopes = slices.DeleteFunc(r.Scopes, func(scope string) bool { return scope == "offline_access" })
	}
	if r.Details, err = s.readDetails(ctx, c.Client, f.Get("authorization_details")); err != nil {
		return nil, err
	}
	if err := s.checkFamilies(r.Scopes, r.Details); err != nil {
		return nil, err
	}
	if len(r.Scopes) == 0 && len(r.Details) == 0 {
		return nil, refuse("RFC6749-3.3-2", invalidScope, "scope is missing")
	}
	if r.Resources, err = s.namedResources(f); err != nil {
		return nil, err
	}
	if err := s.checkTarget(r.Scopes, r.Resources); err != nil {
		return nil, err
	}
	if len(r.Resources) == 0 && len(s.config.Resources) > 1 {
		// What a scope comes to mean elsewhere is not what the customer agreed
		// to. Where there is one API, it may be given another name.
		r.Resources = s.implied(r.Scopes)
	}
	if len(r.Nonce) > maxNonce { // CONF-16: refused, never truncated
		return nil, refuse("FAPI2-SP-5.3.2.2-14", invalidRequest, "nonce is too long")
	}
	if len(r.LoginHint) > maxHint {
		return nil, refuse("OIDC-AR-17", invalidRequest, "login_hint is too long")
	}
	if err := s.readAuthentication(ctx, c.Client, &r.Request, f); err != nil {
		return nil, err
	}
	if err := s.readArrangement(ctx, c, r); err != nil {
		return nil, err
	}
	if err := s.readConsent(ctx, c, r); err != nil {
		return nil, err
	}
	return r, nil
}

// scopes reads a scope parameter (RFC 6749, 3.3). Each must be offered by the
// server and registered by the client; one that occurs twice counts once.
func (s *Server) scopes(c *Client, v string) ([]string, error) {
	if v == "" {
		return nil, nil
	}
	registered := strings.Fields(c.Scope)
	var scopes []string
	for scope := range strings.SplitSeq(v, " ") {
		switch {
		case scope == "": // a space too many
		case !isScope(scope):
			return nil, refuse("RFC6749-3.3-1", invalidScope, "scope is malformed")
		case !slices.Contains(s.config.Scopes, scope):
			return nil, refuse("RFC6749-5.2-3", invalidScope, "scope is unknown")
		case !slices.Contains(registered, scope):
			return nil, refuse("RFC6749-5.2-3", invalidScope, "scope is not registered for the client")
		case !slices.Contains(scopes, scope):
			scopes = append(scopes, scope)
		}
	}
	return scopes, nil
}

// readPrompt reads the prompt parameter (OIDC Core, 3.1.2.1).
func readPrompt(v string) ([]string, error) {
	prompt := strings.Fields(v)
	for _, p := range prompt {
		switch p {
		case "none":
			if len(prompt) > 1 {
				return nil, refuse("OIDC-AR-9", invalidRequest, "prompt has none beside another value")
			}
		case "login", "consent", "select_account":
		default:
			return nil, refuse("OIDC-AR-9", invalidRequest, "prompt is unknown")
		}
	}
	return prompt, nil
}

// redirectsTo reports whether uri is registered, by comparing whole strings
// (RFC 9700, 2.1). The port of a native client's loopback URI is free (RFC
// 9700, 4.1.3).
func (c *Client) redirectsTo(uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	if c.ApplicationType != "native" || !loopback(uri) || strings.Contains(uri, "#") {
		return false
	}
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		return loopback(registered) && withoutPort(registered) == withoutPort(uri)
	})
}

// withoutPort returns an http URI with an IP literal as its host, less the
// port. Everything else stays as it is written.
func withoutPort(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	return strings.Replace(uri, u.Host, strings.TrimSuffix(u.Host, ":"+u.Port()), 1)
}
