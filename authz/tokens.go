package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/internal/jsonw"
	"github.com/aikagi/aikagi/token"
)

// A tokenRequest is a request to the token endpoint whose client is known.
type tokenRequest struct {
	form.Values
	client *caller
	holder token.Confirmation // whom the access token is bound to
	event  *Event
}

// tokenType returns the token_type that says how the access token is to be
// presented (RFC 6750, 4 and RFC 9449, 5).
func (req *tokenRequest) tokenType() string {
	if req.holder.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// A tokenResponse is what leaves (RFC 6749, 5.1).
type tokenResponse struct {
	access  string
	typ     string // token_type
	life    time.Duration
	refresh string // or ""
	id      string // or ""

	arrangement [2]string // what the grant is called, and its id; or nothing

	privileges
}

// token is the token endpoint (RFC 6749, 3.2). The client is authenticated and
// proves what its token will be bound to, before its grant is looked at.
func (s *Server) token(w http.ResponseWriter, r *http.Request, ev *Event) error {
	f, err := s.post(w, r, "resource")
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, f, ev)
	if err != nil {
		return err
	}
	if err := notForAPIs(c); err != nil {
		return err
	}
	req := &tokenRequest{Values: f, client: c, event: ev}
	exchange, err := s.grantType(c, f.Get("grant_type"))
	if err != nil {
		return err
	}
	ev.GrantType = f.Get("grant_type")
	if req.holder, err = s.holder(w, r, c, ev); err != nil { // FAPI 2.0 SP, 5.3.2.1-5
		return err
	}
	res, err := exchange(r.Context(), req)
	if err != nil {
		return err
	}
	ev.Kind, ev.Scopes, ev.DetailsTypes = tokensIssued, res.scopes, res.details.types()
	s.audit(r.Context(), *ev)
	res.write(w)
	return nil
}

type exchange func(context.Context, *tokenRequest) (*tokenResponse, error)

// grantType returns the step for the grant_type a client sent (RFC 6749, 5.2).
func (s *Server) grantType(c *caller, t string) (exchange, error) {
	var e exchange
	switch t {
	case grantCode:
		e = s.exchangeCode
	case grantRefresh:
		e = s.exchangeRefresh
	case grantCredentials:
		e = s.exchangeCredentials
	case "":
		return nil, refuse("RFC6749-5.2-4", invalidRequest, "grant_type is missing")
	case "password":
		return nil, refuse("FAPI2-SP-5.3.2.1-2", unsupportedGrantType, "grant_type is not supported")
	default:
		return nil, refuse("RFC6749-5.2-4", unsupportedGrantType, "grant_type is not supported")
	}
	if !c.mayUse(t) {
		return nil, refuse("RFC6749-5.2-4", unauthorizedClient, "the client is not registered for this grant_type")
	}
	return e, nil
}

// formatOpaque is the access_token_format of clients whose access tokens tell
// them nothing.
const formatOpaque = "opaque"

// access makes an access token with what a has, good for p, for client
// req.client: a JWT (RFC 9068), or an opaque one. It is bound to the client's
// certificate (RFC 8705, 3.1) or its proof key (RFC 9449, 6.1).
func (s *Server) access(ctx context.Context, req *tokenRequest, a *token.Access, p privileges, life time.Duration) (string, error) {
	now := s.now()
	a.Issuer = s.config.Issuer
	a.ClientID = req.client.ID
	a.Audience, a.Scopes, a.Details = p.resources, p.scopes, p.details.carried()
	a.IssuedAt, a.Expires = now, now.Add(life)
	a.Confirmation = req.holder
	req.event.Token = a.ID
	if req.client.AccessTokenFormat == formatOpaque {
		return s.opaque.Seal(a)
	}
	return s.sign(req.client, "", func(alg string) (string, error) {
		return token.SignAccess(ctx, s.config.Keys, alg, a)
	})
}

// preferredAlgs is the order in which the server looks for a key where the
// client registered no algorithm: ES256 signs thirty times faster than PS256.
var preferredAlgs = []string{jose.ES256, jose.PS256, jose.EdDSA, jose.Ed25519}

// sign calls f with the algorithm that the client registered for this kind of
// token, or else with the first that the client's profile allows and the
// server has a key for. No default of a registry is ever taken (CONF-3).
func (s *Server) sign(c *caller, registered string, f func(alg string) (string, error)) (string, error) {
	algs := preferredAlgs
	if registered != "" {
		algs = sameKeyNames(registered)
	}
	for _, alg := range algs {
		if !slices.Contains(c.policy.algs, alg) {
			continue
		}
		signed, err := f(alg)
		if !errors.Is(err, token.ErrNoKey) {
			return signed, err
		}
	}
	return "", fmt.Errorf("no signing key for %s", strings.Join(algs, ", "))
}

func (t *tokenResponse) write(w http.ResponseWriter) {
	o := jsonw.New(1024)
	o.String("access_token", t.access)
	o.String("token_type", t.typ)
	o.Int("expires_in", int64(t.life/time.Second))
	if t.refresh != "" {
		o.String("refresh_token", t.refresh)
	}
	if t.id != "" {
		o.String("id_token", t.id)
	}
	if len(t.scopes) > 0 {
		o.String("scope", strings.Join(t.scopes, " "))
	}
	if name := t.arrangement[0]; name != "" {
		o.String(name, t.arrangement[1])
	}
	if len(t.details) > 0 { // RFC 9396, 7
		o.Raw("authorization_details", t.details.array())
	}
	writeJSON(w, http.StatusOK, o.Bytes())
}
