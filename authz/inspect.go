package authz

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/internal/beside"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/internal/jsonw"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// inspect returns what caller c may know about a token, as the members of an
// introspection response (RFC 7662, 2.2). An [*Error] says why that is nothing:
// the token is not good, or not for c to ask about (FAPI 2.0 MS, 6.2).
func (s *Server) inspect(ctx context.Context, c *caller, text string, ev *Event) ([]byte, error) {
	if h, err := grant.ParseHandle(text); err == nil {
		return s.inspectRefresh(ctx, c, h, ev)
	}
	if only := c.policy.refreshOnly; only.rule != "" {
		return nil, refuse(only.rule, only.code, "the profile tells of refresh tokens alone")
	}
	a, err := s.accessToken(ctx, text)
	if err != nil {
		return nil, err
	}
	ev.Token, ev.Grant = a.ID, a.GrantID
	if !c.maySee(a) {
		return nil, refuse("FAPI2-MS-6.2-1", invalidGrant, "the token is not this caller's to ask about")
	}
	g, err := s.inForce(ctx, a)
	if err != nil {
		return nil, err
	}
	if ev.Subject = a.Subject; g != nil { // and not the client's own name for the customer
		ev.Subject = g.Subject
	}
	p, err := s.stillGood(ctx, c, a, g)
	if err != nil {
		return nil, err
	}
	ev.Scopes = p.scopes
	return describeAccess(a, p), nil
}

// errNoToken is for what is no token of this server.
var errNoToken = refuse("RFC7662-2.2-3", invalidGrant, "the token is malformed or was not issued here")

// accessToken returns what an access token of this server says, be it a JWT or
// opaque. Neither its expiry nor its revocation has been looked at. The error is
// errNoToken if text is none, and otherwise an outage.
func (s *Server) accessToken(ctx context.Context, text string) (a *token.Access, err error) {
	if strings.Contains(text, ".") { // a JWT has two, the other form none
		a, err = token.ReadAccess(ctx, s.config.Keys, text)
	} else {
		a, err = s.opaque.Open(text)
	}
	if e := (*token.Error)(nil); errors.As(err, &e) {
		return nil, errNoToken
	}
	if err != nil {
		return nil, err
	}
	if a.Issuer != s.config.Issuer { // brands may share their keys
		return nil, errNoToken
	}
	return a, nil
}

// maySee reports whether c may ask about a. An API may if the token is for it,
// and a client if the token is its own. An API that is a client as well asks as
// an API: a token of its own, for another API, must not pass for one that it
// was sent.
func (c *caller) maySee(a *token.Access) bool {
	if c.Resource != "" {
		return slices.Contains(a.Audience, c.Resource)
	}
	return a.ClientID == c.ID
}

// inForce refuses an access token that has expired, was revoked, or rests on a
// grant that has ended. Otherwise it returns the grant, or nil if it rests on
// none. The grant and the mark of revocation are asked for side by side.
func (s *Server) inForce(ctx context.Context, a *token.Access) (g *kept, err error) {
	if !s.now().Before(a.Expires) {
		return nil, refuse("RFC7662-4-1", invalidGrant, "the token has expired")
	}
	denied := beside.Do(func() error { return s.notDenied(ctx, a) })
	if a.GrantID != "" {
		g, err = s.standing(ctx, a)
	}
	if err := denied(); err != nil {
		return nil, err
	}
	return g, err
}

// notDenied refuses an access token that was revoked by itself (RFC 7009).
func (s *Server) notDenied(ctx context.Context, a *token.Access) error {
	_, err := s.config.Store.Get(ctx, grant.DenyKey(s.config.Issuer, a.ID))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return refuse("RFC7662-4-1", invalidGrant, "the token was revoked")
}

// grantIDSize is the length of every grant id.
const grantIDSize = 44

// isGrantID reports whether id can be a grant's, so that it may be looked up.
func isGrantID(id string) bool { return len(id) == grantIDSize && id[0] == byte(grant.KindGrant) }

// ended reports whether g is over by our clock, be it still kept.
func (s *Server) ended(g *kept) bool { return g.over(s.now()) }

// standing returns the grant of an access token, unless it was revoked, has
// ended, or was amended since.
func (s *Server) standing(ctx context.Context, a *token.Access) (*kept, error) {
	if !isGrantID(a.GrantID) { // a record of another kind is none
		return nil, refuse("RFC7662-4-1", invalidGrant, "the token's grant is unknown")
	}
	g, err := s.grantOf(ctx, a.GrantID)
	switch {
	case err != nil:
		return nil, err
	case g == nil || g.Client != a.ClientID || !g.HasIssued():
		return nil, refuse("RFC7662-4-1", invalidGrant, "the token's grant was revoked")
	case s.ended(g):
		return nil, refuse("RFC7662-4-1", invalidGrant, "the token's grant has ended")
	case !g.Epoch.Gave(a.ID):
		return nil, refuse("RFC7662-4-1", invalidGrant, "the token's grant was amended")
	}
	return g, nil
}

// stillGood returns what of a is still to be had, and of that what concerns c
// (RFC 9701, 5). What the bank has taken from the token's client since is gone
// from the token, and with the client all is gone.
func (s *Server) stillGood(ctx context.Context, c *caller, a *token.Access, g *kept) (p privileges, err error) {
	client := c
	if a.ClientID != c.ID {
		if client, err = s.client(ctx, a.ClientID); err != nil {
			return p, err
		}
	}
	var granted, consent = []string(nil), ""
	if g != nil {
		granted, consent = g.Details, g.Consent
	}
	p, err = s.remaining(client.Client, privileges{a.Audience, a.Scopes, s.detailsAt(a, granted, a.Audience)})
	if err != nil {
		return p, err
	}
	if c.Resource != "" {
		p.resources = []string{c.Resource}
		p.scopes = slices.DeleteFunc(p.scopes, func(scope string) bool { return s.meanings(scope, p.resources) == nil })
		p.details = s.among(p.details, p.resources)
	}
	p.scopes = client.policy.withConsent(p.scopes, consent)
	return p, nil
}

// describeAccess returns the members for an active access token that is good
// for p.
func describeAccess(a *token.Access, p privileges) []byte {
	o := active(a.Issuer, a.ClientID, a.Subject, p)
	if len(p.resources) == 1 {
		o.String("aud", p.resources[0])
	} else {
		o.Strings("aud", p.resources)
	}
	cnf := jsonw.New(64)
	if a.Confirmation.JKT != "" { // RFC 9449, 6.2
		o.String("token_type", "DPoP")
		cnf.String("jkt", a.Confirmation.JKT)
	} else { // RFC 8705, 3.2
		o.String("token_type", "Bearer")
		cnf.String("x5t#S256", a.Confirmation.X5T)
	}
	o.Raw("cnf", cnf.Bytes())
	o.Int("iat", a.IssuedAt.Unix())
	o.Int("exp", a.Expires.Unix())
	o.String("jti", a.ID)
	if !a.AuthTime.IsZero() {
		o.Int("auth_time", a.AuthTime.Unix())
	}
	authenticated(o, a.ACR, a.AMR)
	if a.GrantID != "" {
		o.String("grant_id", a.GrantID)
	}
	return o.Bytes()
}

// inspectRefresh is inspect for a refresh token. Nobody but the client it was
// issued to is told that it is one: an API that took it for an access token
// would be deceived.
func (s *Server) inspectRefresh(ctx context.Context, c *caller, h grant.Handle, ev *Event) ([]byte, error) {
	g, err := s.grantAt(ctx, h.Locator)
	if err != nil {
		return nil, err
	}
	if g == nil || !g.Refresh.Matches(h.Secret) {
		return nil, errNoToken
	}
	ev.Grant, ev.Subject = g.record.Key, g.Subject
	switch {
	case c.Resource != "" || g.Client != c.ID:
		return nil, refuse("RFC7662-I-2", invalidGrant, "the refresh token is not this caller's to ask about")
	case !c.mayUse(grantRefresh):
		return nil, refuse("RFC7662-4-1", invalidGrant, "the client is no longer registered for refresh_token")
	case !s.now().Before(g.Expires):
		return nil, refuse("RFC7662-4-1", invalidGrant, "the refresh token has expired")
	}
	p, err := s.remaining(c.Client, privileges{scopes: g.Scopes, details: s.held(g.Details)})
	if err != nil {
		return nil, err
	}
	p.scopes = c.policy.withConsent(p.scopes, g.Consent)
	ev.Scopes = p.scopes
	o := active(s.config.Issuer, g.Client, s.subject(c.Client, g.Subject), p)
	o.Int("exp", g.Expires.Unix())
	if !g.AuthTime.IsZero() {
		o.Int("auth_time", g.AuthTime.Unix())
	}
	authenticated(o, g.ACR, g.AMR)
	o.String("grant_id", g.record.Key)
	if name := c.policy.arrangement; name != "" {
		o.String(name, g.record.Key)
	}
	return o.Bytes(), nil
}

// active begins the members for a token that is good for p.
func active(issuer, client, subject string, p privileges) *jsonw.Object {
	o := jsonw.New(768)
	o.Raw("active", []byte("true"))
	o.String("iss", issuer)
	o.String("client_id", client)
	o.String("sub", subject)
	if len(p.scopes) > 0 {
		o.String("scope", strings.Join(p.scopes, " "))
	}
	if len(p.details) > 0 { // RFC 9396, 9.2
		o.Raw("authorization_details", p.details.array())
	}
	return o
}

// authenticated adds how the customer was.
func authenticated(o *jsonw.Object, acr string, amr []string) {
	if acr != "" {
		o.String("acr", acr)
	}
	if len(amr) > 0 {
		o.Strings("amr", amr)
	}
}
