package store

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
)

// Lister finds records by tag, which a server never needs and a page of a
// customer's grants does. A Store may have one; its Get then returns a record's
// Tags as they were given, since whoever changes a record keeps them so.
type Lister interface {
	// List returns records that bear tag and whose Key is greater than after,
	// "" for all, in the order of their Keys, byte by byte. It returns limit of
	// them, or all there are if they are fewer; limit is at least 1. Whoever
	// calls it again with the last Key as after meets every record that was
	// there all the time exactly once, whatever comes and goes meanwhile.
	//
	// List sees every write that returned before it began. Expired records may
	// or may not be among those returned. A tag that no record bears is not an
	// error.
	List(ctx context.Context, tag, after string, limit int) ([]Record, error)
}

// listBatch is how many keys List takes from the index at a time, so that
// writes do not wait for long.
const listBatch = 128

// List implements [Lister]. A limit below 1 is an error.
func (m *Memory) List(ctx context.Context, tag, after string, limit int) ([]Record, error) {
	if limit < 1 {
		return nil, errors.New("store: limit of a list below 1")
	}
	var page []Record
	for len(page) < limit {
		keys := m.tags.after(tag, after, min(limit-len(page), listBatch))
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			r, err := m.Get(ctx, key)
			if errors.Is(err, ErrNotFound) {
				continue // went since the index was read
			}
			if err != nil {
				return nil, err
			}
			if slices.Contains(r.Tags, tag) { // or else the tag went, or its hash is another's
				page = append(page, r)
			}
		}
		after = keys[len(keys)-1]
	}
	return page, ctx.Err()
}

// A tagIndex knows the keys of the records that bear a tag. It is written
// under the lock of the record's shard, so that it says what the shard says,
// and read without. A record without tags takes no room in it.
type tagIndex [1 << tagBits]tree

const tagBits = 6

// tree returns the tree that tag is in, and by which hash.
func (x *tagIndex) tree(tag string) (*tree, uint64) {
	h := maphash.String(seed, tag)
	return &x[h>>(64-tagBits)], h
}

// after returns, in order, the first keys greater than key under tag, at most
// limit.
func (x *tagIndex) after(tag, key string, limit int) []string {
	t, hash := x.tree(tag)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.collect(nil, t.root, entry{tag: hash, key: key}, limit)
}

// add notes that the record under key bears tags.
func (x *tagIndex) add(key string, tags []string) {
	for _, tag := range tags {
		t, hash := x.tree(tag)
		t.mu.Lock()
		t.insert(entry{tag: hash, key: key})
		t.mu.Unlock()
	}
}

// remove notes that the record under key no longer bears tags, but for those
// of them that are also in kept.
func (x *tagIndex) remove(key string, tags, kept []string) {
	for _, tag := range tags {
		if slices.Contains(kept, tag) {
			continue
		}
		t, hash := x.tree(tag)
		t.mu.Lock()
		t.delete(entry{tag: hash, key: key})
		t.mu.Unlock()
	}
}
