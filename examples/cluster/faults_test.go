package cluster

import (
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// within compares what is stored with what clients were told after a storm in
// which answers were lost.
func (s *storm) within(alive, grants int) {
	s.t.Helper()
	if grants < alive || grants > alive+s.spares {
		s.t.Errorf("%d grants are stored, %d are alive, and %d may have been lost with their answer", grants, alive, s.spares)
	}
}

// audited compares the answers of 503 with the audit: an event for each. All
// nodes have ended.
func (s *storm) audited() {
	s.t.Helper()
	if n := s.count("request_failed"); n != s.failures {
		s.t.Errorf("%d request_failed events for %d answers of 503", n, s.failures)
	}
}

// TestKilledNode: server processes die by kill -9 in mid-storm, and others take
// their places.
func TestKilledNode(t *testing.T) {
	url := postgres(t, postgrestest.Shared(t))
	s := newStorm(t, startFleet(t, 4, []string{url}, nil), false)
	var killer sync.WaitGroup
	killer.Go(func() {
		for _, n := range s.nodes[:3] {
			s.wait("requests before the kill", s.more(250))
			n.kill()
			s.wait("requests without the node", s.more(100))
			n.start()
		}
	})
	s.run(flowsInStorm, 12, plans...)
	killer.Wait()
	alive := s.check()
	s.report(alive)
	s.within(alive, rows(t, url, "g"))
	if s.silences == 0 {
		t.Error("nobody noticed that a node was killed")
	}
	s.close()
	for i, n := range s.nodes[:3] {
		if n.issued == 0 {
			t.Errorf("node %d issued no token after its restart", i)
		}
	}
}

// TestDatabaseRestart: PostgreSQL, with fsync on, crashes in mid-storm and comes
// back. While it is away, nothing is accepted; then everything goes on by
// itself.
func TestDatabaseRestart(t *testing.T) {
	server := postgrestest.Start(t)
	url := postgres(t, server)
	s := newStorm(t, startFleet(t, 4, []string{url}, nil), false)
	var operator sync.WaitGroup
	operator.Go(func() {
		s.wait("requests before the crash", s.more(400))
		server.Kill(t)
		s.mu.Lock()
		failures := s.failures
		s.mu.Unlock()
		s.wait("answers of 503", s.mark(func() bool { return s.failures >= failures+10 }))
		server.Continue(t)
	})
	s.run(flowsInStorm/2, 12, plans...)
	operator.Wait()
	alive := s.check()
	s.report(alive)
	s.within(alive, rows(t, url, "g"))
	s.close()
	s.audited()
}

// TestTroubledStore: the store is slow, fails, loses its answers. Then it is
// well again, and so is the server.
func TestTroubledStore(t *testing.T) {
	for _, tt := range []struct {
		name  string
		with  trouble
		fails bool // what clients see
	}{
		{"slow", trouble{Latency: 25 * time.Millisecond}, false},
		{"one verb in five fails", trouble{Fail: 5}, true},
		{"one answer in five is lost", trouble{Lose: 5}, true},
		{"slow, and some of both", trouble{Latency: 4 * time.Millisecond, Fail: 11, Lose: 13}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := postgres(t, postgrestest.Shared(t))
			s := newStorm(t, startFleet(t, 2, []string{url}, nil), !tt.fails)
			s.trouble(tt.with)
			s.run(flowsInStorm/4, 12, plans...)
			s.trouble(trouble{})
			s.calm = true
			alive := s.check()
			s.report(alive)
			s.within(alive, rows(t, url, "g"))
			if tt.fails == (s.failures == 0) {
				t.Errorf("%d answers of 503", s.failures)
			}
			s.close()
			s.audited()
		})
	}
}

// TestClientGone: clients hang up at any moment while the store is slow.
func TestClientGone(t *testing.T) {
	url := postgres(t, postgrestest.Shared(t))
	s := newStorm(t, startFleet(t, 2, []string{url}, nil), false)
	s.trouble(trouble{Latency: 4 * time.Millisecond})
	s.hurry = 120 * time.Millisecond
	s.run(flowsInStorm/4, 12, plans...)
	s.trouble(trouble{})
	s.hurry, s.calm = 0, true
	alive := s.check()
	s.report(alive)
	s.within(alive, rows(t, url, "g"))
	if s.silences == 0 {
		t.Error("nobody hung up")
	}
}
