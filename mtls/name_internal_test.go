package mtls

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// TestKnownTypes compares the octets in the table with the identifiers of
// RFC 4514, 3 and of the catalogue, encoded by encoding/asn1.
func TestKnownTypes(t *testing.T) {
	want := map[string]asn1.ObjectIdentifier{
		"cn": {2, 5, 4, 3}, "sn": {2, 5, 4, 4}, "serialnumber": {2, 5, 4, 5}, "c": {2, 5, 4, 6}, "l": {2, 5, 4, 7},
		"st": {2, 5, 4, 8}, "s": {2, 5, 4, 8}, "street": {2, 5, 4, 9}, "o": {2, 5, 4, 10}, "ou": {2, 5, 4, 11}, "t": {2, 5, 4, 12},
		"businesscategory": {2, 5, 4, 15}, "postalcode": {2, 5, 4, 17}, "gn": {2, 5, 4, 42}, "organizationidentifier": {2, 5, 4, 97},
		"jurisdictionl":           {1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 1},
		"jurisdictionst":          {1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 2},
		"jurisdictionc":           {1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3},
		"jurisdictioncountryname": {1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3},
		"uid":                     {0, 9, 2342, 19200300, 100, 1, 1},
		"dc":                      {0, 9, 2342, 19200300, 100, 1, 25},
		"emailaddress":            {1, 2, 840, 113549, 1, 9, 1},
		"e":                       {1, 2, 840, 113549, 1, 9, 1},
	}
	for name, id := range want {
		t.Run("DN-2 "+name, func(t *testing.T) {
			der, err := asn1.Marshal(id)
			if err != nil {
				t.Fatal(err)
			}
			got := attributeNames[name]
			if got == nil || got.oid != string(der[2:]) || attributeTypes[string(der[2:])] != got {
				t.Errorf("the table has %+v for %s", got, id)
			}
		})
	}
	if len(attributeNames) != len(want) {
		t.Errorf("the table has %d names, want %d", len(attributeNames), len(want))
	}
}

func TestEmptyName(t *testing.T) {
	t.Run("DN-10 equals nothing, itself included", func(t *testing.T) {
		if (name{}).equal(name{}) || (name{}).equalUnordered(name{}) {
			t.Error("equal")
		}
	})
}

func TestStrongSignature(t *testing.T) {
	// crypto/x509 refuses these by itself, today.
	for _, alg := range []x509.SignatureAlgorithm{x509.UnknownSignatureAlgorithm, x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.DSAWithSHA256, x509.ECDSAWithSHA1} {
		t.Run("VAL-7 "+alg.String(), func(t *testing.T) {
			if isStrongSignature(alg) {
				t.Error("strong")
			}
		})
	}
}

// encodeName returns the DER of a name, its texts as UTF8Strings.
func encodeName(n name) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, r := range n {
			b.AddASN1(cryptobyte_asn1.SET, func(b *cryptobyte.Builder) {
				for _, a := range r {
					b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(cryptobyte_asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(a.typ) })
						if a.der != nil {
							b.AddBytes(a.der)
							return
						}
						b.AddASN1(cryptobyte_asn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes(a.text) })
					})
				}
			})
		}
	})
	return b.BytesOrPanic()
}

// printDN returns the string form of a name by the simplest rules of RFC 4514:
// every type an OID, every value hexadecimal.
func printDN(t *testing.T, n name) string {
	var rdns []string
	for _, r := range n {
		var avas []string
		for _, a := range r {
			var id x509.OID
			if err := id.UnmarshalBinary(a.typ); err != nil {
				t.Skip("not an object identifier")
			}
			avas = append(avas, id.String()+"=#"+hex.EncodeToString(a.der))
		}
		rdns = append([]string{strings.Join(avas, "+")}, rdns...)
	}
	return strings.Join(rdns, ",")
}

// FuzzParseDN checks that what registration accepts matches some certificate.
func FuzzParseDN(f *testing.F) {
	for _, s := range []string{
		"CN=app,O=Fintech,C=JP", "cn = a + uid = b ; dc=\"x, y\"", `O=Sue\, Grabbit\2C\ `, "2.5.4.97=#130461626364",
		"1.2.3=#0500", "OID.2.5.4.5=x", `O=M\C3\BCller`, "O=a\u00a0\u200b b", "CN=#0C0161", `C="`, `O=\`, "O=#", "=", ",", "1.=#00", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseDN(s)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r > unicode.MaxASCII || r == '"' || r == '\\' || r < ' ' }) {
				t.Errorf("error %q shows what is not its own", err)
			}
			return
		}
		m, err := parseName(encodeName(n))
		if err != nil {
			t.Fatalf("no certificate can have it: %v", err)
		}
		if !n.equal(m) || !m.equal(n) {
			t.Errorf("%q does not match the certificate made for it", s)
		}
		if err := matchDN(s, m); err != nil {
			t.Errorf("matchDN: %v", err)
		}
	})
}

// FuzzParseName checks that a subject has one reading: it equals itself, and
// its string form stands for it and for nothing else.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{"CN=app,O=Fintech,C=JP", "cn=a+uid=b,dc=x", "1.2.3=#0500,O=#140246E9,L=#1E0400460047"} {
		n, err := parseDN(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encodeName(n))
	}
	f.Add([]byte{0x30, 0})
	f.Add([]byte{0x30, 2, 0x31, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		n, err := parseName(der)
		if err != nil || len(n) == 0 {
			return
		}
		if !n.equal(n) {
			t.Fatal("does not equal itself")
		}
		longer := append(n[:len(n):len(n)], n[0])
		if n.equal(longer) || longer.equal(n) {
			t.Error("equals a longer name")
		}
		s := printDN(t, n)
		m, err := parseDN(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if !n.equal(m) {
			t.Errorf("%s does not match the name it was printed from", s)
		}
	})
}

// FuzzPrepare checks that preparing is done once and for all, and that spaces
// are insignificant.
func FuzzPrepare(f *testing.F) {
	for _, s := range []string{"app", " a  b ", "a\u00ad\u3000b", "\u200b", "", "a\x00", "Straße", " \u200b a"} {
		f.Add(s)
	}
	typ := attributeNames["o"]
	f.Fuzz(func(t *testing.T, s string) {
		once, ok := typ.prepare([]byte(s))
		if !ok {
			return
		}
		if twice, ok := typ.prepare(once); !ok || string(twice) != string(once) {
			t.Errorf("%q, then %q, %v", once, twice, ok)
		}
		if spaced, ok := typ.prepare([]byte("\t " + s + "\u2003")); !ok || string(spaced) != string(once) {
			t.Errorf("%q, with spaces around %q, %v", once, spaced, ok)
		}
		if !isPlain(once) && isASCII(once) {
			t.Errorf("%q is ASCII and not plain", once)
		}
	})
}
