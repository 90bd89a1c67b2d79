package authz_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/aikagi/aikagi/mtls"
)

// TestPKIMethod is tls_client_auth with one thing changed.
func TestPKIMethod(t *testing.T) {
	day := 24 * time.Hour
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	subject := func(more ...pkix.AttributeTypeAndValue) pkix.Name {
		return pkix.Name{Country: []string{"JP"}, Organization: []string{"Fintech"}, CommonName: "kakeibo", ExtraNames: more}
	}
	rogue := func() *ca {
		key := newEC()
		c := &x509.Certificate{
			SerialNumber: testCA.cert.SerialNumber, Subject: testCA.cert.Subject, IsCA: true, BasicConstraintsValid: true,
			NotBefore: testCA.cert.NotBefore, NotAfter: testCA.cert.NotAfter, KeyUsage: x509.KeyUsageCertSign,
		}
		return &ca{sign(c, c, key.Public(), key), key}
	}
	tests := []certificateCase{
		{"RFC8705-2-2 as registered", func(*fintech, *http.Request) {}, ""},
		{"RFC8705-2-5 no certificate", func(_ *fintech, r *http.Request) { r.TLS.PeerCertificates = nil }, "RFC8705-2-5"},
		{"RFC8705-2-5 no TLS", func(_ *fintech, r *http.Request) { r.TLS = nil }, "RFC8705-2-5"},
		{"E2E-1 a header instead, and E2E-3 in every spelling", func(f *fintech, r *http.Request) {
			b64 := base64.StdEncoding.EncodeToString(f.chain[0].Raw)
			r.TLS = nil
			for name, v := range map[string]string{
				"Client-Cert": ":" + b64 + ":", "X-Client-Cert": b64, "X-SSL-Cert": b64, "Ssl-Client-Cert": b64, "X-Forwarded-Client-Cert": `Cert="` + b64 + `"`,
				"Client_Cert": ":" + b64 + ":", "X-Arr-Clientcert": b64,
			} {
				r.Header[name] = []string{v, v}
			}
		}, "RFC8705-2-5"},
		{"RFC8705-2.1-1 right subject, unknown CA", func(_ *fintech, r *http.Request) {
			r.TLS.PeerCertificates = []*x509.Certificate{rogue().issue(&x509.Certificate{Subject: subject()}, newEC())}
		}, "RFC8705-2.1-1"},
		{"RFC8705-7.3 right subject, unknown CA, sent along", func(_ *fintech, r *http.Request) {
			ca := rogue()
			r.TLS.PeerCertificates = []*x509.Certificate{ca.issue(&x509.Certificate{Subject: subject()}, newEC()), ca.cert}
		}, "RFC8705-2.1-1"},
		{"RFC8705-2.1-1 right subject, self-signed", func(_ *fintech, r *http.Request) {
			c := &x509.Certificate{Subject: subject()}
			complete(c)
			key := newEC()
			r.TLS.PeerCertificates = []*x509.Certificate{sign(c, c, key.Public(), key)}
		}, "RFC8705-2.1-1"},
		{"RFC8705-2-4 right CA, another client", func(_ *fintech, r *http.Request) {
			r.TLS.PeerCertificates = tlsClient("thief").chain
		}, "RFC8705-2-4"},
		{"RFC8705-2-4 another client's, with the client's after it", func(f *fintech, r *http.Request) {
			r.TLS.PeerCertificates = append(tlsClient("thief").chain, f.chain...)
		}, "RFC8705-2-4"},
		{"RFC8705-2-4 VerifiedChains say otherwise", func(f *fintech, r *http.Request) {
			r.TLS.PeerCertificates = tlsClient("thief").chain
			r.TLS.VerifiedChains = [][]*x509.Certificate{{f.chain[0], testCA.cert}}
		}, "RFC8705-2-4"},
		{"E2E-10 one more RDN", func(_ *fintech, r *http.Request) {
			more := pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 11}, Value: "IT"}
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(&x509.Certificate{Subject: subject(more)}, newEC())}
		}, "RFC8705-2-4"},
		{"E2E-9 registered with spaces and in other case", func(f *fintech, _ *http.Request) {
			f.CertificateSubject.DN = "cn=KAKEIBO, o=fintech, c=jp"
		}, ""},
		{"E2E-5 the same name, another key (RFC8705-2.1-9)", func(_ *fintech, r *http.Request) {
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(&x509.Certificate{Subject: subject()}, newEC())}
		}, ""},
		{"E2E-6 expired", func(_ *fintech, r *http.Request) {
			c := &x509.Certificate{Subject: subject(), NotBefore: now.Add(-2 * day), NotAfter: now.Add(-time.Second)}
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(c, newEC())}
		}, "RFC8705-2.1-1"},
		{"E2E-6 in its last second", func(_ *fintech, r *http.Request) {
			c := &x509.Certificate{Subject: subject(), NotBefore: now.Add(-2 * day), NotAfter: now}
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(c, newEC())}
		}, ""},
		{"RFC8705-2.1-1 not valid yet", func(_ *fintech, r *http.Request) {
			c := &x509.Certificate{Subject: subject(), NotBefore: now.Add(time.Second), NotAfter: now.Add(day)}
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(c, newEC())}
		}, "RFC8705-2.1-1"},
		{"RFC8705-7.4 a server's certificate", func(_ *fintech, r *http.Request) {
			c := &x509.Certificate{Subject: subject(), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(c, newEC())}
		}, "RFC8705-2.1-1"},
		{"RFC8705-7.4 issued by a client", func(_ *fintech, r *http.Request) {
			key := newEC()
			thief := testCA.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "thief"}}, key)
			c := &x509.Certificate{Subject: subject()}
			complete(c)
			r.TLS.PeerCertificates = []*x509.Certificate{sign(c, thief, newEC().Public(), key), thief}
		}, "RFC8705-2.1-1"},
		{"RFC8705-2.1-4 by DNS name", func(f *fintech, r *http.Request) {
			f.CertificateSubject = mtls.Subject{DNS: "client.fintech.example"}
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(&x509.Certificate{DNSNames: []string{"Client.Fintech.example"}}, newEC())}
		}, ""},
		{"E2E-11 a wildcard", func(f *fintech, r *http.Request) {
			f.CertificateSubject = mtls.Subject{DNS: "client.fintech.example"}
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(&x509.Certificate{DNSNames: []string{"*.fintech.example"}}, newEC())}
		}, "RFC8705-2-4"},
		{"RFC8705-2.1-4 the name in CN", func(f *fintech, r *http.Request) {
			f.CertificateSubject = mtls.Subject{DNS: "kakeibo"}
		}, "RFC8705-2-4"},
		{"RFC8705-2.1-5 by URI", func(f *fintech, r *http.Request) {
			f.CertificateSubject = mtls.Subject{URI: "https://fintech.example/Client"}
			u, _ := url.Parse("https://fintech.example/Client")
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(&x509.Certificate{URIs: []*url.URL{u}}, newEC())}
		}, ""},
		{"RFC8705-2.1-5 by URI, path in other case", func(f *fintech, r *http.Request) {
			f.CertificateSubject = mtls.Subject{URI: "https://fintech.example/client"}
			u, _ := url.Parse("https://fintech.example/Client")
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(&x509.Certificate{URIs: []*url.URL{u}}, newEC())}
		}, "RFC8705-2-4"},
		{"RFC8705-2.1-6 by IP address", func(f *fintech, r *http.Request) {
			f.CertificateSubject = mtls.Subject{IP: "2001:DB8:0:0::1"}
			ip := netip.MustParseAddr("2001:db8::1")
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(&x509.Certificate{IPAddresses: []net.IP{ip.AsSlice()}}, newEC())}
		}, ""},
		{"RFC8705-2.1-7 by email", func(f *fintech, r *http.Request) {
			f.CertificateSubject = mtls.Subject{Email: "Ops@fintech.example"}
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.issue(&x509.Certificate{EmailAddresses: []string{"Ops@FINTECH.example"}}, newEC())}
		}, ""},
	}
	certify(t, tlsClient, tests)
	t.Run("RFC8705-2-4 the certificate of one client with the client_id of another", func(t *testing.T) {
		f, other := tlsClient("kakeibo"), tlsClient("other")
		b := newBank(t, clients(f, other))
		v := authenticatedAt[1].form(f)
		v.Set("client_id", "other")
		mustRefuse(t, b, b.do(f.request("/token", v)), 401, "invalid_client", "RFC8705-2-4")
	})
}

// TestSelfSignedMethod is self_signed_tls_client_auth with one thing changed.
func TestSelfSignedMethod(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	// registered makes f a client that registered the certificates.
	registered := func(f *fintech, key crypto.Signer, certs ...*x509.Certificate) {
		jwk := publicJWK(key.Public(), "c", "ES256")
		var x5c []string
		for _, c := range certs {
			x5c = append(x5c, base64.StdEncoding.EncodeToString(c.Raw))
		}
		jwk["x5c"] = x5c
		f.JWKS = jwks(jwk)
		f.chain = certs[:1]
	}
	until := func(t time.Time) func(*fintech, *http.Request) {
		return func(f *fintech, r *http.Request) {
			c, key := &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: t}, newEC()
			complete(c)
			registered(f, key, sign(c, c, key.Public(), key))
			r.TLS.PeerCertificates = f.chain
		}
	}
	tests := []certificateCase{
		{"RFC8705-2.2-3 self-signed", func(*fintech, *http.Request) {}, ""},
		{"RFC8705-2-5 no certificate", func(_ *fintech, r *http.Request) { r.TLS.PeerCertificates = nil }, "RFC8705-2-5"},
		{"RFC8705-2-5 no TLS", func(_ *fintech, r *http.Request) { r.TLS = nil }, "RFC8705-2-5"},
		{"RFC8705-2.2-2 another certificate", func(_ *fintech, r *http.Request) {
			r.TLS.PeerCertificates = []*x509.Certificate{selfSigned(newEC(), "kakeibo")}
		}, "RFC8705-2.2-2"},
		{"RFC8705-2.2-2 another certificate, with the client's after it", func(f *fintech, r *http.Request) {
			r.TLS.PeerCertificates = []*x509.Certificate{selfSigned(newEC(), "kakeibo"), f.chain[0]}
		}, "RFC8705-2.2-2"},
		{"RFC8705-2.2-2 the same key, issued anew", func(f *fintech, r *http.Request) {
			key := newEC()
			registered(f, key, selfSigned(key, "kakeibo"))
			r.TLS.PeerCertificates = []*x509.Certificate{selfSigned(key, "kakeibo")}
		}, "RFC8705-2.2-2"},
		{"RFC8705-2.2-3 issued by a CA and registered", func(f *fintech, r *http.Request) {
			key := newEC()
			registered(f, key, testCA.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}}, key), testCA.cert)
			r.TLS.PeerCertificates = f.chain
		}, ""},
		{"RFC8705-2.2-1 the second certificate of x5c", func(f *fintech, r *http.Request) {
			key := newEC()
			registered(f, key, testCA.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}}, key), testCA.cert)
			r.TLS.PeerCertificates = []*x509.Certificate{testCA.cert}
		}, "RFC8705-2.2-2"},
		{"RFC8705-2.2-3 issued by a CA and not registered", func(f *fintech, r *http.Request) {
			r.TLS.PeerCertificates = tlsClient("kakeibo").chain
		}, "RFC8705-2.2-2"},
		{"RFC8705-2.2-6 in its last second", until(now), ""},
		{"RFC8705-2.2-6 expired", until(now.Add(-time.Second)), "RFC8705-2.2-6"},
	}
	certify(t, selfSignedClient, tests)
}

// TestPlainListener: a client that authenticates by a key needs a certificate
// only where a token is bound to it.
func TestPlainListener(t *testing.T) {
	f := keyClient("kakeibo")
	for name, state := range map[string]*tls.ConnectionState{"no TLS here": nil, "no certificate": {HandshakeComplete: true}} {
		t.Run("E2E-13 a token request, "+name, func(t *testing.T) {
			b := newBank(t, clients(f))
			r := f.request("/token", f.authenticate(b, authenticatedAt[1].form(f)))
			r.TLS = state
			mustRefuse(t, b, b.do(r), 400, "invalid_request", "FAPI2-SP-5.3.2.1-5")
		})
		t.Run("E2E-13 a push, "+name, func(t *testing.T) {
			b := newBank(t, clients(f))
			r := f.request("/par", f.authenticate(b, f.pushable()))
			r.TLS = state
			if res := b.do(r); res.StatusCode != 201 {
				t.Errorf("answer is %d %v", res.StatusCode, object(t, res))
			}
		})
	}
}

// A certificateCase is a change to a good request of a client that
// authenticates by its certificate, and the rule that then refuses it, or "".
type certificateCase struct {
	name string
	with func(*fintech, *http.Request)
	rule string
}

// certify runs the cases against every endpoint that authenticates.
func certify(t *testing.T, client func(id string) *fintech, cases []certificateCase) {
	t.Helper()
	for _, at := range authenticatedAt {
		for _, tt := range cases {
			t.Run(tt.name+" at "+at.path, func(t *testing.T) {
				f := client("kakeibo")
				r := f.request(at.path, f.authenticate(nil, at.form(f)))
				tt.with(f, r)
				b := newBank(t, clients(f))
				res := b.do(r)
				if tt.rule != "" {
					mustRefuse(t, b, res, 401, "invalid_client", tt.rule)
				} else if res.StatusCode != at.status {
					t.Errorf("answer is %d %v: %s", res.StatusCode, object(t, res), b.lastEvent().Reason)
				}
			})
		}
	}
}
