package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// A scene is one step of the story as -demo plays it. Act does it and returns
// what there is to see, or why it did not go as it should.
type scene struct {
	title string // message id
	act   func(context.Context) ([]string, error)
}

// play tells the story on w, once with each binding, as a customer would live
// it with a browser that has no script. The error says which step failed.
func play(ctx context.Context, w io.Writer, lang string, s *stage) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	fmt.Fprintf(w, "%s\n", message(lang, "home.title"))
	return errors.Join(
		playWith(ctx, w, lang, s, byCertificate, "home.certificate", "home.certificate.say"),
		playWith(ctx, w, lang, s, byProof, "home.seal", "home.seal.say"),
	)
}

// playWith tells the story with one binding, which the messages title and say
// describe.
func playWith(ctx context.Context, w io.Writer, lang string, s *stage, how binding, title, say string) error {
	v, err := newVisitor(s, lang, how)
	if err != nil {
		return err
	}
	defer v.http.CloseIdleConnections()
	fmt.Fprintf(w, "\n== %s ==\n%s\n\n", message(lang, title), message(lang, say))
	for i, scene := range v.scenes() {
		facts, err := scene.act(ctx)
		if err != nil {
			return fmt.Errorf("%s: step %d, %s: %w", message(lang, title), i+1, message(lang, scene.title), err)
		}
		fmt.Fprintf(w, "%d. %s\n", i+1, message(lang, scene.title))
		for _, fact := range facts {
			fmt.Fprintf(w, "   %s\n", fact)
		}
	}
	fmt.Fprintf(w, "\n%s\n", message(lang, "thief.end"))
	return nil
}

// A visitor is the customer at a browser: cookies, links and forms.
type visitor struct {
	stage *stage
	lang  string
	how   binding // the choice on the first page
	http  *http.Client
	page  string   // the page shown
	at    *url.URL // where it is
}

func newVisitor(s *stage, lang string, how binding) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	h := newHTTPClient(s.pki.roots)
	h.Jar, h.CheckRedirect = jar, nil
	return &visitor{stage: s, lang: lang, how: how, http: h}, nil
}

func (v *visitor) scenes() []scene {
	return []scene{
		{"step.home", v.arrive},
		{"step.pushed", v.connect},
		{"step.login", v.signIn},
		{"step.consent", v.approve},
		{"step.key", v.lookAtKey},
		{"step.history", v.history},
		{"step.renewed", v.renew},
		{"step.thief", v.thief},
		{"step.ended", v.takeBack},
	}
}

func (v *visitor) arrive(ctx context.Context) ([]string, error) {
	if err := v.get(ctx, v.stage.url); err != nil {
		return nil, err
	}
	return []string{v.stage.url}, v.sees("home.title")
}

func (v *visitor) connect(ctx context.Context) ([]string, error) {
	if err := v.submit(ctx, "/connect", url.Values{"binding": {string(v.how)}}); err != nil {
		return nil, err
	}
	p := v.story().Pushed
	if p == nil {
		return nil, v.trouble("nothing was pushed")
	}
	facts := []string{"POST /par  " + strings.ReplaceAll(p.Sent.Encode(), "&", "  ")}
	if (p.Proof != nil) != v.how.ByProof() {
		return nil, errors.New("the stamp is missing, or there is one too many")
	}
	facts = append(facts, shown(p.Proof)...)
	return append(facts, fmt.Sprintf("201  %s  (%d s)", p.RequestURI, p.ExpiresIn)), v.sees("step.pushed")
}

// shown returns what there is to see of a proof.
func shown(p *proof) []string {
	if p == nil {
		return nil
	}
	lines := strings.Split(p.Claims, "\n")
	lines[0] = "DPoP  " + lines[0]
	return lines
}

// signIn mistypes the password first: the page has to stay.
func (v *visitor) signIn(ctx context.Context) ([]string, error) {
	if err := v.get(ctx, v.story().Pushed.Authorize); err != nil {
		return nil, err
	}
	if err := v.sees("login.title"); err != nil {
		return nil, err
	}
	if err := v.submit(ctx, "/login", url.Values{"login": {customer.Login}, "password": {"not " + customer.Password}}); err != nil {
		return nil, err
	}
	if err := v.sees("login.failed"); err != nil {
		return nil, err
	}
	if err := v.submit(ctx, "/login", url.Values{"login": {customer.Login}, "password": {customer.Password}}); err != nil {
		return nil, err
	}
	return []string{message(v.lang, "demo.login", customer.Login)}, v.sees("consent.title")
}

func (v *visitor) approve(ctx context.Context) ([]string, error) {
	if err := v.sees("scope.accounts", "scope.transactions"); err != nil {
		return nil, err
	}
	if err := v.submit(ctx, "/consent", url.Values{"approve": {"1"}}); err != nil {
		return nil, err
	}
	s := v.story()
	if s.Code == "" {
		return nil, v.trouble("no locker number came back")
	}
	return []string{message(v.lang, "scope.accounts"), message(v.lang, "scope.transactions"), "code  " + s.Code}, v.sees("step.code")
}

func (v *visitor) lookAtKey(context.Context) ([]string, error) {
	k := v.story().Key
	if k == nil {
		return nil, v.trouble("the locker did not open")
	}
	if !k.Fits() {
		return nil, fmt.Errorf("the key is bound to %q, not to the fintech's %q", k.Bound, k.Hand)
	}
	return append(strings.Split(k.Claims, "\n"), k.Binding.Member()+"  "+k.Hand), v.sees("step.key", "key.fits")
}

func (v *visitor) history(ctx context.Context) ([]string, error) {
	if err := v.submit(ctx, "/history", nil); err != nil {
		return nil, err
	}
	h := v.story().History
	if h == nil {
		return nil, v.trouble("no history arrived")
	}
	p := page{Lang: v.lang}
	facts := []string{p.Text(h.Account.Name) + "  " + p.Yen(h.Account.Balance)}
	for _, t := range h.Transactions {
		facts = append(facts, fmt.Sprintf("%s  %10s  %s", t.Date, p.Yen(t.Amount), p.Text(t.Text)))
	}
	return append(facts, shown(h.Proof)...), v.sees("step.history")
}

func (v *visitor) renew(ctx context.Context) ([]string, error) {
	if err := v.submit(ctx, "/renew", nil); err != nil {
		return nil, err
	}
	s := v.story()
	if s.Renewed == nil {
		return nil, v.trouble("no new key was cut")
	}
	if s.Renewed.Token == s.Key.Token || !s.Renewed.Fits() {
		return nil, errors.New("the new key is the old one, or for another hand")
	}
	return []string{s.Renewed.Binding.Member() + "  " + s.Renewed.Hand}, v.sees("step.renewed")
}

func (v *visitor) thief(ctx context.Context) ([]string, error) {
	if err := v.submit(ctx, "/thief", nil); err != nil {
		return nil, err
	}
	s := v.story()
	if !s.Caught() {
		return nil, v.trouble(fmt.Sprintf("the attempts ended as %+v", s.Thief))
	}
	var facts []string
	for _, a := range s.Thief {
		facts = append(facts, fmt.Sprintf("%s: %d %s  %s", message(v.lang, a.Who), a.Status, a.Reason, a.Challenge))
	}
	return facts, v.sees("step.thief", "thief.end")
}

// takeBack ends the fintech's access on the bank's page.
func (v *visitor) takeBack(ctx context.Context) ([]string, error) {
	story := *v.at
	if err := v.get(ctx, v.stage.fintech.pages); err != nil {
		return nil, err
	}
	if err := v.submit(ctx, "/services", url.Values{"login": {customer.Login}, "password": {customer.Password}}); err != nil {
		return nil, err
	}
	if err := v.sees("services.title", "fintech", "scope.transactions"); err != nil {
		return nil, err
	}
	id := endButton.FindStringSubmatch(v.page)
	if id == nil {
		return nil, errors.New("the page has no button that ends the access")
	}
	if err := v.submit(ctx, "/services", url.Values{"end": {html.UnescapeString(id[1])}}); err != nil {
		return nil, err
	}
	if err := v.get(ctx, story.String()); err != nil {
		return nil, err
	}
	if err := v.submit(ctx, "/retry", nil); err != nil {
		return nil, err
	}
	s := v.story()
	if !s.TakenBack() {
		return nil, v.trouble(fmt.Sprintf("the fintech's attempts ended as %+v", s.Ended))
	}
	var facts []string
	for _, a := range s.Ended {
		facts = append(facts, fmt.Sprintf("%s: %d %s  %s", message(v.lang, a.Who), a.Status, a.Reason, cmp.Or(a.Challenge, a.Body)))
	}
	return facts, v.sees("step.ended", "step.ended.say")
}

// get follows a link.
func (v *visitor) get(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return v.load(req)
}

var (
	formTag   = regexp.MustCompile(`(?s)<form [^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	endButton = regexp.MustCompile(`<button type="submit" name="end" value="([^"]*)"`)
	hiddenTag = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// submit fills in and sends the form on the page whose action is action.
func (v *visitor) submit(ctx context.Context, action string, fields url.Values) error {
	for _, form := range formTag.FindAllStringSubmatch(v.page, -1) {
		if html.UnescapeString(form[1]) != action {
			continue
		}
		body := url.Values{}
		for _, hidden := range hiddenTag.FindAllStringSubmatch(form[2], -1) {
			body.Set(html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
		}
		for name, value := range fields {
			body[name] = value
		}
		to := v.at.ResolveReference(&url.URL{Path: action})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(body.Encode()))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return v.load(req)
	}
	return fmt.Errorf("there is no form for %s on %s", action, v.at)
}

func (v *visitor) load(req *http.Request) error {
	req.Header.Set("Accept-Language", v.lang)
	res, err := v.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	v.page, v.at = string(b), res.Request.URL
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", res.Request.URL, res.StatusCode)
	}
	return nil
}

// sees checks that the page shows messages.
func (v *visitor) sees(ids ...string) error {
	for _, id := range ids {
		if text := message(v.lang, id); text == "" || !strings.Contains(html.UnescapeString(v.page), text) {
			return fmt.Errorf("the page does not show %q", text)
		}
	}
	return nil
}

// story returns what the fintech knows of this browser.
func (v *visitor) story() story {
	s := v.session()
	if s == nil {
		return story{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.story
}

// session returns this browser's session at the fintech, or nil.
func (v *visitor) session() *session {
	u, err := url.Parse(v.stage.url)
	if err != nil {
		return nil
	}
	r := &http.Request{Header: http.Header{}}
	for _, c := range v.http.Jar.Cookies(u) {
		r.AddCookie(c)
	}
	return v.stage.fintech.session(r)
}

// trouble returns what the fintech says went wrong, or else otherwise.
func (v *visitor) trouble(otherwise string) error {
	if t := v.story().Trouble; t != nil {
		return fmt.Errorf("%s %s", message(v.lang, t.What), t.Detail)
	}
	return errors.New(otherwise)
}
