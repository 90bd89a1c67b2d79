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
// (access tokens) are bound to the certificate that its connections carry, or
// to the key of the prover that a call is made by.
type client struct {
	id, issuer, redirectURI, scope string

	binding binding
	key     *ecdsa.PrivateKey // signs assertions, ES256
	http    *http.Client      // presents the certificate, if there is one

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
	k, err := publicJWK(c.key)
	if err != nil {
		return nil, err
	}
	k["use"], k["alg"], k["kid"] = "sig", "ES256", keyID
	return json.Marshal(map[string]any{"keys": []any{k}})
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
	// The aliases are for those who show a certificate (RFC 8705, 5).
	if c.binding == byCertificate && m.Aliases.PAR != "" {
		m.PAR = m.Aliases.PAR
	}
	if c.binding == byCertificate && m.Aliases.Token != "" {
		m.Token = m.Aliases.Token
	}
	c.metadata = m
	return m, nil
}

// A pushed request waits at the bank for the customer.
type pushed struct {
	Sent       url.Values // what was sent, without the client assertion
	Proof      *proof     // what went with it; nil if the key is for a certificate
	RequestURI string
	ExpiresIn  int
	Authorize  string // where the customer's browser goes
}

// push sends an authorization request to the bank directly (RFC 9126). A proof
// binds the code that comes of it to the prover's key (RFC 9449, 10.1).
func (c *client) push(ctx context.Context, by *prover, state, verifier string) (*pushed, error) {
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
	var ticket struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int    `json:"expires_in"`
	}
	made, err := c.post(ctx, by, m.PAR, http.StatusCreated, sent, &ticket)
	if err != nil {
		return nil, err
	}
	browser := url.Values{"client_id": {c.id}, "request_uri": {ticket.RequestURI}}
	return &pushed{
		Sent: sent, Proof: made, RequestURI: ticket.RequestURI, ExpiresIn: ticket.ExpiresIn,
		Authorize: m.Authorize + "?" + browser.Encode(),
	}, nil
}

// redeem opens the locker: it exchanges the code for tokens.
func (c *client) redeem(ctx context.Context, by *prover, code, verifier string) (*tokens, error) {
	return c.token(ctx, by, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.redirectURI}, "code_verifier": {verifier},
	})
}

// refresh has a new key cut.
func (c *client) refresh(ctx context.Context, by *prover, refreshToken string) (*tokens, error) {
	return c.token(ctx, by, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})
}

func (c *client) token(ctx context.Context, by *prover, form url.Values) (*tokens, error) {
	m, err := c.discover(ctx)
	if err != nil {
		return nil, err
	}
	t := new(tokens)
	if _, err := c.post(ctx, by, m.Token, http.StatusOK, form, t); err != nil {
		return nil, err
	}
	// Another type would be a key that is bound otherwise, or not at all (RFC
	// 9449, 5).
	if want := c.binding.scheme(); t.AccessToken == "" || !strings.EqualFold(t.TokenType, want) {
		return nil, fmt.Errorf("the token response has no %s token", want)
	}
	return t, nil
}

// post sends form with a fresh client assertion and reads the answer into v. It
// returns the proof that went along, if there was one.
func (c *client) post(ctx context.Context, by *prover, endpoint string, want int, form url.Values, v any) (*proof, error) {
	a, err := by.send(c.http, "", func() (*http.Request, error) { return c.request(ctx, endpoint, form) })
	if err != nil {
		return nil, err
	}
	return a.proof, a.read(want, v)
}

// request makes a request that says who the client is, good for once.
func (c *client) request(ctx context.Context, endpoint string, form url.Values) (*http.Request, error) {
	assertion, err := c.assertion(time.Now())
	if err != nil {
		return nil, err
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
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	return req, nil
}

func (c *client) getJSON(ctx context.Context, address string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	a, err := send(c.http, req)
	if err != nil {
		return err
	}
	return a.read(http.StatusOK, v)
}

// An answer is what a server said to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
	proof  *proof // that went with the request, or nil
}

// send returns the answer to req, of which it reads no more than a megabyte.
func send(h *http.Client, req *http.Request) (*answer, error) {
	res, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return &answer{status: res.StatusCode, header: res.Header, body: body}, err
}

// read reads the answer hoped for into v.
func (a *answer) read(want int, v any) error {
	if a.status != want {
		return &refusal{a.status, string(a.body)}
	}
	return json.Unmarshal(a.body, v)
}

// challenge returns what the server asks of those who use scheme, or "".
func (a *answer) challenge(scheme string) string {
	for _, c := range a.header["Www-Authenticate"] {
		if strings.HasPrefix(c, scheme+" ") {
			return c
		}
	}
	return ""
}

// A refusal is the bank's answer other than the one hoped for.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("the bank answered %d: %s", r.status, r.body) }

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
