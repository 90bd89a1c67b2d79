package authz_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A mutation is one row of wire-examples, 24: a change of the message of
// section Start, and what it must get.
type mutation struct {
	Start, Change string
	Rows          []string // what it is about

	// What is changed. A null takes away; a value file#name stands for that
	// parameter of that message.
	Assertion   map[string]any     // claims of the client assertion, signed again
	Proof       map[string]any     // claims of the DPoP proof, signed again
	ProofHeader map[string]any     `json:"proof_header"`
	ProofKey    string             `json:"proof_key"` // signs the proof, and is its jwk; of keys-TEST-ONLY.json
	Form        map[string]*string // parameters
	Query       map[string]string  // parameters of the URL
	Append      string             // behind the form, as it is
	Header      map[string]*string // of HTTP
	At          int                // send it so many seconds after T0
	Do          string             // more than one message: an entry of wireSteps

	Elsewhere string // or the file and the name of the test that has it

	// What it gets.
	Status int
	Error  []string       // any of them; none is a success
	JKT    string         // the new access token is bound to that key
	Body   map[string]any // the whole answer
}

// wireMutations reads testdata/wire/mutations.json. A member that no code
// applies is an error.
func wireMutations(t *testing.T) []mutation {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(wire(t, "mutations.json")))
	d.DisallowUnknownFields()
	var all []mutation
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatal("mutations.json has more than one value")
	}
	return all
}

// TestWireMutations sends the messages of wire-examples, each with one change.
func TestWireMutations(t *testing.T) {
	done := map[string]bool{}
	for _, m := range wireMutations(t) {
		start, ok := wireStarts[m.Start]
		if m.Elsewhere != "" {
			m.checkElsewhere(t)
			continue
		}
		if !ok || len(m.Rows) == 0 || m.Status == 0 || m.Do != "" && wireSteps[m.Do] == nil {
			t.Errorf("%s: %s: nothing here applies it", m.Start, m.Change)
			continue
		}
		done[m.Start], done[m.Do] = true, true
		t.Run(strings.Join(m.Rows, " ")+" wire example "+m.Start+", "+m.Change, func(t *testing.T) {
			b, msg := start(t)
			if m.At != 0 {
				b.at(m.At)
			}
			before := *msg
			before.header, before.form = maps.Clone(msg.header), slices.Clone(msg.form)
			m.apply(b, msg)
			if m.Do == "" && m.At == 0 && cmp.Equal(before, *msg, cmp.AllowUnexported(message{})) {
				t.Fatal("the message is as it was")
			}
			send := b.send
			if m.Do != "" {
				send = func(msg *message) *http.Response { return wireSteps[m.Do](b, msg) }
			}
			m.judge(b, send(msg))
		})
	}
	for start := range wireStarts {
		if !done[start] {
			t.Errorf("no mutation starts from %s", start)
		}
	}
	for step := range wireSteps {
		if !done[step] {
			t.Errorf("no mutation does %q", step)
		}
	}
}

// checkElsewhere checks that there is such a test.
func (m *mutation) checkElsewhere(t *testing.T) {
	t.Helper()
	file, name, _ := strings.Cut(m.Elsewhere, "#")
	source, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	} else if !strings.Contains(string(source), `"`+name+`"`) {
		t.Errorf("%s: %s: %s has no test %q", m.Start, m.Change, file, name)
	}
}

// apply changes the message.
func (m *mutation) apply(b *finbank, msg *message) {
	for name, v := range m.Form {
		if v == nil {
			msg.drop(name)
		} else {
			msg.set(name, meant(b.t, *v))
		}
	}
	msg.more = m.Append
	for name, v := range m.Header {
		if v == nil {
			msg.header.Del(name)
		} else {
			msg.header.Set(name, meant(b.t, *v))
		}
	}
	if len(m.Query) > 0 {
		q := msg.target.Query()
		for name, v := range m.Query {
			q.Set(name, v)
		}
		msg.target = &url.URL{Path: msg.target.Path, RawQuery: q.Encode()}
	}
	if m.Assertion != nil {
		old := msg.get("client_assertion")
		key := wireSigner(b.t, "client")
		msg.set("client_assertion", jwt(headerOf(b.t, old), patch(claimsOf(b.t, old), m.Assertion), key.Signer))
	}
	if m.Proof != nil || m.ProofHeader != nil || m.ProofKey != "" {
		m.prove(b, msg)
	}
}

// prove signs the message's proof again.
func (m *mutation) prove(b *finbank, msg *message) {
	old := msg.header.Get("DPoP")
	name := m.ProofKey
	if name == "" {
		name = "dpop"
	}
	key := wireSigner(b.t, name).proof()
	header := patch(headerOf(b.t, old), map[string]any{"alg": key.alg, "jwk": key.jwk()})
	msg.header.Set("DPoP", jwt(patch(header, m.ProofHeader), patch(claimsOf(b.t, old), m.Proof), key.Signer))
}

// meant returns what a value stands for.
func meant(t *testing.T, value string) string {
	t.Helper()
	file, name, ok := strings.Cut(value, ".http#")
	if !ok {
		return value
	}
	v := readMessage(t, file+".http").get(name)
	if v == "" {
		t.Fatalf("there is no %s", value)
	}
	return v
}

// judge checks the answer.
func (m *mutation) judge(b *finbank, res *http.Response) {
	t := b.t
	t.Helper()
	if res.Header.Get("Content-Type") == "text/html; charset=utf-8" {
		if len(m.Error) != 1 {
			t.Fatalf("%d, a page, want %d %v", res.StatusCode, m.Status, m.Error)
		}
		refusedPage(t, res, m.Error[0])
		return
	}
	var got map[string]any
	if res.Header.Get("Content-Type") == "application/json" {
		got = object(t, res)
	}
	code, _ := got["error"].(string)
	if res.StatusCode == 303 {
		code = location(t, res).Get("error")
	}
	if res.StatusCode != m.Status || len(m.Error) == 0 && code != "" || len(m.Error) > 0 && !slices.Contains(m.Error, code) {
		t.Fatalf("%d %v, want %d %v: %+v", res.StatusCode, got, m.Status, m.Error, b.lastEvent())
	}
	if code != "" {
		checkErrorAnswer(t, res, got)
	}
	if m.JKT != "" {
		if d := cmp.Diff(map[string]any{"jkt": m.JKT}, claimsOf(t, got["access_token"].(string))["cnf"]); d != "" {
			t.Error(d)
		}
	}
	if m.Body != nil {
		if d := cmp.Diff(m.Body, got); d != "" {
			t.Error(d)
		}
	}
}
