package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"
)

// A client acts for itself under its own client_id, which may read like a
// customer's subject.
func TestClientIsNoCustomer(t *testing.T) {
	t.Run("RFC9700-4.15-2 FAPI2-SP-6.7-1 a client named like a customer is not told about them", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, func(c map[string]any) {
			c["client_ca"] = []string{"client-ca.pem"}
			c["users"] = []any{map[string]any{
				"login": "hanako", "password": "pw", "subject": "client-private_key_jwt", "claims": map[string]any{"email": "h@example.com"},
			}}
		})
		c := l.clients["private_key_jwt"]
		status, answer := c.post(t, l.issuer+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
		if status != http.StatusOK {
			t.Fatalf("token: %d %v", status, answer)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.issuer+"/resource", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+answer["access_token"].(string))
		res, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("resource: %d %s %v", res.StatusCode, body, err)
		}
		if got["customer"] != nil {
			t.Errorf("the client is told about the customer: %v", got["customer"])
		}
	})
}
