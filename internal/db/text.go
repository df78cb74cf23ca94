package db

import (
	"strings"
	"unicode/utf8"
)

// textLimit keeps a page of HTML, or a novel, from an upstream out of a row.
const textLimit = 1024

// Text makes a foreign text fit for a column: PostgreSQL refuses a NUL and
// invalid UTF-8, and a statement that fails because of the text that explains a
// failure would keep the row where it is for ever.
func Text(text string) string {
	if len(text) <= textLimit && utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 {
		return text // as nearly all are
	}
	clean := make([]rune, 0, min(len(text), textLimit))
	size := 0
	for i, r := range text {
		if r == utf8.RuneError {
			if _, width := utf8.DecodeRuneInString(text[i:]); width == 1 {
				continue
			}
		}
		if size += utf8.RuneLen(r); size > textLimit {
			break
		}
		if r != 0 {
			clean = append(clean, r)
		}
	}
	return string(clean)
}
