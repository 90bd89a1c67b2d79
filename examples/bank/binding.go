package main

// A binding is how a key is bound to the one hand it turns in, as the form on
// the first page says it.
type binding string

const (
	byCertificate binding = "certificate" // RFC 8705
	byProof       binding = "proof"       // DPoP, RFC 9449
)

// ByProof reports whether the hand is one that has a proof key.
func (b binding) ByProof() bool { return b == byProof }

// Member returns the member of cnf that names the hand.
func (b binding) Member() string {
	if b.ByProof() {
		return "jkt" // RFC 9449, 6.1
	}
	return "x5t#S256" // RFC 8705, 3.1
}

// scheme returns the scheme that such a key is presented under, which is also
// its token_type.
func (b binding) scheme() string {
	if b.ByProof() {
		return "DPoP" // RFC 9449, 7.1
	}
	return "Bearer" // RFC 8705, 3
}

// Other returns the binding that the story can be played with next.
func (b binding) Other() binding {
	if b.ByProof() {
		return byCertificate
	}
	return byProof
}
