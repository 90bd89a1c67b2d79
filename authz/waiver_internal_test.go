package authz

import "testing"

// TestRulesAreWhole: every rule has what the report and a violation say of it,
// and all rules of one row can be waived or none, so that a waiver of it is not
// half of one.
func TestRulesAreWhole(t *testing.T) {
	for name, p := range policies {
		open := make(map[string]bool)
		for _, r := range p.rules {
			if was, ok := open[r.id]; ok && was != r.waivable {
				t.Errorf("%s: %s is waivable in part", name, r.id)
			}
			open[r.id] = r.waivable
			kinds := 0
			for _, is := range []bool{r.server != nil, r.client != nil, r.request != nil} {
				if is {
					kinds++
				}
			}
			if kinds != 1 || r.id == "" || r.remedy == "" || (r.request != nil) != (r.code != "") {
				t.Errorf("%s: %s is not whole", name, r.id)
			}
		}
	}
}

// TestServerRuleIsNoClientRule: that a row is about the server decides for whom
// it can be waived.
func TestServerRuleIsNoClientRule(t *testing.T) {
	for name, p := range policies {
		about := make(map[string]bool)
		for _, r := range p.rules {
			if was, ok := about[r.id]; ok && was != (r.server != nil) {
				t.Errorf("%s: %s is about the server and about clients", name, r.id)
			}
			about[r.id] = r.server != nil
		}
	}
}
