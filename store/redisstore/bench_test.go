package redisstore_test

import (
	"testing"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/redisstore/redistest"
)

func BenchmarkServer(b *testing.B) {
	benchmark(b, open(b, redistest.Start(b, "--appendfsync", "everysec").URL()))
}

func BenchmarkCluster(b *testing.B) {
	benchmark(b, open(b, redistest.StartCluster(b, 3, "--appendfsync", "everysec").URLs()...))
}

// benchmark measures each verb on records of 1 KiB, one call after the other
// and side by side.
func benchmark(b *testing.B, s store.Store) {
	for _, verb := range []struct {
		name string
		do   func(b *testing.B, kept *store.Record) error
	}{
		{"Create", func(b *testing.B, _ *store.Record) error { return s.Create(b.Context(), kibibyte()) }},
		{"Get", func(b *testing.B, kept *store.Record) error { _, err := s.Get(b.Context(), kept.Key); return err }},
		{"Replace", func(b *testing.B, kept *store.Record) error {
			old := kept.Version
			kept.Version = newRecord().Version
			return s.Replace(b.Context(), old, *kept)
		}},
		{"Delete", func(b *testing.B, _ *store.Record) error { return s.Delete(b.Context(), newRecord().Key) }},
	} {
		b.Run(verb.name, func(b *testing.B) {
			b.ReportAllocs()
			kept := kibibyte()
			create(b, s, kept)
			for b.Loop() {
				if err := verb.do(b, &kept); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(verb.name+"/parallel", func(b *testing.B) {
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				kept := kibibyte()
				if err := s.Create(b.Context(), kept); err != nil {
					b.Error(err)
				}
				for pb.Next() {
					if err := verb.do(b, &kept); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func kibibyte() store.Record {
	r := newRecord()
	r.Value = make([]byte, 1<<10)
	return r
}
