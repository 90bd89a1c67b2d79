package authz

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"
)

// retirement returns when profile p ends, in words, or "" while it is served.
func (s *Server) retirement(p Profile) string {
	at, ok := s.config.Retire[p]
	if !ok || s.now().Before(at) {
		return ""
	}
	return "profile " + string(p) + " was retired at " + at.UTC().Format(time.RFC3339)
}

// checkRetired refuses a client whose profile has been retired. That is for
// every step but revocation: a client that goes leaves no token behind.
//
// The client is told, so that nobody looks for a fault in its keys.
func (s *Server) checkRetired(c *caller) error {
	if why := s.retirement(c.profile); why != "" {
		return refuse("CONF-1", unauthorizedClient, "the client's profile was retired; it may only revoke").because(errors.New(why))
	}
	return nil
}

// served returns the profiles that have not been retired, for what the server
// says of itself. A server whose last profile went has nothing else to say.
func (s *Server) served() []Profile {
	var served []Profile
	for _, p := range s.config.Profiles {
		if s.retirement(p) == "" {
			served = append(served, p)
		}
	}
	if served == nil {
		return s.config.Profiles
	}
	return served
}

// checkRetire returns what is wrong with the dates of c.
func checkRetire(c *Config) (v Violations) {
	for _, p := range slices.Sorted(maps.Keys(c.Retire)) {
		name := "Retire of " + strconv.Quote(string(p))
		if !slices.Contains(c.Profiles, p) {
			v = append(v, Violation{"Config", name + " is of no profile that is served", "list the profile in Profiles, too: its clients may still revoke"})
		}
		if c.Retire[p].IsZero() {
			v = append(v, Violation{"Config", name + " is no date", "set the date, or leave the profile out"})
		}
	}
	return v
}
