// Package postgrestest starts a PostgreSQL server for tests, or lends them one
// that is there.
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Server is a running PostgreSQL server. It ends with the process that
// started it, however that ends.
type Server struct {
	admin  string // a superuser's URL
	dir    string
	bin    string
	as     *syscall.Credential // whom the server runs as, nil for the tests' own user
	args   []string
	keeper *exec.Cmd
	line   io.WriteCloser // to the keeper
}

var shared struct {
	sync.Mutex
	server *Server
}

// Shared returns a server that all tests of the process share: the one whose
// superuser's URL is in the environment variable AIKAGI_POSTGRES, or else one
// that it starts, with fsync off. It fails or skips as [Start] does.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		if there := os.Getenv("AIKAGI_POSTGRES"); there != "" {
			shared.server = &Server{admin: there}
		} else {
			shared.server = start(tb, "fsync=off")
		}
	}
	return shared.server
}

// Start starts a server for tb alone, on a free port of the loopback address,
// and stops it when tb ends. Settings are such as "fsync=off".
//
// Without PostgreSQL on the machine, Start skips the test, or fails it if the
// list in AIKAGI_REQUIRE, divided by commas, has postgresql in it.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s := start(tb, settings...)
	tb.Cleanup(func() { s.stop("remove") })
	return s
}

func start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s := &Server{bin: binaries(tb), as: unprivileged(tb)}
	dir, err := os.MkdirTemp("", "postgrestest")
	if err != nil {
		tb.Fatal(err)
	}
	s.dir = dir
	if s.as != nil {
		if err := os.Chown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	init := s.command(filepath.Join(s.bin, "initdb"),
		"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := init.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	port := freePort(tb)
	s.args = []string{"-D", data, "-p", port, "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"}
	for _, setting := range settings {
		s.args = append(s.args, "-c", setting)
	}
	s.admin = "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	s.Continue(tb)
	return s
}

// URL returns a superuser's URL, for which an empty schema of its own is the
// search path, dropped when tb ends. Parameters are such as
// "pool_max_conns=2".
func (s *Server) URL(tb testing.TB, params ...string) string {
	tb.Helper()
	schema := "test_" + strings.ToLower(rand.Text())
	s.Exec(tb, "create schema "+schema)
	tb.Cleanup(func() {
		c, err := pgx.Connect(context.Background(), s.admin)
		if err != nil {
			return // stopped by the test
		}
		defer c.Close(context.Background())
		c.Exec(context.Background(), "drop schema "+schema+" cascade")
	})
	u, err := url.Parse(s.admin)
	if err != nil {
		tb.Fatal("AIKAGI_POSTGRES is no URL")
	}
	q := u.Query()
	q.Set("search_path", schema)
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Exec executes SQL without parameters as a superuser.
func (s *Server) Exec(tb testing.TB, sql string) {
	tb.Helper()
	c, err := pgx.Connect(tb.Context(), s.admin)
	if err != nil {
		tb.Fatalf("PostgreSQL: %v", err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

// Kill stops the server at once, like a crash: what it had not told anybody
// may be gone, what it had committed is not. The server must be from [Start].
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.stop("keep")
}

// keeper is a shell script that runs the server until it is told whether to
// keep or to remove its folder. The end of the process that should tell closes
// the line, and counts as remove.
const keeper = `folder=$1; shift
"$@" >"$folder/log" 2>&1 & server=$!
read -r what
kill -QUIT $server; wait $server
[ "$what" = keep ] || rm -rf "$folder"`

func (s *Server) stop(what string) {
	if s.keeper == nil {
		return
	}
	fmt.Fprintln(s.line, what)
	s.line.Close()
	s.keeper.Wait()
	s.keeper = nil
}

// Continue starts the server again after [Server.Kill] and returns when it
// answers.
func (s *Server) Continue(tb testing.TB) {
	tb.Helper()
	args := append([]string{"-c", keeper, "keeper", s.dir, filepath.Join(s.bin, "postgres")}, s.args...)
	s.keeper = s.command("/bin/sh", args...)
	line, err := s.keeper.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	s.line = line
	if err := s.keeper.Start(); err != nil {
		tb.Fatalf("postgres: %v", err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgx.Connect(tb.Context(), s.admin)
		if err == nil {
			c.Close(tb.Context())
			return
		}
		if time.Now().After(end) {
			out, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.stop("remove")
			tb.Fatalf("postgres does not answer: %v\n%s", err, out)
		}
	}
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true} // an interrupt is for the tests
	return cmd
}

// binaries returns the folder of the newest PostgreSQL installed.
func binaries(tb testing.TB) string {
	tb.Helper()
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir
		}
	}
	if slices.Contains(strings.Split(os.Getenv("AIKAGI_REQUIRE"), ","), "postgresql") {
		tb.Fatal("PostgreSQL not installed, and AIKAGI_REQUIRE asks for it")
	}
	tb.Skip("SKIPPED, NOT TESTED: PostgreSQL not installed (Debian: postgresql), and AIKAGI_POSTGRES has no URL")
	return ""
}

// unprivileged returns whom the server can run as, since it refuses root.
func unprivileged(tb testing.TB) *syscall.Credential {
	tb.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			tb.Fatal(err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	tb.Fatal("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
	return nil
}

// freePort returns a port of the loopback address that nobody listens at.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
