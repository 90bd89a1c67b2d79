package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// response returns the parameters that are in a signed response, which has to
// stand alone in q (JARM, 2.1 and 2.3.1).
func (f *flow) response(t *testing.T, q url.Values) url.Values {
	t.Helper()
	if len(q) != 1 || len(q["response"]) != 1 {
		t.Fatalf("beside the signed response: %v", q)
	}
	header, claims := f.v.verifyJWS(t, f.c.decrypted(t, q.Get("response")))
	if header["alg"] != f.c.alg || !slices.Contains(f.v.list("authorization_signing_alg_values_supported"), f.c.alg) {
		t.Errorf("the response is signed %v, registered %s", header["alg"], f.c.alg)
	}
	exp, _ := claims["exp"].(float64)
	if ahead := time.Until(time.Unix(int64(exp), 0)); claims["aud"] != f.c.id || ahead < 10*time.Second || ahead > 10*time.Minute {
		t.Errorf("the response says %v", claims)
	}
	delete(claims, "exp")
	delete(claims, "aud")
	inside := url.Values{}
	for name, v := range claims {
		text, ok := v.(string)
		if !ok {
			t.Errorf("%s in the response is %v", name, v)
		}
		inside.Set(name, text)
	}
	return inside
}

// claimsOfID verifies an ID token with the keys that the bank publishes, and
// returns its claims.
func (f *flow) claimsOfID(t *testing.T, compact, access string) map[string]any {
	t.Helper()
	claims := f.signedID(t, compact)
	sum := sha256.Sum256([]byte(access)) // PS256 and ES256 alike (OpenID Connect Core, 3.1.3.6)
	if claims["at_hash"] != b64(sum[:16]) {
		t.Errorf("at_hash is %v", claims["at_hash"])
	}
	for name := range claims {
		if !slices.Contains(slices.Concat(idTokenClaims, f.asksIDToken(t)), name) {
			t.Errorf("nobody asked for claim %s in the ID token", name)
		}
	}
	return claims
}

// signedID verifies what every ID token has, and returns its claims.
func (f *flow) signedID(t *testing.T, compact string) map[string]any {
	t.Helper()
	header, claims := f.v.verifyJWS(t, compact)
	if header["alg"] != f.c.alg {
		t.Errorf("ID token signed %v, registered %s", header["alg"], f.c.alg)
	}
	at := func(name string) float64 { n, _ := claims[name].(float64); return n }
	now := float64(time.Now().Unix())
	if claims["iss"] != f.v.issuer || claims["aud"] != f.c.id || f.c.more["subject_type"] == nil && claims["sub"] != "customer-7" || at("exp") <= now || math.Abs(at("iat")-now) > 300 || at("auth_time") > now || at("auth_time") < now-300 {
		t.Errorf("ID token: %v", claims)
	}
	if nonce, ok := claims["nonce"]; ok != f.ask.Has("nonce") || ok && nonce != f.ask.Get("nonce") {
		t.Errorf("nonce %v, sent %q", nonce, f.ask["nonce"])
	}
	if acr, ok := claims["acr"]; ok && acr == "" {
		t.Error("acr is empty")
	}
	return claims
}

// idTokenClaims may be in an ID token that nobody asked more of.
var idTokenClaims = []string{"iss", "aud", "sub", "exp", "iat", "nonce", "auth_time", "acr", "amr", "jti", "at_hash", "sid"}

// asksIDToken returns the claims that the request wants in the ID token by name.
func (f *flow) asksIDToken(t *testing.T) []string {
	t.Helper()
	if !f.ask.Has("claims") {
		return nil
	}
	var asked struct {
		IDToken map[string]any `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(f.ask.Get("claims")), &asked); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(maps.Keys(asked.IDToken))
}

// verifyJWS verifies with the bank's JWKS, written here anew so that the
// library is not its own witness.
func (v *variant) verifyJWS(t *testing.T, compact string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWS: %s", compact)
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(p); err != nil {
			t.Fatal(err)
		}
	}
	for i, to := range []*map[string]any{&header, &claims} {
		if err := json.Unmarshal(raw[i], to); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	kid, _ := header["kid"].(string)
	var ok bool
	switch key := v.serverKeys(t, "sig")[kid].(type) {
	case *ecdsa.PublicKey:
		ok = header["alg"] == "ES256" && len(raw[2]) == 64 && ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(raw[2][:32]), new(big.Int).SetBytes(raw[2][32:]))
	case *rsa.PublicKey:
		ok = header["alg"] == "PS256" && rsa.VerifyPSS(key, crypto.SHA256, sum[:], raw[2], &rsa.PSSOptions{SaltLength: 32}) == nil
	}
	if !ok {
		t.Errorf("not signed by a key of the JWKS: %v", header)
	}
	return header, claims
}

// serverKeys reads and checks the bank's JWKS: public keys alone, each under
// a kid of its own. It returns those for a use.
func (v *variant) serverKeys(t *testing.T, use string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.doc["jwks_uri"].(string), nil)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(ask(t, v.clients[0].naked, req).body), &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("JWKS: %v %v", set, err)
	}
	octets := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(b)
	}
	keys := make(map[string]any)
	for _, k := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, ok := k[private]; ok {
				t.Errorf("the JWKS has member %s", private)
			}
		}
		kid := k["kid"]
		if _, twice := keys[kid]; twice || kid == "" {
			t.Errorf("kid %q is empty or there twice", kid)
		}
		keys[kid] = nil // of a kind that no client here registered
		if k["use"] != "sig" && k["use"] != "enc" || k["alg"] == "" {
			t.Errorf("key %q has use %q and alg %q", kid, k["use"], k["alg"])
		}
		if k["use"] != use {
			continue
		}
		switch k["kty"] + k["crv"] {
		case "ECP-256":
			point := append([]byte{4}, octets(k["x"]).FillBytes(make([]byte, 32))...)
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(point, octets(k["y"]).FillBytes(make([]byte, 32))...))
			if err != nil {
				t.Error(err)
			}
			keys[kid] = key
		case "RSA":
			key := &rsa.PublicKey{N: octets(k["n"]), E: int(octets(k["e"]).Int64())}
			if key.N.BitLen() < 2048 {
				t.Errorf("an RSA key of %d bits", key.N.BitLen())
			}
			keys[kid] = key
		}
	}
	return keys
}
