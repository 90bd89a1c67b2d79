package authz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/aikagi/aikagi/internal/jose"
)

// enc returns the content encryption, by default that of the registry (OpenID
// Connect Registration, 2; JARM, 3; RFC 9701, 6).
func (e Encryption) enc() string { return cmp.Or(e.Enc, jose.A128CBCHS256) }

// fault says what is wrong with e, whose members begin with name, or "".
func (e Encryption) fault(name string) string {
	switch {
	case e.Alg == "" && e.Enc != "":
		return name + "_enc is there without " + name + "_alg"
	case e.Alg != "" && !slices.Contains(jose.KeyAlgorithms, e.Alg):
		return name + "_alg is " + strconv.Quote(e.Alg)
	case e.Enc != "" && !slices.Contains(jose.ContentAlgorithms, e.Enc):
		return name + "_enc is " + strconv.Quote(e.Enc)
	}
	return ""
}

// checkEncryption returns what is wrong with the members of c's metadata that
// ask for encryption. There must be a key for each: what was to be encrypted
// could not be sent without (OpenID Connect Core, 10.2).
func (s *Server) checkEncryption(c *Client) (v Violations) {
	if e := c.RequestEncryption; e != (Encryption{}) {
		ours := func(k jose.DecryptionKey) bool { return k.Algorithm == e.Alg }
		if bad := e.fault("request_object_encryption"); bad != "" {
			v = append(v, Violation{"OIDR-13", bad, "register an _alg of the server's, and an _enc only beside it"})
		} else if !slices.ContainsFunc(s.decrypt, ours) {
			v = append(v, Violation{"OIDR-13", "request_object_encryption_alg is " + strconv.Quote(e.Alg), "give the server a key for it in Config.Decrypt"})
		}
	}
	for _, m := range []struct {
		row, name string
		Encryption
	}{
		{"JARM-3-2", "authorization_encrypted_response", c.ResponseEncryption},
		{"OIDR-10", "id_token_encrypted_response", c.IDTokenEncryption},
		{"OIDR-11", "userinfo_encrypted_response", c.UserInfoEncryption},
		{"RFC9701-6-1", "introspection_encrypted_response", c.IntrospectionEncryption},
	} {
		if bad := m.fault(m.name); bad != "" {
			v = append(v, Violation{m.row, bad, "register an _alg of the server's, and an _enc only beside it"})
		} else if m.Alg != "" && !s.keys.mayEncrypt(c, m.Alg) {
			v = append(v, Violation{m.row, "no key for " + m.name + "_alg " + strconv.Quote(m.Alg), "register one in jwks, or jwks_uri"})
		}
	}
	return v
}

// encrypt returns a signed JWT nested in a JWE for client c, or the JWT itself
// if it registered for no encryption (RFC 7519, 5.2). It never sends in the
// clear what was to be encrypted: without a key that fits there is no answer
// (OpenID Connect Core, 10.2). Replicated are claims of it that the header
// repeats (RFC 7519, 5.3).
func (s *Server) encrypt(ctx context.Context, c *Client, e Encryption, jwt string, replicated ...[2]string) (string, error) {
	if e.Alg == "" {
		return jwt, nil
	}
	set, err := s.keys.set(ctx, c)
	if err != nil {
		return "", fmt.Errorf("the client's keys: %w", err)
	}
	key, ok := jose.EncryptionKey(set, e.Alg)
	if !ok {
		if set, err := s.keys.refresh(ctx, c); err == nil && set != nil {
			key, ok = jose.EncryptionKey(set, e.Alg)
		}
	}
	if !ok {
		return "", errors.New("the client has no key to encrypt to for " + e.Alg)
	}
	return jose.Encrypt(e.Alg, e.enc(), key.ID, "JWT", key.Public, []byte(jwt), replicated...)
}
