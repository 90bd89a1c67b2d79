package dpop_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/token/dpop"
)

// A vector is a file of testdata/vectors: a proof that others made, the request
// it came with, and what must come of it, "valid" or the rule that it breaks.
// Its lines are "name: value".
type vector struct {
	file string
	line map[string]string
}

func vectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	all := make([]vector, len(files))
	for i, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = vector{strings.TrimSuffix(filepath.Base(file), ".txt"), make(map[string]string)}
		for line := range strings.Lines(string(b)) {
			name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if !ok {
				t.Fatalf("%s: line %q", file, line)
			}
			all[i].line[name] = value
		}
	}
	return all
}

func TestVectors(t *testing.T) {
	for _, vec := range vectors(t) {
		t.Run(vec.file, func(t *testing.T) {
			now, err := strconv.ParseInt(vec.line["now"], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			v := verifier(t, dpop.Config{Now: clock(time.Unix(now, 0))})
			p, err := v.Verify(dpop.Request{
				Header:      http.Header{"Dpop": {vec.line["proof"]}},
				Method:      vec.line["method"],
				URLs:        []string{vec.line["url"]},
				AccessToken: vec.line["access token"],
			})
			if want := vec.line["expect"]; want != "valid" {
				var e *dpop.Error
				if !errors.As(err, &e) || e.Rule != want {
					t.Errorf("error %v, want rule %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := dpop.Proof{JKT: vec.line["jkt"], ID: vec.line["id"], URL: vec.line["url"], Until: time.Unix(now+60, 0)}
			if *p != want {
				t.Errorf("proof %+v, want %+v", *p, want)
			}
		})
	}
}
