package authz

import (
	"errors"
	"net/http"
	"time"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
	"github.com/aikagi/aikagi/token/dpop"
)

// nonceLife is how long a DPoP nonce is taken.
const nonceLife = 5 * time.Minute

// takeProofs readies the server for DPoP proofs.
func (s *Server) takeProofs() (err error) {
	if s.config.DPoPNonces {
		if s.nonces, err = dpop.NewNonces(s.config.Secrets, s.config.Issuer, nonceLife); err != nil {
			return err
		}
	}
	c := dpop.Config{Algorithms: s.algs(), Nonces: s.nonces, Now: s.config.Now}
	for _, p := range s.config.Profiles {
		c.Ahead = max(c.Ahead, policies[p].ahead)
	}
	if s.proofs, err = dpop.New(c); err != nil {
		return err
	}
	// Without a proof only the URLs are looked at. A fault in them must not
	// wait for the first client.
	if _, err = s.proofs.Verify(dpop.Request{Method: http.MethodPost, URLs: s.urls(pathToken)}); !errors.Is(err, dpop.ErrNone) {
		return Violations{{"RFC9449-4.3-13", "Issuer or MTLSBase cannot stand in a DPoP proof", "write the host in ASCII, an international name in its xn-- form"}}
	}
	return nil
}

// urls returns what the htu of a proof for an endpoint may be.
func (s *Server) urls(path string) []string {
	if s.config.MTLSBase == "" {
		return []string{s.config.Issuer + path}
	}
	return []string{s.config.Issuer + path, s.alias(path)}
}

// holder returns what an access token for c is to be bound to: the certificate
// of this connection (RFC 8705, 3) or the key of the proof in this request
// (RFC 9449, 5), as the client registered (FAPI 2.0 SP, 5.3.2.1-5).
func (s *Server) holder(w http.ResponseWriter, r *http.Request, c *caller, ev *Event) (token.Confirmation, error) {
	if !c.DPoPBoundTokens {
		if err := noProof(r); err != nil {
			return token.Confirmation{}, err
		}
		return certificateHolder(c)
	}
	p, err := s.proof(w, r, c, pathToken, ev)
	if errors.Is(err, dpop.ErrNone) {
		err = refuse("RFC9449-5.2-1", invalidDPoPProof, "a DPoP proof is required to bind the access token to")
	}
	if err != nil {
		return token.Confirmation{}, err
	}
	return token.Confirmation{JKT: p.JKT}, nil
}

func certificateHolder(c *caller) (token.Confirmation, error) {
	if c.cert == nil {
		return token.Confirmation{}, refuse("FAPI2-SP-5.3.2.1-5", invalidRequest, "a client certificate is required to bind the access token to")
	}
	if err := mtls.CheckKey(c.cert); err != nil { // a key that others can find binds to nobody
		return token.Confirmation{}, unauthenticated("FAPI2-SP-5.4.1-2", err.Error())
	}
	return token.Confirmation{X5T: mtls.Thumbprint(c.cert)}, nil
}

// noProof refuses a proof from a client that did not register for DPoP: it
// would be given a token that is not bound to the key it proves (RFC 9449, 5).
func noProof(r *http.Request) error {
	if len(r.Header["Dpop"]) > 0 {
		return refuse("RFC9449-5-7", invalidRequest, "the client is not registered for dpop_bound_access_tokens")
	}
	return nil
}

// codeKey returns the thumbprint of the key that a pushed request binds its
// code to, by a proof of its own, by naming it, or both (RFC 9449, 10 and
// 10.1), or "".
func (s *Server) codeKey(w http.ResponseWriter, r *http.Request, c *caller, f form.Values, ev *Event) (string, error) {
	jkt := f.Get("dpop_jkt")
	if !c.DPoPBoundTokens {
		if jkt != "" {
			return "", refuse("RFC9449-10-1", invalidRequest, "the client is not registered for dpop_bound_access_tokens")
		}
		return "", noProof(r)
	}
	if jkt != "" && dpop.CheckJKT(jkt) != nil {
		return "", refuse("RFC9449-10-3", invalidRequest, "dpop_jkt is not a thumbprint")
	}
	p, err := s.proof(w, r, c, pathPAR, ev)
	switch {
	case errors.Is(err, dpop.ErrNone):
		return jkt, nil
	case err != nil:
		return "", err
	case jkt != "" && jkt != p.JKT:
		return "", refuse("RFC9449-10.1-3", invalidDPoPProof, "dpop_jkt is not the thumbprint of the proof's key")
	}
	return p.JKT, nil
}

// proof checks the DPoP proof of a request to one of the server's endpoints
// (RFC 9449, 4.3). It returns dpop.ErrNone if there is none. The answer, be it
// a refusal, carries the next nonce where nonces are demanded.
func (s *Server) proof(w http.ResponseWriter, r *http.Request, c *caller, path string, ev *Event) (*dpop.Proof, error) {
	if s.nonces != nil {
		w.Header().Set("DPoP-Nonce", s.nonces.Issue(s.now()))
	}
	p, err := s.proofs.Verify(dpop.Request{Header: r.Header, Method: r.Method, URLs: s.urls(path)})
	if e := (*dpop.Error)(nil); errors.As(err, &e) {
		return nil, refuse(e.Rule, Code(e.Code), e.Description)
	}
	if err != nil {
		return nil, err
	}
	ev.Key = p.JKT
	c.replay = append(c.replay, replayID{
		artifact: "dpop", owner: p.JKT, id: p.URL + " " + p.ID, until: p.Until, // the id of a proof is its own per URL (RFC 9449, 11.1)
		spent: refuse("RFC9449-11.1-2", invalidDPoPProof, "the DPoP proof was used before"),
	})
	return p, nil
}
