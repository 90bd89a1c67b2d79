package httpsig

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
)

// Why an answer cannot be signed. With the latter two package net/http would
// panic or break off, so that the client does not take them for whole.
var (
	errTooLarge = errors.New("the response is larger than MaxBody")
	errStatus   = errors.New("the response's status is none, or that of a protocol switch")
	errLength   = errors.New("the response has not as many bytes as its Content-Length says")
)

// An answer holds a response back until it can be signed. It is an
// http.ResponseWriter that can neither be flushed nor hijacked.
type answer struct {
	w      http.ResponseWriter
	head   bool // the request is HEAD: there is no body to send
	limit  int64
	status int         // zero until WriteHeader
	header http.Header // as of WriteHeader
	body   []byte
	failed error
}

func newAnswer(w http.ResponseWriter, r *http.Request, limit int64) *answer {
	return &answer{w: w, head: r.Method == http.MethodHead, limit: limit}
}

// Header is that of the writer beneath, which may hold what was set before.
func (a *answer) Header() http.Header { return a.w.Header() }

// WriteHeader keeps the status, and what the header is now. Those of the 1xx
// class are no answers and are dropped.
func (a *answer) WriteHeader(status int) {
	hint := 100 <= status && status < 200 && status != http.StatusSwitchingProtocols
	if a.status != 0 || hint {
		return
	}
	a.status = status
	a.header = a.w.Header().Clone()
	if status < 200 || status > 999 {
		a.failed = errStatus
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	switch {
	case !a.mayHaveBody():
		return 0, http.ErrBodyNotAllowed
	case a.failed != nil:
		return 0, a.failed
	case int64(len(b)) > a.limit-int64(len(a.body)):
		a.failed, a.body = errTooLarge, nil
		return 0, a.failed
	}
	a.body = append(a.body, b...)
	return len(b), nil
}

func (a *answer) mayHaveBody() bool {
	return a.status != http.StatusNoContent && a.status != http.StatusNotModified
}

// content is what is sent as the body, and digested.
func (a *answer) content() []byte {
	if a.head {
		return nil
	}
	return a.body
}

// finish completes the header by what package net/http would add to it later,
// so that it can be signed.
func (a *answer) finish() error {
	a.WriteHeader(http.StatusOK)
	if a.failed != nil || !a.mayHaveBody() {
		return a.failed
	}
	length := strconv.Itoa(len(a.body))
	if said := a.header.Get("Content-Length"); said != "" && said != length && !a.head {
		return errLength
	}
	if !a.head || len(a.body) > 0 {
		a.header.Set("Content-Length", length)
	}
	_, typed := a.header["Content-Type"]
	_, coded := a.header["Content-Encoding"]
	if len(a.body) > 0 && !typed && !coded {
		a.header.Set("Content-Type", http.DetectContentType(a.body))
	}
	return nil
}

// fail makes it an answer that says nothing, but under which name to look for
// it in the log.
func (a *answer) fail() {
	a.status, a.body = http.StatusInternalServerError, nil
	id := a.header["X-Fapi-Interaction-Id"]
	a.header = http.Header{"Cache-Control": {"no-store"}, "Content-Length": {"0"}}
	if id != nil {
		a.header["X-Fapi-Interaction-Id"] = id
	}
}

// send sends the answer. What has been set in the header since WriteHeader,
// trailers included, is not signed and not sent.
func (a *answer) send() {
	h := a.w.Header()
	clear(h)
	maps.Copy(h, a.header)
	a.w.WriteHeader(a.status)
	if body := a.content(); len(body) > 0 {
		a.w.Write(body)
	}
}
