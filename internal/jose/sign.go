package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// signers holds the jwx signer of each algorithm, for the reason verifiers does.
var signers = map[string]jws.Signer{
	PS256:   jwxSigner(jwa.PS256), // with a salt as long as the hash
	ES256:   jwxSigner(jwa.ES256),
	EdDSA:   jwxSigner(jwa.EdDSA),
	Ed25519: jwxSigner(jwa.EdDSA),
	RS256:   jwxSigner(jwa.RS256),
}

func jwxSigner(alg jwa.SignatureAlgorithm) jws.Signer {
	s, err := jws.NewSigner(alg)
	if err != nil {
		panic("jose: " + err.Error()) // jwx without this algorithm: not our jwx
	}
	return s
}

// Sign returns payload as a compact JWS. The header has alg and, unless they
// are empty, kid and typ. Key is handed what package crypto defines: a digest,
// or for Ed25519 the message. It is [ErrAlgorithm] if alg is unknown or does
// not fit key.Public(); a failing key's own error is wrapped.
func Sign(alg, kid, typ string, key crypto.Signer, payload []byte) (string, error) {
	signer := signers[alg]
	if signer == nil || key == nil {
		return "", ErrAlgorithm
	}
	pub := key.Public()
	if !fits(alg, pub) {
		return "", fmt.Errorf("%w: %s with a key of type %T", ErrAlgorithm, alg, pub)
	}
	if err := checkKey(pub); err != nil {
		return "", err
	}
	header, err := appendHeader(make([]byte, 0, 128), alg, kid, typ)
	if err != nil {
		return "", err
	}
	size := b64.EncodedLen(len(header)) + 1 + b64.EncodedLen(len(payload))
	sigSize := signatureSize(pub)
	token := make([]byte, 0, size+1+b64.EncodedLen(sigSize))
	token = b64.AppendEncode(token, header)
	token = append(token, '.')
	token = b64.AppendEncode(token, payload)
	signature, err := signer.Sign(token, opaque{key, pub})
	if err != nil {
		return "", fmt.Errorf("jose: sign: %w", err)
	}
	if len(signature) != sigSize {
		return "", fmt.Errorf("jose: sign: the key returned %d octets, want %d", len(signature), sigSize)
	}
	token = append(token, '.')
	return string(b64.AppendEncode(token, signature)), nil
}

func signatureSize(pub crypto.PublicKey) int {
	if pub, ok := pub.(*rsa.PublicKey); ok {
		return pub.Size()
	}
	return 64
}

func appendHeader(b []byte, alg, kid, typ string) ([]byte, error) {
	b = append(b, `{"alg":"`...)
	b = append(b, alg...)
	b = append(b, '"')
	var err error
	if kid != "" {
		if b, err = appendString(append(b, `,"kid":`...), kid); err != nil {
			return nil, err
		}
	}
	if typ != "" {
		if b, err = appendString(append(b, `,"typ":`...), typ); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendString writes a JSON string. What needs escaping is rare and goes
// through encoding/json.
func appendString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, malformed("text is not UTF-8")
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			q, err := json.Marshal(s)
			return append(b, q...), err
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"'), nil
}

// opaque hides a key's type from jwx, which would copy an ECDSA key: crypto
// prepares a private key once for each pointer, and a copy each time anew. It
// also stands between jwx and a faulty key, since jwx trusts an ECDSA
// signature to fit the curve.
type opaque struct {
	crypto.Signer
	pub crypto.PublicKey
}

func (o opaque) Public() crypto.PublicKey { return o.pub }

func (o opaque) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := o.Signer.Sign(rand, digest, opts)
	if _, ec := o.pub.(*ecdsa.PublicKey); ec && err == nil && !isP256(signature) {
		return nil, fmt.Errorf("the key returned no ECDSA signature over P-256")
	}
	return signature, err
}

// isP256 reports whether der is a SEQUENCE of two positive INTEGERs of at most
// 32 octets.
func isP256(der []byte) bool {
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return false
	}
	rest := der[2:]
	for range 2 {
		if len(rest) < 3 || rest[0] != 2 || int(rest[1]) > len(rest)-2 || rest[1] == 0 {
			return false
		}
		n := rest[2 : 2+rest[1]]
		rest = rest[2+rest[1]:]
		if n[0] >= 0x80 || len(n) > 33 || len(n) == 33 && n[0] != 0 {
			return false
		}
	}
	return len(rest) == 0
}
