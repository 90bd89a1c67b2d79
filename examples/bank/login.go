package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// Logins remembers who signed in during which interaction, between the login
// page and the decision. Unless the bank has sessions, there is nothing beyond
// that: every request of a client asks for a new login, which is the strictest
// answer to max_age and prompt=login.
type logins struct {
	mu sync.Mutex
	m  map[string]login
}

type login struct {
	user *user
	at   time.Time
	kept time.Time // since when it is remembered
}

const (
	loginLife = 30 * time.Minute
	maxLogins = 10_000
)

// put remembers a login, and reports false if there are too many.
func (l *logins) put(interaction string, u *user, at, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, in := range l.m {
		if now.Sub(in.kept) > loginLife {
			delete(l.m, id)
		}
	}
	if len(l.m) >= maxLogins {
		return false
	}
	l.m[interaction] = login{u, at, now}
	return true
}

func (l *logins) get(interaction string, now time.Time) (login, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in, ok := l.m[interaction]
	return in, ok && now.Sub(in.kept) <= loginLife
}

func (l *logins) forget(interaction string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.m, interaction)
}

// interact shows the first page of an interaction.
func (b *bank) interact(w http.ResponseWriter, r *http.Request, in *authz.Interaction) {
	now := time.Now()
	if b.autoApprove != "" {
		if r, ok := b.signedIn(w, r, b.sessions, cmp.Or(b.user(b.autoApprove), &user{Login: b.autoApprove, Subject: b.autoApprove}), now); ok {
			b.finish(w, r, in, b.approval(in, b.autoApprove, now))
		}
		return
	}
	who, none := b.sessionFor(r, in, now), slices.Contains(in.Prompt, "none")
	switch {
	case none && who == nil:
		b.finish(w, r, in, authz.Decision{Deny: authz.LoginRequired})
	case none: // each request is consented to
		b.finish(w, r, in, authz.Decision{Deny: authz.ConsentRequired})
	case who == nil:
		b.showLogin(w, r, in, loginPage{Login: in.LoginHint})
	case !b.logins.put(in.ID, who.user, who.at, now):
		b.notice(w, r, http.StatusServiceUnavailable, "notice.busy")
	default:
		b.showConsent(w, r, in, who.user)
	}
}

// sessionFor returns the session of the browser if the login in it will do for
// what is asked, or nil.
func (b *bank) sessionFor(r *http.Request, in *authz.Interaction, now time.Time) *bankSession {
	who := b.sessions.of(r, now)
	switch {
	case who == nil, !in.IsFor(who.user.Subject):
		return nil
	case slices.Contains(in.Prompt, "login"), slices.Contains(in.Prompt, "select_account"), in.HasMaxAge && now.Sub(who.at) > in.MaxAge:
		return nil
	}
	return who
}

// signedIn starts one of sessions with the browser, if the bank has them, and
// returns r as the browser will send it from now on. If there are too many, it
// shows a page and reports false.
func (b *bank) signedIn(w http.ResponseWriter, r *http.Request, sessions *bankSessions, u *user, now time.Time) (*http.Request, bool) {
	if sessions == nil {
		return r, true
	}
	r, ended, ok := sessions.start(w, r, u, now)
	if ended != nil { // another customer's
		if err := b.afterSession(r.Context(), ended); err != nil {
			b.failed(w, r, err)
			return r, false
		}
	}
	if !ok {
		b.notice(w, r, http.StatusServiceUnavailable, "notice.busy")
	}
	return r, ok
}

// A loginPage is what login.html shows. Without an ID nobody asks for anything:
// the customer has come by themselves.
type loginPage struct {
	ID, Action, Client, Login string
	Trouble                   string // id of the message why it is shown again
	Hint                      *user
}

func (b *bank) showLogin(w http.ResponseWriter, r *http.Request, in *authz.Interaction, l loginPage) {
	p := b.page(r, in.UILocales, "login.title")
	l.ID, l.Action, l.Client, l.Hint = in.ID, b.path("/login"), clientName(in.Client, p.Lang), b.hint
	p.Data = l
	render(w, r, http.StatusOK, "login", p)
}

// login takes the login form. What does not match stays on the page.
func (b *bank) login(w http.ResponseWriter, r *http.Request) {
	in, ok := b.interaction(w, r)
	if !ok {
		return
	}
	name := r.PostFormValue("login")
	u := b.signIn(name, r.PostFormValue("password"))
	switch {
	case u == nil:
		b.showLogin(w, r, in, loginPage{Login: name, Trouble: "login.failed"})
		return
	case !in.IsFor(u.Subject):
		b.showLogin(w, r, in, loginPage{Trouble: "login.other"})
		return
	}
	now := time.Now()
	if r, ok = b.signedIn(w, r, b.sessions, u, now); !ok {
		return
	}
	if !b.logins.put(in.ID, u, now, now) {
		b.notice(w, r, http.StatusServiceUnavailable, "notice.busy")
		return
	}
	// A page of its own: reloading it does not send the password again.
	to := url.Values{"interaction": {in.ID}}
	http.Redirect(w, r, b.path("/consent")+"?"+to.Encode(), http.StatusSeeOther)
}

// A consentPage is what consent.html shows.
type consentPage struct {
	ID, Action, Client, Host, Customer string
	Scopes, Details, Claims            []string
}

func (b *bank) showConsent(w http.ResponseWriter, r *http.Request, in *authz.Interaction, u *user) {
	p := b.page(r, in.UILocales, "consent.title")
	c := consentPage{ID: in.ID, Action: b.path("/consent"), Client: clientName(in.Client, p.Lang), Customer: u.name(p.Lang), Scopes: in.Scopes, Details: in.DetailsText(p.Lang), Claims: in.Claims}
	if hosts := hostsOf(in.Client.RedirectURIs); len(hosts) == 1 {
		c.Host = hosts[0]
	}
	p.Data = c
	render(w, r, http.StatusOK, "consent", p, anySite)
}

// consent shows the consent page, or takes its form: the button approve or the
// button deny.
func (b *bank) consent(w http.ResponseWriter, r *http.Request) {
	in, ok := b.interaction(w, r)
	if !ok {
		return
	}
	now := time.Now()
	who, ok := b.logins.get(in.ID, now)
	if b.sessions != nil && ok { // who signed out meanwhile consents to nothing
		in := b.sessions.of(r, now)
		ok = in != nil && in.user == who.user
	}
	if !ok {
		b.showLogin(w, r, in, loginPage{Login: in.LoginHint})
		return
	}
	switch approve, deny := r.PostForm.Has("approve"), r.PostForm.Has("deny"); {
	case approve && !deny:
		b.finish(w, r, in, b.approval(in, who.user.Subject, who.at))
	case deny && !approve:
		b.finish(w, r, in, authz.Decision{Deny: authz.AccessDenied})
	default:
		b.showConsent(w, r, in, who.user)
	}
}

// approval is the decision of a customer who signed in and agreed to all. What
// the client needs and did not get, it is told.
func (b *bank) approval(in *authz.Interaction, subject string, at time.Time) authz.Decision {
	acr := b.reached(in.ACRValues)
	switch {
	case !in.IsFor(subject):
		return authz.Decision{Deny: authz.LoginRequired}
	case in.EssentialACR && !slices.Contains(in.ACRValues, acr):
		return authz.Decision{Deny: authz.UnmetAuthentication}
	}
	return authz.Decision{Subject: subject, AuthTime: at, ACR: acr, AMR: []string{"pwd"}, Details: enriched(in.Details)}
}

// reached returns the authentication context that a login counts as: of those
// in the bank's configuration the one that the client likes best, or the first.
// There is one way to sign in here; a real bank says what really happened.
func (b *bank) reached(asked []string) string {
	for _, acr := range slices.Concat(asked, b.acr) {
		if slices.Contains(b.acr, acr) {
			return acr
		}
	}
	return ""
}

// finish carries out a decision. It never builds the redirect itself.
func (b *bank) finish(w http.ResponseWriter, r *http.Request, in *authz.Interaction, d authz.Decision) {
	if d.Deny == "" {
		d.Session = b.sessions.approved(r, in)
	}
	if err := in.Finish(w, r, d); err != nil {
		b.failed(w, r, err)
		return
	}
	b.logins.forget(in.ID)
}

// interaction returns the interaction that a posted form belongs to, or shows
// why there is none.
func (b *bank) interaction(w http.ResponseWriter, r *http.Request) (*authz.Interaction, bool) {
	in, err := b.as.Interaction(r)
	if err != nil {
		b.failed(w, r, err)
		return nil, false
	}
	return in, true
}

// failed shows a page that tells a refusal from an outage, and no more.
func (b *bank) failed(w http.ResponseWriter, r *http.Request, err error) {
	var refused *authz.Error
	if errors.As(err, &refused) {
		b.notice(w, r, http.StatusBadRequest, "notice.interaction")
		return
	}
	b.notice(w, r, http.StatusServiceUnavailable, "notice.outage")
}

func (b *bank) notice(w http.ResponseWriter, r *http.Request, status int, id string) {
	p := b.page(r, nil, "notice.title")
	p.Data = id
	render(w, r, status, "notice", p)
}

// page returns a page of the bank, in the first language of locales, which the
// client asked for, that the bank has, or else in the browser's.
func (b *bank) page(r *http.Request, locales []string, title string) page {
	lang := cmp.Or(preferred(strings.Join(locales, ",")), language(r.Header.Get("Accept-Language")))
	return page{Side: "bank", Title: title, Style: b.path("/style.css"), Lang: lang}
}

// clientName returns what the pages call a client: the name that it registered
// for their language (RFC 7591, 2.2), or for all.
func clientName(c *authz.Client, lang string) string {
	var name string
	if json.Unmarshal(c.Metadata["client_name#"+lang], &name) == nil && name != "" {
		return name
	}
	return cmp.Or(c.Name, c.ID)
}
