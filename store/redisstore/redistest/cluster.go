package redistest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// slots is how many slots every Redis Cluster has.
const slots = 16384

// A Cluster is a running Redis Cluster.
type Cluster struct {
	Shards []Shard

	t testing.TB
}

// A Shard is a part of a Cluster: the server that was its primary at first, and
// that one's only replica.
type Shard struct{ Primary, Replica *Server }

// StartCluster starts a cluster of that many shards, at least three, each of a
// primary and a replica, with settings as for Start. A primary that does not
// answer for a second is replaced.
func StartCluster(t testing.TB, shards int, settings ...string) *Cluster {
	t.Helper()
	require(t)
	c := &Cluster{t: t}
	for i := range shards {
		c.Shards = append(c.Shards, Shard{startNode(t, 2*i+1, settings), startNode(t, 2*i+2, settings)})
	}
	for i, s := range c.Shards {
		first, end := i*slots/shards, (i+1)*slots/shards
		c.must("ADDSLOTSRANGE", s.Primary.Client.ClusterAddSlotsRange(t.Context(), first, end-1).Err())
	}
	c.meet()
	for _, s := range c.Shards {
		id := s.Primary.nodeID()
		until(t, "a node becomes a replica", func(ctx context.Context) bool {
			return s.Replica.Client.ClusterReplicate(ctx, id).Err() == nil // an error while it does not know the primary
		})
	}
	c.settle()
	return c
}

// startNode starts a server that is a cluster of its own. Epochs that differ
// from the start save the nodes from making them so.
func startNode(t testing.TB, epoch int, settings []string) *Server {
	t.Helper()
	for range 5 {
		ports := freePorts(t, 2)
		s := launch(t, ports[0], append([]string{
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(ports[1]), "--cluster-node-timeout", "1000",
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
		}, settings...))
		if s == nil {
			continue
		}
		if err := s.Client.Do(t.Context(), "cluster", "set-config-epoch", epoch).Err(); err != nil {
			t.Fatalf("redistest: SET-CONFIG-EPOCH: %v", err)
		}
		return s
	}
	t.Fatal("redistest: redis-server does not start as a node of a cluster")
	return nil
}

// meet introduces all nodes to the first and waits until each knows all.
func (c *Cluster) meet() {
	c.t.Helper()
	all := c.Servers()
	first := all[0]
	for _, s := range all[1:] {
		bus := s.args[slices.Index(s.args, "--cluster-port")+1]
		c.must("MEET", first.Client.Do(c.t.Context(), "cluster", "meet", "127.0.0.1", s.Port, bus).Err())
	}
	for _, s := range all {
		until(c.t, "all nodes know each other", func(ctx context.Context) bool {
			nodes, err := s.Client.ClusterNodes(ctx).Result()
			return err == nil && strings.Count(nodes, "\n") == len(all) && !strings.Contains(nodes, "handshake")
		})
	}
}

// settle waits until every node calls the cluster well and every replica has
// what its primary has.
func (c *Cluster) settle() {
	c.t.Helper()
	for _, s := range c.Servers() {
		until(c.t, "every node calls the cluster well", func(ctx context.Context) bool {
			info, err := s.Client.ClusterInfo(ctx).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d", slots))
		})
		until(c.t, "every node knows the replicas", func(ctx context.Context) bool {
			known, err := s.Client.ClusterShards(ctx).Result()
			return err == nil && len(known) == len(c.Shards) && !slices.ContainsFunc(known, incomplete)
		})
	}
	for _, s := range c.Shards {
		s.Synced()
	}
}

// incomplete reports whether a shard is not a primary and a replica that are
// well.
func incomplete(shard redis.ClusterShard) bool {
	return len(shard.Nodes) != 2 ||
		slices.ContainsFunc(shard.Nodes, func(n redis.Node) bool { return n.Health != "online" })
}

// serves reports whether the node of that id is the primary of shard.
func serves(shard redis.ClusterShard, id string) bool {
	return len(shard.Slots) > 0 &&
		slices.ContainsFunc(shard.Nodes, func(n redis.Node) bool { return n.ID == id && n.Role == "master" })
}

// Synced waits until the replica has what the primary has acknowledged, and is
// connected to receive what follows.
func (s Shard) Synced() {
	s.Primary.t.Helper()
	until(s.Primary.t, "the replica is in step", func(ctx context.Context) bool {
		primary, err := s.Primary.Client.Info(ctx, "replication").Result()
		if err != nil || !strings.Contains(primary, "state=online") {
			return false
		}
		replica, err := s.Replica.Client.Info(ctx, "replication").Result()
		return err == nil && offset(primary, "master_repl_offset") <= offset(replica, "slave_repl_offset")
	})
}

// CutOff keeps what the primary acknowledges from now on from the replica,
// which is paused.
func (s Shard) CutOff() {
	s.Primary.t.Helper()
	s.Synced()
	s.Replica.Pause()
	if err := s.Primary.Client.Do(s.Primary.t.Context(), "client", "kill", "type", "replica").Err(); err != nil {
		s.Primary.t.Fatalf("redistest: CLIENT KILL: %v", err)
	}
}

// FailOver kills the primary, lets the replica go on if it was paused, and
// waits until it has taken over and every other node agrees.
func (s Shard) FailOver(c *Cluster) {
	c.t.Helper()
	s.Primary.Kill()
	s.Replica.Resume()
	id := s.Replica.nodeID()
	for _, other := range c.Servers() {
		if other == s.Primary {
			continue
		}
		until(c.t, "the replica has taken over", func(ctx context.Context) bool {
			known, err := other.Client.ClusterShards(ctx).Result()
			if err != nil || !slices.ContainsFunc(known, func(shard redis.ClusterShard) bool { return serves(shard, id) }) {
				return false
			}
			info, err := other.Client.ClusterInfo(ctx).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok")
		})
	}
}

// URLs are what Open takes: one for each server.
func (c *Cluster) URLs() []string {
	var urls []string
	for _, s := range c.Servers() {
		urls = append(urls, s.URL())
	}
	return urls
}

// Servers are the primaries, then the replicas.
func (c *Cluster) Servers() []*Server {
	var all []*Server
	for _, s := range c.Shards {
		all = append(all, s.Primary)
	}
	for _, s := range c.Shards {
		all = append(all, s.Replica)
	}
	return all
}

// ShardOf returns the shard that key belongs to.
func (c *Cluster) ShardOf(key string) Shard {
	c.t.Helper()
	slot, err := c.Shards[0].Replica.Client.ClusterKeySlot(c.t.Context(), key).Result()
	c.must("KEYSLOT", err)
	for i, s := range c.Shards {
		if int(slot) < (i+1)*slots/len(c.Shards) {
			return s
		}
	}
	c.t.Fatalf("redistest: no slot %d", slot)
	return Shard{}
}

func (c *Cluster) must(what string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("redistest: %s: %v", what, err)
	}
}

func (s *Server) nodeID() string {
	s.t.Helper()
	id, err := s.Client.Do(s.t.Context(), "cluster", "myid").Text()
	if err != nil {
		s.t.Fatalf("redistest: MYID: %v", err)
	}
	return id
}

// offset reads a field of INFO that is a number.
func offset(info, field string) int {
	_, rest, _ := strings.Cut(info, field+":")
	n, err := strconv.Atoi(rest[:max(strings.IndexByte(rest, '\r'), 0)])
	if err != nil {
		return -1
	}
	return n
}
