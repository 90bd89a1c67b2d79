package store

import (
	"math"
	"math/bits"
	"time"
)

// A wheel knows which records of a shard are due for removal without looking
// at those that are not.
//
// Time is counted in ticks of 16 seconds. A record that is due at a later tick
// hangs in the list of the first hexadecimal digit, from the left, in which
// that tick differs from now, and of the digit's value: list 0x25 has what is
// due when the third digit from the right turns 5. When now reaches the first
// tick of a list, the list as a whole moves to pending, from where sweep
// removes each record or hangs it under a lower digit. So a record is touched
// once per digit of its life, and perhaps once more for a carry: three times
// for an hour, however many records there are.
type wheel struct {
	now   uint32
	heads [lists]link // circular: an empty list's head links to itself
}

// A link is a place in a list: the neighbors on both sides.
type link struct{ prev, next slotID }

const (
	grace       = 60 // seconds past expiry for which a record is kept
	tickSeconds = 16
	tickDigits  = 8 // of 32 bits
	lists       = tickDigits << 4

	// pending is the list of records due now or once found in a list that has
	// come due. Its number is that of a digit 0, which no list needs: the
	// digit by which a later tick differs is larger than now's.
	pending slotID = 0

	// batch is how many pending records a write handles: as often as one record
	// can ever be pending, so that removing keeps up with adding.
	batch = tickDigits
)

func newWheel(now uint32) *wheel {
	w := &wheel{now: now}
	for i := range w.heads {
		w.heads[i] = link{slotID(i), slotID(i)}
	}
	return w
}

// tickOf returns the tick that t lies in. It never is the last tick, so that a
// record with an expiry beyond the wheel, in the year 4147, is never due.
func tickOf(t time.Time) uint32 {
	return uint32(max(0, min(t.Unix()/tickSeconds, math.MaxUint32-1)))
}

// due returns the first tick in whose whole length the record may be removed.
// It never is the first tick, which stands for everything before 1970 too.
func (p *packed) due() uint32 {
	end := p.seconds + grace
	if p.nanos > 0 {
		end++
	}
	return uint32(max(1, min((end+tickSeconds-1)/tickSeconds, math.MaxUint32)))
}

// sweep removes a few records that are due, if there are any.
func (s *shard) sweep(now uint32) {
	w := s.expiry
	if w == nil {
		return
	}
	if now != w.now {
		s.turn(now)
	}
	for range batch {
		id := w.heads[pending].next
		if id == pending {
			return
		}
		if s.slot(id).due() <= now {
			s.remove(id)
		} else {
			s.unschedule(id)
			s.schedule(id)
		}
	}
}

// turn sets the wheel to now and moves every list that has come due to
// pending. Where all others hang remains right, since now has not reached them.
func (s *shard) turn(now uint32) {
	w := s.expiry
	setBack := false
	if now < w.now {
		// Within the grace, this is a call that waited for the lock while others
		// went ahead. Beyond, the clock was set back, and every record must be
		// hung anew.
		if w.now-now <= grace/tickSeconds {
			return
		}
		setBack = true
	}
	for list := pending + 1; list < lists; list++ {
		if setBack || w.start(list) <= now {
			s.moveToPending(list)
		}
	}
	w.now = now
}

// start returns the first tick of list.
func (w *wheel) start(list slotID) uint32 {
	shift := list >> 4 * 4
	return w.now>>(shift+4)<<(shift+4) | uint32(list&15)<<shift
}

// schedule hangs the record in slot id where its expiry belongs.
func (s *shard) schedule(id slotID) {
	list, due, now := pending, s.slot(id).due(), s.expiry.now
	if due > now {
		digit := slotID(bits.Len32(due^now)-1) / 4
		list = digit<<4 | slotID(due>>(digit*4)&15)
	}
	last := s.link(list).prev
	*s.link(id) = link{last, list}
	s.link(last).next = id
	s.link(list).prev = id
}

// unschedule takes the record in slot id out of whichever list it hangs in.
func (s *shard) unschedule(id slotID) {
	l := *s.link(id)
	s.link(l.prev).next = l.next
	s.link(l.next).prev = l.prev
}

// moveToPending appends list to pending and leaves it empty. However long it
// is, that is a matter of its ends.
func (s *shard) moveToPending(list slotID) {
	moved := *s.link(list)
	if moved.next == list {
		return
	}
	*s.link(list) = link{list, list}
	last := s.link(pending).prev
	s.link(last).next = moved.next
	s.link(moved.next).prev = last
	s.link(moved.prev).next = pending
	s.link(pending).prev = moved.prev
}

// link returns the link of a slot or of the head of a list.
func (s *shard) link(id slotID) *link {
	if id < firstSlot {
		return &s.expiry.heads[id]
	}
	return &s.slot(id).link
}
