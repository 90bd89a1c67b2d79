package mtls

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"slices"
	"time"
)

// A Policy names what a listener speaks: TLS 1.3, and TLS 1.2 with a list of
// cipher suites. Older versions are off under every policy.
//
// Policies are in order, the strictest first, and each allows all that the ones
// before it allow. A listener that serves clients of several policies takes the
// strictest: min(p, q). The zero Policy, and any that is not one of these, is
// the strictest of all.
type Policy uint8

const (
	// FAPI1NoResumption is FAPI1 where a region's rules forbid the resumption of
	// sessions, as those of Open Finance Brasil do: no ticket is given and none is
	// taken, so that each handshake is a full one. Go never renegotiates as a
	// server.
	FAPI1NoResumption Policy = iota

	// FAPI1 is for clients of FAPI 1.0 Advanced ([FAPI 1.0 Advanced, 8.5]) and
	// FAPI-CIBA: ECDHE-RSA with AES-GCM. Without an RSA key among its
	// certificates such a listener could not serve TLS 1.2 at all, so it then
	// speaks TLS 1.3 alone.
	//
	// [FAPI 1.0 Advanced, 8.5]: https://openid.net/specs/openid-financial-api-part-2-1_0.html#section-8.5
	FAPI1

	// FAPI2 is for clients of the FAPI 2.0 Security Profile (5.2.2): ECDHE with
	// AES-GCM, as [RFC 9325, 4.2] recommends it.
	//
	// [RFC 9325, 4.2]: https://www.rfc-editor.org/rfc/rfc9325#section-4.2
	FAPI2

	// Browser is for pages that browsers visit (FAPI 2.0 SP, 5.2.3): FAPI2 and
	// ChaCha20-Poly1305.
	Browser
)

// suites returns the cipher suites for TLS 1.2. Those of TLS 1.3 are all good
// and cannot be chosen.
func (p Policy) suites() []uint16 {
	all := []uint16{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	switch p {
	case FAPI2:
		return all[:4]
	case Browser:
		return all
	}
	return all[:2]
}

// Config returns a new configuration for a server that has certs and does not
// ask its clients for any, as it must be where browsers go (RFC 8705, 6.1: they
// would ask their users to pick one). A host may set what is left open, such as
// GetCertificate or Time.
//
// It offers HTTP/2 and HTTP/1.1, and ends a handshake that has no protocol in
// common with it. Keys are exchanged over X25519 and P-256 (RFC 9325, 4.4), or,
// with TLS 1.3, over X25519 and ML-KEM-768 together: that is never weaker than
// X25519, and what is recorded today cannot be read by a quantum computer later.
//
// Sessions are resumed by tickets that live two days at most, are sealed with
// AES-256-GCM under keys that change daily, and are of use with this
// configuration and its clones alone: where there are several servers behind one
// name, the others answer a ticket with a full handshake. A host whose rules
// forbid resumption takes [FAPI1NoResumption], or sets SessionTicketsDisabled.
// Early data (0-RTT) is never taken.
func (p Policy) Config(certs ...tls.Certificate) *tls.Config {
	t := &tickets{now: time.Now}
	c := &tls.Config{
		Certificates:     slices.Clone(certs),
		MinVersion:       tls.VersionTLS12, // GODEBUG=tls10server=1 would lower the default
		CipherSuites:     p.suites(),
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256},
		NextProtos:       []string{"h2", "http/1.1"},
		WrapSession:      t.wrap,
		UnwrapSession:    t.unwrap,
	}
	c.SessionTicketsDisabled = p != FAPI1 && p != FAPI2 && p != Browser
	if p != FAPI2 && p != Browser && len(certs) > 0 && !slices.ContainsFunc(certs, hasRSAKey) {
		c.MinVersion = tls.VersionTLS13
	}
	return c
}

// MutualConfig returns [Policy.Config] for a server that asks its clients for a
// certificate. Any one will do, and none, and no authorities are named, since a
// client may keep back a certificate of others: what it is worth is decided by
// the request, which can be answered in JSON (RFC 8705, 6.1).
//
// A session that is resumed has the client certificate of its first handshake,
// unless that has expired since; then the handshake is a full one. A client must
// drop its sessions when it changes its certificate.
func (p Policy) MutualConfig(certs ...tls.Certificate) *tls.Config {
	c := p.Config(certs...)
	c.ClientAuth = tls.RequestClientCert
	return c
}

func hasRSAKey(cert tls.Certificate) bool {
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return false
	}
	_, ok = key.Public().(*rsa.PublicKey)
	return ok
}
