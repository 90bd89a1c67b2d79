package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kerckhoffs is the plaintext, initialization vector and additional data of RFC
// 7518, B.
func kerckhoffs(t *testing.T) (plaintext, iv, aad []byte) {
	return []byte("A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy without inconvenience"),
		unhex(t, "1af38c2dc2b96ffdd86694092341bc04"), []byte("The second principle of Auguste Kerckhoffs")
}

// ascending returns n octets that count from zero, the keys of RFC 3394, 4 and
// RFC 7518, B.
func ascending(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestContentVectors(t *testing.T) {
	for _, tt := range []struct{ name, enc, sealed string }{
		{"RFC 7518, B.1", A128CBCHS256, `
			c8 0e df a3 2d df 39 d5 ef 00 c0 b4 68 83 42 79 a2 e4 6a 1b 80 49 f7 92 f7 6b fe 54 b9 03 a9 c9
			a9 4a c9 b4 7a d2 65 5c 5f 10 f9 ae f7 14 27 e2 fc 6f 9b 3f 39 9a 22 14 89 f1 63 62 c7 03 23 36
			09 d4 5a c6 98 64 e3 32 1c f8 29 35 ac 40 96 c8 6e 13 33 14 c5 40 19 e8 ca 79 80 df a4 b9 cf 1b
			38 4c 48 6f 3a 54 c5 10 78 15 8e e5 d7 9d e5 9f bd 34 d8 48 b3 d6 95 50 a6 76 46 34 44 27 ad e5
			4b 88 51 ff b5 98 f7 f8 00 74 b9 47 3c 82 e2 db 65 2c 3f a3 6b 0a 7c 5b 32 19 fa b3 a3 0b c1 c4`},
		{"RFC 7518, B.3", A256CBCHS512, `
			4a ff aa ad b7 8c 31 c5 da 4b 1b 59 0d 10 ff bd 3d d8 d5 d3 02 42 35 26 91 2d a0 37 ec bc c7 bd
			82 2c 30 1d d6 7c 37 3b cc b5 84 ad 3e 92 79 c2 e6 d1 2a 13 74 b7 7f 07 75 53 df 82 94 10 44 6b
			36 eb d9 70 66 29 6a e6 42 7e a7 5c 2e 08 46 a1 1a 09 cc f5 37 0d c8 0b fe cb ad 28 c7 3f 09 b3
			a3 b7 5e 66 2a 25 94 41 0a e4 96 b2 e2 e6 60 9e 31 e6 e0 2c c8 37 f0 53 d2 1f 37 ff 4f 51 95 0b
			be 26 38 d0 9d d7 a4 93 09 30 80 6d 07 03 b1 f6 4d d3 b4 c0 88 a7 f4 5c 21 68 39 64 5b 20 12 bf
			2e 62 69 a8 c5 6a 81 6d bc 1b 26 77 61 95 5b c5`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plaintext, iv, aad := kerckhoffs(t)
			c := contents[tt.enc]
			aead, err := c.aead(ascending(c.keySize))
			if err != nil {
				t.Fatal(err)
			}
			want := unhex(t, tt.sealed)
			if got := aead.Seal(nil, iv, plaintext, aad); !bytes.Equal(got, want) {
				t.Errorf("sealed %x, want %x", got, want)
			}
			if got, err := aead.Open(nil, iv, want, aad); err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("opened %q, %v", got, err)
			}
			for i := range want {
				want[i] ^= 1
				if got, err := aead.Open(nil, iv, want, aad); err == nil {
					t.Errorf("octet %d changed: %q", i, got)
				}
				want[i] ^= 1
			}
			if got, err := aead.Open(nil, iv, want, aad[1:]); err == nil {
				t.Errorf("additional data changed: %q", got)
			}
			for _, n := range []int{0, 1, c.tagSize - 1, c.tagSize, c.tagSize + 15, len(want) - 1} {
				if got, err := aead.Open(nil, iv, want[:n], aad); err == nil {
					t.Errorf("the first %d octets: %q", n, got)
				}
			}
		})
	}
}

// TestContentPadding authenticates blocks whose end is no padding: whoever has
// the key can, and must be told no without a panic.
func TestContentPadding(t *testing.T) {
	_, iv, aad := kerckhoffs(t)
	key := ascending(32)
	aead, err := contents[A128CBCHS256].aead(key)
	if err != nil {
		t.Fatal(err)
	}
	c := aead.(*cbcHMAC)
	for end, ok := range map[string]bool{"\x01": true, "\x02\x02": true, "\x00": false, "\x11": false, "\xff": false, "\x03\x02": false, "\x01\x02\x03": false} {
		block := append(bytes.Repeat([]byte{7}, 16-len(end)), end...)
		full := c.Seal(nil, iv, block, aad) // two blocks: ours and one of padding
		text := full[:16]
		sealed := append(bytes.Clone(text), c.tag(iv, text, aad)...)
		if got, err := c.Open(nil, iv, sealed, aad); (err == nil) != ok {
			t.Errorf("block that ends in %x: %x, %v", end, got, err)
		}
	}
	blocks := bytes.Repeat([]byte{32}, 32) // padding of two blocks, which PKCS #7 knows for longer ones alone
	text := c.Seal(nil, iv, blocks, aad)[:32]
	if got, err := c.Open(nil, iv, append(bytes.Clone(text), c.tag(iv, text, aad)...), aad); err == nil {
		t.Errorf("nothing but padding: %x", got)
	}
	text = bytes.Repeat([]byte{7}, 17) // no number of blocks
	if got, err := c.Open(nil, iv, append(bytes.Clone(text), c.tag(iv, text, aad)...), aad); err == nil {
		t.Errorf("part of a block: %x", got)
	}
}

func TestWrapKeyVectors(t *testing.T) {
	const data = "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F"
	for _, tt := range []struct {
		name      string
		kek, size int
		wrapped   string
	}{
		{"RFC 3394, 4.1", 16, 16, "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		{"RFC 3394, 4.3", 32, 16, "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
		{"RFC 3394, 4.5", 32, 24, "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
		{"RFC 3394, 4.6", 32, 32, "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kek, key, want := ascending(tt.kek), unhex(t, data)[:tt.size], unhex(t, tt.wrapped)
			if got, err := wrapKey(kek, key); err != nil || !bytes.Equal(got, want) {
				t.Errorf("wrapped %x, %v, want %x", got, err, want)
			}
			if got, err := unwrapKey(kek, want); err != nil || !bytes.Equal(got, key) {
				t.Errorf("unwrapped %x, %v, want %x", got, err, key)
			}
			for i := range want {
				want[i] ^= 0x80
				if got, err := unwrapKey(kek, want); err == nil {
					t.Errorf("octet %d changed: %x", i, got)
				}
				want[i] ^= 0x80
			}
			if got, err := unwrapKey(kek, append(bytes.Clone(want), 0)); err == nil {
				t.Errorf("an octet more: %x", got)
			}
			for _, n := range []int{0, 8, 16, len(want) - 1} {
				if got, err := unwrapKey(kek, want[:n]); err == nil {
					t.Errorf("the first %d octets: %x", n, got)
				}
			}
		})
	}
}

// TestConcatKDFVector is RFC 7518, C.
func TestConcatKDFVector(t *testing.T) {
	z := []byte{158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156,
		251, 49, 110, 163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196}
	got := base64.RawURLEncoding.EncodeToString(concatKDF(z, A128GCM, []byte("Alice"), []byte("Bob"), 16))
	if want := "VqqN6vgjbSBcIijNcacQGg"; got != want {
		t.Errorf("derived %s, want %s", got, want)
	}
}
