package fetch_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aikagi/aikagi/internal/fetch"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// serve starts a TLS server and returns it with a client that may reach it and
// trusts its certificate, which is for 127.0.0.1 and example.com.
func serve(t testing.TB, h http.HandlerFunc) (*httptest.Server, *fetch.Client) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	quiet(srv)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv, &fetch.Client{AllowPrivate: loopback, RootCAs: roots}
}

// quiet keeps handshakes that are meant to fail out of the log.
func quiet(srv *httptest.Server) {
	srv.Config.ErrorLog = discard
}

func jwks(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[]}`) }

func TestGet(t *testing.T) {
	var got *http.Request
	srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		http.SetCookie(w, &http.Cookie{Name: "who", Value: "you"})
		w.Header().Set("Cache-Control", "public, max-age=600")
		jwks(w, r)
	})
	for range 2 {
		body, maxAge, err := c.Get(t.Context(), srv.URL+"/jwks?a=b")
		if err != nil || string(body) != `{"keys":[]}` || maxAge != 10*time.Minute {
			t.Fatalf("Get: %q, %v, %v", body, maxAge, err)
		}
	}
	t.Run("FAPI2-SP-5.2.1-1 FAPI2-SP-5.4.2-1 https works", func(t *testing.T) {
		if got.TLS == nil || got.URL.String() != "/jwks?a=b" {
			t.Errorf("asked for %s, TLS %v", got.URL, got.TLS != nil)
		}
	})
	t.Run("RFC8725-3.10-2 no cookies and no credentials, even the second time", func(t *testing.T) {
		for _, h := range []string{"Cookie", "Authorization", "Referer"} {
			if v := got.Header.Get(h); v != "" {
				t.Errorf("%s: %q", h, v)
			}
		}
	})
	t.Run("asks for keys, without compression", func(t *testing.T) {
		if a := got.Header.Get("Accept"); a != "application/jwk-set+json, application/json" {
			t.Errorf("Accept: %q", a)
		}
		if e := got.Header.Get("Accept-Encoding"); e != "" {
			t.Errorf("Accept-Encoding: %q", e)
		}
	})
}

func TestURL(t *testing.T) {
	// The host of the bad ones has no address: Get must not look for it.
	tests := []struct {
		name, url string
		ok        bool
	}{
		{"FAPI2-SP-5.4.2-1 https", "https://fintech.invalid/jwks", true},
		{"https with port, path and query", "https://fintech.invalid:8443/a/b?c=d", true},
		{"scheme in capitals", "HTTPS://fintech.invalid/jwks", true},
		{"FAPI2-SP-5.2.1-1 FAPI2-SP-5.4.2-1 http", "http://fintech.invalid/jwks", false},
		{"RFC8725-3.10-2 a file", "file:///etc/passwd", false},
		{"RFC8725-3.10-2 gopher", "gopher://fintech.invalid/", false},
		{"data", "data:application/json,{}", false},
		{"no scheme", "//fintech.invalid/jwks", false},
		{"relative", "/jwks", false},
		{"empty", "", false},
		{"no host", "https:///jwks", false},
		{"a port and no host", "https://:443/jwks", false},
		{"opaque", "https:fintech.invalid", false},
		{"user", "https://a@fintech.invalid/jwks", false},
		{"user and password", "https://a:b@fintech.invalid/jwks", false},
		{"empty user", "https://@fintech.invalid/jwks", false},
		{"fragment", "https://fintech.invalid/jwks#x", false},
		{"empty fragment", "https://fintech.invalid/jwks#", false},
		{"line break", "https://fintech.invalid/jwks\r\nHost: x", false},
		{"space in the host", "https://fintech .invalid/jwks", false},
		{"too long", "https://fintech.invalid/" + strings.Repeat("x", 2048), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := fetch.CheckURL(tt.url)
			if (err == nil) != tt.ok {
				t.Fatalf("CheckURL: %v, want ok %v", err, tt.ok)
			}
			if tt.ok {
				return
			}
			c := new(fetch.Client)
			c.SetResolver(&net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
				t.Error("looked up")
				return nil, io.EOF
			}})
			if _, _, got := c.Get(t.Context(), tt.url); got == nil || got.Error() != err.Error() {
				t.Errorf("Get: %v, want %v", got, err)
			}
		})
	}
	t.Run("an error does not show a password", func(t *testing.T) {
		for _, u := range []string{"https://a:secret@fintech.invalid/", "http://a:secret@fintech.invalid/", "https://a:secret@fin tech/"} {
			if err := fetch.CheckURL(u); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("CheckURL: %v", err)
			}
		}
	})
}

func TestAnswer(t *testing.T) {
	long := strings.Repeat("x", 1000)
	tests := []struct {
		name string
		h    http.HandlerFunc
		ok   bool
	}{
		{"as long as allowed", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, long) }, true},
		{"one byte longer, announced", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, long+"x") }, false},
		{"one byte longer, chunked", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, long)
			w.(http.Flusher).Flush()
			io.WriteString(w, "x")
		}, false},
		{"without an end", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, long)
			}
		}, false},
		{"cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "20")
			io.WriteString(w, "half")
		}, false},
		{"headers without an end", func(w http.ResponseWriter, r *http.Request) {
			for range 100 {
				w.Header().Add("X", long)
			}
			jwks(w, r)
		}, false},
		{"compressed though not asked", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			jwks(w, r)
		}, false},
		{"not found", http.NotFound, false},
		{"created", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(201); jwks(w, r) }, false},
		{"no content", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, false},
		{"partial", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(206); jwks(w, r) }, false},
		{"not modified", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }, false},
		{"server error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); jwks(w, r) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv, c := serve(t, tt.h)
			c.MaxBytes = int64(len(long))
			if _, _, err := c.Get(t.Context(), srv.URL); (err == nil) != tt.ok {
				t.Errorf("Get: %v, want ok %v", err, tt.ok)
			}
		})
	}
}

// A server that never answers, or never finishes, is left when the time is up,
// whatever the caller's context allows.
func TestTimeout(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"silent":                   func(http.ResponseWriter) {},
		"silent after the headers": func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"silent within the body":   func(w http.ResponseWriter) { io.WriteString(w, `{"keys":[`); w.(http.Flusher).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			srv, c := serve(t, func(w http.ResponseWriter, _ *http.Request) { begin(w); <-over })
			t.Cleanup(func() { close(over) }) // before the server closes
			c.Timeout = 100 * time.Millisecond
			if _, _, err := c.Get(context.Background(), srv.URL); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Get: %v, want a deadline exceeded", err)
			}
		})
	}
}

func TestRedirect(t *testing.T) {
	other, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") })
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the http server was asked") }))
	defer plain.Close()
	var srv *httptest.Server
	srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to, found := map[string]string{
			"/1":      "/0",
			"/2":      "/1",
			"/3":      "/2",
			"/loop":   "/loop",
			"/other":  other.URL,
			"/plain":  plain.URL,
			"/name":   strings.Replace(srv.URL, "127.0.0.1", "example.com", 1),
			"/port":   "https://127.0.0.1/",
			"/cloud":  "https://169.254.169.254/latest/meta-data/",
			"/user":   strings.Replace(srv.URL, "https://", "https://a:b@", 1) + "/0",
			"/scheme": strings.Replace(srv.URL, "https", "http", 1) + "/0",
			"/file":   "file:///etc/passwd",
		}[r.URL.Path]
		if found {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		if r.URL.Path != "/0" {
			t.Errorf("asked for %s", r.URL)
		}
		jwks(w, r)
	})
	for path, ok := range map[string]bool{
		"/0": true, "/1": true, "/2": true, "/3": false, "/loop": false, "/other": false, "/plain": false, "/name": false,
		"/port": false, "/cloud": false, "/user": false, "/scheme": false, "/file": false,
	} {
		t.Run("RFC8725-3.10-2 "+path, func(t *testing.T) {
			_, _, err := c.Get(t.Context(), srv.URL+path)
			if ok && err != nil || !ok && (err == nil || !strings.Contains(err.Error(), "redirect")) {
				t.Errorf("Get: %v, want ok %v", err, ok)
			}
		})
	}
}

// TestMain names a proxy that nobody serves, before anything asks for it.
func TestMain(m *testing.M) {
	os.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	os.Exit(m.Run())
}

// No proxy is taken from the environment: it would resolve names for us.
func TestNoProxy(t *testing.T) {
	// For loopback addresses none would be taken anyway, so it is a name.
	srv, c := serve(t, jwks)
	c.SetResolver(new(zone).answer("127.0.0.1").resolver(t))
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Get(t.Context(), "https://example.com:"+port); err != nil {
		t.Error(err)
	}
}

func TestHello(t *testing.T) {
	var hello atomic.Pointer[tls.ClientHelloInfo]
	srv := httptest.NewUnstartedServer(http.HandlerFunc(jwks))
	quiet(srv)
	srv.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello.Store(h)
		return nil, nil
	}}
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c := &fetch.Client{AllowPrivate: loopback, RootCAs: roots}
	if _, _, err := c.Get(t.Context(), srv.URL); err != nil {
		t.Fatal(err)
	}
	t.Run("FAPI2-SP-5.2.1-2 TLS 1.2 or newer", func(t *testing.T) {
		for _, v := range hello.Load().SupportedVersions {
			if v < tls.VersionTLS12 {
				t.Errorf("offers %s", tls.VersionName(v))
			}
		}
	})
	t.Run("FAPI2-SP-5.2.2-2 only the suites BCP 195 recommends", func(t *testing.T) {
		allowed := map[uint16]bool{
			0xc02b: true, 0xc02c: true, 0xc02f: true, 0xc030: true, // ECDHE with AES-GCM
			0x1301: true, 0x1302: true, 0x1303: true, // TLS 1.3
		}
		for _, s := range hello.Load().CipherSuites {
			if !allowed[s] {
				t.Errorf("offers %s", tls.CipherSuiteName(s))
			}
		}
	})
}
