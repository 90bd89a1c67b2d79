package fetch_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aikagi/aikagi/internal/fetch"
)

func TestAddresses(t *testing.T) {
	tests := []struct {
		why, addr string
		public    bool
	}{
		{"public", "8.8.8.8", true},
		{"public", "1.1.1.1", true},
		{"public, beside 172.16.0.0/12", "172.15.255.255", true},
		{"public, beside 172.16.0.0/12", "172.32.0.0", true},
		{"public, beside 100.64.0.0/10", "100.63.255.255", true},
		{"public, beside 100.64.0.0/10", "100.128.0.0", true},
		{"public, beside multicast", "223.255.255.255", true},
		{"public", "2606:4700:4700::1111", true},
		{"public", "2a00:1450:4001::1", true},
		{"public, beyond 2001::/23", "2001:200::1", true},
		{"public through NAT64", "64:ff9b::808:808", true},

		{"loopback", "127.0.0.1", false},
		{"loopback", "127.255.255.254", false},
		{"loopback", "::1", false},
		{"unspecified", "0.0.0.0", false},
		{"unspecified", "::", false},
		{"this network", "0.1.2.3", false},
		{"private", "10.0.0.1", false},
		{"private", "172.16.0.1", false},
		{"private", "172.31.255.255", false},
		{"private", "192.168.1.1", false},
		{"carriers' NAT", "100.64.0.1", false},
		{"carriers' NAT", "100.127.255.255", false},
		{"metadata", "169.254.169.254", false},
		{"metadata", "169.254.170.2", false},
		{"metadata", "100.100.100.200", false},
		{"metadata", "192.0.0.192", false},
		{"metadata", "168.63.129.16", false},
		{"metadata", "fd00:ec2::254", false},
		{"link-local", "fe80::1", false},
		{"link-local with zone", "fe80::1%eth0", false},
		{"site-local", "fec0::1", false},
		{"unique local", "fc00::1", false},
		{"unique local", "fdff::1", false},
		{"benchmarking", "198.18.0.1", false},
		{"documentation", "192.0.2.1", false},
		{"documentation", "198.51.100.1", false},
		{"documentation", "203.0.113.1", false},
		{"documentation", "2001:db8::1", false},
		{"documentation", "3fff::1", false},
		{"multicast", "224.0.0.1", false},
		{"multicast", "ff02::1", false},
		{"reserved", "240.0.0.1", false},
		{"broadcast", "255.255.255.255", false},
		{"6to4 relay", "192.88.99.1", false},
		{"loopback in IPv6", "::ffff:127.0.0.1", false},
		{"metadata in IPv6", "::ffff:169.254.169.254", false},
		{"loopback, IPv4-compatible", "::127.0.0.1", false},
		{"loopback, IPv4-translated", "::ffff:0:127.0.0.1", false},
		{"loopback through NAT64", "64:ff9b::7f00:1", false},
		{"metadata through NAT64", "64:ff9b::a9fe:a9fe", false},
		{"local NAT64", "64:ff9b:1::808:808", false},
		{"loopback through 6to4", "2002:7f00:1::1", false},
		{"Teredo", "2001::1", false},
		{"ORCHID", "2001:20::1", false},
		{"discard", "100::1", false},
		{"not assigned", "4000::1", false},
	}
	for _, tt := range tests {
		t.Run("RFC8725-3.10-2 "+tt.why+" "+tt.addr, func(t *testing.T) {
			addr := netip.MustParseAddr(tt.addr)
			err := new(fetch.Client).Dialable(addr)
			if tt.public && err != nil || !tt.public && !errors.Is(err, fetch.ErrAddress) {
				t.Errorf("%v, want public %v", err, tt.public)
			}
			if addr.Zone() != "" {
				return
			}
			all := &fetch.Client{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
			if err := all.Dialable(addr); err != nil {
				t.Errorf("all allowed, and yet %v", err)
			}
		})
	}
}

func TestAllowPrivate(t *testing.T) {
	c := &fetch.Client{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/32")}}
	for addr, ok := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "fd12::1": true, "8.8.8.8": true,
		"10.2.0.1": false, "127.0.0.1": false, "fd13::1": false, "::1": false, "169.254.169.254": false,
	} {
		if err := c.Dialable(netip.MustParseAddr(addr)); (err == nil) != ok {
			t.Errorf("%s: %v, want ok %v", addr, err, ok)
		}
	}
}

func TestControlRefusesTheUnknown(t *testing.T) {
	c := new(fetch.Client)
	for _, a := range [][2]string{{"tcp4", "8.8.8.8"}, {"tcp4", ""}, {"tcp4", "example.com:443"}, {"udp4", "8.8.8.8:443"}, {"unix", "/run/sock"}} {
		if err := c.Control(a[0], a[1]); !errors.Is(err, fetch.ErrAddress) {
			t.Errorf("%s %s: %v, want ErrAddress", a[0], a[1], err)
		}
	}
}

// listen counts connections to a TLS server on 127.0.0.1 that must get none.
func listen(t *testing.T) (port string, connections *atomic.Int32) {
	connections = new(atomic.Int32)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(jwks))
	quiet(srv)
	srv.Listener = counted{l, connections}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, connections
}

type counted struct {
	net.Listener
	n *atomic.Int32
}

func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

func TestPrivateIsNotDialed(t *testing.T) {
	port, connections := listen(t)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "2130706433", "0x7f.1", "127.1"} {
		t.Run("RFC8725-3.10-2 "+host, func(t *testing.T) {
			c := new(fetch.Client)
			if _, _, err := c.Get(t.Context(), "https://"+host+":"+port); err == nil {
				t.Error("Get: no error")
			}
			if n := connections.Load(); n != 0 {
				t.Errorf("%d connections", n)
			}
		})
	}
	t.Run("RFC8725-3.10-2 a public name with a private address", func(t *testing.T) {
		c := new(fetch.Client)
		c.SetResolver(new(zone).answer("127.0.0.1").resolver(t))
		_, _, err := c.Get(t.Context(), "https://example.com:"+port)
		if n := connections.Load(); !errors.Is(err, fetch.ErrAddress) || n != 0 {
			t.Errorf("Get: %v, %d connections", err, n)
		}
	})
}

// DNS rebinding: the name's owner answers the first look-up with an address
// that is allowed and the next with one that is not. 127.0.0.2 stands for the
// public address, and 127.0.0.1 for what the attacker wants to reach.
func TestRebinding(t *testing.T) {
	port, connections := listen(t)
	l, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skip("no second loopback address: ", err)
	}
	dns := new(zone).answer("127.0.0.2")
	srv, c := serveOn(t, l, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/rebind" { // look up again, and find the other address
			dns.answer("127.0.0.1")
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		jwks(w, r)
	})
	defer srv.Close()
	c.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	c.SetResolver(dns.resolver(t))
	url := "https://example.com:" + port

	if _, _, err := c.Get(t.Context(), url); err != nil {
		t.Fatalf("before: %v", err)
	}
	t.Run("RFC8725-3.10-2 between a request and its redirect", func(t *testing.T) {
		_, _, err := c.Get(t.Context(), url+"/rebind")
		if n := connections.Load(); !errors.Is(err, fetch.ErrAddress) || n != 0 {
			t.Errorf("Get: %v, %d connections", err, n)
		}
	})
	t.Run("RFC8725-3.10-2 between two requests", func(t *testing.T) {
		_, _, err := c.Get(t.Context(), url)
		if n := connections.Load(); !errors.Is(err, fetch.ErrAddress) || n != 0 {
			t.Errorf("Get: %v, %d connections", err, n)
		}
	})
	t.Run("RFC8725-3.10-2 both addresses in one answer", func(t *testing.T) {
		dns.answer("127.0.0.1", "127.0.0.2")
		_, _, err := c.Get(t.Context(), url)
		if n := connections.Load(); err != nil || n != 0 {
			t.Errorf("Get: %v, %d connections to the wrong address", err, n)
		}
	})
}

// A zone is a name server that has the same addresses for every name.
type zone struct {
	mu    sync.Mutex
	addrs []netip.Addr
}

func (z *zone) answer(addrs ...string) *zone {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addrs = nil
	for _, a := range addrs {
		z.addrs = append(z.addrs, netip.MustParseAddr(a))
	}
	return z
}

func (z *zone) resolver(t *testing.T) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe() // no net.PacketConn, so messages are framed as over TCP
		t.Cleanup(func() { server.Close() })
		go z.serve(server)
		return client, nil
	}}
}

func (z *zone) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, msg); err != nil {
			return
		}
		res := z.respond(msg)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(res))), res...)); err != nil {
			return
		}
	}
}

// respond answers a query of type A from the zone, and any other with nothing
// (RFC 1035, 4.1).
func (z *zone) respond(query []byte) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	end := 12 // of the question, behind the header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // root label, type, class
	addrs := z.addrs
	if qtype := binary.BigEndian.Uint16(query[end-4:]); qtype != 1 {
		addrs = nil
	}
	res := append([]byte(nil), query[:2]...)                          // id
	res = append(res, 0x84, 0, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0) // authoritative answer
	res = append(res, query[12:end]...)
	for _, a := range addrs {
		res = append(res, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // name as asked, A, IN, TTL 0
		res = append(res, a.AsSlice()...)
	}
	return res
}

// serveOn is serve on a listener of the caller's.
func serveOn(t *testing.T, l net.Listener, h http.HandlerFunc) (*httptest.Server, *fetch.Client) {
	t.Helper()
	srv, c := serve(t, h)
	srv.Listener.Close()
	second := httptest.NewUnstartedServer(h)
	quiet(second)
	second.Listener.Close()
	second.Listener = l
	second.TLS = srv.TLS
	second.StartTLS()
	return second, c
}

func FuzzFreshness(f *testing.F) {
	f.Add("max-age=60", "5")
	f.Add("no-store, max-age=9", "")
	f.Add(`private="a, max-age=1", max-age="7"`, "-1")
	f.Add(strings.Repeat(",", 100), "99999999999999999999")
	f.Fuzz(func(t *testing.T, control, age string) {
		h := http.Header{"Cache-Control": {control}, "Age": {age}}
		got := fetch.Freshness(h)
		if got > 0 && !strings.Contains(strings.ToLower(control), "max-age") {
			t.Errorf("%q may be kept %v", control, got)
		}
		h.Add("Cache-Control", "no-store")
		if got := fetch.Freshness(h); got != 0 {
			t.Errorf("%q with no-store may be kept %v", control, got)
		}
	})
}
