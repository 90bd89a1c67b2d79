// Package redistest starts Redis for tests: a [Server], or a [Cluster] with
// replicas, of real redis-server processes on the loopback interface, which a
// test can kill, pause and start again. They end with the test.
//
// Without redis-server on the PATH a test is skipped, and says so; if the
// environment variable AIKAGI_REQUIRE, a list divided by commas, has redis in
// it, the test fails.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long Redis may take for anything. Nothing waits that long
// unless something is broken.
const patience = 60 * time.Second

// A Server is a running redis-server. It keeps an append-only file and writes
// it before it answers, so that Start after Kill finds what was acknowledged.
type Server struct {
	// Client is connected to this server alone.
	Client *redis.Client

	// Port is where it listens, on 127.0.0.1.
	Port int

	t    testing.TB
	args []string

	mu     sync.Mutex
	cmd    *exec.Cmd // nil while killed
	exited chan struct{}
	output bytes.Buffer
}

// Start starts a server with settings beside its own, as "--maxmemory-policy",
// "allkeys-lru", and waits until it answers.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	require(t)
	// Between finding a port and listening on it another may take it.
	for range 5 {
		if s := launch(t, freePorts(t, 1)[0], settings); s != nil {
			return s
		}
	}
	t.Fatal("redistest: redis-server does not start")
	return nil
}

// require ends the test unless redis-server is there.
func require(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("AIKAGI_REQUIRE"), ","), "redis") {
		t.Fatal("redis-server not installed, and AIKAGI_REQUIRE asks for redis")
	}
	t.Skip("redis-server not installed: the store was not tried on Redis")
}

// launch returns a new server, or nil if the port was taken.
func launch(t testing.TB, port int, settings []string) *Server {
	t.Helper()
	s := &Server{
		Port: port,
		Client: redis.NewClient(&redis.Options{
			Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), ContextTimeoutEnabled: true, MaxRetries: -1,
		}),
		t: t,
		args: append([]string{
			"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "",
			"--appendonly", "yes", "--appendfsync", "always", "--loglevel", "notice",
		}, settings...),
	}
	t.Cleanup(func() {
		s.Kill()
		_ = s.Client.Close() // the server is gone
		if t.Failed() {
			t.Logf("redis-server on port %d said:\n%s", port, tail(s.output.String(), 2000))
		}
	})
	if !s.start() {
		return nil
	}
	return s
}

// URL is what Open takes.
func (s *Server) URL() string { return fmt.Sprintf("redis://127.0.0.1:%d", s.Port) }

// Start starts the server again after Kill, with what it has on disk.
func (s *Server) Start() {
	s.t.Helper()
	if !s.start() {
		s.t.Fatalf("redistest: redis-server does not start again on port %d", s.Port)
	}
}

// start reports whether the server answers.
func (s *Server) start() bool {
	s.t.Helper()
	cmd := exec.Command("redis-server", s.args...)
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, as a rule
		close(exited)
	}()
	s.mu.Lock()
	s.cmd, s.exited = cmd, exited
	s.mu.Unlock()
	ended := func() bool {
		select {
		case <-exited:
			return true
		default:
			return false
		}
	}
	until(s.t, "redis-server answers", func(ctx context.Context) bool {
		return ended() || s.Client.Ping(ctx).Err() == nil
	})
	return !ended()
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.exited
	s.cmd = nil
}

// Pause stops the server as kill -STOP does: its connections stay open, and
// nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.t.Fatalf("redistest: no server to send %v to", sig)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("redistest: %v: %v", sig, err)
	}
}

// until waits for what is to become true.
func until(t testing.TB, what string, holds func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("redistest: waited %v in vain until %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// freePorts returns n ports of the loopback interface that nothing listens on.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("redistest: %v", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func tail(s string, n int) string { return s[max(len(s)-n, 0):] }
