package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A lab is a bank that runs from a configuration, and clients of each kind.
type lab struct {
	issuer, machines string // base URLs
	roots            *x509.CertPool
	clients          map[string]*labClient // by client authentication method
	proving          map[string]*labClient // likewise, with tokens bound to a proof key
	stderr           *syncBuffer
	config           string // the file's name
	stop             func() // ends the bank, once
}

type labClient struct {
	id, issuer string
	key        *ecdsa.PrivateKey // for private_key_jwt; nil otherwise
	http       *http.Client      // shows the client's certificate
	prover     *prover           // nil if tokens are bound to the certificate
}

const labRedirect = "https://app.example/cb?dummy=1"

// newLab runs the bank as a program does, with change applied to its
// configuration.
func newLab(t *testing.T, change func(map[string]any)) *lab {
	t.Helper()
	dir, config := configDir(t)
	l := &lab{roots: x509.NewCertPool(), clients: make(map[string]*labClient), proving: make(map[string]*labClient), stderr: new(syncBuffer)}
	config["listen"] = freeAddress(t)
	config["issuer"] = "https://" + config["listen"].(string)
	config["scopes"] = []string{"openid", "accounts"}
	config["users"] = []any{map[string]any{"login": "hanako", "password": "pw", "subject": "customer-7", "name": "Hanako", "claims": map[string]any{"email": "h@example.com"}}}
	useBankKeys(t, dir, config)
	change(config)
	l.issuer = config["issuer"].(string)
	l.machines = l.issuer
	if base, ok := config["mtls_base"].(string); ok {
		l.machines = base
	}
	l.writeClients(t, dir)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	l.roots.AppendCertsFromPEM(ca)

	l.start(t, writeConfig(t, dir, config))
	t.Cleanup(func() { // before the bank stops, so that it need not wait
		for method := range l.clients {
			l.clients[method].http.CloseIdleConnections()
			l.proving[method].http.CloseIdleConnections()
		}
	})
	return l
}

// start runs the bank that the file config describes until the test ends.
func (l *lab) start(t *testing.T, config string) {
	t.Helper()
	l.config = config
	ctx, cancel := context.WithCancel(context.Background())
	status := make(chan int, 1)
	ready, stdout := io.Pipe()
	go func() {
		status <- run(ctx, []string{"-config", config}, stdout, l.stderr)
		stdout.Close()
	}()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if s := <-status; s != 0 {
			t.Errorf("exit status %d: %s", s, l.stderr)
		}
	})
	t.Cleanup(l.stop)
	if b, err := io.ReadAll(io.LimitReader(ready, 1)); err != nil || len(b) == 0 {
		t.Fatalf("the bank did not start: %v %s", err, l.stderr)
	}
	go io.Copy(io.Discard, ready)
}

// writeClients registers one client of each authentication method, and puts the
// authority of the one with tls_client_auth into the file that client_ca names.
func (l *lab) writeClients(t *testing.T, dir string) {
	t.Helper()
	now := time.Now()
	authority, err := newPKI(now)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.OpenFile(filepath.Join(dir, "client-ca.pem"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	if _, err := ca.Write(authority.authority); err != nil {
		t.Fatal(err)
	}
	own, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	selfSigned, err := issue(&x509.Certificate{Subject: pkix.Name{CommonName: "self"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour)}, nil, own, own)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := (&client{key: signing}).jwks()
	if err != nil {
		t.Fatal(err)
	}
	point, err := own.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	base := map[string]any{
		"redirect_uris": []string{labRedirect}, "grant_types": []string{"authorization_code", "refresh_token", "client_credentials"},
		"response_types": []string{"code"}, "scope": "openid accounts",
		"client_name": nasty,
	}
	var metadata []any
	for method, more := range map[string]map[string]any{
		"private_key_jwt": {"jwks": jwks},
		"tls_client_auth": {"tls_client_auth_subject_dn": "CN=Kakeibo Note,O=Aikagi example"},
		"self_signed_tls_client_auth": {"jwks": map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "kid": "tls", "x": b64(point[1:33]), "y": b64(point[33:]),
			"x5c": []string{base64.StdEncoding.EncodeToString(selfSigned.Certificate[0])},
		}}}},
	} {
		cert := []tls.Certificate{selfSigned}
		c := &labClient{id: "client-" + method, issuer: l.issuer}
		p := &labClient{id: "proving-" + method, issuer: l.issuer}
		switch method {
		case "private_key_jwt":
			c.key, p.key, cert = signing, signing, []tls.Certificate{authority.thief} // any certificate will do
		case "tls_client_auth":
			cert = []tls.Certificate{authority.fintech}
		}
		c.http, p.http = newHTTPClient(l.roots, cert...), newHTTPClient(l.roots, cert...)
		if method == "private_key_jwt" {
			p.http = newHTTPClient(l.roots) // and none will, with proofs
		}
		if p.prover, err = testProver(); err != nil {
			t.Fatal(err)
		}
		l.clients[method], l.proving[method] = c, p
		for _, c := range []*labClient{c, p} {
			m := map[string]any{"client_id": c.id, "token_endpoint_auth_method": method}
			for _, from := range []map[string]any{base, more} {
				maps.Copy(m, from)
			}
			m["tls_client_certificate_bound_access_tokens"], m["dpop_bound_access_tokens"] = c.prover == nil, c.prover != nil
			metadata = append(metadata, m)
		}
	}
	b, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "clients.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// post sends form with the client's proof of who it is.
func (c *labClient) post(t *testing.T, endpoint string, form url.Values) (int, map[string]any) {
	t.Helper()
	a, err := c.prover.send(c.http, "", func() (*http.Request, error) { return c.request(t, endpoint, form), nil })
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(a.body, &answer); err != nil {
		t.Fatal(err)
	}
	return a.status, answer
}

// request makes a request with what proves who the client is.
func (c *labClient) request(t *testing.T, endpoint string, form url.Values) *http.Request {
	t.Helper()
	if c.key != nil {
		req, err := (&client{id: c.id, issuer: c.issuer, key: c.key}).request(t.Context(), endpoint, form)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	form.Set("client_id", c.id)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// push pushes an authorization request and returns the URL for the browser.
func (l *lab) push(t *testing.T, c *labClient, verifier string, extra url.Values) string {
	t.Helper()
	form := pushForm(c, verifier)
	maps.Copy(form, extra)
	status, answer := c.post(t, l.machines+"/par", form)
	uri, _ := answer["request_uri"].(string)
	if status != http.StatusCreated || uri == "" {
		t.Fatalf("PAR: %d %v\n%s", status, answer, l.stderr)
	}
	return l.issuer + "/authorize?" + url.Values{"client_id": {c.id}, "request_uri": {uri}}.Encode()
}

func pushForm(c *labClient, verifier string) url.Values {
	challenge := sha256.Sum256([]byte(verifier))
	return url.Values{
		"client_id": {c.id}, "response_type": {"code"}, "redirect_uri": {labRedirect}, "scope": {"openid accounts"}, "state": {"st"}, "nonce": {"n"},
		"code_challenge": {b64(challenge[:])}, "code_challenge_method": {"S256"},
	}
}

// TestConfigServer runs whole flows against the bank as -config runs it, with
// each client authentication method, on one listener and on two.
func TestConfigServer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"one listener": func(c map[string]any) { c["auto_approve"] = "customer-7"; c["client_ca"] = []string{"client-ca.pem"} },
		"two listeners": func(c map[string]any) {
			c["auto_approve"] = "customer-7"
			c["client_ca"] = []string{"client-ca.pem"}
			c["listen_mtls"] = freeAddress(t)
			c["mtls_base"] = "https://" + c["listen_mtls"].(string)
			c["resource"] = "/v1/history"
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, change)
			resource := l.machines + "/resource"
			if name == "two listeners" {
				resource = l.machines + "/v1/history"
			}
			for method, c := range l.clients {
				t.Run(method, func(t *testing.T) { l.wholeFlow(t, c, resource) })
			}
		})
	}
}

func (l *lab) wholeFlow(t *testing.T, c *labClient, resource string) {
	verifier := randomText()
	res, err := newHTTPClient(l.roots).Get(l.push(t, c, verifier, nil))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatalf("authorize: %d %v\n%s", res.StatusCode, err, l.stderr)
	}
	q := back.Query()
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(back.String(), labRedirect+"&") || q.Get("state") != "st" || q.Get("iss") != l.issuer {
		t.Fatalf("authorize: %d %s", res.StatusCode, back)
	}
	status, tokens := c.post(t, l.machines+"/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {labRedirect}, "code_verifier": {verifier},
	})
	if status != http.StatusOK || tokens["id_token"] == nil || tokens["refresh_token"] == nil {
		t.Fatalf("token: %d %v\n%s", status, tokens, l.stderr)
	}
	status, refreshed := c.post(t, l.machines+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}})
	if status != http.StatusOK {
		t.Fatalf("refresh: %d %v", status, refreshed)
	}
	l.useResource(t, c, resource, refreshed["access_token"].(string))
}

// useResource calls the protected resource as it should be called, and as a
// thief would.
func (l *lab) useResource(t *testing.T, c *labClient, resource, token string) {
	const id = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"
	do := func(h *http.Client, method, token string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, resource, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("X-Fapi-Interaction-Id", id)
		req.Header.Set("Accept", "application/json, application*")
		res, err := h.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(b)
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		res, body := do(c.http, method, token)
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("X-Fapi-Interaction-Id") != id {
			t.Fatalf("%s: %d %v %s", method, res.StatusCode, res.Header, body)
		}
		if date, err := http.ParseTime(res.Header.Get("Date")); err != nil || time.Since(date).Abs() > time.Minute {
			t.Errorf("%s: Date %q", method, res.Header.Get("Date"))
		}
		var answer struct {
			Transactions []transaction     `json:"transactions"`
			Customer     map[string]string `json:"customer"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Transactions) != len(entries) {
			t.Errorf("%s: %v %s", method, err, body)
		}
		if answer.Customer["name"] != "Hanako" || answer.Customer["email"] != "h@example.com" {
			t.Errorf("%s: customer %v", method, answer.Customer)
		}
	}
	for name, thief := range map[string]*http.Client{"no certificate": newHTTPClient(l.roots), "another certificate": l.other(c).http} {
		res, body := do(thief, http.MethodGet, token)
		if res.StatusCode != http.StatusUnauthorized || strings.Contains(body, "transactions") || res.Header.Get("X-Fapi-Interaction-Id") != id {
			t.Errorf("thief with %s: %d %s", name, res.StatusCode, body)
		}
	}
	if res, _ := do(c.http, http.MethodGet, token[:len(token)-4]+"AAAA"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("token with a changed signature: %d", res.StatusCode)
	}
	if res, _ := do(c.http, http.MethodDelete, token); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, POST" {
		t.Errorf("DELETE: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}

// other returns a client that is not c.
func (l *lab) other(c *labClient) *labClient {
	for _, o := range l.clients {
		if o != c {
			return o
		}
	}
	return nil
}

// A client that shows a good certificate, but not its own, is nobody.
func TestConfigServerRefusesImpostors(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c map[string]any) { c["client_ca"] = []string{"client-ca.pem"} })
	thief := l.clients["private_key_jwt"] // issued by client_ca, to somebody else
	for _, method := range []string{"tls_client_auth", "self_signed_tls_client_auth"} {
		impostor := &labClient{id: l.clients[method].id, issuer: l.issuer, http: thief.http}
		status, answer := impostor.post(t, l.machines+"/token", url.Values{"grant_type": {"client_credentials"}})
		if status != http.StatusUnauthorized || answer["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", method, status, answer)
		}
	}
	wrong, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	impostor := &labClient{id: thief.id, issuer: l.issuer, key: wrong, http: thief.http}
	if status, answer := impostor.post(t, l.machines+"/token", url.Values{"grant_type": {"client_credentials"}}); status != http.StatusUnauthorized {
		t.Errorf("private_key_jwt: %d %v", status, answer)
	}
}

// TestLoginAndConsent walks the pages as a browser without script does. The
// client is called something that no page may run.
func TestLoginAndConsent(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c map[string]any) { c["client_ca"] = []string{"client-ca.pem"} })
	c := l.clients["private_key_jwt"]

	t.Run("approve", func(t *testing.T) {
		b := l.browser(t)
		body := b.get(t, l.push(t, c, randomText(), nil))
		if !strings.Contains(body, `<html lang="en">`) || strings.Contains(body, "<script") || strings.Contains(body, "aikagi") && strings.Contains(body, "In this story") {
			t.Errorf("login page:\n%s", body)
		}
		b.form(t, url.Values{"login": {"hanako"}, "password": {"wrong"}})
		if !strings.Contains(b.body, message("en", "login.failed")) || !strings.Contains(b.body, `value="hanako"`) || b.res.StatusCode != http.StatusOK {
			t.Errorf("a bad login does not stay on the page: %d\n%s", b.res.StatusCode, b.body)
		}
		if strings.Contains(b.body, "wrong") {
			t.Error("the page repeats the password")
		}
		b.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
		for _, want := range []string{message("en", "scope.openid"), message("en", "scope.accounts"), "Hanako", "app.example", `name="approve"`, `name="deny"`, "&lt;script&gt;"} {
			if !strings.Contains(b.body, want) {
				t.Errorf("the consent page lacks %q:\n%s", want, b.body)
			}
		}
		if strings.Contains(b.body, "<script") {
			t.Error("the client's name is not escaped")
		}
		if csp := b.res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:;") {
			t.Errorf("the redirect after consent would be blocked: %s", csp)
		}
		consent := *b
		b.form(t, url.Values{"approve": {"1"}})
		if q := b.location(t); q.Get("code") == "" || q.Get("state") != "st" || q.Get("dummy") != "1" {
			t.Errorf("approved: %v", q)
		}
		consent.form(t, url.Values{"deny": {"1"}})
		if consent.res.StatusCode != http.StatusBadRequest || consent.res.Header.Get("Location") != "" {
			t.Errorf("a second decision: %d", consent.res.StatusCode)
		}
	})
	t.Run("deny", func(t *testing.T) {
		b := l.browser(t)
		b.get(t, l.push(t, c, randomText(), nil))
		b.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
		b.form(t, url.Values{"deny": {"1"}})
		if q := b.location(t); q.Get("error") != "access_denied" || q.Get("code") != "" {
			t.Errorf("denied: %v", q)
		}
	})
	t.Run("neither or both buttons", func(t *testing.T) {
		b := l.browser(t)
		b.get(t, l.push(t, c, randomText(), nil))
		b.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
		for _, fields := range []url.Values{{}, {"approve": {"1"}, "deny": {"1"}}} {
			b.form(t, fields)
			if b.res.StatusCode != http.StatusOK || !strings.Contains(b.body, `name="approve"`) {
				t.Fatalf("%v: %d", fields, b.res.StatusCode)
			}
		}
	})
	t.Run("consent without login", func(t *testing.T) {
		b := l.browser(t)
		b.get(t, l.push(t, c, randomText(), nil))
		b.body = strings.ReplaceAll(b.body, `action="/login"`, `action="/consent"`)
		b.form(t, url.Values{"approve": {"1"}})
		if b.res.Header.Get("Location") != "" || !strings.Contains(b.body, `name="password"`) {
			t.Errorf("approved without login: %d", b.res.StatusCode)
		}
	})
	t.Run("another browser", func(t *testing.T) {
		b, other := l.browser(t), l.browser(t)
		b.get(t, l.push(t, c, randomText(), nil))
		other.get(t, l.push(t, c, randomText(), nil))
		other.body = b.body
		other.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
		if other.res.StatusCode != http.StatusBadRequest {
			t.Errorf("a form of another browser: %d", other.res.StatusCode)
		}
	})
	t.Run("another site", func(t *testing.T) {
		b := l.browser(t)
		b.get(t, l.push(t, c, randomText(), nil))
		b.site = "cross-site"
		b.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
		if b.res.StatusCode != http.StatusForbidden {
			t.Errorf("a form that another site sent: %d", b.res.StatusCode)
		}
	})
	t.Run("prompt none", func(t *testing.T) {
		b := l.browser(t)
		b.get(t, l.push(t, c, randomText(), url.Values{"prompt": {"none"}}))
		if q := b.location(t); q.Get("error") != "login_required" {
			t.Errorf("%v", q)
		}
	})
	t.Run("languages and hint of the client", func(t *testing.T) {
		b := l.browser(t)
		body := b.get(t, l.push(t, c, randomText(), url.Values{"ui_locales": {"fr ja en"}, "login_hint": {nasty}}))
		if !strings.Contains(body, `<html lang="ja">`) || strings.Contains(body, "<script") || !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("%s", body)
		}
	})
	t.Run("unknown page", func(t *testing.T) {
		b := l.browser(t)
		if body := b.get(t, l.issuer+"/nowhere"); b.res.StatusCode != http.StatusNotFound || !strings.Contains(body, message("en", "notice.unknown")) {
			t.Errorf("%d", b.res.StatusCode)
		}
	})
}

// A labBrowser keeps cookies and sends the one form on its page.
type labBrowser struct {
	http *http.Client
	res  *http.Response
	body string
	site string // Sec-Fetch-Site
}

func (l *lab) browser(t *testing.T) *labBrowser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := newHTTPClient(l.roots)
	h.Jar = jar
	t.Cleanup(h.CloseIdleConnections)
	h.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), l.issuer) {
			return nil
		}
		return http.ErrUseLastResponse
	}
	return &labBrowser{http: h, site: "same-origin"}
}

func (b *labBrowser) do(t *testing.T, req *http.Request) {
	t.Helper()
	res, err := b.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	b.res, b.body = res, string(body)
}

func (b *labBrowser) get(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.do(t, req)
	return b.body
}

var (
	actionOf      = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	interactionOf = regexp.MustCompile(`name="interaction" value="([^"]+)"`)
)

func (b *labBrowser) form(t *testing.T, fields url.Values) {
	t.Helper()
	action, id := actionOf.FindStringSubmatch(b.body), interactionOf.FindStringSubmatch(b.body)
	if action == nil || id == nil {
		t.Fatalf("no form on the page (%d):\n%s", b.res.StatusCode, b.body)
	}
	fields.Set("interaction", id[1])
	to := b.res.Request.URL.ResolveReference(&url.URL{Path: action[1]})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", b.site)
	b.do(t, req)
}

// location returns the parameters that the browser is sent to the client with.
func (b *labBrowser) location(t *testing.T) url.Values {
	t.Helper()
	u, err := b.res.Location()
	if err != nil || b.res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(u.String(), labRedirect) {
		t.Fatalf("no redirect to the client: %d %v\n%s", b.res.StatusCode, err, b.body)
	}
	return u.Query()
}

// TestListeners: the pages are on one listener only, and only the other asks
// for certificates, any certificate.
func TestListeners(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c map[string]any) {
		c["client_ca"] = []string{"client-ca.pem"}
		c["listen_mtls"] = freeAddress(t)
		c["mtls_base"] = "https://" + c["listen_mtls"].(string)
	})
	for base, want := range map[string]bool{l.issuer: false, l.machines: true} {
		var asked bool
		conf := &tls.Config{RootCAs: l.roots, GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			if len(r.AcceptableCAs) > 0 {
				t.Errorf("%s names issuers", base)
			}
			return new(tls.Certificate), nil
		}}
		h := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
		res, err := h.Get(base + "/jwks")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if asked != want {
			t.Errorf("%s asks for a certificate: %v, want %v", base, asked, want)
		}
		for _, page := range []string{"/style.css", "/authorize"} {
			res, err = h.Get(base + page)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if got := res.StatusCode != http.StatusNotFound; got == want {
				t.Errorf("%s has %s: %v", base, page, got)
			}
		}
	}
}

// A client whose metadata does not fit is warned about at the start.
func TestConfigWarnsOfClients(t *testing.T) {
	t.Parallel()
	dir, config := configDir(t)
	config["listen"] = freeAddress(t)
	config["issuer"] = "https://" + config["listen"].(string)
	ctx, cancel := context.WithCancel(t.Context())
	var out writerFunc = func(b []byte) (int, error) { cancel(); return len(b), nil }
	var errs bytes.Buffer
	if status := run(ctx, []string{"-config", writeConfig(t, dir, config)}, out, &errs); status != 0 {
		t.Fatalf("exit status %d: %s", status, errs.String())
	}
	if !strings.Contains(errs.String(), `client "c1" will be refused`) || !strings.Contains(errs.String(), "FAPI2-SP-5.3.2.1-6") {
		t.Errorf("no warning:\n%s", errs.String())
	}
}

// An address that is in use is a wrong value like any other.
func TestConfigAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, member := range []string{"listen", "listen_mtls"} {
		dir, config := configDir(t)
		config["listen"], config["listen_mtls"], config["mtls_base"] = freeAddress(t), freeAddress(t), "https://127.0.0.1:1"
		config[member] = taken.Addr().String()
		refused(t, writeConfig(t, dir, config), member+": ")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// An issuer may have a path: its endpoints and pages lie below it, and the
// resource where the configuration says.
func TestIssuerWithPath(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c map[string]any) {
		c["client_ca"] = []string{"client-ca.pem"}
		c["issuer"] = c["issuer"].(string) + "/tenant"
	})
	c, verifier := l.clients["tls_client_auth"], randomText()
	b := l.browser(t)
	b.get(t, l.push(t, c, verifier, nil))
	b.form(t, url.Values{"login": {"hanako"}, "password": {"pw"}})
	b.form(t, url.Values{"approve": {"1"}})
	status, tokens := c.post(t, l.issuer+"/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {b.location(t).Get("code")}, "redirect_uri": {labRedirect}, "code_verifier": {verifier},
	})
	if status != http.StatusOK {
		t.Fatalf("token: %d %v", status, tokens)
	}
	l.useResource(t, c, origin(l.issuer)+"/resource", tokens["access_token"].(string))
}

// No request is redirected with its body, whatever its path looks like (FAPI
// 2.0 Security Profile, 5.3.2.2-10).
func TestOddPaths(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c map[string]any) {
		c["listen_mtls"] = freeAddress(t)
		c["mtls_base"] = "https://" + c["listen_mtls"].(string)
	})
	h := newHTTPClient(l.roots, tls.Certificate{})
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, base := range []string{l.issuer, l.machines} {
		for _, path := range []string{"//token", "/x/../token", "/./par", "//login", "/consent/../login", "//resource"} {
			res, err := h.Post(base+path, "application/x-www-form-urlencoded", strings.NewReader("password=pw"))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusNotFound {
				t.Errorf("%s%s: %d", base, path, res.StatusCode)
			}
		}
	}
}
