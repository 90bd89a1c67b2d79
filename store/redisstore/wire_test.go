package redisstore_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/aikagi/aikagi/store/redisstore"
	"github.com/aikagi/aikagi/store/redisstore/redistest"
)

// A wire is what a client's connections run through. It counts round trips, and
// loses or replaces replies to verbs that have arrived, so that what was asked
// has been carried out.
type wire struct {
	mu    sync.Mutex
	asked []string // the command of each request for which a reply arrived
	fault func() fault
}

// A fault is what happens to a reply, and the zero fault is nothing.
type fault struct {
	lost    bool   // the connection ends instead
	instead string // is what arrives
}

// faulty sets what happens to replies to verbs from now on, and forgets what
// was counted.
func (w *wire) faulty(f func() fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.asked = f, nil
}

// trips returns the commands of all round trips since faulty was called.
func (w *wire) trips() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// tries returns those that carry out verbs.
func (w *wire) tries() []string {
	return slices.DeleteFunc(w.trips(), func(command string) bool { return !isVerb(command) })
}

func isVerb(command string) bool {
	return slices.Contains([]string{"evalsha", "eval", "getex", "del"}, command)
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	return &wiredConn{Conn: c, wire: w}, err
}

func (w *wire) arrived(command string) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, command)
	if w.fault == nil || !isVerb(command) {
		return fault{}
	}
	return w.fault()
}

// wiredConn is used by one goroutine at a time, as go-redis does.
type wiredConn struct {
	net.Conn
	wire    *wire
	command string // of the request that no reply was read for yet
}

func (c *wiredConn) Write(b []byte) (int, error) {
	// A request is *2, $5, getex, and so on, line by line. The end of one that
	// is longer than a buffer has no such beginning.
	if lines := strings.SplitN(string(b), "\r\n", 4); len(lines) == 4 && strings.HasPrefix(lines[0], "*") {
		c.command = lines[2]
	}
	return c.Conn.Write(b)
}

func (c *wiredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil || c.command == "" {
		return n, err
	}
	command := c.command
	c.command = ""
	switch f := c.wire.arrived(command); {
	case f.lost:
		c.Conn.Close()
		return 0, net.ErrClosed
	case f.instead != "":
		return copy(b, f.instead), nil
	}
	return n, nil
}

// once is a fault that strikes the first reply.
func once(f fault) func() fault {
	var struck bool
	return func() fault {
		if struck {
			return fault{}
		}
		struck = true
		return f
	}
}

// always is a fault that strikes every reply.
func always(f fault) func() fault { return func() fault { return f } }

// wired is a store whose client runs through a wire.
type wired struct {
	*redisstore.Store
	*wire
	flush func() // makes Redis forget its scripts
}

// wiredTests run on a server and on a cluster, through a wire.
var wiredTests = []struct {
	name string
	test func(t *testing.T, s wired)
}{
	{"one round trip per verb", oneRoundTrip},
	{"a lost reply", lostReply},
	{"replies always lost", repliesAlwaysLost},
	{"replies of a server in trouble", repliesInTrouble},
	{"scripts flushed", scriptFlushed},
	{"scripts flushed in the middle", scriptFlushedInTheMiddle},
}

func TestWiredServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, tt := range wiredTests {
		t.Run(tt.name, func(t *testing.T) {
			w := new(wire)
			s := adopt(t, redis.NewClient(&redis.Options{Addr: address(server), Dialer: w.dial, MaxRetryBackoff: -1}))
			tt.test(t, wired{s, w, func() { flush(t, server) }})
		})
	}
}

func TestWiredCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	for _, tt := range wiredTests {
		t.Run(tt.name, func(t *testing.T) {
			w := new(wire)
			s := adopt(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses(cluster), Dialer: w.dial, MaxRetryBackoff: -1}))
			tt.test(t, wired{s, w, func() {
				for _, shard := range cluster.Shards {
					flush(t, shard.Primary)
				}
			}})
		})
	}
}

func flush(t testing.TB, s *redistest.Server) {
	if err := s.Client.ScriptFlush(context.WithoutCancel(t.Context())).Err(); err != nil {
		t.Errorf("SCRIPT FLUSH: %v", err)
	}
}

func address(s *redistest.Server) string { return strings.TrimPrefix(s.URL(), "redis://") }

func addresses(c *redistest.Cluster) []string {
	var all []string
	for _, s := range c.Servers() {
		all = append(all, address(s))
	}
	return all
}

// adopt makes a store of a client.
func adopt(t testing.TB, client redis.UniversalClient) *redisstore.Store {
	t.Helper()
	s, err := redisstore.New(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
