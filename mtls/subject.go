package mtls

import (
	"crypto/x509"
	"errors"
)

var (
	errNoSubject       = errors.New("mtls: none of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email is set; exactly one must be")
	errSeveralSubjects = errors.New("mtls: more than one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email is set; exactly one must be")
	errSubject         = errors.New("mtls: certificate has another subject DN than the registered one")
	errSubjectOrder    = errors.New("mtls: certificate has the registered subject DN in another order; RFC 4514 writes the most specific name first")
	errNoName          = errors.New("mtls: certificate has no subject alternative name that is the registered one")
)

// Subject is how a client of tls_client_auth is known: by one name that its
// certificate must bear. Exactly one field is set ([RFC 8705, 2.1.2]).
//
// A name means something only together with [Authorities.Verify].
//
// [RFC 8705, 2.1.2]: https://www.rfc-editor.org/rfc/rfc8705#section-2.1.2
type Subject struct {
	// DN is tls_client_auth_subject_dn, a distinguished name in the string
	// form of RFC 4514, the most specific name first: "CN=app,O=Fintech,C=JP".
	//
	// What OpenSSL, Java and Go print is understood beyond that: spaces around
	// separators, ";" for ",", quoted values, "OID." before an OID, text behind
	// the OID of a known type, and the names serialNumber, businessCategory,
	// organizationIdentifier, jurisdictionC (or jurisdictionCountryName), -ST
	// and -L, emailAddress (or E), SN, GN, T, S and postalCode. An attribute of
	// a type without a known name needs the form OID=#hex.
	DN string

	// DNS is tls_client_auth_san_dns, a host name in ASCII (A-labels). Case
	// does not matter, nor does one dot at its end. Wildcards are refused here
	// and mean nothing in a certificate.
	DNS string

	// URI is tls_client_auth_san_uri, an absolute URI. The certificate must
	// have it octet by octet.
	URI string

	// IP is tls_client_auth_san_ip, an address in dotted decimal or in any
	// IPv6 form. An IPv4-mapped IPv6 address is not the IPv4 address.
	IP string

	// Email is tls_client_auth_san_email, a mailbox in ASCII. Case matters
	// before the @ and not behind it.
	Email string
}

// Check checks, at registration, that exactly one field is set and that it can
// match a certificate at all. A server answers an error with
// invalid_client_metadata. Its text does not repeat the value.
func (s Subject) Check() error {
	kind, err := s.kind()
	if err != nil {
		return err
	}
	if kind == nameDN {
		_, err = parseDN(s.DN)
		return err
	}
	_, err = s.generalName(kind)
	return err
}

// Match checks that cert bears the name s, and returns nil if it does. A
// server answers an error with invalid_client.
//
// A DN is compared as distinguishedNameMatch of [RFC 4517, 4.2.15] says: as
// many RDNs, in the same order, each with the same set of attributes.
// Directory strings are compared by caseIgnoreMatch with the preparation of
// RFC 4518, except that NFKC is not applied and case is folded character by
// character: names that differ in Unicode normalization, or as "ß" and "ss"
// do, do not match. A value of an unknown type, or one that is no comparable
// text, must be the same octets.
//
// A SAN is compared with the octets in the certificate's extension. The common
// name is never taken for one.
//
// Whichever name counts, a certificate with a NUL in any of its names, or with
// names that cannot be read, is refused.
//
// [RFC 4517, 4.2.15]: https://www.rfc-editor.org/rfc/rfc4517#section-4.2.15
func (s Subject) Match(cert *x509.Certificate) error {
	kind, err := s.kind()
	if err != nil {
		return err
	}
	if cert == nil {
		return errNoCertificate
	}
	subject, err := parseName(cert.RawSubject)
	if err != nil {
		return err
	}
	var want generalName
	if kind != nameDN {
		if want, err = s.generalName(kind); err != nil {
			return err
		}
	}
	found, err := findSAN(cert, want)
	if err != nil {
		return err
	}
	if kind == nameDN {
		return matchDN(s.DN, subject)
	}
	if !found {
		return errNoName
	}
	return nil
}

// matchDN compares the registered dn with a certificate's subject.
func matchDN(dn string, subject name) error {
	registered, err := parseDN(dn)
	switch {
	case err != nil:
		return err
	case registered.equal(subject):
		return nil
	case registered.equalUnordered(subject):
		return errSubjectOrder
	}
	return errSubject
}

// kind tells which field of s is set.
func (s Subject) kind() (nameKind, error) {
	var kind nameKind
	for _, f := range [...]struct {
		value string
		kind  nameKind
	}{
		{s.DN, nameDN}, {s.DNS, nameDNS}, {s.URI, nameURI}, {s.IP, nameIP}, {s.Email, nameEmail},
	} {
		switch {
		case f.value == "":
		case kind != 0:
			return 0, errSeveralSubjects
		default:
			kind = f.kind
		}
	}
	if kind == 0 {
		return 0, errNoSubject
	}
	return kind, nil
}
