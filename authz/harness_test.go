package authz_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/pkce"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// What the tests are about: one bank, two fintechs, a customer.
const (
	issuer   = "https://as.bank.example"
	resource = "https://api.bank.example"
	callback = "https://app.fintech.example/cb"
	customer = "u-5b1e9d"
)

// A clock is a settable time for Config.Now.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A bank is a server under test with all that its host supplies.
type bank struct {
	t      testing.TB
	srv    *authz.Server
	config authz.Config
	clock  *clock
	ca     *ca

	mu     sync.Mutex
	events []authz.Event

	shown func(http.ResponseWriter, *http.Request, *authz.Interaction) // the first page
}

// newBank returns a bank whose clients are those given, after adjust.
func newBank(t testing.TB, clients []*authz.Client, adjust ...func(*authz.Config)) *bank {
	t.Helper()
	b := &bank{t: t, clock: &clock{t: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}, ca: testCA}
	registry, err := authz.NewClientList(clients...)
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := mtls.NewAuthorities([]*x509.Certificate{b.ca.cert})
	if err != nil {
		t.Fatal(err)
	}
	b.config = authz.Config{
		Issuer:        issuer,
		Store:         &store.Memory{Now: b.clock.Now},
		Keys:          serverKeys,
		Clients:       registry,
		Secrets:       [][]byte{[]byte("an example secret of 32 bytes or more")},
		Resources:     []authz.Resource{{ID: resource}},
		Scopes:        []string{"openid", "accounts", "payments"},
		Authorities:   authorities,
		GrantLifetime: 90 * 24 * time.Hour,
		Audit: func(_ context.Context, e authz.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
		},
		Now: b.clock.Now,
	}
	b.config.Interact = func(w http.ResponseWriter, r *http.Request, in *authz.Interaction) {
		if b.shown != nil {
			b.shown(w, r, in)
			return
		}
		io.WriteString(w, in.ID)
	}
	for _, f := range adjust {
		f(&b.config)
	}
	b.srv, err = authz.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lastEvent returns the newest audit event.
func (b *bank) lastEvent() authz.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) == 0 {
		return authz.Event{}
	}
	return b.events[len(b.events)-1]
}

func (b *bank) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	b.srv.ServeHTTP(w, r)
	return w.Result()
}

// A fintech is a client with its credentials.
type fintech struct {
	*authz.Client
	key   crypto.Signer
	alg   string
	kid   string
	chain []*x509.Certificate
}

// metadata returns a client that fits FAPI 2.0, for a test to change.
func metadata(id string) *authz.Client {
	return &authz.Client{
		ID:                     id,
		Name:                   "Kakeibo",
		RedirectURIs:           []string{callback},
		GrantTypes:             []string{"authorization_code", "refresh_token", "client_credentials"},
		Scope:                  "openid accounts payments",
		CertificateBoundTokens: true,
	}
}

// keyClient returns a client that authenticates by private_key_jwt, with a
// self-signed certificate to bind tokens to.
func keyClient(id string) *fintech {
	f := &fintech{Client: metadata(id), key: ecKeys.next(), alg: "ES256", kid: id + "-1"}
	f.AuthMethod = "private_key_jwt"
	f.JWKS = jwks(publicJWK(f.key.Public(), f.kid, f.alg))
	f.chain = []*x509.Certificate{selfSigned(ecKeys.next(), id)}
	return f
}

// tlsClient returns a client that authenticates by tls_client_auth.
func tlsClient(id string) *fintech {
	f := &fintech{Client: metadata(id)}
	f.AuthMethod = "tls_client_auth"
	f.CertificateSubject = mtls.Subject{DN: "CN=" + id + ",O=Fintech,C=JP"}
	f.chain = []*x509.Certificate{testCA.issue(&x509.Certificate{
		Subject: pkix.Name{Country: []string{"JP"}, Organization: []string{"Fintech"}, CommonName: id},
	}, ecKeys.next())}
	return f
}

// selfSignedClient returns a client that authenticates by
// self_signed_tls_client_auth.
func selfSignedClient(id string) *fintech {
	f := &fintech{Client: metadata(id)}
	f.AuthMethod = "self_signed_tls_client_auth"
	key := ecKeys.next()
	cert := selfSigned(key, id)
	jwk := publicJWK(key.Public(), id+"-cert", "ES256")
	jwk["x5c"] = []string{base64.StdEncoding.EncodeToString(cert.Raw)}
	f.JWKS = jwks(jwk)
	f.chain = []*x509.Certificate{cert}
	return f
}

// assertion returns the claims of a good client assertion.
func (f *fintech) assertion(b *bank) map[string]any {
	now := b.clock.Now().Unix()
	return map[string]any{
		"iss": f.ID, "sub": f.ID, "aud": b.config.Issuer, "jti": rand.Text(), "iat": now, "exp": now + 60,
	}
}

// signed returns a client assertion with those claims.
func (f *fintech) signed(claims map[string]any) string {
	return jwt(map[string]any{"alg": f.alg, "kid": f.kid}, claims, f.key)
}

// authenticate adds client authentication to v.
func (f *fintech) authenticate(b *bank, v url.Values) url.Values {
	v.Set("client_id", f.ID)
	if f.AuthMethod == "private_key_jwt" {
		v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		v.Set("client_assertion", f.signed(f.assertion(b)))
	}
	return v
}

// request returns a POST of a form over a connection with the client's
// certificate.
func (f *fintech) request(path string, v url.Values) *http.Request {
	r := httptest.NewRequest("POST", issuer+path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: f.chain}
	return r
}

const verifier = "wZ3k9Qm-7TtB0n5uYfXg2sLrP8aVdEjC1oHiKqRlMx4" // wire-examples, 1

// pushable returns the parameters of a good authorization request.
func (f *fintech) pushable() url.Values {
	return url.Values{
		"response_type":         {"code"},
		"redirect_uri":          {f.RedirectURIs[0]},
		"scope":                 {"openid accounts"},
		"state":                 {"st-4Jx9"},
		"nonce":                 {"n-0S6_WzA2Mj"},
		"code_challenge":        {pkce.Challenge(verifier)},
		"code_challenge_method": {"S256"},
	}
}

// push pushes v and returns the request_uri.
func (f *fintech) push(b *bank, v url.Values) string {
	b.t.Helper()
	res := b.do(f.request("/par", f.authenticate(b, v)))
	body := object(b.t, res)
	if res.StatusCode != 201 {
		b.t.Fatalf("PAR: %d %v", res.StatusCode, body)
	}
	return body["request_uri"].(string)
}

// A browser is the customer's: it keeps cookies.
type browser struct {
	b       *bank
	cookies []*http.Cookie
}

func (br *browser) do(r *http.Request) *http.Response {
	for _, c := range br.cookies {
		r.AddCookie(c)
	}
	res := br.b.do(r)
	br.cookies = append(br.cookies, res.Cookies()...)
	return res
}

// open follows the client's redirect to the authorization endpoint.
func (br *browser) open(f *fintech, requestURI string) *http.Response {
	q := url.Values{"client_id": {f.ID}, "request_uri": {requestURI}}
	return br.do(httptest.NewRequest("GET", issuer+"/authorize?"+q.Encode(), nil))
}

// page returns a request for a later page of the interaction.
func (br *browser) page(id string) *http.Request {
	r := httptest.NewRequest("POST", issuer+"/consent", strings.NewReader(url.Values{"interaction": {id}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range br.cookies {
		r.AddCookie(c)
	}
	return r
}

// decide opens the request and finishes it with d, and returns the response
// and Finish's error.
func (br *browser) decide(f *fintech, requestURI string, d authz.Decision) (*http.Response, error) {
	br.b.t.Helper()
	res := br.open(f, requestURI)
	id, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 {
		br.b.t.Fatalf("authorize: %d %s", res.StatusCode, id)
	}
	r := br.page(string(id))
	in, err := br.b.srv.Interaction(r)
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	err = in.Finish(w, r, d)
	return w.Result(), err
}

// approval is the customer's yes, just logged in.
func (b *bank) approval() authz.Decision {
	return authz.Decision{Subject: customer, AuthTime: b.clock.Now(), ACR: "urn:bank:acr:sca", AMR: []string{"pwd", "hwk"}}
}

// code runs the flow up to the code.
func (f *fintech) code(b *bank) string {
	b.t.Helper()
	br := &browser{b: b}
	res, err := br.decide(f, f.push(b, f.pushable()), b.approval())
	if err != nil {
		b.t.Fatalf("Finish: %v", err)
	}
	code := location(b.t, res).Get("code")
	if code == "" {
		b.t.Fatalf("no code in %s", res.Header.Get("Location"))
	}
	return code
}

// redeemable returns the parameters that redeem code.
func (f *fintech) redeemable(code string) url.Values {
	return url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {f.RedirectURIs[0]},
		"code_verifier": {verifier},
	}
}

// token sends v to the token endpoint, authenticated, and returns the answer.
func (f *fintech) token(b *bank, v url.Values) (int, map[string]any) {
	b.t.Helper()
	res := b.do(f.request("/token", f.authenticate(b, v)))
	return res.StatusCode, object(b.t, res)
}

// tokens runs the flow up to the tokens.
func (f *fintech) tokens(b *bank) map[string]any {
	b.t.Helper()
	status, body := f.token(b, f.redeemable(f.code(b)))
	if status != 200 {
		b.t.Fatalf("token: %d %v", status, body)
	}
	return body
}

// check asks a resource server about an access token presented by f, and
// returns the error code, or "".
func (f *fintech) check(b *bank, access string) error {
	b.t.Helper()
	v, err := token.NewVerifier(token.VerifierConfig{
		Issuer: issuer, Audience: resource, Keys: serverKeys, Liveness: b.config.Store, Now: b.clock.Now,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest("GET", resource+"/accounts", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: f.chain}
	_, err = v.Check(r, token.Require{})
	return err
}

// object returns the JSON object of an answer.
func object(t testing.TB, res *http.Response) map[string]any {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%d %s: %v", res.StatusCode, b, err)
	}
	return m
}

// location returns the query of a redirect.
func location(t testing.TB, res *http.Response) url.Values {
	t.Helper()
	u, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// jwt signs by the standard library alone, so that it can write what no client
// should.
func jwt(header, claims map[string]any, key crypto.Signer) string {
	h, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return signJWS(header["alg"].(string), base64.RawURLEncoding.EncodeToString(h)+"."+base64.RawURLEncoding.EncodeToString(c), key)
}

func signJWS(alg, input string, key crypto.Signer) string {
	sum := sha256.Sum256([]byte(input))
	var sig []byte
	var err error
	switch alg {
	case "ES256":
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
		if err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case "PS256":
		sig, err = key.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256})
	case "RS256":
		sig, err = key.Sign(rand.Reader, sum[:], crypto.SHA256)
	case "EdDSA", "Ed25519":
		sig, err = key.Sign(rand.Reader, []byte(input), crypto.Hash(0))
	}
	if err != nil {
		panic(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func publicJWK(pub crypto.PublicKey, kid, alg string) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	m := map[string]any{"kid": kid, "use": "sig"}
	if alg != "" {
		m["alg"] = alg
	}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		m["kty"], m["crv"] = "EC", "P-256"
		point, err := k.Bytes() // 4, x, y
		if err != nil {
			panic(err)
		}
		m["x"], m["y"] = b64(point[1:33]), b64(point[33:])
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(k)
	}
	return m
}

func jwks(keys ...map[string]any) json.RawMessage {
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return b
}

// A pool makes keys once and hands them out in turn.
type pool struct {
	mu   sync.Mutex
	keys []*ecdsa.PrivateKey
	at   int
}

var ecKeys pool

func (p *pool) next() *ecdsa.PrivateKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	const size = 16
	if len(p.keys) < size {
		p.keys = append(p.keys, newEC())
		return p.keys[len(p.keys)-1]
	}
	p.at++
	return p.keys[p.at%size]
}

func newEC() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// rsaKey is slow to make, so that there is one.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

var serverKeys = func() token.KeySet {
	k, err := token.NewKeySet(token.PrivateKey{ID: "as-1", Algorithm: "ES256", Signer: newEC()})
	if err != nil {
		panic(err)
	}
	return k
}()

// A ca issues client certificates.
type ca struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var testCA = func() *ca {
	key := newEC()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Fintech CA"},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &ca{sign(c, c, key.Public(), key), key}
}()

var serial int64

// issue fills in what a good client certificate has and signs it.
func (c *ca) issue(cert *x509.Certificate, key crypto.Signer) *x509.Certificate {
	complete(cert)
	return sign(cert, c.cert, key.Public(), c.key)
}

func selfSigned(key crypto.Signer, name string) *x509.Certificate {
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
	complete(cert)
	return sign(cert, cert, key.Public(), key)
}

func complete(cert *x509.Certificate) {
	serial++
	cert.SerialNumber = big.NewInt(serial)
	if cert.NotAfter.IsZero() {
		cert.NotBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		cert.NotAfter = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	cert.KeyUsage = x509.KeyUsageDigitalSignature
	if cert.ExtKeyUsage == nil {
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
}

func sign(cert, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, pub, key)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c
}

// clients returns the registered part of each.
func clients(fs ...*fintech) []*authz.Client {
	var cs []*authz.Client
	for _, f := range fs {
		cs = append(cs, f.Client)
	}
	return cs
}
