package mtls

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The kinds of GeneralName that a client may register (RFC 5280, 4.2.1.6).
const (
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

// An alternativeName is one entry of a subjectAltName, as its octets.
type alternativeName struct {
	tag   int
	value []byte
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// alternativeNames reads the extension itself, since crypto/x509 prints and
// normalizes what it read.
func alternativeNames(cert *x509.Certificate) (names []alternativeName, err error) {
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		in := cryptobyte.String(ext.Value)
		var seq cryptobyte.String
		if !in.ReadASN1(&seq, cryptobyte_asn1.SEQUENCE) || !in.Empty() {
			return nil, errors.New("mtls: malformed subjectAltName")
		}
		for !seq.Empty() {
			var value cryptobyte.String
			var tag cryptobyte_asn1.Tag
			if !seq.ReadAnyASN1(&value, &tag) {
				return nil, errors.New("mtls: malformed subjectAltName")
			}
			names = append(names, alternativeName{int(tag &^ 0x80), value})
		}
	}
	return names, nil
}
