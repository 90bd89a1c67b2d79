package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// A logoutPage is what logout.html shows.
type logoutPage struct {
	ID, Action, Client, Customer string
}

// logout shows the page that asks whether the customer wants to be signed out:
// a link on any site brings a browser here. Nobody need be asked who is not
// signed in.
func (b *bank) logout(w http.ResponseWriter, r *http.Request, lo *authz.Logout) {
	who := b.sessions.of(r, time.Now())
	if who == nil {
		b.signedOut(w, r, lo)
		return
	}
	p := b.page(r, lo.UILocales, "logout.title")
	l := logoutPage{ID: lo.ID, Action: b.path("/signout"), Customer: who.user.name(p.Lang)}
	if lo.Client != nil {
		l.Client = clientName(lo.Client, p.Lang)
	}
	p.Data = l
	render(w, r, http.StatusOK, "logout", p, anySite)
}

// signOut takes its form: the button leave or the button stay.
func (b *bank) signOut(w http.ResponseWriter, r *http.Request) {
	lo, err := b.as.Logout(r)
	if err != nil {
		b.failed(w, r, err)
		return
	}
	if !r.PostForm.Has("leave") || r.PostForm.Has("stay") {
		b.say(w, r, "logout.stayed", "notice.stay")
		return
	}
	if ended := b.sessions.end(w, r); ended != nil {
		if err := b.afterSession(r.Context(), ended); err != nil {
			b.failed(w, r, err)
			return
		}
	}
	b.signedOut(w, r, lo)
}

// signedOut sends the browser back to the client, or says that it is done.
func (b *bank) signedOut(w http.ResponseWriter, r *http.Request, lo *authz.Logout) {
	if !lo.Finish(w, r) {
		b.say(w, r, "logout.done", "notice.goodbye")
	}
}

// afterSession ends the grants that are not to outlive a session that has ended,
// and has the clients told. They may take half a minute to hear it, which no
// customer waits for; what the library tells the operator of each is enough.
func (b *bank) afterSession(ctx context.Context, ended *bankSession) error {
	for _, grants := range ended.known {
		for _, id := range grants {
			if err := b.grants.Revoke(ctx, id); err != nil && !errors.Is(err, authz.ErrNoGrant) {
				return err
			}
		}
	}
	if b.backchannel {
		ctx := context.WithoutCancel(ctx)
		b.telling.Go(func() { _ = b.as.NotifyLogout(ctx, ended.user.Subject, ended.name, ended.clients()...) })
	}
	return nil
}

// say shows a page with one message, after which all is well.
func (b *bank) say(w http.ResponseWriter, r *http.Request, title, id string) {
	p := b.page(r, nil, title)
	p.Data = id
	render(w, r, http.StatusOK, "notice", p)
}

// An errorText is what the page for a request that leads nowhere says.
type errorText struct {
	Lang, Code, Description string
}

// errorPage shows it: that of the configuration, or the bank's own.
func (b *bank) errorPage(w http.ResponseWriter, r *http.Request, e *authz.Error) {
	p := b.page(r, nil, "error.title")
	text := errorText{p.Lang, string(e.Code), e.Description}
	if b.ownErrorPage == nil {
		p.Data = text
		render(w, r, http.StatusBadRequest, "error", p)
		return
	}
	renderWith(w, http.StatusBadRequest, b.ownErrorPage, text, text.Lang)
}
