package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aikagi/aikagi/store/redisstore/redistest"
	"github.com/aikagi/aikagi/store/sqlstore/postgrestest"
)

// password stands in URLs, and nowhere else.
const password = "pa55-w0rd"

// durable returns a configuration whose store outlives the bank.
func durable(t *testing.T) (dir string, config map[string]any) {
	t.Helper()
	dir, config = configDir(t)
	useBankKeys(t, dir, config)
	config["store"], config["secrets"] = "sqlite:grants.db", []string{"a.key"}
	return dir, config
}

// Each wrong configuration of a store is refused before anything is opened, by
// a message that names the member and holds no password.
func TestStoreRefused(t *testing.T) {
	byKind := func(with map[string]any) map[string]any {
		m := map[string]any{"kinds": "r", "store": "redis://:" + password + "@127.0.0.1"}
		maps.Copy(m, with)
		return m
	}
	seal := func(with map[string]any) map[string]any {
		m := map[string]any{"secrets": []string{"b.key"}, "tag_secret": "c.key"}
		maps.Copy(m, with)
		return m
	}
	postgres := "postgres://app:" + password + "@127.0.0.1/as"
	null := json.RawMessage("null")
	tests := []struct {
		name   string
		member string
		value  any // nil: left out
		want   string
	}{
		{"a store of another kind", "store", "mysql://app:" + password + "@127.0.0.1/as", `store: is of no kind that the bank knows; write "memory", "sqlite:"`},
		{"a word of another kind", "store", "disk", `store: is of no kind`},
		{"a number", "store", 5, "store: is neither a string nor a list of strings"},
		{"null", "store", null, "store: is empty"},
		{"nothing", "store", "", "store: is empty"},
		{"an empty list", "store", []string{}, "store: is empty"},
		{"two databases", "store", []string{postgres, postgres}, "store: is a list of more than URLs of Redis"},
		{"a database and Redis", "store", []string{postgres, "redis://127.0.0.1"}, "store: is a list of more than URLs of Redis"},
		{"a scheme alone", "store", "postgres://", "store: is of no kind"},
		{"Redis without a host", "store", "redis://", "store: is of no kind"},
		{"SQLite without a file", "store", "sqlite:", "store: is an sqlite URL without the path of a file"},
		{"SQLite in memory", "store", "sqlite::memory:", "store: is an sqlite URL without the path of a file"},
		{"SQLite elsewhere", "store", "sqlite://" + password + "/grants.db", "store: is no sqlite URL"},
		{"SQLite with options", "store", "sqlite:grants.db?mode=ro", "store: is no sqlite URL"},

		{"no keys", "keys", nil, "keys: is missing; give it, since what store keeps outlives the bank"},
		{"no secrets", "secrets", nil, "secrets: is missing; give it, since what store keeps outlives the bank"},
		{"secrets that are a word", "secrets", "a.key", "secrets: is not a list of strings"},
		{"secrets without any", "secrets", []string{}, "secrets: is empty"},
		{"a secret that is not there", "secrets", []string{"nowhere.key"}, "relative to bank.json"},
		{"a secret that is too short", "secrets", []string{"short.key"}, "short.key: is not 32 random bytes or more in base64; write one by: openssl rand"},
		{"a secret in other writing", "secrets", []string{"clients.json"}, "is not 32 random bytes"},

		{"kinds of nothing", "store_by_kind", map[string]any{}, "store_by_kind: has other members"},
		{"kinds that are a word", "store_by_kind", "redis://127.0.0.1", "store_by_kind: want a JSON object"},
		{"kinds that are null", "store_by_kind", null, "store_by_kind: want a JSON object"},
		{"kinds that are a list", "store_by_kind", byKind(map[string]any{"kinds": []string{"r"}}), "kinds is no string"},
		{"no kinds", "store_by_kind", byKind(map[string]any{"kinds": ""}), "store_by_kind: store: ByKind without kinds"},
		{"grants in Redis", "store_by_kind", byKind(map[string]any{"kinds": "rg"}), "want some of r, j and d"},
		{"a member more", "store_by_kind", byKind(map[string]any{"x": 1}), "has other members"},
		{"kinds in another database", "store_by_kind", byKind(map[string]any{"store": postgres}), "something else than URLs of Redis"},
		{"kinds nowhere", "store_by_kind", byKind(map[string]any{"store": []string{}}), "store_by_kind: is empty"},

		{"a seal of nothing", "seal", map[string]any{}, "seal: has other members"},
		{"a seal that is on", "seal", true, "seal: want a JSON object"},
		{"a seal without secrets", "seal", seal(map[string]any{"secrets": []string{}}), "seal: secrets is empty"},
		{"a seal with an empty name", "seal", seal(map[string]any{"secrets": []string{""}}), "seal: names no file"},
		{"a seal with a short secret", "seal", seal(map[string]any{"tag_secret": "short.key"}), "short.key: is not 32 random bytes"},
		{"a seal with a secret twice", "seal", seal(map[string]any{"secrets": []string{"b.key", "b.key"}}), "seal: secrets[1] is there before"},
		{"a seal whose tags rotate", "seal", seal(map[string]any{"tag_secret": "b.key"}), "seal: tag_secret is secrets[0]"},
		{"a seal with a member more", "seal", seal(map[string]any{"x": 1}), "seal: has other members"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, config := durable(t)
			if err := os.WriteFile(filepath.Join(dir, "short.key"), []byte("c2hvcnQ="), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.value == nil {
				delete(config, tt.member)
			} else {
				config[tt.member] = tt.value
			}
			refused(t, writeConfig(t, dir, config), tt.want)
			_, err := readConfig(filepath.Join(dir, "bank.json"))
			if err == nil || strings.Contains(err.Error(), password) {
				t.Errorf("the message has the password, or there is none: %v", err)
			}
		})
	}
	for want, with := range map[string]map[string]any{
		"store_by_kind: is there without a database that keeps the rest": {"store": "memory", "store_by_kind": byKind(nil)},
		"store_by_kind: is there without a database":                     {"store": "redis://127.0.0.1", "store_by_kind": byKind(nil)},
		"seal: is there, but what is kept in memory":                     {"store": "memory", "seal": seal(nil)},
		"pairwise_salt: is missing, and a client has subjects":           {"clients": "pairwise.json"},
	} {
		t.Run(want, func(t *testing.T) {
			dir, config := durable(t)
			if err := os.WriteFile(filepath.Join(dir, "pairwise.json"), []byte(`[{"client_id":"c1","subject_type":"pairwise"}]`), 0o600); err != nil {
				t.Fatal(err)
			}
			maps.Copy(config, with)
			refused(t, writeConfig(t, dir, config), want)
		})
	}
}

// A store that cannot be opened ends the bank. There is no other in its place,
// and the message names the member and no password.
func TestStoreOutOfReach(t *testing.T) {
	t.Setenv("PGCONNECT_TIMEOUT", "2")
	nobody := freeAddress(t)
	postgres, redis := "postgres://app:"+password+"@"+nobody+"/as", "redis://:"+password+"@"+nobody
	tests := []struct {
		name string
		with map[string]any
		want string
	}{
		{"PostgreSQL", map[string]any{"store": postgres}, "store: sqlstore: open: "},
		{"Redis", map[string]any{"store": redis}, "store: redisstore: "},
		{"a URL that only begins well", map[string]any{"store": "postgres://app:" + password + "@a b:x/as"}, "store: sqlstore: open: "},
		{"a Redis of which the options are unknown", map[string]any{"store": redis + "?x=y"}, "store: redisstore: "},
		{"SQLite without tables", map[string]any{}, "run the bank with -migrate once"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, config := durable(t)
			maps.Copy(config, tt.with)
			name := writeConfig(t, dir, config)
			var out, errs bytes.Buffer
			status := run(t.Context(), []string{"-config", name}, &out, &errs)
			if status != 1 || !strings.Contains(errs.String(), name+": "+tt.want) && !strings.Contains(errs.String(), tt.want) {
				t.Errorf("exit status %d, want 1 and a message with %q:\n%s", status, tt.want, errs.String())
			}
			if strings.Contains(errs.String(), password) || out.Len() > 0 {
				t.Errorf("said too much: %s %s", errs.String(), out.String())
			}
		})
	}
	t.Run("the rest in a Redis that is not there", func(t *testing.T) {
		t.Parallel()
		dir, config := durable(t)
		config["store_by_kind"] = map[string]any{"kinds": "r", "store": redis}
		name := writeConfig(t, dir, config)
		migrate(t, name)
		var out, errs bytes.Buffer
		if status := run(t.Context(), []string{"-config", name}, &out, &errs); status != 1 ||
			!strings.Contains(errs.String(), name+": store_by_kind: redisstore: ") || strings.Contains(errs.String(), password) || out.Len() > 0 {
			t.Errorf("exit status %d: %s %s", status, errs.String(), out.String())
		}
	})
}

func migrate(t *testing.T, config string) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-config", config, "-migrate"}, &out, &errs); status != 0 || !strings.Contains(out.String(), "tables are there") {
		t.Fatalf("-migrate: exit status %d: %s", status, errs.String())
	}
}

func TestMigrateMisused(t *testing.T) {
	dir, config := durable(t)
	good := writeConfig(t, dir, config)
	other, config := configDir(t)
	memory := writeConfig(t, other, config)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"without a file", []string{"-migrate"}, "-migrate goes with -config"},
		{"with a report", []string{"-config", good, "-migrate", "-report"}, "do not go together"},
		{"in memory", []string{"-config", memory, "-migrate"}, "store: has no tables"},
		{"a file that is not there", []string{"-config", good + "x", "-migrate"}, "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if status := run(t.Context(), tt.args, &out, &errs); status != 2 || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("exit status %d, want 2 and %q:\n%s", status, tt.want, errs.String())
			}
		})
	}
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-config", good, "-report"}, &out, &errs); status != 0 {
		t.Errorf("-report opens the store: %s", errs.String())
	}
}

// What expired is swept for as long as the bank runs, once a minute. A failure
// is logged, and the next sweep comes all the same.
func TestKeepSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sweeps []time.Duration
		start, log := time.Now(), new(syncBuffer)
		kept := &storage{sweep: func(context.Context) (int, error) {
			sweeps = append(sweeps, time.Since(start))
			if len(sweeps) == 2 {
				return 0, errors.New("the database is away")
			}
			return 1, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			kept.keepSwept(ctx, slog.New(slog.NewTextHandler(log, nil)))
		}()
		time.Sleep(3*time.Minute + time.Second)
		cancel()
		<-done
		if len(sweeps) != 3 || sweeps[0] != time.Minute || sweeps[2] != 3*time.Minute {
			t.Errorf("swept at %v", sweeps)
		}
		if n := strings.Count(log.String(), "the database is away"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, log)
		}
	})
}

// TestRestart: grants outlive the bank in every store that does, and what the
// customer ended stays ended.
func TestRestart(t *testing.T) {
	t.Parallel()
	seal := map[string]any{"secrets": []string{"b.key"}, "tag_secret": "c.key"}
	stores := map[string]func(t *testing.T) (config map[string]any, check func(*testing.T, *variant)){
		"SQLite": func(*testing.T) (map[string]any, func(*testing.T, *variant)) {
			return map[string]any{"store": "sqlite:grants.db"}, func(t *testing.T, v *variant) { readable(t, v, true) }
		},
		"SQLite, sealed": func(*testing.T) (map[string]any, func(*testing.T, *variant)) {
			return map[string]any{"store": "sqlite:grants.db", "seal": seal}, func(t *testing.T, v *variant) { readable(t, v, false) }
		},
		"PostgreSQL": func(t *testing.T) (map[string]any, func(*testing.T, *variant)) {
			return map[string]any{"store": postgrestest.Shared(t).URL(t)}, nil
		},
		"Redis": func(t *testing.T) (map[string]any, func(*testing.T, *variant)) {
			return map[string]any{"store": redistest.Start(t).URL()}, nil
		},
		"Redis Cluster": func(t *testing.T) (map[string]any, func(*testing.T, *variant)) {
			return map[string]any{"store": redistest.StartCluster(t, 3).URLs()}, nil
		},
		"PostgreSQL, the rest in Redis, sealed": func(t *testing.T) (map[string]any, func(*testing.T, *variant)) {
			server := redistest.Start(t)
			return map[string]any{
					"store": postgrestest.Shared(t).URL(t), "seal": seal,
					"store_by_kind": map[string]any{"kinds": "rj", "store": server.URL()},
				}, func(t *testing.T, v *variant) {
					v.flow(v.clients[0]).push(t) // and waits
					kinds := make(map[byte]bool)
					for _, key := range server.Client.Keys(t.Context(), "*").Val() {
						kinds[key[0]] = true
					}
					if !maps.Equal(kinds, map[byte]bool{'r': true, 'j': true}) {
						t.Errorf("Redis keeps the kinds %v", kinds)
					}
					if log := v.stderr.String(); !strings.Contains(log, "loses of kind j") || strings.Contains(log, "loses of kind d") {
						t.Errorf("warnings:\n%s", log)
					}
				}
		},
	}
	for name, with := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redisAlone := name == "Redis" || name == "Redis Cluster"
			config, check := with(t)
			v := durableBank(t, config)
			kept, ended := v.flow(v.clients[0]).complete(t), v.flow(v.clients[1]).complete(t)
			if redisAlone {
				if b := v.browser(t); b.get(t, v.issuer+"/services") == "" || b.res.StatusCode != http.StatusNotFound {
					t.Errorf("there is a page of connected services: %d", b.res.StatusCode)
				}
				if !strings.Contains(v.stderr.String(), "there is no page of connected services") {
					t.Errorf("no warning:\n%s", v.stderr)
				}
				v.clients[1].post(t, v.endpoint("revocation_endpoint"), url.Values{"token": {ended.refresh}}, way{})
			} else {
				b := signedInAt(t, v, "hanako")
				b.send(t, v.issuer+"/services", url.Values{"end": {grantOf(t, b, v.clients[1].id)}})
			}
			if check != nil {
				check(t, v)
			}
			if name == "SQLite, sealed" { // from now on another secret seals
				rotateSeal(t, v)
			}
			v.restart(t)

			v.served(t, v.clients[0], kept.access, nil)
			v.turnedAway(t, v.clients[1], ended.access)
			if !v.renews(t, v.clients[0], kept) {
				t.Error("the grant is gone")
			}
			if v.renews(t, v.clients[1], ended) {
				t.Error("what was ended is there again")
			}
			if !redisAlone {
				b := signedInAt(t, v, "hanako")
				if !strings.Contains(b.body, v.clients[0].id) || strings.Contains(b.body, v.clients[1].id) {
					t.Errorf("the page shows:\n%s", b.body)
				}
				b.get(t, v.issuer+"/services?after=%00%FF") // which no database takes for text
				if b.res.StatusCode != http.StatusOK || !strings.Contains(b.body, v.clients[0].id) {
					t.Errorf("after nothing: %d\n%s", b.res.StatusCode, b.body)
				}
			}
			v.flow(v.clients[1]).complete(t) // and new ones are made
		})
	}
}

// readable checks whether the database, which lies beside the configuration, says
// who the customer is.
func readable(t *testing.T, v *variant, want bool) {
	t.Helper()
	var content []byte
	for _, name := range []string{"grants.db", "grants.db-wal"} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(v.config), name))
		if err != nil {
			t.Fatal(err)
		}
		content = append(content, b...)
	}
	if got := bytes.Contains(content, []byte("customer-7")); got != want {
		t.Errorf("the file says who the customer is: %v, want %v", got, want)
	}
}

// durableBank runs a bank whose store outlives it, after -migrate where there
// is something to migrate, with the pages of people.
func durableBank(t *testing.T, with map[string]any) *variant {
	t.Helper()
	config := map[string]any{"secrets": []string{"a.key"}, "users": twoUsers()}
	maps.Copy(config, with)
	return deployed(t, config, func(name string) {
		if url, ok := with["store"].(string); ok && !strings.HasPrefix(url, "redis:") {
			migrate(t, name)
		}
	})
}

// deployed is deploy for one kind of client, with prepare before the bank runs.
func deployed(t *testing.T, config map[string]any, prepare func(config string)) *variant {
	t.Helper()
	k := kind{method: "private_key_jwt", openid: true}
	if config["seal"] != nil { // some with tokens that the bank's own secrets make
		k.more = map[string]any{"access_token_format": "opaque"}
	}
	return deployPrepared(t, true, false, []kind{k}, config, prepare)[0]
}

// rotateSeal puts a new secret before the one that sealed so far.
func rotateSeal(t *testing.T, v *variant) {
	t.Helper()
	b, err := os.ReadFile(v.config)
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	if err := os.WriteFile(filepath.Join(filepath.Dir(v.config), "new.key"), []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	rotated := bytes.Replace(b, []byte(`"secrets":["b.key"]`), []byte(`"secrets":["new.key","b.key"]`), 1)
	if bytes.Equal(rotated, b) {
		t.Fatal("nothing was rotated")
	}
	if err := os.WriteFile(v.config, rotated, 0o600); err != nil {
		t.Fatal(err)
	}
}

// restart stops the bank and starts it again from its file.
func (v *variant) restart(t *testing.T) {
	t.Helper()
	for _, c := range v.clients {
		c.http.CloseIdleConnections()
		c.naked.CloseIdleConnections()
	}
	v.stop()
	v.start(t, v.config)
}

// renews reports whether the client still gets tokens.
func (v *variant) renews(t *testing.T, c *tester, k issuedKey) bool {
	t.Helper()
	r := c.post(t, v.token, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}}, way{})
	if r.status != http.StatusOK {
		refusedWith(t, r, "400 invalid_grant")
	}
	return r.status == http.StatusOK
}

// A user who may not create tables runs the bank on tables that are there, and
// without them learns what to do.
func TestPostgresWithoutRights(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	owner := server.URL(t)
	u, err := url.Parse(owner)
	if err != nil {
		t.Fatal(err)
	}
	schema := u.Query().Get("search_path")
	app := "app_" + schema
	server.Exec(t, "create role "+app+" login password '"+password+"'")
	server.Exec(t, "grant usage on schema "+schema+" to "+app)
	u.User = url.UserPassword(app, password)

	dir, config := durable(t)
	config["listen"] = freeAddress(t)
	config["issuer"] = "https://" + config["listen"].(string)
	config["store"] = u.String()
	asApp := writeConfig(t, dir, config)
	for args, want := range map[string]string{"": "run the bank with -migrate once", "-migrate": "42501"} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), strings.Fields("-config "+asApp+" "+args), &out, &errs); status != 1 || !strings.Contains(errs.String(), want) || strings.Contains(errs.String(), password) {
			t.Errorf("%q: exit status %d: %s", args, status, errs.String())
		}
	}

	config["store"] = owner
	migrate(t, writeConfig(t, dir, config))
	server.Exec(t, "grant select on "+schema+".aikagi_schema to "+app)
	server.Exec(t, "grant select, insert, update, delete on "+schema+".aikagi_record, "+schema+".aikagi_tag to "+app)
	defer server.Exec(t, "drop owned by "+app+"; drop role "+app)

	config["store"] = u.String()
	migrate(t, writeConfig(t, dir, config)) // nothing is left to do
	ctx, cancel := context.WithCancel(t.Context())
	var out writerFunc = func(b []byte) (int, error) { cancel(); return len(b), nil }
	errs := new(syncBuffer)
	if status := run(ctx, []string{"-config", asApp}, out, errs); status != 0 {
		t.Errorf("exit status %d: %s", status, errs)
	}
}
