package dpop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/aikagi/aikagi/token/dpop"
)

// A bank keeps its old access tokens and makes them turn in one hand only: that
// of the fintech, whose proof key they were issued to. Its API asks for a proof
// with every request, and for a nonce, so that none can be prepared in advance.
func Example() {
	const api = "https://api.bank.example"
	secret := make([]byte, 32) // from the bank's vault, the same for all nodes
	nonces, err := dpop.NewNonces([][]byte{secret}, api, 0)
	if err != nil {
		log.Fatal(err)
	}
	proofs, err := dpop.New(dpop.Config{Nonces: nonces})
	if err != nil {
		log.Fatal(err)
	}

	// The old server's part: who may use this token, and which proofs it has seen.
	fintech, thief := exampleKey(), exampleKey()
	const token = "spare-key-to-As-history"
	boundTo := exampleThumbprint(fintech)
	seen := make(map[string]bool) // kept until Proof.Until, and shared by all nodes

	history := func(w http.ResponseWriter, r *http.Request) {
		proof, err := proofs.Verify(dpop.Request{
			Header:      r.Header,
			Method:      r.Method,
			URLs:        []string{api + r.URL.EscapedPath()},
			AccessToken: token,
		})
		var refused *dpop.Error
		switch {
		case errors.As(err, &refused):
			if refused.Code == dpop.UseNonce {
				w.Header().Set("DPoP-Nonce", nonces.Issue(time.Now()))
			}
			http.Error(w, refused.Code, http.StatusUnauthorized)
		case err != nil:
			http.Error(w, err.Error(), http.StatusUnauthorized)
		case proof.JKT != boundTo: // RFC 9449, 4.3-12b
			http.Error(w, "invalid_token", http.StatusUnauthorized)
		case seen[proof.JKT+proof.ID]: // RFC 9449, 11.1
			http.Error(w, "invalid_dpop_proof", http.StatusUnauthorized)
		default:
			seen[proof.JKT+proof.ID] = true
			fmt.Fprintln(w, "A's transactions")
		}
	}
	send := func(proof string) (nonce string) {
		r := httptest.NewRequest("GET", "/history?page=1", nil)
		r.Header.Set("DPoP", proof)
		w := httptest.NewRecorder()
		history(w, r)
		fmt.Print(w.Code, " ", w.Body)
		return w.Header().Get("DPoP-Nonce")
	}

	nonce := send(exampleProof(fintech, api+"/history", token, ""))
	proof := exampleProof(fintech, api+"/history", token, nonce)
	send(proof)
	send(proof) // read from a log
	send(exampleProof(thief, api+"/history", token, nonce))

	// Output:
	// 401 use_dpop_nonce
	// 200 A's transactions
	// 401 invalid_dpop_proof
	// 401 invalid_token
}

func exampleKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return key
}

// exampleJWK is the key's public half, its members in the order of RFC 7638.
func exampleJWK(key *ecdsa.PrivateKey) string {
	point, err := key.PublicKey.Bytes()
	if err != nil {
		log.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return `{"crv":"P-256","kty":"EC","x":"` + enc(point[1:33]) + `","y":"` + enc(point[33:]) + `"}`
}

func exampleThumbprint(key *ecdsa.PrivateKey) string {
	sum := sha256.Sum256([]byte(exampleJWK(key)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// exampleProof is what the fintech's software does.
func exampleProof(key *ecdsa.PrivateKey, url, token, nonce string) string {
	ath := sha256.Sum256([]byte(token))
	claims, err := json.Marshal(map[string]any{
		"jti": rand.Text(), "htm": "GET", "htu": url, "iat": time.Now().Unix(), "nonce": nonce,
		"ath": base64.RawURLEncoding.EncodeToString(ath[:]),
	})
	if err != nil {
		log.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	input := enc([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":`+exampleJWK(key)+`}`)) + "." + enc(claims)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		log.Fatal(err)
	}
	return input + "." + enc(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}
