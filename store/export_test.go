package store

import (
	"fmt"
	"slices"
)

// Len returns how many records m has, expired ones included.
func (m *Memory) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += s.len()
		s.mu.Unlock()
	}
	return n
}

// Tagged returns how many pairs of a record and a tag are in the index.
func (m *Memory) Tagged() int {
	n := 0
	for i := range m.tags {
		entries, err := m.tags[i].check()
		if err != nil {
			return -1
		}
		n += entries
	}
	return n
}

// pairs returns how many pairs there should be.
func (m *Memory) pairs() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		for _, id := range s.index {
			for ; id != 0; id = s.slot(id).chain {
				tags := slices.Sorted(slices.Values(s.slot(id).tags()))
				n += len(slices.Compact(tags))
			}
		}
	}
	return n
}

// Check reports what in m does not fit together, while nobody writes.
func (m *Memory) Check() error {
	if got, want := m.Tagged(), m.pairs(); got != want {
		return fmt.Errorf("the index of tags has %d entries, want %d", got, want)
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		err := s.check()
		s.mu.Unlock()
		if err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return nil
}

func (s *shard) len() int {
	n := 0
	for _, id := range s.index {
		for ; id != 0; id = s.slot(id).chain {
			n++
		}
	}
	return n
}

// check walks every list: each record is indexed, hangs once, and hangs where
// its time is reached before it is due.
func (s *shard) check() error {
	if s.expiry == nil {
		return nil
	}
	hung, free := 0, 0
	for list := range slotID(lists) {
		for id := s.link(list).next; id != list; id = s.link(id).next {
			hung++
			sl := s.slot(id)
			if s.link(sl.link.next).prev != id || s.link(sl.link.prev).next != id {
				return fmt.Errorf("list %#x is torn at slot %d", list, id)
			}
			if list == pending {
				continue
			}
			shift := list >> 4 * 4
			if start := s.expiry.start(list); start <= s.expiry.now || sl.due()>>shift != start>>shift {
				return fmt.Errorf("at %#x, list %#x starts at %#x and has a record due at %#x", s.expiry.now, list, start, sl.due())
			}
		}
	}
	for id := s.free; id != 0; id = s.slot(id).chain {
		free++
		if *s.slot(id) != (slot{chain: s.slot(id).chain}) {
			return fmt.Errorf("free slot %d is not empty", id)
		}
	}
	if n := s.len(); n != hung || n+free != int(s.made) {
		return fmt.Errorf("%d indexed, %d in lists, %d free of %d slots", n, hung, free, s.made)
	}
	return nil
}
