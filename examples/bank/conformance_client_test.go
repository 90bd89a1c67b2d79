package main

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A tester is one of the two clients that the conformance tests play, as
// strangers to this bank would write them.
type tester struct {
	kind
	id, redirect string
	issuer       string
	resource     string          // which API it is; "" if none
	alg          string          // of all that it signs
	key          crypto.Signer   // for that; nil if it signs nothing
	decrypt      *rsa.PrivateKey // what it is sent is encrypted to; nil if it is not
	prover       *prover         // proves a key with each request; nil if tokens are bound to cert
	cert         tls.Certificate
	http         *http.Client // shows cert, where the client has one
	naked        *http.Client // shows none
}

// A kind of clients is what two testers have in common.
type kind struct {
	method string    // token_endpoint_auth_method
	openid bool      // whether they ask for ID tokens
	dpop   bool      // whether tokens are bound to a proof key
	signs  bool      // whether they push signed request objects (JAR)
	jarm   bool      // whether they want signed responses
	sealed bool      // whether they want what they are sent encrypted
	apis   [2]string // if they are APIs, which do nothing but ask about tokens: their paths
	more   map[string]any

	advanced bool // whether they are clients of FAPI 1.0 Advanced
	byValue  bool // whether their browsers bring the request; otherwise it is pushed
}

// hybrid reports whether they are answered by code and ID token.
func (k kind) hybrid() bool { return k.advanced && !k.jarm }

// String names the kind in the names of tests.
func (k kind) String() string {
	parts := []string{k.method, "certificate", "plain OAuth"}
	if k.advanced {
		return k.advancedString()
	}
	if k.dpop {
		parts[1] = "DPoP"
	}
	if k.openid {
		parts[2] = "OpenID Connect"
	}
	if k.signs {
		parts = append(parts, "signed request")
	}
	if k.jarm {
		parts = append(parts, "signed response")
	}
	if k.sealed {
		parts = append(parts, "encrypted")
	}
	return strings.Join(parts, ", ")
}

const testerKey = "tester-key"

// newTesters returns two clients of a kind. They differ in keys and algorithm,
// certificates, redirect URI, and in what they connect with: HTTP/2 and the
// newest TLS, or HTTP/1.1 and TLS 1.2.
func newTesters(t *testing.T, n int, k kind, l *lab, issued *pki) [2]*tester {
	t.Helper()
	roots := l.roots
	id := fmt.Sprintf("%s-%d", k.method, n)
	both := [2]*tester{
		{id: id + "-1", redirect: "https://client.example/callback", alg: "PS256", cert: issued.fintech},
		{id: id + "-2", redirect: "https://client.example/callback?dummy1=lorem&dummy2=ipsum", alg: "ES256", cert: issued.thief},
	}
	for i, c := range both {
		c.kind, c.issuer = k, l.issuer
		if k.apis[i] != "" {
			c.resource = l.machines + k.apis[i]
		}
		if k.method == "private_key_jwt" || k.signs {
			c.key = newSigner(t, c.alg)
		}
		if k.method == "self_signed_tls_client_auth" {
			c.cert = selfSigned(t, c.id)
		}
		c.naked = newHTTPClient(roots)
		if c.http = newHTTPClient(roots, c.cert); k.dpop && k.method == "private_key_jwt" {
			c.http = newHTTPClient(roots) // it needs no certificate for anything
		}
		var err error
		if k.sealed {
			if c.decrypt, err = openingRSA(); err != nil {
				t.Fatal(err)
			}
		}
		if k.dpop {
			if c.prover, err = testProver(); err != nil {
				t.Fatal(err)
			}
		}
	}
	old := both[1].http.Transport.(*http.Transport)
	old.TLSClientConfig.MaxVersion, old.ForceAttemptHTTP2 = tls.VersionTLS12, false
	return both
}

// withAnotherKey returns the client with a new proof key, if it has one.
func (c *tester) withAnotherKey(t *testing.T) *tester {
	t.Helper()
	if !c.dpop {
		return c
	}
	other := *c
	var err error
	if other.prover, err = testProver(); err != nil {
		t.Fatal(err)
	}
	return &other
}

// without returns the client without what its tokens are bound to.
func (c *tester) without() *tester {
	thief := *c
	thief.http, thief.prover = c.naked, nil
	return &thief
}

func selfSigned(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	cert, err := issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour)}, nil, key, key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// newSigner returns a key that alg fits, a new one if it is no RSA key.
func newSigner(t *testing.T, alg string) (key crypto.Signer) {
	t.Helper()
	var err error
	if alg == "PS256" {
		key, err = clientRSA()
	} else {
		key, err = newKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// metadata returns what the bank registers.
func (c *tester) metadata(t *testing.T) map[string]any {
	t.Helper()
	m := map[string]any{
		"client_id": c.id, "redirect_uris": []string{c.redirect}, "token_endpoint_auth_method": c.method,
		"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}, "response_types": []string{"code"},
		"scope": "openid accounts transactions", "id_token_signed_response_alg": c.alg,
		"tls_client_certificate_bound_access_tokens": !c.dpop, "dpop_bound_access_tokens": c.dpop,
	}
	var keys []any
	if c.key != nil { // without alg, so that nothing but the profile is in the way of RS256
		keys = append(keys, jwk(t, c.key.Public(), map[string]any{"use": "sig", "kid": testerKey}))
	}
	switch c.method {
	case "tls_client_auth":
		m["tls_client_auth_subject_dn"] = c.cert.Leaf.Subject.String()
	case "self_signed_tls_client_auth":
		keys = append(keys, jwk(t, c.cert.Leaf.PublicKey, map[string]any{"x5c": []string{base64.StdEncoding.EncodeToString(c.cert.Certificate[0])}}))
	}
	if c.decrypt != nil {
		keys = append(keys, jwk(t, c.decrypt.Public(), map[string]any{"use": "enc", "kid": testerKey + "-enc"}))
		for _, what := range []string{"authorization", "id_token", "userinfo"} {
			if name := what + "_encrypted_response_"; what != "authorization" || c.jarm {
				m[name+"alg"], m[name+"enc"] = "RSA-OAEP-256", "A256GCM"
			}
		}
		m["userinfo_signed_response_alg"] = c.alg
	}
	if keys != nil {
		m["jwks"] = map[string]any{"keys": keys}
	}
	if c.jarm {
		m["authorization_signed_response_alg"] = c.alg
	}
	if c.advanced {
		m["profile"] = "fapi1-advanced"
	}
	if c.hybrid() {
		m["response_types"], m["grant_types"] = []string{"code id_token"}, append(m["grant_types"].([]string), "implicit")
	}
	maps.Copy(m, c.more)
	if c.resource != "" {
		return map[string]any{
			"client_id": c.id, "token_endpoint_auth_method": c.method, "jwks": m["jwks"],
			"grant_types": []string{}, "resource": c.resource, "introspection_signed_response_alg": c.alg,
		}
	}
	return m
}

// jwk returns a public key with members besides (RFC 7517, 4).
func jwk(t *testing.T, key crypto.PublicKey, members map[string]any) map[string]any {
	t.Helper()
	switch k := key.(type) {
	case *rsa.PublicKey:
		members["kty"], members["n"], members["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		members["kty"], members["crv"], members["x"], members["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	}
	return members
}

// sign returns a JWS by the client's key.
func (c *tester) sign(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	if key, ok := c.key.(*ecdsa.PrivateKey); ok {
		jws, err := signES256(key, header, claims)
		if err != nil {
			t.Fatal(err)
		}
		return jws
	}
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	p, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	input := b64(h) + "." + b64(p)
	sum := sha256.Sum256([]byte(input))
	var opts crypto.SignerOpts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	if header["alg"] == "RS256" {
		opts = crypto.SHA256
	}
	sig, err := c.key.Sign(rand.Reader, sum[:], opts)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(sig)
}

// A reply is an answer that was read whole.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any // nil if it is no JSON object
}

func ask(t *testing.T, h *http.Client, req *http.Request) *reply {
	t.Helper()
	a, err := send(h, req)
	if err != nil {
		t.Fatal(err)
	}
	return replied(t, a)
}

// ask sends a request with what proves the client's key, if it has one. The
// access token, if there is one, is in the request already.
func (c *tester) ask(t *testing.T, accessToken string, build func() *http.Request) *reply {
	t.Helper()
	a, err := c.prover.send(c.http, accessToken, func() (*http.Request, error) { return build(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return replied(t, a)
}

func replied(t *testing.T, a *answer) *reply {
	t.Helper()
	r := &reply{status: a.status, header: a.header, body: string(a.body)}
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(a.body, &r.json); err != nil {
			t.Errorf("not JSON: %v\n%s", err, a.body)
		}
	}
	return r
}

// A way is how a client sends a form. The zero way is the right one.
type way struct {
	naked     bool                                // without certificate
	keyless   bool                                // without a proof of the client's key
	unproved  bool                                // with client_id alone in place of an assertion
	object    func(header, claims map[string]any) // changes the request object
	assertion func(header, claims map[string]any) // changes the assertion
	method    string                              // of HTTP; POST if empty
	accept    string                              // application/json if empty
	to        string                              // where to push to; the usual endpoint if empty
}

// unheld is a way without what the client's tokens are bound to, and how the
// token endpoint answers that.
func (c *tester) unheld() (w way, want string) {
	switch {
	case c.dpop:
		return way{keyless: true}, "400 invalid_dpop_proof"
	case c.method == "private_key_jwt":
		return way{naked: true}, "400 invalid_request"
	}
	return way{naked: true}, "401 invalid_client"
}

// post sends form to an endpoint, with the client's proof of who it is. Who
// proves it by a certificate also says client_id; who signs an assertion does
// not.
func (c *tester) post(t *testing.T, endpoint string, form url.Values, w way) *reply {
	t.Helper()
	form = maps.Clone(form)
	if c.method != "private_key_jwt" || w.unproved {
		form.Set("client_id", c.id)
	} else {
		now := time.Now().Unix()
		header := map[string]any{"alg": c.alg, "kid": testerKey}
		claims := map[string]any{"iss": c.id, "sub": c.id, "aud": c.issuer, "jti": rand.Text(), "iat": now, "nbf": now, "exp": now + 60}
		if w.assertion != nil {
			w.assertion(header, claims)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", c.sign(t, header, claims))
	}
	by := *c
	if w.naked {
		by.http = c.naked
	}
	if w.keyless {
		by.prover = nil
	}
	return by.ask(t, "", func() *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), cmp.Or(w.method, http.MethodPost), endpoint, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
		req.Header.Set("Accept", cmp.Or(w.accept, "application/json"))
		return req
	})
}
