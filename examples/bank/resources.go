package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// An api is a protected resource of the bank.
type api struct {
	path    string        // "" for the story's, which has two paths
	scopes  []string      // those that mean something there; nil for all
	details []string      // types of authorization_details that do; nil for all
	acr     []string      // authentication contexts of which a token needs one; nil for any
	maxAge  time.Duration // how old the login may be; 0 for any age
}

// apis reads the protected resources: the path of one, or several, each with
// what it asks of a token.
func (c *configFile) apis() []api {
	if c.members["resources"] == nil {
		path := c.string("resource")
		if path == "" {
			path = "/resource"
		}
		c.checkPath("resource", path)
		return []api{{path: path}}
	}
	if c.members["resource"] != nil {
		c.bad("resource", "is there beside resources", "leave out one of the two")
	}
	var paths map[string]json.RawMessage
	if !c.read("resources", "an object that has an object for each path", &paths) {
		return nil
	}
	if len(paths) == 0 {
		c.bad("resources", "is empty", "give at least one path, or leave the member out")
	}
	var list []api
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		c.checkPath("resources", path)
		a, err := readAPI(path, paths[path])
		if err != nil {
			c.bad("resources", path+": "+err.Error(), "give lists of strings as scopes, authorization_details_types and acr_values, and seconds as max_age, or leave them out")
		}
		list = append(list, a)
	}
	return list
}

// readAPI reads what a resource asks of a token.
func readAPI(path string, raw json.RawMessage) (api, error) {
	a := api{path: path}
	m, err := object(raw)
	if err != nil {
		return a, err
	}
	var seconds *int64
	var wrong []string
	for name, p := range map[string]any{"scopes": &a.scopes, "authorization_details_types": &a.details, "acr_values": &a.acr, "max_age": &seconds} {
		v, ok := m[name]
		if ok && (string(v) == "null" || json.Unmarshal(v, p) != nil) {
			wrong = append(wrong, name+" has another type")
		}
		delete(m, name)
	}
	for name := range m {
		wrong = append(wrong, strconv.Quote(name)+" is not a member")
	}
	if seconds != nil {
		if *seconds < 1 || *seconds > 1<<31-1 {
			wrong = append(wrong, "max_age is "+strconv.FormatInt(*seconds, 10))
		} else {
			a.maxAge = time.Duration(*seconds) * time.Second
		}
	}
	if wrong != nil {
		slices.Sort(wrong)
		return a, errors.New(strings.Join(wrong, ", "))
	}
	return a, nil
}

// checkPath checks the path of a resource. Those below /.well-known describe
// others.
func (c *configFile) checkPath(member, p string) {
	u, err := url.Parse(p)
	if err != nil || u.Path != p || p != path.Clean("/"+p) || p == "/" || strings.ContainsAny(p, "{} ") || strings.HasPrefix(p, "/.well-known") {
		c.bad(member, fmt.Sprintf("%q is not a path", p), "give an absolute path such as /resource, without escapes, blanks, braces or a slash at the end, and not below /.well-known")
	}
}

// checkReach reports resources that nobody could reach, whatever they did.
func (c *configFile) checkReach(s *settings) {
	for _, a := range s.apis {
		for _, acr := range a.acr {
			if !slices.Contains(s.acr, acr) {
				c.bad("resources", fmt.Sprintf("%s asks for the authentication context %q", a.path, acr), "list it in acr_values, too")
			}
		}
	}
}

// audience returns the identifier of an API: the aud of its access tokens, and
// its URL on the listener that asks for certificates.
func (s *settings) audience(a api) string {
	return origin(cmp.Or(s.mtlsBase, s.issuer)) + a.path
}

// resources returns the APIs as the authorization server knows them.
func (s *settings) resources() []authz.Resource {
	var list []authz.Resource
	for _, a := range s.apis {
		list = append(list, authz.Resource{ID: s.audience(a), Scopes: a.scopes, DetailsTypes: a.details})
	}
	return list
}

// describe returns what an API says of itself (RFC 9728). The story's, which
// has no path of its own, says nothing.
func (s *settings) describe(a api) *token.Metadata {
	if a.path == "" {
		return nil
	}
	m := &token.Metadata{Scopes: a.scopes, DetailsTypes: a.details}
	if m.Scopes == nil {
		m.Scopes = slices.DeleteFunc(slices.Clone(s.scopes), func(scope string) bool { return scope == "openid" })
	}
	if m.DetailsTypes == nil && len(s.apis) == 1 {
		for _, t := range s.details {
			m.DetailsTypes = append(m.DetailsTypes, t.Name)
		}
	}
	return m
}

// origins returns the base URLs that clients reach the APIs under. They are on
// both listeners.
func (s *settings) origins() []string {
	list := []string{origin(s.issuer)}
	if s.mtlsBase != "" {
		list = append(list, origin(s.mtlsBase))
	}
	return list
}

// origin returns scheme and host of a URL, or "".
func origin(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
