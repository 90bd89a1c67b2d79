package authz

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// revocation ends a token that its client needs no longer (RFC 7009, 2).
//
// With a refresh token ends the whole grant, and so every access token from it.
// With an access token ends that one alone: the client gives up a key, not
// the customer's consent, and its refresh token lives on (RFC 7009, 2.1). Either
// takes effect at once here and at every API that asks, by introspection or
// [token.VerifierConfig].Liveness; at others an access token works until it
// expires, which is soon.
//
// As at introspection, the hint is not needed.
func (s *Server) revocation(w http.ResponseWriter, r *http.Request, ev *Event) error {
	f, err := s.post(w, r)
	if err != nil {
		return err
	}
	c, err := s.identify(r, f, ev) // also one whose profile was retired
	if err != nil {
		return err
	}
	if err := notForAPIs(c); err != nil {
		return err
	}
	if f.Get("token") == "" {
		return refuse("RFC7009-2-2", invalidRequest, "token is missing")
	}
	end, err := s.revocable(r.Context(), c, f.Get("token"), ev)
	if err != nil {
		return err
	}
	if err := s.spend(r.Context(), c.replay); err != nil {
		return err
	}
	ctx, cancel := detached(r.Context()) // who hangs up now has revoked it all the same
	defer cancel()
	if err := end(ctx); err != nil {
		return err
	}
	s.audit(ctx, *ev)
	w.Header()["Content-Length"] = contentLength
	w.WriteHeader(http.StatusOK)
	return nil
}

// revocable returns what ends a token, after checking that the client may do
// that. For what is no token, or none any more, that is nothing: the client has
// what it wants (RFC 7009, 2.2).
func (s *Server) revocable(ctx context.Context, c *caller, text string, ev *Event) (end func(context.Context) error, err error) {
	if h, err := grant.ParseHandle(text); err == nil {
		return s.revocableGrant(ctx, c, h, ev)
	}
	a, err := s.accessToken(ctx, text)
	if errors.Is(err, errNoToken) {
		return s.notRevocable(ctx, text, ev)
	}
	if err != nil {
		return nil, err
	}
	if a.ClientID != c.ID {
		return nil, errOthersToken
	}
	ev.Kind, ev.Token, ev.Grant = tokenRevoked, a.ID, a.GrantID
	if a.GrantID == "" || c.SubjectType != subjectPairwise { // otherwise it is the client's own name for the customer
		ev.Subject = a.Subject
	}
	return func(ctx context.Context) error { return s.deny(ctx, a) }, nil
}

var errOthersToken = refuse("RFC7009-2.1-1", unauthorizedClient, "the token was issued to another client")

// revocableGrant is revocable for a refresh token.
func (s *Server) revocableGrant(ctx context.Context, c *caller, h grant.Handle, ev *Event) (func(context.Context) error, error) {
	g, err := s.grantAt(ctx, h.Locator)
	if err != nil {
		return nil, err
	}
	if g == nil || !g.Refresh.Matches(h.Secret) {
		ev.Kind = tokenUnknown
		return nothing, nil
	}
	if g.Client != c.ID {
		return nil, errOthersToken
	}
	ev.Kind, ev.Grant, ev.Subject = grantRevoked, g.record.Key, g.Subject
	return func(ctx context.Context) error { return s.revoke(ctx, g) }, nil
}

func nothing(context.Context) error { return nil }

// verifierLeeway is the longest that a [token.Verifier] takes an access token
// after its expiry.
const verifierLeeway = time.Minute

// deny marks an access token as revoked, for as long as anybody could take it.
func (s *Server) deny(ctx context.Context, a *token.Access) error {
	until := a.Expires.Add(verifierLeeway)
	if !s.now().Before(until) {
		return nil
	}
	err := s.create(ctx, store.Record{
		Key:     grant.DenyKey(s.config.Issuer, a.ID),
		Version: grant.NewVersion(),
		Expires: until,
	})
	if errors.Is(err, store.ErrExists) { // revoked before
		return nil
	}
	return err
}

// notRevocable is revocable for what is no access token. A JWT that we signed,
// such as an ID token, would go on to be believed: that must not be answered as
// if it had been revoked (RFC 7009, 2.2.1).
func (s *Server) notRevocable(ctx context.Context, text string, ev *Event) (func(context.Context) error, error) {
	ours, err := s.signed(ctx, text)
	if err != nil {
		return nil, err
	}
	if ours {
		return nil, refuse("RFC7009-2.2.1-1", unsupportedTokenType, "such a token cannot be revoked")
	}
	ev.Kind = tokenUnknown
	return nothing, nil
}

// signed reports whether text is a JWT of whatever kind that this server
// signed.
func (s *Server) signed(ctx context.Context, text string) (bool, error) {
	if !strings.Contains(text, ".") {
		return false, nil
	}
	t, err := jose.Parse(text, maxBody)
	if err != nil {
		return false, nil
	}
	keys, err := s.ownKeys(ctx)
	if err != nil {
		return false, err
	}
	claims, err := t.Verify(s.algs(), keys)
	if err != nil {
		return false, nil
	}
	iss, _ := claims.String("iss")
	return iss == s.config.Issuer, nil
}
