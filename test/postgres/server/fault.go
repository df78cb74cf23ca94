package server

import "context"

// What a test does to a server of its own.

// StartDurable starts a private server that keeps what it acknowledged, also over
// Crash, and takes so many connections.
func StartDurable(ctx context.Context, connections int) (*Private, error) {
	return startPrivate(ctx, Options{SocketOnly: true, Connections: connections})
}

// Restart ends all connections and comes back with the same settings.
func (s *Server) Restart(ctx context.Context) error {
	return s.run(ctx, "pg_ctl", "-D", s.state.Data, "-l", s.log(), "-m", "fast", "-t", "60", "-w", "restart")
}

// Crash ends the server as a kill does: it writes nothing any more and has to
// recover when it comes back.
func (s *Server) Crash(ctx context.Context) error {
	return s.run(ctx, "pg_ctl", "-D", s.state.Data, "-m", "immediate", "-t", "60", "-w", "stop")
}

// Return starts a server that was stopped or has crashed, as it was.
func (p *Private) Return(ctx context.Context) error { return p.start(ctx, p.options) }
