package httpx

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"
)

// Config is what an operator chooses about the servers.
type Config struct {
	APIAddress, MetricsAddress, HealthAddress string
	APITLS, MetricsTLS, HealthTLS             bool
	CertFile, KeyFile                         string // for all servers with TLS
	ProfileAddress                            string // of this machine only; empty: no profiles

	ShutdownDelay time.Duration // from "not ready" to the first closed listener

	Limits LimitConfig
}

// Flags declares the flags with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.APIAddress, "api-server-bindaddress", "localhost:8000", "address of the API server")
	fs.BoolVar(&c.APITLS, "enable-https", false, "serve the API with TLS")
	fs.StringVar(&c.CertFile, "https-cert-file", "", "PEM file of the TLS certificate, for all servers")
	fs.StringVar(&c.KeyFile, "https-key-file", "", "PEM file of the TLS key, for all servers")
	fs.StringVar(&c.MetricsAddress, "metrics-server-bindaddress", "localhost:8080", "address of the metrics server")
	fs.BoolVar(&c.MetricsTLS, "enable-metrics-https", false, "serve the metrics with TLS")
	fs.StringVar(&c.HealthAddress, "health-check-server-bindaddress", "localhost:8083", "address of the health server")
	fs.BoolVar(&c.HealthTLS, "enable-health-check-https", false, "serve the health checks with TLS")
	fs.StringVar(&c.ProfileAddress, "profiling-server-bindaddress", "",
		"loopback address that serves Go's profiles at /debug/pprof/, like localhost:6060; none if empty")
	fs.DurationVar(&c.ShutdownDelay, "shutdown-delay", 5*time.Second,
		"time between the end of readiness and the end of listening, for balancers to notice")
	c.Limits.Flags(fs)
}

// Validate tells all that is wrong.
func (c *Config) Validate() error {
	var faults []error
	for _, address := range []struct{ flag, value string }{
		{"api-server-bindaddress", c.APIAddress},
		{"metrics-server-bindaddress", c.MetricsAddress},
		{"health-check-server-bindaddress", c.HealthAddress},
	} {
		if _, _, err := net.SplitHostPort(address.value); err != nil {
			faults = append(faults, fmt.Errorf("--%s: wanted host:port: %w", address.flag, err))
		}
	}
	if c.ProfileAddress != "" && !loopback(c.ProfileAddress) {
		faults = append(faults, errors.New("--profiling-server-bindaddress: wanted host:port with localhost or a loopback IP as host"))
	}
	if (c.APITLS || c.MetricsTLS || c.HealthTLS) && (c.CertFile == "" || c.KeyFile == "") {
		faults = append(faults, errors.New("--https-cert-file and --https-key-file: both are needed when any server uses TLS"))
	}
	if c.ShutdownDelay < 0 || c.ShutdownDelay > time.Minute {
		faults = append(faults, errors.New("--shutdown-delay: wanted between 0s and 1m"))
	}
	return errors.Join(append(faults, c.Limits.Validate())...)
}

// loopback tells whether only this machine can reach host:port. A name other than
// localhost may come to mean anything.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// API gives the options of the API server.
func (c *Config) API() ServerOptions { return c.server("api", c.APIAddress, c.APITLS) }

// Metrics gives the options of the metrics server.
func (c *Config) Metrics() ServerOptions { return c.server("metrics", c.MetricsAddress, c.MetricsTLS) }

// Health gives the options of the health server.
func (c *Config) Health() ServerOptions { return c.server("health", c.HealthAddress, c.HealthTLS) }

// Profile gives the options of the server of profiles. One that is being taken is
// not worth waiting for when the process stops.
func (c *Config) Profile() ServerOptions {
	return ServerOptions{Name: "profiling", Address: c.ProfileAddress, DrainTimeout: time.Second}
}

func (c *Config) server(name, address string, tls bool) ServerOptions {
	o := ServerOptions{Name: name, Address: address}
	if tls {
		o.CertFile, o.KeyFile = c.CertFile, c.KeyFile
	}
	return o
}
