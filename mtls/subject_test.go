package mtls_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/mtls"
)

func TestSubjectCheck(t *testing.T) {
	tests := []struct {
		name    string
		subject mtls.Subject
		ok      bool
	}{
		{"RFC8705-2.1.2-1 a DN alone", mtls.Subject{DN: "CN=app"}, true},
		{"RFC8705-2.1.2-1 a host alone", mtls.Subject{DNS: "app.fintech.example"}, true},
		{"RFC8705-2.1.2-1 a URI alone", mtls.Subject{URI: "urn:fintech:app"}, true},
		{"RFC8705-2.1.2-1 an address alone", mtls.Subject{IP: "192.0.2.1"}, true},
		{"RFC8705-2.1.2-1 a mailbox alone", mtls.Subject{Email: "app@fintech.example"}, true},
		{"RFC8705-2.1-2 none", mtls.Subject{}, false},
		{"RFC8705-2.1-2 two", mtls.Subject{DN: "CN=app", DNS: "app.fintech.example"}, false},
		{"RFC8705-2.1-2 two that are not the first", mtls.Subject{IP: "192.0.2.1", Email: "app@fintech.example"}, false},

		{"RFC8705-2.1-4 a dot at the end", mtls.Subject{DNS: "app.fintech.example."}, true},
		{"RFC8705-2.1-4 a wildcard", mtls.Subject{DNS: "*.fintech.example"}, false},
		{"RFC8705-2.1-4 a U-label", mtls.Subject{DNS: "合鍵.example"}, false},
		{"RFC8705-2.1-4 its A-label", mtls.Subject{DNS: "xn--3bs63m.example"}, true},
		{"RFC8705-2.1-4 an empty label", mtls.Subject{DNS: "app..example"}, false},
		{"RFC8705-2.1-4 two dots at the end", mtls.Subject{DNS: "app.example.."}, false},
		{"RFC8705-2.1-4 dots alone", mtls.Subject{DNS: "."}, false},
		{"RFC8705-2.1-4 a space", mtls.Subject{DNS: "app.example "}, false},
		{"RFC8705-2.1-4 a NUL", mtls.Subject{DNS: "app.example\x00.evil.example"}, false},
		{"RFC8705-2.1-4 a hyphen first", mtls.Subject{DNS: "-app.example"}, false},
		{"RFC8705-2.1-4 a hyphen last", mtls.Subject{DNS: "app-.example"}, false},
		{"RFC8705-2.1-4 a label of 63", mtls.Subject{DNS: strings.Repeat("a", 63) + ".example"}, true},
		{"RFC8705-2.1-4 a label of 64", mtls.Subject{DNS: strings.Repeat("a", 64) + ".example"}, false},
		{"RFC8705-2.1-4 254 characters", mtls.Subject{DNS: strings.Repeat("abcd.", 50) + "abcd"}, false},

		{"RFC8705-2.1-5 without a scheme", mtls.Subject{URI: "app.fintech.example/x"}, false},
		{"RFC8705-2.1-5 with a space", mtls.Subject{URI: "https://app.fintech.example/a b"}, false},
		{"RFC8705-2.1-5 beyond ASCII", mtls.Subject{URI: "https://app.fintech.example/合鍵"}, false},
		{"RFC8705-2.1-5 with a line break", mtls.Subject{URI: "urn:fintech:app\n"}, false},

		{"RFC8705-2.1-6 octal", mtls.Subject{IP: "010.0.0.1"}, false},
		{"RFC8705-2.1-6 a zone", mtls.Subject{IP: "fe80::1%eth0"}, false},
		{"RFC8705-2.1-6 a prefix", mtls.Subject{IP: "192.0.2.0/24"}, false},
		{"RFC8705-2.1-6 three numbers", mtls.Subject{IP: "192.0.2"}, false},
		{"RFC8705-2.1-6 brackets", mtls.Subject{IP: "[2001:db8::1]"}, false},

		{"RFC8705-2.1-7 no local part", mtls.Subject{Email: "@fintech.example"}, false},
		{"RFC8705-2.1-7 no domain", mtls.Subject{Email: "app@"}, false},
		{"RFC8705-2.1-7 no @", mtls.Subject{Email: "fintech.example"}, false},
		{"RFC8705-2.1-7 with a display name", mtls.Subject{Email: "App <app@fintech.example>"}, false},
		{"RFC8705-2.1-7 beyond ASCII", mtls.Subject{Email: "鍵@fintech.example"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.subject.Check(); (err == nil) != tt.ok {
				t.Errorf("Check = %v", err)
			}
		})
	}
}

// Entries of a subjectAltName extension.
func email(s string) san { return san{1, s} }
func dns(s string) san   { return san{2, s} }
func uri(s string) san   { return san{6, s} }
func ip(octets ...byte) san {
	return san{7, string(octets)}
}

var fintech = encode(singles(ava{"2.5.4.6", printable, "JP"}, ava{"2.5.4.3", utf8, "app.fintech.example"})...)

func TestSubjectMatchAlternativeName(t *testing.T) {
	v6 := []byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}
	mapped := []byte{10: 0xff, 11: 0xff, 12: 192, 13: 0, 14: 2, 15: 1}
	tests := []struct {
		name    string
		subject mtls.Subject
		sans    []san
		ok      bool
	}{
		{"RFC8705-2.1-4 the host", mtls.Subject{DNS: "app.fintech.example"}, []san{dns("app.fintech.example")}, true},
		{"RFC8705-2.1-4 one of several", mtls.Subject{DNS: "app.fintech.example"}, []san{dns("a.example"), uri("urn:a"), dns("app.fintech.example"), dns("b.example")}, true},
		{"RFC8705-2.1-4 in another case", mtls.Subject{DNS: "App.fintech.EXAMPLE"}, []san{dns("aPP.Fintech.example")}, true},
		{"RFC8705-2.1-4 registered with a dot at the end", mtls.Subject{DNS: "app.fintech.example."}, []san{dns("app.fintech.example")}, true},
		{"RFC8705-2.1-4 a dot at the end of the certificate's", mtls.Subject{DNS: "app.fintech.example"}, []san{dns("app.fintech.example.")}, false},
		{"E2E-11 a wildcard", mtls.Subject{DNS: "app.fintech.example"}, []san{dns("*.fintech.example")}, false},
		{"RFC8705-2.1-4 another host", mtls.Subject{DNS: "app.fintech.example"}, []san{dns("app.evil.example")}, false},
		{"RFC8705-2.1-4 a longer host", mtls.Subject{DNS: "app.fintech.example"}, []san{dns("app.fintech.example.evil.example")}, false},
		{"RFC8705-2.1-4 only the common name", mtls.Subject{DNS: "app.fintech.example"}, nil, false},
		{"RFC8705-2.1-4 the same octets as a URI", mtls.Subject{DNS: "app.fintech.example"}, []san{uri("app.fintech.example")}, false},
		{"RFC8705-2.1-4 the same octets as a mailbox", mtls.Subject{DNS: "app.fintech.example"}, []san{email("app.fintech.example")}, false},
		{"GO-11 a NUL in the host", mtls.Subject{DNS: "app.fintech.example"}, []san{dns("app.fintech.example\x00.evil.example")}, false},
		{"RFC8705-7.4 a NUL in another entry", mtls.Subject{DNS: "app.fintech.example"}, []san{dns("app.fintech.example"), dns("a\x00b")}, false},
		{"RFC8705-7.4 a NUL in an entry before", mtls.Subject{DNS: "app.fintech.example"}, []san{email("a\x00b"), dns("app.fintech.example")}, false},
		{"GO-11 not ASCII", mtls.Subject{DNS: "app.fintech.example"}, []san{dns("app.fintech.example"), uri("urn:\xe9")}, false},

		{"RFC8705-2.1-5 the URI", mtls.Subject{URI: "https://app.fintech.example/A?b#c"}, []san{uri("https://app.fintech.example/A?b#c")}, true},
		{"RFC8705-2.1-5 another case of the path", mtls.Subject{URI: "https://app.fintech.example/A"}, []san{uri("https://app.fintech.example/a")}, false},
		{"RFC8705-2.1-5 another case of the host", mtls.Subject{URI: "https://app.fintech.example/"}, []san{uri("https://APP.fintech.example/")}, false},
		{"RFC8705-2.1-5 what a printed URI would be", mtls.Subject{URI: "https://app.fintech.example/a%7Eb"}, []san{uri("https://app.fintech.example/a~b")}, false},
		{"RFC8705-2.1-5 the same octets as a host", mtls.Subject{URI: "urn:fintech"}, []san{dns("urn:fintech")}, false},

		{"RFC8705-2.1-6 the IPv4 address", mtls.Subject{IP: "192.0.2.1"}, []san{ip(192, 0, 2, 1)}, true},
		{"RFC8705-2.1-6 the IPv6 address", mtls.Subject{IP: "2001:db8::1"}, []san{ip(v6...)}, true},
		{"RFC8705-2.1-6 RFC8705-2.1.2-2 in a long form", mtls.Subject{IP: "2001:DB8:0:0::1"}, []san{ip(v6...)}, true},
		{"RFC8705-2.1-6 IPv4 registered, mapped presented", mtls.Subject{IP: "192.0.2.1"}, []san{ip(mapped...)}, false},
		{"RFC8705-2.1-6 mapped registered, IPv4 presented", mtls.Subject{IP: "::ffff:192.0.2.1"}, []san{ip(192, 0, 2, 1)}, false},
		{"RFC8705-2.1-6 mapped registered, mapped presented", mtls.Subject{IP: "::ffff:192.0.2.1"}, []san{ip(mapped...)}, true},
		{"RFC8705-2.1-6 its text as a host", mtls.Subject{IP: "192.0.2.1"}, []san{dns("192.0.2.1")}, false},
		{"GO-11 an address of eight octets", mtls.Subject{IP: "192.0.2.1"}, []san{ip(192, 0, 2, 1), ip(192, 0, 2, 0, 255, 255, 255, 0)}, false},

		{"RFC8705-2.1-7 the mailbox", mtls.Subject{Email: "App@fintech.example"}, []san{email("App@fintech.example")}, true},
		{"RFC8705-2.1-7 the domain in another case", mtls.Subject{Email: "App@fintech.example"}, []san{email("App@FINTECH.example")}, true},
		{"RFC8705-2.1-7 the local part in another case", mtls.Subject{Email: "App@fintech.example"}, []san{email("app@fintech.example")}, false},
		{"RFC8705-2.1-7 a domain behind the domain", mtls.Subject{Email: "app@fintech.example"}, []san{email("app@fintech.example@evil.example")}, false},
		{"RFC8705-2.1-7 a shorter mailbox", mtls.Subject{Email: "app@fintech.example"}, []san{email("ap")}, false},
		{"RFC8705-2.1-7 the domain cut short", mtls.Subject{Email: "app@fintech.example"}, []san{email("app@fintech.exampl")}, false},
		{"RFC8705-2.1-7 no @ in the certificate's", mtls.Subject{Email: "app@fintech.example"}, []san{email("app.fintech.example")}, false},

		{"RFC8705-2.1-2 nothing registered", mtls.Subject{}, []san{dns("app.fintech.example"), dns("")}, false},
		{"RFC8705-2.1-2 two registered, both right", mtls.Subject{DNS: "a.example", URI: "urn:a"}, []san{dns("a.example"), uri("urn:a")}, false},
		{"RFC8705-2.1-4 a wildcard in both", mtls.Subject{DNS: "*.fintech.example"}, []san{dns("*.fintech.example")}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var extensions []pkix.Extension
			if tt.sans != nil {
				extensions = append(extensions, sanExtension(tt.sans...))
			}
			if err := tt.subject.Match(named(fintech, extensions...)); (err == nil) != tt.ok {
				t.Errorf("Match = %v", err)
			}
		})
	}

	extension := sanExtension(dns("app.fintech.example")).Value
	for name, value := range map[string][]byte{
		"cut short":             extension[:len(extension)-1],
		"with an octet behind":  append(extension[:len(extension):len(extension)], 0),
		"an entry cut short":    {0x30, 2, 0x82, 9},
		"not a sequence of any": {0x04, 0},
		"empty":                 {},
	} {
		t.Run("RFC8705-7-2 extension "+name, func(t *testing.T) {
			cert := named(fintech, sanExtension(dns("app.fintech.example")), pkix.Extension{Id: oid("2.5.29.17"), Value: value})
			wantError(t, mtls.Subject{DNS: "app.fintech.example"}.Match(cert))
			wantError(t, mtls.Subject{DN: "CN=app.fintech.example,C=JP"}.Match(cert))
		})
	}
}

// TestSubjectMatchParsed goes through crypto/x509, whose view of the names must
// not matter.
func TestSubjectMatchParsed(t *testing.T) {
	c := template("app.fintech.example")
	c.ExtraExtensions = []pkix.Extension{sanExtension(dns("App.fintech.example"), uri("https://app.fintech.example/%7e"), ip(192, 0, 2, 1), email("app@fintech.example"))}
	cert := issue(c, newKey(), nil).cert
	for name, s := range map[string]mtls.Subject{
		"RFC8705-2.1-3 its DN":      {DN: "CN=app.fintech.example,C=JP"},
		"RFC8705-2.1-4 its host":    {DNS: "app.fintech.example"},
		"RFC8705-2.1-5 its URI":     {URI: "https://app.fintech.example/%7e"},
		"RFC8705-2.1-6 its address": {IP: "192.0.2.1"},
		"RFC8705-2.1-7 its mailbox": {Email: "app@fintech.example"},
	} {
		t.Run(name, func(t *testing.T) { wantNone(t, s.Match(cert)) })
	}
	t.Run("RFC8705-2.1-9 the same DN for a new key", func(t *testing.T) {
		renewed := issue(template("app.fintech.example"), newKey(), nil).cert
		wantNone(t, mtls.Subject{DN: "CN=app.fintech.example,C=JP"}.Match(renewed))
	})
	t.Run("RFC8705-2-5 no certificate", func(t *testing.T) {
		wantError(t, mtls.Subject{DN: "CN=app"}.Match(nil))
	})
	t.Run("a certificate that was not parsed", func(t *testing.T) {
		wantError(t, mtls.Subject{DN: "CN=app"}.Match(new(x509.Certificate)))
	})
}

func TestSubjectCheckDN(t *testing.T) {
	tests := []struct {
		name, dn string
		ok       bool
	}{
		{"DN-1 three RDNs", "CN=app,O=Fintech,C=JP", true},
		{"DN-1 an RDN of two", "CN=app+UID=7,C=JP", true},
		{"DN-2 names in any case", "cn=app,o=Fintech,StReEt=x,dc=example,uid=7", true},
		{"DN-3 an OID and hexadecimal", "1.2.3.4=#0C03616263", true},
		{"DN-3 an OID of a type without a name and text", "1.2.3.4=abc", false},
		{"DN-3 an odd number of digits", "1.2.3.4=#0C0361626", false},
		{"DN-3 no digits", "1.2.3.4=#", false},
		{"DN-3 not hexadecimal", "1.2.3.4=#0C03GGGGGG", false},
		{"DN-3 shorter than its length", "1.2.3.4=#0C046162", false},
		{"DN-3 longer than its length", "1.2.3.4=#0C016162", false},
		{"DN-3 text behind the digits", "1.2.3.4=#0C0161 x", false},
		{"DN-3 an OID of one arc", "1=#0C0161", false},
		{"DN-3 an OID with an empty arc", "1.2..3=#0C0161", false},
		{"DN-3 an OID with a dot at its end", "1.2.=#0C0161", false},
		{"DN-3 an OID with a leading zero", "1.02=#0C0161", false},
		{"DN-3 an OID with a number of 63 bits", "2.9223372036854775807=#0C0161", true},
		{"DN-3 an OID with a number of 72 bits", "2.5.2752975758073710772064=#0C0161", true},
		{"DN-3 an OID with letters", "2.5.4a=#0C0161", false},
		{"DN-3 an OID with an empty number", "2..5=#0C0161", false},
		{"DN-3 an OID that cannot be", "1.40=#0C0161", false},
		{"DN-4 escaped separators", `O=Sue\, Grabbit\+Runn\; \"x\" \<\>\\`, true},
		{"DN-4 escaped ends", `O=\ x\ `, true},
		{"DN-4 escaped #", `O=\#7`, true},
		{"DN-4 an equals sign, escaped and not", `O=a\=b=c`, true},
		{"DN-4 octets", `O=M\C3\BCller`, true},
		{"DN-4 half an octet", `O=M\C`, false},
		{"DN-4 a backslash at the end", `O=M\`, false},
		{"DN-4 a backslash before a letter", `O=\Müller`, false},
		{"DN-4 octets that are not UTF-8", `O=M\FCller`, false},
		{"DN-4 an unescaped quotation mark", `O=a"b`, false},
		{"DN-4 an unescaped <", `O=a<b`, false},
		{"DN-12 an escaped NUL", `O=a\00b`, false},
		{"DN-12 a NUL", "O=a\x00b", false},
		{"DN-12 a NUL in hexadecimal", "O=#0C03610062", false},
		{"DN-12 a NUL in the hexadecimal of a BMPString", "O=#1E0400610000", false},
		{"DN-12 not UTF-8", "O=a\xffb", false},
		{"DN-12 not UTF-8 in hexadecimal", "O=#0C0261FF", false},
		{"DN-12 not ASCII in the hexadecimal of a PrintableString", "O=#130261FF", false},
		{"DN-12 a control character", "O=a\x07b", false},
		{"DN-12 a replacement character", "O=a\ufffdb", false},
		{"DN-12 a noncharacter", "O=a\ufdd0b", false},
		{"DN-12 a private character", "O=a\ue000b", false},
		{"DN-5 spaces around separators", " CN = app , O = Fintech ; C = JP + L = x ", true},
		{"DN-5 quoted", `O="Sue, Grabbit; \"x\"", C=JP`, true},
		{"DN-5 quoted and not closed", `O="Sue`, false},
		{"DN-5 text behind a quoted value", `O="Sue" Grabbit`, false},
		{"DN-5 more names", "serialNumber=1,businessCategory=2,organizationIdentifier=3,jurisdictionCountryName=4,jurisdictionC=5,emailAddress=6,E=7,SN=8,T=9,GN=10", true},
		{"DN-5 an OID with a prefix", "OID.2.5.4.97=#130461626364", true},
		{"DN-5 a prefix before a name", "OID.CN=app", false},
		{"DN-10 spaces alone", "  ", false},
		{"an unknown name", "FOO=bar", false},
		{"no type", "=bar", false},
		{"no value", "CN=app,O=", false},
		{"a value of spaces", "CN=app,O=   ", false},
		{"no equals sign", "CN", false},
		{"an empty RDN", "CN=app,,C=JP", false},
		{"a separator at the end", "CN=app,", false},
		{"a plus sign at the end", "CN=app+", false},
		{"slashes for separators", "/C=JP/CN=app", false},
		{"beyond ASCII in a domain component", "DC=合鍵", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := mtls.Subject{DN: tt.dn}.Check()
			if (err == nil) != tt.ok {
				t.Errorf("Check = %v", err)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\"\\\n") {
				t.Errorf("%q cannot be an error_description", err) // RFC 6749, 5.2
			}
		})
	}
}

func TestSubjectMatchDN(t *testing.T) {
	cn := func(v string) ava { return ava{"2.5.4.3", utf8, v} }
	o := func(v string) ava { return ava{"2.5.4.10", utf8, v} }
	tagged := func(tag int, v string) ava { return ava{"2.5.4.10", cryptobyteTag(tag), v} }
	one := func(a ava) [][]ava { return [][]ava{{a}} }
	tests := []struct {
		name, dn string
		subject  [][]ava
		ok       bool
	}{
		{"DN-1 the reverse of the encoding", "CN=app,O=Fintech", singles(o("Fintech"), cn("app")), true},
		{"DN-1 in the order of the encoding", "O=Fintech,CN=app", singles(o("Fintech"), cn("app")), false},
		{"DN-6 another value", "CN=evil,O=Fintech", singles(o("Fintech"), cn("app")), false},
		{"DN-6 another type", "UID=app,O=Fintech", singles(o("Fintech"), cn("app")), false},
		{"E2E-10 one more RDN in the certificate", "CN=app,O=Fintech", singles(o("Fintech"), cn("app"), cn("evil")), false},
		{"RFC8705-2.1-3 one RDN less in the certificate", "CN=app,O=Fintech", singles(o("Fintech")), false},
		{"DN-6 attributes of an RDN in another order", "CN=app+O=Fintech", [][]ava{{o("Fintech"), cn("app")}}, true},
		{"DN-6 two RDNs for one", "CN=app+O=Fintech", singles(o("Fintech"), cn("app")), false},
		{"DN-6 one RDN for two", "CN=app,O=Fintech", [][]ava{{o("Fintech"), cn("app")}}, false},
		{"DN-6 one attribute twice for two", "CN=a+CN=b", [][]ava{{cn("a"), cn("a")}}, false},
		{"DN-6 two attributes for one twice", "CN=a+CN=a", [][]ava{{cn("a"), cn("b")}}, false},
		{"DN-6 one more attribute in an RDN", "CN=a", [][]ava{{cn("a"), o("b")}}, false},
		{"DN-11 two OUs in order", "OU=b,OU=a", singles(ava{"2.5.4.11", utf8, "a"}, ava{"2.5.4.11", utf8, "b"}), true},
		{"DN-11 two OUs swapped", "OU=a,OU=b", singles(ava{"2.5.4.11", utf8, "a"}, ava{"2.5.4.11", utf8, "b"}), false},
		{"DN-10 an empty subject", "CN=app", nil, false},

		{"DN-7 DN-8 RFC8705-2.1.2-2 case and spaces", "o=acme ltd", one(o("ACME  Ltd")), true},
		{"DN-7 spaces at the ends", `O=\  ACME Ltd\ `, one(o("  ACME Ltd")), true},
		{"E2E-9 a space behind and another case", "O=fintech", one(o("Fintech ")), true},
		{"DN-7 a space in the middle", "O=AC ME", one(o("ACME")), false},
		{"DN-7 other spaces", "O=a b", one(o("a\u00a0\t\u3000b")), true},
		{"DN-7 what maps to nothing", "O=ab", one(o("a\u00ad\u200bb\ufeff")), true},
		{"DN-7 spaces around what maps to nothing", "O=a b", one(o("a \u200b b")), true},
		{"DN-7 case beyond ASCII", "O=ÉTÉ ΣΑΣ", one(o("été σας")), true},
		{"DN-7 the Kelvin sign", "O=kelvin", one(o("\u212aelvin")), true},
		{"DN-7 full case folding is not done", "O=Strasse", one(o("Straße")), false},
		{"DN-7 NFKC is not applied", "O=caf\u00e9", one(o("cafe\u0301")), false},
		{"DN-7 a PrintableString", "O=Fintech", one(tagged(19, "Fintech")), true},
		{"DN-7 a TeletexString", "O=Fintech", one(tagged(20, "Fintech")), true},
		{"DN-7 a BMPString", "O=Fé", one(tagged(30, "\x00F\x00\xe9")), true},
		{"DN-7 an IA5String", "O=Fintech", one(tagged(22, "Fintech")), true},
		{"DN-7 a NumericString", "O=123", one(tagged(18, "123")), true},
		{"DN-7 a VisibleString", "O=Fintech", one(tagged(26, "Fintech")), true},
		{"DN-7 UTF8String registered, PrintableString presented", "O=#0C0461434D45", one(tagged(19, "Acme")), true},
		{"DN-7 a country in another case", "C=jp", one(ava{"2.5.4.6", printable, "JP"}), true},
		{"DN-7 a domain component in another case", "DC=Example", one(ava{"0.9.2342.19200300.100.1.25", ia5, "eXample"}), true},
		{"DN-7 a mailbox in another case", "E=app@FINTECH.example", one(ava{"1.2.840.113549.1.9.1", ia5, "App@fintech.example"}), true},
		{"DN-7 ASCII case alone for a domain component", "DC=kelvin", one(ava{"0.9.2342.19200300.100.1.25", utf8, "\u212aelvin"}), false},
		{"DN-7 an unknown type, the same octets", "1.2.3.4=#0c0161", one(ava{"1.2.3.4", utf8, "a"}), true},
		{"DN-7 an unknown type, another case", "1.2.3.4=#0c0161", one(ava{"1.2.3.4", utf8, "A"}), false},
		{"DN-7 an unknown type, another string type", "1.2.3.4=#130161", one(ava{"1.2.3.4", utf8, "a"}), false},
		{"DN-7 an OCTET STRING, the same octets", "O=#040161", one(ava{"2.5.4.10", octets, "a"}), true},
		{"DN-7 an OCTET STRING for text", "O=a", one(ava{"2.5.4.10", octets, "a"}), false},
		{"DN-7 Latin-1 or T.61, nobody knows", "O=Fé", one(tagged(20, "F\xe9")), false},
		{"DN-7 Latin-1 or T.61, the same octets", "O=#140246E9", one(tagged(20, "F\xe9")), true},
		{"DN-7 UTF-8 in a TeletexString", "O=Fé", one(tagged(20, "F\xc3\xa9")), false},
		{"DN-12 UTF-8 in a PrintableString", "O=Fé", one(tagged(19, "F\xc3\xa9")), false},
		{"DN-7 surrogates in a BMPString", "O=𝔄", one(tagged(30, "\xd8\x35\xdd\x04")), false},

		{"DN-12 a NUL in the value", "O=Fintech", one(o("Fintech\x00Evil")), false},
		{"E2E-12 a NUL in the common name", "CN=app", singles(cn("app\x00.evil.example")), false},
		{"DN-12 a NUL in a value that is registered so", "1.2.3.4=#0c03610062", one(ava{"1.2.3.4", utf8, "a\x00b"}), false},
		{"DN-12 a control character in the value", "O=Fintech", one(o("Fin\x07tech")), false},
		{"DN-12 not UTF-8", "O=Fintech", one(o("Fintech\xff")), false},
		{"DN-12 not ASCII in a PrintableString", "O=Fintech", one(tagged(19, "Fintech\xff")), false},
		{"DN-12 half a character in a BMPString", "O=F", one(tagged(30, "\x00F\x00")), false},
		{"RFC8705-7-2 an empty RDN", "O=Fintech", [][]ava{{o("Fintech")}, {}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := (mtls.Subject{DN: tt.dn}).Match(named(encode(tt.subject...))); (err == nil) != tt.ok {
				t.Errorf("Match = %v", err)
			}
		})
	}

	t.Run("E2E-12 a NUL in the common name spoils a certificate that is known by its host", func(t *testing.T) {
		sans := sanExtension(dns("app.fintech.example"))
		wantNone(t, mtls.Subject{DNS: "app.fintech.example"}.Match(named(encode(one(cn("app"))...), sans)))
		wantError(t, mtls.Subject{DNS: "app.fintech.example"}.Match(named(encode(one(cn("app\x00b"))...), sans)))
		wantError(t, mtls.Subject{DNS: "app.fintech.example"}.Match(named(encode(one(cn("app\xff"))...), sans)))
	})
	t.Run("GO-12 a NUL that crypto/x509 lets through", func(t *testing.T) {
		c := template("app")
		c.RawSubject = encode(one(cn("app\x00b"))...)
		wantError(t, mtls.Subject{DN: "CN=app"}.Match(issue(c, newKey(), nil).cert))
	})
	good := encode(one(cn("app"))...)
	for name, der := range map[string][]byte{
		"cut short":                         good[:len(good)-1],
		"with an octet behind":              append(good[:len(good):len(good)], 0),
		"not a sequence":                    {0x31, 0},
		"an RDN no set":                     {0x30, 2, 0x30, 0},
		"an attribute with an octet behind": {0x30, 14, 0x31, 12, 0x30, 10, 6, 3, 0x55, 4, 3, 0x0c, 1, 'a', 5, 0},
		"an attribute without a value":      {0x30, 9, 0x31, 7, 0x30, 5, 6, 3, 0x55, 4, 3},
		"an attribute without a type":       {0x30, 7, 0x31, 5, 0x30, 3, 0x0c, 1, 'a'},
	} {
		t.Run("RFC8705-7-2 subject "+name, func(t *testing.T) {
			wantError(t, mtls.Subject{DN: "CN=a"}.Match(named(der)))
			wantError(t, mtls.Subject{DNS: "a.example"}.Match(named(der, sanExtension(dns("a.example")))))
		})
	}
}

// openFinance is the certificate of the catalogue's section 6.2: its subject as
// encoded, all in PrintableString.
func openFinance() *x509.Certificate {
	c := template("")
	c.RawSubject = encode(singles(
		ava{"2.5.4.6", printable, "BR"},
		ava{"2.5.4.8", printable, "SP"},
		ava{"2.5.4.7", printable, "LONDON"},
		ava{"2.5.4.10", printable, "Open Banking Brasil"},
		ava{"2.5.4.3", printable, "https://web.conformance.directory.openbankingbrasil.org.br"},
		ava{"2.5.4.5", printable, "43142666000197"},
		ava{"2.5.4.15", printable, "Government Entity"},
		ava{"1.3.6.1.4.1.311.60.2.1.3", printable, "UK"},
		ava{"2.5.4.97", printable, "OFBBR-74e929d9-33b6-4d85-8ba7-c146c867a817"},
		ava{"0.9.2342.19200300.100.1.1", printable, "10120340-3318-4baf-99e2-0b56729c4ab2"},
	)...)
	return issue(c, newKey(), nil).cert
}

func TestSubjectMatchPrintedForms(t *testing.T) {
	cert := openFinance()
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(cert.RawSubject, &rdns); err != nil {
		t.Fatal(err)
	}
	const tail = ",CN=https://web.conformance.directory.openbankingbrasil.org.br,O=Open Banking Brasil,L=LONDON,ST=SP,C=BR"
	for name, dn := range map[string]string{
		"DNV-1 OpenSSL": "UID=10120340-3318-4baf-99e2-0b56729c4ab2,organizationIdentifier=OFBBR-74e929d9-33b6-4d85-8ba7-c146c867a817,jurisdictionC=UK,businessCategory=Government Entity,serialNumber=43142666000197" + tail,
		"DNV-3 Python":  "UID=10120340-3318-4baf-99e2-0b56729c4ab2,2.5.4.97=OFBBR-74e929d9-33b6-4d85-8ba7-c146c867a817,1.3.6.1.4.1.311.60.2.1.3=UK,2.5.4.15=Government Entity,2.5.4.5=43142666000197" + tail,
		"DNV-4 RFC 4514": "UID=10120340-3318-4baf-99e2-0b56729c4ab2,2.5.4.97=#132a4f464242522d37346539323964392d333362362d346438352d386261372d633134366338363761383137," +
			"1.3.6.1.4.1.311.60.2.1.3=#1302554b,2.5.4.15=#1311476f7665726e6d656e7420456e74697479,2.5.4.5=#130e3433313432363636303030313937" + tail,
		"DNV-5 Go's RDNSequence": rdns.String(),
	} {
		t.Run(name, func(t *testing.T) {
			wantNone(t, mtls.Subject{DN: dn}.Check())
			wantNone(t, mtls.Subject{DN: dn}.Match(cert))
		})
		t.Run(name+", of another client", func(t *testing.T) {
			other := strings.NewReplacer("4ab2", "4ab3", hexText("4ab2"), hexText("4ab3")).Replace(dn)
			wantNone(t, mtls.Subject{DN: other}.Check())
			wantError(t, mtls.Subject{DN: other}.Match(cert))
		})
	}
	t.Run("DNV-2 Go's Subject.String has lost the order", func(t *testing.T) {
		s := mtls.Subject{DN: cert.Subject.String()}
		wantNone(t, s.Check())
		if err := s.Match(cert); err == nil || !strings.Contains(err.Error(), "another order") {
			t.Errorf("Match = %v, want a refusal that tells of the order (DN-9)", err)
		}
	})
	t.Run("DN-9 the exact reverse", func(t *testing.T) {
		s := mtls.Subject{DN: "C=JP,CN=app.fintech.example"}
		if err := s.Match(named(fintech)); err == nil || !strings.Contains(err.Error(), "another order") {
			t.Errorf("Match = %v, want a refusal that tells of the order", err)
		}
	})
}
