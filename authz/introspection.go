package authz

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/jsonw"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
)

// The signed form of an answer (RFC 9701, 5).
const (
	typeIntrospection  = "token-introspection+jwt"
	mediaIntrospection = "application/" + typeIntrospection
)

// inactive is all that is said of a token that is not good, or not this
// caller's to know about (RFC 7662, 2.2).
const inactive = `{"active":false}`

// introspect tells an API what an access token for it says, and a client what
// its own tokens say (RFC 7662). Where the request prefers it, the answer is
// signed (RFC 9701), be the token good or not.
//
// The hint is not looked at: a token's form says of which kind it is, so there
// is no search to extend (RFC 7662, 2.1).
func (s *Server) introspect(w http.ResponseWriter, r *http.Request, ev *Event) error {
	f, err := s.post(w, r)
	if err != nil {
		return err
	}
	if !authenticates(r, f) { // RFC 9701, 4
		e := unauthenticated("RFC9701-4-2", "the request has no client authentication")
		e.status = http.StatusBadRequest
		return e
	}
	c, err := s.authenticate(r, f, ev)
	if err != nil {
		return err
	}
	if f.Get("token") == "" {
		return refuse("RFC7662-2.1-1", invalidRequest, "token is missing")
	}
	answer, err := s.inspect(r.Context(), c, f.Get("token"), ev)
	if e := (*Error)(nil); errors.As(err, &e) { // RFC 7662, 2.3: the caller has made no mistake
		answer, ev.Rule, ev.Reason = []byte(inactive), e.Rule, e.reason()
	} else if err != nil {
		return err
	}
	if err := s.spend(r.Context(), c.replay); err != nil {
		return err
	}
	media := typeJSON
	if prefers(r.Header["Accept"], mediaIntrospection, "application/json") {
		media = []string{mediaIntrospection}
		if answer, err = s.signIntrospection(r.Context(), c, answer); err != nil {
			return err
		}
	}
	ev.Kind = tokenInspected
	s.audit(r.Context(), *ev)
	write(w, http.StatusOK, media, answer)
	return nil
}

// authenticates reports whether r has anything that could authenticate its
// sender. A client_id alone, without a certificate, is a name and no proof
// (CONF-7); a certificate without a name is nobody's.
func authenticates(r *http.Request, f form.Values) bool {
	return len(r.Header["Authorization"]) > 0 || f.Has("client_secret") ||
		f.Has("client_assertion") || f.Has("client_assertion_type") ||
		f.Has("client_id") && len(mtls.Chain(r)) > 0
}

// signIntrospection returns an answer as a JWT for the caller, encrypted if it
// registered for that (RFC 9701, 5). It has no sub and no exp, so that it
// passes for no other kind of token.
func (s *Server) signIntrospection(ctx context.Context, c *caller, answer []byte) ([]byte, error) {
	o := jsonw.New(256 + len(answer))
	o.String("iss", s.config.Issuer)
	o.String("aud", c.ID)
	o.Int("iat", s.now().Unix())
	o.Raw("token_introspection", answer)
	claims := o.Bytes()
	jwt, err := s.sign(c, c.IntrospectionAlg, func(alg string) (string, error) {
		return token.SignJWT(ctx, s.config.Keys, alg, typeIntrospection, claims)
	})
	if err != nil {
		return nil, err
	}
	jwt, err = s.encrypt(ctx, c, c.IntrospectionEncryption, jwt)
	return []byte(jwt), err
}

// isAPI reports whether c does nothing but ask about tokens.
func (c *Client) isAPI() bool {
	return c.Resource != "" && c.GrantTypes != nil && len(c.GrantTypes) == 0
}

// notForAPIs refuses an API where only a client has anything to do (RFC 9701,
// 3).
func notForAPIs(c *caller) error {
	if c.isAPI() {
		return refuse("RFC9701-3-2", unauthorizedClient, "the client is an API and may only introspect")
	}
	return nil
}

// checkResource returns why c is not the API that it registered to be.
func (s *Server) checkResource(c *Client) Violations {
	if c.Resource == "" || s.resource(c.Resource) != nil {
		return nil
	}
	return Violations{{"RFC9701-3-1", "resource is " + strconv.Quote(c.Resource), "register the ID of one of Config.Resources"}}
}

// describeTokenEndpoints adds introspection and revocation to the document of
// a server that signs with algs (RFC 8414, 2; RFC 9701, 7).
func (s *Server) describeTokenEndpoints(d *document, algs []string) {
	d.Introspection = s.config.Issuer + pathIntrospect
	d.IntrospectionAuthMethods, d.IntrospectionAuthAlgs = d.AuthMethods, d.AuthAlgs
	d.IntrospectionAlgs = algs
	d.IntrospectionEncAlgs, d.IntrospectionEncs = s.keyAlgs(), s.contentAlgs()
	d.Revocation = s.config.Issuer + pathRevoke
	d.RevocationAuthMethods, d.RevocationAuthAlgs = d.AuthMethods, d.AuthAlgs
	if d.Aliases != nil {
		d.Aliases["introspection_endpoint"] = s.alias(pathIntrospect)
		d.Aliases["revocation_endpoint"] = s.alias(pathRevoke)
	}
}
