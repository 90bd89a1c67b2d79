package token_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/token"
)

// everybody is the keys of the issuer, its client and a resource server in one
// set, so that no token is refused for its signature alone.
func everybody(t *testing.T) publicKeys {
	t.Helper()
	set, err := jose.ParseSet(read(t, "testdata/everybody.jwks"))
	if err != nil {
		t.Fatal(err)
	}
	var keys publicKeys
	for _, k := range set.Keys {
		keys = append(keys, token.PublicKey{ID: k.ID, Algorithm: k.Algorithm, Key: k.Public})
	}
	return keys
}

// TestVectors offers every kind of JWT that a bank and a fintech exchange as
// an access token: as it is, and its content signed by the bank as one. Each
// file of testdata/tokens says where it is from, what clause it is about and
// what must become of it.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/tokens/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	c := config(t)
	c.Keys = everybody(t)
	v := verifier(t, c)
	for _, file := range files {
		head, compact, _ := strings.Cut(string(read(t, file)), "\n\n")
		compact = strings.TrimSpace(compact)
		fields := map[string]string{}
		for line := range strings.SplitSeq(head, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			fields[name] = value
		}
		t.Run(fields["clause"]+" "+filepath.Base(file), func(t *testing.T) {
			_, err := v.Check(request(t, "Bearer "+compact), token.Require{})
			if fields["expect"] == "accepted" {
				if err != nil {
					t.Errorf("Check: %v", err)
				}
				return
			}
			refused(t, err, 401, "invalid_token", fields["expect"])

			// The issuer never signs this. If it did, the claims alone must do.
			payload, err := b64.DecodeString(strings.Split(compact, ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			forged := forge(t, marshal(t, goodHeader()), string(payload), asKey(t))
			_, err = v.Check(request(t, "Bearer "+forged), token.Require{})
			var e *token.Error
			if !errors.As(err, &e) || e.Code != "invalid_token" {
				t.Errorf("with typ at+jwt and the issuer's signature: %v", err)
			}
		})
	}
}
