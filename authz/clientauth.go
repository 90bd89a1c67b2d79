package authz

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
)

// A caller is an authenticated client, with what its request proved.
type caller struct {
	*Client
	profile Profile
	policy  *policy
	departs departure         // what it breaks of its policy under a waiver
	cert    *x509.Certificate // of the connection; nil if it has none
	replay  []replayID        // still to be spent
}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523, 2.2

	maxAssertion     = 16 << 10         // bytes
	maxAssertionLife = 10 * time.Minute // how far exp may lie ahead
	maxAssertionAge  = 24 * time.Hour   // how far iat may lie back
	assertionLeeway  = 10 * time.Second // how long after exp an assertion still counts
	maxJTI           = 512              // bytes
	maxClientID      = 255              // bytes
)

// authenticate finds out which client sent r, by the one method it registered
// (RFC 6749, 2.3 and RFC 9126, 2). What it returns has replay ids that the
// caller must spend before it answers.
//
// The client is told that authentication failed, and the operator why.
func (s *Server) authenticate(r *http.Request, f form.Values, ev *Event) (*caller, error) {
	c, err := s.identify(r, f, ev)
	if err != nil {
		return nil, err
	}
	if err := s.checkRetired(c); err != nil {
		return nil, err
	}
	return c, nil
}

// identify is authenticate for a client that may be of a retired profile.
func (s *Server) identify(r *http.Request, f form.Values, ev *Event) (*caller, error) {
	if err := oneCredential(r, f); err != nil {
		return nil, err
	}
	var assertion *jose.Token
	id := f.Get("client_id")
	if f.Has("client_assertion") || f.Has("client_assertion_type") {
		var err error
		if assertion, id, err = readAssertion(f); err != nil {
			return nil, err
		}
	}
	if id == "" {
		return nil, unauthenticated("RFC8705-2-3", "no client_id and no client_assertion")
	}
	ev.Client = printable(id)

	c, err := s.registered(r.Context(), id)
	if err != nil {
		return nil, err
	}
	ev.Waived = c.departs.rules
	chain := mtls.Chain(r)
	if len(chain) > 0 {
		c.cert = chain[0]
		ev.Certificate = mtls.Thumbprint(c.cert)
	}
	if err := s.checkTransport(c, chain); err != nil {
		return nil, err
	}
	switch {
	case assertion != nil && c.AuthMethod == methodPrivateKeyJWT:
		err = s.checkAssertion(r, c, assertion)
	case assertion != nil:
		err = unauthenticated("RFC6749-2.3-2", "client_assertion from a client registered for "+c.AuthMethod)
	case c.AuthMethod == methodTLS:
		err = s.checkCertificate(c.Client, chain)
	case c.AuthMethod == methodSelfSignedTLS:
		err = s.checkRegistered(r.Context(), c.Client, chain)
	default:
		err = unauthenticated("RFC6749-2.3-2", "no client_assertion from a client registered for "+c.AuthMethod)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// oneCredential refuses what is never accepted: shared secrets, and several
// methods at once (RFC 6749, 2.3).
func oneCredential(r *http.Request, f form.Values) error {
	header := r.Header["Authorization"]
	secret, assertion := f.Has("client_secret"), f.Has("client_assertion")
	switch {
	case len(header) > 0 && (secret || assertion), secret && assertion:
		return refuse("RFC6749-2.3-1", invalidRequest, "more than one client authentication method")
	case len(header) > 0: // RFC 6749, 5.2: the challenge names the scheme that was used
		e := unauthenticated("FAPI2-SP-5.3.2.1-6", "the Authorization header is not a client authentication method here")
		scheme, _, _ := strings.Cut(header[0], " ")
		if strings.EqualFold(scheme, "Basic") {
			e.challenge = `Basic realm="token", charset="UTF-8"`
		} else {
			e.challenge = `Bearer realm="token", error="invalid_request"`
		}
		return e
	case secret:
		return unauthenticated("FAPI2-SP-5.3.2.1-6", "client_secret is not a client authentication method here")
	}
	return nil
}

// unauthenticated returns the refusal of a client that is not who it says.
func unauthenticated(rule, reason string) *Error {
	return refuse(rule, invalidClient, "client authentication failed").because(errors.New(reason))
}

// client returns the registered client with that id, if it fits its profile and
// the profile was not retired.
func (s *Server) client(ctx context.Context, id string) (*caller, error) {
	c, err := s.registered(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.checkRetired(c); err != nil {
		return nil, err
	}
	return c, nil
}

// registered is client, also for one of a retired profile.
func (s *Server) registered(ctx context.Context, id string) (*caller, error) {
	if len(id) > maxClientID {
		return nil, unauthenticated("RFC6749-5.2-2", "client_id is too long")
	}
	if strings.ContainsFunc(id, notVSCHAR) { // a database may choke on it, which would look like an outage
		return nil, unauthenticated("RFC6749-A-1", "client_id is not printable ASCII")
	}
	c, err := s.config.Clients.Client(ctx, id)
	switch {
	case errors.Is(err, ErrNoClient):
		return nil, unauthenticated("RFC6749-5.2-2", "no such client")
	case err != nil:
		return nil, fmt.Errorf("client registry: %v", err) // an Error of the registry is no refusal
	case c == nil || c.ID != id:
		return nil, errors.New("client registry: returned another client")
	}
	got, v := s.fit(c)
	if len(v) > 0 {
		return nil, unauthenticated(v[0].Rule, "the client's metadata: "+v[0].Value)
	}
	return got, nil
}

// notVSCHAR reports whether r may not be part of a client_id (RFC 6749, A.1).
func notVSCHAR(r rune) bool { return r < 0x20 || r > 0x7e }

// readAssertion takes a client assertion apart and returns the client that it
// claims to be from. Nothing about it is verified yet.
func readAssertion(f form.Values) (*jose.Token, string, error) {
	if f.Get("client_assertion_type") != assertionType {
		return nil, "", unauthenticated("RFC7523-2.2-1", "client_assertion_type is not jwt-bearer")
	}
	t, err := jose.Parse(f.Get("client_assertion"), maxAssertion)
	if err != nil {
		return nil, "", unauthenticated("RFC7523-2.2-2", "client_assertion: "+err.Error())
	}
	claims, err := t.UnverifiedClaims()
	if err != nil {
		return nil, "", unauthenticated("RFC7523-2.2-2", "client_assertion: "+err.Error())
	}
	sub, ok := claims.String("sub")
	if !ok || sub == "" {
		return nil, "", unauthenticated("RFC7523-3-2", "client_assertion has no sub")
	}
	if id := f.Get("client_id"); id != "" && id != sub {
		return nil, "", unauthenticated("RFC7521-4.2-1", "client_id is not the subject of the assertion")
	}
	return t, sub, nil
}

// otherTypes are the media types of JWTs that are not client assertions
// (CONF-12). An assertion may have none, JWT, or its own.
var otherTypes = []string{"dpop+jwt", "at+jwt", "oauth-authz-req+jwt", "token-introspection+jwt", "logout+jwt", "secevent+jwt"}

// checkAssertion verifies a client assertion (RFC 7523, 3 and RFC 10070).
func (s *Server) checkAssertion(r *http.Request, c *caller, t *jose.Token) error {
	if typ := strings.TrimPrefix(strings.ToLower(t.Header.Type), "application/"); slices.Contains(otherTypes, typ) {
		return unauthenticated("RFC8725-3.12-1", "client_assertion has the typ of another kind of JWT")
	}
	claims, err := s.verifyWith(r.Context(), c, c.AuthSigningAlg, t)
	if err != nil {
		rule := "RFC7523-3-7"
		if errors.Is(err, jose.ErrAlgorithm) {
			rule = "FAPI2-SP-5.4.1-1b"
		}
		return unauthenticated(rule, "client_assertion: "+err.Error())
	}
	if iss, _ := claims.String("iss"); iss != c.ID { // RFC 7523, 3-1
		return unauthenticated("RFC7523-3-1", "iss is not the client_id")
	}
	if sub, _ := claims.String("sub"); sub != c.ID { // RFC 7523, 3-2
		return unauthenticated("RFC7523-3-2", "sub is not the client_id")
	}
	if err := s.checkAudience(r, c, claims); err != nil { // RFC 7523, 3-3
		return err
	}
	for _, name := range []string{"response_type", "redirect_uri", "code_challenge"} { // CONF-19
		if claims.Has(name) {
			return unauthenticated("RFC9101-10.8-1", "client_assertion is a request object")
		}
	}

	now := s.now()
	exp, ok := claims.Time("exp") // RFC 7523, 3-4
	switch {
	case !ok:
		return unauthenticated("RFC7523-3-4", "exp is missing or not a date")
	case !now.Before(exp.Add(assertionLeeway)):
		return unauthenticated("RFC7523-3-4", "client_assertion has expired")
	case exp.After(now.Add(maxAssertionLife + c.policy.ahead)):
		return unauthenticated("RFC7523-3-4", "exp lies too far ahead")
	}
	for _, name := range []string{"nbf", "iat"} { // RFC 7523, 3-5, 3-6
		if !claims.Has(name) {
			continue
		}
		if at, ok := claims.Time(name); !ok || at.After(now.Add(c.policy.ahead)) {
			return unauthenticated("FAPI2-SP-5.3.2.1-13b", name+" lies too far ahead or is not a date")
		}
	}
	if iat, ok := claims.Time("iat"); ok && iat.Before(now.Add(-maxAssertionAge)) {
		return unauthenticated("CA-6", "iat lies more than a day back")
	}
	if life := c.policy.assertionLife; life.rule != "" {
		if iat, ok := claims.Time("iat"); !ok || exp.After(iat.Add(life.is)) {
			return unauthenticated(life.rule, "iat is missing, or exp is more than "+minutes(life.is)+" after it")
		}
	}
	jti, ok := claims.String("jti") // RFC 7523, 3-7; OIDC Core, 9
	if !ok || jti == "" || len(jti) > maxJTI {
		return unauthenticated("OIDCC-9-1", "jti is missing or too long")
	}
	c.replay = append(c.replay, replayID{
		artifact: "client_assertion", owner: c.ID, id: jti, until: exp.Add(assertionLeeway),
		spent: unauthenticated("RFC7523-3-6", "client_assertion was used before"),
	})
	return nil
}

// checkAudience checks for whom a client assertion is. By FAPI 2.0 that is the
// issuer, as a string and not an array. By FAPI 1.0 it may be an endpoint as
// well, and be for others too (CONF-1, D-1).
func (s *Server) checkAudience(r *http.Request, c *caller, claims jose.Claims) error {
	if aud, ok := claims.String("aud"); ok && aud == s.config.Issuer {
		return nil
	}
	if !c.policy.endpointAud {
		return unauthenticated("FAPI2-SP-5.3.2.1-8", "aud is not the issuer as a string")
	}
	ours := append([]string{s.config.Issuer}, s.urls(pathToken)...)
	ours = append(ours, s.urls(pathPAR)...)
	if s.byPath[r.URL.Path] != nil { // the endpoint that was called
		ours = append(ours, s.urls(strings.TrimPrefix(r.URL.Path, s.path))...)
	}
	aud, _ := claims.Strings("aud")
	if !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(ours, a) }) {
		return unauthenticated("CA-3", "aud is neither the issuer nor an endpoint, and has none among others")
	}
	return nil
}

// verifyWith verifies what the client signed with one of its keys, looking for
// new ones if none of those known fits. If it registered an algorithm for this
// kind of JWT, no other counts. The error is one of package jose, or says that
// the client's keys cannot be had.
func (s *Server) verifyWith(ctx context.Context, c *caller, registered string, t *jose.Token) (jose.Claims, error) {
	algs := c.policy.algs
	if registered != "" {
		algs = sameKeyNames(registered)
	}
	set, err := s.keys.set(ctx, c.Client)
	if err != nil {
		return jose.Claims{}, fmt.Errorf("the client's keys: %w", err)
	}
	claims, err := t.Verify(algs, set.Keys)
	if errors.Is(err, jose.ErrNoKey) {
		if set, err2 := s.keys.refresh(ctx, c.Client); err2 == nil && set != nil {
			claims, err = t.Verify(algs, set.Keys)
		}
	}
	return claims, err
}

// sameKeyNames returns the names under which alg may appear, alg first: that
// of the Edwards curve has two (RFC 9864).
func sameKeyNames(alg string) []string {
	switch alg {
	case jose.EdDSA:
		return []string{jose.EdDSA, jose.Ed25519}
	case jose.Ed25519:
		return []string{jose.Ed25519, jose.EdDSA}
	}
	return []string{alg}
}

// noKeys is the refusal of a client whose keys cannot be had. It is the
// client's jwks_uri that failed, not the server.
func noKeys(err error) error {
	return unauthenticated("RFC7523-3-7", "the client's keys: "+err.Error())
}

// checkCertificate authenticates by the PKI method (RFC 8705, 2.1).
func (s *Server) checkCertificate(c *Client, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return unauthenticated("RFC8705-2-5", "no client certificate")
	}
	if s.config.Authorities == nil {
		return unauthenticated("RFC8705-2-7", "tls_client_auth is not offered")
	}
	if err := s.config.Authorities.Verify(chain, s.now()); err != nil {
		return unauthenticated("RFC8705-2.1-1", err.Error())
	}
	if err := c.CertificateSubject.Match(chain[0]); err != nil {
		return unauthenticated("RFC8705-2-4", err.Error())
	}
	return nil
}

// checkRegistered authenticates by the self-signed method (RFC 8705, 2.2): the
// certificate itself is registered, and its chain means nothing.
func (s *Server) checkRegistered(ctx context.Context, c *Client, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return unauthenticated("RFC8705-2-5", "no client certificate")
	}
	cert := chain[0]
	set, err := s.keys.set(ctx, c)
	if err != nil {
		return noKeys(err)
	}
	known := mtls.MatchRegistered(cert, certificates(set))
	if !known {
		if set, err := s.keys.refresh(ctx, c); err == nil && set != nil { // RFC8705-2.2-5
			known = mtls.MatchRegistered(cert, certificates(set))
		}
	}
	if !known {
		return unauthenticated("RFC8705-2.2-2", "the certificate is not registered")
	}
	if err := mtls.CheckValidity(cert, s.now()); err != nil {
		return unauthenticated("RFC8705-2.2-6", err.Error())
	}
	if err := mtls.CheckKey(cert); err != nil {
		return unauthenticated("FAPI2-SP-5.4.1-2", err.Error())
	}
	return nil
}

// printable returns what an event may show of a name that a stranger chose.
func printable(s string) string {
	if len(s) > maxClientID {
		s = s[:maxClientID]
	}
	return clean(s)
}
