package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func testProver() (*prover, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return newProver(key)
}

// claimsOf verifies a proof with the key in its header, and returns what it
// says.
func claimsOf(t *testing.T, p *proof, key *ecdsa.PrivateKey) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(p.JWT, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %s", p.JWT)
	}
	var decoded [3][]byte
	for i := range parts {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		decoded[i] = b
	}
	if err := errors.Join(json.Unmarshal(decoded[0], &header), json.Unmarshal(decoded[1], &claims)); err != nil {
		t.Fatal(err)
	}
	sum, sig := sha256.Sum256([]byte(parts[0]+"."+parts[1])), decoded[2]
	if len(sig) != 64 || !ecdsa.Verify(&key.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		t.Error("the signature is not the key's")
	}
	return header, claims
}

// The thumbprint and the hash of the token are those of RFC 9449, 6.1 and 7.1.
func TestProof(t *testing.T) {
	var point []byte
	for _, s := range []string{"BA", "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"} {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, b...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := newProver(&ecdsa.PrivateKey{PublicKey: *public}); err != nil || p.thumbprint != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" {
		t.Errorf("thumbprint: %+v, %v", p, err)
	}

	p, err := testProver()
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse("https://api.example:8443/a%20b?q=1#f")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1562262618, 0)
	first, err := p.prove("POST", to, "", now)
	if err != nil {
		t.Fatal(err)
	}
	header, claims := claimsOf(t, first, p.key)
	jwk, _ := header["jwk"].(map[string]any)
	if header["typ"] != "dpop+jwt" || header["alg"] != "ES256" || len(jwk) != 4 || jwk["d"] != nil || jwk["x"] != p.public["x"] {
		t.Errorf("header %v", header)
	}
	if claims["htm"] != "POST" || claims["htu"] != "https://api.example:8443/a%20b" || claims["iat"] != float64(now.Unix()) || claims["nonce"] != nil || claims["ath"] != nil {
		t.Errorf("claims %v", claims)
	}

	p.nonces["https://api.example:8443"], p.nonces["https://as.example"] = "ours", "another's"
	second, err := p.prove("POST", to, "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", now)
	if err != nil {
		t.Fatal(err)
	}
	_, more := claimsOf(t, second, p.key)
	if more["ath"] != "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" || more["nonce"] != "ours" || second.Nonce != "ours" {
		t.Errorf("claims %v", more)
	}
	if more["jti"] == claims["jti"] || more["jti"] == "" {
		t.Errorf("two proofs are called %v and %v", claims["jti"], more["jti"])
	}
}

// A server may ask for a nonce, once for each request. Of everything else that
// it says, nothing makes the client send a request again.
func TestProverRetries(t *testing.T) {
	const wants = `{"error":"use_dpop_nonce"}`
	answer := func(status int, nonce, challenge, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if nonce != "" {
				w.Header().Set("DPoP-Nonce", nonce)
			}
			w.Header().Add("WWW-Authenticate", `Bearer realm="x"`)
			if challenge != "" {
				w.Header().Add("WWW-Authenticate", challenge)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	tests := []struct {
		name    string
		answers []func(http.ResponseWriter) // one for each request there should be
		status  int
		nonces  string // in the proofs
		kept    string
	}{
		{"no nonces", []func(http.ResponseWriter){answer(200, "", "", "")}, 200, "-", ""},
		{"authorization server wants one", []func(http.ResponseWriter){answer(400, "n1", "", wants), answer(200, "", "", "")}, 200, "- n1", "n1"},
		{"API wants one", []func(http.ResponseWriter){answer(401, "n1", `DPoP error="use_dpop_nonce"`, ""), answer(200, "n2", "", "")}, 200, "- n1", "n2"},
		{"never content", []func(http.ResponseWriter){answer(400, "n1", "", wants), answer(400, "n2", "", wants)}, 400, "- n1", "n2"},
		{"wants one and gives none", []func(http.ResponseWriter){answer(400, "", "", wants)}, 400, "-", ""},
		{"another refusal of the authorization server", []func(http.ResponseWriter){answer(400, "n1", "", `{"error":"invalid_grant"}`)}, 400, "-", "n1"},
		{"another refusal of the API", []func(http.ResponseWriter){answer(401, "n1", `DPoP error="invalid_token"`, "")}, 401, "-", "n1"},
		{"an outage", []func(http.ResponseWriter){answer(503, "n1", `DPoP error="use_dpop_nonce"`, wants)}, 503, "-", "n1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var proofs []string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				proofs = append(proofs, r.Header.Get("DPoP"))
				if len(proofs) > len(tt.answers) {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				tt.answers[len(proofs)-1](w)
			}))
			defer s.Close()
			p, err := testProver()
			if err != nil {
				t.Fatal(err)
			}
			built := 0
			a, err := p.send(s.Client(), "", func() (*http.Request, error) {
				built++
				return http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, nil)
			})
			if err != nil || a.status != tt.status || len(proofs) != len(tt.answers) || built != len(proofs) {
				t.Fatalf("%+v, %v after %d requests, %d built", a, err, len(proofs), built)
			}
			var nonces []string
			for _, jwt := range proofs {
				_, claims := claimsOf(t, &proof{JWT: jwt}, p.key)
				nonce, ok := claims["nonce"].(string)
				if !ok {
					nonce = "-"
				}
				nonces = append(nonces, nonce)
			}
			if got := strings.Join(nonces, " "); got != tt.nonces {
				t.Errorf("nonces %q, want %q", got, tt.nonces)
			}
			if got := p.nonces[s.URL]; got != tt.kept {
				t.Errorf("kept nonce %q, want %q", got, tt.kept)
			}
			if a.proof == nil || a.proof.JWT != proofs[len(proofs)-1] {
				t.Error("the answer's proof is not the one that was sent last")
			}
		})
	}
}

// A token of another type than the client registered for is not taken: it may
// be bound to nothing (RFC 9449, 5).
func TestClientRefusesAnotherTokenType(t *testing.T) {
	for how, wrong := range map[binding]string{byProof: "Bearer", byCertificate: "DPoP"} {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			base := "https://" + r.Host
			writeJSON(w, map[string]string{"issuer": base, "token_endpoint": base + "/token", "access_token": "a.b.c", "token_type": wrong})
		}))
		key, err := newKey()
		if err != nil {
			t.Fatal(err)
		}
		c := &client{id: "c", issuer: s.URL, binding: how, key: key, http: s.Client()}
		if got, err := c.redeem(t.Context(), nil, "code", "verifier"); err == nil || !strings.Contains(err.Error(), "token response") {
			t.Errorf("%s: %+v, %v", how, got, err)
		}
		s.Close()
	}
}
