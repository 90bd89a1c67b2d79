package httpsig

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The keys of RFC 9421, B.1.3 and B.1.4.
const (
	keyP256 = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----`
	keyEd25519 = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----`
	seedEd25519 = "n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=" // its private half
)

func publicKey(t *testing.T, text string) crypto.PublicKey {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rebuilt parses a Signature-Input and makes the base that it asks for, by
// value: without the policy of a Verifier, which the RFC's examples do not meet.
func rebuilt(t *testing.T, input string, value func(component) (string, error)) (base []byte, label string) {
	t.Helper()
	members, err := parseDictionary(input)
	if err != nil || len(members) != 1 {
		t.Fatalf("%d members: %v", len(members), err)
	}
	var lines []line
	for _, it := range members[0].items {
		c, err := identify(it)
		if err != nil {
			t.Fatal(err)
		}
		v, err := value(c)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line{it, v})
	}
	base, again, err := signatureBase(lines, members[0].params)
	if err != nil {
		t.Fatal(err)
	}
	if got := members[0].name + "=" + string(again.append(nil)); got != input {
		t.Errorf("Signature-Input %s written as %s", input, got)
	}
	return base, members[0].name
}

func newRequest(t *testing.T, method, origin, path string, header http.Header) request {
	t.Helper()
	origins := parseOrigins([]string{origin}, t.Fatalf)
	r := httptest.NewRequest(method, path, nil)
	r.Header = header
	return request{r, targetOf(origins, r)}
}

// RFC 9421, B.2 to B.4, as far as the algorithms are ours.
func TestRFC9421Vectors(t *testing.T) {
	const clientCert = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:"
	foo := func(h http.Header) func(component) (string, error) {
		h.Set("Date", "Tue, 20 Apr 2021 02:07:55 GMT")
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", "18")
		return newRequest(t, "POST", "https://example.com", "/foo?param=Value&Pet=dog", h).value
	}
	response := func(c component) (string, error) {
		if c.name == "@status" {
			return "200", nil
		}
		return fieldValue(http.Header{
			"Content-Type":   {"application/json"},
			"Content-Digest": {"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"},
			"Content-Length": {"23"},
		}, c)
	}
	proxied := newRequest(t, "POST", "https://service.internal.example", "/foo?param=Value&Pet=dog", http.Header{"Client-Cert": {clientCert}})
	demo := newRequest(t, "GET", "https://example.org", "/demo?name1=Value1&Name2=value2", http.Header{"Accept": {"application/json", "*/*"}})
	joined := newRequest(t, "GET", "https://example.org", "/demo?name1=Value1&Name2=value2&param=added", http.Header{"Accept": {"application/json, */*"}})
	const demoInput = `transform=("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"`
	const demoSignature = "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA=="
	tests := []struct {
		name, key, input, signature string
		value                       func(component) (string, error)
		base                        string // what precedes "@signature-params"
	}{
		{"RFC9421-3.3-1 B.2.4", keyP256, `sig-b24=("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"`,
			"wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==", response, `"@status": 200
"content-type": application/json
"content-digest": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:
"content-length": 23
`},
		{"RFC9421-3.3-1 B.2.6", keyEd25519, `sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==", foo(http.Header{}), `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
`},
		{"RFC9421-2.2-1 B.3", keyP256, `ttrp=("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256"`,
			"xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==", proxied.value, `"@path": /foo
"@query": ?param=Value&Pet=dog
"@method": POST
"@authority": service.internal.example
"client-cert": ` + clientCert + "\n"},
		{"RFC9421-2.1-1 B.4", keyEd25519, demoInput, demoSignature, demo.value, `"@method": GET
"@path": /demo
"@authority": example.org
"accept": application/json, */*
`},
		{"RFC9421-2.1-1 B.4 with what may change", keyEd25519, demoInput, demoSignature, joined.value, `"@method": GET
"@path": /demo
"@authority": example.org
"accept": application/json, */*
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base, label := rebuilt(t, tt.input, tt.value)
			want := tt.base + `"@signature-params": ` + strings.TrimPrefix(tt.input, label+"=")
			if d := cmp.Diff(want, string(base)); d != "" {
				t.Error(d)
			}
			sig, err := base64.StdEncoding.DecodeString(tt.signature)
			if err != nil {
				t.Fatal(err)
			}
			key := publicKey(t, tt.key)
			if !verify(key, base, sig) {
				t.Error("the signature is not valid")
			}
			if verify(key, append(base, '\n'), sig) {
				t.Error("the signature is valid over more than the base")
			}
		})
	}
}

// RFC 9421, B.2.6 once more: Ed25519 is deterministic, so ours are its octets.
func TestRFC9421Sign(t *testing.T) {
	seed, err := base64.StdEncoding.DecodeString(seedEd25519)
	if err != nil {
		t.Fatal(err)
	}
	base := `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`
	sig, err := sign(ed25519.NewKeyFromSeed(seed), []byte(base))
	if err != nil {
		t.Fatal(err)
	}
	const want = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
	if got := base64.StdEncoding.EncodeToString(sig); got != want {
		t.Errorf("signature %s", got)
	}
}

// RFC 9421, 2.2.2 to 2.2.7.
func TestDerived(t *testing.T) {
	tests := []struct{ path, name, want string }{
		{"/path?param=value", "@method", "POST"},
		{"/path?param=value", "@target-uri", "https://www.example.com/path?param=value"},
		{"/path?param=value", "@authority", "www.example.com"},
		{"/path?param=value", "@scheme", "https"},
		{"/path?param=value", "@request-target", "/path?param=value"},
		{"/path?param=value", "@path", "/path"},
		{"/path?param=value&foo=bar&baz=bat%2Dman", "@query", "?param=value&foo=bar&baz=bat%2Dman"},
		{"/path?queryString", "@query", "?queryString"},
		{"/path", "@query", "?"},
		{"/path?", "@query", "?"},
		{"/path?", "@target-uri", "https://www.example.com/path?"},
		{"/a%2fb//../c;d=e", "@path", "/a%2fb//../c;d=e"},
		{"*", "@path", "/"},
	}
	for _, tt := range tests {
		t.Run("RFC9421-2.2-1 "+tt.name+" of "+tt.path, func(t *testing.T) {
			r := newRequest(t, "POST", "https://www.example.com", tt.path, nil)
			if got, err := r.value(component{name: tt.name}); got != tt.want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// RFC 9530, B.1 and B.2, and D for what is deprecated.
func TestContentDigest(t *testing.T) {
	const content = "{\"hello\": \"world\"}\n"
	t.Run("RFC9530-1 B.1", func(t *testing.T) {
		if got := contentDigest([]byte(content)); got != "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:" {
			t.Error(got)
		}
	})
	t.Run("RFC9530-1 the empty body", func(t *testing.T) {
		if got := contentDigest(nil); got != "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:" {
			t.Error(got)
		}
	})
	t.Run("RFC9530-1 sha-512 over two lines", func(t *testing.T) {
		h := http.Header{digestHeader: {
			"sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:",
			"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
		}}
		if err := checkDigest(h, []byte(content)); err != nil {
			t.Error(err)
		}
	})
}

// A component's name and parameters tell it from others, not their order.
func TestIdentify(t *testing.T) {
	one := item{value: bare{kind: text, text: "x"}, params: params{{"req", yes}, {"key", bare{kind: text, text: "a"}}}}
	two := item{value: one.value, params: params{one.params[1], one.params[0]}}
	a, errA := identify(one)
	b, errB := identify(two)
	t.Run("RFC9421-2-1 the order of parameters", func(t *testing.T) {
		if errA != nil || errB != nil || a != b {
			t.Errorf("%+v, %v, %+v, %v", a, errA, b, errB)
		}
	})
	if d := cmp.Diff(one, a.item(), cmp.AllowUnexported(item{}, bare{}, param{})); d != "" {
		t.Error(d)
	}
	for _, v := range []bare{{kind: token, text: "x"}, {kind: integer, number: 1}, {kind: text}, {kind: text, text: "a b"}} {
		if c, err := identify(item{value: v}); err == nil {
			t.Errorf("%+v is %+v", v, c)
		}
	}
}

func TestAlgorithmOf(t *testing.T) {
	if alg, ok := algorithmOf(publicKey(t, keyP256)); !ok || alg != es256 {
		t.Error("P-256", alg, ok)
	}
	if _, ok := algorithmOf(make(ed25519.PublicKey, 31)); ok {
		t.Error("a short Ed25519 key")
	}
	if verify(nil, nil, make([]byte, sha256.Size)) {
		t.Error("no key verifies")
	}
}
