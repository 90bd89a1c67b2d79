package mtls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

// session returns the session of a handshake, with extra in it.
func session(t *testing.T, extra string) *tls.SessionState {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	var session *tls.SessionState
	a, b := net.Pipe()
	server := tls.Server(a, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		WrapSession: func(_ tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
			session = s
			return []byte("ticket"), nil
		},
	})
	done := make(chan error)
	go func() {
		done <- server.Handshake()
		a.Close()
	}()
	client := tls.Client(b, &tls.Config{InsecureSkipVerify: true, ServerName: "as.bank.example", ClientSessionCache: tls.NewLRUClientSessionCache(1)})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	go client.Read(make([]byte, 1)) // the ticket
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	session.Extra = [][]byte{[]byte(extra)}
	return session
}

func TestTickets(t *testing.T) {
	var clock time.Time
	state := session(t, "mark")
	newTickets := func() *tickets {
		clock = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
		return &tickets{now: func() time.Time { return clock }}
	}
	wrap := func(t *testing.T, ts *tickets) []byte {
		t.Helper()
		ticket, err := ts.wrap(tls.ConnectionState{}, state)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	opens := func(t *testing.T, ts *tickets, ticket []byte) bool {
		t.Helper()
		s, err := ts.unwrap(ticket, tls.ConnectionState{})
		if err != nil {
			t.Fatalf("unwrap: %v, which ends the connection", err)
		}
		return s != nil && len(s.Extra) == 1 && string(s.Extra[0]) == "mark"
	}
	tests := []struct {
		name string
		with func(ts *tickets, ticket []byte) []byte
		want bool
	}{
		{"as it was", func(_ *tickets, b []byte) []byte { return b }, true},
		{"TLS-11 changed", func(_ *tickets, b []byte) []byte { b[len(b)/2] ^= 1; return b }, false},
		{"TLS-11 cut short", func(_ *tickets, b []byte) []byte { return b[:10] }, false},
		{"TLS-11 empty", func(*tickets, []byte) []byte { return nil }, false},
		{"TLS-11 of a server with other keys", func(*tickets, []byte) []byte { return wrap(t, newTickets()) }, false},
		{"TLS-11 after 47 hours of use", func(ts *tickets, b []byte) []byte {
			for range 47 {
				clock = clock.Add(time.Hour)
				wrap(t, ts)
			}
			return b
		}, true},
		{"TLS-11 after 48 hours of use", func(ts *tickets, b []byte) []byte {
			for range 48 {
				clock = clock.Add(time.Hour)
				wrap(t, ts)
			}
			return b
		}, false},
		{"TLS-11 after 48 hours, with one key made late", func(ts *tickets, b []byte) []byte {
			clock = clock.Add(47 * time.Hour)
			wrap(t, ts)
			clock = clock.Add(time.Hour)
			return b
		}, false},
		{"TLS-11 after 48 hours of silence", func(_ *tickets, b []byte) []byte { clock = clock.Add(48 * time.Hour); return b }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ts := newTickets()
			ticket := tt.with(ts, wrap(t, ts))
			if got := opens(t, ts, ticket); got != tt.want {
				t.Errorf("opens: %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("TLS-11 another key every day, and at most two", func(t *testing.T) {
		ts := newTickets()
		seen := map[time.Time]bool{}
		for range 10 * 24 {
			clock = clock.Add(time.Hour)
			wrap(t, ts)
			seen[ts.keys[0].born] = true
			if len(ts.keys) > 2 {
				t.Fatalf("%d keys", len(ts.keys))
			}
		}
		if len(seen) != 10 {
			t.Errorf("%d keys in ten days", len(seen))
		}
	})
	t.Run("TLS-11 the ticket is sealed", func(t *testing.T) {
		ts := newTickets()
		a, b := wrap(t, ts), wrap(t, ts)
		if bytes.Contains(a, []byte("mark")) || bytes.Equal(a, b) {
			t.Error("the ticket shows what is in it")
		}
	})
}
