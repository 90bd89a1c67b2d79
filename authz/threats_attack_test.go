package authz_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/internal/grant"
	"github.com/aikagi/aikagi/pkce"
	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/store/storetest"
)

// A thief's copy has every record that was ever written, whatever became of it.
type thiefsCopy struct {
	store.Store
	mu      sync.Mutex
	records []store.Record
}

func (s *thiefsCopy) take(r store.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Value, r.Tags = bytes.Clone(r.Value), slices.Clone(r.Tags)
	s.records = append(s.records, r)
}

func (s *thiefsCopy) Create(ctx context.Context, r store.Record) error {
	s.take(r)
	return s.Store.Create(ctx, r)
}

func (s *thiefsCopy) Replace(ctx context.Context, version string, r store.Record) error {
	s.take(r)
	return s.Store.Replace(ctx, version, r)
}

// has reports whether the copy has secret, or what it stands for, in the clear.
func (s *thiefsCopy) has(secret string) bool {
	forms := [][]byte{[]byte(secret)}
	if raw, err := base64.RawURLEncoding.DecodeString(secret); err == nil && len(raw) >= 16 {
		forms = append(forms, raw, raw[max(0, len(raw)-32):]) // of a handle, the part that opens
	}
	return slices.ContainsFunc(s.records, func(r store.Record) bool {
		all := []byte(r.Key + "\n" + r.Version + "\n" + strings.Join(r.Tags, "\n") + "\n" + string(r.Value))
		return slices.ContainsFunc(forms, func(form []byte) bool { return bytes.Contains(all, form) })
	})
}

// TestStolenStore: who reads the database, all of it and of all times, can sign
// in nowhere with what is there.
func TestStolenStore(t *testing.T) {
	f, k := keyClient("kakeibo").dpop(), newProofKey()
	veiled, old := keyClient("veiled").opaque(), keyClient("old").hybrid()
	copied := new(thiefsCopy)
	p := newParted(t, clients(f, veiled, old), func(c *authz.Config) {
		c.Profiles = []authz.Profile{authz.FAPI2Security, authz.FAPI1Advanced}
		copied.Store, c.Store = c.Store, copied
	})
	f.Profile, veiled.Profile = authz.FAPI2Security, authz.FAPI2Security
	b := p.bank

	secrets := map[string]string{"code_verifier": verifier, "bank's session": session, "password": "correct-horse-battery"}
	send := func(name, path string, form url.Values) map[string]any {
		secrets[name+" assertion"] = form.Get("client_assertion")
		secrets[name+" assertion's jti"] = claimsOf(t, form.Get("client_assertion"))["jti"].(string)
		proof := k.claims(b, path)
		secrets[name+" proof's jti"] = proof["jti"].(string)
		r := f.request(path, form)
		r.Header.Set("DPoP", k.sign(proof))
		return object(t, b.do(r))
	}
	object := f.asks(b, f.pushable())
	secrets["request object's jti"] = object["jti"].(string)
	uri := send("push", "/par", f.authenticate(b, url.Values{"request": {f.object(object)}}))["request_uri"].(string)
	secrets["request_uri"] = strings.TrimPrefix(uri, "urn:ietf:params:oauth:request_uri:")
	br := &browser{b: b}
	id := br.begin(f, uri)
	secrets["interaction"], secrets["browser's cookie"] = id, br.cookies[0].Value
	w, err := br.finish(id, p.signedIn())
	if err != nil {
		t.Fatal(err)
	}
	code := location(t, w.Result()).Get("code")
	secrets["code"] = code
	redeem := f.redeemable(code)
	redeem.Set("username", "hanako")
	redeem.Set("password", secrets["password"])
	redeemed := send("code", "/token", f.authenticate(b, redeem))
	opaque := veiled.tokensIn(p)
	for name, text := range map[string]any{
		"access token": redeemed["access_token"], "refresh token": redeemed["refresh_token"], "ID token": redeemed["id_token"],
		"opaque access token": opaque["access_token"], "other refresh token": opaque["refresh_token"],
	} {
		secrets[name] = text.(string)
	}
	veiled.revoke(b, just(opaque["access_token"]))
	byValue := old.asks(b, old.wants())
	secrets["by value jti"] = byValue["jti"].(string)
	secrets["hybrid code"] = fragment(t, (&browser{b: b}).decideAt(old.byValue(byValue), p.signedIn())).Get("code")

	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		t.Run("T-4.3.2 T-4.4.1.2 T-4.5.2 C-5.1.4.1.3 C-5.1.6 no "+name, func(t *testing.T) {
			for _, part := range strings.Split(secrets[name], ".") {
				if len(part) < 16 {
					t.Fatalf("%q is no secret", part)
				}
				if copied.has(part) {
					t.Errorf("the store has %q", part)
				}
			}
		})
	}
	t.Run("T-4.3.2 the copy is looked through", func(t *testing.T) {
		if !copied.has(customer) || !copied.has(callback) || len(copied.records) < 10 {
			t.Error("what is known to be in the store was not found")
		}
	})
	t.Run("C-5.1.5.2 T-4.4.1.11 every record ends", func(t *testing.T) {
		last := b.clock.Now().Add(b.config.GrantLifetime + time.Hour)
		for _, r := range copied.records {
			if !r.Expires.After(b.clock.Now()) || r.Expires.After(last) {
				t.Errorf("%c is kept until %v", r.Key[0], r.Expires)
			}
		}
	})
	t.Run("T-4.5.2 a digest opens nothing", func(t *testing.T) { digestsOpenNothing(t, b, copied.records, veiled, opaque) })
}

// digestsOpenNothing offers what the store has of a handle as the handle.
func digestsOpenNothing(t *testing.T, b *bank, records []store.Record, f *fintech, got map[string]any) {
	tried := 0
	for _, r := range records {
		if r.Key[0] != byte(grant.KindGrant) {
			continue
		}
		g, err := grant.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []grant.Digest{g.Code.Secret, g.Refresh} {
			stolen := grant.Handle{Locator: g.Locator, Secret: grant.Secret(d)}.String()
			refused(t, b.do(f.request("/token", f.authenticate(b, f.redeemable(stolen)))), 400, "invalid_grant")
			refused(t, b.do(f.request("/token", f.authenticate(b, refreshed(stolen)))), 400, "invalid_grant")
			tried++
		}
	}
	if status, _ := f.token(b, refreshed(got["refresh_token"])); tried < 6 || status != 200 {
		t.Errorf("%d tried; the client's own refresh token: %d", tried, status)
	}
}

// TestManufactured: what cannot be a handle costs the store nothing, a guess
// costs one read, and neither writes.
func TestManufactured(t *testing.T) {
	f := tlsClient("kakeibo") // whose authentication needs no store
	var far *storetest.Faulty
	b := newBank(t, clients(f), func(c *authz.Config) {
		far = &storetest.Faulty{Store: c.Store}
		c.Store = far
	})
	redeem := func(text string) *http.Request { return f.request("/token", f.authenticate(b, f.redeemable(text))) }
	doors := map[string]func(text string) *http.Request{
		"code":          redeem,
		"refresh token": func(text string) *http.Request { return f.request("/token", f.authenticate(b, refreshed(text))) },
		"request_uri": func(text string) *http.Request {
			return get(authorizeURL(url.Values{"client_id": {f.ID}, "request_uri": {"urn:ietf:params:oauth:request_uri:" + text}}))
		},
		"revoked token": func(text string) *http.Request { return f.request("/revoke", f.authenticate(b, just(text))) },
		"asked token":   func(text string) *http.Request { return f.request("/introspect", f.authenticate(b, just(text))) },
		"access token":  func(text string) *http.Request { return f.asksInfo(b, text, nil) },
	}
	guess := grant.NewHandle().String()
	for door, at := range doors {
		for name, text := range map[string]string{
			"one character": "A", "a character less": guess[1:], "a character more": guess + "A", "of another format": "Ag" + guess[2:],
			"with a line break": guess[:65] + "\n", "in standard base64": guess[:65] + "+", "a JWT": "eyJhbGciOiJub25lIn0.e30.AAAA",
			"30,000 characters": strings.Repeat("A", 30_000), "an injection": "' OR 1=1; DROP TABLE kv; --", "a path": "../../etc/passwd",
		} {
			t.Run("T-4.4.1.12 C-5.1.4.1.2 "+door+" "+name, func(t *testing.T) {
				before := far.Count("")
				res := b.do(at(text))
				if n := far.Count("") - before; n != 0 {
					t.Errorf("the store was asked %d times", n)
				}
				if res.StatusCode == 200 && door != "revoked token" && door != "asked token" || res.StatusCode >= 500 {
					t.Errorf("answer is %d", res.StatusCode)
				}
			})
		}
		if door == "access token" {
			continue // no access token is a handle
		}
		t.Run("T-4.4.1.3 T-4.5.3 a guessed "+door, func(t *testing.T) {
			reads, all := far.Count("Get"), far.Count("")
			b.do(at(grant.NewHandle().String()))
			if reads, all = far.Count("Get")-reads, far.Count("")-all; reads != 1 || all != 1 {
				t.Errorf("the store was read %d times and asked %d times", reads, all)
			}
		})
	}
	t.Run("T-4.4.1.12 nobody reaches the store with another's code and no certificate", func(t *testing.T) {
		code := f.code(b)
		before := far.Count("")
		r := redeem(code)
		r.TLS.PeerCertificates = nil
		refused(t, b.do(r), 401, "invalid_client")
		if n := far.Count("") - before; n != 0 {
			t.Errorf("the store was asked %d times", n)
		}
		if status, _ := f.token(b, f.redeemable(code)); status != 200 {
			t.Errorf("the client's own request: %d", status)
		}
	})
}

// TestPhishedCode: a code that went to the wrong place is worth nothing there,
// and no attempt takes it from its owner.
func TestPhishedCode(t *testing.T) {
	f, phisher := keyClient("kakeibo"), keyClient("phisher")
	b := newBank(t, clients(f, phisher))
	code := f.code(b)
	for name, try := range map[string]func() *http.Request{
		"T-4.4.1.5 T-4.4.1.13 all that travels with it, at the phisher's own client": func() *http.Request {
			return phisher.request("/token", phisher.authenticate(b, f.redeemable(code)))
		},
		"T-4.4.1.5 by the client's name without its key": func() *http.Request {
			v := phisher.authenticate(b, f.redeemable(code))
			v.Set("client_id", f.ID)
			return phisher.request("/token", v)
		},
		"T-4.4.1.5 signed by a key of the phisher's": func() *http.Request {
			own := *f
			own.key = newEC()
			return f.request("/token", own.authenticate(b, f.redeemable(code)))
		},
		"T-4.4.1.6 in another session at the honest client": func() *http.Request {
			return f.request("/token", f.authenticate(b, with(f.redeemable(code), "code_verifier", pkce.NewVerifier())))
		},
		"T-4.4.1.7 by a counterfeit of the client at its own address": func() *http.Request {
			return f.request("/token", f.authenticate(b, with(f.redeemable(code), "redirect_uri", "https://evil.example/cb")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if res := b.do(try()); res.StatusCode != 400 && res.StatusCode != 401 || object(t, res)["access_token"] != nil {
				t.Errorf("answer is %d", res.StatusCode)
			}
		})
	}
	t.Run("T-4.4.1.5 and the owner still redeems it", func(t *testing.T) {
		if status, got := f.token(b, f.redeemable(code)); status != 200 {
			t.Errorf("%d %v", status, got)
		}
	})
}

// TestAfterACrash: what one node has seen used, the next one refuses, also if
// the first died before it could answer.
func TestAfterACrash(t *testing.T) {
	f := keyClient("kakeibo")
	start := func(t *testing.T) (first, second *bank, lost *storetest.Faulty) {
		first = newBank(t, clients(f), func(c *authz.Config) {
			lost = &storetest.Faulty{Store: c.Store}
			c.Store = lost
		})
		second = newBank(t, clients(f), func(c *authz.Config) { c.Store, c.Now = first.config.Store, first.clock.Now })
		second.clock = first.clock
		return first, second, lost
	}
	t.Run("X-24 T-4.4.1.1 an assertion, a code and a request that the first node saw", func(t *testing.T) {
		first, second, _ := start(t)
		uri := f.push(first, f.pushable())
		res, err := (&browser{b: first}).decide(f, uri, first.approval())
		if err != nil {
			t.Fatal(err)
		}
		form := f.authenticate(first, f.redeemable(location(t, res).Get("code")))
		got := object(t, first.do(f.request("/token", form)))
		refused(t, second.do(f.request("/token", form)), 401, "invalid_client")
		refusedPage(t, (&browser{b: second}).open(f, uri), "invalid_request_uri")
		if status, _ := f.token(second, refreshed(got["refresh_token"])); status != 200 {
			t.Errorf("a replayed assertion ended the grant: %d", status)
		}
		refused(t, second.do(f.request("/token", f.authenticate(second, f.redeemable(form.Get("code"))))), 400, "invalid_grant")
		if err := f.check(second, got["access_token"].(string)); err == nil {
			t.Error("C-5.2.1.1: the access token outlives the replay")
		}
	})
	t.Run("X-24 T-4.4.1.1 a code that was claimed as the first node died", func(t *testing.T) {
		first, second, lost := start(t)
		code := f.code(first)
		lost.LoseReply = func(op, _ string) bool { return op == "Replace" }
		if status, got := f.token(first, f.redeemable(code)); status < 500 || got["access_token"] != nil {
			t.Fatalf("%d %v", status, got)
		}
		lost.LoseReply = nil
		refused(t, second.do(f.request("/token", f.authenticate(second, f.redeemable(code)))), 400, "invalid_grant")
	})
}

// TestImpostorsLearnNothing: one answer for a client that does not exist, one
// that was thrown out and one whose key is not at hand.
func TestImpostorsLearnNothing(t *testing.T) {
	f, stranger := keyClient("kakeibo"), keyClient("stranger")
	out := keyClient("thrown-out")
	out.CertificateBoundTokens = false // it fits no profile
	b := newBank(t, clients(f, out))
	replayed := f.authenticate(b, url.Values{"grant_type": {"client_credentials"}})
	if res := b.do(f.request("/token", maps.Clone(replayed))); res.StatusCode != 200 {
		t.Fatalf("%d", res.StatusCode)
	}
	forms := map[string]func(url.Values) url.Values{
		"a client that does not exist": func(v url.Values) url.Values { return stranger.authenticate(b, v) },
		"a client that is not served":  func(v url.Values) url.Values { return out.authenticate(b, v) },
		"a key of somebody else": func(v url.Values) url.Values {
			own := *f
			own.key = newEC()
			return own.authenticate(b, v)
		},
		"an assertion that has expired": func(v url.Values) url.Values {
			c := f.assertion(b)
			c["exp"] = b.clock.Now().Unix() - 3600
			return f.asserting(v, f.signed(c))
		},
		"an assertion that was used": func(v url.Values) url.Values {
			return f.asserting(v, replayed.Get("client_assertion"))
		},
	}
	type answer struct {
		Status int
		Header http.Header
		Body   string
	}
	for path, form := range map[string]url.Values{
		"/token": {"grant_type": {"client_credentials"}}, "/par": f.pushable(), "/revoke": just("x"), "/introspect": just("x"),
	} {
		t.Run("X-22 at "+path, func(t *testing.T) {
			answers := map[string]answer{}
			for name, fill := range forms {
				res := b.do(f.request(path, fill(maps.Clone(form))))
				body, _ := io.ReadAll(res.Body)
				answers[name] = answer{res.StatusCode, res.Header, string(body)}
			}
			want := answers["a key of somebody else"]
			if want.Status != 401 {
				t.Errorf("%+v", want)
			}
			for name, got := range answers {
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s: %s", name, d)
				}
			}
		})
	}
}

// TestThrownOut: a client that the bank takes out of its registry gets nothing
// from that moment on, whatever it still holds.
func TestThrownOut(t *testing.T) {
	f := keyClient("kakeibo")
	reg := &registry{c: f.Client}
	b := newBank(t, nil, func(c *authz.Config) { c.Clients = reg })
	got, code := f.tokens(b), f.code(b)
	reg.change(func(r *registry, _ *authz.Client) { r.err = authz.ErrNoClient })
	for name, r := range map[string]*http.Request{
		"code":               f.request("/token", f.authenticate(b, f.redeemable(code))),
		"refresh token":      f.request("/token", f.authenticate(b, refreshed(got["refresh_token"]))),
		"client_credentials": f.request("/token", f.authenticate(b, url.Values{"grant_type": {"client_credentials"}})),
		"push":               f.request("/par", f.authenticate(b, f.pushable())),
		"introspection":      f.request("/introspect", f.authenticate(b, just(got["access_token"]))),
	} {
		t.Run("T-4.1.1 C-5.2.3.6 "+name, func(t *testing.T) { refused(t, b.do(r), 401, "invalid_client") })
	}
	t.Run("T-4.1.1 C-5.2.3.6 userinfo", func(t *testing.T) {
		if res := b.do(f.asksInfo(b, got["access_token"].(string), nil)); res.StatusCode != 401 {
			t.Errorf("%d", res.StatusCode)
		}
	})
}
