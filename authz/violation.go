package authz

import (
	"fmt"
	"regexp"
	"strings"
)

// A Violation is one rule that a configuration or a client breaks.
type Violation struct {
	Rule   string `json:"rule"`   // the row of the specification, such as FAPI2-SP-5.3.2.1-11
	Value  string `json:"value"`  // what is wrong
	Remedy string `json:"remedy"` // what to do about it
}

// Violations is every rule that a configuration or a client breaks. It is the
// error of [New] and of [Server.CheckClient].
type Violations []Violation

// Error lists the violations, one a line.
func (v Violations) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "authz: %d violations", len(v))
	if len(v) == 1 {
		b.Reset()
		b.WriteString("authz: 1 violation")
	}
	for _, x := range v {
		fmt.Fprintf(&b, "\n\t%s: %s; %s", x.Rule, x.Value, x.Remedy)
	}
	return b.String()
}

// urlUser finds the user and password of a URL, of one that is malformed as well.
var urlUser = regexp.MustCompile(`//.*@`)

// withoutUser returns s, which shows one URL at most, without these.
func withoutUser(s string) string { return urlUser.ReplaceAllString(s, "//...@") }

// withoutUsers takes the passwords out of the URLs that v shows. Whoever reads
// what is wrong with a client need not know them.
func (v Violations) withoutUsers() Violations {
	for i := range v {
		v[i].Value = withoutUser(v[i].Value)
	}
	return v
}
