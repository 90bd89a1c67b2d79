package mtls_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/mtls"
)

// A side is what one side of a handshake made of it.
type side struct {
	state tls.ConnectionState
	err   error
}

// handshake connects two peers. A client of TLS 1.3 learns only from what comes
// next whether its certificate was taken, so a byte follows.
func handshake(t *testing.T, server, client *tls.Config) (s, c side) {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	sc, cc := tls.Server(a, server), tls.Client(b, client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.Close()
		if s.err = sc.Handshake(); s.err == nil {
			_, s.err = sc.Write([]byte{1})
		}
		s.state = sc.ConnectionState()
	}()
	if c.err = cc.Handshake(); c.err == nil {
		_, c.err = io.ReadFull(cc, make([]byte, 1))
	}
	c.state = cc.ConnectionState()
	b.Close()
	<-done
	return s, c
}

// serverCert returns a self-signed certificate for a server.
func serverCert(key crypto.Signer) tls.Certificate {
	c := template("as.bank.example")
	c.DNSNames = []string{"as.bank.example"}
	return pair(issue(c, key, nil))
}

func pair(e *entity) tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{e.cert.Raw}, PrivateKey: e.key, Leaf: e.cert}
}

// newClient returns a client that does not check the server's certificate:
// these tests are about the server.
func newClient(with ...func(*tls.Config)) *tls.Config {
	c := &tls.Config{ServerName: "as.bank.example", InsecureSkipVerify: true}
	for _, f := range with {
		f(c)
	}
	return c
}

func only12(suites ...uint16) func(*tls.Config) {
	return func(c *tls.Config) {
		c.MinVersion, c.MaxVersion, c.CipherSuites = tls.VersionTLS12, tls.VersionTLS12, suites
	}
}

var policies = map[string]mtls.Policy{"FAPI1NoResumption": mtls.FAPI1NoResumption, "FAPI1": mtls.FAPI1, "FAPI2": mtls.FAPI2, "Browser": mtls.Browser}

func TestPolicyVersions(t *testing.T) {
	rsaCert := serverCert(rsa2048())
	for _, godebug := range []string{"", "tls10server=1"} { // GO-4
		t.Setenv("GODEBUG", godebug)
		for name, p := range policies {
			for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
				t.Run("TLS-4 "+tls.VersionName(old)+" under "+name+" "+godebug, func(t *testing.T) {
					_, c := handshake(t, p.Config(rsaCert), newClient(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, old }))
					if c.err == nil || !strings.Contains(c.err.Error(), "remote error: tls: protocol version not supported") {
						t.Errorf("client: %v, want the alert protocol_version", c.err)
					}
				})
			}
			t.Run("TLS-5 TLS-3 CT-AS-53 both versions, under "+name+" "+godebug, func(t *testing.T) {
				_, c := handshake(t, p.Config(rsaCert), newClient())
				if c.err != nil || c.state.Version != tls.VersionTLS13 {
					t.Errorf("client: %s, %v, want TLS 1.3", tls.VersionName(c.state.Version), c.err)
				}
			})
			t.Run("FAPI2-SP-5.2.1-2 TLS 1.2 alone, under "+name+" "+godebug, func(t *testing.T) {
				_, c := handshake(t, p.Config(rsaCert), newClient(only12()))
				if c.err != nil || c.state.Version != tls.VersionTLS12 {
					t.Errorf("client: %s, %v, want TLS 1.2", tls.VersionName(c.state.Version), c.err)
				}
			})
		}
	}
}

func TestPolicySuites(t *testing.T) {
	rsaGCM := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
	ecdsaGCM := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	chacha := []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	allowed := map[string][]uint16{
		"FAPI1NoResumption": rsaGCM, // BR-26

		"FAPI1":   rsaGCM,                                  // FAPI1-ADV-8.5-1, without DHE
		"FAPI2":   slices.Concat(rsaGCM, ecdsaGCM),         // TLS-1
		"Browser": slices.Concat(rsaGCM, ecdsaGCM, chacha), // TLS-2
	}
	row := map[string]string{"FAPI1NoResumption": "BR-26 ", "FAPI1": "FAPI1-ADV-8.5-1 ", "FAPI2": "FAPI2-SP-5.2.2-1 FAPI2-SP-5.2.1-3 TLS-6 GO-1 CT-AS-53 ", "Browser": "FAPI2-SP-5.2.3-2 FAPI1-ADV-8.5-2 "}
	certs := []tls.Certificate{serverCert(rsa2048()), serverCert(newKey())}
	for name, p := range policies {
		// Every suite that crypto/tls has, the weak ones included.
		for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
			if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
				continue
			}
			t.Run(row[name]+suite.Name, func(t *testing.T) {
				_, c := handshake(t, p.Config(certs...), newClient(only12(suite.ID)))
				if slices.Contains(allowed[name], suite.ID) {
					if c.err != nil || c.state.CipherSuite != suite.ID {
						t.Errorf("client: %s, %v, want this suite", tls.CipherSuiteName(c.state.CipherSuite), c.err)
					}
				} else if c.err == nil || !strings.Contains(c.err.Error(), "remote error: tls: handshake failure") {
					t.Errorf("client: %v, want the alert handshake_failure", c.err)
				}
			})
		}
	}
	for _, name := range []string{"FAPI2", "Browser"} {
		t.Run("TLS-1 an ECDSA key alone under "+name, func(t *testing.T) {
			_, c := handshake(t, policies[name].Config(certs[1]), newClient(only12()))
			wantNone(t, c.err)
		})
	}
}

func TestPolicyOrder(t *testing.T) {
	suites := func(p mtls.Policy) []uint16 { return p.Config().CipherSuites }
	strictest := suites(mtls.FAPI1)
	t.Run("CONF-28 a shared listener takes the strictest", func(t *testing.T) {
		for _, p := range policies {
			for _, q := range policies {
				for _, suite := range suites(min(p, q)) {
					if !slices.Contains(suites(p), suite) || !slices.Contains(suites(q), suite) {
						t.Errorf("min(%d, %d) allows %s, and one of the two does not", p, q, tls.CipherSuiteName(suite))
					}
				}
			}
		}
		if got := suites(min(mtls.Browser, mtls.FAPI1, mtls.FAPI2)); !cmp.Equal(got, strictest) {
			t.Errorf("of all three: %v, want those of FAPI1, %v", got, strictest)
		}
		for _, p := range policies {
			if q := min(p, mtls.FAPI1NoResumption); !q.Config().SessionTicketsDisabled {
				t.Errorf("min(%d, FAPI1NoResumption) resumes sessions", p)
			}
		}
	})
	t.Run("the zero policy and unknown ones are the strictest", func(t *testing.T) {
		var zero mtls.Policy
		if !cmp.Equal(suites(zero), strictest) || !cmp.Equal(suites(mtls.Browser+1), strictest) || !cmp.Equal(suites(255), strictest) {
			t.Error("allow more than FAPI1")
		}
		if !zero.Config().SessionTicketsDisabled || !mtls.Policy(255).Config().SessionTicketsDisabled {
			t.Error("resume sessions")
		}
	})
}

func TestPolicyFAPI1ECDSA(t *testing.T) {
	ecdsaCert := serverCert(newKey())
	t.Run("GO-3 TLS 1.3 works", func(t *testing.T) {
		_, c := handshake(t, mtls.FAPI1.Config(ecdsaCert), newClient())
		if c.err != nil || c.state.Version != tls.VersionTLS13 {
			t.Errorf("client: %s, %v, want TLS 1.3", tls.VersionName(c.state.Version), c.err)
		}
	})
	t.Run("GO-3 TLS 1.2 is told why", func(t *testing.T) {
		_, c := handshake(t, mtls.FAPI1.Config(ecdsaCert), newClient(only12()))
		if c.err == nil || !strings.Contains(c.err.Error(), "remote error: tls: protocol version not supported") {
			t.Errorf("client: %v, want the alert protocol_version", c.err)
		}
	})
	t.Run("GO-3 with an RSA key beside it TLS 1.2 works", func(t *testing.T) {
		_, c := handshake(t, mtls.FAPI1.Config(ecdsaCert, serverCert(rsa2048())), newClient(only12()))
		wantNone(t, c.err)
	})
}

func TestPolicyGroups(t *testing.T) {
	server := mtls.FAPI2.Config(serverCert(newKey()))
	for _, tt := range []struct {
		name  string
		group tls.CurveID
		ok    bool
	}{
		{"TLS-7 X25519", tls.X25519, true},
		{"TLS-7 P-256", tls.CurveP256, true},
		{"TLS-7 X25519 and ML-KEM-768", tls.X25519MLKEM768, true},
		{"TLS-7 P-384", tls.CurveP384, false},
		{"TLS-7 P-521", tls.CurveP521, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, c := handshake(t, server, newClient(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tt.group} }))
			if (c.err == nil) != tt.ok || tt.ok && c.state.CurveID != tt.group {
				t.Errorf("client: %v, %v", c.state.CurveID, c.err)
			}
		})
	}
	t.Run("TLS-7 X25519 and ML-KEM-768 come first", func(t *testing.T) {
		_, c := handshake(t, server, newClient())
		if c.err != nil || c.state.CurveID != tls.X25519MLKEM768 {
			t.Errorf("client: %v, %v", c.state.CurveID, c.err)
		}
	})
}

func TestPolicyALPN(t *testing.T) {
	server := mtls.FAPI2.Config(serverCert(newKey()))
	offering := func(protocols ...string) *tls.Config {
		return newClient(func(c *tls.Config) { c.NextProtos = protocols })
	}
	for offered, want := range map[string]string{"h2": "h2", "http/1.1": "http/1.1", "": ""} {
		t.Run("TLS-12 ALPN "+offered, func(t *testing.T) {
			client := offering(offered)
			if offered == "" {
				client = offering()
			}
			if _, c := handshake(t, server, client); c.err != nil || c.state.NegotiatedProtocol != want {
				t.Errorf("client: %q, %v, want %q", c.state.NegotiatedProtocol, c.err, want)
			}
		})
	}
	t.Run("TLS-12 foreign ALPN", func(t *testing.T) {
		_, c := handshake(t, server, offering("imap"))
		if c.err == nil || !strings.Contains(c.err.Error(), "remote error: tls: no application protocol") {
			t.Errorf("client: %v, want the alert no_application_protocol", c.err)
		}
	})
}

// presents has a client present a certificate whatever the server asks for,
// and keeps what it asked for.
func presents(cert tls.Certificate, asked **tls.CertificateRequestInfo) func(*tls.Config) {
	return func(c *tls.Config) {
		c.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			*asked = info
			return &cert, nil
		}
	}
}

var versions = map[string]func(*tls.Config){"TLS 1.2": only12(), "TLS 1.3": func(*tls.Config) {}}

func TestMutualConfig(t *testing.T) {
	server := serverCert(rsa2048())
	ca := template("unknown ca")
	authority(ca)
	own := template("app")
	client(own)
	expired := template("app")
	expired.NotAfter = expired.NotBefore.Add(time.Second)
	forServers := template("app")
	forServers.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	certs := map[string]*entity{
		"RFC8705-2.2-3 self-signed":          issue(own, newKey(), nil),
		"GO-6 issued by an unknown CA":       issue(own, newKey(), issue(ca, newKey(), nil)),
		"GO-6 expired":                       issue(expired, newKey(), nil),
		"GO-6 for servers":                   issue(forServers, newKey(), nil),
		"RFC8705-2.2-3 with a weak key, too": issue(own, newRSAKey(1024), nil),
	}
	for policy, p := range policies {
		for version, with := range versions {
			suffix := ", " + version + ", " + policy
			for name, e := range certs {
				if e.cert.PublicKeyAlgorithm == x509.RSA && policy != "FAPI2" {
					continue // enough
				}
				t.Run(name+" arrives"+suffix, func(t *testing.T) {
					var asked *tls.CertificateRequestInfo
					s, c := handshake(t, p.MutualConfig(server), newClient(with, presents(pair(e), &asked)))
					if err := errors.Join(s.err, c.err); err != nil {
						t.Fatal(err)
					}
					if got := s.state.PeerCertificates; len(got) != 1 || !got[0].Equal(e.cert) {
						t.Errorf("the server sees %d certificates, want the client's", len(got))
					}
					if len(s.state.VerifiedChains) != 0 {
						t.Error("the handshake trusted the certificate")
					}
				})
			}
			t.Run("GO-5 RFC8705-3-4 no authorities are named"+suffix, func(t *testing.T) {
				var asked *tls.CertificateRequestInfo
				_, c := handshake(t, p.MutualConfig(server), newClient(with, presents(pair(certs["RFC8705-2.2-3 self-signed"]), &asked)))
				wantNone(t, c.err)
				if asked == nil || len(asked.AcceptableCAs) != 0 {
					t.Errorf("the server asked for %+v, want a certificate of anybody's", asked)
				}
			})
			t.Run("RFC8705-6.1-1 no certificate is fine"+suffix, func(t *testing.T) {
				s, c := handshake(t, p.MutualConfig(server), newClient(with))
				wantNone(t, errors.Join(s.err, c.err))
				if len(s.state.PeerCertificates) != 0 {
					t.Error("the server sees a certificate")
				}
			})
			t.Run("RFC8705-6.1-2 Config asks for none"+suffix, func(t *testing.T) {
				var asked *tls.CertificateRequestInfo
				s, c := handshake(t, p.Config(server), newClient(with, presents(pair(certs["RFC8705-2.2-3 self-signed"]), &asked)))
				wantNone(t, errors.Join(s.err, c.err))
				if asked != nil || len(s.state.PeerCertificates) != 0 {
					t.Error("the server asked for a certificate")
				}
			})
		}
	}
	t.Run("RFC8705-2-2 a certificate without its key does not arrive", func(t *testing.T) {
		stolen := pair(certs["RFC8705-2.2-3 self-signed"])
		stolen.PrivateKey = newKey()
		var asked *tls.CertificateRequestInfo
		s, c := handshake(t, mtls.FAPI2.MutualConfig(server), newClient(presents(stolen, &asked)))
		wantError(t, s.err)
		wantError(t, c.err)
	})
}

func TestResumption(t *testing.T) {
	server := serverCert(rsa2048())
	own := template("app")
	client(own)
	e := issue(own, newKey(), nil)
	resuming := func(with func(*tls.Config)) *tls.Config {
		var asked *tls.CertificateRequestInfo
		return newClient(with, presents(pair(e), &asked), func(c *tls.Config) {
			c.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		})
	}
	for version, with := range versions {
		// The sessions of these handshakes are young by the real clock, and the
		// server judges the client certificate's validity by Time.
		setUp := func() (*tls.Config, *tls.Config) {
			s := mtls.FAPI2.MutualConfig(server)
			s.Time = func() time.Time { return now }
			c := resuming(with)
			c.Time = s.Time
			return s, c
		}
		t.Run("TLS-10 LAY-2 the certificate stays, "+version, func(t *testing.T) {
			sc, cc := setUp()
			for i := range 3 {
				s, c := handshake(t, sc.Clone(), cc)
				if err := errors.Join(s.err, c.err); err != nil {
					t.Fatal(err)
				}
				if s.state.DidResume != (i > 0) {
					t.Fatalf("handshake %d resumed: %v", i, s.state.DidResume)
				}
				if got := s.state.PeerCertificates; len(got) != 1 || !got[0].Equal(e.cert) {
					t.Errorf("handshake %d: the server sees %d certificates, want the client's", i, len(got))
				}
			}
		})
		t.Run("TLS-10 not with a certificate that has expired, "+version, func(t *testing.T) {
			sc, cc := setUp()
			handshake(t, sc, cc)
			later := sc.Clone()
			later.Time = func() time.Time { return e.cert.NotAfter.Add(time.Second) }
			s, c := handshake(t, later, cc)
			wantNone(t, errors.Join(s.err, c.err))
			if s.state.DidResume {
				t.Error("resumed")
			}
		})
		t.Run("LAY-3 not with another listener, "+version, func(t *testing.T) {
			sc, cc := setUp()
			handshake(t, sc, cc)
			other := mtls.FAPI2.MutualConfig(server)
			other.Time = sc.Time
			s, c := handshake(t, other, cc)
			wantNone(t, errors.Join(s.err, c.err))
			if s.state.DidResume {
				t.Error("resumed with a ticket of another listener")
			}
		})
		t.Run("GO-8 not where a host forbids it, "+version, func(t *testing.T) {
			sc, cc := setUp()
			sc.SessionTicketsDisabled = true
			handshake(t, sc, cc)
			s, c := handshake(t, sc, cc)
			wantNone(t, errors.Join(s.err, c.err))
			if s.state.DidResume {
				t.Error("resumed")
			}
		})
		t.Run("BR-26 OV-19 not under FAPI1NoResumption, "+version, func(t *testing.T) {
			sc, cc := setUp()
			cache := &lastSession{}
			cc.ClientSessionCache = cache
			_, c := handshake(t, sc, cc) // of a listener that resumes
			wantNone(t, c.err)
			if cache.session == nil {
				t.Fatal("no ticket")
			}
			full := mtls.FAPI1NoResumption.MutualConfig(server)
			full.Time, full.WrapSession, full.UnwrapSession = sc.Time, sc.WrapSession, sc.UnwrapSession // so that it could
			old := cache.session
			for range 2 {
				s, c := handshake(t, full, cc)
				wantNone(t, errors.Join(s.err, c.err))
				if s.state.DidResume || c.state.DidResume || len(s.state.PeerCertificates) != 1 {
					t.Error("resumed")
				}
			}
			if cache.session != old {
				t.Error("a ticket was given")
			}
		})
		t.Run("TLS-8 LAY-4 GO-9 tickets do not allow early data, "+version, func(t *testing.T) {
			sc, cc := setUp()
			cache := &lastSession{}
			cc.ClientSessionCache = cache
			_, c := handshake(t, sc, cc)
			wantNone(t, c.err)
			if cache.session == nil {
				t.Fatal("no ticket")
			}
			if _, state, err := cache.session.ResumptionState(); err != nil || state.EarlyData {
				t.Errorf("early data: %v, %v", state.EarlyData, err)
			}
		})
		t.Run("TLS-11 tickets live two days at most, "+version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				at := func() time.Time { return now.Add(time.Since(start) / 1000) } // spare the certificates
				sc, cc := setUp()
				sc.Time, cc.Time = at, at
				resumed := func() bool {
					// The ticket of the first handshake, not one that a later one brought.
					c := cc.Clone()
					c.ClientSessionCache = &readOnly{cc.ClientSessionCache}
					s, cl := handshake(t, sc, c)
					wantNone(t, errors.Join(s.err, cl.err))
					return s.state.DidResume
				}
				handshake(t, sc, cc)
				time.Sleep(47 * time.Hour)
				if !resumed() {
					t.Error("not resumed after 47 hours")
				}
				time.Sleep(time.Hour)
				if resumed() {
					t.Error("resumed after 48 hours")
				}
			})
		})
	}
}

// lastSession is a client's session cache that shows what is in it.
type lastSession struct{ session *tls.ClientSessionState }

func (l *lastSession) Get(string) (*tls.ClientSessionState, bool) { return l.session, l.session != nil }
func (l *lastSession) Put(_ string, s *tls.ClientSessionState)    { l.session = s }

// readOnly is a client's session cache that keeps what it has.
type readOnly struct{ tls.ClientSessionCache }

func (readOnly) Put(string, *tls.ClientSessionState) {}

func TestConfigsAreTheHosts(t *testing.T) {
	certs := []tls.Certificate{serverCert(rsa2048())}
	a, b := mtls.FAPI2.Config(certs...), mtls.FAPI2.Config(certs...)
	a.CipherSuites[0], a.CurvePreferences[0], a.NextProtos[0] = 0, 0, ""
	certs[0] = tls.Certificate{}
	if b.CipherSuites[0] == 0 || b.CurvePreferences[0] == 0 || b.NextProtos[0] == "" || b.Certificates[0].PrivateKey == nil {
		t.Error("two configurations share what a host may change")
	}
}
