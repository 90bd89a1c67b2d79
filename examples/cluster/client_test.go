package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"time"

	"github.com/aikagi/aikagi/pkce"
)

// A fintech is a client that authenticates by private_key_jwt and proves its
// key by DPoP.
type fintech struct {
	id         string
	key, proof *ecdsa.PrivateKey
}

func newFintech(id string) *fintech { return &fintech{id, newKey(), newKey()} }

func newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// metadata is how f is registered.
func (f *fintech) metadata() map[string]any {
	return map[string]any{
		"client_id":                  f.id,
		"client_name":                "Kakeibo",
		"redirect_uris":              []string{callback},
		"grant_types":                []string{"authorization_code", "refresh_token", "client_credentials"},
		"scope":                      "openid accounts",
		"token_endpoint_auth_method": "private_key_jwt",
		"dpop_bound_access_tokens":   true,
		"jwks":                       map[string]any{"keys": []any{jwk(f.key)}},
	}
}

// A message is a form as a client sends it once. It can be sent again, as a
// thief would.
type message struct {
	path, form, proof string
	assertionID       string // jti of the assertion
}

// message returns v for an endpoint, with a fresh assertion and proof.
func (f *fintech) message(path string, v url.Values) message {
	now := time.Now().Unix()
	m := message{path: path, assertionID: rand.Text()}
	v.Set("client_id", f.id)
	v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	v.Set("client_assertion", jwt(f.key, map[string]any{"alg": "ES256"}, map[string]any{
		"iss": f.id, "sub": f.id, "aud": issuer, "jti": m.assertionID, "iat": now, "exp": now + 240,
	}))
	m.form = v.Encode()
	if path == "/token" || path == "/par" {
		m.proof = f.prove(path)
	}
	return m
}

// reproved returns m with a fresh proof.
func (f *fintech) reproved(m message) message {
	m.proof = f.prove(m.path)
	return m
}

// prove returns a fresh DPoP proof for an endpoint.
func (f *fintech) prove(path string) string {
	return jwt(f.proof, map[string]any{"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk(f.proof)}, map[string]any{
		"jti": rand.Text(), "htm": "POST", "htu": issuer + path, "iat": time.Now().Unix(),
	})
}

const verifier = "wZ3k9Qm-7TtB0n5uYfXg2sLrP8aVdEjC1oHiKqRlMx4"

// asks returns an authorization request.
func (f *fintech) asks() message {
	return f.message("/par", url.Values{
		"response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid accounts"},
		"state": {"st-4Jx9"}, "nonce": {"n-0S6_WzA2Mj"},
		"code_challenge": {pkce.Challenge(verifier)}, "code_challenge_method": {"S256"},
	})
}

func (f *fintech) redeems(code string) message {
	return f.message("/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
}

func (f *fintech) refreshes(refresh string) message {
	return f.message("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
}

func (f *fintech) credentials() message {
	return f.message("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
}

func (f *fintech) revokes(token string) message {
	return f.message("/revoke", url.Values{"token": {token}})
}

func (f *fintech) inspects(token string) message {
	return f.message("/introspect", url.Values{"token": {token}})
}

func jwk(k *ecdsa.PrivateKey) map[string]any {
	point, err := k.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err)
	}
	return map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

// jwt signs by the standard library alone.
func jwt(k *ecdsa.PrivateKey, header, claims map[string]any) string {
	h, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	input := b64(h) + "." + b64(c)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
