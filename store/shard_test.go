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

// TestWheelTouches shows what a record costs until it is removed: a visit for
// each hexadecimal digit of its life in ticks and one for a carry, and none
// when the clock moves otherwise.
func TestWheelTouches(t *testing.T) {
	const day = 24 * 3600
	for _, tt := range []struct {
		life int64 // seconds
		most int
	}{
		{60, 2}, {3600, 3}, {day, 5}, {90 * day, 6},
	} {
		for begin := uint32(0xfff0); begin < 0x10010; begin++ {
			var s shard
			r := packed{seconds: int64(begin)*tickSeconds + tt.life}
			s.add(0, r, begin)
			touches := 0
			for now := begin; s.len() > 0; now = s.nextTurn(now) {
				for range grace / tickSeconds {
					s.turn(now - 1)
				}
				s.turn(now)
				if s.link(pending).next != pending {
					touches++
				}
				s.sweep(now)
				if err := s.check(); err != nil {
					t.Fatal(err)
				}
				if now > r.due() {
					t.Fatalf("record due at %#x is still there at %#x", r.due(), now)
				}
			}
			if touches > tt.most {
				t.Errorf("a record of %d seconds, made at tick %#x, is touched %d times, want at most %d", tt.life, begin, touches, tt.most)
			}
		}
	}
}

// nextTurn returns the next tick after now, but leaps over those before the
// only record's list comes due, after a look at the last of them.
func (s *shard) nextTurn(now uint32) uint32 {
	for list := pending + 1; list < lists; list++ {
		if s.link(list).next != list {
			return max(now+1, s.expiry.start(list)-1)
		}
	}
	return now + 1
}
