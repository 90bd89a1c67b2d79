package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"html/template"
	"net/url"
	"strings"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
)

// Settings is what one bank is made of. A -config file or the story fills it.
type settings struct {
	issuer   string // its name, an https URL
	mtlsBase string // base URL of a listener that asks for certificates; "" if the issuer's asks

	listen     string // address for browsers and clients
	listenMTLS string // address of mtlsBase

	certificate tls.Certificate   // of both listeners
	authorities *mtls.Authorities // who issues certificates for tls_client_auth; nil if nobody
	fetchRoots  *x509.CertPool    // who issues those of clients' servers; nil: whom the system trusts

	profiles []authz.Profile
	retire   map[authz.Profile]time.Time // when some of them end
	waivers  []authz.Waiver
	clients  *authz.ClientList
	keys     token.KeySet
	users    []user
	scopes   []string
	acr      []string              // authentication contexts that a login can count as
	details  []authz.DetailsType   // types of authorization details that are offered
	decrypt  []authz.DecryptionKey // what clients may encrypt their requests to
	pairwise []byte                // salt of subjects that differ by client; nil if there are none

	plan    storePlan // where it keeps what it remembers
	secrets [][]byte  // the server's own, of which the first seals; nil: made up

	dpopNonces     bool // whether DPoP proofs have to have a nonce of the bank's
	httpSignatures bool // whether requests to the API have to be signed, and answers are

	logoutByClient bool               // whether clients may ask that customers be signed out
	backchannel    bool               // whether they are told when one is
	ownErrorPage   *template.Template // for requests that lead nowhere; nil for the bank's usual one

	apis        []api  // what is protected
	autoApprove string // the subject who consents without pages; "" if nobody does

	hint *user // shown on the login page of the story; nil otherwise
}

// A user is a customer who can sign in.
type user struct {
	Login, Password, Subject string
	claims                   map[string]json.RawMessage // what the bank knows about the customer
}

// name returns the customer's name in a language (OIDC Core, 5.2), for the
// consent page.
func (u *user) name(lang string) string {
	for _, claim := range []string{"name#" + lang, "name"} {
		var name string
		if json.Unmarshal(u.claims[claim], &name) == nil && name != "" {
			return name
		}
	}
	return u.Login
}

// signIn returns the user with this login and password, or nil. How long it
// takes tells nothing about which of the two was wrong, or where. A real bank
// keeps slow, salted hashes instead of passwords, and limits the attempts.
func (s *settings) signIn(login, password string) *user {
	var found *user
	for i := range s.users {
		u := &s.users[i]
		if sameText(u.Login, login)&sameText(u.Password, password) == 1 {
			found = u
		}
	}
	return found
}

// user returns the user who is subject, or nil.
func (s *settings) user(subject string) *user {
	for i := range s.users {
		if s.users[i].Subject == subject {
			return &s.users[i]
		}
	}
	return nil
}

// sameText returns 1 if a equals b and 0 otherwise, in a time that depends on
// b's length alone.
func sameText(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

// path returns where p lies below the issuer, such as /login.
func (s *settings) path(p string) string {
	u, err := url.Parse(s.issuer)
	if err != nil {
		return p
	}
	return strings.TrimSuffix(u.Path, "/") + p
}
