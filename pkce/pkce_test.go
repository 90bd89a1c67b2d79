package pkce_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/pkce"
)

// RFC 7636, appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestChallenge(t *testing.T) {
	t.Run("RFC7636-4.2-1 RFC9700-2.1.1-2 TV-7 the digest and not the verifier", func(t *testing.T) {
		vectors := []struct{ verifier, challenge string }{
			{verifier, challenge},
			// wire-examples, section 2
			{"wZ3k9Qm-7TtB0n5uYfXg2sLrP8aVdEjC1oHiKqRlMx4", "zm3Dvy3EV4XaGP86qt62-sT0aZra8ssBIzW_iNhBHzE"},
		}
		for _, v := range vectors {
			if got := pkce.Challenge(v.verifier); got != v.challenge {
				t.Errorf("Challenge(%q) = %q, want %q", v.verifier, got, v.challenge)
			}
		}
	})
}

func TestNewVerifier(t *testing.T) {
	t.Run("RFC7636-4.1-1 256 random bits in 43 characters", func(t *testing.T) {
		seen := make(map[string]bool)
		var ones, zeros [32]byte
		for range 1000 {
			v := pkce.NewVerifier()
			b, err := base64.RawURLEncoding.DecodeString(v)
			if err != nil || len(v) != 43 || len(b) != 32 {
				t.Fatalf("NewVerifier() = %q, want 32 octets in base64url without padding", v)
			}
			if seen[v] {
				t.Fatalf("NewVerifier() = %q twice", v)
			}
			seen[v] = true
			for i := range b {
				ones[i] |= b[i]
				zeros[i] |= ^b[i]
			}
		}
		for i := range ones { // every bit was seen set and clear
			if ones[i] != 0xff || zeros[i] != 0xff {
				t.Errorf("octet %d is not random: %08b, %08b", i, ones[i], zeros[i])
			}
		}
	})
	t.Run("RFC7636-4.5-1 RFC9700-2.1.1-1 a client's two halves fit", func(t *testing.T) {
		v := pkce.NewVerifier()
		c := pkce.Challenge(v)
		if err := pkce.CheckChallenge(c, pkce.MethodS256); err != nil {
			t.Error(err)
		}
		if err := pkce.Verify(c, v); err != nil {
			t.Error(err)
		}
	})
}

func TestCheckChallenge(t *testing.T) {
	tests := []struct {
		name, challenge, method string
		ok                      bool
	}{
		{"RFC7636-4.2-2 S256", challenge, "S256", true},
		{"FAPI2-SP-5.3.2.2-5 RFC7636-4.4.1-1 no challenge", "", "S256", false},
		{"RFC7636-4.4.1-1 nothing at all", "", "", false},
		{"FAPI2-SP-5.3.2.2-5 RFC7636-4.3-2 method left out means plain", challenge, "", false},
		{"FAPI2-SP-5.3.2.2-5 RFC7636-7.2-1 plain", challenge, "plain", false},
		{"RFC7636-4.4.1-1 method in another case", challenge, "s256", false},
		{"RFC7636-4.4.1-1 method unknown", challenge, "S512", false},
		{"RFC7636-4.4.1-1 method with a space", challenge, "S256 ", false},
		{"RFC7636-4.3-1 42 characters", challenge[:42], "S256", false},
		{"RFC7636-4.3-1 44 characters", challenge + "A", "S256", false},
		{"RFC7636-4.3-1 padded", challenge + "=", "S256", false},
		{"RFC7636-4.3-1 padding in place of a character", challenge[:42] + "=", "S256", false},
		{"RFC7636-4.3-1 standard base64", strings.NewReplacer("-", "+").Replace(challenge), "S256", false},
		{"RFC7636-4.3-1 line break, which decoders skip", challenge[:20] + "\n" + challenge[21:], "S256", false},
		{"RFC7636-4.3-1 line break at the end", challenge[:42] + "\n", "S256", false},
		{"RFC7636-4.3-1 line break behind 31 octets", strings.Repeat("A", 42) + "\n", "S256", false},
		{"RFC7636-4.3-1 unreserved but not base64url", challenge[:42] + "~", "S256", false},
		{"RFC7636-4.3-1 bits beyond the digest", challenge[:42] + "N", "S256", false},
		{"RFC7636-4.3-1 a verifier of 128 characters sent as it is", strings.Repeat("a", 128), "S256", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := pkce.CheckChallenge(tt.challenge, tt.method); (err == nil) != tt.ok {
				t.Errorf("CheckChallenge: %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	long := strings.Repeat("Az09-._~", 16) // 128, every kind of unreserved character
	tests := []struct {
		name, challenge, verifier string
		ok                        bool
	}{
		{"RFC7636-4.6-1 RFC9700-2.1.1-3 honest client", challenge, verifier, true},
		{"RFC7636-4.1-1 128 characters", s256(long), long, true},
		{"RFC7636-4.1-1 43 characters", s256(long[:43]), long[:43], true},
		{"RFC7636-4.1-1 42 characters", s256(long[:42]), long[:42], false},
		{"RFC7636-4.1-1 129 characters", s256(long + "a"), long + "a", false},
		{"RFC7636-4.1-1 space", s256(long[:43] + " "), long[:43] + " ", false},
		{"RFC7636-4.1-1 plus", s256(long[:43] + "+"), long[:43] + "+", false},
		{"RFC7636-4.1-1 padded", s256(verifier + "="), verifier + "=", false},
		{"RFC7636-4.1-1 NUL", s256(verifier + "\x00"), verifier + "\x00", false},
		{"RFC7636-4.1-1 not ASCII", s256(verifier + "é"), verifier + "é", false},
		{"RFC7636-4.6-1 RFC9700-2.1.1-3 no verifier", challenge, "", false},
		{"RFC7636-4.6-1 no verifier, though its digest was sent", s256(""), "", false},
		{"RFC7636-4.6-1 another's verifier", challenge, long, false},
		{"RFC7636-4.6-1 first character differs", challenge, "e" + verifier[1:], false},
		{"RFC7636-4.6-1 last character differs", challenge, verifier[:42] + "l", false},
		{"RFC7636-4.6-1 case differs", challenge, strings.ToLower(verifier), false},
		{"RFC7636-4.6-1 challenge cut short", challenge[:42], verifier, false},
		{"RFC7636-4.6-1 challenge with more behind it", challenge + "=", verifier, false},
		{"RFC7636-7.2-1 FAPI2-SP-5.3.2.2-5 plain", verifier, verifier, false},
		{"RFC7636-4.6-1 stolen challenge for a verifier", challenge, challenge, false},
		{"RFC9700-2.1.1-4 verifier without a challenge", "", verifier, false},
		{"RFC9700-2.1.1-4 neither", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := pkce.Verify(tt.challenge, tt.verifier)
			if (err == nil) != tt.ok {
				t.Errorf("Verify: %v, want ok %v", err, tt.ok)
			}
			if err != nil && tt.verifier != "" && strings.Contains(err.Error(), tt.verifier) {
				t.Errorf("Verify: the error shows the verifier: %v", err)
			}
		})
	}
}

func TestVerifyAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		if pkce.Verify(challenge, verifier) != nil || pkce.CheckChallenge(challenge, pkce.MethodS256) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// s256 is RFC 7636, 4.2 once more, so that no test of Verify rests on Challenge.
func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func FuzzVerify(f *testing.F) {
	f.Add(challenge, verifier)
	f.Add(challenge+"=", verifier)
	f.Add("", "")
	f.Add(verifier, verifier)
	f.Add(challenge[:42]+"N", verifier)
	f.Fuzz(func(t *testing.T, challenge, verifier string) {
		if pkce.CheckChallenge(challenge, pkce.MethodS256) == nil {
			b, err := base64.RawURLEncoding.DecodeString(challenge)
			if err != nil || len(b) != 32 || base64.RawURLEncoding.EncodeToString(b) != challenge {
				t.Errorf("CheckChallenge accepts %q", challenge)
			}
		}
		if (pkce.Verify(challenge, verifier) == nil) != (wellFormed(verifier) && s256(verifier) == challenge) {
			t.Errorf("Verify(%q, %q) = %v", challenge, verifier, pkce.Verify(challenge, verifier))
		}
		if wellFormed(verifier) && pkce.Verify(s256(verifier), verifier) != nil {
			t.Errorf("Verify refuses %q for its own challenge", verifier)
		}
	})
}

// wellFormed is the grammar of RFC 7636, 4.1, word for word.
func wellFormed(verifier string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return len(verifier) >= 43 && len(verifier) <= 128 && strings.Trim(verifier, alphabet) == ""
}

func BenchmarkVerify(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := pkce.Verify(challenge, verifier); err != nil {
			b.Fatal(err)
		}
	}
}
