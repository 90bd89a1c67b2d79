package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
)

// A bank that keeps its old authorization server mints the access token here
// and guards its API with it. The token is the spare key to A's transaction
// history, cut for one hand: the fintech's certificate.
func Example() {
	bankKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := token.NewKeySet(token.PrivateKey{ID: "bank-2026", Algorithm: "ES256", Signer: bankKey})
	if err != nil {
		log.Fatal(err)
	}

	// At the token endpoint, the certificate is that of the fintech's connection.
	fintech, thief := exampleCertificate("fintech"), exampleCertificate("thief")
	key, err := token.SignAccess(context.Background(), keys, "ES256", &token.Access{
		Issuer:       "https://as.bank.example",
		Subject:      "customer-a",
		ClientID:     "fintech",
		ID:           rand.Text(),
		Audience:     []string{"https://api.bank.example"},
		Scopes:       []string{"history"},
		IssuedAt:     time.Now(),
		Expires:      time.Now().Add(5 * time.Minute),
		Confirmation: token.Confirmation{X5T: mtls.Thumbprint(fintech)},
	})
	if err != nil {
		log.Fatal(err)
	}

	// At the API, a resource server needs the public keys alone.
	guard, err := token.NewVerifier(token.VerifierConfig{
		Issuer:   "https://as.bank.example",
		Audience: "https://api.bank.example",
		Keys:     keys,
	})
	if err != nil {
		log.Fatal(err)
	}
	history := guard.Handler(token.Require{Scopes: []string{"history"}},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			access, _ := token.FromContext(r.Context())
			fmt.Printf("history of %s for %s\n", access.Subject, access.ClientID)
		}))

	for _, cert := range []*x509.Certificate{fintech, thief} {
		r := httptest.NewRequest("GET", "https://api.bank.example/history", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}} // as net/http sets it
		w := httptest.NewRecorder()
		history.ServeHTTP(w, r)
		fmt.Println(w.Code, http.StatusText(w.Code))
	}
	// Output:
	// history of customer-a for fintech
	// 200 OK
	// 401 Unauthorized
}

// An API in a process of its own has what the server publishes: here, an answer
// of its jwks_uri.
func ExampleParseKeySet() {
	keys, err := token.ParseKeySet([]byte(`{"keys": [{
		"kty": "EC", "crv": "P-256", "kid": "bank-2026", "alg": "ES256", "use": "sig",
		"x": "H4YuE4stO9s2fDtcmJbIRXM3S3mKPO-IOcCo5MSzYuQ",
		"y": "uFe6wHTtJf6Dp7YVlLthne4ds_mDKtRWtk4t8kvcrZA"
	}]}`))
	if err != nil {
		log.Fatal(err)
	}
	guard, err := token.NewVerifier(token.VerifierConfig{
		Issuer:   "https://as.bank.example",
		Audience: "https://api.bank.example",
		Keys:     keys,
	})
	if err != nil {
		log.Fatal(err)
	}
	history := guard.Handler(token.Require{Scopes: []string{"history"}}, http.NotFoundHandler())

	w := httptest.NewRecorder()
	history.ServeHTTP(w, httptest.NewRequest("GET", "https://api.bank.example/history", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="https://api.bank.example"
}

// An opaque token says what a JWT says, but only to those who have the secret.
func ExampleOpaque() {
	secret := make([]byte, 32) // shared by all nodes, from the bank's vault
	rand.Read(secret)
	opaque, err := token.NewOpaque([][]byte{secret}, "https://as.bank.example")
	if err != nil {
		log.Fatal(err)
	}
	key, err := opaque.Seal(&token.Access{
		Issuer:       "https://as.bank.example",
		Subject:      "customer-a",
		ClientID:     "fintech",
		ID:           rand.Text(),
		Audience:     []string{"https://api.bank.example"},
		IssuedAt:     time.Now(),
		Expires:      time.Now().Add(5 * time.Minute),
		Confirmation: token.Confirmation{X5T: mtls.Thumbprint(exampleCertificate("fintech"))},
	})
	if err != nil {
		log.Fatal(err)
	}
	access, err := opaque.Open(key) // an API sets VerifierConfig.Opaque, which checks all the rest
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Contains(key, "."), access.Subject)
	// Output: false customer-a
}

// A transfer needs a strong authentication in the last five minutes (RFC 9470),
// and clients find out from the API itself where to go for a token (RFC 9728).
func ExampleVerifier_Metadata() {
	keys, err := token.NewKeySet(exampleKey())
	if err != nil {
		log.Fatal(err)
	}
	guard, err := token.NewVerifier(token.VerifierConfig{
		Issuer:   "https://as.bank.example",
		Audience: "https://api.bank.example/transfers",
		Keys:     keys,
		Metadata: &token.Metadata{Scopes: []string{"transfers"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(guard.Metadata())
	mux.Handle("POST /transfers", guard.Handler(token.Require{
		Scopes: []string{"transfers"},
		ACR:    []string{"urn:bank:acr:strong"},
		MaxAge: 5 * time.Minute,
	}, http.NotFoundHandler()))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "https://api.bank.example/transfers", nil))
	_, where, _ := strings.Cut(w.Header().Get("WWW-Authenticate"), "resource_metadata=")
	fmt.Println(w.Code, where)

	w = httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", strings.Trim(where, `"`), nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output:
	// 401 "https://api.bank.example/.well-known/oauth-protected-resource/transfers"
	// 200 application/json
}

func exampleKey() token.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return token.PrivateKey{ID: "bank-2026", Algorithm: "ES256", Signer: key}
}

func exampleCertificate(name string) *x509.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	return cert
}
