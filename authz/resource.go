package authz

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aikagi/aikagi/internal/form"
)

// A Resource is an API that access tokens are for (RFC 8707). Where a client
// names none, tokens are for the one at which the scopes it asks for mean
// something, and for those at which its authorization_details apply; where it
// names several for a grant and then none for a token, the token is for all of
// them. A token that is good for nothing but the server's own endpoints, such
// as for openid alone, has the issuer as its aud.
type Resource struct {
	// ID is its identifier, an absolute URI without fragment: what a client
	// names in the parameter resource, and as it is the aud of its tokens. The
	// locations of authorization_details are at the API whose ID they are or
	// lie below, of several at that with the longest.
	ID string

	// Scopes are those of Config.Scopes that mean something there. Where there
	// is one Resource they may be left out: all mean something then. Of
	// several, one that has none says so by an empty list that is not nil. A token
	// for several never has a scope that two of them know, since neither could
	// tell what was approved (RFC 9068, 3). The scopes of OpenID Connect, such
	// as openid, mean something to the server itself and need no API.
	//
	// A grant is for the API at which its scopes meant something when the
	// customer was asked, and for no other that they come to mean something at
	// later. Where there is one Resource, it may be given another ID.
	Scopes []string

	// DetailsTypes are the names of those of Config.DetailsTypes that the API
	// takes. Where there is one Resource they may be left out: it takes all.
	DetailsTypes []string
}

// understands reports whether scope means something at r.
func (r Resource) understands(scope string) bool {
	return r.Scopes == nil || slices.Contains(r.Scopes, scope)
}

// takes reports whether details of type name mean something at r, one of n
// Resources.
func (r Resource) takes(name string, n int) bool {
	return r.DetailsTypes == nil && n == 1 || slices.Contains(r.DetailsTypes, name)
}

// takes reports whether details of type name mean something at r.
func (s *Server) takes(r *Resource, name string) bool {
	return r.takes(name, len(s.config.Resources))
}

// ownScopes mean something to the server itself, at whatever API a token is
// for: they say what the userinfo endpoint tells, and how long a grant lasts
// (OpenID Connect Core, 5.4 and 11).
var ownScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// checkResources returns what is wrong with c.Resources.
func checkResources(c *Config) (v Violations) {
	if len(c.Resources) == 0 {
		return Violations{{"RFC9068-3-1", "Resources is empty", "name the API that tokens are for by an absolute URI"}}
	}
	for i, r := range c.Resources {
		name := "Resources has " + strconv.Quote(r.ID)
		if !isResource(r.ID) {
			v = append(v, Violation{"RFC9068-3-1", name, "name the API by an absolute URI without fragment"})
		}
		if slices.ContainsFunc(c.Resources[:i], func(other Resource) bool { return other.ID == r.ID }) {
			v = append(v, Violation{"RFC9068-5-1", name + " twice", "give each API an identifier of its own"})
		}
		if r.Scopes == nil && len(c.Resources) > 1 {
			v = append(v, Violation{"RFC9068-3-2", name + " without Scopes", "say which scopes mean something at which API, by an empty list if none do"})
		}
		for _, scope := range r.Scopes {
			if !slices.Contains(c.Scopes, scope) {
				v = append(v, Violation{"RFC9068-3-2", name + " with scope " + strconv.Quote(scope), "offer it in Scopes, too"})
			}
		}
		for _, typ := range r.DetailsTypes {
			if !slices.ContainsFunc(c.DetailsTypes, func(t DetailsType) bool { return t.Name == typ }) {
				v = append(v, Violation{"RFC9396-2.1-1", name + " with details of type " + strconv.Quote(typ), "offer it in DetailsTypes of Config, too"})
			}
		}
	}
	for _, scope := range c.Scopes {
		if !slices.Contains(ownScopes, scope) && !slices.ContainsFunc(c.Resources, func(r Resource) bool { return r.understands(scope) }) {
			v = append(v, Violation{"RFC9068-2.2.3-1", "Scopes has " + strconv.Quote(scope) + ", which means nothing at any of Resources", "name it in Scopes of a Resource"})
		}
	}
	return v
}

// cloneResources returns a copy that shares no slice with rs.
func cloneResources(rs []Resource) []Resource {
	rs = slices.Clone(rs)
	for i := range rs {
		rs[i].Scopes, rs[i].DetailsTypes = slices.Clone(rs[i].Scopes), slices.Clone(rs[i].DetailsTypes)
	}
	return rs
}

// isResource reports whether id is an absolute URI without fragment (RFC 8707, 2).
func isResource(id string) bool {
	u, err := url.Parse(id)
	return err == nil && u.IsAbs() && !strings.Contains(id, "#")
}

// namedResources reads the parameter resource (RFC 8707, 2). It may repeat;
// what occurs twice counts once.
func (s *Server) namedResources(f form.Values) ([]string, error) {
	var named []string
	for _, id := range f.All("resource") {
		switch {
		case !isResource(id):
			return nil, refuse("RFC8707-2-1", invalidTarget, "resource must be an absolute URI without fragment")
		case s.resource(id) == nil:
			return nil, refuse("RFC8707-2-3", invalidTarget, "resource is unknown")
		case !slices.Contains(named, id):
			named = append(named, id)
		}
	}
	return named, nil
}

// resource returns the API called id, or nil.
func (s *Server) resource(id string) *Resource {
	for i := range s.config.Resources {
		if s.config.Resources[i].ID == id {
			return &s.config.Resources[i]
		}
	}
	return nil
}

// locate returns the API that a location of authorization_details is at, or
// nil: the one with the longest ID that the location is, or lies below.
func (s *Server) locate(location string) *Resource {
	var at *Resource
	for i := range s.config.Resources {
		r := &s.config.Resources[i]
		if below(location, r.ID) && (at == nil || len(r.ID) > len(at.ID)) {
			at = r
		}
	}
	return at
}

// below reports whether uri is base or, as it is written, a part of it.
func below(uri, base string) bool {
	rest, ok := strings.CutPrefix(uri, base)
	return ok && (rest == "" || strings.HasSuffix(base, "/") || strings.ContainsAny(rest[:1], "/?#"))
}

// meanings returns those of the APIs called ids at which scope means something.
func (s *Server) meanings(scope string, ids []string) []string {
	var at []string
	for _, id := range ids {
		if r := s.resource(id); r != nil && r.understands(scope) && !slices.Contains(ownScopes, scope) {
			at = append(at, id)
		}
	}
	return at
}

// implied returns the APIs at which one of the scopes means something, in the
// order of Config.Resources (RFC 9068, 3).
func (s *Server) implied(scopes []string) []string {
	var ids []string
	for _, r := range s.config.Resources {
		if s.someMeaning(scopes, r.ID) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// someMeaning reports whether one of the scopes means something at the API
// called id.
func (s *Server) someMeaning(scopes []string, id string) bool {
	return slices.ContainsFunc(scopes, func(scope string) bool { return s.meanings(scope, []string{id}) != nil })
}

// checkTarget refuses a request for scopes that would mean nothing at the APIs
// it names (RFC 8707, 2) or, where it names none, that mean something at
// several (RFC 9068, 3). What is asked by authorization_details has locations
// of its own (RFC 9396, 3.2).
func (s *Server) checkTarget(scopes, named []string) error {
	if len(named) == 0 {
		if len(s.implied(scopes)) > 1 {
			return refuse("RFC9068-3-1", invalidScope, "the scopes are for several resources: name them by the parameter resource")
		}
		return nil
	}
	for _, scope := range scopes {
		if !slices.Contains(ownScopes, scope) && s.meanings(scope, named) == nil {
			return refuse("RFC8707-2.1-1", invalidTarget, "a scope means nothing at the resource")
		}
	}
	return nil
}
