package cluster

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A plan is one way in which a flow's clients and thieves meet.
type plan struct {
	name string
	run  func(*storm, *flow)
}

var plans = []plan{
	{"a code presented at every node", (*storm).codeByMany},
	{"a redemption recorded and replayed", (*storm).codeReplayed},
	{"refreshes and their replays", (*storm).refreshes},
	{"revocations among refreshes", (*storm).revocations},
	{"revocations and approvals that come late", (*storm).lateApprovals},
	{"replays without a grant", (*storm).credentials},
}

// decided returns the code of a request that customers decide at every node at
// once.
func (s *storm) decided() string {
	for s.ctx.Err() == nil {
		a, _ := s.ask(s.client.asks)
		if a.status != 201 {
			s.t.Errorf("PAR: %v", a)
			return ""
		}
		uri := a.member("request_uri")
		won := s.one("request_uri", s.rivals(func(n *node) answer { return s.openAt(n, uri, false) }), hasCode)
		if won != nil {
			return won.query.Get("code")
		}
		s.spare()
		if s.calm {
			return ""
		}
	}
	return ""
}

func hasCode(a answer) bool { return a.query.Get("code") != "" }

// spare notes a grant that may have been made and lost with its answer.
func (s *storm) spare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spares++
}

// redeemed gives f the tokens for a code that nobody else has, once its client
// gets them.
func (s *storm) redeemed(f *flow) bool {
	for s.ctx.Err() == nil {
		f.code = s.decided()
		if f.code == "" {
			return false
		}
		a, again := s.ask(func() message { return s.client.redeems(f.code) })
		if a.status == 200 {
			f.keep(a)
			return true
		}
		if !again { // otherwise the code was redeemed and the answer lost
			s.t.Errorf("%s: %v", f.name, a)
			return false
		}
	}
	return false
}

// codeByMany: one code, presented at every node with an assertion and a proof
// of each one's own. One gets tokens, and revokes them at once; in the end
// nobody has any, as the code was presented twice.
func (s *storm) codeByMany(f *flow) {
	if f.code = s.decided(); f.code == "" {
		return
	}
	won := s.one("code", s.rivals(func(n *node) answer {
		a := s.sendTo(n, s.client.redeems(f.code))
		if a.status == 200 { // while the others are under way
			s.ask(func() message { return s.client.revokes(a.member("refresh_token")) })
		}
		return a
	}), granted, "invalid_grant")
	if won != nil {
		f.keep(*won)
	}
	for f.ended = true; s.ctx.Err() == nil; {
		a, _ := s.ask(func() message { return s.client.redeems(f.code) })
		switch {
		case a.status != 200:
			return
		case won != nil || s.calm:
			s.t.Errorf("%s: a code was used twice", f.name)
			return
		}
		won = &a // no redemption got through before; present the code once more
		f.keep(a)
	}
}

// codeReplayed: one redemption as its client sent it, presented at every node
// at once: no more than one copy is answered. Then one assertion, presented with
// a proof of each one's own. The replays harm nothing, and the grant stands.
func (s *storm) codeReplayed(f *flow) {
	if f.code = s.decided(); f.code == "" {
		return
	}
	m := s.client.redeems(f.code)
	answers := s.rivals(func(n *node) answer { return s.sendTo(n, m) })
	if s.forgetful && slices.ContainsFunc(answers, func(a answer) bool { return a.member("error") == "invalid_grant" }) {
		s.twice("redemption") // a replay that was taken for a second redemption, and ended the grant
		f.ended = true
		return
	}
	won := s.oneAtMost("redemption", answers, granted, "invalid_client", "invalid_dpop_proof")
	if won == nil { // the client tries again
		m = s.client.redeems(f.code)
		won = s.oneAtMost("client assertion", s.rivals(func(n *node) answer { return s.sendTo(n, s.client.reproved(m)) }),
			granted, "invalid_client", "invalid_grant")
	}
	if won == nil {
		a, again := s.ask(func() message { return s.client.redeems(f.code) })
		if won = &a; a.status != 200 {
			if s.calm && !again {
				s.t.Errorf("%s: %v", f.name, a)
			}
			f.ended = true // it was redeemed before, and the answer lost
			return
		}
	}
	f.keep(*won)
}

// refreshes: each of its own is answered; of one that is presented at every node
// no more than one; an assertion in requests with proofs of their own once, and
// a proof in requests with assertions of their own once. The grant stands.
func (s *storm) refreshes(f *flow) {
	if !s.redeemed(f) {
		return
	}
	for _, a := range s.rivals(func(n *node) answer { return s.sendTo(n, s.client.refreshes(f.refresh)) }) {
		if a.status == 200 {
			f.others = append(f.others, a.member("access_token"))
		} else if !a.unknown() {
			s.t.Errorf("%s: %v", f.name, a)
		}
	}
	m := s.client.refreshes(f.refresh)
	s.oneAtMost("refresh", s.rivals(func(n *node) answer { return s.sendTo(n, m) }),
		granted, "invalid_client", "invalid_dpop_proof")
	m = s.client.refreshes(f.refresh)
	s.one("client assertion", s.rivals(func(n *node) answer { return s.sendTo(n, s.client.reproved(m)) }),
		granted, "invalid_client")
	proof := s.client.prove("/token")
	s.one("DPoP proof", s.rivals(func(n *node) answer {
		m := s.client.refreshes(f.refresh)
		m.proof = proof
		return s.sendTo(n, m)
	}), granted, "invalid_dpop_proof")
}

// revocations: no refresh that began after one was told of the revocation is
// answered.
func (s *storm) revocations(f *flow) {
	if !s.redeemed(f) {
		return
	}
	var mu sync.Mutex
	var told time.Time // when first
	refresh := func() {
		for range 4 {
			began := time.Now()
			a := s.send(s.client.refreshes(f.refresh))
			mu.Lock()
			switch {
			case a.status == 200 && !told.IsZero() && began.After(told):
				s.t.Errorf("%s: a refresh that began later was answered", f.name)
			case a.status == 200:
				f.others = append(f.others, a.member("access_token"))
			case !a.unknown() && a.member("error") != "invalid_grant":
				s.t.Errorf("%s: %v", f.name, a)
			}
			mu.Unlock()
		}
	}
	revoke := func() {
		a, _ := s.ask(func() message { return s.client.revokes(f.refresh) })
		if a.status != 200 {
			s.t.Errorf("%s: %v", f.name, a)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if told.IsZero() {
			told = time.Now()
		}
	}
	all(refresh, revoke, refresh, refresh, revoke)
	f.ended = true
}

// lateApprovals: a grant is made in one of many browsers, and revoked, its code
// presented again and its refresh token used while the others approve. None of
// them is heard, and the grant does not come back.
func (s *storm) lateApprovals(f *flow) {
	pages := make([]answer, len(s.nodes))
	for s.ctx.Err() == nil {
		a, _ := s.ask(s.client.asks)
		uri := a.member("request_uri")
		for i, n := range s.nodes {
			pages[i] = s.note("first page", s.openAt(n, uri, true))
		}
		first := s.note("approval", s.approveAt(s.next(), pages[0]))
		if f.code = first.query.Get("code"); f.code == "" {
			if s.spare(); s.calm {
				s.t.Errorf("%s: %v", f.name, first)
				return
			}
			continue
		}
		a, again := s.ask(func() message { return s.client.redeems(f.code) })
		if a.status == 200 {
			f.keep(a)
			break
		}
		if !again {
			s.t.Errorf("%s: %v", f.name, a)
			return
		}
	}
	var fs []func()
	var second atomic.Bool
	for i, n := range s.nodes {
		fs = append(fs, func() {
			for range 6 { // so that some are under way when the grant goes
				a := s.note("late approval", s.approveAt(n, pages[i]))
				switch {
				case a.unknown():
					s.spare()
				case hasCode(a) && s.forgetful: // the end of the request was lost
					s.twice("approval")
					s.spare()
					second.Store(true)
				case hasCode(a):
					s.t.Errorf("%s: a second approval was heard", f.name)
				}
			}
		})
	}
	var mu sync.Mutex
	for _, end := range []func() message{
		func() message { return s.client.revokes(f.refresh) },
		func() message { return s.client.redeems(f.code) },
	} {
		fs = append(fs, func() {
			for range rand.N(8) { // so that the end comes at any moment
				if a := s.send(s.client.refreshes(f.refresh)); a.status == 200 {
					mu.Lock()
					f.others = append(f.others, a.member("access_token"))
					mu.Unlock()
				}
			}
			s.ask(end)
		})
	}
	all(fs...)
	f.ended = true
	if second.Load() { // the customer has made the grant anew
		*f = flow{name: f.name, ended: true}
	}
}

// credentials: requests that need no grant, recorded and presented at every
// node.
func (s *storm) credentials(f *flow) {
	m := s.client.credentials()
	s.one("client assertion", s.rivals(func(n *node) answer { return s.sendTo(n, s.client.reproved(m)) }),
		granted, "invalid_client")
	m = s.client.asks()
	s.one("client assertion", s.rivals(func(n *node) answer { return s.sendTo(n, s.client.reproved(m)) }),
		func(a answer) bool { return a.status == 201 }, "invalid_client")
}
