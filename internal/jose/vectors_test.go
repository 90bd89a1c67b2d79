package jose_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

// A vector is a file of testdata/vectors: a token, the verifier it is shown
// to, and what must come of it. Its lines are "name: value".
type vector struct {
	file   string
	expect string   // valid, or the error in words
	algs   []string // the verifier's list
	keys   string   // a JWK set
	names  []string // of the claims, if valid
	token  string
}

var outcomes = map[string]error{
	"valid":     nil,
	"malformed": jose.ErrMalformed,
	"algorithm": jose.ErrAlgorithm,
	"no key":    jose.ErrNoKey,
	"signature": jose.ErrSignature,
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
		lines := make(map[string]string)
		for line := range strings.Lines(string(b)) {
			name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if !ok {
				t.Fatalf("%s: line %q", file, line)
			}
			lines[name] = value
		}
		all[i] = vector{
			file:   strings.TrimSuffix(filepath.Base(file), ".txt"),
			expect: lines["expect"],
			algs:   strings.Fields(lines["algs"]),
			keys:   lines["keys"],
			names:  strings.Fields(lines["names"]),
			token:  lines["token"],
		}
		if _, ok := outcomes[all[i].expect]; !ok {
			t.Fatalf("%s: unknown outcome %q", file, all[i].expect)
		}
	}
	return all
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.file, func(t *testing.T) {
			set, err := jose.ParseSet([]byte(v.keys))
			if err != nil || len(set.Skipped) > 0 {
				t.Fatalf("ParseSet: %v, skipped %v", err, set.Skipped)
			}
			claims, err := verify(v.token, v.algs, set.Keys)
			if want := outcomes[v.expect]; !errors.Is(err, want) {
				t.Fatalf("error %v, want %v", err, want)
			}
			if err == nil {
				if diff := cmp.Diff(v.names, claims.Names()); diff != "" {
					t.Errorf("claims (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestVectorsFlipped changes one bit of each part of each good vector.
func TestVectorsFlipped(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, v := range vectors(t) {
		if v.expect != "valid" {
			continue
		}
		set, err := jose.ParseSet([]byte(v.keys))
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(v.token, ".") {
			for _, at := range []int{0, len(part) / 2, len(part) - 1} {
				parts := strings.Split(v.token, ".")
				c := strings.IndexByte(alphabet, part[at]) ^ 0x20
				parts[i] = part[:at] + alphabet[c:c+1] + part[at+1:]
				if _, err := verify(strings.Join(parts, "."), v.algs, set.Keys); err == nil {
					t.Errorf("%s: part %d with a bit of character %d flipped was accepted", v.file, i, at)
				}
			}
		}
	}
}

// verify does what a caller does, in one go.
func verify(token string, algs []string, keys []jose.Key) (jose.Claims, error) {
	tok, err := jose.Parse(token, 16<<10)
	if err != nil {
		return jose.Claims{}, err
	}
	return tok.Verify(algs, keys)
}
