package authz

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/internal/jsonw"
)

// An arrangement is what a region calls a grant where its clients know it by an
// id of its own: in the claims of a request to amend it, in token responses and
// introspection, and at an endpoint that ends it. The id is the grant's, which is
// 256 bits of a digest over random ones: it stays when the grant is amended,
// cannot be guessed, and says nothing of the customer (CDR-11).

// claimSharing is a member of the claims parameter: for how many seconds the
// client would go on asking for data.
const claimSharing = "sharing_duration"

// readArrangement reads how long a request wants its grant to last, and which
// grant it wants to amend, under profiles by which clients say so in members of
// the claims parameter. A grant of another client's is as good as none. That the
// customer is the grant's is looked at when there is one: the request is for no
// other (Interaction.IsFor).
func (s *Server) readArrangement(ctx context.Context, c *caller, r *pushed) error {
	name, text := c.policy.arrangement, r.form.Get("claims")
	if name == "" || text == "" {
		return nil
	}
	claims, err := jose.ParseClaims([]byte(text))
	if err != nil { // readClaims has seen to that
		return err
	}
	if r.Sharing, err = c.policy.readSharing(claims); err != nil {
		return err
	}
	if !claims.Has(name) {
		return nil
	}
	id, _ := claims.String(name)
	g, err := s.clientsGrant(ctx, id, c.ID)
	if err != nil {
		return err
	}
	if g == nil {
		return refuse("CDR-11", invalidRequest, name+" is no arrangement of the client's")
	}
	subject := s.subject(c.Client, g.Subject)
	if r.Subject != "" && r.Subject != subject {
		return refuse("CDR-11", invalidRequest, name+" is an arrangement of another customer than the request names")
	}
	r.Amends, r.Subject = id, subject
	return nil
}

// readSharing returns the seconds that claims ask for, zero for none. More than
// there may be is as much as there may be, and less than an access token lives is
// none: there would be nothing to refresh.
func (p *policy) readSharing(claims jose.Claims) (int64, error) {
	raw, ok := claims.Raw(claimSharing)
	if !ok {
		return 0, nil
	}
	if strings.ContainsFunc(string(raw), func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, refuse(p.sharing.rule, invalidRequest, claimSharing+" is not a whole number of seconds, zero or more")
	}
	seconds, ok := claims.Int(claimSharing)
	if most := int64(p.sharing.is / time.Second); !ok || seconds > most { // JSON has no bounds for numbers
		return most, nil
	}
	if seconds < int64(p.tokenLeast.is/time.Second) {
		return 0, nil
	}
	return seconds, nil
}

// sharing returns how long the client asks for the grant to last, or zero.
func (in *Interaction) sharing() time.Duration {
	return time.Duration(in.request.Sharing) * time.Second
}

// mayHear returns those of the claims asked that c may be told, and there where
// it may be told them.
func (c *caller) mayHear(q askedClaims) askedClaims {
	if c.policy.bareID {
		q.idToken = nil
	}
	if known := c.policy.mayKnow; known != nil {
		unknown := func(a askedClaim) bool {
			name, _, _ := strings.Cut(a.name, "#")
			return !slices.Contains(known, name)
		}
		q.userInfo = slices.DeleteFunc(slices.Clone(q.userInfo), unknown)
		q.idToken = slices.DeleteFunc(slices.Clone(q.idToken), unknown)
	}
	return q
}

// endArrangement ends a grant whose customer told the client, and not the bank,
// that it is over. With it end its tokens, and a change of it that waits.
func (s *Server) endArrangement(w http.ResponseWriter, r *http.Request, ev *Event) error {
	f, err := s.post(w, r)
	if err != nil {
		return err
	}
	c, err := s.identify(r, f, ev) // also one whose profile was retired
	if err != nil {
		return err
	}
	name := c.policy.arrangement
	if name == "" || c.isAPI() {
		return refuse("CDR-19", unauthorizedClient, "the client has no arrangements")
	}
	if f.Get(name) == "" {
		return refuse("CDR-19", invalidRequest, name+" is missing")
	}
	g, err := s.clientsGrant(r.Context(), f.Get(name), c.ID)
	if err != nil {
		return err
	}
	if g == nil {
		return noArrangement()
	}
	ev.Kind, ev.Grant, ev.Subject = grantRevoked, g.record.Key, g.Subject
	if err := s.spend(r.Context(), c.replay); err != nil {
		return err
	}
	ctx, cancel := detached(r.Context()) // who hangs up now has ended it all the same
	defer cancel()
	if err := s.revoke(ctx, g); err != nil {
		return err
	}
	s.audit(ctx, *ev)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// noArrangement is the refusal of an id that is none, or another client's, in
// the form that the region's APIs answer in.
func noArrangement() *Error {
	e := refuse("CDR-19", invalidRequest, "the arrangement is unknown, or not the client's")
	e.status = http.StatusUnprocessableEntity
	e.respond = func(w http.ResponseWriter) {
		one := jsonw.New(256)
		one.String("code", "urn:au-cds:error:cds-all:Authorisation/InvalidArrangement")
		one.String("title", "Invalid Consent Arrangement")
		one.String("detail", "The arrangement is unknown.")
		o := jsonw.New(256)
		o.Raw("errors", slices.Concat([]byte("["), one.Bytes(), []byte("]")))
		writeJSON(w, e.status, o.Bytes())
	}
	return e
}

// namesArrangements reports whether clients of some profile of c end
// arrangements.
func (c *Config) namesArrangements() bool {
	return slices.ContainsFunc(c.Profiles, func(p Profile) bool { return policies[p].arrangement != "" })
}

// describeArrangements says where, as long as there are such clients.
func (s *Server) describeArrangements(d *document) {
	if !s.some(func(p *policy) bool { return p.arrangement != "" }) {
		return
	}
	d.ArrangementRevocation = s.config.Issuer + pathArrangements
	if d.Aliases != nil {
		d.Aliases["cdr_arrangement_revocation_endpoint"] = s.alias(pathArrangements)
	}
}
