package redisstore

import (
	"crypto/sha1"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
)

func TestScriptName(t *testing.T) {
	sum := sha1.Sum([]byte(putScript))
	if want := hex.EncodeToString(sum[:]); putSHA != want {
		t.Errorf("putSHA is %q, want %q", putSHA, want)
	}
}

func TestFit(t *testing.T) {
	const good = "# Server\r\nredis_version:7.2.4\r\nredis_mode:standalone\r\n" +
		"# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n# Replication\r\nrole:master\r\n"
	if err := fit(good); err != nil {
		t.Errorf("a server that is fit: %v", err)
	}
	for _, tt := range []struct{ old, new, why string }{
		{"7.2.4", "6.2.14", "older than version 7"},
		{"7.2.4", "", "older than version 7"},
		{"redis_version", "version", "older than version 7"},
		{"role:master", "role:slave", "not a primary"},
		{"role:", "rule:", "not a primary"},
		{"noeviction", "allkeys-lfu", `"allkeys-lfu"`},
		{"maxmemory_policy:noeviction\r\n", "", `maxmemory-policy is ""`},
		{good, "", "older than version 7"},
	} {
		err := fit(strings.Replace(good, tt.old, tt.new, 1))
		if err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%q for %q: error %v, want one with %q", tt.new, tt.old, err, tt.why)
		}
	}
}

func TestTimeToLive(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	for left, want := range map[time.Duration]int64{
		-100 * 365 * 24 * time.Hour: 120_000,
		-time.Millisecond:           120_000,
		0:                           120_000,
		time.Millisecond:            120_001,
		time.Hour:                   3_720_000,
	} {
		if got := timeToLive(now.Add(left), now); got != want {
			t.Errorf("what expires in %v is kept for %d ms, want %d", left, got, want)
		}
	}
	if got, want := timeToLive(now.AddDate(1000, 0, 0), now), int64(365_242*24)*3600*1000+120_000; got < want {
		t.Errorf("what expires in a thousand years is kept for %d ms, want %d", got, want)
	}
	if got := timeToLive(time.Time{}, now); got != 120_000 {
		t.Errorf("what expires at no time is kept for %d ms, want 120000", got)
	}
}

// TestHandshakeErrors are those that no server of the kit gives.
func TestHandshakeErrors(t *testing.T) {
	for want, err := range map[string]error{
		"redisstore: Get: the server's certificate is not accepted": &tls.CertificateVerificationError{Err: errors.New("bank.example")},
		"redisstore: Get: the TLS handshake failed":                 tls.AlertError(40),
		"redisstore: Get: failed (*errors.errorString)":             errors.New("bank.example"),
	} {
		if got := failure("Get", err).Error(); got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
}

// TestPanic shows that a panic of the client's is one of the caller's.
func TestPanic(t *testing.T) {
	defer func() {
		if got := recover(); got != "hook" {
			t.Errorf("recovered %v, want the panic", got)
		}
	}()
	_, err := await(t.Context(), func() (int, error) { panic("hook") })
	t.Errorf("await returned %v", err)
}

func FuzzDecode(f *testing.F) {
	good := store.Record{Key: "j", Version: "v1", Value: []byte("value"), Expires: time.UnixMilli(1700000000000).UTC()}
	f.Add(string(encode(good)))
	for _, s := range []string{"", "\x01", "\x01\x00", "\x01\xffv", "\x02\x01v12345678", "\x01\x01v1234567", "\x01\x01v12345678"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, packed string) {
		r, err := decode("j", packed)
		if err != nil {
			return
		}
		if len(r.Version) > 0 && len(r.Version) <= maxName && string(encode(r)) != packed {
			t.Errorf("%q decodes to a record that encodes to %q", packed, encode(r))
		}
	})
}
