package search

import "strings"

// parser is a recursive descent over the tokens:
//
//	or         := and ( OR and )*
//	and        := primary ( AND primary )*
//	primary    := "(" or ")" | comparison
//	comparison := column ( "=" | "<>" | LIKE | ILIKE ) value
//	            | column [NOT] IN "(" value ( "," value )* ")"
type parser struct {
	tokens       []token
	next         int
	joins, depth int
	columns      map[string]string
}

func parse(text string, columns map[string]string) (*node, error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := parser{tokens: tokens, columns: columns}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.is(")") {
		return nil, fault{t.at, "unbalanced braces: ')' closes nothing"}
	} else if t.kind != kindEnd {
		return nil, fault{t.at, "expected AND or OR, found " + t.String()}
	}
	return root, nil
}

func (p *parser) peek() token { return p.tokens[p.next] }

// take consumes the next token. The end is never passed.
func (p *parser) take() token {
	t := p.tokens[p.next]
	if t.kind != kindEnd {
		p.next++
	}
	return t
}

// join counts what the database must combine.
func (p *parser) join(at int) error {
	if p.joins++; p.joins > maxJoins {
		return fault{at, "too many joins in one search"}
	}
	return nil
}

func (p *parser) or() (*node, error)  { return p.junction(opOr, p.and) }
func (p *parser) and() (*node, error) { return p.junction(opAnd, p.primary) }

func (p *parser) junction(op operator, operand func() (*node, error)) (*node, error) {
	left, err := operand()
	if err != nil {
		return nil, err
	}
	for p.peek().is(string(op)) {
		if err := p.join(p.take().at); err != nil {
			return nil, err
		}
		right, err := operand()
		if err != nil {
			return nil, err
		}
		left = &node{op: op, left: left, right: right}
	}
	return left, nil
}

func (p *parser) primary() (*node, error) {
	if !p.peek().is("(") {
		return p.comparison()
	}
	open := p.take()
	if p.depth++; p.depth > maxDepth {
		return nil, fault{open.at, "braces are nested too deeply"}
	}
	inner, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.take(); t.kind == kindEnd {
		return nil, fault{open.at, "unbalanced braces: '(' is never closed"}
	} else if !t.is(")") {
		return nil, fault{t.at, "expected AND, OR or ')', found " + t.String()}
	}
	p.depth--
	return inner, nil
}

func (p *parser) comparison() (*node, error) {
	t := p.take()
	column, ok := p.columns[strings.ToLower(t.text)]
	if t.kind != kindWord || !ok {
		return nil, fault{t.at, "expected a column name, found " + t.String()}
	}
	n := &node{column: column}
	switch t = p.take(); {
	case t.is("="):
		n.op = opEqual
	case t.is("<>"):
		n.op = opOther
	case t.is("like"):
		n.op = opLike
	case t.is("ilike"):
		n.op = opILike
	case t.is("in"):
		n.op = opIn
		return n, p.list(n)
	case t.is("not"):
		if err := p.join(t.at); err != nil {
			return nil, err
		}
		if t = p.take(); !t.is("in") {
			return nil, fault{t.at, "expected IN after NOT, found " + t.String()}
		}
		n.op = opNotIn
		return n, p.list(n)
	default:
		return nil, fault{t.at, "expected an operator, found " + t.String()}
	}
	return n, p.value(n)
}

// value takes any word, also one that is a keyword elsewhere: an instance may
// well be called "and".
func (p *parser) value(n *node) error {
	t := p.take()
	if t.kind != kindWord && t.kind != kindQuoted {
		return fault{t.at, "expected a value, found " + t.String()}
	}
	if (n.op == opLike || n.op == opILike) && endsInEscape(t.text) {
		return fault{t.at, "a pattern must not end with a lone backslash"}
	}
	n.values = append(n.values, t.text)
	return nil
}

func (p *parser) list(n *node) error {
	if t := p.take(); !t.is("(") {
		return fault{t.at, "expected '(' after IN, found " + t.String()}
	}
	for {
		if err := p.value(n); err != nil {
			return err
		}
		switch t := p.take(); {
		case t.is(")"):
			return nil
		case !t.is(","):
			return fault{t.at, "expected ',' or ')' in the list, found " + t.String()}
		}
	}
}

// endsInEscape tells whether the last backslash escapes nothing, which
// PostgreSQL reports as an error as soon as it compares a row.
func endsInEscape(pattern string) bool {
	return (len(pattern)-len(strings.TrimRight(pattern, `\`)))%2 == 1
}
