package form_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aikagi/aikagi/internal/form"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var ignoreEmpty = cmpopts.EquateEmpty()

// post is a request as an honest client makes it.
func post(body string) *http.Request {
	r := httptest.NewRequest("POST", "/par", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestParseBody(t *testing.T) {
	for _, tt := range parameters {
		t.Run(strings.ReplaceAll(tt.name, "RFC6749-3.1-2", "RFC6749-3.2-1"), func(t *testing.T) {
			v, err := form.ParseBody(httptest.NewRecorder(), post(tt.in), 2e6)
			checkError(t, err, tt.err)
			if tt.err == nil {
				if d := cmp.Diff(tt.want, read(v), ignoreEmpty); d != "" {
					t.Error(d)
				}
			}
		})
	}
	t.Run("RFC6749-3.2-1 an unknown parameter twice", func(t *testing.T) {
		_, err := form.ParseBody(httptest.NewRecorder(), post("foo=1&foo=2"), 1e3)
		checkError(t, err, dup("foo"))
	})
	t.Run("RFC9126-2.1-5 repeatable", func(t *testing.T) {
		v, err := form.ParseBody(httptest.NewRecorder(), post("resource=&resource=b&state=s&resource=&resource=a"), 1e3, "audience", "resource")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"b", "a"}, v.All("resource")); d != "" {
			t.Error(d)
		}
		if got := v.Get("resource"); got != "b" {
			t.Errorf("Get: %q, want the first that is not empty", got)
		}
	})
	t.Run("RFC9126-2.1-5 another beside a repeatable one", func(t *testing.T) {
		_, err := form.ParseBody(httptest.NewRecorder(), post("resource=b&state=s&resource=a&state=s"), 1e3, "resource")
		checkError(t, err, dup("state"))
	})
	t.Run("RFC6749-3.2-2 the query is not read", func(t *testing.T) {
		r := post("state=s")
		r.URL.RawQuery = "client_id=c&state=other&client_secret=x"
		v, err := form.ParseBody(httptest.NewRecorder(), r, 1e3)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(map[string][]string{"state": {"s"}}, read(v)); d != "" {
			t.Error(d)
		}
	})
}

func TestParseBodyMediaType(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		ok     bool
	}{
		{"as it should be", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, true},
		{"RFC9126-2-1 UTF-8", http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=UTF-8"}}, true},
		{"UTF-8 in quotes", http.Header{"Content-Type": {`application/x-www-form-urlencoded;charset="utf-8"`}}, true},
		{"in capitals", http.Header{"Content-Type": {"Application/X-WWW-Form-URLEncoded"}}, true},
		{"RFC9126-2-1 another charset", http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-16"}}, false},
		{"another parameter", http.Header{"Content-Type": {"application/x-www-form-urlencoded; boundary=x"}}, false},
		{"two charsets", http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8; charset=utf-16"}}, false},
		{"RFC6749-3.2-2 RFC9126-2-1 JSON", http.Header{"Content-Type": {"application/json"}}, false},
		{"RFC6749-3.2-2 multipart", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, false},
		{"RFC6749-3.2-2 not said", http.Header{}, false},
		{"RFC6749-3.2-2 empty", http.Header{"Content-Type": {""}}, false},
		{"RFC6749-3.2-2 said twice", http.Header{"Content-Type": {"application/x-www-form-urlencoded", "application/json"}}, false},
		{"RFC6749-3.2-2 list", http.Header{"Content-Type": {"application/x-www-form-urlencoded, application/json"}}, false},
		{"RFC6749-3.2-2 longer name", http.Header{"Content-Type": {"application/x-www-form-urlencoded2"}}, false},
		{"compressed", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Content-Encoding": {"gzip"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := post("state=s")
			r.Header = tt.header
			v, err := form.ParseBody(httptest.NewRecorder(), r, 1e3)
			if tt.ok {
				if err != nil || v.Get("state") != "s" {
					t.Errorf("ParseBody: %v, %v", v, err)
				}
			} else if !errors.Is(err, form.ErrMediaType) {
				t.Errorf("ParseBody: %v, want ErrMediaType", err)
			}
		})
	}
}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// endless counts what is read of it.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	e.read += int64(len(p))
	return len(p), nil
}

func TestParseBodyLimit(t *testing.T) {
	const limit = 7
	t.Run("as long as the limit", func(t *testing.T) {
		v, err := form.ParseBody(httptest.NewRecorder(), post("state=s"), limit)
		if err != nil || v.Get("state") != "s" {
			t.Errorf("ParseBody: %v, %v", v, err)
		}
	})
	t.Run("RFC9126-2.3-5 one byte longer", func(t *testing.T) {
		_, err := form.ParseBody(httptest.NewRecorder(), post("state=st"), limit)
		checkError(t, err, form.ErrTooLarge)
	})
	t.Run("RFC9126-2.3-5 announced, so not read", func(t *testing.T) {
		r := post("")
		r.Body, r.ContentLength = io.NopCloser(unread{t}), limit+1
		_, err := form.ParseBody(httptest.NewRecorder(), r, limit)
		checkError(t, err, form.ErrTooLarge)
	})
	t.Run("RFC9126-2.3-5 chunked without an end", func(t *testing.T) {
		src := new(endless)
		r := post("")
		r.Body, r.ContentLength = io.NopCloser(src), -1
		_, err := form.ParseBody(httptest.NewRecorder(), r, 10_000)
		checkError(t, err, form.ErrTooLarge)
		if src.read > 10_001 {
			t.Errorf("%d bytes read at a limit of 10000", src.read)
		}
	})
	t.Run("RFC9126-2-1 wrong media type, so not read", func(t *testing.T) {
		r := post("")
		r.Body, r.ContentLength = io.NopCloser(unread{t}), 5
		r.Header.Set("Content-Type", "application/json")
		_, err := form.ParseBody(httptest.NewRecorder(), r, limit)
		checkError(t, err, form.ErrMediaType)
	})
}

func TestParseBodyReading(t *testing.T) {
	long := "state=" + strings.Repeat("x", 5000)
	for name, src := range map[string]io.Reader{
		"in one piece":  strings.NewReader(long),
		"byte by byte":  iotest.OneByteReader(strings.NewReader(long)),
		"by halves":     iotest.HalfReader(strings.NewReader(long)),
		"EOF with data": iotest.DataErrReader(strings.NewReader(long)),
	} {
		for _, length := range []int64{-1, int64(len(long))} {
			t.Run(name, func(t *testing.T) {
				r := post("")
				r.Body, r.ContentLength = io.NopCloser(src), length
				v, err := form.ParseBody(httptest.NewRecorder(), r, 1e4)
				if err != nil || v.Get("state") != long[6:] {
					t.Errorf("ParseBody: %v, %v", v, err)
				}
			})
			src = strings.NewReader(long)
		}
	}
	t.Run("connection lost", func(t *testing.T) {
		r := post("")
		r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("state=s"), iotest.ErrReader(io.ErrUnexpectedEOF))), 20
		_, err := form.ParseBody(httptest.NewRecorder(), r, 1e4)
		checkError(t, err, form.ErrMalformed)
		checkError(t, err, io.ErrUnexpectedEOF)
	})
	t.Run("read by somebody before", func(t *testing.T) {
		r := post("state=s")
		r.FormValue("state")
		_, err := form.ParseBody(httptest.NewRecorder(), r, 1e4)
		checkError(t, err, form.ErrMalformed)
	})
	t.Run("request without a body", func(t *testing.T) {
		r := post("")
		r.Body = nil
		v, err := form.ParseBody(httptest.NewRecorder(), r, 1e4)
		if err != nil || v.Has("state") {
			t.Errorf("ParseBody: %v, %v", v, err)
		}
	})
}

// Behind a real server, where a body too large also closes the connection.
func TestParseBodyServed(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := form.ParseBody(w, r, 1000)
		if errors.Is(err, form.ErrTooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		io.WriteString(w, v.Get("state"))
	}))
	defer srv.Close()
	send := func(body io.Reader) *http.Response {
		res, err := http.Post(srv.URL, "application/x-www-form-urlencoded", body)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	t.Run("honest client", func(t *testing.T) {
		res := send(strings.NewReader("state=s"))
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != "s" {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("RFC9126-2.3-5 chunked and too large", func(t *testing.T) {
		res := send(io.LimitReader(new(endless), 2000)) // of a length net/http cannot see
		if res.StatusCode != http.StatusRequestEntityTooLarge || !res.Close {
			t.Errorf("status %d, close %v; want 413 and the connection closed", res.StatusCode, res.Close)
		}
	})
}
