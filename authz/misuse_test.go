package authz_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/mtls"
	"github.com/aikagi/aikagi/pkce"
	"github.com/aikagi/aikagi/token"
)

// TestBrowserRows is about what a browser is told at the authorization
// endpoint, whoever sent it there.
func TestBrowserRows(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	evil := url.Values{"redirect_uri": {"https://evil.example/"}, "response_type": {"code"}, "scope": {"nonsense"}, "prompt": {"none"}}
	with := func(pairs ...string) string {
		q := url.Values{}
		for name, v := range evil {
			q[name] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		return issuer + "/authorize?" + q.Encode()
	}
	t.Run("RFC9700-2.1-2 RFC9700-4.11-1 RFC9700-4.11-2 CONF-34 OIDC-RS-4 no redirect before anybody has logged in", func(t *testing.T) {
		for name, target := range map[string]string{
			"nothing":            with(),
			"an unknown client":  with("client_id", "nobody", "request_uri", "urn:ietf:params:oauth:request_uri:x"),
			"no request":         with("client_id", f.ID),
			"an unknown request": with("client_id", f.ID, "request_uri", "urn:ietf:params:oauth:request_uri:x"),
			"a URL for request":  with("client_id", f.ID, "request_uri", "https://evil.example/request"),
			"twice":              with("client_id", f.ID) + "&client_id=" + f.ID,
		} {
			res := b.do(get(target))
			if res.StatusCode != 400 || res.Header.Get("Location") != "" {
				t.Errorf("%s: %d, Location %q", name, res.StatusCode, res.Header.Get("Location"))
			}
		}
	})
	t.Run("RFC9700-2.1-2 a posted request leads back here and nowhere else", func(t *testing.T) {
		for _, uri := range []string{"https://evil.example/", "//evil.example", "urn:x\r\nSet-Cookie: a=b", "javascript:alert(1)"} {
			body := strings.NewReader(url.Values{"client_id": {f.ID}, "request_uri": {uri}, "redirect_uri": {"https://evil.example"}}.Encode())
			r := httptest.NewRequest("POST", issuer+"/authorize", body)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res := b.do(r)
			to := res.Header.Get("Location")
			if res.StatusCode != 303 || !strings.HasPrefix(to, issuer+"/authorize?") || strings.ContainsAny(to, "\r\n") || len(res.Header["Set-Cookie"]) != 0 {
				t.Errorf("%q: %d, Location %q, %v", uri, res.StatusCode, to, res.Header["Set-Cookie"])
			}
		}
	})
	t.Run("RFC9700-2.6-5 RFC9700-4.12-1 FAPI2-SP-6.5-1 no CORS, no 307, no referrer", func(t *testing.T) {
		br := &browser{b: b}
		uri := f.push(b, f.pushable())
		page := br.open(f, uri)
		answer, err := br.decide(f, uri, b.approval())
		if err != nil {
			t.Fatal(err)
		}
		cross := get(with("client_id", f.ID))
		cross.Header.Set("Origin", "https://evil.example")
		for name, tt := range map[string]struct {
			res    *http.Response
			status int
		}{"page": {page, 200}, "answer": {answer, 303}, "error": {b.do(cross), 400}} {
			h := tt.res.Header
			if tt.res.StatusCode != tt.status || h.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: %d, Referrer-Policy %q", name, tt.res.StatusCode, h.Get("Referrer-Policy"))
			}
			for key := range h {
				if strings.HasPrefix(key, "Access-Control-") {
					t.Errorf("%s: %s", name, key)
				}
			}
		}
	})
	t.Run("RFC8705-6.4-1 RFC8705-6.4 OIDC-RS-1 nothing but a code, and nowhere but in the query", func(t *testing.T) {
		for _, responseType := range []string{"token", "id_token", "code token", "code id_token", "none"} {
			v := f.pushable()
			v.Set("response_type", responseType)
			refused(t, b.do(f.request("/par", f.authenticate(b, v))), 400, "unsupported_response_type")
		}
		for _, mode := range []string{"fragment", "form_post", "fragment.jwt", "form_post.jwt", "web_message"} {
			v := f.pushable()
			v.Set("response_mode", mode)
			refused(t, b.do(f.request("/par", f.authenticate(b, v))), 400, "invalid_request")
		}
	})
	t.Run("OIDC-OA-1 offline_access counts with prompt=consent alone", func(t *testing.T) {
		f := keyClient("kakeibo")
		f.Scope += " offline_access"
		b := newBank(t, clients(f), func(c *authz.Config) { c.Scopes = append(c.Scopes, "offline_access") })
		var asked []string
		b.shown = func(_ http.ResponseWriter, _ *http.Request, in *authz.Interaction) { asked = in.Scopes }
		for _, tt := range []struct {
			scope, prompt string
			want          []string
		}{
			{"openid offline_access accounts", "", []string{"openid", "accounts"}},
			{"openid offline_access accounts", "login", []string{"openid", "accounts"}},
			{"openid offline_access accounts", "login consent", []string{"openid", "offline_access", "accounts"}},
			{"offline_access accounts", "", []string{"offline_access", "accounts"}}, // not OpenID Connect
		} {
			v := f.pushable()
			v.Set("scope", tt.scope)
			v.Set("prompt", tt.prompt)
			(&browser{b: b}).open(f, f.push(b, v))
			if !slices.Equal(asked, tt.want) {
				t.Errorf("%s, prompt %q: the customer is asked for %v, want %v", tt.scope, tt.prompt, asked, tt.want)
			}
		}
	})
	t.Run("OIDC-MTI-2 what need not be heeded causes no error", func(t *testing.T) {
		v := f.pushable()
		for name, value := range map[string]string{"display": "wap", "ui_locales": "ja tlh", "claims_locales": "ja", "acr_values": "urn:bank:acr:none"} {
			v.Set(name, value)
		}
		f.push(b, v)
	})
}

// TestTokenRows is about codes and tokens in the wrong hands.
func TestTokenRows(t *testing.T) {
	t.Run("RFC9700-2.4-1 RFC9700-2.5-1 OIDC-TK-4 a password is no grant, and nobody is a client without proof", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := url.Values{"grant_type": {"password"}, "username": {"hanako"}, "password": {"pw"}, "client_id": {f.ID}}
		refused(t, b.do(f.request("/token", v)), 401, "invalid_client")
		refused(t, b.do(f.request("/token", f.authenticate(b, v))), 400, "unsupported_grant_type")
	})
	t.Run("RFC9700-4.2.4-2 CT-AS-20 a code again, at once or a second later, ends what came of it", func(t *testing.T) {
		for _, later := range []time.Duration{0, time.Second} {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			code := f.code(b)
			_, got := f.token(b, f.redeemable(code))
			b.clock.Advance(later)
			refused(t, b.do(f.request("/token", f.authenticate(b, f.redeemable(code)))), 400, "invalid_grant")
			var e *token.Error
			if err := f.check(b, got["access_token"].(string)); !errors.As(err, &e) || e.Code != "invalid_token" {
				t.Errorf("after %v the access token: %v", later, err)
			}
		}
	})
	t.Run("RFC9700-4.5-1 a victim's code in the attacker's session of the same client", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		v := f.redeemable(f.code(b)) // the victim's code
		v.Set("code_verifier", pkce.NewVerifier())
		refused(t, b.do(f.request("/token", f.authenticate(b, v))), 400, "invalid_grant")
	})
	t.Run("RFC9700-4.8-1 a challenge stripped from the request", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		for _, gone := range [][]string{{"code_challenge"}, {"code_challenge_method"}, {"code_challenge", "code_challenge_method"}} {
			v := f.pushable()
			for _, name := range gone {
				v.Del(name)
			}
			refused(t, b.do(f.request("/par", f.authenticate(b, v))), 400, "invalid_request")
		}
		v := f.redeemable(f.code(b))
		v.Del("code_verifier")
		refused(t, b.do(f.request("/token", f.authenticate(b, v))), 400, "invalid_grant")
	})
	t.Run("CT-AS-2 RFC9700-4.10-1 RFC8705-I-1 a token is its client's alone, however that authenticates", func(t *testing.T) {
		for _, f := range []*fintech{keyClient("one"), tlsClient("one"), selfSignedClient("one")} {
			other := keyClient("two")
			b := newBank(t, clients(f, other))
			access := f.tokens(b)["access_token"].(string)
			if err := f.check(b, access); err != nil {
				t.Errorf("%s: %v", f.AuthMethod, err)
			}
			var e *token.Error
			if err := other.check(b, access); !errors.As(err, &e) || e.Code != "invalid_token" {
				t.Errorf("%s: another client is told %v", f.AuthMethod, err)
			}
			if cnf := claimsOf(t, access)["cnf"].(map[string]any); cnf["x5t#S256"] != mtls.Thumbprint(f.chain[0]) {
				t.Errorf("%s: cnf %v", f.AuthMethod, cnf)
			}
		}
	})
	t.Run("RFC8707-2.1-1 RFC8707-2.2-4 RFC8707-3-2 RFC9068-3-2 one audience, named or not", func(t *testing.T) {
		for _, asked := range [][]string{nil, {resource}, {resource, resource}} {
			f := keyClient("kakeibo")
			b := newBank(t, clients(f))
			v := f.pushable()
			v["resource"] = asked
			res, err := (&browser{b: b}).decide(f, f.push(b, v), b.approval())
			if err != nil {
				t.Fatal(err)
			}
			form := f.redeemable(location(t, res).Get("code"))
			form["resource"] = asked
			status, got := f.token(b, form)
			if status != 200 {
				t.Fatalf("%v: %d %v", asked, status, got)
			}
			if aud := claimsOf(t, got["access_token"].(string))["aud"]; aud != resource {
				t.Errorf("%v: aud is %v", asked, aud)
			}
		}
	})
	t.Run("RFC9470-6-1 the access token says how and when the customer logged in", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		d := b.approval()
		claims := claimsOf(t, f.tokens(b)["access_token"].(string))
		if claims["acr"] != d.ACR || claims["auth_time"] != float64(d.AuthTime.Unix()) {
			t.Errorf("acr %v, auth_time %v", claims["acr"], claims["auth_time"])
		}
	})
}

// TestProxyHeaders: the certificate is the connection's. What a header says of
// one is anybody's word.
func TestProxyHeaders(t *testing.T) {
	f := selfSignedClient("kakeibo")
	b := newBank(t, clients(f))
	pem := url.QueryEscape("-----BEGIN CERTIFICATE-----\n" + string(f.chain[0].Raw) + "\n-----END CERTIFICATE-----\n")
	for name, v := range map[string]string{
		"Client-Cert": ":" + base64DER(f) + ":", "Client-Cert-Chain": ":" + base64DER(f) + ":", "X-Forwarded-Client-Cert": "Cert=\"" + pem + "\"",
		"X-Amzn-Mtls-Clientcert": pem, "X-Amzn-Mtls-Clientcert-Leaf": pem, "X-Forwarded-Tls-Client-Cert": base64DER(f),
		"Ssl-Client-Cert": pem, "X-Ssl-Client-Verify": "SUCCESS",
	} {
		t.Run("TLS-9 PRX-2 DEC-14 RFC9700-4.13-1 RFC8705-6.5-1 "+name, func(t *testing.T) {
			for _, at := range authenticatedAt {
				r := f.request(at.path, f.authenticate(b, at.form(f)))
				r.TLS.PeerCertificates = nil
				r.Header.Set(name, v)
				mustRefuse(t, b, b.do(r), 401, "invalid_client", "RFC8705-2-5")
			}
		})
	}
}

// TestResumedWithout: a session that was resumed and lost the certificate is a
// connection without one.
func TestResumedWithout(t *testing.T) {
	for _, f := range []*fintech{tlsClient("kakeibo"), selfSignedClient("kakeibo")} {
		b := newBank(t, clients(f))
		for _, at := range authenticatedAt {
			t.Run("E2E-14 "+f.AuthMethod+" at "+at.path, func(t *testing.T) {
				r := f.request(at.path, f.authenticate(b, at.form(f)))
				r.TLS = &tls.ConnectionState{HandshakeComplete: true, DidResume: true}
				mustRefuse(t, b, b.do(r), 401, "invalid_client", "RFC8705-2-5")
			})
		}
	}
}

func base64DER(f *fintech) string { return base64.StdEncoding.EncodeToString(f.chain[0].Raw) }
