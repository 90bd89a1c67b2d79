package authz_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/token"
)

// verified checks a JWT's signature by the standard library, and returns its
// header and claims.
func verified(t *testing.T, jwt string, keys token.KeySet) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", jwt)
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range []*map[string]any{&header, &claims} {
		d := json.NewDecoder(bytes.NewReader(raw[i]))
		d.UseNumber() // PIT-2: 1e9 and 1.0 are not integers
		if err := d.Decode(m); err != nil {
			t.Fatal(err)
		}
	}
	public, err := keys.PublicKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, k := range public {
		if k.ID != header["kid"] {
			continue
		}
		var ok bool
		switch pub := k.Key.(type) {
		case *ecdsa.PublicKey:
			ok = header["alg"] == "ES256" && len(raw[2]) == 64 &&
				ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(raw[2][:32]), new(big.Int).SetBytes(raw[2][32:]))
		case *rsa.PublicKey:
			ok = header["alg"] == "PS256" && rsa.VerifyPSS(pub, crypto.SHA256, sum[:], raw[2], &rsa.PSSOptions{SaltLength: 32}) == nil
		case ed25519.PublicKey:
			ok = (header["alg"] == "EdDSA" || header["alg"] == "Ed25519") && ed25519.Verify(pub, []byte(parts[0]+"."+parts[1]), raw[2])
		}
		if !ok {
			t.Errorf("signature of %v does not verify", header)
		}
		return header, claims
	}
	t.Fatalf("no key %v", header["kid"])
	return nil, nil
}

// TestTokenResponse: the whole answer, every member of it.
func TestTokenResponse(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	code := f.code(b)
	b.clock.Advance(20*time.Second + 900*time.Millisecond)
	res := f.answer(b, f.authenticate(b, f.redeemable(code)))
	var got map[string]any
	if err := json.Unmarshal(res.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	now := b.clock.Now().Unix()
	number := func(n int64) json.Number { return json.Number(big.NewInt(n).String()) }

	t.Run("RFC6749-5.1-1 RFC9449-11.2-1 CT-AS-51 OIDC-TK-3 PIT-2 the members", func(t *testing.T) {
		want := map[string]any{
			"access_token": got["access_token"], "id_token": got["id_token"], "refresh_token": got["refresh_token"],
			"token_type": "Bearer", "expires_in": 300.0, "scope": "openid accounts",
		}
		if d := cmp.Diff(want, got); d != "" || res.Code != 200 {
			t.Errorf("%d %s", res.Code, d)
		}
		if s, _ := got["refresh_token"].(string); len(s) != 66 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" { // RFC6749-A-1
			t.Errorf("refresh_token is %q", s)
		}
		uncached(t, res)
	})
	header, claims := verified(t, got["access_token"].(string), serverKeys)
	t.Run("RFC9068-2.1-1 RFC9068-2.1-2 the access token's header", func(t *testing.T) {
		if d := cmp.Diff(map[string]any{"alg": "ES256", "kid": "as-1", "typ": "at+jwt"}, header); d != "" {
			t.Error(d)
		}
	})
	t.Run("RFC9068-2.2-1 RFC9068-2.2-2 RFC9068-2.2.2-1 RFC9068-2.2.3-1 RFC9068-3-1 RFC8705-3.1-1 its claims and no other", func(t *testing.T) {
		sum := sha256.Sum256(f.chain[0].Raw)
		want := map[string]any{
			"iss": issuer, "sub": customer, "aud": resource, "client_id": "kakeibo", "scope": "openid accounts",
			"iat": number(now), "exp": number(now + 300), "jti": claims["jti"], "grant_id": claims["grant_id"],
			"auth_time": number(now - 20), "acr": "urn:bank:acr:sca", "amr": []any{"pwd", "hwk"},
			"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])},
		}
		if d := cmp.Diff(want, claims); d != "" {
			t.Error(d)
		}
		if jti, _ := claims["jti"].(string); len(jti) != 43 { // RFC9068-I-1
			t.Errorf("jti is %q", jti)
		}
	})
	header, claims = verified(t, got["id_token"].(string), serverKeys)
	t.Run("OIDC-IT-11 the ID token's header", func(t *testing.T) {
		if d := cmp.Diff(map[string]any{"alg": "ES256", "kid": "as-1"}, header); d != "" {
			t.Error(d)
		}
	})
	t.Run("CT-AS-55 OIDC-IT-1 OIDC-IT-3 OIDC-IT-4 OIDC-IT-6 OIDC-IT-9 OIDC-IT-17 PIT-1 PIT-3 its claims and no other", func(t *testing.T) {
		hash := sha256.Sum256([]byte(got["access_token"].(string)))
		want := map[string]any{
			"iss": issuer, "sub": customer, "aud": "kakeibo", "nonce": "n-0S6_WzA2Mj",
			"iat": number(now), "exp": number(now + 300), "auth_time": number(now - 20),
			"acr": "urn:bank:acr:sca", "amr": []any{"pwd", "hwk"},
			"at_hash": base64.RawURLEncoding.EncodeToString(hash[:16]), // OIDC Core, 3.1.3.6
		}
		if d := cmp.Diff(want, claims); d != "" {
			t.Error(d)
		}
	})
	t.Run("PIT-10 the ID token is no access token and no client assertion", func(t *testing.T) {
		if err := f.check(b, got["id_token"].(string)); err == nil {
			t.Error("the API lets the ID token in")
		}
		form := with(f.authenticate(b, url.Values{"grant_type": {"client_credentials"}}), "client_assertion", got["id_token"].(string))
		refusal(t, f.answer(b, form), 401, "invalid_client")
	})
	t.Run("RFC6749-10.10-1 no two tokens alike", func(t *testing.T) {
		seen := map[any]bool{}
		for range 10 {
			got := f.tokens(b)
			for _, v := range []any{got["refresh_token"], claimsOf(t, got["access_token"].(string))["jti"]} {
				if seen[v] {
					t.Fatalf("%v twice", v)
				}
				seen[v] = true
			}
		}
	})
}

// TestIDToken: when there is one, and what of the request it repeats.
func TestIDToken(t *testing.T) {
	redeem := func(t *testing.T, push func(url.Values), with func(*authz.Decision)) (got, id map[string]any) {
		t.Helper()
		f := keyClient("kakeibo")
		v := f.pushable()
		push(v)
		b, br, page := started(t, f, v)
		d := b.approval()
		if with != nil {
			with(&d)
		}
		w, err := br.finish(page, d)
		if err != nil {
			t.Fatal(err)
		}
		status, got := f.token(b, f.redeemable(location(t, w.Result()).Get("code")))
		if status != 200 {
			t.Fatalf("token: %d %v", status, got)
		}
		if s, ok := got["id_token"].(string); ok {
			_, id = verified(t, s, serverKeys)
		}
		return got, id
	}
	for name, nonce := range map[string]string{
		"CT-AS-6 of 64 characters":  strings.Repeat("a1", 30) + "-._~",
		"CT-AS-7 of 384 characters": strings.Repeat("a1_", 128),
		"with quotes":               `"\/<é`,
	} {
		t.Run("FAPI2-SP-5.3.2.2-14 OIDC-AR-7 CONF-16 a nonce "+name, func(t *testing.T) {
			if _, id := redeem(t, func(v url.Values) { v.Set("nonce", nonce) }, nil); id["nonce"] != nonce {
				t.Errorf("nonce is %q, want %q", id["nonce"], nonce)
			}
		})
	}
	t.Run("CT-AS-5 PIT-5 no nonce", func(t *testing.T) {
		if _, id := redeem(t, func(v url.Values) { v.Del("nonce") }, nil); id == nil || maps.Clone(id)["nonce"] != nil {
			t.Errorf("ID token has %v", id)
		}
	})
	t.Run("OIDC-AR-2 OIDC-TK-1 FAPI2-SP-5.3.2.3-1 none without openid", func(t *testing.T) {
		got, _ := redeem(t, func(v url.Values) { v.Set("scope", "accounts") }, nil)
		for name := range got {
			if name == "id_token" || strings.Contains(name, "sub") || strings.Contains(name, "user") {
				t.Errorf("the answer has %s", name)
			}
		}
	})
	t.Run("CT-AS-52 RFC6749-3.3-2 none where the customer struck openid out", func(t *testing.T) {
		got, id := redeem(t, func(url.Values) {}, func(d *authz.Decision) { d.Scopes = []string{"accounts"} })
		if id != nil || got["scope"] != "accounts" || claimsOf(t, got["access_token"].(string))["scope"] != "accounts" {
			t.Errorf("%v", got)
		}
	})
	t.Run("OIDC-IT-7 OIDC-IT-8 OIDC-IT-12 nothing about how, if nothing is known", func(t *testing.T) {
		_, id := redeem(t, func(url.Values) {}, func(d *authz.Decision) { d.ACR, d.AMR = "", nil })
		for _, name := range []string{"acr", "amr"} {
			if v, ok := id[name]; ok {
				t.Errorf("%s is %v", name, v)
			}
		}
	})
	t.Run("OIDC-IT-8 one method is an array", func(t *testing.T) {
		_, id := redeem(t, func(url.Values) {}, func(d *authz.Decision) { d.AMR = []string{"hwk"} })
		if d := cmp.Diff([]any{"hwk"}, id["amr"]); d != "" {
			t.Error(d)
		}
	})
}

// TestSigningAlgorithms: a token is signed as the client registered, and never
// as some registry would have it.
func TestSigningAlgorithms(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.NewKeySet(
		token.PrivateKey{ID: "rs", Algorithm: "RS256", Signer: rsaKey()},
		token.PrivateKey{ID: "ps", Algorithm: "PS256", Signer: rsaKey()},
		token.PrivateKey{ID: "es", Algorithm: "ES256", Signer: newEC()},
		token.PrivateKey{ID: "ed", Algorithm: "EdDSA", Signer: ed},
	)
	if err != nil {
		t.Fatal(err)
	}
	for registered, want := range map[string]string{
		"": "ES256", "PS256": "PS256", "ES256": "ES256", "EdDSA": "EdDSA", "Ed25519": "Ed25519",
	} {
		t.Run("CONF-3 CONF-35 OIDC-IT-10 registered "+registered, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.IDTokenAlg = registered
			b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = keys })
			got := f.tokens(b)
			if h, _ := verified(t, got["id_token"].(string), keys); h["alg"] != want {
				t.Errorf("signed with %v, want %s", h["alg"], want)
			}
			if h, _ := verified(t, got["access_token"].(string), keys); h["alg"] != "ES256" {
				t.Errorf("the access token is signed with %v", h["alg"])
			}
		})
	}
	t.Run("CONF-3 only an RS256 key: an outage, and the code stands", func(t *testing.T) {
		rs, err := token.NewKeySet(token.PrivateKey{ID: "rs", Algorithm: "RS256", Signer: rsaKey()})
		if err != nil {
			t.Fatal(err)
		}
		f := keyClient("kakeibo")
		set := &hsm{KeySet: rs}
		b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = set })
		code := f.code(b)
		refusal(t, f.answer(b, f.authenticate(b, f.redeemable(code))), 503, "server_error")
		set.KeySet = serverKeys
		if !f.alive(b, code) {
			t.Error("the code was used up")
		}
	})
}

// An hsm is a key set whose signer, or connection, fails after a number of
// signatures.
type hsm struct {
	token.KeySet
	down   atomic.Bool
	signer bool         // whether it is the signer that fails
	spare  atomic.Int64 // signatures that still work
}

var errHSM = errors.New("hsm: session closed, slot 3")

func (h *hsm) SigningKey(ctx context.Context, alg string) (token.PrivateKey, error) {
	k, err := h.KeySet.SigningKey(ctx, alg)
	if !h.down.Load() || err != nil || h.spare.Add(-1) >= 0 {
		return k, err
	}
	if h.signer {
		k.Signer = brokenSigner{k.Signer}
		return k, nil
	}
	return token.PrivateKey{}, errHSM
}

type brokenSigner struct{ crypto.Signer }

func (brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errHSM }

// TestSignerFails: the HSM is away. Nobody gets a token, the client may try
// again, and what it holds is still good.
func TestSignerFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signer bool
		spare  int64
	}{{"no key", false, 0}, {"no signature", true, 0}, {"no signature for the ID token", true, 1}} {
		t.Run("RFC6749-5.2-3 "+tt.name, func(t *testing.T) {
			f := keyClient("kakeibo")
			keys := &hsm{KeySet: serverKeys, signer: tt.signer}
			b := newBank(t, clients(f), func(c *authz.Config) { c.Keys = keys })
			refresh := f.tokens(b)["refresh_token"].(string)
			code := f.code(b)
			requests := []url.Values{f.redeemable(code)}
			if tt.spare == 0 {
				requests = append(requests,
					url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}},
					url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
			}
			keys.down.Store(true)
			for _, v := range requests {
				keys.spare.Store(tt.spare)
				res := f.answer(b, f.authenticate(b, v))
				refusal(t, res, 503, "server_error")
				if strings.Contains(res.Body.String(), "slot") || strings.Contains(res.Body.String(), "description") {
					t.Errorf("the client is told %s", res.Body)
				}
				if e := b.lastEvent(); e.Kind != "request_failed" || !strings.Contains(e.Reason, "slot 3") {
					t.Errorf("event %+v", e)
				}
			}
			keys.down.Store(false)
			for _, v := range requests {
				if res := f.answer(b, f.authenticate(b, v)); res.Code != 200 {
					t.Errorf("%s when it is back: %d %s", v.Get("grant_type"), res.Code, res.Body)
				}
			}
		})
	}
}

// TestResource: the one API may be named, once or twice.
func TestResource(t *testing.T) {
	t.Run("RFC8707-2-2 RFC8707-2.2-1 named twice", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := f.redeemable(f.code(b))
		v["resource"] = []string{resource, resource}
		status, got := f.token(b, v)
		if status != 200 || claimsOf(t, got["access_token"].(string))["aud"] != resource {
			t.Errorf("%d %v", status, got)
		}
	})
}

// TestCertificateBinding: whatever the client authenticates with, its token is
// good with the certificate of the token request alone.
func TestCertificateBinding(t *testing.T) {
	for _, f := range []*fintech{keyClient("kakeibo"), tlsClient("kakeibo"), selfSignedClient("kakeibo")} {
		t.Run("RFC8705-3-1 E2E-4 "+f.AuthMethod, func(t *testing.T) {
			thief := tlsClient("thief")
			b := newBank(t, clients(f, thief))
			access := f.tokens(b)["access_token"].(string)
			if err := f.check(b, access); err != nil {
				t.Error(err)
			}
			if err := thief.check(b, access); err == nil {
				t.Error("another client's certificate will do")
			}
		})
	}
	t.Run("E2E-5 the same key with a certificate issued anew", func(t *testing.T) {
		f := tlsClient("kakeibo")
		key := newEC()
		template := *f.chain[0]
		f.chain[0] = testCA.issue(&template, key)
		b := newBank(t, clients(f))
		access := f.tokens(b)["access_token"].(string)
		again := *f
		again.chain = append(f.chain[:0:0], testCA.issue(&template, key))
		if err := again.check(b, access); err == nil {
			t.Error("the API takes the token with another certificate")
		}
		if status, got := again.token(b, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}); status != 200 {
			t.Errorf("the client is not known by its new certificate: %d %v", status, got)
		}
	})
}
