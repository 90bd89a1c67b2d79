package store_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/aikagi/aikagi/store"
)

// A record is claimed by replacing it at the version that was read. Of two who
// read the same version, one succeeds.
func Example() {
	ctx := context.Background()
	s := new(store.Memory)
	r := store.Record{Key: "g1", Version: "1", Value: []byte("unused"), Expires: time.Now().Add(time.Minute)}
	fmt.Println(s.Create(ctx, r))

	read, err := s.Get(ctx, "g1")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, claim := range []string{"2", "3"} {
		r.Version, r.Value = claim, []byte("used")
		fmt.Println(s.Replace(ctx, read.Version, r))
	}
	// Output:
	// <nil>
	// <nil>
	// store: changed since read
}

// Grants stay in the database, encrypted; requests that wait for a customer,
// which may be lost, are kept where that is cheaper.
func Example_composed() {
	database, cache := new(store.Memory), new(store.Memory) // a host's own
	current, previous := bytes.Repeat([]byte("c"), 32), bytes.Repeat([]byte("p"), 32)

	sealed, lister, err := store.Sealed(store.SealedConfig{
		Store: database, Lister: database,
		Secrets:   [][]byte{current, previous}, // the first seals, all open
		TagSecret: bytes.Repeat([]byte("t"), 32),
	})
	if err != nil {
		log.Fatal(err)
	}
	s, err := store.ByKind(sealed, cache, "r")
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	for _, key := range []string{"g1", "r1", "g2"} {
		r := store.Record{Key: key, Version: "1", Tags: []string{"customer"}, Expires: time.Now().Add(time.Hour)}
		if err := s.Create(ctx, r); err != nil {
			log.Fatal(err)
		}
	}
	page, err := lister.List(ctx, "customer", "", 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range page {
		fmt.Println(r.Key, r.Tags)
	}
	// Output:
	// g1 [customer]
	// g2 [customer]
}
