package authz_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store/storetest"
)

// begin loads the first page and returns the interaction's ID.
func (br *browser) begin(f *fintech, requestURI string) string {
	br.b.t.Helper()
	res := br.open(f, requestURI)
	id, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 {
		br.b.t.Fatalf("authorize: %d %s", res.StatusCode, id)
	}
	return string(id)
}

// resume opens a later page.
func (br *browser) resume(id string) (*authz.Interaction, error) {
	return br.b.srv.Interaction(br.page(id))
}

// finish opens a later page and carries out d.
func (br *browser) finish(id string, d authz.Decision) (*httptest.ResponseRecorder, error) {
	w := httptest.NewRecorder()
	r := br.page(id)
	in, err := br.b.srv.Interaction(r)
	if err != nil {
		return w, err
	}
	return w, in.Finish(w, r, d)
}

// is reports whether err is a refusal with that code.
func is(err error, code authz.Code) bool {
	var e *authz.Error
	return errors.As(err, &e) && e.Code == code
}

// TestInteractionBelongsToABrowser: an interaction opens in the browser that
// began it, and nowhere else.
func TestInteractionBelongsToABrowser(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	uri := f.push(b, f.pushable())
	br, stranger := &browser{b: b}, &browser{b: b}
	id, strangers := br.begin(f, uri), stranger.begin(f, uri)

	for _, tt := range []struct {
		name    string
		cookies []*http.Cookie
		id      string
		ok      bool
	}{
		{"its own", br.cookies, id, true},
		{"another browser, on the same request", stranger.cookies, id, false},
		{"no cookie", nil, id, false},
		{"the cookie twice", append(br.cookies[:1:1], br.cookies[0]), id, false},
		{"a planted cookie beside its own", append(br.cookies[:1:1], stranger.cookies[0]), id, false},
		{"the cookie under another name", []*http.Cookie{{Name: strings.TrimPrefix(br.cookies[0].Name, "__Host-"), Value: br.cookies[0].Value}}, id, false},
		{"the cookie cut short", []*http.Cookie{{Name: br.cookies[0].Name, Value: br.cookies[0].Value[:42]}}, id, false},
		{"the cookie emptied", []*http.Cookie{{Name: br.cookies[0].Name}}, id, false},
		{"the other's ID in one's own browser", br.cookies, strangers, false},
	} {
		t.Run("RFC6749-10.12-1 "+tt.name, func(t *testing.T) {
			in, err := (&browser{b: b, cookies: tt.cookies}).resume(tt.id)
			if tt.ok && (err != nil || in.ID != id) {
				t.Errorf("%v, %v", in, err)
			}
			if !tt.ok && (in != nil || !is(err, "invalid_request")) {
				t.Errorf("%v, %v; want invalid_request", in, err)
			}
		})
	}
}

func TestInteractionCookie(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	br := &browser{b: b}
	res := br.open(f, f.push(b, f.pushable()))
	t.Run("OIDC-AR-23 attributes", func(t *testing.T) {
		if len(res.Cookies()) != 1 {
			t.Fatalf("%d cookies", len(res.Cookies()))
		}
		c := res.Cookies()[0]
		want := &http.Cookie{Name: c.Name, Value: c.Value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, Raw: c.Raw}
		if d := cmp.Diff(want, c); d != "" || !strings.HasPrefix(c.Name, "__Host-") || len(c.Value) != 43 {
			t.Errorf("%s: %s", c.Raw, d)
		}
	})
	t.Run("kept on the next visit", func(t *testing.T) {
		if c := br.open(f, f.push(b, f.pushable())).Cookies(); len(c) != 0 {
			t.Errorf("replaced by %v, and the first tab is lost", c)
		}
	})
	t.Run("RFC6749-10.12-1 replaced if it is none of ours, or not alone", func(t *testing.T) {
		own := br.cookies[0]
		for name, cookies := range map[string][]*http.Cookie{
			"empty": {{Name: own.Name}}, "short": {{Name: own.Name, Value: "x"}}, "two": {own, {Name: own.Name, Value: strings.Repeat("x", 43)}},
		} {
			if c := (&browser{b: b, cookies: cookies}).open(f, f.push(b, f.pushable())).Cookies(); len(c) != 1 || len(c[0].Value) != 43 {
				t.Errorf("%s: %v", name, c)
			}
		}
	})
	t.Run("two browsers get two", func(t *testing.T) {
		if c := (&browser{b: b}).open(f, f.push(b, f.pushable())).Cookies(); len(c) != 1 || c[0].Value == res.Cookies()[0].Value {
			t.Errorf("%v", c)
		}
	})
	t.Run("two issuers on one host have two names", func(t *testing.T) {
		second := newBank(t, clients(f), func(c *authz.Config) { c.Issuer = issuer + ":8443" })
		claims := f.assertion(second)
		claims["aud"] = issuer + ":8443"
		form := f.authenticate(second, f.pushable())
		form.Set("client_assertion", f.signed(claims))
		uri := object(t, second.do(f.request("/par", form)))["request_uri"].(string)
		c := (&browser{b: second}).open(f, uri).Cookies()
		if len(c) != 1 || c[0].Name == res.Cookies()[0].Name {
			t.Errorf("%v", c)
		}
	})
}

func TestInteractionTabs(t *testing.T) {
	t.Run("RFC6749-10.12-1 two tabs do not meet", func(t *testing.T) {
		f, g := keyClient("kakeibo"), keyClient("okozukai")
		b := newBank(t, clients(f, g))
		br := &browser{b: b}
		one, two := br.begin(f, f.push(b, f.pushable())), br.begin(g, g.push(b, g.pushable()))
		for id, want := range map[string]string{one: "kakeibo", two: "okozukai"} {
			if in, err := br.resume(id); err != nil || in.Client.ID != want {
				t.Errorf("%v, %v; want %s", in, err, want)
			}
		}
		if _, err := br.finish(one, b.approval()); err != nil {
			t.Error(err)
		}
		if _, err := br.finish(two, b.approval()); err != nil {
			t.Error("the second tab ended with the first:", err)
		}
	})
}

// TestInteractionForged: an ID that this server did not make opens nothing.
func TestInteractionForged(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	br := &browser{b: b}
	id := br.begin(f, f.push(b, f.pushable()))

	rejects := func(t *testing.T, id string) {
		t.Helper()
		if in, err := br.resume(id); in != nil || !is(err, "invalid_request") {
			t.Errorf("%.80q opens: %v, %v", id, in, err)
		}
	}
	t.Run("RFC6749-10.12-1 any one character changed", func(t *testing.T) {
		for i := range id {
			rejects(t, id[:i]+flip(id[i])+id[i+1:])
		}
	})
	for name, forged := range map[string]string{
		"none": "", "cut short": id[:len(id)-1], "longer": id + "A", "padded": id + "==", "a line break": id[:8] + "\n" + id[8:],
		"one byte": "AQ", "garbage": "../../etc/passwd", "binary": "\x00\xff", "huge": strings.Repeat("A", 60_000),
		"the GrantID": grantIDOf(t, br, id), "twice over": id + id,
	} {
		t.Run("RFC6749-10.14-1 "+name, func(t *testing.T) { rejects(t, forged) })
	}
	t.Run("RFC9207-4-1 of another issuer with the same secret, store and cookie", func(t *testing.T) {
		second := newBank(t, clients(f), func(c *authz.Config) { c.Issuer = issuer + "/second"; c.Store = b.config.Store })
		name := cookieOf(t, f, second)
		cookie := []*http.Cookie{{Name: name, Value: br.cookies[0].Value}}
		if in, err := (&browser{b: second, cookies: cookie}).resume(id); in != nil || !is(err, "invalid_request") {
			t.Errorf("%v, %v", in, err)
		}
	})
}

func grantIDOf(t *testing.T, br *browser, id string) string {
	t.Helper()
	in, err := br.resume(id)
	if err != nil {
		t.Fatal(err)
	}
	return in.GrantID
}

// cookieOf returns the name of the cookie that b's issuer sets.
func cookieOf(t *testing.T, f *fintech, b *bank) string {
	t.Helper()
	claims := f.assertion(b)
	claims["aud"] = b.config.Issuer
	form := f.authenticate(b, f.pushable())
	form.Set("client_assertion", f.signed(claims))
	r := f.request("/par", form)
	base := strings.TrimPrefix(b.config.Issuer, issuer)
	r.URL.Path = base + "/par"
	q := url.Values{"client_id": {f.ID}, "request_uri": {object(t, b.do(r))["request_uri"].(string)}}
	c := b.do(httptest.NewRequest("GET", b.config.Issuer+"/authorize?"+q.Encode(), nil)).Cookies()
	if len(c) != 1 {
		t.Fatalf("%d cookies", len(c))
	}
	return c[0].Name
}

// TestInteractionSecrets: a new secret is rolled out node by node while
// customers read consent pages.
func TestInteractionSecrets(t *testing.T) {
	older, newer, foreign := bytes.Repeat([]byte("a"), 32), bytes.Repeat([]byte("b"), 32), bytes.Repeat([]byte("c"), 32)
	f := keyClient("kakeibo")
	first := newBank(t, clients(f), func(c *authz.Config) { c.Secrets = [][]byte{older} })
	node := func(secrets ...[]byte) *bank {
		return newBank(t, clients(f), func(c *authz.Config) {
			c.Secrets, c.Store, c.Now = secrets, first.config.Store, first.clock.Now
		})
	}
	for _, tt := range []struct {
		name       string
		seal, open *bank
		ok         bool
	}{
		{"an old node's ID at a node that knows both", first, node(older, newer), true},
		{"an old node's ID after the new secret moved first", first, node(newer, older), true},
		{"a new node's ID at one that still seals with the old", node(newer, older), node(older, newer), true},
		{"an old node's ID after the old secret is gone", first, node(newer), false},
		{"a stranger's", node(foreign), node(older, newer), false},
	} {
		t.Run("RFC6749-10.12-1 "+tt.name, func(t *testing.T) {
			br := &browser{b: tt.seal}
			id := br.begin(f, f.push(tt.seal, f.pushable()))
			in, err := (&browser{b: tt.open, cookies: br.cookies}).resume(id)
			if tt.ok != (err == nil) || !tt.ok && !is(err, "invalid_request") {
				t.Errorf("%v, %v", in, err)
			}
		})
	}
}

// TestInteractionLifetime: expires_in bounds the first page, and the customer
// then has half an hour from that page.
func TestInteractionLifetime(t *testing.T) {
	begin := func(t *testing.T, wait time.Duration) (*bank, *browser, string) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f))
		br := &browser{b: b}
		uri := f.push(b, f.pushable())
		b.clock.Advance(wait)
		return b, br, br.begin(f, uri)
	}
	t.Run("FAPI2-SP-5.3.2.2-N2 the request_uri expires while the customer reads", func(t *testing.T) {
		b, br, id := begin(t, 0)
		b.clock.Advance(10 * time.Minute)
		if w, err := br.finish(id, b.approval()); err != nil || location(t, w.Result()).Get("code") == "" {
			t.Errorf("%v", err)
		}
	})
	t.Run("the last moment, after the last moment", func(t *testing.T) {
		b, br, id := begin(t, 89*time.Second)
		b.clock.Advance(30*time.Minute - time.Millisecond)
		if w, err := br.finish(id, b.approval()); err != nil || location(t, w.Result()).Get("code") == "" {
			t.Errorf("%v", err)
		}
	})
	t.Run("too late", func(t *testing.T) {
		b, br, id := begin(t, 89*time.Second)
		b.clock.Advance(30 * time.Minute)
		if in, err := br.resume(id); in != nil || !is(err, "invalid_request_uri") {
			t.Errorf("%v, %v", in, err)
		}
	})
	t.Run("RFC9126-4-3 too late for a page that was opened in time", func(t *testing.T) {
		b, br, id := begin(t, 0)
		in, err := br.resume(id)
		if err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(30 * time.Minute)
		w := httptest.NewRecorder()
		if err := in.Finish(w, br.page(id), b.approval()); !is(err, "invalid_request_uri") || w.Header().Get("Location") != "" {
			t.Errorf("%v, %v", err, w.Header())
		}
	})
	t.Run("a host's own lifetime", func(t *testing.T) {
		f := keyClient("kakeibo")
		b := newBank(t, clients(f), func(c *authz.Config) { c.InteractionLifetime = time.Minute })
		br := &browser{b: b}
		id := br.begin(f, f.push(b, f.pushable()))
		b.clock.Advance(59 * time.Second)
		if _, err := br.resume(id); err != nil {
			t.Error(err)
		}
		b.clock.Advance(time.Second)
		if _, err := br.resume(id); !is(err, "invalid_request_uri") {
			t.Error(err)
		}
	})
}

// TestInteractionTravels: the ID is a field of a form or of a query, and may
// have been parsed already.
func TestInteractionTravels(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	br := &browser{b: b}
	id := br.begin(f, f.push(b, f.pushable()))
	with := func(r *http.Request) *http.Request {
		for _, c := range br.cookies {
			r.AddCookie(c)
		}
		return r
	}
	var parts bytes.Buffer
	mw := multipart.NewWriter(&parts)
	mw.WriteField("interaction", id)
	mw.Close()
	multi := httptest.NewRequest("POST", issuer+"/consent", &parts)
	multi.Header.Set("Content-Type", mw.FormDataContentType())
	parsed := br.page(id)
	if err := parsed.ParseForm(); err != nil {
		t.Fatal(err)
	}
	large := httptest.NewRequest("POST", issuer+"/consent", strings.NewReader("x="+strings.Repeat("x", 64<<10)+"&interaction="+id))
	large.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, tt := range []struct {
		name string
		r    *http.Request
		ok   bool
	}{
		{"a posted field", br.page(id), true},
		{"a query", with(httptest.NewRequest("GET", issuer+"/login?interaction="+id, nil)), true},
		{"a field of multipart/form-data", with(multi), true},
		{"a form that the host has parsed", parsed, true},
		{"after 64 KiB of something else", with(large), false},
		{"a field of another name", with(httptest.NewRequest("GET", issuer+"/login?id="+id, nil)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, err := b.srv.Interaction(tt.r)
			if tt.ok && (err != nil || in.ID != id) || !tt.ok && !is(err, "invalid_request") {
				t.Errorf("%v, %v", in, err)
			}
		})
	}
}

// TestInteractionShows: the host's pages learn everything the client asked,
// the same on every page.
func TestInteractionShows(t *testing.T) {
	f := keyClient("kakeibo")
	b := newBank(t, clients(f))
	v := f.pushable()
	v.Set("scope", "payments openid") // CT-AS-9
	v.Set("acr_values", "urn:bank:acr:sca urn:bank:acr:low")
	v.Set("prompt", "login consent")
	v.Set("ui_locales", "xx ja-JP") // OIDC-AR-15
	v.Set("login_hint", `"><script>`)
	v.Set("max_age", "600")
	v.Set("display", "foo") // OIDC-AR-8
	want := authz.Interaction{
		Scopes: []string{"payments", "openid"}, ACRValues: []string{"urn:bank:acr:sca", "urn:bank:acr:low"},
		Prompt: []string{"login", "consent"}, UILocales: []string{"xx", "ja-JP"},
		LoginHint: `"><script>`, MaxAge: 10 * time.Minute, HasMaxAge: true,
	}
	shows := func(t *testing.T, in *authz.Interaction) {
		t.Helper()
		got := authz.Interaction{Scopes: in.Scopes, ACRValues: in.ACRValues, Prompt: in.Prompt, UILocales: in.UILocales,
			LoginHint: in.LoginHint, MaxAge: in.MaxAge, HasMaxAge: in.HasMaxAge}
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(authz.Interaction{})); d != "" {
			t.Error(d)
		}
		if in.Client.ID != "kakeibo" || in.Client.Name != "Kakeibo" { // FAPI2-SP-5.3.2.2-13
			t.Errorf("client %+v", in.Client)
		}
	}
	br := &browser{b: b}
	var first string
	b.shown = func(w http.ResponseWriter, _ *http.Request, in *authz.Interaction) {
		shows(t, in)
		first = in.GrantID
		io.WriteString(w, in.ID)
	}
	uri := f.push(b, v)
	id := br.begin(f, uri)
	in, err := br.resume(id)
	if err != nil {
		t.Fatal(err)
	}
	shows(t, in)
	w, err := br.finish(id, b.approval())
	if err != nil {
		t.Fatal(err)
	}
	_, got := f.token(b, f.redeemable(location(t, w.Result()).Get("code")))
	if claims := claimsOf(t, got["access_token"].(string)); claims["grant_id"] != first || in.GrantID != first {
		t.Errorf("GrantID is %q on the first page, %q later, and %v in the token", first, in.GrantID, claims["grant_id"])
	}
	t.Run("what was not asked is empty", func(t *testing.T) {
		b.shown = func(_ http.ResponseWriter, _ *http.Request, in *authz.Interaction) {
			if in.ACRValues != nil || in.Prompt != nil || in.UILocales != nil || in.LoginHint != "" || in.HasMaxAge {
				t.Errorf("%+v", in)
			}
		}
		br.open(f, f.push(b, f.pushable()))
	})
}

func TestReloadWritesNothing(t *testing.T) {
	t.Run("FAPI2-SP-5.3.2.2-N3 five first pages and five later ones", func(t *testing.T) {
		f := keyClient("kakeibo")
		var st *storetest.Faulty
		b := newBank(t, clients(f), func(c *authz.Config) {
			st = &storetest.Faulty{Store: c.Store}
			c.Store = st
		})
		uri := f.push(b, f.pushable())
		writes := st.Count("") - st.Count("Get")
		br := &browser{b: b}
		for range 5 {
			if _, err := br.resume(br.begin(f, uri)); err != nil {
				t.Fatal(err)
			}
		}
		if n := st.Count("") - st.Count("Get"); n != writes {
			t.Errorf("%d writes", n-writes)
		}
		if n := st.Count("Get"); n != 10 {
			t.Errorf("%d reads, want one a page", n)
		}
	})
}
