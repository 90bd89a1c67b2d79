package fetch_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aikagi/aikagi/internal/fetch"
)

func TestPostForm(t *testing.T) {
	var got *http.Request
	var body string
	srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
		http.SetCookie(w, &http.Cookie{Name: "who", Value: "you"})
	})
	form := url.Values{"logout_token": {"a.b&c"}}
	for range 2 {
		if err := c.PostForm(t.Context(), srv.URL+"/b?a=b", form); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("BCL-8 a form, and nothing that identifies anyone", func(t *testing.T) {
		if got.Method != "POST" || got.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || body != "logout_token=a.b%26c" || got.URL.String() != "/b?a=b" {
			t.Errorf("%s %s %v %s", got.Method, got.URL, got.Header, body)
		}
		for _, h := range []string{"Cookie", "Authorization", "Referer"} {
			if v := got.Header.Get(h); v != "" {
				t.Errorf("%s: %q", h, v)
			}
		}
	})
}

func TestPostFormRefuses(t *testing.T) {
	form := url.Values{"logout_token": {"x"}}
	for _, bad := range []string{"http://fintech.invalid/b", "https://fintech.invalid/b#c", "https://a:b@fintech.invalid/", "/b", ""} {
		t.Run("BCL-2 "+bad, func(t *testing.T) {
			if err := new(fetch.Client).PostForm(t.Context(), bad, form); err == nil || errors.Is(err, fetch.ErrTemporary) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("BCL-9 X-14 a private address", func(t *testing.T) {
		port, connections := listen(t)
		for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
			err := new(fetch.Client).PostForm(t.Context(), "https://"+host+":"+port, form)
			if !errors.Is(err, fetch.ErrAddress) || errors.Is(err, fetch.ErrTemporary) || connections.Load() != 0 {
				t.Errorf("%s: %v, %d connections", host, err, connections.Load())
			}
		}
	})
	t.Run("BCL-9 X-14 a public name with a private address", func(t *testing.T) {
		port, connections := listen(t)
		c := new(fetch.Client)
		c.SetResolver(new(zone).answer("127.0.0.1").resolver(t))
		err := c.PostForm(t.Context(), "https://example.com:"+port, form)
		if !errors.Is(err, fetch.ErrAddress) || connections.Load() != 0 {
			t.Errorf("%v, %d connections", err, connections.Load())
		}
	})
	t.Run("FAPI1-BASE-7.1-2 a certificate of nobody's", func(t *testing.T) {
		srv, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was told") })
		err := (&fetch.Client{AllowPrivate: loopback}).PostForm(t.Context(), srv.URL, form)
		if err == nil || errors.Is(err, fetch.ErrTemporary) {
			t.Errorf("%v", err)
		}
	})
	t.Run("BCL-9 X-14 no redirect is followed, not even to the same host", func(t *testing.T) {
		for _, status := range []int{301, 302, 303, 307, 308} {
			hits := 0
			srv, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				hits++
				http.Redirect(w, r, "/other", status)
			})
			if err := c.PostForm(t.Context(), srv.URL, form); err == nil || errors.Is(err, fetch.ErrTemporary) || hits != 1 {
				t.Errorf("%d: %v, %d requests", status, err, hits)
			}
		}
	})
	t.Run("BCL-9 nobody answers in time", func(t *testing.T) {
		over := make(chan struct{})
		srv, c := serve(t, func(http.ResponseWriter, *http.Request) { <-over })
		t.Cleanup(func() { close(over) }) // before the server closes
		c.Timeout = 100 * time.Millisecond
		if err := c.PostForm(context.Background(), srv.URL, form); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, fetch.ErrTemporary) {
			t.Errorf("%v", err)
		}
	})
	for status, temporary := range map[int]bool{400: false, 401: false, 404: false, 201: false, 408: true, 429: true, 500: true, 503: true} {
		srv, c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if err := c.PostForm(t.Context(), srv.URL, form); err == nil || errors.Is(err, fetch.ErrTemporary) != temporary {
			t.Errorf("%d: %v", status, err)
		}
	}
}
