package authz

import (
	"context"
	"errors"
	"net/http"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
)

// mayComeByValue refuses requests by value from clients whose profile wants them
// pushed, or who registered that they push all of them (RFC 9126, 6).
func (c *caller) mayComeByValue() error {
	switch {
	case !c.policy.byValue:
		return refuse("FAPI2-SP-5.3.2.2-3", invalidRequest, "the request was not pushed: request_uri is missing")
	case c.RequirePushedRequest:
		return refuse("RFC9126-4-5", invalidRequest, "the client registered that it pushes its requests: request_uri is missing")
	}
	return nil
}

// byValue takes a request object that the customer's browser brings from client
// c, whose signature is what authenticates the client (RFC 9101, 5; FAPI 1.0
// Advanced, 5.2.2-1). It is remembered as if it had been pushed, and byValue
// returns the request_uri that stands for it; after HEAD, a link preview, it is
// only checked, and the URI leads nowhere.
//
// Browsers reload and go back, so that one object may arrive any number of times
// and at any node. All of them meet in one record, found by what the client
// signed: nothing that a stranger can vary, such as the encryption around it or
// the signature itself, makes another request of it.
func (s *Server) byValue(r *http.Request, c *caller, f form.Values) (uri string, err error) {
	if err := c.mayComeByValue(); err != nil {
		return "", err
	}
	if f, err = outerParameters(r, f); err != nil {
		return "", err
	}
	if !f.Has("request") {
		return "", refuse("FAPI1-ADV-5.2.2-1", invalidRequest, "a signed request object is required")
	}
	o, err := s.readObject(r.Context(), c, f.Get("request"))
	if err != nil {
		return "", err
	}
	if t := f.Get("response_type"); t != "" && sortedType(t) != sortedType(o.params.Get("response_type")) {
		return "", refuse("OIDC-RO-2", invalidRequest, "response_type is another one beside the request object than in it")
	}
	req, err := s.readRequest(r.Context(), c, o.params, true) // FAPI1-ADV-5.2.2-10: nothing else counts
	if err != nil {
		return "", err
	}
	handle := grant.HandleOf(s.config.Issuer, c.ID, o.signed)
	req.Locator, req.Secret = handle.Locator, handle.Secret.Digest()
	req.Expires = o.expires
	if o.jti != "" {
		req.Use = objectUse(c.ID, o.jti, o.expires).key(s.config.Issuer) // not the jti: no store can read one
	}
	if r.Method != http.MethodHead {
		err = s.remember(r.Context(), &req.Request)
	}
	return requestURIPrefix + handle.String(), err
}

// outerParameters returns what stands beside a request object. In a query it was
// not all read so far; no parameter may be there twice.
func outerParameters(r *http.Request, f form.Values) (form.Values, error) {
	if r.Method == http.MethodPost {
		return f, nil
	}
	if len(r.URL.RawQuery) > maxBody {
		e := refuse("PAR-2.3-1", invalidRequest, "the request is too large")
		e.status = http.StatusRequestURITooLong
		return f, e
	}
	f, err := form.ParseWholeQuery(r.URL.RawQuery, "resource")
	if err != nil {
		return f, badForm(err)
	}
	return f, nil
}

// remember stores a request that came by value, unless it is there: waiting for
// a decision, or decided.
func (s *Server) remember(ctx context.Context, req *grant.Request) error {
	rec := store.Record{
		Key:     req.Locator.Key(grant.KindRequest, s.config.Issuer),
		Version: grant.NewVersion(),
		Value:   req.Encode(),
		Expires: req.Expires.Add(s.config.InteractionLifetime),
	}
	if len(rec.Value) > maxRequest {
		return badForm(form.ErrTooLarge)
	}
	err := s.create(ctx, rec)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}

// useObject spends the jti of a request object that came by value, once it is
// decided and not before: a page that was merely opened uses nothing up. For
// this request it succeeds however often it is tried; for another with the same
// jti, or one that was pushed, it does not.
func (s *Server) useObject(ctx context.Context, req *grant.Request) error {
	if req.Use == "" {
		return nil
	}
	err := s.create(ctx, store.Record{
		Key:     req.Use,
		Version: req.Locator.Version(),
		Expires: req.Expires.Add(s.config.InteractionLifetime),
	})
	if errors.Is(err, store.ErrExists) {
		return errObjectUsed
	}
	return err
}
