package authz_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
)

// A keyServer is where clients publish their keys.
type keyServer struct {
	*httptest.Server
	mu     sync.Mutex
	body   []byte
	status int
	header http.Header
	hits   int
}

func newKeyServer(t *testing.T, keys ...map[string]any) *keyServer {
	s := &keyServer{status: 200, header: http.Header{}}
	s.publish(keys...)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hits++
		for name, v := range s.header {
			w.Header()[name] = v
		}
		w.WriteHeader(s.status)
		w.Write(s.body)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) publish(keys ...map[string]any) { s.answer(200, jwks(keys...)) }

func (s *keyServer) answer(status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

func (s *keyServer) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits
}

// reachable lets a bank fetch from s, which listens on the loopback address.
func (s *keyServer) reachable(c *authz.Config) {
	c.FetchPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	c.FetchRoots = x509.NewCertPool()
	c.FetchRoots.AddCert(s.Certificate())
}

// uriClient returns a client that publishes its key at s.
func uriClient(s *keyServer, id string) *fintech {
	f := keyClient(id)
	f.JWKS, f.JWKSURI = nil, s.URL+"/"+id
	s.publish(f.jwk())
	return f
}

func (f *fintech) jwk() map[string]any { return publicJWK(f.key.Public(), f.kid, f.alg) }

// rotate gives f another key with another kid.
func (f *fintech) rotate() {
	f.key, f.kid = newEC(), f.kid+"+"
}

// own asks for a token of the client's own.
func (f *fintech) own(b *bank) *http.Response {
	return b.do(f.request("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})))
}

// mustAnswer checks a token request that is to succeed.
func mustAnswer(t *testing.T, b *bank, res *http.Response) {
	t.Helper()
	if res.StatusCode != 200 {
		t.Errorf("answer is %d %v: %s", res.StatusCode, object(t, res), b.lastEvent().Reason)
	}
}

// mustFetch checks how often keys were fetched so far.
func (s *keyServer) mustFetch(t *testing.T, want int) {
	t.Helper()
	if n := s.fetches(); n != want {
		t.Errorf("keys were fetched %d times, want %d", n, want)
	}
}

func TestKeysByURI(t *testing.T) {
	t.Run("FAPI2-SP-5.4.2-0 fetched once and kept", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable)
		for range 5 {
			mustAnswer(t, b, f.own(b))
		}
		s.mustFetch(t, 1)
	})
	t.Run("FAPI2-SP-5.4.3-2 a new key works at once", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable)
		mustAnswer(t, b, f.own(b))
		f.rotate()
		s.publish(f.jwk())
		mustAnswer(t, b, f.own(b))
		mustAnswer(t, b, f.own(b))
		s.mustFetch(t, 2)
	})
	t.Run("OIDC-SE-8 a key that is not there is looked for once a minute", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable)
		thief := *f
		thief.rotate()
		for range 3 {
			mustRefuse(t, b, thief.own(b), 401, "invalid_client", "RFC7523-3-7")
		}
		s.mustFetch(t, 2)
		b.clock.Advance(59 * time.Second)
		mustRefuse(t, b, thief.own(b), 401, "invalid_client", "RFC7523-3-7")
		s.mustFetch(t, 2)
		b.clock.Advance(time.Second)
		mustRefuse(t, b, thief.own(b), 401, "invalid_client", "RFC7523-3-7")
		s.mustFetch(t, 3)
		mustAnswer(t, b, f.own(b))
	})
	t.Run("FAPI2-SP-5.4.3-2 a storm of unknown kids, and the client in the middle of it", func(t *testing.T) {
		s := newKeyServer(t)
		f, other := uriClient(s, "kakeibo"), uriClient(s, "other")
		s.publish(f.jwk(), other.jwk())
		b := newBank(t, clients(f, other), s.reachable)
		wins := race(func(i int) bool {
			if i == 7 {
				return f.own(b).StatusCode == 200
			}
			thief := *f
			thief.key, thief.kid = newEC(), rand.Text()
			return thief.own(b).StatusCode == 200
		})
		if wins != 1 {
			t.Errorf("%d were answered, want the client", wins)
		}
		s.mustFetch(t, 2)
		mustAnswer(t, b, other.own(b)) // whom it does not concern
		s.mustFetch(t, 3)
	})
	t.Run("FAPI2-SP-5.4.3-2 a wrong signature under a known kid fetches nothing", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable)
		mustAnswer(t, b, f.own(b))
		thief := *f
		thief.key = newEC()
		mustRefuse(t, b, thief.own(b), 401, "invalid_client", "RFC7523-3-7")
		s.mustFetch(t, 1)
	})
	t.Run("FAPI2-SP-5.4.3-2 another algorithm fetches nothing", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable)
		mustAnswer(t, b, f.own(b))
		thief := *f
		thief.key, thief.alg, thief.kid = rsaKey(), "RS256", "x"
		mustRefuse(t, b, thief.own(b), 401, "invalid_client", "FAPI2-SP-5.4.1-1b")
		s.mustFetch(t, 1)
	})
	t.Run("FAPI2-SP-6.8-1 a withdrawn key works until the set is stale", func(t *testing.T) {
		s := newKeyServer(t)
		s.header.Set("Cache-Control", "max-age=120")
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable)
		mustAnswer(t, b, f.own(b))
		old := *f
		f.rotate()
		s.publish(f.jwk())
		b.clock.Advance(119 * time.Second)
		mustAnswer(t, b, old.own(b))
		b.clock.Advance(time.Second)
		mustRefuse(t, b, old.own(b), 401, "invalid_client", "RFC7523-3-7")
		mustAnswer(t, b, f.own(b))
	})
	t.Run("FAPI2-SP-6.8-1 or until any other key is looked for", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable)
		mustAnswer(t, b, f.own(b))
		old := *f
		f.rotate()
		s.publish(f.jwk())
		mustAnswer(t, b, f.own(b))
		mustRefuse(t, b, old.own(b), 401, "invalid_client", "RFC7523-3-7")
	})
	t.Run("FAPI2-SP-6.8-1 a key that the registry no longer has is refused at once", func(t *testing.T) {
		f := keyClient("kakeibo")
		now := f.Client
		b := newBank(t, nil, func(c *authz.Config) {
			c.Clients = registryFunc(func(string) (*authz.Client, error) { return now, nil })
		})
		mustAnswer(t, b, f.own(b))
		old := *f
		f.rotate()
		changed := *f.Client
		changed.JWKS = jwks(f.jwk())
		now = &changed
		mustRefuse(t, b, old.own(b), 401, "invalid_client", "RFC7523-3-7")
		mustAnswer(t, b, f.own(b))
	})
}

// TestKeyServerDown: what a client's own server does wrong costs that client.
func TestKeyServerDown(t *testing.T) {
	page := []byte("<!doctype html><title>Down for maintenance</title>")
	private := publicJWK(newEC().Public(), "p", "ES256")
	private["d"] = b64url(make([]byte, 32))
	failures := []struct {
		name   string
		status int
		body   []byte
	}{
		{"answers 500", 500, page},
		{"answers 404", 404, page},
		{"answers with a page", 200, page},
		{"answers with nothing", 200, nil},
		{"answers with a private key", 200, jwks(private)},
		{"answers with more than 128 KiB", 200, append(bytes.Repeat([]byte(" "), 128<<10), jwks()...)},
		{"redirects to another host", 302, nil},
	}
	for _, tt := range failures {
		t.Run("RFC7523-3-7 a server that never worked "+tt.name, func(t *testing.T) {
			s := newKeyServer(t)
			f := uriClient(s, "kakeibo")
			elsewhere := newKeyServer(t, f.jwk())
			s.header.Set("Location", strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)+"/jwks")
			b := newBank(t, clients(f), s.reachable)
			s.answer(tt.status, tt.body)
			mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7")
			elsewhere.mustFetch(t, 0)

			s.publish(f.jwk())
			n := s.fetches()
			mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7") // not asked again so soon
			s.mustFetch(t, n)
			b.clock.Advance(5 * time.Second)
			mustAnswer(t, b, f.own(b))
		})
		t.Run("RFC7523-3-7 a server that used to work "+tt.name, func(t *testing.T) {
			s := newKeyServer(t)
			f := uriClient(s, "kakeibo")
			b := newBank(t, clients(f), s.reachable)
			mustAnswer(t, b, f.own(b))
			s.answer(tt.status, tt.body)

			thief := *f
			thief.rotate()
			mustRefuse(t, b, thief.own(b), 401, "invalid_client", "RFC7523-3-7")
			s.mustFetch(t, 2)
			mustAnswer(t, b, f.own(b))
			b.clock.Advance(30 * time.Minute)
			mustAnswer(t, b, f.own(b))
			b.clock.Advance(time.Hour) // now the last good set is too old
			mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7")
		})
	}
	t.Run("RFC7523-3-7 a server that is not there", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable)
		s.Close()
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7")
	})
	t.Run("FAPI2-SP-5.4.1-2 a weak key among the fetched is not used", func(t *testing.T) {
		weak, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		good := f.jwk()
		s.publish(publicJWK(weak.Public(), "weak", "PS256"), good)
		b := newBank(t, clients(f), s.reachable)
		mustAnswer(t, b, f.own(b))
		f.key, f.alg, f.kid = weak, "PS256", "weak"
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7")
	})
}

// TestNoOtherFetch: nobody makes the server ask where it should not.
func TestNoOtherFetch(t *testing.T) {
	t.Run("FAPI2-SP-5.2.1-5 a server nobody vouches for", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable, func(c *authz.Config) { c.FetchRoots = x509.NewCertPool() })
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7")
		s.mustFetch(t, 0)
	})
	t.Run("FAPI2-SP-5.2.1-1 a private address", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, clients(f), s.reachable, func(c *authz.Config) { c.FetchPrivate = nil })
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7")
		s.mustFetch(t, 0)
	})
	t.Run("FAPI2-SP-5.4.2-1 a jwks_uri without TLS", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		f.JWKSURI = strings.Replace(f.JWKSURI, "https:", "http:", 1)
		b := newBank(t, clients(f), s.reachable)
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "FAPI2-SP-5.4.2-1")
		s.mustFetch(t, 0)
	})
	for _, header := range []string{"jku", "x5u"} {
		t.Run("FAPI2-SP-5.4.2-2 "+header+" is not followed", func(t *testing.T) {
			key := newEC()
			theirs := newKeyServer(t, publicJWK(key.Public(), "evil", "ES256"))
			byValue := keyClient("by-value")
			s := newKeyServer(t)
			byURI := uriClient(s, "by-uri")
			b := newBank(t, clients(byValue, byURI), s.reachable, func(c *authz.Config) { c.FetchRoots.AddCert(theirs.Certificate()) })
			for _, f := range []*fintech{byValue, byURI} {
				for _, kid := range []string{"evil", f.kid} {
					h := map[string]any{"alg": "ES256", "kid": kid, header: theirs.URL + "/jwks"}
					v := f.asserting(url.Values{"grant_type": {"client_credentials"}}, jwt(h, f.assertion(b), key))
					mustRefuse(t, b, b.do(f.request("/token", v)), 401, "invalid_client", "RFC7523-3-7")
				}
				h := map[string]any{"alg": "ES256", "kid": f.kid, header: theirs.URL + "/jwks"}
				v := f.asserting(url.Values{"grant_type": {"client_credentials"}}, jwt(h, f.assertion(b), f.key))
				mustAnswer(t, b, b.do(f.request("/token", v))) // it is no harm, if the key is right
			}
			theirs.mustFetch(t, 0)
		})
	}
	t.Run("FAPI2-SP-5.4.2-2 an unknown client makes no fetch", func(t *testing.T) {
		s := newKeyServer(t)
		f := uriClient(s, "kakeibo")
		b := newBank(t, nil, s.reachable)
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC6749-5.2-2")
		s.mustFetch(t, 0)
	})
}

// TestCertificatesByURI is self_signed_tls_client_auth with a jwks_uri.
func TestCertificatesByURI(t *testing.T) {
	// certified gives f a new certificate and returns its JWK.
	certified := func(f *fintech) map[string]any {
		key := newEC()
		f.chain = []*x509.Certificate{selfSigned(key, f.ID)}
		jwk := publicJWK(key.Public(), rand.Text(), "ES256")
		jwk["x5c"] = []string{base64.StdEncoding.EncodeToString(f.chain[0].Raw)}
		return jwk
	}
	client := func(s *keyServer) *fintech {
		f := selfSignedClient("kakeibo")
		f.JWKS, f.JWKSURI = nil, s.URL+"/jwks"
		s.publish(certified(f))
		return f
	}
	t.Run("E2E-16 a new certificate works after one refresh", func(t *testing.T) {
		s := newKeyServer(t)
		f := client(s)
		b := newBank(t, clients(f), s.reachable)
		mustAnswer(t, b, f.own(b))
		s.publish(certified(f))
		mustAnswer(t, b, f.own(b))
		mustAnswer(t, b, f.own(b))
		s.mustFetch(t, 2)
	})
	t.Run("E2E-17 a hundred certificates of strangers", func(t *testing.T) {
		s := newKeyServer(t)
		f := client(s)
		b := newBank(t, clients(f), s.reachable)
		thief := *f
		for range 100 {
			certified(&thief)
			mustRefuse(t, b, thief.own(b), 401, "invalid_client", "RFC8705-2.2-2")
		}
		s.mustFetch(t, 2)
		mustAnswer(t, b, f.own(b))
	})
	t.Run("RFC8705-2.2-5 a stranger a minute is one fetch a minute", func(t *testing.T) {
		s := newKeyServer(t)
		s.header.Set("Cache-Control", "max-age=3600")
		f := client(s)
		b := newBank(t, clients(f), s.reachable)
		thief := *f
		certified(&thief)
		for range 3 {
			mustRefuse(t, b, thief.own(b), 401, "invalid_client", "RFC8705-2.2-2")
			mustRefuse(t, b, thief.own(b), 401, "invalid_client", "RFC8705-2.2-2")
			b.clock.Advance(time.Minute)
		}
		s.mustFetch(t, 4)
	})
	t.Run("RFC8705-2.2-1 a set without certificates", func(t *testing.T) {
		s := newKeyServer(t)
		f := client(s)
		s.publish(publicJWK(newEC().Public(), "k", "ES256"))
		b := newBank(t, clients(f), s.reachable)
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC8705-2.2-2")
	})
	t.Run("RFC8705-2.2-4 a certificate beside another key", func(t *testing.T) {
		s := newKeyServer(t)
		f := client(s)
		jwk := publicJWK(newEC().Public(), "k", "ES256")
		jwk["x5c"] = []string{base64.StdEncoding.EncodeToString(f.chain[0].Raw)}
		s.publish(jwk)
		b := newBank(t, clients(f), s.reachable)
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC8705-2.2-2")
	})
	t.Run("RFC8705-2.2-7 a certificate in base64url", func(t *testing.T) {
		s := newKeyServer(t)
		f := client(s)
		key := newEC()
		f.chain = []*x509.Certificate{selfSigned(key, f.ID)}
		jwk := publicJWK(key.Public(), "k", "ES256")
		jwk["x5c"] = []string{b64url(f.chain[0].Raw)}
		s.publish(jwk)
		b := newBank(t, clients(f), s.reachable)
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC8705-2.2-2")
	})
	t.Run("RFC8705-2-5 a server that is down", func(t *testing.T) {
		s := newKeyServer(t)
		f := client(s)
		s.answer(500, nil)
		b := newBank(t, clients(f), s.reachable)
		mustRefuse(t, b, f.own(b), 401, "invalid_client", "RFC7523-3-7")
	})
}
