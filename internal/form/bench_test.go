package form_test

import (
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aikagi/aikagi/internal/form"
)

// pushed is a pushed authorization request with a client assertion.
var pushed = url.Values{
	"client_id":             {"https://fintech.example/clients/7"},
	"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	"client_assertion":      {strings.Repeat("eyJhbGciOiJFUzI1NiJ9", 25)},
	"response_type":         {"code"},
	"redirect_uri":          {"https://app.fintech.example/callback?bank=1"},
	"scope":                 {"openid accounts transactions"},
	"state":                 {"pZ9fVtC2s5sZg7mQ"},
	"nonce":                 {"n-0S6_WzA2Mj"},
	"code_challenge":        {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
	"code_challenge_method": {"S256"},
	"resource":              {"https://api.bank.example"},
}.Encode()

func BenchmarkParseBody(b *testing.B) {
	w, r := httptest.NewRecorder(), post(pushed)
	src := strings.NewReader(pushed)
	r.Body = io.NopCloser(src)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(pushed)
		v, err := form.ParseBody(w, r, 1<<16)
		if err != nil || !v.Has("client_assertion") {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseQuery(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		v, err := form.ParseQuery(pushed, "client_id", "request_uri")
		if err != nil || !v.Has("client_id") {
			b.Fatal(err)
		}
	}
}

// BenchmarkNetURL is net/url on the same parameters.
func BenchmarkNetURL(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := url.ParseQuery(pushed); err != nil {
			b.Fatal(err)
		}
	}
}
