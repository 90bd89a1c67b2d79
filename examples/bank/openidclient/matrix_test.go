package openidclient

import (
	"strings"
	"testing"
)

// A client is registered with the bank as openid-client will play it.
type client struct {
	Metadata map[string]any `json:"metadata"` // RFC 7591, for both sides

	Alg            string `json:"alg"`                       // that it signs and wants signed with
	Key            string `json:"key"`                       // PEM: for assertions and request objects
	Certificate    string `json:"certificate,omitempty"`     // PEM; for those who show one
	CertificateKey string `json:"certificate_key,omitempty"` // PEM
	DecryptionKey  string `json:"decryption_key,omitempty"`  // PEM; for those who want to be encrypted to

	ByValue     bool `json:"by_value,omitempty"`     // its requests are brought by the browser; otherwise pushed
	WithoutPKCE bool `json:"without_pkce,omitempty"` // in them
	FormPost    bool `json:"form_post,omitempty"`    // how it is answered
}

// A testCase is one flow, or one attack on a client by another of its kind.
type testCase struct {
	Name    string   `json:"name"`
	Attack  string   `json:"attack,omitempty"` // as drive.mjs calls it; empty for a flow
	Clients []string `json:"clients"`          // client_id of each who takes part
}

// A choice is a combination that FAPI leaves to the client.
type choice struct {
	method     string // token_endpoint_auth_method
	alg        string
	dpop       bool   // tokens bound to a proof key; otherwise to the certificate
	openid     bool   // OpenID Connect; otherwise plain OAuth
	signed     bool   // request objects (RFC 9101)
	jarm       bool   // signed authorization responses
	details    bool   // authorization_details beside the scope (RFC 9396)
	encryption string // of all that the bank signs for the client: how, or "" for none
	fapi1      *fapi1 // what FAPI 1.0 Advanced leaves to it besides; nil for FAPI 2.0
}

func either(chosen bool, yes, no string) string {
	if chosen {
		return yes
	}
	return no
}

// name describes the choice.
func (c choice) name() string {
	if c.fapi1 != nil {
		return c.fapi1Name()
	}
	words := []string{
		c.method, c.alg, c.binding(),
		either(c.openid, "OpenID Connect", "OAuth"),
		either(c.signed, "signed request", "unsigned request"),
		either(c.jarm, "JARM", "query"),
	}
	if c.details {
		words = append(words, "authorization_details")
	}
	if c.encryption != "" {
		words = append(words, c.encryption)
	}
	return strings.Join(words, ", ")
}

func (c choice) binding() string {
	if c.dpop {
		return "DPoP"
	}
	return "certificate-bound"
}

// id returns a client_id that tells the choice apart from others.
func (c choice) id() string { return strings.NewReplacer(", ", ".", " ", "-").Replace(c.name()) }

var authMethods = []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}

var both = []bool{false, true}

// fapi2 registers a client for every combination of FAPI 2.0, and writes down a
// flow for each and the attacks on some.
func (p *plan) fapi2(t *testing.T, a *authority) {
	t.Helper()
	for _, method := range authMethods {
		for _, dpop := range both {
			for _, openid := range both {
				for _, signed := range both {
					for _, jarm := range both {
						p.flow(t, a, choice{method: method, alg: "ES256", dpop: dpop, openid: openid, signed: signed, jarm: jarm})
					}
				}
			}
			p.flow(t, a, choice{method: method, alg: "ES256", dpop: dpop, signed: true, details: true})
			p.attacks(method, dpop)
		}
	}
	everything := choice{method: "private_key_jwt", openid: true, signed: true, jarm: true}
	for _, alg := range []string{"PS256", "EdDSA"} { // the others of FAPI 2.0 (Security Profile, 5.4.1)
		for _, dpop := range both {
			c := everything
			c.alg, c.dpop = alg, dpop
			p.flow(t, a, c)
		}
	}
	for _, encryption := range []string{"ECDH-ES", "RSA-OAEP-256"} {
		c := everything
		c.alg, c.dpop, c.encryption = "ES256", true, encryption
		p.flow(t, a, c)
	}
}

func (p *plan) flow(t *testing.T, a *authority, c choice) {
	t.Helper()
	p.Clients[c.id()] = c.register(t, a)
	p.Cases = append(p.Cases, testCase{Name: c.name(), Clients: []string{c.id()}})
}

// attacks adds what clients of one kind may try on each other.
func (p *plan) attacks(method string, dpop bool) {
	victim := choice{method: method, alg: "ES256", dpop: dpop}
	thief := victim
	thief.openid = true
	for _, name := range []string{"stolen access token", "stolen code", "replayed code", "stolen refresh token"} {
		p.attack(name, victim, thief)
	}
	second := thief
	second.jarm = true
	p.attack("stolen access token at userinfo", thief, second)
	if dpop {
		p.attack("another proof key", victim, thief)
	}
	victim.signed, thief.signed = true, true
	p.attack("unsigned request", victim, thief)
	p.attack("request signed by another", victim, thief)
}

func (p *plan) attack(name string, victim, thief choice) {
	p.Cases = append(p.Cases, testCase{
		Name:    name + ", " + victim.kind(),
		Attack:  name,
		Clients: []string{victim.id(), thief.id()},
	})
}

// kind is what those have in common who try something on each other.
func (c choice) kind() string {
	words := []string{c.method, c.binding()}
	if c.fapi1 != nil {
		words = append(words, c.fapi1.request(), c.answer())
	}
	return strings.Join(words, ", ")
}

// register makes a client's keys and metadata.
func (c choice) register(t *testing.T, a *authority) *client {
	t.Helper()
	key := newKey(t, c.alg)
	m := map[string]any{
		"client_id":                    c.id(),
		"redirect_uris":                []string{"https://client.example/callback"},
		"grant_types":                  []string{"authorization_code", "refresh_token"},
		"response_types":               []string{"code"},
		"scope":                        "accounts",
		"token_endpoint_auth_method":   c.method,
		"id_token_signed_response_alg": c.alg,
	}
	keys := []any{publicJWK(t, key.Public(), map[string]any{"kid": "signing", "use": "sig"})}
	var cert *certificate
	if c.method == "self_signed_tls_client_auth" {
		cert = selfSigned(t, clientCertificate(c.id()))
		keys = append(keys, publicJWK(t, cert.key.Public(), map[string]any{"kid": "tls", "x5c": [][]byte{cert.der}}))
	} else if c.method == "tls_client_auth" || !c.dpop {
		cert = a.issue(t, clientCertificate(c.id()))
	}
	registered := &client{Metadata: m, Alg: c.alg, Key: string(privatePEM(t, key))}
	if cert != nil {
		registered.Certificate, registered.CertificateKey = string(cert.pem()), string(privatePEM(t, cert.key))
	}
	if c.encryption != "" {
		key := newKey(t, c.encryption)
		keys = append(keys, publicJWK(t, key.Public(), map[string]any{"kid": "encryption", "use": "enc", "alg": c.encryption}))
		registered.DecryptionKey = string(privatePEM(t, key))
	}
	m["jwks"] = map[string]any{"keys": keys}
	if c.method == "tls_client_auth" {
		m["tls_client_auth_subject_dn"] = cert.template.Subject.String()
	}
	c.ask(m)
	if c.fapi1 != nil {
		c.askFAPI1(registered)
	}
	return registered
}

// ask adds to m what else the client chose.
func (c choice) ask(m map[string]any) {
	if c.dpop {
		m["dpop_bound_access_tokens"] = true
	} else {
		m["tls_client_certificate_bound_access_tokens"] = true
	}
	if c.openid {
		m["scope"] = "openid accounts"
	}
	if c.signed {
		m["require_signed_request_object"], m["request_object_signing_alg"] = true, c.alg
	}
	if c.jarm {
		m["response_modes"], m["authorization_signed_response_alg"] = []string{"jwt"}, c.alg
	}
	if c.openid && (c.jarm || c.encryption != "") {
		m["userinfo_signed_response_alg"] = c.alg
	}
	if c.signed && c.jarm {
		m["profile"] = "fapi2-message-signing"
	}
	if c.details {
		m["authorization_details_types"] = []string{detailsType}
	}
	if c.encryption != "" {
		for _, what := range []string{"authorization", "id_token", "userinfo"} {
			m[what+"_encrypted_response_alg"], m[what+"_encrypted_response_enc"] = c.encryption, contentEncryption
		}
	}
}
