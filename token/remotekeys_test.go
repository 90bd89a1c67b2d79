package token_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/aikagi/aikagi/token"
)

func TestRemoteKeySet(t *testing.T) {
	const keys = `{"keys":[{"kty":"EC","crv":"P-256","x":"H4YuE4stO9s2fDtcmJbIRXM3S3mKPO-IOcCo5MSzYuQ","y":"uFe6wHTtJf6Dp7YVlLthne4ds_mDKtRWtk4t8kvcrZA","use":"sig","alg":"ES256","kid":"as-sig-2026a"}]}`
	var asked atomic.Int32
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/jwks" {
			w.Write([]byte("<html>"))
			return
		}
		w.Write([]byte(keys))
	}))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

	t.Run("RFC9068-4-4 an API elsewhere verifies by the keys at jwks_uri, fetched once", func(t *testing.T) {
		c := config(t)
		c.Keys = &token.RemoteKeySet{URL: srv.URL + "/jwks", RootCAs: roots, Private: loopback}
		v := verifier(t, c)
		for range 3 {
			if _, err := v.Check(request(t, "Bearer "+goodToken(t)), token.Require{}); err != nil {
				t.Fatal(err)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("fetched %d times", n)
		}
	})
	for _, tt := range []struct {
		name string
		set  *token.RemoteKeySet
	}{
		{"RFC8725-3.10-2 a private address that is not listed", &token.RemoteKeySet{URL: srv.URL + "/jwks", RootCAs: roots}},
		{"FAPI2-SP-5.2.1-5 a certificate of an unknown authority", &token.RemoteKeySet{URL: srv.URL + "/jwks", Private: loopback}},
		{"FAPI2-SP-5.4.2-1 plain http", &token.RemoteKeySet{URL: "http" + srv.URL[len("https"):] + "/jwks", RootCAs: roots, Private: loopback}},
		{"no key set", &token.RemoteKeySet{URL: srv.URL + "/other", RootCAs: roots, Private: loopback}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if keys, err := tt.set.PublicKeys(t.Context()); err == nil {
				t.Errorf("keys: %v", keys)
			}
			c := config(t)
			c.Keys = tt.set
			w := httptest.NewRecorder()
			verifier(t, c).Handler(token.Require{}, http.NotFoundHandler()).ServeHTTP(w, request(t, "Bearer "+goodToken(t)))
			if w.Code != 503 {
				t.Errorf("status %d, want 503", w.Code)
			}
		})
	}
}
