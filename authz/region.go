package authz

import (
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
)

// A regional is what the rules of a region ask beyond the profile they build
// on, where a check or a step has to know of it. The zero regional asks for
// nothing. Everything else that a region asks is among the rules of its policy.
type regional struct {
	// consent, if not nil, reads which consent of the host's a request rests on:
	// its id, or "" where the request says itself what is consented to. Its error
	// refuses the request.
	consent func(*pushed) (id string, err error)

	// unfit is how a request is refused whose consent the host finds wanting.
	unfit refusal

	// consentClaim is what an ID token calls the consent of its grant, and
	// refreshClaim when the refresh token beside it ends; "": it does not say.
	consentClaim, refreshClaim string

	// byConsent says that a grant lives as long as its Decision says, and that
	// without an end there is no refresh token: Config.GrantLifetime is not asked.
	byConsent bool

	// transport, if not empty, is the rule by which every request that a client
	// makes itself comes with a certificate of Config.Authorities, whatever the
	// client authenticates by.
	transport string

	keysAge time.Duration // how long the server keeps what it fetched of clients' keys, at most; zero: as long as it may be kept

	assertionLife limit // how far exp of a client assertion may lie after its iat; zero: it needs none
	tokenLeast    limit // an access token lives no shorter

	keyAlgs, contentAlgs []string // of what is encrypted, for clients and for the server; nil: all there are

	consentScope string // what a scope begins with that names a consent by the rest of it, or ""; see consentscope.go

	rsaKeys    string // the rule by which the certificates of clients have RSA keys, or ""
	markedKeys bool   // whether clients' keys to encrypt to have the use enc and a kid
	plainID    bool   // whether ID tokens leave the token endpoint in the clear, unless the client registered otherwise

	noObject bool // whether a request object beside a request_uri is refused, where others ignore it

	arrangement string  // what clients call a grant, to amend it, to end it and in what they are told, or ""; see arrangement.go
	sharing     limit   // the longest that a request may ask a grant to last; without a rule it says nothing of that
	refreshOnly refusal // what introspection makes of any other token than a refresh token; without a rule it tells of each

	pairwise bool     // whether every client has subjects of its own
	bareID   bool     // whether ID tokens tell nothing of the customer but who signed in, when and how, and so are not encrypted
	mayKnow  []string // the claims of customers that a client may see, in any language; nil: what the host tells

	responseAlg string // what signs a response (JARM) if the client registered nothing, or "": as anything else

	acr   anyOf // the authentication contexts of which each approval has one
	unmet Code  // what a client is told instead of unmet_authentication_requirements, or ""
}

// A refusal is a rule and what breaks it is answered with.
type refusal struct {
	rule string
	code Code
}

// anyOf is a rule that asks for one of some values, or for none if it has none.
type anyOf struct {
	rule   string
	values []string
}

// upon returns a copy of a profile's policy with the rules of a region added.
func upon(base *policy, own ...[]rule) *policy {
	p := *base
	p.rules = slices.Concat(append([][]rule{base.rules}, own...)...)
	return &p
}

// remedied gives the rules of p with that id another remedy, in the terms of the
// region.
func (p *policy) remedied(id, remedy string) {
	for i := range p.rules {
		if p.rules[i].id == id {
			p.rules[i].remedy = remedy
		}
	}
}

// except returns rules without those of the rows named, which a region has
// others for.
func except(rules []rule, ids ...string) []rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return slices.Contains(ids, r.id) })
}

// needsConsent is the rule of a server whose clients name consents of the
// host's.
func needsConsent(id string) rule {
	return rule{id: id, remedy: "set Config.Consent", about: withPages, server: func(_ *policy, c *Config) string {
		if c.Consent == nil {
			return "Consent is nil"
		}
		return ""
	}}
}

// needsAuthorities is the rule of a server that asks for certificates
// everywhere.
func needsAuthorities(id string) rule {
	return rule{id: id, remedy: "set Config.Authorities to those of the region's directory", server: func(_ *policy, c *Config) string {
		if c.Authorities == nil {
			return "Authorities is nil"
		}
		return ""
	}}
}

// needsScopes is the rule of a server that offers the scopes given and, unless
// there are none, one of choice.
func needsScopes(id string, scopes []string, choice ...string) rule {
	all := strings.Join(scopes, ", ")
	if len(choice) > 0 {
		all += " and one of " + strings.Join(choice, ", ")
	}
	return rule{id: id, remedy: "offer the scopes " + all, about: withPages, server: func(_ *policy, c *Config) string {
		offers := func(scope string) bool { return slices.Contains(c.Scopes, scope) }
		for _, scope := range scopes {
			if !offers(scope) {
				return "Scopes is without " + scope
			}
		}
		if len(choice) > 0 && !slices.ContainsFunc(choice, offers) {
			return "Scopes has none of " + strings.Join(choice, ", ")
		}
		return ""
	}}
}

// needsACR is the rule of a server that can reach an authentication context.
func needsACR(id, acr string) rule {
	return rule{id: id, remedy: "name " + acr + " in ACRValues", about: withPages, server: func(_ *policy, c *Config) string {
		if !slices.Contains(c.ACRValues, acr) {
			return "ACRValues is without " + acr
		}
		return ""
	}}
}

// needsTokenLife is the rule of a server whose access tokens live that long.
func needsTokenLife(id string, least, most time.Duration) rule {
	return rule{id: id, remedy: "let access tokens live from " + least.String() + " to " + most.String(), server: func(_ *policy, c *Config) string {
		return between("AccessTokenLifetime", c.AccessTokenLifetime, least, most)
	}}
}

// needsRequestLife is the rule of a server whose request URIs live that long.
func needsRequestLife(id string, least, most time.Duration) rule {
	return rule{id: id, remedy: "let request URIs live from " + least.String() + " to " + most.String(), about: withPages, server: func(_ *policy, c *Config) string {
		return between("RequestLifetime", c.RequestLifetime, least, most)
	}}
}

func between(name string, v, least, most time.Duration) string {
	if v < least || v > most {
		return name + " is " + v.String()
	}
	return ""
}

// needsKeysAt is the rule of clients whose keys the region's directory
// publishes, and nobody registers by value.
func needsKeysAt(id string) rule {
	return rule{id: id, remedy: "register the jwks_uri of the region's directory, and no jwks", client: func(_ *policy, c *Client) string {
		switch {
		case c.JWKS != nil:
			return "jwks is there"
		case c.JWKSURI == "":
			return "jwks_uri is missing"
		}
		return ""
	}}
}

// encryptsKeysBy and encryptsBy return the JWE algorithms that p allows.
func (p *policy) encryptsKeysBy() []string {
	if p.keyAlgs == nil {
		return jose.KeyAlgorithms
	}
	return p.keyAlgs
}

func (p *policy) encryptsBy() []string {
	if p.contentAlgs == nil {
		return jose.ContentAlgorithms
	}
	return p.contentAlgs
}

// needsEncryption is the rule of what a client may register for encryption: the
// pair named, or nothing.
func needsEncryption(id, pair string) rule {
	return rule{id: id, remedy: "register " + pair + ", or no encryption", client: func(p *policy, c *Client) string {
		for _, m := range c.encryptions() {
			if m.Alg == "" {
				continue
			}
			if bad := outside(m.name+"_alg", m.Alg, p.keyAlgs); bad != "" {
				return bad
			}
			if bad := outside(m.name+"_enc", m.enc(), p.contentAlgs); bad != "" {
				return bad
			}
		}
		return ""
	}}
}

// keysAge returns how long clients' keys may be kept, by the strictest of the
// profiles that are listed, or zero.
func (s *Server) keysAge() (age time.Duration) {
	for _, name := range s.config.Profiles {
		if a := policies[name].keysAge; a > 0 && (age == 0 || a < age) {
			age = a
		}
	}
	return age
}

// checkTransport holds a request of a client's own to the certificate that the
// region wants on every such connection (OB2-1).
func (s *Server) checkTransport(c *caller, chain []*x509.Certificate) error {
	if c.policy.transport == "" {
		return nil
	}
	if len(chain) == 0 {
		return unauthenticated(c.policy.transport, "no client certificate")
	}
	if err := s.config.Authorities.Verify(chain, s.now()); err != nil {
		return unauthenticated(c.policy.transport, err.Error())
	}
	if _, ok := chain[0].PublicKey.(*rsa.PublicKey); !ok && c.policy.rsaKeys != "" {
		return unauthenticated(c.policy.rsaKeys, "the key of the client certificate is not an RSA key")
	}
	return nil
}
