package store

import (
	"strings"
	"sync"
)

// A tree holds entries in order: a treap, that is a binary tree in which no
// node has a lower priority than those below. Since priorities have nothing to
// do with the order, it is about as balanced as if entries had come in any
// order: with a million of them, the longest way down is some fifty nodes.
type tree struct {
	mu     sync.Mutex
	root   nodeID
	chunks []*[chunkSize]node
	made   nodeID // nodes handed out at least once
	free   nodeID // the first free node; further ones follow through node.left
}

// An entry says that the record under key bears a tag with that hash.
type entry struct {
	tag uint64
	key string
}

func (e entry) compare(other entry) int {
	switch {
	case e.tag < other.tag:
		return -1
	case e.tag > other.tag:
		return 1
	}
	return strings.Compare(e.key, other.key)
}

// A node is 32 bytes, in chunks that never move.
type node struct {
	entry
	left, right nodeID
}

// A nodeID names a node of a tree; 0 means none.
type nodeID uint32

func (t *tree) node(id nodeID) *node {
	return &t.chunks[(id-1)/chunkSize][(id-1)%chunkSize]
}

// priority mixes the bits of id (the last step of MurmurHash3), so that no two
// nodes have the same.
func (id nodeID) priority() uint32 {
	p := uint32(id)
	p = (p ^ p>>16) * 0x85ebca6b
	p = (p ^ p>>13) * 0xc2b2ae35
	return p ^ p>>16
}

// place returns where the link to e's node is, or nil.
func (t *tree) place(e entry) *nodeID {
	for at := &t.root; *at != 0; {
		n := t.node(*at)
		switch c := e.compare(n.entry); {
		case c == 0:
			return at
		case c < 0:
			at = &n.left
		default:
			at = &n.right
		}
	}
	return nil
}

// insert adds e, if it is not there.
func (t *tree) insert(e entry) {
	if t.place(e) != nil {
		return
	}
	id := t.newNode()
	at := &t.root
	for *at != 0 && (*at).priority() > id.priority() {
		if n := t.node(*at); e.compare(n.entry) < 0 {
			at = &n.left
		} else {
			at = &n.right
		}
	}
	rest := *at
	*at = id

	// What hung here is parted: what is less than e goes to its left.
	n := t.node(id)
	n.entry = e
	left, right := &n.left, &n.right
	for rest != 0 {
		if n := t.node(rest); e.compare(n.entry) > 0 {
			*left, left, rest = rest, &n.right, n.right
		} else {
			*right, right, rest = rest, &n.left, n.left
		}
	}
	*left, *right = 0, 0
}

// delete removes e, if it is there.
func (t *tree) delete(e entry) {
	at := t.place(e)
	if at == nil {
		return
	}
	id := *at
	n := t.node(id)
	left, right := n.left, n.right
	for left != 0 && right != 0 {
		if left.priority() > right.priority() {
			n := t.node(left)
			*at, at, left = left, &n.right, n.right
		} else {
			n := t.node(right)
			*at, at, right = right, &n.left, n.left
		}
	}
	*at = left | right // one of them is 0
	*n = node{left: t.free}
	t.free = id
}

// collect appends to keys, up to limit, those of e's tag and greater than e's
// key that are below id, in order.
func (t *tree) collect(keys []string, id nodeID, e entry, limit int) []string {
	if id == 0 || len(keys) == limit {
		return keys
	}
	n := t.node(id)
	greater := e.compare(n.entry) < 0
	if greater {
		keys = t.collect(keys, n.left, e, limit)
	}
	if greater && n.tag == e.tag && len(keys) < limit {
		keys = append(keys, n.key)
	}
	if n.tag <= e.tag {
		keys = t.collect(keys, n.right, e, limit)
	}
	return keys
}

// newNode returns a node that is not in use.
func (t *tree) newNode() nodeID {
	if id := t.free; id != 0 {
		t.free = t.node(id).left
		return id
	}
	if t.made%chunkSize == 0 {
		t.chunks = append(t.chunks, new([chunkSize]node))
	}
	t.made++
	return t.made
}
