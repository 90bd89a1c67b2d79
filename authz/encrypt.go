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

// encryptions returns the members that ask for encryption: of what the client
// sends first, and then of what it is sent.
func (c *Client) encryptions() []namedEncryption {
	return []namedEncryption{
		{"request_object_encryption", "OIDR-13", c.RequestEncryption},
		{"authorization_encrypted_response", "JARM-3-2", c.ResponseEncryption},
		{"id_token_encrypted_response", "OIDR-10", c.IDTokenEncryption},
		{"userinfo_encrypted_response", "OIDR-11", c.UserInfoEncryption},
		{"introspection_encrypted_response", "RFC9701-6-1", c.IntrospectionEncryption},
	}
}

type namedEncryption struct {
	name, row string
	Encryption
}

// checkEncryption returns what is wrong with the members of c's metadata that
// ask for encryption. There must be a key for each: what was to be encrypted
// could not be sent without (OpenID Connect Core, 10.2).
func (s *Server) checkEncryption(c *Client) (v Violations) {
	if e := c.encryptions()[0]; e.Encryption != (Encryption{}) {
		ours := func(k jose.DecryptionKey) bool { return k.Algorithm == e.Alg }
		if bad := e.fault(e.name); bad != "" {
			v = append(v, Violation{e.row, bad, "register an _alg of the server's, and an _enc only beside it"})
		} else if !slices.ContainsFunc(s.decrypt, ours) {
			v = append(v, Violation{e.row, e.name + "_alg is " + strconv.Quote(e.Alg), "give the server a key for it in Config.Decrypt"})
		}
	}
	for _, m := range c.encryptions()[1:] {
		if bad := m.fault(m.name); bad != "" {
			v = append(v, Violation{m.row, bad, "register an _alg of the server's, and an _enc only beside it"})
		} else if m.Alg != "" && !s.keys.mayEncrypt(c, m.Alg) {
			v = append(v, Violation{m.row, "no key for " + m.name + "_alg " + strconv.Quote(m.Alg), "register one in jwks, or jwks_uri"})
		}
	}
	return v
}

// encryptionKey returns the key in the client's set to encrypt to with alg.
func (c *caller) encryptionKey(set *jose.Set, alg string) (jose.Key, bool) {
	if !c.policy.markedKeys || set == nil {
		return jose.EncryptionKey(set, alg)
	}
	unmarked := func(k jose.Key) bool { return k.Use != "enc" || k.ID == "" }
	return jose.EncryptionKey(&jose.Set{Keys: slices.DeleteFunc(slices.Clone(set.Keys), unmarked)}, alg)
}

// encrypt returns a signed JWT nested in a JWE for client c, or the JWT itself
// if it registered for no encryption (RFC 7519, 5.2). It never sends in the
// clear what was to be encrypted: without a key that fits there is no answer
// (OpenID Connect Core, 10.2). Replicated are claims of it that the header
// repeats (RFC 7519, 5.3).
func (s *Server) encrypt(ctx context.Context, c *caller, e Encryption, jwt string, replicated ...[2]string) (string, error) {
	if e.Alg == "" {
		return jwt, nil
	}
	set, err := s.keys.set(ctx, c.Client)
	if err != nil {
		return "", fmt.Errorf("the client's keys: %w", err)
	}
	key, ok := c.encryptionKey(set, e.Alg)
	if !ok {
		if set, err := s.keys.refresh(ctx, c.Client); err == nil && set != nil {
			key, ok = c.encryptionKey(set, e.Alg)
		}
	}
	if !ok {
		return "", errors.New("the client has no key to encrypt to for " + e.Alg)
	}
	return jose.Encrypt(e.Alg, e.enc(), key.ID, "JWT", key.Public, []byte(jwt), replicated...)
}
