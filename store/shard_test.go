package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestShardCollisions gives records few hashes, which real ones hardly share,
// and takes them away in any order.
func TestShardCollisions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var s shard
	hash := func(i int) uint32 { return uint32(i % 3) }
	key := func(i int) string { return fmt.Sprintf("k%d", i) }
	there := make(map[int]bool)
	for range 5000 {
		i := rng.IntN(60)
		id := s.find(hash(i), key(i))
		if (id != 0) != there[i] {
			t.Fatalf("find(%d) = %d, want found %v", i, id, there[i])
		}
		if id != 0 {
			if got := s.slot(id).unpack(key(i)); string(got.Value) != key(i) {
				t.Fatalf("find(%d) found %q", i, got.Value)
			}
			s.remove(id)
		} else {
			s.add(hash(i), pack(Record{Key: key(i), Version: "v", Value: []byte(key(i))}), 1)
		}
		there[i] = id == 0
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
	}
}
