package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A fintech is the account-aggregation service's web app: it tells the story
// on its pages while the protocol happens.
type fintech struct {
	clients map[binding]*client // it is registered twice, once for each way
	thief   *thief
	issuer  string // the bank
	pages   string // the bank's page of connected services
	api     string // base URL of the bank's API
	cert    []byte // its own certificate, DER
	hint    *user  // who may sign in at the bank, to tell the newcomer

	mu       sync.Mutex
	sessions map[string]*session
}

// A session is one browser's. The mutex is held while something happens, so
// that two clicks do not redeem one code.
type session struct {
	mu              sync.Mutex
	state, verifier string // of the request that is under way; "" if none is
	refreshToken    string
	client          *client
	prover          *prover // nil if the key is for a certificate
	hand            string  // the thumbprint of certificate or proof key
	story           story

	used time.Time // guarded by fintech.mu
}

const (
	sessionCookie = "__Host-fintech"
	sessionLife   = time.Hour
	maxSessions   = 1000
)

// handler returns the web app. It takes no action that another site asked for.
func (f *fintech) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", f.home)
	mux.HandleFunc("GET /style.css", serveStyle)
	mux.HandleFunc("GET /story", f.tell)
	mux.HandleFunc("GET /callback", f.callback)
	mux.HandleFunc("POST /connect", func(w http.ResponseWriter, r *http.Request) {
		f.act("pushed", f.connect(binding(r.PostFormValue("binding"))))(w, r)
	})
	mux.HandleFunc("POST /history", f.act("history", f.fetch))
	mux.HandleFunc("POST /renew", f.act("renewed", f.renew))
	mux.HandleFunc("POST /thief", f.act("thief", f.steal))
	mux.HandleFunc("POST /retry", f.act("ended", f.retry))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		notice(w, r, "fintech", http.StatusNotFound, "notice.unknown")
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

func (f *fintech) home(w http.ResponseWriter, r *http.Request) {
	render(w, r, http.StatusOK, "home", page{Side: "fintech", Title: "home.title"})
}

// tell shows what has happened so far.
func (f *fintech) tell(w http.ResponseWriter, r *http.Request) {
	s := f.session(r)
	if s == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.story.Pushed == nil && s.story.Trouble == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	render(w, r, http.StatusOK, "story", page{Side: "fintech", Title: "story.title", Data: struct {
		*story
		Hint     *user
		Services string
	}{&s.story, f.hint, f.pages}})
}

// act returns a handler that does one thing and then shows the story at the
// step where that is told. The first step begins a session.
func (f *fintech) act(step string, action func(context.Context, *session) *trouble) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := f.session(r)
		if s == nil && step == "pushed" {
			s = f.newSession(w)
		}
		if s == nil {
			notice(w, r, "fintech", http.StatusBadRequest, "notice.session")
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.story.Trouble = action(r.Context(), s)
		s.show(w, r, step)
	}
}

// show sends the browser to a step of the story, or to what went wrong.
func (s *session) show(w http.ResponseWriter, r *http.Request, step string) {
	if s.story.Trouble != nil {
		step = "trouble"
	}
	http.Redirect(w, r, "/story#"+step, http.StatusSeeOther)
}

// connect returns the action that pushes the authorization request. State and
// verifier stay in this browser's session: a locker number that arrives in
// another is useless.
func (f *fintech) connect(how binding) func(context.Context, *session) *trouble {
	if !how.ByProof() {
		how = byCertificate
	}
	return func(ctx context.Context, s *session) *trouble {
		s.story, s.refreshToken = story{Binding: how}, ""
		s.state, s.verifier = randomText(), randomText()
		if err := f.prepare(s, how); err != nil {
			return &trouble{"trouble.push", err.Error()}
		}
		p, err := s.client.push(ctx, s.prover, s.state, s.verifier)
		if err != nil {
			return &trouble{"trouble.push", err.Error()}
		}
		s.story.Pushed = p
		return nil
	}
}

// prepare gets the hand ready that the key will be cut for: the certificate
// that there is, or a proof key that is made for this story.
func (f *fintech) prepare(s *session, how binding) error {
	s.client = f.clients[how]
	if !how.ByProof() {
		sum := sha256.Sum256(f.cert) // RFC 8705, 3.1
		s.prover, s.hand = nil, b64(sum[:])
		return nil
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	if s.prover, err = newProver(key); err != nil {
		return err
	}
	s.hand = s.prover.thumbprint
	return nil
}

// callback is where the bank sends the customer's browser back to.
func (f *fintech) callback(w http.ResponseWriter, r *http.Request) {
	s := f.session(r)
	if s == nil {
		notice(w, r, "fintech", http.StatusBadRequest, "notice.session")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	if len(q["iss"]) != 1 || q.Get("iss") != f.issuer { // RFC 9207, 2.4
		notice(w, r, "fintech", http.StatusBadRequest, "notice.iss")
		return
	}
	if len(q["state"]) != 1 || s.state == "" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(s.state)) != 1 {
		notice(w, r, "fintech", http.StatusBadRequest, "notice.state")
		return
	}
	verifier := s.verifier
	s.state, s.verifier = "", "" // one answer to one request
	s.story.Trouble = nil
	step := "consent"
	switch {
	case q.Get("error") != "":
		s.story.Denied, step = q.Get("error"), "denied"
	case len(q["code"]) != 1 || q.Get("code") == "":
		s.story.Trouble = &trouble{"trouble.code", ""}
	default:
		s.story.Code = q.Get("code")
		s.story.Trouble = f.open(r.Context(), s, verifier)
	}
	s.show(w, r, step)
}

// open takes the key out of the locker.
func (f *fintech) open(ctx context.Context, s *session, verifier string) *trouble {
	t, err := s.client.redeem(ctx, s.prover, s.story.Code, verifier)
	if err != nil {
		return &trouble{"trouble.redeem", err.Error()}
	}
	k, err := readKey(t, s.story.Binding, s.hand, time.Now())
	if err != nil {
		return &trouble{"trouble.key", err.Error()}
	}
	s.story.Key, s.refreshToken = k, t.RefreshToken
	return nil
}

// key returns the newest key, renewed if its time is over.
func (f *fintech) key(ctx context.Context, s *session) (*accessKey, *trouble) {
	k := s.story.Key
	if s.story.Renewed != nil {
		k = s.story.Renewed
	}
	if k == nil {
		return nil, &trouble{"trouble.nokey", ""}
	}
	if time.Now().Before(k.Expires.Add(-5 * time.Second)) {
		return k, nil
	}
	if t := f.renew(ctx, s); t != nil {
		return nil, t
	}
	return s.story.Renewed, nil
}

// fetch uses the key: the transaction history arrives.
func (f *fintech) fetch(ctx context.Context, s *session) *trouble {
	k, t := f.key(ctx, s)
	if t != nil {
		return t
	}
	accounts, err1 := call(ctx, s.client.http, s.prover, f.api+"/accounts", k.Token)
	transactions, err2 := call(ctx, s.client.http, s.prover, f.api+"/transactions", k.Token)
	if err := errors.Join(err1, err2); err != nil {
		return &trouble{"trouble.history", err.Error()}
	}
	h, err := readHistory(accounts, transactions)
	if err != nil {
		return &trouble{"trouble.history", err.Error()}
	}
	s.story.History = h
	return nil
}

// renew has a new key cut for the same hand.
func (f *fintech) renew(ctx context.Context, s *session) *trouble {
	if s.refreshToken == "" {
		return &trouble{"trouble.nokey", ""}
	}
	t, err := s.client.refresh(ctx, s.prover, s.refreshToken)
	if err != nil {
		return &trouble{"trouble.renew", err.Error()}
	}
	k, err := readKey(t, s.story.Binding, s.hand, time.Now())
	if err != nil {
		return &trouble{"trouble.key", err.Error()}
	}
	if t.RefreshToken != "" {
		s.refreshToken = t.RefreshToken
	}
	s.story.Renewed = k
	return nil
}

// steal lets the thief try the key, and then the fintech itself with the same
// one, so that nobody thinks the lock was merely broken.
func (f *fintech) steal(ctx context.Context, s *session) *trouble {
	k, t := f.key(ctx, s)
	if t != nil {
		return t
	}
	attempts, err := f.rob(ctx, s, k.Token)
	if err != nil {
		return &trouble{"trouble.thief", err.Error()}
	}
	own, err := call(ctx, s.client.http, s.prover, f.api+"/transactions", k.Token)
	if err != nil {
		return &trouble{"trouble.thief", err.Error()}
	}
	own.Who, own.Right = "thief.owner", own.Opened
	own.Body = "" // the history, which is on the page already
	s.story.Thief = append(attempts, *own)
	return nil
}

// retry uses the newest key, and asks for another if that opens nothing, once
// the customer may have taken the key back.
func (f *fintech) retry(ctx context.Context, s *session) *trouble {
	k := cmp.Or(s.story.Renewed, s.story.Key)
	if k == nil {
		return &trouble{"trouble.nokey", ""}
	}
	used, err := call(ctx, s.client.http, s.prover, f.api+"/transactions", k.Token)
	if err != nil {
		return &trouble{"trouble.history", err.Error()}
	}
	used.Who, used.Right = "ended.key", turnedAway(used)
	if used.Opened {
		used.Body = "" // the history, which is on the page already
		s.story.Ended = []attempt{*used}
		return nil
	}
	_, err = s.client.refresh(ctx, s.prover, s.refreshToken)
	var refused *refusal
	if !errors.As(err, &refused) {
		return &trouble{"trouble.renew", fmt.Sprint(err)}
	}
	s.story.Ended = []attempt{*used, {
		Who: "ended.renew", Status: refused.status, Reason: http.StatusText(refused.status), Body: refused.body,
		Right: strings.Contains(refused.body, `"invalid_grant"`),
	}}
	return nil
}

// rob has the thief try the key. Where that takes proofs, the thief first listens
// in: the fintech uses its key, and the bank takes the proof.
func (f *fintech) rob(ctx context.Context, s *session, token string) ([]attempt, error) {
	if s.prover == nil {
		return f.thief.try(ctx, f.api+"/transactions", token)
	}
	overheard, err := call(ctx, s.client.http, s.prover, f.api+"/transactions", token)
	if err != nil {
		return nil, err
	}
	if !overheard.Opened {
		return nil, &refusal{overheard.Status, overheard.Body}
	}
	return f.thief.tryProofs(ctx, f.api+"/transactions", token, overheard.Proof)
}

// session returns the session of the browser that sent r, or nil.
func (f *fintech) session(r *http.Request) *session {
	c := r.CookiesNamed(sessionCookie)
	if len(c) != 1 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sessions[c[0].Value]
	if s == nil || time.Since(s.used) > sessionLife {
		return nil
	}
	s.used = time.Now()
	return s
}

// newSession begins a session, or returns nil if there are too many.
func (f *fintech) newSession(w http.ResponseWriter) *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, s := range f.sessions {
		if time.Since(s.used) > sessionLife {
			delete(f.sessions, id)
		}
	}
	if len(f.sessions) >= maxSessions {
		return nil
	}
	id, s := randomText(), &session{used: time.Now()}
	f.sessions[id] = s
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return s
}

// randomText returns 256 random bits in base64url: a state, a code verifier
// (RFC 7636, 4.1) or a session id.
func randomText() string {
	var b [32]byte
	rand.Read(b[:])
	return b64(b[:])
}
