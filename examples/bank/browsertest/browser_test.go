// Package browsertest clicks through the bank example in a real browser, with
// JavaScript switched off in the pages, as wide as a phone and as a desktop, in
// Japanese and in English.
//
// Run it with -count=1, since it builds the bank behind the back of the test
// cache. It needs Chromium on the PATH and is skipped without, unless AIKAGI_REQUIRE
// (a list divided by commas) has chromium in it. If AIKAGI_SHOTS names a
// directory, a picture of every page is left there.
package browsertest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// words is what a person reads at each step.
type words struct {
	home, connect, pushed, toBank, login, failed, signIn, consent, accounts, approve, deny,
	denied, code, key, fits, fetch, history, salary, renew, renewed, steal, bare, another, refused, owner, end, again,
	hands, seal, sealed, sealFits, stamp, noStamp, ownSeal, copied, replayed, onceMore,
	fintech, services, none, ended, retry, stillTurns, takenBack, ownKey, newKey string
}

var languages = map[string]words{
	"en": {
		home: "The spare key that turns in one hand only", connect: "Connect my bank", pushed: "The fintech asks the bank", toBank: "Go to the bank",
		login: "Sign in to Kagi Bank", failed: "Login or password is not right", signIn: "Sign in", consent: "Give a spare key?",
		accounts: "see your accounts and balances", approve: "Agree", deny: "Refuse", denied: "The customer said no", code: "The locker number arrives",
		key: "The key is cut", fits: "They are the same", fetch: "Use the key: fetch the transactions", history: "The transaction history arrives",
		salary: "Salary", renew: "Have the key renewed", renewed: "A new key for the same hand", steal: "A thief tries the stolen key",
		bare: "The thief, without a certificate", another: "The thief, with another certificate", refused: "Turned away: 401 Unauthorized",
		owner: "The door opens: 200 OK", end: "The stolen key opened nothing.", again: "Start again",
		hands: "Which hand is the key cut for?", seal: "A hand with a seal", sealed: "with a seal made for this story alone", sealFits: "Kakeibo Note's seal",
		stamp: "the stamp on this very request", noStamp: "The thief, without a stamp", ownSeal: "The thief, with a seal of their own",
		copied: "The thief, with the copied stamp", replayed: "the DPoP proof was used before", onceMore: "Once more, with a certificate",
		fintech: "Kakeibo Note", services: "My connected services", none: "You have given no service a spare key", ended: "Kakeibo Note can no longer use its key", retry: "Try the key once more",
		stillTurns: "The key still turns", takenBack: "The customer takes the key back", ownKey: "Kakeibo Note, with its own key", newKey: "Kakeibo Note, asking for a new key",
	},
	"ja": {
		home: "ひとつの手でしか回らない合鍵", connect: "銀行口座をつなぐ", pushed: "フィンテックが銀行に頼む", toBank: "銀行へ進む",
		login: "かぎ銀行にログイン", failed: "ログイン名またはパスワードが違います", signIn: "ログイン", consent: "合鍵を渡しますか",
		accounts: "口座と残高を見る", approve: "同意する", deny: "断る", denied: "お客さまは断りました", code: "ロッカーの番号が届く",
		key: "合鍵ができる", fits: "同じ指紋です", fetch: "鍵を使って取引明細を読む", history: "取引明細が届く",
		salary: "給与", renew: "鍵を新しくしてもらう", renewed: "同じ手のための新しい鍵", steal: "泥棒が盗んだ鍵を使う",
		bare: "証明書を持たない泥棒", another: "別の証明書を持つ泥棒", refused: "開きません: 401 Unauthorized",
		owner: "開きました: 200 OK", end: "盗まれた鍵では何も開きませんでした", again: "はじめからもう一度",
		hands: "合鍵を、どの手に合わせますか", seal: "はんこを持つ手", sealed: "このお話のために作ったはんこで", sealFits: "かけいぼノートのはんこ",
		stamp: "まさにこの依頼に押された印", noStamp: "印を押さない泥棒", ownSeal: "自分のはんこを押す泥棒",
		copied: "印の写しを使う泥棒", replayed: "the DPoP proof was used before", onceMore: "もう一度、証明書で",
		fintech: "かけいぼノート", services: "連携中のサービス", none: "合鍵を渡しているサービスはありません", ended: "かけいぼノート の鍵は、もう使えません", retry: "鍵をもう一度使ってみる",
		stillTurns: "まだ許可が取り消されていない", takenBack: "お客さまが合鍵を取り消す", ownKey: "自分の鍵を使う、かけいぼノート", newKey: "新しい鍵を頼む、かけいぼノート",
	},
}

var widths = map[string][2]int64{"phone": {390, 844}, "narrow": {360, 740}, "desktop": {1280, 800}}

func TestStory(t *testing.T) {
	chromium := findChromium(t)
	start := startBank(t)
	browser := startChromium(t, chromium, start)
	for lang, w := range languages {
		for device, size := range widths {
			t.Run(lang+" "+device, func(t *testing.T) {
				p := newPerson(t, browser, lang, device, size)
				p.wholeStory(start, w)
			})
		}
		device := map[string]string{"en": "desktop", "ja": "narrow"}[lang]
		t.Run(lang+" seal "+device, func(t *testing.T) {
			p := newPerson(t, browser, lang, "seal-"+device, widths[device])
			p.sealedStory(start, w)
		})
		t.Run(lang+" deny", func(t *testing.T) {
			p := newPerson(t, browser, lang, "phone-deny", widths["phone"])
			p.untilConsent(start, w)
			p.click(`button[name="deny"]`, w.denied, "access_denied", w.again)
			p.shot("denied")
			p.sees(w.again)
			p.absent(w.key)
		})
	}
}

// findChromium returns the browser's path. Without one the test is skipped,
// and says so.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if slices.Contains(strings.Split(os.Getenv("AIKAGI_REQUIRE"), ","), "chromium") {
		t.Fatal("chromium not installed, and AIKAGI_REQUIRE asks for it")
	}
	t.Skip("chromium not installed: the bank's pages were not clicked through")
	return ""
}

var built struct {
	sync.Mutex
	program string
}

// program returns the example, which is built once.
func program(t *testing.T) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.program == "" {
		name := filepath.Join(folder, "bank")
		build := exec.Command("go", "build", "-o", name, ".")
		build.Dir = ".."
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		built.program = name
	}
	return built.program
}

// folder is where the example is built.
var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "browsertest"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(folder)
	os.Exit(status)
}

// startBank runs the example with args, and returns the URL it prints. At the
// end of the test it presses Ctrl-C.
func startBank(t *testing.T, args ...string) string {
	t.Helper()
	bank := exec.Command(program(t), args...)
	bank.Env = append(os.Environ(), "LC_ALL=C")
	bank.Stderr = os.Stderr
	out, err := bank.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bank.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bank.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := bank.Wait(); err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if u := regexp.MustCompile(`https://\S+`).FindString(lines.Text()); u != "" {
			return u
		}
	}
	t.Fatal("the bank printed no URL")
	return ""
}

// startChromium starts a browser with a profile of its own that trusts the
// bank's certificate and no other.
func startChromium(t *testing.T, path, start string) context.Context {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", publicKeyHash(t, start)),
		chromedp.WSURLReadTimeout(60 * time.Second),
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	return browser
}

// publicKeyHash returns the hash of the public key that the server at address
// has, as Chromium wants it.
func publicKeyHash(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	var hash string
	conf := &tls.Config{InsecureSkipVerify: true, VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
		leaf, err := x509.ParseCertificate(raw[0])
		if err != nil {
			return err
		}
		sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
		hash = base64.StdEncoding.EncodeToString(sum[:])
		return nil
	}}
	conn, err := tls.Dial("tcp", u.Host, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return hash
}

// A person looks at the pages and clicks.
type person struct {
	t    *testing.T
	ctx  context.Context
	name string // for the pictures

	mu         sync.Mutex
	complaints []string // of the browser
}

func newPerson(t *testing.T, browser context.Context, lang, device string, size [2]int64) *person {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	p := &person{t: t, ctx: ctx, name: lang + "-" + device}
	err := errors.Join(
		chromedp.Listen(ctx, p.listen),
		order(ctx, log.Enable, cdp.Empty{}),
		order(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": lang}}),
		order(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}),
	)
	if err != nil {
		t.Fatal(err)
	}
	p.run(chromedp.EmulateViewport(size[0], size[1]))
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.complaints {
			if !strings.Contains(c, "/favicon.ico") {
				t.Errorf("the browser complains: %s", c)
			}
		}
	})
	return p
}

// order has the browser do something that answers nothing.
func order[P any](ctx context.Context, command cdp.Command[P, cdp.Empty], params P) error {
	_, err := chromedp.Call(ctx, command, params)
	return err
}

// listen notes what the browser complains about, such as what the page's own
// Content-Security-Policy blocks.
func (p *person) listen(event any) {
	if e, ok := event.(*log.EventEntryAdded); ok && e.Entry.Level == log.EntryLevelError {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.complaints = append(p.complaints, e.Entry.Text+" "+e.Entry.URL)
	}
}

func (p *person) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// untilConsent begins the story and stops at the bank's question.
func (p *person) untilConsent(start string, w words) {
	p.t.Helper()
	p.run(chromedp.Navigate(start))
	p.sees(w.home, w.hands, w.seal, w.connect)
	p.shot("1-home")
	p.connect(w)
}

// connect goes on from the first page to the bank's question.
func (p *person) connect(w words) {
	p.t.Helper()
	p.click(`form[action="/connect"] button`, w.pushed, "urn:ietf:params:oauth:request_uri:", w.toBank)
	p.shot("2-pushed")
	p.click(`a.button`, w.login)
	p.shot("3-login")
	p.signIn("aikag", w.failed)
	p.shot("4-failed")
	p.signIn("aikagi", w.consent, w.accounts, w.approve, w.deny)
	p.shot("5-consent")
}

func (p *person) wholeStory(start string, w words) {
	p.t.Helper()
	p.untilConsent(start, w)
	p.click(`button[name="approve"]`, w.code, w.key, w.fits, "x5t#S256", w.fetch)
	p.shot("6-key")
	p.click(`form[action="/history"] button`, w.history, w.salary, "¥268,000", w.steal)
	p.shot("7-history")
	p.click(`form[action="/renew"] button`, w.renewed)
	p.click(`form[action="/thief"] button`, w.bare, w.another, w.refused, w.owner, w.end)
	p.shot("8-thief")
	p.takeBack(start, w)
	p.click(`form[action="/connect"] button`, w.pushed, w.toBank)
	p.absent(w.end)
}

// takeBack ends the fintech's access on the bank's page of connected services,
// and lets the fintech try its key before and after.
func (p *person) takeBack(start string, w words) {
	p.t.Helper()
	p.click(`form[action="/retry"] button`, w.takenBack, w.stillTurns, w.retry)
	services, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.querySelector('a[target="_blank"][rel~="noopener"]').href`))
	if err != nil {
		p.t.Fatal(err)
	}
	p.run(chromedp.Navigate(services))
	p.sees(w.login)
	p.shot("9-services-login")
	p.signIn("aikag", w.failed)
	p.signIn("aikagi", w.services, w.fintech, w.accounts)
	p.shot("10-services")
	for { // those of earlier visits, too
		p.click(`button[name="end"]`, w.services, w.ended)
		if !strings.Contains(p.text(), w.accounts) {
			break
		}
	}
	p.sees(w.none)
	p.shot("11-ended")
	p.run(chromedp.Navigate(start + "story"))
	p.click(`form[action="/retry"] button`, w.takenBack, w.ownKey, w.refused, w.newKey, "invalid_grant")
	p.absent(w.stillTurns)
	p.absent(w.retry)
	p.shot("12-taken-back")
}

// sealedStory chooses the other hand, by a click on its words.
func (p *person) sealedStory(start string, w words) {
	p.t.Helper()
	p.run(chromedp.Navigate(start))
	p.sees(w.home, w.hands, w.seal)
	p.run(chromedp.Click(chromedp.CSS(`.hands label:nth-of-type(2) strong`)))
	p.shot("1-home")
	p.connect(w)
	p.click(`button[name="approve"]`, w.sealed, w.code, w.key, w.sealFits, w.fits, "cnf jkt", w.fetch)
	p.absent("x5t#S256")
	p.shot("6-key")
	p.click(`form[action="/history"] button`, w.history, w.stamp, w.salary, w.steal)
	p.click(`form[action="/renew"] button`, w.renewed)
	p.click(`form[action="/thief"] button`, w.noStamp, w.ownSeal, w.copied, w.replayed, w.refused, w.owner, w.end, w.onceMore)
	p.shot("8-thief")
	p.click(`form[action="/connect"] button`, w.pushed, w.sealed, w.toBank) // again, with the same hand
	p.absent(w.end)
}

func (p *person) signIn(password string, want ...string) {
	p.t.Helper()
	p.run(
		chromedp.SetValue(chromedp.CSS(`input[name="login"]`), "hanako"),
		chromedp.SendKeys(chromedp.CSS(`input[name="password"]`), password),
	)
	p.click(`main form button`, want...)
}

// click clicks and waits for the next page, which has to show want.
func (p *person) click(selector string, want ...string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		p.t.Fatalf("click %s: %v", selector, err)
	}
	p.sees(want...)
}

// sees checks what is visible, and that the page fits the screen and says what
// language it is in.
func (p *person) sees(want ...string) {
	p.t.Helper()
	text := p.text()
	for _, w := range want {
		if !strings.Contains(text, w) {
			p.t.Fatalf("the page does not show %q:\n%s", w, text)
		}
	}
	type facts struct {
		Overflow  float64 `json:"overflow"`
		Lang      string  `json:"lang"`
		Unlabeled int     `json:"unlabeled"`
		H1        int     `json:"h1"`
		Small     string  `json:"small"`
	}
	page, err := chromedp.Run(p.ctx, chromedp.Evaluate[facts](`({
		overflow: document.documentElement.scrollWidth - window.innerWidth,
		lang: document.documentElement.lang,
		unlabeled: [...document.querySelectorAll("input:not([type=hidden])")].filter(i => i.labels.length === 0).length,
		h1: document.querySelectorAll("h1").length,
		small: [...document.querySelectorAll("button, a.button")].filter(b => b.getBoundingClientRect().height < 44).map(b => b.textContent).join(),
	})`))
	if err != nil {
		p.t.Fatal(err)
	}
	if page.Overflow > 0 || !strings.HasPrefix(p.name, page.Lang+"-") || page.Unlabeled > 0 || page.H1 != 1 || page.Small != "" {
		p.t.Errorf("%+v on the page:\n%s", page, text)
	}
}

func (p *person) absent(text string) {
	p.t.Helper()
	if strings.Contains(p.text(), text) {
		p.t.Errorf("the page shows %q", text)
	}
}

// text returns what is visible on the page.
func (p *person) text() string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// shot leaves a picture of the whole page.
func (p *person) shot(step string) {
	p.t.Helper()
	dir := os.Getenv("AIKAGI_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s.png", p.name, step)), png, 0o600); err != nil {
		p.t.Fatal(err)
	}
}
