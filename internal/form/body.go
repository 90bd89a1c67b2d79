package form

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

const mediaType = "application/x-www-form-urlencoded"

// ParseBody reads the parameters in r's body, which is limited to limit bytes
// before a byte of it is read. The URL's query is not read: parameters there
// are as good as absent, credentials above all ([RFC 6749, 2.3.1]). The names
// in repeatable may occur more than once (resource, RFC 8707; audience, RFC
// 8693); every other name at most once, known or not.
//
// The method is the caller's to check. The error is ErrMediaType, ErrTooLarge,
// ErrMalformed or a *DuplicateError; nothing has been written to w, which
// learns only that the connection is to be closed after a body too large.
//
// [RFC 6749, 2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
func ParseBody(w http.ResponseWriter, r *http.Request, limit int64, repeatable ...string) (Values, error) {
	if err := checkMediaType(r.Header); err != nil {
		return Values{}, err
	}
	body, err := readBody(w, r, limit)
	if err != nil {
		return Values{}, err
	}
	return parse(body, nil, repeatable)
}

// checkMediaType wants one Content-Type, the form's, with no parameter but a
// charset of UTF-8 (RFC 6749, appendix B), and no compression: a limit on
// compressed bytes limits nothing.
func checkMediaType(h http.Header) error {
	if len(h["Content-Encoding"]) > 0 {
		return fmt.Errorf("%w: content encoding", ErrMediaType)
	}
	types := h["Content-Type"]
	if len(types) != 1 {
		return fmt.Errorf("%w: %d Content-Type headers", ErrMediaType, len(types))
	}
	if types[0] == mediaType {
		return nil
	}
	t, params, err := mime.ParseMediaType(types[0])
	if err != nil || t != mediaType {
		return ErrMediaType
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return fmt.Errorf("%w in UTF-8", ErrMediaType)
		}
	}
	return nil
}

// readBody reads all of r's body, or fails without reading if its length is
// announced and over the limit.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, ErrTooLarge
	}
	if r.Body == nil { // only in requests that no server made
		return nil, nil
	}
	size := r.ContentLength
	if size < 0 {
		size = 1023 // chunked, length unknown
	}
	body := make([]byte, 0, size+1) // one more, so that EOF shows without growing
	src := http.MaxBytesReader(w, r.Body, limit)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := src.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			break
		}
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, ErrTooLarge
		}
		if err != nil {
			return nil, fmt.Errorf("%w: body broke off: %w", ErrMalformed, err)
		}
	}
	if r.ContentLength > int64(len(body)) {
		// A handler in front of us has read the body, for instance by calling
		// r.FormValue. Going on would mean to judge half a request.
		return nil, fmt.Errorf("%w: %d bytes announced, %d left to read", ErrMalformed, r.ContentLength, len(body))
	}
	return body, nil
}
