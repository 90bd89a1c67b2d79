package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aikagi/aikagi/internal/jose"
)

// A scheduledKey is a key of a KeyFile with the dates of its life.
type scheduledKey struct {
	PrivateKey
	public PublicKey // made once

	announced time.Time // iat
	signs     time.Time // nbf
	retired   time.Time // exp; zero if not planned yet
}

func (k *scheduledKey) published(now time.Time) bool {
	return !now.Before(k.announced) && (k.retired.IsZero() || now.Before(k.retired))
}

// signing returns the key that signs under alg now, or nil. Keys are in the
// order in which they begin to sign.
func signing(keys []scheduledKey, alg string, now time.Time) *scheduledKey {
	for i := len(keys) - 1; i >= 0; i-- {
		if k := &keys[i]; k.Algorithm == alg && !now.Before(k.signs) && k.published(now) {
			return k
		}
	}
	return nil
}

// parseSchedule reads a key file and checks each key and how they follow each
// other. The keys it returns are in the order in which they begin to sign.
func parseSchedule(b []byte, f KeyFile) ([]scheduledKey, error) {
	parsed, err := jose.ParsePrivateSet(b)
	if err != nil {
		return nil, err
	}
	var errs []error
	seen := make(map[string]bool)
	keys := make([]scheduledKey, 0, len(parsed))
	for i, p := range parsed {
		k, err := schedule(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("key %d, kid %q: %w", i, p.ID, err))
			continue
		}
		if seen[k.ID] { // FAPI 2.0 SP, 5.4.2-3
			errs = append(errs, fmt.Errorf("key %d, kid %q: kid: another key has it; choose a new one", i, k.ID))
		}
		seen[k.ID] = true
		keys = append(keys, k)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortStableFunc(keys, func(a, b scheduledKey) int { return a.signs.Compare(b.signs) })
	if err := checkSuccession(keys, f); err != nil {
		return nil, err
	}
	now := f.Now()
	if !slices.ContainsFunc(keys, func(k scheduledKey) bool { return !now.Before(k.signs) && k.published(now) }) {
		return nil, fmt.Errorf("no key signs at %s: nbf: give one key a date that has passed", date(now))
	}
	return keys, nil
}

// schedule checks one key by itself.
func schedule(p jose.PrivateKey) (scheduledKey, error) {
	var k scheduledKey
	if p.Use != "" && p.Use != "sig" {
		return k, fmt.Errorf("use: is %q; a key that signs has sig or none", p.Use)
	}
	if p.ID == "" {
		return k, errors.New("kid: is missing; give every key one of its own")
	}
	k.PrivateKey = PrivateKey{ID: p.ID, Algorithm: p.Algorithm, Signer: p.Signer}
	if k.Algorithm == "" {
		k.Algorithm = usualAlgorithm(p)
	}
	if !fits(k.Algorithm, p.Public) {
		return k, fmt.Errorf("alg: %q is none that such a key signs here; take alg out to have %s",
			k.Algorithm, usualAlgorithm(p))
	}
	k.public = k.PrivateKey.public()
	for _, m := range [...]struct {
		name string
		to   *time.Time
	}{{"iat", &k.announced}, {"nbf", &k.signs}, {"exp", &k.retired}} {
		at, ok := p.Members.Time(m.name)
		switch {
		case ok && at.Year() <= 9999: // later ones are milliseconds
			*m.to = at
		case p.Members.Has(m.name):
			return k, fmt.Errorf("%s: is no date; write it as a number of seconds since 1970", m.name)
		case m.name != "exp":
			return k, fmt.Errorf("%s: is missing; write it as a number of seconds since 1970", m.name)
		}
	}
	if k.signs.Before(k.announced) {
		return k, fmt.Errorf("nbf: is before iat, so the key would sign before it is published; move it to %s or later",
			date(k.announced))
	}
	if !k.retired.IsZero() && !k.retired.After(k.signs) {
		return k, fmt.Errorf("exp: is not after nbf, so the key would never sign; move it to after %s", date(k.signs))
	}
	return k, nil
}

// usualAlgorithm is that of a JWK without alg.
func usualAlgorithm(p jose.PrivateKey) string {
	switch p.Public.(type) {
	case *ecdsa.PublicKey:
		return jose.ES256
	case ed25519.PublicKey:
		return jose.EdDSA
	case *rsa.PublicKey:
		return jose.PS256
	}
	return ""
}

// checkSuccession checks that every key is published long enough before it
// signs and after it has signed (OIDC Core, 10.1.1). Keys are in the order in
// which they begin to sign.
func checkSuccession(keys []scheduledKey, f KeyFile) error {
	var errs []error
	last := make(map[string]*scheduledKey) // by algorithm, the one before
	for i := range keys {
		k := &keys[i]
		if before := last[k.Algorithm]; before != nil {
			errs = append(errs, checkSuccessor(before, k, f)...)
		}
		last[k.Algorithm] = k
	}
	for i := range keys {
		if k := &keys[i]; last[k.Algorithm] == k && !k.retired.IsZero() {
			errs = append(errs, fmt.Errorf(
				"kid %q: exp: the key would retire with no successor for %s; add one with nbf %s or earlier, or take exp out",
				k.ID, k.Algorithm, date(k.retired.Add(-f.Linger))))
		}
	}
	return errors.Join(errs...)
}

func checkSuccessor(before, k *scheduledKey, f KeyFile) (errs []error) {
	if k.signs.Equal(before.signs) {
		errs = append(errs, fmt.Errorf("kid %q: nbf: is that of kid %q, so which of them signs for %s is open; move one",
			k.ID, before.ID, k.Algorithm))
	}
	if earliest := k.announced.Add(f.Lead); k.signs.Before(earliest) {
		errs = append(errs, fmt.Errorf(
			"kid %q: nbf: the key would sign less than %v after iat, before every verifier has it; move it to %s or later",
			k.ID, f.Lead, date(earliest)))
	}
	if earliest := k.signs.Add(f.Linger); !before.retired.IsZero() && before.retired.Before(earliest) {
		errs = append(errs, fmt.Errorf(
			"kid %q: exp: the key would retire less than %v after kid %q begins to sign, before its last token has expired; move it to %s or later",
			before.ID, f.Linger, k.ID, date(earliest)))
	}
	return errs
}

// date writes t for the operator, with the number for the file. It rounds up.
func date(t time.Time) string {
	if t.Nanosecond() > 0 {
		t = t.Add(time.Second)
	}
	t = t.Truncate(time.Second)
	return fmt.Sprintf("%d (%s)", t.Unix(), t.UTC().Format(time.RFC3339))
}
