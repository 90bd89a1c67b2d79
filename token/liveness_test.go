package token_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// denyKey is the key of the record that revokes one token, computed here once
// more: every release must find what another wrote.
func denyKey(iss, jti string) string {
	b := []byte{'d'}
	for _, part := range []string{iss, jti} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return "d" + b64.EncodeToString(sum[:])
}

// issued is the record of a grant from which tokens were issued.
var issued = (&grant.Grant{Client: "kakeibo", Subject: "u-5b1e9d", Code: grant.Code{Claim: "1"}}).Encode()

// TestGrantInPlace: what stands where the token's grant stood before it was
// revoked does not make the token good.
func TestGrantInPlace(t *testing.T) {
	for _, tt := range []struct {
		name    string
		version string
		status  int // 0: accepted
	}{
		{"FAPI2-SP-5.3.4-3 a grant whose code was redeemed", grant.NewVersion(), 0},
		{"FAPI2-SP-5.3.4-3 one that another release wrote", "1", 0},
		{"FAPI2-SP-5.3.4-3 a grant from which nothing was issued yet, or the mark of a denial", grant.WaitingVersion(), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &store.Memory{Now: clock}
			if err := s.Create(t.Context(), store.Record{Key: grantID, Version: tt.version, Value: []byte("sealed"), Expires: now.Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			a := good(t)
			claim("grant_id", grantID)(a)
			a.config = func(c *token.VerifierConfig) { c.Liveness = s }
			_, err := a.try(t)
			if tt.status == 401 {
				refused(t, err, 401, "invalid_token", "FAPI2-SP-5.3.4-3")
			} else if err != nil {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// revokes returns a store in which goodClaims' grant stands and the token with
// that jti was revoked.
func revokes(t *testing.T, jti string, expires time.Time) store.Store {
	t.Helper()
	s := &store.Memory{Now: clock}
	for _, r := range []store.Record{
		{Key: grantID, Version: "1", Value: issued, Expires: now.Add(time.Hour)},
		{Key: denyKey(issuer, jti), Version: "1", Expires: expires},
	} {
		if err := s.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// An outage fails the look-ups of keys of one kind and passes the others on.
type outage struct {
	store.Store
	kind string
}

func (o outage) Get(ctx context.Context, key string) (store.Record, error) {
	if strings.HasPrefix(key, o.kind) {
		return store.Record{}, errors.New("dial tcp 10.1.2.3:5432: connection refused")
	}
	return o.Store.Get(ctx, key)
}

func TestRevokedToken(t *testing.T) {
	const jti = "at-02-77ab10"
	other := revokes(t, "at-of-somebody-else", now.Add(time.Hour))
	for _, grant := range []any{grantID, nil} {
		try := func(t *testing.T, s store.Store, change ...func(*attempt)) error {
			t.Helper()
			a := good(t)
			claim("grant_id", grant)(a)
			for _, f := range change {
				f(a)
			}
			a.config = func(c *token.VerifierConfig) { c.Liveness = s }
			_, err := a.try(t)
			return err
		}
		name := map[bool]string{true: " (with a grant)", false: " (without a grant)"}[grant != nil]
		t.Run("RFC7009-2.1-2 another token was revoked"+name, func(t *testing.T) {
			if err := try(t, other); err != nil {
				t.Error(err)
			}
		})
		t.Run("RFC7009-2.1-2 RFC7009-I-1 FAPI2-SP-5.3.4-3 the token was revoked"+name, func(t *testing.T) {
			refused(t, try(t, revokes(t, jti, now.Add(time.Minute))), 401, "invalid_token", "FAPI2-SP-5.3.4-3")
		})
		t.Run("FAPI2-SP-5.3.4-3 a revocation does not lapse"+name, func(t *testing.T) {
			refused(t, try(t, revokes(t, jti, now.Add(-time.Second))), 401, "invalid_token", "FAPI2-SP-5.3.4-3")
		})
		t.Run("FAPI2-SP-5.3.4-3 whether it was revoked is not to be had"+name, func(t *testing.T) {
			var e *token.Error
			if err := try(t, outage{other, "d"}); err == nil || errors.As(err, &e) {
				t.Errorf("Check: %v, want an outage", err)
			}
		})
		t.Run("E2E-4 a stolen token costs no look-up"+name, func(t *testing.T) {
			err := try(t, outage{other, ""}, certificate(newCert(t, newEC(t), 1)))
			refused(t, err, 401, "invalid_token", "RFC8705-3-3")
		})
	}
	t.Run("FAPI2-SP-5.3.4-3 the grant is gone and the other answer is not to be had", func(t *testing.T) {
		a := good(t)
		claim("grant_id", "gs2qigeDzbvR0gOeOcnJ4feS9-M3bPuhnxopKANlKufk")(a)
		a.config = func(c *token.VerifierConfig) { c.Liveness = outage{other, "d"} }
		_, err := a.try(t)
		refused(t, err, 401, "invalid_token", "FAPI2-SP-5.3.4-3")
	})
	t.Run("FAPI2-SP-5.3.4-3 an opaque token was revoked", func(t *testing.T) {
		c := config(t)
		c.Opaque, c.Liveness = opaque(t), revokes(t, jti, now.Add(time.Minute))
		_, err := verifier(t, c).Check(request(t, "Bearer "+seal(t, c.Opaque, goodAccess())), token.Require{})
		refused(t, err, 401, "invalid_token", "FAPI2-SP-5.3.4-3")
	})
}

// A crashing store panics, as a driver may.
type crashing struct {
	store.Store
	kind string
}

func (c crashing) Get(ctx context.Context, key string) (store.Record, error) {
	if strings.HasPrefix(key, c.kind) {
		panic("driver: nil map")
	}
	return c.Store.Get(ctx, key)
}

// net/http survives the panic of a handler, if it is on the handler's goroutine.
func TestLivenessPanics(t *testing.T) {
	for _, kind := range []string{"g", "d"} {
		t.Run(kind, func(t *testing.T) {
			a := good(t)
			claim("grant_id", grantID)(a)
			a.config = func(c *token.VerifierConfig) {
				c.Liveness = crashing{revokes(t, "x", now.Add(time.Hour)), kind}
			}
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost")
				}
			}()
			a.try(t)
		})
	}
}

// A slow store answers after a second.
type slow struct{ store.Store }

func (s slow) Get(ctx context.Context, key string) (store.Record, error) {
	time.Sleep(time.Second)
	return s.Store.Get(ctx, key)
}

// The grant and the token are asked about side by side: one wait, not two.
func TestLivenessWaitsOnce(t *testing.T) {
	a := good(t)
	claim("grant_id", grantID)(a)
	compact := forge(t, marshal(t, a.header), marshal(t, a.claims), a.key)
	r, s := request(t, "Bearer "+compact), revokes(t, "x", now.Add(time.Hour))
	synctest.Test(t, func(t *testing.T) {
		c := config(t)
		c.Liveness = slow{s}
		v := verifier(t, c)
		start := time.Now()
		if _, err := v.Check(r, token.Require{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Check waited %v, want 1s", took)
		}
	})
}

// A spent proof cannot be presented again: who was revoked must not find that out
// at the price of one.
func TestRevokedSpendsNothing(t *testing.T) {
	t.Run("RFC9449-11.1-2 FAPI2-SP-5.3.4-3", func(t *testing.T) {
		p := newProver(t)
		replays := &store.Memory{Now: clock}
		r := p.request()
		revoked := guard(t, func(c *token.VerifierConfig) {
			c.Replays, c.Liveness = replays, revokes(t, "at-02-77ab10", now.Add(time.Minute))
		})
		if res := call(revoked, r); res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("revoked: %s", res.Status)
		}
		if res := call(guard(t, func(c *token.VerifierConfig) { c.Replays = replays }), r); res.StatusCode != http.StatusNoContent {
			t.Errorf("the proof was used up: %s", res.Status)
		}
	})
}
