package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// A stage is everything the story needs, in one process: the bank's server for
// browsers, its server that asks for certificates, and the fintech's web app.
type stage struct {
	pki       *pki
	fintech   *fintech
	url       string // where the story begins
	listeners []listener
}

// customer is who signs in at the bank in the story.
var customer = user{
	Login: "hanako", Password: "aikagi", Subject: "customer-1",
	claims: map[string]json.RawMessage{"name": json.RawMessage(`"Hanako"`), "name#ja": json.RawMessage(`"花子"`)},
}

// newStage listens on loopback, on ports that are free. It uses the address and
// not the name localhost: a browser would remember for the name that it is to
// be visited by https only, whatever else runs there.
func newStage() (*stage, error) {
	p, err := newPKI(time.Now())
	if err != nil {
		return nil, err
	}
	var sockets [3]net.Listener
	var urls [3]string
	for i := range sockets {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			closeAll(sockets[:i])
			return nil, err
		}
		sockets[i], urls[i] = l, "https://"+l.Addr().String()
	}
	s, err := assemble(p, sockets, urls)
	if err != nil {
		closeAll(sockets[:])
	}
	return s, err
}

func closeAll(sockets []net.Listener) {
	for _, l := range sockets {
		_ = l.Close() // nothing has been served there
	}
}

// assemble puts the bank on the first two sockets and the fintech on the third.
func assemble(p *pki, sockets [3]net.Listener, urls [3]string) (*stage, error) {
	issuer, machines, app := urls[0], urls[1], urls[2]
	signing, err1 := newKey()
	assertions, err2 := newKey()
	thiefs, err3 := newKey()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	newClient := func(id string, how binding, certs ...tls.Certificate) *client {
		return &client{
			id: id, issuer: issuer, redirectURI: app + "/callback", scope: "accounts transactions",
			binding: how, key: assertions, http: newHTTPClient(p.roots, certs...),
		}
	}
	f := &fintech{
		clients: map[binding]*client{
			byCertificate: newClient("kakeibo-note", byCertificate, p.fintech),
			byProof:       newClient("kakeibo-note-dpop", byProof),
		},
		thief:    newThief(p.roots, p.thief, thiefs),
		issuer:   issuer,
		pages:    issuer + "/services",
		api:      machines,
		cert:     p.fintech.Certificate[0],
		hint:     &customer,
		sessions: make(map[string]*session),
	}
	registered, err := register(f.clients[byCertificate], f.clients[byProof])
	if err != nil {
		return nil, err
	}
	keys, err := token.NewKeySet(token.PrivateKey{ID: "bank-1", Algorithm: "ES256", Signer: signing})
	if err != nil {
		return nil, err
	}
	b, err := newBank(&settings{
		issuer: issuer, mtlsBase: machines, listen: sockets[0].Addr().String(),
		certificate: p.server, profiles: []authz.Profile{authz.FAPI2Security}, clients: registered, keys: keys,
		users: []user{customer}, scopes: []string{"accounts", "transactions"}, hint: &customer, apis: []api{{}},
		dpopNonces: true,
	}, inMemory(), nil)
	if err != nil {
		return nil, err
	}
	return &stage{pki: p, fintech: f, url: app + "/", listeners: []listener{
		{sockets[0], b.as.TLSPolicy().Config(p.server), b.browsers()},
		{sockets[1], b.as.TLSPolicy().MutualConfig(p.server), b.machines()},
		{sockets[2], &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{p.server}}, f.handler()},
	}}, nil
}

// register returns the bank's register of clients, with these in it.
func register(clients ...*client) (*authz.ClientList, error) {
	inJapanese, err := json.Marshal(message("ja", "fintech"))
	if err != nil {
		return nil, err
	}
	var list []*authz.Client
	for _, c := range clients {
		jwks, err := c.jwks()
		if err != nil {
			return nil, err
		}
		list = append(list, &authz.Client{
			ID:                     c.id,
			Profile:                authz.FAPI2Security,
			Name:                   message("en", "fintech"),
			RedirectURIs:           []string{c.redirectURI},
			GrantTypes:             []string{"authorization_code", "refresh_token"},
			ResponseTypes:          []string{"code"},
			Scope:                  c.scope,
			AuthMethod:             "private_key_jwt",
			AuthSigningAlg:         "ES256",
			JWKS:                   jwks,
			CertificateBoundTokens: c.binding == byCertificate,
			DPoPBoundTokens:        c.binding == byProof,
			Metadata:               map[string]json.RawMessage{"client_name#ja": inJapanese},
		})
	}
	return authz.NewClientList(list...)
}

// hangUp closes the connections that the fintech and the thief keep for later,
// so that the servers need not wait for them when they stop.
func (s *stage) hangUp() {
	for _, c := range s.fintech.clients {
		c.http.CloseIdleConnections()
	}
	for _, h := range []*http.Client{s.fintech.thief.bare, s.fintech.thief.another} {
		h.CloseIdleConnections()
	}
}

// close gives up the stage without playing.
func (s *stage) close() {
	for _, l := range s.listeners {
		_ = l.Close() // nothing has been served there
	}
}
