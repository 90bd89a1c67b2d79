package httpsig

import (
	"crypto/sha256"
	"crypto/sha512"
	"net/http"
)

const digestHeader = "Content-Digest"

// contentDigest returns the Content-Digest of body (RFC 9530, 2).
func contentDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=" + string(bare{kind: octets, text: string(sum[:])}.append(nil))
}

// checkDigest checks the message's Content-Digest, if it has one, against its
// body: each digest of an algorithm that is safe must be right, and there must
// be one. Others, safe or not, prove nothing (RFC 9530, 5).
func checkDigest(h http.Header, body []byte) error {
	lines := h[digestHeader]
	if len(lines) == 0 {
		return nil
	}
	members, err := parseDictionary(combine(lines))
	if err != nil {
		return malformed("RFC9530-1", "the Content-Digest is not well-formed", err)
	}
	proved := false
	for _, m := range members {
		var sum string
		switch m.name {
		case "sha-256":
			d := sha256.Sum256(body)
			sum = string(d[:])
		case "sha-512":
			d := sha512.Sum512(body)
			sum = string(d[:])
		default:
			continue
		}
		if m.inner || m.items[0].value.kind != octets {
			return malformed("RFC9530-1", "a digest in Content-Digest is not a byte sequence", nil)
		}
		if m.items[0].value.text != sum {
			return unsigned("FAPI2-HS-5.3.2-6", "the Content-Digest is not that of the body")
		}
		proved = true
	}
	if !proved {
		return unsigned("RFC9530-2", "the Content-Digest has neither sha-256 nor sha-512")
	}
	return nil
}
