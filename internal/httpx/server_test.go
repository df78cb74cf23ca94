package httpx_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// run serves until the returned func is called, which gives Run's result.
func run(t *testing.T, o httpx.ServerOptions, h http.Handler) (*httpx.Server, func() error) {
	t.Helper()
	return runLogged(t, o, h, log.New(io.Discard, slog.LevelError))
}

func runLogged(t *testing.T, o httpx.ServerOptions, h http.Handler, logger *slog.Logger) (*httpx.Server, func() error) {
	t.Helper()
	o.Name, o.Address = "test", "127.0.0.1:0"
	server, err := httpx.Listen(t.Context(), o, h, logger)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = server.Run(ctx)
	}()
	stop := func() error { cancel(); <-ended; return err }
	t.Cleanup(func() { _ = stop() })
	return server, stop
}

func get(server *httpx.Server) (*http.Response, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+server.Address(), nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	server, stop := run(t, httpx.ServerOptions{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	got := make(chan string, 1)
	go func() {
		res, err := get(server)
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		got <- string(text)
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Address())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond, "no new connections while draining")
	close(release)
	require.Equal(t, "done", <-got)
	require.NoError(t, <-stopped)
}

func TestDrainHasAnEnd(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	server, stop := run(t, httpx.ServerOptions{DrainTimeout: 10 * time.Millisecond}, http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
		}))
	failed := make(chan error, 1)
	go func() {
		res, err := get(server)
		if err == nil {
			_ = res.Body.Close()
		}
		failed <- err
	}()
	<-entered
	require.NoError(t, stop())
	require.Error(t, <-failed)
}

func TestTakenPortIsAnError(t *testing.T) {
	t.Parallel()
	server, _ := run(t, httpx.ServerOptions{}, http.NotFoundHandler())
	_, err := httpx.Listen(t.Context(), httpx.ServerOptions{Name: "api", Address: server.Address()}, nil, slog.Default())
	require.ErrorContains(t, err, "starting the api server")
}

func writePair(t *testing.T, certFile, keyFile, name string, serial int64) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

// counted counts the lines that are written to it.
type counted struct{ atomic.Int64 }

func (c *counted) Write(b []byte) (int, error) {
	c.Add(1)
	return len(b), nil
}

func TestTLSReloadsTheCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := httpx.ServerOptions{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	_, err := httpx.Listen(t.Context(), o, nil, slog.Default())
	require.ErrorContains(t, err, "reading the TLS certificate")
	writePair(t, o.CertFile, o.KeyFile, "a.example.test", 1)
	var warnings counted
	server, _ := runLogged(t, o, http.NotFoundHandler(), log.New(&warnings, slog.LevelWarn))

	presented := func() int64 {
		// The chain is not of interest here, only which certificate is served.
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
		conn, err := dialer.DialContext(t.Context(), "tcp", server.Address())
		require.NoError(t, err)
		defer conn.Close()
		secured, ok := conn.(*tls.Conn)
		require.True(t, ok)
		require.Equal(t, "h2", secured.ConnectionState().NegotiatedProtocol)
		return secured.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	require.EqualValues(t, 1, presented())
	require.NoError(t, os.WriteFile(o.CertFile, []byte("half written"), 0o600))
	began := time.Now()
	for range 30 {
		require.EqualValues(t, 1, presented(), "the last good pair stays")
	}
	require.LessOrEqual(t, warnings.Load(), 1+int64(time.Since(began)/time.Second), "clients do not set the pace")
	writePair(t, o.CertFile, o.KeyFile, "b.example.test", 2)
	for began := time.Now(); presented() != 2; {
		require.Less(t, time.Since(began), 10*time.Second)
	}
	old := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}}
	_, err = old.DialContext(t.Context(), "tcp", server.Address())
	require.Error(t, err)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	var c httpx.Config
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	c.Flags(fs)
	require.NoError(t, c.Validate(), "the defaults are valid")
	require.Equal(t, httpx.ServerOptions{Name: "api", Address: "localhost:8000"}, c.API())
	require.Equal(t, httpx.ServerOptions{Name: "metrics", Address: "localhost:8080"}, c.Metrics())
	require.Equal(t, httpx.ServerOptions{Name: "health", Address: "localhost:8083"}, c.Health())
	require.NoError(t, fs.Parse([]string{"--enable-https", "--api-server-bindaddress=8000", "--shutdown-delay=-1s"}))
	err := c.Validate()
	for _, flag := range []string{"--https-cert-file", "--api-server-bindaddress", "--shutdown-delay"} {
		require.ErrorContains(t, err, flag)
	}
}
