package grant_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/grant"
)

var locator = grant.Locator{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// TestKeys holds the rule for keys and tags to values computed apart from it:
// SHA-256 over the letter and each part after its length in eight bytes. They
// are looked up by every later release.
func TestKeys(t *testing.T) {
	const issuer = "https://as.bank.example"
	for _, tt := range []struct{ name, got, want string }{
		{"request", locator.Key(grant.KindRequest, issuer), "rmRfO7kdImsWLNKah-jGB7zQ8lD6bvqPD53PuEqO6JEY"},
		{"grant", locator.Key(grant.KindGrant, issuer), "gOS6gxNuqd8VooGLSuraEhjZ2M4Zpd_xXpJ4bp8MeBiY"},
		{"replay", grant.ReplayKey(issuer, "client_assertion", "kakeibo", "jti-1"), "jFGr5YKawkWsh4jf_HK0IHhr5kThkdWWYtfpAfCOhEd8"},
		{"subject", grant.SubjectTag(issuer, "u-5b1e9d"), "sUs0X7Q6rMHST-rzUwpC8V6EpjwZuhTcbEsYA_6y7hIo"},
		{"client", grant.ClientTag(issuer, "kakeibo"), "cZ6ZpFj-vHOxlVSdKVgK4v29Vqskeoob1CPDLRPvqj80"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s key is %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}

// TestSession holds the names of a session to values computed apart from them:
// clients keep them as long as they keep a customer signed in.
func TestSession(t *testing.T) {
	const issuer = "https://as.bank.example"
	d := grant.SessionDigest(issuer, "bank-session-4f0c6e")
	if got, want := hex.EncodeToString(d[:]), "bc6e212a87184056e85bfa063429b7559388eed37ddb840f3d966ee0a6dcf70f"; got != want {
		t.Errorf("digest is %s, want %s", got, want)
	}
	if got, want := grant.SessionID(issuer, "kakeibo", d), "iqtXcFQiONUy6fUR4MJvkyW3fAKKNnANvag2tdzPviA"; got != want {
		t.Errorf("sid is %s, want %s", got, want)
	}
	t.Run("BCL-14 another for every issuer, client and session", func(t *testing.T) {
		seen := map[string]bool{}
		for _, i := range []string{"https://a.example", "https://b.example"} {
			for _, c := range []string{"a", "b"} {
				for _, s := range []string{"a", "b"} {
					seen[grant.SessionID(i, c, grant.SessionDigest(i, s))] = true
				}
			}
		}
		if len(seen) != 8 {
			t.Errorf("%d names, want 8", len(seen))
		}
	})
	t.Run("BCL-14 none for none", func(t *testing.T) {
		if d := grant.SessionDigest(issuer, ""); d != (grant.Digest{}) || grant.SessionID(issuer, "kakeibo", d) != "" {
			t.Errorf("%x", d)
		}
	})
}

func TestKeysDiffer(t *testing.T) {
	seen := map[string]string{}
	add := func(name, key string) {
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		seen[key] = name
	}
	add("issuer a", locator.Key(grant.KindGrant, "https://a.example"))
	add("issuer b", locator.Key(grant.KindGrant, "https://b.example"))
	add("request", locator.Key(grant.KindRequest, "https://a.example"))
	add("jti ab of c", grant.ReplayKey("i", "client_assertion", "c", "ab"))
	add("jti b of ca", grant.ReplayKey("i", "client_assertion", "ca", "b"))
	add("jti ab of c in a proof", grant.ReplayKey("i", "dpop", "c", "ab"))
	add("one part after another", grant.ReplayKey("i", "client_assertionc", "", "ab"))
}

func TestHandle(t *testing.T) {
	h := grant.Handle{Locator: locator}
	for i := range h.Secret {
		h.Secret[i] = byte(32 + i)
	}
	// base64url of 1, 0…15, 32…63.
	const text = "AQABAgMEBQYHCAkKCwwNDg8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-Pw"
	if got := h.String(); got != text {
		t.Errorf("String: %s, want %s", got, text)
	}
	if got, err := grant.ParseHandle(text); err != nil || got != h {
		t.Errorf("ParseHandle: %v, %v", got, err)
	}
	for _, bad := range []struct{ name, text string }{
		{"empty", ""},
		{"one short", text[:65]},
		{"one long", text + "A"},
		{"padded", text + "=="},
		{"a later format", "Ag" + text[2:]},
		{"another spelling of the last byte", text[:65] + "x"},
		{"standard alphabet", text[:64] + "/w"},
		{"line break inside", text[:30] + "\n" + text[30:]},
		{"line break in place of two", text[:30] + "\r\n" + text[32:]},
	} {
		if got, err := grant.ParseHandle(bad.text); !errors.Is(err, grant.ErrHandle) {
			t.Errorf("%s: %v, %v", bad.name, got, err)
		}
	}
}

// TestHandleOf: the handle of an object is its own for each issuer and client,
// and the same wherever it is made. The wanted values were computed outside Go:
// SHA-256 over the letter and each part after its length in eight bytes.
func TestHandleOf(t *testing.T) {
	h := grant.HandleOf("https://as.bank.example", "kakeibo", "eyJh.eyJi")
	const want = "AVHqxaQZCR76f8ce5rFLIAQzROPEBtLoUGilTOZirdSJlqRsgPhokEV0xPeazXHG8A"
	if h.String() != want {
		t.Errorf("the handle is %s, want %s", h, want)
	}
	if v := locator.Version(); v != "F7VcuKFXpX_L_Blncb57bg" {
		t.Errorf("the version is %s", v)
	}
	for _, other := range []grant.Handle{
		grant.HandleOf("https://as.bank.exampl", "ekakeibo", "eyJh.eyJi"),
		grant.HandleOf("https://as.bank.example", "kakeib", "oeyJh.eyJi"),
		grant.HandleOf("https://as.bank.example", "kakeibo", "eyJh.eyJj"),
	} {
		if other.Locator == h.Locator || other.Secret == h.Secret {
			t.Errorf("%s and %s", h, other)
		}
	}
}

func TestHandlesAreUnguessable(t *testing.T) {
	t.Run("FAPI2-SP-5.4.1-4 ten thousand handles differ", func(t *testing.T) {
		seen := map[any]bool{}
		for range 10_000 {
			h := grant.NewHandle()
			if seen[h.Locator] || seen[h.Secret] {
				t.Fatal("a handle came twice")
			}
			seen[h.Locator], seen[h.Secret] = true, true
			if n := len(h.String()); n != 66 {
				t.Fatalf("a handle has %d characters, want 66", n)
			}
		}
	})
}

func TestDigest(t *testing.T) {
	s := grant.NewSecret()
	if !s.Digest().Matches(s) {
		t.Error("a digest does not match its secret")
	}
	if s.Digest().Matches(grant.NewSecret()) {
		t.Error("a digest matches another secret")
	}
	if (grant.Digest{}).Matches(s) || (grant.Digest{}).Matches(grant.Secret{}) {
		t.Error("the zero digest matches")
	}
}

func fullGrant() *grant.Grant {
	return &grant.Grant{
		Locator: locator, Client: "kakeibo", Subject: "u-5b1e9d", Scopes: []string{"openid", "accounts"},
		AuthTime: time.UnixMilli(1767225600123), ACR: "urn:bank:acr:sca", AMR: []string{"pwd", "hwk"},
		Created: time.UnixMilli(1767225601000), Expires: time.UnixMilli(1775001601000),
		Code: grant.Code{
			Secret: grant.Digest{1}, Expires: time.UnixMilli(1767225661000), RedirectURI: "https://app.fintech.example/cb?x=1",
			Challenge: "zm3Dvy3EV4XaGP86qt62-sT0aZra8ssBIzW_iNhBHzE", Nonce: "n-1", Claim: "v1", JKT: "VmR2zmQFtNQZEmpx3DFcuzPKziGYCx5f2prh05oCmAk",
		},
		Refresh:   grant.Digest{2},
		Resources: []string{"https://api.bank.example"}, Details: []string{`{"type":"a"}`, `{"type":"b"}`}, Claims: `{"userinfo":{"name":null}}`,
		Session: grant.Digest{4}, ByValue: true, Consent: "urn:bank:c-1",
		Pending: &grant.Grant{Locator: locator, Client: "kakeibo", Subject: "u-5b1e9d", Code: grant.Code{Secret: grant.Digest{5}}, Epoch: 3}, Epoch: 2,
	}
}

func fullRequest() *grant.Request {
	return &grant.Request{
		Locator: locator, Secret: grant.Digest{3}, Client: "kakeibo", Expires: time.UnixMilli(1767225690000),
		RedirectURI: "https://app.fintech.example/cb", State: strings.Repeat("s", 2000), Scopes: []string{"accounts"},
		Challenge: "zm3Dvy3EV4XaGP86qt62-sT0aZra8ssBIzW_iNhBHzE", Nonce: "n-1", ACRValues: []string{"a", "b"},
		Prompt: []string{"login"}, UILocales: []string{"ja", "en"}, LoginHint: "太郎", MaxAge: 300, HasMaxAge: true, JKT: "VmR2zmQFtNQZEmpx3DFcuzPKziGYCx5f2prh05oCmAk",
		Resources: []string{"https://api.bank.example"}, Details: []string{`{"type":"a"}`}, Claims: `{"userinfo":{"name":null}}`,
		Subject: "u-5b1e9d", EssentialACR: true, ResponseMode: "jwt", ResponseType: "code id_token",
		ByValue: true, Decided: true, Use: "j-ro-1", Consent: "urn:bank:c-1", Amends: "g-1", Sharing: 7776000,
	}
}

// TestRoundTrip also proves that no field was forgotten: each is set.
func TestRoundTrip(t *testing.T) {
	g := fullGrant()
	if got, err := grant.Decode(g.Encode()); err != nil {
		t.Error(err)
	} else if d := cmp.Diff(g, got); d != "" {
		t.Error(d)
	}
	r := fullRequest()
	if got, err := grant.DecodeRequest(r.Encode()); err != nil {
		t.Error(err)
	} else if d := cmp.Diff(r, got); d != "" {
		t.Error(d)
	}
	denied := &grant.Grant{Locator: locator, Denied: true}
	if got, err := grant.Decode(denied.Encode()); err != nil {
		t.Error(err)
	} else if d := cmp.Diff(denied, got); d != "" {
		t.Error(d)
	}
	allSet(t, reflect.ValueOf(*g), "Grant", "Denied")
	allSet(t, reflect.ValueOf(*r), "Request")
}

// TestIsDecided: what is read of a request in passing is what is read of all of
// it.
func TestIsDecided(t *testing.T) {
	r := fullRequest()
	for _, decided := range []bool{true, false} {
		r.Decided = decided
		if got, err := grant.IsDecided(r.Encode()); got != decided || err != nil {
			t.Errorf("%t, %v, want %t", got, err, decided)
		}
	}
	for _, b := range [][]byte{nil, {2}, r.Encode()[:20]} {
		if _, err := grant.IsDecided(b); !errors.Is(err, grant.ErrFormat) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

func allSet(t *testing.T, v reflect.Value, path string, except ...string) {
	t.Helper()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if f := v.Field(i); f.IsZero() && (len(except) == 0 || except[0] != name) {
			t.Errorf("%s.%s is not covered by the round trip", path, name)
		} else if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]() {
			allSet(t, f, path+"."+name)
		}
	}
}

// TestFormat pins the binary form byte by byte: release N writes what release
// N-1 reads.
func TestFormat(t *testing.T) {
	g := &grant.Grant{Locator: locator, Client: "c", Scopes: []string{"a", "bc"}, Created: time.UnixMilli(1)}
	want := bytesOf(
		[]byte{1},                 // format
		[]byte{1, 16}, locator[:], // the locator
		[]byte{3, 1, 'c'},                 // client
		[]byte{5, 5, 1, 'a', 2, 'b', 'c'}, // scopes, each after its length
		[]byte{9, 1, 2},                   // created, a zigzag varint of milliseconds
	)
	if got := g.Encode(); !bytes.Equal(got, want) {
		t.Errorf("Encode: % x\nwant    % x", got, want)
	}
}

func bytesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestUnreadable(t *testing.T) {
	good := fullGrant().Encode()
	for _, tt := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"a later format", append([]byte{2}, good[1:]...)},
		{"cut short", good[:len(good)-1]},
		{"a field of a later release", append(bytes.Clone(good), 99, 1, 0)},
		{"a field twice", append(bytes.Clone(good), 21, 1, 0)},
		{"an empty field", []byte{1, 3, 0}},
		{"a length beyond the end", []byte{1, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}},
		{"a locator of 15 bytes", append([]byte{1, 1, 15}, locator[:15]...)},
		{"true that is 2", []byte{1, 2, 1, 4}},
		{"a scope beyond the list", []byte{1, 5, 2, 9, 'a'}},
	} {
		if g, err := grant.Decode(tt.b); !errors.Is(err, grant.ErrFormat) {
			t.Errorf("%s: %v, %v", tt.name, g, err)
		}
	}
	if r, err := grant.DecodeRequest(append(fullRequest().Encode(), 99, 1, 0)); !errors.Is(err, grant.ErrFormat) {
		t.Errorf("a request of a later release: %v, %v", r, err)
	}
}

// FuzzDecode: whatever is read writes itself back as it was, so that a record
// has one form.
func FuzzDecode(f *testing.F) {
	f.Add(fullGrant().Encode())
	f.Add((&grant.Grant{Locator: locator, Denied: true}).Encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := grant.Decode(b)
		if err != nil {
			return
		}
		again, err := grant.Decode(g.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(g, again); d != "" {
			t.Error(d)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add(fullRequest().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := grant.DecodeRequest(b)
		if err != nil {
			return
		}
		again, err := grant.DecodeRequest(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, again); d != "" {
			t.Error(d)
		}
	})
}

func FuzzParseHandle(f *testing.F) {
	f.Add(grant.NewHandle().String())
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := grant.ParseHandle(s); err == nil && h.String() != s {
			t.Errorf("%q and %q are one handle", s, h.String())
		}
	})
}

func TestTimes(t *testing.T) {
	for _, ms := range []int64{1, -1, math.MaxInt64 / 2, 1767225600000} {
		g := &grant.Grant{Locator: locator, Created: time.UnixMilli(ms)}
		got, err := grant.Decode(g.Encode())
		if err != nil || !got.Created.Equal(g.Created) {
			t.Errorf("%d ms: %v, %v", ms, got, err)
		}
	}
}
