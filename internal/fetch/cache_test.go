package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aikagi/aikagi/internal/fetch"
)

// A fintech publishes a document that tests change, and counts who asks.
type fintech struct {
	url   string
	cache *fetch.Cache

	asked   atomic.Int32
	mu      sync.Mutex
	now     time.Time
	body    string
	control string        // Cache-Control
	status  int           // 0 is 200
	gate    chan struct{} // if not nil, answers wait for it
}

func newFintech(t testing.TB) *fintech {
	f := &fintech{now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC), body: "first"}
	srv, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		f.asked.Add(1)
		f.mu.Lock()
		body, control, status, gate := f.body, f.control, f.status, f.gate
		f.mu.Unlock()
		if gate != nil {
			<-gate
		}
		if control != "" {
			w.Header().Set("Cache-Control", control)
		}
		if status != 0 {
			w.WriteHeader(status)
		}
		io.WriteString(w, body)
	})
	f.url = srv.URL + "/jwks"
	f.cache = &fetch.Cache{Client: client, Now: func() time.Time {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.now
	}}
	return f
}

// set changes f under its lock.
func (f *fintech) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fintech) wait(d time.Duration) { f.set(func() { f.now = f.now.Add(d) }) }

// shut closes a gate and returns what opens it; the test's end does too.
func (f *fintech) shut(t *testing.T) (open func()) {
	gate := make(chan struct{})
	f.set(func() { f.gate = gate })
	open = sync.OnceFunc(func() {
		f.set(func() { f.gate = nil })
		close(gate)
	})
	t.Cleanup(open)
	return open
}

type getter func(context.Context, string) ([]byte, error)

// want calls get and compares the document, or "" for an error, and how often
// the fintech has been asked in all.
func (f *fintech) want(t *testing.T, get getter, body string, asked int32) {
	t.Helper()
	b, err := get(t.Context(), f.url)
	if string(b) != body || (err == nil) != (body != "") {
		t.Errorf("got %q, %v; want %q", b, err, body)
	}
	if n := f.asked.Load(); n != asked {
		t.Errorf("fetched %d times, want %d", n, asked)
	}
}

func TestTTL(t *testing.T) {
	tests := []struct {
		name, control string
		want          time.Duration
	}{
		{"RFC8705-2.2-5 not said", "", 5 * time.Minute},
		{"RFC8705-2.2-5 said", "max-age=600", 10 * time.Minute},
		{"RFC8705-2.2-5 too long", "max-age=86400", time.Hour},
		{"RFC8705-2.2-5 longer than a clock can hold", "max-age=99999999999999999999", time.Hour},
		{"too short", "max-age=1", time.Minute},
		{"must not be kept", "no-store", time.Minute},
		{"nonsense", "max-age=soon", time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFintech(t)
			f.control = tt.control
			f.want(t, f.cache.Get, "first", 1)
			f.set(func() { f.body = "second" })
			f.wait(tt.want - 1)
			f.want(t, f.cache.Get, "first", 1)
			f.wait(1)
			f.want(t, f.cache.Get, "second", 2)
		})
	}
}

func TestFreshness(t *testing.T) {
	tests := []struct {
		control []string
		age     string
		want    time.Duration
	}{
		{nil, "", -time.Second},
		{[]string{"public"}, "", -time.Second},
		{[]string{"max-age=60"}, "", time.Minute},
		{[]string{"Public, MAX-AGE=60 , must-revalidate"}, "", time.Minute},
		{[]string{"public", "max-age=60"}, "", time.Minute},
		{[]string{`max-age="60"`}, "", time.Minute},
		{[]string{"max-age=60"}, "20", 40 * time.Second},
		{[]string{"max-age=60"}, "100", 0},
		{[]string{"max-age=60"}, "old", time.Minute},
		{[]string{"max-age=60"}, "99999999999999999999", 0},
		{[]string{"max-age=60", "max-age=30"}, "", 30 * time.Second},
		{[]string{"max-age=30, max-age=60"}, "", 30 * time.Second},
		{[]string{"max-age=60, no-store"}, "", 0},
		{[]string{"no-cache, max-age=60"}, "", 0},
		{[]string{"max-age=-60"}, "", 0},
		{[]string{"max-age"}, "", 0},
		{[]string{"s-maxage=60"}, "", -time.Second}, // for shared caches
	}
	for _, tt := range tests {
		h := http.Header{"Cache-Control": tt.control}
		if tt.age != "" {
			h.Set("Age", tt.age)
		}
		got := fetch.Freshness(h)
		if got < 0 {
			got = -time.Second // any negative one
		}
		if got != tt.want {
			t.Errorf("Cache-Control %q, Age %q: %v, want %v", tt.control, tt.age, got, tt.want)
		}
	}
}

func TestRefresh(t *testing.T) {
	t.Run("FAPI2-SP-5.4.3-2 OIDC-SE-8 RFC8705-2.2-5 E2E-16 rotation is seen at once", func(t *testing.T) {
		f := newFintech(t)
		f.want(t, f.cache.Get, "first", 1)
		f.set(func() { f.body = "second" })
		f.want(t, f.cache.Get, "first", 1)
		f.want(t, f.cache.Refresh, "second", 2)
		f.want(t, f.cache.Get, "second", 2)
	})
	t.Run("FAPI2-SP-5.4.3-2 OIDC-SE-8 RFC8705-2.2-5 E2E-17 a flood makes one fetch a minute", func(t *testing.T) {
		f := newFintech(t)
		f.control = "max-age=3600"
		f.want(t, f.cache.Get, "first", 1)
		for minute := range int32(3) {
			for range 10_000 {
				if b, err := f.cache.Refresh(t.Context(), f.url); err != nil || string(b) != "first" {
					t.Fatalf("Refresh: %q, %v", b, err)
				}
			}
			f.wait(time.Minute - 1)
			f.want(t, f.cache.Refresh, "first", 2+minute)
			f.wait(1)
		}
	})
	t.Run("E2E-17 a flood at once makes one fetch", func(t *testing.T) {
		f := newFintech(t)
		f.want(t, f.cache.Get, "first", 1)
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if b, err := f.cache.Refresh(t.Context(), f.url); err != nil || string(b) != "first" {
					t.Errorf("Refresh: %q, %v", b, err)
				}
			})
		}
		wg.Wait()
		f.want(t, f.cache.Get, "first", 2)
	})
	t.Run("E2E-17 a flood while the server is down", func(t *testing.T) {
		f := newFintech(t)
		f.control = "max-age=3600"
		f.want(t, f.cache.Get, "first", 1)
		f.set(func() { f.status = 500 })
		for range 1000 {
			f.cache.Refresh(t.Context(), f.url)
		}
		f.want(t, f.cache.Refresh, "first", 2)
		f.want(t, f.cache.Get, "first", 2)
	})
	t.Run("a stale document does not wait for the pause", func(t *testing.T) {
		f := newFintech(t)
		f.control = "max-age=60"
		f.want(t, f.cache.Get, "first", 1)
		f.wait(50 * time.Second)
		f.set(func() { f.status = 500 })
		f.want(t, f.cache.Refresh, "first", 2) // in vain, and no other for a minute
		f.set(func() { f.status, f.body = 0, "second" })
		f.wait(10*time.Second - 1)
		f.want(t, f.cache.Refresh, "first", 2)
		f.wait(1) // stale
		f.want(t, f.cache.Refresh, "second", 3)
	})
	t.Run("of what is not cached", func(t *testing.T) {
		f := newFintech(t)
		f.want(t, f.cache.Refresh, "first", 1)
		f.want(t, f.cache.Get, "first", 1)
	})
	t.Run("one client's flood does not hold up another's rotation", func(t *testing.T) {
		f := newFintech(t)
		f.want(t, f.cache.Refresh, "first", 1)
		f.set(func() { f.body = "second" })
		b, err := f.cache.Refresh(t.Context(), f.url+"2")
		if err != nil || string(b) != "second" {
			t.Errorf("Refresh: %q, %v", b, err)
		}
	})
}

func TestFailure(t *testing.T) {
	t.Run("RFC8705-2.2-5 the last good document serves for an hour more", func(t *testing.T) {
		f := newFintech(t)
		f.want(t, f.cache.Get, "first", 1)
		f.set(func() { f.status = 503 })
		f.wait(fetch.DefaultTTL)
		f.want(t, f.cache.Get, "first", 2)
		f.wait(time.Hour - 1)
		f.want(t, f.cache.Get, "first", 3)
		f.wait(1)
		f.want(t, f.cache.Get, "", 3) // still within the pause
		f.wait(fetch.LastRetry)
		f.want(t, f.cache.Get, "", 4)
		f.set(func() { f.status, f.body = 0, "second" })
		f.wait(fetch.LastRetry)
		f.want(t, f.cache.Get, "second", 5)
	})
	t.Run("E2E-17 a storm makes few fetches", func(t *testing.T) {
		f := newFintech(t)
		f.set(func() { f.status = 404 })
		asked := int32(0)
		for _, pause := range []time.Duration{5, 10, 20, 40, 60, 60, 60} { // seconds
			asked++
			for range 100 {
				f.want(t, f.cache.Get, "", asked)
			}
			f.wait(pause*time.Second - 1)
			f.want(t, f.cache.Refresh, "", asked)
			f.wait(1)
		}
		f.set(func() { f.status = 0 })
		f.want(t, f.cache.Get, "first", asked+1)
	})
	t.Run("success forgets failures", func(t *testing.T) {
		f := newFintech(t)
		f.set(func() { f.status = 500 })
		f.want(t, f.cache.Get, "", 1)
		f.wait(5 * time.Second)
		f.want(t, f.cache.Get, "", 2)
		f.set(func() { f.status = 0 })
		f.wait(10 * time.Second)
		f.want(t, f.cache.Get, "first", 3)
		f.set(func() { f.status = 500 })
		f.wait(fetch.DefaultTTL)
		f.want(t, f.cache.Get, "first", 4)
		f.set(func() { f.status, f.body = 0, "second" })
		f.wait(5 * time.Second)
		f.want(t, f.cache.Get, "second", 5)
	})
	t.Run("a document that Check refuses takes no place", func(t *testing.T) {
		bad := errors.New("not a key set")
		f := newFintech(t)
		f.cache.Check = func(b []byte) error {
			if strings.Contains(string(b), "sorry") {
				return bad
			}
			return nil
		}
		f.want(t, f.cache.Get, "first", 1)
		f.set(func() { f.body = "sorry, down for maintenance" })
		f.want(t, f.cache.Refresh, "first", 2)
		f.wait(fetch.DefaultTTL + fetch.KeepStale)
		if _, err := f.cache.Get(t.Context(), f.url); !errors.Is(err, bad) {
			t.Errorf("Get: %v, want what Check said", err)
		}
	})
	t.Run("FAPI2-SP-5.4.2-1 a bad URL is refused and takes no room", func(t *testing.T) {
		c := new(fetch.Cache)
		for _, get := range []getter{c.Get, c.Refresh} {
			if _, err := get(t.Context(), "http://fintech.invalid/jwks"); err == nil {
				t.Error("no error")
			}
		}
		if n := c.Len(); n != 0 {
			t.Errorf("%d entries", n)
		}
	})
	t.Run("RFC8725-3.10-2 the zero Cache reaches nothing private", func(t *testing.T) {
		f := newFintech(t)
		if _, err := new(fetch.Cache).Get(t.Context(), f.url); !errors.Is(err, fetch.ErrAddress) {
			t.Errorf("Get: %v, want ErrAddress", err)
		}
	})
}

// A waiting context reports when somebody waits for it to be done.
type waiting struct {
	context.Context
	waits func()
}

func (w waiting) Done() <-chan struct{} {
	w.waits()
	return w.Context.Done()
}

// join calls get beside the test, which goes on when the call waits for its
// answer, or has one already. wg is done when body has been compared.
func (f *fintech) join(t *testing.T, wg *sync.WaitGroup, get getter, body string) {
	waits := make(chan struct{})
	arrived := sync.OnceFunc(func() { close(waits) })
	wg.Go(func() {
		defer arrived()
		b, err := get(waiting{t.Context(), arrived}, f.url)
		if err != nil || string(b) != body {
			t.Errorf("got %q, %v; want %q", b, err, body)
		}
	})
	<-waits
}

func TestSingleFlight(t *testing.T) {
	t.Run("a hundred callers make one fetch", func(t *testing.T) {
		f := newFintech(t)
		open := f.shut(t)
		var all sync.WaitGroup
		for range 50 {
			f.join(t, &all, f.cache.Get, "first")
			f.join(t, &all, f.cache.Refresh, "first")
		}
		open()
		all.Wait()
		if n := f.asked.Load(); n != 1 {
			t.Errorf("fetched %d times", n)
		}
	})
	t.Run("the caller who began it leaves, and the fetch goes on", func(t *testing.T) {
		f := newFintech(t)
		open := f.shut(t)
		ctx, leave := context.WithCancel(t.Context())
		if _, err := f.cache.Get(waiting{ctx, leave}, f.url); !errors.Is(err, context.Canceled) {
			t.Fatalf("Get: %v, want canceled", err)
		}
		var stayed sync.WaitGroup
		f.join(t, &stayed, f.cache.Get, "first")
		open()
		stayed.Wait()
		f.want(t, f.cache.Get, "first", 1)
	})
	t.Run("a deadline of the caller's is not the fetch's", func(t *testing.T) {
		f := newFintech(t)
		open := f.shut(t)
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		if _, err := f.cache.Get(ctx, f.url); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Get: %v, want a deadline exceeded", err)
		}
		open()
		f.want(t, f.cache.Get, "first", 1)
	})
	t.Run("the fetch has a limit of its own", func(t *testing.T) {
		f := newFintech(t)
		open := f.shut(t)
		f.cache.Client.Timeout = 100 * time.Millisecond
		if _, err := f.cache.Get(context.Background(), f.url); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get: %v, want a deadline exceeded", err)
		}
		open()
	})
	t.Run("who joins a Refresh gets what it brings", func(t *testing.T) {
		f := newFintech(t)
		f.want(t, f.cache.Get, "first", 1)
		f.set(func() { f.body = "second" })
		open := f.shut(t)
		var both sync.WaitGroup
		f.join(t, &both, f.cache.Refresh, "second")
		f.join(t, &both, f.cache.Refresh, "second")
		open()
		both.Wait()
		f.want(t, f.cache.Get, "second", 2)
	})
	t.Run("who can do with the old document does not wait for a Refresh", func(t *testing.T) {
		f := newFintech(t)
		f.want(t, f.cache.Get, "first", 1)
		open := f.shut(t)
		ctx, leave := context.WithCancel(t.Context())
		if _, err := f.cache.Refresh(waiting{ctx, leave}, f.url); !errors.Is(err, context.Canceled) {
			t.Fatalf("Refresh: %v, want canceled", err)
		}
		b, err := f.cache.Get(waiting{t.Context(), func() { t.Error("Get waits") }}, f.url)
		if err != nil || string(b) != "first" {
			t.Errorf("Get: %q, %v", b, err)
		}
		open()
	})
}

// A server that swallows every question costs each try its whole timeout: that
// must not be all callers' time, once a minute for an hour.
func TestSlowFailure(t *testing.T) {
	t.Run("who can do with the old document does not wait for another try", func(t *testing.T) {
		f := newFintech(t)
		f.want(t, f.cache.Get, "first", 1)
		f.set(func() { f.status = 503 })
		f.wait(fetch.DefaultTTL)
		f.want(t, f.cache.Get, "first", 2)
		f.wait(fetch.LastRetry)
		open := f.shut(t)
		ctx, leave := context.WithCancel(t.Context())
		if _, err := f.cache.Get(waiting{ctx, leave}, f.url); !errors.Is(err, context.Canceled) {
			t.Fatalf("Get that tries: %v, want canceled", err)
		}
		b, err := f.cache.Get(waiting{t.Context(), func() { t.Error("Get waits") }}, f.url)
		if err != nil || string(b) != "first" {
			t.Errorf("Get: %q, %v", b, err)
		}
		f.wait(fetch.KeepStale) // and now the old one is too old
		var all sync.WaitGroup
		all.Go(func() {
			if b, err := f.cache.Get(t.Context(), f.url); err == nil {
				t.Errorf("Get: %q, want an error", b)
			}
		})
		open()
		all.Wait()
	})
}

func TestBounds(t *testing.T) {
	t.Run("number: the one unused for longest gives way", func(t *testing.T) {
		f := newFintech(t)
		f.want(t, f.cache.Get, "first", 1)
		for i := range fetch.MaxEntries + 500 { // refused before anything is dialed
			f.wait(time.Millisecond)
			if _, err := f.cache.Get(t.Context(), "https://10.0.0.1/"+strconv.Itoa(i)); !errors.Is(err, fetch.ErrAddress) {
				t.Fatalf("Get: %v", err)
			}
			if i%100 == 0 {
				f.want(t, f.cache.Get, "first", 1)
			}
		}
		f.want(t, f.cache.Get, "first", 1)
		if n := f.cache.Len(); n != fetch.MaxEntries {
			t.Errorf("%d entries, want %d", n, fetch.MaxEntries)
		}
	})
	t.Run("size: the documents together", func(t *testing.T) {
		f := newFintech(t)
		f.body = strings.Repeat("x", fetch.MaxTotal/4)
		f.cache.Client.MaxBytes = int64(len(f.body))
		for i := range 6 {
			f.wait(time.Second)
			if _, err := f.cache.Get(t.Context(), fmt.Sprintf("%s/%d", f.url, i)); err != nil {
				t.Fatal(err)
			}
			if want := min(i+1, 4); f.cache.Len() != want || f.cache.Total() != want*len(f.body) {
				t.Errorf("%d entries of %d bytes, want %d", f.cache.Len(), f.cache.Total(), want)
			}
		}
		f.set(func() { f.body = "short" })
		b, err := f.cache.Refresh(t.Context(), f.url+"/5")
		if want := 3*(fetch.MaxTotal/4) + 5; err != nil || string(b) != "short" || f.cache.Len() != 4 || f.cache.Total() != want {
			t.Errorf("after a change: %d entries of %d bytes, %v; want 4 of %d", f.cache.Len(), f.cache.Total(), err, want)
		}
	})
	t.Run("fetches under way", func(t *testing.T) {
		over := make(chan struct{})
		c := &fetch.Cache{Client: &fetch.Client{Timeout: time.Hour}}
		c.Client.SetResolver(&net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			<-over
			return nil, io.EOF
		}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for i := range fetch.MaxEntries {
			if _, err := c.Get(ctx, fmt.Sprintf("https://h%d.example/", i)); !errors.Is(err, context.Canceled) {
				t.Fatalf("Get: %v, want canceled", err)
			}
		}
		if _, err := c.Get(ctx, "https://one.too.many.example/"); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("Get: %v, want a refusal", err)
		}
		if _, err := c.Get(ctx, "https://h7.example/"); !errors.Is(err, context.Canceled) {
			t.Errorf("Get of one under way: %v, want canceled", err)
		}
		close(over)
	})
}

func BenchmarkCacheGet(b *testing.B) {
	f := newFintech(b)
	if _, err := f.cache.Get(b.Context(), f.url); err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := f.cache.Get(ctx, f.url); err != nil {
				b.Error(err)
			}
		}
	})
}
