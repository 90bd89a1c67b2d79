package authz_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A message is a request of the catalogue (wire-examples), word for word until
// a test changes it.
type message struct {
	method, host string
	target       *url.URL
	header       http.Header
	form         []string // name=value as it was written, in order
	more         string   // behind the form
}

// readMessage reads testdata/wire/name. The line breaks before each & are the
// catalogue's, for display.
func readMessage(t *testing.T, name string) *message {
	t.Helper()
	head, body, _ := strings.Cut(wire(t, name), "\n\n")
	request, fields, _ := strings.Cut(head, "\n")
	part := strings.Fields(request)
	if len(part) != 3 || part[2] != "HTTP/1.1" {
		t.Fatalf("%s begins with %q", name, request)
	}
	msg := &message{method: part[0], header: http.Header{}}
	var err error
	if msg.target, err = url.ParseRequestURI(part[1]); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(fields, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		msg.header.Add(name, value)
	}
	msg.host = msg.header.Get("Host")
	msg.header.Del("Host")
	if body != "" {
		msg.form = strings.Split(strings.ReplaceAll(body, "\n&", "&"), "&")
	}
	return msg
}

// request returns the message as the server receives it.
func (m *message) request() *http.Request {
	r := httptest.NewRequest(m.method, "https://"+m.host+m.target.String(), strings.NewReader(strings.Join(m.form, "&")+m.more))
	r.Header = maps.Clone(m.header)
	return r
}

// get returns a parameter of the form, or "".
func (m *message) get(name string) string {
	for _, p := range m.form {
		if n, v, _ := strings.Cut(p, "="); n == name {
			v, _ = url.QueryUnescape(v)
			return v
		}
	}
	return ""
}

// set replaces a parameter of the form, or adds it.
func (m *message) set(name, value string) {
	written := name + "=" + url.QueryEscape(value)
	for i, p := range m.form {
		if strings.HasPrefix(p, name+"=") {
			m.form[i] = written
			return
		}
	}
	m.form = append(m.form, written)
}

// drop takes a parameter out of the form.
func (m *message) drop(name string) {
	var kept []string
	for _, p := range m.form {
		if !strings.HasPrefix(p, name+"=") {
			kept = append(kept, p)
		}
	}
	m.form = kept
}

// A wireKeyPair is one of the catalogue's keys (wire-examples, 1).
type wireKeyPair struct {
	crypto.Signer
	alg, kid string
}

// wireSigner returns a key of testdata/wire/keys-TEST-ONLY.json.
func wireSigner(t *testing.T, name string) wireKeyPair {
	t.Helper()
	var keys map[string]struct{ Kty, D, Kid string }
	if err := json.Unmarshal([]byte(wire(t, "keys-TEST-ONLY.json")), &keys); err != nil {
		t.Fatal(err)
	}
	jwk, ok := keys[name]
	if !ok {
		t.Fatalf("keys-TEST-ONLY.json has no key %q", name)
	}
	d, err := base64.RawURLEncoding.DecodeString(jwk.D)
	if err != nil {
		t.Fatal(err)
	}
	if jwk.Kty == "OKP" {
		return wireKeyPair{ed25519.NewKeyFromSeed(d), "EdDSA", jwk.Kid}
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		t.Fatal(err)
	}
	return wireKeyPair{key, "ES256", jwk.Kid}
}

// proof returns the key for proofs.
func (k wireKeyPair) proof() *proofKey { return &proofKey{Signer: k.Signer, alg: k.alg} }

// patch sets the members of o that by has, and takes away those that are null.
func patch(o, by map[string]any) map[string]any {
	o = maps.Clone(o)
	for name, v := range by {
		if o[name] = v; v == nil {
			delete(o, name)
		}
	}
	return o
}
