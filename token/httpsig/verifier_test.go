package httpsig_test

import (
	"context"
	"crypto"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/token/httpsig"
)

// outcome is what became of a request: whether it reached the API, and if not
// by which rule.
type outcome struct {
	passed bool
	rule   string
	err    error
	res    *http.Response
}

func try(t testing.TB, c httpsig.VerifierConfig, r *http.Request) outcome {
	t.Helper()
	var o outcome
	told := 0
	c.Audit = func(_ context.Context, err error) {
		if told++; told > 1 {
			t.Error("audit was told twice")
		}
		o.err = err
		if e := (*httpsig.Error)(nil); errors.As(err, &e) {
			o.rule = e.Rule
		}
	}
	o.res = serve(newVerifier(t, c).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.passed = true
		pay(w, r)
	})), r)
	return o
}

func sha512Digest(body string) string {
	sum := sha512.Sum512([]byte(body))
	return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// digest replaces the Content-Digest before the signature.
func digest(value string) func(*call) {
	return func(c *call) { c.header.Set("Content-Digest", value) }
}

func cover(ids ...string) func(*call) {
	return func(c *call) { c.cover = append(c.cover, ids...) }
}

func params(old, new string) func(*call) {
	return func(c *call) {
		if !strings.Contains(c.params, old) {
			panic(old)
		}
		c.params = strings.Replace(c.params, old, new, 1)
	}
}

func created(d time.Duration) func(*call) {
	return params(fmt.Sprint(now.Unix()), fmt.Sprint(now.Add(d).Unix()))
}

func spoil(f func(*http.Request)) func(*call) { return func(c *call) { c.spoil = f } }

func get(c *call) {
	c.method, c.body = "GET", ""
	c.header.Del("Content-Digest")
	c.without(`"content-digest"`)
}

func TestAccepted(t *testing.T) {
	tests := []struct {
		name string
		with func(*call)
	}{
		{"FAPI2-HS-5.3.2-2 FAPI2-HS-5.3.2-4 FAPI2-HS-5.3.2-6 the fintech's order", func(*call) {}},
		{"FAPI2-HS-5.3.2-4 no body, no digest", get},
		{"FAPI2-HS-5.3.2-4 no DPoP header, none covered", func(c *call) { c.header.Del("Dpop"); c.without(`"dpop"`) }},
		{"FAPI2-HS-5.3.2-5 a minute old", created(-time.Minute)},
		{"FAPI2-HS-5.3.2-5 a fast clock", created(30 * time.Second)},
		{"FAPI2-HS-5.3.2-5 still to expire", params(";keyid", fmt.Sprintf(";expires=%d;keyid", now.Unix()+1))},
		{"FAPI2-HS-5.3.2-1 without keyid", params(`;keyid="tpp-sig-2026a"`, "")},
		{"RFC9421-3.2-2 alg that is the key's", params(";keyid", `;alg="ecdsa-p256-sha256";keyid`)},
		{"RFC9421-2.3-1 parameters in another order", params(`;tag="fapi-2-request"`, `;nonce="n";tag="fapi-2-request"`)},
		{"RFC9421-2.3-1 a parameter nobody knows, signed", params(";keyid", `;x=?0;y=tok/en:1;z=:AQI=:;keyid`)},
		{"RFC9421-2.2-1 every derived component", func(c *call) {
			c.url = payments + "?a=%20b&c"
			c.cover = append(c.cover, `"@authority"`, `"@scheme"`, `"@path"`, `"@query"`, `"@request-target"`, `"host"`)
		}},
		{"RFC9421-2.2-1 no query is a question mark", cover(`"@query"`)},
		{"RFC9421-2.2-1 a path that net/url would write otherwise", func(c *call) { c.url = payments + "/a%2Fb%7e/?x" }},
		{"RFC9421-2.1-1 two lines of one name", func(c *call) {
			c.header["Cache-Control"] = []string{"no-store", "max-age=0"}
			c.cover = append(c.cover, `"cache-control"`)
		}},
		{"RFC9421-2.1-1 white space around lines", func(c *call) {
			c.header["Cache-Control"] = []string{"no-store", "max-age=0"}
			c.cover = append(c.cover, `"cache-control"`)
			c.spoil = func(r *http.Request) { r.Header["Cache-Control"] = []string{" no-store\t", "  max-age=0 "} }
		}},
		{"RFC9421-2.5-1 a field that is empty", func(c *call) { c.header.Set("X-Note", ""); c.cover = append(c.cover, `"x-note"`) }},
		{"RFC9421-4-2 a proxy's signature beside it", spoil(func(r *http.Request) {
			r.Header.Add("Signature-Input", `proxy=("@unheard" "x";bs "x";bs);created=1;tag="other"`)
			r.Header.Add("Signature", "proxy=:AQID:")
		})},
		{"RFC9421-4-2 a proxy's signature before it", spoil(func(r *http.Request) {
			r.Header.Set("Signature-Input", `proxy=();created=1, `+r.Header.Get("Signature-Input"))
			r.Header.Set("Signature", "proxy=:AQID:,"+r.Header.Get("Signature"))
		})},
		{"RFC9421-4-1 another label", func(c *call) { c.label = "*a.b-c_9" }},
		{"RFC9530-1 sha-512", digest(sha512Digest(order))},
		{"RFC9530-1 both", digest(sha256Digest(order) + ", " + sha512Digest(order))},
		{"RFC9530-1 an unknown one beside a good one", digest("new-9=:AQID:, " + sha256Digest(order))},
		{"RFC9530-2 md5 beside a good one", digest("md5=:AQID:, " + sha256Digest(order))},
		{"RFC9530-1 the digest of an empty body", func(c *call) {
			get(c)
			c.header.Set("Content-Digest", sha256Digest(""))
			c.cover = append(c.cover, `"content-digest"`)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.with(c)
			if o := try(t, verifierConfig(), c.request(t)); !o.passed || o.err != nil || o.res.StatusCode != 201 {
				t.Errorf("passed %v, status %d: %v", o.passed, o.res.StatusCode, o.err)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		name, rule string
		with       func(*call)
	}{
		{"FAPI2-HS-5.3.2-2 no signature", "FAPI2-HS-5.3.2-2", func(c *call) { c.key = nil }},
		{"FAPI2-HS-5.3.2-2 no Signature header", "FAPI2-HS-5.3.2-2", spoil(func(r *http.Request) { r.Header.Del("Signature") })},
		{"FAPI2-HS-5.3.2-2 no Signature-Input header", "FAPI2-HS-5.3.2-2", spoil(func(r *http.Request) { r.Header.Del("Signature-Input") })},
		{"FAPI2-HS-5.3.2-2 by another key", "FAPI2-HS-5.3.2-2", func(c *call) { c.key = rsKey }},
		{"FAPI2-HS-5.3.2-2 another method", "FAPI2-HS-5.3.2-2", spoil(func(r *http.Request) { r.Method = "PUT" })},
		{"FAPI2-HS-5.3.2-2 another token", "FAPI2-HS-5.3.2-2", spoil(func(r *http.Request) { r.Header.Set("Authorization", "DPoP stolen") })},
		{"FAPI2-HS-5.3.2-2 another path", "FAPI2-HS-5.3.2-2", spoil(func(r *http.Request) { r.RequestURI = "/payments/" })},
		{"FAPI2-HS-5.3.2-2 another query", "FAPI2-HS-5.3.2-2", spoil(func(r *http.Request) { r.RequestURI = "/payments?admin" })},
		{"FAPI2-HS-5.3.2-2 another host", "FAPI2-HS-5.3.2-2", func(c *call) { c.url = "https://evil.example/payments" }},
		{"FAPI2-HS-5.3.2-1 a keyid that is not the client's", "FAPI2-HS-5.3.2-1", params(tppKID, "other")},
		{"FAPI2-HS-5.3.2-3 no tag", "FAPI2-HS-5.3.2-3", params(`;tag="fapi-2-request"`, "")},
		{"FAPI2-HS-5.3.2-3 tag x", "FAPI2-HS-5.3.2-3", params("fapi-2-request", "x")},
		{"FAPI2-HS-5.3.2-3 a response's tag", "FAPI2-HS-5.3.2-3", params("fapi-2-request", "fapi-2-response")},
		{"FAPI2-HS-5.3.2-3 RFC9421-2.3-2 the tag unquoted", "FAPI2-HS-5.3.2-3", params(`"fapi-2-request"`, "fapi-2-request")},
		{"FAPI2-HS-5.3.2-4 RFC9421-3.2-1 @method not covered", "FAPI2-HS-5.3.2-4", func(c *call) { c.without(`"@method"`) }},
		{"FAPI2-HS-5.3.2-4 @target-uri not covered", "FAPI2-HS-5.3.2-4", func(c *call) { c.without(`"@target-uri"`) }},
		{"FAPI2-HS-5.3.2-4 authorization not covered", "FAPI2-HS-5.3.2-4", func(c *call) { c.without(`"authorization"`) }},
		{"FAPI2-HS-5.3.2-4 dpop not covered", "FAPI2-HS-5.3.2-4", func(c *call) { c.without(`"dpop"`) }},
		{"FAPI2-HS-5.3.2-4 content-digest not covered", "FAPI2-HS-5.3.2-4", func(c *call) { c.without(`"content-digest"`) }},
		{"FAPI2-HS-5.3.2-4 a member of content-digest covered alone", "FAPI2-HS-5.3.2-4", func(c *call) {
			c.without(`"content-digest"`)
			c.cover = append(c.cover, `"content-digest";key="sha-256"`)
		}},
		{"FAPI2-HS-5.3.2-4 a body of unknown length, not covered", "FAPI2-HS-5.3.2-4", func(c *call) {
			c.without(`"content-digest"`)
			c.spoil = func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(errReader{}), -1 } // not even read
		}},
		{"FAPI2-HS-5.3.2-4 a body in spite of length zero", "FAPI2-HS-5.3.2-4", func(c *call) {
			c.without(`"content-digest"`)
			c.spoil = func(r *http.Request) { r.ContentLength = 0 }
		}},
		{"FAPI2-HS-5.3.2-4 a body without digest, claimed to be covered", "RFC9421-2.5-1", func(c *call) { c.header.Del("Content-Digest") }},
		{"FAPI2-HS-5.3.2-5 no created", "FAPI2-HS-5.3.2-5", params(fmt.Sprintf(";created=%d", now.Unix()), "")},
		{"FAPI2-HS-5.3.2-5 created 5 minutes ago", "FAPI2-HS-5.3.2-5", created(-5 * time.Minute)},
		{"FAPI2-HS-5.3.2-5 created 61 seconds ago", "FAPI2-HS-5.3.2-5", created(-61 * time.Second)},
		{"FAPI2-HS-5.3.2-5 created in 31 seconds", "FAPI2-HS-5.3.2-5", created(31 * time.Second)},
		{"FAPI2-HS-5.3.2-5 created in the year 30000000", "FAPI2-HS-5.3.2-5", params(fmt.Sprint(now.Unix()), "999999999999999")},
		{"FAPI2-HS-5.3.2-5 expired", "FAPI2-HS-5.3.2-5", params(";keyid", fmt.Sprintf(";expires=%d;keyid", now.Unix()))},
		{"FAPI2-HS-5.3.2-6 RFC9421-7-2 the body changed", "FAPI2-HS-5.3.2-6", spoil(func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(order, "165.88", "965.88", 1)))
		})},
		{"FAPI2-HS-5.3.2-6 the body removed", "FAPI2-HS-5.3.2-6", spoil(func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 })},
		{"RFC9530-1 one good digest, one wrong", "FAPI2-HS-5.3.2-6", digest(sha256Digest(order) + ", " + sha512Digest("other"))},
		{"RFC9530-1 only an unknown algorithm", "RFC9530-2", digest("new-9=:AQID:")},
		{"RFC9530-2 only md5", "RFC9530-2", digest("md5=:1B2M2Y8AsgTpgAmY7PhCfg==:")},
		{"RFC9530-2 only the deprecated ones", "RFC9530-2", digest("sha=:AQID:, unixsum=:AQID:, unixcksum=:AQID:, adler=:AQID:, crc32c=:AQID:")},

		{"RFC9421-2-1 a component twice", "RFC9421-2-1", cover(`"@method"`)},
		{"RFC9421-2-1 a member twice", "RFC9421-2-1", cover(`"content-digest";key="sha-256"`, `"content-digest";key="sha-256"`)},
		{"RFC9421-2-2 an unknown derived component", "RFC9421-2-2", cover(`"@foo"`)},
		{"RFC9421-2-2 @query-param", "RFC9421-2-2", cover(`"@query-param";name="a"`)},
		{"RFC9421-2-2 an unknown parameter", "RFC9421-2-2", cover(`"content-type";zz`)},
		{"RFC9421-2-2 bs", "RFC9421-2-2", cover(`"content-type";bs`)},
		{"RFC9421-2-2 sf", "RFC9421-2-2", cover(`"content-digest";sf`)},
		{"RFC9421-2-2 tr", "RFC9421-2-2", cover(`"content-digest";tr`)},
		{"RFC9421-2-2 req that is false", "RFC9421-2-2", cover(`"content-type";req=?0`)},
		{"RFC9421-2-2 key of a derived component", "RFC9421-2-2", cover(`"@method";key="a"`)},
		{"RFC9421-2-2 key that is no string", "RFC9421-2-2", cover(`"content-digest";key=sha-256`)},
		{"RFC9421-2.1-1 RFC9421-2-2 a name in upper case", "RFC9421-2-2", cover(`"Content-Type"`)},
		{"RFC9421-2.2-2 @status", "RFC9421-2.2-2", cover(`"@status"`)},
		{"RFC9421-2.2-2 req", "RFC9421-2.2-2", cover(`"content-type";req`)},
		{"RFC9421-2.3-1 @signature-params among the components", "RFC9421-2-2", cover(`"@signature-params"`)},
		{"RFC9421-2.3-2 created as a string", "RFC9421-2.3-2", params(fmt.Sprint(now.Unix()), fmt.Sprintf(`"%d"`, now.Unix()))},
		{"RFC9421-2.3-2 created as a decimal", "RFC9421-4-1", params(fmt.Sprint(now.Unix()), fmt.Sprint(now.Unix())+".5")},
		{"RFC9421-2.3-2 created without value", "RFC9421-2.3-2", params(fmt.Sprintf("=%d", now.Unix()), "")},
		{"RFC9421-2.3-2 expires as a string", "RFC9421-2.3-2", params(";keyid", `;expires="1";keyid`)},
		{"RFC9421-2.3-2 keyid as a token", "RFC9421-2.3-2", params(`"tpp-sig-2026a"`, "tpp-sig-2026a")},
		{"RFC9421-2.3-2 nonce as a number", "RFC9421-2.3-2", params(";keyid", ";nonce=1;keyid")},
		{"RFC9421-2.3-2 alg as a token", "RFC9421-2.3-2", params(";keyid", ";alg=ecdsa-p256-sha256;keyid")},
		{"RFC9421-2.3-1 parameters changed", "FAPI2-HS-5.3.2-2", spoil(func(r *http.Request) {
			r.Header.Set("Signature-Input", r.Header.Get("Signature-Input")+`;nonce="x"`)
		})},
		{"RFC9421-2.3-1 components in another order", "FAPI2-HS-5.3.2-2", spoil(func(r *http.Request) {
			r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), `"@method" "@target-uri"`, `"@target-uri" "@method"`, 1))
		})},
		{"RFC9421-2.5-1 a field that is not there", "RFC9421-2.5-1", cover(`"x-note"`)},
		{"RFC9421-2.5-1 a member that is not there", "RFC9421-2.5-1", cover(`"content-digest";key="sha-512"`)},
		{"RFC9421-2.5-1 a member of what is no dictionary", "RFC9421-2.5-1", cover(`"content-type";key="a"`)},
		{"RFC9421-2.5-1 a value beyond ASCII", "RFC9421-2.5-2", func(c *call) { c.header.Set("X-Note", "caf\xc3\xa9"); cover(`"x-note"`)(c) }},
		{"RFC9421-2.5-2 a line break that hides a method", "RFC9421-2.5-2", func(c *call) {
			c.header.Set("X-Note", "a\n\"@method\": GET")
			cover(`"x-note"`)(c)
		}},
		{"RFC9421-3.2-1 two with our tag", "RFC9421-3.2-1", spoil(func(r *http.Request) {
			r.Header.Add("Signature-Input", `b=();tag="fapi-2-request"`)
			r.Header.Add("Signature", "b=:AQID:")
		})},
		{"RFC9421-3.2-2 alg hmac-sha256", "RFC9421-3.2-2", params(";keyid", `;alg="hmac-sha256";keyid`)},
		{"RFC9421-3.2-2 alg ed25519 with an EC key", "RFC9421-3.2-2", params(";keyid", `;alg="ed25519";keyid`)},
		{"RFC9421-3.2-2 a JOSE name for alg", "RFC9421-3.2-2", params(";keyid", `;alg="ES256";keyid`)},
		{"RFC9421-3.2-2 alg none", "RFC9421-3.2-2", params(";keyid", `;alg="none";keyid`)},
		{"RFC9421-3.2-2 alg empty", "RFC9421-3.2-2", params(";keyid", `;alg="";keyid`)},
		{"RFC9421-3.3-1 DER", "FAPI2-HS-5.3.2-2", func(c *call) { c.sign = derSign }},
		{"RFC9421-3.3-1 65 octets", "FAPI2-HS-5.3.2-2", func(c *call) {
			c.sign = func(t testing.TB, key crypto.Signer, base string) []byte {
				return slices.Insert(rawSign(t, key, base), 32, 0) // the same two numbers
			}
		}},
		{"RFC9421-3.3-2 signed as a JWS", "FAPI2-HS-5.3.2-2", func(c *call) {
			c.sign = func(t testing.TB, key crypto.Signer, base string) []byte {
				enc := base64.RawURLEncoding.EncodeToString
				return rawSign(t, key, enc([]byte(`{"alg":"ES256"}`))+"."+enc([]byte(base)))
			}
		}},
		{"RFC9421-3.3-2 no signature at all", "FAPI2-HS-5.3.2-2", func(c *call) {
			c.sign = func(testing.TB, crypto.Signer, string) []byte { return nil }
		}},
		{"RFC9421-4-1 a label in Signature alone", "RFC9421-4-1", spoil(func(r *http.Request) { r.Header.Add("Signature", "b=:AQID:") })},
		{"RFC9421-4-1 a label in Signature-Input alone", "RFC9421-4-1", spoil(func(r *http.Request) { r.Header.Add("Signature-Input", "b=();created=1") })},
		{"RFC9421-4-1 labels that differ", "RFC9421-4-1", spoil(func(r *http.Request) {
			r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), "sig1", "sig2", 1))
		})},
		{"RFC9421-4-1 a label twice", "RFC9421-4-1", spoil(func(r *http.Request) {
			r.Header.Add("Signature-Input", r.Header.Get("Signature-Input"))
			r.Header.Add("Signature", r.Header.Get("Signature"))
		})},
		{"RFC9421-4-1 a label twice in Signature", "RFC9421-4-1", spoil(func(r *http.Request) { r.Header.Add("Signature", r.Header.Get("Signature")) })},
		{"RFC9421-4-1 a signature that is a string", "RFC9421-4-1", spoil(func(r *http.Request) {
			r.Header.Set("Signature", strings.ReplaceAll(r.Header.Get("Signature"), ":", `"`))
		})},
		{"RFC9421-4-1 a signature that is a list", "RFC9421-4-1", spoil(func(r *http.Request) { r.Header.Set("Signature", "sig1=()") })},
		{"RFC9421-4-1 an input that is no list", "RFC9421-4-1", spoil(func(r *http.Request) { r.Header.Set("Signature-Input", "sig1=1") })},
		{"RFC9421-4-1 an input that is not well-formed", "RFC9421-4-1", spoil(func(r *http.Request) { r.Header.Set("Signature-Input", "sig1=(") })},
		{"FAPI2-HS-5.3.2-2 an input of twenty kilobytes", "RFC9421-4-1", params(";keyid", `;nonce="`+strings.Repeat("n", 20<<10)+`";keyid`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.with(c)
			o := try(t, verifierConfig(), c.request(t))
			if o.passed || o.rule != tt.rule {
				t.Fatalf("passed %v, want a refusal by %s: %v", o.passed, tt.rule, o.err)
			}
			if o.res.StatusCode != 401 || !strings.HasPrefix(o.res.Header.Get("Accept-Signature"), `sig1=("@method" "@target-uri" "authorization" "dpop"`) {
				t.Errorf("status %d, Accept-Signature %q", o.res.StatusCode, o.res.Header.Get("Accept-Signature"))
			}
			var said struct{ Error, Error_description string }
			if err := json.Unmarshal([]byte(body(t, o.res)), &said); err != nil || said.Error != "invalid_signature" || said.Error_description == "" {
				t.Errorf("body %q: %v", body(t, o.res), err)
			}
		})
	}
}

func TestRefusedOtherwise(t *testing.T) {
	tests := []struct {
		name   string
		status int
		rule   string
		with   func(*call)
	}{
		{"FAPI2-HS-5.3.2-6 RFC9530-1 a digest that is not well-formed", 400, "RFC9530-1", digest("sha-256=G8gh")},
		{"FAPI2-HS-5.3.2-6 RFC9530-1 a digest that is a string", 400, "RFC9530-1", digest(`sha-256="G8gh"`)},
		{"FAPI2-HS-5.3.2-6 RFC9530-1 a digest that is a list", 400, "RFC9530-1", digest("sha-256=()")},
		{"FAPI2-HS-5.3.2-6 RFC9530-1 a digest given twice", 400, "RFC9530-1", digest(sha256Digest("other") + ", " + sha256Digest(order))},
		{"FAPI2-HS-5.3.2-6 a body that breaks off", 400, "FAPI2-HS-5.3.2-6", spoil(func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), errReader{}))
		})},
		{"FAPI2-HS-5.3.2-6 a body that is too large", 413, "FAPI2-HS-5.3.2-6", func(c *call) {
			c.body = strings.Repeat("a", 1001)
			c.header.Set("Content-Digest", sha256Digest(c.body))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.with(c)
			config := verifierConfig()
			config.MaxBody = 1000
			o := try(t, config, c.request(t))
			if o.passed || o.rule != tt.rule || o.res.StatusCode != tt.status {
				t.Errorf("passed %v, status %d, want %d by %s: %v", o.passed, o.res.StatusCode, tt.status, tt.rule, o.err)
			}
			if !strings.HasPrefix(body(t, o.res), `{"error":"invalid_request","error_description":"`) || o.res.Header.Get("Accept-Signature") != "" {
				t.Errorf("body %q, header %v", body(t, o.res), o.res.Header)
			}
		})
	}
	t.Run("FAPI2-HS-5.3.2-6 a body of just MaxBody", func(t *testing.T) {
		config := verifierConfig()
		config.MaxBody = int64(len(order))
		if o := try(t, config, good().request(t)); !o.passed {
			t.Error(o.err)
		}
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("cut off") }

// Nobody's body is read before the signature is found good.
func TestBodyUnread(t *testing.T) {
	c := good()
	c.key = rsKey
	r := c.request(t)
	r.Body = io.NopCloser(errReader{})
	if o := try(t, verifierConfig(), r); o.res.StatusCode != 401 || o.rule != "FAPI2-HS-5.3.2-2" {
		t.Errorf("status %d: %v", o.res.StatusCode, o.err)
	}
}

// A chunked request may end in trailers, to which anybody on the way can add.
func TestBodyHandedOn(t *testing.T) {
	r := good().request(t)
	r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	r.Body = io.NopCloser(io.MultiReader(r.Body, readerFunc(func([]byte) (int, error) {
		r.Trailer = http.Header{"Authorization": {"DPoP another-token"}} // as net/http does it
		return 0, io.EOF
	})))
	var next *http.Request
	var got string
	serve(newVerifier(t, verifierConfig()).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		next, got = r, string(b)
	})), r)
	if got != order || next.ContentLength != int64(len(order)) || next.TransferEncoding != nil {
		t.Errorf("next read %q, length %d, %q", got, next.ContentLength, next.TransferEncoding)
	}
	if next.Trailer != nil || r.Trailer == nil {
		t.Errorf("next found trailers %v of %v", next.Trailer, r.Trailer)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// The operator learns why, the client does not.
func TestErrorForOperator(t *testing.T) {
	c := good()
	cover(`"content-type";zz`)(c)
	o := try(t, verifierConfig(), c.request(t))
	var e *httpsig.Error
	if !errors.As(o.err, &e) || errors.Unwrap(e) == nil || !strings.Contains(e.Error(), `"zz"`) || !strings.Contains(e.Error(), "RFC9421-2-2") {
		t.Errorf("error %v", o.err)
	}
	if strings.Contains(body(t, o.res), "zz") {
		t.Errorf("body %q", body(t, o.res))
	}
}

// Each bit of the signature counts.
func TestFlippedBits(t *testing.T) {
	h := newVerifier(t, verifierConfig()).Handler(pay)
	t.Run("FAPI2-HS-5.3.2-2 a flipped bit", func(t *testing.T) {
		for bit := 0; bit < 512; bit += 37 {
			c := good()
			c.sign = func(t testing.TB, key crypto.Signer, base string) []byte {
				sig := rawSign(t, key, base)
				sig[bit/8] ^= 1 << (bit % 8)
				return sig
			}
			if res := serve(h, c.request(t)); res.StatusCode != 401 {
				t.Errorf("bit %d: status %d", bit, res.StatusCode)
			}
		}
	})
}
