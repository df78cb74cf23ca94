package httpx

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServerOptions describes one server. Zero durations mean the usual ones.
type ServerOptions struct {
	Name              string        // api, metrics, health
	Address           string        // host:port; port 0 takes a free one
	CertFile, KeyFile string        // TLS if set
	HeaderTimeout     time.Duration // until a request's header is there
	ReadTimeout       time.Duration // until its body is there too
	WriteTimeout      time.Duration // until the client has taken the reply
	IdleTimeout       time.Duration // between two requests of a connection
	DrainTimeout      time.Duration // for the requests in flight when the server stops
}

// Server is one listening HTTP server.
type Server struct {
	name     string
	listener net.Listener
	server   *http.Server
	drain    time.Duration
	logger   *slog.Logger
}

// receivedUnread is how much of a connection's bodies is taken over HTTP/2 before it is read.
const receivedUnread = 128 << 10

// Listen binds the address, so that a taken port is an error now and the port is
// known; Run serves.
func Listen(ctx context.Context, o ServerOptions, h http.Handler, logger *slog.Logger) (*Server, error) {
	takes := cmp.Or(o.WriteTimeout, 30*time.Second)
	s := &Server{
		name: o.Name, logger: logger, drain: cmp.Or(o.DrainTimeout, 25*time.Second),
		server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: cmp.Or(o.HeaderTimeout, 5*time.Second),
			ReadTimeout:       cmp.Or(o.ReadTimeout, 15*time.Second),
			WriteTimeout:      takes,
			IdleTimeout:       cmp.Or(o.IdleTimeout, 90*time.Second),
			MaxHeaderBytes:    32 << 10,
			HTTP2: &http.HTTP2Config{
				// The timeout above ends a stream over HTTP/2, and says so to its client: while the connection
				// takes nothing it would never end, nor give back its place and what it holds.
				WriteByteTimeout: takes,
				// A body is received into our memory before anybody reads it, a stranger's too. The longest
				// report of an agent takes 64 round trips with this.
				MaxReceiveBufferPerConnection: receivedUnread,
				MaxReceiveBufferPerStream:     receivedUnread,
			},
			ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		},
	}
	if o.CertFile != "" {
		pair, err := loadCertificate(o.CertFile, o.KeyFile, logger)
		if err != nil {
			return nil, fmt.Errorf("starting the %s server: %w", o.Name, err)
		}
		s.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
	}
	var network net.ListenConfig
	var err error
	if s.listener, err = network.Listen(ctx, "tcp", o.Address); err != nil {
		return nil, fmt.Errorf("starting the %s server: %w", o.Name, err)
	}
	return s, nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close gives up the address of a server that never ran; after Run it does nothing.
func (s *Server) Close() error {
	if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Run serves until ctx ends, then lets the requests in flight finish within the
// drain timeout and cuts what is left. It must be called at most once.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() {
		if s.server.TLSConfig != nil {
			ended <- s.server.ServeTLS(s.listener, "", "")
		} else {
			ended <- s.server.Serve(s.listener)
		}
	}()
	s.logger.InfoContext(ctx, "server listens", "server", s.name, "address", s.Address())
	select {
	case err := <-ended:
		return fmt.Errorf("serving %s: %w", s.name, err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	err := s.server.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) {
		s.logger.WarnContext(ctx, "requests were cut at the end of the drain", "server", s.name)
		err = s.server.Close()
	}
	if stopped := <-ended; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	if err != nil {
		return fmt.Errorf("stopping the %s server: %w", s.name, err)
	}
	return nil
}
