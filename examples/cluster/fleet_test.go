package cluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// patience is how long anything may take. Nothing takes that long unless
// something is broken.
const patience = 60 * time.Second

// A fleet is some nodes on one database.
type fleet struct {
	t      testing.TB
	file   string // the nodes' setup
	client *fintech
	web    *http.Client
	nodes  []*node

	mu     sync.Mutex
	events []authz.Event
	turn   int
}

// A node is the place of a server process, which may die and be replaced.
type node struct {
	fleet *fleet

	mu     sync.Mutex
	url    string
	cmd    *exec.Cmd
	line   io.Closer // its end ends the process
	read   chan struct{}
	errors *bytes.Buffer
	issued int // tokens_issued events of this process
}

// newSetup returns a setup and the client that it knows.
func newSetup(t testing.TB) (setup, *fintech) {
	t.Helper()
	f := newFintech("kakeibo")
	clients, err := json.Marshal([]any{f.metadata()})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(newKey())
	if err != nil {
		t.Fatal(err)
	}
	s := setup{Secret: make([]byte, 32), Key: key, Clients: clients}
	rand.Read(s.Secret)
	return s, f
}

// startFleet starts n nodes whose records are in records and, of kinds r and j,
// in rest unless that is empty.
func startFleet(t testing.TB, n int, records, rest []string) *fleet {
	t.Helper()
	s, client := newSetup(t)
	s.Store, s.Rest = records, rest
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, file: filepath.Join(t.TempDir(), "setup"), client: client}
	if err := os.WriteFile(f.file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f.web = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
	t.Cleanup(f.close)
	for range n {
		f.nodes = append(f.nodes, &node{fleet: f})
	}
	var started sync.WaitGroup
	for _, n := range f.nodes {
		started.Go(n.start)
	}
	started.Wait()
	for _, n := range f.nodes {
		if n.cmd == nil {
			t.Fatal("a node does not start")
		}
	}
	return f
}

// start starts a process at n's place and waits until it listens.
func (n *node) start() {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), nodeEnv+"="+n.fleet.file)
	errors := new(bytes.Buffer)
	cmd.Stderr = errors
	line, err := cmd.StdinPipe()
	if err != nil {
		n.fleet.t.Error(err)
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.fleet.t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		n.fleet.t.Error(err)
		return
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var addr string
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &addr) != nil {
		line.Close()
		cmd.Wait()
		n.fleet.t.Errorf("a node does not listen: %s", errors)
		return
	}
	n.mu.Lock()
	n.url, n.cmd, n.line, n.read, n.errors, n.issued = "http://"+addr, cmd, line, make(chan struct{}), errors, 0
	read := n.read
	n.mu.Unlock()
	go func() {
		defer close(read)
		for lines.Scan() {
			var e authz.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil { // a process that is killed leaves half a line
				n.heard(e)
			}
		}
	}()
}

func (n *node) heard(e authz.Event) {
	if e.Kind == "tokens_issued" {
		n.mu.Lock()
		n.issued++
		n.mu.Unlock()
	}
	n.fleet.mu.Lock()
	n.fleet.events = append(n.fleet.events, e)
	n.fleet.mu.Unlock()
}

// kill ends the process as kill -9 does.
func (n *node) kill() {
	n.mu.Lock()
	cmd, read := n.cmd, n.read
	n.cmd = nil
	n.mu.Unlock()
	cmd.Process.Kill()
	<-read
	cmd.Wait()
	n.blame()
}

// blame fails the test for a panic. The process has ended.
func (n *node) blame() {
	if said := n.errors.String(); strings.Contains(said, "panic") || strings.Contains(said, "DATA RACE") {
		n.fleet.t.Errorf("a node said:\n%.4000s", said)
	}
}

// close ends all nodes in good order. After it, all events have been read.
func (f *fleet) close() {
	for _, n := range f.nodes {
		n.mu.Lock()
		if n.cmd != nil {
			n.line.Close()
		}
		n.mu.Unlock()
	}
	for _, n := range f.nodes {
		n.mu.Lock()
		cmd, read := n.cmd, n.read
		n.cmd = nil
		n.mu.Unlock()
		if cmd == nil {
			continue
		}
		<-read
		if err := cmd.Wait(); err != nil {
			f.t.Errorf("a node ended with %v: %s", err, n.errors)
		}
		n.blame()
	}
	f.web.CloseIdleConnections()
}

// count returns how many events there were of that kind.
func (f *fleet) count(kind string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := 0
	for _, e := range f.events {
		if e.Kind == kind {
			c++
		}
	}
	return c
}

// next returns the nodes in turn.
func (f *fleet) next() *node {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	return f.nodes[f.turn%len(f.nodes)]
}

// trouble makes the stores of nodes misbehave, by default of all.
func (f *fleet) trouble(t trouble, nodes ...*node) {
	f.t.Helper()
	b, err := json.Marshal(t)
	if err != nil {
		f.t.Fatal(err)
	}
	if nodes == nil {
		nodes = f.nodes
	}
	for _, n := range nodes {
		res, err := f.web.Post(n.at("/trouble"), "application/json", bytes.NewReader(b))
		if err != nil {
			f.t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			f.t.Fatalf("trouble: %s", res.Status)
		}
	}
}

func (n *node) at(path string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.url + path
}

// An answer is what came of a request.
type answer struct {
	status int // 0: there was no answer
	body   map[string]any
	text   string
	query  url.Values // of the address that a browser is sent to
	cookie string
}

// unknown reports whether the request may or may not have been carried out.
func (a answer) unknown() bool { return a.status == 0 || a.status >= 500 }

func (a answer) member(name string) string {
	s, _ := a.body[name].(string)
	return s
}

// send sends m to n.
func (n *node) send(ctx context.Context, m message) answer {
	return n.do(ctx, "POST", m.path, m.form, func(h http.Header) {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		if m.proof != "" {
			h.Set("DPoP", m.proof)
		}
	})
}

// open opens the first page of a request in a new browser, which approves at
// once unless it is later to.
func (n *node) open(ctx context.Context, client, uri string, later bool) answer {
	q := url.Values{"client_id": {client}, "request_uri": {uri}}
	return n.do(ctx, "GET", "/authorize?"+q.Encode(), "", func(h http.Header) {
		if later {
			h.Set(laterHeader, "yes")
		}
	})
}

// approve approves on a page that open has shown.
func (n *node) approve(ctx context.Context, page answer) answer {
	return n.do(ctx, "POST", "/consent", url.Values{"interaction": {page.text}}.Encode(), func(h http.Header) {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		h.Set("Cookie", page.cookie)
	})
}

func (n *node) do(ctx context.Context, method, path, body string, adjust func(http.Header)) answer {
	r, err := http.NewRequestWithContext(ctx, method, n.at(path), strings.NewReader(body))
	if err != nil {
		n.fleet.t.Error(err)
		return answer{}
	}
	adjust(r.Header)
	res, err := n.fleet.web.Do(r)
	if err != nil {
		return answer{}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}
	}
	a := answer{status: res.StatusCode, text: string(b)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(b, &a.body); err != nil {
			n.fleet.t.Errorf("%s: %v in %q", path, err, b)
		}
	}
	if u, err := res.Location(); err == nil {
		a.query = u.Query()
	}
	if c := res.Cookies(); len(c) > 0 {
		a.cookie = c[0].Name + "=" + c[0].Value
	}
	return a
}
