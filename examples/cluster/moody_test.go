package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

// A trouble says how a node's store misbehaves. The zero trouble is none.
type trouble struct {
	Latency time.Duration // of every verb

	// Of that many verbs one fails and is not carried out, and of that many
	// one is carried out and its answer lost; zero for none.
	Fail, Lose int64
}

// moody is a Store whose trouble changes while it is in use.
type moody struct {
	store.Store
	now atomic.Pointer[storetest.Faulty]
}

func newMoody(s store.Store) *moody {
	m := &moody{Store: s}
	m.set(trouble{})
	return m
}

func (m *moody) set(t trouble) {
	f := &storetest.Faulty{Store: m.Store, Latency: t.Latency}
	var asked, answered atomic.Int64
	if t.Fail > 0 {
		f.Fail = func(string, string) error {
			if asked.Add(1)%t.Fail == 0 {
				return errors.New("the store fails for the test")
			}
			return nil
		}
	}
	if t.Lose > 0 {
		f.LoseReply = func(string, string) bool { return answered.Add(1)%t.Lose == 0 }
	}
	m.now.Store(f)
}

// handle sets the trouble that is in the body.
func (m *moody) handle(w http.ResponseWriter, r *http.Request) {
	var t trouble
	if err := json.NewDecoder(r.Body).Decode(&t); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.set(t)
}

func (m *moody) Create(ctx context.Context, r store.Record) error { return m.now.Load().Create(ctx, r) }

func (m *moody) Get(ctx context.Context, key string) (store.Record, error) {
	return m.now.Load().Get(ctx, key)
}

func (m *moody) Replace(ctx context.Context, version string, r store.Record) error {
	return m.now.Load().Replace(ctx, version, r)
}

func (m *moody) Delete(ctx context.Context, key string) error { return m.now.Load().Delete(ctx, key) }
