package sqlstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/sqlstore"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// TestList compares pages of every size with a map, while tags come and go.
func TestList(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		s := open(t, url)
		want := make(map[string][]string) // keys by tag
		for i := range 40 {
			r := record([][]string{nil, {"a"}, {"a", "b"}, {"b", "a", "b"}}[i%4]...)
			if i%2 == 0 {
				r.Key = strings.ToUpper(r.Key[:1]) + strings.ToLower(r.Key[1:]) // order is by bytes
			}
			create(t, s, r)
			create(t, s, r) // repeated
			if i%5 == 0 {
				n := next(r)
				n.Tags = []string{"c", "a"}
				if err := s.Replace(t.Context(), r.Version, n); err != nil {
					t.Fatal(err)
				}
				r = n
			}
			if i%7 == 0 {
				if err := s.Delete(t.Context(), r.Key); err != nil {
					t.Fatal(err)
				}
				continue
			}
			for _, tag := range slices.Compact(slices.Sorted(slices.Values(r.Tags))) {
				want[tag] = append(want[tag], r.Key)
			}
		}
		for _, tag := range []string{"a", "b", "c", "d", "A"} {
			slices.Sort(want[tag])
			for limit := 1; limit <= len(want[tag])+1; limit++ {
				if diff := cmp.Diff(want[tag], pages(t, s, tag, limit)); diff != "" {
					t.Fatalf("tag %q by %d (-want +got):\n%s", tag, limit, diff)
				}
			}
		}
		if _, err := s.List(t.Context(), "a", "", 0); err == nil {
			t.Error("List of at most none: no error")
		}
	})
}

// pages returns the keys of all records with tag, limit at a time.
func pages(t *testing.T, s *sqlstore.Store, tag string, limit int) (keys []string) {
	t.Helper()
	for after := ""; ; {
		page, err := s.List(t.Context(), tag, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			holds(t, s, r)
			keys = append(keys, r.Key)
			after = r.Key
		}
		if len(page) < limit {
			return keys
		}
	}
}

// TestTagsUnderRaces has creations, replacements and deletions of the same
// keys meet. Each key must be listed by the tags it ends with and no other.
func TestTagsUnderRaces(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		s := open(t, url)
		for range 30 {
			key := record().Key
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					r := record(fmt.Sprintf("tag%d", i%3), "all")
					r.Key = key
					s.Create(t.Context(), r)
					if old, err := s.Get(t.Context(), key); err == nil {
						s.Replace(t.Context(), old.Version, r)
					}
					if i%3 == 0 {
						s.Delete(t.Context(), key)
					}
				})
			}
			wg.Wait()
			end, err := s.Get(t.Context(), key)
			for i := range 3 {
				tag := fmt.Sprintf("tag%d", i)
				listed := slices.Contains(pages(t, s, tag, 100), key)
				if want := err == nil && slices.Contains(end.Tags, tag); listed != want {
					t.Fatalf("a record with tags %q, error %v: listed by %s: %t", end.Tags, err, tag, listed)
				}
			}
		}
	})
}

// TestPlans reads what the server makes of the queries that must not slow down
// as records grow in number, with plans made for any argument.
func TestPlans(t *testing.T) {
	url := postgrestest.Shared(t).URL(t)
	migrate(t, url)
	c := connect(t, url)
	execute(t, c, `insert into aikagi_record select 't' || md5(i::text), 'v', '', array['all', 'tag' || i], now() + interval '1 hour'
		from generate_series(1, 20000) as i`)
	execute(t, c, `analyze`)
	execute(t, c, `set plan_cache_mode = force_generic_plan`)
	for name, tt := range map[string]struct{ sql, args, index string }{
		"List":  {sqlstore.ListSQL, `'all', '', 10`, "Index Only Scan using aikagi_tag_pkey"},
		"Sweep": {sqlstore.SweepSQL, `500`, "Index Scan using aikagi_record_expires"},
	} {
		execute(t, c, `prepare `+name+` as `+tt.sql)
		rows, err := c.Query(t.Context(), `explain execute `+name+`(`+tt.args+`)`)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, line)
		}
		text := strings.Join(plan, "\n")
		if !strings.Contains(text, tt.index) || strings.Contains(text, "Seq Scan") {
			t.Errorf("%s does not go by the index:\n%s", name, text)
		}
	}
}

// TestSweep has several nodes sweep at once.
func TestSweep(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		admin := open(t, url)
		past := time.Now().Add(-63 * time.Second).Truncate(time.Second)
		for range 1188 {
			r := record("due")
			r.Expires = past
			create(t, admin, r)
		}
		var live []store.Record
		for i := range 12 {
			r := record("live")
			if i%2 == 0 {
				r.Expires = time.Now().Add(-50 * time.Second).Truncate(time.Second).UTC() // expired, not long ago
			}
			live = append(live, r)
			create(t, admin, r)
		}
		removed := make([]int, 3)
		var wg sync.WaitGroup
		for i := range removed {
			node := open(t, url)
			wg.Go(func() {
				n, err := node.Sweep(t.Context())
				if err != nil {
					t.Errorf("Sweep: %v", err)
				}
				removed[i] = n
			})
		}
		wg.Wait()
		rest, err := admin.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if sum := removed[0] + removed[1] + removed[2] + rest; sum != 1188 {
			t.Errorf("removed %d and %d, want 1188", removed, rest)
		}
		for _, r := range live {
			holds(t, admin, r)
		}
		for range 501 { // more than a batch
			r := record("due")
			r.Expires = past
			create(t, admin, r)
		}
		if n, err := admin.Sweep(t.Context()); n < 501 || err != nil { // and what was live, if this took long
			t.Errorf("Sweep: %d, %v, want 501", n, err)
		}
		if keys := pages(t, admin, "due", 100); len(keys) > 0 {
			t.Errorf("%d swept records are listed", len(keys))
		}
	})
}

// TestSweepBesideReplace has another transaction hold what is due: sweeping
// passes over it, and does not remove what that one extends.
func TestSweepBesideReplace(t *testing.T) {
	url := postgrestest.Shared(t).URL(t)
	migrate(t, url)
	s := open(t, url)
	held, due := record("tag"), record("tag")
	held.Expires, due.Expires = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
	create(t, s, held)
	create(t, s, due)
	c := connect(t, url)
	execute(t, c, `begin`)
	execute(t, c, `update aikagi_record set expires = now() + interval '1 hour' where key = '`+held.Key+`'`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // for one that waits
	defer cancel()
	if n, err := s.Sweep(ctx); n != 1 || err != nil {
		t.Errorf("Sweep: %d, %v, want 1", n, err)
	}
	execute(t, c, `commit`)
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("Sweep: %d, %v, want 0", n, err)
	}
	if _, err := s.Get(t.Context(), held.Key); err != nil {
		t.Errorf("Get: %v", err)
	}
}

// TestListAnyPlan lists by a plan that does not come by the order of keys.
func TestListAnyPlan(t *testing.T) {
	url := postgrestest.Shared(t).URL(t, "enable_nestloop=off", "enable_mergejoin=off")
	migrate(t, url)
	s := open(t, url)
	for range 50 {
		create(t, s, record("tag"))
	}
	if keys := pages(t, s, "tag", 50); len(keys) != 50 || !slices.IsSorted(keys) {
		t.Errorf("List: %d keys %q, want 50 in order", len(keys), keys)
	}
}
