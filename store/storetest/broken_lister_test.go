package storetest

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

// brokenListers break a promise of listing; says is a part of what the suite
// says then.
var brokenListers = []struct {
	promise, flaw, says string
	lister              func() *index
}{
	{"ListNothing", "has an error for an empty page", "List: store: not found", lister(func(x *index) {
		x.page = func(page []store.Record) ([]store.Record, error) {
			if len(page) == 0 {
				return nil, store.ErrNotFound
			}
			return page, nil
		}
	})},
	{"ListTag", "lists by the first tag", "records, want", lister(func(x *index) {
		x.bears = func(tags []string, tag string) bool { return len(tags) > 0 && tags[0] == tag }
	})},
	{"ListTag", "lists everything", "want them to have", lister(func(x *index) {
		x.bears = func([]string, string) bool { return true }
	})},
	{"ListTags", "folds case", "want them to have", lister(func(x *index) {
		x.bears = func(tags []string, tag string) bool {
			return slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, tag) })
		}
	})},
	{"ListTags", "looks for the tag anywhere in the column", "want them to have", lister(func(x *index) {
		x.bears = func(tags []string, tag string) bool { return strings.Contains(strings.Join(tags, ","), tag) }
	})},
	{"ListTags", "takes a tag for a pattern", "want them to have", lister(func(x *index) {
		x.bears = func(tags []string, tag string) bool {
			return slices.ContainsFunc(tags, func(t string) bool { return like(t, tag) })
		}
	})},
	{"ListTags", "compares 60 characters", "want them to have", lister(func(x *index) {
		x.bears = func(tags []string, tag string) bool {
			return slices.ContainsFunc(tags, func(t string) bool { return t[:min(len(t), 60)] == tag[:min(len(tag), 60)] })
		}
	})},

	{"ListOrder", "sorts as a dictionary does", "want 23", lister(func(x *index) {
		x.order = func(a, b string) int {
			return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), -strings.Compare(a, b))
		}
	})},
	{"ListOrder", "passes over punctuation", "want 23", lister(func(x *index) {
		letters := strings.NewReplacer("-", "", "_", "")
		x.order = func(a, b string) int {
			return cmp.Or(strings.Compare(letters.Replace(a), letters.Replace(b)), strings.Compare(a, b))
		}
	})},
	{"ListOrder", "sorts only within the page", "want", lister(func(x *index) {
		x.order = func(a, b string) int { return cmp.Compare(x.created[a], x.created[b]) }
		x.page = func(page []store.Record) ([]store.Record, error) { return inOrder(page), nil }
	})},
	{"ListOrder", "begins with the last of the page before", "after", lister(func(x *index) {
		x.behind = func(key, after string) bool { return key >= after }
	})},
	{"ListOrder", "does not go on", "after", lister(func(x *index) {
		x.behind = func(string, string) bool { return true }
	})},
	{"ListOrder", "goes on after a key that is there", "want", lister(func(x *index) {
		x.behind = func(key, after string) bool { return key > after && (after == "" || x.created[after] > 0) }
	})},
	{"ListPages", "knows no limit", "at most", lister(func(x *index) { x.most = 1 << 30; x.least = 1 << 30 })},
	{"ListPages", "has at most 100 records in a page", "List: 100 records, want 120", lister(func(x *index) { x.most = 100 })},
	{"ListPages", "limits before it looks at tags", "records, want 120", lister(func(x *index) {
		bears := x.bears
		x.bears = func([]string, string) bool { return true }
		x.page = func(page []store.Record) ([]store.Record, error) {
			return slices.DeleteFunc(page, func(r store.Record) bool { return !bears(r.Tags, x.asked) }), nil
		}
	})},
	{"ListPages", "has at most a megabyte in a page", "records, want 21", lister(func(x *index) {
		x.page = func(page []store.Record) ([]store.Record, error) {
			size := 0
			for i, r := range page {
				if size += len(r.Value); size > 1<<20 {
					return page[:i], nil
				}
			}
			return page, nil
		}
	})},
	{"ListDeleted", "leaves tags of what is deleted", "records, want 4", lister(func(x *index) {
		x.delete = func(ctx context.Context, key string) error {
			x.mu.Lock()
			x.left[key] = x.tags[key]
			x.mu.Unlock()
			return x.bent.good.Delete(ctx, key)
		}
	})},
	{"ListReplaced", "gives tags at creation only", "records, want", lister(func(x *index) {
		x.replace = x.bent.good.Replace
	})},
	{"ListReplaced", "adds tags and takes none away", "want them to have", lister(func(x *index) {
		x.replace = func(ctx context.Context, version string, r store.Record) error {
			err := x.bent.good.Replace(ctx, version, r)
			if err == nil {
				x.mu.Lock()
				x.tags[r.Key] = slices.Concat(x.tags[r.Key], r.Tags)
				x.mu.Unlock()
			}
			return err
		}
	})},
	{"ListReplaced", "leaves tags when there are no new ones", "records, want", lister(func(x *index) {
		x.replace = func(ctx context.Context, version string, r store.Record) error {
			err := x.bent.good.Replace(ctx, version, r)
			if err == nil && len(r.Tags) > 0 {
				x.note(r)
			}
			return err
		}
	})},
	{"ListRefused", "tags what Create refuses", "want them to have", lister(func(x *index) {
		x.create = func(ctx context.Context, r store.Record) error {
			x.note(r)
			return x.bent.good.Create(ctx, r)
		}
	})},
	{"ListRefused", "tags what Replace refuses", "want them to have", lister(func(x *index) {
		x.replace = func(ctx context.Context, version string, r store.Record) error {
			x.note(r)
			return x.bent.good.Replace(ctx, version, r)
		}
	})},
	{"ListKept", "returns no tags from Get", "tags", lister(func(x *index) {
		x.get = func(ctx context.Context, key string) (store.Record, error) {
			r, err := x.bent.good.Get(ctx, key)
			r.Tags = nil
			return r, err
		}
	})},
	{"ListKept", "returns tags as it keeps them", "tags", lister(func(x *index) {
		x.get = func(ctx context.Context, key string) (store.Record, error) {
			r, err := x.bent.good.Get(ctx, key)
			for i := range r.Tags {
				r.Tags[i] = "hashed" + r.Tags[i]
			}
			return r, err
		}
	})},
	{"ListExpired", "leaves out what has expired after it has limited", "records that have not expired", lister(func(x *index) {
		x.page = func(page []store.Record) ([]store.Record, error) {
			return slices.DeleteFunc(page, func(r store.Record) bool { return r.Expires.Before(time.Now()) }), nil
		}
	})},
	{"ListExpired", "stops at what has expired", "records that have not expired", lister(func(x *index) {
		x.page = func(page []store.Record) ([]store.Record, error) {
			for i, r := range page {
				if r.Expires.Before(time.Now()) {
					return page[:i], nil
				}
			}
			return page, nil
		}
	})},
	{"ListInterrupted", "tags what it has kept, unless it is given up", "0 records, want 1", lister(func(x *index) {
		x.create = func(ctx context.Context, r store.Record) error {
			if _, err := x.bent.good.Get(ctx, r.Key); err == nil {
				return x.bent.good.Create(ctx, r) // done before
			}
			if err := x.bent.good.Create(ctx, r); err != nil {
				return err
			}
			time.Sleep(100 * time.Microsecond)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			x.note(r)
			return nil
		}
	})},
	{"ListSlices", "hands out the slices it keeps", "tags", lister(func(x *index) {
		kept := make(map[string]store.Record)
		x.page = func(page []store.Record) ([]store.Record, error) {
			for i, r := range page {
				if _, ok := kept[r.Key]; !ok {
					kept[r.Key] = r
				}
				page[i] = kept[r.Key]
			}
			return page, nil
		}
	})},
	{"ListContextDone", "does not look at the context", "no error", lister(func(x *index) { x.deaf = true })},
	{"ListReplaceRace", "takes tags away, then gives them anew", "0 records, want 1", lister(func(x *index) {
		x.replace = func(ctx context.Context, version string, r store.Record) error {
			err := x.bent.good.Replace(ctx, version, r)
			if err == nil {
				x.note(store.Record{Key: r.Key})
				runtime.Gosched()
				x.note(r)
			}
			return err
		}
	})},
	{"ListPagesRace", "counts records to go on", "beside Create and Delete", lister(func(x *index) {
		seen := make(map[string]int) // by the last key of a page, how many were before
		x.behind = func(string, string) bool { return true }
		x.skip = func(after string) int { return seen[after] }
		x.page = func(page []store.Record) ([]store.Record, error) {
			if len(page) > 0 {
				seen[page[len(page)-1].Key] = seen[x.after] + len(page)
			}
			return page, nil
		}
	})},
}

func TestBrokenListers(t *testing.T) {
	tested := make(map[string]bool)
	for _, tt := range brokenListers {
		tested[tt.promise] = true
		t.Run(tt.promise+"/"+tt.flaw, func(t *testing.T) {
			i := slices.IndexFunc(listPromises, func(p listPromise) bool { return p.name == tt.promise })
			if i < 0 {
				t.Fatalf("no promise %s", tt.promise)
			}
			mustFail(t, tt.says, func(r testing.TB) {
				x := tt.lister()
				listPromises[i].test(r, x.bent, x)
			})
		})
	}
	for _, p := range listPromises {
		if !tested[p.name] {
			t.Errorf("promise %s has no lister that breaks it", p.name)
		}
	}
}

// TestIndex shows that the listers are good but for what is bent.
func TestIndex(t *testing.T) {
	RunLister(t, func(*testing.T) (store.Store, store.Lister) {
		x := lister(func(*index) {})()
		return x.bent, x
	})
}

// An index is a Lister over a bent store that looks at every record; it is good
// but for what is set.
type index struct {
	*bent
	order       func(a, b string) int
	bears       func(tags []string, tag string) bool
	behind      func(key, after string) bool
	skip        func(after string) int
	page        func([]store.Record) ([]store.Record, error)
	most, least int
	deaf        bool

	asked, after string // of the call that is under way

	mu      sync.Mutex
	listing sync.Mutex // one call at a time
	tags    map[string][]string
	left    map[string][]string // of what was deleted
	created map[string]int
}

func lister(how func(x *index)) func() *index {
	return func() *index {
		x := &index{
			bent:    &bent{good: new(store.Memory)},
			order:   strings.Compare,
			bears:   slices.Contains[[]string],
			behind:  func(key, after string) bool { return key > after },
			skip:    func(string) int { return 0 },
			page:    func(page []store.Record) ([]store.Record, error) { return page, nil },
			most:    1 << 30,
			tags:    make(map[string][]string),
			left:    make(map[string][]string),
			created: make(map[string]int),
		}
		x.create = func(ctx context.Context, r store.Record) error {
			err := x.bent.good.Create(ctx, r)
			if err == nil {
				x.note(r)
			}
			return err
		}
		x.replace = func(ctx context.Context, version string, r store.Record) error {
			err := x.bent.good.Replace(ctx, version, r)
			if err == nil {
				x.note(r)
			}
			return err
		}
		how(x)
		return x
	}
}

// note remembers the tags of r.
func (x *index) note(r store.Record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tags[r.Key] = slices.Clone(r.Tags)
	if x.created[r.Key] == 0 {
		x.created[r.Key] = len(x.created) + 1
	}
}

// List implements [store.Lister].
func (x *index) List(ctx context.Context, tag, after string, limit int) ([]store.Record, error) {
	if !x.deaf && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	x.listing.Lock()
	defer x.listing.Unlock()
	x.asked, x.after = tag, after
	var found []store.Record
	for _, key := range x.keys(tag, after) {
		r, err := x.bent.good.Get(context.WithoutCancel(ctx), key)
		if err == nil {
			found = append(found, r)
		} else if x.left[key] != nil {
			found = append(found, store.Record{Key: key})
		}
	}
	found = found[min(len(found), x.skip(after)):]
	limit = max(min(limit, x.most), x.least)
	return x.page(found[:min(len(found), limit)])
}

// keys returns the keys noted with tag, in order.
func (x *index) keys(tag, after string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var keys []string
	for key, tags := range x.tags {
		if x.bears(tags, tag) && x.behind(key, after) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, x.order)
	return keys
}
