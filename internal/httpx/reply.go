package httpx

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// A body below this size fits into one packet, so that compression costs more
// than it saves.
const compressFrom = 1400

// zippers keeps idle compressors, which are expensive to make.
type zippers struct{ idle sync.Pool }

func (z *zippers) take(out io.Writer) *gzip.Writer {
	if zip, ok := z.idle.Get().(*gzip.Writer); ok {
		zip.Reset(out)
		return zip
	}
	zip, _ := gzip.NewWriterLevel(out, gzip.BestSpeed) // fails for unknown levels only
	return zip
}

// reply is the response writer of all handlers. The header goes out with the
// first byte of the body and not before, so that an error found while the reply
// is made (a value that has no JSON form, for one) can still replace it.
type reply struct {
	http.ResponseWriter
	status    int // 0: not chosen yet
	committed bool
	leaves    func(status int) // called before anything of the reply leaves; may be nil
	takesGzip bool
	zippers   *zippers
	zip       *gzip.Writer

	hold  bool   // keep the reply until it is whole
	asked string // If-None-Match
	shelf *shelf
	held  *bytes.Buffer

	room grant // for what is held
}

func (c *chain) newReply(w http.ResponseWriter, r *http.Request) *reply {
	return &reply{
		ResponseWriter: w, zippers: &c.zippers, shelf: &c.shelf, room: grant{budget: &c.held}, asked: oneLine(r.Header, "If-None-Match"),
		takesGzip: prefersGzip(r),
	}
}

// Unwrap lets http.ResponseController reach the connection's deadlines.
func (p *reply) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// WriteHeader chooses the status; the first choice counts.
func (p *reply) WriteHeader(status int) {
	if status < 200 {
		p.ResponseWriter.WriteHeader(status)
		return
	}
	if p.status == 0 {
		p.status = status
	}
}

func (p *reply) Write(b []byte) (int, error) {
	if p.keep(b) {
		return len(b), nil
	}
	if err := p.release(false); err != nil {
		return 0, err
	}
	return p.send(b)
}

func (p *reply) send(b []byte) (int, error) {
	if !p.committed {
		p.commit(len(b))
	}
	if p.zip != nil {
		return p.zip.Write(b)
	}
	return p.ResponseWriter.Write(b)
}

// Flush sends what was written so far.
func (p *reply) Flush() {
	_ = p.release(false) // a broken connection has nobody to tell
	if !p.committed {
		p.commit(0)
	}
	if p.zip != nil {
		_ = p.zip.Flush()
	}
	_ = http.NewResponseController(p.ResponseWriter).Flush()
}

// restart forgets the status of a reply that has not left yet, and what its
// headers said about its body. It tells whether that was possible.
func (p *reply) restart() bool {
	if p.committed {
		return false
	}
	p.status = 0
	if p.held != nil {
		p.shelf.give(p.held)
		p.held = nil
	}
	for _, name := range []string{"Content-Length", "Content-Encoding", "ETag", "Last-Modified", "Cache-Control", "Location"} {
		p.Header().Del(name)
	}
	return true
}

func (p *reply) commit(size int) {
	p.committed = true
	if p.status == 0 {
		p.status = http.StatusOK
	}
	if p.leaves != nil {
		p.leaves(p.status)
	}
	switch {
	case p.status == http.StatusNoContent:
	case p.status == http.StatusNotModified: // it says what 200 would, which may be packed
		p.varies()
	case p.negotiate(size):
		p.Header().Set("Content-Encoding", "gzip")
		p.Header().Del("Content-Length")
		p.zip = p.zippers.take(p.ResponseWriter)
	}
	p.ResponseWriter.WriteHeader(p.status)
}

// varies says once that a body depends on who asks.
func (p *reply) varies() {
	if !slices.Contains(p.Header().Values("Vary"), "Accept-Encoding") {
		p.Header().Add("Vary", "Accept-Encoding")
	}
}

// negotiate tells whether a body, or its first part, of this size goes out packed,
// and says so in the headers. A strong tag names certain bytes, so it becomes weak.
func (p *reply) negotiate(size int) bool {
	if size < compressFrom || p.Header().Get("Content-Encoding") != "" {
		return false
	}
	p.varies()
	if tag := p.Header().Get("ETag"); p.takesGzip && strings.HasPrefix(tag, `"`) {
		p.Header().Set("ETag", "W/"+tag)
	}
	return p.takesGzip
}

// finish sends what is left. A handler that wrote nothing said 200.
func (p *reply) finish() {
	_ = p.release(true)
	if !p.committed {
		p.commit(0)
	}
	if p.zip != nil {
		_ = p.zip.Close() // the connection is gone: nobody to tell
		p.zippers.idle.Put(p.zip)
		p.zip = nil
	}
}

// underlying gives the server's own writer, which http.MaxBytesReader uses to
// close the connection of a client that sends too much.
func underlying(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}
