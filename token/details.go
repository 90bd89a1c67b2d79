package token

import (
	"encoding/json"

	"github.com/aikagi/aikagi/internal/jose"
)

// details writes authorization_details (RFC 9396, 9.1). That they are strict
// JSON as a whole is found out when they are read back.
func (w *claimWriter) details(details []json.RawMessage) {
	if len(details) == 0 {
		return
	}
	array := []byte{'['}
	for i, d := range details {
		if !isDetail(d) {
			w.fail("authorization_details has an element that is no JSON object with a type")
			return
		}
		if i > 0 {
			array = append(array, ',')
		}
		array = append(array, d...)
	}
	w.o.Raw("authorization_details", append(array, ']'))
}

// readDetails reads authorization_details: an array of objects, each with a
// type (RFC 9396, 2).
func readDetails(c jose.Claims) ([]json.RawMessage, bool) {
	raw, _ := c.Raw("authorization_details")
	var details []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &details) != nil {
		return nil, false
	}
	for _, d := range details {
		if !isDetail(d) {
			return nil, false
		}
	}
	return details, true
}

func isDetail(d json.RawMessage) bool {
	c, err := jose.ParseClaims(d)
	if err != nil {
		return false
	}
	typ, _ := c.String("type")
	return typ != ""
}
