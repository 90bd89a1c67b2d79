package cluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/sqlstore"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
	"github.com/aikagi/aikagi/store/storetest"
	"github.com/aikagi/aikagi/token"
)

// outside is a Store whose verbs are carried out by goroutines outside of a
// synctest bubble. While they are, the bubble's time stands still.
type outside struct {
	store.Store
	idle chan hand
}

type hand struct {
	work chan func()
	done chan struct{}
}

func newOutside(t *testing.T, s store.Store) *outside {
	const hands = 8
	o := &outside{s, make(chan hand, hands)}
	for range hands {
		h := hand{make(chan func()), make(chan struct{})}
		t.Cleanup(func() { close(h.work) })
		go func() {
			for f := range h.work {
				f()
				h.done <- struct{}{}
			}
		}()
		o.idle <- h
	}
	return o
}

func (o *outside) do(f func()) {
	h := <-o.idle
	h.work <- f
	<-h.done
	o.idle <- h
}

func (o *outside) Create(_ context.Context, r store.Record) (err error) {
	o.do(func() { err = o.Store.Create(context.Background(), r) })
	return err
}

func (o *outside) Get(_ context.Context, key string) (r store.Record, err error) {
	o.do(func() { r, err = o.Store.Get(context.Background(), key) })
	return r, err
}

func (o *outside) Replace(_ context.Context, version string, r store.Record) (err error) {
	o.do(func() { err = o.Store.Replace(context.Background(), version, r) })
	return err
}

func (o *outside) Delete(_ context.Context, key string) (err error) {
	o.do(func() { err = o.Store.Delete(context.Background(), key) })
	return err
}

// local is a server in this process.
type local struct {
	t      testing.TB
	srv    *authz.Server
	config authz.Config
}

func newLocal(t testing.TB, s setup, records store.Store) *local {
	t.Helper()
	c, err := s.config()
	if err != nil {
		t.Fatal(err)
	}
	c.Store = records
	srv, err := authz.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &local{t, srv, c}
}

// request returns m as a request.
func (m message) request() *http.Request {
	r := httptest.NewRequest("POST", issuer+m.path, strings.NewReader(m.form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if m.proof != "" {
		r.Header.Set("DPoP", m.proof)
	}
	return r
}

// send sends m and wants an answer with that status.
func (l *local) send(m message, status int) answer {
	l.t.Helper()
	w := httptest.NewRecorder()
	l.srv.ServeHTTP(w, m.request())
	a := answer{status: w.Code, text: w.Body.String()}
	if a.status != status {
		l.t.Fatalf("%s: %v", m.path, a)
	}
	if len(a.text) > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			l.t.Fatal(err)
		}
	}
	return a
}

// TestRoundTrips counts, on PostgreSQL and in memory, what each request asks of
// the store: how many round trips it waits for one after the other, and how
// many there are in all. For the first, the store is a second away.
func TestRoundTrips(t *testing.T) {
	s, f := newSetup(t)
	t.Run("PostgreSQL", func(t *testing.T) {
		records, err := sqlstore.Open(t.Context(), postgres(t, postgrestest.Shared(t)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { records.Close() })
		countRoundTrips(t, s, f, newOutside(t, records))
	})
	t.Run("Memory", func(t *testing.T) { countRoundTrips(t, s, f, new(store.Memory)) })
}

func countRoundTrips(t *testing.T, s setup, f *fintech, records store.Store) {
	const latency = time.Second
	synctest.Test(t, func(t *testing.T) {
		far := &storetest.Faulty{Store: records, Latency: latency}
		l := newLocal(t, s, far)
		count := func(endpoint string, waits, verbs int, do func()) {
			t.Helper()
			start, before := time.Now(), far.Count("")
			do()
			d, n := time.Since(start), far.Count("")-before
			t.Logf("%-34s %d waits, %d verbs", endpoint, d/latency, n)
			if d != time.Duration(waits)*latency || n != verbs {
				t.Errorf("%s: %v and %d verbs, want %d seconds and %d", endpoint, d, n, waits, verbs)
			}
		}
		var a answer
		var uri string
		count("PAR", 1, 3, func() { uri = l.send(f.asks(), 201).member("request_uri") })

		page := httptest.NewRecorder()
		count("authorize, first page", 1, 1, func() {
			q := url.Values{"client_id": {f.id}, "request_uri": {uri}}
			r := httptest.NewRequest("GET", issuer+"/authorize?"+q.Encode(), nil)
			r.Header.Set(laterHeader, "yes")
			l.srv.ServeHTTP(page, r)
		})
		decided := httptest.NewRecorder()
		count("approval", 4, 4, func() {
			r := httptest.NewRequest("POST", issuer+"/consent", strings.NewReader(url.Values{"interaction": {page.Body.String()}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for _, c := range page.Result().Cookies() {
				r.AddCookie(c)
			}
			consent(l.srv, decided, r)
		})
		to, err := decided.Result().Location()
		if err != nil {
			t.Fatal(err)
		}
		// No more than three waits for a token request.
		count("token request: authorization_code", 3, 4, func() { a = l.send(f.redeems(to.Query().Get("code")), 200) })
		count("token request: refresh_token", 2, 3, func() { l.send(f.refreshes(a.member("refresh_token")), 200) })
		count("token request: client_credentials", 1, 2, func() { l.send(f.credentials(), 200) })
		count("introspection", 2, 3, func() { l.send(f.inspects(a.member("access_token")), 200) })
		count("check at an API", 2, 3, func() { l.check(f, a.member("access_token")) })
		count("revocation", 4, 4, func() { l.send(f.revokes(a.member("refresh_token")), 200) })
	})
}

// check presents an access token to an API.
func (l *local) check(f *fintech, access string) {
	l.t.Helper()
	v, err := token.NewVerifier(token.VerifierConfig{
		Issuer: issuer, Audience: resource, Keys: l.config.Keys, Liveness: l.config.Store,
		Origins: []string{resource}, Replays: l.config.Store,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(access))
	r := httptest.NewRequest("GET", resource+"/accounts", nil)
	r.Header.Set("Authorization", "DPoP "+access)
	r.Header.Set("DPoP", jwt(f.proof, map[string]any{"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk(f.proof)}, map[string]any{
		"jti": rand.Text(), "htm": "GET", "htu": resource + "/accounts", "iat": time.Now().Unix(), "ath": b64(sum[:]),
	}))
	if _, err := v.Check(r, token.Require{}); err != nil {
		l.t.Errorf("check at an API: %v", err)
	}
}
