package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/aikagi/aikagi/mtls"
)

// A fintech's certificate binds its access token: the key turns only in the
// hand it was cut for (RFC 8705, 3).
func Example() {
	fintech, thief := pair(issue(template("fintech"), newKey(), nil)), pair(issue(template("thief"), newKey(), nil))
	x5t := mtls.Thumbprint(fintech.Leaf) // the token's cnf has it as x5t#S256

	bank := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chain := mtls.Chain(r)
		if len(chain) == 0 || !mtls.MatchThumbprint(chain[0], x5t) {
			http.Error(w, "invalid_token", http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "three transactions")
	}))
	bank.TLS = mtls.FAPI2.MutualConfig(serverCert(newKey()))
	bank.StartTLS()
	defer bank.Close()

	for _, cert := range []tls.Certificate{fintech, thief} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // this example's bank has a certificate of its own making
			Certificates:       []tls.Certificate{cert},
		}}}
		res, err := client.Get(bank.URL)
		if err != nil {
			fmt.Println(err)
			continue
		}
		defer res.Body.Close()
		fmt.Println(cert.Leaf.Subject.CommonName, res.StatusCode)
	}
	// Output:
	// fintech 200
	// thief 401
}

// At a token endpoint, tls_client_auth asks two things of a certificate: that
// one of the bank's authorities vouches for it, and that it bears the client's
// registered name (RFC 8705, 2.1).
func ExampleAuthorities() {
	root, stranger := template("trust framework"), template("stranger")
	authority(root)
	authority(stranger)
	framework, other := issue(root, newKey(), nil), issue(stranger, newKey(), nil)
	app := template("fintech")
	client(app)

	trusted, err := mtls.NewAuthorities([]*x509.Certificate{framework.cert})
	if err != nil {
		fmt.Println(err)
		return
	}
	registered := mtls.Subject{DN: "CN=fintech,C=JP"}
	for _, issuer := range []*entity{framework, other} {
		chain := []*x509.Certificate{issue(app, newKey(), issuer).cert} // as mtls.Chain returns it
		fmt.Println(trusted.Verify(chain, now) == nil, registered.Match(chain[0]) == nil)
	}
	// Output:
	// true true
	// false true
}

// A client of tls_client_auth is known by one name, whoever prints it how.
func ExampleSubject() {
	s := mtls.Subject{DN: `serialNumber=7, CN=fintech , O="Key, Lock and Co."; C=jp`}
	fmt.Println(s.Check())

	cert := named(encode(singles(
		ava{"2.5.4.6", printable, "JP"},
		ava{"2.5.4.10", utf8, "KEY,  LOCK AND CO."},
		ava{"2.5.4.3", utf8, "fintech"},
		ava{"2.5.4.5", printable, "7"},
	)...))
	fmt.Println(s.Match(cert))
	fmt.Println(mtls.Subject{DNS: "fintech.example"}.Match(cert))
	// Output:
	// <nil>
	// <nil>
	// mtls: certificate has no subject alternative name that is the registered one
}
