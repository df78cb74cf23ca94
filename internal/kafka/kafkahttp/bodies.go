package kafkahttp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
)

// What is kept of each audience: about 20 MiB where an instance takes 1.2 kB. Long
// ones, with a certificate in each, are kept in smaller number.
const (
	keptBodies = 16384
	keptBytes  = 32 << 20
)

// bodies keeps instances as they were shown last. A list asks the database for
// the stamps of its rows only, and reads and renders those that it does not have
// in that state. It needs nobody to say that a row changed.
type bodies struct {
	kept  *lru.Cache[kafka.ID, body]
	limit int // of bytes

	mu    sync.Mutex // of changes
	bytes int
}

// body is one row as JSON, in the state that the stamp names.
type body struct {
	stamp kafka.Stamp
	json  []byte
}

func newBodies() *bodies {
	b := &bodies{limit: keptBytes}
	b.kept, _ = lru.NewWithEvict(keptBodies, func(_ kafka.ID, gone body) { b.bytes -= len(gone.json) }) // fails only for a size that is not positive
	return b
}

// keep takes in a body and drops those that were not asked for longest.
func (b *bodies) keep(one body) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept.Remove(one.stamp.ID) // replacing it would not tell what went
	b.kept.Add(one.stamp.ID, one)
	for b.bytes += len(one.json); b.bytes > b.limit; {
		b.kept.RemoveOldest()
	}
}

// of gives the JSON of the rows in their order. render reads those that are not
// kept; what it does not find is left out.
func (b *bodies) of(stamps []kafka.Stamp, render func(missing []kafka.ID) ([]body, error)) ([][]byte, error) {
	found := make([][]byte, len(stamps))
	var missing []kafka.ID
	for i, stamp := range stamps {
		if kept, ok := b.kept.Get(stamp.ID); ok && kept.stamp == stamp {
			found[i] = kept.json
		} else {
			missing = append(missing, stamp.ID)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	fresh, err := render(missing)
	if err != nil {
		return nil, err
	}
	read := make(map[kafka.ID][]byte, len(fresh))
	for _, one := range fresh {
		read[one.stamp.ID] = one.json
		b.keep(one)
	}
	whole := found[:0]
	for i, json := range found {
		if json == nil {
			json = read[stamps[i].ID]
		}
		if json != nil {
			whole = append(whole, json)
		}
	}
	return whole, nil
}

// renderAll turns rows into bodies; err is what reading them gave.
func renderAll[Row, Shown any](rows []Row, stamp func(Row) kafka.Stamp, show func(Row) Shown, err error) ([]body, error) {
	if err != nil {
		return nil, err
	}
	all := make([]body, 0, len(rows))
	for _, row := range rows {
		raw, err := json.Marshal(show(row))
		if err != nil {
			return nil, fmt.Errorf("rendering an instance: %w", err)
		}
		all = append(all, body{stamp: stamp(row), json: raw})
	}
	return all, nil
}

// listReply is a list put together from bodies.
type listReply struct {
	before string
	items  [][]byte
	after  string
	etag   string // empty: that of the content
}

func (l listReply) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	if l.etag == "" { // the edge puts it together, to know what it is
		w.WriteHeader(http.StatusOK)
		return l.parts(func(part []byte) error {
			_, err := w.Write(part)
			return err
		})
	}
	size := len(l.before) + len(l.after) + 1
	for _, item := range l.items {
		size += len(item) + 1
	}
	all := make([]byte, 0, size)
	_ = l.parts(func(part []byte) error { // cannot fail
		all = append(all, part...)
		return nil
	})
	w.Header().Set("ETag", l.etag)
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(all)
	return err
}

// parts gives the reply piece by piece.
func (l listReply) parts(give func([]byte) error) error {
	err := give([]byte(l.before))
	for i, item := range l.items {
		if i > 0 && err == nil {
			err = give([]byte(","))
		}
		if err == nil {
			err = give(item)
		}
	}
	if err == nil {
		err = give([]byte(l.after + "\n"))
	}
	return err
}
