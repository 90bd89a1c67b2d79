package authz

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/beside"
	"github.com/aikagi/aikagi/internal/fetch"
	"github.com/aikagi/aikagi/internal/jsonw"
	"github.com/aikagi/aikagi/token"
)

const (
	logoutType  = "logout+jwt"                                                // Back-Channel Logout, 2.4
	logoutEvent = `{"http://schemas.openid.net/event/backchannel-logout":{}}` // there, too

	// logoutLife is how long a logout token is good (Back-Channel Logout, 4).
	logoutLife = 2 * time.Minute

	// logoutWait bounds all that is done to tell a client: its keys may have to
	// be fetched, and what it is told may have to be sent twice.
	logoutWait = 30 * time.Second
)

// LogoutToken returns the token that tells client c that a session of the
// customer's has ended (OpenID Connect [Back-Channel Logout], 2.4), for a host
// that sends it itself, such as from a queue or through a proxy: by POST to
// BackchannelLogoutURI, as the form field logout_token. It is good for two
// minutes, is signed as the client's ID tokens are and encrypted where they
// are.
//
// Subject and session are as in [Decision]. Without subject the token names the
// session alone; without session it means every session of the customer's
// there. It is an error if both are empty, if the client needs the session
// (BackchannelLogoutSessionRequired) and it is, if c registered no
// BackchannelLogoutURI, or if c may not be served, see [Server.CheckClient],
// which is [Violations].
//
// [Back-Channel Logout]: https://openid.net/specs/openid-connect-backchannel-1_0.html
func (s *Server) LogoutToken(ctx context.Context, c *Client, subject, session string) (string, error) {
	got, v := s.fitNow(c)
	if len(v) > 0 {
		return "", v
	}
	return s.logoutToken(ctx, got, subject, session, randomText())
}

// logoutToken is LogoutToken with id as its jti, for a client that may be
// served.
func (s *Server) logoutToken(ctx context.Context, c *caller, subject, session, id string) (string, error) {
	switch {
	case c.BackchannelLogoutURI == "":
		return "", errors.New("authz: the client has no backchannel_logout_uri")
	case subject == "" && session == "":
		return "", errors.New("authz: neither a customer nor a session has logged out")
	case session == "" && c.BackchannelLogoutSessionRequired:
		return "", errors.New("authz: the client needs to know which session has ended")
	case !isSession(session):
		return "", errors.New("authz: the session is not up to 255 characters of printable ASCII")
	}
	now := s.now()
	o := jsonw.New(512)
	o.String("iss", s.config.Issuer)
	o.String("aud", c.ID)
	o.Int("iat", now.Unix())
	o.Int("exp", now.Add(logoutLife).Unix())
	o.String("jti", id)
	o.Raw("events", []byte(logoutEvent))
	if subject != "" {
		o.String("sub", s.subject(c.Client, subject))
	}
	if session != "" {
		o.String("sid", s.sessionID(c.Client, session))
	}
	claims := o.Bytes()
	signed, err := s.sign(c, c.IDTokenAlg, func(alg string) (string, error) {
		return token.SignJWT(ctx, s.config.Keys, alg, logoutType, claims)
	})
	if err != nil {
		return "", err
	}
	return s.encrypt(ctx, c, c.IDTokenEncryption, signed, [2]string{"iss", s.config.Issuer})
}

// isSession reports whether a session may be called so, "" included.
func isSession(session string) bool {
	return len(session) <= 255 && !strings.ContainsFunc(session, func(r rune) bool { return r < ' ' || r > '~' })
}

// NotifyLogout tells clients, all at the same time, that a session of the
// customer's has ended (OpenID Connect Back-Channel Logout 1.0, 2.5): each gets
// its [Server.LogoutToken] at its BackchannelLogoutURI, and one that has none is
// passed over. The host knows who they are: those whose requests it approved in
// that session, see [Logout].
//
// A client has 5 seconds to answer with status 200 or 204. What may have been
// bad luck (no answer, 408, 429 or 5xx) is tried once more, a second later; what
// then fails is reported, for each client by itself, joined by [errors.Join],
// and may be tried again by the host, which is a new logout token. It is over
// within half a minute, and goes on when ctx is cancelled: that the customer has
// closed the browser does not keep them logged in elsewhere.
//
// Addresses are held to the rules for a jwks_uri: https, public or in
// Config.FetchPrivate. Redirects are not followed, and no proxy is used; a host
// that needs one sends LogoutToken itself.
func (s *Server) NotifyLogout(ctx context.Context, subject, session string, clientIDs ...string) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutWait)
	defer cancel()
	ids := slices.Clone(clientIDs)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	errs := make([]error, len(ids))
	defer func() { err = errors.Join(errs...) }()
	for i, id := range ids {
		wait := beside.Do(func() error { return s.notify(ctx, id, subject, session) })
		defer func() { // so that one whose registry panics leaves the others their time
			if err := wait(); err != nil {
				errs[i] = fmt.Errorf("authz: client %q was not told of the logout: %w", id, err)
			}
		}()
	}
	return nil
}

// notify tells one client, and the operator whether it worked.
func (s *Server) notify(ctx context.Context, id, subject, session string) error {
	ev := Event{Kind: logoutNotified, Endpoint: "backchannel_logout", Client: id, Subject: subject}
	told, err := s.tellLogout(ctx, &ev, subject, session)
	if err != nil {
		s.auditRefusal(ctx, ev, asError(err))
	} else if told {
		s.audit(ctx, ev)
	}
	return err
}

// tellLogout reports whether the client that ev names has been told; if not,
// it did not want to be.
func (s *Server) tellLogout(ctx context.Context, ev *Event, subject, session string) (told bool, err error) {
	c, err := s.shownClient(ctx, ev.Client)
	if err != nil || c.BackchannelLogoutURI == "" {
		return false, err
	}
	ev.Waived = c.departs.rules
	ev.Token = randomText()
	jwt, err := s.logoutToken(ctx, c, subject, session, ev.Token)
	if err != nil {
		return false, err
	}
	body := url.Values{"logout_token": {jwt}}
	err = s.outward.PostForm(ctx, c.BackchannelLogoutURI, body)
	if errors.Is(err, fetch.ErrTemporary) {
		pause(ctx, s.retryIn)
		err = s.outward.PostForm(ctx, c.BackchannelLogoutURI, body)
	}
	return err == nil, err
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
