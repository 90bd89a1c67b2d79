package main

import (
	"html"
	"html/template"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Every message is there in both languages, with the same verbs, and every
// message that a page or the program asks for exists.
func TestMessages(t *testing.T) {
	verbs := regexp.MustCompile(`%[a-z]`)
	for id, m := range messages {
		if m.en == "" || m.ja == "" {
			t.Errorf("%s is not there in both languages", id)
		}
		if en, ja := verbs.FindAllString(m.en, -1), verbs.FindAllString(m.ja, -1); strings.Join(en, "") != strings.Join(ja, "") {
			t.Errorf("%s: verbs %q in English, %q in Japanese", id, en, ja)
		}
	}
	used := map[string]bool{"bank": true, "fintech": true}
	asked := regexp.MustCompile(`\.T "([a-z.0-9]+)"`)
	for _, name := range pageNames(t) {
		b, err := pageFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllStringSubmatch(string(b), -1) {
			used[m[1]] = true
			if _, ok := messages[m[1]]; !ok {
				t.Errorf("%s asks for message %q, which is not there", name, m[1])
			}
		}
	}
	inProgram := regexp.MustCompile(`"((?:home|story|step|key|do|history|thief|ended|trouble|services|login|logout|error|consent|details|scope|notice|demo|terminal)\.[a-z.]+)"`)
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") || name == "messages.go" {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inProgram.FindAllStringSubmatch(string(b), -1) {
			used[m[1]] = true
			if _, ok := messages[m[1]]; !ok {
				t.Errorf("%s asks for message %q, which is not there", name, m[1])
			}
		}
	}
	for id := range messages {
		if !used[id] && !strings.HasPrefix(id, "scope.") && !strings.HasPrefix(id, "claim.") {
			t.Errorf("%s is never shown", id)
		}
	}
	if len(used) < 40 {
		t.Errorf("only %d messages are used by the pages: the test does not find them", len(used))
	}
}

func pageNames(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil || len(names) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	return names
}

// nasty is what a hostile client, customer or bank may call itself.
const nasty = `"><script>alert('x')</script><b onclick=a()>&amp;{{.}}`

// examplePages returns every page in every state, full of what s says.
func examplePages(s string) map[string]page {
	key := &accessKey{Token: s, Header: s, Claims: s, Binding: byCertificate, Bound: s, Hand: s, Expires: time.Unix(0, 0)}
	sealed := *key
	sealed.Binding = byProof
	stamp := &proof{JWT: s, Header: s, Claims: s, Nonce: s}
	texts := map[string]string{"en": s, "ja": s}
	type data struct {
		*story
		Hint     *user
		Services string
	}
	hint := &user{Login: s, Password: s}
	sent := &pushed{Sent: url.Values{s: {s}}, RequestURI: s, Authorize: "https://bank.example/authorize?" + url.QueryEscape(s)}
	stamped := *sent
	stamped.Proof = stamp
	told := &story{
		Binding: byCertificate, Pushed: sent, Code: s, Key: key, Renewed: key,
		History: &history{Account: account{ID: s, Name: texts}, Transactions: []transaction{{Date: s, Text: texts}}},
		Thief:   []attempt{{Who: "thief.bare", Reason: s, Challenge: s, Body: s}, {Who: "thief.owner", Opened: true, Right: true}},
		Ended:   []attempt{{Who: "ended.key", Reason: s, Challenge: s, Right: true}, {Who: "ended.renew", Body: s, Right: true}},
		Trouble: &trouble{"trouble.push", s},
	}
	toldOfSeal := *told
	toldOfSeal.Binding, toldOfSeal.Pushed, toldOfSeal.Key, toldOfSeal.Renewed = byProof, &stamped, &sealed, &sealed
	toldOfSeal.History = &history{Account: told.History.Account, Transactions: told.History.Transactions, Proof: stamp}
	toldOfSeal.Thief = []attempt{{Who: "thief.noproof", Reason: s, Challenge: s}, {Who: "thief.ownproof"}, {Who: "thief.replay"}, {Who: "thief.owner"}}
	toldOfSeal.Ended = []attempt{{Who: "ended.key", Opened: true}}
	return map[string]page{
		"story 3": {Side: "fintech", Title: "story.title", Data: data{&toldOfSeal, hint, "https://bank.example/services"}},
		"home":    {Side: "fintech", Title: "home.title"},
		"story":   {Side: "fintech", Title: "story.title", Data: data{told, hint, s}},
		"story 1": {Side: "fintech", Title: "story.title", Data: data{&story{Pushed: sent}, hint, s}},
		"story 2": {Side: "fintech", Title: "story.title", Data: data{&story{Pushed: sent, Denied: s}, hint, s}},
		"login":   {Side: "bank", Title: "login.title", Data: loginPage{ID: s, Action: "/login", Client: s, Login: s, Trouble: "login.failed", Hint: hint}},
		"consent": {Side: "bank", Title: "consent.title", Data: consentPage{ID: s, Action: "/consent", Client: s, Host: s, Customer: s, Scopes: []string{"accounts", s}, Details: []string{s}, Claims: []string{s}}},
		"services": {Side: "bank", Title: "services.title", Data: servicesPage{
			Action: "/services", Customer: s, After: "g1", Next: "/services?after=g2", Ended: s,
			Services: []service{{ID: s, Client: s, Since: time.Unix(0, 0), Allowed: []string{s}}, {ID: "g2", Client: s, Until: time.Unix(0, 0)}},
		}},
		"services 2": {Side: "bank", Title: "services.title", Data: servicesPage{Customer: s}},
		"login 2":    {Side: "bank", Title: "login.title", Data: loginPage{Action: "/services", Login: s}},
		"notice":     {Side: "bank", Title: "notice.title", Data: "notice.unknown"},
	}
}

func renderExample(name, lang string, p page) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Language", lang)
	w := httptest.NewRecorder()
	name, _, _ = strings.Cut(name, " ")
	render(w, r, http.StatusOK, name, p)
	return w
}

func TestPagesInBothLanguages(t *testing.T) {
	japanese := regexp.MustCompile(`[\p{Hiragana}\p{Katakana}\p{Han}]`)
	for name, p := range examplePages("plain") {
		for _, lang := range []string{"en", "ja"} {
			t.Run(name+" "+lang, func(t *testing.T) {
				w := renderExample(name, lang, p)
				body := w.Body.String()
				if w.Code != http.StatusOK || !strings.Contains(body, "</html>") {
					t.Fatalf("%d: %s", w.Code, body)
				}
				if !strings.Contains(body, `<html lang="`+lang+`">`) || w.Header().Get("Content-Language") != lang {
					t.Error("the language is not declared")
				}
				if got := japanese.MatchString(body); got != (lang == "ja") {
					t.Errorf("has Japanese: %v", got)
				}
				if strings.Contains(body, "%!") {
					t.Error("a message is formatted wrongly")
				}
				if !strings.Contains(body, message(lang, p.Title)) {
					t.Error("the title is missing")
				}
			})
		}
	}
}

// The first page offers both hands, and the story keeps to the words of the one
// that was chosen.
func TestPagesOfEachHand(t *testing.T) {
	pages := examplePages("plain")
	own := map[string][]string{
		"story":   {"step.code.say", "step.key.say", "key.hand", "step.history.say", "step.renewed.say", "step.thief.say", "do.seal", "step.ended.say"},
		"story 3": {"step.pushed.seal", "step.code.seal", "step.key.seal", "key.seal", "step.history.seal", "step.renewed.seal", "step.thief.seal", "stamp.title", "stamp.nonce", "do.certificate", "step.ended.not", "do.retry", "do.services"},
	}
	for _, lang := range []string{"en", "ja"} {
		home := renderExample("home", lang, pages["home"]).Body.String()
		for _, value := range []binding{byCertificate, byProof} {
			if !strings.Contains(home, `<input type="radio" name="binding" value="`+string(value)+`"`) {
				t.Errorf("%s: the first page does not offer %q", lang, value)
			}
		}
		if strings.Count(home, " checked>") != 1 {
			t.Errorf("%s: the first page does not choose one hand beforehand", lang)
		}
		for name := range own {
			body := html.UnescapeString(renderExample(name, lang, pages[name]).Body.String())
			for of, ids := range own {
				for _, id := range ids {
					if got := strings.Contains(body, message(lang, id)); got != (of == name) {
						t.Errorf("%s in %s: has %s: %v", name, lang, id, got)
					}
				}
			}
		}
	}
}

// Whatever comes from elsewhere is text: no page gains an element or an
// attribute by it.
func TestPagesEscape(t *testing.T) {
	tag, quoted := regexp.MustCompile(`<[^>]*>`), regexp.MustCompile(`"[^"]*"`)
	for name, p := range examplePages(nasty) {
		t.Run(name, func(t *testing.T) {
			body := renderExample(name, "en", p).Body.String()
			if strings.Contains(body, "<script") || strings.Contains(body, "<b ") {
				t.Errorf("not escaped:\n%s", body)
			}
			if name != "home" && name != "notice" && !strings.Contains(body, template.HTMLEscapeString("<script>")) {
				t.Error("what came from elsewhere is not shown at all: the test tests nothing")
			}
			for _, found := range tag.FindAllString(body, -1) {
				if strings.Contains(quoted.ReplaceAllString(found, ""), "onclick") {
					t.Errorf("an attribute was gained: %s", found)
				}
			}
		})
	}
}

func TestPageHeaders(t *testing.T) {
	h := renderExample("home", "en", page{Side: "fintech", Title: "home.title"}).Header()
	for name, want := range map[string]string{
		"Content-Security-Policy":   "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Frame-Options":           "DENY",
		"X-Content-Type-Options":    "nosniff",
		"Referrer-Policy":           "no-referrer",
		"Cache-Control":             "no-store",
		"Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload",
		"Content-Type":              "text/html; charset=utf-8",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// No page has anything that its own policy would block.
func TestPagesNeedNoScript(t *testing.T) {
	blocked := regexp.MustCompile(`(?i)<script|<style|<img|<iframe|\sstyle=|\son[a-z]+=|javascript:|https?://`)
	for _, name := range pageNames(t) {
		b, err := pageFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := blocked.FindString(string(b)); found != "" {
			t.Errorf("%s has %q", name, found)
		}
	}
}

func TestHostsOf(t *testing.T) {
	tests := []struct {
		name string
		uris []string
		want string
	}{
		{"one", []string{"https://app.example/cb?x=1"}, "app.example"},
		{"two of one origin", []string{"https://app.example/a", "https://app.example/b"}, "app.example"},
		{"port", []string{"https://app.example:8443/a"}, "app.example:8443"},
		{"more than a host", []string{"https://a.example;script-src/cb", "https://b.example,x/cb", "https://*/cb", "https://a'b/cb"}, ""},
		{"no host", []string{"com.example.app:/cb"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(hostsOf(tt.uris), " "); got != tt.want {
				t.Errorf("hostsOf(%q) = %q, want %q", tt.uris, got, tt.want)
			}
		})
	}
}

func TestLanguage(t *testing.T) {
	tests := []struct{ accept, want string }{
		{"", "en"},
		{"ja", "ja"},
		{"ja-JP,ja;q=0.9,en;q=0.8", "ja"},
		{"en-GB,en;q=0.9,ja;q=0.8", "en"},
		{"fr,de;q=0.9", "en"},
		{"fr, ja;q=0.2", "ja"},
		{"en;q=0.3, JA;q=0.7", "ja"},
		{"ja;q=0, en;q=0.1", "en"},
		{"ja;q=x", "en"},
		{"jam", "en"},
	}
	for _, tt := range tests {
		if got := language(tt.accept); got != tt.want {
			t.Errorf("language(%q) = %q, want %q", tt.accept, got, tt.want)
		}
	}
}

func TestYen(t *testing.T) {
	for amount, want := range map[int]string{0: "¥0", 999: "¥999", 1000: "¥1,000", -1280: "−¥1,280", 1234567: "¥1,234,567"} {
		if got := (page{}).Yen(amount); got != want {
			t.Errorf("Yen(%d) = %q, want %q", amount, got, want)
		}
	}
}
