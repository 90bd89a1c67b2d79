package token_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aikagi/aikagi/store"
	"github.com/aikagi/aikagi/token"
)

// A mutation is one row of wire-examples, 24: a change of the message of
// section Start, and what it must get.
type mutation struct {
	Start, Change string
	Rows          []string // what it is about

	// What is changed. A null takes away.
	Scheme       string // of the Authorization header
	Token        string // another kind of JWT in the token's place
	Twice        string // a header that is there a second time
	Proof        object // claims of the DPoP proof, signed again
	ProofKey     string `json:"proof_key"` // signs the proof, and is its jwk; of keys-TEST-ONLY.json
	Certificate  string // of the connection: other or none
	AnswerHeader object `json:"answer_header"` // of the introspection response, signed again
	Answer       object // claims of that
	Do           string // more than one message: an entry of wireSteps

	// What it gets.
	Status int
	Error  []string // any of them; none is a success
}

// wireMutations reads testdata/wire/mutations.json. A member that no code
// applies is an error.
func wireMutations(t *testing.T) []mutation {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(read(t, "testdata/wire/mutations.json"))))
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

// A wireStart returns a message and the API that takes it, with one mutation.
type wireStart func(*testing.T, *mutation) (*token.Verifier, *http.Request)

// wireStarts are the messages of wire-examples that section 24 starts from.
var wireStarts = map[string]wireStart{
	"6.1": func(t *testing.T, m *mutation) (*token.Verifier, *http.Request) {
		r := wireMessage(t, "resource.http")
		m.apply(t, r)
		return guard(t), r
	},
	"6.2": func(t *testing.T, m *mutation) (*token.Verifier, *http.Request) {
		r := wireMessage(t, "resource-mtls.http")
		from(r, clientCert(t))
		m.apply(t, r)
		return guard(t), r
	},
	"8": introspected,
}

// introspected is a request with the token of wire-examples, 7, about which the
// API asks: the answer is that of 8. The catalogue shows no such request, so it
// is made here, with the catalogue's key.
func introspected(t *testing.T, m *mutation) (*token.Verifier, *http.Request) {
	r := wireMessage(t, "resource.http")
	r.Header.Set("Authorization", "DPoP "+reference)
	prove(t, r, "dpop", object{"ath": sha256URL(reference)})
	m.apply(t, r)
	_, compact, _ := strings.Cut(strings.TrimSpace(string(read(t, "testdata/wire/introspected-jwt.http"))), "\n\n")
	if m.Answer != nil || m.AnswerHeader != nil {
		h, c := decode(t, compact)
		compact = forge(t, marshal(t, patch(h, m.AnswerHeader)), marshal(t, patch(c, m.Answer)), asKey(t))
	}
	s := newServer(t, answer(compact))
	return guard(t, func(c *token.VerifierConfig) {
		c.Introspect = s.introspector()
		c.Now = func() time.Time { return time.Unix(1767225653, 0) } // T0+53
	}), r
}

// apply changes the message.
func (m *mutation) apply(t *testing.T, r *http.Request) {
	scheme, access, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if m.Scheme != "" {
		scheme = m.Scheme
	}
	if m.Token != "" {
		if access = kinds(t)[m.Token]; access == "" {
			t.Fatalf("there is no token %q", m.Token)
		}
	}
	r.Header.Set("Authorization", scheme+" "+access)
	if m.Twice != "" {
		r.Header.Add(m.Twice, r.Header.Get(m.Twice))
	}
	if name := m.ProofKey; name != "" {
		prove(t, r, name, m.Proof)
	} else if m.Proof != nil {
		prove(t, r, "dpop", m.Proof)
	}
	switch m.Certificate {
	case "":
	case "other":
		from(r, newCert(t, newEC(t), 1))
	case "none":
		r.TLS.PeerCertificates = nil
	default:
		t.Fatalf("certificate %q", m.Certificate)
	}
}

// prove signs the message's proof again, with the catalogue's key of that name.
func prove(t *testing.T, r *http.Request, name string, change object) {
	key, jwk := wireKey(t, name)
	header, claims := decode(t, r.Header.Get("DPoP"))
	alg := map[any]string{"EC": "ES256", "OKP": "EdDSA"}[jwk["kty"]]
	r.Header.Set("DPoP", proofOf(t, patch(header, object{"jwk": jwk, "alg": alg}), patch(claims, change), key))
}

// wireSteps are the mutations that are more than a change of one message. Each
// returns the answer that counts.
var wireSteps = map[string]func(*testing.T, *token.Verifier, *http.Request) *http.Response{
	"same proof again": func(t *testing.T, v *token.Verifier, r *http.Request) *http.Response {
		if res := ok(v, r); res.StatusCode != 200 {
			t.Fatalf("first: %d", res.StatusCode)
		}
		return ok(v, r)
	},
	// The message as the example has it, then with the nonce, then without.
	"after a nonce was issued": func(t *testing.T, _ *token.Verifier, r *http.Request) *http.Response {
		v := guard(t, func(c *token.VerifierConfig) {
			c.NonceSecrets, c.Replays = [][]byte{[]byte("an example secret of 32 bytes or more")}, &store.Memory{Now: clock}
		})
		retry := wireMessage(t, "resource.http")
		res := ok(v, retry)
		nonce := res.Header.Get("DPoP-Nonce")
		if res.StatusCode != 401 || nonce == "" {
			t.Fatalf("no nonce is demanded: %d", res.StatusCode)
		}
		prove(t, retry, "dpop", object{"jti": "dp-rs-02-90af31", "nonce": nonce})
		if res := ok(v, retry); res.StatusCode != 200 {
			t.Fatalf("with it: %d", res.StatusCode)
		}
		if res = ok(v, r); res.Header.Get("DPoP-Nonce") == "" {
			t.Error("there is no fresh nonce")
		}
		return res
	},
}

// ok sends r through the verifier's handler, which lets through what is good.
func ok(v *token.Verifier, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	v.Handler(token.Require{Scopes: []string{"accounts"}}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	return w.Result()
}

var challengeError = regexp.MustCompile(`error="([^"]*)"`)

// TestWireMutations sends the messages of wire-examples, as they are and each
// with one change.
func TestWireMutations(t *testing.T) {
	asItIs := []mutation{
		{Start: "6.1", Change: "as it is", Rows: []string{"RFC9449-7.1-1"}, Status: 200},
		{Start: "6.2", Change: "as it is", Rows: []string{"RFC8705-3-3"}, Status: 200},
		{Start: "8", Change: "as it is", Rows: []string{"FAPI2-MS-5.5.2-2"}, Status: 200},
	}
	changed := wireMutations(t)
	for _, m := range changed {
		if cmp.Equal(m, mutation{Start: m.Start, Change: m.Change, Rows: m.Rows, Status: m.Status, Error: m.Error}) {
			t.Errorf("%s: %s: nothing is changed", m.Start, m.Change)
		}
	}
	done := map[string]bool{}
	for _, m := range append(asItIs, changed...) {
		start := wireStarts[m.Start]
		if start == nil || len(m.Rows) == 0 || m.Status == 0 || m.Do != "" && wireSteps[m.Do] == nil {
			t.Errorf("%s: %s: nothing here applies it", m.Start, m.Change)
			continue
		}
		done[m.Do] = true
		t.Run(strings.Join(m.Rows, " ")+" wire example "+m.Start+", "+m.Change, func(t *testing.T) {
			v, r := start(t, &m)
			var res *http.Response
			if m.Do != "" {
				res = wireSteps[m.Do](t, v, r)
			} else {
				res = ok(v, r)
			}
			var code string
			challenges := strings.Join(res.Header.Values("WWW-Authenticate"), ", ")
			if found := challengeError.FindStringSubmatch(challenges); found != nil {
				code = found[1]
			}
			if res.StatusCode != m.Status || len(m.Error) == 0 && code != "" || len(m.Error) > 0 && !slices.Contains(m.Error, code) {
				t.Errorf("%d %s, want %d %v", res.StatusCode, challenges, m.Status, m.Error)
			}
		})
	}
	for step := range wireSteps {
		if !done[step] {
			t.Errorf("no mutation does %q", step)
		}
	}
}
