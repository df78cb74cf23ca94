package faultproxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// longest bounds a message: what is longer is no PostgreSQL.
	longest = 64 << 20
	// Codes in the place of a version, of clients that want something else first.
	cancelRequest = 80877102
	sslRequest    = 80877103
	gssRequest    = 80877104
)

// link is one connection of a client with the one to the server behind it.
type link struct {
	proxy  *Proxy
	client net.Conn
	once   sync.Once
	ended  chan struct{}

	// Under the proxy's lock.
	server  net.Conn
	spoilt  bool // messages were lost
	mute    bool // a trap silenced it
	listens bool
	pending *Trap // the reply that now comes is to be lost

	// Of the client's side.
	prepared, portals map[string]string
	transaction       []string
}

// message is one of the protocol as it was on the wire.
type message struct {
	kind byte // 0: the first one of a connection
	raw  []byte
}

// end resets the client and leaves the server.
func (l *link) end() {
	l.once.Do(func() {
		close(l.ended)
		if tcp, ok := l.client.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = l.client.Close()
		l.proxy.mu.Lock()
		defer l.proxy.mu.Unlock()
		if l.server != nil {
			_ = l.server.Close()
		}
		if l.pending != nil && !l.spoilt {
			l.pending.fail()
		}
	})
}

func (l *link) run() {
	incoming := bufio.NewReader(l.client)
	first, err := l.greet(incoming)
	if err != nil {
		return
	}
	if err := l.proxy.connect(l); err != nil {
		return
	}
	if _, err := l.server.Write(first.raw); err != nil {
		return
	}
	l.proxy.running.Go(l.answers)
	l.asks(incoming)
}

// greet reads the first message. Encryption is denied: nobody could look inside.
func (l *link) greet(from io.Reader) (message, error) {
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(from, head); err != nil {
			return message{}, err
		}
		if l.proxy.lose(l) {
			_, err := io.Copy(io.Discard, from)
			return message{}, errors.Join(err, io.ErrUnexpectedEOF)
		}
		size, code := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		if code == sslRequest || code == gssRequest {
			if _, err := l.client.Write([]byte{'N'}); err != nil {
				return message{}, err
			}
			continue
		}
		if size < 8 || size > longest {
			return message{}, fmt.Errorf("a first message of %d bytes", size)
		}
		raw := make([]byte, size)
		copy(raw, head)
		_, err := io.ReadFull(from, raw[8:])
		return message{raw: raw}, err
	}
}

func read(from io.Reader) (message, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(from, head); err != nil {
		return message{}, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size < 4 || size > longest {
		return message{}, fmt.Errorf("a message of %d bytes", size)
	}
	raw := make([]byte, 1+size)
	copy(raw, head)
	_, err := io.ReadFull(from, raw[5:])
	return message{kind: head[0], raw: raw}, err
}

// asks takes the client's messages to the server until one of them has gone.
func (l *link) asks(from *bufio.Reader) {
	defer l.end()
	to := bufio.NewWriter(l.server)
	for {
		m, err := read(from)
		if err != nil {
			return
		}
		if m.kind == 'Q' || m.kind == 'S' {
			l.proxy.hold(l)
		}
		if l.proxy.lose(l) {
			continue
		}
		if !l.admit(m) {
			continue
		}
		if _, err := to.Write(m.raw); err != nil {
			return
		}
		if from.Buffered() == 0 && to.Flush() != nil {
			return
		}
	}
}

// admit looks for statements and tells whether the message may go on.
func (l *link) admit(m message) bool {
	statement, runs := l.statement(m)
	if !runs {
		return true
	}
	trap := l.proxy.spring(statement, l.transaction)
	l.remember(statement)
	switch {
	case trap == nil:
		return true
	case trap.before():
		l.cut(trap)
		return false
	}
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	select {
	case <-l.ended:
		trap.fail()
		return false
	default:
	}
	l.pending = trap
	return true
}

// cut does what the trap wants: a reset, or silence.
func (l *link) cut(t *Trap) {
	t.fire() // before anybody can see it
	l.proxy.mu.Lock()
	l.mute, l.spoilt = t.cut.Mute, true
	l.proxy.mu.Unlock()
	if !t.cut.Mute {
		l.end()
	}
}

// remember keeps the statements of the transaction that runs.
func (l *link) remember(statement string) {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(statement)), " ")
	switch strings.TrimRight(word, ";") {
	case "begin", "commit", "rollback":
		l.transaction = nil
	case "listen":
		l.proxy.mu.Lock()
		l.listens = true
		l.proxy.mu.Unlock()
	default:
		l.transaction = append(l.transaction, statement)
	}
}

// statement gives what a message runs, if it runs something.
func (l *link) statement(m message) (string, bool) {
	body := m.raw[5:]
	switch m.kind {
	case 'Q':
		var q pgproto3.Query
		if q.Decode(body) == nil {
			return q.String, true
		}
	case 'P':
		var p pgproto3.Parse
		if p.Decode(body) == nil {
			l.prepared[p.Name] = p.Query
		}
	case 'B':
		var b pgproto3.Bind
		if b.Decode(body) == nil {
			l.portals[b.DestinationPortal] = l.prepared[b.PreparedStatement] + " --" + shown(b.Parameters)
		}
	case 'E':
		var e pgproto3.Execute
		if e.Decode(body) == nil {
			return l.portals[e.Portal], true
		}
	}
	return "", false
}

// shown renders the parameters that are text.
func shown(parameters [][]byte) string {
	var text strings.Builder
	for _, p := range parameters {
		if p != nil && utf8.Valid(p) && strings.IndexFunc(string(p), unicode.IsControl) < 0 {
			text.WriteString(" " + strconv.Quote(string(p)))
		}
	}
	return text.String()
}

// answers takes the server's messages to the client.
func (l *link) answers() {
	defer l.end()
	from, to := bufio.NewReader(l.server), bufio.NewWriter(l.client)
	for {
		m, err := read(from)
		if err != nil {
			_ = to.Flush() // the server's last words
			return
		}
		if l.proxy.lose(l) || l.robbed(m) || (m.kind == 'A' && l.proxy.swallows()) {
			continue
		}
		if _, err := to.Write(m.raw); err != nil {
			return
		}
		if from.Buffered() == 0 && to.Flush() != nil {
			return
		}
	}
}

// robbed drops the reply that a trap waits for, and cuts at its end: then the
// server has done what it was asked.
func (l *link) robbed(m message) bool {
	l.proxy.mu.Lock()
	trap := l.pending
	l.proxy.mu.Unlock()
	if trap == nil {
		return false
	}
	if m.kind == 'Z' {
		l.cut(trap)
	}
	return true
}
