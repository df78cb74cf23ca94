package emulator

import (
	"bytes"
	"net/http"
	"sync"
	"time"
)

// past remembers what readers were told while a lag was armed, so that they can be
// told it again when it is not true any more.
type past struct {
	mu   sync.Mutex
	told map[string][]memory
}

// memory is one reply.
type memory struct {
	at     time.Time
	status int
	header http.Header
	body   []byte
}

// recall notes what is true now and gives the oldest of what was true since then.
func (p *past) recall(key string, now memory, since time.Time) memory {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told == nil {
		p.told = map[string][]memory{}
	}
	recent := append(p.told[key], now)
	for recent[0].at.Before(since) {
		recent = recent[1:]
	}
	p.told[key] = recent
	return recent[0]
}

func (p *past) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = nil
}

// lag answers a read with what was true up to the fault's delay ago, as far as
// somebody asked then. Whatever is no read is served as usual.
func (c *call) lag(f *armed) {
	if c.r.Method != http.MethodGet {
		c.serve(c.w)
		return
	}
	fresh := &recorder{discard: discard{header: http.Header{}}, status: http.StatusOK}
	c.serve(fresh)
	now := memory{at: time.Now(), status: fresh.status, header: fresh.header, body: fresh.body.Bytes()}
	shown := c.past.recall(c.r.URL.RequestURI(), now, now.at.Add(-f.Delay))
	for name, values := range shown.header {
		c.w.Header()[name] = values
	}
	c.w.WriteHeader(shown.status)
	_, _ = c.w.Write(shown.body)
	c.replied(shown.status)
}

// recorder keeps a reply.
type recorder struct {
	discard
	status int
	body   bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *recorder) WriteHeader(status int)      { r.status = status }
