package authz

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/fetch"
	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/internal/jose"
)

// A Logout is one browser's visit to the end-session endpoint: a client asks
// that the customer be logged out of the bank ([RP-Initiated Logout]). The
// host shows its own page and asks whether that is wanted, since a link on any
// site brings a browser here. When the customer says yes, the host
//
//  1. ends its session and lets the cookie of it expire,
//  2. ends the grants of that session which are not to outlive it, as a rule
//     those without offline_access, by [Grants.Revoke],
//  3. tells the clients of that session, the one that asks included, by
//     [Server.NotifyLogout], and
//  4. calls [Logout.Finish].
//
// For 2 and 3 it keeps with its session, whenever it approves, the GrantID and
// the Client of the [Interaction]. Where nobody is signed in there is nothing
// to end, and that is no error: the host calls Finish at once.
//
// [RP-Initiated Logout]: https://openid.net/specs/openid-connect-rpinitiated-1_0.html
type Logout struct {
	// ID stands for the request and this browser. Every later page carries it
	// as the query or form field "logout", and lives on the issuer's origin;
	// the customer's yes returns by POST. See [Server.Logout].
	ID string

	Client *Client // who asks; nil if nobody says so

	// PostLogoutRedirectURI is where the browser goes in the end, one that the
	// client registered; "" if it stays here.
	PostLogoutRedirectURI string

	UILocales  []string // languages, best first
	LogoutHint string   // who the customer may be; a stranger's text, proof of nothing

	server    *Server
	waived    []string // what the client breaks under a waiver
	visit     logoutVisit
	confirmed bool // the customer sent a page of the host's
}

// A logoutVisit is what a Logout's ID seals: all there is to know, so that
// nothing is stored for a stranger.
type logoutVisit struct {
	Client  string `json:"c,omitempty"`
	URI     string `json:"u,omitempty"`
	State   string `json:"s,omitempty"`
	Subject string `json:"n,omitempty"` // of the hint; "" without one
	Session string `json:"i,omitempty"` // of the hint; "" if it names none
	Locales string `json:"l,omitempty"`
	Hint    string `json:"h,omitempty"`
	Browser []byte `json:"b,omitempty"` // nil until the first page
	Started int64  `json:"t"`           // Unix seconds
}

// logoutField is the name of the field or query parameter that carries
// [Logout.ID].
const logoutField = "logout"

// logoutParameters are those of the endpoint, and ours.
var logoutParameters = []string{"id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales", logoutField}

// maxLogoutText limits each parameter that is kept until the end, in bytes:
// all of them travel in a URL.
const maxLogoutText = 1024

// newLogoutSealer returns what seals the ids of logouts. No issuer has a
// fragment, so that nothing it sealed is an interaction, nor the reverse.
func newLogoutSealer(c *Config) *sealer { return newSealer(c.Secrets, c.Issuer+"#logout") }

// endSession is where a client sends the customer's browser to log out
// (RP-Initiated Logout, 2). Whatever is wrong becomes a page and never a
// redirect (4), and a good request leads to the host's page, so that no other
// site can end a session.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request, ev *Event) error {
	f, err := logoutForm(w, r)
	if err != nil {
		return err
	}
	var lo *Logout
	if id := f.Get(logoutField); id != "" && r.Method != http.MethodPost {
		lo, err = s.posted(r.Context(), id)
	} else {
		lo, err = s.readLogout(r.Context(), f, ev)
	}
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPost:
		// A form of the client's site comes without our cookie, and without that
		// of the bank's session.
		redirect(w, s.config.Issuer+pathLogout+"?"+logoutField+"="+s.logouts.seal(lo.visit.bytes()))
		return nil
	case http.MethodHead:
		return nil
	}
	browser := s.bind(w, r)
	lo.visit.Browser, lo.visit.Started = browser[:], s.now().Unix()
	lo.ID = s.logouts.seal(lo.visit.bytes())
	ev.Kind, ev.Client, ev.Waived = logoutShown, lo.visit.Client, lo.waived
	s.audit(r.Context(), *ev)
	s.config.Logout(w, r, lo)
	return nil
}

// logoutForm reads the parameters from the query or a posted form.
func logoutForm(w http.ResponseWriter, r *http.Request) (v form.Values, err error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		v, err = form.ParseQuery(r.URL.RawQuery, logoutParameters...)
	case http.MethodPost:
		v, err = form.ParseBody(w, r, maxBody)
	default:
		e := refuse("RPL-2", invalidRequest, "use GET or POST")
		e.status, e.allow = http.StatusMethodNotAllowed, "GET, POST"
		return v, e
	}
	if err != nil {
		return v, badForm(err)
	}
	return v, nil
}

// readLogout checks what the client asks (RP-Initiated Logout, 2 and 3).
func (s *Server) readLogout(ctx context.Context, f form.Values, ev *Event) (*Logout, error) {
	v := logoutVisit{
		Client:  f.Get("client_id"),
		URI:     f.Get("post_logout_redirect_uri"),
		State:   f.Get("state"),
		Locales: f.Get("ui_locales"),
		Hint:    f.Get("logout_hint"),
		Started: s.now().Unix(),
	}
	for _, text := range []string{v.Client, v.URI, v.State, v.Locales, v.Hint} {
		if len(text) > maxLogoutText {
			return nil, refuse("RPL-2", invalidRequest, "a parameter is too long")
		}
	}
	ev.Client = printable(v.Client)
	if hint := f.Get("id_token_hint"); hint != "" {
		if err := s.readLogoutHint(ctx, &v, hint); err != nil {
			return nil, err
		}
	}
	return s.logout(ctx, v)
}

// readLogoutHint verifies the id_token_hint, which may have expired, and that it
// was issued to the client that v names, or takes the client from it
// (RP-Initiated Logout, 2).
func (s *Server) readLogoutHint(ctx context.Context, v *logoutVisit, hint string) error {
	switch claimed := hintedClient(hint); {
	case v.Client == "" && claimed == "":
		return refuse("RPL-3", invalidRequest, "id_token_hint does not say which client it is for: send client_id")
	case v.Client == "":
		v.Client = claimed
	case claimed != "" && claimed != v.Client:
		return refuse("RPL-4", invalidRequest, "id_token_hint was issued to another client")
	}
	c, err := s.shownClient(ctx, v.Client)
	if err != nil {
		return err
	}
	claims, err := s.hint(ctx, c.Client, hint)
	if e := (*Error)(nil); errors.As(err, &e) {
		return refuse("RPL-3", e.Code, e.Description).because(e.Err)
	}
	if err != nil {
		return err
	}
	v.Subject, _ = claims.String("sub")
	v.Session, _ = claims.String("sid")
	return nil
}

// hintedClient returns the client that an id_token_hint claims to be for,
// which its verification will have to show.
func hintedClient(hint string) string {
	t, err := jose.Parse(hint, maxAssertion)
	if err != nil {
		return ""
	}
	claims, err := t.UnverifiedClaims()
	if err != nil {
		return ""
	}
	if aud, ok := claims.Strings("aud"); ok && len(aud) == 1 {
		return aud[0]
	}
	return ""
}

// logout returns what the host may know of v, after checking what may have
// changed since it was sealed: that the client is still there, and that the URI
// is one of its own, character by character (RP-Initiated Logout, 3).
func (s *Server) logout(ctx context.Context, v logoutVisit) (*Logout, error) {
	lo := &Logout{
		PostLogoutRedirectURI: v.URI,
		UILocales:             strings.Fields(v.Locales),
		LogoutHint:            v.Hint,
		server:                s,
		visit:                 v,
	}
	if v.Client != "" {
		c, err := s.shownClient(ctx, v.Client)
		if err != nil {
			return nil, err
		}
		lo.Client, lo.waived = c.Client, c.departs.rules
	}
	if v.URI != "" && (lo.Client == nil || !slices.Contains(lo.Client.PostLogoutRedirectURIs, v.URI)) {
		return nil, refuse("RPL-7", invalidRequest, "post_logout_redirect_uri is not registered for a client that the request names")
	}
	return lo, nil
}

// posted returns the logout that a client's form asked for, which the browser
// was sent back here with.
func (s *Server) posted(ctx context.Context, id string) (*Logout, error) {
	v, err := s.openLogout(id)
	if err != nil {
		return nil, err
	}
	if v.Browser != nil {
		return nil, refuse("RPL-5", invalidRequest, "the logout belongs to a later page")
	}
	return s.logout(ctx, v)
}

// openLogout returns what id seals, if it is not too old.
func (s *Server) openLogout(id string) (v logoutVisit, err error) {
	plain, err := s.logouts.open(id)
	if err == nil {
		err = json.Unmarshal(plain, &v)
	}
	if err != nil {
		return v, refuse("RPL-5", invalidRequest, "the logout is malformed").because(err)
	}
	if s.tooLate(time.Unix(v.Started, 0)) {
		return v, refuse("RPL-5", invalidRequest, "the logout took too long")
	}
	return v, nil
}

func (v logoutVisit) bytes() []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // there is nothing in it that could fail
	}
	return b
}

// Logout returns the logout that a later page of it belongs to: the one whose
// ID r carries, begun by the browser that sent r. It writes nothing, and reads
// the body as [Server.Interaction] does. An [*Error] means that there is no such
// logout any more, or not for this browser, or that Config.Logout is nil;
// anything else is an outage.
func (s *Server) Logout(r *http.Request) (*Logout, error) {
	lo, err := s.resumeLogout(r)
	if err != nil {
		s.auditRefusal(r.Context(), Event{Endpoint: "logout"}, asError(err))
		return nil, err
	}
	return lo, nil
}

func (s *Server) resumeLogout(r *http.Request) (*Logout, error) {
	if s.logouts == nil {
		return nil, refuse("RPL-1", invalidRequest, "there is no end-session endpoint")
	}
	if r.Body != nil && r.Form == nil {
		r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	}
	id := r.FormValue(logoutField)
	v, err := s.openLogout(id)
	if err != nil {
		return nil, err
	}
	browser, ok := s.browser(r)
	if !ok || subtle.ConstantTimeCompare(browser[:], v.Browser) != 1 {
		return nil, refuse("RPL-5", invalidRequest, "the logout was begun in another browser")
	}
	lo, err := s.logout(r.Context(), v)
	if err != nil {
		return nil, err
	}
	lo.ID, lo.confirmed = id, r.Method == http.MethodPost
	return lo, nil
}

// IsFor reports whether the client proved, by an ID token, that it asks about
// this customer, called as in [Decision.Subject], and about this session of
// theirs, as in [Decision.Session], if the ID token names one. If it is false
// the host must ask the customer (RP-Initiated Logout, 2), and may also refuse.
func (lo *Logout) IsFor(subject, session string) bool {
	v, s := &lo.visit, lo.server
	if v.Subject == "" || s.subject(lo.Client, subject) != v.Subject {
		return false
	}
	return v.Session == "" || v.Session == s.sessionID(lo.Client, session)
}

// sessionID returns the sid by which client c knows a session of the bank's.
func (s *Server) sessionID(c *Client, session string) string {
	return grant.SessionID(s.config.Issuer, c.ID, grant.SessionDigest(s.config.Issuer, session))
}

// Finish sends the browser back to the client, with its state, and reports
// whether it did. If it is false nothing was written, and the host shows a page
// of its own, which says how it went: the client named no place to go to, or
// nobody has vouched for it, neither an ID token nor the customer by the POST of
// a page (RP-Initiated Logout, 3). A host whose customer says no does not call
// it.
func (lo *Logout) Finish(w http.ResponseWriter, r *http.Request) bool {
	v := &lo.visit
	if v.URI == "" || v.Subject == "" && !lo.confirmed {
		return false
	}
	to := v.URI
	if v.State != "" {
		to = withQuery(to, [][2]string{{"state", v.State}})
	}
	lo.server.audit(r.Context(), Event{Kind: logoutFinished, Endpoint: "logout", Client: v.Client, Waived: lo.waived})
	redirect(w, to)
	return true
}

// checkLogoutURIs returns what is wrong with the URIs that c registered for
// logout. Whatever its profile, FAPI wants https.
func (s *Server) checkLogoutURIs(c *Client) (v Violations) {
	for _, uri := range c.PostLogoutRedirectURIs {
		if u, err := url.Parse(uri); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Contains(uri, "#") || len(uri) > maxLogoutText {
			v = append(v, Violation{"RPL-11", "post_logout_redirect_uris has " + strconv.Quote(uri), "register https URIs with a host and without user and fragment"})
			break
		}
	}
	switch uri := c.BackchannelLogoutURI; {
	case uri == "" && c.BackchannelLogoutSessionRequired:
		v = append(v, Violation{"BCL-2", "backchannel_logout_session_required is there without backchannel_logout_uri", "register both, or neither"})
	case uri == "":
	case fetch.CheckURL(uri) != nil:
		v = append(v, Violation{"BCL-2", "backchannel_logout_uri is " + strconv.Quote(uri), "register an https URL without user and fragment"})
	case !s.config.BackchannelLogout:
		v = append(v, Violation{"BCL-1", "backchannel_logout_uri is " + strconv.Quote(uri), "set Config.BackchannelLogout"})
	}
	return v
}

// checkLogout returns what is wrong with the members of c for logout.
func checkLogout(c *Config) (v Violations) {
	if (c.Logout != nil || c.BackchannelLogout) && !offersOpenID(c) {
		v = append(v, Violation{"Config", "Logout or BackchannelLogout is set and nobody logs in", `offer the scope "openid" and set Interact`})
	}
	return v
}

// describeLogout fills in the members for logout (RP-Initiated Logout, 2.1;
// Back-Channel Logout, 2.1).
func (s *Server) describeLogout(d *document) {
	if s.config.Logout != nil {
		d.EndSession = s.config.Issuer + pathLogout
	}
	d.BackchannelLogout = s.config.BackchannelLogout
	d.BackchannelLogoutSession = s.config.BackchannelLogout
}
