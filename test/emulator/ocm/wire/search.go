package wire

import (
	"fmt"
	"slices"
	"strings"
)

// Search is a parsed search: alternatives, each a conjunction of column = 'value'.
type Search [][]condition

type condition struct{ column, value string }

// ParseSearch reads a search. Values stand in single quotes; a quote inside is
// doubled. The columns must be known. An empty search matches everything.
func ParseSearch(text string, columns ...string) (Search, error) {
	if strings.TrimSpace(text) == "" {
		return Search{{}}, nil
	}
	found := Search{{}}
	for rest := text; ; {
		c, left, err := parseCondition(rest)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(columns, c.column) {
			return nil, fmt.Errorf("%q is not a valid field name", c.column)
		}
		found[len(found)-1] = append(found[len(found)-1], c)
		word, left, _ := strings.Cut(strings.TrimSpace(left), " ")
		switch strings.ToLower(word) {
		case "":
			return found, nil
		case "and":
		case "or":
			found = append(found, []condition{})
		default:
			return nil, fmt.Errorf("unexpected %q", word)
		}
		rest = left
	}
}

func parseCondition(text string) (c condition, rest string, err error) {
	column, rest, ok := strings.Cut(text, "=")
	rest, quoted := strings.CutPrefix(strings.TrimSpace(rest), "'")
	if !ok || !quoted {
		return c, "", fmt.Errorf("expected a column = 'value' at %q", text)
	}
	var value strings.Builder
	for {
		part, left, closed := strings.Cut(rest, "'")
		if !closed {
			return c, "", fmt.Errorf("quote is not closed at %q", text)
		}
		value.WriteString(part)
		inside := strings.HasPrefix(left, "'")
		if !inside {
			return condition{strings.TrimSpace(column), value.String()}, left, nil
		}
		value.WriteByte('\'')
		rest = left[1:]
	}
}

// Matches tells whether a row, given by its columns, is found.
func (s Search) Matches(row map[string]string) bool {
	return slices.ContainsFunc(s, func(all []condition) bool {
		return !slices.ContainsFunc(all, func(c condition) bool { return row[c.column] != c.value })
	})
}
