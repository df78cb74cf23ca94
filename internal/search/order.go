package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// ParseOrder reads an orderBy text, a list of "column [asc|desc]", and gives the
// text of an ORDER BY. Its last term is one of a unique column, because rows that
// compare equal could else change places between two pages. Errors are of the
// catalogue (Malformed).
func (l Language) ParseOrder(text string) (string, error) {
	if text == "" {
		return l.decided([]string{l.Default}), nil
	}
	if len(text) > maxLength || !utf8.ValidString(text) {
		return "", l.refuse(apierr.Malformed, errors.New("the orderBy text is too long or not valid UTF-8"))
	}
	var terms []string
	for _, element := range strings.Split(text, ",") {
		term, err := l.orderTerm(element)
		if err != nil {
			return "", l.refuse(apierr.Malformed, err)
		}
		terms = append(terms, term)
	}
	return l.decided(terms), nil
}

func (l Language) orderTerm(element string) (string, error) {
	words := strings.Fields(strings.ToLower(element))
	if len(words) == 0 {
		return "", errors.New("invalid order by clause: an element is empty")
	}
	column, ok := l.Order[words[0]]
	switch {
	case !ok:
		return "", fmt.Errorf("unknown order by field '%s'", words[0])
	case len(words) > 2:
		return "", fmt.Errorf("invalid order by clause '%s'", strings.TrimSpace(element))
	case len(words) == 1 || words[1] == "asc":
		return column + " ASC", nil
	case words[1] == "desc":
		return column + " DESC", nil
	default:
		return "", fmt.Errorf("invalid order by direction '%s', use asc or desc", words[1])
	}
}

// decided ends the order at its first unique column, or adds one. A term behind a
// unique column changes nothing, but PostgreSQL would sort for it.
func (l Language) decided(terms []string) string {
	for i, term := range terms {
		if column, _, _ := strings.Cut(term, " "); slices.Contains(l.Unique, column) {
			return strings.Join(terms[:i+1], ", ")
		}
	}
	return strings.Join(append(terms, l.Unique[0]+" ASC"), ", ")
}
