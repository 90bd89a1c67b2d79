package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A prover has a key that it never sends, and proves so with every request
// (DPoP, RFC 9449). A nil one proves nothing: the certificate of the connection
// does. It is not for concurrent use.
type prover struct {
	key        *ecdsa.PrivateKey
	public     map[string]string // the JWK
	thumbprint string            // jkt
	nonces     map[string]string // the newest of each server, by origin
}

func newProver(key *ecdsa.PrivateKey) (*prover, error) {
	public, err := publicJWK(key)
	if err != nil {
		return nil, err
	}
	// The required members in the order of their names (RFC 7638, 3.1): these
	// are they, and Marshal sorts.
	b, err := json.Marshal(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return &prover{key: key, public: public, thumbprint: b64(sum[:]), nonces: make(map[string]string)}, nil
}

// publicJWK returns the members that make up the public key (RFC 7518, 6.2.1).
func publicJWK(key *ecdsa.PrivateKey) (map[string]string, error) {
	point, err := key.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		return nil, err
	}
	return map[string]string{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}, nil
}

// A proof goes with one request and is good for no other.
type proof struct {
	JWT            string
	Header, Claims string // JSON, indented, for those who want to see it
	Nonce          string // the server's, or ""
}

// prove makes the proof for a request (RFC 9449, 4.2). If the request carries
// an access token, it is for that token alone.
func (p *prover) prove(method string, to *url.URL, accessToken string, now time.Time) (*proof, error) {
	header := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.public}
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": originOf(to) + to.EscapedPath(), "iat": now.Unix()}
	nonce := p.nonces[originOf(to)]
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if accessToken != "" {
		sum := sha256.Sum256([]byte(accessToken))
		claims["ath"] = b64(sum[:])
	}
	jwt, err1 := signES256(p.key, header, claims)
	h, err2 := json.MarshalIndent(header, "", "  ")
	c, err3 := json.MarshalIndent(claims, "", "  ")
	return &proof{JWT: jwt, Header: string(h), Claims: string(c), Nonce: nonce}, errors.Join(err1, err2, err3)
}

// originOf returns what names a server among others: scheme, host and port.
func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// send has a request made, adds a proof to it, and returns the answer. If the
// server wants a nonce of its own in the proof, the request is made anew, once
// (RFC 9449, 8 and 9).
func (p *prover) send(h *http.Client, accessToken string, build func() (*http.Request, error)) (*answer, error) {
	for again := false; ; again = true {
		req, err := build()
		if err != nil {
			return nil, err
		}
		if p == nil {
			return send(h, req)
		}
		made, err := p.prove(req.Method, req.URL, accessToken, time.Now())
		if err != nil {
			return nil, err
		}
		req.Header.Set("DPoP", made.JWT)
		a, err := send(h, req)
		if err != nil {
			return nil, err
		}
		a.proof = made
		nonce := a.header.Get("DPoP-Nonce")
		if nonce != "" { // of any answer, a good one too (RFC 9449, 8.2)
			p.nonces[originOf(req.URL)] = nonce
		}
		if again || nonce == "" || !a.wantsNonce() {
			return a, nil
		}
	}
}

// wantsNonce reports whether all that was wrong is the nonce: an authorization
// server says so in the body (RFC 9449, 8), an API in its challenge (9).
func (a *answer) wantsNonce() bool {
	const code = "use_dpop_nonce"
	switch a.status {
	case http.StatusBadRequest:
		var body struct {
			Error string `json:"error"`
		}
		return json.Unmarshal(a.body, &body) == nil && body.Error == code
	case http.StatusUnauthorized:
		return strings.Contains(a.challenge("DPoP"), `error="`+code+`"`)
	}
	return false
}
