package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aikagi/aikagi/internal/jose"
	"github.com/aikagi/aikagi/internal/jsonw"
)

// A claimWriter writes the claims of one token and remembers why it cannot.
type claimWriter struct {
	o   *jsonw.Object
	err error
}

func newClaims() claimWriter { return claimWriter{o: jsonw.New(768)} }

func (w *claimWriter) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("token: "+format, args...)
	}
}

// text writes a claim that must have a value.
func (w *claimWriter) text(name, v string) {
	if v == "" {
		w.fail("%s is empty", name)
	}
	w.optional(name, v)
}

// optional writes a claim if it has a value: a claim without one is left out
// (OIDC Core, 3.1.3.3).
func (w *claimWriter) optional(name, v string) {
	if v == "" {
		return
	}
	if !utf8.ValidString(v) { // RFC 8725, 3.7
		w.fail("%s is not UTF-8", name)
	}
	w.o.String(name, v)
}

func (w *claimWriter) list(name string, v []string) {
	if len(v) == 0 {
		return
	}
	for _, s := range v {
		if s == "" || !utf8.ValidString(s) {
			w.fail("%s has an element that is empty or not UTF-8", name)
		}
	}
	w.o.Strings(name, v)
}

// issuer writes iss. That it is a URL is checked no further: it is compared
// octet by octet and never taken apart.
func (w *claimWriter) issuer(iss string) {
	if err := checkIssuer(iss); err != nil {
		w.fail("%w", err)
	}
	w.text("iss", iss)
}

func checkIssuer(iss string) error {
	if len(iss) <= len("https://") || !strings.HasPrefix(iss, "https://") || strings.ContainsAny(iss, "?#") {
		return errors.New("issuer is not an https URL without query and fragment") // RFC 8414, 2
	}
	return nil
}

// times writes iat and exp, in whole seconds.
func (w *claimWriter) times(issued, expires time.Time) {
	if issued.IsZero() || expires.Unix() <= issued.Unix() {
		w.fail("the time of issue is missing, or expiry is not after it")
	}
	w.o.Int("iat", issued.Unix())
	w.o.Int("exp", expires.Unix())
}

func (w *claimWriter) authentication(at time.Time, acr string, amr []string) {
	if !at.IsZero() {
		w.o.Int("auth_time", at.Unix())
	}
	w.optional("acr", acr)
	w.list("amr", amr)
}

// extra writes the host's claims in the order of their names.
func (w *claimWriter) extra(claims map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		v := claims[name]
		if v == nil || v == "" {
			continue
		}
		if jose.Reserved(name) {
			w.fail("claim %q is not the host's to set", name)
		}
		b, err := json.Marshal(v)
		if err != nil {
			w.fail("claim %q: %w", name, err)
			continue
		}
		if !utf8.ValidString(name) {
			w.fail("the name of a claim is not UTF-8")
		}
		w.o.Raw(name, b)
	}
}

// end ends the object and returns it. Claims of the host's making are read back
// first: they could nest or repeat names so that our own verifier refuses.
func (w *claimWriter) end(foreign bool) ([]byte, error) {
	payload := w.o.Bytes()
	if w.err != nil {
		return nil, w.err
	}
	if foreign {
		if _, err := jose.ParseClaims(payload); err != nil {
			return nil, fmt.Errorf("token: claims of the host: %w", err)
		}
	}
	return payload, nil
}
