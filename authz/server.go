package authz

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/aikagi/aikagi/internal/fetch"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
	"github.com/aikagi/aikagi/token/dpop"
)

// A Server is an authorization server. It is an http.Handler for all of its
// endpoints; [Server.Routes] has them one by one. Its methods may be called
// concurrently.
type Server struct {
	records
	config    Config
	departs   map[Profile]departure // of the server itself, by the profile whose rules it breaks
	keys      *clientKeys
	seal      *sealer
	proofs    *dpop.Verifier
	opaque    *token.Opaque
	userinfo  *token.Verifier      // nil: there is no such endpoint
	decrypt   []jose.DecryptionKey // for request objects
	encryptTo []jose.Key           // those of them that are published
	nonces    *dpop.Nonces         // nil: none are demanded
	logouts   *sealer              // nil: there is no end-session endpoint
	outward   *fetch.Client        // for what is asked of clients, and what they are told
	retryIn   time.Duration        // before a client is told of a logout once more
	routes    []Route
	byPath    map[string]http.Handler
	path      string // of the issuer
	cookie    string // the name of the browser's cookie
}

// A Route is an absolute path and what answers there. The handler answers
// wrong methods itself, so that the path is registered without a method.
type Route struct {
	Path    string       // from the root of the issuer's host, such as /token
	Handler http.Handler // may be called concurrently
}

// New returns a server for c, which it copies. It starts no goroutine and
// reads nothing but c. If c breaks a rule, the error is [Violations] and has
// them all.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	v := c.check()
	departs := make(map[Profile]departure)
	for _, p := range c.Profiles {
		if pol := policies[p]; pol != nil {
			d := departure{waivers: c.Waivers, now: c.Now()}
			v = append(v, pol.checkServer(&c, &d)...)
			departs[p] = d
		}
	}
	if len(v) > 0 {
		return nil, v.withoutUsers()
	}
	s := &Server{records: records{c.Store, c.Issuer}, config: c, departs: departs, seal: newSealer(c.Secrets, c.Issuer), cookie: cookieName(c.Issuer)}
	s.outward = &fetch.Client{AllowPrivate: c.FetchPrivate, RootCAs: c.FetchRoots}
	s.retryIn = time.Second
	s.keys = newClientKeys(&fetch.Cache{
		Client: s.outward,
		MaxAge: s.keysAge(),
		Now:    c.Now,
		Check: func(b []byte) error { // what is no key set does not replace one
			_, err := jose.ParseSet(b)
			return err
		},
	})
	if err := s.takeProofs(); err != nil {
		return nil, err
	}
	var err error
	if s.decrypt, s.encryptTo, err = decryptionKeys(c.Decrypt); err != nil {
		return nil, err
	}
	if s.opaque, err = token.NewOpaque(c.Secrets, c.Issuer); err != nil {
		return nil, err
	}
	if err := s.takeUserInfo(); err != nil {
		return nil, err
	}
	s.mount()
	return s, nil
}

// The endpoints' paths below the issuer's.
const (
	pathAuthorize = "/authorize"
	pathPAR       = "/par"
	pathToken     = "/token"
	pathJWKS      = "/jwks"
	pathUserInfo  = "/userinfo"

	pathIntrospect = "/introspect"
	pathRevoke     = "/revoke"
	pathLogout     = "/logout"

	pathArrangements = "/arrangements/revoke"
)

// mount makes the routes. What is not mounted is not advertised.
func (s *Server) mount() {
	u, _ := url.Parse(s.config.Issuer) // New has checked it
	s.path = u.Path
	add := func(path string, h http.Handler) { s.routes = append(s.routes, Route{path, h}) }
	if s.config.Interact != nil {
		add(s.path+pathAuthorize, s.servePage("authorize", s.authorize))
		add(s.path+pathPAR, s.serve("par", s.par))
	}
	add(s.path+pathToken, s.serve("token", s.token))
	add(s.path+pathJWKS, s.serve("jwks", s.jwks))
	if s.userinfo != nil {
		add(s.path+pathUserInfo, s.serveUserInfo())
	}
	add(s.path+pathIntrospect, s.serve("introspect", s.introspect))
	add(s.path+pathRevoke, s.serve("revoke", s.revocation))
	if s.config.namesArrangements() {
		add(s.path+pathArrangements, s.serve("arrangements", s.endArrangement))
	}
	if s.config.Logout != nil {
		s.logouts = newLogoutSealer(&s.config)
		add(s.path+pathLogout, s.servePage("logout", s.endSession))
	}
	meta := s.serve("metadata", s.metadata)
	add(s.path+"/.well-known/openid-configuration", meta)
	add("/.well-known/oauth-authorization-server"+s.path, meta) // RFC 8414, 3.1

	s.byPath = make(map[string]http.Handler, len(s.routes))
	for _, r := range s.routes {
		s.byPath[r.Path] = r.Handler
	}
}

// Routes returns the server's endpoints, for a host that mounts them one by
// one. Paths include the issuer's path, and the well-known documents are where
// RFC 8414, 3.1 puts them.
//
// An [http.ServeMux] takes none of them beside a pattern such as "GET /", which
// has a method and a wider path: it panics. A site that has one registers it
// as "/" and looks at the method itself.
func (s *Server) Routes() []Route { return slices.Clone(s.routes) }

// TLSPolicy returns what the listeners of the server may speak: the strictest
// that its profiles ask for. A listener that only browsers visit may speak
// [mtls.Browser].
func (s *Server) TLSPolicy() mtls.Policy {
	strictest := mtls.Browser
	for _, p := range s.config.Profiles {
		strictest = min(strictest, policies[p].tls)
	}
	return strictest
}

// ServeHTTP answers at every path of [Server.Routes] and not elsewhere. A path
// that merely means the same, such as //token, is not found. In front of it, an
// [http.ServeMux] redirects such a path to the one meant, on the same host and
// with status 307; a host that wants no such redirect (FAPI 2.0 SP,
// 5.3.2.2-10) calls ServeHTTP before its mux sees the request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := s.byPath[r.URL.Path]
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h.ServeHTTP(w, r)
}

func (s *Server) now() time.Time { return s.config.Now() }

// CheckClient returns nil if c may be served, and otherwise [Violations] with
// every rule that its metadata breaks. The same is checked whenever a client
// is loaded.
func (s *Server) CheckClient(c *Client) error {
	if _, v := s.fitNow(c); len(v) > 0 {
		return v
	}
	return nil
}

// fitNow is fit, which a client of a retired profile does not pass either.
func (s *Server) fitNow(c *Client) (*caller, Violations) {
	got, v := s.fit(c)
	if len(v) == 0 {
		if why := s.retirement(got.profile); why != "" {
			v = Violations{{"CONF-1", why, "move the client to another profile; until then it may only revoke"}}
		}
	}
	return got, v
}

// fit returns c under its one profile, or what keeps c from being served.
func (s *Server) fit(c *Client) (*caller, Violations) {
	name := c.Profile
	if name == "" && len(s.config.Profiles) == 1 {
		name = s.config.Profiles[0]
	}
	if !slices.Contains(s.config.Profiles, name) {
		return nil, Violations{{"CONF-1", "profile is " + strconv.Quote(string(c.Profile)), "name one of the server's profiles"}}
	}
	got := &caller{Client: c, profile: name, policy: policies[name], departs: s.departs[name]}
	got.departs.client, got.departs.now = c.ID, s.now()
	v := got.policy.checkClient(c, &got.departs)
	if c.AuthMethod == methodTLS && s.config.Authorities == nil {
		v = append(v, Violation{"RFC8705-2-7", "token_endpoint_auth_method is tls_client_auth", "set Config.Authorities"})
	}
	v = append(v, s.checkSubjectType(c)...)
	v = append(v, checkUserInfo(c)...)
	v = append(v, s.checkLogoutURIs(c)...)
	v = append(v, s.checkEncryption(c)...)
	v = append(v, s.checkResource(c)...)
	v = append(v, s.keys.check(c)...)
	return got, v.withoutUsers()
}
