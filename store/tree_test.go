package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTree adds and removes entries at random and compares what is collected
// with a sorted slice.
func TestTree(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var tr tree
	var model []entry
	for step := range 20_000 {
		e := entry{tag: uint64(rng.IntN(4)), key: fmt.Sprint(rng.IntN(200))}
		at, there := slices.BinarySearchFunc(model, e, entry.compare)
		if rng.IntN(5) < 3-2*(step/10_000) { // grows, then shrinks
			tr.insert(e)
			if !there {
				model = slices.Insert(model, at, e)
			}
		} else {
			tr.delete(e)
			if there {
				model = slices.Delete(model, at, at+1)
			}
		}
		if step%50 > 0 {
			continue
		}
		after, limit := entry{tag: uint64(rng.IntN(4)), key: fmt.Sprint(rng.IntN(200))}, rng.IntN(20)
		var want []string
		for _, e := range model {
			if e.tag == after.tag && e.key > after.key && len(want) < limit {
				want = append(want, e.key)
			}
		}
		if got := tr.collect(nil, tr.root, after, limit); !slices.Equal(got, want) {
			t.Fatalf("step %d: %d keys after %v: %q, want %q", step, limit, after, got, want)
		}
		if n, err := tr.check(); err != nil || n != len(model) {
			t.Fatalf("step %d: %d entries, %v, want %d", step, n, err, len(model))
		}
	}
}

// TestListLooksAtTheRecord: an entry that is there by chance, since two tags
// have one hash, or no longer there, shows no record that lacks the tag, and
// hides none that has it.
func TestListLooksAtTheRecord(t *testing.T) {
	m := new(Memory)
	for i := range 10 {
		r := Record{Key: fmt.Sprintf("k%d", i), Version: "v", Tags: []string{"one"}, Expires: time.Now().Add(time.Hour)}
		if i == 5 {
			r.Tags = []string{"one", "two"}
		}
		if err := m.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		m.tags.add(r.Key, []string{"two"})
		m.tags.add(r.Key+"-", []string{"two"})
	}
	page, err := m.List(t.Context(), "two", "", 1)
	if err != nil || len(page) != 1 || page[0].Key != "k5" {
		t.Errorf("List: %+v, %v, want k5", page, err)
	}
}

// TestTreeIsShallow has entries come in order, as a tree without balance could
// not bear.
func TestTreeIsShallow(t *testing.T) {
	var tr tree
	for i := range 1 << 16 {
		tr.insert(entry{key: fmt.Sprintf("%08d", i)})
	}
	if d := tr.depth(tr.root); d > 50 {
		t.Errorf("%d levels for 65536 entries, want about 37", d)
	}
}

func (t *tree) depth(id nodeID) int {
	if id == 0 {
		return 0
	}
	return 1 + max(t.depth(t.node(id).left), t.depth(t.node(id).right))
}

// check returns how many entries t has, and what in it does not fit together.
func (t *tree) check() (entries int, err error) {
	var last *entry
	var walk func(id nodeID)
	walk = func(id nodeID) {
		if id == 0 {
			return
		}
		n := t.node(id)
		walk(n.left)
		if last != nil && last.compare(n.entry) >= 0 {
			err = fmt.Errorf("%v before %v", *last, n.entry)
		}
		last = &n.entry
		entries++
		for _, below := range []nodeID{n.left, n.right} {
			if below != 0 && below.priority() > id.priority() {
				err = fmt.Errorf("node %d is above %d", id, below)
			}
		}
		walk(n.right)
	}
	walk(t.root)
	free := 0
	for id := t.free; id != 0; id = t.node(id).left {
		free++
		if *t.node(id) != (node{left: t.node(id).left}) {
			return entries, fmt.Errorf("free node %d is not empty", id)
		}
	}
	if entries+free != int(t.made) {
		err = fmt.Errorf("%d entries and %d free of %d nodes", entries, free, t.made)
	}
	return entries, err
}
