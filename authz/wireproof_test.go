package authz_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// The thumbprints of the catalogue's two proof keys (wire-examples, 1).
const (
	wireJKT   = "VmR2zmQFtNQZEmpx3DFcuzPKziGYCx5f2prh05oCmAk" // P-256
	wireEdJKT = "dtRx99UCcDnOh3OOqpwpJi0wRorApJgkCnMiiwuqqaM" // Ed25519
)

// wire returns a file of testdata/wire: the JWTs of wire-examples, 2.1 and 5.1,
// made by another implementation, and the rest of its messages.
func wire(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/wire/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// proofBank returns the catalogue's bank at T0, and its client, whose tokens are
// bound to a key.
func proofBank(t *testing.T) (*bank, *fintech) {
	f := &fintech{Client: metadata("tpp-7f3a9c")}
	f.dpop()
	f.AuthMethod, f.Scope = "private_key_jwt", "accounts payments"
	f.RedirectURIs = []string{"https://app.tpp.example/cb"}
	f.JWKS = json.RawMessage(`{"keys":[` + wireES256 + `]}`)
	b := newBank(t, clients(f), func(c *authz.Config) { c.Issuer = wireIssuer })
	b.clock.t = time.Unix(wireT0, 0)
	return b, f
}

// signedByFile returns a request with that assertion and a proof of the
// catalogue, or none.
func (f *fintech) signedByFile(t *testing.T, path string, v url.Values, assertion, proof string) *http.Request {
	v.Set("client_id", f.ID)
	v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	v.Set("client_assertion", assertion)
	r := f.request(path, v)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return r
}

// TestWireProofs is wire-examples, 2.1 and 5.1, and what section 24 makes of them.
func TestWireProofs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		proof string
		jkt   string // dpop_jkt
		want  string // error of PAR
		token string // error of the token request, whose proof is by the P-256 key
	}{
		{"RFC9449-10.1-2 a proof", "par-proof.jwt", "", "", ""},
		{"RFC9449-10.1-1 dpop_jkt", "", wireJKT, "", ""},
		{"CT-AS-44 both", "par-proof.jwt", wireJKT, "", ""},
		{"RFC9449-10-2 neither", "", "", "", ""},
		{"CT-AS-45 dpop_jkt of the Ed25519 key", "par-proof.jwt", wireEdJKT, "invalid_dpop_proof", ""},
		{"RFC9449-10.1-2 a proof with htu of the token endpoint", "token-proof.jwt", "", "invalid_dpop_proof", ""},
		{"RFC8725-3.12-1 the assertion as proof", wireAssertion, "", "invalid_dpop_proof", ""},
		{"CT-AS-46 a proof by the Ed25519 key", "par-proof-ed25519.jwt", "", "", "invalid_grant"},
		{"CT-AS-46 dpop_jkt of the Ed25519 key alone", "", wireEdJKT, "", "invalid_grant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, f := proofBank(t)
			push := changed(f.pushable(), "scope", "accounts payments")
			proof := tt.proof
			if strings.HasSuffix(proof, ".jwt") {
				proof = wire(t, proof)
			}
			if tt.proof == "token-proof.jwt" { // which is made 40 seconds later
				b.clock.Advance(20 * time.Second)
			}
			if tt.jkt != "" {
				push.Set("dpop_jkt", tt.jkt)
			}
			res := b.do(f.signedByFile(t, "/par", push, wireAssertion, proof))
			got := object(t, res)
			if tt.want != "" {
				if res.StatusCode != 400 || got["error"] != tt.want {
					t.Errorf("PAR: %d %v, want %s", res.StatusCode, got, tt.want)
				}
				return
			}
			if res.StatusCode != 201 {
				t.Fatalf("PAR: %d %v", res.StatusCode, got)
			}
			back, err := (&browser{b: b}).decide(f, got["request_uri"].(string), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(40 * time.Second)
			redeem := f.redeemable(location(t, back).Get("code"))
			res = b.do(f.signedByFile(t, "/token", redeem, wire(t, "token-assertion.jwt"), wire(t, "token-proof.jwt")))
			got = object(t, res)
			if tt.token != "" {
				if res.StatusCode != 400 || got["error"] != tt.token {
					t.Errorf("token: %d %v, want %s", res.StatusCode, got, tt.token)
				}
				return
			}
			if res.StatusCode != 200 || got["token_type"] != "DPoP" {
				t.Fatalf("token: %d %v", res.StatusCode, got)
			}
			if d := cmp.Diff(map[string]any{"jkt": wireJKT}, claimsOf(t, got["access_token"].(string))["cnf"]); d != "" {
				t.Errorf("RFC9449-6.1-1: %s", d)
			}
		})
	}
}
