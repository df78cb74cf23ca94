package broker

import (
	"fmt"
	"regexp"
	"strings"
)

// claimTerm is one comparison of a claim check: @.<claim> == '<value>'.
var claimTerm = regexp.MustCompile(`^\s*@\.([A-Za-z0-9_-]+)\s*==\s*'([^']*)'\s*$`)

// claimCheck is the part of the JsonPath filter language that the fleet manager uses:
// comparisons of a claim with a text, any of which suffices. An empty one accepts all.
type claimCheck []struct{ claim, value string }

func parseClaimCheck(text string) (claimCheck, error) {
	var check claimCheck
	if strings.TrimSpace(text) == "" {
		return check, nil
	}
	for term := range strings.SplitSeq(text, "||") {
		m := claimTerm.FindStringSubmatch(term)
		if m == nil {
			return nil, fmt.Errorf("parsing claim check: %q is no comparison", term)
		}
		check = append(check, struct{ claim, value string }{m[1], m[2]})
	}
	return check, nil
}

func (c claimCheck) accepts(claims map[string]any) bool {
	for _, term := range c {
		if value, ok := claims[term.claim].(string); ok && value == term.value {
			return true
		}
	}
	return len(c) == 0
}
