package token

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/aikagi/aikagi/internal/jose"
)

// fields are the claims that Access has a field for.
var fields = []string{"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope",
	"auth_time", "acr", "amr", "cnf", "grant_id"}

// readAccess reads the claims of an access token whose signature is verified.
// What RFC 9068, 2.2 requires must be there, and whatever is there must be of
// its type.
func readAccess(c jose.Claims) (*Access, error) {
	a := &Access{}
	for _, f := range [...]struct {
		name     string
		to       *string
		required bool
	}{
		{"iss", &a.Issuer, true}, {"sub", &a.Subject, true}, {"client_id", &a.ClientID, true},
		{"jti", &a.ID, true}, {"acr", &a.ACR, false}, {"grant_id", &a.GrantID, false},
	} {
		s, ok := c.String(f.name)
		if !ok && (f.required || c.Has(f.name)) || f.required && s == "" {
			return nil, badClaim(f.name)
		}
		*f.to = s
	}
	var ok bool
	if a.Audience, ok = c.Strings("aud"); !ok {
		return nil, badClaim("aud")
	}
	if a.IssuedAt, ok = c.Time("iat"); !ok {
		return nil, badClaim("iat")
	}
	if a.Expires, ok = c.Time("exp"); !ok {
		return nil, badClaim("exp")
	}
	if a.AuthTime, ok = c.Time("auth_time"); !ok && c.Has("auth_time") {
		return nil, badClaim("auth_time")
	}
	if a.AMR, ok = c.Strings("amr"); !ok && c.Has("amr") {
		return nil, badClaim("amr")
	}
	if a.Scopes, ok = readScope(c); !ok {
		return nil, badClaim("scope")
	}
	var err error
	if a.Confirmation, err = readConfirmation(c); err != nil {
		return nil, err
	}
	a.Extra, err = readExtra(c)
	return a, err
}

func badClaim(name string) *Error {
	return refuseToken("RFC9068-2.2-1", "the claim "+name+" is missing or malformed")
}

func readScope(c jose.Claims) ([]string, bool) {
	s, ok := c.String("scope")
	if !ok || s == "" {
		return nil, ok || !c.Has("scope")
	}
	scopes := strings.Split(s, " ")
	for _, s := range scopes {
		if !isScope(s) {
			return nil, false
		}
	}
	return scopes, true
}

// readConfirmation reads cnf. Members we do not know may stand beside the one
// we do (RFC 7800, 3.1), but never instead of it (RFC 8705, 3.1). A token that
// is bound to a DPoP key as well is refused: whoever binds to two means both
// to be checked.
func readConfirmation(c jose.Claims) (Confirmation, error) {
	cnf, ok := c.Object("cnf")
	if !ok {
		return Confirmation{}, refuseToken("FAPI2-SP-5.3.4-5", "the token is not bound to its client")
	}
	if cnf.Has("jkt") {
		return Confirmation{}, refuseToken("RFC8705-3.1-2", "the token is bound to a DPoP key, which is not accepted here")
	}
	x5t, ok := cnf.String("x5t#S256")
	if !ok {
		return Confirmation{}, refuseToken("RFC8705-3.1-2", "the token is not bound to a certificate")
	}
	return Confirmation{X5T: x5t}, nil
}

// readExtra decodes the claims that have no field.
func readExtra(c jose.Claims) (map[string]any, error) {
	var extra map[string]any
	for _, name := range c.Names() {
		if slices.Contains(fields, name) {
			continue
		}
		raw, _ := c.Raw(name)
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, badClaim(name)
		}
		if extra == nil {
			extra = make(map[string]any)
		}
		extra[name] = v
	}
	return extra, nil
}
