package mtls_test

import (
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/aikagi/aikagi/mtls"
)

func BenchmarkThumbprint(b *testing.B) {
	cert := rfc8705()
	x5t := mtls.Thumbprint(cert)
	b.Run("make", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mtls.Thumbprint(cert)
		}
	})
	b.Run("match", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mtls.MatchThumbprint(cert, x5t)
		}
	})
	b.Run("floor", func(b *testing.B) { // the digest alone
		b.ReportAllocs()
		for b.Loop() {
			sha256.Sum256(cert.Raw)
		}
	})
}

func BenchmarkSubjectMatch(b *testing.B) {
	openBanking := openFinance()
	c := template("app.fintech.example")
	c.DNSNames = []string{"app.fintech.example"}
	small := issue(c, newKey(), nil).cert
	for _, bb := range []struct {
		name    string
		subject mtls.Subject
		cert    *x509.Certificate
	}{
		{"dn of two", mtls.Subject{DN: "CN=app.fintech.example,C=JP"}, small},
		{"dn of ten", mtls.Subject{DN: "UID=10120340-3318-4baf-99e2-0b56729c4ab2,2.5.4.97=#132a4f464242522d37346539323964392d333362362d346438352d386261372d633134366338363761383137,1.3.6.1.4.1.311.60.2.1.3=#1302554b,2.5.4.15=#1311476f7665726e6d656e7420456e74697479,2.5.4.5=#130e3433313432363636303030313937,CN=https://web.conformance.directory.openbankingbrasil.org.br,O=Open Banking Brasil,L=LONDON,ST=SP,C=BR"}, openBanking},
		{"dns", mtls.Subject{DNS: "app.fintech.example"}, small},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bb.subject.Match(bb.cert); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerify has a path of three, with two signatures to check.
func BenchmarkVerify(b *testing.B) {
	h := newHierarchy()
	root := issue(h.root, h.rootKey, nil)
	ca := issue(h.ca, h.caKey, root)
	chain := []*x509.Certificate{issue(h.leaf, h.leafKey, ca).cert, ca.cert}
	a, err := mtls.NewAuthorities([]*x509.Certificate{root.cert})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("chain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := a.Verify(chain, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) { // the signatures alone
		b.ReportAllocs()
		for b.Loop() {
			if chain[0].CheckSignatureFrom(ca.cert) != nil || ca.cert.CheckSignatureFrom(root.cert) != nil {
				b.Fatal("signature")
			}
		}
	})
}
