package token

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/aikagi/aikagi/internal/jose"
)

// readAccess reads the claims of an access token whose signature is verified.
// What RFC 9068, 2.2 requires must be there, and whatever is there must be of
// its type.
func readAccess(c jose.Claims) (*Access, error) {
	a, err := readClaims(c)
	switch {
	case err != nil:
		return nil, err
	case a.ID == "":
		return nil, badClaim("jti")
	case a.IssuedAt.IsZero():
		return nil, badClaim("iat")
	}
	return a, nil
}

// readClaims is readAccess for claims that the authorization server tells us,
// which may leave out jti and iat (RFC 7662, 2.2).
func readClaims(c jose.Claims) (*Access, error) {
	a := &Access{}
	for _, name := range c.Names() {
		if err := a.read(c, name); err != nil {
			return nil, err
		}
	}
	switch {
	case a.Issuer == "":
		return nil, badClaim("iss")
	case a.Subject == "":
		return nil, badClaim("sub")
	case a.ClientID == "":
		return nil, badClaim("client_id")
	case len(a.Audience) == 0:
		return nil, badClaim("aud")
	case a.Expires.IsZero():
		return nil, badClaim("exp")
	case a.Confirmation == Confirmation{}:
		return nil, refuseToken("FAPI2-SP-5.3.4-5", "the token is bound to nothing")
	}
	return a, nil
}

func badClaim(name string) *Error {
	return refuseToken("RFC9068-2.2-1", "the claim "+name+" is missing or malformed")
}

// read reads the claim called name, which is there.
func (a *Access) read(c jose.Claims, name string) error {
	var ok bool
	switch name {
	case "iss":
		a.Issuer, ok = c.String(name)
	case "sub":
		a.Subject, ok = c.String(name)
	case "client_id":
		a.ClientID, ok = c.String(name)
	case "jti":
		a.ID, ok = c.String(name)
	case "acr":
		a.ACR, ok = c.String(name)
	case "grant_id":
		a.GrantID, ok = c.String(name)
	case "aud":
		a.Audience, ok = c.Strings(name)
	case "amr":
		a.AMR, ok = c.Strings(name)
	case "iat":
		a.IssuedAt, ok = c.Time(name)
	case "exp":
		a.Expires, ok = c.Time(name)
	case "auth_time":
		a.AuthTime, ok = c.Time(name)
	case "scope":
		a.Scopes, ok = readScope(c)
	case "authorization_details":
		a.Details, ok = readDetails(c)
	case "cnf":
		cnf, _ := c.Object(name)
		return a.Confirmation.read(cnf)
	default:
		ok = a.readExtra(c, name)
	}
	if !ok {
		return badClaim(name)
	}
	return nil
}

func readScope(c jose.Claims) ([]string, bool) {
	s, ok := c.String("scope")
	if s == "" {
		return nil, ok
	}
	scopes := strings.Split(s, " ")
	for _, s := range scopes {
		if !isScope(s) {
			return nil, false
		}
	}
	return scopes, true
}

// read reads cnf. Members we do not know may stand beside the one we do (RFC
// 7800, 3.1), but never instead of it (RFC 8705, 3.1). A token that is bound
// to a certificate and to a key is refused: a request proves one of them, and
// whoever binds to two means both to be checked.
func (x *Confirmation) read(cnf jose.Claims) error {
	x.X5T, _ = cnf.String("x5t#S256")
	x.JKT, _ = cnf.String("jkt")
	switch {
	case cnf.Has("jkt") && cnf.Has("x5t#S256"):
		return refuseToken("RFC8705-3.1-2", "the token is bound in two ways")
	case x.X5T == "" && x.JKT == "":
		return refuseToken("RFC8705-3.1-2", "the token is bound neither to a certificate nor to a key")
	}
	return nil
}

// readExtra decodes a claim that has no field.
func (a *Access) readExtra(c jose.Claims, name string) bool {
	raw, _ := c.Raw(name)
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // a float64 would lose digits
	var v any
	if d.Decode(&v) != nil {
		return false
	}
	if a.Extra == nil {
		a.Extra = make(map[string]any)
	}
	a.Extra[name] = v
	return true
}
