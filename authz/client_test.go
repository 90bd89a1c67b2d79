package authz_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
)

const kakeiboJSON = `{
	"client_id": "kakeibo", "profile": "fapi2-security", "client_name": "Kakeibo",
	"redirect_uris": ["https://app.fintech.example/cb"], "application_type": "web",
	"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
	"scope": "openid accounts",
	"token_endpoint_auth_method": "tls_client_auth", "token_endpoint_auth_signing_alg": "ES256",
	"jwks": {"keys": []}, "jwks_uri": "https://app.fintech.example/jwks",
	"tls_client_auth_subject_dn": "CN=kakeibo", "tls_client_auth_san_dns": "a.example",
	"tls_client_auth_san_uri": "urn:x", "tls_client_auth_san_ip": "192.0.2.1", "tls_client_auth_san_email": "a@b.example",
	"tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens": true,
	"id_token_signed_response_alg": "PS256",
	"software_id": "4NRB1", "contacts": ["ops@fintech.example"]
}`

func kakeibo() *authz.Client {
	return &authz.Client{
		ID: "kakeibo", Profile: authz.FAPI2Security, Name: "Kakeibo",
		RedirectURIs: []string{"https://app.fintech.example/cb"}, ApplicationType: "web",
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		Scope:      "openid accounts",
		AuthMethod: "tls_client_auth", AuthSigningAlg: "ES256",
		JWKS: json.RawMessage(`{"keys": []}`), JWKSURI: "https://app.fintech.example/jwks",
		CertificateSubject:     mtls.Subject{DN: "CN=kakeibo", DNS: "a.example", URI: "urn:x", IP: "192.0.2.1", Email: "a@b.example"},
		CertificateBoundTokens: true, DPoPBoundTokens: true,
		IDTokenAlg: "PS256",
		Metadata: map[string]json.RawMessage{
			"software_id": json.RawMessage(`"4NRB1"`), "contacts": json.RawMessage(`["ops@fintech.example"]`),
		},
	}
}

func TestClientJSON(t *testing.T) {
	t.Run("R7591-2-1 the names of RFC 7591", func(t *testing.T) {
		var got authz.Client
		if err := json.Unmarshal([]byte(kakeiboJSON), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(kakeibo(), &got); d != "" {
			t.Error(d)
		}
	})
	t.Run("R7591-3.2.1 written as it was read", func(t *testing.T) {
		b, err := json.Marshal(kakeibo())
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(kakeiboJSON), &want); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
	t.Run("what is not set is not written", func(t *testing.T) {
		b, err := json.Marshal(&authz.Client{ID: "a"})
		if err != nil || string(b) != `{"client_id":"a"}` {
			t.Errorf("%s, %v", b, err)
		}
	})
}

func TestLoadClientsRefuses(t *testing.T) {
	for _, tt := range []struct{ name, json, want string }{
		{"no JSON", `nonsense`, "not a JSON array"},
		{"one client without an array", `{"client_id":"a"}`, "not a JSON array"},
		{"null for an array", `null`, "not a JSON array"},
		{"more after the array", `[] []`, "not a JSON array"},
		{"no client_id", `[{"client_name":"a"}]`, "client 1 of 1: client_id is missing"},
		{"one client_id for two", `[{"client_id":"a"},{"client_id":"a"}]`, `client 2 of 2: client_id "a" is there twice`},
		{"JWT-I-1 a member twice", `[{"client_id":"a","scope":"x","scope":"y"}]`, "client 1 of 1"},
		{"JWT-I-1 a member twice in another case", `[{"client_id":"a","scope":"x","SCOPE":"y"}]`, "client 1 of 1"},
		{"RFC8705-3.4-1 a boolean as a string", `[{"client_id":"a","tls_client_certificate_bound_access_tokens":"true"}]`, "tls_client_certificate_bound_access_tokens is not true or false"},
		{"a list as a string", `[{"client_id":"a","redirect_uris":"https://a.example"}]`, "redirect_uris is not an array of strings"},
		{"a string as a list", `[{"client_id":"a","scope":["a"]}]`, "scope is not a string"},
		{"null", `[{"client_id":"a","scope":null}]`, "scope is null"},
		{"two members", `[{"client_id":"a","scope":["a"],"jwks_uri":5}]`, "scope is not a string, jwks_uri is not a string"},
		{"two clients", `[{"client_id":1},{"client_id":"a"},{}]`, "client 1 of 3: client metadata: client_id is not a string\nauthz: client 3 of 3: client_id is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := authz.LoadClients([]byte(tt.json))
			if l != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("LoadClients: %v, %v; want an error with %q", l, err, tt.want)
			}
		})
	}
}

func TestClientList(t *testing.T) {
	l, err := authz.LoadClients([]byte(`[` + kakeiboJSON + `,{"client_id":"other"}]`))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := l.Client(context.Background(), "other"); err != nil || c.ID != "other" {
		t.Errorf("Client: %v, %v", c, err)
	}
	if c, err := l.Client(context.Background(), "Other"); !errors.Is(err, authz.ErrNoClient) || c != nil {
		t.Errorf("Client of an unknown id: %v, %v", c, err)
	}
	if n := len(l.All()); n != 2 {
		t.Errorf("All has %d clients, want 2", n)
	}
	if l, err := authz.NewClientList(kakeibo(), kakeibo()); err == nil {
		t.Errorf("NewClientList takes one id twice: %v", l)
	}
	if c, err := new(authz.ClientList).Client(context.Background(), "a"); !errors.Is(err, authz.ErrNoClient) {
		t.Errorf("the zero list has %v, %v", c, err)
	}
}

func FuzzLoadClients(f *testing.F) {
	f.Add([]byte(`[` + kakeiboJSON + `]`))
	f.Add([]byte(`[{"client_id":"a"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := authz.LoadClients(b)
		if err != nil {
			return
		}
		for _, c := range l.All() {
			raw, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			var again authz.Client
			if err := json.Unmarshal(raw, &again); err != nil {
				t.Errorf("%s is written but not read: %v", raw, err)
			}
		}
	})
}

func TestNewClientListRefuses(t *testing.T) {
	good := &authz.Client{ID: "c"}
	for name, clients := range map[string][]*authz.Client{
		"nil":      {good, nil},
		"no ID":    {good, {}},
		"ID twice": {good, {ID: "c"}},
	} {
		if _, err := authz.NewClientList(clients...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
