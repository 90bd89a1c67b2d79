package cluster

import (
	"strings"
	"sync"
	"testing"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store/redisstore/redistest"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// window is how many of each kind of write a test makes that a fail-over loses
// where they lie on its shard.
const window = 24

// TestFailOver: shards of a Redis Cluster fail over that have the requests and
// the identifiers that were used, while the grants are in PostgreSQL: one in
// mid-storm, and one that had acknowledged what its replica never got.
func TestFailOver(t *testing.T) {
	url := postgres(t, postgrestest.Shared(t))
	c := redistest.StartCluster(t, 3)
	s := newStorm(t, startFleet(t, 4, []string{url}, c.URLs()), false)
	s.forgetful = true
	var operator sync.WaitGroup
	operator.Go(func() {
		s.wait("requests before the fail-over", s.more(400))
		c.Shards[0].FailOver(c)
	})
	s.run(flowsInStorm/2, 12, plans...)
	operator.Wait()
	s.steady()
	alive := s.check()
	s.report(alive)
	s.within(alive, rows(t, url, "g"))
	c.Shards[0].Primary.Start() // as a replica

	f := &flow{name: "a grant"}
	if !s.redeemed(f) {
		t.Fatal("no grant")
	}
	shard := c.Shards[1]
	shard.CutOff()
	var used []message
	var uris []string
	for range window {
		m := s.client.inspects(f.access)
		if a := s.send(m); a.body["active"] != true {
			t.Fatalf("introspection: %v", a)
		}
		a := s.send(s.client.asks())
		used, uris = append(used, m), append(uris, a.member("request_uri"))
	}
	shard.FailOver(c)
	s.steady()
	s.replaysAfter(c, shard, used)
	s.requestsAfter(c, shard, uris)
	s.checkFlow(f)
	s.ask(func() message { return s.client.revokes(f.refresh) })
	f.ended = true
	s.checkFlow(f)
	s.close()
	s.audited()
}

// replaysAfter sends messages once more that were answered while shard was cut
// off. Those whose assertions were remembered there are answered again.
func (s *storm) replaysAfter(c *redistest.Cluster, shard redistest.Shard, used []message) {
	again := 0
	for _, m := range used {
		lost := c.ShardOf(grant.ReplayKey(issuer, "client_assertion", s.client.id, m.assertionID)) == shard
		if a := s.send(m); (a.status == 200) != lost {
			s.t.Errorf("an assertion whose use was lost: %v; its replay: %v", lost, a)
		} else if lost {
			again++
		}
	}
	s.t.Logf("of %d assertions used while a shard was cut off, %d were accepted once more", len(used), again)
}

// requestsAfter opens requests that were pushed while shard was cut off. Those
// that were there are unknown.
func (s *storm) requestsAfter(c *redistest.Cluster, shard redistest.Shard, uris []string) {
	anew := 0
	for _, uri := range uris {
		h, err := grant.ParseHandle(uri[strings.LastIndex(uri, ":")+1:])
		if err != nil {
			s.t.Fatal(err)
		}
		lost := c.ShardOf(h.Locator.Key(grant.KindRequest, issuer)) == shard
		a := s.note("first page", s.openAt(s.next(), uri, false))
		if hasCode(a) == lost || lost && a.status != 400 {
			s.t.Errorf("a request that was lost: %v; its page: %v", lost, a)
		} else if lost {
			anew++
		}
	}
	s.t.Logf("of %d requests pushed while a shard was cut off, %d were to be pushed anew", len(uris), anew)
}

// TestFailOverOfGrants shows why grants must not be in Redis: what a fail-over
// loses of them, and that it loses no more.
func TestFailOverOfGrants(t *testing.T) {
	c := redistest.StartCluster(t, 3)
	s := newStorm(t, startFleet(t, 4, c.URLs(), nil), false)
	shard := c.Shards[0]
	onShard := func(f *flow) bool {
		h, err := grant.ParseHandle(f.code)
		if err != nil {
			t.Fatal(err)
		}
		return c.ShardOf(h.Locator.Key(grant.KindGrant, issuer)) == shard
	}
	flows := func(ready func(*flow) bool) (fs []*flow) {
		for range window {
			f := &flow{name: "window"}
			if !ready(f) {
				t.Fatal("no grant")
			}
			fs = append(fs, f)
		}
		return fs
	}
	revoked := flows(s.redeemed)
	redeemed := flows(func(f *flow) bool { f.code = s.decided(); return f.code != "" })
	s.steady()

	shard.CutOff()
	for _, f := range redeemed {
		if a := s.send(s.client.redeems(f.code)); a.status != 200 {
			t.Fatalf("redemption: %v", a)
		}
	}
	for _, f := range revoked {
		if a := s.send(s.client.revokes(f.refresh)); a.status != 200 {
			t.Fatalf("revocation: %v", a)
		}
	}
	made := flows(s.redeemed)
	shard.FailOver(c)
	s.steady()

	count := func(what string, fs []*flow, m func(*flow) message, ifLost bool) {
		n := 0
		for _, f := range fs {
			lost := onShard(f)
			if a := s.send(m(f)); (a.status == 200) != (lost == ifLost) || a.status != 200 && a.member("error") != "invalid_grant" {
				t.Errorf("%s, lost: %v; then: %v", what, lost, a)
			} else if lost {
				n++
			}
		}
		t.Logf("of %d %s, %d were lost", len(fs), what, n)
	}
	refresh := func(f *flow) message { return s.client.refreshes(f.refresh) }
	count("redemptions, whose codes are good once more if they were lost", redeemed, func(f *flow) message { return s.client.redeems(f.code) }, true)
	count("revocations, whose grants live again if they were lost", revoked, refresh, true)
	count("grants, which are gone if they were lost", made, refresh, false)
}

// steady waits until every node reaches every shard again.
func (s *storm) steady() {
	s.t.Helper()
	for _, n := range s.nodes {
		for good := 0; good < 30 && s.ctx.Err() == nil; {
			// Its assertion and its proof are spent somewhere.
			if a := s.note("steady", s.sendTo(n, s.client.credentials())); a.status == 200 {
				good++
			} else if good = 0; !a.unknown() {
				s.t.Fatalf("steady: %v", a)
			}
		}
	}
}
