package token

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aikagi/aikagi/internal/fetch"
	"github.com/aikagi/aikagi/internal/jsonw"
)

// Metadata is what an API says of itself beside what its [VerifierConfig] says
// already (RFC 9728, 2). What is empty is left out.
type Metadata struct {
	Name          string   // for people (resource_name)
	Scopes        []string // that requests to this API may need (scopes_supported)
	DetailsTypes  []string // that it understands (authorization_details_types_supported)
	Documentation string   // https URL of a page for developers (resource_documentation)
	Policy        string   // https URL of what clients may do with the data (resource_policy_uri)
	Terms         string   // https URL of the terms of service (resource_tos_uri)
}

// wellKnown stands between host and path of an API's identifier (RFC 9728, 3).
const wellKnown = "/.well-known/oauth-protected-resource"

// check tells fail all that is wrong with m, for an API of that name.
func (m *Metadata) check(audience string, fail func(format string, args ...any)) {
	if !isResource(audience) {
		fail("Metadata: Audience is not an https URL without query and fragment")
	}
	for _, u := range [...]string{m.Documentation, m.Policy, m.Terms} {
		if u != "" && fetch.CheckURL(u) != nil {
			fail("Metadata: %q is not an https URL", u)
		}
	}
	for _, s := range m.Scopes {
		if !isScope(s) {
			fail("Metadata: scope %q is not a scope-token", s)
		}
	}
	if slices.Contains(m.DetailsTypes, "") {
		fail("Metadata: DetailsTypes has an empty one")
	}
	for _, s := range append([]string{m.Name}, m.DetailsTypes...) {
		if !utf8.ValidString(s) {
			fail("Metadata: %q is not UTF-8", s)
		}
	}
}

// isResource reports whether s identifies an API in a way that metadata can be
// published for: an https URL that fits into a challenge (RFC 9728, 1.2). A
// query should be avoided, and could not be told apart by path.
func isResource(s string) bool {
	u, err := url.Parse(s)
	return err == nil && checkIssuer(s) == nil && u.Hostname() != "" && u.User == nil && s == clean(s)
}

// metadata is a document and where it is.
type metadata struct {
	document []byte
	url      string   // of the document
	path     string   // of the document, escaped
	resource *url.URL // what it is about
}

// newMetadata returns the metadata of a configuration that was checked.
func newMetadata(c *VerifierConfig) *metadata {
	u, _ := url.Parse(c.Audience)
	path := wellKnown
	if p := u.EscapedPath(); p != "/" {
		path += p
	}
	m := c.Metadata
	o := jsonw.New(512)
	o.String("resource", c.Audience)
	o.Strings("authorization_servers", []string{c.Issuer})
	o.Strings("bearer_methods_supported", []string{"header"}) // FAPI 2.0 SP, 5.3.4-1 and -2
	o.Raw("tls_client_certificate_bound_access_tokens", []byte("true"))
	if len(c.Origins) > 0 {
		o.Strings("dpop_signing_alg_values_supported", c.Algorithms)
	}
	for _, list := range [...]struct {
		name   string
		values []string
	}{
		{"scopes_supported", m.Scopes}, {"authorization_details_types_supported", m.DetailsTypes},
	} {
		if len(list.values) > 0 { // RFC 9728, 3.2
			o.Strings(list.name, list.values)
		}
	}
	for _, text := range [...]struct{ name, value string }{
		{"resource_name", m.Name}, {"resource_documentation", m.Documentation},
		{"resource_policy_uri", m.Policy}, {"resource_tos_uri", m.Terms},
	} {
		if text.value != "" {
			o.String(text.name, text.value)
		}
	}
	return &metadata{document: o.Bytes(), url: "https://" + u.Host + path, path: path, resource: u}
}

// describes reports whether r was for the very URL that the document is about.
// The challenge must point to no other: a client discards a document whose
// resource is not the URL it asked for (RFC 9728, 3.3), and so would one that
// went to /accounts and was sent to the document of the host. It follows that
// the identifier of a whole host is never pointed to: that the client wrote it
// with or without a slash at the end cannot be seen from here.
func (m *metadata) describes(r *http.Request) bool {
	asked := requested(r)
	return len(m.resource.EscapedPath()) > 1 && asked.EscapedPath() == m.resource.EscapedPath() &&
		asked.RawQuery == "" && !asked.ForceQuery && r.Host == m.resource.Host
}

// requested returns the URL that was asked for, however the host's mux has cut
// it since.
func requested(r *http.Request) *url.URL {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u
	}
	return r.URL
}

// Metadata returns a handler that answers with this API's metadata (RFC 9728)
// and the path it is for: /.well-known/oauth-protected-resource and then the
// path of Audience. No token is needed for it. Without VerifierConfig.Metadata
// both are zero.
//
// A challenge says where the document is (resource_metadata) if the request was
// for Audience itself, by Host, path and nothing more, and that has a path.
// Clients discard what describes another URL than the one they asked for (RFC
// 9728, 3.3), so that an API that wants its challenges to say it has for each
// endpoint a Verifier of its own.
func (v *Verifier) Metadata() (path string, h http.Handler) {
	if v.about == nil {
		return "", nil
	}
	return v.about.path, http.HandlerFunc(v.about.serve)
}

func (m *metadata) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case requested(r).EscapedPath() != m.path: // a mux lets through all that lies below a slash
		w.WriteHeader(http.StatusNotFound)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", strings.Join([]string{http.MethodGet, http.MethodHead}, ", "))
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300") // RFC 9728, 7.10
	h.Set("Access-Control-Allow-Origin", "*")     // it is public, and apps in browsers look it up
	w.Write(m.document)
}
