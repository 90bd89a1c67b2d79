// Package mtls is what a server needs to know about its clients' certificates
// ([RFC 8705]): which certificate a request came with, whose it is, and
// whether it may be trusted.
//
// A listener that asks for certificates is made by [Policy.MutualConfig]. It
// takes any certificate, so what arrives proves possession of a key and
// nothing else until it has been checked here:
//
//   - An access token is bound to the certificate by [Thumbprint], and
//     [MatchThumbprint] checks the binding (RFC 8705, 3). No chain is needed.
//   - tls_client_auth asks [Authorities.Verify] for the chain and
//     [Subject.Match] for the name; neither is enough alone (RFC 8705, 2.1).
//   - self_signed_tls_client_auth asks [MatchRegistered] for the certificate,
//     [CheckValidity] and [CheckKey]; its chain means nothing (RFC 8705, 2.2).
//
// [Chain] is where all of them start. Nothing here remembers an earlier
// verdict: a certificate may expire while its connection lives, so the checks
// are made for every request. They read neither the system's trust store nor,
// except for session ticket keys, the clock.
//
// All functions and methods may be called concurrently. Certificates are read
// and never changed, and must come from [crypto/x509.ParseCertificate] or
// from crypto/tls: what is compared are the octets they were parsed from.
//
// [RFC 8705]: https://www.rfc-editor.org/rfc/rfc8705
package mtls
