package token_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/token"
)

const (
	hour = 3600
	t0   = 1767225600 // when the story begins
)

// jwk is a private P-256 key with the dates of its life, in hours since t0;
// none is written for a date below zero.
func jwk(t *testing.T, kid string, iat, nbf, exp int64) object {
	t.Helper()
	k := newEC(t)
	d, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	o := object{"kty": "EC", "crv": "P-256", "kid": kid,
		"d": b64.EncodeToString(d), "x": b64.EncodeToString(pub[1:33]), "y": b64.EncodeToString(pub[33:])}
	for name, h := range map[string]int64{"iat": iat, "nbf": nbf, "exp": exp} {
		if h >= 0 {
			o[name] = t0 + h*hour
		}
	}
	return o
}

// edJWK is a private Ed25519 key, as jwk is a P-256 one.
func edJWK(t *testing.T, kid string, iat, nbf int64) object {
	k := newEd(t)
	return object{"kty": "OKP", "crv": "Ed25519", "kid": kid, "iat": t0 + iat*hour, "nbf": t0 + nbf*hour,
		"d": b64.EncodeToString(k.Seed()), "x": b64.EncodeToString(k[32:])}
}

// rsaJWK is a private RSA key that signs from t0.
func rsaJWK(kid string) object {
	k := newRSA()
	return object{"kty": "RSA", "kid": kid, "iat": t0, "nbf": t0, "n": b64.EncodeToString(k.N.Bytes()), "e": "AQAB",
		"d": b64.EncodeToString(k.D.Bytes()), "p": b64.EncodeToString(k.Primes[0].Bytes()), "q": b64.EncodeToString(k.Primes[1].Bytes())}
}

// A keyFile is a file and a clock.
type keyFile struct {
	t    *testing.T
	path string
	now  time.Time
}

func newKeyFile(t *testing.T, keys ...object) *keyFile {
	f := &keyFile{t: t, path: filepath.Join(t.TempDir(), "keys.jwks"), now: time.Unix(t0, 0)}
	f.write(marshal(t, object{"keys": keys}))
	return f
}

func (f *keyFile) write(s string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(s), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *keyFile) open() (*token.FileKeySet, error) {
	return token.OpenKeyFile(token.KeyFile{Path: f.path, Lead: 2 * time.Hour, Linger: 3 * time.Hour,
		Now: func() time.Time { return f.now }})
}

func published(t *testing.T, s token.PublicKeySet) string {
	t.Helper()
	keys, err := s.PublicKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return strings.Join(ids, " ")
}

func signs(t *testing.T, s token.KeySet, alg string) string {
	t.Helper()
	k, err := s.SigningKey(t.Context(), alg)
	if errors.Is(err, token.ErrNoKey) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	return k.ID
}

func TestKeyFileSchedule(t *testing.T) {
	f := newKeyFile(t, jwk(t, "b", 6, 10, -1), jwk(t, "a", 0, 0, 13)) // in whatever order
	keys, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		at        int64 // seconds since t0
		published string
		signs     string
	}{
		{"OIDC-SE-5 the first signs at once", 0, "a", "a"},
		{"OIDC-SE-5 before the next is announced", 6*hour - 1, "a", "a"},
		{"OIDC-SE-5 announced, not signing", 6 * hour, "a b", "a"},
		{"OIDC-SE-5 the last second of the old", 10*hour - 1, "a b", "a"},
		{"OIDC-SE-5 the new signs, the old lingers", 10 * hour, "a b", "b"},
		{"OIDC-SE-5 the old is still there for its last tokens", 13*hour - 1, "a b", "b"},
		{"OIDC-SE-5 the old is gone", 13 * hour, "b", "b"},
		{"OIDC-SE-5 long after", 10000 * hour, "b", "b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.now = time.Unix(t0+tt.at, 0)
			got := []string{published(t, keys), signs(t, keys, "ES256"), signs(t, keys, "PS256")}
			if d := cmp.Diff([]string{tt.published, tt.signs, "none"}, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	t.Run("OIDC-SE-5 old tokens verify after rotation", func(t *testing.T) {
		f.now = time.Unix(t0+10*hour-1, 0)
		a := goodAccess()
		a.IssuedAt, a.Expires = f.now, f.now.Add(time.Hour)
		compact, err := token.SignAccess(t.Context(), keys, "ES256", a)
		if err != nil {
			t.Fatal(err)
		}
		f.now = time.Unix(t0+10*hour+1800, 0)
		c := config(t)
		c.Keys, c.Now = keys, func() time.Time { return f.now }
		if _, err := verifier(t, c).Check(request(t, "Bearer "+compact), token.Require{}); err != nil {
			t.Error(err)
		}
	})
}

func TestKeyFileAlgorithms(t *testing.T) {
	f := newKeyFile(t, jwk(t, "ec", 0, 0, -1), edJWK(t, "ed", 0, 0), rsaJWK("rsa"), with(rsaJWK("rs"), "alg", "RS256"))
	keys, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	for alg, id := range map[string]string{"ES256": "ec", "EdDSA": "ed", "Ed25519": "ed", "PS256": "rsa", "RS256": "rs", "none": "none"} {
		if got := signs(t, keys, alg); got != id {
			t.Errorf("%s is signed by %s, want %s", alg, got, id)
		}
	}
	public, err := keys.PublicKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range public {
		if want := map[string]string{"ec": "ES256", "ed": "EdDSA", "rsa": "PS256", "rs": "RS256"}[k.ID]; k.Algorithm != want {
			t.Errorf("%s is published for %s, want %s", k.ID, k.Algorithm, want)
		}
	}
}

func TestKeyFileRefuses(t *testing.T) {
	a := jwk(t, "a", 0, 0, 13)
	b := jwk(t, "b", 6, 10, -1)
	tests := []struct {
		name string
		keys []object
		want []string // in the error
	}{
		{"OIDC-SE-5 signs too soon after it is announced", []object{a, with(b, "iat", t0+10*hour-7199)},
			[]string{`kid "b": nbf:`, "move it to 1767261601 (2026-01-01T10:00:01Z) or later"}},
		{"OIDC-SE-5 signs before it is announced", []object{a, with(b, "iat", t0+11*hour)},
			[]string{`kid "b": nbf:`, "move it to 1767265200"}},
		{"OIDC-SE-5 retires before its last token has expired", []object{with(a, "exp", t0+13*hour-1), b},
			[]string{`kid "a": exp:`, "move it to 1767272400 (2026-01-01T13:00:00Z) or later"}},
		{"OIDC-SE-5 retires without a successor", []object{a}, []string{`kid "a": exp:`, "no successor for ES256", "nbf 1767261600"}},
		{"OIDC-SE-5 successor for another algorithm", []object{a, edJWK(t, "ed", 0, 2)}, []string{`kid "a": exp:`, "no successor"}},
		{"OIDC-SE-5 both faults at once", []object{with(a, "exp", t0+11*hour), with(b, "iat", t0+9*hour)},
			[]string{`kid "a": exp:`, `kid "b": nbf:`}},
		{"two begin at once", []object{with(a, "exp", nil), with(with(b, "nbf", t0), "iat", t0-2*hour)}, []string{`kid "a"`, `kid "b"`, "is open"}},
		{"never signs", []object{with(a, "exp", t0), b}, []string{`kid "a": exp:`, "never sign"}},
		{"none signs yet", []object{b}, []string{"no key signs", "nbf"}},
		{"FAPI2-SP-5.4.2-3 one kid twice", []object{a, with(b, "kid", "a")}, []string{`kid "a"`, "another key has it"}},
		{"OIDC-SE-1 no kid", []object{with(a, "kid", nil)}, []string{"kid: is missing"}},
		{"no iat", []object{with(a, "iat", nil), b}, []string{`kid "a": iat: is missing`}},
		{"no nbf", []object{with(a, "nbf", nil), b}, []string{`kid "a": nbf: is missing`}},
		{"JWT-I-2 iat is text", []object{with(a, "iat", "2026-01-01"), b}, []string{`kid "a": iat: is no date`}},
		{"JWT-I-2 exp in milliseconds", []object{with(a, "exp", t0*1000), b}, []string{`kid "a": exp: is no date`, "seconds"}},
		{"JWT-I-2 exp is null", []object{with(a, "exp", json.RawMessage("null")), b}, []string{`kid "a": exp: is no date`}},
		{"a key for encryption", []object{with(a, "use", "enc"), b}, []string{`kid "a": use`}},
		{"FAPI2-SP-5.4.1-1b ES384", []object{with(a, "alg", "ES384"), b}, []string{`kid "a": alg: "ES384"`, "ES256"}},
		{"RFC8725-3.1-2 alg of another kind of key", []object{with(a, "alg", "PS256"), b}, []string{"key 0", "alg"}},
		{"a public key", []object{with(a, "d", nil), b}, []string{"key 0", "without d"}},
		{"halves of two keys", []object{with(a, "d", b["d"]), b}, []string{"key 0", "not a pair"}},
		{"no keys", nil, []string{"keys"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newKeyFile(t, tt.keys...)
			set, err := f.open()
			if err == nil || set != nil {
				t.Fatalf("OpenKeyFile: %v, %v", set, err)
			}
			for _, want := range append(tt.want, f.path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
			for _, k := range tt.keys {
				if d, ok := k["d"].(string); ok && strings.Contains(err.Error(), d[:8]) {
					t.Errorf("error has a private key: %v", err)
				}
			}
		})
	}
	for name, content := range map[string]string{
		"empty file": "", "half a file": `{"keys":[{"kty":"EC","d":"c2VjcmV0`, "no JWK set": `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newKeyFile(t, a, b)
			f.write(content)
			if _, err := f.open(); err == nil || !strings.Contains(err.Error(), f.path) || strings.Contains(err.Error(), "c2Vj") {
				t.Errorf("OpenKeyFile: %v", err)
			}
		})
	}
	t.Run("larger than a megabyte", func(t *testing.T) {
		f := newKeyFile(t)
		f.write(marshal(t, object{"keys": []object{a, b}}) + strings.Repeat(" ", 1<<20))
		if _, err := f.open(); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
			t.Errorf("OpenKeyFile: %v", err)
		}
	})
	t.Run("no file", func(t *testing.T) {
		f := newKeyFile(t, a, b)
		os.Remove(f.path)
		if _, err := f.open(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), f.path) {
			t.Errorf("OpenKeyFile: %v", err)
		}
	})
	t.Run("negative margin", func(t *testing.T) {
		f := newKeyFile(t, a, b)
		if _, err := token.OpenKeyFile(token.KeyFile{Path: f.path, Lead: -1}); err == nil {
			t.Error("Lead of -1 is accepted")
		}
	})
	t.Run("OIDC-SE-5 an hour by default", func(t *testing.T) {
		f := newKeyFile(t, jwk(t, "a", 0, 0, -1), with(jwk(t, "b", 0, 1, -1), "iat", t0+1))
		_, err := token.OpenKeyFile(token.KeyFile{Path: f.path, Now: func() time.Time { return f.now }})
		if err == nil || !strings.Contains(err.Error(), "less than 1h0m0s after iat") {
			t.Errorf("OpenKeyFile: %v", err)
		}
	})
}

func TestKeyFileReload(t *testing.T) {
	a, b := jwk(t, "a", 0, 0, 13), jwk(t, "b", 6, 10, -1)
	f := newKeyFile(t, with(a, "exp", nil))
	keys, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	f.now = time.Unix(t0+11*hour, 0)
	if got := signs(t, keys, "ES256"); got != "a" {
		t.Errorf("%s signs, want a", got)
	}
	f.write(`{"keys":[`)
	if err := keys.Reload(); err == nil {
		t.Error("Reload of half a file succeeded")
	}
	if got := signs(t, keys, "ES256"); got != "a" {
		t.Errorf("after a failed Reload %s signs, want a", got)
	}
	f.write(marshal(t, object{"keys": []object{a, b}}))
	if got := published(t, keys); got != "a" {
		t.Errorf("before Reload %q are published", got)
	}
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := published(t, keys) + ", " + signs(t, keys, "ES256"); got != "a b, b" {
		t.Errorf("after Reload: %s, want a b, b", got)
	}
}

func TestKeyFileConcurrently(t *testing.T) {
	f := newKeyFile(t, jwk(t, "a", 0, 0, -1))
	keys, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for range 4 {
		go func() {
			for range 50 {
				if err := keys.Reload(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 200 {
		if got := published(t, keys) + signs(t, keys, "ES256"); got != "aa" {
			t.Errorf("%s", got)
		}
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
