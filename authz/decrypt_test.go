package authz_test

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/jose"
)

// A remoteRSA keeps a key in an HSM and decrypts with it.
type remoteRSA struct{ key *rsa.PrivateKey }

func (h remoteRSA) Public() crypto.PublicKey { return &h.key.PublicKey }
func (h remoteRSA) Decrypt(r io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	return h.key.Decrypt(r, msg, opts)
}

// A remoteEC keeps one on P-256 and agrees with it.
type remoteEC struct{ key *ecdh.PrivateKey }

func (v remoteEC) PublicKey() *ecdh.PublicKey                  { return v.key.PublicKey() }
func (v remoteEC) Curve() ecdh.Curve                           { return v.key.Curve() }
func (v remoteEC) ECDH(remote *ecdh.PublicKey) ([]byte, error) { return v.key.ECDH(remote) }

func newRemoteEC(k *ecdsa.PrivateKey) remoteEC {
	key, err := k.ECDH()
	if err != nil {
		panic(err)
	}
	return remoteEC{key}
}

// sealed makes a JWE by RSA-OAEP-256 and A256GCM with the standard library
// alone, so that it can write what no client should.
func sealed(header m, pub *rsa.PublicKey, content string) string {
	h, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	cek, iv := make([]byte, 32), make([]byte, 12)
	rand.Read(cek)
	rand.Read(iv)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, pub, cek, nil)
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	protected := b64url(h)
	out := gcm.Seal(nil, iv, []byte(content), []byte(protected))
	end := len(out) - gcm.Overhead()
	return strings.Join([]string{protected, b64url(wrapped), b64url(iv), b64url(out[:end]), b64url(out[end:])}, ".")
}

// decrypting gives a server keys to which requests may be encrypted.
func decrypting(keys ...authz.DecryptionKey) func(*authz.Config) {
	return func(c *authz.Config) { c.Decrypt = keys }
}

// TestEncryptedRequest: every algorithm, every kind of key.
func TestEncryptedRequest(t *testing.T) {
	ec := newEC()
	for _, tt := range []struct {
		name string
		key  authz.DecryptionKey
	}{
		{"RSA-OAEP-256", authz.DecryptionKey{ID: "k", Algorithm: "RSA-OAEP-256", Key: rsaKey()}},
		{"RSA-OAEP", authz.DecryptionKey{ID: "k", Algorithm: "RSA-OAEP", Key: rsaKey()}},
		{"ECDH-ES", authz.DecryptionKey{ID: "k", Algorithm: "ECDH-ES", Key: ec}},
		{"ECDH-ES+A128KW", authz.DecryptionKey{ID: "k", Algorithm: "ECDH-ES+A128KW", Key: ec}},
		{"ECDH-ES+A256KW", authz.DecryptionKey{ID: "k", Algorithm: "ECDH-ES+A256KW", Key: ec}},
		{"RSA in an HSM", authz.DecryptionKey{ID: "k", Algorithm: "RSA-OAEP-256", Key: remoteRSA{rsaKey()}}},
		{"P-256 kept elsewhere", authz.DecryptionKey{ID: "k", Algorithm: "ECDH-ES", Key: newRemoteEC(ec)}},
		{"a retired key", authz.DecryptionKey{ID: "k", Algorithm: "ECDH-ES", Key: ec, Retired: true}},
	} {
		for _, enc := range []string{"A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"} {
			t.Run("RFC9101-4-3 RFC9101-6.1-1 OIDC-SE-6 "+tt.name+" "+enc, func(t *testing.T) {
				f := keyClient("kakeibo")
				b := newBank(t, clients(f), decrypting(authz.DecryptionKey{ID: "other", Algorithm: tt.key.Algorithm, Key: anotherOf(tt.key.Algorithm)}, tt.key))
				pub := crypto.PublicKey(&ec.PublicKey)
				if strings.HasPrefix(tt.key.Algorithm, "RSA") {
					pub = &rsaKey().PublicKey
				}
				for _, kid := range []string{"k", ""} {
					jwe, err := jose.Encrypt(tt.key.Algorithm, enc, kid, "JWT", pub, []byte(f.object(f.asks(b, f.pushable()))))
					if err != nil {
						t.Fatal(err)
					}
					if res := b.do(f.pushing(b, jwe)); res.StatusCode != 201 {
						t.Errorf("kid %q: %d %+v", kid, res.StatusCode, b.lastEvent())
					}
				}
			})
		}
	}
}

func anotherOf(alg string) crypto.PrivateKey {
	if strings.HasPrefix(alg, "RSA") {
		return otherRSA
	}
	return newEC()
}

var otherRSA = func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}()

// TestEncryptedRequestRefused: what cannot be opened, and what is opened and is
// no signed request.
func TestEncryptedRequestRefused(t *testing.T) {
	header := func(name string, v any) m {
		h := m{"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "k", "cty": "JWT"}
		if v == nil {
			delete(h, name)
		} else {
			h[name] = v
		}
		return h
	}
	good, pub := header("cty", "JWT"), &rsaKey().PublicKey
	other := keyClient("other")
	for _, tt := range []struct {
		name string
		make func(f *fintech, c m) string
		rule string
	}{
		{"RFC9101-4-3 RFC9101-6.1-1 as it should be", func(f *fintech, c m) string { return sealed(good, pub, f.object(c)) }, ""},
		{"RFC9101-4-3 no cty", func(f *fintech, c m) string { return sealed(header("cty", nil), pub, f.object(c)) }, ""},
		{"RFC9101-4-3 cty jwt", func(f *fintech, c m) string { return sealed(header("cty", "jwt"), pub, f.object(c)) }, ""},
		{"RFC9101-6.1-1 no kid", func(f *fintech, c m) string { return sealed(header("kid", nil), pub, f.object(c)) }, ""},
		{"OIDR-13 a client that signs alone", func(f *fintech, c m) string { return f.object(c) }, ""},

		{"RFC9101-4-3 OIDC-SE-9 encrypted and not signed", func(f *fintech, c m) string {
			text, _ := json.Marshal(c)
			return sealed(good, pub, string(text))
		}, "RFC9101-4-3"},
		{"RFC9101-4-3 alg none inside", func(f *fintech, c m) string { return sealed(good, pub, unsigned(m{"alg": "none"}, c)+".") }, "RFC9101-4-3"},
		{"RFC9101-4-3 encrypted twice", func(f *fintech, c m) string { return sealed(good, pub, sealed(good, pub, f.object(c))) }, "RFC9101-4-3"},
		{"OIDC-SE-9 encrypted first and then signed", func(f *fintech, c m) string {
			input := b64url([]byte(`{"alg":"ES256","kid":"`+f.kid+`"}`)) + "." + b64url([]byte(sealed(good, pub, f.object(c))))
			return signJWS("ES256", input, f.key)
		}, "RFC9101-6.2-1"},
		{"RFC9101-4-3 cty says that it is something else", func(f *fintech, c m) string { return sealed(header("cty", "application/json"), pub, f.object(c)) }, "RFC9101-4-3"},
		{"RFC8725-3.3-1 the signature inside is by another client", func(f *fintech, c m) string {
			return sealed(good, pub, jwt(m{"alg": "ES256", "kid": f.kid}, c, other.key))
		}, "RFC9101-6.2-1"},
		{"RFC8725-3.11-2 CONF-11 the right typ outside, another inside", func(f *fintech, c m) string {
			return sealed(header("typ", "oauth-authz-req+jwt"), pub, jwt(m{"alg": "ES256", "kid": f.kid, "typ": "at+jwt"}, c, f.key))
		}, "CONF-11"},
		{"FAPI2-MS-5.3.1-4 the claims inside are no better for it", func(f *fintech, c m) string {
			delete(c, "exp")
			return sealed(good, pub, f.object(c))
		}, "FAPI2-MS-5.3.1-4"},

		{"RFC9101-6.1-1 another key", func(f *fintech, c m) string { return sealed(good, &otherRSA.PublicKey, f.object(c)) }, "RFC9101-6.1-1"},
		{"RFC9101-6.1-1 an unknown kid", func(f *fintech, c m) string { return sealed(header("kid", "x"), pub, f.object(c)) }, "RFC9101-6.1-1"},
		{"RFC8725-3.1-2 an algorithm that is not the key's", func(f *fintech, c m) string { return sealed(header("alg", "RSA-OAEP"), pub, f.object(c)) }, "RFC9101-6.1-1"},
		{"RFC8725-3.2-1 RSA1_5", func(f *fintech, c m) string { return sealed(header("alg", "RSA1_5"), pub, f.object(c)) }, "RFC9101-6.1-1"},
		{"RFC8725-3.1-1 another content encryption", func(f *fintech, c m) string { return sealed(header("enc", "A192GCM"), pub, f.object(c)) }, "RFC9101-6.1-1"},
		{"RFC8725-3.6-1 RFC8725BIS-3 compressed", func(f *fintech, c m) string { return sealed(header("zip", "DEF"), pub, f.object(c)) }, "RFC9101-6.1-1"},
		{"RFC9101-6.1-1 a changed tag", func(f *fintech, c m) string {
			s := sealed(good, pub, f.object(c))
			i := strings.LastIndexByte(s, '.') + 1
			return s[:i] + flip(s[i]) + s[i+1:]
		}, "RFC9101-6.1-1"},
		{"RFC9101-6.1-1 a changed header", func(f *fintech, c m) string {
			s := sealed(good, pub, f.object(c))
			return b64url([]byte(`{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"k"}`)) + s[strings.IndexByte(s, '.'):]
		}, "RFC9101-6.1-1"},
		{"RFC9101-6.1-1 five parts of nothing", func(*fintech, m) string { return "...." }, "RFC9101-6.1-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f, other), decrypting(authz.DecryptionKey{ID: "k", Algorithm: "RSA-OAEP-256", Key: rsaKey()}))
			f.RequestEncryption = authz.Encryption{Alg: "RSA-OAEP-256"}
			res := b.do(f.pushing(b, tt.make(f, f.asks(b, f.pushable()))))
			if tt.rule != "" {
				mustRefuse(t, b, res, 400, "invalid_request_object", tt.rule)
			} else if res.StatusCode != 201 {
				t.Errorf("%d %+v", res.StatusCode, b.lastEvent())
			}
		})
	}
	t.Run("RFC9101-6.1-1 a server without keys for it", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		mustRefuse(t, b, b.do(f.pushing(b, sealed(good, pub, f.object(f.asks(b, f.pushable()))))), 400, "invalid_request_object", "RFC9101-6.1-1")
	})
}

// TestDecryptionKeys is about what a bank configures, and what of it is published.
func TestDecryptionKeys(t *testing.T) {
	ec := newEC()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := func(id, alg string, k crypto.PrivateKey) authz.DecryptionKey {
		return authz.DecryptionKey{ID: id, Algorithm: alg, Key: k}
	}
	for _, tt := range []struct {
		name string
		keys []authz.DecryptionKey
		want []string
	}{
		{"OIDC-SE-1 no ID", []authz.DecryptionKey{key("", "ECDH-ES", ec)}, []string{"OIDC-SE-1"}},
		{"OIDC-SE-1 one ID twice", []authz.DecryptionKey{key("a", "ECDH-ES", ec), key("b", "ECDH-ES", newEC()), key("a", "ECDH-ES", newEC())}, []string{"OIDC-SE-1"}},
		{"FAPI2-SP-5.4.1-2 RSA of 1024 bits", []authz.DecryptionKey{key("a", "RSA-OAEP-256", weakRSA())}, []string{"FAPI2-SP-5.4.1-2"}},
		{"FAPI2-SP-5.4.1-2 RSA of 1024 bits in an HSM", []authz.DecryptionKey{key("a", "RSA-OAEP-256", remoteRSA{weakRSA()})}, []string{"FAPI2-SP-5.4.1-2"}},
		{"RFC8725-3.4-1 P-384", []authz.DecryptionKey{key("a", "ECDH-ES", p384)}, []string{"RFC8725-3.4-1"}},
		{"RFC8725-3.4-1 Ed25519", []authz.DecryptionKey{key("a", "ECDH-ES", edKey)}, []string{"RFC8725-3.4-1"}},
		{"RFC8725-3.4-1 a public key", []authz.DecryptionKey{key("a", "ECDH-ES", &ec.PublicKey)}, []string{"RFC8725-3.4-1"}},
		{"RFC8725-3.4-1 no key", []authz.DecryptionKey{key("a", "ECDH-ES", nil)}, []string{"RFC8725-3.4-1"}},
		{"RFC8725-3.1-2 ECDH-ES with RSA", []authz.DecryptionKey{key("a", "ECDH-ES", rsaKey())}, []string{"RFC8725-3.1-2"}},
		{"RFC8725-3.1-2 RSA-OAEP-256 with P-256", []authz.DecryptionKey{key("a", "RSA-OAEP-256", ec)}, []string{"RFC8725-3.1-2"}},
		{"RFC8725-3.1-2 no algorithm", []authz.DecryptionKey{key("a", "", ec)}, []string{"RFC8725-3.1-2"}},
		{"RFC8725-3.2-1 RSA1_5", []authz.DecryptionKey{key("a", "RSA1_5", rsaKey())}, []string{"RFC8725-3.1-2"}},
		{"RFC8725-3.1-2 all that is wrong is said", []authz.DecryptionKey{key("", "dir", p384), key("a", "RSA-OAEP-256", weakRSA())},
			[]string{"OIDC-SE-1", "RFC8725-3.1-2", "RFC8725-3.4-1", "FAPI2-SP-5.4.1-2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newBank(t, nil).config
			c.Decrypt = tt.keys
			_, err := authz.New(c)
			if d := cmp.Diff(tt.want, rules(t, err)); d != "" {
				t.Error(d)
			}
		})
	}

	b := newBank(t, nil, decrypting(
		key("rsa", "RSA-OAEP-256", remoteRSA{rsaKey()}), key("ec", "ECDH-ES", ec), key("kw", "ECDH-ES+A256KW", newRemoteEC(ec)),
		authz.DecryptionKey{ID: "old", Algorithm: "RSA-OAEP", Key: otherRSA, Retired: true},
	))
	t.Run("OIDC-SE-2 OIDC-SE-6 FAPI2-SP-5.4.3-3 published with use, alg and kid, public members alone, the retired one not", func(t *testing.T) {
		jwk := func(pub crypto.PublicKey, kid, alg string) any {
			k := publicJWK(pub, kid, alg)
			k["use"] = "enc"
			return k
		}
		want := []any{
			publicJWK(mustSigner(t, serverKeys, "ES256").Public(), "as-1", "ES256"),
			jwk(rsaKey().Public(), "rsa", "RSA-OAEP-256"), jwk(ec.Public(), "ec", "ECDH-ES"), jwk(ec.Public(), "kw", "ECDH-ES+A256KW"),
		}
		if d := cmp.Diff(want, objectAt(t, b, "/jwks")["keys"]); d != "" {
			t.Error(d)
		}
	})
	t.Run("RFC9101-9-4 OIDD-6 the algorithms of published keys, and all content encryption", func(t *testing.T) {
		doc := objectAt(t, b, wellKnown)
		if d := cmp.Diff([]any{"RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW"}, doc["request_object_encryption_alg_values_supported"]); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]any{"A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"}, doc["request_object_encryption_enc_values_supported"]); d != "" {
			t.Error(d)
		}
		for name := range objectAt(t, newBank(t, nil), wellKnown) {
			if strings.HasPrefix(name, "request_object_encryption") {
				t.Errorf("RFC8414-3.2-1: %s of a server without keys for it", name)
			}
		}
	})
}

// TestEncryptionMetadata: what a client may register about encryption.
func TestEncryptionMetadata(t *testing.T) {
	enc := publicJWK(newEC().Public(), "enc", "ECDH-ES")
	enc["use"] = "enc"
	for _, tt := range []struct {
		member string
		row    string
		at     func(*authz.Client) *authz.Encryption
	}{
		{"authorization_encrypted_response", "JARM-3-2", func(c *authz.Client) *authz.Encryption { return &c.ResponseEncryption }},
		{"id_token_encrypted_response", "OIDR-10", func(c *authz.Client) *authz.Encryption { return &c.IDTokenEncryption }},
		{"userinfo_encrypted_response", "OIDR-11", func(c *authz.Client) *authz.Encryption { return &c.UserInfoEncryption }},
		{"introspection_encrypted_response", "RFC9701-6-1", func(c *authz.Client) *authz.Encryption { return &c.IntrospectionEncryption }},
		{"request_object_encryption", "OIDR-13", func(c *authz.Client) *authz.Encryption { return &c.RequestEncryption }},
	} {
		for _, c := range []struct {
			name string
			with func(*fintech)
			bad  bool
		}{
			{"alg alone", func(f *fintech) { *tt.at(f.Client) = authz.Encryption{Alg: "ECDH-ES"} }, false},
			{"alg and enc", func(f *fintech) { *tt.at(f.Client) = authz.Encryption{Alg: "ECDH-ES", Enc: "A256GCM"} }, false},
			{"enc alone", func(f *fintech) { *tt.at(f.Client) = authz.Encryption{Enc: "A256GCM"} }, true},
			{"RSA1_5", func(f *fintech) { *tt.at(f.Client) = authz.Encryption{Alg: "RSA1_5"} }, true},
			{"an unknown enc", func(f *fintech) { *tt.at(f.Client) = authz.Encryption{Alg: "ECDH-ES", Enc: "A192GCM"} }, true},
			{"an alg for which there is no key", func(f *fintech) { *tt.at(f.Client) = authz.Encryption{Alg: "RSA-OAEP-256"} }, true},
			{"keys elsewhere", func(f *fintech) {
				*tt.at(f.Client) = authz.Encryption{Alg: "ECDH-ES"}
				f.JWKS, f.JWKSURI = nil, "https://app.fintech.example/jwks"
			}, false},
		} {
			t.Run(tt.row+" "+tt.member+": "+c.name, func(t *testing.T) {
				f := keyClient("kakeibo").publishes(enc)
				f.UserInfoAlg = "ES256" // what is encrypted is signed
				c.with(f)
				b := newBank(t, clients(f), decrypting(authz.DecryptionKey{ID: "k", Algorithm: "ECDH-ES", Key: newEC()}))
				err := b.srv.CheckClient(f.Client)
				if !c.bad {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if d := cmp.Diff([]string{tt.row}, rules(t, err)); d != "" {
					t.Error(d)
				}
			})
		}
	}
	t.Run("OIDR-13 encrypted requests to a server without keys for them", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.RequestEncryption.Alg = "ECDH-ES"
		if d := cmp.Diff([]string{"OIDR-13"}, rules(t, newBank(t, nil).srv.CheckClient(f.Client))); d != "" {
			t.Error(d)
		}
	})
	t.Run("JARM-3-2 a client without keys", func(t *testing.T) {
		f := tlsClient("kakeibo")
		f.ResponseEncryption.Alg = "ECDH-ES"
		if d := cmp.Diff([]string{"JARM-3-2"}, rules(t, newBank(t, nil).srv.CheckClient(f.Client))); d != "" {
			t.Error(d)
		}
	})
}
