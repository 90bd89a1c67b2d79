package authz

import (
	"mime"
	"strings"
)

// prefers reports whether the Accept header of a request would rather have
// media type a than b (RFC 9110, 12.5.1). Where it likes both the same, a has
// to be named for that: application/* and */* leave the choice to us, and we
// choose b. What is malformed in it is passed over.
func prefers(accept []string, a, b string) bool {
	forA, forB := preference{}, preference{}
	for _, line := range accept {
		for line != "" {
			var element string
			element, line = cutElement(line)
			media, q, ok := mediaRange(element)
			if !ok {
				continue
			}
			forA.take(media, q, a)
			forB.take(media, q, b)
		}
	}
	if forA.q == forB.q {
		return forA.q > 0 && forA.how == named
	}
	return forA.q > forB.q
}

// A preference is how much a media type is wanted, by the most specific of the
// ranges that match it.
type preference struct {
	how int
	q   int // thousandths
}

// How a range matches a type, the least specific first.
const (
	anyType = iota + 1
	anySubtype
	named
)

// take notes that the header has range media with quality q, if it matches t.
// Of two that match in the same way the later counts.
func (p *preference) take(media string, q int, t string) {
	how := 0
	kind, _, _ := strings.Cut(t, "/")
	switch media {
	case t:
		how = named
	case kind + "/*":
		how = anySubtype
	case "*/*":
		how = anyType
	}
	if how > 0 && how >= p.how {
		p.how, p.q = how, q
	}
}

// cutElement cuts a list around its first comma that is in no quoted string
// (RFC 9110, 5.6.1 and 5.6.4).
func cutElement(list string) (element, rest string) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

// mediaRange reads a media range in lower case, and its quality in
// thousandths. Parameters other than q are ignored: what we send has none.
func mediaRange(element string) (media string, q int, ok bool) {
	media, params, err := mime.ParseMediaType(element)
	if err != nil || !strings.Contains(media, "/") {
		return "", 0, false
	}
	weight, there := params["q"]
	if !there {
		return media, 1000, true
	}
	q, ok = quality(weight)
	return media, q, ok
}

// quality reads a qvalue (RFC 9110, 12.4.2): 0 or 1, with up to three digits
// after the point, in thousandths.
func quality(s string) (q int, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(fraction) > 3 {
		return 0, false
	}
	q = int(whole[0]-'0') * 1000
	for i, unit := 0, 100; i < len(fraction); i, unit = i+1, unit/10 {
		if fraction[i] < '0' || fraction[i] > '9' {
			return 0, false
		}
		q += int(fraction[i]-'0') * unit
	}
	return q, q <= 1000
}
