package main

import (
	"bytes"
	"context"
	"io"
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
				`"x5t#S256": "`,
				message(lang, "thief.bare") + ": 401 ",
				message(lang, "thief.another") + ": 401 ",
				message(lang, "thief.owner") + ": 200 ",
				message(lang, "thief.end"),
			} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the output lacks %q:\n%s", want, out.String())
				}
			}
		})
	}
}

// The demo fails when the story does not end well: it does not merely print
// what it hopes for.
func TestDemoNoticesWhatGoesWrong(t *testing.T) {
	tests := []struct {
		name     string
		sabotage func(*stage)
		want     string
	}{
		{"thief who has the fintech's certificate", func(s *stage) { s.fintech.thief = newThief(s.pki.roots, s.pki.fintech) }, "step.thief"},
		{"fintech that shows another certificate", func(s *stage) { s.fintech.client.http = newHTTPClient(s.pki.roots, s.pki.thief) }, "step.key"},
		{"fintech without certificate", func(s *stage) { s.fintech.client.http = newHTTPClient(s.pki.roots) }, "step.key"},
		{"fintech with a key that is not registered", func(s *stage) { s.fintech.client.key, _ = newKey() }, "step.pushed"},
		{"fintech that asks for more than it registered", func(s *stage) { s.fintech.client.scope = "accounts payments" }, "step.pushed"},
		{"API that is not there", func(s *stage) { s.fintech.api += "/elsewhere" }, "step.history"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := stagePlaying(t)
			tt.sabotage(s)
			err := play(t.Context(), io.Discard, "en", s)
			if err == nil || !strings.Contains(err.Error(), message("en", tt.want)) {
				t.Errorf("play: %v, want an error in step %q", err, message("en", tt.want))
			}
		})
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
