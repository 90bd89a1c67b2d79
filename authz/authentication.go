package authz

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/internal/grant"
)

// maxAge limits a max_age, in seconds.
const maxAge = 1<<31 - 1

// readAuthentication reads what a request asks of the customer's
// authentication: how, how long ago, and of whom (OIDC Core, 3.1.2.1 and 5.5.1;
// RFC 9470, 5). Where it says nothing, what the client registered counts
// (OpenID Connect Registration, 2).
func (s *Server) readAuthentication(ctx context.Context, c *Client, r *grant.Request, f form.Values) error {
	if v := f.Get("max_age"); v != "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return refuse("OIDC-AR-14", invalidRequest, "max_age is not a number of seconds")
		}
		r.MaxAge, r.HasMaxAge = int64(n), true
	} else if c.DefaultMaxAge != nil {
		r.MaxAge, r.HasMaxAge = *c.DefaultMaxAge, true
	}
	if r.ACRValues = strings.Fields(f.Get("acr_values")); len(r.ACRValues) == 0 {
		r.ACRValues = slices.Clone(c.DefaultACRValues)
	}
	if hint := f.Get("id_token_hint"); hint != "" {
		sub, err := s.hinted(ctx, c, hint)
		if err != nil {
			return err
		}
		r.Subject = sub
	}
	return s.readClaims(r, f.Get("claims"))
}

// askACR reads what claims asks of acr. Values there take the place of
// acr_values, which OIDC Core, 5.5.1.1 leaves open, and may be essential.
func askACR(r *grant.Request, a askedClaim) error {
	values, ok := a.strings()
	if !ok {
		return refuse("OIDC-CL-5", invalidRequest, "claims asks for an acr that is no string")
	}
	if len(values) > 0 { // an essential acr of any value is not something to fail for
		r.ACRValues, r.EssentialACR = values, a.essential
	}
	return nil
}

// askSubject reads what claims asks of sub: one customer, who must be the one
// of the hint, if there is one, too.
func askSubject(r *grant.Request, a askedClaim) error {
	values, ok := a.strings()
	if !ok {
		return refuse("OIDC-CL-5", invalidRequest, "claims asks for a sub that is no string")
	}
	for _, sub := range values {
		if r.Subject != "" && r.Subject != sub {
			return refuse("OIDC-AR-19", invalidRequest, "the request names more than one customer")
		}
		r.Subject = sub
	}
	return nil
}

// authenticated returns why the customer of d, or how and when they
// authenticated, is not what the client asked for.
func (in *Interaction) authenticated(d Decision) error {
	if !in.IsFor(d.Subject) {
		return refuse("OIDC-AR-19", LoginRequired, "the client asks for another customer")
	}
	if acr := in.client.policy.acr; acr.values != nil && !slices.Contains(acr.values, d.ACR) {
		return refuse(acr.rule, AccessDenied, "the authentication context is none that the profile takes")
	}
	if in.request.EssentialACR && !slices.Contains(in.request.ACRValues, d.ACR) {
		return refuse("OIDC-CL-8", UnmetAuthentication, "an authentication context that the client needs was not reached")
	}
	return nil
}

// IsFor reports whether the client would have this customer, called as in
// [Decision.Subject]: it may have named one by an id_token_hint or in its
// claims (OpenID Connect Core, 3.1.2.2). [Interaction.Finish] refuses an
// approval by another. A host asks before it shows a consent page, so that a
// customer who is signed in as somebody else can sign in anew; or denies with
// [LoginRequired].
func (in *Interaction) IsFor(subject string) bool {
	want := in.request.Subject
	return want == "" || in.server.subject(in.client.Client, subject) == want
}
