package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// A bankSession is a customer who is signed in at the bank with one browser, and
// whom the clients know by it that were let in meanwhile.
type bankSession struct {
	name  string // authz.Decision.Session
	user  *user
	at    time.Time           // of the last login
	known map[string][]string // by client: the grants that end with the session
}

// BankSessions keeps the bank's sessions. Where customers can log out, a login
// lasts; the bank of the story asks for one each time, and keeps none but the
// short ones of those who look at their connected services.
type bankSessions struct {
	cookie string
	life   time.Duration

	mu sync.Mutex
	m  map[string]*bankSession // by the value of the cookie
}

const (
	bankSessionLife = 8 * time.Hour
	visitLife       = 10 * time.Minute
	maxBankSessions = 10_000
)

// newSessions returns those of the bank with that name. Cookies know nothing of
// ports, so that the cookie's name has to tell banks apart.
func newSessions(name string, life time.Duration) *bankSessions {
	sum := sha256.Sum256([]byte(name))
	return &bankSessions{cookie: "__Host-bank-" + hex.EncodeToString(sum[:8]), life: life, m: make(map[string]*bankSession)}
}

// of returns the session of the browser that sent r, or nil. What it returns
// changes no more.
func (s *bankSessions) of(r *http.Request, now time.Time) *bankSession {
	if s == nil {
		return nil
	}
	c, err := r.Cookie(s.cookie)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.m[c.Value]
	if in == nil || now.Sub(in.at) > s.life {
		return nil
	}
	shown := *in
	return &shown
}

// start signs u in with the browser that sent r, under a new cookie: whoever
// planted the old one has nothing of it. A session of u's own goes on, and that
// of another customer ends and is returned. It returns r as the browser will
// send it from now on, and reports false if there are too many sessions.
func (s *bankSessions) start(w http.ResponseWriter, r *http.Request, u *user, now time.Time) (next *http.Request, ended *bankSession, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for value, in := range s.m {
		if now.Sub(in.at) > s.life {
			delete(s.m, value)
		}
	}
	in := &bankSession{name: rand.Text(), user: u, known: make(map[string][]string)}
	if c, err := r.Cookie(s.cookie); err == nil {
		if old := s.m[c.Value]; old != nil && old.user.Subject == u.Subject {
			in = old
		} else {
			ended = old
		}
		delete(s.m, c.Value)
	}
	if len(s.m) >= maxBankSessions {
		return r, ended, false
	}
	in.at = now
	value := rand.Text()
	s.m[value] = in
	cookie := s.baked(value, int(s.life.Seconds()))
	http.SetCookie(w, cookie)
	return s.bearing(r, cookie), ended, true
}

// bearing returns r with that cookie in place of the one before.
func (s *bankSessions) bearing(r *http.Request, cookie *http.Cookie) *http.Request {
	next := r.Clone(r.Context())
	next.Header.Del("Cookie")
	for _, c := range append(r.Cookies(), cookie) {
		if c.Name != s.cookie || c == cookie {
			next.AddCookie(c)
		}
	}
	return next
}

// approved notes that the client of in is let in during the session of the
// browser that sent r, and returns the session's name, or "" if there is none.
func (s *bankSessions) approved(r *http.Request, in *authz.Interaction) string {
	if s == nil {
		return ""
	}
	c, err := r.Cookie(s.cookie)
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	who := s.m[c.Value]
	if who == nil {
		return ""
	}
	grants := who.known[in.Client.ID]
	if !slices.Contains(in.Scopes, "offline_access") { // OpenID Connect Back-Channel Logout, 2.7
		grants = append(grants, in.GrantID)
	}
	who.known[in.Client.ID] = grants
	return who.name
}

// end ends the session of the browser that sent r, and returns it, or nil.
func (s *bankSessions) end(w http.ResponseWriter, r *http.Request) *bankSession {
	c, err := r.Cookie(s.cookie)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.m[c.Value]
	delete(s.m, c.Value)
	http.SetCookie(w, s.baked("", -1))
	return in
}

// baked returns the cookie. A client's link brings it along, its form does not.
func (s *bankSessions) baked(value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: s.cookie, Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// clients returns who is to be told when the session has ended.
func (in *bankSession) clients() []string { return slices.Sorted(maps.Keys(in.known)) }
