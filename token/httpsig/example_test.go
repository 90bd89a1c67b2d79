package httpsig_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/aikagi/aikagi/token/httpsig"
)

// A bank with access tokens of its own make wants to be able to show, later,
// what A's fintech ordered and what the bank answered. Whoever sits between
// them and changes an order is found out at once.
func Example() {
	const api = "https://api.bank.example"
	fintechKey, fintech := exampleKey()
	bankKey, bank := exampleKey()

	// Whose token it is says whose keys may have signed.
	clientOf := map[string]string{"Bearer spare-key-to-As-account": "fintech"}
	keysOf := map[string][]crypto.PublicKey{"fintech": {fintech}}

	verifier, err := httpsig.NewVerifier(httpsig.VerifierConfig{
		Draft:   httpsig.Draft01,
		Origins: []string{api},
		Keys: func(r *http.Request, keyID string) ([]crypto.PublicKey, error) {
			return keysOf[clientOf[r.Header.Get("Authorization")]], nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	signer, err := httpsig.NewSigner(httpsig.SignerConfig{
		Draft:   httpsig.Draft01,
		Origins: []string{api},
		Key:     func(context.Context) (string, crypto.Signer, error) { return "bank-2026", bankKey, nil },
		Cover:   []string{"content-type"},
	})
	if err != nil {
		log.Fatal(err)
	}
	// With package token: signer.Handler(guard.Handler(token.Require{}, verifier.Handler(…))).
	payments := signer.Handler(verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		order, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "done: %s", order)
	})))

	for _, received := range []string{"10 EUR to B", "90 EUR to C"} {
		r := exampleOrder(fintechKey, api+"/payments", "10 EUR to B")
		r.Body = io.NopCloser(strings.NewReader(received))
		w := httptest.NewRecorder()
		payments.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body, exampleSignedBy(bank, r, api+"/payments", w.Result()))
	}
	// Output:
	// 200 done: 10 EUR to B signed by the bank
	// 401 {"error":"invalid_signature","error_description":"the Content-Digest is not that of the body"} signed by the bank
}

func exampleKey() (ed25519.PrivateKey, ed25519.PublicKey) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return private, public
}

// exampleOrder is what the fintech's software sends.
func exampleOrder(key ed25519.PrivateKey, url, order string) *http.Request {
	r := httptest.NewRequest("POST", url, strings.NewReader(order))
	digest := sha256.Sum256([]byte(order))
	r.Header.Set("Authorization", "Bearer spare-key-to-As-account")
	r.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(digest[:])+":")
	input := fmt.Sprintf(`("@method" "@target-uri" "authorization" "content-digest");created=%d;tag="fapi-2-request"`, time.Now().Unix())
	base := `"@method": POST` +
		"\n" + `"@target-uri": ` + url +
		"\n" + `"authorization": ` + r.Header.Get("Authorization") +
		"\n" + `"content-digest": ` + r.Header.Get("Content-Digest") +
		"\n" + `"@signature-params": ` + input
	r.Header.Set("Signature-Input", "sig1="+input)
	r.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(base)))+":")
	return r
}

// exampleSignedBy is how the fintech's software looks at the answer to r.
func exampleSignedBy(bank ed25519.PublicKey, r *http.Request, url string, res *http.Response) string {
	input := strings.TrimPrefix(res.Header.Get("Signature-Input"), "rsp=")
	base := fmt.Sprintf(`"@status": %d`, res.StatusCode) +
		"\n" + `"content-digest": ` + res.Header.Get("Content-Digest") +
		"\n" + `"content-type": ` + res.Header.Get("Content-Type") +
		"\n" + `"@method";req: POST` +
		"\n" + `"@target-uri";req: ` + url +
		"\n" + `"content-digest";req: ` + r.Header.Get("Content-Digest") +
		"\n" + `"signature";req;key="sig1": ` + strings.TrimPrefix(r.Header.Get("Signature"), "sig1=") +
		"\n" + `"signature-input";req;key="sig1": ` + strings.TrimPrefix(r.Header.Get("Signature-Input"), "sig1=") +
		"\n" + `"@signature-params": ` + input
	signature, err := base64.StdEncoding.DecodeString(strings.Trim(strings.TrimPrefix(res.Header.Get("Signature"), "rsp="), ":"))
	if err != nil || !ed25519.Verify(bank, []byte(base), signature) {
		return "not signed by the bank"
	}
	return "signed by the bank" // and the tag, created and the body's digest are still to be compared
}
