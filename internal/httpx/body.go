package httpx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// malformed is a fault of the request that its sender may read about.
type malformed string

func (m malformed) Error() string { return string(m) }

// singleValue is a request body that holds one JSON value and nothing after it.
// encoding/json would stop reading behind the value, so that half of a
// concatenated or mangled body would be obeyed in silence. It reads the body
// when a handler first asks for it: handlers without interest never see faults.
type singleValue struct {
	body    io.ReadCloser
	nul     bool // texts may hold NUL: they are cleaned where they are stored
	checked io.Reader
	err     error
}

func (s *singleValue) Read(p []byte) (int, error) {
	if s.checked == nil && s.err == nil {
		var text []byte
		var long *http.MaxBytesError
		switch text, s.err = io.ReadAll(s.body); {
		case s.err == nil:
			s.err = checkSingle(text, s.nul)
		case errors.As(s.err, &long):
			s.err = malformed(fmt.Sprintf("the body is larger than %d bytes", long.Limit))
		}
		s.checked = bytes.NewReader(text)
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.checked.Read(p)
}

func (s *singleValue) Close() error { return s.body.Close() }

// checkSingle finds the end of the first JSON value and demands white space
// behind it. The decoder checks the value itself afterwards. Unless nul allows
// it, it also refuses \u0000, which no text column of PostgreSQL can store.
func checkSingle(text []byte, nul bool) error {
	depth, quoted, done := 0, false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted:
			if c == '\\' {
				if !nul && bytes.HasPrefix(text[i:], []byte(`\u0000`)) {
					return malformed("a NUL character is not allowed")
				}
				i++
			} else if c == '"' {
				quoted, done = false, depth == 0
			}
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case done:
			return malformed(somethingBehind)
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
			done = depth <= 0
		case depth == 0:
			return checkScalar(text)
		}
	}
	return nil
}

const somethingBehind = "there is something behind the JSON value"

// checkScalar does the same for a number, true, false or null, whose end only a
// decoder finds: it takes nulll for null and 1-1 for 1.
func checkScalar(text []byte) error {
	var value any
	if json.NewDecoder(bytes.NewReader(text)).Decode(&value) == nil && !json.Valid(text) {
		return malformed(somethingBehind)
	}
	return nil
}
