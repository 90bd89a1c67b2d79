package sqlstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/sqlstore"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// A proxy stands between a Store and its server.
type proxy struct {
	listener net.Listener
	server   string
	cut      atomic.Int32                  // how many replies are still to be lost
	hang     atomic.Pointer[chan struct{}] // if not nil, nothing passes until it is closed, nor then
}

// behindProxy returns a proxy and url by way of it.
func behindProxy(t *testing.T, ref string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(ref)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: u.Host}
	t.Cleanup(func() { l.Close() })
	go p.serve()
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		go p.pass(server, client, false)
		go p.pass(client, server, true)
	}
}

// pass passes on what arrives, until either side ends. A reply that is to be
// lost is one to a statement, not to its preparation or to a ping, and is lost
// once the server is ready for the next: it has committed.
func (p *proxy) pass(to, from net.Conn, replies bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if hang := p.hang.Load(); hang != nil {
			<-*hang
			return
		}
		if err != nil {
			return
		}
		if replies && executed.Match(buf[:n]) && p.cut.Add(-1) >= 0 {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// executed matches the end of a reply: CommandComplete, and ReadyForQuery
// outside a transaction.
var executed = regexp.MustCompile(`(?s)C\x00\x00\x00.(INSERT 0|UPDATE|DELETE|SELECT) \d+\x00Z\x00\x00\x00\x05I$`)

func TestLostReply(t *testing.T) {
	direct := postgrestest.Shared(t).URL(t, "pool_max_conns=2")
	migrate(t, direct)
	beside := open(t, direct)
	p, url := behindProxy(t, direct)
	s := open(t, url)
	r := record("tag")
	for _, verb := range []struct {
		name string
		do   func() error
	}{
		{"Create", func() error { return s.Create(t.Context(), r) }},
		{"Replace", func() error {
			n := next(r)
			err := s.Replace(t.Context(), r.Version, n)
			r = n
			return err
		}},
		{"Get", func() error { _, err := s.Get(t.Context(), r.Key); return err }},
		{"List", func() error { _, err := s.List(t.Context(), "tag", "", 10); return err }},
		{"Delete", func() error { return s.Delete(t.Context(), r.Key) }},
		{"Sweep", func() error { _, err := s.Sweep(t.Context()); return err }},
	} {
		t.Run(verb.name, func(t *testing.T) {
			p.cut.Store(2) // the first, and that to the repetition
			if err := verb.do(); err != nil {
				t.Fatal(err)
			}
			if n := p.cut.Load(); n >= 0 {
				t.Fatalf("%d replies still to come", n+1)
			}
			if verb.name == "Create" || verb.name == "Replace" {
				holds(t, beside, r)
			}
		})
	}
	if _, err := beside.Get(t.Context(), r.Key); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get after Delete: %v, want %v", err, store.ErrNotFound)
	}
}

// TestFailures has the server fail a verb some times, in ways that pass.
func TestFailures(t *testing.T) {
	server := postgrestest.Shared(t)
	for _, code := range []string{"40001", "40P01", "40003", "53300", "57P01", "57P02", "57P03", "57P05", "08006"} {
		t.Run(code, func(t *testing.T) {
			s, failures := failing(t, server, code)
			for _, times := range []int{0, 1, 5} {
				failures(times)
				r := record()
				create(t, s, r)
				holds(t, s, r)
			}
		})
	}
	t.Run("for ever", func(t *testing.T) {
		s, failures := failing(t, server, "40001")
		failures(1000)
		err := s.Create(t.Context(), record())
		var answer *pgconn.PgError
		if !errors.As(err, &answer) || answer.Code != "40001" {
			t.Fatalf("Create: %v, want SQLSTATE 40001", err)
		}
		if tried := failures(0); tried < 6 || tried > 20 {
			t.Errorf("tried %d times", tried)
		}
		create(t, s, record())
	})
	t.Run("for good", func(t *testing.T) {
		s, failures := failing(t, server, "53100") // disk full
		failures(1000)
		if err := s.Create(t.Context(), record()); err == nil {
			t.Fatal("Create on a full disk: no error")
		}
		if tried := failures(0); tried != 1 {
			t.Errorf("tried %d times, want once", tried)
		}
	})
}

// failing returns a Store whose inserts fail with code as many times as is
// told to the function, which returns how many were tried since the last time.
func failing(t *testing.T, server *postgrestest.Server, code string) (*sqlstore.Store, func(int) int) {
	url := server.URL(t)
	migrate(t, url)
	c := connect(t, url)
	execute(t, c, `
		create sequence tries minvalue 0;
		create table failures (n int); insert into failures values (0);
		create function fail() returns trigger language plpgsql as $$ begin
			if nextval('tries') <= (select n from failures) then
				raise exception 'no' using errcode = '`+code+`';
			end if;
			return new;
		end $$;
		create trigger fail before insert on aikagi_record for each row execute function fail();`)
	return open(t, url), func(n int) int {
		tried := number(t, c, `select last_value from tries`)
		execute(t, c, `select setval('tries', 0)`)
		if _, err := c.Exec(t.Context(), `update failures set n = $1`, n); err != nil {
			t.Fatal(err)
		}
		return tried
	}
}

// TestRestart crashes the server under load. The same Store must go on when
// the server does, without a failure that is an answer.
func TestRestart(t *testing.T) {
	server := postgrestest.Start(t) // fsync stays on
	url := server.URL(t, "pool_max_conns=8")
	migrate(t, url)
	s := open(t, url)

	ctx, stop := context.WithCancel(t.Context())
	kept := make([][]store.Record, 8)
	var working atomic.Int64
	var wg sync.WaitGroup
	for i := range kept {
		wg.Go(func() {
			for ctx.Err() == nil {
				r := record("tag")
				switch err := s.Create(t.Context(), r); {
				case err == nil:
					kept[i] = append(kept[i], r)
					working.Add(1)
				case errors.Is(err, store.ErrExists):
					t.Errorf("Create of a new key: %v", err)
					return
				}
			}
		})
	}
	more := func() { // waits until verbs succeed
		for goal := working.Load() + 100; working.Load() < goal; {
			time.Sleep(time.Millisecond)
		}
	}
	more()
	for range 2 {
		server.Kill(t)
		if err := s.Create(t.Context(), record()); err == nil {
			t.Error("Create without a server: no error")
		}
		server.Continue(t)
		more()
	}
	stop()
	wg.Wait()
	for _, mine := range kept {
		for _, r := range mine {
			holds(t, s, r)
		}
	}
	if err := s.Create(t.Context(), record()); err != nil { // each pooled connection is whole again
		t.Errorf("Create: %v", err)
	}
}

// TestDemoted has the server of pooled connections become a replica: writes
// must go by new ones, which target_session_attrs can lead elsewhere.
func TestDemoted(t *testing.T) {
	url := postgrestest.Shared(t).URL(t)
	migrate(t, url)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s, err := sqlstore.New(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	var all []*pgxpool.Conn
	for range pool.Config().MaxConns {
		c, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exec(t.Context(), `set default_transaction_read_only = on`); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		c.Release()
	}
	for range 2 * len(all) {
		create(t, s, record())
	}
}

// TestAllBroken has more pooled connections break at once than a verb is tried.
func TestAllBroken(t *testing.T) {
	direct := postgrestest.Shared(t).URL(t)
	migrate(t, direct)
	name := rand.Text()
	pool, err := pgxpool.New(t.Context(), direct+"&pool_max_conns=20&application_name="+name)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s, err := sqlstore.New(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	var all []*pgxpool.Conn
	for range pool.Config().MaxConns {
		c, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	execute(t, connect(t, direct), `select pg_terminate_backend(pid, 60000) from pg_stat_activity where application_name = '`+name+`'`)
	for _, c := range all {
		c.Release()
	}
	create(t, s, record())
}

// TestForgotten has what pgx prepared on a connection go, or no longer fit.
func TestForgotten(t *testing.T) {
	url := postgrestest.Shared(t).URL(t, "pool_max_conns=1")
	migrate(t, url)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s, err := sqlstore.New(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	r := record("tag")
	create(t, s, r)
	for _, sql := range []string{`deallocate all`, `alter table aikagi_record alter column version type varchar(64) collate "C"`} {
		holds(t, s, r) // and so Get is prepared
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		holds(t, s, r)
	}
}

// TestDeadline has the server answer too late.
func TestDeadline(t *testing.T) {
	direct := postgrestest.Shared(t).URL(t, "pool_max_conns=2")
	migrate(t, direct)
	p, url := behindProxy(t, direct)
	s := open(t, url)
	inTime := func(t *testing.T, r store.Record) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := s.Replace(ctx, r.Version, next(r)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Replace: %v, want %v", err, context.DeadlineExceeded)
		}
	}
	locked := func(t *testing.T) store.Record { // until the test ends
		r := record()
		create(t, s, r)
		c := connect(t, direct)
		execute(t, c, `begin`)
		execute(t, c, `select from aikagi_record where key = '`+r.Key+`' for update`)
		return r
	}
	t.Run("another holds the row", func(t *testing.T) {
		inTime(t, locked(t))
	})
	t.Run("the pool is used up", func(t *testing.T) {
		r := locked(t)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { s.Replace(ctx, r.Version, next(r)) })
		}
		inTime(t, r)
		cancel()
		wg.Wait()
	})
	t.Run("nothing comes back", func(t *testing.T) {
		r := record()
		create(t, s, r)
		end := make(chan struct{})
		p.hang.Store(&end)
		inTime(t, r)
		p.hang.Store(nil)
		close(end)
	})
	t.Run("nothing comes back to a new connection", func(t *testing.T) {
		end := make(chan struct{})
		p.hang.Store(&end)
		_, err := sqlstore.Open(t.Context(), url+"&connect_timeout=1")
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open: %v, want an error that is not the context's", err)
		}
		p.hang.Store(nil)
		close(end)
	})
	create(t, s, record()) // and the Store is as before
}

// TestDiscretion looks for what must not be read in logs.
func TestDiscretion(t *testing.T) {
	server := postgrestest.Shared(t)
	working, err := url.Parse(server.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"vault.bank.invalid", "s3cr3t-pass", "s3cr3t-user", "s3cr3t-base", working.Host}
	with := func(change func(u *url.URL)) string {
		u := *working
		u.User = url.UserPassword("s3cr3t-user", "s3cr3t-pass")
		change(&u)
		return u.String()
	}
	admin := connect(t, working.String())
	full, closed := "s3cr3t-user-"+rand.Text(), "s3cr3t-base-"+rand.Text()
	execute(t, admin, `create role "`+full+`" login password 's3cr3t-pass' connection limit 0`)
	execute(t, admin, `create database "`+closed+`" allow_connections false`)
	t.Cleanup(func() {
		for _, sql := range []string{`drop role "` + full + `"`, `drop database "` + closed + `"`} {
			if _, err := admin.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	for name, ref := range map[string]string{
		"connections used up":   with(func(u *url.URL) { u.User = url.UserPassword(full, "s3cr3t-pass") }),
		"no connections wanted": with(func(u *url.URL) { u.User, u.Path = working.User, "/"+closed }),
		"no such host":          with(func(u *url.URL) { u.Host = "vault.bank.invalid" }),
		"nobody listens":        with(func(u *url.URL) { u.Host = "127.0.0.1:1" }),
		"no such user":          with(func(u *url.URL) {}),
		"no such database": with(func(u *url.URL) {
			u.User = working.User
			u.Path = "/s3cr3t-base"
		}),
		"no TLS":         with(func(u *url.URL) { u.RawQuery = "sslmode=require" }),
		"port no number": with(func(u *url.URL) { u.Host = "vault.bank.invalid:" }) + "port",
		"pool setting":   with(func(u *url.URL) { u.RawQuery = "pool_max_conns=s3cr3t-pass" }),
		"no URL":         "vault.bank.invalid s3cr3t-pass",
		"not escaped":    "postgres://s3cr3t-user:s3cr3t-pass%zz@vault.bank.invalid/",
		"sqlite host":    "sqlite://s3cr3t-user:s3cr3t-pass@vault.bank.invalid/x",
	} {
		t.Run(name, func(t *testing.T) {
			_, openErr := sqlstore.Open(t.Context(), ref)
			for _, err := range []error{openErr, sqlstore.Migrate(t.Context(), ref)} {
				if err == nil {
					t.Fatal("no error")
				}
				t.Log(err)
				for ; err != nil; err = errors.Unwrap(err) {
					for _, secret := range secrets {
						if strings.Contains(err.Error(), secret) {
							t.Errorf("error tells %q: %v", secret, err)
						}
					}
				}
			}
		})
	}
}
