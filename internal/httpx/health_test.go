package httpx_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
)

// probe asks a handler as a peer with that address would.
func probe(h http.Handler, method, path, peer string, headers ...string) (int, string, http.Header) {
	req := httptest.NewRequest(method, path, nil)
	req.RemoteAddr = peer
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, req)
	return recorder.Code, recorder.Body.String(), recorder.Header()
}

const (
	near = "127.0.0.1:4711"
	far  = "10.1.2.3:4711"
)

func TestHealthSwitchAndDrain(t *testing.T) {
	t.Parallel()
	health := httpx.NewHealth(newErrors(io.Discard), httpx.Check{Name: "database", Run: func(context.Context) error { return nil }})
	h := health.Handler()
	ask := func(path string) (int, string) {
		code, body, header := probe(h, http.MethodGet, path, far)
		require.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
		return code, body
	}
	for _, path := range []string{"/livez", "/readyz", "/healthcheck", "/healthcheck/"} {
		code, body := ask(path)
		require.Equal(t, 200, code, path)
		require.JSONEq(t, `{}`, body)
	}
	for _, refused := range [][]string{{far}, {near, "X-Forwarded-For", "10.1.2.3"}} {
		code, _, _ := probe(h, http.MethodPost, "/healthcheck/down", refused[0], refused[1:]...)
		require.Equal(t, 403, code)
	}
	code, _, _ := probe(h, http.MethodPost, "/healthcheck/down", "[::1]:4711")
	require.Equal(t, 200, code)
	code, body := ask("/healthcheck")
	require.Equal(t, 503, code)
	require.JSONEq(t, `{"maintenance_status":"maintenance mode"}`, body)
	code, _ = ask("/livez")
	require.Equal(t, 200, code)
	code, _, _ = probe(h, http.MethodPost, "/healthcheck/up", near)
	require.Equal(t, 200, code)
	code, _ = ask("/readyz")
	require.Equal(t, 200, code)

	code, body, _ = probe(h, http.MethodGet, "/nothing", far)
	require.Equal(t, 404, code)
	require.Contains(t, body, "KAFKAS-MGMT-7")
	code, _, header := probe(h, http.MethodGet, "/healthcheck/down", near)
	require.Equal(t, 405, code)
	require.Equal(t, "POST", header.Get("Allow"))

	health.Drain()
	code, body = ask("/readyz")
	require.Equal(t, 503, code)
	require.JSONEq(t, `{"maintenance_status":"shutting down"}`, body)
}

func TestHealthChecks(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	deaf := make(chan struct{})
	defer close(deaf)
	h := httpx.NewHealth(newErrors(io.Discard),
		httpx.Check{Name: "database", Run: func(context.Context) error { asked.Add(1); return errors.New("hunter2") }},
		httpx.Check{Name: "keys", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		httpx.Check{Name: "stuck", Run: func(context.Context) error { <-deaf; return nil }},
		httpx.Check{Name: "schema", Run: func(context.Context) error { return nil }},
	).Handler()
	for range 5 {
		code, body, _ := probe(h, http.MethodGet, "/readyz", far)
		require.Equal(t, 503, code)
		require.JSONEq(t, `{"maintenance_status":"not ready","failing":["database","keys","stuck"]}`, body)
		code, _, _ = probe(h, http.MethodGet, "/livez", far)
		require.Equal(t, 200, code)
	}
	require.LessOrEqual(t, asked.Load(), int32(2), "a result serves more than one probe")
}

func TestMetricsHandler(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	httpx.NewMetrics(reg, nil)
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "seen_total"})
	reg.MustRegister(counter)
	h := httpx.MetricsHandler(reg, newErrors(io.Discard))
	code, body, _ := probe(h, http.MethodGet, "/metrics", far)
	require.Equal(t, 200, code)
	require.Contains(t, body, "seen_total 0")
	code, body, header := probe(h, http.MethodGet, "/", far)
	require.Equal(t, 404, code)
	require.Contains(t, body, "KAFKAS-MGMT-7")
	require.Equal(t, "application/json", header.Get("Content-Type"))
}
