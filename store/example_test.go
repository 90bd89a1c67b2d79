package store_test

import (
	"context"
	"fmt"
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
