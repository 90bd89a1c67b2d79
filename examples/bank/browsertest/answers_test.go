package browsertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// A site is a client's: it takes the bank's answer at /callback, and what it
// answers itself is the test's business.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	callback http.HandlerFunc
	posted   []url.Values
}

func newSite(t *testing.T, cert tls.Certificate) *site {
	t.Helper()
	s := new(site)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" {
			fmt.Fprintf(w, "<h1>Welcome to %s</h1>", r.URL.Path)
			return
		}
		_ = r.ParseForm() // what is wrong in it, the test finds missing
		s.mu.Lock()
		defer s.mu.Unlock()
		s.posted = append(s.posted, r.PostForm)
		s.callback(w, r)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// answer has the site answer with h from now on, as if nothing had been posted.
func (s *site) answer(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callback, s.posted = h, nil
}

func (s *site) got() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posted
}

// TestAnswers has a real browser take the bank's answer to a client, by a page
// that posts itself (response_mode form_post) and by the redirect that follows
// the consent form, and then follow the client wherever it sends the customer:
// to another page of its own, or to another origin, as clients do whose callback
// is on a host of its own.
//
// Chromium holds form-action of the page with the form against every redirect
// that follows the form, the client's own among them. A policy that named
// nothing but the client's origin would strand the customer: the client would
// have the answer, and the browser stay at the bank.
func TestAnswers(t *testing.T) {
	chromium := findChromium(t)
	key, cert := selfSigned(t)
	client, app := newSite(t, cert), newSite(t, cert)
	bank, config := bankForAnswers(t, key, cert, client.URL+"/callback")
	startBank(t, "-config", config)
	browser := startChromium(t, chromium, client.URL)
	to := func(address string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, http.StatusSeeOther) }
	}
	tests := []struct {
		name, mode string
		answer     http.HandlerFunc
		want       string // where the customer arrives
	}{
		{"the client answers", "form_post", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<h1>Welcome to /callback</h1>") }, client.URL + "/callback"},
		{"the client sends to its own page", "form_post", to(client.URL + "/home"), client.URL + "/home"},
		{"the client sends to another origin", "form_post", to(app.URL + "/home"), app.URL + "/home"},
		{"the client sends to its own page", "fragment", to(client.URL + "/home"), client.URL + "/home"},
		{"the client sends to another origin", "fragment", to(app.URL + "/home"), app.URL + "/home"},
	}
	for _, tt := range tests {
		t.Run(tt.mode+", "+tt.name, func(t *testing.T) {
			client.answer(tt.answer)
			v := visitPages(t, browser, authorizeURL(t, bank, key, client.URL+"/callback", tt.mode))
			v.approve()
			at, text := v.arrives("Welcome to")
			if at, _, _ := strings.Cut(at, "#"); at != tt.want {
				t.Errorf("the customer is at %s, want %s:\n%s\n%q", at, tt.want, text, v.said())
			}
			got := client.got()
			if len(got) != 1 {
				t.Fatalf("the client got %d answers", len(got))
			}
			if tt.mode == "form_post" && (got[0].Get("code") == "" || got[0].Get("id_token") == "" || got[0].Get("state") != "st") {
				t.Errorf("the client was posted %v", got[0])
			}
		})
	}
}

// approve signs in and agrees.
func (v *visit) approve() {
	v.t.Helper()
	click := func(selector string) {
		v.t.Helper()
		if err := chromedp.Do(v.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
			v.t.Fatalf("click %s: %v", selector, err)
		}
	}
	for name, value := range map[string]string{"login": "hanako", "password": "aikagi"} {
		if err := chromedp.Do(v.ctx, chromedp.SendKeys(chromedp.CSS(`input[name="`+name+`"]`), value)); err != nil {
			v.t.Fatal(err)
		}
	}
	click(`main form button`)
	click(`button[name="approve"]`)
}

// A visit is a tab of a browser, with scripts.
type visit struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

func visitPages(t *testing.T, browser context.Context, address string) *visit {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	v := &visit{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, v.listen); err != nil {
		t.Fatal(err)
	}
	if err := order(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *visit) listen(event any) {
	if e, ok := event.(*log.EventEntryAdded); ok && e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.URL, "/favicon.ico") {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.complaints = append(v.complaints, e.Entry.Text)
	}
}

func (v *visit) said() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.complaints
}

// arrives waits until the page shows text, or the browser complains, and returns
// where the customer is then and what is there to be read.
func (v *visit) arrives(text string) (address, shown string) {
	v.t.Helper()
	type place struct {
		Address string `json:"address"`
		Text    string `json:"text"`
	}
	for {
		blocked := len(v.said()) > 0
		at, err := chromedp.Run(v.ctx, chromedp.Evaluate[place](`({address: location.href, text: document.body ? document.body.innerText : ""})`))
		switch {
		case v.ctx.Err() != nil:
			v.t.Fatalf("the customer arrives nowhere: %v", err)
		case err != nil: // between two pages
		case strings.Contains(at.Text, text), blocked:
			return at.Address, at.Text
		}
		time.Sleep(20 * time.Millisecond) // a page is loading, in another process
	}
}

// bankForAnswers writes the configuration of a bank with one client of FAPI 1.0
// Advanced, and returns its URL and the file.
func bankForAnswers(t *testing.T, key *ecdsa.PrivateKey, cert tls.Certificate, callback string) (issuer, config string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, v any) {
		b, ok := v.([]byte)
		if !ok {
			if b, err = json.Marshal(v); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	write("clients.json", []any{map[string]any{
		"client_id": "app", "redirect_uris": []string{callback}, "response_types": []string{"code id_token"},
		"grant_types": []string{"authorization_code", "implicit"}, "scope": "openid accounts",
		"token_endpoint_auth_method": "private_key_jwt", "tls_client_certificate_bound_access_tokens": true,
		"jwks": map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256", "x": b64(point[1:33]), "y": b64(point[33:]),
		}}},
	}})
	issuer = "https://" + address
	write("bank.json", map[string]any{
		"issuer": issuer, "listen": address, "tls_cert": "cert.pem", "tls_key": "key.pem", "clients": "clients.json",
		"profiles": []string{"fapi1-advanced"},
		"users":    []any{map[string]any{"login": "hanako", "password": "aikagi", "subject": "customer-1"}},
	})
	return issuer, filepath.Join(dir, "bank.json")
}

// authorizeURL is where the client sends the customer: a signed request by value.
func authorizeURL(t *testing.T, issuer string, key *ecdsa.PrivateKey, callback, mode string) string {
	t.Helper()
	now := time.Now()
	header, err1 := json.Marshal(map[string]any{"alg": "ES256", "kid": "k", "typ": "oauth-authz-req+jwt"})
	claims, err2 := json.Marshal(map[string]any{
		"iss": "app", "aud": issuer, "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "client_id": "app",
		"response_type": "code id_token", "response_mode": mode, "redirect_uri": callback,
		"scope": "openid accounts", "state": "st", "nonce": rand.Text(),
	})
	input := b64(header) + "." + b64(claims)
	sum := sha256.Sum256([]byte(input))
	r, s, err3 := ecdsa.Sign(rand.Reader, key, sum[:])
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var sig [64]byte
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	q := url.Values{"client_id": {"app"}, "response_type": {"code id_token"}, "scope": {"openid accounts"}, "request": {input + "." + b64(sig[:])}}
	return issuer + "/authorize?" + q.Encode()
}

// selfSigned returns a certificate for this machine, and its key.
func selfSigned(t *testing.T) (*ecdsa.PrivateKey, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return key, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
