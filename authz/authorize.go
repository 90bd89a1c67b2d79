package authz

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
)

// authorize is where a client sends the customer's browser (RFC 9126, 4). It
// reads client_id and request_uri, whatever else the URL says (CONF-33), or the
// request object where the client's profile takes one by value, and hands over to
// the host's first page. Loading what was pushed writes nothing, and what comes
// by value is written once: reloads and link previews cost nothing (FAPI 2.0 SP, 5.3.2.2, note 3).
//
// An error met here becomes a page and not a redirect, since nobody has been
// authenticated yet (RFC 9700, 4.11.2).
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, ev *Event) error {
	f, err := authorizeForm(w, r)
	if err != nil {
		return err
	}
	id, uri := f.Get("client_id"), f.Get("request_uri")
	if id == "" {
		return refuse("RFC9126-4-6", invalidRequest, "client_id is missing")
	}
	ev.Client = printable(id)
	c, err := s.shownClient(r.Context(), id)
	if err != nil {
		return err
	}
	ev.Waived = c.departs.rules
	if uri == "" { // FAPI 1.0 Advanced, 5.2.2-1
		if uri, err = s.byValue(r, c, f); err != nil {
			return err
		}
		ev.Waived = c.departs.rules
		if r.Method == http.MethodHead { // nothing was stored
			return nil
		}
	} else if f.Has("request") && (c.policy.byValue || c.policy.noObject) {
		return refuse("OIDC-RO-8", invalidRequest, "request and request_uri are both there")
	}
	if r.Method == http.MethodPost {
		s.comeAgain(w, id, uri)
		return nil
	}
	in, err := s.load(r.Context(), c, uri)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead { // a link preview: nobody sees a page, so that none may decide
		return nil
	}
	in.start(w, r)
	ev.Kind, ev.Scopes, ev.Grant = requestShown, in.Scopes, in.GrantID
	s.audit(r.Context(), *ev)
	s.config.Interact(w, r, in)
	return nil
}

// comeAgain answers a POST by sending the browser here with GET. A form of the
// client's site comes without our cookie, and a new one would cut off what the
// customer does in other tabs.
func (s *Server) comeAgain(w http.ResponseWriter, id, uri string) {
	q := url.Values{"client_id": {id}, "request_uri": {uri}}
	w.Header().Set("Location", s.config.Issuer+pathAuthorize+"?"+q.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// authorizeForm reads the two parameters from the query or a posted form (RFC
// 6749, 3.1).
func authorizeForm(w http.ResponseWriter, r *http.Request) (v form.Values, err error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		v, err = form.ParseQuery(r.URL.RawQuery, "client_id", "request_uri", "request")
	case http.MethodPost:
		v, err = form.ParseBody(w, r, maxBody, "resource")
	default:
		e := refuse("RFC6749-3.1-1", invalidRequest, "use GET or POST")
		e.status, e.allow = http.StatusMethodNotAllowed, "GET, POST"
		return v, e
	}
	if err != nil {
		return v, badForm(err)
	}
	return v, nil
}

var errDeadRequest = refuse("RFC9126-4-3", invalidRequestURI, "the request is unknown, was decided or has expired")

// load finds the request that uri stands for, if client c made it and may still
// use it (RFC 9126, 4).
func (s *Server) load(ctx context.Context, c *caller, uri string) (*Interaction, error) {
	text, ok := strings.CutPrefix(uri, requestURIPrefix)
	if !ok {
		return nil, refuse("FAPI2-SP-5.3.2.2-3", invalidRequest, "request_uri was not issued here")
	}
	h, err := grant.ParseHandle(text)
	if err != nil {
		return nil, errDeadRequest
	}
	req, err := s.request(ctx, h.Locator)
	if err != nil {
		return nil, err
	}
	if !req.Secret.Matches(h.Secret) {
		return nil, errDeadRequest
	}
	if req.Client != c.ID { // RFC 9126, 2.2
		return nil, refuse("RFC9126-2.2-4", invalidRequestURI, "request_uri belongs to another client")
	}
	if !s.now().Before(req.Expires) { // RFC 9126, 4
		return nil, errDeadRequest
	}
	return s.interaction(c, req)
}

// shownClient returns the client that a browser speaks of. It need not be
// authenticated: it was, when it pushed the request.
func (s *Server) shownClient(ctx context.Context, id string) (*caller, error) {
	c, err := s.client(ctx, id)
	if e := (*Error)(nil); errors.As(err, &e) && e.Code != unauthorizedClient { // that its profile is gone it may know
		return nil, refuse(e.Rule, unauthorizedClient, "the client is unknown").because(e.Err)
	}
	return c, err
}

// request returns the request at l, which waits for a decision.
func (s *Server) request(ctx context.Context, l grant.Locator) (*grant.Request, error) {
	rec, err := s.config.Store.Get(ctx, l.Key(grant.KindRequest, s.config.Issuer))
	if errors.Is(err, store.ErrNotFound) {
		return nil, errDeadRequest
	}
	if err != nil {
		return nil, err
	}
	req, err := grant.DecodeRequest(rec.Value)
	if err != nil {
		return nil, err
	}
	if req.Decided {
		return nil, errDeadRequest
	}
	return req, nil
}
