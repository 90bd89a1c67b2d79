package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A storm is what many clients do through all nodes at once, with an account of
// it.
type storm struct {
	*fleet
	ctx context.Context

	// calm says that the database and all nodes are up: a request whose outcome
	// is unknown is then an error.
	calm bool

	// forgetful says that identifiers of assertions and proofs that were used
	// may have been lost. A replay that is accepted is then counted.
	forgetful bool

	// hurry, if not zero, is how long clients wait for an answer at most. Then
	// they hang up.
	hurry time.Duration

	mu       sync.Mutex
	flows    []*flow
	requests int
	failures int // answers of 503
	silences int // requests without an answer
	spares   int // grants that may have been made without anybody's learning of it
	replays  int // replays that were accepted
	marks    map[chan struct{}]func() bool
}

func newStorm(t *testing.T, f *fleet, calm bool) *storm {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	return &storm{fleet: f, ctx: ctx, calm: calm, marks: map[chan struct{}]func() bool{}}
}

// A flow is one grant's life as its clients were told of it.
type flow struct {
	name            string
	code            string
	grant           string // its id
	access, refresh string
	others          []string // access tokens from refreshing
	ended           bool     // somebody was told so
}

// note accounts for an answer.
func (s *storm) note(what string, a answer) answer {
	if a.status >= 500 && a.status != 503 {
		s.t.Errorf("%s: %d %s", what, a.status, a.text)
	}
	if a.status == 503 && a.body != nil && (a.member("error") != "server_error" || len(a.body) != 1) {
		s.t.Errorf("%s: 503 with %s", what, a.text)
	}
	if a.unknown() && s.calm {
		s.t.Errorf("%s: %d %s", what, a.status, a.text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	switch a.status {
	case 503:
		s.failures++
	case 0:
		s.silences++
	}
	for c, reached := range s.marks {
		if reached() {
			close(c)
			delete(s.marks, c)
		}
	}
	return a
}

// mark returns a channel that is closed as soon as reached holds, which is
// asked after every answer.
func (s *storm) mark(reached func() bool) <-chan struct{} {
	c := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks[c] = reached
	return c
}

// more returns a mark for n further requests.
func (s *storm) more(n int) <-chan struct{} {
	s.mu.Lock()
	until := s.requests + n
	s.mu.Unlock()
	return s.mark(func() bool { return s.requests >= until })
}

// wait waits for an event.
func (s *storm) wait(what string, c <-chan struct{}) {
	select {
	case <-c:
	case <-s.ctx.Done():
		s.t.Errorf("in vain waited for %s", what)
	}
}

// patience returns the context of a request.
func (s *storm) patience() (context.Context, context.CancelFunc) {
	if s.hurry == 0 {
		return s.ctx, func() {}
	}
	return context.WithTimeout(s.ctx, rand.N(s.hurry))
}

func (s *storm) sendTo(n *node, m message) answer {
	ctx, done := s.patience()
	defer done()
	return n.send(ctx, m)
}

func (s *storm) openAt(n *node, uri string, later bool) answer {
	ctx, done := s.patience()
	defer done()
	return n.open(ctx, s.client.id, uri, later)
}

func (s *storm) approveAt(n *node, page answer) answer {
	ctx, done := s.patience()
	defer done()
	return n.approve(ctx, page)
}

// send sends m to the next node.
func (s *storm) send(m message) answer {
	return s.note(m.path, s.sendTo(s.next(), m))
}

// ask sends messages that make makes until one has an answer that is known, as
// a client does that must know. It returns that and whether another before may
// have been carried out.
func (s *storm) ask(make func() message) (a answer, again bool) {
	for {
		a = s.send(make())
		if !a.unknown() || s.ctx.Err() != nil || s.calm {
			return a, again
		}
		again = true
		select {
		case <-s.ctx.Done():
		case <-time.After(20 * time.Millisecond): // spares a database that is down
		}
	}
}

// all calls each of fs at once, and returns when all have returned.
func all(fs ...func()) {
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	for _, f := range fs {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-gate
			f()
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
}

// rivals calls f at once as often as there are nodes, and returns the answers.
func (s *storm) rivals(f func(n *node) answer) []answer {
	answers := make([]answer, len(s.nodes))
	var fs []func()
	for i, n := range s.nodes {
		fs = append(fs, func() { answers[i] = s.note("rival", f(n)) })
	}
	all(fs...)
	return answers
}

// one returns the one of answers that is good, or nil. There must be one, or
// some whose outcome is unknown; all others must be refusals that say one of
// codes, if there are any.
func (s *storm) one(what string, answers []answer, good func(answer) bool, codes ...string) *answer {
	won := s.oneAtMost(what, answers, good, codes...)
	if won == nil && !slices.ContainsFunc(answers, answer.unknown) {
		s.t.Errorf("%s: refused to all: %v", what, answers)
	}
	return won
}

// oneAtMost is one where all may be refused. Of a message that is presented
// several times at once one copy may be the first to use the assertion and
// another the first to use the proof, as a server marks both side by side. Then
// neither is answered, and the client tries again.
func (s *storm) oneAtMost(what string, answers []answer, good func(answer) bool, codes ...string) *answer {
	var won *answer
	for i, a := range answers {
		switch {
		case a.unknown():
		case good(a):
			if won != nil {
				s.twice(what)
			}
			won = &answers[i]
		case len(codes) > 0 && !strings.Contains(" "+strings.Join(codes, " ")+" ", " "+a.member("error")+" "):
			s.t.Errorf("%s: refused with %d %s", what, a.status, a.text)
		}
	}
	return won
}

// twice accounts for the second use of what may be used once.
func (s *storm) twice(what string) {
	if !s.forgetful || what == "code" || what == "request_uri" {
		s.t.Errorf("%s: used twice", what)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replays++
}

func granted(a answer) bool { return a.status == 200 }

// run makes n flows, each by one of the plans, width at a time.
func (s *storm) run(n, width int, plans ...plan) {
	var done sync.WaitGroup
	work := make(chan plan)
	for range width {
		done.Go(func() {
			for p := range work {
				f := &flow{name: p.name}
				p.run(s, f)
				s.mu.Lock()
				s.flows = append(s.flows, f)
				s.mu.Unlock()
			}
		})
	}
	for i := range n {
		work <- plans[i%len(plans)]
	}
	close(work)
	done.Wait()
}

// check compares what every flow was told with what each node says now, and
// returns how many grants are alive.
func (s *storm) check() (alive int) {
	var done sync.WaitGroup
	work := make(chan *flow)
	for range 8 {
		done.Go(func() {
			for f := range work {
				s.checkFlow(f)
			}
		})
	}
	for _, f := range s.flows {
		if !f.ended && f.grant != "" {
			alive++
		}
		work <- f
	}
	close(work)
	done.Wait()
	return alive
}

// checkFlow asks one node about f's tokens and presents them to another.
func (s *storm) checkFlow(f *flow) {
	for _, access := range append(f.others, f.access) {
		if access == "" {
			continue
		}
		a, _ := s.ask(func() message { return s.client.inspects(access) })
		if active, ok := a.body["active"].(bool); !ok || active == f.ended {
			s.t.Errorf("%s: ended is %v, and introspection says %d %s", f.name, f.ended, a.status, a.text)
		}
	}
	if f.refresh != "" {
		a, _ := s.ask(func() message { return s.client.refreshes(f.refresh) })
		if (a.status == 200) == f.ended || f.ended && a.member("error") != "invalid_grant" {
			s.t.Errorf("%s: ended is %v, and refreshing says %d %s", f.name, f.ended, a.status, a.text)
		}
	}
	if f.ended && f.code != "" {
		a, _ := s.ask(func() message { return s.client.redeems(f.code) })
		if a.member("error") != "invalid_grant" {
			s.t.Errorf("%s: it has ended, and its code says %d %s", f.name, a.status, a.text)
		}
	}
}

// report logs the account.
func (s *storm) report(alive int) {
	plans := map[string]int{}
	for _, f := range s.flows {
		plans[f.name]++
	}
	s.t.Logf("%d requests, %d answered 503, %d without answer; %d flows %v, %d grants alive, %d codes may have been lost with their answer, %d replays accepted",
		s.requests, s.failures, s.silences, len(s.flows), plans, alive, s.spares, s.replays)
}

// keep notes the tokens of a good answer.
func (f *flow) keep(a answer) {
	f.access, f.refresh, f.grant = a.member("access_token"), a.member("refresh_token"), grantOf(a.member("access_token"))
}

// grantOf returns the grant_id of an access token.
func grantOf(access string) string {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Grant string `json:"grant_id"`
	}
	if err := json.Unmarshal(b, &claims); err != nil {
		return ""
	}
	return claims.Grant
}

func (a answer) String() string { return fmt.Sprintf("%d %.80s", a.status, a.text) }
