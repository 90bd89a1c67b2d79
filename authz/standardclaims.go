package authz

import (
	"encoding/json"
	"slices"
	"strings"
)

// scopeClaims are the claims that a client asks for by a scope (OIDC Core,
// 5.4). They go to userinfo, and never into the ID token of a code flow.
var scopeClaims = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
		"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":   {"email", "email_verified"},
	"address": {"address"},
	"phone":   {"phone_number", "phone_number_verified"},
}

// atUserInfo returns the claims that the userinfo endpoint is asked for by the
// scopes and one by one. What is asked of a value counts for both.
func (s *Server) atUserInfo(scopes []string, q askedClaims) []askedClaim {
	asked := slices.Clone(q.userInfo)
	for _, scope := range scopes {
		for _, name := range scopeClaims[scope] {
			if slices.Contains(s.config.ClaimNames, name) && !hasClaim(asked, name) {
				asked = append(asked, askedClaim{name: name})
			}
		}
	}
	return asked
}

// ofItsKind reports whether a value that the host gave for a claim has the type
// that OIDC Core, 5.1 gives that claim, be it in another language: clients trip
// over "true" for true. Claims that are not of the standard have any.
func ofItsKind(name string, value json.RawMessage) bool {
	name, _, _ = strings.Cut(name, "#")
	first := value[0]
	switch name {
	case "email_verified", "phone_number_verified":
		return first == 't' || first == 'f'
	case "updated_at":
		return first == '-' || '0' <= first && first <= '9'
	case "address":
		return first == '{'
	}
	for _, names := range scopeClaims {
		if slices.Contains(names, name) {
			return first == '"'
		}
	}
	return true
}
