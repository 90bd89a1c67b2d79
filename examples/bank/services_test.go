package main

import (
	"context"
	"errors"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aikagi/aikagi/authz"
	"github.com/aikagi/aikagi/store"
)

func twoUsers() []any {
	user := func(login, subject string) any {
		return map[string]any{"login": login, "password": "pw", "subject": subject, "name": login}
	}
	return []any{user("hanako", "customer-7"), user("taro", "customer-8")}
}

// signedInAt returns a browser with the customer's list before it.
func signedInAt(t *testing.T, v *variant, login string) *labBrowser {
	t.Helper()
	b := v.browser(t)
	b.get(t, v.issuer+"/services")
	if !signsIn(b) {
		t.Fatalf("no login is asked for: %d\n%s", b.res.StatusCode, b.body)
	}
	b.send(t, v.issuer+"/services", url.Values{"login": {login}, "password": {"pw"}})
	if b.res.StatusCode != http.StatusOK || !strings.Contains(b.body, message("en", "services.title")) {
		t.Fatalf("no list: %d\n%s", b.res.StatusCode, b.body)
	}
	return b
}

// send posts a form to address, as one on a page of b's site.
func (b *labBrowser) send(t *testing.T, address string, form url.Values) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", b.site)
	b.do(t, req)
}

var sectionOf = regexp.MustCompile(`(?s)<section class="service">.*?</section>`)

// sectionFor returns what the page says of a client's only grant.
func sectionFor(t *testing.T, b *labBrowser, client string) string {
	t.Helper()
	for _, section := range sectionOf.FindAllString(b.body, -1) {
		if strings.Contains(section, ">"+client+"<") {
			return section
		}
	}
	t.Fatalf("the page does not show %q:\n%s", client, b.body)
	return ""
}

// grantOf returns the id of a client's only grant.
func grantOf(t *testing.T, b *labBrowser, client string) string {
	t.Helper()
	id := endButton.FindStringSubmatch(sectionFor(t, b, client))
	if id == nil {
		t.Fatalf("no button ends it:\n%s", b.body)
	}
	return html.UnescapeString(id[1])
}

// TestServices: the customer sees what the fintech may do, and ends it.
func TestServices(t *testing.T) {
	t.Parallel()
	v := deployed(t, map[string]any{"users": twoUsers(), "authorization_details_types": []string{"payment_initiation", "loan"}}, nil)
	c := v.clients[0]
	f := v.flow(c)
	f.ask.Set("authorization_details", `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"12.50"},"creditorName":"Merchant A","creditorAccount":{"iban":"DE02100100109307118603"}},`+
		`{"type":"loan","identifier":"`+"\u202e"+`"}]`)
	k := f.complete(t)
	other := v.flow(v.clients[1]).complete(t)

	t.Run("what it is for, since when and until when", func(t *testing.T) {
		section := html.UnescapeString(sectionFor(t, signedInAt(t, v, "hanako"), c.id))
		today := page{Lang: "en"}
		for _, want := range []string{
			message("en", "scope.accounts"), message("en", "scope.transactions"), message("en", "scope.openid"),
			"pay 12.50 EUR to Merchant A (account DE02100100109307118603), once", `"type":"loan"`, `\u{202E}`,
			message("en", "services.since", today.Day(time.Now())), message("en", "services.until", today.Day(time.Now().Add(grantLife))),
		} {
			if !strings.Contains(section, want) {
				t.Errorf("the page lacks %q:\n%s", want, section)
			}
		}
		if strings.Contains(section, "\u202e") {
			t.Error("the page has a character that turns the direction of what follows")
		}
	})
	t.Run("a wrong password stays on the page", func(t *testing.T) {
		b := v.browser(t)
		b.send(t, v.issuer+"/services", url.Values{"login": {"hanako"}, "password": {"wrong"}})
		if !signsIn(b) || !strings.Contains(b.body, message("en", "login.failed")) || strings.Contains(b.body, "wrong") || strings.Contains(b.body, `name="interaction"`) {
			t.Errorf("%d\n%s", b.res.StatusCode, b.body)
		}
	})
	hers := grantOf(t, signedInAt(t, v, "hanako"), c.id)
	end := url.Values{"end": {hers}}
	t.Run("nobody else ends it", func(t *testing.T) {
		stranger := v.browser(t)
		if stranger.send(t, v.issuer+"/services", end); !signsIn(stranger) {
			t.Errorf("no login is asked for:\n%s", stranger.body)
		}
		taro := signedInAt(t, v, "taro")
		if strings.Contains(taro.body, c.id) || !strings.Contains(taro.body, message("en", "services.none")) {
			t.Errorf("another customer sees it:\n%s", taro.body)
		}
		taro.send(t, v.issuer+"/services", end)
		if taro.res.StatusCode != http.StatusOK || strings.Contains(taro.body, "can no longer") {
			t.Errorf("%d\n%s", taro.res.StatusCode, taro.body)
		}
		elsewhere := signedInAt(t, v, "hanako")
		elsewhere.site = "cross-site"
		if elsewhere.send(t, v.issuer+"/services", end); elsewhere.res.StatusCode != http.StatusForbidden {
			t.Errorf("a form of another site: %d", elsewhere.res.StatusCode)
		}
		gone := signedInAt(t, v, "hanako")
		gone.send(t, v.issuer+"/services", url.Values{"leave": {"1"}})
		if gone.send(t, v.issuer+"/services", end); !signsIn(gone) {
			t.Errorf("whoever has left is still signed in:\n%s", gone.body)
		}
		v.served(t, c, k.access, nil)
	})
	t.Run("what is no grant", func(t *testing.T) {
		b := signedInAt(t, v, "hanako")
		for _, id := range []string{"", "g", strings.Repeat("g", 900), "r" + hers[1:], "'; drop table", "\x00"} {
			b.send(t, v.issuer+"/services", url.Values{"end": {id}, "after": {id}})
			if b.res.StatusCode != http.StatusOK || !strings.Contains(b.body, hers) {
				t.Errorf("%.20q: %d\n%s", id, b.res.StatusCode, b.body)
			}
		}
		if b.send(t, v.issuer+"/services", url.Values{"end": {strings.Repeat("x", 20<<10)}}); b.res.StatusCode != http.StatusBadRequest {
			t.Errorf("a form without end: %d", b.res.StatusCode)
		}
	})
	t.Run("FAPI2-SP-5.3.4-3 RFC9700-4.14.2-2 she ends it, and the next call is refused", func(t *testing.T) {
		b := signedInAt(t, v, "hanako")
		b.send(t, v.issuer+"/services", end)
		if !strings.Contains(b.body, message("en", "services.ended", c.id)) || strings.Contains(b.body, hers) {
			t.Errorf("the page:\n%s", b.body)
		}
		v.turnedAway(t, c, k.access)
		if v.renews(t, c, k) {
			t.Error("the fintech still gets tokens")
		}
		v.served(t, v.clients[1], other.access, nil)
		if !v.renews(t, v.clients[1], other) {
			t.Error("another client's grant has ended, too")
		}
		if !strings.Contains(v.stderr.String(), "grant="+hers) {
			t.Errorf("nothing in the log:\n%s", v.stderr)
		}
		b.send(t, v.issuer+"/services", end) // reloaded
		if b.res.StatusCode != http.StatusOK || strings.Contains(b.body, "can no longer") {
			t.Errorf("%d\n%s", b.res.StatusCode, b.body)
		}
	})
	t.Run("the listener for machines has no pages", func(t *testing.T) {
		if r := ask(t, c.naked, mustGet(t, v.machines+"/services")); r.status != http.StatusNotFound {
			t.Errorf("answered %d", r.status)
		}
	})
}

// Pages follow each other, each grant is on one, and ending the last one of the
// last page leads back to the first.
func TestServicesPageByPage(t *testing.T) {
	t.Parallel()
	v := deployed(t, map[string]any{"users": twoUsers()}, nil)
	for range servicesOnPage + 1 {
		v.flow(v.clients[0]).approve(t)
	}
	b := signedInAt(t, v, "hanako")
	seen := make(map[string]bool)
	on := func() (ids []string) {
		for _, m := range endButton.FindAllStringSubmatch(b.body, -1) {
			ids = append(ids, m[1])
			seen[m[1]] = true
		}
		return ids
	}
	first := on()
	next := regexp.MustCompile(`<a class="button quiet" href="([^"]+)">`).FindStringSubmatch(b.body)
	if len(first) != servicesOnPage || next == nil {
		t.Fatalf("%d on the first page, next %q", len(first), next)
	}
	b.get(t, v.issuer+html.UnescapeString(next[1]))
	last := on()
	if len(last) != 1 || len(seen) != servicesOnPage+1 || strings.Contains(b.body, message("en", "services.next")) {
		t.Fatalf("%d on the last page, %d in all:\n%s", len(last), len(seen), b.body)
	}
	after := regexp.MustCompile(`name="after" value="([^"]+)"`).FindStringSubmatch(b.body)
	b.send(t, v.issuer+"/services", url.Values{"end": {last[0]}, "after": {after[1]}})
	if now := on(); len(now) != servicesOnPage || strings.Contains(b.body, message("en", "services.next")) {
		t.Errorf("%d on the page afterwards:\n%s", len(now), b.body)
	}
}

// A login on this page lasts minutes, where no other does.
func TestServicesLogin(t *testing.T) {
	sessions := newSessions("https://bank.example services", visitLife)
	w, now := httptest.NewRecorder(), time.Now()
	r, _, ok := sessions.start(w, httptest.NewRequest(http.MethodPost, "/services", nil), &user{Subject: "s"}, now)
	if !ok || sessions.of(r, now.Add(10*time.Minute)) == nil || sessions.of(r, now.Add(10*time.Minute+time.Second)) != nil {
		t.Error("a visit does not last ten minutes")
	}
	c := w.Result().Cookies()[0]
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || !strings.HasPrefix(c.Name, "__Host-") || c.MaxAge != 600 {
		t.Errorf("the cookie is %v", c)
	}
	if newSessions("https://bank.example", bankSessionLife).of(r, now) != nil {
		t.Error("a visit is a session of the bank")
	}
}

// brokenStore fails whenever it is asked.
type brokenStore struct{ store.Store }

var errBroken = errors.New("the database is away")

func (brokenStore) Get(context.Context, string) (store.Record, error) {
	return store.Record{}, errBroken
}

func (brokenStore) List(context.Context, string, string, int) ([]store.Record, error) {
	return nil, errBroken
}

// An outage is no empty list, and the operator hears of it.
func TestServicesOutage(t *testing.T) {
	dir, config := configDir(t)
	s, err := readConfig(writeConfig(t, dir, config))
	if err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	broken := brokenStore{new(store.Memory)}
	b, err := newBank(s, &storage{Store: broken, lister: broken}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r, _, _ := b.visits.start(w, httptest.NewRequest(http.MethodGet, "/services", nil), &s.users[0], time.Now())
	post := httptest.NewRequest(http.MethodPost, "/services", strings.NewReader("end=g"+strings.Repeat("A", 43)))
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	post.Header.Set("Cookie", r.Header.Get("Cookie"))
	for _, r := range []*http.Request{r, post} {
		w := httptest.NewRecorder()
		b.browsers().ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), message("en", "notice.outage")) || strings.Contains(w.Body.String(), "database") {
			t.Errorf("%s: %d %s", r.Method, w.Code, w.Body)
		}
	}
	if n := strings.Count(log.String(), errBroken.Error()); n != 2 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	if _, err := b.grants.Get(t.Context(), "g"+strings.Repeat("A", 43)); !errors.Is(err, errBroken) || errors.Is(err, authz.ErrNoGrant) {
		t.Errorf("%v: the test tests nothing", err)
	}
}
