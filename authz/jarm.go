package authz

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jsonw"
	"github.com/aikagi/aikagi/token"
)

// responseLife is how long a signed response is good, from decision to client.
// JARM, 2.1 advises ten minutes or less; the code in it lives a minute.
const responseLife = 5 * time.Minute

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
	signed, err := s.sign(c, cmp.Or(c.ResponseAlg, c.policy.responseAlg), func(alg string) (string, error) {
		return token.SignJWT(ctx, s.config.Keys, alg, "", claims)
	})
	if err != nil {
		return "", err
	}
	return s.encrypt(ctx, c, c.ResponseEncryption, signed)
}

// withEach returns list and those of more that are not in it.
func withEach(list []string, more ...string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// describeResponses fills in how the server, which signs with algs, answers
// (JARM, 4).
func (s *Server) describeResponses(d *document, algs []string) {
	for _, p := range s.served() {
		for _, w := range policies[p].responses {
			d.ResponseTypes = withEach(d.ResponseTypes, w.responseType)
			d.ResponseModes = withEach(d.ResponseModes, w.modes...)
		}
	}
	if slices.ContainsFunc(d.ResponseModes, func(mode string) bool { return strings.HasSuffix(mode, modeJWT) }) {
		d.ResponseAlgs = algs
		d.ResponseEncAlgs, d.ResponseEncs = s.keyAlgs(), s.contentAlgs()
	}
}
