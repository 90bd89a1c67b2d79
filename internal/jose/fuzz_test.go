package jose_test

import (
	"crypto"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

// FuzzParse looks for tokens that can be written in two ways, or that verify
// although they are none of ours.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.token)
	}
	f.Add("..")
	f.Add("e30.e30.AA\n")
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.AA")
	keys := testKeys()
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := jose.Parse(s, 4096)
		if err != nil {
			if tok != nil || !errors.Is(err, jose.ErrMalformed) && !errors.Is(err, jose.ErrTooLarge) {
				t.Fatalf("token %v, error %v", tok, err)
			}
			return
		}
		if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || len(s) > 4096 {
			t.Errorf("accepted %q", s)
		}
		if _, err := tok.UnverifiedClaims(); err != nil && !errors.Is(err, jose.ErrMalformed) {
			t.Errorf("UnverifiedClaims: %v", err)
		}
		if _, err := tok.Verify(fapi, keys); err == nil {
			t.Error("verified without having been signed")
		}
	})
}

// FuzzParseClaims compares with encoding/json: what is accepted here must be
// accepted there and mean the same.
func FuzzParseClaims(f *testing.F) {
	for _, s := range []string{
		`{}`, goodClaims, ` {"a" : [ 1 , {"b":null} ] , "c":"\ud83d\ude00\n"} `, `{"a":1,"A":2}`, `{"a":"\ud800"}`,
		`{"exp":-1.5e3,"aud":["x","y"],"cnf":{"jkt":"t"},"t":true,"f":false}`, `{"a":01}`, `{"a":1}x`, "{\"\xff\":1}",
		nested(`{"a":`, "1", "}", 40), `{"a":` + nested("[", "", "]", 40) + `}`, `{` + distinct(40) + `}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := jose.ParseClaims(b)
		if err != nil {
			if !errors.Is(err, jose.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(b, &want); err != nil || !utf8.Valid(b) {
			t.Fatalf("accepted %q, which encoding/json refuses: %v", b, err)
		}
		if len(c.Names()) != len(want) {
			t.Errorf("members %q, want %d", c.Names(), len(want))
		}
		for name, raw := range want {
			got, ok := c.Raw(name)
			if !ok || string(got) != string(raw) {
				t.Errorf("member %q: %s, %v, want %s", name, got, ok, raw)
			}
			compareMember(t, c, name, raw)
		}
	})
}

func compareMember(t *testing.T, c jose.Claims, name string, raw json.RawMessage) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return // a number beyond float64, which is JSON all the same
	}
	s, isString := c.String(name)
	if want, ok := v.(string); ok != isString || s != want {
		t.Errorf("String(%q) = %q, %v, want %q", name, s, isString, want)
	}
	b, isBool := c.Bool(name)
	if want, ok := v.(bool); ok != isBool || b != want {
		t.Errorf("Bool(%q) = %v, %v, want %v", name, b, isBool, want)
	}
	if _, isTime := c.Time(name); isTime {
		if _, ok := v.(float64); !ok {
			t.Errorf("Time(%q) of %s", name, raw)
		}
	}
	o, isObject := c.Object(name)
	if want, ok := v.(map[string]any); ok != isObject || len(o.Names()) != len(want) {
		t.Errorf("Object(%q) = %q, %v", name, o.Names(), isObject)
	}
	var list []string
	want := json.Unmarshal(raw, &list) == nil && raw[0] == '[' && !strings.Contains(string(raw), "null")
	if raw[0] == '"' {
		want, list = true, []string{s}
	}
	got, isList := c.Strings(name)
	if want && (!isList || cmp.Diff(list, got) != "") {
		t.Errorf("Strings(%q) = %q, %v, want %q", name, got, isList, list)
	}
}

// FuzzParseSet looks for sets that do not survive being published.
func FuzzParseSet(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.keys))
	}
	for _, jwk := range []string{clientEC, clientPS, thumbRSA, proofEd, certJWK, privateEC, `{"kty":"oct","k":"AA"}`, `{"kty":"RSA","n":"","e":""}`} {
		f.Add([]byte(setOf(jwk, proofEC)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := jose.ParseSet(b)
		if err != nil {
			if set != nil || !errors.Is(err, jose.ErrMalformed) {
				t.Fatalf("%v, error %v", set, err)
			}
			return
		}
		for _, err := range set.Skipped {
			if !errors.Is(err, jose.ErrMalformed) && !errors.Is(err, jose.ErrWeakKey) && !errors.Is(err, jose.ErrUnsupportedKey) {
				t.Errorf("skipped: %v", err)
			}
		}
		published, err := jose.MarshalSet(set.Keys)
		if err != nil {
			t.Fatal(err)
		}
		again, err := jose.ParseSet(published)
		if err != nil || len(again.Skipped) > 0 {
			t.Fatalf("read back: %v, skipped %v", err, again)
		}
		for i := range set.Keys {
			set.Keys[i].X5C = nil // not published
		}
		if diff := cmp.Diff(set.Keys, again.Keys, cmp.Comparer(samePublic)); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
	})
}

// FuzzParsePrivateSet looks for keys that panic in package crypto, and for
// secrets among the members.
func FuzzParsePrivateSet(f *testing.F) {
	for _, jwk := range []string{privateEC, privateEd, privateRSA(f), clientEC, with(f, privateEC, "ES256", "PS256")} {
		f.Add([]byte(setOf(jwk)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := jose.ParsePrivateSet(b)
		if err != nil && keys != nil {
			t.Errorf("%d keys and error %v", len(keys), err)
		}
		for _, k := range keys {
			if k.Members.Has("d") || k.Signer == nil {
				t.Errorf("key %+v", k)
			}
			if want, ok := k.Signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !want.Equal(k.Public) {
				t.Error("private and public key are not a pair")
			}
		}
	})
}

func samePublic(a, b jose.Key) bool {
	x, err := jose.Thumbprint(a.Public)
	y, err2 := jose.Thumbprint(b.Public)
	return err == nil && err2 == nil && x == y && a.ID == b.ID && a.Use == b.Use && a.Algorithm == b.Algorithm
}
