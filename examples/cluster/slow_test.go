package cluster

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// TestSlowNodes: two of four nodes are far from the database. Approvals that
// they have under way are overtaken by another approval, its redemption and its
// revocation at the others. They are not heard, and the grant does not come
// back.
func TestSlowNodes(t *testing.T) {
	url := postgres(t, postgrestest.Shared(t))
	s := newStorm(t, startFleet(t, 4, []string{url}, nil), true)
	s.trouble(trouble{Latency: 100 * time.Millisecond}, s.nodes[:2]...)
	s.run(flowsInStorm/2, 6, plan{"approvals overtaken by a revocation", (*storm).overtaken})
	s.trouble(trouble{})
	alive := s.check()
	s.report(alive)
	if n := rows(t, url, "g"); n != alive {
		t.Errorf("%d grants are stored, and %d are alive", n, alive)
	}
	if alive == len(s.flows) {
		t.Error("no approval was overtaken")
	}
}

// overtaken: browsers approve at the slow nodes, and some moments later one at
// a node that is not. The first approval that is stored is the only one.
func (s *storm) overtaken(f *flow) {
	slow, fast := s.nodes[:2], s.nodes[2+rand.N(2)]
	uri := s.note("PAR", s.sendTo(fast, s.client.asks())).member("request_uri")
	page := s.note("first page", s.openAt(fast, uri, true))
	pages, late := make([]answer, len(slow)), make([]answer, len(slow))
	var fs []func()
	for i, n := range slow {
		pages[i] = s.note("first page", s.openAt(n, uri, true))
		fs = append(fs, func() { late[i] = s.note("approval", s.approveAt(n, pages[i])) })
	}
	fs = append(fs, func() {
		for range rand.N(12) { // so that it comes at any moment
			s.note("credentials", s.sendTo(fast, s.client.credentials()))
		}
		if f.code = s.note("approval", s.approveAt(fast, page)).query.Get("code"); f.code == "" {
			return
		}
		f.keep(s.note("redemption", s.sendTo(fast, s.client.redeems(f.code))))
		s.note("revocation", s.sendTo(fast, s.client.revokes(f.refresh)))
		f.ended = true
	})
	all(fs...)
	for _, a := range late {
		switch {
		case !hasCode(a):
		case f.code != "":
			s.t.Errorf("%s: a second approval was heard", f.name)
		default:
			f.code = a.query.Get("code")
			f.keep(s.note("redemption", s.sendTo(fast, s.client.redeems(f.code))))
		}
	}
}
