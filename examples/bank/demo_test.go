package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// stagePlaying returns a stage that is being served for as long as the test
// runs.
func stagePlaying(t *testing.T) *stage {
	t.Helper()
	s, err := newStage()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, io.Discard, s.listeners...) }()
	t.Cleanup(func() {
		s.hangUp()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func TestDemo(t *testing.T) {
	for _, lang := range []string{"en", "ja"} {
		t.Run(lang, func(t *testing.T) {
			t.Setenv("LC_ALL", lang+"_XX.UTF-8")
			var out, errs bytes.Buffer
			if status := run(t.Context(), []string{"-demo"}, &out, &errs); status != 0 {
				t.Fatalf("exit status %d: %s", status, errs.String())
			}
			for _, want := range []string{
				"urn:ietf:params:oauth:request_uri:",
				message(lang, "home.certificate"),
				`"x5t#S256": "`,
				message(lang, "thief.bare") + ": 401 ",
				message(lang, "thief.another") + ": 401 ",
				message(lang, "home.seal"),
				`"htu": "https://`,
				`"nonce": "`,
				`"ath": "`,
				`"jkt": "`,
				message(lang, "thief.noproof") + ": 401 ",
				message(lang, "thief.ownproof") + ": 401 ",
				message(lang, "thief.replay") + ": 401 ",
				message(lang, "ended.key") + ": 401 ",
				message(lang, "ended.renew") + ": 400 ",
				`"invalid_grant"`,
			} {
				if strings.Count(out.String(), want) == 0 {
					t.Errorf("the output lacks %q:\n%s", want, out.String())
				}
			}
			for _, want := range []string{"\n8. ", "\n9. ", message(lang, "thief.owner") + ": 200 ", message(lang, "thief.end")} {
				if n := strings.Count(out.String(), want); n != 2 {
					t.Errorf("the output has %q %d times, want it in each story:\n%s", want, n, out.String())
				}
			}
		})
	}
}

// The demo fails when the story does not end well: it does not merely print
// what it hopes for.
func TestDemoNoticesWhatGoesWrong(t *testing.T) {
	client := func(s *stage, how binding) *client { return s.fintech.clients[how] }
	tests := []struct {
		name     string
		sabotage func(*stage)
		story    string // which of the two
		want     string
	}{
		{"thief who has the fintech's certificate", func(s *stage) { s.fintech.thief.another = newHTTPClient(s.pki.roots, s.pki.fintech) }, "home.certificate", "step.thief"},
		{"fintech that shows another certificate", func(s *stage) { client(s, byCertificate).http = newHTTPClient(s.pki.roots, s.pki.thief) }, "home.certificate", "step.key"},
		{"fintech without certificate", func(s *stage) { client(s, byCertificate).http = newHTTPClient(s.pki.roots) }, "home.certificate", "step.key"},
		{"fintech with a key that is not registered", func(s *stage) { client(s, byCertificate).key, _ = newKey() }, "home.certificate", "step.pushed"},
		{"fintech that asks for more than it registered", func(s *stage) { client(s, byCertificate).scope = "accounts payments" }, "home.certificate", "step.pushed"},
		{"API that is not there", func(s *stage) { s.fintech.api += "/elsewhere" }, "home.certificate", "step.history"},
		{"fintech with a key that is not registered", func(s *stage) { client(s, byProof).key, _ = newKey() }, "home.seal", "step.pushed"},
		{"fintech that proves what it registered a certificate for", func(s *stage) { client(s, byProof).id = client(s, byCertificate).id }, "home.seal", "step.pushed"},
	}
	for _, tt := range tests {
		t.Run(message("en", tt.story)+", "+tt.name, func(t *testing.T) {
			t.Parallel()
			s := stagePlaying(t)
			tt.sabotage(s)
			err := play(t.Context(), io.Discard, "en", s)
			for _, id := range []string{tt.story, tt.want} {
				if err == nil || !strings.Contains(err.Error(), message("en", id)) {
					t.Errorf("play: %v, want an error in step %q of %q", err, message("en", tt.want), message("en", tt.story))
				}
			}
		})
	}
}

// In the story with a proof key each step has its own way to go wrong, which
// the demo notices.
func TestDemoNoticesWhatGoesWrongWithProofs(t *testing.T) {
	other := func(t *testing.T) *prover {
		p, err := testProver()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	tests := []struct {
		name     string
		sabotage func(*testing.T, *stage, *session)
		before   string // the step it happens before
		fails    string // the step in which it is noticed
	}{
		{"code redeemed with another proof key", func(t *testing.T, _ *stage, s *session) { s.prover = other(t) }, "step.consent", "step.key"},
		{"code redeemed without proof", func(_ *testing.T, _ *stage, s *session) { s.prover = nil }, "step.consent", "step.key"},
		{"key cut for another hand than the fintech's", func(t *testing.T, _ *stage, s *session) { s.hand = other(t).thumbprint }, "step.consent", "step.key"},
		{"key used with another proof key", func(t *testing.T, _ *stage, s *session) { s.prover = other(t) }, "step.history", "step.history"},
		{"key used without proof", func(_ *testing.T, _ *stage, s *session) { s.prover = nil }, "step.history", "step.history"},
		{"key renewed for another hand", func(t *testing.T, _ *stage, s *session) { s.prover = other(t) }, "step.renewed", "step.renewed"},
		{"thief who has the fintech's proof key", func(_ *testing.T, st *stage, s *session) { st.fintech.thief.key = s.prover.key }, "step.thief", "step.thief"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := visitWith(t, stagePlaying(t), byProof)
			for _, scene := range v.scenes() {
				if scene.title == tt.before {
					tt.sabotage(t, v.stage, v.session())
				}
				switch _, err := scene.act(t.Context()); {
				case scene.title == tt.fails && err == nil:
					t.Fatalf("%s: nobody notices", scene.title)
				case scene.title == tt.fails:
					return
				case err != nil:
					t.Fatalf("%s: %v", scene.title, err)
				}
			}
		})
	}
}

// The thief is turned away for the reason that the story tells, in both.
func TestThiefIsTurnedAwayForTheRightReason(t *testing.T) {
	tests := map[binding][]string{
		byCertificate: {"has no client certificate", "bound to another certificate", ""},
		byProof:       {"there is no DPoP proof", "bound to another key", "was used before", ""},
	}
	for how, want := range tests {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			v := visitWith(t, stagePlaying(t), how)
			for _, scene := range v.scenes() {
				if _, err := scene.act(t.Context()); err != nil {
					t.Fatalf("%s: %v", scene.title, err)
				}
			}
			got := v.story().Thief
			if len(got) != len(want) {
				t.Fatalf("%d attempts, want %d", len(got), len(want))
			}
			for i, a := range got {
				owner := i == len(got)-1
				if !strings.Contains(a.Challenge, want[i]) || a.Opened != owner || !owner && a.Status != http.StatusUnauthorized {
					t.Errorf("attempt %d: %+v, want %q", i, a, want[i])
				}
			}
		})
	}
}

// A key is taken back when it opens nothing and cannot be renewed, and not before.
func TestTakenBack(t *testing.T) {
	right, wrong := attempt{Right: true}, attempt{}
	for _, tt := range []struct {
		ended []attempt
		want  bool
	}{
		{nil, false}, {[]attempt{wrong}, false}, {[]attempt{right}, false},
		{[]attempt{wrong, right}, false}, {[]attempt{right, wrong}, false}, {[]attempt{right, right}, true},
	} {
		if got := (&story{Ended: tt.ended}).TakenBack(); got != tt.want {
			t.Errorf("TakenBack of %+v: %v, want %v", tt.ended, got, tt.want)
		}
	}
}

// With no flags the program prints a URL and a file, and Ctrl-C ends it with
// status 0 and without leaving the file.
func TestStory(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	out, errs := new(bytes.Buffer), new(bytes.Buffer)
	r, w := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, nil, io.MultiWriter(out, w), errs)
		w.Close()
	}()
	text := make([]byte, 4096)
	n, err := r.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, r)
	got := string(text[:n])
	if !regexp.MustCompile(`https://127\.0\.0\.1:\d+/\n`).MatchString(got) {
		t.Errorf("no URL in %q", got)
	}
	files, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*", "*.pem"))
	if err != nil || len(files) != 1 || !strings.Contains(got, files[0]) {
		t.Errorf("the output names no authority file of %q: %q", files, got)
	}
	if len(files) == 1 {
		if b, _ := os.ReadFile(files[0]); bytes.Contains(b, []byte("PRIVATE")) {
			t.Error("a private key was written")
		}
	}
	cancel()
	select {
	case s := <-status:
		if s != 0 {
			t.Errorf("exit status %d: %s", s, errs)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Ctrl-C did not stop it")
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestFlags(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"help", []string{"-h"}, 0},
		{"unknown flag", []string{"-dmeo"}, 2},
		{"stray argument", []string{"demo"}, 2},
		{"both modes", []string{"-demo", "-config", "x.json"}, 2},
		{"configuration that is not there", []string{"-config", filepath.Join(t.TempDir(), "x.json")}, 2},
		{"configuration without name", []string{"-config", ""}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if got := run(t.Context(), tt.args, &out, &errs); got != tt.want {
				t.Errorf("exit status %d, want %d: %s", got, tt.want, errs.String())
			}
			if errs.Len() == 0 {
				t.Error("nothing was said")
			}
		})
	}
}
