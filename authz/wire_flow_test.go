package authz_test

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
)

// readAnswer reads an answer of the catalogue from testdata/wire/name. The
// space in its JSON is for display.
func readAnswer(t *testing.T, name string) (*http.Response, string) {
	t.Helper()
	head, body, _ := strings.Cut(wire(t, name), "\n\n")
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n")), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

// answersAs checks the status and every header of the catalogue's answer but
// those named, and returns both bodies.
func answersAs(t *testing.T, name string, got *http.Response, but ...string) (want, body string) {
	t.Helper()
	res, want := readAnswer(t, name)
	b, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != res.StatusCode {
		t.Fatalf("%d %s, want %d", got.StatusCode, b, res.StatusCode)
	}
	for _, n := range but {
		res.Header.Del(n)
	}
	for n := range res.Header {
		if d := cmp.Diff(res.Header.Values(n), got.Header.Values(n)); d != "" {
			t.Errorf("%s: %s", n, d)
		}
	}
	return want, string(b)
}

// TestWireFlow sends the messages of wire-examples as they are, one after the
// other, each at its time, and holds the answers to the catalogue's. The
// request_uri, the code and the tokens are our bank's.
func TestWireFlow(t *testing.T) {
	b := newFinbank(t, "jwt")
	t.Run("RFC9126-2.2-1 RFC9449-10.1-2 wire example 2.1", func(t *testing.T) {
		res := b.send(readMessage(t, "par.http"))
		got := object(t, res)
		uri, _ := got["request_uri"].(string)
		delete(got, "request_uri")
		if d := cmp.Diff(map[string]any{"expires_in": 90.0}, got); d != "" || res.StatusCode != 201 || !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") {
			t.Errorf("%d %q %s", res.StatusCode, uri, d)
		}
	})
	t.Run("RFC9449-10.1-1 wire example 2.1, the variant with dpop_jkt", func(t *testing.T) {
		b, push := newFinbank(t, "jwt"), readMessage(t, "par.http")
		push.header.Del("DPoP")
		push.set("dpop_jkt", wireJKT)
		b.issue(push)
	})
	for _, tt := range []struct {
		name, file string
		decide     func(*finbank) authz.Decision
		random     string // what is not the catalogue's
	}{
		{"RFC9207-2-1 FAPI2-SP-5.3.2.2-11 wire example 3", "code.http", (*finbank).approve, "code"},
		{"RFC9207-2-1 wire example 3, declined", "declined.http", func(b *finbank) authz.Decision {
			b.at(25)
			return authz.Decision{Deny: authz.AccessDenied}
		}, "error_description"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, msg := wireStarts["3"](t)
			got, err := (&browser{b: b.bank}).decide(b.tpp, msg.target.Query().Get("request_uri"), tt.decide(b))
			if err != nil {
				t.Fatal(err)
			}
			answersAs(t, tt.file, got, "Location")
			want, _ := readAnswer(t, tt.file)
			if d := cmp.Diff(but(locationOf(t, want), tt.random), but(locationOf(t, got), tt.random)); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("RFC6749-5.1-1 RFC9068-2.2-1 RFC9449-5-4 wire example 5.1", func(t *testing.T) {
		b := newFinbank(t, "jwt")
		msg := b.redeemable(readMessage(t, "par.http"))
		b.at(42)
		want, got := answersAs(t, "tokens.http", b.send(msg), "DPoP-Nonce") // none is demanded
		tokens, issued := decoded(t, want), decoded(t, got)
		if d := cmp.Diff(but(tokens, "access_token", "refresh_token"), but(issued, "access_token", "refresh_token")); d != "" {
			t.Error(d)
		}
		theirs, ours := tokens["access_token"].(string), issued["access_token"].(string)
		if d := cmp.Diff(headerOf(t, theirs), headerOf(t, ours)); d != "" {
			t.Errorf("header of the access token: %s", d)
		}
		if d := cmp.Diff(but(claimsOf(t, theirs), "jti"), but(claimsOf(t, ours), "jti", "grant_id")); d != "" {
			t.Errorf("claims of the access token: %s", d)
		}
	})
	t.Run("RFC6749-6-1 RFC9449-5-6 FAPI2-SP-5.3.2.1-9 wire example 5.3", func(t *testing.T) {
		b, msg := wireStarts["5.3"](t)
		got := b.mustSend(msg, 200)
		access, _ := got["access_token"].(string)
		if r, ok := got["refresh_token"]; ok && r != b.refresh {
			t.Error("there is another refresh token")
		}
		if access == b.access {
			t.Error("the access token is the old one")
		}
		if d := cmp.Diff(map[string]any{"jkt": wireJKT}, claimsOf(t, access)["cnf"]); d != "" {
			t.Error(d)
		}
	})
}

// TestWireTokenEndpoints does the same for introspection, revocation and the
// keys.
func TestWireTokenEndpoints(t *testing.T) {
	t.Run("RFC7662-2.2-1 RFC9449-6.2-1 wire example 7", func(t *testing.T) {
		b, msg := wireStarts["7"](t)
		want, got := answersAs(t, "introspected.http", b.send(msg))
		if d := cmp.Diff(decoded(t, want), but(decoded(t, got), "jti", "grant_id")); d != "" {
			t.Error(d)
		}
	})
	t.Run("RFC9701-5-1 RFC9701-5-3 wire example 8", func(t *testing.T) {
		b, msg := wireStarts["8"](t)
		want, got := answersAs(t, "introspected-jwt.http", b.send(msg))
		if d := cmp.Diff(headerOf(t, want), headerOf(t, got)); d != "" {
			t.Errorf("header: %s", d)
		}
		if !signatureFits("ES256", got, wireSigner(t, "as").Public()) {
			t.Error("the signature does not fit")
		}
		claims := claimsOf(t, got)
		claims["token_introspection"] = but(claims["token_introspection"].(map[string]any), "jti", "grant_id")
		if d := cmp.Diff(claimsOf(t, want), claims); d != "" {
			t.Errorf("claims: %s", d)
		}
	})
	t.Run("RFC7009-2.2-1 wire example 9", func(t *testing.T) {
		b, msg := wireStarts["9"](t)
		_, got := answersAs(t, "revoked.http", b.send(msg))
		if got != "" {
			t.Errorf("body %q", got)
		}
		again := readMessage(t, "refresh.http")
		again.set("refresh_token", b.refresh)
		b.renew(again, b.tpp, "")
		refused(t, b.send(again), 400, "invalid_grant")
	})
	t.Run("FAPI2-SP-5.4.3-3 wire example 21", func(t *testing.T) { // which leaves the media type and the time open
		b := newFinbank(t, "jwt")
		want, got := answersAs(t, "jwks.http", b.do(get(wireIssuer+"/jwks")), "Content-Type", "Cache-Control")
		if d := cmp.Diff(decoded(t, want), decoded(t, got)); d != "" {
			t.Error(d)
		}
	})
}

func decoded(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

// but returns o without those members.
func but(o map[string]any, names ...string) map[string]any {
	o = maps.Clone(o)
	for _, name := range names {
		delete(o, name)
	}
	return o
}

// locationOf takes a redirect apart.
func locationOf(t *testing.T, res *http.Response) map[string]any {
	t.Helper()
	u, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	o := map[string]any{"to": u.Scheme + "://" + u.Host + u.Path}
	for name, values := range u.Query() {
		o[name] = values
	}
	return o
}
