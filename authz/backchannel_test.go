package authz_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// A bell is where clients are told of logouts, each at a path of its own.
type bell struct {
	*httptest.Server
	mu   sync.Mutex
	rung map[string][]*http.Request
	at   map[string]http.HandlerFunc // what a client answers; if nil, 200
}

func newBell(t *testing.T) *bell {
	l := &bell{rung: map[string][]*http.Request{}, at: map[string]http.HandlerFunc{}}
	l.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		l.mu.Lock()
		l.rung[r.URL.Path] = append(l.rung[r.URL.Path], r)
		answer := l.at[r.URL.Path]
		l.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	l.Config.ErrorLog = log.New(io.Discard, "", 0)
	l.StartTLS()
	t.Cleanup(l.Close)
	return l
}

// rings returns f with a backchannel_logout_uri at the bell.
func (l *bell) rings(f *fintech) *fintech {
	f.BackchannelLogoutURI = l.URL + "/" + f.ID + "?keep=this"
	return f
}

// reachable lets a bank ring it.
func (l *bell) reachable(c *authz.Config) {
	c.FetchPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	c.FetchRoots = x509.NewCertPool()
	c.FetchRoots.AddCert(l.Certificate())
}

// told returns the logout tokens that a client got.
func (l *bell) told(id string) (tokens []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rung["/"+id] {
		tokens = append(tokens, r.PostForm.Get("logout_token"))
	}
	return tokens
}

// TestLogoutToken: what it says, to whom.
func TestLogoutToken(t *testing.T) {
	f := keyClient("kakeibo")
	f.BackchannelLogoutURI = "https://app.fintech.example/b"
	p := newParted(t, clients(f), salted)
	after := func(seconds int64) json.Number {
		return json.Number(strconv.FormatInt(p.clock.Now().Unix()+seconds, 10))
	}
	mint := func(t *testing.T, c *authz.Client, subject, session string) string {
		t.Helper()
		jwt, err := p.srv.LogoutToken(t.Context(), c, subject, session)
		if err != nil {
			t.Fatal(err)
		}
		return jwt
	}
	sid := claimsOf(t, p.idToken(f, p.signedIn()))["sid"]

	for _, tt := range []struct{ name, subject, session string }{
		{"BCL-4 customer and session", customer, session}, {"BCL-4 the session alone", "", session}, {"BCL-4 the customer alone", customer, ""},
	} {
		t.Run(tt.name+", BCL-5 no nonce, BCL-7 typ and two minutes", func(t *testing.T) {
			header, claims := verified(t, mint(t, f.Client, tt.subject, tt.session), serverKeys)
			if d := cmp.Diff(map[string]any{"alg": "ES256", "kid": "as-1", "typ": "logout+jwt"}, header); d != "" {
				t.Error(d)
			}
			want := map[string]any{
				"iss": issuer, "aud": f.ID, "iat": after(0), "exp": after(120), "jti": claims["jti"],
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			}
			if tt.subject != "" {
				want["sub"] = customer
			}
			if tt.session != "" {
				want["sid"] = sid
			}
			if d := cmp.Diff(want, claims); d != "" {
				t.Error(d)
			}
			if jti, _ := claims["jti"].(string); len(jti) < 22 {
				t.Errorf("jti is %q", jti)
			}
		})
	}
	t.Run("BCL-4 every jti is new", func(t *testing.T) {
		if claimsOf(t, mint(t, f.Client, customer, ""))["jti"] == claimsOf(t, mint(t, f.Client, customer, ""))["jti"] {
			t.Error("two tokens have one jti")
		}
	})
	t.Run("BCL-4 neither, or not the session that the client needs", func(t *testing.T) {
		needs := *f.Client
		needs.BackchannelLogoutSessionRequired = true
		nowhere := *f.Client
		nowhere.BackchannelLogoutURI = ""
		for name, err := range map[string]error{
			"neither":         second(p.srv.LogoutToken(t.Context(), f.Client, "", "")),
			"without session": second(p.srv.LogoutToken(t.Context(), &needs, customer, "")),
			"nowhere":         second(p.srv.LogoutToken(t.Context(), &nowhere, customer, session)),
			"no text":         second(p.srv.LogoutToken(t.Context(), f.Client, customer, "\xff")),
			"too long":        second(p.srv.LogoutToken(t.Context(), f.Client, customer, strings.Repeat("s", 256))),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		claims := claimsOf(t, mint(t, &needs, customer, session))
		if claims["sid"] != sid {
			t.Errorf("%v", claims)
		}
	})
	t.Run("BCL-1 a client that may not be served", func(t *testing.T) {
		c := *f.Client
		c.CertificateBoundTokens = false
		_, err := p.srv.LogoutToken(t.Context(), &c, customer, session)
		if d := cmp.Diff([]string{"FAPI2-SP-5.3.2.1-5"}, rules(t, err)); d != "" {
			t.Error(d)
		}
	})
	t.Run("BCL-14 OIDC-SU-6 sub is the pairwise one", func(t *testing.T) {
		c := *f.Client
		c.SubjectType = "pairwise"
		p := newParted(t, []*authz.Client{&c}, salted)
		pair := &fintech{Client: &c, key: f.key, alg: f.alg, kid: f.kid, chain: f.chain}
		id := claimsOf(t, p.idToken(pair, p.signedIn()))
		jwt, err := p.srv.LogoutToken(t.Context(), &c, customer, session)
		if err != nil {
			t.Fatal(err)
		}
		if got := claimsOf(t, jwt); got["sub"] != id["sub"] || got["sub"] == customer || got["sid"] != id["sid"] {
			t.Errorf("ID token %v, logout token %v", id, got)
		}
	})
	t.Run("BCL-6 signed as the client's ID tokens are", func(t *testing.T) {
		rsa := rsaKey()
		keys, err := token.NewKeySet(
			token.PrivateKey{ID: "ec", Algorithm: "ES256", Signer: newEC()}, token.PrivateKey{ID: "rsa", Algorithm: "PS256", Signer: rsa})
		if err != nil {
			t.Fatal(err)
		}
		p := newParted(t, clients(f), func(c *authz.Config) { c.Keys = keys })
		for _, alg := range []string{"ES256", "PS256"} {
			c := *f.Client
			c.IDTokenAlg = alg
			jwt, err := p.srv.LogoutToken(t.Context(), &c, customer, session)
			if err != nil {
				t.Fatal(err)
			}
			if h, _ := verified(t, jwt, keys); h["alg"] != alg {
				t.Errorf("%v, want %s", h, alg)
			}
		}
	})
	t.Run("BCL-6 encrypted where its ID tokens are, with iss outside", func(t *testing.T) {
		key := newEC()
		jwk := publicJWK(key.Public(), "enc-1", "ECDH-ES")
		jwk["use"] = "enc"
		f := keyClient("kakeibo").publishes(jwk)
		f.IDTokenEncryption, f.BackchannelLogoutURI = authz.Encryption{Alg: "ECDH-ES"}, "https://app.fintech.example/b"
		jwe := mint(t, f.Client, customer, session)
		header := headerOf(t, jwe)
		if strings.Count(jwe, ".") != 4 || header["iss"] != issuer || header["cty"] != "JWT" || header["alg"] != "ECDH-ES" || header["kid"] != "enc-1" {
			t.Errorf("%v", header)
		}
		inner, _, err := jose.Decrypt(jwe, 1<<16, []string{"A128CBC-HS256"}, []jose.DecryptionKey{{ID: "enc-1", Key: key}})
		if err != nil {
			t.Fatal(err)
		}
		if h, c := verified(t, string(inner), serverKeys); h["typ"] != "logout+jwt" || c["iss"] != issuer {
			t.Errorf("%v %v", h, c)
		}
		f.JWKS = jwks(f.jwk())
		if jwt, err := p.srv.LogoutToken(t.Context(), f.Client, customer, session); err == nil {
			t.Errorf("without the key it is %s", jwt)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestSessionID: what a client may know of the bank's session.
func TestSessionID(t *testing.T) {
	f, other := keyClient("kakeibo"), keyClient("other")
	p := newParted(t, clients(f, other))
	sid := func(t *testing.T, f *fintech, session string) string {
		t.Helper()
		d := p.signedIn()
		d.Session = session
		s, _ := claimsOf(t, p.idToken(f, d))["sid"].(string)
		return s
	}
	t.Run("BCL-14 one for each client and session, opaque", func(t *testing.T) {
		seen := []string{sid(t, f, "a"), sid(t, f, "b"), sid(t, other, "a"), sid(t, other, "b")}
		if again := sid(t, f, "a"); again != seen[0] {
			t.Errorf("one session is %s and %s", seen[0], again)
		}
		for _, s := range seen {
			if len(s) != 43 {
				t.Errorf("%q", s)
			}
		}
		slices.Sort(seen)
		if n := len(slices.Compact(seen)); n != 4 {
			t.Errorf("%d names, want 4", n)
		}
	})
	t.Run("BCL-14 the bank's own id is in no record", func(t *testing.T) {
		spy := new(spied)
		p := newParted(t, clients(f), func(c *authz.Config) { spy.Store, c.Store = c.Store, spy })
		p.idToken(f, p.signedIn())
		if values := string(spy.values); !strings.Contains(values, customer) || strings.Contains(values, session) {
			t.Error("the session is readable in the store, or nothing was written")
		}
	})
	t.Run("BCL-1 OIDR-19 advertised, and every ID token has it", func(t *testing.T) {
		m := object(t, p.do(get(issuer+wellKnown)))
		if m["backchannel_logout_supported"] != true || m["backchannel_logout_session_supported"] != true {
			t.Errorf("%v", m)
		}
		br := &browser{b: p.bank}
		res, err := br.decide(f, f.push(p.bank, f.pushable()), p.approval())
		if err == nil || errors.As(err, new(*authz.Error)) || res.StatusCode != 200 {
			t.Errorf("an approval without a session: %v", err)
		}
		if _, err := br.decide(f, f.push(p.bank, changed(f.pushable(), "scope", "accounts")), p.approval()); err != nil {
			t.Errorf("without openid: %v", err)
		}
	})
	t.Run("BCL-14 a session that no token could carry", func(t *testing.T) {
		for _, bad := range []string{"a\x00", "é", strings.Repeat("s", 256)} {
			d := p.signedIn()
			d.Session = bad
			if _, err := (&browser{b: p.bank}).decide(f, f.push(p.bank, f.pushable()), d); err == nil {
				t.Errorf("%q is taken", bad)
			}
		}
	})
	t.Run("BCL-14 no session, no sid", func(t *testing.T) {
		b := newBank(t, clients(f))
		if s, ok := claimsOf(t, f.tokens(b)["id_token"].(string))["sid"]; ok {
			t.Errorf("sid is %v", s)
		}
	})
}

// spied is a store that keeps a copy of every value written.
type spied struct {
	store.Store
	mu     sync.Mutex
	values []byte
}

func (s *spied) keep(r store.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values = append(s.values, r.Value...)
}

func (s *spied) Create(ctx context.Context, r store.Record) error {
	s.keep(r)
	return s.Store.Create(ctx, r)
}

func (s *spied) Replace(ctx context.Context, version string, r store.Record) error {
	s.keep(r)
	return s.Store.Replace(ctx, version, r)
}

// TestNotifyLogout: every client of a session is told, whatever the others do.
func TestNotifyLogout(t *testing.T) {
	setup := func(t *testing.T, adjust ...func(*authz.Config)) (*parted, *bell) {
		l := newBell(t)
		none := keyClient("deaf") // registered nothing
		fs := []*fintech{l.rings(keyClient("one")), l.rings(keyClient("two")), l.rings(keyClient("three")), none}
		p := newParted(t, clients(fs...), append([]func(*authz.Config){l.reachable}, adjust...)...)
		p.srv.Hurry(5 * time.Second)
		return p, l
	}
	t.Run("BCL-3 BCL-8 RPL-6 three clients, at the same time, each its own token", func(t *testing.T) {
		p, l := setup(t)
		var all sync.WaitGroup // nobody answers before all were asked
		all.Add(3)
		for _, id := range []string{"one", "two", "three"} {
			l.at["/"+id] = func(w http.ResponseWriter, r *http.Request) {
				all.Done()
				all.Wait()
			}
		}
		if err := p.srv.NotifyLogout(t.Context(), customer, session, "one", "two", "deaf", "three", "one"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"one", "two", "three"} {
			r := l.rung["/"+id]
			if len(r) != 1 || r[0].Method != "POST" || r[0].Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r[0].URL.RawQuery != "keep=this" || len(r[0].PostForm) != 1 {
				t.Fatalf("%s was asked %+v", id, r)
			}
			for _, h := range []string{"Cookie", "Authorization", "Referer"} {
				if v := r[0].Header.Get(h); v != "" {
					t.Errorf("%s: %q", h, v)
				}
			}
			if _, claims := verified(t, l.told(id)[0], serverKeys); claims["aud"] != id || claims["sub"] != customer || claims["sid"] == nil {
				t.Errorf("%s got %v", id, claims)
			}
		}
		var told []string
		for _, e := range p.events {
			if e.Kind == "logout_notified" {
				told = append(told, e.Client)
				if e.Subject != customer || e.Endpoint != "backchannel_logout" || e.Token == "" || strings.Contains(fmt.Sprintf("%+v", e), session) {
					t.Errorf("%+v", e)
				}
			}
		}
		slices.Sort(told)
		if d := cmp.Diff([]string{"one", "three", "two"}, told); d != "" {
			t.Error(d)
		}
	})
	t.Run("BCL-9 BCL-10 one is silent, one fails, one is told", func(t *testing.T) {
		p, l := setup(t)
		over := make(chan struct{})
		t.Cleanup(func() { close(over) }) // before the bell closes
		l.at["/one"] = func(http.ResponseWriter, *http.Request) { <-over }
		l.at["/two"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }
		p.srv.Hurry(time.Second) // enough for the others on a busy machine
		err := p.srv.NotifyLogout(t.Context(), customer, session, "one", "two", "three")
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok || len(joined.Unwrap()) != 2 || !strings.Contains(err.Error(), `"one"`) || !strings.Contains(err.Error(), `"two"`) || strings.Contains(err.Error(), `"three"`) {
			t.Fatalf("%v", err)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		for id, most := range map[string]int{"one": 2, "two": 1, "three": 1} { // a busy machine may not get to ask the first twice
			if n := len(l.told(id)); n < 1 || n > most {
				t.Errorf("%s was asked %d times, want %d", id, n, most)
			}
		}
		failed := 0
		for _, e := range p.events {
			if e.Kind == "request_failed" && e.Endpoint == "backchannel_logout" && (e.Client == "one" || e.Client == "two") {
				failed++
			}
			if strings.Contains(fmt.Sprintf("%+v", e), l.told("two")[0]) {
				t.Errorf("the token is in an event: %+v", e)
			}
		}
		if failed != 2 || strings.Contains(err.Error(), l.told("two")[0]) {
			t.Errorf("%d failures in the audit stream; %v", failed, err)
		}
	})
	for status, want := range map[int]int{200: 1, 204: 1, 201: 1, 202: 1, 302: 1, 400: 1, 401: 1, 404: 1, 501: 2, 503: 2, 408: 2, 429: 2} {
		t.Run(fmt.Sprintf("BCL-9 BCL-10 status %d", status), func(t *testing.T) {
			p, l := setup(t)
			l.at["/one"] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", l.URL+"/three")
				w.WriteHeader(status)
			}
			err := p.srv.NotifyLogout(t.Context(), customer, session, "one")
			if (err == nil) != (status == 200 || status == 204) {
				t.Errorf("%v", err)
			}
			told := l.told("one")
			if len(told) != want || len(slices.Compact(told)) != 1 || len(l.told("three")) != 0 {
				t.Errorf("asked %d times, want %d with one token; the other %d times", len(told), want, len(l.told("three")))
			}
		})
	}
	t.Run("BCL-9 better luck the second time", func(t *testing.T) {
		p, l := setup(t)
		l.at["/one"] = func(w http.ResponseWriter, _ *http.Request) {
			if len(l.told("one")) == 1 {
				w.WriteHeader(503)
			}
		}
		if err := p.srv.NotifyLogout(t.Context(), customer, session, "one"); err != nil || len(l.told("one")) != 2 {
			t.Errorf("%v, %d times", err, len(l.told("one")))
		}
	})
	t.Run("BCL-3 the customer has closed the browser", func(t *testing.T) {
		p, l := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.srv.NotifyLogout(ctx, customer, session, "one"); err != nil || len(l.told("one")) != 1 {
			t.Errorf("%v", err)
		}
	})
	t.Run("FAPI2-SP-7-1 the query of its URI is in no event and no error", func(t *testing.T) {
		p, l := setup(t)
		l.Close()
		err := p.srv.NotifyLogout(t.Context(), customer, session, "one")
		if err == nil || strings.Contains(err.Error(), "keep=this") {
			t.Errorf("%v", err)
		}
		if e := p.lastEvent(); e.Kind != "request_failed" || e.Reason == "" || strings.Contains(e.Reason, "keep=this") {
			t.Errorf("%+v", e)
		}
	})
	t.Run("BCL-3 a client that nobody knows", func(t *testing.T) {
		p, l := setup(t)
		err := p.srv.NotifyLogout(t.Context(), customer, session, "gone", "one")
		if err == nil || len(l.told("one")) != 1 || strings.Contains(err.Error(), `"one"`) {
			t.Errorf("%v", err)
		}
	})
	t.Run("BCL-9 X-14 addresses that are not anybody's", func(t *testing.T) {
		l := newBell(t)
		port := l.URL[strings.LastIndex(l.URL, ":"):]
		for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"} {
			f := keyClient("one")
			f.BackchannelLogoutURI = "https://" + host + port + "/one"
			p := newParted(t, clients(f), func(c *authz.Config) {
				l.reachable(c)
				c.FetchPrivate = nil
			})
			p.srv.Hurry(5 * time.Second)
			if err := p.srv.NotifyLogout(t.Context(), customer, session, "one"); err == nil || !strings.Contains(err.Error(), "not public") {
				t.Errorf("%s: %v", host, err)
			}
		}
		if n := len(l.told("one")); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("FAPI1-BASE-7.1-2 a server with a certificate of nobody's", func(t *testing.T) {
		p, l := setup(t, func(c *authz.Config) { c.FetchRoots = x509.NewCertPool() })
		if err := p.srv.NotifyLogout(t.Context(), customer, session, "one"); err == nil || len(l.told("one")) != 0 {
			t.Errorf("%v", err)
		}
	})
}

// TestLogoutTokenIsNothingElse, and nothing else is one: what a client would
// have to look for, no other token of the server's has.
func TestLogoutTokenIsNothingElse(t *testing.T) {
	f := keyClient("kakeibo").reader()
	f.BackchannelLogoutURI = "https://app.fintech.example/b"
	f.UserInfoAlg = "ES256"
	p := newParted(t, clients(f))
	got := f.tokensIn(p)
	access, id := got["access_token"].(string), got["id_token"].(string)
	logout, err := p.srv.LogoutToken(t.Context(), f.Client, customer, session)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("PIT-10 X-10 BCL-7 no access token", func(t *testing.T) {
		if err := f.check(p.bank, access); err != nil {
			t.Fatal(err)
		}
		if err := f.check(p.bank, logout); err == nil {
			t.Error("an API takes it")
		}
		if told := f.introspect(p.bank, logout); told["active"] != false {
			t.Errorf("introspection %v", told)
		}
		if res := p.do(f.asksInfo(p.bank, logout, nil)); res.StatusCode != 401 {
			t.Errorf("userinfo %d", res.StatusCode)
		}
	})
	t.Run("PIT-10 X-10 BCL-7 no id_token_hint", func(t *testing.T) {
		res := p.do(f.request("/par", f.authenticate(p.bank, changed(f.pushable(), "id_token_hint", logout))))
		mustRefuse(t, p.bank, res, 400, "invalid_request", "OIDC-AR-16")
	})
	t.Run("PIT-10 X-10 JAR-5 no client assertion and no request object", func(t *testing.T) {
		signer := f.key
		v := f.authenticate(p.bank, f.pushable())
		v.Set("client_assertion", jwt(map[string]any{"alg": f.alg, "kid": f.kid, "typ": "logout+jwt"}, f.assertion(p.bank), signer))
		mustRefuse(t, p.bank, p.do(f.request("/par", v)), 401, "invalid_client", "RFC8725-3.12-1")
		v = f.authenticate(p.bank, url.Values{"request": {logout}})
		if res := p.do(f.request("/par", v)); res.StatusCode != 400 {
			t.Errorf("%d", res.StatusCode)
		}
	})
	t.Run("PIT-10 X-10 BCL-4 BCL-11 nothing else says that somebody logged out", func(t *testing.T) {
		info, _ := io.ReadAll(p.do(f.asksInfo(p.bank, access, nil)).Body)
		for name, other := range map[string]string{"ID token": id, "access token": access, "userinfo": string(info)} {
			if c := claimsOf(t, other); c["events"] != nil || headerOf(t, other)["typ"] == "logout+jwt" {
				t.Errorf("%s: %v", name, c)
			}
		}
		config := newBank(t, nil).config
		config.Claims = func(context.Context, authz.ClaimsRequest) (map[string]any, error) { return nil, nil }
		config.ClaimNames = []string{"events"}
		if _, err := authz.New(config); err == nil {
			t.Error("a host may tell events as a claim")
		}
	})
}

// bankPages is a host that does what the documentation of [authz.Logout] says.
type bankPages struct {
	srv    *authz.Server
	store  store.Store
	grants map[string]string // grant id to client, of the one session
	keep   map[string]bool   // grants with offline_access
	log    []string
}

func (h *bankPages) yes(w http.ResponseWriter, r *http.Request) {
	lo, err := h.srv.Logout(r)
	if err != nil {
		http.Error(w, "no", 400)
		return
	}
	h.log = append(h.log, "ended")
	http.SetCookie(w, &http.Cookie{Name: "__Host-bank", Path: "/", Secure: true, MaxAge: -1})
	var told []string
	for id, client := range h.grants {
		if !h.keep[id] {
			h.store.Delete(r.Context(), id)
		}
		told = append(told, client)
	}
	h.srv.NotifyLogout(r.Context(), customer, session, told...)
	h.log = append(h.log, "told")
	if lo.Finish(w, r) {
		h.log = append(h.log, "back")
		return
	}
	io.WriteString(w, "You are logged out.")
}

// TestLogoutOfABank runs the whole of it.
func TestLogoutOfABank(t *testing.T) {
	l := newBell(t)
	one, two := l.rings(keyClient("one").parting()), l.rings(keyClient("two"))
	p := newParted(t, clients(one, two), l.reachable, func(c *authz.Config) { c.Scopes = append(c.Scopes, "offline_access") })
	two.Scope += " offline_access"
	host := &bankPages{srv: p.srv, store: p.config.Store, grants: map[string]string{}, keep: map[string]bool{}}
	br := &browser{b: p.bank}
	refresh := map[string]string{}
	var hint string
	for _, f := range []*fintech{one, two} {
		v := f.pushable()
		if f == two {
			v.Set("scope", "openid accounts offline_access")
			v.Set("prompt", "consent")
		}
		id := br.begin(f, f.push(p.bank, v))
		in, err := br.resume(id)
		if err != nil {
			t.Fatal(err)
		}
		host.grants[in.GrantID], host.keep[in.GrantID] = in.Client.ID, slices.Contains(in.Scopes, "offline_access")
		w, err := br.finish(id, p.signedIn())
		if err != nil {
			t.Fatal(err)
		}
		status, got := f.token(p.bank, f.redeemable(location(t, w.Result()).Get("code")))
		if status != 200 {
			t.Fatal(got)
		}
		refresh[f.ID] = got["refresh_token"].(string)
		if f == one {
			hint = got["id_token"].(string)
		}
	}
	l.at["/one"] = func(http.ResponseWriter, *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		host.log = append(host.log, "one is told")
	}
	id := shown(t, br.leave(url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {goodbye}, "state": {"s"}}))
	w := httptest.NewRecorder()
	host.yes(w, br.yes(id))

	t.Run("RPL-6 BCL-3 end, tell everyone, the one that asked included, and then back", func(t *testing.T) {
		if d := cmp.Diff([]string{"ended", "one is told", "told", "back"}, host.log); d != "" {
			t.Error(d)
		}
		if len(l.told("one")) != 1 || len(l.told("two")) != 1 || w.Header().Get("Location") != goodbye+"?state=s" {
			t.Errorf("%v %v", l.rung, w.Header())
		}
	})
	t.Run("RPL-12 the host's cookie goes with the redirect", func(t *testing.T) {
		if c := w.Result().Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
			t.Errorf("%v", c)
		}
	})
	t.Run("RPL-12 BCL-13 the grant without offline_access is over, the other is not", func(t *testing.T) {
		if status, got := one.token(p.bank, refreshing(refresh["one"])); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
		if status, got := two.token(p.bank, refreshing(refresh["two"])); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
}
