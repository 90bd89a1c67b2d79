package authz

import (
	"context"
	"slices"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/internal/jsonw"
	"github.com/aikagi/aikagi/token"
)

// The ways of answering an authorization request (OAuth 2.0 Multiple Response
// Types, 2.1; JARM, 2.3). For a code jwt is the same as query.jwt.
const (
	modeQuery    = "query" // also if a request names none
	modeJWT      = "jwt"
	modeQueryJWT = "query.jwt"
)

// responseLife is how long a signed response is good, from decision to client.
// JARM, 2.1 advises ten minutes or less; the code in it lives a minute.
const responseLife = 5 * time.Minute

// checkMode refuses a way of answering that client c may not ask for.
func (c *caller) checkMode(mode string) error {
	switch {
	case !slices.Contains([]string{modeQuery, modeJWT, modeQueryJWT}, mode):
		return refuse("OIDC-AR-6", invalidRequest, "response_mode is not supported")
	case !slices.Contains(c.policy.responseModes, mode):
		return refuse("FAPI2-MS-5.4.1-1", invalidRequest, "response_mode must be jwt")
	case c.ResponseModes != nil && !slices.Contains(c.ResponseModes, mode):
		return refuse("FAPI2-MS-5.3.3-1", invalidRequest, "response_mode is not registered for the client")
	}
	return nil
}

// signedResponse returns a response as a JWT that is signed, and encrypted if
// the client registered for that (JARM, 2.1 and 2.2).
func (in *Interaction) signedResponse(ctx context.Context, params [][2]string) (string, error) {
	s, c := in.server, in.client
	o := jsonw.New(256 + len(in.request.State))
	o.String("aud", c.ID)
	o.Int("exp", s.now().Add(responseLife).Unix())
	for _, p := range params { // iss is among them
		o.String(p[0], p[1])
	}
	claims := o.Bytes()
	signed, err := s.sign(c, c.ResponseAlg, func(alg string) (string, error) {
		return token.SignJWT(ctx, s.config.Keys, alg, "", claims)
	})
	if err != nil {
		return "", err
	}
	return s.encrypt(ctx, c.Client, c.ResponseEncryption, signed)
}

// describeResponses fills in how the server, which signs with algs, answers
// (JARM, 4).
func (s *Server) describeResponses(d *document, algs []string) {
	for _, p := range s.config.Profiles {
		for _, mode := range policies[p].responseModes {
			if !slices.Contains(d.ResponseModes, mode) {
				d.ResponseModes = append(d.ResponseModes, mode)
			}
		}
	}
	d.ResponseAlgs = algs
	d.ResponseEncAlgs, d.ResponseEncs = jose.KeyAlgorithms, jose.ContentAlgorithms
}
