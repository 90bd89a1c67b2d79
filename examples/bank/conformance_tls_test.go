package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// TestConformanceTLS probes each listener as the tests probe every endpoint:
// with hellos that Go itself would not send.
func TestConformanceTLS(t *testing.T) {
	t.Parallel()
	for name, two := range map[string]bool{"two listeners": true, "one listener": false} {
		t.Run(name, func(t *testing.T) {
			v := conformanceBank(t, two, everyMethod, nil)[0]
			good := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
			if two { // with an EC certificate
				good = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
			}
			for _, address := range v.addresses(t) {
				t.Run(address, func(t *testing.T) { probe(t, address, "FAPI2-SP-5.2.2-1", good) })
			}
		})
	}
}

// addresses returns where all endpoints listen, each address once.
func (v *variant) addresses(t *testing.T) []string {
	t.Helper()
	var found []string
	add := func(endpoint any) {
		u, err := url.Parse(endpoint.(string))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(found, u.Host) {
			found = append(found, u.Host)
		}
	}
	for _, name := range []string{"authorization_endpoint", "pushed_authorization_request_endpoint", "token_endpoint", "jwks_uri"} {
		add(v.doc[name])
	}
	aliases, _ := v.doc["mtls_endpoint_aliases"].(map[string]any)
	for _, alias := range aliases {
		add(alias)
	}
	add(v.api)
	if want := map[bool]int{true: 1, false: 2}[v.machines == v.issuer]; len(found) != want {
		t.Fatalf("endpoints at %q, want %d addresses", found, want)
	}
	return found
}

// Suites that no endpoint may speak, by the numbers that IANA gave them.
var badSuites = map[string][]uint16{
	"static RSA":           {0x002f, 0x0035, 0x003c, 0x003d, 0x009c, 0x009d, 0x0041, 0x0084},
	"3DES, RC4":            {0x000a, 0x0005, 0x0004, 0xc012, 0xc008, 0xc011, 0xc007, 0x0016},
	"ECDHE with CBC":       {0xc009, 0xc00a, 0xc013, 0xc014, 0xc023, 0xc024, 0xc027, 0xc028},
	"FAPI1-ADV-8.5-3 DHE":  {0x0033, 0x0039, 0x0067, 0x006b, 0x009e, 0x009f, 0xccaa, 0xc09e, 0xc09f},
	"ChaCha20":             {0xcca8, 0xcca9},
	"CCM":                  {0xc0ac, 0xc0ad, 0xc0ae, 0xc0af},
	"nothing or anybody":   {0x0001, 0x0002, 0x003b, 0xc006, 0xc010, 0x0034, 0x00a6, 0xc018},
	"those of version 1.3": {0x1301, 0x1302, 0x1303},
}

const (
	alertHandshakeFailure = 40
	alertProtocolVersion  = 70
)

// probe sends a listener hello after hello. Row is that about suites, of which
// good are good; if there are none, the listener has no version 1.2.
func probe(t *testing.T, address, row string, good []uint16) {
	for _, suite := range good {
		t.Run(fmt.Sprintf("TLS-1 %s", tls.CipherSuiteName(suite)), func(t *testing.T) {
			if got := sayHello(t, address, tls.VersionTLS12, suite); got.version != tls.VersionTLS12 || got.suite != suite {
				t.Errorf("refused: %+v", got)
			}
		})
	}
	for name, suites := range badSuites {
		t.Run(row+" "+name, func(t *testing.T) {
			for _, suite := range suites {
				if got := sayHello(t, address, tls.VersionTLS12, suite); got.alert != alertHandshakeFailure && (good != nil || got.alert != alertProtocolVersion) {
					t.Errorf("suite %#04x: %+v", suite, got)
				}
			}
			if good == nil {
				return
			}
			// Beside a good one, whatever the order, the good one is taken.
			if got := sayHello(t, address, tls.VersionTLS12, append(slices.Clone(suites), good[0])...); got.suite != good[0] {
				t.Errorf("chosen from many: %+v", got)
			}
		})
	}
	for version, name := range map[uint16]string{tls.VersionTLS11: "1.1", tls.VersionTLS10: "1.0", 0x0300: "SSL 3"} {
		t.Run("TLS-4 "+name, func(t *testing.T) {
			// What such a peer has, and what the listener would like.
			if got := sayHello(t, address, version, slices.Concat(good, []uint16{0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035})...); got.alert != alertProtocolVersion {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run("TLS-5 version 1.3 is preferred", func(t *testing.T) {
		for _, least := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: least})
			if err != nil {
				t.Fatal(err)
			}
			if got := conn.ConnectionState().Version; got != tls.VersionTLS13 {
				t.Errorf("at least %#x: %#x was chosen", least, got)
			}
			conn.Close()
		}
	})
	t.Run("TLS-12 no common protocol", func(t *testing.T) {
		if conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"imap"}}); err == nil {
			conn.Close()
			t.Error("the handshake goes on")
		}
	})
	t.Run("FAPI2-SP-5.2.1-1 no plain HTTP", func(t *testing.T) {
		res, err := http.Get("http://" + address + "/.well-known/openid-configuration")
		if err != nil {
			return
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("answered %d", res.StatusCode)
		}
	})
}

// A helloAnswer is what a server made of a hello: it chose, or sent an alert,
// or hung up.
type helloAnswer struct {
	version, suite uint16
	alert          byte
}

// sayHello sends a ClientHello of a version up to 1.2 (RFC 5246, 7.4.1.2) and
// reads the first record that comes back.
func sayHello(t *testing.T, address string, version uint16, suites ...uint16) (got helloAnswer) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(clientHello(version, suites)); err != nil {
		t.Fatal(err)
	}
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return got
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatal(err)
	}
	switch {
	case head[0] == 21 && len(body) == 2: // alert
		got.alert = body[1]
	case head[0] == 22 && len(body) > 41 && body[0] == 2: // ServerHello
		got.version = binary.BigEndian.Uint16(body[4:])
		session := int(body[38])
		got.suite = binary.BigEndian.Uint16(body[39+session:])
	default:
		t.Fatalf("not an answer to a hello: %x %x", head, body)
	}
	return got
}

func clientHello(version uint16, suites []uint16) []byte {
	u16 := binary.BigEndian.AppendUint16
	var list []byte
	for _, s := range suites {
		list = u16(list, s)
	}
	var extensions []byte
	extension := func(id uint16, numbers ...uint16) {
		var b []byte
		for _, n := range numbers {
			b = u16(b, n)
		}
		extensions = append(u16(u16(u16(extensions, id), uint16(len(b)+2)), uint16(len(b))), b...)
	}
	extension(10, 29, 23, 24, 256)                                                // groups: x25519, P-256, P-384, ffdhe2048
	extension(13, 0x0403, 0x0503, 0x0804, 0x0805, 0x0401, 0x0501, 0x0203, 0x0201) // signatures: ECDSA, RSA-PSS, RSA, SHA-1
	extensions = append(extensions, 0, 11, 0, 2, 1, 0)                            // uncompressed points
	extensions = append(extensions, 0, 23, 0, 0)                                  // extended master secret
	extensions = append(extensions, 0xff, 1, 0, 1, 0)                             // secure renegotiation

	hello := u16(nil, version)
	hello = append(hello, make([]byte, 32)...)
	rand.Read(hello[2:])
	hello = append(hello, 0) // no session
	hello = append(u16(hello, uint16(len(list))), list...)
	hello = append(hello, 1, 0) // no compression
	hello = append(u16(hello, uint16(len(extensions))), extensions...)

	var record bytes.Buffer
	record.Write([]byte{22, byte(min(version, 0x0301) >> 8), byte(min(version, 0x0301))})
	record.Write(u16(nil, uint16(len(hello)+4)))
	record.Write([]byte{1, 0})
	record.Write(u16(nil, uint16(len(hello))))
	record.Write(hello)
	return record.Bytes()
}
