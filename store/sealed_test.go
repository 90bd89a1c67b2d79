package store_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/store"
	"github.com/google/go-cmp/cmp"
)

func secret(letter string) []byte { return bytes.Repeat([]byte(letter), 32) }

// sealedOver returns a Sealed over m whose secrets are named by their letters.
func sealedOver(t testing.TB, m *store.Memory, secrets ...string) (store.Store, store.Lister) {
	t.Helper()
	c := store.SealedConfig{Store: m, Lister: m, TagSecret: secret("t")}
	for _, letter := range secrets {
		c.Secrets = append(c.Secrets, secret(letter))
	}
	s, l, err := store.Sealed(c)
	if err != nil {
		t.Fatal(err)
	}
	return s, l
}

// lasting returns a record that Memory keeps by the real clock.
func lasting() store.Record {
	r := newRecord()
	r.Expires = time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	return r
}

func mustCreate(t testing.TB, s store.Store, r store.Record) {
	t.Helper()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatalf("Create: %v", err)
	}
}

func mustGet(t testing.TB, s store.Store, key string) store.Record {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return r
}

// put keeps r in place of whatever is under its key, as one can who writes to
// the database.
func put(t testing.TB, m *store.Memory, r store.Record) {
	t.Helper()
	if err := m.Delete(t.Context(), r.Key); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, m, r)
}

func TestSealedConfig(t *testing.T) {
	m := new(store.Memory)
	tests := []struct {
		name string
		with func(*store.SealedConfig)
		want []string
	}{
		{"good", func(*store.SealedConfig) {}, nil},
		{"no lister", func(c *store.SealedConfig) { c.Lister = nil }, nil},
		{"no store", func(c *store.SealedConfig) { c.Store = nil }, []string{"without a Store"}},
		{"no secret", func(c *store.SealedConfig) { c.Secrets = nil }, []string{"without Secrets"}},
		{"first secret of 31 bytes", func(c *store.SealedConfig) { c.Secrets[0] = secret("a")[1:] }, []string{"Secrets[0]", "31 bytes"}},
		{"last secret of 31 bytes", func(c *store.SealedConfig) { c.Secrets[1] = secret("b")[1:] }, []string{"Secrets[1]", "31 bytes"}},
		{"secret twice", func(c *store.SealedConfig) { c.Secrets[1] = secret("a") }, []string{"Secrets[1]", "before"}},
		{"no tag secret", func(c *store.SealedConfig) { c.TagSecret = nil }, []string{"TagSecret", "0 bytes"}},
		{"tag secret of 31 bytes", func(c *store.SealedConfig) { c.TagSecret = secret("t")[1:] }, []string{"TagSecret", "31 bytes"}},
		{"tag secret among secrets", func(c *store.SealedConfig) { c.TagSecret = secret("b") }, []string{"TagSecret", "Secrets[1]"}},
		{"everything", func(c *store.SealedConfig) { *c = store.SealedConfig{} }, []string{"Store", "Secrets", "TagSecret"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := store.SealedConfig{Store: m, Lister: m, Secrets: [][]byte{secret("a"), secret("b")}, TagSecret: secret("t")}
			tt.with(&c)
			s, l, err := store.Sealed(c)
			if tt.want == nil {
				if err != nil || s == nil || (l == nil) != (c.Lister == nil) {
					t.Fatalf("%v, %v, %v", s, l, err)
				}
				return
			}
			if err == nil || s != nil || l != nil {
				t.Fatalf("%v, %v, %v, want an error", s, l, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want it to speak of %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "aaaa") || strings.Contains(err.Error(), hex.EncodeToString(secret("a"))[:8]) {
				t.Errorf("error %q has a secret in it", err)
			}
		})
	}
}

// TestSealedHides shows that nothing of a value or a tag can be read in the
// store, that the same value and tag look different each time and the same
// each time, respectively, and that what is read back is as it was.
func TestSealedHides(t *testing.T) {
	m := new(store.Memory)
	s, _ := sealedOver(t, m, "a")
	r := lasting()
	r.Value = []byte("a value that is long enough to be found")
	twin := lasting()
	twin.Value, twin.Tags = r.Value, r.Tags
	mustCreate(t, s, r)
	mustCreate(t, s, twin)

	raw, rawTwin := mustGet(t, m, r.Key), mustGet(t, m, twin.Key)
	for _, part := range []string{"value", r.Tags[0], r.Tags[1], r.Tags[0][:20]} {
		if bytes.Contains(raw.Value, []byte(part)) || strings.Contains(strings.Join(raw.Tags, " "), part) {
			t.Errorf("%q can be read in the store", part)
		}
	}
	if bytes.Equal(raw.Value, rawTwin.Value) {
		t.Error("two equal values are sealed alike")
	}
	if diff := cmp.Diff(raw.Tags, rawTwin.Tags); diff != "" {
		t.Errorf("two equal tags are not sealed alike:\n%s", diff)
	}
	for i, tag := range raw.Tags {
		if b, err := base64.RawURLEncoding.DecodeString(tag); err != nil || len(b) != sha256.Size || tag == raw.Tags[1-i] {
			t.Errorf("tags %q, want digests, each another", raw.Tags)
		}
	}
	for _, want := range []store.Record{r, twin} {
		if diff := cmp.Diff(want, mustGet(t, s, want.Key)); diff != "" {
			t.Errorf("Get: (-want +got)\n%s", diff)
		}
	}
}

// TestSealedFormat opens a value with nothing but the primitives: HKDF as RFC
// 5869 defines it, over HMAC, and AES-GCM. What is stored today must be opened
// by every later release.
func TestSealedFormat(t *testing.T) {
	m := new(store.Memory)
	s, _ := sealedOver(t, m, "a", "b")
	r := lasting()
	r.Value, r.Tags = []byte("value"), []string{"s1", "client"}
	mustCreate(t, s, r)
	raw := mustGet(t, m, r.Key)

	mac := func(key []byte, parts ...string) []byte {
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			h.Write([]byte(p))
		}
		return h.Sum(nil)
	}
	derive := func(secret []byte, use string) []byte { return mac(mac(make([]byte, 32), string(secret)), use, "\x01") }

	v := raw.Value
	id := derive(secret("a"), "aikagi sealed id 1")[:4]
	if v[0] != 1 || !bytes.Equal(v[1:5], id) {
		t.Fatalf("value begins with %x, want 01%x", v[:5], id)
	}
	seconds := r.Expires.Unix()
	bound := append([]byte{}, v[:5]...)
	bound = append(bound, byte(len(r.Key)))
	bound = append(bound, r.Key...)
	bound = append(bound, byte(len(r.Version)))
	bound = append(bound, r.Version...)
	for shift := 56; shift >= 0; shift -= 8 {
		bound = append(bound, byte(seconds>>shift))
	}
	block, err := aes.NewCipher(mac(derive(secret("a"), "aikagi sealed values 1"), string(bound), "\x01"))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block) // which takes 12 bytes of nonce first
	if err != nil {
		t.Fatal(err)
	}
	plain, err := aead.Open(nil, nil, v[5:], bound)
	if want := "\x02\x02s1\x06clientvalue"; err != nil || string(plain) != want {
		t.Errorf("opens as %q, %v, want %q", plain, err, want)
	}
	tag := base64.RawURLEncoding.EncodeToString(mac(derive(secret("t"), "aikagi sealed tags 1"), "s1"))
	if raw.Tags[0] != tag {
		t.Errorf("tag %q, want %q", raw.Tags[0], tag)
	}
}

// TestSealedRefuses has someone who can write to the database change a record
// that was sealed. Each row names what they do.
func TestSealedRefuses(t *testing.T) {
	tests := []struct {
		name string
		with func(t *testing.T, m *store.Memory, r, other *store.Record)
		want string // part of the error; "" means that the record is read
	}{
		{"nothing", func(*testing.T, *store.Memory, *store.Record, *store.Record) {}, ""},
		{"a fraction of a second dropped, which a store may", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) {
			r.Expires = r.Expires.Add(time.Millisecond)
		}, ""},
		{"tags forgotten, which a store may", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Tags = nil }, ""},
		{"value of another record", func(_ *testing.T, _ *store.Memory, r, other *store.Record) { r.Value = other.Value }, "changed"},
		{"all of another record", func(_ *testing.T, _ *store.Memory, r, other *store.Record) {
			key := r.Key
			*r = *other
			r.Key = key
		}, "changed"},
		{"version of another record", func(_ *testing.T, _ *store.Memory, r, other *store.Record) { r.Version = other.Version }, "changed"},
		{"expires a second later", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Expires = r.Expires.Add(time.Second) }, "changed"},
		{"expires a second earlier", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Expires = r.Expires.Add(-time.Second) }, "changed"},
		{"value emptied", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Value = nil }, "is not sealed"},
		{"value not sealed", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Value = []byte("value") }, "is not sealed"},
		{"value cut off", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Value = r.Value[:len(r.Value)-1] }, "changed"},
		{"value cut off before its tag", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Value = r.Value[:32] }, "is not sealed"},
		{"value of one byte", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Value = r.Value[:1] }, "is not sealed"},
		{"byte appended", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Value = append(r.Value, 0) }, "changed"},
		{"another format", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Value[0]++ }, "is not sealed"},
		{"another secret's id", func(_ *testing.T, _ *store.Memory, r, _ *store.Record) { r.Value[4]++ }, "not among Secrets"},
		{"older value at the newer version", func(t *testing.T, m *store.Memory, r, _ *store.Record) {
			older := r.Value
			s, _ := sealedOver(t, m, "a", "b")
			n := mustGet(t, s, r.Key)
			version := n.Version
			n.Version = newVersion()
			if err := s.Replace(t.Context(), version, n); err != nil {
				t.Fatal(err)
			}
			*r = mustGet(t, m, r.Key)
			r.Value = older
		}, "changed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := new(store.Memory)
			s, l := sealedOver(t, m, "a", "b")
			r, other := lasting(), lasting()
			r.Value = []byte("what nobody may read")
			mustCreate(t, s, r)
			mustCreate(t, s, other)
			raw, rawOther := mustGet(t, m, r.Key), mustGet(t, m, other.Key)
			tags := raw.Tags
			tt.with(t, m, &raw, &rawOther)
			put(t, m, raw)

			got, err := s.Get(t.Context(), r.Key)
			if tt.want == "" {
				if err != nil || !bytes.Equal(got.Value, r.Value) || !slices.Equal(got.Tags, r.Tags) {
					t.Errorf("Get: %+v, %v", got, err)
				}
				return
			}
			refuses := func(verb string, err error) {
				if err == nil || isAnswer(err) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), r.Key) ||
					strings.Contains(err.Error(), "nobody may read") {
					t.Errorf("%s: error %v, want one of its own, with %q and the key and not the value", verb, err, tt.want)
				}
			}
			refuses("Get", err)
			if diff := cmp.Diff(store.Record{}, got); diff != "" {
				t.Errorf("Get: %+v beside an error", got)
			}
			if slices.Equal(raw.Tags, tags) {
				_, err := l.List(t.Context(), r.Tags[0], "", 10)
				refuses("List", err)
			}
		})
	}
}

func TestSealedRefusesAnyBit(t *testing.T) {
	m := new(store.Memory)
	s, _ := sealedOver(t, m, "a")
	r := lasting()
	mustCreate(t, s, r)
	raw := mustGet(t, m, r.Key)
	for i := range 8 * len(raw.Value) {
		forged := raw
		forged.Value = bytes.Clone(raw.Value)
		forged.Value[i/8] ^= 1 << (i % 8)
		put(t, m, forged)
		if got, err := s.Get(t.Context(), r.Key); err == nil || isAnswer(err) {
			t.Fatalf("bit %d: %+v, %v", i, got, err)
		}
	}
}

// TestSealedListRefusesWrongTag: who writes to the database cannot show one
// customer another's grant.
func TestSealedListRefusesWrongTag(t *testing.T) {
	m := new(store.Memory)
	s, l := sealedOver(t, m, "a")
	mine, theirs := lasting(), lasting()
	mustCreate(t, s, mine)
	mustCreate(t, s, theirs)
	raw := mustGet(t, m, theirs.Key)
	raw.Tags = mustGet(t, m, mine.Key).Tags
	put(t, m, raw)
	page, err := l.List(t.Context(), mine.Tags[0], "", 10)
	if err == nil || page != nil || isAnswer(err) || !strings.Contains(err.Error(), theirs.Key) {
		t.Errorf("List: %+v, %v, want an error that names %s", page, err, theirs.Key)
	}
}

// TestSealedListRefusesDisorder has a database that lists as it likes.
func TestSealedListRefusesDisorder(t *testing.T) {
	m := new(store.Memory)
	s, _ := sealedOver(t, m, "a")
	r := lasting()
	mustCreate(t, s, r)
	raw := mustGet(t, m, r.Key)
	for _, tt := range []struct {
		name, after string
		page        listed
		ok          bool
	}{
		{"as it should be", r.Key[:20], listed{raw}, true},
		{"the page before once more", r.Key, listed{raw}, false},
		{"what comes before", r.Key + "A", listed{raw}, false},
		{"a record twice", "", listed{raw, raw}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, l, err := store.Sealed(store.SealedConfig{
				Store: m, Lister: tt.page, Secrets: [][]byte{secret("a")}, TagSecret: secret("t"),
			})
			if err != nil {
				t.Fatal(err)
			}
			page, err := l.List(t.Context(), r.Tags[0], tt.after, 10)
			if ok := err == nil && len(page) == 1; ok != tt.ok || isAnswer(err) {
				t.Errorf("List: %d records, error %v", len(page), err)
			}
		})
	}
}

// listed is a Lister with an answer of its own.
type listed []store.Record

func (l listed) List(context.Context, string, string, int) ([]store.Record, error) { return l, nil }

// TestSealedCannotTell states what a Sealed does not notice: a record that is
// put back as it once was.
func TestSealedCannotTell(t *testing.T) {
	m := new(store.Memory)
	s, _ := sealedOver(t, m, "a")
	r := lasting()
	mustCreate(t, s, r)
	raw := mustGet(t, m, r.Key)
	if err := s.Delete(t.Context(), r.Key); err != nil {
		t.Fatal(err)
	}
	put(t, m, raw)
	if got := mustGet(t, s, r.Key); !bytes.Equal(got.Value, r.Value) {
		t.Errorf("Get: %+v", got)
	}
}

func TestSealedRotation(t *testing.T) {
	m := new(store.Memory)
	old := lasting()
	before, _ := sealedOver(t, m, "a")
	mustCreate(t, before, old)

	for _, tt := range []struct {
		name    string
		secrets []string
		ok      bool
	}{
		{"the next secret is appended", []string{"a", "b"}, true},
		{"the next secret seals", []string{"b", "a"}, true},
		{"and another after it", []string{"c", "b", "a"}, true},
		{"the old secret is left out too soon", []string{"b"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, l := sealedOver(t, m, tt.secrets...)
			got, err := s.Get(t.Context(), old.Key)
			if tt.ok && (err != nil || !bytes.Equal(got.Value, old.Value)) || !tt.ok && (err == nil || isAnswer(err)) {
				t.Errorf("Get: %+v, %v", got, err)
			}
			page, err := l.List(t.Context(), old.Tags[0], "", 10)
			if tt.ok && (err != nil || len(page) != 1) || !tt.ok && (err == nil || isAnswer(err)) {
				t.Errorf("List: %+v, %v", page, err)
			}
			r := lasting()
			mustCreate(t, s, r)
			first, _ := sealedOver(t, m, tt.secrets[0])
			if got := mustGet(t, first, r.Key); !bytes.Equal(got.Value, r.Value) {
				t.Errorf("the first secret did not seal: %+v", got)
			}
		})
	}
	t.Run("the old secret is left out once all is sealed anew", func(t *testing.T) {
		both, _ := sealedOver(t, m, "b", "a")
		n := mustGet(t, both, old.Key)
		n.Version = newVersion()
		if err := both.Replace(t.Context(), old.Version, n); err != nil {
			t.Fatal(err)
		}
		s, l := sealedOver(t, m, "b")
		if page, err := l.List(t.Context(), old.Tags[1], "", 10); err != nil || len(page) != 1 {
			t.Errorf("List: %+v, %v", page, err)
		}
		if diff := cmp.Diff(n, mustGet(t, s, old.Key)); diff != "" {
			t.Errorf("Get: (-want +got)\n%s", diff)
		}
	})
}

// TestSealedSize: what fits fits to the last byte, and what does not is refused
// by Sealed, not by the store.
func TestSealedSize(t *testing.T) {
	m := new(store.Memory)
	s, _ := sealedOver(t, m, "a")
	key := newKey() // as tags of the server's
	for _, tt := range []struct {
		tags []string
		room int
	}{
		{nil, 64<<10 - 34},
		{[]string{key, newKey()}, 65412},
		{[]string{""}, 64<<10 - 35},
	} {
		r := lasting()
		r.Tags, r.Value = tt.tags, make([]byte, tt.room)
		mustCreate(t, s, r)
		if n := len(mustGet(t, m, r.Key).Value); n != 64<<10 {
			t.Errorf("value of %d bytes with %d tags takes %d bytes, want 65536", tt.room, len(tt.tags), n)
		}
		over := lasting()
		over.Tags, over.Value = tt.tags, make([]byte, tt.room+1)
		n := over
		n.Key = r.Key
		for verb, err := range map[string]error{
			"Create":  s.Create(t.Context(), over),
			"Replace": s.Replace(t.Context(), r.Version, n),
		} {
			if err == nil || isAnswer(err) || !strings.Contains(err.Error(), fmt.Sprintf("value of %d bytes", tt.room+1)) {
				t.Errorf("%s of a byte more: %v, want an error of its own", verb, err)
			}
		}
	}
}

// wrong is a Store that finds another record than it was asked for.
type wrong struct {
	*store.Memory
	key string
}

func (w wrong) Get(ctx context.Context, _ string) (store.Record, error) {
	return w.Memory.Get(ctx, w.key)
}

// TestSealedGetsWhatItAskedFor: a record that says it has another key is not
// taken for the one asked for.
func TestSealedGetsWhatItAskedFor(t *testing.T) {
	m := new(store.Memory)
	first, _ := sealedOver(t, m, "a")
	r, asked := lasting(), lasting()
	mustCreate(t, first, r)
	s, _, err := store.Sealed(store.SealedConfig{Store: wrong{m, r.Key}, Secrets: [][]byte{secret("a")}, TagSecret: secret("t")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), asked.Key); err == nil || isAnswer(err) {
		t.Errorf("Get: %+v, %v", got, err)
	}
}

// TestSealedCopies: secrets may be wiped once Sealed has returned.
func TestSealedCopies(t *testing.T) {
	m := new(store.Memory)
	c := store.SealedConfig{Store: m, Secrets: [][]byte{secret("a")}, TagSecret: secret("t")}
	s, _, err := store.Sealed(c)
	if err != nil {
		t.Fatal(err)
	}
	clear(c.Secrets[0])
	clear(c.TagSecret)
	r := lasting()
	mustCreate(t, s, r)
	again, _ := sealedOver(t, m, "a")
	if got := mustGet(t, again, r.Key); !bytes.Equal(got.Value, r.Value) {
		t.Errorf("Get: %+v", got)
	}
}

// TestSealedAnswers: the three errors come through.
func TestSealedAnswers(t *testing.T) {
	s, _ := sealedOver(t, new(store.Memory), "a")
	r := lasting()
	mustCreate(t, s, r)
	n := r
	n.Version = newVersion()
	_, getErr := s.Get(t.Context(), newKey())
	for _, tt := range []struct{ got, want error }{
		{getErr, store.ErrNotFound},
		{s.Create(t.Context(), n), store.ErrExists},
		{s.Replace(t.Context(), newVersion(), n), store.ErrConflict},
		{s.Create(t.Context(), r), nil}, // repeated
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%v, want %v", tt.got, tt.want)
		}
	}
}

// FuzzSealedOpen gives Get what someone wrote to the database who has no secret.
func FuzzSealedOpen(f *testing.F) {
	m := new(store.Memory)
	s, _ := sealedOver(f, m, "a")
	r := lasting()
	mustCreate(f, s, r)
	raw := mustGet(f, m, r.Key)
	f.Add(raw.Version, raw.Value, int64(1))
	f.Add("", []byte(nil), int64(0))
	f.Add(newVersion(), raw.Value[:5], int64(-1))
	f.Fuzz(func(t *testing.T, version string, value []byte, seconds int64) {
		forged := forgery{store.Record{Key: r.Key, Version: version, Value: value, Expires: time.Unix(seconds, 0)}}
		s, _, err := store.Sealed(store.SealedConfig{Store: forged, Secrets: [][]byte{secret("a")}, TagSecret: secret("t")})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), r.Key); err == nil {
			t.Errorf("%+v opens", got)
		}
	})
}

// forgery is a Store that returns a record whatever it is asked for.
type forgery struct{ record store.Record }

func (f forgery) Get(context.Context, string) (store.Record, error)   { return f.record, nil }
func (f forgery) Create(context.Context, store.Record) error          { return nil }
func (f forgery) Replace(context.Context, string, store.Record) error { return nil }
func (f forgery) Delete(context.Context, string) error                { return nil }

func BenchmarkSealed(b *testing.B) {
	m := new(store.Memory)
	s, _ := sealedOver(b, m, "a")
	r := newSource('s').grant(time.Now().Add(time.Hour))
	mustCreate(b, s, r)
	b.Run("Create, repeated", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustCreate(b, s, r)
		}
	})
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustGet(b, s, r.Key)
		}
	})
}
