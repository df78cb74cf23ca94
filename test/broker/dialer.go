package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"
)

// Dialer reaches an instance the way a customer does: the host is looked up, the address
// that comes out is connected to, and TLS names the host.
type Dialer struct {
	// Resolve gives the address to connect to (host:port) for a Kafka host.
	Resolve func(ctx context.Context, host string) (addr string, err error)
	// Roots is whom to trust, normally Authority.Pool.
	Roots *x509.CertPool
}

// DialContext has the shape that kgo.Dialer wants.
func (d Dialer) DialContext(ctx context.Context, network, hostport string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", hostport, err)
	}
	addr, err := d.Resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", host, err)
	}
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: 10 * time.Second},
		Config:    &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: d.Roots},
	}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", host, err)
	}
	return conn, nil
}
