package kafkahttp

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
)

// shelf is a table of rows that counts how often each is read.
type shelf struct {
	rows  map[kafka.ID]kafka.Stamp
	reads map[kafka.ID]int
}

func (s shelf) render(ids []kafka.ID) (out []body, err error) {
	for _, id := range ids {
		s.reads[id]++
		if stamp, ok := s.rows[id]; ok {
			out = append(out, body{stamp, fmt.Appendf(nil, `"%s at %d"`, id, stamp.Write)})
		}
	}
	return out, nil
}

func (s shelf) stamps(ids ...kafka.ID) (out []kafka.Stamp) {
	for _, id := range ids {
		out = append(out, s.rows[id])
	}
	return out
}

func text(t *testing.T, items [][]byte, err error) string {
	t.Helper()
	require.NoError(t, err)
	w := httptest.NewRecorder()
	require.NoError(t, listReply{before: "[", items: items, after: "]"}.write(w))
	return w.Body.String()
}

func TestRowsAreRenderedOncePerState(t *testing.T) {
	t.Parallel()
	s := shelf{rows: map[kafka.ID]kafka.Stamp{}, reads: map[kafka.ID]int{}}
	for _, id := range []kafka.ID{"a", "b", "c"} {
		s.rows[id] = kafka.Stamp{ID: id, Version: 1, Write: 7}
	}
	b := newBodies()
	page := func(ids ...kafka.ID) string {
		items, err := b.of(s.stamps(ids...), s.render)
		return text(t, items, err)
	}
	require.JSONEq(t, `["b at 7", "a at 7"]`, page("b", "a"))
	require.JSONEq(t, `["a at 7", "c at 7", "b at 7"]`, page("a", "c", "b"))
	require.Equal(t, map[kafka.ID]int{"a": 1, "b": 1, "c": 1}, s.reads)
	s.rows["a"] = kafka.Stamp{ID: "a", Version: 1, Write: 8} // changed by hand: the version stayed
	require.JSONEq(t, `["a at 8", "b at 7"]`, page("a", "b"))
	require.Equal(t, 2, s.reads["a"])
	require.JSONEq(t, `[]`, page())
}

// A row that went between the two statements is left out, one that changed is shown as it was read.
func TestRowsThatMoveWhileAListIsRead(t *testing.T) {
	t.Parallel()
	s := shelf{rows: map[kafka.ID]kafka.Stamp{"a": {ID: "a", Write: 2}, "c": {ID: "c", Write: 2}}, reads: map[kafka.ID]int{}}
	b := newBodies()
	before := []kafka.Stamp{{ID: "a", Write: 1}, {ID: "b", Write: 1}, {ID: "c", Write: 1}}
	items, err := b.of(before, s.render)
	require.JSONEq(t, `["a at 2", "c at 2"]`, text(t, items, err))
	_, err = b.of(before, func([]kafka.ID) ([]body, error) { return nil, errors.New("no database") })
	require.EqualError(t, err, "no database", "what is kept of other states is no answer")
}

func TestWhatIsKeptIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	s := shelf{rows: map[kafka.ID]kafka.Stamp{}, reads: map[kafka.ID]int{}}
	for _, id := range []kafka.ID{"a", "b", "c"} {
		s.rows[id] = kafka.Stamp{ID: id, Version: 1, Write: 1}
	}
	b := newBodies()
	b.limit = 2 * len(`"a at 1"`)
	page := func(ids ...kafka.ID) {
		_, err := b.of(s.stamps(ids...), s.render)
		require.NoError(t, err)
	}
	page("a", "b")
	page("a", "b")
	require.Equal(t, map[kafka.ID]int{"a": 1, "b": 1}, s.reads)
	for write := range 9 {
		s.rows["b"] = kafka.Stamp{ID: "b", Version: 1, Write: uint32(write)}
		page("b")
	}
	page("a")
	require.Equal(t, 1, s.reads["a"], "the changed one takes the place of its former self")
	page("c")
	page("b")
	page("a")
	require.Equal(t, 2, s.reads["a"])
	require.Equal(t, b.limit, b.bytes)
}
