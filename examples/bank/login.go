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
// page and the decision. There is no session beyond that: every request of a
// client asks for a new login, which is the strictest answer to max_age and
// prompt=login.
type logins struct {
	mu sync.Mutex
	m  map[string]login
}

type login struct {
	user *user
	at   time.Time
}

const (
	loginLife = 30 * time.Minute
	maxLogins = 10_000
)

// put remembers a login, and reports false if there are too many.
func (l *logins) put(interaction string, u *user, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, in := range l.m {
		if now.Sub(in.at) > loginLife {
			delete(l.m, id)
		}
	}
	if len(l.m) >= maxLogins {
		return false
	}
	l.m[interaction] = login{u, now}
	return true
}

func (l *logins) get(interaction string, now time.Time) (login, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in, ok := l.m[interaction]
	return in, ok && now.Sub(in.at) <= loginLife
}

func (l *logins) forget(interaction string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.m, interaction)
}

// interact shows the first page of an interaction.
func (b *bank) interact(w http.ResponseWriter, r *http.Request, in *authz.Interaction) {
	switch {
	case b.autoApprove != "":
		b.finish(w, r, in, b.approval(in, b.autoApprove, time.Now()))
	case slices.Contains(in.Prompt, "none"):
		b.finish(w, r, in, authz.Decision{Deny: authz.LoginRequired})
	default:
		b.showLogin(w, r, in, loginPage{Login: in.LoginHint})
	}
}

// A loginPage is what login.html shows.
type loginPage struct {
	ID, Action, Client, Login string
	Trouble                   string // id of the message why it is shown again
	Hint                      *user
}

func (b *bank) showLogin(w http.ResponseWriter, r *http.Request, in *authz.Interaction, l loginPage) {
	p := b.page(r, in, "login.title")
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
	if !b.logins.put(in.ID, u, time.Now()) {
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
	targets := formTargets(in.Client.RedirectURIs)
	p := b.page(r, in, "consent.title")
	c := consentPage{ID: in.ID, Action: b.path("/consent"), Client: clientName(in.Client, p.Lang), Customer: u.name(p.Lang), Scopes: in.Scopes, Details: in.DetailsText(p.Lang), Claims: in.Claims}
	if len(targets) == 1 {
		_, c.Host, _ = strings.Cut(targets[0], "://")
	}
	p.Data = c
	render(w, r, http.StatusOK, "consent", p, targets...)
}

// consent shows the consent page, or takes its form: the button approve or the
// button deny.
func (b *bank) consent(w http.ResponseWriter, r *http.Request) {
	in, ok := b.interaction(w, r)
	if !ok {
		return
	}
	who, ok := b.logins.get(in.ID, time.Now())
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

// page returns a page of the bank, in the first language that the client asked
// for and the bank has, or else in the browser's.
func (b *bank) page(r *http.Request, in *authz.Interaction, title string) page {
	p := page{Side: "bank", Title: title, Style: b.path("/style.css")}
	if in != nil {
		p.Lang = preferred(strings.Join(in.UILocales, ","))
	}
	p.Lang = cmp.Or(p.Lang, language(r.Header.Get("Accept-Language")))
	return p
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
