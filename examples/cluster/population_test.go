package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/pkce"
	"github.com/aikagi/aikagi/store"
)

// handle returns the handle of the i-th grant of a kind. It is derived from that,
// so that a million need not be remembered.
func handle(kind string, i int) grant.Handle {
	sum := func(what string) [32]byte {
		return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(what+kind), uint64(i)))
	}
	locator := sum("locator")
	return grant.Handle{Locator: grant.Locator(locator[:16]), Secret: grant.Secret(sum("secret"))}
}

// The kinds of grants in a population.
const (
	refreshed = "refreshed" // the code was redeemed; the handle is the refresh token
	waiting   = "waiting"   // the handle is the code
)

// record returns a grant such as the server makes, of one of two grants that
// each customer has.
func record(client, kind string, i int, now time.Time) store.Record {
	h := handle(kind, i)
	subject := fmt.Sprintf("%08x-5b1e-49d1-9c3a-2f6e7a1d4b%02x", i/2, i%2)
	g := &grant.Grant{
		Locator: h.Locator, Client: client, Subject: subject, Scopes: []string{"openid", "accounts"},
		AuthTime: now, ACR: "urn:bank:acr:sca", AMR: []string{"pwd", "hwk"},
		Created: now, Expires: now.Add(90 * 24 * time.Hour),
		Code: grant.Code{
			Expires: now.Add(24 * time.Hour), RedirectURI: callback,
			Challenge: pkce.Challenge(verifier), Nonce: "n-0S6_WzA2Mj",
		},
	}
	if kind == refreshed {
		g.Code.Claim, g.Refresh = grant.NewVersion(), h.Secret.Digest()
		g.Code.Secret = grant.NewSecret().Digest()
	} else {
		g.Code.Secret = h.Secret.Digest()
	}
	return store.Record{
		Key: h.Locator.Key(grant.KindGrant, issuer), Version: grant.NewVersion(), Value: g.Encode(),
		Tags:    []string{grant.SubjectTag(issuer, subject), grant.ClientTag(issuer, client)},
		Expires: g.Expires,
	}
}

// population returns size grants, codes of which wait to be redeemed.
func population(client string, size, codes int) iter.Seq[store.Record] {
	return func(yield func(store.Record) bool) {
		now := time.Now()
		for i := range size {
			kind, n := refreshed, i-codes
			if i < codes {
				kind, n = waiting, i
			}
			if !yield(record(client, kind, n, now)) {
				return
			}
		}
	}
}

// fillMemory returns a Memory with records.
func fillMemory(t testing.TB, records iter.Seq[store.Record]) *store.Memory {
	t.Helper()
	m := new(store.Memory)
	for r := range records {
		if err := m.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// fillPostgres writes records to the tables of a superuser's url. The triggers
// rest: what they would do a million times is done at once.
func fillPostgres(t testing.TB, url string, records iter.Seq[store.Record]) {
	t.Helper()
	ctx := t.Context()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	exec := func(sql string) {
		t.Helper()
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("set session_replication_role = replica")
	next, stop := iter.Pull(records)
	defer stop()
	_, err = c.CopyFrom(ctx, pgx.Identifier{"aikagi_record"}, []string{"key", "version", "value", "tags", "expires"},
		pgx.CopyFromFunc(func() ([]any, error) {
			r, ok := next()
			if !ok {
				return nil, nil
			}
			return []any{r.Key, r.Version, r.Value, r.Tags, r.Expires}, nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	exec("insert into aikagi_tag (tag, key) select unnest(tags), key from aikagi_record order by 1, 2")
	exec("vacuum (analyze) aikagi_record")
	exec("vacuum (analyze) aikagi_tag")
}

// heapOf returns how many bytes of heap what make makes takes.
func heapOf[T any](make func() T) uint64 {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	made := make()
	after := heap()
	runtime.KeepAlive(made)
	return after - before
}

// TestHeap: a typical grant takes less than 1 KiB of heap in store.Memory, tags
// and indexes included.
func TestHeap(t *testing.T) {
	const grants = 20_000
	perGrant := heapOf(func() *store.Memory { return fillMemory(t, population("kakeibo", grants, 0)) }) / grants
	t.Logf("%d bytes of heap a grant", perGrant)
	if perGrant >= 1024 {
		t.Errorf("%d bytes of heap a grant, want less than 1024", perGrant)
	}
}
