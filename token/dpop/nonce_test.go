package dpop_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token/dpop"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func nonces(t testing.TB, server string, secrets ...[]byte) *dpop.Nonces {
	t.Helper()
	if secrets == nil {
		secrets = [][]byte{secret(1)}
	}
	n, err := dpop.NewNonces(secrets, server, 4*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const asName, rsName = "https://as.bank.example", "https://api.bank.example"

func TestNonces(t *testing.T) {
	n := nonces(t, asName)
	t.Run("RFC9449-8.1-1 syntax", func(t *testing.T) {
		for i := range 1000 {
			nonce := n.Issue(now.Add(time.Duration(i) * time.Second))
			if len(nonce) != 32 || strings.Trim(nonce, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Fatalf("nonce %q", nonce)
			}
		}
	})
	t.Run("RFC9449-8-2 unpredictable", func(t *testing.T) {
		var ones, zeros [16]byte
		for i := range 1000 {
			code := unb64(t, n.Issue(now.Add(time.Duration(i)*time.Second)))[8:]
			for j := range code {
				ones[j] |= code[j]
				zeros[j] |= ^code[j]
			}
		}
		all := bytes.Repeat([]byte{0xff}, 16) // every bit was seen set and clear
		if !bytes.Equal(ones[:], all) || !bytes.Equal(zeros[:], all) {
			t.Errorf("bits seen set %x, clear %x", ones, zeros)
		}
		if other := nonces(t, asName, secret(2)).Issue(now); other[12:] == n.Issue(now)[12:] {
			t.Error("two secrets make the same nonce")
		}
	})
	// Computed by other means from RFC 5869 and RFC 2104. A release that makes
	// others refuses those of the nodes beside it.
	t.Run("RFC9449-8-7 the form is fixed", func(t *testing.T) {
		if got := n.Issue(now); got != "AAAAAGlVuQCEnI-KYIk2vsIsOEIklIh5" {
			t.Errorf("nonce %q", got)
		}
	})
	t.Run("RFC9449-8-7 another node, for as long as it lives", func(t *testing.T) {
		other := nonces(t, asName)
		nonce := n.Issue(now.Add(900 * time.Millisecond)) // of the second that now is in
		for _, tt := range []struct {
			after time.Duration
			ok    bool
		}{
			{0, true}, {time.Second, true}, {4*time.Minute - 1, true}, {4 * time.Minute, false}, {time.Hour, false},
			{-time.Minute, true}, // the other's clock is slow
			{-time.Minute - 1, false}, {-time.Hour, false},
		} {
			issued, ok := other.Check(nonce, now.Add(tt.after))
			if ok != tt.ok || ok && !issued.Equal(now) {
				t.Errorf("after %v: issued %v, ok %v, want %v", tt.after, issued, ok, tt.ok)
			}
		}
	})
	t.Run("RFC9449-11.1-5 as often as you like", func(t *testing.T) {
		nonce := n.Issue(now)
		for range 3 {
			if _, ok := n.Check(nonce, now); !ok {
				t.Error("refused")
			}
		}
	})
}

func TestNonceRefused(t *testing.T) {
	as, rs := nonces(t, asName), nonces(t, rsName)
	nonce := as.Issue(now)
	changed := func(i int) string {
		b := unb64(t, nonce)
		b[i] ^= 1
		return b64(b)
	}
	for _, tt := range []struct{ name, nonce string }{
		{"RFC9449-8-4 none", ""},
		{"RFC9449-8-4 not ours", "nAS-7k2Qx9-Lm4"},
		{"RFC9449-8-4 another time", changed(7)},
		{"RFC9449-8-4 first bit of the code", changed(8)},
		{"RFC9449-8-4 last bit of the code", changed(23)},
		{"RFC9449-8-4 cut off", nonce[:28]},
		{"RFC9449-8-4 its time alone", nonce[:11]},
		{"RFC9449-8-4 longer", nonce + "AAAA"},
		{"RFC9449-8-4 padded", nonce + "="},
		{"RFC9449-8-4 a line break within", nonce[:16] + "\n" + nonce[16:]},
		{"RFC9449-8-4 a line break at the end", nonce + "\n"},
		{"RFC9449-9-2 of another server with the same secrets", rs.Issue(now)},
		{"RFC9449-8-2 of a stranger", nonces(t, asName, secret(9)).Issue(now)},
		{"RFC9449-8-7 too old", as.Issue(now.Add(-4 * time.Minute))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if issued, ok := as.Check(tt.nonce, now); ok || !issued.IsZero() {
				t.Errorf("Check(%q) = %v, %v", tt.nonce, issued, ok)
			}
			v := verifier(t, dpop.Config{Nonces: as})
			p := good()
			p.claims["nonce"] = tt.nonce
			got, err := p.show(t, v)
			refused(t, got, err, "use_dpop_nonce", "RFC9449-4.3-10")
		})
	}
}

func TestNonceDemanded(t *testing.T) {
	n := nonces(t, asName)
	v := verifier(t, dpop.Config{Nonces: n})
	with := func(c object) *proof {
		p := good()
		p.claims["nonce"] = n.Issue(now)
		for name, value := range c {
			p.claims[name] = value
		}
		return p
	}
	t.Run("RFC9449-8-1 FAPI2-SP-5.3.2.1-10 demanded, and then good", func(t *testing.T) {
		p := good()
		got, err := p.show(t, v)
		refused(t, got, err, "use_dpop_nonce", "RFC9449-4.3-10")
		got, err = with(object{"jti": "of the repetition"}).show(t, v)
		if err != nil {
			t.Fatal(err)
		}
		want := &dpop.Proof{
			JKT: thumbprint(t, ecKey.Public()), ID: "of the repetition", URL: tokenURL,
			Until: now.Add(4 * time.Minute), // as long as the nonce
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("proof (-want +got):\n%s", diff)
		}
	})
	for _, nonce := range []any{nil, 1, []string{n.Issue(now)}} {
		t.Run("RFC9449-4.3-10 RFC9449-11.3-1 a nonce that is no string", func(t *testing.T) {
			got, err := with(object{"nonce": nonce}).show(t, v)
			refused(t, got, err, "use_dpop_nonce", "RFC9449-4.3-10")
		})
	}
	t.Run("RFC9449-9-1 the same at an API", func(t *testing.T) {
		rs := nonces(t, rsName)
		v := verifier(t, dpop.Config{Nonces: rs})
		p := goodAtAPI()
		got, err := p.show(t, v)
		refused(t, got, err, "use_dpop_nonce", "RFC9449-4.3-10")
		p.claims["nonce"] = rs.Issue(now)
		if _, err := p.show(t, v); err != nil {
			t.Error(err)
		}
	})
	t.Run("FAPI2-SP-5.3.2.1-10 not demanded", func(t *testing.T) {
		if _, err := good().show(t, verifier(t, dpop.Config{})); err != nil {
			t.Error(err)
		}
	})
	t.Run("RFC9449-4.3-10 a bad proof is told so, with or without nonce", func(t *testing.T) {
		p := good()
		p.claims["htm"] = "GET"
		got, err := p.show(t, v)
		refused(t, got, err, "invalid_dpop_proof", "RFC9449-4.3-8")
	})
	for _, tt := range []struct {
		name   string
		claims object
		rule   string // "" if the proof is good
	}{
		{"CONF-31 iat an hour ago", object{"iat": now.Unix() - 3600}, ""},
		{"CONF-31 iat 30 s ahead", object{"iat": now.Unix() + 30}, ""},
		{"CONF-31 iat 31 s ahead", object{"iat": now.Unix() + 31}, "RFC9449-4.3-11"},
		{"CONF-31 FAPI2-SP-5.3.2.1-13b iat 70 s ahead", object{"iat": now.Unix() + 70}, "RFC9449-4.3-11"},
		{"FAPI2-SP-5.3.2.1-13b nbf 70 s ahead", object{"nbf": now.Unix() + 70}, "FAPI2-SP-5.3.2.1-13b"},
		{"RFC9449-4.3-3 no iat", object{"iat": nil}, "RFC9449-4.3-3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := with(tt.claims).show(t, v)
			if tt.rule != "" {
				refused(t, got, err, "invalid_dpop_proof", tt.rule)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("RFC9449-11.1-1 no good at Until", func(t *testing.T) {
		at := now.Add(3 * time.Minute) // the proof is new, its nonce is not
		v := verifier(t, dpop.Config{Nonces: n, Now: func() time.Time { return at }})
		p := with(object{"iat": at.Unix()})
		first, err := p.show(t, v)
		if err != nil {
			t.Fatal(err)
		}
		at = first.Until.Add(-1)
		if _, err := p.show(t, v); err != nil {
			t.Errorf("just before Until: %v", err)
		}
		at = first.Until
		got, err := p.show(t, v)
		refused(t, got, err, "use_dpop_nonce", "RFC9449-4.3-10")
	})
}

// A client that heeds each new nonce meets two nodes by turns, every two
// minutes, while a new secret is rolled out last in the list, moved first, and
// left alone there; the nodes' clocks are half a minute apart. It is asked to
// repeat its first request and no other.
func TestNoncesRoll(t *testing.T) {
	old, recent := secret(1), secret(2)
	stages := [][][]byte{{old}, {old, recent}, {recent, old}, {recent}}
	const each = 6 // requests between two steps of one node
	nonce, failures, renewals := "", 0, 0
	at := now
	for i := range each * 2 * (len(stages) - 1) {
		at = at.Add(2*time.Minute - time.Second)
		node := i % 2
		stage := i / each / 2
		if node == 0 && i/each%2 == 1 { // node 0 goes first
			stage++
		}
		nodeTime := at.Add(time.Duration(node) * -30 * time.Second)
		n := nonces(t, asName, stages[stage]...)
		v := verifier(t, dpop.Config{Nonces: n, Now: func() time.Time { return nodeTime }})
		for range 2 {
			p := good()
			p.claims["iat"], p.claims["nonce"] = at.Unix(), nonce
			got, err := p.show(t, v)
			if err == nil {
				if got.Nonce != "" { // RFC 9449, 8.2
					nonce = got.Nonce
					renewals++
				}
				break
			}
			refused(t, got, err, "use_dpop_nonce", "RFC9449-4.3-10")
			failures++
			nonce = n.Issue(nodeTime)
		}
	}
	t.Run("RFC9449-8.2-1 RFC9449-8-7 no failed request but the first", func(t *testing.T) {
		if failures != 1 || renewals < each {
			t.Errorf("%d requests had to be repeated, want 1; %d new nonces", failures, renewals)
		}
	})
}

// A nonce is replaced in the second half of its life.
func TestNextNonce(t *testing.T) {
	n := nonces(t, asName)
	for age, want := range map[time.Duration]bool{
		0: false, 2*time.Minute - 1: false, 2 * time.Minute: true, 4*time.Minute - 1: true, -30 * time.Second: false,
	} {
		at := now.Add(age)
		p := good()
		p.claims["nonce"], p.claims["iat"] = n.Issue(now), at.Unix()
		got, err := p.show(t, verifier(t, dpop.Config{Nonces: n, Now: clock(at)}))
		if err != nil {
			t.Errorf("after %v: %v", age, err)
			continue
		}
		if next := n.Issue(at); want && got.Nonce != next || !want && got.Nonce != "" {
			t.Errorf("RFC9449-8.2-1 after %v: nonce %q, new %v", age, got.Nonce, want)
		}
	}
}

func TestNewNonces(t *testing.T) {
	good := [][]byte{secret(1), secret(2)}
	for _, tt := range []struct {
		name    string
		secrets [][]byte
		server  string
		life    time.Duration
		want    []string // in the error; nil if they are good
	}{
		{"good", good, asName, time.Minute, nil},
		{"the default life", good, asName, 0, nil},
		{"least", good, asName, 30 * time.Second, nil},
		{"most", good, asName, 10 * time.Minute, nil},
		{"RFC9449-8-2 no secret", nil, asName, 0, []string{"secret"}},
		{"RFC9449-8-2 a secret of 31 bytes", [][]byte{secret(1), secret(2)[:31]}, asName, 0, []string{"secret 1"}},
		{"RFC9449-9-2 no name", good, "", 0, []string{"name"}},
		{"RFC9449-11.1-1 too long a life", good, asName, 10*time.Minute + 1, []string{"life"}},
		{"too short a life", good, asName, 30*time.Second - 1, []string{"life"}},
		{"all faults at once", [][]byte{{7}}, "", -1, []string{"secret 0", "name", "life"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := dpop.NewNonces(tt.secrets, tt.server, tt.life)
			if (err == nil) != (tt.want == nil) || (n == nil) != (err != nil) {
				t.Fatalf("nonces %v, error %v, want %q", n, err, tt.want)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not name %s", err, w)
				}
			}
		})
	}
	t.Run("the default life is five minutes", func(t *testing.T) {
		n, err := dpop.NewNonces(good, asName, 0)
		if err != nil {
			t.Fatal(err)
		}
		nonce := n.Issue(now)
		if _, ok := n.Check(nonce, now.Add(5*time.Minute-1)); !ok {
			t.Error("refused before")
		}
		if _, ok := n.Check(nonce, now.Add(5*time.Minute)); ok {
			t.Error("accepted after")
		}
	})
	t.Run("secrets are copied", func(t *testing.T) {
		s := secret(1)
		n := nonces(t, asName, s)
		s[0] = 9
		if n.Issue(now) != nonces(t, asName).Issue(now) {
			t.Error("another secret, another nonce")
		}
	})
}
