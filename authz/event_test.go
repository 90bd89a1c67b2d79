package authz_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// TestEvents: every step of the story, and a refusal, each with what an
// operator needs.
func TestEvents(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	got := f.tokens(b)
	f.token(b, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}})
	f.token(b, url.Values{"grant_type": {"password"}})

	type line struct{ Kind, Endpoint, Client, Subject, GrantType, Rule string }
	var lines []line
	for _, e := range b.events {
		lines = append(lines, line{e.Kind, e.Endpoint, e.Client, e.Subject, e.GrantType, e.Rule})
		if e.Issuer != issuer || !e.Time.Equal(b.clock.Now()) {
			t.Errorf("%s has issuer %q, time %v", e.Kind, e.Issuer, e.Time)
		}
	}
	want := []line{
		{"request_pushed", "par", "kakeibo", "", "", ""},
		{"request_shown", "authorize", "kakeibo", "", "", ""},
		{"grant_approved", "authorize", "kakeibo", customer, "", ""},
		{"tokens_issued", "token", "kakeibo", customer, "authorization_code", ""},
		{"tokens_issued", "token", "kakeibo", customer, "refresh_token", ""},
		{"request_refused", "token", "kakeibo", "", "", "FAPI2-SP-5.3.2.1-2"},
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	issued := b.events[3]
	claims := claimsOf(t, got["access_token"].(string))
	if issued.Token != claims["jti"] || issued.Grant != claims["grant_id"] || issued.Certificate != claims["cnf"].(map[string]any)["x5t#S256"] {
		t.Errorf("the event %+v does not name the token %v", issued, claims)
	}
}

// TestForgedInteraction: operators see who tries.
func TestForgedInteraction(t *testing.T) {
	f := keyClient("kakeibo")
	b, _, id := started(t, f, f.pushable())
	stranger := &browser{b: b}
	stranger.open(f, f.push(b, f.pushable()))
	if _, err := stranger.resume(id); err == nil {
		t.Error("another browser resumes the interaction")
	}
	if e := b.lastEvent(); e.Kind != "request_refused" || e.Endpoint != "interaction" || e.Rule != "RFC6749-10.12-1" {
		t.Errorf("the operator is told %+v", e)
	}
}

// TestNoSecretInEvents runs the story and every kind of refusal, and looks for
// everything secret that was on the wire in everything the operator sees.
func TestNoSecretInEvents(t *testing.T) {
	t.Run("FAPI2-SP-7-1 bound to a certificate", func(t *testing.T) { noSecretInEvents(t, keyClient("kakeibo"), nil) })
	t.Run("FAPI2-SP-7-1 bound to a key", func(t *testing.T) {
		k := newProofKey()
		before := []string{ // refusals that come before a key is proved
			"RFC6749-3.1-2", "RFC7523-2.2-2", "RFC9449-4.3-2", "RFC9449-4.3-3", "RFC9449-4.3-6",
		}
		for _, e := range noSecretInEvents(t, keyClient("kakeibo").dpop(), k) {
			proved := e.Endpoint == "par" || e.Endpoint == "token"
			if bad := slices.Contains(before, e.Rule); proved && !bad && e.Key != k.jkt() {
				t.Errorf("%s %s has key %q, want %q", e.Kind, e.Rule, e.Key, k.jkt())
			} else if (bad || !proved) && e.Key != "" {
				t.Errorf("%s %s has key %q, which was not proved", e.Kind, e.Rule, e.Key)
			}
		}
	})
}

func noSecretInEvents(t *testing.T, f *fintech, k *proofKey) []authz.Event {
	b := newBank(t, clients(f))
	var secrets []string
	keep := func(s string) string { secrets = append(secrets, s); return s }
	var spoil func(string) string // makes the proofs that follow bad ones
	send := func(path string, form url.Values) map[string]any {
		keep(form.Get("client_assertion"))
		r := f.request(path, form)
		if k != nil {
			c := k.claims(b, path)
			keep(c["jti"].(string))
			proof := k.sign(c)
			if spoil != nil {
				proof = spoil(proof)
			}
			r.Header.Set("DPoP", keep(proof))
		}
		return object(t, b.do(r))
	}

	uri := keep(send("/par", f.authenticate(b, f.pushable()))["request_uri"].(string))
	res, err := (&browser{b: b}).decide(f, uri, b.approval())
	if err != nil {
		t.Fatal(err)
	}
	code := keep(location(t, res).Get("code"))
	keep(verifier)
	wrong := f.redeemable(code)
	wrong.Set("code_verifier", keep("another-verifier-of-forty-three-characters-"))
	for _, v := range []url.Values{
		wrong,
		f.redeemable(code),
		f.redeemable(code), // presented again
		f.redeemable(keep(code[:65] + "B")),
		{"grant_type": {"refresh_token"}, "refresh_token": {keep("not-a-refresh-token")}},
		{"grant_type": {"authorization_code"}, "code": {code, code}},
	} {
		got := send("/token", f.authenticate(b, v))
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if s, ok := got[name].(string); ok {
				keep(s)
			}
		}
	}
	form := f.authenticate(b, f.pushable())
	form.Set("client_assertion", form.Get("client_assertion")+"x")
	send("/par", form)
	if k != nil {
		for _, spoil = range []func(string) string{
			func(p string) string { return p + "x" },
			func(p string) string { return p[:len(p)-8] + "AAAAAAAA" },
			func(p string) string { return k.sign(map[string]any{"jti": keep(rand.Text())}) },
		} {
			send("/par", f.authenticate(b, f.pushable()))
			send("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}))
		}
		spoil = nil
		send("/par", f.authenticate(b, changed(f.pushable(), "dpop_jkt", k.jkt())))
		once := k.sign(k.claims(b, "/token"))
		spoil = func(string) string { return once }
		for range 2 {
			send("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}))
		}
	}
	(&browser{b: b}).open(f, uri)

	var log bytes.Buffer
	audit := authz.LogEvents(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for _, e := range b.events {
		audit(context.Background(), e)
		fmt.Fprintf(&log, "%+v\n", e)
	}
	if len(b.events) < 10 || len(secrets) < 10 {
		t.Fatalf("only %d events and %d secrets", len(b.events), len(secrets))
	}
	for _, s := range secrets {
		for _, part := range append(strings.Split(s, "."), strings.TrimPrefix(s, "urn:ietf:params:oauth:request_uri:")) {
			if len(part) > 16 && strings.Contains(log.String(), part) {
				t.Errorf("the operator sees %q", part)
			}
		}
	}
	return b.events
}

func TestLogEvents(t *testing.T) {
	for _, tt := range []struct{ kind, level string }{
		{"tokens_issued", "INFO"}, {"request_refused", "WARN"}, {"request_failed", "ERROR"},
	} {
		var log bytes.Buffer
		authz.LogEvents(slog.New(slog.NewJSONHandler(&log, nil)))(context.Background(), authz.Event{
			Kind: tt.kind, Client: "kakeibo", Scopes: []string{"a", "b"}, Rule: "RFC6749-5.2-4",
		})
		var got struct {
			Level string
			Event map[string]any
		}
		if err := json.Unmarshal(log.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"kind": tt.kind, "client": "kakeibo", "scope": "a b", "rule": "RFC6749-5.2-4"}
		if d := cmp.Diff(want, got.Event); d != "" || got.Level != tt.level {
			t.Errorf("level %s, want %s; %s", got.Level, tt.level, d)
		}
	}
}

// TestError: what the operator reads of an error has all of it, and what the
// client reads has only what RFC 6749 lets through.
func TestError(t *testing.T) {
	inner := errors.New("the row is locked")
	e := &authz.Error{Code: authz.AccessDenied, Description: "no", Err: inner}
	if got, want := e.Error(), "authz: access_denied: no: the row is locked"; got != want {
		t.Errorf("Error: %q, want %q", got, want)
	}
	if !errors.Is(e, inner) {
		t.Error("Unwrap does not give Err")
	}
}
