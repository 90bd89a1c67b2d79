package cluster

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/redisstore"
	"github.com/aikagi/aikagi/store/sqlstore"
	"github.com/aikagi/aikagi/token"
)

const (
	issuer   = "https://as.bank.example"
	resource = "https://api.bank.example"
	callback = "https://app.fintech.example/cb"
	customer = "u-5b1e9d"
)

// nodeEnv names the file with the setup of a node. A process of the tests in
// whose environment it is set is a node and runs no test.
const nodeEnv = "AIKAGI_CLUSTER_NODE"

func TestMain(m *testing.M) {
	if file := os.Getenv(nodeEnv); file != "" {
		if err := serve(file); err != nil {
			fmt.Fprintln(os.Stderr, "node:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// A setup is what all nodes of a fleet have in common.
type setup struct {
	Secret  []byte
	Key     []byte // that tokens are signed with, PKCS #8
	Clients json.RawMessage

	// Store has the URL of a PostgreSQL, or those of a Redis Cluster.
	Store []string

	// Rest are the URLs of the Redis Cluster that has the records of kinds r
	// and j, and Store all others. If there are none, Store has all.
	Rest []string
}

// serve is the life of a node: it serves until its standard input ends, which
// the death of its parent sees to as well. To standard output go its address
// and then its audit events, one JSON value a line.
func serve(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s setup
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	records, err := s.open(context.Background())
	if err != nil {
		return err
	}
	moods := newMoody(records)
	out := json.NewEncoder(os.Stdout)
	srv, err := s.server(moods, out)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", srv)
	mux.HandleFunc("/consent", func(w http.ResponseWriter, r *http.Request) { consent(srv, w, r) })
	mux.HandleFunc("/trouble", moods.handle)
	if err := out.Encode(l.Addr().String()); err != nil {
		return err
	}
	web := &http.Server{Handler: mux}
	go web.Serve(l)
	io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return web.Shutdown(ctx)
}

// open opens what the records are kept in.
func (s *setup) open(ctx context.Context) (store.Store, error) {
	records, err := openStore(ctx, s.Store)
	if err != nil || len(s.Rest) == 0 {
		return records, err
	}
	rest, err := openStore(ctx, s.Rest)
	if err != nil {
		return nil, err
	}
	return store.ByKind(records, rest, "rj")
}

func openStore(ctx context.Context, urls []string) (store.Store, error) {
	if strings.HasPrefix(urls[0], "redis:") {
		return redisstore.Open(ctx, urls...)
	}
	return sqlstore.Open(ctx, urls[0])
}

// config returns a server's, without Store and Audit.
func (s *setup) config() (authz.Config, error) {
	clients, err := authz.LoadClients(s.Clients)
	if err != nil {
		return authz.Config{}, err
	}
	key, err := x509.ParsePKCS8PrivateKey(s.Key)
	if err != nil {
		return authz.Config{}, err
	}
	keys, err := token.NewKeySet(token.PrivateKey{ID: "as-1", Algorithm: "ES256", Signer: key.(crypto.Signer)})
	if err != nil {
		return authz.Config{}, err
	}
	return authz.Config{
		Issuer:        issuer,
		Keys:          keys,
		Clients:       clients,
		Secrets:       [][]byte{s.Secret},
		Resources:     []authz.Resource{{ID: resource}},
		Scopes:        []string{"openid", "accounts"},
		Interact:      firstPage,
		GrantLifetime: 90 * 24 * time.Hour,
	}, nil
}

func (s *setup) server(records store.Store, events *json.Encoder) (*authz.Server, error) {
	c, err := s.config()
	if err != nil {
		return nil, err
	}
	c.Store = records
	var mu sync.Mutex
	c.Audit = func(_ context.Context, e authz.Event) {
		mu.Lock()
		defer mu.Unlock()
		if events.Encode(e) != nil {
			os.Exit(2) // an audit that is not kept is worse than no server
		}
	}
	return authz.New(c)
}

// laterHeader of a request to the first page asks for a page, whose body is the
// interaction's ID, rather than for approval at once.
const laterHeader = "Test-Later"

func firstPage(w http.ResponseWriter, r *http.Request, in *authz.Interaction) {
	if r.Header.Get(laterHeader) != "" {
		io.WriteString(w, in.ID)
		return
	}
	approve(w, r, in)
}

// consent is the page on which a customer who was shown one approves.
func consent(srv *authz.Server, w http.ResponseWriter, r *http.Request) {
	in, err := srv.Interaction(r)
	if err != nil {
		refuse(w, err)
		return
	}
	approve(w, r, in)
}

func approve(w http.ResponseWriter, r *http.Request, in *authz.Interaction) {
	err := in.Finish(w, r, authz.Decision{Subject: customer, AuthTime: time.Now()})
	if err != nil {
		refuse(w, err)
	}
}

// refuse answers a browser whose decision was not carried out.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusConflict
	if e := (*authz.Error)(nil); !errors.As(err, &e) || e.Code == "server_error" {
		status = http.StatusServiceUnavailable
	}
	http.Error(w, http.StatusText(status), status)
}
