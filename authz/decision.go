package authz

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
)

// A Decision ends an interaction: the customer approves, or somebody denies.
type Decision struct {
	// Deny, if not empty, denies the request, and the client is told this
	// code: one of those that this package exports, as a rule AccessDenied.
	Deny Code

	// Subject is the customer's identifier, the sub of tokens: 1 to 255
	// characters of printable ASCII, never given to another customer. An
	// approval must have it.
	Subject string

	// AuthTime is when the customer last authenticated actively. It must be
	// set where the client asks for an ID token, a max_age or a new login.
	AuthTime time.Time

	// Session names the bank's session in which the customer approved: up to 255
	// characters of printable ASCII that nobody can guess and that no other
	// session ever has. Clients are told a digest of it, another one for each
	// (sid), and the store keeps a digest as well. It must be set for openid where
	// there is Config.BackchannelLogout, and is optional otherwise.
	Session string

	ACR string   // optional: the authentication context that was reached
	AMR []string // optional: how (RFC 8176)

	// Scopes is what the customer consented to, some of what was asked. If
	// nil, it is all of it.
	Scopes []string

	// Details are the authorization_details that the customer consented to, as
	// the client will be told (RFC 9396, 7). Each lies within one that was
	// asked for, which its type's Covers decides, so that it may say more
	// exactly what was chosen. If nil, it is all that was asked as it was asked;
	// if empty but not nil, none. Something of Scopes and Details remains.
	Details []json.RawMessage

	// Claims are those of Interaction.Claims that the customer lets the client
	// see. If nil, it is all of them. What a scope stands for is decided by
	// Scopes.
	Claims []string

	// Expires is when the grant ends, after which the client must ask again. If
	// zero, Interaction.SharingDuration decides, which it may not exceed where
	// the profile has one, and otherwise Config.GrantLifetime.
	Expires time.Time

	// Grant optionally amends a grant instead of making one: the GrantID of an
	// earlier approval that still stands, of the same client and the same
	// Subject. It is for a customer who agrees anew, extends or narrows what
	// they gave, or authenticates better. If the client named a grant
	// (Interaction.Amends), it must be that one.
	//
	// All of this Decision takes the place of the old one when the client
	// redeems the code: until then, and if it never does, the old tokens work as
	// before, and [Grants.Get] shows the grant as it was. Afterwards none of them
	// does, at every API that asks as after [Grants.Revoke]. The grant's id stays.
	// Of several approvals that were not redeemed the last one counts.
	Grant string
}

// errDecided is what every decision but the first gets.
var errDecided = refuse("FAPI2-SP-5.3.2.2-N3", invalidRequestURI, "the request was already decided")

// Finish carries out a decision and sends the browser back to the client, by a
// redirect or a page that posts itself. A Content-Security-Policy of the page
// whose form ended here must not keep form-action to the bank: Chromium holds it
// against the redirects that follow, those of the client among them. It
// answers only once the decision is stored. When it returns an error it has
// neither stored nor written anything, and the host shows a page of its own:
// an [*Error] means that the decision does not answer the request, or that
// another came first; anything else is a Decision that no request allows, such
// as one without Subject, or an outage, after which the customer may try again.
func (in *Interaction) Finish(w http.ResponseWriter, r *http.Request, d Decision) error {
	ev := Event{Endpoint: "authorize", Client: in.request.Client, Subject: d.Subject, Grant: in.grantOf(d), Waived: in.client.departs.rules}
	res, err := in.decide(r.Context(), d, &ev)
	if err != nil {
		in.server.auditRefusal(r.Context(), ev, asError(err))
		return err
	}
	if d.Grant != "" {
		in.GrantID = ev.Grant
	}
	in.server.audit(r.Context(), ev)
	res.write(w)
	return nil
}

// decide stores the decision and returns what the browser takes to the client.
// That is made, and signed, before anything is stored: a signer that fails takes
// no decision from the customer.
func (in *Interaction) decide(ctx context.Context, d Decision, ev *Event) (*response, error) {
	if in.server.tooLate(in.started) { // the host held on to it, and the mark of an earlier denial may be gone
		return nil, errTooLate
	}
	if _, v := in.server.fitNow(in.client.Client); len(v) > 0 { // a waiver or the profile has ended meanwhile
		return nil, refuse(v[0].Rule, unauthorizedClient, "the client is no longer served").because(errors.New(v[0].Value))
	}
	g, old, params, err := in.outcome(ctx, d, ev)
	if err != nil {
		return nil, err
	}
	res, err := in.respond(ctx, params...)
	if err != nil {
		return nil, err
	}
	if err := in.claim(ctx, g, old); err != nil {
		return nil, err
	}
	return res, nil
}

// outcome returns the grant that d makes, a denied one included, the old one that
// it is to take the place of, if any, and what the client is told.
func (in *Interaction) outcome(ctx context.Context, d Decision, ev *Event) (g *grant.Grant, old *kept, params [][2]string, err error) {
	if d.Deny != "" {
		if !deniable[d.Deny] {
			return nil, nil, nil, fmt.Errorf("authz: %q is not a code to deny with", string(d.Deny))
		}
		code := d.Deny
		if code == UnmetAuthentication {
			code = cmp.Or(in.client.policy.unmet, code)
		}
		ev.Kind, ev.Code = grantDenied, code
		return &grant.Grant{Locator: in.request.Locator, Denied: true}, nil, [][2]string{{"error", string(code)}}, nil
	}
	if err := in.meets(d); err != nil {
		return nil, nil, nil, err
	}
	secret := grant.NewSecret()
	g = in.grant(d, secret)
	if d.Grant != "" {
		if old, err = in.amendable(ctx, d.Grant, d.Subject); err != nil {
			return nil, nil, nil, err
		}
		g.Locator = old.Locator
	}
	if err := in.decideConsent(ctx, d); err != nil {
		return nil, nil, nil, err
	}
	code := grant.Handle{Locator: g.Locator, Secret: secret}.String()
	params = [][2]string{{"code", code}}
	if in.request.ResponseType == typeCodeIDToken {
		id, err := in.detachedSignature(ctx, g, code)
		if err != nil {
			return nil, nil, nil, err
		}
		params = append(params, [2]string{"id_token", id})
	}
	ev.Kind, ev.Scopes, ev.DetailsTypes = grantApproved, g.Scopes, in.server.held(g.Details).types()
	return g, old, params, nil
}

// claim stores the grant that a decision made, a denied one included. Of any
// number of decisions about a request one succeeds: the one that takes the place
// of the request's own grant, be it with a mark alone, as a denial does and what
// amends another grant.
func (in *Interaction) claim(ctx context.Context, g *grant.Grant, old *kept) error {
	s, place := in.server, g
	if old != nil {
		place = &grant.Grant{Locator: in.request.Locator, Denied: true}
	}
	if err := s.useObject(ctx, in.request); err != nil {
		return err
	}
	err := s.create(ctx, in.record(place))
	if errors.Is(err, store.ErrExists) {
		return errDecided
	}
	if err != nil {
		return err
	}
	ctx, cancel := detached(ctx) // a browser that leaves now must not undo half of it
	defer cancel()
	if !g.Denied {
		err = in.undecided(ctx)
	}
	if err == nil && old != nil {
		err = in.amend(ctx, g, old)
	}
	if err != nil {
		if undo := s.forget(ctx, in.place); undo != nil {
			return undo
		}
		return err
	}
	// The decision stands, whether or not the request can be ended now: the
	// place of the grant is taken for as long as the request is kept.
	_ = s.endRequest(ctx, in.request.Locator, in.request.ByValue)
	return nil
}

// undecided makes sure that what was just created is the first decision about
// its request. The request is ended after a decision and never before: if it
// waits no more, there was a grant that has been revoked while this decision was
// under way, and it stays revoked.
func (in *Interaction) undecided(ctx context.Context) error {
	waits, err := in.server.requestWaits(ctx, in.request.Locator)
	if err == nil && !waits {
		return errDecided
	}
	return err
}

// meets returns why d does not answer what the client asked, whatever the host
// made of the fields of in.
func (in *Interaction) meets(d Decision) error {
	asked, now := in.request, in.server.now()
	login := slices.Contains(asked.Prompt, "login")
	switch {
	case d.Subject == "" || len(d.Subject) > 255 || strings.ContainsFunc(d.Subject, func(r rune) bool { return r < ' ' || r > '~' }):
		return errors.New("authz: Decision.Subject is not 1 to 255 characters of printable ASCII") // OIDC Core, 2
	case !utf8.ValidString(d.ACR) || slices.ContainsFunc(d.AMR, func(m string) bool { return m == "" || !utf8.ValidString(m) }):
		return errors.New("authz: Decision.ACR or AMR is not text") // no token could be made of it
	case d.AuthTime.After(now.Add(time.Minute)):
		return errors.New("authz: Decision.AuthTime lies ahead")
	case d.AuthTime.IsZero() && (slices.Contains(asked.Scopes, "openid") || asked.HasMaxAge || login):
		return errors.New("authz: Decision.AuthTime is missing")
	case !isSession(d.Session):
		return errors.New("authz: Decision.Session is not up to 255 characters of printable ASCII")
	case d.Session == "" && in.server.config.BackchannelLogout && slices.Contains(in.Scopes, "openid"):
		return errors.New("authz: Decision.Session is missing") // BCL-1
	case in.request.ResponseType == typeCodeIDToken && d.Scopes != nil && !slices.Contains(d.Scopes, "openid"):
		return errors.New("authz: Decision.Scopes is without openid, and the client asks for an ID token") // FAPI1-ADV-5.2.2.1-1
	case !d.Expires.IsZero() && !d.Expires.After(now):
		return errors.New("authz: Decision.Expires has passed")
	}
	if rule := in.client.policy.sharing.rule; rule != "" && d.Expires.After(now.Add(in.sharing())) {
		return refuse(rule, invalidRequest, "the grant would last longer than the client asked for")
	}
	if err := in.within(d); err != nil {
		return err
	}
	if err := in.mayTell(d); err != nil {
		return err
	}
	// Age counts from the first page: a customer may take time over consent.
	authTime := d.AuthTime.Truncate(time.Second)
	if asked.HasMaxAge && authTime.Before(in.started.Add(-time.Duration(asked.MaxAge)*time.Second)) {
		return refuse("OIDC-AR-14", LoginRequired, "the login is older than max_age")
	}
	if login && authTime.Before(in.started) {
		return refuse("OIDC-AR-11", LoginRequired, "prompt=login asks for a new login")
	}
	if d.Grant != in.request.Amends && in.request.Amends != "" {
		return refuse("GM-5-3", invalidRequest, "the client asks to amend another grant")
	}
	return in.authenticated(d)
}

// grant returns the grant that d approves, with a code.
func (in *Interaction) grant(d Decision, code grant.Secret) *grant.Grant {
	s, req := in.server, in.request
	now := s.now()
	g := &grant.Grant{
		Locator:  req.Locator,
		Client:   req.Client,
		Subject:  d.Subject,
		Scopes:   req.Scopes,
		AuthTime: d.AuthTime,
		ACR:      d.ACR,
		AMR:      d.AMR,
		Created:  now,
		Expires:  d.Expires,

		ByValue:   req.ByValue,
		Consent:   req.Consent,
		Resources: req.Resources,
		Details:   req.Details,
		Claims:    req.Claims,
		Session:   grant.SessionDigest(s.config.Issuer, d.Session),

		Code: grant.Code{
			Secret:      code.Digest(),
			Expires:     now.Add(s.config.CodeLifetime),
			RedirectURI: req.RedirectURI,
			Challenge:   req.Challenge,
			Nonce:       req.Nonce,
			JKT:         req.JKT,
		},
	}
	if d.Scopes != nil {
		g.Scopes = d.Scopes
	}
	if d.Details != nil {
		g.Details = texts(d.Details)
	}
	if d.Claims != nil {
		g.Claims = in.asked.only(d.Claims).json()
	}
	switch {
	case !g.Expires.IsZero():
	case in.sharing() > 0:
		g.Expires = now.Add(in.sharing())
	case s.config.GrantLifetime > 0 && !in.client.policy.byConsent:
		g.Expires = now.Add(s.config.GrantLifetime)
	}
	return g
}

// record returns the record of g, which is kept as long as the request is,
// and until the last token from g has expired.
func (in *Interaction) record(g *grant.Grant) store.Record {
	s := in.server
	rec := store.Record{
		Key:     in.place,
		Version: grant.WaitingVersion(),
		Value:   g.Encode(),
		Expires: in.request.Expires.Add(s.config.InteractionLifetime),
	}
	if g.Denied {
		return rec
	}
	rec.Tags = []string{grant.SubjectTag(s.config.Issuer, g.Subject), grant.ClientTag(s.config.Issuer, g.Client)}
	rec.Expires = latest(rec.Expires, s.spent(g), g.Expires)
	return rec
}

// spent returns when the last access token that g's code can give has expired.
func (s *Server) spent(g *grant.Grant) time.Time {
	return g.Code.Expires.Add(s.config.AccessTokenLifetime)
}

// latest returns the last of some times.
func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
