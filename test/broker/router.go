package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const handshakeDeadline = 10 * time.Second

var errUnknownHost = errors.New("routing connection: unknown host")

// Router is the one TLS listener in front of all instances. It ends TLS and picks the node
// by the name that the client asked for, as the routers of a real data plane cluster do.
// A host that no attached instance owns gets its connection closed in the handshake.
type Router struct {
	authority *Authority
	log       *slog.Logger
	ln        net.Listener
	config    *tls.Config
	ctx       context.Context // ends with Close; stops handshakes under way
	cancel    context.CancelFunc
	running   sync.WaitGroup

	mu      sync.RWMutex
	routes  map[string]route
	brokers map[string]*Broker
}

type route struct {
	node *listener
	cert *tls.Certificate
}

// StartRouter listens on addr. A nil logger is silent.
func StartRouter(addr string, authority *Authority, logger *slog.Logger) (*Router, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting router: %w", err)
	}
	r := &Router{
		authority: authority, log: logger, ln: ln, ctx: ctx, cancel: cancel,
		routes: map[string]route{}, brokers: map[string]*Broker{},
	}
	r.config = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		to, err := r.route(hello.ServerName)
		return to.cert, err
	}}
	r.running.Go(r.accept)
	return r, nil
}

// Addr is where the router listens.
func (r *Router) Addr() string { return r.ln.Addr().String() }

// Attach makes an instance reachable. Its hosts must be free.
func (r *Router) Attach(b *Broker) error {
	hosts := b.hosts()
	cert, err := r.authority.issue(slices.Collect(maps.Keys(hosts)))
	if err != nil {
		return fmt.Errorf("attaching %s: %w", b.ID(), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return fmt.Errorf("attaching %s: router is closed", b.ID())
	}
	for host := range hosts {
		if _, taken := r.routes[host]; taken {
			return fmt.Errorf("attaching %s: host %s is taken", b.ID(), host)
		}
	}
	if _, taken := r.brokers[b.ID()]; taken {
		return fmt.Errorf("attaching %s: id is taken", b.ID())
	}
	for host, node := range hosts {
		r.routes[host] = route{node: node, cert: cert}
	}
	r.brokers[b.ID()] = b
	return nil
}

// Remove takes an instance off the router and ends it. An unknown id is none to remove.
func (r *Router) Remove(id string) {
	r.mu.Lock()
	b, ok := r.brokers[id]
	if ok {
		for host := range b.hosts() {
			delete(r.routes, host)
		}
		delete(r.brokers, id)
	}
	r.mu.Unlock()
	if ok {
		b.Close()
	}
}

// Close ends the listener and all attached instances.
func (r *Router) Close() error {
	r.cancel()
	err := r.ln.Close()
	r.running.Wait()
	r.mu.RLock()
	ids := slices.Collect(maps.Keys(r.brokers))
	r.mu.RUnlock()
	for _, id := range ids {
		r.Remove(id)
	}
	return err
}

func (r *Router) route(host string) (route, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	to, ok := r.routes[strings.ToLower(host)]
	if !ok {
		return route{}, errUnknownHost
	}
	return to, nil
}

func (r *Router) accept() {
	for {
		conn, err := r.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			r.log.Warn("accepting a connection failed", "error", err)
			continue
		}
		r.running.Go(func() { r.serve(conn) })
	}
}

// serve ends TLS and hands the connection over; the node owns it from there.
func (r *Router) serve(raw net.Conn) {
	ctx, cancel := context.WithTimeout(r.ctx, handshakeDeadline)
	defer cancel()
	conn := tls.Server(raw, r.config)
	if err := conn.HandshakeContext(ctx); err != nil {
		r.log.Debug("routing a connection failed", "error", err)
		_ = raw.Close()
		return
	}
	to, err := r.route(conn.ConnectionState().ServerName)
	if err != nil {
		_ = conn.Close()
		return
	}
	to.node.deliver(ctx, conn)
}
