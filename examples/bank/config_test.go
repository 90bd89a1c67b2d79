package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// configDir returns a directory with the files that a good configuration
// names, and the configuration.
func configDir(t *testing.T) (dir string, config map[string]any) {
	t.Helper()
	dir = t.TempDir()
	p, err := newPKI(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(p.server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate[0]}))
	write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	write("ca.pem", p.authority)
	write("clients.json", []byte(`[{"client_id":"c1"},{"client_id":"c2","profile":"fapi2-security"}]`))
	write("error.html", []byte(`<p lang="{{.Lang}}">Sorry: {{.Code}} ({{.Description}})</p>`))
	write("broken.html", []byte("{{.Code"))
	write("wrong.html", []byte("{{.Password}}"))
	write("empty.pem", nil)
	for _, name := range []string{"a.key", "b.key", "c.key"} {
		secret := make([]byte, 32)
		rand.Read(secret)
		write(name, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"))
	}
	write("broken.json", []byte("[\n{\n"))
	write("twice.json", []byte(`[{"client_id":"c1","client_id":"c2"}]`))
	return dir, map[string]any{
		"issuer": "https://127.0.0.1:8443", "listen": "127.0.0.1:8443",
		"tls_cert": "cert.pem", "tls_key": "key.pem", "client_ca": []string{"ca.pem"},
		"clients": "clients.json",
		"users":   []any{map[string]any{"login": "a", "password": "b", "subject": "s", "name": "A"}},
	}
}

func writeConfig(t *testing.T, dir string, config map[string]any) string {
	t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return writeText(t, dir, string(b))
}

func writeText(t *testing.T, dir, text string) string {
	t.Helper()
	name := filepath.Join(dir, "bank.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestConfig(t *testing.T) {
	dir, config := configDir(t)
	s, err := readConfig(writeConfig(t, dir, config))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.apis) != 1 || s.apis[0].path != "/resource" || s.autoApprove != "" || s.authorities == nil || s.keys == nil || len(s.scopes) == 0 || s.dpopNonces {
		t.Errorf("defaults: %+v", s)
	}
	for _, c := range s.clients.All() {
		if c.Profile != "fapi2-security" {
			t.Errorf("client %s has profile %q", c.ID, c.Profile)
		}
	}
	if u := s.signIn("a", "b"); u == nil || u.name("en") != "A" || u.Subject != "s" {
		t.Errorf("signIn: %+v", u)
	}
	for _, wrong := range [][2]string{{"a", "c"}, {"b", "b"}, {"", ""}, {"a", ""}, {"A", "b"}} {
		if s.signIn(wrong[0], wrong[1]) != nil {
			t.Errorf("%q may sign in with password %q", wrong[0], wrong[1])
		}
	}
}

// Every member may be there, each with a value that is not the default.
func TestConfigWithEverything(t *testing.T) {
	dir, config := configDir(t)
	for member, v := range map[string]any{
		"mtls_base": "https://127.0.0.1:8444", "listen_mtls": "127.0.0.1:8444", "profiles": []string{"fapi2-security"},
		"store": "sqlite:grants.db", "store_by_kind": map[string]any{"kinds": "r", "store": "redis://127.0.0.1"}, "secrets": []string{"a.key"},
		"seal": map[string]any{"secrets": []string{"b.key"}, "tag_secret": "c.key"}, "dpop_nonce": "required", "scopes": []string{"x"}, "authorization_details_types": []any{"payment_initiation", "x", map[string]any{"type": "y", "fields": []string{"z"}}},
		"resource": "/v1/things", "auto_approve": "s", "keys": "jwks.json", "acr_values": []string{"urn:a"},
		"pairwise_salt": "0123456789abcdef0123456789abcdef", "http_signatures": "fapi-2_0-http-signatures-01",
		"fetch_ca": []string{"ca.pem"}, "retire": map[string]any{"fapi2-security": "2027-03-31T00:00:00+09:00"}, "logout": []string{"rp-initiated", "back-channel"}, "error_page": "error.html",
		"waivers": []any{map[string]any{"rule": "R", "clients": []string{"c1"}, "reason": "an old app", "expires": "2027-01-01T00:00:00Z"}},
	} {
		config[member] = v
	}
	jwks := `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256","use":"sig","x":"H4YuE4stO9s2fDtcmJbIRXM3S3mKPO-IOcCo5MSzYuQ","y":"uFe6wHTtJf6Dp7YVlLthne4ds_mDKtRWtk4t8kvcrZA","d":"2juP99sK5Mk0cskVbawBtjGVKoxIyIlZgtn24wFvgGo"}]}`
	if err := os.WriteFile(filepath.Join(dir, "jwks.json"), []byte(jwks), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, member := range configMembers {
		if _, ok := config[member]; !ok && member != "resources" { // in place of resource
			t.Errorf("the test lacks member %s", member)
		}
	}
	s, err := readConfig(writeConfig(t, dir, config))
	if err != nil {
		t.Fatal(err)
	}
	if s.mtlsBase != "https://127.0.0.1:8444" || s.apis[0].path != "/v1/things" || s.autoApprove != "s" || s.scopes[0] != "x" || !s.dpopNonces ||
		s.acr[0] != "urn:a" || len(s.pairwise) != 32 || !s.httpSignatures || len(s.details) != 3 {
		t.Errorf("%+v", s)
	}
	if want := (map[authz.Profile]time.Time{"fapi2-security": time.Date(2027, 3, 30, 15, 0, 0, 0, time.UTC)}); len(s.retire) != 1 || !s.retire["fapi2-security"].Equal(want["fapi2-security"]) {
		t.Errorf("retire is %v, want %v", s.retire, want)
	}
	if want := []authz.Waiver{{Rule: "R", Clients: []string{"c1"}, Reason: "an old app", Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}}; !reflect.DeepEqual(s.waivers, want) {
		t.Errorf("waivers are %+v, want %+v", s.waivers, want)
	}
	if !s.logoutByClient || !s.backchannel || s.ownErrorPage == nil || s.fetchRoots == nil {
		t.Errorf("logout and error page: %+v", s)
	}
	for i, want := range []string{"payment_initiation", "x", "y"} {
		if s.details[i].Name != want {
			t.Errorf("type %d of the details is %q, want %q", i, s.details[i].Name, want)
		}
	}
	delete(config, "resource")
	config["resources"] = map[string]any{
		"/b": map[string]any{"scopes": []string{"x"}, "authorization_details_types": []string{"y"}, "acr_values": []string{"urn:a"}, "max_age": 60},
		"/a": map[string]any{},
	}
	several, err := readConfig(writeConfig(t, dir, config))
	if err != nil {
		t.Fatal(err)
	}
	if want := []api{{path: "/a"}, {"/b", []string{"x"}, []string{"y"}, []string{"urn:a"}, time.Minute}}; !reflect.DeepEqual(several.apis, want) {
		t.Errorf("%+v, want %+v", several.apis, want)
	}
	keys, err := s.keys.PublicKeys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != "k" {
		t.Errorf("keys: %v, %v", keys, err)
	}
}

// Each wrong configuration is refused with exit status 2 and a message that
// names the file, the member and what to do.
func TestConfigRefused(t *testing.T) {
	user := func(with map[string]any) []any {
		u := map[string]any{"login": "a", "password": "b", "subject": "s"}
		for k, v := range with {
			u[k] = v
		}
		return []any{u}
	}
	waiver := func(with map[string]any) []any {
		w := map[string]any{"rule": "FAPI2-SP-5.3.2.1-2", "clients": []string{"c1"}, "reason": "an old app", "expires": time.Now().AddDate(1, 0, 0)}
		maps.Copy(w, with)
		return []any{w}
	}
	tests := []struct {
		name   string
		member string
		value  any // nil: left out
		want   string
	}{
		{"unknown member", "isuer", "x", "remove it"},
		{"member in other case", "Issuer", "https://a.example", "remove it"},
		{"no issuer", "issuer", nil, "give an https URL"},
		{"issuer of another type", "issuer", 5, "write a string"},
		{"issuer null", "issuer", json.RawMessage("null"), "write a string"},
		{"issuer without TLS", "issuer", "http://a.example", "give an https URL"},
		{"issuer with query", "issuer", "https://a.example?x", "give an https URL"},
		{"no listen", "listen", nil, "127.0.0.1:8443"},
		{"listen without port", "listen", "127.0.0.1", "127.0.0.1:8443"},
		{"mtls_base alone", "mtls_base", "https://a.example", "leave out both"},
		{"listen_mtls alone", "listen_mtls", "127.0.0.1:1", "leave out both"},
		{"no certificate", "tls_cert", nil, "name the PEM file"},
		{"no key", "tls_key", nil, "name the PEM file"},
		{"certificate that is not there", "tls_cert", "nowhere.pem", "relative to bank.json"},
		{"certificate that is a key", "tls_cert", "key.pem", "leaf first"},
		{"key of another", "tls_key", "ca.pem", "leaf first"},
		{"client_ca that is no list", "client_ca", "ca.pem", "a list of strings"},
		{"client_ca that is not there", "client_ca", []string{"nowhere.pem"}, "relative to bank.json"},
		{"client_ca that is empty", "client_ca", []string{"empty.pem"}, "certificates of authorities"},
		{"profile of tomorrow", "profiles", []string{"fapi-ciba"}, "list some of fapi2-security, fapi2-message-signing"},
		{"profile twice", "profiles", []string{"fapi2-security", "fapi2-security"}, "there twice"},
		{"no profiles in the list", "profiles", []string{}, "at least one"},
		{"no clients", "clients", nil, "array of client metadata"},
		{"clients not there", "clients", "nowhere.json", "relative to bank.json"},
		{"clients broken", "clients", "broken.json", "RFC 7591"},
		{"clients with a member twice", "clients", "twice.json", "RFC 7591"},
		{"clients that are no array", "clients", "bank.json", "RFC 7591"},
		{"keys not there", "keys", "nowhere.json", "relative to bank.json"},
		{"keys that are no JWKS", "keys", "clients.json", "private JWKS"},
		{"users that are no list", "users", map[string]any{}, "a list of objects"},
		{"no users", "users", nil, "auto_approve"},
		{"user without login", "users", user(map[string]any{"login": ""}), "give each a login"},
		{"user without subject", "users", user(map[string]any{"subject": 5}), "give each a login"},
		{"user twice", "users", append(user(nil), user(nil)...), "of its own"},
		{"claims that are no object", "users", user(map[string]any{"claims": "x"}), "claim"},
		{"claim twice", "users", user(map[string]any{"name": "x", "claims": map[string]any{"name": "y"}}), "claim"},
		{"store of tomorrow", "store", "mongodb://db", `write "memory"`},
		{"nonces by another word", "dpop_nonce", "on", `write "off" or "required"`},
		{"nonces that are no word", "dpop_nonce", true, "write a string"},
		{"details without a type", "authorization_details_types", []any{map[string]any{"fields": []string{"x"}}}, "objects with type"},
		{"details without fields", "authorization_details_types", []any{map[string]any{"type": "x"}}, "objects with type"},
		{"details with a member more", "authorization_details_types", []any{map[string]any{"type": "x", "fields": []string{"y"}, "field": 1}}, "nothing else"},
		{"details that are a number", "authorization_details_types", []any{5}, "neither a name nor an object"},
		{"details twice", "authorization_details_types", []any{"x", "x"}, `authorization_details_types has "x" twice`},
		{"a field twice", "authorization_details_types", []any{map[string]any{"type": "x", "fields": []string{"y", "y"}}}, "name each field once"},
		{"details that are a word", "authorization_details_types", "payment_initiation", "list of names"},
		{"a short salt", "pairwise_salt", "salt", "32 random bytes"},
		{"a draft of yesterday", "http_signatures", "fapi-2_0-http-signatures-00", "fapi-2_0-http-signatures-01"},
		{"signatures that are no word", "http_signatures", true, "write a string"},
		{"a salt that is no string", "pairwise_salt", 5, "write a string"},
		{"an empty authentication context", "acr_values", []string{"a", ""}, "take it out"},
		{"authentication contexts that are no list", "acr_values", "urn:a", "a list of strings"},
		{"no resources", "resources", map[string]any{}, "at least one"},
		{"resources that are a list", "resources", []string{"/a"}, "an object that has an object for each path"},
		{"a resource that is a list", "resources", map[string]any{"/a": []string{}}, "want a JSON object"},
		{"a resource that waits for yesterday", "resources", map[string]any{"/a": map[string]any{"max_age": -1}}, "seconds as max_age"},
		{"a resource that waits for nothing", "resources", map[string]any{"/a": map[string]any{"max_age": 0}}, "seconds as max_age"},
		{"a resource that waits for a word", "resources", map[string]any{"/a": map[string]any{"max_age": "1h"}}, "max_age has another type"},
		{"a resource with null", "resources", map[string]any{"/a": map[string]any{"scopes": nil}}, "scopes has another type"},
		{"a resource with a member in other case", "resources", map[string]any{"/a": map[string]any{"Scopes": []string{"accounts"}}}, `"Scopes" is not a member`},
		{"a resource with a scope that is not offered", "resources", map[string]any{"/a": map[string]any{"scopes": []string{"x"}}}, `resources has`},
		{"a resource for contexts that nobody has", "resources", map[string]any{"/a": map[string]any{"acr_values": []string{"urn:a"}}}, "list it in acr_values, too"},
		{"a resource below /.well-known", "resources", map[string]any{"/.well-known/x": map[string]any{}}, "absolute path"},
		{"a resource with a slash at the end", "resources", map[string]any{"/a/": map[string]any{}}, "a slash at the end"},
		{"a resource with two faults", "resources", map[string]any{"/a": map[string]any{"scope": nil, "max_age": -1}}, `"scope" is not a member, max_age is -1`},
		{"two resources that are taken", "resources", map[string]any{"/par": map[string]any{"scopes": []string{"accounts"}}, "/token": map[string]any{"scopes": []string{"transactions"}}}, "resource: /token is a path of the bank itself"},
		{"a port that there is not", "listen", "127.0.0.1:99999", "give host and port"},
		{"a certificate of nobody's", "client_ca", []string{"ca.pem", "key.pem"}, "ca.pem, key.pem: "},
		{"a resource that is taken", "resources", map[string]any{"/userinfo": map[string]any{}}, "choose another"},
		{"resources without scopes", "resources", map[string]any{"/a": map[string]any{}, "/b": map[string]any{}}, "without scopes; say which scopes mean something"},
		{"a claim that the library says", "users", user(map[string]any{"iss": "x"}), `users has a claim "iss"`},
		{"resource that is a URL", "resource", "https://a.example/x", "absolute path"},
		{"resource that is a pattern", "resource", "/{x}", "absolute path"},
		{"resource that is taken", "resource", "/token", "choose another"},
		{"resource that is a page", "resource", "/login", "choose another"},
		{"auto_approve true", "auto_approve", true, "name the subject"},
		{"auto_approve of nobody", "auto_approve", "nobody", "name the subject"},
		{"auto_approve null", "auto_approve", json.RawMessage("null"), "name the subject"},
		{"retire that is a list", "retire", []string{"fapi2-security"}, "a moment for each profile"},
		{"retire of nothing", "retire", json.RawMessage("null"), "a moment for each profile"},
		{"retire of a profile that is not there", "retire", map[string]any{"fapi1-advanced": "2027-03-31T00:00:00Z"}, `"fapi1-advanced" is not in profiles`},
		{"retire on a day of no hour", "retire", map[string]any{"fapi2-security": "2027-03-31"}, "2027-03-31T00:00:00Z"},
		{"retire in a while", "retire", map[string]any{"fapi2-security": 86400}, "86400 is not a moment"},
		{"retire never", "retire", map[string]any{"fapi2-security": nil}, "null is not a moment"},
		{"retire at the beginning of time", "retire", map[string]any{"fapi2-security": "0001-01-01T00:00:00Z"}, "retire of"},
		{"waivers that are an object", "waivers", map[string]any{}, "a list of objects"},
		{"a waiver that is a rule", "waivers", []any{"FAPI2-SP-5.3.2.1-2"}, "want a JSON object"},
		{"a waiver with nothing in it", "waivers", []any{map[string]any{}}, "clients is missing, expires is missing, reason is missing, rule is missing"},
		{"a waiver with a member more", "waivers", waiver(map[string]any{"client": "c1"}), `"client" is not a member`},
		{"a waiver with a member in other case", "waivers", waiver(map[string]any{"Rule": "x"}), `"Rule" is not a member`},
		{"a waiver for a name", "waivers", waiver(map[string]any{"clients": "c1"}), "clients has another type"},
		{"a waiver for null", "waivers", waiver(map[string]any{"clients": nil}), "clients has another type"},
		{"a waiver for a while", "waivers", waiver(map[string]any{"expires": "P1Y"}), `"P1Y" is not a moment`},
		{"a waiver of no rule", "waivers", waiver(map[string]any{"rule": "x"}), `waivers[0] of "x" names no rule`},
		{"a waiver of a rule that stands", "waivers", waiver(map[string]any{"rule": "FAPI2-SP-5.3.2.1-6"}), "cannot be waived"},
		{"a waiver without reason", "waivers", waiver(map[string]any{"reason": ""}), "has no reason"},
		{"a waiver that has expired", "waivers", waiver(map[string]any{"expires": "2020-01-01T00:00:00Z"}), "expired at 2020-01-01"},
		{"a waiver for a generation", "waivers", waiver(map[string]any{"expires": "2099-01-01T00:00:00Z"}), "within two years"},
		{"a waiver for nobody", "waivers", waiver(map[string]any{"clients": []string{}}), "has no clients"},
		{"fetch_ca that is no list", "fetch_ca", "ca.pem", "a list of strings"},
		{"fetch_ca that is not there", "fetch_ca", []string{"nowhere.pem"}, "relative to bank.json"},
		{"fetch_ca that is a key", "fetch_ca", []string{"ca.pem", "key.pem"}, "key.pem: has no certificate"},
		{"logout that is on", "logout", true, "a list of strings"},
		{"logout by another word", "logout", []string{"front-channel"}, `"front-channel" is not available`},
		{"logout twice", "logout", []string{"rp-initiated", "rp-initiated"}, "there twice"},
		{"logout that nobody can ask for", "logout", []string{"back-channel"}, "nobody could sign out"},
		{"an error page that is not there", "error_page", "nowhere.html", "relative to bank.json"},
		{"an error page that is broken", "error_page", "broken.html", "write an HTML page"},
		{"an error page that tells too much", "error_page", "wrong.html", "{{.Description}}"},
		{"an error page that is not a name", "error_page", map[string]any{}, "write a string"},
		{"an error page without a name", "error_page", "", "give a value"},
		{"scope that is none", "scopes", []string{"a b"}, "printable ASCII"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, config := configDir(t)
			if tt.value == nil {
				delete(config, tt.member)
			} else {
				config[tt.member] = tt.value
			}
			refused(t, writeConfig(t, dir, config), tt.want)
		})
	}

	for name, with := range map[string]map[string]any{
		"leave out one of the two": {"resource": "/a", "resources": map[string]any{"/b": map[string]any{}}},
		"authorization_details_types of a resource": {"authorization_details_types": []string{"x"}, "resources": map[string]any{
			"/a": map[string]any{"scopes": []string{"accounts"}}, "/b": map[string]any{"scopes": []string{"transactions"}},
		}},
		`logout is there and nobody logs in; offer the scope "openid"`:      {"logout": []string{"rp-initiated"}, "scopes": []string{"accounts"}},
		`resource: /signout is a path of the bank itself`:                   {"logout": []string{"rp-initiated"}, "resource": "/signout"},
		`resource: /logout is a path of the bank itself`:                    {"logout": []string{"rp-initiated"}, "resource": "/logout"},
		`with details of type "x"; offer it in authorization_details_types`: {"resources": map[string]any{"/a": map[string]any{"authorization_details_types": []string{"x"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, config := configDir(t)
			maps.Copy(config, with)
			refused(t, writeConfig(t, dir, config), name)
		})
	}

	texts := []struct{ name, text, want string }{
		{"empty", "", "too early"},
		{"not JSON", "{\n\"issuer\" \"x\"}", "line 2"},
		{"array", "[]", "want a JSON object"},
		{"cut short", `{"issuer":"x"`, "too early"},
		{"something after", "{} {}", "something follows"},
		{"member twice", `{"issuer":"x","issuer":"y"}`, `"issuer" is there twice`},
		{"member twice, deeper", `{"users":[{"login":"a","login":"b"}]}`, `"login" is there twice`},
	}
	for _, tt := range texts {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, writeText(t, t.TempDir(), tt.text), tt.want)
		})
	}
}

func refused(t *testing.T, name, want string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a bank that starts all the same stops at once
	var out, errs bytes.Buffer
	status := run(ctx, []string{"-config", name}, &out, &errs)
	if status != 2 || !strings.Contains(errs.String(), name) || !strings.Contains(errs.String(), want) {
		t.Errorf("exit status %d, want 2 and a message with %q and %q:\n%s", status, name, want, errs.String())
	}
}

// What is wrong is told all at once.
func TestConfigTellsEverything(t *testing.T) {
	dir, config := configDir(t)
	delete(config, "issuer")
	config["store"], config["listen"], config["x"] = "redis://", "nowhere", 1
	_, err := readConfig(writeConfig(t, dir, config))
	if err == nil {
		t.Fatal("no error")
	}
	for _, member := range []string{"issuer", "store", "listen", "x"} {
		if !strings.Contains(err.Error(), ": "+member+": ") {
			t.Errorf("nothing about %s in:\n%v", member, err)
		}
	}
}

func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `[{"a":{"b":[1,2,{}]}}]`, `{"a":`, `nul`, "{\"a\":\"\\u0000\"}", `{"a":1}x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := object(b)
		if err == nil && (m == nil || !json.Valid(b)) {
			t.Errorf("object(%q) accepts what is not a JSON object", b)
		}
	})
}
