package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// A bank is an authorization server with login and consent pages, and an API
// that it guards.
type bank struct {
	*settings
	as       *authz.Server
	log      *slog.Logger
	grants   *authz.Grants
	guards   []*token.Verifier // of the APIs, one each
	signing  *signing          // nil: requests and answers of the APIs are not signed
	logins   logins
	sessions *bankSessions  // nil: there are none, and every request asks for a login
	visits   *bankSessions  // those of the page of connected services; sessions if there are some
	telling  sync.WaitGroup // clients are being told of the end of a session
}

// How long what the bank issues lives, where the library's own default does
// not fit the story.
const (
	requestLife = 5 * time.Minute     // a newcomer reads the page before going on
	grantLife   = 90 * 24 * time.Hour // how long the fintech may come without asking again
)

// newBank puts the library's pieces together, as a host would. If log is nil,
// nothing is logged.
func newBank(s *settings, kept *storage, log *slog.Logger) (*bank, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &bank{settings: s, log: log, logins: logins{m: make(map[string]login)}}
	b.grants = &authz.Grants{Issuer: s.issuer, Store: kept, Lister: kept.lister, Audit: authz.LogEvents(log)}
	b.visits = newSessions(s.issuer+" services", visitLife)
	if s.logoutByClient {
		b.sessions = newSessions(s.issuer, bankSessionLife)
		b.visits = b.sessions
	}
	secrets := s.secrets
	if secrets == nil {
		secrets = [][]byte{make([]byte, 32)}
		rand.Read(secrets[0]) // no longer-lived than the store
	}
	var err error
	if b.as, err = authz.New(b.config(kept, secrets, log)); err != nil {
		return nil, err
	}
	if err := b.checkPaths(); err != nil {
		return nil, err
	}
	for _, a := range s.apis {
		guard, err := s.guard(a, kept, secrets, log)
		if err != nil {
			return nil, err
		}
		b.guards = append(b.guards, guard)
	}
	if s.httpSignatures {
		b.signing, err = newSigning(s, log)
	}
	return b, err
}

// config returns what the bank's authorization server is made of.
func (b *bank) config(kept store.Store, secrets [][]byte, log *slog.Logger) authz.Config {
	c := authz.Config{
		Issuer:          b.issuer,
		Store:           kept,
		Keys:            b.keys,
		Clients:         b.clients,
		Secrets:         secrets,
		Resources:       b.resources(),
		Scopes:          b.scopes,
		DetailsTypes:    b.details,
		Decrypt:         b.decrypt,
		ACRValues:       b.acr,
		Interact:        b.interact,
		ErrorPage:       b.errorPage,
		Profiles:        b.profiles,
		Retire:          b.retire,
		Waivers:         b.waivers,
		MTLSBase:        b.mtlsBase,
		Authorities:     b.authorities,
		RequestLifetime: requestLife,
		GrantLifetime:   grantLife,
		DPoPNonces:      b.dpopNonces,
		FetchRoots:      b.fetchRoots,
		FetchPrivate:    b.fetchPrivate(),
		Audit:           authz.LogEvents(log),

		BackchannelLogout: b.backchannel,
	}
	if b.logoutByClient {
		c.Logout = b.logout
	}
	if slices.Contains(b.scopes, "openid") {
		c.Pairwise = b.pairwise
		if c.ClaimNames = b.claimNames(); c.ClaimNames != nil {
			c.Claims = b.claims
		}
	}
	return c
}

// guard returns what checks the access tokens that come to an API.
func (s *settings) guard(a api, kept store.Store, secrets [][]byte, log *slog.Logger) (*token.Verifier, error) {
	opaque, err := token.NewOpaque(secrets, s.issuer)
	if err != nil {
		return nil, err
	}
	c := token.VerifierConfig{
		Issuer:   s.issuer,
		Audience: s.audience(a),
		Keys:     s.keys,
		Opaque:   opaque,
		Liveness: kept, // a revoked key stops turning at once
		Origins:  s.origins(),
		Replays:  kept,
		Audit:    logRefusals(log),
		Metadata: s.describe(a),
	}
	if s.dpopNonces {
		c.NonceSecrets = secrets // an API's nonces are its own all the same
	}
	return token.NewVerifier(c)
}

// logRefusals returns a function that writes what the API refuses to log. The
// content of a token that is not genuine is nil.
func logRefusals(log *slog.Logger) func(context.Context, *token.Access, error) {
	return func(ctx context.Context, a *token.Access, err error) {
		if a == nil {
			a = new(token.Access)
		}
		log.WarnContext(ctx, "bank", "endpoint", "resource", "client", a.ClientID, "grant", a.GrantID, "reason", err)
	}
}

// checkPaths reports the resources whose paths are the bank's own.
func (b *bank) checkPaths() error {
	var errs []error
	for _, a := range b.apis {
		if b.taken(a.path) {
			errs = append(errs, fmt.Errorf("resource: %s is a path of the bank itself; choose another", a.path))
		}
	}
	return errors.Join(errs...)
}

// taken reports whether path is one of the bank's own.
func (b *bank) taken(path string) bool {
	for _, r := range b.as.Routes() {
		if r.Path == path {
			return true
		}
	}
	own := []string{"/login", "/consent", "/signout", "/services", "/style.css"}
	return slices.ContainsFunc(own, func(p string) bool { return b.path(p) == path })
}

// fetchPrivate returns the private addresses that a client's jwks_uri and
// backchannel_logout_uri may be at: this machine, if the bank serves nobody but this machine.
func (s *settings) fetchPrivate() []netip.Prefix {
	host, _, err := net.SplitHostPort(s.listen)
	if err != nil {
		return nil
	}
	if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
		return nil
	}
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// browsers returns what the listener for browsers and clients serves: all.
func (b *bank) browsers() http.Handler {
	mux := http.NewServeMux()
	for _, r := range b.as.Routes() {
		mux.Handle(r.Path, r.Handler)
	}
	b.mountAPIs(mux)

	// The library's endpoints check for themselves who may call them. The
	// bank's own forms are sent by the bank's own pages and from nowhere else.
	own := http.NewCrossOriginProtection()
	mux.Handle("POST "+b.path("/login"), own.Handler(http.HandlerFunc(b.login)))
	mux.Handle("GET "+b.path("/consent"), http.HandlerFunc(b.consent))
	mux.Handle("POST "+b.path("/consent"), own.Handler(http.HandlerFunc(b.consent)))
	if b.logoutByClient {
		mux.Handle("POST "+b.path("/signout"), own.Handler(http.HandlerFunc(b.signOut)))
	}
	if b.plan.listed() && len(b.users) > 0 {
		mux.HandleFunc("GET "+b.path("/services"), b.services)
		mux.Handle("POST "+b.path("/services"), own.Handler(http.HandlerFunc(b.changeServices)))
	}
	mux.HandleFunc("GET "+b.path("/style.css"), serveStyle)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		b.notice(w, r, http.StatusNotFound, "notice.unknown")
	})
	return exactly(mux)
}

// exactly keeps paths that merely mean the same, such as //token, from a mux:
// it would redirect them with status 307, and the password or assertion in the
// body along with it (FAPI 2.0 Security Profile, 5.3.2.2-10).
func exactly(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := path.Clean("/" + r.URL.Path); p != r.URL.Path && p+"/" != r.URL.Path {
			http.NotFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// machines returns what the listener that asks for certificates serves: all
// but the pages.
func (b *bank) machines() http.Handler {
	mux := http.NewServeMux()
	for _, r := range b.as.Routes() {
		if !strings.HasSuffix(r.Path, "/authorize") && !strings.HasSuffix(r.Path, "/logout") {
			mux.Handle(r.Path, r.Handler)
		}
	}
	b.mountAPIs(mux)
	return exactly(mux)
}

// newKeys makes keys to sign with: one for each algorithm of FAPI 2.0 (Security
// Profile, 5.4.1), so that every client finds the one it registered.
func newKeys() (token.KeySet, error) {
	ec, err := newKey()
	if err != nil {
		return nil, err
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	keys, err := token.NewKeySet(
		token.PrivateKey{ID: "es256-" + rand.Text()[:6], Algorithm: "ES256", Signer: ec},
		token.PrivateKey{ID: "ps256-" + rand.Text()[:6], Algorithm: "PS256", Signer: rsaKey},
		token.PrivateKey{ID: "eddsa-" + rand.Text()[:6], Algorithm: "EdDSA", Signer: ed},
	)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return keys, nil
}
