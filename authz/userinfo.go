package authz

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/internal/jsonw"
	"github.com/aikagi/aikagi/token"
)

// takeUserInfo readies the userinfo endpoint, if there is to be one. It is an
// API like any other, save that every token of the server's is for it, whatever
// else it is for, and that it asks for the token's grant itself, since it needs
// what is in it.
func (s *Server) takeUserInfo() (err error) {
	c := &s.config
	if !offersOpenID(c) {
		return nil
	}
	v := token.VerifierConfig{
		Issuer:     c.Issuer,
		Audience:   c.Issuer,
		Keys:       c.Keys,
		Algorithms: s.algs(),
		Opaque:     s.opaque,
		Origins:    []string{origin(c.Issuer)},
		Replays:    c.Store,
		Now:        c.Now,
		Audit:      s.auditUserInfo,
	}
	for _, r := range c.Resources {
		v.Aliases = append(v.Aliases, r.ID)
	}
	if c.MTLSBase != "" {
		v.Origins = append(v.Origins, origin(c.MTLSBase))
	}
	if c.DPoPNonces { // a nonce says which server made it: one for /token is as good here (RFC 9449, 9)
		v.NonceSecrets = c.Secrets
	}
	for _, p := range c.Profiles {
		v.Ahead = max(v.Ahead, policies[p].ahead)
	}
	s.userinfo, err = token.NewVerifier(v)
	return err
}

// origin returns scheme and host of a URL that New has checked.
func origin(base string) string {
	u, _ := url.Parse(base)
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}

// serveUserInfo returns the handler of the userinfo endpoint (OIDC Core, 5.3).
// The access token is checked as at any API, and what is wrong with it is
// answered as there (RFC 6750, 3; RFC 9449, 7.1).
func (s *Server) serveUserInfo() http.Handler {
	return s.userinfo.Handler(token.Require{Scopes: []string{"openid"}}, s.serve("userinfo", s.userInfo))
}

// userInfo answers with what the client may know of the customer. A token in
// the body is none, as anywhere under FAPI (FAPI 2.0 SP, 5.3.4-1): the body of a
// POST is not read.
func (s *Server) userInfo(w http.ResponseWriter, r *http.Request, ev *Event) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		e := refuse("OIDC-UI-1", invalidRequest, "use GET or POST")
		e.status, e.allow = http.StatusMethodNotAllowed, "GET, POST"
		return e
	}
	a, ok := token.FromContext(r.Context())
	if !ok {
		return errors.New("userinfo is reached without a token")
	}
	about(a, ev)
	c, g, err := s.behind(r.Context(), a)
	if err != nil {
		return err
	}
	ev.Waived = c.departs.rules
	ev.Subject = g.Subject
	scopes, err := s.current(c.Client, a.Scopes)
	if err != nil || !slices.Contains(scopes, "openid") {
		return s.refuseToken(&token.Error{Status: http.StatusForbidden, Code: "insufficient_scope", Scope: "openid",
			Rule: "OIDC-UI-7", Description: "the client is no longer registered for openid"})
	}
	q, err := keptClaims(g.Claims)
	if err != nil {
		return err
	}
	told, err := s.tell(r.Context(), ClaimsRequest{Client: c.Client, Subject: g.Subject, GrantID: g.record.Key}, c.mayHear(askedClaims{userInfo: s.atUserInfo(scopes, q)}).userInfo)
	if err != nil {
		return err
	}
	if name := c.policy.consentClaim; name != "" && g.Consent != "" {
		id, _ := json.Marshal(g.Consent) // a string has no reason to fail
		told = append(told, toldClaim{name, id})
	}
	contentType, body, err := s.infoResponse(r.Context(), c, a.Subject, told)
	if err != nil {
		return err
	}
	ev.Kind, ev.Scopes, ev.Claims = claimsTold, scopes, toldNames(told)
	s.audit(r.Context(), *ev)
	write(w, http.StatusOK, contentType, body)
	return nil
}

// behind returns the client and the grant of an access token that is otherwise
// good. Since it was issued, either may have ceased to be, and it may have been
// revoked.
func (s *Server) behind(ctx context.Context, a *token.Access) (*caller, *kept, error) {
	c, err := s.client(ctx, a.ClientID)
	if e := (*Error)(nil); errors.As(err, &e) {
		return nil, nil, s.invalidToken(e)
	}
	if err != nil {
		return nil, nil, err
	}
	g, err := s.inForce(ctx, a)
	if e := (*Error)(nil); errors.As(err, &e) {
		return nil, nil, s.invalidToken(e)
	}
	if err == nil && g == nil {
		err = errors.New("a token with openid and without a grant") // none is issued
	}
	return c, g, err
}

// invalidToken returns the refusal of a token that is no longer good.
func (s *Server) invalidToken(why *Error) *Error {
	return s.refuseToken(&token.Error{Status: http.StatusUnauthorized, Code: "invalid_token",
		Rule: why.Rule, Description: "the token is no longer good", Err: errors.New(why.reason())})
}

// infoResponse makes the answer in the form that the client registered,
// whatever it says that it accepts (OIDC Core, 5.3.2). Signed, it can pass for
// no ID token: it has neither exp nor nonce, and a typ.
func (s *Server) infoResponse(ctx context.Context, c *caller, sub string, told []toldClaim) (contentType []string, body []byte, err error) {
	o := jsonw.New(512)
	if c.UserInfoAlg != "" {
		o.String("iss", s.config.Issuer)
		o.String("aud", c.ID)
	}
	o.String("sub", sub)
	for _, t := range told {
		o.Raw(t.name, t.value)
	}
	body = o.Bytes()
	if _, err := jose.ParseClaims(body); err != nil { // what the host told could nest or repeat names
		return nil, nil, err
	}
	if c.UserInfoAlg == "" {
		return typeJSON, body, nil
	}
	signed, err := s.sign(c, c.UserInfoAlg, func(alg string) (string, error) {
		return token.SignJWT(ctx, s.config.Keys, alg, "JWT", body)
	})
	if err != nil {
		return nil, nil, err
	}
	signed, err = s.encrypt(ctx, c, c.UserInfoEncryption, signed)
	return typeJWT, []byte(signed), err
}

// refuseToken returns the refusal e, answered as the Verifier of the userinfo
// endpoint answers.
func (s *Server) refuseToken(e *token.Error) *Error {
	r := fromToken(e)
	r.respond = func(w http.ResponseWriter) { s.userinfo.Refuse(w, e) }
	return r
}

// fromToken returns e as an Error.
func fromToken(e *token.Error) *Error {
	r := refuse(e.Rule, Code(e.Code), e.Description)
	if e.Err != nil {
		r.Err = e.Err
	}
	return r
}

// auditUserInfo reports what the Verifier of the userinfo endpoint refused.
func (s *Server) auditUserInfo(ctx context.Context, a *token.Access, err error) {
	ev := Event{Endpoint: "userinfo"}
	if a != nil {
		about(a, &ev)
	}
	e := &Error{Code: serverError, Err: err}
	if t := (*token.Error)(nil); errors.As(err, &t) {
		e = fromToken(t)
	}
	s.auditRefusal(ctx, ev, e)
}

// about fills in what a token says. Its sub may be the client's own name for
// the customer, and does not go into events.
func about(a *token.Access, ev *Event) {
	ev.Client, ev.Grant, ev.Token = a.ClientID, a.GrantID, a.ID
	ev.Certificate, ev.Key = a.Confirmation.X5T, a.Confirmation.JKT
}

// checkUserInfo returns what keeps c from the userinfo answers it registered
// for.
func checkUserInfo(c *Client) Violations {
	if c.UserInfoEncryption.Alg != "" && c.UserInfoAlg == "" { // anybody can encrypt to it
		return Violations{{"OIDR-11", "userinfo_encrypted_response_alg is there without userinfo_signed_response_alg",
			"register both; what is only encrypted could be from anybody"}}
	}
	return nil
}

// describeOpenID fills in what makes the server an OpenID provider (OpenID
// Connect Discovery, 3).
func (s *Server) describeOpenID(d *document, algs []string) {
	c := &s.config
	if !offersOpenID(c) {
		return
	}
	if s.some(func(p *policy) bool { return !p.pairwise }) {
		d.SubjectTypes = []string{subjectPublic}
	}
	if c.Pairwise != nil {
		d.SubjectTypes = append(d.SubjectTypes, subjectPairwise)
	}
	d.IDTokenAlgs, d.UserInfoAlgs = algs, algs
	d.UserInfoEncAlgs, d.UserInfoEncs = s.keyAlgs(), s.contentAlgs()
	if s.some(func(p *policy) bool { return !p.bareID }) {
		d.IDTokenEncAlgs, d.IDTokenEncs = d.UserInfoEncAlgs, d.UserInfoEncs
	}
	d.Prompts = []string{"none", "login", "consent", "select_account"}
	d.Claims = true
	d.ClaimNames = append([]string{"sub", "auth_time", "acr", "amr"}, c.ClaimNames...)
	for _, p := range s.served() {
		if name := policies[p].consentClaim; name != "" {
			d.ClaimNames = withEach(d.ClaimNames, name)
		}
		if name := policies[p].arrangement; name != "" {
			d.ClaimNames = withEach(d.ClaimNames, claimSharing, name)
		}
	}
	d.UserInfo = c.Issuer + pathUserInfo
	if d.Aliases != nil {
		d.Aliases["userinfo_endpoint"] = s.alias(pathUserInfo)
	}
}
