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
// concatenated or mangled body would be obeyed in silence. What is wrong with it is
// told to who first reads it: handlers without interest never see faults.
type singleValue struct {
	body    io.ReadCloser
	nul     bool // texts may hold NUL: they are cleaned where they are stored
	shelf   *shelf
	text    *bytes.Buffer // what was received already; nil: nobody wants it
	checked io.Reader
	err     error
}

func (s *singleValue) Read(p []byte) (int, error) {
	if s.checked == nil && s.err == nil {
		s.begin()
		_, err := s.text.ReadFrom(s.body)
		s.judge(err)
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.checked.Read(p)
}

func (s *singleValue) Close() error { return s.body.Close() }

func (s *singleValue) begin() {
	if s.text == nil {
		s.text = s.shelf.take()
	}
}

// end gives the buffer back. Nobody may read any more.
func (s *singleValue) end() {
	if s.text != nil {
		s.shelf.give(s.text)
	}
}

// freeBody is what everybody may send before it counts: an order is shorter, so
// that nobody's large bodies are in the way of orders.
const freeBody = 4 << 10

// receive reads the body to its end, or tells that the room for bodies is full.
func (s *singleValue) receive(room *grant) bool {
	s.begin()
	for step := int64(freeBody); ; step = budgetStep {
		if _, err := io.CopyN(s.text, s.body, step); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			s.judge(err)
			return true
		}
		if !room.afford(s.text.Len() + budgetStep - freeBody) {
			return false
		}
	}
}

// judge looks at a body that is there, or at what kept the rest of it away.
func (s *singleValue) judge(err error) {
	var long *http.MaxBytesError
	switch {
	case err == nil:
		err = checkSingle(s.text.Bytes(), s.nul)
	case errors.As(err, &long):
		err = malformed(fmt.Sprintf("the body is larger than %d bytes", long.Limit))
	}
	s.checked, s.err = s.text, err
}

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
