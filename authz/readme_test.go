package authz_test

import (
	"os"
	"strings"
	"testing"
)

// TestREADME keeps the README's code compiled: it stands in Example, word for
// word.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	code, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("README.md has no Go code")
	}
	if !strings.Contains(string(example), code) {
		t.Errorf("README.md's code is not in example_test.go:\n%s", code)
	}
}
