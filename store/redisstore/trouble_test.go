package redisstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/redisstore"
	"github.com/aikagi/aikagi/store/redisstore/redistest"
)

// again repeats f until it succeeds, as a server does that is asked again by
// its clients. It fails the test if that takes half as long as the client waits
// before it looks of itself for who belongs to the cluster.
func again(t *testing.T, what string, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := f(ctx)
	for err != nil && ctx.Err() == nil {
		if isAnswer(err) {
			t.Fatalf("%s: %v", what, err)
		}
		err = f(ctx)
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestFailOver kills the primary of a shard, once with its replica in step and
// once with it behind. What the replica had is there afterwards; what it had
// not is lost, as the package says; and the store recovers by itself.
func TestFailOver(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	s := open(t, cluster.URLs()...)

	t.Run("in step, nothing is lost", func(t *testing.T) {
		var kept []store.Record
		for range 100 {
			r := newRecord()
			create(t, s, r)
			kept = append(kept, r)
		}
		shard := cluster.ShardOf(kept[0].Key)
		shard.Synced()
		shard.FailOver(cluster)
		for _, r := range kept {
			again(t, "Get after a fail-over", func(ctx context.Context) error { _, err := s.Get(ctx, r.Key); return err })
			holds(t, s, r)
			if err := s.Create(t.Context(), next(r)); !errors.Is(err, store.ErrExists) {
				t.Errorf("Create of what exists after a fail-over: error %v, want %v", err, store.ErrExists)
			}
			n := next(r)
			again(t, "Replace after a fail-over", func(ctx context.Context) error { return s.Replace(ctx, r.Version, n) })
			holds(t, s, n)
		}
	})

	cluster = redistest.StartCluster(t, 3)
	s = open(t, cluster.URLs()...)
	t.Run("behind, what was acknowledged is lost", func(t *testing.T) {
		shard := cluster.Shards[1]
		inShard := func() store.Record {
			for {
				if r := newRecord(); cluster.ShardOf(r.Key) == shard {
					return r
				}
			}
		}
		code, grant := inShard(), inShard()
		create(t, s, code)
		create(t, s, grant)
		shard.CutOff()

		proof, redeemed := inShard(), next(code)
		create(t, s, proof)
		if err := errors.Join(s.Replace(t.Context(), code.Version, redeemed), s.Delete(t.Context(), grant.Key)); err != nil {
			t.Fatal(err)
		}
		holds(t, s, proof)
		holds(t, s, redeemed)
		gone(t, s, grant.Key)

		shard.FailOver(cluster)
		again(t, "Get after a fail-over", func(ctx context.Context) error { _, err := s.Get(ctx, code.Key); return err })
		gone(t, s, proof.Key)
		if err := s.Create(t.Context(), next(proof)); err != nil { // the same proof, used again
			t.Errorf("Create of what was lost: %v", err)
		}
		holds(t, s, code)
		if err := s.Replace(t.Context(), code.Version, next(code)); err != nil { // the same code, redeemed again
			t.Errorf("Replace of what was lost: %v", err)
		}
		holds(t, s, grant) // a grant that was revoked
	})
}

// TestFailOverInAStorm has writers at work when a primary dies. Each of them
// knows what became of its own records but for what was lost, and all go on.
func TestFailOverInAStorm(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	s := open(t, cluster.URLs()...)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var before, after, unknown atomic.Int64
	var over atomic.Bool
	for range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				call, cancel := context.WithTimeout(ctx, time.Second)
				r := newRecord()
				err := s.Create(call, r)
				cancel()
				switch {
				case err == nil && over.Load():
					after.Add(1)
				case err == nil:
					before.Add(1)
				case isAnswer(err):
					t.Errorf("Create of what is new: %v", err)
				default:
					unknown.Add(1)
				}
			}
		})
	}
	for before.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	cluster.Shards[2].FailOver(cluster)
	over.Store(true)
	for range 50 { // some of them on the shard that failed over
		r := newRecord()
		again(t, "Create after a fail-over", func(ctx context.Context) error { return s.Create(ctx, r) })
		holds(t, s, r)
	}
	cancel()
	writers.Wait()
	t.Logf("%d before, %d with an unknown outcome, %d after", before.Load(), unknown.Load(), after.Load())
}

// TestRestart shows that the store finds a server that comes back, and on it
// what was acknowledged, with an append-only file that is always written first.
func TestRestart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL())
	r := newRecord()
	create(t, s, r)
	server.Kill()
	if err := s.Create(t.Context(), newRecord()); err == nil || isAnswer(err) {
		t.Errorf("Create without a server: error %v, want one that is no answer", err)
	} else if want := "redisstore: Create: connection refused"; err.Error() != want {
		t.Errorf("Create without a server: error %q, want %q", err, want)
	}
	server.Start()
	again(t, "Get after a restart", func(ctx context.Context) error { _, err := s.Get(ctx, r.Key); return err })
	holds(t, s, r)
	if err := s.Replace(t.Context(), r.Version, next(r)); err != nil {
		t.Errorf("Replace after a restart: %v", err)
	}
}

// TestPaused shows that no verb outlasts its context on a server that says
// nothing, and that the store goes on when the server does.
func TestPaused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, s := range map[string]*redisstore.Store{
		"opened":                  open(t, server.URL()),
		"client without deadline": adopt(t, redis.NewClient(&redis.Options{Addr: address(server), ReadTimeout: time.Hour, PoolSize: 100})),
	} {
		var kept store.Record
		for _, a := range acts {
			do, _ := a.ready(t, s)
			if err := do(); !errors.Is(err, a.want) {
				t.Fatal(err)
			}
		}
		kept = newRecord()
		create(t, s, kept)
		server.Pause()
		for want, begin := range map[error]func() (context.Context, context.CancelFunc){
			context.DeadlineExceeded: func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), 50*time.Millisecond)
			},
			context.Canceled: func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
				return ctx, cancel
			},
		} {
			for verb, do := range map[string]func(ctx context.Context) error{
				"Create":  func(ctx context.Context) error { return s.Create(ctx, newRecord()) },
				"Get":     func(ctx context.Context) error { _, err := s.Get(ctx, kept.Key); return err },
				"Replace": func(ctx context.Context) error { return s.Replace(ctx, kept.Version, kept) },
				"Delete":  func(ctx context.Context) error { return s.Delete(ctx, newRecord().Key) },
			} {
				ctx, cancel := begin()
				if err := do(ctx); !errors.Is(err, want) {
					t.Errorf("%s: %s on a paused server: error %v, want %v", name, verb, err, want)
				}
				cancel()
			}
		}
		server.Resume()
		again(t, "Get on a resumed server", func(ctx context.Context) error { _, err := s.Get(ctx, kept.Key); return err })
		holds(t, s, kept)
	}
}

// TestDemoted makes a replica of the server that the store is connected to. It
// has records, and other ones than its primary; no verb may answer from them.
func TestDemoted(t *testing.T) {
	t.Parallel()
	server, successor := redistest.Start(t), redistest.Start(t)
	s := adopt(t, redis.NewClient(&redis.Options{Addr: address(server), MaxRetryBackoff: -1}))
	r := newRecord()
	create(t, s, r)
	successor.Pause() // so that the replica keeps what it has
	if err := server.Client.Do(t.Context(), "replicaof", "127.0.0.1", successor.Port).Err(); err != nil {
		t.Fatal(err)
	}
	_, getErr := s.Get(t.Context(), r.Key)
	_, getNothing := s.Get(t.Context(), newRecord().Key)
	for verb, err := range map[string]error{
		"Create": s.Create(t.Context(), newRecord()), "Create, repeated": s.Create(t.Context(), r),
		"Create of what exists": s.Create(t.Context(), next(r)),
		"Get":                   getErr, "Get of nothing": getNothing,
		"Replace, repeated": s.Replace(t.Context(), r.Version, r), "Replace at another version": s.Replace(t.Context(), "v", next(r)),
		"Delete": s.Delete(t.Context(), r.Key),
	} {
		if err == nil || !strings.HasSuffix(err.Error(), "Redis answered READONLY") {
			t.Errorf("%s on a replica: error %v, want READONLY", verb, err)
		}
	}
	if _, err := redisstore.Open(t.Context(), server.URL()); err == nil || !strings.Contains(err.Error(), "not a primary") {
		t.Errorf("Open of a replica: error %v, want one that says so", err)
	}
	if err := server.Client.Do(t.Context(), "replicaof", "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	holds(t, s, r)
	successor.Resume()
}

// TestSlotMoves moves a slot with its record from shard to shard, and asks at
// every step. The shard that a new key is asked for does not know the script.
func TestSlotMoves(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	s := open(t, cluster.URLs()...)
	from, to := cluster.Shards[0].Primary, cluster.Shards[1].Primary
	r := newRecord()
	for cluster.ShardOf(r.Key).Primary != from {
		r = newRecord()
	}
	create(t, s, r)
	if err := s.Delete(t.Context(), r.Key); err != nil {
		t.Fatal(err)
	}
	slot, err := from.Client.ClusterKeySlot(t.Context(), r.Key).Result()
	if err != nil {
		t.Fatal(err)
	}
	admin := func(server *redistest.Server, args ...any) {
		t.Helper()
		if err := server.Client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	id := func(server *redistest.Server) string {
		return server.Client.Do(t.Context(), "cluster", "myid").Val().(string)
	}
	flush(t, to)
	admin(to, "cluster", "setslot", slot, "importing", id(from))
	admin(from, "cluster", "setslot", slot, "migrating", id(to))

	create(t, s, r) // ASK, then NOSCRIPT, then ASK again
	holds(t, s, r)
	if err := s.Create(t.Context(), next(r)); !errors.Is(err, store.ErrExists) {
		t.Errorf("Create of what exists, asked for elsewhere: error %v, want %v", err, store.ErrExists)
	}
	if n, err := to.Client.Do(t.Context(), "cluster", "countkeysinslot", slot).Int(); err != nil || n != 1 {
		t.Errorf("the slot's new home has %d records (%v), want 1", n, err)
	}
	n := next(r)
	if err := s.Replace(t.Context(), r.Version, n); err != nil {
		t.Errorf("Replace, asked for elsewhere: %v", err)
	}
	for _, shard := range slices.Backward(cluster.Shards) {
		if shard.Primary != from {
			admin(shard.Primary, "cluster", "setslot", slot, "node", id(to))
		}
	}
	admin(from, "cluster", "setslot", slot, "node", id(to))
	holds(t, s, n) // MOVED
	if err := s.Delete(t.Context(), r.Key); err != nil {
		t.Errorf("Delete of what moved: %v", err)
	}
	gone(t, s, r.Key)
}
