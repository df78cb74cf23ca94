// Package faultproxy stands between a process and its PostgreSQL and does to the
// connections what networks, fail-overs and crashing servers do.
//
// It reads the protocol, so that it can cut where it hurts most: after the server
// has committed and before the client hears of it. It is for tests; it never
// changes a message and knows no table. Invariant: what a Trap or a count says has
// happened on the wire, so that a test can demand that its fault was real.
package faultproxy

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// dialTimeout bounds how long a server that is away may hold up a new connection.
const dialTimeout = 5 * time.Second

// Counts tells what happened since the start.
type Counts struct {
	Connections int // taken through to the server
	Refused     int // reset as soon as they came
	Reset       int // cut while they were in use
	Delayed     int // round trips
	Lost        int // messages that vanished in the silence
	Swallowed   int // notifications
}

type mode int

const (
	passing  mode = iota
	silent        // accepts and says nothing; what is sent is lost
	refusing      // resets who comes
)

// Proxy is one way to a server.
type Proxy struct {
	listener net.Listener
	network  string // of the server
	address  string
	url      string
	running  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	mode    mode
	delay   time.Duration
	changed chan struct{} // closed at each change of the delay
	deaf    bool          // notifications are swallowed
	traps   []*Trap
	links   map[*link]bool
	counts  Counts
}

// Start listens on a free port for the server of a connection string.
func Start(server string) (*Proxy, error) {
	config, err := pgx.ParseConfig(server)
	if err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	p := &Proxy{listener: listener, links: map[*link]bool{}, changed: make(chan struct{})}
	p.network, p.address = pgconn.NetworkAddress(config.Host, config.Port)
	through := url.URL{
		Scheme: "postgres", User: url.UserPassword(config.User, config.Password),
		Host: p.Address(), Path: "/" + config.Database, RawQuery: "sslmode=prefer",
	}
	p.url = through.String()
	p.running.Go(p.accept)
	return p, nil
}

// Address is where clients connect to.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// URL is the server's database through the proxy. Nothing else of the server's own
// URL is in it: a host named there in another way would be believed first.
func (p *Proxy) URL() string { return p.url }

// Close ends the proxy and all its connections.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.resetIf(func(*link) bool { return true })
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	l := &link{proxy: p, client: client, ended: make(chan struct{}), prepared: map[string]string{}, portals: map[string]string{}}
	p.mu.Lock()
	refused := p.closed || p.mode == refusing
	if refused {
		p.counts.Refused++
	} else {
		p.links[l] = true
	}
	p.mu.Unlock()
	if refused {
		l.end()
		return
	}
	defer p.forget(l)
	l.run()
}

// connect makes the way from a link to the server.
func (p *Proxy) connect(l *link) error {
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(context.Background(), p.network, p.address)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-l.ended: // meanwhile: then nobody else would close this
		_ = server.Close()
		return net.ErrClosed
	default:
	}
	l.server = server
	p.counts.Connections++
	return nil
}

func (p *Proxy) forget(l *link) {
	l.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// Counts gives what happened so far.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// Open is how many connections there are now.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Pass ends refusal, silence and delay. Connections on which something was lost
// in the silence are reset, as a host does that knows nothing of them.
func (p *Proxy) Pass() {
	p.setDelay(0)
	p.set(passing)
	p.resetIf(func(l *link) bool { return l.spoilt })
}

// Refuse resets every new connection. Those that are there go on.
func (p *Proxy) Refuse() { p.set(refusing) }

// Blackhole keeps all connections open, takes new ones, and loses what is sent.
func (p *Proxy) Blackhole() { p.set(silent) }

func (p *Proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
}

// Delay makes every round trip take that much longer.
func (p *Proxy) Delay(by time.Duration) { p.setDelay(by) }

func (p *Proxy) setDelay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
	close(p.changed)
	p.changed = make(chan struct{})
}

// Deafen swallows all notifications until it is called with false.
func (p *Proxy) Deafen(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
}

// ResetAll cuts every connection and tells how many there were.
func (p *Proxy) ResetAll() int { return p.resetIf(func(*link) bool { return true }) }

// ResetListeners cuts the connections that listen to notifications.
func (p *Proxy) ResetListeners() int { return p.resetIf(func(l *link) bool { return l.listens }) }

func (p *Proxy) resetIf(chosen func(*link) bool) int {
	p.mu.Lock()
	links := slices.DeleteFunc(slices.Collect(maps.Keys(p.links)), func(l *link) bool { return !chosen(l) })
	p.counts.Reset += len(links)
	p.mu.Unlock()
	for _, l := range links {
		l.end()
	}
	return len(links)
}

// lose tells whether a message vanishes, and marks its connection as spoilt.
func (p *Proxy) lose(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.mute || p.mode == silent {
		l.spoilt = true
		p.counts.Lost++
		return true
	}
	return false
}

// hold waits as long as a round trip is delayed.
func (p *Proxy) hold(l *link) {
	p.mu.Lock()
	delay, changed := p.delay, p.changed
	if delay > 0 {
		p.counts.Delayed++
	}
	p.mu.Unlock()
	if delay <= 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-l.ended:
	}
}

func (p *Proxy) swallows() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf {
		p.counts.Swallowed++
	}
	return p.deaf
}
