// Package emulator wraps an emulated upstream with what every upstream does to
// its callers sooner or later: it fails before or after the effect, hangs, cuts
// the connection or answers nonsense. It also keeps a journal of the requests.
//
// It is for tests and the sandbox. It knows nothing of any one upstream; those
// live in the folders below. Invariant: a fault named "after" leaves the wrapped
// handler's effect in place and hides only its reply; a fault named "before"
// leaves no trace in the wrapped handler at all.
package emulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody bounds what one request may make the emulator keep in memory.
const maxBody = 16 << 20

// oversize is the length of an answer that nobody should read to its end.
const oversize = 10 << 20

// Emulated is a handler with faults and a journal around it.
type Emulated struct {
	name    string
	next    http.Handler
	state   func() any
	journal journal

	mu     sync.Mutex
	faults []*armed
	past   past
}

// Wrap puts faults and a journal around the handler.
func Wrap(name string, h http.Handler) *Emulated {
	return &Emulated{name: name, next: h, state: func() any { return struct{}{} }}
}

// ShowState sets what the admin handler shows under /state. Call it before serving.
func (e *Emulated) ShowState(state func() any) *Emulated {
	e.state = state
	return e
}

// Name is the name given to Wrap.
func (e *Emulated) Name() string { return e.name }

// Handler gives the wrapped handler that callers reach.
func (e *Emulated) Handler() http.Handler { return e }

// ServeHTTP notes the request, applies the first fault that fires and otherwise serves it.
func (e *Emulated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answer(w, http.StatusRequestEntityTooLarge, "body cannot be read")
		return
	}
	call := &call{w: w, r: r, body: body, next: e.next, entry: e.journal.begin(r, body), journal: &e.journal, past: &e.past}
	fault := e.fire(r)
	if fault == nil {
		call.serve(w)
		return
	}
	e.journal.note(call.entry, func(n *Entry) { n.Fault = string(fault.Mode) })
	call.suffer(fault)
}

// call is one request on its way through a fault.
type call struct {
	w       http.ResponseWriter
	r       *http.Request
	body    []byte
	next    http.Handler
	entry   *Entry
	journal *journal
	past    *past
}

// serve lets the wrapped handler take effect and reply to w.
func (c *call) serve(w http.ResponseWriter) {
	c.r.Body = io.NopCloser(bytes.NewReader(c.body))
	c.journal.note(c.entry, func(n *Entry) { n.Effect = true })
	seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	c.next.ServeHTTP(seen, c.r)
	if w == c.w {
		c.replied(seen.status)
	}
}

// effect runs the wrapped handler and throws its reply away.
func (c *call) effect() { c.serve(&discard{header: http.Header{}}) }

func (c *call) replied(status int) {
	c.journal.note(c.entry, func(n *Entry) { n.Status = status })
}

func (c *call) suffer(f *armed) {
	switch f.Mode {
	case Before:
		c.refuse(f)
	case After:
		c.effect()
		c.refuse(f)
	case ResetBefore:
		reset(c.w)
	case ResetAfter:
		c.effect()
		reset(c.w)
	case Hang:
		c.wait(f)
		reset(c.w)
	case HangAfter:
		c.effect()
		c.wait(f)
		reset(c.w)
	case Slow:
		c.wait(f)
		c.serve(c.w)
	case Twice:
		c.effect()
		c.serve(c.w)
	case Garbage:
		c.say(`{"items":[{"id":`)
	case Oversize:
		c.say(`{"items":["` + strings.Repeat("x", oversize) + `"]}`)
	case Redirect:
		c.send(cmp.Or(f.Target, LinkLocal))
	case Lag:
		c.lag(f)
	case Poison:
		c.poison(f.draw)
	}
}

// say answers with a text that calls itself JSON.
func (c *call) say(text string) {
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(c.w, text)
	c.replied(http.StatusOK)
}

// send leads the caller elsewhere, in a reply that looks like any other.
func (c *call) send(target string) {
	c.w.Header().Set("Location", target)
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusTemporaryRedirect)
	_ = json.NewEncoder(c.w).Encode(map[string]string{"location": target})
	c.replied(http.StatusTemporaryRedirect)
}

func (c *call) refuse(f *armed) {
	if f.RetryAfter > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	answer(c.w, f.Status, "injected fault")
	c.replied(f.Status)
}

// wait holds the call until the fault's delay is over, the client has gone or
// the faults are cleared. A hang without a delay has only the last two ends.
func (c *call) wait(f *armed) {
	var over <-chan time.Time
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-f.cleared:
	case <-c.r.Context().Done():
	}
}

// reset cuts the connection so that the client sees a reset and no reply.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the server resets the stream
	}
	if inner, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = inner.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// answer writes a body in which the readers of all emulated error formats find a text.
func answer(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{
		"kind": "Error", "id": strconv.Itoa(status), "code": fmt.Sprintf("EMULATOR-%d", status),
		"reason": reason, "error": "emulator_fault", "error_description": reason,
	})
}

// statusWriter remembers the status for the journal.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// discard takes the reply that the client shall never see.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
