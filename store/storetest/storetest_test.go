package storetest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) store.Store { return new(store.Memory) })
}

func TestMemoryLister(t *testing.T) {
	t.Parallel()
	RunLister(t, memoryAndLister)
}

func TestSealed(t *testing.T) {
	t.Parallel()
	RunSealed(t, memoryAndLister)
}

func TestByKind(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) store.Store {
		s, err := store.ByKind(new(store.Memory), new(store.Memory), "rjd")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func memoryAndLister(*testing.T) (store.Store, store.Lister) {
	m := new(store.Memory)
	return m, m
}

func TestMemoryFarAway(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) store.Store {
		return &Faulty{Store: new(store.Memory), Latency: 2 * time.Millisecond}
	})
}

// TestOneStore is what a host does whose stores are all one database.
func TestOneStore(t *testing.T) {
	if testing.Short() {
		t.Skip("as TestMemory")
	}
	s := new(store.Memory)
	for range 2 {
		for _, p := range promises {
			if !strings.HasSuffix(p.name, "Race") && !strings.HasPrefix(p.name, "Kept") {
				p.test(t, s)
			}
		}
	}
}

// TestBroken has a store for every promise that breaks it, often in the way
// the first draft of an adapter would, and shows that the promise is missed.
func TestBroken(t *testing.T) {
	tested := make(map[string]bool)
	for _, tt := range slices.Concat(broken, brokenAdapters) {
		tested[tt.promise] = true
		t.Run(tt.promise+"/"+tt.flaw, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(tt.promise, "KeptWhen") && testing.Short() {
				t.Skip("takes four seconds")
			}
			p := promiseNamed(t, tt.promise)
			mustFail(t, tt.says, func(r testing.TB) { p.test(r, tt.store()) })
		})
	}
	for _, p := range promises {
		if !tested[p.name] {
			t.Errorf("promise %s has no store that breaks it", p.name)
		}
	}
}

// TestPromisesSayWhy shows that a host who fails learns the price.
func TestPromisesSayWhy(t *testing.T) {
	names := make(map[string]bool)
	var reasons []reason
	for _, p := range promises {
		reasons = append(reasons, p.reason)
	}
	for _, p := range listPromises {
		reasons = append(reasons, p.reason)
	}
	for _, p := range reasons {
		if p.name == "" || p.why == "" || names[p.name] {
			t.Errorf("promise %q, whose why is %q, is unnamed, unexplained or there twice", p.name, p.why)
		}
		names[p.name] = true
	}
}

// mustFail runs test, which must fail and say what it is told to.
func mustFail(t *testing.T, says string, test func(testing.TB)) {
	t.Helper()
	r := &recorder{TB: t}
	r.run(func() { test(r) })
	if !r.failed {
		t.Error("the flaw is not found")
	}
	if !strings.Contains(r.log, says) {
		t.Errorf("the test says %q, want it to speak of %q", r.log, says)
	}
}

func promiseNamed(t *testing.T, name string) promise {
	t.Helper()
	for _, p := range promises {
		if p.name == name {
			return p
		}
	}
	t.Fatalf("no promise %s", name)
	return promise{}
}

// A recorder is a test that may fail without failing the test it is part of.
type recorder struct {
	testing.TB

	mu     sync.Mutex
	failed bool
	log    string
}

// run calls f in a goroutine of its own, which Fatalf ends.
func (r *recorder) run(f func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	wg.Wait()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
	r.log += fmt.Sprintf(format, args...) + "\n"
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *recorder) Fatal(args ...any) {
	r.Errorf("%s", fmt.Sprint(args...))
	r.FailNow()
}

func (r *recorder) FailNow() {
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Helper() {}
