package observatorium

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var errNoSelector = errors.New("reading a query: it is no selector")

// matcher is one condition on a label. An absent label is an empty one.
type matcher struct {
	label, op, value string
	pattern          *regexp.Regexp // of =~ and !~; fits the whole value
}

type selector []matcher

var head = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*`)

// parse reads {label="value",…} and nothing else.
func parse(query string) (selector, error) {
	rest, ok := strings.CutPrefix(query, "{")
	if !ok {
		return nil, errNoSelector
	}
	var all selector
	for {
		found := head.FindStringSubmatch(rest)
		if found == nil {
			return nil, errNoSelector
		}
		m := matcher{label: found[1], op: found[2]}
		quoted, err := strconv.QuotedPrefix(rest[len(found[0]):])
		if err != nil || quoted[0] != '"' {
			return nil, errNoSelector
		}
		if m.value, err = strconv.Unquote(quoted); err != nil {
			return nil, errNoSelector
		}
		if strings.HasSuffix(m.op, "~") {
			if m.pattern, err = regexp.Compile("^(?:" + m.value + ")$"); err != nil {
				return nil, fmt.Errorf("reading a query: %w", err)
			}
		}
		all = append(all, m)
		rest = strings.TrimSpace(rest[len(found[0])+len(quoted):])
		if rest == "}" {
			return all, nil
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, errNoSelector
		}
	}
}

func (s selector) fits(labels map[string]string) bool {
	for _, m := range s {
		value, ok := labels[m.label], false
		switch m.op {
		case "=":
			ok = value == m.value
		case "!=":
			ok = value != m.value
		case "=~":
			ok = m.pattern.MatchString(value)
		case "!~":
			ok = !m.pattern.MatchString(value)
		}
		if !ok {
			return false
		}
	}
	return true
}
