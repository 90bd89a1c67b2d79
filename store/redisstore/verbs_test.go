package redisstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/redisstore/redistest"
)

func newRecord() store.Record {
	return store.Record{
		Key:     "j" + rand.Text(),
		Version: rand.Text(),
		Value:   []byte(rand.Text()),
		Expires: time.Now().Add(time.Hour),
	}
}

// next returns what may replace r.
func next(r store.Record) store.Record {
	n := newRecord()
	n.Key = r.Key
	return n
}

func create(t testing.TB, s store.Store, r store.Record) {
	t.Helper()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatalf("Create: %v", err)
	}
}

func holds(t testing.TB, s store.Store, want store.Record) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if got.Version != want.Version || string(got.Value) != string(want.Value) {
		t.Fatalf("Get: version %q, want %q", got.Version, want.Version)
	}
}

func gone(t testing.TB, s store.Store, key string) {
	t.Helper()
	if _, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get: error %v, want %v", err, store.ErrNotFound)
	}
}

// An act is a verb in one of its outcomes, made ready on a store.
type act struct {
	name, command string
	want          error
	ready         func(t *testing.T, s store.Store) (do func() error, after func())
}

var acts = []act{
	{"Create", "evalsha", nil, func(t *testing.T, s store.Store) (func() error, func()) {
		r := newRecord()
		return func() error { return s.Create(t.Context(), r) }, func() { holds(t, s, r) }
	}},
	{"Create of what exists", "evalsha", store.ErrExists, func(t *testing.T, s store.Store) (func() error, func()) {
		r := newRecord()
		create(t, s, r)
		return func() error { return s.Create(t.Context(), next(r)) }, func() { holds(t, s, r) }
	}},
	{"Get", "getex", nil, func(t *testing.T, s store.Store) (func() error, func()) {
		r := newRecord()
		create(t, s, r)
		return func() error { _, err := s.Get(t.Context(), r.Key); return err }, func() { holds(t, s, r) }
	}},
	{"Get of nothing", "getex", store.ErrNotFound, func(t *testing.T, s store.Store) (func() error, func()) {
		return func() error { _, err := s.Get(t.Context(), newRecord().Key); return err }, func() {}
	}},
	{"Replace", "evalsha", nil, func(t *testing.T, s store.Store) (func() error, func()) {
		r := newRecord()
		create(t, s, r)
		n := next(r)
		return func() error { return s.Replace(t.Context(), r.Version, n) }, func() { holds(t, s, n) }
	}},
	{"Replace of what changed", "evalsha", store.ErrConflict, func(t *testing.T, s store.Store) (func() error, func()) {
		r := newRecord()
		create(t, s, r)
		return func() error { return s.Replace(t.Context(), rand.Text(), next(r)) }, func() { holds(t, s, r) }
	}},
	{"Delete", "del", nil, func(t *testing.T, s store.Store) (func() error, func()) {
		r := newRecord()
		create(t, s, r)
		return func() error { return s.Delete(t.Context(), r.Key) }, func() { gone(t, s, r.Key) }
	}},
}

func TestTimeToLive(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL())
	s.Prefix = "bank:"
	const grace = 2 * time.Minute
	for _, left := range []time.Duration{-24 * time.Hour, -time.Minute, 0, time.Second, time.Hour, 400 * 24 * time.Hour} {
		r := newRecord()
		begin := time.Now()
		r.Expires = begin.Add(left)
		create(t, s, r)
		lives(t, server, r, begin, grace)

		n := next(r)
		begin = time.Now()
		n.Expires = begin.Add(left + time.Hour)
		if err := s.Replace(t.Context(), r.Version, n); err != nil {
			t.Fatal(err)
		}
		lives(t, server, n, begin, grace)

		if err := s.Create(t.Context(), next(r)); !errors.Is(err, store.ErrExists) {
			t.Errorf("Create of what expires in %v: error %v, want %v", left, err, store.ErrExists)
		}
		lives(t, server, n, begin, grace)
	}
}

// lives checks that r, written after begin, is kept until grace past its expiry
// or the write, whichever is later.
func lives(t *testing.T, server *redistest.Server, r store.Record, begin time.Time, grace time.Duration) {
	t.Helper()
	ttl, err := server.Client.PTTL(t.Context(), "bank:"+r.Key).Result()
	if err != nil {
		t.Fatal(err)
	}
	want := max(r.Expires.Sub(begin), 0) + grace
	if least := want - time.Since(begin) - 2*time.Millisecond; ttl < least || ttl > want {
		t.Errorf("what expires in %v is kept for %v, want %v to %v", r.Expires.Sub(begin), ttl, least, want)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := open(t, redistest.Start(t).URL())
	large := newRecord()
	large.Value = make([]byte, 64<<10)
	rand.Read(large.Value)
	create(t, s, large)
	holds(t, s, large)

	for name, spoil := range map[string]func(r *store.Record){
		"a value of 64 KiB and a byte": func(r *store.Record) { r.Value = make([]byte, 64<<10+1) },
		"a key of 65 bytes":            func(r *store.Record) { r.Key = strings.Repeat("k", 65) },
		"a key with braces":            func(r *store.Record) { r.Key = "j{a}b" },
		"no key":                       func(r *store.Record) { r.Key = "" },
		"no version":                   func(r *store.Record) { r.Version = "" },
		"a version of 65 bytes":        func(r *store.Record) { r.Version = strings.Repeat("v", 65) },
	} {
		r := newRecord()
		create(t, s, r)
		n := next(r)
		spoil(&n)
		if err := s.Replace(t.Context(), r.Version, n); err == nil || isAnswer(err) {
			t.Errorf("Replace with %s: error %v, want one that is no answer", name, err)
		}
		holds(t, s, r)
		if err := s.Create(t.Context(), n); err == nil || isAnswer(err) {
			t.Errorf("Create with %s: error %v, want one that is no answer", name, err)
		}
	}

	for _, key := range []string{"", "j{a}b", "j*", strings.Repeat("k", 65)} {
		if _, err := s.Get(t.Context(), key); err == nil || isAnswer(err) {
			t.Errorf("Get of key %q: error %v, want one that is no answer", key, err)
		}
		if err := s.Delete(t.Context(), key); err == nil || isAnswer(err) {
			t.Errorf("Delete of key %q: error %v, want one that is no answer", key, err)
		}
	}

	r := newRecord()
	create(t, s, r)
	for _, version := range []string{strings.Repeat("v", 65), strings.Repeat("v", 300), "\x00"} {
		if err := s.Replace(t.Context(), version, next(r)); !errors.Is(err, store.ErrConflict) {
			t.Errorf("Replace at a version of %d bytes: error %v, want %v", len(version), err, store.ErrConflict)
		}
	}

	braced := open(t, redistest.Start(t).URL())
	braced.Prefix = "{bank}:"
	if err := braced.Create(t.Context(), newRecord()); err == nil || isAnswer(err) {
		t.Errorf("Create with braces in the prefix: error %v, want one that is no answer", err)
	}
}

// TestForeignRecord has under a key what the store did not write.
func TestForeignRecord(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL())
	for i, foreign := range []string{"", "\x01", "\x02\x01v", "\x01\x40short", `{"version":"v"}`} {
		r := newRecord()
		if err := server.Client.Set(t.Context(), r.Key, foreign, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), r.Key); err == nil || isAnswer(err) {
			t.Errorf("Get of foreign value %d: error %v, want one that is no answer", i, err)
		}
		if err := s.Replace(t.Context(), r.Version, next(r)); !errors.Is(err, store.ErrConflict) {
			t.Errorf("Replace of foreign value %d: error %v, want %v", i, err, store.ErrConflict)
		}
		if err := s.Create(t.Context(), r); foreign != "" && !errors.Is(err, store.ErrExists) {
			t.Errorf("Create on foreign value %d: error %v, want %v", i, err, store.ErrExists)
		}
	}
	list := newRecord()
	if err := server.Client.LPush(t.Context(), list.Key, "x").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), list); err == nil || isAnswer(err) {
		t.Errorf("Create on a list: error %v, want one that is no answer", err)
	}
}

// TestFull shows that Redis at its limit refuses and evicts nothing.
func TestFull(t *testing.T) {
	t.Parallel()
	s := open(t, redistest.Start(t, "--maxmemory", "8mb").URL())
	var kept []store.Record
	var err error
	for range 1000 {
		r := newRecord()
		r.Value = make([]byte, 64<<10)
		if err = s.Create(t.Context(), r); err != nil {
			break
		}
		kept = append(kept, r)
	}
	if want := "redisstore: Create: Redis answered OOM"; err == nil || err.Error() != want {
		t.Fatalf("Create in 8 MB: error %v, want %s", err, want)
	}
	for _, r := range kept {
		holds(t, s, r)
	}
	if err := s.Delete(t.Context(), kept[0].Key); err != nil {
		t.Errorf("Delete on a full server: %v", err)
	}
}

// TestOneKey watches every command that the suite's verbs send.
func TestOneKey(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses(cluster)})
	s := adopt(t, client)
	s.Prefix = "bank:"
	watch := &watcher{t: t}
	client.AddHook(watch)
	for range 100 {
		for _, a := range acts {
			do, after := a.ready(t, s)
			if err := do(); !errors.Is(err, a.want) {
				t.Fatalf("%s: error %v, want %v", a.name, err, a.want)
			}
			after()
		}
	}
	if n := watch.seen.Load(); n < 100*int64(len(acts)) {
		t.Errorf("watched %d commands, want at least one for each verb", n)
	}
	for i, shard := range cluster.Shards {
		if n, err := shard.Primary.Client.DBSize(t.Context()).Result(); err != nil || n == 0 {
			t.Errorf("shard %d keeps %d records: %v", i, n, err)
		}
	}
}

// A watcher is a hook that checks what each command of a verb asks for.
type watcher struct {
	t    *testing.T
	seen atomic.Int64
}

func (w *watcher) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *watcher) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		w.t.Errorf("a pipeline of %d commands", len(cmds))
		return next(ctx, cmds)
	}
}

func (w *watcher) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w.seen.Add(1)
		if !oneKey(cmd.Args()) {
			w.t.Errorf("%s has not one key", cmd.Name())
		}
		err := next(ctx, cmd)
		if redis.HasErrorPrefix(err, "CROSSSLOT") {
			w.t.Errorf("%s: %v", cmd.Name(), err)
		}
		return err
	}
}

// oneKey reports whether a command of a verb names exactly one key, with the
// prefix and without what would choose its shard.
func oneKey(args []any) bool {
	var key any
	switch args[0] {
	case "getex", "del":
		if len(args) != 2 {
			return false
		}
		key = args[1]
	case "evalsha", "eval":
		if args[2] != 1 {
			return false
		}
		key = args[3]
	}
	name, ok := key.(string)
	return ok && strings.HasPrefix(name, "bank:") && !strings.ContainsAny(name, "{}")
}
