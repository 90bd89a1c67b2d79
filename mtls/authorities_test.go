package mtls_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/mtls"
)

// A hierarchy is an anchor, an intermediate and a client, and what of them the
// client presents.
type hierarchy struct {
	root, ca, leaf          *x509.Certificate // templates
	rootKey, caKey, leafKey crypto.Signer
	now                     time.Time
	sent                    func(leaf, ca *entity) []*x509.Certificate
}

func newHierarchy() *hierarchy {
	h := &hierarchy{
		root: template("root"), ca: template("ca"), leaf: template("app"),
		rootKey: newKey(), caKey: newKey(), leafKey: newKey(), now: now,
		sent: func(leaf, ca *entity) []*x509.Certificate { return []*x509.Certificate{leaf.cert, ca.cert} },
	}
	authority(h.root)
	authority(h.ca)
	client(h.leaf)
	return h
}

// verify issues the certificates and has the authorities check them.
func (h *hierarchy) verify(t *testing.T) error {
	t.Helper()
	root := issue(h.root, h.rootKey, nil)
	ca := issue(h.ca, h.caKey, root)
	leaf := issue(h.leaf, h.leafKey, ca)
	a, err := mtls.NewAuthorities([]*x509.Certificate{root.cert})
	if err != nil {
		t.Fatal(err)
	}
	return a.Verify(h.sent(leaf, ca), h.now)
}

func unknownExtension(critical bool) []pkix.Extension {
	return []pkix.Extension{{Id: oid("1.2.3.4.5"), Critical: critical, Value: []byte{5, 0}}}
}

func TestVerify(t *testing.T) {
	p224 := ecKeyPair(elliptic.P224())
	rsa1024 := newRSAKey(1024)
	tests := []struct {
		name string
		with func(*hierarchy)
		ok   bool
	}{
		{"VAL-1 leaf and intermediate", func(*hierarchy) {}, true},
		{"VAL-1 the anchor is sent, too", func(h *hierarchy) {
			h.sent = func(leaf, ca *entity) []*x509.Certificate {
				return []*x509.Certificate{leaf.cert, ca.cert, issue(h.root, h.rootKey, nil).cert}
			}
		}, true},
		{"VAL-1 in another order", func(h *hierarchy) {
			h.sent = func(leaf, ca *entity) []*x509.Certificate {
				return []*x509.Certificate{leaf.cert, rfc8705(), ca.cert}
			}
		}, true},
		{"VAL-1 the intermediate is missing", func(h *hierarchy) {
			h.sent = func(leaf, _ *entity) []*x509.Certificate { return []*x509.Certificate{leaf.cert} }
		}, false},
		{"RFC8705-2.1-1 another authority of the same name", func(h *hierarchy) {
			h.sent = func(_, ca *entity) []*x509.Certificate {
				forged := &entity{ca.cert, newKey()}
				forged.cert = sign(h.ca, forged.key.Public(), &entity{h.ca, forged.key})
				return []*x509.Certificate{issue(h.leaf, h.leafKey, forged).cert, forged.cert, ca.cert}
			}
		}, false},
		{"RFC8705-2.1-1 self-signed", func(h *hierarchy) {
			h.sent = func(_, ca *entity) []*x509.Certificate {
				return []*x509.Certificate{issue(h.leaf, h.leafKey, nil).cert, ca.cert}
			}
		}, false},
		{"RFC8705-2-5 no certificate", func(h *hierarchy) {
			h.sent = func(_, _ *entity) []*x509.Certificate { return nil }
		}, false},
		{"RFC8705-2-5 a nil certificate", func(h *hierarchy) {
			h.sent = func(leaf, _ *entity) []*x509.Certificate { return []*x509.Certificate{leaf.cert, nil} }
		}, false},

		{"VAL-2 expired leaf", func(h *hierarchy) { h.leaf.NotAfter = now.Add(-time.Second) }, false},
		{"VAL-2 leaf not valid yet", func(h *hierarchy) { h.leaf.NotBefore = now.Add(time.Second) }, false},
		{"VAL-2 expired intermediate", func(h *hierarchy) { h.ca.NotAfter = now.Add(-time.Second) }, false},
		{"VAL-2 expired anchor", func(h *hierarchy) { h.root.NotAfter = now.Add(-time.Second) }, false},
		{"VAL-2 expires while the connection lives", func(h *hierarchy) { h.now = h.leaf.NotAfter.Add(time.Second) }, false},
		{"VAL-2 no clock", func(h *hierarchy) { // which crypto/x509 takes for the real one
			h.now = time.Time{}
			for _, c := range []*x509.Certificate{h.root, h.ca, h.leaf} {
				c.NotBefore, c.NotAfter = now.AddDate(-20, 0, 0), now.AddDate(20, 0, 0)
			}
		}, false},

		{"VAL-3 signed by a leaf", func(h *hierarchy) { h.ca.IsCA, h.ca.KeyUsage = false, x509.KeyUsageDigitalSignature }, false},
		{"VAL-3 signed by an X.509 version 3 certificate without constraints", func(h *hierarchy) { h.ca.BasicConstraintsValid, h.ca.IsCA = false, false }, false},
		{"VAL-3 the leaf is an authority", func(h *hierarchy) {
			h.leaf.BasicConstraintsValid, h.leaf.IsCA = true, true
			h.leaf.KeyUsage |= x509.KeyUsageCertSign
		}, false},
		{"VAL-3 longer than the anchor's path length", func(h *hierarchy) { h.root.MaxPathLen, h.root.MaxPathLenZero = 0, true }, false},
		{"VAL-3 within the anchor's path length", func(h *hierarchy) { h.root.MaxPathLen = 1 }, true},
		{"VAL-3 intermediate may not sign certificates", func(h *hierarchy) { h.ca.KeyUsage = x509.KeyUsageCRLSign }, false},

		{"VAL-4 for servers only", func(h *hierarchy) { h.leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, false},
		{"VAL-4 for e-mail only", func(h *hierarchy) { h.leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }, false},
		{"VAL-4 no extended key usage", func(h *hierarchy) { h.leaf.ExtKeyUsage = nil }, false},
		{"VAL-4 for anything", func(h *hierarchy) { h.leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, false},
		{"VAL-4 for servers and clients", func(h *hierarchy) {
			h.leaf.ExtKeyUsage = append(h.leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}, true},
		{"VAL-4 below an intermediate for servers", func(h *hierarchy) { h.ca.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, false},
		{"VAL-4 below an intermediate for clients", func(h *hierarchy) { h.ca.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, true},

		{"VAL-5 for key encipherment only", func(h *hierarchy) { h.leaf.KeyUsage = x509.KeyUsageKeyEncipherment }, false},
		{"VAL-5 for nothing", func(h *hierarchy) {
			h.leaf.KeyUsage = 0
			h.leaf.ExtraExtensions = []pkix.Extension{{Id: oid("2.5.29.15"), Critical: true, Value: []byte{3, 1, 0}}}
		}, false},
		{"VAL-5 no key usage", func(h *hierarchy) { h.leaf.KeyUsage = 0 }, true},

		{"VAL-6 unknown critical extension of the leaf", func(h *hierarchy) { h.leaf.ExtraExtensions = unknownExtension(true) }, false},
		{"VAL-6 unknown critical extension of the intermediate", func(h *hierarchy) { h.ca.ExtraExtensions = unknownExtension(true) }, false},
		{"VAL-6 unknown extension", func(h *hierarchy) { h.leaf.ExtraExtensions = unknownExtension(false) }, true},
		{"VAL-6 within the name constraints", func(h *hierarchy) {
			h.ca.PermittedDNSDomainsCritical, h.ca.PermittedDNSDomains = true, []string{"fintech.example"}
			h.leaf.DNSNames = []string{"app.fintech.example"}
		}, true},
		{"VAL-6 outside the name constraints", func(h *hierarchy) {
			h.ca.PermittedDNSDomainsCritical, h.ca.PermittedDNSDomains = true, []string{"fintech.example"}
			h.leaf.DNSNames = []string{"app.evil.example"}
		}, false},

		{"VAL-7 RSA 1024 leaf", func(h *hierarchy) { h.leafKey = rsa1024 }, false},
		{"VAL-7 RSA 2048 leaf", func(h *hierarchy) { h.leafKey = rsa2048() }, true},
		{"VAL-7 P-224 leaf", func(h *hierarchy) { h.leafKey = p224 }, false},
		{"VAL-7 RSA 1024 intermediate", func(h *hierarchy) { h.caKey = rsa1024 }, false},
		{"VAL-7 leaf signed with SHA-1", func(h *hierarchy) { h.leaf.SignatureAlgorithm = x509.ECDSAWithSHA1 }, false},
		{"VAL-7 intermediate signed with SHA-1", func(h *hierarchy) { h.ca.SignatureAlgorithm = x509.ECDSAWithSHA1 }, false},
		{"VAL-7 anchor signed with SHA-1", func(h *hierarchy) { h.root.SignatureAlgorithm = x509.ECDSAWithSHA1 }, true},

		{"VAL-8 ten certificates", func(h *hierarchy) {
			h.sent = func(leaf, ca *entity) []*x509.Certificate {
				return append([]*x509.Certificate{leaf.cert}, slices.Repeat([]*x509.Certificate{ca.cert}, 9)...)
			}
		}, true},
		{"VAL-8 eleven certificates", func(h *hierarchy) {
			h.sent = func(leaf, ca *entity) []*x509.Certificate {
				return append([]*x509.Certificate{leaf.cert}, slices.Repeat([]*x509.Certificate{ca.cert}, 10)...)
			}
		}, false},
		{"VAL-8 a leaf of more than 16 KiB", func(h *hierarchy) { h.leaf.ExtraExtensions = large() }, false},
		{"VAL-8 an intermediate of more than 16 KiB", func(h *hierarchy) { h.ca.ExtraExtensions = large() }, false},
		{"VAL-8 a certificate beside the path with RSA 8200", func(h *hierarchy) {
			h.sent = func(leaf, ca *entity) []*x509.Certificate {
				return []*x509.Certificate{leaf.cert, ca.cert, sign(h.ca, rsaKey(8200), ca)}
			}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHierarchy()
			tt.with(h)
			if err := h.verify(t); (err == nil) != tt.ok {
				t.Errorf("Verify = %v", err)
			}
		})
	}
}

func ecKeyPair(c elliptic.Curve) crypto.Signer {
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func large() []pkix.Extension {
	value := append([]byte{4, 0x82, 0x40, 0}, make([]byte, 0x4000)...)
	return []pkix.Extension{{Id: oid("1.2.3.4.5"), Value: value}}
}

func TestVerifyDepth(t *testing.T) {
	for n, ok := range map[int]bool{2: true, 6: true, 7: false} {
		t.Run(fmt.Sprintf("VAL-8 a path of %d certificates", n), func(t *testing.T) {
			c := template("root")
			authority(c)
			issuer := issue(c, newKey(), nil)
			a, err := mtls.NewAuthorities([]*x509.Certificate{issuer.cert})
			if err != nil {
				t.Fatal(err)
			}
			var chain []*x509.Certificate
			for i := range n - 2 {
				c := template(fmt.Sprint("ca ", i))
				authority(c)
				issuer = issue(c, newKey(), issuer)
				chain = append(chain, issuer.cert)
			}
			c = template("app")
			client(c)
			chain = slices.Insert(chain, 0, issue(c, newKey(), issuer).cert)
			if err := a.Verify(chain, now); (err == nil) != ok {
				t.Errorf("Verify = %v", err)
			}
		})
	}
}

// TestVerifyAnotherFramework has two frameworks that issue under one name.
func TestVerifyAnotherFramework(t *testing.T) {
	framework := func() (*mtls.Authorities, *entity) {
		c := template("root")
		authority(c)
		root := issue(c, newKey(), nil)
		a, err := mtls.NewAuthorities([]*x509.Certificate{root.cert})
		if err != nil {
			t.Fatal(err)
		}
		c = template("app")
		client(c)
		return a, issue(c, newKey(), root)
	}
	ours, _ := framework()
	_, theirs := framework()
	chain := []*x509.Certificate{theirs.cert}
	t.Run("E2E-8 the right DN from another framework", func(t *testing.T) {
		wantNone(t, mtls.Subject{DN: "CN=app,C=JP"}.Match(theirs.cert))
		wantError(t, ours.Verify(chain, now))
	})
	t.Run("RFC8705-7.3-TLS no authorities", func(t *testing.T) {
		_, err := mtls.NewAuthorities(nil)
		for _, err := range []error{err, new(mtls.Authorities).Verify(chain, now), (*mtls.Authorities)(nil).Verify(chain, now)} {
			// VAL-1: an unknown authority would mean that the system's were asked.
			if err == nil || !strings.Contains(err.Error(), "no certificate authorities") {
				t.Errorf("%v, want a refusal before any path is looked for", err)
			}
		}
	})
}

func TestNewAuthorities(t *testing.T) {
	build := func(key crypto.Signer, with ...func(*x509.Certificate)) *x509.Certificate {
		c := template("root")
		authority(c)
		for _, f := range with {
			f(c)
		}
		return issue(c, key, nil).cert
	}
	good := build(newKey())
	leaf := build(newKey(), func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	tests := []struct {
		name string
		cert *x509.Certificate
		want string // in the error; "" means none
	}{
		{"an authority", good, ""},
		{"VAL-3 a client", leaf, "not a certificate authority's"},
		{"VAL-3 X.509 version 1", rfc8705(), "not a certificate authority's"},
		{"VAL-3 may not sign certificates", build(newKey(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), "keyCertSign"},
		{"VAL-3 no key usage", build(newKey(), func(c *x509.Certificate) { c.KeyUsage = 0 }), ""},
		{"GO-10 for servers only", build(newKey(), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "clientAuth"},
		{"GO-10 for what we do not know", build(newKey(), func(c *x509.Certificate) { c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, oid("1.2.3.4")) }), "clientAuth"},
		{"GO-10 for clients", build(newKey(), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), ""},
		{"GO-10 for anything", build(newKey(), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), ""},
		{"VAL-7 RSA 1024", build(newRSAKey(1024)), "2048 bits"},
		{"nil", nil, "no client certificate"},
	}
	for _, tt := range tests {
		for part, try := range map[string]func() error{
			"anchor":       func() error { _, err := mtls.NewAuthorities([]*x509.Certificate{good, tt.cert}); return err },
			"intermediate": func() error { _, err := mtls.NewAuthorities([]*x509.Certificate{good}, good, tt.cert); return err },
		} {
			t.Run(tt.name+" as "+part, func(t *testing.T) {
				err := try()
				switch {
				case tt.want == "":
					wantNone(t, err)
				case err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), part+" 2 of 2"):
					t.Errorf("NewAuthorities: %v, want it to name %q and the %s", err, tt.want, part)
				}
			})
		}
	}
	t.Run("every fault is reported", func(t *testing.T) {
		_, err := mtls.NewAuthorities([]*x509.Certificate{leaf}, leaf)
		if err == nil || !strings.Contains(err.Error(), "anchor 1 of 1") || !strings.Contains(err.Error(), "intermediate 1 of 1") {
			t.Errorf("NewAuthorities: %v, want both faults", err)
		}
	})
	t.Run("PRX-12 an intermediate that the client does not send", func(t *testing.T) {
		root := &entity{key: newKey()}
		root.cert = build(root.key)
		c := template("ca")
		authority(c)
		ca := issue(c, newKey(), root)
		c = template("app")
		client(c)
		chain := []*x509.Certificate{issue(c, newKey(), ca).cert}
		a, err := mtls.NewAuthorities([]*x509.Certificate{root.cert}, ca.cert)
		wantNone(t, err)
		wantNone(t, a.Verify(chain, now))
		// It helps to find a path, and ends none.
		a, err = mtls.NewAuthorities([]*x509.Certificate{good}, ca.cert)
		wantNone(t, err)
		wantError(t, a.Verify(chain, now))
		// An issuing authority can be an anchor.
		a, err = mtls.NewAuthorities([]*x509.Certificate{ca.cert})
		wantNone(t, err)
		wantNone(t, a.Verify(chain, now))
	})
	t.Run("what one client sends is not kept for another", func(t *testing.T) {
		root := &entity{key: newKey()}
		root.cert = build(root.key)
		c := template("ca")
		authority(c)
		ca := issue(c, newKey(), root)
		c = template("app")
		client(c)
		leaf := issue(c, newKey(), ca).cert
		a, err := mtls.NewAuthorities([]*x509.Certificate{root.cert})
		wantNone(t, err)
		wantNone(t, a.Verify([]*x509.Certificate{leaf, ca.cert}, now))
		wantError(t, a.Verify([]*x509.Certificate{leaf}, now))
	})
}

func encodePEM(certs ...*x509.Certificate) (b []byte) {
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

func TestParseAuthorities(t *testing.T) {
	c := template("root")
	authority(c)
	root := issue(c, newKey(), nil)
	c = template("ca")
	authority(c)
	ca := issue(c, newKey(), root)
	c = template("app")
	client(c)
	leaf := issue(c, newKey(), ca).cert
	c = template("ca") // by an issuer without a key identifier
	authority(c)
	anonymous := issue(c, newKey(), &entity{template("root"), root.key}).cert
	c = template("root") // the same name with a new key, signed with the old one
	authority(c)
	c.SubjectKeyId, c.AuthorityKeyId = []byte{1, 2, 3}, root.cert.SubjectKeyId
	rollover := sign(c, newKey().Public(), root)

	good := encodePEM(root.cert, ca.cert)
	damaged := bytes.Replace(encodePEM(ca.cert), []byte("M"), []byte("!"), 1)
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{48, 0}})
	tests := []struct {
		name  string
		files [][]byte
		ok    bool
	}{
		{"an anchor and an intermediate in one file", [][]byte{good}, true},
		{"in two files", [][]byte{encodePEM(ca.cert), encodePEM(root.cert)}, true},
		{"with text between them", [][]byte{slices.Concat([]byte("# root\n"), encodePEM(root.cert), []byte("# ca\n"), encodePEM(ca.cert), []byte("\n"))}, true},
		{"RFC8705-7.3-TLS no file", nil, false},
		{"RFC8705-7.3-TLS an empty file", [][]byte{good, {}}, false},
		{"an intermediate alone", [][]byte{encodePEM(ca.cert)}, false},
		{"an intermediate without key identifiers alone", [][]byte{encodePEM(anonymous)}, false},
		{"a certificate in a block of another type", [][]byte{append(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: root.cert.Raw}), good...)}, false},
		{"a new key signed with the old one alone", [][]byte{encodePEM(rollover)}, false},
		{"VAL-3 a client's certificate", [][]byte{good, encodePEM(leaf)}, false},
		{"a damaged certificate after a good one", [][]byte{append(encodePEM(root.cert), damaged...)}, false},
		{"a damaged certificate before a good one", [][]byte{append(damaged, encodePEM(root.cert)...)}, false},
		{"a certificate cut short", [][]byte{good[:len(good)-40]}, false},
		{"DEC-9 a private key", [][]byte{append(key, good...)}, false},
		{"DEC-10 an octet behind the DER", [][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: append(slices.Clone(root.cert.Raw), 0)})}, false},
		{"DER instead of PEM", [][]byte{root.cert.Raw}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := mtls.ParseAuthorities(tt.files...)
			if !tt.ok {
				wantError(t, err)
				return
			}
			if err != nil {
				t.Fatalf("ParseAuthorities: %v", err)
			}
			wantNone(t, a.Verify([]*x509.Certificate{leaf}, now))
		})
	}
}

func FuzzParseAuthorities(f *testing.F) {
	c := template("root")
	authority(c)
	good := encodePEM(issue(c, newKey(), nil).cert)
	f.Add(good)
	f.Add(append(good[:len(good):len(good)], good...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := mtls.ParseAuthorities(b)
		if (a == nil) != (err != nil) {
			t.Fatalf("ParseAuthorities = %v, %v, want one of them", a, err)
		}
		if err == nil && !bytes.Contains(b, []byte("-----BEGIN CERTIFICATE-----")) {
			t.Error("accepted a file without a certificate")
		}
	})
}
