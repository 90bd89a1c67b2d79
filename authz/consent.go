package authz

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// A ConsentRequest asks the host about the consent that a request, a grant or a
// token rests on, where a client names one that the host keeps: an account
// access consent of UK Open Banking, a consent of Open Finance Brasil, what was
// registered with the API hub of UAE Open Finance.
type ConsentRequest struct {
	// Step says what is under way, and so what the host looks for:
	//
	//	request   the client asks for an authorization: is the consent there, is it
	//	          this client's, and does it wait for the customer?
	//	decision  the customer approves: does it wait still, and for this customer?
	//	code      the client redeems the code: is it authorized, and by this grant?
	//	refresh   the client asks for another access token: is it authorized still?
	//
	// Any step may be asked more than once, and may come to nothing afterwards: a
	// browser loads a page again, a store is away. So the host writes nothing when
	// it is asked, and makes the consent one that GrantID authorizes after
	// [Interaction.Finish]. Of two approvals of one consent at the same moment
	// each may pass the step decision; the step code tells whose it is.
	Step string

	Client *Client // who asks

	// ID is that of the consent. It is empty where Details say themselves what is
	// consented to, and for what was requested or granted before the client came
	// under its profile.
	ID string

	Subject string            // the customer, Decision.Subject; empty at the step request
	GrantID string            // of the grant; empty at the step request
	Scopes  []string          // asked for, or granted
	Details []json.RawMessage // authorization_details, asked for or granted
}

// The steps of a ConsentRequest.
const (
	atRequest  = "request"
	atDecision = "decision"
	atCode     = "code"
	atRefresh  = "refresh"
)

// readConsent finds out which consent a request rests on, and asks the host
// whether it will do.
func (s *Server) readConsent(ctx context.Context, c *caller, r *pushed) error {
	if c.policy.consent == nil {
		return nil
	}
	id, err := c.policy.consent(r)
	if err != nil {
		return err
	}
	r.Consent = id
	unfit := c.policy.unfit
	return s.askConsent(ctx, c, ConsentRequest{Step: atRequest, ID: id, Scopes: r.Scopes, Details: s.held(r.Details).raw()}, unfit.code)
}

// decideConsent asks the host whether d may approve the request.
func (in *Interaction) decideConsent(ctx context.Context, d Decision) error {
	r := ConsentRequest{
		Step: atDecision, ID: in.request.Consent, Subject: d.Subject, GrantID: in.grantOf(d),
		Scopes: in.request.Scopes, Details: in.server.held(in.request.Details).raw(),
	}
	if d.Scopes != nil {
		r.Scopes = d.Scopes
	}
	if d.Details != nil {
		r.Details = d.Details
	}
	return in.server.askConsent(ctx, in.client, r, AccessDenied)
}

// stillConsented asks the host whether g may give another access token.
func (s *Server) stillConsented(ctx context.Context, req *tokenRequest, g *kept, step string) error {
	return s.askConsent(ctx, req.client, ConsentRequest{
		Step: step, ID: g.Consent, Subject: g.Subject, GrantID: g.record.Key, Scopes: g.Scopes, Details: s.held(g.Details).raw(),
	}, invalidGrant)
}

// askConsent asks the host, under profiles that know of consents, and refuses
// with code what it has an objection to.
func (s *Server) askConsent(ctx context.Context, c *caller, r ConsentRequest, code Code) error {
	if c.policy.consent == nil {
		return nil
	}
	r.Client, r.Scopes = c.Client, slices.Clone(r.Scopes)
	problem, err := s.config.Consent(ctx, r)
	if err != nil {
		return fmt.Errorf("Config.Consent: %v", err) // an Error of the host is no refusal
	}
	if problem != "" {
		return refuse(c.policy.unfit.rule, code, problem)
	}
	return nil
}
