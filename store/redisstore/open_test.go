package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aikagi/aikagi/store/redisstore"
	"github.com/aikagi/aikagi/store/redisstore/redistest"
)

// refuses checks that opening fails with an error that says why, and that it
// tells no secrets.
func refuses(t *testing.T, err error, why string, secrets ...string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Fatalf("error %v, want one with %q", err, why)
	}
	for ; err != nil; err = errors.Unwrap(err) {
		for _, secret := range secrets {
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, secret) {
				t.Errorf("error %q tells %q", text, secret)
			}
		}
	}
}

func TestOpenRefusesEviction(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"allkeys-lru", "volatile-ttl", "volatile-random"} {
		server := redistest.Start(t, "--maxmemory-policy", policy)
		_, err := redisstore.Open(t.Context(), server.URL())
		refuses(t, err, fmt.Sprintf("maxmemory-policy is %q", policy))
	}
}

// TestOpenRefusesEvictionOnOneShard finds the one that differs.
func TestOpenRefusesEvictionOnOneShard(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	for _, shard := range cluster.Shards {
		set := shard.Primary.Client.ConfigSet
		if err := set(t.Context(), "maxmemory-policy", "volatile-lru").Err(); err != nil {
			t.Fatal(err)
		}
		_, err := redisstore.Open(t.Context(), cluster.Shards[0].Primary.URL())
		refuses(t, err, `maxmemory-policy is "volatile-lru"`)
		if err := set(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
			t.Fatal(err)
		}
	}
	open(t, cluster.Shards[0].Primary.URL())
}

// TestOpenFindsACluster from one node, from several of which one is down, and
// not from several that are no cluster.
func TestOpenFindsACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	for _, urls := range [][]string{
		{cluster.Shards[0].Replica.URL()},
		{"redis://127.0.0.1:1", cluster.Shards[1].Primary.URL()},
	} {
		warm(t, open(t, urls...)) // on all shards
	}
	_, err := redisstore.Open(t.Context(), redistest.Start(t).URL(), redistest.Start(t).URL())
	refuses(t, err, "not a node of a cluster", "127.0.0.1")
}

func TestOpenRefusesURLs(t *testing.T) {
	t.Parallel()
	const broken, differs = "is not a Redis URL, or has an unknown option", "URL 2 differs from the first"
	for _, tt := range []struct {
		why  string
		urls []string
	}{
		{"no URL", nil},
		{broken, []string{"redis://u:hunter2@127.0.0.1:port"}},
		{broken, []string{"redis://u:hunter2@127.0.0.1:%zz"}},
		{broken, []string{"http://u:hunter2@127.0.0.1"}},
		{broken, []string{"redis://u:hunter2@127.0.0.1/hunter2"}},
		{broken, []string{"redis://u:hunter2@127.0.0.1?hunter2=1"}},
		{differs, []string{"redis://u:hunter2@127.0.0.1:1", "redis://u:hunter3@127.0.0.1:1"}},
		{differs, []string{"redis://u:hunter2@127.0.0.1:1", "redis://v:hunter2@127.0.0.1:1"}},
		{differs, []string{"redis://127.0.0.1:1", "redis://127.0.0.1:1/3"}},
		{differs, []string{"redis://127.0.0.1:1", "rediss://127.0.0.1:1"}},
	} {
		_, err := redisstore.Open(t.Context(), tt.urls...)
		refuses(t, err, tt.why, "hunter", "127.0.0.1")
	}
}

// TestErrorsTellNothing opens in vain, in ways that make the client's errors
// name addresses and users.
func TestErrorsTellNothing(t *testing.T) {
	t.Parallel()
	locked := redistest.Start(t)
	if err := locked.Client.ConfigSet(t.Context(), "requirepass", "swordfish").Err(); err != nil {
		t.Fatal(err)
	}
	host := address(locked)
	for url, why := range map[string]string{
		"redis://" + host:                 "redisstore: Open: Redis answered NOAUTH",
		"redis://ann:hunter2@" + host:     "redisstore: Open: Redis answered WRONGPASS",
		"redis://ann:hunter2@127.0.0.1:1": "redisstore: Open: connection refused",
		"redis://ann:hunter2@no.invalid":  "redisstore: Open: the server's name is not resolved",
		"unix:///no/such/socket":          "redisstore: Open: no such file or directory",
	} {
		_, err := redisstore.Open(t.Context(), url)
		refuses(t, err, why, "hunter2", "ann", "127.0.0.1", "invalid", "socket", "swordfish")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := redisstore.Open(ctx, "redis://ann:hunter2@"+host)
	if refuses(t, err, "context canceled", "hunter2", "ann", "127.0.0.1"); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that is done: error %v, want %v", err, context.Canceled)
	}
}

// TestOpenWaitsNoLongerThanItsContext on a server that accepts and says
// nothing.
func TestOpenWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := redisstore.Open(ctx, server.URL())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open of a paused server: error %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestNewRefusesClients(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	at := address(server)
	for why, client := range map[string]redis.UniversalClient{
		"want a *redis.Client":       redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": at}}),
		"client repeats nothing":     redis.NewClient(&redis.Options{Addr: at, MaxRetries: -1}),
		"repeats nothing":            redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{at}, MaxRedirects: -1}),
		"reads from replicas":        redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{at}, ReadOnly: true}),
		"which may be out of date":   redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{at}, RouteByLatency: true}),
		"replicas, which may be out": redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{at}, RouteRandomly: true}),
	} {
		_, err := redisstore.New(t.Context(), client)
		refuses(t, err, why, at)
		client.Close()
	}
}

// TestClosed shows that a store that was closed answers nothing.
func TestClosed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, err := redisstore.Open(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), newRecord().Key)
	refuses(t, err, "redisstore: Get: the client is closed")
	refuses(t, s.Close(), "redisstore: Close: the client is closed")
}

// TestLeastPrivilege has a user with the permissions that the package lists,
// and no others, do all that the store does.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	rules := strings.Fields("on >hunter2 resetkeys ~bank:* resetchannels -@all +evalsha +eval +getex +getrange +set +del +info +cluster|slots")
	server := redistest.Start(t)
	cluster := redistest.StartCluster(t, 3)
	for _, node := range append(cluster.Servers(), server) {
		if err := node.Client.ACLSetUser(t.Context(), "ann", rules...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, host := range []string{address(server), address(cluster.Shards[0].Primary)} {
		s := open(t, "redis://ann:hunter2@"+host)
		s.Prefix = "bank:"
		for _, a := range acts {
			do, after := a.ready(t, s)
			if err := do(); !errors.Is(err, a.want) {
				t.Fatalf("%s: error %v, want %v", a.name, err, a.want)
			}
			after()
		}
		s.Prefix = "other:"
		err := s.Create(t.Context(), newRecord())
		refuses(t, err, "redisstore: Create: Redis answered NOPERM", "ann", "hunter2", "127.0.0.1", "other")
	}
	for _, node := range cluster.Servers() { // a question that is refused is asked again with every verb
		if stats, err := node.Client.Info(t.Context(), "commandstats").Result(); err != nil || strings.Contains(stats, "cmdstat_command:") {
			t.Errorf("a node was asked for COMMAND, or does not say: %v", err)
		}
	}
}
