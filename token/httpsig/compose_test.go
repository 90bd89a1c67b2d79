package httpsig_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/token"
)

func newCert(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key := newEC(t, elliptic.P256())
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Between a Signer and a Verifier sits the check of the access token. It says
// whose keys count; what it refuses is signed too.
func TestBehindToken(t *testing.T) {
	const issuer = "https://as.finbank.example"
	asKey := newEC(t, elliptic.P256())
	keys, err := token.NewKeySet(token.PrivateKey{ID: "as", Algorithm: "ES256", Signer: asKey})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := token.NewVerifier(token.VerifierConfig{
		Issuer: issuer, Audience: api, Keys: keys, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	rivalKey := newEC(t, elliptic.P256())
	registered := map[string]*ecdsa.PrivateKey{"tpp-7f3a9c": tppKey, "rival": rivalKey}
	config := verifierConfig()
	config.Keys = func(r *http.Request, _ string) ([]crypto.PublicKey, error) {
		access, ok := token.FromContext(r.Context())
		if !ok {
			return nil, nil
		}
		return []crypto.PublicKey{registered[access.ClientID].Public()}, nil
	}
	h := newSigner(t, signerConfig()).Handler(
		guard.Handler(token.Require{Scopes: []string{"payments"}}, newVerifier(t, config).Handler(pay)))

	cert := newCert(t, "tpp-7f3a9c")
	access := func(client string) string {
		s, err := token.SignAccess(context.Background(), keys, "ES256", &token.Access{
			Issuer: issuer, Subject: "u-5b1e9d", ClientID: client, ID: rand.Text(), Audience: []string{api},
			Scopes: []string{"payments"}, IssuedAt: now, Expires: now.Add(5 * time.Minute),
			Confirmation: token.Confirmation{X5T: mtls.Thumbprint(cert)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + s
	}
	tests := []struct {
		name, client string
		key          *ecdsa.PrivateKey
		cert         *x509.Certificate
		status       int
	}{
		{"FAPI2-HS-5.3.2-1 the client's own key", "tpp-7f3a9c", tppKey, cert, 201},
		{"FAPI2-HS-5.3.2-1 the key of another client", "tpp-7f3a9c", rivalKey, cert, 401},
		{"FAPI2-HS-5.3.2-1 the token of another client", "rival", tppKey, cert, 401},
		{"FAPI2-HS-5.3.3-3 a token that the guard refuses", "tpp-7f3a9c", tppKey, newCert(t, "thief"), 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			c.header.Set("Authorization", access(tt.client))
			c.header.Del("Dpop")
			c.without(`"dpop"`)
			c.key = tt.key
			r := c.request(t)
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{tt.cert}}
			res := serve(h, r)
			if res.StatusCode != tt.status {
				t.Errorf("status %d, want %d: %s", res.StatusCode, tt.status, body(t, res))
			}
			if covered := verified(t, r, payments, res); !slices.Contains(covered, `"signature";req;key="sig1"`) {
				t.Errorf("covered %q", covered)
			}
		})
	}
}
