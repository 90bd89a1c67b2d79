package main

import (
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
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A tester is one of the two clients that the conformance tests play, as
// strangers to this bank would write them.
type tester struct {
	id, redirect string
	issuer       string
	method       string        // token_endpoint_auth_method
	alg          string        // of assertions
	key          crypto.Signer // for them; nil if there are none
	cert         tls.Certificate
	http         *http.Client // shows cert
	naked        *http.Client // shows none
}

const testerKey = "tester-key"

// newTesters returns two clients that authenticate by method. They differ in
// keys and algorithm, certificates, redirect URI, and in what they connect
// with: HTTP/2 and the newest TLS, or HTTP/1.1 and TLS 1.2.
func newTesters(t *testing.T, method, issuer string, roots *x509.CertPool, issued *pki) [2]*tester {
	t.Helper()
	both := [2]*tester{
		{id: method + "-1", redirect: "https://client.example/callback", alg: "PS256", cert: issued.fintech},
		{id: method + "-2", redirect: "https://client.example/callback?dummy1=lorem&dummy2=ipsum", alg: "ES256", cert: issued.thief},
	}
	for _, c := range both {
		c.method, c.issuer = method, issuer
		switch method {
		case "private_key_jwt":
			c.key = newSigner(t, c.alg)
		case "self_signed_tls_client_auth":
			c.cert = selfSigned(t, c.id)
		}
		c.http, c.naked = newHTTPClient(roots, c.cert), newHTTPClient(roots)
	}
	old := both[1].http.Transport.(*http.Transport)
	old.TLSClientConfig.MaxVersion, old.ForceAttemptHTTP2 = tls.VersionTLS12, false
	return both
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

// newSigner returns a new key that alg fits.
func newSigner(t *testing.T, alg string) (key crypto.Signer) {
	t.Helper()
	var err error
	if alg == "PS256" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
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
		"scope": "openid accounts transactions", "tls_client_certificate_bound_access_tokens": true, "id_token_signed_response_alg": c.alg,
	}
	switch c.method {
	case "private_key_jwt":
		// Without alg, so that nothing but the profile is in the way of RS256.
		m["jwks"] = jwkSet(t, c.key.Public(), map[string]any{"use": "sig", "kid": testerKey})
	case "tls_client_auth":
		m["tls_client_auth_subject_dn"] = c.cert.Leaf.Subject.String()
	default:
		m["jwks"] = jwkSet(t, c.cert.Leaf.PublicKey, map[string]any{"x5c": []string{base64.StdEncoding.EncodeToString(c.cert.Certificate[0])}})
	}
	return m
}

// jwkSet returns the JWKS with one key (RFC 7517, 5).
func jwkSet(t *testing.T, key crypto.PublicKey, members map[string]any) map[string]any {
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
	return map[string]any{"keys": []any{members}}
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
	unproved  bool                                // with client_id alone in place of an assertion
	assertion func(header, claims map[string]any) // changes the assertion
	method    string                              // of HTTP; POST if empty
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
	if w.method == "" {
		w.method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), w.method, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
	req.Header.Set("Accept", "application/json")
	if w.naked {
		return ask(t, c.naked, req)
	}
	return ask(t, c.http, req)
}

// A variant is a bank, and two clients of one kind who want to be served.
type variant struct {
	*lab
	openid  bool
	clients [2]*tester
	doc     map[string]any // the bank's metadata
	par     string         // endpoints, by their aliases where there are some
	token   string
	api     string
}

// conformanceBank runs the bank with testers of every authentication method:
// on two listeners, with an EC certificate, or on one that does both, with an
// RSA certificate.
func conformanceBank(t *testing.T, two bool) (*lab, map[string][2]*tester) {
	t.Helper()
	dir, config := configDir(t)
	l := &lab{roots: x509.NewCertPool(), stderr: new(syncBuffer)}
	config["listen"] = freeAddress(t)
	l.issuer = "https://" + config["listen"].(string)
	l.machines = l.issuer
	config["issuer"], config["client_ca"] = l.issuer, []string{"client-ca.pem"}
	config["users"] = []any{map[string]any{"login": "hanako", "password": "pw", "subject": "customer-7"}}
	if two {
		config["listen_mtls"] = freeAddress(t)
		l.machines = "https://" + config["listen_mtls"].(string)
		config["mtls_base"] = l.machines
	} else {
		writeRSACertificate(t, dir)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	l.roots.AppendCertsFromPEM(ca)

	issued, err := newPKI(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	testers := make(map[string][2]*tester)
	var metadata []any
	for _, method := range []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"} {
		testers[method] = newTesters(t, method, l.issuer, l.roots, issued)
		for _, c := range testers[method] {
			metadata = append(metadata, c.metadata(t))
		}
	}
	clients, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"client-ca.pem": issued.authority, "clients.json": clients} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.start(t, writeConfig(t, dir, config))
	t.Cleanup(func() { // before the bank stops, so that it need not wait
		for _, both := range testers {
			for _, c := range both {
				c.http.CloseIdleConnections()
				c.naked.CloseIdleConnections()
			}
		}
	})
	return l, testers
}

// writeRSACertificate puts a certificate for an RSA key in place of the one in
// dir. It vouches for itself.
func writeRSACertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, b := range map[string][]byte{
		"cert.pem": cert, "ca.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// discover reads the bank's metadata where a client of this kind looks for it,
// and takes the endpoints from there.
func (v *variant) discover(t *testing.T) {
	t.Helper()
	where := "/.well-known/oauth-authorization-server"
	if v.openid {
		where = "/.well-known/openid-configuration"
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.issuer+where, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := ask(t, v.clients[0].naked, req)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" || r.json == nil {
		t.Fatalf("metadata: %d %v", r.status, r.header)
	}
	v.doc = r.json
	v.par, v.token = v.endpoint("pushed_authorization_request_endpoint"), v.endpoint("token_endpoint")
	v.api = v.machines + "/resource"
}

// endpoint returns the URL of an endpoint for clients with certificates (RFC
// 8705, 5).
func (v *variant) endpoint(name string) string {
	if aliases, ok := v.doc["mtls_endpoint_aliases"].(map[string]any); ok {
		if alias, ok := aliases[name].(string); ok {
			return alias
		}
	}
	s, _ := v.doc[name].(string)
	return s
}
