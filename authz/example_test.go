package authz_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// What a bank has before it begins: a signing key, a file of clients, a
// secret, and its own login and consent pages.
var (
	bankKeys    = exampleKeys()
	bankClients = exampleClients()
	bankSecret  = []byte("32 bytes or more from crypto/rand")
)

func loginAndConsent(w http.ResponseWriter, r *http.Request, in *authz.Interaction) {
	fmt.Fprintf(w, "%s would like to see: %v", in.Client.Name, in.Scopes)
}

func Example() {
	as, err := authz.New(authz.Config{
		Issuer:    "https://as.bank.example",
		Store:     new(store.Memory),
		Keys:      bankKeys,
		Clients:   bankClients,
		Secrets:   [][]byte{bankSecret},
		Resources: []authz.Resource{{ID: "https://api.bank.example"}},
		Scopes:    []string{"accounts"},
		Interact:  loginAndConsent,
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", as)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/oauth-authorization-server", nil))
	fmt.Println(w.Code)
	// Output: 200
}

// A configuration that breaks its profile is refused, with everything that is
// wrong at once.
func ExampleNew_violations() {
	_, err := authz.New(authz.Config{
		Issuer:       "https://as.bank.example",
		Store:        new(store.Memory),
		Keys:         bankKeys,
		Clients:      bankClients,
		Secrets:      [][]byte{[]byte("too short")},
		Resources:    []authz.Resource{{ID: "https://api.bank.example"}},
		CodeLifetime: 10 * 60e9,
	})
	fmt.Println(err)
	// Output:
	// authz: 2 violations
	// 	Config: Secrets[0] has 9 bytes; use 32 random bytes or more
	// 	FAPI2-SP-5.3.2.1-11: CodeLifetime is 10m0s; let codes live 60 seconds or less
}

func exampleKeys() token.KeySet {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := token.NewKeySet(token.PrivateKey{ID: "2026-11", Algorithm: "ES256", Signer: key})
	if err != nil {
		log.Fatal(err)
	}
	return keys
}

func exampleClients() authz.ClientRegistry {
	clients, err := authz.LoadClients([]byte(`[{
		"client_id": "kakeibo",
		"client_name": "Kakeibo",
		"redirect_uris": ["https://app.fintech.example/cb"],
		"token_endpoint_auth_method": "private_key_jwt",
		"jwks_uri": "https://app.fintech.example/jwks",
		"tls_client_certificate_bound_access_tokens": true,
		"scope": "accounts"
	}]`))
	if err != nil {
		log.Fatal(err)
	}
	return clients
}
