package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

// listReplaceRace lists a record that is being replaced and keeps its tag.
func listReplaceRace(t testing.TB, s store.Store, l store.Lister) {
	tag := newTag()
	r := newRecord()
	r.Tags = []string{tag}
	create(t, s, r)
	key := r.Key
	var done atomic.Bool
	errs := race(3, func(i int) (err error) {
		if i == 0 {
			defer done.Store(true)
			rounds(t, func() {
				n := next(r)
				n.Tags = []string{newTag(), tag}
				if err == nil {
					err = s.Replace(t.Context(), r.Version, n)
				}
				r = n
			})
			return err
		}
		for !done.Load() {
			page, err := l.List(t.Context(), tag, "", 10)
			if err != nil {
				return fmt.Errorf("listing beside Replace: %w", err)
			}
			if len(page) != 1 || page[0].Key != key {
				return fmt.Errorf("listing beside Replace: %d records, want 1", len(page))
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// listPagesRace lists, page by page, while records are created before, between
// and after those that stay, and deleted again.
func listPagesRace(t testing.TB, s store.Store, l store.Lister) {
	tag := newTag()
	stay := make(map[string]bool)
	for _, r := range createTagged(t, s, tag, 30) {
		stay[r.Key] = true
	}
	var done atomic.Bool
	errs := race(3, func(i int) (err error) {
		if i == 0 {
			defer done.Store(true)
			rounds(t, func() {
				if err == nil {
					err = walk(t.Context(), l, tag, stay)
				}
			})
			return err
		}
		return comeAndGo(t.Context(), s, tag, &done)
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// walk lists all there is in pages of four and checks that it meets what stays.
func walk(ctx context.Context, l store.Lister, tag string, stay map[string]bool) error {
	met := 0
	for after := ""; ; {
		page, err := l.List(ctx, tag, after, 4)
		if err != nil {
			return fmt.Errorf("listing beside Create and Delete: %w", err)
		}
		if err := orderly(page, tag, after, 4); err != nil {
			return fmt.Errorf("listing beside Create and Delete: %w", err)
		}
		for _, r := range page {
			if stay[r.Key] {
				met++
			}
		}
		if len(page) < 4 {
			break
		}
		after = page[len(page)-1].Key
	}
	if met != len(stay) {
		return fmt.Errorf("listing beside Create and Delete: met %d of %d records that stay", met, len(stay))
	}
	return nil
}

// comeAndGo creates records and deletes them, ten later.
func comeAndGo(ctx context.Context, s store.Store, tag string, done *atomic.Bool) error {
	var keys []string
	for !done.Load() || len(keys) > 0 {
		if !done.Load() {
			r := newRecord()
			r.Tags = []string{tag}
			if err := s.Create(ctx, r); err != nil {
				return fmt.Errorf("creating beside List: %w", err)
			}
			keys = append(keys, r.Key)
		}
		if len(keys) > 10 || done.Load() {
			if err := s.Delete(ctx, keys[0]); err != nil {
				return fmt.Errorf("deleting beside List: %w", err)
			}
			keys = keys[1:]
		}
		time.Sleep(50 * time.Microsecond) // so that lists end
	}
	return nil
}
