package store

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] and a [Lister] in the memory of one process. It suits tests, and a
// server of one node that may lose every grant in a restart. The zero value is
// empty and ready. A Memory must not be copied after its first use.
//
// Memory never forgets a record before a minute past its expiry. After that,
// writes remove it in passing, a few records each, so that no write takes long
// and no goroutine is needed; while nothing is written, nothing is removed.
// Room once taken is reused but not given back, so the process stays as large
// as its busiest hour made it. A tag takes about sixty bytes in the index that
// List looks into; a record without tags is not in it.
//
// Create and Replace refuse a record that breaks the limits of [Record], with
// an error that is none of the three of the contract. Versions and tags may be
// any strings. A call whose context is done returns the context's error and
// does nothing.
type Memory struct {
	// Now, if not nil, replaces time.Now. It tells only when a record may be
	// removed, and must agree with the clock of the server that uses the
	// store. It is called concurrently and must not be changed after first use.
	Now func() time.Time

	shards [1 << shardBits]shard
	tags   tagIndex
}

const shardBits = 6

// seed keeps whoever can choose what is digested into a key from choosing
// where in the index it ends up.
var seed = maphash.MakeSeed()

// Create implements [Store].
func (m *Memory) Create(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	p := pack(r)
	now := m.tick()
	s, hash := m.shard(r.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.sweep(now)
	if id := s.find(hash, r.Key); id != 0 {
		if s.slot(id).hasVersion(r.Version) {
			return nil
		}
		return ErrExists
	}
	s.tags = &m.tags
	s.add(hash, p, now)
	return nil
}

// Get implements [Store]. It may return a record that has expired.
func (m *Memory) Get(ctx context.Context, key string) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	s, hash := m.shard(key)
	s.mu.Lock()
	id := s.find(hash, key)
	if id == 0 {
		s.mu.Unlock()
		return Record{}, ErrNotFound
	}
	p := s.slot(id).packed
	s.mu.Unlock()
	return p.unpack(key), nil
}

// Replace implements [Store].
func (m *Memory) Replace(ctx context.Context, version string, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	p := pack(r)
	now := m.tick()
	s, hash := m.shard(r.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.sweep(now)
	id := s.find(hash, r.Key)
	switch {
	case id == 0:
		return ErrConflict
	case s.slot(id).hasVersion(r.Version):
		return nil
	case !s.slot(id).hasVersion(version):
		return ErrConflict
	}
	s.set(id, p)
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := m.tick()
	s, hash := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.sweep(now)
	if id := s.find(hash, key); id != 0 {
		s.remove(id)
	}
	return nil
}

// tick reads the clock. It does so before any lock is taken, because Now is
// not our code.
func (m *Memory) tick() uint32 {
	if m.Now != nil {
		return tickOf(m.Now())
	}
	return tickOf(time.Now())
}

// shard returns the shard that key belongs to, and key's hash within it. The
// bits that choose the one are not among those of the other.
func (m *Memory) shard(key string) (*shard, uint32) {
	h := maphash.String(seed, key)
	return &m.shards[h>>(64-shardBits)], uint32(h)
}

// A shard is a part of a Memory under a lock of its own. Its records lie in
// chunks of slots that never move, so that growing copies no record, and are
// found by hash. A slotID stands where a pointer would, which halves the index
// and leaves the garbage collector one pointer per record to follow.
type shard struct {
	mu     sync.Mutex
	index  map[uint32]slotID // by hash; further slots of that hash follow through slot.chain
	chunks []*[chunkSize]slot
	made   slotID // slots handed out at least once
	free   slotID // the first free slot; further ones follow through slot.chain
	expiry *wheel // nil until the first record
	tags   *tagIndex

	_ [64]byte // the next shard's lock lies on another cache line
}

// A slot holds a record, its place in the index and its place in the wheel.
type slot struct {
	packed
	hash  uint32
	chain slotID
	link  link
}

// A slotID names a slot of a shard, or a list of its wheel if below firstSlot.
// As a slot, 0 means none.
type slotID uint32

const (
	firstSlot slotID = lists
	chunkSize        = 64 // slots of 96 bytes: 6 KiB, a size the allocator has
)

func (s *shard) slot(id slotID) *slot {
	id -= firstSlot
	return &s.chunks[id/chunkSize][id%chunkSize]
}

// find returns the slot of the record under key, or 0.
func (s *shard) find(hash uint32, key string) slotID {
	id := s.index[hash]
	for id != 0 && !s.slot(id).hasKey(key) {
		id = s.slot(id).chain
	}
	return id
}

// add keeps p, whose key the shard does not have.
func (s *shard) add(hash uint32, p packed, now uint32) {
	if s.expiry == nil {
		s.index = make(map[uint32]slotID)
		s.expiry = newWheel(now)
	}
	id := s.newSlot()
	*s.slot(id) = slot{packed: p, hash: hash, chain: s.index[hash]}
	s.index[hash] = id
	s.schedule(id)
	if p.form&tagged != 0 {
		s.tags.add(p.keyText(), p.tags())
	}
}

// set puts p in place of the record in slot id, which has the same key. A tag
// that both have stays in the index all the time.
func (s *shard) set(id slotID, p packed) {
	s.unschedule(id)
	old := s.slot(id).packed
	s.slot(id).packed = p
	s.schedule(id)
	if was, is := old.tags(), p.tags(); !slices.Equal(was, is) {
		key := p.keyText()
		s.tags.add(key, is)
		s.tags.remove(key, was, is)
	}
}

// remove forgets the record in slot id.
func (s *shard) remove(id slotID) {
	s.unschedule(id)
	old := s.slot(id)
	if old.form&tagged != 0 {
		s.tags.remove(old.keyText(), old.tags(), nil)
	}
	first := s.index[old.hash]
	switch {
	case first != id:
		before := s.slot(first)
		for before.chain != id {
			before = s.slot(before.chain)
		}
		before.chain = old.chain
	case old.chain != 0:
		s.index[old.hash] = old.chain
	default:
		delete(s.index, old.hash)
	}
	*old = slot{chain: s.free}
	s.free = id
}

// newSlot returns a slot that is not in use.
func (s *shard) newSlot() slotID {
	if id := s.free; id != 0 {
		s.free = s.slot(id).chain
		return id
	}
	if s.made%chunkSize == 0 {
		s.chunks = append(s.chunks, new([chunkSize]slot))
	}
	s.made++
	return firstSlot + s.made - 1
}
