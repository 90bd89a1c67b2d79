package authz

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/aikagi/aikagi/internal/fetch"
)

// TestParsedSetsAreBounded: a client chooses what stands at its jwks_uri, and
// may choose something else every minute.
func TestParsedSetsAreBounded(t *testing.T) {
	k := newClientKeys(&fetch.Cache{})
	padding := bytes.Repeat([]byte(" "), 1<<20)
	for i := range 2 * maxParsedBytes >> 20 {
		if _, err := k.parse(fmt.Appendf(nil, `{"keys":[],"n":%d}%s`, i, padding)); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, s := range k.parsed {
			total += s.size
		}
		if total != k.total || total > maxParsedBytes {
			t.Fatalf("after %d sets of 1 MiB, %d bytes are kept, counted as %d", i+1, total, k.total)
		}
	}
	if len(k.parsed) < maxParsedBytes>>20-1 {
		t.Errorf("only %d sets are kept", len(k.parsed))
	}
}
