package mtls_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/mtls"
)

// FuzzMatchSAN checks that a registered name matches only a certificate that
// has its octets.
func FuzzMatchSAN(f *testing.F) {
	good := sanExtension(dns("app.fintech.example"), uri("urn:a"), ip(192, 0, 2, 1), email("a@b.example")).Value
	f.Add("app.fintech.example", good)
	f.Add("urn:a", good)
	f.Add("192.0.2.1", good)
	f.Add("a@b.example", good)
	f.Add("::ffff:192.0.2.1", good)
	f.Add("*.example", []byte{0x30, 0})
	f.Add("app.example.", []byte{0x30, 2, 0x82, 9})
	f.Fuzz(func(t *testing.T, value string, extension []byte) {
		cert := named(fintech, pkix.Extension{Id: oid("2.5.29.17"), Value: extension})
		octets := []byte(value)
		if ip, err := netip.ParseAddr(value); err == nil {
			octets = ip.AsSlice()
		}
		for _, s := range []mtls.Subject{{DNS: value}, {URI: value}, {Email: value}, {IP: value}} {
			if s.Match(cert) != nil {
				continue
			}
			if err := s.Check(); err != nil {
				t.Errorf("%+v matches, and cannot be registered: %v", s, err)
			}
			want := octets
			if s.IP == "" {
				want = []byte(strings.ToLower(strings.TrimSuffix(value, ".")))
				extension = bytes.ToLower(extension)
			}
			if !bytes.Contains(extension, want) {
				t.Errorf("%+v matches a certificate that does not have it", s)
			}
		}
	})
}

// FuzzMatchThumbprint checks that a certificate has one thumbprint, in one form.
func FuzzMatchThumbprint(f *testing.F) {
	f.Add(rfc8705Thumbprint)
	f.Add(rfc8705Thumbprint + "=")
	f.Add(rfc8705Thumbprint[:42] + "1")
	f.Add(rfc8705SPKI)
	f.Add("")
	sum := sha256.Sum256(rfc8705().Raw)
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	f.Fuzz(func(t *testing.T, x5t string) {
		if got := mtls.MatchThumbprint(rfc8705(), x5t); got != (x5t == want) {
			t.Errorf("MatchThumbprint(%q) = %v", x5t, got)
		}
	})
}
