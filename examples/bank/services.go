package main

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// A servicesPage is what services.html shows: some of a customer's grants, and
// what the customer can do about them.
type servicesPage struct {
	Action, Customer string
	Services         []service
	After            string // where this page begins; "" for the first
	Next             string // the URL of the next page; "" if this is the last
	Ended            string // whose access has just ended; "" if nobody's
}

// A service is one grant.
type service struct {
	ID, Client   string
	Since, Until time.Time
	Allowed      []string // by its scopes and its details, in words
}

// servicesOnPage is how many there are on a page.
const servicesOnPage = 20

// services shows the customer's connected services, or the login before it.
func (b *bank) services(w http.ResponseWriter, r *http.Request) {
	who := b.visits.of(r, time.Now())
	if who == nil {
		b.showVisitLogin(w, r, loginPage{})
		return
	}
	b.showServices(w, r, who.user, r.URL.Query().Get("after"), "")
}

// changeServices takes the forms of these pages: the login, the button that ends
// a grant, and the one that signs out.
func (b *bank) changeServices(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		b.notice(w, r, http.StatusBadRequest, "notice.form")
		return
	}
	who := b.visits.of(r, time.Now())
	switch {
	case r.PostForm.Has("password"):
		b.visit(w, r)
	case who == nil:
		b.showVisitLogin(w, r, loginPage{})
	case r.PostForm.Has("leave"):
		b.leave(w, r)
	default:
		b.endService(w, r, who.user)
	}
}

func (b *bank) showVisitLogin(w http.ResponseWriter, r *http.Request, l loginPage) {
	p := b.page(r, nil, "login.title")
	l.Action, l.Hint = b.path("/services"), b.hint
	p.Data = l
	render(w, r, http.StatusOK, "login", p)
}

// visit takes the login form. The list is a page of its own: reloading it does
// not send the password again.
func (b *bank) visit(w http.ResponseWriter, r *http.Request) {
	name := r.PostForm.Get("login")
	u := b.signIn(name, r.PostForm.Get("password"))
	if u == nil {
		b.showVisitLogin(w, r, loginPage{Login: name, Trouble: "login.failed"})
		return
	}
	if r, ok := b.signedIn(w, r, b.visits, u, time.Now()); ok {
		http.Redirect(w, r, b.path("/services"), http.StatusSeeOther)
	}
}

// leave ends the customer's session.
func (b *bank) leave(w http.ResponseWriter, r *http.Request) {
	if ended := b.visits.end(w, r); ended != nil {
		if err := b.afterSession(r.Context(), ended); err != nil {
			b.outage(w, r, err)
			return
		}
	}
	b.say(w, r, "logout.done", "notice.goodbye")
}

// endService ends one of the customer's grants. That of another customer is not
// there, and one that is not there has ended already.
func (b *bank) endService(w http.ResponseWriter, r *http.Request, who *user) {
	id, ended := r.PostForm.Get("end"), ""
	g, err := b.grants.Get(r.Context(), id)
	if err == nil && g.Subject != who.Subject {
		err = authz.ErrNoGrant
	}
	if err == nil {
		err = b.grants.Revoke(r.Context(), id)
	}
	if err != nil && !errors.Is(err, authz.ErrNoGrant) {
		b.outage(w, r, err)
		return
	}
	if err == nil {
		ended = g.Client
	}
	b.showServices(w, r, who, r.PostForm.Get("after"), ended)
}

// placeOnList is a grant's id as a page may name it.
var placeOnList = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// showServices shows the page that begins after the grant of that id, or the
// first. Ended is the client whose grant has just ended, or "".
func (b *bank) showServices(w http.ResponseWriter, r *http.Request, who *user, after, ended string) {
	if !placeOnList.MatchString(after) {
		after = ""
	}
	// One more than fits tells whether there is a next page.
	grants, err := b.grants.BySubject(r.Context(), who.Subject, after, servicesOnPage+1)
	if err == nil && len(grants) == 0 && after != "" { // the last of the last page has ended
		after = ""
		grants, err = b.grants.BySubject(r.Context(), who.Subject, "", servicesOnPage+1)
	}
	if err != nil {
		b.outage(w, r, err)
		return
	}
	p := b.page(r, nil, "services.title")
	s := servicesPage{Action: b.path("/services"), Customer: who.name(p.Lang), After: after}
	if ended != "" {
		s.Ended = b.nameOf(r, ended, p.Lang)
	}
	if len(grants) > servicesOnPage {
		grants = grants[:servicesOnPage]
		s.Next = s.Action + "?" + url.Values{"after": {grants[len(grants)-1].ID}}.Encode()
	}
	for _, g := range grants {
		one := service{ID: g.ID, Client: b.nameOf(r, g.Client, p.Lang), Since: g.Created, Until: g.Expires}
		for _, scope := range g.Scopes {
			one.Allowed = append(one.Allowed, p.Scope(scope))
		}
		for _, d := range g.Details {
			one.Allowed = append(one.Allowed, b.detailsText(d, p.Lang))
		}
		s.Services = append(s.Services, one)
	}
	p.Data = s
	render(w, r, http.StatusOK, "services", p)
}

// nameOf returns what the pages call the client of that id, which may no longer
// be registered.
func (b *bank) nameOf(r *http.Request, id, lang string) string {
	c, err := b.clients.Client(r.Context(), id)
	if err != nil {
		return id
	}
	return cmp.Or(clientName(c, lang), id)
}

// outage shows a page that says that something did not work, and logs what.
func (b *bank) outage(w http.ResponseWriter, r *http.Request, err error) {
	b.log.ErrorContext(r.Context(), "bank", "endpoint", "services", "reason", err)
	b.notice(w, r, http.StatusServiceUnavailable, "notice.outage")
}
