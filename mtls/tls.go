package mtls

import "crypto/tls"

// A Policy names the TLS versions and cipher suites of a listener.
type Policy int

// The policies, loosest first. A listener that serves several profiles takes
// the strictest of theirs.
const (
	Browser Policy = iota // pages that a customer's browser visits
	FAPI2                 // FAPI 2.0 SP, 5.2.2: the suites of RFC 9325, 4.2
	FAPI1                 // FAPI 1.0 Advanced, 8.5
)

// Config returns a configuration for a server with those certificates.
func (p Policy) Config(certs ...tls.Certificate) *tls.Config {
	c := &tls.Config{
		Certificates: certs,
		MinVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
	}
	if p != FAPI1 {
		c.CipherSuites = append(c.CipherSuites,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)
	}
	if p == Browser {
		c.CipherSuites = append(c.CipherSuites,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)
	}
	return c
}

// MutualConfig is Config for a listener that asks for a client certificate. It
// names no issuers and verifies none, so that self-signed certificates arrive;
// whether one is good is decided per client (RFC 8705, 6.1).
func (p Policy) MutualConfig(certs ...tls.Certificate) *tls.Config {
	c := p.Config(certs...)
	c.ClientAuth = tls.RequestClientCert
	return c
}
