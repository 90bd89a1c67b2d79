package authz

import (
	"net/http"
	"time"

	"github.com/aikagi/aikagi/internal/beside"
	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/internal/jsonw"
	"github.com/aikagi/aikagi/store"
)

// maxRecord limits what a [store.Record] holds, in bytes: of the 64 KiB that
// every store takes, [store.Sealed] needs some hundred. maxRequest limits a
// request, since the grant that follows has all of it, and who approved it, and
// how.
const (
	maxRecord  = 63 << 10
	maxRequest = 60 << 10
)

// requestURIPrefix begins every request_uri (RFC 9126, 2.2).
const requestURIPrefix = "urn:ietf:params:oauth:request_uri:"

// par takes a pushed authorization request (RFC 9126, 2.1). Everything that
// can be checked is checked here, where the client learns of it at once and no
// customer is disturbed.
func (s *Server) par(w http.ResponseWriter, r *http.Request, ev *Event) error {
	f, err := s.post(w, r, "resource")
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, f, ev) // RFC 9126, 2.1, step 1
	if err != nil {
		return err
	}
	if f.Get("client_id") == "" && !f.Has("request") { // also where an assertion names the client; an object has it inside (RFC 9126, 3)
		return refuse("RFC9126-2.1-1", invalidRequest, "client_id is missing")
	}
	if err := notForAPIs(c); err != nil {
		return err
	}
	if f.Has("request_uri") { // RFC 9126, 2.1, step 2
		return refuse("RFC9126-2.1-2", invalidRequest, "request_uri must not be pushed")
	}
	if f, err = s.requestObject(r.Context(), c, f); err != nil { // RFC 9126, 3
		return err
	}
	req, err := s.readRequest(r.Context(), c, f, false) // RFC 9126, 2.1, step 3
	if err != nil {
		return err
	}
	ev.Waived = c.departs.rules
	if req.JKT, err = s.codeKey(w, r, c, f, ev); err != nil { // RFC 9449, 10
		return err
	}
	handle := grant.NewHandle()
	req.Locator, req.Secret = handle.Locator, handle.Secret.Digest()
	req.Expires = s.now().Add(s.config.RequestLifetime)
	rec := store.Record{
		Key:     handle.Locator.Key(grant.KindRequest, s.config.Issuer),
		Version: grant.NewVersion(),
		Value:   req.Encode(),
		Expires: req.Expires.Add(s.config.InteractionLifetime),
	}
	if len(rec.Value) > maxRequest {
		return badForm(form.ErrTooLarge)
	}

	// One wait: an unanswered request is worth nothing, so that it may be
	// stored before it is known whether the assertion is fresh.
	stored := beside.Do(func() error { return s.create(r.Context(), rec) })
	spent := s.spend(r.Context(), c.replay)
	err = stored()
	if spent != nil { // what was refused takes no room: one old assertion could fill the store
		ctx, cancel := detached(r.Context())
		defer cancel()
		_ = s.config.Store.Delete(ctx, rec.Key)
		return spent
	}
	if err != nil {
		return err
	}

	ev.Kind, ev.Scopes, ev.DetailsTypes = requestPushed, req.Scopes, s.held(req.Details).types()
	s.audit(r.Context(), *ev)
	o := jsonw.New(192)
	o.String("request_uri", requestURIPrefix+handle.String())
	o.Int("expires_in", int64(s.config.RequestLifetime/time.Second))
	writeJSON(w, http.StatusCreated, o.Bytes())
	return nil
}
