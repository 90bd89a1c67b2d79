package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A client is the protocol side of the fintech: a FAPI 2.0 client in nothing
// but the standard library. It authenticates by private_key_jwt, and its keys
// (access tokens) are bound to the certificate that its connections carry.
type client struct {
	id, issuer, redirectURI, scope string

	key  *ecdsa.PrivateKey // signs assertions, ES256
	http *http.Client      // presents the certificate

	mu       sync.Mutex
	metadata *metadata // of the issuer, once fetched
}

// keyID is the kid of the client's one signing key.
const keyID = "fintech-1"

// Metadata is what the client uses of the server's (RFC 8414, RFC 8705, 5).
type metadata struct {
	Issuer    string `json:"issuer"`
	Authorize string `json:"authorization_endpoint"`
	PAR       string `json:"pushed_authorization_request_endpoint"`
	Token     string `json:"token_endpoint"`
	Aliases   struct {
		PAR   string `json:"pushed_authorization_request_endpoint"`
		Token string `json:"token_endpoint"`
	} `json:"mtls_endpoint_aliases"`
}

// Tokens is an answer of the token endpoint.
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
}

// newHTTPClient returns a client that trusts roots alone, follows no redirect,
// and presents certs.
func newHTTPClient(roots *x509.CertPool, certs ...tls.Certificate) *http.Client {
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: certs}, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// jwks returns the client's public key, as the bank registers it.
func (c *client) jwks() (json.RawMessage, error) {
	point, err := c.key.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": keyID,
		"x": b64(point[1:33]), "y": b64(point[33:]),
	}}})
}

// discover returns the server's metadata, fetched once. (The issuer has no
// path, so its document is at the root.) That its issuer is the
// one asked for defends against a server that poses as another (RFC 8414, 3.3).
func (c *client) discover(ctx context.Context) (*metadata, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.metadata != nil {
		return c.metadata, nil
	}
	m := new(metadata)
	if err := c.getJSON(ctx, c.issuer+"/.well-known/oauth-authorization-server", m); err != nil {
		return nil, err
	}
	if m.Issuer != c.issuer {
		return nil, fmt.Errorf("the metadata is of issuer %q, not %q", m.Issuer, c.issuer)
	}
	if m.Aliases.PAR == "" {
		m.Aliases.PAR = m.PAR
	}
	if m.Aliases.Token == "" {
		m.Aliases.Token = m.Token
	}
	c.metadata = m
	return m, nil
}

// A pushed request waits at the bank for the customer.
type pushed struct {
	Sent       url.Values // what was sent, without the client assertion
	RequestURI string
	ExpiresIn  int
	Authorize  string // where the customer's browser goes
}

// push sends an authorization request to the bank directly (RFC 9126).
func (c *client) push(ctx context.Context, state, verifier string) (*pushed, error) {
	m, err := c.discover(ctx)
	if err != nil {
		return nil, err
	}
	challenge := sha256.Sum256([]byte(verifier)) // RFC 7636, 4.2
	sent := url.Values{
		"response_type":         {"code"},
		"client_id":             {c.id},
		"redirect_uri":          {c.redirectURI},
		"scope":                 {c.scope},
		"state":                 {state},
		"code_challenge":        {b64(challenge[:])},
		"code_challenge_method": {"S256"},
	}
	var answer struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int    `json:"expires_in"`
	}
	if err := c.post(ctx, m.Aliases.PAR, http.StatusCreated, sent, &answer); err != nil {
		return nil, err
	}
	browser := url.Values{"client_id": {c.id}, "request_uri": {answer.RequestURI}}
	return &pushed{Sent: sent, RequestURI: answer.RequestURI, ExpiresIn: answer.ExpiresIn, Authorize: m.Authorize + "?" + browser.Encode()}, nil
}

// redeem opens the locker: it exchanges the code for tokens.
func (c *client) redeem(ctx context.Context, code, verifier string) (*tokens, error) {
	return c.token(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.redirectURI}, "code_verifier": {verifier},
	})
}

// refresh has a new key cut.
func (c *client) refresh(ctx context.Context, refreshToken string) (*tokens, error) {
	return c.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})
}

func (c *client) token(ctx context.Context, form url.Values) (*tokens, error) {
	m, err := c.discover(ctx)
	if err != nil {
		return nil, err
	}
	t := new(tokens)
	if err := c.post(ctx, m.Aliases.Token, http.StatusOK, form, t); err != nil {
		return nil, err
	}
	if t.AccessToken == "" || !strings.EqualFold(t.TokenType, "Bearer") {
		return nil, fmt.Errorf("the token response has no Bearer token")
	}
	return t, nil
}

// post sends form with a fresh client assertion and reads the answer into v.
func (c *client) post(ctx context.Context, endpoint string, want int, form url.Values, v any) error {
	assertion, err := c.assertion(time.Now())
	if err != nil {
		return err
	}
	body := url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}
	for name, value := range form {
		body[name] = value
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(req, want, v)
}

func (c *client) getJSON(ctx context.Context, address string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return c.do(req, http.StatusOK, v)
}

func (c *client) do(req *http.Request, want int, v any) error {
	req.Header.Set("Accept", "application/json")
	status, _, body, err := send(c.http, req)
	if err != nil {
		return err
	}
	if status != want {
		return &refusal{status, string(body)}
	}
	return json.Unmarshal(body, v)
}

// A refusal is the bank's answer other than the one hoped for.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("the bank answered %d: %s", r.status, r.body) }

// send returns the answer to req, of which it reads no more than a megabyte.
func send(h *http.Client, req *http.Request) (int, http.Header, []byte, error) {
	res, err := h.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, res.Header, body, err
}

// assertion proves who the client is (RFC 7523, 3 with the issuer as the one
// audience, FAPI 2.0 SP, 5.3.3.1).
func (c *client) assertion(now time.Time) (string, error) {
	return signES256(c.key, map[string]any{"alg": "ES256", "typ": "JWT", "kid": keyID}, map[string]any{
		"iss": c.id, "sub": c.id, "aud": c.issuer, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
}

// signES256 returns a JWS in compact form (RFC 7515, 3.1; RFC 7518, 3.4).
func signES256(key *ecdsa.PrivateKey, header, claims map[string]any) (string, error) {
	h, err1 := json.Marshal(header)
	p, err2 := json.Marshal(claims)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	input := b64(h) + "." + b64(p)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	var sig [64]byte
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + b64(sig[:]), nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
