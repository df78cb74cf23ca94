package search

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind int

const (
	kindEnd kind = iota
	kindWord
	kindQuoted
	kindSymbol // ( ) , = <>
)

type token struct {
	kind kind
	text string // of a quoted text: its content
	at   int    // 1-based
}

// is tells whether the token is that symbol, or that keyword in any case.
func (t token) is(text string) bool {
	switch t.kind {
	case kindSymbol:
		return t.text == text
	case kindWord:
		return strings.EqualFold(t.text, text)
	default:
		return false
	}
}

func (t token) String() string {
	if t.kind == kindEnd {
		return "the end of the text"
	}
	return "'" + t.text + "'"
}

// lexer works on characters, not bytes, so that positions are those a user
// counts and no character is ever cut.
type lexer struct {
	text []rune
	next int
}

func lex(text string) ([]token, error) {
	switch {
	case len(text) > maxLength:
		return nil, fault{1, "the text is too long"}
	case !utf8.ValidString(text):
		return nil, fault{1, "the text is not valid UTF-8"}
	}
	l := lexer{text: []rune(text)}
	var tokens []token
	for {
		t, err := l.token()
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		if t.kind == kindEnd {
			return tokens, nil
		}
	}
}

func (l *lexer) token() (token, error) {
	for l.next < len(l.text) && unicode.IsSpace(l.text[l.next]) {
		l.next++
	}
	at := l.next + 1
	if l.next == len(l.text) {
		return token{kindEnd, "", at}, nil
	}
	switch r := l.text[l.next]; r {
	case '\'':
		return l.quoted()
	case '(', ')', ',', '=':
		l.next++
		return token{kindSymbol, string(r), at}, nil
	case '<':
		if l.next+1 < len(l.text) && l.text[l.next+1] == '>' {
			l.next += 2
			return token{kindSymbol, "<>", at}, nil
		}
		return token{}, fault{at, "'<' is not an operator"}
	case '>':
		return token{}, fault{at, "'>' is not an operator"}
	default:
		return l.word()
	}
}

// word reads a run of anything that is neither white space nor a symbol.
func (l *lexer) word() (token, error) {
	from := l.next
	for l.next < len(l.text) && !unicode.IsSpace(l.text[l.next]) && !strings.ContainsRune("(),=<>'", l.text[l.next]) {
		switch l.text[l.next] {
		case 0:
			return token{}, fault{l.next + 1, "a NUL character is not allowed"}
		case '"':
			return token{}, fault{l.next + 1, "double quotes are not allowed, use single ones"}
		}
		l.next++
	}
	return token{kindWord, string(l.text[from:l.next]), from + 1}, nil
}

// quoted reads '…'. A quote inside is written \' or doubled. Any other backslash
// stands for itself, because LIKE has its own use for it; a pair of them does
// not escape the quote behind it.
func (l *lexer) quoted() (token, error) {
	at := l.next + 1
	var content strings.Builder
	for l.next++; l.next < len(l.text); l.next++ {
		r, follows := l.text[l.next], rune(-1)
		if l.next+1 < len(l.text) {
			follows = l.text[l.next+1]
		}
		switch {
		case r == 0:
			return token{}, fault{l.next + 1, "a NUL character is not allowed"}
		case (r == '\'' || r == '\\') && follows == '\'':
			content.WriteRune('\'')
			l.next++
		case r == '\\' && follows == '\\':
			content.WriteString(`\\`)
			l.next++
		case r == '\'':
			l.next++
			return token{kindQuoted, content.String(), at}, nil
		default:
			content.WriteRune(r)
		}
	}
	return token{}, fault{at, "EOF encountered while parsing string"}
}
