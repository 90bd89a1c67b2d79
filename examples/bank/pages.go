package main

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed pages
var pageFiles embed.FS

// templates has every page by name. A page is layout.html with a body of its
// own.
var templates = func() map[string]*template.Template {
	m := make(map[string]*template.Template)
	for _, name := range []string{"home", "story", "login", "consent", "services", "logout", "error", "notice"} {
		m[name] = template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/icons.html", "pages/"+name+".html"))
	}
	return m
}()

// A page is what a template shows.
type page struct {
	Lang  string // en or ja
	Side  string // bank or fintech: whose page it is
	Style string // path of the style sheet
	Title string // message id
	Data  any
}

// T returns a message in the page's language. The template escapes it.
func (p page) T(id string, args ...any) string { return message(p.Lang, id, args...) }

// Text returns what the API said in several languages, in the page's.
func (p page) Text(m map[string]string) string {
	if s := m[p.Lang]; s != "" {
		return s
	}
	return m["en"]
}

// Scope returns a scope in words. One that has none is shown as it is.
func (p page) Scope(scope string) string {
	if _, ok := messages["scope."+scope]; ok {
		return p.T("scope." + scope)
	}
	return scope
}

// Claims returns the names of claims in words, one after the other. One that
// has none is shown as it is, and one in several languages once (OIDC Core, 5.2).
func (p page) Claims(names []string) string {
	var words []string
	for _, name := range names {
		plain, _, _ := strings.Cut(name, "#")
		if _, ok := messages["claim."+plain]; ok {
			name = p.T("claim." + plain)
		}
		if !slices.Contains(words, name) {
			words = append(words, name)
		}
	}
	if p.Lang == "ja" {
		return strings.Join(words, "、")
	}
	return strings.Join(words, ", ")
}

// Yen returns an amount with its thousands apart.
func (p page) Yen(amount int) string {
	sign, digits := "", strconv.Itoa(amount)
	if amount < 0 {
		sign, digits = "−", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + "¥" + digits
}

// Clock returns a time of day.
func (p page) Clock(t time.Time) string { return t.Format(time.TimeOnly) }

// Day returns a day, as the pages write it.
func (p page) Day(t time.Time) string {
	if p.Lang == "ja" {
		return t.Local().Format("2006年1月2日")
	}
	return t.Local().Format("January 2, 2006")
}

// WithKey hands a key to a template of its own, with the page for its words.
func (p page) WithKey(k *accessKey, open bool) any {
	return struct {
		Page page
		Key  *accessKey
		Open bool // whether its content is unfolded
	}{p, k, open}
}

// WithAttempts hands attempts to a template of its own, with the page for its
// words, and whether each was to end in one way.
func (p page) WithAttempts(attempts []attempt, judged bool) any {
	return struct {
		Page     page
		Attempts []attempt
		Judged   bool
	}{p, attempts, judged}
}

// WithProof hands a proof to a template of its own, with the page for its words.
func (p page) WithProof(made *proof) any {
	return struct {
		Page  page
		Proof *proof
	}{p, made}
}

// render shows a page in the language that the browser prefers. Its forms may
// end at the sources in formTargets, beside the bank itself.
func render(w http.ResponseWriter, r *http.Request, status int, name string, p page, formTargets ...string) {
	if p.Lang == "" {
		p.Lang = language(r.Header.Get("Accept-Language"))
	}
	if p.Style == "" {
		p.Style = "/style.css"
	}
	renderWith(w, status, templates[name].Lookup("layout"), p, p.Lang, formTargets...)
}

// renderWith is render for any template.
func renderWith(w http.ResponseWriter, status int, t *template.Template, data any, lang string, formTargets ...string) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	secure(w.Header(), formTargets)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", lang)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser is gone if this fails
}

// notice shows a page with one message.
func notice(w http.ResponseWriter, r *http.Request, side string, status int, id string) {
	render(w, r, status, "notice", page{Side: side, Title: "notice.title", Data: id})
}

// secure sets what every page carries: nothing from elsewhere, no script at
// all, no frame around it, nothing kept, nothing told to the next page.
//
// Browsers hold form-action against every redirect that follows a form, too; see
// anySite.
func secure(h http.Header, formTargets []string) {
	h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains; preload")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+strings.Join(append([]string{"'self'"}, formTargets...), " ")+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// anySite is where a form may end that sends the customer to a client: at the
// client's callback, and wherever that sends on to, which is the client's
// business. With the client's origin alone, Chromium would keep the customer of
// one whose callback has a host of its own at the bank (browsertest shows it).
const anySite = "https:"

// plainHost is a host, with or without port, that reads as it is.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)

// hostsOf returns the hosts of a client's redirect URIs.
func hostsOf(redirectURIs []string) []string {
	var hosts []string
	for _, s := range redirectURIs {
		u, err := url.Parse(s)
		if err == nil && plainHost.MatchString(u.Host) && !slices.Contains(hosts, u.Host) {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts
}

// serveStyle serves the one style sheet.
func serveStyle(w http.ResponseWriter, _ *http.Request) {
	b, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(b)
}

// language returns the language to answer in, from Accept-Language.
func language(accept string) string { return cmp.Or(preferred(accept), "en") }

// preferred returns the language that the pages have and that accept likes
// best, or "". Weights are as in Accept-Language (RFC 9110, 12.5.4).
func preferred(accept string) string {
	best, weight := "", 0.0
	for _, part := range strings.Split(accept, ",") {
		tag, params, _ := strings.Cut(part, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if (primary == "ja" || primary == "en") && q > weight {
			best, weight = primary, q
		}
	}
	return best
}

// message returns a message in a language.
func message(lang, id string, args ...any) string {
	m := messages[id]
	text := m.en
	if lang == "ja" {
		text = m.ja
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}
