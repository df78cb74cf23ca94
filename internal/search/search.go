// Package search is the language of the list endpoints: the search parameter
// and the orderBy parameter, turned into SQL.
//
// It is for reading what a client wrote and for saying where it is wrong. It is
// not for running queries and knows no table: the caller gives the columns.
// Invariant: no character of the client's text reaches the SQL; values travel as
// arguments, and a text that PostgreSQL would refuse is refused here.
package search

import (
	"fmt"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

// Bounds of one text. Real clients stay far below them; they keep the cost of a
// hostile text small.
const (
	maxLength = 1024 // bytes
	maxJoins  = 10   // AND, OR, and the NOT of NOT IN
	maxDepth  = 20   // open parentheses
)

// Language says what may be searched and sorted, and is safe for concurrent use.
//
// The SQL side of the maps may be any text expression, so that a column can be
// narrowed to the rows in which the client may see it, for example with a CASE.
// It must not contain question marks, which stand for arguments.
type Language struct {
	Failure string            // how every refusal begins, like "unable to list kafka requests"
	Columns map[string]string // lower-case wire name → SQL expression of type text
	Order   map[string]string // lower-case wire name → SQL expression
	Default string            // SQL order when the client asks for none
	Unique  []string          // SQL columns in which no two rows of a list are equal; the first makes pages stable
}

// Filter is a parsed search. The zero Filter lets every row pass.
type Filter struct{ root *node }

// Parse reads a search text. An empty text is the zero Filter. Errors are of
// the catalogue (SearchMalformed).
func (l Language) Parse(text string) (Filter, error) {
	if text == "" {
		return Filter{}, nil
	}
	root, err := parse(text, l.Columns)
	if err != nil {
		return Filter{}, l.refuse(apierr.SearchMalformed, err)
	}
	return Filter{root}, nil
}

// refuse begins with the words that clients look for.
func (l Language) refuse(code apierr.Code, cause error) error {
	return apierr.New(code, l.Failure+": "+cause.Error())
}

// fault is an error with the place where it was met.
type fault struct {
	at   int // 1-based, in characters
	text string
}

func (f fault) Error() string { return fmt.Sprintf("[%d] error parsing the filter: %s", f.at, f.text) }

type operator string

const (
	opAnd   operator = "AND"
	opOr    operator = "OR"
	opEqual operator = "="
	opOther operator = "<>"
	opLike  operator = "LIKE"
	opILike operator = "ILIKE"
	opIn    operator = "IN"
	opNotIn operator = "NOT IN"
)

// node is a comparison (column and values) or a junction (left and right).
type node struct {
	op          operator
	column      string // SQL expression
	values      []string
	left, right *node
}

// Clause gives the predicate in parentheses with a question mark for each
// argument, ready for gorm's Where; it is empty for the zero Filter.
func (f Filter) Clause() (sql string, args []any) {
	if f.root == nil {
		return "", nil
	}
	var out strings.Builder
	f.root.write(&out, &args)
	return out.String(), args
}

// write puts parentheses around every predicate, so that what stands next to it
// (the tenant's condition) can never bind to a part of it.
func (n *node) write(out *strings.Builder, args *[]any) {
	out.WriteByte('(')
	defer out.WriteByte(')')
	if n.left != nil {
		n.left.write(out, args)
		out.WriteString(" " + string(n.op) + " ")
		n.right.write(out, args)
		return
	}
	out.WriteString(n.column + " " + string(n.op) + " ")
	if n.op == opIn || n.op == opNotIn {
		out.WriteString("(?" + strings.Repeat(", ?", len(n.values)-1) + ")")
	} else {
		out.WriteByte('?')
	}
	for _, value := range n.values {
		*args = append(*args, value)
	}
}
