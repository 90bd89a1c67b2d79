package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// visit returns a visitor of s.
func visit(t *testing.T, s *stage) *visitor { return visitWith(t, s, byCertificate) }

// visitWith returns a visitor of s who chooses a binding.
func visitWith(t *testing.T, s *stage, how binding) *visitor {
	t.Helper()
	v, err := newVisitor(s, "en", how)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.http.CloseIdleConnections)
	return v
}

// atConsent returns a visitor who has the consent page before them.
func atConsent(t *testing.T) *visitor {
	t.Helper()
	v := visit(t, stagePlaying(t))
	for _, act := range []func(context.Context) ([]string, error){v.arrive, v.connect, v.signIn} {
		if _, err := act(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// answered returns the URL that the bank sends the visitor back to, unvisited.
func answered(t *testing.T, v *visitor) *url.URL {
	t.Helper()
	var back *url.URL
	stop := errors.New("stop")
	v.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/callback" {
			back = r.URL
			return stop
		}
		return nil
	}
	err := v.submit(t.Context(), "/consent", url.Values{"approve": {"1"}})
	v.http.CheckRedirect = nil
	if !errors.Is(err, stop) || back == nil {
		t.Fatalf("no answer of the bank: %v", err)
	}
	return back
}

// What an attacker does with the bank's answer fails, and the honest browser
// still gets its key.
func TestCallbackRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(url.Values)
		want   string
	}{
		{"no state", func(q url.Values) { q.Del("state") }, "notice.state"},
		{"state of another", func(q url.Values) { q.Set("state", randomText()) }, "notice.state"},
		{"two states", func(q url.Values) { q.Add("state", "x") }, "notice.state"},
		{"no iss", func(q url.Values) { q.Del("iss") }, "notice.iss"},
		{"iss of another bank", func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }, "notice.iss"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := atConsent(t)
			back := answered(t, v)
			bad, q := *back, back.Query()
			tt.change(q)
			bad.RawQuery = q.Encode()
			if err := v.get(t.Context(), bad.String()); err == nil || v.sees(tt.want) != nil {
				t.Errorf("taken: %v\n%s", err, v.page)
			}
			if err := v.get(t.Context(), back.String()); err != nil || v.story().Key == nil {
				t.Errorf("the honest answer is refused afterwards: %v", err)
			}
			if err := v.get(t.Context(), back.String()); err == nil {
				t.Error("the same answer is taken twice")
			}
		})
	}
	t.Run("another browser", func(t *testing.T) {
		t.Parallel()
		v := atConsent(t)
		back := answered(t, v)
		other := visit(t, v.stage)
		if err := other.get(t.Context(), back.String()); err == nil || other.sees("notice.session") != nil {
			t.Errorf("without session: %v", err)
		}
		if _, err := other.arrive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := other.get(t.Context(), back.String()); err == nil || other.sees("notice.state") != nil {
			t.Errorf("with a session of its own: %v", err)
		}
	})
}

func TestDeny(t *testing.T) {
	t.Parallel()
	v := atConsent(t)
	if err := v.submit(t.Context(), "/consent", url.Values{"deny": {"1"}}); err != nil {
		t.Fatal(err)
	}
	if err := v.sees("step.denied"); err != nil {
		t.Error(err)
	}
	if s := v.story(); s.Denied != "access_denied" || s.Key != nil || s.Code != "" {
		t.Errorf("%+v", s)
	}
	if _, err := v.connect(t.Context()); err != nil {
		t.Errorf("no second try: %v", err)
	}
}

// A locker number is worthless to whoever lacks the verifier, and the fintech
// says so instead of breaking.
func TestTroubleIsTold(t *testing.T) {
	t.Parallel()
	v := atConsent(t)
	back := answered(t, v)
	v.stage.fintech.clients[byCertificate].redirectURI += "x"
	if err := v.get(t.Context(), back.String()); err != nil {
		t.Fatal(err)
	}
	if err := v.sees("trouble.title", "trouble.redeem"); err != nil {
		t.Error(err)
	}
	if !strings.Contains(v.page, "invalid_grant") || v.story().Key != nil {
		t.Errorf("%s", v.page)
	}
}

func TestActionsNeedTheStory(t *testing.T) {
	t.Parallel()
	s := stagePlaying(t)
	h := newHTTPClient(s.pki.roots)
	t.Cleanup(h.CloseIdleConnections)
	for path, want := range map[string]int{"/history": http.StatusBadRequest, "/renew": http.StatusBadRequest, "/thief": http.StatusBadRequest, "/nowhere": http.StatusNotFound} {
		res, err := h.Post(strings.TrimSuffix(s.url, "/")+path, "application/x-www-form-urlencoded", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("POST %s: %d, want %d", path, res.StatusCode, want)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"connect", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := h.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("another site begins a story: %d", res.StatusCode)
	}

	v := visit(t, s)
	for _, act := range []func(context.Context) ([]string, error){v.arrive, v.connect} {
		if _, err := act(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	v.page += `<form method="post" action="/thief"></form>`
	if err := v.submit(t.Context(), "/thief", nil); err != nil || v.sees("trouble.nokey") != nil {
		t.Errorf("a thief without key: %v", err)
	}
}
