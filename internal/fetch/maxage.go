package fetch

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// freshness returns how long an answer may be kept: zero if not at all,
// negative if it does not say. What cannot be understood counts as stale (RFC
// 9111, 4.2.1). Expires is not read: it would need the sender's clock.
func freshness(h http.Header) time.Duration {
	age := -1 // seconds
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				n := seconds(value)
				if age < 0 || n < age {
					age = n
				}
			}
		}
	}
	if age > 0 && h.Get("Age") != "" {
		// So long has it lain in a cache on the way.
		age = max(0, age-seconds(h.Get("Age")))
	}
	return time.Duration(age) * time.Second
}

// seconds reads delta-seconds (RFC 9111, 1.2.2), quoted or not. Nonsense is 0,
// and more than a year is a year.
func seconds(s string) int {
	const year = 365 * 24 * 60 * 60
	n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(s), `"`), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return int(min(n, year))
}
