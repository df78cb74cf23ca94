package httpx

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a key pair from files that is read again when they change.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu    sync.Mutex
	pair  *tls.Certificate
	stamp [2]fileStamp
	rests time.Time // until then a pair that could not be read is not read again
}

// certificateRest keeps strangers, whose handshakes these are, from setting the pace.
const certificateRest = time.Second

type fileStamp struct {
	modified time.Time
	size     int64
}

func loadCertificate(certFile, keyFile string, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	if err := c.refresh(); err != nil {
		return nil, fmt.Errorf("reading the TLS certificate: %w", err)
	}
	return c, nil
}

// get serves crypto/tls. A pair that cannot be read, perhaps because only one of
// the files is new as yet, leaves the old one in use for a moment.
func (c *certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.rests) {
		return c.pair, nil
	}
	if err := c.refresh(); err != nil {
		c.rests = time.Now().Add(certificateRest)
		c.logger.WarnContext(hello.Context(), "TLS certificate was not renewed", "cause", err.Error())
	}
	return c.pair, nil
}

func (c *certificate) refresh() error {
	var stamp [2]fileStamp
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	if c.pair != nil && stamp == c.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.stamp = &pair, stamp
	return nil
}
