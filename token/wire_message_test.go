package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// wireMessage returns the request of testdata/wire/name (wire-examples), word
// for word, as it comes over a connection without a certificate.
func wireMessage(t *testing.T, name string) *http.Request {
	t.Helper()
	head, fields, _ := strings.Cut(strings.TrimSpace(string(read(t, "testdata/wire/"+name))), "\n")
	part := strings.Fields(head)
	if len(part) != 3 || part[2] != "HTTP/1.1" {
		t.Fatalf("%s begins with %q", name, head)
	}
	header := http.Header{}
	for line := range strings.SplitSeq(fields, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		header.Add(name, value)
	}
	r := httptest.NewRequest(part[0], part[1], nil)
	r.Host = header.Get("Host")
	header.Del("Host")
	r.Header, r.TLS = header, &tls.ConnectionState{HandshakeComplete: true}
	return r
}

// from adds the client certificate of the connection.
func from(r *http.Request, cert *x509.Certificate) {
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{cert}}
}

// wireKey returns one of the catalogue's keys (wire-examples, 1) with its
// public part.
func wireKey(t *testing.T, name string) (key any, jwk object) {
	t.Helper()
	var keys map[string]object
	if err := json.Unmarshal(read(t, "testdata/wire/keys-TEST-ONLY.json"), &keys); err != nil {
		t.Fatal(err)
	}
	jwk = keys[name]
	text, _ := jwk["d"].(string)
	d, err := b64.DecodeString(text)
	if err != nil || text == "" {
		t.Fatalf("keys-TEST-ONLY.json has no good key %q: %v", name, err)
	}
	delete(jwk, "d")
	if jwk["kty"] == "OKP" {
		return ed25519.NewKeyFromSeed(d), jwk
	}
	ec, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		t.Fatal(err)
	}
	return ec, jwk
}

// patch sets the members of o that by has, and takes away those that are null.
func patch(o, by object) object {
	o = maps.Clone(o)
	for name, v := range by {
		o = with(o, name, v)
	}
	return o
}
