package authz_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestRedirect(t *testing.T) {
	code := func(t *testing.T, f *fintech, v url.Values) (*bank, *http.Response) {
		t.Helper()
		b, br, id := started(t, f, v)
		w, err := br.finish(id, b.approval())
		if err != nil {
			t.Fatal(err)
		}
		return b, w.Result()
	}
	t.Run("RFC9700-2.1-5 FAPI2-SP-5.3.2.2-10 FAPI2-SP-5.3.2.2-11 OIDC-AR-26 OIDC-RS-9 the answer", func(t *testing.T) {
		f := keyClient("kakeibo")
		_, res := code(t, f, f.pushable())
		if res.StatusCode != 303 {
			t.Errorf("%d, want 303", res.StatusCode)
		}
		browserHeaders(t, res)
		back := location(t, res)
		got := back.Get("code")
		want := callback + "?code=" + got + "&state=st-4Jx9&iss=https%3A%2F%2Fas.bank.example" // wire-examples, 3
		if res.Header.Get("Location") != want || len(got) != 66 {
			t.Errorf("Location is %s, want %s", res.Header.Get("Location"), want)
		}
	})
	t.Run("RFC9207-2.3-1 FAPI2-SP-5.3.2.2-7 iss is the issuer of the metadata, byte for byte", func(t *testing.T) {
		f := keyClient("kakeibo")
		b, res := code(t, f, f.pushable())
		meta := object(t, b.do(httptest.NewRequest("GET", issuer+"/.well-known/openid-configuration", nil)))
		if iss := location(t, res)["iss"]; len(iss) != 1 || iss[0] != meta["issuer"] {
			t.Errorf("iss is %q, the issuer %q", iss, meta["issuer"])
		}
	})
	t.Run("CT-AS-4 no state", func(t *testing.T) {
		f := keyClient("kakeibo")
		v := f.pushable()
		v.Del("state")
		if _, res := code(t, f, v); location(t, res).Has("state") {
			t.Errorf("state %q from nowhere", location(t, res)["state"])
		}
	})
	t.Run("RFC6749-3.1-2 an empty state is none", func(t *testing.T) {
		f := keyClient("kakeibo")
		if _, res := code(t, f, changed(f.pushable(), "state", "")); location(t, res).Has("state") {
			t.Errorf("state %q from nowhere", location(t, res)["state"])
		}
	})
	for name, state := range map[string]string{
		"CT-AS-8 of 10,000 characters":         strings.Repeat("Az0-._~%", 1250),
		"FAPI2-SP-5.3.2.2-N4 reserved":         `:/?#[]@!$&'()*+,;= "<>\^` + "`{|}%00%41",
		"OIDC-AR-5 UTF-8":                      "状態 é\u0301😀",
		"PIT-8 escaped already":                "a%26b=c&amp;d+e f%2B",
		"RFC6749-10.14-1 line breaks and tags": "\r\nSet-Cookie: a=b\r\n\r\n<script>\t\x01\x7f",
		"of another response":                  "x&code=evil&iss=https://evil.example#code=evil",
	} {
		t.Run("RFC6749-4.1.2-2 state "+name, func(t *testing.T) {
			f := keyClient("kakeibo")
			_, res := code(t, f, changed(f.pushable(), "state", state))
			back := location(t, res)
			if got := back["state"]; len(got) != 1 || got[0] != state {
				t.Errorf("state is %q, want %q", got, state)
			}
			if len(back) != 3 || len(back["code"]) != 1 || back.Get("iss") != issuer {
				t.Errorf("redirect has %v", back)
			}
			if strings.ContainsAny(res.Header.Get("Location"), "\r\n #\"<>") || len(res.Cookies()) != 0 {
				t.Errorf("Location is %q", res.Header.Get("Location"))
			}
		})
	}
	for registered, want := range map[string]string{
		callback + "?x=1":                         callback + "?x=1&code=",
		callback + "?dummy1=lorem&dummy2=ipsum":   callback + "?dummy1=lorem&dummy2=ipsum&code=",
		callback + "?":                            callback + "?code=",
		callback + "?x=1&":                        callback + "?x=1&code=",
		callback + "?next=a%2Fb%3Fc&x=%E3%81%82+": callback + "?next=a%2Fb%3Fc&x=%E3%81%82+&code=",
		"https://app.fintech.example":             "https://app.fintech.example?code=",
	} {
		t.Run("RFC6749-3.1.2-3 OIDC-RS-8 "+registered, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.RedirectURIs = []string{registered}
			b, res := code(t, f, f.pushable())
			to := res.Header.Get("Location")
			if !strings.HasPrefix(to, want) {
				t.Errorf("Location is %s, want %s…", to, want)
			}
			if !f.alive(b, location(t, res).Get("code")) {
				t.Error("the code does not work")
			}
		})
	}
}

// TestRedirectURIs: which redirect URIs a client may push.
func TestRedirectURIs(t *testing.T) {
	native := func(f *fintech) { f.ApplicationType = "native" }
	for _, tt := range []struct {
		row, registered, pushed string
		with                    func(*fintech)
		ok                      bool
	}{
		{"RFC9700-2.1-1", callback, callback, nil, true},
		{"RFC9700-2.1-1", callback, callback + "/", nil, false},
		{"RFC9700-2.1-1", callback, callback + "/../cb", nil, false},
		{"RFC9700-2.1-1", callback, callback + "?x=1", nil, false},
		{"RFC9700-2.1-1", callback, callback + "#x", nil, false},
		{"RFC9700-2.1-1", callback, "https://app.fintech.example/c%62", nil, false},
		{"RFC9700-2.1-1", callback, "https://app.fintech.example/CB", nil, false},
		{"RFC9700-2.1-1", callback, "https://APP.fintech.example/cb", nil, false},
		{"RFC9700-2.1-1", callback, "https://app.fintech.example:443/cb", nil, false},
		{"RFC9700-2.1-1", callback, "https://app.fintech.example:8443/cb", native, false},
		{"RFC9700-2.1-1", callback, "https://u@app.fintech.example/cb", nil, false},
		{"RFC9700-2.1-1", callback, "https://app.fintech.example.evil.example/cb", nil, false},
		{"RFC9700-2.1-1", callback, "http://app.fintech.example/cb", nil, false},
		{"RFC9126-7.2-1", callback, "https://evil.example/cb", nil, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.1/cb", native, true},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", native, true},
		{"RFC9700-4.1.3-3", "http://127.0.0.1:8080/cb", "http://127.0.0.1:49152/cb", native, true},
		{"RFC9700-4.1.3-3", "http://127.0.0.1:8080/cb", "http://127.0.0.1/cb", native, true},
		{"RFC9700-4.1.3-3", "http://[::1]/cb", "http://[::1]:49152/cb", native, true},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb?x=1", "http://127.0.0.1:49152/cb?x=1", native, true},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.1:49152/other", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.1:49152/cb?x=1", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.1:49152/cb#x", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "https://127.0.0.1:49152/cb", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://[::1]:49152/cb", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.2:49152/cb", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.1:49152@evil.example/cb", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.1.evil.example:49152/cb", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://evil.example:49152/cb", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.1:49152\\@evil.example/cb", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://127.0.0.1:x/cb", native, false},
		{"RFC9700-4.1.3-3", "http://127.0.0.1/cb", "http://0x7f.0.0.1:49152/cb", native, false},
		{"FAPI2-SP-5.3.2.2-8", "http://127.0.0.1/cb", "http://localhost:49152/cb", native, false},
		{"FAPI2-SP-5.3.2.2-8", callback, "http://127.0.0.1:49152/cb", native, false},
		{"FAPI2-SP-5.3.2.2-8", callback, "http://127.0.0.1:49152/cb", nil, false},
	} {
		t.Run(tt.row+" "+tt.pushed+" for "+tt.registered, func(t *testing.T) {
			f := keyClient("kakeibo")
			f.RedirectURIs = []string{tt.registered}
			if tt.with != nil {
				tt.with(f)
			}
			b := newBank(t, clients(f))
			res := b.do(f.request("/par", f.authenticate(b, changed(f.pushable(), "redirect_uri", tt.pushed))))
			got := object(t, res)
			if !tt.ok {
				if res.StatusCode != 400 || got["error"] != "invalid_request" {
					t.Errorf("%d %v, want invalid_request", res.StatusCode, got)
				}
				return
			}
			if res.StatusCode != 201 {
				t.Fatalf("PAR: %d %v", res.StatusCode, got)
			}
			back, err := (&browser{b: b}).decide(f, got["request_uri"].(string), b.approval())
			if err != nil || !strings.HasPrefix(back.Header.Get("Location"), tt.pushed) {
				t.Fatalf("%v, %v", back, err)
			}
			form := changed(f.redeemable(location(t, back).Get("code")), "redirect_uri", tt.pushed)
			if status, body := f.token(b, form); status != 200 {
				t.Errorf("token: %d %v", status, body)
			}
		})
	}
}
