package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestConfigServerDPoP runs whole flows of clients whose tokens are bound to a
// proof key against the bank as -config runs it: each client authentication
// method, with nonces and without, on one listener and on two.
func TestConfigServerDPoP(t *testing.T) {
	t.Parallel()
	for _, nonces := range []string{"off", "required"} {
		for _, listeners := range []string{"one listener", "two listeners"} {
			t.Run("nonces "+nonces+", "+listeners, func(t *testing.T) {
				l := newLab(t, func(c map[string]any) {
					c["auto_approve"], c["dpop_nonce"], c["client_ca"] = "customer-7", nonces, []string{"client-ca.pem"}
					if listeners == "two listeners" {
						c["listen_mtls"] = freeAddress(t)
						c["mtls_base"] = "https://" + c["listen_mtls"].(string)
					}
				})
				for method, c := range l.proving {
					t.Run(method, func(t *testing.T) { l.provingFlow(t, c, nonces == "required") })
				}
			})
		}
	}
}

func (l *lab) provingFlow(t *testing.T, c *labClient, nonces bool) {
	verifier := randomText()
	wantNonce(t, nonces, c.once(t, l.machines+"/par", pushForm(c, verifier)))
	browser := newHTTPClient(l.roots)
	defer browser.CloseIdleConnections()
	res, err := browser.Get(l.push(t, c, verifier, nil))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatalf("authorize: %d %v\n%s", res.StatusCode, err, l.stderr)
	}
	form := func() url.Values {
		return url.Values{
			"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {labRedirect}, "code_verifier": {verifier},
		}
	}
	wantNonce(t, nonces, c.once(t, l.machines+"/token", url.Values{"grant_type": {"client_credentials"}}))
	// Whoever has the code and even the client's credentials, but not the proof
	// key, gets nothing, and costs the client nothing.
	thief := c.withAnotherKey(t)
	if status, answer := thief.post(t, l.machines+"/token", form()); status != http.StatusBadRequest || answer["access_token"] != nil {
		t.Errorf("code with a proof of another key: %d %v", status, answer)
	}
	thief.prover = nil
	if status, answer := thief.post(t, l.machines+"/token", form()); status != http.StatusBadRequest || answer["error"] != "invalid_dpop_proof" {
		t.Errorf("code without proof: %d %v", status, answer)
	}
	status, tokens := c.post(t, l.machines+"/token", form())
	if status != http.StatusOK || tokens["token_type"] != "DPoP" || tokens["id_token"] == nil || tokens["refresh_token"] == nil {
		t.Fatalf("token: %d %v\n%s", status, tokens, l.stderr)
	}
	status, refreshed := c.post(t, l.machines+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}})
	if status != http.StatusOK || refreshed["token_type"] != "DPoP" {
		t.Fatalf("refresh: %d %v", status, refreshed)
	}
	for _, m := range []map[string]any{tokens, refreshed} {
		if jkt := boundTo(t, m["access_token"].(string)); jkt != c.prover.thumbprint {
			t.Errorf("the token is bound to %q, want %q", jkt, c.prover.thumbprint)
		}
	}
	bases := []string{l.machines}
	if l.machines != l.issuer {
		bases = append(bases, l.issuer) // a proof needs no certificate
	}
	for _, base := range bases {
		l.useResourceWithProofs(t, c, base+"/resource", refreshed["access_token"].(string), tokens["access_token"].(string), nonces)
	}
}

// once posts form with a proof that has no nonce, and does not try again.
func (c *labClient) once(t *testing.T, endpoint string, form url.Values) *answer {
	t.Helper()
	req := c.request(t, endpoint, form)
	made, err := (&prover{key: c.prover.key, public: c.prover.public}).prove(req.Method, req.URL, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("DPoP", made.JWT)
	a, err := send(c.http, req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantNonce checks that an answer demands a nonce and gives one, if nonces are
// required, and says nothing of them if not.
func wantNonce(t *testing.T, required bool, a *answer) {
	t.Helper()
	if given := a.header["Dpop-Nonce"]; a.wantsNonce() != required || len(given) != map[bool]int{true: 1}[required] {
		t.Errorf("nonces required: %v; answered %d %s, DPoP-Nonce %q", required, a.status, a.body, given)
	}
}

// withAnotherKey returns the client with another proof key.
func (c *labClient) withAnotherKey(t *testing.T) *labClient {
	t.Helper()
	other, err := testProver()
	if err != nil {
		t.Fatal(err)
	}
	return &labClient{id: c.id, issuer: c.issuer, key: c.key, http: c.http, prover: other}
}

// boundTo returns the cnf jkt of a token.
func boundTo(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %s", token)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Confirmation map[string]string `json:"cnf"`
	}
	if err := json.Unmarshal(b, &claims); err != nil || len(claims.Confirmation) != 1 {
		t.Fatalf("cnf: %v %s", err, b)
	}
	return claims.Confirmation["jkt"]
}

// useResourceWithProofs calls the protected resource as it should be called,
// and as thieves would who have the token, and another of the same client.
func (l *lab) useResourceWithProofs(t *testing.T, c *labClient, resource, token, another string, nonces bool) {
	t.Helper()
	build := func(scheme, method string) *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), method, resource, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", scheme+" "+token)
		return req
	}
	var used *proof
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		a, err := c.prover.send(c.http, token, func() (*http.Request, error) { return build("DPoP", method), nil })
		if err != nil || a.status != http.StatusOK || !strings.Contains(string(a.body), "Hanako") {
			t.Fatalf("%s: %+v %v\n%s", method, a, err, l.stderr)
		}
		if len(a.header["Dpop-Nonce"]) > 0 != nonces {
			t.Errorf("%s: nonces required: %v, DPoP-Nonce %q", method, nonces, a.header["Dpop-Nonce"])
		}
		used = a.proof
	}

	// A fresh proof of the client's own, changed in one thing.
	fresh := func(by *prover, method, token string) string {
		made, err := by.prove(method, build("DPoP", method).URL, token, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return made.JWT
	}
	stranger := c.withAnotherKey(t).prover
	stranger.nonces = c.prover.nonces
	tests := []struct {
		name, scheme, method, proof, want string
	}{
		{"as Bearer", "Bearer", "GET", "", "invalid_token"},
		{"as Bearer, with a good proof", "Bearer", "GET", fresh(c.prover, "GET", token), "invalid_token"},
		{"no proof", "DPoP", "GET", "", "invalid_dpop_proof"},
		{"proof of another key", "DPoP", "GET", fresh(stranger, "GET", token), "invalid_token"},
		{"proof that was used", "DPoP", "POST", used.JWT, "invalid_dpop_proof"},
		{"proof for another method", "DPoP", "POST", fresh(c.prover, "GET", token), "invalid_dpop_proof"},
		{"proof for another token", "DPoP", "GET", fresh(c.prover, "GET", another), "invalid_dpop_proof"},
		{"proof without token", "DPoP", "GET", fresh(c.prover, "GET", ""), "invalid_dpop_proof"},
	}
	for _, tt := range tests {
		req := build(tt.scheme, tt.method)
		if tt.proof != "" {
			req.Header.Set("DPoP", tt.proof)
		}
		a, err := send(c.http, req)
		if err != nil {
			t.Fatal(err)
		}
		if a.status != http.StatusUnauthorized || strings.Contains(string(a.body), "transactions") || !strings.Contains(a.challenge(tt.scheme), `error="`+tt.want+`"`) {
			t.Errorf("%s: %d %s, want %s\n%v", tt.name, a.status, a.body, tt.want, a.header)
		}
	}
	bare := &prover{key: c.prover.key, public: c.prover.public} // knows no nonce
	req := build("DPoP", "GET")
	req.Header.Set("DPoP", fresh(bare, "GET", token))
	a, err := send(c.http, req)
	if err != nil {
		t.Fatal(err)
	}
	if (a.status == http.StatusOK) == nonces {
		t.Errorf("proof without nonce: %d %s", a.status, a.body)
	}
	wantNonce(t, nonces, a)
	if a, err := c.prover.send(c.http, token, func() (*http.Request, error) { return build("DPoP", "GET"), nil }); err != nil || a.status != http.StatusOK {
		t.Errorf("after all that, the client itself: %+v %v", a, err)
	}
}
