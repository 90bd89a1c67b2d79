package token_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/internal/jose"
)

// TestWireSignatures reads every JWT of wire-examples with the code that reads
// JWTs here: each verifies with the key of the one who is said to have signed
// it, and with no other of the catalogue.
func TestWireSignatures(t *testing.T) {
	set, err := jose.ParseSet(read(t, "testdata/everybody.jwks"))
	if err != nil {
		t.Fatal(err)
	}
	jwts := kinds(t)
	for _, name := range []string{"jarm", "jarm-error"} {
		_, location, _ := strings.Cut(string(read(t, "testdata/wire/"+name+".http")), "Location: ")
		u, err := url.Parse(strings.TrimSpace(location))
		if err != nil {
			t.Fatal(err)
		}
		jwts[name] = u.Query().Get("response")
	}
	for name, signer := range map[string]string{
		"access-jkt": "as-sig-2026a", "access-x5t": "as-sig-2026a", "id-token": "as-sig-2026a", "id-token-hybrid": "as-sig-2026a",
		"introspection": "as-sig-2026a", "jarm": "as-sig-2026a", "jarm-error": "as-sig-2026a",
		"client-assertion": "tpp-sig-2026a", "client-assertion-ps256": "tpp-ps-2026a", "request-object": "tpp-sig-2026a", "ciba-request": "tpp-sig-2026a",
		"rs-assertion": "rs-http-2026a",
	} {
		t.Run("FAPI2-SP-5.4.1-1b wire example, "+name, func(t *testing.T) {
			signed, err := jose.Parse(jwts[name], 16<<10)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range set.Keys {
				named := k
				named.ID = signed.Header.KeyID // so that the signature decides
				read, err := signed.Verify([]string{jose.ES256, jose.PS256}, []jose.Key{named})
				if own := k.ID == signer; own != (err == nil) {
					t.Errorf("with the key %s: %v", k.ID, err)
				} else if own {
					_, want := decode(t, jwts[name])
					sameClaims(t, want, read)
				}
			}
		})
	}
}

// TestWireProofs does the same for the proofs, whose keys are in them, and
// holds those to the thumbprints of wire-examples, 1.
func TestWireProofs(t *testing.T) {
	thumbprints := map[string]string{
		"ES256": "VmR2zmQFtNQZEmpx3DFcuzPKziGYCx5f2prh05oCmAk",
		"EdDSA": "dtRx99UCcDnOh3OOqpwpJi0wRorApJgkCnMiiwuqqaM",
	}
	seen := map[string]int{}
	for compact := range strings.FieldsSeq(string(read(t, "testdata/wire/proofs.txt"))) {
		header, claims := decode(t, compact)
		alg := header["alg"].(string)
		seen[alg]++
		t.Run("RFC9449-4.3-6 wire example, "+claims["jti"].(string), func(t *testing.T) {
			proof, err := jose.Parse(compact, 16<<10)
			if err != nil {
				t.Fatal(err)
			}
			key, err := proof.HeaderKey()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := jose.Thumbprint(key.Public); err != nil || got != thumbprints[alg] {
				t.Errorf("thumbprint %q, %v", got, err)
			}
			read, err := proof.Verify([]string{alg}, []jose.Key{key})
			if err != nil {
				t.Fatal(err)
			}
			sameClaims(t, claims, read)
		})
	}
	if len(seen) != len(thumbprints) {
		t.Errorf("proofs by %v", seen)
	}
}

// sameClaims checks that our reader found the members that a plain one did.
func sameClaims(t *testing.T, want object, got jose.Claims) {
	t.Helper()
	for name, v := range want {
		raw, _ := got.Raw(name)
		var read any
		if err := json.Unmarshal(raw, &read); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(v, read); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if n := len(got.Names()); n != len(want) {
		t.Errorf("%d claims, want %d", n, len(want))
	}
}
