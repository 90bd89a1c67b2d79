package authz

import (
	"bytes"
	"encoding/base64"
	"testing"
)

func TestSeal(t *testing.T) {
	old, now, next := bytes.Repeat([]byte("a"), 32), bytes.Repeat([]byte("b"), 32), bytes.Repeat([]byte("c"), 32)
	const issuer = "https://as.bank.example"
	plain := visit{started: 1795510800}.bytes()
	s := newSealer([][]byte{now, old}, issuer)
	sealed := s.seal(plain)

	for _, tt := range []struct {
		name string
		by   *sealer
		ok   bool
	}{
		{"itself", s, true},
		{"another node", newSealer([][]byte{now, old}, issuer), true},
		{"a node that seals with the next secret", newSealer([][]byte{next, now}, issuer), true},
		{"a node that has but the old secret", newSealer([][]byte{old}, issuer), false},
		{"another issuer with the same secrets", newSealer([][]byte{now, old}, issuer+"/"), false},
	} {
		t.Run("RFC6749-10.12-1 opened by "+tt.name, func(t *testing.T) {
			got, err := tt.by.open(sealed)
			if tt.ok && (err != nil || !bytes.Equal(got, plain)) || !tt.ok && (err == nil || got != nil) {
				t.Errorf("%x, %v", got, err)
			}
		})
	}
	t.Run("any bit changed", func(t *testing.T) {
		b, err := base64.RawURLEncoding.DecodeString(sealed)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 * len(b) {
			forged := bytes.Clone(b)
			forged[i/8] ^= 1 << (i % 8)
			if got, err := s.open(base64.RawURLEncoding.EncodeToString(forged)); err == nil {
				t.Fatalf("bit %d: opens as %x", i, got)
			}
		}
		for n := range len(b) {
			if got, err := s.open(base64.RawURLEncoding.EncodeToString(b[:n])); err == nil {
				t.Fatalf("%d bytes: opens as %x", n, got)
			}
		}
	})
	t.Run("RFC6749-10.10-1 never the same twice, and nothing shows", func(t *testing.T) {
		again := s.seal(plain)
		if again == sealed {
			t.Error("two seals are alike")
		}
		b, err := base64.RawURLEncoding.DecodeString(sealed)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, plain[:8]) || bytes.Contains(b, plain[32:]) {
			t.Errorf("%x shows %x", b, plain)
		}
	})
}

func TestVisit(t *testing.T) {
	v := visit{started: -1}
	for i := range v.locator {
		v.locator[i], v.browser[i] = byte(i), byte(0xf0+i)
	}
	if got, err := readVisit(v.bytes()); err != nil || got != v {
		t.Errorf("%+v, %v", got, err)
	}
	for _, n := range []int{0, visitSize - 1, visitSize + 1} {
		if got, err := readVisit(make([]byte, n)); err == nil {
			t.Errorf("%d bytes are %+v", n, got)
		}
	}
}

func FuzzOpen(f *testing.F) {
	s := newSealer([][]byte{bytes.Repeat([]byte("a"), 32)}, "https://as.bank.example")
	good := s.seal(visit{started: 1795510800}.bytes())
	f.Add(good)
	f.Add("")
	f.Add("AQ")
	f.Add(good + "==")
	f.Add(good[:len(good)-1] + "\n")
	f.Fuzz(func(t *testing.T, sealed string) {
		got, err := s.open(sealed)
		if err != nil {
			return
		}
		// Only what a sealer of this secret made opens, and in one spelling.
		// The fuzzer's workers have a seed of their own each.
		b, err := base64.RawURLEncoding.DecodeString(sealed)
		if err != nil || base64.RawURLEncoding.EncodeToString(b) != sealed || !bytes.Equal(got, visit{started: 1795510800}.bytes()) {
			t.Errorf("%q opens as %x", sealed, got)
		}
	})
}
