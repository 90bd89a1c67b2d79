// Package httpsig checks signed requests and signs responses at a resource
// server: HTTP Message Signatures ([RFC 9421]) and Content-Digest ([RFC 9530])
// as FAPI 2.0 HTTP Signatures, draft 01, uses them. Signatures prove later
// what was asked and what was answered; a token and TLS prove it only at the
// time.
//
// It is off unless mounted: nothing else of this module imports it. The
// specification is a draft and may change; a configuration therefore names the
// one it means by [Draft01], and is refused once this package follows another.
//
// Make a [Verifier] and a [Signer] and mount them around the check of the access
// token, which tells whose keys are to be asked for:
//
//	signer.Handler(guard.Handler(token.Require{…}, verifier.Handler(payments)))
//
// So the token's refusals are signed as well. Either half works without the
// other, and both without package token, as long as the Verifier's Keys can
// tell the client by other means.
//
// A request must be signed over @method, @target-uri, authorization, dpop if
// there is such a field, and content-digest if there is a body, with created
// and the tag fapi-2-request. A response is signed over @status, content-digest
// if there is a body, and of the request @method, @target-uri, content-digest
// and its signature, with the tag fapi-2-response.
//
// # Algorithms
//
// The key alone decides (RFC 9421, 3.3.7, with FAPI 2.0 SP, 5.4.1-1): a P-256
// key means ES256, that is ecdsa-p256-sha256, an Ed25519 key EdDSA, that is
// ed25519, and an RSA key PS256, which has no name in RFC 9421's registry. An
// alg parameter must name the same one; with an RSA key there must be none.
// Nothing else exists here: not rsa-pss-sha512, rsa-v1_5-sha256, hmac-sha256 or
// ecdsa-p384-sha384.
//
// # What is not done
//
//   - The draft does not prevent that a signed request is sent again within the
//     time that created allows. Where that matters, bind tokens to keys: a DPoP
//     proof counts once, and the signature covers it. An idempotency key helps
//     too.
//   - A signature may cover more: any field, one member of a dictionary field by
//     key, @authority, @scheme, @request-target, @path and @query. Any other
//     component or parameter, such as @query-param, sf, bs or tr, fails
//     verification: a signature that is not understood is not half trusted.
//   - Structured fields are read in the types that signatures use: no decimals,
//     dates or display strings. A name that occurs twice is an error rather
//     than replaced, and base64 must be padded.
//   - Bodies are held in memory, on both ways, so that they can be digested.
//     Nothing is streamed, and a response has no trailers. Whatever changes a
//     body, such as compression, belongs inside of Signer.
//
// [RFC 9421]: https://www.rfc-editor.org/rfc/rfc9421
// [RFC 9530]: https://www.rfc-editor.org/rfc/rfc9530
package httpsig

// Draft01 names the draft that this package follows.
const Draft01 = "fapi-2_0-http-signatures-01"

// The tags that say what a signature is for (FAPI 2.0 HTTP Signatures, 5.3).
const (
	tagRequest  = "fapi-2-request"
	tagResponse = "fapi-2-response"
)

// defaultMaxBody bounds a body where the host sets no bound: 1 MiB.
const defaultMaxBody = 1 << 20
