package mtls

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// A Subject is the one name by which a client's certificate is known, as
// registered in tls_client_auth_* (RFC 8705, 2.1.2). Exactly one member is
// set.
type Subject struct {
	DN    string // tls_client_auth_subject_dn, as in RFC 4514
	DNS   string // tls_client_auth_san_dns
	URI   string // tls_client_auth_san_uri
	IP    string // tls_client_auth_san_ip
	Email string // tls_client_auth_san_email
}

var errNoMatch = errors.New("mtls: certificate has another subject")

// Check returns an error unless exactly one member is set and well formed.
func (s Subject) Check() error {
	n := 0
	for _, v := range []string{s.DN, s.DNS, s.URI, s.IP, s.Email} {
		if v != "" {
			n++
		}
	}
	if n != 1 {
		return errors.New("mtls: not exactly one of the tls_client_auth_ members is set")
	}
	switch {
	case s.DN != "":
		dn, err := parseDN(s.DN)
		if err == nil && len(dn) == 0 {
			err = errDN
		}
		return err
	case s.DNS != "":
		if !isDNSName(s.DNS) {
			return errors.New("mtls: tls_client_auth_san_dns is not a DNS name")
		}
	case s.URI != "":
		if u, err := url.Parse(s.URI); err != nil || !u.IsAbs() {
			return errors.New("mtls: tls_client_auth_san_uri is not a URI")
		}
	case s.IP != "":
		if a, err := netip.ParseAddr(s.IP); err != nil || a.Zone() != "" {
			return errors.New("mtls: tls_client_auth_san_ip is not an IP address")
		}
	case s.Email != "":
		if local, domain, ok := strings.Cut(s.Email, "@"); !ok || local == "" || !isDNSName(domain) {
			return errors.New("mtls: tls_client_auth_san_email is not an address")
		}
	}
	return nil
}

// Match returns nil if cert bears the name: the whole distinguished name,
// compared attribute by attribute, or one entry of the subject alternative
// name, compared by the octets in the certificate.
func (s Subject) Match(cert *x509.Certificate) error {
	if err := s.Check(); err != nil {
		return err
	}
	if s.DN != "" {
		return matchDN(s.DN, cert.RawSubject)
	}
	names, err := alternativeNames(cert)
	if err != nil {
		return err
	}
	for _, n := range names {
		if s.matches(n) {
			return nil
		}
	}
	return errNoMatch
}

func (s Subject) matches(n alternativeName) bool {
	text := string(n.value)
	switch {
	case s.DNS != "" && n.tag == tagDNS: // no wildcard on either side
		return isDNSName(text) && strings.EqualFold(strings.TrimSuffix(text, "."), strings.TrimSuffix(s.DNS, "."))
	case s.URI != "" && n.tag == tagURI:
		return text == s.URI
	case s.IP != "" && n.tag == tagIP: // an IPv4 address is not its mapped IPv6 form
		addr, err := netip.ParseAddr(s.IP)
		return err == nil && bytes.Equal(n.value, addr.AsSlice())
	case s.Email != "" && n.tag == tagEmail: // the domain in any case, the rest exactly
		local, domain, _ := strings.Cut(s.Email, "@")
		l, d, ok := strings.Cut(text, "@")
		return ok && l == local && strings.EqualFold(d, domain)
	}
	return false
}

// isDNSName reports whether s is a host name in letters, digits, hyphens and
// underscores: no wildcard, no control character, no second form.
func isDNSName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
