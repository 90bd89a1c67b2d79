package mtls

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A nameKind says what a name is. Those that a subjectAltName extension holds
// are their ASN.1 tags there (RFC 5280, 4.2.1.6).
type nameKind uint8

const (
	nameDN       = nameKind(asn1.SEQUENCE)    // a Subject's DN; it is not looked for in the extension
	nameEmail    = nameKind(classContext | 1) // rfc822Name
	nameDNS      = nameKind(classContext | 2) // dNSName
	nameURI      = nameKind(classContext | 6) // uniformResourceIdentifier
	nameIP       = nameKind(classContext | 7) // iPAddress
	classContext = 0x80
)

const (
	maxHost  = 253 // RFC 1035, 2.3.4, less the octets of the wire form
	maxLabel = 63
)

var (
	errSAN   = errors.New("mtls: certificate has a subject alternative name that cannot be read")
	errHost  = errors.New("mtls: tls_client_auth_san_dns is not a host name in ASCII without wildcards")
	errURI   = errors.New("mtls: tls_client_auth_san_uri is not an absolute URI")
	errIP    = errors.New("mtls: tls_client_auth_san_ip is not an IP address")
	errEmail = errors.New("mtls: tls_client_auth_san_email is not a mailbox in ASCII")
)

var oidSubjectAltName = []int{2, 5, 29, 17}

// A generalName is one entry of a subjectAltName extension.
type generalName struct {
	kind  nameKind
	value []byte
}

// generalName returns the entry that a certificate must have for s, whose
// field of that kind is set.
func (s Subject) generalName(kind nameKind) (generalName, error) {
	n := generalName{kind: kind}
	switch kind {
	case nameDNS:
		host := strings.TrimSuffix(s.DNS, ".")
		if !isHost(host) {
			return n, errHost
		}
		n.value = []byte(host)
	case nameURI:
		u, err := url.Parse(s.URI)
		if err != nil || !u.IsAbs() || !isGraphic(s.URI) {
			return n, errURI
		}
		n.value = []byte(s.URI)
	case nameIP:
		// ParseAddr takes a leading zero for what it is, an ambiguity.
		ip, err := netip.ParseAddr(s.IP)
		if err != nil || ip.Zone() != "" {
			return n, errIP
		}
		n.value = ip.AsSlice()
	case nameEmail:
		at := strings.LastIndexByte(s.Email, '@')
		if at < 1 || !isGraphic(s.Email) || !isHost(s.Email[at+1:]) {
			return n, errEmail
		}
		n.value = []byte(s.Email)
	}
	return n, nil
}

// matches tells whether an entry of a certificate is n.
func (n generalName) matches(entry generalName) bool {
	if n.kind != entry.kind {
		return false
	}
	switch n.kind {
	case nameDNS:
		return bytes.EqualFold(n.value, entry.value) // both are ASCII
	case nameEmail:
		at := bytes.LastIndexByte(n.value, '@') // there is one, and none in the domain behind it
		return len(n.value) == len(entry.value) && bytes.Equal(n.value[:at], entry.value[:at]) &&
			bytes.EqualFold(n.value[at:], entry.value[at:])
	}
	return bytes.Equal(n.value, entry.value)
}

// findSAN tells whether cert has the alternative name want. It reads every
// entry, so that one that cannot be trusted spoils the certificate wherever it
// stands.
func findSAN(cert *x509.Certificate, want generalName) (bool, error) {
	found := false
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		in := cryptobyte.String(ext.Value)
		var names cryptobyte.String
		if !in.ReadASN1(&names, asn1.SEQUENCE) || !in.Empty() {
			return false, errSAN
		}
		for !names.Empty() {
			var entry cryptobyte.String
			var tag asn1.Tag
			if !names.ReadAnyASN1(&entry, &tag) {
				return false, errSAN
			}
			n := generalName{kind: nameKind(tag), value: entry}
			if !n.readable() {
				return false, errSAN
			}
			found = found || want.matches(n)
		}
	}
	return found, nil
}

// readable tells whether an entry of a certificate is what its kind calls for.
// crypto/x509 lets a NUL through in names that are IA5Strings.
func (n generalName) readable() bool {
	switch n.kind {
	case nameEmail, nameDNS, nameURI:
		for _, c := range n.value {
			if c == 0 || c > 0x7f {
				return false
			}
		}
	case nameIP:
		return len(n.value) == 4 || len(n.value) == 16
	}
	return true
}

// isHost tells whether s is labels of letters, digits, hyphens and underscores,
// joined by dots. Underscores are no part of a host name, but of certificates.
func isHost(s string) bool {
	if len(s) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !isAlphanumeric(label[i]) && label[i] != '-' && label[i] != '_' {
				return false
			}
		}
	}
	return true
}

// isGraphic tells whether s is ASCII without spaces and control characters.
func isGraphic(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
