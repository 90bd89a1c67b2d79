package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token/httpsig"
)

// A configFile is a -config file being read. What is wrong is collected, so
// that a person mends everything at once.
type configFile struct {
	name    string
	members map[string]json.RawMessage
	errs    []error
}

// configMembers is every member that a -config file may have.
var configMembers = []string{
	"issuer", "listen", "mtls_base", "listen_mtls", "tls_cert", "tls_key", "client_ca", "profiles", "clients", "keys", "users",
	"store", "store_by_kind", "seal", "secrets", "dpop_nonce", "scopes", "acr_values", "authorization_details_types", "pairwise_salt", "resource", "resources",
	"http_signatures", "auto_approve", "retire", "waivers", "logout", "error_page", "fetch_ca",
}

// availableProfiles is every profile that the library has, FAPI 2.0 first.
var availableProfiles = []string{string(authz.FAPI2Security), string(authz.FAPI2MessageSigning), string(authz.FAPI1Advanced)}

// readConfig reads a -config file. Each error names the file, the member and
// the remedy.
func readConfig(name string) (*settings, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w; give -config an existing JSON file", name, cause(err))
	}
	c := &configFile{name: name}
	if c.members, err = object(b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for m := range c.members {
		if !slices.Contains(configMembers, m) {
			c.bad(m, "is not a member of this file", "remove it; there are "+strings.Join(configMembers, ", "))
		}
	}
	s := &settings{
		issuer:      c.baseURL("issuer", true),
		listen:      c.address("listen", true),
		mtlsBase:    c.baseURL("mtls_base", false),
		listenMTLS:  c.address("listen_mtls", false),
		scopes:      c.strings("scopes"),
		acr:         c.strings("acr_values"),
		details:     c.details(),
		pairwise:    c.salt(),
		apis:        c.apis(),
		certificate: c.certificate(),
		authorities: c.authorities(),
		profiles:    c.profiles(),
		users:       c.users(),
		waivers:     c.waivers(),
		fetchRoots:  c.fetchRoots(),

		ownErrorPage: c.errorPage(),
	}
	s.retire = c.retirements(s.profiles)
	s.logoutByClient, s.backchannel = c.logouts()
	if s.scopes == nil {
		s.scopes = []string{"openid", "accounts", "transactions"}
	}
	c.bothOrNeither("mtls_base", "listen_mtls")
	c.checkReach(s)
	s.clients = c.clients(s.profiles)
	s.autoApprove = c.autoApprove(s)
	s.plan = c.storePlan()
	s.secrets = c.secrets(s)
	s.dpopNonces = c.choice("dpop_nonce", "off", "required") == "required"
	s.httpSignatures = c.choice("http_signatures", "off", httpsig.Draft01) == httpsig.Draft01
	if c.members["keys"] != nil || len(c.errs) == 0 {
		s.keys, s.decrypt = c.keys() // last: making some up takes a while
	}
	slices.SortFunc(c.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return s, errors.Join(c.errs...)
}

func (c *configFile) bad(member, problem, remedy string) {
	c.errs = append(c.errs, fmt.Errorf("%s: %s: %s; %s", c.name, member, problem, remedy))
}

// read unmarshals a member into p and reports whether it was there and fit.
func (c *configFile) read(member, want string, p any) bool {
	raw, ok := c.members[member]
	if !ok {
		return false
	}
	if string(raw) == "null" || json.Unmarshal(raw, p) != nil {
		c.bad(member, "is not "+want, "write "+want+orLeaveOut(member))
		return false
	}
	return true
}

// requiredMembers are those that no file does without.
var requiredMembers = []string{"issuer", "listen", "tls_cert", "tls_key", "clients"}

// orLeaveOut is the end of a remedy, where the member may be missing.
func orLeaveOut(member string) string {
	if slices.Contains(requiredMembers, member) {
		return ""
	}
	return ", or leave the member out"
}

func (c *configFile) string(member string) string {
	var s string
	if c.read(member, "a string", &s) && s == "" {
		c.bad(member, "is empty", "give a value"+orLeaveOut(member))
	}
	return s
}

func (c *configFile) strings(member string) []string {
	var s []string
	c.read(member, "a list of strings", &s)
	if slices.Contains(s, "") {
		c.bad(member, "has an empty string", "take it out")
	}
	return s
}

// required returns the string that member holds; there has to be one.
func (c *configFile) required(member, remedy string) string {
	if _, ok := c.members[member]; !ok {
		c.bad(member, "is missing", remedy)
		return ""
	}
	return c.string(member)
}

// optional returns the string that member holds; there has to be one only if
// required says so.
func (c *configFile) optional(member string, required bool, remedy string) string {
	if required {
		return c.required(member, remedy)
	}
	return c.string(member)
}

func (c *configFile) bothOrNeither(a, b string) {
	_, hasA := c.members[a]
	_, hasB := c.members[b]
	if hasA && !hasB {
		c.bad(b, "is missing", "give it with "+a+", or leave out both")
	}
	if hasB && !hasA {
		c.bad(a, "is missing", "give it with "+b+", or leave out both")
	}
}

func (c *configFile) baseURL(member string, required bool) string {
	const remedy = "give an https URL without query or fragment, such as https://as.bank.example"
	v := c.optional(member, required, remedy)
	if v == "" {
		return ""
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(v, "?#") {
		c.bad(member, fmt.Sprintf("%q is not a base URL", v), remedy)
	}
	return v
}

func (c *configFile) address(member string, required bool) string {
	const remedy = "give host and port, such as 127.0.0.1:8443"
	v := c.optional(member, required, remedy)
	if v == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(v)
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		c.bad(member, fmt.Sprintf("%q is not an address", v), remedy)
	}
	return v
}

// path returns name, which is relative to the configuration.
func (c *configFile) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(c.name), name)
}

// contents returns what is in the file that member names, or nil.
func (c *configFile) contents(member, name string) []byte {
	if name == "" {
		return nil
	}
	b, err := os.ReadFile(c.path(name))
	if err != nil {
		c.bad(member, fmt.Sprintf("%s: %v", c.path(name), cause(err)), "name a file that can be read; paths are relative to "+filepath.Base(c.name))
		return nil
	}
	return b
}

// cause returns err without the name of the file, which the caller says.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (c *configFile) certificate() tls.Certificate {
	certFile := c.required("tls_cert", "name the PEM file with the server's certificate chain")
	keyFile := c.required("tls_key", "name the PEM file with the server's private key")
	certPEM, keyPEM := c.contents("tls_cert", certFile), c.contents("tls_key", keyFile)
	if certPEM == nil || keyPEM == nil {
		return tls.Certificate{}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		c.bad("tls_cert, tls_key", err.Error(), "name a certificate chain, leaf first, and its key, both PEM")
	}
	return pair
}

func (c *configFile) authorities() *mtls.Authorities {
	var pems [][]byte
	names := c.strings("client_ca")
	for _, name := range names {
		if b := c.contents("client_ca", name); b != nil {
			pems = append(pems, b)
		}
	}
	if len(pems) == 0 {
		return nil
	}
	a, err := mtls.ParseAuthorities(pems...)
	if err != nil {
		c.bad("client_ca", fmt.Sprintf("%s: %v", strings.Join(names, ", "), err), "name PEM files with certificates of authorities, a self-signed one among them")
	}
	return a
}

func (c *configFile) profiles() []authz.Profile {
	names := c.strings("profiles")
	if len(names) == 0 {
		if names != nil { // there, and a list
			c.bad("profiles", "is empty", "list at least one of "+strings.Join(availableProfiles, ", "))
		}
		return []authz.Profile{authz.FAPI2Security}
	}
	var profiles []authz.Profile
	for i, name := range names {
		if !slices.Contains(availableProfiles, name) || slices.Contains(names[:i], name) {
			c.bad("profiles", fmt.Sprintf("%q is not available or there twice", name), "list some of "+strings.Join(availableProfiles, ", "))
		}
		profiles = append(profiles, authz.Profile(name))
	}
	return profiles
}

// clients reads the clients, and writes the first profile into those that name
// none.
func (c *configFile) clients(profiles []authz.Profile) *authz.ClientList {
	name := c.required("clients", "name the file with the array of client metadata")
	b := c.contents("clients", name)
	if b == nil {
		return nil
	}
	const remedy = "write an array of RFC 7591 client metadata, each with client_id"
	if err := strictJSON(b); err != nil {
		c.bad("clients", fmt.Sprintf("%s: %v", c.path(name), err), remedy)
		return nil
	}
	list, err := authz.LoadClients(b)
	if err != nil {
		for line := range strings.Lines(err.Error()) { // one for each client
			c.bad("clients", c.path(name)+": "+strings.TrimSpace(line), remedy)
		}
		return nil
	}
	for _, client := range list.All() {
		if client.Profile == "" {
			client.Profile = profiles[0]
		}
	}
	return list
}

func (c *configFile) users() []user {
	var raw []json.RawMessage
	c.read("users", "a list of objects", &raw)
	users := make([]user, 0, len(raw))
	for i, r := range raw {
		u, err := readUser(r)
		if err == nil && slices.ContainsFunc(users, func(o user) bool { return o.Login == u.Login || o.Subject == u.Subject }) {
			err = errors.New("login or subject is there twice")
		}
		if err != nil {
			c.bad("users", fmt.Sprintf("user %d: %v", i+1, err), "give each a login, a password and a subject of its own; every other member is a claim")
			continue
		}
		users = append(users, u)
	}
	return users
}

// readUser reads one user. Members besides login, password and subject are
// claims; a member "claims" holds some more.
func readUser(raw json.RawMessage) (user, error) {
	m, err := object(raw)
	if err != nil {
		return user{}, err
	}
	u := user{claims: make(map[string]json.RawMessage)}
	for name, p := range map[string]*string{"login": &u.Login, "password": &u.Password, "subject": &u.Subject} {
		if json.Unmarshal(m[name], p) != nil || *p == "" {
			return user{}, fmt.Errorf("%s is missing, empty or not a string", name)
		}
		delete(m, name)
	}
	if more, ok := m["claims"]; ok {
		claims, err := object(more)
		if err != nil {
			return user{}, fmt.Errorf("claims: %w", err)
		}
		u.claims = claims
		delete(m, "claims")
	}
	for name, v := range m {
		if _, ok := u.claims[name]; ok {
			return user{}, fmt.Errorf("claim %q is there twice", name)
		}
		u.claims[name] = v
	}
	return u, nil
}

func (c *configFile) autoApprove(s *settings) string {
	const remedy = "name the subject of one of the users, or write false"
	var off bool
	if raw, ok := c.members["auto_approve"]; !ok || json.Unmarshal(raw, &off) == nil && !off && string(raw) != "null" {
		if len(s.users) == 0 && c.members["users"] == nil {
			c.bad("users", "is missing", "list who can sign in, or name a subject in auto_approve")
		}
		return ""
	}
	var subject string
	if json.Unmarshal(c.members["auto_approve"], &subject) != nil || subject == "" {
		c.bad("auto_approve", "is not a subject", remedy)
	} else if len(s.users) > 0 && s.user(subject) == nil {
		c.bad("auto_approve", fmt.Sprintf("%q is nobody's subject", subject), remedy)
	}
	return subject
}

// choice returns which of the values member has, or "" if it is not there.
func (c *configFile) choice(member string, values ...string) string {
	v := c.string(member)
	if v != "" && !slices.Contains(values, v) {
		c.bad(member, fmt.Sprintf("%q is not available", v), fmt.Sprintf(`write "%s"%s`, strings.Join(values, `" or "`), orLeaveOut(member)))
		return ""
	}
	return v
}
