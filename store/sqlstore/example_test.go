package sqlstore_test

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/aikagi/aikagi/store/sqlstore"
)

// A server opens its store when it starts, and sweeps it as long as it runs.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	const url = "sqlite:/var/lib/bank/grants.db"       // or "postgres://…"
	if err := sqlstore.Migrate(ctx, url); err != nil { // where the software is deployed
		log.Fatal(err)
	}
	s, err := sqlstore.Open(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	go func() {
		for range time.Tick(time.Minute) {
			if _, err := s.Sweep(ctx); err != nil {
				log.Print(err)
			}
		}
	}()

	srv := &http.Server{} // … of an authz.Server whose Config.Store is s
	log.Print(srv.ListenAndServe())
}
