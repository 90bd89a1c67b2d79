package pkce_test

import (
	"fmt"

	"github.com/aikagi/aikagi/pkce"
)

// A bank that keeps its old authorization server adds PKCE to it with three
// calls: the fintech's app makes the verifier, the bank keeps the challenge
// with the authorization code, and only who has the verifier can use the code.
func Example() {
	// The fintech's app starts an authorization.
	verifier := pkce.NewVerifier()
	request := map[string]string{
		"code_challenge":        pkce.Challenge(verifier),
		"code_challenge_method": pkce.MethodS256,
	}

	// The bank checks the request, lets the customer decide, and issues a code.
	if err := pkce.CheckChallenge(request["code_challenge"], request["code_challenge_method"]); err != nil {
		fmt.Println("invalid_request:", err)
		return
	}
	codes := map[string]string{"code-1": request["code_challenge"]}

	// Somebody who has seen the code tries to use it.
	if err := pkce.Verify(codes["code-1"], pkce.NewVerifier()); err != nil {
		fmt.Println("invalid_grant:", err)
	}

	// The app itself.
	if err := pkce.Verify(codes["code-1"], verifier); err == nil {
		fmt.Println("tokens")
	}

	// Output:
	// invalid_grant: pkce: code_verifier does not match code_challenge
	// tokens
}
