package authz_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestRuleIDs: operators search their logs for rule ids, so that the ids are
// part of the API. The list is read from the source, where each stands once
// as text beside the check it names.
func TestRuleIDs(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?:\brefuse\(|\blike\("[^"]+", |\bunauthenticated\(|\blimit\{|\brefusal\{|\banyOf\{|\bneeds[A-Z]\w*\(|\bViolation\{|\bid: +|\badd\(|\brule :?= |\bRule: +|\bViolations\{\{|\{"[a-z_]+", )"([A-Z][A-Za-z0-9.]+-[A-Za-z0-9.-]+)"`)
	var ids []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(src), -1) {
			ids = append(ids, m[1])
		}
	}
	slices.Sort(ids)
	got := strings.Join(slices.Compact(ids), "\n") + "\n"
	const golden = "testdata/rules.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("rule ids have changed; -update if that is meant\n%s", d)
	}
}
