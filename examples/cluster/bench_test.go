package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/sqlstore"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// benchServer is PostgreSQL as a bank would run it: with fsync.
func benchServer(b *testing.B) *postgrestest.Server {
	return postgrestest.Start(b, "shared_buffers=512MB", "max_wal_size=4GB")
}

var sizes = []int{1_000, 100_000, 1_000_000}

// BenchmarkGrowth measures how long the token endpoint takes with 1k, 100k and
// 1M live grants. Requests to the three alternate, so that whatever else the
// machine does burdens all alike. Each iteration is one request to each.
func BenchmarkGrowth(b *testing.B) {
	s, f := newSetup(b)
	b.Run("PostgreSQL", func(b *testing.B) {
		server := benchServer(b)
		growth(b, s, f, func(size, codes int) store.Store {
			url := postgres(b, server)
			fillPostgres(b, url, population(f.id, size, codes))
			records, err := sqlstore.Open(b.Context(), url)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { records.Close() })
			return records
		})
	})
	b.Run("Memory", func(b *testing.B) {
		growth(b, s, f, func(size, codes int) store.Store {
			var m *store.Memory
			heap := heapOf(func() *store.Memory { m = fillMemory(b, population(f.id, size, codes)); return m })
			b.Logf("%d grants: %d bytes of heap a grant", size, heap/uint64(size))
			return m
		})
	})
}

// growth runs the requests of one store. Codes can be redeemed once, so that
// their number is fixed: a benchmark of more iterations uses them all.
func growth(b *testing.B, s setup, f *fintech, fill func(size, codes int) store.Store) {
	const codes = 900
	var servers []*local
	for _, size := range sizes {
		servers = append(servers, newLocal(b, s, fill(size, codes)))
	}
	b.Run("refresh", func(b *testing.B) {
		alternate(b, servers, func(at int) message {
			return f.refreshes(handle(refreshed, rand.IntN(sizes[at]-codes)).String())
		})
	})
	used := 0
	b.Run("code", func(b *testing.B) {
		if used+b.N > codes {
			b.Skipf("%d of %d codes are used: run with -benchtime 800x", used, codes)
		}
		alternate(b, servers, func(at int) message {
			if at == 0 {
				used++
			}
			return f.redeems(handle(waiting, used-1).String())
		})
	})
}

// alternate sends b.N messages to each server, in turn, and reports the
// quantiles of how long they took.
func alternate(b *testing.B, servers []*local, make func(at int) message) {
	took := [3][]time.Duration{}
	for range b.N {
		for at, l := range servers {
			m := make(at)
			start := time.Now()
			l.send(m, 200)
			took[at] = append(took[at], time.Since(start))
		}
	}
	b.ReportMetric(0, "ns/op") // of the client and three servers together
	for _, q := range []struct {
		name string
		of   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		var first time.Duration
		for at, size := range sizes {
			slices.Sort(took[at])
			d := took[at][int(q.of*float64(len(took[at])-1))]
			b.ReportMetric(float64(d.Microseconds()), fmt.Sprintf("µs-%s@%dk", q.name, size/1000))
			if at == 0 {
				first = d
			} else {
				b.ReportMetric(float64(d)/float64(first), fmt.Sprintf("%s@%dk/1k", q.name, size/1000))
			}
		}
	}
}

// BenchmarkThroughput measures refreshes a second through one server process,
// two and four on one PostgreSQL. The requests are made beforehand; PostgreSQL
// and the client that sends them share the machine with the servers.
func BenchmarkThroughput(b *testing.B) {
	server := benchServer(b)
	for _, nodes := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("processes=%d", nodes), func(b *testing.B) {
			url := postgres(b, server)
			f := startFleet(b, nodes, []string{url}, nil)
			fillPostgres(b, url, population(f.client.id, 10_000, 0))
			messages := make([]message, b.N)
			for i := range messages {
				messages[i] = f.client.refreshes(handle(refreshed, rand.IntN(10_000)).String())
			}
			var next atomic.Int64
			var done sync.WaitGroup
			b.ResetTimer()
			for range 16 {
				done.Go(func() {
					for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
						if a := f.nodes[i%int64(nodes)].send(b.Context(), messages[i]); a.status != 200 {
							b.Errorf("%v", a)
							return
						}
					}
				})
			}
			done.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refreshes/s")
		})
	}
}
